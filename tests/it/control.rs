//! The control port, as scripts and harnesses use it.

use std::{collections::BTreeSet, fs, time::Duration};

use serde_json::Value;
use ureq::http::Method;

use crate::{
    Test,
    dsl::{
        EXIT_LIMIT, FIRST_STATUS_LIMIT, Mock, PATIENCE, Run, Running, Topic, Worker, threads, wait_for,
        wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(status_is_503_until_the_workers_exist_and_200_from_then_on),
        Alone(status_comes_within_5_s_of_the_start),
        Alone(status_has_exactly_the_contracts_fields),
        Alone(status_of_the_old_schema_has_no_gaps),
        Alone(workers_are_active_until_their_work_is_done),
        Alone(finished_workers_agree_on_the_offsets),
        Alone(any_method_is_answered),
        Alone(unknown_paths_are_not_found),
        Alone(last_pass_is_answered_by_everyone_at_any_time),
        Alone(last_pass_with_a_timeout_shows_who_is_late),
        Alone(reset_zeroes_the_counters),
        Alone(print_stack_shows_every_thread),
        Alone(shutdown_after_the_work_ends_the_process_and_frees_the_port),
        Alone(shutdown_during_the_work_ends_it_in_time),
        Alone(without_remote_the_process_ends_by_itself),
        Alone(an_idle_remote_process_uses_no_cpu),
    ]
}

const ALL_WORK: &str = "--produce_msgs 500 --msg_size 50 --rand_read_msgs 20 --parallel 2 --seq_read";

/// A harness's run, on a topic of 2 partitions.
fn remote(topic: &Topic, work: &str) -> Running {
    Run::verifier().args(topic.flags()).args(work).args("--remote").with_control().start()
}

/// A topic that has something to read: without, a run has made no progress.
fn filled(mock: &Mock, partitions: usize) -> Topic {
    let topic = mock.topic(partitions);
    topic.write_proven(0, 0..3);
    topic
}

/// A run whose work is done, and that waits for its end.
fn done(topic: &Topic) -> (Running, Vec<Worker>) {
    let run = remote(topic, ALL_WORK);
    let workers = run.harness().until_done();
    (run, workers)
}

/// Orders the end, and expects it in time.
#[track_caller]
fn shut_down(run: Running) {
    let answer = run.http().order("/shutdown");
    assert_eq!(answer.code, 200);
    run.finish_within(EXIT_LIMIT).expect_code(0);
}

fn status_is_503_until_the_workers_exist_and_200_from_then_on() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    mock.take_down();
    let run = remote(&topic, "--seq_read");
    assert_eq!(run.http().first_code(), 503, "nobody knows the topic yet");
    for path in ["/last_pass", "/reset", "/print_stack"] {
        run.http().order(path);
    }
    mock.bring_up();
    run.harness().until_done();
    shut_down(run);
}

fn status_comes_within_5_s_of_the_start() {
    /// A machine that is busy may be late once; who has to wait for something always is.
    const ATTEMPTS: usize = 4;
    let mock = Mock::start();
    let mut took = Vec::new();
    while took.iter().all(|took| *took >= FIRST_STATUS_LIMIT) {
        assert!(took.len() < ATTEMPTS, "it took {took:?}");
        let run = remote(&mock.topic(2), "--produce_msgs 10 --seq_read");
        run.harness().first();
        took.push(run.started().elapsed());
        shut_down(run);
    }
}

fn status_has_exactly_the_contracts_fields() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let (run, workers) = done(&topic);
    // The harness has refused unknown and missing fields already; here are their kinds and their text.
    assert!(matches!(
        workers[..],
        [Worker::Producer(_), Worker::Reader(_), Worker::Reader(_), Worker::Reader(_)]
    ));
    let text = run.http().order("/status").body;
    assert!(text.starts_with("[\n  {\n    \"topic\": \""), "indented by two spaces: {text}");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value[1]["validator"]["lost_offsets"], Value::Null, "until something is lost");
    assert_eq!(value[1]["validator"]["name"], "");
    assert!(value[0]["max_offsets_produced"]["0"].is_i64(), "partition ids are keys: {text}");
    assert!(workers.iter().all(|worker| match worker {
        Worker::Producer(producer) => producer.topic == topic.name(),
        Worker::Reader(reader) => reader.topic == topic.name(),
    }));
    shut_down(run);
}

fn status_of_the_old_schema_has_no_gaps() {
    let mock = Mock::start();
    let run = remote(&filled(&mock, 2), "--seq_read --status-schema v1");
    assert!(
        wait_for("a status", || run.http().get("/status").filter(|answer| answer.code == 200))
            .body
            .contains("invalid_reads")
    );
    assert!(!run.http().order("/status").body.contains("offset_gaps"));
    shut_down(run);
}

fn workers_are_active_until_their_work_is_done() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let run = remote(&topic, "--produce_msgs 100 --msg_size 100 --produce-throughput-bps 5000 --seq_read");
    let workers = run.harness().first();
    assert!(workers.iter().all(Worker::is_active), "those too whose turn is still to come: {workers:?}");
    run.harness().until_done();
    shut_down(run);
}

fn finished_workers_agree_on_the_offsets() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let (run, workers) = done(&topic);
    let producer = workers[0].producer();
    assert_eq!((producer.sent, producer.acked, producer.bad_offsets), (500, 500, 0));
    assert_eq!((producer.fails, producer.restarts, producer.tombstones_produced), (0, 0, 0));
    assert!(producer.latency.p50 > 0.0 && producer.latency.p50 <= producer.latency.p99, "{producer:?}");
    let (random, sequential) = (workers[1].reader(), workers[3].reader());
    assert_eq!(random.validator.valid_reads, 20);
    assert_eq!(sequential.validator.valid_reads, 500);
    assert_eq!((sequential.validator.invalid_reads, sequential.validator.offset_gaps), (0, 0));
    assert_eq!(sequential.validator.max_offsets_consumed, producer.max_offsets_produced);
    let last: Vec<i64> = producer.max_offsets_produced.values().map(|offset| offset + 1).collect();
    assert_eq!(last, topic.ends());
    shut_down(run);
}

fn any_method_is_answered() {
    let mock = Mock::start();
    let run = remote(&filled(&mock, 1), "--seq_read");
    run.harness().until_done();
    for path in ["/status", "/reset", "/last_pass", "/print_stack"] {
        for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
            let answer = run.http().ask(method.clone(), path).map(|answer| answer.code);
            assert_eq!(answer, Some(200), "{method} {path}");
        }
    }
    let answer = run.http().ask(Method::POST, "/shutdown").map(|answer| answer.code);
    assert_eq!(answer, Some(200));
    run.finish_within(EXIT_LIMIT).expect_code(0);
}

fn unknown_paths_are_not_found() {
    let mock = Mock::start();
    let run = remote(&filled(&mock, 1), "--seq_read");
    run.harness().first();
    for path in ["/v1", "/activate", "/status/x", "/nothing"] {
        assert_eq!(run.http().get(path).map(|answer| answer.code), Some(404), "{path}");
    }
    shut_down(run);
}

fn last_pass_is_answered_by_everyone_at_any_time() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let run = remote(&topic, "--produce_msgs 200 --msg_size 100 --produce-throughput-bps 10000");
    run.harness().first();
    for path in [
        "/last_pass",
        "/last_pass",
        "/last_pass?timeout=60",
        "/last_pass?timeout=soon",
        "/last_pass?timeout=61&timeout=62",
    ] {
        run.http().order(path);
    }
    let workers = run.harness().until_done();
    assert_eq!(workers[0].producer().acked, 200, "it ends no producer's work");
    for path in ["/last_pass", "/last_pass?timeout=0"] {
        run.http().order(path);
    }
    shut_down(run);
}

fn last_pass_with_a_timeout_shows_who_is_late() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let run = remote(&topic, "--produce_msgs 10000000000 --msg_size 100 --produce-throughput-bps 10000");
    run.harness().first();
    run.http().order("/last_pass?timeout=1");
    wait_until("the stacks", || run.stdout().contains("still running 1 s after /last_pass"));
    wait_until("the stacks", || run.stdout().contains("shard-0") && run.stdout().contains("control"));
    shut_down(run);
}

fn reset_zeroes_the_counters() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let (run, _) = done(&topic);
    run.http().order("/reset");
    let workers = run.harness().first();
    let producer = workers[0].producer();
    assert_eq!((producer.sent, producer.acked), (0, 0));
    assert_eq!(producer.latency.p99.to_bits(), 0.0_f64.to_bits());
    for worker in &workers[1..] {
        assert_eq!(worker.reader().validator.valid_reads, 0);
    }
    assert!(workers.iter().all(|worker| !worker.is_active()));
    shut_down(run);
}

fn print_stack_shows_every_thread() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let (run, _) = done(&topic);
    // Threads of finished work may be on their way out.
    wait_until("a line for each thread", || {
        let (before, shown) = (run.stdout().len(), threads::of(run.pid()));
        run.http().order("/print_stack");
        let text = run.stdout().split_off(before);
        let lines: BTreeSet<u32> =
            text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        !shown.is_empty()
            && shown.iter().all(|thread| lines.contains(&thread.tid) && text.contains(&thread.name))
    });
    assert!(run.stdout().contains("control"), "{}", run.transcript());
    shut_down(run);
}

fn shutdown_after_the_work_ends_the_process_and_frees_the_port() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let (run, _) = done(&topic);
    let port = run.http();
    let (pid, address) = (run.pid(), port.address());
    port.order("/shutdown");
    run.finish_within(EXIT_LIMIT).expect_code(0).expect_output(&["PROVEN"]);
    assert!(fs::metadata(format!("/proc/{pid}")).is_err(), "the process is gone");
    // It binds the port at once, or fails.
    let again =
        Run::verifier().args(topic.flags()).args("--seq_read --remote").with_control_at(address.port());
    let again = again.start();
    again.harness().until_done();
    shut_down(again);
}

fn shutdown_during_the_work_ends_it_in_time() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let endless = "--produce_msgs 10000000000 --msg_size 100 --produce-throughput-bps 10000 --seq_read";
    let run = remote(&topic, endless);
    run.harness().until("a first ack", |workers| workers[0].producer().acked > 0);
    shut_down(run);
}

fn without_remote_the_process_ends_by_itself() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let work = "--produce_msgs 300 --msg_size 100 --produce-throughput-bps 15000";
    let run = Run::verifier().args(topic.flags()).args(work).with_control().start();
    let workers = run.harness().first();
    assert!(workers[0].is_active(), "the port is open without --remote too");
    run.finish_within(PATIENCE).expect_code(0);
}

/// A tenth of a core: a hundred times what is expected, and far below a loop that spins.
fn an_idle_remote_process_uses_no_cpu() {
    const SAMPLE: Duration = Duration::from_secs(2);
    let mock = Mock::start();
    let topic = mock.topic(8);
    let (run, _) = done(&topic);
    let limit_ticks = threads::TICKS_PER_S * SAMPLE.as_secs() / 10;
    // The end of the work may still be under way in the first samples.
    wait_until("2 s of next to no work", || {
        let before = threads::cpu_ticks(run.pid());
        std::thread::sleep(SAMPLE);
        threads::cpu_ticks(run.pid()) - before < limit_ticks
    });
    shut_down(run);
}
