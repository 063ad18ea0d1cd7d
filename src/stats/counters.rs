//! Counters with one writer.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed},
};

use super::{Coverage, ReaderTotals, repeater::Gauge};

/// A counter that one thread writes and others may read.
///
/// With one writer a load and a store are enough: no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only the counter's writer may call this.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One number for each partition that a shard owns; negative is none yet.
///
/// A shard's numbers lie together and apart from every other shard's.
#[derive(Debug)]
pub struct Marks {
    partitions: Box<[i32]>,
    values: Box<[AtomicI64]>,
}

impl Marks {
    /// For these partitions; every mark starts at `initial`.
    #[must_use]
    pub fn new(partitions: &[i32], initial: i64) -> Self {
        let values = partitions.iter().map(|_| AtomicI64::new(initial)).collect();
        Self { partitions: partitions.into(), values }
    }

    /// Sets the mark of the partition at this place in the shard's list.
    pub fn set(&self, index: usize, value: i64) {
        self.values[index].store(value, Relaxed);
    }

    /// The mark of the partition at this place.
    #[must_use]
    pub fn get(&self, index: usize) -> i64 {
        self.values[index].load(Relaxed)
    }

    /// Adds all marks that are set to `totals`, the largest for each partition.
    pub fn collect_into(&self, totals: &mut BTreeMap<i32, i64>) {
        for (&partition, value) in self.partitions.iter().zip(&self.values) {
            let value = value.load(Relaxed);
            if value >= 0 {
                let total = totals.entry(partition).or_insert(value);
                *total = value.max(*total);
            }
        }
    }
}

/// What a shard's producer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerWants {
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
pub struct Wants(AtomicU8);

impl Wants {
    const ALL: [ProducerWants; 4] = [
        ProducerWants::Coordinator,
        ProducerWants::Offsets,
        ProducerWants::Acks,
        ProducerWants::TransactionEnd,
    ];

    /// Sets it.
    pub fn set(&self, wants: Option<ProducerWants>) {
        let place = wants.and_then(|wants| (1..).zip(Self::ALL).find(|(_, known)| *known == wants));
        self.0.store(place.map_or(0, |(place, _)| place), Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> Option<ProducerWants> {
        Self::ALL.get(usize::from(self.0.load(Relaxed)).checked_sub(1)?).copied()
    }
}

/// What a shard's producer has done. On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct ProducerStats {
    /// Records handed to the client.
    pub sent: Counter,
    /// Records acked at the offset that was predicted.
    pub acked: Counter,
    /// Value bytes of those.
    pub acked_bytes: Counter,
    /// Records acked elsewhere.
    pub bad_offsets: Counter,
    /// Times that the end offsets were asked for again.
    pub restarts: Counter,
    /// Records that were not acked.
    pub fails: Counter,
    /// Tombstones among the acked.
    pub tombstones: Counter,
    /// Transactions that failed, and were aborted and tried again.
    pub failed_transactions: Counter,
    /// Acked records of transactions that were to be aborted.
    pub aborted_records: Counter,
    /// Acked offsets that were cut off, and whose loss is tolerated: at most so many.
    pub lost_offsets: Counter,
    /// Messages for the control thread that found its queue full, and went later.
    pub refused_messages: Counter,
    /// Records that were due by the rate limit, and for which there was no room then.
    pub overdue: Gauge,
    /// Highest acked offset of each partition.
    pub max_offsets: Marks,
    /// What it waits for.
    pub wants: Wants,
    /// Records that have an outcome, whatever it is.
    pub deliveries: Counter,
}

impl ProducerStats {
    /// Changes with everything that comes of what the producer does.
    #[must_use]
    pub fn progress(&self) -> u64 {
        let Self { deliveries, acked, restarts, failed_transactions, aborted_records, .. } = self;
        let counters = [deliveries, acked, restarts, failed_transactions, aborted_records];
        counters.iter().fold(0, |sum, counter| sum.wrapping_add(counter.get()))
    }

    /// For a shard with these partitions.
    #[must_use]
    pub fn new(partitions: &[i32]) -> Self {
        Self {
            sent: Counter::default(),
            acked: Counter::default(),
            acked_bytes: Counter::default(),
            bad_offsets: Counter::default(),
            restarts: Counter::default(),
            fails: Counter::default(),
            tombstones: Counter::default(),
            failed_transactions: Counter::default(),
            aborted_records: Counter::default(),
            lost_offsets: Counter::default(),
            refused_messages: Counter::default(),
            overdue: Gauge::default(),
            max_offsets: Marks::new(partitions, -1),
            wants: Wants::default(),
            deliveries: Counter::default(),
        }
    }
}

/// What a shard's reader has seen. On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct ReaderStats {
    /// Records that name their own offset.
    pub valid_reads: Counter,
    /// Records in the ledger that do not.
    pub invalid_reads: Counter,
    /// Jumps forward that nothing was said of.
    pub offset_gaps: Counter,
    /// Records outside the ledger that do not name their offset.
    pub out_of_scope_invalid_reads: Counter,
    /// Null values.
    pub tombstones_consumed: Counter,
    /// Value bytes of all records.
    pub bytes: Counter,
    /// Errors that were survived.
    pub errors: Counter,
    /// Highest offset of each partition that was read.
    pub max_offsets: Marks,
    /// Offsets of each partition that were lost and tolerated.
    pub lost_offsets: Marks,
    /// How much of the last pass a ledger vouches for.
    pub coverage: Coverage,
}

impl ReaderStats {
    /// For a reader of these partitions.
    #[must_use]
    pub fn new(partitions: &[i32]) -> Self {
        Self {
            valid_reads: Counter::default(),
            invalid_reads: Counter::default(),
            offset_gaps: Counter::default(),
            out_of_scope_invalid_reads: Counter::default(),
            tombstones_consumed: Counter::default(),
            bytes: Counter::default(),
            errors: Counter::default(),
            max_offsets: Marks::new(partitions, -1),
            lost_offsets: Marks::new(partitions, 0),
            coverage: Coverage::default(),
        }
    }

    /// Changes with everything that the reader is shown.
    #[must_use]
    pub fn progress(&self) -> u64 {
        let Self { valid_reads, invalid_reads, out_of_scope_invalid_reads, .. } = self;
        let counters = [valid_reads, invalid_reads, out_of_scope_invalid_reads];
        counters.iter().fold(0, |sum, counter| sum.wrapping_add(counter.get()))
    }

    /// What was seen until now.
    #[must_use]
    pub fn totals(&self) -> ReaderTotals {
        let mut totals = ReaderTotals {
            valid_reads: self.valid_reads.get(),
            invalid_reads: self.invalid_reads.get(),
            offset_gaps: self.offset_gaps.get(),
            out_of_scope_invalid_reads: self.out_of_scope_invalid_reads.get(),
            tombstones_consumed: self.tombstones_consumed.get(),
            bytes: self.bytes.get(),
            errors: self.errors.get(),
            ..ReaderTotals::default()
        };
        self.max_offsets.collect_into(&mut totals.max_offsets);
        self.lost_offsets.collect_into(&mut totals.lost_offsets);
        totals
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
}
