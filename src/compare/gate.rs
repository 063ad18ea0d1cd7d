//! `--fail-on`: when a comparison is a failure.

use super::comparison::{Row, SIGNIFICANT};
use crate::config::Gate;

/// What a condition says of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// The change is not as large, or may be by chance.
    Open,
    /// The change is as large, and not by chance.
    Shut,
    /// One of the sides has no such figure.
    NoFigure,
}

/// A change that may be due to chance shuts nothing; where nothing is known of that, the change alone decides.
pub(super) fn judge(gate: &Gate, rows: &[Row]) -> Passage {
    let Some(row) = rows.iter().find(|row| row.metric.name == gate.figure) else {
        return Passage::NoFigure;
    };
    let is_beyond = if gate.is_above { row.change > gate.change } else { row.change < gate.change };
    if is_beyond && row.p.is_none_or(|p| p < SIGNIFICANT) { Passage::Shut } else { Passage::Open }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{comparison::Outcome, metric::METRICS},
        *,
    };

    fn rows(change: f64, p: Option<f64>) -> Vec<Row> {
        let metric = METRICS.iter().find(|metric| metric.name == "p99").unwrap();
        let (old, new, range, outcome) = (100.0, 100.0 + change * 100.0, None, Outcome::Unknown);
        vec![Row { metric, old, new, change, range, p, outcome, whole: (old, new) }]
    }

    #[test]
    fn a_gate_shuts_at_what_is_beyond_and_not_by_chance() {
        let gate: Gate = "p99>+10%".parse().unwrap();
        assert_eq!(judge(&gate, &rows(0.11, Some(0.01))), Passage::Shut);
        assert_eq!(judge(&gate, &rows(0.11, Some(0.06))), Passage::Open);
        assert_eq!(judge(&gate, &rows(0.10, Some(0.0))), Passage::Open);
        assert_eq!(judge(&gate, &rows(-0.5, Some(0.0))), Passage::Open);
        assert_eq!(judge(&gate, &rows(0.11, None)), Passage::Shut);
        assert_eq!(judge(&gate, &[]), Passage::NoFigure);
        let gate: Gate = "p99<-5%".parse().unwrap();
        assert_eq!(judge(&gate, &rows(-0.06, Some(0.0))), Passage::Shut);
        assert_eq!(judge(&gate, &rows(-0.04, Some(0.0))), Passage::Open);
    }
}
