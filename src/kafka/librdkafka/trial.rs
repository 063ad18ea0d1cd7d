//! Clients that are made on trial: whether librdkafka takes all their settings, together, before a run does anything.
//!
//! It judges many combinations only when a client is made. One without brokers goes nowhere.

use std::ptr;

use rdkafka::{ClientConfig, bindings as rdk, types::RDKafkaType};

use super::{client::Handle, codes};
use crate::{
    kafka::{ClientError, ClientSettings, ConsumerSettings, GroupSettings, Observer, ProducerSettings},
    runtime::cores::cpu_set::CpuSet,
};

impl ProducerSettings {
    /// Finds out whether such a producer can be made.
    ///
    /// # Errors
    /// The setting that is in the way, or the client library's word on all of them.
    pub fn try_out(&self) -> Result<(), ClientError> {
        try_out(RDKafkaType::RD_KAFKA_PRODUCER, self.config(), &self.client, &self.client_cpus)
    }
}

impl ConsumerSettings {
    /// Finds out whether such a consumer can be made.
    ///
    /// # Errors
    /// The setting that is in the way, or the client library's word on all of them.
    pub fn try_out(&self) -> Result<(), ClientError> {
        try_out(RDKafkaType::RD_KAFKA_CONSUMER, self.config(), &self.client, &self.client_cpus)
    }
}

impl GroupSettings {
    /// Finds out whether such a member can be made.
    ///
    /// # Errors
    /// The setting that is in the way, or the client library's word on all of them.
    pub fn try_out(&self) -> Result<(), ClientError> {
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

/// How long a cluster has to say how many brokers it has.
const COUNT_LIMIT_MS: i32 = 3_000;

impl Observer {
    /// How many brokers the cluster has, if one of them answers soon.
    #[must_use]
    pub fn count_brokers(&self) -> Option<usize> {
        let mut metadata = ptr::null();
        // SAFETY: the client is alive; without a topic it asks for those that it knows. On success the metadata is ours,
        // and not used after it is destroyed.
        unsafe {
            let (client, topic) = (self.handle.ptr(), ptr::null_mut());
            let code = rdk::rd_kafka_metadata(client, 0, topic, &raw mut metadata, COUNT_LIMIT_MS);
            codes::check(code).ok()?;
            let brokers = usize::try_from((*metadata).broker_cnt).ok();
            rdk::rd_kafka_metadata_destroy(metadata);
            brokers.filter(|brokers| *brokers > 0)
        }
    }
}
