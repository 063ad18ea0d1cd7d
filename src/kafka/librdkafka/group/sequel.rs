//! What should come next of a partition, and what the client has left out of it.
//!
//! librdkafka throws away what it holds when it goes back by itself (as it does when leaders are elected), and may go on
//! behind that. It is told to look again before anybody misses anything.

use crate::{kafka::Expected, mutants::enforced, partitions::PartitionSlot};

/// What should come next of a partition.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequel {
    /// The next offset, where that is known.
    due: Option<i64>,
    /// From where on the client was told to read again last.
    asked_again: Option<i64>,
    /// Offsets that were left out, and were not there when it did.
    real_gaps: u32,
}

/// In a log with so many gaps that nothing explains there are markers of transactions, and no client is asked again.
const ENOUGH_GAPS: u32 = 3;

impl Sequel {
    /// This comes next; `None` where nobody knows.
    pub(super) fn begin(&mut self, due: Option<i64>) {
        self.due = due;
    }

    /// The partition is this member's from now on: what it asked for when it was so before, it may not have been shown.
    pub(super) fn assigned(&mut self, due: Option<i64>) {
        (self.due, self.asked_again) = (due, None);
    }

    /// The client shows what lies at `to`, or that everything below has been read. Returns where it has to begin again,
    /// once, because it has left something out; what there should be from one offset up to `to` is asked of `expected`.
    pub(super) fn left_out(&mut self, to: i64, expected: impl FnOnce(i64) -> Expected) -> Option<i64> {
        let from = self.due.filter(|due| *due < to)?;
        if self.asked_again == Some(from) {
            self.real_gaps += 1;
            return None;
        }
        let is_strange = match expected(from) {
            Expected::Nothing => false,
            Expected::Records => self.real_gaps < ENOUGH_GAPS,
            Expected::Acked => true,
        };
        if !is_strange || !enforced("left-out-group") {
            return None;
        }
        self.asked_again = Some(from);
        Some(from)
    }
}

/// Those of all partitions, by slot.
pub(super) struct Sequels(Vec<Sequel>);

impl Sequels {
    /// Of so many partitions nobody knows what comes next.
    pub(super) fn new(partitions: usize) -> Self {
        Self(vec![Sequel::default(); partitions])
    }

    /// A partition's.
    #[inline]
    pub(super) fn of(&mut self, partition: PartitionSlot) -> &mut Sequel {
        &mut self.0[partition.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_left_out_is_asked_for_once() {
        let mut sequel = Sequel::default();
        assert_eq!(sequel.left_out(90, |_| Expected::Records), None, "nobody knows where it begins");
        sequel.begin(Some(5));
        assert_eq!(sequel.left_out(5, |_| Expected::Acked), None);
        assert_eq!(sequel.left_out(9, |_| Expected::Nothing), None, "markers, or what was aborted");
        let acked_from_5 = |from| if from == 5 { Expected::Acked } else { Expected::Nothing };
        assert_eq!(sequel.left_out(9, acked_from_5), Some(5));
        let again = sequel.left_out(9, |_| Expected::Acked);
        assert_eq!(again, None, "it is not there: that is for others to judge");
        sequel.assigned(Some(5));
        let again = sequel.left_out(9, |_| Expected::Acked);
        assert_eq!(again, Some(5), "who lost the partition may not have been shown it");
        sequel.begin(Some(10));
        assert_eq!(sequel.left_out(12, |_| Expected::Records), Some(10), "nothing explains it");
        sequel.begin(Some(12));
        assert_eq!(sequel.left_out(9, |_| Expected::Acked), None, "what comes again");
    }

    #[test]
    fn a_log_full_of_markers_is_not_read_twice() {
        let mut sequel = Sequel::default();
        for place in 0..10 {
            sequel.begin(Some(place * 10));
            let asked = sequel.left_out(place * 10 + 1, |_| Expected::Records);
            assert_eq!(asked.is_some(), place < 3, "{place}");
            sequel.left_out(place * 10 + 1, |_| Expected::Records);
        }
        let asked = sequel.left_out(95, |_| Expected::Acked);
        assert_eq!(asked, Some(90), "what the ledger lists is asked for all the same");
    }
}
