//! The result of a benchmark (`--output`): one JSON document that the chart scripts of OpenMessaging Benchmark read, with all
//! that they lack in an object `proofload`.
//!
//! Pure: values in, values out. Whoever compares results, or draws them, reads these types back from the file.

mod backlog;
mod latency;
mod open_messaging;
mod proofload;
mod quantiles;
mod search;

use serde::{Deserialize, Serialize};

pub(crate) use backlog::BacklogReport;
pub(crate) use latency::{Latency, LatencyReport, SampleLatency};
pub(crate) use open_messaging::OpenMessaging;
pub(crate) use proofload::{
    ClientReport, Goal, Machine, ProofReport, Proofload, Sample, Settings, ShardReport, Totals,
};
pub(crate) use quantiles::Quantiles;
pub(crate) use search::{SearchReport, SearchStep};

/// Of the object `proofload`. It changes when a name goes or changes its meaning, not when one is added.
pub(crate) const FORMAT: u32 = 1;

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BenchResult {
    /// The fields of OpenMessaging Benchmark's result, under their names.
    #[serde(flatten)]
    pub open_messaging: OpenMessaging,
    /// What they lack.
    pub proofload: Proofload,
}

#[cfg(test)]
#[path = "result_tests.rs"]
pub(crate) mod tests;
