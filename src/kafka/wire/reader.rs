//! Reading with our own client.

use std::{rc::Rc, sync::Arc, time::Duration};

use super::{
    asked::{self, ANSWER_US, Asked},
    bearer,
    core::{
        consumer::{Consumer, ConsumerSettings},
        source::{ReadRecord, SourceEvent, Visitor},
    },
    shell::Shell,
    trust::Tls,
};
use crate::{
    kafka::{
        Answers, ErrorClass, KafkaError, LogEvent, LogReader, LogVisitor, MemberReader, OffsetSpec,
        PlaceAnswer, PortionedReader, QuestionId, ReadFrom, wake_event::WakeEvent,
    },
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
    record::{RecordView, headers},
};

/// Reads partitions, for one shard.
#[derive(Debug)]
pub(crate) struct Reader {
    shell: Shell<Consumer>,
    read_committed: bool,
    asked: Asked,
    table: Arc<PartitionTable>,
}

impl Reader {
    /// Starts a client. Must be called on the executor that will use it. It connects when it is first to read.
    /// What it has sets this event, too.
    #[must_use]
    pub(crate) fn start(
        settings: ConsumerSettings,
        tls: Option<Tls>,
        table: &Arc<PartitionTable>,
        wake: Option<Rc<WakeEvent>>,
    ) -> Self {
        bearer::keep(settings.network.connection.login.as_ref());
        Self::around(Consumer::new(settings, table), tls, (table, wake))
    }

    /// The same, for a member of this group.
    #[must_use]
    pub(super) fn of_member(
        group: &str,
        settings: ConsumerSettings,
        tls: Option<Tls>,
        (table, wake): (&Arc<PartitionTable>, Option<Rc<WakeEvent>>),
    ) -> Self {
        bearer::keep(settings.network.connection.login.as_ref());
        Self::around(Consumer::in_group(settings, group.into(), table), tls, (table, wake))
    }

    fn around(
        consumer: Consumer,
        tls: Option<Tls>,
        (table, wake): (&Arc<PartitionTable>, Option<Rc<WakeEvent>>),
    ) -> Self {
        let read_committed = consumer.is_read_committed();
        let shell = Shell::waking(consumer, tls, wake);
        Self { shell, read_committed, asked: Asked::default(), table: table.clone() }
    }

    #[cold]
    fn say_unchecked(&self, error: i16) {
        let (topics, error) = (self.table.topics().join(", "), KafkaError::Broker(error));
        tracing::warn!(
            "{topics}: leaders do not say whether their logs are the ones that were read: {error}. A log that \
             was truncated may go unnoticed"
        );
    }
}

impl LogReader for Reader {
    fn read_from(&mut self, partition: PartitionSlot, place: ReadFrom) {
        let ReadFrom { offset, epoch_before, .. } = place;
        self.shell.with(|consumer, now_us| consumer.read_from(partition, offset, epoch_before, now_us));
    }

    fn stop(&mut self, partition: PartitionSlot) {
        self.shell.machine().stop(partition);
    }

    fn poll(&mut self, visitor: &mut impl LogVisitor) -> usize {
        self.poll_at_most(usize::MAX, visitor)
    }

    async fn wait(&self, limit: Duration) {
        self.shell.wait(limit).await;
    }

    fn ask_offsets(&mut self, partitions: &[PartitionSlot], spec: OffsetSpec) -> QuestionId {
        let what = asked::what(spec, self.read_committed);
        let ask =
            |consumer: &mut Consumer, now_us| consumer.ask(partitions, what, now_us + ANSWER_US, now_us);
        self.asked.add(self.shell.with(ask))
    }

    fn answers(&mut self, question: QuestionId) -> Option<Answers> {
        self.asked.take(question, |inner| self.shell.machine().questions().answers(inner))
    }
}

impl PortionedReader for Reader {
    fn poll_at_most(&mut self, limit: usize, visitor: &mut impl LogVisitor) -> usize {
        let (shown, unchecked) = self.shell.with(|consumer, now_us| {
            let shown = consumer.show(limit, &mut Shown(visitor), now_us);
            (shown, consumer.take_unchecked())
        });
        if let Some(error) = unchecked {
            self.say_unchecked(error);
        }
        shown
    }
}

impl MemberReader for Reader {
    fn ask_place(&mut self, place: TopicPartition) {
        self.shell.with(|consumer, now_us| consumer.ask_place(place, now_us));
    }

    fn withdraw_place(&mut self, place: TopicPartition) {
        self.shell.machine().withdraw_place(place);
    }

    fn place(&mut self) -> Option<PlaceAnswer> {
        let (place, answer) = self.shell.machine().poll_place()?;
        Some((place, answer.map_err(KafkaError::Broker)))
    }
}

/// Shows what the client shows to who looks at logs.
pub(super) struct Shown<'a, V>(pub(super) &'a mut V);

impl<V: LogVisitor> Visitor for Shown<'_, V> {
    #[inline]
    fn record(&mut self, partition: PartitionSlot, record: &ReadRecord<'_>) {
        let ReadRecord { offset, leader_epoch, sent_ms, key, value, headers, batch } = *record;
        let Some([first_header, second_header]) = headers::first_two(headers) else {
            // Where the next record begins is known all the same.
            let cause = "headers that cannot be taken apart";
            let event = LogEvent::Unreadable { from: offset, to: Some(offset.saturating_add(1)), cause };
            self.0.event(partition, event);
            return;
        };
        let has_sound_headers = true;
        let view = RecordView {
            offset,
            leader_epoch,
            sent_ms,
            has_sound_headers,
            first_header,
            second_header,
            key,
            value,
            batch,
        };
        self.0.record(partition, &view);
    }

    fn event(&mut self, partition: PartitionSlot, event: SourceEvent<'_>) {
        let event = match event {
            SourceEvent::Progress { next_offset } => LogEvent::Progress { next_offset },
            SourceEvent::AtEnd { end } => LogEvent::AtEnd { end },
            SourceEvent::Unreadable { from, to, cause } => LogEvent::Unreadable { from, to, cause },
            SourceEvent::FalseAbort { kind, first, marker } => LogEvent::FalseAbort { kind, first, marker },
            SourceEvent::StartBack { from, to } => LogEvent::StartBack { from, to },
            SourceEvent::OutOfRange => LogEvent::OutOfRange,
            SourceEvent::Truncated { from, epoch, to } => LogEvent::Truncated { from, epoch, to },
            SourceEvent::Error(error) => {
                let error = KafkaError::Broker(error);
                match error.class() {
                    ErrorClass::TopicUnknown => LogEvent::Gone(error),
                    ErrorClass::Denied | ErrorClass::AuthFailed => LogEvent::Refused(error),
                    _ => LogEvent::Transient(error),
                }
            }
        };
        self.0.event(partition, event);
    }
}
