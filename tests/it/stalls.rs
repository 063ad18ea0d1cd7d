//! Stalls: no progress although the broker answers. Named, with what was waited for, and no violation.

use std::{thread, time::Duration};

use nix::sys::signal::Signal;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use serde_json::Value;

use crate::{
    Test,
    dsl::{Cluster, Mock, PATIENCE, Run, Running, Topic, Workdir, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(a_sequential_reader_that_is_shown_nothing),
        Alone(a_group_that_is_shown_nothing),
        Alone(a_random_reader_that_is_shown_nothing),
        Alone(a_repeater_whose_group_is_shown_nothing),
        Alone(nobody_is_called_stalled_who_does_not_want_it),
        Alone(a_producer_whose_records_are_not_acked),
        Alone(a_run_that_ends_while_it_stands_still_says_so),
        Real(a_reader_that_waits_for_somebody_else_s_transaction),
        Real(a_random_reader_of_nothing_but_aborted_records_ends),
    ]
}

const STALL_AFTER: &str = "--stall-after 1s --report report.json";

/// A topic of 100 records, whose broker answers every question but the one for them.
fn full_and_silent() -> (Mock, Topic, Workdir) {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let produce =
        Run::verifier().in_dir(&workdir).args(topic.flags()).args("--produce_msgs 100 --msg_size 100");
    produce.finish().expect_code(0);
    mock.refuse(RDKafkaApiKey::Fetch, RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN);
    (mock, topic, workdir)
}

/// Such a broker, to a reader with this work.
fn is_shown_nothing(work: &str, name: &str) {
    let (mock, topic, workdir) = full_and_silent();
    let run = Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).args(STALL_AFTER).start();
    wait_until("a stall", || run.stderr().contains("stalled: "));
    mock.refuse_no_more(RDKafkaApiKey::Fetch);
    let finished = run.finish().expect_code(0);
    let line = format!("stalled: topic {} partition 0: {name} has waited 1s for ", topic.name());
    finished.expect_output(&[&line, "its broker says that the log ends at 100", "goes on", "stall"]);
}

fn a_sequential_reader_that_is_shown_nothing() {
    is_shown_nothing("--seq_read", "the sequential reader");
}

fn a_group_that_is_shown_nothing() {
    is_shown_nothing("--consumer_group_readers 2", "the group reader");
}

fn a_random_reader_that_is_shown_nothing() {
    is_shown_nothing("--rand_read_msgs 3", "a random reader");
}

/// Tokens gather where nobody is shown them.
fn a_repeater_whose_group_is_shown_nothing() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    // One member, as a mock of a group may keep several from settling; with a session that is longer than the three
    // seconds that the mock has members wait for others, or it would take this one for dead meanwhile.
    let work = "--group g --payload-size 1000 --initial-data-mb 1 -X session.timeout.ms=6000 \
                -X heartbeat.interval.ms=500";
    let run = Run::repeater().args(topic.flags()).args(work).args(STALL_AFTER).with_control().start();
    let consumed = |run: &Running| {
        let status: Value = serde_json::from_str(&run.http().get("/status")?.body).ok()?;
        status.as_array()?.iter().map(|worker| worker["consumed"].as_u64()).sum::<Option<u64>>()
    };
    wait_until("tokens go round", || consumed(&run) > Some(100));
    mock.refuse(RDKafkaApiKey::Fetch, RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN);
    wait_until("a stall", || run.stderr().contains("stalled: "));
    mock.refuse_no_more(RDKafkaApiKey::Fetch);
    wait_until("it goes on", || run.stderr().contains("the group goes on"));
    run.signal(Signal::SIGINT);
    let finished = run.finish().expect_code(0);
    let stalls = &finished.workdir.report()["stalls"];
    assert!(stalls[0]["until_ms"].as_i64() > stalls[0]["since_ms"].as_i64(), "{stalls}");
    let line = format!("stalled: topic {} partition ", topic.name());
    finished.expect_output(&[
        &line,
        "the group has waited 7s for what lies at offset ",
        "stalls: see the log",
    ]);
}

fn nobody_is_called_stalled_who_does_not_want_it() {
    let (mock, topic, workdir) = full_and_silent();
    let run = Run::verifier().in_dir(&workdir).args(topic.flags()).args("--seq_read --stall-after 0").start();
    // Long enough for two looks.
    thread::sleep(Duration::from_secs(12));
    mock.refuse_no_more(RDKafkaApiKey::Fetch);
    run.finish().expect_code(0).expect_no_output(&["stall"]);
}

/// A producer whose brokers answer, and never have enough replicas.
fn without_enough_replicas(mock: &Mock) -> Running {
    mock.refuse(RDKafkaApiKey::Produce, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    let work = "--produce_msgs 10 --msg_size 100";
    let run = Run::verifier().args(mock.topic(1).flags()).args(work).args(STALL_AFTER).start();
    wait_until("a stall", || run.stderr().contains("stalled: "));
    run
}

fn a_producer_whose_records_are_not_acked() {
    let mock = Mock::start();
    let run = without_enough_replicas(&mock);
    mock.refuse_no_more(RDKafkaApiKey::Produce);
    let finished = run.finish().expect_code(0);
    let document = finished.workdir.report();
    assert_eq!(document["verdict"], "consistent");
    let stall = &document["stalls"][0];
    assert_eq!((stall["worker"].as_str(), stall["partition"].as_i64()), (Some("the producer"), Some(0)));
    assert!(stall["until_ms"].as_i64() > stall["since_ms"].as_i64(), "{stall}");
    let waited_for = stall["waited_for"].as_str().expect("words");
    assert!(waited_for.contains(" from offset 0 on: its broker says that the log ends at 0"), "{stall}");
    finished.expect_output(&["the producer goes on", "10 of 10 records acked"]);
}

fn a_run_that_ends_while_it_stands_still_says_so() {
    let mock = Mock::start();
    let run = without_enough_replicas(&mock);
    run.signal(Signal::SIGINT);
    let finished = run.finish().expect_code(0);
    let document = finished.workdir.report();
    assert_eq!(document["verdict"], "stalled");
    assert!(document["cause"].as_str().expect("words").starts_with("topic "), "{document}");
    assert_eq!(document["stalls"][0]["until_ms"], Value::Null);
    finished.expect_output(&["proofload: STALLED: topic "]).expect_no_output(&["VIOLATION"]);
}

/// Somebody else's transaction, which is open, with ten records in partition 0.
fn opened(cluster: &Cluster, topic: &Topic) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap()).set("transactional.id", topic.name());
    let producer: BaseProducer = config.create().expect("a producer");
    producer.init_transactions(PATIENCE).expect("an id");
    producer.begin_transaction().expect("a transaction");
    for _ in 0..10 {
        producer
            .send(BaseRecord::to(topic.name()).partition(0).key("").payload(""))
            .expect("room for a record");
    }
    producer.flush(PATIENCE).expect("deliveries");
    producer
}

/// What it holds up was committed behind it.
fn a_reader_that_waits_for_somebody_else_s_transaction(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let other = opened(cluster, &topic);
    let run = |work: &str| Run::verifier().in_dir(&workdir).args(topic.flags()).args(work);
    run("--produce_msgs 10 --msg_size 20 --use-transactions").finish().expect_code(0);
    let reader = run(&format!("--seq_read --use-transactions {STALL_AFTER}")).start();
    wait_until("a stall", || reader.stderr().contains("stalled: "));
    other.abort_transaction(PATIENCE).expect("its end");
    let line = format!(
        "stalled: topic {} partition 0: a reader that is about to begin has waited 1s for the end of the transaction \
         at offset 0",
        topic.name()
    );
    reader.finish().expect_code(0).expect_output(&[&line, "goes on", "10 records proven valid"]);
}

fn a_random_reader_of_nothing_but_aborted_records_ends(cluster: &Cluster) {
    let topic = cluster.topic(1);
    opened(cluster, &topic).abort_transaction(PATIENCE).expect("its end");
    let work = "--rand_read_msgs 5 --use-transactions";
    let finished = Run::verifier().args(topic.flags()).args(work).finish().expect_code(3);
    finished.expect_output(&["random      0 records proven valid", "NO PROGRESS: there was nothing to read"]);
}
