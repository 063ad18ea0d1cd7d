//! The producing half of a worker: tokens go out, and what becomes of them is counted.

use std::{rc::Rc, sync::Arc, time::Duration};

use super::{
    body::{HEADER_BYTES, Header, Key},
    context::{RepeaterContext, ShardFloor},
    deliveries::{Deliveries, Flight},
    tokens::Tokens,
};
use crate::{
    clock,
    config::{Compression, Fill, REPEATER_BATCH_MAX_BYTES, RepeaterConfig},
    failing,
    kafka::{
        ClientError, ClientFactory, KafkaError, LogWriter, Reason, Record, SendError, SlotWriter,
        TransactionSettings, Value, WriterSettings,
    },
    partitions::{PartitionSlot, TopicPartition},
    producer::{Cause, Change, Pending, Producer},
    random::Random,
    stats::{LatencyRecorder, WorkerStats},
};

/// Records sent before deliveries are looked at again.
const BURST: usize = 256;
/// Delivery events taken before records are sent again.
pub(super) const DELIVERY_EVENTS: usize = 64;

pub(super) struct TokenSender<C: ClientFactory> {
    producer: Producer<C>,
    /// The worker's name: its clients' id.
    name: String,
    shard: Rc<ShardFloor>,
    stats: Arc<WorkerStats>,
    random: Random,
    /// Tokens that can be sent.
    pub(super) tokens: Tokens,
    /// Records in flight, and tokens in a transaction that has not ended.
    pending: Pending<Flight, i64>,
    pub(super) latency: LatencyRecorder,
    /// The client is finished: what is in flight comes back first, then there is a new one.
    restart: bool,
    /// Records that take the place of those sent in vain: no rate limit makes them wait once more.
    again: u64,
}

impl<C: ClientFactory<Writer: SlotWriter>> TokenSender<C> {
    pub(super) fn start(
        factory: C,
        shard: &Rc<ShardFloor>,
        name: &str,
        worker: usize,
    ) -> Result<Self, ClientError> {
        let config = &shard.context.config;
        let mut random = Random::from_entropy();
        let settings = settings(config, name, config.compression.pick(&mut random));
        let table = shard.context.table.clone();
        Ok(Self {
            producer: Producer::start(factory, settings, table, config.transactions)?,
            name: name.to_owned(),
            shard: shard.clone(),
            stats: shard.context.stats[worker].clone(),
            random,
            tokens: Tokens::of_worker(worker, config.tokens_per_worker()),
            // Places are made as they are needed: a worker with few tokens never needs all that it may have.
            pending: Pending::new(0),
            latency: LatencyRecorder::default(),
            restart: false,
            again: 0,
        })
    }

    /// Tokens that are here: waiting, or with the client, or in a transaction that has not ended.
    pub(super) fn enqueued(&self) -> u64 {
        self.tokens.len() + self.pending.in_flight() + self.pending.held().len() as u64
    }

    /// Sends until no token, no slot or no budget is left. Returns how many went, and how long to wait for budget.
    pub(super) fn send_burst(&mut self) -> (usize, Option<Duration>) {
        if let Some(pause) = self.producer.pause() {
            return (0, Some(pause));
        }
        let (now_us, sent_at_us) = (self.shard.now_us(), clock::unix_us());
        for sent in 0..BURST {
            let pause = if self.again > 0 { Duration::ZERO } else { self.shard.pause(now_us) };
            if !pause.is_zero() && !self.tokens.is_empty() {
                return (sent, Some(pause));
            }
            if !self.send_one(now_us, sent_at_us) {
                return (sent, None);
            }
        }
        (BURST, Some(Duration::ZERO))
    }

    /// Has what was sent, or is to be ended, go out: somebody else is waited for now.
    pub(super) fn send_off(&mut self) {
        self.producer.client().send_off();
    }

    /// Sends one record. Returns whether there was one to send, and room for it.
    fn send_one(&mut self, now_us: u64, sent_at_us: i64) -> bool {
        let Some(aborted) = self.producer.accepts() else { return false };
        if self.restart || self.tokens.is_empty() {
            return false;
        }
        let Some(slot) = self.pending.claim().or_else(|| self.new_slot()) else { return false };
        let config = &self.shard.context.config;
        let tombstone =
            config.tombstone_probability > 0.0 && self.random.chance(config.tombstone_probability);
        let token = if tombstone { None } else { self.tokens.take() };
        if let Some(token) = token {
            self.producer.client().slots().write(slot, &Header { token, sent_at_us, aborted }.encode());
        }
        let number = match config.keys {
            Some(keys) => self.random.below(keys.get()),
            None => self.random.next_u64(),
        };
        let key = Key::new(number);
        let partition = pick(&self.shard.context, &mut self.random);
        let record = Record {
            partition,
            key: key.as_bytes(),
            value: (!tombstone).then_some(Value::Slot),
            headers: &[],
            timestamp_ms: None,
            token: slot,
        };
        let bytes = config.payload_bytes.get() + HEADER_BYTES;
        if let Err(error) = self.producer.send(&record) {
            self.pending.release(slot);
            return self.not_sent(token, error);
        }
        self.pending.put(slot, Flight { token, sent_us: now_us });
        match self.again {
            0 => self.shard.spend(if tombstone { 0 } else { bytes as u64 }),
            again => self.again = again - 1,
        }
        true
    }

    #[cold]
    fn new_slot(&mut self) -> Option<usize> {
        let config = &self.shard.context.config;
        if self.producer.client().slots().count() >= config.max_buffered_records {
            return None;
        }
        let mut value = vec![0; HEADER_BYTES + config.payload_bytes.get()].into_boxed_slice();
        match config.fill {
            Fill::Zeros => {}
            Fill::Random => self.random.fill(&mut value[HEADER_BYTES..]),
            Fill::Printable => self.random.fill_printable(&mut value[HEADER_BYTES..]),
        }
        let (place, slot) = (self.pending.grow(), self.producer.client().slots().add(value));
        debug_assert_eq!(place, slot, "a record's place has its slot's number");
        Some(slot)
    }

    #[cold]
    fn not_sent(&mut self, token: Option<i64>, error: SendError) -> bool {
        match (error, token) {
            (SendError::Refused(error), token) if !error.is_transient_on_send() => {
                self.lose(token, error, false);
                self.back_off();
                false
            }
            (error, token) => {
                self.restart |= matches!(error, SendError::Fatal(_));
                if let Some(token) = token {
                    self.tokens.give_back(token);
                }
                false
            }
        }
    }

    /// A record is gone, and its token with it.
    #[cold]
    fn lose(&mut self, token: Option<i64>, error: KafkaError, unknown: bool) {
        let (counter, what) = match (token, unknown) {
            (None, _) => (&self.stats.failed_tombstones, "tombstones are lost"),
            (Some(_), true) => (&self.stats.lost_unknown, "tokens are lost, or not: nobody knows"),
            (Some(_), false) => (&self.stats.lost_failed, "tokens are lost"),
        };
        counter.add(1);
        let reason = Reason::from(error);
        self.tell(what, &reason);
        self.judge(&reason);
    }

    /// Once for each cause, whichever worker meets it.
    #[cold]
    fn tell(&self, what: &str, reason: &Reason) {
        let Reason { error, words } = reason;
        let causes = &self.shard.context.shared.causes;
        causes.note_many("the producers", what, &error.to_string(), 1, || {
            format!("{words}{}", self.remedy(*error)).trim_start_matches(": ").to_owned()
        });
    }

    /// What the user can change.
    fn remedy(&self, error: KafkaError) -> String {
        let config = &self.shard.context.config;
        let sizes = format!(
            "--payload-size (it is {}), or give batches room for fewer records with -X batch.size={}",
            config.payload_bytes,
            config.payload_bytes.get() + HEADER_BYTES
        );
        failing::remedy(error, &sizes, "compare this machine's clock with the broker's")
    }

    /// What will not change, or has not for too long, ends the run.
    #[cold]
    fn judge(&self, reason: &Reason) {
        let context = &self.shard.context;
        let judgement = context.judge(reason.error);
        if judgement.is_final() {
            let what = if reason.error.is_denied() {
                "the cluster refuses the producer"
            } else {
                "a record cannot be written"
            };
            let (id, lasting) = (&self.name, judgement.words());
            context
                .shared
                .lifecycle
                .fail(format!("{id}: {what}{lasting}: {reason}{}", self.remedy(reason.error)));
        }
    }

    /// A new attempt begins: it waits if the last one got nothing acked.
    fn back_off(&mut self) {
        self.producer.back_off(self.stats.produced.get() + self.stats.tombstones.get());
    }

    /// Takes deliveries, and moves the transaction on. Returns how many deliveries there were.
    pub(super) fn take_deliveries(&mut self) -> Result<usize, ClientError> {
        let now_us = self.shard.now_us();
        // Out of the way of the borrow of the client.
        let mut deliveries = Deliveries {
            pending: &mut self.pending,
            in_transaction: self.producer.transaction().is_some(),
            latency: &mut self.latency,
            stats: &self.stats,
            failed: Vec::new(),
            failed_in_transaction: Vec::new(),
            now_us,
            value_bytes: self.shard.context.config.payload_bytes.get() + HEADER_BYTES,
        };
        let count = self.producer.poll(DELIVERY_EVENTS, |delivery| {
            deliveries.settle(delivery);
            true
        });
        let (failed, failed_in_transaction) = (deliveries.failed, deliveries.failed_in_transaction);
        if !failed.is_empty() {
            self.back_off();
        }
        for (token, error, unknown) in failed {
            self.not_delivered(token, error, unknown);
        }
        for error in failed_in_transaction {
            self.stats.failed_in_transactions.add(1);
            self.producer.note_failure(error);
            self.judge(&Reason::from(error));
        }
        self.give_up_what_cannot_end();
        if self.client_is_finished() {
            self.start_over()?;
        }
        self.move_transaction_on();
        Ok(count)
    }

    #[cold]
    fn not_delivered(&mut self, token: Option<i64>, error: KafkaError, unknown: bool) {
        self.restart |= self.producer.fatal_error().is_some();
        if unknown || !(self.restart || error.is_dropped_with_topic()) {
            self.lose(token, error, unknown);
        } else if let Some(token) = token {
            // It was never sent, because its client was finished, or knew no topic for a moment.
            self.tokens.give_back(token);
            self.again += 1;
        }
    }

    /// The client gives up what it holds once, when it is finished; what comes back to it later would never have its
    /// delivery, nor its transaction an end. One with a failed record is not in the log, whatever its end.
    fn give_up_what_cannot_end(&mut self) {
        self.restart |= self.producer.has_failed() && self.producer.fatal_error().is_some();
    }

    /// Looked at when something is wrong already: the question is not free.
    fn client_is_finished(&mut self) -> bool {
        if !self.restart {
            return false;
        }
        if !self.pending.nothing_in_flight() {
            self.producer.client().abandon();
        }
        self.pending.nothing_in_flight()
    }

    /// A new client in place of one that a fatal error finished.
    #[cold]
    fn start_over(&mut self) -> Result<(), ClientError> {
        if let Some(error) = self.producer.fatal_error() {
            let reason = Reason::from(error);
            self.tell("starting a new producer", &reason);
            self.judge(&reason);
        }
        self.producer.renew(self.producer.settings().compression)?;
        // They have the numbers of slots that the old client had.
        self.pending.clear_places();
        for token in self.pending.take_held() {
            self.send_again(token);
        }
        self.restart = false;
        Ok(())
    }

    fn move_transaction_on(&mut self) {
        let nothing_in_flight = self.pending.nothing_in_flight();
        let nothing_to_send = self.tokens.is_empty() || self.shard.context.stop_requested();
        let starting = self.producer.is_starting();
        let change = self.producer.advance(nothing_in_flight, nothing_to_send, &mut self.random);
        if matches!(change, Change::None | Change::Started) {
            return;
        }
        let ended = self.pending.take_held();
        match change {
            Change::None | Change::Started => {}
            Change::Committed => {
                let tokens = ended.len() as u64;
                let bytes = self.shard.context.config.payload_bytes.get() + HEADER_BYTES;
                self.stats.produced.add(tokens);
                self.stats.produced_bytes.add(tokens * bytes as u64);
                self.stats.committed_transactions.add(1);
            }
            Change::Aborted { intended, reason } => {
                if !intended {
                    self.again += ended.len() as u64;
                    self.transaction_failed(reason);
                }
                self.stats.aborted_transactions.add(1);
                self.stats.aborted_records.add(ended.len() as u64);
                for &token in &ended {
                    self.tokens.give(token);
                }
            }
            Change::Unknown { reason } => {
                for &token in &ended {
                    self.lose(Some(token), reason.error, true);
                }
            }
            Change::Fatal { unknown, reason } => {
                let Reason { error, .. } = reason;
                if starting && self.shard.context.judge(error).is_final() {
                    let id = &self.name;
                    let reason = format!("transactional id '{id}' cannot be used: {reason}");
                    self.shard.context.shared.lifecycle.fail(reason);
                }
                self.restart = true;
                for &token in &ended {
                    if unknown { self.lose(Some(token), error, true) } else { self.send_again(token) }
                }
            }
        }
        self.pending.reuse(ended);
    }

    /// It was sent in vain. The rate limit does not make it wait once more: a transactional id that expires between two records
    /// would expire for ever.
    fn send_again(&mut self, token: i64) {
        self.tokens.give(token);
        self.again += 1;
    }

    #[cold]
    fn transaction_failed(&mut self, reason: Option<Reason>) {
        if let Some(Cause { reason, is_of_record }) = self.producer.cause(reason) {
            self.tell("transactions failed, and their records are sent again", &reason);
            if !is_of_record {
                self.judge(&reason);
            }
        }
        self.back_off();
    }

    /// Whether the coordinator has not let the transactional id in yet.
    pub(super) fn is_starting(&self) -> bool {
        self.producer.is_starting()
    }

    /// Whether everything that was sent has its outcome.
    pub(super) fn is_flushed(&self) -> bool {
        self.pending.nothing_in_flight() && self.producer.is_empty()
    }
}

/// Any partition of any topic: each topic is as likely as the other.
fn pick(RepeaterContext { topics, table, .. }: &RepeaterContext, random: &mut Random) -> PartitionSlot {
    let topic = random.index(topics.len());
    let partition = i32::try_from(random.index(topics[topic].1)).unwrap_or(i32::MAX);
    table.slot(TopicPartition { topic, partition }).unwrap_or_default()
}

/// How a worker of this name produces.
pub(super) fn settings(config: &RepeaterConfig, name: &str, compression: Compression) -> WriterSettings {
    WriterSettings {
        linger: config.linger,
        batch_max_bytes: REPEATER_BATCH_MAX_BYTES,
        max_buffered_records: config.max_buffered_records,
        compression,
        transactions: config.transactions.map(|rules| TransactionSettings {
            // One for the life of the worker: a new client fences what the last one left open.
            id: name.to_owned(),
            timeout: rules.timeout,
        }),
    }
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
