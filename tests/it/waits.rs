//! Waiting: whatever takes long is said, with whom it is waited for and who can mend it; and what the cluster refuses
//! ends the run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::sys::signal::Signal;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::{
    Test,
    dsl::{Cluster, Finished, Mock, Run, Running, Topic, Workdir, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnReal(
            &["group.max.size=2", "transaction.state.log.replication.factor=3"],
            what_the_cluster_refuses_ends_the_run
        ),
        OwnNodes(3, &[], partitions_without_a_leader_are_waited_for_and_the_others_used),
        Real(a_missing_topic_ends_either_program_within_ten_seconds),
        Alone(brokers_that_are_away_are_named_while_they_are),
    ]
}

/// Somebody else in a group, until this value goes.
struct Foreigner {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<bool>>,
}

impl Foreigner {
    /// Joins and stays; `settings` are what sets it apart.
    fn join(topic: &Topic, bootstrap: &str, group: &str, settings: &[(&str, &str)]) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("group.id", group).set("client.id", "the-foreigner");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let member: BaseConsumer = config.create().expect("a member");
        member.subscribe(&[topic.name()]).expect("a subscription");
        let is_in = |member: &BaseConsumer| {
            member.poll(Duration::from_millis(100));
            member.assignment().is_ok_and(|owned| owned.count() > 0)
        };
        wait_until("the foreigner to be taken in", || is_in(&member));
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let thread = thread::spawn(move || {
            while !told.load(Relaxed) {
                member.poll(Duration::from_millis(100));
            }
            member.assignment().is_ok_and(|owned| owned.count() > 0)
        });
        Self { over, thread: Some(thread) }
    }

    /// Whether it was left in peace.
    fn still_owns_its_part(mut self) -> bool {
        self.over.store(true, Relaxed);
        self.thread.take().is_some_and(|thread| thread.join().expect("no panic"))
    }
}

impl Drop for Foreigner {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

/// The assignor of our own members.
const ALIKE: &str = "cooperative-sticky";

/// All at once: each of them waits for a while.
fn what_the_cluster_refuses_ends_the_run(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(4), Workdir::new());
    let verifier = |work: &str| Run::verifier().args(topic.flags()).args(work).start();
    let repeater = |work: &str| Run::repeater().args(topic.flags()).args(work).start();
    let filling = Run::verifier().in_dir(&workdir).args(topic.flags());
    filling.args("--produce_msgs 600 --msg_size 20000").finish().expect_code(0);
    let (range, newer) = ([("partition.assignment.strategy", "range")], [("group.protocol", "consumer")]);
    let alike = [("partition.assignment.strategy", ALIKE)];
    let partner = Foreigner::join(&topic, cluster.bootstrap(), "shared", &alike);
    let shared = verifier("--consumer_group_readers 1 --consumer_group_name shared --report report.json");
    let foreigners = [
        Foreigner::join(&topic, cluster.bootstrap(), "classic", &range),
        Foreigner::join(&topic, cluster.bootstrap(), "newer", &newer),
        Foreigner::join(&topic, cluster.bootstrap(), "newer-too", &newer),
    ];
    let short = "--consumer-group-session-timeout-s 6s";
    let no_coordinator = verifier("--produce_msgs 5 --use-transactions --report report.json");
    let not_for_long = verifier("--produce_msgs 5 --use-transactions --startup-timeout 4s");
    let no_coordinator_either = repeater("--group transactions --use-transactions");
    let full = verifier(&format!("--consumer_group_readers 5 --consume-throughput-mb 1 {short}"));
    let full_too = repeater("--group full --workers 4 -X session.timeout.ms=6000");
    let sessions = ["1s", "40m"].map(|session| {
        verifier(&format!("--consumer_group_readers 1 --consumer-group-session-timeout-s {session}"))
    });
    let others = ["classic", "newer"]
        .map(|group| verifier(&format!("--consumer_group_readers 1 --consumer_group_name {group} {short}")));
    let theirs = ["classic", "newer-too"]
        .map(|group| repeater(&format!("--group {group} -X session.timeout.ms=6000")));

    for run in sessions {
        let finished = refused(run, &["INVALID_SESSION_TIMEOUT", "--consumer-group-session-timeout-s"]);
        finished.expect_output(&["group.min.session.timeout.ms and group.max.session.timeout.ms"]);
    }
    let setting = "transaction.state.log.replication.factor=3, and it has 1 broker";
    let id = format!("transactional id 'kgo-{}-", topic.name());
    refused(not_for_long, &["has waited 4s (--startup-timeout) for ", &id, setting]);
    let name = "GROUP_MAX_SIZE_REACHED";
    refused(full, &[name, "2 members", "client.id 'kgo'", "group.max.size", "--consumer_group_readers"]);
    refused(full_too, &["group 'full'", name, "2 members", "group.max.size", "--workers"]);
    // The newer protocol's group takes ours in, which then never see what the foreigner owns.
    let reasons = [("'classic'", "INCONSISTENT_GROUP_PROTOCOL"), ("'newer", "assignor 'uniform'")];
    for (run, (group, reason)) in others.into_iter().zip(reasons) {
        refused(run, &[group, reason, "client.id 'the-foreigner'", "--consumer_group_name"]);
    }
    for (run, (group, reason)) in theirs.into_iter().zip(reasons) {
        let finished = refused(run, &[group, reason, "client.id 'the-foreigner'"]);
        finished.expect_output(&["0 tokens consumed, 0 produced"]);
    }
    assert_eq!(foreigners.map(Foreigner::still_owns_its_part), [true; 3], "they were left in peace");
    refused(no_coordinator_either, &["the repeater has waited ", setting]);
    let finished = refused(no_coordinator, &["the producer has waited ", &id, setting]);
    let finished = finished.expect_output(&["WARN the producer has waited 10 s for the coordinator of "]);
    let wait = &finished.workdir.report()["waits"][0];
    assert_eq!(
        (&wait["worker"], &wait["until_ms"]),
        (&"the producer".into(), &serde_json::Value::Null),
        "{wait}"
    );
    // That is legal, and would be waited for if either came further.
    let finished = shared.finish().expect_code(3);
    let said =
        ["group 'shared'", "client.id 'the-foreigner'", "members that are not ours", "--consumer_group_name"];
    let finished = finished.expect_output(&said).expect_no_output(&["stalled"]);
    assert!(finished.elapsed < Duration::from_mins(2), "{:?}", finished.elapsed);
    assert!(partner.still_owns_its_part(), "it was left in peace");
}

/// In time, with this reason.
#[track_caller]
fn refused(run: Running, said: &[&str]) -> Finished {
    let finished = run.finish().expect_code(3).expect_output(said);
    assert!(finished.elapsed < Duration::from_mins(1), "{:?}: {}", finished.elapsed, finished.transcript());
    finished
}

fn partitions_without_a_leader_are_waited_for_and_the_others_used(cluster: &Cluster) {
    let (topic, workdir) = (Topic::missing(cluster.bootstrap()), Workdir::new());
    let run = |work: &str| Run::verifier().in_dir(&workdir).args(topic.flags()).args(work);
    let new = "--create-topic --partitions 9 --replication-factor 1 --produce_msgs 900 --msg_size 100";
    run(new).finish().expect_code(0);
    cluster.stop(2);
    let away = "their replicas are on broker 2, which is not up): start broker 2";
    let in_vain = Run::verifier().args(topic.flags()).args("--seq_read --startup-timeout 5s").start();
    let work = "--produce_msgs 10000000 --msg_size 100 --produce-throughput-bps 20000 --report report.json";
    // It has begun by then, and waits for the rest without limit.
    let producer = run(work).args("--startup-timeout 8s").with_control().start();
    let mut harness = producer.harness();
    let status = harness.until("acks without the broker", |workers| workers[0].producer().acked > 500);
    assert_eq!(status[0].producer().max_offsets_produced.len(), 6, "{status:?}");
    let in_vain = in_vain.finish().expect_code(3);
    in_vain.expect_output(&["has waited 5s (--startup-timeout) for a leader of partitions ", away]);
    let said = "the producer has waited 10 s for a leader of partitions ";
    wait_until("a word", || producer.stderr().contains(said));
    cluster.restart(2);
    harness.until("acks in all partitions", |workers| workers[0].producer().max_offsets_produced.len() == 9);
    producer.signal(Signal::SIGINT);
    let finished = producer.finish().expect_code(0).expect_output(&[
        "the producer begins without partitions ",
        away,
        "has a leader: the producer writes to it from now on",
    ]);
    run("--seq_read").finish().expect_code(0).expect_output(&["PROVEN"]);
    let report = finished.workdir.report();
    let wait = &report["waits"][0];
    assert!(wait["until_ms"].is_i64() && wait["worker"] == "the producer", "{wait}");
    assert_eq!(report["totals"][0]["bad_offsets"], 0, "what came later was predicted as well");
}

/// A harness waits for 15 s.
fn a_missing_topic_ends_either_program_within_ten_seconds(cluster: &Cluster) {
    let topic = Topic::missing(cluster.bootstrap());
    let runs = [
        Run::verifier().args(topic.flags()).args("--produce_msgs 10"),
        Run::repeater().args(topic.flags()).args("--group missing"),
    ];
    for run in runs.map(Run::start) {
        let finished = run.finish().expect_code(3).expect_output(&[topic.name(), "does not exist"]);
        // Ten seconds from the first broker's answer, and as long as an old harness waits in all.
        let limits = Duration::from_secs(8)..Duration::from_secs(15);
        assert!(limits.contains(&finished.elapsed), "{:?}", finished.elapsed);
    }
    assert!(!topic.exists(), "a topic was created by asking for it");
}

fn brokers_that_are_away_are_named_while_they_are() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let work = "--produce_msgs 200 --msg_size 100 --produce-throughput-bps 2000 --report report.json";
    let run = Run::verifier().args(topic.flags()).args(work).with_control().start();
    run.harness().until("some acks", |workers| workers[0].producer().acked > 10);
    mock.take_down();
    wait_until("a word", || {
        run.stderr().contains("the producer has waited 10 s for an answer (the brokers at ")
    });
    mock.bring_up();
    let finished = run.finish().expect_code(0).expect_output(&["the producer goes on after "]);
    assert!(finished.workdir.report()["waits"][0]["until_ms"].is_i64());
}
