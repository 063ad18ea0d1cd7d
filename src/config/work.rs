//! The parts of the verifier's work, and what both programs know of transactions.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use crate::random::Random;

/// Codec of the record batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Compression {
    /// Batches go as they are.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
    /// One of the five, at random for each producer.
    Mixed,
}

impl Compression {
    /// What a producer compresses with.
    #[must_use]
    pub fn pick(self, random: &mut Random) -> Self {
        const CODECS: [Compression; 5] =
            [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
        match self {
            Self::Mixed => CODECS[random.index(CODECS.len())],
            codec => codec,
        }
    }
}

/// What fills a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Fill {
    /// Random printable ASCII, 32–126.
    #[default]
    Printable,
    /// Random bytes.
    Random,
    /// Zeros.
    Zeros,
}

/// Values of a payload of the user's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) enum Payload {
    /// Each value is what this file holds.
    File {
        /// The file.
        path: PathBuf,
        /// What it held: as many bytes as a value has.
        #[serde(skip)]
        bytes: Arc<[u8]>,
    },
    /// Each value begins with random bytes, and goes on with zeros.
    PartlyRandom {
        /// The random part of a value, 0 to 1.
        random_ratio: f64,
        /// How many values there are, at least one; fewer where that would take too much memory.
        values: usize,
    },
}

/// Record timestamps that are counted, not taken from the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FakeTimestamps {
    /// Timestamp of the first record, milliseconds since the epoch, never negative.
    pub start_ms: i64,
    /// From one record to the next, never negative.
    pub step_ms: i64,
}

/// What the verifier's producer does.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProduceConfig {
    /// How many to produce.
    pub messages: NonZeroU64,
    /// Bytes of each value; a record of this size fits into `batch_max_bytes`.
    pub value_bytes: usize,
    /// How long a batch may wait for company.
    pub linger: Duration,
    /// Largest record batch per partition.
    pub batch_max_bytes: usize,
    /// Records in flight, for the whole process.
    pub max_buffered_records: usize,
    /// Codec of the batches.
    pub compression: Compression,
    /// What fills the values.
    pub fill: Fill,
    /// What they hold instead; `None` in a verifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// `Some(n)`, n ≥ 1: keys are `key-{0..n-1}` at random. `None`: the record id.
    pub key_set_cardinality: Option<u64>,
    /// Probability of a null value, 0 to 1.
    pub tombstone_probability: f64,
    /// `None`: the clock.
    pub fake_timestamps: Option<FakeTimestamps>,
    /// Value bytes per second for the process; `None` is unlimited.
    pub throughput_bytes_per_s: Option<NonZeroU64>,
    /// Count a failed produce and go on, instead of failing.
    pub tolerate_failed_produce: bool,
    /// Make a new producer, with a producer id of its own, after so many messages of a shard; `None`: never.
    pub messages_per_producer_id: Option<NonZeroU64>,
    /// `None`: no transactions.
    pub transactions: Option<TransactionConfig>,
    /// Values are numbered, and the last of each key is written down.
    pub latest_values: bool,
    /// Records bear a second header, which proves more.
    pub proof_header: bool,
}

/// What the sequential reader does.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SeqReadConfig {
    /// Stop after so many records.
    pub max_messages: Option<u64>,
    /// Limit, bytes per second for the process; `None` is unlimited.
    pub throughput_bytes_per_s: Option<NonZeroU64>,
}

/// What the random readers do.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RandReadConfig {
    /// How many readers, at least one.
    pub readers: usize,
    /// How many reads each of them makes in a pass.
    pub reads_per_reader: u64,
}

/// What the members of a consumer group do.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct GroupReadConfig {
    /// How many members, at least one.
    pub members: NonZeroUsize,
    /// The group; `None` is a new one for each pass, deleted when it is done.
    pub name: Option<String>,
    /// Commit after each fetch of at most so many records; `None` commits from time to time.
    pub max_uncommitted: Option<NonZeroUsize>,
    /// How long the group waits for a member that is silent; `None` is the client's default.
    pub session_timeout: Option<Duration>,
    /// How long it waits for its members when it rebalances; `None` is the client's default.
    pub rebalance_timeout: Option<Duration>,
    /// A record that the group delivers twice is a violation.
    pub exactly_once: bool,
    /// Stop after so many records.
    pub max_messages: Option<u64>,
    /// Limit, bytes per second for the process; `None` is unlimited.
    pub throughput_bytes_per_s: Option<NonZeroU64>,
}

/// How passes over the log follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) enum Passes {
    /// One pass.
    #[default]
    Once,
    /// Start over at the end of each pass until `/last_pass` or a signal.
    Loop,
    /// One pass that waits at the log's end for more, until `/last_pass` or a signal.
    Continuous,
}

/// Which records must hold the last value that was produced for their key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) enum LatestChecks {
    /// None: values are not looked at.
    #[default]
    Never,
    /// The last record of each key.
    Last,
    /// Every record: the log was compacted to one for each key.
    Every,
}

/// What readers expect of the log, and what they do when it is otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a promise of its own, not a state")]
pub(crate) struct ProofConfig {
    /// Gaps between offsets are expected.
    pub compacted: bool,
    /// Count truncation and go on, instead of failing.
    pub tolerate_data_loss: bool,
    /// Records are in transactions: only those that were committed count.
    pub transactions: bool,
    /// A value must be the last one produced for its key.
    pub latest_values: LatestChecks,
    /// Count violations and go on to the end, instead of stopping at the first.
    pub keep_going: bool,
    /// Second headers are checked where they are present.
    pub proof_header: bool,
}

/// How records are put into transactions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct TransactionConfig {
    /// How long one may stay open before the cluster aborts it.
    pub timeout: Duration,
    /// Records in each, at least one.
    pub messages: u32,
    /// Probability that one is aborted, 0 to 1.
    pub abort_rate: f64,
}
