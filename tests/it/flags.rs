//! Flags whose effect others can see: on a broker's disk, on its connections, in the log.

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    net::{Ipv4Addr, TcpListener},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    Test,
    dsl::{Cluster, Mock, Run, Topic, Workdir, ports, topic::unique_name, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(linger_makes_fewer_and_larger_batches),
        Real(no_batch_is_larger_than_its_limit),
        Real(what_may_not_wait_goes_alone),
        Real(each_producer_picks_a_codec_of_its_own),
        Real(a_real_broker_knows_the_client_by_its_name),
        Real(gaps_count_unless_they_are_expected),
        Real(a_real_broker_sees_the_limits_of_speed),
        Real(a_sequential_read_of_a_real_broker_ends_after_so_many_records),
        Alone(no_more_records_are_in_flight_than_may_be_buffered),
        Alone(the_client_name_reaches_the_broker),
        Alone(settings_of_the_users_own_win),
        Alone(debug_and_trace_log_more),
        Alone(the_log_can_be_json),
    ]
}

/// A batch on a broker's disk.
struct Batch {
    bytes: usize,
    codec: u8,
    records: u32,
}

/// The batches in the first partition, as they lie on the broker's disk.
fn batches(cluster: &Cluster, topic: &Topic) -> Vec<Batch> {
    let segment = cluster.partition_folder(topic, 0).join("00000000000000000000.log");
    let (bytes, mut batches, mut place) = (fs::read(segment).expect("a segment"), Vec::new(), 0);
    // The base offset, then the size of what follows. A segment ends in zeros until it is full.
    while let Some(size) = bytes.get(place + 8..place + 12).and_then(|size| size.try_into().ok()) {
        let size = u32::from_be_bytes(size) as usize;
        if size == 0 {
            break;
        }
        let records = bytes[place + 57..place + 61].try_into().map(u32::from_be_bytes).expect("four bytes");
        batches.push(Batch { bytes: 12 + size, codec: bytes[place + 22] & 7, records });
        place += 12 + size;
    }
    batches
}

fn produce(topic: &Topic, flags: &str) {
    let finished = Run::verifier().args(topic.flags()).args(flags).finish().expect_code(0);
    finished.expect_output(&["records acked where predicted"]);
}

/// A record each 10 ms: without a linger most of them go alone.
fn linger_makes_fewer_and_larger_batches(cluster: &Cluster) {
    let count = |linger: &str| {
        let topic = cluster.topic(1);
        produce(
            &topic,
            &format!("--produce_msgs 150 --msg_size 100 --produce-throughput-bps 10000 --linger {linger}"),
        );
        batches(cluster, &topic).len()
    };
    let (without, with) = (count("0"), count("500ms"));
    assert!(with * 3 < without, "{without} batches without, {with} with it");
}

fn no_batch_is_larger_than_its_limit(cluster: &Cluster) {
    let largest = |flags: &str| {
        let topic = cluster.topic(1);
        produce(&topic, &format!("--produce_msgs 400 --msg_size 1000 --linger 200ms {flags}"));
        batches(cluster, &topic).iter().map(|batch| batch.bytes).max().unwrap_or(0)
    };
    let (limited, free) = (largest("--batch_max_bytes 4096"), largest(""));
    assert!((1_000..=4_096).contains(&limited), "{limited}");
    assert!(free > 4_096, "{free}");
}

/// With one record in flight there is nothing that it could wait for.
fn what_may_not_wait_goes_alone(cluster: &Cluster) {
    let most = |flags: &str| {
        let topic = cluster.topic(1);
        produce(&topic, &format!("--produce_msgs 100 --msg_size 10 --linger 5ms --cores 1 {flags}"));
        batches(cluster, &topic).iter().map(|batch| batch.records).max()
    };
    assert_eq!(most("--max-buffered-records 1"), Some(1));
    assert!(most("") > Some(10));
}

/// A new producer id is a new producer.
fn each_producer_picks_a_codec_of_its_own(cluster: &Cluster) {
    let codecs = |flags: &str| {
        let topic = cluster.topic(1);
        let work =
            "--produce_msgs 200 --msg_size 1000 --compressible-payload --msgs-per-producer-id 5 --cores 1";
        produce(&topic, &format!("{work} {flags}"));
        batches(cluster, &topic).iter().map(|batch| batch.codec).collect::<BTreeSet<_>>()
    };
    assert!(codecs("--compression-type mixed").len() > 1, "forty picks of five, and all the same");
    assert_eq!(codecs("--compression-type lz4"), BTreeSet::from([3]));
}

fn a_real_broker_knows_the_client_by_its_name(cluster: &Cluster) {
    let (topic, group) = (cluster.topic(2), unique_name());
    let work = format!("--consumer_group_readers 2 --consumer_group_name {group} --continuous");
    let run = Run::verifier().args(topic.flags()).args(work).args("--client-name someone-else").start();
    wait_until("two members", || topic.client_names(&group) == ["someone-else", "someone-else"]);
    run.signal(Signal::SIGINT);
    run.finish().expect_code(0);
}

/// Markers of transactions lie between the records.
fn gaps_count_unless_they_are_expected(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let run = |flags: &str| {
        let run = Run::verifier().in_dir(&workdir).args(topic.flags()).args(flags);
        run.finish().expect_code(0)
    };
    run("--produce_msgs 100 --msg_size 10 --cores 1 --use-transactions --msgs-per-transaction 10");
    let found = run("--seq_read --report report.json");
    let line = format!("gap: topic {} partition 0 offset 10: expected a record, found none", topic.name());
    found.expect_output(&[
        "CONSISTENT: ",
        "9 gaps between offsets: a log with transactions is read with --use-transactions",
        "100 records proven valid",
        &line,
        &format!(
            "WARN topic {} was written in transactions, and is read without --use-transactions",
            topic.name()
        ),
    ]);
    let gaps = workdir.report()["gaps"].as_array().expect("a list").clone();
    let wanted: Vec<_> = (1..10)
        .map(|index| 11 * index - 1)
        .map(|offset| json!({"topic": topic.name(), "partition": 0, "first": offset, "last": offset}))
        .collect();
    assert_eq!(gaps, wanted);
    let elsewhere = Run::verifier().args(topic.flags()).args("--seq_read --use-transactions").finish();
    elsewhere
        .expect_code(0)
        .expect_output(&["100 records", "there is no ledger at "])
        .expect_no_output(&["was written in transactions"]);
    // One that does not say what it is: of another implementation.
    let other = cluster.topic(1);
    let work = "--produce_msgs 6 --msg_size 10 --cores 1 --use-transactions --msgs-per-transaction 3";
    Run::verifier().args(other.flags()).args(work).args("--proof-header=false").finish().expect_code(0);
    let finished = Run::verifier().args(other.flags()).args("--seq_read").finish().expect_code(0);
    let told =
        format!("WARN topic {} has gaps between its offsets: a log with transactions is read", other.name());
    finished.expect_output(&[&told, "1 gap between offsets"]);
    run("--seq_read --compacted").expect_output(&["100 records proven valid"]).expect_no_output(&["gap: "]);
}

fn a_real_broker_sees_the_limits_of_speed(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let run =
        |work: &str| Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).finish().expect_code(0);
    let produced = run("--produce_msgs 200 --msg_size 10000 --produce-throughput-bps 1000000");
    assert!(produced.elapsed >= Duration::from_millis(1_500), "2 MB at 1 MB/s in {:?}", produced.elapsed);
    let read = run("--seq_read --consume-throughput-mb 1").expect_output(&["200 records proven valid"]);
    assert!(read.elapsed >= Duration::from_millis(1_200), "1.9 MiB at 1 MiB/s in {:?}", read.elapsed);
}

fn a_sequential_read_of_a_real_broker_ends_after_so_many_records(cluster: &Cluster) {
    let topic = cluster.topic(2);
    (0..2).for_each(|partition| topic.write_proven(partition, 0..40));
    let finished = Run::verifier().args(topic.flags()).args("--seq_read --seq_read_msgs 50").finish();
    finished.expect_code(0).expect_output(&["sequential  50 records read, none proven valid"]);
}

fn no_more_records_are_in_flight_than_may_be_buffered() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    mock.slow_down(Duration::from_millis(200));
    let work = "--produce_msgs 60 --msg_size 10 --max-buffered-records 7 --remote";
    let run = Run::verifier().args(topic.flags()).args(work).with_control().start();
    run.harness().until("the end", |workers| {
        let producer = workers[0].producer();
        let in_flight = producer.sent - producer.acked;
        assert!(in_flight <= 7, "{producer:?}");
        producer.acked == 60
    });
}

/// The client's name in the first request that reaches a broker (the header of a request: api, version, number, name).
fn first_client_name(flags: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, ports::free_port())).expect("a free port");
    let address = listener.local_addr().expect("its address");
    let broker = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut head = [0; 14];
        stream.read_exact(&mut head).expect("a request");
        let mut name = vec![0; usize::from(u16::from_be_bytes([head[12], head[13]]))];
        stream.read_exact(&mut name).expect("its name");
        String::from_utf8(name).expect("text")
    });
    let run = Run::verifier().args(format!("--brokers {address} --topic t --seq_read --startup-timeout 1s"));
    run.args(flags).finish().expect_code(3);
    broker.join().expect("a broker that was called")
}

fn the_client_name_reaches_the_broker() {
    assert_eq!(first_client_name(""), "kgo", "the name that quotas and logs know");
    assert_eq!(first_client_name("--client-name someone-else"), "someone-else");
}

fn settings_of_the_users_own_win() {
    let elsewhere = Workdir::new();
    elsewhere.write("client.properties", "# ours\nclient.id = from-the-file\n");
    let file = format!("--client-config {}", elsewhere.path().join("client.properties").display());
    assert_eq!(first_client_name("--client-name flag -X client.id=mine"), "mine");
    assert_eq!(first_client_name(&format!("--client-name flag {file}")), "from-the-file");
    assert_eq!(first_client_name(&format!("-X client.id=mine {file}")), "mine", "the command line wins");
}

fn debug_and_trace_log_more() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let lines = |flag: &str| {
        let finished = Run::verifier().args(topic.flags()).args("--produce_msgs 5").args(flag).finish();
        let stderr = finished.expect_code(0).stderr;
        ["DEBUG", "TRACE"].map(|level| stderr.lines().filter(|line| line.contains(level)).count())
    };
    assert_eq!(lines(""), [0, 0]);
    assert_eq!(lines("--debug")[1], 0);
    assert!(lines("--trace --client librdkafka")[1] > 50, "the client library's own");
}

fn the_log_can_be_json() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let run = Run::verifier().args(topic.flags()).args("--produce_msgs 5 --log-format json");
    let finished = run.finish().expect_code(0);
    assert!(!finished.stderr.is_empty());
    for line in finished.stderr.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["level"].is_string() && value["timestamp"].is_string(), "{line}");
    }
}
