//! Producer ids, epochs and sequences.

use proofload::inside::protocol::{Api, TopicRef};

use super::{
    Probe, Scene,
    batches::{of, with},
    expected::usually,
    probes,
};

pub(super) const PROBES: &[Probe] = probes![
    Anywhere:
        duplicates_are_known_for_five_batches,
        a_gap_is_out_of_order;
    Kafka:
        an_id_that_is_unknown_begins_anywhere,
        an_id_that_was_never_given_begins_anywhere,
        a_new_epoch_begins_at_0,
        an_older_epoch_is_refused,
        a_batch_that_overlaps_the_last_is_no_duplicate,
        sequences_wrap_to_0,
        partitions_know_nothing_of_each_other,
        a_batch_that_wraps_is_one_batch,
        an_id_without_a_sequence_is_invalid,
        an_id_without_an_epoch_is_taken,
        a_new_id_does_not_care_for_the_current_one,
        a_new_epoch_forgets_the_old_one_s_batches,
        what_was_refused_leaves_no_trace;
];

fn an_id_that_is_unknown_begins_anywhere(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let producer = scene.new_producer();
    let answer = scene.produce(of(producer, 5, 2));
    scene.expect("5 as the first sequence", answer, "OK @0");
    let answer = scene.produce(of(producer, 7, 1));
    scene.expect("7 behind 5 and 6", answer, "OK @2");
    let answer = scene.produce(of(producer, 0, 1));
    scene.expect("0, which would have been the first", answer, "OUT_OF_ORDER_SEQUENCE_NUMBER");
}

fn an_id_that_was_never_given_begins_anywhere(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let answer = scene.produce(of((1 << 60, 7), 3, 1));
    scene.expect("sequence 3 of an id that nobody was given", answer, "OK @0");
}

fn a_new_epoch_begins_at_0(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, epoch) = scene.new_producer();
    let answer = scene.produce(of((id, epoch), 0, 3));
    scene.expect("epoch 0, sequence 0", answer, "OK @0");
    let answer = scene.produce(of((id, epoch + 1), 5, 1));
    scene.expect("epoch 1, sequence 5", answer, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    let answer = scene.produce(of((id, epoch + 1), 3, 1));
    scene.expect("epoch 1, sequence 3, the old epoch's next", answer, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    let answer = scene.produce(of((id, epoch + 1), 0, 1));
    scene.expect("epoch 1, sequence 0", answer, "OK @3");
    let answer = scene.produce(of((id, epoch + 9), 0, 1));
    scene.expect("epoch 9, sequence 0", answer, "OK @4");
}

fn an_older_epoch_is_refused(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, epoch) = scene.new_producer();
    let answer = scene.produce(of((id, epoch), 0, 1));
    scene.expect("epoch 0", answer, "OK @0");
    let answer = scene.produce(of((id, epoch + 1), 0, 1));
    scene.expect("epoch 1", answer, "OK @1");
    let answer = scene.produce(of((id, epoch), 1, 1));
    scene.expect("epoch 0, the next sequence", answer, "INVALID_PRODUCER_EPOCH");
    let answer = scene.produce(of((id, epoch), 0, 1));
    scene.expect("epoch 0, the batch that it has", answer, "INVALID_PRODUCER_EPOCH");
}

/// Without a transactional id.
const MOCK: &str = "the mock looks at no producer id, epoch or sequence";

fn duplicates_are_known_for_five_batches(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let producer = scene.new_producer();
    for (batch, expected) in (0..).zip(["OK @0", "OK @2", "OK @4", "OK @6", "OK @8", "OK @10"]) {
        let answer = scene.produce(of(producer, 2 * batch, 2));
        scene.expect(&format!("batch {batch}"), answer, expected);
    }
    for (batch, expected, mock) in [
        (5, "OK @10", "OK @12"),
        (4, "OK @8", "OK @14"),
        (3, "OK @6", "OK @16"),
        (2, "OK @4", "OK @18"),
        (1, "OK @2", "OK @20"),
        (0, "OUT_OF_ORDER_SEQUENCE_NUMBER", "OK @22"),
    ] {
        let answer = scene.produce(of(producer, 2 * batch, 2));
        let back = 6 - batch;
        scene.expect(&format!("{back} back, again"), answer, usually(expected).on_mock(mock, MOCK));
    }
    let answer = scene.produce(of(producer, 12, 1));
    scene.expect("and the next one", answer, usually("OK @12").on_mock("OK @24", MOCK));
}

fn a_batch_that_overlaps_the_last_is_no_duplicate(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let producer = scene.new_producer();
    let answer = scene.produce(of(producer, 0, 3));
    scene.expect("0 to 2", answer, "OK @0");
    let answer = scene.produce(of(producer, 0, 4));
    scene.expect("0 to 3", answer, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    let answer = scene.produce(of(producer, 0, 2));
    scene.expect("0 to 1", answer, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    let answer = scene.produce(of(producer, 2, 2));
    scene.expect("2 to 3", answer, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    let answer = scene.end();
    scene.expect("the end", answer, "3 of epoch 0");
}

fn a_gap_is_out_of_order(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let producer = scene.new_producer();
    let refused = "OUT_OF_ORDER_SEQUENCE_NUMBER";
    let answer = scene.produce(of(producer, 0, 1));
    scene.expect("0", answer, "OK @0");
    let answer = scene.produce(of(producer, 2, 1));
    scene.expect("2", answer, usually(refused).on_mock("OK @1", MOCK));
    let answer = scene.produce(of(producer, 1, 1));
    scene.expect("1", answer, usually("OK @1").on_mock("OK @2", MOCK));
    let answer = scene.produce(of(producer, 2, 1));
    scene.expect("2", answer, usually("OK @2").on_mock("OK @3", MOCK));
}

fn sequences_wrap_to_0(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let producer = scene.new_producer();
    let answer = scene.produce(of(producer, i32::MAX - 1, 2));
    scene.expect("the last two sequences", answer, "OK @0");
    let answer = scene.produce(of(producer, 0, 1));
    scene.expect("0", answer, "OK @2");
    let answer = scene.produce(of(producer, i32::MAX - 1, 2));
    scene.expect("the last two again", answer, "OK @0");
    let answer = scene.produce(of(producer, 1, 1));
    scene.expect("1", answer, "OK @3");
}

fn a_batch_that_wraps_is_one_batch(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let producer = scene.new_producer();
    let answer = scene.produce(of(producer, i32::MAX - 1, 4));
    scene.expect("the last two sequences, 0 and 1", answer, "OK @0");
    let answer = scene.produce(of(producer, i32::MAX - 1, 4));
    scene.expect("again", answer, "OK @0");
    let answer = scene.produce(of(producer, 3, 1));
    scene.expect("3", answer, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    let answer = scene.produce(of(producer, 2, 1));
    scene.expect("2", answer, "OK @4");
}

fn partitions_know_nothing_of_each_other(scene: &mut Scene<'_>) {
    scene.make_topic_of(2, 1, &[]);
    let producer = scene.new_producer();
    let topic = scene.topic.clone();
    let mut produce = |partition, sequence| {
        let batch = of(producer, sequence, 1).bytes();
        let topic = TopicRef::Name(&topic);
        scene.produce_as(scene.version(Api::Produce), (None, -1), (topic, partition), &batch)
    };
    let answers = [produce(0, 0), produce(0, 1), produce(1, 0), produce(0, 2), produce(1, 1)].join(", ");
    let expected = "OK @0, OK @1, OK @0, OK @2, OK @1";
    scene.expect("each counts for itself", answers, expected);
}

fn an_id_without_a_sequence_is_invalid(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let producer = scene.new_producer();
    let answer = scene.produce(of(producer, -1, 1));
    scene.expect("sequence -1", answer, "INVALID_RECORD");
    let answer = scene.produce(of(producer, -2, 1));
    scene.expect("sequence -2", answer, "INVALID_RECORD");
}

fn an_id_without_an_epoch_is_taken(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, _) = scene.new_producer();
    let answer = scene.produce(of((id, -1), 0, 1));
    scene.expect("epoch -1", answer, "OK @0");
    let answer = scene.produce(of((id, -1), 0, 1));
    scene.expect("again", answer, "OK @0");
    let answer = scene.produce(of((id, 0), 0, 1));
    scene.expect("epoch 0", answer, "OK @1");
    let answer = scene.produce(of((-1, 0), 0, 1));
    scene.expect("id -1, epoch 0, sequence 0", answer, "OK @2");
    let answer = scene.produce(of((-1, 0), 0, 1));
    scene.expect("that again", answer, "OK @3");
}

/// Only transactional ids have an epoch that can be raised.
fn a_new_id_does_not_care_for_the_current_one(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, epoch) = scene.new_producer();
    let (error, (next, next_epoch)) = scene.init(None, (id, epoch));
    scene.expect("the current one is told", error, "OK");
    let new = format!("{}, epoch {next_epoch}", if next == id { "the old id" } else { "another id" });
    scene.expect("the answer", new, "another id, epoch 0");
}

fn a_new_epoch_forgets_the_old_one_s_batches(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, epoch) = scene.new_producer();
    let answer = scene.produce(of((id, epoch), 0, 2));
    scene.expect("epoch 0, 0 to 1", answer, "OK @0");
    let answer = scene.produce(of((id, epoch + 1), 0, 2));
    scene.expect("epoch 1, 0 to 1", answer, "OK @2");
    let answer = scene.produce(of((id, epoch + 1), 0, 2));
    scene.expect("epoch 1, 0 to 1 again", answer, "OK @2");
}

fn what_was_refused_leaves_no_trace(scene: &mut Scene<'_>) {
    scene.make_topic(&[("max.message.bytes", "500")]);
    let (id, epoch) = scene.new_producer();
    let answer = scene.produce(of((id, epoch), 0, 100));
    scene.expect("a first batch that is too large", answer, "MESSAGE_TOO_LARGE");
    let answer = scene.produce(of((id, epoch), 4, 1));
    scene.expect("another first sequence", answer, "OK @0");
    let answer = scene.produce(of((id, epoch + 1), 0, 100));
    scene.expect("the first batch of a new epoch, too large", answer, "MESSAGE_TOO_LARGE");
    let damaged = with(of((id, epoch + 2), 0, 1).bytes(), super::batches::at::COUNT, &[0, 0, 0, 9]);
    let answer = scene.produce_bytes(&damaged);
    scene.expect("one with a wrong count", answer, "INVALID_RECORD");
    let answer = scene.produce(of((id, epoch), 5, 1));
    scene.expect("the old epoch goes on", answer, "OK @1");
}
