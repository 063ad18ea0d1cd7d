//! One replica's log of a partition.

use std::sync::Arc;

use super::{
    code::UNKNOWN_SERVER_ERROR,
    epochs::Epochs,
    producers::{Coming, Producers},
    topic::Settings,
};
use crate::kafka::wire::batch::{Batch, Batches, Crc};

/// A batch as it lies in the log.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub base_offset: i64,
    pub next_offset: i64,
    pub bytes: Arc<[u8]>,
}

/// The log.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    start: i64,
    end: i64,
    batches: Vec<Stored>,
    /// First offsets of segments behind the first, and of each the first record's time.
    segments: Vec<i64>,
    segment_ms: Option<i64>,
    pub epochs: Epochs,
    pub producers: Producers,
}

/// Where a batch landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Landed {
    pub base_offset: i64,
    pub next_offset: i64,
    /// The broker's time, if that is what its records have; else -1.
    pub log_append_time_ms: i64,
}

/// What a read is limited by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Nothing from here on.
    pub up_to: i64,
    pub max_bytes: i32,
    /// The first batch comes whole, however large.
    pub one_at_least: bool,
}

impl Log {
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Appends what a client sent, which is in order, or finds that it is there already.
    pub(super) fn append(
        &mut self,
        batch: &Batch<'_>,
        coming: &Coming,
        epoch: i32,
        (settings, wall_ms): (&Settings, i64),
    ) -> Result<Landed, i16> {
        if coming.id >= 0 {
            if let Some(known) = self.producers.duplicate_of(coming) {
                let (base_offset, next_offset) = (known.base_offset, known.next_offset);
                return Ok(Landed { base_offset, next_offset, log_append_time_ms: -1 });
            }
            self.producers.check(coming)?;
        }
        let mut bytes = batch.bytes().to_vec();
        let log_append_time_ms = if settings.has_broker_time { wall_ms } else { -1 };
        if settings.has_broker_time {
            bytes[22] |= 1 << 3;
            bytes[35..43].copy_from_slice(&wall_ms.to_be_bytes());
            seal(&mut bytes);
        }
        let time_ms = if settings.has_broker_time { wall_ms } else { batch.max_timestamp_ms() };
        let landed = self.put(bytes, epoch, time_ms, settings);
        if coming.id >= 0 {
            self.producers.wrote(coming, landed.base_offset, landed.next_offset);
        }
        Ok(Landed { log_append_time_ms, ..landed })
    }

    /// Whether a batch is in it, remembered by its producer's state or not.
    pub(super) fn has(&self, coming: &Coming) -> bool {
        let is_it = |stored: &Stored| {
            let batch = Batches::new(&stored.bytes).next().and_then(Result::ok);
            batch.is_some_and(|batch| {
                let (id, epoch) = (batch.producer_id(), batch.producer_epoch());
                (id, epoch, batch.base_sequence()) == (coming.id, coming.epoch, coming.first_sequence)
            })
        };
        self.batches.iter().any(is_it)
    }

    /// Appends the marker that ends a producer's transaction.
    pub(super) fn append_marker(
        &mut self,
        (id, producer_epoch): (i64, i16),
        commit: bool,
        epoch: i32,
        (settings, wall_ms): (&Settings, i64),
    ) -> Landed {
        let landed = self.put(marker((id, producer_epoch), commit, wall_ms), epoch, wall_ms, settings);
        self.producers.ended(id, producer_epoch, landed.base_offset, commit);
        landed
    }

    fn put(&mut self, mut bytes: Vec<u8>, epoch: i32, time_ms: i64, settings: &Settings) -> Landed {
        let base_offset = self.end;
        bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
        let last_delta = i32::from_be_bytes([23, 24, 25, 26].map(|at| bytes[at]));
        let next_offset = base_offset + i64::from(last_delta) + 1;
        let first_ms = *self.segment_ms.get_or_insert(time_ms);
        if time_ms - first_ms > settings.segment_ms {
            self.segments.push(base_offset);
            self.segment_ms = Some(time_ms);
        }
        self.batches.push(Stored { base_offset, next_offset, bytes: bytes.into() });
        self.end = next_offset;
        Landed { base_offset, next_offset, log_append_time_ms: -1 }
    }

    /// The bytes from the batch on that has this offset.
    pub(super) fn read(&self, offset: i64, limits: Limits) -> Result<Vec<u8>, i16> {
        let max_bytes = usize::try_from(limits.max_bytes).map_err(|_| UNKNOWN_SERVER_ERROR)?;
        let from = self.batches.partition_point(|batch| batch.next_offset <= offset);
        let Some(first) = self.batches.get(from) else { return Ok(Vec::new()) };
        // An answer ends with the segment that it begins in.
        let segment_end = self.segments.iter().find(|start| **start > first.base_offset).copied();
        let is_readable = |batch: &&Stored| {
            batch.next_offset <= limits.up_to && segment_end.is_none_or(|end| batch.base_offset < end)
        };
        let mut bytes: Vec<u8> = Vec::new();
        for batch in self.batches[from..].iter().take_while(is_readable) {
            if bytes.len() >= max_bytes.max(usize::from(limits.one_at_least)) {
                break;
            }
            let is_first = bytes.is_empty();
            bytes.extend_from_slice(&batch.bytes);
            if is_first && bytes.len() > max_bytes {
                // A part of the first one would be of no use.
                return Ok(if limits.one_at_least { bytes } else { Vec::new() });
            }
        }
        bytes.truncate(max_bytes);
        Ok(bytes)
    }

    /// Has the log begin at this offset.
    pub(super) fn delete_below(&mut self, offset: i64) {
        self.start = self.start.max(offset);
        let start = self.start;
        self.batches.retain(|batch| batch.next_offset > start);
        self.epochs.begin_log_at(start);
    }

    /// Takes from the leader what this replica does not have, and gives up what the leader does not have.
    pub(super) fn follow(&mut self, leader: &Self) {
        if self.end == leader.end && self.epochs.latest() == leader.epochs.latest() {
            return;
        }
        let own = self.batches.len();
        let is_prefix = self.start == leader.start
            && self.segments == leader.segments
            && self.batches.last().is_none_or(|last| {
                leader.batches.get(own - 1).is_some_and(|known| Arc::ptr_eq(&known.bytes, &last.bytes))
            });
        if is_prefix && own <= leader.batches.len() {
            self.batches.extend_from_slice(&leader.batches[own..]);
            (self.end, self.segment_ms) = (leader.end, leader.segment_ms);
            self.epochs = leader.epochs.clone();
            self.producers.clone_from(&leader.producers);
        } else {
            *self = leader.clone();
        }
    }

    /// Forgets the last batch, as if it had never been.
    pub(super) fn lose_the_last(&mut self) {
        if let Some(last) = self.batches.pop() {
            self.end = last.base_offset;
            self.epochs.end_log_at(self.end);
            self.producers = Producers::default();
            for stored in &self.batches {
                self.producers.see(stored);
            }
        }
    }

    /// Has compaction take what later records with the same key make superfluous. The last batch stays as it is.
    pub(super) fn compact(&mut self) {
        let Some((last, older)) = self.batches.split_last() else { return };
        let mut later: Vec<Vec<u8>> = keys(last);
        let mut kept = vec![last.clone()];
        for stored in older.iter().rev() {
            let own = keys(stored);
            let is_superfluous = !own.is_empty() && own.iter().all(|key| later.contains(key));
            let producer_id =
                Batches::new(&stored.bytes).next().and_then(Result::ok).map(|batch| batch.producer_id());
            let is_last = producer_id.is_some_and(|id| self.producers.is_last_of(id, stored.base_offset));
            match (is_superfluous, is_last) {
                (true, false) => {}
                (true, true) => kept.push(emptied(stored)),
                (false, _) => kept.push(stored.clone()),
            }
            later.extend(own);
        }
        kept.reverse();
        self.batches = kept;
    }
}

/// Keys of a batch's records; empty where it has none, or none that can be read.
fn keys(stored: &Stored) -> Vec<Vec<u8>> {
    let Some(Ok(batch)) = Batches::new(&stored.bytes).next() else { return Vec::new() };
    if batch.is_control() || batch.codec() != Some(crate::kafka::wire::batch::Codec::None) {
        return Vec::new();
    }
    let records = batch.records(batch.payload());
    records.filter_map(|record| record.ok()?.key.map(<[u8]>::to_vec)).collect()
}

/// Without records.
fn emptied(stored: &Stored) -> Stored {
    let mut bytes = stored.bytes[..61].to_vec();
    bytes[8..12].copy_from_slice(&(61_i32 - 12).to_be_bytes());
    bytes[57..61].fill(0);
    seal(&mut bytes);
    Stored { bytes: bytes.into(), ..stored.clone() }
}

/// Writes the checksum.
fn seal(bytes: &mut [u8]) {
    let crc = Crc::of(&bytes[21..]).to_be_bytes();
    bytes[17..21].copy_from_slice(&crc);
}

/// A control batch of one record (KIP-98).
fn marker((id, epoch): (i64, i16), commit: bool, wall_ms: i64) -> Vec<u8> {
    const TRANSACTIONAL_CONTROL: i16 = 0x30;
    // Length, attributes, two deltas; a key of version and kind; a value of version and the coordinator's epoch; no headers.
    let record = [32, 0, 0, 0, 8, 0, 0, 0, u8::from(commit), 12, 0, 0, 0, 0, 0, 0, 0];
    let mut bytes = vec![0; 61];
    bytes.extend(record);
    let length = i32::try_from(bytes.len() - 12).unwrap_or(0);
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    bytes[21..23].copy_from_slice(&TRANSACTIONAL_CONTROL.to_be_bytes());
    bytes[27..35].copy_from_slice(&wall_ms.to_be_bytes());
    bytes[35..43].copy_from_slice(&wall_ms.to_be_bytes());
    bytes[43..51].copy_from_slice(&id.to_be_bytes());
    bytes[51..53].copy_from_slice(&epoch.to_be_bytes());
    bytes[53..57].copy_from_slice(&(-1_i32).to_be_bytes());
    bytes[57..61].copy_from_slice(&1_i32.to_be_bytes());
    seal(&mut bytes);
    bytes
}
