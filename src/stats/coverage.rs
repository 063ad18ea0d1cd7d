//! How much of what was read a ledger vouches for.
//!
//! Known at the end of a pass, from the ranges that were read and those that the ledger lists: nothing is counted for each
//! record.

use std::{
    ops::{AddAssign, Range},
    sync::{Mutex, MutexGuard, PoisonError},
};

use indicatif::HumanCount;
use range_set_blaze::RangeSetBlaze;
use serde::Serialize;

use super::{Beyond, Gauge, OtherRuns};
use crate::human;

/// A shard's part of the last pass. Its reader sets it when the pass is over.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// Of the passes before the last one.
    vouched_for_earlier: Gauge,
    beyond_ledger_earlier: Gauge,
    vouched_for: Gauge,
    beyond_ledger: Gauge,
    not_shown: Gauge,
    left_out: Gauge,
    committed_before: Gauge,
    unexplained: Gauge,
    /// Touched where a pass ends.
    beyond: Mutex<Vec<Beyond>>,
    other_runs: Mutex<OtherRuns>,
}

impl Coverage {
    /// Replaces what is known of the pass before. `beyond` is where in each partition the ledger did not list what was
    /// read, as it was when the pass began.
    pub(crate) fn set(&self, pass: CoverageTotals, beyond: Vec<Beyond>) {
        *lock(&self.other_runs) = OtherRuns::of(&beyond);
        *lock(&self.beyond) = beyond;
        self.vouched_for_earlier.set(self.vouched_for_in_all());
        self.beyond_ledger_earlier.set(self.beyond_ledger_in_all());
        self.vouched_for.set(pass.vouched_for);
        self.beyond_ledger.set(pass.beyond_ledger);
        self.not_shown.set(pass.not_shown);
        self.left_out.set(pass.left_out);
        self.committed_before.set(pass.committed_before);
        self.unexplained.set(pass.unexplained);
    }

    /// Records read in all passes that the ledger lists.
    #[must_use]
    pub(crate) fn vouched_for_in_all(&self) -> u64 {
        self.vouched_for_earlier.get() + self.vouched_for.get()
    }

    /// Records read in all passes that it does not list.
    #[must_use]
    pub(crate) fn beyond_ledger_in_all(&self) -> u64 {
        self.beyond_ledger_earlier.get() + self.beyond_ledger.get()
    }

    /// Whether a ledger that has grown since the pass began may vouch for more of what was read.
    #[must_use]
    pub(crate) fn is_short(&self) -> bool {
        lock(&self.beyond).iter().any(|beyond| !beyond.offsets.is_empty())
    }

    /// Who wrote what the ledger does not list.
    #[must_use]
    pub(crate) fn other_runs(&self) -> OtherRuns {
        lock(&self.other_runs).clone()
    }

    /// The ledger has grown since the pass began. Called when the pass is over, and its reader at rest.
    pub(crate) fn look_again<'a>(&self, acked: impl Fn(i32) -> Option<&'a RangeSetBlaze<i64>>) {
        let (mut beyond, mut listed) = (std::mem::take(&mut *lock(&self.beyond)), 0);
        for Beyond { place, offsets, .. } in &mut beyond {
            let Some(acked) = acked(*place) else { continue };
            listed += count(&(&*offsets & acked));
            *offsets = &*offsets - acked;
        }
        *lock(&self.other_runs) = OtherRuns::of(&beyond);
        self.vouched_for.set(self.vouched_for.get() + listed);
        self.beyond_ledger.set(self.beyond_ledger.get().saturating_sub(listed));
    }

    /// What was set last.
    #[must_use]
    pub(crate) fn totals(&self) -> CoverageTotals {
        CoverageTotals {
            vouched_for: self.vouched_for.get(),
            beyond_ledger: self.beyond_ledger.get(),
            not_shown: self.not_shown.get(),
            left_out: self.left_out.get(),
            committed_before: self.committed_before.get(),
            unexplained: self.unexplained.get(),
        }
    }
}

/// How much of a pass a ledger vouches for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CoverageTotals {
    /// Records read that the ledger lists.
    pub vouched_for: u64,
    /// Records read that it does not list.
    pub beyond_ledger: u64,
    /// Records that it lists and that were not shown, where compaction may take some.
    pub not_shown: u64,
    /// Offsets at the ends of logs that were not waited for any longer.
    pub left_out: u64,
    /// Records that it lists below the places where a group with a name of the user's went on.
    pub committed_before: u64,
    /// Records that it lists and a group was not shown whose clients may have left them out.
    pub unexplained: u64,
}

impl CoverageTotals {
    /// What was read of a partition, held against what its ledger lists.
    #[must_use]
    pub(crate) fn of(read: &RangeSetBlaze<i64>, acked: Option<&RangeSetBlaze<i64>>) -> Self {
        let vouched_for = acked.map_or(0, |acked| count(&(read & acked)));
        Self { vouched_for, beyond_ledger: count(read) - vouched_for, ..Self::default() }
    }

    /// Of a log that compaction may take records from, of which a span was read: counts what the ledger lists there and
    /// what is not `accounted` for.
    #[must_use]
    pub(crate) fn without(
        self,
        acked: &RangeSetBlaze<i64>,
        span: Range<i64>,
        accounted: &RangeSetBlaze<i64>,
    ) -> Self {
        if span.is_empty() {
            return self;
        }
        let within = RangeSetBlaze::from_iter([span.start..=span.end - 1]);
        Self { not_shown: count(&(&(acked & &within) - accounted)), ..self }
    }

    /// Why the ledger does not vouch for all that was read, or should have been; empty where it does. `other_runs`: who wrote what
    /// it does not list.
    #[must_use]
    pub(crate) fn reservations(&self, other_runs: &OtherRuns) -> Vec<String> {
        let Self { vouched_for, beyond_ledger, not_shown, left_out, committed_before, unexplained } = *self;
        let mut list = Vec::new();
        if beyond_ledger > 0 && vouched_for > 0 {
            let (beyond, all) = (HumanCount(beyond_ledger), HumanCount(beyond_ledger + vouched_for));
            let by = other_runs.in_words().map_or_else(String::new, |words| format!("; {words}"));
            list.push(format!(
                "{beyond} of {all} records that were read are beyond the ledger: it vouches for the rest{by}"
            ));
        } else if beyond_ledger > 0 {
            list.push(format!(
                "the ledger lists none of the {} records that were read",
                HumanCount(beyond_ledger)
            ));
        }
        if not_shown > 0 {
            let (count, were) =
                (human::count(not_shown, "acked record"), if not_shown == 1 { "was" } else { "were" });
            list.push(format!(
                "{count} {were} not there any more: compaction may have taken them, and lost writes among them \
                 cannot be detected"
            ));
        }
        if left_out > 0 {
            let count = HumanCount(left_out);
            list.push(format!(
                "{count} offsets at the ends of logs were left out: behind LastConsumableOffsets nothing was shown for 5 s"
            ));
        }
        if committed_before > 0 {
            let count = HumanCount(committed_before);
            list.push(format!(
                "the group had been here before: {count} acked records below its committed offsets were not read again"
            ));
        }
        if unexplained > 0 {
            let (count, were) =
                (human::count(unexplained, "acked record"), if unexplained == 1 { "was" } else { "were" });
            list.push(format!(
                "{count} {were} not shown to a group: librdkafka may have left them out between transactions, and lost writes \
                 among them cannot be detected (--client wire leaves nothing out)"
            ));
        }
        list
    }
}

pub(super) fn count(set: &RangeSetBlaze<i64>) -> u64 {
    u64::try_from(set.len()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AddAssign for CoverageTotals {
    fn add_assign(&mut self, other: Self) {
        self.vouched_for += other.vouched_for;
        self.beyond_ledger += other.beyond_ledger;
        self.not_shown += other.not_shown;
        self.left_out += other.left_out;
        self.committed_before += other.committed_before;
        self.unexplained += other.unexplained;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(ranges: &[(i64, i64)]) -> RangeSetBlaze<i64> {
        ranges.iter().map(|(lower, upper)| *lower..=upper - 1).collect()
    }

    #[test]
    fn a_ledger_vouches_for_what_it_lists() {
        let read = ranges(&[(0, 1_500)]);
        let of = |acked: &[(i64, i64)]| CoverageTotals::of(&read, Some(&ranges(acked)));
        let whole = of(&[(0, 1_500)]);
        assert_eq!((whole.vouched_for, whole.beyond_ledger), (1_500, 0));
        assert!(whole.reservations(&OtherRuns::default()).is_empty());
        let part = of(&[(1_000, 1_500), (2_000, 2_010)]);
        assert_eq!((part.vouched_for, part.beyond_ledger), (500, 1_000));
        assert_eq!(
            part.reservations(&OtherRuns::default()),
            ["1,000 of 1,500 records that were read are beyond the ledger: it vouches for the rest"]
        );
        assert_eq!(CoverageTotals::of(&read, None).beyond_ledger, 1_500);
        assert_eq!(
            of(&[]).reservations(&OtherRuns::default()),
            ["the ledger lists none of the 1,500 records that were read"]
        );
    }

    #[test]
    fn what_a_client_may_have_left_out_is_not_proven() {
        let coverage = CoverageTotals { vouched_for: 9, unexplained: 1, ..CoverageTotals::default() };
        let said = coverage.reservations(&OtherRuns::default());
        assert!(
            said.len() == 1 && said[0].starts_with("1 acked record was not shown to a group: librdkafka"),
            "{said:?}"
        );
    }

    /// What the ledger lists, where it was read, what was read there, and what is said of that.
    type Row<'a> = (&'a [(i64, i64)], (i64, i64), &'a [(i64, i64)], &'a [&'a str]);

    /// Nobody can vouch for what compaction took, and for all that it left the ledger does.
    #[test]
    fn what_compaction_may_have_taken_is_not_proven() {
        let one = [
            "1 acked record was not there any more: compaction may have taken them, and lost writes among them \
                    cannot be detected",
        ];
        let none: [&str; 0] = [];
        let rows: [Row<'_>; 6] = [
            (&[(0, 10)], (0, 10), &[(0, 10)], &none),
            (&[(0, 10)], (0, 10), &[(0, 4), (5, 10)], &one),
            // Retention had taken what lies before the start, and what lies behind the end was not read yet.
            (&[(0, 20)], (5, 10), &[(5, 10)], &none),
            // Gaps that nobody was promised anything about.
            (&[(0, 4), (6, 10)], (0, 10), &[(0, 4), (6, 10)], &none),
            (&[(0, 10)], (10, 10), &[], &none),
            (&[], (0, 10), &[], &none),
        ];
        for (acked, span, read, expected) in rows {
            let (acked, read) = (ranges(acked), ranges(read));
            let coverage = CoverageTotals::of(&read, Some(&acked)).without(&acked, span.0..span.1, &read);
            assert_eq!(coverage.reservations(&OtherRuns::default()), expected, "{acked:?} {span:?} {read:?}");
        }
    }

    #[test]
    fn shards_add_up_and_a_pass_takes_the_place_of_the_one_before() {
        let (first, second) = (Coverage::default(), Coverage::default());
        let passed =
            CoverageTotals { vouched_for: 9, beyond_ledger: 4, left_out: 9, ..CoverageTotals::default() };
        first.set(passed, Vec::new());
        first.set(CoverageTotals { vouched_for: 5, not_shown: 2, ..CoverageTotals::default() }, Vec::new());
        second.set(
            CoverageTotals { vouched_for: 1, beyond_ledger: 3, ..CoverageTotals::default() },
            Vec::new(),
        );
        let mut all = first.totals();
        all += second.totals();
        let expected = CoverageTotals {
            vouched_for: 6,
            beyond_ledger: 3,
            not_shown: 2,
            left_out: 0,
            committed_before: 0,
            unexplained: 0,
        };
        assert_eq!(all, expected);
        assert_eq!(all.reservations(&OtherRuns::default()).len(), 2);
        assert_eq!((first.vouched_for_in_all(), second.vouched_for_in_all()), (14, 1), "of both passes");
        assert_eq!((first.beyond_ledger_in_all(), second.beyond_ledger_in_all()), (4, 3), "of both, too");
    }

    #[test]
    fn a_ledger_that_has_grown_meanwhile_vouches_for_more() {
        let coverage = Coverage::default();
        let pass = CoverageTotals { vouched_for: 300, beyond_ledger: 200, ..CoverageTotals::default() };
        let beyond = |place, offsets, run, read| Beyond {
            place,
            offsets: ranges(offsets),
            runs: vec![(run, ranges(read))],
        };
        coverage.set(
            pass,
            vec![beyond(0, &[(100, 200)], 7, &[(100, 200)]), beyond(1, &[(200, 300)], 8, &[(200, 300)])],
        );
        assert!(coverage.is_short());
        assert!(
            coverage.other_runs().in_words().unwrap().starts_with("200 of them were written by 2 other runs")
        );
        let (first, second) = (ranges(&[(0, 200)]), ranges(&[(0, 290)]));
        coverage.look_again(|partition| Some(if partition == 0 { &first } else { &second }));
        let totals = coverage.totals();
        assert_eq!((totals.vouched_for, totals.beyond_ledger), (490, 10));
        assert_eq!(coverage.other_runs().in_words(), None, "it has come to list some of each");
        coverage.look_again(|_| Some(&first));
        assert_eq!(coverage.totals(), totals, "once");
    }
}
