//! A topic, seen and changed by a client that is not the one under test.

use std::{
    collections::BTreeSet,
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_lite::future::block_on;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
    groups::GroupInfo,
    message::{Header, Headers, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
    topic_partition_list::TopicPartitionListElem,
};

use super::{PATIENCE, wait_for};

/// How long one question to a broker may take.
const ATTEMPT: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Topic {
    bootstrap: String,
    name: String,
    partitions: usize,
}

/// A record as it lies in the log.
#[derive(Clone, Debug)]
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub timestamp_ms: Option<i64>,
}

impl Stored {
    /// Its first header's value, as text.
    pub fn id(&self) -> String {
        let first = self.headers.first();
        first.map_or_else(String::new, |(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// Whether its first header is the one of a record at its place.
    pub fn names_itself(&self) -> bool {
        let header = ("KGO_VERIFIER_RECORD_ID".to_owned(), record_id(self.offset).into_bytes());
        self.headers.first() == Some(&header)
    }
}

/// Of a partition: where its log ends, and the offset at which a group goes on, if it has committed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub end: i64,
    pub committed: Option<i64>,
}

/// The name of a topic that no other test has, in this run or another.
pub fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("it-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed))
}

/// The first header's value for a record at `offset`.
pub fn record_id(offset: i64) -> String {
    format!("000000.{offset:018}")
}

impl Topic {
    pub(super) fn create(bootstrap: &str, partitions: usize) -> Self {
        Self::create_with(bootstrap, partitions, &[])
    }

    pub(super) fn create_with(bootstrap: &str, partitions: usize, config: &[(&str, &str)]) -> Self {
        let topic = Self::existing(bootstrap, &unique_name(), partitions);
        topic.create_again_with(config);
        topic
    }

    /// Makes it, under the same name as before.
    pub fn create_again(&self) {
        self.create_again_with(&[]);
    }

    pub(super) fn create_on(
        bootstrap: &str,
        nodes: &[i32],
        partitions: usize,
        config: &[(&str, &str)],
    ) -> Self {
        let topic = Self::existing(bootstrap, &unique_name(), partitions);
        topic.create_as(TopicReplication::Variable(&vec![nodes; partitions]), config);
        topic
    }

    fn create_again_with(&self, config: &[(&str, &str)]) {
        self.create_as(TopicReplication::Fixed(-1), config);
    }

    fn create_as(&self, replication: TopicReplication<'_>, config: &[(&str, &str)]) {
        let count = i32::try_from(self.partitions).expect("few partitions");
        let new = NewTopic::new(&self.name, count, replication);
        let new = config.iter().fold(new, |new, (key, value)| new.set(key, value));
        expect_one(block_on(self.admin().create_topics(&[new], &options())));
        if self.partitions > Self::MANY {
            self.watermarks();
        }
    }

    /// So many logs a busy broker makes one after the other, and a producer begins without those that are not there.
    const MANY: usize = 50;

    /// A topic that is there, or that a run is going to make.
    pub fn existing(bootstrap: &str, name: &str, partitions: usize) -> Self {
        Self { bootstrap: bootstrap.to_owned(), name: name.to_owned(), partitions }
    }

    /// A name that no topic bears.
    pub fn missing(bootstrap: &str) -> Self {
        Self::existing(bootstrap, &unique_name(), 0)
    }

    /// A name that no topic bears, and that somebody has chosen.
    pub fn missing_named(bootstrap: &str, name: &str) -> Self {
        Self::existing(bootstrap, name, 0)
    }

    /// A topic of this very name, which is made.
    pub fn named(bootstrap: &str, name: &str, partitions: usize) -> Self {
        let topic = Self::existing(bootstrap, name, partitions);
        topic.create_again();
        topic
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The flags that lead a verifier here.
    pub fn flags(&self) -> String {
        format!("--brokers {} --topic {}", self.bootstrap, self.name)
    }

    pub fn exists(&self) -> bool {
        self.partitions().is_some()
    }

    /// How many partitions it has; `None` while there is no such topic.
    pub fn partitions(&self) -> Option<usize> {
        // All topics: asking for one by name may create it.
        let metadata = self.consumer().fetch_metadata(None, ATTEMPT).expect("metadata");
        let mut topics = metadata.topics().iter();
        let topic = topics.find(|topic| topic.name() == self.name && topic.error().is_none())?;
        Some(topic.partitions().len())
    }

    /// The leader of each partition and its replicas in sync; -1 leads where nobody does. `None` without an answer.
    pub fn leaders(&self) -> Option<Vec<(i32, Vec<i32>)>> {
        let metadata = self.consumer().fetch_metadata(Some(&self.name), ATTEMPT).ok()?;
        let mut partitions: Vec<_> = metadata.topics().first()?.partitions().iter().collect();
        partitions.sort_unstable_by_key(|partition| partition.id());
        Some(partitions.iter().map(|partition| (partition.leader(), partition.isr().to_vec())).collect())
    }

    /// The cluster's brokers.
    #[track_caller]
    pub fn brokers(&self) -> Vec<i32> {
        let metadata = self.consumer().fetch_metadata(Some(&self.name), ATTEMPT).expect("metadata");
        metadata.brokers().iter().map(rdkafka::metadata::MetadataBroker::id).collect()
    }

    /// The value of one of its settings.
    #[track_caller]
    pub fn setting(&self, name: &str) -> String {
        let topic = ResourceSpecifier::Topic(&self.name);
        let mut answers = block_on(self.admin().describe_configs([&topic], &options())).expect("an answer");
        let settings = answers.swap_remove(0).expect("settings");
        settings.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default()
    }

    /// Frees the broker's disk of what is large.
    pub fn delete(&self) {
        expect_one(block_on(self.admin().delete_topics(&[&self.name], &options())));
    }

    /// Where each partition starts and ends.
    fn watermarks(&self) -> Vec<(i64, i64)> {
        let consumer = self.consumer();
        let partition = |id| {
            wait_for("the ends of a log", || {
                consumer.fetch_watermarks(&self.name, i32::try_from(id).ok()?, ATTEMPT).ok()
            })
        };
        (0..self.partitions).map(partition).collect()
    }

    pub fn ends(&self) -> Vec<i64> {
        self.watermarks().into_iter().map(|(_, end)| end).collect()
    }

    pub fn starts(&self) -> Vec<i64> {
        self.watermarks().into_iter().map(|(start, _)| start).collect()
    }

    /// Removes what lies below an offset, as retention would.
    pub fn delete_below(&self, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(offset)).expect("a partition");
        block_on(self.admin().delete_records(&list, &options())).expect("records deleted");
        wait_for("the new start", || {
            (self.starts()[usize::try_from(partition).ok()?] == offset).then_some(())
        });
    }

    /// Adds partitions.
    pub fn grow(&mut self, partitions: usize) {
        expect_one(block_on(
            self.admin().create_partitions(&[NewPartitions::new(&self.name, partitions)], &options()),
        ));
        self.partitions = partitions;
        wait_for("the new partitions", || {
            let metadata = self.consumer().fetch_metadata(Some(&self.name), ATTEMPT).ok()?;
            let known = metadata.topics().first()?.partitions();
            (known.len() == partitions && known.iter().all(|part| part.leader() >= 0)).then_some(())
        });
    }

    /// Writes records with one header each, or none; the values are of no importance.
    pub fn write(&self, partition: i32, headers: &[Option<(&str, &str)>]) {
        let lists: Vec<Vec<_>> = headers.iter().map(|header| header.iter().copied().collect()).collect();
        self.write_all(partition, &lists);
    }

    fn write_all(&self, partition: i32, lists: &[Vec<(&str, &str)>]) {
        let producer = self.producer();
        for list in lists {
            let insert = |headers: OwnedHeaders, (key, value): &(&str, &str)| {
                headers.insert(Header { key, value: Some(*value) })
            };
            let headers = list.iter().fold(OwnedHeaders::new(), insert);
            let record = BaseRecord::<[u8], [u8]>::to(&self.name).partition(partition).payload(b"by hand");
            producer.send(record.headers(headers)).map_err(|(error, _)| error).expect("room for a record");
        }
        producer.flush(PATIENCE).expect("records delivered");
    }

    /// Writes one record with these headers.
    pub fn write_with_headers(&self, partition: i32, headers: &[(&str, &str)]) {
        self.write_all(partition, &[headers.to_vec()]);
    }

    /// Writes records that name their own offsets, as another implementation's producer would.
    pub fn write_proven(&self, partition: i32, offsets: std::ops::Range<i64>) {
        let ids: Vec<_> = offsets.map(record_id).collect();
        let headers: Vec<_> = ids.iter().map(|id| Some(("KGO_VERIFIER_RECORD_ID", id.as_str()))).collect();
        self.write(partition, &headers);
    }

    /// Writes records with a key and a value, or none: a tombstone.
    pub fn write_keyed(&self, partition: i32, records: &[(&str, Option<&str>)]) {
        let producer = self.producer();
        for (key, value) in records {
            let record = BaseRecord::<str, str>::to(&self.name).partition(partition).key(*key);
            let record = match value {
                Some(value) => record.payload(*value),
                None => record,
            };
            producer.send(record).map_err(|(error, _)| error).expect("room for a record");
        }
        producer.flush(PATIENCE).expect("records delivered");
    }

    /// Everything in it, that of aborted transactions too.
    pub fn records(&self) -> Vec<Stored> {
        self.read("read_uncommitted")
    }

    /// What is in no transaction, or in one that was committed.
    pub fn committed_records(&self) -> Vec<Stored> {
        self.read("read_committed")
    }

    #[track_caller]
    fn read(&self, isolation: &str) -> Vec<Stored> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "tests")
            .set("isolation.level", isolation)
            .set("enable.partition.eof", "true")
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        for (partition, start) in (0..).zip(self.starts()) {
            list.add_partition_offset(&self.name, partition, Offset::Offset(start)).expect("a partition");
        }
        consumer.assign(&list).expect("an assignment");
        let (mut records, mut ended, until) = (Vec::new(), BTreeSet::new(), Instant::now() + PATIENCE);
        while ended.len() < self.partitions {
            assert!(Instant::now() < until, "{} records read, and no end", records.len());
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => records.push(stored(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                // It tries again by itself.
                Some(Err(_)) | None => {}
            }
        }
        records
    }

    /// Consumer groups whose name begins like this.
    pub fn groups(&self, prefix: &str) -> Vec<String> {
        let groups = self.consumer().fetch_group_list(None, ATTEMPT).expect("groups");
        let names = groups.groups().iter().map(|group| group.name().to_owned());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// How many members a group has.
    pub fn members(&self, group: &str) -> usize {
        let groups = self.consumer().fetch_group_list(Some(group), ATTEMPT).expect("groups");
        groups.groups().iter().map(|group| group.members().len()).sum()
    }

    /// What a group's members call themselves.
    pub fn client_names(&self, group: &str) -> Vec<String> {
        // A coordinator that is only starting knows of none.
        let Ok(groups) = self.consumer().fetch_group_list(Some(group), ATTEMPT) else { return Vec::new() };
        let members = groups.groups().iter().flat_map(GroupInfo::members);
        members.map(|member| member.client_id().to_owned()).collect()
    }

    /// What a group has committed in each partition.
    pub fn committed(&self, group: &str) -> Vec<Option<i64>> {
        let consumer: BaseConsumer =
            self.client().set("group.id", group).create().expect("a consumer that joins no group");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.name, 0, i32::try_from(self.partitions).expect("few partitions") - 1);
        // A coordinator that is only starting knows of none.
        let committed = wait_for("committed offsets", || {
            let answer = consumer.committed_offsets(list.clone(), ATTEMPT).ok()?;
            answer.elements().iter().all(|entry| entry.error().is_ok()).then_some(answer)
        });
        let of = |entry: &TopicPartitionListElem<'_>| match entry.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        committed.elements().iter().map(of).collect()
    }

    /// The same, and where each partition ends.
    pub fn places(&self, group: &str) -> Vec<Place> {
        let ends = self.ends().into_iter();
        ends.zip(self.committed(group)).map(|(end, committed)| Place { end, committed }).collect()
    }

    /// Joins a group until it has partitions of this topic, says that nothing of them was consumed, and goes.
    pub fn rewind_group(&self, group: &str) {
        let member: BaseConsumer = self
            .client()
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a member");
        member.subscribe(&[&self.name]).expect("a subscription");
        let owned = wait_for("a part of the group's work", || {
            member.poll(Duration::from_millis(100));
            member.assignment().ok().filter(|owned| owned.count() > 0)
        });
        let mut start = TopicPartitionList::new();
        for entry in owned.elements() {
            start
                .add_partition_offset(&self.name, entry.partition(), Offset::Offset(0))
                .expect("a partition");
        }
        wait_for("a commit", || member.commit(&start, CommitMode::Sync).ok());
    }

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", "tests");
        config
    }

    fn producer(&self) -> ThreadedProducer<Deliveries> {
        self.client()
            .set("linger.ms", "0")
            .set("message.timeout.ms", ATTEMPT.as_millis().to_string())
            .create_with_context(Deliveries)
            .expect("a producer")
    }

    fn consumer(&self) -> BaseConsumer {
        self.client()
            .set("group.id", "tests")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer")
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client")
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ATTEMPT)).request_timeout(Some(ATTEMPT))
}

#[track_caller]
fn expect_one<E: std::fmt::Debug>(answer: Result<Vec<Result<String, E>>, KafkaError>) {
    for result in answer.expect("an answer") {
        result.expect("what was asked for");
    }
}

fn stored(message: &rdkafka::message::BorrowedMessage<'_>) -> Stored {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
            .collect()
    });
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        timestamp_ms: message.timestamp().to_millis(),
    }
}

/// Nothing that is written by hand may fail.
struct Deliveries;

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            eprintln!("a record written by hand was not delivered: {error}");
        }
    }
}
