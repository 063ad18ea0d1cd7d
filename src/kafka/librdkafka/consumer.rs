//! Reading chosen partitions from chosen offsets, in batches, without a group.

use std::{
    mem::ManuallyDrop,
    ptr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, bindings as rdk,
    types::{RDKafkaRespErr as Code, RDKafkaType},
};

use super::{
    admin::{
        offsets::OffsetQuery,
        opinion::{Doubts, Opinion},
    },
    client::{self, Handle, Queue, Topic},
    fault::{Fault, fault},
    malformed,
    message::Message,
    partitions::confirm,
    settings::ConsumerSettings,
    wake::QueueWake,
};
use crate::{
    kafka::{ClientError, Ends, Isolation, OffsetSpec},
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
    record::RecordView,
};

/// What a partition has to say.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
    /// The next record.
    Record {
        /// Its partition.
        partition: PartitionSlot,
        /// The record; its bytes live as long as the call that shows it.
        record: RecordView<'a>,
    },
    /// Everything below `offset` has been read, control records included.
    End {
        /// The partition.
        partition: PartitionSlot,
        /// The offset that the next record will get.
        offset: i64,
    },
    /// Reading has stopped, or stumbled.
    Fault {
        /// The partition; any that is read, where it is none in particular.
        partition: PartitionSlot,
        /// What happened.
        fault: Fault<'a>,
    },
}

/// Records taken out of the client's queue at once: as many as are still in the core's cache when they are shown,
/// and few where each batch has to wait for its turn.
const BATCH: usize = 512;
const PACED_BATCH: usize = 16;
/// Between two looks for a second opinion, which wakes nobody when it comes.
const OPINION_WAIT: Duration = Duration::from_millis(2);

/// A consumer, used by one shard.
pub(super) struct Consumer {
    batch: Box<[*mut rdk::rd_kafka_message_t]>,
    client: ManuallyDrop<Client>,
    wake: QueueWake,
    isolation: Isolation,
    doubts: Doubts,
    /// How often it could not take a record apart, where it was asked to say so.
    malformed: u64,
}

/// What is closed when a consumer goes.
struct Client {
    // Fields are dropped in this order: references first, the client last.
    topics: Vec<Topic>,
    queue: Queue,
    main_queue: Queue,
    handle: Arc<Handle>,
    table: Arc<PartitionTable>,
    reading: Vec<PartitionSlot>,
}

impl Consumer {
    /// Starts a client. Must be called on the executor that will use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(super) fn start(
        settings: &ConsumerSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Self, ClientError> {
        Self::start_as(settings, &settings.config(), table)
    }

    /// Starts a client that says when it cannot take a record apart. That is not for many records: it tells its log of
    /// each request.
    ///
    /// # Errors
    /// A client that cannot start.
    pub(super) fn start_probing(
        settings: &ConsumerSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Self, ClientError> {
        let mut config = settings.config();
        malformed::ask(&mut config);
        let consumer = Self::start_as(settings, &config, table)?;
        malformed::listen(&consumer.client.handle);
        Ok(consumer)
    }

    fn start_as(
        settings: &ConsumerSettings,
        config: &ClientConfig,
        table: &Arc<PartitionTable>,
    ) -> Result<Self, ClientError> {
        let handle = Handle::start(RDKafkaType::RD_KAFKA_CONSUMER, config, &settings.client_cpus)?;
        let handle = Arc::new(handle);
        let (queue, wake) = (handle.new_queue(), QueueWake::new()?);
        wake.attach(queue.ptr());
        let topics = table.topics().iter().map(|topic| handle.topic(topic)).collect::<Result<_, _>>()?;
        for topic in table.topics() {
            handle.learn(topic, &settings.client_cpus);
        }
        Ok(Self {
            batch: vec![ptr::null_mut(); if settings.reader.paced { PACED_BATCH } else { BATCH }].into(),
            client: ManuallyDrop::new(Client {
                topics,
                queue,
                main_queue: handle.main_queue(),
                handle,
                table: table.clone(),
                reading: Vec::new(),
            }),
            wake,
            isolation: settings.reader.isolation,
            doubts: Doubts::new(table.count()),
            malformed: 0,
        })
    }

    /// Reads a partition from this offset on; records of an earlier place that are
    /// still queued do not show any more.
    pub(super) fn read_from(&mut self, partition: PartitionSlot, offset: i64) {
        self.stop(partition);
        let (topic, number) = self.client.place(partition);
        let queue = self.client.queue.ptr();
        // SAFETY: topic and queue are alive.
        let result = unsafe { rdk::rd_kafka_consume_start_queue(topic.ptr(), number, offset, queue) };
        // It refuses negative partitions and offsets, and consumers of a group: none is ours.
        debug_assert_eq!(result, 0, "partition {number} offset {offset}");
        self.client.reading.push(partition);
    }

    /// Goes on at an offset, if the leader's log has the record before it, which is of this epoch. If not, a fault
    /// tells where it was truncated. What has come and was not shown is dropped.
    ///
    /// By itself the client asks when it hears of a new leader; what it fetches before that is not held back (seen
    /// with librdkafka 2.12.1: a process that was stopped while a log was truncated and written again read on in the middle).
    pub(super) fn confirm(&self, partition: PartitionSlot, offset: i64, epoch: i32) {
        let Client { table, handle, .. } = &*self.client;
        if let Ok(topic) = client::c_string(table.topic(partition)) {
            // SAFETY: the client is alive.
            unsafe { confirm(handle.ptr(), &topic, table.partition(partition), offset, epoch) };
        }
    }

    /// Stops reading a partition.
    pub(super) fn stop(&mut self, partition: PartitionSlot) {
        if let Some(index) = self.client.reading.iter().position(|&known| known == partition) {
            self.client.reading.swap_remove(index);
            self.client.stop(partition);
        }
    }

    /// Shows what has come, one batch at the most, and returns how much it was.
    pub(super) fn poll(&mut self, mut each: impl FnMut(Event<'_>)) -> usize {
        // Errors of the client as a whole (a broker that went) are the observer's to tell.
        while let Some(event) = self.client.main_queue.poll(0) {
            self.malformed += u64::from(malformed::is_told_by(&event));
        }
        // SAFETY: the queue is alive, and the array has room for as many as is said.
        let got = unsafe {
            let room = self.batch.len();
            rdk::rd_kafka_consume_batch_queue(self.client.queue.ptr(), 0, self.batch.as_mut_ptr(), room)
        };
        let got = usize::try_from(got).unwrap_or(0);
        for &message in &self.batch[..got] {
            // SAFETY: the first `got` messages were filled in and are ours; each is shown once,
            // then destroyed, and not used again.
            unsafe {
                self.client.show(message, &mut each);
                rdk::rd_kafka_message_destroy(message);
            }
        }
        got
    }

    /// How often it could not take apart a record of what it was sent, up to the last [`Self::poll`]. It then shows
    /// nothing from that record on, and fetches it again.
    #[must_use]
    pub(super) fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Waits until there is something to show, but not longer than `limit`.
    pub(super) async fn wait(&self, limit: Duration) {
        self.wake.wait(limit).await;
    }

    /// Asks where a partition's log starts and ends; `None` when the broker does not answer, or `stop` becomes true before.
    pub(crate) async fn ends(&self, partition: PartitionSlot, stop: impl Fn() -> bool) -> Option<Ends> {
        let [start, end] = [OffsetSpec::Start, OffsetSpec::End].map(|spec| self.ask(&[partition], spec));
        let (start, end) = (start.finish(&stop).await, end.finish(&stop).await);
        Ends::of(start.first().map(|answer| answer.1), end.first().map(|answer| answer.1))
    }

    /// Asks where these partitions start or end, without waiting for it; each is answered or has an error. Where ends were
    /// asked for a moment ago, another broker says first who leads.
    pub(crate) fn ask(&self, partitions: &[PartitionSlot], spec: OffsetSpec) -> OffsetQuery {
        let Client { table, handle, .. } = &*self.client;
        let is_doubted = spec == OffsetSpec::End && self.doubts.ask(partitions, Instant::now());
        OffsetQuery::start(handle, table, partitions, spec, self.isolation, is_doubted)
    }

    /// Has another broker say who leads a partition, and waits for it, but not long, nor when `stop` becomes true.
    pub(super) async fn hear_another_broker(&self, partition: PartitionSlot, stop: impl Fn() -> bool) {
        let Client { table, handle, .. } = &*self.client;
        let opinion = Opinion::ask(handle, table, &[partition]);
        while !opinion.is_over(handle, 0) && !stop() {
            glommio::timer::sleep(OPINION_WAIT).await;
        }
    }
}

impl Drop for Consumer {
    /// Closing waits for the client's own threads. One that is given up because it does not answer any more may never
    /// close, and must not take the shard with it.
    fn drop(&mut self) {
        QueueWake::detach(self.client.queue.ptr());
        // SAFETY: the client is not used again.
        let client = unsafe { ManuallyDrop::take(&mut self.client) };
        // Without a thread to be had it is closed here.
        let _ = thread::Builder::new().name("closing".to_owned()).spawn(move || drop(client));
    }
}

impl Client {
    /// A partition's topic, and its number there.
    fn place(&self, partition: PartitionSlot) -> (&Topic, i32) {
        let TopicPartition { topic, partition } = self.table.place(partition);
        (&self.topics[topic], partition)
    }

    fn stop(&self, partition: PartitionSlot) {
        let (topic, number) = self.place(partition);
        // SAFETY: the topic is alive. The call waits for the client's own thread, not for a broker.
        unsafe { rdk::rd_kafka_consume_stop(topic.ptr(), number) };
    }

    /// Shows what a message says, unless it is about a partition that nobody has asked for. A record is shown where it is taken apart:
    /// to hand it back would move it twice.
    ///
    /// # Safety
    /// The message is alive for as long as this takes.
    #[inline]
    unsafe fn show(&self, message: *mut rdk::rd_kafka_message_t, each: &mut impl FnMut(Event<'_>)) {
        // SAFETY: the caller's promise, here and below.
        let fields = unsafe { &*message };
        // By the pointers of the topics that are held here messages name them.
        let topic = self.topics.iter().position(|topic| topic.ptr() == fields.rkt);
        let named =
            topic.and_then(|topic| self.table.slot(TopicPartition { topic, partition: fields.partition }));
        if fields.err == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            if let Some(partition) = named {
                // SAFETY: as above; without an error it is a record.
                let record = unsafe { Message::new(message) }.view();
                each(Event::Record { partition, record });
            }
            return;
        }
        // SAFETY: as above.
        if let Some(event) = unsafe { self.event(message, named) } {
            each(event);
        }
    }

    /// What a message says that is no record.
    ///
    /// # Safety
    /// The message is alive for as long as the event is used.
    #[cold]
    unsafe fn event<'a>(
        &self,
        message: *mut rdk::rd_kafka_message_t,
        named: Option<PartitionSlot>,
    ) -> Option<Event<'a>> {
        // SAFETY: the caller's promise, here and below.
        let fields = unsafe { &*message };
        if fields.err == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF {
            return Some(Event::End { partition: named?, offset: fields.offset });
        }
        let partition = named.or_else(|| self.reading.first().copied())?;
        // SAFETY: as above.
        Some(Event::Fault { partition, fault: unsafe { fault(message, fields.err) } })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reading.iter().for_each(|partition| self.stop(*partition));
    }
}
