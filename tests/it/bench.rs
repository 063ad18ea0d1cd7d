//! The benchmark: a load at a rate, its latencies, and its proof.

use std::{fs, thread, time::Duration};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    Test,
    dsl::{Cluster, EXIT_LIMIT, Mock, Run, Topic, Workdir, schema::Schema, topic::unique_name, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnReal(&[], a_broken_second_of_a_broker_is_in_the_latencies_and_shifts_nothing),
        Real(a_rate_is_kept_and_proven_by_either_client),
        Real(groups_read_all_beside_the_producers_and_leave_none_behind),
        Real(files_of_openmessaging_are_run_as_they_are),
        Alone(a_search_that_is_interrupted_says_what_it_had_found),
        Alone(an_objective_that_the_lowest_rate_misses_is_said_with_the_latency_there),
    ]
}

fn result(run: &crate::dsl::Finished) -> Value {
    let document = run.workdir.json("result.json");
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
        assert!(run.stdout.lines().count() <= 24, "a summary fits on a screen: {}", run.stdout);
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

/// What no run before it has left in the topics is read by them, nor are their own groups left.
fn groups_read_all_beside_the_producers_and_leave_none_behind(cluster: &Cluster) {
    let (name, first) = (unique_name(), cluster.topic(1));
    for client in ["wire", "librdkafka"] {
        let work = format!(
            "--brokers {} --topic {name} --topics 2 --partitions 3 --client {client} --msg_size 200 --rate 1k --duration 2s \
             --warmup 1s --readers 2x3 --output result.json --remote",
            cluster.bootstrap()
        );
        let run = Run::proofload().args("bench").args(work).with_control().start();
        let (pid, http) = (run.pid(), run.http());
        let status = || http.get("/status").and_then(|answer| answer.json());
        let is_done = |status: &Value| {
            status.as_array().is_some_and(|all| all.iter().all(|one| one["active"] == Value::Bool(false)))
        };
        wait_until("the end", || status().as_ref().is_some_and(is_done));
        let status = status().expect("a status");
        let names = format!("{name}-0,{name}-1");
        assert_eq!(status.as_array().map(Vec::len), Some(3), "one object for each group: {status}");
        for worker in status.as_array().expect("workers") {
            assert_eq!(worker["topic"], names, "{status}");
        }
        let offsets = status[0]["max_offsets_produced"].as_object().expect("offsets");
        assert!(offsets.contains_key(&format!("{name}-1/2")) && offsets.len() == 6, "{status}");
        let metrics = http.get("/metrics").expect("metrics").body;
        let of_groups =
            format!(r#"proofload_read_records_total{{topic="{names}",role="group-reader",shard="0"}}"#);
        assert!(metrics.contains(&of_groups), "{metrics}");
        http.order("/shutdown");
        let run = run.finish_within(EXIT_LIMIT).expect_code(0);
        let run =
            run.expect_output(&["PROVEN", "3,000 of 3,000 acked records proven valid by each of 2 groups"]);
        let result = result(&run);
        let ours = &result["proofload"];
        assert_eq!(ours["settings"]["readers"], "2x3", "{ours}");
        let proof = &ours["proof"];
        assert_eq!(
            (&proof["read_records"], &proof["proven_records"]),
            (&6_000.into(), &6_000.into()),
            "{proof}"
        );
        // Each group reads each record.
        assert_eq!(ours["latencies"]["end_to_end"]["count"], 4_000, "{ours}");
        assert_eq!(ours["samples"].as_array().expect("samples").len(), 2, "{ours}");
        assert_eq!(result["consumersPerTopic"], 3, "{result}");
        let left: Vec<_> = first
            .groups("proofload-bench-")
            .into_iter()
            .filter(|name| name.contains(&pid.to_string()))
            .collect();
        assert_eq!(left, [""; 0]);
    }
}

/// With what flags cannot ask for: a payload, and a backlog.
fn files_of_openmessaging_are_run_as_they_are(cluster: &Cluster) {
    let (workdir, name) = (Workdir::new(), unique_name());
    let payload = "the user's own payload. ".repeat(50);
    workdir.write("payload.data", &payload);
    let workload = format!(
        "name: a small backlog\ntopics: 1\npartitionsPerTopic: 4\nmessageSize: {}\npayloadFile: payload.data\nsubscriptionsPerTopic: 1\n\
         producersPerTopic: 1\nconsumerPerSubscription: 2\nproducerRate: 3000\nconsumerBacklogSizeGB: 0.004\ntestDurationMinutes: 0.02\n\
         warmupDurationMinutes: 0.01\n",
        payload.len()
    );
    workdir.write("w.yaml", workload);
    let driver = format!(
        "name: acks of one\ndriverClass: io.openmessaging.benchmark.driver.kafka.KafkaBenchmarkDriver\nreplicationFactor: 1\nreset: true\n\
         topicConfig: |\n  retention.ms=86400000\ncommonConfig: |\n  bootstrap.servers={}\nproducerConfig: |\n  acks=1\n  linger.ms=1\n\
         consumerConfig: |\n  auto.offset.reset=earliest\n  enable.auto.commit=false\n",
        cluster.bootstrap()
    );
    workdir.write("d.yaml", driver);
    let work =
        format!("bench --workload w.yaml --driver d.yaml --topic {name} --output result.json --hdr run.hlog");
    let run = Run::proofload().in_dir(&workdir).args(work).finish().expect_code(0);
    let run = run.expect_output(&[
        "PROVEN",
        "acks=1 is run with acks=all",
        "of key and headers that prove it",
        "readers pause until 3,5",
        "  backlog     ",
    ]);
    let result = result(&run);
    assert_eq!((&result["workload"], &result["driver"]), (&"a small backlog".into(), &"acks of one".into()));
    let backlog = &result["proofload"]["backlog"];
    assert!(
        backlog["built_records"].as_u64() >= Some(3_500) && backlog["drained_s"].is_number(),
        "{backlog}"
    );
    let samples = result["proofload"]["samples"].as_array().expect("samples");
    let log = fs::read_to_string(workdir.path().join("run.hlog")).expect("a log");
    let intervals = log.lines().filter(|line| line.starts_with("Tag=publish,")).count();
    assert!(
        (samples.len()..=samples.len() + 1).contains(&intervals),
        "one a sample, and one of what came late: {log}"
    );
    let most = samples.iter();
    assert!(most.filter_map(|sample| sample["backlog_records"].as_u64()).max() >= Some(3_500), "{backlog}");
    let topic = Topic::existing(cluster.bootstrap(), &name, 4);
    let records = topic.records();
    assert!(records.len() > 3_500);
    assert!(
        records.iter().all(|record| record.value.as_deref() == Some(payload.as_bytes())),
        "each is the file's"
    );
    assert_eq!((topic.partitions(), topic.setting("retention.ms").as_str()), (Some(4), "86400000"));
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

fn a_search_that_is_interrupted_says_what_it_had_found() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let work = format!(
        "bench {} --msg_size 100 --find-rate --slo p90=10s --rate 50 --duration 2s --warmup 0 --output result.json",
        topic.flags()
    );
    let run = Run::proofload().args(work).start();
    run.wait_for_log(": holds");
    run.signal(Signal::SIGINT);
    let run = run.finish().expect_code(0).expect_output(&[
        "INTERRUPTED: SIGINT came after ",
        "  found       interrupted after ",
        "/s held p90=10s (publish), not confirmed",
        "  proof       interrupted: ",
    ]);
    let search = &result(&run)["proofload"]["search"];
    assert_eq!(
        (&search["found_records_per_s"], &search["interrupted"]),
        (&Value::Null, &true.into()),
        "{search}"
    );
    assert!(search["held_records_per_s"].as_f64() >= Some(50.0), "{search}");
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
