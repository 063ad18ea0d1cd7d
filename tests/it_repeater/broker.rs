//! A real broker, and what it knows of topics and groups.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem},
};

use crate::process::PATIENCE;

/// What says nothing about what was asked.
const PASSING: [Code; 11] = [
    Code::NotLeaderForPartition,
    Code::LeaderNotAvailable,
    Code::UnknownTopicOrPartition,
    Code::ReplicaNotAvailable,
    Code::OffsetNotAvailable,
    Code::CoordinatorLoadInProgress,
    Code::CoordinatorNotAvailable,
    Code::NotCoordinator,
    Code::RequestTimedOut,
    Code::OperationTimedOut,
    Code::BrokerTransportFailure,
];
const ASK_AGAIN: Duration = Duration::from_millis(100);
const ATTEMPTS: usize = 6;
const ANSWER: Duration = Duration::from_secs(10);

/// A real broker of its own, gone with this value.
pub struct Broker {
    pub bootstrap: String,
    dir: PathBuf,
}

impl Broker {
    /// `None` where there is no Java.
    pub fn start() -> Option<Self> {
        let output = script(&["up"]);
        if output.status.code() == Some(77) {
            assert!(env::var_os("PROOFLOAD_REQUIRE_BROKER").is_none(), "a broker is required: {output:?}");
            return None;
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let bootstrap = value("BOOTSTRAP=").unwrap_or_else(|| panic!("no broker: {output:?}"));
        Some(Self { bootstrap, dir: value("DIR=").expect("a folder").into() })
    }

    pub fn stop(&self) {
        assert!(script(&["stop", "0", "--kill", "--dir", self.dir()]).status.success());
    }

    pub fn restart(&self) {
        assert!(script(&["start", "0", "--dir", self.dir()]).status.success());
    }

    pub fn signal(&self, name: &str) {
        let pid = script(&["pid", "0", "--dir", self.dir()]).stdout;
        signal(String::from_utf8_lossy(&pid).trim(), name);
    }

    fn dir(&self) -> &str {
        self.dir.to_str().expect("a plain path")
    }

    /// Tries again where the broker does not answer in time: it may have hung a moment ago.
    pub fn create(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin client");
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let attempt = || futures_lite::future::block_on(admin.create_topics([&topic], &options));
        let answer = (0..ATTEMPTS).map(|_| attempt()).find(|answer| {
            let made = |answer: &Result<String, (String, Code)>| {
                matches!(answer, Ok(_) | Err((_, Code::TopicAlreadyExists)))
            };
            answer.as_ref().is_ok_and(|answers| answers.iter().all(made))
        });
        assert!(answer.is_some(), "topic {topic:?} could not be created");
    }

    /// Gives a topic so many partitions.
    pub fn grow(&self, topic: &str, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin client");
        let (new, options) = (NewPartitions::new(topic, partitions), AdminOptions::new());
        let answer = futures_lite::future::block_on(admin.create_partitions([&new], &options));
        assert!(answer.as_ref().is_ok_and(|answers| answers.iter().all(Result::is_ok)), "{answer:?}");
    }
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// Of each partition of a topic: where its log ends, and where the group goes on.
    pub fn places(&self, topic: &str, group: &str) -> Vec<(i64, i64)> {
        let places = self.places_or_none(topic, group).into_iter();
        places.map(|(end, place)| (end, place.unwrap_or_else(|| panic!("{topic}: no place")))).collect()
    }

    /// The same, of a group that may have no place in some.
    pub fn places_or_none(&self, topic: &str, group: &str) -> Vec<(i64, Option<i64>)> {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().expect("a consumer");
        let metadata = patiently("metadata", || consumer.fetch_metadata(Some(topic), ANSWER));
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            list.add_partition(topic, partition.id());
        }
        let committed = patiently("committed offsets", || consumer.committed_offsets(list.clone(), ANSWER));
        let place = |place: &TopicPartitionListElem<'_>| {
            let (_, end) =
                patiently("an end", || consumer.fetch_watermarks(topic, place.partition(), ANSWER));
            (end, if let Offset::Offset(offset) = place.offset() { Some(offset) } else { None })
        };
        committed.elements().iter().map(place).collect()
    }

    /// The client ids of a group's members.
    pub fn client_ids(&self, group: &str) -> Vec<String> {
        let consumer: BaseConsumer = self.client().create().expect("a consumer");
        let groups = patiently("the group", || consumer.fetch_group_list(Some(group), ANSWER));
        let members = groups.groups().iter().flat_map(rdkafka::groups::GroupInfo::members);
        members.map(|member| member.client_id().to_owned()).collect()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.signal("CONT");
        script(&["down", "--kill", "--dir", self.dir()]);
    }
}

/// Asks again while a broker says that it does not know yet, which it may for seconds on a machine that is busy: a partition
/// that has just been added has no leader, and a broker that has just been restarted knows no coordinator.
#[track_caller]
fn patiently<T>(what: &str, mut ask: impl FnMut() -> KafkaResult<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) if passes(&error) && Instant::now() < until => thread::sleep(ASK_AGAIN),
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

fn passes(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(|code| PASSING.contains(&code))
}

fn script(words: &[&str]) -> std::process::Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
    Command::new(path).args(words).output().expect("scripts/kafka runs")
}

pub fn signal(pid: &str, name: &str) {
    let _ = Command::new("kill").args([format!("-{name}").as_str(), pid]).status();
}
