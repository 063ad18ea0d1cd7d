//! What a run was asked to do, after every flag has been parsed, checked and
//! resolved. Workers see these types and never the command line's.

use std::{net::IpAddr, num::NonZeroU64, path::PathBuf, time::Duration};

use crate::runtime::placement::{ClientThreads, CoresRequest};

/// Where the cluster under test lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// A bootstrap list, `host:port[,host:port…]`.
    Bootstrap(String),
    /// An in-process mock cluster with so many brokers.
    Embedded { brokers: usize },
}

/// How much the log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    #[default]
    Normal,
    Debug,
    /// Debug, and the client library's own debug contexts.
    Trace,
}

/// Shape of the log lines on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Whether a live progress line may be drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgressMode {
    /// On a terminal: a live line. Elsewhere: a log line every few seconds.
    #[default]
    Auto,
    Never,
}

/// Which fields `/status` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusSchema {
    /// Without `offset_gaps`, for harnesses that do not know the field.
    V1,
    #[default]
    V2,
}

/// What both programs share: the cluster, the cores, the control port, the log.
#[derive(Clone, Debug)]
pub struct CommonConfig {
    pub brokers: Brokers,
    /// Partitions of a topic that this run makes (`--partitions`).
    pub new_topic_partitions: usize,
    pub client_id: String,
    pub cores: CoresRequest,
    pub client_threads: ClientThreads,
    pub print_placement: bool,
    /// How long to wait for brokers and topic at the start; `None` waits for ever.
    pub startup_timeout: Option<Duration>,
    pub metadata_max_age: Duration,
    pub remote: bool,
    pub remote_port: u16,
    pub bind: IpAddr,
    pub verbosity: Verbosity,
    pub log_format: LogFormat,
    pub progress: ProgressMode,
    pub status_schema: StatusSchema,
}

/// Codec of the record batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
    /// One of the five, at random for each producer.
    Mixed,
}

/// What fills a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// Random printable ASCII, 32–126.
    #[default]
    Printable,
    /// Random bytes.
    Random,
    /// Zeros.
    Zeros,
}

/// Record timestamps that are counted, not taken from the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FakeTimestamps {
    pub start_ms: i64,
    pub step_ms: i64,
}

/// What the verifier's producer does.
#[derive(Clone, Debug)]
pub struct ProduceConfig {
    pub messages: NonZeroU64,
    pub value_bytes: usize,
    pub linger: Duration,
    pub batch_max_bytes: usize,
    /// Records in flight, for the whole process.
    pub max_buffered_records: usize,
    pub compression: Compression,
    pub fill: Fill,
    /// `Some(n)`: keys are `key-{0..n-1}` at random. `None`: the record id.
    pub key_set_cardinality: Option<u64>,
    pub tombstone_probability: f64,
    pub fake_timestamps: Option<FakeTimestamps>,
    /// Value bytes per second for the process; `None` is unlimited.
    pub throughput_bytes_per_s: Option<NonZeroU64>,
    pub tolerate_failed_produce: bool,
}

/// What the sequential reader does.
#[derive(Clone, Debug)]
pub struct SeqReadConfig {
    /// Stop after so many records.
    pub max_messages: Option<u64>,
    /// Limit, bytes per second for the process; `None` is unlimited.
    pub throughput_bytes_per_s: Option<NonZeroU64>,
}

/// What the random readers do.
#[derive(Clone, Debug)]
pub struct RandReadConfig {
    pub readers: usize,
    pub reads_per_reader: u64,
}

/// How passes over the log follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passes {
    #[default]
    Once,
    /// Start over at the end of each pass until `/last_pass` or a signal.
    Loop,
}

/// The verifier's run.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    pub common: CommonConfig,
    pub topic: String,
    pub produce: Option<ProduceConfig>,
    pub rand_read: Option<RandReadConfig>,
    pub seq_read: Option<SeqReadConfig>,
    pub passes: Passes,
    pub compacted: bool,
    pub tolerate_data_loss: bool,
    /// Folder of the ledger files: the working directory.
    pub ledger_dir: PathBuf,
}
