//! Settings and flags that would undo the proof, and runs that cannot succeed: refused before anything is done.

use crate::{
    Test,
    dsl::{
        Cluster, Mock, Run, Topic, Workdir,
        ledger::{self, LedgerFile},
        ports::Decoy,
        wait_until,
    },
    tests,
};
use nix::sys::signal::Signal;
use serde_json::Value;

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(settings_that_contradict_the_proof_are_refused_by_name),
        Alone(settings_that_librdkafka_does_not_take_together_are_refused),
        Alone(what_weakens_the_proof_is_in_the_summary),
        Alone(a_properties_file_may_name_the_brokers),
        Alone(a_reader_creates_no_topic),
        Real(a_run_that_cannot_succeed_creates_no_topic),
        Real(a_reader_of_a_topic_with_a_long_name_needs_no_ledger),
        Real(a_verifier_speaks_the_protocol_in_which_brokers_assign),
        Real(a_repeater_speaks_it_too),
        Real(the_group_of_a_static_member_is_deleted),
    ]
}

/// Code 2 and one line; nobody called, and no file touched.
#[track_caller]
fn expect_usage_error(run: Run, words: &str, said: &[&str]) {
    let (broker, workdir) = (Decoy::listen(), Workdir::new());
    workdir.write(&ledger::file_name("t"), LedgerFile::of(&[&[(0, 5)]]).text());
    let before = workdir.contents();
    let run = run.in_dir(&workdir).args(format!("--brokers {} --topic t {words}", broker.address()));
    let finished = run.finish_bare().expect_code(2).expect_one_error(said);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.transcript());
    assert_eq!(workdir.contents(), before, "a file was touched");
    assert!(!broker.was_visited(), "somebody was called");
}

const PRODUCE: &str = "--create-topic --produce_msgs 10";

fn settings_that_contradict_the_proof_are_refused_by_name() {
    let group = "--consumer_group_readers 1";
    let aborts =
        "--create-topic --produce_msgs 10 --use-transactions --transaction-abort-rate 0.5 --seq_read";
    for (work, setting, why) in [
        (group, "auto.offset.reset=latest", "accepts only earliest: members that start elsewhere"),
        ("--seq_read", "auto.offset.reset=earliest", "accepts only error: "),
        (aborts, "isolation.level=read_uncommitted", "accepts only read_committed with --use-transactions"),
        (PRODUCE, "transactional.id=zz", "use --use-transactions"),
        (PRODUCE, "acks=0", "accepts all: "),
        (PRODUCE, "topic.request.required.acks=1", "accepts all: "),
        (PRODUCE, "enable.idempotence=false", "accepts only true: "),
        ("--seq_read", "check.crcs=false", "accepts only true: bytes that changed"),
        (group, "check.crcs=0", "accepts only true: "),
        (group, "enable.auto.commit=true", "accepts only false: "),
        (group, "group.id=other", "--consumer_group_name names the group"),
        ("--consumer_group_readers 3", "group.instance.id=i", "one member only"),
        (PRODUCE, "bootstrap.servers=elsewhere:9092", "no other brokers than --brokers"),
        (PRODUCE, "allow.auto.create.topics=true", "use --create-topic"),
        (PRODUCE, "test.mock.num.brokers=3", "use --brokers embedded:N"),
    ] {
        let shown = format!("-X {}", setting.trim_start_matches("topic."));
        expect_usage_error(Run::verifier(), &format!("{work} -X {setting}"), &[&shown, why]);
    }
    let session =
        "--consumer_group_readers 2 --consumer-group-session-timeout-s 10s -X group.protocol=consumer";
    expect_usage_error(
        Run::verifier(),
        session,
        &["--consumer-group-session-timeout-s", "group.protocol=consumer"],
    );
    for (work, setting, why) in [
        ("--group g --workers 2", "group.instance.id=i", "--workers 2 asks for more"),
        ("--group g", "auto.offset.reset=earliest", "accepts only latest: "),
        ("--group g", "acks=1", "accepts all: "),
        ("--group g", "group.id=h", "--group names the group"),
    ] {
        expect_usage_error(
            Run::repeater(),
            &format!("{work} -X {setting}"),
            &[&format!("-X {setting}"), why],
        );
    }
}

/// It says so only when a client is made: here before the port is bound.
fn settings_that_librdkafka_does_not_take_together_are_refused() {
    for (work, settings, said) in [
        (PRODUCE, "-X max.in.flight=6", "`max.in.flight` must be set <= 5"),
        (PRODUCE, "-X queuing.strategy=lifo", "queuing.strategy"),
        (PRODUCE, "-X retries=0", "`retries` must be set >= 1"),
        ("--seq_read", "-X fetch.max.bytes=1000", "`fetch.max.bytes` must be >="),
        ("--consumer_group_readers 1", "-X max.poll.interval.ms=1000", "max.poll.interval.ms"),
        (
            "--consumer_group_readers 1",
            "-X group.protocol=consumer -X session.timeout.ms=6000",
            "`session.timeout.ms` is not supported",
        ),
        ("--consumer_group_readers 1", "-X partition.assignment.strategy=nonsense", "nonsense"),
        (PRODUCE, "-X no.such.setting=1", "no.such.setting"),
    ] {
        let flags = format!("{work} {settings} --client librdkafka");
        expect_usage_error(Run::verifier(), &flags, &[said]);
    }
    expect_usage_error(
        Run::repeater(),
        "--group g -X max.in.flight=6 --client librdkafka",
        &["`max.in.flight` must be set <= 5"],
    );
}

fn what_weakens_the_proof_is_in_the_summary() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let run =
        |flags: &str| Run::verifier().args(topic.flags()).args("--produce_msgs 5 --seq_read").args(flags);
    let finished = run("-X message.timeout.ms=60000 --proof-header=false").finish().expect_code(0);
    finished.expect_output(&[
        "weaker      message.timeout.ms=60000: records are given up",
        "weaker      --proof-header=false: ",
    ]);
    run("-X acks=all -X check.crcs=true").finish().expect_code(0).expect_no_output(&["weaker"]);
}

fn a_properties_file_may_name_the_brokers() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    workdir.write("client.properties", format!("bootstrap.servers={}\nacks=all\n", mock.bootstrap()));
    let work =
        format!("--topic {} --client-config client.properties --produce_msgs 5 --seq_read", topic.name());
    Run::verifier().in_dir(&workdir).args(work).finish().expect_code(0).expect_output(&["PROVEN"]);
}

fn a_reader_creates_no_topic() {
    for work in ["--seq_read", "--rand_read_msgs 5", "--consumer_group_readers 1"] {
        let said = ["--create-topic", "needs --produce_msgs N as well: a reader creates no topic"];
        expect_usage_error(Run::verifier(), &format!("{work} --create-topic"), &said);
    }
}

fn a_run_that_cannot_succeed_creates_no_topic(cluster: &Cluster) {
    let topic = Topic::missing(cluster.bootstrap());
    let (file, latest) = (ledger::file_name(topic.name()), format!("latest_value_{}.json", topic.name()));
    let refused = |topic: &Topic, workdir: &Workdir, work: &str, said: &[&str]| {
        let before = workdir.contents();
        let run = Run::verifier().in_dir(workdir).args(topic.flags()).args(work);
        run.finish().expect_code(3).expect_one_error(said);
        assert_eq!(workdir.contents(), before, "a file was touched");
        assert!(!topic.exists(), "a topic was created");
    };
    let produce = "--create-topic --partitions 2 --startup-timeout 4s --produce_msgs 10 --msg_size 30";
    let with = |name: &str, text: &str| {
        let workdir = Workdir::new();
        workdir.write(name, text);
        workdir
    };
    refused(&topic, &with(&file, "garbage"), produce, &[&file, "is not a ledger"]);
    let larger = LedgerFile::of(&[&[(0, 5)], &[], &[(0, 7)]]).text();
    refused(&topic, &with(&file, &larger), produce, &[&file, "lists 3 partitions", "has 2"]);
    let values = format!("{produce} --validate-latest-values");
    refused(&topic, &with(&latest, "garbage"), &values, &[&latest, "is not a map"]);
    let reads = "--seq_read --validate-latest-values";
    refused(&topic, &Workdir::new(), reads, &[&latest, "no such file"]);
    let long = Topic::missing_named(cluster.bootstrap(), &"n".repeat(240));
    refused(&long, &Workdir::new(), produce, &["its name would have 259 bytes", "more than 236 characters"]);
}

fn a_reader_of_a_topic_with_a_long_name_needs_no_ledger(cluster: &Cluster) {
    let unique = crate::dsl::topic::unique_name();
    let name = |length: usize| format!("{unique}{}", "x".repeat(length - unique.len()));
    let topic = Topic::named(cluster.bootstrap(), &name(249), 1);
    topic.write_proven(0, 0..20);
    for work in ["--seq_read", "--rand_read_msgs 5", "--consumer_group_readers 1"] {
        Run::verifier().args(topic.flags()).args(work).finish().expect_code(0).expect_output(&["no ledger"]);
    }
    // The longest of which a ledger can be kept: there is no room for the ending of its temporary file.
    let topic = Topic::named(cluster.bootstrap(), &name(236), 1);
    let finished =
        Run::verifier().args(topic.flags()).args("--produce_msgs 50 --msg_size 10 --seq_read").finish();
    let finished = finished.expect_code(0).expect_output(&["PROVEN"]);
    assert_eq!(finished.workdir.contents().len(), 1, "no temporary file stays");
}

const CONSUMER_PROTOCOL: &str = "-X group.protocol=consumer";

fn a_verifier_speaks_the_protocol_in_which_brokers_assign(cluster: &Cluster) {
    let topic = cluster.topic(4);
    let work = "--produce_msgs 400 --msg_size 50 --consumer_group_readers 2";
    let run = Run::verifier().args(topic.flags()).args(work).args(CONSUMER_PROTOCOL).start();
    let ours = format!("-{}-", run.pid());
    let finished = run.finish().expect_code(0);
    finished.expect_output(&["PROVEN", "group       400 records proven valid"]).expect_no_output(&["WARN"]);
    let is_left = || topic.groups("kgo-verifier-").iter().any(|group| group.contains(&ours));
    wait_until("no group of ours", || !is_left());
}

fn a_repeater_speaks_it_too(cluster: &Cluster) {
    let topic = cluster.topic(4);
    let work = format!("--group g-{} --workers 2 --payload-size 100 --initial-data-mb 1", topic.name());
    let run = Run::repeater().args(topic.flags()).args(work).args(CONSUMER_PROTOCOL).with_control().start();
    let consumed = || {
        let status = run.http().get("/status").filter(|answer| answer.code == 200)?;
        let workers: Vec<Value> = serde_json::from_str(&status.body).expect("workers");
        workers.iter().map(|worker| worker["consumed"].as_u64()).min()?
    };
    wait_until("tokens that come round", || consumed().is_some_and(|least| least > 100));
    run.signal(Signal::SIGTERM);
    run.finish().expect_code(0).expect_no_output(&["VIOLATION"]);
}

/// It says to nobody that it leaves: the group stays until its session ends.
fn the_group_of_a_static_member_is_deleted(cluster: &Cluster) {
    let topic = cluster.topic(2);
    let work = "--produce_msgs 100 --msg_size 50 --consumer_group_readers 1 -X group.instance.id=static-1";
    let run = Run::verifier().args(topic.flags()).args(work).start();
    let group = format!("-{}-", run.pid());
    run.finish().expect_code(0).expect_output(&["PROVEN", "static member"]);
    let groups = topic.groups("kgo-verifier-");
    assert!(!groups.iter().any(|name| name.contains(&group)), "left behind: {groups:?}");
}
