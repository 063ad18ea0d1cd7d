//! The search for the highest rate that holds an objective: which rate is tried next. Pure.

use std::time::Duration;

/// The first rate, where the user names none.
pub(super) const FIRST_RATE: f64 = 10_000.0;
/// No rate below this is tried, nor one above that.
const LOWEST_RATE: f64 = 10.0;
const HIGHEST_RATE: f64 = 1e9;
/// From one rate to the next while nothing gives way, and while everything does.
const UP: f64 = 2.0;
const DOWN: f64 = 4.0;
/// The rate that holds and the one that does not are near enough.
const NEAR: f64 = 1.03;
/// Of a rate that was not confirmed, this is tried next.
const BACK: f64 = 0.97;

/// Why a rate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepKind {
    /// Nothing has given way yet.
    Up,
    /// Nothing has held yet.
    Down,
    /// Between one that held and one that did not.
    Bisect,
    /// For the whole time that was asked for.
    Confirm,
}

impl StepKind {
    /// Its name in results.
    #[must_use]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Bisect => "bisect",
            Self::Confirm => "confirm",
        }
    }
}

/// What gave way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GaveWay {
    /// The objective was missed.
    Latency,
    /// Records could not be sent, or were not read, as fast as they were due.
    Backlog,
    /// The client had no more to give: of the cluster nothing is known.
    Client,
}

impl GaveWay {
    /// Its name in results.
    #[must_use]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Backlog => "backlog",
            Self::Client => "client",
        }
    }
}

/// What came of a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Acks a second.
    pub achieved: f64,
    /// `None`: it held.
    pub gave_way: Option<GaveWay>,
    /// It held but for what was missing at the very end: that may have been a moment's.
    pub is_doubtful: bool,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// Try this rate.
    Try(StepKind, f64),
    /// The search is over.
    Found(f64),
    /// Not even this rate held.
    Missed(f64),
}

/// The state of a search.
#[derive(Clone, Debug)]
pub(super) struct Search {
    next: Next,
    /// The highest rate that held.
    low: Option<f64>,
    /// The lowest that did not, and what gave way.
    high: Option<(f64, GaveWay)>,
    /// The rate is tried a second time.
    is_again: bool,
}

impl Search {
    /// Begins with this rate.
    #[must_use]
    pub(super) fn new(first: f64) -> Self {
        let first = first.clamp(LOWEST_RATE, HIGHEST_RATE);
        Self { next: Next::Try(StepKind::Up, first), low: None, high: None, is_again: false }
    }

    /// What is to be done next.
    #[must_use]
    pub(super) fn next(&self) -> Next {
        self.next
    }

    /// The lowest rate that did not hold, and what gave way.
    #[must_use]
    pub(super) fn high(&self) -> Option<(f64, GaveWay)> {
        self.high
    }

    /// The highest rate that has held so far.
    #[must_use]
    pub(super) fn low(&self) -> Option<f64> {
        self.low
    }

    /// Takes in what came of the rate that was tried.
    pub(super) fn tell(&mut self, outcome: Outcome) {
        let Next::Try(kind, rate) = self.next else { return };
        // A rate that is given up is never tried again: a moment in which the machine did something else must not be enough.
        self.is_again = outcome.is_doubtful && !self.is_again;
        if self.is_again {
            return;
        }
        match outcome.gave_way {
            None => self.low = Some(self.low.map_or(rate, |low| low.max(rate))),
            Some(what) => {
                self.high = Some(match self.high {
                    Some(known) if known.0 <= rate => known,
                    _ => (rate, what),
                });
                // What held for a moment may not hold for long.
                self.low = self.low.filter(|low| *low < rate);
            }
        }
        self.next = match (kind, outcome.gave_way) {
            (StepKind::Confirm, None) => Next::Found(rate),
            (StepKind::Confirm, Some(_)) => Self::back(rate, outcome.achieved),
            (_, _) => self.narrow(rate),
        };
    }

    fn narrow(&self, rate: f64) -> Next {
        match (self.low, self.high) {
            (Some(low), None) if low >= HIGHEST_RATE => Next::Try(StepKind::Confirm, low),
            (Some(low), None) => Next::Try(StepKind::Up, (low * UP).min(HIGHEST_RATE)),
            (None, _) if rate <= LOWEST_RATE => Next::Missed(rate),
            (None, _) => Next::Try(StepKind::Down, (rate / DOWN).max(LOWEST_RATE)),
            (Some(low), Some((high, _))) if high / low <= NEAR => Next::Try(StepKind::Confirm, low),
            (Some(low), Some((high, _))) => Next::Try(StepKind::Bisect, f64::midpoint(low, high)),
        }
    }

    /// What was acked says how much was too much, unless that was little.
    fn back(rate: f64, achieved: f64) -> Next {
        if rate <= LOWEST_RATE {
            return Next::Missed(rate);
        }
        let next = (rate * BACK).min(achieved * 0.99).max(rate / UP);
        Next::Try(StepKind::Confirm, next.max(LOWEST_RATE))
    }
}

/// How far back brokers look when they hold a client to a quota, by default: what was too much counts for so long.
pub(super) const QUOTA_WINDOW: Duration = Duration::from_secs(11);
/// How long a rate is measured that is not to be confirmed, as a part of the time that was asked for, and in all.
const OF_DURATION: u32 = 6;
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(15);

/// How long a rate is let settle, and how long it is measured then, where a run is to have so much of either. The first rate finds
/// everything cold.
pub(super) fn times(
    kind: StepKind,
    is_first: bool,
    warmup: Duration,
    duration: Duration,
) -> (Duration, Duration) {
    let short = (duration / OF_DURATION).clamp(SHORTEST, LONGEST).min(duration);
    let settle = if is_first { warmup } else { warmup.min(short / 2) };
    (settle, if kind == StepKind::Confirm { duration } else { short })
}

impl Outcome {
    /// Of what was measured; brokers that throttled leave no doubt.
    #[must_use]
    pub(crate) fn of(measured: &Measured, limit: Duration, is_throttled: bool) -> Self {
        let gave_way = assess(measured, limit);
        let is_doubtful = gave_way == Some(GaveWay::Backlog)
            && measured.latency <= limit
            && measured.unanswered == 0
            && !is_throttled;
        Self { achieved: measured.achieved, gave_way, is_doubtful }
    }
}

/// What was measured of a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// What was asked for, records a second.
    pub rate: f64,
    /// Acks a second.
    pub achieved: f64,
    /// For how long, s.
    pub measured_s: f64,
    /// The latency that the objective speaks of.
    pub latency: Duration,
    /// Records that were due and not sent at the end.
    pub overdue: u64,
    /// Records that were acked and not read at the end.
    pub backlog: u64,
    /// Records that were sent, and had no ack long after the end.
    pub unanswered: u64,
    /// The client was what held the load back.
    pub is_client_bound: bool,
}

/// What a rate is held to, beside the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    /// Acks a second, at the least.
    pub(super) achieved: f64,
    /// Records due and not sent, at the most.
    pub(super) overdue: f64,
    /// Records acked and not read, at the most.
    pub(super) backlog: f64,
}

impl Bounds {
    /// Those of what was measured, where latency may take so long.
    pub(super) fn of(measured: &Measured, limit: Duration) -> Self {
        /// Of the rate, what must have been acked.
        const ACKED: f64 = 0.99;
        /// What readers may be behind, as time: they fetch in large pieces.
        const BEHIND_S: f64 = 1.0;
        /// At the most, what is under way at the end, as time: as much as comes while one is.
        const UNDER_WAY_S: f64 = 0.25;
        let Measured { rate, measured_s, latency, .. } = *measured;
        // And one that is due at this very moment.
        let missing = rate * latency.as_secs_f64().min(UNDER_WAY_S) + 1.0;
        Self {
            achieved: rate * ACKED - missing / measured_s.max(1.0),
            // As much of what is due as comes in the time that latency may take is no backlog.
            overdue: rate * limit.as_secs_f64().max(0.02) + 1.0,
            backlog: rate * BEHIND_S,
        }
    }
}

/// Whether a rate held; if not, what gave way.
#[must_use]
pub(super) fn assess(measured: &Measured, limit: Duration) -> Option<GaveWay> {
    let Measured { achieved, latency, overdue, backlog, unanswered, is_client_bound, .. } = *measured;
    let bounds = Bounds::of(measured, limit);
    let grows = achieved < bounds.achieved || overdue as f64 > bounds.overdue || unanswered > 0;
    if grows && is_client_bound {
        Some(GaveWay::Client)
    } else if grows || backlog as f64 > bounds.backlog {
        Some(GaveWay::Backlog)
    } else {
        (latency > limit).then_some(GaveWay::Latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that takes so many records a second, and is slower the nearer it is to that.
    struct Broker {
        capacity: f64,
        service_ms: f64,
        /// What it takes for a moment.
        burst: f64,
    }

    /// How a search ended, what was tried, and the lowest rate that did not hold.
    type Searched = (Next, Vec<(StepKind, f64)>, Option<(f64, GaveWay)>);

    impl Broker {
        fn measure(&self, kind: StepKind, rate: f64) -> Measured {
            let capacity = if kind == StepKind::Confirm { self.capacity } else { self.capacity * self.burst };
            let achieved = rate.min(capacity);
            let load = rate / capacity;
            let latency_ms = if load < 1.0 { self.service_ms / (1.0 - load) } else { 60_000.0 };
            Measured {
                rate,
                achieved,
                measured_s: 1_000.0,
                latency: Duration::from_secs_f64(latency_ms / 1e3),
                overdue: if load > 1.0 { 1_000_000 } else { 0 },
                backlog: 0,
                unanswered: 0,
                is_client_bound: false,
            }
        }

        fn search(&self, first: f64, limit_ms: u64) -> Searched {
            let (mut search, mut steps) = (Search::new(first), Vec::new());
            while let Next::Try(kind, rate) = search.next() {
                steps.push((kind, rate));
                assert!(steps.len() < 60, "{steps:?}");
                let measured = self.measure(kind, rate);
                search.tell(Outcome::of(&measured, Duration::from_millis(limit_ms), false));
            }
            (search.next(), steps, search.high())
        }
    }

    fn found(next: Next) -> f64 {
        let Next::Found(rate) = next else { panic!("{next:?}") };
        rate
    }

    #[test]
    fn the_rate_is_found_wherever_it_is() {
        for capacity in [200.0, 3_456.0, 50_000.0, 777_777.0, 20e6] {
            for first in [10.0, FIRST_RATE, 5e6] {
                // 1 / (1 - load) is at most 10.
                let broker = Broker { capacity, service_ms: 1.0, burst: 1.0 };
                let (next, steps, high) = broker.search(first, 10);
                let (rate, expected) = (found(next), capacity * 0.9);
                assert!(rate <= expected && rate > expected * 0.96, "{rate} for {expected}: {steps:?}");
                assert_eq!(steps.last().unwrap(), &(StepKind::Confirm, rate), "what is said is confirmed");
                let (high, what) = high.unwrap();
                assert!(high > rate && high <= rate * 1.05 && what == GaveWay::Latency, "{high} {what:?}");
            }
        }
    }

    #[test]
    fn what_holds_for_a_moment_only_is_not_confirmed() {
        // A quota: 1.3 times as much for a moment, and no latency before it is used up.
        let broker = Broker { capacity: 40_000.0, service_ms: 0.001, burst: 1.3 };
        let (next, steps, _) = broker.search(FIRST_RATE, 20);
        let rate = found(next);
        assert!(rate <= 40_000.0 && rate > 38_000.0, "{rate}: {steps:?}");
        let confirmations = steps.iter().filter(|(kind, _)| *kind == StepKind::Confirm).count();
        assert!((2..=4).contains(&confirmations), "{steps:?}");
    }

    #[test]
    fn an_objective_that_the_lowest_rate_misses_is_missed() {
        let broker = Broker { capacity: 50_000.0, service_ms: 30.0, burst: 1.0 };
        let (next, steps, high) = broker.search(FIRST_RATE, 20);
        assert_eq!(next, Next::Missed(LOWEST_RATE), "{steps:?}");
        assert!(steps.len() < 10 && steps[1..].iter().all(|(kind, _)| *kind == StepKind::Down), "{steps:?}");
        assert_eq!(high, Some((LOWEST_RATE, GaveWay::Latency)));
    }

    #[test]
    fn it_ends_where_nothing_gives_way_or_nothing_is_ever_confirmed() {
        let (next, ..) = Broker { capacity: 1e12, service_ms: 0.1, burst: 1.0 }.search(1e8, 10);
        assert_eq!(next, Next::Found(HIGHEST_RATE));
        let mut search = Search::new(1_000.0);
        let mut steps = 0;
        while let Next::Try(kind, _) = search.next() {
            let gave_way = (kind == StepKind::Confirm).then_some(GaveWay::Latency);
            let gave_way = gave_way.or((search.high().is_none() && steps > 2).then_some(GaveWay::Latency));
            search.tell(Outcome { achieved: 0.0, gave_way, is_doubtful: false });
            steps += 1;
            assert!(steps < 60);
        }
        assert_eq!(search.next(), Next::Missed(LOWEST_RATE));
    }

    #[test]
    fn a_moment_is_not_enough_to_give_a_rate_up() {
        let (broker, limit) =
            (Broker { capacity: 50_000.0, service_ms: 1.0, burst: 1.0 }, Duration::from_millis(10));
        let search = |spoilt: Option<usize>, is_throttled: bool| {
            let (mut search, mut steps) = (Search::new(FIRST_RATE), 0);
            while let Next::Try(kind, rate) = search.next() {
                let mut measured = broker.measure(kind, rate);
                if spoilt == Some(steps) {
                    // The machine stood still at its end.
                    measured.achieved = rate * 0.9;
                }
                search.tell(Outcome::of(&measured, limit, is_throttled));
                steps += 1;
            }
            (found(search.next()), steps)
        };
        let (expected, steps) = search(None, false);
        for spoilt in 0..steps {
            assert_eq!(
                search(Some(spoilt), false).0.to_bits(),
                expected.to_bits(),
                "step {spoilt} of {steps}"
            );
        }
        let (less, _) = search(Some(0), true);
        assert!(less < expected * 0.25, "a throttled one is given up at once: {less}");
        // Again and again is not by chance.
        let mut search = Search::new(1_000.0);
        let doubtful = Outcome { achieved: 900.0, gave_way: Some(GaveWay::Backlog), is_doubtful: true };
        search.tell(doubtful);
        assert_eq!(search.next(), Next::Try(StepKind::Up, 1_000.0));
        search.tell(doubtful);
        assert_eq!(search.next(), Next::Try(StepKind::Down, 250.0));
    }

    #[test]
    fn what_gives_way_is_named() {
        let sound = Measured {
            rate: 1_000.0,
            achieved: 999.0,
            measured_s: 10.0,
            latency: Duration::from_millis(5),
            overdue: 10,
            backlog: 900,
            unanswered: 0,
            is_client_bound: false,
        };
        let of = |measured| assess(&measured, Duration::from_millis(20));
        assert_eq!(of(sound), None);
        assert_eq!(of(Measured { latency: Duration::from_millis(21), ..sound }), Some(GaveWay::Latency));
        for backlog in [
            Measured { achieved: 980.0, ..sound },
            Measured { achieved: 987.0, ..sound },
            Measured { overdue: 30, ..sound },
            Measured { backlog: 1_001, ..sound },
            Measured { unanswered: 1, ..sound },
        ] {
            assert_eq!(of(backlog), Some(GaveWay::Backlog), "{backlog:?}");
        }
        let tired = Measured { achieved: 980.0, is_client_bound: true, ..sound };
        assert_eq!(of(tired), Some(GaveWay::Client));
        assert_eq!(of(Measured { is_client_bound: true, ..sound }), None, "as long as it can");
        let latency = Duration::from_millis(19);
        let short = Measured { achieved: 981.0, measured_s: 2.0, latency, ..sound };
        assert_eq!((of(short), of(Measured { achieved: 979.0, ..short })), (None, Some(GaveWay::Backlog)));
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod quota_tests;
