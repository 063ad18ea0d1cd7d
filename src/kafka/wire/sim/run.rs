//! A run in a simulated world: a producer, a sequential and a random reader, faults, and what has to hold whatever happens.

use std::{rc::Rc, sync::Arc};

use super::{
    faults::{FAULTS_US, Faults},
    lines::FIRST_PORT,
    logins::{PASSWORD, USER},
    looking::Looking,
    plan::Plan,
    quirks::Quirks,
    reading::Reading,
    server::{Canary, Server},
    topic::Settings,
    writing::{Due, Writing},
};
use crate::{
    config::Secret,
    kafka::wire::core::{
        cluster::RefreshTimes,
        connection::ConnectionSettings,
        login::{Login, Mechanism},
        network::{Bootstrap, NetworkSettings},
    },
    partitions::{PartitionSlot, PartitionTable},
    random::Random,
};

/// Goes round until nothing is busy any more, without any time passing. What is wrong where it does not come to that.
pub(super) fn circles(now_us: u64, most_rounds: usize, mut is_busy: impl FnMut() -> bool) -> Option<String> {
    let comes_to_rest = (0..=most_rounds).any(|_| !is_busy());
    (!comes_to_rest).then(|| format!("at {now_us} µs it goes round in circles"))
}

/// All partitions of the topic have the slots of their numbers.
pub(super) fn table(plan: &Plan) -> Arc<PartitionTable> {
    Arc::new(PartitionTable::of_topic(TOPIC, 0..plan.partitions))
}

/// A partition's slot.
pub(super) fn slot(partition: i32) -> PartitionSlot {
    PartitionSlot::new(partition.unsigned_abs())
}

pub(super) const TOPIC: &str = "topic";
pub(super) const BEGAN_MS: i64 = 1_700_000_000_000;
/// How long everything may take after the last fault.
const PATIENCE_US: u64 = 60_000_000;
/// Then a record is sent to each partition, which may learn with it that it is not known any more; and when that is settled,
/// so many more, all of which have to arrive.
const CALM_US: u64 = 1_000_000;
const CALM_RECORDS: usize = 2;
/// Rounds in which nothing may be left to do without any time passing.
pub(super) const MOST_ROUNDS: usize = 20_000;
/// How often in a row something may be due at once.
const MOST_SPINS: usize = 2_000;

/// All that there is in a world.
pub(super) struct Run {
    pub plan: Plan,
    random: Random,
    pub server: Server,
    pub writing: Writing,
    pub reading: Reading,
    pub looking: Looking,
    faults: Faults,
    /// What the random reader had found when nothing went wrong any more.
    found: usize,
    /// The last records are being sent.
    is_proven: bool,
    pub wrong: Vec<String>,
}

/// Of a client that the simulated brokers know by this name.
pub(super) fn known(client_id: &str, plan: &Plan) -> NetworkSettings {
    let login = plan.session_ms.map(|_| {
        let nonce: fn() -> String = || "nonce".to_owned();
        Rc::new(Login::new(Mechanism::Plain, USER, Secret::new(PASSWORD.to_owned()), nonce))
    });
    let settings = network(client_id);
    NetworkSettings { connection: ConnectionSettings { login, ..settings.connection }, ..settings }
}

/// The same, of one without a name.
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
    pub(super) fn new(seed: u64, canary: Option<Canary>) -> Self {
        let mut random = Random::from_seed(seed);
        let plan = Plan::of(&mut random);
        let mut server = Server::new(plan.flavour, plan.nodes, BEGAN_MS);
        server.canary = canary;
        server.session_ms = plan.session_ms;
        server.quirks = Quirks::new(plan.quirks, random.next_u64());
        if let Some(bytes_per_s) = plan.quota {
            server.throttle.limit("writer", bytes_per_s.into());
        }
        let settings = Settings { min_in_sync: plan.min_in_sync, ..Settings::of(&[]).expect("no settings") };
        server.make_topic(TOPIC, plan.partitions, plan.replicas, settings);
        Self {
            writing: Writing::new(&plan),
            reading: Reading::new(&plan),
            looking: Looking::new(&plan),
            faults: Faults::new(&plan),
            found: 0,
            is_proven: false,
            wrong: Vec::new(),
            plan,
            random,
            server,
        }
    }

    /// Plays it to its end. What was wrong is in `wrong`.
    pub(super) fn play(mut self) -> Self {
        let mut spins = 0;
        while !self.is_over() && self.wrong.is_empty() {
            self.step();
            let now_us = self.server.now_us();
            if now_us > FAULTS_US + PATIENCE_US {
                self.wrong.push(format!("no end: {}", self.standing()));
                break;
            }
            let next_us = self.next_us();
            spins = if next_us <= now_us + 1 { spins + 1 } else { 0 };
            if spins > MOST_SPINS {
                self.wrong
                    .push(format!("at {now_us} µs something is due that nobody does: {}", self.standing()));
            }
            self.server.advance_to(next_us.max(now_us + 1));
        }
        if self.wrong.is_empty() {
            self.judge();
        }
        self
    }

    fn standing(&self) -> String {
        let settled = self.writing.sent.iter().filter(|sent| sent.fate.is_some()).count();
        let shown: Vec<_> = self.reading.read.iter().map(|read| read.records.len()).collect();
        format!(
            "{} of {} pushed, {settled} settled, {shown:?} shown, {} found since {}",
            self.writing.sent.len(),
            self.records(),
            self.looking.found,
            self.found
        )
    }

    /// All records, with those that are sent when nothing goes wrong any more.
    fn records(&self) -> usize {
        self.plan.records + usize::try_from(self.plan.partitions).unwrap_or(0) * (1 + CALM_RECORDS)
    }

    /// What may have been sent by now.
    fn due(&self) -> Due {
        let partitions = usize::try_from(self.plan.partitions).unwrap_or(0);
        let first = self.plan.records + partitions;
        if self.server.now_us() < FAULTS_US + CALM_US {
            Due { records: self.plan.records, by_turns: false, is_calm: false }
        } else if self.writing.sent.len() < first || !self.writing.is_over(first) && !self.is_proven {
            Due { records: first, by_turns: true, is_calm: false }
        } else {
            Due { records: self.records(), by_turns: true, is_calm: true }
        }
    }

    /// Everything that can happen now.
    fn step(&mut self) {
        let now_us = self.server.now_us();
        if self.faults.act(&self.plan, &mut self.server, &mut self.random) {
            let calm = self.plan.weather.calm();
            for lines in [&mut self.writing.lines, &mut self.reading.lines, &mut self.looking.lines] {
                lines.set_weather(calm);
            }
            self.found = self.looking.found;
        }
        let due = self.due();
        self.is_proven |= due.is_calm;
        self.writing.push(due, self.plan.partitions, (now_us, &mut self.random));
        self.looking.aim(&mut self.server, &mut self.random);
        self.writing.handle_timeout(now_us);
        self.reading.handle_timeout(now_us);
        self.looking.handle_timeout(now_us);
        let circles = circles(now_us, MOST_ROUNDS, || {
            let is_busy = self.writing.carry(&mut self.server, &mut self.random)
                | self.reading.carry(&mut self.server, &mut self.random)
                | self.looking.carry(&mut self.server, &mut self.random);
            self.writing.settle(&mut self.server);
            self.reading.look(&mut self.server);
            self.looking.look(&mut self.server, &mut self.random);
            is_busy
        });
        self.wrong.extend(circles);
        self.gather();
    }

    fn gather(&mut self) {
        let Self { writing, reading, looking, wrong, .. } = self;
        let all = [
            (&mut writing.wrong, &mut writing.lines),
            (&mut reading.wrong, &mut reading.lines),
            (&mut looking.wrong, &mut looking.lines),
        ];
        for (own, lines) in all {
            wrong.append(own);
            wrong.append(&mut lines.wrong);
        }
    }

    fn is_over(&mut self) -> bool {
        let is_found = self.looking.found > self.found;
        self.faults.are_over()
            && is_found
            && self.writing.is_over(self.records())
            && self.reading.is_over(&mut self.server)
    }

    fn next_us(&self) -> u64 {
        let now_us = self.server.now_us();
        let calm_us = if now_us < FAULTS_US + CALM_US { FAULTS_US + CALM_US } else { u64::MAX };
        let is_pushing = self.writing.sent.len() < self.due().records;
        [
            self.writing.next_us(is_pushing, now_us),
            self.reading.next_us(now_us),
            self.looking.next_us(now_us),
            self.server.next_deadline_us().unwrap_or(u64::MAX),
            self.faults.next_us(),
            calm_us,
            now_us + 1_000_000,
        ]
        .into_iter()
        .min()
        .unwrap_or(u64::MAX)
    }
}
