//! A producer's transaction: when it ends, and what that means for its records, which [`Pending`](super::Pending) holds.
//!
//! Nothing is said of a record before its transaction has ended, and nothing is guessed where the
//! end is not known.

use std::time::{Duration, Instant};

use crate::{
    config::TransactionConfig,
    kafka::{End, Ended, Reason, Transactions},
    random::Random,
};

/// What a step did to the records of the transaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// There was no transaction, and now there is one.
    Started,
    /// They are in the log.
    Committed,
    /// They are not.
    Aborted {
        /// It was to be aborted from the beginning.
        intended: bool,
        /// What the client has against it.
        reason: Option<Reason>,
    },
    /// Nobody can tell whether they are. The next one has begun.
    Unknown {
        /// Why.
        reason: Reason,
    },
    /// The client is finished.
    Fatal {
        /// They may be in the log, or not.
        unknown: bool,
        /// What finished the client.
        reason: Reason,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is no transaction until the thread says so.
    Starting,
    /// Records go into it.
    Open,
    /// Waiting for its end.
    Ending(End),
}

/// A transaction, and the next one, and so on, of one client after the other.
pub(crate) struct Transaction {
    rules: TransactionConfig,
    thread: Transactions,
    stage: Stage,
    /// Its records will be aborted, and say so.
    aborting: bool,
    /// Something in it failed: it cannot be committed, and the client may hold on to the rest until it is aborted.
    failed: bool,
    /// Nothing failed, and it is not to be committed all the same.
    must_abort: bool,
    /// Records sent in it.
    sent: u32,
    outcome: Option<Ended>,
    begun: Instant,
}

impl Transaction {
    /// Has the client of this thread begin its first transaction.
    #[must_use]
    pub(crate) fn start(rules: TransactionConfig, thread: Transactions) -> Self {
        thread.end(End::Start);
        Self {
            rules,
            thread,
            stage: Stage::Starting,
            aborting: false,
            failed: false,
            must_abort: false,
            sent: 0,
            outcome: None,
            begun: Instant::now(),
        }
    }

    /// Goes on with a new client, which has no transaction yet.
    pub(crate) fn restart(&mut self, thread: Transactions) {
        *self = Self::start(self.rules, thread);
    }

    /// Whether the client has not begun its first one yet.
    #[must_use]
    pub(crate) fn is_starting(&self) -> bool {
        self.stage == Stage::Starting
    }

    /// Whether it was open for so long that the cluster may have ended it.
    #[must_use]
    pub(crate) fn may_have_timed_out(&self) -> bool {
        self.begun.elapsed() >= self.rules.timeout.saturating_sub(Duration::from_secs(1))
    }

    /// Whether a record can be sent now, and if so what its header says of the end.
    #[must_use]
    pub(crate) fn accepts(&self) -> Option<bool> {
        let open = self.stage == Stage::Open && self.sent < self.rules.messages && !self.must_abort();
        open.then_some(self.aborting)
    }

    /// A record went into it.
    pub(crate) fn sent(&mut self) {
        self.sent += 1;
    }

    /// A record of it has its outcome. One that failed, and one that is not sound, have it aborted: the latter when all its
    /// records have their outcomes.
    pub(crate) fn settled(&mut self, failed: bool, sound: bool) {
        self.failed |= failed;
        self.must_abort |= !sound;
    }

    /// Whether a record of it failed.
    #[must_use]
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    fn must_abort(&self) -> bool {
        self.failed || self.must_abort
    }

    /// Whether its end is under way.
    #[must_use]
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Ending(_))
    }

    /// Whether nothing has gone into it.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == 0
    }

    /// Ends the transaction when it is full, or when waiting for more would be waiting for itself: records do
    /// not come round before it is committed. Tells what became of the one that was ended.
    pub(crate) fn advance(
        &mut self,
        nothing_in_flight: bool,
        nothing_to_send: bool,
        random: &mut Random,
    ) -> Change {
        if self.stage != Stage::Open {
            if self.outcome.is_none() {
                self.outcome = self.thread.outcome();
            }
            // The deliveries of all its records come first.
            return match self.outcome.take_if(|_| nothing_in_flight) {
                Some(ended) => self.ended(ended, random),
                None => Change::None,
            };
        }
        let full = self.sent >= self.rules.messages;
        // Records that are to be aborted are written first: a transaction that the cluster has not heard of yet
        // cannot be ended, and one that it never hears of tests nothing.
        let can_end = nothing_in_flight || !self.aborting || self.failed;
        if self.sent > 0 && can_end && (full || nothing_to_send || self.must_abort()) {
            let end = if self.aborting || self.must_abort() { End::Abort } else { End::Commit };
            self.stage = Stage::Ending(end);
            self.thread.end(end);
        }
        Change::None
    }

    fn ended(&mut self, ended: Ended, random: &mut Random) -> Change {
        let (asked, intended) = (self.stage, self.aborting && !self.must_abort());
        // One that finished its client is not followed by another: how long it was open is still asked.
        if !matches!(ended, Ended::Fatal(_)) {
            self.begun = Instant::now();
        }
        (self.stage, self.sent, self.failed, self.must_abort) = (Stage::Open, 0, false, false);
        self.aborting = self.rules.abort_rate > 0.0 && random.chance(self.rules.abort_rate);
        match ended {
            Ended::Started => Change::Started,
            Ended::Committed => Change::Committed,
            Ended::Aborted(reason) => Change::Aborted { intended, reason },
            Ended::Unknown(reason) => Change::Unknown { reason },
            Ended::Fatal(reason) => {
                self.stage = Stage::Starting;
                Change::Fatal { unknown: asked == Stage::Ending(End::Commit), reason }
            }
        }
    }
}

#[cfg(test)]
#[path = "transaction_tests.rs"]
mod tests;
