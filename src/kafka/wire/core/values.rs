//! Values that are sent from where they lie.

use std::collections::HashMap;

use crate::kafka::wire::batch::{BatchValue, Crc, CrcShift};

/// Below this size a value is copied: that costs less than a slice of its own.
const COPIED_BELOW_BYTES: usize = 1_024;

/// Remembers the checksums of values that live as long as the process, each taken once. All of one length: that of the
/// first; others are copied.
#[derive(Debug)]
pub(crate) struct LastingValues {
    shift: CrcShift,
    checksums: HashMap<usize, Crc>,
}

impl LastingValues {
    /// None yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { shift: CrcShift::by(0), checksums: HashMap::new() }
    }

    /// What moves a checksum on by such a value.
    #[must_use]
    pub(crate) fn shift(&self) -> &CrcShift {
        &self.shift
    }

    /// How a value is put into a batch.
    #[inline]
    pub(crate) fn value(&mut self, value: &'static [u8]) -> BatchValue<'static> {
        if value.len() < COPIED_BELOW_BYTES {
            return BatchValue::Copied(value);
        }
        if self.checksums.is_empty() {
            self.shift = CrcShift::by(value.len());
        }
        if value.len() != self.shift.bytes() {
            return BatchValue::Copied(value);
        }
        let crc = self.checksums.entry(value.as_ptr().addr()).or_insert_with(|| Crc::of(value));
        BatchValue::Lasting(value, *crc)
    }
}

impl Default for LastingValues {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_of_one_length_are_not_copied() {
        static LARGE: [u8; 3_000] = [7; 3_000];
        let mut values = LastingValues::new();
        let mut is_lasting = |value| matches!(values.value(value), BatchValue::Lasting(..));
        assert!(!is_lasting(&LARGE[..1_023]));
        assert!(is_lasting(&LARGE[..2_000]) && is_lasting(&LARGE[1_000..]));
        assert!(!is_lasting(&LARGE[..2_001]), "its checksum could not be put together");
        assert_eq!((values.shift().bytes(), values.checksums.len()), (2_000, 2));
    }
}
