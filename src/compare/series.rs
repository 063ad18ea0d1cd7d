//! Means of series whose values resemble their neighbours, and how two of them differ.
//!
//! The samples of a run are correlated: a slow second follows a slow one. Taken as independent, a run of a minute would
//! claim to know its mean far better than it does. So they are put together to batches of neighbours, whose means hardly know
//! of each other (non-overlapping batch means: Conway, "Some tactical problems in digital simulation", 1963; Alexopoulos and
//! Seila, "Output data analysis", in Banks, Handbook of Simulation, 1998).

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Values below which nothing is said of how well a mean is known.
const LEAST_VALUES: usize = 8;
/// Batches: few and long, so that what drifts over tens of seconds shows between them.
const LEAST_BATCHES: usize = 4;
const MOST_BATCHES: usize = 20;
/// Neighbours in a batch where there are enough.
const BATCH: usize = 10;

/// A mean, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mean {
    pub(super) value: f64,
    /// Variance of the mean itself and degrees of freedom of that; `None` where there are too few values.
    spread: Option<(f64, f64)>,
}

/// What one mean has more than another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) value: f64,
    /// How well it is known; `None` where that cannot be said.
    pub(super) certainty: Option<Certainty>,
}

/// How well a difference is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Certainty {
    /// Its standard error, and degrees of freedom of that.
    error: f64,
    degrees: f64,
    /// The probability of one as large, or larger, where there is none.
    pub(super) p: f64,
}

impl Certainty {
    /// The difference lies within so much of its value, unless that is as improbable as this.
    pub(super) fn half_width(&self, improbable: f64) -> f64 {
        // Degrees of freedom are above 0 wherever there is an error.
        let quantile = |students: StudentsT| students.inverse_cdf(1.0 - improbable / 2.0);
        if self.error > 0.0 {
            StudentsT::new(0.0, 1.0, self.degrees).map_or(0.0, quantile) * self.error
        } else {
            0.0
        }
    }
}

impl Mean {
    /// Of values in the order of time, by batches; `None` without any.
    pub(super) fn of_series(values: &[f64]) -> Option<Self> {
        let value = mean(values)?;
        if values.len() < LEAST_VALUES {
            return Some(Self { value, spread: None });
        }
        let batches = (values.len() / BATCH).clamp(LEAST_BATCHES, MOST_BATCHES);
        // What does not fill a batch is left out at the beginning, where a run is least itself.
        let size = values.len() / batches;
        let kept = &values[values.len() - size * batches..];
        let means: Vec<_> = kept.chunks_exact(size).filter_map(mean).collect();
        Some(Self { value, ..Self::of_independent(&means)? })
    }

    /// Of values that know nothing of each other, such as the means of several runs; `None` without any.
    pub(super) fn of_independent(values: &[f64]) -> Option<Self> {
        let value = mean(values)?;
        let count = values.len() as f64;
        let squares: f64 = values.iter().map(|one| (one - value).powi(2)).sum();
        let spread = (values.len() > 1).then(|| (squares / (count - 1.0) / count, count - 1.0));
        Some(Self { value, spread })
    }

    /// What `newer` has more than this one: Welch's test.
    pub(super) fn to(&self, newer: &Self) -> Difference {
        let value = newer.value - self.value;
        let certainty = self.spread.zip(newer.spread).and_then(|(one, two)| certainty(value, one, two));
        Difference { value, certainty }
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn certainty(value: f64, one: (f64, f64), two: (f64, f64)) -> Option<Certainty> {
    let ((variance_1, degrees_1), (variance_2, degrees_2)) = (one, two);
    let variance = variance_1 + variance_2;
    if variance <= 0.0 {
        // All values are the same, on either side.
        return Some(Certainty { error: 0.0, degrees: 0.0, p: if value == 0.0 { 1.0 } else { 0.0 } });
    }
    let degrees = variance.powi(2) / (variance_1.powi(2) / degrees_1 + variance_2.powi(2) / degrees_2);
    let students = StudentsT::new(0.0, 1.0, degrees).ok()?;
    let error = variance.sqrt();
    let p = 2.0 * students.sf((value / error).abs());
    Some(Certainty { error, degrees, p })
}

/// One of several tests, as if it had been the only one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Adjusted {
    pub(super) p: f64,
    /// How improbable what lies outside of its interval is to be, so that the interval leaves out 0 where `p` is below the level
    /// that was asked for, and only there.
    pub(super) improbable: f64,
}

/// Probabilities of several tests as if each had been the only one (Holm, "A simple sequentially rejective multiple test
/// procedure", 1979): of many figures that do not differ one in twenty would seem to. From the first on that is not told from
/// none, at this level, all others are held to what that one was held to.
pub(super) fn adjusted(ps: &[f64], level: f64) -> Vec<Adjusted> {
    let mut order: Vec<_> = (0..ps.len()).collect();
    order.sort_by(|one, two| ps[*one].total_cmp(&ps[*two]));
    let nothing = Adjusted { p: 1.0, improbable: level };
    let (mut adjusted, mut highest, mut improbable) = (vec![nothing; ps.len()], 0.0_f64, level);
    for (rank, index) in order.into_iter().enumerate() {
        let tests = (ps.len() - rank) as f64;
        if highest < level {
            improbable = level / tests;
        }
        highest = highest.max((ps[index] * tests).min(1.0));
        adjusted[index] = Adjusted { p: highest, improbable };
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn near(one: f64, two: f64) -> bool {
        (one - two).abs() < 1e-3
    }

    #[test]
    fn welch_s_test_as_in_the_books() {
        // Variances of the means 0.5 and 0.7, two and three degrees: t = 2.7386, 4.88 degrees of freedom.
        let one = Mean::of_independent(&[20.0, 21.0, 22.0 + 0.5]).unwrap();
        let two = Mean::of_independent(&[23.0, 24.0, 25.0, 24.0]).unwrap();
        let difference = one.to(&two);
        assert!(near(difference.value, 2.8333), "{difference:?}");
        let certainty = difference.certainty.unwrap();
        // By hand: variances 1.5833/3 and 0.6667/4, t 3.4017, 3.24 degrees of freedom.
        assert!(certainty.p > 0.03 && certainty.p < 0.05, "{certainty:?}");
        let half_width = certainty.half_width(0.05);
        assert!(half_width > 2.3 && half_width < 2.8, "{certainty:?}");
        assert!(near(certainty.half_width(certainty.p), difference.value), "it ends at 0 then");
        assert!(near(one.to(&one).certainty.unwrap().p, 1.0));
    }

    #[test]
    fn what_is_always_the_same_is_certain_and_few_values_are_not() {
        let (five, six) = (Mean::of_series(&[5.0; 20]).unwrap(), Mean::of_series(&[6.0; 20]).unwrap());
        let known = |certainty: Certainty| (certainty.half_width(0.05), certainty.p);
        assert_eq!(five.to(&six).certainty.map(known), Some((0.0, 0.0)));
        assert_eq!(five.to(&five).certainty.map(known), Some((0.0, 1.0)));
        let few = Mean::of_series(&[5.0, 6.0, 7.0]).unwrap();
        assert_eq!((few.value, few.to(&five).certainty), (6.0, None));
        assert_eq!(Mean::of_series(&[]), None);
        assert_eq!(Mean::of_independent(&[3.0]).unwrap().to(&five).certainty, None);
    }

    /// A series in which nine tenths of each value are the one before.
    fn drifting(random: &mut Random, length: usize) -> Vec<f64> {
        let mut last = 0.0;
        let mut next = || {
            let noise = f64::from(u32::try_from(random.below(2_001)).unwrap()) / 1_000.0 - 1.0;
            last = 0.9 * last + noise;
            last
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn neighbours_that_resemble_each_other_do_not_make_a_mean_certain() {
        let mut random = Random::from_seed(7);
        let (mut by_batches, mut as_if_independent) = (0, 0);
        for _ in 0..400 {
            let pair = [drifting(&mut random, 60), drifting(&mut random, 60)];
            let is_told = |of: fn(&[f64]) -> Option<Mean>| {
                let [one, two] = pair.each_ref().map(|values| of(values).unwrap());
                one.to(&two).certainty.unwrap().p < 0.05
            };
            by_batches += u32::from(is_told(Mean::of_series));
            as_if_independent += u32::from(is_told(Mean::of_independent));
        }
        assert!(as_if_independent > 200, "{as_if_independent} of 400");
        assert!(by_batches < 100, "{by_batches} of 400");
    }

    #[test]
    fn many_tests_need_more_than_one() {
        let adjusted = adjusted(&[0.01, 0.04, 0.03, 0.9], 0.05);
        assert_eq!(adjusted.iter().map(|one| one.p).collect::<Vec<_>>(), [0.04, 0.09, 0.09, 0.9]);
    }

    #[test]
    fn an_interval_leaves_out_0_where_a_difference_is_told_and_only_there() {
        let mut random = Random::from_seed(11);
        let mut told = 0;
        for round in 0..2_000 {
            // Now all are far from chance, now some, now none.
            let most = if round % 2 == 0 { 20 } else { 600 };
            let ps: Vec<_> = (0..9).map(|_| random.below(most) as f64 / 1_000.0).collect();
            for (p, one) in ps.iter().zip(adjusted(&ps, 0.05)) {
                // An interval at a level leaves out 0 where the test's own p is below that.
                assert_eq!(*p < one.improbable, one.p < 0.05, "{ps:?}: {one:?}");
                told += u32::from(one.p < 0.05);
            }
        }
        assert!((1_000..17_000).contains(&told), "{told} of 18000");
    }
}
