//! Processes that stand still for a while, one kind after the other, under a coordinator that moves all the time: whoever stands
//! still loses nothing, and is accused of nothing.
//!
//! `PROOFLOAD_FREEZES` says for how many seconds each; see `scripts/prove`.

use std::{
    env, thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    Test,
    dsl::{Cluster, Elector, Run, Running, Workdir, Worker, elector::Moved, ledger::LedgerFile, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![OwnNodes(NODES, &[], whoever_stands_still_loses_nothing)]
}

const NODES: usize = 3;
const DEFAULT_S: u64 = 3;
/// In halves of that time: for so long the coordinator moves in all, for five minutes in the long form.
const MOVES_HALVES: u32 = 15;
/// How long a coordinator stays where it is.
const PAUSE: Duration = Duration::from_secs(4);
/// Shorter than the long form freezes: members are put out of their groups, and come back.
const SESSION: &str = "10s";

/// One of those who take part.
struct Role {
    name: &'static str,
    run: Running,
}

impl Role {
    /// Records that were acked or read, or have come round.
    fn records(&self) -> Option<u64> {
        if self.name == "the repeater" {
            let status = self.run.http().get("/status")?.json()?;
            return status.as_array()?.iter().map(|worker| worker["consumed"].as_u64()).sum();
        }
        Some(match &self.run.harness().first()[0] {
            Worker::Producer(producer) => producer.acked,
            Worker::Reader(reader) => reader.validator.valid_reads,
        })
    }
}

fn expect_progress(roles: &[Role]) {
    let before: Vec<_> = roles.iter().map(|role| role.records().unwrap_or(0)).collect();
    for (role, before) in roles.iter().zip(before) {
        wait_until(&format!("{} to go on", role.name), || role.records() > Some(before + 50));
    }
}

/// Somebody stands still, or a broker does.
fn freeze(cluster: &Cluster, role: Option<&Role>, seconds: u64) {
    match role {
        Some(role) => role.run.signal(Signal::SIGSTOP),
        None => cluster.freeze(1),
    }
    thread::sleep(Duration::from_secs(seconds));
    match role {
        Some(role) => role.run.signal(Signal::SIGCONT),
        None => cluster.thaw(1),
    }
}

fn whoever_stands_still_loses_nothing(cluster: &Cluster) {
    let asked = env::var("PROOFLOAD_FREEZES").ok().and_then(|seconds| seconds.parse().ok());
    let seconds = asked.unwrap_or(DEFAULT_S);
    let (topic, round, workdir) = (cluster.topic(6), cluster.topic(6), Workdir::new());
    let verifier = |name, work: &str| {
        let run = Run::verifier().in_dir(&workdir).args(topic.flags()).args(work);
        Role { name, run: run.args("--keep-going --remote --cores 1").with_control().start() }
    };
    let load = "--produce_msgs 10000000000 --msg_size 200 --produce-throughput-bps 60000";
    let producer = verifier("the producer", load);
    wait_until("a ledger", || LedgerFile::find(workdir.path(), topic.name()).is_some());
    let group =
        format!("--consumer_group_readers 6 --continuous --consumer-group-session-timeout-s {SESSION}");
    let work = "--group frozen --workers 2 --payload-size 100 --initial-data-mb 1 --rate-limit-bps 20000 \
                -X session.timeout.ms=10000";
    let repeater = Run::repeater().args(round.flags()).args(work).args("--report report.json");
    let repeater = Role { name: "the repeater", run: repeater.with_control().start() };
    let roles = [
        producer,
        verifier("the reader", "--seq_read --continuous"),
        verifier("the group", &group),
        repeater,
    ];
    expect_progress(&roles);

    let moved = Moved { topic: "__consumer_offsets".to_owned(), partitions: 4, every: 1 };
    let elector = Elector::start(cluster.bootstrap(), NODES, vec![moved], PAUSE);
    let until = Instant::now() + Duration::from_secs(seconds) * MOVES_HALVES / 2;
    for role in [None].into_iter().chain(roles.iter().map(Some)) {
        freeze(cluster, role, seconds);
        expect_progress(&roles);
        let name = role.map_or("a broker", |role| role.name);
        println!("freezes: {name} goes on after {seconds} s 1 true, 0 not");
    }
    thread::sleep(until.saturating_duration_since(Instant::now()));
    expect_progress(&roles);
    println!("freezes: all go on under {} coordinators 1 true, 0 not", elector.elections());
    assert!(elector.stop() > 0, "the coordinator did not move");

    let [producer, reader, group, repeater] = roles.map(|role| role.run);
    repeater.signal(Signal::SIGINT);
    let finished = repeater.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR", "panicked"]);
    assert_ne!(finished.workdir.report()["totals"], Value::Null, "{}", finished.transcript());
    producer.signal(Signal::SIGINT);
    producer.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR", "panicked"]);
    for run in [reader, group] {
        run.http().order("/last_pass");
        run.harness().until_done();
        run.http().order("/shutdown");
        run.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR", "panicked"]);
    }
    let audit = Run::verifier().in_dir(&workdir).args(topic.flags()).args("--seq_read");
    audit.finish().expect_code(0).expect_no_output(&["VIOLATION"]);
    println!("freezes: nobody was accused 1 true, 0 not");
}
