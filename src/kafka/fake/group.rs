//! A member of a group that is shown what a test tells it, step by step.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    ops::{ControlFlow, Range},
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    kafka::{Expected, GroupReader, GroupVisitor, KafkaError, LogEvent, MemberSettings, MemberState},
    partitions::{PartitionSlot, TopicPartition},
    record::RecordView,
};

use super::reader::record_at;

/// How long a test may wait: what waits for ever shall say so.
const PATIENCE: Duration = Duration::from_secs(20);

/// What becomes of a member, or what it is shown, next: one step for each poll.
pub(crate) enum GroupStep {
    /// A partition is the member's from now on, from this offset.
    Assign {
        partition: u32,
        from: i64,
    },
    /// It is not any more. What was consumed and not committed before, another consumes again.
    Revoke {
        partition: u32,
    },
    /// Records that name their own offsets.
    Show {
        partition: u32,
        offsets: Range<i64>,
        epoch: i32,
    },
    /// One whose headers cannot be taken apart.
    ShowMalformed {
        partition: u32,
        offset: i64,
    },
    /// One with this value, of a partition that the topic got after the member was made.
    ShowAdded {
        partition: i32,
        offset: i64,
        value: Vec<u8>,
    },
    /// One with this value, and no headers.
    ShowValue {
        partition: u32,
        offset: i64,
        value: Option<Vec<u8>>,
    },
    Say {
        partition: u32,
        event: LogEvent<'static>,
    },
    /// The group does not take it in.
    Refuse(KafkaError),
    /// Commits cannot succeed.
    RefuseCommits(KafkaError),
    /// Commits have no answer from now on, unless the test gives it.
    HoldCommits,
    /// Nothing comes before so many commits have been sent, by all members.
    AwaitCommits(usize),
    /// All of these with one poll.
    AtOnce(Vec<GroupStep>),
    /// This happens.
    Do(Box<dyn FnOnce()>),
}

/// What has happened in the group, and what is to happen.
pub(crate) struct Groups {
    /// By member, in the order in which they are made.
    steps: Vec<VecDeque<GroupStep>>,
    /// What each was made with.
    pub(crate) settings: Vec<MemberSettings>,
    /// What was consumed: by which member, of which partition, at which offset.
    pub(crate) consumed: Vec<(usize, u32, i64)>,
    /// What the group knows.
    pub(crate) committed: BTreeMap<u32, i64>,
    /// Commits that were sent.
    pub(crate) commits: usize,
    /// Where members were told to look: partition, offset.
    pub(crate) looked_into: Vec<(u32, i64)>,
    /// What was expected in gaps that members asked about.
    pub(crate) expected: Vec<Expected>,
    /// Members that have left.
    pub(crate) left: usize,
    /// Commits have no answer.
    holds_commits: bool,
    /// Leaving never comes to an end.
    pub(crate) never_leaves: bool,
    began: Instant,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            settings: Vec::new(),
            consumed: Vec::new(),
            committed: BTreeMap::new(),
            commits: 0,
            looked_into: Vec::new(),
            expected: Vec::new(),
            left: 0,
            holds_commits: false,
            never_leaves: false,
            began: Instant::now(),
        }
    }
}

impl Groups {
    /// The next member to be made goes through these.
    pub(crate) fn steps(&mut self, steps: impl IntoIterator<Item = GroupStep>) {
        self.steps.push(steps.into_iter().collect());
    }

    /// Commits have their answers from now on, those that are under way among them.
    pub(crate) fn answer_commits(&mut self) {
        self.holds_commits = false;
    }

    /// The offsets that were consumed of a partition, by whichever member.
    pub(crate) fn offsets(&self, partition: u32) -> Vec<i64> {
        let of_it = self.consumed.iter().filter(|consumed| consumed.1 == partition);
        of_it.map(|consumed| consumed.2).collect()
    }
}

/// A record without headers.
fn plain(offset: i64, value: Option<&[u8]>) -> RecordView<'_> {
    RecordView {
        offset,
        leader_epoch: 0,
        sent_ms: None,
        has_sound_headers: true,
        first_header: None,
        second_header: None,
        key: None,
        value,
        batch: None,
    }
}

/// A partition's number, of the only topic.
fn number(slot: PartitionSlot) -> u32 {
    u32::try_from(slot.index()).expect("few partitions")
}

/// Such a member.
pub(crate) struct Member {
    groups: Rc<RefCell<Groups>>,
    index: usize,
    steps: VecDeque<GroupStep>,
    /// Where it is in each partition of its own.
    owned: BTreeMap<u32, i64>,
    /// Commits that have no answer.
    under_way: Vec<(u32, i64)>,
    refusal: Option<KafkaError>,
    state: MemberState,
}

impl Member {
    pub(super) fn new(groups: Rc<RefCell<Groups>>, settings: &MemberSettings) -> Self {
        let mut known = groups.borrow_mut();
        let index = known.settings.len();
        known.settings.push(settings.clone());
        let steps = known.steps.get_mut(index).map(std::mem::take).unwrap_or_default();
        drop(known);
        Self {
            groups,
            index,
            steps,
            owned: BTreeMap::new(),
            under_way: Vec::new(),
            refusal: None,
            state: MemberState::default(),
        }
    }

    /// Whether everything that was consumed is committed.
    fn is_committed(&self) -> bool {
        let groups = self.groups.borrow();
        self.owned
            .iter()
            .all(|(which, place)| groups.committed.get(which).is_some_and(|known| known >= place))
    }

    fn take_answers(&mut self) {
        let mut groups = self.groups.borrow_mut();
        if !groups.holds_commits {
            groups.committed.extend(self.under_way.drain(..));
        }
    }

    fn must_own(&self, partition: u32) {
        assert!(self.owned.contains_key(&partition), "partition {partition} is another's");
    }

    /// Returns whether it was consumed.
    fn show(&mut self, partition: u32, record: &RecordView<'_>, visitor: &mut impl GroupVisitor) -> bool {
        self.must_own(partition);
        let due = self.owned[&partition];
        if due < record.offset {
            let expected = visitor.expects(PartitionSlot::new(partition), due..record.offset);
            self.groups.borrow_mut().expected.push(expected);
        }
        if visitor.record(PartitionSlot::new(partition), record) == ControlFlow::Break(()) {
            return false;
        }
        if record.has_sound_headers {
            self.owned.insert(partition, record.offset + 1);
            self.groups.borrow_mut().consumed.push((self.index, partition, record.offset));
        }
        true
    }

    /// Returns whether all of them were consumed.
    fn show_all(
        &mut self,
        partition: u32,
        offsets: Range<i64>,
        epoch: i32,
        limit: usize,
        visitor: &mut impl GroupVisitor,
    ) -> bool {
        for (shown, offset) in offsets.clone().enumerate() {
            let show = |record: &RecordView<'_>| self.show(partition, record, visitor);
            if shown == limit || !record_at(offset, epoch, true, show) {
                self.steps.push_front(GroupStep::Show { partition, offsets: offset..offsets.end, epoch });
                return shown == limit;
            }
        }
        true
    }

    fn revoke(&mut self, partition: u32) {
        self.must_own(partition);
        self.commit();
        self.take_answers();
        let known = self.groups.borrow().committed.get(&partition).copied().unwrap_or(0);
        let place = self.owned.remove(&partition).unwrap_or(0);
        self.state.uncommitted += u64::try_from(place - known).unwrap_or(0);
        self.state.rebalances += 1;
    }

    /// Returns whether that step is over.
    fn go(&mut self, step: GroupStep, limit: usize, visitor: &mut impl GroupVisitor) -> bool {
        match step {
            GroupStep::Assign { partition, from } => {
                self.owned.insert(partition, from);
                self.state.rebalances += 1;
                visitor.assigned(PartitionSlot::new(partition));
            }
            GroupStep::Revoke { partition } => self.revoke(partition),
            GroupStep::Show { partition, offsets, epoch } => {
                return self.show_all(partition, offsets, epoch, limit, visitor);
            }
            GroupStep::ShowMalformed { partition, offset } => {
                record_at(offset, 0, false, |record| self.show(partition, record, visitor));
            }
            GroupStep::ShowAdded { partition, offset, value } => {
                visitor.added(TopicPartition { topic: 0, partition }, &plain(offset, Some(&value)));
            }
            GroupStep::ShowValue { partition, offset, value } => {
                self.show(partition, &plain(offset, value.as_deref()), visitor);
            }
            GroupStep::Say { partition, event } => {
                self.must_own(partition);
                if let LogEvent::AtEnd { end: to } | LogEvent::Unreadable { to: Some(to), .. } = event {
                    self.owned.insert(partition, to);
                }
                if let LogEvent::Truncated { to, .. } = event {
                    self.owned.insert(partition, to);
                }
                visitor.event(Some(PartitionSlot::new(partition)), event);
            }
            GroupStep::Refuse(error) => visitor.refused(error),
            GroupStep::RefuseCommits(error) => self.refusal = Some(error),
            GroupStep::HoldCommits => self.groups.borrow_mut().holds_commits = true,
            GroupStep::AwaitCommits(count) => {
                if self.groups.borrow().commits < count {
                    self.steps.push_front(GroupStep::AwaitCommits(count));
                    return false;
                }
            }
            GroupStep::AtOnce(steps) => steps.into_iter().for_each(|step| _ = self.go(step, limit, visitor)),
            GroupStep::Do(happens) => happens(),
        }
        true
    }
}

impl GroupReader for Member {
    fn poll(&mut self, limit: usize, visitor: &mut impl GroupVisitor) -> bool {
        assert!(self.groups.borrow().began.elapsed() < PATIENCE, "nothing comes any more: {:?}", self.owned);
        match self.steps.pop_front() {
            Some(step) => self.go(step, limit, visitor),
            None => false,
        }
    }

    fn tend(&mut self) {
        self.take_answers();
    }

    async fn wait(&self, limit: Duration) {
        glommio::timer::sleep(limit.min(Duration::from_millis(1))).await;
    }

    fn commit(&mut self) {
        self.groups.borrow_mut().commits += 1;
        self.under_way.extend(self.owned.iter().map(|(which, place)| (*which, *place)));
    }

    fn is_committing(&mut self) -> bool {
        self.take_answers();
        !self.under_way.is_empty()
    }

    fn commit_refusal(&mut self) -> Option<KafkaError> {
        self.refusal.take()
    }

    fn state(&self) -> MemberState {
        MemberState { partitions: self.owned.len(), settled: self.is_committed(), ..self.state }
    }

    fn owns(&self, partition: PartitionSlot) -> bool {
        self.owned.contains_key(&number(partition))
    }

    fn look_into(&mut self, partition: PartitionSlot, offset: i64) {
        self.groups.borrow_mut().looked_into.push((number(partition), offset));
    }

    fn settle(&mut self) -> bool {
        self.take_answers();
        if !self.is_committed() && self.under_way.is_empty() {
            self.commit();
            self.take_answers();
        }
        self.is_committed()
    }

    fn begin_leaving(&mut self) {
        let groups = self.groups.borrow();
        let ahead = |(which, place): (&u32, &i64)| {
            u64::try_from(place - groups.committed.get(which).copied().unwrap_or(0)).unwrap_or(0)
        };
        self.state.uncommitted += self.owned.iter().map(ahead).sum::<u64>();
        drop(groups);
        self.owned.clear();
    }

    fn leave(&mut self) -> bool {
        let mut groups = self.groups.borrow_mut();
        groups.left += usize::from(!groups.never_leaves);
        !groups.never_leaves
    }
}
