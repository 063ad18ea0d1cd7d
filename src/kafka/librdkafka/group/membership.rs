//! What a member of a group owns, how far it has consumed that, and what the
//! group knows of it.

use std::{
    cell::{Cell, RefCell},
    ffi::{CStr, CString, c_void},
    ptr,
    sync::Arc,
};

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use super::{
    commit_position::{CommitPosition, NEW_PLACE, Owned, Step},
    commits,
};
use crate::{
    kafka::{
        CommitNumber, Handover, MemberState, OffsetAndEpoch,
        librdkafka::partitions::{PartitionList, entries, topic_name},
    },
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
};

/// What cannot be read, as far as it is known where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A batch, at this offset.
    Batch(i64),
    /// A record whose headers cannot be taken apart, and which may lie elsewhere than at this offset.
    Record(i64),
    /// A batch with a record that cannot be taken apart, of which the client shows nothing.
    Malformed(i64),
}

/// Shared by a consumer and its rebalance callback, on one thread.
pub(crate) struct Membership {
    /// The topics' names, by their places in the table.
    pub(crate) topics: Vec<CString>,
    /// Those that topics got since the member was made have slots behind the first `known` ones, which nobody else has.
    table: RefCell<PartitionTable>,
    known: usize,
    handover: Option<Arc<Handover>>,
    /// Where results of commits go.
    pub(crate) commits: Cell<*mut rdk::rd_kafka_queue_t>,
    owned: RefCell<Owned>,
    /// Places in partitions that were given up, whose last commit has no answer yet.
    given_up: RefCell<Vec<(PartitionSlot, CommitPosition)>>,
    /// The last commit that was sent.
    sent: Cell<CommitNumber>,
    /// How many have their answer, in whatever order.
    answers: Cell<CommitNumber>,
    /// Partitions that were assigned and not yet told of.
    arrived: RefCell<Vec<PartitionSlot>>,
    rebalances: Cell<u64>,
    uncommitted: Cell<u64>,
}

impl Membership {
    pub(crate) fn new(topics: Vec<CString>, table: &PartitionTable, handover: Option<Arc<Handover>>) -> Self {
        Self {
            topics,
            table: RefCell::new(table.clone()),
            known: table.slots().count(),
            handover,
            commits: Cell::new(ptr::null_mut()),
            owned: RefCell::default(),
            given_up: RefCell::default(),
            sent: Cell::new(0),
            answers: Cell::new(0),
            arrived: RefCell::default(),
            rebalances: Cell::new(0),
            uncommitted: Cell::new(0),
        }
    }

    /// Topic and number of a partition.
    pub(crate) fn place(&self, partition: PartitionSlot) -> TopicPartition {
        self.table.borrow().place(partition)
    }

    /// Whether its topic got this partition after the member was made.
    pub(crate) fn is_added(&self, partition: PartitionSlot) -> bool {
        partition.index() >= self.known
    }

    /// The slot of a partition; `None` where it has never been this member's, and no topic had it when that was made.
    pub(crate) fn slot(&self, place: TopicPartition) -> Option<PartitionSlot> {
        self.table.borrow().slot(place)
    }

    /// The client shows a record.
    pub(crate) fn read(
        &self,
        partition: PartitionSlot,
        offset: i64,
        epoch: i32,
        is_sound: impl FnOnce() -> bool,
    ) -> Step {
        self.owned.borrow_mut().read(partition, offset, epoch, is_sound)
    }

    /// A record that the client has shown was not consumed, and none behind it.
    pub(crate) fn take_back(&self, partition: PartitionSlot, offset: i64) {
        let mut owned = self.owned.borrow_mut();
        // What was misread has moved no place.
        if let Some(place) = owned.0.get_mut(&partition).filter(|place| place.position == offset + 1) {
            place.position = offset;
        }
    }

    /// The client shows the end of the log.
    pub(crate) fn reached(&self, partition: PartitionSlot, offset: i64) -> Step {
        self.owned.borrow_mut().reached(partition, offset)
    }

    /// What the client has shown last is to come again, from here on. Returns whether the partition is still ours.
    pub(crate) fn read_again(&self, partition: PartitionSlot, from: i64) -> bool {
        let mut owned = self.owned.borrow_mut();
        let Some(place) = owned.0.get_mut(&partition) else { return false };
        place.position = from;
        true
    }

    /// What lies at `at` cannot be read, or at the place where the member is: nothing of the partition is shown before it is
    /// known how far that goes. Returns where the search begins; `None` where the partition is another's, or is held already.
    pub(crate) fn hold(&self, partition: PartitionSlot, at: Unreadable) -> Option<i64> {
        let mut owned = self.owned.borrow_mut();
        let place = owned.0.get_mut(&partition).filter(|place| place.held.is_none())?;
        place.held = match at {
            // The place may be one of control records before a batch, or lie in it.
            Unreadable::Batch(offset) => Some(offset.max(place.position)),
            Unreadable::Record(offset) if place.position < 0 => Some(offset),
            // Its offset may have been misread, too.
            Unreadable::Record(_) => Some(place.position),
            Unreadable::Malformed(offset) => Some(offset).filter(|offset| *offset >= place.position),
        };
        place.held
    }

    /// Whether this partition is read, and nothing of it at or above `offset` has been shown.
    pub(crate) fn is_silent_at(&self, partition: PartitionSlot, offset: i64) -> bool {
        let owned = self.owned.borrow();
        let place = owned.0.get(&partition).filter(|place| place.held.is_none());
        place.is_some_and(|place| (0..=offset).contains(&place.position))
    }

    /// Whether this partition is held where what cannot be read begins at `from`.
    pub(crate) fn is_held_at(&self, partition: PartitionSlot, from: i64) -> bool {
        self.owned.borrow().0.get(&partition).is_some_and(|place| place.held == Some(from))
    }

    /// What lies below `to` cannot be read. Returns whether the partition is still ours.
    pub(crate) fn pass_over(&self, partition: PartitionSlot, to: i64) -> bool {
        let mut owned = self.owned.borrow_mut();
        let Some(place) = owned.0.get_mut(&partition) else { return false };
        // Nobody knows the epoch of what is passed over: no leader can be asked about it.
        (place.position, place.epoch, place.behind, place.held) = (to, -1, to, None);
        if let Some(handover) = &self.handover {
            handover.forget(partition);
        }
        true
    }

    /// The group has answered a commit: with the offset below which it knows a partition to have been consumed, or
    /// not at all. What it refused goes into the next commit, if it is still ours; the rest is consumed again by others.
    pub(crate) fn answered(&self, commit: CommitNumber, topic: &CStr, partition: i32, offset: Option<i64>) {
        let Some(partition) = self.named(topic, partition).and_then(|place| self.slot(place)) else { return };
        if let Some(place) = self.owned.borrow_mut().0.get_mut(&partition) {
            place.answer(commit, offset);
        }
        self.given_up.borrow_mut().retain_mut(|(which, place)| {
            if *which == partition {
                place.answer(commit, offset);
            }
            let keep = place.awaits_answer();
            if !keep {
                self.lose(place);
            }
            keep
        });
    }

    /// What the group does not know of this place it will not learn any more.
    fn lose(&self, place: &CommitPosition) {
        self.uncommitted.set(self.uncommitted.get() + place.ahead());
    }

    /// A commit is over and done with, whatever was answered.
    pub(crate) fn count_answer(&self) {
        self.answers.set(self.answers.get() + 1);
    }

    /// The last commit that was sent.
    pub(crate) fn sent(&self) -> CommitNumber {
        self.sent.get()
    }

    /// Whether the group knows of everything that was consumed, and will not forget it: commits that the client has held
    /// back until there is a coordinator again can come behind later ones, and take the group back to where it was then.
    pub(crate) fn is_committed(&self) -> bool {
        self.owned.borrow().0.values().all(CommitPosition::is_committed)
            && self.given_up.borrow().is_empty()
            && self.answers == self.sent
    }

    /// Gives up on commits that have no answer: what they carry counts as not committed.
    pub(crate) fn give_up_on_commits(&self) {
        self.owned.take().0.values().for_each(|place| self.lose(place));
        self.given_up.take().iter().for_each(|(_, place)| self.lose(place));
    }

    /// Whether there is a partition of which the group does not know yet where it is consumed from.
    ///
    /// Until it does, a change of owner would skip what came in between: the next owner
    /// would start at the log's end of its own time.
    pub(crate) fn has_new_place(&self) -> bool {
        self.owned.borrow().0.values().any(|place| place.committed < 0 && place.position >= 0)
    }

    pub(crate) fn owns(&self, partition: PartitionSlot) -> bool {
        self.owned.borrow().0.contains_key(&partition)
    }

    pub(crate) fn state(&self) -> MemberState {
        let owned = self.owned.borrow();
        MemberState {
            rebalances: self.rebalances.get(),
            partitions: owned.0.len(),
            settled: owned.0.values().all(|place| place.committed >= 0),
            uncommitted: self.uncommitted.get(),
        }
    }

    /// Starts a commit of what the group does not know yet; returns whether there was any.
    pub(crate) fn commit(&self, client: *mut rdk::rd_kafka_t) -> bool {
        let mut owned = self.owned.borrow_mut();
        let Ok(mut list) = PartitionList::new(0) else { return false };
        for (&slot, place) in owned.0.iter().filter(|(_, place)| !place.is_committed()) {
            let TopicPartition { topic, partition } = self.place(slot);
            list.add(&self.topics[topic], partition, place.position);
            self.hand_over(slot, place);
        }
        if list.is_empty() {
            return false;
        }
        let number = self.sent.get() + 1;
        // SAFETY: client and queue are alive.
        if !unsafe { commits::send(client, &list, self.commits.get(), number) } {
            return false;
        }
        self.sent.set(number);
        owned.0.values_mut().filter(|place| !place.is_committed()).for_each(|place| place.sent = number);
        true
    }

    /// The log was truncated.
    pub(crate) fn note_truncation(&self, partition: PartitionSlot) {
        if let Some(handover) = &self.handover {
            handover.note_truncation(partition);
        }
    }

    /// The next offset of a partition that this member was assigned, where that is known.
    pub(crate) fn due(&self, partition: PartitionSlot) -> Option<i64> {
        self.handover.as_ref()?.due(partition)
    }

    fn hand_over(&self, partition: PartitionSlot, place: &CommitPosition) {
        if let Some(handover) = &self.handover {
            handover.tell(partition, OffsetAndEpoch { offset: place.behind, leader_epoch: place.epoch });
        }
    }

    fn named(&self, name: &CStr, partition: i32) -> Option<TopicPartition> {
        let topic = self.topics.iter().position(|topic| topic.as_c_str() == name)?;
        Some(TopicPartition { topic, partition })
    }

    /// The partitions that were assigned since the last call.
    pub(crate) fn take_arrived(&self) -> Vec<PartitionSlot> {
        // An empty vector costs nothing.
        self.arrived.take()
    }

    fn assigned(&self, list: &[rdk::rd_kafka_topic_partition_t]) {
        let mut owned = self.owned.borrow_mut();
        for entry in list {
            // SAFETY: the list is alive during the callback.
            let place = self.named(unsafe { topic_name(entry) }, entry.partition);
            // Who owns a partition has the group know where it is consumed from, whenever its topic got it.
            if let Some(slot) = place.and_then(|place| self.table.borrow_mut().add(place)) {
                let known = self.handover.as_ref();
                let place = known.map_or(NEW_PLACE, |known| {
                    CommitPosition::behind(known.read(slot), known.known_epoch(slot))
                });
                owned.0.insert(slot, place.after(self.sent.get()));
                if !self.is_added(slot) {
                    self.arrived.borrow_mut().push(slot);
                }
            }
        }
    }

    fn revoked(&self, partitions: &[rdk::rd_kafka_topic_partition_t]) {
        let mut owned = self.owned.borrow_mut();
        for entry in partitions {
            // SAFETY: the list is alive during the callback.
            let place = self.named(unsafe { topic_name(entry) }, entry.partition);
            let Some(which) = place.and_then(|place| self.slot(place)) else { continue };
            let Some(place) = owned.0.remove(&which) else { continue };
            self.hand_over(which, &place);
            if place.ahead() > 0 && place.awaits_answer() {
                self.given_up.borrow_mut().push((which, place));
            } else {
                self.lose(&place);
            }
        }
    }
}

/// Called by librdkafka on the thread that polls.
///
/// # Safety
/// `opaque` is the consumer's [`Membership`], alive; the list of changes, unless null, is alive.
pub(crate) unsafe extern "C" fn on_rebalance(
    client: *mut rdk::rd_kafka_t,
    code: Code,
    changes: *mut rdk::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: the caller's promise.
    let (membership, partitions) = unsafe { (&*opaque.cast::<Membership>(), entries(changes)) };
    // SAFETY: the client is alive.
    let lost = unsafe { rdk::rd_kafka_assignment_lost(client) != 0 };
    if code == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
        membership.rebalances.set(membership.rebalances.get() + 1);
        membership.assigned(partitions);
    } else {
        if !lost {
            // The client sends this before it gives anything up.
            membership.commit(client);
        }
        membership.revoked(partitions);
    }
    membership.owned.borrow_mut().0.values_mut().for_each(|place| place.may_repeat = true);
    // SAFETY: client and list are alive.
    unsafe { obey(client, code, changes) };
}

/// Makes the client's assignment what the group wants it to be.
///
/// # Safety
/// Client and list are alive.
pub(super) unsafe fn obey(
    client: *mut rdk::rd_kafka_t,
    code: Code,
    list: *const rdk::rd_kafka_topic_partition_list_t,
) {
    // SAFETY: the caller's promise; the protocol's name is static or null; an error that is returned is
    // ours to destroy, and null is taken. An error means that the group has moved on, and calls again.
    unsafe {
        let protocol = rdk::rd_kafka_rebalance_protocol(client);
        let cooperative = !protocol.is_null() && CStr::from_ptr(protocol) == c"COOPERATIVE";
        match (cooperative, code) {
            (true, Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) => {
                rdk::rd_kafka_error_destroy(rdk::rd_kafka_incremental_assign(client, list));
            }
            (true, _) => rdk::rd_kafka_error_destroy(rdk::rd_kafka_incremental_unassign(client, list)),
            (false, Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) => {
                rdk::rd_kafka_assign(client, list);
            }
            (false, _) => {
                rdk::rd_kafka_assign(client, ptr::null());
            }
        }
    }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
