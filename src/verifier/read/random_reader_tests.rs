use glommio::LocalExecutor;

use super::*;
use crate::{
    kafka::{
        Isolation, KafkaError,
        fake::{Call, Fake, Step},
    },
    ledger::{Ledger, OffsetRun},
};

struct Played {
    context: ShardContext,
    job: RandReadJob,
    pass: RandReadPass,
    fake: Fake,
}

/// So many reads at offset 5, where the log holds what was acked from 0 up to 10.
fn played(reads: u64, flags: &str) -> Played {
    let flags = format!("--topic t --rand_read_msgs 1 --proof-header=false {flags}");
    let (context, config, _) = ShardContext::played(&flags);
    let table = Arc::new(PartitionTable::of_topic("t", [0]));
    let job = RandReadJob { table, stats: Arc::new(ReaderStats::new(&[0])), reads, proof: config.proof };
    let mut ledger = Ledger::new(1);
    ledger.partition_mut(0).unwrap().insert(OffsetRun { lower: 0, upper: 10 });
    let expectation = Expectation { ledger: Arc::new(ledger), latest: None, ledger_grows: false };
    let ranges = [OffsetRange { partition: PartitionSlot::default(), start: 5, end: 6, leader_epoch: 0 }];
    let played = Played {
        context,
        job,
        pass: RandReadPass { expectation, ranges: ranges.into() },
        fake: Fake::default(),
    };
    played.ends_at(5, 6)
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
        let mut client = self.fake.spot_readers(&settings, &self.job.table, 1).unwrap().remove(0);
        LocalExecutor::default().run(async {
            RandReader::new(&self.context, &self.job, &mut client, self.pass.clone()).read().await
        })
    }

    fn found(&self) -> Vec<(Anomaly, i64)> {
        self.context.shared.violations.kept().iter().map(|found| (found.anomaly, found.offset)).collect()
    }
}

fn show(offset: i64) -> Step {
    Step::Show { partition: 0, offsets: offset..offset + 1, epoch: 0 }
}

fn say(event: LogEvent<'static>) -> Step {
    Step::Say(0, event)
}

fn reads_at(offset: i64) -> Step {
    Step::Await(Call::ReadFrom(0, ReadFrom::offset(offset)))
}

fn violation(outcome: Result<(), Halt>) -> (Anomaly, i64) {
    match outcome {
        Err(Halt::Violation(violation)) => (violation.anomaly, violation.offset),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_read_is_one_record() {
    let played = played(2, "").steps([reads_at(5), show(5), reads_at(5), show(5)]);
    played.read().unwrap();
    assert_eq!(played.job.stats.valid_reads.get(), 2);
    let stops = played.fake.reads().calls.iter().filter(|call| **call == Call::Stop(0)).count();
    assert_eq!(stops, 2, "nothing is read that nobody asked for");
}

/// A read that is shown what lies at 7, and two looks more for what should lie at 5.
fn shows_7() -> [Step; 8] {
    std::array::from_fn(|step| if step % 2 == 0 { reads_at(5) } else { show(7) })
}

#[test]
fn a_record_behind_what_was_acked_is_a_loss_if_it_is_shown_each_time() {
    let lost = played(1, "").steps(shows_7());
    assert_eq!(violation(lost.read()), (Anomaly::LostWrite, 5));
    let again = played(1, "").steps([reads_at(5), show(7), reads_at(5), show(5)]);
    again.read().unwrap();
    assert_eq!(again.job.stats.valid_reads.get(), 1, "and a record that is looked for is no read");
    let at_end = say(LogEvent::AtEnd { end: 6 });
    let unknown = played(1, "").steps([reads_at(5), show(7), reads_at(5), at_end]);
    unknown.read().unwrap();
}

#[test]
fn what_retention_took_is_no_loss() {
    let gone = played(1, "").ends_at(7, 10).steps(shows_7());
    gone.read().unwrap();
}

#[test]
fn what_cannot_be_read_is_corrupt_and_is_no_read() {
    let unreadable = || say(LogEvent::Unreadable { from: 5, to: None, cause: "a bad batch" });
    let halted = played(1, "").steps([reads_at(5), unreadable()]);
    assert_eq!(violation(halted.read()), (Anomaly::Corrupt, 5));
    let going = played(1, "--keep-going").steps([reads_at(5), unreadable(), reads_at(5), show(5)]);
    going.read().unwrap();
    assert_eq!((going.found(), going.job.stats.valid_reads.get()), (vec![(Anomaly::Corrupt, 5)], 1));
}

#[test]
fn a_place_that_is_gone_is_looked_for_anew() {
    let played =
        played(1, "").ends_at(8, 9).steps([reads_at(5), say(LogEvent::OutOfRange), reads_at(8), show(8)]);
    played.read().unwrap();
    assert_eq!(played.job.stats.valid_reads.get(), 1);
}

#[test]
fn nothing_is_looked_for_where_only_control_records_are() {
    let played = played(1, "").steps([reads_at(5), say(LogEvent::AtEnd { end: 6 })]);
    played.read().unwrap();
    assert_eq!(played.job.stats.valid_reads.get(), 0, "and the pass ends");
}

#[test]
fn a_refusal_ends_the_run() {
    let played = played(1, "").steps([reads_at(5), say(LogEvent::Refused(KafkaError::timed_out()))]);
    assert!(matches!(played.read(), Err(Halt::Failed(reason)) if reason.contains("it may not be read")));
}

#[test]
fn a_read_that_brings_nothing_is_made_again_and_stalls_in_the_end() {
    let mut played = played(1, "");
    played.context.stall_after = Some(Duration::from_millis(1));
    let played = played.steps([reads_at(5), reads_at(5), reads_at(5), show(5)]);
    played.read().unwrap();
    assert_eq!(played.context.shared.stalls.all().len(), 1);
    assert!(played.context.shared.stalls.open().is_none(), "it went on");
}

#[test]
fn who_is_stopped_in_the_middle_of_a_read_ends() {
    let played = played(5, "");
    let shared = played.context.shared.clone();
    let stop = Step::Do(Box::new(move || shared.lifecycle.request_stop()));
    let played = played.steps([reads_at(5), show(5), reads_at(5), stop]);
    played.read().unwrap();
    assert_eq!(played.job.stats.valid_reads.get(), 1);
}

#[test]
fn a_start_that_went_back_is_named_and_the_read_goes_on() {
    let back = || say(LogEvent::StartBack { from: 4, to: 2 });
    let halted = played(1, "").steps([reads_at(5), back()]);
    assert_eq!(violation(halted.read()), (Anomaly::StartBack, 2));
    let going = played(1, "--keep-going").steps([reads_at(5), back(), show(5)]);
    going.read().unwrap();
    assert_eq!((going.found(), going.job.stats.valid_reads.get()), (vec![(Anomaly::StartBack, 2)], 1));
}
