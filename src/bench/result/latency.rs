//! Latencies in a result.

use serde::{Deserialize, Serialize};

use crate::stats::LatencyHistogram;

/// What latencies were like, µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Records.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_us: f64,
    /// Half are faster.
    pub p50_us: u64,
    /// 75 % are.
    pub p75_us: u64,
    /// 90 % are.
    pub p90_us: u64,
    /// 95 % are.
    pub p95_us: u64,
    /// 99 % are.
    pub p99_us: u64,
    /// 99.9 % are.
    pub p999_us: u64,
    /// 99.99 % are.
    pub p9999_us: u64,
    /// 99.999 % are.
    pub p99999_us: u64,
    /// The slowest.
    pub max_us: u64,
    /// Longer than an hour, which is all that is known of them.
    pub above_range: u64,
}

impl Latency {
    /// Of a histogram.
    #[must_use]
    pub(crate) fn of(histogram: &LatencyHistogram) -> Self {
        let at = |percent| histogram.percentile_us(percent);
        Self {
            count: histogram.count(),
            mean_us: histogram.mean_us(),
            p50_us: at(50.0),
            p75_us: at(75.0),
            p90_us: at(90.0),
            p95_us: at(95.0),
            p99_us: at(99.0),
            p999_us: at(99.9),
            p9999_us: at(99.99),
            p99999_us: at(99.999),
            max_us: histogram.max_us(),
            above_range: histogram.above_range(),
        }
    }
}

/// The latencies of the whole of what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LatencyReport {
    /// From the time at which a record was to be sent to its ack.
    pub publish: Latency,
    /// From the time at which it was to be sent to that at which it was handed to the client: what the schedule was behind.
    pub delay: Latency,
    /// From then to its ack: publish without delay.
    pub service: Latency,
    /// From the time at which it was to be sent to a reader's verdict on it; `null` without readers.
    pub end_to_end: Option<Latency>,
}

/// The latencies of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SampleLatency {
    /// Records.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_us: f64,
    /// Half are faster.
    pub p50_us: u64,
    /// 99 % are.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl SampleLatency {
    /// Of a histogram.
    #[must_use]
    pub(crate) fn of(histogram: &LatencyHistogram) -> Self {
        Self {
            count: histogram.count(),
            mean_us: histogram.mean_us(),
            p50_us: histogram.percentile_us(50.0),
            p99_us: histogram.percentile_us(99.0),
            max_us: histogram.max_us(),
        }
    }
}
