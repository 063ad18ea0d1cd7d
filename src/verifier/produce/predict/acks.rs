//! Predictions and what became of them: the producer's logic without its client.

use std::{num::NonZero, sync::Arc};

use super::{
    habits::Habits,
    in_flight::InFlight,
    predicted_log::{NOT_KNOWN, PredictedLog, ProducePartition},
    timing::Timing,
};
use crate::{
    config::ProduceConfig,
    findings::anomaly::{Anomaly, Violation},
    kafka::{Delivery, KafkaError, Outcome},
    ledger::{Entry, KeyAck},
    mutants::enforced,
    partitions::{PartitionSlot, PartitionTable},
    producer::Pending,
    random::Random,
    record::proof::{InTransaction, Numbering},
    stats::{LatencyHistogram, LatencyRecorder, ProducerStats},
};

/// What is to be predicted, and how.
pub(crate) struct Prediction<'a> {
    pub(crate) config: &'a ProduceConfig,
    /// By slot.
    pub(crate) partitions: &'a [ProducePartition],
    /// Records to be sent.
    pub(crate) records: u64,
    /// So many may be in flight.
    pub(crate) window: usize,
    /// An ack below the ledger's end truncates the ledger.
    pub(crate) tolerate_data_loss: bool,
    pub(crate) stats: &'a Arc<ProducerStats>,
}

/// A record before it is known where it will land.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) partition: PartitionSlot,
    pub(crate) value_bytes: usize,
    pub(crate) key_index: Option<u64>,
    pub(crate) tombstone: bool,
    /// How long ago it was to be sent, µs.
    pub(crate) late_us: u32,
}

/// A record that is expected to land here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    pub(crate) partition: PartitionSlot,
    pub(crate) offset: i64,
    pub(crate) token: usize,
    /// Its number within run and partition, and its place in its transaction.
    pub(crate) number: (u64, Option<InTransaction>),
    /// It takes the place of one that was sent in vain.
    pub(crate) again: bool,
}

/// Why so many records were not acked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) error: KafkaError,
    pub(crate) count: u64,
    /// The first of them: its partition, and where it was to land.
    pub(crate) partition: PartitionSlot,
    pub(crate) offset: i64,
}

/// All predictions of a shard.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state")]
pub(crate) struct Acks {
    /// By slot.
    pub(crate) logs: Vec<PredictedLog>,
    /// Those of which it is known where their logs end.
    ready: Vec<PartitionSlot>,
    /// What is in flight, and what is acked in a transaction that has not ended.
    pub(crate) pending: Pending<InFlight, Acked>,
    /// What the cluster writes around transactions; `None` without them.
    habits: Option<Habits>,
    /// A record of the open transaction landed elsewhere, and one of the last one did.
    is_misplaced: bool,
    was_misplaced: bool,
    /// Transactions that have ended.
    transactions: u64,
    /// Nobody knows what became of a record: it may still turn up, out of order.
    pub(crate) unknown: bool,
    /// A record was not acked since the last start.
    pub(crate) has_failed: bool,
    /// Records that are still to be sent, those sent in vain included.
    unsent: u64,
    /// Those sent in vain, of these: no rate limit makes them wait once more.
    again: u64,
    /// A prediction failed: what is in flight must be waited out, and the ends asked for again.
    pub(crate) restart_wanted: bool,
    /// The first promise that an ack has broken: it ends the run.
    pub(crate) violation: Option<Box<Violation>>,
    /// Why records were not acked, each cause once: to be judged.
    pub(crate) failed: Vec<Failed>,
    latency: LatencyRecorder,
    /// Of an open loop.
    pub(crate) timing: Option<Timing>,
    /// What belongs into the ledger ahead of all that has not been handed on: a log was truncated.
    entries: Vec<Entry>,
    stats: Arc<ProducerStats>,
    table: Arc<PartitionTable>,
    /// An ack below the ledger's end truncates the ledger.
    tolerate_data_loss: bool,
    /// Tombstones are written: the ledger says how far a compacted log can be read.
    tombstones: bool,
    /// The last value of each key is written down.
    latest_values: bool,
    /// Last values that have not yet been handed on, with their partition.
    latest: Vec<(PartitionSlot, KeyAck)>,
}

/// An acked record that shows when its transaction is committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acked {
    pub(crate) record: InFlight,
    /// Whether it landed where it was expected; the cluster may not have said where.
    in_place: bool,
}

impl Acks {
    pub(crate) fn new(table: Arc<PartitionTable>, prediction: &Prediction<'_>) -> Self {
        let Prediction { config, partitions, records, window, tolerate_data_loss, stats } = *prediction;
        let log = |partition: &ProducePartition| {
            let ProducePartition { id, end_offset, highest_acked, last_consumable } = *partition;
            PredictedLog::new(id, end_offset, highest_acked, last_consumable)
        };
        let is_ready = |slot: &PartitionSlot| partitions[slot.index()].end_offset != NOT_KNOWN;
        Self {
            logs: partitions.iter().map(log).collect(),
            ready: (0..partitions.len()).map(PartitionSlot::at).filter(is_ready).collect(),
            pending: Pending::new(window),
            habits: config.transactions.map(|_| Habits::default()),
            is_misplaced: false,
            was_misplaced: false,
            transactions: 0,
            unknown: false,
            has_failed: false,
            unsent: records,
            again: 0,
            restart_wanted: false,
            violation: None,
            failed: Vec::new(),
            latency: LatencyRecorder::default(),
            timing: None,
            entries: Vec::new(),
            stats: stats.clone(),
            table,
            tolerate_data_loss,
            tombstones: config.tombstone_probability > 0.0,
            latest_values: config.latest_values,
            latest: Vec::new(),
        }
    }

    /// The same, with the times of an open loop's records.
    pub(crate) fn with_timing(mut self, timing: Option<Timing>) -> Self {
        self.timing = timing;
        self
    }

    pub(crate) fn is_done(&self) -> bool {
        self.nothing_to_send() && self.nothing_in_flight() && self.pending.held().is_empty()
    }

    pub(crate) fn nothing_to_send(&self) -> bool {
        self.unsent == 0
    }

    /// Whether the next record takes the place of one that was sent in vain.
    pub(crate) fn sends_again(&self) -> bool {
        self.again > 0
    }

    /// When the next record was to be sent, where that takes the place of one that was sent in vain in an open loop.
    pub(crate) fn due_again(&self) -> Option<u64> {
        self.timing.as_ref().and_then(Timing::due_again)
    }

    /// Nothing is sent any more but what was sent in vain.
    pub(crate) fn stop_sending(&mut self) {
        self.unsent = self.again;
    }

    pub(crate) fn nothing_in_flight(&self) -> bool {
        self.pending.nothing_in_flight()
    }

    /// A partition that records can go to, each as likely as the other; `None` when there is none yet.
    pub(crate) fn pick(&self, random: &mut Random) -> Option<PartitionSlot> {
        if self.ready.is_empty() {
            return None;
        }
        Some(self.ready[random.index(self.ready.len())])
    }

    /// The partitions that records can go to.
    pub(crate) fn ready(&self) -> &[PartitionSlot] {
        &self.ready
    }

    /// Those of which it is not known where their next record lands. Of the others it is: whatever was sent there is acked
    /// where it was expected.
    pub(crate) fn in_doubt(&self) -> Vec<PartitionSlot> {
        self.ready.iter().copied().filter(|slot| self.logs[slot.index()].is_in_doubt()).collect()
    }

    /// Nothing is known of any of them.
    pub(crate) fn doubt_all(&mut self) {
        self.logs.iter_mut().for_each(PredictedLog::doubt);
    }

    /// Nobody knows what became of the open transaction.
    pub(crate) fn doubt_transaction(&mut self) {
        self.logs.iter_mut().for_each(PredictedLog::doubt_transaction);
    }

    /// Takes in those of which it is known now where their logs end.
    pub(crate) fn take_in(&mut self, end: impl Fn(i32) -> Option<i64>) {
        if self.ready.len() == self.logs.len() {
            return;
        }
        for (index, log) in self.logs.iter_mut().enumerate() {
            let slot = PartitionSlot::at(index);
            if !self.ready.contains(&slot)
                && let Some(end) = end(log.id)
            {
                log.repredict(end);
                self.ready.push(slot);
            }
        }
    }

    /// The highest acked offset of a partition whose log ends at or below it, unless lost data is tolerated.
    pub(crate) fn lost_at(&self, partition: PartitionSlot, end_offset: i64) -> Option<i64> {
        let log = &self.logs[partition.index()];
        let is_lost = end_offset <= log.highest_acked && enforced("truncation-producer");
        (is_lost && !self.tolerate_data_loss).then_some(log.highest_acked)
    }

    /// Predicts where a record lands; `None` when there is none to send, or no room for it,
    /// or a failed prediction has to be cleared up first.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "handed back in memory, it waits for stores of another size: some 5 % of what a record costs"
    )]
    pub(crate) fn predict(&mut self, draft: &Draft, now_us: u64) -> Option<Sending> {
        if self.unsent == 0 || self.restart_wanted {
            return None;
        }
        let token = self.pending.claim()?;
        let log = &mut self.logs[draft.partition.index()];
        let (offset, first) = log.predict(self.habits.map(|habits| habits.counts()));
        let number = log.numbers.number(self.habits.map(|_| self.transactions));
        let record = InFlight {
            partition: draft.partition,
            predicted_offset: offset,
            sent_us: now_us,
            late_us: draft.late_us,
            value_bytes: u32::try_from(draft.value_bytes).unwrap_or(u32::MAX),
            key_number: draft.key_index.and_then(|index| NonZero::new(index.saturating_add(1))),
            tombstone: draft.tombstone,
            first,
        };
        self.pending.put(token, record);
        let again = self.again > 0;
        self.again -= u64::from(again);
        if again && let Some(timing) = &mut self.timing {
            timing.sent_again();
        }
        self.unsent -= 1;
        Some(Sending { partition: draft.partition, offset, token, number, again })
    }

    /// The client did not take the record that was predicted last.
    pub(crate) fn take_back(&mut self, sending: Sending) {
        let record = self.pending.release(sending.token);
        self.again += u64::from(sending.again);
        if sending.again
            && let Some(timing) = &mut self.timing
        {
            timing.take_back(&record);
        }
        let log = &mut self.logs[record.partition.index()];
        log.take_back(record.first);
        log.numbers.take_back();
        self.unsent += 1;
    }

    /// Starts over from where the log of a partition ends.
    pub(crate) fn repredict(&mut self, partition: PartitionSlot, end_offset: i64) {
        self.logs[partition.index()].repredict(end_offset);
    }

    /// Compares a delivery with its prediction. Returns whether it is one to build on.
    #[inline]
    pub(crate) fn settle(&mut self, delivery: Delivery, now_us: u64) -> bool {
        let record = self.pending.release(delivery.token);
        match delivery.outcome {
            Outcome::Acked { offset } => {
                if self.logs[record.partition.index()].is_refilled(offset, record.predicted_offset)
                    && enforced("refilled-truncation")
                {
                    self.below_the_ledger(record.partition, offset);
                }
                if offset != record.predicted_offset && enforced("bad-offset") {
                    return self.misplaced(&record, offset);
                }
                if let (Some(habits), Some(first)) = (&mut self.habits, record.first) {
                    habits.observe(first, 0);
                }
                self.latency.record(now_us.saturating_sub(record.sent_us));
                self.timed(&record, now_us);
                self.acked(record, true);
            }
            // It is in the log, at a place that only a reader can find: no bad offset, and none for the ledger.
            Outcome::AckedNoOffset => {
                self.timed(&record, now_us);
                self.acked(record, false);
            }
            Outcome::Failed(error) | Outcome::Unknown(error) => {
                self.logs[record.partition.index()].doubt();
                self.has_failed = true;
                self.unknown |= matches!(delivery.outcome, Outcome::Unknown(_));
                self.send_again(&record);
                if !error.is_dropped_with_topic() {
                    self.failed(record.partition, record.predicted_offset, error);
                }
                return false;
            }
        }
        true
    }

    #[inline]
    fn timed(&mut self, record: &InFlight, now_us: u64) {
        if let Some(timing) = &mut self.timing {
            timing.acked(record, now_us);
        }
    }

    /// As another record, from where the logs end then.
    fn send_again(&mut self, record: &InFlight) {
        if let Some(timing) = &mut self.timing {
            timing.failed(record);
        }
        self.unsent += 1;
        self.again += 1;
        self.restart_wanted = true;
    }

    /// Returns whether its transaction can be committed all the same. Aborted, it would leave no record in sight that names
    /// another offset than its own, and mostly the next attempt does better. But where leaders move all the time
    /// coordinators write markers twice, a few for each transaction: one that has failed for it is not followed by another.
    /// What it has elsewhere is in no ledger then, and sent again, as without transactions; unless last values are kept, of
    /// which it would be one that nobody knows.
    #[cold]
    fn misplaced(&mut self, record: &InFlight, offset: i64) -> bool {
        self.stats.bad_offsets.add(1);
        self.logs[record.partition.index()].doubt();
        self.send_again(record);
        if let (Some(habits), Some(first)) = (&mut self.habits, record.first) {
            habits.observe(first, offset - record.predicted_offset);
        }
        self.is_misplaced = true;
        self.was_misplaced && !self.latest_values
    }

    #[inline]
    fn acked(&mut self, record: InFlight, in_place: bool) {
        let acked = Acked { record, in_place };
        if self.habits.is_some() {
            self.pending.hold(acked);
        } else {
            self.in_the_log(&acked);
        }
    }

    /// The record is in the log for good.
    #[inline]
    fn in_the_log(&mut self, Acked { record, in_place }: &Acked) {
        self.count_acked(record);
        if !in_place {
            return;
        }
        let (partition, offset) = (record.partition, record.predicted_offset);
        let log = &mut self.logs[partition.index()];
        log.highest_acked = log.highest_acked.max(offset);
        log.acked.push(offset);
        if self.tombstones {
            log.consumable.acked(record.key_index(), offset, record.tombstone);
        }
        if self.latest_values {
            let (key_index, value_bytes) = (record.key_index(), record.value_bytes as usize);
            self.latest
                .push((partition, KeyAck { key_index, offset, value_bytes, tombstone: record.tombstone }));
        }
        self.stats.max_offsets.set(partition.index(), log.highest_acked);
    }

    /// The transaction was committed: what was acked in it is in the log.
    pub(crate) fn commit(&mut self) {
        let held = self.pending.take_held();
        for acked in &held {
            self.in_the_log(acked);
        }
        self.pending.reuse(held);
        self.end_transaction(true);
    }

    /// The transaction was aborted. What was written to be aborted is done with; the rest is sent again.
    pub(crate) fn abort(&mut self, intended: bool) {
        let held = self.pending.take_held();
        if intended {
            for acked in &held {
                self.count_acked(&acked.record);
            }
            self.stats.aborted_records.add(held.len() as u64);
        } else {
            self.unsent += held.len() as u64;
            self.again += held.len() as u64;
            if let Some(timing) = &mut self.timing {
                for acked in &held {
                    timing.failed(&acked.record);
                }
            }
            self.stats.failed_transactions.add(1);
        }
        self.pending.reuse(held);
        self.end_transaction(false);
    }

    /// Numbers start over, for another run.
    pub(crate) fn restart_numbers(&mut self) {
        self.unknown = false;
        self.logs.iter_mut().for_each(|log| log.numbers = Numbering::default());
    }

    fn end_transaction(&mut self, committed: bool) {
        self.transactions += 1;
        self.logs.iter_mut().for_each(|log| log.numbers.end_transaction(committed));
        if let Some(habits) = self.habits {
            self.was_misplaced = std::mem::take(&mut self.is_misplaced);
            self.logs.iter_mut().for_each(|log| log.end_transaction(habits.counts()));
        }
    }

    fn count_acked(&mut self, record: &InFlight) {
        self.stats.acked.add(1);
        self.stats.acked_bytes.add(record.value_bytes.into());
        if record.tombstone {
            self.stats.tombstones.add(1);
        }
    }

    /// The log was truncated below what was acked, and is being written again.
    #[cold]
    fn below_the_ledger(&mut self, partition: PartitionSlot, offset: i64) {
        if self.tolerate_data_loss {
            // What was acked before goes first, or it would come back behind the truncation.
            let latest = self.take_latest();
            self.entries.extend(latest);
            let lost = self.logs[partition.index()].truncate(offset, self.tombstones, &mut self.entries);
            self.stats.lost_offsets.add(lost);
            return;
        }
        let log = &self.logs[partition.index()];
        self.violation.get_or_insert_with(|| {
            Box::new(Violation {
                anomaly: Anomaly::RefilledTruncation,
                topic: self.table.topic(partition).to_owned(),
                partition: self.table.partition(partition),
                offset,
                expected: format!("an ack above {}, the highest offset in the ledger", log.highest_acked),
                found: format!(
                    "an ack at {offset}: the log was truncated and written again, or the topic created anew"
                ),
                evidence: Box::default(),
            })
        });
    }

    /// A record was not acked, or not even sent. What that means is judged elsewhere.
    #[cold]
    pub(crate) fn failed(&mut self, partition: PartitionSlot, offset: i64, error: KafkaError) {
        self.stats.fails.add(1);
        match self.failed.iter_mut().find(|known| known.error == error) {
            Some(known) => known.count += 1,
            None => self.failed.push(Failed { error, count: 1, partition, offset }),
        }
    }

    /// What belongs into the ledger and was not handed on, in its order.
    pub(crate) fn take_entries(&mut self) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut self.entries);
        // Before the logs: the ledger must not list what the last values do not know.
        entries.extend(self.take_latest());
        entries.extend(self.logs.iter_mut().filter_map(|log| log.take_acked(self.tombstones)));
        entries
    }

    fn take_latest(&mut self) -> Option<Entry> {
        let logs = &self.logs;
        let acks = self.latest.drain(..).map(|(slot, ack)| (logs[slot.index()].id, ack));
        Some(acks.collect::<Vec<_>>()).filter(|acks| !acks.is_empty()).map(Entry::Latest)
    }

    /// How long acks took since this was asked last.
    pub(crate) fn take_latency(&mut self) -> Option<LatencyHistogram> {
        self.latency.take()
    }
}

#[cfg(test)]
#[path = "acks_tests.rs"]
mod tests;
