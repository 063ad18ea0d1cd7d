use super::super::played::{Played, broker, words};
use crate::kafka::{KafkaError, LocalError, code, fake::Reaction};

#[test]
fn what_lands_where_it_should_is_in_the_ledger() {
    let played = Played::new("--produce_msgs 40 --max-buffered-records 8", 2);
    assert!(played.run().is_ok());
    let acked = played.acked();
    assert_eq!(acked.iter().map(Vec::len).sum::<usize>(), 40);
    let ends = played.fake.writes().ends.clone();
    for (partition, offsets) in (0..).zip(acked) {
        assert_eq!(offsets, (0..ends[&partition]).collect::<Vec<_>>());
    }
    let stats = &played.stats;
    assert_eq!((stats.acked.get(), stats.bad_offsets.get(), stats.restarts.get()), (40, 0, 0));
    let writes = played.fake.writes();
    assert_eq!((writes.clients(), writes.questions.len()), (1, 0));
}

#[test]
fn no_more_is_under_way_than_the_window_holds() {
    let played = Played::new("--produce_msgs 9 --max-buffered-records 4", 1);
    played.fake.writes().react(|_| Reaction::Hold);
    let held = || played.fake.writes().held();
    let script = async {
        for (whole, left) in [(4, 5), (4, 1), (1, 0)] {
            played.until(|| held() == whole).await;
            assert_eq!(played.fake.writes().arrivals.len() + left, 9);
            played.fake.writes().release();
        }
    };
    assert!(played.run_beside(script).is_ok());
    assert_eq!(played.stats.acked.get(), 9);
}

#[test]
fn what_a_full_client_did_not_take_is_sent_later_and_leaves_no_gap() {
    let played = Played::new("--produce_msgs 20 --fake-timestamp-ms 5 --fake-timestamp-step-ms 2", 1);
    played.fake.writes().react(|arrival| match arrival.nth % 3 {
        1 => Reaction::Full,
        _ => Reaction::Ack,
    });
    assert!(played.run().is_ok());
    assert_eq!(played.acked(), [(0..20).collect::<Vec<_>>()]);
    let taken = |nth: &usize| nth % 3 != 1;
    let proofs = played.proofs();
    let sequences: Vec<u64> = (0..proofs.len()).filter(taken).map(|nth| proofs[nth].sequence).collect();
    assert_eq!(sequences, (0..20).collect::<Vec<_>>());
    let writes = played.fake.writes();
    let times: Vec<_> =
        writes.arrivals.iter().filter(|a| taken(&a.nth)).filter_map(|a| a.timestamp_ms).collect();
    assert_eq!(times, (0..20).map(|nth| 5 + 2 * nth).collect::<Vec<_>>());
    assert_eq!((played.stats.fails.get(), played.stats.sent.get()), (0, 20));
}

#[test]
fn a_record_that_may_not_be_sent_for_a_moment_is_sent_later() {
    let played = Played::new("--produce_msgs 5", 1);
    played.fake.writes().react(|arrival| match arrival.nth {
        0..3 => Reaction::Refuse(KafkaError::Local(LocalError::UnknownTopic)),
        _ => Reaction::Ack,
    });
    assert!(played.run().is_ok());
    assert_eq!((played.stats.acked.get(), played.stats.fails.get()), (5, 0));
}

#[test]
fn a_record_that_is_refused_ends_the_run() {
    let refused = |played: Played| {
        let error = broker(code::TOPIC_AUTHORIZATION_FAILED);
        played.fake.writes().react(move |_| Reaction::Refuse(error));
        words(played.run())
    };
    let why = refused(Played::new("--produce_msgs 5", 1));
    assert!(why.starts_with("topic t partition 0 offset 0: the record was not acked"), "{why}");
}

#[test]
fn a_broker_s_refusal_of_a_record_ends_the_run_unless_it_is_tolerated() {
    let play = |flags: &str| {
        let played = Played::new(&format!("--produce_msgs 5 {flags}"), 1);
        played.fake.writes().react(|arrival| match arrival.nth {
            2 => Reaction::Fail(broker(code::MESSAGE_TOO_LARGE)),
            _ => Reaction::Ack,
        });
        played
    };
    let strict = play("");
    let why = words(strict.run());
    assert!(why.contains("partition 0 offset 2") && why.contains("raise max.message.bytes"), "{why}");
    assert_eq!(strict.acked()[0][..2], [0, 1], "what was acked before is true");
    let tolerant = play("--tolerate-failed-produce");
    assert!(tolerant.run().is_ok());
    assert_eq!((tolerant.stats.acked.get(), tolerant.stats.fails.get()), (5, 1));
}

#[test]
fn each_producer_id_has_its_share() {
    let played = Played::new("--produce_msgs 20 --msgs-per-producer-id 6", 1);
    assert!(played.run().is_ok());
    let writes = played.fake.writes();
    let of = |client| writes.arrivals.iter().filter(|arrival| arrival.client == client).count();
    assert_eq!((0..writes.clients()).map(of).collect::<Vec<_>>(), [6, 6, 6, 2]);
    assert_eq!(played.stats.restarts.get(), 0, "nothing is asked for a new one");
}

#[test]
fn a_partition_without_a_leader_is_taken_in_when_it_has_one() {
    let mut played = Played::new("--produce_msgs 50 --max-buffered-records 1", 2);
    played.job.partitions[1].end_offset = super::super::predict::predicted_log::NOT_KNOWN;
    let writes = || played.fake.writes();
    writes().react(|_| Reaction::Hold);
    let script = async {
        played.until(|| writes().held() == 1).await;
        assert_eq!(writes().arrivals[0].partition, 0);
        writes().ends.insert(1, 30);
        played.job.late.tell(1, 30);
        while played.stats.acked.get() < 50 {
            writes().release();
            // The shard looks ten times a second.
            if writes().arrivals.len() > 5 && !writes().arrivals.iter().any(|arrival| arrival.partition == 1)
            {
                played.until(|| played.stats.wants.get().is_some()).await;
            }
            futures_lite::future::yield_now().await;
        }
    };
    assert!(played.run_beside(script).is_ok());
    assert_eq!(played.stats.bad_offsets.get(), 0);
    assert!(played.acked()[0].starts_with(&[0]));
}
