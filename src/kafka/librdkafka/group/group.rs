//! One member of a consumer group.
//!
//! Everything happens on the shard: rebalances are served inside [`GroupConsumer::poll_at_most`],
//! and nothing here waits for a broker. What a member has consumed is known here, and
//! committed here: at intervals, before partitions are given up, and at the end.

use std::{
    ffi::{CString, c_void},
    ops::ControlFlow,
    ptr::{self, NonNull},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    bindings as rdk,
    types::{RDKafkaRespErr as Code, RDKafkaType},
};

use super::{
    closing::Closing,
    commit_position::Step,
    commits::{self, Told},
    group_event::GroupEvent,
    membership::{Membership, Unreadable, on_rebalance},
};
use crate::{
    kafka::{
        COMMIT_EVERY, COMMIT_PATIENCE, ClientError, KafkaError, MemberState,
        librdkafka::{
            client::{self, Handle, Queue, Topic},
            codes,
            fault::fault,
            message::Message,
            partitions::{PartitionList, confirm},
            settings::GroupSettings,
            wake::QueueWake,
            wake_mux::WakeHandle,
        },
    },
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
};

/// A consumer in a group, used by one shard.
pub(super) struct GroupConsumer {
    // Fields are dropped in this order: references first, the client last, then what its callback uses.
    topics: Vec<Topic>,
    queue: Queue,
    main_queue: Queue,
    commits: Queue,
    wake: WakeHandle,
    handle: Handle,
    membership: Box<Membership>,
    committed_at: Instant,
    commit_under_way: bool,
    /// The cluster does not let this member commit.
    refused: Option<KafkaError>,
    closing: Closing,
}

impl GroupConsumer {
    /// Starts a client and subscribes; does not wait for the group. Must be called on the executor that will use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(super) fn start(
        settings: &GroupSettings,
        table: &Arc<PartitionTable>,
        wake: &WakeHandle,
    ) -> Result<Self, ClientError> {
        let topics = table.topics();
        let names =
            topics.iter().map(|topic| client::c_string(topic)).collect::<Result<Vec<CString>, _>>()?;
        let membership = Box::new(Membership::new(names, table, settings.member.handover.clone()));
        let opaque = (&raw const *membership).expose_provenance();
        let cpus = &settings.client_cpus;
        let handle = Handle::start_with(RDKafkaType::RD_KAFKA_CONSUMER, &settings.config(), cpus, |conf| {
            // SAFETY: the configuration is alive. The callback is only called on the thread that
            // polls, which is the one that owns `membership`, and not after the client has gone,
            // which goes first.
            unsafe {
                rdk::rd_kafka_conf_set_opaque(conf, ptr::with_exposed_provenance_mut::<c_void>(opaque));
                rdk::rd_kafka_conf_set_rebalance_cb(conf, Some(on_rebalance));
            }
        })?;
        // Held so that the pointers by which messages name their topics stay what they are.
        let known = topics.iter().map(|topic| handle.topic(topic)).collect::<Result<Vec<_>, _>>()?;
        let (queue, commits) = (handle.consumer_queue(), handle.new_queue());
        membership.commits.set(commits.ptr());
        wake.attach(queue.ptr());
        wake.attach(commits.ptr());
        subscribe(&handle, &membership.topics)?;
        Ok(Self {
            topics: known,
            queue,
            main_queue: handle.main_queue(),
            commits,
            wake: wake.clone(),
            handle,
            membership,
            committed_at: Instant::now(),
            commit_under_way: false,
            refused: None,
            closing: Closing::No,
        })
    }

    /// Shows what has come, of so many messages at the most. Returns whether there may be more already.
    ///
    /// Rebalances are served in here. Records of a partition that was given up meanwhile are not shown:
    /// its next owner gets them. A record at which `each` breaks off has not been consumed.
    pub(super) fn poll_at_most(
        &mut self,
        limit: usize,
        mut each: impl FnMut(GroupEvent<'_>) -> ControlFlow<()>,
    ) -> bool {
        for _ in 0..limit {
            let message = self.next();
            for partition in self.membership.take_arrived() {
                let due = self.membership.due(partition);
                let _ = each(GroupEvent::Assigned { partition, due });
            }
            let Some(message) = message else { return false };
            // SAFETY: the message is alive.
            if unsafe { self.show(message.0.as_ptr(), &mut each) }.is_break() {
                return false;
            }
        }
        true
    }

    /// One message at a time. `rd_kafka_consume_batch_queue` would be cheaper, but a rebalance that it serves
    /// between two messages of a batch makes it lose the first (seen: one to four records of a partition that
    /// stays, each time that other members leave).
    fn next(&self) -> Option<MessagePtr> {
        // Callbacks that run in here touch `membership` through a shared reference only.
        next_message(&self.queue)
    }

    /// # Safety
    /// The message was fetched, and is alive.
    unsafe fn show(
        &self,
        message: *const rdk::rd_kafka_message_t,
        each: &mut impl FnMut(GroupEvent<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        // SAFETY: the caller's promise.
        let fields = unsafe { &*message };
        let topic = self.topics.iter().position(|topic| topic.ptr() == fields.rkt);
        let slot = topic
            .and_then(|topic| self.membership.slot(TopicPartition { topic, partition: fields.partition }));
        match fields.err {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                let offset = fields.offset;
                // SAFETY: the message is a record, and the caller's promise is that it is alive.
                let message = unsafe { Message::new(message) };
                let mut is_misread = false;
                let step = |partition| {
                    let is_sound = || message.has_sound_headers();
                    let step = self.membership.read(partition, offset, message.leader_epoch(), is_sound);
                    is_misread = step == Step::Misread;
                    step
                };
                let Some(partition) = self.step(slot, offset, step, each) else {
                    return ControlFlow::Continue(());
                };
                if self.membership.is_added(partition) {
                    return each(GroupEvent::Added { place: self.membership.place(partition), message });
                }
                let flow = each(GroupEvent::Record { partition, message });
                if flow.is_break() && !is_misread {
                    self.membership.take_back(partition, offset);
                }
                flow
            }
            // Everything below has been consumed, control records included.
            Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                let offset = fields.offset;
                let step = |partition| self.membership.reached(partition, offset);
                let reached = self.step(slot, offset, step, each);
                match reached.filter(|partition| !self.membership.is_added(*partition)) {
                    Some(partition) => each(GroupEvent::End { partition, offset }),
                    None => ControlFlow::Continue(()),
                }
            }
            code => {
                let partition = slot.filter(|partition| !self.membership.is_added(*partition));
                // SAFETY: the caller's promise.
                each(GroupEvent::Fault { partition, fault: unsafe { fault(message, code) } })
            }
        }
    }

    /// Moves a partition's place over what is shown of it; `None` when it is not ours, or comes again.
    fn step(
        &self,
        partition: Option<PartitionSlot>,
        offset: i64,
        step: impl FnOnce(PartitionSlot) -> Step,
        each: &mut impl FnMut(GroupEvent<'_>) -> ControlFlow<()>,
    ) -> Option<PartitionSlot> {
        let partition = partition?;
        match step(partition) {
            Step::Nothing => None,
            Step::Forward | Step::Misread => Some(partition),
            Step::Again { position } => {
                // Only once for each place: where the log was truncated, there may be nothing any more at that offset.
                self.seek(partition, position);
                if !self.membership.is_added(partition) {
                    let _ = each(GroupEvent::WentBack { partition, offset, position });
                }
                None
            }
            Step::Back { from, epoch } => {
                self.membership.note_truncation(partition);
                if !self.membership.is_added(partition) {
                    let _ = each(GroupEvent::Rewound { partition, offset, from, epoch });
                }
                Some(partition)
            }
            Step::Confirm { offset, epoch } => {
                let TopicPartition { topic, partition } = self.membership.place(partition);
                let name = &self.membership.topics[topic];
                // SAFETY: the client is alive.
                unsafe { confirm(self.handle.ptr(), name, partition, offset, epoch) };
                None
            }
        }
    }

    /// What has to be done from time to time: commits, and emptying queues. A few times a second is enough.
    pub(super) fn tend(&mut self) {
        while self.main_queue.poll(0).is_some() {
            // Errors of the client as a whole (a broker that went) are the observer's to tell.
        }
        self.take_commit_results();
        let answered = !self.commit_under_way || self.committed_at.elapsed() > COMMIT_PATIENCE;
        let due = self.committed_at.elapsed() >= COMMIT_EVERY || self.membership.has_new_place();
        if answered && due {
            self.commit();
        }
    }

    /// Has the group know where this member stands; does not wait for it.
    pub(super) fn commit(&mut self) {
        self.committed_at = Instant::now();
        self.commit_under_way = self.membership.commit(self.handle.ptr());
    }

    /// Goes on at a later offset of a partition, as if everything below had been consumed. Nothing happens where
    /// the partition is another's by now.
    pub(super) fn pass_over(&mut self, partition: PartitionSlot, to: i64) {
        if self.membership.pass_over(partition, to) {
            self.seek(partition, to);
        }
    }

    /// Has the client read from here on once more: it has left out what lies there. Nothing happens where the partition is
    /// another's by now.
    pub(super) fn read_again(&mut self, partition: PartitionSlot, from: i64) {
        if self.membership.read_again(partition, from) {
            self.seek(partition, from);
        }
    }

    /// Whether the client has shown nothing of a partition at or above `offset`, and could have.
    pub(super) fn is_silent_at(&self, partition: PartitionSlot, offset: i64) -> bool {
        self.membership.is_silent_at(partition, offset)
    }

    fn seek(&self, partition: PartitionSlot, offset: i64) {
        let TopicPartition { topic, partition } = self.membership.place(partition);
        // SAFETY: the topic is alive. Without a time-out the call waits for nothing.
        unsafe { rdk::rd_kafka_seek(self.topics[topic].ptr(), partition, offset, 0) };
    }

    /// What lies there cannot be read: nothing of the partition is shown before [`Self::pass_over`]. Returns where that begins;
    /// `None` where the partition is another's by now, or that is known already.
    pub(super) fn hold(&self, partition: PartitionSlot, at: Unreadable) -> Option<i64> {
        self.membership.hold(partition, at)
    }

    /// Whether the partition is this member's, and held where what cannot be read begins at `from`.
    pub(super) fn is_held_at(&self, partition: PartitionSlot, from: i64) -> bool {
        self.membership.is_held_at(partition, from)
    }

    /// Waits until there may be something to show, but not longer than `limit`. It may be cancelled.
    pub(super) async fn wait(&self, limit: Duration) {
        self.wake.wait_at_most(limit).await;
    }

    /// Whether a commit is still without an answer, and has not been for too long.
    pub(super) fn is_committing(&mut self) -> bool {
        self.take_commit_results();
        self.commit_under_way && self.committed_at.elapsed() < COMMIT_PATIENCE
    }

    /// Why commits cannot succeed: the cluster's word, once.
    pub(super) fn take_refusal(&mut self) -> Option<KafkaError> {
        self.refused.take()
    }

    fn take_commit_results(&mut self) {
        let Self { commits, membership, commit_under_way, refused, .. } = self;
        commits::hear(commits, |number, told| match told {
            Told::Over => {
                *commit_under_way &= number != membership.sent();
                membership.count_answer();
            }
            Told::Place(topic, partition, result) => {
                // A rebalance under way is enough to be refused. The next commit carries the same place, or a newer one.
                membership.answered(number, topic, partition, result.ok());
                *refused = refused.or(result.err().filter(|error| error.is_denied()));
            }
        });
    }

    /// Whether this partition is the member's.
    #[must_use]
    pub(super) fn owns(&self, partition: PartitionSlot) -> bool {
        self.membership.owns(partition)
    }

    /// How the member stands.
    #[must_use]
    pub(super) fn state(&self) -> MemberState {
        self.membership.state()
    }

    /// Stays in the group without showing records, until it knows of everything that was shown. Returns whether it does.
    ///
    /// A group that rebalances takes no commits: who leaves it in the middle of that has to try again.
    pub(super) fn settle(&mut self) -> bool {
        while self.next().is_some() {}
        self.take_commit_results();
        if !self.membership.is_committed() && !self.commit_under_way {
            self.commit();
        }
        self.membership.is_committed()
    }

    /// Begins to leave the group; [`Self::leave`] says when that is done. What the group does not know of now, it never will.
    pub(super) fn begin_leaving(&mut self) {
        let owns_nothing = self.membership.state().partitions == 0;
        self.membership.give_up_on_commits();
        self.closing.begin(owns_nothing, &self.handle, &self.queue);
    }

    /// Serves what leaving takes. Returns whether the group has been left. Records are not shown any more.
    pub(super) fn leave(&mut self) -> bool {
        // A message that is shown after `begin_leaving` belongs to whoever owns the partition next.
        while self.next().is_some() {}
        self.closing.go_on(&self.handle, &self.queue);
        self.has_left()
    }

    /// Whether the group has been left.
    #[must_use]
    pub(super) fn has_left(&self) -> bool {
        self.closing.is_over(&self.handle)
    }
}

/// The next message of a consumer's queue. Its callbacks run in here.
pub(super) fn next_message(queue: &Queue) -> Option<MessagePtr> {
    // SAFETY: the queue is alive; a message that is returned is ours to destroy.
    NonNull::new(unsafe { rdk::rd_kafka_consume_queue(queue.ptr(), 0) }).map(MessagePtr)
}

/// A message that was taken from a queue.
pub(super) struct MessagePtr(NonNull<rdk::rd_kafka_message_t>);

impl MessagePtr {
    /// It is alive for as long as this value.
    pub(super) fn ptr(&self) -> *const rdk::rd_kafka_message_t {
        self.0.as_ptr()
    }
}

impl Drop for MessagePtr {
    fn drop(&mut self) {
        // SAFETY: the message is ours and not used again.
        unsafe { rdk::rd_kafka_message_destroy(self.0.as_ptr()) };
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        QueueWake::detach(self.queue.ptr());
        QueueWake::detach(self.commits.ptr());
    }
}

pub(super) fn subscribe(handle: &Handle, topics: &[CString]) -> Result<(), ClientError> {
    let mut list = PartitionList::new(topics.len())?;
    for topic in topics {
        list.add(topic, client::ANY_PARTITION, rdk::RD_KAFKA_OFFSET_INVALID.into());
    }
    // SAFETY: client and list are alive; the list is copied.
    let code = unsafe { rdk::rd_kafka_subscribe(handle.ptr(), list.ptr()) };
    codes::check(code).map_err(|error| ClientError::Start(format!("the group's topics: {error}")))
}
