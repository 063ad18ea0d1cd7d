//! Reading: positions, sizes, waiting, sessions.

use std::time::Duration;

use proofload::inside::protocol::{Api, FetchPartition, FetchResponse, TopicRef};

use super::{
    Probe, Scene,
    batches::{described, plain},
    expected::usually,
    probes,
    scene::{FETCH, Fetch, fetched, name},
};

pub(super) const PROBES: &[Probe] = probes![
    Anywhere:
        positions_outside_of_the_log_are_out_of_range,
        what_is_not_there_is_unknown,
        a_batch_comes_from_its_beginning;
    Kafka:
        a_log_that_begins_later,
        the_last_batch_may_be_cut_off,
        the_first_batch_comes_whole,
        the_order_of_partitions_decides_who_is_served,
        the_end_is_waited_at,
        too_little_is_waited_for,
        an_answer_ends_with_a_segment,
        an_epoch_that_is_not_the_leader_s,
        an_epoch_that_was_fetched_last,
        ids_in_place_of_names,
        a_session_tells_only_what_is_new;
];

fn positions_outside_of_the_log_are_out_of_range(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let answer = scene.produce(plain(3));
    scene.expect("three records", answer, "OK @0");
    let answer = scene.fetch(4);
    scene.expect("a record behind the end", answer, "OFFSET_OUT_OF_RANGE");
    let answer = scene.fetch(-1);
    scene.expect("-1", answer, "OFFSET_OUT_OF_RANGE");
    let answer = scene.fetch(3);
    scene.expect("the end", answer, "nothing; start 0, end 3");
    let answer = scene.fetch(0);
    scene.expect("the start", answer, "0–2; start 0, end 3");
}

fn what_is_not_there_is_unknown(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let answer = scene.fetch_as(&Fetch { partition: 1, ..FETCH });
    scene.expect("another partition", answer, "UNKNOWN_TOPIC_OR_PARTITION");
    let answer = scene.fetch_of(scene.version(Api::Fetch), TopicRef::Name("no-such-topic"), &FETCH);
    scene.expect("another topic", answer, "UNKNOWN_TOPIC_OR_PARTITION");
}

fn a_batch_comes_from_its_beginning(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    for _ in 0..3 {
        scene.produce(plain(3));
    }
    let answer = scene.fetch(4);
    let mock = "it has one batch in an answer";
    scene.expect(
        "from the middle of the second",
        answer,
        usually("3–5, 6–8; start 0, end 9").on_mock("3–5; start 0, end 9", mock),
    );
    let answer = scene.fetch(8);
    scene.expect("the last record", answer, "6–8; start 0, end 9");
}

fn a_log_that_begins_later(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    for _ in 0..2 {
        scene.produce(plain(3));
    }
    let topic = scene.topic.clone();
    scene.world.delete_records_below(&topic, 4);
    let answer = scene.fetch(3);
    scene.expect("a record below the start", answer, "OFFSET_OUT_OF_RANGE");
    let answer = scene.fetch(4);
    scene.expect("the start, in the middle of a batch", answer, "3–5; start 4, end 6");
    let answer = scene.produce(plain(1));
    scene.expect("what is produced goes on", answer, "OK @6");
}

/// Bytes of a batch of three records.
fn batch_bytes() -> i32 {
    i32::try_from(plain(3).bytes().len()).expect("a short batch")
}

fn the_last_batch_may_be_cut_off(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    for _ in 0..3 {
        scene.produce(plain(3));
    }
    let size = batch_bytes();
    for (what, max, expected) in [
        ("two batches", 2 * size, "0–2, 3–5; start 0, end 9"),
        ("a byte less", 2 * size - 1, "0–2, a part of one; start 0, end 9"),
        ("a byte more", 2 * size + 1, "0–2, 3–5, a part of one; start 0, end 9"),
    ] {
        let answer = scene.fetch_as(&Fetch { partition_max_bytes: max, ..FETCH });
        scene.expect(&format!("{what}, by the partition's bytes"), answer, expected);
        let answer = scene.fetch_as(&Fetch { max_bytes: max, ..FETCH });
        scene.expect(&format!("{what}, by all bytes"), answer, expected);
    }
}

fn the_first_batch_comes_whole(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    for _ in 0..2 {
        scene.produce(plain(3));
    }
    for max in [1, 0, batch_bytes() - 1] {
        let answer = scene.fetch_as(&Fetch { partition_max_bytes: max, ..FETCH });
        scene.expect(&format!("{max} bytes of the partition"), answer, "0–2; start 0, end 6");
        let answer = scene.fetch_as(&Fetch { max_bytes: max, ..FETCH });
        scene.expect(&format!("{max} bytes in all"), answer, "0–2; start 0, end 6");
    }
    let answer = scene.fetch_as(&Fetch { max_bytes: -1, partition_max_bytes: -1, ..FETCH });
    scene.expect("-1 bytes", answer, "UNKNOWN_SERVER_ERROR");
}

fn the_order_of_partitions_decides_who_is_served(scene: &mut Scene<'_>) {
    scene.make_topic_of(2, 1, &[]);
    let topic = scene.topic.clone();
    for partition in [0, 1] {
        let place = (TopicRef::Name(&topic), partition);
        scene.produce_as(scene.version(Api::Produce), (None, -1), place, &plain(3).bytes());
    }
    let mut fetch = |fetch: Fetch, order: [i32; 2]| {
        let partitions = order.map(|partition| FetchPartition { partition, ..fetch.partition() });
        let request = fetch.request(TopicRef::Name(&topic), &partitions);
        fetched(&scene.ask(scene.version(Api::Fetch), &request).expect("an answer"))
    };
    let one = Fetch { max_bytes: batch_bytes(), ..FETCH };
    let answers = [fetch(one, [0, 1]), fetch(one, [1, 0]), fetch(FETCH, [1, 0])];
    scene.expect("room for one", &answers[0], "0–2; start 0, end 3 | nothing; start 0, end 3");
    scene.expect(
        "the other order, room for one",
        &answers[1],
        "0–2; start 0, end 3 | nothing; start 0, end 3",
    );
    scene.expect("room for both", &answers[2], "0–2; start 0, end 3 | 0–2; start 0, end 3");
}

fn took(scene: &Scene<'_>, since: Duration, wait: Duration) -> &'static str {
    if scene.since(since) >= wait { "after the wait" } else { "at once" }
}

/// Whether one of a few such fetches is answered before the broker would have waited: a machine that is busy is late with
/// some.
fn took_of_the_fastest(scene: &mut Scene<'_>, fetch: &Fetch, wait: Duration) -> (String, &'static str) {
    const ATTEMPTS: usize = 5;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let began = scene.world.now();
        let answer = scene.fetch_as(fetch);
        let when = took(scene, began, wait);
        last = Some((answer, when));
        if when == "at once" {
            break;
        }
    }
    last.expect("an attempt")
}

fn the_end_is_waited_at(scene: &mut Scene<'_>) {
    /// A broker's clock is as coarse as a millisecond.
    const WAIT_MS: i32 = 200;
    const WAIT: Duration = Duration::from_millis(199);
    scene.make_topic(&[]);
    let began = scene.world.now();
    let answer = scene.fetch_as(&Fetch { max_wait_ms: WAIT_MS, ..FETCH });
    let when = took(scene, began, WAIT);
    scene.expect("an empty log", format!("{answer}, {when}"), "nothing; start 0, end 0, after the wait");
    let (answer, when) = took_of_the_fastest(scene, &Fetch { max_wait_ms: 0, ..FETCH }, WAIT);
    scene.expect("no wait", format!("{answer}, {when}"), "nothing; start 0, end 0, at once");
    let began = scene.world.now();
    let answer = scene.fetch_as(&Fetch { max_wait_ms: 60_000, min_bytes: 0, ..FETCH });
    let when = took(scene, began, Duration::from_secs(50));
    scene.expect("no bytes wanted", format!("{answer}, {when}"), "nothing; start 0, end 0, at once");
    let began = scene.world.now();
    let answer = scene.fetch_as(&Fetch { offset: 9, max_wait_ms: 60_000, ..FETCH });
    let when = took(scene, began, Duration::from_secs(50));
    scene.expect("an error", format!("{answer}, {when}"), "OFFSET_OUT_OF_RANGE, at once");
}

fn too_little_is_waited_for(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    scene.produce(plain(3));
    let began = scene.world.now();
    let answer = scene.fetch_as(&Fetch { max_wait_ms: 200, min_bytes: 1 << 19, ..FETCH });
    let when = took(scene, began, Duration::from_millis(199));
    scene.expect("less than wanted", format!("{answer}, {when}"), "0–2; start 0, end 3, after the wait");
    let began = scene.world.now();
    let few = Fetch { max_wait_ms: 60_000, min_bytes: 1 << 19, partition_max_bytes: 100, ..FETCH };
    let answer = scene.fetch_as(&Fetch { max_wait_ms: 200, ..few });
    let when = took(scene, began, Duration::from_millis(199));
    scene.expect(
        "more wanted than the partition may give",
        format!("{answer}, {when}"),
        "0–2; start 0, end 3, after the wait",
    );
}

/// One answer, one segment, whatever else there is room for. Segments begin where records are a week newer than the
/// segment's first.
fn an_answer_ends_with_a_segment(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let mut batch = plain(3);
    batch.timestamp_ms -= 1_000 * 3_600 * 24 * 8;
    scene.produce(batch);
    scene.produce(batch);
    scene.produce(plain(3));
    let answer = scene.fetch(0);
    scene.expect("from the start", answer, "0–2, 3–5; start 0, end 9");
    let answer = scene.fetch(6);
    scene.expect("from the next segment", answer, "6–8; start 0, end 9");
}

fn an_epoch_that_is_not_the_leader_s(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    scene.produce(plain(3));
    let answer = scene.fetch_as(&Fetch { leader_epoch: 0, ..FETCH });
    scene.expect("the leader's", answer, "0–2; start 0, end 3");
    let answer = scene.fetch_as(&Fetch { leader_epoch: 1, ..FETCH });
    scene.expect("the next one", answer, "UNKNOWN_LEADER_EPOCH");
    let answer = scene.fetch_as(&Fetch { leader_epoch: -2, ..FETCH });
    scene.expect("-2 is not told", answer, "0–2; start 0, end 3");
}

fn an_epoch_that_was_fetched_last(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    scene.produce(plain(3));
    let last = |offset, last_fetched_epoch| Fetch { offset, last_fetched_epoch, leader_epoch: 0, ..FETCH };
    let answer = scene.fetch_as(&last(1, 0));
    scene.expect("the one that it was", answer, "0–2; start 0, end 3");
    let answer = scene.fetch_as(&last(1, 5));
    scene.expect("one that nobody knows", answer, "OFFSET_OUT_OF_RANGE");
    let answer = scene.fetch_as(&last(7, 0));
    scene.expect(
        "its own, behind the end",
        answer,
        "nothing; diverges where epoch 0 ends at 3; start 0, end 3",
    );
    let answer = scene.fetch_as(&last(3, 0));
    scene.expect("its own, at the end", answer, "nothing; start 0, end 3");
}

fn ids_in_place_of_names(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    scene.produce(plain(3));
    let id = scene.topic_id();
    for version in [13, 16] {
        let answer = scene.fetch_of(version, TopicRef::Id(id), &FETCH);
        scene.expect(&format!("version {version}"), answer, "0–2; start 0, end 3");
        let answer = scene.fetch_of(version, TopicRef::Id([9; 16]), &FETCH);
        scene.expect(&format!("version {version}, an unknown id"), answer, "UNKNOWN_TOPIC_ID");
        let answer = scene.fetch_of(version, TopicRef::Id([0; 16]), &FETCH);
        scene.expect(&format!("version {version}, no id"), answer, "UNKNOWN_TOPIC_ID");
        let answer = scene.fetch_of(version, TopicRef::Id(id), &Fetch { partition: 5, ..FETCH });
        scene.expect(&format!("version {version}, another partition"), answer, "UNKNOWN_TOPIC_OR_PARTITION");
    }
}

/// KIP-227. Asks in a session; returns its id, and what is told of how many partitions.
fn in_session(scene: &mut Scene<'_>, session: (i32, i32), partitions: &[i32]) -> (i32, String) {
    const VERSION: i16 = 11;
    let topic = scene.topic.clone();
    let answer = scene.ask_with(Api::Fetch, VERSION, |encoder| {
        let (replica, max_wait_ms, min_bytes, max_bytes) = (-1, 10, 1, 1 << 20);
        for number in [replica, max_wait_ms, min_bytes, max_bytes] {
            encoder.i32(number);
        }
        encoder.bool(false);
        encoder.i32(session.0);
        encoder.i32(session.1);
        encoder.array_length(usize::from(!partitions.is_empty()));
        if !partitions.is_empty() {
            encoder.string(&topic);
            encoder.array(partitions, |encoder, partition| {
                let (leader_epoch, offset, log_start, max_bytes) = (-1, 0, -1, 1 << 20);
                encoder.i32(*partition);
                encoder.i32(leader_epoch);
                encoder.i64(offset);
                encoder.i64(log_start);
                encoder.i32(max_bytes);
            });
        }
        encoder.array_length(0);
        encoder.string("");
    });
    let answer = answer.expect("an answer");
    let head = answer.body().rest();
    let session = i32::from_be_bytes(head[6..10].try_into().expect("four bytes"));
    let mut words = Vec::new();
    let whole = FetchResponse::decode(VERSION, answer.body(), |one| {
        words.push(format!("{} {}", one.partition, described(one.batches)));
    });
    let error = whole.expect("an answer").error;
    (session, if error == 0 { words.join(" | ") } else { name(error) })
}

fn a_session_tells_only_what_is_new(scene: &mut Scene<'_>) {
    scene.make_topic_of(2, 1, &[]);
    let (session, answer) = in_session(scene, (0, 0), &[0, 1]);
    scene.expect("a new session", answer, "0 nothing | 1 nothing");
    scene.expect("its id is", if session == 0 { "none" } else { "some" }, "some");
    let (_, answer) = in_session(scene, (session, 1), &[]);
    scene.expect("nothing is new", answer, "");
    scene.produce(plain(3));
    let (_, answer) = in_session(scene, (session, 2), &[]);
    scene.expect("one has something", answer, "0 0–2");
    let (_, answer) = in_session(scene, (session, 2), &[]);
    scene.expect("an epoch again", answer, "INVALID_FETCH_SESSION_EPOCH");
    let (_, answer) = in_session(scene, (session, 7), &[]);
    scene.expect("an epoch too far", answer, "INVALID_FETCH_SESSION_EPOCH");
    let (_, answer) = in_session(scene, (session ^ 1, 3), &[]);
    scene.expect("another session", answer, "FETCH_SESSION_ID_NOT_FOUND");
    let (ended, answer) = in_session(scene, (session, -1), &[]);
    scene.expect("its end", format!("{ended} {answer}"), "0 ");
    let (_, answer) = in_session(scene, (session, 3), &[]);
    scene.expect("behind its end", answer, "FETCH_SESSION_ID_NOT_FOUND");
}
