//! `--report`: one JSON document that says what a run was, and what came of it.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    clock,
    control::Shared,
    findings::{Cause, Wait},
    stats::{LatencyHistogram, LatencySummary},
    verifier::{anomaly::Violation, gaps::Gap, run::RunError, stall::Stall},
    whole_file,
};

/// The document could not be written.
#[derive(Debug, Error)]
#[error("report {}: cannot be written: {source}", path.display())]
pub struct ReportError {
    path: PathBuf,
    source: io::Error,
}

/// A report that is to be written when the run is over.
pub struct Report {
    path: PathBuf,
    program: &'static str,
    configuration: Value,
    started_at_ms: i64,
    clock: Instant,
}

#[derive(Serialize)]
struct Document<'a> {
    /// Of the document's shape.
    format: u32,
    program: &'static str,
    version: &'static str,
    started_at_ms: i64,
    took_s: f64,
    exit_code: u8,
    verdict: String,
    configuration: &'a Value,
    /// The status array as it was at the end.
    totals: Value,
    latencies_us: Value,
    phases_s: Value,
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
}

#[derive(Serialize)]
struct Latency {
    #[serde(flatten)]
    percentiles: LatencySummary,
    max: u64,
    count: u64,
}

impl Report {
    /// Finds out whether the document can be written, before there is anything to lose.
    ///
    /// # Errors
    /// It cannot.
    pub fn prepare(
        path: Option<&Path>,
        program: &'static str,
        configuration: &impl Serialize,
    ) -> Result<Option<Self>, ReportError> {
        let Some(path) = path else { return Ok(None) };
        whole_file::probe(path).map_err(|source| ReportError { path: path.to_owned(), source })?;
        // Numbers, texts and lists: nothing in it can fail to become JSON.
        let configuration = serde_json::to_value(configuration).unwrap_or_default();
        let (path, started_at_ms, clock) = (path.to_owned(), clock::unix_ms(), Instant::now());
        Ok(Some(Self { path, program, configuration, started_at_ms, clock }))
    }

    /// Writes it.
    ///
    /// # Errors
    /// The system refused.
    pub fn write(
        &self,
        shared: &Shared,
        error: Option<&RunError>,
        phases: &[(&'static str, Duration)],
    ) -> Result<(), ReportError> {
        let mut violations = shared.violations.kept().clone();
        let mut violation_count = shared.violations.count();
        if let Some(RunError::Violation(violation)) = error {
            violations.push((**violation).clone());
            violation_count += 1;
        }
        let document = Document {
            format: 1,
            program: self.program,
            version: env!("CARGO_PKG_VERSION"),
            started_at_ms: self.started_at_ms,
            took_s: self.clock.elapsed().as_secs_f64(),
            exit_code: error.map_or(0, RunError::exit_code),
            verdict: verdict(shared, error),
            configuration: &self.configuration,
            totals: shared.status().unwrap_or_default(),
            latencies_us: latencies(shared),
            phases_s: phases
                .iter()
                .map(|(name, took)| ((*name).to_owned(), json!(took.as_secs_f64())))
                .collect(),
            violation_count,
            violations,
            gaps: shared.gaps.kept(),
            stalls: shared.stalls.all().clone(),
            waits: shared.waits.all().clone(),
            causes: shared.causes.all().clone(),
        };
        let text = serde_json::to_vec_pretty(&document).unwrap_or_default();
        whole_file::replace(&self.path, &text)
            .map_err(|source| ReportError { path: self.path.clone(), source })
    }
}

fn verdict(shared: &Shared, error: Option<&RunError>) -> String {
    match (error, shared.stalls.open()) {
        (Some(error), _) => error.to_string(),
        (None, Some(stall)) => format!("stalled: {stall}"),
        (None, None) => "nothing wrong was found".to_owned(),
    }
}

fn latencies(shared: &Shared) -> Value {
    if let Some(board) = shared.repeater.get() {
        let latencies = board.latencies();
        return json!({ "ack": latency(&latencies.ack), "e2e": latency(&latencies.e2e) });
    }
    match shared.board.get().and_then(|board| board.producer.as_ref()) {
        Some(producer) => json!({ "ack": latency(&producer.latency()) }),
        None => json!({}),
    }
}

fn latency(histogram: &LatencyHistogram) -> Latency {
    Latency { percentiles: histogram.summary(), max: histogram.max_us(), count: histogram.count() }
}
