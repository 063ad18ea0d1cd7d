//! Where logs and epochs start and end, as long as nobody was elected.

use proofload::inside::protocol::Timestamp::{Earliest, Latest};

use super::{Probe, Scene, batches::plain, expected::usually, probes};

pub(super) const PROBES: &[Probe] = probes![
    Anywhere:
        starts_and_ends;
    Kafka:
        an_epoch_that_is_not_the_leader_s,
        where_epochs_end,
        records_that_were_deleted;
];

const NO_EPOCH: &str = "it tells the epoch of records only";

fn starts_and_ends(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let answer = scene.list_offset(Earliest, false, -1);
    scene.expect(
        "the start of an empty log",
        answer,
        usually("0 of epoch 0").on_mock("0 of epoch -1", NO_EPOCH),
    );
    let answer = scene.list_offset(Latest, false, -1);
    scene.expect("its end", answer, usually("0 of epoch 0").on_mock("0 of epoch -1", NO_EPOCH));
    scene.produce(plain(3));
    let answer = scene.list_offset(Earliest, false, -1);
    scene.expect("the start", answer, "0 of epoch 0");
    let answer = scene.list_offset(Latest, false, -1);
    scene.expect("the end", answer, usually("3 of epoch 0").on_mock("3 of epoch -1", NO_EPOCH));
    let answer = scene.list_offset(Latest, true, -1);
    scene.expect(
        "the end of what is committed",
        answer,
        usually("3 of epoch 0").on_mock("3 of epoch -1", NO_EPOCH),
    );
}

fn an_epoch_that_is_not_the_leader_s(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    for (timestamp, what) in [(Earliest, "start"), (Latest, "end")] {
        let answer = scene.list_offset(timestamp, false, 0);
        scene.expect(&format!("the {what}, the leader's epoch"), answer, "0 of epoch 0");
        let answer = scene.list_offset(timestamp, false, 1);
        scene.expect(&format!("the {what}, the next one"), answer, "UNKNOWN_LEADER_EPOCH");
        let answer = scene.list_offset(timestamp, false, -2);
        scene.expect(&format!("the {what}, -2"), answer, "FENCED_LEADER_EPOCH");
    }
}

fn where_epochs_end(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let answer = scene.epoch_end(0, -1);
    scene.expect("epoch 0 of an empty log", answer, "epoch 0 ends at 0");
    scene.produce(plain(3));
    let answer = scene.epoch_end(0, -1);
    scene.expect("epoch 0", answer, "epoch 0 ends at 3");
    let answer = scene.epoch_end(0, 0);
    scene.expect("epoch 0, in the leader's epoch", answer, "epoch 0 ends at 3");
    let answer = scene.epoch_end(5, -1);
    scene.expect("an epoch to come", answer, "epoch -1 ends at -1");
    let answer = scene.epoch_end(-1, -1);
    scene.expect("epoch -1", answer, "epoch -1 ends at -1");
    let answer = scene.epoch_end(0, 1);
    scene.expect("the leader's next epoch", answer, "UNKNOWN_LEADER_EPOCH");
    let answer = scene.epoch_end(0, -2);
    scene.expect("the leader's epoch -2", answer, "FENCED_LEADER_EPOCH");
}

fn records_that_were_deleted(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    scene.produce(plain(3));
    let topic = scene.topic.clone();
    scene.world.delete_records_below(&topic, 2);
    let answer = scene.list_offset(Earliest, false, -1);
    scene.expect("the start", answer, "2 of epoch 0");
    scene.world.delete_records_below(&topic, 3);
    let answer = scene.list_offset(Earliest, false, -1);
    scene.expect("the start, all deleted", answer, "3 of epoch 0");
    let answer = scene.epoch_end(0, -1);
    scene.expect("epoch 0", answer, "epoch 0 ends at 3");
}
