//! A partition's place in a table.

/// A partition, by its place in the [`PartitionTable`](super::PartitionTable) of whoever works with it, counted from 0. It means
/// nothing beside another table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionSlot(u32);

impl PartitionSlot {
    /// The slot with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The slot at this place of a list that has one entry for each.
    #[must_use]
    pub fn at(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Its place in such a list.
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
