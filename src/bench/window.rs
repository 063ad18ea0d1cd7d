//! What is measured in a span of time. Pure.

use super::{
    client_verdict::ShardTime,
    result::{OpenMessaging, Sample, SampleLatency},
};
use crate::{
    runtime::cpu_time::CoreShare,
    stats::{BenchTimes, LatencyHistogram, LoopTimes},
};

/// The periods of OpenMessaging Benchmark.
const PERIOD_S: f64 = 10.0;
/// A last period that is shorter than this is left out, unless there is no other.
const SHORT_PERIOD_S: f64 = 5.0;

/// How far counters are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) acked: u64,
    pub(super) acked_bytes: u64,
    pub(super) failed: u64,
    pub(super) read: u64,
    pub(super) read_bytes: u64,
}

impl Counts {
    /// What has been added since.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            sent: self.sent - before.sent,
            acked: self.acked - before.acked,
            acked_bytes: self.acked_bytes - before.acked_bytes,
            failed: self.failed - before.failed,
            read: self.read - before.read,
            read_bytes: self.read_bytes - before.read_bytes,
        }
    }
}

/// What is known at the end of a second.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// s since the window began.
    pub(super) at_s: f64,
    pub(super) counts: Counts,
    /// By shard, µs in all until now.
    pub(super) blocked_us: Vec<u64>,
    /// By shard, since the last one.
    pub(super) cores: Vec<CoreShare>,
    pub(super) overdue: u64,
    pub(super) backlog: u64,
    pub(super) memory_bytes: u64,
}

/// A span of time, second by second.
#[derive(Debug)]
pub(super) struct Window {
    has_readers: bool,
    begin: Moment,
    last: Moment,
    /// Of the second, and of the period, under way.
    second: BenchTimes,
    period: BenchTimes,
    period_begin: Moment,
    /// Of all of it, and of what is acked later.
    pub(super) total: BenchTimes,
    /// Each shard's time, weighed by the seconds.
    shards: Vec<ShardTime>,
    pub(super) samples: Vec<Sample>,
    pub(super) open_messaging: OpenMessaging,
}

impl Window {
    pub(super) fn begin(begin: Moment, has_readers: bool) -> Self {
        Self {
            has_readers,
            shards: vec![ShardTime::default(); begin.blocked_us.len()],
            last: begin.clone(),
            period_begin: begin.clone(),
            begin,
            second: BenchTimes::default(),
            period: BenchTimes::default(),
            total: BenchTimes::default(),
            samples: Vec::new(),
            open_messaging: OpenMessaging::default(),
        }
    }

    /// Its time begins only now. What was told of its records before stays in it: who listens may be late, and those who tell
    /// are not.
    pub(super) fn start(&mut self, begin: Moment) {
        (self.last, self.period_begin) = (begin.clone(), begin.clone());
        self.begin = begin;
    }

    /// Records were acked.
    pub(super) fn add_own(&mut self, times: &LoopTimes) {
        self.second.own.merge(times);
    }

    /// Readers have come to verdicts.
    pub(super) fn add_end_to_end(&mut self, histogram: &LatencyHistogram) {
        self.second.end_to_end.merge(histogram);
    }

    /// How long it has been measured, s.
    pub(super) fn measured_s(&self) -> f64 {
        (self.last.at_s - self.begin.at_s).max(1e-3)
    }

    /// What was done in it.
    pub(super) fn counts(&self) -> Counts {
        self.last.counts.since(&self.begin.counts)
    }

    /// How it was at its end.
    pub(super) fn end(&self) -> &Moment {
        &self.last
    }

    /// Each shard's time.
    pub(super) fn shards(&self) -> Vec<ShardTime> {
        let measured_s = self.measured_s();
        let part = |shard: &ShardTime| ShardTime {
            busy: shard.busy / measured_s,
            starved: shard.starved / measured_s,
            slot_wait: (shard.slot_wait / measured_s).min(1.0),
        };
        self.shards.iter().map(part).collect()
    }

    /// A second is over. Returns its latencies.
    pub(super) fn sample(&mut self, now: Moment) -> BenchTimes {
        let took_s = (now.at_s - self.last.at_s).max(1e-3);
        let counts = now.counts.since(&self.last.counts);
        for (index, shard) in self.shards.iter_mut().enumerate() {
            let core = now.cores.get(index).copied().unwrap_or_default();
            let blocked = |moment: &Moment| moment.blocked_us.get(index).copied().unwrap_or(0);
            shard.busy += core.busy * took_s;
            shard.starved += core.starved * took_s;
            shard.slot_wait += blocked(&now).saturating_sub(blocked(&self.last)) as f64 / 1e6;
        }
        let end_to_end = self.has_readers.then(|| SampleLatency::of(&self.second.end_to_end));
        self.samples.push(Sample {
            at_s: now.at_s - self.begin.at_s,
            took_s,
            sent_records: counts.sent,
            acked_records: counts.acked,
            acked_bytes: counts.acked_bytes,
            failed_records: counts.failed,
            read_records: counts.read,
            overdue_records: now.overdue,
            backlog_records: now.backlog,
            publish: SampleLatency::of(&self.second.own.publish),
            delay: SampleLatency::of(&self.second.own.delay),
            end_to_end,
            busy_shares: now.cores.iter().map(|core| core.busy).collect(),
            memory_bytes: now.memory_bytes,
        });
        let second = self.take_second();
        self.last = now;
        if self.last.at_s - self.period_begin.at_s >= PERIOD_S - 0.5 {
            self.end_period();
        }
        second
    }

    /// The latencies of the second under way belong to the whole.
    fn take_second(&mut self) -> BenchTimes {
        let second = std::mem::take(&mut self.second);
        self.period.merge(&second);
        self.total.merge(&second);
        second
    }

    fn end_period(&mut self) {
        let took_s = (self.last.at_s - self.period_begin.at_s).max(1e-3);
        let counts = self.last.counts.since(&self.period_begin.counts);
        let result = &mut self.open_messaging;
        result.publish_rate.push(counts.acked as f64 / took_s);
        result.publish_error_rate.push(counts.failed as f64 / took_s);
        result.consume_rate.push(counts.read as f64 / took_s);
        result.backlog.push(self.last.backlog);
        result.add_publish(&self.period.own.publish);
        result.add_delay(&self.period.own.delay);
        result.add_end_to_end(&self.period.end_to_end);
        self.period = BenchTimes::default();
        self.period_begin = self.last.clone();
    }

    /// Nothing comes any more: what was acked after the last second belongs to the whole, by its intended time. Returns the
    /// latencies of that.
    pub(super) fn finish(&mut self) -> BenchTimes {
        let late = self.take_second();
        let left_s = self.last.at_s - self.period_begin.at_s;
        if left_s >= SHORT_PERIOD_S || (self.open_messaging.publish_rate.is_empty() && left_s > 0.0) {
            self.end_period();
        }
        let result = &mut self.open_messaging;
        result.set_publish(&self.total.own.publish);
        result.set_delay(&self.total.own.delay);
        result.set_end_to_end(&self.total.end_to_end);
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at_s: f64, acked: u64, blocked_us: u64) -> Moment {
        let counts =
            Counts { sent: acked + 5, acked, acked_bytes: acked * 10, read: acked / 2, ..Counts::default() };
        let cores = vec![CoreShare { busy: 0.5, starved: 0.1 }];
        Moment { at_s, counts, blocked_us: vec![blocked_us], cores, backlog: acked / 2, ..Moment::default() }
    }

    fn times(publish_us: u64) -> LoopTimes {
        let mut times = LoopTimes::default();
        times.record(publish_us, publish_us / 2, publish_us / 2);
        times
    }

    #[test]
    fn seconds_and_periods_add_up() {
        let mut window = Window::begin(moment(100.0, 1_000, 0), true);
        for second in 1..=26_u32 {
            window.add_own(&times(u64::from(second) * 1_000));
            let seconds = u64::from(second);
            window.sample(moment(100.0 + f64::from(second), 1_000 + seconds * 50, seconds * 250_000));
        }
        window.add_own(&times(90_000));
        window.finish();
        assert_eq!(window.samples.len(), 26);
        let first = &window.samples[0];
        assert_eq!((first.acked_records, first.read_records, first.backlog_records), (50, 25, 525));
        assert_eq!((first.publish.count, first.end_to_end.unwrap().count), (1, 0));
        assert_eq!((window.counts().acked, window.counts().acked_bytes), (1_300, 13_000));
        assert!((window.measured_s() - 26.0).abs() < 1e-9);
        let shard = window.shards()[0];
        assert!((shard.busy - 0.5).abs() < 1e-9 && (shard.slot_wait - 0.25).abs() < 1e-9, "{shard:?}");
        assert_eq!(window.total.own.publish.count(), 27, "what was acked later counts");
        let result = &window.open_messaging;
        assert_eq!(result.publish_rate, [50.0, 50.0, 50.0], "two periods of 10 s, and one of 6");
        assert_eq!(result.publish_latency_max.len(), 3);
        assert!(result.aggregated_publish_latency_max >= 90.0);
    }

    #[test]
    fn what_is_told_of_its_records_before_it_is_noticed_to_begin_is_kept() {
        let mut window = Window::begin(moment(0.0, 500, 0), true);
        window.add_own(&times(1_000));
        window.start(moment(10.0, 1_000, 0));
        window.sample(moment(11.0, 1_050, 250_000));
        window.finish();
        assert_eq!((window.counts().acked, window.total.own.publish.count()), (50, 1));
        assert_eq!(window.samples[0].publish.count, 1);
        assert!((window.open_messaging.publish_rate[0] - 50.0).abs() < 1e-9);
        assert!((window.measured_s() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_short_window_has_a_period_all_the_same() {
        let mut window = Window::begin(moment(0.0, 0, 0), false);
        window.sample(moment(2.0, 100, 0));
        window.finish();
        assert_eq!(window.open_messaging.publish_rate, [50.0]);
        assert_eq!(window.samples[0].end_to_end, None);
        let mut longer = Window::begin(moment(0.0, 0, 0), false);
        longer.sample(moment(10.0, 100, 0));
        longer.sample(moment(12.0, 100, 0));
        longer.finish();
        assert_eq!(longer.open_messaging.publish_rate, [10.0], "two seconds are no period");
    }
}
