//! Connections: order, frames that cannot be, requests that are not known.

use std::time::Duration;

use kafka_protocol::{messages as theirs, protocol::Decodable};
use proofload::inside::protocol::{Api, MetadataRequest, TopicRef};

use super::{
    Probe, Scene,
    batches::plain,
    expected::usually,
    probes,
    scene::{CLOSED, FETCH, Fetch, fetched},
};

pub(super) const PROBES: &[Probe] = probes![
    Anywhere:
        answers_end_with_their_last_field;
    Kafka:
        requests_are_answered_in_order,
        versions_that_are_not_spoken,
        requests_that_nobody_knows,
        frames_of_absurd_length,
        a_frame_that_is_too_short,
        bytes_behind_the_last_field,
        a_frame_that_comes_in_pieces;
];

/// Whether the next thing to come is an answer; that to [`ask_metadata`].
fn hears(scene: &mut Scene<'_>) -> &'static str {
    scene.receive().map_or(CLOSED, |_| "answers")
}

fn ask_metadata(scene: &mut Scene<'_>) -> Vec<u8> {
    scene.frame(scene.version(Api::Metadata), &MetadataRequest { topics: Some(&[]), tell_rights: false }).1
}

fn requests_are_answered_in_order(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let topic = scene.topic.clone();
    let wait = Fetch { max_wait_ms: 300, ..FETCH };
    let (fetch, fetch_frame) =
        scene.frame(scene.version(Api::Fetch), &wait.request(TopicRef::Name(&topic), &[wait.partition()]));
    let (metadata, metadata_frame) =
        scene.frame(scene.version(Api::Metadata), &MetadataRequest { topics: Some(&[]), tell_rights: false });
    let place = (TopicRef::Name(&topic), 0);
    let (produce, produce_frame) =
        scene.produce_frame(scene.version(Api::Produce), (None, -1), place, &plain(1).bytes());
    let began = scene.world.now();
    scene.send(&[fetch_frame, metadata_frame, produce_frame].concat());
    let answer = scene.answer(Api::Fetch, scene.version(Api::Fetch), fetch).expect("an answer");
    // What is produced behind it on the same connection does not reach it.
    scene.expect("a fetch at the end", fetched(&answer), "nothing; start 0, end 0");
    let waited = scene.since(began) >= Duration::from_millis(299);
    scene.expect("it has waited", waited.to_string(), "true");
    scene.answer(Api::Metadata, scene.version(Api::Metadata), metadata).expect("an answer");
    let answer = scene.answer(Api::Produce, scene.version(Api::Produce), produce).expect("an answer");
    scene.expect("a produce behind it", super::scene::produced(&answer), "OK @0");
}

fn versions_that_are_not_spoken(scene: &mut Scene<'_>) {
    for (api, version) in [(Api::Fetch, 99_i16), (Api::Metadata, 99), (Api::Produce, -1)] {
        let mut frame = ask_metadata(scene);
        frame[4..6].copy_from_slice(&api.key().to_be_bytes());
        frame[6..8].copy_from_slice(&version.to_be_bytes());
        scene.send(&frame);
        let answer = hears(scene);
        scene.expect(&format!("{api} {version}"), answer, CLOSED);
    }
}

fn requests_that_nobody_knows(scene: &mut Scene<'_>) {
    for key in [-1_i16, 999] {
        let mut frame = ask_metadata(scene);
        frame[4..6].copy_from_slice(&key.to_be_bytes());
        scene.send(&frame);
        let answer = hears(scene);
        scene.expect(&format!("request {key}"), answer, CLOSED);
    }
}

fn frames_of_absurd_length(scene: &mut Scene<'_>) {
    for length in [i32::MAX, 100 << 20 | 1, -1, i32::MIN] {
        scene.send(&length.to_be_bytes());
        let answer = hears(scene);
        scene.expect(&format!("{length} bytes"), answer, CLOSED);
    }
}

fn a_frame_that_is_too_short(scene: &mut Scene<'_>) {
    for length in [0_u8, 1, 8] {
        scene.send(&[&[0, 0, 0, length][..], &vec![0; length.into()]].concat());
        let answer = hears(scene);
        scene.expect(&format!("{length} bytes"), answer, CLOSED);
    }
    let mut frame = ask_metadata(scene);
    let length = frame.len() - 1;
    frame.truncate(length);
    frame[3] -= 1;
    scene.send(&frame);
    let answer = hears(scene);
    scene.expect("a byte less than it needs", answer, CLOSED);
}

fn bytes_behind_the_last_field(scene: &mut Scene<'_>) {
    let mut frame = ask_metadata(scene);
    frame.extend([0, 0, 0]);
    frame[3] += 3;
    scene.send(&frame);
    let answer = hears(scene);
    scene.expect("three zeros", answer, "answers");
}

fn answers_end_with_their_last_field(scene: &mut Scene<'_>) {
    let mut read = |version| {
        let answer = scene
            .ask(version, &MetadataRequest { topics: Some(&[]), tell_rights: false })
            .expect("an answer");
        // By others: we ignore what lies behind the last field.
        let mut rest = answer.body().rest();
        match theirs::MetadataResponse::decode(&mut rest, version) {
            Ok(_) if rest.is_empty() => "whole".to_owned(),
            Ok(_) => format!("{} bytes behind the last field", rest.len()),
            Err(error) => error.to_string(),
        }
    };
    let (plain, flexible) = (read(8), read(9));
    scene.expect("the plain form", plain, "whole");
    let twice = "it ends a structure twice";
    let expected = usually("whole").on_mock("1 bytes behind the last field", twice);
    scene.expect("the flexible form", flexible, expected);
}

fn a_frame_that_comes_in_pieces(scene: &mut Scene<'_>) {
    let frame = ask_metadata(scene);
    for byte in &frame {
        scene.send(&[*byte]);
    }
    let answer = hears(scene);
    scene.expect("a byte at a time", answer, "answers");
}
