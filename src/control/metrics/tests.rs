//! What is said of runs that exist on paper only: the structure of the text, and that nothing is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use super::{
    accept::Format,
    catalogue,
    family::{Families, Kind},
};
use crate::{
    app::{
        Shared,
        ending::{Asked, Ending},
    },
    cli::{self, Command, Program},
    findings::anomaly::{Anomaly, Violation},
    stats::{
        BenchBoard, Board, LatencyHistogram, ProducerBoard, ProducerStats, ReaderBoard, ReaderKind,
        ReaderStats, RepeaterBoard, WorkerStats,
    },
};

const SHARDS: usize = 64;
const MEMBERS: usize = 70;

fn shared(program: Program, line: &str) -> Shared {
    let asked = match cli::parse(program, line.split_whitespace().map(Into::into)) {
        Ok(Command::Verifier(config)) => Asked::Verifier(config),
        Ok(Command::Repeater(config)) => Asked::Repeater(config),
        Ok(Command::Bench(config)) => Asked::Bench(config),
        other => panic!("{other:?}"),
    };
    let shared = Shared::new(&Ending::begin(asked), 0);
    shared.shards.store(SHARDS, std::sync::atomic::Ordering::Relaxed);
    shared
}

fn all<S>(count: usize, new: impl Fn() -> S) -> Vec<Arc<S>> {
    (0..count).map(|_| Arc::new(new())).collect()
}

/// A verifier with everybody at work.
fn verifier() -> Shared {
    let shared = shared(Program::Verifier, "--topic t --produce_msgs 100 --slice 1/4");
    let producer = ProducerBoard::new(all(SHARDS, || ProducerStats::new(&[0])));
    let reader = |kind, workers| ReaderBoard::new(kind, all(workers, || ReaderStats::new(&[0])));
    let random = (0..SHARDS + 2).map(|_| reader(ReaderKind::Random, 1));
    let others = [reader(ReaderKind::Sequential, SHARDS), reader(ReaderKind::Group, MEMBERS + 1)];
    shared.board.set(Board::new("t".into(), Some(producer), random.chain(others).collect())).unwrap();
    shared.ending.begin_phase("produce");
    shared
}

/// A benchmark that measures.
fn bench() -> Shared {
    let shared = shared(Program::Proofload, "bench --topic t --rate 500");
    let producer = ProducerBoard::new(all(1, || ProducerStats::new(&[0])));
    let reader = ReaderBoard::new(ReaderKind::Sequential, all(1, || ReaderStats::new(&[0])));
    shared.board.set(Board::new("t".into(), Some(producer), vec![reader])).unwrap();
    let board = shared.bench.get_or_init(|| BenchBoard::new(true));
    board.set_goal(Some(500.5));
    board.set_behind(3, 4);
    board.times().own.record(900, 300, 600);
    board.times().end_to_end.record(2_000);
    shared
}

fn repeater() -> (Shared, Vec<Arc<WorkerStats>>) {
    let shared = shared(Program::Repeater, "--topics a,b --group g");
    let workers = all(SHARDS + 1, WorkerStats::default);
    shared.repeater.set(RepeaterBoard::new(vec!["a".into(), "b".into()], workers.clone())).unwrap();
    (shared, workers)
}

fn text(shared: &Shared) -> String {
    catalogue::of(shared).encode(Format::Text).unwrap()
}

/// The samples of a text: the series, and its value.
fn samples(text: &str) -> BTreeMap<&str, &str> {
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert_eq!(samples.insert(series, value), None, "{series} comes twice");
    }
    samples
}

#[test]
fn each_of_64_shards_has_its_own_series() {
    let shared = verifier();
    let board = shared.board.get().unwrap();
    let producer = board.producer.as_ref().unwrap();
    for (number, shard) in (1..).zip(&producer.shards) {
        shard.acked.add(number);
    }
    producer.set_goal(9_000);
    for reader in &board.readers {
        reader.shards.iter().for_each(|stats| stats.valid_reads.add(1));
        reader.set_goal(10);
    }
    let text = text(&shared);
    let samples = samples(&text);
    let value =
        |series: &str| samples.get(series).copied().unwrap_or_else(|| panic!("no {series} in {text}"));
    for shard in 0..SHARDS {
        let acked = format!(r#"proofload_acked_records_total{{topic="t",role="producer",shard="{shard}"}}"#);
        assert_eq!(value(&acked), (shard + 1).to_string());
        let read = |role| {
            value(&format!(r#"proofload_read_records_total{{topic="t",role="{role}",shard="{shard}"}}"#))
        };
        // Readers and members take turns on the shards.
        assert_eq!(read("sequential-reader"), "1");
        assert_eq!(read("random-reader"), if shard < 2 { "2" } else { "1" });
        assert_eq!(read("group-reader"), if shard < MEMBERS - SHARDS { "2" } else { "1" });
    }
    let of_role = |name: &str, role: &str| value(&format!(r#"{name}{{topic="t",role="{role}"}}"#));
    assert_eq!(of_role("proofload_read_records_total", "group-reader"), "1", "of the group as a whole");
    assert_eq!(of_role("proofload_asked_records", "producer"), "9000");
    assert_eq!(of_role("proofload_asked_records", "random-reader"), "660");
    assert_eq!(of_role("proofload_active_workers", "random-reader"), "66");
    assert_eq!(value(r#"proofload_phase{phase="produce"}"#), "1");
    assert_eq!(value("proofload_shards"), "64");
}

#[test]
fn every_sample_belongs_to_a_metric_that_says_what_it_is() {
    let text = text(&verifier());
    let mut described: Option<(&str, BTreeSet<&str>)> = None;
    for line in text.lines() {
        let mut words = line.split(' ');
        match (words.next(), words.next()) {
            (Some("#"), Some("HELP")) => {
                let name = words.next().unwrap();
                assert!(words.next().is_some(), "no words: {line}");
                described = Some((name, BTreeSet::new()));
            }
            (Some("#"), Some("TYPE")) => {
                let (name, kinds) = described.as_mut().unwrap();
                assert_eq!(words.next(), Some(*name));
                kinds.insert(words.next().unwrap());
            }
            (Some(series), Some(_)) => {
                let (name, kinds) = described.as_ref().unwrap();
                let sample = series.split('{').next().unwrap();
                let suffix = sample.strip_prefix(name).unwrap_or_else(|| panic!("{sample} below {name}"));
                assert_eq!(kinds.len(), 1, "{name}");
                let is_histogram = kinds.contains("histogram");
                assert!(suffix.is_empty() || is_histogram && ["_bucket", "_sum", "_count"].contains(&suffix));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn openmetrics_says_units_and_where_it_ends() {
    let text = catalogue::of(&verifier()).encode(Format::OpenMetrics).unwrap();
    assert!(
        text.contains("# TYPE proofload_acked_records counter\n# UNIT proofload_acked_records records\n")
    );
    assert!(text.contains("\nproofload_acked_records_total{topic=\"t\""), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn latencies_are_cumulative_and_survive_a_reset() {
    let (shared, _) = repeater();
    let board = shared.repeater.get().unwrap();
    let mut histogram = LatencyHistogram::new();
    for latency_us in [100, 900, 900, 40_000_000] {
        histogram.record(latency_us);
    }
    board.merge(0, Some(&histogram), None);
    let before = text(&shared);
    board.reset();
    board.merge(64, Some(&histogram), None);
    let after = text(&shared);
    for (text, times) in [(before, 1_u32), (after, 2)] {
        let samples = samples(&text);
        let of = |what: &str, le: &str| {
            samples[format!(r#"proofload_ack_latency_seconds_{what}{{topic="a,b",role="repeater"{le}}}"#)
                .as_str()]
        };
        let bucket = |le: &str| of("bucket", &format!(r#",le="{le}""#)).parse::<u32>().unwrap();
        let buckets = ["0.00025", "0.0005", "0.001", "30", "+Inf"].map(bucket);
        assert_eq!(buckets, [1, 1, 3, 3, 4].map(|count| count * times));
        assert_eq!(of("count", ""), (4 * times).to_string());
        let (sum_s, times) = (of("sum", "").parse::<f64>().unwrap(), f64::from(times));
        assert!((sum_s - 40.0 * times).abs() < 0.4 * times, "{sum_s}");
        assert_eq!(
            samples[r#"proofload_end_to_end_latency_seconds_count{topic="a,b",role="repeater"}"#],
            "0"
        );
    }
}

#[test]
fn a_benchmark_has_three_latencies_a_goal_and_a_backlog() {
    let text = text(&bench());
    let samples = samples(&text);
    let of = |name: &str, role: &str, more: &str| {
        samples[format!(r#"{name}{{topic="t",role="{role}"{more}}}"#).as_str()]
    };
    let bucket = |name: &str, role: &str, le: &str| {
        of(&format!("proofload_{name}_seconds_bucket"), role, &format!(r#",le="{le}""#))
    };
    let publish = |le| bucket("publish_latency", "producer", le);
    assert_eq!((publish("0.0005"), publish("0.001"), publish("+Inf")), ("0", "1", "1"));
    assert_eq!(bucket("delay_latency", "producer", "0.0005"), "1");
    let end_to_end = |le| bucket("end_to_end_latency", "sequential-reader", le);
    assert_eq!((end_to_end("0.001"), end_to_end("0.0025")), ("0", "1"));
    assert_eq!(of("proofload_goal_records_per_second", "producer", ""), "500.5");
    assert_eq!(of("proofload_backlog_records", "sequential-reader", ""), "4");
}

#[test]
fn processes_of_one_topic_are_told_apart_by_their_slice() {
    let version = env!("CARGO_PKG_VERSION");
    let info = |program: &str, more: &str| {
        format!("proofload_run_info{{program=\"{program}\",version=\"{version}\"{more}}}")
    };
    assert_eq!(samples(&text(&verifier()))[info("verifier", r#",slice="1/4""#).as_str()], "1");
    assert_eq!(samples(&text(&bench()))[info("bench", "").as_str()], "1");
}

#[test]
fn violations_are_counted_by_kind() {
    let shared = verifier();
    for offset in 0..3 {
        shared.violations.add(Violation {
            anomaly: Anomaly::Duplicate,
            topic: "t".into(),
            partition: 0,
            offset,
            expected: String::new(),
            found: String::new(),
            evidence: Box::default(),
        });
    }
    let text = text(&shared);
    let samples = samples(&text);
    assert_eq!(samples[r#"proofload_violations_total{anomaly="duplicate"}"#], "3");
    assert_eq!(samples[r#"proofload_violations_total{anomaly="lost-write"}"#], "0");
}

/// The values of a text's samples of the first shard, or of no shard in particular.
fn values(text: &str) -> BTreeSet<u64> {
    let of_shard = samples(text).into_iter().filter(|(series, _)| series.contains(r#"shard="0""#));
    of_shard.filter_map(|(_, value)| value.parse().ok()).collect()
}

#[test]
fn every_counter_of_a_worker_is_in_a_metric() {
    let (shared, workers) = repeater();
    let WorkerStats {
        produced,
        produced_bytes,
        consumed,
        consumed_bytes,
        lost_failed,
        lost_unknown,
        bad_bodies,
        aborted_reads,
        faults,
        replayed,
        tombstones,
        failed_tombstones,
        tombstones_consumed,
        committed_transactions,
        aborted_transactions,
        aborted_records,
        failed_in_transactions,
        before_sent,
        overdue,
        enqueued,
        rebalances,
        partitions,
        settled,
        // That of all workers is shown.
        clock_lead_us: _,
        starting,
    } = &*workers[0];
    let counters = [
        produced,
        produced_bytes,
        consumed,
        consumed_bytes,
        lost_failed,
        lost_unknown,
        bad_bodies,
        aborted_reads,
        faults,
        tombstones,
        failed_tombstones,
        tombstones_consumed,
        committed_transactions,
        aborted_transactions,
        aborted_records,
        failed_in_transactions,
        before_sent,
    ];
    let gauges = [replayed, overdue, enqueued, rebalances, partitions, settled, starting];
    for (number, counter) in (1_000..).zip(counters) {
        counter.add(number);
    }
    for (number, gauge) in (2_000..).zip(gauges) {
        gauge.set(number);
    }
    let expected: BTreeSet<u64> =
        (1_000..).take(counters.len()).chain((2_000..).take(gauges.len())).collect();
    let missing: Vec<_> = expected.difference(&values(&text(&shared))).copied().collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_counter_of_a_producer_is_in_a_metric() {
    let shared = verifier();
    let ProducerStats {
        sent,
        acked,
        acked_bytes,
        bad_offsets,
        restarts,
        fails,
        tombstones,
        failed_transactions,
        aborted_records,
        lost_offsets,
        overdue,
        refused_messages,
        blocked_us,
        deliveries,
        // By partition, and no number: `/status` has it.
        max_offsets: _,
        wants: _,
        // Parts of the others, for a benchmark's result.
        in_time: _,
    } = &*shared.board.get().unwrap().producer.as_ref().unwrap().shards[0];
    let counters = [
        sent,
        acked,
        acked_bytes,
        bad_offsets,
        restarts,
        fails,
        tombstones,
        failed_transactions,
        aborted_records,
        lost_offsets,
        refused_messages,
        deliveries,
    ];
    blocked_us.add(1_500_000);
    for (number, counter) in (1_000..).zip(counters) {
        counter.add(number);
    }
    overdue.set(999);
    let expected: BTreeSet<u64> = (999..).take(counters.len() + 1).collect();
    let missing: Vec<_> = expected.difference(&values(&text(&shared))).copied().collect();
    let text = text(&shared);
    let blocked = samples(&text)[r#"proofload_blocked_seconds_total{topic="t",role="producer",shard="0"}"#];
    assert_eq!(blocked, "1.5");
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_counter_of_a_reader_is_in_a_metric() {
    let shared = verifier();
    let readers = &shared.board.get().unwrap().readers;
    let sequential = readers.iter().find(|reader| reader.kind == ReaderKind::Sequential).unwrap();
    let ReaderStats {
        valid_reads,
        invalid_reads,
        offset_gaps,
        out_of_scope_invalid_reads,
        tombstones_consumed,
        bytes,
        errors,
        lost_offsets,
        max_offsets: _,
        coverage: _,
        in_time: _,
    } = &*sequential.shards[0];
    let counters = [
        valid_reads,
        invalid_reads,
        offset_gaps,
        out_of_scope_invalid_reads,
        tombstones_consumed,
        bytes,
        errors,
    ];
    for (number, counter) in (1_000..).zip(counters) {
        counter.add(number);
    }
    lost_offsets.set(0, 999);
    // All records that were read: those three kinds of them.
    let expected: BTreeSet<u64> = (999..).take(counters.len() + 1).chain([1_000 + 1_001 + 1_003]).collect();
    let missing: Vec<_> = expected.difference(&values(&text(&shared))).copied().collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// All metrics of all programs.
fn described() -> Vec<(String, super::family::About, Vec<&'static str>)> {
    let of = |shared: &Shared| -> Families { catalogue::of(shared) };
    let mut all = of(&verifier()).described();
    for (name, about, labels) in [of(&repeater().0).described(), of(&bench()).described()].concat() {
        match all.iter().find(|(known, ..)| *known == name) {
            Some((_, known, _)) => assert_eq!(*known, about, "{name} is two things"),
            None => all.push((name, about, labels)),
        }
    }
    all.sort_by(|left, right| left.0.cmp(&right.0));
    all
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_documentation_lists_every_metric() {
    let row = |(name, about, labels): (String, super::family::About, Vec<&str>)| {
        let kind = format!("{:?}", about.kind).to_lowercase();
        format!("| `{name}` | {kind} | {} | {} |\n", labels.join(", "), about.help)
    };
    let table: String = described().into_iter().map(row).collect();
    assert!(read("docs/metrics.md").contains(&table), "docs/metrics.md should have this table:\n{table}");
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let mut known = BTreeSet::new();
    for (name, about, _) in described() {
        if about.kind == Kind::Histogram {
            known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        } else {
            known.insert(name);
        }
    }
    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let queries = targets.map(|target| &target["expr"]).chain(variables.iter().map(|list| &list["query"]));
    let mut asked_for = 0;
    for query in queries.filter_map(|query| query.as_str()).filter(|query| *query != "prometheus") {
        let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let words = query.split(|letter| !is_of_name(letter));
        let names: Vec<_> = words.filter(|word| word.starts_with("proofload_")).collect();
        assert!(!names.is_empty(), "{query}");
        for name in names {
            assert!(known.contains(name), "{name} in {query}");
            asked_for += 1;
        }
    }
    assert!(asked_for >= panels.len() - 4, "{asked_for} names on {} panels", panels.len());
}
