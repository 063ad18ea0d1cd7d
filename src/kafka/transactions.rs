//! How transactions begin and end, seen from the shard that writes in them.
//!
//! Clients may wait for brokers meanwhile, as long as those take: what is asked for and what became of it travel over
//! channels, and the shard never waits.

use crossbeam::channel::{Receiver, Sender, bounded};

use super::Reason;

/// What is to become of a transaction. The next one is begun in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// There is none yet: become ready, and begin the first.
    Start,
    /// Its records show.
    Commit,
    /// Its records do not show.
    Abort,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The first one has begun.
    Started,
    /// Its records show.
    Committed,
    /// Its records do not show, whatever was asked for; why, where something went wrong.
    Aborted(Option<Reason>),
    /// Nobody can tell whether its records show, and why. Nothing that was lost of it can fall upon the next one, which has begun.
    Unknown(Reason),
    /// This producer is finished, and nobody knows what became of the transaction.
    Fatal(Reason),
}

/// Whoever begins and ends a client's transactions, seen from the shard.
pub struct Transactions {
    ends: Sender<End>,
    outcomes: Receiver<Ended>,
}

impl Transactions {
    /// The shard's side, and the other one: what it is asked for, and where its answers go. It ends when the former does.
    pub(crate) fn channel() -> (Self, Receiver<End>, Sender<Ended>) {
        let ((ends, asked), (answers, outcomes)) = (bounded(1), bounded(1));
        (Self { ends, outcomes }, asked, answers)
    }

    /// Ends the transaction. One is ended at a time.
    pub fn end(&self, end: End) {
        // Room for one is there, and the other side lives as long as this value.
        let _ = self.ends.try_send(end);
    }

    /// What became of it, as soon as that is known.
    #[must_use]
    pub fn outcome(&self) -> Option<Ended> {
        self.outcomes.try_recv().ok()
    }
}
