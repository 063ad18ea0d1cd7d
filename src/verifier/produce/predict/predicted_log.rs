//! Where the next record of a partition will land.
//!
//! One writer for each partition makes that a plain integer. In transactions the
//! cluster writes records of its own between ours, which take offsets too.

use crate::{
    human::count,
    ledger::{AckedRuns, Consumable, Entry},
    record::proof::Numbering,
};

/// Offsets that a cluster takes for itself around a transaction's records on a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MarkerOffsets {
    /// Ahead of the first record: Redpanda's fence.
    pub fence: i64,
    /// Behind the last: the commit or abort marker.
    pub marker: i64,
}

/// What went before the first record of a transaction on its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PreviousKnown {
    /// The broker's word on where the log ends.
    FromBroker,
    /// A transaction, whose marker was counted and not seen.
    Counted,
}

impl MarkerOffsets {
    /// What Apache Kafka writes: one marker behind.
    pub(crate) const KAFKA: Self = Self { fence: 0, marker: 1 };
}

/// The first record of a transaction on its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct First {
    /// What went before it.
    pub previous: PreviousKnown,
    /// What was counted for the cluster: ahead of it, and behind the transaction before.
    pub counted: MarkerOffsets,
}

/// One partition, as the run finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducePartition {
    /// Its place in the ledger: its number, where that is of one topic.
    pub id: i32,
    /// The offset that the next record will get; negative where that is not known yet.
    pub end_offset: i64,
    /// The ledger's highest offset; -1 when there is none.
    pub highest_acked: i64,
    /// The ledger's word on how far a compacted log can be read.
    pub last_consumable: i64,
}

/// Where the log of a partition ends that nobody has been asked about with success.
pub(crate) const NOT_KNOWN: i64 = -1;

/// What a shard's producer knows of one of its partitions.
pub(crate) struct PredictedLog {
    pub(crate) id: i32,
    next_offset: i64,
    /// The ledger's highest offset; -1 when there is none.
    pub(crate) highest_acked: i64,
    /// What was sent here last was expected below that: the log had been found to end there.
    is_below: bool,
    pub(crate) acked: AckedRuns,
    pub(crate) consumable: Consumable,
    /// What was sent here last was not acked where it was expected: where the next record lands, only the broker knows.
    is_in_doubt: bool,
    /// The open transaction has a record here.
    in_transaction: bool,
    /// What the next transaction's first record comes after.
    previous: PreviousKnown,
    /// What was counted behind the last one.
    counted_marker: i64,
    /// Numbers for the proof headers.
    pub(crate) numbers: Numbering,
}

impl PredictedLog {
    pub(crate) fn new(id: i32, end_offset: i64, highest_acked: i64, last_consumable: i64) -> Self {
        Self {
            id,
            next_offset: end_offset,
            highest_acked,
            is_below: end_offset <= highest_acked,
            acked: AckedRuns::default(),
            consumable: Consumable::resume(last_consumable),
            is_in_doubt: false,
            in_transaction: false,
            previous: PreviousKnown::FromBroker,
            counted_marker: 0,
            numbers: Numbering::default(),
        }
    }

    /// The offset of the next record, which is counted on from here.
    #[inline]
    pub(crate) fn predict(&mut self, controls: Option<MarkerOffsets>) -> (i64, Option<First>) {
        let mut first = None;
        if let Some(controls) = controls.filter(|_| !self.in_transaction) {
            self.in_transaction = true;
            self.next_offset += controls.fence;
            let counted = MarkerOffsets { fence: controls.fence, marker: self.counted_marker };
            first = Some(First { previous: self.previous, counted });
        }
        let offset = self.next_offset;
        self.next_offset += 1;
        (offset, first)
    }

    /// The record that was predicted last was not sent.
    pub(crate) fn take_back(&mut self, first: Option<First>) {
        self.next_offset -= 1;
        if let Some(first) = first {
            self.in_transaction = false;
            self.next_offset -= first.counted.fence;
        }
    }

    /// The transaction has ended, one way or the other: its marker lies behind its records.
    pub(crate) fn end_transaction(&mut self, controls: MarkerOffsets) {
        if self.in_transaction {
            self.in_transaction = false;
            self.next_offset += controls.marker;
            self.counted_marker = controls.marker;
            self.previous = PreviousKnown::Counted;
        }
    }

    /// The end of this log has to be asked for.
    pub(crate) fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    pub(crate) fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    /// The same, if the open transaction has a record here.
    pub(crate) fn doubt_transaction(&mut self) {
        self.is_in_doubt |= self.in_transaction;
    }

    /// Starts over from where the log ends.
    pub(crate) fn repredict(&mut self, end_offset: i64) {
        self.next_offset = end_offset;
        self.is_below = end_offset <= self.highest_acked;
        self.is_in_doubt = false;
        self.in_transaction = false;
        self.previous = PreviousKnown::FromBroker;
    }

    /// Whether an ack at `offset` says that the log was truncated below what was acked, and written again. A record that landed
    /// where it was expected, above all that had been acked when it was sent, was only acked after those behind it.
    #[inline]
    pub(crate) fn is_refilled(&self, offset: i64, predicted_offset: i64) -> bool {
        offset <= self.highest_acked && (self.is_below || offset != predicted_offset)
    }

    /// The log was truncated here, below what was acked, and that is tolerated. Returns how many offsets are gone, at most.
    #[cold]
    pub(crate) fn truncate(&mut self, offset: i64, tombstones: bool, entries: &mut Vec<Entry>) -> u64 {
        entries.extend(self.take_acked(tombstones));
        entries.push(Entry::Truncated { partition: self.id, offset });
        let lost = self.highest_acked + 1 - offset;
        tracing::warn!(
            "partition {}: the log was truncated at {offset}, {} below its last ack",
            self.id,
            count(lost, "offset")
        );
        self.consumable.truncate(offset);
        self.highest_acked = offset - 1;
        self.is_below = false;
        lost.unsigned_abs()
    }

    /// What was acked, and belongs into the ledger.
    pub(crate) fn take_acked(&mut self, tombstones: bool) -> Option<Entry> {
        (!self.acked.is_empty()).then(|| Entry::Acked {
            partition: self.id,
            runs: self.acked.take(),
            last_consumable: tombstones.then(|| self.consumable.last()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> PredictedLog {
        PredictedLog::new(0, 10, -1, 0)
    }

    /// Offsets of `records` records in each of two transactions on a cluster that writes so many control records.
    fn two_transactions(controls: MarkerOffsets, records: usize) -> Vec<i64> {
        let mut log = log();
        let mut offsets = Vec::new();
        for _ in 0..2 {
            offsets.extend((0..records).map(|_| log.predict(Some(controls)).0));
            log.end_transaction(controls);
            log.end_transaction(controls);
        }
        offsets
    }

    #[test]
    fn records_follow_each_other_without_transactions() {
        let mut log = log();
        assert_eq!((log.predict(None), log.predict(None)), ((10, None), (11, None)));
        log.end_transaction(MarkerOffsets::KAFKA);
        assert_eq!(log.predict(None), (12, None), "a partition without records gets no marker");
    }

    #[test]
    fn markers_are_counted_once_for_each_transaction() {
        assert_eq!(two_transactions(MarkerOffsets::KAFKA, 2), [10, 11, 13, 14]);
        assert_eq!(two_transactions(MarkerOffsets { fence: 1, marker: 1 }, 2), [11, 12, 15, 16]);
        assert_eq!(two_transactions(MarkerOffsets { fence: 0, marker: 0 }, 1), [10, 11]);
    }

    #[test]
    fn what_was_not_sent_leaves_no_trace() {
        let mut log = log();
        let controls = MarkerOffsets { fence: 1, marker: 1 };
        let (_, first) = log.predict(Some(controls));
        log.take_back(first);
        log.end_transaction(controls);
        let counted = MarkerOffsets { fence: 1, marker: 0 };
        assert_eq!(
            log.predict(Some(controls)),
            (11, Some(First { previous: PreviousKnown::FromBroker, counted }))
        );
        let (_, second) = log.predict(Some(controls));
        log.take_back(second);
        assert_eq!(log.predict(Some(controls)), (12, None));
    }

    #[test]
    fn asking_starts_over() {
        let mut log = log();
        log.predict(Some(MarkerOffsets::KAFKA));
        log.end_transaction(MarkerOffsets::KAFKA);
        let first = |previous| Some(First { previous, counted: MarkerOffsets::KAFKA });
        assert_eq!(log.predict(Some(MarkerOffsets::KAFKA)), (12, first(PreviousKnown::Counted)));
        log.repredict(50);
        assert_eq!(log.predict(Some(MarkerOffsets::KAFKA)), (50, first(PreviousKnown::FromBroker)));
    }
}
