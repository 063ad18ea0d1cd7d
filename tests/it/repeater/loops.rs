//! Loops that nothing disturbs.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use super::{
    books::{Books, tokens},
    process::{Repeater, Rest},
};
use crate::{
    Test,
    dsl::{Cluster, EXIT_LIMIT, topic::Place, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(balance_of_eight_processes),
        Real(balance_of_two_processes),
        Real(balance_of_one_process),
        Real(eager_members_come_and_go),
        Real(transactions_with_aborts),
        Real(transactions_of_our_own_client),
        Real(partitions_that_are_added_get_no_tokens),
        Real(very_many_tokens_start_at_once),
        Real(rate_limit_is_the_process_s),
        Real(activation_twice_and_reset),
    ]
}

fn balance_of_one_process(cluster: &Cluster) {
    balance(cluster, "librdkafka", 1, 20);
}

fn balance_of_two_processes(cluster: &Cluster) {
    balance(cluster, "wire", 2, 20);
}

fn balance_of_eight_processes(cluster: &Cluster) {
    balance(cluster, "wire", 8, 5);
}

/// At rest every token is in a process or in the log, and the group knows which of those are consumed.
fn balance(cluster: &Cluster, client: &str, processes: u32, workers: u32) {
    // So many that no process is without any: members that own nothing consume nothing.
    let topic = cluster.topic((processes * workers * 2) as usize);
    let words = format!(
        "--workers {workers} --payload-size 1000 --initial-data-mb 1 --max-buffered-records 8 --remote \
         --client {client}"
    );
    let repeaters = Repeater::start_several(&topic, &words, processes as usize);
    for repeater in &repeaters {
        repeater.sees_members((processes * workers) as usize);
    }
    for repeater in &repeaters {
        repeater.http().order("/activate");
    }
    for repeater in &repeaters {
        repeater.grows("consumed", 500);
    }
    let rests: Vec<Rest> = repeaters.into_iter().map(Repeater::finish).collect();
    let all = tokens(1, i64::from(workers), 1000) * i64::from(processes);
    Books::close(&topic, all, &rests).expect_balance_without_replay();
}

/// Members that know the eager protocol only: all give up everything whenever one comes or goes.
fn eager_members_come_and_go(cluster: &Cluster) {
    let topic = cluster.topic(16);
    let words = "--workers 4 --payload-size 1000 --initial-data-mb 1 -X partition.assignment.strategy=range";
    let first = Repeater::start(&topic, words);
    first.grows("consumed", 100);
    let second = Repeater::start(&topic, words);
    second.grows("consumed", 100);
    first.grows("consumed", 100);
    let second = second.finish();
    first.grows("consumed", 100);
    let third = Repeater::start(&topic, words);
    third.grows("consumed", 100);
    let rests = [first.finish(), second, third.finish()];
    Books::close(&topic, 3 * tokens(1, 4, 1000), &rests).expect_balance();
}

fn transactions_with_aborts(cluster: &Cluster) {
    transactions(cluster, "librdkafka");
}

fn transactions_of_our_own_client(cluster: &Cluster) {
    transactions(cluster, "wire");
}

fn transactions(cluster: &Cluster, client: &str) {
    let words = format!(
        "--workers 3 --payload-size 100 --initial-data-mb 1 --max-buffered-records 16 --use-transactions \
         --msgs-per-transaction 5 --transaction-abort-rate 0.3 --client {client}"
    );
    let repeater = Repeater::start(&cluster.topic(4), &words);
    repeater.grows("consumed", 500);
    let rest = repeater.finish();
    let all = tokens(1, 3, 100);
    assert_eq!(rest.here + rest.produced - rest.consumed, all, "{}", rest.finished.transcript());
    assert!(rest.sum("aborted_transactions") > 0, "{}", rest.finished.transcript());
    let finished = rest.finished.expect_output(&[" aborted\n", " tokens of those sent again"]);
    finished.expect_no_output(&["starting a new producer"]);
}

fn activation_twice_and_reset(cluster: &Cluster) {
    let repeater = Repeater::start(&cluster.topic(4), "--workers 2 --payload-size 1000 --remote");
    repeater.sees_members(2);
    repeater.wait_for_log("waiting for PUT /activate");
    assert_eq!(repeater.sum("produced"), 0, "it did not wait");
    let status = repeater.status().expect("a status");
    let fields: Vec<_> = status[0].as_object().expect("a worker").keys().collect();
    assert_eq!(fields, ["topics", "produced", "consumed", "enqueued", "errors", "latency"]);
    repeater.http().order("/activate");
    repeater.http().order("/activate");
    repeater.grows("consumed", 100);
    let before = repeater.sum("consumed");
    repeater.http().order("/reset");
    assert!(repeater.sum("consumed") < before, "not reset");
    repeater.http().order("/print_stack");
    assert!(repeater.stdout().contains("shard-0"), "{}", repeater.transcript());
    repeater.http().order("/shutdown");
    repeater.ends_within(EXIT_LIMIT).expect_code(0);
}

fn very_many_tokens_start_at_once(cluster: &Cluster) {
    let words = "--workers 3 --payload-size 1000 --initial-data-mb 300 --remote";
    let repeater = Repeater::start(&cluster.topic(4), words);
    // More than the old tool's channels had room for, where it waited for ever.
    wait_until("all tokens", || repeater.sum("enqueued") > 300_000);
    let statm = fs::read_to_string(format!("/proc/{}/statm", repeater.pid())).expect("a process that runs");
    let pages: u64 = statm.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a number");
    assert!(pages < 40_000, "{pages} pages");
    repeater.http().order("/activate");
    repeater.grows("consumed", 1000);
}

fn rate_limit_is_the_process_s(cluster: &Cluster) {
    let words = "--workers 4 --payload-size 983 --max-buffered-records 16 --rate-limit-bps 100000";
    let repeater = Repeater::start(&cluster.topic(4), words);
    repeater.grows("produced", 1);
    // Nominally 100 records a second. A machine that is busy may do less for a while, and nothing does more.
    let mut rates: Vec<f64> = Vec::new();
    while rates.last().is_none_or(|rate| *rate < 60.0) {
        assert!(rates.len() < 5, "{rates:?} records per second");
        let (from, started) = (repeater.sum("produced"), Instant::now());
        thread::sleep(Duration::from_secs(5));
        rates.push((repeater.sum("produced") - from) as f64 / started.elapsed().as_secs_f64());
        assert!(rates.iter().all(|rate| *rate < 130.0), "{rates:?} records per second");
    }
}

/// The group hears of them after the producers, and starts at their ends.
fn partitions_that_are_added_get_no_tokens(cluster: &Cluster) {
    let mut topic = cluster.topic(2);
    let words = "--workers 2 --payload-size 1000 --initial-data-mb 1 \
                 -X topic.metadata.refresh.interval.ms=1000 -X metadata.max.age.ms=1000";
    let repeater = Repeater::start(&topic, words);
    repeater.grows("consumed", 100);
    topic.grow(8);
    wait_until("a place in each partition", || topic.committed(topic.name()).iter().all(Option::is_some));
    repeater.grows("consumed", 1_000);
    let rest = repeater.finish();
    let places = topic.places(topic.name());
    let untouched = Place { end: 0, committed: Some(0) };
    assert!(places.len() == 8 && places[2..].iter().all(|place| *place == untouched), "{places:?}");
    Books::close(&topic, tokens(1, 2, 1000), &[rest]).expect_balance();
}
