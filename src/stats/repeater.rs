//! What the repeater's workers have done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Counter, Gauge, LatencyHistogram, LatencySummary, counted::counted};
use crate::config::StatusSchema;

counted! {
    /// What a worker has done. On cache lines of its own.
    ///
    /// At rest: tokens at the start = `enqueued` + `produced` − `consumed` + what was lost.
    shard WorkerStats;
    /// A worker's counters at a moment, or those of several added up.
    #[derive(Copy)]
    sums WorkerTotals;
    counted {
        /// Tokens acked, in committed transactions where there are any.
        produced: Counter as "produced",
        /// Value bytes of those.
        produced_bytes: Counter,
        /// Tokens taken over from records.
        consumed: Counter as "consumed",
        /// Value bytes of those.
        consumed_bytes: Counter,
        /// Tokens lost because their record was refused, or failed for certain.
        lost_failed: Counter,
        /// Tokens whose record is in the log, or not: they count as lost.
        lost_unknown: Counter,
        /// Records whose value is no repeater's.
        bad_bodies: Counter,
        /// Records of aborted transactions that were consumed nevertheless.
        aborted_reads: Counter,
        /// Errors of the consumer.
        faults: Counter,
        /// Records consumed from partitions that were lost before that was committed: consumed again elsewhere. At most
        /// so many: a commit that got no answer may have come through.
        replayed: Gauge,
        /// Null values acked.
        tombstones: Counter,
        /// Null values that were refused, or failed, or may have.
        failed_tombstones: Counter,
        /// Null values consumed.
        tombstones_consumed: Counter,
        /// Transactions that were committed.
        committed_transactions: Counter,
        /// Transactions that were aborted.
        aborted_transactions: Counter,
        /// Tokens in those; they were sent again.
        aborted_records: Counter,
        /// Records that failed in transactions, which were aborted then.
        failed_in_transactions: Counter,
        /// Records that came before they were sent, by the clocks of both: they have no end-to-end latency.
        before_sent: Counter,
        /// Records that were due by the rate limit, and for which there was no token then.
        overdue: Gauge,
    }
    apart {
        /// Tokens that are here: waiting, or sent and without an outcome.
        enqueued: Gauge,
        /// Rebalances.
        rebalances: Gauge,
        /// Partitions owned.
        partitions: Gauge,
        /// 1 when the group knows where each of them is consumed from.
        settled: Gauge,
        /// The longest time by which one did, µs.
        clock_lead_us: Gauge,
        /// 1 while its transactional id has not been let in.
        starting: Gauge,
    }
}

impl WorkerTotals {
    /// Everything that was not as it should be.
    #[must_use]
    pub(crate) fn errors(&self) -> u64 {
        self.lost_failed
            + self.lost_unknown
            + self.failed_tombstones
            + self.bad_bodies
            + self.aborted_reads
            + self.faults
            + self.failed_in_transactions
    }
}

/// The group as it was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupView {
    /// `Stable`, `Empty`…; empty while nobody has said.
    pub state: String,
    /// Members of all processes.
    pub members: usize,
}

/// All workers of a repeater.
#[derive(Debug)]
pub(crate) struct RepeaterBoard {
    topics: Vec<String>,
    workers: Vec<WorkerBoard>,
    group: Mutex<GroupView>,
}

#[derive(Debug)]
struct WorkerBoard {
    stats: Arc<WorkerStats>,
    /// Touched by the control thread only, so that nobody ever waits for it.
    latencies: Mutex<Latencies>,
    /// Those from before the last reset.
    latencies_before: Mutex<Latencies>,
    base: Mutex<WorkerTotals>,
}

/// Of acks, and from sending a record to consuming it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    /// From sending to the ack.
    pub ack: LatencyHistogram,
    /// From sending to consuming.
    pub e2e: LatencyHistogram,
}

impl Latencies {
    fn merge(&mut self, other: &Self) {
        self.ack.merge(&other.ack);
        self.e2e.merge(&other.e2e);
    }
}

impl RepeaterBoard {
    /// For these workers.
    #[must_use]
    pub(crate) fn new(topics: Vec<String>, workers: Vec<Arc<WorkerStats>>) -> Self {
        let workers = workers.into_iter().map(|stats| WorkerBoard {
            stats,
            latencies: Mutex::default(),
            latencies_before: Mutex::default(),
            base: Mutex::default(),
        });
        Self { topics, workers: workers.collect(), group: Mutex::default() }
    }

    /// The longest time by which a record came before it was sent, µs: clocks differ by at least that.
    #[must_use]
    pub(crate) fn clock_lead_us(&self) -> u64 {
        self.workers.iter().map(|worker| worker.stats.clock_lead_us.get()).max().unwrap_or(0)
    }

    /// The status array.
    #[must_use]
    pub(crate) fn status(&self) -> Vec<RepeaterStatus> {
        let object = |worker: &WorkerBoard| {
            let (totals, latencies) = (worker.totals(), lock(&worker.latencies));
            RepeaterStatus {
                topics: self.topics.clone(),
                totals,
                enqueued: worker.stats.enqueued.get(),
                latency: LatencyStatus { ack: latencies.ack.summary(), e2e: latencies.e2e.summary() },
            }
        };
        self.workers.iter().map(object).collect()
    }

    /// Zeroes every counter, as far as anybody who looks can tell.
    pub(crate) fn reset(&self) {
        for worker in &self.workers {
            *lock(&worker.base) = worker.stats.totals();
            let mut latencies = lock(&worker.latencies);
            lock(&worker.latencies_before).merge(&latencies);
            latencies.ack.clear();
            latencies.e2e.clear();
        }
    }

    /// Adds a worker's latencies.
    pub(crate) fn merge(
        &self,
        worker: usize,
        ack: Option<&LatencyHistogram>,
        e2e: Option<&LatencyHistogram>,
    ) {
        let Some(worker) = self.workers.get(worker) else { return };
        let mut latencies = lock(&worker.latencies);
        if let Some(news) = ack {
            latencies.ack.merge(news);
        }
        if let Some(news) = e2e {
            latencies.e2e.merge(news);
        }
    }

    /// The latencies of all workers since the last reset.
    #[must_use]
    pub(crate) fn latencies(&self) -> Latencies {
        let mut all = Latencies::default();
        for worker in &self.workers {
            all.merge(&lock(&worker.latencies));
        }
        all
    }

    /// The latencies of all workers since the start.
    #[must_use]
    pub(crate) fn latencies_in_all(&self) -> Latencies {
        let mut all = self.latencies();
        for worker in &self.workers {
            all.merge(&lock(&worker.latencies_before));
        }
        all
    }

    /// The topics under test.
    #[must_use]
    pub(crate) fn topics(&self) -> &[String] {
        &self.topics
    }

    /// What each worker counts.
    pub(crate) fn stats(&self) -> impl Iterator<Item = &WorkerStats> {
        self.workers.iter().map(|worker| &*worker.stats)
    }

    /// Each worker: what it has done since the start, the tokens that it holds, its latencies since the last reset.
    pub(crate) fn each(&self) -> impl Iterator<Item = (WorkerTotals, u64, Latencies)> {
        self.workers.iter().map(|worker| {
            (worker.stats.totals(), worker.stats.enqueued.get(), lock(&worker.latencies).clone())
        })
    }

    /// What all workers have done since the start.
    #[must_use]
    pub(crate) fn raw_totals(&self) -> WorkerTotals {
        self.workers.iter().map(|worker| worker.stats.totals()).sum()
    }

    /// Grows with each record that was acked or consumed.
    #[must_use]
    pub(crate) fn work_done(&self) -> u64 {
        let done = |stats: &WorkerStats| stats.produced.get() + stats.tombstones.get() + stats.consumed.get();
        self.workers.iter().map(|worker| done(&worker.stats)).sum()
    }

    /// Tokens that are in this process.
    #[must_use]
    pub(crate) fn enqueued(&self) -> u64 {
        self.workers.iter().map(|worker| worker.stats.enqueued.get()).sum()
    }

    /// The group as it was seen last.
    #[must_use]
    pub(crate) fn group(&self) -> GroupView {
        lock(&self.group).clone()
    }

    /// Keeps how the group was seen.
    pub(crate) fn set_group(&self, view: GroupView) {
        *lock(&self.group) = view;
    }
}

impl WorkerBoard {
    fn totals(&self) -> WorkerTotals {
        self.stats.totals().since(&lock(&self.base))
    }
}

/// One worker's object in `/status`.
#[derive(Debug)]
pub(crate) struct RepeaterStatus {
    topics: Vec<String>,
    totals: WorkerTotals,
    enqueued: u64,
    latency: LatencyStatus,
}

impl Serialize for RepeaterStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("topics", &self.topics)?;
        self.totals.show(&mut object, StatusSchema::default())?;
        object.serialize_entry("enqueued", &self.enqueued)?;
        object.serialize_entry("errors", &self.totals.errors())?;
        object.serialize_entry("latency", &self.latency)?;
        object.end()
    }
}

#[derive(Debug, Serialize)]
struct LatencyStatus {
    ack: LatencySummary,
    e2e: LatencySummary,
}

/// The statistics outlive whoever panicked while holding them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_the_contract_s() {
        let board = RepeaterBoard::new(vec!["t".into()], vec![Arc::default()]);
        assert_eq!(
            serde_json::to_string(&board.status()).unwrap(),
            concat!(
                r#"[{"topics":["t"],"produced":0,"consumed":0,"enqueued":0,"errors":0,"#,
                r#""latency":{"ack":{"p50":0,"p90":0,"p99":0},"e2e":{"p50":0,"p90":0,"p99":0}}}]"#
            )
        );
    }

    #[test]
    fn reset_zeroes_counters_and_latencies_and_not_what_is_here() {
        let stats = Arc::new(WorkerStats::default());
        let board = RepeaterBoard::new(vec!["t".into()], vec![stats.clone(), Arc::default()]);
        stats.produced.add(5);
        stats.failed_tombstones.add(1);
        stats.enqueued.set(7);
        let mut latency = LatencyHistogram::new();
        latency.record(9);
        board.merge(0, Some(&latency), None);
        board.merge(2, Some(&latency), None);
        assert_eq!((board.status()[0].totals.produced, board.status()[0].totals.errors()), (5, 1));
        assert_eq!((board.latencies().ack.count(), board.latencies().e2e.count()), (1, 0));
        board.reset();
        let shown = &board.status()[0];
        assert_eq!(
            (shown.totals.produced, shown.totals.errors(), shown.enqueued, shown.latency.ack.p50_us),
            (0, 0, 7, 0)
        );
        assert_eq!((board.raw_totals().produced, board.enqueued()), (5, 7));
        assert_eq!((board.latencies().ack.count(), board.latencies_in_all().ack.count()), (0, 1));
    }

    #[test]
    fn workers_do_not_share_cache_lines() {
        assert_eq!(align_of::<WorkerStats>(), 128);
    }
}
