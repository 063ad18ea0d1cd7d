//! Record timestamps that are counted, not taken from the clock.

use crate::config::FakeTimestamps;

/// Timestamps that are counted: shards take turns, a turn for each partition, so that together they leave no gaps.
pub(crate) struct CountedTimestamps {
    fake: FakeTimestamps,
    /// The shard's places in a round, and how many all shards have.
    places: Vec<i64>,
    own: i64,
    round: i64,
    /// Rounds in which every partition has its turn, and what the shard counts from behind these.
    rounds: i64,
    tail: i64,
    /// Timestamps so far.
    count: i64,
}

/// What a shard produces of a topic.
pub(crate) struct ShardShare {
    /// Its partitions; at least one.
    pub(crate) partitions: Vec<i32>,
    /// Those of the shards before it.
    pub(crate) partitions_before: usize,
    /// All of them.
    pub(crate) topic_partitions: usize,
    /// Records of all shards, shared out as [`crate::verifier::read::budget::shares`] does.
    pub(crate) records: u64,
}

impl CountedTimestamps {
    pub(crate) fn new(fake: FakeTimestamps, share: &ShardShare) -> Self {
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let round = share.topic_partitions.max(1) as u64;
        let (rounds, rest) = (share.records / round, share.records % round);
        let tail = rounds.saturating_mul(round).saturating_add(rest * share.partitions_before as u64 / round);
        Self {
            fake,
            places: share.partitions.iter().map(|id| i64::from(*id)).collect(),
            own: count(share.partitions.len() as u64).max(1),
            round: count(round),
            rounds: count(rounds),
            tail: count(tail),
            count: 0,
        }
    }

    /// The record that had the last one was not sent: the next one has it.
    pub(crate) fn take_back(&mut self) {
        self.count -= 1;
    }

    pub(crate) fn next_ms(&mut self) -> i64 {
        let own = self.own;
        let (turn, place) = (self.count / own, self.count % own);
        let rank = match self.places.get(usize::try_from(place).unwrap_or(0)) {
            Some(place) if turn < self.rounds => turn.wrapping_mul(self.round).wrapping_add(*place),
            _ => self.tail.wrapping_add(self.count - self.rounds.saturating_mul(own)),
        };
        self.count += 1;
        self.fake.start_ms.wrapping_add(self.fake.step_ms.wrapping_mul(rank))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::{read::budget, sliced};

    /// All timestamps of a topic, sorted.
    fn all(records: u64, partitions: usize, shards: usize) -> Vec<i64> {
        let owned = sliced::deal(&sliced::partitions(None, partitions), shards);
        let counts: Vec<u64> = owned.iter().map(|ids| ids.len() as u64).collect();
        let split = budget::shares(records, &counts);
        let mut all = Vec::new();
        let mut partitions_before = 0;
        for (ids, count) in owned.into_iter().zip(split) {
            let own = ids.len();
            let share =
                ShardShare { partitions: ids, partitions_before, topic_partitions: partitions, records };
            partitions_before += own;
            let mut counted = CountedTimestamps::new(FakeTimestamps { start_ms: 1_000, step_ms: 5 }, &share);
            all.extend((0..count).map(|_| counted.next_ms()));
        }
        all.sort_unstable();
        all
    }

    /// The client takes 0 for "now".
    #[test]
    fn none_is_zero() {
        for step_ms in [0, 1, 1_000] {
            let share = ShardShare {
                partitions: vec![0, 2],
                partitions_before: 0,
                topic_partitions: 3,
                records: 1_000,
            };
            let mut counted = CountedTimestamps::new(FakeTimestamps { start_ms: 1, step_ms }, &share);
            assert!((0..800).all(|_| counted.next_ms() > 0));
        }
    }

    #[test]
    fn what_was_not_sent_leaves_no_gap() {
        let share =
            ShardShare { partitions: vec![0, 1], partitions_before: 0, topic_partitions: 2, records: 4 };
        let mut counted = CountedTimestamps::new(FakeTimestamps { start_ms: 1, step_ms: 1 }, &share);
        assert_eq!((counted.next_ms(), counted.next_ms()), (1, 2));
        counted.take_back();
        assert_eq!((counted.next_ms(), counted.next_ms()), (2, 3));
    }

    #[test]
    fn shards_leave_no_gaps_together() {
        for (records, partitions, shards) in
            [(3_001, 7, 2), (600, 3, 2), (5, 7, 3), (100, 1, 1), (99, 10, 4), (0, 3, 2), (6, 3, 3)]
        {
            let expected: Vec<i64> =
                (0..i64::try_from(records).unwrap()).map(|rank| 1_000 + 5 * rank).collect();
            assert_eq!(all(records, partitions, shards), expected, "{records}, {partitions}, {shards}");
        }
    }
}
