//! Damage to the log of a broker that was stopped cleanly: record batches of format 2, taken apart and put
//! together again, with a checksum that is right or is not.
//!
//! What the broker keeps beside a log (indexes, snapshots) is deleted, so that it is made anew of what
//! the log says; where a checksum is wrong all of it stays, or the broker would cut the log there, and forget what was
//! aborted.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use super::codecs::{pack, unpack};

/// Bytes of a batch in front of its records.
const HEAD_BYTES: usize = 61;
/// Where what the checksum covers begins.
const CHECKED_FROM: usize = 21;
const CONTROL: i16 = 1 << 5;
const TRANSACTIONAL: i16 = 1 << 4;

/// A record, but for what its batch says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub timestamp_ms: i64,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A number in a record that says how long something is, or how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Length {
    Record,
    Key,
    Value,
    Headers,
    HeaderName(usize),
    HeaderValue(usize),
}

/// A batch; its head is kept as it was, apart from what follows from the records.
#[derive(Clone, Debug)]
pub struct Batch {
    /// As it was found.
    stored: Vec<u8>,
    pub leader_epoch: i32,
    pub records: Vec<Record>,
    /// The offset behind its last record, which stays where records are taken out.
    last_offset: i64,
    /// A bit of the records' bytes, as they were found, that is turned, and whether the checksum is told.
    pub flipped_bit: Option<(usize, bool)>,
    /// A record, by its place, one of its lengths, and a bit of that which is turned; the checksum is told.
    pub flipped_length: Option<(usize, Length, usize)>,
    /// The records that the checksum is of, where those are not the ones that are stored.
    pub summed: Option<Vec<Record>>,
}

/// The log of a partition, which must be one segment.
pub struct Log {
    folder: PathBuf,
    file: PathBuf,
    pub batches: Vec<Batch>,
}

impl Log {
    pub fn open(folder: &Path) -> Self {
        let logs: Vec<PathBuf> = fs::read_dir(folder)
            .expect("a partition's folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        assert_eq!(logs.len(), 1, "one segment in {}", folder.display());
        let bytes = fs::read(&logs[0]).expect("a segment");
        let mut batches = Vec::new();
        let mut rest = &bytes[..];
        while rest.len() > HEAD_BYTES {
            let size = 12 + usize::try_from(i32_at(rest, 8)).expect("a size");
            // A segment of an open log is padded with zeros.
            if size <= 12 {
                break;
            }
            batches.push(Batch::parse(&rest[..size]));
            rest = &rest[size..];
        }
        Self { folder: folder.to_owned(), file: logs[0].clone(), batches }
    }

    /// Writes it back.
    pub fn close(self) {
        let keeps_index = self.batches.iter().any(Batch::has_wrong_checksum);
        // Packed again, they would lie at other places than the index says.
        let is_left = |batch: &Batch| keeps_index && !batch.has_wrong_checksum();
        let bytes = |batch: &Batch| if is_left(batch) { batch.stored.clone() } else { batch.bytes() };
        fs::write(&self.file, self.batches.iter().flat_map(bytes).collect::<Vec<u8>>()).expect("a segment");
        for entry in fs::read_dir(&self.folder).expect("a partition's folder") {
            let path = entry.expect("an entry").path();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let stale = !keeps_index && ["index", "timeindex", "snapshot", "txnindex"].contains(&extension);
            if stale {
                fs::remove_file(path).expect("a file that can go");
            }
        }
    }

    /// Batches with data, not with control records.
    pub fn data(&mut self) -> impl Iterator<Item = &mut Batch> {
        self.batches.iter_mut().filter(|batch| !batch.is_control())
    }

    /// Batch and place in it of the record at an offset.
    #[track_caller]
    pub fn find(&mut self, offset: i64) -> (&mut Batch, usize) {
        self.data()
            .find_map(|batch| {
                let place = batch.records.iter().position(|record| record.offset == offset)?;
                Some((batch, place))
            })
            .unwrap_or_else(|| panic!("no record at {offset}"))
    }

    #[track_caller]
    pub fn record(&mut self, offset: i64) -> &mut Record {
        let (batch, place) = self.find(offset);
        &mut batch.records[place]
    }

    /// Takes records out, and leaves holes.
    pub fn remove(&mut self, offsets: std::ops::Range<i64>) {
        for batch in &mut self.batches {
            if !batch.is_control() {
                batch.records.retain(|record| !offsets.contains(&record.offset));
            }
        }
        self.batches.retain(|batch| !batch.records.is_empty());
    }

    /// Removes everything at and above an offset, control records too.
    pub fn truncate(&mut self, offset: i64) {
        for batch in &mut self.batches {
            batch.records.retain(|record| record.offset < offset);
            batch.last_offset = batch.last_offset.min(offset - 1);
        }
        self.batches.retain(|batch| !batch.records.is_empty());
    }

    /// Has what follows lie so many offsets further behind.
    pub fn shift(&mut self, from: i64, by: i64) {
        self.split_at(from);
        for batch in self.batches.iter_mut().filter(|batch| batch.records[0].offset >= from) {
            batch.records.iter_mut().for_each(|record| record.offset += by);
            batch.last_offset += by;
        }
    }

    /// Stores the record at an offset a second time, right behind the first; what follows moves on.
    pub fn duplicate(&mut self, offset: i64) {
        let copy = self.record(offset).clone();
        self.shift(offset + 1, 1);
        let (batch, place) = self.find(offset);
        batch.records.insert(place + 1, Record { offset: offset + 1, ..copy });
        batch.last_offset = batch.last_offset.max(offset + 1);
    }

    /// Has two neighbours change places.
    pub fn swap(&mut self, offset: i64) {
        let (first, second) = (self.record(offset).clone(), self.record(offset + 1).clone());
        *self.record(offset) = Record { offset, ..second };
        *self.record(offset + 1) = Record { offset: offset + 1, ..first };
    }

    /// Has a batch begin at this offset, if there is anything there.
    pub fn split_at(&mut self, offset: i64) {
        let inside = |batch: &Batch| {
            let before = batch.records.iter().filter(|record| record.offset < offset).count();
            (before > 0 && before < batch.records.len()).then_some(before)
        };
        let found = self.batches.iter().enumerate().find_map(|(index, batch)| Some((index, inside(batch)?)));
        let Some((index, before)) = found else { return };
        let mut front = self.batches[index].clone();
        let back = &mut self.batches[index];
        back.records.drain(..before);
        front.records.truncate(before);
        front.last_offset = offset - 1;
        self.batches.insert(index, front);
    }

    /// Has the records from an offset on bear another leader's epoch.
    pub fn set_epoch(&mut self, from: i64, epoch: i32) {
        self.split_at(from);
        for batch in self.batches.iter_mut().filter(|batch| batch.records[0].offset >= from) {
            batch.leader_epoch = epoch;
        }
    }

    /// Turns the markers of transactions around: what was committed is aborted, and the other way round.
    pub fn turn_marker(&mut self, index: usize) {
        let marker = self.batches.iter_mut().filter(|batch| batch.is_control()).nth(index).expect("a marker");
        let key = marker.records[0].key.as_mut().expect("a marker's kind");
        // Version 0, then 0 for abort, 1 for commit.
        key[3] = 1 - key[3];
    }
}

impl Batch {
    fn parse(bytes: &[u8]) -> Self {
        assert_eq!(bytes[16], 2, "batches of format 2");
        let (base_offset, base_ms) = (i64_at(bytes, 0), i64_at(bytes, 27));
        let body = unpack(bytes[22] & 7, &bytes[HEAD_BYTES..]);
        let mut rest = &body[..];
        let records =
            (0..i32_at(bytes, 57)).map(|_| Record::parse(&mut rest, base_offset, base_ms)).collect();
        let last_offset = base_offset + i64::from(i32_at(bytes, 23));
        let (stored, leader_epoch) = (bytes.to_vec(), i32_at(bytes, 12));
        let (flipped_bit, flipped_length, summed) = (None, None, None);
        Self { stored, leader_epoch, records, last_offset, flipped_bit, flipped_length, summed }
    }

    fn attributes(&self) -> i16 {
        i16::from_be_bytes([self.stored[21], self.stored[22]])
    }

    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    pub fn codec(&self) -> u8 {
        self.stored[22] & 7
    }

    /// Of the records, as they were found.
    pub fn packed_bits(&self) -> usize {
        (self.stored.len() - HEAD_BYTES) * 8
    }

    fn has_wrong_checksum(&self) -> bool {
        matches!(self.flipped_bit, Some((_, false))) || self.summed.is_some()
    }

    fn bytes(&self) -> Vec<u8> {
        if let Some((bit, fixed_up)) = self.flipped_bit {
            let (mut bytes, bits) = (self.stored.clone(), self.packed_bits());
            bytes[HEAD_BYTES + bit % bits / 8] ^= 1 << (bit % 8);
            return if fixed_up { sum_up(bytes, None) } else { bytes };
        }
        let bytes = self.assemble(&self.records);
        let summed = self.summed.as_ref().map(|records| self.assemble(records));
        if let Some(summed) = summed.as_ref().filter(|_| self.codec() == 0) {
            let flipped: u32 = bytes.iter().zip(summed).map(|(now, then)| (now ^ then).count_ones()).sum();
            assert_eq!((bytes.len(), flipped), (summed.len(), 1), "one bit, and nothing else");
        }
        sum_up(bytes, summed.as_deref())
    }

    /// The batch with these records, and without a checksum.
    fn assemble(&self, records: &[Record]) -> Vec<u8> {
        let (base_offset, base_ms) = (records[0].offset, i64_at(&self.stored, 27));
        let mut body = Vec::new();
        for (place, record) in records.iter().enumerate() {
            let lengths = record.write(&mut body, base_offset, base_ms);
            if let Some((_, length, bit)) = self.flipped_length.filter(|(of, ..)| *of == place) {
                let (_, range) = lengths.into_iter().find(|(which, _)| *which == length).expect("it has one");
                body[range][bit / 8] ^= 1 << (bit % 8);
            }
        }
        let body = pack(self.codec(), &body);
        let mut bytes = self.stored[..HEAD_BYTES].to_vec();
        let timed = self.summed.as_deref().unwrap_or(records);
        let max_ms = timed.iter().map(|record| record.timestamp_ms).max().unwrap_or(base_ms);
        let size = i32::try_from(HEAD_BYTES + body.len() - 12).expect("a small batch");
        let last_delta = i32::try_from(self.last_offset - base_offset).expect("a small batch");
        let count = i32::try_from(records.len()).expect("a small batch");
        bytes[0..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&size.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        bytes[23..27].copy_from_slice(&last_delta.to_be_bytes());
        bytes[35..43].copy_from_slice(&max_ms.to_be_bytes());
        if !self.is_control() && !self.is_transactional() {
            // No producer: what is changed here would contradict the numbers of its batches.
            bytes[43..57].fill(0xFF);
        }
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        bytes.extend(body);
        bytes
    }
}

/// A batch with its checksum, or another's.
fn sum_up(mut batch: Vec<u8>, summed: Option<&[u8]>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&summed.unwrap_or(&batch)[CHECKED_FROM..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    batch
}

impl Record {
    fn parse(rest: &mut &[u8], base_offset: i64, base_ms: i64) -> Self {
        let _size = take_varint(rest);
        let _attributes = take(rest, 1);
        let timestamp_ms = base_ms + take_varint(rest);
        let offset = base_offset + take_varint(rest);
        let (key, value) = (take_bytes(rest), take_bytes(rest));
        let headers = (0..take_varint(rest))
            .map(|_| (take_bytes(rest).expect("a name"), take_bytes(rest).unwrap_or_default()))
            .collect();
        Self { timestamp_ms, offset, key, value, headers }
    }

    /// Returns where its lengths are.
    fn write(&self, out: &mut Vec<u8>, base_offset: i64, base_ms: i64) -> Vec<(Length, Range<usize>)> {
        let mut bytes = vec![0];
        put_varint(&mut bytes, self.timestamp_ms - base_ms);
        put_varint(&mut bytes, self.offset - base_offset);
        let mut lengths = vec![
            (Length::Key, put_bytes(&mut bytes, self.key.as_deref())),
            (Length::Value, put_bytes(&mut bytes, self.value.as_deref())),
            (Length::Headers, put_varint(&mut bytes, length(&self.headers))),
        ];
        for (index, (name, value)) in self.headers.iter().enumerate() {
            lengths.push((Length::HeaderName(index), put_bytes(&mut bytes, Some(name))));
            lengths.push((Length::HeaderValue(index), put_bytes(&mut bytes, Some(value))));
        }
        let own = put_varint(out, length(&bytes));
        let moved = |(length, range): (_, Range<usize>)| (length, own.end + range.start..own.end + range.end);
        out.extend(bytes);
        lengths.into_iter().map(moved).chain([(Length::Record, own.clone())]).collect()
    }

    /// How many bits one of its lengths has.
    pub fn bits_of(&self, length: Length) -> usize {
        let lengths = self.write(&mut Vec::new(), self.offset, self.timestamp_ms);
        lengths.into_iter().find(|(which, _)| *which == length).map_or(0, |(_, range)| range.len() * 8)
    }
}

fn length<T>(list: &[T]) -> i64 {
    i64::try_from(list.len()).expect("not that long")
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

/// Zigzag, seven bits a byte, the lowest first.
fn take_varint(rest: &mut &[u8]) -> i64 {
    let (mut word, mut shift) = (0_u64, 0);
    loop {
        let byte = take(rest, 1)[0];
        word |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return (word >> 1).cast_signed() ^ -(word & 1).cast_signed();
        }
        shift += 7;
    }
}

/// Returns where it put it.
fn put_varint(out: &mut Vec<u8>, number: i64) -> Range<usize> {
    let from = out.len();
    let mut word = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while word >= 0x80 {
        out.push((word & 0x7F) as u8 | 0x80);
        word >>= 7;
    }
    out.push((word & 0x7F) as u8);
    from..out.len()
}

fn take_bytes(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let size = usize::try_from(take_varint(rest)).ok()?;
    Some(take(rest, size).to_vec())
}

/// Returns where it put their length.
fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Range<usize> {
    let length = put_varint(out, bytes.map_or(-1, length));
    out.extend(bytes.unwrap_or_default());
    length
}
