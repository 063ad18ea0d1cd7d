//! When an error that may pass counts as one that will not.

use std::time::{Duration, Instant};

/// How long an error that Kafka does not call retriable may last without one success.
const LIMIT: Duration = Duration::from_secs(30);

/// Measures for how long something has failed without one success.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    since: Option<Instant>,
}

impl Patience {
    /// It succeeded: the next failure is a first one.
    pub(crate) fn succeeded(&mut self) {
        self.since = None;
    }

    /// It failed once more. Returns whether it has now failed for too long, without one success between.
    pub(crate) fn failed(&mut self, now: Instant) -> bool {
        now.duration_since(*self.since.get_or_insert(now)) >= LIMIT
    }

    /// Whether too long has passed since it failed first, without one success, although nothing has failed again.
    #[must_use]
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.duration_since(since) >= LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_after_half_a_minute_without_a_success() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        let mut failed = |seconds: &[u64]| -> Vec<bool> {
            seconds.iter().map(|second| patience.failed(start + Duration::from_secs(*second))).collect()
        };
        assert_eq!(failed(&[0, 29, 30, 31]), [false, false, true, true]);
        patience.succeeded();
        assert!(!patience.failed(start + Duration::from_mins(1)), "the time starts anew");
    }

    #[test]
    fn what_does_not_fail_again_may_have_failed_for_good() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        assert!(!patience.is_over(start + LIMIT));
        patience.failed(start);
        assert!(!patience.is_over(start + LIMIT / 2) && patience.is_over(start + LIMIT));
    }
}
