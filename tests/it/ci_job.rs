//! `docs/ci/job.sh`, as it lies there: green on a good cluster, red on all else, each with the right code and verdict.

use std::{env, path::Path, time::Duration};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    Test,
    dsl::{Finished, Mock, Run, Topic, Workdir, ledger, schema::Schema, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(the_job_is_green_on_a_good_cluster_and_red_on_a_lost_record),
        Alone(the_job_is_red_on_a_missing_ledger),
        Alone(the_job_is_red_on_a_dead_broker_within_its_outage),
        Alone(the_job_is_red_when_it_is_ended_in_the_middle),
    ]
}

/// The job on this topic, which is there already.
fn job(topic: &Topic, workdir: &Workdir, steps: &str) -> Run {
    let folder = Path::new(env!("CARGO_BIN_EXE_proofload")).parent().expect("a folder");
    let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap_or_default());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci/job.sh");
    let run = Run::program(&script).in_dir(workdir).env("PATH", path).env("DIR", "out");
    run.env("BROKERS", topic.bootstrap()).env("TOPIC", topic.name()).env("STEPS", steps)
}

#[track_caller]
fn expect(finished: Finished, step: &str, verdict: &str, code: i32) {
    let finished =
        finished.expect_code(code).expect_output(&[&format!("{step}: {verdict}, exit code {code}")]);
    let text = std::fs::read(finished.workdir.path().join(format!("out/{step}.json"))).expect("a report");
    let report: Value = serde_json::from_slice(&text).expect("JSON");
    Schema::of_reports().expect_valid(&report);
    assert_eq!((&report["verdict"], &report["exit_code"]), (&verdict.into(), &code.into()), "{report:#}");
}

fn the_job_is_green_on_a_good_cluster_and_red_on_a_lost_record() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let finished = job(&topic, &workdir, "load verify").env("RECORDS", "500").finish_bare();
    let finished = finished.expect_output(&["load: proven, exit code 0"]);
    expect(finished, "verify", "proven", 0);
    // One more was acked than is there.
    workdir.write(
        &format!("out/{}", ledger::file_name(topic.name())),
        ledger::LedgerFile::of(&[&[(0, 501)]]).text(),
    );
    let finished = job(&topic, &workdir, "verify").finish_bare();
    expect(finished.expect_output(&["lost-write"]), "verify", "violation", 1);
}

fn the_job_is_red_on_a_missing_ledger() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    topic.write_proven(0, 0..30);
    let finished = job(&topic, &workdir, "verify").finish_bare();
    expect(finished.expect_output(&["there is no ledger at "]), "verify", "consistent", 1);
}

fn the_job_is_red_on_a_dead_broker_within_its_outage() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let run = job(&topic, &workdir, "load").env("RECORDS", "1000000000").env("MAX_OUTAGE", "3s").run_bare();
    wait_until("acks", || ledger::LedgerFile::find(&workdir.path().join("out"), topic.name()).is_some());
    mock.take_down();
    let finished = run.finish_within(Duration::from_secs(40));
    expect(finished.expect_output(&["longer than 3s (--max-outage)"]), "load", "failed", 3);
}

fn the_job_is_red_when_it_is_ended_in_the_middle() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let run = job(&topic, &workdir, "load").env("RECORDS", "1000000000").run_bare();
    wait_until("acks", || ledger::LedgerFile::find(&workdir.path().join("out"), topic.name()).is_some());
    run.signal(Signal::SIGTERM);
    let finished = run.finish_within(Duration::from_secs(20));
    expect(finished.expect_output(&["INTERRUPTED: SIGTERM came after "]), "load", "interrupted", 1);
}
