//! Loops whose brokers and members go away and come back.

use std::{thread, time::Duration};

use nix::sys::signal::Signal;

use super::{
    books::{Books, Seen, Victim, tokens},
    process::{Repeater, Rest},
    profile,
};
use crate::{
    Test,
    dsl::{Cluster, Topic, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(eight_processes_lose_one_and_wait_for_one_and_gain_one),
        OwnReal(&[], brokers_down_and_back),
        Real(a_process_is_killed_and_one_is_added),
        Real(a_process_is_frozen_past_its_session),
        OwnReal(&[], stop_while_brokers_hang),
    ]
}

/// A member that is silent for so long is taken out of the group, where the tests ask for it.
const SESSION: Duration = Duration::from_secs(10);
/// Long enough for a client to try many times to reach its broker, less and less often.
const OUTAGE: Duration = Duration::from_secs(20);

/// At a rate that leaves the others some of the machine: members go and come as they do at any.
fn words(workers: i64) -> String {
    format!(
        "--workers {workers} --payload-size 1000 --initial-data-mb 1 --rate-limit-bps 1000000 \
         -X session.timeout.ms={}",
        SESSION.as_millis()
    )
}

fn brokers_down_and_back(cluster: &Cluster) {
    let topic = cluster.topic(4);
    let repeater = Repeater::start(&topic, "--workers 4 --payload-size 1000 --client wire");
    repeater.grows("consumed", 100);
    cluster.kill(0);
    thread::sleep(OUTAGE);
    assert!(repeater.status().is_some(), "no status while brokers are away");
    cluster.restart(0);
    repeater.grows("consumed", 100);
    let rest = repeater.finish();
    rest.expect_once("is gone");
    Books::close(&topic, tokens(4, 4, 1000), &[rest]).expect_balance_after_outage();
}

fn stop_while_brokers_hang(cluster: &Cluster) {
    let words = "--workers 8 --payload-size 1000 --profile p --client wire";
    let repeater = Repeater::start(&cluster.topic(4), words);
    repeater.grows("consumed", 100);
    cluster.freeze(0);
    let mut before = -1;
    wait_until("nothing is answered any more", || {
        thread::sleep(Duration::from_millis(300));
        std::mem::replace(&mut before, repeater.sum("consumed")) == before
    });
    let rest = repeater.finish();
    cluster.thaw(0);
    let finished = rest.finished.expect_output(&["end to end  p50"]);
    profile::expect_written(&finished.workdir.path().join("p"));
}

/// Kills a process that has worked for a while; says what it had done.
fn kill(topic: &Topic, repeater: &Repeater, tokens: i64) -> Victim {
    let (early, ends) = (Seen::of(repeater), topic.ends());
    wait_until("whatever was consumed so far is committed", || {
        topic.committed(topic.name()).iter().zip(&ends).all(|(committed, end)| *committed >= Some(*end))
    });
    let late = Seen::of(repeater);
    repeater.signal(Signal::SIGKILL);
    assert!(late.consumed > early.consumed, "it did nothing: {early:?}, {late:?}");
    Victim { tokens, early, late }
}

/// Waits until the group has gone on in every partition.
fn expect_taken_over(topic: &Topic) {
    let then = topic.committed(topic.name());
    wait_until("the group goes on in every partition", || {
        then.iter().zip(topic.committed(topic.name())).all(|(then, now)| now > *then)
    });
}

/// Whether `/status` shows each worker, and no errors.
fn expect_well(repeater: &Repeater, workers: i64) {
    let status = repeater.status().unwrap_or_default();
    assert!(i64::try_from(status.len()) == Ok(workers) && repeater.sum("errors") == 0, "{status:?}");
}

fn a_process_is_killed_and_one_is_added(cluster: &Cluster) {
    let (topic, own) = (cluster.topic(8), tokens(1, 4, 1000));
    let survivor = Repeater::start(&topic, &words(4));
    survivor.grows("consumed", 100);
    let doomed = Repeater::start(&topic, &words(4));
    doomed.grows("produced", 100);
    let victim = kill(&topic, &doomed, own);
    expect_taken_over(&topic);
    let added = Repeater::start(&topic, &words(4));
    added.grows("consumed", 100);
    survivor.grows("consumed", 100);
    expect_well(&survivor, 4);
    let rests = [added.finish(), survivor.finish()];
    Books::close(&topic, 2 * own, &rests).expect_balance_with(&victim);
}

fn a_process_is_frozen_past_its_session(cluster: &Cluster) {
    let (topic, words) = (cluster.topic(8), words(2) + " --client librdkafka");
    let survivor = Repeater::start(&topic, &words);
    survivor.grows("consumed", 100);
    let frozen = Repeater::start(&topic, &words);
    // Before it produces it only takes tokens in, and would take all of them into its sleep.
    frozen.grows("produced", 1000);
    frozen.signal(Signal::SIGSTOP);
    thread::sleep(SESSION);
    expect_taken_over(&topic);
    frozen.signal(Signal::SIGCONT);
    frozen.grows("consumed", 100);
    survivor.grows("consumed", 100);
    expect_well(&survivor, 2);
    let rests = [frozen.finish(), survivor.finish()];
    Books::close(&topic, 2 * tokens(1, 2, 1000), &rests).expect_balance();
}

/// Tens of members, of which some are killed, some hang, and some are new.
fn eight_processes_lose_one_and_wait_for_one_and_gain_one(cluster: &Cluster) {
    const WORKERS: i64 = 10;
    let (topic, own) = (cluster.topic(160), tokens(1, WORKERS, 1000));
    let words = words(WORKERS) + " --remote";
    let mut repeaters = Repeater::start_several(&topic, &words, 8);
    for repeater in &repeaters {
        repeater.sees_members(80);
    }
    for repeater in &repeaters {
        repeater.http().order("/activate");
    }
    for repeater in &repeaters {
        repeater.grows("produced", 100);
    }
    let victim = kill(&topic, &repeaters.remove(0), own);
    repeaters[0].signal(Signal::SIGSTOP);
    let added = Repeater::start(&topic, &words);
    added.http().first_code();
    added.http().order("/activate");
    repeaters.push(added);
    for repeater in &repeaters[1..] {
        repeater.grows("consumed", 100);
        expect_well(repeater, WORKERS);
    }
    repeaters[0].signal(Signal::SIGCONT);
    for repeater in &repeaters {
        repeater.grows("consumed", 100);
    }
    let rests: Vec<Rest> = repeaters.into_iter().map(Repeater::finish).collect();
    Books::close(&topic, 8 * own, &rests).expect_balance_with(&victim);
}
