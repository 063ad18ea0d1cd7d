//! Where a group has consumed partitions up to, without I/O: whom to ask next, and what the answers mean.
//!
//! One request is under way at a time, about every partition of which the group's place is wanted. An answer to a question
//! that was asked before the partition changed hands is none.

use std::collections::VecDeque;

use super::code;
use crate::{mutants::enforced, partitions::TopicPartition};

/// Pauses before somebody is asked again who gave no answer: the first, doubled each time, and the longest, µs.
const PAUSES_US: (u64, u64) = (20_000, 500_000);

/// What is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaceAsk {
    /// Any broker: who the coordinator is.
    Coordinator,
    /// The coordinator: the group's places in [`GroupPlaces::wanted`].
    Places,
}

/// A partition, and the offset below which the group has consumed it: `None` where it knows none; or why it does not say, which
/// is asked again.
pub(crate) type PlaceWord = (TopicPartition, Result<Option<i64>, i16>);

/// A partition that is asked about.
#[derive(Clone, Copy, Debug)]
struct Open {
    place: TopicPartition,
    /// The request that is under way has it.
    is_sent: bool,
}

/// What is asked of a group's coordinator, and what it says.
#[derive(Debug, Default)]
pub(crate) struct GroupPlaces {
    coordinator: Option<i32>,
    open: Vec<Open>,
    asked: Option<PlaceAsk>,
    not_before_us: u64,
    pause_us: u64,
    words: VecDeque<PlaceWord>,
}

/// What an error means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Done,
    /// A transaction that carries an offset is open, or the coordinator has only just become one.
    NotYet,
    /// Somebody else is the coordinator.
    Moved,
    Other,
}

fn kind(error: i16) -> Kind {
    match error {
        code::NONE => Kind::Done,
        code::UNSTABLE_OFFSET_COMMIT | code::COORDINATOR_LOAD_IN_PROGRESS => Kind::NotYet,
        code::COORDINATOR_NOT_AVAILABLE | code::NOT_COORDINATOR => Kind::Moved,
        _ => Kind::Other,
    }
}

impl GroupPlaces {
    /// Asks about a partition, anew where that was done before.
    pub(crate) fn ask(&mut self, place: TopicPartition) {
        self.withdraw(place);
        self.open.push(Open { place, is_sent: false });
    }

    /// No answer about a partition is wanted any more.
    pub(crate) fn withdraw(&mut self, place: TopicPartition) {
        self.open.retain(|open| open.place != place);
        self.words.retain(|(which, _)| *which != place);
    }

    /// The next thing that was said.
    pub(crate) fn poll_word(&mut self) -> Option<PlaceWord> {
        self.words.pop_front()
    }

    /// Whether something was.
    #[must_use]
    pub(crate) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// The coordinator, as far as is known.
    #[must_use]
    pub(crate) fn coordinator(&self) -> Option<i32> {
        self.coordinator
    }

    /// Partitions that are to be asked about, sorted.
    #[must_use]
    pub(crate) fn wanted(&self) -> Vec<TopicPartition> {
        let mut wanted: Vec<_> = self.open.iter().map(|open| open.place).collect();
        wanted.sort_unstable();
        wanted
    }

    /// What is to be asked now.
    #[must_use]
    pub(crate) fn next(&self, now_us: u64) -> Option<PlaceAsk> {
        let ask = if self.coordinator.is_none() { PlaceAsk::Coordinator } else { PlaceAsk::Places };
        (self.next_us() <= now_us).then_some(ask)
    }

    /// When something is to be asked, µs; `u64::MAX`: not before something else happens.
    #[must_use]
    pub(crate) fn next_us(&self) -> u64 {
        if self.asked.is_none() && !self.open.is_empty() { self.not_before_us } else { u64::MAX }
    }

    /// It is being asked, about every partition of which a place is wanted.
    pub(crate) fn asked(&mut self, ask: PlaceAsk) {
        self.asked = Some(ask);
        self.open.iter_mut().for_each(|open| open.is_sent = ask == PlaceAsk::Places);
    }

    /// There will be no answer. The coordinator may be another one.
    pub(crate) fn not_answered(&mut self) {
        (self.asked, self.coordinator) = (None, None);
        // How long a connection is waited for is the connection's business.
        self.not_before_us = 0;
    }

    fn pause(&mut self, now_us: u64) {
        let (shortest_us, longest_us) = PAUSES_US;
        self.pause_us = (self.pause_us * 2).clamp(shortest_us, longest_us);
        self.not_before_us = now_us + self.pause_us;
    }

    /// Takes in who the coordinator is.
    pub(crate) fn found(&mut self, error: i16, broker: i32, now_us: u64) {
        self.asked = None;
        match kind(error) {
            Kind::Done if broker >= 0 => (self.coordinator, self.not_before_us) = (Some(broker), 0),
            Kind::Other => {
                self.words.extend(self.open.iter().map(|open| (open.place, Err(error))));
                self.pause(now_us);
            }
            Kind::Done | Kind::NotYet | Kind::Moved => self.pause(now_us),
        }
    }

    /// Takes in what the coordinator says: of the group as a whole, and of each partition. One that it does not name is asked
    /// about again.
    pub(crate) fn answered(
        &mut self,
        error: i16,
        offsets: impl Iterator<Item = (TopicPartition, i16, i64)>,
        now_us: u64,
    ) {
        self.asked = None;
        let is_asked = |open: &&Open| open.is_sent || !enforced("wire-places-anew");
        let sent: Vec<_> = self.open.iter().filter(is_asked).map(|open| open.place).collect();
        let mut told: Vec<_> = offsets.filter(|(place, ..)| sent.contains(place)).collect();
        if error != code::NONE {
            told = sent.iter().map(|place| (*place, error, -1)).collect();
        }
        for (place, error, offset) in told {
            match kind(error) {
                Kind::Done => {
                    self.open.retain(|open| open.place != place);
                    self.words.push_back((place, Ok(Some(offset).filter(|offset| *offset >= 0))));
                }
                Kind::NotYet => {}
                Kind::Moved => self.coordinator = None,
                Kind::Other => self.words.push_back((place, Err(error))),
            }
        }
        if self.open.iter().any(|open| open.is_sent) {
            self.pause(now_us);
        } else {
            (self.pause_us, self.not_before_us) = (0, 0);
        }
    }
}

#[cfg(test)]
#[path = "group_places_tests.rs"]
mod tests;
