//! What a run that goes on has found so far.
//!
//! Shared by all shards, and touched by none of them while the data keeps its promises.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::anomaly::{Neighbour, Violation};

/// Evidence that is kept; behind that, violations are only counted.
const KEPT: usize = 10_000;
/// Lines in the log; a topic that is damaged all over must not fill a disk.
const LOGGED: u64 = 100;

/// The violations of a run.
#[derive(Debug, Default)]
pub struct Violations {
    count: AtomicU64,
    kept: Mutex<Vec<Violation>>,
}

impl Violations {
    /// Counts one, keeps its evidence, and says so in the log.
    pub fn add(&self, violation: Violation) {
        let before = self.count.fetch_add(1, Relaxed);
        match before {
            0..LOGGED => tracing::error!("{violation}"),
            LOGGED => tracing::error!("more than {LOGGED} violations: the rest are only counted"),
            _ => {}
        }
        let mut kept = self.kept();
        if kept.len() < KEPT {
            kept.push(violation);
        }
    }

    /// Adds what followed to the last one of a partition.
    pub fn add_next(&self, partition: i32, next: &Neighbour) {
        let mut kept = self.kept();
        let last = kept.iter_mut().rev().find(|violation| violation.partition == partition);
        if let Some(evidence) = last.map(|violation| &mut violation.evidence) {
            evidence.next.get_or_insert_with(|| next.clone());
        }
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// The evidence of the first ones.
    pub fn kept(&self) -> MutexGuard<'_, Vec<Violation>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::anomaly::Anomaly;

    #[test]
    fn all_are_counted_and_the_first_are_kept() {
        let violations = Violations::default();
        let violation = Violation {
            anomaly: Anomaly::LostWrite,
            topic: "t".into(),
            partition: 0,
            offset: 5,
            expected: String::new(),
            found: String::new(),
            evidence: Box::default(),
        };
        for _ in 0..KEPT + 3 {
            violations.add(violation.clone());
        }
        assert_eq!(violations.count(), KEPT as u64 + 3);
        assert_eq!(violations.kept().len(), KEPT);
    }
}
