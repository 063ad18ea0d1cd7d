//! `--brokers embedded`: whole proofs without any broker to be had, and what all clusters have in common.

use std::time::Duration;

use crate::{
    Test,
    dsl::{Finished, Mock, Run, Workdir, Worker, wait_until},
    tests,
};

const CLIENTS: [&str; 2] = ["librdkafka", "wire"];
const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd", "mixed"];

pub fn tests() -> Vec<(String, Test)> {
    let each = |client| {
        CODECS.iter().map(move |codec| {
            let name = format!("embedded::compression_{codec}_proves_with_{client}");
            (name, Test::Case(Box::new(move || proves_compressed(codec, client))))
        })
    };
    let codecs = CLIENTS.into_iter().flat_map(each);
    let others = tests![
        Alone(the_first_command_of_the_readme_proves),
        Alone(several_brokers_prove),
        Alone(our_own_client_needs_no_real_broker),
        Alone(loops_go_on_until_the_last_pass),
        Alone(producing_is_not_faster_than_its_limit),
        Alone(reading_is_not_faster_than_its_limit),
        Alone(a_sequential_read_ends_after_so_many_records),
        Alone(an_empty_topic_is_read_at_once),
        Alone(each_of_several_random_readers_reads_its_number),
        Alone(more_partitions_than_a_core_can_count_on),
        Alone(a_batch_of_one_record_in_flight_still_proves),
    ];
    codecs.chain(others).collect()
}

/// A proof of so many records on an embedded cluster, with more flags.
fn prove(brokers: &str, messages: u64, flags: &str) -> Finished {
    let work = format!("--produce_msgs {messages} --rand_read_msgs 20 --seq_read");
    let run = Run::proofload().args(format!("verifier --brokers {brokers} --topic demo {work} {flags}"));
    expect_proof(run.finish(), messages)
}

fn expect_proof(finished: Finished, messages: u64) -> Finished {
    let count = indicatif_count(messages);
    finished.expect_code(0).expect_output(&[
        "PROVEN",
        &format!("{count} of {count} records acked where predicted"),
        "random      20 records proven valid",
        &format!("sequential  {count} records proven valid"),
    ])
}

/// 100,000.
fn indicatif_count(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

fn the_first_command_of_the_readme_proves() {
    let finished = prove("embedded", 100_000, "--msg_size 256");
    assert!(
        finished.workdir.contents().is_empty(),
        "a ledger that outlives its cluster would be held against the next"
    );
}

fn several_brokers_prove() {
    prove("embedded:3", 5_000, "--msg_size 100").expect_output(&["3 mock brokers at "]);
}

/// The mock is sloppy where librdkafka does not mind: bytes behind a message's last field, for instance.
fn our_own_client_needs_no_real_broker() {
    prove("embedded", 20_000, "--msg_size 256 --client wire");
    prove("embedded:3", 5_000, "--msg_size 5000 --client wire --partitions 7")
        .expect_output(&["3 mock brokers at "]);
    prove("embedded", 200, "--msg_size 0 --max-buffered-records 1 --linger 1ms --client wire");
}

fn proves_compressed(codec: &str, client: &str) {
    let flags = format!("--msg_size 1000 --compression-type {codec} --client {client}");
    prove("embedded", 2_000, &flags);
}

fn more_partitions_than_a_core_can_count_on() {
    prove("embedded", 3_000, "--msg_size 10 --partitions 50");
}

fn a_batch_of_one_record_in_flight_still_proves() {
    prove("embedded", 200, "--msg_size 0 --max-buffered-records 1 --linger 1ms");
}

fn loops_go_on_until_the_last_pass() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    topic.write_proven(0, 0..50);
    topic.write_proven(1, 0..30);
    for (work, once) in [("--seq_read", 80), ("--rand_read_msgs 10", 10)] {
        let run = Run::verifier().args(topic.flags()).args(format!("{work} --loop")).with_control().start();
        let looped = |workers: &[Worker]| workers[0].reader().validator.valid_reads >= 3 * once;
        let workers = run.harness().until("a third pass", looped);
        assert!(workers[0].is_active(), "never false between the passes: {workers:?}");
        run.http().order("/last_pass");
        run.finish()
            .expect_code(0)
            .expect_output(&["records read, none proven valid"])
            .expect_no_output(&["ERROR"]);
    }
}

fn producing_is_not_faster_than_its_limit() {
    let mock = Mock::start();
    let topic = mock.topic(4);
    for (client, records) in CLIENTS.into_iter().zip([300, 600]) {
        let run = Run::verifier().args(topic.flags()).args(format!("--client {client}"));
        let finished =
            run.args("--produce_msgs 300 --msg_size 1000 --produce-throughput-bps 100000").finish();
        let finished = finished.expect_code(0);
        assert!(finished.elapsed >= Duration::from_secs(2), "300 kB at 100 kB/s in {:?}", finished.elapsed);
        assert_eq!(topic.ends().iter().sum::<i64>(), records);
    }
}

fn reading_is_not_faster_than_its_limit() {
    let mock = Mock::start();
    let (topic, workdir) = (mock.topic(2), Workdir::new());
    let run = || Run::verifier().in_dir(&workdir).args(topic.flags()).args("--msg_size 10000");
    run().args("--produce_msgs 400").finish().expect_code(0);
    for client in CLIENTS {
        let read = run().args("--seq_read --consume-throughput-mb 1").args(format!("--client {client}"));
        let finished = read.finish().expect_code(0).expect_output(&["400 records proven valid"]);
        assert!(finished.elapsed >= Duration::from_secs(2), "3.8 MiB at 1 MiB/s in {:?}", finished.elapsed);
    }
}

fn a_sequential_read_ends_after_so_many_records() {
    let mock = Mock::start();
    let topic = mock.topic(3);
    (0..3).for_each(|partition| topic.write_proven(partition, 0..40));
    let finished = Run::verifier().args(topic.flags()).args("--seq_read --seq_read_msgs 50").finish();
    finished.expect_code(0).expect_output(&["sequential  50 records read, none proven valid"]);
}

fn an_empty_topic_is_read_at_once() {
    let mock = Mock::start();
    let topic = mock.topic(3);
    let finished = Run::verifier().args(topic.flags()).args("--seq_read --rand_read_msgs 5").finish();
    finished.expect_code(3).expect_output(&["random      0 records", "sequential  0 records"]);
    // One that is new has nothing, and there is no ledger that could be named.
    let new = Run::verifier().args("--brokers embedded --topic new --seq_read").finish();
    new.expect_code(3).expect_output(&["NO PROGRESS: "]).expect_no_output(&["WARN", "--ledger-dir"]);
    let run = Run::verifier().args(topic.flags()).args("--rand_read_msgs 5 --loop").with_control().start();
    run.harness().first();
    run.http().order("/last_pass");
    run.finish().expect_code(0);
}

fn each_of_several_random_readers_reads_its_number() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    topic.write_proven(0, 0..20);
    topic.write_proven(1, 0..20);
    let run = Run::verifier().args(topic.flags()).args("--rand_read_msgs 7 --parallel 5 --remote");
    let run = run.with_control().start();
    let workers = run.harness().until_done();
    let reads: Vec<_> = workers.iter().map(|worker| worker.reader().validator.valid_reads).collect();
    assert_eq!(reads, [7; 5], "one object for each reader");
    run.http().order("/shutdown");
    wait_until("the end", || run.http().get("/status").is_none());
    run.finish().expect_code(0);
}
