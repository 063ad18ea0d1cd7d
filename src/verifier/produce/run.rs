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
    ack_watch::AckWatch,
    latecomers::LateEnds,
    open_loop::{Next, OpenLoop, OpenLoopJob},
    outbox::Outbox,
    predict::{
        acks::{Acks, Draft, Prediction, Sending},
        predicted_log::ProducePartition,
        timing::Timing,
    },
    timestamps::{CountedTimestamps, ShardShare},
    values::Values,
};
use crate::{
    clock::{self, Clock},
    config::ProduceConfig,
    control::Message,
    failing::Failing,
    kafka::{
        ClientError, ClientFactory, ClientSettings, HeaderField, Record, SendError, TransactionSettings,
        WriterSettings,
    },
    pace::{BEHIND_LIMIT, Pace},
    partitions::{PartitionTable, Slice},
    producer::Producer,
    random::Random,
    record::{
        self, KeyText, RECORD_ID_HEADER, RECORD_ID_NAME,
        proof::{self, Content, PROOF_NAME, Proof},
    },
    stats::{ProducerStats, ProducerWants},
    verifier::shard::{Halt, ShardContext},
};

/// What one shard is to produce.
#[derive(Clone, Debug)]
pub(crate) struct ProduceJob {
    /// The run's settings.
    pub config: Arc<ProduceConfig>,
    /// The shard's partitions.
    pub partitions: Vec<ProducePartition>,
    /// The same, by slot.
    pub table: Arc<PartitionTable>,
    /// Records that this shard produces.
    pub records: u64,
    /// The shard's share of everything that is limited for the process (0..=1).
    pub share: f64,
    /// Records in flight, for this shard.
    pub window: usize,
    /// Partitions of the shards before this one: timestamps that are counted take turns.
    pub partitions_before: usize,
    /// Partitions of all shards.
    pub topic_partitions: usize,
    /// An ack below the ledger's end truncates the ledger instead of ending the run.
    pub tolerate_data_loss: bool,
    /// The shard's counters.
    pub stats: Arc<ProducerStats>,
    /// The run's id in its records' proof headers.
    pub run: u64,
    /// Where logs end that was not known when the run began.
    pub late: Arc<LateEnds>,
    /// Records go by a schedule, until that ends.
    pub(crate) open_loop: Option<OpenLoopJob>,
}

/// The time that a record bears: the clock's, or in an open loop when it was to be sent.
#[derive(Clone, Copy, Debug)]
struct Time {
    /// ms since 1970.
    ms: i64,
    /// µs behind that, of an open loop's.
    micros: Option<u16>,
}

impl Time {
    fn intended(unix_us: i64) -> Self {
        let micros = u16::try_from(unix_us.rem_euclid(1_000)).unwrap_or(0);
        Self { ms: unix_us.div_euclid(1_000), micros: Some(micros) }
    }
}

/// Records sent before deliveries are looked at again.
const BURST: usize = 256;
/// Delivery events taken before records are sent again.
const DELIVERY_EVENTS: usize = 16;
/// How often acks and latencies travel to the control thread.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// The timer beside the wake-up.
pub(crate) const WAIT: Duration = Duration::from_millis(100);

/// Produces a shard's records.
///
/// # Errors
/// An ack that breaks a promise, or a send that failed and is not tolerated.
pub(crate) async fn run<C: ClientFactory>(
    factory: C,
    context: &ShardContext,
    job: ProduceJob,
) -> Result<(), Halt> {
    if job.partitions.is_empty() || job.records == 0 {
        return Ok(());
    }
    let mut producer = ShardProducer::start(factory, context.clone(), &job)?;
    let mut result = producer.produce().await;
    if let Err(halt) = result {
        result = Err(producer.explain(halt).await);
    }
    if producer.acks.is_done() {
        producer.watch.finish();
    }
    producer.stats.wants.set(None);
    producer.report_all().await;
    result
}

fn prediction(job: &ProduceJob) -> Prediction<'_> {
    let ProduceJob { config, partitions, records, window, tolerate_data_loss, stats, .. } = job;
    let (records, window, tolerate_data_loss) = (*records, *window, *tolerate_data_loss);
    Prediction { config, partitions, records, window, tolerate_data_loss, stats }
}

fn share_of(job: &ProduceJob) -> ShardShare {
    ShardShare {
        partitions: job.partitions.iter().map(|partition| partition.id).collect(),
        partitions_before: job.partitions_before,
        topic_partitions: job.topic_partitions,
        records: job.config.messages.get(),
    }
}

/// The state of one shard's producer. What a delivery means is [`Acks`]' business.
pub(crate) struct ShardProducer<C: ClientFactory> {
    pub(crate) acks: Acks,
    outbox: Outbox,
    pub(crate) context: ShardContext,
    pub(crate) config: Arc<ProduceConfig>,
    pub(crate) stats: Arc<ProducerStats>,
    pub(crate) producer: Producer<C>,
    values: Values,
    pub(crate) random: Random,
    pace: Option<Pace>,
    open_loop: Option<OpenLoop>,
    clock: Clock,
    reported: Instant,
    watch: AckWatch,
    timestamps: Option<CountedTimestamps>,
    /// The run that the records' proof headers name.
    run: u64,
    /// The last attempt got nothing done: this one begins with one record.
    pub(crate) is_probing: bool,
    /// What becomes of the run when something fails.
    pub(crate) failing: Failing,
    /// Restarts for which nothing had failed.
    pub(crate) elsewhere: u64,
    /// It was said that the rate is not kept.
    is_behind: bool,
    late: Arc<LateEnds>,
    /// It asks where logs end.
    pub(crate) asking: bool,
}

impl<C: ClientFactory> ShardProducer<C> {
    fn start(factory: C, context: ShardContext, job: &ProduceJob) -> Result<Self, ClientError> {
        let mut random = Random::from_entropy();
        let settings = settings(&context, job, &mut random);
        let config = job.config.clone();
        let table = job.table.clone();
        let producer = Producer::start(factory, settings, table.clone(), config.transactions)?;
        Ok(Self {
            producer,
            values: Values::new(&config, &mut random),
            random,
            pace: config.throughput_bytes_per_s.map(|limit| Pace::new(limit, job.share, 0)),
            open_loop: job.open_loop.as_ref().map(|open_loop| OpenLoop::new(open_loop, job.share)),
            clock: job.open_loop.as_ref().map_or_else(Clock::start, |open_loop| open_loop.clock),
            reported: Instant::now(),
            watch: AckWatch::new(&context, table.clone(), config.linger),
            timestamps: config.fake_timestamps.map(|fake| CountedTimestamps::new(fake, &share_of(job))),
            stats: job.stats.clone(),
            run: job.run,
            late: job.late.clone(),
            asking: false,
            outbox: Outbox::new(context.sender.clone()),
            acks: Acks::new(table, &prediction(job))
                .with_timing(job.open_loop.as_ref().map(|_| Timing::default())),
            is_probing: false,
            is_behind: false,
            failing: Failing::default(),
            elsewhere: 0,
            context,
            config,
        })
    }

    async fn produce(&mut self) -> Result<(), Halt> {
        if self.producer.transaction().is_some() {
            // What an earlier run left open has been aborted by now, and the logs are longer for it.
            self.acks.doubt_all();
            self.ask_ends().await?;
        }
        while !self.acks.is_done() {
            let delivered = self.take_deliveries()?;
            if self.context.stop_requested() {
                return self.drain().await;
            }
            if self.acks.restart_wanted {
                let began_us = self.clock.now_us();
                self.restart().await?;
                self.was_blocked_since(began_us);
            }
            if self.client_is_spent() && self.is_idle() {
                self.renew_client()?;
            }
            let (sent, pause, lacks_room) = self.send_burst()?;
            if let Some(open_loop) = &mut self.open_loop {
                open_loop.count(self.clock.now_us(), &self.stats);
            }
            self.report_if_due();
            if sent + delivered == 0 {
                let began_us = self.clock.now_us();
                self.producer.wait(pause.min(WAIT)).await;
                if lacks_room {
                    self.was_blocked_since(began_us);
                }
            } else {
                glommio::yield_if_needed().await;
            }
        }
        Ok(())
    }

    /// What an open loop could not send meanwhile it could not send for the brokers' sake.
    fn was_blocked_since(&self, began_us: u64) {
        if self.open_loop.is_some() {
            self.stats.blocked_us.add(self.clock.now_us().saturating_sub(began_us));
        }
    }

    /// Whether the next record may go, and when it was to; else how long to wait.
    #[inline]
    fn turn(&mut self, now_us: u64) -> Result<u64, Duration> {
        // What was sent in vain has been paid for: a transaction that fails for its age must not grow old again. And where
        // all have been sent, nothing is due.
        if self.acks.sends_again() {
            return Ok(self.acks.due_again().unwrap_or(now_us));
        }
        if let Some(open_loop) = &mut self.open_loop {
            return match open_loop.next(now_us) {
                Next::Send(intended_us) => Ok(intended_us),
                Next::Wait(pause) => Err(pause),
                Next::Over => {
                    self.acks.stop_sending();
                    Err(WAIT)
                }
            };
        }
        if let Some(pace) = self.pace.as_mut().filter(|_| !self.acks.nothing_to_send()) {
            let pause = pace.wait(now_us);
            if !pause.is_zero() {
                return Err(pause);
            }
        }
        Ok(now_us)
    }

    /// Sends until the window is full, the burst is over, or the pace says wait. Returns how many records it sent, how long to wait,
    /// and whether that is for want of room, where else nothing is due.
    fn send_burst(&mut self) -> Result<(usize, Duration, bool), Halt> {
        if let Some(measured) = self.open_loop.as_mut().and_then(OpenLoop::look)
            && let Some(timing) = &mut self.acks.timing
        {
            timing.measure(measured);
        }
        if (self.is_probing && !self.acks.nothing_in_flight()) || self.client_is_spent() {
            return Ok((0, WAIT, true));
        }
        if let Some(pause) = self.producer.pause() {
            return Ok((0, pause, true));
        }
        let (now_us, today_ms) = (self.clock.now_us(), clock::unix_ms());
        let mut burst = if self.is_probing { 1 } else { BURST };
        if let Some(limit) = self.config.messages_per_producer_id {
            let room = limit.get() - self.producer.client_records();
            burst = burst.min(usize::try_from(room).unwrap_or(BURST));
        }
        for sent in 0..burst {
            let intended_us = match self.turn(now_us) {
                Ok(intended_us) => intended_us,
                Err(pause) => return Ok((sent, pause, false)),
            };
            if !self.send_one(now_us, intended_us, today_ms)? {
                return Ok((sent, WAIT, true));
            }
        }
        Ok((burst, Duration::ZERO, true))
    }

    /// Whether the next records belong to another producer id.
    pub(crate) fn client_is_spent(&self) -> bool {
        self.config
            .messages_per_producer_id
            .is_some_and(|limit| self.producer.client_records() >= limit.get())
    }

    /// Sends one record to a partition chosen at random. Returns whether there was one to send, and room for it.
    fn send_one(&mut self, now_us: u64, intended_us: u64, today_ms: i64) -> Result<bool, Halt> {
        let Some(aborting) = self.producer.accepts() else { return Ok(false) };
        let late_us = u32::try_from(now_us.saturating_sub(intended_us)).unwrap_or(u32::MAX);
        let Some(draft) = self.draft(late_us) else { return Ok(false) };
        let Some(sending) = self.acks.predict(&draft, now_us) else { return Ok(false) };
        let time = self.open_loop.as_ref().map_or(Time { ms: today_ms, micros: None }, |open_loop| {
            Time::intended(open_loop.unix_us(intended_us))
        });
        if let Err(error) = self.hand_over(&draft, sending, aborting, time) {
            self.acks.take_back(sending);
            if let Some(timestamps) = &mut self.timestamps {
                timestamps.take_back();
            }
            return self.not_sent(sending, error);
        }
        self.stats.sent.add(1);
        if !sending.again
            && let Some(pace) = &mut self.pace
        {
            pace.spend(draft.value_bytes as u64);
        }
        if let Some(open_loop) = self.open_loop.as_mut().filter(|_| !sending.again) {
            open_loop.sent();
        }
        Ok(true)
    }

    /// What the next record is to be; `None` while no partition has a leader.
    fn draft(&mut self, late_us: u32) -> Option<Draft> {
        let partition = self.acks.pick(&mut self.random)?;
        let config = &self.config;
        let tombstone =
            config.tombstone_probability > 0.0 && self.random.chance(config.tombstone_probability);
        Some(Draft {
            partition,
            value_bytes: if tombstone { 0 } else { config.value_bytes },
            key_index: config.key_set_cardinality.map(|keys| self.random.below(keys)),
            tombstone,
            late_us,
        })
    }

    fn hand_over(
        &mut self,
        draft: &Draft,
        sending: Sending,
        aborting: bool,
        time: Time,
    ) -> Result<(), SendError> {
        let (id, aborted_id);
        let record_id: &[u8] = if aborting {
            aborted_id = record::encode_aborted_id(sending.offset);
            &aborted_id
        } else {
            id = record::encode_record_id(sending.offset);
            &id
        };
        let set_key = draft.key_index.map(KeyText::of_set);
        let key = set_key.as_ref().map_or(record_id, KeyText::as_bytes);
        let (value, value_digest) = self.values.next(draft.tombstone, sending.offset, &mut self.random);
        let timestamp_ms = self.timestamps.as_mut().map_or(time.ms, CountedTimestamps::next_ms);
        let proof = self.config.proof_header.then(|| {
            let (sequence, transaction) = sending.number;
            // The client takes 0 for "now".
            let timestamp_ms = Some(timestamp_ms).filter(|time| *time > 0);
            let proof = Proof { run: self.run, sequence, timestamp_ms, micros: time.micros, transaction };
            let content = if aborting {
                Content::new(Some(key), value_digest, (RECORD_ID_HEADER.as_bytes(), record_id))
            } else {
                Content::named(Some(key), value_digest, record_id, sending.offset)
            };
            proof::encode(&proof, &content)
        });
        let first = (RECORD_ID_NAME, record_id);
        let both: [HeaderField<'_>; 2];
        let headers = if let Some(proof) = &proof {
            both = [first, (PROOF_NAME, proof.as_bytes())];
            &both[..]
        } else {
            std::slice::from_ref(&first)
        };
        self.producer.send(&Record {
            partition: sending.partition,
            key,
            value,
            headers,
            timestamp_ms: Some(timestamp_ms),
            token: sending.token,
        })
    }

    /// Numbers start over, for a run of its own: what was sent before may still turn up among what comes now.
    pub(crate) fn begin_run(&mut self) {
        self.run = self.run.wrapping_add(1);
        self.acks.restart_numbers();
    }

    #[cold]
    fn not_sent(&mut self, sending: Sending, error: SendError) -> Result<bool, Halt> {
        match error {
            SendError::QueueFull => Ok(false),
            SendError::Fatal(_) => {
                // What is in flight comes back with errors, and is judged there.
                self.acks.restart_wanted = true;
                Ok(false)
            }
            SendError::Refused(error) if error.is_transient_on_send() => Ok(false),
            // The client knows already what the cluster would say, and asks again with its next look at it.
            SendError::Refused(error) => {
                self.acks.failed(sending.partition, sending.offset, error);
                self.back_off();
                self.judge_failures().map(|()| false)
            }
        }
    }

    /// Takes what has come, and moves the transaction on. Returns how much it was.
    pub(crate) fn take_deliveries(&mut self) -> Result<usize, Halt> {
        let now_us = self.clock.now_us();
        let acks = &mut self.acks;
        let count = self.producer.poll(DELIVERY_EVENTS, |delivery| acks.settle(delivery, now_us));
        self.is_probing &= count == 0;
        self.stats.deliveries.add(count as u64);
        if let Some(violation) = self.acks.violation.take() {
            return Err(Halt::Violation(violation));
        }
        if !self.acks.failed.is_empty() {
            self.judge_failures()?;
        }
        Ok(count + usize::from(self.move_transaction_on()?))
    }

    /// Whether what was due has been sent: a rate that acks do not keep up with is not the one that was asked for.
    fn look_at_pace(&mut self) {
        if let Some(open_loop) = &self.open_loop {
            self.stats.overdue.set(open_loop.overdue(self.clock.now_us()));
        }
        let (Some(pace), Some(rate)) = (&self.pace, self.config.throughput_bytes_per_s) else { return };
        self.stats.overdue.set(pace.missed_bytes() / self.config.value_bytes.max(1) as u64);
        if pace.behind() >= BEHIND_LIMIT && !std::mem::replace(&mut self.is_behind, true) {
            self.context.shared.causes.note(
                "the producer",
                &format!("it is behind its schedule of {rate} B/s (--produce-throughput-bps)"),
                "acks come too slowly for what may be in flight; what was due is not made up for, and latencies omit what \
                 was not sent: more in flight (--max-buffered-records) or larger batches (--linger) go further",
            );
        }
    }

    /// What it waits for, if nothing comes of what it does.
    fn wants(&self) -> Option<ProducerWants> {
        if self.producer.is_starting() {
            Some(ProducerWants::Coordinator)
        } else if self.asking {
            Some(ProducerWants::Offsets)
        } else if !self.acks.nothing_in_flight() {
            Some(ProducerWants::Acks)
        } else {
            self.producer.is_ending().then_some(ProducerWants::TransactionEnd)
        }
    }

    /// Tells the control thread what was acked, if its queue has room.
    pub(crate) fn report(&mut self) {
        if !self.outbox.send() {
            self.stats.refused_messages.add(1);
            return;
        }
        let (entries, latency) = (self.acks.take_entries(), self.acks.take_latency());
        let times = self.acks.timing.as_mut().and_then(Timing::take);
        if !entries.is_empty() || latency.is_some() || times.is_some() {
            self.outbox.give(Message::Produced { entries, latency, times });
        }
    }

    /// Tells it everything, however long that takes.
    async fn report_all(&mut self) {
        self.outbox.empty().await;
        self.report();
        self.outbox.empty().await;
    }

    pub(crate) fn report_if_due(&mut self) {
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            self.report();
            self.look_at_pace();
            self.acks.take_in(|partition| self.late.end(partition));
            self.stats.wants.set(self.wants());
            let ending = self.producer.is_ending();
            self.watch.step(&self.acks, self.producer.client(), self.clock.now_us(), ending);
        }
    }
}

/// The same in every run: a new one aborts what a killed one left open.
pub(crate) fn transactional_id(
    client: &ClientSettings,
    topic: &str,
    slice: Option<Slice>,
    shard: usize,
) -> String {
    match slice {
        // Slices that had an id in common would fence each other.
        Some(slice) => {
            format!("{}-{topic}-slice-{}-of-{}-{shard}", client.client_id, slice.index(), slice.of())
        }
        None => format!("{}-{topic}-{shard}", client.client_id),
    }
}

fn settings(context: &ShardContext, job: &ProduceJob, random: &mut Random) -> WriterSettings {
    WriterSettings {
        linger: job.config.linger,
        batch_max_bytes: job.config.batch_max_bytes,
        max_buffered_records: job.window,
        compression: job.config.compression.pick(random),
        transactions: job.config.transactions.map(|rules| TransactionSettings {
            id: transactional_id(&context.client, &context.topic, context.slice, context.place.index),
            timeout: rules.timeout,
        }),
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
