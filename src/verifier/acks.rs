//! Predictions and what became of them: the producer's logic without its client.

use std::sync::Arc;

use super::{
    anomaly::{Anomaly, Violation},
    producer::ProduceJob,
    shard::{Halt, Outbox},
    window::{InFlight, Window},
};
use crate::{
    control::Message,
    kafka::{Delivery, KafkaError, Outcome},
    ledger::{AckedRuns, Consumable},
    stats::{LatencyRecorder, ProducerStats},
};

/// A record before it is known where it will land.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft {
    /// Place of its partition in the shard's list.
    pub(super) partition_index: usize,
    pub(super) value_bytes: usize,
    pub(super) key_index: Option<u64>,
    pub(super) tombstone: bool,
}

/// A record that is expected to land here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) token: usize,
}

/// What the shard knows of one of its partitions.
struct Lane {
    id: i32,
    next_offset: i64,
    /// The ledger's highest offset; -1 when there is none.
    highest_acked: i64,
    acked: AckedRuns,
    consumable: Consumable,
}

/// What is counted instead of ending the run.
#[derive(Clone, Copy, Debug)]
struct Tolerated {
    failed_produce: bool,
    data_loss: bool,
}

/// All predictions of a shard.
pub(super) struct Acks {
    lanes: Vec<Lane>,
    window: Window,
    /// Records that are still to be sent, those sent in vain included.
    unsent: u64,
    /// A prediction failed: what is in flight must be waited out, and the ends asked for again.
    pub(super) restart_wanted: bool,
    /// The first thing that ends the run.
    pub(super) halt: Option<Halt>,
    latency: LatencyRecorder,
    outbox: Outbox,
    stats: Arc<ProducerStats>,
    topic: Arc<str>,
    tolerated: Tolerated,
    /// Tombstones are written: the ledger says how far a compacted log can be read.
    tombstones: bool,
}

impl Acks {
    pub(super) fn new(topic: Arc<str>, outbox: Outbox, job: ProduceJob) -> Self {
        let lanes = job.partitions.iter().map(|partition| Lane {
            id: partition.id,
            next_offset: partition.end_offset,
            highest_acked: partition.highest_acked,
            acked: AckedRuns::default(),
            consumable: Consumable::resume(partition.last_consumable),
        });
        Self {
            lanes: lanes.collect(),
            window: Window::new(job.window),
            unsent: job.records,
            restart_wanted: false,
            halt: None,
            latency: LatencyRecorder::default(),
            outbox,
            stats: job.stats,
            topic,
            tolerated: Tolerated {
                failed_produce: job.config.tolerate_failed_produce,
                data_loss: job.tolerate_data_loss,
            },
            tombstones: job.config.tombstone_probability > 0.0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.unsent == 0 && self.window.is_empty()
    }

    pub(super) fn nothing_in_flight(&self) -> bool {
        self.window.is_empty()
    }

    pub(super) fn partitions(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn partition_ids(&self) -> Vec<i32> {
        self.lanes.iter().map(|lane| lane.id).collect()
    }

    /// Predicts where a record lands; `None` when there is none to send, or no room for it,
    /// or a failed prediction has to be cleared up first.
    pub(super) fn predict(&mut self, draft: &Draft, now_us: u64) -> Option<Sending> {
        if self.unsent == 0 || self.restart_wanted {
            return None;
        }
        let lane = &mut self.lanes[draft.partition_index];
        let token = self.window.take(InFlight {
            partition_index: draft.partition_index,
            predicted_offset: lane.next_offset,
            sent_us: now_us,
            value_bytes: draft.value_bytes,
            key_index: draft.key_index,
            tombstone: draft.tombstone,
        })?;
        let sending = Sending { partition: lane.id, offset: lane.next_offset, token };
        lane.next_offset += 1;
        self.unsent -= 1;
        Some(sending)
    }

    /// The client did not take the record that was predicted last.
    pub(super) fn take_back(&mut self, token: usize) {
        let record = self.window.release(token);
        self.lanes[record.partition_index].next_offset -= 1;
        self.unsent += 1;
    }

    /// Starts over from where the log of a partition ends.
    pub(super) fn repredict(&mut self, partition: i32, end_offset: i64) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.id == partition) {
            lane.next_offset = end_offset;
        }
    }

    /// Compares a delivery with its prediction.
    pub(super) fn settle(&mut self, delivery: Delivery, now_us: u64) {
        let record = self.window.release(delivery.token);
        match delivery.outcome {
            Outcome::Acked { offset } => self.acked(&record, offset, now_us),
            Outcome::AckedSomewhere => {
                // It is in the log, at a place that only a reader can find: no bad offset, and none for the ledger.
                self.count_acked(&record);
            }
            Outcome::Failed(error) | Outcome::Unknown(error) => self.failed(&record, error),
        }
    }

    fn acked(&mut self, record: &InFlight, offset: i64, now_us: u64) {
        if offset <= self.lanes[record.partition_index].highest_acked {
            self.below_the_ledger(record.partition_index, offset);
        }
        if offset != record.predicted_offset {
            self.stats.bad_offsets.add(1);
            self.unsent += 1;
            self.restart_wanted = true;
            return;
        }
        let lane = &mut self.lanes[record.partition_index];
        lane.highest_acked = offset;
        lane.acked.push(offset);
        if self.tombstones {
            lane.consumable.acked(record.key_index, offset, record.tombstone);
        }
        self.stats.max_offsets.set(record.partition_index, offset);
        self.latency.record(now_us.saturating_sub(record.sent_us));
        self.count_acked(record);
    }

    fn count_acked(&mut self, record: &InFlight) {
        self.stats.acked.add(1);
        self.stats.acked_bytes.add(record.value_bytes as u64);
        if record.tombstone {
            self.stats.tombstones.add(1);
        }
    }

    /// The log was cut below what was acked, and is being written again.
    #[cold]
    fn below_the_ledger(&mut self, partition_index: usize, offset: i64) {
        let lane = &mut self.lanes[partition_index];
        if self.tolerated.data_loss {
            // What was acked before goes first, or it would come back behind the cut.
            report_lane(lane, self.tombstones, &mut self.outbox);
            self.outbox.push(Message::Truncated { partition: lane.id, offset });
            lane.highest_acked = offset - 1;
            return;
        }
        self.halt.get_or_insert_with(|| {
            Halt::Violation(Violation {
                anomaly: Anomaly::RefilledTruncation,
                topic: self.topic.to_string(),
                partition: lane.id,
                offset,
                expected: format!("an ack above {}, the highest offset in the ledger", lane.highest_acked),
                found: format!(
                    "an ack at {offset}: the log was truncated and written again, or the topic created anew"
                ),
            })
        });
    }

    #[cold]
    fn failed(&mut self, record: &InFlight, error: KafkaError) {
        self.stats.fails.add(1);
        self.unsent += 1;
        self.restart_wanted = true;
        if !self.tolerated.failed_produce {
            let partition = self.lanes[record.partition_index].id;
            let topic = &self.topic;
            self.halt.get_or_insert_with(|| {
                Halt::Failed(format!(
                    "topic {topic} partition {partition} offset {}: the record was not acked: {error}; \
                     --tolerate-failed-produce counts such records and goes on",
                    record.predicted_offset
                ))
            });
        }
    }

    /// Hands what was acked to the control thread, as far as its queue has room.
    pub(super) fn report(&mut self) {
        if !self.outbox.send() {
            // The lanes keep collecting meanwhile, and their runs stay few.
            self.stats.refused_messages.add(1);
            return;
        }
        for lane in &mut self.lanes {
            report_lane(lane, self.tombstones, &mut self.outbox);
        }
        if let Some(latency) = self.latency.take() {
            self.outbox.push(Message::AckLatency(latency));
        }
        self.outbox.send();
    }

    /// Hands everything over, however long that takes.
    pub(super) async fn report_all(&mut self) {
        self.outbox.send_all().await;
        self.report();
        self.outbox.send_all().await;
    }
}

fn report_lane(lane: &mut Lane, tombstones: bool, outbox: &mut Outbox) {
    if !lane.acked.is_empty() {
        outbox.push(Message::Acked {
            partition: lane.id,
            runs: lane.acked.take(),
            last_consumable: tombstones.then(|| lane.consumable.last()),
        });
    }
}

#[cfg(test)]
#[path = "acks_tests.rs"]
mod tests;
