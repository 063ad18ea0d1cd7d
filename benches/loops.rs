//! The loops of a shard, with a client that does nothing: what a record costs in them, and that the seam costs nothing.

use std::{future, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proofload::inside::{
    record::{self, RECORD_ID_HEADER, RecordView},
    shard::{
        Answers, ClientError, ClientFactory, Delivery, Isolation, KafkaError, LogEvent, LogReader,
        LogVisitor, LogWriter, OffsetSpec, Outcome, PartitionSlot, PartitionTable, QuestionId, ReadFrom,
        ReaderSettings, Record, SendError, WriterSettings, alone,
    },
};

const PARTITIONS: i32 = 8;
/// Records in one iteration: enough for a start to cost nothing.
const RECORDS: u64 = 1_000_000;
const PER_PARTITION: i64 = 100_000;
/// Records shown at once.
const BATCH: i64 = 512;
const VALUE: [u8; 128] = [b'v'; 128];

/// What `encode_record_id` makes.
type RecordId = [u8; record::RECORD_ID_BYTES];

/// Makes such clients.
#[derive(Clone)]
struct Nothing {
    /// The ids of records, by offset.
    ids: Arc<[RecordId]>,
}

/// Acks everything where it should land.
struct Writer {
    ends: Vec<i64>,
    acked: Vec<Delivery>,
}

/// Shows what should be there, partition by partition in turn.
struct Reader {
    ids: Arc<[RecordId]>,
    /// The next offset of each partition that is read.
    positions: Vec<Option<i64>>,
    turn: usize,
}

impl ClientFactory for Nothing {
    type Reader = Reader;
    type Writer = Writer;

    fn reader(&self, _settings: &ReaderSettings, table: &Arc<PartitionTable>) -> Result<Reader, ClientError> {
        Ok(Reader { ids: self.ids.clone(), positions: vec![None; table.count()], turn: 0 })
    }

    fn writer(&self, _settings: &WriterSettings, table: &Arc<PartitionTable>) -> Result<Writer, ClientError> {
        Ok(Writer { ends: vec![0; table.count()], acked: Vec::new() })
    }
}

impl LogWriter for Writer {
    #[inline]
    fn send(&mut self, record: &Record<'_>) -> Result<(), SendError> {
        let end = &mut self.ends[record.partition.index()];
        self.acked.push(Delivery { token: record.token, outcome: Outcome::Acked { offset: *end } });
        *end += 1;
        Ok(())
    }

    fn poll(&mut self, _limit_events: usize, each: impl FnMut(Delivery)) -> usize {
        let count = self.acked.len();
        self.acked.drain(..).for_each(each);
        count
    }

    fn wait(&self, _limit: Duration) -> impl Future<Output = ()> {
        future::ready(())
    }

    fn fatal_error(&self) -> Option<KafkaError> {
        None
    }

    fn abandon(&mut self) {}

    fn ask_offsets(&mut self, _: &[PartitionSlot], _: OffsetSpec, _: Isolation) -> QuestionId {
        unreachable!("every record lands where it should")
    }

    fn answers(&mut self, _question: QuestionId) -> Option<Answers> {
        None
    }
}

impl LogReader for Reader {
    fn read_from(&mut self, partition: PartitionSlot, place: ReadFrom) {
        self.positions[partition.index()] = Some(place.offset);
    }

    fn stop(&mut self, partition: PartitionSlot) {
        self.positions[partition.index()] = None;
    }

    fn poll(&mut self, visitor: &mut impl LogVisitor) -> usize {
        self.turn = (self.turn + 1) % self.positions.len();
        let Some(from) = &mut self.positions[self.turn] else { return 1 };
        let (partition, to) = (PartitionSlot::at(self.turn), PER_PARTITION.min(*from + BATCH));
        let offsets = *from..to;
        for (offset, id) in offsets.clone().zip(&self.ids[usize::try_from(*from).unwrap_or(0)..]) {
            let view = RecordView {
                offset,
                leader_epoch: 0,
                sent_ms: None,
                has_sound_headers: true,
                first_header: Some((RECORD_ID_HEADER.as_bytes(), id)),
                second_header: None,
                key: Some(id),
                value: Some(&VALUE),
                batch: None,
            };
            visitor.record(partition, &view);
        }
        *from = to;
        if to == PER_PARTITION {
            visitor.event(partition, LogEvent::AtEnd { end: to });
        }
        usize::try_from(offsets.end - offsets.start).unwrap_or(0) + 1
    }

    async fn wait(&self, _limit: Duration) {}

    fn ask_offsets(&mut self, _: &[PartitionSlot], _: OffsetSpec) -> QuestionId {
        unreachable!("everything is there")
    }

    fn answers(&mut self, _question: QuestionId) -> Option<Answers> {
        None
    }
}

fn loops(criterion: &mut Criterion) {
    let clients = Nothing { ids: (0..PER_PARTITION).map(record::encode_record_id).collect() };
    let mut group = criterion.benchmark_group("loops");
    group.sample_size(20);
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("produce", |bencher| {
        bencher.iter_custom(|iterations| {
            let one = |_| alone::produce(clients.clone(), RECORDS, PARTITIONS).expect("every record");
            (0..iterations).map(one).sum()
        });
    });
    group.throughput(Throughput::Elements(
        PER_PARTITION.unsigned_abs() * u64::from(PARTITIONS.unsigned_abs()),
    ));
    group.bench_function("sequential_read", |bencher| {
        bencher.iter_custom(|iterations| {
            let one = |_| alone::read(&clients, PER_PARTITION, PARTITIONS).expect("every record");
            (0..iterations).map(one).sum()
        });
    });
    group.finish();
}

criterion_group!(benches, loops);
criterion_main!(benches);
