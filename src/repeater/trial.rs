//! What is found out about a run before it does anything: no topic is created, no file touched, no port bound.

use super::{context, sender};
use crate::{
    app::error::RunError,
    config::{Brokers, ClientKind, Compression, RepeaterConfig},
    kafka::{ClientError, ClientSettings, Librdkafka, wire},
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
        trial.port = trial.connections(config.common.brokers.listed())?;
        pages::fit_for(librdkafka_clients(config));
        Ok(trial)
    }

    /// How many connections the control port may have beside all that the run opens, with so many brokers.
    ///
    /// # Errors
    /// There are not enough descriptors for the run.
    pub(super) fn connections(&self, brokers: usize) -> Result<usize, TooFew> {
        let workers = self.config.workers.get();
        let wanted = Wanted {
            // And one that looks at the group's places.
            clients: librdkafka_clients(self.config).saturating_add(1),
            ours: false,
            ours_beside: if is_ours(self.config) { workers.saturating_mul(2) } else { 0 },
            coordinated: workers.saturating_mul(if self.config.transactions.is_some() { 2 } else { 1 }),
            brokers,
            shards: self.shards,
            embedded: matches!(self.config.common.brokers, Brokers::Embedded { .. }),
        };
        wanted.check(self.limit)
    }
}

fn is_ours(config: &RepeaterConfig) -> bool {
    config.common.client.kind == ClientKind::Wire
}

/// How many clients workers have that stand on librdkafka: a member each, and a producer where that is not ours.
fn librdkafka_clients(config: &RepeaterConfig) -> usize {
    config.workers.get().saturating_mul(if is_ours(config) { 1 } else { 2 })
}

/// Whether the clients that the run is going to make can be made of its settings.
fn clients(config: &RepeaterConfig, cpus: &CpuSet) -> Result<(), ClientError> {
    let client = ClientSettings::new(&config.common, "");
    let librdkafka = Librdkafka::new(client.clone(), cpus.clone());
    let writer = sender::settings(config, &client.client_id, Compression::None);
    if is_ours(config) {
        let client = ClientSettings::new(&config.common, config.common.brokers.to_try());
        wire::try_writer(&client, &writer)?;
    } else {
        librdkafka.try_writer(&writer)?;
    }
    librdkafka.try_member(&context::member(config))
}
