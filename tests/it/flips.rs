//! Bits of known place: one is flipped in a partition's log, in a key, a value, the name or the value of a header,
//! a time, or the length of one of them, and the checksum is fixed up or is not. Each has to be named `corrupt`, at its
//! place, and nothing else.
//!
//! `PROOFLOAD_FLIPS` says how many are flipped; see `scripts/prove`.

use std::{collections::BTreeMap, env};

use proofload::inside::record::Random;

use crate::{
    Test,
    dsl::{
        Cluster, PATIENCE, Run, Topic, Workdir,
        run::Named,
        surgery::{Length, Log, Record},
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnReal(&[], every_flipped_bit_is_named_and_nothing_else),
        OwnReal(&[], what_no_client_shows_is_named_and_passed_over),
    ]
}

const FLIPS: usize = 40;
const RECORDS_PER_PARTITION: usize = 30;
/// So that a batch has several records, and one of them is not its first.
const BATCHES: &str = "--batch_max_bytes 1500 --linger 200ms --max-buffered-records 100000";

/// Where the bit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Key,
    Value,
    HeaderName,
    HeaderValue,
    Time,
    /// The length of a record, or of something in it.
    Length(Length),
    /// How many bytes a record's length takes: all that follows is read from one byte further on, or further back.
    RecordBytes,
    /// Anywhere in the records of a batch, as they are packed.
    Packed,
}

const FIELDS: [Field; 5] = [Field::Key, Field::Value, Field::HeaderName, Field::HeaderValue, Field::Time];
/// Damage to these shows in where a record and its parts end.
const LENGTHS: [Field; 9] = [
    Field::RecordBytes,
    Field::Length(Length::Record),
    Field::Length(Length::Key),
    Field::Length(Length::Value),
    Field::Length(Length::Headers),
    Field::Length(Length::HeaderName(0)),
    Field::Length(Length::HeaderValue(0)),
    Field::Length(Length::HeaderName(1)),
    Field::Length(Length::HeaderValue(1)),
];

/// A kind of flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    field: Field,
    /// The checksum is that of the bytes as they are now.
    fixed_up: bool,
}

impl Kind {
    /// All of them in turn. What is packed is not a field any more, unless it is packed again.
    fn numbered(number: usize, codec: &str) -> Self {
        let (count, lengths) = (FIELDS.len() * 2, if codec == "none" { LENGTHS.len() } else { 0 });
        let number = number % (count + lengths);
        if let Some(length) = number.checked_sub(count) {
            return Self { field: LENGTHS[length], fixed_up: true };
        }
        let (field, fixed_up) = (FIELDS[number / 2 % FIELDS.len()], number.is_multiple_of(2));
        let field = if fixed_up || codec == "none" { field } else { Field::Packed };
        Self { field, fixed_up }
    }

    fn title(self) -> String {
        let field = match self.field {
            Field::Key => "key",
            Field::Value => "value",
            Field::HeaderName => "header name",
            Field::HeaderValue => "header value",
            Field::Time => "timestamp",
            Field::Length(Length::Record) => "length of a record",
            Field::RecordBytes => "bytes of a record's length",
            Field::Length(Length::Key) => "length of a key",
            Field::Length(Length::Value) => "length of a value",
            Field::Length(Length::Headers) => "number of headers",
            Field::Length(Length::HeaderName(_)) => "length of a header name",
            Field::Length(Length::HeaderValue(_)) => "length of a header value",
            Field::Packed => "compressed records",
        };
        format!("{field}, checksum {}", if self.fixed_up { "fixed up" } else { "left" })
    }
}

/// A topic of whose partitions each but the first has one bit flipped.
struct Ward {
    topic: Topic,
    workdir: Workdir,
    /// By partition, from 1 on.
    kinds: Vec<Kind>,
}

impl Ward {
    fn fill(cluster: &Cluster, codec: &str, flips: usize) -> Self {
        Self::fill_with(cluster, codec, flips, 100)
    }

    fn fill_with(cluster: &Cluster, codec: &str, flips: usize, value_bytes: usize) -> Self {
        let kinds: Vec<Kind> = (0..flips).map(|number| Kind::numbered(number, codec)).collect();
        let (topic, workdir) = (cluster.topic(flips + 1), Workdir::new());
        let records = (flips + 1) * RECORDS_PER_PARTITION;
        // Sizes were chosen for the batches that librdkafka makes.
        let how = format!("{BATCHES} --compression-type {codec} --client librdkafka");
        let produce = format!("--produce_msgs {records} --msg_size {value_bytes} {how}");
        let ward = Self { topic, workdir, kinds };
        ward.run(&produce).finish_within(PATIENCE * 5).expect_code(0);
        ward
    }

    fn run(&self, work: &str) -> Run {
        Run::verifier().in_dir(&self.workdir).args(self.topic.flags()).args(work)
    }

    /// Flips the bits. Returns what must be named, by partition.
    fn damage(&self, cluster: &Cluster, random: &mut Random) -> Vec<(Kind, Named)> {
        let mut flip = |(partition, kind): (i32, &Kind)| {
            let mut log = Log::open(&cluster.partition_folder(&self.topic, partition));
            let offset = flip_one(&mut log, *kind, random);
            log.close();
            (*kind, Named { anomaly: "corrupt".to_owned(), partition, offset })
        };
        (1..).zip(&self.kinds).map(&mut flip).collect()
    }

    /// Counts what was named right, by kind. Returns what was wrong.
    fn examine(&self, flips: &[(Kind, Named)], right: &mut BTreeMap<String, [usize; 2]>) -> Vec<String> {
        self.run("--seq_read --stall-after 1s")
            .finish()
            .expect_code(1)
            .expect_output(&["VIOLATION: corrupt: "]);
        let finished = self
            .run("--seq_read --keep-going --stall-after 1s --report report.json")
            .finish_within(PATIENCE * 5);
        let finished = finished.expect_code(1);
        let found = finished.violations();
        let mut wrong = Vec::new();
        for (kind, wanted) in flips {
            let here: Vec<&Named> =
                found.iter().filter(|named| named.partition == wanted.partition).collect();
            let is_right = here == [wanted];
            right.entry(kind.title()).or_default()[usize::from(!is_right)] += 1;
            if !is_right {
                wrong.push(format!("{}: {wanted:?}, not {here:?}", kind.title()));
            }
        }
        let elsewhere = found.iter().filter(|named| named.partition == 0);
        wrong.extend(elsewhere.map(|named| format!("undamaged, and yet {named:?}")));
        wrong
    }
}

/// Flips a bit of a record, or of its batch. Returns the offset at which it has to be named.
fn flip_one(log: &mut Log, kind: Kind, random: &mut Random) -> i64 {
    let (index, bit) = (random.index(log.batches.len()), random.index(1 << 20));
    let batch = &mut log.batches[index];
    let first = batch.records[0].offset;
    if kind.field == Field::Packed {
        batch.flipped_bit = Some((bit, false));
        return first;
    }
    let before = batch.records.clone();
    let place = random.index(before.len());
    let record = &mut batch.records[place];
    // Two headers, each with a name and a value.
    let header = random.index(2);
    match kind.field {
        Field::Key => flip_bytes(record.key.as_mut().expect("a key"), bit),
        Field::Value => flip_bytes(record.value.as_mut().expect("a value"), bit),
        Field::HeaderName => flip_bytes(&mut record.headers[header].0, bit),
        Field::HeaderValue => flip_bytes(&mut record.headers[header].1, bit),
        Field::Length(Length::Record) => {
            // Seven bits of a byte; the eighth says whether there is another.
            let bit = bit % record.bits_of(Length::Record);
            batch.flipped_length = Some((place, Length::Record, bit / 8 * 8 + bit % 7));
        }
        Field::RecordBytes => {
            let bit = bit % record.bits_of(Length::Record);
            batch.flipped_length = Some((place, Length::Record, bit / 8 * 8 + 7));
        }
        Field::Length(length) => {
            batch.flipped_length = Some((place, length, bit % record.bits_of(length)));
        }
        Field::Time | Field::Packed => flip_time(record, before[0].timestamp_ms, bit),
    }
    let own = record.offset;
    if kind.fixed_up {
        return own;
    }
    batch.summed = Some(before);
    // Nobody can tell what is in a batch that does not fit its checksum, and the whole of it is not shown.
    first
}

fn flip_bytes(bytes: &mut [u8], bit: usize) {
    bytes[bit / 8 % bytes.len()] ^= 1 << (bit % 8);
}

/// A time is stored as its distance from the batch's, seven bits in a byte: one bit of the first.
fn flip_time(record: &mut Record, base_ms: i64, bit: usize) {
    let distance = record.timestamp_ms - base_ms;
    let word = ((distance << 1) ^ (distance >> 63)) ^ (1 << (bit % 7));
    record.timestamp_ms = base_ms + ((word >> 1) ^ -(word & 1));
}

fn every_flipped_bit_is_named_and_nothing_else(cluster: &Cluster) {
    let flips = env::var("PROOFLOAD_FLIPS").ok().and_then(|flips| flips.parse().ok()).unwrap_or(FLIPS);
    // Where nothing is packed, a field can be hit without fixing anything up.
    let shares = [("none", flips - flips / 2), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)];
    let share = |(codec, share): (&'static str, usize)| match codec {
        "none" => (codec, share),
        _ => (codec, flips / 2 * share / 4 - flips / 2 * (share - 1) / 4),
    };
    let wards: Vec<Ward> = shares
        .into_iter()
        .map(share)
        .filter(|(_, flips)| *flips > 0)
        .map(|(codec, flips)| Ward::fill(cluster, codec, flips))
        .collect();
    let bare = Ward::fill(cluster, "none", 0);
    let packed = Ward::fill(cluster, "gzip", 0);
    let mut random = Random::from_seed(flips as u64);
    cluster.stop(0);
    let damages: Vec<_> = wards.iter().map(|ward| ward.damage(cluster, &mut random)).collect();
    let offset = flip_behind_the_first(Log::open(&cluster.partition_folder(&bare.topic, 0)));
    let packed_offset = flip_what_unpacking_checks(Log::open(&cluster.partition_folder(&packed.topic, 0)));
    cluster.restart(0);
    let (mut right, mut wrong) = (BTreeMap::new(), Vec::new());
    for (ward, flips) in wards.iter().zip(&damages) {
        wrong.extend(ward.examine(flips, &mut right));
    }
    for (title, [right, not]) in right {
        println!("flips: {title:<36} {right:>4} named right, {not} not");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    every_reader_names_it(&bare, offset);
    every_reader_names_it(&packed, packed_offset);
    every_reader_goes_on_behind_it(&packed, packed_offset);
}

/// Flips a bit of a record that is not the first of its batch, and leaves the checksum. Returns the batch's offset.
fn flip_behind_the_first(mut log: Log) -> i64 {
    let batch =
        log.batches.iter_mut().find(|batch| batch.records.len() > 1).expect("more than one in a batch");
    batch.summed = Some(batch.records.clone());
    flip_bytes(batch.records[1].value.as_mut().expect("a value"), 77);
    let offset = batch.records[0].offset;
    log.close();
    offset
}

/// Flips a bit of the sum that gzip itself adds to what it packs, and fixes up the batch's. Returns the batch's offset.
fn flip_what_unpacking_checks(mut log: Log) -> i64 {
    let batch = log.batches.iter_mut().find(|batch| batch.records.len() > 1).expect("several in a batch");
    // That sum is followed by a length of 32 bits.
    batch.flipped_bit = Some((batch.packed_bits() - 40, true));
    let offset = batch.records[0].offset;
    log.close();
    offset
}

fn what_no_client_shows_is_named_and_passed_over(cluster: &Cluster) {
    let silent = Ward::fill(cluster, "none", 0);
    // Of other sizes the first is read in such a way that the client shows it, at an offset that is not its own.
    let fields: Vec<Field> = [Field::RecordBytes; 3].into_iter().chain(LENGTHS).collect();
    let sizes = [120, 130, 134].into_iter().chain([100; LENGTHS.len()]);
    let wards: Vec<Ward> = sizes.map(|bytes| Ward::fill_with(cluster, "none", 0, bytes)).collect();
    let mut random = Random::from_seed(7);
    cluster.stop(0);
    let offset = stretch_a_value(Log::open(&cluster.partition_folder(&silent.topic, 0)));
    let mut flip = |(ward, field): (&Ward, &Field)| {
        let mut log = Log::open(&cluster.partition_folder(&ward.topic, 0));
        let offset = flip_one(&mut log, Kind { field: *field, fixed_up: true }, &mut random);
        log.close();
        offset
    };
    let offsets: Vec<i64> = wards.iter().zip(&fields).map(&mut flip).collect();
    cluster.restart(0);
    every_reader_names_what_no_client_shows(&silent, offset);
    every_reader_goes_on_behind_it(&silent, offset);
    who_does_not_go_on_stops_there(&wards, &offsets);
    a_group_names_it_and_goes_on(&wards, &offsets);
}

/// Has a value reach far beyond the end of its batch: the client finds nothing there that it could show. Returns the
/// record's offset.
fn stretch_a_value(mut log: Log) -> i64 {
    let batch = log.batches.iter_mut().find(|batch| batch.records.len() > 2).expect("several in a batch");
    let bits = batch.records[1].bits_of(Length::Value);
    batch.flipped_length = Some((1, Length::Value, bits - 2));
    let offset = batch.records[1].offset;
    log.close();
    offset
}

/// That is no stall, or was taken for one and is none any more.
fn every_reader_names_what_no_client_shows(ward: &Ward, offset: i64) {
    let place = format!("VIOLATION: corrupt: topic {} partition 0 offset {offset}: ", ward.topic.name());
    let readers = [
        "--seq_read --stall-after 1s",
        "--consumer_group_readers 1 --stall-after 1s",
        "--seq_read --stall-after 0",
    ];
    let runs: Vec<_> = readers.iter().map(|work| ward.run(work).start()).collect();
    // Which record of the batch it asks for is up to it.
    let at_random = ward.run("--rand_read_msgs 500").start();
    for run in runs {
        run.finish().expect_code(1).expect_output(&[&place, "a record that cannot be taken apart"]);
    }
    let place = format!("VIOLATION: corrupt: topic {} partition 0 offset ", ward.topic.name());
    at_random.finish().expect_code(1).expect_output(&[&place, "a record that cannot be taken apart"]);
}

fn who_does_not_go_on_stops_there(wards: &[Ward], offsets: &[i64]) {
    let runs: Vec<_> = wards.iter().map(|ward| ward.run("--seq_read --stall-after 1s").start()).collect();
    for (run, (ward, offset)) in runs.into_iter().zip(wards.iter().zip(offsets)) {
        let line = format!("VIOLATION: corrupt: topic {} partition 0 offset {offset}: ", ward.topic.name());
        run.finish().expect_code(1).expect_output(&[&line]);
    }
}

fn a_group_names_it_and_goes_on(wards: &[Ward], offsets: &[i64]) {
    let work = "--consumer_group_readers 1 --keep-going --stall-after 1s --report report.json";
    let runs: Vec<_> = wards.iter().map(|ward| ward.run(work).start()).collect();
    for (run, offset) in runs.into_iter().zip(offsets) {
        let finished = run.finish().expect_code(1);
        let wanted = Named { anomaly: "corrupt".to_owned(), partition: 0, offset: *offset };
        assert_eq!(finished.violations(), [wanted], "{}", finished.transcript());
    }
}

/// The digest would find the record. It is the checksum that finds the batch.
fn every_reader_names_it(ward: &Ward, offset: i64) {
    let place = format!("corrupt: topic {} partition 0 offset ", ward.topic.name());
    let exact = format!("{place}{offset}: expected a batch whose checksum matches its bytes");
    for work in ["--seq_read", "--consumer_group_readers 1"] {
        ward.run(work).finish().expect_code(1).expect_output(&[&exact]);
    }
    // Which record of the batch it asks for is up to it.
    let finished = ward.run("--rand_read_msgs 500").finish().expect_code(1);
    finished.expect_output(&[&place, "expected a batch whose checksum matches its bytes"]);
}

/// It is named once, what lies behind it is read, and nothing else is amiss.
fn every_reader_goes_on_behind_it(ward: &Ward, offset: i64) {
    let wanted = Named { anomaly: "corrupt".to_owned(), partition: 0, offset };
    let flags = "--keep-going --stall-after 1s --report report.json";
    for work in ["--seq_read", "--consumer_group_readers 2"] {
        let finished = ward.run(&format!("{work} {flags}")).finish().expect_code(1);
        assert_eq!(finished.violations().iter().collect::<Vec<_>>(), [&wanted], "{}", finished.transcript());
        let report = finished.workdir.report();
        let stalls = report["stalls"].as_array().expect("a list");
        assert!(stalls.iter().all(|stall| !stall["until_ms"].is_null()), "{stalls:?}");
    }
}
