//! Puts a batch together, record by record. On the data path: nothing is allocated once its buffers have grown.

use std::{iter, mem};

use super::{CHECKED_FROM, Codec, Crc, CrcShift, HEADER_BYTES, LENGTH_END, MAGIC, Packer, TRANSACTIONAL};

/// A value to be written.
#[derive(Clone, Copy, Debug)]
pub enum BatchValue<'a> {
    /// A tombstone.
    Null,
    /// Copied into the batch.
    Copied(&'a [u8]),
    /// Sent from where it lies, for as long as the process lives. Its checksum is known, and it has as many bytes as
    /// the batch's shift moves by.
    Lasting(&'static [u8], Crc),
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Its timestamp, ms since 1970.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: &'a [u8],
    /// Its value.
    pub value: BatchValue<'a>,
    /// Its headers, name and value, in their order.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

impl NewRecord<'_> {
    /// At least as many bytes as it takes in any batch.
    #[inline]
    fn most_bytes(&self) -> usize {
        let value = match self.value {
            BatchValue::Null => 0,
            BatchValue::Copied(value) | BatchValue::Lasting(value, _) => value.len(),
        };
        let headers: usize =
            self.headers.iter().map(|(name, value)| 2 * VARINT_BYTES + name.len() + value.len()).sum();
        // Its own length, attributes, timestamp, offset, and the lengths of key, value and headers.
        let attributes = 1;
        5 * VARINT_BYTES + attributes + VARLONG_BYTES + self.key.len() + value + headers
    }
}

/// Who writes a batch, and where in the order of its batches for the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchProducer {
    /// The producer's id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The sequence number of the batch's first record.
    pub base_sequence: i32,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
}

/// A value that is not in the buffer.
#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    /// Where in the buffer it belongs.
    at: usize,
    value: &'static [u8],
    crc: Crc,
}

/// A batch in the making, of one partition. It is used again and again.
#[derive(Debug)]
pub struct BatchWriter {
    /// Everything but the values that lie elsewhere; `used` bytes of it count.
    buffer: Vec<u8>,
    used: usize,
    elsewhere: Vec<Elsewhere>,
    bytes_elsewhere: usize,
    /// What its records are packed with.
    codec: Codec,
    records: i32,
    first_timestamp_ms: i64,
    max_timestamp_ms: i64,
}

/// A number of 64 bits takes ten bytes at the most, a length five.
const VARLONG_BYTES: usize = 10;
const VARINT_BYTES: usize = 5;

impl BatchWriter {
    /// An empty one, with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            buffer: vec![0; bytes.max(HEADER_BYTES)],
            used: HEADER_BYTES,
            elsewhere: Vec::new(),
            bytes_elsewhere: 0,
            codec: Codec::None,
            records: 0,
            first_timestamp_ms: 0,
            max_timestamp_ms: 0,
        }
    }

    /// Records in it.
    #[must_use]
    pub fn records(&self) -> i32 {
        self.records
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Its size, header and values that lie elsewhere included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.used + self.bytes_elsewhere
    }

    /// How many bytes a record adds, exactly.
    #[must_use]
    pub fn bytes_of(&self, record: &NewRecord<'_>) -> usize {
        let body = self.body_bytes(record);
        varint_bytes(zigzag(length(body))) + body
    }

    /// Whether the batch has so many bytes at the most with this record in it.
    #[must_use]
    #[inline]
    pub fn fits(&self, record: &NewRecord<'_>, most_bytes: usize) -> bool {
        let bytes = self.bytes();
        // Far from the limit the size need not be known exactly.
        bytes + record.most_bytes() <= most_bytes || bytes + self.bytes_of(record) <= most_bytes
    }

    fn body_bytes(&self, record: &NewRecord<'_>) -> usize {
        let first_ms = if self.records == 0 { record.timestamp_ms } else { self.first_timestamp_ms };
        let text = |bytes: &[u8]| varint_bytes(zigzag(length(bytes.len()))) + bytes.len();
        let value = match record.value {
            BatchValue::Null => 1,
            BatchValue::Copied(value) | BatchValue::Lasting(value, _) => text(value),
        };
        let headers: usize = record.headers.iter().map(|(name, value)| text(name) + text(value)).sum();
        let attributes = 1;
        attributes
            + varint_bytes(zigzag(record.timestamp_ms.wrapping_sub(first_ms)))
            + varint_bytes(zigzag(self.records.into()))
            + text(record.key)
            + value
            + varint_bytes(zigzag(length(record.headers.len())))
            + headers
    }

    /// Appends a record. Its offset is the next one in the batch.
    #[inline]
    pub fn push(&mut self, record: &NewRecord<'_>) {
        if self.records == 0 {
            (self.first_timestamp_ms, self.max_timestamp_ms) = (record.timestamp_ms, record.timestamp_ms);
        }
        self.max_timestamp_ms = self.max_timestamp_ms.max(record.timestamp_ms);
        let body_bytes = self.body_bytes(record);
        self.make_room(body_bytes + VARLONG_BYTES + VARINT_BYTES);
        self.varint(zigzag(length(body_bytes)));
        let no_attributes = 0;
        self.raw(&[no_attributes]);
        self.varint(zigzag(record.timestamp_ms.wrapping_sub(self.first_timestamp_ms)));
        self.varint(zigzag(self.records.into()));
        self.text(record.key);
        match record.value {
            BatchValue::Null => self.varint(zigzag(-1)),
            BatchValue::Copied(value) => self.text(value),
            BatchValue::Lasting(value, crc) => {
                self.varint(zigzag(length(value.len())));
                self.elsewhere.push(Elsewhere { at: self.used, value, crc });
                self.bytes_elsewhere += value.len();
            }
        }
        self.varint(zigzag(length(record.headers.len())));
        for (name, value) in record.headers {
            self.text(name);
            self.text(value);
        }
        self.records += 1;
    }

    /// Packs its records, unless that makes them no smaller. Nothing may be added any more; [`Self::seal`] follows.
    pub fn pack(&mut self, packer: &mut Packer) {
        let bytes = if self.elsewhere.is_empty() {
            packer.pack(&self.buffer[HEADER_BYTES..self.used])
        } else {
            packer.pack_pieces(|out| {
                self.slices_from(HEADER_BYTES).for_each(|slice| out.extend_from_slice(slice));
            })
        };
        let plain_bytes = self.bytes() - HEADER_BYTES;
        let Some(bytes) = bytes.filter(|bytes| bytes.len() < plain_bytes) else { return };
        self.used = HEADER_BYTES;
        self.elsewhere.clear();
        self.bytes_elsewhere = 0;
        self.make_room(bytes.len());
        self.raw(bytes);
        self.codec = packer.codec();
    }

    /// Writes the header. Nothing may be added any more; what is sent again is this very batch. `shift` moves by the
    /// length of the values that lie elsewhere.
    pub fn seal(&mut self, producer: BatchProducer, shift: &CrcShift) {
        let (length, records) = (length(self.bytes() - LENGTH_END), self.records);
        let attributes = self.codec.attributes() | if producer.transactional { TRANSACTIONAL } else { 0 };
        let (first_ms, max_ms) = (self.first_timestamp_ms, self.max_timestamp_ms);
        // The broker gives it its offset, and its leader's epoch.
        let (no_offset, no_epoch) = (0_i64, -1_i32);
        self.put(0, no_offset.to_be_bytes());
        self.put(8, i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
        self.put(12, no_epoch.to_be_bytes());
        self.put(16, [MAGIC]);
        self.put(21, attributes.to_be_bytes());
        self.put(23, (records - 1).to_be_bytes());
        self.put(27, first_ms.to_be_bytes());
        self.put(35, max_ms.to_be_bytes());
        self.put(43, producer.id.to_be_bytes());
        self.put(51, producer.epoch.to_be_bytes());
        self.put(53, producer.base_sequence.to_be_bytes());
        self.put(57, records.to_be_bytes());
        let crc = self.checksum(shift);
        self.put(17, crc.to_be_bytes());
    }

    fn checksum(&self, shift: &CrcShift) -> Crc {
        let (mut crc, mut from) = (Crc::default(), CHECKED_FROM);
        for Elsewhere { at, value, crc: known } in &self.elsewhere {
            debug_assert_eq!(value.len(), shift.bytes(), "a value of another length has no known shift");
            crc = crc.and(&self.buffer[from..*at]).and_known(*known, shift);
            from = *at;
        }
        crc.and(&self.buffer[from..self.used])
    }

    /// The batch's bytes, piece by piece: what is in the buffer, and the values that lie elsewhere.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.slices_from(0)
    }

    fn slices_from(&self, from: usize) -> impl Iterator<Item = &[u8]> {
        let mut next = from;
        let with_values = self.elsewhere.iter().flat_map(move |Elsewhere { at, value, .. }| {
            let from = mem::replace(&mut next, *at);
            [&self.buffer[from..*at], value]
        });
        let last = self.elsewhere.last().map_or(from, |elsewhere| elsewhere.at);
        with_values.chain(iter::once(&self.buffer[last..self.used]))
    }

    /// Empties it for the next batch.
    pub fn clear(&mut self) {
        self.used = HEADER_BYTES;
        self.elsewhere.clear();
        self.bytes_elsewhere = 0;
        self.codec = Codec::None;
        self.records = 0;
    }

    /// The buffer is as long as it has ever been: only its growth writes zeros.
    #[inline]
    fn make_room(&mut self, bytes: usize) {
        if self.buffer.len() - self.used < bytes {
            self.grow(bytes);
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        self.buffer.resize((self.used + bytes).max(self.buffer.len() * 2), 0);
    }

    #[inline]
    fn raw(&mut self, bytes: &[u8]) {
        self.buffer[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    #[inline]
    fn text(&mut self, bytes: &[u8]) {
        self.varint(zigzag(length(bytes.len())));
        self.raw(bytes);
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        let room = &mut self.buffer[self.used..];
        let mut count = 0;
        while value >= 0x80 {
            room[count] = value.to_le_bytes()[0] | 0x80;
            value >>= 7;
            count += 1;
        }
        room[count] = value.to_le_bytes()[0];
        self.used += count + 1;
    }

    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        self.buffer[at..at + N].copy_from_slice(&bytes);
    }
}

#[inline]
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// How many bytes a number takes, seven bits in each.
#[inline]
fn varint_bytes(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Lengths are far below 2⁶³.
#[inline]
fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_a_byte_for_seven_bits() {
        let sizes = [0, 127, 128, 16_383, 16_384, u64::MAX].map(varint_bytes);
        assert_eq!(sizes, [1, 1, 2, 2, 3, 10]);
        assert_eq!([0, -1, 1, i64::MIN].map(zigzag), [0, 1, 2, u64::MAX]);
    }

    #[test]
    fn a_batch_that_was_cleared_is_as_good_as_new() {
        let value: &'static [u8] = &[7; 1_000];
        let shift = CrcShift::by(value.len());
        let record = NewRecord {
            timestamp_ms: 5,
            key: b"key",
            value: BatchValue::Lasting(value, Crc::of(value)),
            headers: &[(b"name", b"value")],
        };
        let producer = BatchProducer { id: 1, epoch: 2, base_sequence: 3, transactional: false };
        let sealed = |writer: &mut BatchWriter| {
            writer.push(&record);
            writer.seal(producer, &shift);
            let mut bytes = Vec::new();
            writer.slices().for_each(|slice| bytes.extend_from_slice(slice));
            bytes
        };
        let fresh = sealed(&mut BatchWriter::with_capacity(0));
        let mut used = BatchWriter::with_capacity(0);
        (0..100).for_each(|_| used.push(&NewRecord { timestamp_ms: 9, ..record }));
        used.clear();
        assert!(used.is_empty());
        assert_eq!(sealed(&mut used), fresh);
        assert_eq!(used.bytes(), fresh.len());
    }

    #[test]
    fn the_size_of_a_record_is_known_before() {
        let mut writer = BatchWriter::with_capacity(64);
        for (timestamp_ms, value) in [(0, BatchValue::Null), (1 << 40, BatchValue::Copied(&[1; 300]))] {
            let record = NewRecord { timestamp_ms, key: b"k", value, headers: &[] };
            let expected = writer.bytes() + writer.bytes_of(&record);
            assert!(writer.bytes_of(&record) <= record.most_bytes());
            assert!(writer.fits(&record, expected) && !writer.fits(&record, expected - 1));
            writer.push(&record);
            assert_eq!(writer.bytes(), expected);
        }
    }
}
