//! What brokers say of a log that the log itself, or what they said before, contradicts.

use super::checker::Checker;
use crate::{
    findings::anomaly::Anomaly, kafka::FalseAbort, mutants::enforced, partitions::PartitionSlot,
    verifier::shard::Halt,
};

impl Checker {
    /// The broker's list of aborted transactions contradicts a marker in the log.
    ///
    /// # Errors
    /// That, unless the run goes on.
    #[cold]
    pub(crate) fn false_abort(
        &self,
        partition: PartitionSlot,
        kind: FalseAbort,
        (first, marker): (i64, i64),
    ) -> Result<(), Halt> {
        let (anomaly, is_enforced, expected, found) = match kind {
            FalseAbort::Hidden => (
                Anomaly::HiddenAbort,
                enforced("hidden-abort"),
                "aborted",
                "lacks it, and its records were shown",
            ),
            FalseAbort::Invented => (
                Anomaly::InventedAbort,
                enforced("invented-abort"),
                "committed",
                "has it aborted, and its records were not shown",
            ),
            FalseAbort::Belated => (
                Anomaly::BelatedAbort,
                enforced("belated-abort"),
                "aborted",
                "has that begin later, and its first records were shown",
            ),
        };
        if !is_enforced {
            return Ok(());
        }
        let expected = format!("a transaction that is {expected}, by its marker at offset {marker}");
        let found = format!("a list of aborted transactions, the broker's, that {found}");
        self.broken(anomaly, partition, first, expected, found)
    }

    /// The log's start went back, by the word of one leader.
    ///
    /// # Errors
    /// That, unless the run goes on.
    #[cold]
    pub(crate) fn start_back(&self, partition: PartitionSlot, from: i64, to: i64) -> Result<(), Halt> {
        if !enforced("start-back") {
            return Ok(());
        }
        let expected = format!("a log that starts at {from} or behind it, as its leader has said before");
        let found = format!("one that starts at {to}, by the same leader's word");
        self.broken(Anomaly::StartBack, partition, to, expected, found)
    }
}
