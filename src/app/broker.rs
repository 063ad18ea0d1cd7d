//! The cluster under test: one that runs somewhere, or the mock one inside this process.

use std::{io, path::Path};

use tempfile::TempDir;

use crate::{
    config::{Brokers, CommonConfig},
    human::count,
    kafka::{ClientError, EmbeddedCluster},
};

/// A cluster that can be connected to for as long as this value lives.
pub(crate) struct Cluster {
    bootstrap: String,
    embedded: Option<Embedded>,
}

struct Embedded {
    cluster: EmbeddedCluster,
    /// The cluster is gone with the process, and so must be what the ledger says of it: kept in
    /// the working directory it would be held against the next, empty cluster.
    ledger_dir: TempDir,
}

impl Cluster {
    /// The cluster that was asked for; an embedded one is started, with the topic on it.
    ///
    /// # Errors
    /// The embedded cluster could not be started.
    pub(crate) fn open(config: &CommonConfig, topic: &str) -> Result<Self, ClientError> {
        let brokers = match &config.brokers {
            Brokers::Bootstrap(list) => return Ok(Self { bootstrap: list.clone(), embedded: None }),
            Brokers::Embedded { brokers } => *brokers,
        };
        let cluster = EmbeddedCluster::start(brokers)?;
        cluster.create_topic(topic, config.new_topic_partitions)?;
        let no_folder = |error: io::Error| ClientError::Start(format!("no temporary folder: {error}"));
        let ledger_dir = tempfile::Builder::new().prefix("proofload-").tempdir().map_err(no_folder)?;
        tracing::info!("embedded cluster: {} at {}", count(brokers, "mock broker"), cluster.bootstrap());
        Ok(Self { bootstrap: cluster.bootstrap(), embedded: Some(Embedded { cluster, ledger_dir }) })
    }

    /// More topics on an embedded cluster; a real one has its own.
    ///
    /// # Errors
    /// The embedded cluster refused.
    pub(crate) fn add_topics(&self, topics: &[String], partitions: usize) -> Result<(), ClientError> {
        let embedded = self.embedded.iter();
        embedded
            .flat_map(|embedded| topics.iter().map(|topic| embedded.cluster.create_topic(topic, partitions)))
            .collect()
    }

    /// Bootstrap list.
    #[must_use]
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Where the ledgers of this cluster belong.
    #[must_use]
    pub(crate) fn ledger_dir<'a>(&'a self, working_dir: &'a Path) -> &'a Path {
        self.embedded.as_ref().map_or(working_dir, |embedded| embedded.ledger_dir.path())
    }
}
