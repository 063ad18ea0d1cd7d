//! Runs that go on behind what they find, and reports.

use std::fs;

use serde_json::Value;

use crate::{
    Test,
    dsl::{Cluster, Run, Topic, Workdir, ledger, ledger::LedgerFile},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(every_violation_is_counted_and_reported),
        Real(the_first_violation_ends_a_run_and_is_reported),
        Real(a_report_says_what_a_clean_run_did),
        Alone(a_report_that_cannot_be_written_is_refused_before_any_work),
        Alone(a_report_holds_no_password),
    ]
}

/// Ten records, of which those at 2, 5 and 6 bear a wrong id, and three more that were acked and are not there.
fn damaged(cluster: &Cluster) -> (Topic, Workdir) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    for (right, wrong) in [(0..2, 1), (3..5, 2), (7..10, 0)] {
        topic.write_proven(0, right);
        topic.write(0, &vec![None; wrong]);
    }
    workdir.write(&ledger::file_name(topic.name()), LedgerFile::of(&[&[(0, 13)]]).text());
    (topic, workdir)
}

/// Anomaly and offset of each violation in a report.
fn violations(report: &Value) -> Vec<(String, i64)> {
    let list = report["violations"].as_array().expect("a list");
    let one = |violation: &Value| {
        let name = violation["anomaly"].as_str().expect("a name").to_owned();
        (name, violation["offset"].as_i64().expect("an offset"))
    };
    list.iter().map(one).collect()
}

fn read(topic: &Topic, workdir: &Workdir, flags: &str) -> crate::dsl::Finished {
    let run = Run::verifier().in_dir(workdir).args(topic.flags());
    run.args(format!("--seq_read --report report.json {flags}")).finish()
}

fn every_violation_is_counted_and_reported(cluster: &Cluster) {
    let (topic, workdir) = damaged(cluster);
    let finished = read(&topic, &workdir, "--keep-going").expect_code(1);
    finished.expect_output(&["VIOLATION: 4 violations, the first: wrong-offset", "7 records proven valid"]);
    let report = workdir.report();
    let wrong = |offset| ("wrong-offset".to_owned(), offset);
    assert_eq!(violations(&report), [wrong(2), wrong(5), wrong(6), ("lost-write".to_owned(), 10)]);
    assert_eq!((&report["violation_count"], &report["exit_code"]), (&4.into(), &1.into()));
    let validator = &report["totals"][0]["validator"];
    assert_eq!((&validator["valid_reads"], &validator["invalid_reads"]), (&7.into(), &3.into()));
    let neighbours = |index: usize| {
        let evidence = &report["violations"][index]["evidence"];
        ["previous", "next"].map(|side| evidence[side]["offset"].as_i64())
    };
    assert_eq!([0, 1, 2].map(neighbours), [[Some(1), Some(3)], [Some(4), Some(6)], [Some(5), Some(7)]]);
}

fn the_first_violation_ends_a_run_and_is_reported(cluster: &Cluster) {
    let (topic, workdir) = damaged(cluster);
    read(&topic, &workdir, "").expect_code(1).expect_one_error(&["wrong-offset", "offset 2"]);
    let report = workdir.report();
    assert_eq!(violations(&report), [("wrong-offset".to_owned(), 2)]);
    let violation = &report["violations"][0];
    assert_eq!((&violation["topic"], &violation["partition"]), (&topic.name().into(), &0.into()));
    assert!(violation["expected"].as_str().is_some_and(|text| text.contains("000000.000000000000000002")));
}

fn a_report_says_what_a_clean_run_did(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let run = Run::verifier().in_dir(&workdir).args(topic.flags());
    run.args("--produce_msgs 100 --msg_size 10 --seq_read --report report.json").finish().expect_code(0);
    let report = workdir.report();
    assert_eq!((&report["format"], &report["exit_code"]), (&2.into(), &0.into()));
    assert_eq!(report["flags"]["topic"], topic.name());
    assert_eq!(report["flags"]["msg_size"], "10");
    assert_eq!(report["totals"][0]["acked"], 100);
    assert_eq!(report["totals"][1]["validator"]["valid_reads"], 100);
    assert_eq!(report["workers"][0]["ack_latency"]["count"], 100);
    let phase = &report["phases"][0];
    assert_eq!((&phase["name"], &phase["records"]), (&"produce".into(), &100.into()));
    assert_eq!(violations(&report), []);
}

const WORK: &str = "--brokers embedded --topic t --produce_msgs 10 --msg_size 10";

fn a_report_that_cannot_be_written_is_refused_before_any_work() {
    let finished = Run::verifier().args(format!("{WORK} --report missing/report.json")).finish();
    let finished = finished.expect_code(3);
    assert!(!finished.transcript().contains("10 of 10"));
    finished.expect_one_error(&["report missing/report.json: cannot be written"]);
}

fn a_report_holds_no_password() {
    let workdir = Workdir::new();
    let run = Run::verifier().in_dir(&workdir).args(WORK).env("PROOFLOAD_PASSWORD", "s3cret-word");
    // The mock cluster knows no users: what matters is what is written down of them.
    let run =
        run.args("--username u --startup-timeout 1s --report report.json -X ssl.key.password=s3cret-word");
    let finished = run.finish();
    finished.expect_no_output(&["s3cret-word"]);
    let text = fs::read_to_string(workdir.path().join("report.json")).expect("a report");
    assert!(text.contains("ssl.key.password") && !text.contains("s3cret-word"), "{text}");
}
