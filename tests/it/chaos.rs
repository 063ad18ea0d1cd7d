//! Brokers that go and come back while a run is under way: waited for, told once, no violation.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{Cluster, Mock, Run, Running, Workdir, Worker, ledger::LedgerFile, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnNodes(3, &[], nodes_that_restart_in_turn_are_no_disorder),
        OwnReal(&[], a_broker_killed_while_producing_and_reading_is_waited_for),
        Alone(a_broker_that_goes_while_producing_is_told_once),
        Alone(slow_answers_are_no_failure),
    ]
}

fn count(text: &str, words: &str) -> usize {
    text.matches(words).count()
}

const GONE: &str = " is gone (";
const BACK: &str = " is back (";

/// As an operator does it, under all who read while they wait: what their clients ask for again is shown again, and nobody is
/// accused of it; nor does anything seem to be missing that was acked meanwhile.
fn nodes_that_restart_in_turn_are_no_disorder(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(6), Workdir::new());
    let run = |work: &str| {
        let run = Run::verifier().in_dir(&workdir).args(topic.flags()).args(work);
        run.args("--keep-going --remote --cores 1").with_control().start()
    };
    let producer = run("--produce_msgs 10000000000 --msg_size 200 --produce-throughput-bps 60000");
    wait_until("a ledger", || LedgerFile::find(workdir.path(), topic.name()).is_some());
    let readers = [
        "--seq_read --continuous",
        "--consumer_group_readers 3 --continuous",
        "--consumer_group_readers 2 --loop --consume-throughput-mb 1",
    ];
    let readers = readers.map(run);
    let reads = |run: &Running| run.harness().first()[0].reader().validator.valid_reads;
    let expect_progress = || {
        for reader in &readers {
            let before = reads(reader);
            let goes_on = |workers: &[Worker]| workers[0].reader().validator.valid_reads > before + 100;
            reader.harness().until("reads", goes_on);
        }
    };
    expect_progress();
    for node in 0..3 {
        cluster.stop(node);
        expect_progress();
        cluster.restart(node);
        expect_progress();
    }
    producer.signal(Signal::SIGINT);
    producer.finish().expect_code(0).expect_no_output(&["VIOLATION", "panicked"]);
    for reader in readers {
        reader.http().order("/last_pass");
        reader.harness().until_done();
        reader.http().order("/shutdown");
        reader.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR", "panicked"]);
    }
}

fn a_broker_killed_while_producing_and_reading_is_waited_for(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(4), Workdir::new());
    let run =
        |work: &str| Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).with_control().start();
    let producer =
        run("--produce_msgs 6000 --msg_size 200 --produce-throughput-bps 80000 --seq_read --remote");
    wait_until("a ledger", || LedgerFile::find(workdir.path(), topic.name()).is_some());
    let reader = run("--seq_read --loop --remote");
    reader.harness().until("reads", |workers| workers[0].reader().validator.valid_reads > 100);
    cluster.kill(0);
    for run in [&producer, &reader] {
        run.wait_for_log(GONE);
    }
    cluster.restart(0);
    for run in [&producer, &reader] {
        run.wait_for_log(BACK);
    }
    let workers = producer.harness().until_done();
    reader.http().order("/last_pass");
    let read = reader.harness().until_done();
    expect_nothing_wrong(&workers, &read);
    for run in [producer, reader] {
        run.http().order("/shutdown");
        let finished = run.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR", "panicked"]);
        let told = (count(&finished.stderr, GONE), count(&finished.stderr, BACK));
        assert_eq!(told, (1, 1), "gone once, back once: {}", finished.transcript());
    }
    LedgerFile::read(workdir.path(), topic.name()).expect_all_up_to(&topic.ends());
}

fn expect_nothing_wrong(workers: &[Worker], read: &[Worker]) {
    let producer = workers[0].producer();
    assert_eq!((producer.acked, producer.fails, producer.bad_offsets), (6_000, 0, 0), "{producer:?}");
    assert_eq!(workers[1].reader().validator.valid_reads, 6_000, "{workers:?}");
    for reader in [workers[1].reader(), read[0].reader()] {
        let validator = &reader.validator;
        assert_eq!((validator.invalid_reads, validator.out_of_scope_invalid_reads), (0, 0), "{validator:?}");
        assert_eq!((validator.offset_gaps, &validator.lost_offsets), (0, &None), "{validator:?}");
    }
}

fn a_broker_that_goes_while_producing_is_told_once() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    // It stays, so that it can tell that the broker is back, however soon it is done then.
    let work = "--produce_msgs 500 --msg_size 100 --produce-throughput-bps 20000 --seq_read --remote";
    let run = Run::verifier().args(topic.flags()).args(work).with_control().start();
    run.harness().until("acks", |workers| workers[0].producer().acked > 20);
    mock.take_down();
    run.wait_for_log(GONE);
    mock.bring_up();
    run.wait_for_log(BACK);
    run.harness().until_done();
    run.http().order("/shutdown");
    let finished = run.finish().expect_code(0);
    let finished = finished.expect_output(&["500 of 500 records", "500 records proven valid"]);
    let told = (count(&finished.stderr, GONE), count(&finished.stderr, BACK));
    assert_eq!(told, (1, 1), "gone once, back once: {}", finished.transcript());
}

fn slow_answers_are_no_failure() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    mock.slow_down(Duration::from_millis(400));
    let finished =
        Run::verifier().args(topic.flags()).args("--produce_msgs 500 --msg_size 100 --seq_read").finish();
    finished.expect_code(0).expect_output(&["PROVEN"]).expect_no_output(&["WARN", "ERROR"]);
}
