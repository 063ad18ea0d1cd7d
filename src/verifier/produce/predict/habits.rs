//! How many records of its own a cluster writes around a transaction's, learnt from where first records land.
//!
//! Apache Kafka and Redpanda differ, and nobody says which one it is. A single record that landed elsewhere tells little:
//! a coordinator writes a marker again where the leader that it told has gone, and beside leaders that move all the time
//! every fifth log has one marker more than there were transactions. So the majority counts.

use super::lane::{ControlRecords, First, FirstAfter};

/// What is believed of a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    before: Count,
    after: Count,
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
    fn hear(&mut self, observed: i64) {
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
        let ControlRecords { before, after } = ControlRecords::KAFKA;
        Self { before: Count { count: before, votes: 0 }, after: Count { count: after, votes: 0 } }
    }
}

impl Habits {
    /// What is counted on.
    pub(crate) fn counts(&self) -> ControlRecords {
        ControlRecords { before: self.before.count, after: self.after.count }
    }

    /// A first record landed `off` offsets behind its prediction.
    pub(crate) fn hear(&mut self, first: First, off: i64) {
        match first.after {
            FirstAfter::Asking => self.before.hear(first.counted.before + off),
            FirstAfter::Transaction => self.after.hear(first.counted.after + off),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(after: FirstAfter, counted: ControlRecords) -> First {
        First { after, counted }
    }

    #[test]
    fn a_cluster_s_habits_are_learnt_from_where_first_records_land() {
        let kafka = ControlRecords::KAFKA;
        let mut redpanda = Habits::default();
        // All of one transaction, predicted before anything was known.
        for _ in 0..3 {
            redpanda.hear(first(FirstAfter::Asking, kafka), 1);
        }
        assert_eq!(redpanda.counts(), ControlRecords { before: 1, after: 1 });
        let mut mock = Habits::default();
        mock.hear(first(FirstAfter::Transaction, kafka), -1);
        assert_eq!(mock.counts(), ControlRecords { before: 0, after: 0 });
        mock.hear(first(FirstAfter::Transaction, kafka), -2);
        mock.hear(first(FirstAfter::Transaction, kafka), 100);
        assert_eq!(mock.counts(), ControlRecords { before: 0, after: 0 }, "somebody else wrote that");
    }

    #[test]
    fn markers_that_are_written_twice_teach_nothing() {
        let mut habits = Habits::default();
        for round in 0..100 {
            let off = [0, 0, 1, 0, 3, 1][round % 6];
            habits.hear(first(FirstAfter::Transaction, habits.counts()), off);
            if round > 2 {
                assert_eq!(habits.counts(), ControlRecords::KAFKA, "round {round}");
            }
        }
    }

    #[test]
    fn what_is_denied_again_and_again_is_given_up() {
        let mut habits = Habits::default();
        (0..100).for_each(|_| habits.hear(first(FirstAfter::Transaction, ControlRecords::KAFKA), 0));
        (0..MOST_VOTES).for_each(|_| habits.hear(first(FirstAfter::Transaction, ControlRecords::KAFKA), 1));
        assert_eq!(habits.counts(), ControlRecords::KAFKA);
        habits.hear(first(FirstAfter::Transaction, ControlRecords::KAFKA), 1);
        assert_eq!(habits.counts().after, 2);
    }
}
