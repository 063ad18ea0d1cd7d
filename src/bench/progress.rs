//! How a benchmark is doing while it does it: a line that changes, or a log line every few seconds.

use std::{
    io::stderr,
    time::{Duration, Instant},
};

use indicatif::HumanCount;

use super::meter::Load;
use crate::{
    config::{CommonConfig, ProgressMode},
    human::per_second,
    runtime::cpu_time::CoreShare,
    stats::{Counts, LatencyHistogram, LoopTimes},
    terminal,
};

const DRAW_EVERY: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Behind a terminal whose width nobody knows.
const USUAL_COLUMNS: usize = 80;

/// What is shown, since the last time that it was.
pub(super) struct Progress {
    mode: ProgressMode,
    has_readers: bool,
    shown: Instant,
    counts: Counts,
    own: LoopTimes,
    end_to_end: LatencyHistogram,
    busy: Vec<f64>,
    goal_per_s: Option<f64>,
    start_us: u64,
    took_us: u64,
}

impl Progress {
    pub(super) fn new(config: &CommonConfig, has_readers: bool) -> Self {
        Self {
            mode: terminal::progress_mode(config),
            has_readers,
            shown: Instant::now(),
            counts: Counts::default(),
            own: LoopTimes::default(),
            end_to_end: LatencyHistogram::fine(),
            busy: Vec::new(),
            goal_per_s: None,
            start_us: 0,
            took_us: 1,
        }
    }

    /// Another load is under way, for so long from then on.
    pub(super) fn set(&mut self, load: &Load, took_us: u64, start_us: u64) {
        (self.goal_per_s, self.took_us, self.start_us) = (load.records_per_s, took_us.max(1), start_us);
    }

    pub(super) fn set_busy(&mut self, cores: &[CoreShare]) {
        self.busy = cores.iter().map(|core| core.busy).collect();
    }

    pub(super) fn add_own(&mut self, times: &LoopTimes) {
        self.own.merge(times);
    }

    pub(super) fn add_end_to_end(&mut self, histogram: &LatencyHistogram) {
        self.end_to_end.merge(histogram);
    }

    /// Shows it when it is time to.
    pub(super) fn show(&mut self, now_us: u64, counts: &Counts, overdue: u64, backlog: u64) {
        let took = self.shown.elapsed();
        let every = if self.mode == ProgressMode::Bar { DRAW_EVERY } else { LINE_EVERY };
        if self.mode == ProgressMode::Never || took < every {
            return;
        }
        let line = self.line(took, now_us, counts, overdue, backlog);
        if self.mode == ProgressMode::Bar {
            let room = terminal::columns(stderr()).unwrap_or(USUAL_COLUMNS).saturating_sub(1);
            terminal::draw(line.chars().take(room).collect());
        } else {
            tracing::info!("{line}");
        }
        self.shown = Instant::now();
        self.counts = *counts;
        (self.own, self.end_to_end) = (LoopTimes::default(), LatencyHistogram::fine());
    }

    fn line(&self, took: Duration, now_us: u64, counts: &Counts, overdue: u64, backlog: u64) -> String {
        let acked = counts.acked.saturating_sub(self.counts.acked);
        let part = now_us.saturating_sub(self.start_us) as f64 / self.took_us as f64;
        let mut parts = vec![format!("bench: {:.0}%", (part * 100.0).floor().clamp(0.0, 100.0))];
        let goal = self.goal_per_s.map(|goal| format!(" of {goal:.0}/s")).unwrap_or_default();
        parts.push(format!("{}/s{goal}", per_second(acked, took)));
        let times = |name: &str, histogram: &LatencyHistogram| {
            let text = |percent| LatencyHistogram::text(histogram.percentile_us(percent));
            (histogram.count() > 0).then(|| format!("{name} p50 {} p99 {}", text(50.0), text(99.0)))
        };
        parts.extend(times("publish", &self.own.publish));
        parts.extend(times("end to end", &self.end_to_end));
        parts.extend(times("delay", &self.own.delay));
        if overdue > 0 {
            parts.push(format!("{} overdue", HumanCount(overdue)));
        }
        if self.has_readers {
            parts.push(format!("{} validated, {} behind", HumanCount(counts.read), HumanCount(backlog)));
        }
        if !self.busy.is_empty() {
            let busy: Vec<_> = self.busy.iter().map(|share| format!("{:.0}%", share * 100.0)).collect();
            parts.push(format!("cpu {}", busy.join(" ")));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Program, parse};

    #[test]
    fn a_line_says_how_it_goes() {
        let Ok(Command::Bench(config)) = parse(Program::Proofload, ["bench"].into_iter().map(Into::into))
        else {
            panic!("no benchmark")
        };
        let mut progress = Progress::new(&config.verifier.common, true);
        let load = Load {
            records_per_s: Some(1_000.0),
            settle: Duration::ZERO,
            measure: Duration::from_secs(10),
            is_last: true,
        };
        progress.set(&load, 10_000_000, 0);
        progress.set_busy(&[CoreShare { busy: 0.256, starved: 0.0 }]);
        let counts = Counts { acked: 5_000, read: 4_900, ..Counts::default() };
        let line = progress.line(Duration::from_secs(5), 4_990_000, &counts, 0, 100);
        assert_eq!(line, "bench: 49%, 1,000/s of 1000/s, 4,900 validated, 100 behind, cpu 26%");
        let mut times = LoopTimes::default();
        times.record(2_000, 500, 1_500);
        progress.add_own(&times);
        let line = progress.line(Duration::from_secs(5), 99_000_000, &counts, 7, 100);
        let expected = "bench: 100%, 1,000/s of 1000/s, publish p50 2.0 ms p99 2.0 ms, delay p50 0.5 ms p99 0.5 ms, 7 overdue";
        assert!(line.starts_with(expected), "{line}");
    }
}
