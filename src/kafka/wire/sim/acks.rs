//! A Produce whose batches are appended, and that is answered when all in sync have them.

use kafka_protocol::messages::ProduceResponse;

use super::{
    code::{NOT_ENOUGH_REPLICAS_AFTER_APPEND, NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT},
    server::{Head, Server, written},
};

/// A batch that waits.
#[derive(Clone, Debug)]
pub(super) struct Need {
    pub topic: String,
    /// Where its answer is: the topic's place, and the partition's in it.
    pub place: (usize, usize),
    pub partition: i32,
    /// The high watermark that it needs.
    pub end: i64,
}

/// All of a request.
#[derive(Clone, Debug)]
pub(super) struct Acks {
    pub answer: ProduceResponse,
    pub needs: Vec<Need>,
    pub muted_ms: u32,
}

impl Server {
    /// The answer, if nothing is waited for any more.
    pub(super) fn acked_now(&mut self, head: &Head, acks: &mut Acks, is_over: bool) -> Option<Vec<u8>> {
        let mut left = std::mem::take(&mut acks.needs);
        left.retain(|need| {
            let error = match self.standing(head.node, need) {
                None if is_over => REQUEST_TIMED_OUT,
                None => return true,
                Some(error) => error,
            };
            if error != 0 {
                let told = &mut acks.answer.responses[need.place.0].partition_responses[need.place.1];
                (told.error_code, told.base_offset) = (error, -1);
            }
            false
        });
        acks.needs = left;
        acks.needs.is_empty().then(|| written(head, &acks.answer))
    }

    /// What became of a batch; `None`: not all in sync have it.
    fn standing(&mut self, node: i32, need: &Need) -> Option<i16> {
        let least = self.topics.get(&need.topic)?.settings.min_in_sync;
        let partition = self.partition(&need.topic, need.partition)?;
        if partition.led_as(node).0 != node {
            // As Kafka has it (`DelayedProduce`): it may be in the log all the same.
            return Some(NOT_LEADER_OR_FOLLOWER);
        }
        let in_sync = partition.in_sync.len();
        let least = least.min(partition.replicas.len());
        let replica = partition.replicas.get(&node)?;
        if replica.high_watermark < need.end {
            return None;
        }
        Some(if in_sync < least { NOT_ENOUGH_REPLICAS_AFTER_APPEND } else { 0 })
    }
}
