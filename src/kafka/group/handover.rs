//! What members of a group that share a process tell each other of partitions that change hands.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crossbeam::atomic::AtomicCell;

use crate::{kafka::OffsetAndEpoch, partitions::PartitionSlot};

/// How far the members of this process have read each partition, and who wrote that.
///
/// The group itself hands over nothing but an offset. Who goes on there in a log that was truncated and written again
/// meanwhile would not notice. Written with each commit and read when a partition is assigned, off the data path:
/// the cells, which are wider than a word, may wait for each other.
#[derive(Debug)]
pub(crate) struct Handover {
    /// By slot.
    partitions: Vec<Partition>,
}

#[derive(Debug)]
struct Partition {
    known_epoch: i32,
    /// Where the group begins, if that is known.
    start: Option<i64>,
    read: AtomicCell<OffsetAndEpoch>,
    /// The log was truncated since.
    is_truncated: AtomicBool,
}

/// Nobody knows who wrote the record before.
const UNKNOWN: OffsetAndEpoch = OffsetAndEpoch { offset: -1, leader_epoch: -1 };
/// And there was one.
const FORGOTTEN: OffsetAndEpoch = OffsetAndEpoch { offset: -2, leader_epoch: -1 };

impl Handover {
    /// Nothing has been read; of each partition, the leader's epoch of this moment, -1 where it is not known, and where the
    /// group begins, `None` where that is for the group to say.
    #[must_use]
    pub(crate) fn new(partitions: impl IntoIterator<Item = (i32, Option<i64>)>) -> Self {
        let partition = |(known_epoch, start)| Partition {
            known_epoch,
            start,
            read: AtomicCell::new(UNKNOWN),
            is_truncated: AtomicBool::new(false),
        };
        Self { partitions: partitions.into_iter().map(partition).collect() }
    }

    fn partition(&self, slot: PartitionSlot) -> Option<&Partition> {
        self.partitions.get(slot.index())
    }

    /// The epoch of the partition's leader in the beginning.
    pub(crate) fn known_epoch(&self, slot: PartitionSlot) -> i32 {
        self.partition(slot).map_or(UNKNOWN.leader_epoch, |known| known.known_epoch)
    }

    /// The offset behind the last record that any member read, with that record's epoch.
    pub(crate) fn read(&self, slot: PartitionSlot) -> OffsetAndEpoch {
        self.partition(slot).map_or(UNKNOWN, |known| known.read.load())
    }

    /// The next offset that the group should be shown; `None` where that is not known. What was there before a log was truncated
    /// tells nothing of what is.
    pub(crate) fn due(&self, slot: PartitionSlot) -> Option<i64> {
        let known = self.partition(slot).filter(|known| !known.is_truncated.load(Relaxed))?;
        match known.read.load() {
            UNKNOWN => known.start,
            OffsetAndEpoch { offset, .. } => Some(offset).filter(|offset| *offset >= 0),
        }
    }

    /// The log was truncated.
    pub(crate) fn note_truncation(&self, slot: PartitionSlot) {
        if let Some(known) = self.partition(slot) {
            known.is_truncated.store(true, Relaxed);
        }
    }

    /// A member has read up to here. Another may have been further, or know of a newer leader.
    pub(crate) fn tell(&self, slot: PartitionSlot, read: OffsetAndEpoch) {
        let rank = |place: OffsetAndEpoch| (place.leader_epoch, place.offset);
        if let Some(known) = self.partition(slot) {
            let newer = |before: OffsetAndEpoch| (rank(read) > rank(before)).then_some(read);
            // That there is nothing new is no error.
            let _ = known.read.fetch_update(newer);
        }
    }

    /// What was read up to here is behind something that nobody can read: no leader can be asked about it.
    pub(crate) fn forget(&self, slot: PartitionSlot) {
        if let Some(known) = self.partition(slot) {
            known.read.store(FORGOTTEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_epoch_and_the_furthest_offset_count() {
        let handover = Handover::new([(4, Some(3)), (-1, Some(3)), (-1, None)]);
        let [zero, one, unknown] = [0, 1, 7].map(PartitionSlot::new);
        let place = |offset, leader_epoch| OffsetAndEpoch { offset, leader_epoch };
        assert_eq!((handover.read(zero), handover.known_epoch(zero)), (UNKNOWN, 4));
        handover.tell(zero, place(10, 2));
        handover.tell(zero, place(8, 2));
        assert_eq!(handover.read(zero), place(10, 2), "by who hears late that it was taken away");
        assert_eq!(
            [0, 1, 2].map(PartitionSlot::new).map(|slot| handover.due(slot)),
            [Some(10), Some(3), None]
        );
        handover.tell(zero, place(5, 3));
        assert_eq!(handover.read(zero), place(5, 3), "behind a truncation");
        handover.forget(zero);
        assert_eq!((handover.read(zero), handover.read(one)), (FORGOTTEN, UNKNOWN));
        assert_eq!(handover.due(zero), None, "members were further than that");
        handover.note_truncation(one);
        assert_eq!(handover.due(one), None, "what lay there before tells nothing");
        handover.tell(unknown, place(1, 1));
        assert_eq!(
            (handover.read(unknown), handover.known_epoch(unknown)),
            (UNKNOWN, -1),
            "no such partition"
        );
    }
}
