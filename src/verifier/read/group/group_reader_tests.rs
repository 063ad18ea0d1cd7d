use std::num::NonZeroUsize;

use crossbeam::channel::{Receiver, unbounded};
use glommio::LocalExecutor;

use super::*;
use crate::{
    findings::anomaly::Anomaly,
    kafka::{
        Expected, KafkaError, LogEvent, code,
        fake::{Fake, GroupStep},
    },
    ledger::{Ledger, OffsetRun},
    partitions::PartitionSlot,
    verifier::{read::budget::Budget, shard},
};

/// A pass of a group over three partitions, which a test plays the clients of.
struct Played {
    context: ShardContext,
    job: GroupReadJob,
    pass: GroupReadPass,
    news: Receiver<MemberEvent>,
    fake: Fake,
}

const PARTITIONS: usize = 3;

/// So many members; of each partition what lies from 0 up to `end` was acked.
fn played(members: usize, end: i64, flags: &str) -> Played {
    let flags = format!("--topic t --consumer_group_readers {members} --proof-header=false {flags}");
    let (context, config, _) = ShardContext::played(&flags);
    let stats = || Arc::new(ReaderStats::new(&(0..3).collect::<Vec<_>>()));
    let members = (0..members).map(|_| stats()).collect();
    let group = config.group_read.expect("a group");
    let table = Arc::new(PartitionTable::of_topic("t", (0..).take(PARTITIONS)));
    let job = GroupReadJob { members, config: group, proof: config.proof, table, end_to_end: None };
    let mut ledger = Ledger::new(PARTITIONS);
    for partition in 0..3 {
        ledger.partition_mut(partition).unwrap().insert(OffsetRun { lower: 0, upper: end });
    }
    let expectation = Expectation { ledger: Arc::new(ledger), latest: None, ledger_grows: false };
    let (sender, news) = unbounded();
    let pass = GroupReadPass {
        expectation,
        group: "g".into(),
        allowance: Allowance::All,
        handover: Arc::new(Handover::new([(0, Some(0)); PARTITIONS])),
        truncations: Arc::new(Truncations::new(PARTITIONS)),
        stalled_partitions: Arc::new(StalledPartitions::new(PARTITIONS)),
        news: sender,
        done: Arc::default(),
    };
    Played { context, job, pass, news, fake: Fake::default() }
}

impl Played {
    /// The next member goes through these.
    fn steps(self, steps: impl IntoIterator<Item = GroupStep>) -> Self {
        self.fake.groups().steps(steps);
        self
    }

    /// The main thread says that everything has been read.
    fn done(&self) -> GroupStep {
        let done = self.pass.done.clone();
        GroupStep::Do(Box::new(move || done.store(true, Relaxed)))
    }

    /// Goes through these, and then everything has been read.
    fn whole(self, steps: impl IntoIterator<Item = GroupStep>) -> Self {
        let done = self.done();
        self.steps(steps.into_iter().chain([done]))
    }

    fn read(&self) -> Result<(), Halt> {
        let clients = || Ok(self.fake.clone());
        LocalExecutor::default().run(read_together(clients, &self.context, &self.job, &self.pass))
    }

    fn valid(&self) -> u64 {
        self.job.members.iter().map(|stats| stats.valid_reads.get()).sum()
    }

    fn errors(&self) -> u64 {
        self.job.members.iter().map(|stats| stats.errors.get()).sum()
    }

    /// Names and offsets of what was found and did not end the run.
    fn found(&self) -> Vec<(Anomaly, i64)> {
        self.context.shared.violations.kept().iter().map(|found| (found.anomaly, found.offset)).collect()
    }

    fn offsets(&self, partition: u32) -> Vec<i64> {
        self.fake.groups().offsets(partition)
    }

    /// What was told of, in words.
    fn told(&self) -> Vec<String> {
        let words = |news| match news {
            MemberEvent::Joined => "joined".to_owned(),
            MemberEvent::Placed { before, now } => format!("placed: {now} after {before}"),
            MemberEvent::Read { partition, position, runs, .. } => {
                let runs: Vec<_> = runs.iter().map(|run| format!("{}..{}", run.lower, run.upper)).collect();
                format!("{}: {} below {position}", partition.index(), runs.join(" "))
            }
            MemberEvent::PassedOver { partition, offsets } => {
                format!("{}: over {offsets:?}", partition.index())
            }
            MemberEvent::Rewound { partition, offset } => format!("{}: back to {offset}", partition.index()),
            MemberEvent::Refused(error) => format!("refused: {error}"),
        };
        self.news.try_iter().map(words).collect()
    }
}

fn assign(partition: u32, from: i64) -> GroupStep {
    GroupStep::Assign { partition, from }
}

fn revoke(partition: u32) -> GroupStep {
    GroupStep::Revoke { partition }
}

fn show(partition: u32, offsets: std::ops::Range<i64>) -> GroupStep {
    GroupStep::Show { partition, offsets, epoch: 0 }
}

fn say(partition: u32, event: LogEvent<'static>) -> GroupStep {
    GroupStep::Say { partition, event }
}

fn unreadable(from: i64, to: Option<i64>) -> GroupStep {
    say(0, LogEvent::Unreadable { from, to, cause: "a batch that does not fit its checksum" })
}

#[test]
fn what_members_were_shown_is_told_and_committed_before_they_leave() {
    let played = played(2, 5, "").steps([assign(0, 0), show(0, 0..5), say(0, LogEvent::AtEnd { end: 6 })]);
    let played = played.whole([assign(1, 0), assign(2, 0), show(2, 0..5), show(1, 0..5)]);
    played.read().unwrap();
    assert_eq!((played.valid(), played.found()), (15, vec![]));
    let told = played.told();
    for news in ["0: 0..5 below 6", "1: 0..5 below 5", "2: 0..5 below 5"] {
        assert!(told.iter().any(|told| told == news), "{news}: {told:?}");
    }
    assert_eq!(told.iter().filter(|told| *told == "joined").count(), 2);
    let groups = played.fake.groups();
    assert_eq!(groups.left, 2);
    assert_eq!((groups.committed[&0], groups.committed[&1]), (6, 5));
}

#[test]
fn of_how_many_partitions_a_member_has_its_place_is_told() {
    let played = played(1, 5, "").whole([assign(0, 0), assign(1, 0), assign(2, 0), revoke(1)]);
    played.read().unwrap();
    assert!(played.told().contains(&"placed: 2 after 0".to_owned()));
    let played = self::played(1, 5, "").whole([GroupStep::HoldCommits, assign(0, 0), show(0, 0..5)]);
    played.read().unwrap();
    let told = played.told();
    assert!(!told.iter().any(|told| told.starts_with("placed: 1")), "the group does not know it: {told:?}");
}

#[test]
fn a_partition_that_is_taken_away_in_mid_read_and_comes_back_accuses_nobody() {
    let away_and_back =
        [assign(0, 0), assign(1, 0), show(0, 0..3), revoke(0), show(1, 0..2), assign(0, 7), show(0, 7..9)];
    let played = played(1, 10, "").whole(away_and_back);
    played.read().unwrap();
    assert_eq!((played.valid(), played.found()), (7, vec![]), "others read what lies between");
    assert_eq!(played.job.members[0].offset_gaps.get(), 0);
    let told = played.told();
    assert!(told.contains(&"0: 0..3 7..9 below 9".to_owned()), "{told:?}");
}

#[test]
fn a_commit_that_comes_too_late_holds_up_who_may_not_be_further_ahead() {
    let played = played(1, 8, "--max-uncommitted 2");
    let fake = played.fake.clone();
    let looks = std::cell::Cell::new(0);
    // Looked at by the next member's client: there is none, so that the look is a task's.
    let played = played.whole([GroupStep::HoldCommits, assign(0, 0), show(0, 0..6)]);
    let release = async {
        while fake.groups().commits == 0 {
            glommio::timer::sleep(Duration::from_millis(1)).await;
        }
        glommio::timer::sleep(Duration::from_millis(20)).await;
        looks.set(fake.groups().offsets(0).len());
        fake.groups().answer_commits();
    };
    let read = async {
        let clients = || Ok(fake.clone());
        read_together(clients, &played.context, &played.job, &played.pass).await
    };
    let outcome = LocalExecutor::default().run(async { futures_lite::future::zip(read, release).await.0 });
    outcome.unwrap();
    assert_eq!((looks.get(), played.offsets(0)), (2, (0..6).collect()));
}

#[test]
fn who_may_not_commit_ends_the_run() {
    let refused = KafkaError::Broker(code::GROUP_AUTHORIZATION_FAILED);
    let played = played(1, 5, "").whole([assign(0, 0), GroupStep::RefuseCommits(refused), show(0, 0..5)]);
    let Err(Halt::Failed(why)) = played.read() else { panic!("it went on") };
    assert!(why.starts_with("group 'g': the cluster refuses what was consumed to be committed"), "{why}");
    assert!(played.context.stop_requested(), "the others do not wait for this one's partitions");
    assert_eq!(played.fake.groups().left, 1);
}

#[test]
fn who_may_not_read_ends_the_run() {
    let refused = LogEvent::Refused(KafkaError::Broker(code::TOPIC_AUTHORIZATION_FAILED));
    let at_once = GroupStep::AtOnce(vec![say(0, refused), show(0, 0..5)]);
    let played = played(1, 5, "").whole([assign(0, 0), at_once]);
    assert!(matches!(played.read(), Err(Halt::Failed(_))));
    assert_eq!(played.offsets(0), [] as [i64; 0], "nothing behind it is consumed");
}

#[test]
fn a_group_that_refuses_a_member_is_told_of_and_waited_for() {
    let full = KafkaError::full_group();
    let steps = [GroupStep::Refuse(full), assign(0, 0), show(0, 0..5)];
    let played = played(1, 5, "").whole(steps);
    played.read().unwrap();
    assert_eq!((played.valid(), played.errors()), (5, 1));
    assert_eq!(played.told()[0], format!("refused: {full}"));
}

#[test]
fn a_record_that_ends_the_run_is_not_taken_for_consumed() {
    // In the log it names the offset 3 as its own, and lies at 4.
    let record = |offset| GroupStep::ShowValue { partition: 0, offset, value: None };
    let played = played(1, 9, "").whole([assign(0, 0), show(0, 0..4), record(4), show(0, 5..9)]);
    assert!(matches!(played.read(), Err(Halt::Violation(_))), "it has no id");
    assert_eq!(played.offsets(0), [0, 1, 2, 3]);
    assert_eq!(played.fake.groups().committed[&0], 4, "who comes next is shown it, too");
}

#[test]
fn members_together_read_no_more_than_they_may() {
    let mut played = played(2, 9, "");
    played.pass.allowance = Allowance::Shared(Arc::new(Budget::new(5)));
    let played = played.steps([assign(0, 0), show(0, 0..9)]).steps([assign(1, 0), show(1, 0..9)]);
    played.read().unwrap();
    assert_eq!(played.fake.groups().consumed.len(), 5);
}

#[test]
fn what_cannot_be_read_is_named_once_and_passed_over() {
    let again = [assign(0, 0), show(0, 0..3), unreadable(2, None), unreadable(2, Some(6)), show(0, 6..9)];
    let played = played(1, 9, "--keep-going").whole(again);
    played.read().unwrap();
    assert_eq!(
        (played.valid(), played.found()),
        (6, vec![(Anomaly::Corrupt, 3)]),
        "its batch begins before it"
    );
    assert!(played.told().contains(&"0: over 3..6".to_owned()));
}

#[test]
fn what_cannot_be_read_ends_the_run_unless_it_goes_on() {
    let played = played(1, 9, "").whole([assign(0, 0), show(0, 0..3), unreadable(3, None), show(0, 6..9)]);
    assert!(matches!(played.read(), Err(Halt::Violation(found)) if found.offset == 3));
    assert_eq!(played.offsets(0), [0, 1, 2]);
}

#[test]
fn a_record_that_cannot_be_taken_apart_lies_where_the_ledger_says() {
    let malformed = |offset| GroupStep::ShowMalformed { partition: 0, offset };
    let steps = [assign(0, 0), show(0, 0..3), malformed(1_000), unreadable(3, Some(6)), show(0, 6..9)];
    let played = played(1, 9, "--keep-going").whole(steps);
    played.read().unwrap();
    assert_eq!(played.found(), [(Anomaly::Corrupt, 3)], "its offset was misread, too");
    assert!(played.told().contains(&"0: over 3..6".to_owned()));
}

#[test]
fn a_log_that_was_cut_is_read_from_there_on_whoever_reads_it_next() {
    let truncation = LogEvent::Truncated { from: 8, epoch: 0, to: 5 };
    let written_again = || GroupStep::Show { partition: 0, offsets: 5..7, epoch: 1 };
    let played = played(2, 8, "--tolerate-data-loss").steps([
        assign(0, 0),
        show(0, 0..8),
        say(0, truncation),
        written_again(),
        revoke(0),
        GroupStep::AwaitCommits(3),
    ]);
    // The ledger lists what lay there before, and says nothing of what was written by others since.
    let others = GroupStep::ShowValue { partition: 0, offset: 5, value: None };
    let played = played.whole([GroupStep::AwaitCommits(1), assign(0, 5), others]);
    played.read().unwrap();
    assert_eq!(played.found(), []);
    let told = played.told();
    let back = told.iter().position(|news| news == "0: back to 5").expect("that it was truncated");
    assert!(
        told[..back].contains(&"0: 0..8 below 8".to_owned()),
        "what was read before comes first: {told:?}"
    );
}

#[test]
fn what_should_lie_in_a_gap_the_ledger_knows() {
    let steps = || [assign(0, 0), show(0, 2..3), show(0, 9..10), show(0, 12..13)];
    let expected = |flags: &str| {
        let played = played(1, 10, flags).whole(steps());
        played.read().unwrap();
        std::mem::take(&mut played.fake.groups().expected)
    };
    assert_eq!(expected(""), [Expected::Acked, Expected::Acked, Expected::Records]);
    let in_transactions = "--use-transactions --keep-going";
    assert_eq!(expected(in_transactions), [Expected::Acked, Expected::Acked, Expected::Nothing]);
    assert_eq!(expected("--compacted"), [Expected::Nothing; 3]);
}

#[test]
fn where_nothing_comes_whoever_owns_the_partition_looks_into_it() {
    let played = played(1, 9, "");
    let stalled_partitions = played.pass.stalled_partitions.clone();
    let stands_still = GroupStep::Do(Box::new(move || {
        stalled_partitions.tell(PartitionSlot::new(0), 3);
        stalled_partitions.tell(PartitionSlot::new(1), 0);
    }));
    let fake = played.fake.clone();
    let done = played.pass.done.clone();
    let played = played.steps([assign(0, 0), show(0, 0..3), stands_still]);
    let watch = async {
        while fake.groups().looked_into.is_empty() {
            glommio::timer::sleep(Duration::from_millis(1)).await;
        }
        done.store(true, Relaxed);
    };
    let clients = || Ok(played.fake.clone());
    let read = read_together(clients, &played.context, &played.job, &played.pass);
    LocalExecutor::default().run(async { futures_lite::future::zip(read, watch).await.0 }).unwrap();
    assert_eq!(played.fake.groups().looked_into, [(0, 3)]);
    assert!(played.pass.stalled_partitions.contains(PartitionSlot::new(1)), "for whoever owns it");
}

#[test]
fn a_group_that_lets_nobody_go_is_not_waited_for() {
    let played = played(1, 3, "").whole([assign(0, 0), show(0, 0..3)]);
    played.fake.groups().never_leaves = true;
    played.read().unwrap();
    assert_eq!((played.valid(), played.fake.groups().left), (3, 0));
}

#[test]
fn an_answer_to_the_last_commit_that_never_comes_is_not_waited_for() {
    let played = played(1, 3, "").whole([GroupStep::HoldCommits, assign(0, 0), show(0, 0..3)]);
    played.read().unwrap();
    let groups = played.fake.groups();
    assert_eq!((groups.left, groups.committed.len()), (1, 0));
}

#[test]
fn each_pass_has_members_of_its_own() {
    let first = played(1, 3, "").whole([assign(0, 0), show(0, 0..3)]);
    first.fake.groups().steps([assign(0, 0), show(0, 0..3)]);
    let second = GroupReadPass { done: Arc::default(), group: "h".into(), ..first.pass.clone() };
    let done = second.done.clone();
    let fake = first.fake.clone();
    let run = async {
        let (feeder, pass_queue) = shard::pass_queue();
        let clients = || Ok(fake.clone());
        let read = run_with(clients, &first.context, &first.job, &pass_queue);
        let main = async {
            for pass in [first.pass.clone(), second] {
                feeder.start(pass);
                while !feeder.is_over() {
                    if fake.groups().consumed.len() == 6 {
                        done.store(true, Relaxed);
                    }
                    glommio::timer::sleep(Duration::from_millis(1)).await;
                }
                feeder.wait().unwrap();
            }
            drop(feeder);
        };
        futures_lite::future::zip(read, main).await;
    };
    LocalExecutor::default().run(run);
    let groups = first.fake.groups();
    let names: Vec<_> = groups.settings.iter().map(|settings| settings.group.as_str()).collect();
    assert_eq!((names, groups.left), (vec!["g", "h"], 2));
}

#[test]
fn static_members_of_a_group_of_ours_have_short_sessions() {
    let session = |flags: &str| {
        let (context, config, _) =
            ShardContext::played(&format!("--topic t --consumer_group_readers 1 {flags}"));
        let config = config.group_read.unwrap();
        settings(&context.client, &config, "g".into(), Isolation::ReadUncommitted).session(&context.client)
    };
    assert_eq!(session("").as_secs(), 45);
    assert_eq!(session("-X group.instance.id=me"), STATIC_SESSION);
    assert_eq!(session("-X group.instance.id=me --consumer_group_name n").as_secs(), 45);
    assert_eq!(session("-X session.timeout.ms=7000").as_secs(), 7);
}

#[test]
fn members_take_turns_and_those_without_a_partition_have_no_share() {
    let played = played(4, 3, "");
    let share = |members: usize| {
        let config =
            GroupReadConfig { members: NonZeroUsize::new(members).unwrap(), ..played.job.config.clone() };
        share(&GroupReadJob { config, ..played.job.clone() })
    };
    assert_eq!([share(1), share(3), share(4)].map(|share| format!("{share:.2}")), ["1.00", "0.33", "0.33"]);
}
