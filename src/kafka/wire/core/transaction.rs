//! A producer's transactions without I/O: what their coordinator is asked next, and what its answers mean.
//!
//! There are two manners. In the former one (up to Kafka 3.x, and Redpanda) partitions are added before they are written
//! to, and an epoch serves many transactions. In the newer one (`transaction.version` 2, KIP-890) a Produce adds its
//! partition, and each end comes with a new epoch.
//!
//! What nobody answered is asked again in the same epoch, which tells what became of it: an end that has happened is
//! answered as such. But a request that was not answered may still arrive. So that it cannot fall upon the next
//! transaction, none begins in an epoch in which one was lost: the next epoch comes first, and the outcome is told then.

use super::{code, idempotence::ProducerId};
use crate::partitions::PartitionSlot;

/// Pauses before somebody is asked again who is not ready: the first, doubled each time, and the longest, µs.
const PAUSES_US: (u64, u64) = (20_000, 1_000_000);
/// The same where markers of the transaction before are being written, which takes a few ms.
const MARKER_PAUSES_US: (u64, u64) = (1_000, 50_000);
/// A producer that cannot even begin waits before it says so, µs: another one is made in its place.
const PAUSE_AT_START_US: u64 = 500_000;

/// What is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Any broker: who the coordinator is.
    Coordinator,
    /// A producer id, or the next epoch of this one.
    ProducerId(Option<ProducerId>),
    /// To take in the partitions of [`Transactor::adding`].
    Add(ProducerId),
    /// To end the transaction.
    End {
        /// Who has it.
        producer: ProducerId,
        /// Whether its records are to show.
        commit: bool,
    },
}

/// What became of a transaction; the next one has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The first one has begun, and there was none before.
    Started,
    /// Its records show.
    Committed,
    /// Its records do not show; the broker's error, if that is why.
    Aborted(Option<i16>),
    /// Nobody can tell whether its records show; the error that came in place of an answer.
    Unknown(i16),
    /// This producer is finished, of this error. Whether a commit took place nobody knows.
    Finished(i16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was asked for.
    Idle,
    /// A new epoch comes before the next transaction; then this is told.
    Renewing(Outcome),
    /// Records may go.
    Open,
    /// It is being ended; `reason` is why it is not committed.
    Ending { commit: bool, reason: Option<i16> },
    /// Nothing goes any more.
    Finished(i16),
}

/// A transaction that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Who writes in it.
    pub producer: ProducerId,
    /// A Produce adds its partition.
    pub is_newer: bool,
}

/// What was said of partitions that were to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Added {
    /// They are part of the transaction.
    pub admitted: Vec<PartitionSlot>,
    /// They cannot be, and why.
    pub refused: Vec<(PartitionSlot, i16)>,
}

/// How transactions begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Partitions are added first, and an epoch serves many transactions.
    Former,
    /// A Produce adds its partition, and each end comes with a new epoch.
    Newer,
}

/// What was not answered, and may yet arrive.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    /// An attempt to end the transaction.
    end: bool,
    /// A request for a producer id, as if of another producer: it may take the id away from us.
    id: bool,
    /// A request to add partitions: it may begin a transaction behind this one's end, which fences who asks for the next
    /// epoch then.
    add: bool,
}

impl Lost {
    /// Whether it may be that nobody else has fenced us.
    fn may_fence_us(self) -> bool {
        self.id || self.add
    }
}

/// The transactions of one transactional id, one after the other. One request is under way at a time.
#[derive(Debug)]
pub(crate) struct Transactor {
    coordinator: Option<i32>,
    producer: Option<ProducerId>,
    stage: Stage,
    asked: Option<Ask>,
    not_before_us: u64,
    pause_us: u64,
    /// Partitions that are to be added.
    wanted: Vec<PartitionSlot>,
    /// Partitions of the request that is under way.
    adding: Vec<PartitionSlot>,
    /// The coordinator may know of the open transaction.
    is_known: bool,
    /// The present epoch must not see another transaction.
    needs_epoch: bool,
    lost: Lost,
    /// As the coordinator's broker has it.
    of_coordinator: Manner,
    /// As the open transaction has it.
    manner: Manner,
    opened: Option<Opened>,
    outcome: Option<(Outcome, u64)>,
}

/// What an answer's error means, whatever was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Done,
    /// Markers of the transaction before are being written.
    Concurrent,
    /// The coordinator has only just become one.
    Loading,
    /// Somebody else is the coordinator.
    Moved,
    /// Somebody else has the id, or the transaction took too long.
    Fenced,
    /// The transaction is not in a state for this, and can only be aborted.
    Abortable,
    Other,
}

fn kind(error: i16) -> Kind {
    match error {
        code::NONE => Kind::Done,
        code::CONCURRENT_TRANSACTIONS => Kind::Concurrent,
        code::COORDINATOR_LOAD_IN_PROGRESS => Kind::Loading,
        code::COORDINATOR_NOT_AVAILABLE | code::NOT_COORDINATOR => Kind::Moved,
        code::INVALID_PRODUCER_EPOCH | code::PRODUCER_FENCED => Kind::Fenced,
        code::INVALID_TXN_STATE | code::TRANSACTION_ABORTABLE => Kind::Abortable,
        _ => Kind::Other,
    }
}

impl Transactor {
    /// Nothing is asked before [`Self::start`].
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            coordinator: None,
            producer: None,
            stage: Stage::Idle,
            asked: None,
            not_before_us: 0,
            pause_us: 0,
            wanted: Vec::new(),
            adding: Vec::new(),
            is_known: false,
            needs_epoch: false,
            lost: Lost::default(),
            of_coordinator: Manner::Former,
            manner: Manner::Former,
            opened: None,
            outcome: None,
        }
    }

    /// Begins the first transaction: whatever another producer left open under this id is aborted before.
    pub(crate) fn start(&mut self) {
        if self.stage == Stage::Idle {
            self.stage = Stage::Renewing(Outcome::Started);
        }
    }

    /// The coordinator, as far as is known.
    #[must_use]
    pub(crate) fn coordinator(&self) -> Option<i32> {
        self.coordinator
    }

    /// The coordinator's broker has this manner.
    pub(crate) fn note_manner(&mut self, is_newer: bool) {
        self.of_coordinator = if is_newer { Manner::Newer } else { Manner::Former };
    }

    /// Whether ends come with a new epoch.
    #[must_use]
    pub(crate) fn is_newer(&self) -> bool {
        self.manner == Manner::Newer
    }

    /// Whether records may go into a transaction.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// The error that finished this producer.
    #[must_use]
    pub(crate) fn finished(&self) -> Option<i16> {
        if let Stage::Finished(error) = self.stage { Some(error) } else { None }
    }

    /// The transaction that has begun since this was asked last.
    pub(crate) fn take_opened(&mut self) -> Option<Opened> {
        self.opened.take()
    }

    /// What became of the last one, once.
    pub(crate) fn take_outcome(&mut self, now_us: u64) -> Option<Outcome> {
        self.outcome.take_if(|(_, at_us)| *at_us <= now_us).map(|(outcome, _)| outcome)
    }

    /// Whether that is known.
    #[must_use]
    pub(crate) fn has_outcome(&self, now_us: u64) -> bool {
        self.outcome.is_some_and(|(_, at_us)| at_us <= now_us)
    }

    /// A partition is to be written to, and has to be added before.
    pub(crate) fn want(&mut self, partition: PartitionSlot) {
        self.wanted.push(partition);
    }

    /// The partitions of the request that is to be sent, or under way.
    #[must_use]
    pub(crate) fn adding(&self) -> &[PartitionSlot] {
        &self.adding
    }

    /// Sequence numbers of the present epoch cannot go on.
    pub(crate) fn break_sequence(&mut self) {
        self.needs_epoch = true;
    }

    /// Whether something was asked that was not answered.
    #[must_use]
    pub(crate) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Ends the transaction, all of whose records have their fates; `reason` is why it is not committed.
    pub(crate) fn end(&mut self, commit: bool, reason: Option<i16>, now_us: u64) {
        self.wanted.clear();
        match self.stage {
            Stage::Open if self.is_known || self.is_newer() => {
                self.stage = Stage::Ending { commit, reason };
                self.lost.end = false;
                (self.not_before_us, self.pause_us) = (0, 0);
            }
            // The coordinator has never heard of it.
            Stage::Open => self.over(if commit { Outcome::Committed } else { Outcome::Aborted(reason) }),
            Stage::Finished(error) => self.outcome = Some((Outcome::Finished(error), now_us)),
            Stage::Idle | Stage::Renewing(_) | Stage::Ending { .. } => {}
        }
    }

    /// What is to be asked now.
    pub(crate) fn next(&mut self, now_us: u64) -> Option<Ask> {
        if self.asked.is_some() || now_us < self.not_before_us {
            return None;
        }
        let ask = self.wish()?;
        if self.coordinator.is_none() {
            return Some(Ask::Coordinator);
        }
        if let Ask::Add(_) = ask
            && self.adding.is_empty()
        {
            std::mem::swap(&mut self.adding, &mut self.wanted);
        }
        Some(ask)
    }

    fn wish(&self) -> Option<Ask> {
        match (self.stage, self.producer) {
            (Stage::Renewing(_), producer) => Some(Ask::ProducerId(producer)),
            (Stage::Open, Some(producer)) => {
                (!self.wanted.is_empty() || !self.adding.is_empty()).then_some(Ask::Add(producer))
            }
            (Stage::Ending { commit, .. }, Some(producer)) => Some(Ask::End { producer, commit }),
            (Stage::Idle | Stage::Open | Stage::Ending { .. } | Stage::Finished(_), _) => None,
        }
    }

    /// When something is to be asked or told, µs; `u64::MAX`: not before something else happens.
    #[must_use]
    pub(crate) fn next_us(&self) -> u64 {
        let ask_us =
            if self.asked.is_none() && self.wish().is_some() { self.not_before_us } else { u64::MAX };
        self.outcome.map_or(ask_us, |(_, at_us)| at_us.min(ask_us))
    }

    /// It is being asked.
    pub(crate) fn asked(&mut self, ask: Ask) {
        self.is_known |= matches!(ask, Ask::Add(_));
        self.asked = Some(ask);
    }

    /// There will be no answer; the request may have arrived, and may yet arrive. The coordinator may be another one.
    pub(crate) fn not_answered(&mut self, now_us: u64) {
        match self.asked.take() {
            Some(Ask::End { .. }) => self.lost.end = true,
            Some(Ask::ProducerId(None)) => self.lost.id = true,
            Some(Ask::Add(_)) => (self.lost.add, self.needs_epoch) = (true, true),
            Some(Ask::Coordinator | Ask::ProducerId(Some(_))) | None => {}
        }
        self.coordinator = None;
        // How long a connection is waited for is the connection's business.
        self.not_before_us = now_us;
    }

    fn pause(&mut self, (shortest_us, longest_us): (u64, u64), now_us: u64) {
        self.pause_us = (self.pause_us * 2).clamp(shortest_us, longest_us);
        self.not_before_us = now_us + self.pause_us;
    }

    fn answered(&mut self) {
        self.asked = None;
        (self.not_before_us, self.pause_us) = (0, 0);
    }

    /// Takes in who the coordinator is.
    pub(crate) fn found(&mut self, error: i16, broker: i32, now_us: u64) {
        self.asked = None;
        match error {
            code::NONE if broker >= 0 => {
                self.coordinator = Some(broker);
                self.not_before_us = 0;
            }
            code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | code::CLUSTER_AUTHORIZATION_FAILED
            | code::INVALID_REQUEST
            | code::UNSUPPORTED_VERSION => self.finish(error, now_us),
            _ => self.pause(PAUSES_US, now_us),
        }
    }

    /// Takes in a producer id, or why there is none.
    pub(crate) fn got_id(&mut self, error: i16, producer: ProducerId, now_us: u64) {
        let Stage::Renewing(outcome) = self.stage else { return };
        self.asked = None;
        match kind(error) {
            Kind::Done => {
                self.answered();
                self.producer = Some(producer);
                self.open();
                self.outcome = Some((outcome, now_us));
            }
            Kind::Fenced if self.lost.may_fence_us() => self.forget_itself(),
            _ => self.wait_or_finish(error, now_us),
        }
    }

    /// Takes in what was said of the partitions that were to be added.
    pub(crate) fn added(&mut self, errors: impl Iterator<Item = (PartitionSlot, i16)>, now_us: u64) -> Added {
        self.asked = None;
        let mut added = Added::default();
        let (mut again, mut worst) = (false, None);
        for (partition, error) in errors {
            if !self.adding.contains(&partition) {
                continue;
            }
            match (kind(error), error) {
                (Kind::Done, _) => added.admitted.push(partition),
                (Kind::Concurrent | Kind::Loading | Kind::Moved | Kind::Fenced, _) => worst = Some(error),
                // It was not looked at because of another one, or the broker has not heard of it yet.
                (_, code::OPERATION_NOT_ATTEMPTED | code::UNKNOWN_TOPIC_OR_PARTITION) => again = true,
                (_, code::INVALID_PRODUCER_ID_MAPPING | code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED) => {
                    worst = Some(error);
                }
                _ => added.refused.push((partition, error)),
            }
        }
        let is_told = |partition: &PartitionSlot| {
            added.admitted.contains(partition) || added.refused.iter().any(|(other, _)| other == partition)
        };
        self.adding.retain(|partition| !is_told(partition));
        match worst {
            Some(error) if kind(error) == Kind::Fenced && self.lost.may_fence_us() => {
                // The end will be answered likewise.
                added.refused.extend(self.adding.drain(..).map(|partition| (partition, error)));
            }
            Some(error) => self.wait_or_finish(error, now_us),
            None if again || !self.adding.is_empty() => self.pause(PAUSES_US, now_us),
            None => self.answered(),
        }
        added
    }

    /// Takes in the answer to an end; `next` is the producer of the next transaction, in the newer manner.
    pub(crate) fn ended(&mut self, error: i16, next: Option<ProducerId>, now_us: u64) {
        let Stage::Ending { commit, reason } = self.stage else { return };
        self.asked = None;
        match kind(error) {
            Kind::Done => {
                self.answered();
                match next.filter(|_| self.is_newer()) {
                    Some(next) => {
                        self.producer = Some(next);
                        self.needs_epoch = false;
                    }
                    // What was lost may yet arrive, in this epoch.
                    None => self.needs_epoch |= self.lost.end || self.is_newer(),
                }
                let outcome = if commit { Outcome::Committed } else { Outcome::Aborted(reason) };
                self.over_at(outcome, now_us);
            }
            Kind::Abortable if commit && self.lost.end => {
                self.needs_epoch = true;
                self.over_at(Outcome::Unknown(error), now_us);
            }
            Kind::Abortable if commit => {
                self.answered();
                self.stage = Stage::Ending { commit: false, reason: Some(error) };
            }
            // There is nothing to abort.
            Kind::Abortable => {
                self.needs_epoch = true;
                self.over_at(Outcome::Aborted(reason), now_us);
            }
            Kind::Fenced if self.lost.may_fence_us() => {
                self.forget_itself();
                let is_unknown = commit && self.lost.end;
                let outcome =
                    if is_unknown { Outcome::Unknown(error) } else { Outcome::Aborted(Some(error)) };
                self.stage = Stage::Renewing(outcome);
            }
            _ => self.wait_or_finish(error, now_us),
        }
    }

    /// It was we ourselves who took the id away: a request of ours arrived late. A new epoch is asked for as if by another
    /// producer.
    fn forget_itself(&mut self) {
        self.answered();
        self.producer = None;
        (self.lost.id, self.lost.add) = (false, false);
    }

    fn wait_or_finish(&mut self, error: i16, now_us: u64) {
        match kind(error) {
            Kind::Concurrent => self.pause(MARKER_PAUSES_US, now_us),
            Kind::Loading => self.pause(PAUSES_US, now_us),
            Kind::Moved => {
                self.coordinator = None;
                self.pause(PAUSES_US, now_us);
            }
            Kind::Done | Kind::Fenced | Kind::Abortable | Kind::Other => self.finish(error, now_us),
        }
    }

    fn over(&mut self, outcome: Outcome) {
        self.over_at(outcome, 0);
    }

    /// The transaction is over. The next one begins, in a new epoch if need be.
    fn over_at(&mut self, outcome: Outcome, now_us: u64) {
        self.answered();
        if self.needs_epoch {
            self.stage = Stage::Renewing(outcome);
        } else {
            self.open();
            self.outcome = Some((outcome, now_us));
        }
    }

    fn open(&mut self) {
        (self.needs_epoch, self.is_known) = (false, false);
        (self.lost.end, self.lost.add) = (false, false);
        self.manner = self.of_coordinator;
        self.wanted.clear();
        self.adding.clear();
        self.stage = Stage::Open;
        let is_newer = self.is_newer();
        self.opened = self.producer.map(|producer| Opened { producer, is_newer });
    }

    /// Nothing goes any more. What became of a transaction that is over is told all the same.
    fn finish(&mut self, error: i16, now_us: u64) {
        self.outcome = match self.stage {
            Stage::Renewing(Outcome::Started) => Some((Outcome::Finished(error), now_us + PAUSE_AT_START_US)),
            Stage::Renewing(outcome) => Some((outcome, now_us)),
            Stage::Ending { .. } => Some((Outcome::Finished(error), now_us)),
            Stage::Idle | Stage::Open | Stage::Finished(_) => None,
        };
        self.stage = Stage::Finished(error);
    }
}

impl Default for Transactor {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[path = "transaction_tests.rs"]
mod tests;
