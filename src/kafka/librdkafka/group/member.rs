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
            hub::HubBell,
            reader::{MALFORMED, ProbeAnswer, Prober},
            settings::{ConsumerSettings, GroupSettings},
        },
    },
    partitions::{PartitionTable, TopicPartition},
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

/// A member of a group, used by one shard.
pub struct Member {
    /// Closing it before the group has been left would wait for brokers, which may hang.
    consumer: ManuallyDrop<GroupConsumer>,
    sequels: Sequels,
    table: Arc<PartitionTable>,
    prober: Prober,
    /// What is done when the client has shown what it has.
    due: Vec<Due>,
}

/// What has to be done before a partition is read on.
enum Due {
    /// The client has left out what lies from there on.
    ReadAgain { topic: usize, partition: i32, from: i64 },
    /// What lies there cannot be read. The client's words, unless its visitor has been shown it.
    Hold { topic: usize, partition: i32, at: Unreadable, cause: Option<String> },
}

impl Member {
    /// Starts a client and subscribes; does not wait for the group. Must be called on the executor that will use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub fn start(
        settings: &GroupSettings,
        table: &Arc<PartitionTable>,
        bell: &HubBell,
    ) -> Result<Self, ClientError> {
        let looks = ConsumerSettings {
            client: settings.client.clone(),
            reader: ReaderSettings::here_and_there(settings.member.isolation),
            client_cpus: settings.client_cpus.clone(),
        };
        let topics: Vec<&str> = table.topics().iter().map(|topic| &**topic).collect();
        Ok(Self {
            consumer: ManuallyDrop::new(GroupConsumer::start(settings, &topics, bell)?),
            sequels: Sequels::default(),
            prober: Prober::new(&looks, table.clone()),
            table: table.clone(),
            due: Vec::new(),
        })
    }

    fn do_what_is_due(&mut self, visitor: &mut impl GroupVisitor) {
        for due in std::mem::take(&mut self.due) {
            match due {
                Due::ReadAgain { topic, partition, from } => self.consumer.read_again(topic, partition, from),
                Due::Hold { topic, partition, at, cause } => {
                    self.hold(topic, partition, at, cause.as_deref(), visitor);
                }
            }
        }
    }

    #[cold]
    fn hold(
        &mut self,
        topic: usize,
        partition: i32,
        at: Unreadable,
        cause: Option<&str>,
        visitor: &mut impl GroupVisitor,
    ) {
        let Some(from) = self.consumer.hold(topic, partition, at) else { return };
        if let Some(cause) = cause {
            visitor.event(Some(topic), partition, LogEvent::Unreadable { from, to: None, cause });
        }
        if let Some(slot) = self.table.slot(TopicPartition { topic, partition }) {
            self.prober.how_far(slot, from);
        }
    }

    /// What has been found out about places.
    fn hear_probers(&mut self, visitor: &mut impl GroupVisitor) {
        for answer in self.prober.answers() {
            match answer {
                ProbeAnswer::Malformed { partition, offset } => {
                    let TopicPartition { topic, partition } = self.table.place(partition);
                    let at = Unreadable::Malformed(offset);
                    self.hold(topic, partition, at, Some(MALFORMED), visitor);
                }
                ProbeAnswer::Reaches { partition, from, to } => {
                    let TopicPartition { topic, partition } = self.table.place(partition);
                    // Who owns the partition by now will be asked again.
                    if !self.consumer.is_held_at(topic, partition, from) {
                        continue;
                    }
                    let to = to.max(from);
                    self.consumer.pass_over(topic, partition, to);
                    self.sequels.of(topic, partition).begin(Some(to));
                    let event = LogEvent::Unreadable { from, to: Some(to), cause: "" };
                    visitor.event(Some(topic), partition, event);
                }
                ProbeAnswer::Leader { .. } => {}
            }
        }
    }
}

impl GroupReader for Member {
    fn poll(&mut self, limit: usize, visitor: &mut impl GroupVisitor) -> bool {
        self.hear_probers(visitor);
        let Self { consumer, sequels, due, .. } = self;
        let mut showing = Showing { sequels, due, visitor };
        let more = consumer.poll_at_most(limit, |event| showing.show(event));
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

    fn owns(&self, topic: usize, partition: i32) -> bool {
        self.consumer.owns(topic, partition)
    }

    fn look_into(&mut self, topic: usize, partition: i32, offset: i64) {
        if let Some(slot) = self.table.slot(TopicPartition { topic, partition }) {
            self.prober.what_is(slot, offset);
        }
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
    sequels: &'a mut Sequels,
    due: &'a mut Vec<Due>,
    visitor: &'a mut V,
}

impl<V: GroupVisitor> Showing<'_, V> {
    /// Breaks off where the client must not show more before something has been done.
    #[inline]
    fn show(&mut self, event: GroupEvent<'_>) -> ControlFlow<()> {
        match event {
            GroupEvent::Record { topic, partition, message } => {
                return self.record(topic, partition, &message.view());
            }
            GroupEvent::End { topic, partition, offset } => {
                self.look_for_gap(topic, partition, offset)?;
                self.sequels.of(topic, partition).begin(Some(offset));
                self.visitor.event(Some(topic), partition, LogEvent::AtEnd { end: offset });
            }
            GroupEvent::Assigned { topic, partition, due } => {
                self.sequels.of(topic, partition).assigned(due);
                self.visitor.assigned(topic, partition);
            }
            GroupEvent::WentBack { partition, offset, position } => {
                tracing::debug!(
                    "partition {partition}: the client went back from {position} to {offset} by itself"
                );
                self.visitor.mended(partition, WENT_BACK.0, WENT_BACK.1);
            }
            GroupEvent::Rewound { topic, partition, offset, from, epoch } => {
                self.sequels.of(topic, partition).begin(Some(offset));
                let event = LogEvent::Truncated { from, epoch, to: offset };
                self.visitor.event(Some(topic), partition, event);
            }
            GroupEvent::Fault { topic, fault } => return self.fault(topic, &fault),
        }
        ControlFlow::Continue(())
    }

    #[inline]
    fn record(&mut self, topic: usize, partition: i32, record: &RecordView<'_>) -> ControlFlow<()> {
        if !record.has_sound_headers {
            return self.spoilt(topic, partition, record);
        }
        self.look_for_gap(topic, partition, record.offset)?;
        self.visitor.record(topic, partition, record)?;
        self.sequels.of(topic, partition).begin(Some(record.offset + 1));
        ControlFlow::Continue(())
    }

    /// Nor can it be known then where the next one begins.
    #[cold]
    fn spoilt(&mut self, topic: usize, partition: i32, record: &RecordView<'_>) -> ControlFlow<()> {
        self.visitor.record(topic, partition, record)?;
        let at = Unreadable::Record(record.offset);
        self.due.push(Due::Hold { topic, partition, at, cause: None });
        ControlFlow::Break(())
    }

    /// The client shows what lies at `to`, or that everything below has been read: whether it has left something out before.
    #[inline]
    fn look_for_gap(&mut self, topic: usize, partition: i32, to: i64) -> ControlFlow<()> {
        let visitor = &*self.visitor;
        let expected = |from| -> Expected { visitor.expects(topic, partition, from..to) };
        let Some(from) = self.sequels.of(topic, partition).left_out(to, expected) else {
            return ControlFlow::Continue(());
        };
        tracing::debug!("partition {partition}: the client left out what lies from {from} to {to}");
        self.visitor.mended(partition, LEFT_OUT.0, LEFT_OUT.1);
        self.due.push(Due::ReadAgain { topic, partition, from });
        ControlFlow::Break(())
    }

    #[cold]
    fn fault(&mut self, topic: Option<usize>, fault: &Fault<'_>) -> ControlFlow<()> {
        let Fault { partition, offset, kind, error, text, .. } = *fault;
        if error.is_group_refusal() {
            self.visitor.refused(error);
            return ControlFlow::Continue(());
        }
        let event = match (kind, topic) {
            (FaultKind::Corrupt, Some(topic)) => {
                let (at, cause) = (Unreadable::Batch(offset), Some(text.to_owned()));
                self.due.push(Due::Hold { topic, partition, at, cause });
                // Behind it the client shows whatever it makes of the bytes that follow.
                return ControlFlow::Break(());
            }
            (FaultKind::Refused, _) => LogEvent::Refused(error),
            (FaultKind::Gone, _) => LogEvent::Gone(error),
            // The client tries again by itself.
            _ => LogEvent::Transient(error),
        };
        self.visitor.event(topic, partition, event);
        ControlFlow::Continue(())
    }
}
