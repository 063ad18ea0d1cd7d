//! Loops whose brokers and members go away and come back.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    books::{Books, Seen, Victim, tokens},
    broker::Broker,
    process::{Outcome, PATIENCE, Repeater, Rest, ensure, wait_for},
};

/// A member that is silent for so long is taken out of the group, where the tests ask for it.
const SESSION: Duration = Duration::from_secs(10);
/// So much longer it may take until the others work on its partitions: they hear of it at
/// heartbeats, twice, and commit once a second.
const TAKEOVER: Duration = Duration::from_secs(10);
/// The default.
const LONG_SESSION: Duration = Duration::from_secs(45);

fn words(name: &str, workers: i64) -> String {
    format!(
        "--topic {name} --group {name} --workers {workers} --payload-size 1000 --initial-data-mb 1 \
         -X session.timeout.ms={}",
        SESSION.as_millis()
    )
}

pub fn brokers_down_and_back(broker: &Broker) -> Outcome {
    broker.create("outage", 4);
    let mut repeater = Repeater::start(
        broker,
        "--topic outage --group outage --workers 4 --payload-size 1000 --client wire",
    );
    repeater.grows("consumed", 100, PATIENCE)?;
    broker.stop();
    thread::sleep(Duration::from_secs(30));
    ensure(repeater.status().is_ok(), || "no status while brokers are away".to_owned())?;
    broker.restart();
    repeater.grows("consumed", 100, LONG_SESSION + PATIENCE)?;
    let rest = repeater.finish()?;
    ensure(rest.text.matches("is gone").count() == 1, || rest.text.clone())?;
    Books::close(broker, "outage", tokens(4, 4, 1000), &[rest]).balance_after_outage()
}

pub fn stop_while_brokers_hang(broker: &Broker) -> Outcome {
    broker.create("hang", 4);
    let words = "--topic hang --group hang --workers 8 --payload-size 1000 --profile p --client wire";
    let mut repeater = Repeater::start(broker, words);
    repeater.grows("consumed", 100, PATIENCE)?;
    broker.signal("STOP");
    thread::sleep(Duration::from_secs(1));
    let rest = repeater.finish();
    broker.signal("CONT");
    ensure(rest?.text.contains("end to end  p50"), || "no summary".to_owned())?;
    crate::profile::is_written(&repeater.folder().join("p"))
}

/// Kills a process that has worked for a while; says what it had done.
fn kill(repeater: &Repeater, tokens: i64) -> Result<Victim, String> {
    let early = Seen::of(repeater)?;
    // Twice as long as a member waits between two commits.
    thread::sleep(Duration::from_secs(2));
    let late = Seen::of(repeater)?;
    repeater.signal("KILL");
    ensure(late.consumed > early.consumed, || format!("it did nothing: {early:?}, {late:?}"))?;
    Ok(Victim { tokens, early, late })
}

/// Waits until the group has gone on in every partition.
fn taken_over(broker: &Broker, topic: &str) -> Outcome {
    let (then, since) = (broker.places(topic, topic), Instant::now());
    let all_go_on = || then.iter().zip(broker.places(topic, topic)).all(|(then, now)| now.1 > then.1);
    wait_for(SESSION + TAKEOVER, all_go_on)
        .map_err(|error| format!("{error}, since {since:?}\n{then:?}\n{:?}", broker.places(topic, topic)))
}

/// Whether `/status` shows each worker, and no errors.
fn is_well(repeater: &Repeater, workers: i64) -> Outcome {
    let status = repeater.status()?;
    let shown = i64::try_from(status.len()).unwrap_or(0);
    ensure(shown == workers && repeater.sum("errors") == 0, || format!("{status:?}"))
}

pub fn a_process_is_killed_and_one_is_added(broker: &Broker) -> Outcome {
    broker.create("kill", 8);
    let own = tokens(1, 4, 1000);
    let mut survivor = Repeater::start(broker, &words("kill", 4));
    survivor.grows("consumed", 100, PATIENCE)?;
    let doomed = Repeater::start(broker, &words("kill", 4));
    doomed.grows("produced", 100, PATIENCE)?;
    let victim = kill(&doomed, own)?;
    taken_over(broker, "kill")?;
    let mut added = Repeater::start(broker, &words("kill", 4));
    added.grows("consumed", 100, PATIENCE)?;
    survivor.grows("consumed", 100, PATIENCE)?;
    is_well(&survivor, 4)?;
    let rests = [added.finish()?, survivor.finish()?];
    Books::close(broker, "kill", 2 * own, &rests).balance_with(&victim)
}

pub fn a_process_is_frozen_past_its_session(broker: &Broker) -> Outcome {
    broker.create("freeze", 8);
    let mut survivor = Repeater::start(broker, &(words("freeze", 2) + " --client librdkafka"));
    survivor.grows("consumed", 100, PATIENCE)?;
    let mut frozen = Repeater::start(broker, &(words("freeze", 2) + " --client librdkafka"));
    // Before it produces it only takes tokens in, and would take all of them into its sleep.
    frozen.grows("produced", 1000, PATIENCE)?;
    frozen.signal("STOP");
    thread::sleep(SESSION);
    taken_over(broker, "freeze")?;
    frozen.signal("CONT");
    frozen.grows("consumed", 100, PATIENCE)?;
    survivor.grows("consumed", 100, PATIENCE)?;
    is_well(&survivor, 2)?;
    let rests = [frozen.finish()?, survivor.finish()?];
    Books::close(broker, "freeze", 2 * tokens(1, 2, 1000), &rests).balance()
}

/// Tens of members, of which some are killed, some hang, and some are new.
pub fn eight_processes_lose_one_and_wait_for_one_and_gain_one(broker: &Broker) -> Outcome {
    const WORKERS: i64 = 10;
    broker.create("eight", 160);
    let own = tokens(1, WORKERS, 1000);
    let words = words("eight", WORKERS) + " --remote";
    let mut repeaters: Vec<_> = (0..8).map(|_| Repeater::start(broker, &words)).collect();
    wait_for(PATIENCE * 2, || repeaters.iter().all(|repeater| repeater.log().contains("Stable, 80 members")))
        .map_err(|error| format!("{error}\n{}", repeaters[0].log()))?;
    for repeater in &repeaters {
        repeater.get("activate")?;
    }
    for repeater in &repeaters {
        repeater.grows("produced", 100, PATIENCE)?;
    }
    let victim = kill(&repeaters.remove(0), own)?;
    repeaters[0].signal("STOP");
    let added = Repeater::start(broker, &words);
    added.get("activate").or_else(|_| {
        thread::sleep(Duration::from_secs(1));
        added.get("activate")
    })?;
    repeaters.push(added);
    for repeater in &repeaters[1..] {
        repeater.grows("consumed", 100, SESSION + TAKEOVER + PATIENCE)?;
        is_well(repeater, WORKERS)?;
    }
    repeaters[0].signal("CONT");
    for repeater in &repeaters {
        repeater.grows("consumed", 100, PATIENCE * 2)?;
    }
    let rests = repeaters.iter_mut().map(Repeater::finish).collect::<Result<Vec<Rest>, _>>()?;
    Books::close(broker, "eight", 8 * own, &rests).balance_with(&victim)
}
