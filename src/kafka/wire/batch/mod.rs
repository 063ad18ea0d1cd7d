//! Record batches as brokers keep them, format 2: written without copying large values, read where they lie.
//!
//! Layout (<https://kafka.apache.org/documentation/#recordbatch>), all numbers big-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 0–7 | offset of the first record |
//! | 8–11 | bytes that follow this field |
//! | 12–15 | epoch of the leader that wrote it |
//! | 16 | format, 2 |
//! | 17–20 | CRC-32C of everything from 21 on |
//! | 21–22 | attributes: codec (bits 0–2), broker's time (3), transactional (4), control (5), delete horizon (6) |
//! | 23–26 | offset of the last record, from the first |
//! | 27–34, 35–42 | first and largest timestamp, ms since 1970 |
//! | 43–50, 51–52, 53–56 | producer id, its epoch, sequence of the first record |
//! | 57–60 | number of records, which compaction lowers |
//! | 61… | the records, compressed as a whole if a codec is named |

mod checksum;
mod pack;
mod reader;
mod record;
mod unpack;
mod writer;

pub use checksum::{Crc, CrcShift};
pub use pack::Packer;
pub use reader::{Batch, BatchError, Batches, Codec};
pub use record::{Marker, RecordError, RecordRef, Records, RecordsPlace};
pub use unpack::{UnpackError, Unpacker};
pub use writer::{BatchProducer, BatchValue, BatchWriter, NewRecord};

/// Bytes ahead of the records.
pub const HEADER_BYTES: usize = 61;
/// Bytes that a batch's own length does not count.
const LENGTH_END: usize = 12;
/// Where what the checksum covers begins.
const CHECKED_FROM: usize = 21;
/// The format that is spoken here.
const MAGIC: u8 = 2;

const TRANSACTIONAL: i16 = 1 << 4;

#[cfg(test)]
mod oracle_tests;
