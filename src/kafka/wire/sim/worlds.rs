//! Many worlds, each of a seed of its own; and whether broken rules are found in them.

use std::{
    fmt::Debug,
    ops::Range,
    panic::{self, AssertUnwindSafe},
};

use super::{
    run::{Run, TOPIC},
    server::Canary,
};
use crate::mutants;

/// What happened in some worlds, all together.
#[derive(Clone, Copy, Debug, Default)]
struct Happened {
    records: usize,
    duplicates: usize,
    cuts: usize,
    elections: i32,
    losses: usize,
    looks: usize,
    expired: usize,
    gave_up: usize,
}

impl Happened {
    fn add(&mut self, run: &mut Run) {
        self.records += run.writing.sent.len();
        self.duplicates += run.server.duplicates;
        self.cuts += run.writing.lines.cuts + run.reading.lines.cuts + run.looking.lines.cuts;
        self.elections += run.server.elections(TOPIC);
        self.looks += run.looking.found;
        self.expired += run.server.expired;
        self.gave_up += usize::from(run.writing.gave_up);
        for partition in 0..run.plan.partitions {
            let partition = run.server.partition(TOPIC, partition);
            self.losses += partition.map_or(0, |partition| partition.past.losses.len());
        }
    }
}

/// Plays one; `None`: something panicked.
fn play(seed: u64, canary: Option<Canary>) -> Option<Run> {
    panic::catch_unwind(AssertUnwindSafe(|| Run::new(seed, canary).play())).ok()
}

/// Whether something goes wrong in a world.
fn goes_wrong(seed: u64, canary: Option<Canary>) -> bool {
    play(seed, canary).is_none_or(|run| !run.wrong.is_empty())
}

/// Worlds that go wrong, and what happened in all of them.
fn play_all(seeds: Range<u64>) -> (Vec<String>, Happened) {
    let (mut wrong, mut happened) = (Vec::new(), Happened::default());
    for seed in seeds {
        let Some(mut run) = play(seed, None) else {
            wrong.push(format!("seed {seed}: it panics"));
            continue;
        };
        happened.add(&mut run);
        if !run.wrong.is_empty() {
            wrong.push(format!("seed {seed}, {:?}:\n  {}", run.plan, run.wrong.join("\n  ")));
        }
    }
    (wrong, happened)
}

/// How many seeds, where these are not enough; and which one is the first.
pub(super) const SEEDS: &str = "PROOFLOAD_SEEDS";
pub(super) const FIRST_SEED: &str = "PROOFLOAD_FIRST_SEED";
const USUAL: u64 = 100;
/// A seed that is played alone, and says what happens.
const TOLD_SEED: &str = "PROOFLOAD_TOLD_SEED";
/// In so many seeds each broken rule is looked for, where others are not enough; then what is found is said.
const CANARY_SEEDS: &str = "PROOFLOAD_CANARY_SEEDS";
const USUAL_CANARY_SEEDS: Range<u64> = 0..1_000;

pub(super) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|number| number.parse().ok())
}

/// Looks for each broken rule in these seeds, or in so many as somebody asks for. Each must be noticed.
pub(super) fn expect_all_found<R: Copy + Debug>(
    rules: &[R],
    usual: Range<u64>,
    goes_wrong: impl Fn(u64, R) -> bool,
) {
    let asked = number(CANARY_SEEDS);
    let seeds = asked.map_or(usual, |count| 0..count);
    let mut missed = Vec::new();
    for &rule in rules {
        let found = seeds.clone().find(|seed| goes_wrong(*seed, rule));
        if asked.is_some() {
            let (right, not) = (u8::from(found.is_some()), u8::from(found.is_none()));
            let by = found.map_or("by none".to_owned(), |seed| format!("by seed {seed}"));
            println!("canary: {right} true, {not} not, {rule:?} {by}");
        }
        if found.is_none() {
            missed.push(rule);
        }
    }
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}

#[test]
fn whatever_happens_each_record_is_once_in_the_log_and_shown() {
    let (asked, first) = (number(SEEDS), number(FIRST_SEED).unwrap_or(0));
    let count = asked.unwrap_or(USUAL);
    let (wrong, happened) = play_all(first..first + count);
    if asked.is_some() {
        let (right, not) = (count - wrong.len() as u64, wrong.len());
        println!("simulated: {right} true, {not} not, records: {happened:?}");
    }
    assert!(wrong.is_empty(), "{} of {count} worlds went wrong:\n{}", wrong.len(), wrong.join("\n"));
    if count >= USUAL {
        // Else nothing is proven.
        let Happened { records, duplicates, cuts, elections, losses, looks, expired, gave_up } = happened;
        assert!(records > 1_000 && duplicates > 10 && cuts > 10 && elections > 10, "{happened:?}");
        assert!(losses > 10 && looks > 100 && expired < looks && gave_up > 3, "{happened:?}");
    }
}

/// One world as a story, for whoever wants to know what went wrong in it.
#[test]
fn a_seed_can_be_told() {
    let told = number(TOLD_SEED);
    let mut run = Run::new(told.unwrap_or(0), None);
    run.server.tells = told.is_some();
    let plan = run.plan;
    run.server.tell(|| format!("{plan:#?}"));
    let run = run.play();
    run.server.tell(|| format!("{} things are wrong\n  {}", run.wrong.len(), run.wrong.join("\n  ")));
    assert!(run.wrong.is_empty(), "{:?}", run.wrong);
}

#[test]
fn a_seed_is_played_alike_each_time() {
    let played = |seed| {
        let run = Run::new(seed, None).play();
        let cuts = [&run.writing.lines, &run.reading.lines, &run.looking.lines].map(|lines| lines.cuts);
        let read: Vec<_> = run.reading.read.iter().map(|read| read.records.clone()).collect();
        (run.server.now_us(), run.server.duplicates, cuts, run.looking.found, read)
    };
    for seed in 0..10 {
        assert_eq!(played(seed), played(seed), "seed {seed}");
    }
}

/// A broker that breaks a rule has to be noticed, or the simulation is worth nothing.
#[test]
fn each_broken_rule_of_a_broker_is_found() {
    expect_all_found(&Canary::ALL, USUAL_CANARY_SEEDS, |seed, canary| goes_wrong(seed, Some(canary)));
}

/// Rules of the client, each with a switch that breaks it. Two more, `wire-acked-by-whom` and `wire-rests-ahead`, have unit
/// tests alone: in none of the first thousand worlds does it show that they are broken.
const RULES: [&str; 17] = [
    "wire-common-version",
    "wire-deadlines",
    "wire-login-again",
    "wire-lost-is-unknown",
    "wire-mute-is-no-delay",
    "wire-new-producer",
    "wire-one-until-acked",
    "wire-one-while-mute",
    "wire-overtaken",
    "wire-asks-whose-log",
    "wire-records-most",
    "wire-requests-in-flight",
    "wire-retries-first",
    "wire-same-again",
    "wire-skips-below",
    "wire-suspects",
    "wire-timed-out-is-unknown",
];

/// And so does a client.
#[test]
fn each_broken_rule_of_the_client_is_found() {
    let without = |seed, rule| mutants::without(Some(rule), || goes_wrong(seed, None));
    expect_all_found(&RULES, USUAL_CANARY_SEEDS, without);
}
