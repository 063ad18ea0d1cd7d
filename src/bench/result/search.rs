//! The search for a rate in a result.

use serde::{Deserialize, Serialize};

/// How the highest rate that holds the objective was looked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchReport {
    /// The objective as it was given, such as `p99=20ms`.
    pub objective: String,
    /// What it is asked of: `publish` or `end-to-end`.
    pub objective_on: String,
    /// The highest rate that was confirmed, records a second; `null` where there is none.
    pub found_records_per_s: Option<f64>,
    /// The lowest rate above it that did not hold; `null` where none was tried.
    pub failed_records_per_s: Option<f64>,
    /// What gave way first above the rate that was found: `latency`, `backlog` or `client`.
    pub gave_way: Option<String>,
    /// In their order.
    pub steps: Vec<SearchStep>,
}

/// One rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchStep {
    /// `up`, `down`, `bisect` or `confirm`.
    pub kind: String,
    /// The rate that was asked for, records a second.
    pub rate_records_per_s: f64,
    /// The rate of acks.
    pub achieved_records_per_s: f64,
    /// How long it was measured.
    pub measured_s: f64,
    /// The latency that the objective speaks of, at its percentile.
    pub latency_us: u64,
    /// Records that were due and not sent at the end.
    pub overdue_records: u64,
    /// Records that were acked and not read at the end.
    pub backlog_records: u64,
    /// For how long brokers held the client back by their quotas, ms; 0 in results of versions that did not tell.
    #[serde(default)]
    pub throttled_ms: u64,
    /// Whether the objective held, and no backlog grew.
    pub held: bool,
    /// What gave way, where it did not hold: `latency`, `backlog` or `client`.
    pub gave_way: Option<String>,
}
