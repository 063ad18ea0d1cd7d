//! A run in a simulated world: a producer, a consumer, faults, and what has to hold whatever happens.

use std::{rc::Rc, sync::Arc};

use super::{
    Flavour,
    lines::{FIRST_PORT, Lines, Weather},
    server::{Canary, Server},
    topic::Settings,
};
use crate::{
    kafka::wire::{
        batch::{BatchValue, Codec, NewRecord},
        core::{
            cluster::RefreshTimes,
            connection::ConnectionSettings,
            consumer::{Consumer, ConsumerSettings},
            machine::Machine,
            network::{Bootstrap, NetworkSettings},
            partition::{Fate, Settled},
            producer::{NotTaken, Producer},
            sink::SinkSettings,
            source::{ReadRecord, SourceEvent, SourceSettings, Visitor},
        },
    },
    partitions::{PartitionSlot, PartitionTable},
    random::Random,
};

const TOPIC: &str = "topic";
/// How long faults go on.
const FAULTS_US: u64 = 20_000_000;
/// How long everything may take after the last of them.
const PATIENCE_US: u64 = 60_000_000;
const BEGAN_MS: i64 = 1_700_000_000_000;

/// What a seed stands for.
#[derive(Clone, Copy, Debug)]
struct Plan {
    flavour: Flavour,
    nodes: i32,
    partitions: i32,
    records: usize,
    weather: Weather,
    /// How long it is until the next record at the most, µs.
    push_most_us: u64,
    /// How long it is until the next fault at the most, µs; 0: there is none.
    fault_most_us: u64,
}

impl Plan {
    fn of(random: &mut Random) -> Self {
        let nodes = 1 + i32::try_from(random.index(3)).unwrap_or(0);
        Self {
            flavour: if random.chance(0.5) { Flavour::Kafka39 } else { Flavour::Kafka41 },
            nodes,
            partitions: 1 + i32::try_from(random.index(4)).unwrap_or(0),
            records: 1 + random.index(400),
            weather: Weather {
                latency_most_us: 1 << (4 + random.index(14)),
                piece_most_bytes: 1 << (4 + random.index(12)),
                cut: if random.chance(0.5) { 0.0 } else { 0.01 },
                refused: if random.chance(0.5) { 0.0 } else { 0.1 },
            },
            push_most_us: 1 << (2 + random.index(15)),
            fault_most_us: if random.chance(0.8) { 1 << (16 + random.index(7)) } else { 0 },
        }
    }
}

/// What a node suffers from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// It is gone, and so are its connections.
    Dead,
    /// It neither reads nor answers; its connections stay.
    Frozen,
}

/// What became of a record, and where it went.
#[derive(Clone, Copy, Debug)]
struct Sent {
    partition: i32,
    fate: Option<Fate>,
}

/// What a consumer was shown.
#[derive(Debug, Default)]
struct Shown {
    records: Vec<(i32, i64, usize)>,
    wrong: Vec<String>,
}

impl Visitor for Shown {
    fn record(&mut self, slot: PartitionSlot, record: &ReadRecord<'_>) {
        let partition = number(slot);
        let token = record.value.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes);
        let token = token.and_then(|token| usize::try_from(token).ok());
        match token {
            Some(token) => self.records.push((partition, record.offset, token)),
            None => self.wrong.push(format!("{partition}/{}: nobody's record", record.offset)),
        }
    }

    fn event(&mut self, slot: PartitionSlot, event: SourceEvent<'_>) {
        let partition = number(slot);
        match event {
            SourceEvent::Progress { .. } | SourceEvent::AtEnd { .. } | SourceEvent::Error(_) => {}
            event => self.wrong.push(format!("partition {partition}: {event:?}")),
        }
    }
}

/// All partitions of the topic have the slots of their numbers.
fn number(slot: PartitionSlot) -> i32 {
    i32::try_from(slot.index()).expect("few partitions")
}

struct Run {
    plan: Plan,
    random: Random,
    server: Server,
    producer: Producer,
    producing: Lines,
    consumer: Consumer,
    consuming: Lines,
    sent: Vec<Sent>,
    shown: Shown,
    next_push_us: u64,
    next_fault_us: u64,
    /// A node that is not what it was, and what it suffers from.
    hurt: Option<(i32, Harm)>,
    wrong: Vec<String>,
}

/// Of a client that the simulated brokers know by this name.
pub(super) fn network(client_id: &str) -> NetworkSettings {
    NetworkSettings {
        bootstrap: vec![Bootstrap { host: Rc::from("simulated"), port: FIRST_PORT }],
        connection: ConnectionSettings {
            client_id: Rc::from(client_id),
            receive_bytes: 1_000,
            response_most_bytes: 1 << 20,
            handshake_us: 5_000_000,
            login: None,
        },
        refresh: RefreshTimes { age_us: 300_000_000, shortest_us: 20_000, longest_us: 1_000_000 },
        reconnect_shortest_us: 20_000,
        reconnect_longest_us: 1_000_000,
        question_us: 5_000_000,
        hedge_us: 500_000,
        idle_us: 540_000_000,
        traces: false,
    }
}

impl Run {
    fn new(seed: u64, canary: Option<Canary>) -> Self {
        let mut random = Random::from_seed(seed);
        let plan = Plan::of(&mut random);
        let mut server = Server::new(plan.flavour, plan.nodes, BEGAN_MS);
        server.canary = canary;
        let settings = Settings::of(&[]).expect("no settings");
        server.make_topic(TOPIC, plan.partitions, plan.nodes, settings);
        let sink = SinkSettings {
            linger_us: 0,
            batch_most_bytes: 200 + random.index(2_000),
            // The simulated brokers unpack nothing.
            codec: Codec::None,
            request_most_bytes: 10_000,
            requests_in_flight: 1 + random.index(4),
            records_most: 1 + random.index(200),
            replicas_ms: 1_000,
            answer_us: 5_000_000,
            deposed_us: 300_000,
        };
        let source = SourceSettings {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: 1 << 20,
            partition_max_bytes: 100 + i32::try_from(random.index(5_000)).unwrap_or(0),
            reads_ahead: random.chance(0.5),
            read_committed: random.chance(0.5),
            step_records: if random.chance(0.5) { usize::MAX } else { 1 + random.index(20) },
            unpacked_most_bytes: 1 << 20,
            back_off_us: 50_000,
            question_us: 5_000_000,
        };
        let table = Arc::new(PartitionTable::of_topic(TOPIC, 0..plan.partitions));
        let reading = ConsumerSettings { network: network("reader"), source, fetch_us: 5_000_000 };
        Self {
            plan,
            server,
            producer: Producer::new(network("writer"), sink, &table),
            producing: Lines::new(plan.weather),
            consumer: Consumer::new(reading, &table),
            consuming: Lines::new(plan.weather),
            sent: Vec::new(),
            shown: Shown::default(),
            next_push_us: 0,
            next_fault_us: plan.fault_most_us,
            hurt: None,
            wrong: Vec::new(),
            random,
        }
    }

    /// Plays it to its end. What was wrong is in `wrong`.
    fn play(mut self) -> Self {
        for slot in (0..self.plan.partitions.unsigned_abs()).map(PartitionSlot::new) {
            self.consumer.read_from(slot, 0, None, 0);
        }
        while !self.is_over() && self.wrong.is_empty() {
            self.step();
            let now_us = self.server.now_us();
            if now_us > FAULTS_US + PATIENCE_US {
                let settled = self.sent.iter().filter(|sent| sent.fate.is_some()).count();
                self.wrong.push(format!(
                    "no end: {} of {} pushed, {settled} settled, {} shown",
                    self.sent.len(),
                    self.plan.records,
                    self.shown.records.len()
                ));
                break;
            }
            let next_us = self.next_us().max(now_us + 1);
            self.server.advance_to(next_us);
        }
        self.judge();
        self.wrong.append(&mut self.shown.wrong);
        self
    }

    /// Everything that can happen now.
    fn step(&mut self) {
        let now_us = self.server.now_us();
        self.do_harm(now_us);
        self.push();
        self.producer.handle_timeout(now_us);
        self.consumer.handle_timeout(now_us);
        for round in 0.. {
            let is_busy = self.producing.carry(&mut self.producer, &mut self.server, &mut self.random)
                | self.consuming.carry(&mut self.consumer, &mut self.server, &mut self.random);
            self.settle();
            while self.consumer.show(&mut self.shown, now_us) > 0 {}
            if !is_busy {
                break;
            }
            if round > 10_000 {
                self.wrong.push(format!("at {now_us} µs it goes round in circles"));
                break;
            }
        }
    }

    fn push(&mut self) {
        while self.sent.len() < self.plan.records && self.next_push_us <= self.server.now_us() {
            let token = self.sent.len();
            let partition = i32::try_from(self.random.index(64)).unwrap_or(0) % self.plan.partitions;
            let value = (token as u64).to_be_bytes();
            let record = NewRecord {
                timestamp_ms: BEGAN_MS,
                key: b"",
                value: BatchValue::Copied(&value),
                headers: &[],
            };
            match self.producer.push(PartitionSlot::new(partition.unsigned_abs()), &record, token) {
                Ok(()) => {
                    self.sent.push(Sent { partition, fate: None });
                    self.next_push_us += 1 + self.random.below(self.plan.push_most_us);
                }
                Err(NotTaken::Full) => {
                    self.next_push_us = self.server.now_us() + 1_000;
                    return;
                }
                Err(error) => {
                    self.wrong.push(format!("a record is not taken: {error:?}"));
                    return;
                }
            }
        }
    }

    fn settle(&mut self) {
        while let Some(Settled { batch, fate }) = self.producer.next_settled() {
            for (index, token) in (0..).zip(batch.tokens()) {
                let fate = match fate {
                    Fate::Acked { base_offset } => Fate::Acked { base_offset: base_offset + index },
                    fate => fate,
                };
                let sent = &mut self.sent[*token];
                if let Some(before) = sent.fate.replace(fate) {
                    self.wrong.push(format!("record {token}: {before:?}, and then {fate:?}"));
                }
                let Fate::Acked { base_offset: offset } = fate else { continue };
                if self.server.value_at(TOPIC, sent.partition, offset) != Some(*token as u64) {
                    let partition = sent.partition;
                    self.wrong.push(format!("record {token} is acked, and not at {partition}/{offset}"));
                }
            }
            self.producer.recycle(batch);
        }
    }

    /// Nodes go down and come back, leaders move.
    fn do_harm(&mut self, now_us: u64) {
        if now_us >= FAULTS_US {
            let calm = Weather { cut: 0.0, refused: 0.0, ..self.plan.weather };
            self.producing.set_weather(calm);
            self.consuming.set_weather(calm);
            self.heal();
            self.next_fault_us = u64::MAX;
        } else if self.plan.fault_most_us > 0 && now_us >= self.next_fault_us {
            self.next_fault_us = now_us + 1 + self.random.below(self.plan.fault_most_us);
            if self.hurt.is_some() {
                self.heal();
            } else {
                self.hurt_somebody();
            }
        }
    }

    fn hurt_somebody(&mut self) {
        let any = |random: &mut Random, of: i32| i32::try_from(random.index(64)).unwrap_or(0) % of;
        let node = any(&mut self.random, self.plan.nodes);
        match self.random.index(4) {
            0 => {
                self.server.stop_node(node);
                self.hurt = Some((node, Harm::Dead));
            }
            kind @ 1..=2 => {
                self.server.freeze_node(node);
                self.hurt = Some((node, Harm::Frozen));
                if kind == 2 {
                    // It is missed, and others lead in its place.
                    self.server.depose_node(node);
                }
            }
            _ => {
                let partition = any(&mut self.random, self.plan.partitions);
                self.server.elect_another(TOPIC, partition);
            }
        }
    }

    fn heal(&mut self) {
        match self.hurt.take() {
            Some((node, Harm::Dead)) => self.server.start_node(node),
            Some((node, Harm::Frozen)) => self.server.thaw_node(node),
            None => {}
        }
    }

    fn is_over(&self) -> bool {
        let is_settled =
            self.sent.len() == self.plan.records && self.sent.iter().all(|sent| sent.fate.is_some());
        is_settled && self.shown.records.len() >= self.server.values(TOPIC).len() && self.hurt.is_none()
    }

    fn next_us(&self) -> u64 {
        let now_us = self.server.now_us();
        let clients = [self.producer.next_deadline_us(now_us), self.consumer.next_deadline_us(now_us)];
        let network = [self.producing.next_deadline_us(), self.consuming.next_deadline_us()];
        let faults = if self.plan.fault_most_us > 0 { self.next_fault_us.min(FAULTS_US) } else { FAULTS_US };
        let pushing =
            if self.sent.len() < self.plan.records { self.next_push_us.max(now_us + 1) } else { u64::MAX };
        let faults = if faults > now_us { faults } else { u64::MAX };
        let all = network.into_iter().flatten().chain(self.server.next_deadline_us()).chain(clients);
        all.min().unwrap_or(u64::MAX).min(faults).min(pushing).min(now_us + 1_000_000)
    }

    /// What the log holds, against what was told of it.
    fn judge(&mut self) {
        let values = self.server.values(TOPIC);
        let mut times = vec![0; self.sent.len()];
        let mut last = vec![None; usize::try_from(self.plan.partitions).unwrap_or(0)];
        for (partition, offset, token) in &values {
            let Some(sent) = usize::try_from(*token).ok().and_then(|token| self.sent.get(token)) else {
                self.wrong.push(format!("{partition}/{offset}: nobody's record"));
                continue;
            };
            let token = usize::try_from(*token).unwrap_or(0);
            times[token] += 1;
            let before = last[usize::try_from(*partition).unwrap_or(0)].replace(token);
            let is_unknown = matches!(sent.fate, Some(Fate::Unknown(_)));
            if before.is_some_and(|before| before > token) && !is_unknown {
                self.wrong.push(format!("{partition}/{offset}: record {token} behind {before:?}"));
            }
            if sent.partition != *partition {
                self.wrong.push(format!("record {token} is in partition {partition}"));
            }
        }
        for (token, (sent, times)) in self.sent.iter().zip(times).enumerate() {
            let fits = match sent.fate {
                Some(Fate::Acked { .. } | Fate::AckedSomewhere) => times == 1,
                Some(Fate::Failed(_)) => times == 0,
                Some(Fate::Unknown(_)) | None => times <= 1,
            };
            if !fits {
                self.wrong.push(format!("record {token}, {:?}, is in the log {times} times", sent.fate));
            }
        }
        if self.wrong.is_empty() {
            let mut shown = self.shown.records.clone();
            // In the order of each partition; between partitions there is none.
            shown.sort_by_key(|(partition, ..)| *partition);
            let expected: Vec<_> = values
                .into_iter()
                .map(|(partition, offset, token)| (partition, offset, usize::try_from(token).unwrap_or(0)))
                .collect();
            if shown != expected {
                self.wrong.push(format!(
                    "{} records are in the log, and {} were shown, or others",
                    expected.len(),
                    shown.len()
                ));
            }
        }
        if self.server.refused > 0 {
            self.wrong.push(format!("{} requests that this broker does not know", self.server.refused));
        }
    }
}

/// What happened in some worlds, all together.
#[derive(Clone, Copy, Debug, Default)]
struct Happened {
    records: usize,
    duplicates: usize,
    cuts: usize,
    elections: i32,
}

impl Happened {
    fn add(&mut self, run: &Run) {
        self.records += run.sent.len();
        self.duplicates += run.server.duplicates;
        self.cuts += run.producing.cuts + run.consuming.cuts;
        self.elections += run.server.elections(TOPIC);
    }
}

/// Worlds that go wrong, and what happened in all of them.
fn play_all(seeds: std::ops::Range<u64>) -> (Vec<String>, Happened) {
    let (mut wrong, mut happened) = (Vec::new(), Happened::default());
    for seed in seeds {
        let run = Run::new(seed, None).play();
        happened.add(&run);
        if !run.wrong.is_empty() {
            wrong.push(format!("seed {seed}, {:?}:\n  {}", run.plan, run.wrong.join("\n  ")));
        }
    }
    (wrong, happened)
}

/// How many seeds, where forty are not enough; and which one is the first.
const SEEDS: &str = "PROOFLOAD_SEEDS";
const FIRST_SEED: &str = "PROOFLOAD_FIRST_SEED";

#[test]
fn whatever_happens_each_record_is_once_in_the_log_and_shown() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let (asked, first) = (number(SEEDS), number(FIRST_SEED).unwrap_or(0));
    let count = asked.unwrap_or(40);
    let (wrong, happened) = play_all(first..first + count);
    if asked.is_some() {
        println!("simulated: {} true, {} not, {happened:?}", count - wrong.len() as u64, wrong.len());
    }
    assert!(wrong.is_empty(), "{} of {count} worlds went wrong:\n{}", wrong.len(), wrong.join("\n"));
    if count >= 40 {
        // Else nothing is proven.
        let Happened { records, duplicates, cuts, elections } = happened;
        assert!(records > 1_000 && duplicates > 10 && cuts > 10 && elections > 10, "{happened:?}");
    }
}

#[test]
fn a_seed_is_played_alike_each_time() {
    let played = |seed| {
        let run = Run::new(seed, None).play();
        (
            run.server.now_us(),
            run.server.duplicates,
            run.producing.cuts,
            run.consuming.cuts,
            run.shown.records,
        )
    };
    for seed in 0..10 {
        assert_eq!(played(seed), played(seed), "seed {seed}");
    }
}

/// A broker that breaks a rule has to be noticed, or the simulation is worth nothing.
#[test]
fn each_broken_rule_is_found() {
    for canary in Canary::ALL {
        let found = (0..1_000).find(|seed| !Run::new(*seed, Some(canary)).play().wrong.is_empty());
        assert!(found.is_some(), "{canary:?} is not noticed");
    }
}
