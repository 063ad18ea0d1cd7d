//! How far one partition has been read, and what its reader makes of what it finds.
//!
//! Pure.

use std::time::{Duration, Instant};

use range_set_blaze::RangeSetBlaze;

use super::stall::Watch;
use crate::{
    kafka::{Ends, ReadFrom},
    ledger::{AckedRuns, PartitionLedger},
    mutants,
    verifier::check::{
        loss::{Losses, Missing},
        validator::PartitionState,
    },
};

/// What a pass reads of a partition: from `start` up to, and without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) partition: i32,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Of the leader that said so; -1 is not known.
    pub(crate) leader_epoch: i32,
}

impl Span {
    /// Offsets in it.
    pub(crate) fn offsets(&self) -> u64 {
        u64::try_from(self.end - self.start).unwrap_or(0)
    }
}

/// The end of a span that has none yet.
pub(crate) const OPEN_END: i64 = i64::MAX;

/// What the ends of a log mean for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// All is well; what is missing will come.
    Wait,
    /// The start has overtaken the reader.
    Retention,
    /// The log was cut here, below what was read.
    Truncated {
        /// What is there now ends behind what was read: it was written again.
        refilled: bool,
        /// Up to where the old log had been read, and where it was cut.
        position: i64,
        end: i64,
    },
}

/// How far a partition's part of the pass has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Reading,
    /// Everything has been read.
    Done,
    /// And the client was told so.
    Stopped,
}

/// A reader's place in a partition.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state")]
pub(crate) struct Track {
    pub(crate) partition: i32,
    pub(crate) start: i64,
    end: i64,
    /// The next offset to read.
    pub(crate) position: i64,
    pub(crate) stage: Stage,
    /// The client must be told the position again.
    reseek: bool,
    /// The client was refused the position.
    out_of_range: bool,
    /// The client has found out that the log was cut: up to where it had been read, and where it was cut.
    told_cut: Option<(i64, i64)>,
    /// A broker said that the log ends below the position.
    doubtful: bool,
    /// What later leaders wrote did not yet lie there when the pass began.
    known_epoch: i32,
    /// Epoch of the last record, and the offset behind it; -1 where that is not known.
    epoch: i32,
    behind: i64,
    /// The log ended below `end` when it was last looked at.
    early_end: bool,
    /// From where on there may be nothing left to be shown, if compaction may take records.
    consumable_end: Option<i64>,
    /// Offsets at the end that were not waited for any longer.
    pub(crate) left_out: i64,
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
    /// What was told of losses, in this pass and those before.
    pub(crate) losses: Losses,
    consumed: AckedRuns,
    /// Passed over: named once already, and not missed.
    pub(crate) unreadable: RangeSetBlaze<i64>,
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

impl Track {
    pub(crate) fn new(span: Span, losses: Losses) -> Self {
        Self {
            partition: span.partition,
            start: span.start,
            end: span.end,
            position: span.start,
            stage: if span.start < span.end { Stage::Reading } else { Stage::Stopped },
            reseek: false,
            out_of_range: false,
            told_cut: None,
            known_epoch: span.leader_epoch,
            epoch: -1,
            behind: -1,
            doubtful: false,
            early_end: false,
            consumable_end: None,
            left_out: 0,
            arrived: Instant::now(),
            looked: Instant::now(),
            looked_at: span.start,
            state: PartitionState::from(span.start),
            watch: Watch::default(),
            unreadable_from: None,
            losses,
            consumed: AckedRuns::default(),
            unreadable: RangeSetBlaze::new(),
        }
    }

    /// The same, of a log of which compaction may have taken what lies from there on.
    pub(crate) fn may_end_at(mut self, consumable_end: Option<i64>) -> Self {
        self.consumable_end = consumable_end;
        self
    }

    /// Whether the reader waits at the end for more.
    pub(crate) fn is_open(&self) -> bool {
        self.end == OPEN_END
    }

    /// Ends what was open here.
    pub(crate) fn close_at(&mut self, end: i64) {
        self.end = end;
        self.advance(self.position);
    }

    /// The log reaches further than its broker said. Returns whether there is more to read.
    pub(crate) fn reopen(&mut self, end: i64) -> bool {
        self.end = self.end.max(end);
        let more = self.position < self.end;
        if more {
            self.stage = Stage::Reading;
        }
        more
    }

    /// Where this part of the pass ends.
    pub(crate) fn end(&self) -> i64 {
        self.end
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

    /// The client goes on at `to`, behind what cannot be read. Returns what is passed over, half-open.
    #[cold]
    pub(crate) fn pass_over(&mut self, to: i64) -> Option<(i64, i64)> {
        let from = self.unreadable_from.take()?;
        // Nothing is missed behind the end of this reader's part.
        let to = to.min(self.end);
        if to <= from {
            return None;
        }
        self.unreadable |= RangeSetBlaze::from_iter([from..=to - 1]);
        // What follows was not written behind what was read last.
        self.state.reposition();
        self.jump(to);
        Some((from, to))
    }

    /// Whether there is nothing left to read.
    pub(crate) fn is_done(&self) -> bool {
        self.stage != Stage::Reading
    }

    /// Whether the client finds out first how far what lies here cannot be read.
    pub(crate) fn is_paused(&self) -> bool {
        self.unreadable_from.is_some()
    }

    /// Where the client is to read from. It makes sure of the last record where the epoch of that is known, and nothing lies
    /// between.
    pub(crate) fn place(&self) -> ReadFrom {
        let epoch_before = (self.epoch >= 0 && self.behind == self.position).then_some(self.epoch);
        let epoch_known = Some(self.known_epoch);
        ReadFrom { offset: self.position, epoch_before, epoch_known }
    }

    /// Whether the client must be told its place again; it is told now.
    pub(crate) fn take_reseek(&mut self) -> bool {
        std::mem::take(&mut self.reseek) && !self.is_done() && !self.is_paused()
    }

    /// A record was read.
    pub(crate) fn read(&mut self, offset: i64, epoch: i32) {
        self.consumed.push(offset);
        self.early_end = false;
        (self.epoch, self.behind) = (epoch, offset + 1);
        self.advance(offset + 1);
    }

    /// Everything below `offset` has been read.
    pub(crate) fn progressed(&mut self, offset: i64) {
        self.advance(self.position.max(offset));
    }

    /// Everything below `offset` has been read, and there is no more for now.
    pub(crate) fn reached(&mut self, offset: i64) {
        self.early_end = offset < self.end && !self.is_open();
        // Control records show in nothing but this.
        self.advance(self.position.max(offset));
    }

    /// Goes on where nobody knows who wrote the record before: no leader can be asked about it.
    fn jump(&mut self, position: i64) {
        self.epoch = -1;
        self.advance(position);
    }

    fn advance(&mut self, position: i64) {
        self.position = position;
        if self.stage == Stage::Reading && position >= self.end {
            self.stage = Stage::Done;
        }
    }

    /// The client was refused its place.
    pub(crate) fn refused(&mut self) {
        self.out_of_range = true;
    }

    /// The client has found out that the log was cut at `to`, after it had been read up to `from`.
    pub(crate) fn was_cut(&mut self, from: i64, to: i64) {
        self.told_cut = Some((from, to));
    }

    /// The client goes on here: it had taken the log to be cut, and it was not. Nothing that was shown lies behind that.
    pub(crate) fn not_cut(&mut self, offset: i64) {
        self.position = self.position.min(offset.max(self.behind));
    }

    /// Whether the broker should be asked where this log starts and ends.
    pub(crate) fn is_suspect(&mut self, now: Instant, limits: Limits) -> bool {
        if self.position != self.looked_at {
            self.looked_at = self.position;
            (self.looked, self.arrived) = (now, now);
        }
        let limit = if self.early_end || self.out_of_range { limits.with_sign } else { limits.without };
        self.told_cut.is_some() || now.duration_since(self.looked) >= limit
    }

    /// Whether only the broker can say how it goes on.
    pub(crate) fn is_lost(&self) -> bool {
        self.out_of_range || self.told_cut.is_some()
    }

    /// Draws the consequences of where the log starts and ends now.
    pub(crate) fn judge(&mut self, ends: Ends) -> Judgement {
        let refused = std::mem::take(&mut self.out_of_range);
        if let Some((from, to)) = self.told_cut.take().filter(|_| !mutants::is_off("truncation")) {
            return self.cut(from, to, ends);
        }
        if ends.end < self.position && !mutants::is_off("truncation") {
            return self.doubt(ends);
        }
        self.doubtful = false;
        // Where nothing new is there to be read, the client stays as it is: its place has the last record's epoch,
        // by which it notices that the log was cut.
        self.reseek |= refused || ends.end != self.position;
        self.lower_end(ends.end);
        if ends.start > self.position {
            self.state.reposition();
            // Another leader may not know of it yet, and name an earlier start in the end.
            self.start = self.start.max(ends.start);
            self.jump(ends.start);
            return Judgement::Retention;
        }
        self.advance(self.position);
        Judgement::Wait
    }

    /// The log ends below the position. Where it is known who wrote what was read last, the client makes sure of that. If
    /// not, it is believed when it is said again: a broker that comes back tells what it knew when it went, until it learns
    /// that it does not lead any more.
    fn doubt(&mut self, ends: Ends) -> Judgement {
        if self.epoch < 0 && std::mem::replace(&mut self.doubtful, true) {
            return self.cut(self.position, ends.end, ends);
        }
        if self.epoch >= 0 {
            // What lies behind the last record is nothing that is shown, and may be gone.
            self.position = self.position.min(self.behind);
        }
        self.reseek = true;
        Judgement::Wait
    }

    /// Ends what the broker says is longer, and of which it has shown nothing for some time, where all has been read that
    /// compaction leaves. Returns how many offsets that leaves out.
    pub(crate) fn leave_out_tail(&mut self, now: Instant) -> Option<i64> {
        let is_consumable = self.consumable_end.is_some_and(|end| self.position >= end);
        let waits = !self.is_paused() && !self.is_done() && !self.is_open();
        let is_quiet = self.looked_at == self.position && now.duration_since(self.arrived) >= SILENCE;
        (is_consumable && waits && is_quiet).then(|| {
            self.left_out = self.end - self.position;
            self.stage = Stage::Done;
            self.left_out
        })
    }

    /// The place goes back, and what follows is new.
    fn cut(&mut self, position: i64, end: i64, ends: Ends) -> Judgement {
        let refilled = ends.end >= position;
        (self.doubtful, self.reseek) = (false, true);
        self.behind = self.behind.min(end);
        self.state.cut(end);
        self.losses.cut(end, position);
        self.consumed.truncate(end);
        self.lower_end(ends.end);
        self.advance(end);
        Judgement::Truncated { refilled, position, end }
    }

    fn lower_end(&mut self, end: i64) {
        if !self.is_open() {
            self.end = self.end.min(end);
        }
    }

    /// What was read.
    pub(crate) fn read_ranges(&self) -> RangeSetBlaze<i64> {
        self.consumed.runs().map(|run| run.lower..=run.upper - 1).collect()
    }

    /// What need not be missed: it was read, or named as what cannot be read.
    pub(crate) fn consumed(&self) -> RangeSetBlaze<i64> {
        let consumed = self.read_ranges();
        if mutants::is_off("unreadable-is-excused") { consumed } else { &consumed | &self.unreadable }
    }

    /// What the ledger lists at or above `start`, was not read, and has not been told yet.
    pub(crate) fn missing(&self, ledger: Option<&PartitionLedger>, start: i64) -> Option<Missing> {
        self.losses.news(ledger, &self.consumed(), start)
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
