//! Transactions of clients that add partitions themselves: those from before KIP-890.

use proofload::inside::protocol::{Api, InitProducerIdRequest, InitProducerIdResponse, Timestamp::Latest};

use super::{
    Probe, Scene,
    batches::of,
    probes,
    scene::{FETCH, Fetch, Producer, name},
};

pub(super) const PROBES: &[Probe] = probes![
    Kafka:
        a_commit_and_an_abort,
        open_transactions_hold_the_stable_offset,
        a_transaction_ends_once,
        nothing_to_end,
        an_old_epoch_is_fenced,
        a_partition_that_was_not_added,
        partitions_are_added_all_or_none,
        a_plain_batch_beside_a_transaction,
        who_asks_anew_aborts_what_was_open,
        the_epoch_that_it_has_is_told,
        timeouts_that_cannot_be,
        an_id_that_has_none;
];

/// A transactional id of the scene's own, whose coordinator is spoken to, and which has a producer id.
pub(super) fn begin(scene: &mut Scene<'_>) -> (String, Producer) {
    let id = scene.topic.clone();
    scene.find_coordinator(&id);
    let producer = init(scene, &id, (-1, -1));
    (id, producer)
}

/// A new epoch; what is not finished is waited for.
pub(super) fn init(scene: &mut Scene<'_>, id: &str, current: Producer) -> Producer {
    scene.until(|scene| match scene.init(Some(id), current) {
        (error, producer) if error == "OK" => Some(producer),
        (error, _) if is_passing(&error) => None,
        (error, _) => panic!("InitProducerId: {error}"),
    })
}

fn is_passing(error: &str) -> bool {
    [
        "CONCURRENT_TRANSACTIONS",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
    ]
    .contains(&error)
}

/// Adds partition 0; a transaction that is still being ended is waited for.
pub(super) fn add(scene: &mut Scene<'_>, id: &str, producer: Producer) -> String {
    scene.until(|scene| {
        let answer = scene.add_partition(id, producer);
        (!is_passing(&answer)).then_some(answer)
    })
}

/// Ends it, and waits for the marker: the stable offset is the end then.
fn end(scene: &mut Scene<'_>, id: &str, producer: Producer, commit: bool) -> String {
    let answer = scene.end_txn(id, producer, commit);
    until_stable(scene);
    answer
}

/// Waits until no transaction is open.
pub(super) fn until_stable(scene: &mut Scene<'_>) {
    on_leader(scene, |scene| {
        scene.until(|scene| {
            let (end, stable) = (scene.list_offset(Latest, false, -1), scene.list_offset(Latest, true, -1));
            (end == stable).then_some(())
        });
    });
}

/// The leader is asked, and then the coordinator again.
pub(super) fn on_leader<T>(scene: &mut Scene<'_>, ask: impl FnOnce(&mut Scene<'_>) -> T) -> T {
    scene.find_leader();
    let answer = ask(scene);
    let id = scene.topic.clone();
    scene.find_coordinator(&id);
    answer
}

pub(super) fn write(
    scene: &mut Scene<'_>,
    id: &str,
    producer: Producer,
    sequence: i32,
    records: usize,
) -> String {
    on_leader(scene, |scene| {
        scene.produce_in(id, scene.version(Api::Produce), of(producer, sequence, records))
    })
}

/// What is in the log for those who read only what is committed.
fn committed(scene: &mut Scene<'_>) -> String {
    on_leader(scene, |scene| scene.fetch_as(&Fetch { read_committed: true, ..FETCH }))
}

fn a_commit_and_an_abort(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, producer) = begin(scene);
    let answer = add(scene, &id, producer);
    scene.expect("added", answer, "OK");
    let answer = write(scene, &id, producer, 0, 2);
    scene.expect("written", answer, "OK @0");
    let answer = end(scene, &id, producer, true);
    scene.expect("committed", answer, "OK");
    let answer = committed(scene);
    scene.expect("the log", answer, "0–1 transactional, 2–2 commit; start 0, end 3");
    let answer = add(scene, &id, producer);
    scene.expect("added", answer, "OK");
    let answer = write(scene, &id, producer, 2, 2);
    scene.expect("written, the next sequence", answer, "OK @3");
    let answer = end(scene, &id, producer, false);
    scene.expect("aborted", answer, "OK");
    let answer = committed(scene);
    scene.expect(
        "the log",
        answer,
        "0–1 transactional, 2–2 commit, 3–4 transactional, 5–5 abort; aborted from 3; start 0, end 6",
    );
    let answer = on_leader(scene, |scene| scene.fetch(0));
    scene.expect(
        "for those who read all",
        answer,
        "0–1 transactional, 2–2 commit, 3–4 transactional, 5–5 abort; start 0, end 6",
    );
    let answer =
        on_leader(scene, |scene| scene.fetch_as(&Fetch { read_committed: true, offset: 5, ..FETCH }));
    scene.expect("the abort's marker alone", answer, "5–5 abort; aborted from 3; start 0, end 6");
    let answer =
        on_leader(scene, |scene| scene.fetch_as(&Fetch { read_committed: true, offset: 6, ..FETCH }));
    scene.expect("behind it", answer, "nothing; start 0, end 6");
}

fn open_transactions_hold_the_stable_offset(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, producer) = begin(scene);
    add(scene, &id, producer);
    let other = scene.new_producer();
    let answer = on_leader(scene, |scene| scene.produce(of(other, 0, 1)));
    scene.expect("somebody else", answer, "OK @0");
    let answer = write(scene, &id, producer, 0, 2);
    scene.expect("written", answer, "OK @1");
    let answer = on_leader(scene, |scene| scene.produce(of(other, 1, 1)));
    scene.expect("somebody else", answer, "OK @3");
    let answer = committed(scene);
    scene.expect("what is committed", answer, "0–0; start 0, stable to 1, end 4");
    let answer = on_leader(scene, |scene| scene.fetch(0));
    scene.expect("all", answer, "0–0, 1–2 transactional, 3–3; start 0, stable to 1, end 4");
    let answer =
        on_leader(scene, |scene| scene.fetch_as(&Fetch { read_committed: true, offset: 2, ..FETCH }));
    scene.expect(
        "what is committed, from beyond the stable offset",
        answer,
        "nothing; start 0, stable to 1, end 4",
    );
    let answer = on_leader(scene, |scene| scene.list_offset(Latest, true, -1));
    scene.expect("the stable offset", answer, "1 of epoch 0");
    end(scene, &id, producer, false);
    let answer = committed(scene);
    scene.expect("aborted", answer, "0–0, 1–2 transactional, 3–3, 4–4 abort; aborted from 1; start 0, end 5");
}

fn a_transaction_ends_once(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, producer) = begin(scene);
    add(scene, &id, producer);
    write(scene, &id, producer, 0, 1);
    let answer = end(scene, &id, producer, true);
    scene.expect("committed", answer, "OK");
    let answer = end_settled(scene, &id, producer, true);
    scene.expect("committed again", answer, "OK");
    let answer = end_settled(scene, &id, producer, false);
    scene.expect("and aborted", answer, "INVALID_TXN_STATE");
    add(scene, &id, producer);
    write(scene, &id, producer, 1, 1);
    let answer = end(scene, &id, producer, false);
    scene.expect("the next one aborted", answer, "OK");
    let answer = end_settled(scene, &id, producer, false);
    scene.expect("aborted again", answer, "OK");
    let answer = end_settled(scene, &id, producer, true);
    scene.expect("and committed", answer, "INVALID_TXN_STATE");
    let answer = on_leader(scene, |scene| scene.fetch(0));
    scene.expect(
        "the log",
        answer,
        "0–0 transactional, 1–1 commit, 2–2 transactional, 3–3 abort; start 0, end 4",
    );
}

/// The coordinator may be told that markers are written a moment after they are.
fn end_settled(scene: &mut Scene<'_>, id: &str, producer: Producer, commit: bool) -> String {
    scene.until(|scene| {
        let answer = scene.end_txn(id, producer, commit);
        (!is_passing(&answer)).then_some(answer)
    })
}

fn nothing_to_end(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, producer) = begin(scene);
    let answer = scene.end_txn(&id, producer, true);
    scene.expect("a commit of nothing", answer, "INVALID_TXN_STATE");
    let answer = scene.end_txn(&id, producer, false);
    scene.expect("an abort of nothing", answer, "INVALID_TXN_STATE");
    add(scene, &id, producer);
    let answer = end(scene, &id, producer, true);
    scene.expect("a commit of a partition without a record", answer, "OK");
    let answer = on_leader(scene, |scene| scene.fetch(0));
    scene.expect("the log", answer, "0–0 commit; start 0, end 1");
}

fn an_old_epoch_is_fenced(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, old) = begin(scene);
    add(scene, &id, old);
    write(scene, &id, old, 0, 1);
    end(scene, &id, old, true);
    let new = init(scene, &id, (-1, -1));
    scene.expect("the next epoch", format!("{}", new.1 - old.1), "1");
    let answer = scene.add_partition(&id, old);
    scene.expect("the old epoch adds", answer, "PRODUCER_FENCED");
    let answer = scene.end_txn(&id, old, true);
    scene.expect("the old epoch ends", answer, "PRODUCER_FENCED");
    let answer = scene.end_txn_as(1, &id, old, true).0;
    scene.expect("the old epoch ends, version 1", answer, "INVALID_PRODUCER_EPOCH");
    let answer = scene.init(Some(&id), old).0;
    scene.expect("the old epoch asks for the next", answer, "PRODUCER_FENCED");
    let answer = scene.end_txn(&id, (old.0 + 1_000_000, 0), true);
    scene.expect("another producer id ends", answer, "INVALID_PRODUCER_ID_MAPPING");
    add(scene, &id, new);
    write(scene, &id, new, 0, 1);
    let answer = write(scene, &id, old, 1, 1);
    scene.expect("the old epoch writes", answer, "INVALID_PRODUCER_EPOCH");
    end(scene, &id, new, false);
}

fn a_partition_that_was_not_added(scene: &mut Scene<'_>) {
    scene.make_topic_of(2, 1, &[]);
    let (id, producer) = begin(scene);
    let answer = on_leader(scene, |scene| scene.produce_in(&id, 9, of(producer, 0, 1)));
    scene.expect("version 9, no transaction at all", answer, "INVALID_TXN_STATE");
    let answer = on_leader(scene, |scene| scene.produce_in(&id, 11, of(producer, 0, 1)));
    scene.expect("version 11, no transaction at all", answer, "TRANSACTION_ABORTABLE");
    let topic = scene.topic.clone();
    let answer = scene.add_partitions_of(&id, producer, &topic, &[1]);
    scene.expect("another partition is added", answer, "OK");
    let answer = on_leader(scene, |scene| scene.produce_in(&id, 9, of(producer, 0, 1)));
    scene.expect("version 9, another partition was added", answer, "INVALID_TXN_STATE");
    let answer = on_leader(scene, |scene| scene.fetch(0));
    scene.expect("the log", answer, "nothing; start 0, end 0");
}

fn partitions_are_added_all_or_none(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, producer) = begin(scene);
    let topic = scene.topic.clone();
    let answer = scene.add_partitions_of(&id, producer, &topic, &[0, 5]);
    scene.expect("one is not there", answer, "OPERATION_NOT_ATTEMPTED, UNKNOWN_TOPIC_OR_PARTITION");
    let answer = scene.end_txn(&id, producer, true);
    scene.expect("no transaction has begun", answer, "INVALID_TXN_STATE");
    let answer = scene.add_partition(&id, producer);
    scene.expect("added", answer, "OK");
    let answer = scene.add_partition(&id, producer);
    scene.expect("added again", answer, "OK");
    end(scene, &id, producer, true);
}

fn a_plain_batch_beside_a_transaction(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, producer) = begin(scene);
    let answer = on_leader(scene, |scene| scene.produce(of(producer, 0, 1)));
    scene.expect("a batch of no transaction, before", answer, "OK @0");
    add(scene, &id, producer);
    let answer = write(scene, &id, producer, 1, 1);
    scene.expect("one of the transaction", answer, "OK @1");
    let answer = on_leader(scene, |scene| scene.produce(of(producer, 2, 1)));
    scene.expect("a batch of no transaction, within", answer, "INVALID_TXN_STATE");
    end(scene, &id, producer, true);
    let answer = on_leader(scene, |scene| scene.fetch(0));
    scene.expect("the log", answer, "0–0, 1–1 transactional, 2–2 commit; start 0, end 3");
}

fn who_asks_anew_aborts_what_was_open(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, old) = begin(scene);
    add(scene, &id, old);
    write(scene, &id, old, 0, 1);
    let (answer, _) = scene.init(Some(&id), (-1, -1));
    scene.expect("at first", answer, "CONCURRENT_TRANSACTIONS");
    let new = init(scene, &id, (-1, -1));
    scene.expect("then an epoch higher by", format!("{}", new.1 - old.1), "2");
    until_stable(scene);
    let answer = committed(scene);
    scene.expect("the log", answer, "0–0 transactional, 1–1 abort; aborted from 0; start 0, end 2");
    let answer = scene.end_txn(&id, old, true);
    scene.expect("who had it commits", answer, "PRODUCER_FENCED");
    let answer = write(scene, &id, old, 1, 1);
    scene.expect("who had it writes", answer, "INVALID_PRODUCER_EPOCH");
}

fn the_epoch_that_it_has_is_told(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let (id, first) = begin(scene);
    let second = init(scene, &id, first);
    scene.expect("the next epoch", format!("{}", second.1 - first.1), "1");
    // Whose answer was lost asks again.
    let (answer, again) = scene.init(Some(&id), first);
    scene.expect("the former epoch again", format!("{answer} {}", again.1 - first.1), "OK 1");
    let third = init(scene, &id, second);
    scene.expect("then", format!("{}", third.1 - first.1), "2");
    let answer = scene.init(Some(&id), first).0;
    scene.expect("the first one again", answer, "PRODUCER_FENCED");
}

fn timeouts_that_cannot_be(scene: &mut Scene<'_>) {
    let id = scene.topic.clone();
    scene.find_coordinator(&id);
    for (timeout_ms, expected) in
        [(0, "INVALID_TRANSACTION_TIMEOUT"), (900_001, "INVALID_TRANSACTION_TIMEOUT"), (900_000, "OK")]
    {
        let request = InitProducerIdRequest {
            transactional_id: Some(&id),
            transaction_timeout_ms: timeout_ms,
            current: (-1, -1),
        };
        let answer = scene.ask(scene.version(Api::InitProducerId), &request).expect("an answer");
        let answer = InitProducerIdResponse::decode(scene.version(Api::InitProducerId), answer.body())
            .expect("an answer");
        scene.expect(&format!("{timeout_ms} ms"), name(answer.error), expected);
    }
    let (answer, _) = scene.init(Some(""), (-1, -1));
    scene.expect("an empty id", answer, "INVALID_REQUEST");
}

fn an_id_that_has_none(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let id = scene.topic.clone();
    scene.find_coordinator(&id);
    let answer = scene.add_partition(&id, (7, 0));
    scene.expect("adds", answer, "INVALID_PRODUCER_ID_MAPPING");
    let answer = scene.end_txn(&id, (7, 0), true);
    scene.expect("ends", answer, "INVALID_PRODUCER_ID_MAPPING");
    let (answer, _) = scene.init(Some(&id), (7, 0));
    scene.expect("asks for the next epoch", answer, "OK");
}
