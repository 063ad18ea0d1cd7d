//! What is lost of a partition: told once, however often it is read.
//!
//! Pure.

use std::{fmt, ops::RangeInclusive, time::Duration};

use range_set_blaze::RangeSetBlaze;

use crate::{ledger::PartitionLedger, mutants::enforced};

/// Acked offsets that were not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) count: u64,
    /// The first ranges.
    pub(crate) ranges: Vec<RangeInclusive<i64>>,
}

/// How often, and how far apart, leaders are asked before a log counts as truncated: one that has just been elected may
/// name a lower end for a moment.
pub(crate) const LOOKS: usize = 3;
pub(crate) const LOOK_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 1_000 });

/// Ranges of missing offsets that are listed.
const RANGES: usize = 1_000;

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, count, .. } = self;
        write!(formatter, "{count} acked records between {first} and {last} missing")
    }
}

impl Missing {
    fn of(missing: &RangeSetBlaze<i64>) -> Option<Self> {
        if !enforced("lost-write") {
            return None;
        }
        let (first, last) = (missing.first()?, missing.last()?);
        let ranges = missing.ranges().take(RANGES).collect();
        Some(Self { first, last, count: missing.len().try_into().unwrap_or(u64::MAX), ranges })
    }
}

/// What was told of a partition's losses, over all passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses(RangeSetBlaze<i64>);

impl Losses {
    /// The log was truncated at `end`, after it had been read up to `position`.
    pub(crate) fn truncate(&mut self, end: i64, position: i64) {
        if end < position {
            self.0 |= RangeSetBlaze::from_iter([end..=position - 1]);
        }
    }

    /// This was read in the pass that ends. Where it had been lost before, it was written again,
    /// and can be lost again.
    pub(crate) fn confirm_read(&mut self, consumed: &RangeSetBlaze<i64>) {
        self.0 = &self.0 - consumed;
    }

    /// What the ledger lists at or above `start`, was not consumed, and has not been told yet.
    pub(crate) fn peek_new(
        &self,
        ledger: Option<&PartitionLedger>,
        consumed: &RangeSetBlaze<i64>,
        start: i64,
    ) -> Option<Missing> {
        Missing::of(&self.not_reported(ledger?, consumed, start))
    }

    /// The same, and it is told now.
    pub(crate) fn take_new(
        &mut self,
        ledger: Option<&PartitionLedger>,
        consumed: &RangeSetBlaze<i64>,
        start: i64,
    ) -> Option<Missing> {
        let not_reported = self.not_reported(ledger?, consumed, start);
        let missing = Missing::of(&not_reported);
        self.0 |= not_reported;
        missing
    }

    fn not_reported(
        &self,
        ledger: &PartitionLedger,
        consumed: &RangeSetBlaze<i64>,
        start: i64,
    ) -> RangeSetBlaze<i64> {
        let expected = ledger.acked() - RangeSetBlaze::from_iter([i64::MIN..=start - 1]);
        &(&expected - consumed) - &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::OffsetRun;

    fn ledger(lower: i64, upper: i64) -> PartitionLedger {
        let mut ledger = PartitionLedger::default();
        ledger.insert(OffsetRun { lower, upper });
        ledger
    }

    fn read(lower: i64, upper: i64) -> RangeSetBlaze<i64> {
        RangeSetBlaze::from_iter([lower..=upper - 1])
    }

    #[test]
    fn a_loss_is_told_once() {
        let mut losses = Losses::default();
        let missing = losses.take_new(Some(&ledger(0, 10)), &read(0, 6), 0).unwrap();
        assert_eq!((missing.first, missing.last, missing.count), (6, 9, 4));
        losses.confirm_read(&read(0, 6));
        assert_eq!(losses.peek_new(Some(&ledger(0, 10)), &read(0, 6), 0), None, "in the next pass");
    }

    #[test]
    fn what_was_read_before_the_cut_is_not_told_again_and_the_rest_is() {
        let mut losses = Losses::default();
        losses.truncate(6, 8);
        losses.truncate(9, 9);
        let missing = losses.peek_new(Some(&ledger(0, 10)), &read(0, 6), 0).unwrap();
        assert_eq!(missing.ranges, [8..=9], "acked, and read by nobody");
    }

    #[test]
    fn what_was_written_again_can_be_lost_again() {
        let mut losses = Losses::default();
        losses.truncate(6, 10);
        losses.confirm_read(&read(0, 10));
        let missing = losses.peek_new(Some(&ledger(0, 10)), &read(0, 6), 0).unwrap();
        assert_eq!(missing.ranges, [6..=9]);
    }

    #[test]
    fn nothing_is_missing_below_the_start_or_without_a_ledger() {
        let losses = Losses::default();
        assert_eq!(losses.peek_new(Some(&ledger(0, 10)), &read(0, 6), 10), None);
        assert_eq!(losses.peek_new(None, &read(0, 6), 0), None);
    }
}
