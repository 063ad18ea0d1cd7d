//! The records of a shard that were sent and not yet delivered.

use std::num::NonZero;

use super::lane::First;
use crate::partitions::PartitionSlot;

const _: () = assert!(size_of::<InFlight>() == 64, "one line of the cache");

/// What must be remembered of a record until its delivery: one line of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(64))]
pub struct InFlight {
    /// Its partition.
    pub partition: PartitionSlot,
    /// Bytes of its value.
    pub value_bytes: u32,
    /// The offset at which it is expected to land.
    pub predicted_offset: i64,
    /// When it was sent, µs on the shard's clock.
    pub sent_us: u64,
    /// Its key's number in the key set, from 1; `None` for a key of its own.
    pub key_number: Option<NonZero<u64>>,
    /// Whether its value is null.
    pub tombstone: bool,
    /// Set for the first record of a transaction on its partition.
    pub first: Option<First>,
}

impl InFlight {
    /// Its key's index in the key set; `None` for a key of its own.
    #[must_use]
    #[inline]
    pub fn key_index(&self) -> Option<u64> {
        self.key_number.map(|number| number.get() - 1)
    }
}

/// A fixed number of places; a record's place is the token that its delivery brings back.
#[derive(Debug)]
pub struct Window {
    places: Box<[InFlight]>,
    free: Vec<usize>,
}

impl Window {
    /// Room for so many records.
    #[must_use]
    pub fn new(records: usize) -> Self {
        Self { places: vec![InFlight::default(); records].into(), free: (0..records).rev().collect() }
    }

    /// Whether no record is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Whether every place is taken.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// The records that have a place, in no order.
    pub fn records(&self) -> impl Iterator<Item = &InFlight> {
        let mut taken = vec![true; self.places.len()];
        for place in &self.free {
            taken[*place] = false;
        }
        self.places.iter().zip(taken).filter_map(|(record, taken)| taken.then_some(record))
    }

    /// A place for a record, or `None` while all are taken. The one used last comes first: it is in cache.
    #[inline]
    pub fn take(&mut self, record: InFlight) -> Option<usize> {
        let token = self.free.pop()?;
        self.places[token] = record;
        Some(token)
    }

    /// The record that has this place, which is free from now on.
    #[inline]
    pub fn release(&mut self, token: usize) -> InFlight {
        self.free.push(token);
        self.places[token]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lent_and_come_back() {
        let mut window = Window::new(2);
        assert!(window.is_empty());
        let record = |offset| InFlight { predicted_offset: offset, ..InFlight::default() };
        let (first, second) = (window.take(record(1)).unwrap(), window.take(record(2)).unwrap());
        assert_eq!(window.take(record(3)), None);
        let offsets = |window: &Window| -> Vec<i64> {
            window.records().map(|record| record.predicted_offset).collect()
        };
        assert_eq!(offsets(&window), [1, 2]);
        assert_eq!(window.release(first).predicted_offset, 1);
        assert_eq!(offsets(&window), [2]);
        assert!(!window.is_empty());
        let third = window.take(record(3)).unwrap();
        assert_eq!(window.release(second).predicted_offset, 2);
        assert_eq!(window.release(third).predicted_offset, 3);
        assert!(window.is_empty());
    }
}
