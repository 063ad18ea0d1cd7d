//! A cluster of two brokers that is scripted, and a producer: `kafka-protocol` reads its requests and writes the answers.

use std::collections::VecDeque;

use kafka_protocol::{
    messages::{
        ApiVersionsResponse, BrokerId, InitProducerIdResponse as IdResponse, MetadataResponse,
        ProduceRequest, ProduceResponse, ProducerId as Id, RequestHeader, ResponseHeader, TopicName,
        api_versions_response::ApiVersion,
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
        produce_response::{PartitionProduceResponse, TopicProduceResponse},
    },
    protocol::{Decodable, Encodable, StrBytes},
};

use super::super::*;
use crate::kafka::wire::{
    batch::{BatchValue, Batches, Codec},
    core::{
        cluster::RefreshTimes,
        connection::ConnectionSettings,
        machine::{Action, Machine},
        network::Bootstrap,
        partition::Fate,
    },
    protocol::Api,
};
use crate::partitions::TopicPartition;

pub(super) const TOPIC: &str = "topic";
const OTHER: &str = "other";
/// What is added to the numbers of the other topic's partitions.
pub(super) const OF_OTHER: i32 = 100;

/// The topic's id, in a message of theirs.
pub(super) fn topic_id() -> MetadataRequestTopic {
    id(42)
}

fn id(byte: u8) -> MetadataRequestTopic {
    let bytes = [&[byte; 16][..], &[0, 0]].concat();
    MetadataRequestTopic::decode(&mut &*bytes, 12).unwrap()
}

fn other_id() -> MetadataRequestTopic {
    id(43)
}

/// The versions in which requests are answered: Kafka 4.1's, as far as `kafka-protocol` has them too.
pub(super) const VERSIONS: [(Api, i16); 4] =
    [(Api::Produce, 13), (Api::Metadata, 12), (Api::ApiVersions, 3), (Api::InitProducerId, 4)];

/// What a batch was sent as: to which broker, for which partition, by which producer, from which sequence number on, and
/// how many records.
pub(super) type Sent = (i32, i32, i64, i32, i32);

/// A request for records, as the broker sees it.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) link: LinkId,
    pub(super) correlation_id: i32,
    pub(super) batches: Vec<Sent>,
}

/// A connection that is open.
pub(super) struct Line {
    pub(super) link: LinkId,
    pub(super) broker: i32,
    /// What of a request has come.
    pub(super) received: Vec<u8>,
}

/// A cluster of two brokers, and a producer.
pub(super) struct Cluster {
    pub(super) producer: Producer,
    pub(super) now_us: u64,
    pub(super) links: Vec<Line>,
    /// The leader of each partition, and its epoch.
    pub(super) leaders: Vec<(i32, i32)>,
    pub(super) producer_ids: i64,
    pub(super) produced: VecDeque<Received>,
    pub(super) versions: Vec<(Api, i16)>,
    pub(super) settled: Vec<(usize, Fate)>,
}

pub(super) fn network_settings() -> NetworkSettings {
    NetworkSettings {
        bootstrap: vec![Bootstrap { host: "start".into(), port: 1 }],
        connection: ConnectionSettings {
            client_id: "c".into(),
            receive_bytes: 256,
            response_most_bytes: 100_000,
            handshake_us: 1_000_000,
            login: None,
        },
        refresh: RefreshTimes { age_us: 300_000_000, shortest_us: 10_000, longest_us: 100_000 },
        reconnect_shortest_us: 10_000,
        reconnect_longest_us: 100_000,
        question_us: 1_000_000,
        hedge_us: 100_000,
        idle_us: 540_000_000,
        traces: false,
    }
}

pub(super) const SINK: SinkSettings = SinkSettings {
    linger_us: 0,
    batch_most_bytes: 1_000,
    codec: Codec::None,
    request_most_bytes: 10_000,
    requests_in_flight: 2,
    records_most: 1_000,
    replicas_ms: 1_000,
    answer_us: 2_000_000,
    deposed_us: 300_000,
};

impl Cluster {
    pub(super) fn new(sink: SinkSettings, leaders: &[i32]) -> Self {
        Self::of(sink, leaders, PartitionTable::of_topic(TOPIC, (0..).take(leaders.len())))
    }

    /// The partitions of two topics have the same leaders.
    pub(super) fn of_two(sink: SinkSettings, leaders: &[i32]) -> Self {
        let mut table = PartitionTable::of_topic(TOPIC, (0..).take(leaders.len()));
        let topic = table.add_topic(OTHER);
        for partition in (0..).take(leaders.len()) {
            table.add(TopicPartition { topic, partition });
        }
        Self::of(sink, leaders, table)
    }

    fn of(sink: SinkSettings, leaders: &[i32], table: PartitionTable) -> Self {
        let mut cluster = Self {
            producer: Producer::new(network_settings(), sink, &Arc::new(table)),
            now_us: 0,
            links: Vec::new(),
            leaders: leaders.iter().map(|leader| (*leader, 1)).collect(),
            producer_ids: 0,
            produced: VecDeque::new(),
            versions: VERSIONS.to_vec(),
            settled: Vec::new(),
        };
        cluster.run();
        cluster
    }

    pub(super) fn push(&mut self, slot: u32, token: usize) -> Result<(), NotTaken> {
        let value = BatchValue::Copied(b"value");
        let record = NewRecord { timestamp_ms: 1, key: b"key", value, headers: &[] };
        self.producer.push(PartitionSlot::new(slot), &record, token)
    }

    /// Lets everything happen that needs no time, but for the answers to records.
    pub(super) fn run(&mut self) {
        self.producer.step(self.now_us);
        for _ in 0..100 {
            while let Some(action) = self.producer.poll_action() {
                self.act(&action);
            }
            let links: Vec<_> = self.links.iter().map(|open| open.link).collect();
            if links.into_iter().filter(|link| self.carry(*link)).count() == 0 {
                break;
            }
        }
        while let Some(Settled { batch, fate }) = self.producer.next_settled() {
            self.settled.push((batch.tokens()[0], fate));
            self.producer.recycle(batch);
        }
    }

    /// Lets time pass, in small steps.
    pub(super) fn pass(&mut self, us: u64) {
        for _ in 0..10 {
            self.now_us += us / 10;
            self.run();
        }
    }

    pub(super) fn act(&mut self, action: &Action) {
        match *action {
            Action::Open { link, port, .. } => {
                self.links.push(Line { link, broker: i32::from(port) - 1, received: Vec::new() });
                self.producer.opened(link, self.now_us);
            }
            Action::Close { link } => self.links.retain(|known| known.link != link),
        }
    }

    /// Takes what the producer writes on a link to its broker, a few bytes at a time. Returns whether there was anything.
    pub(super) fn carry(&mut self, link: LinkId) -> bool {
        const AT_ONCE: usize = 70;
        let mut any = false;
        loop {
            let bytes = self.output(link);
            let count = bytes.len().min(AT_ONCE);
            let open = self.links.iter_mut().find(|known| known.link == link).filter(|_| count > 0);
            let Some(Line { broker, received, .. }) = open else { return any };
            any = true;
            received.extend_from_slice(&bytes[..count]);
            let (broker, request) = (*broker, take_frame(received));
            self.producer.wrote(link, count);
            if let Some(request) = request {
                self.serve(link, broker, &request);
            }
        }
    }

    pub(super) fn output(&self, link: LinkId) -> Vec<u8> {
        let mut slices = Slices::new();
        self.producer.output(link, &mut slices);
        slices.as_io_slices().iter().flat_map(|slice| slice.to_vec()).collect()
    }

    pub(super) fn serve(&mut self, link: LinkId, broker: i32, request: &[u8]) {
        let key = i16::from_be_bytes([request[0], request[1]]);
        let version = i16::from_be_bytes([request[2], request[3]]);
        let (api, _) = VERSIONS.into_iter().find(|(api, _)| api.key() == key).unwrap();
        let mut body = request;
        let header_version = if api.is_flexible(version) { 2 } else { 1 };
        let header = RequestHeader::decode(&mut body, header_version).unwrap();
        let correlation_id = header.correlation_id;
        match api {
            Api::Produce => {
                let batches = batches_of(broker, version, body);
                self.produced.push_back(Received { link, correlation_id, batches });
            }
            Api::Metadata => self.answer(link, api, version, correlation_id, &self.metadata()),
            Api::InitProducerId => {
                self.producer_ids += 1;
                let id = IdResponse::default().with_error_code(i16::from(self.producer_ids < 0) * 31);
                self.answer(link, api, version, correlation_id, &id.with_producer_id(Id(self.producer_ids)));
            }
            _ => {
                let range = |(api, last): &(Api, i16)| {
                    ApiVersion::default().with_api_key(api.key()).with_max_version(*last)
                };
                let ranges = self.versions.iter().map(range).collect();
                let response = ApiVersionsResponse::default().with_api_keys(ranges);
                self.answer(link, api, version, correlation_id, &response);
            }
        }
    }

    pub(super) fn answer(
        &mut self,
        link: LinkId,
        api: Api,
        version: i16,
        correlation_id: i32,
        response: &impl Encodable,
    ) {
        let mut bytes = vec![0; 4];
        let has_tags = api.is_flexible(version) && api != Api::ApiVersions;
        let header = ResponseHeader::default().with_correlation_id(correlation_id);
        header.encode(&mut bytes, i16::from(has_tags)).unwrap();
        response.encode(&mut bytes, version).unwrap();
        let length = i32::try_from(bytes.len() - 4).unwrap();
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.deliver(link, &bytes);
    }

    pub(super) fn deliver(&mut self, link: LinkId, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.producer.space(link);
            let count = space.len().min(bytes.len()).min(50);
            if count == 0 {
                return;
            }
            space[..count].copy_from_slice(&bytes[..count]);
            self.producer.received(link, count, self.now_us);
            bytes = &bytes[count..];
        }
    }

    pub(super) fn metadata(&self) -> MetadataResponse {
        let broker = |id| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(StrBytes::from_static_str("broker"))
                .with_port(id + 1)
        };
        let partition = |(index, (leader, epoch)): (i32, &(i32, i32))| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(*leader))
                .with_leader_epoch(*epoch)
        };
        let topic = |name, id: MetadataRequestTopic| {
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(StrBytes::from_static_str(name))))
                .with_topic_id(id.topic_id)
                .with_partitions((0..).zip(&self.leaders).map(partition).collect())
        };
        let topics = vec![topic(OTHER, other_id()), topic(TOPIC, topic_id())];
        MetadataResponse::default().with_brokers(vec![broker(1), broker(2)]).with_topics(topics)
    }

    /// The batches of the oldest request for records that has no answer.
    pub(super) fn oldest(&self) -> Vec<Sent> {
        self.produced.front().map(|received| received.batches.clone()).unwrap_or_default()
    }

    /// Answers the oldest request for records with this error, for each of its partitions.
    pub(super) fn answer_oldest(&mut self, error: i16) {
        self.answer_with(error, |_, response| response, |response| response);
    }

    pub(super) fn answer_with(
        &mut self,
        error: i16,
        each: impl Fn(i32, PartitionProduceResponse) -> PartitionProduceResponse,
        whole: impl Fn(ProduceResponse) -> ProduceResponse,
    ) {
        let Received { link, correlation_id, batches } = self.produced.pop_front().unwrap();
        let partition = |&(_, partition, _, sequence, _): &Sent| {
            let response = PartitionProduceResponse::default()
                .with_index(partition % OF_OTHER)
                .with_error_code(error)
                .with_base_offset(if error == 0 { 1_000 + i64::from(sequence) } else { -1 });
            each(partition, response)
        };
        let (other, own): (Vec<Sent>, Vec<Sent>) = batches.iter().partition(|sent| sent.1 >= OF_OTHER);
        let topics =
            [(other_id(), other), (topic_id(), own)].into_iter().filter(|(_, sent)| !sent.is_empty());
        let topic = |(id, sent): (MetadataRequestTopic, Vec<Sent>)| {
            TopicProduceResponse::default()
                .with_topic_id(id.topic_id)
                .with_partition_responses(sent.iter().map(partition).collect())
        };
        let response = whole(ProduceResponse::default().with_responses(topics.map(topic).collect()));
        self.answer(link, Api::Produce, 13, correlation_id, &response);
        self.run();
    }

    /// Cuts the connection of the oldest request for records.
    pub(super) fn cut_oldest(&mut self) {
        let Received { link, .. } = self.produced.pop_front().unwrap();
        self.produced.retain(|received| received.link != link);
        self.cut(link);
    }

    pub(super) fn cut(&mut self, link: LinkId) {
        self.links.retain(|known| known.link != link);
        self.producer.closed(link, ConnectionError::Lost("cut".to_owned()), self.now_us);
        self.run();
    }
}

pub(super) fn take_frame(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::try_from(i32::from_be_bytes(*received.first_chunk()?)).unwrap();
    (received.len() >= 4 + length).then(|| {
        let frame = received[4..4 + length].to_vec();
        received.drain(..4 + length);
        frame
    })
}

pub(super) fn batches_of(broker: i32, version: i16, mut body: &[u8]) -> Vec<Sent> {
    let request = ProduceRequest::decode(&mut body, version).unwrap();
    assert!(body.is_empty() && request.acks == -1);
    let ids: Vec<_> = request.topic_data.iter().map(|topic| topic.topic_id).collect();
    let is_known =
        [topic_id(), other_id()].map(|id| ids.iter().filter(|known| **known == id.topic_id).count());
    assert!(
        is_known.iter().sum::<usize>() == ids.len() && is_known.iter().all(|count| *count <= 1),
        "{ids:?}"
    );
    let batch = |(base, partition): (i32, &PartitionProduceData)| {
        let records = partition.records.as_ref().unwrap();
        let mut batches = Batches::new(records);
        let batch = batches.next().unwrap().unwrap();
        assert!(batch.fits_its_checksum() && batches.next().is_none());
        (broker, base + partition.index, batch.producer_id(), batch.base_sequence(), batch.count())
    };
    let of_topic = |topic: &TopicProduceData| {
        let base = if topic.topic_id == topic_id().topic_id { 0 } else { OF_OTHER };
        topic.partition_data.iter().map(|partition| batch((base, partition))).collect::<Vec<_>>()
    };
    request.topic_data.iter().flat_map(of_topic).collect()
}
