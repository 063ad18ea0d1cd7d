use glommio::LocalExecutor;

use super::*;
use crate::{
    findings::anomaly::Anomaly,
    kafka::{
        FalseAbort, Isolation, KafkaError, LogEvent, ReadFrom,
        fake::{Call, Fake, Step},
    },
    ledger::{Ledger, OffsetRun},
    verifier::read::{closing::Closing, progress::OPEN_END},
};

/// A pass over one partition, which a test plays the client of.
struct Played {
    context: ShardContext,
    job: SeqReadJob,
    pass: SeqReadPass,
    fake: Fake,
}

/// What lies from 0 up to `end` is to be read, and was acked.
fn played(end: i64, flags: &str) -> Played {
    let flags = format!("--topic t --seq_read=1 --proof-header=false {flags}");
    let (context, config, _) = ShardContext::played(&flags);
    let stats = Arc::new(ReaderStats::new(&[0]));
    let table = Arc::new(PartitionTable::of_topic("t", [0]));
    let job = SeqReadJob {
        table,
        stats,
        throughput_bytes_per_s: None,
        share: 1.0,
        proof: config.proof,
        end_to_end: None,
    };
    let mut ledger = Ledger::new(1);
    ledger.partition_mut(0).unwrap().insert(OffsetRun { lower: 0, upper: end });
    let expectation = Expectation { ledger: Arc::new(ledger), latest: None, ledger_grows: false };
    let ranges = vec![OffsetRange { partition: PartitionSlot::default(), start: 0, end, leader_epoch: 0 }];
    let pass = SeqReadPass { expectation, ranges, allowance: Allowance::All, close: Close::default() };
    let fake = Fake::default();
    fake.reads().ends.insert(0, Ends { start: 0, end });
    Played { context, job, pass, fake }
}

impl Played {
    fn ends_at(self, start: i64, end: i64) -> Self {
        self.fake.reads().ends.insert(0, Ends { start, end });
        self
    }

    fn steps(self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.fake.reads().steps.extend(steps);
        self
    }

    fn read(&self) -> Result<(), Halt> {
        let settings = ReaderSettings::here_and_there(Isolation::ReadUncommitted);
        let mut client = self.fake.reader(&settings, &self.job.table).unwrap();
        LocalExecutor::default().run(async {
            let losses = Vec::new();
            SeqReader::new(&self.context, &self.job, &mut client, self.pass.clone(), losses).read().await
        })
    }

    fn valid(&self) -> u64 {
        self.job.stats.valid_reads.get()
    }

    /// Names and offsets of what was found and did not end the run.
    fn found(&self) -> Vec<(Anomaly, i64)> {
        self.context.shared.violations.kept().iter().map(|found| (found.anomaly, found.offset)).collect()
    }

    fn causes(&self) -> String {
        let mut text = String::new();
        self.context.shared.causes.write(&mut text).unwrap();
        text
    }

    fn was_told(&self, call: Call) -> bool {
        self.fake.reads().calls.contains(&call)
    }
}

fn show(offsets: std::ops::Range<i64>, epoch: i32) -> Step {
    Step::Show { partition: 0, offsets, epoch }
}

fn say(event: LogEvent<'static>) -> Step {
    Step::Say(0, event)
}

/// Until the reader goes on at an offset, behind a record of this epoch.
fn goes_on(offset: i64, epoch: Option<i32>) -> Step {
    Step::Await(Call::ReadFrom(0, ReadFrom { offset, epoch_before: epoch, epoch_known: Some(0) }))
}

/// What ended the run, and where.
fn violation(outcome: Result<(), Halt>) -> (Anomaly, i64) {
    match outcome {
        Err(Halt::Violation(violation)) => (violation.anomaly, violation.offset),
        other => panic!("{other:?}"),
    }
}

fn unreadable(from: i64, to: Option<i64>) -> Step {
    say(LogEvent::Unreadable { from, to, cause: "a batch that does not fit its checksum" })
}

const KEEP_GOING: &str = "--keep-going";

#[test]
fn everything_is_read_and_nobody_reads_on() {
    let played =
        played(10, "").steps([show(0..4, 0), say(LogEvent::Progress { next_offset: 6 }), show(6..10, 0)]);
    // Markers lie at 4 and 5, and are in no ledger.
    let mut ledger = Ledger::new(1);
    for (lower, upper) in [(0, 4), (6, 10)] {
        ledger.partition_mut(0).unwrap().insert(OffsetRun { lower, upper });
    }
    let played = Played {
        pass: SeqReadPass {
            expectation: Expectation { ledger: Arc::new(ledger), ..played.pass.expectation.clone() },
            ..played.pass.clone()
        },
        ..played
    };
    played.read().unwrap();
    assert_eq!((played.valid(), played.found()), (8, vec![]));
    assert!(played.was_told(Call::Stop(0)));
}

/// A pass that waits for more, whose ledger listed four records when it began, and lists six when it is to end.
fn waiting(steps: impl IntoIterator<Item = Step>) -> Played {
    let played = played(4, "").steps(steps);
    let ranges = vec![OffsetRange { end: OPEN_END, ..played.pass.ranges[0] }];
    let expectation = Expectation { ledger_grows: true, ..played.pass.expectation.clone() };
    let mut ledger = Ledger::new(1);
    ledger.partition_mut(0).unwrap().insert(OffsetRun { lower: 0, upper: 6 });
    played.pass.close.tell(Closing { ledger: Arc::new(ledger), ends: vec![4] });
    Played { pass: SeqReadPass { expectation, ranges, ..played.pass.clone() }, ..played }
}

#[test]
fn what_was_acked_while_a_pass_waited_for_more_is_missed_at_its_end() {
    let played = waiting([show(0..4, 0), say(LogEvent::AtEnd { end: 4 })]);
    assert_eq!(violation(played.read()), (Anomaly::LostWrite, 4));
    assert_eq!(played.valid(), 4);
}

#[test]
fn an_end_that_a_new_leader_named_too_low_is_looked_for_again_before_anything_is_missed() {
    let played = waiting([show(0..4, 0), say(LogEvent::AtEnd { end: 4 }), show(4..6, 1)]).ends_at(0, 6);
    played.read().unwrap();
    assert_eq!((played.valid(), played.found()), (6, vec![]));
}

#[test]
fn control_records_at_the_end_are_passed_at_the_end_of_the_log() {
    let played = played(4, "");
    let ranges = vec![OffsetRange { end: 6, ..played.pass.ranges[0] }];
    let played = Played { pass: SeqReadPass { ranges, ..played.pass.clone() }, ..played };
    let played = played.steps([show(0..4, 0), say(LogEvent::AtEnd { end: 6 })]);
    played.read().unwrap();
    assert_eq!(played.valid(), 4);
}

#[test]
fn a_log_that_was_cut_is_a_truncation() {
    let truncation = LogEvent::Truncated { from: 6, epoch: 0, to: 4 };
    let played = played(10, "").ends_at(0, 4).steps([show(0..6, 0), say(truncation)]);
    assert_eq!(violation(played.read()), (Anomaly::Truncation, 4));
}

#[test]
fn a_log_that_was_cut_and_written_again_is_read_again_where_that_is_tolerated() {
    let truncation = LogEvent::Truncated { from: 6, epoch: 0, to: 4 };
    let played = played(10, "--tolerate-data-loss").ends_at(0, 20).steps([
        show(0..6, 0),
        say(truncation),
        goes_on(4, None),
        show(4..10, 1),
    ]);
    played.read().unwrap();
    assert_eq!((played.valid(), played.job.stats.lost_offsets.get(0)), (12, 2));
}

#[test]
fn a_suspicion_that_was_none_accuses_nobody() {
    let cleared = LogEvent::NotTruncated { next_offset: 6, is_certain: true };
    let played = played(10, "").steps([show(0..6, 0), say(cleared), show(6..10, 1)]);
    played.read().unwrap();
    assert_eq!(played.valid(), 10);
    assert!(played.causes().contains("its client took a log to be truncated that was not"));
}

#[test]
fn an_end_below_what_the_ledger_lists_is_gone_beyond_before_anything_is_lost() {
    let played = played(10, "");
    let ranges = vec![OffsetRange { end: 6, ..played.pass.ranges[0] }];
    let played = Played { pass: SeqReadPass { ranges, ..played.pass.clone() }, ..played };
    let played = played.steps([show(0..6, 0), goes_on(6, Some(0)), show(6..10, 0)]);
    played.read().unwrap();
    assert_eq!(played.valid(), 10);
}

#[test]
fn what_was_acked_behind_the_end_of_the_log_is_lost() {
    let played = played(10, "").ends_at(0, 6);
    let ranges = vec![OffsetRange { end: 6, ..played.pass.ranges[0] }];
    let played = Played { pass: SeqReadPass { ranges, ..played.pass.clone() }, ..played };
    let played = played.steps([show(0..6, 0)]);
    assert_eq!(violation(played.read()), (Anomaly::LostWrite, 6));
}

#[test]
fn what_is_missing_between_two_records_is_lost() {
    let played = played(10, "").steps([show(0..4, 0), show(5..10, 0)]);
    assert_eq!(violation(played.read()), (Anomaly::LostWrite, 4));
}

#[test]
fn a_refusal_ends_the_run() {
    let refused = LogEvent::Refused(KafkaError::timed_out());
    let played = played(10, "").steps([show(0..4, 0), say(refused)]);
    let Err(Halt::Failed(reason)) = played.read() else { panic!("it goes on") };
    assert!(reason.contains("topic t partition 0: it may not be read"), "{reason}");
}

#[test]
fn what_passes_is_counted_and_no_more() {
    let (gone, passing) =
        (LogEvent::Gone(KafkaError::unknown_topic()), LogEvent::Transient(KafkaError::timed_out()));
    let played = played(10, "").steps([show(0..4, 0), say(gone), say(passing), show(4..10, 0)]);
    played.read().unwrap();
    assert_eq!(played.job.stats.errors.get(), 2);
}

#[test]
fn who_stands_still_although_the_broker_answers_is_stalled_until_it_goes_on() {
    let mut played = played(10, "").steps([show(0..4, 0), Step::AwaitQuestions(2)]);
    played.context.stall_after = Some(SILENCE_OF_TESTS);
    let shared = played.context.shared.clone();
    let is_stalled = Step::Do(Box::new(move || assert!(shared.stalls.open().is_some())));
    // Two looks: since when it stands there, and that it still does. Each asks for start and end.
    let played = played.steps([Step::AwaitQuestions(6), is_stalled, show(4..10, 0)]);
    played.read().unwrap();
    let stalls = played.context.shared.stalls.all();
    assert_eq!((stalls.len(), stalls[0].partition), (1, 0));
    assert!(stalls[0].until_ms.is_some(), "it went on");
}

const SILENCE_OF_TESTS: Duration = Duration::from_millis(1);

#[test]
fn a_broker_that_does_not_answer_stalls_nobody() {
    let mut played = played(10, "");
    played.context.stall_after = Some(SILENCE_OF_TESTS);
    played.fake.reads().late = -1;
    let fake = played.fake.clone();
    let answers = Step::Do(Box::new(move || fake.reads().late = 0));
    let played = played.steps([show(0..4, 0), Step::AwaitQuestions(8), answers, show(4..10, 0)]);
    played.read().unwrap();
    assert!(played.context.shared.stalls.all().is_empty());
}

#[test]
fn what_cannot_be_read_ends_the_run() {
    let played = played(10, "").steps([show(0..3, 0), unreadable(3, None)]);
    assert_eq!(violation(played.read()), (Anomaly::Corrupt, 3));
}

#[test]
fn what_cannot_be_read_is_named_once_and_passed_over_where_the_run_goes_on() {
    for told in [vec![unreadable(3, Some(6))], vec![unreadable(3, None), unreadable(3, Some(6))]] {
        let played = played(10, KEEP_GOING).steps([show(0..3, 0)]).steps(told).steps([show(6..10, 0)]);
        played.read().unwrap();
        assert_eq!(played.found(), [(Anomaly::Corrupt, 3)], "and nothing of it is missed");
        assert_eq!(played.valid(), 7);
    }
}

#[test]
fn what_is_missing_behind_what_cannot_be_read_is_missed() {
    let played = played(10, KEEP_GOING).steps([show(0..3, 0), unreadable(3, Some(6)), show(7..10, 0)]);
    played.read().unwrap();
    assert_eq!(played.found(), [(Anomaly::Corrupt, 3), (Anomaly::LostWrite, 6)]);
}

#[test]
fn a_record_that_cannot_be_taken_apart_is_named_and_passed_over() {
    let malformed = Step::ShowMalformed { partition: 0, offset: 3 };
    let played =
        played(10, KEEP_GOING).steps([show(0..3, 0), malformed, unreadable(3, Some(4)), show(4..10, 0)]);
    played.read().unwrap();
    assert_eq!((played.found(), played.valid()), (vec![(Anomaly::Corrupt, 3)], 9));
}

#[test]
fn a_start_that_has_moved_is_retention() {
    let played = played(10, "").ends_at(7, 10).steps([
        show(0..3, 0),
        say(LogEvent::OutOfRange),
        goes_on(7, None),
        show(7..10, 0),
    ]);
    played.read().unwrap();
    assert_eq!((played.valid(), played.found()), (6, vec![]));
}

/// The reader moves while its question is under way: what was true of the old place decides nothing.
#[test]
fn an_answer_that_comes_too_late_decides_nothing() {
    let played = played(10, "").ends_at(0, 4).steps([show(0..5, 0), Step::AwaitQuestions(2), show(5..6, 0)]);
    played.fake.reads().late = 50;
    let fake = played.fake.clone();
    let answered = Step::Do(Box::new(move || {
        assert!(!fake.reads().calls.iter().skip(1).any(|call| matches!(call, Call::ReadFrom(..))));
        fake.reads().ends.insert(0, Ends { start: 0, end: 10 });
    }));
    // The next question shows that the first one was answered.
    let played = played.steps([Step::AwaitQuestions(3), answered, show(6..10, 0)]);
    played.read().unwrap();
    assert_eq!(played.valid(), 10);
}

#[test]
fn an_end_below_the_place_is_for_the_client_to_make_sure_of() {
    let played = played(10, "").ends_at(0, 4);
    let fake = played.fake.clone();
    let knows = Step::Do(Box::new(move || {
        fake.reads().ends.insert(0, Ends { start: 0, end: 10 });
    }));
    let played = played.steps([show(0..6, 0), goes_on(6, Some(0)), knows, show(6..10, 1)]);
    played.read().unwrap();
    assert_eq!(played.valid(), 10, "the broker did not know that it does not lead any more");
}

#[test]
fn who_is_stopped_in_the_middle_misses_nothing() {
    let played = played(10, "");
    let shared = played.context.shared.clone();
    let stop = Step::Do(Box::new(move || shared.lifecycle.request_stop()));
    let played = played.steps([show(0..4, 0), stop]);
    played.read().unwrap();
    assert_eq!((played.valid(), played.found()), (4, vec![]));
    assert!(played.was_told(Call::Stop(0)));
}

#[test]
fn one_client_reads_all_passes_and_a_loss_is_told_once() {
    let pass = || [goes_on(0, None), show(0..4, 0), show(5..10, 0)];
    let Played { context, job, pass: next, fake } = played(10, KEEP_GOING).steps(pass()).steps(pass());
    let (feeder, pass_queue) = crate::verifier::shard::pass_queue();
    let main_thread = std::thread::spawn(move || {
        for _ in 0..2 {
            feeder.start(next.clone());
            feeder.wait().unwrap();
        }
    });
    let (shared, stats, clients) = (context.shared.clone(), job.stats.clone(), fake.clone());
    LocalExecutor::default().run(run_with(clients, context, job, pass_queue));
    main_thread.join().unwrap();
    assert_eq!((fake.reads().clients, stats.valid_reads.get()), (1, 18));
    assert_eq!(shared.violations.kept().iter().map(|found| found.offset).collect::<Vec<_>>(), [4]);
}

#[test]
fn who_has_nothing_to_read_needs_no_client() {
    let Played { context, job, pass, fake } = played(10, "");
    let (feeder, pass_queue) = crate::verifier::shard::pass_queue();
    let main_thread = std::thread::spawn(move || {
        feeder.start(SeqReadPass { ranges: Vec::new(), ..pass });
        feeder.wait().unwrap();
    });
    LocalExecutor::default().run(run_with(fake.clone(), context, job, pass_queue));
    main_thread.join().unwrap();
    assert_eq!(fake.reads().clients, 0);
}

/// What is shown for the sake of a list that lies is shown all the same.
#[test]
fn what_a_broker_says_against_its_log_or_itself_is_named() {
    let abort = |kind, first| LogEvent::FalseAbort { kind, first, marker: 8 };
    let said = [
        (abort(FalseAbort::Hidden, 1), Anomaly::HiddenAbort, 1),
        (abort(FalseAbort::Invented, 2), Anomaly::InventedAbort, 2),
        (abort(FalseAbort::Belated, 3), Anomaly::BelatedAbort, 3),
        (LogEvent::StartBack { from: 9, to: 4 }, Anomaly::StartBack, 4),
    ];
    for (event, anomaly, offset) in said {
        let halted = played(10, "").steps([show(0..4, 0), say(event)]);
        assert_eq!(violation(halted.read()), (anomaly, offset));
    }
    let going = played(10, KEEP_GOING).steps([show(0..4, 0)]).steps(said.map(|(event, ..)| say(event)));
    let going = going.steps([show(4..10, 0)]);
    going.read().unwrap();
    assert_eq!(going.found(), said.map(|(_, anomaly, offset)| (anomaly, offset)));
    assert_eq!(going.valid(), 10);
}
