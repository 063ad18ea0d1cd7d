//! What members of a group that share a process tell each other of partitions that change hands.

use crossbeam::atomic::AtomicCell;

use crate::kafka::OffsetAndEpoch;

/// How far the members of this process have read each partition of a topic, and who wrote that.
///
/// The group itself hands over nothing but an offset. Who goes on there in a log that was cut and written again
/// meanwhile would not notice. Written with each commit and read when a partition is assigned, off the data path:
/// the cells, which are wider than a word, may wait for each other.
#[derive(Debug)]
pub struct Handover {
    partitions: Vec<Partition>,
}

#[derive(Debug)]
struct Partition {
    known_epoch: i32,
    read: AtomicCell<OffsetAndEpoch>,
}

/// Nobody knows who wrote the record before.
const UNKNOWN: OffsetAndEpoch = OffsetAndEpoch { offset: -1, leader_epoch: -1 };
/// And there was one.
const FORGOTTEN: OffsetAndEpoch = OffsetAndEpoch { offset: -2, leader_epoch: -1 };

impl Handover {
    /// Nothing has been read; `known_epochs` are the leaders' epochs of this moment, by partition, -1 where they are
    /// not known.
    #[must_use]
    pub fn new(known_epochs: impl IntoIterator<Item = i32>) -> Self {
        let partition = |known_epoch| Partition { known_epoch, read: AtomicCell::new(UNKNOWN) };
        Self { partitions: known_epochs.into_iter().map(partition).collect() }
    }

    fn partition(&self, partition: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    /// The epoch of the partition's leader in the beginning.
    pub(crate) fn known_epoch(&self, partition: i32) -> i32 {
        self.partition(partition).map_or(UNKNOWN.leader_epoch, |known| known.known_epoch)
    }

    /// The offset behind the last record that any member read, with that record's epoch.
    pub(crate) fn read(&self, partition: i32) -> OffsetAndEpoch {
        self.partition(partition).map_or(UNKNOWN, |known| known.read.load())
    }

    /// The next offset that the group should be shown, if it begins at `start`; `None` where that is not known.
    #[must_use]
    pub fn due(&self, partition: i32, start: Option<i64>) -> Option<i64> {
        match self.read(partition) {
            UNKNOWN => start,
            OffsetAndEpoch { offset, .. } => Some(offset).filter(|offset| *offset >= 0),
        }
    }

    /// A member has read up to here. Another may have been further, or know of a newer leader.
    pub(crate) fn tell(&self, partition: i32, read: OffsetAndEpoch) {
        let rank = |place: OffsetAndEpoch| (place.leader_epoch, place.offset);
        if let Some(known) = self.partition(partition) {
            let newer = |before: OffsetAndEpoch| (rank(read) > rank(before)).then_some(read);
            // That there is nothing new is no error.
            let _ = known.read.fetch_update(newer);
        }
    }

    /// What was read up to here is behind something that nobody can read: no leader can be asked about it.
    pub(crate) fn forget(&self, partition: i32) {
        if let Some(known) = self.partition(partition) {
            known.read.store(FORGOTTEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_epoch_and_the_furthest_offset_count() {
        let handover = Handover::new([4, -1]);
        let place = |offset, leader_epoch| OffsetAndEpoch { offset, leader_epoch };
        assert_eq!((handover.read(0), handover.known_epoch(0)), (UNKNOWN, 4));
        handover.tell(0, place(10, 2));
        handover.tell(0, place(8, 2));
        assert_eq!(handover.read(0), place(10, 2), "by who hears late that it was taken away");
        assert_eq!((handover.due(0, Some(3)), handover.due(1, Some(3))), (Some(10), Some(3)));
        assert_eq!(handover.due(1, None), None);
        handover.tell(0, place(5, 3));
        assert_eq!(handover.read(0), place(5, 3), "behind a cut");
        handover.forget(0);
        assert_eq!((handover.read(0), handover.read(1)), (FORGOTTEN, UNKNOWN));
        assert_eq!(handover.due(0, Some(3)), None, "members were further than that");
        handover.tell(7, place(1, 1));
        assert_eq!((handover.read(7), handover.known_epoch(7)), (UNKNOWN, -1), "no such partition");
    }
}
