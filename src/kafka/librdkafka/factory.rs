//! Who makes clients that stand on librdkafka.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use glommio::Task;
use rdkafka::bindings as rdk;

use super::{
    admin::groups::CommittedPlaces,
    group::{Member, Presence},
    producer::Producer,
    reader::Reader,
    settings::{ConsumerSettings, GroupSettings, ProducerSettings},
    wake::QueueWake,
    wake_mux::{Notifier, WakeHandle, WakeMux},
};
use crate::{
    kafka::{
        ClientError, ClientFactory, ClientSettings, GroupFactory, MemberSettings, ReaderSettings,
        SpotFactory, WriterSettings, wake_event::WakeEvent,
    },
    partitions::PartitionTable,
    runtime::cores::cpu_set::CpuSet,
};

/// Makes a shard's clients.
#[derive(Clone)]
pub(crate) struct Librdkafka {
    client: ClientSettings,
    /// Where the library's threads may run.
    cpus: CpuSet,
    /// Woken by all clients; `None`: each wakes the shard by itself.
    wake: Option<WakeHandle>,
    /// Something has come back to one of the clients: the brokers answer.
    is_warm: Rc<Cell<bool>>,
}

impl Librdkafka {
    /// One for this cluster, whose clients' own threads may run on these CPUs.
    #[must_use]
    pub(crate) fn new(client: ClientSettings, cpus: CpuSet) -> Self {
        Self { client, cpus, wake: None, is_warm: Rc::default() }
    }

    fn consumer(&self, reader: ReaderSettings) -> ConsumerSettings {
        ConsumerSettings { client: self.client.clone(), reader, client_cpus: self.cpus.clone() }
    }

    fn producer(&self, writer: &WriterSettings) -> ProducerSettings {
        let (client, client_cpus) = (self.client.clone(), self.cpus.clone());
        ProducerSettings { client, writer: writer.clone(), client_cpus }
    }

    fn group(&self, member: &MemberSettings) -> GroupSettings {
        let (client, client_cpus) = (self.client.clone(), self.cpus.clone());
        GroupSettings { client, member: member.clone(), client_cpus }
    }

    /// Finds out whether such a client can be made of its settings; makes one without brokers for that.
    ///
    /// # Errors
    /// The setting that is in the way, or the library's word on all of them.
    pub(crate) fn try_writer(&self, settings: &WriterSettings) -> Result<(), ClientError> {
        self.producer(settings).try_out()
    }

    /// Finds out whether such a client can be made of its settings; makes one without brokers for that.
    ///
    /// # Errors
    /// The setting that is in the way, or the library's word on all of them.
    pub(crate) fn try_reader(&self, settings: &ReaderSettings) -> Result<(), ClientError> {
        self.consumer(*settings).try_out()
    }

    /// Finds out whether such a client can be made of its settings; makes one without brokers for that.
    ///
    /// # Errors
    /// The setting that is in the way, or the library's word on all of them.
    pub(crate) fn try_member(&self, settings: &MemberSettings) -> Result<(), ClientError> {
        self.group(settings).try_out()
    }

    /// Starts a client that looks at the committed offsets of a group, as its members would; does not wait for brokers.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(crate) fn committed_places(&self, settings: &MemberSettings) -> Result<CommittedPlaces, ClientError> {
        CommittedPlaces::start(&self.group(settings))
    }
}

impl ClientFactory for Librdkafka {
    type Reader = Reader;
    type Writer = Producer;

    fn reader(&self, settings: &ReaderSettings, table: &Arc<PartitionTable>) -> Result<Reader, ClientError> {
        Reader::start(&self.consumer(*settings), table)
    }

    fn writer(
        &self,
        settings: &WriterSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Producer, ClientError> {
        let waking = match &self.wake {
            Some(wake) => Waking::Shared(wake.clone()),
            None => Waking::Own(QueueWake::new()?),
        };
        Producer::start(&self.producer(settings), table, waking, self.is_warm.clone())
    }
}

impl SpotFactory for Librdkafka {
    type SpotReader = Reader;

    /// A client each.
    fn spot_readers(
        &self,
        settings: &ReaderSettings,
        table: &Arc<PartitionTable>,
        readers: usize,
    ) -> Result<Vec<Reader>, ClientError> {
        (0..readers).map(|_| self.reader(settings, table)).collect()
    }
}

/// The way in which the workers of a shard are woken, where each has clients of its own.
pub(crate) struct LibrdkafkaWorkers {
    mux: Rc<WakeMux>,
    /// Ends when it is dropped.
    _run: Task<()>,
}

impl LibrdkafkaWorkers {
    /// Must be called on the executor of the shard.
    ///
    /// # Errors
    /// The system gave no socket.
    pub(crate) fn start() -> Result<Self, ClientError> {
        let mux = WakeMux::new()?;
        let run = mux.clone();
        Ok(Self { mux, _run: glommio::spawn_local(async move { run.run().await }) })
    }

    /// Makes one worker's clients, which wake it, and nobody else, and do without what speeds up their first record.
    #[must_use]
    pub(crate) fn worker(&self, client: ClientSettings, cpus: CpuSet) -> LibrdkafkaWorker {
        let wake = self.mux.handle();
        let is_warm = Rc::new(Cell::new(true));
        LibrdkafkaWorker { clients: Librdkafka { client, cpus, wake: Some(wake.clone()), is_warm }, wake }
    }
}

/// Makes the clients of one of many workers on a shard.
#[derive(Clone)]
pub(crate) struct LibrdkafkaWorker {
    clients: Librdkafka,
    wake: WakeHandle,
}

impl LibrdkafkaWorker {
    /// Starts a member of a group that reads nothing.
    pub(in crate::kafka) fn presence(
        &self,
        settings: &MemberSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Presence, ClientError> {
        Presence::start(&self.clients.group(settings), table, &self.wake)
    }

    /// Set by all of them.
    pub(in crate::kafka) fn event(&self) -> &Rc<WakeEvent> {
        self.wake.event()
    }
}

impl ClientFactory for LibrdkafkaWorker {
    type Reader = Reader;
    type Writer = Producer;

    fn reader(&self, settings: &ReaderSettings, table: &Arc<PartitionTable>) -> Result<Reader, ClientError> {
        self.clients.reader(settings, table)
    }

    fn writer(
        &self,
        settings: &WriterSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Producer, ClientError> {
        self.clients.writer(settings, table)
    }
}

impl GroupFactory for LibrdkafkaWorker {
    type Member = Member;

    fn member(&self, settings: &MemberSettings, table: &Arc<PartitionTable>) -> Result<Member, ClientError> {
        Member::start(&self.clients.group(settings), table, &self.wake)
    }
}

/// How a client wakes whoever waits for it.
pub(super) enum Waking {
    /// By a socket pair of its own.
    Own(QueueWake),
    /// By one that it shares.
    Shared(WakeHandle),
}

impl Waking {
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// How many deliveries are taken out of an event at once: a client with a socket of its own is the shard's only one.
    pub(super) fn deliveries(&self) -> usize {
        if self.is_own() { 1024 } else { 256 }
    }

    /// Has this queue wake the executor from now on. It must be detached ([`QueueWake::detach`]) before this value goes.
    pub(super) fn attach(&self, queue: *mut rdk::rd_kafka_queue_t) {
        match self {
            Self::Own(wake) => wake.attach(queue),
            Self::Shared(wake) => wake.attach(queue),
        }
    }

    pub(super) fn notifier(&self) -> Result<Notifier, ClientError> {
        match self {
            Self::Own(wake) => wake.notifier(),
            Self::Shared(wake) => wake.notifier(),
        }
    }

    /// Waits until it is woken, but not longer than `limit`.
    pub(super) async fn wait(&self, limit: Duration) {
        match self {
            Self::Own(wake) => wake.wait(limit).await,
            Self::Shared(wake) => wake.wait_at_most(limit).await,
        }
    }
}
