//! The coordinator of transactions, of all transactional ids.

use std::collections::BTreeMap;

use super::code::{
    CONCURRENT_TRANSACTIONS, COORDINATOR_LOAD_IN_PROGRESS, INVALID_PRODUCER_EPOCH,
    INVALID_PRODUCER_ID_MAPPING, INVALID_REQUEST, INVALID_TRANSACTION_TIMEOUT, INVALID_TXN_STATE,
    NOT_COORDINATOR, PRODUCER_FENCED, TRANSACTION_ABORTABLE,
};

/// A producer's id and epoch.
pub(super) type Producer = (i64, i16);
/// A topic's name, and a partition of it.
pub(super) type Place = (String, i32);

const NO_EPOCH: i16 = -1;
const LONGEST_TIMEOUT_MS: i32 = 900_000;

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Empty,
    Ongoing,
    /// Its end is decided; markers are being written.
    Ending {
        commit: bool,
    },
    Ended {
        commit: bool,
    },
}

#[derive(Clone, Debug)]
struct Transaction {
    id: i64,
    epoch: i16,
    /// The epoch before, of whoever has not heard of this one.
    last_epoch: i16,
    state: State,
    places: Vec<Place>,
    /// When its markers are written.
    markers_at_us: u64,
}

/// A marker that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub id: String,
    pub producer: Producer,
    pub commit: bool,
    pub places: Vec<Place>,
}

/// How a client's version of a request has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Partitions are added by whoever writes to them, and an epoch is for all transactions.
    Former,
    /// KIP-890: each transaction has an epoch of its own.
    Newer,
}

/// The coordinator.
#[derive(Clone, Debug, Default)]
pub(super) struct Coordinator {
    all: BTreeMap<String, Transaction>,
    next_id: i64,
    /// The node that it is.
    pub node: i32,
    /// It has only just become the coordinator, and answers nothing before, µs.
    loading_until_us: u64,
    pub broken: Option<Broken>,
}

/// A rule that the coordinator breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A commit is one of every partition but the first.
    TearsCommits,
    /// Every third commit is an abort.
    AbortsCommits,
    /// Every third abort is a commit.
    CommitsAborts,
    /// It ends what it is told to by whoever had the id.
    FencesNobody,
}

impl Broken {
    pub(super) const ALL: [Self; 4] =
        [Self::TearsCommits, Self::AbortsCommits, Self::CommitsAborts, Self::FencesNobody];
}

/// How long it takes to write markers.
const MARKERS_TAKE_US: u64 = 2_000;
/// How long it takes a node to become the coordinator.
const LOADING_TAKES_US: u64 = 50_000;

impl Coordinator {
    /// Another node is the coordinator.
    pub(super) fn move_to(&mut self, node: i32, now_us: u64) {
        self.node = node;
        self.loading_until_us = now_us + LOADING_TAKES_US;
    }

    /// Why a node does not answer what only the coordinator can.
    pub(super) fn absence(&self, node: i32, now_us: u64) -> Result<(), i16> {
        match node == self.node {
            false => Err(NOT_COORDINATOR),
            true if now_us < self.loading_until_us => Err(COORDINATOR_LOAD_IN_PROGRESS),
            true => Ok(()),
        }
    }

    /// An id that nobody has.
    pub(super) fn new_id(&mut self) -> Producer {
        self.next_id += 1;
        (1_000 + self.next_id, 0)
    }

    /// A producer id, or the next epoch of one.
    pub(super) fn init(
        &mut self,
        id: &str,
        timeout_ms: i32,
        current: Producer,
        now_us: u64,
    ) -> Result<Producer, i16> {
        if id.is_empty() {
            return Err(INVALID_REQUEST);
        }
        if !(1..=LONGEST_TIMEOUT_MS).contains(&timeout_ms) {
            return Err(INVALID_TRANSACTION_TIMEOUT);
        }
        let Some(known) = self.all.get_mut(id) else {
            let (producer_id, epoch) = self.new_id();
            let new = Transaction {
                id: producer_id,
                epoch,
                last_epoch: NO_EPOCH,
                state: State::Empty,
                places: Vec::new(),
                markers_at_us: 0,
            };
            self.all.insert(id.to_owned(), new);
            return Ok((producer_id, epoch));
        };
        let is_told = current != (-1, NO_EPOCH);
        if is_told && current.0 != known.id {
            return Err(PRODUCER_FENCED);
        }
        match known.state {
            State::Ending { .. } => Err(CONCURRENT_TRANSACTIONS),
            State::Ongoing => {
                if is_told && current.1 != known.epoch {
                    return Err(PRODUCER_FENCED);
                }
                // Whoever had it is fenced by the marker's epoch.
                known.last_epoch = NO_EPOCH;
                known.epoch += 1;
                known.end(false, now_us);
                Err(CONCURRENT_TRANSACTIONS)
            }
            State::Empty | State::Ended { .. } => known.next_epoch(is_told.then_some(current.1)),
        }
    }

    fn of(&mut self, id: &str, producer: Producer) -> Result<&mut Transaction, i16> {
        let known = self.all.get_mut(id).filter(|known| known.id == producer.0);
        known.ok_or(INVALID_PRODUCER_ID_MAPPING)
    }

    /// Makes partitions part of the transaction.
    pub(super) fn add(&mut self, id: &str, producer: Producer, places: &[Place]) -> Result<(), i16> {
        let known = self.of(id, producer)?;
        if producer.1 != known.epoch {
            return Err(PRODUCER_FENCED);
        }
        match known.state {
            State::Ending { .. } => return Err(CONCURRENT_TRANSACTIONS),
            State::Empty | State::Ended { .. } => known.places.clear(),
            State::Ongoing => {}
        }
        known.state = State::Ongoing;
        for place in places {
            if !known.places.contains(place) {
                known.places.push(place.clone());
            }
        }
        Ok(())
    }

    /// Whether a partition is part of the transaction.
    pub(super) fn verify(&mut self, id: &str, producer: Producer, place: &Place) -> Result<(), i16> {
        let known = self.of(id, producer)?;
        if producer.1 != known.epoch {
            return Err(INVALID_PRODUCER_EPOCH);
        }
        match known.state {
            State::Ending { .. } => Err(CONCURRENT_TRANSACTIONS),
            State::Ongoing if known.places.contains(place) => Ok(()),
            _ => Err(TRANSACTION_ABORTABLE),
        }
    }

    /// Ends the transaction; returns the producer's id and epoch from then on.
    pub(super) fn end(
        &mut self,
        id: &str,
        producer: Producer,
        commit: bool,
        (manner, now_us): (Manner, u64),
    ) -> Result<Producer, i16> {
        let broken = self.broken;
        let known = self.of(id, producer)?;
        let is_newer = manner == Manner::Newer;
        // The same question again, whose answer was lost.
        let is_repeated = is_newer
            && producer.1 == known.last_epoch
            && matches!(known.state, State::Ending { .. } | State::Ended { .. });
        if producer.1 != known.epoch && !is_repeated && broken != Some(Broken::FencesNobody) {
            return Err(PRODUCER_FENCED);
        }
        match known.state {
            State::Ongoing => {}
            State::Ending { commit: before } if before == commit => return Err(CONCURRENT_TRANSACTIONS),
            State::Ended { commit: before } if before == commit && (is_repeated || !is_newer) => {
                return Ok((known.id, known.epoch));
            }
            // Of nothing.
            State::Empty | State::Ended { .. } if is_newer && !is_repeated && !commit => {
                known.places.clear();
            }
            _ => return Err(INVALID_TXN_STATE),
        }
        if is_newer {
            known.last_epoch = known.epoch;
            known.epoch += 1;
        }
        known.end(commit, now_us);
        Ok((known.id, known.epoch))
    }

    /// When markers are due.
    pub(super) fn next_deadline_us(&self) -> Option<u64> {
        let ending = self.all.values().filter(|one| matches!(one.state, State::Ending { .. }));
        ending.map(|one| one.markers_at_us).min()
    }

    /// Markers that are due. [`Self::wrote`] follows for each.
    pub(super) fn due(&mut self, now_us: u64) -> Vec<Marker> {
        let mut markers = Vec::new();
        for (id, one) in &mut self.all {
            let State::Ending { commit } = one.state else { continue };
            if one.markers_at_us <= now_us {
                let places = std::mem::take(&mut one.places);
                let is_third = one.epoch % 3 == 2;
                let commit = match self.broken {
                    Some(Broken::AbortsCommits) => commit && !is_third,
                    Some(Broken::CommitsAborts) => commit || is_third,
                    _ => commit,
                };
                markers.push(Marker { id: id.clone(), producer: (one.id, one.epoch), commit, places });
            }
        }
        markers
    }

    /// A transaction's markers were written, but for those of these partitions, which nobody leads.
    pub(super) fn wrote(&mut self, id: &str, missing: Vec<Place>, now_us: u64) {
        let Some(one) = self.all.get_mut(id) else { return };
        let State::Ending { commit } = one.state else { return };
        if missing.is_empty() {
            one.state = State::Ended { commit };
        }
        one.places = missing;
        one.markers_at_us = now_us + MARKERS_TAKE_US;
    }
}

impl Transaction {
    fn end(&mut self, commit: bool, now_us: u64) {
        self.state = State::Ending { commit };
        self.markers_at_us = now_us + MARKERS_TAKE_US;
    }

    fn next_epoch(&mut self, told: Option<i16>) -> Result<Producer, i16> {
        match told {
            None => self.last_epoch = NO_EPOCH,
            Some(epoch) if epoch == self.epoch => self.last_epoch = epoch,
            // The answer to the last one was lost.
            Some(epoch) if epoch == self.last_epoch => return Ok((self.id, self.epoch)),
            Some(_) => return Err(PRODUCER_FENCED),
        }
        self.epoch += 1;
        self.state = State::Empty;
        Ok((self.id, self.epoch))
    }
}
