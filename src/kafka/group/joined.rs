//! A member of a group whose membership is one client's business, and whose records another's.
//!
//! What the group deals out is read from where the group says, or, where it has no place, from the log's start or end. A partition
//! that is revoked is not read any more, and is given up when what was consumed of it is committed.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    COMMIT_EVERY, COMMIT_PATIENCE, CommitNumber, CommitWord, GroupReader, GroupStart, GroupVisitor,
    GroupWord, Handover, MemberReader, MemberSettings, MemberState, Membership,
    added::AddedPartitions,
    assigned::{AssignedPartition, Stage},
    showing::{Due, Quiet, Showing},
    standing::Standing,
};
use crate::{
    kafka::{Answers, ClientError, KafkaError, LogEvent, OffsetSpec, QuestionId, ReadFrom},
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
};

/// How long it rests where a place is not in the log, before that is asked once more.
const ASTRAY_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 500 });
/// So often in a row a leader says that its log ends below a place before it is believed: one that was elected just now may not
/// know yet how far its log goes.
const DENIALS: u8 = 3;

/// A member of a group, used by one shard.
pub(crate) struct Joined<M, R> {
    membership: M,
    reader: R,
    /// What topics got since the member was made; their slots lie behind those of the table.
    added: AddedPartitions<R>,
    table: Arc<PartitionTable>,
    start: GroupStart,
    handover: Arc<Handover>,
    /// By slot; `None`: another's.
    assigned: Vec<Option<AssignedPartition>>,
    /// Partitions that were given up, whose last commit has no answer yet.
    given_up: Vec<(PartitionSlot, Standing)>,
    /// What was revoked is given up when all commits have their answers, or by then.
    giving_up: Option<Instant>,
    /// How long the group waits for that, at the most.
    give_up_patience: Duration,
    /// The last commit that was sent, and how many have their answer, in whatever order.
    sent: CommitNumber,
    answers: CommitNumber,
    committed_at: Instant,
    is_commit_under_way: bool,
    /// The cluster does not let this member commit.
    refused: Option<KafkaError>,
    rebalances: u64,
    uncommitted: u64,
    /// Some partition is not simply read.
    is_unsettled: bool,
}

impl<M: Membership, R: MemberReader> Joined<M, R> {
    /// A member that has just subscribed to the topics of this table, and who reads for it. `another` makes a reader for partitions
    /// that its topics get later.
    pub(in crate::kafka) fn new(
        (membership, reader): (M, R),
        another: impl Fn(&Arc<PartitionTable>) -> Result<R, ClientError> + 'static,
        settings: &MemberSettings,
        table: &Arc<PartitionTable>,
    ) -> Self {
        Self {
            membership,
            reader,
            added: AddedPartitions::new(table, another),
            table: table.clone(),
            start: settings.start,
            handover: settings.handover.clone().unwrap_or_else(|| Arc::new(Handover::new([]))),
            assigned: vec![None; table.count()],
            given_up: Vec::new(),
            giving_up: None,
            // Whoever answers too late is put out of the group.
            give_up_patience: settings
                .rebalance_timeout
                .map_or(COMMIT_PATIENCE, |limit| COMMIT_PATIENCE.min(limit / 2)),
            sent: 0,
            answers: 0,
            committed_at: Instant::now(),
            is_commit_under_way: false,
            refused: None,
            rebalances: 0,
            uncommitted: 0,
            is_unsettled: false,
        }
    }

    fn slot(&self, place: TopicPartition) -> Option<PartitionSlot> {
        self.table.slot(place).or_else(|| self.added.slot(place))
    }

    fn place(&self, slot: PartitionSlot) -> TopicPartition {
        if self.is_added(slot) { self.added.place(slot) } else { self.table.place(slot) }
    }

    /// Whether its topic got this partition after the member was made.
    fn is_added(&self, slot: PartitionSlot) -> bool {
        slot.index() >= self.table.count()
    }

    fn assigned_at(&mut self, slot: PartitionSlot) -> Option<&mut AssignedPartition> {
        self.assigned.get_mut(slot.index())?.as_mut()
    }

    /// All that are owned.
    fn owned(&self) -> impl Iterator<Item = (PartitionSlot, &AssignedPartition)> {
        let slots = (0..self.assigned.len()).map(PartitionSlot::at);
        slots.zip(&self.assigned).filter_map(|(slot, assigned)| Some((slot, assigned.as_ref()?)))
    }

    /// Hears what the group says.
    fn handle_words(&mut self, visitor: &mut impl GroupVisitor) {
        while let Some(word) = self.membership.word() {
            match word {
                GroupWord::Assigned(places) => {
                    self.rebalances += 1;
                    for place in places {
                        self.assigned(place, visitor);
                    }
                }
                GroupWord::Revoked { partitions, is_lost } => self.revoked(&partitions, is_lost),
                GroupWord::Refused(error) => visitor.refused(error),
                GroupWord::Trouble(error) => visitor.event(None, trouble(error)),
            }
        }
    }

    /// Hears where the group has consumed partitions up to.
    fn hear_of_places(&mut self, visitor: &mut impl GroupVisitor) {
        while let Some((place, answer)) = self.reader.place() {
            match answer {
                Ok(committed) => self.placed(place, committed),
                Err(error) => {
                    let slot = self.slot(place).filter(|slot| !self.is_added(*slot));
                    visitor.event(slot, trouble(error));
                }
            }
        }
    }

    fn hear_of_commits(&mut self) {
        while let Some(word) = self.membership.commit_word() {
            match word {
                CommitWord::Over(number) => {
                    self.is_commit_under_way &= number != self.sent;
                    self.answers += 1;
                }
                CommitWord::Place(number, place, result) => {
                    // A rebalance under way is enough to be refused. The next commit carries the same place, or a newer one.
                    self.refused = self.refused.or(result.err().filter(|error| error.is_denied()));
                    self.answered(number, place, result.ok());
                }
            }
        }
    }

    /// What the group refused goes into the next commit, if it is still ours; the rest is consumed again by others.
    fn answered(&mut self, number: CommitNumber, place: TopicPartition, offset: Option<i64>) {
        let Some(slot) = self.slot(place) else { return };
        if let Some(assigned) = self.assigned_at(slot) {
            assigned.standing.answer(number, offset);
        }
        let mut lost = 0;
        self.given_up.retain_mut(|(which, standing)| {
            if *which == slot {
                standing.answer(number, offset);
            }
            let keep = standing.awaits_answer();
            lost += if keep { 0 } else { standing.ahead() };
            keep
        });
        self.uncommitted += lost;
    }

    fn assigned(&mut self, place: TopicPartition, visitor: &mut impl GroupVisitor) {
        let Some(slot) = self.slot(place).or_else(|| self.add(place)) else { return };
        let read = self.handover.read(slot);
        if self.assigned.len() <= slot.index() {
            self.assigned.resize(slot.index() + 1, None);
        }
        self.assigned[slot.index()] = Some(AssignedPartition::new(Standing::new(read, self.sent)));
        self.reader.ask_place(place);
        if !self.is_added(slot) {
            visitor.assigned(slot);
        }
    }

    /// Its topic did not have it when this member was made.
    #[cold]
    fn add(&mut self, place: TopicPartition) -> Option<PartitionSlot> {
        let slot = self.added.add(place)?;
        // Somebody else reads for all of them from now on.
        for again in self.added.read_again(&mut self.assigned[self.table.count()..]) {
            self.read(again);
        }
        self.is_unsettled = true;
        Some(slot)
    }

    /// Nothing of it is shown any more, and what was is committed, before anybody else is shown it.
    fn revoked(&mut self, places: &[TopicPartition], is_lost: bool) {
        for place in places {
            self.reader.withdraw_place(*place);
        }
        let slots: Vec<_> = places.iter().filter_map(|place| self.slot(*place)).collect();
        for &slot in &slots {
            self.stop(slot);
        }
        if !is_lost {
            self.send_commit();
        }
        for slot in slots {
            let Some(assigned) = self.assigned.get_mut(slot.index()).and_then(Option::take) else { continue };
            self.hand_over(slot, &assigned.standing);
            if assigned.standing.ahead() > 0 && assigned.standing.awaits_answer() {
                self.given_up.push((slot, assigned.standing));
            } else {
                self.uncommitted += assigned.standing.ahead();
            }
        }
        let until = Instant::now() + if is_lost { Duration::ZERO } else { self.give_up_patience };
        self.giving_up = Some(self.giving_up.map_or(until, |earlier| earlier.min(until)));
        self.give_up_when_committed();
    }

    /// What was revoked is anybody's.
    fn give_up(&mut self) {
        self.giving_up = None;
        self.membership.give_up();
    }

    /// Gives up what was revoked when all commits have their answers, or that takes too long: one that the client has held back
    /// takes the group back to where it was then, whoever is the owner by now.
    fn give_up_when_committed(&mut self) {
        let Some(until) = self.giving_up else { return };
        self.hear_of_commits();
        if self.answers == self.sent || until <= Instant::now() {
            self.give_up();
        }
    }

    fn hand_over(&self, slot: PartitionSlot, standing: &Standing) {
        self.handover.tell(slot, standing.read_last());
    }

    fn placed(&mut self, place: TopicPartition, committed: Option<i64>) {
        let Some(slot) = self.slot(place) else { return };
        let Some(assigned) = self.assigned_at(slot).filter(|assigned| assigned.stage == Stage::Unplaced)
        else {
            return;
        };
        let Some(offset) = committed else {
            assigned.stage = Stage::Unbegun;
            self.is_unsettled = true;
            return;
        };
        assigned.standing.begin(offset, true);
        self.read(slot);
    }

    /// Reads a partition from where it stands.
    fn read(&mut self, slot: PartitionSlot) {
        let Some(assigned) = self.assigned_at(slot) else { return };
        (assigned.stage, assigned.goes_back) = (Stage::Reading, false);
        let place = ReadFrom {
            epoch_before: assigned.standing.epoch_before(),
            ..ReadFrom::offset(assigned.standing.position)
        };
        if self.is_added(slot) {
            self.added.read_from(slot, place);
        } else {
            self.reader.read_from(slot, place);
        }
    }

    fn stop(&mut self, slot: PartitionSlot) {
        if self.is_added(slot) {
            self.added.stop(slot);
        } else {
            self.reader.stop(slot);
        }
    }

    fn ask(&mut self, slot: PartitionSlot, spec: OffsetSpec) -> Option<QuestionId> {
        if self.is_added(slot) {
            self.added.ask(slot, spec)
        } else {
            Some(self.reader.ask_offsets(&[slot], spec))
        }
    }

    /// What one partition was asked about.
    fn answer(&mut self, slot: PartitionSlot, question: QuestionId) -> Option<Result<i64, KafkaError>> {
        let answers: Answers =
            if self.is_added(slot) { self.added.answers(question) } else { self.reader.answers(question) }?;
        let found = answers.first().map(|(_, answer)| answer.map(|found| found.offset));
        Some(found.unwrap_or(Err(KafkaError::timed_out())))
    }

    /// Goes on with whatever is not simply read.
    fn settle_places(&mut self, visitor: &mut impl GroupVisitor) {
        if !mem::take(&mut self.is_unsettled) {
            return;
        }
        for index in 0..self.assigned.len() {
            let slot = PartitionSlot::at(index);
            let Some(stage) = self.assigned[index].as_ref().map(|assigned| assigned.stage) else { continue };
            match stage {
                Stage::Unplaced | Stage::Reading => continue,
                Stage::Unbegun => self.begin_at_an_end(slot),
                Stage::Beginning(question) => self.hear_where_to_begin(slot, question),
                Stage::Astray(until) if Instant::now() < until => {}
                Stage::Astray(_) => self.begin_judging(slot),
                Stage::Judging(start, end) => self.judge(slot, (start, end), visitor),
            }
            self.is_unsettled = true;
        }
    }

    fn set_stage(&mut self, slot: PartitionSlot, stage: Stage) {
        if let Some(assigned) = self.assigned_at(slot) {
            assigned.stage = stage;
        }
    }

    fn begin_at_an_end(&mut self, slot: PartitionSlot) {
        let spec = match self.start {
            GroupStart::Start => OffsetSpec::Start,
            GroupStart::End => OffsetSpec::End,
        };
        if let Some(question) = self.ask(slot, spec) {
            self.set_stage(slot, Stage::Beginning(question));
        }
    }

    fn hear_where_to_begin(&mut self, slot: PartitionSlot, question: QuestionId) {
        match self.answer(slot, question) {
            None => {}
            Some(Err(_)) => self.set_stage(slot, Stage::Unbegun),
            Some(Ok(offset)) => {
                if let Some(assigned) = self.assigned_at(slot) {
                    assigned.standing.begin(offset, false);
                }
                self.read(slot);
            }
        }
    }

    fn begin_judging(&mut self, slot: PartitionSlot) {
        let (start, end) = (self.ask(slot, OffsetSpec::Start), self.ask(slot, OffsetSpec::End));
        if let (Some(start), Some(end)) = (start, end) {
            self.set_stage(slot, Stage::Judging(start, end));
        }
    }

    /// The place is not in the log: its start has moved, or its end lies below.
    fn judge(
        &mut self,
        slot: PartitionSlot,
        (start, end): (QuestionId, QuestionId),
        visitor: &mut impl GroupVisitor,
    ) {
        let Some(end) = self.answer(slot, end) else { return };
        // They were asked together, and its answer is on its way at least.
        let Some(start) = self.answer(slot, start) else {
            return self.set_stage(slot, Stage::Astray(Instant::now() + ASTRAY_PAUSE));
        };
        let is_added = self.is_added(slot);
        let Some(assigned) = self.assigned_at(slot) else { return };
        let standing = assigned.standing;
        match (start, end) {
            (Ok(start), Ok(_)) if standing.position < start => {
                assigned.standing.pass_over(start);
                assigned.denials = 0;
                self.read(slot);
            }
            (Ok(_), Ok(end)) if end < standing.position => {
                assigned.denials += 1;
                if assigned.denials < DENIALS {
                    assigned.stage = Stage::Astray(Instant::now() + ASTRAY_PAUSE);
                    return;
                }
                let epoch = standing.read_last().leader_epoch;
                self.truncate(slot, end);
                if !is_added {
                    let event = LogEvent::Truncated { from: standing.position, epoch, to: end };
                    visitor.event(Some(slot), event);
                }
            }
            (Ok(_), Ok(_)) => {
                assigned.denials = 0;
                self.read(slot);
            }
            _ => assigned.stage = Stage::Astray(Instant::now() + ASTRAY_PAUSE),
        }
    }

    /// The log was truncated, and is read on from there.
    fn truncate(&mut self, slot: PartitionSlot, to: i64) {
        self.handover.note_truncation(slot);
        if let Some(assigned) = self.assigned_at(slot) {
            assigned.standing.truncate(to);
            assigned.denials = 0;
        }
        self.read(slot);
    }

    /// Shows what has come of so many records at the most. Returns how many records and events that were.
    fn show(&mut self, limit: usize, visitor: &mut impl GroupVisitor) -> usize {
        let Self { reader, assigned, handover, table, .. } = self;
        let mut showing = Showing::new(&mut assigned[..table.count()], handover, visitor);
        let shown = reader.poll_at_most(limit, &mut showing);
        let (due, is_over) = (mem::take(&mut showing.due), showing.is_broken_off);
        for due in due {
            self.do_what_is_due(due);
        }
        if is_over { 0 } else { shown }
    }

    #[cold]
    fn do_what_is_due(&mut self, due: Due) {
        match due {
            Due::ReadAgain(slot) => self.read(slot),
            Due::Judge(slot) => {
                self.set_stage(slot, Stage::Astray(Instant::now()));
                self.is_unsettled = true;
            }
        }
    }

    fn show_added(&mut self, limit: usize, visitor: &mut impl GroupVisitor) -> usize {
        let assigned = &mut self.assigned[self.table.count()..];
        let (shown, due) = self.added.show(limit, assigned, visitor);
        for due in due {
            self.do_what_is_due(due);
        }
        shown
    }

    /// Starts a commit of what the group does not know yet.
    fn send_commit(&mut self) {
        self.committed_at = Instant::now();
        let unknown: Vec<_> = self
            .owned()
            .filter(|(_, assigned)| !assigned.standing.is_committed())
            .map(|(slot, assigned)| (slot, assigned.standing))
            .collect();
        let places: Vec<_> =
            unknown.iter().map(|(slot, standing)| (self.place(*slot), standing.position)).collect();
        for (slot, standing) in &unknown {
            self.hand_over(*slot, standing);
        }
        let number = if places.is_empty() { None } else { self.membership.commit(&places) };
        self.is_commit_under_way = number.is_some();
        let Some(number) = number else { return };
        self.sent = number;
        for (slot, _) in unknown {
            if let Some(assigned) = self.assigned_at(slot) {
                assigned.standing.committing(number);
            }
        }
    }

    /// Whether the group knows of everything that was consumed, and will not forget it: commits that a client has held back until
    /// there is a coordinator again can come behind later ones, and take the group back to where it was then.
    fn is_committed(&self) -> bool {
        self.owned().all(|(_, assigned)| assigned.standing.is_committed())
            && self.given_up.is_empty()
            && self.answers == self.sent
    }
}

impl<M: Membership, R: MemberReader> GroupReader for Joined<M, R> {
    fn poll(&mut self, limit: usize, visitor: &mut impl GroupVisitor) -> bool {
        self.handle_words(visitor);
        self.hear_of_places(visitor);
        self.give_up_when_committed();
        self.settle_places(visitor);
        let mut left = limit;
        while left > 0 {
            let shown = self.show(left, visitor);
            left = left.saturating_sub(shown);
            if shown == 0 {
                break;
            }
        }
        if self.added.is_any() {
            let shown = self.show_added(left, visitor);
            left = left.saturating_sub(shown);
        }
        left == 0
    }

    fn tend(&mut self) {
        self.hear_of_commits();
        let is_answered = !self.is_commit_under_way || self.committed_at.elapsed() > COMMIT_PATIENCE;
        let has_new = || self.owned().any(|(_, assigned)| assigned.standing.is_new());
        if is_answered && (self.committed_at.elapsed() >= COMMIT_EVERY || has_new()) {
            self.send_commit();
        }
    }

    async fn wait(&self, limit: Duration) {
        let limit = if self.is_unsettled { limit.min(ASTRAY_PAUSE) } else { limit };
        self.membership.wait(limit).await;
    }

    fn commit(&mut self) {
        self.send_commit();
    }

    fn is_committing(&mut self) -> bool {
        self.hear_of_commits();
        self.is_commit_under_way && self.committed_at.elapsed() < COMMIT_PATIENCE
    }

    fn commit_refusal(&mut self) -> Option<KafkaError> {
        self.refused.take()
    }

    fn state(&self) -> MemberState {
        MemberState {
            rebalances: self.rebalances,
            partitions: self.owned().count(),
            settled: self.owned().all(|(_, assigned)| assigned.standing.committed >= 0),
            uncommitted: self.uncommitted,
        }
    }

    fn owns(&self, partition: PartitionSlot) -> bool {
        self.assigned.get(partition.index()).is_some_and(Option::is_some)
    }

    fn settle(&mut self) -> bool {
        self.handle_words(&mut Quiet);
        self.hear_of_commits();
        self.give_up_when_committed();
        if !self.is_committed() && !self.is_commit_under_way {
            self.send_commit();
        }
        self.is_committed()
    }

    fn begin_leaving(&mut self) {
        for index in 0..self.assigned.len() {
            if let Some(assigned) = self.assigned[index].take() {
                self.reader.withdraw_place(self.place(PartitionSlot::at(index)));
                self.stop(PartitionSlot::at(index));
                self.uncommitted += assigned.standing.ahead();
            }
        }
        let given_up = mem::take(&mut self.given_up);
        self.uncommitted += given_up.iter().map(|(_, standing)| standing.ahead()).sum::<u64>();
        if self.giving_up.is_some() {
            self.give_up();
        }
        self.membership.begin_leaving();
    }

    fn leave(&mut self) -> bool {
        while let Some(word) = self.membership.word() {
            // What is assigned now belongs to whoever owns it next.
            if let GroupWord::Revoked { .. } = word {
                self.membership.give_up();
            }
        }
        self.membership.has_left()
    }
}

/// What a client says of something that it tries again.
fn trouble(error: KafkaError) -> LogEvent<'static> {
    if error.is_denied() {
        LogEvent::Refused(error)
    } else if error.is_unknown_topic() {
        LogEvent::Gone(error)
    } else {
        LogEvent::Transient(error)
    }
}

#[cfg(test)]
#[path = "modelled_tests.rs"]
mod modelled;

#[cfg(test)]
#[path = "joined_tests.rs"]
mod tests;
