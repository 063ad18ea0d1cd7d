use super::*;
use crate::{
    config::{Compression, Fill, ProduceConfig},
    verifier::produce::ack_watch::Overdue,
};
use std::{num::NonZeroU64, time::Duration};

/// The only one.
const SLOT: PartitionSlot = PartitionSlot::new(0);

struct Fixture {
    acks: Acks,
    stats: Arc<ProducerStats>,
}

/// One partition, id 4, whose log ends at 100 and whose ledger reaches 99; ten records to send, three at a time.
fn fixture(tolerate: bool, tombstone_probability: f64) -> Fixture {
    let config = ProduceConfig {
        messages: NonZeroU64::new(10).unwrap(),
        value_bytes: 8,
        linger: Duration::ZERO,
        batch_max_bytes: 1 << 20,
        max_buffered_records: 3,
        compression: Compression::None,
        fill: Fill::Zeros,
        payload: None,
        key_set_cardinality: Some(2),
        tombstone_probability,
        fake_timestamps: None,
        throughput_bytes_per_s: None,
        tolerate_failed_produce: tolerate,
        messages_per_producer_id: None,
        transactions: None,
        latest_values: false,
        proof_header: true,
    };
    let stats = Arc::new(ProducerStats::new(&[4]));
    let partition = ProducePartition { id: 4, end_offset: 100, highest_acked: 99, last_consumable: 0 };
    let table = Arc::new(PartitionTable::of_topic("t", [4]));
    let prediction = Prediction {
        config: &config,
        partitions: &[partition],
        records: 10,
        window: 3,
        tolerate_data_loss: tolerate,
        stats: &stats,
    };
    Fixture { acks: Acks::new(table, &prediction), stats }
}

fn draft(tombstone: bool) -> Draft {
    Draft { partition: SLOT, value_bytes: 8, key_index: Some(0), tombstone, late_us: 0 }
}

impl Fixture {
    fn send(&mut self) -> Sending {
        self.acks.predict(&draft(false), 0).expect("room for a record")
    }

    fn settle(&mut self, sending: Sending, outcome: Outcome) {
        self.acks.settle(Delivery { token: sending.token, outcome }, 1_000);
    }

    /// What is handed on for the ledger.
    fn told(&mut self) -> Vec<String> {
        let told = self.acks.take_entries().into_iter().map(|entry| match entry {
            Entry::Acked { partition, runs, last_consumable } => {
                let runs: Vec<_> = runs.iter().map(|run| format!("{}..{}", run.lower, run.upper)).collect();
                format!("{partition}: {} {last_consumable:?}", runs.join(" "))
            }
            Entry::Truncated { partition, offset } => format!("{partition}: truncation at {offset}"),
            Entry::Latest(acks) => format!("{acks:?}"),
        });
        told.collect()
    }
}

fn kafka_error() -> KafkaError {
    KafkaError::timed_out()
}

#[test]
fn acks_where_predicted_reach_the_ledger() {
    let mut run = fixture(false, 0.0);
    let sent = [run.send(), run.send(), run.send()];
    assert_eq!(sent.map(|sending| sending.offset), [100, 101, 102]);
    assert!(run.acks.predict(&draft(false), 0).is_none(), "the window is full");
    for sending in sent {
        run.settle(sending, Outcome::Acked { offset: sending.offset });
    }
    assert_eq!(run.told(), ["4: 100..103 None"]);
    assert_eq!((run.stats.acked.get(), run.stats.acked_bytes.get(), run.stats.bad_offsets.get()), (3, 24, 0));
    assert_eq!(run.stats.max_offsets.get(0), 102);
    assert!(run.acks.violation.is_none() && !run.acks.restart_wanted);
}

#[test]
fn ack_elsewhere_is_no_ledger_entry_and_is_sent_again() {
    let mut run = fixture(false, 0.0);
    let (first, second) = (run.send(), run.send());
    run.settle(first, Outcome::Acked { offset: 105 });
    run.settle(second, Outcome::Acked { offset: 106 });
    assert!(run.acks.restart_wanted && run.acks.violation.is_none());
    assert!(run.acks.predict(&draft(false), 0).is_none(), "not before the ends are known again");
    assert_eq!((run.stats.acked.get(), run.stats.bad_offsets.get()), (0, 2));
    assert!(run.told().is_empty());
    run.acks.repredict(SLOT, 107);
    run.acks.restart_wanted = false;
    for expected in 107..117 {
        let sending = run.send();
        assert_eq!(sending.offset, expected);
        run.settle(sending, Outcome::Acked { offset: expected });
    }
    assert!(run.acks.is_done(), "ten acked where predicted, as asked");
}

#[test]
fn a_log_that_ends_at_what_was_acked_or_below_is_truncated() {
    let mut run = fixture(false, 0.0);
    let sending = run.send();
    run.settle(sending, Outcome::Acked { offset: sending.offset });
    let (partition, offset) = (sending.partition, sending.offset);
    assert_eq!(run.acks.lost_at(partition, offset + 1), None);
    assert_eq!(run.acks.lost_at(partition, offset), Some(offset));
    run.acks.tolerate_data_loss = true;
    assert_eq!(run.acks.lost_at(partition, offset), None);
}

#[test]
fn ack_below_the_ledger_ends_the_run() {
    let mut run = fixture(false, 0.0);
    let sending = run.send();
    run.settle(sending, Outcome::Acked { offset: 99 });
    let violation = run.acks.violation.expect("a violation");
    assert_eq!(violation.anomaly, Anomaly::RefilledTruncation);
    assert_eq!((violation.partition, violation.offset), (4, 99));
}

/// Leaders that move have a client ask for some batches twice, and hear of those behind them first.
#[test]
fn who_is_acked_late_where_it_was_expected_is_no_truncation() {
    for tolerate in [false, true] {
        let mut run = fixture(tolerate, 0.0);
        let [first, second] = [run.send(), run.send()];
        run.settle(second, Outcome::Acked { offset: 101 });
        run.settle(first, Outcome::Acked { offset: 100 });
        assert!(run.acks.violation.is_none() && !run.acks.restart_wanted);
        assert_eq!(
            run.acks.lost_at(second.partition, 101),
            Some(101).filter(|_| !tolerate),
            "the highest stays"
        );
    }
}

#[test]
fn who_is_acked_where_a_shorter_log_was_found_to_end_is_one() {
    let mut run = fixture(false, 0.0);
    run.acks.repredict(SLOT, 90);
    let sending = run.send();
    run.settle(sending, Outcome::Acked { offset: 90 });
    assert_eq!(run.acks.violation.expect("a violation").anomaly, Anomaly::RefilledTruncation);
}

#[test]
fn tolerated_loss_cuts_the_ledger_behind_what_was_acked_before() {
    let mut run = fixture(true, 0.0);
    let (first, second) = (run.send(), run.send());
    run.settle(first, Outcome::Acked { offset: 100 });
    run.settle(second, Outcome::Acked { offset: 50 });
    assert!(run.acks.violation.is_none() && run.acks.restart_wanted);
    assert_eq!(run.told(), ["4: 100..101 None", "4: truncation at 50"]);
    assert_eq!(run.acks.stats.lost_offsets.get(), 51);
    run.acks.repredict(SLOT, 51);
    run.acks.restart_wanted = false;
    let third = run.send();
    run.settle(third, Outcome::Acked { offset: 51 });
    assert_eq!(run.told(), ["4: 51..52 None"], "above the truncation all is in order again");
}

#[test]
fn failed_sends_are_counted_by_cause_and_sent_again() {
    let mut run = fixture(false, 0.0);
    let sent = [run.send(), run.send(), run.send()];
    let (first, other) = (kafka_error(), KafkaError::Broker(10));
    for (sending, outcome) in
        sent.into_iter().zip([Outcome::Failed(first), Outcome::Unknown(other), Outcome::Failed(first)])
    {
        run.settle(sending, outcome);
    }
    let failed = |error, count, offset| Failed { error, count, partition: SLOT, offset };
    assert_eq!(run.acks.failed, [failed(first, 2, 100), failed(other, 1, 101)]);
    assert!(run.acks.violation.is_none() && run.acks.restart_wanted && !run.acks.is_done());
    assert_eq!((run.stats.fails.get(), run.stats.acked.get()), (3, 0));
}

/// Whatever was sent in vain has been paid for where there is a rate limit.
#[test]
fn what_is_sent_again_is_told_from_what_is_sent_for_the_first_time() {
    let mut run = in_transactions();
    let (first, second) = (run.send(), run.send());
    assert!(!first.again && !run.acks.sends_again());
    run.settle(first, Outcome::Acked { offset: 100 });
    run.settle(second, Outcome::Failed(kafka_error()));
    run.acks.abort(false);
    run.acks.restart_wanted = false;
    assert!(run.acks.sends_again());
    let first = run.send();
    run.acks.take_back(first);
    let sent = [run.send(), run.send(), run.send()].map(|sending| sending.again);
    assert_eq!((sent, run.acks.sends_again()), ([true, true, false], false));
}

#[test]
fn what_the_client_let_go_at_an_answer_without_the_topic_has_not_failed() {
    let error = KafkaError::unknown_topic();
    // It may have been under way when a connection broke.
    for (outcome, unknown) in [(Outcome::Failed(error), false), (Outcome::Unknown(error), true)] {
        let mut run = fixture(false, 0.0);
        let sending = run.send();
        run.settle(sending, outcome);
        assert!(run.acks.violation.is_none() && run.acks.restart_wanted && !run.acks.is_done());
        assert_eq!((run.stats.fails.get(), run.acks.unknown), (0, unknown));
    }
}

#[test]
fn ack_without_a_place_counts_but_is_not_listed() {
    let mut run = fixture(false, 0.0);
    let sending = run.send();
    run.settle(sending, Outcome::AckedNoOffset);
    assert_eq!((run.stats.acked.get(), run.stats.bad_offsets.get()), (1, 0));
    assert!(run.told().is_empty() && !run.acks.restart_wanted);
}

#[test]
fn record_that_the_client_refused_gives_its_offset_back() {
    let mut run = fixture(false, 0.0);
    let sending = run.send();
    run.acks.take_back(sending);
    assert_eq!(run.send().offset, 100);
    assert!(!run.acks.nothing_in_flight());
}

#[test]
fn tombstones_move_the_last_consumable_offset() {
    let mut run = fixture(false, 0.5);
    for (tombstone, offset) in [(false, 100), (true, 101)] {
        let sending = run.acks.predict(&draft(tombstone), 0).unwrap();
        run.settle(sending, Outcome::Acked { offset });
    }
    assert_eq!(run.told(), ["4: 100..102 Some(0)"], "the only key is gone");
    assert_eq!(run.stats.tombstones.get(), 1);
}

/// The same partition, in transactions.
fn in_transactions() -> Fixture {
    let mut run = fixture(false, 0.0);
    run.acks.habits = Some(Habits::default());
    run
}

#[test]
fn nothing_is_said_of_a_record_before_its_transaction_is_committed() {
    let mut run = in_transactions();
    for _ in 0..2 {
        let sending = run.send();
        run.settle(sending, Outcome::Acked { offset: sending.offset });
    }
    assert_eq!(run.stats.acked.get(), 0);
    assert!(run.told().is_empty());
    run.acks.commit();
    assert_eq!(run.stats.acked.get(), 2);
    assert_eq!(run.told(), ["4: 100..102 None"]);
    assert_eq!(run.send().offset, 103, "the marker lies between");
}

#[test]
fn what_was_to_be_aborted_is_done_with_but_not_listed() {
    let mut run = in_transactions();
    let sending = run.send();
    run.settle(sending, Outcome::Acked { offset: 100 });
    run.acks.abort(true);
    assert_eq!((run.stats.acked.get(), run.stats.aborted_records.get()), (1, 1));
    assert_eq!(run.stats.failed_transactions.get(), 0);
    assert_eq!(run.stats.max_offsets.get(0), -1, "no reader will see it");
    assert!(run.told().is_empty());
    assert_eq!(run.send().offset, 102);
}

#[test]
fn what_a_failed_transaction_held_is_sent_again() {
    let mut run = in_transactions();
    let (first, second) = (run.send(), run.send());
    run.settle(first, Outcome::Acked { offset: 100 });
    run.settle(second, Outcome::Failed(kafka_error()));
    assert!(run.acks.violation.is_none() && run.acks.restart_wanted, "it is tried again");
    run.acks.abort(false);
    assert_eq!((run.stats.acked.get(), run.stats.failed_transactions.get()), (0, 1));
    assert!(run.told().is_empty() && !run.acks.is_done());
    run.acks.repredict(SLOT, 102);
    run.acks.restart_wanted = false;
    for expected in 102..112 {
        let sending = run.send();
        assert_eq!(sending.offset, expected);
        run.settle(sending, Outcome::Acked { offset: expected });
    }
    assert!(!run.acks.is_done(), "not before it is committed");
    run.acks.commit();
    assert!(run.acks.is_done());
    assert_eq!(run.stats.acked.get(), 10);
}

#[test]
fn control_records_of_another_cluster_are_learnt_from_one_bad_offset() {
    let mut run = in_transactions();
    let first = run.send();
    run.settle(first, Outcome::Acked { offset: 101 });
    assert_eq!(run.stats.bad_offsets.get(), 1, "there was a fence");
    run.acks.abort(false);
    run.acks.repredict(SLOT, 103);
    run.acks.restart_wanted = false;
    for expected in [104, 107, 110] {
        let sending = run.send();
        assert_eq!(sending.offset, expected, "fence, record, marker");
        run.settle(sending, Outcome::Acked { offset: expected });
        run.acks.commit();
    }
}

/// A coordinator may write a marker twice, again and again.
#[test]
fn a_transaction_that_failed_for_where_a_record_landed_is_not_followed_by_another() {
    let mut run = in_transactions();
    let mut end = 100;
    // Where each transaction's only record lands behind its prediction, and whether it can be committed.
    for (off, is_sound) in [(0, true), (5, false), (5, true), (5, true), (0, true), (5, false)] {
        let sending = run.send();
        assert_eq!(sending.offset, end);
        let outcome = Outcome::Acked { offset: end + off };
        assert_eq!(run.acks.settle(Delivery { token: sending.token, outcome }, 0), is_sound, "{off}");
        if is_sound {
            run.acks.commit();
        } else {
            run.acks.abort(false);
        }
        assert_eq!(run.acks.in_doubt().is_empty(), off == 0);
        end += off + 2;
        if off > 0 {
            run.acks.repredict(SLOT, end);
            run.acks.restart_wanted = false;
        }
    }
    assert_eq!((run.stats.acked.get(), run.stats.bad_offsets.get()), (2, 4));
    assert_eq!(run.told(), ["4: 100..101 123..124 None"], "what landed elsewhere is in no ledger");
}

#[test]
fn what_keeps_last_values_commits_nothing_that_landed_elsewhere() {
    let mut run = in_transactions();
    run.acks.latest_values = true;
    for offset in [101, 105] {
        let sending = run.send();
        let outcome = Outcome::Acked { offset };
        assert!(!run.acks.settle(Delivery { token: sending.token, outcome }, 0));
        run.acks.abort(false);
        run.acks.repredict(SLOT, offset + 2);
        run.acks.restart_wanted = false;
    }
}

#[test]
fn watched_keys_travel_with_their_last_place() {
    let mut run = fixture(false, 0.0);
    run.acks.latest_values = true;
    let sending = run.send();
    run.settle(sending, Outcome::Acked { offset: 100 });
    let entries = run.acks.take_entries();
    let [Entry::Latest(told), Entry::Acked { .. }] = &entries[..] else {
        panic!("the ledger lists what the last values do not know: {entries:?}")
    };
    let ack = KeyAck { key_index: Some(0), offset: 100, value_bytes: 8, tombstone: false };
    assert_eq!(*told, [(4, ack)]);
}

#[test]
fn watched_keys_travel_first_where_a_cut_is_told_too() {
    let mut run = fixture(true, 0.0);
    run.acks.latest_values = true;
    let (first, second) = (run.send(), run.send());
    run.settle(first, Outcome::Acked { offset: 100 });
    run.settle(second, Outcome::Acked { offset: 50 });
    let told = run.acks.take_entries();
    assert!(matches!(told[..], [Entry::Latest(_), Entry::Acked { .. }, Entry::Truncated { .. }]), "{told:?}");
}

#[test]
fn records_are_numbered_for_their_partition() {
    let mut run = fixture(true, 0.0);
    let first = run.send();
    assert_eq!(first.number, (0, None));
    run.acks.take_back(first);
    let (first, second) = (run.send(), run.send());
    assert_eq!((first.number, second.number), ((0, None), (1, None)), "what was not sent has no number");
    run.settle(first, Outcome::Acked { offset: 105 });
    run.settle(second, Outcome::Failed(kafka_error()));
    assert!(!run.acks.unknown);
    run.acks.restart_wanted = false;
    let third = run.send();
    assert_eq!(third.number, (2, None), "what is sent again is another record");
    run.settle(third, Outcome::Unknown(kafka_error()));
    assert!(run.acks.unknown, "it may turn up when nobody expects it");
    run.acks.restart_numbers();
    run.acks.restart_wanted = false;
    assert_eq!(run.send().number, (0, None));
}

#[test]
fn what_is_overdue_is_told_by_partition() {
    let mut fixture = fixture(false, 0.0);
    let (first, second) = (fixture.send(), fixture.send());
    let overdue = |fixture: &Fixture, now_us| fixture.acks.overdue(now_us, Duration::from_secs(5), false);
    assert_eq!(overdue(&fixture, 4_999_999), []);
    let expected = Overdue { partition: SLOT, offset: 100, records: 2, in_transaction: false };
    assert_eq!(overdue(&fixture, 5_000_000), [expected]);
    fixture.settle(first, Outcome::Acked { offset: 100 });
    assert_eq!(overdue(&fixture, 5_000_000), [Overdue { offset: 101, records: 1, ..expected }]);
    fixture.settle(second, Outcome::Acked { offset: 101 });
    assert_eq!(overdue(&fixture, 5_000_000), []);
}
