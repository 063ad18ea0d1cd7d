//! A worker's transaction: what is in it, when it ends, and what that means for its tokens.

use crate::{
    config::TransactionConfig,
    kafka::{End, Ended, KafkaError, Transactions},
    random::Random,
};

/// What a step did to the tokens of the transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// So many tokens are on their way.
    Committed(u64),
    /// These tokens are still here.
    Aborted(Vec<i64>),
    /// The client is finished.
    Fatal {
        tokens: Vec<i64>,
        /// The tokens may be on their way, or not.
        unknown: bool,
        error: KafkaError,
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

pub(super) struct Transaction {
    rules: TransactionConfig,
    thread: Transactions,
    stage: Stage,
    /// Its records will be aborted, and say so.
    aborting: bool,
    /// Something in it failed: it cannot be committed.
    failed: bool,
    /// Records sent in it.
    sent: u32,
    /// Tokens whose records have their outcome.
    tokens: Vec<i64>,
    outcome: Option<Ended>,
}

impl Transaction {
    pub(super) fn start(rules: TransactionConfig, thread: Transactions) -> Self {
        thread.end(End::Start);
        Self {
            rules,
            thread,
            stage: Stage::Starting,
            aborting: false,
            failed: false,
            sent: 0,
            tokens: Vec::new(),
            outcome: None,
        }
    }

    /// Goes on with a new client; returns the tokens that the old one had not sent for good.
    pub(super) fn restart(&mut self, thread: Transactions) -> Vec<i64> {
        let fresh = Self::start(self.rules, thread);
        std::mem::replace(self, fresh).tokens
    }

    /// Whether a record can be sent now, and if so what its header says of the end.
    pub(super) fn accepts(&self) -> Option<bool> {
        let open = self.stage == Stage::Open && self.sent < self.rules.messages && !self.failed;
        open.then_some(self.aborting)
    }

    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// A record of it has its outcome.
    pub(super) fn settled(&mut self, token: Option<i64>, failed: bool) {
        self.failed |= failed;
        self.tokens.extend(token);
    }

    pub(super) fn tokens(&self) -> u64 {
        self.tokens.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent == 0
    }

    /// Ends the transaction when it is full, or when waiting for more would be waiting for itself: records do
    /// not come round before it is committed. Tells what became of the one that was ended.
    pub(super) fn advance(
        &mut self,
        nothing_in_flight: bool,
        nothing_to_send: bool,
        random: &mut Random,
    ) -> Change {
        if self.stage != Stage::Open {
            self.outcome = self.outcome.or_else(|| self.thread.outcome());
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
        if self.sent > 0 && can_end && (full || nothing_to_send || self.failed) {
            let end = if self.aborting || self.failed { End::Abort } else { End::Commit };
            self.stage = Stage::Ending(end);
            self.thread.end(end);
        }
        Change::None
    }

    fn ended(&mut self, ended: Ended, random: &mut Random) -> Change {
        let asked = self.stage;
        let tokens = std::mem::take(&mut self.tokens);
        (self.stage, self.sent, self.failed) = (Stage::Open, 0, false);
        self.aborting = self.rules.abort_rate > 0.0 && random.chance(self.rules.abort_rate);
        match ended {
            Ended::Started => Change::None,
            Ended::Committed => Change::Committed(tokens.len() as u64),
            Ended::Aborted => Change::Aborted(tokens),
            Ended::Fatal(error) => {
                self.stage = Stage::Starting;
                Change::Fatal { tokens, unknown: asked == Stage::Ending(End::Commit), error }
            }
        }
    }
}
