//! Walks over batches where they lie in a response.

use thiserror::Error;

use super::{CHECKED_FROM, Crc, HEADER_BYTES, LENGTH_END, MAGIC, Records, TRANSACTIONAL};
use crate::record::ProducedBatch;

/// What a batch is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Nothing.
    None,
    /// gzip.
    Gzip,
    /// Snappy, in the framing of xerial's library or without.
    Snappy,
    /// LZ4, in frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// Its number, in the lowest bits of a batch's attributes.
    pub(super) fn attributes(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }
}

/// Bytes that are no batch, or none that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    /// A length that cannot be. Nobody knows where the next batch begins.
    #[error("a batch of {length} bytes at offset {base_offset}")]
    Length {
        /// The length that it claims.
        length: i32,
        /// Its first offset, if that can be believed.
        base_offset: i64,
    },
    /// A format that is not spoken.
    #[error("a batch of format {magic} at offset {base_offset}")]
    Format {
        /// The format.
        magic: u8,
        /// Its first offset.
        base_offset: i64,
    },
}

/// The batches of a partition in a response. It ends where the next one is not there as a whole.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// All of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been walked over: once there is no next one, a batch that was cut off.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // The beginning that older formats have, too: offset, length, and behind the epoch or checksum the format.
        let (front, _) = self.rest.split_at_checked(MAGIC_AT + 1)?;
        let (base_offset, length, magic) = (i64_at(front, 0), i32_at(front, 8), front[MAGIC_AT]);
        let end = usize::try_from(length).ok().and_then(|length| LENGTH_END.checked_add(length));
        let Some(end) = end.filter(|end| *end > MAGIC_AT) else {
            self.rest = &[];
            return Some(Err(BatchError::Length { length, base_offset }));
        };
        if end > self.rest.len() {
            return None;
        }
        if magic != MAGIC {
            self.rest = &self.rest[end..];
            return Some(Err(BatchError::Format { magic, base_offset }));
        }
        if end < HEADER_BYTES {
            self.rest = &[];
            return Some(Err(BatchError::Length { length, base_offset }));
        }
        let (bytes, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Ok(Batch { bytes }))
    }
}

const MAGIC_AT: usize = 16;

/// A whole batch. Nothing of it has been checked but its length and format.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// All of its bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The offset of its first record, also where compaction has taken that.
    #[must_use]
    pub fn base_offset(&self) -> i64 {
        i64_at(self.bytes, 0)
    }

    /// The offset behind its last record, also where compaction has taken that: where reading goes on. Never at or below
    /// its first one.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        let last_delta = i64::from(i32_at(self.bytes, 23).max(0));
        self.base_offset().saturating_add(last_delta).saturating_add(1)
    }

    /// Epoch of the leader that wrote it.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        i32_at(self.bytes, 12)
    }

    /// Whether its bytes are those that were sent: offsets, length and epoch apart, which the broker writes.
    #[must_use]
    pub fn fits_its_checksum(&self) -> bool {
        self.bytes[17..21] == Crc::of(&self.bytes[CHECKED_FROM..]).to_be_bytes()
    }

    fn attributes(&self) -> i16 {
        i16::from_be_bytes([self.bytes[21], self.bytes[22]])
    }

    /// Its codec; `None`: one that is not known.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        Some(match self.attributes() & 7 {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            _ => return None,
        })
    }

    /// Whether the broker's time stands in place of the producer's: every record has the largest timestamp then.
    #[must_use]
    pub fn has_broker_time(&self) -> bool {
        self.attributes() & 1 << 3 != 0
    }

    /// Whether it is part of a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    /// Whether its records are the broker's own: markers, of the end of transactions for instance.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes() & 1 << 5 != 0
    }

    /// Whether the first timestamp is the time at which tombstones may go, and no record's.
    #[must_use]
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes() & 1 << 6 != 0
    }

    /// The timestamp from which those of its records are counted, ms since 1970.
    #[must_use]
    pub fn base_timestamp_ms(&self) -> i64 {
        i64_at(self.bytes, 27)
    }

    /// The largest timestamp of its records, ms since 1970.
    #[must_use]
    pub fn max_timestamp_ms(&self) -> i64 {
        i64_at(self.bytes, 35)
    }

    /// The id of its producer; -1 is none.
    #[must_use]
    pub fn producer_id(&self) -> i64 {
        i64_at(self.bytes, 43)
    }

    /// The epoch of its producer; -1 is none.
    #[must_use]
    pub fn producer_epoch(&self) -> i16 {
        i16::from_be_bytes([self.bytes[51], self.bytes[52]])
    }

    /// The sequence number of its first record; -1 is none.
    #[must_use]
    pub fn base_sequence(&self) -> i32 {
        i32_at(self.bytes, 53)
    }

    /// As its producer has numbered it; `None`: that has no id.
    #[must_use]
    pub fn produced(&self) -> Option<ProducedBatch> {
        let (producer_id, base_sequence) = (self.producer_id(), self.base_sequence());
        (producer_id >= 0 && base_sequence >= 0).then(|| ProducedBatch {
            base_offset: self.base_offset(),
            producer_id,
            producer_epoch: self.producer_epoch(),
            base_sequence,
        })
    }

    /// How many records it has by now; 0 where compaction has taken all.
    #[must_use]
    pub fn count(&self) -> i32 {
        i32_at(self.bytes, 57)
    }

    /// What lies behind the header: its records, or what a codec made of them.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Its records, where `unpacked` is the payload without its codec.
    #[must_use]
    pub fn records<'b>(&self, unpacked: &'b [u8]) -> Records<'b> {
        let fixed_ms = self.has_broker_time().then(|| self.max_timestamp_ms());
        Records::new(unpacked, self.base_offset(), self.base_timestamp_ms(), fixed_ms, self.count())
    }
}

#[inline]
fn i32_at(bytes: &[u8], at: usize) -> i32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    i32::from_be_bytes(number)
}

#[inline]
fn i64_at(bytes: &[u8], at: usize) -> i64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    i64::from_be_bytes(number)
}
