//! Who held a load back, and which rate a broker with a quota has.

use std::{
    env,
    process::{Child, Command},
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    Test,
    dsl::{Cluster, Finished, Mock, Run, threads, topic::unique_name, wire::Wire},
    startup::two_cores,
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        If(searches_are_asked_for, the_rate_that_a_quota_sets_is_found),
        Real(a_broker_that_throttles_is_what_holds_the_load_back),
        Alone(a_slow_broker_is_what_holds_the_load_back),
        If(two_cores, a_client_that_is_starved_of_its_core_says_so),
    ]
}

/// So many searches, each of some minutes.
const SEARCHES: &str = "PROOFLOAD_QUOTAS";

fn searches_are_asked_for() -> Result<(), String> {
    env::var(SEARCHES)
        .map(drop)
        .map_err(|_| format!("it takes minutes: {SEARCHES}=N, or scripts/prove --quotas N"))
}

fn ours(run: &Finished) -> Value {
    run.workdir.json("result.json")["proofload"].clone()
}

#[track_caller]
fn expect_verdict(run: &Finished, verdict: &str, reason: &str) {
    let client = &ours(run)["client"];
    assert_eq!(client["verdict"], verdict, "{client}\n{}", run.transcript());
    assert!(client["reason"].as_str().is_some_and(|words| words.contains(reason)), "{client}");
}

/// Bytes of a value, and at most so many of key, headers, batch and request beside it, where each record goes alone.
const VALUE_BYTES: f64 = 20_000.0;
const LEAST_BESIDE: f64 = 110.0;
const MOST_BESIDE: f64 = 330.0;

/// Counted as brokers do: bytes of requests, one broker.
fn the_rate_that_a_quota_sets_is_found() {
    let cluster = Cluster::shared().expect("a real broker");
    let count: u32 =
        env::var(SEARCHES).ok().and_then(|count| count.parse().ok()).expect("a number of searches");
    let mut right = 0;
    for number in 0..count {
        let (name, quota) = (unique_name(), [2e6, 5e6, 3e6][number as usize % 3]);
        Wire::to(cluster.bootstrap()).limit_producers(&name, quota);
        let first = ["60", "400", "100"][number as usize % 3];
        let work = format!(
            "bench --brokers {} --topic {name} --client-name {name} --partitions 4 --msg_size {VALUE_BYTES} --find-rate \
             --slo p90=500ms --rate {first} --duration 30s --warmup 5s --output result.json",
            cluster.bootstrap()
        );
        let run = Run::proofload().args(work).finish_within(Duration::from_mins(20)).expect_code(0);
        let search = &ours(&run)["search"];
        let found = search["found_records_per_s"].as_f64().expect("a rate");
        let parts = [LEAST_BESIDE, MOST_BESIDE].map(|beside| found * (VALUE_BYTES + beside) / quota);
        let is_right = parts.iter().all(|part| (0.95..=1.05).contains(part));
        right += u32::from(is_right);
        let steps = search["steps"].as_array().map_or(0, Vec::len);
        println!(
            "bench_rates: {found:.1} records/s found in {steps} steps from {first}/s: {:.1} % to {:.1} % of a quota of {quota:.0} B/s",
            parts[0] * 100.0,
            parts[1] * 100.0
        );
        if !is_right {
            eprintln!("{}", run.transcript());
        }
    }
    println!("bench_rates: rates within 5 % of the quota {right} true, {} not", count - right);
    assert_eq!(right, count);
}

fn a_broker_that_throttles_is_what_holds_the_load_back(cluster: &Cluster) {
    let name = unique_name();
    Wire::to(cluster.bootstrap()).limit_producers(&name, 100_000.0);
    // What a quota grants at once is used up after 1.7 s. What is due until the end is sent all the same, some 10 s later.
    let work = format!(
        "bench --brokers {} --topic {name} --client-name {name} --partitions 2 --msg_size 5000 --batch_max_bytes 20000 \
         --max-buffered-records 50 --rate 120 --duration 3s --warmup 1s --output result.json",
        cluster.bootstrap()
    );
    let run = Run::proofload().args(work).finish().expect_code(0).expect_output(&["PROVEN", "broker-bound"]);
    expect_verdict(&run, "broker-bound", "records waited for a slot");
}

fn a_slow_broker_is_what_holds_the_load_back() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    mock.slow_down(Duration::from_millis(100));
    let work = format!(
        "bench {} --msg_size 100 --max-buffered-records 10 --rate 1k --duration 3s --warmup 1s --output result.json",
        topic.flags()
    );
    let run = Run::proofload().args(work).finish().expect_code(0).expect_output(&["PROVEN", "broker-bound"]);
    expect_verdict(&run, "broker-bound", "records waited for a slot");
}

/// A process that keeps a core busy, until it is dropped.
struct Busy(Child);

impl Busy {
    fn on(core: usize) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string(), "timeout", "120", "sh", "-c", "while :; do :; done"]);
        Self(command.spawn().expect("taskset"))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // Whoever waits for the loop passes it on.
        let pid = i32::try_from(self.0.id()).expect("a process id");
        let _ = signal::kill(Pid::from_raw(pid), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// Four others on its core, and more to do than it can with what is left of it.
fn a_client_that_is_starved_of_its_core_says_so() {
    let core = threads::allowed().iter().next().expect("a core");
    let mock = Mock::start();
    let topic = mock.topic(2);
    let busy: Vec<_> = (0..4).map(|_| Busy::on(core)).collect();
    let work = format!(
        "bench {} --cores {core}-{core} --msg_size 100 --rate 200k --duration 3s --warmup 1s --readers none \
         --output result.json",
        topic.flags()
    );
    let run = Run::proofload().args(work).start();
    run.wait_for_log("bench: 100%");
    // What was due meanwhile is sent all the same: they need not be there for that.
    drop(busy);
    let run = run.finish().expect_code(0).expect_output(&["client-bound"]);
    expect_verdict(&run, "client-bound", "of it ready while others had the core");
}
