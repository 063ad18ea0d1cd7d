//! The fields of OpenMessaging Benchmark's `TestResult`, with their names and units: publish and end-to-end latencies are in ms,
//! publish delays in µs. Lists have one entry for each period of 10 s.

use serde::{Deserialize, Serialize};

use super::Quantiles;
use crate::stats::LatencyHistogram;

/// ms in µs.
const MS_US: f64 = 1_000.0;

/// What OpenMessaging Benchmark tells of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenMessaging {
    /// Name of the workload: its charts are put together by it.
    pub workload: String,
    /// Name of what was measured: a line in a chart.
    pub driver: String,
    /// Bytes of a value.
    pub message_size: u64,
    /// How many topics.
    pub topics: u32,
    /// Partitions of each.
    pub partitions: u32,
    /// Shards that write.
    pub producers_per_topic: u32,
    /// Readers of each topic.
    pub consumers_per_topic: u32,
    /// Records acked a second.
    pub publish_rate: Vec<f64>,
    /// Records that failed a second.
    pub publish_error_rate: Vec<f64>,
    /// Records read a second, by all readers.
    pub consume_rate: Vec<f64>,
    /// Records acked and not read, at the end of each period.
    pub backlog: Vec<u64>,
    /// Publish latency of a period, ms: mean.
    pub publish_latency_avg: Vec<f64>,
    /// Publish latency of a period, ms: 50 % are faster.
    pub publish_latency_50pct: Vec<f64>,
    /// Publish latency of a period, ms: 75 % are faster.
    pub publish_latency_75pct: Vec<f64>,
    /// Publish latency of a period, ms: 95 % are faster.
    pub publish_latency_95pct: Vec<f64>,
    /// Publish latency of a period, ms: 99 % are faster.
    pub publish_latency_99pct: Vec<f64>,
    /// Publish latency of a period, ms: 99.9 % are faster.
    pub publish_latency_999pct: Vec<f64>,
    /// Publish latency of a period, ms: 99.99 % are faster.
    pub publish_latency_9999pct: Vec<f64>,
    /// Publish latency of a period, ms: 99.999 % are faster.
    pub publish_latency_99999pct: Vec<f64>,
    /// Publish latency of a period, ms: the slowest.
    pub publish_latency_max: Vec<f64>,
    /// Publish delay of a period, µs: mean.
    pub publish_delay_latency_avg: Vec<f64>,
    /// Publish delay of a period, µs: 50 % are faster.
    pub publish_delay_latency_50pct: Vec<u64>,
    /// Publish delay of a period, µs: 75 % are faster.
    pub publish_delay_latency_75pct: Vec<u64>,
    /// Publish delay of a period, µs: 95 % are faster.
    pub publish_delay_latency_95pct: Vec<u64>,
    /// Publish delay of a period, µs: 99 % are faster.
    pub publish_delay_latency_99pct: Vec<u64>,
    /// Publish delay of a period, µs: 99.9 % are faster.
    pub publish_delay_latency_999pct: Vec<u64>,
    /// Publish delay of a period, µs: 99.99 % are faster.
    pub publish_delay_latency_9999pct: Vec<u64>,
    /// Publish delay of a period, µs: 99.999 % are faster.
    pub publish_delay_latency_99999pct: Vec<u64>,
    /// Publish delay of a period, µs: the slowest.
    pub publish_delay_latency_max: Vec<u64>,
    /// Publish latency, ms: mean.
    pub aggregated_publish_latency_avg: f64,
    /// Publish latency, ms: 50 % are faster.
    pub aggregated_publish_latency_50pct: f64,
    /// Publish latency, ms: 75 % are faster.
    pub aggregated_publish_latency_75pct: f64,
    /// Publish latency, ms: 95 % are faster.
    pub aggregated_publish_latency_95pct: f64,
    /// Publish latency, ms: 99 % are faster.
    pub aggregated_publish_latency_99pct: f64,
    /// Publish latency, ms: 99.9 % are faster.
    pub aggregated_publish_latency_999pct: f64,
    /// Publish latency, ms: 99.99 % are faster.
    pub aggregated_publish_latency_9999pct: f64,
    /// Publish latency, ms: 99.999 % are faster.
    pub aggregated_publish_latency_99999pct: f64,
    /// Publish latency, ms: the slowest.
    pub aggregated_publish_latency_max: f64,
    /// Publish delay, µs: mean.
    pub aggregated_publish_delay_latency_avg: f64,
    /// Publish delay, µs: 50 % are faster.
    pub aggregated_publish_delay_latency_50pct: u64,
    /// Publish delay, µs: 75 % are faster.
    pub aggregated_publish_delay_latency_75pct: u64,
    /// Publish delay, µs: 95 % are faster.
    pub aggregated_publish_delay_latency_95pct: u64,
    /// Publish delay, µs: 99 % are faster.
    pub aggregated_publish_delay_latency_99pct: u64,
    /// Publish delay, µs: 99.9 % are faster.
    pub aggregated_publish_delay_latency_999pct: u64,
    /// Publish delay, µs: 99.99 % are faster.
    pub aggregated_publish_delay_latency_9999pct: u64,
    /// Publish delay, µs: 99.999 % are faster.
    pub aggregated_publish_delay_latency_99999pct: u64,
    /// Publish delay, µs: the slowest.
    pub aggregated_publish_delay_latency_max: u64,
    /// The curve of the publish latency, ms.
    pub aggregated_publish_latency_quantiles: Quantiles,
    /// The curve of the publish delay, µs.
    pub aggregated_publish_delay_latency_quantiles: Quantiles,
    /// End-to-end latency of a period, ms: mean.
    pub end_to_end_latency_avg: Vec<f64>,
    /// End-to-end latency of a period, ms: 50 % are faster.
    pub end_to_end_latency_50pct: Vec<f64>,
    /// End-to-end latency of a period, ms: 75 % are faster.
    pub end_to_end_latency_75pct: Vec<f64>,
    /// End-to-end latency of a period, ms: 95 % are faster.
    pub end_to_end_latency_95pct: Vec<f64>,
    /// End-to-end latency of a period, ms: 99 % are faster.
    pub end_to_end_latency_99pct: Vec<f64>,
    /// End-to-end latency of a period, ms: 99.9 % are faster.
    pub end_to_end_latency_999pct: Vec<f64>,
    /// End-to-end latency of a period, ms: 99.99 % are faster.
    pub end_to_end_latency_9999pct: Vec<f64>,
    /// End-to-end latency of a period, ms: 99.999 % are faster.
    pub end_to_end_latency_99999pct: Vec<f64>,
    /// End-to-end latency of a period, ms: the slowest.
    pub end_to_end_latency_max: Vec<f64>,
    /// The curve of the end-to-end latency, ms.
    pub aggregated_end_to_end_latency_quantiles: Quantiles,
    /// End-to-end latency, ms: mean.
    pub aggregated_end_to_end_latency_avg: f64,
    /// End-to-end latency, ms: 50 % are faster.
    pub aggregated_end_to_end_latency_50pct: f64,
    /// End-to-end latency, ms: 75 % are faster.
    pub aggregated_end_to_end_latency_75pct: f64,
    /// End-to-end latency, ms: 95 % are faster.
    pub aggregated_end_to_end_latency_95pct: f64,
    /// End-to-end latency, ms: 99 % are faster.
    pub aggregated_end_to_end_latency_99pct: f64,
    /// End-to-end latency, ms: 99.9 % are faster.
    pub aggregated_end_to_end_latency_999pct: f64,
    /// End-to-end latency, ms: 99.99 % are faster.
    pub aggregated_end_to_end_latency_9999pct: f64,
    /// End-to-end latency, ms: 99.999 % are faster.
    pub aggregated_end_to_end_latency_99999pct: f64,
    /// End-to-end latency, ms: the slowest.
    pub aggregated_end_to_end_latency_max: f64,
}

impl OpenMessaging {
    /// Adds a period: how long acks took in it, from the intended time on.
    pub(crate) fn add_publish(&mut self, histogram: &LatencyHistogram) {
        let at = |percent| histogram.percentile_us(percent) as f64 / MS_US;
        self.publish_latency_avg.push(histogram.mean_us() / MS_US);
        self.publish_latency_50pct.push(at(50.0));
        self.publish_latency_75pct.push(at(75.0));
        self.publish_latency_95pct.push(at(95.0));
        self.publish_latency_99pct.push(at(99.0));
        self.publish_latency_999pct.push(at(99.9));
        self.publish_latency_9999pct.push(at(99.99));
        self.publish_latency_99999pct.push(at(99.999));
        self.publish_latency_max.push(histogram.max_us() as f64 / MS_US);
    }

    /// Adds a period: what the schedule was behind in it.
    pub(crate) fn add_delay(&mut self, histogram: &LatencyHistogram) {
        let at = |percent| histogram.percentile_us(percent);
        self.publish_delay_latency_avg.push(histogram.mean_us());
        self.publish_delay_latency_50pct.push(at(50.0));
        self.publish_delay_latency_75pct.push(at(75.0));
        self.publish_delay_latency_95pct.push(at(95.0));
        self.publish_delay_latency_99pct.push(at(99.0));
        self.publish_delay_latency_999pct.push(at(99.9));
        self.publish_delay_latency_9999pct.push(at(99.99));
        self.publish_delay_latency_99999pct.push(at(99.999));
        self.publish_delay_latency_max.push(histogram.max_us());
    }

    /// Adds a period: how long readers' verdicts took in it.
    pub(crate) fn add_end_to_end(&mut self, histogram: &LatencyHistogram) {
        let at = |percent| histogram.percentile_us(percent) as f64 / MS_US;
        self.end_to_end_latency_avg.push(histogram.mean_us() / MS_US);
        self.end_to_end_latency_50pct.push(at(50.0));
        self.end_to_end_latency_75pct.push(at(75.0));
        self.end_to_end_latency_95pct.push(at(95.0));
        self.end_to_end_latency_99pct.push(at(99.0));
        self.end_to_end_latency_999pct.push(at(99.9));
        self.end_to_end_latency_9999pct.push(at(99.99));
        self.end_to_end_latency_99999pct.push(at(99.999));
        self.end_to_end_latency_max.push(histogram.max_us() as f64 / MS_US);
    }

    /// Sets the publish latency of all that was measured.
    pub(crate) fn set_publish(&mut self, histogram: &LatencyHistogram) {
        let at = |percent| histogram.percentile_us(percent) as f64 / MS_US;
        self.aggregated_publish_latency_avg = histogram.mean_us() / MS_US;
        self.aggregated_publish_latency_50pct = at(50.0);
        self.aggregated_publish_latency_75pct = at(75.0);
        self.aggregated_publish_latency_95pct = at(95.0);
        self.aggregated_publish_latency_99pct = at(99.0);
        self.aggregated_publish_latency_999pct = at(99.9);
        self.aggregated_publish_latency_9999pct = at(99.99);
        self.aggregated_publish_latency_99999pct = at(99.999);
        self.aggregated_publish_latency_max = histogram.max_us() as f64 / MS_US;
        self.aggregated_publish_latency_quantiles = Quantiles::of(histogram, MS_US);
    }

    /// Sets the publish delay of all that was measured.
    pub(crate) fn set_delay(&mut self, histogram: &LatencyHistogram) {
        let at = |percent| histogram.percentile_us(percent);
        self.aggregated_publish_delay_latency_avg = histogram.mean_us();
        self.aggregated_publish_delay_latency_50pct = at(50.0);
        self.aggregated_publish_delay_latency_75pct = at(75.0);
        self.aggregated_publish_delay_latency_95pct = at(95.0);
        self.aggregated_publish_delay_latency_99pct = at(99.0);
        self.aggregated_publish_delay_latency_999pct = at(99.9);
        self.aggregated_publish_delay_latency_9999pct = at(99.99);
        self.aggregated_publish_delay_latency_99999pct = at(99.999);
        self.aggregated_publish_delay_latency_max = histogram.max_us();
        self.aggregated_publish_delay_latency_quantiles = Quantiles::of(histogram, 1.0);
    }

    /// Sets the end-to-end latency of all that was measured.
    pub(crate) fn set_end_to_end(&mut self, histogram: &LatencyHistogram) {
        let at = |percent| histogram.percentile_us(percent) as f64 / MS_US;
        self.aggregated_end_to_end_latency_avg = histogram.mean_us() / MS_US;
        self.aggregated_end_to_end_latency_50pct = at(50.0);
        self.aggregated_end_to_end_latency_75pct = at(75.0);
        self.aggregated_end_to_end_latency_95pct = at(95.0);
        self.aggregated_end_to_end_latency_99pct = at(99.0);
        self.aggregated_end_to_end_latency_999pct = at(99.9);
        self.aggregated_end_to_end_latency_9999pct = at(99.99);
        self.aggregated_end_to_end_latency_99999pct = at(99.999);
        self.aggregated_end_to_end_latency_max = histogram.max_us() as f64 / MS_US;
        self.aggregated_end_to_end_latency_quantiles = Quantiles::of(histogram, MS_US);
    }
}
