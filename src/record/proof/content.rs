//! What a proof vouches for besides its own numbers: the bytes of the record, digested.

use twox_hash::XxHash3_64;

use crate::record::{self, RECORD_ID_BYTES, RECORD_ID_HEADER};

/// Digest of a key or value that is null, which an empty one is not.
const NULL_DIGEST: u64 = 0x6E75_6C6C_6E75_6C6C;
/// Digest of [`RECORD_ID_HEADER`].
const RECORD_ID_DIGEST: u64 = 0x8A6D_D2AD_34F8_6147;

/// The bytes that a proof vouches for, digested: key, value, and the first header's name and value.
///
/// Each part is digested by itself, so that a value from a pool is digested once and not for each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    key: u64,
    value: u64,
    name: u64,
    id: u64,
}

impl Content {
    /// Of a key, the [`digest_of`] a value, and the first header's name and value.
    #[must_use]
    pub fn new(key: Option<&[u8]>, value_digest: u64, (name, id): (&[u8], &[u8])) -> Self {
        let name =
            if name == RECORD_ID_HEADER.as_bytes() { RECORD_ID_DIGEST } else { XxHash3_64::oneshot(name) };
        Self { key: key.map_or(NULL_DIGEST, text_digest), value: value_digest, name, id: text_digest(id) }
    }

    /// The same of a record whose first header is `id` under the usual name, and names this offset: what is known is
    /// not digested again.
    #[must_use]
    #[inline]
    pub fn named(key: Option<&[u8]>, value_digest: u64, id: &[u8], offset: i64) -> Self {
        let number = offset.cast_unsigned();
        let key = match key {
            Some(key) if is_same_id(key, id) => number,
            key => key.map_or(NULL_DIGEST, text_digest),
        };
        Self { key, value: value_digest, name: RECORD_ID_DIGEST, id: number }
    }

    /// One digest of all this and of a header's words.
    ///
    /// Products of 64 bits, folded, as XXH3 mixes its input
    /// (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>): a call of it for these few words, which are
    /// hashed already for the most part, took as long as all the other checks of a record.
    #[inline]
    pub(crate) fn seal<const N: usize>(&self, words: [(u64, u64); N]) -> u64 {
        // The beginnings of SHA-512 and SHA-384 (FIPS 180-4, 5.3): numbers that nobody has chosen.
        const SECRETS: [(u64, u64); 5] = [
            (0x6A09_E667_F3BC_C908, 0xBB67_AE85_84CA_A73B),
            (0x3C6E_F372_FE94_F82B, 0xA54F_F53A_5F1D_36F1),
            (0x510E_527F_ADE6_82D1, 0x9B05_688C_2B3E_6C1F),
            (0x1F83_D9AB_FB41_BD6B, 0x5BE0_CD19_137E_2179),
            (0xCBBB_9D5D_C105_9ED8, 0x629A_292A_367C_D507),
        ];
        let parts = [(self.key, self.value), (self.name, self.id)];
        parts.into_iter().chain(words).zip(SECRETS).fold(0, |sum: u64, (pair, secret)| {
            let product = u128::from(pair.0 ^ secret.0) * u128::from(pair.1 ^ secret.1);
            sum.wrapping_add(super::low_word(product) ^ super::low_word(product >> 64))
        })
    }
}

/// Digest of a value, of which there may be none.
#[must_use]
#[inline]
pub fn digest_of(value: Option<&[u8]>) -> u64 {
    value.map_or(NULL_DIGEST, XxHash3_64::oneshot)
}

/// Digest of a key, or of a first header's value: mostly the id of a record, and then the offset that it names.
fn text_digest(text: &[u8]) -> u64 {
    record::parse_record_id(text).map_or_else(|| XxHash3_64::oneshot(text), i64::cast_unsigned)
}

/// Whether both are the same record id: of known length, they are compared without a call.
#[inline]
fn is_same_id(key: &[u8], id: &[u8]) -> bool {
    let of_id = |text| <&[u8; RECORD_ID_BYTES]>::try_from(text);
    matches!((of_id(key), of_id(id)), (Ok(key), Ok(id)) if key == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::encode_record_id;

    #[test]
    fn what_is_known_is_the_same_as_what_is_looked_at() {
        let id = encode_record_id(42);
        let looked_at = |key| Content::new(key, 7, (RECORD_ID_HEADER.as_bytes(), &id));
        for key in [Some(&id[..]), Some(b"other"), Some(&encode_record_id(41)), Some(b""), None] {
            assert_eq!(Content::named(key, 7, &id, 42), looked_at(key), "{key:?}");
        }
        assert_eq!(RECORD_ID_DIGEST, XxHash3_64::oneshot(RECORD_ID_HEADER.as_bytes()));
    }

    #[test]
    fn parts_that_differ_are_told_apart() {
        let id = encode_record_id(42);
        let of =
            |key, value, name: &[u8], id: &[u8]| Content::new(key, digest_of(value), (name, id)).seal([]);
        let sound = of(Some(b"k"), Some(b"v"), b"n", &id);
        let others = [
            of(Some(b"v"), Some(b"k"), b"n", &id),
            of(Some(b"n"), Some(b"v"), b"k", &id),
            of(None, Some(b"v"), b"n", &id),
            of(Some(b""), Some(b"v"), b"n", &id),
            of(Some(b"k"), None, b"n", &id),
            of(Some(b"k"), Some(b""), b"n", &id),
            of(Some(b"k"), Some(b"v"), RECORD_ID_HEADER.as_bytes(), &id),
            of(Some(b"k"), Some(b"v"), b"n", &encode_record_id(43)),
            of(Some(b"k"), Some(b"v"), b"n", b""),
        ];
        for (index, other) in others.iter().enumerate() {
            assert!(*other != sound && !others[..index].contains(other), "{index}");
        }
    }
}
