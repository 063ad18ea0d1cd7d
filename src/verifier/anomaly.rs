//! The names of what can go wrong with data, and the evidence for it.
//!
//! Names follow the Kafka workload of Jepsen where it has one.

use std::fmt;

use serde::{Serialize, Serializer};

/// A kind of broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anomaly {
    /// The leader epoch went down within a partition.
    EpochBack,
    /// An offset at or below the last one of the same assignment.
    Nonmonotonic,
    /// A record at another offset than it names, where the ledger says it was acked.
    WrongOffset,
    /// An acked record that is not in the log any more.
    LostWrite,
    /// The log's end went below what was consumed or acked.
    Truncation,
    /// An ack below the ledger's end: the log was truncated, and written again.
    RefilledTruncation,
    /// Bytes of a record or a batch changed on the way or on the disk.
    Corrupt,
    /// One send at two offsets.
    Duplicate,
    /// A record behind one that was sent later.
    Reorder,
    /// A committed transaction of which records are missing.
    TornTransaction,
    /// A record of an aborted transaction that a `read_committed` reader was shown.
    AbortedRead,
    /// A value that is not the last one of its key, or a key that is gone.
    StaleValue,
    /// A record that a group delivered twice, which must not happen here.
    GroupRedelivery,
}

impl Anomaly {
    /// The name, as it stands in log lines and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EpochBack => "epoch-back",
            Self::Nonmonotonic => "nonmonotonic",
            Self::WrongOffset => "wrong-offset",
            Self::LostWrite => "lost-write",
            Self::Truncation => "truncation",
            Self::RefilledTruncation => "refilled-truncation",
            Self::Corrupt => "corrupt",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::TornTransaction => "torn-transaction",
            Self::AbortedRead => "aborted-read",
            Self::StaleValue => "stale-value",
            Self::GroupRedelivery => "group-redelivery",
        }
    }
}

impl Serialize for Anomaly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One broken promise: what, where, and what proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Its kind.
    pub anomaly: Anomaly,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset, or the first of a range.
    pub offset: i64,
    /// What should have been there.
    pub expected: String,
    /// What was there.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { anomaly, topic, partition, offset, expected, found } = self;
        write!(
            formatter,
            "{anomaly}: topic {topic} partition {partition} offset {offset}: expected {expected}, found {found}"
        )
    }
}
