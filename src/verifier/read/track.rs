//! How far one partition has been read, and what its reader makes of what it finds.
//!
//! Pure.

use std::time::{Duration, Instant};

use range_set_blaze::RangeSetBlaze;

use super::{
    ends::Ends,
    skip::Skip,
    stall::Watch,
    witness::{Suspect, Word},
};
use crate::{
    kafka::LogCut,
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
    /// The log seems to have been cut: the leader is to be asked about this very place before anybody believes it.
    Suspect(Suspect),
    /// The leader has the record that was read last: nothing was cut.
    Cleared,
    /// The leader's answers prove neither.
    Uncertain,
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
    pub(crate) reseek: bool,
    /// The broker refused the position.
    pub(crate) out_of_range: bool,
    /// And said where it has cut the log.
    cut: Option<LogCut>,
    /// The newest epoch of which it was told that its end was cut off.
    cut_epoch: i32,
    /// A broker said that the log ends below the position.
    doubtful: bool,
    /// The leader is being asked whether the log was cut: nothing is read meanwhile.
    pub(crate) is_suspected: bool,
    /// What later leaders wrote did not yet lie there when the pass began.
    known_epoch: i32,
    /// Epoch of the last record, and the offset behind it; -1 where that is not known.
    epoch: i32,
    behind: i64,
    /// The place that the leader was asked about last.
    confirmed: i64,
    /// Place, and epoch of the record before, about which the leader is to be asked.
    pub(crate) confirm: Option<(i64, i32)>,
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
    /// Set while the end of a batch is looked for that cannot be read.
    pub(crate) skip: Option<Skip>,
    /// Somebody else looks for it.
    pub(crate) is_searched: bool,
    /// What was told of losses, in this pass and those before.
    pub(crate) losses: Losses,
    consumed: AckedRuns,
    /// Passed over: named once already, and not missed.
    pub(crate) unreadable: RangeSetBlaze<i64>,
}

/// How long a partition may stand still without any sign before the broker is asked.
const SILENCE: Duration = Duration::from_secs(5);

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
            cut: None,
            cut_epoch: -1,
            known_epoch: span.leader_epoch,
            epoch: -1,
            behind: -1,
            confirmed: -1,
            confirm: None,
            doubtful: false,
            is_suspected: false,
            early_end: false,
            consumable_end: None,
            left_out: 0,
            arrived: Instant::now(),
            looked: Instant::now(),
            looked_at: span.start,
            state: PartitionState::from(span.start),
            watch: Watch::default(),
            skip: None,
            is_searched: false,
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

    /// Goes on behind what cannot be read.
    pub(crate) fn pass_over(&mut self, from: i64, to: i64) {
        self.skip = None;
        self.is_searched = false;
        self.unreadable |= RangeSetBlaze::from_iter([from..=to - 1]);
        // What follows was not written behind what was read last.
        self.state.reposition();
        self.jump(to);
    }

    /// Whether there is nothing left to read.
    pub(crate) fn is_done(&self) -> bool {
        self.stage != Stage::Reading
    }

    /// Whether somebody else finds out first what lies here.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_searched || self.is_suspected
    }

    /// Where a new client is to read from.
    pub(crate) fn next_offset(&self) -> i64 {
        self.skip.map_or(self.position, |skip| skip.trying())
    }

    /// Whether the leader must be asked whether its log is still the same up to the record before, before this one is
    /// taken: a leader wrote it that had not been elected when the pass began. That record may have been fetched
    /// before the log was cut, and this one after it had been written again.
    pub(crate) fn must_confirm(&mut self, epoch: i32) -> bool {
        let is_new_leader = self.epoch >= 0 && epoch > self.epoch.max(self.known_epoch);
        // Not the position: control records of yet another leader may lie between.
        if is_new_leader && self.confirmed != self.behind && !mutants::is_off("new-leader") {
            self.confirmed = self.behind;
            self.confirm = Some((self.behind, self.epoch));
        }
        self.confirm.is_some()
    }

    /// A record was read.
    pub(crate) fn read(&mut self, offset: i64, epoch: i32) {
        self.consumed.push(offset);
        self.early_end = false;
        (self.epoch, self.behind) = (epoch, offset + 1);
        self.advance(offset + 1);
    }

    /// The record at this offset, here or further on, cannot be taken apart. What the client makes of the bytes behind it
    /// is not looked at, but where there is something to be read again.
    #[cold]
    pub(crate) fn spoilt(&mut self, offset: i64) {
        self.early_end = false;
        self.position = offset;
        self.skip = Some(Skip::at(offset));
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
    pub(crate) fn refused(&mut self, cut: Option<LogCut>) {
        self.out_of_range = true;
        self.cut = cut.or(self.cut);
    }

    /// Whether the broker should be asked where this log starts and ends.
    pub(crate) fn is_suspect(&mut self, now: Instant, overdue: Duration) -> bool {
        if self.position != self.looked_at {
            self.looked_at = self.position;
            (self.looked, self.arrived) = (now, now);
        }
        let limit = if self.early_end || self.out_of_range { overdue } else { SILENCE };
        now.duration_since(self.looked) >= limit
    }

    /// Draws the consequences of where the log starts and ends now.
    pub(crate) fn judge(&mut self, ends: Ends) -> Judgement {
        let refused = std::mem::take(&mut self.out_of_range);
        // The client asks by itself, and for us: one cut can be told twice.
        self.cut = self.cut.take().filter(|cut| cut.epoch > self.cut_epoch);
        let (end, position) = self.place_of_cut(ends);
        if end < position && !mutants::is_off("truncation") {
            // A broker that comes back tells what it knew when it went, until it learns that it does not lead any more.
            let is_known = refused && self.epoch >= 0;
            if !is_known && !std::mem::replace(&mut self.doubtful, true) {
                self.reseek = true;
                return Judgement::Wait;
            }
            if self.epoch < 0 || mutants::is_off("witness") {
                return self.cut(position, end, ends);
            }
            self.is_suspected = true;
            let Self { partition, behind, epoch, .. } = *self;
            return Judgement::Suspect(Suspect { partition, behind, epoch });
        }
        self.cut = None;
        self.doubtful = false;
        // Where nothing new is there to be read, the client stays as it is: its place has the last record's epoch,
        // by which it notices that the log was cut, and a new one has none.
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

    /// Ends what the broker says is longer, and of which it has shown nothing for some time, where all has been read that
    /// compaction leaves. Returns how many offsets that leaves out.
    pub(crate) fn leave_out_tail(&mut self, now: Instant) -> Option<i64> {
        let is_consumable = self.consumable_end.is_some_and(|end| self.position >= end);
        let waits = self.skip.is_none() && !self.is_paused() && !self.is_done() && !self.is_open();
        let is_quiet = self.looked_at == self.position && now.duration_since(self.arrived) >= SILENCE;
        (is_consumable && waits && is_quiet).then(|| {
            self.left_out = self.end - self.position;
            self.stage = Stage::Done;
            self.left_out
        })
    }

    /// Where the log was cut, as far as the client or the log's end says, and up to where it had been read.
    fn place_of_cut(&self, ends: Ends) -> (i64, i64) {
        // What a new leader wrote may have been read already, and is not lost.
        let of = |cut: LogCut| (cut.to.min(ends.end), cut.from.min(self.position));
        self.cut.map_or((ends.end, self.position), of)
    }

    /// The leader was asked about the place that was suspected.
    pub(crate) fn hear(&mut self, word: Word) -> Judgement {
        self.is_suspected = false;
        (self.reseek, self.doubtful, self.out_of_range) = (true, false, false);
        match word {
            Word::Same => {
                self.cut = None;
                // Behind that record lay nothing that is shown, and what lay there may be gone: without this, a log that
                // ends there now would be asked about for ever.
                self.position = self.position.min(self.behind);
                // The client is to know again who wrote the last record: by that it notices when the log is cut.
                self.confirm = Some((self.behind, self.epoch));
                Judgement::Cleared
            }
            Word::Uncertain => {
                self.cut = None;
                Judgement::Uncertain
            }
            Word::Unanswered => {
                self.cut = None;
                Judgement::Wait
            }
            Word::Cut { to, ends } => {
                let (end, position) = self.place_of_cut(ends);
                // The record before the place is gone, whatever else is known.
                let end = to.unwrap_or(end).min(ends.end).min(self.behind - 1);
                self.cut(position.max(end), end, ends)
            }
        }
    }

    /// The place goes back, and what follows is new.
    fn cut(&mut self, position: i64, end: i64, ends: Ends) -> Judgement {
        let refilled = ends.end >= position;
        (self.doubtful, self.reseek) = (false, true);
        self.cut_epoch = self.cut.take().map_or(self.cut_epoch, |cut| cut.epoch);
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
