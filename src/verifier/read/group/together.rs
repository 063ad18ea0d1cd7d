//! What all members of a group together have read of a topic in one pass, and what that proves.
//!
//! What is read, lost, truncated, passed over or left out of a partition is its [`PartitionProgress`]'s to say, as it is a
//! sequential reader's. Here is what only a group needs for that: what members tell is put together, and the brokers are asked
//! where that stands still, since no member knows what the others have read.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    group_inbox::{MemberEvent, StalledPartitions},
    group_partition::GroupPartition,
};
use crate::{
    findings::anomaly::Anomaly,
    kafka::{Isolation, OffsetSpec},
    ledger::{Ledger, PartitionLedger},
    mutants::enforced,
    partitions::PartitionSlot,
    stats::{Beyond, CoverageTotals},
    verifier::{
        check::loss::{LOOK_PAUSE, LOOKS, Losses},
        read::{
            checker::{self, Checker, Truncation},
            closing::Closing,
            progress::{OPEN_END, OffsetRange, PartitionProgress},
            stall::{Look, StallDetector},
        },
        shard::Halt,
    },
};

/// How long a partition may stand still before the brokers are asked whether the logs have changed.
pub(super) const SILENCE: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 3_000 });

/// Asks the brokers where each partition's log starts or ends; `None` where the run is to end before they answer.
pub(crate) type Ask<'a> = Box<dyn Fn(OffsetSpec) -> Option<Vec<i64>> + 'a>;

/// What a pass that waits for more makes of what was acked since it began, by the ledger with which it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtClose {
    /// Only the ends are certain: the rest may not be listed, and members were not told to read again what they had left out.
    Ends,
    /// All is listed, and must have been shown.
    All,
    /// All is listed, but members' clients may have left something out that nobody could tell from markers.
    AllButLeftOut,
}

/// The group's pass, seen from the main thread.
pub(crate) struct Together<'a> {
    pub(crate) parts: Vec<GroupPartition>,
    pub(super) checker: Checker,
    pub(super) stall_detector: StallDetector,
    pub(super) stalled_partitions: Arc<StalledPartitions>,
    pub(super) ask: Ask<'a>,
    /// Which ends those are.
    pub(super) isolation: Isolation,
    pub(super) group: &'a str,
    /// By the user, so that it may have been there before: it need not be shown everything.
    pub(super) is_named: bool,
    /// Each record must come once.
    pub(super) exactly_once: bool,
    /// Of a pass that waits for more.
    pub(super) at_close: AtClose,
    /// Records that the group was shown again.
    pub(super) repeated: u64,
    /// The ledger as it was when a pass that waits for more was to end.
    pub(super) last_ledger: Option<Arc<Ledger>>,
    pub(super) halt: Option<Halt>,
}

/// The partitions, before anything was read of them.
pub(super) fn parts(
    checker: &Checker,
    ranges: &[OffsetRange],
    losses: Vec<Losses>,
    continuous: bool,
) -> Vec<GroupPartition> {
    let part = |(range, losses): (&OffsetRange, Losses)| {
        let range = OffsetRange { end: if continuous { OPEN_END } else { range.end }, ..*range };
        let consumable_end = checker.consumable_end(range.partition);
        GroupPartition::new(PartitionProgress::new(range, losses).may_end_at(consumable_end))
    };
    ranges.iter().zip(losses).map(part).collect()
}

/// A partition's part of the ledger as it was when the end of the pass was looked for.
fn ledger_at_end<'a>(
    last: Option<&'a Ledger>,
    checker: &'a Checker,
    partition: PartitionSlot,
) -> Option<&'a PartitionLedger> {
    last.map_or_else(|| checker.ledger(partition), |ledger| ledger.partition(checker.place(partition)))
}

impl Together<'_> {
    /// What a member has read, or could not read. What it says of itself is for others.
    pub(super) fn take(&mut self, news: MemberEvent) {
        match news {
            MemberEvent::PassedOver { partition, offsets } => {
                let passed_over = self.parts[partition.index()].progress.pass_over(offsets);
                if let Some(Range { start, end }) = passed_over {
                    let number = self.checker.number(partition);
                    tracing::warn!("partition {number}: offsets {start} to {} are passed over", end - 1);
                }
            }
            MemberEvent::Read { partition, position, runs, keys } => {
                let part = &mut self.parts[partition.index()];
                part.progress.reached(position);
                part.moved = Instant::now();
                self.stall_detector.moved(&mut part.watch, part.progress.position);
                part.keys.merge(keys);
                let (again, repeated) = part.progress.add(&runs);
                self.repeated += repeated;
                if let Some(offset) = again.filter(|_| self.exactly_once) {
                    self.delivered_twice(partition, offset);
                }
            }
            MemberEvent::Rewound { partition, offset } => self.rewound(partition, offset),
            MemberEvent::Joined | MemberEvent::Placed { .. } | MemberEvent::Refused(_) => {}
        }
    }

    /// Whether there is nothing left to read, as far as the ends are known.
    pub(super) fn is_done(&self) -> bool {
        self.parts.iter().all(GroupPartition::is_done)
    }

    /// The pass that waited for more is the last one: it ends where the logs end now.
    pub(super) fn close(&mut self, Closing { ledger, ends }: Closing) {
        if self.at_close != AtClose::Ends {
            self.checker.renew_ledger(ledger.clone());
        }
        for (part, end) in self.parts.iter_mut().zip(ends) {
            let consumable_end =
                checker::consumable_end(&ledger, self.checker.place(part.progress.partition));
            part.progress.close_at(end, consumable_end);
        }
        self.last_ledger = Some(ledger);
    }

    #[cold]
    fn delivered_twice(&mut self, partition: PartitionSlot, offset: i64) {
        let expected = format!("each record once in group '{}'", self.group);
        let found = "one that the group was shown before".to_owned();
        let broken = self.checker.broken(Anomaly::GroupRedelivery, partition, offset, expected, found);
        self.halt = self.halt.take().or(broken.err());
    }

    fn ledger_at_end(&self, partition: PartitionSlot) -> Option<&PartitionLedger> {
        ledger_at_end(self.last_ledger.as_deref(), &self.checker, partition)
    }

    /// What that lists at or above `end`, and the group was not shown, is told, once.
    fn report_missing_end(&mut self, index: usize, end: i64) -> Result<(), Halt> {
        let progress = &mut self.parts[index].progress;
        let ledger = ledger_at_end(self.last_ledger.as_deref(), &self.checker, progress.partition);
        self.checker.report_missing_of(ledger, progress, end)
    }

    /// Whether there is a partition in which the group does not move.
    pub(super) fn is_suspect(&self) -> bool {
        self.parts.iter().any(|part| !part.is_done() && part.moved.elapsed() > SILENCE)
    }

    /// A log may end below where it did, or start above where the members are.
    pub(super) fn look_at_logs(&mut self, has_others: bool) {
        let asked = Instant::now();
        let Some(ends) = (self.ask)(OffsetSpec::End) else { return };
        if asked.elapsed() > SILENCE {
            // They had to be waited for.
            self.parts.iter_mut().for_each(|part| part.watch.unanswered());
        }
        for (index, end) in ends.into_iter().enumerate() {
            if self.parts[index].progress.is_cut_by_word(end) {
                self.truncate(index, end, false);
            }
            if self.parts[index].progress.doubts() == 0 {
                self.look_for_stall(index, end, has_others);
            }
        }
    }

    fn look_for_stall(&mut self, index: usize, end: i64, has_others: bool) {
        let GroupPartition { progress, moved, watch, .. } = &mut self.parts[index];
        progress.lower_end(end);
        let (partition, position) = (progress.partition, progress.position);
        if let Some(tail) = progress.leave_out_tail(*moved, Instant::now()) {
            checker::tail_left_out(self.checker.number(partition), &tail);
        }
        if has_others {
            // They may have it, and be slow.
            watch.unanswered();
        } else if position < progress.end().min(end) {
            let what = || format!("what lies at offset {position}");
            let look = self.stall_detector.look_in(
                watch,
                self.checker.topic_and_number(partition),
                (position, end),
                what,
            );
            if look != Look::Patience {
                self.stalled_partitions.tell(partition, position);
            }
        }
    }

    /// A member was shown a record below what the group has read, of a later leader than that: where the log was truncated, or
    /// behind its control records.
    #[cold]
    fn rewound(&mut self, partition: PartitionSlot, offset: i64) {
        let index = partition.index();
        let Some(ends) = (self.ask)(OffsetSpec::End) else { return };
        let position = self.parts[index].progress.position;
        if offset < position {
            self.truncate(index, offset, ends[index] >= position);
        }
        self.parts[index].progress.lower_end(ends[index]);
    }

    /// A log was truncated at `end`, and members go on from there.
    fn truncate(&mut self, index: usize, end: i64, refilled: bool) {
        if !enforced("truncation-group") {
            return;
        }
        let part = &mut self.parts[index];
        let (partition, position) = (part.progress.partition, part.progress.position);
        part.progress.truncate(position, end);
        let broken = self.checker.truncated(partition, Truncation { position, end, refilled });
        self.halt = self.halt.take().or(broken.err());
    }

    /// A broker may have named an end that lies below what the ledger lists: a leader that has just become one, for
    /// instance. Nothing is lost behind that before the group was shown it. Returns whether there is more to read.
    pub(super) fn reopen(&mut self) -> bool {
        if self.is_named || self.checker.records_may_go() || self.checker.tolerates_data_loss() {
            return false;
        }
        let early = self.end_too_early();
        for look in 0..LOOKS {
            if early.is_empty() {
                return false;
            }
            if look > 0 {
                std::thread::sleep(LOOK_PAUSE);
            }
            let Some(ends) = (self.ask)(OffsetSpec::End) else { return false };
            for (index, last) in &early {
                self.parts[*index].progress.reopen(ends[*index].min(last + 1));
            }
            if !self.parts.iter().all(GroupPartition::is_done) {
                return true;
            }
        }
        false
    }

    /// Partitions whose ledger lists records at or behind the end to which they were read, with the last of these.
    fn end_too_early(&self) -> Vec<(usize, i64)> {
        let behind = |(index, part): (usize, &GroupPartition)| {
            let progress = &part.progress;
            let ledger = self.ledger_at_end(progress.partition);
            Some((index, progress.missing(ledger, progress.end())?.last))
        };
        self.parts.iter().enumerate().filter_map(behind).collect()
    }

    /// Compaction takes records, and never the end of a log: whatever was acked lies below that.
    fn audit_ends(&mut self) -> Result<(), Halt> {
        if self.isolation == Isolation::ReadCommitted {
            // What can be read ends where somebody else's transaction is open.
            return Ok(());
        }
        let mut lost = Vec::new();
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::sleep(LOOK_PAUSE);
            }
            let Some(ends) = (self.ask)(OffsetSpec::End) else { return Ok(()) };
            let highest = |index: usize| self.ledger_at_end(self.parts[index].progress.partition)?.highest();
            let is_truncated =
                |(index, end): &(usize, i64)| highest(*index).is_some_and(|highest| highest >= *end);
            lost = ends.into_iter().enumerate().filter(is_truncated).collect();
            if lost.is_empty() || !enforced("lost-end") {
                return Ok(());
            }
        }
        for (index, end) in lost {
            self.report_missing_end(index, end)?;
        }
        Ok(())
    }

    /// Says how much of what the group was shown the ledger vouches for, and what it was not shown because it had
    /// `committed` these places before.
    pub(crate) fn note_coverage(&self, committed: &[i64]) {
        let (mut coverage, mut beyond) = (CoverageTotals::default(), Vec::new());
        for (index, GroupPartition { progress, .. }) in self.parts.iter().enumerate() {
            let from = committed.get(index).map_or(progress.start, |place| progress.start.max(*place));
            let (own, rest) = self.checker.coverage(progress, from);
            coverage += own;
            // Who wrote it members know, and nobody who knows all of the partition.
            let (place, runs) = (self.checker.place(progress.partition), Vec::new());
            beyond.push(Beyond { place, offsets: rest, runs });
            let ledger = self.checker.ledger(progress.partition);
            if self.at_close == AtClose::AllButLeftOut {
                coverage.unexplained += progress.missing(ledger, from).map_or(0, |missing| missing.count);
            }
            if let Some(ledger) = ledger {
                let below = ledger.count_below(from).saturating_sub(ledger.count_below(progress.start));
                coverage.committed_before += below;
            }
        }
        self.checker.stats().coverage.set(coverage, beyond);
    }

    /// Nothing that was acked may be missing in what the group was shown; only a new group was shown everything.
    pub(crate) fn audit(&mut self) -> Result<(), Halt> {
        if self.is_named {
            return Ok(());
        }
        let Some(starts) = (self.ask)(OffsetSpec::Start) else { return Ok(()) };
        for (part, start) in self.parts.iter().zip(&starts).filter(|(part, _)| !part.progress.was_truncated())
        {
            self.checker.check_keys(&part.progress, *start, &part.keys)?;
        }
        if self.checker.records_may_go() {
            return self.audit_ends();
        }
        if !enforced("lost-write-group") {
            return Ok(());
        }
        for (index, start) in starts.into_iter().enumerate() {
            let progress = &mut self.parts[index].progress;
            progress.settle();
            if self.at_close != AtClose::AllButLeftOut {
                self.checker.report_missing(progress, start.max(progress.start))?;
            }
            // Of what was acked since then only the end is certain: what a member's client has left out of the rest, it was
            // not told to read again while nobody knew of it.
            let end = progress.end().max(start);
            if self.last_ledger.is_some() {
                self.report_missing_end(index, end)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "together_tests.rs"]
mod tests;
