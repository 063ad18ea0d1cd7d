//! A producer's part in an open loop: a schedule that the main thread sets, and may replace while the run goes on.

use std::{ops::Range, time::Duration};

use crossbeam::channel::Receiver;

use crate::{
    clock::Clock,
    schedule::{Schedule, Turn},
    stats::{CountsWatch, ProducerStats},
};

/// What is to be sent from now on, in the place of whatever was to be sent until now. Times are µs on the run's clock.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The first record is due then.
    pub(crate) start_us: u64,
    /// No record is due from then on.
    pub(crate) end_us: u64,
    /// Of all shards, above 0; `None`: as fast as acks come.
    pub(crate) records_per_s: Option<f64>,
    /// Records that were to be sent within this time are measured, and what comes within it is counted. Half-open.
    pub(crate) measured: Range<u64>,
    /// Nothing follows: the producer is done when all is acked.
    pub(crate) is_last: bool,
}

/// What makes a producer one of an open loop.
#[derive(Clone, Debug)]
pub(crate) struct OpenLoopJob {
    /// The run's: all of its producers and readers have the same.
    pub(crate) clock: Clock,
    /// When that clock stood at 0, µs since 1970.
    pub(crate) epoch_us: i64,
    pub(crate) steps: Receiver<Step>,
}

/// The state of it.
#[derive(Debug)]
pub(crate) struct OpenLoop {
    job: OpenLoopJob,
    /// The shard's part of each rate (0..=1).
    share: f64,
    schedule: Option<Schedule>,
    is_last: bool,
    /// Of the step under way.
    measured: Range<u64>,
    counted: CountsWatch,
}

/// How long nothing is to be sent while there is no step.
const PAUSE: Duration = Duration::from_millis(5);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A record that was to be sent at this time, µs.
    Send(u64),
    /// Nothing, for so long.
    Wait(Duration),
    /// Nothing any more.
    Over,
}

impl OpenLoop {
    pub(crate) fn new(job: &OpenLoopJob, share: f64) -> Self {
        Self {
            job: job.clone(),
            share,
            schedule: None,
            is_last: false,
            measured: 0..0,
            counted: CountsWatch::default(),
        }
    }

    /// Takes up what the main thread has set. Returns which records are measured from now on, where that has changed.
    pub(crate) fn look(&mut self) -> Option<Range<u64>> {
        let mut measured = None;
        while let Ok(step) = self.job.steps.try_recv() {
            let rate = step.records_per_s.map(|rate| rate * self.share);
            self.schedule = Some(Schedule::new(step.start_us, step.end_us, rate));
            self.is_last = step.is_last;
            self.measured = step.measured.clone();
            measured = Some(step.measured);
        }
        measured
    }

    /// Counts what has come since this was asked last, where that is within the measured time.
    #[inline]
    pub(crate) fn count(&mut self, now_us: u64, stats: &ProducerStats) {
        self.counted.look(stats.counts(), self.measured.contains(&now_us), &stats.in_time);
    }

    #[inline]
    pub(crate) fn next(&mut self, now_us: u64) -> Next {
        let Some(schedule) = &mut self.schedule else { return Next::Wait(PAUSE) };
        match schedule.turn(now_us) {
            Turn::Due(intended_us) => Next::Send(intended_us),
            Turn::Wait(pause) => Next::Wait(pause),
            Turn::Over if self.is_last => Next::Over,
            Turn::Over => Next::Wait(PAUSE),
        }
    }

    /// What was due has been sent.
    #[inline]
    pub(crate) fn sent(&mut self) {
        if let Some(schedule) = &mut self.schedule {
            schedule.take();
        }
    }

    /// Records that are due, and were not sent.
    pub(crate) fn overdue(&self, now_us: u64) -> u64 {
        self.schedule.as_ref().map_or(0, |schedule| schedule.overdue(now_us))
    }

    /// A time on the run's clock, µs since 1970.
    #[inline]
    pub(crate) fn unix_us(&self, at_us: u64) -> i64 {
        self.job.epoch_us.saturating_add_unsigned(at_us)
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::unbounded;

    use super::*;

    #[test]
    fn a_step_takes_the_place_of_the_one_before() {
        let (sender, steps) = unbounded();
        let job = OpenLoopJob { clock: Clock::start(), epoch_us: 1_000, steps };
        let mut half = OpenLoop::new(&job, 0.5);
        assert_eq!((half.look(), half.next(0), half.overdue(9)), (None, Next::Wait(PAUSE), 0));
        let step = |start_us, is_last| Step {
            start_us,
            end_us: start_us + 1_000_000,
            records_per_s: Some(4.0),
            measured: start_us + 5..start_us + 9,
            is_last,
        };
        sender.send(step(0, false)).unwrap();
        assert_eq!((half.look(), half.look()), (Some(5..9), None));
        assert_eq!(half.next(700_000), Next::Send(0));
        half.sent();
        assert_eq!((half.next(700_000), half.overdue(700_000)), (Next::Send(500_000), 1), "half of the rate");
        half.sent();
        assert_eq!(half.next(1_000_000), Next::Wait(PAUSE), "another one may follow");
        sender.send(step(2_000_000, true)).unwrap();
        assert_eq!(half.look(), Some(2_000_005..2_000_009));
        assert_eq!(half.next(2_000_000), Next::Send(2_000_000));
        assert_eq!(half.unix_us(2_000_000), 2_001_000);
        half.sent();
        half.sent();
        assert_eq!(half.next(9_000_000), Next::Over);
    }
}
