//! The charts of a result.

use super::super::result::{BenchResult, Goal, OpenMessaging, Proofload, Quantiles, Sample, SampleLatency};
use crate::html::{Chart, Html, Line, Quantity};

/// The latencies of a result that have a percentile curve: the name, the curve, its unit in µs, and how many records it is of.
type Curve = (&'static str, fn(&OpenMessaging) -> &Quantiles, f64, fn(&Proofload) -> u64);

/// All of them.
pub(crate) const CURVES: [Curve; 3] = [
    (
        "publish",
        |result| &result.aggregated_publish_latency_quantiles,
        1_000.0,
        |run| run.latencies.publish.count,
    ),
    (
        "delay",
        |result| &result.aggregated_publish_delay_latency_quantiles,
        1.0,
        |run| run.latencies.delay.count,
    ),
    (
        "end to end",
        |result| &result.aggregated_end_to_end_latency_quantiles,
        1_000.0,
        |run| run.latencies.end_to_end.map_or(0, |latency| latency.count),
    ),
];

pub(super) fn add(body: &mut Html, result: &BenchResult) {
    let run = &result.proofload;
    let median: fn(&SampleLatency) -> u64 = |latency| latency.p50_us;
    let charts = [
        throughput(run),
        Chart {
            title: "Percentile curves",
            x: Quantity::Percentile,
            y: Quantity::LatencyUs,
            lines: CURVES.iter().filter_map(|of| curve(result, of, of.0)).collect(),
        },
        over_time("Latency over time: p99 of each second", latencies(run, |latency| latency.p99_us)),
        over_time("Latency over time: median of each second", latencies(run, median)),
        over_time("Latency over time: slowest of each second", latencies(run, |latency| latency.max_us)),
        behind(run),
        cpu(run),
        memory(run),
    ];
    for chart in charts {
        body.add(&chart.draw());
    }
}

fn over_time(title: &str, lines: Vec<Line>) -> Chart<'_> {
    Chart { title, x: Quantity::ElapsedS, y: Quantity::LatencyUs, lines }
}

/// A line of something that each second has.
fn line(run: &Proofload, name: &str, of: impl Fn(&Sample) -> Option<f64>) -> Line {
    Line::new(name, run.samples.iter().map(|sample| (sample.at_s, of(sample))))
}

fn throughput(run: &Proofload) -> Chart<'static> {
    let per_s = |records: u64, sample: &Sample| Some(records as f64 / sample.took_s.max(1e-3));
    let mut lines = vec![line(run, "acked", |sample| per_s(sample.acked_records, sample))];
    if has_readers(run) {
        lines.push(line(run, "read", |sample| per_s(sample.read_records, sample)));
    }
    if let Goal::OpenLoop { records_per_s } = run.settings.goal {
        lines.push(line(run, "goal", |_| Some(records_per_s)));
    }
    Chart { title: "Throughput", x: Quantity::ElapsedS, y: Quantity::PerSecond, lines }
}

fn has_readers(run: &Proofload) -> bool {
    run.latencies.end_to_end.is_some()
}

/// The three latencies of each second, as far as the run has them. A second without records has none.
pub(crate) fn latencies(run: &Proofload, of: fn(&SampleLatency) -> u64) -> Vec<Line> {
    let known = |latency: SampleLatency| (latency.count > 0).then(|| of(&latency) as f64);
    let mut lines = vec![line(run, "publish", |sample| known(sample.publish))];
    // In a closed loop a record is due when there is room for it.
    if matches!(run.settings.goal, Goal::OpenLoop { .. }) {
        lines.push(line(run, "delay", |sample| known(sample.delay)));
    }
    if has_readers(run) {
        lines.push(line(run, "end to end", |sample| known(sample.end_to_end?)));
    }
    lines
}

/// A percentile curve under a name; `None` where nothing was recorded.
pub(crate) fn curve(result: &BenchResult, (.., of, unit_us, count): &Curve, name: &str) -> Option<Line> {
    let count = count(&result.proofload);
    // Of so many records, percentiles beyond this are all the slowest one.
    let last = 100.0 * (1.0 - 1.0 / (count.max(2) as f64));
    let points = of(&result.open_messaging).0.iter();
    let points = points.map(|(percentile, latency)| (percentile.min(last), Some(latency * unit_us)));
    (count > 0).then(|| Line::new(name, points))
}

fn behind(run: &Proofload) -> Chart<'static> {
    let mut lines = vec![line(run, "due and not sent", |sample| Some(sample.overdue_records as f64))];
    if has_readers(run) {
        lines.push(line(run, "acked and not read", |sample| Some(sample.backlog_records as f64)));
    }
    Chart { title: "Records behind", x: Quantity::ElapsedS, y: Quantity::Count, lines }
}

fn cpu(run: &Proofload) -> Chart<'static> {
    let shards = run.samples.iter().map(|sample| sample.busy_shares.len()).max().unwrap_or(0);
    let of =
        |pick: fn(f64, f64) -> f64| move |sample: &Sample| sample.busy_shares.iter().copied().reduce(pick);
    let lines = if shards > 1 {
        vec![line(run, "busiest shard", of(f64::max)), line(run, "idlest shard", of(f64::min))]
    } else {
        vec![line(run, "the shard", of(f64::max))]
    };
    Chart { title: "Client: time on its cores", x: Quantity::ElapsedS, y: Quantity::Share, lines }
}

fn memory(run: &Proofload) -> Chart<'static> {
    let lines =
        vec![line(run, "memory of the process", |sample| Some(sample.memory_bytes as f64 / super::MIB))];
    Chart { title: "Client: memory, MiB", x: Quantity::ElapsedS, y: Quantity::Count, lines }
}
