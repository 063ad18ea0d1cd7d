//! Answers and batches put together field by field, and a reader that notes what it is shown as text.

use std::sync::Arc;

use super::super::*;
use crate::kafka::wire::{
    batch::{BatchProducer, BatchValue, BatchWriter, Codec, Crc, CrcShift, NewRecord, Packer},
    core::{
        code,
        questions::{QuestionBody, Questions},
    },
    protocol::{Decoder, Encoder, FetchPartition, TopicRef},
};
use crate::partitions::TopicPartition;

pub(in crate::kafka::wire::core) const SETTINGS: SourceSettings = SourceSettings {
    max_wait_ms: 500,
    min_bytes: 1,
    max_bytes: 1 << 20,
    partition_max_bytes: 1 << 16,
    requests_at_once: 1,
    reads_ahead: true,
    read_committed: false,
    step_records: usize::MAX,
    unpacked_most_bytes: 1 << 20,
    back_off_us: 1_000,
    question_us: 1_000_000,
};
pub(in crate::kafka::wire::core) const TOPIC: TopicRef<'static> = TopicRef::Name("t");

/// A batch of uncompressed records, each value one offset.
pub(in crate::kafka::wire::core) fn batch(base: i64, epoch: i32, values: &[&str]) -> Vec<u8> {
    packed(base, epoch, values, Codec::None)
}

/// A batch of packed records, each value one offset.
pub(super) fn packed(base: i64, epoch: i32, values: &[&str], codec: Codec) -> Vec<u8> {
    let mut writer = BatchWriter::with_capacity(1 << 10);
    for value in values {
        let value = BatchValue::Copied(value.as_bytes());
        writer.push(&NewRecord { timestamp_ms: 7, key: b"key", value, headers: &[] });
    }
    if let Some(mut packer) = Packer::new(codec) {
        writer.pack(&mut packer);
    }
    let producer = BatchProducer { id: 5, epoch: 0, base_sequence: 0, transactional: false };
    writer.seal(producer, &CrcShift::by(0));
    let mut bytes = Vec::new();
    writer.slices().for_each(|slice| bytes.extend_from_slice(slice));
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
    bytes
}

/// With these bytes from `at` on, and a checksum that fits.
pub(super) fn changed(mut batch: Vec<u8>, at: usize, with: &[u8]) -> Vec<u8> {
    batch[at..at + with.len()].copy_from_slice(with);
    sealed(batch)
}

/// With a length and a checksum that fit.
pub(super) fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = Crc::of(&batch[21..]).to_be_bytes();
    batch[17..21].copy_from_slice(&crc);
    batch
}

pub(super) const LAST_DELTA_AT: usize = 23;
pub(super) const COUNT_AT: usize = 57;
const ATTRIBUTES_AT: usize = 21;
const PRODUCER_AT: usize = 43;

/// Of so many offsets, and no record left.
pub(super) fn emptied(base: i64, epoch: i32, offsets: i32) -> Vec<u8> {
    let mut bytes = batch(base, epoch, &["gone"]);
    bytes.truncate(61);
    bytes[COUNT_AT..61].fill(0);
    bytes[LAST_DELTA_AT..27].copy_from_slice(&(offsets - 1).to_be_bytes());
    sealed(bytes)
}

pub(super) fn with_attributes(batch: Vec<u8>, attributes: i16) -> Vec<u8> {
    changed(batch, ATTRIBUTES_AT, &attributes.to_be_bytes())
}

/// Part of a transaction of this producer.
pub(super) fn transactional(batch: Vec<u8>, producer_id: i64) -> Vec<u8> {
    changed(with_attributes(batch, 1 << 4), PRODUCER_AT, &producer_id.to_be_bytes())
}

/// The end of a transaction of this producer.
pub(super) fn marker(base: i64, producer_id: i64, commits: bool) -> Vec<u8> {
    let mut writer = BatchWriter::with_capacity(1 << 10);
    let (key, value) = ([0, 0, 0, u8::from(commits)], BatchValue::Copied(&[0; 6]));
    writer.push(&NewRecord { timestamp_ms: 7, key: &key, value, headers: &[] });
    let producer = BatchProducer { id: producer_id, epoch: 0, base_sequence: -1, transactional: true };
    writer.seal(producer, &CrcShift::by(0));
    let mut bytes = Vec::new();
    writer.slices().for_each(|slice| bytes.extend_from_slice(slice));
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    with_attributes(bytes, 1 << 4 | 1 << 5)
}

/// What a broker answers about a partition.
#[derive(Clone, Debug)]
pub(in crate::kafka::wire::core) struct Part {
    pub(super) partition: i32,
    pub(super) error: i16,
    pub(super) end: i64,
    pub(super) stable_end: Option<i64>,
    pub(super) start: i64,
    pub(super) aborted: Vec<(i64, i64)>,
    pub(super) batches: Vec<u8>,
    pub(super) diverging: Option<(i32, i64)>,
    pub(super) leader: Option<(i32, i32)>,
}

pub(in crate::kafka::wire::core) fn part(partition: i32, end: i64, batches: &[Vec<u8>]) -> Part {
    Part {
        partition,
        error: code::NONE,
        end,
        stable_end: None,
        start: 0,
        aborted: Vec::new(),
        batches: batches.concat(),
        diverging: None,
        leader: None,
    }
}

pub(in crate::kafka::wire::core) fn failed(partition: i32, error: i16) -> Part {
    Part { error, ..part(partition, -1, &[]) }
}

pub(super) const VERSION: i16 = 12;

pub(in crate::kafka::wire::core) fn answer(topic: TopicRef<'_>, parts: &[Part]) -> Vec<u8> {
    answer_about(&[(topic, parts)])
}

pub(in crate::kafka::wire::core) fn answer_about(topics: &[(TopicRef<'_>, &[Part])]) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 7, 0];
    let mut encoder = Encoder::new(&mut out, true);
    encoder.i32(0);
    encoder.i16(code::NONE);
    encoder.i32(0);
    encoder.array_length(topics.len());
    for (topic, parts) in topics {
        encoder.topic(*topic);
        partitions(&mut encoder, parts);
        encoder.no_tags();
    }
    encoder.no_tags();
    out
}

fn partitions(encoder: &mut Encoder<'_>, parts: &[Part]) {
    encoder.array(parts, |encoder, part| {
        encoder.i32(part.partition);
        encoder.i16(part.error);
        encoder.i64(part.end);
        encoder.i64(part.stable_end.unwrap_or(part.end));
        encoder.i64(part.start);
        encoder.array(&part.aborted, |encoder, (producer_id, first_offset)| {
            encoder.i64(*producer_id);
            encoder.i64(*first_offset);
            encoder.no_tags();
        });
        encoder.i32(-1);
        encoder.unsigned_varint(u32::try_from(part.batches.len()).unwrap() + 1);
        encoder.raw(&part.batches);
        let tags = [
            part.diverging.map(|(epoch, end)| (0, epoch, end)),
            part.leader.map(|(id, epoch)| (1, id, epoch.into())),
        ];
        encoder.unsigned_varint(u32::try_from(tags.iter().flatten().count()).unwrap());
        for (tag, first, second) in tags.into_iter().flatten() {
            encoder.unsigned_varint(tag);
            encoder.unsigned_varint(if tag == 0 { 13 } else { 9 });
            encoder.i32(first);
            if tag == 0 {
                encoder.i64(second);
            } else {
                encoder.i32(i32::try_from(second).unwrap());
            }
            encoder.no_tags();
        }
    });
}

/// Notes what it is shown.
#[derive(Debug, Default)]
pub(in crate::kafka::wire::core) struct Notes(pub(in crate::kafka::wire::core) Vec<String>);

impl Visitor for Notes {
    fn record(&mut self, slot: PartitionSlot, record: &ReadRecord<'_>) {
        let value = record.value.map_or("-".into(), String::from_utf8_lossy);
        self.0.push(format!("{}@{} {value}", slot.index(), record.offset));
    }

    fn event(&mut self, slot: PartitionSlot, event: SourceEvent<'_>) {
        let partition = slot.index();
        self.0.push(match event {
            SourceEvent::Progress { next_offset } => format!("{partition}: up to {next_offset}"),
            SourceEvent::AtEnd { end } => format!("{partition}: end {end}"),
            SourceEvent::Unreadable { from, to: Some(to), .. } => format!("{partition}: not {from} to {to}"),
            SourceEvent::Unreadable { from, to: None, .. } => format!("{partition}: not {from} on"),
            SourceEvent::FalseAbort { kind, first, marker } => {
                let kind = format!("{kind:?}").to_lowercase();
                format!("{partition}: {kind} abort from {first}, marker {marker}")
            }
            SourceEvent::OutOfRange => format!("{partition}: out of range"),
            SourceEvent::StartBack { from, to } => format!("{partition}: starts at {to}, no more at {from}"),
            SourceEvent::Truncated { from, epoch, to } => {
                format!("{partition}: {from} in epoch {epoch} truncated to {to}")
            }
            SourceEvent::Error(error) => format!("{partition}: error {error}"),
        });
    }
}

/// A source, the questions that it asks, and the time.
pub(super) struct Bench {
    pub(super) source: Source,
    pub(super) questions: Questions,
    table: Arc<PartitionTable>,
    pub(super) now_us: u64,
    leaders: Vec<Leader>,
}

/// The turn of all that a broker leads.
pub(super) fn turn(broker: i32) -> TurnKey {
    TurnKey { broker, seat: None }
}

/// The broker that leads at first.
pub(super) const FIRST: i32 = 1;

impl Bench {
    /// All of these partitions are read from 0, led by the first broker in epoch 3.
    pub(super) fn reading(partitions: i32) -> Self {
        Self::reading_as(SETTINGS, partitions)
    }

    pub(super) fn reading_as(settings: SourceSettings, partitions: i32) -> Self {
        let leaders = (0..partitions).map(|_| Leader { broker: FIRST, epoch: 3 }).collect();
        let table = Arc::new(PartitionTable::of_topic("t", 0..partitions));
        let source = Source::new(settings, &table);
        let mut bench = Self { source, questions: Questions::new(table.clone()), table, now_us: 1, leaders };
        for slot in bench.table.slots() {
            bench.source.read_from(slot, 0, None);
        }
        bench.lead();
        bench
    }

    fn lead(&mut self) {
        let Self { source, leaders, .. } = self;
        source.lead(|slot| leaders.get(slot.index()).copied());
    }

    pub(super) fn lead_by(&mut self, partition: usize, broker: i32, epoch: i32) {
        self.leaders[partition] = Leader { broker, epoch };
        self.lead();
    }

    pub(super) fn read_from(&mut self, slot: u32, offset: i64, epoch_before: Option<i32>) {
        self.source.read_from(PartitionSlot::new(slot), offset, epoch_before);
    }

    /// What a broker is asked for next.
    pub(super) fn request(&mut self, broker: i32) -> Option<Vec<FetchPartition>> {
        self.source.settle(&mut self.questions, self.now_us);
        let fetch = self.source.next_fetch(turn(broker), self.now_us)?;
        Some(fetch.partitions.to_vec())
    }

    /// The same, as partitions and offsets.
    pub(super) fn asks(&mut self, broker: i32) -> Vec<(i32, i64)> {
        let request = self.request(broker).unwrap_or_default();
        request.iter().map(|asked| (asked.partition, asked.offset)).collect()
    }

    pub(super) fn give(&mut self, broker: i32, parts: &[Part]) {
        self.give_bytes(broker, answer(TOPIC, parts)).unwrap();
    }

    pub(super) fn give_bytes(&mut self, broker: i32, answer: Vec<u8>) -> Result<(), AnswerError> {
        // As it may lie among others.
        let (before, length) = (self.source.spare().capacity() % 3, answer.len());
        let mut bytes = vec![0xEE; before];
        bytes.extend(answer);
        bytes.extend([0xEE; 5]);
        let place = (bytes, before, before + length);
        let Self { source, table, now_us, .. } = self;
        let slot = |topic: TopicRef<'_>, partition| {
            table.slot(TopicPartition { topic: 0, partition }).filter(|_| topic == TOPIC)
        };
        source.fetched(turn(broker), VERSION, slot, place, *now_us).map(drop)
    }

    /// Shows everything that is there.
    pub(super) fn shown(&mut self) -> Vec<String> {
        let mut notes = Notes::default();
        while self.source.show(&mut notes) > 0 {}
        notes.0
    }

    /// Shows one batch, or one event.
    pub(super) fn shown_once(&mut self) -> Vec<String> {
        let mut notes = Notes::default();
        self.source.show(&mut notes);
        notes.0
    }

    pub(super) fn pass(&mut self) {
        self.now_us += SETTINGS.back_off_us;
    }

    /// What leaders are asked next: broker, and what about, as text.
    pub(super) fn question(&mut self) -> Option<(u64, i32, String)> {
        self.source.settle(&mut self.questions, self.now_us);
        let leaders = self.leaders.clone();
        let leader =
            |slot: PartitionSlot| leaders.get(slot.index()).copied().ok_or(code::LEADER_NOT_AVAILABLE);
        let broker = *self.questions.wanted(self.now_us, leader).first()?;
        let request = self.questions.next_request(broker, self.now_us, leader)?;
        let text = match request.body {
            QuestionBody::EpochEnds(asked) => format!("{} in {}", asked[0].epoch, asked[0].current_epoch),
            QuestionBody::Offsets { partitions, timestamp, .. } => {
                format!("{timestamp:?} in {}", partitions[0].leader_epoch)
            }
        };
        Some((request.number, broker, text))
    }

    /// A leader answers where an epoch ends.
    pub(super) fn answer_epoch_end(&mut self, number: u64, (error, epoch, end): (i16, i32, i64)) {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, false);
        encoder.i32(0);
        encoder.array_length(1);
        encoder.string("t");
        encoder.array_length(1);
        encoder.i16(error);
        encoder.i32(0);
        encoder.i32(epoch);
        encoder.i64(end);
        self.answered(number, 3, &out);
    }

    /// A leader answers where its log starts or ends.
    pub(super) fn answer_offset(&mut self, number: u64, error: i16, offset: i64) {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, false);
        encoder.i32(0);
        encoder.array_length(1);
        encoder.string("t");
        encoder.array_length(1);
        encoder.i32(0);
        encoder.i16(error);
        encoder.i64(-1);
        encoder.i64(offset);
        encoder.i32(3);
        self.answered(number, 4, &out);
    }

    fn answered(&mut self, number: u64, version: i16, out: &[u8]) {
        self.questions.answered(number, version, Decoder::new(out, false), self.now_us).unwrap();
        self.source.settle(&mut self.questions, self.now_us);
    }
}
