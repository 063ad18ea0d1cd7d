//! What was acknowledged, and where: the truth that every read is held against.
//!
//! Pure, apart from [`files`], which reads and writes them.

mod acks;
mod consumable;
mod entry;
mod error;
pub(crate) mod files;
mod latest;
mod slice_error;
pub(crate) mod undecided;
mod union;

use range_set_blaze::RangeSetBlaze;

pub use acks::{AckedRuns, OffsetRun};
pub(crate) use consumable::Consumable;
pub(crate) use entry::Entry;
pub(crate) use error::LedgerError;
pub use files::store::LedgerStore;
pub(crate) use files::{folder::LedgerFolder, ledgers::Ledgers, store::LatestNeed};
pub(crate) use latest::{KeyAck, LatestValue, LatestValues, describe};
pub(crate) use slice_error::SliceError;

/// The offsets of a topic whose record was acknowledged at the offset that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    partitions: Vec<PartitionLedger>,
    /// Written into the file for the readers of other implementations.
    pub tolerate_data_loss: bool,
    /// Tombstones were written: a compacted log can end at `last_consumable`.
    pub adjust_consumable_offsets: bool,
}

/// One partition's part of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionLedger {
    acked: RangeSetBlaze<i64>,
    /// The largest acked offset that is still the latest of its key and no tombstone.
    pub last_consumable: i64,
}

impl Ledger {
    /// An empty ledger of a topic with so many partitions.
    #[must_use]
    pub fn new(partitions: usize) -> Self {
        Self { partitions: vec![PartitionLedger::default(); partitions], ..Self::default() }
    }

    /// Its partitions, by id.
    #[must_use]
    pub fn partitions(&self) -> &[PartitionLedger] {
        &self.partitions
    }

    /// One partition's part; `None` for a partition that the topic did not have.
    #[must_use]
    pub fn partition(&self, partition: i32) -> Option<&PartitionLedger> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    /// The same, to change.
    pub fn partition_mut(&mut self, partition: i32) -> Option<&mut PartitionLedger> {
        self.partitions.get_mut(usize::try_from(partition).ok()?)
    }

    /// New partitions of the topic start empty.
    pub fn grow(&mut self, partitions: usize) {
        if partitions > self.partitions.len() {
            self.partitions.resize_with(partitions, PartitionLedger::default);
        }
    }

    /// Tombstones are written from now on. Until then what was acked last is the latest of its key, also in partitions
    /// that get no record any more.
    pub fn expect_tombstones(&mut self) {
        if !std::mem::replace(&mut self.adjust_consumable_offsets, true) {
            for part in &mut self.partitions {
                part.last_consumable = part.highest().unwrap_or(0);
            }
        }
    }

    /// Acked offsets in all partitions.
    #[must_use]
    pub fn acked_count(&self) -> u64 {
        self.partitions.iter().map(PartitionLedger::acked_count).sum()
    }
}

impl PartitionLedger {
    /// Whether the record at this offset was acknowledged there.
    #[must_use]
    pub fn contains(&self, offset: i64) -> bool {
        self.acked.contains(offset)
    }

    /// Whether any record from `lower` up to, and without, `upper` was acknowledged.
    #[must_use]
    pub fn contains_any(&self, lower: i64, upper: i64) -> bool {
        first_within(&self.acked, lower, upper).is_some()
    }

    /// The highest offset acked; `None` when nothing was.
    #[must_use]
    pub fn highest(&self) -> Option<i64> {
        self.acked.last()
    }

    /// Acked offsets.
    #[must_use]
    pub fn acked_count(&self) -> u64 {
        self.acked.len().try_into().unwrap_or(u64::MAX)
    }

    /// Acked offsets below this one.
    #[must_use]
    pub fn count_below(&self, offset: i64) -> u64 {
        let below = &self.acked - RangeSetBlaze::from_iter([offset..=i64::MAX]);
        below.len().try_into().unwrap_or(u64::MAX)
    }

    /// The acked offsets as a set.
    #[must_use]
    pub fn acked(&self) -> &RangeSetBlaze<i64> {
        &self.acked
    }

    /// Adds the offsets of a run.
    pub fn insert(&mut self, run: OffsetRun) {
        if run.lower < run.upper {
            let last = run.upper - 1;
            self.acked.ranges_insert(run.lower..=last);
        }
    }

    /// Forgets everything at and above `offset`: the log was truncated there.
    pub fn truncate(&mut self, offset: i64) {
        self.acked = &self.acked - RangeSetBlaze::from_iter([offset..=i64::MAX]);
        // What is left, and not just something below the truncation: doing all of it a second time must end where it did.
        self.last_consumable = self.last_consumable.min(self.highest().unwrap_or(0));
    }

    /// The runs, sorted, lower inclusive, upper exclusive.
    pub fn runs(&self) -> impl Iterator<Item = OffsetRun> + '_ {
        self.acked.ranges().map(|range| OffsetRun { lower: *range.start(), upper: range.end() + 1 })
    }
}

/// The first offset of a set from `lower` up to, and without, `upper`. Asked for each record under transactions, so it
/// must not walk the set.
pub(crate) fn first_within(offsets: &RangeSetBlaze<i64>, lower: i64, upper: i64) -> Option<i64> {
    let (range_or_gap, is_in) = offsets.range_or_gap_at(lower);
    let first = if is_in { lower } else { range_or_gap.end().checked_add(1)? };
    (first < upper).then_some(first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What may happen to a partition's ledger, for the comparison with a plain set.
    #[derive(Clone, Debug)]
    enum Step {
        Insert(i64, i64),
        Truncate(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_i64..200, 0_i64..20).prop_map(|(lower, len)| Step::Insert(lower, lower + len)),
            1 => (0_i64..200).prop_map(Step::Truncate),
        ]
    }

    proptest! {
        #[test]
        fn ledger_agrees_with_a_simple_set(steps in prop::collection::vec(step(), 0..60)) {
            let (mut ledger, mut plain) = (PartitionLedger::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(lower, upper) => {
                        ledger.insert(OffsetRun { lower, upper });
                        plain.extend(lower..upper);
                    }
                    Step::Truncate(offset) => {
                        ledger.truncate(offset);
                        plain.retain(|known| *known < offset);
                    }
                }
            }
            for offset in -1..230 {
                prop_assert_eq!(ledger.contains(offset), plain.contains(&offset), "offset {}", offset);
            }
            for (lower, upper) in [(90, 120), (0, 5), (50, 50), (60, 50), (150, 151), (200, 1_000)] {
                let first = plain.range(lower..upper.max(lower)).next().copied();
                prop_assert_eq!(first_within(ledger.acked(), lower, upper), first, "{}..{}", lower, upper);
                prop_assert_eq!(ledger.contains_any(lower, upper), first.is_some());
            }
            prop_assert_eq!(ledger.count_below(100), plain.range(..100).count() as u64);
            prop_assert_eq!(ledger.highest(), plain.last().copied());
            prop_assert_eq!(ledger.acked_count(), plain.len() as u64);
            let runs: Vec<_> = ledger.runs().collect();
            prop_assert!(runs.iter().all(|run| run.lower < run.upper));
            prop_assert!(runs.windows(2).all(|pair| pair[0].upper < pair[1].lower), "sorted, apart");
            prop_assert_eq!(runs.iter().flat_map(|run| run.lower..run.upper).collect::<BTreeSet<_>>(), plain);
        }
    }

    #[test]
    fn growing_keeps_what_was_known() {
        let mut ledger = Ledger::new(1);
        ledger.partition_mut(0).unwrap().insert(OffsetRun { lower: 3, upper: 5 });
        ledger.grow(3);
        ledger.grow(2);
        assert_eq!(ledger.partitions().len(), 3);
        assert_eq!(ledger.acked_count(), 2);
        assert!(ledger.partition(3).is_none() && ledger.partition(-1).is_none());
    }
}
