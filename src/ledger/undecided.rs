//! What the ledger decides when it is read again.
//!
//! A reader holds its records against the ledger as it was when the pass began. Who produces beside it may have had an ack
//! since then: whether a record that is there twice is the broker's doing or the client's, only a later look can tell.
//!
//! Shared by all shards, and touched by none of them while nothing is in question.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::Ledger;
use crate::{
    findings::{Causes, anomaly::Violation},
    mutants::enforced,
};

/// What it is called when a number comes twice, and nobody can tell whose doing that is.
const CLIENT_RESEND: &str = "client-resend: records that are there twice";

/// Records that wait for a word of the ledger; behind that, they are judged as if it never came.
const KEPT: usize = 10_000;

/// A record that broke no promise as far as the ledger of the pass's beginning tells, and may have broken one.
#[derive(Clone, Debug)]
pub(crate) struct Undecided {
    /// What it is, if the ledger lists one of its places by the end.
    pub accusation: Violation,
    /// Its partition's place in the ledger.
    pub place: i32,
    /// Where the record's number was read before, if that is what is wrong with it.
    pub before: Option<i64>,
}

impl Undecided {
    /// What becomes of it, by what the ledger lists now.
    fn judge(&self, ledger: &Ledger) -> Judgement {
        let Some(part) = ledger.partition(self.place) else { return Judgement::NoWord };
        let Some(highest) = part.highest() else { return Judgement::NoWord };
        let mut places = self.before.into_iter().chain([self.accusation.offset]);
        if places.clone().any(|place| part.contains(place)) && enforced("acked-later") {
            Judgement::Broken { acked_here: part.contains(self.accusation.offset) }
        } else if places.any(|place| place > highest) {
            Judgement::NotYet
        } else {
            Judgement::Unlisted
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    /// One of the places was promised: the cluster has stored twice what was sent once.
    Broken { acked_here: bool },
    /// The ledger does not reach so far; it may be on its way.
    NotYet,
    /// It reaches behind both places, and lists neither.
    Unlisted,
    /// It lists nothing at all in this partition.
    NoWord,
}

/// What was decided at the end of a pass.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    /// Promises that were broken.
    pub broken: Vec<Violation>,
    /// Records that are there twice, and that the ledger lists nowhere.
    pub unlisted: Vec<Undecided>,
}

/// The records of a run of which nobody can tell yet what they prove.
#[derive(Debug, Default)]
pub(crate) struct UndecidedRecords {
    count: AtomicUsize,
    kept: Mutex<Vec<Undecided>>,
}

impl UndecidedRecords {
    /// Keeps one. Returns it where there is no room: nobody will look at it again.
    #[cold]
    pub(crate) fn hold(&self, record: Undecided) -> Option<Undecided> {
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            return Some(record);
        }
        kept.push(record);
        self.count.store(kept.len(), Relaxed);
        None
    }

    /// Whether one more can be kept.
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        self.count.load(Relaxed) < KEPT
    }

    /// A log was truncated, and what was read of it from there on is gone: what the ledger lists there is something else.
    #[cold]
    pub(crate) fn forget(&self, place: i32, from: i64) {
        let mut kept = self.kept();
        let is_gone = |record: &Undecided| {
            let last = record.before.unwrap_or(i64::MIN).max(record.accusation.offset);
            record.place == place && last >= from
        };
        kept.retain(|record| !is_gone(record));
        self.count.store(kept.len(), Relaxed);
    }

    /// Whether there is none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// Whether the ledger has not come to all of their places yet.
    #[must_use]
    pub(crate) fn awaits(&self, ledger: &Ledger) -> bool {
        let is_awaited =
            |record: &Undecided| record.before.is_some() && record.judge(ledger) == Judgement::NotYet;
        self.kept().iter().any(is_awaited)
    }

    /// Takes out those that are proven by now to have broken a promise; the others may still turn out to.
    #[must_use]
    pub(crate) fn convict(&self, ledger: &Ledger) -> Vec<Violation> {
        let mut kept = self.kept();
        let mut broken = Vec::new();
        kept.retain(|record| match record.judge(ledger) {
            Judgement::Broken { acked_here } => {
                broken.push(accused(record.clone(), acked_here));
                false
            }
            _ => true,
        });
        self.count.store(kept.len(), Relaxed);
        broken
    }

    /// Decides about all of them: the pass is over. A ledger that lists nothing has no word for the client.
    #[must_use]
    pub(crate) fn decide(&self, ledger: &Ledger) -> Decided {
        let mut decided = Decided::default();
        for record in self.take() {
            match record.judge(ledger) {
                Judgement::Broken { acked_here } => decided.broken.push(accused(record, acked_here)),
                // Of a record that lies elsewhere than it says nobody was promised anything.
                _ if record.before.is_none() => {}
                Judgement::NoWord => decided.broken.push(record.accusation),
                Judgement::NotYet | Judgement::Unlisted => decided.unlisted.push(record),
            }
        }
        decided
    }

    /// Takes all of them out: there is no ledger to hold them against.
    #[must_use]
    pub(crate) fn take(&self) -> Vec<Undecided> {
        let mut kept = self.kept();
        self.count.store(0, Relaxed);
        std::mem::take(&mut kept)
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Undecided>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record is there twice that was acked nowhere. That is told and counted, and no violation.
#[cold]
pub(crate) fn note_resend(causes: &Causes, record: &Undecided) {
    let Violation { topic, partition, offset, .. } = &record.accusation;
    let cause = format!(
        "topic {topic}: the ledger lists neither place, so that the client may have sent again what had no ack"
    );
    causes.note_many("readers", CLIENT_RESEND, &cause, 1, || {
        format!(
            "the first: partition {partition} offset {}, and again at {offset}",
            record.before.unwrap_or(-1)
        )
    });
}

fn accused(record: Undecided, acked_here: bool) -> Violation {
    let mut violation = record.accusation;
    violation.evidence.acked_here = Some(acked_here);
    violation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{findings::anomaly::Anomaly, ledger::OffsetRun};

    /// Read at `before`, and again at `offset`.
    fn twice(before: i64, offset: i64) -> Undecided {
        let accusation = Violation {
            anomaly: Anomaly::Duplicate,
            topic: "t".into(),
            partition: 0,
            offset,
            expected: String::new(),
            found: String::new(),
            evidence: Box::default(),
        };
        Undecided { accusation, place: 0, before: Some(before) }
    }

    /// Read at `offset`, and says that it lies elsewhere.
    fn elsewhere(offset: i64) -> Undecided {
        Undecided { before: None, ..twice(0, offset) }
    }

    /// Lists these in partition 0.
    fn ledger(listed: &[(i64, i64)]) -> Ledger {
        let mut ledger = Ledger::new(1);
        for (lower, upper) in listed {
            let part = ledger.partition_mut(0).expect("a partition");
            part.insert(OffsetRun { lower: *lower, upper: *upper });
        }
        ledger
    }

    fn decided(listed: &[(i64, i64)]) -> (Vec<i64>, Vec<i64>) {
        let records = UndecidedRecords::default();
        assert!(records.hold(twice(20, 30)).is_none() && !records.is_empty());
        let Decided { broken, unlisted } = records.decide(&ledger(listed));
        assert!(records.is_empty());
        let broken = broken.iter().map(|violation| violation.offset);
        (broken.collect(), unlisted.iter().map(|record| record.accusation.offset).collect())
    }

    #[test]
    fn a_copy_of_what_was_acked_meanwhile_is_a_duplicate() {
        for listed in [(0, 21), (25, 40), (0, 40)] {
            assert_eq!(decided(&[listed]), (vec![30], vec![]), "{listed:?}");
        }
    }

    #[test]
    fn a_copy_of_what_was_acked_nowhere_may_be_the_client_s() {
        for listed in [&[(0, 20)][..], &[(0, 20), (21, 30), (31, 40)]] {
            assert_eq!(decided(listed), (vec![], vec![30]), "{listed:?}");
        }
    }

    #[test]
    fn a_ledger_that_lists_nothing_has_no_word_for_the_client() {
        assert_eq!(decided(&[]), (vec![30], vec![]));
    }

    #[test]
    fn who_is_proven_guilty_is_named_before_the_end_and_the_others_wait() {
        let records = UndecidedRecords::default();
        let _ = (records.hold(twice(20, 30)), records.hold(twice(50, 60)));
        let early = ledger(&[(0, 25)]);
        let broken = records.convict(&early);
        assert_eq!(broken.iter().map(|violation| violation.offset).collect::<Vec<_>>(), [30]);
        assert_eq!(broken[0].evidence.acked_here, Some(false), "the first place was");
        assert!(records.awaits(&early) && records.convict(&early).is_empty());
        assert!(!records.awaits(&ledger(&[(0, 50), (61, 62)])), "it reaches behind both");
        assert_eq!(records.take().len(), 1);
    }

    #[test]
    fn a_record_elsewhere_than_it_says_matters_where_the_ledger_comes_to_list_it() {
        for (listed, broken) in [(&[(0, 31)][..], vec![30]), (&[(0, 30), (31, 40)], vec![]), (&[], vec![])] {
            let records = UndecidedRecords::default();
            assert!(records.hold(elsewhere(30)).is_none());
            let decided = records.decide(&ledger(listed));
            let offsets: Vec<_> = decided.broken.iter().map(|violation| violation.offset).collect();
            assert_eq!((offsets, decided.unlisted.len()), (broken, 0), "{listed:?}");
        }
    }

    #[test]
    fn what_was_cut_off_is_held_against_nobody() {
        let records = UndecidedRecords::default();
        let _ = (records.hold(twice(20, 30)), records.hold(twice(50, 60)), records.hold(elsewhere(70)));
        records.forget(1, 0);
        records.forget(0, 60);
        let broken = records.convict(&ledger(&[(0, 100)]));
        assert_eq!(broken.iter().map(|violation| violation.offset).collect::<Vec<_>>(), [30]);
        assert!(records.is_empty());
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let records = UndecidedRecords::default();
        for offset in 0..10_000 {
            assert!(records.has_room());
            assert!(records.hold(twice(offset, offset + 1)).is_none());
        }
        assert!(!records.has_room() && records.hold(twice(20_000, 20_001)).is_some());
    }
}
