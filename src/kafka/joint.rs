//! The clients of one worker where records are our own client's business, and groups librdkafka's.

use std::sync::Arc;

use super::{
    ClientError, ClientFactory, ClientSettings, GroupFactory, Joined, LibrdkafkaWorkers, MemberSettings,
    ReaderSettings, WriterSettings,
    librdkafka::{LibrdkafkaWorker, Presence},
    wire::{Wire, WireReader, WireWriter},
};
use crate::{partitions::PartitionTable, runtime::cores::cpu_set::CpuSet};

/// Makes the clients of one of many workers on a shard. What any of them has wakes that worker.
#[derive(Clone)]
pub(crate) struct JointWorker {
    wire: Wire,
    groups: LibrdkafkaWorker,
}

impl JointWorker {
    /// Whose clients are those of this worker, on a shard that has these workers; librdkafka's threads may run on these CPUs.
    /// `wire` is the shard's.
    #[must_use]
    pub(crate) fn new(
        workers: &LibrdkafkaWorkers,
        wire: &Wire,
        client: ClientSettings,
        cpus: CpuSet,
    ) -> Self {
        let groups = workers.worker(client.clone(), cpus);
        Self { wire: wire.of_worker(client, groups.event()), groups }
    }
}

impl ClientFactory for JointWorker {
    type Reader = WireReader;
    type Writer = WireWriter;

    fn reader(
        &self,
        settings: &ReaderSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<WireReader, ClientError> {
        self.wire.reader(settings, table)
    }

    fn writer(
        &self,
        settings: &WriterSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<WireWriter, ClientError> {
        self.wire.writer(settings, table)
    }
}

impl GroupFactory for JointWorker {
    type Member = Joined<Presence, WireReader>;

    fn member(
        &self,
        settings: &MemberSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Self::Member, ClientError> {
        let membership = self.groups.presence(settings, table)?;
        let reader = self.wire.reader_of_member(settings, table)?;
        let (wire, of_added) = (self.wire.clone(), settings.clone());
        let another = move |table: &Arc<PartitionTable>| wire.reader_of_member(&of_added, table);
        Ok(Joined::new((membership, reader), another, settings, table))
    }
}
