//! What is found out about a run before it does anything: no topic is created, no file touched, no port bound.

use super::{floor, sender};
use crate::{
    app::error::RunError,
    config::{Brokers, Compression, RepeaterConfig},
    kafka::{ClientError, ClientSettings, Librdkafka},
    runtime::{
        cores::cpu_set::CpuSet,
        descriptors::{self, TooFew, Wanted},
        pages,
    },
};

/// A run that nothing stands in the way of, as far as can be told on this machine.
pub(super) struct Trial<'a> {
    config: &'a RepeaterConfig,
    shards: usize,
    /// Descriptors that the process may have.
    limit: u64,
    /// Connections that the control port may have, as far as the brokers are known.
    pub(super) port: usize,
}

impl<'a> Trial<'a> {
    /// Looks at settings and limits.
    ///
    /// # Errors
    /// What stands in the way.
    pub(super) fn of(config: &'a RepeaterConfig, cpus: &CpuSet, shards: usize) -> Result<Self, RunError> {
        clients(config, cpus)?;
        let mut trial = Self { config, shards, limit: descriptors::raise(), port: 0 };
        trial.port = trial.connections(match &config.common.brokers {
            Brokers::Embedded { brokers } => *brokers,
            Brokers::Bootstrap(list) => list.split(',').count(),
        })?;
        pages::fit_for(config.workers.get().saturating_mul(2));
        Ok(trial)
    }

    /// How many connections the control port may have beside all that the run opens, with so many brokers.
    ///
    /// # Errors
    /// There are not enough descriptors for the run.
    pub(super) fn connections(&self, brokers: usize) -> Result<usize, TooFew> {
        let workers = self.config.workers.get();
        let wanted = Wanted {
            // A consumer and a producer each, and one that looks at the group's places.
            clients: workers.saturating_mul(2).saturating_add(1),
            ours: false,
            coordinated: workers.saturating_mul(if self.config.transactions.is_some() { 2 } else { 1 }),
            brokers,
            shards: self.shards,
            embedded: matches!(self.config.common.brokers, Brokers::Embedded { .. }),
        };
        wanted.check(self.limit)
    }
}

/// Whether the clients that the run is going to make can be made of its settings.
fn clients(config: &RepeaterConfig, cpus: &CpuSet) -> Result<(), ClientError> {
    let client = ClientSettings::new(&config.common, "");
    let librdkafka = Librdkafka::new(client.clone(), cpus.clone());
    librdkafka.try_writer(&sender::settings(config, &client.client_id, Compression::None))?;
    librdkafka.try_member(&floor::member(config))
}
