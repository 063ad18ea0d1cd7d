//! The proof header: what a record says of itself besides the offset at which it should lie.
//!
//! The first header, which other implementations read too, can only tell a record in its place from
//! one that is not. The second one, ours, tells also what was sent twice, what was sent earlier,
//! what belongs together, and whether the bytes are still those that were sent. Pure.
//!
//! All numbers are big-endian, as everything in Kafka's own formats. A record outside transactions has the short
//! format, because at small records each byte more shows in what a record costs:
//!
//! | bits | what |
//! |---|---|
//! | 0–7 | format, 2 |
//! | 8–49 | timestamp that it was sent with, ms; all bits set when the client chose it |
//! | 50–97 | run that wrote it |
//! | 98–127 | sequence number within run and partition, from 0 |
//! | 128–191 | digest of everything above, the key, the value, and the first header's name and value |
//!
//! A record of an open loop bears the time at which it was to be sent, to the µs, so that a reader knows how long it took from
//! then on. It has the timed format: as the short one, but
//!
//! | bits | what |
//! |---|---|
//! | 0–7 | format, 5 |
//! | 128–143 | µs of the timestamp, behind its ms |
//! | 144–207 | digest, of these too |
//!
//! One of a transaction, or with a number that does not fit, has the long one. Each has a length of its own: a flipped bit must
//! not make one format of another.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | format, 3 |
//! | 1 | the same, every bit turned |
//! | 2–3 | µs of the timestamp, behind its ms, and 1; 0 for none |
//! | 4–7 | position of the record among those of its transaction on its partition, from 0 |
//! | 8–15 | run that wrote it |
//! | 16–23 | sequence number within run and partition, from 0 |
//! | 24–31 | timestamp that it was sent with, ms; -1 when the client chose it |
//! | 32–39 | transaction, counted within the run; all bits set for none |
//! | 40–43 | records of the last committed transaction of the run on this partition; 0 for none |
//! | 44–47 | sequence numbers between that transaction and this one: aborted, or sent in vain |
//! | 48–55 | digest of the same things |
//!
//! **Why the timestamp is written down** and not only digested: a topic with `LogAppendTime` keeps
//! the broker's. A reader there compares nothing, and can still check the rest.
//!
//! **How a torn transaction shows.** Nobody knows how many records a transaction will have on a
//! partition when its first one is sent. But in a committed one every position from 0 up is in the log,
//! since one record that fails aborts it. A hole in the positions, or a first one that is not 0, is
//! therefore a record that was lost. What is missing at the end shows in the next transaction: its
//! records say how many the last committed one had, and how far back, in sequence numbers, it lies.
//! Behind the last transaction of all only the ledger can tell.

mod content;
mod numbering;

use std::ffi::CStr;

pub use content::{Content, digest_of};
pub(crate) use numbering::Numbering;

/// Key of the second header.
pub const PROOF_HEADER: &str = super::text(PROOF_NAME);
/// [`PROOF_HEADER`], for clients.
pub(crate) const PROOF_NAME: &CStr = c"PROOFLOAD";

/// Bytes of its value, in the long format.
pub(crate) const LONG_BYTES: usize = 56;
/// In the timed one.
pub(crate) const TIMED_BYTES: usize = 26;
/// In the short one.
pub(crate) const SHORT_BYTES: usize = 24;

/// Runs are numbered at random below this.
pub(crate) const RUNS: u64 = 1 << RUN_BITS;

const LONG: u8 = 3;
const SHORT: u8 = 2;
const TIMED: u8 = 5;
/// Where the digest begins: everything before it is digested.
const LONG_DIGESTED_BYTES: usize = LONG_BYTES - 8;
const TIMED_DIGESTED_BYTES: usize = TIMED_BYTES - 8;
const SHORT_DIGESTED_BYTES: usize = SHORT_BYTES - 8;
/// Bits of the short one's numbers.
const TIME_BITS: u32 = 42;
const RUN_BITS: u32 = 48;
const SEQUENCE_BITS: u32 = 30;
/// No timestamp.
const NO_TIME: u64 = (1 << TIME_BITS) - 1;
const NO_TRANSACTION: u64 = u64::MAX;

/// What a record says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The run that wrote it; below [`RUNS`], so that the short format has room for it.
    pub run: u64,
    /// Its number within the run and its partition.
    pub sequence: u64,
    /// Milliseconds since the epoch; `None` where the client chose the time itself.
    pub timestamp_ms: Option<i64>,
    /// µs behind that, below 1,000; `None` where nobody wants to know the time so well.
    pub micros: Option<u16>,
    /// `None` outside transactions.
    pub transaction: Option<InTransaction>,
}

impl Proof {
    /// When the record was to be sent, µs since 1970; `None` where it does not say.
    #[must_use]
    #[inline]
    pub fn intended_us(&self) -> Option<i64> {
        Some(self.timestamp_ms?.checked_mul(1_000)? + i64::from(self.micros?))
    }
}

/// A record's place in its transaction, on its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InTransaction {
    /// Which one of the run.
    pub index: u64,
    /// Which record of it on this partition.
    pub position: u32,
    /// How many the last committed one had here; 0 when there is none.
    pub previous: u32,
    /// Sequence numbers between that one and this.
    pub skipped: u32,
}

/// A header's value, ready to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Encoded {
    bytes: [u8; LONG_BYTES],
    len: usize,
}

impl Encoded {
    /// The value, in one of the two formats.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The header's value.
#[must_use]
#[inline]
pub fn encode(proof: &Proof, content: &Content) -> Encoded {
    match (short_head(proof), proof.micros) {
        (Some(head), None) => encode_short(head, content),
        (Some(head), Some(micros)) => encode_timed(head, micros, content),
        (None, _) => encode_long(proof, content),
    }
}

/// What goes before the digest, if all of it fits.
fn short_head(proof: &Proof) -> Option<u128> {
    let time = proof
        .timestamp_ms
        .map_or(Some(NO_TIME), |time_ms| u64::try_from(time_ms).ok().filter(|time_ms| *time_ms < NO_TIME))?;
    let fits =
        proof.transaction.is_none() && proof.run >> RUN_BITS == 0 && proof.sequence >> SEQUENCE_BITS == 0;
    let format = if proof.micros.is_some() { TIMED } else { SHORT };
    let head = [(time, TIME_BITS), (proof.run, RUN_BITS), (proof.sequence, SEQUENCE_BITS)]
        .into_iter()
        .fold(u128::from(format), |head, (number, bits)| head << bits | u128::from(number));
    fits.then_some(head)
}

#[inline]
fn encode_short(head: u128, content: &Content) -> Encoded {
    let mut bytes = [0; LONG_BYTES];
    bytes[..SHORT_DIGESTED_BYTES].copy_from_slice(&head.to_be_bytes());
    bytes[SHORT_DIGESTED_BYTES..SHORT_BYTES].copy_from_slice(&short_digest(head, content).to_be_bytes());
    Encoded { bytes, len: SHORT_BYTES }
}

#[inline]
fn encode_timed(head: u128, micros: u16, content: &Content) -> Encoded {
    let mut bytes = [0; LONG_BYTES];
    bytes[..SHORT_DIGESTED_BYTES].copy_from_slice(&head.to_be_bytes());
    bytes[SHORT_DIGESTED_BYTES..TIMED_DIGESTED_BYTES].copy_from_slice(&micros.to_be_bytes());
    bytes[TIMED_DIGESTED_BYTES..TIMED_BYTES]
        .copy_from_slice(&timed_digest(head, micros, content).to_be_bytes());
    Encoded { bytes, len: TIMED_BYTES }
}

fn encode_long(proof: &Proof, content: &Content) -> Encoded {
    let none = InTransaction { index: NO_TRANSACTION, position: 0, previous: 0, skipped: 0 };
    let transaction = proof.transaction.unwrap_or(none);
    let mut bytes = [0; LONG_BYTES];
    bytes[0] = LONG;
    bytes[1] = !LONG;
    let micros = proof.micros.map_or(0, |micros| micros.saturating_add(1));
    bytes[2..4].copy_from_slice(&micros.to_be_bytes());
    bytes[4..8].copy_from_slice(&transaction.position.to_be_bytes());
    bytes[8..16].copy_from_slice(&proof.run.to_be_bytes());
    bytes[16..24].copy_from_slice(&proof.sequence.to_be_bytes());
    bytes[24..32].copy_from_slice(&proof.timestamp_ms.unwrap_or(-1).to_be_bytes());
    bytes[32..40].copy_from_slice(&transaction.index.to_be_bytes());
    bytes[40..44].copy_from_slice(&transaction.previous.to_be_bytes());
    bytes[44..48].copy_from_slice(&transaction.skipped.to_be_bytes());
    let digest = long_digest(&bytes, content);
    bytes[LONG_DIGESTED_BYTES..].copy_from_slice(&digest.to_be_bytes());
    Encoded { bytes, len: LONG_BYTES }
}

/// What a record's second header turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Second<'a> {
    /// Not ours, or of a format that is yet to be invented: there is nothing to check.
    Unknown,
    /// Ours, and it may be checked.
    Proof(Written<'a>),
    /// Of one of our formats under another name. It is ours when its digest is that of the record: somebody else's header
    /// can be as long, and begin with the same byte.
    Misnamed(Written<'a>),
    /// It was ours.
    Damaged,
}

/// Looks at a second header.
#[must_use]
#[inline]
pub(crate) fn second<'a>(name: &[u8], value: &'a [u8]) -> Second<'a> {
    let written = Written::of(value);
    if name != PROOF_HEADER.as_bytes() {
        return written.map_or(Second::Unknown, Second::Misnamed);
    }
    match (written, value) {
        (Some(written), _) => Second::Proof(written),
        (None, [LONG | SHORT | TIMED, ..]) => Second::Damaged,
        (None, [format, turned, ..]) if *turned == !format && !is_of_our_length(value) => Second::Unknown,
        _ => Second::Damaged,
    }
}

fn is_of_our_length(value: &[u8]) -> bool {
    [SHORT_BYTES, TIMED_BYTES, LONG_BYTES].contains(&value.len())
}

/// A header that is ours by its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written<'a> {
    /// Of a record outside transactions.
    Short(&'a [u8; SHORT_BYTES]),
    /// The same, of one of an open loop.
    Timed(&'a [u8; TIMED_BYTES]),
    /// Of any other.
    Long(&'a [u8; LONG_BYTES]),
}

impl<'a> Written<'a> {
    #[inline]
    fn of(value: &'a [u8]) -> Option<Self> {
        match value {
            [SHORT, ..] => value.try_into().ok().map(Self::Short),
            [TIMED, ..] => value.try_into().ok().map(Self::Timed),
            [LONG, turned, ..] if *turned == !LONG => value.try_into().ok().map(Self::Long),
            _ => None,
        }
    }

    /// What it says; only worth something when it [`is_true`](Self::is_true).
    #[must_use]
    #[inline]
    pub(crate) fn decode(self) -> Proof {
        match self {
            Self::Short(bytes) => decode_head(head(bytes), None),
            Self::Timed(bytes) => decode_head(head(bytes), Some(half_word(bytes, SHORT_DIGESTED_BYTES))),
            Self::Long(bytes) => {
                let index = word(bytes, 32);
                Proof {
                    run: word(bytes, 8),
                    sequence: word(bytes, 16),
                    timestamp_ms: Some(word(bytes, 24).cast_signed()).filter(|time| *time >= 0),
                    micros: half_word(bytes, 2).checked_sub(1),
                    transaction: (index != NO_TRANSACTION).then(|| InTransaction {
                        index,
                        position: half(bytes, 4),
                        previous: half(bytes, 40),
                        skipped: half(bytes, 44),
                    }),
                }
            }
        }
    }

    /// Whether the header and the content are those that were sent.
    #[must_use]
    #[inline]
    pub(crate) fn is_true(self, content: &Content) -> bool {
        self.digest(content) == self.written_digest()
    }

    /// The digest that belongs to the header and a content.
    #[must_use]
    #[inline]
    pub(crate) fn digest(self, content: &Content) -> u64 {
        match self {
            Self::Short(bytes) => short_digest(head(bytes), content),
            Self::Timed(bytes) => timed_digest(head(bytes), half_word(bytes, SHORT_DIGESTED_BYTES), content),
            Self::Long(bytes) => long_digest(bytes, content),
        }
    }

    /// The digest that the header holds.
    #[must_use]
    #[inline]
    pub(crate) fn written_digest(self) -> u64 {
        match self {
            Self::Short(bytes) => word(bytes, SHORT_DIGESTED_BYTES),
            Self::Timed(bytes) => word(bytes, TIMED_DIGESTED_BYTES),
            Self::Long(bytes) => word(bytes, LONG_DIGESTED_BYTES),
        }
    }
}

#[inline]
fn short_digest(head: u128, content: &Content) -> u64 {
    content.seal([(low_word(head >> 64), low_word(head))])
}

#[inline]
fn timed_digest(head: u128, micros: u16, content: &Content) -> u64 {
    content.seal([(low_word(head >> 64), low_word(head)), (u64::from(micros), 0)])
}

/// What the beginning of a header outside transactions says.
#[inline]
fn decode_head(head: u128, micros: Option<u16>) -> Proof {
    let number = |skipped: u32, bits: u32| low_word(head >> skipped) & ((1 << bits) - 1);
    let time = number(RUN_BITS + SEQUENCE_BITS, TIME_BITS);
    Proof {
        run: number(SEQUENCE_BITS, RUN_BITS),
        sequence: number(0, SEQUENCE_BITS),
        timestamp_ms: (time != NO_TIME).then_some(time.cast_signed()),
        micros,
        transaction: None,
    }
}

fn long_digest(bytes: &[u8; LONG_BYTES], content: &Content) -> u64 {
    content.seal([0, 16, 32].map(|start| (word(bytes, start), word(bytes, start + 8))))
}

/// All of a short header but the digest; the beginning of a timed one.
#[inline]
fn head(bytes: &[u8]) -> u128 {
    u128::from(word(bytes, 0)) << 64 | u128::from(word(bytes, 8))
}

#[expect(clippy::cast_possible_truncation, reason = "the high half is what is left out")]
#[inline]
fn low_word(number: u128) -> u64 {
    number as u64
}

#[inline]
fn word(bytes: &[u8], start: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[start..start + 8]);
    u64::from_be_bytes(word)
}

#[inline]
fn half_word(bytes: &[u8], start: usize) -> u16 {
    u16::from_be_bytes([bytes[start], bytes[start + 1]])
}

fn half(bytes: &[u8], start: usize) -> u32 {
    let mut half = [0; 4];
    half.copy_from_slice(&bytes[start..start + 4]);
    u32::from_be_bytes(half)
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
