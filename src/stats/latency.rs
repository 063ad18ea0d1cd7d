//! Latencies: recorded on the shard, merged by the control thread.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies by buckets that do not overlap.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LatencyBuckets {
    /// The upper bound of each, µs, in rising order, infinity at the end; how many lie above the bound before, and not above
    /// this one.
    pub counts: Vec<(f64, u64)>,
    /// All latencies added up, µs, to the histogram's two digits.
    pub sum_us: u64,
}

/// Latencies, µs, to two significant digits, up to an hour; those above are counted, and known to be no more than that.
#[derive(Clone, Debug)]
pub(crate) struct LatencyHistogram {
    within: Histogram<u64>,
    above_range: u64,
}

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
    pub(crate) fn new() -> Self {
        Self::with_digits(2)
    }

    /// An empty one that tells latencies apart to three significant digits.
    ///
    /// # Panics
    /// Never, as [`Self::new`].
    #[must_use]
    pub(crate) fn fine() -> Self {
        Self::with_digits(3)
    }

    fn with_digits(digits: u8) -> Self {
        let within = Histogram::new_with_bounds(1, MAX_US, digits).expect("constant bounds are valid");
        Self { within, above_range: 0 }
    }

    /// Those within the range, as HdrHistogram's own tools read them.
    #[must_use]
    pub(crate) fn as_hdr(&self) -> &Histogram<u64> {
        &self.within
    }

    /// Records one latency; more than an hour counts as an hour, and as above the range.
    pub(crate) fn record(&mut self, latency_us: u64) {
        self.within.saturating_record(latency_us.max(1));
        if latency_us > MAX_US {
            self.above_range += 1;
        }
    }

    /// A latency in words: one at the end of the range is that, or any longer.
    #[must_use]
    pub(crate) fn text(latency_us: u64) -> String {
        if latency_us >= MAX_US { "> 1 h".to_owned() } else { format!("{:.1} ms", latency_us as f64 / 1e3) }
    }

    /// How many were longer than what is told apart.
    #[must_use]
    pub(crate) fn above_range(&self) -> u64 {
        self.above_range
    }

    /// Adds another one's records.
    pub(crate) fn merge(&mut self, other: &Self) {
        // Same bounds on both sides: nothing can be out of range.
        let _ = self.within.add(&other.within);
        self.above_range += other.above_range;
    }

    /// What has been recorded since it was `before`, which must have been recorded in this one.
    #[must_use]
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut news = self.clone();
        // It fails where more would be taken away than there is, which no earlier state of it can have.
        let _ = news.within.subtract(&before.within);
        news.above_range = news.above_range.saturating_sub(before.above_range);
        news
    }

    /// Forgets all records.
    pub(crate) fn clear(&mut self) {
        self.within.reset();
        self.above_range = 0;
    }

    /// Its percentiles.
    #[must_use]
    pub(crate) fn summary(&self) -> LatencySummary {
        LatencySummary {
            p50_us: self.within.value_at_quantile(0.5),
            p90_us: self.within.value_at_quantile(0.9),
            p99_us: self.within.value_at_quantile(0.99),
        }
    }

    /// The latency that so many of a hundred do not exceed, µs; 0 where none was recorded.
    #[must_use]
    pub(crate) fn percentile_us(&self, percent: f64) -> u64 {
        self.within.value_at_percentile(percent)
    }

    /// The arithmetic mean, µs; 0 where none was recorded.
    #[must_use]
    pub(crate) fn mean_us(&self) -> f64 {
        self.within.mean()
    }

    /// Points of its percentile curve: each percentile (0 to 100, ascending) with its latency, µs; `ticks` of them between 0
    /// and 50, and as many on each half of what is left from there on.
    pub(crate) fn curve(&self, ticks: u32) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut last = -1.0;
        self.within
            .iter_quantiles(ticks)
            // Sums of halves of halves, of which nobody wants the last bits.
            .map(|point| ((point.quantile_iterated_to() * 1e11).round() / 1e9, point.value_iterated_to()))
            .filter(move |(percentile, _)| *percentile > std::mem::replace(&mut last, *percentile))
    }

    /// How many lie between these bounds (µs, rising). One that may lie above a bound, by two digits, counts as above it.
    #[must_use]
    pub(crate) fn buckets(&self, bounds_us: &[u64]) -> LatencyBuckets {
        let bounds = bounds_us.iter().map(|bound_us| *bound_us as f64).chain([f64::INFINITY]);
        let mut buckets = LatencyBuckets { counts: bounds.map(|bound| (bound, 0)).collect(), sum_us: 0 };
        for step in self.within.iter_recorded() {
            let place = bounds_us.partition_point(|bound_us| *bound_us < step.value_iterated_to());
            buckets.counts[place].1 += step.count_at_value();
            let value_us = self.within.median_equivalent(step.value_iterated_to());
            buckets.sum_us = buckets.sum_us.saturating_add(value_us.saturating_mul(step.count_at_value()));
        }
        buckets
    }

    /// The largest latency recorded, µs.
    #[must_use]
    pub(crate) fn max_us(&self) -> u64 {
        self.within.max()
    }

    /// How many were recorded.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.within.len()
    }
}

/// Percentiles, µs. The status shows them under these short names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LatencySummary {
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
pub(crate) struct LatencyRecorder {
    histogram: LatencyHistogram,
}

impl LatencyRecorder {
    /// Records one latency.
    pub(crate) fn record(&mut self, latency_us: u64) {
        self.histogram.record(latency_us);
    }

    /// Everything since the last call; `None` when that is nothing.
    pub(crate) fn take(&mut self) -> Option<LatencyHistogram> {
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
    fn buckets_are_not_better_than_what_was_recorded() {
        let mut histogram = LatencyHistogram::new();
        for latency_us in [1, 9, 10, 11, 1_001, 2_000_000] {
            histogram.record(latency_us);
        }
        let LatencyBuckets { counts, sum_us } = histogram.buckets(&[10, 100, 1_000]);
        // 1,001 and 1,000 are the same to two digits.
        assert_eq!(counts, [(10.0, 3), (100.0, 1), (1_000.0, 0), (f64::INFINITY, 2)]);
        assert!(sum_us.abs_diff(2_001_032) < 20_010, "{sum_us}");
        assert_eq!(LatencyHistogram::new().buckets(&[]).counts, [(f64::INFINITY, 0)]);
    }

    #[test]
    fn what_came_since_is_what_came_since() {
        let mut histogram = LatencyHistogram::new();
        for latency_us in [5, 5, 70] {
            histogram.record(latency_us);
        }
        let before = histogram.clone();
        assert_eq!(histogram.since(&before).count(), 0);
        for latency_us in [9, u64::MAX] {
            histogram.record(latency_us);
        }
        let news = histogram.since(&before);
        assert_eq!((news.count(), news.above_range(), news.summary().p50_us), (2, 1, 9));
    }

    #[test]
    fn extremes_are_kept_within_the_bounds() {
        let mut histogram = LatencyHistogram::new();
        histogram.record(0);
        histogram.record(u64::MAX);
        assert_eq!(histogram.count(), 2);
        assert!(histogram.max_us() >= MAX_US);
    }

    #[test]
    fn what_is_above_the_range_is_marked_as_that() {
        let mut histogram = LatencyHistogram::new();
        histogram.record(1_500);
        assert_eq!((histogram.above_range(), LatencyHistogram::text(1_500)), (0, "1.5 ms".to_owned()));
        histogram.record(MAX_US);
        assert_eq!(histogram.above_range(), 0);
        histogram.record(MAX_US + 1);
        let mut all = LatencyHistogram::new();
        all.merge(&histogram);
        assert_eq!((all.above_range(), LatencyHistogram::text(all.max_us())), (1, "> 1 h".to_owned()));
        all.clear();
        assert_eq!(all.above_range(), 0);
    }
}
