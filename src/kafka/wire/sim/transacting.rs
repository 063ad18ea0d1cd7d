//! A run in a simulated world whose records are in transactions: committed ones are there as a whole, aborted ones are seen
//! by nobody, and what is not known is told as such, whatever happens to nodes, connections and the coordinator.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Flavour,
    coordinator::Broken,
    lines::{Lines, Weather},
    log::Limits,
    run::{circles, network},
    server::Server,
    topic::Settings,
    worlds::expect_all_found,
};
use crate::{
    kafka::wire::{
        batch::{BatchValue, Batches, Codec, NewRecord},
        core::{
            consumer::{Consumer, ConsumerSettings},
            machine::Machine,
            partition::{Fate, Settled},
            producer::{NotTaken, Producer},
            sink::SinkSettings,
            source::{ReadRecord, SourceEvent, SourceSettings, Visitor},
            transacting::TransactionalId,
            transaction::Outcome,
        },
    },
    partitions::{PartitionSlot, PartitionTable},
    random::Random,
};

const TOPIC: &str = "topic";
const FAULTS_US: u64 = 20_000_000;
const PATIENCE_US: u64 = 60_000_000;
const BEGAN_MS: i64 = 1_700_000_000_000;
/// A producer that is finished is followed by another after so long.
const RESTART_US: u64 = 100_000;
/// Rounds in which nothing may be left to do without any time passing.
const MOST_ROUNDS: usize = 10_000;

/// A record: where it went, in which transaction, and what became of it.
#[derive(Clone, Copy, Debug)]
struct Sent {
    partition: i32,
    transaction: usize,
    fate: Option<Fate>,
}

/// What was told of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    outcome: Option<Outcome>,
    /// Whether it was to be committed.
    commit: bool,
}

#[derive(Debug, Default)]
struct Shown {
    records: Vec<(i32, i64, u64)>,
    wrong: Vec<String>,
}

impl Visitor for Shown {
    fn record(&mut self, slot: PartitionSlot, record: &ReadRecord<'_>) {
        let partition = i32::try_from(slot.index()).expect("few partitions");
        let token = record.value.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes);
        self.records.push((partition, record.offset, token.unwrap_or(u64::MAX)));
    }

    fn event(&mut self, slot: PartitionSlot, event: SourceEvent<'_>) {
        match event {
            SourceEvent::Progress { .. } | SourceEvent::AtEnd { .. } | SourceEvent::Error(_) => {}
            event => self.wrong.push(format!("{slot:?}: {event:?}")),
        }
    }
}

/// Where the caller of the producer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    /// So many records are still to be sent in it.
    Open(usize),
    Ending,
    /// A new producer comes, µs.
    Restarting(u64),
    Done,
}

struct World {
    random: Random,
    server: Server,
    nodes: i32,
    partitions: i32,
    table: Arc<PartitionTable>,
    sink: SinkSettings,
    producer: Producer,
    producing: Lines,
    consumer: Consumer,
    consuming: Lines,
    weather: Weather,
    stage: Stage,
    transactions: Vec<Told>,
    most_transactions: usize,
    has_failed: bool,
    sent: Vec<Sent>,
    shown: Shown,
    next_push_us: u64,
    next_fault_us: u64,
    fault_most_us: u64,
    hurt: Option<i32>,
    restarts: usize,
    wrong: Vec<String>,
}

fn sink(random: &mut Random) -> SinkSettings {
    SinkSettings {
        linger_us: 0,
        batch_most_bytes: 200 + random.index(500),
        codec: Codec::None,
        request_most_bytes: 10_000,
        requests_in_flight: 1 + random.index(4),
        records_most: 1 + random.index(50),
        replicas_ms: 1_000,
        answer_us: 2_000_000,
        deposed_us: 300_000,
    }
}

fn consumer(random: &mut Random, table: &Arc<PartitionTable>) -> Consumer {
    let source = SourceSettings {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 1 << 20,
        partition_max_bytes: 100 + i32::try_from(random.index(5_000)).unwrap_or(0),
        requests_at_once: 1,
        reads_ahead: random.chance(0.5),
        read_committed: true,
        step_records: usize::MAX,
        unpacked_most_bytes: 1 << 20,
        back_off_us: 50_000,
        question_us: 5_000_000,
    };
    Consumer::new(ConsumerSettings { network: network("reader"), source, fetch_us: 5_000_000 }, table)
}

fn producer(sink: SinkSettings, table: &Arc<PartitionTable>) -> Producer {
    let id = TransactionalId { id: "id".into(), timeout_ms: 900_000 };
    let mut settings = network("writer");
    // What is asked of a node that hangs is soon asked again, and is late then.
    settings.question_us = 300_000;
    let mut producer = Producer::in_transactions(settings, sink, table, id);
    producer.transacting().expect("in transactions").start();
    producer
}

impl World {
    fn new(seed: u64, broken: Option<Broken>) -> Self {
        let mut random = Random::from_seed(seed);
        let (nodes, partitions) = (1 + small(&mut random, 3), 1 + small(&mut random, 4));
        let flavour = if random.chance(0.5) { Flavour::Kafka39 } else { Flavour::Kafka41 };
        let mut server = Server::new(flavour, nodes, BEGAN_MS);
        server.coordinator.broken = broken;
        server.make_topic(TOPIC, partitions, nodes, Settings::of(&[]).expect("no settings"));
        let weather = Weather {
            latency_most_us: 1 << (4 + random.index(13)),
            piece_most_bytes: 1 << (4 + random.index(12)),
            cut: if random.chance(0.5) { 0.0 } else { 0.01 },
            refused: if random.chance(0.5) { 0.0 } else { 0.1 },
            half_open: 0.0,
        };
        let fault_most_us = if random.chance(0.8) { 1 << (16 + random.index(7)) } else { u64::MAX };
        let sink = sink(&mut random);
        let table = Arc::new(PartitionTable::of_topic(TOPIC, 0..partitions));
        Self {
            server,
            nodes,
            partitions,
            sink,
            producer: producer(sink, &table),
            producing: Lines::new(weather),
            consumer: consumer(&mut random, &table),
            table,
            consuming: Lines::new(weather),
            weather,
            stage: Stage::Starting,
            transactions: Vec::new(),
            most_transactions: 1 + random.index(30),
            has_failed: false,
            sent: Vec::new(),
            shown: Shown::default(),
            next_push_us: 0,
            next_fault_us: fault_most_us,
            fault_most_us,
            hurt: None,
            restarts: 0,
            wrong: Vec::new(),
            random,
        }
    }

    fn play(mut self) -> Self {
        for slot in (0..self.partitions.unsigned_abs()).map(PartitionSlot::new) {
            self.consumer.read_from(slot, 0, None, 0);
        }
        while self.wrong.is_empty() && !self.is_over() {
            self.step();
            let now_us = self.server.now_us();
            if now_us > FAULTS_US + PATIENCE_US {
                let (stage, transactions) = (self.stage, self.transactions.len());
                let shown = self.shown.records.len();
                self.wrong.push(format!("no end: {stage:?} in transaction {transactions}, {shown} shown"));
            }
            let next_us = self.next_us().max(now_us + 1);
            self.server.advance_to(next_us);
        }
        self.judge();
        self.wrong.append(&mut self.shown.wrong);
        self
    }

    fn step(&mut self) {
        self.do_harm();
        self.move_on();
        let now_us = self.server.now_us();
        self.producer.handle_timeout(now_us);
        self.consumer.handle_timeout(now_us);
        let circles = circles(now_us, MOST_ROUNDS, || {
            let is_busy = self.producing.carry(&mut self.producer, &mut self.server, &mut self.random)
                | self.consuming.carry(&mut self.consumer, &mut self.server, &mut self.random);
            self.settle();
            self.move_on();
            while self.consumer.show(usize::MAX, &mut self.shown, now_us) > 0 {}
            is_busy
        });
        self.wrong.extend(circles);
    }

    /// What the caller of a producer does.
    fn move_on(&mut self) {
        let now_us = self.server.now_us();
        match self.stage {
            Stage::Open(left) => self.push(left, now_us),
            Stage::Starting | Stage::Ending => self.take_outcome(now_us),
            Stage::Restarting(at_us) if at_us <= now_us => {
                self.restarts += 1;
                self.producer = producer(self.sink, &self.table);
                self.producing = Lines::new(self.weather);
                self.stage = Stage::Starting;
            }
            Stage::Restarting(_) | Stage::Done => {}
        }
    }

    fn take_outcome(&mut self, now_us: u64) {
        let Some(transacting) = self.producer.transacting() else { return };
        let Some(outcome) = transacting.take_outcome(now_us) else { return };
        if self.stage == Stage::Ending {
            if self.sent.iter().any(|sent| sent.fate.is_none()) {
                self.wrong.push(format!("{outcome:?} is told before the records' fates"));
            }
            let index = self.transactions.len() - 1;
            self.transactions[index].outcome = Some(outcome);
        }
        if let Outcome::Finished(error) = outcome {
            if matches!(error, 47 | 90) {
                self.wrong.push("somebody else is said to have the id".to_owned());
            }
            self.stage = Stage::Restarting(now_us + RESTART_US);
            return;
        }
        if self.transactions.len() == self.most_transactions {
            self.stage = Stage::Done;
            return;
        }
        let commit = self.random.chance(0.7);
        self.transactions.push(Told { outcome: None, commit });
        self.has_failed = false;
        self.stage = Stage::Open(1 + self.random.index(20));
    }

    fn push(&mut self, left: usize, now_us: u64) {
        let index = self.transactions.len() - 1;
        if self.has_failed || self.producer.refusal().is_some() {
            return self.end(index, false);
        }
        if left == 0 {
            // An abort does not wait for its records.
            let is_settled = self.sent.iter().all(|sent| sent.fate.is_some());
            let commit = self.transactions[index].commit;
            if is_settled || !commit && self.random.chance(0.1) {
                self.end(index, commit);
            }
            return;
        }
        if self.next_push_us > now_us {
            return;
        }
        let (token, partition) = (self.sent.len(), small(&mut self.random, self.partitions));
        let value = (token as u64).to_be_bytes();
        let value = BatchValue::Copied(&value);
        let record = NewRecord { timestamp_ms: BEGAN_MS, key: b"", value, headers: &[] };
        match self.producer.push(PartitionSlot::new(partition.unsigned_abs()), &record, token) {
            Ok(()) => {
                self.sent.push(Sent { partition, transaction: index, fate: None });
                self.next_push_us = now_us + self.random.below(20_000);
                self.stage = Stage::Open(left - 1);
            }
            Err(NotTaken::Full) => self.next_push_us = now_us + 1_000,
            Err(error) => self.wrong.push(format!("a record is not taken: {error:?}")),
        }
    }

    fn end(&mut self, index: usize, commit: bool) {
        self.transactions[index].commit = commit;
        self.stage = Stage::Ending;
        if let Some(transacting) = self.producer.transacting() {
            transacting.end(commit);
        }
        let now_us = self.server.now_us();
        self.producer.step(now_us);
    }

    fn settle(&mut self) {
        let mut any = false;
        while let Some(Settled { batch, fate }) = self.producer.next_settled() {
            any = true;
            for (index, token) in (0..).zip(batch.tokens()) {
                let fate = match fate {
                    Fate::Acked { base_offset } => Fate::Acked { base_offset: base_offset + index },
                    fate => fate,
                };
                self.has_failed |= matches!(fate, Fate::Failed(_) | Fate::Unknown(_));
                if let Some(before) = self.sent[*token].fate.replace(fate) {
                    self.wrong.push(format!("record {token}: {before:?}, and then {fate:?}"));
                }
            }
            self.producer.recycle(batch);
        }
        if any {
            let now_us = self.server.now_us();
            self.producer.step(now_us);
        }
    }

    /// Nodes go down, hang and come back; leaders and the coordinator move.
    fn do_harm(&mut self) {
        let now_us = self.server.now_us();
        if now_us >= FAULTS_US {
            let calm = Weather { cut: 0.0, refused: 0.0, ..self.weather };
            self.producing.set_weather(calm);
            self.consuming.set_weather(calm);
            self.weather = calm;
            self.heal();
            self.next_fault_us = u64::MAX;
        } else if now_us >= self.next_fault_us {
            self.next_fault_us = now_us + 1 + self.random.below(self.fault_most_us);
            if self.hurt.is_some() {
                self.heal();
            } else {
                self.hurt_somebody(now_us);
            }
        }
    }

    fn hurt_somebody(&mut self, now_us: u64) {
        let node = small(&mut self.random, self.nodes);
        let other = small(&mut self.random, self.nodes);
        match self.random.index(5) {
            0 => {
                self.server.stop_node(node);
                self.hurt = Some(node);
            }
            kind @ 1..=2 => {
                self.server.freeze_node(node);
                self.hurt = Some(node);
                if kind == 2 {
                    self.server.depose_node(node);
                }
            }
            3 => {
                let partition = small(&mut self.random, self.partitions);
                self.server.elect_another(TOPIC, partition);
            }
            _ => {}
        }
        // It moves where its node is missed, and sometimes without that.
        if other != node && self.random.chance(0.5) {
            self.server.coordinator.move_to(other, now_us);
        }
    }

    fn heal(&mut self) {
        if let Some(node) = self.hurt.take() {
            if self.server.is_up(node) { self.server.thaw_node(node) } else { self.server.start_node(node) }
        }
    }

    fn is_over(&mut self) -> bool {
        self.stage == Stage::Done
            && self.hurt.is_none()
            && self.shown.records.len() >= self.committed().len()
            && self.server.coordinator.next_deadline_us().is_none()
    }

    fn next_us(&self) -> u64 {
        let now_us = self.server.now_us();
        let own = match self.stage {
            Stage::Open(0) => now_us + 10_000,
            Stage::Open(_) => self.next_push_us.max(now_us + 1),
            Stage::Restarting(at_us) => at_us,
            Stage::Starting | Stage::Ending | Stage::Done => u64::MAX,
        };
        let clients = [self.producer.next_deadline_us(now_us), self.consumer.next_deadline_us(now_us)];
        let network = [self.producing.next_deadline_us(), self.consuming.next_deadline_us()];
        let all = network.into_iter().flatten().chain(self.server.next_deadline_us()).chain(clients);
        let faults = if now_us < FAULTS_US { self.next_fault_us.min(FAULTS_US) } else { u64::MAX };
        all.min().unwrap_or(u64::MAX).min(own).min(faults).min(now_us + 1_000_000)
    }

    /// What is committed, by what lies in the logs: partition, offset, token.
    fn committed(&mut self) -> Vec<(i32, i64, u64)> {
        let all = (0..self.partitions).flat_map(|index| {
            let partition = self.server.partition(TOPIC, index).expect("a partition");
            let best =
                partition.replicas.values().max_by_key(|replica| replica.log.end()).expect("a replica");
            let limits = Limits { up_to: i64::MAX, max_bytes: i32::MAX, one_at_least: true };
            let bytes = best.log.read(0, limits).expect("a log");
            committed_of(&bytes).into_iter().map(move |(offset, token)| (index, offset, token))
        });
        all.collect()
    }

    /// What the logs hold, against what was told.
    fn judge(&mut self) {
        let committed = self.committed();
        let mut times = vec![0; self.sent.len()];
        for (partition, offset, token) in &committed {
            let sent = usize::try_from(*token).ok().and_then(|token| Some((token, *self.sent.get(token)?)));
            let Some((token, sent)) = sent else {
                self.wrong.push(format!("{partition}/{offset}: nobody's record"));
                continue;
            };
            times[token] += 1;
            match sent.fate {
                Some(Fate::Acked { base_offset })
                    if (sent.partition, base_offset) != (*partition, *offset) =>
                {
                    self.wrong.push(format!("record {token}, {sent:?}, is at {partition}/{offset}"));
                }
                Some(Fate::Failed(_)) => self.wrong.push(format!("record {token} has failed, and is there")),
                _ => {}
            }
        }
        for (index, told) in self.transactions.iter().enumerate() {
            let of_it = || (0..times.len()).filter(|token| self.sent[*token].transaction == index);
            let acked = |token: &usize| {
                matches!(self.sent[*token].fate, Some(Fate::Acked { .. } | Fate::AckedNoOffset))
            };
            let (whole, none) =
                (of_it().all(|token| times[token] == 1), of_it().all(|token| times[token] == 0));
            let fits = match told.outcome {
                Some(Outcome::Committed) => whole && told.commit && of_it().all(|token| acked(&token)),
                Some(Outcome::Aborted(_)) => none,
                Some(Outcome::Unknown(_) | Outcome::Finished(_)) | None => none || told.commit && whole,
                Some(Outcome::Started) => false,
            };
            if !fits {
                let times: Vec<_> = of_it().map(|token| times[token]).collect();
                self.wrong.push(format!("transaction {index}: {told:?}, and in the log {times:?}"));
            }
        }
        let mut shown = self.shown.records.clone();
        shown.sort_by_key(|(partition, ..)| *partition);
        if self.wrong.is_empty() && shown != committed {
            let (shown, committed) = (shown.len(), committed.len());
            self.wrong.push(format!("{committed} records are committed, and {shown} were shown, or others"));
        }
        if self.server.refused > 0 {
            self.wrong.push(format!("{} requests that this broker does not know", self.server.refused));
        }
    }
}

fn small(random: &mut Random, below: i32) -> i32 {
    i32::try_from(random.index(64)).unwrap_or(0) % below
}

/// Offsets and tokens of a log's committed records, in its order.
fn committed_of(bytes: &[u8]) -> Vec<(i64, u64)> {
    let (mut open, mut committed) = (BTreeMap::<i64, Vec<(i64, u64)>>::new(), Vec::new());
    for batch in Batches::new(bytes).flatten() {
        if batch.is_control() {
            let records = open.remove(&batch.producer_id()).unwrap_or_default();
            // The second number of the marker's key, which follows a record of five bytes.
            if batch.payload()[8] == 1 {
                committed.extend(records);
            }
            continue;
        }
        let records = batch.records(batch.payload()).flatten().filter_map(|record| {
            let token = u64::from_be_bytes(record.value?.try_into().ok()?);
            Some((record.offset, token))
        });
        open.entry(batch.producer_id()).or_default().extend(records);
    }
    committed.sort_unstable();
    committed
}

/// How many seeds, where forty are not enough; and which one is the first.
const SEEDS: &str = "PROOFLOAD_SEEDS";
const FIRST_SEED: &str = "PROOFLOAD_FIRST_SEED";

#[test]
fn whatever_happens_transactions_are_whole_or_not_there() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let (asked, first) = (number(SEEDS), number(FIRST_SEED).unwrap_or(0));
    let count = asked.unwrap_or(40);
    let (mut wrong, mut ends, mut restarts) = (Vec::new(), BTreeMap::<String, usize>::new(), 0);
    for seed in first..first + count {
        let world = World::new(seed, None).play();
        restarts += world.restarts;
        for told in &world.transactions {
            *ends.entry(format!("{:?}", told.outcome)).or_default() += 1;
        }
        if !world.wrong.is_empty() {
            wrong.push(format!("seed {seed}:\n  {}", world.wrong.join("\n  ")));
        }
    }
    if asked.is_some() {
        println!(
            "simulated: {} true, {} not, transactions: {restarts} restarts, {ends:?}",
            count - wrong.len() as u64,
            wrong.len()
        );
    }
    assert!(wrong.is_empty(), "{} of {count} worlds went wrong:\n{}", wrong.len(), wrong.join("\n"));
    if count >= 40 {
        // Else nothing is proven.
        let of = |outcome: Outcome| ends.get(&format!("{:?}", Some(outcome))).copied().unwrap_or(0);
        assert!(of(Outcome::Committed) > 100 && of(Outcome::Aborted(None)) > 50, "{ends:?}");
    }
}

/// A coordinator that breaks a rule has to be noticed, or the simulation is worth nothing.
#[test]
fn each_broken_rule_of_a_coordinator_is_found() {
    let goes_wrong = |seed, broken| !World::new(seed, Some(broken)).play().wrong.is_empty();
    // The rarest is not noticed in any seed below 60.
    expect_all_found(&Broken::ALL, 60..260, goes_wrong);
}
