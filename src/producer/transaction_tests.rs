use std::thread;

use crossbeam::channel::{Receiver, Sender};

use super::*;
use crate::kafka::KafkaError;

/// A transaction whose other side the test plays.
struct Played {
    transaction: Transaction,
    asked: Receiver<End>,
    answers: Sender<Ended>,
    random: Random,
}

impl Played {
    /// The first one has begun.
    fn begun(timeout: Duration) -> Self {
        let (thread, asked, answers) = Transactions::channel();
        let rules = TransactionConfig { timeout, messages: 3, abort_rate: 0.0 };
        let transaction = Transaction::start(rules, thread);
        let mut played = Self { transaction, asked, answers, random: Random::from_seed(1) };
        assert_eq!(played.asked(), Some(End::Start));
        played.answers.send(Ended::Started).unwrap();
        assert_eq!(played.advance(true, false), Change::Started);
        played
    }

    fn advance(&mut self, nothing_in_flight: bool, nothing_to_send: bool) -> Change {
        self.transaction.advance(nothing_in_flight, nothing_to_send, &mut self.random)
    }

    fn asked(&self) -> Option<End> {
        self.asked.try_recv().ok()
    }
}

#[test]
fn what_finished_the_client_does_not_make_its_transaction_younger() {
    // Whoever was open for so long may have been ended by the cluster: one second before it is.
    let mut played = Played::begun(Duration::from_millis(1_020));
    played.transaction.sent();
    thread::sleep(Duration::from_millis(30));
    assert_eq!(played.advance(true, true), Change::None);
    played.answers.send(Ended::Fatal(KafkaError::timed_out().into())).unwrap();
    assert!(matches!(played.advance(true, true), Change::Fatal { unknown: true, .. }));
    assert!(played.transaction.may_have_timed_out());
}

#[test]
fn what_failed_is_aborted_at_once_and_told_when_the_rest_is_in() {
    let mut played = Played::begun(Duration::from_mins(1));
    (0..2).for_each(|_| played.transaction.sent());
    assert_eq!((played.advance(false, false), played.asked()), (Change::None, None));
    played.transaction.settled(true, false);
    assert!(played.transaction.has_failed() && played.transaction.accepts().is_none());
    // The client may hold on to the other one until it is told to abort.
    assert_eq!((played.advance(false, false), played.asked()), (Change::None, Some(End::Abort)));
    let reason = Some(Reason::from(KafkaError::timed_out()));
    played.answers.send(Ended::Aborted(reason.clone())).unwrap();
    assert_eq!(played.advance(false, false), Change::None);
    played.transaction.settled(true, false);
    let aborted = Change::Aborted { intended: false, reason };
    assert_eq!(played.advance(true, false), aborted);
    assert!(!played.transaction.has_failed() && played.transaction.accepts() == Some(false));
}

#[test]
fn what_is_spoilt_is_aborted_and_has_not_failed() {
    let mut played = Played::begun(Duration::from_mins(1));
    played.transaction.sent();
    played.transaction.settled(false, false);
    assert!(!played.transaction.has_failed() && played.transaction.accepts().is_none());
    assert_eq!((played.advance(true, false), played.asked()), (Change::None, Some(End::Abort)));
    played.answers.send(Ended::Aborted(None)).unwrap();
    let aborted = Change::Aborted { intended: false, reason: None };
    assert_eq!(played.advance(true, false), aborted);
    assert_eq!(played.transaction.accepts(), Some(false));
}
