//! How far a member of a group has consumed a partition, and what the group knows of that.

use std::{collections::BTreeMap, mem};

use crate::{
    kafka::{CommitNumber, OffsetAndEpoch},
    mutants::enforced,
    partitions::PartitionSlot,
};

/// The partitions of a member.
#[derive(Debug, Default)]
pub(crate) struct Owned(pub(crate) BTreeMap<PartitionSlot, CommitPosition>);

/// How far a partition has been consumed; -1 is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitPosition {
    pub(crate) position: i64,
    /// Where it was read from since it was assigned, which the group knew.
    pub(crate) start: i64,
    pub(crate) committed: i64,
    /// Answers to this commit, and to those before it, tell nothing of this place: they were of a log that was truncated
    /// since, or of what this member owned before.
    pub(crate) since: CommitNumber,
    /// The last commit that carries this place, and the last that was answered.
    pub(crate) sent: CommitNumber,
    pub(crate) answered: CommitNumber,
    /// What later leaders wrote did not yet lie there in the beginning.
    pub(crate) known_epoch: i32,
    /// Epoch of the last record that was read, and the offset behind it.
    pub(crate) epoch: i32,
    pub(crate) behind: i64,
    /// The place that the leader was asked about.
    pub(crate) confirmed: i64,
    /// Where the log was truncated last.
    pub(crate) truncated_at: i64,
    /// The position at which the client has been found to have gone back last.
    pub(crate) went_back: i64,
    /// The client may show the last record once more: see [`Self::again`].
    pub(crate) may_repeat: bool,
    /// What cannot be read begins here, and nothing is shown before it is known how far that goes.
    pub(crate) held: Option<i64>,
}

/// What the next thing that the client shows of a partition is to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The partition was given up meanwhile, or the client has gone back by itself, and shows what it has shown before.
    Nothing,
    /// The client has gone back by itself, and shows a record again, for the first time since the member came so far.
    Again {
        /// Where it is to go on.
        position: i64,
    },
    /// It goes on.
    Forward,
    /// Nobody knows where it belongs.
    Misread,
    /// The log was truncated: a later leader has written this record below what was read of an earlier one.
    Back {
        /// Up to where it was read.
        from: i64,
        /// Epoch of the last record that was read.
        epoch: i32,
    },
    /// A leader wrote it that had not been elected in the beginning: is the log still the same up to here?
    Confirm {
        /// Behind the last record that was read.
        offset: i64,
        /// Epoch of that record.
        epoch: i32,
    },
}

pub(crate) const NEW_PLACE: CommitPosition = CommitPosition {
    position: -1,
    start: -1,
    committed: -1,
    since: 0,
    sent: 0,
    answered: 0,
    known_epoch: -1,
    epoch: -1,
    behind: -1,
    confirmed: -1,
    truncated_at: i64::MAX,
    went_back: -1,
    may_repeat: false,
    held: None,
};

impl Owned {
    /// A record is shown. Where its headers cannot be read, its offset may have been misread, too: then it moves no place,
    /// unless it is due.
    pub(crate) fn read(
        &mut self,
        partition: PartitionSlot,
        offset: i64,
        epoch: i32,
        is_sound: impl FnOnce() -> bool,
    ) -> Step {
        let Some(place) = self.reading(partition) else { return Step::Nothing };
        if place.position >= 0 && place.position != offset && !is_sound() {
            return Step::Misread;
        }
        if place.must_confirm(offset, epoch) {
            return Step::Confirm { offset: place.behind, epoch: place.epoch };
        }
        let is_shown_again = offset < place.position && !place.is_overwritten_by(epoch);
        if is_shown_again && enforced("shown-again-group") {
            return place.again(offset);
        }
        let step = place.go(offset, offset + 1);
        // What comes again, because the group did not know that it had been consumed, tells nothing.
        if offset >= place.behind {
            (place.epoch, place.behind) = (epoch, offset + 1);
        }
        step
    }

    /// A partition that is ours, and of which the client's next word counts.
    fn reading(&mut self, partition: PartitionSlot) -> Option<&mut CommitPosition> {
        self.0.get_mut(&partition).filter(|place| place.held.is_none())
    }

    /// The client shows the end of the log. One below the position is no proof that the log was truncated: the client may
    /// have gone back, and a leader that has just been elected may not know yet how far its followers are.
    pub(crate) fn reached(&mut self, partition: PartitionSlot, offset: i64) -> Step {
        let Some(place) = self.reading(partition) else { return Step::Nothing };
        if offset < place.position { Step::Nothing } else { place.go(offset, offset) }
    }
}

impl CommitPosition {
    /// Of a member that has read nothing yet, where others had read so far.
    pub(crate) fn behind(read: OffsetAndEpoch, known_epoch: i32) -> Self {
        Self { known_epoch, epoch: read.leader_epoch, behind: read.offset, ..NEW_PLACE }
    }

    /// The same, of a member that has sent so many commits before.
    pub(crate) fn after(self, commit: CommitNumber) -> Self {
        Self { since: commit, sent: commit, answered: commit, ..self }
    }

    /// The group has answered a commit that carried this partition: with the offset below which it knows all to have
    /// been consumed, if it took it. It answers in the order in which it takes commits, not in that of their numbers:
    /// one that had to be sent again comes late, and what it says is what the group goes by.
    pub(crate) fn answer(&mut self, commit: CommitNumber, offset: Option<i64>) {
        if commit > self.since {
            self.answered = self.answered.max(commit);
            self.committed = offset.unwrap_or(self.committed);
        }
    }

    /// Whether a commit that carries this place is on its way.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.sent > self.answered
    }

    /// Whether nobody has to consume again what was consumed.
    pub(crate) fn is_committed(&self) -> bool {
        self.position <= self.committed
    }

    /// Whether the leader must be asked about what was read before, ahead of a record of this epoch.
    fn must_confirm(&mut self, offset: i64, epoch: i32) -> bool {
        let is_new_leader = self.epoch >= 0 && epoch > self.epoch.max(self.known_epoch);
        let must = is_new_leader
            && offset >= self.position
            && self.confirmed != self.behind
            && enforced("new-leader-group");
        if must {
            self.confirmed = self.behind;
            // What comes from below is the truncation.
            self.position = self.position.max(self.behind);
        }
        must
    }

    /// Whether a record of this epoch below the position proves that the log was truncated: in a log, epochs go up with the
    /// offsets, so that a later leader can only have written there what it put in place of what was read. Where nobody
    /// knows who wrote what was read last, nothing is proven.
    fn is_overwritten_by(&self, epoch: i32) -> bool {
        self.epoch >= 0 && epoch > self.epoch
    }

    /// What a record below the position is that proves no truncation: one that was shown before.
    ///
    /// librdkafka (2.12.1) goes back without a word, to an earlier offset or to the log's beginning, when it holds the
    /// answer to one of its questions about epochs against a place that has moved on since: nothing but elections of
    /// leaders is needed for that. Whether it has asked for these records again, or a broker sends them unasked,
    /// nothing that it shows can tell. They are what the group was shown already, and no disorder of the log.
    ///
    /// That it does so behind a truncation, of which it may hear twice, and for one record where a rebalance pauses a partition
    /// while it is handed out, is known; it goes on by itself then.
    fn again(&mut self, offset: i64) -> Step {
        let is_paused = offset + 1 == self.behind && mem::take(&mut self.may_repeat);
        let is_known = is_paused || offset >= self.truncated_at || self.went_back == self.position;
        self.went_back = if is_known { self.went_back } else { self.position };
        if is_known { Step::Nothing } else { Step::Again { position: self.position } }
    }

    fn go(&mut self, from: i64, to: i64) -> Step {
        let is_back = from < self.position;
        let step =
            if is_back { Step::Back { from: self.position, epoch: self.epoch } } else { Step::Forward };
        if self.position < 0 {
            self.start = from;
        }
        if is_back {
            // What the group knows lies behind the log's end, and a member that started there would start over.
            let Self { known_epoch, epoch, sent, .. } = *self;
            *self = Self { start: from, known_epoch, epoch, behind: from, truncated_at: from, ..NEW_PLACE }
                .after(sent);
        }
        self.position = to;
        step
    }

    /// Offsets that were consumed, and that the group does not know of.
    pub(crate) fn ahead(self) -> u64 {
        let known = self.committed.max(self.start);
        if known < 0 { 0 } else { self.position.saturating_sub(known).max(0).unsigned_abs() }
    }
}

#[cfg(test)]
#[path = "commit_position_tests.rs"]
mod tests;
