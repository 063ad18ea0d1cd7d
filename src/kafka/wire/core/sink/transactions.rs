//! What transactions ask of the records that are on their way.

use std::rc::Rc;

use super::{Cause, ProducerId, Sink};
use crate::partitions::{PartitionSlot, PartitionTable};

/// The transaction that is open.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) id: Rc<str>,
    /// A Produce adds its partition (KIP-890). Otherwise the coordinator does, before anything is sent to it.
    pub(super) adds_partitions: bool,
}

impl Sink {
    /// Topics and partitions.
    #[must_use]
    pub(crate) fn table(&self) -> &PartitionTable {
        &self.table
    }

    /// A transaction begins; all of the one before is settled. In a new epoch sequence numbers begin at 0.
    pub(crate) fn begin_transaction(&mut self, producer: ProducerId, id: &Rc<str>, adds_partitions: bool) {
        self.transaction = Some(Transaction { id: id.clone(), adds_partitions });
        self.producer = Some(producer);
        self.wants_producer = false;
        self.unadmitted.clear();
        for queue in &mut self.partitions {
            queue.begin_transaction(producer, adds_partitions);
        }
    }

    /// Partitions that have records and are not part of the transaction yet; each is told once.
    pub(crate) fn take_unadmitted(&mut self) -> impl Iterator<Item = PartitionSlot> {
        self.unadmitted.drain(..)
    }

    /// A partition is part of the transaction: what it has may go.
    pub(crate) fn admit(&mut self, partition: PartitionSlot) {
        self.partitions[partition.index()].admit();
    }

    /// A partition cannot be part of the transaction: what it has fails, of this cause.
    pub(crate) fn refuse(&mut self, partition: PartitionSlot, cause: Cause) {
        self.let_go_of(partition.index(), cause);
    }

    /// Lets go of all that is not in flight, for this cause; what is gets no other attempt.
    pub(crate) fn let_go(&mut self, cause: Cause) {
        if self.records > 0 {
            (0..self.partitions.len()).for_each(|index| self.let_go_of(index, cause));
        }
    }

    fn let_go_of(&mut self, index: usize, cause: Cause) {
        let Self { partitions, settled, buffered, .. } = self;
        let queue = &mut partitions[index];
        queue.let_go(cause, &mut |batch| {
            *buffered -= batch.batch.tokens().len();
            settled.push_back(batch);
        });
        self.wants_producer |= queue.wants_producer();
    }
}
