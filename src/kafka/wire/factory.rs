//! Who makes this kind of client.

use std::{cell::OnceCell, rc::Rc, sync::Arc};

use super::{reader::Reader, seats::SeatReader, security, settings, trust::Tls, writer::Writer};
use crate::{
    kafka::{
        ClientError, ClientFactory, ClientSettings, MemberSettings, ReaderSettings, SpotFactory,
        WriterSettings, wake_event::WakeEvent,
    },
    partitions::PartitionTable,
};

/// Makes a shard's clients.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    client: ClientSettings,
    /// Read when a client is first made; then it is that of all.
    tls: Rc<OnceCell<Option<Tls>>>,
    /// Of the worker whose clients they are, where it has others beside them.
    wake: Option<Rc<WakeEvent>>,
}

impl Wire {
    /// One for this cluster.
    #[must_use]
    pub(crate) fn new(client: ClientSettings) -> Self {
        Self { client, tls: Rc::default(), wake: None }
    }

    /// Makes the clients of one of many workers on the same shard: what they have sets this event.
    #[must_use]
    pub(in crate::kafka) fn of_worker(&self, client: ClientSettings, wake: &Rc<WakeEvent>) -> Self {
        Self { client, tls: self.tls.clone(), wake: Some(wake.clone()) }
    }

    /// Starts a client that reads for a member of a group; does not wait for brokers.
    ///
    /// # Errors
    /// As for [`ClientFactory::reader`].
    pub(in crate::kafka) fn reader_of_member(
        &self,
        member: &MemberSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Reader, ClientError> {
        let settings = settings::member(&self.client, member)?;
        Ok(Reader::of_member(&member.group, settings, self.tls()?, (table, self.wake.clone())))
    }

    fn tls(&self) -> Result<Option<Tls>, ClientError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let tls = security::tls(&self.client)?;
        Ok(self.tls.get_or_init(|| tls).clone())
    }
}

impl ClientFactory for Wire {
    type Reader = Reader;
    type Writer = Writer;

    fn reader(&self, settings: &ReaderSettings, table: &Arc<PartitionTable>) -> Result<Reader, ClientError> {
        Ok(Reader::start(settings::consumer(&self.client, settings)?, self.tls()?, table, self.wake.clone()))
    }

    fn writer(&self, settings: &WriterSettings, table: &Arc<PartitionTable>) -> Result<Writer, ClientError> {
        Writer::start(&self.client, self.tls()?, settings, (table, self.wake.clone()))
    }
}

impl SpotFactory for Wire {
    type SpotReader = SeatReader;

    fn spot_readers(
        &self,
        settings: &ReaderSettings,
        table: &Arc<PartitionTable>,
        readers: usize,
    ) -> Result<Vec<SeatReader>, ClientError> {
        Ok(SeatReader::start(settings::consumer(&self.client, settings)?, self.tls()?, table, readers))
    }
}
