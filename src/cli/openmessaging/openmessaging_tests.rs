//! Files of our own with the keys that OpenMessaging Benchmark's have, and what becomes of them as command lines.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::{
    cli::{Command, Program, parse},
    config::{BenchConfig, BenchRate, BenchReaders, Compression},
};

const WORKLOAD_TEXT: &str = "
# Keys of all kinds.
name: two topics, keyed
topics: 2
partitionsPerTopic: 3
keyDistributor: \"KEY_ROUND_ROBIN\"
messageSize: 100
useRandomizedPayloads: true
randomBytesRatio: 0.5
randomizedPayloadPoolSize: 50
payloadFile: nobody/looks/at/it.data
subscriptionsPerTopic: 2
producersPerTopic: 4
consumerPerSubscription: 3
producerRate: 5000
consumerBacklogSizeGB: 0
backlogDrainRatio: 0.9
testDurationMinutes: 15
warmupDurationMinutes: 2
sampleRateMillis: 1000
";

const DRIVER_TEXT: &str = "
name: quick acks
driverClass: io.openmessaging.benchmark.driver.kafka.KafkaBenchmarkDriver
replicationFactor: 3
reset: true
topicConfig: |
  min.insync.replicas=2
  flush.messages=1
commonConfig: |
  bootstrap.servers=one:1,two:2
  request.timeout.ms=1200000
  default.api.timeout.ms=1200000
  security.protocol=SASL_SSL
  sasl.mechanism=PLAIN
  sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
    username=\"alice\" password=\"hunter2\";
producerConfig: |
  acks=1
  enable.idempotence=false
  linger.ms=10
  batch.size=131072
  max.request.size=4194304
  max.in.flight.requests.per.connection=5
  retries=2147483647
  compression.type=lz4
consumerConfig: |
  group.id=benchGroup
  auto.offset.reset=earliest
  enable.auto.commit=false
  max.partition.fetch.bytes=10485760
  fetch.max.wait.ms=50
";

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command line in which `@` before a name is its path.
    fn parse(&self, line: &str) -> Result<BenchConfig, String> {
        let word = |word: &str| match word.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => word.to_owned(),
        };
        let words = ["bench".to_owned()].into_iter().chain(line.split_whitespace().map(word));
        match parse(Program::Proofload, words.map(Into::into)) {
            Ok(Command::Bench(config)) => Ok(*config),
            Ok(other) => panic!("{other:?}"),
            Err(exit) => {
                assert_eq!(exit.code, 2, "{exit:?}");
                Err(exit.stderr.unwrap().trim_end().trim_start_matches("proofload: ").to_owned())
            }
        }
    }

    fn bench(&self, line: &str) -> BenchConfig {
        self.parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// What is wrong, behind the flag and the file.
    fn refused(&self, line: &str) -> String {
        let error = self.parse(line).expect_err(line);
        let folder = format!("{}/", self.0.path().display());
        error.replace(&folder, "")
    }
}

#[test]
fn a_workload_is_what_it_says() {
    let files = Files::new().with("w.yaml", WORKLOAD_TEXT);
    let config = files.bench("--workload @w.yaml --topic t");
    assert_eq!(config.workload.as_deref(), Some("two topics, keyed"));
    assert_eq!(
        (config.topics.as_slice(), config.rate),
        (&["t-0".to_owned(), "t-1".to_owned()][..], BenchRate::RecordsPerS(5_000.0))
    );
    assert_eq!((config.duration.as_secs(), config.warmup.as_secs()), (900, 120));
    assert_eq!((config.readers.to_string().as_str(), config.backlog, config.find), ("2x3", None, None));
    assert_eq!(config.verifier.group_read.unwrap().members.get(), 6, "of all groups");
    let common = config.verifier.common;
    assert_eq!(common.new_topic.unwrap().partitions, 3);
    let produce = config.verifier.produce.unwrap();
    assert_eq!((produce.value_bytes, produce.key_set_cardinality), (100, Some(10_000)));
    assert_eq!(produce.payload, Some(Payload::PartlyRandom { random_ratio: 0.5, values: 50 }));
    assert_eq!(common.flags["rate"], "5000", "the result has what was run");
    let said = common.warnings.join("\n");
    assert!(said.contains("KEY_ROUND_ROBIN: keys are picked at random from 10000"), "{said}");
    assert!(
        said.contains("sampleRateMillis 1000: the result's lists have one value for each 10 s"),
        "{said}"
    );
    assert!(said.contains("beside its 100 bytes (messageSize) each record has about 1"), "{said}");
}

#[test]
fn a_driver_sets_up_the_clients() {
    let files = Files::new().with("d.yaml", DRIVER_TEXT);
    let config = files.bench("--driver @d.yaml");
    assert_eq!(config.driver.as_deref(), Some("quick acks"));
    let common = &config.verifier.common;
    assert_eq!(common.brokers.to_try(), "one:1,two:2");
    let new = common.new_topic.as_ref().unwrap();
    assert_eq!(new.replication_factor, Some(3));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(new.config, [pair("min.insync.replicas", "2"), pair("flush.messages", "1")]);
    let sasl = common.security.sasl.as_ref().unwrap();
    assert_eq!(
        (sasl.mechanism, sasl.username.as_str(), sasl.password.reveal()),
        ("PLAIN", "alice", "hunter2")
    );
    assert!(common.security.tls.is_some());
    let expected = [
        pair("request.timeout.ms", "900000"),
        pair("max.partition.fetch.bytes", "10485760"),
        pair("fetch.wait.max.ms", "50"),
    ];
    assert_eq!(common.client_settings, expected);
    let produce = config.verifier.produce.as_ref().unwrap();
    assert_eq!((produce.linger.as_millis(), produce.batch_max_bytes), (10, 131_072));
    assert_eq!(produce.compression, Compression::Lz4);
    let said = common.warnings.join("\n");
    for line in [
        "acks=1 is run with acks=all",
        "enable.idempotence=false is run with true",
        "request.timeout.ms=1200000 is run with 900000",
        "reset: no topic is deleted",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let shown = format!("{:?} {said}", common.flags);
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn flags_have_the_last_word_and_that_is_said() {
    let files = Files::new().with("w.yaml", WORKLOAD_TEXT).with("d.yaml", DRIVER_TEXT);
    let line = "--workload @w.yaml --driver @d.yaml --duration 10s --warmup=0 -rate max --replication-factor 1 --readers none \
                --brokers three:3 --topics 2";
    let config = files.bench(line);
    assert_eq!((config.duration.as_secs(), config.warmup.as_secs(), config.rate), (10, 0, BenchRate::Max));
    assert_eq!(config.readers, BenchReaders::None);
    let common = &config.verifier.common;
    assert_eq!(
        (common.brokers.to_try(), common.new_topic.as_ref().unwrap().replication_factor),
        ("three:3", Some(1))
    );
    let said = common.warnings.join("\n");
    assert!(said.contains("--duration 10s is taken in the place of the file's 15m"), "{said}");
    assert!(said.contains("--rate max is taken in the place of the file's 5000"), "{said}");
    assert!(!said.contains("--topics"), "which says the same: {said}");
}

#[test]
fn a_rate_of_0_is_looked_for() {
    let files = Files::new().with("w.yaml", "producerRate: 0\n");
    let found = files.bench("--workload @w.yaml").find.unwrap();
    assert_eq!((found.words.as_str(), found.limit.as_secs()), ("p99=1s", 1));
    assert_eq!(files.bench("--workload @w.yaml --slo p50=5ms").find.unwrap().words, "p50=5ms");
    let config = files.bench("--workload @w.yaml --rate 100");
    assert_eq!((config.find, config.rate), (None, BenchRate::RecordsPerS(100.0)), "that is a rate");
    let config = files.bench("--workload @w.yaml --rate 100 --find-rate");
    assert_eq!((config.find.is_some(), config.rate), (true, BenchRate::RecordsPerS(100.0)), "to begin with");
    let config = files.bench("--workload @w.yaml --rate 100 --find-rate=false");
    assert_eq!((config.find, config.rate), (None, BenchRate::RecordsPerS(100.0)), "that is said, too");
    assert_eq!(files.bench("--workload @w.yaml --find-rate=false").find, None, "whatever the file says");
}

#[test]
fn a_rate_that_nobody_keeps_is_none() {
    let files =
        Files::new().with("w.yaml", "producerRate: 10000000\n").with("x.yaml", "producerRate: 9999999\n");
    let config = files.bench("--workload @w.yaml");
    assert_eq!(config.rate, BenchRate::Max);
    let said = config.verifier.common.warnings.join("\n");
    assert!(said.contains("producerRate 10000000 is run as fast as acks come"), "{said}");
    assert_eq!(files.bench("--workload @x.yaml").rate, BenchRate::RecordsPerS(9_999_999.0));
}

#[test]
fn a_backlog_is_built_up_for_readers_of_a_known_rate() {
    let text = "consumerBacklogSizeGB: 0.5\nbacklogDrainRatio: 0.75\nproducerRate: 7\n";
    let files =
        Files::new().with("w.yaml", text).with("0.yaml", "consumerBacklogSizeGB: 1\nproducerRate: 0\n");
    let config = files.bench("--workload @w.yaml");
    assert_eq!(config.backlog, Some(Backlog { bytes: 1 << 29, drain_ratio: 0.75 }));
    let why = "cannot be used with a workload whose consumerBacklogSizeGB is above 0";
    assert_eq!(
        files.refused("--workload @w.yaml --readers none"),
        format!("--readers: none {why}: nobody would read that")
    );
    assert!(
        files
            .refused("--workload @0.yaml")
            .starts_with("--workload 0.yaml: consumerBacklogSizeGB: 1: accepts 0 where")
    );
    let found = files.refused("--workload @w.yaml --find-rate --slo p99=1s");
    assert!(
        found.starts_with("--workload w.yaml: consumerBacklogSizeGB: 0.5: accepts 0 where a rate"),
        "{found}"
    );
    assert_eq!(files.refused("--workload @w.yaml --msg_size 0"), format!("--msg_size: 0 {why}"));
    let config = files.bench("--workload @w.yaml --find-rate=false");
    assert_eq!(config.backlog, Some(Backlog { bytes: 1 << 29, drain_ratio: 0.75 }), "no rate is looked for");
    assert!(files.bench("--workload @0.yaml --find-rate=F --rate 5").backlog.is_some());
}

#[test]
fn payload_files_are_found_where_the_benchmark_looks_and_must_hold_a_message() {
    let text = "messageSize: 5\npayloadFile: payload/five.data\n";
    let files = Files::new()
        .with("workloads/w.yaml", text)
        .with("workloads/empty.yaml", "payloadFile: payload/empty.data\n")
        .with("workloads/missing.yaml", "payloadFile: payload/none.data\n")
        .with("workloads/other.yaml", "messageSize: 6\npayloadFile: payload/five.data\n")
        .with("payload/five.data", "12345")
        .with("payload/empty.data", "");
    let produce = files.bench("--workload @workloads/w.yaml").verifier.produce.unwrap();
    let Some(Payload::File { bytes, .. }) = produce.payload else { panic!("{:?}", produce.payload) };
    assert_eq!(&*bytes, b"12345");
    let refused = |name: &str| files.refused(&format!("--workload @workloads/{name}.yaml"));
    let missing = refused("missing");
    assert!(
        missing.starts_with(
            "--workload workloads/missing.yaml: payloadFile: payload/none.data: there is no such file"
        ),
        "{missing}"
    );
    assert!(refused("empty").ends_with("empty.data: the file is empty"), "{}", refused("empty"));
    assert!(refused("other").ends_with("five.data: the file has 5 bytes, and messageSize says 6"));
    let found = files.refused("--workload @workloads/w.yaml --msg_size 7");
    assert!(
        found.starts_with("--msg_size 7: accepts 5, the length of the workload's payloadFile"),
        "{found}"
    );
}

#[test]
fn what_is_not_understood_is_named() {
    let rows = [
        ("topicz: 1", "topicz: this key is not understood: accepts name, topics, partitionsPerTopic"),
        ("topics: 0", "topics: 0: accepts a whole number, 1 to 10000"),
        ("topics: many", "topics: many: accepts a whole number, 1 to 10000"),
        ("topics: [1]", "topics: [1]: accepts one value"),
        ("partitionsPerTopic: -1", "partitionsPerTopic: -1: accepts a whole number, 1 to 100000"),
        ("keyDistributor: SOME", "keyDistributor: SOME: accepts NO_KEY, KEY_ROUND_ROBIN or RANDOM_NANO"),
        ("messageSize: 1.5", "messageSize: 1.5: accepts a whole number, 0 to"),
        ("useRandomizedPayloads: maybe", "useRandomizedPayloads: maybe: accepts true or false"),
        ("randomBytesRatio: 2", "randomBytesRatio: 2: accepts a number, 0 to 1"),
        ("producerRate: -5", "producerRate: -5: accepts a whole number, 0 to"),
        ("testDurationMinutes: 0", "testDurationMinutes: 0: accepts a number, 0.02 to"),
        ("sampleRateMillis: 0", "sampleRateMillis: 0: accepts a whole number, 1 to"),
        ("topics: 1\ntopics: 2", "it is no YAML: "),
        ("a: [", "it is no YAML: "),
        ("- topics", "it is not a YAML file of keys and values"),
        ("", "it is not a YAML file of keys and values"),
    ];
    for (text, expected) in rows {
        let found = Files::new().with("w.yaml", text).refused("--workload @w.yaml");
        assert!(found.starts_with(&format!("--workload w.yaml: {expected}")), "{text}: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    let none = Files::new().refused("--workload @none.yaml");
    assert!(none.starts_with("--workload none.yaml: it cannot be read: "), "{none}");
}

#[test]
fn what_is_not_understood_of_a_driver_is_named() {
    let rows = [
        ("replicas: 3", "replicas: this key is not understood: accepts name, driverClass, replicationFactor"),
        (
            "driverClass: a.pulsar.PulsarDriver",
            "driverClass: a.pulsar.PulsarDriver: accepts a driver of Kafka or Redpanda",
        ),
        ("replicationFactor: 0", "replicationFactor: 0: accepts a whole number, 1 to 32767"),
        (
            "producerConfig: |\n  partitioner.class=x",
            "producerConfig: partitioner.class: this setting is not understood",
        ),
        ("consumerConfig: |\n  linger.ms=1", "consumerConfig: linger.ms: this setting is not understood"),
        ("producerConfig: |\n  acks=2", "producerConfig: acks: 2: accepts all, -1, 1 or 0"),
        ("producerConfig: |\n  linger.ms=soon", "producerConfig: linger.ms: soon: accepts a whole number"),
        (
            "commonConfig: |\n  security.protocol=TLS",
            "commonConfig: security.protocol: TLS: accepts PLAINTEXT, SSL,",
        ),
        (
            "commonConfig: |\n  ssl.truststore.location=a.jks",
            "commonConfig: ssl.truststore.location: a.jks: accepts a file of certificates",
        ),
        (
            "commonConfig: |\n  sasl.jaas.config=x",
            "commonConfig: sasl.jaas.config: it does not end with a semicolon",
        ),
        (
            "consumerConfig: |\n  partition.assignment.strategy=a.StickyAssignor",
            "consumerConfig: partition.assignment.strategy: a.StickyAssignor: accepts RangeAssignor",
        ),
    ];
    for (text, expected) in rows {
        let found = Files::new().with("d.yaml", text).refused("--driver @d.yaml");
        assert!(found.starts_with(&format!("--driver d.yaml: {expected}")), "{text}: {found}");
    }
}

#[test]
fn settings_that_take_more_than_one_value_to_judge() {
    let driver = |text: &str| {
        let files = Files::new().with("d.yaml", text).with("w.yaml", "messageSize: 1000\n");
        files.bench("--workload @w.yaml --driver @d.yaml").verifier
    };
    let produce = driver("producerConfig: |\n  batch.size=0\n  buffer.memory=64000").produce.unwrap();
    assert_eq!((produce.batch_max_bytes, produce.max_buffered_records), (2_024, 64));
    let in_flight =
        driver("producerConfig: |\n  max.in.flight.requests.per.connection=1").common.client_settings;
    assert_eq!(in_flight, [("max.in.flight.requests.per.connection".to_owned(), "1".to_owned())]);
    let settings = driver(
        "commonConfig: |\n  security.protocol=SSL\n  ssl.endpoint.identification.algorithm=\n\
         consumerConfig: |\n  partition.assignment.strategy=a.CooperativeStickyAssignor,b.RangeAssignor",
    );
    let expected = [
        ("ssl.endpoint.identification.algorithm".to_owned(), "none".to_owned()),
        ("partition.assignment.strategy".to_owned(), "cooperative-sticky,range".to_owned()),
    ];
    assert_eq!(settings.common.client_settings, expected);
    let transactions = driver("requestsPerTransaction: 7").produce.unwrap().transactions.unwrap();
    assert_eq!(transactions.messages, 7);
}
