//! The membership of a simulated group: it deals partitions out to members and takes them away again, takes their commits, and
//! sees what they are shown. What they may be shown it knows from that.

use std::collections::{BTreeMap, VecDeque};

use super::groups::GroupPlace;
use crate::{
    kafka::{CommitNumber, CommitWord, GroupWord, KafkaError, code},
    partitions::TopicPartition,
    random::Random,
};

/// How long a commit is under way at the most, µs.
const COMMIT_MOST_US: u64 = 200_000;
/// A coordinator that is not there is tried again after so long, µs.
const AGAIN_US: u64 = 50_000;
/// How long a transaction is open that carries an offset, at the most, µs.
const OPEN_MOST_US: u64 = 400_000;

/// A group's partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Dealt {
    pub owner: Option<usize>,
    /// Its owner is to give it up.
    is_revoked: bool,
    pub place: GroupPlace,
    /// How often the group's place has changed.
    changes: usize,
    /// How often each record was shown to the group.
    pub shown: Vec<u64>,
}

/// A partition that a member owns, as far as it has heard.
#[derive(Clone, Debug, Default)]
struct Owned {
    /// What it is to be shown next; `None`: the group has not said where it begins.
    next: Option<i64>,
    /// What the group may say of that: every place that it has had since the member asked.
    possible: Vec<Option<i64>>,
    /// Something was shown of it.
    is_read: bool,
    /// The last answer to a commit was a refusal.
    is_refused: bool,
}

/// A commit, and when the coordinator has it, µs.
#[derive(Clone, Debug)]
struct Commit {
    number: CommitNumber,
    /// With whether the partition was another's when it was sent, or has been since.
    places: Vec<(usize, i64, bool)>,
    due_us: u64,
    /// Places that an open transaction carries, each with how often the group's place had changed before.
    carried: Option<Vec<(usize, i64, usize)>>,
}

/// One member's side.
#[derive(Clone, Debug, Default)]
struct Mailbox {
    words: VecDeque<GroupWord>,
    commit_words: VecDeque<CommitWord>,
    owned: BTreeMap<usize, Owned>,
    giving_up: BTreeMap<usize, Owned>,
    sent: CommitNumber,
    commits: VecDeque<Commit>,
}

/// What members do and may do.
#[derive(Debug)]
pub(super) struct Dealing {
    random: Random,
    pub now_us: u64,
    pub dealt: Vec<Dealt>,
    members: Vec<Mailbox>,
    /// How likely a commit is part of a transaction.
    pub transactional: f64,
    /// Members wait for the end of such a transaction before they begin.
    waits_for_ends: bool,
    /// A rule that is broken: what is revoked is dealt out at once.
    pub deals_out_early: bool,
    pub revocations: usize,
    pub wrong: Vec<String>,
}

pub(super) fn at(partition: usize) -> TopicPartition {
    TopicPartition { topic: 0, partition: i32::try_from(partition).expect("few partitions") }
}

fn index(place: TopicPartition) -> usize {
    usize::try_from(place.partition).expect("a partition")
}

impl Dealing {
    pub(super) fn new(seed: u64, (partitions, members): (usize, usize), waits_for_ends: bool) -> Self {
        Self {
            random: Random::from_seed(seed),
            now_us: 0,
            dealt: vec![Dealt::default(); partitions],
            members: vec![Mailbox::default(); members],
            transactional: 0.0,
            waits_for_ends,
            deals_out_early: false,
            revocations: 0,
            wrong: Vec::new(),
        }
    }

    fn accuse(&mut self, member: usize, what: &str) {
        self.wrong.push(format!("at {} µs member {member}: {what}", self.now_us));
    }

    /// Deals out what is nobody's, or takes something away.
    pub(super) fn rebalance(&mut self) {
        let partition = self.random.index(self.dealt.len());
        let may_be_lost = self.random.index(6) == 0;
        let Some(owner) = self.dealt[partition].owner else { return self.deal_out(partition) };
        if self.dealt[partition].is_revoked {
            return;
        }
        // Who has nothing to give up, and loses something, is out of the group; nothing else is revoked before it knows.
        let is_lost = may_be_lost && !self.is_giving_up(owner);
        self.revocations += 1;
        self.dealt[partition].is_revoked = true;
        let word = GroupWord::Revoked { partitions: vec![at(partition)], is_lost };
        self.members[owner].words.push_back(word);
        if is_lost {
            let places = self.members[owner].commits.iter_mut().flat_map(|commit| &mut commit.places);
            places.filter(|place| place.0 == partition).for_each(|place| place.2 = true);
        }
        if is_lost || self.deals_out_early {
            self.dealt[partition].owner = None;
        }
    }

    fn deal_out(&mut self, partition: usize) {
        let member = self.random.index(self.members.len());
        (self.dealt[partition].owner, self.dealt[partition].is_revoked) = (Some(member), false);
        self.members[member].words.push_back(GroupWord::Assigned(vec![at(partition)]));
    }

    /// Everything is somebody's. Returns whether it was already, and will be.
    pub(super) fn deal_out_all(&mut self) -> bool {
        let free = (0..self.dealt.len()).filter(|partition| self.dealt[*partition].owner.is_none());
        let free: Vec<_> = free.collect();
        let is_all = free.is_empty();
        for partition in free {
            self.deal_out(partition);
        }
        is_all && !self.dealt.iter().any(|dealt| dealt.is_revoked)
    }

    fn is_giving_up(&self, member: usize) -> bool {
        let Mailbox { words, giving_up, .. } = &self.members[member];
        !giving_up.is_empty() || words.iter().any(|word| matches!(word, GroupWord::Revoked { .. }))
    }

    /// Whether a member is about to hear that it has lost a partition.
    fn has_lost(&self, member: usize, partition: usize) -> bool {
        self.members[member].words.iter().any(|word| match word {
            GroupWord::Revoked { partitions, is_lost } => *is_lost && partitions.contains(&at(partition)),
            _ => false,
        })
    }

    /// A member takes its next word.
    pub(super) fn word(&mut self, member: usize) -> Option<GroupWord> {
        let mailbox = &mut self.members[member];
        let word = mailbox.words.pop_front();
        match &word {
            Some(GroupWord::Assigned(places)) => {
                mailbox.owned.extend(places.iter().map(|place| (index(*place), Owned::default())));
            }
            Some(GroupWord::Revoked { partitions, is_lost }) => {
                for partition in partitions.iter().copied().map(index) {
                    let owned = mailbox.owned.remove(&partition);
                    mailbox.giving_up.extend(owned.filter(|_| !is_lost).map(|owned| (partition, owned)));
                }
            }
            _ => {}
        }
        word
    }

    /// A member gives up what was revoked: everything that it was shown of it has to be committed, unless that was refused.
    pub(super) fn give_up(&mut self, member: usize) {
        let giving_up = std::mem::take(&mut self.members[member].giving_up);
        if !giving_up.is_empty() && !self.members[member].commits.is_empty() {
            self.accuse(member, "gives something up while commits are under way");
        }
        for (partition, owned) in giving_up {
            let committed = self.dealt[partition].place.committed;
            if owned.is_read && !owned.is_refused && committed != owned.next {
                let next = owned.next;
                self.accuse(
                    member,
                    &format!("gives up {partition} at {next:?}, and {committed:?} is committed"),
                );
            }
            if !self.deals_out_early {
                self.dealt[partition].owner = None;
                self.dealt[partition].is_revoked = false;
            }
        }
    }

    /// A member commits.
    pub(super) fn commit(&mut self, member: usize, places: &[(TopicPartition, i64)]) -> CommitNumber {
        let takes_us = 1 + self.random.below(COMMIT_MOST_US);
        let is_lost = |place| self.has_lost(member, index(place));
        let places: Vec<_> =
            places.iter().map(|(place, offset)| (index(*place), *offset, is_lost(*place))).collect();
        for (partition, offset, _) in &places {
            let mailbox = &self.members[member];
            let owned = mailbox.owned.get(partition).or_else(|| mailbox.giving_up.get(partition));
            let next = owned.and_then(|owned| owned.next);
            if next != Some(*offset) {
                self.accuse(member, &format!("commits {partition} at {offset}, and is at {next:?}"));
            }
        }
        let mailbox = &mut self.members[member];
        mailbox.sent += 1;
        let due_us = self.now_us + takes_us;
        let due_us = mailbox.commits.back().map_or(due_us, |last| last.due_us.max(due_us));
        mailbox.commits.push_back(Commit { number: mailbox.sent, places, due_us, carried: None });
        mailbox.sent
    }

    pub(super) fn commit_word(&mut self, member: usize) -> Option<CommitWord> {
        self.members[member].commit_words.pop_front()
    }

    /// The coordinator takes the commits that have come, if it is there.
    pub(super) fn take_commits(&mut self, is_there: bool) {
        for member in 0..self.members.len() {
            while let Some(mut commit) =
                self.members[member].commits.pop_front_if(|commit| commit.due_us <= self.now_us)
            {
                let is_over = is_there && self.take_commit(member, &mut commit);
                let mailbox = &mut self.members[member];
                if is_over {
                    mailbox.commit_words.push_back(CommitWord::Over(commit.number));
                    continue;
                }
                if !is_there {
                    commit.due_us = self.now_us + AGAIN_US;
                }
                mailbox.commits.push_front(commit);
                break;
            }
        }
    }

    /// Returns whether nothing follows to it.
    fn take_commit(&mut self, member: usize, commit: &mut Commit) -> bool {
        if let Some(carried) = commit.carried.take() {
            let is_aborted = self.random.index(5) == 0;
            for (partition, offset, changes) in carried {
                self.dealt[partition].place.open -= 1;
                // What was committed later counts.
                let is_taken = !is_aborted && self.dealt[partition].changes == changes;
                self.answer(member, commit.number, (partition, offset), is_taken);
            }
            return true;
        }
        let is_refused = self.random.index(8) == 0;
        let is_carried = self.random.chance(self.transactional);
        let mut carried = Vec::new();
        for &(partition, offset, is_over) in &commit.places {
            if is_carried && !is_over && !is_refused {
                self.dealt[partition].place.open += 1;
                carried.push((partition, offset, self.dealt[partition].changes));
            } else {
                self.answer(member, commit.number, (partition, offset), !is_over && !is_refused);
            }
        }
        if carried.is_empty() {
            return true;
        }
        commit.carried = Some(carried);
        commit.due_us = self.now_us + 1 + self.random.below(OPEN_MOST_US);
        false
    }

    /// What becomes of one place of a commit.
    fn answer(
        &mut self,
        member: usize,
        number: CommitNumber,
        (partition, offset): (usize, i64),
        is_taken: bool,
    ) {
        if is_taken {
            let below = usize::try_from(offset).unwrap_or(0);
            let dealt = &mut self.dealt[partition];
            let before = dealt.place.committed.replace(offset);
            dealt.changes += 1;
            if dealt.shown.get(..below).is_none_or(|all| all.contains(&0)) {
                self.accuse(member, &format!("{partition}: {offset} is committed, and not all was shown"));
            }
            if before > Some(offset) && self.transactional == 0.0 {
                self.accuse(member, &format!("{partition}: the group goes back from {before:?} to {offset}"));
            }
        }
        self.hear_of_place(partition);
        let mailbox = &mut self.members[member];
        let owned = mailbox.owned.get_mut(&partition).or_else(|| mailbox.giving_up.get_mut(&partition));
        if let Some(owned) = owned {
            owned.is_refused = !is_taken;
        }
        let refusal = KafkaError::Broker(code::REBALANCE_IN_PROGRESS);
        let result = if is_taken { Ok(offset) } else { Err(refusal) };
        mailbox.commit_words.push_back(CommitWord::Place(number, at(partition), result));
    }

    /// Whoever has asked where a partition begins may be told its place of now.
    fn hear_of_place(&mut self, partition: usize) {
        let GroupPlace { committed, open } = self.dealt[partition].place;
        if open > 0 && self.waits_for_ends {
            return;
        }
        let all = self.members.iter_mut().filter_map(|mailbox| mailbox.owned.get_mut(&partition));
        all.for_each(|owned| owned.possible.push(committed));
    }

    /// A member asks where a partition begins.
    pub(super) fn ask_place(&mut self, member: usize, partition: TopicPartition) {
        if let Some(owned) = self.members[member].owned.get_mut(&index(partition)) {
            owned.possible.clear();
        }
        let partition = index(partition);
        let GroupPlace { committed, open } = self.dealt[partition].place;
        if let Some(owned) = self.members[member].owned.get_mut(&partition)
            && (open == 0 || !self.waits_for_ends)
        {
            owned.possible.push(committed);
        }
    }

    /// A member hears it.
    pub(super) fn placed(&mut self, member: usize, place: TopicPartition, committed: Option<i64>) {
        let owned = self.members[member].owned.get_mut(&index(place));
        let Some(owned) = owned.filter(|owned| owned.next.is_none() && owned.possible.contains(&committed))
        else {
            return self.accuse(member, &format!("hears that {place:?} begins at {committed:?}"));
        };
        owned.next = Some(committed.unwrap_or(0));
    }

    /// A member begins to read a partition, or reads it again.
    pub(super) fn read_from(&mut self, member: usize, partition: usize, offset: i64) {
        let next = self.members[member].owned.get(&partition).and_then(|owned| owned.next);
        if next != Some(offset) {
            self.accuse(member, &format!("reads {partition} from {offset}, and is at {next:?}"));
        }
    }

    /// A member is shown a record.
    pub(super) fn show(&mut self, member: usize, partition: usize, offset: i64) {
        let is_owner = self.dealt[partition].owner == Some(member) || self.has_lost(member, partition);
        let owned = self.members[member].owned.get_mut(&partition);
        let Some(owned) = owned.filter(|owned| is_owner && owned.next == Some(offset)) else {
            return self.accuse(member, &format!("is shown {partition}/{offset}"));
        };
        (owned.next, owned.is_read) = (Some(offset + 1), true);
        let offset = usize::try_from(offset).unwrap_or(0);
        let shown = &mut self.dealt[partition].shown;
        shown.resize(shown.len().max(offset + 1), 0);
        shown[offset] += 1;
    }

    /// A member is told that everything below was shown.
    pub(super) fn reach(&mut self, member: usize, partition: usize, reached: i64) {
        let next = self.members[member].owned.get(&partition).and_then(|owned| owned.next);
        if next.is_none_or(|next| reached > next) {
            self.accuse(member, &format!("is told that {partition} was shown up to {reached}"));
        }
    }

    /// When a commit comes next, µs.
    pub(super) fn next_us(&self) -> u64 {
        let due = self.members.iter().filter_map(|mailbox| mailbox.commits.front());
        due.map(|commit| commit.due_us).min().unwrap_or(u64::MAX)
    }

    /// How often records were shown that had been shown before.
    pub(super) fn repeats(&self) -> u64 {
        self.dealt.iter().flat_map(|dealt| &dealt.shown).map(|shown| shown.saturating_sub(1)).sum()
    }
}
