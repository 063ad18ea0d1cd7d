//! `/v1/status`: how a run is doing, under the report's names.

use serde::Serialize;

use super::{
    ending::Ending,
    report::{self, Group, PhaseReport, Worker},
    verdict::Verdict,
};
use crate::findings::Wait;

/// A run at a moment.
#[derive(Serialize)]
pub(crate) struct Status {
    program: &'static str,
    version: &'static str,
    /// `starting`, `working` or `done`.
    state: &'static str,
    /// The part under way; `null` where there is none.
    phase: Option<&'static str>,
    elapsed_ms: u64,
    /// Of what is certain already, the report's code; `null` while all is open.
    verdict: Option<&'static str>,
    cause: Option<String>,
    complete: bool,
    /// How far it has come, in words.
    done: String,
    waits_for: Option<String>,
    violation_count: u64,
    brokers: Brokers,
    group: Option<Group>,
    workers: Vec<Worker>,
    phases: Vec<PhaseReport>,
    waits: Vec<Wait>,
}

#[derive(Serialize)]
struct Brokers {
    up: usize,
    known: usize,
}

/// That of a run.
pub(crate) fn of(ending: &Ending) -> Status {
    let (facts, shared) = (ending.facts(None), ending.shared());
    let shared = shared.as_deref();
    let is_done = shared.is_some_and(|shared| shared.lifecycle.work_is_done());
    let verdict = if is_done { Some(Verdict::of(&facts)) } else { Verdict::so_far(&facts) };
    let phases = ending.phases();
    let under_way = ending.phase_under_way();
    let board = shared.and_then(|shared| shared.board.get());
    let repeater = shared.and_then(|shared| shared.repeater.get());
    let brokers = |count: fn(&super::BrokerCount) -> usize| shared.map_or(0, |shared| count(&shared.brokers));
    Status {
        program: ending.asked.program(),
        version: env!("CARGO_PKG_VERSION"),
        state: match (is_done, phases.is_empty()) {
            (true, _) => "done",
            (false, true) => "starting",
            (false, false) => "working",
        },
        phase: under_way,
        elapsed_ms: report::millis(ending.elapsed()),
        verdict: verdict.as_ref().map(Verdict::code),
        cause: verdict.and_then(|verdict| verdict.cause()),
        complete: facts.complete,
        done: facts.done,
        waits_for: facts.waits_for.filter(|_| !is_done),
        violation_count: shared.map_or(0, |shared| shared.violations.count()),
        brokers: Brokers {
            up: brokers(|count| count.up.load(std::sync::atomic::Ordering::Relaxed)),
            known: brokers(|count| count.known.load(std::sync::atomic::Ordering::Relaxed)),
        },
        group: repeater.map(|board| report::group(&ending.asked, board)),
        workers: report::workers(board, repeater),
        phases: report::phases(ending, board, repeater),
        waits: shared.map(|shared| shared.waits.all().clone()).unwrap_or_default(),
    }
}
