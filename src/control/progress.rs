//! Showing how a run is doing while it does it.
//!
//! On a terminal a live line; elsewhere a log line every few seconds.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use crate::{
    config::ProgressMode,
    stats::{Board, LatencyHistogram, RepeaterBoard},
};

/// How often the live line changes, and how often a log line is written.
const REDRAW_EVERY: Duration = Duration::from_millis(200);
const LOG_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    sink: Sink,
    shown: Instant,
    last: Sample,
}

enum Sink {
    Bar(ProgressBar),
    Log,
    Nothing,
}

/// What the active worker had done at a moment.
#[derive(Clone, Debug)]
struct Sample {
    worker: &'static str,
    at: Instant,
    records: u64,
    bytes: u64,
}

/// What is shown of the active worker.
struct View {
    sample: Sample,
    goal: u64,
    word: &'static str,
    latency: String,
}

impl Progress {
    pub(super) fn new(mode: ProgressMode) -> Self {
        let now = Instant::now();
        let sink = match mode {
            ProgressMode::Never => Sink::Nothing,
            ProgressMode::Auto if stderr().is_terminal() => Sink::Bar(bar()),
            ProgressMode::Auto => Sink::Log,
        };
        Self { sink, shown: now, last: Sample { worker: "", at: now, records: 0, bytes: 0 } }
    }

    /// Shows the worker that is at work now, when it is time to.
    pub(super) fn show(&mut self, board: &Board) {
        if !self.is_due() {
            return;
        }
        let Some(view) = view(board) else { return };
        if view.sample.worker == self.last.worker {
            let line = line(&view, &self.last);
            match &self.sink {
                Sink::Bar(bar) => draw(bar, &view, line),
                Sink::Log => tracing::info!("{}: {line}", view.sample.worker),
                Sink::Nothing => {}
            }
        }
        self.last = view.sample;
    }

    /// Whether it is time to show something; if so the next time is later.
    fn is_due(&mut self) -> bool {
        let every = match self.sink {
            Sink::Bar(_) => REDRAW_EVERY,
            Sink::Log => LOG_EVERY,
            Sink::Nothing => return false,
        };
        let due = self.shown.elapsed() >= every;
        if due {
            self.shown = Instant::now();
        }
        due
    }

    /// Shows how a repeater is doing, when it is time to: there is no goal, so there is no bar.
    pub(super) fn show_repeater(&mut self, board: &RepeaterBoard) {
        if !self.is_due() {
            return;
        }
        let totals = board.raw_totals();
        let (at, records, bytes) = (Instant::now(), totals.consumed, totals.consumed_bytes);
        let sample = Sample { worker: "repeat", at, records, bytes };
        if self.last.worker == sample.worker {
            let line = repeater_line(board, &sample, &self.last);
            match &self.sink {
                Sink::Bar(bar) => {
                    bar.set_style(ProgressStyle::with_template("{prefix} {msg}").unwrap_or(bar.style()));
                    bar.set_prefix(sample.worker);
                    bar.set_message(line);
                }
                Sink::Log => tracing::info!("repeat: {line}"),
                Sink::Nothing => {}
            }
        }
        self.last = sample;
    }

    pub(super) fn finish(&self) {
        if let Sink::Bar(bar) = &self.sink {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = "{prefix:>15} [{bar:30}] {percent:>3}% {msg}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn draw(bar: &ProgressBar, view: &View, line: String) {
    bar.set_prefix(view.sample.worker);
    bar.set_message(line);
    bar.update(|state| {
        state.set_len(view.goal.max(1));
        state.set_pos(view.sample.records.min(view.goal));
    });
}

/// The first worker whose work is not done.
fn view(board: &Board) -> Option<View> {
    let at = Instant::now();
    if let Some(producer) = board.producer.as_ref().filter(|producer| producer.is_active()) {
        let (totals, latency) = (producer.raw_totals(), producer.latency().summary());
        return Some(View {
            sample: Sample { worker: "produce", at, records: totals.acked, bytes: totals.acked_bytes },
            goal: producer.goal(),
            word: "acked",
            latency: format!(
                ", ack p50 {} p99 {}",
                milliseconds(latency.p50_us),
                milliseconds(latency.p99_us)
            ),
        });
    }
    let kind = board.readers.iter().find(|reader| reader.is_active())?.kind;
    let mut view = View {
        sample: Sample { worker: kind.name(), at, records: 0, bytes: 0 },
        goal: 0,
        word: "validated",
        latency: String::new(),
    };
    for reader in board.readers.iter().filter(|reader| reader.kind == kind) {
        let totals = reader.raw_totals();
        view.sample.records += totals.valid_reads;
        view.sample.bytes += totals.bytes;
        view.goal += reader.goal();
    }
    Some(view)
}

fn line(view: &View, last: &Sample) -> String {
    let View { sample, goal, word, latency } = view;
    let elapsed_s = sample.at.duration_since(last.at).as_secs_f64().max(1e-3);
    let done = sample.records.saturating_sub(last.records);
    let records_per_s = done as f64 / elapsed_s;
    let mib_per_s = sample.bytes.saturating_sub(last.bytes) as f64 / elapsed_s / f64::from(1 << 20);
    let left = goal.saturating_sub(sample.records);
    let eta = if left == 0 || done == 0 {
        String::new()
    } else {
        format!(", {} left", HumanDuration(Duration::from_secs_f64(left as f64 / records_per_s)))
    };
    // Readers that loop, or wait for more, are soon beyond what there was when they began.
    let of = if sample.records > *goal { String::new() } else { format!(" of {}", HumanCount(*goal)) };
    format!(
        "{}{of} {word}, {}/s, {mib_per_s:.1} MiB/s{latency}{eta}",
        HumanCount(sample.records),
        per_second(done, sample.at.duration_since(last.at)),
    )
}

/// A rate in whole records, or in parts of one where it is below that.
pub(crate) fn per_second(records: u64, took: Duration) -> String {
    let took_us = took.as_micros().max(1_000);
    let rate = u128::from(records) * 1_000_000 / took_us;
    let exact = records as f64 * 1e6 / took_us as f64;
    match u64::try_from(rate).unwrap_or(u64::MAX) {
        0 if records == 0 => "0".to_owned(),
        0 if exact >= 0.1 => format!("{:.1}", (exact * 10.0).floor() / 10.0),
        0 if exact >= 0.001 => format!("{exact:.3}"),
        0 => "less than 0.001".to_owned(),
        rate => HumanCount(rate).to_string(),
    }
}

fn repeater_line(board: &RepeaterBoard, sample: &Sample, last: &Sample) -> String {
    let elapsed_s = sample.at.duration_since(last.at).as_secs_f64().max(1e-3);
    let mib_per_s = sample.bytes.saturating_sub(last.bytes) as f64 / elapsed_s / f64::from(1 << 20);
    let (group, latencies) = (board.group(), board.latencies());
    let (ack, e2e) = (latencies.ack.summary(), latencies.e2e.summary());
    format!(
        "group {}, {} members; {} tokens here; {}/s, {mib_per_s:.1} MiB/s; ack p50 {} p99 {}, end to end p50 {} p99 {}",
        if group.state.is_empty() { "unknown" } else { &group.state },
        group.members,
        HumanCount(board.enqueued()),
        per_second(sample.records.saturating_sub(last.records), sample.at.duration_since(last.at)),
        milliseconds(ack.p50_us),
        milliseconds(ack.p99_us),
        milliseconds(e2e.p50_us),
        milliseconds(e2e.p99_us),
    )
}

/// µs as people read them.
pub(super) fn milliseconds(latency_us: u64) -> String {
    LatencyHistogram::text(latency_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_shows_rates_since_the_last_one() {
        let start = Instant::now();
        let last = Sample { worker: "produce", at: start, records: 1_000, bytes: 0 };
        let view = View {
            sample: Sample {
                at: start + Duration::from_secs(2),
                records: 5_000,
                bytes: 4 << 20,
                ..last.clone()
            },
            goal: 9_000,
            word: "acked",
            latency: ", ack p50 1.0 ms p99 2.5 ms".into(),
        };
        assert_eq!(
            line(&view, &last),
            "5,000 of 9,000 acked, 2,000/s, 2.0 MiB/s, ack p50 1.0 ms p99 2.5 ms, 2 seconds left"
        );
    }

    #[test]
    fn rates_below_one_are_no_zero() {
        let rates = [
            ((4, 10), "0.4"),
            ((0, 10), "0"),
            ((99, 100), "0.9"),
            ((1, 1), "1"),
            ((3, 2), "1"),
            ((1, 30), "0.033"),
            ((1, 100_000), "less than 0.001"),
            ((1_234_567, 1), "1,234,567"),
        ];
        for ((records, seconds), text) in rates {
            assert_eq!(per_second(records, Duration::from_secs(seconds)), text, "{records} in {seconds} s");
        }
    }

    #[test]
    fn done_or_stalled_work_has_no_time_left() {
        let start = Instant::now();
        let last = Sample { worker: "produce", at: start, records: 5, bytes: 0 };
        let sample = Sample { at: start + Duration::from_secs(1), ..last.clone() };
        for (goal, of) in [(5, "5 of 5 acked, "), (10, "5 of 10 acked, "), (4, "5 acked, ")] {
            let view = View { sample: sample.clone(), goal, word: "acked", latency: String::new() };
            let line = line(&view, &last);
            assert!(!line.contains("left") && line.starts_with(of), "{line}");
        }
    }
}
