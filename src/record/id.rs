//! What a verifier's record looks like on the wire: its id, its key, its payload.
//!
//! Pure: no clock, no I/O. The formats are the compatibility contract's, so that
//! topics written by other implementations can be read, and the other way round.

use std::ffi::CStr;

use super::proof;
use crate::{
    config::{Fill, Payload},
    random::Random,
};

/// Key of the first header of every record.
pub const RECORD_ID_HEADER: &str = text(RECORD_ID_NAME);
/// [`RECORD_ID_HEADER`], for clients.
pub(crate) const RECORD_ID_NAME: &CStr = c"KGO_VERIFIER_RECORD_ID";

/// A header's name as text; empty where it is none.
pub(crate) const fn text(name: &'static CStr) -> &'static str {
    match name.to_str() {
        Ok(text) => text,
        Err(_) => "",
    }
}

/// Bytes of a record id: `{producer:06}.{offset:018}`.
pub const RECORD_ID_BYTES: usize = 25;

/// What stands in front of the id of a record whose transaction will be aborted.
pub(crate) const ABORTED_PREFIX: &[u8] = b"ABORTED MSG: ";

/// Bytes of such an id.
pub(crate) const ABORTED_ID_BYTES: usize = ABORTED_PREFIX.len() + RECORD_ID_BYTES;

const DIGITS: [u8; 10] = *b"0123456789";

/// The producer's part of the id, with the dot: there is one producer, number 0.
const PRODUCER_PREFIX: [u8; 7] = *b"000000.";

/// The id of the record that is expected to land at `offset`, as the text that
/// the first header carries: `000000.000000000000000042`.
///
/// Negative offsets do not exist in a log and are encoded as 0.
#[must_use]
pub fn encode_record_id(offset: i64) -> [u8; RECORD_ID_BYTES] {
    let mut text = [b'0'; RECORD_ID_BYTES];
    text[..7].copy_from_slice(&PRODUCER_PREFIX);
    // The offset keeps its low 18 digits: 10^18 records are out of any log's reach.
    text[7..].copy_from_slice(&eighteen_digits(offset.max(0).unsigned_abs()));
    text
}

/// A number's low 18 digits.
fn eighteen_digits(number: u64) -> [u8; 18] {
    const EIGHT: u64 = 100_000_000;
    let mut text = [b'0'; 18];
    let (above, low) = (number / EIGHT, number % EIGHT);
    if above > 0 {
        // The last two of them.
        text[..2].copy_from_slice(&eight_digits(above / EIGHT)[6..]);
        text[2..10].copy_from_slice(&eight_digits(above % EIGHT));
    }
    text[10..].copy_from_slice(&eight_digits(low));
    text
}

/// The digits of a number below 10^8: halves, then pairs, then digits, each all at once, in lanes of one word. A division by a
/// constant is a multiplication whose product fits its lane.
fn eight_digits(number: u64) -> [u8; 8] {
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    // 10486 / 2^20 is a hundredth of whatever is below 10^4; 103 / 2^10 is a tenth of whatever is below 100.
    let hundreds = ((halves * 10_486) >> 20) & 0x7F_0000_007F;
    let pairs = hundreds | ((halves - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000F_000F_000F_000F;
    let digits = tens | ((pairs - tens * 10) << 8);
    (digits | u64::from_le_bytes([b'0'; 8])).to_le_bytes()
}

/// The same for a record whose transaction will be aborted.
#[must_use]
pub(crate) fn encode_aborted_id(offset: i64) -> [u8; ABORTED_ID_BYTES] {
    let mut text = [0; ABORTED_ID_BYTES];
    let (prefix, id) = text.split_at_mut(ABORTED_PREFIX.len());
    prefix.copy_from_slice(ABORTED_PREFIX);
    id.copy_from_slice(&encode_record_id(offset));
    text
}

/// Bytes of the text that a numbered value begins with: `value-{offset:018}`.
pub(crate) const NUMBERED_VALUE_BYTES: usize = 24;

/// The beginning of the value of the record that is expected to land at `offset`; zeros follow it.
#[must_use]
pub(crate) fn numbered_value(offset: i64) -> [u8; NUMBERED_VALUE_BYTES] {
    let mut text = *b"value-000000000000000000";
    text[6..].copy_from_slice(&encode_record_id(offset)[PRODUCER_PREFIX.len()..]);
    text
}

/// The offset that a numbered value names, or `None` if it is none.
#[must_use]
pub(crate) fn parse_numbered_value(value: &[u8]) -> Option<i64> {
    let (text, zeros) = value.split_first_chunk::<NUMBERED_VALUE_BYTES>()?;
    let digits = text.strip_prefix(b"value-")?;
    let mut id = [b'0'; RECORD_ID_BYTES];
    id[..PRODUCER_PREFIX.len()].copy_from_slice(&PRODUCER_PREFIX);
    id[PRODUCER_PREFIX.len()..].copy_from_slice(digits);
    parse_record_id(&id).filter(|_| zeros.iter().all(|&byte| byte == 0))
}

/// The offset that a record id names, or `None` if `text` is no id of producer 0.
#[must_use]
#[inline]
pub fn parse_record_id(text: &[u8]) -> Option<i64> {
    let digits: &[u8; 18] = text.strip_prefix(&PRODUCER_PREFIX)?.try_into().ok()?;
    let (high, rest) = digits.split_first_chunk::<8>()?;
    let (middle, low) = rest.split_first_chunk::<8>()?;
    let (tens, ones) = (low[0].wrapping_sub(b'0'), low[1].wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return None;
    }
    let value = parse_8_digits(*high)? * 10_000_000_000
        + parse_8_digits(*middle)? * 100
        + u64::from(tens) * 10
        + u64::from(ones);
    i64::try_from(value).ok()
}

/// Eight ASCII digits at once, as lanes of one word: a record is validated in a
/// few multiplications instead of a loop with a branch for each digit.
fn parse_8_digits(digits: [u8; 8]) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH_NIBBLES: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    let word = u64::from_le_bytes(digits);
    // A byte is a digit when its high nibble is 3, and still is after adding 6.
    let plus_six = word.wrapping_add(0x0606_0606_0606_0606);
    if word & HIGH_NIBBLES != ZEROS || plus_six & HIGH_NIBBLES != ZEROS {
        return None;
    }
    let ones = word - ZEROS;
    let pairs = (ones * 10 + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let quads = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((quads * 10_000 + (quads >> 32)) & 0xFFFF_FFFF)
}

/// A key that was written into a fixed buffer: no allocation for each record.
#[derive(Clone, Copy, Debug)]
pub struct KeyText {
    bytes: [u8; KeyText::CAPACITY],
    len: usize,
}

impl KeyText {
    /// Longest key: `key-` and 20 digits, or a record id.
    pub const CAPACITY: usize = 25;

    /// `key-{index}`: one of a set of keys.
    #[must_use]
    pub fn of_set(index: u64) -> Self {
        let mut bytes = [0; Self::CAPACITY];
        bytes[..4].copy_from_slice(b"key-");
        let digits = index.checked_ilog10().unwrap_or(0) as usize + 1;
        let mut rest = index;
        for digit in bytes[4..4 + digits].iter_mut().rev() {
            *digit = DIGITS[usize::from((rest % 10).to_le_bytes()[0])];
            rest /= 10;
        }
        Self { bytes, len: 4 + digits }
    }

    /// The record's own id: every key is another.
    #[must_use]
    pub fn of_record_id(id: [u8; RECORD_ID_BYTES]) -> Self {
        Self { bytes: id, len: RECORD_ID_BYTES }
    }

    /// The key as it goes over the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The values that a shard's records take turns with.
///
/// They are made once: filling 16 KiB at random for each record would cost more
/// than sending it. A pool stays in a core's second cache, as reading values is
/// much of what producing costs; where batches are packed it is so large that a
/// compressor's window does not see the same value again in its batch. It is
/// leaked on purpose: the client sends values from where they lie, at times after
/// the shard has gone.
///
/// Large values overlap: each begins a few KiB behind the one before it. They are as different as others, byte by byte,
/// and no compressor's window is as long as they are.
#[derive(Debug)]
pub struct PayloadPool {
    bytes: &'static [u8],
    value_bytes: usize,
    /// From the beginning of one value to that of the next.
    step_bytes: usize,
    /// Of each value: a digest is taken once, and not for each record.
    digests: Box<[u64]>,
}

impl PayloadPool {
    /// About how much memory the values of a pool take where batches are packed, unless a few of them take more.
    const PACKED_BYTES: usize = 4 << 20;
    /// The same where they are not: a part of the second cache, which batches and what is known of them have to share.
    const CACHED_BYTES: usize = 256 << 10;
    /// How many values there are: so many at least that two records that were exchanged hardly ever have the same.
    const MIDDLING: usize = 64;
    /// From this size on, so many would leave the cache anyway.
    const FEW_FROM_BYTES: usize = 64 << 10;
    /// How many there are at least.
    const FEWEST: usize = 16;
    /// How many there are at most.
    const MOST: usize = 4_096;
    /// From this size on, values overlap.
    const LARGE_BYTES: usize = 4 << 20;
    /// How far large values lie apart.
    const STEP_BYTES: usize = 8_191;
    /// How much memory values of the user's own take at the most.
    const GIVEN_BYTES: usize = 64 << 20;

    /// How many values there are in a pool.
    fn values(fill: Fill, value_bytes: usize, packed: bool) -> usize {
        let (bytes, fewest) = match (packed, value_bytes < Self::FEW_FROM_BYTES) {
            (true, _) => (Self::PACKED_BYTES, Self::FEWEST),
            (false, true) => (Self::CACHED_BYTES, Self::MIDDLING),
            (false, false) => (Self::CACHED_BYTES, Self::FEWEST),
        };
        match fill {
            Fill::Zeros => 1,
            Fill::Printable | Fill::Random => (bytes / value_bytes.max(1)).clamp(fewest, Self::MOST),
        }
    }

    /// A pool of values of `value_bytes` bytes each; `packed`: batches of them are compressed.
    #[must_use]
    pub fn new(fill: Fill, value_bytes: usize, packed: bool, random: &mut Random) -> Self {
        let values = Self::values(fill, value_bytes, packed);
        let step_bytes = if value_bytes >= Self::LARGE_BYTES { Self::STEP_BYTES } else { value_bytes };
        let mut bytes = vec![0; (values - 1) * step_bytes + value_bytes];
        match fill {
            Fill::Zeros => {}
            Fill::Random => random.fill(&mut bytes),
            Fill::Printable => random.fill_printable(&mut bytes),
        }
        Self::of(bytes, values, (value_bytes, step_bytes))
    }

    /// A pool of the user's own values, of `value_bytes` each.
    #[must_use]
    pub(crate) fn given(payload: &Payload, value_bytes: usize, random: &mut Random) -> Self {
        match payload {
            Payload::File { bytes, .. } => {
                let mut value = bytes.to_vec();
                value.resize(value_bytes, 0);
                Self::of(value, 1, (value_bytes, value_bytes))
            }
            Payload::PartlyRandom { random_ratio, values } => {
                let values = (*values).clamp(1, (Self::GIVEN_BYTES / value_bytes.max(1)).max(1));
                let mut bytes = vec![0; values * value_bytes];
                let part = part_of(value_bytes, *random_ratio);
                for value in bytes.chunks_mut(value_bytes.max(1)) {
                    random.fill(&mut value[..part]);
                }
                Self::of(bytes, values, (value_bytes, value_bytes))
            }
        }
    }

    fn of(bytes: Vec<u8>, values: usize, (value_bytes, step_bytes): (usize, usize)) -> Self {
        let digest = |index| {
            let start = index * step_bytes;
            proof::digest_of(Some(&bytes[start..start + value_bytes]))
        };
        let digests = (0..values).map(digest).collect();
        Self { bytes: bytes.leak(), value_bytes, step_bytes, digests }
    }

    /// One of the values, at random, and its digest.
    pub fn pick(&self, random: &mut Random) -> (&'static [u8], u64) {
        let index = random.index(self.digests.len());
        let start = index * self.step_bytes;
        (&self.bytes[start..start + self.value_bytes], self.digests[index])
    }
}

/// So much of so many bytes; never more than all.
fn part_of(bytes: usize, ratio: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and bytes")]
    let part = (bytes as f64 * ratio.clamp(0.0, 1.0)) as usize;
    part.min(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn id_has_the_contract_s_shape() {
        assert_eq!(&encode_record_id(42), b"000000.000000000000000042");
        assert_eq!(&encode_record_id(0), b"000000.000000000000000000");
        assert_eq!(&encode_record_id(999_999_999_999_999_999), b"000000.999999999999999999");
        assert_eq!(&encode_record_id(-1), b"000000.000000000000000000");
    }

    #[test]
    fn each_digit_is_its_own() {
        let powers = (0..18).map(|power| 10_u64.pow(power));
        let borders = powers.flat_map(|power| [power - 1, power, power + 1, 7 * power]);
        for number in borders.chain([123_456_789_012_345_678, 9_223_372_036_854_775_807]) {
            let low = number % 1_000_000_000_000_000_000;
            assert_eq!(eighteen_digits(number), *format!("{low:018}").as_bytes(), "{number}");
        }
        for number in 0..20_000_u64 {
            assert_eq!(
                eight_digits(number * 5_003 % 100_000_000),
                *format!("{:08}", number * 5_003 % 100_000_000).as_bytes()
            );
        }
    }

    #[test]
    fn aborted_ids_say_so_first() {
        assert_eq!(&encode_aborted_id(42), b"ABORTED MSG: 000000.000000000000000042");
        assert_eq!(parse_record_id(&encode_aborted_id(42)), None);
    }

    #[test]
    fn numbered_values_name_their_offset() {
        assert_eq!(&numbered_value(42), b"value-000000000000000042");
        let padded = [&numbered_value(42)[..], &[0; 9]].concat();
        assert_eq!(parse_numbered_value(&padded), Some(42));
        assert_eq!(parse_numbered_value(&padded[..23]), None);
        assert_eq!(parse_numbered_value(&[&padded[..], b"x"].concat()), None);
        assert_eq!(parse_numbered_value(&[b"x", &padded[1..]].concat()), None);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let cases: [&[u8]; 8] = [
            b"",
            b"000000.",
            b"000000.00000000000000004",
            b"000000.0000000000000000042",
            b"000001.000000000000000042",
            b"000000,000000000000000042",
            b"ABORTED MSG: 000000.000000000000000042",
            b"000000.+00000000000000042",
        ];
        for case in cases {
            assert_eq!(parse_record_id(case), None, "{}", String::from_utf8_lossy(case));
        }
    }

    proptest! {
        #[test]
        fn id_round_trips(offset in 0_i64..1_000_000_000_000_000_000) {
            let text = encode_record_id(offset);
            prop_assert_eq!(String::from_utf8_lossy(&text), format!("000000.{offset:018}"));
            prop_assert_eq!(parse_record_id(&text), Some(offset));
        }

        /// A flipped bit never leaves an id that names the same offset.
        #[test]
        fn flipped_bit_is_noticed(offset in 0_i64..1_000_000_000_000_000_000, bit in 0..RECORD_ID_BYTES * 8) {
            let mut text = encode_record_id(offset);
            text[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(parse_record_id(&text), Some(offset));
        }

        #[test]
        fn parse_agrees_with_a_plain_parser(text in "000000\\.[0-9:/ ]{18}") {
            let plain = text[7..].parse::<i64>().ok().filter(|_| text[7..].bytes().all(|b| b.is_ascii_digit()));
            prop_assert_eq!(parse_record_id(text.as_bytes()), plain);
        }

        #[test]
        fn set_key_is_decimal(index: u64) {
            let text = format!("key-{index}");
            let key = KeyText::of_set(index);
            prop_assert_eq!(key.as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn values_of_the_user_s_own_are_as_they_are() {
        let mut random = Random::from_seed(7);
        let file = Payload::File { path: "f".into(), bytes: (*b"some payload").into() };
        let pool = PayloadPool::given(&file, 12, &mut random);
        for _ in 0..3 {
            let (value, digest) = pool.pick(&mut random);
            assert_eq!((value, digest), (&b"some payload"[..], proof::digest_of(Some(b"some payload"))));
        }
        let half = Payload::PartlyRandom { random_ratio: 0.5, values: 100 };
        let pool = PayloadPool::given(&half, 1_000, &mut random);
        let values: Vec<_> = (0..50).map(|_| pool.pick(&mut random).0).collect();
        assert!(values.iter().all(|value| value[500..].iter().all(|byte| *byte == 0)));
        assert!(values.iter().all(|value| value[..500].iter().filter(|byte| **byte != 0).count() > 450));
        assert!(values.windows(2).any(|pair| pair[0] != pair[1]), "there are several");
        for (bytes, ratio, expected) in [(10, 0.0, 0), (10, 1.0, 10), (0, 0.5, 0), (3, 0.5, 1), (5, 7.0, 5)] {
            assert_eq!(part_of(bytes, ratio), expected, "{bytes} {ratio}");
        }
        let empty = Payload::PartlyRandom { random_ratio: 1.0, values: 9 };
        assert!(PayloadPool::given(&empty, 0, &mut random).pick(&mut random).0.is_empty());
    }

    #[test]
    fn payloads_are_what_was_asked_for() {
        let mut random = Random::from_seed(7);
        let zeros = PayloadPool::new(Fill::Zeros, 100, false, &mut random);
        assert!(zeros.pick(&mut random).0.iter().all(|&byte| byte == 0));
        let printable = PayloadPool::new(Fill::Printable, 10_000, false, &mut random);
        let (value, digest) = printable.pick(&mut random);
        assert_eq!(digest, proof::digest_of(Some(value)));
        assert_eq!(value.len(), 10_000);
        assert!(value.iter().all(|byte| (32..=126).contains(byte)));
        assert!(value.contains(&32) && value.contains(&126));
        let bytes = PayloadPool::new(Fill::Random, 10_000, true, &mut random);
        assert!(bytes.pick(&mut random).0.iter().any(|byte| *byte > 126));
        assert_ne!(printable.pick(&mut random), printable.pick(&mut random));
    }

    /// Sixteen values of 120 MB would be 1.9 GB.
    #[test]
    fn large_payloads_share_their_bytes_and_differ_all_the_same() {
        let mut random = Random::from_seed(7);
        let value_bytes = PayloadPool::LARGE_BYTES;
        let pool = PayloadPool::new(Fill::Random, value_bytes, true, &mut random);
        assert!(pool.bytes.len() < value_bytes + (256 << 10), "{}", pool.bytes.len());
        let distinct: std::collections::BTreeSet<_> = pool.digests.iter().collect();
        assert_eq!(distinct.len(), PayloadPool::FEWEST);
        for _ in 0..4 {
            let (value, digest) = pool.pick(&mut random);
            assert_eq!((value.len(), digest), (value_bytes, proof::digest_of(Some(value))));
        }
        let small = PayloadPool::new(Fill::Random, 1 << 20, true, &mut random);
        assert_eq!(small.bytes.len(), 16 << 20, "what fits into a compressor's window does not overlap");
    }

    #[test]
    fn a_pool_stays_in_the_second_cache_unless_batches_are_packed() {
        let values = |value_bytes, packed| PayloadPool::values(Fill::Random, value_bytes, packed);
        assert_eq!([1, 128, 16 << 10, 1 << 20].map(|bytes| values(bytes, false)), [4_096, 2_048, 64, 16]);
        assert_eq!([1, 128, 16 << 10, 1 << 20].map(|bytes| values(bytes, true)), [4_096, 4_096, 256, 16]);
    }

    #[test]
    fn empty_payloads_are_allowed() {
        let mut random = Random::from_seed(7);
        let pool = PayloadPool::new(Fill::Printable, 0, false, &mut random);
        assert!(pool.pick(&mut random).0.is_empty());
    }
}
