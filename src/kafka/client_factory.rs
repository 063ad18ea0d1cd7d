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
