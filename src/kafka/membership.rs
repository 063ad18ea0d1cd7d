//! What a member of a group owns, how far it has consumed that, and what the
//! group knows of it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ffi::{CStr, CString, c_void},
    ptr,
    sync::Arc,
};

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use super::{
    Handover, OffsetAndEpoch,
    group::MemberState,
    partitions::{PartitionList, entries, topic_name},
};
use crate::mutants;

/// Shared by a consumer and its rebalance callback, on one thread.
pub(super) struct Membership {
    pub(super) topics: Vec<CString>,
    /// Of the first topic.
    handover: Option<Arc<Handover>>,
    /// Where results of commits go.
    pub(super) commits: Cell<*mut rdk::rd_kafka_queue_t>,
    owned: RefCell<Owned>,
    /// Places in partitions that were given up, whose commit has no answer yet.
    given_up: RefCell<Owned>,
    /// Partitions that were assigned and not yet told of.
    arrived: RefCell<Vec<(usize, i32)>>,
    rebalances: Cell<u64>,
    uncommitted: Cell<u64>,
}

/// The partitions of a member, by topic and id.
#[derive(Debug, Default)]
struct Owned(BTreeMap<(usize, i32), Place>);

/// How far a partition has been consumed; -1 is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    position: i64,
    /// Where it was read from since it was assigned, which the group knew.
    start: i64,
    committed: i64,
    /// What later leaders wrote did not yet lie there in the beginning.
    known_epoch: i32,
    /// Epoch of the last record that was read, and the offset behind it.
    epoch: i32,
    behind: i64,
    /// The place that the leader was asked about.
    confirmed: i64,
    /// Where the log was cut last.
    cut: i64,
}

/// What the next thing that the client shows of a partition is to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The partition was given up meanwhile, or the record was shown before: the client has started over.
    Nothing,
    /// It goes on.
    Forward,
    /// It has gone back: the client has found that the log was cut.
    Back,
    /// A leader wrote it that had not been elected in the beginning: is the log still the same up to here?
    Confirm {
        /// Behind the last record that was read.
        offset: i64,
        /// Epoch of that record.
        epoch: i32,
    },
}

const NEW_PLACE: Place = Place {
    position: -1,
    start: -1,
    committed: -1,
    known_epoch: -1,
    epoch: -1,
    behind: -1,
    confirmed: -1,
    cut: i64::MAX,
};

impl Membership {
    pub(super) fn new(topics: Vec<CString>, handover: Option<Arc<Handover>>) -> Self {
        Self {
            topics,
            handover,
            commits: Cell::new(ptr::null_mut()),
            owned: RefCell::default(),
            given_up: RefCell::default(),
            arrived: RefCell::default(),
            rebalances: Cell::new(0),
            uncommitted: Cell::new(0),
        }
    }

    /// The client shows a record.
    pub(super) fn read(&self, topic: usize, partition: i32, offset: i64, epoch: i32) -> Step {
        self.owned.borrow_mut().read(topic, partition, offset, epoch)
    }

    /// The client shows the end of the log.
    pub(super) fn reached(&self, topic: usize, partition: i32, offset: i64) -> Step {
        self.owned.borrow_mut().reached(topic, partition, offset)
    }

    /// What lies below `to` cannot be read. Returns whether the partition is still ours.
    pub(super) fn pass_over(&self, topic: usize, partition: i32, to: i64) -> bool {
        let mut owned = self.owned.borrow_mut();
        let Some(place) = owned.0.get_mut(&(topic, partition)) else { return false };
        // Nobody knows the epoch of what is passed over: no leader can be asked about it.
        (place.position, place.epoch, place.behind) = (place.position.max(to), -1, to);
        if let Some(handover) = self.handover_of(topic) {
            handover.forget(partition);
        }
        true
    }

    /// The group knows that everything below `offset` has been consumed.
    pub(super) fn committed(&self, topic: &CStr, partition: i32, offset: i64) {
        let Some(topic) = self.topic_index(topic) else { return };
        for places in [&self.owned, &self.given_up] {
            if let Some(place) = places.borrow_mut().0.get_mut(&(topic, partition)) {
                place.committed = place.committed.max(offset);
            }
        }
        self.forget(topic, partition);
    }

    /// A commit was refused. What is still ours goes into the next one; the rest is consumed again by others.
    pub(super) fn refused(&self, topic: &CStr, partition: i32) {
        if let Some(topic) = self.topic_index(topic) {
            self.forget(topic, partition);
        }
    }

    /// The last commit of a partition that was given up has its answer.
    fn forget(&self, topic: usize, partition: i32) {
        if let Some(place) = self.given_up.borrow_mut().0.remove(&(topic, partition)) {
            self.uncommitted.set(self.uncommitted.get() + place.ahead());
        }
    }

    /// Whether the group knows of everything that was consumed.
    pub(super) fn is_committed(&self) -> bool {
        let done = |places: &Owned| places.0.values().all(|place| place.position <= place.committed);
        done(&self.owned.borrow()) && self.given_up.borrow().0.is_empty()
    }

    /// Gives up on commits that have no answer: what they carry counts as not committed.
    pub(super) fn give_up_on_commits(&self) {
        let ahead = |places: &Owned| places.0.values().map(|place| place.ahead()).sum::<u64>();
        let lost = ahead(&self.owned.borrow()) + ahead(&self.given_up.borrow());
        self.uncommitted.set(self.uncommitted.get() + lost);
        self.owned.borrow_mut().0.clear();
        self.given_up.borrow_mut().0.clear();
    }

    /// Whether there is a partition of which the group does not know yet where it is consumed from.
    ///
    /// Until it does, a change of owner would skip what came in between: the next owner
    /// would start at the log's end of its own time.
    pub(super) fn has_new_place(&self) -> bool {
        self.owned.borrow().0.values().any(|place| place.committed < 0 && place.position >= 0)
    }

    pub(super) fn state(&self) -> MemberState {
        let owned = self.owned.borrow();
        MemberState {
            rebalances: self.rebalances.get(),
            partitions: owned.0.len(),
            settled: owned.0.values().all(|place| place.committed >= 0),
            uncommitted: self.uncommitted.get(),
        }
    }

    /// Starts a commit of what the group does not know yet; returns whether there was any.
    pub(super) fn commit(&self, client: *mut rdk::rd_kafka_t) -> bool {
        let owned = self.owned.borrow();
        let news = owned.0.iter().filter(|(_, place)| place.position > place.committed);
        let Ok(mut list) = PartitionList::new(0) else { return false };
        for (&(topic, partition), place) in news {
            list.add(&self.topics[topic], partition, place.position);
            self.hand_over(topic, partition, place);
        }
        if list.is_empty() {
            return false;
        }
        // SAFETY: client and queue are alive, and the list is copied. Without a callback the result goes to the queue.
        let code = unsafe {
            rdk::rd_kafka_commit_queue(client, list.ptr(), self.commits.get(), None, ptr::null_mut())
        };
        code == Code::RD_KAFKA_RESP_ERR_NO_ERROR
    }

    fn handover_of(&self, topic: usize) -> Option<&Handover> {
        self.handover.as_deref().filter(|_| topic == 0)
    }

    fn hand_over(&self, topic: usize, partition: i32, place: &Place) {
        if let Some(handover) = self.handover_of(topic) {
            handover.tell(partition, OffsetAndEpoch { offset: place.behind, leader_epoch: place.epoch });
        }
    }

    fn topic_index(&self, name: &CStr) -> Option<usize> {
        self.topics.iter().position(|topic| topic.as_c_str() == name)
    }

    /// The partitions that were assigned since the last call.
    pub(super) fn take_arrived(&self) -> Vec<(usize, i32)> {
        // An empty vector costs nothing.
        self.arrived.take()
    }

    fn assigned(&self, list: &[rdk::rd_kafka_topic_partition_t]) {
        let mut owned = self.owned.borrow_mut();
        for entry in list {
            // SAFETY: the list is alive during the callback.
            if let Some(topic) = self.topic_index(unsafe { topic_name(entry) }) {
                let place = self.handover_of(topic).map_or(NEW_PLACE, |known| {
                    Place::behind(known.read(entry.partition), known.known_epoch(entry.partition))
                });
                owned.0.insert((topic, entry.partition), place);
                self.arrived.borrow_mut().push((topic, entry.partition));
            }
        }
    }

    fn revoked(&self, partitions: &[rdk::rd_kafka_topic_partition_t], lost: bool) {
        let mut owned = self.owned.borrow_mut();
        for entry in partitions {
            // SAFETY: the list is alive during the callback.
            let Some(topic) = self.topic_index(unsafe { topic_name(entry) }) else { continue };
            let place = owned.0.remove(&(topic, entry.partition));
            if let Some(place) = &place {
                self.hand_over(topic, entry.partition, place);
            }
            let Some(place) = place.filter(|place| place.ahead() > 0) else { continue };
            if lost {
                self.uncommitted.set(self.uncommitted.get() + place.ahead());
            } else {
                self.given_up.borrow_mut().0.insert((topic, entry.partition), place);
            }
        }
    }
}

impl Owned {
    fn read(&mut self, topic: usize, partition: i32, offset: i64, epoch: i32) -> Step {
        let Some(place) = self.0.get_mut(&(topic, partition)) else { return Step::Nothing };
        if place.must_confirm(offset, epoch) {
            return Step::Confirm { offset: place.behind, epoch: place.epoch };
        }
        // What one leader wrote it does not cut off: what is different now has another epoch. Behind a cut, of which
        // the client may hear twice, it is shown again; elsewhere that is for others to judge.
        if offset < place.position && epoch == place.epoch {
            return if offset >= place.cut { Step::Nothing } else { Step::Forward };
        }
        let step = place.go(offset, offset + 1);
        // What comes again, because the group did not know that it had been consumed, tells nothing.
        if offset >= place.behind {
            (place.epoch, place.behind) = (epoch, offset + 1);
        }
        step
    }

    fn reached(&mut self, topic: usize, partition: i32, offset: i64) -> Step {
        let Some(place) = self.0.get_mut(&(topic, partition)) else { return Step::Nothing };
        place.go(offset, offset)
    }
}

impl Place {
    /// Of a member that has read nothing yet, where others had read so far.
    fn behind(read: OffsetAndEpoch, known_epoch: i32) -> Self {
        Self { known_epoch, epoch: read.leader_epoch, behind: read.offset, ..NEW_PLACE }
    }

    /// Whether the leader must be asked about what was read before, ahead of a record of this epoch.
    fn must_confirm(&mut self, offset: i64, epoch: i32) -> bool {
        let is_new_leader = self.epoch >= 0 && epoch > self.epoch.max(self.known_epoch);
        let must = is_new_leader
            && offset >= self.position
            && self.confirmed != self.behind
            && !mutants::is_off("new-leader-group");
        if must {
            self.confirmed = self.behind;
            // What comes from below is the cut.
            self.position = self.position.max(self.behind);
        }
        must
    }

    fn go(&mut self, from: i64, to: i64) -> Step {
        let step = if from < self.position { Step::Back } else { Step::Forward };
        if self.position < 0 {
            self.start = from;
        }
        if step == Step::Back {
            // What the group knows lies behind the log's end, and a member that started there would start over.
            let Self { known_epoch, epoch, .. } = *self;
            *self = Self { start: from, known_epoch, epoch, behind: from, cut: from, ..NEW_PLACE };
        }
        self.position = to;
        step
    }

    /// Offsets that were consumed, and that the group does not know of.
    fn ahead(self) -> u64 {
        let known = self.committed.max(self.start);
        if known < 0 { 0 } else { self.position.saturating_sub(known).max(0).unsigned_abs() }
    }
}

/// Called by librdkafka on the thread that polls.
///
/// # Safety
/// `opaque` is the consumer's [`Membership`], alive; the list of changes, unless null, is alive.
pub(super) unsafe extern "C" fn on_rebalance(
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
        membership.revoked(partitions, lost);
    }
    // SAFETY: client and list are alive.
    unsafe { obey(client, code, changes) };
}

/// Makes the client's assignment what the group wants it to be.
///
/// # Safety
/// Client and list are alive.
unsafe fn obey(client: *mut rdk::rd_kafka_t, code: Code, list: *const rdk::rd_kafka_topic_partition_list_t) {
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
