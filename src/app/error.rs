//! What a run, of any program, can end of.

use thiserror::Error;

use super::{outputs::OutputError, report::ReportError};
use crate::{
    findings::anomaly::Violation,
    human,
    kafka::{ClientError, TopicError},
    ledger::LedgerError,
    runtime::{
        cores::{placement::PlacementError, topology::TopologyError},
        descriptors::TooFew,
        executor::RuntimeError,
        preflight::PreflightError,
        profile::ProfileError,
    },
};

/// Why a run did not end well.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// The data broke its promise.
    #[error("{0}")]
    Violation(Box<Violation>),
    /// The data broke its promise more than once, and the run went on.
    #[error("{}, the first: {first}", human::count(*count, "violation"))]
    Violations {
        /// How often.
        count: u64,
        /// What was found first.
        first: Box<Violation>,
    },
    /// The work could not be done.
    #[error("{0}")]
    Failed(String),
    /// What this machine has could not be found out.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The cores that were asked for are not to be had.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// This machine does not let us work.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// There are not enough file descriptors.
    #[error(transparent)]
    Descriptors(#[from] TooFew),
    /// A shard did not start or did not end well.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The control thread.
    #[error("{0}")]
    Control(String),
    /// The client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A file of results.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl RunError {
    /// The exit code that belongs to it.
    #[must_use]
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Violation(_) | Self::Violations { .. } => 1,
            // A setting of the user's own that does not exist, or does not take this value; a file without what it is for.
            Self::Client(
                ClientError::Setting { .. } | ClientError::Combination { .. } | ClientError::File { .. },
            ) => 2,
            Self::Output(error) => error.exit_code(),
            _ => 3,
        }
    }
}
