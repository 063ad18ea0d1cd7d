//! A member of a group on librdkafka, and all that has to be done around it so that it shows what the log holds.
//!
//! Of what cannot be read librdkafka names the beginning at the most, and comes back to it for ever: another client finds out
//! how far it goes, since this one must not try offsets (the whole group would move), and then it goes on behind that. Of a record
//! that it cannot take apart it says nothing at all: where nothing comes, that is looked into. What it leaves out when it
//! goes back by itself it is told to read again ([`super::sequel`]).

use std::{mem::ManuallyDrop, ops::ControlFlow, sync::Arc, time::Duration};

use super::{group::GroupConsumer, group_event::GroupEvent, membership::Unreadable, sequel::Sequels};
use crate::{
    kafka::{
        ClientError, Expected, GroupReader, GroupVisitor, KafkaError, LogEvent, MemberState, ReaderSettings,
        librdkafka::{
            fault::{Fault, FaultKind},
            reader::{MALFORMED, ProbeAnswer, Prober},
            settings::{ConsumerSettings, GroupSettings},
            wake_mux::WakeHandle,
        },
    },
    partitions::{PartitionSlot, PartitionTable},
    record::RecordView,
};

const WENT_BACK: (&str, &str) = (
    "its client went back by itself, and is told to go on",
    "librdkafka begins again at an earlier offset when leaders are elected; nothing is checked twice",
);
const LEFT_OUT: (&str, &str) = (
    "its client left offsets out, and is told to read them",
    "librdkafka throws away what it holds when it goes back by itself; it is looked at before anything is said to be missing",
);
/// What librdkafka's source says of that: docs/protocol-facts.md, "Who leads, as librdkafka sees it".
const SLEPT: (&str, &str) = (
    "its client showed nothing where another one is shown records, and is told to read again",
    "librdkafka loses sight of a partition now and then when leaders are elected",
);

/// A member of a group, used by one shard.
pub(crate) struct Member {
    /// Closing it before the group has been left would wait for brokers, which may hang.
    consumer: ManuallyDrop<GroupConsumer>,
    table: Arc<PartitionTable>,
    sequels: Sequels,
    prober: Prober,
    /// What is done when the client has shown what it has.
    due: Vec<Due>,
    /// Where others are shown something of what the client has not shown.
    silent: Vec<(PartitionSlot, i64)>,
}

/// What has to be done before a partition is read on.
enum Due {
    /// The client has left out what lies from there on.
    ReadAgain { partition: PartitionSlot, from: i64 },
    /// What lies there cannot be read. The client's words, unless its visitor has been shown it.
    Hold { partition: PartitionSlot, at: Unreadable, cause: Option<String> },
}

impl Member {
    /// Starts a client and subscribes; does not wait for the group. Must be called on the executor that will use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(crate) fn start(
        settings: &GroupSettings,
        table: &Arc<PartitionTable>,
        wake: &WakeHandle,
    ) -> Result<Self, ClientError> {
        let looks = ConsumerSettings {
            client: settings.client.clone(),
            reader: ReaderSettings::here_and_there(settings.member.isolation),
            client_cpus: settings.client_cpus.clone(),
        };
        Ok(Self {
            consumer: ManuallyDrop::new(GroupConsumer::start(settings, table, wake)?),
            table: table.clone(),
            sequels: Sequels::new(table.count()),
            prober: Prober::new(&looks, table.clone()),
            due: Vec::new(),
            silent: Vec::new(),
        })
    }

    /// The client has shown all that it had. Where it still lacks what others are shown, it sleeps.
    #[cold]
    fn rouse(&mut self, visitor: &mut impl GroupVisitor) {
        for (partition, offset) in std::mem::take(&mut self.silent) {
            if self.consumer.is_silent_at(partition, offset) {
                visitor.mended(partition, SLEPT.0, SLEPT.1);
                self.consumer.read_again(partition, offset);
            }
        }
    }

    fn do_what_is_due(&mut self, visitor: &mut impl GroupVisitor) {
        for due in std::mem::take(&mut self.due) {
            match due {
                Due::ReadAgain { partition, from } => self.consumer.read_again(partition, from),
                Due::Hold { partition, at, cause } => {
                    self.hold(partition, at, cause.as_deref(), visitor);
                }
            }
        }
    }

    #[cold]
    fn hold(
        &mut self,
        partition: PartitionSlot,
        at: Unreadable,
        cause: Option<&str>,
        visitor: &mut impl GroupVisitor,
    ) {
        let Some(from) = self.consumer.hold(partition, at) else { return };
        if let Some(cause) = cause {
            visitor.event(Some(partition), LogEvent::Unreadable { from, to: None, cause });
        }
        self.prober.how_far(partition, from);
    }

    /// What has been found out about places.
    fn hear_probers(&mut self, visitor: &mut impl GroupVisitor) {
        for answer in self.prober.answers() {
            match answer {
                ProbeAnswer::Malformed { partition, offset } => {
                    let at = Unreadable::Malformed(offset);
                    self.hold(partition, at, Some(MALFORMED), visitor);
                }
                ProbeAnswer::Readable { partition, offset } => self.silent.push((partition, offset)),
                ProbeAnswer::Reaches { partition, from, to } => {
                    // Who owns the partition by now will be asked again.
                    if !self.consumer.is_held_at(partition, from) {
                        continue;
                    }
                    let to = to.max(from);
                    self.consumer.pass_over(partition, to);
                    self.sequels.of(partition).begin(Some(to));
                    let event = LogEvent::Unreadable { from, to: Some(to), cause: "" };
                    visitor.event(Some(partition), event);
                }
                ProbeAnswer::Leader { .. } => {}
            }
        }
    }
}

impl GroupReader for Member {
    fn poll(&mut self, limit: usize, visitor: &mut impl GroupVisitor) -> bool {
        self.hear_probers(visitor);
        let Self { consumer, table, sequels, due, .. } = self;
        let mut showing = Showing { table, sequels, due, visitor };
        let more = consumer.poll_at_most(limit, |event| showing.show(event));
        if !more && !self.silent.is_empty() {
            self.rouse(visitor);
        }
        if self.due.is_empty() {
            return more;
        }
        self.do_what_is_due(visitor);
        true
    }

    fn tend(&mut self) {
        self.consumer.tend();
    }

    async fn wait(&self, limit: Duration) {
        self.consumer.wait(limit).await;
    }

    fn commit(&mut self) {
        self.consumer.commit();
    }

    fn is_committing(&mut self) -> bool {
        self.consumer.is_committing()
    }

    fn commit_refusal(&mut self) -> Option<KafkaError> {
        self.consumer.take_refusal()
    }

    fn state(&self) -> MemberState {
        self.consumer.state()
    }

    fn owns(&self, partition: PartitionSlot) -> bool {
        self.consumer.owns(partition)
    }

    fn look_into(&mut self, partition: PartitionSlot, offset: i64) {
        self.prober.what_is(partition, offset);
    }

    fn settle(&mut self) -> bool {
        self.consumer.settle()
    }

    fn begin_leaving(&mut self) {
        self.consumer.begin_leaving();
    }

    fn leave(&mut self) -> bool {
        self.consumer.leave()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.consumer.has_left() {
            // SAFETY: the client is not used again.
            unsafe { ManuallyDrop::drop(&mut self.consumer) };
        }
    }
}

/// What the client shows, on its way to the visitor.
struct Showing<'a, V> {
    table: &'a PartitionTable,
    sequels: &'a mut Sequels,
    due: &'a mut Vec<Due>,
    visitor: &'a mut V,
}

impl<V: GroupVisitor> Showing<'_, V> {
    /// Breaks off where the client must not show more before something has been done.
    #[inline]
    fn show(&mut self, event: GroupEvent<'_>) -> ControlFlow<()> {
        match event {
            GroupEvent::Record { partition, message } => {
                return self.record(partition, &message.view());
            }
            GroupEvent::Added { place, message } => self.visitor.added(place, &message.view()),
            GroupEvent::End { partition, offset } => {
                self.look_for_gap(partition, offset)?;
                self.sequels.of(partition).begin(Some(offset));
                self.visitor.event(Some(partition), LogEvent::AtEnd { end: offset });
            }
            GroupEvent::Assigned { partition, due } => {
                self.sequels.of(partition).assigned(due);
                self.visitor.assigned(partition);
            }
            GroupEvent::WentBack { partition, offset, position } => {
                tracing::debug!(
                    "topic {} partition {}: the client went back from {position} to {offset} by itself",
                    self.table.topic(partition),
                    self.table.partition(partition)
                );
                self.visitor.mended(partition, WENT_BACK.0, WENT_BACK.1);
            }
            GroupEvent::Rewound { partition, offset, from, epoch } => {
                self.sequels.of(partition).begin(Some(offset));
                let event = LogEvent::Truncated { from, epoch, to: offset };
                self.visitor.event(Some(partition), event);
            }
            GroupEvent::Fault { partition, fault } => return self.fault(partition, &fault),
        }
        ControlFlow::Continue(())
    }

    #[inline]
    fn record(&mut self, partition: PartitionSlot, record: &RecordView<'_>) -> ControlFlow<()> {
        if !record.has_sound_headers {
            return self.malformed(partition, record);
        }
        self.look_for_gap(partition, record.offset)?;
        self.visitor.record(partition, record)?;
        self.sequels.of(partition).begin(Some(record.offset + 1));
        ControlFlow::Continue(())
    }

    /// Nor can it be known then where the next one begins.
    #[cold]
    fn malformed(&mut self, partition: PartitionSlot, record: &RecordView<'_>) -> ControlFlow<()> {
        self.visitor.record(partition, record)?;
        let at = Unreadable::Record(record.offset);
        self.due.push(Due::Hold { partition, at, cause: None });
        ControlFlow::Break(())
    }

    /// The client shows what lies at `to`, or that everything below has been read: whether it has left something out before.
    #[inline]
    fn look_for_gap(&mut self, partition: PartitionSlot, to: i64) -> ControlFlow<()> {
        let visitor = &*self.visitor;
        let expected = |from| -> Expected { visitor.expects(partition, from..to) };
        let Some(from) = self.sequels.of(partition).left_out(to, expected) else {
            return ControlFlow::Continue(());
        };
        let (topic, number) = (self.table.topic(partition), self.table.partition(partition));
        tracing::debug!(
            "topic {topic} partition {number}: the client left out what lies from {from} to {to}"
        );
        self.visitor.mended(partition, LEFT_OUT.0, LEFT_OUT.1);
        self.due.push(Due::ReadAgain { partition, from });
        ControlFlow::Break(())
    }

    #[cold]
    fn fault(&mut self, partition: Option<PartitionSlot>, fault: &Fault<'_>) -> ControlFlow<()> {
        let Fault { offset, kind, error, text, .. } = *fault;
        if error.is_group_refusal() {
            self.visitor.refused(error);
            return ControlFlow::Continue(());
        }
        let event = match (kind, partition) {
            (FaultKind::Corrupt, Some(partition)) => {
                let (at, cause) = (Unreadable::Batch(offset), Some(text.to_owned()));
                self.due.push(Due::Hold { partition, at, cause });
                // Behind it the client shows whatever it makes of the bytes that follow.
                return ControlFlow::Break(());
            }
            (FaultKind::Refused, _) => LogEvent::Refused(error),
            (FaultKind::Gone, _) => LogEvent::Gone(error),
            // The client tries again by itself.
            _ => LogEvent::Transient(error),
        };
        self.visitor.event(partition, event);
        ControlFlow::Continue(())
    }
}
