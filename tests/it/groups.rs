//! Consumer groups that prove what they read.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{Cluster, EXIT_LIMIT, Run, Running, Topic, Workdir, ledger, ledger::LedgerFile, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnReal(&["offsets.topic.replication.factor=3"], a_group_without_a_coordinator_ends_in_time),
        Real(a_group_proves_everything_and_leaves_no_group_behind),
        Real(a_named_group_goes_on_where_it_was),
        Real(a_killed_group_has_committed_what_it_read),
        Real(no_more_is_uncommitted_than_was_asked_for),
        Real(redelivery_is_legal),
        Real(redelivery_is_a_violation_where_each_record_must_come_once),
        Real(a_looping_group_leaves_none_behind),
        Real(a_continuous_group_waits_for_more),
        Real(a_group_stops_after_so_many_records),
        Real(a_group_that_stopped_goes_on_with_the_next_record),
        Real(a_group_keeps_to_its_rate),
        Real(what_a_group_is_not_shown_is_lost),
        Real(a_group_that_ends_in_a_control_record_finishes),
        Real(time_outs_reach_the_group),
    ]
}

/// What one client commits the other goes on from.
const OURS: &str = "--client wire";
const LIBRDKAFKA: &str = "--client librdkafka";

fn run(topic: &Topic, workdir: &Workdir, work: &str) -> Run {
    Run::verifier().in_dir(workdir).args(topic.flags()).args(work)
}

/// A topic with so many records, and the ledger of them.
fn filled(cluster: &Cluster, partitions: usize, records: u32) -> (Topic, Workdir) {
    let (topic, workdir) = (cluster.topic(partitions), Workdir::new());
    run(&topic, &workdir, &format!("--produce_msgs {records} --msg_size 100")).finish().expect_code(0);
    (topic, workdir)
}

fn valid_reads(run: &Running) -> u64 {
    run.harness().first()[0].reader().validator.valid_reads
}

/// Groups that a process named by itself.
fn own_groups(topic: &Topic, pid: u32) -> Vec<String> {
    let middle = format!("-{pid}-");
    topic.groups("kgo-verifier-").into_iter().filter(|name| name.contains(&middle)).collect()
}

fn a_group_without_a_coordinator_ends_in_time(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, 10);
    let finished = run(&topic, &workdir, "--consumer_group_readers 2 --startup-timeout 4s").finish();
    finished.expect_code(3).expect_one_error(&[
        "group 'kgo-verifier-",
        "4s (--startup-timeout)",
        "coordinator",
        "offsets.topic.replication.factor=3",
    ]);
}

fn a_group_proves_everything_and_leaves_no_group_behind(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 5, 5_000);
    // More members than partitions: some of them have nothing to do.
    let group = run(&topic, &workdir, "--consumer_group_readers 7 --remote").with_control().start();
    let workers = group.harness().until_done();
    assert_eq!(workers.len(), 1, "one object for the whole group");
    let validator = &workers[0].reader().validator;
    assert_eq!((validator.valid_reads, validator.offset_gaps, &validator.lost_offsets), (5_000, 0, &None));
    let highest: Vec<i64> = validator.max_offsets_consumed.values().copied().collect();
    assert_eq!(highest, topic.ends().iter().map(|end| end - 1).collect::<Vec<_>>());
    let pid = group.pid();
    group.http().order("/shutdown");
    group.finish_within(EXIT_LIMIT).expect_code(0).expect_output(&["PROVEN", "group       5,000 records"]);
    assert_eq!(own_groups(&topic, pid), [""; 0]);
}

fn a_named_group_goes_on_where_it_was(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 3, 900);
    let name = format!("named-{}", topic.name());
    let read = |client: &str| {
        let work = format!("--consumer_group_readers 2 --consumer_group_name {name} {client}");
        run(&topic, &workdir, &work).finish()
    };
    read(OURS).expect_code(0).expect_output(&["group       900 records proven valid", "CONSISTENT: "]);
    let words = format!(
        "NO PROGRESS: there was nothing to read in topic {} beyond the committed offsets of group {name}",
        topic.name()
    );
    read(LIBRDKAFKA).expect_code(3).expect_output(&["group       0 records proven valid", &words]);
    run(&topic, &workdir, "--produce_msgs 300 --msg_size 10").finish().expect_code(0);
    read(OURS).expect_code(0).expect_output(&["group       300 records proven valid"]);
    assert_eq!(topic.groups(&name), std::slice::from_ref(&name), "a group that somebody named is his");
}

/// Without a word on commits, members commit at least every 5 s.
fn a_killed_group_has_committed_what_it_read(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, 500);
    let name = format!("killed-{}", topic.name());
    let flags = format!("--consumer_group_readers 2 --consumer_group_name {name}");
    let first = run(
        &topic,
        &workdir,
        &format!("{flags} --continuous --consumer-group-session-timeout-s 6s --remote"),
    )
    .with_control()
    .start();
    first.harness().until("all reads", |workers| workers[0].reader().validator.valid_reads == 500);
    let read = Instant::now();
    let committed = || topic.committed(&name).into_iter().flatten().sum::<i64>();
    wait_until("all is committed", || committed() == 500);
    assert!(read.elapsed() < Duration::from_secs(15), "{:?}", read.elapsed());
    first.signal(Signal::SIGKILL);
    drop(first);
    run(&topic, &workdir, &flags)
        .finish()
        .expect_code(3)
        .expect_output(&["group       0 records proven valid", "NO PROGRESS: there was nothing to read"]);
}

fn no_more_is_uncommitted_than_was_asked_for(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, 2_000);
    let name = format!("uncommitted-{}", topic.name());
    let flags = format!("--consumer_group_readers 1 --consumer_group_name {name} --max-uncommitted 10");
    // A MiB per second is 10,000 of these records.
    let slow = format!("{flags} --consumer-group-session-timeout-s 6s -X fetch.message.max.bytes=1000");
    let first = run(&topic, &workdir, &slow).with_control().start();
    first.harness().until("some reads", |workers| workers[0].reader().validator.valid_reads > 200);
    let read = valid_reads(&first);
    first.signal(Signal::SIGKILL);
    drop(first);
    let second = run(&topic, &workdir, &format!("{flags} --remote")).with_control().start();
    let again = second.harness().until_done()[0].reader().validator.valid_reads;
    second.http().order("/shutdown");
    second.finish().expect_code(0);
    assert!(again <= 2_000 - read + 10, "{read} were read, and then {again}");
}

/// Another member takes partitions, and gives them back at their start.
fn rewound(cluster: &Cluster, client: &str, flags: &str) -> crate::dsl::Finished {
    let (topic, workdir) = filled(cluster, 2, 400);
    let name = format!("rewound-{}", topic.name());
    let work = format!(
        "--consumer_group_readers 1 --consumer_group_name {name} --continuous --remote {client} {flags}"
    );
    let group = run(&topic, &workdir, &work).with_control().start();
    group.harness().until("all reads", |workers| workers[0].reader().validator.valid_reads == 400);
    topic.rewind_group(&name);
    if flags.is_empty() {
        group.harness().until("reads again", |workers| workers[0].reader().validator.valid_reads > 400);
        group.http().order("/last_pass");
        group.harness().until_done();
        group.http().order("/shutdown");
    }
    group.finish()
}

fn redelivery_is_legal(cluster: &Cluster) {
    for client in [OURS, LIBRDKAFKA] {
        rewound(cluster, client, "").expect_code(0).expect_no_output(&["VIOLATION", "nonmonotonic"]);
    }
}

fn redelivery_is_a_violation_where_each_record_must_come_once(cluster: &Cluster) {
    let finished = rewound(cluster, OURS, "--group-consume-exactly-once");
    finished.expect_code(1).expect_one_error(&["group-redelivery", "offset 0", "each record once in group"]);
}

fn a_looping_group_leaves_none_behind(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, 200);
    for client in [OURS, LIBRDKAFKA] {
        let work = format!("--consumer_group_readers 2 --loop --remote {client}");
        let group = run(&topic, &workdir, &work).with_control().start();
        group.harness().until("three passes", |workers| workers[0].reader().validator.valid_reads >= 600);
        group.http().order("/last_pass");
        let workers = group.harness().until_done();
        assert_eq!(workers[0].reader().validator.valid_reads % 200, 0, "whole passes: {workers:?}");
        let pid = group.pid();
        group.http().order("/shutdown");
        group.finish().expect_code(0);
        assert_eq!(own_groups(&topic, pid), [""; 0]);
    }
}

fn a_continuous_group_waits_for_more(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 3, 300);
    let group =
        run(&topic, &workdir, "--consumer_group_readers 3 --continuous --remote").with_control().start();
    let mut harness = group.harness();
    harness.until("what is there", |workers| workers[0].reader().validator.valid_reads == 300);
    run(&topic, &workdir, "--produce_msgs 200 --msg_size 10").finish().expect_code(0);
    let workers = harness.until("what came", |workers| workers[0].reader().validator.valid_reads == 500);
    assert!(workers[0].is_active(), "it waits for more");
    group.http().order("/last_pass");
    harness.until_done();
    group.http().order("/shutdown");
    group.finish().expect_code(0).expect_output(&["PROVEN"]);
}

fn a_group_stops_after_so_many_records(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 4, 2_000);
    let finished = run(&topic, &workdir, "--consumer_group_readers 3 --seq_read_msgs 700").finish();
    finished
        .expect_code(0)
        .expect_output(&["group       700 records proven valid"])
        .expect_no_output(&["PROVEN", "lost-write"]);
}

/// What its client had shown beyond that is for who goes on.
fn a_group_that_stopped_goes_on_with_the_next_record(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, 2_000);
    let name = format!("stopped-{}", topic.name());
    let flags = format!("--consumer_group_readers 1 --consumer_group_name {name}");
    let first = run(&topic, &workdir, &format!("{flags} --seq_read_msgs 700")).finish();
    first.expect_code(0).expect_output(&["group       700 records proven valid"]);
    let rest = run(&topic, &workdir, &format!("{flags} {LIBRDKAFKA}")).finish();
    rest.expect_code(0).expect_output(&["group       1,300 records proven valid"]);
}

fn a_group_keeps_to_its_rate(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    run(&topic, &workdir, "--produce_msgs 300 --msg_size 10000").finish().expect_code(0);
    let limited = run(&topic, &workdir, "--consumer_group_readers 2 --consume-throughput-mb 1").finish();
    // 3 MB at 1 MiB per second.
    assert!(limited.elapsed.as_secs_f64() > 2.0, "{:?}", limited.elapsed);
    limited.expect_code(0).expect_output(&["group       300 records"]);
}

fn what_a_group_is_not_shown_is_lost(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    topic.write_proven(0, 0..50);
    workdir.write(&ledger::file_name(topic.name()), LedgerFile::of(&[&[(0, 60)]]).text());
    let finished = run(&topic, &workdir, "--consumer_group_readers 2").finish().expect_code(1);
    finished.expect_one_error(&["lost-write", "partition 0 offset 50", "10 acked records between 50 and 59"]);
}

fn a_group_that_ends_in_a_control_record_finishes(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let work = "--produce_msgs 60 --msg_size 10 --use-transactions --msgs-per-transaction 7 \
                --consumer_group_readers 2";
    run(&topic, &workdir, work)
        .finish()
        .expect_code(0)
        .expect_output(&["group       60 records proven valid"]);
    let plain = format!("--consumer_group_readers 2 {LIBRDKAFKA}");
    let plain = run(&topic, &workdir, &plain).finish().expect_code(0);
    plain.expect_output(&["group       60 records proven valid"]);
}

/// The coordinator refuses sessions that are too short or too long, and says so.
fn time_outs_reach_the_group(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, 10);
    let flags = "--consumer_group_readers 1 --consumer-group-session-timeout-s 7s \
                 --consumer-group-rebalance-timeout-s 20s --continuous --remote";
    let group = run(&topic, &workdir, flags).with_control().start();
    group.harness().until("all reads", |workers| workers[0].reader().validator.valid_reads == 10);
    let pid = group.pid();
    let name = own_groups(&topic, pid).remove(0);
    let stopped = std::time::Instant::now();
    group.signal(Signal::SIGSTOP);
    wait_until("the member to be given up", || topic.members(&name) == 0);
    let waited_s = stopped.elapsed().as_secs_f64();
    group.signal(Signal::SIGCONT);
    // By default it would be 45 s.
    assert!((2.0..40.0).contains(&waited_s), "given up after {waited_s} s, with a session of 7 s");
    group.http().order("/shutdown");
    group.finish().expect_code(0);
}
