//! Who makes clients, and knows what they need beyond what the work asks for.

use std::sync::Arc;

use super::{ClientError, LogReader, LogWriter, ReaderSettings, WriterSettings};
use crate::partitions::PartitionTable;

/// Makes clients of one kind, for one shard. What such clients need to know beside what the work asks for (brokers, security,
/// where their threads may run) stays in here.
pub trait ClientFactory: Clone + 'static {
    /// Reads logs.
    type Reader: LogReader;
    /// Writes to logs.
    type Writer: LogWriter;

    /// Starts a client that reads partitions of this table; does not wait for brokers. Must be called on the executor that
    /// will use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    fn reader(
        &self,
        settings: &ReaderSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Self::Reader, ClientError>;

    /// Starts a client that writes to partitions of this table; does not wait for brokers. Must be called on the executor that will use
    /// it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    fn writer(
        &self,
        settings: &WriterSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Self::Writer, ClientError>;
}

/// Makes readers for one record here and another there.
pub(crate) trait SpotFactory: ClientFactory {
    /// Looks at one partition at a time: reading another one stops it.
    type SpotReader: LogReader + 'static;

    /// Starts so many readers, which may share what they have open: a reader is not a client. Nothing waits for brokers. Must
    /// be called on the executor that will use them.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    fn spot_readers(
        &self,
        settings: &ReaderSettings,
        table: &Arc<PartitionTable>,
        readers: usize,
    ) -> Result<Vec<Self::SpotReader>, ClientError>;
}
