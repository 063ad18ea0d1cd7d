//! What the main thread hears: what shards tell goes into the ledger and the window under way, and the clock is watched.

mod backlog;

use std::{
    ops::Range,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    client_verdict::{self, ClientVerdict, Observed},
    ground::Ground,
    groups::Begun,
    interval_log::IntervalLog,
    progress::Progress,
    shards::Shards,
    window::{Moment, Window},
};
use crate::{
    app::Cost,
    config::BenchReaders,
    control::Message,
    human::count,
    ledger::Ledger,
    runtime::cpu_time::CpuTimes,
    stats::{BenchBoard, BenchTimes, Board, Counts, ProducerStats, ReaderBoard, ReaderStats},
    verifier::{
        phases::look_at_producers, produce::open_loop::Step, read::group::watched::PassProgress, shard::Halt,
        work_watch::WorkWatch,
    },
};

/// Between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(10);
/// Of a sample.
const SECOND_US: u64 = 1_000_000;
/// For how long, about, producers may catch up with what was overdue at the end.
const CATCH_UP: Duration = Duration::from_secs(30);
/// From when a step is set until its first record is due: all shards have heard of it by then.
const LEAD_US: u64 = 50_000;

/// A rate, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Of all shards; `None`: as fast as acks come.
    pub(super) records_per_s: Option<f64>,
    /// Before it is measured.
    pub(super) settle: Duration,
    pub(super) measure: Duration,
    /// Nothing follows.
    pub(super) is_last: bool,
}

/// Everything that is heard.
pub(super) struct Meter<'a> {
    ground: &'a Ground<'a>,
    board: &'a Board,
    pub(super) shards: Shards,
    /// What was acked.
    pub(super) ledger: Ledger,
    /// What became of the producers that are done.
    pub(super) outcomes: Vec<Result<(), Halt>>,
    /// The groups' names, and how they go on.
    groups: Vec<(String, Arc<PassProgress>)>,
    /// Where each second's latencies are noted.
    pub(super) log: Option<IntervalLog>,
    /// Where they are shown while the run goes on.
    shown: &'a BenchBoard,
    cpu: CpuTimes,
    progress: Progress,
    /// Who waits, and for what.
    watch: WorkWatch<'a, (usize, crate::stats::ProducerWants)>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(
        ground: &'a Ground<'a>,
        board: &'a Board,
        shards: Shards,
        log: Option<IntervalLog>,
    ) -> Self {
        let cores = ground.placement().shards.iter().map(|place| place.core).collect();
        Self {
            ledger: Ledger::new(ground.partitions()),
            outcomes: Vec::new(),
            groups: Vec::new(),
            log,
            shown: ground.control.shared.bench.get_or_init(|| BenchBoard::new(ground.has_readers())),
            cpu: CpuTimes::start(cores),
            progress: Progress::new(&ground.config.verifier.common, ground.has_readers()),
            // A rate keeps it busy; what stands still for seconds waits for somebody.
            watch: WorkWatch::new(ground.run_contexts[0].wait("the producer"), false),
            ground,
            board,
            shards,
        }
    }

    fn now_us(&self) -> u64 {
        self.shards.clock.now_us()
    }

    fn producers(&self) -> &'a [Arc<ProducerStats>] {
        self.board.producer.as_ref().map_or(&[], |producer| &producer.shards)
    }

    /// Sets a load and measures it. The window is not finished: more may be acked.
    pub(super) fn measure(&mut self, load: &Load) -> Window {
        // Before anything can be counted in it.
        let mut window = self.empty();
        let start_us = self.now_us() + LEAD_US;
        let from_us = start_us + us(load.settle);
        let to_us = from_us + us(load.measure);
        self.set_measured(start_us, from_us..to_us, load.records_per_s, load.is_last);
        self.progress.set(load, to_us - start_us, start_us);
        self.shown.set_goal(load.records_per_s);
        self.begin(&mut window, &(from_us..to_us));
        let mut next_us = from_us;
        while next_us < to_us && !self.is_over() {
            next_us = next_sample(next_us, self.now_us()).min(to_us);
            self.until(&mut window, next_us);
            self.sample(&mut window);
        }
        window.note_due(load.records_per_s);
        window
    }

    /// What is measured begins and ends then.
    fn begin(&mut self, window: &mut Window, time: &Range<u64>) {
        self.until(window, time.start);
        let (scheduled, now_s) = (seconds(time.start)..seconds(time.end), seconds(self.now_us()));
        if let Some(log) = &mut self.log {
            log.begin(scheduled.start, now_s);
        }
        window.start(self.moment(), scheduled);
    }

    /// What was measured since the last sample is the next one.
    fn sample(&mut self, window: &mut Window) {
        let times = window.sample(self.moment());
        self.note(window.end().at_s, &times);
    }

    fn note(&mut self, until_s: f64, times: &BenchTimes) {
        if let Some(log) = &mut self.log {
            log.add(until_s, times, self.ground.has_readers());
        }
    }

    /// Nothing comes any more of a window's records.
    pub(super) fn close(&mut self, window: &mut Window) {
        let late = window.finish();
        if !late.is_empty() {
            self.note(seconds(self.now_us()), &late);
        }
    }

    /// Drops what is due and was not sent.
    pub(super) fn pause(&self) {
        self.drop_overdue(false);
    }

    /// Nothing more is to be sent.
    pub(super) fn end(&self) {
        self.send_nothing(0..0, true);
    }

    /// Drops what is due and was not sent, before another rate or for good. What was sent in the measured time is measured still.
    fn drop_overdue(&self, is_last: bool) {
        let measured = &self.shards.measured;
        self.send_nothing(measured.from_us.get()..measured.to_us.get(), is_last);
    }

    fn send_nothing(&self, measured: Range<u64>, is_last: bool) {
        let now_us = self.now_us();
        self.set(&Step { start_us: now_us, end_us: now_us, records_per_s: Some(1.0), measured, is_last });
    }

    /// Sets a rate that begins then and ends with its measured time.
    fn set_measured(&self, start_us: u64, measured: Range<u64>, records_per_s: Option<f64>, is_last: bool) {
        self.shards.measured.from_us.set(measured.start);
        self.shards.measured.to_us.set(measured.end);
        self.set(&Step { start_us, end_us: measured.end, records_per_s, measured, is_last });
    }

    fn set(&self, step: &Step) {
        for shard in &self.shards.steps {
            // A shard that is done needs none.
            let _ = shard.send(step.clone());
        }
    }

    /// Listens for a window's last acks: until none is missing, or for so long.
    pub(super) fn settle(&mut self, window: &mut Window, limit: Duration) {
        self.listen_until(window, limit, |meter| meter.in_flight() == 0);
    }

    /// The same until readers have come to the end, too.
    pub(super) fn rest(&mut self, window: &mut Window, limit: Duration) {
        let is_at_rest = |meter: &Self| meter.in_flight() == 0 && meter.backlog(&meter.counts()) == 0;
        self.listen_until(window, limit, is_at_rest);
    }

    /// Nothing is sent for so long.
    pub(super) fn idle(&mut self, window: &mut Window, time: Duration) {
        self.listen_until(window, time, |_| false);
    }

    fn listen_until(&mut self, window: &mut Window, limit: Duration, is_enough: impl Fn(&Self) -> bool) {
        let until = Instant::now() + limit;
        while !is_enough(self) && Instant::now() < until && !self.is_over() {
            self.look(window);
        }
        self.listen(window);
    }

    /// Listens until all producers are done, for the sake of this window. What is overdue is caught up with, unless that would take
    /// for ever: at a rate that nobody can keep it is dropped.
    pub(super) fn finish(&mut self, window: &mut Window) {
        let (ended, acked_per_s) = (Instant::now(), window.counts().acked as f64 / window.measured_s());
        let mut may_catch_up = true;
        while self.outcomes.len() < self.shards.steps.len() {
            let overdue = self.overdue();
            if may_catch_up && is_hopeless(overdue, acked_per_s, ended.elapsed()) {
                may_catch_up = false;
                tracing::warn!(
                    "{} were due and are not sent: at {acked_per_s:.0} a second it would take too long",
                    count(overdue, "record")
                );
                self.drop_overdue(true);
            }
            self.look(window);
        }
        self.watch.ended();
        self.listen(window);
    }

    /// A window in which nothing was measured.
    pub(super) fn empty(&mut self) -> Window {
        Window::begin(self.moment(), self.ground.has_readers())
    }

    /// Listens to what readers still have to say of this window.
    pub(super) fn last_words(&mut self, window: &mut Window) {
        while let Ok(message) = self.shards.messages.try_recv() {
            if let Message::EndToEnd(histogram) = message {
                self.shown.times().end_to_end.merge(&histogram);
                window.add_end_to_end(&histogram);
            }
        }
    }

    /// Whether the work is to end, or has ended.
    pub(super) fn is_over(&self) -> bool {
        self.ground.lifecycle().stop_requested() || self.outcomes.len() >= self.shards.steps.len()
    }

    fn until(&mut self, window: &mut Window, at_us: u64) {
        while self.now_us() < at_us && !self.is_over() {
            self.look(window);
        }
    }

    fn look(&mut self, window: &mut Window) {
        thread::sleep(LOOK);
        self.listen(window);
        let producers = self.producers();
        look_at_producers(&self.ground.run_contexts[0], producers, &mut self.watch);
        let (now_us, counts, overdue) = (self.now_us(), self.counts(), self.overdue());
        let backlog = self.backlog(&counts);
        self.shown.set_behind(overdue, backlog);
        self.progress.show(now_us, &counts, overdue, backlog);
    }

    fn listen(&mut self, window: &mut Window) {
        while let Ok(message) = self.shards.messages.try_recv() {
            match message {
                Message::Produced { entries, latency, times } => {
                    for entry in &entries {
                        entry.enter(&mut self.ledger);
                    }
                    if let (Some(producer), Some(latency)) = (&self.board.producer, latency) {
                        producer.latency().merge(&latency);
                    }
                    if let Some(times) = times {
                        self.progress.add_own(&times);
                        self.shown.times().own.merge(&times);
                        window.add_own(&times);
                    }
                }
                Message::EndToEnd(histogram) => {
                    self.progress.add_end_to_end(&histogram);
                    self.shown.times().end_to_end.merge(&histogram);
                    window.add_end_to_end(&histogram);
                }
                // Nobody here sends anything else.
                _ => {}
            }
        }
        while let Ok(outcome) = self.shards.done.try_recv() {
            self.outcomes.push(outcome);
        }
    }

    fn readers(&self) -> impl Iterator<Item = &'a Arc<ReaderStats>> {
        self.board.readers.iter().flat_map(|reader| &reader.shards)
    }

    fn counts(&self) -> Counts {
        let counts = self.producers().iter().map(|shard| shard.counts());
        counts.chain(self.readers().map(|shard| shard.counts())).sum()
    }

    /// What of it has come within the time of windows, by the shards' own clocks.
    fn counts_in_time(&self) -> Counts {
        let counts = self.producers().iter().map(|shard| shard.in_time.get());
        counts.chain(self.readers().map(|shard| shard.in_time.get())).sum()
    }

    fn overdue(&self) -> u64 {
        self.producers().iter().map(|stats| stats.overdue.get()).sum()
    }

    fn backlog(&self, counts: &Counts) -> u64 {
        let aborted = self.producers().iter().map(|stats| stats.aborted_records.get()).sum();
        // What was aborted on purpose is acked, and shown to nobody.
        let there = counts.acked.saturating_sub(aborted) * self.ground.config.readers.readings() as u64;
        let repeated: u64 = self.groups.iter().map(|(_, group)| group.repeated.get()).sum();
        there.saturating_sub(counts.read.saturating_sub(repeated))
    }

    /// What was acked and not read by each of those that read everything.
    fn behind(&self) -> Vec<u64> {
        let there: u64 = self.producers().iter().map(|stats| acked_to_be_read(stats)).sum();
        let behind = |(index, reader): (usize, &ReaderBoard)| {
            let read: u64 = reader.shards.iter().map(|shard| shard.counts().read).sum();
            let repeated = self.groups.get(index).map_or(0, |(_, group)| group.repeated.get());
            there.saturating_sub(read.saturating_sub(repeated))
        };
        self.board.readers.iter().enumerate().map(behind).collect()
    }

    /// Who that is, for people.
    pub(super) fn reader_name(&self, index: usize) -> String {
        self.groups.get(index).map_or_else(|| "the readers".to_owned(), |(name, _)| format!("group {name}"))
    }

    /// How often each record is read, at least 1.
    pub(super) fn readings(&self) -> u64 {
        self.ground.config.readers.readings().max(1) as u64
    }

    /// Has groups taken into account, of each of which another thread says how it goes on.
    pub(super) fn watch_groups(&mut self, groups: impl Iterator<Item = (String, Arc<PassProgress>)>) {
        self.groups.extend(groups);
    }

    /// Listens until all groups have begun: no record waits for that then. Also ends where the work does, or `is_hopeless`.
    pub(super) fn wait_for_groups(&mut self, is_hopeless: impl Fn() -> bool) {
        let ground = self.ground;
        let BenchReaders::Groups { members, .. } = ground.config.readers else { return };
        let mut nothing = self.empty();
        let mut begun = Begun::new(members.get(), ground.partitions());
        while !begun.look(self.groups.iter().map(|(_, group)| &**group), Instant::now())
            && !self.is_over()
            && !is_hopeless()
        {
            self.look(&mut nothing);
        }
    }

    /// Records that were sent and have no outcome.
    pub(super) fn in_flight(&self) -> u64 {
        let producers = self.producers().iter();
        producers.map(|stats| stats.sent.get().saturating_sub(stats.deliveries.get())).sum()
    }

    fn moment(&mut self) -> Moment {
        let cores = self.cpu.look();
        self.progress.set_busy(&cores);
        Moment {
            at_s: seconds(self.now_us()),
            backlog: self.backlog(&self.counts()),
            behind: self.behind(),
            counts: self.counts_in_time(),
            blocked_us: self.producers().iter().map(|stats| stats.blocked_us.get()).collect(),
            cores,
            overdue: self.overdue(),
            memory_bytes: Cost::memory_now_bytes(),
        }
    }
}

/// What was aborted on purpose is acked, and shown to nobody.
fn acked_to_be_read(producer: &ProducerStats) -> u64 {
    producer.counts().acked.saturating_sub(producer.aborted_records.get())
}

/// Whether so many records that are due will not be sent in good time, by the rate of acks and after so long.
fn is_hopeless(overdue: u64, acked_per_s: f64, waited: Duration) -> bool {
    let limit_s = CATCH_UP.as_secs_f64();
    overdue > 0 && (waited > 2 * CATCH_UP || acked_per_s > 0.0 && overdue as f64 > acked_per_s * limit_s)
}

/// When the sample behind that of this time is due. Who is late goes on with the next second that is still to come: samples of no
/// time say nothing.
fn next_sample(last_us: u64, now_us: u64) -> u64 {
    let missed = now_us.saturating_sub(last_us) / SECOND_US;
    last_us + (missed + 1) * SECOND_US
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Whether the client held a load back, and why.
pub(super) fn verdict(window: &Window, records_per_s: Option<f64>) -> (ClientVerdict, String) {
    client_verdict::judge(&Observed {
        goal_records_per_s: records_per_s,
        achieved_records_per_s: window.counts().acked as f64 / window.measured_s(),
        measured_s: window.measured_s(),
        overdue_records: window.end().overdue,
        shards: window.shards(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_look_leaves_out_the_samples_that_it_has_missed() {
        assert_eq!(
            (next_sample(5_000_000, 5_000_000), next_sample(5_000_000, 5_999_999)),
            (6_000_000, 6_000_000)
        );
        assert_eq!(
            (next_sample(5_000_000, 6_000_000), next_sample(5_000_000, 9_400_000)),
            (7_000_000, 10_000_000)
        );
    }

    #[test]
    fn what_is_overdue_is_caught_up_with_unless_that_takes_for_ever() {
        let hopeless =
            |overdue, acked_per_s, waited_s| is_hopeless(overdue, acked_per_s, Duration::from_secs(waited_s));
        assert!(!hopeless(0, 100.0, 999), "nothing is");
        assert!(!hopeless(2_900, 100.0, 0) && hopeless(3_100, 100.0, 0));
        assert!(!hopeless(5, 100.0, 59) && hopeless(5, 100.0, 61), "it does not come on");
        assert!(!hopeless(5_000, 0.0, 0), "a broker that stands still may come back");
    }
}
