//! Showing how a run is doing while it does it: a line that changes, or a log line every few seconds.

use std::{
    collections::VecDeque,
    io::stderr,
    time::{Duration, Instant},
};

use indicatif::HumanCount;

use crate::{
    config::ProgressMode,
    human::{count, per_second, span},
    stats::{Board, LatencyHistogram, RepeaterBoard},
    terminal,
};

/// How often the work is looked at, and the line that changes does.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Looks over which the line's rates are taken: over a single one they jump.
const LOOKS: usize = 10;
/// When the first log line comes after the work began, and how often the others do.
const FIRST_LINE: Duration = Duration::from_secs(2);
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Cells of the bar itself, between its brackets.
const BAR_CELLS: std::ops::RangeInclusive<usize> = 8..=30;
/// Behind a terminal whose width nobody knows.
const USUAL_COLUMNS: usize = 80;

pub(super) struct Progress {
    mode: ProgressMode,
    /// When it is looked again, and when the next log line comes.
    look: Instant,
    line: Instant,
    worker: &'static str,
    /// What the worker had done, the oldest first: rates are since then.
    samples: VecDeque<Sample>,
}

/// What the active worker had done at a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    records: u64,
    bytes: u64,
}

/// What is shown of the active worker.
#[derive(Debug)]
struct View {
    worker: &'static str,
    sample: Sample,
    /// What there is to do; `None`: there is no end to it, or it is behind.
    goal: Option<u64>,
    /// How long it has taken, and how long it may take, where it is to end by then, done or not.
    time: Option<(Duration, Duration)>,
    /// Behind the name, with how much it matters.
    facts: Vec<Part>,
    latencies: Vec<Part>,
    word: &'static str,
}

/// A piece of the line.
#[derive(Clone, Debug)]
struct Part {
    text: String,
    /// The lower, the longer it stays when the line becomes short.
    rank: u8,
}

impl Progress {
    pub(super) fn new(mode: ProgressMode) -> Self {
        let now = Instant::now();
        Self { mode, look: now, line: now, worker: "", samples: VecDeque::new() }
    }

    /// Shows the worker that is at work now, when it is time to. `time`: how long it has worked, and how long it may.
    pub(super) fn show(&mut self, board: &Board, time: impl FnOnce() -> Option<(Duration, Duration)>) {
        self.show_view(|| Some(View { time: time(), ..view(board)? }));
    }

    /// Shows a repeater, which has no goal, when it is time to. `time`: how long it has worked, and how long it may.
    pub(super) fn show_repeater(
        &mut self,
        board: &RepeaterBoard,
        time: impl FnOnce() -> Option<(Duration, Duration)>,
    ) {
        self.show_view(|| Some(View { time: time(), ..repeater_view(board) }));
    }

    fn show_view(&mut self, view: impl FnOnce() -> Option<View>) {
        let now = Instant::now();
        if self.mode == ProgressMode::Never || now < self.look {
            return;
        }
        self.look = now + LOOK_EVERY;
        let Some(view) = view() else {
            self.worker = "";
            return terminal::clear();
        };
        if view.worker != self.worker {
            self.worker = view.worker;
            self.samples = VecDeque::from([view.sample]);
            self.line = now + FIRST_LINE;
            return terminal::clear();
        }
        let Some(since) = self.samples.front() else { return };
        match self.mode {
            ProgressMode::Bar => {
                let columns = terminal::columns(stderr()).unwrap_or(USUAL_COLUMNS);
                terminal::draw(line(&view, since).fit(columns));
                self.samples.push_back(view.sample);
                if self.samples.len() > LOOKS {
                    self.samples.pop_front();
                }
            }
            _ if now >= self.line => {
                tracing::info!("{}: {}", view.worker, line(&view, since).whole());
                self.samples = VecDeque::from([view.sample]);
                self.line = now + LINE_EVERY;
            }
            _ => {}
        }
    }
}

/// The first worker whose work is not done.
fn view(board: &Board) -> Option<View> {
    let mut sample = Sample { at: Instant::now(), records: 0, bytes: 0 };
    if let Some(producer) = board.producer.as_ref().filter(|producer| producer.is_active()) {
        let totals = producer.raw_totals();
        (sample.records, sample.bytes) = (totals.acked, totals.acked_bytes);
        return Some(View {
            worker: "produce",
            sample,
            goal: goal(sample.records, producer.goal()),
            time: None,
            facts: Vec::new(),
            latencies: measured("ack", &producer.latency(), 6).into_iter().collect(),
            word: "acked",
        });
    }
    let kind = board.readers.iter().find(|reader| reader.is_active())?.kind;
    let mut of = 0;
    for reader in board.readers.iter().filter(|reader| reader.kind == kind) {
        let totals = reader.raw_totals();
        sample.records += totals.valid_reads;
        sample.bytes += totals.bytes;
        of += reader.goal();
    }
    Some(View {
        worker: kind.name(),
        sample,
        goal: goal(sample.records, of),
        time: None,
        facts: Vec::new(),
        latencies: Vec::new(),
        word: "validated",
    })
}

/// Readers that loop, or wait for more, are soon beyond what there was when they began.
fn goal(records: u64, goal: u64) -> Option<u64> {
    (records <= goal).then_some(goal)
}

fn repeater_view(board: &RepeaterBoard) -> View {
    let (totals, group, latencies) = (board.raw_totals(), board.group(), board.latencies());
    let group = if group.state.is_empty() {
        "group unknown".to_owned()
    } else {
        format!("group {}, {}", group.state, count(group.members, "member"))
    };
    let tokens = count(board.enqueued(), "token");
    View {
        worker: "repeat",
        sample: Sample { at: Instant::now(), records: totals.consumed, bytes: totals.consumed_bytes },
        goal: None,
        time: None,
        facts: vec![part(2, group), part(4, format!("{tokens} here"))],
        latencies: [measured("ack", &latencies.ack, 6), measured("end to end", &latencies.e2e, 3)]
            .into_iter()
            .flatten()
            .collect(),
        word: "",
    }
}

/// Nothing before there is something to measure.
fn measured(of: &str, latency: &LatencyHistogram, rank: u8) -> Option<Part> {
    let summary = latency.summary();
    (latency.count() > 0).then(|| percentiles(of, summary.p50_us, summary.p99_us, rank))
}

fn percentiles(of: &str, p50_us: u64, p99_us: u64, rank: u8) -> Part {
    let (p50, p99) = (LatencyHistogram::text(p50_us), LatencyHistogram::text(p99_us));
    part(rank, format!("{of} p50 {p50} p99 {p99}"))
}

fn part(rank: u8, text: String) -> Part {
    Part { text, rank }
}

/// Name, then what matters, in the order in which it is read.
struct Line {
    name: &'static str,
    /// How much is done, 0 to 1.
    done: Option<f64>,
    parts: Vec<Part>,
}

/// Rates are since an earlier sample.
fn line(view: &View, since: &Sample) -> Line {
    let View { worker, sample, goal, time, facts, latencies, word } = view;
    let took = sample.at.duration_since(since.at);
    let records = sample.records.saturating_sub(since.records);
    let mib = sample.bytes.saturating_sub(since.bytes) as f64 / f64::from(1 << 20);
    let mib_per_s = mib / took.as_secs_f64().max(1e-3);
    let of_goal = goal.filter(|goal| *goal > 0).map(|goal| sample.records as f64 / goal as f64);
    let of_time = time.map(|(taken, limit)| taken.as_secs_f64() / limit.as_secs_f64().max(1e-3));
    // Whichever comes first ends it. Time that is up is no goal: the rest of the work is being drained.
    let done = of_goal.into_iter().chain(of_time.map(|part| part.min(0.99))).reduce(f64::max);
    let mut parts = Vec::new();
    // Rounded down: only what is done is 100 %.
    parts.extend(done.map(|done| part(0, format!("{:.0}%", (done * 100.0).floor()))));
    parts.extend(facts.iter().cloned());
    if !word.is_empty() {
        let of = goal.map(|goal| format!(" of {}", HumanCount(goal))).unwrap_or_default();
        parts.push(part(2, format!("{}{of} {word}", HumanCount(sample.records))));
    }
    parts.push(part(1, format!("{}/s", per_second(records, took))));
    parts.push(part(5, format!("{mib_per_s:.1} MiB/s")));
    parts.extend(latencies.iter().cloned());
    let left = goal.map_or(0, |goal| goal - sample.records);
    let by_rate = time_left(left, records, took);
    let by_clock = time.map(|(taken, limit)| limit.saturating_sub(taken));
    let left = by_rate.into_iter().chain(by_clock).min();
    parts.extend(
        left.filter(|_| by_clock != Some(Duration::ZERO)).map(|time| part(3, format!("{} left", span(time)))),
    );
    Line { name: worker, done, parts }
}

/// Nobody knows when work that stands still will be done.
fn time_left(left: u64, records: u64, took: Duration) -> Option<Duration> {
    const ALL_TIME: Duration = Duration::from_hours(100 * 365 * 24);
    if left == 0 || records == 0 {
        return None;
    }
    let time = Duration::try_from_secs_f64(left as f64 / records as f64 * took.as_secs_f64()).ok()?;
    (time < ALL_TIME).then_some(time)
}

impl Line {
    /// Everything, for the log.
    fn whole(&self) -> String {
        let parts: Vec<_> = self.parts.iter().map(|part| part.text.as_str()).collect();
        parts.join(", ")
    }

    /// What has room on a terminal, without its last column, behind which some begin a new line: the least important
    /// goes first, and the bar before what only few look at.
    fn fit(&self, columns: usize) -> String {
        const BAR_RANK: u8 = 4;
        /// Blank and brackets.
        const AROUND_BAR: usize = 3;
        let room = columns.saturating_sub(1);
        let mut used = self.name.len();
        let mut shown = vec![false; self.parts.len()];
        let mut bar = None;
        for rank in 0..=u8::MAX {
            for (place, part) in self.parts.iter().enumerate().filter(|(_, part)| part.rank == rank) {
                let width = part.text.chars().count() + ", ".len();
                // The first one has a blank in front and no comma.
                let width = if shown.contains(&true) { width } else { width - 1 };
                if used + width <= room {
                    shown[place] = true;
                    used += width;
                }
            }
            let least = BAR_CELLS.start() + AROUND_BAR;
            if rank == BAR_RANK && self.done.is_some() && used + least <= room {
                bar = Some(*BAR_CELLS.start());
                used += least;
            }
        }
        let bar = bar
            .zip(self.done)
            .map(|(cells, done)| drawn_bar((cells + room - used).min(*BAR_CELLS.end()), done));
        let parts: Vec<_> = self.parts.iter().zip(shown).filter(|(_, shown)| *shown).collect();
        let parts: Vec<_> = parts.iter().map(|(part, _)| part.text.as_str()).collect();
        let mut text = format!("{}{} {}", self.name, bar.unwrap_or_default(), parts.join(", "));
        text.truncate(text.trim_end().len());
        text.chars().take(room).collect()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a few cells")]
fn drawn_bar(cells: usize, done: f64) -> String {
    let full = ((done * cells as f64) as usize).min(cells);
    format!(" [{}{}]", "#".repeat(full), "-".repeat(cells - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn produced(records: u64, goal: Option<u64>, after_ms: u64) -> (View, Sample) {
        let start = Instant::now();
        let since = Sample { at: start, records: 1_000, bytes: 0 };
        let sample = Sample { at: start + Duration::from_millis(after_ms), records, bytes: 4 << 20 };
        let latencies = vec![percentiles("ack", 1_000, 2_500, 6)];
        (View { worker: "produce", sample, goal, time: None, facts: vec![], latencies, word: "acked" }, since)
    }

    fn repeated() -> (View, Sample) {
        let (view, since) = produced(5_000, None, 2_000);
        let facts = vec![part(2, "group Stable, 4 members".into()), part(4, "256 tokens here".into())];
        let latencies = vec![percentiles("ack", 900, 2_100, 6), percentiles("end to end", 4_000, 9_900, 3)];
        (View { worker: "repeat", facts, latencies, word: "", ..view }, since)
    }

    fn fit(columns: usize, (view, since): (View, Sample)) -> String {
        line(&view, &since).fit(columns)
    }

    #[test]
    fn a_log_line_has_everything() {
        let (view, since) = produced(5_000, Some(9_000), 2_000);
        assert_eq!(
            line(&view, &since).whole(),
            "55%, 5,000 of 9,000 acked, 2,000/s, 2.0 MiB/s, ack p50 1.0 ms p99 2.5 ms, 2 s left"
        );
    }

    #[test]
    fn the_least_important_goes_first_when_the_terminal_is_narrow() {
        let half = |columns| fit(columns, produced(5_000, Some(9_000), 2_000));
        assert_eq!(
            half(150),
            "produce [################--------------] 55%, 5,000 of 9,000 acked, 2,000/s, 2.0 MiB/s, ack p50 1.0 ms \
             p99 2.5 ms, 2 s left"
        );
        assert_eq!(
            half(80),
            "produce [#######------] 55%, 5,000 of 9,000 acked, 2,000/s, 2.0 MiB/s, 2 s left"
        );
        assert_eq!(half(60), "produce 55%, 5,000 of 9,000 acked, 2,000/s, 2 s left");
        assert_eq!(half(40), "produce 55%, 2,000/s, 2 s left");
        assert_eq!((half(21), half(20)), ("produce 55%, 2,000/s".to_owned(), "produce 55%".to_owned()));
    }

    #[test]
    fn a_repeater_has_no_bar() {
        let group = |columns| fit(columns, repeated());
        assert_eq!(
            group(150),
            "repeat group Stable, 4 members, 256 tokens here, 2,000/s, 2.0 MiB/s, ack p50 0.9 ms p99 2.1 ms, end to end \
             p50 4.0 ms p99 9.9 ms"
        );
        assert_eq!(group(80), "repeat group Stable, 4 members, 2,000/s, end to end p50 4.0 ms p99 9.9 ms");
        assert_eq!(group(60), "repeat group Stable, 4 members, 256 tokens here, 2,000/s");
        assert_eq!(group(40), "repeat group Stable, 4 members, 2,000/s");
    }

    #[test]
    fn nothing_is_said_of_latencies_before_there_is_one() {
        let mut latency = LatencyHistogram::default();
        assert!(measured("ack", &latency, 6).is_none());
        latency.record(1_000);
        assert_eq!(
            measured("ack", &latency, 6).map(|part| part.text).as_deref(),
            Some("ack p50 1.0 ms p99 1.0 ms")
        );
    }

    #[test]
    fn no_line_is_wider_than_its_terminal() {
        for columns in 1..200 {
            let huge = u64::MAX / 3;
            for view in [produced(huge, Some(u64::MAX), 1), produced(huge, None, 90_000), repeated()] {
                let line = fit(columns, view);
                assert!(line.chars().count() < columns.max(2), "{columns}: {line}");
            }
        }
    }

    #[test]
    fn done_or_stalled_work_has_no_time_left() {
        for (records, goal, begins) in [
            (1_000, 1_000, "100%, 1,000 of 1,000 acked, 0/s"),
            (1_000, 2_000, "50%, 1,000 of 2,000 acked, 0/s"),
            (2_000, 2_000, "100%, 2,000 of 2,000 acked, 1,000/s"),
            (0, 0, "0 of 0 acked, 0/s"),
        ] {
            let (view, since) = produced(records, Some(goal), 1_000);
            let line = line(&view, &since).whole();
            assert!(!line.contains("left") && line.starts_with(begins), "{line}");
        }
        let (view, since) = produced(1_999_999, Some(2_000_000), 1_000);
        assert!(line(&view, &since).whole().starts_with("99%, "), "only what is done is 100 %");
    }

    #[test]
    fn work_that_ends_by_the_clock_shows_how_much_of_its_time_is_over() {
        let at = |taken_s, records, goal| {
            let (view, since) = produced(records, goal, 2_000);
            let time = Some((Duration::from_secs(taken_s), Duration::from_secs(20)));
            line(&View { time, ..view }, &since).whole()
        };
        let endless = Some(10_000_000_000);
        let line = at(5, 5_000, endless);
        assert!(line.starts_with("25%, 5,000 of ") && line.ends_with(", 15 s left"), "{line}");
        let line = at(5, 9_000, Some(10_000));
        assert!(line.starts_with("90%, ") && line.ends_with(", 0 s left"), "done before its time: {line}");
        let line = at(21, 5_000, endless);
        assert!(line.starts_with("99%, ") && !line.contains(" days"), "{line}");
        let line = at(10, 5_000, None);
        assert!(line.starts_with("50%, 5,000 acked") && line.ends_with(", 10 s left"), "{line}");
    }

    #[test]
    fn work_beyond_its_end_has_neither_goal_nor_bar() {
        assert_eq!((goal(4, 5), goal(5, 5), goal(6, 5)), (Some(5), Some(5), None));
        let line = fit(80, produced(5_000, None, 2_000));
        assert_eq!(line, "produce 5,000 acked, 2,000/s, 2.0 MiB/s, ack p50 1.0 ms p99 2.5 ms");
    }

    #[test]
    fn slow_work_shows_its_rate_and_days() {
        let (view, since) = produced(1_002, Some(81_402), 5_000);
        let line = line(&view, &since).whole();
        assert!(line.contains(", 0.4/s, ") && line.ends_with(", 2 days 7 h left"), "{line}");
        assert_eq!(time_left(u64::MAX, 1, Duration::from_hours(1)), None, "nothing overflows");
    }
}
