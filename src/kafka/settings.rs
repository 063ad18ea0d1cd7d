//! What clients are told, whichever they are.

use std::time::Duration;

use super::{Isolation, KnownBrokers};
use crate::config::{CommonConfig, Compression, Security, Verbosity};

/// What every client of a run has in common.
#[derive(Clone, Debug)]
pub(crate) struct ClientSettings {
    /// Bootstrap list.
    pub bootstrap: String,
    /// The brokers that the cluster has named since.
    pub known: KnownBrokers,
    /// `client.id`.
    pub client_id: String,
    /// How old the client's picture of the cluster may get.
    pub metadata_max_age: Duration,
    /// Let the client library tell everything it does.
    pub trace: bool,
    /// Who we are, and whom we trust.
    pub security: Security,
    /// The user's own settings, under librdkafka's names; they win over all others.
    pub overrides: Vec<(String, String)>,
}

impl ClientSettings {
    /// What a run's flags say of its clients.
    #[must_use]
    pub(crate) fn new(config: &CommonConfig, bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            known: KnownBrokers::default(),
            client_id: config.client_id.clone(),
            metadata_max_age: config.metadata_max_age,
            trace: config.verbosity >= Verbosity::Trace,
            security: config.security.clone(),
            overrides: config.client_settings.clone(),
        }
    }

    /// What the user has set this to.
    #[must_use]
    pub(crate) fn given(&self, setting: &str) -> Option<&str> {
        let given = self.overrides.iter().rev().find(|(key, _)| key == setting);
        given.map(|(_, value)| value.as_str())
    }

    /// Whether groups speak the protocol in which the brokers deal out partitions.
    #[must_use]
    pub(crate) fn brokers_assign(&self) -> bool {
        self.given("group.protocol").is_some_and(|protocol| protocol.eq_ignore_ascii_case("consumer"))
    }
}

/// What a client that writes needs beyond that.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// Largest record batch.
    pub batch_max_bytes: usize,
    /// Most records in flight.
    pub max_buffered_records: usize,
    /// Codec; not [`Compression::Mixed`], which the caller resolves.
    pub compression: Compression,
    /// `None`: no transactions.
    pub transactions: Option<TransactionSettings>,
}

/// What a client that reads needs beyond that.
#[derive(Clone, Copy, Debug)]
pub struct ReaderSettings {
    /// Which records are visible.
    pub isolation: Isolation,
    /// Read ahead as far as memory allows, or only what the next read needs.
    pub read_ahead: bool,
    /// Show few records at once, so that whoever reads can keep to a limit.
    pub paced: bool,
    /// How long nothing may come of a partition that has something before the client looks into that.
    pub quiet_limit: Duration,
}

impl ReaderSettings {
    /// For one record here and there, by who looks himself into what does not come.
    #[must_use]
    pub fn here_and_there(isolation: Isolation) -> Self {
        Self { isolation, read_ahead: false, paced: false, quiet_limit: Duration::MAX }
    }
}

/// What a client that writes in transactions needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionSettings {
    /// `transactional.id`.
    pub id: String,
    /// `transaction.timeout.ms`.
    pub timeout: Duration,
}
