use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    thread::sleep,
};

use super::*;
use crate::{
    kafka::KafkaError,
    ledger::OffsetRun,
    partitions::{PartitionSlot, PartitionTable},
    stats::ReaderStats,
    verifier::{check::last_values::SeenKeys, read::checker::Expectation, shard::ShardContext},
};

/// The only partition.
const SLOT: PartitionSlot = PartitionSlot::new(0);

/// What brokers answer, one question after the other; the last word stays.
#[derive(Clone, Default)]
struct Brokers {
    starts: Rc<RefCell<Vec<i64>>>,
    ends: Rc<RefCell<VecDeque<Option<Vec<i64>>>>>,
    asked: Rc<Cell<usize>>,
    /// How long they take.
    takes: Rc<Cell<Duration>>,
}

impl Brokers {
    fn answer(&self, spec: OffsetSpec) -> Option<Vec<i64>> {
        self.asked.set(self.asked.get() + 1);
        sleep(self.takes.get());
        if spec == OffsetSpec::Start {
            return Some(self.starts.borrow().clone());
        }
        let mut ends = self.ends.borrow_mut();
        if ends.len() > 1 { ends.pop_front().flatten() } else { ends.front().cloned().flatten() }
    }

    fn say(&self, ends: impl IntoIterator<Item = Option<i64>>) {
        *self.ends.borrow_mut() = ends.into_iter().map(|end| end.map(|end| vec![end])).collect();
    }
}

/// A group's pass over one partition, of which what lies from 0 up to `acked` is in the ledger, and what lies up to `end` is
/// to be read.
struct Played {
    context: ShardContext,
    together: Together<'static>,
    stats: Arc<ReaderStats>,
    brokers: Brokers,
}

fn played(acked: i64, end: i64, flags: &str) -> Played {
    let flags = format!("--topic t --consumer_group_readers 2 --proof-header=false {flags}");
    let (context, config, _) = ShardContext::played(&flags);
    let group = config.group_read.expect("a group");
    let expectation = Expectation { ledger: ledger(acked), latest: None, ledger_grows: false };
    let stats = Arc::new(ReaderStats::new(&[0]));
    let table = Arc::new(PartitionTable::of_topic("t", [0]));
    let checker = Checker::new(&context, table, expectation, stats.clone(), config.proof);
    let range = OffsetRange { partition: SLOT, start: 0, end, leader_epoch: 0 };
    let brokers = Brokers::default();
    *brokers.starts.borrow_mut() = vec![0];
    brokers.say([Some(end)]);
    let answering = brokers.clone();
    let together = Together {
        parts: parts(&checker, &[range], vec![Losses::default()], false),
        stall_detector: StallDetector::new(&context, "the group reader"),
        checker,
        stalled_partitions: Arc::new(StalledPartitions::new(1)),
        ask: Box::new(move |spec| answering.answer(spec)),
        isolation: checker::isolation(config.proof),
        group: "g",
        is_named: group.name.is_some(),
        exactly_once: group.exactly_once,
        at_close: AtClose::Ends,
        repeated: 0,
        last_ledger: None,
        halt: None,
    };
    Played { context, together, stats, brokers }
}

fn ledger(acked: i64) -> Arc<Ledger> {
    let mut ledger = Ledger::new(1);
    ledger.partition_mut(0).unwrap().insert(OffsetRun { lower: 0, upper: acked });
    Arc::new(ledger)
}

impl Played {
    /// A member was shown these, and has come so far.
    fn read(&mut self, offsets: Range<i64>, position: i64) {
        let runs = vec![OffsetRun { lower: offsets.start, upper: offsets.end }];
        self.together.take(MemberEvent::Read { partition: SLOT, position, runs, keys: SeenKeys::default() });
    }

    /// Names and offsets of what was found, and did not end the run.
    fn found(&self) -> Vec<(Anomaly, i64)> {
        self.context.shared.violations.kept().iter().map(|found| (found.anomaly, found.offset)).collect()
    }

    /// What ended the run.
    fn halt(&mut self) -> Option<(Anomaly, i64)> {
        violation(self.together.halt.take().map_or(Ok(()), Err))
    }

    /// Looks at the logs again, behind a silence.
    fn look(&mut self) {
        sleep(SILENCE + Duration::from_millis(1));
        assert!(self.together.is_suspect() || self.together.is_done());
        self.together.look_at_logs(false);
    }
}

fn violation(outcome: Result<(), Halt>) -> Option<(Anomaly, i64)> {
    match outcome {
        Ok(()) => None,
        Err(Halt::Violation(found)) => Some((found.anomaly, found.offset)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_members_have_read_between_them_is_everything() {
    let mut played = played(10, 10, "");
    played.read(6..10, 10);
    assert!(played.together.is_done(), "everything below has been read, by whomever");
    played.read(0..6, 6);
    assert!(!played.together.reopen());
    assert_eq!(violation(played.together.audit()), None);
}

#[test]
fn what_no_member_was_shown_is_lost() {
    let mut played = played(10, 10, "");
    played.read(0..4, 4);
    played.read(6..10, 10);
    assert_eq!(violation(played.together.audit()), Some((Anomaly::LostWrite, 4)));
}

#[test]
fn a_group_that_had_been_there_before_need_not_be_shown_everything() {
    let mut played = played(10, 10, "--consumer_group_name n");
    played.read(6..10, 10);
    assert_eq!(violation(played.together.audit()), None);
    played.together.note_coverage(&[6]);
    assert_eq!(played.stats.coverage.totals().committed_before, 6);
}

#[test]
fn what_cannot_be_read_is_not_missed_a_second_time() {
    let mut played = played(10, 10, "");
    played.read(0..3, 3);
    played.together.take(MemberEvent::PassedOver { partition: SLOT, offsets: 3..6 });
    played.read(6..10, 10);
    assert_eq!(violation(played.together.audit()), None);
}

#[test]
fn what_comes_twice_is_named_where_it_must_come_once() {
    for (flags, expected) in
        [("", None), ("--group-consume-exactly-once", Some((Anomaly::GroupRedelivery, 2)))]
    {
        let mut played = played(10, 10, flags);
        played.read(0..4, 4);
        played.read(2..6, 6);
        assert_eq!(played.halt(), expected);
    }
}

#[test]
fn an_end_that_a_new_leader_did_not_know_is_moved_to_what_the_ledger_lists() {
    let mut played = played(10, 8, "");
    played.read(0..8, 8);
    assert!(played.together.is_done());
    played.brokers.say([None]);
    assert!(!played.together.reopen(), "the run is to end");
    played.brokers.say([Some(8), Some(12)]);
    assert!(played.together.reopen());
    assert_eq!(played.together.parts[0].progress.end(), 10, "no further than what was acked");
    played.read(8..10, 10);
    assert!(played.together.is_done() && !played.together.reopen());
    assert_eq!(violation(played.together.audit()), None);
}

#[test]
fn an_end_that_stays_below_what_the_ledger_lists_is_a_loss() {
    let mut played = played(10, 8, "");
    played.read(0..8, 8);
    assert!(!played.together.reopen());
    assert_eq!(played.brokers.asked.get(), LOOKS);
    assert_eq!(violation(played.together.audit()), Some((Anomaly::LostWrite, 8)));
}

#[test]
fn a_log_that_members_found_cut_ends_there() {
    for (end_now, expected) in [(5, Anomaly::Truncation), (8, Anomaly::RefilledTruncation)] {
        let mut played = played(8, 20, "");
        played.read(0..8, 8);
        played.brokers.say([Some(end_now)]);
        played.together.take(MemberEvent::Rewound { partition: SLOT, offset: 5 });
        assert_eq!(played.halt(), Some((expected, 5)));
        let progress = &played.together.parts[0].progress;
        assert_eq!((progress.position, progress.end(), progress.was_truncated()), (5, end_now, true));
    }
}

#[test]
fn a_member_that_went_back_less_far_than_the_group_has_come_has_found_no_truncation() {
    let mut played = played(8, 20, "");
    played.read(0..5, 5);
    played.together.take(MemberEvent::Rewound { partition: SLOT, offset: 5 });
    assert_eq!(played.halt(), None, "others had not come further");
    assert!(!played.together.parts[0].progress.was_truncated());
}

#[test]
fn a_cut_that_no_member_found_is_believed_when_it_is_said_again_and_again() {
    let mut played = played(8, 20, "--keep-going");
    played.read(0..8, 8);
    played.brokers.say([Some(5), Some(5), Some(8), Some(5), Some(6), Some(5)]);
    for _ in 0..5 {
        played.look();
        assert_eq!(played.found(), []);
    }
    played.look();
    assert_eq!(played.found(), [(Anomaly::Truncation, 5)]);
    played.look();
    assert_eq!(played.found().len(), 1, "once");
}

#[test]
fn who_stands_still_although_there_is_more_is_looked_into_and_stalled_in_the_end() {
    let mut played = played(20, 20, "--stall-after 100ms");
    played.read(0..8, 8);
    let began = Instant::now();
    while played.context.shared.stalls.all().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "it is no stall");
        played.look();
    }
    assert_eq!(played.together.stalled_partitions.take(SLOT), Some(8), "half-way, a client looks into it");
}

#[test]
fn what_others_in_the_group_may_have_is_no_stall() {
    let mut played = played(20, 20, "--stall-after 50ms");
    played.read(0..8, 8);
    played.look();
    for _ in 0..5 {
        sleep(SILENCE);
        played.together.look_at_logs(true);
    }
    played.look();
    assert_eq!(
        (played.context.shared.stalls.all().len(), played.together.stalled_partitions.take(SLOT)),
        (0, None)
    );
}

#[test]
fn a_log_that_ends_where_the_group_stands_ends_the_pass_there() {
    let mut played = played(8, 20, "");
    played.read(0..8, 8);
    played.brokers.say([Some(8)]);
    played.look();
    assert!(played.together.is_done());
    assert_eq!(violation(played.together.audit()), None);
}

#[test]
fn an_answer_that_comes_too_late_is_the_brokers_delay_and_no_stall() {
    let mut played = played(20, 20, "--stall-after 50ms");
    played.read(0..8, 8);
    played.brokers.takes.set(SILENCE * 2);
    for _ in 0..4 {
        played.look();
    }
    assert_eq!(played.context.shared.stalls.all().len(), 0);
}

#[test]
fn a_pass_that_waited_for_more_is_held_against_what_was_acked_meanwhile() {
    let mut played = played(4, OPEN_END, "--continuous");
    played.read(0..6, 6);
    assert!(!played.together.is_done());
    played.together.close(Closing { ledger: ledger(8), ends: vec![6] });
    assert!(played.together.is_done());
    assert_eq!(violation(played.together.audit()), Some((Anomaly::LostWrite, 6)));
}

#[test]
fn a_ledger_that_lists_all_misses_what_lies_in_the_middle_as_well() {
    // What was missed, what was read and listed, and what nobody can tell.
    let rows = [
        (AtClose::Ends, None, 0, 0),
        (AtClose::All, Some((Anomaly::LostWrite, 4)), 8, 0),
        (AtClose::AllButLeftOut, None, 8, 2),
    ];
    for (at_close, expected, vouched_for, unexplained) in rows {
        let mut played = played(0, OPEN_END, "--continuous");
        played.together.at_close = at_close;
        played.read(0..4, 4);
        played.read(6..10, 10);
        played.read(8..10, 10);
        assert_eq!(played.together.repeated, 2, "legal, and counted");
        played.brokers.say([Some(10)]);
        played.together.close(Closing { ledger: ledger(10), ends: vec![10] });
        assert!(played.together.is_done() && !played.together.reopen());
        played.together.note_coverage(&[]);
        let totals = played.stats.coverage.totals();
        assert_eq!((totals.vouched_for, totals.unexplained), (vouched_for, unexplained), "{at_close:?}");
        assert_eq!(violation(played.together.audit()), expected, "{at_close:?}");
    }
}

#[test]
fn the_end_of_a_log_that_compaction_has_thinned_out_is_not_waited_for() {
    let mut played = played(10, 10, "--compacted");
    played.read(0..1, 10);
    assert_eq!(violation(played.together.audit()), None, "what lies below may have gone");
    let mut played = played_cut_short();
    assert_eq!(violation(played.together.audit()), Some((Anomaly::LostWrite, 8)), "a log's end may not");
}

fn played_cut_short() -> Played {
    let mut played = played(10, 8, "--compacted");
    played.read(0..1, 8);
    played
}

#[test]
fn what_members_say_of_themselves_is_none_of_its_business() {
    let mut played = played(10, 10, "");
    played.together.take(MemberEvent::Joined);
    played.together.take(MemberEvent::Refused(KafkaError::full_group()));
    assert_eq!((played.halt(), played.together.parts[0].progress.position), (None, 0));
}
