//! What there is to say of a run, as metrics. `docs/metrics.md` lists them.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use super::{
    family::{About, Families, Kind, Labels, Value},
    workers::{self, PRODUCER, Place, READER, REPEATER, role_labels},
};
use crate::{
    app::{Cost, Shared},
    findings::anomaly::Anomaly,
    stats::{BenchBoard, Board, LatencyHistogram, ReaderKind, RepeaterBoard},
};

/// Upper bounds of the buckets of latencies, µs.
const BOUNDS_US: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

const ASKED: About = gauge("asked", "records", "Records that there are to send or to read, as far as known.");
const ACTIVE: About = gauge("active", "workers", "Producers and readers whose work is not yet done.");
const PASSES: About = counter("read", "passes", "Passes of readers that came to their end.");
const PROVEN: About = counter("proven", "records", "Records that the ledger lists, of passes that are over.");
const BEYOND_LEDGER: About =
    counter("beyond_ledger", "records", "Records that it does not list, of the same passes.");
const LEDGER: About = gauge("ledger", "records", "Records that the ledger lists, as far as this run knows.");
const ACK_LATENCY: About = latency("ack_latency", "From sending a record to its ack.");
const END_TO_END_LATENCY: About = latency(
    "end_to_end_latency",
    "From sending a record, or from the time at which a benchmark's was due, to reading it.",
);
const PUBLISH_LATENCY: About =
    latency("publish_latency", "From the time at which a benchmark's record was due to its ack.");
const DELAY_LATENCY: About =
    latency("delay_latency", "From the time at which a benchmark's record was due to its sending.");
const GOAL: About = gauge("goal", "records_per_second", "The rate that a benchmark is to send at.");
const BACKLOG: About = gauge("backlog", "records", "Records of a benchmark that are acked and not read.");
const GROUP_MEMBERS: About = gauge("group", "members", "Members of the repeater's group, of all processes.");
const CLOCK_LEAD: About = gauge(
    "clock_lead",
    "seconds",
    "The most by which a record came before it was sent: clocks differ by it.",
);
const INFO: About = gauge("run", "info", "1; the labels say what runs.");
const START: About = gauge("start_time", "seconds", "When the run began, seconds since 1970.");
const DONE: About = gauge("work", "done", "1 once all workers have ended.");
const PHASE: About = gauge("phase", "", "1 for the part of the run that is under way.");
const SHARDS: About = gauge("shards", "", "Shards of the run; 0 until they are placed.");
const UP: About = gauge("up", "brokers", "Brokers that a connection leads to.");
const KNOWN: About = gauge("known", "brokers", "Brokers that the cluster lists.");
const VIOLATIONS: About = counter("violations", "", "Promises that the data broke, by kind.");
const STALLS: About =
    counter("stalls", "", "Times that a partition stood still although its broker answered.");
const OPEN_STALLS: About = gauge("open", "stalls", "Partitions that stand still.");
const WAITS: About = counter("long", "waits", "Times that something was waited for longer than 10 s.");
const OPEN_WAITS: About = gauge("open", "waits", "What is being waited for, for longer than 10 s.");
const WOKEN: About = counter("woken", "shards", "Times that a shard slept past its timers, and was woken.");
const CPU: About = counter("cpu", "seconds", "CPU time of the process.");
const MEMORY: About = gauge("peak_memory", "bytes", "Memory of the process at its highest.");

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> About {
    About { kind: Kind::Counter, name, unit, help }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> About {
    About { kind: Kind::Gauge, name, unit, help }
}

const fn latency(name: &'static str, help: &'static str) -> About {
    About { kind: Kind::Histogram, name, unit: "seconds", help }
}

/// All metrics of a run at this moment.
pub(super) fn of(shared: &Shared) -> Families {
    let mut families = Families::default();
    let shards = shared.shards.load(Relaxed);
    of_process(&mut families, shared);
    of_findings(&mut families, shared);
    if let Some(board) = shared.board.get() {
        of_verifier(&mut families, board, shards);
    }
    if let Some(board) = shared.repeater.get() {
        of_repeater(&mut families, board, shards);
    }
    if let Some((bench, board)) = shared.bench.get().zip(shared.board.get()) {
        of_bench(&mut families, bench, board);
    }
    families
}

fn whole(families: &mut Families, about: About, value: u64) {
    families.add(about, Labels::new(), Value::Whole(value));
}

fn of_process(families: &mut Families, shared: &Shared) {
    let ending = &shared.ending;
    let info = [("program", ending.asked.program()), ("version", env!("CARGO_PKG_VERSION"))];
    let mut info: Labels = info.map(|(name, value)| (name, value.to_owned())).into();
    info.extend(ending.asked.slice().map(|slice| ("slice", slice.to_string())));
    families.add(INFO, info, Value::Whole(1));
    families.add(START, Labels::new(), Value::Seconds(ending.started_at_ms as f64 / 1e3));
    whole(families, DONE, shared.lifecycle.work_is_done().into());
    if let Some(phase) = ending.phase_under_way() {
        families.add(PHASE, vec![("phase", phase.to_owned())], Value::Whole(1));
    }
    whole(families, SHARDS, shared.shards.load(Relaxed) as u64);
    let cost = Cost::so_far();
    for (mode, time_ms) in [("user", cost.user_ms), ("system", cost.system_ms)] {
        families.add(CPU, vec![("mode", mode.to_owned())], Value::Seconds(time_ms as f64 / 1e3));
    }
    whole(families, MEMORY, cost.memory_bytes);
    whole(families, WOKEN, shared.heartbeats.woken());
}

fn of_findings(families: &mut Families, shared: &Shared) {
    whole(families, UP, shared.brokers.up.load(Relaxed) as u64);
    whole(families, KNOWN, shared.brokers.known.load(Relaxed) as u64);
    for anomaly in Anomaly::ALL {
        let labels = vec![("anomaly", anomaly.name().to_owned())];
        families.add(VIOLATIONS, labels, Value::Whole(shared.violations.count_of(anomaly)));
    }
    let (all, open) = shared.stalls.count();
    whole(families, STALLS, all);
    whole(families, OPEN_STALLS, open);
    let (all, open) = shared.waits.count();
    whole(families, WAITS, all);
    whole(families, OPEN_WAITS, open);
}

/// Several workers of one role, one after the other, take turns on the shards.
fn shard_of(worker: usize, shards: usize) -> Option<usize> {
    worker.checked_rem(shards)
}

fn of_verifier(families: &mut Families, board: &Board, shards: usize) {
    let topic = board.topics.label();
    let topic = topic.as_str();
    whole(families, LEDGER, board.ledger_acked());
    if let Some(producer) = &board.producer {
        let role = "producer";
        families.add(ASKED, role_labels(topic, role), Value::Whole(producer.goal()));
        families.add(ACTIVE, role_labels(topic, role), Value::Whole(producer.is_active().into()));
        families.add(ACK_LATENCY, role_labels(topic, role), latencies(&producer.latency_in_all()));
        let workers = producer.shards.iter().enumerate();
        workers::add(
            families,
            topic,
            PRODUCER,
            workers.map(|(shard, stats)| ((role, Some(shard)), &**stats)),
        );
    }
    let mut sums: BTreeMap<&str, [u64; 5]> = BTreeMap::new();
    for reader in &board.readers {
        let sum = sums.entry(role_of(reader.kind)).or_default();
        let active = reader.is_active().into();
        let more = [reader.goal(), active, reader.passes(), reader.proven(), reader.beyond_ledger()];
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    for (role, values) in sums {
        for (about, value) in [ASKED, ACTIVE, PASSES, PROVEN, BEYOND_LEDGER].into_iter().zip(values) {
            families.add(about, role_labels(topic, role), Value::Whole(value));
        }
    }
    workers::add(families, topic, READER, readers(board, shards).into_iter());
}

/// Of a benchmark what no other producer and reader has.
fn of_bench(families: &mut Families, bench: &BenchBoard, board: &Board) {
    let topic = board.topics.label();
    let topic = topic.as_str();
    let kind = board.readers.first().map_or(ReaderKind::Sequential, |reader| reader.kind);
    let (producer, reader) = ("producer", role_of(kind));
    let times = bench.times().clone();
    families.add(PUBLISH_LATENCY, role_labels(topic, producer), latencies(&times.own.publish));
    families.add(DELAY_LATENCY, role_labels(topic, producer), latencies(&times.own.delay));
    if let Some(goal) = bench.goal_records_per_s() {
        families.add(GOAL, role_labels(topic, producer), Value::Number(goal));
    }
    if let Some(backlog) = bench.backlog() {
        families.add(END_TO_END_LATENCY, role_labels(topic, reader), latencies(&times.end_to_end));
        families.add(BACKLOG, role_labels(topic, reader), Value::Whole(backlog));
    }
}

fn role_of(kind: ReaderKind) -> &'static str {
    match kind {
        ReaderKind::Sequential => "sequential-reader",
        ReaderKind::Random => "random-reader",
        ReaderKind::Group => "group-reader",
    }
}

/// Each reader's counters, with its role and its shard.
fn readers(board: &Board, shards: usize) -> Vec<(Place, &crate::stats::ReaderStats)> {
    let random = board.readers.iter().filter(|reader| reader.kind == ReaderKind::Random).enumerate();
    let random =
        random.flat_map(|(index, reader)| reader.shards.iter().map(move |stats| (reader, index, stats)));
    let of_kind = |kind| board.readers.iter().filter(move |reader| reader.kind == kind);
    let in_order = of_kind(ReaderKind::Sequential).flat_map(|reader| {
        reader.shards.iter().enumerate().map(move |(index, stats)| (reader, Some(index), stats))
    });
    // Members of all groups take turns. Behind those of a group is what only the group as a whole can know.
    let mut dealt = 0..;
    let in_groups = of_kind(ReaderKind::Group).flat_map(|reader| {
        let members = reader.shards.len().saturating_sub(1);
        let turns: Vec<_> = dealt.by_ref().take(members).map(Some).chain([None]).collect();
        turns.into_iter().zip(&reader.shards).map(move |(turn, stats)| (reader, turn, stats))
    });
    random
        .map(|(reader, index, stats)| (reader, Some(index), stats))
        .chain(in_order)
        .chain(in_groups)
        .map(|(reader, turn, stats)| {
            let shard = turn.and_then(|turn| shard_of(turn, shards));
            ((role_of(reader.kind), shard), &**stats)
        })
        .collect()
}

fn of_repeater(families: &mut Families, board: &RepeaterBoard, shards: usize) {
    let (topic, role) = (board.topics().join(","), "repeater");
    let latency = board.latencies_in_all();
    families.add(ACK_LATENCY, role_labels(&topic, role), latencies(&latency.ack));
    families.add(END_TO_END_LATENCY, role_labels(&topic, role), latencies(&latency.e2e));
    whole(families, GROUP_MEMBERS, board.group().members as u64);
    families.add(CLOCK_LEAD, Labels::new(), Value::Seconds(board.clock_lead_us() as f64 / 1e6));
    let workers = board.stats().enumerate();
    let workers = workers.map(|(worker, stats)| ((role, shard_of(worker, shards)), stats));
    workers::add(families, &topic, REPEATER, workers);
}

fn latencies(histogram: &LatencyHistogram) -> Value {
    Value::Latencies(histogram.buckets(&BOUNDS_US))
}
