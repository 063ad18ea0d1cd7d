//! How far a pass has come in a partition, whoever reads it, and what that leaves lost, passed over or left out.
//!
//! Pure. A sequential reader and all members of a group together decide these things here, and nowhere else.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use range_set_blaze::RangeSetBlaze;

use crate::{
    ledger::{AckedRuns, OffsetRun, PartitionLedger, first_within},
    mutants::enforced,
    partitions::PartitionSlot,
    verifier::check::loss::{LOOKS, Losses, Missing},
};

/// What a pass reads of a partition: from `start` up to, and without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetRange {
    pub(crate) partition: PartitionSlot,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Of the leader that said so; -1 is not known.
    pub(crate) leader_epoch: i32,
}

impl OffsetRange {
    /// Offsets in it.
    pub(crate) fn offsets(&self) -> u64 {
        u64::try_from(self.end - self.start).unwrap_or(0)
    }
}

/// The end of a range that has none yet.
pub(crate) const OPEN_END: i64 = i64::MAX;

/// How long the end of a log that compaction may have taken is waited for.
pub(crate) const TAIL_SILENCE: Duration = Duration::from_secs(5);

/// What a pass has come to in one partition.
pub(crate) struct PartitionProgress {
    pub(crate) partition: PartitionSlot,
    /// Where the log starts, as far as the pass goes.
    pub(crate) start: i64,
    end: i64,
    /// The next offset to read.
    pub(crate) position: i64,
    /// From where on there may be nothing left to be shown, if compaction may take records.
    consumable_end: Option<i64>,
    /// Offsets at the end that were not waited for any longer.
    pub(crate) left_out: i64,
    /// How often in a row the log was said to end below the position.
    doubts: usize,
    was_truncated: bool,
    /// Records that came one by one, in order: not in `read` yet.
    fresh: AckedRuns,
    read: RangeSetBlaze<i64>,
    /// Passed over: named once already, and not missed.
    pub(crate) unreadable: RangeSetBlaze<i64>,
    /// What was told of losses, in this pass and those before.
    losses: Losses,
}

impl PartitionProgress {
    /// A pass that begins, behind others that told of `losses`.
    pub(crate) fn new(range: OffsetRange, losses: Losses) -> Self {
        Self {
            partition: range.partition,
            start: range.start,
            end: range.end,
            position: range.start,
            consumable_end: None,
            left_out: 0,
            doubts: 0,
            was_truncated: false,
            fresh: AckedRuns::default(),
            read: RangeSetBlaze::new(),
            unreadable: RangeSetBlaze::new(),
            losses,
        }
    }

    /// The same, of a log of which compaction may have taken what lies from there on.
    pub(crate) fn may_end_at(mut self, consumable_end: Option<i64>) -> Self {
        self.consumable_end = consumable_end;
        self
    }

    /// For the next pass.
    pub(crate) fn into_losses(self) -> Losses {
        self.losses
    }

    /// Where the pass ends.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// Whether more is waited for at the end.
    pub(crate) fn is_open(&self) -> bool {
        self.end == OPEN_END
    }

    /// Whether there is nothing left to read.
    pub(crate) fn is_done(&self) -> bool {
        self.position >= self.end
    }

    /// Ends what was open here; what compaction leaves for certain reaches further than when the pass began.
    pub(crate) fn close_at(&mut self, end: i64, consumable_end: Option<i64>) {
        (self.end, self.consumable_end) = (end, consumable_end);
    }

    /// The log reaches further than its broker said. Returns whether there is more to read.
    pub(crate) fn reopen(&mut self, end: i64) -> bool {
        self.end = self.end.max(end);
        !self.is_done()
    }

    /// The log ends here now.
    pub(crate) fn lower_end(&mut self, end: i64) {
        if !self.is_open() {
            self.end = self.end.min(end);
        }
    }

    /// A record was read, behind all that were.
    #[inline]
    pub(crate) fn read(&mut self, offset: i64) {
        self.fresh.push(offset);
        self.position = offset + 1;
    }

    /// Everything below `offset` has been read.
    pub(crate) fn reached(&mut self, offset: i64) {
        self.position = self.position.max(offset);
    }

    /// Somebody was shown these records. Returns the first offset that had been shown before, and how many had.
    pub(crate) fn add(&mut self, runs: &[OffsetRun]) -> (Option<i64>, u64) {
        let (mut again, known) = (None, self.read.len());
        for run in runs {
            if enforced("group-redelivery") {
                again = again.or_else(|| first_within(&self.read, run.lower, run.upper));
            }
            self.read.ranges_insert(run.lower..run.upper);
        }
        let shown: u64 = runs.iter().map(|run| run.lower.abs_diff(run.upper)).sum();
        (again, shown.saturating_sub(u64::try_from(self.read.len() - known).unwrap_or(0)))
    }

    /// What lies there cannot be read, and reading goes on behind it. Returns what is passed over.
    #[cold]
    pub(crate) fn pass_over(&mut self, range: Range<i64>) -> Option<Range<i64>> {
        // Nothing is missed behind the end of the pass.
        let range = range.start..range.end.min(self.end);
        if range.is_empty() {
            return None;
        }
        self.unreadable |= RangeSetBlaze::from_iter([range.start..=range.end - 1]);
        Some(range)
    }

    /// The log is said to end here. Returns how often in a row that was below the position: leaders that have just been
    /// elected, or come back, tell what they knew before.
    pub(crate) fn doubts_at(&mut self, end: i64) -> usize {
        self.doubts = if end < self.position { self.doubts + 1 } else { 0 };
        self.doubts
    }

    /// The leader says that the log ends here, and nobody who reads it has noticed anything. Returns whether it was truncated: only
    /// when that was said again and again. One that comes back tells what it knew when it went, and one that was just elected
    /// may not know how far its followers are.
    pub(crate) fn is_cut_by_word(&mut self, end: i64) -> bool {
        let doubts = self.doubts_at(end);
        doubts == LOOKS || (doubts > 0 && !enforced("doubt-group"))
    }

    /// How often in a row the log was said to end below the position.
    pub(crate) fn doubts(&self) -> usize {
        self.doubts
    }

    /// The log was truncated at `end`, after it had been read up to `read_to`. The place goes back, and what follows is new.
    pub(crate) fn truncate(&mut self, read_to: i64, end: i64) {
        self.losses.truncate(end, read_to);
        (self.doubts, self.was_truncated) = (0, true);
        self.fresh.truncate(end);
        self.read = &self.read - RangeSetBlaze::from_iter([end..=i64::MAX]);
        self.position = end;
    }

    /// Whether the log was truncated below what was read of it. Of keys whose last record was truncated, nobody knows what they hold.
    pub(crate) fn was_truncated(&self) -> bool {
        self.was_truncated
    }

    /// Ends what the broker says is longer, and of which nothing was shown since `still_since`, where all has been read that
    /// compaction leaves. Returns what that leaves out.
    pub(crate) fn leave_out_tail(&mut self, still_since: Instant, now: Instant) -> Option<Range<i64>> {
        let is_consumable = self.consumable_end.is_some_and(|end| self.position >= end);
        let is_quiet = now.duration_since(still_since) >= TAIL_SILENCE;
        (is_consumable && is_quiet && !self.is_done() && !self.is_open()).then(|| {
            let tail = self.position..self.end;
            self.left_out = tail.end - tail.start;
            self.end = self.position;
            tail
        })
    }

    /// What was read.
    pub(crate) fn read_ranges(&self) -> RangeSetBlaze<i64> {
        let fresh: RangeSetBlaze<i64> = self.fresh.runs().map(|run| run.lower..=run.upper - 1).collect();
        &self.read | fresh
    }

    /// What need not be missed: it was read, or named as what cannot be read.
    pub(crate) fn accounted(&self) -> RangeSetBlaze<i64> {
        let read = self.read_ranges();
        if enforced("unreadable-is-excused") { &read | &self.unreadable } else { read }
    }

    /// The pass is over: what was read of what had been lost before was written again, and can be lost again.
    pub(crate) fn settle(&mut self) {
        let read = self.read_ranges();
        self.losses.confirm_read(&read);
    }

    /// What the ledger lists at or above `start`, was not read, and has not been told yet.
    pub(crate) fn missing(&self, ledger: Option<&PartitionLedger>, start: i64) -> Option<Missing> {
        self.losses.peek_new(ledger, &self.accounted(), start)
    }

    /// The same, and it is told now.
    pub(crate) fn tell_missing(&mut self, ledger: Option<&PartitionLedger>, start: i64) -> Option<Missing> {
        let accounted = self.accounted();
        self.losses.take_new(ledger, &accounted, start)
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
