//! Signals, and the ways in which shells start us.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{Cluster, EXIT_LIMIT, Mock, Run, Running, Topic, Worker, ledger::LedgerFile, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnReal(&[], sigterm_ends_a_run_whose_brokers_hang),
        Alone(sigint_in_mid_run_leaves_a_whole_ledger_and_a_summary),
        Alone(sigterm_in_mid_run_does_too),
        Alone(sigint_ends_a_process_that_was_started_with_it_ignored),
        Alone(sigint_ends_a_remote_process_that_is_done),
        Alone(sigint_ends_a_run_that_waits_for_its_brokers),
        Alone(who_is_interrupted_before_anything_came_says_what_was_in_the_way),
        Alone(sigint_ends_looping_readers),
        Alone(several_spaces_between_arguments_do_no_harm),
        Alone(nobody_has_to_read_what_is_printed),
        Alone(two_signals_at_once_are_one),
        Alone(a_killed_run_leaves_a_ledger_that_the_next_one_goes_on_from),
    ]
}

/// A producer that will not end by itself, and has acks already in its ledger.
fn endless(run: Run, topic: &Topic, more: &str) -> Running {
    let work = "--produce_msgs 10000000000 --msg_size 100 --produce-throughput-bps 20000";
    let run = run.args(topic.flags()).args(work).args(more).with_control().start();
    run.harness().until("a first ack", |workers| workers[0].producer().acked > 0);
    wait_until("a ledger", || LedgerFile::find(run.workdir().path(), topic.name()).is_some());
    run
}

fn expect_clean_end_on(signal: Signal) {
    let mock = Mock::start();
    let topic = mock.topic(3);
    let run = endless(Run::verifier(), &topic, "--seq_read");
    run.signal(signal);
    let finished = run.finish_within(EXIT_LIMIT).expect_code(0);
    let finished =
        finished.expect_output(&[&format!("INTERRUPTED: {signal} came after "), "acked where predicted"]);
    let ledger = LedgerFile::read(finished.workdir.path(), topic.name());
    ledger.expect_all_up_to(&topic.ends());
    assert_eq!(finished.workdir.contents().len(), 1, "no temporary file stays");
}

fn sigint_in_mid_run_leaves_a_whole_ledger_and_a_summary() {
    expect_clean_end_on(Signal::SIGINT);
}

fn sigterm_in_mid_run_does_too() {
    expect_clean_end_on(Signal::SIGTERM);
}

fn sigint_ends_a_process_that_was_started_with_it_ignored() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    // As in `nohup kgo-verifier … &`.
    let ignoring = ["sh", "-c", "trap '' INT HUP QUIT; exec \"$@\"", "sh"];
    let run = endless(Run::verifier().under(ignoring), &topic, "--remote");
    run.signal(Signal::SIGHUP);
    run.harness().until("life after SIGHUP", |workers| workers[0].is_active());
    run.signal(Signal::SIGINT);
    run.finish_within(EXIT_LIMIT).expect_code(0);
}

fn sigint_ends_a_remote_process_that_is_done() {
    let mock = Mock::start();
    let run =
        Run::verifier().args(mock.topic(1).flags()).args("--produce_msgs 10 --remote").with_control().start();
    run.harness().until_done();
    run.signal(Signal::SIGINT);
    run.finish_within(EXIT_LIMIT).expect_code(0);
}

fn sigint_ends_a_run_that_waits_for_its_brokers() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    mock.take_down();
    let run =
        Run::verifier().args(topic.flags()).args("--seq_read --startup-timeout 0").with_control().start();
    assert_eq!(run.http().first_code(), 503);
    run.signal(Signal::SIGINT);
    run.finish_within(EXIT_LIMIT).expect_code(0);
}

/// The log has said it: the last line is what people and scripts look at.
fn who_is_interrupted_before_anything_came_says_what_was_in_the_way() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    for client in ["wire", "librdkafka"] {
        let work = format!("--seq_read --enable-tls --startup-timeout 0 --client {client}");
        let run = Run::verifier().args(topic.flags()).args(work).start();
        run.wait_for_log("--enable-tls");
        run.signal(Signal::SIGINT);
        let finished = run.finish_within(EXIT_LIMIT).expect_code(0);
        let verdict = finished.stdout.lines().find(|line| line.starts_with("proofload: NO PROGRESS: "));
        let is_explained =
            |line: &str| line.contains("the client complains: ") && line.contains("--enable-tls");
        assert!(verdict.is_some_and(is_explained), "{client}: {}", finished.transcript());
    }
}

fn sigint_ends_looping_readers() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    topic.write_proven(0, 0..30);
    for work in ["--seq_read --loop", "--rand_read_msgs 10000000 --loop"] {
        let run = Run::verifier().args(topic.flags()).args(work).with_control().start();
        let reads = |workers: &[Worker]| workers[0].reader().validator.valid_reads > 30;
        run.harness().until("reads", reads);
        run.signal(Signal::SIGINT);
        run.finish_within(EXIT_LIMIT).expect_code(0).expect_output(&["records read, none proven valid"]);
    }
}

/// The broker takes what is sent and answers nothing, as with a hanging disk.
fn sigterm_ends_a_run_whose_brokers_hang(cluster: &Cluster) {
    let topic = cluster.topic(4);
    let run = endless(Run::verifier(), &topic, "");
    let reader = Run::verifier().args(topic.flags()).args("--seq_read --loop").with_control().start();
    reader.harness().until("reads", |workers| workers[0].reader().validator.valid_reads > 0);
    cluster.freeze(0);
    // Long enough for requests that nobody answers to be under way.
    std::thread::sleep(Duration::from_secs(1));
    let workdir = run.workdir().clone();
    for run in [&run, &reader] {
        run.signal(Signal::SIGTERM);
    }
    run.finish_within(EXIT_LIMIT).expect_code(0).expect_no_output(&["VIOLATION", "panicked"]);
    reader.finish_within(EXIT_LIMIT).expect_code(0).expect_no_output(&["VIOLATION", "panicked"]);
    assert!(LedgerFile::read(workdir.path(), topic.name()).count() > 0, "the ledger is whole");
}

fn several_spaces_between_arguments_do_no_harm() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    // A shell drops them; what splits at single spaces leaves empty words.
    let line = format!("{}   --produce_msgs 20  --seq_read=1    --tombstone-probability 0.0 ", topic.flags());
    let shell = ["sh".to_owned(), "-c".to_owned(), format!("exec \"$0\"  {line} \"$@\"")];
    let run = Run::verifier().under(shell);
    run.finish().expect_code(0).expect_output(&["sequential  20 records proven valid"]);
    let words = line.split(' ').fold(Run::verifier(), Run::arg);
    words.finish().expect_code(0).expect_output(&["20 of 20 records acked where predicted"]);
}

fn nobody_has_to_read_what_is_printed() {
    let mock = Mock::start();
    for nobody in ["> /dev/full", "| true"] {
        let shell = format!("set -o pipefail; \"$0\" \"$@\" {nobody}");
        let run = Run::verifier().under(["bash".to_owned(), "-c".to_owned(), shell]);
        let run = run.args(mock.topic(1).flags()).args("--produce_msgs 20 --seq_read");
        run.finish().expect_code(0).expect_no_output(&["panicked", "ERROR"]);
    }
}

/// As `timeout` sends them: to the process, and to its group.
fn two_signals_at_once_are_one() {
    let mock = Mock::start();
    let run = endless(Run::verifier(), &mock.topic(2), "");
    run.signal(Signal::SIGINT);
    run.signal(Signal::SIGTERM);
    run.finish_within(EXIT_LIMIT).expect_code(0).expect_no_output(&["again"]);
}

fn a_killed_run_leaves_a_ledger_that_the_next_one_goes_on_from() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let run = endless(Run::verifier(), &topic, "");
    let workdir = run.workdir().clone();
    run.signal(Signal::SIGKILL);
    wait_until("its end", || run.http().get("/status").is_none());
    drop(run);
    let before = LedgerFile::read(workdir.path(), topic.name());
    let again = Run::verifier()
        .in_dir(&workdir)
        .args(topic.flags())
        .args("--produce_msgs 100 --msg_size 100 --seq_read");
    let again = again.finish().expect_code(0).expect_nothing_wrong();
    again.expect_output(&["100 of 100 records acked where predicted"]);
    let after = LedgerFile::read(workdir.path(), topic.name());
    assert_eq!(after.count(), before.count() + 100, "{before:?}, then {after:?}");
}
