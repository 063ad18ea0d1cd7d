//! What a person wants to read when a run is over: what was proven, how fast, and
//! where the time went.

use std::{fmt::Write, time::Duration};

use super::{
    Cost, Shared,
    ending::{Ending, Phase},
    report::moved_in,
};
use crate::{
    config::{Brokers, VerifierConfig},
    findings::{Causes, Stalls, THROTTLED, complaints},
    human::{self, per_second},
    ledger::LedgerStore,
    stats::{Board, LatencyHistogram, ProducerBoard, ReaderBoard, ReaderKind, ReaderTotals},
};
use indicatif::HumanCount;

/// What the workers have done and what that took: the summary's lines behind the verdict. Nothing without workers.
pub(crate) fn lines(config: &VerifierConfig, shared: &Shared, ending: &Ending) -> String {
    let Some(board) = shared.board.get() else { return String::new() };
    let store = LedgerStore::of(&config.ledger_dir, &config.topic, config.producing_slice());
    let summary = Summary {
        config,
        board,
        times: ending.phases(),
        total: ending.elapsed(),
        store: &store,
        stalls: &shared.stalls,
        woken: shared.heartbeats.woken(),
        causes: &shared.causes,
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = summary.write(&mut text);
    text
}

struct Summary<'a> {
    config: &'a VerifierConfig,
    board: &'a Board,
    times: Vec<Phase>,
    total: Duration,
    store: &'a LedgerStore,
    stalls: &'a Stalls,
    /// How often a shard had to be woken.
    woken: u64,
    causes: &'a Causes,
}

impl Summary<'_> {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        if let Some(producer) = &self.board.producer {
            self.produced(text, producer)?;
        }
        for (kind, name) in [
            (ReaderKind::Random, "random"),
            (ReaderKind::Sequential, "sequential"),
            (ReaderKind::Group, "group"),
        ] {
            let readers: Vec<_> = self.board.readers.iter().filter(|reader| reader.kind == kind).collect();
            if !readers.is_empty() {
                self.read(text, name, &readers)?;
            }
        }
        for what in &self.config.common.weaker {
            writeln!(text, "  weaker      {what}")?;
        }
        let stalls = self.stalls.all().len() as u64;
        let throttled_s = complaints().throttled_ms().div_ceil(1_000);
        let unusual = [
            (stalls, "stall(s): see the log, or --report"),
            (throttled_s, THROTTLED),
            (self.woken, "time(s) that a shard was woken"),
        ];
        write_unusual(text, &unusual)?;
        self.causes.write(text)?;
        self.times(text)
    }

    fn produced(&self, text: &mut String, producer: &ProducerBoard) -> std::fmt::Result {
        let (totals, latency) = (producer.raw_totals(), producer.latency());
        let took = self.time_of("produce");
        let rate = rate(totals.acked, totals.acked_bytes, took);
        let (acked, goal) = (HumanCount(totals.acked), HumanCount(producer.goal()));
        writeln!(text, "  produced    {acked} of {goal} records acked where predicted{rate}")?;
        self.limit(text, "produce")?;
        let unusual = [
            (totals.bad_offsets, "acked elsewhere"),
            (totals.restarts, "restart(s)"),
            (totals.fails, "failed"),
            (totals.tombstones, "tombstone(s)"),
            (totals.failed_transactions, "transaction(s) failed and tried again"),
            (totals.aborted_records, "in transactions that were aborted on purpose"),
            (totals.overdue, "due by the rate limit and not sent: latencies omit them"),
            (latency.above_range(), "ack(s) that took more than an hour"),
        ];
        write_unusual(text, &unusual)?;
        let summary = latency.summary();
        let ms = LatencyHistogram::text;
        if latency.count() > 0 {
            writeln!(
                text,
                "  ack latency p50 {}, p90 {}, p99 {}, max {}",
                ms(summary.p50_us),
                ms(summary.p90_us),
                ms(summary.p99_us),
                ms(latency.max_us())
            )?;
        }
        if matches!(self.config.common.brokers, Brokers::Embedded { .. }) {
            // It goes with the cluster that it describes.
            return Ok(());
        }
        writeln!(text, "  ledger      {}", self.store.path().display())
    }

    fn read(&self, text: &mut String, name: &str, readers: &[&ReaderBoard]) -> std::fmt::Result {
        let mut sum = ReaderTotals::default();
        for reader in readers {
            sum += reader.raw_totals();
        }
        let took = self.time_of(&format!("{name} read"));
        let rate = rate(sum.records(), sum.bytes, took);
        let proven = readers.iter().map(|reader| reader.proven()).sum();
        // The verdict speaks of the last one.
        let passes = if readers.iter().any(|reader| reader.passes() > 1) { " in all passes" } else { "" };
        writeln!(text, "  {name:<11} {}{passes}{rate}", proven_of(&sum, proven))?;
        self.limit(text, &format!("{name} read"))?;
        let unusual = [
            (sum.invalid_reads, "invalid"),
            (sum.out_of_scope_invalid_reads, "not in the ledger's scope"),
            (readers.iter().map(|reader| reader.beyond_ledger()).sum(), "beyond the ledger"),
            (sum.offset_gaps, "gap(s) between offsets"),
            (sum.tombstones_consumed, "tombstone(s)"),
            (sum.errors, "error(s) survived"),
            (
                readers.iter().map(|reader| reader.removed()).sum(),
                "acked record(s) removed by retention before they were read",
            ),
        ];
        write_unusual(text, &unusual)
    }

    fn times(&self, text: &mut String) -> std::fmt::Result {
        let phases: Duration = self.times.iter().map(|phase| phase.took).sum();
        let worked = self.times.iter().filter(|phase| phase.took > Duration::from_millis(1));
        let mut parts: Vec<_> =
            worked.map(|phase| format!("{} {}", phase.name, human::duration(phase.took))).collect();
        parts.push(format!("the rest {}", human::duration(self.total.saturating_sub(phases))));
        writeln!(text, "  time        {}: {}", human::duration(self.total), parts.join(", "))?;
        let cost @ Cost { user_ms, system_ms, memory_bytes } = Cost::so_far();
        writeln!(
            text,
            "  cost        {:.2} s CPU in user space, {:.2} s in the kernel ({}), at most {} MiB of memory",
            user_ms as f64 / 1e3,
            system_ms as f64 / 1e3,
            cost.of_cores(self.total),
            memory_bytes >> 20
        )
    }

    /// A limit that was not reached: somebody may have wanted that load.
    fn limit(&self, text: &mut String, phase: &str) -> std::fmt::Result {
        let Some(phase) = self.times.iter().find(|known| known.name == phase) else { return Ok(()) };
        let moved = moved_in(self.config, self.board, phase.name);
        let (Some(limit), Some(false)) = (moved.limit_bytes_per_s, moved.limit_reached(phase)) else {
            return Ok(());
        };
        let reached_bytes_per_s = moved.bytes as f64 / phase.took.as_secs_f64().max(1e-3);
        writeln!(text, "              {}", human::of_limit(reached_bytes_per_s, limit))
    }

    fn time_of(&self, phase: &str) -> Duration {
        self.times.iter().find(|known| known.name == phase).map_or(Duration::ZERO, |known| known.took)
    }
}

/// How much of what was read is proven: the ledger lists it, and it was as it was acked.
fn proven_of(read: &ReaderTotals, proven: u64) -> String {
    if proven == read.valid_reads {
        return format!("{} proven valid", human::count(proven, "record"));
    }
    let proven = if proven == 0 { "none".to_owned() } else { HumanCount(proven).to_string() };
    format!("{} read, {proven} proven valid", human::count(read.records(), "record"))
}

fn write_unusual(text: &mut String, counts: &[(u64, &str)]) -> std::fmt::Result {
    let parts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| human::counted(*count, what))
        .collect();
    if parts.is_empty() { Ok(()) } else { writeln!(text, "              {}", parts.join(", ")) }
}

/// Nothing where there was no time: a phase that never began has no rate.
fn rate(records: u64, bytes: u64, took: Duration) -> String {
    if took.is_zero() {
        return String::new();
    }
    let took_s = took.as_secs_f64().max(1e-3);
    let mib = bytes as f64 / f64::from(1 << 20);
    format!(
        ", {mib:.1} MiB in {}: {}/s, {:.1} MiB/s",
        human::duration(took),
        per_second(records, took),
        mib / took_s
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_ledger_vouches_for_is_proven() {
        let read = ReaderTotals { valid_reads: 1_500, ..ReaderTotals::default() };
        assert_eq!(proven_of(&read, 1_500), "1,500 records proven valid");
        assert_eq!(proven_of(&read, 500), "1,500 records read, 500 proven valid");
        assert_eq!(proven_of(&read, 0), "1,500 records read, none proven valid");
        let some = ReaderTotals { out_of_scope_invalid_reads: 1, valid_reads: 9, ..read };
        assert_eq!(proven_of(&some, 9), "9 records proven valid", "the other one is named apart");
        assert_eq!(proven_of(&some, 3), "10 records read, 3 proven valid");
        assert_eq!(proven_of(&ReaderTotals::default(), 0), "0 records proven valid");
    }
}
