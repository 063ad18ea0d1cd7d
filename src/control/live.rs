//! The page for a browser, and the events that it shows: how a run is doing, twice a second.
//!
//! The page asks for nothing elsewhere, changes nothing, and has no data of its own: it is shown without the token, and asks
//! for one where the events do.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{
        HeaderMap,
        header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use futures_lite::stream;
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    app::{
        Shared, report,
        status::{self, Status},
    },
    stats::{BenchTimes, LatencyHistogram, LatencySummary, ProducerBoard},
};

const PAGE: &str = include_str!("page.html");
/// What the page may do: run what is written in it, and ask whoever it came from.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Between two events.
const EVERY: Duration = Duration::from_millis(500);
/// How often it is looked whether there will be no other.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long one answer goes on: then the page asks again, before the port closes a connection that never ends.
const MOST_EVENTS: u32 = 40;
/// Violations in one event; the rest come with the next ones.
const MOST_VIOLATIONS: usize = 100;

/// Whether whoever asks is a browser that opens a page.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.split([',', ';']).any(|kind| kind.trim() == "text/html"))
}

/// The page.
pub(super) fn page() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, PAGE).into_response()
}

/// What one event says.
#[derive(Serialize)]
struct Event {
    status: Status,
    topics: Vec<String>,
    /// Of the time since the event before.
    latency: Latency,
    /// Of the whole run, for whoever looks on later, or when nothing comes.
    latency_so_far: Latency,
    /// A benchmark's; `null` for other programs.
    bench: Option<Bench>,
    /// Those that were found since the event before.
    violations: Vec<String>,
    /// There is no other event: the process was told to end.
    ended: bool,
}

#[derive(Serialize)]
struct Latency {
    ack: Option<LatencySummary>,
    end_to_end: Option<LatencySummary>,
}

/// How a benchmark is doing. Latencies are of the time since the event before, and of records that were due in the measured time.
#[derive(Serialize)]
struct Bench {
    /// Records a second; `null` in a closed loop.
    goal_records_per_s: Option<f64>,
    #[serde(flatten)]
    latency: BenchLatency,
    /// Of the whole run.
    so_far: BenchLatency,
    /// Due and not sent.
    overdue_records: u64,
    /// Acked and not read; `null` where nobody reads.
    backlog_records: Option<u64>,
}

#[derive(Serialize)]
struct BenchLatency {
    publish: Option<LatencySummary>,
    delay: Option<LatencySummary>,
    end_to_end: Option<LatencySummary>,
}

/// One who looks on, and what was shown already.
struct Viewer {
    shared: Arc<Shared>,
    violations: usize,
    ack: LatencyHistogram,
    end_to_end: LatencyHistogram,
    bench: Option<BenchTimes>,
    /// Events until now.
    events: u32,
    is_over: bool,
}

/// Events for 20 s, or until the process ends, as server-sent ones; of violations those behind so many that were shown.
pub(super) fn events(shared: Arc<Shared>, violations: usize) -> Response {
    let events = stream::unfold(Viewer::new(shared, violations), |mut viewer| async move {
        let event = viewer.next().await?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(events)).into_response()
}

impl Viewer {
    fn new(shared: Arc<Shared>, violations: usize) -> Self {
        let (ack, end_to_end) = latencies(&shared);
        let bench = shared.bench.get().map(|board| board.times().clone());
        Self { shared, violations, ack, end_to_end, bench, events: 0, is_over: false }
    }

    async fn next(&mut self) -> Option<String> {
        if self.is_over || self.events == MOST_EVENTS {
            return None;
        }
        let mut waited = Duration::ZERO;
        while self.events > 0 && waited < EVERY && !self.shared.lifecycle.shutdown_requested() {
            sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
        self.events += 1;
        self.is_over = self.shared.lifecycle.shutdown_requested();
        let event = self.event();
        // Numbers and texts: nothing in it can fail to become JSON.
        Some(format!("data: {}\n\n", serde_json::to_string(&event).unwrap_or_default()))
    }

    fn event(&mut self) -> Event {
        let (ack, end_to_end) = latencies(&self.shared);
        let violations: Vec<_> = {
            let kept = self.shared.violations.kept();
            let new = kept.iter().skip(self.violations).take(MOST_VIOLATIONS);
            new.map(ToString::to_string).collect()
        };
        self.violations += violations.len();
        Event {
            status: status::of(&self.shared.ending),
            topics: report::topics(&self.shared.ending.asked),
            latency_so_far: Latency { ack: summary(&ack), end_to_end: summary(&end_to_end) },
            latency: Latency {
                ack: news(&mut self.ack, ack),
                end_to_end: news(&mut self.end_to_end, end_to_end),
            },
            bench: self.bench(),
            violations,
            ended: self.is_over,
        }
    }

    fn bench(&mut self) -> Option<Bench> {
        let board = self.shared.bench.get()?;
        let now = board.times().clone();
        let before = self.bench.get_or_insert_with(BenchTimes::default);
        Some(Bench {
            goal_records_per_s: board.goal_records_per_s(),
            so_far: BenchLatency {
                publish: summary(&now.own.publish),
                delay: summary(&now.own.delay),
                end_to_end: summary(&now.end_to_end),
            },
            latency: BenchLatency {
                publish: news(&mut before.own.publish, now.own.publish),
                delay: news(&mut before.own.delay, now.own.delay),
                end_to_end: news(&mut before.end_to_end, now.end_to_end),
            },
            overdue_records: board.overdue(),
            backlog_records: board.backlog(),
        })
    }
}

/// Those of acks and from end to end, since the start.
fn latencies(shared: &Shared) -> (LatencyHistogram, LatencyHistogram) {
    if let Some(board) = shared.repeater.get() {
        let latencies = board.latencies_in_all();
        return (latencies.ack, latencies.e2e);
    }
    let producer = shared.board.get().and_then(|board| board.producer.as_ref());
    let end_to_end = shared.bench.get().map(|board| board.times().end_to_end.clone());
    (producer.map(ProducerBoard::latency_in_all).unwrap_or_default(), end_to_end.unwrap_or_default())
}

/// The percentiles of what has come since it was `before`; `None` where that is nothing.
fn news(before: &mut LatencyHistogram, now: LatencyHistogram) -> Option<LatencySummary> {
    let news = now.since(before);
    *before = now;
    summary(&news)
}

/// The percentiles; `None` of nothing.
fn summary(latencies: &LatencyHistogram) -> Option<LatencySummary> {
    (latencies.count() > 0).then(|| latencies.summary())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::ending::{Asked, Ending},
        cli::{self, Command, Program},
        findings::anomaly::{Anomaly, Violation},
        stats::{BenchBoard, Board, ProducerStats},
    };

    fn viewer() -> Viewer {
        let words = "--topic t --produce_msgs 10".split(' ').map(Into::into);
        let Ok(Command::Verifier(config)) = cli::parse(Program::Verifier, words) else { panic!("no flags") };
        let shared = Arc::new(Shared::new(&Ending::begin(Asked::Verifier(config)), 0));
        shared.ending.watch(&shared);
        let producer = ProducerBoard::new(vec![Arc::new(ProducerStats::new(&[0]))]);
        shared.board.set(Board::new("t".into(), Some(producer), Vec::new())).unwrap();
        Viewer::new(shared, 0)
    }

    fn found(viewer: &Viewer, offset: i64) {
        viewer.shared.violations.add(Violation {
            anomaly: Anomaly::Duplicate,
            topic: "t".into(),
            partition: 0,
            offset,
            expected: "a".into(),
            found: "b".into(),
            evidence: Box::default(),
        });
    }

    #[test]
    fn each_violation_and_each_latency_is_shown_once() {
        let mut viewer = viewer();
        let producer = |viewer: &Viewer, latency_us| {
            viewer.shared.board.get().unwrap().producer.as_ref().unwrap().latency().record(latency_us);
        };
        found(&viewer, 1);
        producer(&viewer, 50);
        let first = viewer.event();
        assert_eq!(first.violations, ["duplicate: topic t partition 0 offset 1: expected a, found b"]);
        assert_eq!(first.latency.ack.map(|latency| latency.p99_us), Some(50));
        assert_eq!(first.topics, ["t"]);
        let quiet = viewer.event();
        assert!(quiet.latency.ack.is_none());
        assert_eq!(quiet.latency_so_far.ack.map(|latency| latency.p99_us), Some(50), "but not forgotten");
        (2..150).for_each(|offset| found(&viewer, offset));
        producer(&viewer, 9);
        viewer.shared.board.get().unwrap().reset();
        let next = viewer.event();
        assert_eq!((next.violations.len(), next.latency.ack.map(|latency| latency.p99_us)), (100, Some(9)));
        assert_eq!(viewer.event().violations.len(), 48);
        assert!(viewer.event().violations.is_empty());
        // Whoever asks again says how many there were.
        let mut again = Viewer::new(viewer.shared, 147);
        let event = again.event();
        assert_eq!(event.violations.len(), 2);
        assert!(event.latency.ack.is_none());
    }

    #[test]
    fn a_benchmark_shows_its_three_latencies_and_what_is_behind() {
        let mut viewer = viewer();
        assert!(viewer.event().bench.is_none(), "no benchmark");
        let board = viewer.shared.bench.get_or_init(|| BenchBoard::new(true));
        board.set_goal(Some(500.0));
        board.set_behind(3, 4);
        board.times().own.record(900, 300, 600);
        board.times().end_to_end.record(2_000);
        let shown = viewer.event().bench.unwrap();
        let BenchLatency { publish, delay, end_to_end } = &shown.latency;
        let p99 = |latency: &Option<LatencySummary>| latency.map(|latency| latency.p99_us);
        assert_eq!((p99(publish), p99(delay), p99(end_to_end)), (Some(900), Some(300), Some(2_000)));
        assert_eq!((shown.goal_records_per_s, shown.overdue_records), (Some(500.0), 3));
        assert_eq!(shown.backlog_records, Some(4));
        viewer.shared.bench.get().unwrap().times().end_to_end.record(5_000);
        assert_eq!(p99(&viewer.event().latency.end_to_end).map(|us| us.abs_diff(5_000) <= 50), Some(true));
        // Each is shown once, and to whoever comes when all is over, all of them.
        for viewer in [&mut Viewer::new(viewer.shared.clone(), 0), &mut viewer] {
            let event = viewer.event();
            let next = event.bench.unwrap();
            assert!(next.latency.publish.is_none() && next.latency.end_to_end.is_none());
            assert_eq!((p99(&next.so_far.publish), p99(&next.so_far.delay)), (Some(900), Some(300)));
            assert_eq!(next.so_far.end_to_end, event.latency_so_far.end_to_end);
            assert_eq!(p99(&next.so_far.end_to_end).map(|us| us.abs_diff(5_000) <= 50), Some(true));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_last_event_says_so() {
        let mut viewer = viewer();
        let first = viewer.next().await.unwrap();
        assert!(
            first.starts_with("data: {\"status\":{\"program\":\"verifier\"") && first.ends_with("\n\n"),
            "{first}"
        );
        assert!(first.contains(r#""ended":false"#), "{first}");
        viewer.shared.lifecycle.request_shutdown();
        assert!(viewer.next().await.unwrap().contains(r#""ended":true"#));
        assert_eq!(viewer.next().await, None);
    }

    #[test]
    fn browsers_are_shown_the_page_and_scripts_the_paths() {
        let accepting = |accept: &'static str| [(ACCEPT, accept.parse().unwrap())].into_iter().collect();
        assert!(wants_page(&accepting("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")));
        assert!(wants_page(&accepting("text/html;q=0.9")));
        assert!(!wants_page(&accepting("*/*")) && !wants_page(&HeaderMap::new()));
    }

    #[test]
    fn the_page_asks_for_nothing_elsewhere() {
        for word in ["http://", "https://", "src=", "@import", "url(", "<link", "innerHTML"] {
            assert!(!PAGE.contains(word), "{word}");
        }
        assert!(PAGE.contains("fetch('/v1/events"));
    }
}
