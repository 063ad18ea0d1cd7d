//! `/metrics`, as Prometheus asks for it, and its own tool reads it.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    Test,
    dsl::{EXIT_LIMIT, Http, Mock, PATIENCE, Run, wait_for},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(scrapes_tell_what_a_run_has_done_and_never_break_off),
        If(promtool_is_there, promtool_has_nothing_to_say),
    ]
}

/// What Prometheus sends.
const ACCEPT: &str =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

fn promtool_is_there() -> Result<(), String> {
    let found =
        Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.map(|_| ()).map_err(|_| "promtool is not installed (package prometheus)".to_owned())
}

/// The values of all series that begin so, added up.
fn sum(text: &str, series: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(series));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

fn scrape(http: &Http) -> Option<String> {
    let answer = http.get_as("/metrics", &[("Accept", ACCEPT)])?;
    assert_eq!(answer.code, 200, "{}", answer.body);
    assert!(answer.body.ends_with("# EOF\n"), "half an answer: {}", answer.body);
    Some(answer.body)
}

fn scrapes_tell_what_a_run_has_done_and_never_break_off() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    mock.take_down();
    let work = "--produce_msgs 500 --msg_size 50 --seq_read --remote";
    let run = Run::verifier().args(topic.flags()).args(work).with_control().start();
    let http = run.http();
    let early = wait_for("a first scrape", || scrape(&http));
    assert_eq!(sum(&early, "proofload_known_brokers"), 0.0, "{early}");
    assert!(early.contains("proofload_run_info{program=\"verifier\""), "{early}");
    assert!(!early.contains("proofload_acked_records"), "there are no workers yet: {early}");
    mock.bring_up();
    run.harness().until_done();
    http.order("/reset");
    let done = scrape(&http).expect("a scrape");
    assert_eq!(sum(&done, "proofload_acked_records_total{"), 500.0, "{done}");
    assert_eq!(sum(&done, "proofload_ack_latency_seconds_count"), 500.0);
    assert_eq!(sum(&done, "proofload_proven_records_total"), 500.0);
    assert_eq!(sum(&done, "proofload_violations_total"), 0.0);
    assert_eq!(sum(&done, "proofload_work_done"), 1.0);
    let plain = http.get("/metrics").expect("a scrape").body;
    assert!(plain.contains("# TYPE proofload_acked_records_total counter\n"), "{plain}");
    http.order("/shutdown");
    // A scrape is whole, or there is no connection.
    while scrape(&http).is_some() {}
    run.finish_within(EXIT_LIMIT).expect_code(0);
}

#[track_caller]
fn check(text: &str) {
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    tool.stdin.take().expect("its input").write_all(text.as_bytes()).expect("a text");
    let found = tool.wait_with_output().expect("its verdict");
    let said = String::from_utf8_lossy(&[found.stdout, found.stderr].concat()).into_owned();
    assert!(found.status.success() && said.is_empty(), "{said}\n{text}");
}

fn promtool_has_nothing_to_say() {
    let verifier = "--brokers embedded --topic t --produce_msgs 50 --rand_read_msgs 5 --seq_read --remote";
    let repeater = "--brokers embedded --topic t --group g --initial-data-mb 1 --remote";
    for (run, work, role) in
        [(Run::verifier(), verifier, "producer"), (Run::repeater(), repeater, "repeater")]
    {
        let run = run.args(work).with_control().start();
        let http = run.http();
        let series = format!("proofload_acked_records_total{{topic=\"t\",role=\"{role}\"");
        let text = wait_for("its workers", || {
            std::thread::sleep(Duration::from_millis(100));
            Some(http.get("/metrics")?.body).filter(|text| text.contains(&series))
        });
        check(&text);
        http.order("/shutdown");
        run.finish_within(PATIENCE);
    }
}
