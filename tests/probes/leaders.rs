//! Leaders that change, and epochs with them.

use proofload::inside::protocol::Timestamp::{Earliest, Latest};

use super::{
    Probe, Scene,
    batches::{of, plain},
    probes,
    scene::{FETCH, Fetch},
};

pub(super) const PROBES: &[Probe] = probes![
    TwoNodes:
        a_new_leader_has_a_new_epoch,
        a_producer_is_known_to_the_new_leader;
];

/// Moves the leader, and speaks to the new one. Returns its epoch.
fn moved(scene: &mut Scene<'_>) -> i32 {
    let topic = scene.topic.clone();
    let leader = scene.world.move_leader(&topic);
    scene.find_leader();
    // Each node learns of it for itself.
    for _ in 0..2 {
        scene.turn_to_the_other();
        scene.until(|scene| scene.leader().filter(|(now, _)| *now == leader));
    }
    let epoch = scene.until(Scene::leader).1;
    scene.find_leader();
    epoch
}

fn a_new_leader_has_a_new_epoch(scene: &mut Scene<'_>) {
    scene.make_topic_of(1, 2, &[]);
    let first = scene.until(Scene::leader).1;
    scene.produce(plain(3));
    let second = moved(scene);
    scene.expect("the epoch is higher", (second > first).to_string(), "true");
    // It has the first one's records, and its high watermark sooner or later.
    scene.until(|scene| scene.fetch(0).starts_with("0–2").then_some(()));
    scene.produce(plain(2));
    let epoch = |leader_epoch| Fetch { leader_epoch, ..FETCH };
    let answer = scene.fetch_as(&epoch(second));
    scene.expect("the new epoch", answer, "0–2, 3–4; start 0, end 5");
    let answer = scene.fetch_as(&epoch(first));
    scene.expect("the old epoch", answer, "FENCED_LEADER_EPOCH");
    let answer = scene.list_offset(Latest, false, first);
    scene.expect("the end, with the old epoch", answer, "FENCED_LEADER_EPOCH");
    let answer = scene.list_offset(Earliest, false, first);
    scene.expect("the start, with the old epoch", answer, "FENCED_LEADER_EPOCH");
    let answer = scene.epoch_end(first, first);
    scene.expect("the old epoch's end, with the old epoch", answer, "FENCED_LEADER_EPOCH");
    let answer = scene.epoch_end(first, second).replace(&format!("epoch {first}"), "the old one");
    scene.expect("the old epoch's end", answer, "the old one ends at 3");
    let last = |offset, last_fetched_epoch| Fetch { offset, last_fetched_epoch, ..epoch(second) };
    let answer = scene.fetch_as(&last(3, first));
    scene.expect("behind the old epoch's last record", answer, "3–4; start 0, end 5");
    let answer = scene.fetch_as(&last(4, first)).replace(&format!("epoch {first}"), "the old one");
    scene.expect(
        "farther than the old epoch came",
        answer,
        "nothing; diverges where the old one ends at 3; start 0, end 5",
    );
    let answer = scene.fetch_as(&last(4, second));
    scene.expect("in the new epoch", answer, "3–4; start 0, end 5");
    scene.turn_to_the_other();
    let answer = scene.produce(plain(1));
    scene.expect("the old leader is asked to write", answer, "NOT_LEADER_OR_FOLLOWER");
    let answer = scene.list_offset(Latest, false, -1);
    scene.expect("the old leader is asked for the end", answer, "NOT_LEADER_OR_FOLLOWER");
    let answer = scene.epoch_end(first, -1);
    scene.expect("the old leader is asked for an epoch", answer, "NOT_LEADER_OR_FOLLOWER");
    // KIP-392: followers serve those who do not insist on the leader's epoch.
    // Its high watermark comes with its own fetches.
    let whole = "0–2, 3–4; start 0, end 5";
    let answer = scene.until(|scene| Some(scene.fetch_as(&epoch(second))).filter(|answer| answer == whole));
    scene.expect("a follower is asked to read, in the new epoch", answer, whole);
    let answer = scene.fetch_as(&epoch(first));
    scene.expect("a follower is asked to read, in the old epoch", answer, "FENCED_LEADER_EPOCH");
}

fn a_producer_is_known_to_the_new_leader(scene: &mut Scene<'_>) {
    scene.make_topic_of(1, 2, &[]);
    let producer = scene.new_producer();
    scene.produce(of(producer, 0, 2));
    scene.produce(of(producer, 2, 2));
    moved(scene);
    let answer = scene.produce(of(producer, 9, 1));
    scene.expect("a gap", answer, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    let answer = scene.produce(of(producer, 0, 2));
    scene.expect("the first batch again", answer, "OK @0");
    let answer = scene.produce(of(producer, 4, 1));
    scene.expect("the next one", answer, "OK @4");
}
