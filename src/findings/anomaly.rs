//! The names of what can go wrong with data, and the evidence for it.
//!
//! Names follow the Kafka workload of Jepsen where it has one.

use std::fmt;

use serde::{Serialize, Serializer};

/// What is expected of each batch.
pub(crate) const READABLE: &str = "a batch whose checksum matches its bytes, and that can be unpacked";

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
    /// An abort in the log that the broker's list of aborted transactions lacks.
    HiddenAbort,
    /// An abort in the broker's list where the log has a commit.
    InventedAbort,
    /// An abort in the broker's list that begins behind the transaction's first record.
    BelatedAbort,
    /// A log's start that went back, by the word of one leader.
    StartBack,
    /// A value that is not the last one of its key, or a key that is gone.
    StaleValue,
    /// A record that a group delivered twice, which must not happen here.
    GroupRedelivery,
}

impl Anomaly {
    /// All kinds, in the order in which they are declared.
    pub const ALL: [Self; 17] = [
        Self::EpochBack,
        Self::Nonmonotonic,
        Self::WrongOffset,
        Self::LostWrite,
        Self::Truncation,
        Self::RefilledTruncation,
        Self::Corrupt,
        Self::Duplicate,
        Self::Reorder,
        Self::TornTransaction,
        Self::AbortedRead,
        Self::HiddenAbort,
        Self::InventedAbort,
        Self::BelatedAbort,
        Self::StartBack,
        Self::StaleValue,
        Self::GroupRedelivery,
    ];

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
            Self::HiddenAbort => "hidden-abort",
            Self::InventedAbort => "invented-abort",
            Self::BelatedAbort => "belated-abort",
            Self::StartBack => "start-back",
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
pub(crate) struct Violation {
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
    /// What else is known of the place.
    pub evidence: Box<Evidence>,
}

/// What is known of the place of a violation, for whoever has to find out how it came about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Epoch of the leader that wrote the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
    /// The ledger's word: whether a record was acked at this very offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acked_here: Option<bool>,
    /// Who wrote it, by its proof header; not necessarily true when the record is corrupt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_by: Option<Writer>,
    /// Who produced its batch, as the log has it, where the client shows that; not true of a batch whose bytes have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<Producer>,
    /// The record that the reader was shown before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Neighbour>,
    /// The record that it was shown after this one, where it went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Neighbour>,
    /// Acked offsets that are gone, as ranges: first and last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<(i64, i64)>,
    /// Of a transaction that is named once on a partition, with all its records: those that were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,
}

/// Records that belong to one finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Records {
    /// Offset of the first.
    pub first: i64,
    /// Offset of the last.
    pub last: i64,
    /// How many there are.
    pub count: u64,
}

/// The neighbour of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// Where it lies.
    pub offset: i64,
    /// Epoch of the leader that wrote it; negative when the broker did not say.
    pub leader_epoch: i32,
    /// Run and number of the last record up to there that had a proof header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_by: Option<Writer>,
}

/// A producer as brokers know it. What they took twice has the same numbers twice; what was sent twice has others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Producer {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The record's sequence number.
    pub sequence: i32,
}

/// A run and its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Writer {
    /// The run, as its log names it.
    pub run: String,
    /// The record's number within the run and the partition.
    pub sequence: u64,
    /// Its transaction within the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<u64>,
}

impl Writer {
    /// Run `run` with its record number `sequence`.
    #[must_use]
    pub fn new(run: u64, sequence: u64, transaction: Option<u64>) -> Self {
        Self { run: format!("{run:016x}"), sequence, transaction }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { anomaly, topic, partition, offset, expected, found, evidence: _ } = self;
        write!(
            formatter,
            "{anomaly}: topic {topic} partition {partition} offset {offset}: expected {expected}, found {found}"
        )
    }
}
