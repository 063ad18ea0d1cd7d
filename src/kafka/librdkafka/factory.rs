//! Who makes clients that stand on librdkafka.

use std::{cell::Cell, rc::Rc};

use super::{producer::Producer, settings::ProducerSettings};
use crate::{
    kafka::{ClientError, ClientFactory, ClientSettings, WriterSettings},
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
}

impl ClientFactory for Librdkafka {
    type Writer = Producer;

    fn writer(&self, settings: &WriterSettings, topics: &[&str]) -> Result<Producer, ClientError> {
        let settings = ProducerSettings {
            client: self.client.clone(),
            writer: settings.clone(),
            client_cpus: self.cpus.clone(),
        };
        Producer::start(&settings, topics, self.is_warm.clone())
    }
}
