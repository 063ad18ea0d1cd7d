use super::*;

const SLOT: PartitionSlot = PartitionSlot::new(0);
const FIRST: ProducerId = ProducerId { id: 7, epoch: 0 };
const NONE: ProducerId = ProducerId { id: -1, epoch: -1 };

fn epoch(epoch: i16) -> ProducerId {
    ProducerId { id: 7, epoch }
}

/// A transactor whose coordinator the test plays.
struct Played {
    transactor: Transactor,
    now_us: u64,
}

impl Played {
    fn new(is_newer: bool) -> Self {
        let mut played = Self { transactor: Transactor::new(), now_us: 0 };
        played.transactor.note_manner(is_newer);
        played
    }

    /// The first transaction is open.
    fn begun(is_newer: bool) -> Self {
        let mut played = Self::new(is_newer);
        assert_eq!(played.transactor.next(0), None, "nothing before it is started");
        played.transactor.start();
        played.find();
        assert_eq!(played.ask(), Some(Ask::ProducerId(None)));
        played.got_id(0, FIRST);
        assert_eq!(played.outcome(), Some(Outcome::Started));
        assert_eq!(played.transactor.take_opened(), Some(Opened { producer: FIRST, is_newer }));
        played
    }

    fn find(&mut self) {
        assert_eq!(self.ask(), Some(Ask::Coordinator));
        self.transactor.found(0, 3, self.now_us);
        assert_eq!(self.transactor.coordinator(), Some(3));
    }

    /// What is asked next, when it is due.
    fn ask(&mut self) -> Option<Ask> {
        let due_us = self.transactor.next_us();
        if due_us != u64::MAX {
            self.now_us = self.now_us.max(due_us);
        }
        let ask = self.transactor.next(self.now_us)?;
        self.transactor.asked(ask);
        assert_eq!(self.transactor.next(self.now_us), None, "one at a time");
        Some(ask)
    }

    fn got_id(&mut self, error: i16, producer: ProducerId) {
        self.transactor.got_id(error, producer, self.now_us);
    }

    fn ended(&mut self, error: i16, next: Option<ProducerId>) {
        self.transactor.ended(error, next, self.now_us);
    }

    fn lose(&mut self) {
        self.transactor.not_answered(self.now_us);
    }

    fn outcome(&mut self) -> Option<Outcome> {
        self.now_us = self.now_us.max(self.transactor.outcome.map_or(0, |(_, at_us)| at_us));
        self.transactor.take_outcome(self.now_us)
    }

    /// Adds partition 0.
    fn add(&mut self) {
        self.transactor.want(SLOT);
        assert!(matches!(self.ask(), Some(Ask::Add(_))));
        let added = self.transactor.added([(SLOT, 0)].into_iter(), self.now_us);
        assert_eq!(added, Added { admitted: vec![SLOT], refused: vec![] });
    }

    fn end(&mut self, commit: bool) {
        self.transactor.end(commit, None, self.now_us);
        assert!(!self.transactor.is_open());
    }

    /// Ends a transaction of this producer, and returns what became of it where the coordinator answers so.
    fn ends_with(&mut self, commit: bool, error: i16) -> Option<Outcome> {
        self.end(commit);
        assert!(matches!(self.ask(), Some(Ask::End { commit: asked, .. }) if asked == commit));
        self.ended(error, None);
        self.outcome()
    }
}

#[test]
fn an_epoch_serves_many_transactions_in_the_former_manner() {
    let mut played = Played::begun(false);
    for (commit, outcome) in [(true, Outcome::Committed), (false, Outcome::Aborted(None))] {
        played.add();
        assert_eq!(played.ends_with(commit, 0), Some(outcome));
        assert_eq!(played.transactor.take_opened(), Some(Opened { producer: FIRST, is_newer: false }));
    }
    assert_eq!((played.ask(), played.outcome()), (None, None));
}

#[test]
fn each_end_brings_a_new_epoch_in_the_newer_manner() {
    let mut played = Played::begun(true);
    played.end(true);
    assert_eq!(played.ask(), Some(Ask::End { producer: FIRST, commit: true }));
    played.ended(0, Some(epoch(1)));
    assert_eq!(played.outcome(), Some(Outcome::Committed));
    assert_eq!(played.transactor.take_opened(), Some(Opened { producer: epoch(1), is_newer: true }));
    played.transactor.break_sequence();
    played.end(false);
    assert_eq!(played.ask(), Some(Ask::End { producer: epoch(1), commit: false }));
    played.ended(0, Some(epoch(2)));
    assert_eq!(played.outcome(), Some(Outcome::Aborted(None)), "and no other epoch is asked for");
    // A cluster that goes back to the former manner, or on to the newer one, is followed from the next transaction on.
    played.transactor.note_manner(false);
    assert!(played.transactor.is_newer());
    played.end(true);
    played.ask();
    played.ended(0, Some(epoch(3)));
    assert!(!played.transactor.is_newer());
}

#[test]
fn what_the_coordinator_never_heard_of_is_over_at_once() {
    let mut played = Played::begun(false);
    played.transactor.want(SLOT);
    played.transactor.end(false, Some(5), 0);
    assert_eq!((played.ask(), played.outcome()), (None, Some(Outcome::Aborted(Some(5)))));
}

#[test]
fn a_broken_sequence_has_a_new_epoch_before_the_next_transaction() {
    let mut played = Played::begun(false);
    played.add();
    played.transactor.break_sequence();
    assert_eq!(played.ends_with(false, 0), None, "not before the epoch is there");
    assert_eq!(played.ask(), Some(Ask::ProducerId(Some(FIRST))));
    played.got_id(0, epoch(1));
    assert_eq!(played.outcome(), Some(Outcome::Aborted(None)));
    assert_eq!(played.transactor.take_opened(), Some(Opened { producer: epoch(1), is_newer: false }));
}

#[test]
fn an_end_that_was_not_answered_is_asked_again_and_cannot_fall_upon_the_next_transaction() {
    for commit in [true, false] {
        let mut played = Played::begun(false);
        played.add();
        played.end(commit);
        let end = played.ask();
        played.lose();
        played.find();
        assert_eq!(played.ask(), end, "the same, in the same epoch");
        played.ended(0, None);
        assert_eq!(played.outcome(), None);
        assert_eq!(played.ask(), Some(Ask::ProducerId(Some(FIRST))));
        played.lose();
        played.find();
        assert_eq!(played.ask(), Some(Ask::ProducerId(Some(FIRST))), "whose answer was lost asks the same");
        played.got_id(0, epoch(1));
        let outcome = if commit { Outcome::Committed } else { Outcome::Aborted(None) };
        assert_eq!(played.outcome(), Some(outcome));
        // What was lost is over with that.
        played.add();
        assert_eq!(played.ends_with(true, 0), Some(Outcome::Committed));
    }
}

#[test]
fn in_the_newer_manner_the_answer_itself_brings_the_epoch() {
    let mut played = Played::begun(true);
    played.end(true);
    let end = played.ask();
    played.lose();
    played.find();
    assert_eq!(played.ask(), end);
    played.ended(0, Some(epoch(1)));
    assert_eq!((played.outcome(), played.ask()), (Some(Outcome::Committed), None));
}

#[test]
fn a_commit_of_which_nobody_can_tell_is_unknown_and_one_that_was_refused_is_aborted() {
    let mut played = Played::begun(false);
    played.add();
    played.end(true);
    played.ask();
    played.lose();
    played.find();
    played.ask();
    played.ended(code::INVALID_TXN_STATE, None);
    assert_eq!(played.outcome(), None, "a new epoch first");
    assert_eq!(played.ask(), Some(Ask::ProducerId(Some(FIRST))));
    played.got_id(0, epoch(1));
    assert_eq!(played.outcome(), Some(Outcome::Unknown(code::INVALID_TXN_STATE)));
    for error in [code::INVALID_TXN_STATE, code::TRANSACTION_ABORTABLE] {
        let mut played = Played::begun(false);
        played.add();
        assert_eq!(played.ends_with(true, error), None);
        assert_eq!(played.ask(), Some(Ask::End { producer: FIRST, commit: false }));
        played.ended(0, None);
        assert_eq!(played.outcome(), Some(Outcome::Aborted(Some(error))));
    }
}

#[test]
fn an_abort_of_nothing_is_an_abort() {
    let mut played = Played::begun(false);
    played.transactor.want(SLOT);
    played.ask();
    played.lose();
    played.end(false);
    played.find();
    assert_eq!(played.ask(), Some(Ask::End { producer: FIRST, commit: false }));
    played.ended(code::INVALID_TXN_STATE, None);
    // What was lost may yet begin one: there, the coordinator would take us for another.
    assert_eq!(played.ask(), Some(Ask::ProducerId(Some(FIRST))));
    played.got_id(code::PRODUCER_FENCED, NONE);
    assert_eq!(played.ask(), Some(Ask::ProducerId(None)));
    played.got_id(0, epoch(2));
    assert_eq!(played.outcome(), Some(Outcome::Aborted(None)));
}

#[test]
fn who_is_fenced_is_finished_and_says_so() {
    for error in [code::INVALID_PRODUCER_EPOCH, code::PRODUCER_FENCED] {
        let mut played = Played::begun(false);
        played.add();
        assert_eq!(played.ends_with(true, error), Some(Outcome::Finished(error)));
        assert_eq!((played.transactor.finished(), played.ask()), (Some(error), None));
        let mut played = Played::begun(false);
        played.transactor.want(SLOT);
        played.ask();
        let added = played.transactor.added([(SLOT, error)].into_iter(), 0);
        assert_eq!(
            (added, played.outcome()),
            (Added::default(), None),
            "it is told when the end is asked for"
        );
        played.transactor.end(false, None, 0);
        assert_eq!(played.outcome(), Some(Outcome::Finished(error)));
    }
}

#[test]
fn what_became_of_a_transaction_is_told_even_if_its_producer_is_fenced_then() {
    let mut played = Played::begun(false);
    played.add();
    played.transactor.break_sequence();
    assert_eq!(played.ends_with(false, 0), None);
    played.ask();
    played.got_id(code::PRODUCER_FENCED, NONE);
    assert_eq!(played.outcome(), Some(Outcome::Aborted(None)));
    assert_eq!(played.transactor.finished(), Some(code::PRODUCER_FENCED));
}

#[test]
fn nobody_else_is_accused_where_a_lost_request_of_ours_may_have_fenced_us() {
    let mut played = Played::new(false);
    played.transactor.start();
    played.find();
    played.ask();
    played.lose();
    played.find();
    assert_eq!(played.ask(), Some(Ask::ProducerId(None)));
    played.got_id(0, FIRST);
    assert_eq!(played.outcome(), Some(Outcome::Started));
    played.add();
    assert_eq!(played.ends_with(true, code::PRODUCER_FENCED), None);
    assert_eq!(played.ask(), Some(Ask::ProducerId(None)));
    played.got_id(0, epoch(4));
    assert_eq!(played.outcome(), Some(Outcome::Aborted(Some(code::PRODUCER_FENCED))), "it was not committed");
    played.add();
    assert_eq!(played.ends_with(true, code::PRODUCER_FENCED), Some(Outcome::Finished(code::PRODUCER_FENCED)));
}

#[test]
fn an_id_that_has_expired_finishes_the_producer() {
    let mut played = Played::begun(false);
    played.transactor.want(SLOT);
    played.ask();
    played.transactor.added([(SLOT, code::INVALID_PRODUCER_ID_MAPPING)].into_iter(), 0);
    assert_eq!(played.transactor.finished(), Some(code::INVALID_PRODUCER_ID_MAPPING));
}

#[test]
fn a_coordinator_that_is_busy_is_waited_for_and_one_that_moved_is_looked_for() {
    let mut played = Played::begun(false);
    played.add();
    played.end(true);
    let end = played.ask();
    let mut pauses_us = Vec::new();
    for _ in 0..8 {
        let before_us = played.now_us;
        played.ended(code::CONCURRENT_TRANSACTIONS, None);
        assert_eq!(played.ask(), end);
        pauses_us.push(played.now_us - before_us);
    }
    assert_eq!(pauses_us, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 50_000, 50_000]);
    played.ended(code::COORDINATOR_LOAD_IN_PROGRESS, None);
    assert_eq!(played.ask(), end, "the same one");
    for error in [code::NOT_COORDINATOR, code::COORDINATOR_NOT_AVAILABLE] {
        played.ended(error, None);
        for _ in 0..3 {
            assert_eq!(played.ask(), Some(Ask::Coordinator));
            played.transactor.found(code::COORDINATOR_NOT_AVAILABLE, -1, played.now_us);
        }
        played.find();
        assert_eq!(played.ask(), end);
    }
    played.ended(0, None);
    assert_eq!(played.outcome(), Some(Outcome::Committed));
    assert!(!played.transactor.needs_epoch, "all of it was answered");
}

#[test]
fn partitions_that_were_not_looked_at_are_asked_again_and_refused_ones_are_told() {
    let mut played = Played::begun(false);
    let [first, second, third, fourth, other] = [0, 1, 2, 3, 9].map(PartitionSlot::new);
    for slot in [first, second, third, fourth] {
        played.transactor.want(slot);
    }
    assert_eq!(played.ask(), Some(Ask::Add(FIRST)));
    let errors = [
        (first, 0),
        (second, code::OPERATION_NOT_ATTEMPTED),
        (third, 29),
        (fourth, code::UNKNOWN_TOPIC_OR_PARTITION),
        (other, 0),
    ];
    let added = played.transactor.added(errors.into_iter(), played.now_us);
    assert_eq!(added, Added { admitted: vec![first], refused: vec![(third, 29)] });
    played.transactor.want(other);
    assert_eq!(played.ask(), Some(Ask::Add(FIRST)));
    assert_eq!(played.transactor.adding(), [second, fourth]);
    played
        .transactor
        .added([(second, code::CONCURRENT_TRANSACTIONS), (fourth, 0)].into_iter(), played.now_us);
    assert_eq!(played.ask(), Some(Ask::Add(FIRST)));
    played.transactor.added([(second, 0)].into_iter(), played.now_us);
    assert_eq!(played.ask(), Some(Ask::Add(FIRST)));
    assert_eq!(played.transactor.adding(), [other]);
}

#[test]
fn who_may_not_begin_waits_before_it_says_so() {
    let mut played = Played::new(false);
    played.transactor.start();
    played.find();
    played.ask();
    played.got_id(code::INVALID_TRANSACTION_TIMEOUT, NONE);
    assert_eq!(played.transactor.take_outcome(PAUSE_AT_START_US - 1), None);
    assert_eq!(played.transactor.next_us(), PAUSE_AT_START_US);
    assert_eq!(played.outcome(), Some(Outcome::Finished(code::INVALID_TRANSACTION_TIMEOUT)));
    let mut denied = Played::new(false);
    denied.transactor.start();
    denied.ask();
    denied.transactor.found(code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1, 0);
    assert_eq!(denied.transactor.finished(), Some(code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED));
}
