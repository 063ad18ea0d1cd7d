//! What all workers of a process have in common, and what those of a shard have.

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crossbeam::channel::Sender;

use super::body::HEADER_BYTES;
use crate::{
    app::Shared,
    config::{Brokers, RepeaterConfig},
    control::Message,
    failing::{Done, Failing, Judgement},
    findings::anomaly::Violation,
    kafka::{ClientSettings, GroupStart, Isolation, KafkaError, MemberSettings},
    pace::{BEHIND_LIMIT, Pace},
    partitions::{PartitionTable, TopicPartition},
    stats::WorkerStats,
};

/// Shared by all threads of the process. Workers only read flags here.
pub(super) struct RepeaterContext {
    pub(super) config: RepeaterConfig,
    pub(super) shared: Arc<Shared>,
    pub(super) sender: Sender<Message>,
    pub(super) client: ClientSettings,
    /// The topics with their partitions, as many as there were at the start. What is added later is left alone: the group
    /// hears of it after its producers, starts there at the end, and would pass tokens over.
    pub(super) topics: Vec<(String, usize)>,
    /// Their partitions.
    pub(super) table: Arc<PartitionTable>,
    /// Each worker's counters.
    pub(super) stats: Vec<Arc<WorkerStats>>,
    /// Workers may produce.
    go: AtomicBool,
    /// A body that is no repeater's has been named in the log.
    named: AtomicBool,
    /// And a record that came before it was sent.
    named_clocks: AtomicBool,
    /// And that the rate is not kept.
    named_pace: AtomicBool,
    /// What becomes of the run when something cannot be sent. Touched only then, and by the main thread.
    failing: Mutex<Failing>,
    /// Why the group did not take workers in, until the main thread looks.
    refusals: Mutex<Vec<KafkaError>>,
}

impl RepeaterContext {
    pub(super) fn new(
        config: RepeaterConfig,
        shared: Arc<Shared>,
        sender: Sender<Message>,
        client: ClientSettings,
        topics: Vec<(String, usize)>,
        stats: Vec<Arc<WorkerStats>>,
    ) -> Self {
        Self {
            config,
            shared,
            sender,
            client,
            table: table_of(&topics),
            topics,
            stats,
            go: AtomicBool::new(false),
            named: AtomicBool::new(false),
            named_clocks: AtomicBool::new(false),
            named_pace: AtomicBool::new(false),
            failing: Mutex::default(),
            refusals: Mutex::default(),
        }
    }

    /// A partition's topic, and its number.
    pub(super) fn name_of(&self, place: TopicPartition) -> (&str, i32) {
        (&self.table.topics()[place.topic], place.partition)
    }

    /// Partitions of all topics.
    pub(super) fn partitions(&self) -> usize {
        count_partitions(&self.topics)
    }

    /// How a client of the process belongs to its group.
    pub(super) fn member(&self) -> MemberSettings {
        member(&self.config)
    }

    /// Whether the cluster is a mock of our own, which cannot be asked for groups.
    pub(super) fn is_embedded(&self) -> bool {
        matches!(self.config.common.brokers, Brokers::Embedded { .. })
    }

    pub(super) fn may_produce(&self) -> bool {
        self.go.load(Relaxed)
    }

    pub(super) fn let_produce(&self) {
        self.go.store(true, Relaxed);
    }

    pub(super) fn stop_requested(&self) -> bool {
        self.shared.lifecycle.stop_requested()
    }

    /// Whether this is the first bad body of the process.
    #[cold]
    pub(super) fn is_first_bad_body(&self) -> bool {
        !self.named.swap(true, Relaxed)
    }

    /// Whether this is the first record of the process that came before it was sent.
    #[cold]
    pub(super) fn is_first_from_the_future(&self) -> bool {
        !self.named_clocks.swap(true, Relaxed)
    }

    /// The rate that was asked for is not kept: tokens come back too slowly for it.
    #[cold]
    fn tell_of_pace(&self) {
        let Some(rate) = self.config.rate_limit_bytes_per_s.filter(|_| !self.named_pace.swap(true, Relaxed))
        else {
            return;
        };
        self.shared.causes.note(
            "the repeater",
            &format!("it is behind its schedule of {rate} B/s (--rate-limit-bps)"),
            "tokens come back too slowly; what was due is not made up for, and latencies omit what was not sent: more \
             tokens (--initial-data-mb) go further",
        );
    }

    /// What an error of a producer means for the process: its workers succeed and fail together.
    #[cold]
    pub(super) fn judge(&self, error: KafkaError) -> Judgement {
        self.failing().judge(error, Done::all(self.acked()), Instant::now())
    }

    /// What has kept all producers from succeeding for too long, if something has: there may be no token left to fail.
    pub(super) fn overdue(&self) -> Option<KafkaError> {
        let (mut failing, brokers) = (self.failing(), &self.shared.brokers);
        if brokers.up.load(Relaxed) < brokers.known.load(Relaxed) {
            failing.forget();
        }
        failing.overdue(self.acked(), Instant::now())
    }

    fn failing(&self) -> MutexGuard<'_, Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acked(&self) -> u64 {
        self.stats.iter().map(|worker| worker.produced.get() + worker.tombstones.get()).sum()
    }

    /// The group does not take a worker in.
    #[cold]
    pub(super) fn refused(&self, error: KafkaError) {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    /// Refusals since the last call.
    pub(super) fn take_refusals(&self) -> Vec<KafkaError> {
        std::mem::take(&mut *self.refusals.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a violation to what was found.
    #[cold]
    pub(super) fn report(&self, violation: Violation) {
        self.shared.violations.add(violation);
    }
}

/// Shared by the workers of one shard.
pub(super) struct ShardFloor {
    pub(super) context: Arc<RepeaterContext>,
    /// The shard's part of the process's rate limit: a worker that has nothing to send leaves its part to the others.
    pace: Option<RefCell<Pace>>,
    /// The workers that share it.
    workers: u64,
    clock: Instant,
}

/// How a client of the process belongs to its group.
pub(super) fn member(config: &RepeaterConfig) -> MemberSettings {
    MemberSettings {
        group: config.group.clone(),
        isolation: match config.transactions {
            Some(_) => Isolation::ReadCommitted,
            None => Isolation::ReadUncommitted,
        },
        start: GroupStart::End,
        members: config.workers.get(),
        session_timeout: None,
        rebalance_timeout: None,
        // A token is taken over once.
        handover: None,
    }
}

fn table_of(topics: &[(String, usize)]) -> Arc<PartitionTable> {
    let mut table = PartitionTable::default();
    for (name, partitions) in topics {
        let topic = table.add_topic(name);
        for partition in (0..).take(*partitions) {
            table.add(TopicPartition { topic, partition });
        }
    }
    table.into()
}

fn count_partitions(topics: &[(String, usize)]) -> usize {
    topics.iter().map(|(_, partitions)| partitions).sum()
}

impl ShardFloor {
    /// So many workers of the process are on this shard, and have their share of what is limited for the process.
    pub(super) fn new(context: Arc<RepeaterContext>, workers: usize) -> Self {
        let share = workers as f64 / context.config.workers.get() as f64;
        let pace =
            context.config.rate_limit_bytes_per_s.map(|limit| RefCell::new(Pace::new(limit, share, 0)));
        Self { context, pace, workers: workers as u64, clock: Instant::now() }
    }

    /// µs on the shard's clock.
    pub(super) fn now_us(&self) -> u64 {
        // 2⁶⁴ µs are more than half a million years.
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// How long to wait before the next record may go.
    pub(super) fn pause(&self, now_us: u64) -> Duration {
        self.pace.as_ref().map_or(Duration::ZERO, |pace| pace.borrow_mut().wait(now_us))
    }

    /// A worker's part of the records that were due on this shard by the rate limit, and did not go then. The first time
    /// that it is worth a second, it is said.
    pub(super) fn overdue_records(&self) -> u64 {
        let Some(pace) = &self.pace else { return 0 };
        let pace = pace.borrow();
        if pace.behind() >= BEHIND_LIMIT {
            self.context.tell_of_pace();
        }
        let record_bytes = self.context.config.payload_bytes.get() + HEADER_BYTES;
        pace.missed_bytes() / record_bytes as u64 / self.workers.max(1)
    }

    /// Counts what was sent against the limit.
    pub(super) fn spend(&self, bytes: u64) {
        if let Some(pace) = &self.pace {
            pace.borrow_mut().spend(bytes);
        }
    }
}
