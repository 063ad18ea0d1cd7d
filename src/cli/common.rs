//! The flags of both programs, in the groups in which `--help` shows them.
#![expect(clippy::doc_markdown, reason = "the doc comments are the help text")]

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;

use super::{
    duration::{BareUnit, duration},
    values::{Parsed, choice, host_name, key_value, parsed, probability, whole},
};
use crate::{
    config::{ClientKind, ColorMode, Compression, LogFormat, ProgressMode, StatusSchema},
    runtime::cores::placement::{ClientThreads, CoresRequest},
};

pub(super) const HOUR: Duration = Duration::from_hours(1);
/// What librdkafka keeps in an `int`.
pub(super) const MAX_INT: i128 = i32::MAX as i128;
/// Until a codec is chosen, Go's flag is an empty word: both mean "none".
const CODECS: &[(&str, Compression)] = &[
    ("none", Compression::None),
    ("", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
    ("mixed", Compression::Mixed),
];
const CLIENTS: &[(&str, ClientChoice)] = &[
    ("auto", ClientChoice::Auto),
    ("wire", ClientChoice::Only(ClientKind::Wire)),
    ("librdkafka", ClientChoice::Only(ClientKind::Librdkafka)),
];
const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
const PROGRESS: &[(&str, ProgressMode)] = &[
    ("auto", ProgressMode::Auto),
    ("bar", ProgressMode::Bar),
    ("lines", ProgressMode::Lines),
    ("never", ProgressMode::Never),
];
const COLORS: &[(&str, ColorMode)] =
    &[("auto", ColorMode::Auto), ("always", ColorMode::Always), ("never", ColorMode::Never)];
const SCHEMAS: &[(&str, StatusSchema)] = &[("v1", StatusSchema::V1), ("v2", StatusSchema::V2)];
const MECHANISMS: &[(&str, &str)] = &[
    ("PLAIN", "PLAIN"),
    ("SCRAM-SHA-256", "SCRAM-SHA-256"),
    ("SCRAM-SHA-512", "SCRAM-SHA-512"),
    ("OAUTHBEARER", "OAUTHBEARER"),
];
/// Kafka's own default: two minutes for a transaction.

#[derive(Args, Debug)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    /// Bootstrap list; embedded or embedded:N is an in-process mock cluster [default: localhost:9092]
    #[arg(long, value_name = "HOST:PORT,…")]
    pub brokers: Option<String>,
    /// How long to wait for what a run needs at the start; 0 = for ever [default: 60s for a first broker, 10s for a
    /// topic that a live broker denies, without limit for leaders, offsets and coordinators]
    #[arg(long, value_name = "DURATION",
          value_parser = duration(BareUnit::Refused, Duration::ZERO, HOUR * 24 * 365))]
    pub startup_timeout: Option<Duration>,
    /// Create the topic first if it is missing; needs something that produces
    #[arg(long)]
    pub create_topic: bool,
    /// Partitions of a topic that we create [default: 8]
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1, 100_000))]
    pub partitions: Option<usize>,
    /// Replicas of a topic that we create [default: the cluster's]
    #[arg(long, value_name = "N", value_parser = whole::<u16>(1, 32_767))]
    pub replication_factor: Option<u16>,
    /// Setting of a topic that we create; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub topic_config: Vec<(String, String)>,
    /// Who speaks to the brokers: wire (our own client), librdkafka, or auto: wire wherever it can
    #[arg(long, value_name = "WHO", default_value = "auto", value_parser = choice(CLIENTS))]
    pub client: ClientChoice,
    /// Properties file of librdkafka settings
    #[arg(long, value_name = "FILE")]
    pub client_config: Option<PathBuf>,
    /// Any librdkafka setting, after ours, but those that would undo the proof; repeatable
    #[arg(short = 'X', long = "X", value_name = "KEY=VALUE", value_parser = key_value)]
    pub setting: Vec<(String, String)>,
}

/// Who is to speak to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientChoice {
    /// Our own client wherever it can do what the other flags ask for, else librdkafka.
    Auto,
    /// Nobody else.
    Only(ClientKind),
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Security")]
pub(super) struct SecurityArgs {
    /// SASL user; none = no SASL
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub username: String,
    /// SASL password; better: PROOFLOAD_PASSWORD or --password-file
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub password: String,
    /// File that holds the password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER
    #[arg(long, value_name = "NAME", default_value = "SCRAM-SHA-256", value_parser = choice(MECHANISMS))]
    pub sasl_mechanism: &'static str,
    /// TLS to the brokers
    #[arg(long)]
    pub enable_tls: bool,
    /// Certificates to trust [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Our own certificate, with --tls-key
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Key of our own certificate
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long)]
    pub tls_skip_verify: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Record batches")]
pub(super) struct BatchArgs {
    /// How long a batch may wait for company
    #[arg(long, value_name = "DURATION", default_value = "0",
          value_parser = duration(BareUnit::Refused, Duration::ZERO, Duration::from_mins(15)))]
    pub linger: Duration,
    /// none, gzip, snappy, lz4, zstd, or mixed: one at random for each producer
    #[arg(long, value_name = "CODEC", default_value = "none", value_parser = choice(CODECS))]
    pub compression_type: Compression,
    /// Zeros instead of random data
    #[arg(long)]
    pub compressible_payload: bool,
    /// Probability of a null value
    #[arg(long, value_name = "P", default_value = "0", value_parser = probability)]
    pub tombstone_probability: f64,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Transactions")]
pub(super) struct TransactionArgs {
    /// Transactional producer; readers use read_committed
    #[arg(long)]
    pub use_transactions: bool,
    /// transaction.timeout.ms; a bare number is milliseconds
    #[arg(long, value_name = "DURATION", default_value = "2m0s",
          value_parser = duration(BareUnit::Millis, Duration::from_secs(1), HOUR * 24))]
    pub transaction_timeout_ms: Duration,
    /// Records in each transaction
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u32>(1, MAX_INT))]
    pub msgs_per_transaction: u32,
    /// Probability that a transaction is aborted
    #[arg(long, value_name = "P", default_value = "0", value_parser = probability)]
    pub transaction_abort_rate: f64,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Cores")]
pub(super) struct PlacementArgs {
    /// Which cores get a shard: auto, all, N, 0-3,8 or node:0
    #[arg(long, value_name = "CORES", default_value = "auto", value_parser = cores)]
    pub cores: CoresRequest,
    /// Where the client library's threads may run: shard, node or any
    #[arg(long, value_name = "WHERE", default_value = "shard", value_parser = client_threads)]
    pub client_threads: ClientThreads,
    /// Print which thread would run where, and do nothing else
    #[arg(long)]
    pub print_placement: bool,
}

fn cores(word: &str) -> Parsed<CoresRequest> {
    parsed("auto, all, a number of cores, a list such as 0-3,8 (0-0 is core 0 alone), or node:N")(word)
}

fn client_threads(word: &str) -> Parsed<ClientThreads> {
    parsed("shard, node or any")(word)
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Control port")]
pub(super) struct ControlArgs {
    /// After the work, stay up until /shutdown or SIGINT
    #[arg(long)]
    pub remote: bool,
    /// HTTP port, open with or without --remote; 0 = any free one [default: 7884]
    #[arg(long, value_name = "PORT", value_parser = whole::<u16>(0, 65_535))]
    pub remote_port: Option<u16>,
    /// Address to listen on [default: 127.0.0.1; with --remote 0.0.0.0]
    #[arg(long, value_name = "ADDR", value_parser = parsed::<IpAddr>("an IP address such as 127.0.0.1 or ::"))]
    pub bind: Option<IpAddr>,
    /// File that holds a bearer token to ask for
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Name by which requests may call this host; others, but for its own, are refused then, and on loopback; repeatable
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    pub allow_host: Vec<String>,
    /// v1: /status without offset_gaps, for older harnesses
    #[arg(long, value_name = "V", default_value = "v2", value_parser = choice(SCHEMAS))]
    pub status_schema: StatusSchema,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Log what is decided on the way, and what the client library complains of
    #[arg(long)]
    pub debug: bool,
    /// Log even more: what the client library does, a few lines of each kind a second
    #[arg(long)]
    pub trace: bool,
    /// text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = choice(LOG_FORMATS))]
    pub log_format: LogFormat,
    /// auto, bar, lines or never; auto is a bar on a terminal, else lines
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = choice(PROGRESS))]
    pub progress: ProgressMode,
    /// auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = choice(COLORS))]
    pub color: ColorMode,
    /// Name a partition as stalled when nothing came of it for so long though its broker answers; 0: never
    #[arg(long, value_name = "DURATION", default_value = "30s",
          value_parser = duration(BareUnit::Refused, Duration::ZERO, HOUR * 24))]
    pub stall_after: Duration,
    /// Write configuration, totals, latencies and violations as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "When it ends")]
pub(super) struct EndArgs {
    /// Exit with 0 only when all that was asked for was done; else with 1
    #[arg(long)]
    pub require_complete: bool,
    /// Work for so long, and all is well: each producer and reader in its turn, a repeater from its first message on
    #[arg(long, value_name = "DURATION", value_parser = limit())]
    pub duration: Option<Duration>,
    /// The whole run ends after so long, with exit code 3
    #[arg(long, value_name = "DURATION", value_parser = limit())]
    pub deadline: Option<Duration>,
    /// A broker that is away for longer ends the run, with exit code 3
    #[arg(long, value_name = "DURATION", value_parser = limit())]
    pub max_outage: Option<Duration>,
}

/// A limit on how long something may take.
pub(super) fn limit() -> impl Fn(&str) -> Parsed<Duration> + Clone + Send + Sync + 'static {
    duration(BareUnit::Refused, Duration::from_millis(1), HOUR * 24 * 365)
}
