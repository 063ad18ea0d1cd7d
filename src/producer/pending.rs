//! Records that have no final outcome: in flight, or acked in a transaction that has not ended.

/// What a producer has sent and cannot be sure of yet. `T` is what is remembered of a record in flight, in a place whose
/// number is the record's token; `A` what is remembered of one that is acked, until its transaction has ended.
#[derive(Debug)]
pub(crate) struct Pending<T, A> {
    /// By token.
    places: Vec<T>,
    free: Vec<usize>,
    acked: Vec<A>,
}

impl<T: Copy + Default, A> Pending<T, A> {
    /// Room for so many records in flight.
    #[must_use]
    pub(crate) fn new(places: usize) -> Self {
        Self { places: vec![T::default(); places], free: (0..places).rev().collect(), acked: Vec::new() }
    }

    /// Makes a place more, and takes it.
    pub(crate) fn grow(&mut self) -> usize {
        self.places.push(T::default());
        self.places.len() - 1
    }

    /// Whether no record is in flight.
    #[must_use]
    pub(crate) fn nothing_in_flight(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Records in flight.
    #[must_use]
    pub(crate) fn in_flight(&self) -> u64 {
        (self.places.len() - self.free.len()) as u64
    }

    /// The records that have a place, in no order.
    pub(crate) fn records(&self) -> impl Iterator<Item = &T> {
        let mut taken = vec![true; self.places.len()];
        for place in &self.free {
            taken[*place] = false;
        }
        self.places.iter().zip(taken).filter_map(|(record, taken)| taken.then_some(record))
    }

    /// Takes a place, or `None` while all are taken. The one used last comes first: it is in cache.
    #[inline]
    pub(crate) fn claim(&mut self) -> Option<usize> {
        self.free.pop()
    }

    /// Remembers a record in the place that was taken for it.
    #[inline]
    pub(crate) fn put(&mut self, token: usize, record: T) {
        self.places[token] = record;
    }

    /// The record that has this place, which is free from now on.
    #[inline]
    pub(crate) fn release(&mut self, token: usize) -> T {
        self.free.push(token);
        self.places[token]
    }

    /// There is no place any more: the client that had them is gone. What was acked is kept.
    pub(crate) fn clear_places(&mut self) {
        self.places.clear();
        self.free.clear();
    }

    /// A record was acked, and waits for the end of its transaction.
    #[inline]
    pub(crate) fn hold(&mut self, acked: A) {
        self.acked.push(acked);
    }

    /// Records that were acked, and wait for the end of their transaction.
    #[must_use]
    pub(crate) fn held(&self) -> &[A] {
        &self.acked
    }

    /// Their transaction has ended: takes them, to be given back with [`Self::reuse`].
    #[must_use]
    pub(crate) fn take_held(&mut self) -> Vec<A> {
        std::mem::take(&mut self.acked)
    }

    /// The room is used again.
    pub(crate) fn reuse(&mut self, mut room: Vec<A>) {
        room.clear();
        if self.acked.is_empty() {
            self.acked = room;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(pending: &mut Pending<i64, ()>, record: i64) -> Option<usize> {
        let token = pending.claim()?;
        pending.put(token, record);
        Some(token)
    }

    #[test]
    fn places_are_lent_and_come_back() {
        let mut pending: Pending<i64, ()> = Pending::new(2);
        assert!(pending.nothing_in_flight());
        let (first, second) = (put(&mut pending, 1).unwrap(), put(&mut pending, 2).unwrap());
        assert_eq!((put(&mut pending, 3), pending.in_flight()), (None, 2));
        assert_eq!(pending.records().copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((pending.release(first), pending.in_flight()), (1, 1));
        assert_eq!(pending.records().copied().collect::<Vec<_>>(), [2]);
        assert!(!pending.nothing_in_flight());
        let third = put(&mut pending, 3).unwrap();
        assert_eq!((pending.release(second), pending.release(third)), (2, 3));
        assert!(pending.nothing_in_flight());
    }

    #[test]
    fn places_are_made_as_they_are_needed() {
        let mut pending: Pending<i64, ()> = Pending::new(0);
        assert_eq!((pending.claim(), pending.grow(), pending.in_flight()), (None, 0, 1));
        pending.put(0, 7);
        assert_eq!((pending.grow(), pending.release(0), pending.claim()), (1, 7, Some(0)));
        pending.clear_places();
        assert_eq!((pending.nothing_in_flight(), pending.claim()), (true, None));
    }

    #[test]
    fn what_is_acked_is_held_until_it_is_taken() {
        let mut pending: Pending<i64, u32> = Pending::new(1);
        (0..3).for_each(|acked| pending.hold(acked));
        assert_eq!(pending.held(), [0, 1, 2]);
        pending.clear_places();
        let held = pending.take_held();
        assert_eq!((held.len(), pending.held().len()), (3, 0));
        let room = held.capacity();
        pending.reuse(held);
        assert_eq!((pending.acked.capacity(), pending.held().len()), (room, 0));
    }
}
