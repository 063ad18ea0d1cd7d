//! The verifier's flags, as the user writes them.
#![expect(clippy::doc_markdown, reason = "the doc comments are the help text")]

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser};

use super::{
    common::{
        BatchArgs, ClusterArgs, ControlArgs, EndArgs, HOUR, MAX_INT, OutputArgs, PlacementArgs, SecurityArgs,
        TransactionArgs,
    },
    duration::{BareUnit, duration},
    slice::{SliceWord, slice},
    values::{OrOff, choice, go_bool, topic_name, whole, whole_or_off},
};
use crate::config::LatestChecks;

const LATEST: &[(&str, LatestChecks)] = &[("every", LatestChecks::Every), ("last", LatestChecks::Last)];
const MAX_COUNT: i128 = u64::MAX as i128;
const MAX_READERS: i128 = 100_000;
/// franz-go refuses less, and librdkafka less than 1,000.
pub(super) const MIN_BATCH_BYTES: i128 = 1024;
pub(super) const MAX_BATCH_BYTES: i128 = 1_000_000_000;

/// Produce records to a topic, read them back, and check that each is where it belongs
#[derive(Debug, Parser)]
#[command(name = "verifier", version, max_term_width = 110)]
pub(super) struct VerifierArgs {
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub producer: ProducerArgs,
    #[command(flatten)]
    pub batch: BatchArgs,
    #[command(flatten)]
    pub transaction: TransactionArgs,
    #[command(flatten)]
    pub reader: ReaderArgs,
    #[command(flatten)]
    pub group: GroupArgs,
    #[command(flatten)]
    pub proof: ProofArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(flatten)]
    pub security: SecurityArgs,
    #[command(flatten)]
    pub placement: PlacementArgs,
    #[command(flatten)]
    pub control: ControlArgs,
    #[command(flatten)]
    pub end: EndArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Work (at least one kind; they run in this order)")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own, not a state")]
pub(super) struct WorkArgs {
    /// The topic under test; required
    #[arg(long, value_name = "TOPIC", value_parser = topic_name)]
    pub topic: Option<String>,
    /// Messages to produce
    #[arg(long = "produce_msgs", value_name = "N", default_value = "0",
          value_parser = whole::<u64>(0, MAX_COUNT))]
    pub produce_msgs: u64,
    /// Read the topic from start to end, validating
    #[arg(long = "seq_read")]
    pub seq_read: bool,
    /// Validating random reads for each reader
    #[arg(long = "rand_read_msgs", value_name = "N", default_value = "0",
          value_parser = whole::<u64>(0, MAX_COUNT))]
    pub rand_read_msgs: u64,
    /// Members of a consumer group
    #[arg(long = "consumer_group_readers", value_name = "N", default_value = "0",
          value_parser = whole::<usize>(0, MAX_READERS))]
    pub consumer_group_readers: usize,
    /// Readers start over until /last_pass or a signal
    #[arg(long = "loop")]
    pub looping: bool,
    /// Readers wait for new data at the end until /last_pass
    #[arg(long)]
    pub continuous: bool,
    /// Own the partitions p with p mod N = I, and do a share of the work; auto/N in an Indexed Job
    #[arg(long, value_name = "I/N", value_parser = slice)]
    pub slice: Option<SliceWord>,
    /// Take topic and load from a task of Trogdor's on standard input, and answer in JSON
    #[arg(long)]
    pub trogdor: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Producer")]
pub(super) struct ProducerArgs {
    /// Value bytes
    #[arg(long = "msg_size", value_name = "BYTES", default_value = "16384",
          value_parser = whole::<usize>(0, MAX_BATCH_BYTES))]
    pub msg_size: usize,
    /// Largest record batch per partition
    #[arg(long = "batch_max_bytes", value_name = "BYTES", default_value = "1048576",
          value_parser = whole::<usize>(MIN_BATCH_BYTES, MAX_BATCH_BYTES))]
    pub batch_max_bytes: usize,
    /// Records in flight
    #[arg(long, value_name = "N", default_value = "1024", value_parser = whole::<usize>(1, MAX_INT))]
    pub max_buffered_records: usize,
    /// Random bytes instead of printable ASCII; --compressible-payload wins
    #[arg(long)]
    pub produce_random_bytes: bool,
    /// Keys are key-{0..N-1} at random; negative: the record id
    #[arg(long, value_name = "N", default_value = "-1", value_parser = whole_or_off(1, "record ids as keys"))]
    pub key_set_cardinality: OrOff,
    /// First record timestamp, 1 or more, as the client library takes 0 for "now"; negative: the clock
    #[arg(long, value_name = "MS", default_value = "-1", value_parser = whole_or_off(1, "the clock, as the client library takes 0 for \"now\""))]
    pub fake_timestamp_ms: OrOff,
    /// From one record timestamp to the next
    #[arg(long, value_name = "MS", default_value = "1", value_parser = whole::<i64>(0, i128::from(i64::MAX)))]
    pub fake_timestamp_step_ms: i64,
    /// Value bytes per second; negative: no limit
    #[arg(long, value_name = "BYTES", default_value = "-1", value_parser = whole_or_off(0, "no limit"))]
    pub produce_throughput_bps: OrOff,
    /// New producer id after so many messages; negative: never
    #[arg(long, value_name = "N", default_value = "-1", value_parser = whole_or_off(1, "never"))]
    pub msgs_per_producer_id: OrOff,
    /// Count a failed produce and go on
    #[arg(long)]
    pub tolerate_failed_produce: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Readers")]
pub(super) struct ReaderArgs {
    /// Stop the sequential or group read after so many; negative: at the end
    #[arg(long = "seq_read_msgs", value_name = "N", default_value = "-1",
          value_parser = whole_or_off(0, "the whole topic"))]
    pub seq_read_msgs: OrOff,
    /// Number of random readers
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<usize>(1, MAX_READERS))]
    pub parallel: usize,
    /// Sequential or group read, MiB per second; negative: no limit
    #[arg(long, value_name = "MIB", default_value = "-1", value_parser = whole_or_off(0, "no limit"))]
    pub consume_throughput_mb: OrOff,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Consumer group")]
pub(super) struct GroupArgs {
    /// Name of the group [default: a new one for each pass]
    #[arg(long = "consumer_group_name", value_name = "NAME", default_value = "", hide_default_value = true)]
    pub consumer_group_name: String,
    /// Commit after each fetch of at most N records; negative: auto-commit
    #[arg(long, value_name = "N", default_value = "-1", value_parser = whole_or_off(1, "auto-commit"))]
    pub max_uncommitted: OrOff,
    /// Session timeout; a bare number is seconds [default: the client's]
    #[arg(long, value_name = "DURATION",
          value_parser = duration(BareUnit::Seconds, Duration::ZERO, HOUR))]
    pub consumer_group_session_timeout_s: Option<Duration>,
    /// Rebalance timeout; a bare number is seconds [default: the client's]
    #[arg(long, value_name = "DURATION",
          value_parser = duration(BareUnit::Seconds, Duration::ZERO, HOUR * 24))]
    pub consumer_group_rebalance_timeout_s: Option<Duration>,
    /// A record that the group delivers twice is a violation
    #[arg(long)]
    pub group_consume_exactly_once: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Proof")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own, not a state")]
pub(super) struct ProofArgs {
    /// Gaps between offsets are expected
    #[arg(long)]
    pub compacted: bool,
    /// Report truncation in lost_offsets and go on
    #[arg(long)]
    pub tolerate_data_loss: bool,
    /// The value must be the last one produced for its key: for logs that were compacted to one record a key
    #[arg(long)]
    pub validate_latest_values: bool,
    /// Which records that is asked of: every one, or the last one of each key, wherever compaction is
    #[arg(long, value_name = "WHICH", default_value = "every", value_parser = choice(LATEST))]
    pub latest_values: LatestChecks,
    /// Write the second header, and check it where it is present [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = go_bool)]
    pub proof_header: Option<bool>,
    /// Folder of the ledgers and of the last values [default: the working directory]
    #[arg(long, value_name = "DIR")]
    pub ledger_dir: Option<PathBuf>,
    /// Count violations and go on to the end, instead of stopping at the first
    #[arg(long)]
    pub keep_going: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Client")]
pub(super) struct ClientArgs {
    /// Kafka's client.id
    #[arg(long, value_name = "NAME", default_value = "kgo")]
    pub client_name: String,
    /// How old the client's view of the cluster may become
    #[arg(long, value_name = "DURATION", default_value = "15s",
          value_parser = duration(BareUnit::Refused, Duration::from_millis(10), HOUR))]
    pub metadata_max_age: Duration,
}
