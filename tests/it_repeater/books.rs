//! The balance of a group: what its processes said at their end, and what the broker knows.
//!
//! A process counts on its own what it takes over and what it gives away. That the counts of
//! all of them agree with the log, and with the group's places in it, is what shows that no
//! token was lost or doubled on the way from one to another.

use crate::{
    broker::Broker,
    process::{Outcome, Repeater, Rest, ensure},
};

/// Tokens of a process.
pub fn tokens(initial_data_mib: i64, workers: i64, payload_bytes: i64) -> i64 {
    (initial_data_mib << 20) / workers / payload_bytes * workers
}

/// What `/status` said of a process that could not say anything at its end.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub produced: i64,
    pub consumed: i64,
    pub enqueued: i64,
}

impl Seen {
    pub fn of(repeater: &Repeater) -> Result<Self, String> {
        let status = repeater.status()?;
        let sum = |field: &str| status.iter().map(|worker| worker[field].as_i64().unwrap_or(0)).sum();
        Ok(Self { produced: sum("produced"), consumed: sum("consumed"), enqueued: sum("enqueued") })
    }
}

/// A process that was killed.
#[derive(Clone, Copy, Debug)]
pub struct Victim {
    /// What it began with.
    pub tokens: i64,
    /// So long before its end that the group knows of it all.
    pub early: Seen,
    /// Just before its end.
    pub late: Seen,
}

#[derive(Debug)]
pub struct Books {
    tokens: i64,
    here: i64,
    produced: i64,
    consumed: i64,
    again: i64,
    /// In the log.
    records: i64,
    /// Of those, what the group has consumed as far as it knows.
    committed: i64,
    /// Of each partition: the end of the log, and the group's place.
    places: Vec<(i64, i64)>,
}

impl Books {
    /// `tokens` is what the processes with these rests began with. The group has its topic's name.
    pub fn close(broker: &Broker, topic: &str, tokens: i64, rests: &[Rest]) -> Self {
        let places = broker.places(topic, topic);
        let sum = |field: fn(&Rest) -> i64| rests.iter().map(field).sum();
        Self {
            tokens,
            here: sum(|rest| rest.here),
            produced: sum(|rest| rest.produced),
            consumed: sum(|rest| rest.consumed),
            again: sum(|rest| rest.again),
            records: places.iter().map(|(end, _)| end).sum(),
            committed: places.iter().map(|(_, place)| place).sum(),
            places,
        }
    }

    /// What was produced is in the log. What was consumed is what the group knows of, and what is counted as
    /// consumed again.
    pub fn balance(&self) -> Outcome {
        ensure(self.here + self.produced - self.consumed == self.tokens, || format!("{self:?}"))?;
        ensure(self.records == self.produced, || format!("{self:?}"))?;
        ensure(self.committed == self.consumed - self.again, || format!("{self:?}"))
    }

    /// The same after an outage: a commit without an answer may have come through, and what it carried is not
    /// consumed again.
    pub fn balance_after_outage(&self) -> Outcome {
        let come_through = self.committed - (self.consumed - self.again);
        ensure((0..=self.again).contains(&come_through), || format!("{self:?}"))?;
        Self { again: self.again - come_through, places: self.places.clone(), ..*self }.balance()
    }

    /// The same, and nothing is consumed again.
    pub fn balance_without_replay(&self) -> Outcome {
        self.balance()?;
        ensure(self.again == 0, || format!("{self:?}"))
    }

    /// With a member that was killed: the log and the group's places show what it did, and bound what it took away.
    pub fn balance_with(&self, victim: &Victim) -> Outcome {
        let what = || format!("{self:?}, {victim:?}");
        ensure(self.here + self.produced - self.consumed == self.tokens, what)?;
        let produced = self.records - self.produced;
        let committed = self.committed - (self.consumed - self.again);
        // Between its last word and its end it did less than in all the time between its last two words.
        let slack = victim.late.consumed - victim.early.consumed;
        // What it said it had produced is in the log.
        ensure((victim.late.produced..=victim.late.produced + slack).contains(&produced), what)?;
        // What it had consumed a while before its end is not consumed again.
        ensure((victim.early.consumed..=victim.late.consumed + slack).contains(&committed), what)?;
        // What it held is gone; what it had consumed, and the group does not know of, is there twice.
        let alive = self.here + self.records - self.committed;
        let gone = self.tokens + victim.tokens - alive;
        ensure(gone == victim.tokens + committed - produced - self.again, what)?;
        ensure((-slack..=victim.late.enqueued + slack).contains(&gone), what)
    }
}
