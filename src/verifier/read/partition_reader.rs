//! A sequential reader's place in a partition, and what its reader makes of what the client and brokers say of it.
//!
//! Pure. What that leaves read, lost or passed over is [`PartitionProgress`]'s.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use super::{
    progress::{OffsetRange, PartitionProgress},
    stall::Watch,
};
use crate::{
    kafka::{Ends, ReadFrom},
    mutants::enforced,
    partitions::PartitionSlot,
    verifier::check::{loss::Losses, validator::PartitionState},
};

/// What the ends of a log mean for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// All is well; what is missing will come.
    Wait,
    /// The start has overtaken the reader.
    Retention,
    /// The log was truncated here, below what was read.
    Truncated {
        /// What is there now ends behind what was read: it was written again.
        refilled: bool,
        /// Up to where the old log had been read, and where it was truncated.
        position: i64,
        end: i64,
    },
}

/// A reader's place in a partition.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state")]
pub(crate) struct PartitionReader {
    pub(crate) progress: PartitionProgress,
    /// The client was told that there is nothing left to read.
    pub(crate) is_stopped: bool,
    /// The client must be told the position again.
    reseek: bool,
    /// The client was refused the position.
    out_of_range: bool,
    /// The client has found out that the log was truncated: from where on, and up to where it had been read.
    reported_truncation: Option<Range<i64>>,
    /// What later leaders wrote did not yet lie there when the pass began.
    known_epoch: i32,
    /// Epoch of the last record, and the offset behind it; -1 where that is not known.
    epoch: i32,
    behind: i64,
    /// The log ended below the pass's end when it was last looked at.
    early_end: bool,
    /// When it was first seen at the place where it is.
    arrived: Instant,
    /// When it moved, or the broker was asked about it.
    pub(crate) looked: Instant,
    looked_at: i64,
    pub(crate) state: PartitionState,
    /// Whether it moves on.
    pub(crate) watch: Watch,
    /// From where on it cannot be read, while the client finds out how far that goes.
    unreadable_from: Option<i64>,
}

/// How long a partition may stand still before the broker is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The log ended too early, or the client was refused its place.
    pub(crate) with_sign: Duration,
    /// Nothing comes.
    pub(crate) without: Duration,
}

/// How long a partition may stand still without any sign.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// A log whose last record nobody can be asked about was truncated when brokers say so this often.
const CUT_DOUBTS: usize = 2;

impl PartitionReader {
    pub(crate) fn new(range: OffsetRange, losses: Losses, consumable_end: Option<i64>) -> Self {
        let progress = PartitionProgress::new(range, losses).may_end_at(consumable_end);
        Self {
            is_stopped: progress.is_done(),
            progress,
            reseek: false,
            out_of_range: false,
            reported_truncation: None,
            known_epoch: range.leader_epoch,
            epoch: -1,
            behind: -1,
            early_end: false,
            arrived: Instant::now(),
            looked: Instant::now(),
            looked_at: range.start,
            state: PartitionState::from(range.start),
            watch: Watch::default(),
            unreadable_from: None,
        }
    }

    pub(crate) fn partition(&self) -> PartitionSlot {
        self.progress.partition
    }

    /// The next offset to read.
    pub(crate) fn position(&self) -> i64 {
        self.progress.position
    }

    /// Whether there is nothing left to read.
    pub(crate) fn is_done(&self) -> bool {
        self.progress.is_done()
    }

    /// The log reaches further than its broker said. Returns whether there is more to read.
    pub(crate) fn reopen(&mut self, end: i64) -> bool {
        let more = self.progress.reopen(end);
        self.is_stopped &= !more;
        more
    }

    /// What lies at an offset, here or further on, cannot be read. Nothing is shown before it is known how far that goes.
    /// Returns whether that is news.
    #[cold]
    pub(crate) fn unreadable(&mut self, from: i64) -> bool {
        let is_news = self.unreadable_from.is_none();
        self.early_end = false;
        self.unreadable_from.get_or_insert(from);
        is_news
    }

    /// The client goes on at `to`, behind what cannot be read. Returns what is passed over.
    #[cold]
    pub(crate) fn pass_over(&mut self, to: i64) -> Option<Range<i64>> {
        let passed = self.progress.pass_over(self.unreadable_from.take()?..to)?;
        // What follows was not written behind what was read last.
        self.state.reposition();
        self.jump(passed.end);
        Some(passed)
    }

    /// Whether the client finds out first how far what lies here cannot be read.
    pub(crate) fn is_paused(&self) -> bool {
        self.unreadable_from.is_some()
    }

    /// Where the client is to read from. It makes sure of the last record where the epoch of that is known, and nothing lies
    /// between.
    pub(crate) fn place(&self) -> ReadFrom {
        let position = self.position();
        let epoch_before = (self.epoch >= 0 && self.behind == position).then_some(self.epoch);
        ReadFrom { offset: position, epoch_before, epoch_known: Some(self.known_epoch) }
    }

    /// Whether the client must be told its place again; it is told now.
    pub(crate) fn take_reseek(&mut self) -> bool {
        std::mem::take(&mut self.reseek) && !self.is_done() && !self.is_paused()
    }

    /// A record was read.
    #[inline]
    pub(crate) fn read(&mut self, offset: i64, epoch: i32) {
        self.early_end = false;
        (self.epoch, self.behind) = (epoch, offset + 1);
        self.progress.read(offset);
    }

    /// Everything below `offset` has been read.
    pub(crate) fn progressed(&mut self, offset: i64) {
        self.progress.reached(offset);
    }

    /// Everything below `offset` has been read, and there is no more for now. Control records show in nothing but this.
    pub(crate) fn reached(&mut self, offset: i64) {
        self.early_end = offset < self.progress.end() && !self.progress.is_open();
        self.progress.reached(offset);
    }

    /// Goes on where nobody knows who wrote the record before: no leader can be asked about it.
    fn jump(&mut self, position: i64) {
        self.epoch = -1;
        self.progress.position = position;
    }

    /// The client was refused its place.
    pub(crate) fn refused(&mut self) {
        self.out_of_range = true;
    }

    /// The client has found out that the log was truncated at `to`, after it had been read up to `from`.
    pub(crate) fn note_truncation(&mut self, from: i64, to: i64) {
        self.reported_truncation = Some(to..from);
    }

    /// The client goes on here: it had taken the log to be truncated, and it was not. Nothing that was shown lies behind that.
    pub(crate) fn not_truncated(&mut self, offset: i64) {
        self.progress.position = self.position().min(offset.max(self.behind));
    }

    /// Whether the broker should be asked where this log starts and ends.
    pub(crate) fn is_suspect(&mut self, now: Instant, limits: Limits) -> bool {
        if self.position() != self.looked_at {
            self.looked_at = self.position();
            (self.looked, self.arrived) = (now, now);
        }
        let limit = if self.early_end || self.out_of_range { limits.with_sign } else { limits.without };
        self.reported_truncation.is_some() || now.duration_since(self.looked) >= limit
    }

    /// Whether only the broker can say how it goes on.
    pub(crate) fn is_lost(&self) -> bool {
        self.out_of_range || self.reported_truncation.is_some()
    }

    /// Draws the consequences of where the log starts and ends now.
    pub(crate) fn judge(&mut self, ends: Ends) -> Judgement {
        let refused = std::mem::take(&mut self.out_of_range);
        if let Some(truncation) = self.reported_truncation.take().filter(|_| enforced("truncation")) {
            return self.truncate(truncation, ends);
        }
        if self.progress.doubts_at(ends.end) > 0 && enforced("truncation") {
            return self.doubt(ends);
        }
        // Where nothing new is there to be read, the client stays as it is: its place has the last record's epoch,
        // by which it notices that the log was truncated.
        self.reseek |= refused || ends.end != self.position();
        self.progress.lower_end(ends.end);
        if ends.start > self.position() {
            self.state.reposition();
            // Another leader may not know of it yet, and name an earlier start in the end.
            self.progress.start = self.progress.start.max(ends.start);
            self.jump(ends.start);
            return Judgement::Retention;
        }
        Judgement::Wait
    }

    /// The log ends below the position. Where it is known who wrote what was read last, the client makes sure of that. If
    /// not, it is believed when it is said again: a broker that comes back tells what it knew when it went, until it learns
    /// that it does not lead any more.
    fn doubt(&mut self, ends: Ends) -> Judgement {
        if self.epoch < 0 && self.progress.doubts() >= CUT_DOUBTS {
            return self.truncate(ends.end..self.position(), ends);
        }
        if self.epoch >= 0 {
            // What lies behind the last record is nothing that is shown, and may be gone.
            self.progress.position = self.position().min(self.behind);
        }
        self.reseek = true;
        Judgement::Wait
    }

    /// Ends what the broker says is longer, and of which it has shown nothing for some time, where all has been read that
    /// compaction leaves. Returns what that leaves out.
    pub(crate) fn leave_out_tail(&mut self, now: Instant) -> Option<Range<i64>> {
        if self.is_paused() || self.looked_at != self.position() {
            return None;
        }
        self.progress.leave_out_tail(self.arrived, now)
    }

    /// The place goes back, and what follows is new.
    fn truncate(&mut self, truncation: Range<i64>, ends: Ends) -> Judgement {
        let Range { start: end, end: position } = truncation;
        let refilled = ends.end >= position;
        self.reseek = true;
        if end < self.behind {
            // Who wrote what is now the last record was not kept: to ask by the epoch of one that is gone would find the log
            // truncated once more, and again below that.
            (self.epoch, self.behind) = (-1, end);
        }
        self.state.truncate(end);
        self.progress.truncate(position, end);
        self.progress.lower_end(ends.end);
        Judgement::Truncated { refilled, position, end }
    }
}

#[cfg(test)]
#[path = "partition_reader_tests.rs"]
mod tests;
