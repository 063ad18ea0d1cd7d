//! How a run is doing, as Trogdor's agents hand it to their coordinator: the figures of a `ProduceBenchSpec` under its
//! names, and behind them what `/v1/status` says.

use serde::Serialize;

use super::{
    ending::Ending,
    status::{self, Status},
};
use crate::stats::ProducerBoard;

/// A line.
#[derive(Serialize)]
pub(crate) struct Line {
    status: TaskStatus,
    /// Into the agent's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// The task has failed, and is ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskStatus {
    /// Records that were acked.
    total_sent: u64,
    #[serde(rename = "averageLatencyMs")]
    average_ms: f64,
    #[serde(rename = "p50LatencyMs")]
    p50_ms: f64,
    #[serde(rename = "p95LatencyMs")]
    p95_ms: f64,
    #[serde(rename = "p99LatencyMs")]
    p99_ms: f64,
    proofload: Status,
}

impl Line {
    /// That of a run under way.
    pub(crate) fn of(ending: &Ending) -> Self {
        Self { status: task_status(ending), log: None, error: None }
    }

    /// The last one: with the summary, and with what has failed, if anything has.
    pub(crate) fn at_end(ending: &Ending, summary: &str, error: Option<String>) -> Self {
        Self { log: Some(summary.trim().to_owned()), error, ..Self::of(ending) }
    }
}

fn task_status(ending: &Ending) -> TaskStatus {
    let shared = ending.shared();
    let producer =
        shared.as_deref().and_then(|shared| shared.board.get()).and_then(|board| board.producer.as_ref());
    let acked = producer.map_or(0, |producer| producer.raw_totals().acked);
    let latency = producer.map(ProducerBoard::latency_in_all).unwrap_or_default();
    let ms = |latency_us: f64| (latency_us / 10.0).round() / 100.0;
    let percentile_ms = |percent| ms(latency.percentile_us(percent) as f64);
    TaskStatus {
        total_sent: acked,
        average_ms: ms(latency.mean_us()),
        p50_ms: percentile_ms(50.0),
        p95_ms: percentile_ms(95.0),
        p99_ms: percentile_ms(99.0),
        proofload: status::of(ending),
    }
}
