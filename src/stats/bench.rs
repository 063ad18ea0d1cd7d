//! How a benchmark is doing, for whoever looks on while it runs.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{LatencyHistogram, LoopTimes};

/// What has been measured: written by the main thread, and looked at by the control thread. Shards do not know it.
#[derive(Debug)]
pub(crate) struct BenchBoard {
    /// Of all rates that were tried.
    times: Mutex<BenchTimes>,
    /// Bits of a number of records a second; 0 for a closed loop, and before there is one.
    goal_bits: AtomicU64,
    overdue: AtomicU64,
    backlog: AtomicU64,
    has_readers: bool,
}

/// The latencies of what was due in the measured time.
#[derive(Clone, Debug)]
pub(crate) struct BenchTimes {
    /// Of those who write.
    pub own: LoopTimes,
    /// From the time at which a record was due to a reader's verdict.
    pub end_to_end: LatencyHistogram,
}

impl Default for BenchTimes {
    fn default() -> Self {
        Self { own: LoopTimes::default(), end_to_end: LatencyHistogram::fine() }
    }
}

impl BenchTimes {
    /// Whether nothing was acked, and nothing read.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.own.publish.count() == 0 && self.end_to_end.count() == 0
    }

    /// Adds another one's records.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.own.merge(&other.own);
        self.end_to_end.merge(&other.end_to_end);
    }
}

impl BenchBoard {
    /// One of a benchmark that begins.
    #[must_use]
    pub(crate) fn new(has_readers: bool) -> Self {
        Self {
            times: Mutex::default(),
            goal_bits: AtomicU64::default(),
            overdue: AtomicU64::default(),
            backlog: AtomicU64::default(),
            has_readers,
        }
    }

    /// The latencies until now.
    pub(crate) fn times(&self) -> MutexGuard<'_, BenchTimes> {
        // They outlive whoever panicked while holding them.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many records a second are to be sent from now on; `None`: as fast as acks come.
    pub(crate) fn set_goal(&self, records_per_s: Option<f64>) {
        self.goal_bits.store(records_per_s.unwrap_or(0.0).to_bits(), Relaxed);
    }

    /// How many records a second are to be sent; `None` in a closed loop.
    #[must_use]
    pub(crate) fn goal_records_per_s(&self) -> Option<f64> {
        Some(f64::from_bits(self.goal_bits.load(Relaxed))).filter(|goal| *goal > 0.0)
    }

    /// Sets how many records are due and not sent, and how many are acked and not read.
    pub(crate) fn set_behind(&self, overdue: u64, backlog: u64) {
        self.overdue.store(overdue, Relaxed);
        self.backlog.store(backlog, Relaxed);
    }

    /// Records that are due and not sent.
    #[must_use]
    pub(crate) fn overdue(&self) -> u64 {
        self.overdue.load(Relaxed)
    }

    /// Records that are acked and not read; `None` where nobody reads.
    #[must_use]
    pub(crate) fn backlog(&self) -> Option<u64> {
        self.has_readers.then(|| self.backlog.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_last_is_shown() {
        let board = BenchBoard::new(true);
        assert_eq!((board.goal_records_per_s(), board.backlog()), (None, Some(0)));
        board.set_goal(Some(1_500.5));
        board.set_behind(3, 7);
        assert_eq!(board.goal_records_per_s(), Some(1_500.5));
        assert_eq!((board.overdue(), board.backlog()), (3, Some(7)));
        board.set_goal(None);
        assert_eq!(board.goal_records_per_s(), None);
        assert_eq!(BenchBoard::new(false).backlog(), None, "nobody reads");
        board.times().end_to_end.record(5);
        assert_eq!(board.times().end_to_end.count(), 1);
    }
}
