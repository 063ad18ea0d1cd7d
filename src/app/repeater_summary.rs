//! What a person wants to read when a repeater has ended.

use std::{fmt::Write, time::Duration};

use super::{
    Cost, Shared,
    ending::{Ending, Phase},
    report::{REPEAT, echoed},
};
use crate::{
    config::RepeaterConfig,
    findings::{Causes, Stalls, THROTTLED, complaints},
    human::{self, count, per_second},
    stats::{LatencyHistogram, RepeaterBoard, WorkerTotals},
};
use indicatif::HumanCount;

/// What the workers have done and what that took: the summary's lines behind the verdict. Nothing without workers.
pub(crate) fn lines(config: &RepeaterConfig, shared: &Shared, ending: &Ending) -> String {
    let Some(board) = shared.repeater.get() else { return String::new() };
    let worked = ending.phases().iter().map(|phase| phase.took).sum();
    let (stalls, causes, weaker) = (&shared.stalls, &shared.causes, &config.common.weaker);
    let woken = shared.heartbeats.woken();
    let summary = Summary { config, board, stalls, causes, weaker, woken, worked, total: ending.elapsed() };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = summary.write(&mut text);
    text
}

struct Summary<'a> {
    config: &'a RepeaterConfig,
    board: &'a RepeaterBoard,
    stalls: &'a Stalls,
    /// How often a shard had to be woken.
    woken: u64,
    causes: &'a Causes,
    /// By what less is proven.
    weaker: &'a [String],
    /// For how long tokens travelled.
    worked: Duration,
    total: Duration,
}

impl Summary<'_> {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let (totals, latencies, group) =
            (self.board.raw_totals(), self.board.latencies(), self.board.group());
        self.echoed(text, &totals)?;
        let unusual = [
            (totals.lost_failed, "token(s) lost: not written"),
            (totals.lost_unknown, "token(s) lost: written or not, nobody knows"),
            (self.stalls.all().len() as u64, "stall(s): see the log, or --report"),
            (complaints().throttled_ms().div_ceil(1_000), THROTTLED),
            (self.woken, "time(s) that a shard was woken"),
            (totals.replayed, "record(s) that another member consumes again, at most"),
            (totals.bad_bodies, "record(s) without a repeater's body"),
            (totals.aborted_reads, "record(s) of aborted transactions"),
            (totals.faults, "consumer error(s) survived"),
            (totals.tombstones, "tombstone(s)"),
            (totals.failed_tombstones, "tombstone(s) that were not acked"),
            (totals.committed_transactions, "transaction(s) committed"),
            (totals.aborted_transactions, "aborted"),
            (totals.aborted_records, "token(s) of those sent again"),
            (totals.failed_in_transactions, "record(s) that failed in transactions"),
            (totals.overdue, "record(s) that were due by the rate limit and not sent: latencies omit them"),
            (latencies.ack.above_range() + latencies.e2e.above_range(), "latencies of more than an hour"),
        ];
        for (number, what) in unusual.into_iter().filter(|(number, _)| *number > 0) {
            writeln!(text, "              {}", human::counted(number, what))?;
        }
        if totals.before_sent > 0 {
            let (records, lead_s) =
                (count(totals.before_sent, "record"), self.board.clock_lead_us() as f64 / 1e6);
            let what = "came before they were sent, and are in no latency: clocks differ by at least";
            writeln!(text, "              {records} {what} {lead_s:.3} s")?;
        }
        self.causes.write(text)?;
        for what in self.weaker {
            writeln!(text, "  weaker      {what}")?;
        }
        let state = if group.state.is_empty() { "unknown" } else { &group.state };
        let here = count(self.board.enqueued(), "token");
        writeln!(
            text,
            "  group       {state} with {}; {here} in flight when this process stopped",
            count(group.members, "member")
        )?;
        for (name, latency) in [("ack       ", &latencies.ack), ("end to end", &latencies.e2e)] {
            if latency.count() > 0 {
                writeln!(text, "  {name}  {}", percentiles(latency))?;
            }
        }
        self.cost(text, totals.consumed)
    }

    /// How many tokens went round, and how fast.
    fn echoed(&self, text: &mut String, totals: &WorkerTotals) -> std::fmt::Result {
        let worked_s = self.worked.as_secs_f64().max(1e-3);
        let mib = totals.consumed_bytes as f64 / f64::from(1 << 20);
        write!(
            text,
            "  echoed      {} consumed, {} produced",
            count(totals.consumed, "token"),
            HumanCount(totals.produced)
        )?;
        // One that was never told to begin has no rate.
        if self.worked.is_zero() {
            writeln!(text)?;
        } else {
            writeln!(
                text,
                ", {mib:.1} MiB in {}: {}/s, {:.1} MiB/s",
                human::duration(self.worked),
                per_second(totals.consumed, self.worked),
                mib / worked_s
            )?;
        }
        let phase = Phase { name: REPEAT, took: self.worked };
        let moved = echoed(self.config, self.board);
        if let (Some(limit), Some(false)) = (moved.limit_bytes_per_s, moved.limit_reached(&phase)) {
            let reached_bytes_per_s = moved.bytes as f64 / worked_s;
            writeln!(text, "              {}", human::of_limit(reached_bytes_per_s, limit))?;
        }
        Ok(())
    }

    fn cost(&self, text: &mut String, echoed: u64) -> std::fmt::Result {
        let cost @ Cost { user_ms, system_ms, memory_bytes } = Cost::so_far();
        let (user_s, system_s) = (user_ms as f64 / 1e3, system_ms as f64 / 1e3);
        let of_cores = cost.of_cores(self.total);
        write!(
            text,
            "  cost        {user_s:.2} s CPU in user space, {system_s:.2} s in the kernel ({of_cores})"
        )?;
        if echoed > 0 {
            write!(text, ": {:.1} µs for each echo", (user_s + system_s) * 1e6 / echoed as f64)?;
        }
        writeln!(
            text,
            "; at most {} MiB of memory; {} in all",
            memory_bytes >> 20,
            human::duration(self.total)
        )
    }
}

fn percentiles(latency: &LatencyHistogram) -> String {
    let summary = latency.summary();
    let text = LatencyHistogram::text;
    format!(
        "p50 {}, p90 {}, p99 {}, max {}",
        text(summary.p50_us),
        text(summary.p90_us),
        text(summary.p99_us),
        text(latency.max_us())
    )
}
