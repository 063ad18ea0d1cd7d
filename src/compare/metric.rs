//! What is compared of two results.

use crate::bench::result::{BenchResult, Sample, SampleLatency};

/// In what a figure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    RecordsPerS,
    Micros,
}

/// A figure of a run.
pub(super) struct Metric {
    /// By which it is told, and named in `--fail-on`.
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    /// Whether more of it is better.
    pub(super) more_is_better: bool,
    /// Of a whole run; `None` where it has no such figure.
    pub(super) whole: fn(&BenchResult) -> Option<f64>,
    /// Of one second.
    pub(super) second: fn(&Sample) -> Option<f64>,
}

impl Metric {
    /// A time, of which less is better.
    const fn time(
        name: &'static str,
        whole: fn(&BenchResult) -> Option<f64>,
        second: fn(&Sample) -> Option<f64>,
    ) -> Self {
        Self { name, unit: Unit::Micros, more_is_better: false, whole, second }
    }
}

/// All of them, in the order in which they are shown.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "rate",
        unit: Unit::RecordsPerS,
        more_is_better: true,
        whole: |result| Some(result.proofload.totals.publish_records_per_s),
        second: |sample| (sample.took_s > 0.0).then(|| sample.acked_records as f64 / sample.took_s),
    },
    Metric::time(
        "mean",
        |result| Some(result.proofload.latencies.publish.mean_us),
        |sample| of(&sample.publish, sample.publish.mean_us),
    ),
    Metric::time(
        "p50",
        |result| Some(result.proofload.latencies.publish.p50_us as f64),
        |sample| of(&sample.publish, sample.publish.p50_us as f64),
    ),
    Metric::time(
        "p99",
        |result| Some(result.proofload.latencies.publish.p99_us as f64),
        |sample| of(&sample.publish, sample.publish.p99_us as f64),
    ),
    Metric::time(
        "max",
        |result| Some(result.proofload.latencies.publish.max_us as f64),
        |sample| of(&sample.publish, sample.publish.max_us as f64),
    ),
    Metric::time(
        "delay-p99",
        |result| Some(result.proofload.latencies.delay.p99_us as f64),
        |sample| of(&sample.delay, sample.delay.p99_us as f64),
    ),
    Metric::time(
        "end-to-end-p50",
        |result| Some(result.proofload.latencies.end_to_end?.p50_us as f64),
        |sample| sample.end_to_end.and_then(|latency| of(&latency, latency.p50_us as f64)),
    ),
    Metric::time(
        "end-to-end-p99",
        |result| Some(result.proofload.latencies.end_to_end?.p99_us as f64),
        |sample| sample.end_to_end.and_then(|latency| of(&latency, latency.p99_us as f64)),
    ),
    Metric::time(
        "cpu",
        |result| {
            let (cpu_us, records) =
                (result.proofload.client.cpu_s * 1e6, result.proofload.totals.acked_records);
            (records > 0).then(|| cpu_us / records as f64)
        },
        |sample| {
            let busy_us = sample.busy_shares.iter().sum::<f64>() * sample.took_s * 1e6;
            (sample.acked_records > 0).then(|| busy_us / sample.acked_records as f64)
        },
    ),
];

/// A latency of a second in which there was one.
fn of(latency: &SampleLatency, value: f64) -> Option<f64> {
    (latency.count > 0).then_some(value)
}
