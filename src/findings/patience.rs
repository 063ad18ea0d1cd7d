//! When an error that may pass counts as one that will not.

use std::time::{Duration, Instant};

/// How long an error that Kafka does not call retriable may last without one success.
const LIMIT: Duration = Duration::from_secs(30);

/// Measures for how long something has failed without one success.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    since: Option<Instant>,
}

impl Patience {
    /// It succeeded: the next failure is a first one.
    pub fn succeeded(&mut self) {
        self.since = None;
    }

    /// It failed once more. Returns whether it has now failed for too long, without one success between.
    pub fn failed(&mut self, now: Instant) -> bool {
        now.duration_since(*self.since.get_or_insert(now)) >= LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_after_half_a_minute_without_a_success() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        assert!(!patience.failed(at(0)) && !patience.failed(at(29)));
        assert!(patience.failed(at(30)) && patience.failed(at(31)));
        patience.succeeded();
        assert!(!patience.failed(at(60)) && !patience.failed(at(89)), "the time starts anew");
        assert!(patience.failed(at(90)));
    }
}
