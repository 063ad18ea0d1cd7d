//! The control port: what scripts and harnesses ask a run.
//!
//! Any method is accepted on every path, because scripts use PUT and harnesses GET.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    middleware,
    response::{IntoResponse, Response},
    routing::any,
};
use serde::Serialize;
use tokio::sync::oneshot;

use super::{
    guard::{self, Guard},
    live, metrics,
};
use crate::{
    app::{Shared, ending::Asked, logging, status},
    runtime::threads,
};

/// How long an answer waits for somebody to read what was asked for.
const DUMP_LIMIT: Duration = Duration::from_secs(2);

/// The paths and their answers.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let config = shared.ending.asked.common();
    let guard = Guard::new(config.token.clone(), &config.allowed_hosts, config.bind);
    let router = match shared.ending.asked {
        Asked::Verifier(_) | Asked::Bench(_) => Router::new(),
        Asked::Repeater(_) => Router::new().route("/activate", any(activate)),
    };
    router
        .route("/", any(index))
        .route("/status", any(status))
        .route("/v1/status", any(v1_status))
        .route("/v1/events", any(events))
        .route("/metrics", any(metrics))
        .route("/reset", any(reset))
        .route("/last_pass", any(last_pass))
        .route("/shutdown", any(shutdown))
        .route("/print_stack", any(print_stack))
        .fallback(any(|| async { (StatusCode::NOT_FOUND, "no such path\n") }))
        .with_state(shared)
        .layer(middleware::from_fn_with_state(guard, guard::check))
}

/// What there is to ask for; for a browser the page.
async fn index(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if live::wants_page(&headers) { live::page() } else { paths(&shared).into_response() }
}

fn paths(shared: &Shared) -> String {
    let own = match shared.ending.asked {
        Asked::Verifier(_) | Asked::Bench(_) => "",
        Asked::Repeater(_) => "/activate     start producing\n",
    };
    format!(
        "proofload {} {}\n\n\
         /status       one JSON object for each worker\n\
         /v1/status    the run as a whole: phase, rates, verdict so far, what is waited for\n\
         /             in a browser: the run as it goes\n\
         /v1/events    what that page shows, as server-sent events\n\
         /metrics      counters, gauges and latencies for Prometheus\n\
         {own}\
         /last_pass    let the pass under way be the last; ?timeout=N shows all threads if it takes longer than N s\n\
         /reset        zero the counters\n\
         /shutdown     end the process\n\
         /print_stack  every thread and where it waits, on stdout\n",
        shared.ending.asked.program(),
        env!("CARGO_PKG_VERSION")
    )
}

async fn v1_status(State(shared): State<Arc<Shared>>) -> Response {
    json(&status::of(&shared.ending))
}

/// `violations=N`: those that whoever asks has seen already.
async fn events(State(shared): State<Arc<Shared>>, Query(query): Query<Vec<(String, String)>>) -> Response {
    live::events(shared, number(&query, "violations").unwrap_or(0))
}

/// The last number that a query gives under this name; whatever else is said there does no harm.
fn number<N: FromStr>(query: &[(String, String)], name: &str) -> Option<N> {
    let given = query.iter().filter(|(known, _)| known == name);
    given.filter_map(|(_, value)| value.parse().ok()).next_back()
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    metrics::answer(&shared, &headers)
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    match shared.status() {
        Some(status) => json(&status),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the workers do not exist yet\n").into_response(),
    }
}

/// JSON indented by two spaces, as people read it with curl.
fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec_pretty(value) {
        Ok(mut text) => {
            text.push(b'\n');
            ([(CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn reset(State(shared): State<Arc<Shared>>) {
    if let Some(board) = shared.board.get() {
        board.reset();
    }
    if let Some(board) = shared.repeater.get() {
        board.reset();
    }
}

async fn activate(State(shared): State<Arc<Shared>>) {
    shared.lifecycle.activate();
}

/// `timeout=N`: seconds after which a run that has not ended shows where it hangs. Whatever else is said there, and
/// however often, is answered with 200 as well.
async fn last_pass(State(shared): State<Arc<Shared>>, Query(query): Query<Vec<(String, String)>>) {
    shared.lifecycle.request_last_pass();
    if let Some(timeout_s) = number(&query, "timeout") {
        tokio::spawn(dump_if_late(shared, Duration::from_secs(timeout_s)));
    }
}

async fn dump_if_late(shared: Arc<Shared>, timeout: Duration) {
    tokio::time::sleep(timeout).await;
    if !shared.lifecycle.work_is_done() {
        dump_threads(&format!("still running {} s after /last_pass\n", timeout.as_secs())).await;
    }
}

async fn shutdown(State(shared): State<Arc<Shared>>) {
    // The answer is on its way before the exit begins: the server is the last to go.
    tracing::info!("shutdown requested on the control port");
    tokio::spawn(super::shut_down(shared));
}

async fn print_stack() {
    dump_threads("").await;
}

/// Every thread's state on stdout, written by a thread of its own: nobody may be reading there, and this one
/// has a ledger to write. Is over when it is written, or has not been for a while.
async fn dump_threads(title: &str) {
    static WRITING: AtomicBool = AtomicBool::new(false);
    if WRITING.swap(true, Ordering::Relaxed) {
        return;
    }
    let lines: Vec<_> = threads::list().iter().map(ToString::to_string).collect();
    let text = format!("{title}{}", lines.join("\n"));
    let (writer, written) = oneshot::channel();
    std::thread::spawn(move || {
        logging::say(&text);
        WRITING.store(false, Ordering::Relaxed);
        // Who asked may have given up waiting.
        let _ = writer.send(());
    });
    let _ = tokio::time::timeout(DUMP_LIMIT, written).await;
}
