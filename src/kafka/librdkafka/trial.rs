//! Clients that are made on trial: whether librdkafka takes all their settings, together, before a run does anything.
//!
//! It judges many combinations only when a client is made. One without brokers goes nowhere.

use rdkafka::{ClientConfig, types::RDKafkaType};

use super::{
    client::Handle,
    settings::{ConsumerSettings, GroupSettings, ProducerSettings},
};
use crate::{
    kafka::{ClientError, ClientSettings},
    runtime::cores::cpu_set::CpuSet,
};

impl ProducerSettings {
    /// Finds out whether such a producer can be made.
    ///
    /// # Errors
    /// The setting that is in the way, or the client library's word on all of them.
    pub(super) fn try_out(&self) -> Result<(), ClientError> {
        try_out(RDKafkaType::RD_KAFKA_PRODUCER, self.config(), &self.client, &self.client_cpus)
    }
}

impl ConsumerSettings {
    /// Finds out whether such a consumer can be made.
    ///
    /// # Errors
    /// The setting that is in the way, or the client library's word on all of them.
    pub(crate) fn try_out(&self) -> Result<(), ClientError> {
        try_out(RDKafkaType::RD_KAFKA_CONSUMER, self.config(), &self.client, &self.client_cpus)
    }
}

impl GroupSettings {
    /// Finds out whether such a member can be made.
    ///
    /// # Errors
    /// The setting that is in the way, or the client library's word on all of them.
    pub(crate) fn try_out(&self) -> Result<(), ClientError> {
        try_out(RDKafkaType::RD_KAFKA_CONSUMER, self.config(), &self.client, &self.client_cpus)
    }
}

fn try_out(
    kind: RDKafkaType,
    mut config: ClientConfig,
    client: &ClientSettings,
    cpus: &CpuSet,
) -> Result<(), ClientError> {
    config.remove("bootstrap.servers");
    match Handle::start(kind, &config, cpus) {
        Ok(handle) => {
            drop(handle);
            Ok(())
        }
        // Ours are taken: it is for what the user has added.
        Err(ClientError::Start(reason)) if !client.overrides.is_empty() => {
            Err(ClientError::Combination { reason })
        }
        Err(error) => Err(error),
    }
}
