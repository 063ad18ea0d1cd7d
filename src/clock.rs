//! A shard's clock: microseconds since it was started, as plain numbers.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A monotonic clock that starts at 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Starts now.
    #[must_use]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since the start.
    #[must_use]
    pub(crate) fn now_us(&self) -> u64 {
        let elapsed = self.0.elapsed();
        elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros())
    }
}

/// The world's clock, ms since 1970, as records bear it.
#[must_use]
pub(crate) fn unix_ms() -> i64 {
    unix_us() / 1_000
}

/// The world's clock, µs since 1970.
#[must_use]
pub(crate) fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
