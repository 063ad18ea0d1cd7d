//! Groups of members that are dealt partitions at random moments. Everything from one seed.

use std::{
    cell::{RefCell, RefMut},
    collections::{BTreeMap, VecDeque},
    ops::ControlFlow,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use super::*;
use crate::{
    kafka::{
        Answers, Isolation, LogReader, LogVisitor, OffsetAndEpoch, PlaceAnswer, PortionedReader, code,
        fake::record_at,
    },
    random::Random,
    record::RecordView,
};

const MEMBERS: usize = 4;
const PARTITIONS: usize = 5;
const SEEDS: u64 = 1_000;
const STEPS: usize = 400;

/// A group, its logs, and what its members were shown.
struct Model {
    random: Random,
    logs: Vec<Log>,
    members: Vec<Mailbox>,
    commits: VecDeque<Commit>,
    /// A rule that is broken: what is revoked is dealt out at once.
    deals_out_early: bool,
    /// What went wrong.
    wrong: Option<String>,
}

/// A partition.
#[derive(Clone, Debug, Default)]
struct Log {
    end: i64,
    committed: Option<i64>,
    owner: Option<usize>,
    /// Its owner is to give it up.
    is_revoked: bool,
    /// How often each record was shown to the group.
    shown: Vec<u64>,
}

/// What is on its way to a member, and what it has to give up.
#[derive(Default)]
struct Mailbox {
    words: VecDeque<GroupWord>,
    commit_words: VecDeque<CommitWord>,
    revoked: Vec<usize>,
    sent: CommitNumber,
    /// What it reads, and from where on.
    reading: BTreeMap<usize, i64>,
    /// Places that it wants to know, and those that were looked up.
    asked: BTreeMap<usize, Lookup>,
    questions: Vec<(QuestionId, usize, OffsetSpec)>,
}

/// A place that a member wants to know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lookup {
    Open,
    /// `None`: the group has none.
    Done(Option<i64>),
}

struct Commit {
    member: usize,
    number: CommitNumber,
    /// With whether it was another's since the member read that: its generation is over.
    places: Vec<(TopicPartition, i64, bool)>,
}

fn at(partition: usize) -> TopicPartition {
    TopicPartition { topic: 0, partition: i32::try_from(partition).unwrap() }
}

fn index(place: TopicPartition) -> usize {
    usize::try_from(place.partition).unwrap()
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::from_seed(seed),
            logs: vec![Log::default(); PARTITIONS],
            members: (0..MEMBERS).map(|_| Mailbox::default()).collect(),
            commits: VecDeque::new(),
            deals_out_early: false,
            wrong: None,
        }
    }

    fn chance(&mut self, of: usize) -> bool {
        self.random.index(of) == 0
    }

    fn write(&mut self) {
        let partition = self.random.index(PARTITIONS);
        let more = self.random.index(8);
        let log = &mut self.logs[partition];
        log.end += i64::try_from(more).unwrap();
        log.shown.resize(log.shown.len() + more, 0);
    }

    /// Deals out what is nobody's, or takes something away.
    fn rebalance(&mut self) {
        let partition = self.random.index(PARTITIONS);
        let (member, may_be_lost) = (self.random.index(MEMBERS), self.chance(6));
        // Who has nothing to give up, and loses something, is out of the group; nothing else is revoked before it knows.
        let is_lost =
            may_be_lost && self.logs[partition].owner.is_some_and(|owner| !self.is_giving_up(owner));
        let log = &mut self.logs[partition];
        match log.owner {
            None => {
                (log.owner, log.is_revoked) = (Some(member), false);
                self.members[member].words.push_back(GroupWord::Assigned(vec![at(partition)]));
            }
            Some(owner) if !log.is_revoked => {
                log.is_revoked = true;
                let word = GroupWord::Revoked { partitions: vec![at(partition)], is_lost };
                self.members[owner].words.push_back(word);
                if is_lost {
                    log.owner = None;
                    let all = self.commits.iter_mut().filter(|commit| commit.member == owner);
                    let places = all.flat_map(|commit| &mut commit.places);
                    places.filter(|place| place.0 == at(partition)).for_each(|place| place.2 = true);
                } else if self.deals_out_early {
                    log.owner = None;
                }
            }
            Some(_) => {}
        }
    }

    /// Whether a member has something to give up, or is to hear of it.
    fn is_giving_up(&self, member: usize) -> bool {
        let Mailbox { words, revoked, .. } = &self.members[member];
        !revoked.is_empty() || words.iter().any(|word| matches!(word, GroupWord::Revoked { .. }))
    }

    /// The coordinator takes the next commit, or has the client ask again.
    fn answer_a_commit(&mut self) {
        let is_refused = self.chance(8);
        let Some(Commit { member, number, places }) = self.commits.pop_front() else { return };
        for (place, offset, is_over) in places {
            let log = &mut self.logs[index(place)];
            let result = if is_refused || is_over {
                Err(KafkaError::Broker(code::REBALANCE_IN_PROGRESS))
            } else {
                let all = &log.shown[..usize::try_from(offset).unwrap()];
                if all.contains(&0) {
                    self.wrong = Some(format!("{place:?}: {offset} is committed, and not all was shown"));
                }
                if log.committed.is_some_and(|committed| committed > offset) {
                    self.wrong = Some(format!("{place:?} goes back from {:?} to {offset}", log.committed));
                }
                log.committed = Some(offset);
                Ok(offset)
            };
            self.members[member].commit_words.push_back(CommitWord::Place(number, place, result));
        }
        self.members[member].commit_words.push_back(CommitWord::Over(number));
    }

    /// Where the group is in something that somebody wants to know; the answer comes later.
    fn look_up(&mut self, member: usize) {
        let Self { members, logs, .. } = self;
        for (partition, place) in
            members[member].asked.iter_mut().filter(|(_, place)| **place == Lookup::Open)
        {
            *place = Lookup::Done(logs[*partition].committed);
        }
    }

    /// Records that the group was shown more than once, and those that it was not shown.
    fn repeats(&self) -> (u64, usize) {
        let all = || self.logs.iter().flat_map(|log| &log.shown);
        (all().map(|shown| shown.saturating_sub(1)).sum(), all().filter(|shown| **shown == 0).count())
    }
}

/// One member's side of it.
#[derive(Clone)]
struct Side(Rc<RefCell<Model>>, usize);

impl Side {
    fn mailbox(&self) -> RefMut<'_, Mailbox> {
        RefMut::map(self.0.borrow_mut(), |model| &mut model.members[self.1])
    }
}

impl Membership for Side {
    fn word(&mut self) -> Option<GroupWord> {
        let word = self.mailbox().words.pop_front();
        if let Some(GroupWord::Revoked { partitions, is_lost: false }) = &word
            && !self.0.borrow().deals_out_early
        {
            self.mailbox().revoked.extend(partitions.iter().copied().map(index));
        }
        word
    }

    fn give_up(&mut self) {
        let revoked = std::mem::take(&mut self.mailbox().revoked);
        for partition in revoked {
            self.0.borrow_mut().logs[partition].owner = None;
        }
    }

    fn commit(&mut self, places: &[(TopicPartition, i64)]) -> Option<CommitNumber> {
        let number = self.mailbox().sent + 1;
        self.mailbox().sent = number;
        let is_lost = |place: TopicPartition| {
            let is_it = |word: &GroupWord| match word {
                GroupWord::Revoked { partitions, is_lost } => *is_lost && partitions.contains(&place),
                _ => false,
            };
            self.mailbox().words.iter().any(is_it)
        };
        let places = places.iter().map(|(place, offset)| (*place, *offset, is_lost(*place))).collect();
        let commit = Commit { member: self.1, number, places };
        self.0.borrow_mut().commits.push_back(commit);
        Some(number)
    }

    fn commit_word(&mut self) -> Option<CommitWord> {
        self.mailbox().commit_words.pop_front()
    }

    async fn wait(&self, _limit: Duration) {}

    fn begin_leaving(&mut self) {}

    fn has_left(&mut self) -> bool {
        true
    }
}

impl LogReader for Side {
    fn read_from(&mut self, partition: PartitionSlot, place: ReadFrom) {
        self.mailbox().reading.insert(partition.index(), place.offset);
    }

    fn stop(&mut self, partition: PartitionSlot) {
        self.mailbox().reading.remove(&partition.index());
    }

    fn poll(&mut self, visitor: &mut impl LogVisitor) -> usize {
        self.poll_at_most(usize::MAX, visitor)
    }

    async fn wait(&self, _limit: Duration) {}

    fn ask_offsets(&mut self, partitions: &[PartitionSlot], spec: OffsetSpec) -> QuestionId {
        let id = QuestionId::next();
        self.mailbox().questions.push((id, partitions[0].index(), spec));
        id
    }

    fn answers(&mut self, question: QuestionId) -> Option<Answers> {
        let (_, partition, spec) = *self.mailbox().questions.iter().find(|(id, ..)| *id == question)?;
        let end = self.0.borrow().logs[partition].end;
        let offset = if spec == OffsetSpec::Start { 0 } else { end };
        Some(vec![(PartitionSlot::at(partition), Ok(OffsetAndEpoch { offset, leader_epoch: 0 }))])
    }
}

impl PortionedReader for Side {
    fn poll_at_most(&mut self, limit: usize, visitor: &mut impl LogVisitor) -> usize {
        let reading: Vec<_> = self.mailbox().reading.iter().map(|(one, next)| (*one, *next)).collect();
        for (partition, next) in reading {
            let end = self.0.borrow().logs[partition].end;
            if next < end && limit > 0 {
                self.mailbox().reading.insert(partition, next + 1);
                record_at(next, 0, true, |record| visitor.record(PartitionSlot::at(partition), record));
                return 1;
            }
        }
        0
    }
}

impl MemberReader for Side {
    fn ask_place(&mut self, place: TopicPartition) {
        self.mailbox().asked.insert(index(place), Lookup::Open);
    }

    fn withdraw_place(&mut self, place: TopicPartition) {
        self.mailbox().asked.remove(&index(place));
    }

    fn place(&mut self) -> Option<PlaceAnswer> {
        let mut mailbox = self.mailbox();
        let done = |(one, lookup): (&usize, &Lookup)| match lookup {
            Lookup::Open => None,
            Lookup::Done(place) => Some((*one, *place)),
        };
        let (partition, place) = mailbox.asked.iter().find_map(done)?;
        mailbox.asked.remove(&partition);
        Some((at(partition), Ok(place)))
    }
}

/// Counts what a member is shown.
struct Shown<'a>(&'a RefCell<Model>);

impl GroupVisitor for Shown<'_> {
    fn record(&mut self, partition: PartitionSlot, record: &RecordView<'_>) -> ControlFlow<()> {
        let mut model = self.0.borrow_mut();
        model.logs[partition.index()].shown[usize::try_from(record.offset).unwrap()] += 1;
        ControlFlow::Continue(())
    }

    fn assigned(&mut self, _partition: PartitionSlot) {}

    fn event(&mut self, _partition: Option<PartitionSlot>, _event: LogEvent<'_>) {}

    fn refused(&mut self, _error: KafkaError) {}
}

fn members(model: &Rc<RefCell<Model>>) -> Vec<Joined<Side, Side>> {
    let settings = MemberSettings {
        group: "g".into(),
        isolation: Isolation::ReadUncommitted,
        start: GroupStart::Start,
        members: MEMBERS,
        session_timeout: None,
        rebalance_timeout: None,
        handover: None,
    };
    let table = Arc::new(PartitionTable::of_topic("t", (0..).take(PARTITIONS)));
    let member = |number| {
        let side = Side(Rc::clone(model), number);
        let another = side.clone();
        Joined::new((side.clone(), side), move |_| Ok(another.clone()), &settings, &table)
    };
    (0..MEMBERS).map(member).collect()
}

/// Plays a seed. What went wrong, if anything did.
fn play(seed: u64, deals_out_early: bool) -> Option<String> {
    let model = Rc::new(RefCell::new(Model { deals_out_early, ..Model::new(seed) }));
    let mut members = members(&model);
    for _ in 0..STEPS {
        let what = model.borrow_mut().random.index(8);
        let member = model.borrow_mut().random.index(MEMBERS);
        match what {
            0 => model.borrow_mut().write(),
            1 => model.borrow_mut().rebalance(),
            2 => model.borrow_mut().answer_a_commit(),
            3 => model.borrow_mut().look_up(member),
            4 => members[member].commit(),
            5 => members[member].tend(),
            _ => _ = members[member].poll(3, &mut Shown(&model)),
        }
        if let Some(wrong) = model.borrow_mut().wrong.take() {
            return Some(wrong);
        }
    }
    // Until nothing happens any more, everything is somebody's.
    for _ in 0..STEPS {
        for partition in 0..PARTITIONS {
            let is_free = model.borrow().logs[partition].owner.is_none();
            if is_free {
                let mut model = model.borrow_mut();
                (model.logs[partition].owner, model.logs[partition].is_revoked) = (Some(0), false);
                model.members[0].words.push_back(GroupWord::Assigned(vec![at(partition)]));
            }
        }
        for (number, member) in members.iter_mut().enumerate() {
            model.borrow_mut().look_up(number);
            member.poll(100, &mut Shown(&model));
            member.tend();
        }
        model.borrow_mut().answer_a_commit();
    }
    let wrong = model.borrow_mut().wrong.take();
    let (repeats, missing) = model.borrow().repeats();
    let uncommitted: u64 = members.iter().map(|member| member.state().uncommitted).sum();
    wrong.or_else(|| (missing > 0).then(|| format!("{missing} records were shown to nobody"))).or_else(|| {
        (repeats > uncommitted)
            .then(|| format!("{repeats} were shown again, and {uncommitted} not committed"))
    })
}

#[test]
fn whenever_partitions_change_hands_each_record_is_shown_and_again_only_where_that_is_said() {
    for seed in 0..SEEDS {
        let wrong = play(seed, false);
        assert_eq!(wrong, None, "seed {seed}");
    }
}

#[test]
fn a_group_that_deals_out_what_was_not_given_up_is_found() {
    let found = (0..SEEDS).find_map(|seed| play(seed, true));
    assert!(found.is_some(), "the model sees nothing");
}
