use std::sync::Arc;

use super::*;
use crate::{
    kafka::{
        End, TransactionSettings,
        fake::{Fake, Reaction, on_an_executor},
    },
    partitions::PartitionSlot,
};

fn started(fake: &Fake, in_transactions: bool) -> Producer<Fake> {
    let timeout = Duration::from_mins(1);
    let settings = WriterSettings {
        linger: Duration::ZERO,
        batch_max_bytes: 1_000,
        max_buffered_records: 10,
        compression: Compression::None,
        transactions: in_transactions.then(|| TransactionSettings { id: "id".to_owned(), timeout }),
    };
    let rules = TransactionConfig { timeout, messages: 3, abort_rate: 0.0 };
    let table = Arc::new(PartitionTable::of_topic("t", [0]));
    Producer::start(fake.clone(), settings, table, in_transactions.then_some(rules)).expect("a client")
}

fn record(token: usize) -> Record<'static> {
    let partition = PartitionSlot::default();
    Record { partition, key: b"k", value: None, headers: &[], timestamp_ms: None, token }
}

/// So often a client is looked at: what waits for ever shall say so.
const LOOKS: usize = 100;

/// Until its first transaction has begun.
fn begin(producer: &mut Producer<Fake>) {
    let begins = |_| {
        producer.poll(1, |_| true);
        producer.advance(true, false, &mut Random::from_seed(1)) == Change::Started
    };
    assert!((0..LOOKS).any(begins), "it never begins");
}

#[test]
fn what_failed_in_a_transaction_comes_before_what_the_client_says_of_it() {
    on_an_executor(async {
        let mut producer = started(&Fake::default(), true);
        let (first, second) = (KafkaError::Broker(10), KafkaError::timed_out());
        for error in KafkaError::every().filter(|error| error.is_consequence()) {
            assert!(!producer.note_failure(error));
        }
        assert_eq!(producer.cause(None), None, "whoever lets go says nothing");
        assert!(!producer.note_failure(first) && !producer.note_failure(second), "it is told at the end");
        let of_record = Cause { reason: first.into(), is_of_record: true };
        assert_eq!(producer.cause(Some(second.into())), Some(of_record));
        let of_client = Cause { reason: second.into(), is_of_record: false };
        assert_eq!(producer.cause(Some(second.into())), Some(of_client), "once");
        let mut plain = started(&Fake::default(), false);
        assert!(plain.note_failure(first), "at once, where there is no end to wait for");
        assert_eq!(plain.cause(None), None);
    });
}

#[test]
fn a_new_client_has_sent_nothing_and_no_transaction() {
    on_an_executor(async {
        let fake = Fake::default();
        let mut producer = started(&fake, true);
        assert_eq!((producer.accepts(), producer.transactional_id()), (None, "id"));
        begin(&mut producer);
        producer.send(&record(0)).expect("room");
        assert_eq!((producer.client_records(), producer.is_empty()), (1, false));
        producer.renew(Compression::None).expect("a client");
        assert_eq!((producer.client_records(), producer.is_empty()), (0, true));
        assert!(producer.is_starting() && producer.another().is_ok());
        assert_eq!(fake.writes().clients(), 3);
    });
}

#[test]
fn a_delivery_that_is_not_sound_has_its_transaction_aborted() {
    on_an_executor(async {
        for (reaction, sound, expected) in [
            (Reaction::Ack, true, End::Commit),
            (Reaction::Ack, false, End::Abort),
            (Reaction::Fail(KafkaError::timed_out()), true, End::Abort),
        ] {
            let (fake, mut random) = (Fake::default(), Random::from_seed(1));
            let mut producer = started(&fake, true);
            begin(&mut producer);
            fake.writes().react(move |_| reaction);
            let ends = std::rc::Rc::new(std::cell::Cell::new(None));
            let asked = ends.clone();
            fake.writes().end(move |end| {
                asked.set(Some(end));
                None
            });
            producer.send(&record(0)).expect("room");
            assert!((0..LOOKS).any(|_| producer.poll(1, |_| sound) == 1), "no delivery");
            for _ in 0..LOOKS {
                producer.poll(1, |_| true);
                if producer.advance(true, true, &mut random) != Change::None {
                    break;
                }
            }
            assert_eq!(ends.get(), Some(expected), "{reaction:?} {sound}");
        }
    });
}
