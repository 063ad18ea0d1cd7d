//! Questions about topics, offsets, epochs and versions.

use std::str::FromStr;

use kafka_protocol::{
    messages::{
        ApiVersionsRequest, ApiVersionsResponse, BrokerId, CreateTopicsRequest, CreateTopicsResponse,
        FindCoordinatorRequest, FindCoordinatorResponse, ListOffsetsRequest, ListOffsetsResponse,
        MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
        TopicName,
        api_versions_response::{ApiVersion, FinalizedFeatureKey},
        create_topics_request::CreatableTopic,
        create_topics_response::CreatableTopicResult,
        find_coordinator_response::Coordinator,
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
        offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
    },
    protocol::StrBytes,
};

use super::{
    Flavour,
    code::{
        COORDINATOR_NOT_AVAILABLE, INVALID_CONFIG, INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR,
        INVALID_REQUEST, INVALID_TOPIC, TOPIC_ALREADY_EXISTS, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION,
        UNSUPPORTED_VERSION,
    },
    server::{Head, Outcome, Server, Unreadable, answered, read, written_as},
    topic::{Partition, Settings, Topic},
    versions,
};
use crate::kafka::wire::protocol::TopicId;

const CONTROLLER: i32 = 0;
const FIRST_PORT: i32 = 9_092;
/// The first `ListOffsets` that says of which epoch a place is.
const TELLS_EPOCH: i16 = 4;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// An id in the other crate's form, whose name only that crate knows.
pub(super) fn topic_id<T: FromStr<Err: std::fmt::Debug>>(id: TopicId) -> T {
    let digits = u128::from_be_bytes(id);
    format!("{digits:032x}").parse().expect("32 hexadecimal digits")
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn is_name(name: &str) -> bool {
    let is_fine = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    !name.is_empty() && name != "." && name != ".." && name.len() <= 249 && name.chars().all(is_fine)
}

impl Server {
    pub(super) fn api_versions(
        &mut self,
        head: &Head,
        body: &[u8],
        is_known: bool,
    ) -> Result<Outcome, Unreadable> {
        let all = versions::KNOWN.into_iter().filter_map(|api| {
            let (first, last) = versions::range(self.flavour, api)?;
            Some(
                ApiVersion::default().with_api_key(api as i16).with_min_version(first).with_max_version(last),
            )
        });
        if !is_known {
            // In the first form, which everybody can read, and with the one range that helps.
            let own = all.filter(|range| range.api_key == head.api as i16);
            let answer = ApiVersionsResponse::default()
                .with_error_code(UNSUPPORTED_VERSION)
                .with_api_keys(own.collect());
            return Ok(Outcome::Answer(written_as(head, 0, &answer), 0));
        }
        let request: ApiVersionsRequest = read(head, body)?;
        let is_fine = |text: &str| {
            text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-.".contains(letter))
                && !text.is_empty()
        };
        let names = [&request.client_software_name, &request.client_software_version];
        if head.version >= 3 && !names.iter().all(|name| is_fine(name)) {
            return Ok(answered(head, &ApiVersionsResponse::default().with_error_code(INVALID_REQUEST)));
        }
        let feature = |name, level| {
            FinalizedFeatureKey::default()
                .with_name(StrBytes::from_static_str(name))
                .with_max_version_level(level)
                .with_min_version_level(level)
        };
        let features = match self.flavour {
            Flavour::Kafka24 | Flavour::Kafka39 | Flavour::Redpanda => Vec::new(),
            Flavour::Kafka41 => vec![feature("transaction.version", 2), feature("group.version", 1)],
        };
        let answer =
            ApiVersionsResponse::default().with_api_keys(all.collect()).with_finalized_features(features);
        Ok(answered(head, &answer.with_finalized_features_epoch(1)))
    }

    pub(super) fn metadata(&mut self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let request: MetadataRequest = read(head, body)?;
        let brokers = (0..self.nodes).filter(|node| self.is_up(*node)).map(|node| {
            let (host, port) = self.address_of(node);
            MetadataResponseBroker::default().with_node_id(BrokerId(node)).with_host(host).with_port(port)
        });
        let topics = match &request.topics {
            None => self.topics.values().map(|topic| described(topic, head.node)).collect(),
            Some(topics) => topics
                .iter()
                .map(|asked| match &asked.name {
                    Some(name) => self.by_name(name, head.node),
                    None => self.by_id(asked.topic_id.into_bytes(), head.node),
                })
                .collect(),
        };
        let answer = MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(Some(StrBytes::from_static_str("simulated")))
            .with_controller_id(BrokerId(CONTROLLER))
            .with_topics(topics);
        Ok(answered(head, &answer))
    }

    /// Where a node listens, as it is told to clients.
    fn address_of(&self, node: i32) -> (StrBytes, i32) {
        let port = usize::try_from(node).ok().and_then(|node| self.ports.get(node));
        match port {
            Some(port) => (StrBytes::from_static_str("127.0.0.1"), (*port).into()),
            None => (StrBytes::from_static_str("simulated"), FIRST_PORT + node),
        }
    }

    fn by_name(&self, name: &TopicName, node: i32) -> MetadataResponseTopic {
        let unknown =
            |code| MetadataResponseTopic::default().with_error_code(code).with_name(Some(name.clone()));
        if !is_name(name) {
            return unknown(INVALID_TOPIC);
        }
        let topic = self.topics.get(&name.to_string());
        topic.map_or_else(|| unknown(UNKNOWN_TOPIC_OR_PARTITION), |topic| described(topic, node))
    }

    fn by_id(&self, id: TopicId, node: i32) -> MetadataResponseTopic {
        self.topic_of(&id).map_or_else(
            || {
                let unknown = MetadataResponseTopic::default().with_error_code(UNKNOWN_TOPIC_ID);
                unknown.with_name(None).with_topic_id(topic_id(id))
            },
            |topic| described(topic, node),
        )
    }

    pub(super) fn find_coordinator(&self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let request: FindCoordinatorRequest = read(head, body)?;
        let (node, error) = match request.key_type {
            0 if self.is_up(self.groups.node()) => (self.groups.node(), 0),
            0 => (-1, COORDINATOR_NOT_AVAILABLE),
            _ => (self.coordinator.node, 0),
        };
        let (host, port) = if error == 0 { self.address_of(node) } else { (text(""), -1) };
        let answer = FindCoordinatorResponse::default();
        let answer = if head.version >= 4 {
            let all = request.coordinator_keys.iter().map(|key| {
                Coordinator::default()
                    .with_key(key.clone())
                    .with_error_code(error)
                    .with_node_id(BrokerId(node))
                    .with_host(host.clone())
                    .with_port(port)
            });
            answer.with_coordinators(all.collect())
        } else {
            answer.with_error_code(error).with_node_id(BrokerId(node)).with_host(host).with_port(port)
        };
        Ok(answered(head, &answer))
    }

    pub(super) fn list_offsets(&mut self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let request: ListOffsetsRequest = read(head, body)?;
        let mut topics = Vec::new();
        for topic in &request.topics {
            let name = topic.name.to_string();
            let partitions = topic.partitions.iter().map(|asked| {
                let answer =
                    ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
                let epoch = (asked.current_leader_epoch != -1).then_some(asked.current_leader_epoch);
                let partition = self.partition(&name, asked.partition_index);
                let offset = partition.ok_or(UNKNOWN_TOPIC_OR_PARTITION).and_then(|partition| {
                    offset_at(partition, head.node, epoch, (asked.timestamp, request.isolation_level == 1))
                });
                match offset {
                    Ok((offset, epoch)) => {
                        let epoch = if head.version >= TELLS_EPOCH { epoch } else { -1 };
                        answer.with_offset(offset).with_leader_epoch(epoch).with_timestamp(-1)
                    }
                    Err(code) => answer.with_error_code(code).with_offset(-1).with_timestamp(-1),
                }
            });
            let partitions = partitions.collect();
            topics.push(
                ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions),
            );
        }
        Ok(answered(head, &ListOffsetsResponse::default().with_topics(topics)))
    }

    pub(super) fn epoch_ends(&mut self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let request: OffsetForLeaderEpochRequest = read(head, body)?;
        let mut topics = Vec::new();
        for topic in &request.topics {
            let name = topic.topic.to_string();
            let partitions = topic.partitions.iter().map(|asked| {
                let answer = EpochEndOffset::default().with_partition(asked.partition);
                let epoch = (asked.current_leader_epoch != -1).then_some(asked.current_leader_epoch);
                let partition = self.partition(&name, asked.partition).ok_or(UNKNOWN_TOPIC_OR_PARTITION);
                match partition.and_then(|partition| partition.led_by(head.node, epoch)) {
                    Ok(replica) => {
                        let end = replica.log.epochs.end_of(asked.leader_epoch, replica.log.end());
                        let (epoch, end_offset) = end.unwrap_or((-1, -1));
                        answer.with_leader_epoch(epoch).with_end_offset(end_offset)
                    }
                    Err(code) => answer.with_error_code(code).with_leader_epoch(-1).with_end_offset(-1),
                }
            });
            let partitions = partitions.collect();
            let topic = OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone());
            topics.push(topic.with_partitions(partitions));
        }
        Ok(answered(head, &OffsetForLeaderEpochResponse::default().with_topics(topics)))
    }

    pub(super) fn create_topics(&mut self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let request: CreateTopicsRequest = read(head, body)?;
        let mut topics = Vec::new();
        for topic in &request.topics {
            let answer = CreatableTopicResult::default().with_name(topic.name.clone());
            topics.push(match self.create(topic) {
                Ok(id) => answer.with_topic_id(topic_id(id)),
                Err(code) => answer.with_error_code(code).with_error_message(Some(text("refused"))),
            });
        }
        Ok(answered(head, &CreateTopicsResponse::default().with_topics(topics)))
    }

    fn create(&mut self, topic: &CreatableTopic) -> Result<TopicId, i16> {
        let name = topic.name.to_string();
        if !is_name(&name) {
            return Err(INVALID_TOPIC);
        }
        if self.topics.contains_key(&name) {
            return Err(TOPIC_ALREADY_EXISTS);
        }
        let partitions = if topic.num_partitions == -1 { 1 } else { topic.num_partitions };
        let replicas = if topic.replication_factor == -1 { 1 } else { topic.replication_factor.into() };
        if partitions < 1 {
            return Err(INVALID_PARTITIONS);
        }
        if !(1..=self.nodes).contains(&replicas) {
            return Err(INVALID_REPLICATION_FACTOR);
        }
        let value = |config: &kafka_protocol::messages::create_topics_request::CreatableTopicConfig| {
            (config.name.to_string(), config.value.as_ref().map(ToString::to_string).unwrap_or_default())
        };
        let configs: Vec<_> = topic.configs.iter().map(value).collect();
        let configs: Vec<_> = configs.iter().map(|(name, value)| (&**name, &**value)).collect();
        let settings = Settings::of(&configs).ok_or(INVALID_CONFIG)?;
        self.make_topic(&name, partitions, replicas, settings);
        Ok(self.topics[&name].id)
    }
}

/// An offset, and the epoch of what is there.
fn offset_at(
    partition: &mut Partition,
    node: i32,
    epoch: Option<i32>,
    (timestamp, read_committed): (i64, bool),
) -> Result<(i64, i32), i16> {
    let replica = partition.led_by(node, epoch)?;
    let log = &replica.log;
    Ok(match timestamp {
        LATEST => {
            let end = if read_committed { replica.stable_offset() } else { replica.high_watermark };
            (end, log.epochs.latest().unwrap_or(-1))
        }
        EARLIEST => (log.start(), log.epochs.of(log.start()).unwrap_or(-1)),
        _ => (-1, -1),
    })
}

/// As far as a node knows it.
fn described(topic: &Topic, node: i32) -> MetadataResponseTopic {
    let brokers = |nodes: Vec<i32>| nodes.into_iter().map(BrokerId).collect::<Vec<_>>();
    let partitions = (0..).zip(&topic.partitions).map(|(index, partition)| {
        let (leader, epoch) = partition.led_as(node);
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(leader))
            .with_leader_epoch(epoch)
            .with_replica_nodes(brokers(partition.replicas.keys().copied().collect()))
            .with_isr_nodes(brokers(partition.in_sync.clone()))
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(topic_id(topic.id))
        .with_partitions(partitions.collect())
}
