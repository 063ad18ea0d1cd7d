//! The least that producing and reading can cost: encode, checksum, send, receive, and nothing else. No ledger, no
//! connections that break, no time-outs. What the program costs beyond that is its own.
//!
//! In memory always; over one connection to a broker that leads all partitions of a topic where there is one:
//!
//!     BROKERS=127.0.0.1:9092 TOPIC=t cargo bench --bench floor
//!
//! `RECORDS` and `VALUE_BYTES` say how many and how large: a million of 128 bytes. CPU is the whole process's, as
//! `scripts/compare` counts it.

use std::{
    env,
    error::Error,
    hint::black_box,
    io::{self, IoSlice, Read, Write},
    net::TcpStream,
    time::Instant,
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use proofload::inside::{
    batch::{BatchProducer, BatchValue, BatchWriter, Batches, Codec, CrcShift, NewRecord, Packer, Unpacker},
    protocol::{
        Api, Decoder, FetchPartition, FetchRequest, FetchResponse, InitProducerIdRequest,
        InitProducerIdResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, Request,
        ResponseHeader, TopicRef, TopicRefs, encode_request,
    },
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Of these versions all brokers since 2.7 have one.
const METADATA: i16 = 9;
const PRODUCER_ID: i16 = 3;
const PRODUCE: i16 = 9;
const FETCH: i16 = 12;

/// Records of a partition in one request: what 4,096 in flight make of eight partitions and two requests.
const BATCH_RECORDS: usize = 256;
const IN_FLIGHT: usize = 2;
/// Values come out of a pool of this size, as those of the program do.
const POOL_BYTES: usize = 4 << 20;
const FETCH_BYTES: i32 = 4 << 20;
const PARTITION_BYTES: i32 = 1 << 20;
/// A batch may unpack to this.
const UNPACKED_MOST_BYTES: usize = 128 << 20;

/// What a record of the program has beside its value, as to size.
const KEY: &[u8] = &[b'0'; 25];
const HEADERS: &[(&[u8], &[u8])] = &[(b"KGO_VERIFIER_RECORD_ID", KEY), (b"PROOFLOAD", &[7; 45])];

fn main() -> Outcome<()> {
    let number = |name: &str, default: usize| {
        env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (records, value_bytes) = (number("RECORDS", 1_000_000), number("VALUE_BYTES", 128));
    let values = Values::of(value_bytes);
    println!("{records} records of {value_bytes} bytes");
    in_memory(&values, records)?;
    let Ok(brokers) = env::var("BROKERS") else { return Ok(()) };
    let topic = env::var("TOPIC").map_err(|_| "TOPIC must name a topic that exists")?;
    let mut line = Line::to(&brokers)?;
    let partitions = line.partitions(&topic)?;
    let starts = measure("produce", records, || produce(&mut line, &topic, partitions, &values, records))?;
    measure("fetch", records, || fetch(&mut line, &topic, starts, records))
}

/// Does some work, and says what it cost.
fn measure<T>(what: &str, records: usize, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let (began, cpu_us_before) = (Instant::now(), cpu_us()?);
    let result = work()?;
    let (wall_s, cpu_us) = (began.elapsed().as_secs_f64(), cpu_us()? - cpu_us_before);
    let each_ns = cpu_us as f64 * 1e3 / records as f64;
    println!(
        "{what:<18} {each_ns:6.0} ns of CPU a record   {:6.3} s of CPU, {wall_s:6.3} s in all",
        cpu_us as f64 / 1e6
    );
    Ok(result)
}

fn cpu_us() -> nix::Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
}

/// A pool of bytes, of which each value is a part.
struct Values {
    pool: Vec<u8>,
    value_bytes: usize,
}

impl Values {
    fn of(value_bytes: usize) -> Self {
        // Printable, and nothing that a codec makes much of.
        let mut state = 1_u32;
        let byte = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            32 + state.to_be_bytes()[0] % 95
        };
        Self { pool: (0..POOL_BYTES + value_bytes).map(byte).collect(), value_bytes }
    }

    fn value(&self, index: usize) -> &[u8] {
        let at = index.wrapping_mul(8_191) % POOL_BYTES;
        &self.pool[at..at + self.value_bytes]
    }

    /// Fills a batch, from this record on.
    fn fill(&self, writer: &mut BatchWriter, first: usize, count: usize) {
        writer.clear();
        for index in first..first + count {
            let value = BatchValue::Copied(self.value(index));
            writer.push(&NewRecord { timestamp_ms: 1_700_000_000_000, key: KEY, value, headers: HEADERS });
        }
    }
}

/// How many records of `count` are in batches from here on.
fn batch_sizes(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).step_by(BATCH_RECORDS).map(move |first| (first, BATCH_RECORDS.min(count - first)))
}

fn in_memory(values: &Values, records: usize) -> Outcome<()> {
    let (mut writer, shift) = (BatchWriter::with_capacity(1 << 10), CrcShift::by(0));
    let producer = BatchProducer { id: 1, epoch: 0, base_sequence: 0, transactional: false };
    measure("encode", records, || {
        for (first, count) in batch_sizes(records) {
            values.fill(&mut writer, first, count);
            writer.seal(producer, &shift);
            black_box(&writer);
        }
        Ok(())
    })?;
    for codec in [Codec::None, Codec::Lz4, Codec::Snappy, Codec::Zstd, Codec::Gzip] {
        // Of what is slow a part is enough.
        let records = if codec == Codec::None { records } else { records / 10 };
        let mut batch = Vec::new();
        values.fill(&mut writer, 0, BATCH_RECORDS);
        let mut packer = Packer::new(codec);
        if let Some(packer) = &mut packer {
            measure(&format!("pack {codec:?}"), records, || {
                for (first, count) in batch_sizes(records) {
                    values.fill(&mut writer, first, count);
                    writer.pack(packer);
                }
                Ok(())
            })?;
            values.fill(&mut writer, 0, BATCH_RECORDS);
            writer.pack(packer);
        }
        writer.seal(producer, &shift);
        writer.slices().for_each(|slice| batch.extend_from_slice(slice));
        let mut unpacker = Unpacker::new(UNPACKED_MOST_BYTES);
        measure(&format!("decode {codec:?}"), records, || {
            batch_sizes(records).try_for_each(|_| walk(&batch, &mut unpacker).map(|_| ()))
        })?;
    }
    Ok(())
}

/// Goes over all that is there as a whole. Returns how many records that were, and behind which offset it ends.
fn walk(batches: &[u8], unpacker: &mut Unpacker) -> Outcome<(usize, Option<i64>)> {
    let (mut count, mut end) = (0, None);
    for batch in Batches::new(batches) {
        let batch = batch?;
        if !batch.fits_its_checksum() {
            return Err("a batch does not fit its checksum".into());
        }
        for record in batch.records(unpacker.unpack(&batch)?) {
            black_box(record?);
            count += 1;
        }
        end = Some(batch.next_offset());
    }
    Ok((count, end))
}

/// A connection on which answers come in the order of the requests.
struct Line {
    stream: TcpStream,
    correlation_id: i32,
    out: Vec<u8>,
    frame: Vec<u8>,
}

impl Line {
    fn to(brokers: &str) -> Outcome<Self> {
        let first = brokers.split(',').next().unwrap_or_default();
        let stream = TcpStream::connect(first).map_err(|error| format!("BROKERS={first}: {error}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, correlation_id: 0, out: Vec::new(), frame: Vec::new() })
    }

    fn send<R: Request>(&mut self, request: &R, version: i16) -> io::Result<()> {
        self.out.clear();
        self.correlation_id += 1;
        encode_request(request, version, self.correlation_id, "floor", &mut self.out);
        self.stream.write_all(&self.out)
    }

    fn receive(&mut self, api: Api, version: i16) -> Outcome<Decoder<'_>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        self.frame.resize(usize::try_from(i32::from_be_bytes(length))?, 0);
        self.stream.read_exact(&mut self.frame)?;
        Ok(ResponseHeader::decode(api, version, &self.frame)?.1)
    }

    fn partitions(&mut self, topic: &str) -> Outcome<usize> {
        self.send(&MetadataRequest { topics: Some(&[topic]), tell_rights: false }, METADATA)?;
        let answer = MetadataResponse::decode(METADATA, self.receive(Api::Metadata, METADATA)?)?;
        let partitions = answer.topics.first().map_or(0, |topic| topic.partitions.len());
        let leaders =
            answer.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.leader);
        if partitions == 0 || leaders.min() != answer.topics[0].partitions.iter().map(|one| one.leader).max()
        {
            return Err(format!("one broker has to lead all partitions of topic {topic}").into());
        }
        Ok(partitions)
    }

    fn write_all_vectored(&mut self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        while !slices.is_empty() {
            let written = self.stream.write_vectored(slices)?;
            IoSlice::advance_slices(&mut slices, written);
        }
        Ok(())
    }
}

/// Returns where each partition's records begin.
fn produce(
    line: &mut Line,
    topic: &str,
    partitions: usize,
    values: &Values,
    records: usize,
) -> Outcome<Vec<i64>> {
    let (transaction_timeout_ms, current) = (i32::MAX, (-1, -1));
    line.send(
        &InitProducerIdRequest { transactional_id: None, transaction_timeout_ms, current },
        PRODUCER_ID,
    )?;
    let id = InitProducerIdResponse::decode(PRODUCER_ID, line.receive(Api::InitProducerId, PRODUCER_ID)?)?;
    let mut sequences = vec![0_i32; partitions];
    let mut starts = vec![-1; partitions];
    let mut writers: Vec<_> = (0..partitions).map(|_| BatchWriter::with_capacity(1 << 16)).collect();
    let (shift, mut head, mut cuts) = (CrcShift::by(0), Vec::new(), Vec::new());
    let (mut in_flight, mut first) = (0, 0);
    while first < records {
        let each = (records - first).div_ceil(partitions).min(BATCH_RECORDS);
        for (writer, sequence) in writers.iter_mut().zip(&mut sequences) {
            values.fill(writer, first, each);
            let (id, epoch) = (id.producer_id, id.producer_epoch);
            writer.seal(BatchProducer { id, epoch, base_sequence: *sequence, transactional: false }, &shift);
            *sequence += i32::try_from(each)?;
            first += each;
        }
        head.clear();
        cuts.clear();
        line.correlation_id += 1;
        let ids = (PRODUCE, line.correlation_id, "floor");
        let mut request = ProduceRequest::begin(ids, (None, 30_000), 1, &mut head, &mut cuts);
        request.begin_topic(TopicRef::Name(topic), partitions);
        for (partition, writer) in (0..).zip(&writers) {
            request.partition(partition, writer.bytes());
        }
        request.end_topic();
        black_box(request.finish());
        let (mut slices, mut from) = (Vec::new(), 0);
        for (writer, cut) in writers.iter().zip(&cuts) {
            slices.push(IoSlice::new(&head[from..*cut]));
            writer.slices().for_each(|slice| slices.push(IoSlice::new(slice)));
            from = *cut;
        }
        slices.push(IoSlice::new(&head[from..]));
        line.write_all_vectored(&mut slices)?;
        in_flight += 1;
        if in_flight == IN_FLIGHT {
            take_acks(line, &mut starts)?;
            in_flight -= 1;
        }
    }
    (0..in_flight).try_for_each(|_| take_acks(line, &mut starts))?;
    Ok(starts)
}

fn take_acks(line: &mut Line, starts: &mut [i64]) -> Outcome<()> {
    let mut error = 0;
    ProduceResponse::decode(PRODUCE, line.receive(Api::Produce, PRODUCE)?, |produced| {
        error = if produced.error == 0 { error } else { produced.error };
        if let Some(start) = usize::try_from(produced.partition).ok().and_then(|index| starts.get_mut(index))
            && *start < 0
        {
            *start = produced.base_offset;
        }
    })?;
    if error == 0 { Ok(()) } else { Err(format!("the broker refuses a batch with error {error}").into()) }
}

/// One Fetch after the other, without the next one under way: that costs time, and no CPU.
fn fetch(line: &mut Line, topic: &str, mut offsets: Vec<i64>, records: usize) -> Outcome<()> {
    let (mut unpacker, mut seen) = (Unpacker::new(UNPACKED_MOST_BYTES), 0);
    while seen < records {
        let ask = |(partition, offset): (i32, &i64)| FetchPartition {
            topic: 0,
            partition,
            leader_epoch: -1,
            offset: *offset,
            last_fetched_epoch: -1,
            max_bytes: PARTITION_BYTES,
        };
        let partitions: Vec<_> = (0..).zip(&offsets).map(ask).collect();
        let request = FetchRequest {
            topics: TopicRefs::One(TopicRef::Name(topic)),
            partitions: &partitions,
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            read_committed: false,
            rack: "",
        };
        line.send(&request, FETCH)?;
        let mut outcome = Ok(());
        FetchResponse::decode(FETCH, line.receive(Api::Fetch, FETCH)?, |fetched| {
            match walk(fetched.batches, &mut unpacker) {
                Ok((count, end)) => {
                    seen += count;
                    let offset =
                        usize::try_from(fetched.partition).ok().and_then(|index| offsets.get_mut(index));
                    if let (Some(offset), Some(end)) = (offset, end) {
                        *offset = end;
                    }
                }
                Err(error) => outcome = Err(error),
            }
        })?;
        outcome?;
    }
    Ok(())
}
