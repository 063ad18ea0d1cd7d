//! The producer against a scripted broker: `kafka-protocol` reads its requests and writes the answers.

use std::collections::VecDeque;

use kafka_protocol::{
    messages::{
        ApiVersionsResponse, BrokerId, InitProducerIdResponse as IdResponse, MetadataResponse,
        ProduceRequest, ProduceResponse, ProducerId as Id, RequestHeader, ResponseHeader, TopicName,
        api_versions_response::ApiVersion,
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
        produce_response::{LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse},
    },
    protocol::{Decodable, Encodable, StrBytes},
};

use super::*;
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

const TOPIC: &str = "topic";

/// The topic's id, in a message of theirs.
fn topic_id() -> MetadataRequestTopic {
    let bytes = [&[42; 16][..], &[0, 0]].concat();
    MetadataRequestTopic::decode(&mut &*bytes, 12).unwrap()
}

/// The versions in which requests are answered: Kafka 4.1's, as far as `kafka-protocol` has them too.
const VERSIONS: [(Api, i16); 4] =
    [(Api::Produce, 13), (Api::Metadata, 12), (Api::ApiVersions, 3), (Api::InitProducerId, 4)];

/// What a batch was sent as: to which broker, for which partition, by which producer, from which sequence number on, and
/// how many records.
type Sent = (i32, i32, i64, i32, i32);

/// A request for records, as the broker sees it.
#[derive(Clone, Debug)]
struct Received {
    link: LinkId,
    correlation_id: i32,
    batches: Vec<Sent>,
}

/// A connection that is open.
struct Line {
    link: LinkId,
    broker: i32,
    /// What of a request has come.
    received: Vec<u8>,
}

/// A cluster of two brokers, and a producer.
struct Cluster {
    producer: Producer,
    now_us: u64,
    links: Vec<Line>,
    /// The leader of each partition, and its epoch.
    leaders: Vec<(i32, i32)>,
    producer_ids: i64,
    produced: VecDeque<Received>,
    versions: Vec<(Api, i16)>,
    settled: Vec<(usize, Fate)>,
}

fn network_settings() -> NetworkSettings {
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

const SINK: SinkSettings = SinkSettings {
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
    fn new(sink: SinkSettings, leaders: &[i32]) -> Self {
        let mut cluster = Self {
            producer: Producer::new(network_settings(), sink, TOPIC),
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

    fn push(&mut self, partition: i32, token: usize) -> Result<(), NotTaken> {
        let value = BatchValue::Copied(b"value");
        let record = NewRecord { timestamp_ms: 1, key: b"key", value, headers: &[] };
        self.producer.push(partition, &record, token)
    }

    /// Lets everything happen that needs no time, but for the answers to records.
    fn run(&mut self) {
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
    fn pass(&mut self, us: u64) {
        for _ in 0..10 {
            self.now_us += us / 10;
            self.run();
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Open { link, port, .. } => {
                self.links.push(Line { link, broker: i32::from(port) - 1, received: Vec::new() });
                self.producer.opened(link, self.now_us);
            }
            Action::Close { link } => self.links.retain(|known| known.link != link),
        }
    }

    /// Takes what the producer writes on a link to its broker, a few bytes at a time. Returns whether there was anything.
    fn carry(&mut self, link: LinkId) -> bool {
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

    fn output(&self, link: LinkId) -> Vec<u8> {
        let mut slices = Slices::new();
        self.producer.output(link, &mut slices);
        slices.as_io_slices().iter().flat_map(|slice| slice.to_vec()).collect()
    }

    fn serve(&mut self, link: LinkId, broker: i32, request: &[u8]) {
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

    fn answer(
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

    fn deliver(&mut self, link: LinkId, mut bytes: &[u8]) {
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

    fn metadata(&self) -> MetadataResponse {
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
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str(TOPIC))))
            .with_topic_id(topic_id().topic_id)
            .with_partitions((0..).zip(&self.leaders).map(partition).collect());
        MetadataResponse::default().with_brokers(vec![broker(1), broker(2)]).with_topics(vec![topic])
    }

    /// The batches of the oldest request for records that has no answer.
    fn oldest(&self) -> Vec<Sent> {
        self.produced.front().map(|received| received.batches.clone()).unwrap_or_default()
    }

    /// Answers the oldest request for records with this error, for each of its partitions.
    fn answer_oldest(&mut self, error: i16) {
        self.answer_with(error, |_, response| response, |response| response);
    }

    fn answer_with(
        &mut self,
        error: i16,
        each: impl Fn(i32, PartitionProduceResponse) -> PartitionProduceResponse,
        whole: impl Fn(ProduceResponse) -> ProduceResponse,
    ) {
        let Received { link, correlation_id, batches } = self.produced.pop_front().unwrap();
        let partition = |&(_, partition, _, sequence, _): &Sent| {
            let response = PartitionProduceResponse::default()
                .with_index(partition)
                .with_error_code(error)
                .with_base_offset(if error == 0 { 1_000 + i64::from(sequence) } else { -1 });
            each(partition, response)
        };
        let topic = TopicProduceResponse::default()
            .with_topic_id(topic_id().topic_id)
            .with_partition_responses(batches.iter().map(partition).collect());
        let response = whole(ProduceResponse::default().with_responses(vec![topic]));
        self.answer(link, Api::Produce, 13, correlation_id, &response);
        self.run();
    }

    /// Cuts the connection of the oldest request for records.
    fn cut_oldest(&mut self) {
        let Received { link, .. } = self.produced.pop_front().unwrap();
        self.produced.retain(|received| received.link != link);
        self.cut(link);
    }

    fn cut(&mut self, link: LinkId) {
        self.links.retain(|known| known.link != link);
        self.producer.closed(link, ConnectionError::Lost("cut".to_owned()), self.now_us);
        self.run();
    }
}

fn take_frame(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::try_from(i32::from_be_bytes(*received.first_chunk()?)).unwrap();
    (received.len() >= 4 + length).then(|| {
        let frame = received[4..4 + length].to_vec();
        received.drain(..4 + length);
        frame
    })
}

fn batches_of(broker: i32, version: i16, mut body: &[u8]) -> Vec<Sent> {
    let request = ProduceRequest::decode(&mut body, version).unwrap();
    assert!(body.is_empty() && request.acks == -1);
    let [topic] = &request.topic_data[..] else { panic!("one topic") };
    assert_eq!(topic.topic_id, topic_id().topic_id);
    let batch = |partition: &kafka_protocol::messages::produce_request::PartitionProduceData| {
        let records = partition.records.as_ref().unwrap();
        let mut batches = Batches::new(records);
        let batch = batches.next().unwrap().unwrap();
        assert!(batch.fits_its_checksum() && batches.next().is_none());
        (broker, partition.index, batch.producer_id(), batch.base_sequence(), batch.count())
    };
    topic.partition_data.iter().map(batch).collect()
}

#[test]
fn records_of_all_partitions_of_a_broker_go_in_one_request() {
    let mut cluster = Cluster::new(SINK, &[1, 2, 1]);
    for token in 0..6 {
        cluster.push(i32::try_from(token).unwrap() % 3, token).unwrap();
    }
    assert!(cluster.produced.is_empty(), "not before the next step");
    cluster.run();
    let sent: Vec<_> = cluster.produced.iter().map(|received| received.batches.clone()).collect();
    assert_eq!(sent, [vec![(1, 0, 1, 0, 2), (1, 2, 1, 0, 2)], vec![(2, 1, 1, 0, 2)]]);
    cluster.answer_oldest(0);
    cluster.answer_oldest(0);
    assert_eq!(cluster.settled.len(), 3);
    assert!(cluster.settled.iter().all(|(_, fate)| *fate == Fate::Acked { base_offset: 1_000 }));
}

#[test]
fn what_is_buffered_goes_when_a_request_is_answered() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.answer_oldest(0);
    for token in 1..10 {
        cluster.push(0, token).unwrap();
        cluster.run();
    }
    let counts = |cluster: &Cluster| -> Vec<i32> {
        cluster.produced.iter().flat_map(|received| received.batches.iter().map(|sent| sent.4)).collect()
    };
    assert_eq!(counts(&cluster), [1, 1], "two requests are in flight");
    cluster.answer_oldest(0);
    assert_eq!(counts(&cluster), [1, 7]);
}

#[test]
fn a_request_keeps_to_its_size_and_partitions_take_turns() {
    let mut cluster =
        Cluster::new(SinkSettings { request_most_bytes: 250, requests_in_flight: 1, ..SINK }, &[1; 4]);
    for token in 0..40 {
        cluster.push(i32::try_from(token).unwrap() % 4, token).unwrap();
    }
    let mut seen = Vec::new();
    cluster.run();
    while let [(_, partition, ..)] = cluster.oldest()[..] {
        seen.push(partition);
        cluster.answer_oldest(0);
    }
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[test]
fn a_batch_lingers_unless_there_is_no_room_for_more() {
    let mut cluster = Cluster::new(SinkSettings { linger_us: 5_000, records_most: 3, ..SINK }, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    assert!(cluster.produced.is_empty());
    assert_eq!(cluster.producer.next_deadline_us(cluster.now_us), cluster.now_us + 5_000);
    cluster.pass(5_000);
    assert_eq!(cluster.oldest(), [(1, 0, 1, 0, 1)]);
    cluster.answer_oldest(0);
    for token in 1..4 {
        cluster.push(0, token).unwrap();
    }
    assert_eq!(cluster.push(0, 9), Err(NotTaken::Full));
    cluster.run();
    assert_eq!(cluster.oldest(), [(1, 0, 1, 1, 3)]);
}

#[test]
fn a_connection_that_breaks_is_opened_again_and_the_same_is_sent_once_more() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.cut_oldest();
    cluster.push(0, 1).unwrap();
    cluster.pass(100_000);
    assert_eq!(cluster.oldest(), [(1, 0, 1, 0, 1)]);
    cluster.answer_oldest(0);
    assert_eq!(cluster.oldest(), [(1, 0, 1, 1, 1)]);
    cluster.answer_oldest(0);
    let fates: Vec<_> = cluster.settled.iter().map(|(_, fate)| *fate).collect();
    assert_eq!(fates, [Fate::Acked { base_offset: 1_000 }, Fate::Acked { base_offset: 1_001 }]);
}

#[test]
fn an_election_moves_what_is_on_its_way_in_its_order() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.push(0, 1).unwrap();
    cluster.leaders[0] = (2, 2);
    cluster.answer_oldest(6);
    cluster.pass(50_000);
    assert_eq!(cluster.oldest(), [(2, 0, 1, 0, 1)]);
    cluster.answer_oldest(0);
    assert_eq!(cluster.oldest(), [(2, 0, 1, 1, 1)]);
}

#[test]
fn a_hint_names_the_new_leader_at_once() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    let hint = LeaderIdAndEpoch::default().with_leader_id(BrokerId(2)).with_leader_epoch(2);
    cluster.answer_with(6, |_, partition| partition.with_current_leader(hint.clone()), |whole| whole);
    assert_eq!(cluster.oldest(), [(2, 0, 1, 0, 1)], "without waiting, and without asking");
}

#[test]
fn a_broker_that_froze_is_given_up_soon_once_another_leads() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.leaders[0] = (2, 2);
    // Whoever asks learns of the new leader; the old one says nothing.
    cluster.producer.network.cluster.suspect();
    cluster.pass(20_000);
    cluster.produced.clear();
    cluster.pass(270_000);
    assert!(cluster.produced.is_empty(), "it may still answer");
    cluster.pass(100_000);
    assert_eq!(cluster.oldest(), [(2, 0, 1, 0, 1)]);
}

#[test]
fn an_answer_that_leaves_a_partition_out_or_is_unreadable_ends_the_connection() {
    for is_cut_off in [false, true] {
        let mut cluster = Cluster::new(SINK, &[1, 1]);
        cluster.push(0, 0).unwrap();
        cluster.push(1, 1).unwrap();
        cluster.run();
        if is_cut_off {
            let Received { link, correlation_id, .. } = cluster.produced.pop_front().unwrap();
            let frame = [&9_i32.to_be_bytes()[..], &correlation_id.to_be_bytes(), &[0, 2, 0, 0, 0]].concat();
            cluster.deliver(link, &frame);
            cluster.run();
        } else {
            cluster.answer_with(0, |_, partition| partition.with_index(0), |whole| whole);
        }
        let told: Vec<_> = cluster.settled.iter().map(|(token, _)| *token).collect();
        assert_eq!(told, if is_cut_off { vec![] } else { vec![0] });
        cluster.pass(100_000);
        let again = cluster.oldest();
        assert_eq!(again.len(), if is_cut_off { 2 } else { 1 });
        assert_eq!(again.last(), Some(&(1, 1, 1, 0, 1)), "the same once more: a copy counts once");
    }
}

#[test]
fn an_answer_to_what_was_not_even_written_ends_the_connection() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.answer_oldest(0);
    cluster.push(0, 1).unwrap();
    cluster.producer.step(cluster.now_us);
    let link = cluster.links.last().unwrap().link;
    let request = cluster.output(link);
    let (correlation_id, written) =
        (i32::from_be_bytes(*request[8..].first_chunk().unwrap()), request.len() - 1);
    cluster.producer.wrote(link, written);
    let batches = vec![(1, 0, 1, 1, 1)];
    cluster.produced.push_back(Received { link, correlation_id, batches });
    cluster.answer_oldest(0);
    assert!(cluster.links.iter().all(|open| open.link != link));
}

#[test]
fn a_broker_that_throttles_is_left_alone_for_so_long() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.answer_with(0, |_, partition| partition, |whole| whole.with_throttle_time_ms(500));
    cluster.push(0, 1).unwrap();
    cluster.run();
    cluster.push(0, 2).unwrap();
    cluster.pass(400_000);
    assert_eq!(cluster.produced.len(), 1, "one request waits there");
    cluster.pass(100_000);
    assert_eq!(cluster.produced.len(), 2);
    // The one that waits has so much longer.
    cluster.pass(1_900_000);
    assert!(cluster.settled.len() == 1 && cluster.produced.len() == 2);
}

#[test]
fn a_lost_producer_id_is_replaced_and_no_other_partition_notices() {
    let mut cluster = Cluster::new(SINK, &[1, 2]);
    cluster.push(0, 0).unwrap();
    cluster.push(1, 1).unwrap();
    cluster.run();
    cluster.answer_oldest(59);
    cluster.answer_oldest(0);
    cluster.push(0, 2).unwrap();
    cluster.push(1, 3).unwrap();
    cluster.run();
    assert_eq!(cluster.settled[0], (0, Fate::Unknown(Cause::Broker(59))));
    let mut sent: Vec<_> =
        cluster.produced.iter().flat_map(|received| received.batches.iter().copied()).collect();
    sent.sort_unstable();
    assert_eq!(sent, [(1, 0, 2, 0, 1), (2, 1, 1, 1, 1)]);
}

#[test]
fn whoever_gives_up_learns_the_fate_of_each_record() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.push(0, 1).unwrap();
    cluster.producer.give_up(cluster.now_us);
    cluster.produced.clear();
    cluster.run();
    assert_eq!(cluster.settled, [(0, Fate::Unknown(Cause::GivenUp)), (1, Fate::Failed(Cause::GivenUp))]);
    cluster.push(0, 2).unwrap();
    cluster.pass(100_000);
    assert_eq!(cluster.oldest(), [(1, 0, 2, 0, 1)], "it goes on with another producer id");
}

#[test]
fn who_gets_no_producer_id_gives_back_what_waits_for_one() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.producer_ids = -9;
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.producer.give_up(0);
    cluster.push(0, 1).unwrap();
    cluster.pass(100_000);
    assert_eq!(cluster.settled, [(0, Fate::Unknown(Cause::GivenUp)), (1, Fate::Failed(Cause::Broker(31)))]);
    assert_eq!(cluster.push(0, 2), Err(NotTaken::Finished(31)));
}

#[test]
fn an_older_broker_is_spoken_to_by_name() {
    let mut cluster = Cluster::new(SINK, &[1]);
    // Connections for records are opened with the first one.
    cluster.versions[0] = (Api::Produce, 7);
    cluster.push(0, 0).unwrap();
    cluster.producer.step(0);
    while let Some(action) = cluster.producer.poll_action() {
        cluster.act(&action);
    }
    let link = cluster.links.last().unwrap().link;
    let asked = cluster.output(link);
    cluster.producer.wrote(link, asked.len());
    cluster.serve(link, 1, &asked[4..]);
    let request = cluster.output(link);
    assert_eq!(request[4..8], [0, 0, 0, 7], "Produce, version 7");
    let name = [&[0, 5][..], TOPIC.as_bytes()].concat();
    assert!(request.windows(name.len()).any(|window| window == name));
}

#[test]
fn a_broker_that_is_too_old_is_named_with_its_versions() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.versions[0] = (Api::Produce, 6);
    cluster.push(0, 0).unwrap();
    cluster.run();
    let (peer, error) = cluster.producer.network().trouble().unwrap();
    assert_eq!(peer.broker, 1);
    assert!(error.to_string().contains("Produce in versions 0 to 6"), "{error}");
}
