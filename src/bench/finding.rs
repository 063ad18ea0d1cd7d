//! Looking for the highest rate that holds an objective: each rate that the search names is set, measured and judged.

use std::time::Duration;

use super::{
    client_verdict::ClientVerdict,
    meter::{self, Load, Meter},
    result::{SearchReport, SearchStep},
    search::{self, FIRST_RATE, GaveWay, Measured, Next, Outcome, QUOTA_WINDOW, Search, StepKind},
    why::{Slowest, why},
    window::Window,
};
use crate::{
    config::{BenchConfig, BenchRate, Objective, ObjectiveOn},
    findings::complaints,
    stats::LatencyHistogram,
};

/// How long the acks of a rate are waited for, beyond the objective, before the next rate is tried.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a broker that was given too much may take to come to rest.
const REST: Duration = Duration::from_mins(1);

/// What came of it.
pub(super) struct Found {
    pub(super) report: SearchReport,
    /// The last rate that was measured, records a second.
    pub(super) rate: f64,
    pub(super) window: Window,
    /// Why no rate was found, if none was.
    pub(super) missed: Option<String>,
}

/// Looks for it.
pub(super) fn find(meter: &mut Meter<'_>, config: &BenchConfig, objective: &Objective) -> Found {
    let first = match config.rate {
        BenchRate::Max => FIRST_RATE,
        BenchRate::RecordsPerS(rate) => rate,
    };
    let mut search = Search::new(first);
    let mut report = SearchReport {
        objective: objective.words.clone(),
        objective_on: objective.on.to_string(),
        found_records_per_s: None,
        failed_records_per_s: None,
        gave_way: None,
        held_records_per_s: None,
        interrupted: false,
        steps: Vec::new(),
    };
    let mut last = None;
    while let Next::Try(kind, rate) = search.next() {
        let throttled_ms = complaints().throttled_ms();
        let (settle, measure) = search::times(kind, last.is_none(), config.warmup, config.duration);
        let load = Load { records_per_s: Some(rate), settle, measure, is_last: false };
        let mut window = meter.measure(&load);
        meter.pause();
        meter.settle(&mut window, objective.limit + PATIENCE);
        if meter.is_over() {
            last = Some((rate, window));
            break;
        }
        let throttled_in_ms = complaints().throttled_ms() - throttled_ms;
        let (step, outcome) = judge(meter, &mut window, objective, (kind, rate, throttled_in_ms));
        tell(&step, objective);
        search.tell(outcome);
        report.steps.push(step);
        meter.rest(&mut window, REST);
        if complaints().throttled_ms() > throttled_ms {
            // Or the next rate would pay for this one.
            meter.idle(&mut window, QUOTA_WINDOW);
        }
        last = Some((rate, window));
    }
    meter.end();
    let (rate, window) = last.unwrap_or_else(|| (first, meter.empty()));
    let missed = conclude(&search, &mut report, objective);
    Found { report, rate, window, missed }
}

fn judge(
    meter: &mut Meter<'_>,
    window: &mut Window,
    objective: &Objective,
    (kind, rate, throttled_ms): (StepKind, f64, u64),
) -> (SearchStep, Outcome) {
    meter.close(window);
    let (verdict, _) = meter::verdict(window, Some(rate));
    let latency_us = latency_us(window, objective);
    let measured = Measured {
        rate,
        achieved: window.counts().acked as f64 / window.measured_s(),
        measured_s: window.measured_s(),
        latency: Duration::from_micros(latency_us),
        overdue: window.end().overdue,
        // Of one that reads.
        backlog: window.end().backlog / meter.readings(),
        unanswered: meter.in_flight(),
        is_client_bound: verdict == ClientVerdict::ClientBound,
    };
    let outcome = Outcome::of(&measured, objective.limit, throttled_ms > 0);
    let slowest = window.end().behind.iter().enumerate().max_by_key(|(_, behind)| **behind);
    let slowest = slowest.map(|(index, behind)| Slowest { name: meter.reader_name(index), behind: *behind });
    let step = SearchStep {
        kind: kind.name().to_owned(),
        rate_records_per_s: rate,
        achieved_records_per_s: measured.achieved,
        measured_s: window.measured_s(),
        latency_us,
        overdue_records: measured.overdue,
        backlog_records: measured.backlog,
        throttled_ms,
        held: outcome.gave_way.is_none(),
        gave_way: outcome.gave_way.map(|what| what.name().to_owned()),
        why: outcome.gave_way.map(|what| why(what, &measured, objective.limit, slowest.as_ref())),
    };
    (step, outcome)
}

fn latency_us(window: &Window, objective: &Objective) -> u64 {
    let histogram = match objective.on {
        ObjectiveOn::Publish => &window.total.own.publish,
        ObjectiveOn::EndToEnd => &window.total.end_to_end,
    };
    histogram.percentile_us(objective.percentile)
}

fn tell(step: &SearchStep, objective: &Objective) {
    let latency = LatencyHistogram::text(step.latency_us);
    let how = step.gave_way_in_words().unwrap_or_else(|| "holds".to_owned());
    let percentile = objective.percentile;
    let throttled = match step.throttled_ms {
        0 => String::new(),
        throttled_ms => format!(" (brokers throttled for {:.1} s)", throttled_ms as f64 / 1e3),
    };
    tracing::info!(
        "find-rate ({}): {:.0} records/s: {:.0} acked, {} p{percentile} {latency}: {how}{throttled}",
        step.kind,
        step.rate_records_per_s,
        step.achieved_records_per_s,
        objective.on
    );
}

/// Says what was found, or why nothing was.
fn conclude(search: &Search, report: &mut SearchReport, objective: &Objective) -> Option<String> {
    let high = search.high();
    report.failed_records_per_s = high.map(|(rate, _)| rate);
    report.gave_way = high.map(|(_, what): (f64, GaveWay)| what.name().to_owned());
    report.held_records_per_s = search.low();
    match search.next() {
        Next::Found(rate) => {
            report.found_records_per_s = Some(rate);
            None
        }
        Next::Missed(rate) => {
            let latency = report.steps.last().map_or(0, |step| step.latency_us);
            let what = report.gave_way.as_deref().unwrap_or("latency");
            // A latency has been said.
            let why = report.why().filter(|_| what != GaveWay::Latency.name());
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            Some(format!(
                "not even {rate:.0} records/s hold {} ({}): {} there, and {what} gave way first{why}",
                objective.words,
                objective.on,
                LatencyHistogram::text(latency)
            ))
        }
        // It was stopped.
        Next::Try(..) => {
            report.interrupted = true;
            None
        }
    }
}
