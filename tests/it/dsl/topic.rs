//! A topic, seen and changed by a client that is not the one under test.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_lite::future::block_on;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};

use super::{PATIENCE, wait_for};

/// How long one question to a broker may take.
const ATTEMPT: Duration = Duration::from_secs(30);

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
    /// Whether its first header is the one of a record at its place.
    pub fn names_itself(&self) -> bool {
        let id = record_id(self.offset).into_bytes();
        self.headers.first().is_some_and(|(name, value)| name == "KGO_VERIFIER_RECORD_ID" && *value == id)
    }
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
        let topic = Self::existing(bootstrap, &unique_name(), partitions);
        topic.create_again();
        topic
    }

    /// Makes it, under the same name as before.
    pub fn create_again(&self) {
        let count = i32::try_from(self.partitions).expect("few partitions");
        let new = NewTopic::new(&self.name, count, TopicReplication::Fixed(-1));
        expect_one(block_on(self.admin().create_topics(&[new], &options())));
    }

    pub(super) fn existing(bootstrap: &str, name: &str, partitions: usize) -> Self {
        Self { bootstrap: bootstrap.to_owned(), name: name.to_owned(), partitions }
    }

    /// A name that no topic bears.
    pub fn missing(bootstrap: &str) -> Self {
        Self::existing(bootstrap, &unique_name(), 0)
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
        let topic =
            metadata.topics().iter().find(|topic| topic.name() == self.name && topic.error().is_none());
        topic.map(|topic| topic.partitions().len())
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
        let producer: ThreadedProducer<Deliveries> = self
            .client()
            .set("linger.ms", "0")
            .set("message.timeout.ms", ATTEMPT.as_millis().to_string())
            .create_with_context(Deliveries)
            .expect("a producer");
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

    /// Everything in it.
    #[track_caller]
    pub fn records(&self) -> Vec<Stored> {
        let (consumer, mut list, mut left) = (self.consumer(), TopicPartitionList::new(), 0);
        for (partition, (start, end)) in (0..).zip(self.watermarks()) {
            list.add_partition_offset(&self.name, partition, Offset::Offset(start)).expect("a partition");
            left += usize::try_from(end - start).expect("a log that ends behind its start");
        }
        consumer.assign(&list).expect("an assignment");
        let (mut records, until) = (Vec::new(), Instant::now() + PATIENCE);
        while records.len() < left {
            assert!(Instant::now() < until, "{} of {left} records read", records.len());
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(500)) {
                records.push(stored(&message));
            }
        }
        records
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", "tests");
        config
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
fn expect_one<E: std::fmt::Debug>(answer: Result<Vec<Result<String, E>>, rdkafka::error::KafkaError>) {
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
