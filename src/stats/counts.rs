//! What a benchmark counts, and which part of it came within the measured time. That part is told apart by the shard, on its own
//! clock: whoever reads the counters may look late.

use std::{iter::Sum, ops::AddAssign};

use super::Counter;

/// How far counters are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) acked_bytes: u64,
    pub(crate) failed: u64,
    pub(crate) read: u64,
    pub(crate) read_bytes: u64,
}

impl Counts {
    /// What has been added since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            sent: self.sent - before.sent,
            acked: self.acked - before.acked,
            acked_bytes: self.acked_bytes - before.acked_bytes,
            failed: self.failed - before.failed,
            read: self.read - before.read,
            read_bytes: self.read_bytes - before.read_bytes,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.sent += more.sent;
        self.acked += more.acked;
        self.acked_bytes += more.acked_bytes;
        self.failed += more.failed;
        self.read += more.read;
        self.read_bytes += more.read_bytes;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let mut sum = Self::default();
        all.for_each(|one| sum += one);
        sum
    }
}

/// What of a shard's counters came within the measured time: written by the shard, read by others.
#[derive(Debug, Default)]
pub(crate) struct CountsInTime {
    sent: Counter,
    acked: Counter,
    acked_bytes: Counter,
    failed: Counter,
    read: Counter,
    read_bytes: Counter,
}

impl CountsInTime {
    /// So much of it is known.
    #[must_use]
    pub(crate) fn get(&self) -> Counts {
        Counts {
            sent: self.sent.get(),
            acked: self.acked.get(),
            acked_bytes: self.acked_bytes.get(),
            failed: self.failed.get(),
            read: self.read.get(),
            read_bytes: self.read_bytes.get(),
        }
    }

    fn add(&self, more: &Counts) {
        self.sent.add(more.sent);
        self.acked.add(more.acked);
        self.acked_bytes.add(more.acked_bytes);
        self.failed.add(more.failed);
        self.read.add(more.read);
        self.read_bytes.add(more.read_bytes);
    }
}

/// The shard's eye on its own counters.
#[derive(Debug, Default)]
pub(crate) struct CountsWatch {
    seen: Counts,
}

impl CountsWatch {
    /// For counters that have come so far.
    pub(crate) fn new(seen: Counts) -> Self {
        Self { seen }
    }

    /// What has come since the last look has come by now: counts it where that is within the measured time.
    #[inline]
    pub(crate) fn look(&mut self, counts: Counts, is_in_time: bool, in_time: &CountsInTime) {
        let before = std::mem::replace(&mut self.seen, counts);
        if is_in_time {
            in_time.add(&counts.since(&before));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_and_after_the_measured_time_is_not_in_it() {
        let (in_time, mut watch) =
            (CountsInTime::default(), CountsWatch::new(Counts { sent: 3, ..Counts::default() }));
        let counts =
            |n| Counts { sent: n + 3, acked: n, acked_bytes: 10 * n, failed: n, read: n, read_bytes: 7 * n };
        watch.look(counts(100), false, &in_time);
        assert_eq!(in_time.get(), Counts::default());
        watch.look(counts(140), true, &in_time);
        watch.look(counts(150), true, &in_time);
        watch.look(counts(900), false, &in_time);
        let expected =
            Counts { sent: 50, acked: 50, acked_bytes: 500, failed: 50, read: 50, read_bytes: 350 };
        assert_eq!(in_time.get(), expected);
        watch.look(counts(901), true, &in_time);
        let sum: Counts = [in_time.get(), expected].into_iter().sum();
        assert_eq!((sum.acked, sum.read_bytes), (101, 707), "another time, and another shard's");
    }
}
