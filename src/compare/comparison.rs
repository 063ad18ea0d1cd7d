//! Two sides of one run or several, held against each other.

use super::{
    metric::{METRICS, Metric},
    series::{Certainty, Mean, adjusted},
};
use crate::bench::result::BenchResult;

/// So improbable must a difference be where there is none, to be told as one.
pub(super) const SIGNIFICANT: f64 = 0.05;

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing that would not come by chance, or that is too small to matter.
    NoDifference,
    Better,
    Worse,
    /// There are too few seconds to tell, and one run of each side.
    Unknown,
}

impl Outcome {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::NoDifference => "no difference",
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Unknown => "too short to tell",
        }
    }
}

/// One figure on both sides.
pub(super) struct Row {
    pub(super) metric: &'static Metric,
    /// Of whole runs; the mean where there are several.
    pub(super) old: f64,
    pub(super) new: f64,
    /// What the typical second of the new side has more, as a part of the old one's: 0.1 is 10 %.
    pub(super) change: f64,
    /// Where the change lies with 95 %, and how probable one as large is where there is none, all figures considered.
    pub(super) range: Option<(f64, f64)>,
    pub(super) p: Option<f64>,
    pub(super) outcome: Outcome,
}

/// The figures that both sides have. Changes below `least`, as a part, are none.
pub(super) fn rows(old: &[BenchResult], new: &[BenchResult], least: f64) -> Vec<Row> {
    let mut rows: Vec<_> = METRICS.iter().filter_map(|metric| row(metric, old, new)).collect();
    let known: Vec<_> = rows.iter().filter_map(|row| row.p).collect();
    let mut adjusted = adjusted(&known).into_iter();
    for row in &mut rows {
        row.p = row.p.and_then(|_| adjusted.next());
        row.outcome = outcome(row, least);
    }
    rows
}

fn outcome(row: &Row, least: f64) -> Outcome {
    let Some(p) = row.p else { return Outcome::Unknown };
    if p >= SIGNIFICANT || row.change.abs() < least {
        return Outcome::NoDifference;
    }
    if (row.change > 0.0) == row.metric.more_is_better { Outcome::Better } else { Outcome::Worse }
}

fn row(metric: &'static Metric, old: &[BenchResult], new: &[BenchResult]) -> Option<Row> {
    let whole = |side: &[BenchResult]| -> Option<f64> {
        let values: Option<Vec<_>> = side.iter().map(metric.whole).collect();
        Mean::of_independent(&values?).map(|mean| mean.value)
    };
    let (is_many, one, two) = (old.len() > 1 && new.len() > 1, whole(old)?, whole(new)?);
    let difference = side(metric, old, is_many)?.to(&side(metric, new, is_many)?);
    let part = |log: f64| log.exp_m1();
    let range = |certainty: Certainty| {
        (part(difference.value - certainty.half_width), part(difference.value + certainty.half_width))
    };
    Some(Row {
        metric,
        old: one,
        new: two,
        change: part(difference.value),
        range: difference.certainty.map(range),
        p: difference.certainty.map(|certainty| certainty.p),
        outcome: Outcome::Unknown,
    })
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
