//! A group in a simulated world: members that are dealt partitions and lose them at random moments, each with a client of ours
//! that finds out where it begins, and reads. Nothing is shown of what is somebody else's, and everything to somebody.

use std::{cell::RefCell, collections::BTreeMap, ops::ControlFlow, rc::Rc, sync::Arc};

use super::{
    dealing::Dealing,
    faults::{FAULTS_US, Faults},
    member::{Client, GROUP, Side},
    plan::Plan,
    quirks::Quirks,
    run::{BEGAN_MS, MOST_ROUNDS, TOPIC, circles, table},
    server::Server,
    topic::Settings,
    versions,
    worlds::{FIRST_SEED, SEEDS, expect_all_found, number},
    writing::{Due, Writing},
};
use crate::{
    kafka::{
        GroupReader, GroupStart, GroupVisitor, Handover, Isolation, Joined, KafkaError, LogEvent,
        MemberSettings,
    },
    mutants,
    partitions::PartitionSlot,
    random::Random,
    record::RecordView,
};

/// How long everything may take after the last fault, µs.
const PATIENCE_US: u64 = 60_000_000;
/// How long it is until a member commits again, and until a coordinator moves, at the most, µs.
const COMMIT_MOST_US: u64 = 300_000;
const MOVE_MOST_US: u64 = 2_000_000;
/// How likely a member does not want the record that it is shown now.
const BREAKS_OFF: f64 = 0.005;
/// How likely a member is busy with something else, whenever it could be served, and for how long at the most, µs.
const NAPS: f64 = 0.02;
const NAP_MOST_US: u64 = 200_000;

/// A rule that the group breaks, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// What is revoked is dealt out at once.
    DealsOutEarly,
    /// The coordinator answers with the place before the last one.
    IsBehind,
}

/// A member: who it is to its group, and its client.
struct Seat {
    joined: Joined<Side, Side>,
    client: Rc<RefCell<Client>>,
    next_commit_us: u64,
    /// Nothing is polled before.
    naps_until_us: u64,
}

/// All that there is in a world.
struct World {
    plan: Plan,
    random: Random,
    server: Server,
    writing: Writing,
    faults: Faults,
    dealing: Rc<RefCell<Dealing>>,
    seats: Vec<Seat>,
    next_rebalance_us: u64,
    rebalance_most_us: u64,
    next_move_us: u64,
    moves: usize,
    wrong: Vec<String>,
}

/// What a member is shown.
struct Eyes<'a> {
    member: usize,
    dealing: &'a RefCell<Dealing>,
    server: &'a mut Server,
    random: &'a mut Random,
    is_calm: bool,
}

impl Eyes<'_> {
    fn accuse(&mut self, what: &str) {
        let wrong = format!("at {} µs member {}: {what}", self.server.now_us(), self.member);
        self.dealing.borrow_mut().wrong.push(wrong);
    }
}

impl GroupVisitor for Eyes<'_> {
    fn record(&mut self, partition: PartitionSlot, record: &RecordView<'_>) -> ControlFlow<()> {
        if !self.is_calm && self.random.chance(BREAKS_OFF) {
            return ControlFlow::Break(());
        }
        let (index, offset) = (partition.index(), record.offset);
        self.server.tell(|| format!("  member {} is shown {index}/{offset}", self.member));
        let number = record.value.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes);
        let there = self.server.value_at(TOPIC, i32::try_from(index).unwrap_or(-1), offset);
        if number.is_none() || number != there {
            self.accuse(&format!("{index}/{offset} is {number:?}, and not {there:?}"));
        }
        self.dealing.borrow_mut().show(self.member, index, offset);
        ControlFlow::Continue(())
    }

    fn assigned(&mut self, _partition: PartitionSlot) {}

    fn event(&mut self, partition: Option<PartitionSlot>, event: LogEvent<'_>) {
        match (event, partition) {
            (LogEvent::Progress { next_offset: reached } | LogEvent::AtEnd { end: reached }, Some(slot)) => {
                self.dealing.borrow_mut().reach(self.member, slot.index(), reached);
            }
            (LogEvent::Transient(_), _) => {}
            _ => self.accuse(&format!("{partition:?}: {event:?}")),
        }
    }

    fn refused(&mut self, error: KafkaError) {
        self.accuse(&format!("the group refuses it: {error:?}"));
    }
}

/// A plan of nothing but groups: no record is lost, and all are sent.
fn plan(random: &mut Random) -> Plan {
    Plan { is_unclean: false, gives_up_us: None, ..Plan::of(random) }
}

fn seats(plan: &Plan, random: &mut Random, dealing: &Rc<RefCell<Dealing>>, members: usize) -> Vec<Seat> {
    let handover = random.chance(0.5).then(|| {
        let unknown = (0..plan.partitions).map(|_| (-1, None));
        Arc::new(Handover::new(unknown))
    });
    let isolation =
        if plan.source.read_committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let settings = MemberSettings {
        group: GROUP.to_owned(),
        isolation,
        start: GroupStart::Start,
        members,
        session_timeout: None,
        rebalance_timeout: None,
        handover,
    };
    let seat = |member| {
        let client = Rc::new(RefCell::new(Client::new(&format!("member {member}"), plan)));
        let side = Side { client: client.clone(), dealing: dealing.clone(), member };
        let another = side.clone();
        let halves = (side.clone(), side);
        let joined = Joined::new(halves, move |_| Ok(another.clone()), &settings, &table(plan));
        Seat { joined, client, next_commit_us: 0, naps_until_us: 0 }
    };
    (0..members).map(seat).collect()
}

impl World {
    fn new(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut random = Random::from_seed(seed);
        let plan = plan(&mut random);
        let mut server = Server::new(plan.flavour, plan.nodes, BEGAN_MS);
        server.session_ms = plan.session_ms;
        server.quirks = Quirks::new(plan.quirks, random.next_u64());
        server.groups.is_behind = flaw == Some(Flaw::IsBehind);
        let settings = Settings { min_in_sync: plan.min_in_sync, ..Settings::of(&[]).expect("no settings") };
        server.make_topic(TOPIC, plan.partitions, plan.replicas, settings);
        let (partitions, members) = (usize::try_from(plan.partitions).unwrap_or(0), 1 + random.index(4));
        let waits_for_ends = plan.source.read_committed && versions::waits_for_stable(plan.flavour);
        let mut dealing = Dealing::new(random.next_u64(), (partitions, members), waits_for_ends);
        dealing.deals_out_early = flaw == Some(Flaw::DealsOutEarly);
        dealing.transactional = if random.chance(0.5) { 0.3 } else { 0.0 };
        let dealing = Rc::new(RefCell::new(dealing));
        let rebalance_most_us = 1 << (12 + random.index(9));
        Self {
            seats: seats(&plan, &mut random, &dealing, members),
            writing: Writing::new(&plan),
            faults: Faults::new(&plan),
            plan,
            random,
            server,
            dealing,
            next_rebalance_us: 0,
            rebalance_most_us,
            next_move_us: MOVE_MOST_US,
            moves: 0,
            wrong: Vec::new(),
        }
    }

    /// Plays it to its end. What was wrong is in `wrong`.
    fn play(mut self) -> Self {
        while !self.is_over() && self.wrong.is_empty() {
            self.step();
            let now_us = self.server.now_us();
            if now_us > FAULTS_US + PATIENCE_US {
                let dealt = self.dealing.borrow().dealt.clone();
                self.wrong.push(format!("no end: {dealt:?}"));
            }
            self.server.advance_to(self.next_us().max(now_us + 1));
        }
        self.judge();
        self
    }

    fn step(&mut self) {
        let now_us = self.server.now_us();
        self.dealing.borrow_mut().now_us = now_us;
        if self.faults.act(&self.plan, &mut self.server, &mut self.random) {
            let calm = self.plan.weather.calm();
            self.writing.lines.set_weather(calm);
            self.seats.iter().for_each(|seat| seat.client.borrow_mut().lines.set_weather(calm));
        }
        self.rebalance(now_us);
        self.take_commits();
        let due = Due { records: self.plan.records, by_turns: false, is_calm: false };
        self.writing.push(due, self.plan.partitions, (now_us, &mut self.random));
        self.writing.handle_timeout(now_us);
        self.seats.iter().for_each(|seat| seat.client.borrow_mut().handle_timeout(now_us));
        let circles = circles(now_us, MOST_ROUNDS, || {
            let mut is_busy = self.writing.carry(&mut self.server, &mut self.random);
            self.writing.settle(&mut self.server);
            for member in 0..self.seats.len() {
                is_busy |= self.serve(member, now_us);
            }
            is_busy
        });
        self.wrong.extend(circles);
        self.gather();
    }

    /// Moves partitions, and the coordinator.
    fn rebalance(&mut self, now_us: u64) {
        let is_calm = self.faults.are_over();
        if is_calm {
            self.dealing.borrow_mut().deal_out_all();
        } else if now_us >= self.next_rebalance_us {
            self.next_rebalance_us = now_us + 1 + self.random.below(self.rebalance_most_us);
            self.dealing.borrow_mut().rebalance();
        }
        if now_us >= self.next_move_us && (!is_calm || !self.server.is_up(self.server.groups.node())) {
            self.next_move_us = now_us + 1 + self.random.below(MOVE_MOST_US);
            let node = i32::try_from(self.random.index(64)).unwrap_or(0) % self.plan.nodes;
            self.server.tell(|| format!("node {node} is the group's coordinator from here on"));
            self.server.groups.move_to(node, now_us);
            self.moves += 1;
        }
    }

    fn take_commits(&mut self) {
        let is_there = self.server.is_able(self.server.groups.node());
        let mut dealing = self.dealing.borrow_mut();
        dealing.take_commits(is_there);
        for (partition, dealt) in (0..).zip(&dealing.dealt) {
            self.server.groups.learn(&(TOPIC.to_owned(), partition), dealt.place);
        }
    }

    /// Whether a member has got on.
    fn serve(&mut self, member: usize, now_us: u64) -> bool {
        let Self { seats, server, random, dealing, faults, .. } = self;
        let seat = &mut seats[member];
        let mut is_busy = seat.client.borrow_mut().carry(server, random);
        let is_calm = faults.are_over();
        if now_us < seat.naps_until_us && !is_calm {
            return is_busy;
        }
        if random.chance(NAPS) {
            seat.naps_until_us = now_us + 1 + random.below(NAP_MOST_US);
        }
        let limit = 1 + random.index(50);
        is_busy |= seat.joined.poll(limit, &mut Eyes { member, dealing, server, random, is_calm });
        // It hears what became of its commits.
        seat.joined.is_committing();
        if now_us >= seat.next_commit_us {
            seat.next_commit_us = now_us + 1 + random.below(COMMIT_MOST_US);
            seat.joined.commit();
        }
        is_busy
    }

    fn gather(&mut self) {
        let Self { writing, seats, dealing, wrong, .. } = self;
        wrong.append(&mut dealing.borrow_mut().wrong);
        wrong.append(&mut writing.wrong);
        wrong.append(&mut writing.lines.wrong);
        for seat in seats {
            wrong.append(&mut seat.client.borrow_mut().lines.wrong);
        }
    }

    /// Whether all was shown and committed, and nothing goes on any more.
    fn is_over(&mut self) -> bool {
        let is_calm = self.faults.are_over() && self.writing.is_over(self.plan.records);
        if !is_calm || !self.dealing.borrow_mut().deal_out_all() {
            return false;
        }
        let dealing = self.dealing.borrow();
        let mut all = (0..).zip(&dealing.dealt);
        dealing.next_us() == u64::MAX
            && all.all(|(index, dealt)| {
                let partition = self.server.partition(TOPIC, index).expect("a partition");
                let end = partition.past.high_watermark();
                partition.past.all().count() == usize::try_from(end).unwrap_or(0)
                    && dealt.shown.len() == usize::try_from(end).unwrap_or(0)
                    && dealt.place.committed.unwrap_or(0) == end
            })
    }

    fn next_us(&self) -> u64 {
        let now_us = self.server.now_us();
        let is_pushing = self.writing.sent.len() < self.plan.records;
        let seats = self.seats.iter().map(|seat| {
            let naps = seat.naps_until_us > now_us;
            let own_us = if naps { seat.naps_until_us } else { seat.next_commit_us };
            seat.client.borrow().next_us().min(own_us)
        });
        let rebalance_us = if self.faults.are_over() { u64::MAX } else { self.next_rebalance_us };
        let own = [
            self.writing.next_us(is_pushing, now_us),
            self.server.next_deadline_us().unwrap_or(u64::MAX),
            self.faults.next_us(),
            self.dealing.borrow().next_us(),
            rebalance_us,
            now_us + 1_000_000,
        ];
        seats.chain(own).min().unwrap_or(u64::MAX)
    }

    /// What was shown, against what was committed.
    fn judge(&mut self) {
        let dealing = self.dealing.borrow();
        let missing =
            dealing.dealt.iter().flat_map(|dealt| &dealt.shown).filter(|shown| **shown == 0).count();
        if missing > 0 {
            self.wrong.push(format!("{missing} records were shown to nobody"));
        }
        let told: u64 = self.seats.iter().map(|seat| seat.joined.state().uncommitted).sum();
        let repeats = dealing.repeats();
        if dealing.transactional == 0.0 && repeats > told {
            self.wrong.push(format!("{repeats} were shown again, and {told} are said not to be committed"));
        }
        if self.server.refused > 0 {
            self.wrong.push(format!("{} requests that must not be made", self.server.refused));
        }
    }
}

/// How many seeds, where these are enough.
const USUAL: u64 = 60;
/// A seed that is played alone, and says what happens.
const TOLD_SEED: &str = "PROOFLOAD_TOLD_GROUP_SEED";
/// In so many seeds each broken rule is looked for, where others are not asked for.
const USUAL_CANARY_SEEDS: u64 = 1_000;

fn goes_wrong(seed: u64, flaw: Option<Flaw>) -> bool {
    !World::new(seed, flaw).play().wrong.is_empty()
}

#[test]
fn whatever_happens_each_record_is_shown_to_the_group() {
    let (asked, first) = (number(SEEDS), number(FIRST_SEED).unwrap_or(0));
    let count = asked.unwrap_or(USUAL);
    let (mut wrong, mut happened) = (Vec::new(), BTreeMap::<&str, u64>::new());
    for seed in first..first + count {
        let world = World::new(seed, None).play();
        let dealing = world.dealing.borrow();
        let shown: usize = dealing.dealt.iter().map(|dealt| dealt.shown.len()).sum();
        for (what, often) in [
            ("records", shown as u64),
            ("repeats", dealing.repeats()),
            ("revocations", dealing.revocations as u64),
            ("moves", world.moves as u64),
        ] {
            *happened.entry(what).or_default() += often;
        }
        if !world.wrong.is_empty() {
            wrong.push(format!("seed {seed}, {:?}:\n  {}", world.plan, world.wrong.join("\n  ")));
        }
    }
    if asked.is_some() {
        let (right, not) = (count - wrong.len() as u64, wrong.len());
        println!("simulated: {right} true, {not} not, groups: {happened:?}");
    }
    assert!(wrong.is_empty(), "{} of {count} worlds went wrong:\n{}", wrong.len(), wrong.join("\n"));
    if count >= USUAL {
        // Else nothing is proven.
        assert!(happened["records"] > 1_000 && happened["repeats"] > 10, "{happened:?}");
        assert!(happened["revocations"] > 500 && happened["moves"] > 50, "{happened:?}");
    }
}

/// One world as a story.
#[test]
fn a_group_s_seed_can_be_told() {
    let told = number(TOLD_SEED);
    let mut world = World::new(told.unwrap_or(0), None);
    world.server.tells = told.is_some();
    let plan = world.plan;
    world.server.tell(|| format!("{plan:#?}"));
    let world = world.play();
    assert!(world.wrong.is_empty(), "{:?}", world.wrong);
}

#[test]
fn a_group_s_seed_is_played_alike_each_time() {
    let played = |seed| {
        let world = World::new(seed, None).play();
        let dealing = world.dealing.borrow();
        let shown: Vec<_> = dealing.dealt.iter().map(|dealt| dealt.shown.clone()).collect();
        (world.server.now_us(), world.moves, dealing.revocations, shown)
    };
    for seed in 0..5 {
        assert_eq!(played(seed), played(seed), "seed {seed}");
    }
}

/// A group that breaks a rule has to be noticed, or the simulation is worth nothing.
#[test]
fn each_broken_rule_of_a_group_is_found() {
    for flaw in [Flaw::DealsOutEarly, Flaw::IsBehind] {
        let found = (0..200).find(|seed| goes_wrong(*seed, Some(flaw)));
        assert!(found.is_some(), "{flaw:?} is not noticed");
    }
}

/// Rules of a client that reads for a member, each with a switch that breaks it, and a seed that has shown it, which is tried
/// first: worlds with several members take their time.
const RULES: [(&str, u64); 2] = [("wire-places-anew", 626), ("wire-stable-places", 341)];

/// And so does a client.
#[test]
fn each_broken_rule_of_the_client_is_found_in_groups() {
    let without = |seed, rule| mutants::without(Some(rule), || goes_wrong(seed, None));
    for (rule, first) in RULES {
        expect_all_found(&[rule], first..first + USUAL_CANARY_SEEDS, without);
    }
}
