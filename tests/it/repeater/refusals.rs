//! What cannot be worked with: topics that are not there, bodies of others, odd hosts, files that cannot be written.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use super::process::{Repeater, repeater};
use crate::{
    Test,
    dsl::{Cluster, EXIT_LIMIT, Run, Topic, ports, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(missing_topic),
        Real(bad_bodies),
        RealIf(hosts_can_be_renamed, hostname_with_an_underscore),
        Real(what_is_not_to_be_had),
        Real(a_profile_that_cannot_be_written),
        Real(a_transaction_that_may_not_last_so_long),
    ]
}

fn missing_topic(cluster: &Cluster) {
    let (there, missing) = (cluster.topic(1), Topic::missing(cluster.bootstrap()));
    let topics = format!("--topics {},{} --group missing", there.name(), missing.name());
    let run = Run::repeater().args(format!("--brokers {} {topics}", cluster.bootstrap()));
    let finished = run.args("--startup-timeout 2s").finish().expect_code(3);
    finished.expect_output(&[&format!("topic '{}' does not exist", missing.name())]);
    assert!(!missing.exists(), "asking for it has created it");
}

fn bad_bodies(cluster: &Cluster) {
    let topic = cluster.topic(1);
    let repeater = Repeater::start(&topic, "--payload-size 1000");
    repeater.grows("consumed", 10);
    let values = ["short", "long enough, but not a repeater's body"];
    topic.write_keyed(0, &values.map(|value| ("key", Some(value))));
    wait_until("two errors", || repeater.sum("errors") == 2);
    repeater.grows("consumed", 10);
    let rest = repeater.finish();
    rest.expect_once("no repeater's record");
    assert_eq!(rest.sum("bad_bodies"), 2);
    let place = format!("topic {} partition 0 offset ", topic.name());
    rest.finished.expect_output(&[&place, "2 records without a repeater's body"]);
}

/// What comes before a program that is to run on a host of another name. `$0` is what the program becomes then.
const RENAMED: [&str; 3] = ["sh", "-c", "echo my_odd_host >/proc/sys/kernel/hostname && exec \"$0\" \"$@\""];

fn renamed() -> Option<Vec<&'static str>> {
    let ways: [&[&str]; 2] = [&["unshare", "--uts"], &["unshare", "--user", "--map-root-user", "--uts"]];
    let works = |words: &Vec<&str>| {
        let status = Command::new(words[0]).args(&words[1..]).arg("true").stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    ways.into_iter().map(|way| [way, &RENAMED].concat()).find(works)
}

fn hosts_can_be_renamed() -> Result<(), String> {
    renamed().map(drop).ok_or_else(|| "hosts cannot be renamed here, not even for one process".to_owned())
}

/// Harnesses split a member's client id at `_` into host, process, `w` and worker.
fn hostname_with_an_underscore(cluster: &Cluster) {
    let topic = cluster.topic(2);
    let run = repeater(&topic, "--workers 2").under(renamed().expect("a way to rename the host"));
    let repeater = Repeater::of(run.start());
    repeater.grows("consumed", 10);
    let mut names = topic.client_names(topic.name());
    names.sort();
    let pid = repeater.pid();
    assert_eq!(names, [format!("my-odd-host_{pid}_w_0"), format!("my-odd-host_{pid}_w_1")]);
    repeater.finish();
}

/// However early something is found out, it is told.
fn what_is_not_to_be_had(cluster: &Cluster) {
    let taken = TcpListener::bind(("127.0.0.1", ports::free_port())).expect("a free port");
    let port = taken.local_addr().expect("its address").port();
    let cases = [
        ("--cores 1023".to_owned(), 3, "1023"),
        ("-X no.such.setting=1".to_owned(), 2, "no.such.setting"),
        (format!("--remote-port {port}"), 3, "choose another with --remote-port"),
    ];
    let missing = Topic::missing(cluster.bootstrap());
    for (words, code, said) in cases {
        let run = Run::repeater().args(missing.flags()).args(format!("--group refused {words}"));
        run.finish_within(EXIT_LIMIT).expect_code(code).expect_output(&[said]);
    }
}

fn a_profile_that_cannot_be_written(cluster: &Cluster) {
    // The topic is missing too, which would be found out next.
    let missing = Topic::missing(cluster.bootstrap());
    let run = Run::repeater().args(missing.flags()).args("--group profile --profile no-such-folder/p");
    let finished = run.finish_within(EXIT_LIMIT).expect_code(3);
    let finished = finished.expect_output(&["--profile no-such-folder/p: cannot be written: "]);
    finished.expect_no_output(&["does not exist at"]);
}

/// The broker's limit is a quarter of an hour.
fn a_transaction_that_may_not_last_so_long(cluster: &Cluster) {
    let run = repeater(&cluster.topic(1), "--use-transactions --transaction-timeout-ms 1h");
    run.finish().expect_code(3).expect_output(&["cannot be used: "]);
}
