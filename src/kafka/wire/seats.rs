//! Reading here and there with our own client: all readers of a shard share its connections, and have a seat each.

use std::{rc::Rc, sync::Arc, time::Duration};

use super::{
    asked::{self, ANSWER_US, Asked},
    bearer,
    core::consumer::{Consumer, ConsumerSettings},
    reader::Shown,
    shell::Shell,
    trust::Tls,
};
use crate::{
    kafka::{Answers, LogReader, LogVisitor, OffsetSpec, QuestionId, ReadFrom, wake_event::WakeEvent},
    partitions::{PartitionSlot, PartitionTable},
};

/// What readers of a shard share.
#[derive(Debug)]
struct Shared {
    shell: Shell<Consumer>,
    read_committed: bool,
    /// By seat: something has come for whoever has it.
    news: Rc<[WakeEvent]>,
}

/// Looks at one partition at a time. Its connections are those of all readers that were made together.
#[derive(Debug)]
pub(crate) struct SeatReader {
    shared: Rc<Shared>,
    seat: usize,
    /// What it looks at.
    partition: Option<PartitionSlot>,
    asked: Asked,
}

impl SeatReader {
    /// Starts a client with so many readers. Must be called on the executor that will use them. It connects when it is first
    /// to read.
    #[must_use]
    pub(crate) fn start(
        settings: ConsumerSettings,
        tls: Option<Tls>,
        table: &Arc<PartitionTable>,
        readers: usize,
    ) -> Vec<Self> {
        let read_committed = settings.source.read_committed;
        bearer::keep(settings.network.connection.login.as_ref());
        let news: Rc<[WakeEvent]> = (0..readers).map(|_| WakeEvent::default()).collect();
        let wakes = news.clone();
        let hear = move |consumer: &Consumer| {
            for seat in consumer.seats_with_news() {
                wakes[seat].set();
            }
            if consumer.has_answers() {
                // Whose they are is not known here. There are few.
                wakes.iter().for_each(WakeEvent::set);
            }
        };
        let shell = Shell::for_several(Consumer::with_seats(settings, readers, table), tls, hear);
        let shared = Rc::new(Shared { shell, read_committed, news });
        let reader = |seat| Self { shared: shared.clone(), seat, partition: None, asked: Asked::default() };
        (0..readers).map(reader).collect()
    }

    fn stop_now(&mut self) {
        self.partition = None;
        self.shared.shell.machine().stop_at(self.seat);
        self.shared.news[self.seat].clear();
    }
}

impl Drop for SeatReader {
    fn drop(&mut self) {
        self.stop_now();
    }
}

impl LogReader for SeatReader {
    /// The partition that it looked at before is stopped. Nothing is asked of the record before: whoever looks here and there
    /// has not read it.
    fn read_from(&mut self, partition: PartitionSlot, place: ReadFrom) {
        self.partition = Some(partition);
        self.shared.news[self.seat].clear();
        let read = |consumer: &mut Consumer, now_us| {
            consumer.read_at(self.seat, partition, place.offset, now_us);
        };
        self.shared.shell.with(read);
    }

    fn stop(&mut self, partition: PartitionSlot) {
        if self.partition == Some(partition) {
            self.stop_now();
        }
    }

    fn poll(&mut self, visitor: &mut impl LogVisitor) -> usize {
        let show = |consumer: &mut Consumer, now_us| consumer.show_at(self.seat, &mut Shown(visitor), now_us);
        self.shared.shell.with(show)
    }

    async fn wait(&self, limit: Duration) {
        self.shared.news[self.seat].wait_at_most(limit).await;
    }

    fn ask_offsets(&mut self, partitions: &[PartitionSlot], spec: OffsetSpec) -> QuestionId {
        let what = asked::what(spec, self.shared.read_committed);
        let ask =
            |consumer: &mut Consumer, now_us| consumer.ask(partitions, what, now_us + ANSWER_US, now_us);
        self.asked.add(self.shared.shell.with(ask))
    }

    fn answers(&mut self, question: QuestionId) -> Option<Answers> {
        let shell = &self.shared.shell;
        self.asked.take(question, |inner| shell.machine().questions().answers(inner))
    }
}
