//! Two sides of one run or several, held against each other.

use super::{
    metric::{METRICS, Metric},
    series::{Adjusted, Certainty, Mean, adjusted},
};
use crate::bench::result::BenchResult;

/// So improbable must a difference be where there is none, to be told as one.
pub(super) const SIGNIFICANT: f64 = 0.05;

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing that would not come by chance.
    NoDifference,
    /// What would not come by chance, and is too small to matter.
    Small,
    Better,
    Worse,
    /// There are too few seconds to tell, and one run of each side.
    Unknown,
}

impl Outcome {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::NoDifference => "no difference",
            Self::Small => "too small to count",
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Unknown => "too short to tell",
        }
    }
}

/// One figure on both sides.
pub(super) struct Row {
    pub(super) metric: &'static Metric,
    /// Of the typical second of either side: its mean logarithm's.
    pub(super) old: f64,
    pub(super) new: f64,
    /// What the new one has more, as a part of the old one: 0.1 is 10 %.
    pub(super) change: f64,
    /// Where the change lies with 95 %, and how probable one as large is where there is none, all figures considered: the range
    /// leaves out 0 where a difference is told.
    pub(super) range: Option<(f64, f64)>,
    pub(super) p: Option<f64>,
    pub(super) outcome: Outcome,
    /// Of whole runs; the mean where there are several.
    pub(super) whole: (f64, f64),
}

/// The figures that both sides have. Changes below `least`, as a part, are none.
pub(super) fn rows(old: &[BenchResult], new: &[BenchResult], least: f64) -> Vec<Row> {
    let rows = METRICS.iter().filter_map(|metric| row(metric, old, new));
    let (mut rows, known): (Vec<_>, Vec<_>) = rows.unzip();
    let ps: Vec<_> = known.iter().flatten().map(|certainty| certainty.p).collect();
    let mut adjusted = adjusted(&ps, SIGNIFICANT).into_iter();
    for (row, certainty) in rows.iter_mut().zip(known) {
        if let Some((certainty, adjusted)) =
            certainty.and_then(|certainty| Some((certainty, adjusted.next()?)))
        {
            row.p = Some(adjusted.p);
            row.range = Some(range(row.change, &certainty, adjusted));
        }
        row.outcome = outcome(row, least);
    }
    rows
}

/// Where a change lies.
fn range(change: f64, certainty: &Certainty, Adjusted { improbable, .. }: Adjusted) -> (f64, f64) {
    let (log, half_width) = (change.ln_1p(), certainty.half_width(improbable));
    ((log - half_width).exp_m1(), (log + half_width).exp_m1())
}

fn outcome(row: &Row, least: f64) -> Outcome {
    let Some(p) = row.p else { return Outcome::Unknown };
    if p >= SIGNIFICANT {
        return Outcome::NoDifference;
    }
    if row.change.abs() < least {
        return Outcome::Small;
    }
    if (row.change > 0.0) == row.metric.more_is_better { Outcome::Better } else { Outcome::Worse }
}

/// A figure, and how well its change is known.
fn row(
    metric: &'static Metric,
    old: &[BenchResult],
    new: &[BenchResult],
) -> Option<(Row, Option<Certainty>)> {
    let whole = |side: &[BenchResult]| -> Option<f64> {
        let values: Option<Vec<_>> = side.iter().map(metric.whole).collect();
        Mean::of_independent(&values?).map(|mean| mean.value)
    };
    let (is_many, whole) = (old.len() > 1 && new.len() > 1, (whole(old)?, whole(new)?));
    let (old, new) = (side(metric, old, is_many)?, side(metric, new, is_many)?);
    let difference = old.to(&new);
    let row = Row {
        metric,
        old: old.value.exp(),
        new: new.value.exp(),
        change: difference.value.exp_m1(),
        range: None,
        p: None,
        outcome: Outcome::Unknown,
        whole,
    };
    Some((row, difference.certainty))
}

/// The mean of the logarithms, as latencies and rates differ by factors, and one slow second is not to outweigh all others. With
/// several runs on either side each run is one value: that two runs of the same thing differ, only they can show.
fn side(metric: &Metric, runs: &[BenchResult], is_many: bool) -> Option<Mean> {
    let logs = |run: &BenchResult| -> Vec<f64> {
        // Below a microsecond, or a record a second, nothing is told apart.
        run.proofload.samples.iter().filter_map(metric.second).map(|value| value.max(FLOOR).ln()).collect()
    };
    if is_many {
        let means: Option<Vec<_>> =
            runs.iter().map(|run| Mean::of_independent(&logs(run)).map(|mean| mean.value)).collect();
        return Mean::of_independent(&means?);
    }
    let all: Vec<_> = runs.iter().flat_map(logs).collect();
    Mean::of_series(&all)
}

/// The smallest value that is told from none: CPU time of a record may be below a microsecond.
const FLOOR: f64 = 0.01;
