//! A producer for one topic, without I/O: connections, leaders, a producer id, and records on their way.

use super::{
    connection::{ConnectionError, Response},
    idempotence::ProducerIds,
    machine::{Action, LinkId, Machine, Slices},
    network::{Network, NetworkSettings, Tag},
    partition::{Batch, Settled},
    sink::{RequestSlot, Sink, SinkSettings},
    values::LastingValues,
};
use crate::kafka::wire::{
    batch::NewRecord,
    protocol::{InitProducerIdRequest, InitProducerIdResponse},
};

/// What a producer's own requests are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Records.
    Produce(RequestSlot),
    /// A producer id.
    ProducerId,
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// As many are on their way as may be.
    Full,
    /// The broker's error, which every record would get.
    Refused(i16),
    /// There is no such partition.
    NoPartition,
}

/// The producer.
#[derive(Debug)]
pub struct Producer {
    network: Network<Own>,
    sink: Sink,
    ids: ProducerIds,
    values: LastingValues,
    now_us: u64,
}

impl Producer {
    /// Nothing is connected yet; the first [`Self::step`] begins with that.
    #[must_use]
    pub fn new(network: NetworkSettings, sink: SinkSettings, topic: &str) -> Self {
        Self {
            network: Network::new(network, topic),
            sink: Sink::new(sink),
            ids: ProducerIds::new(),
            values: LastingValues::new(),
            now_us: 0,
        }
    }

    /// Its connections, and what is known of the cluster.
    #[must_use]
    pub fn network(&self) -> &Network<Own> {
        &self.network
    }

    /// What makes large values cheap.
    pub fn values(&mut self) -> &mut LastingValues {
        &mut self.values
    }

    /// Takes a record. It is sent at the next [`Self::step`] at the earliest.
    ///
    /// # Errors
    /// It is not taken.
    #[inline]
    pub fn push(&mut self, partition: i32, record: &NewRecord<'_>, token: usize) -> Result<(), NotTaken> {
        if self.sink.is_full() {
            return Err(NotTaken::Full);
        }
        if let Some(error) = self.refusal() {
            return Err(NotTaken::Refused(error));
        }
        let is_known = self.sink.push(partition, record, token, self.now_us);
        if is_known { Ok(()) } else { Err(NotTaken::NoPartition) }
    }

    /// The error for which no record can be sent, now or later.
    #[must_use]
    pub fn refusal(&self) -> Option<i16> {
        self.ids.refusal()
    }

    /// Does whatever can be done by now.
    pub fn step(&mut self, now_us: u64) {
        self.now_us = now_us;
        self.network.handle_timeout(now_us);
        self.take_losses(now_us);
        if self.sink.wants_producer() {
            self.ids.want();
        }
        if self.ids.is_due(now_us) {
            self.ask_for_an_id(now_us);
        }
        self.sink.send(&mut self.network, self.values.shift(), now_us);
        self.take_losses(now_us);
    }

    fn take_losses(&mut self, now_us: u64) {
        while let Some(lost) = self.network.poll_lost() {
            self.sink.lost(lost.link, now_us);
            if lost.unanswered.contains(&Own::ProducerId) {
                self.ids.not_answered(now_us);
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
    pub fn next_settled(&mut self) -> Option<Settled> {
        self.sink.next_settled()
    }

    /// A batch that is done with.
    pub fn recycle(&mut self, batch: Batch) {
        self.sink.recycle(batch);
    }

    /// Gives up on all that is on its way: each record still has its fate told. What was in flight may be in the log.
    pub fn give_up(&mut self, now_us: u64) {
        for link in self.sink.links() {
            self.network.fail(link, ConnectionError::GivenUp, now_us);
        }
        self.take_losses(now_us);
        self.sink.give_up();
    }

    fn answered(&mut self, link: LinkId, response: Response<Own>, now_us: u64) {
        let result = match response.tag {
            Own::Produce(slot) => self.produced(link, slot, &response, now_us),
            Own::ProducerId => self.got_an_id(link, &response, now_us),
        };
        match (result, self.network.connection(link)) {
            (Ok(throttle_ms), Some(connection)) => {
                connection.pass();
                connection.throttle(throttle_ms, now_us);
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
        let (name, id) = (self.network.cluster.topic().clone(), self.network.cluster.topic_id());
        let body = self.network.body(link, response)?;
        let answered = self.sink.answered(slot, (response.version, body), (&name, id), now_us)?;
        let mut is_news = false;
        for (partition, hint) in answered.hints {
            is_news |= self.network.cluster.hint(partition, hint);
        }
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
        Ok(answer.throttle_time_ms)
    }
}

impl Machine for Producer {
    fn poll_action(&mut self) -> Option<Action> {
        self.network.poll_action()
    }

    fn opened(&mut self, link: LinkId, now_us: u64) {
        self.network.opened(link, now_us);
    }

    fn closed(&mut self, link: LinkId, error: ConnectionError, now_us: u64) {
        self.network.closed(link, error, now_us);
        self.step(now_us);
    }

    fn space(&mut self, link: LinkId) -> &mut [u8] {
        match self.network.connection(link) {
            Some(connection) => connection.space(),
            None => &mut [],
        }
    }

    fn received(&mut self, link: LinkId, bytes: usize, now_us: u64) {
        self.network.received(link, bytes, now_us);
        while let Some(response) = self.network.next_response(link, now_us) {
            self.answered(link, response, now_us);
        }
        self.step(now_us);
    }

    fn output<'a>(&'a self, link: LinkId, slices: &mut Slices<'a>) {
        let Some(connection) = self.network.connection_ref(link) else { return };
        // Only the first thing on a connection, and questions, are here: never beside records.
        slices.push(connection.output());
        self.sink.output(link, slices);
    }

    fn wrote(&mut self, link: LinkId, bytes: usize) {
        let Some(connection) = self.network.connection(link) else { return };
        let of_connection = connection.output().len().min(bytes);
        connection.wrote(of_connection);
        self.sink.wrote(link, bytes - of_connection);
    }

    fn next_deadline_us(&self, now_us: u64) -> u64 {
        let ids_us = self.ids.next_us();
        // One that is due waits for a connection, whose own time counts.
        let ids_us = if ids_us > now_us { ids_us } else { u64::MAX };
        self.network.next_deadline_us(now_us).min(self.sink.next_deadline_us()).min(ids_us)
    }

    fn handle_timeout(&mut self, now_us: u64) {
        self.step(now_us);
    }

    fn has_news(&self) -> bool {
        self.sink.has_settled()
    }
}

#[cfg(test)]
#[path = "producer_tests.rs"]
mod tests;
