//! A client that asks about the cluster, played in it.

use super::{
    Flavour,
    lines::{Lines, Weather},
    run,
    server::Server,
    topic::Settings,
};
use crate::{
    kafka::wire::{
        core::{
            admin::{Admin, Description, NoReply, Question, Reply, Whom},
            machine::Machine,
        },
        protocol::{OffsetQuestion, Timestamp},
    },
    random::Random,
};

const TOPIC: &str = "topic";
const CALM: Weather =
    Weather { latency_most_us: 1_000, piece_most_bytes: 100, cut: 0.0, refused: 0.0, half_open: 0.0 };
const LIMIT_US: u64 = 500_000;

struct World {
    server: Server,
    lines: Lines,
    random: Random,
    admin: Admin,
}

impl World {
    fn new(nodes: i32) -> Self {
        let mut server = Server::new(Flavour::Kafka41, nodes, 1_700_000_000_000);
        server.make_topic(TOPIC, nodes, nodes, Settings::of(&[]).expect("no settings"));
        let (lines, random) = (Lines::new(CALM), Random::from_seed(1));
        Self { server, lines, random, admin: Admin::new(run::network("asks")) }
    }

    /// Lets so much time pass.
    fn pass(&mut self, us: u64) {
        let end_us = self.server.now_us() + us;
        while self.server.now_us() < end_us {
            self.admin.handle_timeout(self.server.now_us());
            while self.lines.carry(&mut self.admin, &mut self.server, &mut self.random) {}
            self.server.advance_to(self.server.now_us() + 500);
        }
    }

    fn answer(&mut self, whom: Whom, question: Question) -> Result<Reply, NoReply> {
        let now_us = self.server.now_us();
        let id = self.admin.ask(whom, question, now_us + LIMIT_US, now_us);
        self.pass(LIMIT_US + 1_000);
        let answers = self.admin.take_answers();
        let [(answered, answer)] = <[_; 1]>::try_from(answers).expect("one answer");
        assert_eq!(answered, id);
        answer
    }

    fn describe(&mut self, topic: &str) -> Description {
        match self.answer(Whom::Any, Question::Describe { topic: topic.to_owned() }) {
            Ok(Reply::Described(description)) => description,
            other => panic!("{other:?}"),
        }
    }

    fn up(&mut self) -> Vec<(i32, bool)> {
        let now_us = self.server.now_us();
        self.admin.brokers(now_us).into_iter().map(|(id, _, is_up)| (id, is_up)).collect()
    }
}

fn ends_of(partitions: &[i32]) -> Question {
    let ask = |&partition: &i32| OffsetQuestion { partition, leader_epoch: -1 };
    Question::Offsets {
        topic: TOPIC.to_owned(),
        partitions: partitions.iter().map(ask).collect(),
        timestamp: Timestamp::Latest,
        read_committed: false,
    }
}

#[test]
fn a_topic_is_described_with_its_id_leaders_and_replicas() {
    let mut world = World::new(3);
    let description = world.describe(TOPIC);
    assert_eq!((description.error, description.brokers.len()), (0, 3));
    assert_ne!(description.topic_id, [0; 16]);
    let led: Vec<_> = description.partitions.iter().map(|one| (one.id, one.leader)).collect();
    assert_eq!(led, [(0, 0), (1, 1), (2, 2)]);
    assert_eq!(description.partitions[1].replicas, [0, 1, 2]);
    assert_eq!(world.describe("other").error, 3);
    let cluster = world.describe("");
    assert_eq!((cluster.error, cluster.brokers.len(), cluster.partitions.len()), (0, 3, 0));
}

#[test]
fn a_topic_is_made_once() {
    let mut world = World::new(1);
    let make = || Question::CreateTopic {
        name: "new".to_owned(),
        partitions: 2,
        replication_factor: 1,
        settings: Vec::new(),
        timeout_ms: 1_000,
    };
    assert_eq!(world.answer(Whom::Controller, make()), Ok(Reply::Created(0, String::new())));
    assert_eq!(world.describe("new").partitions.len(), 2);
    assert!(matches!(world.answer(Whom::Controller, make()), Ok(Reply::Created(36, _))));
}

#[test]
fn leaders_answer_for_their_own_partitions() {
    let mut world = World::new(2);
    world.pass(100_000);
    let Ok(Reply::Offsets(listed)) = world.answer(Whom::Broker(1), ends_of(&[0, 1])) else {
        panic!("no answer")
    };
    let listed: Vec<_> = listed.iter().map(|one| (one.partition, one.error, one.offset)).collect();
    assert_eq!(listed, [(0, 6, -1), (1, 0, 0)]);
}

#[test]
fn brokers_that_go_and_come_back_are_seen() {
    let mut world = World::new(2);
    world.pass(1_000_000);
    assert_eq!(world.up(), [(0, true), (1, true)]);
    world.server.stop_node(1);
    world.pass(3_000_000);
    assert!(!world.up().contains(&(1, true)), "{:?}", world.up());
    assert!(world.up().contains(&(0, true)));
    assert!(!world.admin.take_losses().is_empty(), "it was tried in vain");
    world.server.start_node(1);
    assert_eq!(world.describe(TOPIC).brokers.len(), 2, "whoever asks about topics learns of brokers, too");
    world.pass(3_000_000);
    assert_eq!(world.up(), [(0, true), (1, true)]);
}

#[test]
fn a_broker_that_is_frozen_holds_up_only_what_it_is_asked_itself() {
    let mut world = World::new(3);
    world.pass(1_000_000);
    world.server.freeze_node(1);
    assert_eq!(world.answer(Whom::Broker(1), ends_of(&[1])), Err(NoReply::TimedOut));
    for _ in 0..6 {
        assert_eq!(world.describe(TOPIC).error, 0, "another one answers");
    }
}

#[test]
fn nobody_at_all_is_an_answer_in_time() {
    let mut world = World::new(1);
    world.server.stop_node(0);
    let question = Question::Describe { topic: TOPIC.to_owned() };
    assert_eq!(world.answer(Whom::Any, question), Err(NoReply::TimedOut));
    world.server.start_node(0);
    world.pass(1_500_000);
    assert_eq!(world.describe(TOPIC).error, 0);
}
