//! One worker: a member of the group with a producer of its own, which sends what it consumes.

use std::{
    ops::ControlFlow,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    body::Header,
    context::ShardFloor,
    sender::{DELIVERY_EVENTS, TokenSender},
};
use crate::{
    clock,
    control::Message,
    findings::anomaly::{Anomaly, READABLE, Violation},
    kafka::{
        ClientError, ClientSettings, GroupFactory, GroupReader, GroupVisitor, KafkaError, LogEvent,
        SlotWriter,
    },
    partitions::{PartitionSlot, TopicPartition},
    record::RecordView,
    stats::{LatencyRecorder, WorkerStats},
};

/// The timer beside the wake-up.
const WAIT: Duration = Duration::from_millis(250);
/// Records shown before others have their turn; how often commits are looked at, and how often latencies travel to the control thread.
const BATCH: usize = 512;
const TEND_EVERY: Duration = Duration::from_millis(if cfg!(test) { 2 } else { 100 });
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// How long a stop waits for what is in flight, and then for the group: both fit into the time a process has to end.
const FLUSH_LIMIT: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 3_500 });
const LEAVE_LIMIT: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1_500 });

/// Works until the run is stopped.
///
/// # Errors
/// A client that could not be started.
pub(super) async fn run<C: GroupFactory<Writer: SlotWriter>>(
    clients: C,
    name: &str,
    shard: Rc<ShardFloor>,
    worker: usize,
) -> Result<(), ClientError> {
    let mut worker = Worker::start(clients, name, &shard, worker)?;
    let result = worker.work().await;
    worker.flush().await;
    worker.leave().await;
    // Closing clients can wait for brokers that hang. The process is about to end, and with it all they hold.
    std::mem::forget(worker);
    result
}

struct Worker<C: GroupFactory> {
    sender: TokenSender<C>,
    member: C::Member,
    inbox: Inbox,
    shard: Rc<ShardFloor>,
    stats: Arc<WorkerStats>,
    index: usize,
    tended: Instant,
    reported: Instant,
}

/// What is done with a record, apart from the client that shows it.
struct Inbox {
    shard: Rc<ShardFloor>,
    stats: Arc<WorkerStats>,
    latency: LatencyRecorder,
    last_fault: Option<KafkaError>,
    /// What cannot be read and was told, of which it is not known yet how far it goes: where it begins.
    unreadable: Vec<(PartitionSlot, i64)>,
    /// Tokens that came with the last look, and the time of that.
    tokens: Vec<i64>,
    now_us: i64,
}

/// The name of one of the process's workers: its clients' id.
pub(super) fn name(client: &ClientSettings, worker: usize) -> String {
    format!("{}_w_{worker}", client.client_id)
}

impl<C: GroupFactory<Writer: SlotWriter>> Worker<C> {
    fn start(clients: C, name: &str, shard: &Rc<ShardFloor>, index: usize) -> Result<Self, ClientError> {
        let context = &shard.context;
        let (now, stats) = (Instant::now(), context.stats[index].clone());
        // Until the first look.
        stats.starting.set(context.config.transactions.is_some().into());
        let member = clients.member(&context.member(), &context.table)?;
        Ok(Self {
            sender: TokenSender::start(clients, shard, name, index)?,
            member,
            inbox: Inbox::new(shard.clone(), stats.clone()),
            shard: shard.clone(),
            stats,
            index,
            tended: now,
            reported: now,
        })
    }

    async fn work(&mut self) -> Result<(), ClientError> {
        while !self.shard.context.stop_requested() {
            let taken = self.sender.take_deliveries()?;
            let more = self.consume() || taken >= DELIVERY_EVENTS;
            let (sent, pause) =
                if self.shard.context.may_produce() { self.sender.send_burst() } else { (0, None) };
            self.tend();
            // Every client wakes when it has something new, so that only what was left over is a reason to go on.
            if more || (sent > 0 && pause == Some(Duration::ZERO)) {
                futures_lite::future::yield_now().await;
            } else {
                self.sender.send_off();
                self.member.wait(pause.unwrap_or(WAIT).min(WAIT)).await;
            }
        }
        Ok(())
    }

    /// Takes over the tokens of what has come. Returns whether there may be more.
    fn consume(&mut self) -> bool {
        self.inbox.now_us = clock::unix_us();
        let more = self.member.poll(BATCH, &mut self.inbox);
        for token in self.inbox.tokens.drain(..) {
            self.sender.tokens.give(token);
        }
        more
    }

    fn tend(&mut self) {
        self.stats.enqueued.set(self.sender.enqueued());
        if self.tended.elapsed() < TEND_EVERY {
            return;
        }
        self.tended = Instant::now();
        self.member.tend();
        let state = self.member.state();
        self.stats.rebalances.set(state.rebalances);
        self.stats.partitions.set(state.partitions as u64);
        self.stats.settled.set(state.settled.into());
        self.stats.starting.set(self.sender.is_starting().into());
        self.stats.replayed.set(state.uncommitted);
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            self.stats.overdue.set(self.shard.overdue_records());
            self.report();
        }
    }

    /// Hands the latencies over, or keeps them while the control thread's queue is full.
    fn report(&mut self) {
        if self.shard.context.sender.is_full() {
            return;
        }
        let (ack, e2e) = (self.sender.latency.take(), self.inbox.latency.take());
        if ack.is_some() || e2e.is_some() {
            let message = Message::EchoLatency { worker: self.index, ack, e2e };
            // Several shards may have seen the last place: what is lost then is statistics of half a second.
            let _ = self.shard.context.sender.try_send(message);
        }
    }

    /// Waits for the outcome of what was sent, and for the group to know what was consumed, for a while.
    /// Nothing is consumed any more: it is for the others.
    async fn flush(&mut self) {
        let until = Instant::now() + FLUSH_LIMIT;
        while Instant::now() < until {
            let settled = self.member.settle();
            if self.sender.take_deliveries().is_err() || (self.sender.is_flushed() && settled) {
                break;
            }
            self.sender.send_off();
            self.member.wait(Duration::from_millis(20)).await;
        }
        self.stats.enqueued.set(self.sender.enqueued());
        self.report();
    }

    /// Leaves the group, if that is possible in time: the others need not wait for a session to end.
    async fn leave(&mut self) {
        let until = Instant::now() + LEAVE_LIMIT;
        self.member.begin_leaving();
        self.stats.replayed.set(self.member.state().uncommitted);
        while !self.member.leave() && Instant::now() < until {
            glommio::timer::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Inbox {
    fn new(shard: Rc<ShardFloor>, stats: Arc<WorkerStats>) -> Self {
        Self {
            shard,
            stats,
            latency: LatencyRecorder::default(),
            last_fault: None,
            unreadable: Vec::new(),
            tokens: Vec::new(),
            now_us: 0,
        }
    }

    #[inline]
    fn take(&mut self, place: TopicPartition, record: &RecordView<'_>) {
        match record.value {
            // What it is, nobody knows.
            _ if !record.has_sound_headers => {
                let words = [READABLE, "one whose headers cannot be taken apart"];
                self.broken(place, record.offset, Anomaly::Corrupt, words);
            }
            Some(value) => self.body(place, record.offset, value),
            None => self.stats.tombstones_consumed.add(1),
        }
    }

    fn body(&mut self, place: TopicPartition, offset: i64, value: &[u8]) {
        match Header::decode(value) {
            Ok(Header { aborted: true, .. }) => self.aborted(place, offset),
            Ok(header) => {
                self.stats.consumed.add(1);
                self.stats.consumed_bytes.add(value.len() as u64);
                match u64::try_from(self.now_us.saturating_sub(header.sent_at_us)) {
                    Ok(e2e_us) => self.latency.record(e2e_us),
                    Err(_) => self.came_before_it_was_sent(place, offset, header.sent_at_us),
                }
                self.tokens.push(header.token);
            }
            Err(bad) => {
                self.stats.bad_bodies.add(1);
                if self.shard.context.is_first_bad_body() {
                    let (topic, partition) = self.shard.context.name_of(place);
                    tracing::warn!(
                        "topic {topic} partition {partition} offset {offset}: no repeater's record: {bad}; it is \
                         skipped, and so are others like it, without a word"
                    );
                }
            }
        }
    }

    /// The clock is looked at again: this thread may have slept since.
    #[cold]
    fn came_before_it_was_sent(&mut self, place: TopicPartition, offset: i64, sent_at_us: i64) {
        let lead_us = match u64::try_from(clock::unix_us().saturating_sub(sent_at_us)) {
            Ok(e2e_us) => return self.latency.record(e2e_us),
            Err(_) => sent_at_us.saturating_sub(clock::unix_us()).max(1).unsigned_abs(),
        };
        self.stats.before_sent.add(1);
        self.stats.clock_lead_us.set(self.stats.clock_lead_us.get().max(lead_us));
        if self.shard.context.is_first_from_the_future() {
            let (topic, partition) = self.shard.context.name_of(place);
            let cause = format!(
                "clocks differ by at least {:.3} s: the record at topic {topic} partition {partition} offset {offset} says \
                 that it is sent only then; such records are counted apart, and are in no latency, and those that come \
                 from a clock that is behind show latencies that are too long: have the hosts' clocks agree",
                lead_us as f64 / 1e6
            );
            self.shard.context.shared.causes.note("the repeater", "a record came before it was sent", &cause);
        }
    }

    /// Its token is not taken over: whoever aborted the transaction has kept it.
    #[cold]
    fn aborted(&self, place: TopicPartition, offset: i64) {
        self.stats.aborted_reads.add(1);
        let found = "a record that was written in a transaction which was to be aborted";
        let words = ["records of committed transactions only", found];
        self.broken(place, offset, Anomaly::AbortedRead, words);
    }

    /// Told once, whether it is known at once how far it goes or later.
    #[cold]
    fn unreadable(&mut self, partition: Option<PartitionSlot>, (from, is_over): (i64, bool), cause: &str) {
        let Some(slot) = partition else { return self.stats.faults.add(1) };
        let before = self.unreadable.iter().position(|told| *told == (slot, from));
        match before {
            Some(index) if is_over => _ = self.unreadable.swap_remove(index),
            Some(_) => {}
            // Behind a record that was shown, and named then.
            None if is_over && cause.is_empty() => {}
            None => {
                self.stats.faults.add(1);
                self.broken(self.shard.context.table.place(slot), from, Anomaly::Corrupt, [READABLE, cause]);
                if !is_over {
                    self.unreadable.push((slot, from));
                }
            }
        }
    }

    #[cold]
    fn broken(&self, place: TopicPartition, offset: i64, anomaly: Anomaly, [expected, found]: [&str; 2]) {
        let (topic, partition) = self.shard.context.name_of(place);
        self.shard.context.report(Violation {
            anomaly,
            topic: topic.to_owned(),
            partition,
            offset,
            expected: expected.to_owned(),
            found: found.to_owned(),
            evidence: Box::default(),
        });
    }

    /// Counted; named when it is another one than last time.
    #[cold]
    fn fault(&mut self, error: KafkaError) {
        self.stats.faults.add(1);
        if self.last_fault.replace(error) != Some(error) {
            tracing::warn!("group {}: {error}", self.shard.context.config.group);
        }
        self.end_if_refused(error);
    }

    /// What the cluster does not let us do it will not let us do later either.
    #[cold]
    fn end_if_refused(&self, error: KafkaError) {
        if error.is_denied() {
            let group = &self.shard.context.config.group;
            self.shard.context.shared.lifecycle.fail(format!("group {group}: {error}"));
        }
    }
}

impl GroupVisitor for Inbox {
    #[inline]
    fn record(&mut self, partition: PartitionSlot, record: &RecordView<'_>) -> ControlFlow<()> {
        self.take(self.shard.context.table.place(partition), record);
        ControlFlow::Continue(())
    }

    /// Repeaters that began later send tokens there.
    fn added(&mut self, place: TopicPartition, record: &RecordView<'_>) {
        self.take(place, record);
    }

    fn assigned(&mut self, _partition: PartitionSlot) {}

    fn event(&mut self, partition: Option<PartitionSlot>, event: LogEvent<'_>) {
        match event {
            LogEvent::Unreadable { from, to, cause } => {
                self.unreadable(partition, (from, to.is_some()), cause);
            }
            LogEvent::Refused(error) | LogEvent::Gone(error) | LogEvent::Transient(error) => {
                self.fault(error);
            }
            // Tokens come from wherever there is something to consume; what was truncated is for the verifier to judge.
            LogEvent::Progress { .. }
            | LogEvent::AtEnd { .. }
            | LogEvent::OutOfRange
            | LogEvent::Truncated { .. }
            | LogEvent::FalseAbort { .. }
            | LogEvent::StartBack { .. }
            | LogEvent::NotTruncated { .. } => {}
        }
    }

    fn refused(&mut self, error: KafkaError) {
        self.stats.faults.add(1);
        self.shard.context.refused(error);
        self.end_if_refused(error);
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
