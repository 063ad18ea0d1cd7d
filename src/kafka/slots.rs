//! Values that lie with the client that sends them, and of which a few bytes are new each time.
//!
//! A slot is lent to one record and comes back with its delivery, so that no value is copied or allocated for a record.

/// The slots of a client, counted from 0.
#[derive(Debug, Default)]
pub(crate) struct Slots(Vec<Slot>);

#[derive(Debug)]
struct Slot {
    value: Box<[u8]>,
    /// The client may be reading the value.
    lent: bool,
}

impl Slots {
    /// Adds a slot with this value, and returns its number.
    pub(crate) fn add(&mut self, value: Box<[u8]>) -> usize {
        self.0.push(Slot { value, lent: false });
        self.0.len() - 1
    }

    /// Slots so far.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Writes the beginning of a slot's value.
    ///
    /// # Panics
    /// The slot is lent, or shorter than that: a bug.
    pub(crate) fn write(&mut self, slot: usize, start: &[u8]) {
        let slot = &mut self.0[slot];
        assert!(!slot.lent, "a value that is being sent must not change");
        slot.value[..start.len()].copy_from_slice(start);
    }

    /// The value of a slot that is to be lent. It lies where it lies until the slot comes back.
    ///
    /// # Panics
    /// The slot is lent: a bug.
    pub(super) fn value(&self, slot: usize) -> &[u8] {
        let slot = &self.0[slot];
        assert!(!slot.lent, "a slot is lent to one record at a time");
        &slot.value
    }

    /// A record with this value is under way.
    pub(super) fn lend(&mut self, slot: usize) {
        self.0[slot].lent = true;
    }

    /// The record has its outcome.
    pub(super) fn give_back(&mut self, slot: usize) {
        if let Some(slot) = self.0.get_mut(slot) {
            slot.lent = false;
        }
    }

    /// Whether a value is being sent.
    #[must_use]
    pub(super) fn is_any_lent(&self) -> bool {
        self.0.iter().any(|slot| slot.lent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_written_between_two_records() {
        let mut slots = Slots::default();
        assert_eq!((slots.add(vec![0; 4].into()), slots.add(vec![7; 4].into()), slots.count()), (0, 1, 2));
        slots.write(0, &[1, 2]);
        assert_eq!((slots.value(0), slots.value(1)), (&[1, 2, 0, 0][..], &[7; 4][..]));
        slots.lend(0);
        assert!(slots.is_any_lent());
        slots.give_back(0);
        slots.write(0, &[3]);
        assert!(!slots.is_any_lent() && slots.value(0)[0] == 3);
    }

    #[test]
    #[should_panic(expected = "must not change")]
    fn a_slot_that_is_lent_is_not_written() {
        let mut slots = Slots::default();
        slots.add(vec![0; 4].into());
        slots.lend(0);
        slots.write(0, &[1]);
    }

    #[test]
    #[should_panic(expected = "one record at a time")]
    fn a_slot_that_is_lent_is_not_lent_again() {
        let mut slots = Slots::default();
        slots.add(vec![0; 4].into());
        slots.lend(0);
        slots.value(0);
    }
}
