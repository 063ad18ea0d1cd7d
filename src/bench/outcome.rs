//! What a benchmark has found, as its result.

use std::time::Duration;

use super::{
    client_verdict::ClientVerdict,
    interval_log::IntervalLog,
    machine::machine,
    meter,
    result::{
        BacklogReport, BenchResult, ClientReport, FORMAT, Goal, Latency, LatencyReport, OpenMessaging,
        ProofReport, Proofload, SearchReport, Settings, ShardReport, Totals,
    },
    window::Window,
};
use crate::{
    app::{
        Cost, Shared,
        ending::Ending,
        verdict::{Facts, Verdict},
    },
    config::{BenchConfig, BenchReaders, ClientKind},
    record,
    stats::ReaderBoard,
};

/// What was measured.
pub(super) struct Outcome {
    pub(super) window: Window,
    /// Records a second; `None` for a closed loop.
    pub(super) records_per_s: Option<f64>,
    pub(super) search: Option<SearchReport>,
    pub(super) backlog: Option<BacklogReport>,
    pub(super) kind: ClientKind,
    /// Of each topic, in their order.
    pub(super) partitions: Vec<usize>,
    /// The core of each shard.
    pub(super) cores: Vec<usize>,
    /// What `--hdr` asks for.
    pub(super) log: Option<IntervalLog>,
}

impl Outcome {
    /// Whether the client held the load back, and why.
    pub(super) fn client(&self) -> (ClientVerdict, String) {
        meter::verdict(&self.window, self.records_per_s)
    }

    /// The latencies of all that was measured.
    pub(super) fn latencies(&self, has_readers: bool) -> LatencyReport {
        let total = &self.window.total;
        LatencyReport {
            publish: Latency::of(&total.own.publish),
            delay: Latency::of(&total.own.delay),
            service: Latency::of(&total.own.service),
            end_to_end: has_readers.then(|| Latency::of(&total.end_to_end)),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let (counts, measured_s) = (self.window.counts(), self.window.measured_s());
        Totals {
            sent_records: counts.sent,
            acked_records: counts.acked,
            acked_bytes: counts.acked_bytes,
            failed_records: counts.failed,
            read_records: counts.read,
            read_bytes: counts.read_bytes,
            publish_records_per_s: counts.acked as f64 / measured_s,
            publish_bytes_per_s: counts.acked_bytes as f64 / measured_s,
            consume_records_per_s: counts.read as f64 / measured_s,
        }
    }

    fn client_report(&self) -> ClientReport {
        let (verdict, reason) = self.client();
        let (times, cost) = (self.window.shards(), Cost::so_far());
        let shard = |(core, time): (&usize, &super::client_verdict::ShardTime)| ShardReport {
            core: *core,
            busy_share: time.busy,
            starved_share: time.starved,
        };
        ClientReport {
            verdict: verdict.code().to_owned(),
            reason,
            shards: self.cores.iter().zip(&times).map(shard).collect(),
            slot_wait_share: times.iter().map(|time| time.slot_wait).fold(0.0, f64::max),
            overdue_records: self.window.end().overdue,
            max_memory_bytes: cost.memory_bytes,
            cpu_s: times.iter().map(|time| time.busy).sum::<f64>() * self.window.measured_s(),
        }
    }
}

/// The document.
pub(super) fn document(
    outcome: &Outcome,
    config: &BenchConfig,
    (ending, shared): (&Ending, &Shared),
    facts: &Facts,
) -> BenchResult {
    let verdict = Verdict::of(facts);
    let has_readers = config.verifier.has_readers();
    let settings = settings(outcome, config);
    let open_messaging = OpenMessaging {
        workload: config.workload.clone().unwrap_or_else(|| workload(&settings)),
        driver: config.driver.clone().unwrap_or_else(|| format!("proofload-{}", settings.client)),
        message_size: settings.message_bytes as u64,
        topics: count(config.topics.len()),
        partitions: count(settings.partitions),
        producers_per_topic: count(outcome.cores.len()),
        consumers_per_topic: match config.readers {
            BenchReaders::Direct => count(outcome.cores.len()),
            BenchReaders::None => 0,
            // Of a subscription.
            BenchReaders::Groups { members, .. } => count(members.get()),
        },
        ..outcome.window.open_messaging.clone()
    };
    let proofload = Proofload {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        proof: proof(&verdict, facts, ending.exit_code(&verdict), shared),
        client: outcome.client_report(),
        machine: machine(),
        settings,
        started_at_ms: ending.started_at_ms,
        measured_s: outcome.window.measured_s(),
        totals: outcome.totals(),
        latencies: outcome.latencies(has_readers),
        samples: outcome.window.samples.clone(),
        search: outcome.search.clone(),
        backlog: outcome.backlog,
    };
    BenchResult { open_messaging, proofload }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn settings(outcome: &Outcome, config: &BenchConfig) -> Settings {
    let produce = config.verifier.produce.as_ref();
    let is_transactional = produce.is_some_and(|produce| produce.transactions.is_some());
    let client = match outcome.kind {
        ClientKind::Wire => "wire",
        ClientKind::Librdkafka => "librdkafka",
    };
    let seconds = |time: Duration| time.as_secs_f64();
    Settings {
        client: client.to_owned(),
        topics: config.topics.clone(),
        partitions: outcome.partitions.iter().copied().max().unwrap_or(0),
        goal: outcome
            .records_per_s
            .map_or(Goal::ClosedLoop, |records_per_s| Goal::OpenLoop { records_per_s }),
        message_bytes: produce.map_or(0, |produce| produce.value_bytes),
        key_and_header_bytes: record::key_and_header_bytes(is_transactional),
        readers: config.readers.to_string(),
        duration_s: seconds(config.duration),
        warmup_s: seconds(config.warmup),
        flags: config.verifier.common.flags.clone(),
    }
}

/// A name that tells runs of another kind apart, and that may be one of a file.
fn workload(settings: &Settings) -> String {
    let rate = match settings.goal {
        Goal::OpenLoop { records_per_s } => format!("{records_per_s:.0} a second"),
        Goal::ClosedLoop => "max".to_owned(),
    };
    let Settings { topics, partitions, message_bytes, .. } = settings;
    let topics = crate::human::count(topics.len(), "topic");
    format!("{topics}, {partitions} partitions, {message_bytes} B, {rate}")
}

fn proof(verdict: &Verdict, facts: &Facts, exit_code: u8, shared: &Shared) -> ProofReport {
    let board = shared.board.get();
    let acked =
        board.and_then(|board| board.producer.as_ref()).map_or(0, |producer| producer.raw_totals().acked);
    let readers = board.map(|board| board.readers.as_slice()).unwrap_or_default();
    ProofReport {
        verdict: verdict.code().to_owned(),
        summary: verdict.to_string(),
        complete: facts.complete,
        exit_code,
        acked_records: acked,
        read_records: readers.iter().map(|reader| reader.raw_totals().records()).sum(),
        proven_records: readers.iter().map(ReaderBoard::proven).sum(),
        not_vouched_for: facts.not_vouched_for.clone(),
    }
}
