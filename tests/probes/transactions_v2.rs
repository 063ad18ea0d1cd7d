//! Transactions as of KIP-890: a Produce adds its partition, and each transaction has an epoch of its own.

use proofload::inside::protocol::{ApiVersionsRequest, ApiVersionsResponse};

use super::{
    Probe, Scene,
    batches::of,
    probes,
    scene::Producer,
    transactions::{begin, init, on_leader, until_stable},
};

pub(super) const PROBES: &[Probe] = probes![
    Kafka41:
        each_transaction_has_an_epoch,
        an_end_may_be_asked_for_again,
        a_produce_adds_its_partition,
        an_old_epoch_is_fenced,
        who_asks_anew_aborts_what_was_open;
];

/// The first versions of this kind.
const PRODUCE: i16 = 12;
const END_TXN: i16 = 5;

fn write(scene: &mut Scene<'_>, id: &str, producer: Producer, sequence: i32) -> String {
    on_leader(scene, |scene| {
        scene.until(|scene| {
            let answer = scene.produce_in(id, PRODUCE, of(producer, sequence, 1));
            (answer != "CONCURRENT_TRANSACTIONS").then_some(answer)
        })
    })
}

/// The answer, and the next producer in relation to this one.
fn end(scene: &mut Scene<'_>, id: &str, producer: Producer, commit: bool) -> (String, Producer) {
    // The coordinator learns a moment later than readers that a transaction has ended.
    let (answer, next) = scene.until(|scene| {
        let (answer, next) = scene.end_txn_as(END_TXN, id, producer, commit);
        (answer != "CONCURRENT_TRANSACTIONS").then_some((answer, next))
    });
    until_stable(scene);
    let next = next.unwrap_or(producer);
    let same = if next.0 == producer.0 { "the id" } else { "another id" };
    (format!("{answer}, {same}, epoch +{}", next.1 - producer.1), next)
}

fn each_transaction_has_an_epoch(scene: &mut Scene<'_>) {
    let request = ApiVersionsRequest { software: "probe", software_version: "1" };
    let answer = scene.ask(3, &request).expect("an answer");
    let answer = ApiVersionsResponse::decode(3, answer.body()).expect("an answer");
    let feature = answer.features.iter().find(|one| one.name == "transaction.version");
    let level = feature.map(|one| one.level);
    scene.expect("transaction.version", format!("{level:?}"), "Some(2)");
    scene.make_topic(&[]);
    let (id, producer) = begin(scene);
    let answer = write(scene, &id, producer, 0);
    scene.expect("written", answer, "OK @0");
    let (answer, next) = end(scene, &id, producer, true);
    scene.expect("committed", answer, "OK, the id, epoch +1");
    let answer = write(scene, &id, next, 1);
    scene.expect("the sequence goes on", answer, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    let answer = write(scene, &id, next, 0);
    scene.expect("the sequence begins anew", answer, "OK @2");
    let (answer, next) = end(scene, &id, next, false);
    scene.expect("aborted", answer, "OK, the id, epoch +1");
    let answer = write(scene, &id, next, 0);
    scene.expect("written", answer, "OK @4");
    let (answer, _) = end(scene, &id, next, true);
    scene.expect("committed", answer, "OK, the id, epoch +1");
    let answer = on_leader(scene, |scene| scene.fetch(0));
    scene.expect("the log", answer, "0–0 transactional, 1–1 commit, 2–2 transactional, 3–3 abort, 4–4 transactional, 5–5 commit; start 0, end 6");
}

fn an_end_may_be_asked_for_again(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, producer) = begin(scene);
    let (answer, next) = end(scene, &id, producer, true);
    scene.expect("a commit of nothing", answer, "INVALID_TXN_STATE, the id, epoch +0");
    let (answer, next) = end(scene, &id, next, false);
    scene.expect("an abort of nothing", answer, "OK, the id, epoch +1");
    write(scene, &id, next, 0);
    let (answer, last) = end(scene, &id, next, true);
    scene.expect("committed", answer, "OK, the id, epoch +1");
    let (answer, _) = end(scene, &id, next, true);
    scene.expect("committed again, with the former epoch", answer, "OK, the id, epoch +1");
    let (answer, _) = end(scene, &id, next, false);
    scene.expect("aborted, with the former epoch", answer, "INVALID_TXN_STATE, the id, epoch +0");
    let (answer, _) = end(scene, &id, last, true);
    scene.expect("committed, with the new epoch", answer, "INVALID_TXN_STATE, the id, epoch +0");
}

fn a_produce_adds_its_partition(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, producer) = begin(scene);
    let answer = write(scene, &id, producer, 0);
    scene.expect("not added before", answer, "OK @0");
    let answer = write(scene, &id, producer, 0);
    scene.expect("again", answer, "OK @0");
    let answer = on_leader(scene, |scene| scene.produce_in(&id, 11, of(producer, 1, 1)));
    scene.expect("version 11 in the same transaction", answer, "OK @1");
    let (answer, next) = end(scene, &id, producer, true);
    scene.expect("committed", answer, "OK, the id, epoch +1");
    let answer = on_leader(scene, |scene| scene.produce_in(&id, 11, of(next, 0, 1)));
    scene.expect("version 11 in the next transaction", answer, "TRANSACTION_ABORTABLE");
    let answer = on_leader(scene, |scene| scene.produce_in("another-id", PRODUCE, of(next, 0, 1)));
    scene.expect("another transactional id", answer, "INVALID_PRODUCER_ID_MAPPING");
}

fn an_old_epoch_is_fenced(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, producer) = begin(scene);
    write(scene, &id, producer, 0);
    let (_, next) = end(scene, &id, producer, true);
    let answer = write(scene, &id, producer, 1);
    scene.expect("the former transaction's epoch writes", answer, "INVALID_PRODUCER_EPOCH");
    let (answer, _) = end(scene, &id, (producer.0, producer.1 - 1), true);
    scene.expect("an epoch before that ends", answer, "PRODUCER_FENCED, the id, epoch +0");
    let answer = write(scene, &id, next, 0);
    scene.expect("the new one writes", answer, "OK @2");
    end(scene, &id, next, true);
}

fn who_asks_anew_aborts_what_was_open(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, old) = begin(scene);
    write(scene, &id, old, 0);
    let (answer, _) = scene.init(Some(&id), (-1, -1));
    scene.expect("at first", answer, "CONCURRENT_TRANSACTIONS");
    let new = init(scene, &id, (-1, -1));
    scene.expect("then an epoch higher by", format!("{}", new.1 - old.1), "2");
    until_stable(scene);
    let answer = write(scene, &id, old, 1);
    scene.expect("who had it writes", answer, "INVALID_PRODUCER_EPOCH");
    let answer = write(scene, &id, new, 0);
    scene.expect("who has it writes", answer, "OK @2");
    end(scene, &id, new, true);
}
