//! The object `proofload` of a result.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BacklogReport, LatencyReport, SampleLatency, SearchReport};

/// What OpenMessaging Benchmark's result has no place for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Proofload {
    /// [`super::FORMAT`].
    pub format: u32,
    /// Of the program.
    pub version: String,
    /// What was proven of the records.
    pub proof: ProofReport,
    /// Whether the client was what held the load back.
    pub client: ClientReport,
    /// Where it ran.
    pub machine: Machine,
    /// What was asked for.
    pub settings: Settings,
    /// When the run began, ms since 1970.
    pub started_at_ms: i64,
    /// How long was measured: without the warm-up.
    pub measured_s: f64,
    /// What was done in that time.
    pub totals: Totals,
    /// The latencies of that time, by the records' intended times.
    pub latencies: LatencyReport,
    /// One for each second of it.
    pub samples: Vec<Sample>,
    /// The search for a rate; `null` where there was none.
    pub search: Option<SearchReport>,
    /// The backlog that was built up on purpose; left out where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<BacklogReport>,
}

/// What was proven.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProofReport {
    /// The verdict's code, such as `proven`.
    pub verdict: String,
    /// The summary's first line.
    pub summary: String,
    /// All that was asked for was done.
    pub complete: bool,
    /// The process's exit code by the verdict.
    pub exit_code: u8,
    /// Records of the whole run, warm-up included, that were acked where they were predicted.
    pub acked_records: u64,
    /// Records that were read, by all readers.
    pub read_records: u64,
    /// Those that are listed as acked, and were read as they were sent.
    pub proven_records: u64,
    /// What is not vouched for, in words.
    pub not_vouched_for: Vec<String>,
}

/// The client's part in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClientReport {
    /// `at-rate`, `broker-bound` or `client-bound`.
    pub verdict: String,
    /// Why, in words.
    pub reason: String,
    /// The shards, by number.
    pub shards: Vec<ShardReport>,
    /// Part of the time (0 to 1) in which a record was due and waited for a slot, by the shard that waited most.
    pub slot_wait_share: f64,
    /// Records that were due and not sent when the measured time ended.
    pub overdue_records: u64,
    /// Memory at its highest.
    pub max_memory_bytes: u64,
    /// CPU time of the process in the measured time.
    pub cpu_s: f64,
}

/// One shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShardReport {
    /// Its core.
    pub core: usize,
    /// Part of the time (0 to 1) that its threads were on that core.
    pub busy_share: f64,
    /// Part of the time that they were ready and the core was somebody else's.
    pub starved_share: f64,
}

/// Where it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name; empty where the system does not tell.
    pub processor: String,
    /// Cores that the process may use.
    pub cores: usize,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Such as `x86_64`.
    pub architecture: String,
}

/// How fast it was to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// A schedule that no delay shifts.
    OpenLoop {
        /// Records a second.
        records_per_s: f64,
    },
    /// As fast as acks come.
    ClosedLoop,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Who spoke to the brokers: `wire` or `librdkafka`.
    pub client: String,
    /// Topics, and partitions of each.
    pub topics: Vec<String>,
    /// Of each topic.
    pub partitions: usize,
    /// The rate of the measured time.
    pub goal: Goal,
    /// Bytes of a value, as OpenMessaging Benchmark counts a message.
    pub message_bytes: usize,
    /// Bytes of key and headers beside that, at most.
    pub key_and_header_bytes: usize,
    /// `direct`, `none` or `GxM`.
    pub readers: String,
    /// Of the measured time.
    pub duration_s: f64,
    /// Left out of every figure.
    pub warmup_s: f64,
    /// Every flag with its value, as it could be given on the command line, without secrets.
    pub flags: BTreeMap<String, Value>,
}

/// What was done in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Records handed to the client.
    pub sent_records: u64,
    /// Records acked, and their value bytes.
    pub acked_records: u64,
    /// Value bytes of those.
    pub acked_bytes: u64,
    /// Records that failed, each time that they did.
    pub failed_records: u64,
    /// Records read, by all readers.
    pub read_records: u64,
    /// Value bytes of those.
    pub read_bytes: u64,
    /// Records acked a second.
    pub publish_records_per_s: f64,
    /// Value bytes acked a second.
    pub publish_bytes_per_s: f64,
    /// Records read a second, by all readers.
    pub consume_records_per_s: f64,
}

/// One second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Its end, s since the measured time began.
    pub at_s: f64,
    /// How long it was.
    pub took_s: f64,
    /// Records handed to the client.
    pub sent_records: u64,
    /// Records acked.
    pub acked_records: u64,
    /// Value bytes of those.
    pub acked_bytes: u64,
    /// Records that failed.
    pub failed_records: u64,
    /// Records read, by all readers.
    pub read_records: u64,
    /// Records due and not sent, at its end.
    pub overdue_records: u64,
    /// Records acked and not read, at its end.
    pub backlog_records: u64,
    /// Acks of this second: from the intended time on.
    pub publish: SampleLatency,
    /// The same: what the schedule was behind.
    pub delay: SampleLatency,
    /// Verdicts of this second; `null` without readers.
    pub end_to_end: Option<SampleLatency>,
    /// By shard: part of the second that its threads were on its core.
    pub busy_shares: Vec<f64>,
    /// Memory of the process.
    pub memory_bytes: u64,
}
