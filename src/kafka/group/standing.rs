//! How far a member has consumed a partition that is its own, and what the group knows of that.

use super::CommitNumber;
use crate::{kafka::OffsetAndEpoch, mutants::enforced};

/// A partition of a member's; -1 is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Everything below has been consumed, since it was assigned or before.
    pub(super) position: i64,
    /// Where it was read from since it was assigned, which the group knew.
    start: i64,
    /// What the group knows.
    pub(super) committed: i64,
    /// Answers to this commit, and to those before it, tell nothing of this place: they were of a log that was truncated since, or of
    /// what this member owned before.
    since: CommitNumber,
    /// The last commit that carries this place, and the last that was answered.
    sent: CommitNumber,
    answered: CommitNumber,
    /// Epoch of the last record that was read, by whichever member of this process, and the offset behind it.
    epoch: i32,
    behind: i64,
}

impl Standing {
    /// Of a member that has read nothing yet, where others had read so far, and that has sent so many commits before.
    pub(super) fn new(read: OffsetAndEpoch, sent: CommitNumber) -> Self {
        Self {
            position: -1,
            start: -1,
            committed: -1,
            since: sent,
            sent,
            answered: sent,
            epoch: read.leader_epoch,
            behind: read.offset,
        }
    }

    /// It is read from here. The group knows that, or not yet.
    pub(super) fn begin(&mut self, offset: i64, is_known: bool) {
        (self.position, self.start) = (offset, offset);
        if is_known {
            self.committed = offset;
        }
    }

    /// The epoch of the record before the position, where that is known.
    pub(super) fn epoch_before(&self) -> Option<i32> {
        (self.behind == self.position && self.epoch >= 0).then_some(self.epoch)
    }

    /// The last record that was read.
    pub(super) fn read_last(&self) -> OffsetAndEpoch {
        OffsetAndEpoch { offset: self.behind, leader_epoch: self.epoch }
    }

    /// Whether a record proves that the log was truncated: in a log, epochs go up with the offsets, so that a later leader can only have
    /// written here what it put in place of what was read.
    #[inline]
    pub(super) fn is_overwritten_by(&self, offset: i64, epoch: i32) -> bool {
        offset < self.behind && self.epoch >= 0 && epoch > self.epoch && enforced("overwritten-group")
    }

    /// A record was consumed.
    #[inline]
    pub(super) fn read(&mut self, offset: i64, epoch: i32) {
        self.advance(offset + 1);
        // What comes again, because the group did not know that it had been consumed, tells nothing.
        if offset >= self.behind {
            (self.epoch, self.behind) = (epoch, offset + 1);
        }
    }

    /// Everything below was consumed, or is nothing to consume.
    #[inline]
    pub(super) fn advance(&mut self, offset: i64) {
        self.position = self.position.max(offset);
    }

    /// What lies below cannot be read. Nobody knows its epoch: no leader can be asked about it.
    pub(super) fn pass_over(&mut self, to: i64) {
        self.advance(to);
        (self.epoch, self.behind) = (-1, to);
    }

    /// The log was truncated here: what the group knows lies behind its end, and a member that started there would start over.
    pub(super) fn truncate(&mut self, to: i64) {
        // Of which epoch the record before is, nobody has said.
        *self = Self::new(OffsetAndEpoch { offset: to, leader_epoch: -1 }, self.sent);
        self.begin(to, false);
    }

    /// A commit that carries this place is on its way.
    pub(super) fn committing(&mut self, commit: CommitNumber) {
        self.sent = commit;
    }

    /// The group has answered a commit that carried this partition: with the offset below which it knows all to have been consumed, if
    /// it took it. It answers in the order in which it takes commits, not in that of their numbers: one that had to be sent again comes
    /// late, and what it says is what the group goes by.
    pub(super) fn answer(&mut self, commit: CommitNumber, offset: Option<i64>) {
        if commit > self.since {
            self.answered = self.answered.max(commit);
            self.committed = offset.unwrap_or(self.committed);
        }
    }

    /// Whether a commit that carries this place has no answer yet.
    pub(super) fn awaits_answer(&self) -> bool {
        self.sent > self.answered
    }

    /// Whether nobody has to consume again what was consumed.
    pub(super) fn is_committed(&self) -> bool {
        self.position <= self.committed
    }

    /// Whether the group does not know yet where it is consumed from. Until it does, a change of owner would skip what came in
    /// between: the next owner would start at the log's end of its own time.
    pub(super) fn is_new(&self) -> bool {
        self.committed < 0 && self.position >= 0
    }

    /// Offsets that were consumed, and that the group does not know of.
    pub(super) fn ahead(&self) -> u64 {
        let known = self.committed.max(self.start);
        if known < 0 { 0 } else { self.position.saturating_sub(known).max(0).unsigned_abs() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> OffsetAndEpoch {
        OffsetAndEpoch { offset: -1, leader_epoch: -1 }
    }

    #[test]
    fn answers_that_were_of_what_it_owned_before_tell_nothing() {
        let mut place = Standing::new(nobody(), 7);
        place.begin(10, true);
        place.read(10, 3);
        place.answer(7, Some(99));
        assert_eq!((place.committed, place.ahead(), place.awaits_answer()), (10, 1, false));
        place.committing(8);
        assert!(place.awaits_answer() && !place.is_committed());
        place.answer(8, None);
        assert!(!place.awaits_answer() && !place.is_committed(), "it was refused");
        place.committing(9);
        place.answer(9, Some(11));
        assert!(place.is_committed() && place.ahead() == 0);
        place.answer(8, Some(10));
        assert!(!place.is_committed(), "it was taken late, and the group goes by it");
    }

    #[test]
    fn nothing_is_ahead_of_a_place_that_is_not_known() {
        let mut place = Standing::new(nobody(), 0);
        assert!(place.is_committed() && !place.is_new() && place.ahead() == 0);
        place.begin(5, false);
        assert!(place.is_new() && place.ahead() == 0 && !place.is_committed());
    }

    #[test]
    fn a_later_leader_below_what_was_read_has_put_it_in_place_of_that() {
        let mut place = Standing::new(OffsetAndEpoch { offset: 8, leader_epoch: 2 }, 0);
        place.begin(5, true);
        assert_eq!(place.epoch_before(), None, "others have read on since the group heard of them");
        assert!(place.is_overwritten_by(5, 3) && !place.is_overwritten_by(5, 2));
        assert!(!place.is_overwritten_by(8, 3));
        place.read(5, 2);
        place.read(7, 2);
        assert_eq!((place.read_last().offset, place.epoch_before()), (8, Some(2)));
        place.truncate(6);
        assert_eq!((place.position, place.is_new(), place.epoch_before()), (6, true, None));
        assert!(!place.is_overwritten_by(6, 3), "once is enough");
    }

    #[test]
    fn behind_what_cannot_be_read_nobody_knows_the_epoch() {
        let mut place = Standing::new(OffsetAndEpoch { offset: 8, leader_epoch: 2 }, 0);
        place.begin(8, true);
        place.pass_over(12);
        assert_eq!((place.position, place.epoch_before()), (12, None));
        assert!(!place.is_overwritten_by(9, 9));
    }
}
