use std::{cell::RefCell, collections::BTreeMap, ops::ControlFlow, rc::Rc};

use super::*;
use crate::{
    kafka::{
        ClientFactory, Ends, Isolation, LocalError, OffsetAndEpoch, ReaderSettings, code,
        fake::{Call, Fake, Memberships, PlayedMembership, Reader, Step},
    },
    record::RecordView,
};

type Member = Joined<PlayedMembership, Reader>;

/// What a visitor has been shown, and told.
#[derive(Default)]
struct Notes {
    records: Vec<(u32, i64)>,
    added: Vec<(i32, i64)>,
    assigned: Vec<u32>,
    truncated: Vec<(i64, i32, i64)>,
    events: Vec<String>,
    refused: Vec<KafkaError>,
    /// It breaks off at this offset.
    stops_at: Option<i64>,
}

fn number(slot: PartitionSlot) -> u32 {
    u32::try_from(slot.index()).unwrap()
}

impl GroupVisitor for Notes {
    fn record(&mut self, partition: PartitionSlot, record: &RecordView<'_>) -> ControlFlow<()> {
        if self.stops_at == Some(record.offset) {
            return ControlFlow::Break(());
        }
        self.records.push((number(partition), record.offset));
        ControlFlow::Continue(())
    }

    fn added(&mut self, place: TopicPartition, record: &RecordView<'_>) {
        self.added.push((place.partition, record.offset));
    }

    fn assigned(&mut self, partition: PartitionSlot) {
        self.assigned.push(number(partition));
    }

    fn event(&mut self, _partition: Option<PartitionSlot>, event: LogEvent<'_>) {
        match event {
            LogEvent::Truncated { from, epoch, to } => self.truncated.push((from, epoch, to)),
            event => self.events.push(format!("{event:?}")),
        }
    }

    fn refused(&mut self, error: KafkaError) {
        self.refused.push(error);
    }
}

/// A member of two partitions, whose group and logs a test plays.
struct Played {
    group: Rc<RefCell<Memberships>>,
    logs: Fake,
    /// Of partitions that are added.
    later: Fake,
    member: Member,
    notes: Notes,
    handover: Arc<Handover>,
}

const LIMIT: usize = 100;

impl Played {
    fn new(start: GroupStart) -> Self {
        Self::beside(start, Arc::new(Handover::new([(0, None), (0, None)])))
    }

    /// One whose process has other members.
    fn beside(start: GroupStart, handover: Arc<Handover>) -> Self {
        let (logs, later) = (Fake::default(), Fake::default());
        let table = Arc::new(PartitionTable::of_topic("t", 0..2));
        let settings = MemberSettings {
            group: "g".into(),
            isolation: Isolation::ReadUncommitted,
            start,
            members: 1,
            session_timeout: None,
            rebalance_timeout: None,
            handover: Some(handover.clone()),
        };
        let reading = ReaderSettings::here_and_there(settings.isolation);
        let (group, reader) = (Rc::default(), logs.reader(&reading, &table).unwrap());
        let others = later.clone();
        let another = move |table: &Arc<PartitionTable>| others.reader(&reading, table);
        let member = Joined::new((PlayedMembership(Rc::clone(&group)), reader), another, &settings, &table);
        Self { group, logs, later, member, notes: Notes::default(), handover }
    }

    /// Owns partition 0, which the group knows to be consumed up to there.
    fn owning(place: i64) -> Self {
        let mut played = Self::new(GroupStart::Start);
        played.assign([(0, Some(place))]);
        played.poll();
        played
    }

    /// These partitions are the member's, and the group knows them to be consumed up to there, or not at all.
    fn assign(&self, places: impl IntoIterator<Item = (i32, Option<i64>)>) {
        let places: Vec<_> = places.into_iter().collect();
        self.group.borrow_mut().assign(places.iter().map(|(partition, _)| *partition));
        let answer = |(partition, place)| (TopicPartition { topic: 0, partition }, Ok(place));
        self.logs.reads().places.extend(places.into_iter().map(answer));
    }

    fn poll(&mut self) -> bool {
        self.member.poll(LIMIT, &mut self.notes)
    }

    fn steps(&mut self, steps: impl IntoIterator<Item = Step>) -> &mut Self {
        self.logs.reads().steps.extend(steps);
        self.poll();
        self
    }

    fn show(&mut self, offsets: std::ops::Range<i64>, epoch: i32) -> &mut Self {
        self.steps([Step::Show { partition: 0, offsets, epoch }])
    }

    fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.logs.reads().calls)
    }

    /// The last commit, after one is begun.
    fn commit(&mut self) -> Vec<(i32, i64)> {
        self.member.commit();
        self.group.borrow().commits.last().cloned().unwrap_or_default()
    }

    fn answer(&mut self, number: CommitNumber, error: Option<KafkaError>) {
        self.group.borrow_mut().answer(number, error);
        self.member.tend();
    }

    fn ends(&self, start: i64, end: i64) {
        self.logs.reads().ends = BTreeMap::from([(0, Ends { start, end }), (1, Ends { start, end })]);
    }
}

fn from(partition: i32, offset: i64) -> Call {
    Call::ReadFrom(partition, ReadFrom::offset(offset))
}

fn rebalancing() -> KafkaError {
    KafkaError::Broker(code::REBALANCE_IN_PROGRESS)
}

#[test]
fn what_it_is_dealt_is_read_from_where_the_group_is() {
    let mut played = Played::new(GroupStart::Start);
    played.assign([(1, Some(7)), (0, Some(3))]);
    assert!(!played.member.owns(PartitionSlot::new(0)));
    played.poll();
    assert_eq!((played.calls(), &played.notes.assigned[..]), (vec![from(1, 7), from(0, 3)], &[1, 0][..]));
    let state = MemberState { rebalances: 1, partitions: 2, settled: true, uncommitted: 0 };
    assert_eq!(played.member.state(), state);
    played.show(3..5, 0);
    assert_eq!(played.notes.records, [(0, 3), (0, 4)]);
    assert_eq!(played.commit(), [(0, 5)], "of the other the group knows all");
}

#[test]
fn where_the_group_knows_nothing_it_begins_at_an_end_and_says_so_at_once() {
    for (start, offset) in [(GroupStart::Start, 2), (GroupStart::End, 9)] {
        let mut played = Played::new(start);
        played.ends(2, 9);
        // The first answer is an error.
        played.logs.reads().late = -1;
        played.assign([(0, None)]);
        for _ in 0..3 {
            played.poll();
        }
        assert!(played.calls().is_empty() && !played.member.state().settled);
        played.logs.reads().late = 0;
        for _ in 0..3 {
            played.poll();
        }
        assert_eq!(played.calls(), [from(0, offset)]);
        played.member.tend();
        assert_eq!(played.group.borrow().commits, [[(0, offset)]], "another would begin elsewhere");
        played.answer(1, None);
        assert!(played.member.state().settled);
    }
}

#[test]
fn what_is_revoked_is_not_read_any_more_and_committed_before_it_is_given_up() {
    let mut played = Played::owning(0);
    played.show(0..4, 0).calls();
    played.group.borrow_mut().revoke([0], false);
    played.poll();
    assert_eq!(played.calls(), [Call::Stop(0)]);
    assert_eq!(played.group.borrow().commits, [[(0, 4)]]);
    assert!(!played.member.owns(PartitionSlot::new(0)) && !played.member.settle(), "there is no answer yet");
    assert!(played.group.borrow().given_up.is_empty(), "whoever has it next would start where the group was");
    played.group.borrow_mut().answer(1, None);
    played.poll();
    assert_eq!(played.group.borrow().given_up, [1]);
    assert!(played.member.settle() && played.member.state().uncommitted == 0);
}

#[test]
fn what_is_revoked_and_cannot_be_committed_is_given_up_in_the_end() {
    let mut played = Played::owning(0);
    played.show(0..4, 0);
    played.group.borrow_mut().revoke([0], false);
    played.poll();
    played.member.giving_up = Some(Instant::now());
    played.poll();
    assert_eq!(played.group.borrow().given_up, [1]);
    // More may be revoked before, or lost, or it may leave.
    let mut played = Played::owning(0);
    played.assign([(1, Some(0))]);
    played.show(0..4, 0);
    played.group.borrow_mut().revoke([0], false);
    played.poll();
    assert!(played.group.borrow().given_up.is_empty());
    played.group.borrow_mut().revoke([1], false);
    played.poll();
    assert!(played.group.borrow().given_up.is_empty());
    played.group.borrow_mut().revoke([], true);
    played.poll();
    assert_eq!(played.group.borrow().given_up.len(), 1, "all of it");
    let mut played = Played::owning(0);
    played.show(0..4, 0);
    played.group.borrow_mut().revoke([0], false);
    played.poll();
    played.member.begin_leaving();
    assert_eq!(played.group.borrow().given_up, [1]);
}

#[test]
fn what_is_lost_cannot_be_committed_and_is_consumed_again() {
    let mut played = Played::owning(0);
    played.show(0..4, 0);
    played.group.borrow_mut().revoke([0], true);
    played.poll();
    assert_eq!((played.group.borrow().commits.len(), &played.group.borrow().given_up[..]), (0, &[0][..]));
    assert_eq!(played.member.state().uncommitted, 4);
}

#[test]
fn what_the_group_refuses_of_what_was_given_up_is_consumed_again() {
    let mut played = Played::owning(0);
    played.show(0..4, 0);
    played.group.borrow_mut().revoke([0], false);
    played.poll();
    assert_eq!(played.member.state().uncommitted, 0, "nobody knows yet");
    played.answer(1, Some(rebalancing()));
    assert_eq!((played.member.state().uncommitted, played.member.commit_refusal()), (4, None));
}

#[test]
fn what_the_group_refuses_goes_into_the_next_commit() {
    let mut played = Played::owning(0);
    assert_eq!(played.show(0..2, 0).commit(), [(0, 2)]);
    assert!(played.member.is_committing());
    played.answer(1, Some(rebalancing()));
    assert!(!played.member.is_committing() && !played.member.is_committed());
    assert_eq!(played.show(2..3, 0).commit(), [(0, 3)]);
    played.answer(2, None);
    assert!(
        played.member.settle() && played.commit() == [(0, 3)] && played.group.borrow().commits.len() == 2
    );
}

#[test]
fn commits_that_the_cluster_does_not_allow_are_told_once() {
    let mut played = Played::owning(0);
    played.show(0..2, 0).commit();
    let error = KafkaError::Broker(code::GROUP_AUTHORIZATION_FAILED);
    played.answer(1, Some(error));
    assert_eq!((played.member.commit_refusal(), played.member.commit_refusal()), (Some(error), None));
}

#[test]
fn answers_to_what_it_owned_before_tell_nothing_of_what_it_owns_now() {
    let mut played = Played::owning(0);
    played.show(0..4, 0).commit();
    played.group.borrow_mut().revoke([0], true);
    // Another was further behind.
    played.assign([(0, Some(1))]);
    played.poll();
    played.answer(1, None);
    played.show(1..3, 0);
    assert_eq!(played.commit(), [(0, 3)]);
}

#[test]
fn a_place_of_what_was_revoked_meanwhile_is_nobody_s() {
    let mut played = Played::new(GroupStart::Start);
    played.group.borrow_mut().assign([0]);
    played.poll();
    assert!(played.logs.reads().asked_places.contains(&0));
    played.group.borrow_mut().revoke([0], false);
    played.poll();
    assert!(played.logs.reads().asked_places.is_empty() && played.calls() == [Call::Stop(0)]);
}

#[test]
fn why_the_group_does_not_say_where_it_is_is_told_and_it_is_waited_for() {
    let mut played = Played::new(GroupStart::Start);
    let denied = KafkaError::Broker(code::GROUP_AUTHORIZATION_FAILED);
    let place = TopicPartition { topic: 0, partition: 0 };
    played.logs.reads().places.push_back((place, Err(denied)));
    played.assign([(0, Some(3))]);
    played.poll();
    assert_eq!((played.notes.events.len(), played.calls()), (1, vec![from(0, 3)]));
}

#[test]
fn no_more_is_shown_than_was_asked_for() {
    let mut played = Played::owning(0);
    played.logs.reads().steps.extend([Step::Show { partition: 0, offsets: 0..5, epoch: 0 }]);
    assert!(played.member.poll(3, &mut played.notes) && played.notes.records.len() == 3);
    assert!(!played.member.poll(3, &mut played.notes) && played.notes.records.len() == 5);
}

#[test]
fn where_its_visitor_breaks_off_nothing_was_consumed() {
    let mut played = Played::owning(0);
    played.calls();
    played.notes.stops_at = Some(2);
    let end = Step::Say(0, LogEvent::AtEnd { end: 5 });
    played.steps([Step::Show { partition: 0, offsets: 0..5, epoch: 0 }]);
    assert_eq!(
        (&played.notes.records[..], played.calls()),
        (&[(0, 0), (0, 1)][..], vec![from_epoch(0, 2, 0)])
    );
    assert_eq!(played.commit(), [(0, 2)]);
    played.notes.stops_at = None;
    played.show(2..5, 0).steps([end]);
    assert_eq!((played.notes.records.len(), played.commit()), (5, vec![(0, 5)]));
}

fn from_epoch(partition: i32, offset: i64, epoch: i32) -> Call {
    Call::ReadFrom(partition, ReadFrom { epoch_before: Some(epoch), ..ReadFrom::offset(offset) })
}

#[test]
fn a_log_that_was_cut_is_read_on_from_there_and_the_group_follows() {
    let mut played = Played::owning(0);
    assert_eq!(played.show(0..9, 1).commit(), [(0, 9)]);
    played.answer(1, None);
    played.calls();
    played.steps([Step::Say(0, LogEvent::Truncated { from: 9, epoch: 1, to: 4 })]);
    assert_eq!((&played.notes.truncated[..], played.calls()), (&[(9, 1, 4)][..], vec![from(0, 4)]));
    assert!(!played.member.state().settled && played.handover.due(PartitionSlot::new(0)).is_none());
    assert_eq!(played.show(4..5, 2).commit(), [(0, 5)]);
}

#[test]
fn a_later_leader_s_record_below_what_others_read_tells_of_a_truncation() {
    let handover = Arc::new(Handover::new([(0, Some(0)), (0, Some(0))]));
    handover.tell(PartitionSlot::new(0), OffsetAndEpoch { offset: 8, leader_epoch: 2 });
    let mut played = Played::beside(GroupStart::Start, handover);
    played.assign([(0, Some(5))]);
    played.poll();
    assert_eq!(played.calls(), [from(0, 5)]);
    played.show(5..6, 2).show(6..9, 3);
    assert_eq!((&played.notes.truncated[..], played.notes.records.len()), (&[(8, 2, 6)][..], 4));
    assert_eq!(played.commit(), [(0, 9)]);
}

#[test]
fn who_goes_on_behind_another_has_the_leader_asked_whether_the_log_is_the_same() {
    let handover = Arc::new(Handover::new([(0, Some(0)), (0, Some(0))]));
    let mut first = Played::beside(GroupStart::Start, handover.clone());
    first.assign([(0, Some(0))]);
    first.poll();
    first.show(0..6, 2);
    first.group.borrow_mut().revoke([0], false);
    first.poll();
    let mut next = Played::beside(GroupStart::Start, handover);
    next.assign([(0, Some(6))]);
    next.poll();
    assert_eq!(next.calls(), [from_epoch(0, 6, 2)]);
}

#[test]
fn what_cannot_be_read_is_gone_past_once_it_is_known_how_far_it_goes() {
    let mut played = Played::owning(0);
    played.show(0..2, 1);
    let unreadable = |to| Step::Say(0, LogEvent::Unreadable { from: 2, to, cause: "x" });
    assert_eq!(played.steps([unreadable(None)]).commit(), [(0, 2)]);
    assert_eq!(played.steps([unreadable(Some(7))]).commit(), [(0, 7)]);
    let read = OffsetAndEpoch { offset: 7, leader_epoch: -1 };
    assert_eq!(played.handover.read(PartitionSlot::new(0)), read, "no leader can be asked about it");
    played.steps([Step::ShowMalformed { partition: 0, offset: 9 }]);
    assert_eq!((played.notes.records.last().copied(), played.commit()), (Some((0, 9)), vec![(0, 7)]));
}

#[test]
fn where_the_log_s_start_has_moved_it_goes_on_there() {
    let mut played = Played::owning(3);
    played.calls();
    played.ends(5, 9);
    played.steps([Step::Say(0, LogEvent::OutOfRange)]);
    played.poll();
    played.poll();
    assert_eq!((played.calls(), played.commit()), (vec![from(0, 5)], vec![(0, 5)]));
}

#[test]
fn a_log_that_ends_below_the_place_is_believed_when_that_was_said_three_times() {
    let mut played = Played::owning(8);
    played.calls();
    played.ends(0, 4);
    played.steps([Step::Say(0, LogEvent::OutOfRange)]);
    let until = Instant::now() + Duration::from_secs(10);
    while played.notes.truncated.is_empty() && Instant::now() < until {
        played.poll();
    }
    assert_eq!(played.logs.reads().questions, 6);
    assert_eq!((&played.notes.truncated[..], played.calls()), (&[(8, -1, 4)][..], vec![from(0, 4)]));
    // And one whose leader had only not heard of it is read on.
    played.ends(0, 9);
    played.steps([Step::Say(0, LogEvent::OutOfRange)]);
    played.poll();
    played.poll();
    assert_eq!((played.calls(), played.notes.truncated.len()), (vec![from(0, 4)], 1));
}

#[test]
fn partitions_that_are_added_are_consumed_and_committed_too() {
    let mut played = Played::owning(0);
    played.assign([(2, Some(1))]);
    played.poll();
    assert_eq!(std::mem::take(&mut played.later.reads().calls), [from(2, 1)]);
    played.later.reads().steps.extend([Step::Show { partition: 2, offsets: 1..3, epoch: 0 }]);
    played.poll();
    assert_eq!((&played.notes.added[..], &played.notes.assigned[..]), (&[(2, 1), (2, 2)][..], &[0][..]));
    // One more: somebody else reads both.
    played.assign([(3, Some(4))]);
    played.poll();
    let read = std::mem::take(&mut played.later.reads().calls);
    assert_eq!((read, played.later.reads().clients), (vec![from_epoch(2, 3, 0), from(3, 4)], 2));
    assert_eq!(played.commit(), [(2, 3)]);
    assert_eq!(played.member.state().partitions, 3);
    played.group.borrow_mut().revoke([2, 3], false);
    played.poll();
    assert_eq!(played.later.reads().calls, [Call::Stop(2), Call::Stop(3)]);
}

#[test]
fn what_is_not_committed_when_it_leaves_is_consumed_again() {
    let mut played = Played::owning(0);
    played.show(0..3, 0);
    played.group.borrow_mut().refuses_commits = true;
    assert!(!played.member.settle());
    played.calls();
    played.member.begin_leaving();
    assert_eq!((played.member.state().uncommitted, played.calls()), (3, vec![Call::Stop(0)]));
    played.group.borrow_mut().revoke([0], false);
    assert!(!played.member.leave() && played.group.borrow().given_up.len() == 1);
    played.group.borrow_mut().has_left = true;
    assert!(played.member.leave() && played.group.borrow().is_leaving);
}

#[test]
fn what_the_group_has_against_it_is_told() {
    let mut played = Played::owning(0);
    let (full, lost) =
        (KafkaError::Broker(code::GROUP_MAX_SIZE_REACHED), KafkaError::Local(LocalError::Transport));
    played.group.borrow_mut().words.extend([GroupWord::Refused(full), GroupWord::Trouble(lost)]);
    played.poll();
    assert_eq!((&played.notes.refused[..], played.notes.events.len()), (&[full][..], 1));
}
