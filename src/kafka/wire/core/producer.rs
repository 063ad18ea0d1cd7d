//! A producer, without I/O: connections, leaders, a producer id, and records on their way.

use std::sync::Arc;

use super::{
    asking::send_questions,
    client::Client,
    code,
    connection::{ConnectionError, Response},
    idempotence::ProducerIds,
    machine::{LinkId, Slices},
    network::{Network, NetworkSettings, Tag},
    partition::{Batch, Cause, Settled},
    questions::{Answer, QuestionId, Questions, What},
    sink::{RequestSlot, Sink, SinkSettings},
    transacting::{Transacting, TransactionalId},
    transaction::Ask,
    values::LastingValues,
};
use crate::{
    kafka::wire::{
        batch::NewRecord,
        protocol::{InitProducerIdRequest, InitProducerIdResponse, TopicRef},
    },
    partitions::{PartitionSlot, PartitionTable},
};

/// What a producer's own requests are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// Records.
    Produce(RequestSlot),
    /// A producer id.
    ProducerId,
    /// A question to a leader, by its number.
    Question(u64),
    /// A transaction's coordinator, or who that is.
    Transaction(Ask),
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// As many are on their way as may be.
    Full,
    /// The cluster's error for the topic: it may pass.
    Refused(i16),
    /// The broker's error, for which no record can be sent by this producer any more.
    Finished(i16),
    /// The record alone is larger than a batch may be.
    TooLarge,
    /// No transaction is open.
    NoTransaction,
}

/// The producer.
#[derive(Debug)]
pub(crate) struct Producer {
    network: Network<Own>,
    sink: Sink,
    ids: ProducerIds,
    transacting: Option<Transacting>,
    values: LastingValues,
    questions: Questions,
    now_us: u64,
}

impl Producer {
    /// Nothing is connected yet; the first [`Self::step`] begins with that.
    #[must_use]
    pub(crate) fn new(network: NetworkSettings, sink: SinkSettings, table: &Arc<PartitionTable>) -> Self {
        Self {
            network: Network::new(network, table.clone()),
            sink: Sink::new(sink, table.clone()),
            ids: ProducerIds::new(),
            transacting: None,
            values: LastingValues::new(),
            questions: Questions::new(table.clone()),
            now_us: 0,
        }
    }

    /// One whose records are in transactions. Nothing is sent before [`Transacting::start`].
    #[must_use]
    pub(crate) fn in_transactions(
        network: NetworkSettings,
        sink: SinkSettings,
        table: &Arc<PartitionTable>,
        id: TransactionalId,
    ) -> Self {
        Self { transacting: Some(Transacting::new(id)), ..Self::new(network, sink, table) }
    }

    /// Its transactions, if its records are in any.
    pub(crate) fn transacting(&mut self) -> Option<&mut Transacting> {
        self.transacting.as_mut()
    }

    /// What makes large values cheap.
    pub(crate) fn values(&mut self) -> &mut LastingValues {
        &mut self.values
    }

    /// Takes a record. It is sent at the next [`Self::step`] at the earliest.
    ///
    /// # Errors
    /// It is not taken.
    #[inline]
    pub(crate) fn push(
        &mut self,
        slot: PartitionSlot,
        record: &NewRecord<'_>,
        token: usize,
    ) -> Result<(), NotTaken> {
        if self.sink.is_full() {
            return Err(NotTaken::Full);
        }
        if let Some(error) = self.refusal() {
            return Err(NotTaken::Finished(error));
        }
        if self.transacting.as_ref().is_some_and(|transacting| !transacting.is_open()) {
            return Err(NotTaken::NoTransaction);
        }
        let cluster = &self.network.cluster;
        match cluster.topic_error(slot) {
            // What was known of it before stays, and an answer without it may be one of a broker that has just started.
            Some(error) if error != code::NONE && !cluster.has_topic(slot) => Err(NotTaken::Refused(error)),
            Some(error @ code::TOPIC_AUTHORIZATION_FAILED) => Err(NotTaken::Refused(error)),
            _ => self.sink.push(slot, record, token, self.now_us),
        }
    }

    /// The error for which no record can be sent, now or later.
    #[must_use]
    pub(crate) fn refusal(&self) -> Option<i16> {
        self.ids.refusal().or_else(|| self.transacting.as_ref()?.finished())
    }

    /// Does whatever can be done by now.
    pub(crate) fn step(&mut self, now_us: u64) {
        self.now_us = now_us;
        self.network.handle_timeout(now_us);
        self.take_losses(now_us);
        if self.transacting.is_none() {
            if self.sink.wants_producer() {
                self.ids.want();
            }
            if self.ids.is_due(now_us) {
                self.ask_for_an_id(now_us);
            }
        }
        self.ask_leaders(now_us);
        self.sink.send(&mut self.network, self.values.shift(), now_us);
        self.take_losses(now_us);
        self.move_transaction_on(now_us);
    }

    fn move_transaction_on(&mut self, now_us: u64) {
        let Some(transacting) = &mut self.transacting else { return };
        transacting.step(&mut self.network, &mut self.sink, now_us);
        if transacting.finished().is_some() && self.sink.records() > 0 {
            self.give_back(Cause::GivenUp, now_us);
        }
    }

    fn ask_leaders(&mut self, now_us: u64) {
        self.questions.expire(now_us);
        // Before the cluster has answered nobody can be asked.
        if self.network.cluster.has_answered() {
            send_questions(&mut self.questions, &mut self.network, Own::Question, now_us);
        }
        if self.questions.take_stale() {
            self.network.cluster.suspect();
        }
    }

    /// Asks leaders where their logs start or end.
    pub(crate) fn ask(
        &mut self,
        slots: &[PartitionSlot],
        what: What,
        deadline_us: u64,
        now_us: u64,
    ) -> QuestionId {
        let id = self.questions.ask(slots, what, deadline_us, now_us);
        self.step(now_us);
        id
    }

    /// The answers, once each partition has one, and only once.
    pub(crate) fn answers(&mut self, question: QuestionId) -> Option<Vec<(PartitionSlot, Answer)>> {
        self.questions.answers(question)
    }

    fn take_losses(&mut self, now_us: u64) {
        while let Some(lost) = self.network.poll_lost() {
            self.sink.lost(lost.link, now_us);
            for tag in lost.unanswered {
                match tag {
                    // What became of its requests depends on what had been written of them.
                    Own::Produce(_) => {}
                    Own::ProducerId => self.ids.not_answered(now_us),
                    Own::Question(number) => self.questions.failed(number, now_us),
                    Own::Transaction(_) => {
                        if let Some(transacting) = &mut self.transacting {
                            transacting.not_answered(now_us);
                        }
                    }
                }
            }
        }
    }

    fn ask_for_an_id(&mut self, now_us: u64) {
        let Some(link) = self.network.control(now_us) else { return };
        let question_us = self.network.settings().question_us;
        let Some(connection) = self.network.connection(link) else { return };
        let deadline_us = connection.deadline_us(now_us, question_us);
        // Without transactions their limit means nothing.
        let (transaction_timeout_ms, current) = (i32::MAX, (-1, -1));
        let request = InitProducerIdRequest { transactional_id: None, transaction_timeout_ms, current };
        match connection.send(&request, deadline_us, Tag::Own(Own::ProducerId)) {
            Ok(()) => self.ids.asked(),
            Err(error) => self.network.fail(link, error.into(), now_us),
        }
    }

    /// The next batch whose fate is known. It comes back with [`Self::recycle`].
    pub(crate) fn next_settled(&mut self) -> Option<Settled> {
        let settled = self.sink.next_settled()?;
        if let Some(transacting) = &mut self.transacting {
            transacting.settled(settled.fate);
        }
        Some(settled)
    }

    /// A batch that is done with.
    pub(crate) fn recycle(&mut self, batch: Batch) {
        self.sink.recycle(batch);
    }

    /// Gives up on all that is on its way: each record still has its fate told. What was in flight may be in the log.
    pub(crate) fn give_up(&mut self, now_us: u64) {
        self.give_back(Cause::GivenUp, now_us);
    }

    fn give_back(&mut self, cause: Cause, now_us: u64) {
        for link in self.sink.links() {
            self.network.fail(link, ConnectionError::GivenUp, now_us);
        }
        self.take_losses(now_us);
        self.sink.give_up(cause);
    }

    fn answered(&mut self, link: LinkId, response: Response<Own>, now_us: u64) {
        let result = match response.tag {
            Own::Produce(slot) => self.produced(link, slot, &response, now_us),
            Own::ProducerId => self.got_an_id(link, &response, now_us),
            Own::Question(number) => self.got_an_answer(link, number, &response, now_us),
            Own::Transaction(ask) => self.got_word(link, ask, &response, now_us),
        };
        match (result, self.network.connection(link)) {
            (Ok(throttle_ms), Some(connection)) => {
                connection.pass();
                self.network.throttle(link, response.api, throttle_ms, now_us);
            }
            (Ok(_), None) => {}
            (Err(error), _) => self.network.fail(link, error, now_us),
        }
    }

    fn produced(
        &mut self,
        link: LinkId,
        slot: RequestSlot,
        response: &Response<Own>,
        now_us: u64,
    ) -> Result<i32, ConnectionError> {
        let body = self.network.body(link, response)?;
        let cluster = &self.network.cluster;
        let slot_of = |topic: TopicRef<'_>, partition| cluster.slot(topic, partition);
        let answered = self.sink.answered(slot, (response.version, body), slot_of, now_us)?;
        let mut is_news = false;
        for (slot, hint) in answered.hints {
            is_news |= self.network.cluster.hint(slot, hint);
        }
        self.network.note_error(answered.error);
        if answered.is_about_leader && !is_news {
            self.network.cluster.suspect();
        }
        Ok(answered.throttle_ms)
    }

    fn got_an_id(
        &mut self,
        link: LinkId,
        response: &Response<Own>,
        now_us: u64,
    ) -> Result<i32, ConnectionError> {
        let &Response { api, version, .. } = response;
        let answer = self.network.body(link, response).and_then(|body| {
            InitProducerIdResponse::decode(version, body).map_err(|error| ConnectionError::Unreadable {
                api,
                version,
                error,
            })
        });
        let answer = answer.inspect_err(|_| self.ids.not_answered(now_us))?;
        if let Some(producer) = self.ids.answered(answer, now_us) {
            self.sink.set_producer(producer);
        }
        if let Some(error) = self.refusal() {
            // Without an id none of it can be sent, and nobody waits for what never comes.
            self.give_back(Cause::Broker(error), now_us);
        }
        Ok(answer.throttle_time_ms)
    }

    fn got_word(
        &mut self,
        link: LinkId,
        ask: Ask,
        response: &Response<Own>,
        now_us: u64,
    ) -> Result<i32, ConnectionError> {
        let body = self.network.body(link, response);
        let Some(transacting) = &mut self.transacting else { return Ok(0) };
        transacting.take_in(ask, response, body, (&mut self.sink, now_us))
    }

    fn got_an_answer(
        &mut self,
        link: LinkId,
        number: u64,
        response: &Response<Own>,
        now_us: u64,
    ) -> Result<i32, ConnectionError> {
        let &Response { api, version, .. } = response;
        let body =
            self.network.body(link, response).inspect_err(|_| self.questions.failed(number, now_us))?;
        let answered = self.questions.answered(number, version, body, now_us);
        answered.map_err(|error| ConnectionError::Unreadable { api, version, error })
    }
}

impl Client for Producer {
    type Tag = Own;

    fn network(&self) -> &Network<Own> {
        &self.network
    }

    fn network_mut(&mut self) -> &mut Network<Own> {
        &mut self.network
    }

    fn take_in(&mut self, link: LinkId, response: Response<Own>, now_us: u64) {
        self.answered(link, response, now_us);
    }

    fn follow_up(&mut self, now_us: u64) {
        self.step(now_us);
    }

    fn own_deadline_us(&self, now_us: u64) -> u64 {
        let ids_us = self.ids.next_us();
        // One that is due waits for a connection, whose own time counts.
        let ids_us = if ids_us > now_us { ids_us } else { u64::MAX };
        let ids_us = match &self.transacting {
            Some(transacting) => transacting.next_deadline_us(now_us),
            None => ids_us,
        };
        self.sink.next_deadline_us().min(self.questions.next_deadline_us(now_us)).min(ids_us)
    }

    fn own_output<'a>(&'a self, link: LinkId, slices: &mut Slices<'a>) {
        self.sink.output(link, slices);
    }

    fn wrote_own(&mut self, link: LinkId, bytes: usize) {
        self.sink.wrote(link, bytes);
    }

    fn has_own_news(&self) -> bool {
        let has_outcome =
            self.transacting.as_ref().is_some_and(|transacting| transacting.has_outcome(self.now_us));
        has_outcome || self.sink.has_settled() || self.questions.has_answers()
    }
}

#[cfg(test)]
#[path = "producer_tests.rs"]
mod tests;
