//! A shard's own source of chance: small, fast, and never shared.
//!
//! What is drawn decides where a record goes and what it holds, never what is
//! secret, so a 64-bit counter hashed by `SplitMix64` is enough.
//! Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
//! OOPSLA 2014.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    ops::RangeInclusive,
};

/// A generator of pseudo-random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator that always draws the same.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator that draws something else in each process and each call.
    #[must_use]
    pub fn from_entropy() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// Any 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `limit`, each as likely as the other to within 2⁻⁶⁴·`limit`;
    /// 0 when `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    /// An index below `limit`; 0 when `limit` is 0.
    pub fn index(&mut self, limit: usize) -> usize {
        // Below `limit`, so that it fits.
        usize::try_from(self.below(limit as u64)).unwrap_or(0)
    }

    /// A number in the range. An empty range gives its start.
    pub fn within(&mut self, range: RangeInclusive<i64>) -> i64 {
        let span = range.end().wrapping_sub(*range.start()).max(0).unsigned_abs();
        range.start().wrapping_add_unsigned(self.below(span.saturating_add(1)))
    }

    /// True with this probability (0..=1).
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are what a double holds.
        ((self.next_u64() >> 11) as f64) * (1.0 / (1_u64 << 53) as f64) < probability
    }

    /// Random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Random printable ASCII, 32–126.
    pub fn fill_printable(&mut self, bytes: &mut [u8]) {
        const PRINTABLE: std::ops::RangeInclusive<u8> = b' '..=b'~';
        for byte in bytes {
            let step = self.below(u64::from(PRINTABLE.end() - PRINTABLE.start()) + 1).to_le_bytes()[0];
            *byte = PRINTABLE.start() + step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_reaches_every_number_evenly() {
        let mut random = Random::from_seed(1);
        let mut seen = [0_u32; 8];
        for _ in 0..80_000 {
            seen[random.index(8)] += 1;
        }
        assert!(seen.iter().all(|count| (9_500..10_500).contains(count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn chance_keeps_to_its_bounds() {
        let mut random = Random::from_seed(1);
        assert!((0..1000).all(|_| !random.chance(0.0)));
        assert!((0..1000).all(|_| random.chance(1.0)));
        let hits = (0..100_000).filter(|_| random.chance(0.25)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
    }

    #[test]
    fn within_includes_both_ends() {
        let mut random = Random::from_seed(1);
        let drawn: std::collections::BTreeSet<_> = (0..200).map(|_| random.within(-1..=1)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [-1, 0, 1]);
        assert_eq!(random.within(5..=5), 5);
    }

    #[test]
    fn generators_of_one_process_differ() {
        assert_ne!(Random::from_entropy().next_u64(), Random::from_entropy().next_u64());
    }
}
