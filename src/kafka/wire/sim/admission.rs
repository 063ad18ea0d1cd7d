//! Which batches of a client a broker takes: what can be seen of one without knowing the log.

use super::{
    Flavour,
    code::{CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE, UNKNOWN_SERVER_ERROR},
    producers::Coming,
    topic::Settings,
};
use crate::kafka::wire::{
    batch::{Batch, Batches, Unpacker},
    protocol::Decoder,
};

/// A batch may not say that it is smaller than this: the head of the oldest format.
const LEAST_BYTES: i32 = 14;
const MAGIC_AT: usize = 16;
const MOST_UNPACKED_BYTES: usize = 64 << 20;
/// Since KIP-937: an hour.
const MOST_AHEAD_MS: i64 = 3_600_000;

/// Why a batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub code: i16,
    /// The record that is to blame, from 0.
    pub record: Option<i32>,
}

impl From<i16> for Refused {
    fn from(code: i16) -> Self {
        Self { code, record: None }
    }
}

/// What a partition's bytes look like before they are taken apart. The error is that of the whole request.
pub(super) fn front(bytes: &[u8]) -> Result<Option<Front<'_>>, i16> {
    let Some((front, _)) = bytes.split_at_checked(MAGIC_AT + 1) else { return Ok(None) };
    let length = i32::from_be_bytes([front[8], front[9], front[10], front[11]]);
    if length < LEAST_BYTES {
        return Err(CORRUPT_MESSAGE);
    }
    let end = 12 + usize::try_from(length).unwrap_or(usize::MAX - 12);
    let Some((batch, rest)) = bytes.split_at_checked(end) else { return Ok(None) };
    match front[MAGIC_AT] {
        magic @ 0..=2 => Ok(Some(Front { magic, batch, rest })),
        _ => Err(CORRUPT_MESSAGE),
    }
}

/// A batch whose length can be believed.
pub(super) struct Front<'a> {
    magic: u8,
    batch: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Front<'a> {
    /// Whether it claims to be part of a transaction.
    pub(super) fn is_transactional(&self) -> bool {
        self.magic == 2 && self.batch.get(22).is_some_and(|attributes| attributes & 0x10 != 0)
    }

    /// The batch, if it is one of the format that is written, and alone.
    pub(super) fn alone(&self) -> Result<Batch<'a>, i16> {
        let has_another = front(self.rest)?.is_some();
        if self.magic != 2 || has_another {
            return Err(INVALID_RECORD);
        }
        // It was measured before.
        Batches::new(self.batch).next().and_then(Result::ok).ok_or(CORRUPT_MESSAGE)
    }
}

/// Whether a client's batch is in order.
pub(super) fn admit(
    batch: &Batch<'_>,
    settings: &Settings,
    flavour: Flavour,
    wall_ms: i64,
) -> Result<Coming, Refused> {
    if batch.base_offset() != 0 {
        return Err(INVALID_RECORD.into());
    }
    if batch.bytes().len() > settings.max_message_bytes {
        return Err(MESSAGE_TOO_LARGE.into());
    }
    if !batch.fits_its_checksum() {
        return Err(CORRUPT_MESSAGE.into());
    }
    if batch.codec().is_none() {
        return Err(UNKNOWN_SERVER_ERROR.into());
    }
    let last_delta = i32::from_be_bytes([23, 24, 25, 26].map(|at| batch.bytes()[at]));
    let has_id = batch.producer_id() >= 0;
    let fits = batch.count() > 0 && last_delta.checked_add(1) == Some(batch.count());
    if batch.is_control() || !fits || (has_id && batch.base_sequence() < 0) {
        return Err(INVALID_RECORD.into());
    }
    check_records(batch, settings, flavour, wall_ms)?;
    Ok(Coming {
        id: batch.producer_id(),
        epoch: batch.producer_epoch(),
        first_sequence: batch.base_sequence(),
        records: batch.count(),
        is_transactional: batch.is_transactional(),
    })
}

fn check_records(
    batch: &Batch<'_>,
    settings: &Settings,
    flavour: Flavour,
    wall_ms: i64,
) -> Result<(), Refused> {
    let mut codecs = Unpacker::new(MOST_UNPACKED_BYTES);
    let unpacked = codecs.unpack(batch).map_err(|_| UNKNOWN_SERVER_ERROR)?;
    // Neither fewer nor more than it says.
    if record_count(unpacked) != Some(batch.count()) {
        return Err(INVALID_RECORD.into());
    }
    for (index, record) in (0..).zip(batch.records(unpacked)) {
        let Ok(record) = record else { return Err(INVALID_RECORD.into()) };
        let refused = |code| Err(Refused { code, record: Some(index) });
        if settings.is_compacted && record.key.is_none() {
            return refused(INVALID_RECORD);
        }
        let ahead_ms = record.timestamp_ms.saturating_sub(wall_ms);
        if flavour == Flavour::Kafka41 && !settings.has_broker_time && ahead_ms > MOST_AHEAD_MS {
            return refused(INVALID_TIMESTAMP);
        }
    }
    Ok(())
}

/// How many records these bytes are, by their lengths; `None`: they end within one.
fn record_count(bytes: &[u8]) -> Option<i32> {
    let mut decoder = Decoder::new(bytes, false);
    let mut count = 0;
    while !decoder.rest().is_empty() {
        let length = decoder.varint().ok()?;
        decoder.take(usize::try_from(length).ok()?).ok()?;
        count += 1;
    }
    Some(count)
}
