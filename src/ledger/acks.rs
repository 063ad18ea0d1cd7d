//! The shard's side of the ledger: acks become runs, and runs travel.

use serde::{Deserialize, Serialize};

/// Offsets that follow each other: lower inclusive, upper exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OffsetRun {
    /// First offset.
    pub lower: i64,
    /// The offset behind the last.
    pub upper: i64,
}

/// Acked offsets of one partition that have not yet been handed on.
///
/// Acks of a partition arrive in order, so almost every one only moves `upper`.
#[derive(Clone, Debug, Default)]
pub struct AckedRuns {
    closed: Vec<OffsetRun>,
    open: Option<OffsetRun>,
}

impl AckedRuns {
    /// Adds one acked offset.
    pub fn push(&mut self, offset: i64) {
        match &mut self.open {
            Some(run) if run.upper == offset => run.upper = offset + 1,
            open => {
                let before = open.replace(OffsetRun { lower: offset, upper: offset + 1 });
                self.closed.extend(before);
            }
        }
    }

    /// Whether there is nothing to hand on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_none() && self.closed.is_empty()
    }

    /// The runs, in the order of the acks.
    pub fn runs(&self) -> impl Iterator<Item = OffsetRun> + '_ {
        self.closed.iter().copied().chain(self.open)
    }

    /// Forgets everything at and above `offset`.
    pub fn truncate(&mut self, offset: i64) {
        let truncated = |run: OffsetRun| OffsetRun { upper: run.upper.min(offset), ..run };
        self.closed = self.take().into_iter().map(truncated).filter(|run| run.lower < run.upper).collect();
    }

    /// All runs since the last call, in the order of the acks.
    pub fn take(&mut self) -> Vec<OffsetRun> {
        let mut runs = std::mem::take(&mut self.closed);
        runs.extend(self.open.take());
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_merge_and_the_rest_stays_apart() {
        let mut acks = AckedRuns::default();
        assert!(acks.is_empty() && acks.take().is_empty());
        for offset in [5, 6, 7, 9, 10, 3] {
            acks.push(offset);
        }
        let runs = acks.take();
        let bounds: Vec<_> = runs.iter().map(|run| (run.lower, run.upper)).collect();
        assert_eq!(bounds, [(5, 8), (9, 11), (3, 4)]);
        assert!(acks.is_empty() && acks.take().is_empty());
    }

    #[test]
    fn what_was_cut_off_is_forgotten() {
        let mut acks = AckedRuns::default();
        for offset in [1, 2, 5, 6, 7, 9] {
            acks.push(offset);
        }
        acks.truncate(6);
        assert!(!acks.is_empty());
        acks.push(6);
        let bounds: Vec<_> = acks.take().iter().map(|run| (run.lower, run.upper)).collect();
        assert_eq!(bounds, [(1, 3), (5, 6), (6, 7)]);
        assert!(acks.is_empty());
    }

    #[test]
    fn a_repeated_offset_is_a_run_of_its_own() {
        let mut acks = AckedRuns::default();
        acks.push(5);
        acks.push(5);
        assert_eq!(acks.take().len(), 2);
    }
}
