//! Waiting for the markers of transactions that are known to be committed.

use std::ops::Range;

use crate::{
    findings::Awaited,
    kafka::OffsetAndEpoch,
    ledger::{Ledger, PartitionLedger},
    verifier::{
        read::stall::{StallDetector, Watch},
        shard::ShardContext,
    },
};

/// What a pass waits for before it begins: that everything can be read that is listed as committed. A transaction that
/// never ends would hold it up for ever, and has to be named.
pub(crate) struct Markers {
    stall_detector: StallDetector,
    /// By partition.
    watches: Vec<Watch>,
}

impl Markers {
    pub(crate) fn new(context: &ShardContext, partitions: usize) -> Self {
        let stall_detector = StallDetector::new(context, "a reader that is about to begin");
        Self { stall_detector, watches: (0..partitions).map(|_| Watch::default()).collect() }
    }

    /// The first that is missing, by where what can be read ends in each partition, and where its log does.
    pub(crate) fn held_up(
        &mut self,
        ledger: &Ledger,
        ends: &[OffsetAndEpoch],
        log_ends: &[i64],
    ) -> Option<HeldUp> {
        let logs = ends.iter().map(|end| end.offset).zip(log_ends.iter().copied());
        let parts = ledger.partitions().iter().map(PartitionLedger::highest).zip(logs);
        let mut first = None;
        for (id, ((highest, log), watch)) in (0..).zip(parts.zip(&mut self.watches)) {
            let Some(highest) = highest.filter(|highest| holds_up(*highest, log.0..log.1)) else {
                self.stall_detector.settled(watch);
                continue;
            };
            first.get_or_insert(HeldUp { partition: id, offset: log.0 });
            let what =
                || format!("the end of the transaction at offset {}: {highest} behind it was acked", log.0);
            self.stall_detector.look(watch, id, log, what);
        }
        first
    }
}

/// An open transaction that hides what was acked behind its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldUp {
    partition: i32,
    offset: i64,
}

impl HeldUp {
    pub(crate) fn awaited(self, topic: &str) -> Awaited {
        let Self { partition, offset } = self;
        Awaited {
            what: format!("the end of the transaction that is open at offset {offset} of partition {partition}"),
            from: format!("topic {topic}: whoever produces in it, or its coordinator"),
            remedy: "the coordinator aborts it when its transaction.timeout.ms is over; kafka-transactions.sh can do so \
                     now"
                .to_owned(),
        }
    }
}

/// Whether an acked record is there, and is not shown yet: what lies from the end of what can be read on is not.
fn holds_up(highest: i64, not_shown: Range<i64>) -> bool {
    not_shown.contains(&highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_two_ends_is_waited_for() {
        assert!(holds_up(7, 5..9) && holds_up(5, 5..9));
        assert!(!holds_up(4, 5..9), "it is shown");
        assert!(!holds_up(9, 5..9), "it is lost");
    }
}
