//! The probes, asked of the simulated cluster: what real brokers answer, it has to answer.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use super::{
    Flavour,
    probes::{self, Asked, Closed, Kind, World},
    server::Server,
    topic::Settings,
};

/// A simulated cluster, whose time goes on when somebody waits.
struct Simulated {
    kind: Kind,
    server: RefCell<Server>,
}

impl Simulated {
    fn new(kind: Kind, nodes: i32) -> Self {
        let flavour = if kind == Kind::Kafka39 { Flavour::Kafka39 } else { Flavour::Kafka41 };
        let since = SystemTime::UNIX_EPOCH.elapsed().expect("a time behind 1970");
        let began_ms = i64::try_from(since.as_millis()).expect("a time in this age");
        Self { kind, server: RefCell::new(Server::new(flavour, nodes, began_ms)) }
    }
}

/// A connection to it.
struct Connection<'w> {
    world: &'w Simulated,
    id: u64,
    input: Vec<u8>,
}

impl Asked for Connection<'_> {
    fn send(&mut self, bytes: &[u8]) {
        self.world.server.borrow_mut().receive(self.id, bytes);
    }

    fn receive(&mut self) -> Result<Vec<u8>, Closed> {
        let mut server = self.world.server.borrow_mut();
        loop {
            self.input.extend(server.output(self.id));
            if let Some((length, rest)) = self.input.split_first_chunk::<4>() {
                let length = usize::try_from(i32::from_be_bytes(*length)).expect("a length");
                if rest.len() >= length {
                    let frame = rest[..length].to_vec();
                    self.input.drain(..4 + length);
                    return Ok(frame);
                }
            }
            if server.has_closed(self.id) {
                return Err(Closed);
            }
            let next = server.next_deadline_us().expect("neither an answer nor anything that is due");
            server.advance_to(next);
        }
    }
}

impl World for Simulated {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn connect(&self, node: i32) -> Box<dyn Asked + '_> {
        let id = self.server.borrow_mut().connect(node);
        Box::new(Connection { world: self, id, input: Vec::new() })
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.server.borrow().now_us())
    }

    fn pause(&self, time: Duration) {
        let mut server = self.server.borrow_mut();
        let until = server.now_us() + u64::try_from(time.as_micros()).expect("a short time");
        while let Some(due) = server.next_deadline_us().filter(|due| *due < until) {
            server.advance_to(due);
        }
        server.advance_to(until);
    }

    fn make_topic(&self, name: &str, partitions: i32, replicas: i16, settings: &[(&str, &str)]) {
        let settings = Settings::of(settings).expect("settings that are known");
        self.server.borrow_mut().make_topic(name, partitions, replicas.into(), settings);
    }

    fn delete_topic(&self, name: &str) {
        self.server.borrow_mut().topics.remove(name);
    }

    fn delete_records_below(&self, topic: &str, offset: i64) {
        let mut server = self.server.borrow_mut();
        let partition = server.partition(topic, 0).expect("the topic");
        partition.replicas.values_mut().for_each(|replica| replica.log.delete_below(offset));
    }

    fn move_leader(&self, topic: &str) -> i32 {
        let mut server = self.server.borrow_mut();
        let partition = server.partition(topic, 0).expect("the topic");
        let next = 1 - partition.leader;
        partition.elect(next);
        partition.replicate();
        next
    }

    fn limit_producers(&self, client_id: &str, bytes_per_s: f64) {
        self.server.borrow_mut().throttle.limit(client_id, bytes_per_s);
    }
}

/// Every probe, on a cluster of its own.
fn ask_all(kind: Kind) {
    let asked = probes::all().filter(|probe| probe.suits(kind, 2));
    let wrong: Vec<_> = asked
        .filter(|probe| {
            let nodes = if probe.place == probes::Where::TwoNodes { 2 } else { 1 };
            let run = || probe.run(&Simulated::new(kind, nodes), "topic");
            std::panic::catch_unwind(run).is_err()
        })
        .map(|probe| probe.name())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn it_answers_as_kafka_3_9_does() {
    ask_all(Kind::Kafka39);
}

#[test]
fn it_answers_as_kafka_4_1_does() {
    ask_all(Kind::Kafka41);
}
