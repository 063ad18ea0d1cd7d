//! Raw requests and what brokers answer to them: what our idea of a broker is held against.
//!
//! A probe is a small scenario with the answers as literals. It runs on real brokers of each version that matters, on
//! librdkafka's mock, and on whatever else claims to behave like a broker: that only has to be a [`World`]. Where two
//! kinds of broker differ, both answers stand there, and why. What came out of it is in `docs/protocol-facts.md`.

mod batches;
mod compaction;
mod expected;
mod fetch;
mod frames;
mod idempotence;
mod leaders;
mod offsets;
mod produce;
mod scene;
mod throttling;
mod topics;
mod transactions;
mod transactions_v2;

use std::time::Duration;

use proofload::inside::protocol::Api;

pub(super) use scene::Scene;

/// What a world behaves like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Apache Kafka 3.9.
    Kafka39,
    /// Apache Kafka 4.1.
    Kafka41,
    /// librdkafka's mock.
    Mock,
}

impl Kind {
    /// As part of a test's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kafka39 => "kafka_3_9",
            Self::Kafka41 => "kafka_4_1",
            Self::Mock => "mock",
        }
    }
}

/// The broker has ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// A connection to a broker.
pub(super) trait Asked {
    /// Sends bytes: frames as a rule, whole and with their length. What cannot be sent shows in what comes.
    fn send(&mut self, bytes: &[u8]);

    /// Waits for the next frame, and returns it without its length.
    fn receive(&mut self) -> Result<Vec<u8>, Closed>;
}

/// A cluster that can be asked.
pub(super) trait World {
    fn kind(&self) -> Kind;

    /// The newest version of a request that there is.
    fn newest(&self, _api: Api) -> i16 {
        i16::MAX
    }

    /// A new connection to a node; nodes are numbered from 0 on, the mock's from 1.
    fn connect(&self, node: i32) -> Box<dyn Asked + '_>;

    /// Since some fixed moment: in a simulation, the simulated time.
    fn now(&self) -> Duration;

    /// Lets time pass.
    fn pause(&self, time: Duration);

    /// Makes a topic, and returns when its partitions have leaders; each has so many replicas.
    fn make_topic(&self, name: &str, partitions: i32, replicas: i16, settings: &[(&str, &str)]);

    /// Deletes a topic, and returns when the brokers have forgotten its name.
    fn delete_topic(&self, name: &str);

    /// Has the log of partition 0 begin at this offset.
    fn delete_records_below(&self, topic: &str, offset: i64);

    /// Has another node lead partition 0, all of whose replicas are in sync. Returns who leads it then.
    fn move_leader(&self, topic: &str) -> i32;

    /// Limits what producers with this client id may send, and returns when that is in force.
    fn limit_producers(&self, client_id: &str, bytes_per_s: f64);
}

/// Where a probe can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// Wherever there is one node.
    Anywhere,
    /// On Apache Kafka.
    Kafka,
    /// On Apache Kafka 4.1: it is about what 3.9 does not have.
    Kafka41,
    /// On two nodes of Apache Kafka.
    TwoNodes,
}

/// A scenario.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    module: &'static str,
    function: &'static str,
    pub place: Where,
    scenario: fn(&mut Scene<'_>),
}

impl Probe {
    /// The name of its module and its own.
    pub(super) fn name(&self) -> String {
        let module = self.module.rsplit("::").next().unwrap_or_default();
        format!("{module}::{}", self.function)
    }

    /// Whether it can run there.
    pub(super) fn suits(&self, kind: Kind, nodes: usize) -> bool {
        match self.place {
            Where::Anywhere => true,
            Where::Kafka => kind != Kind::Mock,
            Where::Kafka41 => kind == Kind::Kafka41,
            Where::TwoNodes => kind != Kind::Mock && nodes >= 2,
        }
    }

    /// Plays it on a new topic of this name; panics with all that was said if one answer is not the expected one.
    pub(super) fn run(&self, world: &dyn World, topic: &str) {
        let mut scene = Scene::new(world, topic);
        (self.scenario)(&mut scene);
        scene.judge(&self.name());
    }
}

/// Lists scenarios under the names of their functions.
macro_rules! probes {
    ($($place:ident: $($name:ident),* $(,)?);* $(;)?) => {
        &[$($(super::Probe { module: module_path!(), function: stringify!($name), place: super::Where::$place, scenario: $name }),*),*]
    };
}
use probes;

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Probe> {
    [
        compaction::PROBES,
        throttling::PROBES,
        leaders::PROBES,
        transactions::PROBES,
        transactions_v2::PROBES,
        idempotence::PROBES,
        produce::PROBES,
        fetch::PROBES,
        offsets::PROBES,
        topics::PROBES,
        frames::PROBES,
    ]
    .into_iter()
    .flatten()
    .copied()
}
