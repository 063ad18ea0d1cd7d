//! The limits of the machine: descriptors, memory, and how much anybody can read.

use std::{net::TcpStream, time::Duration};

use crate::{
    Test,
    dsl::{Cluster, Mock, Run, Topic},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(too_few_descriptors_are_named_before_anything_is_done),
        Alone(the_soft_limit_on_descriptors_is_raised),
        Alone(connections_of_the_control_port_leave_the_run_its_descriptors),
        Alone(many_clients_take_little_memory),
        Alone(a_large_value_is_not_there_many_times),
        Alone(a_trace_stays_readable),
    ]
}

/// Under these limits on descriptors, in the words of `ulimit`.
fn limited(run: Run, ulimit: &str) -> Run {
    let script = format!("ulimit {ulimit} && exec \"$0\" \"$@\"");
    run.under(["sh".to_owned(), "-c".to_owned(), script])
}

fn too_few_descriptors_are_named_before_anything_is_done(cluster: &Cluster) {
    let topic = Topic::missing(cluster.bootstrap());
    // Of our own client readers of a shard share one.
    for (work, clients) in [
        ("--rand_read_msgs 5 --parallel 64 --client librdkafka", "64 clients"),
        ("--consumer_group_readers 64 --client librdkafka", "64 clients"),
        // And who reads for each.
        ("--consumer_group_readers 64", "128 clients"),
    ] {
        let run =
            Run::verifier().args(topic.flags()).args("--cores 1 --create-topic --produce_msgs 10").args(work);
        let finished = limited(run, "-n 256").finish().expect_code(3);
        let finished = finished.expect_one_error(&[clients, "limit is 256", "`ulimit -n ", "LimitNOFILE="]);
        assert!(finished.workdir.contents().is_empty(), "a file was touched");
    }
    // And who is not told which client to take.
    let run =
        Run::verifier().args(topic.flags()).args("--cores 1 --create-topic --produce_msgs 10 --seq_read");
    let run = limited(run.args("--remote-port 0"), "-n 64").finish_bare().expect_code(3);
    let run =
        run.expect_one_error(&["limit is 64", "connections to 1 broker(s)", "`ulimit -n ", "LimitNOFILE="]);
    assert!(run.workdir.contents().is_empty(), "a file was touched");
    let words = format!("--brokers {} --topic {} --group g", cluster.bootstrap(), topic.name());
    let run = Run::repeater().args(words).args("--workers 40 --create-topic");
    limited(run, "-n 256").finish().expect_code(3).expect_one_error(&["limit is 256", "`ulimit -n "]);
    assert!(!topic.exists(), "a topic was created");
}

fn the_soft_limit_on_descriptors_is_raised() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let work = "--produce_msgs 100 --msg_size 10 --rand_read_msgs 5 --parallel 24 --seq_read";
    let run = limited(Run::verifier().args(topic.flags()).args(work), "-S -n 64");
    run.finish().expect_code(0).expect_output(&["PROVEN"]);
}

fn connections_of_the_control_port_leave_the_run_its_descriptors() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    // Enough for the run, and for a few connections.
    let work = "--cores 1 --produce_msgs 400 --msg_size 100 --produce-throughput-bps 8000 --seq_read";
    let run = limited(Run::verifier().args(topic.flags()).args(work).with_control(), "-n 140").start();
    run.harness().until("a first ack", |workers| workers[0].producer().acked > 0);
    let held: Vec<_> = (0..160).filter_map(|_| TcpStream::connect(("127.0.0.1", run.port())).ok()).collect();
    assert!(held.len() > 100, "{}", held.len());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(run.http().get("/status").map(|answer| answer.code), Some(200));
    let finished = run.finish().expect_code(0);
    finished.expect_output(&["PROVEN", "400 of 400 records"]).expect_no_output(&["WARN"]);
    drop(held);
}

/// The most memory that it had, as its summary says.
#[track_caller]
fn memory_mib(finished: &crate::dsl::Finished) -> u64 {
    let (_, rest) = finished.stdout.split_once("at most ").expect("a summary");
    rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

fn many_clients_take_little_memory() {
    let mock = Mock::start();
    let topic = mock.topic(4);
    let produce = "--produce_msgs 2000 --msg_size 4000 --rand_read_msgs 40 --parallel 48";
    let finished = Run::verifier().args(topic.flags()).args(produce).finish().expect_code(0);
    assert!(memory_mib(&finished) < 400, "{}", finished.transcript());
}

fn a_large_value_is_not_there_many_times() {
    let work = "--cores 1 --msg_size 60000000 --batch_max_bytes 70000000 --produce_msgs 1";
    let finished =
        Run::verifier().args(format!("--brokers embedded --topic t {work}")).finish().expect_code(0);
    assert!(memory_mib(&finished) < 600, "sixteen of them would be 960 MB: {}", finished.transcript());
}

fn a_trace_stays_readable() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    // Hundreds of requests, for some seconds.
    let rate = "--produce-throughput-bps 20000 --max-buffered-records 4";
    let work = format!("--produce_msgs 6000 --msg_size 10 {rate} --trace --client librdkafka");
    let finished = Run::verifier().args(topic.flags()).args(work).finish().expect_code(0);
    let finished = finished.expect_output(&["lines were not shown", "TRACE", "kgo#producer-"]);
    // Some twenty kinds of lines, ten of each a second.
    let limit = 400_000 + finished.elapsed.as_secs() * 40_000;
    assert!((finished.stderr.len() as u64) < limit, "{} bytes", finished.stderr.len());
    let longest = finished.stderr.lines().map(str::len).max().unwrap_or(0);
    assert!(longest < 2_000, "{longest} bytes in a line");
}
