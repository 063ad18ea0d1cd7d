//! How far one partition has been shown, and what becomes of the next thing that librdkafka says of it.
//!
//! Pure: what has to be asked or done for that is told to whoever owns the client.

use std::time::{Duration, Instant};

use super::witness::{LeaderAnswer, Suspect};
use crate::{
    kafka::{Ends, ReadFrom, librdkafka::fault::LogTruncation},
    mutants::enforced,
    partitions::PartitionSlot,
};

/// Ends below what was shown, one after the other, before that is looked into.
const LOW_ENDS: u32 = 2;

/// What goes on with a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody reads it.
    Idle,
    Reading,
    /// The leader is to be asked about the last record before the next one is shown.
    Confirming,
    /// What lies at the position cannot be read. How far that goes is to be found out.
    Unreadable,
    /// And is being found out.
    Searched,
    /// The client was refused its place. Where the log starts and ends is asked from `asks_at` on.
    Refused {
        asks_at: Instant,
    },
    /// The log seems to have been truncated: the leader is being asked about this very place before anybody believes it.
    Suspected,
}

/// A partition, as far as it has been shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadPosition {
    pub(super) state: State,
    /// The next offset to be shown.
    pub(super) position: i64,
    /// Epoch of the last record, and the offset behind it; -1 where that is not known.
    epoch: i32,
    behind: i64,
    /// What later leaders wrote did not yet lie there when reading began; -1 where that is not known.
    epoch_known: i32,
    /// The place about which the leader was asked last.
    confirmed: i64,
    /// Where the log was truncated, as far as the client says.
    truncation: Option<LogTruncation>,
    /// The newest epoch of which it was told that its end was truncated.
    truncation_epoch: i32,
    quiet: Quiet,
    /// How often in a row the leader has said that the log ends below what was shown.
    low_ends: u32,
}

/// A position at which nothing comes.
#[derive(Clone, Copy, Debug)]
struct Quiet {
    at: i64,
    /// Since when its broker has said that there is something.
    since: Option<Instant>,
    /// How often that has been looked into.
    looks: u32,
}

/// How the client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// It reads.
    Reading,
    /// It reads if the leader's log has the record before.
    Confirming,
    /// Not before it is known what became of this very place.
    Later,
}

/// What an answer means for a place that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// All is well: it is read again.
    ReadAgain,
    /// The place is not in the log.
    OutOfRange,
    /// The leader is to be asked about this very place.
    Suspect(Suspect),
    /// The log was truncated: up to where it had been read, by whom, and where.
    Truncated(LogTruncation),
    /// The leader has the record that was read last (`is_certain`), or nobody can know.
    NotTruncated { is_certain: bool },
}

/// What may help where nothing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// A look at what lies there.
    Look,
    /// That, and a new client: it may be the client that sleeps, and not the broker.
    LookAndRenew,
}

impl Default for ReadPosition {
    fn default() -> Self {
        Self {
            state: State::Idle,
            position: -1,
            epoch: -1,
            behind: -1,
            epoch_known: -1,
            confirmed: -1,
            truncation: None,
            truncation_epoch: -1,
            quiet: Quiet { at: -1, since: None, looks: 0 },
            low_ends: 0,
        }
    }
}

impl ReadPosition {
    /// Reading begins here. Where it goes on where it was, what is known of the last record is known still. Returns how the
    /// client is to begin.
    pub(super) fn begin(&mut self, from: ReadFrom, now: Instant) -> Begin {
        let goes_on = from.offset == self.position;
        let is_open = matches!(self.state, State::Refused { .. } | State::Suspected);
        if is_open && goes_on && from.epoch_before.is_none_or(|epoch| epoch == self.epoch) {
            return Begin::Later;
        }
        (self.state, self.truncation) = (State::Reading, None);
        self.epoch_known = self.epoch_known.max(from.epoch_known.unwrap_or(-1));
        if !goes_on {
            (self.position, self.epoch, self.confirmed) = (from.offset, -1, -1);
            self.quiet = Quiet { at: from.offset, since: Some(now), looks: 0 };
        }
        let Some(epoch) = from.epoch_before.filter(|epoch| *epoch >= 0) else { return Begin::Reading };
        (self.epoch, self.behind, self.confirmed) = (epoch, from.offset, from.offset);
        Begin::Confirming
    }

    /// What the leader is asked about: the offset behind the last record, and the epoch of that.
    pub(super) fn last(&self) -> (i64, i32) {
        (self.behind, self.epoch)
    }

    /// Whether a record is not simply the next one: a leader wrote it that had not been elected when reading began, and it
    /// must be asked first whether its log is the same up to the record before. That may have been fetched before the
    /// log was truncated, and this one after it had been written again.
    ///
    /// By itself the client asks when it hears of a new leader; what it fetches before that is not held back.
    #[inline]
    pub(super) fn must_confirm(&self, epoch: i32) -> bool {
        epoch != self.epoch && self.is_of_new_leader(epoch)
    }

    #[cold]
    fn is_of_new_leader(&self, epoch: i32) -> bool {
        // Not the position: control records of yet another leader may lie between.
        self.epoch >= 0
            && epoch > self.epoch.max(self.epoch_known)
            && self.confirmed != self.behind
            && enforced("new-leader")
    }

    /// The leader is asked before this record is shown: it comes again then.
    #[cold]
    pub(super) fn confirm(&mut self) {
        (self.state, self.confirmed) = (State::Confirming, self.behind);
    }

    /// A record is shown.
    #[inline]
    pub(super) fn shown(&mut self, offset: i64, epoch: i32) {
        (self.position, self.behind, self.epoch) = (offset + 1, offset + 1, epoch);
    }

    /// Everything below has been shown.
    pub(super) fn reached(&mut self, offset: i64) {
        // Control records show in nothing but this.
        self.position = self.position.max(offset);
    }

    /// What lies here, or from `offset` on, cannot be read; a negative offset is not known. Returns from where on.
    #[cold]
    pub(super) fn unreadable(&mut self, offset: i64) -> i64 {
        // Before a batch there may be control records; and the position may lie within the batch.
        self.position = self.position.max(offset);
        self.state = State::Unreadable;
        self.position
    }

    /// Reading goes on behind what cannot be read. Nobody knows who wrote the record before: no leader can be asked
    /// about it.
    #[cold]
    pub(super) fn go_on(&mut self, to: i64) {
        if to != self.position {
            self.epoch = -1;
        }
        (self.position, self.state) = (to, State::Reading);
    }

    /// The client was refused its place. Returns whether there is nothing to be found out: nobody knows who wrote the last
    /// record, so that no leader can be asked about it.
    #[cold]
    pub(super) fn refused(&mut self, truncation: Option<LogTruncation>, asks_at: Instant) -> bool {
        if self.epoch < 0 {
            self.state = State::Idle;
            return true;
        }
        // The client asks by itself, and for us: one truncation can be told twice.
        self.truncation =
            truncation.filter(|truncation| truncation.epoch > self.truncation_epoch).or(self.truncation);
        self.state = State::Refused { asks_at };
        false
    }

    /// Draws the consequences of where the log starts and ends now.
    pub(super) fn judge(&mut self, partition: PartitionSlot, ends: Ends) -> Judgement {
        let LogTruncation { from, to, .. } = self.truncation_place(ends);
        if to < from {
            if !enforced("witness") {
                return self.truncated(LogTruncation { from, epoch: self.epoch, to });
            }
            self.state = State::Suspected;
            return Judgement::Suspect(Suspect { partition, behind: self.behind, epoch: self.epoch });
        }
        self.truncation = None;
        if ends.start > self.position {
            self.state = State::Idle;
            return Judgement::OutOfRange;
        }
        self.state = State::Reading;
        Judgement::ReadAgain
    }

    /// Where the log was truncated, as far as the client or the log's end says, and up to where it had been shown.
    fn truncation_place(&self, ends: Ends) -> LogTruncation {
        // What a new leader wrote may have been shown already, and is not lost.
        let told = self
            .truncation
            .map(|truncation| (truncation.from.min(self.position), truncation.to.min(ends.end)));
        let (from, to) = told.unwrap_or((self.position, ends.end));
        LogTruncation { from, epoch: self.epoch, to }
    }

    /// The leader was asked about a place that was suspected; `None`: it is not any more.
    pub(super) fn handle_reply(&mut self, suspect: Suspect, word: LeaderAnswer) -> Option<Judgement> {
        if self.state != State::Suspected || (suspect.behind, suspect.epoch) != self.last() {
            return None;
        }
        self.state = State::Reading;
        Some(match word {
            LeaderAnswer::Same => {
                self.truncation = None;
                // Behind that record lay nothing that is shown, and what lay there may be gone: without this, a log that
                // ends there now would be asked about for ever.
                self.position = self.position.min(self.behind);
                self.confirmed = self.behind;
                Judgement::NotTruncated { is_certain: true }
            }
            LeaderAnswer::Uncertain => {
                self.truncation = None;
                Judgement::NotTruncated { is_certain: false }
            }
            LeaderAnswer::Unanswered => {
                self.truncation = None;
                Judgement::ReadAgain
            }
            LeaderAnswer::Truncated { to, ends } => {
                let LogTruncation { from, epoch, to: known } = self.truncation_place(ends);
                // The record before the place is gone, whatever else is known.
                let to = to.unwrap_or(known).min(ends.end).min(self.behind - 1);
                self.truncated(LogTruncation { from: from.max(to), epoch, to })
            }
        })
    }

    fn truncated(&mut self, truncation: LogTruncation) -> Judgement {
        self.truncation_epoch =
            self.truncation.take().map_or(self.truncation_epoch, |truncation| truncation.epoch);
        self.state = State::Idle;
        Judgement::Truncated(truncation)
    }

    /// The leader says that the log ends at `end`. Returns whether that has to be looked into, as if the place had been
    /// refused: the client may be waiting for a word of epochs that does not come, and then it fetches nothing that
    /// could be refused. The first time is no sign: a leader that has just been elected may say so in passing.
    pub(super) fn note_low_end(&mut self, end: i64, now: Instant) -> bool {
        if self.state != State::Reading || self.epoch < 0 || end >= self.behind {
            self.low_ends = 0;
            return false;
        }
        self.low_ends += 1;
        let is_refused = self.low_ends >= LOW_ENDS;
        if is_refused {
            (self.low_ends, self.state) = (0, State::Refused { asks_at: now });
        }
        is_refused
    }

    /// The leader says that the log ends at `end`. Returns what may help where nothing has come for `limit`.
    pub(super) fn note_end(&mut self, end: i64, now: Instant, limit: Duration) -> Option<Remedy> {
        if self.state != State::Reading || end <= self.position {
            return None;
        }
        if self.quiet.at != self.position || self.quiet.since.is_none() {
            self.quiet = Quiet { at: self.position, since: Some(now), looks: 0 };
        }
        let stood = now.duration_since(self.quiet.since?);
        (stood >= limit * (self.quiet.looks + 1)).then(|| {
            self.quiet.looks += 1;
            if self.quiet.looks == 1 { Remedy::LookAndRenew } else { Remedy::Look }
        })
    }

    /// Its leader does not answer, or makes us wait: that it shows nothing means nothing.
    pub(super) fn note_no_end(&mut self) {
        self.quiet.since = None;
    }
}

#[cfg(test)]
#[path = "read_position_tests.rs"]
mod tests;
