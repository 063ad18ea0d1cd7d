//! What a person wants to read when a run is over: what was proven, how fast, and
//! where the time went.

use std::{fmt::Write, time::Duration};

use indicatif::HumanCount;
use nix::sys::resource::{UsageWho, getrusage};

use super::{run::RunError, stall::Stalls};
use crate::{
    config::{Brokers, VerifierConfig},
    control::per_second,
    ledger::LedgerStore,
    stats::{Board, LatencyHistogram, ProducerBoard, ReaderBoard, ReaderKind, ReaderTotals},
};

/// A run that is over.
pub(super) struct Summary<'a> {
    pub(super) config: &'a VerifierConfig,
    pub(super) board: &'a Board,
    /// How long each phase took.
    pub(super) times: &'a [(&'static str, Duration)],
    pub(super) total: Duration,
    pub(super) store: &'a LedgerStore,
    pub(super) stalls: &'a Stalls,
    /// The ledger lists something.
    pub(super) has_ledger: bool,
}

impl Summary<'_> {
    /// The text, several lines without the last newline.
    pub(super) fn text(&self, error: Option<&RunError>, stopped: bool) -> String {
        let mut text = format!("\nproofload: {}\n", self.verdict(error, stopped));
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text.trim_end().to_owned()
    }

    /// No more than was shown: only a sequential read, or a new group, sees every record.
    fn verdict(&self, error: Option<&RunError>, stopped: bool) -> String {
        let (seq_read, group_read) = (&self.config.seq_read, &self.config.group_read);
        let whole_log = seq_read.as_ref().is_some_and(|read| read.max_messages.is_none());
        let whole_group =
            group_read.as_ref().is_some_and(|read| read.name.is_none() && read.max_messages.is_none());
        let mut whole = self.board.readers.iter().filter(|reader| match reader.kind {
            ReaderKind::Sequential => whole_log,
            ReaderKind::Group => whole_group,
            ReaderKind::Random => false,
        });
        match error {
            Some(RunError::Violation(violation)) => format!("VIOLATION: {violation}"),
            Some(error @ RunError::Violations { .. }) => format!("VIOLATION: {error}"),
            Some(error) => format!("NOT DONE: {error}"),
            None if let Some(stall) = self.stalls.open() => format!("STALLED: {stall}"),
            None if stopped => "stopped before the end; nothing wrong was found until then".to_owned(),
            None if self.lost() > 0 => {
                let lost = HumanCount(self.lost());
                format!("DONE WITH LOSS: {lost} offsets are lost, which --tolerate-data-loss allows")
            }
            None if whole.any(|reader| reader.raw_totals().valid_reads > 0) => {
                if self.has_ledger {
                    "PROVEN: nothing lost, moved, repeated, reordered or altered".to_owned()
                } else {
                    "DONE: nothing wrong was found in what was read; no ledger says what was acked".to_owned()
                }
            }
            None if self.board.readers.is_empty() => "DONE: acked, and not yet read back".to_owned(),
            None => "DONE: nothing wrong was found in what was read".to_owned(),
        }
    }

    /// Offsets that the readers miss: each of them finds the same. What the producer cut off its ledger they do not know.
    fn lost(&self) -> u64 {
        let lost = |reader: &ReaderBoard| reader.raw_totals().lost_offsets.values().sum::<i64>();
        let missed = self.board.readers.iter().map(lost).max().unwrap_or(0).max(0).unsigned_abs();
        missed + self.board.producer.as_ref().map_or(0, ProducerBoard::lost_offsets)
    }

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
        let stalls = self.stalls.all().len() as u64;
        write_unusual(text, &[(stalls, "stalls: see the log, or --report")])?;
        self.times(text)
    }

    fn produced(&self, text: &mut String, producer: &ProducerBoard) -> std::fmt::Result {
        let (totals, latency) = (producer.raw_totals(), producer.latency());
        let took = self.time_of("produce");
        let rate = rate(totals.acked, totals.acked_bytes, took);
        let (acked, goal) = (HumanCount(totals.acked), HumanCount(producer.goal()));
        writeln!(text, "  produced    {acked} of {goal} records acked where predicted, {rate}")?;
        let unusual = [
            (totals.bad_offsets, "acked elsewhere"),
            (totals.restarts, "restarts"),
            (totals.fails, "failed"),
            (totals.tombstones, "tombstones"),
            (totals.failed_transactions, "transactions failed and tried again"),
            (totals.aborted_records, "in transactions that were aborted on purpose"),
            (producer.overdue(), "due by the rate limit and not sent: latencies omit them"),
            (latency.above_range(), "acks that took more than an hour"),
        ];
        write_unusual(text, &unusual)?;
        let summary = latency.summary();
        let ms = LatencyHistogram::text;
        writeln!(
            text,
            "  ack latency p50 {}, p90 {}, p99 {}, max {}",
            ms(summary.p50_us),
            ms(summary.p90_us),
            ms(summary.p99_us),
            ms(latency.max_us())
        )?;
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
        writeln!(text, "  {name:<11} {} records proven valid, {rate}", HumanCount(sum.valid_reads))?;
        let unusual = [
            (sum.invalid_reads, "invalid"),
            (sum.out_of_scope_invalid_reads, "not in the ledger's scope"),
            (readers.iter().map(|reader| reader.coverage().beyond_ledger).sum(), "beyond the ledger"),
            (sum.offset_gaps, "gaps between offsets"),
            (sum.tombstones_consumed, "tombstones"),
            (sum.errors, "errors survived"),
            (
                readers.iter().map(|reader| reader.removed()).sum(),
                "acked ones gone by retention before they were read",
            ),
        ];
        write_unusual(text, &unusual)
    }

    fn times(&self, text: &mut String) -> std::fmt::Result {
        let phases: Duration = self.times.iter().map(|(_, took)| *took).sum();
        let worked = self.times.iter().filter(|(_, took)| *took > Duration::from_millis(1));
        let mut parts: Vec<_> = worked.map(|(name, took)| format!("{name} {}", seconds(*took))).collect();
        parts.push(format!("the rest {}", seconds(self.total.saturating_sub(phases))));
        writeln!(text, "  time        {}: {}", seconds(self.total), parts.join(", "))?;
        let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Ok(()) };
        let cpu_s = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        writeln!(
            text,
            "  cost        {:.2} s CPU in user space, {:.2} s in the kernel, at most {} MiB of memory",
            cpu_s(usage.user_time()),
            cpu_s(usage.system_time()),
            usage.max_rss() / 1024
        )
    }

    fn time_of(&self, phase: &str) -> Duration {
        self.times.iter().find(|(name, _)| *name == phase).map_or(Duration::ZERO, |(_, took)| *took)
    }
}

fn write_unusual(text: &mut String, counts: &[(u64, &str)]) -> std::fmt::Result {
    let parts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", HumanCount(*count)))
        .collect();
    if parts.is_empty() { Ok(()) } else { writeln!(text, "              {}", parts.join(", ")) }
}

fn rate(records: u64, bytes: u64, took: Duration) -> String {
    let took_s = took.as_secs_f64().max(1e-3);
    let mib = bytes as f64 / f64::from(1 << 20);
    format!("{mib:.1} MiB in {}: {}/s, {:.1} MiB/s", seconds(took), per_second(records, took), mib / took_s)
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
