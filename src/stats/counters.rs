//! Counters with one writer.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed},
};

use super::{Counts, CountsInTime, Coverage, counted::counted};
use crate::config::StatusSchema;

/// A counter that one thread writes and others may read.
///
/// With one writer a load and a store are enough: no locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only the counter's writer may call this.
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// Its value.
    #[must_use]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that one thread sets and others may read.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Its value.
    #[must_use]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One number for each partition that a shard owns; negative is none yet.
///
/// A shard's numbers lie together and apart from every other shard's.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    partitions: Box<[i32]>,
    values: Box<[AtomicI64]>,
}

impl Marks {
    /// For these partitions; every mark starts at `initial`.
    #[must_use]
    pub(crate) fn new(partitions: &[i32], initial: i64) -> Self {
        let values = partitions.iter().map(|_| AtomicI64::new(initial)).collect();
        Self { partitions: partitions.into(), values }
    }

    /// Sets the mark of the partition at this place in the shard's list.
    pub(crate) fn set(&self, index: usize, value: i64) {
        self.values[index].store(value, Relaxed);
    }

    /// The mark of the partition at this place.
    #[must_use]
    pub(crate) fn get(&self, index: usize) -> i64 {
        self.values[index].load(Relaxed)
    }

    /// All marks that are set, added up.
    #[must_use]
    pub(crate) fn sum(&self) -> u64 {
        let values = self.values.iter().map(|value| u64::try_from(value.load(Relaxed)).unwrap_or(0));
        values.sum()
    }

    /// Adds all marks that are set to `totals`, the largest for each partition.
    pub(crate) fn collect_into(&self, totals: &mut BTreeMap<i32, i64>) {
        let values = self.values.iter().map(|value| value.load(Relaxed));
        keep_largest(totals, self.partitions.iter().copied().zip(values).filter(|(_, value)| *value >= 0));
    }
}

/// Members of a group can have had the same partition, one after the other.
pub(super) fn keep_largest(all: &mut BTreeMap<i32, i64>, more: impl IntoIterator<Item = (i32, i64)>) {
    for (partition, value) in more {
        let largest = all.entry(partition).or_insert(value);
        *largest = value.max(*largest);
    }
}

/// What a shard's producer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProducerWants {
    /// To be let in by the coordinator of its transactional id.
    Coordinator,
    /// Where logs end.
    Offsets,
    /// Acks.
    Acks,
    /// The end of its transaction.
    TransactionEnd,
}

/// What a shard's producer waits for, if it waits: written by it, read by others.
#[derive(Debug, Default)]
pub(crate) struct Wants(AtomicU8);

impl Wants {
    const ALL: [ProducerWants; 4] = [
        ProducerWants::Coordinator,
        ProducerWants::Offsets,
        ProducerWants::Acks,
        ProducerWants::TransactionEnd,
    ];

    /// Sets it.
    pub(crate) fn set(&self, wants: Option<ProducerWants>) {
        let place = wants.and_then(|wants| (1..).zip(Self::ALL).find(|(_, known)| *known == wants));
        self.0.store(place.map_or(0, |(place, _)| place), Relaxed);
    }

    /// What it is.
    #[must_use]
    pub(crate) fn get(&self) -> Option<ProducerWants> {
        Self::ALL.get(usize::from(self.0.load(Relaxed)).checked_sub(1)?).copied()
    }
}

counted! {
    /// What a shard's producer has done. On cache lines of its own.
    shard ProducerStats;
    /// The producer's counters, added up.
    sums ProducerTotals;
    counted {
        /// Records handed to the client.
        sent: Counter as "sent",
        /// Records acked at the offset that was predicted.
        acked: Counter as "acked",
        /// Value bytes of those.
        acked_bytes: Counter,
        /// Records acked elsewhere.
        bad_offsets: Counter as "bad_offsets",
        /// Highest acked offset of each partition.
        max_offsets: Marks as "max_offsets_produced",
        /// Times that the end offsets were asked for again.
        restarts: Counter as "restarts",
        /// Records that were not acked.
        fails: Counter as "fails",
        /// Tombstones among the acked.
        tombstones: Counter as "tombstones_produced",
        /// Transactions that failed, and were aborted and tried again.
        failed_transactions: Counter as "failed_transactions",
        /// Acked records of transactions that were to be aborted.
        aborted_records: Counter as "aborted_transaction_msgs",
        /// Acked offsets that were truncated, and whose loss is tolerated: at most so many.
        lost_offsets: Counter,
        /// Records that were due by the rate limit, and for which there was no room then.
        overdue: Gauge,
    }
    apart {
        /// Messages for the control thread that found its queue full, and went later.
        refused_messages: Counter,
        /// What it waits for.
        wants: Wants,
        /// Records that have an outcome, whatever it is.
        deliveries: Counter,
        /// µs of an open loop in which a record was due, and brokers kept it from being sent.
        blocked_us: Counter,
        /// What of an open loop came within the measured time.
        in_time: CountsInTime,
    }
}

impl ProducerStats {
    /// For a shard with these partitions.
    #[must_use]
    pub(crate) fn new(partitions: &[i32]) -> Self {
        Self { max_offsets: Marks::new(partitions, -1), ..Self::default() }
    }

    /// What a benchmark counts of it.
    #[must_use]
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            sent: self.sent.get(),
            acked: self.acked.get(),
            acked_bytes: self.acked_bytes.get(),
            failed: self.fails.get(),
            ..Counts::default()
        }
    }

    /// Changes with everything that comes of what the producer does.
    #[must_use]
    pub(crate) fn progress(&self) -> u64 {
        let Self { deliveries, acked, restarts, failed_transactions, aborted_records, .. } = self;
        let counters = [deliveries, acked, restarts, failed_transactions, aborted_records];
        counters.iter().fold(0, |sum, counter| sum.wrapping_add(counter.get()))
    }
}

counted! {
    /// What a shard's reader has seen. On cache lines of its own.
    shard ReaderStats;
    /// A reader's counters, added up.
    sums ReaderTotals;
    counted {
        /// Records that name their own offset.
        valid_reads: Counter as "valid_reads",
        /// Records in the ledger that do not.
        invalid_reads: Counter as "invalid_reads",
        /// Jumps forward that nothing was said of.
        offset_gaps: Counter as "offset_gaps" by in_second_schema,
        /// Records outside the ledger that do not name their offset.
        out_of_scope_invalid_reads: Counter as "out_of_scope_invalid_reads",
        /// Highest offset of each partition that was read.
        max_offsets: Marks as "max_offsets_consumed",
        /// Offsets of each partition that were lost and tolerated.
        lost_offsets: Marks as "lost_offsets" by where_some_are_lost,
        /// Null values.
        tombstones_consumed: Counter as "tombstones_consumed",
        /// Value bytes of all records.
        bytes: Counter,
        /// Errors that were survived.
        errors: Counter,
    }
    apart {
        /// How much of the last pass a ledger vouches for.
        coverage: Coverage,
        /// What of a benchmark came within the measured time.
        in_time: CountsInTime,
    }
}

/// The first schema has no such field.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "sums of other kinds are shown likewise")]
fn in_second_schema(sum: &u64, schema: StatusSchema) -> Option<u64> {
    (schema == StatusSchema::V2).then_some(*sum)
}

/// `null` until something is lost.
#[expect(
    clippy::option_option,
    clippy::unnecessary_wraps,
    reason = "an entry without a value is not one that is left out, as others may be"
)]
fn where_some_are_lost(sums: &BTreeMap<i32, i64>, _: StatusSchema) -> Option<Option<BTreeMap<i32, i64>>> {
    let lost: BTreeMap<_, _> =
        sums.iter().filter(|(_, count)| **count > 0).map(|(id, count)| (*id, *count)).collect();
    Some((!lost.is_empty()).then_some(lost))
}

impl ReaderStats {
    /// For a reader of these partitions.
    #[must_use]
    pub(crate) fn new(partitions: &[i32]) -> Self {
        let (max_offsets, lost_offsets) = (Marks::new(partitions, -1), Marks::new(partitions, 0));
        Self { max_offsets, lost_offsets, ..Self::default() }
    }

    /// What a benchmark counts of it.
    #[must_use]
    pub(crate) fn counts(&self) -> Counts {
        // A reader's progress is the records that it has read.
        Counts { read: self.progress(), read_bytes: self.bytes.get(), ..Counts::default() }
    }

    /// Changes with everything that the reader is shown.
    #[must_use]
    pub(crate) fn progress(&self) -> u64 {
        let Self { valid_reads, invalid_reads, out_of_scope_invalid_reads, .. } = self;
        let counters = [valid_reads, invalid_reads, out_of_scope_invalid_reads];
        counters.iter().fold(0, |sum, counter| sum.wrapping_add(counter.get()))
    }
}

impl ReaderTotals {
    /// Records of any kind.
    #[must_use]
    pub(crate) fn records(&self) -> u64 {
        self.valid_reads + self.invalid_reads + self.out_of_scope_invalid_reads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_marks_do_not_show() {
        let marks = Marks::new(&[1, 3], -1);
        marks.set(1, 0);
        let mut totals = BTreeMap::new();
        marks.collect_into(&mut totals);
        assert_eq!(totals, BTreeMap::from([(3, 0)]));
        marks.set(1, 5);
        assert_eq!(marks.sum(), 5);
    }

    #[test]
    fn what_is_wanted_is_read_as_it_was_set() {
        let wants = Wants::default();
        assert_eq!(wants.get(), None);
        for wanted in Wants::ALL.map(Some).into_iter().chain([None]) {
            wants.set(wanted);
            assert_eq!(wants.get(), wanted);
        }
    }

    #[test]
    fn shards_do_not_share_cache_lines() {
        assert_eq!(align_of::<ProducerStats>(), 128);
        assert_eq!(align_of::<ReaderStats>(), 128);
    }

    #[test]
    fn sums_add_counters_and_keep_the_largest_marks() {
        let shards = [ReaderStats::new(&[0, 2]), ReaderStats::new(&[2])];
        for (shard, count) in shards.iter().zip([1, 4]) {
            shard.valid_reads.add(count);
            shard.errors.add(1);
        }
        shards[0].max_offsets.set(1, 7);
        shards[1].max_offsets.set(0, 5);
        let base = shards[0].totals();
        let sum: ReaderTotals = shards.iter().map(ReaderStats::totals).sum();
        assert_eq!((sum.valid_reads, sum.errors, sum.bytes), (5, 2, 0));
        assert_eq!(sum.max_offsets, BTreeMap::from([(2, 7)]));
        let since = sum.since(&base);
        assert_eq!((since.valid_reads, since.errors), (4, 1));
        assert_eq!(since.max_offsets, BTreeMap::from([(2, 7)]), "marks have no beginning");
    }
}
