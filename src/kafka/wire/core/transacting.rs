//! A producer's transactions on its connections: the coordinator is looked for and asked, records are held back until they
//! may go, and let go of where their transaction is aborted.

use std::rc::Rc;

use super::{
    connection::{Connection, ConnectionError, Response},
    idempotence::ProducerId,
    network::{Network, Tag},
    partition::{Cause, Fate},
    producer::Own,
    sink::Sink,
    transaction::{Ask, Outcome, Transactor},
    way::{Reached, Way},
};
use crate::{
    kafka::wire::protocol::{
        AddPartitionsRequest, AddPartitionsResponse, Api, CoordinatorKind, DecodeError, Decoder,
        EndTxnRequest, EndTxnResponse, FindCoordinatorRequest, FindCoordinatorResponse,
        InitProducerIdRequest, InitProducerIdResponse, TopicRefs, UnsupportedApi,
    },
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
};

/// The level of `transaction.version` from which on a Produce adds its partition (KIP-890).
const NEWER_FROM: i16 = 2;
/// The first `EndTxn` that comes with a new epoch.
const NEWER_END: i16 = 5;

/// Whose transactions they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransactionalId {
    /// `transactional.id`.
    pub id: Rc<str>,
    /// How long a transaction may stay open, ms.
    pub timeout_ms: i32,
}

/// The transactions of a producer.
#[derive(Debug)]
pub(crate) struct Transacting {
    id: TransactionalId,
    transactor: Transactor,
    /// The open transaction is to be ended once all its records have their fates: whether it is to be committed.
    ending: Option<bool>,
    /// Why a record of the open transaction is not in the log, or may not be; or that it need not be.
    failed: Option<Cause>,
    way: Way,
}

impl Transacting {
    /// Nothing is asked before [`Self::start`].
    #[must_use]
    pub(crate) fn new(id: TransactionalId) -> Self {
        Self { id, transactor: Transactor::new(), ending: None, failed: None, way: Way::default() }
    }

    /// Begins the first transaction.
    pub(crate) fn start(&mut self) {
        self.transactor.start();
    }

    /// The open transaction gets no more records, and ends when those that it has have their fates. One of which a record
    /// has failed is aborted in any case.
    pub(crate) fn end(&mut self, commit: bool) {
        self.ending = Some(commit);
    }

    /// Whether records may go into a transaction.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        self.transactor.is_open() && self.ending.is_none()
    }

    /// The error that finished this producer.
    #[must_use]
    pub(crate) fn finished(&self) -> Option<i16> {
        self.transactor.finished()
    }

    /// What became of a transaction, once that is known.
    pub(crate) fn take_outcome(&mut self, now_us: u64) -> Option<Outcome> {
        self.transactor.take_outcome(now_us)
    }

    /// Whether it is.
    #[must_use]
    pub(crate) fn has_outcome(&self, now_us: u64) -> bool {
        self.transactor.has_outcome(now_us)
    }

    /// When something is due, µs; `u64::MAX`: not before something else happens.
    #[must_use]
    pub(crate) fn next_deadline_us(&self, now_us: u64) -> u64 {
        let due_us = self.transactor.next_us();
        // What is due waits for a connection, whose own time counts.
        let due_us = if due_us > now_us { due_us } else { u64::MAX };
        due_us.min(self.way.next_deadline_us(now_us))
    }

    /// A batch of the open transaction has its fate, and that was told.
    pub(crate) fn settled(&mut self, fate: Fate) {
        if let Fate::Failed(cause) | Fate::Unknown(cause) = fate {
            self.failed.get_or_insert(cause);
        }
    }

    /// Does whatever can be done by now.
    pub(crate) fn step(&mut self, network: &mut Network<Own>, sink: &mut Sink, now_us: u64) {
        self.end_if_settled(sink, now_us);
        for partition in sink.take_unadmitted() {
            self.transactor.want(partition);
        }
        if let Some(ask) = self.transactor.next(now_us) {
            self.ask(ask, network, sink, now_us);
        }
        if let Some(opened) = self.transactor.take_opened() {
            sink.begin_transaction(opened.producer, &self.id.id, opened.is_newer);
            (self.ending, self.failed) = (None, None);
        }
    }

    fn end_if_settled(&mut self, sink: &mut Sink, now_us: u64) {
        let Some(commit) = self.ending else { return };
        let commit = commit && self.failed.is_none();
        if !commit {
            // Nobody wants it any more. What is in flight is waited for: it must not arrive behind the marker.
            sink.let_go(Cause::GivenUp);
        }
        if sink.records() > 0 || self.transactor.is_asking() {
            return;
        }
        self.ending = None;
        if sink.wants_producer() {
            self.transactor.break_sequence();
        }
        let reason = match self.failed {
            Some(Cause::Broker(error)) => Some(error),
            Some(Cause::GivenUp) | None => None,
        };
        self.transactor.end(commit, reason, now_us);
    }

    fn ask(&mut self, ask: Ask, network: &mut Network<Own>, sink: &mut Sink, now_us: u64) {
        let link = match self.transactor.coordinator().filter(|_| ask != Ask::Coordinator) {
            None => {
                self.way.forget();
                network.control(now_us)
            }
            Some(broker) => match self.way.to(broker, network, now_us) {
                Reached::There(link) => Some(link),
                Reached::NotYet => None,
                Reached::Missed => {
                    self.transactor.not_answered(now_us);
                    None
                }
            },
        };
        let question_us = network.settings().question_us;
        let Some(connection) = link.and_then(|link| network.connection(link)) else { return };
        let is_newer = is_newer(connection);
        if ask != Ask::Coordinator {
            self.transactor.note_manner(is_newer);
        }
        let deadline_us = connection.deadline_us(now_us, question_us);
        match self.send(ask, sink.table(), connection, deadline_us) {
            Ok(()) => self.transactor.asked(ask),
            Err(_) => self.refused(ask, sink, now_us),
        }
    }

    fn send(
        &self,
        ask: Ask,
        table: &PartitionTable,
        connection: &mut Connection<Tag<Own>>,
        deadline_us: u64,
    ) -> Result<(), UnsupportedApi> {
        let (id, tag) = (&*self.id.id, Tag::Own(Own::Transaction(ask)));
        match ask {
            Ask::Coordinator => {
                let request = FindCoordinatorRequest { key: id, kind: CoordinatorKind::Transaction };
                connection.send(&request, deadline_us, tag)
            }
            Ask::ProducerId(current) => {
                let request = InitProducerIdRequest {
                    transactional_id: Some(id),
                    transaction_timeout_ms: self.id.timeout_ms,
                    current: current.map_or((-1, -1), pair),
                };
                connection.send(&request, deadline_us, tag)
            }
            Ask::Add(producer) => {
                let adding = self.transactor.adding().iter();
                let mut partitions: Vec<_> = adding.map(|slot| table.place(*slot)).collect();
                partitions.sort_unstable();
                let (topics, producer) = (TopicRefs::Names(table.topics()), pair(producer));
                let request =
                    AddPartitionsRequest { transactional_id: id, producer, topics, partitions: &partitions };
                connection.send(&request, deadline_us, tag)
            }
            Ask::End { producer, commit } => {
                let request = EndTxnRequest { transactional_id: id, producer: pair(producer), commit };
                let newest = if self.transactor.is_newer() { NEWER_END } else { NEWER_END - 1 };
                let version = connection.version(Api::EndTxn)?.min(newest);
                connection.send_version(&request, version, deadline_us, tag);
                Ok(())
            }
        }
    }

    /// The broker does not speak it, and will not.
    fn refused(&mut self, ask: Ask, sink: &mut Sink, now_us: u64) {
        self.transactor.asked(ask);
        let error = super::code::UNSUPPORTED_VERSION;
        match ask {
            Ask::Coordinator => self.transactor.found(error, -1, now_us),
            Ask::ProducerId(_) => self.transactor.got_id(error, NO_PRODUCER, now_us),
            Ask::Add(_) => {
                let all = self.transactor.adding().to_vec();
                self.added(all.into_iter().map(|partition| (partition, error)), sink, now_us);
            }
            Ask::End { .. } => self.transactor.ended(error, None, now_us),
        }
    }

    /// There will be no answer; the request may have arrived.
    pub(crate) fn not_answered(&mut self, now_us: u64) {
        self.transactor.not_answered(now_us);
    }

    /// Takes in an answer. Returns for how many ms the broker reads nothing.
    ///
    /// # Errors
    /// It cannot be read, and nobody knows what it said.
    pub(crate) fn take_in(
        &mut self,
        ask: Ask,
        response: &Response<Own>,
        body: Result<Decoder<'_>, ConnectionError>,
        (sink, now_us): (&mut Sink, u64),
    ) -> Result<i32, ConnectionError> {
        let &Response { api, version, .. } = response;
        let unreadable = |error| ConnectionError::Unreadable { api, version, error };
        let taken =
            body.and_then(|body| self.take_in_body(ask, version, body, (sink, now_us)).map_err(unreadable));
        taken.inspect_err(|_| self.transactor.not_answered(now_us))
    }

    fn take_in_body(
        &mut self,
        ask: Ask,
        version: i16,
        body: Decoder<'_>,
        (sink, now_us): (&mut Sink, u64),
    ) -> Result<i32, DecodeError> {
        match ask {
            Ask::Coordinator => {
                let answer = FindCoordinatorResponse::decode(version, body)?;
                let (error, id) = answer.coordinator.map_or((0, -1), |found| (found.error, found.id));
                self.transactor.found(error, id, now_us);
                Ok(answer.throttle_time_ms)
            }
            Ask::ProducerId(_) => {
                let answer = InitProducerIdResponse::decode(version, body)?;
                let producer = ProducerId { id: answer.producer_id, epoch: answer.producer_epoch };
                self.transactor.got_id(answer.error, producer, now_us);
                Ok(answer.throttle_time_ms)
            }
            Ask::Add(_) => {
                let answer = AddPartitionsResponse::decode(version, body)?;
                let added = answer.partitions.iter().filter_map(|added| {
                    let topic = sink.table().topic_named(added.topic)?;
                    let slot = sink.table().slot(TopicPartition { topic, partition: added.partition })?;
                    Some((slot, added.error))
                });
                let errors: Vec<_> = added.collect();
                self.added(errors.into_iter(), sink, now_us);
                Ok(answer.throttle_time_ms)
            }
            Ask::End { .. } => {
                let answer = EndTxnResponse::decode(version, body)?;
                let next = answer.next_producer.map(|(id, epoch)| ProducerId { id, epoch });
                self.transactor.ended(answer.error, next, now_us);
                Ok(answer.throttle_time_ms)
            }
        }
    }

    fn added(&mut self, errors: impl Iterator<Item = (PartitionSlot, i16)>, sink: &mut Sink, now_us: u64) {
        let added = self.transactor.added(errors, now_us);
        added.admitted.iter().for_each(|partition| sink.admit(*partition));
        for (partition, error) in added.refused {
            sink.refuse(partition, Cause::Broker(error));
        }
    }
}

const NO_PRODUCER: ProducerId = ProducerId { id: -1, epoch: -1 };

fn pair(producer: ProducerId) -> (i64, i16) {
    (producer.id, producer.epoch)
}

/// Whether a broker's cluster has agreed on the newer manner, and the broker has it.
fn is_newer(connection: &Connection<Tag<Own>>) -> bool {
    connection.transaction_version() >= NEWER_FROM
        && connection.version(Api::EndTxn).is_ok_and(|version| version >= NEWER_END)
}
