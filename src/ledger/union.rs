//! The ledgers of slices as one ledger.

use super::{LatestValues, Ledger};
use crate::partitions::Slice;

impl Ledger {
    /// What the ledgers of slices say together of a topic with so many partitions: of each partition what its owner says.
    /// Partitions whose owner is not among them have nothing that was acked.
    #[must_use]
    pub(crate) fn union(parts: Vec<(Slice, Self)>, partitions: usize) -> Self {
        let mut all = Self::new(partitions);
        all.tolerate_data_loss = parts.iter().any(|(_, part)| part.tolerate_data_loss);
        all.adjust_consumable_offsets = parts.iter().any(|(_, part)| part.adjust_consumable_offsets);
        for (slice, mut part) in parts {
            if all.adjust_consumable_offsets {
                // Without tombstones, what was acked last is the latest of its key.
                part.expect_tombstones();
            }
            take_own(&mut all.partitions, slice, part.partitions);
        }
        all
    }

    /// Forgets the partitions that are not this slice's.
    pub(crate) fn keep(&mut self, slice: Slice) {
        for (partition, part) in (0..).zip(&mut self.partitions) {
            if !slice.owns(partition) {
                *part = super::PartitionLedger::default();
            }
        }
    }

    /// The first partition of which offsets are listed although it is not this slice's.
    #[must_use]
    pub(crate) fn beyond(&self, slice: Slice) -> Option<i32> {
        let listed = (0..).zip(&self.partitions).filter(|(_, part)| part.highest().is_some());
        listed.map(|(partition, _)| partition).find(|partition| !slice.owns(*partition))
    }
}

impl LatestValues {
    /// What the last values of slices are together, for a topic with so many partitions.
    #[must_use]
    pub(crate) fn union(parts: Vec<(Slice, Self)>, partitions: usize) -> Self {
        let mut all = Self::new(partitions);
        for (slice, part) in parts {
            take_own(&mut all.partitions, slice, part.partitions);
        }
        all
    }
}

/// Puts what a slice's `part` says of the slice's partitions into their places.
fn take_own<T>(all: &mut [T], slice: Slice, part: Vec<T>) {
    for (own, other) in all.iter_mut().zip(part).skip(slice.index()).step_by(slice.of()) {
        *own = other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{LatestValue, OffsetRun};

    fn slice(index: usize, of: usize) -> Slice {
        Slice::new(index, of).unwrap()
    }

    /// Lists offsets from 0 on in each of its partitions, one more in each partition than in the one before.
    fn part(slice: Slice, partitions: usize) -> (Slice, Ledger) {
        let mut ledger = Ledger::new(partitions);
        for partition in slice.partitions(partitions) {
            let run = OffsetRun { lower: 0, upper: i64::from(partition) + 1 };
            ledger.partition_mut(partition).unwrap().insert(run);
        }
        (slice, ledger)
    }

    fn counts(ledger: &Ledger) -> Vec<u64> {
        ledger.partitions().iter().map(super::super::PartitionLedger::acked_count).collect()
    }

    #[test]
    fn each_slice_speaks_of_its_own_partitions() {
        let parts = vec![part(slice(2, 3), 5), part(slice(0, 3), 4), part(slice(1, 3), 5)];
        let all = Ledger::union(parts, 5);
        assert_eq!(counts(&all), [1, 2, 3, 4, 5]);
        assert!(!all.adjust_consumable_offsets && !all.tolerate_data_loss);
        let without_one = Ledger::union(vec![part(slice(0, 3), 4), part(slice(2, 3), 6)], 6);
        assert_eq!(counts(&without_one), [1, 0, 3, 4, 0, 6]);
    }

    #[test]
    fn a_slice_without_tombstones_ends_where_it_was_acked() {
        let (mut first, second) = (part(slice(0, 2), 2), part(slice(1, 2), 2));
        first.1.adjust_consumable_offsets = true;
        first.1.tolerate_data_loss = true;
        let all = Ledger::union(vec![first, second], 3);
        assert!(all.adjust_consumable_offsets && all.tolerate_data_loss);
        let last: Vec<_> = all.partitions().iter().map(|part| part.last_consumable).collect();
        assert_eq!(last, [0, 1, 0]);
    }

    #[test]
    fn what_is_another_slice_s_is_found_and_can_be_forgotten() {
        let (_, mut ledger) = part(slice(0, 1), 6);
        assert_eq!(ledger.beyond(slice(0, 1)), None);
        assert_eq!(ledger.beyond(slice(0, 2)), Some(1));
        assert_eq!(ledger.beyond(slice(1, 2)), Some(0));
        ledger.keep(slice(1, 2));
        assert_eq!(counts(&ledger), [0, 2, 0, 4, 0, 6]);
        assert_eq!(ledger.beyond(slice(1, 2)), None);
    }

    #[test]
    fn last_values_are_those_of_the_partition_s_owner() {
        let values = |partition, value| {
            let mut values = LatestValues::new(2);
            values.set(partition, "k".to_owned(), value);
            values
        };
        let (ours, theirs) = (LatestValue::Tombstone, LatestValue::Other(Box::from(*b"x")));
        let mut first = values(0, ours.clone());
        // What it says of another's partition does not count.
        first.set(1, "k".to_owned(), ours.clone());
        let parts = vec![(slice(0, 2), first), (slice(1, 2), values(1, theirs.clone()))];
        let all = LatestValues::union(parts, 3);
        assert_eq!(all.partitions(), 3);
        assert_eq!((all.get(0, b"k"), all.get(1, b"k")), (Some(&ours), Some(&theirs)));
    }
}
