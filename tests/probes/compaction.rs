//! What compaction leaves of a log.

use super::{
    Probe, Scene,
    batches::{of, plain},
    probes,
};

pub(super) const PROBES: &[Probe] = probes![
    Kafka:
        a_producer_s_last_batch_stays_without_records;
];

fn a_producer_s_last_batch_stays_without_records(scene: &mut Scene<'_>) {
    scene.make_topic(&[
        ("cleanup.policy", "compact"),
        ("segment.ms", "1"),
        ("min.cleanable.dirty.ratio", "0.0"),
        ("max.compaction.lag.ms", "1"),
    ]);
    let producer = scene.new_producer();
    // Of others: gone as a whole; its first batch: gone as well; its last batch: stays, without a record.
    scene.produce(plain(2));
    scene.produce(of(producer, 0, 2));
    scene.produce(of(producer, 2, 2));
    scene.produce(plain(3));
    let answer = scene.until(|scene| {
        // Each makes a new segment, and the last one is never compacted.
        scene.world.pause(std::time::Duration::from_millis(100));
        scene.produce(plain(1));
        let answer = scene.fetch(0);
        answer.contains("empty").then_some(answer)
    });
    let front = answer.split([',', ';']).next().unwrap_or_default().to_owned();
    scene.expect("the first batch of the log", front, "4–5 empty");
    let answer = scene.fetch(4);
    let front = answer.split([',', ';']).next().unwrap_or_default().to_owned();
    scene.expect("read from its first offset", front, "4–5 empty");
    let answer = scene.produce(of(producer, 3, 1));
    scene.expect("its producer is known all the same: sequence 3", answer, "OUT_OF_ORDER_SEQUENCE_NUMBER");
}
