//! What is read out of librdkafka's structure must be what its own calls say.

use std::time::Duration;

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::*;

const TOPIC: &str = "layout";
const LIMIT: Duration = Duration::from_secs(20);
const TIME_MS: i64 = 1_700_000_000_000;

fn header<'a>(key: &'a str, value: Option<&'a [u8]>) -> Header<'a, &'a [u8]> {
    Header { key, value }
}

/// Headers of one record each: none, one, two, more than are looked at, null and long ones.
fn all_headers() -> Vec<OwnedHeaders> {
    let none = OwnedHeaders::new;
    let long = vec![7; 70_000];
    vec![
        none(),
        none().insert(header("one", Some(b"1"))),
        none().insert(header("one", Some(b"1"))).insert(header("two", Some(b"22"))),
        none().insert(header("", Some(b""))).insert(header("null", None)).insert(header("three", Some(b"3"))),
        none().insert(header("long", Some(&long))).insert(header("two", Some(b"22"))),
    ]
}

fn produce(config: &ClientConfig, codec: &str) {
    let producer: BaseProducer = config.clone().set("compression.codec", codec).create().unwrap();
    for headers in all_headers() {
        let record = BaseRecord::to(TOPIC).partition(0).key("key").payload("value");
        producer.send(record.headers(headers).timestamp(TIME_MS)).unwrap();
    }
    producer.flush(LIMIT).unwrap();
}

/// The first two headers, as librdkafka parses them.
fn parsed<'a>(message: &'a BorrowedMessage<'_>) -> [Option<(&'a [u8], &'a [u8])>; 2] {
    [0, 1].map(|index| {
        let header = message.headers()?.try_get(index)?;
        Some((header.key.as_bytes(), header.value.unwrap_or_default()))
    })
}

#[test]
fn librdkafka_says_the_same_of_what_it_fetched() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "none");
    let codecs = ["none", "gzip", "zstd"];
    for codec in codecs {
        produce(&config, codec);
    }
    let consumer: BaseConsumer = config.create().unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&place).unwrap();
    for (offset, headers) in codecs.iter().flat_map(|_| all_headers()).enumerate() {
        let message = consumer.poll(LIMIT).expect("no record has come").unwrap();
        // SAFETY: the record was fetched by the consumer, and the view is gone before it is.
        let view = unsafe { Message::new(message.ptr()) }.view();
        assert_eq!([view.first_header, view.second_header], parsed(&message), "{headers:?}");
        assert_eq!(view.first_header.is_some(), headers.count() > 0);
        assert_eq!(view.offset, i64::try_from(offset).unwrap());
        assert_eq!((view.key, view.value), (message.key(), message.payload()));
        assert_eq!(view.sent_ms, Some(TIME_MS));
        // SAFETY: the message is alive.
        let epoch = unsafe { rdk::rd_kafka_message_leader_epoch(message.ptr()) };
        assert_eq!(view.leader_epoch, epoch);
        assert!(epoch >= 0, "an epoch that was not set would be the same by chance");
    }
}
