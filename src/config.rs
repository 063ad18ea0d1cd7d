//! What a run was asked to do, after every flag has been parsed, checked and
//! resolved. Workers see these types and never the command line's.

mod bench;
mod compare;
mod merge;
mod startup;
mod work;

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

pub(crate) use bench::{Backlog, BenchConfig, BenchRate, BenchReaders, Objective, ObjectiveOn};
#[cfg(test)]
pub(crate) use compare::FIGURES;
pub(crate) use compare::{CompareConfig, Gate, NoGate};
pub(crate) use merge::MergeConfig;
pub(crate) use startup::StartupTimeout;
pub use work::Fill;
pub(crate) use work::{
    Compression, FakeTimestamps, GroupReadConfig, LatestChecks, Passes, Payload, ProduceConfig, ProofConfig,
    RandReadConfig, SeqReadConfig, TransactionConfig,
};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{
    partitions::Slice,
    runtime::cores::placement::{ClientThreads, CoresRequest},
};

/// Where the cluster under test lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Brokers {
    /// A bootstrap list, `host:port[,host:port…]`.
    Bootstrap(String),
    /// An in-process mock cluster with so many brokers.
    Embedded {
        /// At least one.
        brokers: usize,
    },
}

/// How much the log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Verbosity {
    /// What happened, once per change.
    #[default]
    Normal,
    /// Also what was decided on the way.
    Debug,
    /// Debug, and the client library's own debug contexts.
    Trace,
}

/// Shape of the log lines, on stderr but for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// The same on stdout, as Trogdor's agents read them.
    Trogdor,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) enum ProgressMode {
    /// On a terminal a bar, elsewhere and in a JSON log lines.
    #[default]
    Auto,
    /// One line that changes, at the bottom of the terminal.
    Bar,
    /// A log line every few seconds.
    Lines,
    /// Not at all.
    Never,
}

/// Whether what is printed has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) enum ColorMode {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Wherever it goes.
    Always,
    /// Never.
    Never,
}

/// Which fields `/status` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) enum StatusSchema {
    /// Without `offset_gaps`, for harnesses that do not know the field.
    V1,
    /// All fields of the contract.
    #[default]
    V2,
}

/// Who speaks to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum ClientKind {
    /// Our own client.
    Wire,
    /// librdkafka.
    Librdkafka,
}

/// Who speaks to the brokers in a run, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ClientPick {
    /// Who does.
    pub kind: ClientKind,
    /// Nobody asked for it by name: what the cluster is may still change it.
    pub is_automatic: bool,
    /// What our own client cannot do, where it would have been ours otherwise.
    pub reason: Option<String>,
}

impl ClientPick {
    /// Who writes and reads on a cluster of which it is known whether it is Redpanda's. Ours has been tried there in its
    /// dialect only, not on its logs: it is taken where somebody asks for it.
    #[must_use]
    pub(crate) fn on(&self, is_redpanda: bool) -> ClientKind {
        if self.is_automatic && is_redpanda { ClientKind::Librdkafka } else { self.kind }
    }
}

/// What both programs share: the cluster, the cores, the control port, the log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CommonConfig {
    /// The cluster under test.
    pub brokers: Brokers,
    /// How we prove who we are, and who the brokers are.
    pub security: Security,
    /// Who speaks to the brokers.
    pub client: ClientPick,
    /// librdkafka settings of the user's own; they win over ours.
    #[serde(serialize_with = "names_and_harmless_values")]
    pub client_settings: Vec<(String, String)>,
    /// By what the user asked for, less is proven: each a phrase.
    pub weaker: Vec<String>,
    /// Partitions of a topic on an embedded cluster (`--partitions`).
    pub new_topic_partitions: usize,
    /// How to make a topic that is missing; `None` leaves it missing.
    pub new_topic: Option<NewTopic>,
    /// Kafka's `client.id`. The repeater's worker *i* appends `_w_{i}` to it.
    pub client_id: String,
    /// Which cores get a shard.
    #[serde(skip)]
    pub cores: CoresRequest,
    /// Where the client library's own threads may run.
    #[serde(skip)]
    pub client_threads: ClientThreads,
    /// Print the placement plan and do nothing else.
    pub print_placement: bool,
    /// How long to wait for what a run needs at the start.
    pub startup_timeout: StartupTimeout,
    /// How old the client's view of the cluster may become.
    pub metadata_max_age: Duration,
    /// After the work, stay up until `/shutdown` or a signal.
    pub remote: bool,
    /// The control port; 0 lets the system choose, `None` is the one that harnesses know.
    pub remote_port: Option<u16>,
    /// The bearer token that requests on the control port must carry.
    pub token: Option<Secret>,
    /// Names by which requests on the control port may call this host, beside its own.
    pub allowed_hosts: Vec<String>,
    /// The address the control port listens on.
    pub bind: IpAddr,
    /// How much the log says.
    pub verbosity: Verbosity,
    /// Shape of the log lines.
    pub log_format: LogFormat,
    /// How progress is shown.
    pub progress: ProgressMode,
    /// Whether what is printed has colours.
    pub color: ColorMode,
    /// Which fields `/status` shows.
    pub status_schema: StatusSchema,
    /// When a worker that makes no progress although its broker answers counts as stalled; `None`: never.
    pub stall_after: Option<Duration>,
    /// Where the run's report goes; `None`: nowhere.
    pub report: Option<PathBuf>,
    /// What ends the run, and what lets it pass.
    pub limits: Limits,
    /// What is to be said of the flags before the run begins, one line each.
    pub warnings: Vec<String>,
    /// Every flag with its value, as it could be given on the command line, without secrets.
    pub flags: BTreeMap<String, Value>,
}

impl Brokers {
    /// How many there are, as far as that is known before one has answered.
    #[must_use]
    pub(crate) fn listed(&self) -> usize {
        match self {
            Self::Embedded { brokers } => *brokers,
            Self::Bootstrap(list) => list.split(',').count(),
        }
    }

    /// The list that settings of clients are tried out with: where embedded ones will be is not known yet.
    #[must_use]
    pub(crate) fn to_try(&self) -> &str {
        match self {
            Self::Embedded { .. } => "localhost",
            Self::Bootstrap(list) => list,
        }
    }
}

/// What the doctor is to look at.
#[derive(Clone, Debug)]
pub(crate) struct DoctorConfig {
    /// The cluster, the cores, the log.
    pub common: CommonConfig,
    /// A cluster was named; without, only the machine is looked at.
    pub has_brokers: bool,
    /// The topic that a run is to use.
    pub topic: Option<String>,
}

/// What ends a run that would go on, and what lets it pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Limits {
    /// Only a run that has done all that was asked for passes.
    pub require_complete: bool,
    /// How long producers and readers work.
    pub duration: Option<Duration>,
    /// How long the whole run may take.
    pub deadline: Option<Duration>,
    /// How long a broker may be away.
    pub max_outage: Option<Duration>,
}

/// What a topic is made like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NewTopic {
    /// Partitions, at least one.
    pub partitions: usize,
    /// Replicas; `None` is the cluster's default.
    pub replication_factor: Option<u16>,
    /// Settings of the topic.
    pub config: Vec<(String, String)>,
}

/// A text that no log, error or report may show.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for whoever must send it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Passwords and keys can be given as client settings, too.
fn names_and_harmless_values<S: Serializer>(
    settings: &[(String, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shown = |(key, value): &(String, String)| {
        (key.clone(), if is_secret(key) { "***".to_owned() } else { value.clone() })
    };
    serializer.collect_map(settings.iter().map(shown))
}

/// Whether the value of a client setting must not be seen.
#[must_use]
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["password", "secret", "token", "jaas", ".pem"].iter().any(|word| key.contains(word))
}

/// What the connections to the brokers are secured with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Security {
    /// Who we are; `None` is nobody in particular.
    pub sasl: Option<Sasl>,
    /// How connections are encrypted; `None` is not at all.
    pub tls: Option<Tls>,
}

/// A user and how the password is proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sasl {
    /// Name of the mechanism, such as `SCRAM-SHA-256`.
    pub mechanism: &'static str,
    /// The user.
    pub username: String,
    /// The password; with OAUTHBEARER the bearer token.
    pub password: Secret,
    /// Where a bearer token came from, to be read again when its life is nearly over.
    pub token_file: Option<PathBuf>,
}

/// Certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tls {
    /// What to trust; `None` is what the system trusts.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Trust anybody.
    pub skip_verify: bool,
}

/// The verifier's run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct VerifierConfig {
    /// What both programs share.
    pub common: CommonConfig,
    /// The topic under test; empty only where `common.print_placement` is set and no topic was given.
    pub topic: String,
    /// The part of the topic that this process works on; `None`: all of it.
    pub(crate) slice: Option<Slice>,
    /// `None`: no producer.
    pub produce: Option<ProduceConfig>,
    /// `None`: no random readers.
    pub rand_read: Option<RandReadConfig>,
    /// `None`: no sequential reader.
    pub seq_read: Option<SeqReadConfig>,
    /// `None`: no consumer group.
    pub group_read: Option<GroupReadConfig>,
    /// How the readers' passes follow each other.
    pub passes: Passes,
    /// What readers expect of the log, and what they do when it is otherwise.
    pub proof: ProofConfig,
    /// Folder of the ledger files.
    pub ledger_dir: PathBuf,
    /// Somebody has named that folder.
    pub ledger_asked_for: bool,
}

impl VerifierConfig {
    /// Whether anything is read.
    #[must_use]
    pub(crate) fn has_readers(&self) -> bool {
        self.seq_read.is_some() || self.rand_read.is_some() || self.group_read.is_some()
    }

    /// The slice whose ledger the run keeps; `None` where it keeps that of all partitions, or none.
    #[must_use]
    pub(crate) fn producing_slice(&self) -> Option<Slice> {
        self.slice.filter(|_| self.produce.is_some())
    }
}

/// Largest record batch of the repeater, which has no flag for it.
pub(crate) const REPEATER_BATCH_MAX_BYTES: usize = 1_048_576;

/// The repeater's run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RepeaterConfig {
    /// What both programs share.
    pub common: CommonConfig,
    /// The topics that tokens travel through; at least one, none twice.
    pub topics: Vec<String>,
    /// The consumer group that all workers join.
    pub group: String,
    /// Group members in this process.
    pub workers: NonZeroUsize,
    /// How many different keys; `None`: all 64 bits.
    pub keys: Option<NonZeroU64>,
    /// Bytes that follow the body header.
    pub payload_bytes: NonZeroUsize,
    /// In flight for the process, shared among its workers: at least one payload for each.
    pub initial_data_bytes: u64,
    /// Records in flight, for each worker.
    pub max_buffered_records: usize,
    /// Bytes per second for the process, shared among its workers; `None` is unlimited.
    pub rate_limit_bytes_per_s: Option<NonZeroU64>,
    /// How long a batch may wait for company.
    pub linger: Duration,
    /// Codec of the batches.
    pub compression: Compression,
    /// What fills the payloads.
    pub fill: Fill,
    /// Probability of a null value, 0 to 1.
    pub tombstone_probability: f64,
    /// `None`: no transactions.
    pub transactions: Option<TransactionConfig>,
    /// Where to write a CPU profile.
    pub profile: Option<PathBuf>,
}

impl RepeaterConfig {
    /// Tokens of each worker, at least one.
    #[must_use]
    pub(crate) fn tokens_per_worker(&self) -> u64 {
        self.initial_data_bytes / self.workers.get() as u64 / self.payload_bytes.get() as u64
    }
}
