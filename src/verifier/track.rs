//! How far one partition has been read, and what its reader makes of what it finds.
//!
//! Pure, apart from [`ask`].

use std::{
    fmt,
    time::{Duration, Instant},
};

use range_set_blaze::RangeSetBlaze;

use super::{skip::Skip, stall::Watch, validator::PartitionState};
use crate::{
    kafka::{Consumer, OffsetSpec},
    ledger::{AckedRuns, PartitionLedger},
    mutants,
};

/// What a pass reads of a partition: from `start` up to, and without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) partition: i32,
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Span {
    /// Offsets in it.
    pub(super) fn offsets(&self) -> u64 {
        u64::try_from(self.end - self.start).unwrap_or(0)
    }
}

/// The end of a span that has none yet.
pub(super) const OPEN_END: i64 = i64::MAX;

/// Where a log starts and ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// What the ends of a log mean for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// All is well; what is missing will come.
    Wait,
    /// The start has overtaken the reader.
    Retention,
    /// The log ends below what was read.
    Truncated,
}

/// Acked offsets that were not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) count: u64,
    /// The first ranges: first and last.
    pub(super) ranges: Vec<(i64, i64)>,
}

/// Ranges of missing offsets that are listed.
const RANGES: usize = 1_000;

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, count, .. } = self;
        write!(formatter, "{count} acked records between {first} and {last} missing")
    }
}

/// How far a partition's part of the pass has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Reading,
    /// Everything has been read.
    Done,
    /// And the client was told so.
    Stopped,
}

/// A reader's place in a partition.
pub(super) struct Track {
    pub(super) partition: i32,
    pub(super) start: i64,
    end: i64,
    /// The next offset to read.
    pub(super) position: i64,
    pub(super) stage: Stage,
    /// The client must be told the position again.
    pub(super) reseek: bool,
    /// The broker refused the position.
    pub(super) out_of_range: bool,
    /// The log ended below `end` when it was last looked at.
    early_end: bool,
    /// When it moved, or the broker was asked about it.
    pub(super) looked: Instant,
    looked_at: i64,
    pub(super) state: PartitionState,
    /// Whether it moves on.
    pub(super) watch: Watch,
    /// Set while the end of a batch is looked for that cannot be read.
    pub(super) skip: Option<Skip>,
    consumed: AckedRuns,
    /// Passed over: named once already, and not missed.
    unreadable: RangeSetBlaze<i64>,
}

/// How long a partition may stand still without any sign before the broker is asked.
const SILENCE: Duration = Duration::from_secs(5);

impl Track {
    pub(super) fn new(span: Span) -> Self {
        Self {
            partition: span.partition,
            start: span.start,
            end: span.end,
            position: span.start,
            stage: if span.start < span.end { Stage::Reading } else { Stage::Stopped },
            reseek: false,
            out_of_range: false,
            early_end: false,
            looked: Instant::now(),
            looked_at: span.start,
            state: PartitionState::default(),
            watch: Watch::default(),
            skip: None,
            consumed: AckedRuns::default(),
            unreadable: RangeSetBlaze::new(),
        }
    }

    /// Whether the reader waits at the end for more.
    pub(super) fn is_open(&self) -> bool {
        self.end == OPEN_END
    }

    /// Ends what was open here.
    pub(super) fn close_at(&mut self, end: i64) {
        self.end = end;
        self.advance(self.position);
    }

    /// Where this part of the pass ends.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Goes on behind what cannot be read.
    pub(super) fn pass_over(&mut self, from: i64, to: i64) {
        self.skip = None;
        self.unreadable |= RangeSetBlaze::from_iter([from..=to - 1]);
        // What follows was not written behind what was read last.
        self.state.reposition();
        self.advance(to);
    }

    /// Whether there is nothing left to read.
    pub(super) fn is_done(&self) -> bool {
        self.stage != Stage::Reading
    }

    /// A record was read.
    pub(super) fn read(&mut self, offset: i64) {
        self.consumed.push(offset);
        self.early_end = false;
        self.advance(offset + 1);
    }

    /// Everything below `offset` has been read, and there is no more for now.
    pub(super) fn reached(&mut self, offset: i64) {
        self.early_end = offset < self.end && !self.is_open();
        // Control records show in nothing but this.
        self.advance(self.position.max(offset));
    }

    fn advance(&mut self, position: i64) {
        self.position = position;
        if self.stage == Stage::Reading && position >= self.end {
            self.stage = Stage::Done;
        }
    }

    /// Whether the broker should be asked where this log starts and ends.
    pub(super) fn is_suspect(&mut self, now: Instant, overdue: Duration) -> bool {
        if self.position != self.looked_at {
            self.looked_at = self.position;
            self.looked = now;
        }
        let limit = if self.early_end || self.out_of_range { overdue } else { SILENCE };
        now.duration_since(self.looked) >= limit
    }

    /// Draws the consequences of where the log starts and ends now.
    pub(super) fn judge(&mut self, ends: Ends) -> Judgement {
        self.reseek = true;
        self.out_of_range = false;
        if ends.end < self.position && !mutants::is_off("truncation") {
            // The place goes back, and what follows is new.
            self.state.reposition();
            self.lower_end(ends.end);
            self.advance(ends.end);
            return Judgement::Truncated;
        }
        self.lower_end(ends.end);
        if ends.start > self.position {
            self.state.reposition();
            self.advance(ends.start);
            return Judgement::Retention;
        }
        self.advance(self.position);
        Judgement::Wait
    }

    fn lower_end(&mut self, end: i64) {
        if !self.is_open() {
            self.end = self.end.min(end);
        }
    }

    /// What the ledger lists at or above `start` and was not read, if anything.
    pub(super) fn missing(&self, ledger: Option<&PartitionLedger>, start: i64) -> Option<Missing> {
        let consumed: RangeSetBlaze<i64> =
            self.consumed.runs().map(|run| run.lower..=run.upper - 1).collect();
        let excused =
            if mutants::is_off("unreadable-is-excused") { consumed } else { &consumed | &self.unreadable };
        missing(ledger, &excused, start)
    }
}

/// What the ledger lists at or above `start` and was not consumed, if anything.
pub(super) fn missing(
    ledger: Option<&PartitionLedger>,
    consumed: &RangeSetBlaze<i64>,
    start: i64,
) -> Option<Missing> {
    let expected = ledger?.acked() - RangeSetBlaze::from_iter([i64::MIN..=start - 1]);
    let missing = &expected - consumed;
    if mutants::is_off("lost-write") {
        return None;
    }
    let (first, last) = (missing.first()?, missing.last()?);
    let ranges = missing.ranges().take(RANGES).map(|range| (*range.start(), *range.end())).collect();
    Some(Missing { first, last, count: missing.len().try_into().unwrap_or(u64::MAX), ranges })
}

/// Asks where a partition's log starts and ends; `None` when the broker does not answer.
pub(super) async fn ask(consumer: &Consumer, partition: i32) -> Option<Ends> {
    let start = consumer.offsets(&[partition], OffsetSpec::Start).await;
    let end = consumer.offsets(&[partition], OffsetSpec::End).await;
    match (start.as_slice(), end.as_slice()) {
        ([(_, Ok(start))], [(_, Ok(end))]) => Some(Ends { start: *start, end: *end }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::OffsetRun;

    fn track(start: i64, end: i64) -> Track {
        Track::new(Span { partition: 0, start, end })
    }

    fn ledger(lower: i64, upper: i64) -> PartitionLedger {
        let mut ledger = PartitionLedger::default();
        ledger.insert(OffsetRun { lower, upper });
        ledger
    }

    #[test]
    fn done_at_the_end_by_record_or_by_end_of_log() {
        let mut by_record = track(0, 2);
        by_record.read(0);
        assert!(!by_record.is_done());
        by_record.read(1);
        assert!(by_record.is_done());
        let mut by_end = track(0, 2);
        by_end.read(0);
        by_end.reached(2);
        assert!(by_end.is_done(), "the last offset was a control record");
        assert!(track(5, 5).is_done() && track(5, 3).is_done(), "nothing to read");
    }

    #[test]
    fn an_end_below_the_target_is_looked_into_soon_and_silence_later() {
        let mut waiting = track(0, 10);
        let now = waiting.looked;
        let overdue = Duration::from_millis(500);
        waiting.reached(3);
        assert!(!waiting.is_done());
        assert!(!waiting.is_suspect(now, overdue), "it has just moved");
        assert!(waiting.is_suspect(now + overdue, overdue));
        let mut silent = track(0, 10);
        assert!(!silent.is_suspect(now + overdue, overdue));
        assert!(silent.is_suspect(now + SILENCE + overdue, overdue));
    }

    #[test]
    fn a_log_that_ends_below_what_was_read_is_truncated() {
        let mut cut = track(0, 10);
        (0..6).for_each(|offset| cut.read(offset));
        assert_eq!(cut.judge(Ends { start: 0, end: 4 }), Judgement::Truncated);
        assert!(cut.is_done() && cut.position == 4);
    }

    #[test]
    fn a_start_that_overtakes_the_reader_is_retention() {
        let mut overtaken = track(0, 10);
        overtaken.read(0);
        assert_eq!(overtaken.judge(Ends { start: 7, end: 20 }), Judgement::Retention);
        assert!(!overtaken.is_done() && overtaken.reseek && overtaken.position == 7);
    }

    #[test]
    fn a_log_that_ends_where_it_was_read_to_ends_the_pass_there() {
        let mut shorter = track(0, 10);
        (0..6).for_each(|offset| shorter.read(offset));
        assert_eq!(shorter.judge(Ends { start: 0, end: 6 }), Judgement::Wait);
        assert!(shorter.is_done());
        let missing = shorter.missing(Some(&ledger(0, 10)), 0).unwrap();
        assert_eq!((missing.first, missing.last, missing.count), (6, 9, 4), "the audit finds what was acked");
    }

    #[test]
    fn an_open_end_stays_open_until_it_is_closed() {
        let mut open = track(0, OPEN_END);
        open.read(0);
        open.reached(1);
        assert!(!open.is_done() && !open.is_suspect(open.looked + SILENCE / 2, Duration::ZERO));
        assert_eq!(open.judge(Ends { start: 0, end: 1 }), Judgement::Wait);
        assert!(!open.is_done());
        open.close_at(2);
        assert!(!open.is_done());
        open.read(1);
        assert!(open.is_done());
    }

    #[test]
    fn what_was_passed_over_is_not_missed_and_what_is_gone_still_is() {
        let mut holes = track(0, 10);
        (0..3).for_each(|offset| holes.read(offset));
        holes.skip = Some(Skip::at(3));
        holes.pass_over(3, 6);
        assert!(holes.skip.is_none() && holes.position == 6 && !holes.is_done());
        (7..10).for_each(|offset| holes.read(offset));
        assert_eq!(holes.missing(Some(&ledger(0, 10)), 0).unwrap().ranges, [(6, 6)]);
        let mut to_the_end = track(0, 10);
        to_the_end.pass_over(0, 10);
        assert!(to_the_end.is_done());
        assert_eq!(to_the_end.missing(Some(&ledger(0, 10)), 0), None);
    }

    #[test]
    fn missing_is_what_was_acked_and_not_read_above_the_start() {
        let mut holes = track(0, 10);
        for offset in [3, 4, 7, 8, 9] {
            holes.read(offset);
        }
        let found = holes.missing(Some(&ledger(0, 10)), 3).unwrap();
        assert_eq!((found.first, found.last, found.count), (5, 6, 2));
        assert_eq!(found.ranges, [(5, 6)]);
        assert_eq!(holes.missing(Some(&ledger(0, 10)), 7), None, "retention took it");
        assert_eq!(holes.missing(Some(&ledger(8, 10)), 0), None, "nobody was promised it");
        assert_eq!(holes.missing(None, 0), None);
    }
}
