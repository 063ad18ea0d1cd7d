//! A leader elected without the newest records: what that costs is known exactly, and everybody has to count it so.
//!
//! Two nodes hold the topics, and a third keeps the cluster able to vote. The follower dies, the leader alone acks
//! more, dies too, and the follower comes back and leads: what the old leader had alone is gone.

mod live;
mod transactional;

use std::{collections::BTreeMap, time::Duration};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    Test,
    dsl::{
        Cluster, Finished, Run, Running, Topic, Workdir, Worker,
        ledger::{self, LedgerFile},
        status::Validator,
        wait_until,
    },
    tests,
};
use live::{Live, Producing};
use transactional::Transactional;

pub fn tests() -> Vec<(String, Test)> {
    tests![OwnNodes(
        3,
        &["broker.session.timeout.ms=6000", "broker.heartbeat.interval.ms=500"],
        an_unclean_election_costs_exactly_what_only_the_dead_leader_had
    )]
}

const LEADER: usize = 0;
const FOLLOWER: usize = 1;
const PARTITIONS: usize = 2;
const UNCLEAN: [(&str, &str); 2] = [("unclean.leader.election.enable", "true"), ("min.insync.replicas", "1")];
/// How soon a fault must have been named: a bound, not a measurement.
const SOON: Duration = Duration::from_mins(1);

const SEQUENTIAL: &str = "--seq_read --continuous";
/// Slowly: the brokers need CPU time too.
const LOOPING: &str = "--seq_read --loop --consume-throughput-mb 1";
const GROUP: &str = "--consumer_group_readers 2 --continuous";
/// Taken out of the group while it is stopped: its partitions are assigned anew.
const EXPELLED: &str = "--consumer_group_readers 2 --continuous --consumer-group-session-timeout-s 6s";
const TOLERANT: &str = "--tolerate-data-loss --remote";

/// One shard: with a partition to itself, the client library polls in circles until it is acked.
const PRODUCE: &str = "--produce_msgs 10000000000 --msg_size 100 --produce-throughput-bps 50000 --cores 1";

type Offsets = BTreeMap<String, i64>;

/// A topic that will be truncated, and the ledger of all that was acked in it.
struct Scene {
    topic: Topic,
    workdir: Workdir,
    /// Where the follower's logs end, and where the leader's did.
    kept: Vec<i64>,
    full: Vec<i64>,
}

impl Scene {
    fn empty(cluster: &Cluster) -> Self {
        Self { topic: topic(cluster), workdir: Workdir::new(), kept: Vec::new(), full: Vec::new() }
    }

    /// Both replicas have so much.
    fn begin(cluster: &Cluster) -> Self {
        let mut scene = Self::empty(cluster);
        scene.produce(400);
        // What a reader may see is on all replicas in sync.
        wait_until("both replicas in sync", || replicas_in_sync(&scene.topic, 2));
        scene.kept = scene.topic.ends();
        scene
    }

    fn produce(&self, records: u32) {
        self.run(&format!("--produce_msgs {records} --msg_size 100")).finish().expect_code(0);
    }

    /// Only the leader has this.
    fn outgrow(&mut self) {
        self.produce(300);
        self.full = self.topic.ends();
        assert!(self.kept.iter().zip(&self.full).all(|(kept, full)| kept < full), "{:?}", self.full);
    }

    fn run(&self, work: &str) -> Run {
        Run::verifier().in_dir(&self.workdir).args(self.topic.flags()).args(work)
    }

    fn start(&self, work: &str) -> Running {
        self.run(work).with_control().start()
    }

    /// Another process with the ledger as it is now.
    fn elsewhere(&self) -> Workdir {
        let other = Workdir::new();
        let name = ledger::file_name(self.topic.name());
        other.write(&name, &self.workdir.contents()[&name]);
        other
    }

    /// What was lost of each partition.
    fn lost(&self) -> Offsets {
        let parts = self.kept.iter().zip(&self.full).map(|(kept, full)| full - kept);
        (0..).map(|partition: usize| partition.to_string()).zip(parts).collect()
    }

    /// What somebody who comes later reports: name, partition and ranges, by partition.
    fn losses(&self, more: &str) -> Vec<Value> {
        let fresh =
            self.run(&format!("--seq_read --keep-going --report all.json {more}")).finish().expect_code(1);
        let report: Value = serde_json::from_slice(&fresh.workdir.contents()["all.json"]).expect("JSON");
        let violations = report["violations"].as_array().expect("a list").iter();
        let fields =
            |found: &Value| json!([found["anomaly"], found["partition"], found["evidence"]["missing"]]);
        let mut found: Vec<_> = violations.map(fields).collect();
        found.sort_by_key(|violation| violation[1].as_i64());
        found
    }

    /// One clear line with one of these names, and the first lost offset of a partition.
    #[track_caller]
    fn expect_named(&self, finished: &Finished, names: &[&str]) {
        let topic = self.topic.name();
        let places = (0..).zip(&self.kept).flat_map(|(partition, kept): (i32, _)| {
            names
                .iter()
                .map(move |name| format!("{name}: topic {topic} partition {partition} offset {kept}: "))
        });
        let places: Vec<_> = places.collect();
        let errors: Vec<_> = finished.stderr.lines().filter(|line| line.contains("ERROR")).collect();
        let right = errors.len() == 1 && places.iter().any(|place| errors[0].contains(place));
        assert!(right, "none of {places:?} in\n{}", finished.transcript());
    }
}

fn topic(cluster: &Cluster) -> Topic {
    let nodes = [LEADER, FOLLOWER].map(|node| i32::try_from(node).expect("a node"));
    cluster.topic_on(&nodes, PARTITIONS, &UNCLEAN)
}

fn replicas_in_sync(topic: &Topic, count: usize) -> bool {
    topic.leaders().is_some_and(|leaders| leaders.iter().all(|(_, in_sync)| in_sync.len() == count))
}

fn is_led_by(topic: &Topic, node: usize) -> bool {
    let is_it = |leader: i32| usize::try_from(leader) == Ok(node);
    topic.leaders().is_some_and(|leaders| leaders.iter().all(|(leader, _)| is_it(*leader)))
}

fn validator(workers: &[Worker]) -> &Validator {
    &workers[0].reader().validator
}

fn consumed(workers: &[Worker]) -> Vec<i64> {
    validator(workers).max_offsets_consumed.values().map(|offset| offset + 1).collect()
}

/// Readers of a scene, and how they take it.
struct Readers {
    strict: Vec<(&'static str, Running)>,
    tolerant: Vec<(&'static str, Running)>,
}

impl Readers {
    fn start(scene: &Scene, kinds: &[&'static str]) -> Self {
        let start =
            |more: &str| kinds.iter().map(|kind| (*kind, scene.start(&format!("{kind} {more}")))).collect();
        Self { strict: start(""), tolerant: start(TOLERANT) }
    }

    fn all(&self) -> impl Iterator<Item = &Running> {
        self.strict.iter().chain(&self.tolerant).map(|(_, run)| run)
    }

    /// They have read all that there was before the election, and nothing is lost so far.
    fn wait_until_all_is_read(&self, scene: &Scene) {
        for run in self.all() {
            let workers = run.harness().until("everything read", |workers| consumed(workers) == scene.full);
            assert_eq!(validator(&workers).lost_offsets, None);
        }
    }

    fn signal(&self, signal: Signal) {
        self.all().for_each(|run| run.signal(signal));
    }

    /// Those that tolerate it have counted it, and nothing else.
    fn expect_counted(&self, lost: &Offsets) {
        for (_, run) in &self.tolerant {
            run.harness().until("the loss", |workers| validator(workers).lost_offsets.is_some());
            run.harness().until("all of the loss", |workers| {
                validator(workers).lost_offsets.as_ref().is_some_and(|found| found.len() == lost.len())
            });
        }
        self.expect_still(lost);
    }

    #[track_caller]
    fn expect_still(&self, lost: &Offsets) {
        for (kind, run) in &self.tolerant {
            let workers = run.harness().first();
            assert_eq!(validator(&workers).lost_offsets.as_ref(), Some(lost), "{kind} {}", run.transcript());
            assert_eq!(validator(&workers).invalid_reads, 0, "{kind}");
        }
    }

    /// And they end well, with the same count.
    fn finish(self, lost: &Offsets) {
        for (_, run) in &self.tolerant {
            run.http().order("/last_pass");
            run.harness().until_done();
        }
        self.expect_still(lost);
        for (_, run) in self.tolerant {
            run.http().order("/shutdown");
            run.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR", "panicked"]);
        }
    }
}

/// The log is truncated, and stays so for a while.
fn expect_the_loss_named(scene: &Scene, readers: &mut Readers) {
    for (kind, run) in std::mem::take(&mut readers.strict) {
        let finished = run.finish_within(SOON).expect_code(1);
        // Between two passes there is nobody who has read anything: the ledger tells.
        let names: &[&str] = if kind == LOOPING { &["truncation", "lost-write"] } else { &["truncation"] };
        scene.expect_named(&finished, names);
    }
    readers.expect_counted(&scene.lost());
    let ranges = (0..).zip(scene.kept.iter().zip(&scene.full));
    let wanted: Vec<_> = ranges
        .map(|(partition, (kept, full)): (i32, _)| json!(["lost-write", partition, [[kept, full - 1]]]))
        .collect();
    assert_eq!(scene.losses(""), wanted, "exactly the lost range of each partition");
    for kind in ["--seq_read", "--consumer_group_readers 2"] {
        scene.expect_named(&scene.run(kind).finish().expect_code(1), &["lost-write"]);
        let tolerant = scene.start(&format!("{kind} {TOLERANT}"));
        let workers = tolerant.harness().until_done();
        assert_eq!(validator(&workers).lost_offsets, Some(scene.lost()), "{kind}, by who comes later");
        tolerant.http().order("/shutdown");
        tolerant.finish().expect_code(0).expect_output(&["DONE WITH LOSS: "]);
    }
}

/// The log is written again, by a producer that goes on from a ledger which lists what is lost.
fn expect_the_ledger_cut_back(scene: &Scene) {
    let other = scene.elsewhere();
    let strict = Run::verifier().in_dir(&other).args(scene.topic.flags());
    let finished = strict.args("--produce_msgs 1 --msg_size 100").finish().expect_code(1);
    scene.expect_named(&finished, &["refilled-truncation"]);
    // Fewer than were lost: what is listed then was cut back, and not only written over.
    for records in [40, 800] {
        write_again(scene, records);
        let file = LedgerFile::read(scene.workdir.path(), scene.topic.name());
        file.expect_all_up_to(&scene.topic.ends());
        expect_sound(scene);
    }
}

/// A producer that goes on from the ledger, and takes it that the log was truncated.
fn write_again(scene: &Scene, records: u32) {
    let work = format!("--produce_msgs {records} --msg_size 100 --tolerate-data-loss");
    scene.run(&work).finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR"]);
}

fn refill(scene: &Scene) {
    write_again(scene, 800);
    let ends = scene.topic.ends();
    assert!(ends.iter().zip(&scene.full).all(|(end, full)| end > full), "beyond where it ended: {ends:?}");
}

/// With its ledger, the log proves itself again.
fn expect_sound(scene: &Scene) {
    let read = scene.run("--seq_read").finish().expect_code(0);
    read.expect_nothing_wrong().expect_no_output(&["ERROR"]);
}

fn an_unclean_election_costs_exactly_what_only_the_dead_leader_had(cluster: &Cluster) {
    let (mut cut, mut refilled, mut live) =
        (Scene::begin(cluster), Scene::begin(cluster), Live::start(cluster));
    let mut transactional = Transactional::begin(cluster);
    let mut readers = Readers::start(&cut, &[SEQUENTIAL, LOOPING, GROUP]);
    let mut absent = Readers::start(&refilled, &[SEQUENTIAL, GROUP, EXPELLED]);
    let unforgiving = Producing::start(cluster);
    let scenes = [&cut, &refilled, &live.scene, &unforgiving.scene, &transactional.scene];
    let topics = scenes.map(|scene| scene.topic.clone());
    // The follower knows the producer, and what it should have got next.
    unforgiving.wait_for_more();
    cluster.kill(FOLLOWER);
    wait_until("one replica in sync", || topics.iter().all(|topic| replicas_in_sync(topic, 1)));
    cut.outgrow();
    refilled.outgrow();
    transactional.outgrow();
    live.wait_for_more();
    unforgiving.wait_for_more();
    readers.wait_until_all_is_read(&cut);
    absent.wait_until_all_is_read(&refilled);
    // These notice nothing until the log is longer again than they have read.
    absent.signal(Signal::SIGSTOP);
    cluster.kill(LEADER);
    live.note_what_was_read();
    cluster.restart(FOLLOWER);
    wait_until("an unclean election", || topics.iter().all(|topic| is_led_by(topic, FOLLOWER)));
    assert_eq!(cut.topic.ends(), cut.kept, "the log was truncated");
    unforgiving.expect_the_cut_named();
    refill(&refilled);
    absent.signal(Signal::SIGCONT);
    expect_the_loss_named(&cut, &mut readers);
    transactional.expect_the_loss_named();
    expect_the_ledger_cut_back(&cut);
    for (_, run) in std::mem::take(&mut absent.strict) {
        refilled.expect_named(&run.finish_within(SOON).expect_code(1), &["refilled-truncation"]);
    }
    absent.expect_counted(&refilled.lost());
    expect_sound(&refilled);
    readers.finish(&cut.lost());
    absent.finish(&refilled.lost());
    live.finish(cluster);
}
