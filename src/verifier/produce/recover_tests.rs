use std::{cell::Cell, rc::Rc};

use super::super::played::{Played, broker, words};
use super::*;
use crate::kafka::{
    End, Ended, LocalError, code,
    fake::{Reaction, Reply},
};

/// Does this with the record of that number, and acks all others.
fn once(nth: usize, reaction: Reaction) -> impl FnMut(&crate::kafka::fake::Arrival) -> Reaction {
    move |arrival| if arrival.nth == nth { reaction } else { Reaction::Ack }
}

#[test]
fn an_ack_elsewhere_starts_the_prediction_over() {
    let played = Played::new("--produce_msgs 20 --max-buffered-records 4", 1);
    played.fake.writes().react(once(7, Reaction::AckBehind(3)));
    assert!(played.run().is_ok());
    let stats = &played.stats;
    assert_eq!((stats.acked.get(), stats.restarts.get(), stats.fails.get()), (20, 1, 0));
    assert_eq!(played.fake.writes().questions.len(), 1);
    let acked = &played.acked()[0];
    assert_eq!((acked.len(), &acked[..7]), (20, &[0, 1, 2, 3, 4, 5, 6][..]));
    assert!(
        !(7..=10).any(|offset| acked.contains(&offset)),
        "neither the others' nor ours among them: {acked:?}"
    );
    assert_eq!(played.causes(), []);
}

#[test]
fn only_partitions_that_are_in_doubt_are_asked_about() {
    let played = Played::new("--produce_msgs 300 --max-buffered-records 8", 30);
    played.fake.writes().react(|arrival| match arrival.nth {
        100 | 200 => Reaction::AckBehind(2),
        _ => Reaction::Ack,
    });
    assert!(played.run().is_ok());
    let writes = played.fake.writes();
    let asked: Vec<_> = writes.questions.iter().map(|question| &question.partitions[..]).collect();
    assert_eq!(asked, [100, 200].map(|nth: usize| [writes.arrivals[nth].partition]));
    assert_eq!((played.stats.acked.get(), played.stats.restarts.get()), (300, 2));
}

/// It may be the first to hear that logs were truncated.
#[test]
fn who_has_failed_asks_about_all_partitions() {
    let played = Played::new("--produce_msgs 30 --max-buffered-records 1", 3);
    played.fake.writes().react(once(9, Reaction::Fail(broker(code::NOT_ENOUGH_REPLICAS))));
    assert!(played.run().is_ok());
    let writes = played.fake.writes();
    let asked: Vec<_> = writes.questions.iter().map(|question| &question.partitions[..]).collect();
    assert_eq!(asked, [[0, 1, 2]]);
}

#[test]
fn a_transaction_that_fails_has_its_own_partitions_asked_about() {
    let flags = "--produce_msgs 40 --use-transactions --msgs-per-transaction 4";
    let played = Played::new(flags, 20);
    played.fake.writes().react(once(21, Reaction::AckBehind(7)));
    assert!(played.run().is_ok());
    let writes = played.fake.writes();
    let (at_start, later): (Vec<_>, Vec<_>) =
        writes.questions.iter().partition(|question| question.partitions.len() == 20);
    assert_eq!(at_start.len(), 2, "what an earlier run left open is in nobody's books");
    assert!(later.iter().all(|question| question.partitions == [writes.arrivals[21].partition]));
    assert_eq!((later.is_empty(), played.stats.acked.get()), (false, 40));
}

#[test]
fn who_writes_to_the_same_topic_is_asked_about() {
    let played = Played::new("--produce_msgs 9 --max-buffered-records 1", 1);
    played.fake.writes().react(|arrival| match arrival.nth {
        1..=3 => Reaction::AckBehind(1),
        _ => Reaction::Ack,
    });
    assert!(played.run().is_ok());
    let causes = played.causes();
    assert!(causes.len() == 1 && causes[0].0.contains("another producer"), "{causes:?}");
}

#[test]
fn a_restart_waits_for_what_is_under_way() {
    let played = Played::new("--produce_msgs 9 --max-buffered-records 3", 1);
    played.fake.writes().react(|arrival| match arrival.nth {
        0 | 2 => Reaction::Hold,
        1 => Reaction::AckBehind(5),
        _ => Reaction::Ack,
    });
    let script = async {
        let bad = || played.stats.bad_offsets.get();
        played.until(|| bad() == 1).await;
        for _ in 0..100 {
            futures_lite::future::yield_now().await;
        }
        assert_eq!(
            played.fake.writes().questions.len(),
            0,
            "two records may still change where the log ends"
        );
        played.fake.writes().release();
    };
    assert!(played.run_beside(script).is_ok());
    assert_eq!(
        (played.stats.acked.get(), played.stats.restarts.get(), played.stats.bad_offsets.get()),
        (9, 1, 3)
    );
}

#[test]
fn an_answer_may_take_its_time() {
    let played = Played::new("--produce_msgs 9 --max-buffered-records 1", 1);
    played.fake.writes().react(once(3, Reaction::AckBehind(2)));
    played.fake.writes().answer(|_| Reply::After(500));
    assert!(played.run().is_ok());
    assert_eq!((played.stats.acked.get(), played.stats.restarts.get()), (9, 1));
    assert_eq!(played.fake.writes().questions.len(), 1, "it is asked once");
}

#[test]
fn ends_that_no_leader_tells_are_asked_for_again() {
    let played = Played::new("--produce_msgs 20 --max-buffered-records 1", 2);
    played.fake.writes().react(once(3, Reaction::AckBehind(2)));
    played.fake.writes().answer(|question| match question.nth {
        0..4 => Reply::Error(broker(code::LEADER_NOT_AVAILABLE)),
        _ => Reply::Ends,
    });
    assert!(played.run().is_ok());
    let writes = played.fake.writes();
    assert_eq!((played.stats.acked.get(), writes.questions.len()), (20, 5));
    let asked: Vec<_> = writes.questions.iter().map(|question| &question.partitions[..]).collect();
    assert_eq!(asked, [[writes.arrivals[3].partition]; 5], "nothing is in doubt elsewhere");
}

/// The client could go on, and would write over what is gone.
#[test]
fn a_log_that_ends_below_what_was_acked_is_named_before_anything_follows() {
    let played = Played::new("--produce_msgs 20 --max-buffered-records 1", 1);
    played.fake.writes().react(once(5, Reaction::Fail(broker(code::OUT_OF_ORDER_SEQUENCE_NUMBER))));
    // Who does not name it asks, and is acked elsewhere, for ever.
    played
        .fake
        .writes()
        .answer(|question| if question.nth < 10 * LOOKS { Reply::At(2) } else { Reply::Ends });
    let why = words(played.run());
    assert!(why.contains("truncation") && why.contains("ends at 2"), "{why}");
    assert_eq!((played.stats.acked.get(), played.fake.writes().arrivals.len()), (5, 6));
    assert_eq!(played.fake.writes().questions.len(), LOOKS, "nothing is believed at once");
}

#[test]
fn an_end_that_a_new_leader_did_not_know_is_waited_for() {
    let played = Played::new("--produce_msgs 20 --max-buffered-records 1", 1);
    played.fake.writes().react(once(5, Reaction::Fail(broker(code::NOT_ENOUGH_REPLICAS))));
    played.fake.writes().answer(|question| if question.nth == 0 { Reply::At(2) } else { Reply::Ends });
    assert!(played.run().is_ok());
    assert_eq!((played.stats.acked.get(), played.fake.writes().questions.len()), (20, 2));
}

/// The topic may be another one of that name: the first ack says so.
#[test]
fn what_an_earlier_run_was_acked_is_not_held_against_the_first_end() {
    let mut played = Played::new("--produce_msgs 3 --use-transactions", 1);
    played.job.partitions[0].highest_acked = 9;
    let why = words(played.run());
    assert!(why.contains("refilled-truncation"), "{why}");
}

#[test]
fn an_end_that_may_not_be_asked_for_ends_the_run() {
    let played = Played::new("--produce_msgs 5 --use-transactions", 1);
    played.fake.writes().answer(|_| Reply::Error(broker(code::TOPIC_AUTHORIZATION_FAILED)));
    let why = words(played.run());
    assert!(why.starts_with("topic t partition 0: the end of its log cannot be asked for"), "{why}");
}

#[test]
fn what_was_not_written_is_sent_again_under_another_number_of_the_same_run() {
    let played = Played::new("--produce_msgs 9 --max-buffered-records 1", 1);
    played.fake.writes().react(once(3, Reaction::Fail(broker(code::NOT_ENOUGH_REPLICAS))));
    assert!(played.run().is_ok());
    assert_eq!(played.acked(), [(0..9).collect::<Vec<_>>()]);
    assert_eq!((played.stats.fails.get(), played.stats.restarts.get()), (1, 1));
    let numbers: Vec<_> = played.proofs().iter().map(|proof| (proof.run, proof.sequence)).collect();
    assert_eq!(numbers, (0..10).map(|sequence| (1, sequence)).collect::<Vec<_>>());
    assert_eq!(played.causes().len(), 1);
}

#[test]
fn what_nobody_knows_of_begins_another_run() {
    let played = Played::new("--produce_msgs 9 --max-buffered-records 1", 1);
    let timed_out = KafkaError::Local(LocalError::TimedOut);
    played.fake.writes().react(once(3, Reaction::Lose(timed_out)));
    assert!(played.run().is_ok());
    assert_eq!(played.acked(), [vec![0, 1, 2, 4, 5, 6, 7, 8, 9]], "it is in the log, and not in the ledger");
    let numbers: Vec<_> = played.proofs().iter().map(|proof| (proof.run, proof.sequence)).collect();
    let expected = (0..4).map(|sequence| (1, sequence)).chain((0..6).map(|sequence| (2, sequence)));
    assert_eq!(numbers, expected.collect::<Vec<_>>());
}

#[test]
fn a_record_that_is_somewhere_is_acked_and_not_in_the_ledger() {
    let played = Played::new("--produce_msgs 9", 1);
    played.fake.writes().react(once(3, Reaction::AckSomewhere));
    assert!(played.run().is_ok());
    assert_eq!(played.acked(), [vec![0, 1, 2, 4, 5, 6, 7, 8]]);
    assert_eq!((played.stats.acked.get(), played.stats.restarts.get()), (9, 0));
}

#[test]
fn what_a_finished_client_held_is_unknown_and_another_client_goes_on() {
    let played = Played::new("--produce_msgs 12 --max-buffered-records 4", 1);
    let error = KafkaError::Local(LocalError::Other("OUT_OF_SEQUENCE"));
    played.fake.writes().react(move |arrival| match arrival.nth {
        4 | 5 => Reaction::Hold,
        6 => Reaction::Finish(error),
        _ => Reaction::Ack,
    });
    assert!(played.run().is_ok());
    let writes = played.fake.writes();
    // The first client, the one that looks for a truncation, and the one that goes on.
    assert_eq!((played.stats.acked.get(), writes.clients(), writes.held()), (12, 3, 0));
    assert_eq!(
        writes.questions.last().unwrap().client,
        2,
        "it is the new client that is asked where to go on"
    );
    drop(writes);
    let runs: Vec<u64> = played.proofs().iter().map(|proof| proof.run).collect();
    assert!(runs[..6].iter().all(|run| *run == 1) && runs[7..].iter().all(|run| *run == 2), "{runs:?}");
}

#[test]
fn a_producer_that_the_cluster_refuses_ends_the_run() {
    let played = Played::new("--produce_msgs 12", 1);
    played.fake.writes().react(|_| Reaction::Finish(broker(code::CLUSTER_AUTHORIZATION_FAILED)));
    let why = words(played.run());
    assert!(why.starts_with("topic t: the cluster refuses the producer: "), "{why}");
}

#[test]
fn a_log_that_ends_below_what_was_acked_is_named_where_its_leader_refuses_more() {
    let played = Played::new("--produce_msgs 12 --max-buffered-records 1", 1);
    let writes = played.fake.clone();
    played
        .fake
        .writes()
        .react(once(6, Reaction::Finish(KafkaError::Local(LocalError::Other("OUT_OF_ORDER")))));
    let script = async {
        played.until(|| writes.writes().arrivals.len() == 7).await;
        writes.writes().ends.insert(0, 2);
    };
    let Err(Halt::Violation(violation)) = played.run_beside(script) else { panic!("no violation") };
    let Violation { anomaly, offset, partition, .. } = *violation;
    assert_eq!((anomaly, partition, offset), (Anomaly::Truncation, 0, 2));
}

#[test]
fn an_ack_below_the_ledger_is_a_violation() {
    let played = Played::new("--produce_msgs 12 --max-buffered-records 1", 1);
    played.fake.writes().react(once(6, Reaction::AckAt(2)));
    let Err(Halt::Violation(violation)) = played.run() else { panic!("no violation") };
    assert_eq!((violation.anomaly, violation.offset), (Anomaly::RefilledTruncation, 2));
}

#[test]
fn records_of_transactions_are_predicted_across_markers() {
    let played = Played::new("--produce_msgs 12 --use-transactions --msgs-per-transaction 4", 1);
    assert!(played.run().is_ok());
    assert_eq!(played.acked(), [vec![0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]]);
    assert_eq!((played.stats.bad_offsets.get(), played.stats.restarts.get()), (0, 0));
}

#[test]
fn what_was_to_be_aborted_is_not_in_the_ledger() {
    let flags = "--produce_msgs 12 --use-transactions --msgs-per-transaction 4 --transaction-abort-rate 1";
    let played = Played::new(flags, 1);
    assert!(played.run().is_ok());
    assert_eq!(played.ledger().acked_count(), 0);
    assert_eq!((played.stats.acked.get(), played.stats.aborted_records.get()), (12, 12));
    let ids =
        played.fake.writes().arrivals.iter().filter(|arrival| arrival.key.starts_with(b"ABORTED")).count();
    assert_eq!(ids, 12);
}

#[test]
fn a_transaction_with_a_failed_record_is_sent_again() {
    let played = Played::new("--produce_msgs 8 --use-transactions --msgs-per-transaction 4", 1);
    played.fake.writes().react(once(5, Reaction::Fail(broker(code::NOT_ENOUGH_REPLICAS))));
    let ends = Rc::new(Cell::new((0, 0)));
    let counted = ends.clone();
    played.fake.writes().end(move |end| {
        let (commits, aborts) = counted.get();
        match end {
            End::Start => {}
            End::Commit => counted.set((commits + 1, aborts)),
            End::Abort => counted.set((commits, aborts + 1)),
        }
        None
    });
    assert!(played.run().is_ok());
    assert_eq!((ends.get(), played.stats.acked.get()), ((2, 1), 8));
    assert_eq!(played.stats.failed_transactions.get(), 1);
}

#[test]
fn who_is_fenced_does_not_fence_back() {
    let played = Played::new("--produce_msgs 8 --use-transactions --msgs-per-transaction 4", 1);
    played
        .fake
        .writes()
        .end(|end| (end == End::Commit).then(|| Ended::Fatal(broker(code::PRODUCER_FENCED).into())));
    let why = words(played.run());
    assert!(why.starts_with("transactional id 'kgo-t-0' was fenced: "), "{why}");
    assert_eq!((played.fake.writes().clients(), played.ledger().acked_count()), (1, 0));
}

#[test]
fn a_transaction_that_the_cluster_timed_out_is_put_down_to_nobody_else() {
    let flags = "--produce_msgs 8 --use-transactions --msgs-per-transaction 4 --transaction-timeout-ms 1s";
    let played = Played::new(flags, 1);
    let mut is_first = true;
    played.fake.writes().end(move |end| {
        let fails = end == End::Commit && std::mem::take(&mut is_first);
        let words = "Failed to end transaction: fenced by a newer instance".to_owned();
        fails.then(|| Ended::Fatal(Reason { error: broker(code::PRODUCER_FENCED), words }))
    });
    assert!(played.run().is_ok());
    let causes = format!("{:?}", played.causes());
    assert!(causes.contains("timed the transaction out") && !causes.contains("newer"), "{causes}");
}

#[test]
fn a_transaction_of_which_nobody_knows_is_sent_again_by_another_client() {
    let played = Played::new("--produce_msgs 8 --use-transactions --msgs-per-transaction 4", 1);
    let mut is_first = true;
    played.fake.writes().end(move |end| {
        let fails = end == End::Commit && std::mem::take(&mut is_first);
        fails.then(|| Ended::Fatal(KafkaError::Local(LocalError::TimedOut).into()))
    });
    assert!(played.run().is_ok());
    assert_eq!((played.stats.acked.get(), played.fake.writes().clients()), (8, 2));
    assert_eq!(played.acked(), [vec![5, 6, 7, 8, 10, 11, 12, 13]]);
    let runs: Vec<u64> = played.proofs().iter().map(|proof| proof.run).collect();
    assert_eq!(runs, [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
}

#[test]
fn a_transaction_of_which_nobody_knows_is_sent_again_by_the_same_client_where_that_goes_on() {
    let played = Played::new("--produce_msgs 8 --use-transactions --msgs-per-transaction 4", 1);
    let mut is_first = true;
    played.fake.writes().end(move |end| {
        let fails = end == End::Commit && std::mem::take(&mut is_first);
        fails.then(|| Ended::Unknown(broker(code::INVALID_TXN_STATE).into()))
    });
    assert!(played.run().is_ok());
    assert_eq!((played.stats.acked.get(), played.fake.writes().clients()), (8, 1));
    assert_eq!(played.stats.failed_transactions.get(), 1);
    let runs: Vec<u64> = played.proofs().iter().map(|proof| proof.run).collect();
    assert_eq!(runs, [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2], "what shows of it is out of nobody's order");
}

#[test]
fn markers_that_are_on_their_way_are_waited_for() {
    let played = Played::new("--produce_msgs 4 --use-transactions --msgs-per-transaction 4", 1);
    // Where the last stable offset is told before the marker is there, it is below the log's end.
    played.fake.writes().answer(|question| match (question.nth, question.isolation) {
        (0..5, Isolation::ReadCommitted) => Reply::Error(broker(code::OFFSET_NOT_AVAILABLE)),
        _ => Reply::Ends,
    });
    assert!(played.run().is_ok());
    let stable = played
        .fake
        .writes()
        .questions
        .iter()
        .filter(|asked| asked.isolation == Isolation::ReadCommitted)
        .count();
    assert_eq!((stable, played.stats.acked.get()), (3, 4));
}

#[test]
fn a_stop_waits_for_what_still_comes() {
    let played = Played::new("--produce_msgs 100 --max-buffered-records 4", 1);
    played.fake.writes().react(|arrival| if arrival.nth < 10 { Reaction::Ack } else { Reaction::Hold });
    let script = async {
        played.until(|| played.fake.writes().held() == 4).await;
        played.context.shared.lifecycle.request_stop();
        played.fake.writes().release();
    };
    assert!(played.run_beside(script).is_ok());
    assert_eq!(played.acked(), [(0..14).collect::<Vec<_>>()]);
}

/// What fails at once and for ever is tried some tens of times a second, and not twenty thousand times.
#[test]
fn an_attempt_that_got_nothing_acked_is_followed_by_a_pause() {
    const IN_VAIN: usize = 6;
    for flags in ["", "--tolerate-failed-produce", "--use-transactions --msgs-per-transaction 1"] {
        let played = Played::new(&format!("--produce_msgs 3 --max-buffered-records 1 {flags}"), 1);
        let times = Rc::new(std::cell::RefCell::new(Vec::new()));
        let seen = times.clone();
        played.fake.writes().react(move |arrival| {
            seen.borrow_mut().push(Instant::now());
            let is_in_vain = arrival.nth < IN_VAIN;
            if is_in_vain { Reaction::Fail(broker(code::NOT_ENOUGH_REPLICAS)) } else { Reaction::Ack }
        });
        assert!(played.run().is_ok(), "{flags}");
        let times = times.borrow();
        assert_eq!((times.len(), played.stats.acked.get()), (IN_VAIN + 3, 3), "{flags}");
        let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
        let least = [10, 20, 40, 80, 100, 100].map(Duration::from_millis);
        let pauses: Vec<_> = pauses.take(IN_VAIN).collect();
        assert!(pauses.iter().zip(least).all(|(pause, least)| *pause >= least), "{flags}: {pauses:?}");
    }
}
