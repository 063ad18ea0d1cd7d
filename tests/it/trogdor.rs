//! As an external command of Trogdor's: a task on standard input, a JSON object a line on standard output.

use std::{path::Path, process::Command};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    Test,
    dsl::{
        EXIT_LIMIT, Finished, Mock, Run, Workdir, janitor, ledger, ledger::LedgerFile, source, tool_is_there,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        If(trogdor_is_there, agents_run_tasks_and_their_coordinator_knows_how_they_went),
        Alone(a_task_is_told_of_until_its_verdict),
        Alone(a_violation_is_an_error_of_the_task),
        Alone(a_task_with_an_unknown_field_is_refused_by_its_name),
        Alone(a_task_goes_on_to_its_end_when_nobody_reads_what_it_says),
    ]
}

fn task(brokers: &str, topic: &str, messages: u64, per_second: u64) -> Value {
    json!({ "id": "node0-1", "workload": {
        "class": "org.apache.kafka.trogdor.workload.ProduceBenchSpec",
        "bootstrapServers": brokers,
        "targetMessagesPerSec": per_second,
        "maxMessages": messages,
        "activeTopics": { topic: { "numPartitions": 2 } },
        "valueGenerator": { "type": "constant", "size": 100 },
    } })
}

/// What an agent would read: objects only.
fn lines(finished: &Finished) -> Vec<Value> {
    let parsed = finished.stdout.lines().map(serde_json::from_str::<Value>);
    parsed.map(|line| line.unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))).collect()
}

fn a_task_is_told_of_until_its_verdict() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let task = task(&mock.bootstrap(), topic.name(), 3_000, 1_000).to_string();
    let finished = Run::verifier().args("--trogdor --seq_read").input(&task).finish().expect_code(0);
    assert_eq!(finished.stderr, "", "an agent takes it for errors");
    let lines = lines(&finished);
    let statuses: Vec<&Value> =
        lines.iter().map(|line| &line["status"]).filter(|one| !one.is_null()).collect();
    assert!(statuses.len() >= 2, "{}", finished.stdout);
    assert_eq!(statuses[0]["proofload"]["state"], "working", "{}", statuses[0]);
    let last = statuses[statuses.len() - 1];
    assert_eq!(last["totalSent"], 3_000, "{last}");
    assert!(
        last["p99LatencyMs"].as_f64() > Some(0.0) && last["averageLatencyMs"].as_f64() > Some(0.0),
        "{last}"
    );
    assert_eq!(last["proofload"]["verdict"], "proven", "{last}");
    assert!(lines.iter().all(|line| line["error"].is_null()), "{}", finished.stdout);
    let logs: Vec<&str> = lines.iter().filter_map(|line| line["log"].as_str()).collect();
    assert!(logs.iter().any(|log| log.contains("proofload: PROVEN")), "{logs:?}");
}

fn a_violation_is_an_error_of_the_task() {
    let mock = Mock::start();
    let (topic, workdir) = (mock.topic(1), Workdir::new());
    // A record that the producer does not expect, in a log that it takes for its own.
    topic.write(0, &[None]);
    workdir.write(&ledger::file_name(topic.name()), LedgerFile::of(&[&[(0, 1)]]).text());
    let task = task(&mock.bootstrap(), topic.name(), 10, 0).to_string();
    let run = Run::verifier().in_dir(&workdir).args("--trogdor --seq_read").input(&task);
    let finished = run.finish().expect_code(1);
    let errors: Vec<Value> = lines(&finished).iter().map(|line| line["error"].clone()).collect();
    let error = errors.iter().find_map(Value::as_str).expect("an error");
    assert!(error.starts_with("VIOLATION") && error.contains("partition 0"), "{error}");
}

fn a_task_with_an_unknown_field_is_refused_by_its_name() {
    let mut task = task("127.0.0.1:1", "t", 10, 0);
    task["workload"]["maxMesages"] = 5.into();
    let finished = Run::verifier().args("--trogdor").input(&task.to_string()).finish_bare().expect_code(2);
    let [line] = lines(&finished).try_into().expect("one line");
    let error = line["error"].as_str().unwrap_or_default();
    assert!(error.contains("unknown field `maxMesages`"), "{line}");
    assert!(finished.workdir.contents().is_empty(), "no file touched");
    // A flag that is wrong is told in the same way.
    let task = self::task("127.0.0.1:1", "t", 10, 0).to_string();
    let finished = Run::verifier().args("--trogdor --cores x").input(&task).finish_bare().expect_code(2);
    let error = lines(&finished)[0]["error"].clone();
    assert!(
        error.as_str().is_some_and(|error| error.starts_with("proofload: --cores x: accepts ")),
        "{error}"
    );
}

/// As it is when an agent ends a task: first it closes the pipe, then it sends SIGTERM.
fn a_task_goes_on_to_its_end_when_nobody_reads_what_it_says() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    let task = task(&mock.bootstrap(), topic.name(), 10_000_000, 1_000).to_string();
    // `true` is gone at once, and the pipe's other end with it.
    let under = ["bash", "-c", "exec \"$@\" > >(true)", "bash"];
    let run = Run::verifier().under(under).args("--trogdor").input(&task).with_control().start();
    run.harness().until("a first ack", |workers| workers[0].producer().acked > 0);
    run.signal(Signal::SIGTERM);
    let finished = run.finish_within(EXIT_LIMIT).expect_code(0).expect_no_output(&["panicked"]);
    assert!(finished.workdir.contents().iter().any(|(name, _)| name.starts_with("valid_offsets_")));
}

/// A network and processes of their own, which end with whoever has started them.
const APART: &[&str] = &["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

fn trogdor_is_there() -> Result<(), String> {
    for (tool, package) in [("unshare", "util-linux"), ("curl", "curl"), ("ip", "iproute2")] {
        tool_is_there(tool, package)?;
    }
    let apart = Command::new("unshare").args(APART).arg("true").output().expect("unshare");
    if !apart.status.success() {
        return Err("Trogdor's agents run whatever anybody tells them, and cannot be given a network of their own here"
            .to_owned());
    }
    jars().map(|_| ())
}

/// Where Trogdor's jars are; what is missing to get them.
fn jars() -> Result<String, String> {
    const EX_SKIP: i32 = 77;
    let output =
        Command::new(janitor::kafka_script()).args(["jars", "--trogdor"]).output().expect("scripts/kafka");
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Some(EX_SKIP) => Err(said),
        _ => panic!("no jars: {said}"),
    }
}

fn agents_run_tasks_and_their_coordinator_knows_how_they_went() {
    let folder = Workdir::new();
    let jars = jars().expect("they were there a moment ago");
    let script = source("tests/it/trogdor.sh");
    let run = Run::program(Path::new("unshare")).args(APART.join(" ")).arg("bash");
    let words =
        [&script, &janitor::kafka_script(), Path::new(&jars), Path::new(env!("CARGO_BIN_EXE_proofload"))];
    let run = words.iter().fold(run, |run, word| run.arg(&word.display().to_string()));
    let finished = run.arg(&folder.path().display().to_string()).finish_bare().expect_code(0);
    let task = |name: &str| -> Value {
        let line =
            finished.stdout.lines().find_map(|line| line.strip_prefix(name)).expect("a task that is over");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let proven = task("proven ");
    assert!(proven["error"].is_null(), "{proven}");
    assert_eq!(proven["status"]["totalSent"], 5_000, "{proven}");
    assert_eq!(proven["status"]["proofload"]["verdict"], "proven", "{proven}");
    let unknown = task("unknown ");
    let error = unknown["error"].as_str().unwrap_or_default();
    assert!(error.contains("unknown field `maxMesages`"), "{unknown}");
    let stopped = task("stopped ");
    assert!(stopped["error"].is_null() && stopped["cancelled"] == true, "{stopped}");
    assert!(stopped["status"]["totalSent"].as_u64() > Some(0), "{stopped}");
}
