//! The probes, on real brokers of each version and on librdkafka's mock.

use std::{
    io::{ErrorKind, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use kafka_protocol::{
    messages::{
        AlterClientQuotasRequest, AlterClientQuotasResponse, AlterPartitionReassignmentsRequest,
        AlterPartitionReassignmentsResponse, ApiKey, BrokerId, CreateTopicsRequest, CreateTopicsResponse,
        DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
        ElectLeadersRequest, ElectLeadersResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
        MetadataResponse, RequestHeader, ResponseHeader, TopicName,
        alter_client_quotas_request::{EntityData, EntryData, OpData},
        alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
        elect_leaders_request::TopicPartitions,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        metadata_response::MetadataResponsePartition,
    },
    protocol::{Decodable, Encodable, StrBytes},
};

use proofload::inside::protocol::{self as wire, Api, ApiRange, encode_request};

use crate::{
    Test,
    dsl::{
        Cluster, Mock, PATIENCE, Proxy, Release,
        protocol::{self, Dialect},
        proxy::Honest,
        topic::unique_name,
        wait_until,
    },
    probes::{self, Asked, Closed, Kind, Probe, World},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    let named = |kind: Kind, probe: &Probe| format!("probed::{}::{}", kind.name(), probe.name());
    let mut all = tests![
        OwnRelease(Release::Former, 2, leaders_move_on_kafka_3_9),
        OwnRelease(Release::Newest, 2, leaders_move_on_kafka_4_1),
    ];
    all.extend(tests![
        Shared(Release::Former, the_dialect_of_kafka_2_4),
        Shared(Release::Newest, the_dialect_of_redpanda),
    ]);
    for (kind, release) in [(Kind::Kafka39, Release::Former), (Kind::Kafka41, Release::Newest)] {
        all.extend(probes::all().filter(|probe| probe.suits(kind, 1)).map(|probe| {
            let run = move |cluster: &Cluster| probe.run(&Real::new(kind, cluster), &unique_name());
            (named(kind, &probe), Test::Probe(release, Box::new(run)))
        }));
    }
    all.extend(probes::all().filter(|probe| probe.suits(Kind::Mock, 1)).map(|probe| {
        let run = move || probe.run(&Mocked::start(), &unique_name());
        (named(Kind::Mock, &probe), Test::Case(Box::new(run)))
    }));
    all
}

fn leaders_move_on_kafka_3_9(cluster: &Cluster) {
    leaders_move(Kind::Kafka39, cluster);
    // A node that is started again is what it was.
    let address = Real::new(Kind::Kafka39, cluster).addresses[0].clone();
    let newest = || {
        let ranges = ranges(&mut Connection::to(&address));
        ranges.iter().find(|range| range.key == Api::Produce.key()).map(|range| range.last)
    };
    assert_eq!(newest(), Some(11), "3.9 is at hand");
    cluster.kill(0);
    cluster.restart(0);
    assert_eq!(newest(), Some(11), "the former release came back");
}

fn leaders_move_on_kafka_4_1(cluster: &Cluster) {
    leaders_move(Kind::Kafka41, cluster);
}

/// The probes that need two nodes.
fn leaders_move(kind: Kind, cluster: &Cluster) {
    let world = Real::new(kind, cluster);
    let probes: Vec<_> = probes::all().filter(|probe| probe.place == probes::Where::TwoNodes).collect();
    assert!(!probes.is_empty());
    for probe in probes {
        probe.run(&world, &unique_name());
    }
}

/// Probes that ask nothing that came later than Kafka 2.4.
const OLD: [&str; 7] = [
    "idempotence::duplicates_are_known_for_five_batches",
    "idempotence::sequences_wrap_to_0",
    "produce::the_broker_s_time_is_told",
    "fetch::positions_outside_of_the_log_are_out_of_range",
    "fetch::the_last_batch_may_be_cut_off",
    "offsets::where_epochs_end",
    "transactions::a_commit_and_an_abort",
];

fn the_dialect_of_kafka_2_4(cluster: &Cluster) {
    speaks_in(Kind::Kafka39, Dialect::Kafka24, cluster);
}

fn the_dialect_of_redpanda(cluster: &Cluster) {
    speaks_in(Kind::Kafka41, Dialect::Redpanda, cluster);
}

/// What a real log answers in the form of an older broker is the same.
fn speaks_in(kind: Kind, dialect: Dialect, cluster: &Cluster) {
    let proxy = Proxy::start_with(cluster, dialect, Honest);
    let mut world = Real { shown: vec![proxy.address()], ..Real::new(kind, cluster) };
    world.ranges = ranges(&mut Connection::to(&proxy.address()));
    for api in [Api::Produce, Api::Fetch, Api::ListOffsets] {
        let version = world.newest(api);
        assert!(!api.is_flexible(version), "{api} {version}");
    }
    for name in OLD {
        let probe = probes::all().find(|probe| probe.name() == name).expect("a probe of this name");
        probe.run(&world, &unique_name());
    }
    // What was never offered is not served.
    let mut connection = world.connect(0);
    let topics = Some(&["a"][..]);
    let mut frame = Vec::new();
    encode_request(&wire::MetadataRequest { topics, tell_rights: false }, 12, 1, "test", &mut frame);
    connection.send(&frame);
    assert_eq!(connection.receive(), Err(Closed));
}

/// What a broker has of each request.
fn ranges(connection: &mut Connection) -> Vec<ApiRange> {
    const VERSION: i16 = 3;
    let request = wire::ApiVersionsRequest { software: "test", software_version: "1" };
    let mut frame = Vec::new();
    encode_request(&request, VERSION, 1, "test", &mut frame);
    connection.send(&frame);
    let answer = connection.receive().expect("an answer");
    let (_, body) = wire::ResponseHeader::decode(Api::ApiVersions, VERSION, &answer).expect("an answer");
    wire::ApiVersionsResponse::decode(VERSION, body).expect("an answer").ranges
}

/// A connection as the system has it.
struct Connection(TcpStream);

impl Connection {
    fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("a broker that listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self(stream)
    }
}

impl Asked for Connection {
    fn send(&mut self, bytes: &[u8]) {
        // What the other side does not take shows when it is to answer.
        let _ = self.0.write_all(bytes);
    }

    fn receive(&mut self) -> Result<Vec<u8>, Closed> {
        let received = protocol::read(&mut self.0);
        received.map_err(|error| {
            let silent = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!silent, "the broker neither answers nor closes the connection");
            Closed
        })
    }
}

/// A real Kafka.
struct Real {
    kind: Kind,
    addresses: Vec<String>,
    /// Where probes ask: the brokers, or proxies in front of them.
    shown: Vec<String>,
    /// What its brokers have of each request, where it matters.
    ranges: Vec<ApiRange>,
    started: Instant,
}

impl Real {
    fn new(kind: Kind, cluster: &Cluster) -> Self {
        let addresses: Vec<String> = cluster.bootstrap().split(',').map(str::to_owned).collect();
        Self { kind, shown: addresses.clone(), addresses, ranges: Vec::new(), started: Instant::now() }
    }

    /// A request of the administrator, on a connection of its own.
    fn ask<Q: Encodable, A: Decodable>(&self, node: usize, api: ApiKey, version: i16, request: &Q) -> A {
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(1)
            .with_client_id(Some(StrBytes::from_static_str("administrator")));
        let mut bytes = vec![0; 4];
        header.encode(&mut bytes, api.request_header_version(version)).expect("a header");
        request.encode(&mut bytes, version).expect("a request");
        let size = u32::try_from(bytes.len() - 4).expect("a short request");
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        let mut connection = Connection::to(&self.addresses[node]);
        connection.send(&bytes);
        let answer = connection.receive().expect("an answer");
        let mut rest = &answer[..];
        ResponseHeader::decode(&mut rest, api.response_header_version(version)).expect("a header");
        A::decode(&mut rest, version).expect("an answer")
    }

    /// Whether a node answers for a partition.
    fn leads(&self, node: i32, topic: &str, partition: i32) -> bool {
        const LATEST: i64 = -1;
        let Ok(node) = usize::try_from(node) else { return false };
        let partition =
            ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(LATEST);
        let topic = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        let answer: ListOffsetsResponse = self.ask(node, ApiKey::ListOffsets, 2, &request);
        answer.topics[0].partitions[0].error_code == 0
    }

    /// What a node knows of a topic: its error, and who leads its partitions.
    fn leaders(&self, node: usize, topic: &str) -> (i16, Vec<i32>) {
        let asked = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let request =
            MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
        let answer: MetadataResponse = self.ask(node, ApiKey::Metadata, 9, &request);
        let topic = &answer.topics[0];
        let leader = |one: &MetadataResponsePartition| {
            if one.error_code == 0 { one.leader_id.0 } else { -1 }
        };
        (topic.error_code, topic.partitions.iter().map(leader).collect())
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

const TIMEOUT_MS: i32 = 30_000;

impl World for Real {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn newest(&self, api: Api) -> i16 {
        if self.ranges.is_empty() {
            return i16::MAX;
        }
        api.choose(&self.ranges).expect("a version in common")
    }

    fn connect(&self, node: i32) -> Box<dyn Asked> {
        Box::new(Connection::to(&self.shown[usize::try_from(node).expect("a node")]))
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }

    fn make_topic(&self, name: &str, partitions: i32, replicas: i16, settings: &[(&str, &str)]) {
        let configs = settings.iter().map(|(name, value)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
        let answer: CreateTopicsResponse = self.ask(0, ApiKey::CreateTopics, 5, &request);
        let topic = &answer.topics[0];
        assert_eq!(topic.error_code, 0, "{:?}", topic.error_message);
        let wanted = usize::try_from(partitions).expect("a number");
        for node in 0..self.addresses.len() {
            wait_until("leaders that know of it", || {
                let (error, leaders) = self.leaders(node, name);
                // A leader is named a moment before it has taken office.
                error == 0
                    && leaders.len() == wanted
                    && (0..).zip(leaders).all(|(id, leader)| self.leads(leader, name, id))
            });
        }
    }

    fn delete_topic(&self, name: &str) {
        const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![topic_name(name)])
            .with_timeout_ms(TIMEOUT_MS);
        let answer: DeleteTopicsResponse = self.ask(0, ApiKey::DeleteTopics, 5, &request);
        assert_eq!(answer.responses[0].error_code, 0);
        for node in 0..self.addresses.len() {
            wait_until("a name that is forgotten", || {
                self.leaders(node, name).0 == UNKNOWN_TOPIC_OR_PARTITION
            });
        }
    }

    fn delete_records_below(&self, topic: &str, offset: i64) {
        let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
        let topic =
            DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
        let answer: DeleteRecordsResponse = self.ask(0, ApiKey::DeleteRecords, 1, &request);
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.low_watermark), (0, offset));
    }

    fn move_leader(&self, topic: &str) -> i32 {
        const PREFERRED: i8 = 0;
        let next = 1 - self.leaders(0, topic).1[0];
        let replicas = vec![BrokerId(next), BrokerId(1 - next)];
        let partition =
            ReassignablePartition::default().with_partition_index(0).with_replicas(Some(replicas));
        let moved =
            ReassignableTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_topics(vec![moved])
            .with_timeout_ms(TIMEOUT_MS);
        let answer: AlterPartitionReassignmentsResponse =
            self.ask(0, ApiKey::AlterPartitionReassignments, 0, &request);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        let elected = TopicPartitions::default().with_topic(topic_name(topic)).with_partitions(vec![0]);
        let request = ElectLeadersRequest::default()
            .with_election_type(PREFERRED)
            .with_topic_partitions(Some(vec![elected]))
            .with_timeout_ms(TIMEOUT_MS);
        // A replica that is not in sync yet is not elected.
        wait_until("an election", || {
            let answer: ElectLeadersResponse = self.ask(0, ApiKey::ElectLeaders, 2, &request);
            assert_eq!(answer.error_code, 0, "{answer:?}");
            self.leaders(0, topic).1 == [next]
        });
        next
    }

    fn limit_producers(&self, client_id: &str, bytes_per_s: f64) {
        let entity =
            EntityData::default().with_entity_type(text("client-id")).with_entity_name(Some(text(client_id)));
        let limit = OpData::default().with_key(text("producer_byte_rate")).with_value(bytes_per_s);
        let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![limit]);
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        let answer: AlterClientQuotasResponse = self.ask(0, ApiKey::AlterClientQuotas, 0, &request);
        assert_eq!(answer.entries[0].error_code, 0, "{answer:?}");
    }
}

/// librdkafka's mock.
struct Mocked {
    mock: Mock,
    started: Instant,
}

impl Mocked {
    fn start() -> Self {
        Self { mock: Mock::start(), started: Instant::now() }
    }
}

impl World for Mocked {
    fn kind(&self) -> Kind {
        Kind::Mock
    }

    fn connect(&self, _node: i32) -> Box<dyn Asked> {
        Box::new(Connection::to(&self.mock.bootstrap()))
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }

    fn make_topic(&self, name: &str, partitions: i32, _replicas: i16, _settings: &[(&str, &str)]) {
        self.mock.topic_named(name, partitions);
    }

    fn delete_topic(&self, _name: &str) {
        unreachable!("the mock keeps its topics");
    }

    fn delete_records_below(&self, _topic: &str, _offset: i64) {
        unreachable!("the mock keeps its records");
    }

    fn move_leader(&self, _topic: &str) -> i32 {
        unreachable!("the mock has one node");
    }

    fn limit_producers(&self, _client_id: &str, _bytes_per_s: f64) {
        unreachable!("the mock limits nobody");
    }
}
