//! Who wrote what the ledger does not list: runs name themselves in their records' proof headers. Pure.

use std::collections::{BTreeMap, BTreeSet};

use indicatif::HumanCount;
use range_set_blaze::RangeSetBlaze;

/// So many runs are named where there are several.
const NAMED: usize = 3;

/// What was read of a partition, by who wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// The partition's place in the ledger.
    pub(crate) place: i32,
    /// Where the ledger does not list what was read.
    pub(crate) offsets: RangeSetBlaze<i64>,
    /// Runs, and where what was read of each lies, as far as that is remembered; of those that are listed, too.
    pub(crate) runs: Vec<(u64, RangeSetBlaze<i64>)>,
}

/// Runs that wrote beyond the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OtherRuns {
    /// Records of each that the ledger does not list.
    beyond: BTreeMap<u64, u64>,
    /// Those of which it lists others.
    listed: BTreeSet<u64>,
    /// Those that wrote while a run did that is listed.
    at_once: BTreeSet<u64>,
}

impl OtherRuns {
    /// Of these partitions.
    #[must_use]
    pub(crate) fn of(partitions: &[Beyond]) -> Self {
        let mut all = Self::default();
        for partition in partitions {
            all.add_partition(partition);
        }
        all
    }

    fn add_partition(&mut self, Beyond { offsets, runs, .. }: &Beyond) {
        let listed = |read: &RangeSetBlaze<i64>| !(read - offsets).is_empty();
        for (run, read) in runs {
            if listed(read) {
                self.listed.insert(*run);
            }
            let beyond = super::coverage::count(&(read & offsets));
            if beyond == 0 {
                continue;
            }
            *self.beyond.entry(*run).or_default() += beyond;
            let is_beside = |(other, of_other): &(u64, RangeSetBlaze<i64>)| {
                other != run && listed(of_other) && overlap(read, of_other)
            };
            if runs.iter().any(is_beside) {
                self.at_once.insert(*run);
            }
        }
    }

    /// Takes in what another shard has read.
    pub(crate) fn merge(&mut self, other: Self) {
        for (run, records) in other.beyond {
            *self.beyond.entry(run).or_default() += records;
        }
        self.listed.extend(other.listed);
        self.at_once.extend(other.at_once);
    }

    /// What there is to say of runs of which the ledger lists nothing; nothing without any.
    #[must_use]
    pub(crate) fn in_words(&self) -> Option<String> {
        let mut others: Vec<_> = self.beyond.iter().filter(|(run, _)| !self.listed.contains(run)).collect();
        others.sort_by_key(|(_, records)| std::cmp::Reverse(**records));
        let records: u64 = others.iter().map(|(_, records)| **records).sum();
        let names: Vec<_> = others.iter().take(NAMED).map(|(run, _)| format!("{run:016x}")).collect();
        let names = names.join(", ") + if others.len() > NAMED { " and others" } else { "" };
        let who = match others.len() {
            0 => return None,
            1 => "another run".to_owned(),
            count => format!("{count} other runs"),
        };
        let at_once = if others.iter().any(|(run, _)| self.at_once.contains(run)) {
            ", at the same time as what it lists: the topic has another producer"
        } else {
            ""
        };
        Some(format!("{} of them were written by {who} ({names}){at_once}", HumanCount(records)))
    }
}

/// Whether one begins before the other ends, and ends behind its beginning.
fn overlap(one: &RangeSetBlaze<i64>, other: &RangeSetBlaze<i64>) -> bool {
    let span = |set: &RangeSetBlaze<i64>| set.first().zip(set.last());
    span(one).zip(span(other)).is_some_and(|((first, last), (begin, end))| first < end && begin < last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(ranges: &[(i64, i64)]) -> RangeSetBlaze<i64> {
        ranges.iter().map(|(lower, upper)| *lower..=upper - 1).collect()
    }

    type Ranges = &'static [(i64, i64)];
    /// What the ledger does not list, and of each run where its records lie.
    type Read<'a> = (Ranges, &'a [(u64, Ranges)]);

    fn said(partitions: &[Read<'_>]) -> Option<String> {
        let beyond = |(offsets, runs): &Read<'_>| Beyond {
            place: 0,
            offsets: ranges(offsets),
            runs: runs.iter().map(|(run, read)| (*run, ranges(read))).collect(),
        };
        let mut all = OtherRuns::default();
        for partition in partitions {
            all.merge(OtherRuns::of(&[beyond(partition)]));
        }
        all.in_words()
    }

    #[test]
    fn a_run_of_which_the_ledger_lists_nothing_is_another_one() {
        let earlier = said(&[(&[(0, 1_000)], &[(10, &[(0, 1_000)]), (11, &[(1_000, 1_500)])])]);
        assert_eq!(earlier.as_deref(), Some("1,000 of them were written by another run (000000000000000a)"));
        let own = said(&[(&[(90, 100)], &[(10, &[(0, 100)])])]);
        assert_eq!(own, None, "acks of the last moment");
        let own = said(&[(&[(0, 100)], &[(10, &[(0, 100)])]), (&[], &[(10, &[(0, 5)])])]);
        assert_eq!(own, None, "another partition's part of the ledger knows it");
        assert_eq!(said(&[(&[(0, 100)], &[])]), None, "nobody says who it was");
    }

    #[test]
    fn two_that_write_at_once_are_told_from_two_that_write_one_after_the_other() {
        let beside = said(&[(&[(10, 20)], &[(1, &[(0, 10), (20, 30)]), (2, &[(10, 20)])])]).unwrap();
        assert_eq!(
            beside,
            "10 of them were written by another run (0000000000000002), at the same time as what it lists: the topic has \
             another producer"
        );
        let several: Vec<(u64, Ranges)> =
            vec![(1, &[(0, 1)]), (2, &[(1, 3)]), (3, &[(3, 6)]), (4, &[(6, 10)]), (5, &[(10, 11)])];
        let said = said(&[(&[(0, 10)], &several)]).unwrap();
        assert_eq!(
            said,
            "10 of them were written by 4 other runs (0000000000000004, 0000000000000003, 0000000000000002 and others)"
        );
    }
}
