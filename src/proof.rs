//! The proof header: what a record says of itself besides the offset at which it should lie.
//!
//! The first header, which other implementations read too, can only tell a record in its place from
//! one that is not. The second one, ours, tells also what was sent twice, what was sent earlier,
//! what belongs together, and whether the bytes are still those that were sent. Pure.
//!
//! All numbers are big-endian, as everything in Kafka's own formats:
//!
//! | bytes | what |
//! |---|---|
//! | 0 | format, 1 |
//! | 1 | the same, every bit turned: a flipped bit does not make another format of it |
//! | 2–3 | 0 |
//! | 4–7 | position of the record among those of its transaction on its partition, from 0 |
//! | 8–15 | run that wrote it |
//! | 16–23 | sequence number within run and partition, from 0 |
//! | 24–31 | timestamp that it was sent with, ms; -1 when the client chose it |
//! | 32–39 | transaction, counted within the run; all bits set for none |
//! | 40–43 | records of the last committed transaction of the run on this partition; 0 for none |
//! | 44–47 | sequence numbers between that transaction and this one: aborted, or sent in vain |
//! | 48–55 | digest of everything above, the key, the value, and the first header's name and value |
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

use std::sync::LazyLock;

use twox_hash::XxHash3_64;

use crate::record::RECORD_ID_HEADER;

/// Key of the second header.
pub const PROOF_HEADER: &str = "PROOFLOAD";

/// Bytes of its value.
pub const PROOF_BYTES: usize = 56;

const FORMAT: u8 = 1;
/// Where the digest begins: everything before it is digested.
const DIGESTED_BYTES: usize = 48;
const NO_TRANSACTION: u64 = u64::MAX;
/// Digest of a key or value that is null, which an empty one is not.
const NULL_DIGEST: u64 = 0x6E75_6C6C_6E75_6C6C;

/// What a record says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The run that wrote it.
    pub run: u64,
    /// Its number within the run and its partition.
    pub sequence: u64,
    /// Milliseconds since the epoch; `None` where the client chose the time itself.
    pub timestamp_ms: Option<i64>,
    /// `None` outside transactions.
    pub transaction: Option<InTransaction>,
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

/// The bytes that a proof vouches for, digested: key, value, and the first header's name and value.
#[derive(Clone, Copy, Debug)]
pub struct Content([u64; 4]);

impl Content {
    /// Of a key, the [`digest_of`] a value, and the first header's name and value.
    ///
    /// The name is nearly always the same, and the key mostly what the first header says: what is known is not
    /// digested again.
    #[must_use]
    pub fn new(key: Option<&[u8]>, value_digest: u64, (name, id): (&[u8], &[u8])) -> Self {
        static RECORD_ID_DIGEST: LazyLock<u64> =
            LazyLock::new(|| XxHash3_64::oneshot(RECORD_ID_HEADER.as_bytes()));
        let name_digest =
            if name == RECORD_ID_HEADER.as_bytes() { *RECORD_ID_DIGEST } else { XxHash3_64::oneshot(name) };
        let key_digest = digest_of(key);
        let id_digest = if key == Some(id) { key_digest } else { XxHash3_64::oneshot(id) };
        Self([key_digest, value_digest, name_digest, id_digest])
    }
}

/// Digest of a key or value, of which there may be none.
#[must_use]
pub fn digest_of(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(NULL_DIGEST, XxHash3_64::oneshot)
}

/// The header's value.
#[must_use]
pub fn encode(proof: &Proof, content: &Content) -> [u8; PROOF_BYTES] {
    let none = InTransaction { index: NO_TRANSACTION, position: 0, previous: 0, skipped: 0 };
    let transaction = proof.transaction.unwrap_or(none);
    let mut bytes = [0; PROOF_BYTES];
    bytes[0] = FORMAT;
    bytes[1] = !FORMAT;
    bytes[4..8].copy_from_slice(&transaction.position.to_be_bytes());
    bytes[8..16].copy_from_slice(&proof.run.to_be_bytes());
    bytes[16..24].copy_from_slice(&proof.sequence.to_be_bytes());
    bytes[24..32].copy_from_slice(&proof.timestamp_ms.unwrap_or(-1).to_be_bytes());
    bytes[32..40].copy_from_slice(&transaction.index.to_be_bytes());
    bytes[40..44].copy_from_slice(&transaction.previous.to_be_bytes());
    bytes[44..48].copy_from_slice(&transaction.skipped.to_be_bytes());
    let digest = digest(&bytes, content);
    bytes[DIGESTED_BYTES..].copy_from_slice(&digest.to_be_bytes());
    bytes
}

/// The digest that belongs to a header and a content.
///
/// Each part is digested by itself, so that a value from a pool is digested once and not for each record.
#[must_use]
pub fn digest(bytes: &[u8; PROOF_BYTES], content: &Content) -> u64 {
    let mut all = [0; DIGESTED_BYTES + 4 * 8];
    all[..DIGESTED_BYTES].copy_from_slice(&bytes[..DIGESTED_BYTES]);
    for (place, part) in all[DIGESTED_BYTES..].chunks_exact_mut(8).zip(content.0) {
        place.copy_from_slice(&part.to_be_bytes());
    }
    XxHash3_64::oneshot(&all)
}

/// What a record's second header turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second<'a> {
    /// Not ours, or of a format that is yet to be invented: there is nothing to check.
    Unknown,
    /// Ours, and it may be checked.
    Proof(&'a [u8; PROOF_BYTES]),
    /// It was ours.
    Damaged,
}

/// Looks at a second header.
#[must_use]
pub fn second<'a>(name: &[u8], value: &'a [u8]) -> Second<'a> {
    let format = value.first_chunk::<2>().copied();
    if name != PROOF_HEADER.as_bytes() {
        // The name may be what was changed.
        let ours = value.len() == PROOF_BYTES && format == Some([FORMAT, !FORMAT]);
        return if ours { Second::Damaged } else { Second::Unknown };
    }
    match (format, value.try_into()) {
        (Some([FORMAT, turned]), Ok(bytes)) if turned == !FORMAT => Second::Proof(bytes),
        (Some([format, turned]), _) if format != FORMAT && turned == !format => Second::Unknown,
        _ => Second::Damaged,
    }
}

/// What a header says; only worth something when [`is_true`].
#[must_use]
pub fn decode(bytes: &[u8; PROOF_BYTES]) -> Proof {
    let index = word(bytes, 32);
    Proof {
        run: word(bytes, 8),
        sequence: word(bytes, 16),
        timestamp_ms: Some(word(bytes, 24).cast_signed()).filter(|time| *time >= 0),
        transaction: (index != NO_TRANSACTION).then(|| InTransaction {
            index,
            position: half(bytes, 4),
            previous: half(bytes, 40),
            skipped: half(bytes, 44),
        }),
    }
}

/// Whether the header and the content are those that were sent.
#[must_use]
pub fn is_true(bytes: &[u8; PROOF_BYTES], content: &Content) -> bool {
    digest(bytes, content) == written_digest(bytes)
}

/// The digest that a header holds.
#[must_use]
pub fn written_digest(bytes: &[u8; PROOF_BYTES]) -> u64 {
    word(bytes, DIGESTED_BYTES)
}

fn word(bytes: &[u8; PROOF_BYTES], start: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[start..start + 8]);
    u64::from_be_bytes(word)
}

fn half(bytes: &[u8; PROOF_BYTES], start: usize) -> u32 {
    let mut half = [0; 4];
    half.copy_from_slice(&bytes[start..start + 4]);
    u32::from_be_bytes(half)
}

/// Numbers the records of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    next: u64,
    /// Records of the open transaction.
    position: u32,
    previous: u32,
    skipped: u32,
}

impl Numbering {
    /// The number of the next record, in this transaction of the run, if it is in one.
    pub fn number(&mut self, transaction: Option<u64>) -> (u64, Option<InTransaction>) {
        let Self { next: sequence, position, previous, skipped } = *self;
        self.next += 1;
        self.position = position.saturating_add(1);
        (sequence, transaction.map(|index| InTransaction { index, position, previous, skipped }))
    }

    /// The record that was numbered last was not sent.
    pub fn take_back(&mut self) {
        self.next -= 1;
        self.position -= 1;
    }

    /// The transaction has ended.
    pub fn end_transaction(&mut self, committed: bool) {
        let records = std::mem::take(&mut self.position);
        match (records, committed) {
            (0, _) => {}
            (_, true) => (self.previous, self.skipped) = (records, 0),
            (_, false) => self.skipped = self.skipped.saturating_add(records),
        }
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
