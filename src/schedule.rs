//! When records are to be sent that are sent at a rate, whatever becomes of those before: an open loop.
//!
//! Pure: the caller brings the time. Each shard keeps its own part of the rate, so that nothing is shared between cores.

use std::time::Duration;

/// How long nothing is sent once all that was due has been: records go out in few and larger requests, and never more than this
/// time's worth of them at once. It is the most that a punctual record waits.
pub(crate) const TICK: Duration = Duration::from_micros(500);

/// What the schedule says of the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is due, or overdue: it was to be sent at this time, µs.
    Due(u64),
    /// Nothing is to be sent for so long.
    Wait(Duration),
    /// No record follows.
    Over,
}

/// The times of a shard's records: the n-th at `start + n / rate`, whatever delays those before it.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start_us: u64,
    end_us: u64,
    /// `None`: a closed loop, in which the next record is due as soon as there is room for it.
    period_us: Option<f64>,
    /// Records taken out so far.
    taken: u64,
    next_us: u64,
    /// Nothing is sent before this.
    release_us: u64,
}

impl Schedule {
    /// Records from `start_us` on, without those from `end_us` on, at so many a second (above 0), or as fast as they go.
    #[must_use]
    pub(crate) fn new(start_us: u64, end_us: u64, records_per_s: Option<f64>) -> Self {
        let period_us = records_per_s.map(|rate| 1e6 / rate.max(1e-9));
        Self { start_us, end_us, period_us, taken: 0, next_us: start_us, release_us: start_us }
    }

    /// What is to be done at this time.
    #[inline]
    pub(crate) fn turn(&mut self, now_us: u64) -> Turn {
        if self.period_us.is_none() {
            return self.closed_turn(now_us);
        }
        if self.next_us >= self.end_us {
            return Turn::Over;
        }
        if now_us < self.release_us {
            return Turn::Wait(Duration::from_micros(self.release_us - now_us));
        }
        if self.next_us <= now_us {
            return Turn::Due(self.next_us);
        }
        // All that was due has been sent.
        self.release_us = now_us + u64::from(TICK.subsec_micros());
        Turn::Wait(Duration::from_micros(self.next_us.max(self.release_us) - now_us))
    }

    fn closed_turn(&self, now_us: u64) -> Turn {
        if now_us >= self.end_us {
            Turn::Over
        } else if now_us < self.start_us {
            Turn::Wait(Duration::from_micros(self.start_us - now_us))
        } else {
            Turn::Due(now_us)
        }
    }

    /// The record that was due has been sent.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never below 0, and a run ends before 2^53 µs"
    )]
    pub(crate) fn take(&mut self) {
        self.taken += 1;
        if let Some(period_us) = self.period_us {
            // From the beginning each time: sums of periods would drift.
            self.next_us = self.start_us + (self.taken as f64 * period_us) as u64;
        }
    }

    /// Records that are due by now and were not taken.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never below 0, and saturates"
    )]
    pub(crate) fn overdue(&self, now_us: u64) -> u64 {
        let Some(period_us) = self.period_us else { return 0 };
        let until_us = now_us.min(self.end_us).saturating_sub(self.start_us);
        let due = (until_us as f64 / period_us).ceil() as u64;
        due.saturating_sub(self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends everything that may go, as time passes in steps of the waits or of 100 µs at least, but for a pause.
    fn sent(schedule: &mut Schedule, pause: std::ops::Range<u64>, until_us: u64) -> Vec<(u64, u64)> {
        let (mut now_us, mut sent) = (0, Vec::new());
        while now_us < until_us {
            if pause.contains(&now_us) {
                now_us = pause.end;
            }
            match schedule.turn(now_us) {
                Turn::Due(intended_us) => {
                    sent.push((intended_us, now_us));
                    schedule.take();
                }
                Turn::Wait(wait) => now_us += u64::try_from(wait.as_micros()).unwrap().max(1),
                Turn::Over => break,
            }
        }
        sent
    }

    #[test]
    fn the_mean_is_the_rate_and_no_record_is_early() {
        for rate in [0.5, 3.0, 999.0, 50_000.0, 1_234_567.0] {
            let mut schedule = Schedule::new(0, 4_000_000, Some(rate));
            let sent = sent(&mut schedule, 0..0, u64::MAX);
            let expected = rate * 4.0;
            assert!(
                (sent.len() as f64 - expected).abs() <= (expected * 0.005).max(1.0),
                "{rate}: {}",
                sent.len()
            );
            assert!(sent.iter().all(|(intended, at)| intended <= at && at - intended <= 501), "{rate}");
            assert_eq!(schedule.turn(9_000_000), Turn::Over);
        }
    }

    #[test]
    fn a_pause_shifts_no_intended_time_and_what_is_overdue_goes_at_once() {
        let (mut schedule, mut steady) =
            (Schedule::new(0, 4_000_000, Some(1_000.0)), Schedule::new(0, 4_000_000, Some(1_000.0)));
        let (paused, usual) =
            (sent(&mut schedule, 1_000_000..3_000_000, u64::MAX), sent(&mut steady, 0..0, u64::MAX));
        let intended = |sent: &[(u64, u64)]| sent.iter().map(|(intended, _)| *intended).collect::<Vec<_>>();
        assert_eq!(intended(&paused), intended(&usual));
        let at_once = paused.iter().filter(|(_, at)| *at == 3_000_000).count();
        assert!((1_999..=2_001).contains(&at_once), "{at_once}");
    }

    #[test]
    fn when_nothing_is_overdue_no_more_goes_at_once_than_a_tick_s_worth() {
        let mut schedule = Schedule::new(0, 1_000_000, Some(100_000.0));
        let sent = sent(&mut schedule, 0..0, u64::MAX);
        let mut at_once = std::collections::BTreeMap::<u64, usize>::new();
        for (_, at) in &sent {
            *at_once.entry(*at).or_default() += 1;
        }
        assert!(at_once.values().all(|count| *count <= 51), "{:?}", at_once.values().max());
    }

    #[test]
    fn what_is_overdue_is_counted() {
        let mut schedule = Schedule::new(1_000_000, 3_000_000, Some(10.0));
        assert_eq!((schedule.overdue(0), schedule.overdue(1_000_000)), (0, 0));
        assert_eq!(schedule.turn(0), Turn::Wait(Duration::from_secs(1)));
        assert_eq!(schedule.overdue(2_000_000), 10);
        assert_eq!(schedule.turn(2_000_000), Turn::Due(1_000_000));
        schedule.take();
        assert_eq!(
            (schedule.overdue(2_000_000), schedule.overdue(9_000_000)),
            (9, 19),
            "none behind the end"
        );
    }

    #[test]
    fn a_closed_loop_has_always_one_due() {
        let mut schedule = Schedule::new(10, 100, None);
        assert_eq!(schedule.turn(0), Turn::Wait(Duration::from_micros(10)));
        assert_eq!((schedule.turn(10), schedule.turn(99)), (Turn::Due(10), Turn::Due(99)));
        schedule.take();
        assert_eq!((schedule.overdue(99), schedule.turn(100)), (0, Turn::Over));
    }
}
