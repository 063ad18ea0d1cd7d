//! Rate limits: how many bytes may go now, and when the next may.
//!
//! Pure: the caller brings the time. Each shard paces its own share of the limit,
//! so that no counter is shared between cores.

use std::{num::NonZeroU64, time::Duration};

/// How far one may be behind its schedule, as time, before that is said.
pub(crate) const BEHIND_LIMIT: Duration = Duration::from_secs(1);

/// A bucket that fills at a steady rate and is emptied by what is sent.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    bytes_per_s: f64,
    /// What may go at once after a pause.
    burst_bytes: f64,
    available_bytes: f64,
    last_us: u64,
    /// Up to two: the time until the second is that of connecting, and no delay.
    spends: u8,
    missed_bytes: f64,
}

impl Pace {
    /// Lets `share` (0..=1) of `limit_bytes_per_s` pass. `now_us` is on the clock
    /// that later calls use, µs.
    #[must_use]
    pub(crate) fn new(limit_bytes_per_s: NonZeroU64, share: f64, now_us: u64) -> Self {
        let bytes_per_s = (limit_bytes_per_s.get() as f64 * share).max(1.0);
        // A tenth of a second smooths over the executor's own delays without
        // letting a stalled run catch up by a flood.
        Self {
            bytes_per_s,
            burst_bytes: bytes_per_s / 10.0,
            available_bytes: 0.0,
            last_us: now_us,
            spends: 0,
            missed_bytes: 0.0,
        }
    }

    /// Time to wait until the next record may go; zero when it may go now.
    ///
    /// A record larger than the bucket goes when the bucket is in credit, and its
    /// excess is paid for by those that follow: no size can block for ever.
    pub(crate) fn wait(&mut self, now_us: u64) -> Duration {
        let elapsed_s = now_us.saturating_sub(self.last_us) as f64 / 1e6;
        self.last_us = self.last_us.max(now_us);
        let due_bytes = self.available_bytes + elapsed_s * self.bytes_per_s;
        self.available_bytes = due_bytes.min(self.burst_bytes);
        if self.spends > 1 {
            self.missed_bytes += due_bytes - self.available_bytes;
        }
        if self.available_bytes >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.available_bytes / self.bytes_per_s)
        }
    }

    /// Takes what was sent out of the bucket.
    pub(crate) fn spend(&mut self, bytes: u64) {
        self.available_bytes -= bytes as f64;
        self.spends = self.spends.saturating_add(1).min(2);
    }

    /// What was due and did not go, for want of somebody who had something to send, and room for it: no pause is made
    /// up for. A pace that nobody keeps up with is not the rate that was asked for, and what it would have sent then
    /// has no latency.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never below 0, and saturates"
    )]
    pub(crate) fn missed_bytes(&self) -> u64 {
        self.missed_bytes as u64
    }

    /// The same as time, at the rate that was asked for.
    #[must_use]
    pub(crate) fn behind(&self) -> Duration {
        Duration::try_from_secs_f64(self.missed_bytes / self.bytes_per_s).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_in_10_s(limit: u64, share: f64, record_bytes: u64) -> u64 {
        let mut pace = Pace::new(NonZeroU64::new(limit).unwrap(), share, 0);
        let (mut now_us, mut sent) = (0, 0);
        while now_us < 10_000_000 {
            match pace.wait(now_us) {
                Duration::ZERO => {
                    pace.spend(record_bytes);
                    sent += record_bytes;
                }
                wait => now_us += u64::try_from(wait.as_micros()).unwrap() + 1,
            }
        }
        sent
    }

    #[test]
    fn rate_is_kept_for_small_and_for_oversized_records() {
        for record_bytes in [1, 100, 10_000, 3_000_000] {
            let sent = sent_in_10_s(1_000_000, 1.0, record_bytes);
            assert!(sent.abs_diff(10_000_000) <= record_bytes.max(100_000), "{record_bytes}: {sent}");
        }
    }

    #[test]
    fn share_is_a_part_of_the_limit() {
        assert!(sent_in_10_s(1_000_000, 0.25, 100).abs_diff(2_500_000) <= 25_000);
    }

    #[test]
    fn a_pause_does_not_end_in_a_flood() {
        let mut pace = Pace::new(NonZeroU64::new(1000).unwrap(), 1.0, 0);
        assert_eq!(pace.wait(3_600_000_000), Duration::ZERO);
        pace.spend(101);
        assert!(pace.wait(3_600_000_000) > Duration::ZERO);
    }

    #[test]
    fn who_keeps_up_is_not_behind() {
        let mut pace = Pace::new(NonZeroU64::new(1_000_000).unwrap(), 1.0, 0);
        for now_us in (0..10_000_000).step_by(1_000) {
            if pace.wait(now_us).is_zero() {
                pace.spend(1_500);
            }
        }
        assert_eq!((pace.missed_bytes(), pace.behind()), (0, Duration::ZERO));
    }

    #[test]
    fn what_was_due_in_a_pause_is_missed_but_for_the_burst() {
        let mut pace = Pace::new(NonZeroU64::new(1_000).unwrap(), 1.0, 0);
        // Ten seconds until it is connected: no schedule has begun.
        for now_us in [0, 10_000_000, 10_000_000] {
            assert_eq!(pace.wait(now_us), Duration::ZERO);
            pace.spend(50);
        }
        assert_eq!(pace.missed_bytes(), 0);
        assert_eq!(pace.wait(14_000_000), Duration::ZERO);
        let missed = pace.missed_bytes();
        assert!((3_800..=4_000).contains(&missed), "{missed}");
        assert_eq!(pace.behind().as_secs(), 3);
    }

    #[test]
    fn a_clock_that_steps_back_is_survived() {
        let mut pace = Pace::new(NonZeroU64::new(1000).unwrap(), 1.0, 1_000_000);
        pace.spend(10);
        assert!(pace.wait(0) <= Duration::from_millis(10));
    }
}
