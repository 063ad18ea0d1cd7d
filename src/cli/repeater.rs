//! The repeater's flags, as the user writes them.

use std::{
    ffi::OsString,
    num::{NonZeroU64, NonZeroUsize},
};

use clap::{Args, Parser};

use super::{
    common::{
        BatchArgs, ClusterArgs, ControlArgs, EndArgs, MAX_INT, OutputArgs, PlacementArgs, SecurityArgs,
        TransactionArgs,
    },
    values::{OrOff, Parsed, whole, whole_or_off},
};

const MAX_WORKERS: i128 = 100_000;
/// 2^43 MiB are 2^63 bytes.
const MAX_MIB: i128 = 1 << 40;

/// Pass a fixed number of messages (tokens) around: each member of a consumer group produces again what it consumes, until the run is stopped
#[derive(Debug, Parser)]
#[command(name = "repeater", version, max_term_width = 110)]
pub(super) struct RepeaterArgs {
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub batch: BatchArgs,
    #[command(flatten)]
    pub transaction: TransactionArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
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
#[command(next_help_heading = "Work")]
pub(super) struct WorkArgs {
    /// Topics, comma-separated; this or --topics
    #[arg(long, value_name = "TOPIC,…", default_value = "", hide_default_value = true)]
    pub topic: String,
    /// Topics, comma-separated; this or --topic
    #[arg(long, value_name = "TOPIC,…", default_value = "", hide_default_value = true)]
    pub topics: String,
    /// Consumer group; required
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub group: String,
    /// Group members in this process, each one consumer and one producer
    #[arg(long, value_name = "N", default_value = "1", value_parser = workers)]
    pub workers: NonZeroUsize,
    /// Number of different keys; 0 = all 64 bits
    #[arg(long, value_name = "N", default_value = "0", value_parser = whole::<u64>(0, i128::from(u64::MAX)))]
    pub keys: u64,
    /// Bytes after the 17-byte body header
    #[arg(long, value_name = "BYTES", default_value = "16384", value_parser = payload)]
    pub payload_size: NonZeroUsize,
    /// MiB in flight, shared among the workers
    #[arg(long, value_name = "MIB", default_value = "4", value_parser = whole::<u64>(0, MAX_MIB))]
    pub initial_data_mb: u64,
    /// Records in flight, for each worker
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<usize>(1, MAX_INT))]
    pub max_buffered_records: usize,
    /// Bytes per second, shared among the workers; negative: no limit
    #[arg(long, value_name = "BYTES", default_value = "-1", value_parser = whole_or_off(0, "no limit"))]
    pub rate_limit_bps: OrOff,
    /// Write a CPU profile, for `go tool pprof`
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    pub profile: OsString,
}

impl WorkArgs {
    pub(super) fn keys(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.keys)
    }
}

fn workers(word: &str) -> Parsed<NonZeroUsize> {
    positive(word, MAX_WORKERS)
}

fn payload(word: &str) -> Parsed<NonZeroUsize> {
    positive(word, MAX_INT)
}

fn positive(word: &str, high: i128) -> Parsed<NonZeroUsize> {
    let parser = whole::<usize>(1, high);
    Ok(NonZeroUsize::new(parser(word)?).unwrap_or(NonZeroUsize::MIN))
}
