//! Quotas: who sends too much is answered at once, and not heard for a while.

use std::time::Duration;

use proofload::inside::protocol::{Api, ProduceResponse, TopicRef};

use super::{Probe, Scene, batches::plain, probes};

pub(super) const PROBES: &[Probe] = probes![
    Kafka:
        who_is_throttled_is_answered_and_not_heard;
];

/// What a Produce of so many bytes is answered with: how long to wait.
fn throttle_ms(scene: &mut Scene<'_>, correlation: i32) -> i32 {
    let answer = scene.answer(Api::Produce, scene.version(Api::Produce), correlation).expect("an answer");
    ProduceResponse::decode(scene.version(Api::Produce), answer.body(), |one| assert_eq!(one.error, 0))
        .expect("an answer")
        .throttle_time_ms
}

fn who_is_throttled_is_answered_and_not_heard(scene: &mut Scene<'_>) {
    /// Bytes are averaged over ten seconds at the start: of the batch's 26,000, 6,000 are too many.
    const BYTES_PER_S: f64 = 2_000.0;
    /// What somebody sent before a limit came into force counts against him: each attempt is another client's.
    const CLIENTS: [&str; 8] = [
        "throttled-1",
        "throttled-2",
        "throttled-3",
        "throttled-4",
        "throttled-5",
        "throttled-6",
        "throttled-7",
        "throttled-8",
    ];
    scene.make_topic(&[]);
    for client in CLIENTS {
        scene.world.limit_producers(client, BYTES_PER_S);
    }
    let mut clients = CLIENTS.into_iter();
    let topic = scene.topic.clone();
    let mut batch = plain(1);
    batch.value_bytes = 26_000;
    // A limit that was set comes into force a moment later.
    let (throttle, answered_after, heard_after) = scene.until(|scene| {
        scene.client_id = clients.next().expect("a limit comes into force");
        let place = (TopicRef::Name(&topic), 0);
        let mut frame =
            || scene.produce_frame(scene.version(Api::Produce), (None, -1), place, &batch.bytes());
        let ((first, first_frame), (second, second_frame)) = (frame(), frame());
        let began = scene.world.now();
        scene.send(&[first_frame, second_frame].concat());
        let throttle = throttle_ms(scene, first);
        let answered_after = scene.since(began);
        throttle_ms(scene, second);
        if throttle == 0 {
            scene.world.pause(Duration::from_millis(250));
        }
        (throttle > 0).then(|| (throttle, answered_after, scene.since(began)))
    });
    let told = Duration::from_millis(u64::try_from(throttle).unwrap_or(0));
    scene.expect(
        "the first is told to wait some three seconds",
        (2_500..5_000).contains(&throttle).to_string(),
        "true",
    );
    scene.expect("and answered before that", (answered_after < told).to_string(), "true");
    // The broker's clock and ours need not agree in the last few milliseconds.
    let is_after = heard_after + Duration::from_millis(20) >= told;
    scene.expect("the second is heard after that", is_after.to_string(), "true");
}
