//! Latencies: recorded on the shard, merged by the control thread.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies, µs, to two significant digits, up to an hour.
#[derive(Clone, Debug)]
pub struct LatencyHistogram(Histogram<u64>);

const MAX_US: u64 = 3_600_000_000;

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl LatencyHistogram {
    /// An empty one.
    ///
    /// # Panics
    /// Never: the bounds are constants that the histogram accepts, as the tests show.
    #[must_use]
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, MAX_US, 2).expect("constant bounds are valid"))
    }

    /// Records one latency; more than an hour counts as an hour.
    pub fn record(&mut self, latency_us: u64) {
        self.0.saturating_record(latency_us.max(1));
    }

    /// Adds another one's records.
    pub fn merge(&mut self, other: &Self) {
        // Same bounds on both sides: nothing can be out of range.
        let _ = self.0.add(&other.0);
    }

    /// Forgets all records.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// Its percentiles.
    #[must_use]
    pub fn summary(&self) -> LatencySummary {
        LatencySummary {
            p50_us: self.0.value_at_quantile(0.5),
            p90_us: self.0.value_at_quantile(0.9),
            p99_us: self.0.value_at_quantile(0.99),
        }
    }

    /// The largest latency recorded, µs.
    #[must_use]
    pub fn max_us(&self) -> u64 {
        self.0.max()
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

/// Percentiles, µs. The status shows them under these short names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LatencySummary {
    /// Half are faster.
    #[serde(rename = "p50")]
    pub p50_us: u64,
    /// 90 % are faster.
    #[serde(rename = "p90")]
    pub p90_us: u64,
    /// 99 % are faster.
    #[serde(rename = "p99")]
    pub p99_us: u64,
}

/// The shard's side: records, and hands the histogram over from time to time.
#[derive(Debug, Default)]
pub struct LatencyRecorder {
    histogram: LatencyHistogram,
}

impl LatencyRecorder {
    /// Records one latency.
    pub fn record(&mut self, latency_us: u64) {
        self.histogram.record(latency_us);
    }

    /// Everything since the last call; `None` when that is nothing.
    pub fn take(&mut self) -> Option<LatencyHistogram> {
        (self.histogram.count() > 0).then(|| std::mem::take(&mut self.histogram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up() {
        let (mut first, mut second) = (LatencyRecorder::default(), LatencyRecorder::default());
        assert!(first.take().is_none());
        (1..=50).for_each(|latency_us| first.record(latency_us));
        (51..=100).for_each(|latency_us| second.record(latency_us));
        let mut total = LatencyHistogram::new();
        total.merge(&first.take().unwrap());
        total.merge(&second.take().unwrap());
        assert_eq!(total.summary(), LatencySummary { p50_us: 50, p90_us: 90, p99_us: 99 });
        assert!(first.take().is_none(), "taken once");
    }

    #[test]
    fn extremes_are_kept_within_the_bounds() {
        let mut histogram = LatencyHistogram::new();
        histogram.record(0);
        histogram.record(u64::MAX);
        assert_eq!(histogram.count(), 2);
        assert!(histogram.max_us() >= MAX_US);
    }
}
