//! Partitions that topics got after a member was made: who owns them has the group know where they are consumed from.

use std::{mem, ops::ControlFlow, sync::Arc, time::Instant};

use super::{
    GroupVisitor, Handover,
    assigned::{AssignedPartition, Stage},
    showing::{Due, Showing},
};
use crate::{
    kafka::{Answers, ClientError, KafkaError, LogEvent, OffsetSpec, PortionedReader, QuestionId, ReadFrom},
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
    record::RecordView,
};

/// Makes a reader of a table's partitions.
type MakeReader<R> = Box<dyn Fn(&Arc<PartitionTable>) -> Result<R, ClientError>>;

/// They have slots behind those of the member's table, and a reader of their own, as that one's table does not grow.
pub(super) struct AddedPartitions<R> {
    /// So many slots lie before.
    before: usize,
    /// What was added; its topics are those of the member's table.
    table: PartitionTable,
    another: MakeReader<R>,
    /// Members do not tell each other of them.
    nobody: Handover,
    /// Reads those of `table`, unless some were added since.
    reader: Option<R>,
}

impl<R: PortionedReader> AddedPartitions<R> {
    pub(super) fn new(
        table: &PartitionTable,
        another: impl Fn(&Arc<PartitionTable>) -> Result<R, ClientError> + 'static,
    ) -> Self {
        let mut own = PartitionTable::default();
        for topic in table.topics() {
            own.add_topic(topic);
        }
        Self {
            before: table.count(),
            table: own,
            another: Box::new(another),
            nobody: Handover::new([]),
            reader: None,
        }
    }

    pub(super) fn is_any(&self) -> bool {
        self.reader.is_some()
    }

    fn outer(&self, slot: PartitionSlot) -> PartitionSlot {
        PartitionSlot::at(self.before + slot.index())
    }

    fn inner(&self, slot: PartitionSlot) -> PartitionSlot {
        PartitionSlot::at(slot.index() - self.before)
    }

    pub(super) fn slot(&self, place: TopicPartition) -> Option<PartitionSlot> {
        self.table.slot(place).map(|slot| self.outer(slot))
    }

    pub(super) fn place(&self, slot: PartitionSlot) -> TopicPartition {
        self.table.place(self.inner(slot))
    }

    /// One more; `None` where there can be no such partition, or nobody can read it. Whoever reads the others does so no more: see
    /// [`Self::read_again`].
    pub(super) fn add(&mut self, place: TopicPartition) -> Option<PartitionSlot> {
        let slot = self.table.add(place)?;
        match (self.another)(&Arc::new(self.table.clone())) {
            Ok(reader) => self.reader = Some(reader),
            Err(error) => {
                tracing::warn!("a partition that was added cannot be read: {error}");
                return None;
            }
        }
        Some(self.outer(slot))
    }

    pub(super) fn read_from(&mut self, slot: PartitionSlot, place: ReadFrom) {
        let slot = self.inner(slot);
        if let Some(reader) = &mut self.reader {
            reader.read_from(slot, place);
        }
    }

    pub(super) fn stop(&mut self, slot: PartitionSlot) {
        let slot = self.inner(slot);
        if let Some(reader) = &mut self.reader {
            reader.stop(slot);
        }
    }

    pub(super) fn ask(&mut self, slot: PartitionSlot, spec: OffsetSpec) -> Option<QuestionId> {
        let slot = self.inner(slot);
        Some(self.reader.as_mut()?.ask_offsets(&[slot], spec))
    }

    pub(super) fn answers(&mut self, question: QuestionId) -> Option<Answers> {
        self.reader.as_mut().map_or(Some(Answers::new()), |reader| reader.answers(question))
    }

    /// Shows what has come. Returns how many records and events that were, and what is due then.
    pub(super) fn show(
        &mut self,
        limit: usize,
        assigned: &mut [Option<AssignedPartition>],
        visitor: &mut impl GroupVisitor,
    ) -> (usize, Vec<Due>) {
        let Some(reader) = &mut self.reader else { return (0, Vec::new()) };
        let mut added = Added { table: &self.table, visitor };
        let mut showing = Showing::new(assigned, &self.nobody, &mut added);
        let shown = reader.poll_at_most(limit, &mut showing);
        let due = mem::take(&mut showing.due);
        let outer = |due| match due {
            Due::ReadAgain(slot) => Due::ReadAgain(self.outer(slot)),
            Due::Judge(slot) => Due::Judge(self.outer(slot)),
        };
        (shown, due.into_iter().map(outer).collect())
    }

    /// Slots of those of these partitions, which are all of them, that a new reader has to be told of.
    pub(super) fn read_again(&self, assigned: &mut [Option<AssignedPartition>]) -> Vec<PartitionSlot> {
        let mut again = Vec::new();
        for (index, assigned) in assigned.iter_mut().enumerate() {
            let Some(assigned) = assigned else { continue };
            match assigned.stage {
                Stage::Reading => again.push(self.outer(PartitionSlot::at(index))),
                Stage::Beginning(_) => assigned.stage = Stage::Unbegun,
                Stage::Judging(..) => assigned.stage = Stage::Astray(Instant::now()),
                Stage::Unplaced | Stage::Unbegun | Stage::Astray(_) => {}
            }
        }
        again
    }
}

/// Shows records by their places, and says nothing else.
struct Added<'a, V> {
    table: &'a PartitionTable,
    visitor: &'a mut V,
}

impl<V: GroupVisitor> GroupVisitor for Added<'_, V> {
    fn record(&mut self, partition: PartitionSlot, record: &RecordView<'_>) -> ControlFlow<()> {
        self.visitor.added(self.table.place(partition), record);
        ControlFlow::Continue(())
    }

    fn assigned(&mut self, _partition: PartitionSlot) {}

    fn event(&mut self, _partition: Option<PartitionSlot>, _event: LogEvent<'_>) {}

    fn refused(&mut self, _error: KafkaError) {}
}
