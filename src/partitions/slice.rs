//! One of several processes that share the partitions of a topic among them.

use std::fmt;

use serde::{Serialize, Serializer};

/// Slice I of N: it owns the partitions p with p mod N = I. Slices of the same N have no partition in common, and leave none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slice {
    /// Below `of`.
    index: usize,
    of: usize,
}

impl Slice {
    /// How many there can be: as many as an Indexed Job of Kubernetes may have completions at a time.
    pub(crate) const MOST: usize = 100_000;

    /// Slice `index`, counted from 0, of so many; `None` where there is no such slice.
    #[must_use]
    pub(crate) fn new(index: usize, of: usize) -> Option<Self> {
        (index < of && of <= Self::MOST).then_some(Self { index, of })
    }

    /// Its number, from 0 on.
    #[must_use]
    pub(crate) fn index(self) -> usize {
        self.index
    }

    /// How many slices there are.
    #[must_use]
    pub(crate) fn of(self) -> usize {
        self.of
    }

    /// Whether a partition is one of its.
    #[must_use]
    pub(crate) fn owns(self, partition: i32) -> bool {
        usize::try_from(partition).is_ok_and(|partition| partition % self.of == self.index)
    }

    /// Its partitions of a topic that has so many.
    #[must_use]
    pub(crate) fn partitions(self, of_topic: usize) -> Vec<i32> {
        (self.index..of_topic)
            .step_by(self.of)
            .filter_map(|partition| i32::try_from(partition).ok())
            .collect()
    }

    /// How many partitions of a topic that has so many belong to the slices before it.
    #[must_use]
    pub(crate) fn partitions_before(self, of_topic: usize) -> usize {
        let (each, rest) = (of_topic / self.of, of_topic % self.of);
        each * self.index + rest.min(self.index)
    }

    /// All slices of its kind, in their order.
    pub(crate) fn siblings(self) -> impl Iterator<Item = Self> {
        (0..self.of).map(move |index| Self { index, ..self })
    }
}

/// As `--slice` takes it: `0/3`.
impl fmt::Display for Slice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.index, self.of)
    }
}

impl Serialize for Slice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_one_slice() {
        for (of, partitions) in [(1, 8), (3, 8), (8, 3), (5, 5), (2, 0)] {
            let first = Slice::new(0, of).unwrap();
            let mut all = Vec::new();
            for slice in first.siblings() {
                let own = slice.partitions(partitions);
                assert_eq!(slice.partitions_before(partitions), all.len(), "{slice}");
                assert!(own.iter().all(|partition| slice.owns(*partition)), "{slice}");
                all.extend(own);
            }
            assert_eq!(first.siblings().count(), of);
            all.sort_unstable();
            assert_eq!(all, (0..i32::try_from(partitions).unwrap()).collect::<Vec<_>>());
        }
        assert!(!Slice::new(0, 2).unwrap().owns(-2));
    }

    #[test]
    fn there_are_as_many_as_there_are() {
        assert_eq!(Slice::new(3, 3), None);
        assert_eq!(Slice::new(0, 0), None);
        assert_eq!(Slice::new(0, Slice::MOST + 1), None);
        let last = Slice::new(Slice::MOST - 1, Slice::MOST).unwrap();
        assert_eq!((last.index(), last.of(), last.to_string().as_str()), (99_999, 100_000, "99999/100000"));
    }
}
