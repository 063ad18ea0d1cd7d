//! `proofload doctor`, on a cluster that is fine, and on one that is not.

use crate::{
    Test,
    dsl::{
        Cluster, Finished, Run, Secured,
        secured::{Door, PASSWORD},
        wire::{Operation, Resource},
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![Real(a_cluster_that_is_fine_and_what_is_missing), Secured(rights_that_lack_are_named)]
}

fn doctor(flags: &str) -> Finished {
    Run::proofload().arg("doctor").args(flags).finish_bare()
}

/// Whether there is such a line.
#[track_caller]
fn expect_line(run: &Finished, mark: &str, words: &[&str]) {
    let text = run.transcript();
    let is_it = |line: &str| line.starts_with(mark) && words.iter().all(|word| line.contains(word));
    assert!(text.lines().any(is_it), "{mark} {words:?}: {text}");
}

fn a_cluster_that_is_fine_and_what_is_missing(cluster: &Cluster) {
    let topic = cluster.topic(3);
    let run = doctor(&topic.flags()).expect_code(0);
    for what in ["kernel", "io_uring", "locked memory", "descriptors", "broker", "cluster", "permissions"] {
        expect_line(&run, "ok    ", &[what]);
    }
    expect_line(&run, "WARN  topic", &[topic.name(), "3 partitions on 1 replica"]);
    assert_eq!(topic.ends(), [0, 0, 0], "it sends nothing");
    let brokers = cluster.bootstrap();
    let run = doctor(&format!("--brokers {brokers} --topic no-such-topic-here")).expect_code(3);
    expect_line(&run, "FAIL  topic", &["no-such-topic-here is not there"]);
    let port = crate::dsl::ports::free_port();
    let run = doctor(&format!("--brokers 127.0.0.1:{port}")).expect_code(3);
    expect_line(&run, "FAIL  broker", &["nobody listens there: start the broker"]);
    doctor("--topic t").expect_code(2);
}

fn rights_that_lack_are_named(secured: &Secured) {
    let topic = secured.topic(1);
    secured.grant("dora", Resource::Topic(topic.name()), Operation::Read);
    let flags = format!("--brokers {} --topic {} --username dora", secured.address(Door::Sasl), topic.name());
    let run = Run::proofload().arg("doctor").args(flags).env("PROOFLOAD_PASSWORD", PASSWORD);
    let run = run.finish_bare().expect_code(3);
    expect_line(&run, "FAIL  permissions", &["we lack WRITE (producers need it)", topic.name()]);
    let run =
        doctor(&format!("--brokers {} --username nobody --password wrong", secured.address(Door::Sasl)));
    expect_line(&run.expect_code(3), "FAIL  cluster", &["check user, password and --sasl-mechanism"]);
}
