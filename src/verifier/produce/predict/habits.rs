//! How many records of its own a cluster writes around a transaction's, learnt from where first records land.
//!
//! Apache Kafka and Redpanda differ, and nobody says which one it is. A single record that landed elsewhere tells little:
//! a coordinator writes a marker again where the leader that it told has gone, and beside leaders that move all the time
//! every fifth log has one marker more than there were transactions. So the majority counts.

use super::predicted_log::{First, MarkerOffsets, PreviousKnown};

/// What is believed of a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    fence: Count,
    marker: Count,
}

/// A number of records, and by how many first records more it was borne out than denied.
#[derive(Clone, Copy, Debug)]
struct Count {
    count: i64,
    votes: u32,
}

/// More than any cluster writes: what is off by more is no control record.
const MOST: i64 = 4;
/// What was borne out for long is given up after so many denials in a row.
const MOST_VOTES: u32 = 8;

impl Count {
    fn observe(&mut self, observed: i64) {
        if observed == self.count {
            self.votes = (self.votes + 1).min(MOST_VOTES);
        } else if self.votes > 0 {
            self.votes -= 1;
        } else if (0..=MOST).contains(&observed) {
            self.count = observed;
        }
    }
}

impl Default for Habits {
    /// Those of Apache Kafka, and nothing is known yet: one record that denies them is enough.
    fn default() -> Self {
        let MarkerOffsets { fence, marker } = MarkerOffsets::KAFKA;
        Self { fence: Count { count: fence, votes: 0 }, marker: Count { count: marker, votes: 0 } }
    }
}

impl Habits {
    /// What is counted on.
    pub(crate) fn counts(&self) -> MarkerOffsets {
        MarkerOffsets { fence: self.fence.count, marker: self.marker.count }
    }

    /// A first record landed `off` offsets behind its prediction.
    pub(crate) fn observe(&mut self, first: First, off: i64) {
        match first.previous {
            PreviousKnown::FromBroker => self.fence.observe(first.counted.fence + off),
            PreviousKnown::Counted => self.marker.observe(first.counted.marker + off),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(previous: PreviousKnown, counted: MarkerOffsets) -> First {
        First { previous, counted }
    }

    #[test]
    fn a_cluster_s_habits_are_learnt_from_where_first_records_land() {
        let kafka = MarkerOffsets::KAFKA;
        let mut redpanda = Habits::default();
        // All of one transaction, predicted before anything was known.
        for _ in 0..3 {
            redpanda.observe(first(PreviousKnown::FromBroker, kafka), 1);
        }
        assert_eq!(redpanda.counts(), MarkerOffsets { fence: 1, marker: 1 });
        let mut mock = Habits::default();
        mock.observe(first(PreviousKnown::Counted, kafka), -1);
        assert_eq!(mock.counts(), MarkerOffsets { fence: 0, marker: 0 });
        mock.observe(first(PreviousKnown::Counted, kafka), -2);
        mock.observe(first(PreviousKnown::Counted, kafka), 100);
        assert_eq!(mock.counts(), MarkerOffsets { fence: 0, marker: 0 }, "somebody else wrote that");
    }

    #[test]
    fn markers_that_are_written_twice_teach_nothing() {
        let mut habits = Habits::default();
        for round in 0..100 {
            let off = [0, 0, 1, 0, 3, 1][round % 6];
            habits.observe(first(PreviousKnown::Counted, habits.counts()), off);
            if round > 2 {
                assert_eq!(habits.counts(), MarkerOffsets::KAFKA, "round {round}");
            }
        }
    }

    #[test]
    fn what_is_denied_again_and_again_is_given_up() {
        let mut habits = Habits::default();
        (0..100).for_each(|_| habits.observe(first(PreviousKnown::Counted, MarkerOffsets::KAFKA), 0));
        (0..MOST_VOTES).for_each(|_| habits.observe(first(PreviousKnown::Counted, MarkerOffsets::KAFKA), 1));
        assert_eq!(habits.counts(), MarkerOffsets::KAFKA);
        habits.observe(first(PreviousKnown::Counted, MarkerOffsets::KAFKA), 1);
        assert_eq!(habits.counts().marker, 2);
    }
}
