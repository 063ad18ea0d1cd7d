//! All workers of a run, for whoever wants to show how they are doing.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use serde_json::Value;

use super::{
    CoverageTotals, LatencyHistogram, OtherRuns, ProducerStats, ProducerStatus, ProducerTotals, ReaderStats,
    ReaderStatus, ReaderTotals, Topics, WorkerStatus,
};
use crate::{config::StatusSchema, partitions::Slice};

/// The workers of a run.
#[derive(Debug)]
pub(crate) struct Board {
    /// The topics under test.
    pub topics: Topics,
    /// The producer, if there is one.
    pub producer: Option<ProducerBoard>,
    /// Readers, in the order in which they run.
    pub readers: Vec<ReaderBoard>,
    ledger_acked: AtomicU64,
    slices: Mutex<SlicesRead>,
    /// Partitions that the process works on, of how many.
    part: (usize, usize),
}

/// Of which slices' ledgers what was read was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlicesRead {
    /// How many slices there are; 0: the ledger is one of all partitions.
    pub(crate) of: usize,
    /// Those that have no ledger, with their partitions that this process reads.
    pub(crate) missing: Vec<(Slice, Vec<i32>)>,
}

impl Board {
    /// The workers of a run on these topics.
    #[must_use]
    pub(crate) fn new(topics: Topics, producer: Option<ProducerBoard>, readers: Vec<ReaderBoard>) -> Self {
        Self {
            topics,
            producer,
            readers,
            ledger_acked: AtomicU64::new(0),
            slices: Mutex::default(),
            part: (1, 1),
        }
    }

    /// The same of a process that works on so many partitions, of all that a topic has.
    #[must_use]
    pub(crate) fn with_part(self, own: usize, all: usize) -> Self {
        Self { part: (own, all), ..self }
    }

    /// The process's part of what is limited for all slices.
    #[must_use]
    pub(crate) fn share_of(&self, limit: u64) -> u64 {
        let (own, all) = (self.part.0 as u128, self.part.1.max(1) as u128);
        u64::try_from(u128::from(limit) * own / all).unwrap_or(limit)
    }

    /// Keeps of which slices' ledgers what a pass is held against was made.
    pub(crate) fn note_slices(&self, slices: SlicesRead) {
        *lock(&self.slices) = slices;
    }

    /// What was noted last.
    #[must_use]
    pub(crate) fn slices(&self) -> SlicesRead {
        lock(&self.slices).clone()
    }

    /// Keeps how many records the ledger listed when it was read.
    pub(crate) fn note_ledger(&self, acked: u64) {
        self.ledger_acked.fetch_max(acked, Relaxed);
    }

    /// Records that the ledger lists, as far as this run knows.
    #[must_use]
    pub(crate) fn ledger_acked(&self) -> u64 {
        let acked = self.producer.as_ref().map_or(0, |producer| producer.raw_totals().acked);
        self.ledger_acked.load(Relaxed).max(acked)
    }

    /// Grows with each record that was acked or read.
    #[must_use]
    pub(crate) fn work_done(&self) -> u64 {
        let acked = self.producer.as_ref().map_or(0, |producer| producer.raw_totals().acked);
        acked + self.readers.iter().map(|reader| reader.raw_totals().records()).sum::<u64>()
    }

    /// Whether every worker has done all that was asked of it.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.producer.as_ref().is_none_or(ProducerBoard::is_complete)
            && self.readers.iter().all(ReaderBoard::is_complete)
    }

    /// The status array; `None` where it cannot become JSON, which has not been seen.
    #[must_use]
    pub(crate) fn status(&self, schema: StatusSchema) -> Option<Value> {
        let mut status = serde_json::to_value(self.workers(schema)).ok()?;
        self.topics.name_partitions(&mut status);
        Some(status)
    }

    fn workers(&self, schema: StatusSchema) -> Vec<WorkerStatus> {
        let topic = self.topics.label();
        let producer = self.producer.iter().map(|board| {
            let (totals, latency) = (board.totals(), board.latency().summary());
            WorkerStatus::Producer(ProducerStatus::new(&topic, totals, latency, board.is_active()))
        });
        let readers = self.readers.iter().map(|board| {
            WorkerStatus::Reader(ReaderStatus::new(&topic, board.totals(), schema, board.is_active()))
        });
        producer.chain(readers).collect()
    }

    /// Zeroes every counter, as far as anybody who looks can tell.
    pub(crate) fn reset(&self) {
        if let Some(board) = &self.producer {
            *lock(&board.base) = board.raw_totals();
            let mut latency = board.latency();
            lock(&board.latency_before).merge(&latency);
            latency.clear();
        }
        for board in &self.readers {
            *lock(&board.base) = board.raw_totals();
        }
    }
}

/// The producer: one object, however many shards produce.
#[derive(Debug)]
pub(crate) struct ProducerBoard {
    /// Each shard's counters.
    pub shards: Vec<Arc<ProducerStats>>,
    active: AtomicBool,
    complete: AtomicBool,
    goal: AtomicU64,
    /// Touched by the control thread only, so that nobody ever waits for it.
    latency: Mutex<LatencyHistogram>,
    /// Those from before the last reset.
    latency_before: Mutex<LatencyHistogram>,
    base: Mutex<ProducerTotals>,
}

impl ProducerBoard {
    /// A producer that is about to work.
    #[must_use]
    pub(crate) fn new(shards: Vec<Arc<ProducerStats>>) -> Self {
        Self {
            shards,
            active: AtomicBool::new(true),
            complete: AtomicBool::new(false),
            goal: AtomicU64::new(0),
            latency: Mutex::default(),
            latency_before: Mutex::default(),
            base: Mutex::default(),
        }
    }

    /// Sets how many records it is to produce.
    pub(crate) fn set_goal(&self, records: u64) {
        self.goal.store(records, Relaxed);
    }

    /// How many records it is to produce, as far as that is known.
    #[must_use]
    pub(crate) fn goal(&self) -> u64 {
        self.goal.load(Relaxed)
    }

    /// Its work is done.
    pub(crate) fn finish(&self) {
        self.active.store(false, Relaxed);
    }

    /// Whether its work is not yet done.
    #[must_use]
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    /// It was not stopped before its work was done.
    pub(crate) fn complete(&self) {
        self.complete.store(true, Relaxed);
    }

    /// Whether it has done all that was asked of it.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Relaxed)
    }

    /// Ack latencies of all shards since the start.
    #[must_use]
    pub(crate) fn latency_in_all(&self) -> LatencyHistogram {
        let mut all = lock(&self.latency_before).clone();
        all.merge(&self.latency());
        all
    }

    /// Ack latencies of all shards since the last reset.
    pub(crate) fn latency(&self) -> MutexGuard<'_, LatencyHistogram> {
        lock(&self.latency)
    }

    /// What all shards have done since the last reset.
    #[must_use]
    pub(crate) fn totals(&self) -> ProducerTotals {
        self.raw_totals().since(&lock(&self.base))
    }

    /// What all shards have done since the start.
    #[must_use]
    pub(crate) fn raw_totals(&self) -> ProducerTotals {
        self.shards.iter().map(|shard| shard.totals()).sum()
    }
}

/// What a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReaderKind {
    /// Reads everything, in order.
    Sequential,
    /// Reads here and there.
    Random,
    /// Reads everything, shared out by a consumer group.
    Group,
}

impl ReaderKind {
    /// Its name for people.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential read",
            Self::Random => "random read",
            Self::Group => "group read",
        }
    }
}

/// A reader: one object, however many shards read for it.
#[derive(Debug)]
pub(crate) struct ReaderBoard {
    /// What it is.
    pub kind: ReaderKind,
    /// Each shard's counters.
    pub shards: Vec<Arc<ReaderStats>>,
    active: AtomicBool,
    goal: AtomicU64,
    passes: AtomicU64,
    ended_in_time: AtomicBool,
    removed: AtomicU64,
    base: Mutex<ReaderTotals>,
}

impl ReaderBoard {
    /// A reader that is about to work.
    #[must_use]
    pub(crate) fn new(kind: ReaderKind, shards: Vec<Arc<ReaderStats>>) -> Self {
        Self {
            kind,
            shards,
            active: AtomicBool::new(true),
            goal: AtomicU64::new(0),
            passes: AtomicU64::new(0),
            ended_in_time: AtomicBool::new(false),
            removed: AtomicU64::new(0),
            base: Mutex::default(),
        }
    }

    /// Sets how many records it is to read.
    pub(crate) fn set_goal(&self, records: u64) {
        self.goal.store(records, Relaxed);
    }

    /// How many records it is to read, as far as that is known.
    #[must_use]
    pub(crate) fn goal(&self) -> u64 {
        self.goal.load(Relaxed)
    }

    /// Its work is done.
    pub(crate) fn finish(&self) {
        self.active.store(false, Relaxed);
    }

    /// Whether its work is not yet done.
    #[must_use]
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    /// A pass has come to its end, and was not stopped.
    pub(crate) fn end_pass(&self) {
        self.passes.fetch_add(1, Relaxed);
    }

    /// The time that it was given is up, and its pass is not over.
    pub(crate) fn end_in_time(&self) {
        self.ended_in_time.store(true, Relaxed);
    }

    /// Whether it has done all that was asked of it: a pass, or as much of one as there was time for. A random reader may
    /// come to the end of a pass with fewer reads than it was asked for, when there is nothing to read.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        let records = self.raw_totals().records();
        let is_whole = self.kind != ReaderKind::Random || records >= self.goal();
        self.passes() > 0 && is_whole || self.ended_in_time.load(Relaxed) && records > 0
    }

    /// Passes that came to their end.
    #[must_use]
    pub(crate) fn passes(&self) -> u64 {
        self.passes.load(Relaxed)
    }

    /// Sets how many acked records had left the log before the pass began.
    pub(crate) fn set_removed(&self, records: u64) {
        self.removed.store(records, Relaxed);
    }

    /// Acked records that retention had taken before the last pass began.
    #[must_use]
    pub(crate) fn removed(&self) -> u64 {
        self.removed.load(Relaxed)
    }

    /// Whether a ledger that has grown since the last pass began may vouch for more of what was read in it.
    #[must_use]
    pub(crate) fn is_beyond_ledger(&self) -> bool {
        self.shards.iter().any(|shard| shard.coverage.is_short())
    }

    /// How much of its last pass a ledger vouches for.
    #[must_use]
    pub(crate) fn coverage(&self) -> CoverageTotals {
        let mut totals = CoverageTotals::default();
        self.shards.iter().for_each(|shard| totals += shard.coverage.totals());
        totals
    }

    /// Who wrote what it does not list, in its last pass.
    #[must_use]
    pub(crate) fn other_runs(&self) -> OtherRuns {
        let mut all = OtherRuns::default();
        for shard in &self.shards {
            all.merge(shard.coverage.other_runs());
        }
        all
    }

    /// Valid records of all passes that the ledger lists: those that are proven. What was read in a pass that is under way
    /// is not among them.
    #[must_use]
    pub(crate) fn proven(&self) -> u64 {
        let vouched_for: u64 = self.shards.iter().map(|shard| shard.coverage.vouched_for_in_all()).sum();
        vouched_for.min(self.raw_totals().valid_reads)
    }

    /// Records of all passes that the ledger does not list: of the same passes as those that are proven.
    #[must_use]
    pub(crate) fn beyond_ledger(&self) -> u64 {
        self.shards.iter().map(|shard| shard.coverage.beyond_ledger_in_all()).sum()
    }

    /// What all shards have seen since the last reset.
    #[must_use]
    pub(crate) fn totals(&self) -> ReaderTotals {
        self.raw_totals().since(&lock(&self.base))
    }

    /// What all shards have seen since the start.
    #[must_use]
    pub(crate) fn raw_totals(&self) -> ReaderTotals {
        self.shards.iter().map(|shard| shard.totals()).sum()
    }
}

/// The statistics outlive whoever panicked while holding them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn shards_add_up_and_reset_starts_from_zero() {
        let shards = vec![Arc::new(ProducerStats::new(&[0, 2])), Arc::new(ProducerStats::new(&[1]))];
        for shard in &shards {
            shard.acked.add(5);
        }
        shards[0].max_offsets.set(1, 7);
        let board = Board::new("t".into(), Some(ProducerBoard::new(shards)), Vec::new());
        let producer = board.producer.as_ref().unwrap();
        producer.latency().record(9);
        assert_eq!(producer.totals().acked, 10);
        assert_eq!(producer.totals().max_offsets, BTreeMap::from([(2, 7)]));
        board.reset();
        assert_eq!(producer.totals().acked, 0);
        assert_eq!(producer.latency().count(), 0);
        assert_eq!(producer.latency_in_all().count(), 1);
        producer.shards[1].acked.add(3);
        assert_eq!(producer.totals().acked, 3);
        assert_eq!(producer.raw_totals().acked, 13);
    }

    #[test]
    fn active_ends_once() {
        let board = ReaderBoard::new(ReaderKind::Random, vec![Arc::new(ReaderStats::new(&[0]))]);
        assert!(board.is_active());
        board.finish();
        assert!(!board.is_active());
    }
}
