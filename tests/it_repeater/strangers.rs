//! Members of the group that are no repeaters.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::{
    broker::Broker,
    process::{Outcome, PATIENCE, Repeater, ensure, wait_for},
};

/// A group that looks stable with a member of somebody else's is not ours: no token is given to it.
pub fn a_stranger_is_not_fed(broker: &Broker) -> Outcome {
    broker.create("fed", 2);
    let member: BaseConsumer = broker
        .client()
        .set("group.id", "fed")
        .set("client.id", "the-stranger")
        .set("partition.assignment.strategy", "range")
        .create()
        .map_err(|error| error.to_string())?;
    member.subscribe(&["fed"]).map_err(|error| error.to_string())?;
    let owns = || {
        member.poll(Duration::from_millis(100));
        member.assignment().is_ok_and(|owned| owned.count() == 2)
    };
    wait_for(PATIENCE, owns)?;
    let over = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                member.poll(Duration::from_millis(100));
            }
        });
        let outcome = in_vain(broker);
        over.store(true, Relaxed);
        outcome
    });
    outcome?;
    ensure(owns(), || "the stranger has lost its partitions".to_owned())
}

fn in_vain(broker: &Broker) -> Outcome {
    let words = "--topic fed --group fed -X session.timeout.ms=6000";
    // Who activates it may take the stranger for it, too.
    let mut repeaters =
        [Repeater::start(broker, words), Repeater::start(broker, &format!("{words} --remote"))];
    wait_for(PATIENCE, || repeaters[1].get("activate").is_ok())?;
    for repeater in &mut repeaters {
        let (code, log) = (repeater.exit(PATIENCE)?, repeater.log());
        ensure(code == Some(3), || format!("{code:?}\n{log}"))?;
        for said in ["group 'fed'", "INCONSISTENT_GROUP_PROTOCOL", "client.id 'the-stranger'"] {
            ensure(log.contains(said), || format!("no {said} in\n{log}"))?;
        }
    }
    let ends: Vec<i64> = broker.places_or_none("fed", "fed").iter().map(|(end, _)| *end).collect();
    ensure(ends == [0, 0], || format!("tokens were sent: {ends:?}"))
}
