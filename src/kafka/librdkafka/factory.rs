//! Who makes clients that stand on librdkafka.

use std::{cell::Cell, rc::Rc};

use super::{
    producer::Producer,
    reader::{Prober, Reader, end_of_unreadable},
    settings::{ConsumerSettings, ProducerSettings},
};
use crate::{
    kafka::{ClientError, ClientFactory, ClientSettings, Isolation, ReaderSettings, WriterSettings},
    runtime::cores::cpu_set::CpuSet,
};

/// Makes a shard's clients.
#[derive(Clone, Debug)]
pub struct Librdkafka {
    client: ClientSettings,
    /// Where the library's threads may run.
    cpus: CpuSet,
    /// Something has come back to one of the clients: the brokers answer.
    is_warm: Rc<Cell<bool>>,
}

impl Librdkafka {
    /// One for this cluster, whose clients' own threads may run on these CPUs.
    #[must_use]
    pub fn new(client: ClientSettings, cpus: CpuSet) -> Self {
        Self { client, cpus, is_warm: Rc::default() }
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
        Producer::start(&settings, topics, self.is_warm.clone())
    }
}
