//! Who makes this kind of client.

use super::{reader::Reader, settings, writer::Writer};
use crate::kafka::{ClientError, ClientFactory, ClientSettings, ReaderSettings, WriterSettings};

/// Makes a shard's clients.
#[derive(Clone, Debug)]
pub struct Wire {
    client: ClientSettings,
}

impl Wire {
    /// One for this cluster.
    #[must_use]
    pub fn new(client: ClientSettings) -> Self {
        Self { client }
    }
}

impl ClientFactory for Wire {
    type Reader = Reader;
    type Writer = Writer;

    fn reader(&self, settings: &ReaderSettings, topic: &str) -> Result<Reader, ClientError> {
        Ok(Reader::start(settings::consumer(&self.client, settings)?, topic))
    }

    fn writer(&self, settings: &WriterSettings, topics: &[&str]) -> Result<Writer, ClientError> {
        Writer::start(&self.client, settings, topics)
    }
}
