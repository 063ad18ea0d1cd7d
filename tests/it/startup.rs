//! Runs that cannot begin: exit code 3, a line that says what is in the way, nothing produced, no file touched.

use std::{net::TcpListener, time::Duration};

use crate::{
    Test,
    dsl::{Cluster, Finished, Mock, Run, Topic, Workdir, ledger, ledger::LedgerFile, ports, threads},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnReal(
            &["auto.create.topics.enable=true"],
            a_missing_topic_is_not_created_even_where_that_is_allowed
        ),
        Real(a_missing_topic_is_named_and_not_created),
        Alone(no_broker_is_reported_with_its_address),
        Alone(a_client_that_cannot_start_ends_the_run),
        Alone(a_ledger_that_is_no_json_stays),
        Alone(a_ledger_that_was_cut_off_stays),
        Alone(a_ledger_of_a_larger_topic_stays),
        Alone(a_reader_refuses_a_bad_ledger_too),
        Alone(a_port_in_use_is_named),
        Alone(cores_that_do_not_exist_are_refused_with_those_that_do),
        Alone(more_cores_than_there_are_is_refused_with_those_that_are),
        If(two_cores, cores_outside_the_mask_are_refused_with_those_inside),
        Alone(a_placement_plan_is_printed_and_nothing_done),
    ]
}

/// Tests that need to tell one core from another.
pub fn two_cores() -> Result<(), String> {
    if threads::allowed().len() >= 2 { Ok(()) } else { Err("there is only one core".to_owned()) }
}

/// The client library finds out late, when it has taken over half of what it was told.
fn a_client_that_cannot_start_ends_the_run() {
    for mechanism in ["GSSAPI", "PLAIN", "SCRAM-SHA-256"] {
        let settings = format!("-X security.protocol=SASL_PLAINTEXT -X sasl.mechanism={mechanism}");
        let work = format!("--brokers 127.0.0.1:1 --startup-timeout 1s --topic t --seq_read {settings}");
        Run::verifier().args(work).finish().expect_code(2).expect_no_output(&["did not end in time"]);
    }
}

fn no_broker_is_reported_with_its_address() {
    let address = format!("127.0.0.1:{}", ports::free_port());
    let run = Run::verifier().args(format!("--brokers {address} --topic t --startup-timeout 4s"));
    let finished = run.args("--produce_msgs 10 --seq_read").finish().expect_code(3);
    let finished = finished.expect_output(&[&format!("no answer from {address} yet; waiting for it")]);
    let finished = finished.expect_one_error(&["no broker answered", &address, "--startup-timeout"]);
    assert!(finished.elapsed >= Duration::from_secs(4), "it had its time: {:?}", finished.elapsed);
    assert!(finished.workdir.contents().is_empty(), "no file touched");
}

fn a_missing_topic_is_named_and_not_created(cluster: &Cluster) {
    let topic = Topic::missing(cluster.bootstrap());
    let run = Run::verifier().args(topic.flags()).args("--startup-timeout 4s --produce_msgs 10 --seq_read");
    let finished = run.finish().expect_code(3).expect_one_error(&[topic.name(), "does not exist"]);
    let finished = finished.expect_output(&["is not there; waiting for it, for 4s at the most"]);
    assert!(!topic.exists(), "a topic was created by asking for it");
    assert!(finished.workdir.contents().is_empty(), "no file touched");
}

fn a_missing_topic_is_not_created_even_where_that_is_allowed(cluster: &Cluster) {
    a_missing_topic_is_named_and_not_created(cluster);
}

/// What is there must be left alone, byte for byte.
fn expect_ledger_refused(text: &str, work: &str, said: &[&str]) -> Finished {
    let mock = Mock::start();
    let (topic, workdir) = (mock.topic(2), Workdir::new());
    let file = ledger::file_name(topic.name());
    workdir.write(&file, text);
    let before = workdir.contents();
    let finished = Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).finish().expect_code(3);
    let finished = finished.expect_one_error(&[file.as_str()]).expect_output(said);
    assert_eq!(workdir.contents(), before, "no file touched");
    assert_eq!(topic.ends(), [0, 0], "nothing produced");
    finished
}

const PRODUCE_AND_READ: &str = "--produce_msgs 10 --seq_read --rand_read_msgs 1";

fn a_ledger_that_is_no_json_stays() {
    expect_ledger_refused("this is no ledger\n", PRODUCE_AND_READ, &["is not a ledger"]);
}

fn a_ledger_that_was_cut_off_stays() {
    let mut text = LedgerFile::of(&[&[(0, 5)], &[(0, 7)]]).text();
    text.truncate(text.len() / 2);
    expect_ledger_refused(&text, PRODUCE_AND_READ, &["is not a ledger"]);
}

fn a_ledger_of_a_larger_topic_stays() {
    let text = LedgerFile::of(&[&[(0, 5)], &[], &[(0, 7)]]).text();
    expect_ledger_refused(&text, PRODUCE_AND_READ, &["lists 3 partitions", "has 2"]);
}

fn a_reader_refuses_a_bad_ledger_too() {
    for work in ["--seq_read", "--rand_read_msgs 5"] {
        expect_ledger_refused("{", work, &["is not a ledger"]);
    }
}

fn a_port_in_use_is_named() {
    let mock = Mock::start();
    let (topic, port) = (mock.topic(1), ports::free_port());
    let _other = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let run = Run::verifier().args(topic.flags()).args(PRODUCE_AND_READ).with_control_at(port);
    let finished = run.finish().expect_code(3);
    assert!(finished.stderr.contains(&port.to_string()), "{}", finished.transcript());
    assert_eq!(finished.stderr.lines().count(), 1, "one clear line: {}", finished.transcript());
    assert_eq!(topic.ends(), [0], "nothing produced");
    assert!(finished.workdir.contents().is_empty(), "no file touched");
}

/// Refused before anything is asked of anybody.
fn expect_cores_refused(run: Run, cores: &str, said: &[&str]) {
    let broker = ports::Decoy::listen();
    let run = run.args(format!("--brokers {} --topic t --cores {cores}", broker.address()));
    let finished = run.args(PRODUCE_AND_READ).finish().expect_code(3).expect_output(said);
    assert_eq!(finished.stderr.lines().count(), 1, "one clear line: {}", finished.transcript());
    assert!(!broker.was_visited(), "nobody called");
    assert!(finished.workdir.contents().is_empty(), "no file touched");
}

fn cores_that_do_not_exist_are_refused_with_those_that_do() {
    let allowed = format!("allowed: {}", threads::allowed());
    expect_cores_refused(Run::verifier(), "8000-8001", &["--cores 8000-8001", &allowed]);
}

fn more_cores_than_there_are_is_refused_with_those_that_are() {
    let allowed = threads::allowed();
    let (count, list) = (format!("only {} cores", allowed.len()), format!("({allowed})"));
    expect_cores_refused(Run::verifier(), "8000", &["--cores 8000", &count, &list]);
}

fn cores_outside_the_mask_are_refused_with_those_inside() {
    let allowed: Vec<usize> = threads::allowed().iter().collect();
    let (inside, outside) = (allowed[0].to_string(), allowed[1]);
    let run = Run::verifier().under(["taskset", "-c", &inside]);
    let said = [format!("cores {outside} are not allowed here"), format!("allowed: {inside}")];
    expect_cores_refused(run, &format!("{outside}-{outside}"), &[&said[0], &said[1]]);
}

fn a_placement_plan_is_printed_and_nothing_done() {
    let mock = Mock::start();
    let topic = mock.topic(4);
    let core = threads::allowed().iter().next().expect("a core");
    let run = Run::verifier().args(topic.flags()).args(PRODUCE_AND_READ);
    let finished = run.args(format!("--print-placement --cores {core}-{core}")).finish().expect_code(0);
    let finished = finished.expect_output(&["1 shard, client threads: shard", "all other threads: cpus"]);
    assert_eq!(topic.ends(), [0; 4], "nothing produced");
    assert!(finished.workdir.contents().is_empty(), "no file touched");
}
