//! The benchmark: a load at a rate, its latencies, and its proof.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::{
    Test,
    dsl::{Cluster, Mock, Run, schema::Schema, topic::unique_name},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnReal(&[], a_broken_second_of_a_broker_is_in_the_latencies_and_shifts_nothing),
        Real(a_rate_is_kept_and_proven_by_either_client),
        Alone(an_objective_that_the_lowest_rate_misses_is_said_with_the_latency_there),
        Alone(a_result_that_cannot_be_written_is_said_before_the_run),
    ]
}

fn result(run: &crate::dsl::Finished) -> Value {
    let text = std::fs::read(run.workdir.path().join("result.json")).expect("a result");
    let document = serde_json::from_slice(&text).expect("JSON");
    Schema::of_benchmarks().expect_valid(&document);
    document
}

fn a_rate_is_kept_and_proven_by_either_client(cluster: &Cluster) {
    for client in ["wire", "librdkafka"] {
        let work = format!(
            "--brokers {} --topic {} --topics 2 --partitions 3 --client {client} --msg_size 200 --rate 1k --duration 2s \
             --warmup 1s --output result.json",
            cluster.bootstrap(),
            unique_name()
        );
        let run = Run::proofload().args("bench").args(work).finish().expect_code(0);
        let run =
            run.expect_output(&["PROVEN", "  publish ", "end to end", "3,000 of 3,000 acked records proven"]);
        let result = result(&run);
        let ours = &result["proofload"];
        assert_eq!(ours["proof"]["verdict"], "proven", "{ours}");
        assert_eq!(
            (&ours["settings"]["client"], &ours["settings"]["partitions"]),
            (&client.into(), &3.into())
        );
        // By their intended times: exactly those of two seconds, read as often as they were acked.
        for latency in ["publish", "delay", "service", "end_to_end"] {
            assert_eq!(ours["latencies"][latency]["count"], 2_000, "{latency}: {ours}");
        }
        assert_eq!(result["publishRate"].as_array().map(Vec::len), Some(1), "{result}");
        assert!(result["aggregatedEndToEndLatencyQuantiles"]["50.0"].is_number(), "{result}");
        assert_eq!(ours["samples"].as_array().map(Vec::len), Some(2), "{ours}");
    }
}

fn a_broken_second_of_a_broker_is_in_the_latencies_and_shifts_nothing(cluster: &Cluster) {
    let work = format!(
        "--brokers {} --topic frozen --msg_size 100 --rate 500 --duration 7s --warmup 1s --max-buffered-records 300 \
         --output result.json",
        cluster.bootstrap()
    );
    let run = Run::proofload().args("bench").args(work).start();
    run.wait_for_log("this run's records name it");
    thread::sleep(Duration::from_secs(3));
    cluster.freeze(0);
    thread::sleep(Duration::from_secs(3));
    cluster.thaw(0);
    let run = run.finish().expect_code(0).expect_output(&["PROVEN"]);
    let result = result(&run);
    let ours = &result["proofload"];
    assert_eq!(ours["proof"]["acked_records"], 4_000, "the schedule was caught up: {ours}");
    let latencies = &ours["latencies"];
    assert_eq!(
        latencies["publish"]["count"], 3_500,
        "no time was shifted out of what is measured: {latencies}"
    );
    let p99 = |of: &str| latencies[of]["p99_us"].as_u64().expect("a latency");
    assert!(p99("publish") >= 2_000_000, "{latencies}");
    // Slots were full: what was due then was late before it was sent, and what was in flight was late for its ack.
    assert!(p99("delay") >= 1_000_000 && p99("service") >= 2_000_000, "{latencies}");
    let sent_at_once = ours["samples"].as_array().expect("samples").iter();
    let most = sent_at_once.filter_map(|sample| sample["acked_records"].as_u64()).max();
    assert!(most > Some(800), "what was overdue went at once: {ours}");
}

fn an_objective_that_the_lowest_rate_misses_is_said_with_the_latency_there() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    mock.slow_down(Duration::from_millis(100));
    let work = format!(
        "bench {} --msg_size 100 --find-rate --slo p50=20ms --rate 10 --duration 2s --warmup 0 \
         --output result.json",
        topic.flags()
    );
    let run = Run::proofload().args(work).finish().expect_code(3);
    let run = run.expect_output(&[
        "FAILED: not even 10 records/s hold p50=20ms (publish): 1",
        "latency gave way first",
    ]);
    let search = &result(&run)["proofload"]["search"];
    assert_eq!(search["found_records_per_s"], Value::Null, "{search}");
    assert_eq!(
        (&search["steps"][0]["held"], &search["gave_way"]),
        (&false.into(), &"latency".into()),
        "{search}"
    );
}

fn a_result_that_cannot_be_written_is_said_before_the_run() {
    let work = "bench --brokers localhost:1 --output no/such/folder/result.json";
    let run = Run::proofload().args(work).finish().expect_code(3);
    run.expect_output(&["--output no/such/folder/result.json: it cannot be written"])
        .expect_no_output(&["control port"]);
}
