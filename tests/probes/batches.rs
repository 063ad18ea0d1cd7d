//! Record batches as a client would send them, and as it never should.

use std::{fmt::Write, time::SystemTime};

use proofload::inside::batch::{
    Batch, BatchProducer, BatchValue, BatchWriter, Batches, Crc, CrcShift, Marker, NewRecord,
};

/// Where fields of a batch are.
pub(super) mod at {
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const COUNT: usize = 57;
}

/// A batch to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
    pub records: usize,
    pub transactional: bool,
    pub timestamp_ms: i64,
    pub value_bytes: usize,
}

/// By nobody in particular: a producer without an id.
pub(super) fn plain(records: usize) -> Made {
    Made {
        id: -1,
        epoch: -1,
        sequence: -1,
        records,
        transactional: false,
        timestamp_ms: now_ms(),
        value_bytes: 10,
    }
}

/// Records that lie far apart in time lie in different segments, and markers have the broker's time.
fn now_ms() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a time behind 1970");
    i64::try_from(since.as_millis()).expect("a time in this age")
}

/// By a producer with an id.
pub(super) fn of((id, epoch): (i64, i16), sequence: i32, records: usize) -> Made {
    Made { id, epoch, sequence, ..plain(records) }
}

impl Made {
    /// As part of a transaction.
    pub(crate) fn transactional(self) -> Self {
        Self { transactional: true, ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut writer = BatchWriter::with_capacity(1_000);
        let value = vec![7; self.value_bytes];
        for _ in 0..self.records {
            writer.push(&NewRecord {
                timestamp_ms: self.timestamp_ms,
                key: b"key",
                value: BatchValue::Copied(&value),
                headers: &[],
            });
        }
        let producer = BatchProducer {
            id: self.id,
            epoch: self.epoch,
            base_sequence: self.sequence,
            transactional: self.transactional,
        };
        writer.seal(producer, &CrcShift::by(0));
        let mut bytes = Vec::new();
        writer.slices().for_each(|slice| bytes.extend_from_slice(slice));
        bytes
    }
}

/// Other bytes at this place, and a checksum that fits them.
pub(super) fn with(mut batch: Vec<u8>, place: usize, bytes: &[u8]) -> Vec<u8> {
    batch[place..place + bytes.len()].copy_from_slice(bytes);
    let crc = Crc::of(&batch[at::ATTRIBUTES..]).to_be_bytes();
    batch[at::CRC..at::CRC + 4].copy_from_slice(&crc);
    batch
}

/// What lies in a log, in words: for each batch its offsets, and what is special about it.
pub(super) fn described(bytes: &[u8]) -> String {
    let mut batches = Batches::new(bytes);
    let mut words: Vec<String> = Vec::new();
    for batch in &mut batches {
        words.push(batch.map_or_else(|error| error.to_string(), |batch| word(&batch)));
    }
    if !batches.rest().is_empty() {
        words.push("a part of one".to_owned());
    }
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn word(batch: &Batch<'_>) -> String {
    let mut word = format!("{}–{}", batch.base_offset(), batch.next_offset() - 1);
    if batch.is_control() {
        let markers: Vec<_> = batch
            .records(batch.payload())
            .map(|record| match record.ok().and_then(|record| record.marker()) {
                Some(Marker::Commit) => "commit",
                Some(Marker::Abort) => "abort",
                _ => "control",
            })
            .collect();
        let _ = write!(word, " {}", markers.join("+"));
    } else if batch.is_transactional() {
        word += " transactional";
    }
    if batch.count() == 0 {
        word += " empty";
    }
    if !batch.fits_its_checksum() {
        word += " damaged";
    }
    word
}
