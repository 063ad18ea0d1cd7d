//! A partition, seen from the main thread: what all members of a group together have read of it.

use std::time::Instant;

use range_set_blaze::RangeSetBlaze;

use crate::{
    ledger::{OffsetRun, first_within},
    mutants,
    verifier::{
        check::{last_values::SeenKeys, loss::LOOKS},
        read::{
            stall::Watch,
            track::{OPEN_END, Span},
        },
    },
};

/// A partition, as far as the group has come in it.
pub(crate) struct Part {
    pub(crate) partition: i32,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) position: i64,
    pub(crate) read: RangeSetBlaze<i64>,
    /// Passed over: named once already, and not missed.
    pub(crate) unreadable: RangeSetBlaze<i64>,
    pub(crate) keys: SeenKeys,
    /// When it moved.
    pub(crate) moved: Instant,
    /// Whether it moves on.
    pub(crate) watch: Watch,
    /// How often in a row the leader has said that the log ends below the position, and no member had noticed anything.
    pub(crate) doubts: usize,
    /// Offsets at the end that were not waited for any longer.
    pub(crate) left_out: i64,
    /// It was cut, with permission.
    pub(crate) is_cut: bool,
}

impl Part {
    pub(crate) fn new(span: &Span, continuous: bool) -> Self {
        Self {
            partition: span.partition,
            start: span.start,
            end: if continuous { OPEN_END } else { span.end },
            position: span.start,
            read: RangeSetBlaze::new(),
            unreadable: RangeSetBlaze::new(),
            keys: SeenKeys::default(),
            moved: Instant::now(),
            watch: Watch::default(),
            doubts: 0,
            left_out: 0,
            is_cut: false,
        }
    }

    /// The leader says that the log ends here. Returns whether it was cut: only when it has said so again and again. One
    /// that comes back tells what it knew when it went, and one that was just elected may not know how far its followers are.
    pub(crate) fn is_cut_at(&mut self, end: i64) -> bool {
        self.doubts = if end < self.position { self.doubts + 1 } else { 0 };
        self.doubts == LOOKS || (self.doubts > 0 && mutants::is_off("doubt-group"))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.position >= self.end
    }

    /// Members go on behind what they could not read.
    pub(crate) fn pass_over(&mut self, from: i64, to: i64) {
        self.unreadable |= RangeSetBlaze::from_iter([from..=to - 1]);
    }

    /// What need not be missed: it was read, or named as what cannot be read.
    pub(crate) fn accounted(&self) -> RangeSetBlaze<i64> {
        &self.read | &self.unreadable
    }

    /// The log was cut at `end`, and members go on from `offset`.
    pub(crate) fn cut(&mut self, end: i64, offset: i64) {
        self.position = offset;
        self.doubts = 0;
        self.is_cut = true;
        self.read = &self.read - RangeSetBlaze::from_iter([end.min(offset)..=i64::MAX]);
    }

    /// Adds what a member was shown; returns the first offset that the group had been shown before.
    pub(crate) fn add(&mut self, runs: &[OffsetRun]) -> Option<i64> {
        let mut again = None;
        for run in runs {
            if !mutants::is_off("group-redelivery") {
                again = again.or_else(|| first_within(&self.read, run.lower, run.upper));
            }
            self.read.ranges_insert(run.lower..run.upper);
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_again_is_noticed() {
        let mut part = Part::new(&Span { partition: 0, start: 0, end: 10, leader_epoch: -1 }, false);
        assert_eq!(part.add(&[OffsetRun { lower: 0, upper: 5 }]), None);
        assert_eq!(part.add(&[OffsetRun { lower: 5, upper: 7 }, OffsetRun { lower: 9, upper: 10 }]), None);
        assert_eq!(part.add(&[OffsetRun { lower: 7, upper: 9 }, OffsetRun { lower: 4, upper: 6 }]), Some(4));
        assert_eq!(
            part.add(&[OffsetRun { lower: 10, upper: 11 }, OffsetRun { lower: 10, upper: 11 }]),
            Some(10)
        );
    }

    #[test]
    fn an_end_below_what_was_read_is_a_cut_when_it_is_said_again_and_again() {
        let mut part = Part::new(&Span { partition: 0, start: 0, end: 10, leader_epoch: -1 }, true);
        part.position = 8;
        let words: Vec<_> = [5, 5, 8, 5, 6, 5].map(|end| part.is_cut_at(end)).into();
        assert_eq!(
            words,
            [false, false, false, false, false, true],
            "with 8 it was a leader that did not know"
        );
    }

    #[test]
    fn what_is_shown_again_behind_a_cut_is_new() {
        let mut part = Part::new(&Span { partition: 0, start: 0, end: 10, leader_epoch: -1 }, false);
        part.add(&[OffsetRun { lower: 0, upper: 8 }]);
        part.position = 8;
        part.cut(5, 5);
        assert_eq!(part.position, 5);
        assert_eq!(part.add(&[OffsetRun { lower: 5, upper: 8 }]), None);
        assert_eq!(part.add(&[OffsetRun { lower: 4, upper: 5 }]), Some(4));
    }
}
