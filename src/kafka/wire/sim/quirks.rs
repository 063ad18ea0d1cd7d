//! Errors of a broker that come and pass, each of them one that it may answer.

use super::code::{
    COORDINATOR_LOAD_IN_PROGRESS, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT,
};
use crate::random::Random;

/// How often there is one.
#[derive(Clone, Debug)]
pub(super) struct Quirks {
    chance: f64,
    random: Random,
}

/// What a batch is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quirk {
    None,
    /// This, and it is not written.
    Before(i16),
    /// It is written, and this.
    After(i16),
}

impl Default for Quirks {
    fn default() -> Self {
        Self::new(0.0, 0)
    }
}

impl Quirks {
    pub(super) fn new(chance: f64, seed: u64) -> Self {
        Self { chance, random: Random::from_seed(seed) }
    }

    pub(super) fn of_batch(&mut self) -> Quirk {
        if self.chance == 0.0 || !self.random.chance(self.chance) {
            return Quirk::None;
        }
        match self.random.index(4) {
            0 | 1 => Quirk::Before(NOT_ENOUGH_REPLICAS),
            2 => Quirk::After(NOT_ENOUGH_REPLICAS_AFTER_APPEND),
            _ => Quirk::After(REQUEST_TIMED_OUT),
        }
    }

    pub(super) fn of_fetch(&mut self) -> Option<i16> {
        (self.chance > 0.0 && self.random.chance(self.chance / 10.0)).then_some(NOT_LEADER_OR_FOLLOWER)
    }

    pub(super) fn of_id(&mut self) -> Option<i16> {
        (self.chance > 0.0 && self.random.chance(self.chance)).then_some(COORDINATOR_LOAD_IN_PROGRESS)
    }
}
