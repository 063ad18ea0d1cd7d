//! `--report`: one JSON document that says what a run was, and what came of it. `docs/report.schema.json` describes it.

use std::{collections::BTreeMap, io, path::PathBuf};

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use super::{
    Cost, Shared,
    ending::{Asked, Ending, Phase},
    error::RunError,
    verdict::{Facts, Failure, Verdict},
};
use crate::{
    clock,
    config::{Brokers, RepeaterConfig, VerifierConfig},
    findings::{Cause, Complaint, Stall, Throttling, Wait, anomaly::Violation, complaints, gaps::Gap},
    ledger::{LedgerStore, files::whole_file},
    partitions::Slice,
    stats::{Board, LatencyHistogram, ProducerBoard, ReaderBoard, ReaderKind, RepeaterBoard, WorkerTotals},
};

/// Of the document's shape. It changes when a name goes or changes its meaning, not when one is added.
const FORMAT: u32 = 2;
/// A rate limit counts as reached from this part of it on.
const REACHED: f64 = 0.95;

/// The document could not be written.
#[derive(Debug, Error)]
#[error("report {}: cannot be written: {source}", path.display())]
pub(crate) struct ReportError {
    path: PathBuf,
    source: io::Error,
}

/// A report that is to be written when the run is over.
pub(crate) struct Report(PathBuf);

#[derive(Serialize)]
struct Document {
    format: u32,
    program: &'static str,
    version: &'static str,
    /// False: the run is under way, or was killed.
    ended: bool,
    verdict: &'static str,
    /// The summary's first line.
    summary: String,
    cause: Option<String>,
    /// All that was asked for was done.
    complete: bool,
    exit_code: u8,
    not_vouched_for: Vec<String>,
    /// By what less is proven.
    weakened_by: Vec<String>,
    interrupted_by: Option<String>,
    started_at_ms: i64,
    ended_at_ms: i64,
    elapsed_ms: u64,
    topics: Vec<String>,
    /// Every flag with its value, as it could be given on the command line.
    flags: BTreeMap<String, Value>,
    ledger: Option<LedgerCoverage>,
    group: Option<Group>,
    workers: Vec<Worker>,
    phases: Vec<PhaseReport>,
    cost: CostReport,
    violation_count: u64,
    violations: Vec<Violation>,
    /// The first offsets between records that nothing explains.
    gaps: Vec<Gap>,
    /// Who stood still although the cluster answered.
    stalls: Vec<Stall>,
    /// What was waited for longer than 10 s.
    waits: Vec<Wait>,
    /// Why things failed that did not end the run.
    causes: Vec<Cause>,
    /// What the Kafka client complained of.
    complaints: Vec<Complaint>,
    /// Brokers that held the run back by a quota.
    throttling: Vec<Throttling>,
    /// How often a shard slept past its timers, and was woken: the kernel had lost what was to wake it.
    shards_woken: u64,
    /// The status array as it was at the end.
    totals: Value,
}

/// What the ledger says, and what of it was read.
#[derive(Serialize)]
struct LedgerCoverage {
    /// Where it is; `null` where it goes with an embedded cluster.
    path: Option<PathBuf>,
    /// Slices whose ledger is not in the folder: nothing is proven of their partitions.
    missing_slices: Vec<Slice>,
    /// Records that it lists.
    acked_records: u64,
    /// Of the last pass of whoever read most: records that the ledger lists, and does not list.
    vouched_records: u64,
    beyond_records: u64,
    /// Acked records that retention had taken.
    removed_records: u64,
    not_shown_records: u64,
    left_out_offsets: u64,
    committed_before_records: u64,
}

#[derive(Serialize)]
pub(crate) struct Group {
    name: String,
    state: String,
    members: usize,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Worker {
    Producer(ProducerReport),
    SequentialReader(ReaderReport),
    RandomReader(ReaderReport),
    GroupReader(ReaderReport),
    Repeater(RepeaterReport),
}

#[derive(Serialize)]
pub(crate) struct ProducerReport {
    complete: bool,
    asked_records: u64,
    sent_records: u64,
    acked_records: u64,
    acked_bytes: u64,
    bad_offsets: u64,
    restarts: u64,
    failed_records: u64,
    tombstones: u64,
    failed_transactions: u64,
    aborted_records: u64,
    lost_offsets: u64,
    /// Due by the rate limit, and not sent: latencies omit them.
    overdue_records: u64,
    ack_latency: Latency,
}

#[derive(Serialize)]
pub(crate) struct ReaderReport {
    complete: bool,
    passes: u64,
    asked_records: u64,
    read_records: u64,
    read_bytes: u64,
    valid_records: u64,
    /// Those of them that the ledger lists.
    proven_records: u64,
    invalid_records: u64,
    out_of_scope_records: u64,
    offset_gaps: u64,
    tombstones: u64,
    lost_offsets: u64,
    removed_records: u64,
    errors: u64,
}

#[derive(Serialize)]
pub(crate) struct RepeaterReport {
    produced_records: u64,
    produced_bytes: u64,
    consumed_records: u64,
    consumed_bytes: u64,
    tokens_held: u64,
    tokens_lost: u64,
    tokens_unknown: u64,
    bad_bodies: u64,
    aborted_reads: u64,
    replayed_records: u64,
    tombstones: u64,
    committed_transactions: u64,
    aborted_transactions: u64,
    errors: u64,
    /// Due by the rate limit, and not sent: latencies omit them.
    overdue_records: u64,
    /// These came before they were sent, by the clocks of both, and are in no latency.
    before_sent_records: u64,
    ack_latency: Latency,
    end_to_end_latency: Latency,
}

#[derive(Serialize)]
struct Latency {
    count: u64,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    max_us: u64,
    /// Longer than an hour, which is all that is known of them.
    above_range: u64,
}

#[derive(Serialize)]
pub(crate) struct PhaseReport {
    name: &'static str,
    elapsed_ms: u64,
    records: u64,
    bytes: u64,
    records_per_s: f64,
    bytes_per_s: f64,
    limit_bytes_per_s: Option<u64>,
    /// `null` without a limit.
    limit_reached: Option<bool>,
}

#[derive(Serialize)]
struct CostReport {
    user_cpu_ms: u64,
    system_cpu_ms: u64,
    max_memory_bytes: u64,
}

/// What was moved in a phase, and how fast it was to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moved {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) limit_bytes_per_s: Option<u64>,
}

impl Moved {
    /// Whether the limit was reached; `None` without one, or after too short a time to tell.
    pub(crate) fn limit_reached(&self, phase: &Phase) -> Option<bool> {
        let (limit, took_s) = (self.limit_bytes_per_s?, phase.took.as_secs_f64());
        (took_s >= 1.0).then(|| self.bytes as f64 / took_s >= REACHED * limit as f64)
    }
}

impl Report {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Writes a document that says that the run has not ended.
    pub(crate) fn begin(&self, ending: &Ending) -> Result<(), ReportError> {
        let cause = "the run has not ended, or was killed".to_owned();
        let failure = Failure { cause, is_usage: false };
        let facts = Facts { failure: Some(failure), ..Facts::default() };
        self.write(&Document { ended: false, ..document(ending, &facts, &Verdict::of(&facts), 3) })
    }

    /// Writes how the run has ended.
    pub(crate) fn end(
        &self,
        ending: &Ending,
        facts: &Facts,
        verdict: &Verdict,
        exit_code: u8,
        error: Option<&RunError>,
    ) -> Result<(), ReportError> {
        let mut document = document(ending, facts, verdict, exit_code);
        if let Some(RunError::Violation(last)) = error {
            document.violations.push((**last).clone());
            document.violation_count += 1;
        }
        if facts.violation.is_some() {
            // One whose evidence did not come along, where a client does not close in time.
            document.violation_count = document.violation_count.max(1);
        }
        self.write(&document)
    }

    fn write(&self, document: &Document) -> Result<(), ReportError> {
        whole_file::replace_with_json(&self.0, document)
            .map_err(|source| ReportError { path: self.0.clone(), source })
    }
}

fn document(ending: &Ending, facts: &Facts, verdict: &Verdict, exit_code: u8) -> Document {
    let (shared, cost) = (ending.shared(), Cost::so_far());
    let shared = shared.as_deref();
    let board = shared.and_then(|shared| shared.board.get());
    let repeater = shared.and_then(|shared| shared.repeater.get());
    Document {
        format: FORMAT,
        program: ending.asked.program(),
        version: env!("CARGO_PKG_VERSION"),
        ended: true,
        verdict: verdict.code(),
        summary: verdict.to_string(),
        cause: verdict.cause(),
        complete: facts.complete,
        exit_code,
        not_vouched_for: facts.not_vouched_for.clone(),
        weakened_by: ending.asked.common().weaker.clone(),
        interrupted_by: facts.interruption.clone(),
        started_at_ms: ending.started_at_ms,
        ended_at_ms: clock::unix_ms(),
        elapsed_ms: millis(ending.elapsed()),
        topics: topics(&ending.asked),
        flags: ending.asked.common().flags.clone(),
        ledger: board.map(|board| coverage(&ending.asked, board)),
        group: repeater.map(|board| group(&ending.asked, board)),
        workers: workers(board, repeater),
        phases: phases(ending, board, repeater),
        cost: CostReport {
            user_cpu_ms: cost.user_ms,
            system_cpu_ms: cost.system_ms,
            max_memory_bytes: cost.memory_bytes,
        },
        violation_count: shared.map_or(0, |shared| shared.violations.count()),
        violations: shared.map(|shared| shared.violations.kept().clone()).unwrap_or_default(),
        gaps: shared.map(|shared| shared.gaps.kept()).unwrap_or_default(),
        stalls: shared.map(|shared| shared.stalls.all().clone()).unwrap_or_default(),
        waits: shared.map(|shared| shared.waits.all().clone()).unwrap_or_default(),
        causes: shared.map(|shared| shared.causes.all().clone()).unwrap_or_default(),
        complaints: complaints().all(),
        throttling: complaints().throttlings(),
        shards_woken: shared.map_or(0, |shared| shared.heartbeats.woken()),
        totals: shared.and_then(Shared::status).unwrap_or_else(|| Value::Array(Vec::new())),
    }
}

pub(crate) fn topics(asked: &Asked) -> Vec<String> {
    match asked {
        Asked::Verifier(config) => vec![config.topic.clone()],
        Asked::Repeater(config) => config.topics.clone(),
        Asked::Bench(config) => config.topics.clone(),
    }
}

fn coverage(asked: &Asked, board: &Board) -> LedgerCoverage {
    let best = board.readers.iter().map(ReaderBoard::coverage).max_by_key(|pass| pass.vouched_for);
    let slices = board.slices();
    let (best, removed) = (best.unwrap_or_default(), board.readers.iter().map(ReaderBoard::removed).max());
    let path = match asked {
        Asked::Verifier(config) if !matches!(config.common.brokers, Brokers::Embedded { .. }) => {
            let store = LedgerStore::of(&config.ledger_dir, &config.topic, config.producing_slice());
            // Of slices there are many: their folder has them.
            let path = if slices.of > 0 { &config.ledger_dir } else { store.path() };
            let path = path.to_owned();
            Some(std::path::absolute(&path).unwrap_or(path))
        }
        _ => None,
    };
    LedgerCoverage {
        path,
        missing_slices: slices.missing.into_iter().map(|(slice, _)| slice).collect(),
        acked_records: board.ledger_acked(),
        vouched_records: best.vouched_for,
        beyond_records: best.beyond_ledger,
        removed_records: removed.unwrap_or(0),
        not_shown_records: best.not_shown,
        left_out_offsets: best.left_out,
        committed_before_records: best.committed_before,
    }
}

pub(crate) fn group(asked: &Asked, board: &RepeaterBoard) -> Group {
    let (view, name) = (
        board.group(),
        match asked {
            Asked::Repeater(config) => config.group.clone(),
            Asked::Verifier(_) | Asked::Bench(_) => String::new(),
        },
    );
    Group { name, state: view.state, members: view.members }
}

pub(crate) fn workers(board: Option<&Board>, repeater: Option<&RepeaterBoard>) -> Vec<Worker> {
    let producer = board.and_then(|board| board.producer.as_ref());
    let producer = producer.map(|board| Worker::Producer(producer_report(board)));
    let readers = board.iter().flat_map(|board| &board.readers).map(|board| {
        let report = reader_report(board);
        match board.kind {
            ReaderKind::Sequential => Worker::SequentialReader(report),
            ReaderKind::Random => Worker::RandomReader(report),
            ReaderKind::Group => Worker::GroupReader(report),
        }
    });
    let repeaters = repeater.iter().flat_map(|board| board.each()).map(|(totals, held, latencies)| {
        let (ack, e2e) = (Latency::of(&latencies.ack), Latency::of(&latencies.e2e));
        Worker::Repeater(repeater_report(&totals, held, ack, e2e))
    });
    producer.into_iter().chain(readers).chain(repeaters).collect()
}

fn producer_report(board: &ProducerBoard) -> ProducerReport {
    let totals = board.raw_totals();
    ProducerReport {
        complete: board.is_complete(),
        asked_records: board.goal(),
        sent_records: totals.sent,
        acked_records: totals.acked,
        acked_bytes: totals.acked_bytes,
        bad_offsets: totals.bad_offsets,
        restarts: totals.restarts,
        failed_records: totals.fails,
        tombstones: totals.tombstones,
        failed_transactions: totals.failed_transactions,
        aborted_records: totals.aborted_records,
        lost_offsets: totals.lost_offsets,
        overdue_records: totals.overdue,
        ack_latency: Latency::of(&board.latency()),
    }
}

fn reader_report(board: &ReaderBoard) -> ReaderReport {
    let totals = board.raw_totals();
    let lost: i64 = totals.lost_offsets.values().sum();
    ReaderReport {
        complete: board.is_complete(),
        passes: board.passes(),
        asked_records: board.goal(),
        read_records: totals.records(),
        read_bytes: totals.bytes,
        valid_records: totals.valid_reads,
        proven_records: board.proven(),
        invalid_records: totals.invalid_reads,
        out_of_scope_records: totals.out_of_scope_invalid_reads,
        offset_gaps: totals.offset_gaps,
        tombstones: totals.tombstones_consumed,
        lost_offsets: lost.max(0).unsigned_abs(),
        removed_records: board.removed(),
        errors: totals.errors,
    }
}

fn repeater_report(totals: &WorkerTotals, held: u64, ack: Latency, e2e: Latency) -> RepeaterReport {
    RepeaterReport {
        produced_records: totals.produced,
        produced_bytes: totals.produced_bytes,
        consumed_records: totals.consumed,
        consumed_bytes: totals.consumed_bytes,
        tokens_held: held,
        tokens_lost: totals.lost_failed,
        tokens_unknown: totals.lost_unknown,
        bad_bodies: totals.bad_bodies,
        aborted_reads: totals.aborted_reads,
        replayed_records: totals.replayed,
        tombstones: totals.tombstones,
        committed_transactions: totals.committed_transactions,
        aborted_transactions: totals.aborted_transactions,
        errors: totals.errors(),
        overdue_records: totals.overdue,
        before_sent_records: totals.before_sent,
        ack_latency: ack,
        end_to_end_latency: e2e,
    }
}

impl Latency {
    fn of(histogram: &LatencyHistogram) -> Self {
        let summary = histogram.summary();
        Self {
            count: histogram.count(),
            p50_us: summary.p50_us,
            p90_us: summary.p90_us,
            p99_us: summary.p99_us,
            max_us: histogram.max_us(),
            above_range: histogram.above_range(),
        }
    }
}

pub(crate) fn phases(
    ending: &Ending,
    board: Option<&Board>,
    repeater: Option<&RepeaterBoard>,
) -> Vec<PhaseReport> {
    let report = |phase: Phase| {
        let moved = match (&ending.asked, board, repeater) {
            (Asked::Verifier(config), Some(board), _) => moved_in(config, board, phase.name),
            (Asked::Repeater(config), _, Some(board)) => echoed(config, board),
            (Asked::Bench(config), Some(board), _) => moved_in(&config.verifier, board, PRODUCE),
            _ => Moved::default(),
        };
        let took_s = phase.took.as_secs_f64().max(1e-3);
        let rate = |count: u64| (count as f64 / took_s * 1e3).round() / 1e3;
        PhaseReport {
            name: phase.name,
            elapsed_ms: millis(phase.took),
            records: moved.records,
            bytes: moved.bytes,
            records_per_s: rate(moved.records),
            bytes_per_s: rate(moved.bytes),
            limit_bytes_per_s: moved.limit_bytes_per_s,
            limit_reached: moved.limit_reached(&phase),
        }
    };
    let phases = ending.phases().into_iter().map(report);
    phases.filter(|phase| phase.records > 0 || phase.elapsed_ms > 0).collect()
}

/// What the verifier has moved in a phase of this name.
pub(crate) fn moved_in(config: &VerifierConfig, board: &Board, phase: &str) -> Moved {
    if let Some(producer) = board.producer.as_ref().filter(|_| phase == PRODUCE) {
        let totals = producer.raw_totals();
        let limit = config.produce.as_ref().and_then(|produce| produce.throughput_bytes_per_s);
        let limit_bytes_per_s = limit.map(|limit| board.share_of(limit.get()));
        return Moved { records: totals.acked, bytes: totals.acked_bytes, limit_bytes_per_s };
    }
    let limit = match phase {
        phase if phase == ReaderKind::Sequential.name() => {
            config.seq_read.as_ref().and_then(|read| read.throughput_bytes_per_s)
        }
        phase if phase == ReaderKind::Group.name() => {
            config.group_read.as_ref().and_then(|read| read.throughput_bytes_per_s)
        }
        _ => None,
    };
    let readers = board.readers.iter().filter(|reader| reader.kind.name() == phase);
    let add = |moved: Moved, reader: &ReaderBoard| {
        let totals = reader.raw_totals();
        Moved { records: moved.records + totals.records(), bytes: moved.bytes + totals.bytes, ..moved }
    };
    let limit_bytes_per_s = limit.map(|limit| board.share_of(limit.get()));
    readers.fold(Moved { limit_bytes_per_s, ..Moved::default() }, add)
}

/// What the repeater has echoed.
pub(crate) fn echoed(config: &RepeaterConfig, board: &RepeaterBoard) -> Moved {
    let totals = board.raw_totals();
    let limit_bytes_per_s = config.rate_limit_bytes_per_s.map(Into::into);
    Moved { records: totals.produced, bytes: totals.produced_bytes, limit_bytes_per_s }
}

/// The producer's phase.
pub(crate) const PRODUCE: &str = "produce";
/// The repeater's, from the first token on.
pub(crate) const REPEAT: &str = "repeat";

pub(crate) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
