//! The balance of a group: what its processes said at their end, and what the broker knows.
//!
//! A process counts on its own what it takes over and what it gives away. That the counts of
//! all of them agree with the log, and with the group's places in it, is what shows that no
//! token was lost or doubled on the way from one to another.

use super::process::{Repeater, Rest};
use crate::dsl::{Topic, topic::Place};

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
    #[track_caller]
    pub fn of(repeater: &Repeater) -> Self {
        let status = repeater.status().expect("a status");
        let sum = |field: &str| status.iter().map(|worker| worker[field].as_i64().expect(field)).sum();
        Self { produced: sum("produced"), consumed: sum("consumed"), enqueued: sum("enqueued") }
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
    /// Of each partition.
    places: Vec<Place>,
}

impl Books {
    /// `tokens` is what the processes with these rests began with. The group has its topic's name.
    pub fn close(topic: &Topic, tokens: i64, rests: &[Rest]) -> Self {
        let sum = |field: fn(&Rest) -> i64| rests.iter().map(field).sum();
        Self {
            tokens,
            here: sum(|rest| rest.here),
            produced: sum(|rest| rest.produced),
            consumed: sum(|rest| rest.consumed),
            again: sum(|rest| rest.again),
            places: topic.places(topic.name()),
        }
    }

    /// How many are in the log.
    fn records(&self) -> i64 {
        self.places.iter().map(|place| place.end).sum()
    }

    /// How many of those the group has consumed, as far as it knows.
    fn committed(&self) -> i64 {
        self.places.iter().map(|place| place.committed.expect("a committed offset")).sum()
    }

    /// What was produced is in the log. What was consumed is what the group knows of, and what is counted as
    /// consumed again.
    #[track_caller]
    pub fn expect_balance(&self) {
        assert_eq!(self.here + self.produced - self.consumed, self.tokens, "{self:?}");
        assert_eq!(self.records(), self.produced, "{self:?}");
        assert_eq!(self.committed(), self.consumed - self.again, "{self:?}");
    }

    /// The same after an outage: a commit without an answer may have come through, and what it carried is not
    /// consumed again.
    #[track_caller]
    pub fn expect_balance_after_outage(mut self) {
        let come_through = self.committed() - (self.consumed - self.again);
        assert!((0..=self.again).contains(&come_through), "{self:?}");
        self.again -= come_through;
        self.expect_balance();
    }

    /// The same, and nothing is consumed again.
    #[track_caller]
    pub fn expect_balance_without_replay(&self) {
        self.expect_balance();
        assert_eq!(self.again, 0, "{self:?}");
    }

    /// With a member that was killed: the log and the group's places show what it did, and bound what it took away.
    #[track_caller]
    pub fn expect_balance_with(&self, victim: &Victim) {
        let all = format!("{self:?}, {victim:?}");
        assert_eq!(self.here + self.produced - self.consumed, self.tokens, "{all}");
        let produced = self.records() - self.produced;
        let committed = self.committed() - (self.consumed - self.again);
        // Between its last word and its end it did less than in all the time between its last two words.
        let slack = victim.late.consumed - victim.early.consumed;
        // What it said it had produced is in the log.
        assert!((victim.late.produced..=victim.late.produced + slack).contains(&produced), "{all}");
        // What it had consumed a while before its end is not consumed again.
        assert!((victim.early.consumed..=victim.late.consumed + slack).contains(&committed), "{all}");
        // What it held is gone; what it had consumed, and the group does not know of, is there twice.
        let alive = self.here + self.records() - self.committed();
        let gone = self.tokens + victim.tokens - alive;
        assert_eq!(gone, victim.tokens + committed - produced - self.again, "{all}");
        assert!((-slack..=victim.late.enqueued + slack).contains(&gone), "{all}");
    }
}
