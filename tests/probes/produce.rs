//! Batches that a broker takes, and those that it refuses.

use proofload::inside::protocol::{Api, ProduceRequest, ProduceResponse, TopicRef};

use super::{
    Probe, Scene,
    batches::{at, of, plain, with},
    expected::usually,
    probes,
    scene::{CLOSED, FETCH, Fetch, name, produced},
};

pub(super) const PROBES: &[Probe] = probes![
    Anywhere:
        what_is_not_there_is_unknown;
    Kafka:
        acks_of_other_kinds,
        a_damaged_batch_is_refused,
        a_count_that_lies_is_refused,
        a_last_offset_that_lies_is_refused,
        lengths_that_lie,
        too_large_batches_are_refused,
        timestamps_far_from_now,
        codecs_that_are_none,
        older_formats_are_refused,
        several_batches_at_once_are_refused,
        no_batch_at_all,
        control_batches_are_the_brokers,
        a_compacted_topic_wants_keys,
        the_broker_s_time_is_told,
        a_base_offset_is_0_and_an_epoch_is_the_broker_s_to_give,
        one_partition_s_error_is_its_own,
        more_in_sync_than_there_are,
        the_oldest_versions,
        transactional_batches_without_a_transaction;
];

fn what_is_not_there_is_unknown(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (topic, batch) = (scene.topic.clone(), plain(1).bytes());
    let mut to = |topic: &str, partition| {
        scene.produce_as(scene.version(Api::Produce), (None, -1), (TopicRef::Name(topic), partition), &batch)
    };
    let answers = [to(&topic, 1), to(&topic, -1), to("no-such-topic", 0)];
    scene.expect("another partition", &answers[0], "UNKNOWN_TOPIC_OR_PARTITION");
    scene.expect("partition -1", &answers[1], "UNKNOWN_TOPIC_OR_PARTITION");
    scene.expect("another topic", &answers[2], "UNKNOWN_TOPIC_OR_PARTITION");
}

fn acks_of_other_kinds(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (topic, batch) = (scene.topic.clone(), plain(1).bytes());
    let place = (TopicRef::Name(&topic), 0);
    let answer = scene.produce_as(scene.version(Api::Produce), (None, 1), place, &batch);
    scene.expect("acks 1", answer, "OK @0");
    let answer = scene.produce_as(scene.version(Api::Produce), (None, 2), place, &batch);
    scene.expect("acks 2", answer, "INVALID_REQUIRED_ACKS");
    let (_, frame) = scene.produce_frame(scene.version(Api::Produce), (None, 0), place, &batch);
    scene.send(&frame);
    // The next answer is to the next request.
    let answer = scene.end();
    scene.expect("the end behind acks 0, which is not answered", answer, "2 of epoch 0");
    // Who wants no answer learns of an error by the end of the connection.
    let (_, frame) =
        scene.produce_frame(scene.version(Api::Produce), (None, 0), (TopicRef::Name(&topic), 7), &batch);
    scene.send(&frame);
    let answer = scene.receive().map_or(CLOSED, |_| "an answer");
    scene.expect("acks 0 to an unknown partition", answer, CLOSED);
}

fn a_damaged_batch_is_refused(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let mut batch = plain(3).bytes();
    *batch.last_mut().expect("bytes") ^= 1;
    let answer = scene.produce_bytes(&batch);
    scene.expect("a bit of a record", answer, "CORRUPT_MESSAGE");
    let mut batch = plain(3).bytes();
    batch[at::CRC] ^= 1;
    let answer = scene.produce_bytes(&batch);
    scene.expect("a bit of the checksum", answer, "CORRUPT_MESSAGE");
    let answer = scene.end();
    scene.expect("the end", answer, "0 of epoch 0");
}

fn a_count_that_lies_is_refused(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    for (what, count) in [("one more", 4_i32), ("one less", 2), ("none", 0), ("-1", -1)] {
        let batch = with(plain(3).bytes(), at::COUNT, &count.to_be_bytes());
        let answer = scene.produce_bytes(&batch);
        scene.expect(&format!("{what} than three records"), answer, "INVALID_RECORD");
    }
    // Count and last offset agree, but the records are not there.
    let batch = with(plain(3).bytes(), at::LAST_OFFSET_DELTA, &3_i32.to_be_bytes());
    let answer = scene.produce_bytes(&with(batch, at::COUNT, &4_i32.to_be_bytes()));
    scene.expect("four of three, and the last offset too", answer, "INVALID_RECORD");
    let batch = with(plain(3).bytes(), at::LAST_OFFSET_DELTA, &1_i32.to_be_bytes());
    let answer = scene.produce_bytes(&with(batch, at::COUNT, &2_i32.to_be_bytes()));
    scene.expect("two of three, and the last offset too", answer, "INVALID_RECORD");
    let answer = scene.end();
    scene.expect("the end", answer, "0 of epoch 0");
}

fn a_last_offset_that_lies_is_refused(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    for (what, delta) in [("3", 3_i32), ("1", 1), ("-1", -1)] {
        let batch = with(plain(3).bytes(), at::LAST_OFFSET_DELTA, &delta.to_be_bytes());
        let answer = scene.produce_bytes(&batch);
        scene.expect(&format!("{what} in place of 2"), answer, "INVALID_RECORD");
    }
    let answer = scene.end();
    scene.expect("the end", answer, "0 of epoch 0");
}

fn lengths_that_lie(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let batch = plain(3).bytes();
    let length = i32::try_from(batch.len() - 12).expect("a short batch");
    let corrupt = "CORRUPT_MESSAGE";
    for (what, length, expected) in [
        // There is no whole batch then, and one has to be.
        ("a byte more", length + 1, "INVALID_RECORD"),
        ("a byte less", length - 1, corrupt),
        ("0", 0, corrupt),
        ("-1", -1, corrupt),
    ] {
        let answer = scene.produce_bytes(&[&batch[..8], &length.to_be_bytes(), &batch[12..]].concat());
        scene.expect(what, answer, expected);
    }
    let answer = scene.produce_bytes(&batch[..30]);
    scene.expect("half a header", answer, "INVALID_RECORD");
}

fn too_large_batches_are_refused(scene: &mut Scene<'_>) {
    scene.make_topic(&[("max.message.bytes", "1000")]);
    let mut batch = plain(1);
    batch.value_bytes = 0;
    let head = batch.bytes().len();
    // The length of a value of that size takes a byte more, and that of the record too.
    batch.value_bytes = 1_000 - head - 2;
    scene.expect("the size of the batch", batch.bytes().len().to_string(), "1000");
    let answer = scene.produce(batch);
    scene.expect("as many bytes as are allowed", answer, "OK @0");
    batch.value_bytes += 1;
    let answer = scene.produce(batch);
    scene.expect("one more", answer, "MESSAGE_TOO_LARGE");
}

fn timestamps_far_from_now(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let mut batch = plain(2);
    let window = "since KIP-937, in 4.0, an hour ahead is the default limit";
    batch.timestamp_ms = 1 << 42;
    let answer = scene.produce(batch);
    scene.expect("in the year 2109", answer, usually("INVALID_TIMESTAMP, record 0").on_3_9("OK @0", window));
    batch.timestamp_ms = 1;
    let answer = scene.produce(batch);
    scene.expect("in the year 1970", answer, usually("OK @0").on_3_9("OK @2", window));
    batch.timestamp_ms = -1;
    let answer = scene.produce(batch);
    scene.expect("none", answer, usually("OK @2").on_3_9("OK @4", window));
    batch.timestamp_ms = -2;
    let answer = scene.produce(batch);
    scene.expect("-2", answer, usually("OK @4").on_3_9("OK @6", window));
}

fn codecs_that_are_none(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    for codec in [5_u8, 7] {
        let answer = scene.produce_bytes(&with(plain(1).bytes(), at::ATTRIBUTES, &[0, codec]));
        scene.expect(&format!("codec {codec}"), answer, "UNKNOWN_SERVER_ERROR");
    }
    for (codec, what) in [(1_u8, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")] {
        let answer = scene.produce_bytes(&with(plain(1).bytes(), at::ATTRIBUTES, &[0, codec]));
        scene.expect(&format!("{what} that is none"), answer, "UNKNOWN_SERVER_ERROR");
    }
    let answer = scene.end();
    scene.expect("the end", answer, "0 of epoch 0");
}

fn older_formats_are_refused(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    for magic in [0_u8, 1, 3] {
        let mut batch = plain(1).bytes();
        batch[at::MAGIC] = magic;
        let answer = scene.produce_bytes(&batch);
        scene.expect(
            &format!("format {magic}"),
            answer,
            if magic == 3 { "CORRUPT_MESSAGE" } else { "INVALID_RECORD" },
        );
    }
}

fn several_batches_at_once_are_refused(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let answer = scene.produce_bytes(&[plain(1).bytes(), plain(1).bytes()].concat());
    scene.expect("two batches", answer, "INVALID_RECORD");
}

fn no_batch_at_all(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let answer = scene.produce_bytes(&[]);
    scene.expect("no bytes", answer, "INVALID_RECORD");
    let answer = scene.produce(plain(0));
    scene.expect("a batch of no records", answer, "INVALID_RECORD");
    let answer = scene.ask_with(Api::Produce, 3, |encoder| {
        encoder.nullable_string(None);
        encoder.i16(-1);
        encoder.i32(1_000);
        encoder.array_length(0);
    });
    let bytes = answer.map(|answer| answer.body().rest().to_vec());
    scene.expect("no topics", format!("{bytes:?}"), "Ok([0, 0, 0, 0, 0, 0, 0, 0])");
}

fn control_batches_are_the_brokers(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let answer = scene.produce_bytes(&with(plain(1).bytes(), at::ATTRIBUTES, &[0, 0x20]));
    scene.expect("a client's control batch", answer, "INVALID_RECORD");
    let producer = scene.new_producer();
    let answer = scene.produce_bytes(&with(of(producer, 0, 1).bytes(), at::ATTRIBUTES, &[0, 0x30]));
    scene.expect("a transactional one", answer, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED");
}

fn a_compacted_topic_wants_keys(scene: &mut Scene<'_>) {
    scene.make_topic(&[("cleanup.policy", "compact")]);
    // The key of the one record: its length is 3, in zigzag 6, behind the header, the record's length, attributes and
    // two deltas.
    let batch = plain(1).bytes();
    let (key_at, key) = (61 + 4, [6, b'k', b'e', b'y']);
    scene.expect("where the key is", format!("{:?}", &batch[key_at..key_at + 4]), "[6, 107, 101, 121]");
    let mut without = [&batch[..key_at], &[1], &batch[key_at + key.len()..]].concat();
    without[61] -= 6;
    let length = i32::try_from(without.len() - 12).expect("a short batch").to_be_bytes();
    without[8..12].copy_from_slice(&length);
    let answer = scene.produce_bytes(&with(without, at::ATTRIBUTES, &[0, 0]));
    scene.expect("no key", answer, "INVALID_RECORD, record 0");
    let answer = scene.produce(plain(1));
    scene.expect("a key", answer, "OK @0");
}

fn the_broker_s_time_is_told(scene: &mut Scene<'_>) {
    scene.make_topic(&[("message.timestamp.type", "LogAppendTime")]);
    let topic = scene.topic.clone();
    let batch = plain(1).bytes();
    let (correlation, frame) =
        scene.produce_frame(scene.version(Api::Produce), (None, -1), (TopicRef::Name(&topic), 0), &batch);
    scene.send(&frame);
    let answer = scene.answer(Api::Produce, scene.version(Api::Produce), correlation).expect("an answer");
    let mut is_told = false;
    ProduceResponse::decode(scene.version(Api::Produce), answer.body(), |one| {
        is_told = one.log_append_time_ms > 0;
    })
    .expect("an answer");
    scene.expect("the time is", if is_told { "told" } else { "not told" }, "told");
    let answer = scene.fetch(0);
    scene.expect("the checksum is another, and fits", answer, "0–0; start 0, end 1");
}

fn a_base_offset_is_0_and_an_epoch_is_the_broker_s_to_give(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let mut batch = plain(2).bytes();
    batch[..8].copy_from_slice(&77_i64.to_be_bytes());
    batch[12..16].copy_from_slice(&77_i32.to_be_bytes());
    let answer = scene.produce_bytes(&batch);
    scene.expect("base offset 77, epoch 77", answer, "INVALID_RECORD");
    batch[..8].fill(0);
    let answer = scene.produce_bytes(&batch);
    scene.expect("epoch 77", answer, "OK @0");
    let answer = scene.epoch_end(0, -1);
    scene.expect("it is in the leader's epoch", answer, "epoch 0 ends at 2");
}

fn one_partition_s_error_is_its_own(scene: &mut Scene<'_>) {
    scene.make_topic_of(2, 1, &[]);
    let mut damaged = plain(1).bytes();
    damaged[at::CRC] ^= 1;
    let answer = produce_all(scene, &[(0, plain(1).bytes()), (1, damaged), (2, plain(1).bytes())]);
    scene.expect("good, damaged, unknown", answer, "OK @0; CORRUPT_MESSAGE; UNKNOWN_TOPIC_OR_PARTITION");
    // A length that cannot be is noticed before anything is written.
    let answer = produce_all(scene, &[(0, plain(1).bytes()), (1, vec![0; 70])]);
    scene.expect("good, no batch", answer, "CORRUPT_MESSAGE; CORRUPT_MESSAGE");
    let mut old = plain(1).bytes();
    old[at::MAGIC] = 1;
    let answer = produce_all(scene, &[(0, plain(1).bytes()), (1, old)]);
    scene.expect("good, an older format", answer, "OK @1; INVALID_RECORD");
    let answer = scene.end();
    scene.expect("the end", answer, "2 of epoch 0");
}

/// One request for several partitions.
fn produce_all(scene: &mut Scene<'_>, batches: &[(i32, Vec<u8>)]) -> String {
    let topic = scene.topic.clone();
    let (mut frame, mut cuts) = (Vec::new(), Vec::new());
    let head = (scene.version(Api::Produce), 77, scene.client_id);
    let mut request = ProduceRequest::begin(head, (None, 1_000), 1, &mut frame, &mut cuts);
    request.begin_topic(TopicRef::Name(&topic), batches.len());
    for (partition, batch) in batches {
        request.partition(*partition, batch.len());
    }
    request.end_topic();
    let _ = request.finish();
    for (cut, (_, batch)) in cuts.iter().zip(batches).rev() {
        frame.splice(cut..cut, batch.iter().copied());
    }
    scene.send(&frame);
    produced(&scene.answer(Api::Produce, scene.version(Api::Produce), 77).expect("an answer"))
}

fn more_in_sync_than_there_are(scene: &mut Scene<'_>) {
    scene.make_topic(&[("min.insync.replicas", "2")]);
    let answer = scene.produce(plain(1)); // No more than there are replicas.
    scene.expect("two in sync of one", answer, "OK @0");
}

fn the_oldest_versions(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let topic = scene.topic.clone();
    for (version, expected) in [(3, "OK @0"), (7, "OK @1"), (8, "OK @2"), (11, "OK @3")] {
        let (_, frame) =
            scene.produce_frame(version, (None, -1), (TopicRef::Name(&topic), 0), &plain(1).bytes());
        scene.send(&frame);
        let answer = scene.receive().map_or_else(
            |_| CLOSED.to_owned(),
            // Before version 5 less is answered; what matters is at the same place up to 8.
            |bytes| {
                if version < 9 { old_answer(&bytes, topic.len()) } else { new_answer(&bytes, topic.len()) }
            },
        );
        scene.expect(&format!("version {version}"), answer, expected);
    }
    let frame = |version: i16| {
        // Acks -1, a timeout of a second, no topics.
        let mut frame = vec![0, 0, 0, 0, 0, 0];
        frame.extend(version.to_be_bytes());
        frame.extend([0, 0, 0, 1, 0, 1, b'p', 0xFF, 0xFF, 0, 0, 3, 0xE8, 0, 0, 0, 0]);
        let length = u32::try_from(frame.len() - 4).expect("a short frame");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        frame
    };
    scene.send(&frame(2));
    let answer = scene.receive().map_or(CLOSED, |_| "an answer");
    let why = "KIP-896 took them away in 4.0; they are advertised all the same (KAFKA-18659)";
    scene.expect("version 2", answer, usually(CLOSED).on_3_9("an answer", why));
}

fn old_answer(bytes: &[u8], topic: usize) -> String {
    let rest = &bytes[4 + 4 + 2 + topic + 4 + 4..];
    told(rest)
}

fn new_answer(bytes: &[u8], topic: usize) -> String {
    let rest = &bytes[4 + 1 + 1 + 1 + topic + 1 + 4..];
    told(rest)
}

fn told(rest: &[u8]) -> String {
    let offset = i64::from_be_bytes(rest[2..10].try_into().expect("eight bytes"));
    format!("{} @{offset}", name(i16::from_be_bytes([rest[0], rest[1]])))
}

fn transactional_batches_without_a_transaction(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let producer = scene.new_producer();
    let answer = scene.produce(of(producer, 0, 1).transactional());
    scene.expect(
        "a transactional batch, no transactional id",
        answer,
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    );
    let answer = scene.fetch_as(&Fetch { read_committed: true, ..FETCH });
    scene.expect("the log", answer, "nothing; start 0, end 0");
}
