//! Members of the group that are no repeaters.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::process::{Repeater, repeater};
use crate::{
    Test,
    dsl::{Cluster, PATIENCE, Topic, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![Real(a_stranger_is_not_fed)]
}

/// A group that looks stable with a member of somebody else's is not ours: no token is given to it.
fn a_stranger_is_not_fed(cluster: &Cluster) {
    let topic = cluster.topic(2);
    let member: BaseConsumer = topic
        .client()
        .set("group.id", topic.name())
        .set("client.id", "the-stranger")
        .set("partition.assignment.strategy", "range")
        .create()
        .expect("a member");
    member.subscribe(&[topic.name()]).expect("a subscription");
    let owns = || {
        member.poll(Duration::from_millis(100));
        member.assignment().is_ok_and(|owned| owned.count() == 2)
    };
    wait_until("the stranger has both partitions", owns);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                member.poll(Duration::from_millis(100));
            }
        });
        let _over = Over(&over);
        in_vain(&topic);
    });
    assert!(owns(), "the stranger has lost its partitions");
}

/// Says that it is over, however it ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn in_vain(topic: &Topic) {
    let words = "-X session.timeout.ms=6000";
    // Who activates it may take the stranger for it, too.
    let remote = Repeater::of(repeater(topic, &format!("{words} --remote")).start());
    let repeaters = [Repeater::start(topic, words), remote];
    wait_until("somebody activates it", || {
        repeaters[1].http().get("/activate").is_some_and(|answer| answer.code == 200)
    });
    for repeater in repeaters {
        let finished = repeater.ends_within(PATIENCE).expect_code(3);
        let group = format!("group '{}'", topic.name());
        finished.expect_output(&[&group, "INCONSISTENT_GROUP_PROTOCOL", "client.id 'the-stranger'"]);
    }
    assert_eq!(topic.ends(), [0, 0], "tokens were sent");
}
