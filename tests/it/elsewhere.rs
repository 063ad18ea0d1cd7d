//! What our own client has to do on a cluster of somebody else's before it is trusted there: `scripts/prove --on BROKERS`
//! names its brokers in `PROOFLOAD_ON`. Everything happens in topics of its own, which are deleted behind it.
//!
//! Without such brokers a small cluster of our own is one, so that this is known to work.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{
        Cluster, Elector, Run, Running, Topic, Workdir, Worker, elector::Moved, topic::unique_name,
        wait_until,
    },
    tests,
};

/// The brokers, as a client is given them.
const ON: &str = "PROOFLOAD_ON";
const PARTITIONS: usize = 6;
/// For so long leaders move: on our own cluster, and elsewhere.
const MOVES_S: [u64; 2] = [6, 60];
/// Between two moves: a replica that was nobody's before has to fetch what is there.
const PAUSE: Duration = Duration::from_secs(2);

pub fn tests() -> Vec<(String, Test)> {
    let Ok(brokers) = env::var(ON) else { return tests![OwnNodes(2, &[], our_own_client_proves)] };
    let test = move || prove(&brokers, MOVES_S[1]);
    vec![("elsewhere::our_own_client_proves".to_owned(), Test::Case(Box::new(test)))]
}

fn our_own_client_proves(cluster: &Cluster) {
    prove(cluster.bootstrap(), MOVES_S[0]);
}

/// All parts, each of which is counted.
fn prove(brokers: &str, moves_s: u64) {
    let parts: [(&str, &dyn Fn()); 6] = [
        ("what scripts and harnesses do", &|| contract(brokers)),
        ("every codec", &|| codecs(brokers)),
        ("transactions", &|| transactions(brokers)),
        ("compaction", &|| compaction(brokers)),
        ("a repeater", &|| repeater(brokers)),
        ("leaders that move", &|| leaders_that_move(brokers, moves_s)),
    ];
    let mut wrong = Vec::new();
    for (what, part) in parts {
        let is_right = catch_unwind(AssertUnwindSafe(part)).is_ok();
        println!("elsewhere: {what} {} true, {} not", u8::from(is_right), u8::from(!is_right));
        wrong.extend((!is_right).then_some(what));
    }
    assert!(wrong.is_empty(), "not as it should be: {wrong:?}");
}

/// A topic for one part, and the ledger of it.
struct Stage {
    topic: Topic,
    workdir: Workdir,
}

impl Stage {
    fn new(brokers: &str) -> Self {
        Self { topic: Topic::existing(brokers, &unique_name(), PARTITIONS), workdir: Workdir::new() }
    }

    fn run(&self, work: &str) -> Run {
        let run =
            Run::verifier().in_dir(&self.workdir).args(self.topic.flags()).args("--client wire").args(work);
        // A reader makes none.
        if work.contains("--produce_msgs") {
            return run.args(format!("--create-topic --partitions {PARTITIONS}"));
        }
        run
    }

    /// Readers that go on until they are told that there will be no more.
    fn readers(&self, work: &str) -> Running {
        let readers = format!("{} {work} --client wire --remote", self.topic.flags());
        Run::verifier().in_dir(&self.workdir).args(readers).with_control().start()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.topic.delete();
        }
    }
}

/// To the end, as a harness does it; nothing may be wrong.
fn end(run: Running) {
    run.http().order("/last_pass");
    run.harness().until_done();
    run.http().order("/shutdown");
    run.finish().expect_code(0).expect_nothing_wrong();
}

fn contract(brokers: &str) {
    let stage = Stage::new(brokers);
    let everything = "--produce_msgs 20000 --msg_size 300 --seq_read --rand_read_msgs 50 --parallel 2";
    let run = stage.run(everything).args("--consumer_group_readers 3").finish().expect_code(0);
    run.expect_output(&[
        "PROVEN",
        "20,000 of 20,000 records acked where predicted",
        "group       20,000 records",
    ]);
    let beside = stage.readers("--seq_read --loop --rand_read_msgs 20");
    // It goes on from its ledger.
    let again = stage.run("--produce_msgs 500 --msg_size 20000 --seq_read").finish().expect_code(0);
    again.expect_output(&["PROVEN", "sequential  20,500 records"]);
    end(beside);
}

fn codecs(brokers: &str) {
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let stage = Stage::new(brokers);
        let work = format!(
            "--produce_msgs 2000 --msg_size 500 --compressible-payload --seq_read --compression-type {codec}"
        );
        stage.run(&work).finish().expect_code(0).expect_output(&["PROVEN", "sequential  2,000 records"]);
    }
}

/// What is committed is seen by each client, and nothing else is.
fn transactions(brokers: &str) {
    const HOW: &str = "--use-transactions --msgs-per-transaction 10 --transaction-abort-rate 0.3";
    let stage = Stage::new(brokers);
    let work = format!("--produce_msgs 3000 --msg_size 200 --seq_read --consumer_group_readers 2 {HOW}");
    stage.run(&work).finish().expect_code(0).expect_nothing_wrong();
    let other = Run::verifier().in_dir(&stage.workdir).args(stage.topic.flags()).args("--client librdkafka");
    let seen =
        [stage.run(&format!("--seq_read {HOW}")), other.args(format!("--seq_read {HOW}"))].map(|run| {
            let finished = run.finish().expect_code(0).expect_nothing_wrong();
            let line = finished.stdout.lines().find(|line| line.trim_start().starts_with("sequential"));
            line.and_then(|line| line.split(" records").next()).expect("a number").to_owned()
        });
    assert_eq!(seen[0], seen[1], "by each client");
}

/// While the log is being compacted, and when it is read behind that.
fn compaction(brokers: &str) {
    const HOW: &str = "--compacted --validate-latest-values --latest-values last";
    let stage = Stage::new(brokers);
    let settings = "--topic-config cleanup.policy=compact --topic-config segment.bytes=1048576 \
                    --topic-config min.cleanable.dirty.ratio=0.01";
    let work = format!(
        "--produce_msgs 20000 --msg_size 500 --key-set-cardinality 200 --tombstone-probability 0.05 {settings}"
    );
    stage.run(&format!("{work} {HOW} --seq_read")).finish().expect_code(0).expect_nothing_wrong();
    let looping = stage.readers(&format!("--seq_read --loop {HOW}"));
    thread::sleep(Duration::from_secs(5));
    end(looping);
    stage
        .run(&format!("--produce_msgs 500 --msg_size 500 --key-set-cardinality 200 {HOW} --seq_read"))
        .finish()
        .expect_code(0)
        .expect_nothing_wrong();
}

fn repeater(brokers: &str) {
    for transactions in ["", "--use-transactions --msgs-per-transaction 5 --transaction-abort-rate 0.2"] {
        let stage = Stage::new(brokers);
        let work = format!(
            "{} --create-topic --partitions {PARTITIONS} --group {} --workers 3 --payload-size 500 --initial-data-mb 1 \
             --client wire {transactions}",
            stage.topic.flags(),
            stage.topic.name()
        );
        let run = Run::repeater().args(work).with_control().start();
        let consumed = || -> Option<u64> {
            let status = run.http().get("/status")?.json()?;
            status.as_array()?.iter().map(|worker| worker["consumed"].as_u64()).sum()
        };
        wait_until("tokens that come round", || consumed().is_some_and(|count| count > 500));
        run.signal(Signal::SIGINT);
        run.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR"]);
    }
}

/// Replicas, and leaders with them, go from broker to broker. One alone has no other to give them to.
fn leaders_that_move(brokers: &str, moves_s: u64) {
    let stage = Stage::new(brokers);
    stage.run("--produce_msgs 2000 --msg_size 200").finish().expect_code(0);
    let nodes = stage.topic.brokers();
    if nodes.len() < 2 {
        println!("elsewhere: no leader moved: there is one broker");
        return;
    }
    let producer =
        stage.run("--produce_msgs 10000000000 --msg_size 200 --produce-throughput-bps 100000").with_control();
    let producer = producer.start();
    let readers =
        ["--seq_read --continuous", "--consumer_group_readers 2 --continuous", "--rand_read_msgs 20 --loop"];
    let readers = readers.map(|work| stage.readers(work));
    let acked = || match &producer.harness().first()[0] {
        Worker::Producer(producer) => producer.acked,
        Worker::Reader(_) => 0,
    };
    let moved = Moved { topic: stage.topic.name().to_owned(), partitions: PARTITIONS, every: 1 };
    let elector = Elector::moving_replicas(brokers, &nodes, vec![moved], PAUSE);
    thread::sleep(Duration::from_secs(moves_s));
    let count = elector.stop();
    assert!(count > 0, "no replica has moved");
    let before = acked();
    wait_until("acks behind the moves", || acked() > before + 200);
    producer.signal(Signal::SIGINT);
    producer.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR"]);
    readers.into_iter().for_each(end);
    stage.run("--seq_read").finish().expect_code(0).expect_nothing_wrong();
    println!("elsewhere: {count} replicas have moved");
}
