//! What is measured in a span of time. Pure.

use std::ops::Range;

use super::{
    client_verdict::ShardTime,
    result::{OpenMessaging, Sample, SampleLatency},
};
use crate::{
    runtime::cpu_time::CoreShare,
    stats::{BenchTimes, Counts, LatencyHistogram, LoopTimes},
};

/// The periods of OpenMessaging Benchmark.
const PERIOD_S: f64 = 10.0;
/// A last period that is shorter than this is left out, unless there is no other.
const SHORT_PERIOD_S: f64 = 5.0;
/// How often shards tell what is overdue: what is less than that does not differ from nothing.
const OFTEN_S: f64 = 0.1;

/// What is known at the end of a second.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// s on the run's clock.
    pub(super) at_s: f64,
    /// What has come within the time of windows, this one and those before.
    pub(super) counts: Counts,
    /// By shard, µs in all until now.
    pub(super) blocked_us: Vec<u64>,
    /// By shard, since the last one.
    pub(super) cores: Vec<CoreShare>,
    pub(super) overdue: u64,
    pub(super) backlog: u64,
    /// The same of each reader that reads everything.
    pub(super) behind: Vec<u64>,
    pub(super) memory_bytes: u64,
}

/// A span of time, second by second.
#[derive(Debug)]
pub(super) struct Window {
    has_readers: bool,
    begin: Moment,
    /// When its time ends by the schedule, s on the run's clock.
    end_s: f64,
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
            end_s: f64::INFINITY,
            second: BenchTimes::default(),
            period: BenchTimes::default(),
            total: BenchTimes::default(),
            samples: Vec::new(),
            open_messaging: OpenMessaging::default(),
        }
    }

    /// Its time has begun, and is so long by the schedule, s on the run's clock. Who looks may be late, and those who count are
    /// not: what was told and counted of it before stays in it.
    pub(super) fn start(&mut self, now: Moment, scheduled: Range<f64>) {
        let begin = Moment { at_s: scheduled.start, counts: self.begin.counts, ..now };
        (self.last, self.period_begin) = (begin.clone(), begin.clone());
        (self.begin, self.end_s) = (begin, scheduled.end);
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

    /// A second is over, or more where who looks is late. Behind the end nothing is counted any more, and no time passes either.
    /// Returns its latencies.
    pub(super) fn sample(&mut self, mut now: Moment) -> BenchTimes {
        now.at_s = now.at_s.min(self.end_s);
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

    /// At its end by the schedule: what was due in it by this rate, and was not sent by then, is overdue. Shards say so, too, but
    /// what they have caught up with before somebody looks they do not, and one that is kept from its core says nothing.
    pub(super) fn note_due(&mut self, records_per_s: Option<f64>) {
        let Some(rate) = records_per_s.filter(|_| self.last.at_s >= self.end_s) else { return };
        let missing = rate * self.measured_s() - self.counts().sent as f64;
        if missing > rate * OFTEN_S {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above 0")]
            let missing = missing as u64;
            self.last.overdue = self.last.overdue.max(missing);
            if let Some(sample) = self.samples.last_mut() {
                sample.overdue_records = self.last.overdue;
            }
        }
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
        window.start(moment(10.0, 500, 0), 10.0..11.0);
        window.sample(moment(11.0, 550, 250_000));
        window.finish();
        assert_eq!((window.counts().acked, window.total.own.publish.count()), (50, 1));
        assert_eq!(window.samples[0].publish.count, 1);
        assert!((window.open_messaging.publish_rate[0] - 50.0).abs() < 1e-9);
        assert!((window.measured_s() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn who_looks_late_at_its_begin_and_its_end_does_not_change_its_rate() {
        // 100 a second from 10 s to 15 s; shards count to there, whenever somebody looks.
        let counted = |at_s, in_time: u64| moment(at_s, 700 + in_time, 0);
        let mut window = Window::begin(moment(8.0, 700, 0), false);
        window.start(counted(11.5, 150), 10.0..15.0);
        window.sample(counted(12.0, 200));
        window.sample(counted(17.25, 500));
        window.finish();
        assert_eq!((window.counts().acked, window.measured_s()), (500, 5.0));
        assert_eq!(window.open_messaging.publish_rate, [100.0]);
        let samples: Vec<_> =
            window.samples.iter().map(|sample| (sample.at_s, sample.took_s, sample.acked_records)).collect();
        assert_eq!(samples, [(2.0, 2.0, 200), (5.0, 3.0, 300)], "each over the time in which it was counted");
    }

    #[test]
    fn what_was_due_at_the_end_is_overdue_also_where_it_is_sent_before_somebody_looks() {
        let overdue = |until_s, looked_s, rate| {
            let mut window = Window::begin(moment(10.0, 100, 0), false);
            window.start(moment(10.0, 100, 0), 10.0..until_s);
            // 350 were sent in time.
            window.sample(moment(looked_s, 450, 0));
            window.note_due(rate);
            (window.end().overdue, window.samples[0].overdue_records)
        };
        assert_eq!(overdue(15.0, 18.0, Some(100.0)), (150, 150));
        assert_eq!(overdue(15.0, 18.0, Some(71.0)), (0, 0), "less than a tenth of a second's");
        assert_eq!(overdue(15.0, 14.0, Some(100.0)), (0, 0), "it was ended before");
        assert_eq!(overdue(15.0, 18.0, None), (0, 0), "a closed loop");
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
