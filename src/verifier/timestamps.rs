//! Record timestamps that are counted, not taken from the clock.

use crate::config::FakeTimestamps;

/// Timestamps that are counted: shards take turns, so that together they leave no gaps.
pub(super) struct CountedTimestamps {
    next_ms: i64,
    step_ms: i64,
}

impl CountedTimestamps {
    pub(super) fn new(fake: FakeTimestamps, shard: usize, shards: usize) -> Self {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let first = fake.step_ms.wrapping_mul(count(shard));
        Self { next_ms: fake.start_ms.wrapping_add(first), step_ms: fake.step_ms.wrapping_mul(count(shards)) }
    }

    pub(super) fn next_ms(&mut self) -> i64 {
        let now_ms = self.next_ms;
        self.next_ms = now_ms.wrapping_add(self.step_ms);
        now_ms
    }
}
