//! Who makes clients that stand on librdkafka.

use std::{cell::Cell, rc::Rc, time::Duration};

use rdkafka::bindings as rdk;

use super::{
    hub::{HubBell, Ringer},
    producer::Producer,
    reader::{Prober, Reader, end_of_unreadable},
    settings::{ConsumerSettings, ProducerSettings},
    wake::QueueWake,
};
use crate::{
    kafka::{ClientError, ClientFactory, ClientSettings, Isolation, ReaderSettings, WriterSettings},
    runtime::cores::cpu_set::CpuSet,
};

/// Makes a shard's clients.
#[derive(Clone)]
pub struct Librdkafka {
    client: ClientSettings,
    /// Where the library's threads may run.
    cpus: CpuSet,
    /// Rung by all clients; `None`: each wakes the shard by itself.
    bell: Option<HubBell>,
    /// Something has come back to one of the clients: the brokers answer.
    is_warm: Rc<Cell<bool>>,
}

impl Librdkafka {
    /// One for this cluster, whose clients' own threads may run on these CPUs.
    #[must_use]
    pub fn new(client: ClientSettings, cpus: CpuSet) -> Self {
        Self { client, cpus, bell: None, is_warm: Rc::default() }
    }

    /// One of many on a shard: its clients ring this bell, and do without what speeds up their first record.
    #[must_use]
    pub fn ringing(client: ClientSettings, cpus: CpuSet, bell: HubBell) -> Self {
        Self { client, cpus, bell: Some(bell), is_warm: Rc::new(Cell::new(true)) }
    }

    fn consumer_settings(&self, reader: ReaderSettings) -> ConsumerSettings {
        ConsumerSettings { client: self.client.clone(), reader, client_cpus: self.cpus.clone() }
    }

    /// What finds out for a member of a group about places where nothing comes.
    pub(crate) fn prober(&self, isolation: Isolation, topic: &str) -> Prober {
        Prober::new(&self.consumer_settings(ReaderSettings::here_and_there(isolation)), topic)
    }

    /// Of what cannot be read, the first offset behind `from` that can be read again, or where the log ends; `None` when
    /// `stop` became true before. For members of a group, whose own clients must not try offsets.
    ///
    /// # Errors
    /// There is no client to be had that finds it out.
    pub(crate) async fn end_of_unreadable(
        &self,
        isolation: Isolation,
        topic: &str,
        place: (i32, i64),
        stop: impl Fn() -> bool,
    ) -> Result<Option<i64>, ClientError> {
        let settings = self.consumer_settings(ReaderSettings::here_and_there(isolation));
        end_of_unreadable(&settings, topic, place, stop).await
    }
}

impl ClientFactory for Librdkafka {
    type Reader = Reader;
    type Writer = Producer;

    fn reader(&self, settings: &ReaderSettings, topic: &str) -> Result<Reader, ClientError> {
        Reader::start(&self.consumer_settings(*settings), topic)
    }

    fn writer(&self, settings: &WriterSettings, topics: &[&str]) -> Result<Producer, ClientError> {
        let settings = ProducerSettings {
            client: self.client.clone(),
            writer: settings.clone(),
            client_cpus: self.cpus.clone(),
        };
        let waking = match &self.bell {
            Some(bell) => Waking::Hub(bell.clone()),
            None => Waking::Own(QueueWake::new()?),
        };
        Producer::start(&settings, topics, waking, self.is_warm.clone())
    }
}

/// How a client wakes whoever waits for it.
pub(super) enum Waking {
    /// By a socket pair of its own.
    Own(QueueWake),
    /// By one that it shares.
    Hub(HubBell),
}

impl Waking {
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// How many deliveries are taken out of an event at once: a client with a socket of its own is the shard's only one.
    pub(super) fn deliveries(&self) -> usize {
        if self.is_own() { 1024 } else { 256 }
    }

    /// Has this queue wake the executor from now on. It must be detached ([`QueueWake::detach`]) before this value goes.
    pub(super) fn attach(&self, queue: *mut rdk::rd_kafka_queue_t) {
        match self {
            Self::Own(wake) => wake.attach(queue),
            Self::Hub(bell) => bell.attach(queue),
        }
    }

    pub(super) fn ringer(&self) -> Result<Ringer, ClientError> {
        match self {
            Self::Own(wake) => wake.ringer(),
            Self::Hub(bell) => bell.ringer(),
        }
    }

    /// Waits until it rings, but not longer than `limit`.
    pub(super) async fn wait(&self, limit: Duration) {
        match self {
            Self::Own(wake) => wake.wait(limit).await,
            Self::Hub(bell) => bell.bell().wait_at_most(limit).await,
        }
    }
}
