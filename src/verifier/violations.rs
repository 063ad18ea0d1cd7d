//! What a run that goes on has found so far.
//!
//! Shared by all shards, and touched by none of them while the data keeps its promises.

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::anomaly::{Anomaly, Neighbour, Violation};

/// Evidence that is kept; behind that, violations are only counted.
const KEPT: usize = 10_000;
/// Lines in the log; a topic that is damaged all over must not fill a disk.
const LOGGED: u64 = 100;

/// What a violation is, where, and what was found there: a log can be cut in the same place twice.
type Place = (Anomaly, String, i32, i64, String);

/// The violations of a run, each once, however many readers find it, and however often: a record can be delivered again,
/// and a partition be given to another member.
#[derive(Debug, Default)]
pub struct Violations {
    count: AtomicU64,
    kept: Mutex<Vec<Violation>>,
    /// Those that are kept.
    known: Mutex<HashSet<Place>>,
}

impl Violations {
    /// Counts one, keeps its evidence, and says so in the log, unless it is known.
    pub fn add(&self, violation: Violation) {
        if !self.is_new(&violation) {
            return;
        }
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

    fn is_new(&self, violation: &Violation) -> bool {
        let Violation { anomaly, topic, partition, offset, found, .. } = violation;
        let place = (*anomaly, topic.clone(), *partition, *offset, found.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < KEPT { known.insert(place) } else { !known.contains(&place) }
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

    fn violation(offset: i64) -> Violation {
        Violation {
            anomaly: Anomaly::LostWrite,
            topic: "t".into(),
            partition: 0,
            offset,
            expected: String::new(),
            found: String::new(),
            evidence: Box::default(),
        }
    }

    #[test]
    fn all_are_counted_and_the_first_are_kept() {
        let violations = Violations::default();
        for offset in 0..10_003 {
            violations.add(violation(offset));
        }
        assert_eq!(violations.count(), KEPT as u64 + 3);
        assert_eq!(violations.kept().len(), KEPT);
    }

    #[test]
    fn what_is_found_again_is_told_once() {
        let violations = Violations::default();
        let others = [
            Violation { anomaly: Anomaly::Corrupt, ..violation(5) },
            Violation { partition: 1, ..violation(5) },
            Violation { topic: "u".into(), ..violation(5) },
            Violation { found: "another".into(), ..violation(5) },
            violation(6),
        ];
        for violation in [violation(5)].into_iter().chain(others.clone()).chain(others) {
            violations.add(violation);
        }
        assert_eq!((violations.count(), violations.kept().len()), (6, 6));
    }
}
