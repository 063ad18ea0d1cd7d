//! How soon a run ends that is told to, in mid-work, where the brokers answer.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{Cluster, Run, Running, Topic, Workdir},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(a_shutdown_in_mid_work_takes_less_than_a_second),
        Real(a_signal_in_mid_work_takes_less_than_a_second),
        Real(a_run_that_is_nearly_done_is_not_cut_off),
    ]
}

/// The contract's limit, in mid-work, where the brokers answer.
const LIMIT: Duration = Duration::from_secs(1);
/// One that was slow may have been so because of the machine; one that has to wait for something always is.
const ATTEMPTS: usize = 4;

const WORK: [&str; 6] = [
    "--produce_msgs 10000000000 --msg_size 1000",
    "--produce_msgs 10000000000 --msg_size 1000 --use-transactions --msgs-per-transaction 10",
    "--seq_read --loop",
    "--rand_read_msgs 100 --parallel 3 --loop",
    "--consumer_group_readers 3 --loop",
    "--consumer_group_readers 2 --consumer_group_name GROUP --continuous",
];

/// Ends each role, and finds all of it gone: the process, its port, and the group's members.
fn expect_soon(cluster: &Cluster, end: impl Fn(&Running)) {
    for work in WORK {
        let (topic, workdir) = (cluster.topic(3), Workdir::new());
        let group = format!("ends-{}", topic.name());
        if !work.contains("produce_msgs") {
            let fill = "--produce_msgs 3000 --msg_size 1000";
            Run::verifier().in_dir(&workdir).args(topic.flags()).args(fill).finish().expect_code(0);
        }
        let work = work.replace("GROUP", &group);
        let mut took = Vec::new();
        while took.iter().all(|took| *took > LIMIT) {
            assert!(took.len() < ATTEMPTS, "{work}: it took {took:?}");
            took.push(time_to_end(&topic, &workdir, &work, &end));
        }
        assert_eq!(topic.members(&group), 0, "{work}: members stayed behind");
    }
}

fn time_to_end(topic: &Topic, workdir: &Workdir, work: &str, end: &impl Fn(&Running)) -> Duration {
    let run = Run::verifier().in_dir(workdir).args(topic.flags()).args(work).args("--remote").with_control();
    let run = run.start();
    run.harness().until("work", |workers| match &workers[0] {
        crate::dsl::Worker::Producer(producer) => producer.acked > 100,
        crate::dsl::Worker::Reader(reader) => reader.validator.valid_reads > 10,
    });
    let (port, started) = (run.port(), Instant::now());
    end(&run);
    run.finish().expect_code(0);
    let took = started.elapsed();
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free at once");
    took
}

fn a_shutdown_in_mid_work_takes_less_than_a_second(cluster: &Cluster) {
    expect_soon(cluster, |run| drop(run.http().order("/shutdown")));
}

fn a_signal_in_mid_work_takes_less_than_a_second(cluster: &Cluster) {
    expect_soon(cluster, |run| run.signal(Signal::SIGTERM));
}

/// It ends by itself meanwhile, and has done all that it was asked to.
fn a_run_that_is_nearly_done_is_not_cut_off(cluster: &Cluster) {
    let topic = cluster.topic(1);
    let work = "--produce_msgs 500 --msg_size 100 --remote";
    let run = Run::verifier().args(topic.flags()).args(work).with_control().start();
    run.harness().until_done();
    run.http().order("/shutdown");
    run.finish().expect_code(0).expect_output(&["500 of 500 records acked"]);
}
