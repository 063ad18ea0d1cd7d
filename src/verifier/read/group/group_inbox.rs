//! What a member of a consumer group makes of what its client shows.

use std::{
    ops::{ControlFlow, Range},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use crossbeam::channel::Sender;

use crate::{
    kafka::{Expected, GroupVisitor, KafkaError, LogEvent},
    ledger::{AckedRuns, OffsetRun},
    partitions::{PartitionSlot, PartitionTable},
    record::RecordView,
    verifier::{
        check::{last_values::SeenKeys, validator::PartitionState},
        read::{budget::Allowance, checker::Checker, end_to_end::EndToEnd},
        shard::Halt,
    },
};

/// What a member tells.
#[derive(Debug)]
pub(crate) enum MemberEvent {
    /// The group has taken it in.
    Joined,
    /// So many partitions are its own, and the group knows its place in all of them; of so many that was so before.
    Placed { before: usize, now: usize },
    /// It has read on in a partition.
    Read {
        partition: PartitionSlot,
        /// Everything below has been read, by this member or those before it.
        position: i64,
        /// The records that it was shown since it told the last time.
        runs: Vec<OffsetRun>,
        /// The keys of those, where values are checked.
        keys: SeenKeys,
    },
    /// It could not read these offsets, which was told, and goes on behind them.
    PassedOver { partition: PartitionSlot, offsets: Range<i64> },
    /// It goes on from here in a partition of which more was read: the log was truncated.
    Rewound { partition: PartitionSlot, offset: i64 },
    /// The group does not take it in.
    Refused(KafkaError),
}

/// What changes while the client shows records.
pub(crate) struct Inbox {
    pub(crate) checker: Checker,
    /// All partitions of the topic.
    pub(crate) table: Arc<PartitionTable>,
    /// By slot.
    pub(crate) progress: Vec<MemberProgress>,
    pub(crate) news: Sender<MemberEvent>,
    pub(crate) allowance: Allowance,
    /// How long records took, where that is measured.
    pub(crate) end_to_end: Option<EndToEnd>,
    pub(crate) halt: Option<Halt>,
    /// Records since the last commit.
    pub(crate) uncommitted: usize,
    pub(crate) truncations: Arc<Truncations>,
}

/// Where logs were truncated, for all members, by partition: the ledger tells of what is gone from there on, whoever reads
/// the partition next. Written when a truncation is noticed, and read when a partition is assigned.
#[derive(Debug)]
pub(crate) struct Truncations(Box<[AtomicI64]>);

impl Truncations {
    pub(crate) fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| AtomicI64::new(i64::MAX)).collect())
    }

    fn tell(&self, partition: usize, offset: i64) {
        if let Some(truncation) = self.0.get(partition) {
            truncation.fetch_min(offset, Relaxed);
        }
    }

    fn lowest(&self, partition: usize) -> Option<i64> {
        self.0
            .get(partition)
            .map(|truncation| truncation.load(Relaxed))
            .filter(|truncation| *truncation < i64::MAX)
    }
}

/// Where the group as a whole stands still, by partition: the main thread tells, and whoever owns the partition looks
/// into it.
#[derive(Debug)]
pub(crate) struct StalledPartitions(Box<[AtomicI64]>);

/// No place at all.
const NOWHERE: i64 = -1;

impl StalledPartitions {
    pub(crate) fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| AtomicI64::new(NOWHERE)).collect())
    }

    /// Nothing comes of this partition, whose group stands at `offset`.
    pub(crate) fn tell(&self, partition: PartitionSlot, offset: i64) {
        if let Some(place) = self.of(partition) {
            place.store(offset, Relaxed);
        }
    }

    pub(crate) fn contains(&self, partition: PartitionSlot) -> bool {
        self.of(partition).is_some_and(|place| place.load(Relaxed) != NOWHERE)
    }

    /// Where that is, if nobody else has taken it.
    pub(crate) fn take(&self, partition: PartitionSlot) -> Option<i64> {
        let offset = self.of(partition)?.swap(NOWHERE, Relaxed);
        (offset != NOWHERE).then_some(offset)
    }

    fn of(&self, partition: PartitionSlot) -> Option<&AtomicI64> {
        self.0.get(partition.index())
    }
}

/// A partition, as far as this member has had it.
#[derive(Default)]
pub(crate) struct MemberProgress {
    pub(crate) state: PartitionState,
    pub(crate) position: i64,
    pub(crate) read: AckedRuns,
    pub(crate) keys: SeenKeys,
    pub(crate) has_unsent: bool,
    /// What cannot be read, and was told, begins here; how far it goes is not known yet.
    unreadable: Option<i64>,
}

impl MemberProgress {
    /// Tells the main thread what is new.
    pub(crate) fn tell(&mut self, partition: PartitionSlot, news: &Sender<MemberEvent>) {
        if std::mem::take(&mut self.has_unsent) {
            let (position, runs) = (self.position, self.read.take());
            let keys = std::mem::take(&mut self.keys);
            // It listens for as long as any member lives.
            let _ = news.send(MemberEvent::Read { partition, position, runs, keys });
        }
    }
}

impl Inbox {
    /// The group has read everything: what this member misses in a transaction will not come any more.
    pub(crate) fn finish(&mut self) -> Result<(), Halt> {
        for (partition, progress) in self.table.slots().zip(&mut self.progress) {
            self.checker.finish(&mut progress.state, partition)?;
        }
        Ok(())
    }

    fn position(&self, partition: PartitionSlot) -> i64 {
        let progress = self.progress.get(partition.index());
        progress.map_or(0, |progress| progress.position)
    }

    fn progress(&mut self, partition: PartitionSlot) -> Option<&mut MemberProgress> {
        self.progress.get_mut(partition.index())
    }

    fn goes_on(&self) -> ControlFlow<()> {
        if self.halt.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// The log was truncated. What that means is for the main thread to say; what follows here is new.
    #[cold]
    fn truncate(&mut self, partition: PartitionSlot, offset: i64) {
        let index = partition.index();
        let Some(progress) = self.progress.get_mut(index) else { return };
        self.truncations.tell(index, offset);
        progress.tell(partition, &self.news);
        progress.state.truncate(offset);
        progress.position = offset;
        let _ = self.news.send(MemberEvent::Rewound { partition, offset });
    }

    /// A record whose headers cannot be read. Nor can it be known then where the next one begins.
    #[cold]
    fn malformed(&mut self, partition: PartitionSlot, record: &RecordView<'_>) {
        let progress = &mut self.progress[partition.index()];
        let offset = match progress.position {
            // Who has just been given the partition has no place in it yet.
            0 => record.offset,
            position => self.checker.place_of_malformed(partition, position, record.offset),
        };
        progress.unreadable = Some(offset);
        let record = RecordView { offset, ..*record };
        self.halt = self.checker.check(&mut progress.state, partition, &record).err();
    }

    /// What lies at an offset cannot be read, and from `to` on, where that is known, it can be again.
    #[cold]
    fn unreadable(&mut self, partition: PartitionSlot, (from, to): (i64, Option<i64>), cause: &str) {
        let Some(progress) = self.progress(partition) else { return };
        // It may lie behind its batch's beginning.
        let (known, position) = (progress.unreadable, progress.position);
        let from = known.unwrap_or(from.max(position));
        progress.unreadable = Some(from).filter(|_| to.is_none());
        if let Some(to) = to {
            progress.state.reposition();
            progress.position = position.max(to);
            progress.has_unsent = true;
            // It listens for as long as any member lives.
            let _ = self.news.send(MemberEvent::PassedOver { partition, offsets: from..to });
        }
        if known.is_none() {
            self.checker.stats().errors.add(1);
            self.halt = self.checker.corrupt(partition, from, cause).err();
        }
    }
}

impl GroupVisitor for Inbox {
    /// Breaks off at a record that is one too many, or ends the run: the group does not take it for consumed then.
    #[inline]
    fn record(&mut self, partition: PartitionSlot, record: &RecordView<'_>) -> ControlFlow<()> {
        self.goes_on()?;
        if !self.allowance.take() {
            return ControlFlow::Break(());
        }
        if !record.has_sound_headers {
            self.malformed(partition, record);
            return self.goes_on();
        }
        let progress = &mut self.progress[partition.index()];
        progress.position = progress.position.max(record.offset + 1);
        progress.read.push(record.offset);
        progress.has_unsent = true;
        self.uncommitted += 1;
        let (state, keys) = (&mut progress.state, &mut progress.keys);
        self.halt = self.checker.check_and_note(state, partition, record, keys).err();
        if let Some(end_to_end) = self.end_to_end.as_mut().filter(|_| self.halt.is_none()) {
            end_to_end.note(record);
        }
        self.goes_on()
    }

    /// The group's place may be behind what this member has seen of the partition before.
    fn assigned(&mut self, slot: PartitionSlot) {
        let truncation = self.truncations.lowest(slot.index());
        let progress = &mut self.progress[slot.index()];
        (progress.position, progress.unreadable) = (0, None);
        match truncation {
            Some(truncation) => progress.state.truncate(truncation),
            None => progress.state.reposition(),
        }
    }

    fn event(&mut self, slot: Option<PartitionSlot>, event: LogEvent<'_>) {
        if self.halt.is_some() {
            return;
        }
        let Some(partition) = slot else {
            self.checker.stats().errors.add(1);
            if let LogEvent::Refused(error) = event {
                self.halt = Some(self.checker.refused(None, error));
            }
            return;
        };
        match event {
            LogEvent::Progress { next_offset: reached } | LogEvent::AtEnd { end: reached } => {
                if let Some(progress) = self.progress(partition) {
                    progress.position = progress.position.max(reached);
                    progress.has_unsent = true;
                }
            }
            LogEvent::Truncated { to, .. } => self.truncate(partition, to),
            LogEvent::Unreadable { from, to, cause } => self.unreadable(partition, (from, to), cause),
            LogEvent::Refused(error) => {
                self.checker.stats().errors.add(1);
                self.halt = Some(self.checker.refused(Some(partition), error));
            }
            LogEvent::FalseAbort { kind, first, marker } => {
                self.halt = self.checker.false_abort(partition, kind, (first, marker)).err();
            }
            LogEvent::StartBack { from, to } => {
                self.halt = self.checker.start_back(partition, from, to).err();
            }
            LogEvent::NotTruncated { is_certain: true, .. } => {
                self.checker.not_truncated(partition, self.position(partition));
            }
            LogEvent::NotTruncated { .. } => self.checker.uncertain(partition, self.position(partition)),
            // The client tries again by itself.
            LogEvent::OutOfRange | LogEvent::Gone(_) | LogEvent::Transient(_) => {
                self.checker.stats().errors.add(1);
            }
        }
    }

    fn refused(&mut self, error: KafkaError) {
        self.checker.stats().errors.add(1);
        // How long that is worth while is for the main thread to say.
        let _ = self.news.send(MemberEvent::Refused(error));
    }

    fn mended(&mut self, _partition: PartitionSlot, what: &'static str, cause: &'static str) {
        self.checker.mended(what, cause);
    }

    fn expects(&self, slot: PartitionSlot, offsets: Range<i64>) -> Expected {
        self.checker.expects(slot, offsets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_looked_into_by_one_member() {
        let (stalled_partitions, slot) = (StalledPartitions::new(2), PartitionSlot::new);
        assert_eq!(stalled_partitions.take(slot(1)), None);
        stalled_partitions.tell(slot(1), 0);
        assert!(
            stalled_partitions.contains(slot(1))
                && !stalled_partitions.contains(slot(0))
                && !stalled_partitions.contains(slot(2))
        );
        assert_eq!((stalled_partitions.take(slot(1)), stalled_partitions.take(slot(1))), (Some(0), None));
        stalled_partitions.tell(slot(7), 5);
        assert_eq!(stalled_partitions.take(slot(7)), None, "there is no such partition");
    }
}
