//! CRC-32C, and how the checksum of a whole is put together from those of its parts.

use crc_fast::{CrcAlgorithm, Digest};

/// What the register begins with, and what is inverted at the end.
const INITIAL: u32 = u32::MAX;

/// The checksum of some bytes, as batches bear it: inverted before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc(u32);

impl Crc {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(register(INITIAL, bytes) ^ INITIAL)
    }

    /// Of what this is of, with these bytes behind it.
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        Self(register(self.0 ^ INITIAL, bytes) ^ INITIAL)
    }

    /// Of what this is of, with bytes behind it whose own checksum is known, and whose number is `shift`'s.
    ///
    /// CRCs are linear: that of a‖b is that of a, moved on by as many zeros as b has bytes, xor that of b.
    #[must_use]
    #[inline]
    pub fn and_known(self, known: Self, shift: &CrcShift) -> Self {
        Self(shift.apply(self.0) ^ known.0)
    }

    /// As it stands in a batch.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// The register behind these bytes, without the inversion at the end.
#[inline]
fn register(before: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, before.into());
    digest.update(bytes);
    // A register of 32 bits lies in the lower half of what serves for 64, too.
    let [.., a, b, c, d] = digest.get_state().to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Moves checksums on by a fixed number of bytes: four tables, one for each byte of a checksum.
#[derive(Clone, Debug)]
pub struct CrcShift {
    bytes: usize,
    tables: Box<[[u32; 256]; 4]>,
}

impl CrcShift {
    /// By so many bytes. Takes as long as 32 checksums of so many zeros.
    #[must_use]
    pub fn by(bytes: usize) -> Self {
        let zeros = vec![0; bytes];
        let bits: [u32; 32] = std::array::from_fn(|bit| register(1 << bit, &zeros));
        let table = |byte: usize| {
            std::array::from_fn(|value: usize| {
                let set = (0..8).filter(|bit| value >> bit & 1 == 1);
                set.fold(0, |sum, bit| sum ^ bits[8 * byte + bit])
            })
        };
        Self { bytes, tables: Box::new(std::array::from_fn(table)) }
    }

    /// By how many bytes it moves.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    fn apply(&self, crc: u32) -> u32 {
        let [a, b, c, d] = crc.to_le_bytes().map(usize::from);
        let [first, second, third, fourth] = &*self.tables;
        first[a] ^ second[b] ^ third[c] ^ fourth[d]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_check_value_of_crc_32c() {
        assert_eq!(Crc::of(b"123456789").to_be_bytes(), [0xE3, 0x06, 0x92, 0x83]);
    }

    proptest! {
        #[test]
        fn a_whole_has_the_checksum_of_its_parts(
            front in proptest::collection::vec(any::<u8>(), 0..100),
            back in proptest::collection::vec(any::<u8>(), 0..3_000),
        ) {
            let whole = Crc::of(&[front.clone(), back.clone()].concat());
            prop_assert_eq!(Crc::of(&front).and(&back), whole);
            let shift = CrcShift::by(back.len());
            prop_assert_eq!(Crc::of(&front).and_known(Crc::of(&back), &shift), whole);
        }
    }
}
