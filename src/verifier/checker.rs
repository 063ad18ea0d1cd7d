//! Validating what is read, and counting it: common to all readers.

use std::sync::Arc;

use super::{
    anomaly::{Anomaly, Violation},
    shard::Halt,
    validator::{Checked, PartitionState, RecordView},
};
use crate::{
    kafka::Fault,
    ledger::{Ledger, PartitionLedger},
    stats::ReaderStats,
};

/// Holds records against the ledger and counts what they prove.
pub(super) struct Checker {
    topic: Arc<str>,
    ledger: Arc<Ledger>,
    stats: Arc<ReaderStats>,
    /// Gaps between offsets are expected.
    compacted: bool,
}

impl Checker {
    pub(super) fn new(
        topic: Arc<str>,
        ledger: Arc<Ledger>,
        stats: Arc<ReaderStats>,
        compacted: bool,
    ) -> Self {
        Self { topic, ledger, stats, compacted }
    }

    pub(super) fn stats(&self) -> &ReaderStats {
        &self.stats
    }

    /// One partition's part of the ledger.
    pub(super) fn ledger(&self, partition: i32) -> Option<&PartitionLedger> {
        self.ledger.partition(partition)
    }

    /// Whether records may be missing that were acked: the log is compacted.
    pub(super) fn records_may_go(&self) -> bool {
        self.compacted || self.ledger.adjust_consumable_offsets
    }

    /// Checks one record. `index` is the partition's place in the counters' list.
    ///
    /// # Errors
    /// The promise that it breaks.
    pub(super) fn check(
        &self,
        state: &mut PartitionState,
        index: usize,
        partition: i32,
        record: &RecordView<'_>,
    ) -> Result<(), Halt> {
        let counters = &*self.stats;
        counters.bytes.add(record.value_bytes as u64);
        if record.tombstone {
            counters.tombstones_consumed.add(1);
        }
        let (checked, gap) = state.check(record, self.ledger.partition(partition)).map_err(|broken| {
            counters.invalid_reads.add(1);
            self.violation(broken.anomaly, partition, record.offset, broken.expected, broken.found)
        })?;
        match checked {
            Checked::Valid => counters.valid_reads.add(1),
            Checked::OutOfScope => counters.out_of_scope_invalid_reads.add(1),
        }
        if gap && !self.compacted {
            counters.offset_gaps.add(1);
        }
        if record.offset > counters.max_offsets.get(index) {
            counters.max_offsets.set(index, record.offset);
        }
        Ok(())
    }

    /// The cluster does not let us read.
    pub(super) fn refused(&self, fault: &Fault<'_>) -> Halt {
        let Fault { partition, error, .. } = fault;
        Halt::Failed(format!("topic {} partition {partition}: it may not be read: {error}", self.topic))
    }

    /// What ends a run.
    pub(super) fn violation(
        &self,
        anomaly: Anomaly,
        partition: i32,
        offset: i64,
        expected: String,
        found: String,
    ) -> Halt {
        Halt::Violation(Violation {
            anomaly,
            topic: self.topic.to_string(),
            partition,
            offset,
            expected,
            found,
        })
    }
}
