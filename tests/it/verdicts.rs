//! How runs end: the verdict's code, the first word of the summary, and the exit code belong together; and reports keep to
//! their schema, whatever ends a run.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::Value;

use crate::{
    Test,
    dsl::{EXIT_LIMIT, Finished, Mock, Run, Running, Topic, Workdir, ledger, schema::Schema, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(a_run_that_reads_all_that_its_ledger_lists_is_proven),
        Alone(what_no_ledger_vouches_for_is_named),
        Alone(a_violation_is_one_with_every_flag),
        Alone(an_interrupted_run_says_how_far_it_came),
        Alone(a_run_that_has_done_nothing_says_what_it_waited_for),
        Alone(a_repeater_s_verdicts),
        Alone(a_refusal_at_the_start_is_in_the_report),
        Alone(a_report_that_cannot_be_written_ends_the_run_before_it_begins),
        Alone(a_run_that_found_nothing_to_read_has_made_no_progress),
        Alone(a_summary_for_programs_is_json_and_nothing_else),
        Alone(a_deadline_ends_the_waiting_for_shutdown_and_says_so),
        Alone(only_what_the_ledger_lists_is_proven),
        Alone(a_killed_run_leaves_a_report_that_is_not_green),
        Alone(a_client_that_does_not_close_takes_no_summary_along),
        Alone(a_forced_end_has_a_summary_a_report_and_its_code),
        Alone(a_run_that_ends_while_a_partition_stands_still),
        Alone(loss_that_is_tolerated_is_counted_and_said),
        Alone(a_duration_ends_producers_and_readers_and_all_is_well),
        Alone(a_deadline_ends_the_run_and_says_why),
        Alone(a_broker_that_is_away_for_too_long_ends_the_run),
        Alone(sighup_is_a_signal_like_others),
        Alone(the_default_port_may_be_taken),
        Alone(the_control_port_tells_of_the_run_as_a_whole),
        Alone(a_program_is_called_by_its_link_s_name),
        Alone(flags_without_an_effect_are_told_or_refused),
    ]
}

const REPORT: &str = "--report report.json --msg_size 100";
const ENDLESS: &str = "--produce_msgs 10000000000 --produce-throughput-bps 20000";

/// The code, the first word and the report say the same.
#[track_caller]
fn expect(finished: Finished, verdict: &str, word: &str, code: i32) -> Value {
    let finished = finished.expect_code(code).expect_output(&[&format!("proofload: {word}")]);
    let report = finished.workdir.report();
    Schema::of_reports().expect_valid(&report);
    assert_eq!((&report["verdict"], &report["exit_code"]), (&verdict.into(), &code.into()), "{report:#}");
    assert_eq!(report["ended"], true);
    report
}

fn verifier(topic: &Topic, workdir: &Workdir, work: &str) -> Run {
    Run::verifier().in_dir(workdir).args(topic.flags()).args(REPORT).args(work)
}

fn acked(run: &Running) {
    run.harness().until("a first ack", |workers| workers[0].producer().acked > 0);
}

fn a_run_that_reads_all_that_its_ledger_lists_is_proven() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(2);
    let work = "--produce_msgs 100 --rand_read_msgs 5 --seq_read --consumer_group_readers 2";
    let report = expect(verifier(&topic, &workdir, work).finish(), "proven", "PROVEN: ", 0);
    assert_eq!((&report["complete"], &report["cause"]), (&true.into(), &Value::Null));
    let kinds: Vec<_> =
        report["workers"].as_array().expect("workers").iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["producer", "random-reader", "sequential-reader", "group-reader"]);
    let ledger = &report["ledger"];
    assert_eq!((&ledger["acked_records"], &ledger["vouched_records"]), (&100.into(), &100.into()));
    let gated = verifier(&topic, &workdir, "--seq_read --require-complete --ledger-dir .");
    expect(gated.finish(), "proven", "PROVEN: ", 0);
}

fn what_no_ledger_vouches_for_is_named() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let produced = verifier(&topic, &workdir, "--produce_msgs 50").finish();
    let report = expect(produced, "consistent", "CONSISTENT: ", 0);
    assert_eq!(report["not_vouched_for"][0], "the 50 acked records were not read back");
    assert_eq!(report["complete"], true);
    let random = verifier(&topic, &workdir, "--rand_read_msgs 5").finish();
    let report = expect(random, "consistent", "CONSISTENT: ", 0);
    assert_eq!(report["not_vouched_for"][0], "records were read here and there only");
    let partly = verifier(&topic, &workdir, "--seq_read --seq_read_msgs 10").finish();
    let report = expect(partly, "consistent", "CONSISTENT: ", 0);
    assert!(report["cause"].as_str().is_some_and(|cause| cause.contains("--seq_read_msgs")), "{report}");
    let elsewhere = Workdir::new();
    let missing = elsewhere.path().join(ledger::file_name(topic.name())).display().to_string();
    for (flags, code) in [("", 0), ("--require-complete", 0), ("--require-complete --ledger-dir .", 1)] {
        let read = verifier(&topic, &elsewhere, &format!("--seq_read {flags}")).finish();
        let read = read.expect_output(&[&format!("WARN no ledger at {missing}")]);
        let report = expect(read, "consistent", "CONSISTENT: ", code);
        let cause = format!("there is no ledger at {missing}: lost writes cannot be detected");
        assert_eq!(report["not_vouched_for"][0], cause);
    }
    let found =
        verifier(&topic, &elsewhere, &format!("--seq_read --ledger-dir {}", workdir.path().display()));
    expect(found.finish(), "proven", "PROVEN: ", 0);
}

fn a_violation_is_one_with_every_flag() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    topic.write_proven(0, 0..3);
    topic.write(0, &[None]);
    workdir.write(&ledger::file_name(topic.name()), ledger::LedgerFile::of(&[&[(0, 4)]]).text());
    for flags in ["", "--keep-going", "--require-complete", "--keep-going --log-format json"] {
        let read = verifier(&topic, &workdir, &format!("--seq_read {flags}")).finish();
        let report = expect(read, "violation", "VIOLATION: ", 1);
        assert_eq!((&report["violation_count"], &report["violations"][0]["offset"]), (&1.into(), &3.into()));
    }
}

fn an_interrupted_run_says_how_far_it_came() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    for (flags, code) in [("", 0), ("--require-complete", 1)] {
        let run = verifier(&topic, &workdir, &format!("{ENDLESS} --seq_read {flags}")).with_control().start();
        acked(&run);
        run.signal(Signal::SIGTERM);
        let report =
            expect(run.finish_within(EXIT_LIMIT), "interrupted", "INTERRUPTED: SIGTERM came after ", code);
        assert_eq!((&report["interrupted_by"], &report["complete"]), (&"SIGTERM".into(), &false.into()));
    }
    let run = verifier(&topic, &workdir, ENDLESS).with_control().start();
    acked(&run);
    run.http().get("/shutdown");
    expect(run.finish_within(EXIT_LIMIT), "interrupted", "INTERRUPTED: /shutdown came after ", 0);
    // What comes when all is done has interrupted nothing.
    let run = verifier(&topic, &workdir, "--seq_read --remote --require-complete").with_control().start();
    wait_until("the end of the work", || run.stderr().contains("waiting for /shutdown"));
    run.http().get("/shutdown");
    expect(run.finish_within(EXIT_LIMIT), "proven", "PROVEN: ", 0);
    // A reader that loops has done what was asked for once it has read all.
    let run = verifier(&topic, &workdir, "--seq_read --loop --require-complete").with_control().start();
    wait_until("two passes", || {
        let status = run.http().get("/v1/status").and_then(|answer| answer.json());
        status.is_some_and(|status| status["workers"][0]["passes"].as_u64() >= Some(2))
    });
    run.signal(Signal::SIGINT);
    expect(run.finish_within(EXIT_LIMIT), "proven", "PROVEN: ", 0);
}

fn a_run_that_has_done_nothing_says_what_it_waited_for() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    mock.take_down();
    for (flags, code) in [("", 0), ("--require-complete", 1)] {
        let work = format!("--seq_read --startup-timeout 0 {flags}");
        let run = verifier(&topic, &workdir, &work).with_control().start();
        assert_eq!(run.http().first_code(), 503);
        run.signal(Signal::SIGINT);
        let report = expect(run.finish_within(EXIT_LIMIT), "no-progress", "NO PROGRESS: ", code);
        assert_eq!((&report["workers"], &report["complete"]), (&Value::Array(Vec::new()), &false.into()));
    }
}

fn a_repeater_s_verdicts() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let repeater = |flags: &str| {
        let work = "--group g --payload-size 100 --initial-data-mb 1 --report report.json";
        Run::repeater().in_dir(&workdir).args(mock.topic(1).flags()).args(work).args(flags).with_control()
    };
    let report = expect(repeater("--duration 2s").finish(), "consistent", "CONSISTENT: ", 0);
    assert_eq!((&report["phases"][0]["name"], &report["complete"]), (&"repeat".into(), &true.into()));
    assert_eq!(report["workers"][0]["kind"], "repeater");
    assert!(report["workers"][0]["consumed_records"].as_u64() > Some(0), "{report:#}");
    // With --remote it stays, also when its time is up.
    let run = repeater("--remote --duration 2s").start();
    wait_until("its workers", || run.stderr().contains("waiting for PUT /activate"));
    run.http().order("/activate");
    wait_until("the end of its time", || run.stderr().contains("waiting for /shutdown"));
    assert!(run.http().get("/status").is_some_and(|answer| answer.code == 200));
    run.http().order("/shutdown");
    expect(run.finish_within(EXIT_LIMIT), "consistent", "CONSISTENT: ", 0);
    // It is never told to begin.
    let run = repeater("--remote").start();
    wait_until("its workers", || run.http().get("/status").is_some_and(|answer| answer.code == 200));
    run.signal(Signal::SIGTERM);
    expect(run.finish_within(EXIT_LIMIT), "no-progress", "NO PROGRESS: ", 0);
}

fn a_refusal_at_the_start_is_in_the_report() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let name = ledger::file_name(topic.name());
    workdir.write(&name, "{");
    let report = expect(verifier(&topic, &workdir, "--seq_read").finish(), "failed", "FAILED: ", 3);
    assert!(report["cause"].as_str().is_some_and(|cause| cause.contains(&name)), "{report}");
    // What this machine does not have is no usage error.
    let cores = verifier(&topic, &workdir, "--seq_read --cores 5000").finish();
    let report = expect(cores, "failed", "FAILED: ", 3);
    assert!(report["cause"].as_str().is_some_and(|cause| cause.contains("--cores 5000")), "{report}");
    // A usage error touches no file, and is one line, whoever finds it.
    let other = Workdir::new();
    for wrong in ["--loop --continuous", "-X no.such.setting=1"] {
        let refused = verifier(&topic, &other, &format!("--seq_read {wrong}")).finish();
        refused.expect_code(2).expect_no_output(&["FAILED"]).expect_one_error(&[]);
        assert!(other.contents().is_empty(), "{wrong}");
    }
}

fn a_report_that_cannot_be_written_ends_the_run_before_it_begins() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let run =
        Run::verifier().args(topic.flags()).args("--produce_msgs 5 --report nowhere/report.json").finish();
    run.expect_code(3).expect_one_error(&["report nowhere/report.json: cannot be written"]);
    assert_eq!(topic.ends(), [0], "nothing was produced");
}

/// Nothing is proven by having looked at nothing: no gate may be green.
fn a_run_that_found_nothing_to_read_has_made_no_progress() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(2);
    let told = format!("NO PROGRESS: there was nothing to read in topic {}", topic.name());
    let named = "--consumer_group_readers 2 --consumer_group_name g";
    let works = ["--seq_read", "--rand_read_msgs 5", "--consumer_group_readers 2", named];
    for work in works {
        for flags in ["", "--require-complete"] {
            let read = verifier(&topic, &workdir, &format!("{work} {flags}")).finish();
            let report = expect(read, "no-progress", &told, 3);
            assert_eq!(report["complete"], false, "{work}");
        }
    }
    // Whoever ends it meanwhile knows that.
    for work in ["--seq_read --loop", "--rand_read_msgs 5 --loop", "--seq_read --continuous"] {
        for (flags, code) in [("", 0), ("--require-complete", 1)] {
            let run = verifier(&topic, &workdir, &format!("{work} {flags}")).with_control().start();
            wait_until("its workers", || run.http().get("/status").is_some_and(|answer| answer.code == 200));
            run.http().order("/last_pass");
            expect(run.finish(), "no-progress", &told, code);
        }
    }
    // A producer that did its work is no reason to call reads done that were not.
    expect(
        verifier(&topic, &workdir, "--produce_msgs 5 --rand_read_msgs 5 --require-complete").finish(),
        "consistent",
        "CONSISTENT: ",
        0,
    );
}

fn a_killed_run_leaves_a_report_that_is_not_green() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    expect(verifier(&topic, &workdir, "--produce_msgs 5 --seq_read").finish(), "proven", "PROVEN", 0);
    let run = verifier(&topic, &workdir, ENDLESS).with_control().start();
    acked(&run);
    run.signal(Signal::SIGKILL);
    run.finish().expect_killed();
    let report = workdir.report();
    Schema::of_reports().expect_valid(&report);
    assert_eq!((&report["verdict"], &report["ended"]), (&"failed".into(), &false.into()));
}

/// A second signal ends the process at once, whatever its clients do.
fn a_client_that_does_not_close_takes_no_summary_along() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let run = verifier(&topic, &workdir, ENDLESS).with_control().start();
    acked(&run);
    mock.refuse(RDKafkaApiKey::Produce, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    std::thread::sleep(Duration::from_millis(500));
    run.signal(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(1_200));
    run.signal(Signal::SIGINT);
    let finished = run.finish_within(EXIT_LIMIT);
    let report = finished.workdir.report();
    Schema::of_reports().expect_valid(&report);
    assert_eq!(report["ended"], true, "{}", finished.transcript());
    finished.expect_output(&["records acked where predicted"]);
}

/// What hangs is not waited for, a disk here: the process ends without it, and yet says all that it knows.
fn a_forced_end_has_a_summary_a_report_and_its_code() {
    for (flags, code) in [("", 0), ("--require-complete", 1)] {
        let (mock, workdir) = (Mock::start(), Workdir::new());
        let topic = mock.topic(1);
        let run = verifier(&topic, &workdir, &format!("{ENDLESS} {flags}")).with_control().start();
        acked(&run);
        // The ledger is written beside its file, and put in its place: whoever opens this waits for a reader.
        let beside = workdir.path().join(format!("{}.tmp", ledger::file_name(topic.name())));
        wait_until("a pipe in the way", || {
            Command::new("mkfifo")
                .arg(&beside)
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        });
        std::thread::sleep(Duration::from_secs(1));
        run.signal(Signal::SIGTERM);
        let finished = run.finish_within(EXIT_LIMIT).expect_output(&["the work did not end in time"]);
        let report = expect(finished, "interrupted", "INTERRUPTED: SIGTERM came after ", code);
        assert!(report["workers"][0]["acked_records"].as_u64() > Some(0), "{report:#}");
    }
}

fn loss_that_is_tolerated_is_counted_and_said() {
    for records in [10, 0] {
        let (mock, workdir) = (Mock::start(), Workdir::new());
        let topic = mock.topic(1);
        topic.write_proven(0, 0..records);
        workdir.write(&ledger::file_name(topic.name()), ledger::LedgerFile::of(&[&[(0, 13)]]).text());
        let read = verifier(&topic, &workdir, "--seq_read --tolerate-data-loss --require-complete").finish();
        let words = format!("DONE WITH LOSS: {} offsets are lost", 13 - records);
        let report = expect(read, "loss-tolerated", &words, 0);
        assert_eq!(report["workers"][0]["lost_offsets"], 13 - records, "{report:#}");
    }
}

fn a_run_that_ends_while_a_partition_stands_still() {
    for (flags, code) in [("", 0), ("--require-complete", 1)] {
        let (mock, workdir) = (Mock::start(), Workdir::new());
        let topic = mock.topic(1);
        topic.write_proven(0, 0..30);
        mock.refuse(RDKafkaApiKey::Fetch, RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN);
        let run = verifier(&topic, &workdir, &format!("--seq_read --stall-after 1s {flags}")).start();
        wait_until("a stall", || run.stderr().contains("stalled: "));
        run.signal(Signal::SIGTERM);
        let report = expect(run.finish_within(EXIT_LIMIT), "stalled", "STALLED: ", code);
        assert_eq!(report["stalls"].as_array().map(Vec::len), Some(1), "{report:#}");
    }
}

fn a_duration_ends_producers_and_readers_and_all_is_well() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(2);
    let work = format!("{ENDLESS} --seq_read --duration 2s --require-complete");
    let report = expect(verifier(&topic, &workdir, &work).finish(), "proven", "PROVEN: ", 0);
    assert_eq!(report["interrupted_by"], Value::Null);
    assert!(report["phases"][0]["elapsed_ms"].as_u64() >= Some(2_000), "{report:#}");
    assert!(report["phases"][0]["limit_reached"].is_boolean(), "{report:#}");
    let tail =
        verifier(&topic, &workdir, "--seq_read --continuous --duration 1s --require-complete").finish();
    let report = expect(tail, "consistent", "CONSISTENT: ", 0);
    assert_eq!(report["complete"], true);
    // What did nothing in its time has not done what was asked for.
    mock.refuse(RDKafkaApiKey::Fetch, RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN);
    let nothing = verifier(&topic, &workdir, "--seq_read --duration 1s --stall-after 0").finish();
    expect(nothing, "no-progress", "NO PROGRESS: ", 3);
}

fn a_deadline_ends_the_run_and_says_why() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let run = verifier(&topic, &workdir, &format!("{ENDLESS} --deadline 3s"))
        .finish_within(Duration::from_secs(20));
    let report = expect(run, "failed", "FAILED: the deadline of 3s (--deadline) has come after ", 3);
    assert!(report["workers"][0]["acked_records"].as_u64() > Some(0), "{report:#}");
    mock.take_down();
    let run = verifier(&topic, &workdir, "--seq_read --startup-timeout 0 --deadline 2s").finish();
    expect(run, "failed", "FAILED: the deadline of 2s", 3);
}

/// All was done: that stays so, and yet somebody may wonder why the process is gone.
fn a_deadline_ends_the_waiting_for_shutdown_and_says_so() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let work = "--produce_msgs 5 --seq_read --remote --bind 127.0.0.1 --deadline 4s";
    let run = verifier(&mock.topic(1), &workdir, work).with_control().start();
    wait_until("the end of the work", || run.stderr().contains("waiting for /shutdown"));
    let finished = run.finish_within(EXIT_LIMIT);
    let told =
        "the deadline of 4s (--deadline) has come: all work is done, /shutdown is not waited for any longer";
    expect(finished.expect_output(&[told]), "proven", "PROVEN: ", 0);
}

/// Both streams may end up in one file.
fn a_summary_for_programs_is_json_and_nothing_else() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let run = verifier(&topic, &workdir, "--produce_msgs 5 --seq_read --log-format json").finish();
    let run = run.expect_code(0);
    let (stdout, stderr) = (run.stdout.clone(), run.stderr.clone());
    let lines = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    };
    let summary = lines(&stdout);
    assert_eq!(summary.len(), 1, "{stdout}");
    assert_eq!((&summary[0]["verdict"], &summary[0]["exit_code"]), (&"proven".into(), &0.into()));
    let shown = summary[0]["summary"].as_array().expect("lines");
    assert!(shown[0].as_str().is_some_and(|line| line.starts_with("proofload: PROVEN")), "{stdout}");
    assert!(lines(&stderr).iter().any(|line| line["verdict"] == "proven"), "{stderr}");
}

fn only_what_the_ledger_lists_is_proven() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    topic.write_proven(0, 0..30);
    let works = [
        ("--seq_read", "sequential  "),
        ("--consumer_group_readers 2", "group       "),
        ("--rand_read_msgs 30", "random      "),
    ];
    for (work, kind) in works {
        let read = verifier(&topic, &workdir, work).finish();
        let read = read.expect_output(&[&format!("{kind}30 records read, none proven valid")]);
        let report = expect(read, "consistent", "CONSISTENT: ", 0);
        let worker = &report["workers"][0];
        assert_eq!((&worker["valid_records"], &worker["proven_records"]), (&30.into(), &0.into()));
    }
    workdir.write(&ledger::file_name(topic.name()), ledger::LedgerFile::of(&[&[(10, 30)]]).text());
    for (work, kind) in &works[..2] {
        let read = verifier(&topic, &workdir, work).finish();
        let told = format!("{kind}30 records read, 20 proven valid");
        let report =
            expect(read.expect_output(&[&told, "10 beyond the ledger"]), "consistent", "CONSISTENT: ", 0);
        assert_eq!(report["workers"][0]["proven_records"], 20);
    }
    // Each pass counts.
    let run = verifier(&topic, &workdir, "--seq_read --loop").with_control().start();
    wait_until("two passes", || {
        let status = run.http().get("/v1/status").and_then(|answer| answer.json());
        status.is_some_and(|status| status["workers"][0]["proven_records"].as_u64() >= Some(40))
    });
    run.http().order("/last_pass");
    let report = expect(run.finish(), "consistent", "CONSISTENT: ", 0);
    let worker = &report["workers"][0];
    let (read, proven) = (worker["valid_records"].as_u64(), worker["proven_records"].as_u64());
    assert_eq!(read.map(|read| read / 3 * 2), proven, "{worker}");
}

fn a_broker_that_is_away_for_too_long_ends_the_run() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let run = verifier(&topic, &workdir, &format!("{ENDLESS} --max-outage 3s")).with_control().start();
    acked(&run);
    mock.take_down();
    let report = expect(run.finish(), "failed", "FAILED: broker ", 3);
    assert!(
        report["cause"].as_str().is_some_and(|cause| cause.contains("longer than 3s (--max-outage)")),
        "{report}"
    );
}

fn sighup_is_a_signal_like_others() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let run = verifier(&mock.topic(1), &workdir, ENDLESS).with_control().start();
    acked(&run);
    run.signal(Signal::SIGHUP);
    expect(run.finish_within(EXIT_LIMIT), "interrupted", "INTERRUPTED: SIGHUP came after ", 0);
}

fn the_default_port_may_be_taken() {
    // It may be taken already, which is as good.
    let _taken = TcpListener::bind("127.0.0.1:7884");
    let mock = Mock::start();
    let line = format!("{} --produce_msgs 5", mock.topic(1).flags());
    let run = Run::verifier().args(&line).finish_bare().expect_code(0);
    run.expect_output(&["the control port 127.0.0.1:7884 is taken: ", "control port: 127.0.0.1:"]);
    let named = Run::verifier().args(&line).args("--remote-port 7884 --bind 127.0.0.1").finish_bare();
    named.expect_code(3).expect_output(&["cannot be used"]);
    let remote = Run::verifier().args(&line).args("--remote --bind 127.0.0.1").finish_bare();
    remote.expect_code(3).expect_output(&["cannot be used"]);
    let any = Run::verifier().args(&line).args("--remote-port 0").finish_bare().expect_code(0);
    any.expect_output(&["control port: 127.0.0.1:"]);
}

fn the_control_port_tells_of_the_run_as_a_whole() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let run = verifier(&mock.topic(1), &workdir, ENDLESS).with_control().start();
    acked(&run);
    let paths = run.http().get("/").expect("an answer").body;
    for path in ["/status", "/v1/status", "/last_pass", "/shutdown", "/print_stack", "/reset"] {
        assert!(paths.contains(path), "{paths}");
    }
    let status = run.http().get("/v1/status").and_then(|answer| answer.json()).expect("a status");
    let expected = [
        ("state", "working".into()),
        ("phase", "produce".into()),
        ("verdict", Value::Null),
        ("complete", false.into()),
    ];
    for (name, value) in expected {
        assert_eq!(status[name], value, "{name} in {status:#}");
    }
    assert_eq!(status["phases"][0]["limit_bytes_per_s"], 20_000, "{status:#}");
    run.signal(Signal::SIGINT);
    run.finish_within(EXIT_LIMIT).expect_code(0);
}

/// Of all names there is one file; who kills by name must hit the right process, also when it has hidden a password.
fn a_program_is_called_by_its_link_s_name() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    for (name, work) in [
        ("kgo-verifier", "--produce_msgs 1 --remote"),
        ("kgo-repeater", "--group g --remote"),
        ("proofload", "verifier --produce_msgs 1 --remote"),
    ] {
        let link = workdir.path().join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_proofload"), &link).expect("a link");
        for secret in ["", "--password s3cret"] {
            let run = Run::program(&link).args(work).args(topic.flags()).args("--bind 127.0.0.1");
            let run = run.args(secret).with_control().start();
            wait_until("its workers", || run.http().get("/status").is_some_and(|answer| answer.code == 200));
            let process = format!("/proc/{}", run.pid());
            let comm = fs::read_to_string(format!("{process}/comm")).expect("a name");
            assert_eq!(comm.trim_end(), name, "{secret}");
            let words = fs::read_to_string(format!("{process}/cmdline")).expect("words");
            assert!(!words.contains("s3cret"), "{words}");
            run.signal(Signal::SIGTERM);
            run.finish_within(EXIT_LIMIT).expect_code(0);
        }
    }
}

fn flags_without_an_effect_are_told_or_refused() {
    let mock = Mock::start();
    let line = format!("{} --produce_msgs 5", mock.topic(1).flags());
    let idle = "--transaction-abort-rate 0.2 --transaction-timeout-ms 30000 --parallel 3 --password s3cret";
    let told = Run::verifier().args(&line).args(idle).finish();
    told.expect_code(0).expect_output(&[
        "WARN --transaction-timeout-ms has no effect without --use-transactions",
        "WARN --transaction-abort-rate has no effect without --use-transactions",
        "WARN --parallel has no effect without --rand_read_msgs",
        "WARN --password (or PROOFLOAD_PASSWORD) has no effect without --username",
    ]);
    let quiet =
        "--transaction-abort-rate 0 --tombstone-probability 0.0 --transaction-timeout-ms 2m0s --password=";
    let quiet = Run::verifier().args(&line).args(quiet);
    quiet.finish().expect_code(0).expect_no_output(&["WARN"]);
    for (flags, what) in [
        ("--partitions 3", "--partitions: needs --create-topic as well"),
        ("--sasl-mechanism PLAIN", "--sasl-mechanism: needs --username NAME as well"),
        ("--tls-skip-verify", "--tls-skip-verify: needs --enable-tls as well"),
    ] {
        Run::verifier().args(&line).args(flags).finish().expect_code(2).expect_one_error(&[what]);
    }
}
