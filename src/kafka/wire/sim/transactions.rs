//! Producer ids and transactions: what the coordinator is asked, and the markers that it writes.

use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse,
    InitProducerIdRequest, InitProducerIdResponse, TopicName,
    add_partitions_to_txn_response::{AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult},
};

use super::{
    code::{INVALID_PRODUCER_EPOCH, OPERATION_NOT_ATTEMPTED, PRODUCER_FENCED, UNKNOWN_TOPIC_OR_PARTITION},
    coordinator::{Broken, Manner, Marker, Place},
    server::{Head, Outcome, Server, Unreadable, answered, read},
};

/// The first version in which each transaction has an epoch.
const NEWER_END: i16 = 5;
/// The first versions that know `PRODUCER_FENCED`.
const KNOWS_FENCED_INIT: i16 = 4;
const KNOWS_FENCED: i16 = 2;

/// As a version has it that is this old.
fn told(code: i16, version: i16, knows_fenced: i16) -> i16 {
    if code == PRODUCER_FENCED && version < knows_fenced { INVALID_PRODUCER_EPOCH } else { code }
}

impl Server {
    pub(super) fn init_producer_id(&mut self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let request: InitProducerIdRequest = read(head, body)?;
        let now_us = self.now_us();
        let producer = match &request.transactional_id {
            None if let Some(code) = self.quirks.of_id() => Err(code),
            None => Ok(self.coordinator.new_id()),
            Some(id) => {
                let current = (request.producer_id.0, request.producer_epoch);
                let here = self.coordinator.absence(head.node, now_us);
                here.and_then(|()| self.coordinator.init(id, request.transaction_timeout_ms, current, now_us))
            }
        };
        let answer = InitProducerIdResponse::default();
        let answer = match producer {
            Ok((id, epoch)) => answer.with_producer_id(id.into()).with_producer_epoch(epoch),
            Err(code) => answer
                .with_error_code(told(code, head.version, KNOWS_FENCED_INIT))
                .with_producer_id((-1).into())
                .with_producer_epoch(-1),
        };
        Ok(answered(head, &answer))
    }

    pub(super) fn add_partitions(&mut self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let request: AddPartitionsToTxnRequest = read(head, body)?;
        let producer = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
        let asked: Vec<(TopicName, i32)> = request
            .v3_and_below_topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.clone(), *partition)))
            .collect();
        let is_there = |server: &mut Self, (topic, partition): &(TopicName, i32)| {
            server.partition(topic, *partition).is_some()
        };
        let are_there = asked.iter().all(|place| is_there(self, place));
        let places: Vec<Place> =
            asked.iter().map(|(topic, partition)| (topic.to_string(), *partition)).collect();
        let added = if are_there {
            let here = self.coordinator.absence(head.node, self.now_us());
            let id = &request.v3_and_below_transactional_id;
            here.and_then(|()| self.coordinator.add(id, producer, &places))
        } else {
            Ok(())
        };
        let code = |server: &mut Self, place: &(TopicName, i32)| match added {
            Err(code) => told(code, head.version, KNOWS_FENCED),
            Ok(()) if are_there => 0,
            Ok(()) if is_there(server, place) => OPERATION_NOT_ATTEMPTED,
            Ok(()) => UNKNOWN_TOPIC_OR_PARTITION,
        };
        let mut answer = AddPartitionsToTxnResponse::default();
        for topic in &request.v3_and_below_topics {
            let results = topic.partitions.iter().map(|partition| {
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(*partition)
                    .with_partition_error_code(code(self, &(topic.name.clone(), *partition)))
            });
            let results = results.collect();
            let topic = AddPartitionsToTxnTopicResult::default().with_name(topic.name.clone());
            answer.results_by_topic_v3_and_below.push(topic.with_results_by_partition(results));
        }
        Ok(answered(head, &answer))
    }

    pub(super) fn end_txn(&mut self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let request: EndTxnRequest = read(head, body)?;
        let manner = if head.version >= NEWER_END { Manner::Newer } else { Manner::Former };
        let producer = (request.producer_id.0, request.producer_epoch);
        let now_us = self.now_us();
        let (id, commit) = (&request.transactional_id, request.committed);
        let here = self.coordinator.absence(head.node, now_us);
        let next = here.and_then(|()| self.coordinator.end(id, producer, commit, (manner, now_us)));
        let answer = EndTxnResponse::default();
        let answer = match next {
            Ok((id, epoch)) => answer.with_producer_id(id.into()).with_producer_epoch(epoch),
            Err(code) => answer
                .with_error_code(told(code, head.version, KNOWS_FENCED))
                .with_producer_id((-1).into())
                .with_producer_epoch(-1),
        };
        Ok(answered(head, &answer))
    }

    /// Writes the markers of a transaction that has ended.
    pub(super) fn write_markers(&mut self, marker: &Marker) {
        let (wall_ms, mut missing) = (self.wall_ms(), Vec::new());
        let is_torn = self.coordinator.broken == Some(Broken::TearsCommits) && marker.commit;
        for (nth, (topic, index)) in marker.places.iter().enumerate() {
            let Some(settings) = self.topics.get(topic).map(|topic| topic.settings.clone()) else { continue };
            let Some(leader) = self.partition(topic, *index).map(|partition| partition.leader) else {
                continue;
            };
            if !self.is_able(leader) {
                missing.push((topic.clone(), *index));
                continue;
            }
            let Some(partition) = self.partition(topic, *index) else { continue };
            let (epoch, commit) = (partition.epoch, marker.commit && !(is_torn && nth == 0));
            if let Some(replica) = partition.replicas.get_mut(&leader) {
                replica.log.append_marker(marker.producer, commit, epoch, (&settings, wall_ms));
            }
            partition.replicate();
        }
        let now_us = self.now_us();
        self.coordinator.wrote(&marker.id, missing, now_us);
    }
}
