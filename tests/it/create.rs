//! `--create-topic`: what is missing is made as asked for, what is there is left alone.

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{
        Cluster, Run, Secured, Topic, wait_until,
        wire::{Operation, Resource},
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(a_missing_topic_is_made_as_asked_for),
        Real(a_topic_is_made_with_8_partitions_unless_told_otherwise),
        Real(a_topic_that_is_there_is_left_alone),
        Real(more_replicas_than_brokers_are_refused),
        Real(a_setting_that_does_not_exist_is_refused),
        Real(a_repeater_makes_all_its_topics),
        Secured(a_topic_that_may_not_be_made_is_refused),
        Secured(the_right_to_make_a_topic_is_enough),
        Alone(an_embedded_topic_needs_no_making),
    ]
}

const WORK: &str = "--produce_msgs 100 --msg_size 50 --seq_read";

fn a_missing_topic_is_made_as_asked_for(cluster: &Cluster) {
    let topic = Topic::missing(cluster.bootstrap());
    let asked = "--create-topic --partitions 5 --replication-factor 1 --topic-config retention.ms=86400000 \
                 --topic-config cleanup.policy=compact,delete";
    let finished = Run::verifier().args(topic.flags()).args(WORK).args(asked).finish().expect_code(0);
    finished.expect_output(&["PROVEN", "100 of 100 records"]).expect_no_output(&["WARN"]);
    assert_eq!(topic.partitions(), Some(5));
    assert_eq!(topic.setting("retention.ms"), "86400000");
    assert_eq!(topic.setting("cleanup.policy"), "compact,delete");
}

fn a_topic_is_made_with_8_partitions_unless_told_otherwise(cluster: &Cluster) {
    let topic = Topic::missing(cluster.bootstrap());
    let run = Run::verifier().args(topic.flags()).args(WORK).args("--create-topic");
    run.finish().expect_code(0).expect_output(&["PROVEN"]);
    assert_eq!(topic.partitions(), Some(8));
}

fn a_topic_that_is_there_is_left_alone(cluster: &Cluster) {
    let topic = cluster.topic(2);
    wait_until("the topic", || topic.partitions() == Some(2));
    let retention = topic.setting("retention.ms");
    let asked = "--create-topic --partitions 7 --topic-config retention.ms=1234567";
    Run::verifier().args(topic.flags()).args(WORK).args(asked).finish().expect_code(0);
    assert_eq!((topic.partitions(), topic.setting("retention.ms")), (Some(2), retention));
}

/// One line, at once, and no topic.
#[track_caller]
fn expect_refusal(topic: &Topic, run: Run, words: &[&str]) {
    let finished = run.args(WORK).finish().expect_code(3).expect_one_error(words);
    assert!(finished.elapsed.as_secs() < 20, "at once: {:?}", finished.elapsed);
    assert!(finished.workdir.contents().is_empty(), "no file touched");
    assert!(!topic.exists(), "a topic was made");
}

fn more_replicas_than_brokers_are_refused(cluster: &Cluster) {
    let topic = Topic::missing(cluster.bootstrap());
    let run = Run::verifier().args(topic.flags()).args("--create-topic --replication-factor 3");
    expect_refusal(&topic, run, &[topic.name(), "could not be created", "eplication factor"]);
}

fn a_setting_that_does_not_exist_is_refused(cluster: &Cluster) {
    let topic = Topic::missing(cluster.bootstrap());
    let run = Run::verifier().args(topic.flags()).args("--create-topic --topic-config no.such=1");
    expect_refusal(&topic, run, &[topic.name(), "could not be created", "no.such"]);
}

fn a_repeater_makes_all_its_topics(cluster: &Cluster) {
    let topics = [(); 2].map(|()| Topic::missing(cluster.bootstrap()));
    let names = topics.each_ref().map(Topic::name).join(",");
    let run = Run::repeater().args(format!("--brokers {} --topics {names}", cluster.bootstrap()));
    let run = run.args(format!("--group g-{} --create-topic --partitions 3 --remote", topics[0].name()));
    let run = run.with_control().start();
    wait_until("both topics", || topics.iter().all(|topic| topic.partitions() == Some(3)));
    wait_until("a status", || run.http().get("/status").is_some_and(|answer| answer.code == 200));
    run.signal(Signal::SIGTERM);
    run.finish().expect_code(0);
}

fn a_topic_that_may_not_be_made_is_refused(secured: &Secured) {
    let topic = Topic::missing(secured.cluster().bootstrap());
    secured.grant("frida", Resource::Topic(topic.name()), Operation::Describe);
    let run = secured.verifier_of("frida", &topic).args("--create-topic");
    expect_refusal(&topic, run, &[topic.name(), "could not be created", "AUTHORIZATION_FAILED"]);
}

fn the_right_to_make_a_topic_is_enough(secured: &Secured) {
    let topic = Topic::missing(secured.cluster().bootstrap());
    for operation in [Operation::Create, Operation::Write, Operation::Read] {
        secured.grant("greta", Resource::Topic(topic.name()), operation);
    }
    let run = secured.verifier_of("greta", &topic).args(WORK).args("--create-topic --partitions 2");
    run.finish().expect_code(0).expect_output(&["PROVEN"]);
    assert_eq!(topic.partitions(), Some(2));
}

fn an_embedded_topic_needs_no_making() {
    let asked = "--partitions 3 --create-topic --replication-factor 3 --topic-config a=b";
    let run = Run::verifier().args(format!("--brokers embedded --topic t {WORK} {asked}"));
    run.finish().expect_code(0).expect_output(&["PROVEN", "3 partitions"]);
}
