//! What a person wants to read when a benchmark is over: the lines behind the verdict, on one screen.

use std::fmt::Write;

use indicatif::HumanCount;

use super::{
    outcome::Outcome,
    result::{BacklogReport, Latency},
};
use crate::{
    app::{Cost, Shared},
    config::BenchConfig,
    human,
    stats::{Board, LatencyHistogram, ReaderBoard},
};

/// Bytes in a MiB.
pub(super) const MIB: f64 = 1_048_576.0;

/// The lines.
pub(super) fn lines(outcome: &Outcome, config: &BenchConfig, shared: &Shared) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, outcome, config, shared);
    text
}

fn write(text: &mut String, outcome: &Outcome, config: &BenchConfig, shared: &Shared) -> std::fmt::Result {
    let (totals, measured_s) = (outcome.totals(), outcome.window.measured_s());
    let has_readers = config.verifier.has_readers();
    let rate = |records: f64| HumanCount(rounded(records)).to_string();
    if let Some(search) = &outcome.search {
        writeln!(text, "  found       {}", search.in_words(|records| rate(records) + "/s"))?;
    }
    let goal = outcome
        .records_per_s
        .map_or_else(|| " (closed loop)".to_owned(), |goal| format!(" of {}/s", rate(goal)));
    writeln!(
        text,
        "  publish     {}/s{goal}, {:.1} MiB/s, {} in {measured_s:.1} s",
        rate(totals.publish_records_per_s),
        totals.publish_bytes_per_s / MIB,
        human::count(totals.acked_records, "record")
    )?;
    if has_readers {
        let backlog = outcome.window.end().backlog;
        let read = rate(totals.consume_records_per_s);
        writeln!(text, "  read        {read}/s, {} behind at the end", human::count(backlog, "record"))?;
    }
    if let Some(report) = &outcome.backlog {
        backlog(text, report)?;
    }
    writeln!(text, "  latency          p50        p95        p99      p99.9        max")?;
    let latencies = outcome.latencies(has_readers);
    // In a closed loop a record is due when there is room for it.
    let is_open = outcome.records_per_s.is_some();
    let rows = [
        ("publish", Some(latencies.publish)),
        ("  delay", Some(latencies.delay).filter(|_| is_open)),
        ("  service", Some(latencies.service).filter(|_| is_open)),
        ("end to end", latencies.end_to_end),
    ];
    for (name, latency) in rows {
        latency.map_or(Ok(()), |latency| row(text, name, &latency))?;
    }
    let (verdict, reason) = outcome.client();
    writeln!(text, "  client      {verdict}: {reason}")?;
    let busy: Vec<_> =
        outcome.window.shards().iter().map(|shard| format!("{:.0}%", shard.busy * 100.0)).collect();
    let (overdue, cost) = (outcome.window.end().overdue, Cost::so_far());
    writeln!(
        text,
        "              cpu of each shard {}, {} overdue at the end, at most {} MiB of memory",
        busy.join(" "),
        human::count(overdue, "record"),
        cost.memory_bytes >> 20
    )?;
    if let Some(board) = shared.board.get() {
        proof(text, board)?;
    }
    shared.causes.write(text)?;
    for path in [&config.output, &config.hdr, &config.html].into_iter().flatten() {
        writeln!(text, "  result      {}", path.display())?;
    }
    Ok(())
}

fn backlog(text: &mut String, report: &BacklogReport) -> std::fmt::Result {
    let BacklogReport { built_records, built_s, drained_s, drain_records_per_s, .. } = *report;
    let built = human::count(built_records, "record");
    let how = match drained_s {
        Some(drained_s) => {
            format!("drained in {drained_s:.1} s at {}/s", HumanCount(rounded(drain_records_per_s)))
        }
        None => "not drained".to_owned(),
    };
    writeln!(text, "  backlog     {built} in {built_s:.1} s, {how}")
}

fn proof(text: &mut String, board: &Board) -> std::fmt::Result {
    let acked = board.producer.as_ref().map_or(0, |producer| {
        let totals = producer.raw_totals();
        totals.acked.saturating_sub(totals.aborted_records)
    });
    // By each of several groups.
    let by_each = |of: fn(&ReaderBoard) -> u64| board.readers.iter().map(of).min().unwrap_or(0);
    let by = match board.readers.len() {
        0 => {
            return writeln!(
                text,
                "  proof       none: the {} acked records were not read",
                HumanCount(acked)
            );
        }
        1 => String::new(),
        groups => format!(" by each of {groups} groups"),
    };
    if !board.is_complete() {
        // What is missing shows at the logs' ends.
        let read = HumanCount(by_each(|reader| reader.raw_totals().valid_reads).min(acked));
        let acked = HumanCount(acked);
        return writeln!(
            text,
            "  proof       interrupted: {read} of {acked} acked records were read{by}, and valid"
        );
    }
    let (proven, acked) = (HumanCount(by_each(ReaderBoard::proven)), HumanCount(acked));
    writeln!(text, "  proof       {proven} of {acked} acked records proven valid{by}, warm-up included")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never below 0, and saturates")]
fn rounded(rate: f64) -> u64 {
    rate.round() as u64
}

fn row(text: &mut String, name: &str, latency: &Latency) -> std::fmt::Result {
    let Latency { p50_us, p95_us, p99_us, p999_us, max_us, .. } = *latency;
    write!(text, "    {name:<10}")?;
    for value in [p50_us, p95_us, p99_us, p999_us, max_us] {
        write!(text, " {:>10}", short(value))?;
    }
    writeln!(text)
}

/// To the µs, where that is of interest.
fn short(latency_us: u64) -> String {
    match latency_us {
        0..1_000 => format!("{latency_us} µs"),
        1_000..100_000 => format!("{:.2} ms", latency_us as f64 / 1e3),
        _ => LatencyHistogram::text(latency_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_stand_in_columns() {
        let latency = Latency {
            p50_us: 850,
            p95_us: 1_234,
            p99_us: 99_999,
            p999_us: 2_000_000,
            max_us: u64::MAX,
            ..Latency::default()
        };
        let mut text = String::new();
        row(&mut text, "publish", &latency).unwrap();
        assert_eq!(text, "    publish        850 µs    1.23 ms  100.00 ms  2000.0 ms      > 1 h\n");
    }
}
