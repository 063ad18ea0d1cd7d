//! Axes: where a value stands on one, and which values are written beside it.

use std::time::Duration;

use super::figure;
use crate::human;

/// What an axis shows, and with that how it is divided, and in which words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// Seconds since the beginning.
    ElapsedS,
    /// Latencies, µs: factors have the same room.
    LatencyUs,
    /// Numbers of something, from 0.
    Count,
    /// Numbers in a second, from 0.
    PerSecond,
    /// Parts of one, 0 to 1.
    Share,
    /// Percentiles, 0 to 100: each nine has the same room.
    Percentile,
}

impl Quantity {
    /// A value in words.
    pub(super) fn words(self, value: f64) -> String {
        match self {
            Self::ElapsedS => human::span(Duration::try_from_secs_f64(value).unwrap_or_default()),
            Self::LatencyUs => figure::latency(value),
            Self::Count => figure::short(value),
            Self::PerSecond => figure::rate(value),
            Self::Share => figure::share(value),
            Self::Percentile => format!("{value} %"),
        }
    }

    /// What takes up room by it: values that differ by the same have the same distance.
    fn measure(self, value: f64) -> f64 {
        /// Below that nothing is told apart.
        const LEAST_US: f64 = 1.0;
        /// More nines are not drawn.
        const LEAST_LEFT: f64 = 1e-7;
        match self {
            Self::LatencyUs => value.max(LEAST_US).log10(),
            Self::Percentile => -(1.0 - value / 100.0).clamp(LEAST_LEFT, 1.0).log10(),
            _ => value,
        }
    }
}

/// An axis from one value to another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    quantity: Quantity,
    from: f64,
    to: f64,
    /// Values that are written beside it.
    pub(super) ticks: Vec<f64>,
}

/// So many parts an axis has, about.
const PARTS: f64 = 4.0;
const MINUTE_S: f64 = 60.0;
const HOUR_S: f64 = 3_600.0;
/// Steps of time that people count in, s.
const TIME_STEPS_S: [f64; 17] = [
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    30.0,
    MINUTE_S,
    2.0 * MINUTE_S,
    5.0 * MINUTE_S,
    10.0 * MINUTE_S,
    20.0 * MINUTE_S,
    30.0 * MINUTE_S,
    HOUR_S,
    2.0 * HOUR_S,
    4.0 * HOUR_S,
    12.0 * HOUR_S,
    24.0 * HOUR_S,
];
const PERCENTILES: [f64; 9] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999, 99.99999];
/// More latencies than these are written as powers of ten only.
const MOST_LATENCIES: usize = 6;

impl Scale {
    /// One that has room for all of these values; those that are no numbers count for nothing.
    pub(super) fn of(quantity: Quantity, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
        match quantity {
            Quantity::ElapsedS => Self::elapsed(high),
            Quantity::LatencyUs => Self::latencies(low, high),
            Quantity::Count | Quantity::PerSecond => Self::counts(quantity, high),
            Quantity::Share => Self::new(quantity, 0.0, 1.0, vec![0.0, 0.25, 0.5, 0.75, 1.0]),
            Quantity::Percentile => Self::percentiles(high),
        }
    }

    fn new(quantity: Quantity, from: f64, to: f64, ticks: Vec<f64>) -> Self {
        Self { quantity, from, to, ticks }
    }

    fn elapsed(high: f64) -> Self {
        let to = high.max(1.0);
        let days = 24.0 * HOUR_S;
        let step = TIME_STEPS_S.into_iter().find(|step| to / step <= PARTS + 2.0);
        let step = step.unwrap_or_else(|| (to / days / PARTS).ceil() * days);
        Self::new(Quantity::ElapsedS, 0.0, to, multiples(step, to))
    }

    fn counts(quantity: Quantity, high: f64) -> Self {
        let high = high.max(1.0);
        let step = round_above(high / PARTS);
        let to = (high / step).ceil() * step;
        Self::new(quantity, 0.0, to, multiples(step, to))
    }

    fn latencies(low: f64, high: f64) -> Self {
        let from = round_below(low.max(1.0));
        let to = round_above(high.max(from * 2.0));
        let mut ticks = vec![from];
        while let Some(next) = ticks.last().map(|last| round_above(last * 1.5)).filter(|next| *next <= to) {
            ticks.push(next);
        }
        if ticks.len() > MOST_LATENCIES {
            ticks.retain(|tick| (tick.log10() - tick.log10().round()).abs() < 1e-9);
        }
        Self::new(Quantity::LatencyUs, from, to, ticks)
    }

    fn percentiles(high: f64) -> Self {
        let to = Quantity::Percentile.measure(high).max(1.0);
        let ticks = PERCENTILES.into_iter().filter(|tick| Quantity::Percentile.measure(*tick) <= to + 1e-9);
        Self::new(Quantity::Percentile, 0.0, high.max(90.0), ticks.collect())
    }

    /// Where a value stands: 0 at the beginning of the axis, 1 at its end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let measure = |value| self.quantity.measure(value);
        let (from, to) = (measure(self.from), measure(self.to));
        ((measure(value) - from) / (to - from)).clamp(0.0, 1.0)
    }

    pub(super) fn words(&self, value: f64) -> String {
        self.quantity.words(value)
    }
}

fn multiples(step: f64, to: f64) -> Vec<f64> {
    (0..100_u32)
        .map(|number| f64::from(number) * step)
        .take_while(|tick| *tick <= to * (1.0 + 1e-9))
        .collect()
}

/// 1, 2 or 5 times a power of ten: the next that is not below.
fn round_above(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    // What is missing in the last bits is nothing.
    steps.into_iter().map(|step| step * power).find(|step| *step >= value * (1.0 - 1e-9)).unwrap_or(value)
}

/// The same: the last that is not above.
fn round_below(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [5.0, 2.0, 1.0];
    steps.into_iter().map(|step| step * power).find(|step| *step <= value * (1.0 + 1e-9)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(quantity: Quantity, values: &[f64]) -> String {
        let scale = Scale::of(quantity, values.iter().copied());
        scale.ticks.iter().map(|tick| scale.words(*tick)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(words(Quantity::ElapsedS, &[60.0]), "0 s, 10 s, 20 s, 30 s, 40 s, 50 s, 1 min");
        assert_eq!(
            words(Quantity::ElapsedS, &[7_200.0]),
            "0 s, 20 min, 40 min, 1 h, 1 h 20 min, 1 h 40 min, 2 h"
        );
        assert_eq!(words(Quantity::ElapsedS, &[900_000.0]), "0 s, 3 days, 6 days, 9 days");
        assert_eq!(words(Quantity::PerSecond, &[9_300.0]), "0/s, 5k/s, 10k/s");
        assert_eq!(words(Quantity::Count, &[0.0]), "0, 0.5, 1");
        assert_eq!(words(Quantity::LatencyUs, &[850.0, 12_000.0]), "500 µs, 1 ms, 2 ms, 5 ms, 10 ms, 20 ms");
        assert_eq!(words(Quantity::LatencyUs, &[3.0, 2e6]), "10 µs, 100 µs, 1 ms, 10 ms, 100 ms, 1 s");
        assert_eq!(words(Quantity::Percentile, &[99.95]), "0 %, 50 %, 90 %, 99 %, 99.9 %");
        assert_eq!(words(Quantity::Share, &[]), "0 %, 25 %, 50 %, 75 %, 100 %");
    }

    #[test]
    fn values_stand_in_order_and_within_the_axis() {
        let all = [
            Quantity::ElapsedS,
            Quantity::LatencyUs,
            Quantity::Count,
            Quantity::PerSecond,
            Quantity::Share,
            Quantity::Percentile,
        ];
        for quantity in all {
            for values in [&[][..], &[0.0], &[f64::NAN, 7.0], &[0.0, 0.3, 1.0], &[1.0, 50.0, 99.9, 100.0]] {
                let scale = Scale::of(quantity, values.iter().copied());
                let places: Vec<_> = values.iter().map(|value| scale.place(*value)).collect();
                assert!(
                    places.iter().all(|at| at.is_nan() || (0.0..=1.0).contains(at)),
                    "{quantity:?} {places:?}"
                );
                let known = places.iter().filter(|at| !at.is_nan());
                assert!(known.is_sorted_by(|one, other| one <= other), "{quantity:?} {places:?}");
                assert!((2..=12).contains(&scale.ticks.len()), "{quantity:?} {values:?}: {:?}", scale.ticks);
                let at: Vec<_> = scale.ticks.iter().map(|tick| scale.place(*tick)).collect();
                assert!(at.is_sorted_by(|one, other| one < other), "{quantity:?} {values:?}: {at:?}");
            }
        }
    }

    #[test]
    fn nines_have_the_same_room() {
        let scale = Scale::of(Quantity::Percentile, [99.9].into_iter());
        let [none, one, two, three] = [0.0, 90.0, 99.0, 99.9].map(|value| scale.place(value));
        assert!((one - none - (two - one)).abs() < 1e-9 && (three - 1.0).abs() < 1e-9, "{one} {two} {three}");
    }
}
