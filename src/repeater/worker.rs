//! One worker: a member of the group with a producer of its own, which sends what it consumes.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    body::Header,
    floor::ShardFloor,
    sender::{DELIVERY_EVENTS, TokenSender},
};
use crate::{
    clock,
    control::Message,
    findings::anomaly::{Anomaly, READABLE, Violation},
    kafka::{
        ClientError, Fault, FaultKind, GroupConsumer, GroupEvent, HubBell, Isolation, KafkaError, Librdkafka,
    },
    stats::{LatencyRecorder, WorkerStats},
};

/// Longer than it takes until the bell rings in any case.
const WAIT: Duration = Duration::from_millis(250);
/// How often commits are looked at, and how often latencies travel to the control thread.
const TEND_EVERY: Duration = Duration::from_millis(100);
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// How long a stop waits for what is in flight, and then for the group: both fit into the time a process has to end.
const FLUSH_LIMIT: Duration = Duration::from_millis(3_500);
const LEAVE_LIMIT: Duration = Duration::from_millis(1_500);

/// Works until the run is stopped.
///
/// # Errors
/// A client that could not be started.
pub(super) async fn run(shard: Rc<ShardFloor>, worker: usize) -> Result<(), ClientError> {
    let mut worker = Worker::start(&shard, worker)?;
    let result = worker.work().await;
    worker.flush().await;
    worker.leave().await;
    // Closing clients can wait for brokers that hang. The process is about to end, and with it all they hold.
    std::mem::forget(worker);
    result
}

struct Worker {
    sender: TokenSender<Librdkafka>,
    consumer: GroupConsumer,
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
    /// Topics and partitions in which a batch could not be read. It is named once: the client comes back to it, and
    /// shows what it makes of the bytes behind it.
    corrupt: Vec<(usize, i32)>,
}

impl Worker {
    fn start(shard: &Rc<ShardFloor>, index: usize) -> Result<Self, ClientError> {
        let floor = &shard.floor;
        let mut client = floor.client.clone();
        client.client_id = format!("{}_w_{index}", client.client_id);
        let bell: HubBell = shard.hub.bell();
        let isolation = match floor.config.transactions {
            Some(_) => Isolation::ReadCommitted,
            None => Isolation::ReadUncommitted,
        };
        let settings = floor.group(client.clone(), isolation, shard.place.client_cpus.clone());
        let (now, stats) = (Instant::now(), floor.stats[index].clone());
        Ok(Self {
            // Until the first look.
            sender: {
                stats.starting.set(floor.config.transactions.is_some().into());
                let cpus = shard.place.client_cpus.clone();
                let factory = Librdkafka::ringing(client.clone(), cpus, bell.clone());
                TokenSender::start(factory, shard, &client.client_id, index)?
            },
            consumer: GroupConsumer::start(&settings, &floor.config.topics, &bell)?,
            inbox: Inbox {
                shard: shard.clone(),
                stats: stats.clone(),
                latency: LatencyRecorder::default(),
                last_fault: None,
                corrupt: Vec::new(),
            },
            shard: shard.clone(),
            stats,
            index,
            tended: now,
            reported: now,
        })
    }

    async fn work(&mut self) -> Result<(), ClientError> {
        while !self.shard.floor.stop_requested() {
            let taken = self.sender.take_deliveries()?;
            let more = self.consume() || taken >= DELIVERY_EVENTS;
            let (sent, pause) =
                if self.shard.floor.may_produce() { self.sender.send_burst() } else { (0, None) };
            self.tend();
            // Every client rings when it has something new, so that only what was left over is a reason to go on.
            if more || (sent > 0 && pause == Some(Duration::ZERO)) {
                futures_lite::future::yield_now().await;
            } else {
                self.sender.wait(pause.unwrap_or(WAIT).min(WAIT)).await;
            }
        }
        Ok(())
    }

    /// Takes over the tokens of what has come. Returns whether there may be more.
    fn consume(&mut self) -> bool {
        let (inbox, tokens) = (&mut self.inbox, &mut self.sender.tokens);
        let now_us = clock::unix_us();
        self.consumer.poll(|event| {
            if let Some(token) = inbox.take(event, now_us) {
                tokens.give(token);
            }
        })
    }

    fn tend(&mut self) {
        self.stats.enqueued.set(self.sender.enqueued());
        if self.tended.elapsed() < TEND_EVERY {
            return;
        }
        self.tended = Instant::now();
        self.consumer.tend();
        let state = self.consumer.state();
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
        if self.shard.floor.sender.is_full() {
            return;
        }
        let (ack, e2e) = (self.sender.latency.take(), self.inbox.latency.take());
        if ack.is_some() || e2e.is_some() {
            let message = Message::EchoLatency { worker: self.index, ack, e2e };
            // Several shards may have seen the last place: what is lost then is statistics of half a second.
            let _ = self.shard.floor.sender.try_send(message);
        }
    }

    /// Waits for the outcome of what was sent, and for the group to know what was consumed, for a while.
    /// Nothing is consumed any more: it is for the others.
    async fn flush(&mut self) {
        let until = Instant::now() + FLUSH_LIMIT;
        while Instant::now() < until {
            let settled = self.consumer.settle();
            if self.sender.take_deliveries().is_err() || (self.sender.is_flushed() && settled) {
                break;
            }
            self.sender.wait(Duration::from_millis(20)).await;
        }
        self.stats.enqueued.set(self.sender.enqueued());
        self.report();
    }

    /// Leaves the group, if that is possible in time: the others need not wait for a session to end.
    async fn leave(&mut self) {
        let until = Instant::now() + LEAVE_LIMIT;
        self.consumer.begin_leaving();
        self.stats.replayed.set(self.consumer.state().uncommitted);
        while !self.consumer.leave() && Instant::now() < until {
            glommio::timer::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Inbox {
    /// The token that came, if one did.
    fn take(&mut self, event: GroupEvent<'_>, now_us: i64) -> Option<i64> {
        let (topic, partition, offset, value) = match event {
            GroupEvent::Record { topic, partition, message } => {
                if !self.corrupt.is_empty() {
                    self.corrupt.retain(|known| *known != (topic, partition));
                }
                (topic, partition, message.offset(), message.value())
            }
            GroupEvent::End { .. }
            | GroupEvent::Assigned { .. }
            | GroupEvent::Rewound { .. }
            | GroupEvent::WentBack { .. } => return None,
            GroupEvent::Fault { topic, fault } => {
                self.fault(topic, &fault);
                return None;
            }
        };
        let Some(value) = value else {
            self.stats.tombstones_consumed.add(1);
            return None;
        };
        match Header::decode(value) {
            Ok(Header { aborted: true, .. }) => {
                self.aborted(topic, partition, offset);
                None
            }
            Ok(header) => {
                self.stats.consumed.add(1);
                self.stats.consumed_bytes.add(value.len() as u64);
                match u64::try_from(now_us.saturating_sub(header.sent_at_us)) {
                    Ok(e2e_us) => self.latency.record(e2e_us),
                    Err(_) => self.came_before_it_was_sent(topic, partition, offset, header.sent_at_us),
                }
                Some(header.token)
            }
            Err(bad) => {
                self.stats.bad_bodies.add(1);
                if self.shard.floor.is_first_bad_body() {
                    let topic = &self.shard.floor.config.topics[topic];
                    tracing::warn!(
                        "topic {topic} partition {partition} offset {offset}: no repeater's record: {bad}; it is \
                         skipped, and so are others like it, without a word"
                    );
                }
                None
            }
        }
    }

    /// The clock is looked at again: this thread may have slept since.
    #[cold]
    fn came_before_it_was_sent(&mut self, topic: usize, partition: i32, offset: i64, sent_at_us: i64) {
        let lead_us = match u64::try_from(clock::unix_us().saturating_sub(sent_at_us)) {
            Ok(e2e_us) => return self.latency.record(e2e_us),
            Err(_) => sent_at_us.saturating_sub(clock::unix_us()).max(1).unsigned_abs(),
        };
        self.stats.before_sent.add(1);
        self.stats.clock_lead_us.set(self.stats.clock_lead_us.get().max(lead_us));
        if self.shard.floor.is_first_from_the_future() {
            let topic = &self.shard.floor.config.topics[topic];
            let cause = format!(
                "clocks differ by at least {:.3} s: the record at topic {topic} partition {partition} offset {offset} says \
                 that it is sent only then; such records are counted apart, and are in no latency, and those that come \
                 from a clock that is behind show latencies that are too long: have the hosts' clocks agree",
                lead_us as f64 / 1e6
            );
            self.shard.floor.shared.causes.note("the repeater", "a record came before it was sent", &cause);
        }
    }

    /// Its token is not taken over: whoever aborted the transaction has kept it.
    #[cold]
    fn aborted(&self, topic: usize, partition: i32, offset: i64) {
        self.stats.aborted_reads.add(1);
        let found = "a record that was written in a transaction which was to be aborted";
        let words = ["records of committed transactions only", found];
        self.broken(topic, partition, offset, Anomaly::AbortedRead, words);
    }

    #[cold]
    fn broken(
        &self,
        topic: usize,
        partition: i32,
        offset: i64,
        anomaly: Anomaly,
        [expected, found]: [&str; 2],
    ) {
        self.shard.floor.report(Violation {
            anomaly,
            topic: self.shard.floor.config.topics[topic].clone(),
            partition,
            offset,
            expected: expected.to_owned(),
            found: found.to_owned(),
            evidence: Box::default(),
        });
    }

    /// Counted; named when it is another one than last time.
    #[cold]
    fn fault(&mut self, topic: Option<usize>, fault: &Fault<'_>) {
        let Fault { partition, offset, error, .. } = *fault;
        self.stats.faults.add(1);
        if let (Some(topic), FaultKind::Corrupt) = (topic, fault.kind)
            && !self.corrupt.contains(&(topic, partition))
        {
            self.corrupt.push((topic, partition));
            self.broken(topic, partition, offset, Anomaly::Corrupt, [READABLE, fault.text]);
        }
        if error.is_group_refusal() {
            self.shard.floor.refused(error);
        } else if self.last_fault.replace(error) != Some(error) {
            tracing::warn!("group {}: {error}", self.shard.floor.config.group);
        }
        if error.is_refusal() {
            let group = &self.shard.floor.config.group;
            self.shard.floor.shared.lifecycle.fail(format!("group {group}: {error}"));
        }
    }
}
