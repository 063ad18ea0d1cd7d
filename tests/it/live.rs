//! The page at `/`, and the events that it lives on.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;

use crate::{
    Test,
    dsl::{Browser, EXIT_LIMIT, Mock, PATIENCE, Run, Topic, Workdir, ledger, ledger::LedgerFile, wait_for},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(events_tell_of_violations_and_of_the_end),
        If(Browser::is_there, a_browser_shows_a_run_until_it_ends),
        If(Browser::is_there, a_browser_on_a_wall_shows_a_repeater),
    ]
}

const ACCEPT: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

const ALLOWED: (&str, &str) = ("Authorization", "Bearer open-sesame");

/// Follows the events from the first one, behind which `then` happens, until there are no more.
fn follow(address: SocketAddr, headers: &str, then: impl FnOnce()) -> Vec<Value> {
    let mut stream = TcpStream::connect(address).expect("a port that listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    // By the old protocol the answer comes as it is, and ends with the connection.
    write!(stream, "GET /v1/events HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n").expect("a request");
    let (mut stream, mut answer) = (BufReader::new(stream), String::new());
    while !answer.contains("data: ") {
        assert!(stream.read_line(&mut answer).expect("an answer") > 0, "{answer}");
    }
    then();
    stream.read_to_string(&mut answer).expect("the rest");
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(answer.contains("content-type: text/event-stream"), "{answer}");
    let events = answer.lines().filter_map(|line| line.strip_prefix("data: "));
    events.map(|event| serde_json::from_str(event).expect("JSON")).collect()
}

/// Two records, and behind them one with a wrong id, and a ledger that lists all of them.
fn with_a_violation(mock: &Mock) -> (Topic, Workdir) {
    let (topic, workdir) = (mock.topic(1), Workdir::new());
    topic.write_proven(0, 0..2);
    topic.write(0, &[None]);
    workdir.write(&ledger::file_name(topic.name()), LedgerFile::of(&[&[(0, 3)]]).text());
    (topic, workdir)
}

fn events_tell_of_violations_and_of_the_end() {
    let (mock, elsewhere) = (Mock::start(), Workdir::new());
    elsewhere.write("token", "open-sesame\n");
    let (topic, workdir) = with_a_violation(&mock);
    let token = elsewhere.path().join("token");
    let work = format!("--seq_read --keep-going --continuous --token-file {} --remote", token.display());
    let run = Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).with_control().start();
    let http = run.http();
    // The page has no data, and asks for the token by itself.
    let page = wait_for("the page", || http.get_as("/", &[ACCEPT]));
    assert_eq!(page.code, 200);
    assert!(page.body.starts_with("<!doctype html>") && !page.body.contains(topic.name()), "{}", page.body);
    assert_eq!(http.get("/v1/events").map(|answer| answer.code), Some(401));
    wait_for("a violation", || {
        let status = http.get_as("/v1/status", &[ALLOWED])?.json()?;
        (status["violation_count"].as_u64()? > 0).then_some(())
    });
    let events = follow(http.address(), "Authorization: Bearer open-sesame\r\n", || {
        http.get_as("/shutdown", &[ALLOWED]).expect("an answer");
    });
    let [first, .., last] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(first["topics"][0], topic.name());
    assert_eq!(first["status"]["workers"][0]["kind"], "sequential-reader", "{first}");
    let violations: Vec<_> =
        events.iter().filter_map(|event| event["violations"].as_array()).flatten().collect();
    let count = first["status"]["violation_count"].as_u64().expect("a number");
    assert_eq!(violations.len() as u64, count, "each is shown once: {violations:?}");
    assert!(violations[0].as_str().is_some_and(|words| words.contains(topic.name())), "{violations:?}");
    assert!(events.iter().rev().skip(1).all(|event| event["ended"] == false) && last["ended"] == true);
    run.finish_within(EXIT_LIMIT).expect_code(1);
}

fn a_browser_shows_a_run_until_it_ends() {
    let (mock, elsewhere) = (Mock::start(), Workdir::new());
    elsewhere.write("token", "open-sesame\n");
    let (topic, workdir) = with_a_violation(&mock);
    let work =
        format!("--seq_read --keep-going --loop --token-file {}", elsewhere.path().join("token").display());
    let run = Run::verifier()
        .in_dir(&workdir)
        .args(topic.flags())
        .args(work)
        .args("--remote")
        .with_control()
        .start();
    let http = run.http();
    http.first_code();
    let browser = Browser::open(&format!("http://{}/", http.address()), (390, 844));
    browser.wait_until("!document.getElementById('login').hidden && document.getElementById('run').hidden");
    let log_in = |token: &str| {
        browser.value(&format!("document.getElementById('token').value = '{token}'; login.requestSubmit()"));
    };
    log_in("wrong");
    browser.wait_until("!document.getElementById('refused').hidden");
    log_in("open-sesame");
    browser.wait_until("!document.getElementById('run').hidden");
    browser.wait_until("document.getElementById('violations').innerText.includes('wrong-offset')");
    browser.wait_until("samples.length > 2 && samples.some((one) => one.read > 0)");
    let shot = "document.getElementById('throughput').toDataURL()";
    browser.value(&format!("window.shot = {shot}"));
    browser.wait_until(&format!("window.shot !== {shot}"));
    assert_eq!(
        browser.value("document.documentElement.scrollWidth <= innerWidth"),
        true,
        "as wide as a phone"
    );
    assert_eq!(browser.value("document.getElementById('way').hidden"), true, "no record has a known way");
    let title = browser.value("document.title");
    assert_eq!(title, format!("verifier · {} · proofload", topic.name()));
    http.get_as("/shutdown", &[ALLOWED]).expect("an answer");
    browser.wait_until("document.getElementById('state').innerText === 'the run has ended'");
    run.finish_within(EXIT_LIMIT).expect_code(1);
}

fn a_browser_on_a_wall_shows_a_repeater() {
    let mock = Mock::start();
    let topic = mock.topic(4);
    let work = "--group round --workers 2 --payload-size 200 --initial-data-mb 1";
    let run = Run::repeater().args(topic.flags()).args(work).with_control().start();
    let http = run.http();
    http.first_code();
    let browser = Browser::open(&format!("http://{}/", http.address()), (1_920, 1_080));
    browser.wait_until("!document.getElementById('run').hidden");
    browser.wait_until("samples.some((one) => one.acked > 0 && one.read > 0)");
    browser.wait_until("document.getElementById('group').innerText.startsWith('group round: ')");
    browser.wait_until(
        "!document.getElementById('way').hidden && document.getElementById('e2e').innerText.endsWith('s')",
    );
    for (size, scheme) in [((1_920, 1_080), "light"), ((3_840, 2_160), "dark")] {
        browser.emulate(size, "screen", scheme);
        browser.expect_fits();
        browser.shoot(&format!("repeater-{scheme}"));
        // What there is room for stands side by side.
        let columns = browser
            .value("getComputedStyle(document.getElementById('run')).gridTemplateColumns.split(' ').length");
        assert!(columns.as_u64() >= Some(3), "{columns} columns");
        let width =
            browser.value("document.getElementById('run').getBoundingClientRect().width / innerWidth");
        assert!(width.as_f64() > Some(0.6), "{width} of the width is used");
    }
    assert_eq!(browser.complaints(), [""; 0]);
    http.order("/shutdown");
    browser.wait_until("document.getElementById('state').innerText === 'the run has ended'");
    run.finish_within(EXIT_LIMIT).expect_code(0);
}
