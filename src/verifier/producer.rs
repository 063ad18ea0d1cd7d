//! The producer of one shard: predicts where every record will land, sends it,
//! and compares.
//!
//! The shard is the only writer of its partitions in this process, so that a
//! prediction is a plain integer that counts up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    acks::{Acks, Draft},
    shard::{Halt, Outbox, ShardContext},
};
use crate::{
    clock::Clock,
    config::{Compression, FakeTimestamps, ProduceConfig},
    kafka::{ClientError, Producer, ProducerSettings, Record, SendError},
    pace::Pace,
    random::Random,
    record::{self, KeyText, PayloadPool},
    stats::ProducerStats,
};

/// What one shard is to produce.
#[derive(Clone, Debug)]
pub struct ProduceJob {
    /// The run's settings.
    pub config: Arc<ProduceConfig>,
    /// The shard's partitions.
    pub partitions: Vec<ProducePartition>,
    /// Records that this shard produces.
    pub records: u64,
    /// The shard's part of everything that is limited for the process (0..=1).
    pub share: f64,
    /// Records in flight, for this shard.
    pub window: usize,
    /// Shards of the run: timestamps that are counted take turns.
    pub shards: usize,
    /// Brokers of the cluster.
    pub brokers: usize,
    /// An ack below the ledger's end cuts the ledger instead of ending the run.
    pub tolerate_data_loss: bool,
    /// The shard's counters.
    pub stats: Arc<ProducerStats>,
}

/// One partition, as the run finds it.
#[derive(Clone, Copy, Debug)]
pub struct ProducePartition {
    /// Its id.
    pub id: i32,
    /// The offset that the next record will get.
    pub end_offset: i64,
    /// The ledger's highest offset; -1 when there is none.
    pub highest_acked: i64,
    /// The ledger's word on how far a compacted log can be read.
    pub last_consumable: i64,
}

/// Records sent before deliveries are looked at again.
const BURST: usize = 256;
/// Delivery events taken before records are sent again.
const DELIVERY_EVENTS: usize = 16;
/// How often acks and latencies travel to the control thread.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// The timer beside the wake-up, and how long a stop waits for deliveries.
const WAIT: Duration = Duration::from_millis(100);
const DRAIN_LIMIT: Duration = Duration::from_secs(3);

/// Produces a shard's records.
///
/// # Errors
/// An ack that breaks a promise, or a send that failed and is not tolerated.
pub async fn run(context: &ShardContext, job: ProduceJob) -> Result<(), Halt> {
    if job.partitions.is_empty() || job.records == 0 {
        return Ok(());
    }
    let mut producer = ShardProducer::start(context.clone(), job).map_err(|error| failed(&error))?;
    let result = producer.produce().await;
    producer.acks.report_all().await;
    result
}

fn failed(error: &ClientError) -> Halt {
    Halt::Failed(error.to_string())
}

/// The state of one shard's producer. What a delivery means is [`Acks`]' business.
struct ShardProducer {
    acks: Acks,
    context: ShardContext,
    config: Arc<ProduceConfig>,
    stats: Arc<ProducerStats>,
    client: Producer,
    settings: ProducerSettings,
    payloads: PayloadPool,
    random: Random,
    pace: Option<Pace>,
    clock: Clock,
    reported: Instant,
    timestamps: Option<CountedTimestamps>,
    /// A record has come back: the client has its connections and its producer id.
    warm: bool,
}

impl ShardProducer {
    fn start(context: ShardContext, job: ProduceJob) -> Result<Self, ClientError> {
        let mut random = Random::from_entropy();
        let settings = settings(&context, &job, &mut random);
        let config = job.config.clone();
        Ok(Self {
            client: Producer::start(&settings, &context.topic)?,
            settings,
            payloads: PayloadPool::new(config.fill, config.value_bytes, &mut random),
            random,
            pace: config.throughput_bytes_per_s.map(|limit| Pace::new(limit, job.share, 0)),
            clock: Clock::start(),
            reported: Instant::now(),
            timestamps: config.fake_timestamps.map(|fake| CountedTimestamps::new(fake, &context, job.shards)),
            stats: job.stats.clone(),
            acks: Acks::new(context.topic.clone(), Outbox::new(context.sender.clone()), job),
            warm: false,
            context,
            config,
        })
    }

    async fn produce(&mut self) -> Result<(), Halt> {
        while !self.acks.is_done() {
            let delivered = self.take_deliveries()?;
            if self.context.stop_requested() {
                return self.drain().await;
            }
            if self.acks.restart_wanted {
                self.restart().await?;
            }
            let (sent, pause) = self.send_burst()?;
            self.report_if_due();
            if sent + delivered == 0 {
                self.client.wait(pause.min(WAIT)).await;
            } else {
                glommio::yield_if_needed().await;
            }
        }
        Ok(())
    }

    /// Sends until the window is full, the burst is over, or the pace says wait.
    ///
    /// The first record goes alone: librdkafka asks for a producer id twice a second until a
    /// broker answers, and a whole window sent before that would only measure this wait.
    fn send_burst(&mut self) -> Result<(usize, Duration), Halt> {
        if !self.warm && !self.acks.nothing_in_flight() {
            return Ok((0, WAIT));
        }
        let now_us = self.clock.now_us();
        let burst = if self.warm { BURST } else { 1 };
        for sent in 0..burst {
            if let Some(pace) = &mut self.pace {
                let pause = pace.wait(now_us);
                if !pause.is_zero() {
                    return Ok((sent, pause));
                }
            }
            if !self.send_one(now_us)? {
                return Ok((sent, WAIT));
            }
        }
        Ok((burst, Duration::ZERO))
    }

    /// Sends one record to a partition chosen at random. Returns whether there was one to send, and room for it.
    fn send_one(&mut self, now_us: u64) -> Result<bool, Halt> {
        let config = &self.config;
        let tombstone =
            config.tombstone_probability > 0.0 && self.random.chance(config.tombstone_probability);
        let value = if tombstone { None } else { Some(self.payloads.pick(&mut self.random)) };
        let key_index = config.key_set_cardinality.map(|keys| self.random.below(keys));
        let draft = Draft {
            partition_index: self.random.index(self.acks.partitions()),
            value_bytes: value.map_or(0, <[u8]>::len),
            key_index,
            tombstone,
        };
        let Some(sending) = self.acks.predict(&draft, now_us) else { return Ok(false) };
        let record_id = record::encode_record_id(sending.offset);
        let key = key_index.map_or(KeyText::of_record_id(record_id), KeyText::of_set);
        let record = Record {
            partition: sending.partition,
            key: key.as_bytes(),
            value,
            record_id: &record_id,
            timestamp_ms: self.timestamps.as_mut().map(CountedTimestamps::next_ms),
            token: sending.token,
        };
        if let Err(error) = self.client.send(&record) {
            self.acks.take_back(sending.token);
            return self.not_sent(sending.partition, error);
        }
        self.stats.sent.add(1);
        if let Some(pace) = &mut self.pace {
            pace.spend(draft.value_bytes as u64);
        }
        Ok(true)
    }

    #[cold]
    fn not_sent(&mut self, partition: i32, error: SendError) -> Result<bool, Halt> {
        match error {
            SendError::QueueFull => Ok(false),
            SendError::Fatal(_) => {
                // What is in flight comes back with errors, and is judged there.
                self.client.purge();
                self.acks.restart_wanted = true;
                Ok(false)
            }
            // The client knows already what the cluster would say, and asks again with its next look at it.
            SendError::Refused(error) if error.is_refusal() && self.config.tolerate_failed_produce => {
                self.stats.fails.add(1);
                Ok(false)
            }
            SendError::Refused(error) => Err(Halt::Failed(format!(
                "topic {} partition {partition}: a record cannot be sent: {error}",
                self.context.topic
            ))),
        }
    }

    fn take_deliveries(&mut self) -> Result<usize, Halt> {
        let now_us = self.clock.now_us();
        let acks = &mut self.acks;
        let count = self.client.poll(DELIVERY_EVENTS, |delivery| acks.settle(delivery, now_us));
        self.warm |= count > 0;
        match self.acks.halt.take() {
            Some(halt) => Err(self.refusal().unwrap_or(halt)),
            None => Ok(count),
        }
    }

    /// What the cluster has against this producer as a whole: then each record's own error says less.
    #[cold]
    fn refusal(&self) -> Option<Halt> {
        let error = self.client.fatal_error().filter(|error| error.is_refusal())?;
        Some(Halt::Failed(format!("topic {}: the cluster refuses the producer: {error}", self.context.topic)))
    }

    /// Waits out what is in flight, asks where the logs end, and predicts from there.
    async fn restart(&mut self) -> Result<(), Halt> {
        while !self.acks.nothing_in_flight() {
            if self.take_deliveries()? == 0 {
                self.client.wait(WAIT).await;
            }
            if self.context.stop_requested() {
                return self.drain().await;
            }
            self.report_if_due();
        }
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        if self.client.fatal_error().is_some() {
            self.client =
                Producer::start(&self.settings, &self.context.topic).map_err(|error| failed(&error))?;
        }
        let mut open = self.acks.partition_ids();
        while !open.is_empty() && !self.context.stop_requested() {
            for (partition, answer) in self.client.end_offsets(&open).await {
                if let Ok(offset) = answer {
                    self.acks.repredict(partition, offset);
                    open.retain(|known| *known != partition);
                }
            }
            if !open.is_empty() {
                glommio::timer::sleep(WAIT).await;
            }
        }
        self.acks.restart_wanted = false;
        self.stats.restarts.add(1);
        Ok(())
    }

    /// Takes the deliveries that still come, for a while; what has none then has an unknown outcome.
    async fn drain(&mut self) -> Result<(), Halt> {
        let until = Instant::now() + DRAIN_LIMIT;
        while !self.acks.nothing_in_flight() && Instant::now() < until {
            if self.take_deliveries()? == 0 {
                self.client.wait(WAIT).await;
            }
        }
        Ok(())
    }

    fn report_if_due(&mut self) {
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            self.acks.report();
        }
    }
}

fn settings(context: &ShardContext, job: &ProduceJob, random: &mut Random) -> ProducerSettings {
    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let compression = match job.config.compression {
        Compression::Mixed => CODECS[random.index(CODECS.len())],
        codec => codec,
    };
    ProducerSettings {
        client: context.client.clone(),
        linger: job.config.linger,
        batch_max_bytes: job.config.batch_max_bytes,
        max_buffered_records: job.window,
        partitions_per_broker: job.partitions.len().div_ceil(job.brokers),
        compression,
        transactions: None,
        client_cpus: context.client_cpus(),
    }
}

/// Timestamps that are counted: shards take turns, so that together they leave no gaps.
struct CountedTimestamps {
    next_ms: i64,
    step_ms: i64,
}

impl CountedTimestamps {
    fn new(fake: FakeTimestamps, context: &ShardContext, shards: usize) -> Self {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let first = fake.step_ms.wrapping_mul(count(context.place.index));
        Self { next_ms: fake.start_ms.wrapping_add(first), step_ms: fake.step_ms.wrapping_mul(count(shards)) }
    }

    fn next_ms(&mut self) -> i64 {
        let now_ms = self.next_ms;
        self.next_ms = now_ms.wrapping_add(self.step_ms);
        now_ms
    }
}
