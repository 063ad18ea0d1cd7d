//! What others may do to a topic while a run is at work on it.

use std::time::Duration;

use crate::{
    Test,
    dsl::{
        Cluster, Run, Running, Secured, Topic, Workdir, poll,
        wire::{Operation, Resource},
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(a_topic_deleted_under_a_producer_ends_the_run),
        Real(a_topic_deleted_under_a_tolerant_producer_ends_the_run_too),
        Real(a_topic_deleted_under_readers_ends_the_run),
        Real(a_topic_created_anew_under_a_producer_is_a_violation),
        Real(a_topic_created_anew_under_a_reader_is_a_violation),
        Real(partitions_added_under_a_run_are_told_once_and_left_alone),
        Secured(the_right_to_write_lost_while_producing_ends_the_run),
        Secured(the_right_to_read_lost_while_reading_ends_the_run),
        Secured(a_failed_produce_is_counted_where_that_is_tolerated),
        Secured(the_right_to_a_group_lost_while_it_reads_ends_the_run),
        Secured(a_transactional_id_that_may_not_be_used_ends_the_run),
    ]
}

/// How soon it must be over: a bound, not a measurement.
const SOON: Duration = Duration::from_mins(1);

const PRODUCE: &str = "--produce_msgs 10000000000 --msg_size 100 --produce-throughput-bps 20000";

/// Looks at the cluster often, so that the test need not wait for half a minute.
fn start(run: Run, workdir: &Workdir, work: &str) -> Running {
    run.in_dir(workdir).args(work).args("--metadata-max-age 1s").with_control().start()
}

fn produce(topic: &Topic, workdir: &Workdir, work: &str) -> Running {
    let run = start(Run::verifier().args(topic.flags()), workdir, work);
    run.harness().until("acks", |workers| workers[0].producer().acked > 50);
    run
}

/// A looping reader of 200 records that are in the ledger.
fn read(topic: &Topic, workdir: &Workdir, work: &str) -> Running {
    let run = Run::verifier().in_dir(workdir).args(topic.flags());
    run.args("--produce_msgs 200 --msg_size 100").finish().expect_code(0);
    let run = start(Run::verifier().args(topic.flags()), workdir, work);
    run.harness().until("a pass", |workers| workers[0].reader().validator.valid_reads > 200);
    run
}

fn a_topic_deleted_under_a_producer_ends_the_run(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let run = produce(&topic, &workdir, PRODUCE);
    topic.delete();
    run.finish_within(SOON).expect_code(3).expect_one_error(&[topic.name()]).expect_output(&["FAILED: "]);
}

fn a_topic_deleted_under_a_tolerant_producer_ends_the_run_too(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let run = produce(&topic, &workdir, &format!("{PRODUCE} --tolerate-failed-produce --remote"));
    topic.delete();
    let finished = run.finish_within(SOON).expect_code(3);
    finished.expect_one_error(&[topic.name(), "was deleted while the run was under way"]);
}

fn a_topic_deleted_under_readers_ends_the_run(cluster: &Cluster) {
    for work in ["--seq_read --loop", "--rand_read_msgs 50 --loop"] {
        let (topic, workdir) = (cluster.topic(2), Workdir::new());
        let run = read(&topic, &workdir, work);
        topic.delete();
        let finished = run.finish_within(SOON).expect_code(3);
        finished.expect_one_error(&[topic.name(), "was deleted while the run was under way"]);
    }
}

fn a_topic_created_anew_under_a_producer_is_a_violation(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let run = produce(&topic, &workdir, PRODUCE);
    topic.delete();
    topic.create_again();
    let finished = run.finish_within(SOON).expect_code(1);
    finished.expect_one_error(&["refilled-truncation", topic.name(), "created anew"]);
}

fn a_topic_created_anew_under_a_reader_is_a_violation(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let run = read(&topic, &workdir, "--seq_read --loop");
    topic.delete();
    topic.create_again();
    let finished = run.finish_within(SOON).expect_code(1).expect_one_error(&[topic.name()]);
    let named = ["lost-write", "truncation"].iter().any(|anomaly| finished.stderr.contains(anomaly));
    assert!(named, "{}", finished.transcript());
}

fn partitions_added_under_a_run_are_told_once_and_left_alone(cluster: &Cluster) {
    let (mut topic, workdir) = (cluster.topic(2), Workdir::new());
    let work = "--produce_msgs 800 --msg_size 100 --produce-throughput-bps 20000 --seq_read";
    let run = produce(&topic, &workdir, work);
    topic.grow(4);
    let told = || run.stderr().contains("has 4 partitions now, and had 2").then_some(());
    poll(told).unwrap_or_else(|| panic!("not told\n{}", run.transcript()));
    let finished = run.finish_within(SOON).expect_code(0);
    let finished = finished.expect_output(&["PROVEN", "sequential  800 records proven valid"]);
    assert_eq!(finished.stderr.matches("WARN").count(), 1, "once: {}", finished.transcript());
    let ends = topic.ends();
    assert!(ends[0] > 0 && ends[1] > 0 && ends[2..] == [0, 0], "{ends:?}");
}

fn the_right_to_write_lost_while_producing_ends_the_run(secured: &Secured) {
    let (topic, workdir) = (secured.topic(2), Workdir::new());
    let resource = Resource::Topic(topic.name());
    secured.grant("hanna", resource, Operation::Write);
    let run = start(secured.verifier_of("hanna", &topic), &workdir, PRODUCE);
    run.harness().until("acks", |workers| workers[0].producer().acked > 50);
    secured.revoke("hanna", resource, Operation::Write);
    let finished = run.finish_within(SOON).expect_code(3);
    finished.expect_one_error(&[topic.name(), "AUTHORIZATION_FAILED"]).expect_output(&["FAILED: "]);
}

fn the_right_to_read_lost_while_reading_ends_the_run(secured: &Secured) {
    for work in ["--seq_read --loop", "--rand_read_msgs 50 --loop"] {
        let (topic, workdir) = (secured.topic(1), Workdir::new());
        let resource = Resource::Topic(topic.name());
        topic.write_proven(0, 0..100);
        secured.grant("ida", resource, Operation::Read);
        let run = start(secured.verifier_of("ida", &topic), &workdir, work);
        run.harness().until("a pass", |workers| workers[0].reader().validator.valid_reads > 100);
        secured.revoke("ida", resource, Operation::Read);
        let finished = run.finish_within(SOON).expect_code(3);
        finished.expect_one_error(&[topic.name(), "AUTHORIZATION_FAILED"]);
    }
}

fn a_failed_produce_is_counted_where_that_is_tolerated(secured: &Secured) {
    let (topic, other, workdir) = (secured.topic(2), secured.topic(1), Workdir::new());
    // Who may write somewhere gets a producer id, and learns with the first record that it is not here.
    secured.grant("julia", Resource::Topic(other.name()), Operation::Write);
    secured.grant("julia", Resource::Topic(topic.name()), Operation::Read);
    let work = "--produce_msgs 600 --msg_size 100 --seq_read --tolerate-failed-produce --remote";
    let run = start(secured.verifier_of("julia", &topic), &workdir, work);
    let workers = run.harness().until("a failed produce", |workers| workers[0].producer().fails > 0);
    assert_eq!(workers[0].producer().acked, 0, "{workers:?}");
    secured.grant("julia", Resource::Topic(topic.name()), Operation::Write);
    let workers = run.harness().until_done();
    assert_eq!(workers[0].producer().acked, 600, "{}", run.transcript());
    assert_eq!(workers[1].reader().validator.valid_reads, 600);
    run.http().order("/shutdown");
    run.finish().expect_code(0).expect_no_output(&["ERROR"]);
}

/// Who may not use a group any more can neither stay in it nor commit.
fn the_right_to_a_group_lost_while_it_reads_ends_the_run(secured: &Secured) {
    let (topic, workdir) = (secured.topic(1), Workdir::new());
    topic.write_proven(0, 0..100);
    let group = format!("rights-{}", topic.name());
    secured.grant("karla", Resource::Topic(topic.name()), Operation::Read);
    secured.grant("karla", Resource::Group(&group), Operation::Read);
    let work = format!("--consumer_group_readers 2 --consumer_group_name {group} --continuous");
    let run = start(secured.verifier_of("karla", &topic), &workdir, &work);
    run.harness().until("all reads", |workers| workers[0].reader().validator.valid_reads == 100);
    secured.revoke("karla", Resource::Group(&group), Operation::Read);
    topic.write_proven(0, 100..110);
    let finished = run.finish_within(SOON).expect_code(3);
    finished.expect_one_error(&["AUTHORIZATION_FAILED"]).expect_output(&["FAILED: "]);
}

fn a_transactional_id_that_may_not_be_used_ends_the_run(secured: &Secured) {
    let (topic, workdir) = (secured.topic(1), Workdir::new());
    secured.grant("lena", Resource::Topic(topic.name()), Operation::Write);
    let work = "--produce_msgs 10 --msg_size 10 --use-transactions";
    let finished =
        start(secured.verifier_of("lena", &topic), &workdir, work).finish_within(SOON).expect_code(3);
    finished.expect_one_error(&["transactional id 'kgo-", topic.name(), "AUTHORIZATION_FAILED"]);
    assert_eq!(topic.ends(), [0]);
}
