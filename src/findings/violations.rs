//! What a run that goes on has found so far.
//!
//! Shared by all shards, and touched by none of them while the data keeps its promises.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::anomaly::{Anomaly, Evidence, Neighbour, Records, Violation};
use crate::mutants::enforced;

/// Evidence that is kept; behind that, violations are only counted.
const KEPT: usize = 10_000;
/// Lines in the log; a topic that is damaged all over must not fill a disk.
const LOGGED: u64 = 100;

/// What a violation is, where, and what was found there: a log can be truncated in the same place twice.
type Place = (Anomaly, String, i32, i64, String);

/// The violations of a run, each once, however many readers find it, and however often: a record can be delivered again,
/// and a partition be given to another member.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    count: AtomicU64,
    /// By kind, in the order of [`Anomaly::ALL`].
    counts: [AtomicU64; Anomaly::ALL.len()],
    kept: Mutex<Vec<Violation>>,
    /// Those that are kept.
    known: Mutex<HashSet<Place>>,
    /// Transactions that were aborted and read, and their places among those that are kept.
    transactions: Mutex<HashMap<Transaction, usize>>,
}

/// A transaction on a partition: topic, partition, run, and number. Each shard of a producer counts its own transactions, and
/// no two of them write to the same partition.
type Transaction = (String, i32, String, u64);

impl Violations {
    /// Counts one, keeps its evidence, and says so in the log, unless it is known.
    pub(crate) fn add(&self, violation: Violation) {
        if !self.is_new(&violation) || self.belongs_to_another(&violation) {
            return;
        }
        self.counts[violation.anomaly as usize].fetch_add(1, Relaxed);
        let before = self.count.fetch_add(1, Relaxed);
        match before {
            0..LOGGED => tracing::error!("{violation}"),
            LOGGED => tracing::error!("more than {LOGGED} violations: the rest are only counted"),
            _ => {}
        }
        let mut kept = self.kept();
        if kept.len() < KEPT {
            kept.push(violation);
            let place = kept.len() - 1;
            if let Some(transaction) = transaction_of(&kept[place]) {
                let offset = kept[place].offset;
                kept[place].evidence.records = Some(Records { first: offset, last: offset, count: 1 });
                self.transactions().insert(transaction, place);
            }
        }
    }

    /// Whether it is one more record of a transaction that is named already: one outcome that was wrong, or late, is one
    /// finding, however many records it has.
    fn belongs_to_another(&self, violation: &Violation) -> bool {
        if !enforced("one-aborted-transaction") {
            return false;
        }
        let known = transaction_of(violation).and_then(|known| self.transactions().get(&known).copied());
        let Some(place) = known else { return false };
        if let Some(known) = self.kept().get_mut(place) {
            let Evidence { records, written_by, .. } = &mut *known.evidence;
            if let (Some(Records { first, last, count }), Some(writer)) = (records, written_by) {
                (*first, *last) = ((*first).min(violation.offset), (*last).max(violation.offset));
                *count += 1;
                let (run, index) = (&writer.run, writer.transaction.unwrap_or_default());
                known.found = format!(
                    "{count} records up to offset {last}, of transaction {index} of run {run}, which was aborted"
                );
            }
        }
        true
    }

    fn transactions(&self) -> MutexGuard<'_, HashMap<Transaction, usize>> {
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_new(&self, violation: &Violation) -> bool {
        let Violation { anomaly, topic, partition, offset, found, .. } = violation;
        let place = (*anomaly, topic.clone(), *partition, *offset, found.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < KEPT { known.insert(place) } else { !known.contains(&place) }
    }

    /// Adds what followed to the last one of a partition.
    pub(crate) fn add_next(&self, partition: i32, next: &Neighbour) {
        let mut kept = self.kept();
        let last = kept.iter_mut().rev().find(|violation| violation.partition == partition);
        if let Some(evidence) = last.map(|violation| &mut violation.evidence) {
            evidence.next.get_or_insert_with(|| next.clone());
        }
    }

    /// How many there were.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// How many there were of a kind.
    #[must_use]
    pub(crate) fn count_of(&self, anomaly: Anomaly) -> u64 {
        self.counts[anomaly as usize].load(Relaxed)
    }

    /// The evidence of the first ones.
    pub(crate) fn kept(&self) -> MutexGuard<'_, Vec<Violation>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The transaction that was aborted, if that is what is wrong, and the record tells.
fn transaction_of(violation: &Violation) -> Option<Transaction> {
    let writer =
        violation.evidence.written_by.as_ref().filter(|_| violation.anomaly == Anomaly::AbortedRead)?;
    Some((violation.topic.clone(), violation.partition, writer.run.clone(), writer.transaction?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::anomaly::Writer;

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
        let counts = Anomaly::ALL.map(|anomaly| (anomaly, violations.count_of(anomaly)));
        for (anomaly, count) in counts {
            let expected = if anomaly == Anomaly::LostWrite { KEPT as u64 + 3 } else { 0 };
            assert_eq!(count, expected, "{anomaly}");
        }
        assert_eq!(violations.kept().len(), KEPT);
    }

    #[test]
    fn an_aborted_transaction_is_one_finding_with_all_its_records() {
        let aborted = |partition, offset: i64, transaction| Violation {
            anomaly: Anomaly::AbortedRead,
            partition,
            found: format!("'ABORTED MSG: {offset}'"),
            evidence: Box::new(Evidence {
                written_by: Some(Writer::new(7, offset.unsigned_abs(), transaction)),
                ..Evidence::default()
            }),
            ..violation(offset)
        };
        let violations = Violations::default();
        for (partition, offset) in [(0, 5), (0, 6), (1, 9), (0, 8), (0, 6)] {
            violations.add(aborted(partition, offset, Some(3)));
        }
        violations.add(aborted(0, 20, Some(4)));
        // Whose transaction they are of, these do not say.
        violations.add(aborted(0, 30, None));
        violations.add(aborted(0, 31, None));
        assert_eq!(violations.count(), 5);
        let kept = violations.kept();
        let records = |place: usize| kept[place].evidence.records.clone();
        assert_eq!(records(0), Some(Records { first: 5, last: 8, count: 3 }));
        assert_eq!(
            kept[0].found,
            "3 records up to offset 8, of transaction 3 of run 0000000000000007, which was aborted"
        );
        assert_eq!((kept[1].partition, records(1)), (1, Some(Records { first: 9, last: 9, count: 1 })));
        assert_eq!((kept[2].offset, records(2)), (20, Some(Records { first: 20, last: 20, count: 1 })));
        assert_eq!(records(3), None);
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
