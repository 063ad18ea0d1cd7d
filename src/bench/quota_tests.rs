//! The search on a broker that holds its producers to a quota, played in no time.

use std::collections::VecDeque;

use super::*;

/// As Kafka counts: bytes of eleven samples of a second, the last one under way (`quota.window.num`, `quota.window.size.seconds`;
/// `ClientQuotaManager` and the metrics' `Rate`, in Kafka 4.1).
const SAMPLES: u32 = 11;
const SAMPLE_S: f64 = 1.0;
/// Steps of the play, s: in each, one request is sent at most.
const TICK_S: f64 = 0.01;
/// Of an unhindered request.
const SERVICE_S: f64 = 0.004;
/// Records that may be in flight, as time at the quota: small windows and large ones behave the same.
const IN_FLIGHT_S: f64 = 0.5;

/// A broker with a quota of so many records a second.
struct Quota {
    records_per_s: f64,
    now_s: f64,
    /// When each sample began, and what came in it.
    samples: VecDeque<(f64, f64)>,
    /// It reads nothing of the client until then.
    muted_until_s: f64,
    throttled_s: f64,
}

impl Quota {
    fn new(records_per_s: f64) -> Self {
        Self { records_per_s, now_s: 0.0, samples: VecDeque::new(), muted_until_s: 0.0, throttled_s: 0.0 }
    }

    /// A request comes: it is counted whatever it has, answered at once, and the next one is not read for as long as it takes
    /// until the rate is the quota's.
    fn take(&mut self, records: f64) {
        let (now_s, samples) = (self.now_s, &mut self.samples);
        while samples.front().is_some_and(|(began_s, _)| now_s - began_s >= f64::from(SAMPLES) * SAMPLE_S) {
            samples.pop_front();
        }
        if samples.back().is_none_or(|(began_s, _)| now_s - began_s >= SAMPLE_S) {
            samples.push_back((now_s, 0.0));
        }
        samples.back_mut().unwrap().1 += records;
        let elapsed_s = now_s - samples[0].0;
        let missing = f64::from(SAMPLES - 1) - (elapsed_s / SAMPLE_S).floor();
        let window_s = elapsed_s + missing.max(0.0) * SAMPLE_S;
        let rate = samples.iter().map(|sample| sample.1).sum::<f64>() / window_s;
        let too_much = (rate - self.records_per_s) / self.records_per_s;
        if too_much > 0.0 {
            self.muted_until_s = now_s + too_much * window_s;
            self.throttled_s += too_much * window_s;
        }
    }

    fn idle(&mut self, time: Duration) {
        self.now_s += time.as_secs_f64();
    }

    /// An open loop at this rate: what comes of it, at the percentile 99.
    fn measure(&mut self, rate: f64, settle: Duration, measure: Duration) -> Measured {
        let (from_s, mut latencies, mut acked) = (settle.as_secs_f64(), Vec::new(), 0.0);
        let end_s = from_s + measure.as_secs_f64();
        let (mut at_s, mut sent) = (0.0_f64, 0.0_f64);
        while at_s < end_s {
            // The n-th record is due at n / rate, the first one at once.
            let due = (at_s * rate + 1.0 - sent).floor();
            if due >= 1.0 && self.now_s >= self.muted_until_s {
                let records = due.min(self.records_per_s * IN_FLIGHT_S).floor();
                self.take(records);
                // The middle one stands for all of them.
                let intended_s = (sent + (records - 1.0) / 2.0) / rate;
                sent += records;
                if intended_s >= from_s {
                    latencies.push((at_s - intended_s + SERVICE_S, records));
                }
                acked += if at_s >= from_s { records } else { 0.0 };
            }
            at_s += TICK_S;
            self.now_s += TICK_S;
        }
        let overdue = (end_s * rate - sent - rate * TICK_S).max(0.0);
        Measured {
            rate,
            achieved: acked / measure.as_secs_f64(),
            measured_s: measure.as_secs_f64(),
            latency: Duration::try_from_secs_f64(slowest(latencies, 0.01)).unwrap_or_default(),
            overdue: as_count(overdue),
            backlog: 0,
            unanswered: 0,
            is_client_bound: false,
        }
    }

    /// The rate that is found, as a part of the quota, and how many rates were tried.
    fn search(&mut self, first: f64, duration: Duration, limit: Duration, pauses: bool) -> (f64, usize) {
        let (mut search, mut steps) = (Search::new(first * self.records_per_s), 0);
        while let Next::Try(kind, rate) = search.next() {
            let (throttled_s, (settle, measure)) =
                (self.throttled_s, times(kind, steps == 0, Duration::from_secs(10), duration));
            let measured = self.measure(rate, settle, measure);
            search.tell(Outcome::of(&measured, limit, self.throttled_s > throttled_s));
            if self.throttled_s > throttled_s && pauses {
                self.idle(QUOTA_WINDOW);
            }
            steps += 1;
            assert!(steps < 60, "it does not end");
        }
        match search.next() {
            Next::Found(rate) => (rate / self.records_per_s, steps),
            other => panic!("{other:?}"),
        }
    }
}

/// The latency that all but this part do not exceed.
fn slowest(mut latencies: Vec<(f64, f64)>, part: f64) -> f64 {
    latencies.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut left = latencies.iter().map(|latency| latency.1).sum::<f64>() * part;
    let found = latencies.iter().find(|(_, records)| {
        left -= records;
        left < 0.0
    });
    found.map_or(0.0, |latency| latency.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never below 0")]
fn as_count(records: f64) -> u64 {
    records as u64
}

/// What is found of all kinds of quotas, from all kinds of beginnings: the lowest and the highest, as parts of the quota.
fn found(pauses: bool) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for quota in [300.0, 5_000.0, 40_000.0] {
        for first in [0.05, 0.7, 1.01, 9.0] {
            for (seconds, limit_ms) in [(20, 50), (30, 20), (60, 20), (60, 1_000), (300, 100)] {
                let (duration, limit) = (Duration::from_secs(seconds), Duration::from_millis(limit_ms));
                let (found, steps) = Quota::new(quota).search(first, duration, limit, pauses);
                assert!(
                    steps < 25,
                    "{found} of {quota} in {steps} steps, from {first}, {seconds} s, {limit_ms} ms"
                );
                (low, high) = (low.min(found), high.max(found));
            }
        }
    }
    (low, high)
}

#[test]
fn a_quota_is_found_wherever_the_search_begins() {
    let (low, high) = found(true);
    // A lenient objective takes a little too much for as long as a run is.
    assert!(low >= 0.95 && high <= 1.03, "{low} to {high}");
}

/// What the pause is for: without it, rates pay for those before, and one far below is found.
#[test]
fn without_a_pause_a_rate_pays_for_the_one_before() {
    let (low, _) = found(false);
    assert!(low < 0.95, "{low}");
}

#[test]
fn the_quota_is_kept_as_kafka_keeps_it() {
    // What is no more than the quota is never held back; a burst may last until the window is full.
    let mut quota = Quota::new(1_000.0);
    quota.measure(990.0, Duration::ZERO, Duration::from_mins(1));
    assert!(quota.throttled_s.abs() < f64::EPSILON, "{}", quota.throttled_s);
    let mut quota = Quota::new(1_000.0);
    let burst = quota.measure(2_000.0, Duration::ZERO, Duration::from_secs(4));
    assert!(quota.throttled_s.abs() < f64::EPSILON && burst.achieved > 1_980.0, "{burst:?}");
    let more = quota.measure(2_000.0, Duration::from_secs(8), Duration::from_mins(1));
    // Where requests come in bursts, the samples do not follow each other closely, and it grants a little more.
    assert!((980.0..=1_100.0).contains(&more.achieved), "{more:?}");
}
