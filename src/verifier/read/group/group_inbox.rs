//! What a member of a consumer group makes of what its client shows.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use crossbeam::channel::Sender;

use crate::{
    kafka::{Fault, FaultKind, GroupEvent, Handover, KafkaError},
    ledger::{AckedRuns, OffsetRun},
    mutants,
    record::RecordView,
    verifier::{
        check::{last_values::SeenKeys, validator::PartitionState},
        read::{budget::Allowance, checker::Checker},
        shard::Halt,
    },
};

/// What a member tells.
#[derive(Debug)]
pub(crate) enum News {
    /// The group has taken it in.
    Joined,
    /// It has read on in a partition.
    Read {
        partition: i32,
        /// Everything below has been read, by this member or those before it.
        position: i64,
        /// The records that it was shown since it told the last time.
        runs: Vec<OffsetRun>,
        /// The keys of those, where values are checked.
        keys: SeenKeys,
    },
    /// It could not read these offsets, which was told, and goes on behind them.
    PassedOver { partition: i32, from: i64, to: i64 },
    /// It goes on from here in a partition of which more was read: the log was cut.
    Rewound { partition: i32, offset: i64 },
    /// The group does not take it in.
    Refused(KafkaError),
}

/// What changes while the client shows records.
pub(crate) struct Inbox {
    pub(crate) checker: Checker,
    /// By partition.
    pub(crate) lanes: Vec<Lane>,
    pub(crate) news: Sender<News>,
    pub(crate) allowance: Allowance,
    pub(crate) halt: Option<Halt>,
    /// Where a partition cannot be read any further.
    pub(crate) unreadable: Vec<(i32, i64)>,
    /// Where the client has left out what a partition should have.
    pub(crate) left_out: Vec<(i32, i64)>,
    /// How far members are known to have come, of a group that was made for this pass and begins where the logs do.
    pub(crate) handover: Arc<Handover>,
    pub(crate) first_offsets: Option<Arc<[i64]>>,
    /// Records since the last commit.
    pub(crate) uncommitted: usize,
    pub(crate) cuts: Arc<Cuts>,
}

/// Where logs were cut, for all members, by partition: the ledger tells of what is gone from there on, whoever reads
/// the partition next. Written when a cut is noticed, and read when a partition is assigned.
#[derive(Debug)]
pub(crate) struct Cuts(Box<[AtomicI64]>);

impl Cuts {
    pub(crate) fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| AtomicI64::new(i64::MAX)).collect())
    }

    fn tell(&self, partition: usize, offset: i64) {
        if let Some(cut) = self.0.get(partition) {
            cut.fetch_min(offset, Relaxed);
        }
    }

    fn lowest(&self, partition: usize) -> Option<i64> {
        self.0.get(partition).map(|cut| cut.load(Relaxed)).filter(|cut| *cut < i64::MAX)
    }
}

/// Where the group as a whole stands still, by partition: the main thread tells, and whoever owns the partition looks
/// into it.
#[derive(Debug)]
pub(crate) struct Silences(Box<[AtomicI64]>);

/// No place at all.
const NOWHERE: i64 = -1;

impl Silences {
    pub(crate) fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| AtomicI64::new(NOWHERE)).collect())
    }

    /// Nothing comes of this partition, whose group stands at `offset`.
    pub(crate) fn tell(&self, partition: i32, offset: i64) {
        if let Some(place) = self.of(partition) {
            place.store(offset, Relaxed);
        }
    }

    pub(crate) fn is_told_of(&self, partition: i32) -> bool {
        self.of(partition).is_some_and(|place| place.load(Relaxed) != NOWHERE)
    }

    /// Where that is, if nobody else has taken it.
    pub(crate) fn take(&self, partition: i32) -> Option<i64> {
        let offset = self.of(partition)?.swap(NOWHERE, Relaxed);
        (offset != NOWHERE).then_some(offset)
    }

    fn of(&self, partition: i32) -> Option<&AtomicI64> {
        self.0.get(usize::try_from(partition).ok()?)
    }
}

/// A partition, as far as this member has had it.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) state: PartitionState,
    pub(crate) position: i64,
    pub(crate) sequel: Sequel,
    pub(crate) read: AckedRuns,
    pub(crate) keys: SeenKeys,
    pub(crate) has_news: bool,
}

/// What should come next of a partition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sequel {
    /// The next offset, where that is known.
    pub(crate) due: Option<i64>,
    /// From where on the client was told to read again last.
    asked_again: Option<i64>,
    /// Offsets that were left out, and were not there when it did.
    real_gaps: u32,
}

/// In a log with so many gaps that nothing explains there are markers of transactions, and no client is asked again.
const ENOUGH_GAPS: u32 = 3;

impl Sequel {
    /// This comes next; `None` where nobody knows.
    pub(crate) fn begin(&mut self, due: Option<i64>) {
        self.due = due;
    }

    /// The partition is this member's from now on: what it asked for when it was so before, it may not have been shown.
    fn assigned(&mut self, due: Option<i64>) {
        (self.due, self.asked_again) = (due, None);
    }

    /// The client shows what lies at `to`, or that everything below has been read. Returns where it has to begin again,
    /// once, because it has left something out; whether the ledger promises anything from one offset up to another is
    /// asked of `is_promised`.
    fn left_out(
        &mut self,
        to: i64,
        is_shown_all: bool,
        is_promised: impl FnOnce(i64) -> bool,
    ) -> Option<i64> {
        let from = self.due.filter(|due| *due < to)?;
        if self.asked_again == Some(from) {
            self.real_gaps += 1;
            return None;
        }
        let is_strange = (is_shown_all && self.real_gaps < ENOUGH_GAPS) || is_promised(from);
        if !is_strange || mutants::is_off("left-out-group") {
            return None;
        }
        self.asked_again = Some(from);
        Some(from)
    }
}

impl Lane {
    /// Tells the main thread what is new.
    pub(crate) fn tell(&mut self, partition: i32, news: &Sender<News>) {
        if std::mem::take(&mut self.has_news) {
            let (position, runs) = (self.position, self.read.take());
            let keys = std::mem::take(&mut self.keys);
            // It listens for as long as any member lives.
            let _ = news.send(News::Read { partition, position, runs, keys });
        }
    }
}

impl Inbox {
    /// Takes what the client shows. Breaks off where nothing more is to be consumed: at a record that is one too many
    /// or ends the run, which the group then does not take for consumed; and at a batch that cannot be read, behind which
    /// the client shows whatever it makes of the bytes that follow.
    pub(crate) fn take(&mut self, event: GroupEvent<'_>) -> ControlFlow<()> {
        match event {
            GroupEvent::Record { partition, message, .. } => return self.record(partition, &message.view()),
            GroupEvent::End { partition, offset, .. } => {
                if self.leaves_out(partition, offset) {
                    return ControlFlow::Break(());
                }
                if let Some(lane) = self.lane(partition) {
                    lane.position = lane.position.max(offset);
                    lane.sequel.begin(Some(offset));
                    lane.has_news = true;
                }
            }
            // It starts where the group says, which may be behind what this member has seen of it before.
            GroupEvent::Assigned { partition, .. } => {
                let index = usize::try_from(partition).ok();
                let cut = index.and_then(|index| self.cuts.lowest(index));
                let start = index.and_then(|index| self.first_offsets.as_ref()?.get(index).copied());
                let due = self.handover.due(partition, start);
                if let Some(lane) = self.lane(partition) {
                    lane.position = 0;
                    lane.sequel.assigned(due.filter(|_| cut.is_none()));
                    match cut {
                        Some(cut) => lane.state.cut(cut),
                        None => lane.state.reposition(),
                    }
                }
            }
            GroupEvent::Rewound { partition, offset, .. } => self.rewound(partition, offset),
            GroupEvent::WentBack { partition, offset, position, .. } => {
                self.checker.went_back(partition, (offset, position));
            }
            GroupEvent::Fault { fault, .. } => self.fault(&fault),
        }
        self.goes_on()
    }

    fn goes_on(&self) -> ControlFlow<()> {
        if self.halt.is_none() && self.unreadable.is_empty() && self.left_out.is_empty() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    /// The log was cut. What that means is for the main thread to say; what follows here is new.
    #[cold]
    fn rewound(&mut self, partition: i32, offset: i64) {
        let Ok(index) = usize::try_from(partition) else { return };
        let Some(lane) = self.lanes.get_mut(index) else { return };
        self.cuts.tell(index, offset);
        lane.tell(partition, &self.news);
        lane.state.cut(offset);
        lane.position = offset;
        lane.sequel.begin(Some(offset));
        let _ = self.news.send(News::Rewound { partition, offset });
    }

    /// The group has read everything: what this member misses in a transaction will not come any more.
    pub(crate) fn finish(&mut self) -> Result<(), Halt> {
        for (partition, lane) in (0..).zip(&mut self.lanes) {
            self.checker.finish(&mut lane.state, partition)?;
        }
        Ok(())
    }

    pub(crate) fn lane(&mut self, partition: i32) -> Option<&mut Lane> {
        self.lanes.get_mut(usize::try_from(partition).ok()?)
    }

    /// Whether the client has left out, below this offset, what it should have shown; it is told to begin again there.
    fn leaves_out(&mut self, partition: i32, to: i64) -> bool {
        let Some(lane) = usize::try_from(partition).ok().and_then(|index| self.lanes.get_mut(index)) else {
            return false;
        };
        if lane.sequel.due.is_none_or(|due| due >= to) {
            return false;
        }
        let checker = &self.checker;
        let from =
            lane.sequel.left_out(to, checker.is_shown_all(), |from| checker.promises(partition, from..to));
        if let Some(from) = from {
            checker.left_out(partition, from..to);
            self.left_out.push((partition, from));
        }
        from.is_some()
    }

    fn record(&mut self, partition: i32, record: &RecordView<'_>) -> ControlFlow<()> {
        let Some(index) = usize::try_from(partition).ok().filter(|index| *index < self.lanes.len()) else {
            // A partition that the topic did not have when the run began.
            return ControlFlow::Continue(());
        };
        if record.has_sound_headers && self.leaves_out(partition, record.offset) {
            return ControlFlow::Break(());
        }
        if !self.allowance.take() {
            return ControlFlow::Break(());
        }
        if !record.has_sound_headers {
            self.spoilt(partition, index, record);
            return ControlFlow::Break(());
        }
        let lane = &mut self.lanes[index];
        lane.position = lane.position.max(record.offset + 1);
        lane.sequel.begin(Some(record.offset + 1));
        lane.read.push(record.offset);
        lane.has_news = true;
        self.uncommitted += 1;
        let (state, keys) = (&mut lane.state, &mut lane.keys);
        self.halt = self.checker.check_and_note(state, index, partition, record, keys).err();
        self.goes_on()
    }

    /// A record whose headers cannot be read. Nor can it be known then where the next one begins.
    #[cold]
    fn spoilt(&mut self, partition: i32, index: usize, record: &RecordView<'_>) {
        let lane = &mut self.lanes[index];
        let offset = match lane.position {
            // Who has just been given the partition has no place in it yet.
            0 => record.offset,
            position => self.checker.place_of_spoilt(partition, position, record.offset),
        };
        self.unreadable.push((partition, offset));
        let record = RecordView { offset, ..*record };
        self.halt = self.checker.check(&mut lane.state, index, partition, &record).err();
    }

    #[cold]
    fn fault(&mut self, fault: &Fault<'_>) {
        self.checker.stats().errors.add(1);
        if fault.error.is_group_refusal() {
            // The client asks again by itself; how long that is worth while is for the main thread to say.
            let _ = self.news.send(News::Refused(fault.error));
            return;
        }
        match fault.kind {
            FaultKind::Corrupt => {
                // Who has just been given the partition has no place in it yet. It may lie behind the batch's beginning.
                let position = self.lane(fault.partition).map_or(0, |lane| lane.position);
                let (partition, offset) = (fault.partition, position.max(fault.offset));
                // The client says so again with each fetch.
                if !self.unreadable.contains(&(partition, offset)) {
                    self.unreadable.push((partition, offset));
                    self.halt = self.checker.corrupt(partition, offset, fault.text).err();
                }
            }
            FaultKind::Refused => {
                self.halt = Some(self.checker.refused(fault.partition, fault.error));
            }
            // The client tries again by itself.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_left_out_is_asked_for_once() {
        let mut sequel = Sequel::default();
        assert_eq!(sequel.left_out(90, true, |_| true), None, "nobody knows where it begins");
        sequel.begin(Some(5));
        assert_eq!(sequel.left_out(5, true, |_| true), None);
        assert_eq!(sequel.left_out(9, false, |_| false), None, "markers, or what was aborted");
        assert_eq!(sequel.left_out(9, false, |from| from == 5), Some(5));
        assert_eq!(sequel.left_out(9, false, |_| true), None, "it is not there: that is for others to judge");
        sequel.assigned(Some(5));
        assert_eq!(
            sequel.left_out(9, false, |_| true),
            Some(5),
            "who lost the partition may not have been shown it"
        );
        sequel.begin(Some(10));
        assert_eq!(sequel.left_out(12, true, |_| false), Some(10), "nothing explains it");
        sequel.begin(Some(12));
        assert_eq!(sequel.left_out(9, true, |_| true), None, "what comes again");
    }

    #[test]
    fn a_log_full_of_markers_is_not_read_twice() {
        let mut sequel = Sequel::default();
        for place in 0..10 {
            sequel.begin(Some(place * 10));
            let asked = sequel.left_out(place * 10 + 1, true, |_| false);
            assert_eq!(asked.is_some(), place < 3, "{place}");
            sequel.left_out(place * 10 + 1, true, |_| false);
        }
        assert_eq!(
            sequel.left_out(95, true, |_| true),
            Some(90),
            "what the ledger lists is asked for all the same"
        );
    }

    #[test]
    fn a_silence_is_looked_into_by_one_member() {
        let silences = Silences::new(2);
        assert_eq!(silences.take(1), None);
        silences.tell(1, 0);
        assert!(silences.is_told_of(1) && !silences.is_told_of(0) && !silences.is_told_of(2));
        assert_eq!((silences.take(1), silences.take(1)), (Some(0), None));
        silences.tell(7, 5);
        assert_eq!(silences.take(7), None, "there is no such partition");
    }
}
