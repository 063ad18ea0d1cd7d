//! `/metrics`, as Prometheus asks for it, and its own tool reads it.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    Test,
    dsl::{EXIT_LIMIT, Http, Mock, PATIENCE, Run, Workdir, ports, tool_is_there, wait_for, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(scrapes_tell_what_a_run_has_done_and_never_break_off),
        If(promtool_is_there, promtool_has_nothing_to_say),
        If(prometheus_is_there, prometheus_answers_every_query_of_the_dashboard),
    ]
}

/// What Prometheus sends.
const ACCEPT: &str =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

fn promtool_is_there() -> Result<(), String> {
    tool_is_there("promtool", "prometheus")
}

fn prometheus_is_there() -> Result<(), String> {
    tool_is_there("prometheus", "prometheus")
}

/// The values of all series that begin so, added up.
fn sum(text: &str, series: &str) -> u64 {
    let lines = text.lines().filter(|line| line.starts_with(series));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

fn scrape(http: &Http) -> Option<String> {
    let answer = http.get_as("/metrics", &[("Accept", ACCEPT)])?;
    assert_eq!(answer.code, 200, "{}", answer.body);
    assert!(answer.body.ends_with("# EOF\n"), "half an answer: {}", answer.body);
    Some(answer.body)
}

/// All that comes back, whole or not; `None` where that is nothing.
fn scrape_bare(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: localhost\r\nAccept: {ACCEPT}\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    // Who is gone has reset the connection.
    let _ = stream.read_to_end(&mut answer);
    (!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned())
}

fn scrapes_tell_what_a_run_has_done_and_never_break_off() {
    let mock = Mock::start();
    let name = "made-later";
    let work = format!("--brokers {} --topic {name}", mock.bootstrap());
    let work = format!("{work} --produce_msgs 500 --msg_size 50 --seq_read --remote");
    let run = Run::verifier().args(work).with_control().start();
    let http = run.http();
    let early = wait_for("a first scrape", || scrape(&http));
    assert!(early.contains("proofload_run_info{program=\"verifier\""), "{early}");
    assert!(!early.contains("proofload_acked_records"), "there are no workers yet: {early}");
    mock.topic_named(name, 2);
    run.harness().until_done();
    http.order("/reset");
    let done = scrape(&http).expect("a scrape");
    assert_eq!(sum(&done, "proofload_acked_records_total{"), 500, "{done}");
    assert_eq!(sum(&done, "proofload_ack_latency_seconds_count"), 500);
    assert_eq!(sum(&done, "proofload_proven_records_total"), 500);
    assert_eq!(sum(&done, "proofload_violations_total"), 0);
    assert_eq!(sum(&done, "proofload_work_done"), 1);
    let plain = http.get("/metrics").expect("a scrape").body;
    assert!(plain.contains("# TYPE proofload_acked_records_total counter\n"), "{plain}");
    http.order("/shutdown");
    while let Some(answer) = scrape_bare(http.address()) {
        assert!(answer.ends_with("# EOF\n"), "half an answer: {answer}");
    }
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
            Some(http.get("/metrics")?.body).filter(|text| text.contains(&series))
        });
        check(&text);
        http.order("/shutdown");
        run.finish_within(PATIENCE);
    }
}

/// Prometheus, which scrapes one process five times a second.
struct Prometheus {
    process: Child,
    http: Http,
    // It goes with it.
    _folder: Workdir,
}

impl Prometheus {
    fn start(scraped: SocketAddr) -> Self {
        let (folder, port) = (Workdir::new(), ports::free_port());
        let config = format!(
            "global: {{scrape_interval: 200ms}}\nscrape_configs:\n- job_name: proofload\n  static_configs: \
             [{{targets: ['{scraped}']}}]\n"
        );
        folder.write("prometheus.yml", config);
        let process = Command::new("prometheus")
            .current_dir(folder.path())
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus");
        Self { process, http: Http::to(port), _folder: folder }
    }

    /// What it answers to a query; `None` while it does not.
    fn ask(&self, query: &str) -> Option<Value> {
        let encoded = query.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
        self.http.get(&format!("/api/v1/query?query={encoded}"))?.json()
    }

    /// Whether there is something to see of it.
    fn knows(&self, query: &str) -> bool {
        let answer = self.ask(query);
        answer.is_some_and(|answer| answer["data"]["result"].as_array().is_some_and(|list| !list.is_empty()))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The queries of the dashboard, for all processes and topics, with rates over as long as the test has.
fn queries() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana-dashboard.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(path).expect("the dashboard")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries = targets.map(|target| target["expr"].as_str().expect("a query"));
    queries
        .map(|query| {
            let query = query.replace("$instance", ".*").replace("$topic", ".*");
            query.replace("$__rate_interval", "10s")
        })
        .collect()
}

fn prometheus_answers_every_query_of_the_dashboard() {
    let work = "--brokers embedded --topic t --produce_msgs 100000 --msg_size 50 --seq_read --remote \
                --produce-throughput-bps 100000";
    let run = Run::verifier().args(work).with_control().start();
    run.harness().first();
    let prometheus = Prometheus::start(run.http().address());
    wait_until("a scrape", || prometheus.knows("rate(proofload_acked_records_total[10s]) > 0"));
    for query in queries() {
        let answer = prometheus.ask(&query).expect("an answer");
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        // Nobody has broken a promise, and only repeaters know of the whole way.
        if !query.ends_with("> 0") && !query.contains("end_to_end") {
            wait_until(&query, || prometheus.knows(&query));
        }
    }
    run.http().order("/shutdown");
    run.finish_within(EXIT_LIMIT).expect_code(0);
}
