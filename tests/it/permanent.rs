//! Errors that say something about what is sent end the run, and name what the user can change; others are waited for.

use std::{
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sys::signal::Signal;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::Value;

use crate::{
    Test,
    dsl::{Cluster, Mock, Run, Running, Topic, Workdir, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnReal(
            &[
                "transactional.id.expiration.ms=3000",
                "transaction.remove.expired.transaction.cleanup.interval.ms=500",
            ],
            transactional_ids_that_expire_between_two_records_cost_no_record
        ),
        Alone(a_server_error_that_lasts_ends_the_run_and_one_that_passes_does_not),
        Real(batches_that_are_too_large_end_the_run_and_smaller_ones_are_proven),
        Real(timestamps_outside_the_window_end_the_run),
        Real(a_batch_is_refused_for_what_is_wrong_with_it),
        Real(failures_that_are_tolerated_are_some_tens_a_second),
        Real(a_repeater_whose_records_are_too_large_ends),
    ]
}

const TRANSACTIONS: &str = "--use-transactions --msgs-per-transaction 10";
/// In the year 2100.
const FAR_AHEAD: &str = "--fake-timestamp-ms 4102444800000";

fn run(topic: &Topic, work: &str) -> Run {
    Run::verifier().args(topic.flags()).args(work)
}

/// What the report says of the causes of this: how often, and why.
fn causes(workdir: &Workdir, what: &str) -> Vec<(u64, String)> {
    let causes = workdir.report()["causes"].as_array().expect("a list").clone();
    let of_this =
        causes.iter().filter(|cause| cause["what"].as_str().is_some_and(|text| text.contains(what)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    of_this.map(|cause| (cause["count"].as_u64().unwrap_or_default(), text(&cause["cause"]))).collect()
}

fn batches_that_are_too_large_end_the_run_and_smaller_ones_are_proven(cluster: &Cluster) {
    let work = "--msg_size 16000 --produce_msgs 100";
    for transactions in [TRANSACTIONS, ""] {
        let topic = cluster.topic_with(1, &[("max.message.bytes", "20000")]);
        let finished = run(&topic, &format!("{work} {transactions}")).finish().expect_code(3);
        finished.expect_one_error(&[
            topic.name(),
            "MESSAGE_TOO_LARGE",
            "--batch_max_bytes (it is 1048576)",
            "max.message.bytes",
        ]);
        // The first record went alone, and may be in the log.
        let topic = cluster.topic_with(1, &[("max.message.bytes", "20000")]);
        let smaller = format!("{work} {transactions} --batch_max_bytes 18000 --seq_read");
        run(&topic, &smaller).finish().expect_code(0).expect_output(&["PROVEN"]).expect_no_output(&["WARN"]);
    }
}

fn timestamps_outside_the_window_end_the_run(cluster: &Cluster) {
    let hour = "3600000";
    for (setting, time) in [
        ("message.timestamp.after.max.ms", FAR_AHEAD),
        ("message.timestamp.before.max.ms", "--fake-timestamp-ms 1000000000000"),
    ] {
        let topic = cluster.topic_with(2, &[(setting, hour)]);
        for transactions in [TRANSACTIONS, ""] {
            let work = format!("--produce_msgs 100 --msg_size 100 {time} {transactions}");
            let finished = run(&topic, &work).finish().expect_code(3);
            finished
                .expect_one_error(&[topic.name(), setting, "choose another --fake-timestamp-ms"])
                .expect_no_output(&["DIFFERENT_RECORD"]);
        }
        assert!(topic.committed_records().is_empty());
    }
}

/// The first records fit the window, and those behind them in the same batch do not: of them the broker speaks.
fn a_batch_is_refused_for_what_is_wrong_with_it(cluster: &Cluster) {
    let topic = cluster.topic_with(1, &[("message.timestamp.after.max.ms", "3600000")]);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis();
    for transactions in ["", "--use-transactions --msgs-per-transaction 1000"] {
        let work = format!(
            "--produce_msgs 5000 --msg_size 10 --linger 100ms --fake-timestamp-ms {now_ms} \
             --fake-timestamp-step-ms 60000 {transactions}"
        );
        let finished = run(&topic, &work).finish().expect_code(3);
        finished
            .expect_one_error(&[topic.name(), "INVALID_TIMESTAMP", "message.timestamp.after.max.ms"])
            .expect_no_output(&["INVALID_RECORD", "DIFFERENT_RECORD"]);
    }
}

fn fails(run: &Running) -> u64 {
    run.harness().until("an answer", |_| true)[0].producer().fails
}

fn failures_that_are_tolerated_are_some_tens_a_second(cluster: &Cluster) {
    for transactions in ["", TRANSACTIONS] {
        let topic = cluster.topic(2);
        let work = format!(
            "--produce_msgs 100000 --msg_size 100 --cores 1 {FAR_AHEAD} --tolerate-failed-produce {transactions} \
             --report report.json"
        );
        let workdir = Workdir::new();
        let run = run(&topic, &work).in_dir(&workdir).with_control().start();
        // Those of the first window, and then one by one.
        wait_until("failures", || fails(&run) > 0);
        thread::sleep(Duration::from_secs(1));
        let before = fails(&run);
        wait_until("more failures", || fails(&run) > before);
        let before = fails(&run);
        thread::sleep(Duration::from_secs(3));
        let in_3_s = fails(&run) - before;
        assert!(in_3_s < 150, "{in_3_s} failures in 3 s\n{}", run.transcript());
        run.signal(Signal::SIGTERM);
        let finished = run.finish().expect_code(0);
        assert_eq!(finished.stderr.matches("WARN").count(), 1, "{}", finished.transcript());
        let what = if transactions.is_empty() { "records were not acked" } else { "transactions failed" };
        let finished = finished.expect_output(&[what, "message.timestamp.after.max.ms", "× the producer"]);
        let causes = causes(&workdir, what);
        assert!(causes.len() == 1 && causes[0].0 > 1, "{causes:?}\n{}", finished.transcript());
    }
}

/// A broker's error that is none of a kind that passes may pass all the same.
fn a_server_error_that_lasts_ends_the_run_and_one_that_passes_does_not() {
    let mock = Mock::start();
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN;
    let work = "--produce_msgs 2000 --msg_size 100 --seq_read";
    mock.refuse(RDKafkaApiKey::Produce, error);
    let passing = run(&mock.topic(2), work).with_control().start();
    wait_until("failures", || fails(&passing) > 1);
    mock.refuse_no_more(RDKafkaApiKey::Produce);
    let finished = passing.finish().expect_code(0);
    finished.expect_output(&["PROVEN", "WARN", "records were not acked", "UNKNOWN_SERVER_ERROR"]);
    mock.refuse(RDKafkaApiKey::Produce, error);
    let topic = mock.topic(2);
    let finished = run(&topic, "--produce_msgs 2000 --msg_size 100").finish().expect_code(3);
    assert!(finished.elapsed >= Duration::from_secs(29), "{}", finished.transcript());
    finished.expect_one_error(&[
        topic.name(),
        "for 30 s, in which nothing was acked",
        "UNKNOWN_SERVER_ERROR",
    ]);
}

/// Each record has to go into a transaction of a producer that the cluster does not know any more, and then at once into
/// the next one.
fn transactional_ids_that_expire_between_two_records_cost_no_record(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let work = "--produce_msgs 4 --msg_size 1000 --produce-throughput-bps 200 --use-transactions --seq_read \
                --report report.json";
    let echoed = cluster.topic(1);
    let repeater = Run::repeater().with_control().args(format!(
        "--brokers {} --topic {} --group expiring --use-transactions --payload-size 500000 --initial-data-mb 1 \
         --rate-limit-bps 100000 --transaction-timeout-ms 60s",
        cluster.bootstrap(),
        echoed.name()
    ));
    let repeater = repeater.start();
    let verified = run(&topic, work).in_dir(&workdir).finish().expect_code(0);
    let expired = "INVALID_PRODUCER_ID_MAPPING";
    let verified = verified.expect_output(&[
        "PROVEN",
        "WARN",
        expired,
        "transactional.id.expiration.ms",
        "× the producer",
    ]);
    let causes = causes(&workdir, "transactions failed");
    assert!(causes.len() == 1 && causes[0].1.contains(expired), "{causes:?}\n{}", verified.transcript());
    let status = || -> Value {
        let answer = repeater.http().get("/status").map(|answer| answer.body);
        answer.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default()
    };
    wait_until("echoes", || status()[0]["consumed"].as_u64() >= Some(4));
    repeater.signal(Signal::SIGTERM);
    repeater.finish().expect_code(0).expect_output(&[expired, "× the producers"]);
}

fn a_repeater_whose_records_are_too_large_ends(cluster: &Cluster) {
    for transactions in ["", TRANSACTIONS] {
        let topic = cluster.topic_with(1, &[("max.message.bytes", "10000")]);
        let name = topic.name();
        let work = format!("--topic {name} --group {name} --payload-size 16000 {transactions}");
        let run = Run::repeater().args(format!("--brokers {}", cluster.bootstrap())).args(work);
        let finished = run.finish().expect_code(3);
        finished.expect_one_error(&["MESSAGE_TOO_LARGE", "--payload-size", "max.message.bytes"]);
    }
}
