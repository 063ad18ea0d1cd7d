//! The benchmark's flags, as the user writes them.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser};

use super::{
    common::{
        BatchArgs, ClusterArgs, ControlArgs, HOUR, MAX_INT, OutputArgs, PlacementArgs, SecurityArgs,
        TransactionArgs, limit,
    },
    duration::{BareUnit, duration},
    openmessaging::FromFiles,
    readers::readers,
    values::{Accepts, OrOff, Parsed, choice, topic_name, whole, whole_or_off},
    verifier::{ClientArgs, MAX_BATCH_BYTES, MIN_BATCH_BYTES},
};
use crate::config::{BenchReaders, ObjectiveOn};

const ON: &[(&str, ObjectiveOn)] =
    &[("publish", ObjectiveOn::Publish), ("end-to-end", ObjectiveOn::EndToEnd)];
pub(super) const MAX_TOPICS: i128 = 10_000;

/// Write at a rate and read at the same time: throughput, latencies from the intended time on, and the proof that nothing was lost
#[derive(Debug, Parser)]
#[command(name = "bench", version, max_term_width = 110)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub result: ResultArgs,
    #[command(flatten)]
    pub records: RecordArgs,
    #[command(flatten)]
    pub batch: BatchArgs,
    #[command(flatten)]
    pub transaction: TransactionArgs,
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
    pub end: BenchEndArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// What files ask for that no flag can.
    #[arg(skip)]
    pub from_files: FromFiles,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadArgs {
    /// A workload of OpenMessaging Benchmark (YAML), as it is; flags have the last word
    #[arg(long, value_name = "FILE")]
    pub workload: Option<PathBuf>,
    /// A driver of OpenMessaging Benchmark's for Kafka (YAML), as it is; flags have the last word
    #[arg(long, value_name = "FILE")]
    pub driver: Option<PathBuf>,
    /// The topic; with --topics N: TOPIC-0 and so on. Created where it is missing
    #[arg(long, value_name = "TOPIC", default_value = "bench", value_parser = topic_name)]
    pub topic: String,
    /// How many topics
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<usize>(1, MAX_TOPICS))]
    pub topics: usize,
    /// Records a second for the whole run (50k, 1.5M), or value bytes (200MiB/s); max: as fast as acks come. With
    /// --find-rate the first rate that is tried
    #[arg(long, value_name = "RATE", default_value = "max", value_parser = rate)]
    pub rate: RateArg,
    /// Find the highest rate that holds --slo without a growing backlog
    #[arg(long)]
    pub find_rate: bool,
    /// Objective of --find-rate: percentile=latency, such as p99=20ms or p99.9=1s
    #[arg(long, value_name = "OBJECTIVE", value_parser = slo)]
    pub slo: Option<SloArg>,
    /// Latency that --slo speaks of: publish or end-to-end
    #[arg(long, value_name = "WHICH", default_value = "publish", value_parser = choice(ON))]
    pub slo_on: ObjectiveOn,
    /// Who reads: direct (each shard its partitions), so many consumer groups of so many members each, such as 2x4, or none, which
    /// proves nothing
    #[arg(long, value_name = "WHO", default_value = "direct", value_parser = readers)]
    pub readers: BenchReaders,
    /// How long to measure
    #[arg(long, value_name = "DURATION", default_value = "60s",
          value_parser = duration(BareUnit::Refused, Duration::from_secs(1), HOUR * 24 * 365))]
    pub duration: Duration,
    /// How long to run before that; left out of every figure
    #[arg(long, value_name = "DURATION", default_value = "10s",
          value_parser = duration(BareUnit::Refused, Duration::ZERO, HOUR * 24))]
    pub warmup: Duration,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Result")]
pub(super) struct ResultArgs {
    /// Write the result as JSON: OpenMessaging Benchmark's fields, and all that they lack
    // The name of the group below is taken.
    #[arg(long = "output", id = "result_file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Write the latencies of each second as an HdrHistogram interval log (µs; tags publish, delay, end-to-end)
    #[arg(long, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
    /// Write the result as a page for people: one file, with charts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Records")]
pub(super) struct RecordArgs {
    /// Value bytes
    #[arg(long = "msg_size", value_name = "BYTES", default_value = "16384",
          value_parser = whole::<usize>(0, MAX_BATCH_BYTES))]
    pub msg_size: usize,
    /// Largest record batch per partition
    #[arg(long = "batch_max_bytes", value_name = "BYTES", default_value = "1048576",
          value_parser = whole::<usize>(MIN_BATCH_BYTES, MAX_BATCH_BYTES))]
    pub batch_max_bytes: usize,
    /// Records in flight [default: 64 MiB of them, from 1024 to 16384]
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1, MAX_INT))]
    pub max_buffered_records: Option<usize>,
    /// Random bytes instead of printable ASCII; --compressible-payload wins
    #[arg(long)]
    pub produce_random_bytes: bool,
    /// Keys are key-{0..N-1} at random; negative: the record id
    #[arg(long, value_name = "N", default_value = "-1", value_parser = whole_or_off(1, "record ids as keys"))]
    pub key_set_cardinality: OrOff,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "When it ends")]
pub(super) struct BenchEndArgs {
    /// Exit with 0 only when all that was asked for was done; else with 1
    #[arg(long)]
    pub require_complete: bool,
    /// Count violations and go on to the end, instead of stopping at the first
    #[arg(long)]
    pub keep_going: bool,
    /// The whole run ends after so long, with exit code 3
    #[arg(long, value_name = "DURATION", value_parser = limit())]
    pub deadline: Option<Duration>,
    /// A broker that is away for longer ends the run, with exit code 3
    #[arg(long, value_name = "DURATION", value_parser = limit())]
    pub max_outage: Option<Duration>,
}

/// A rate as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum RateArg {
    /// As fast as acks come.
    Max,
    /// Records a second.
    Records(f64),
    /// Value bytes a second.
    Bytes(f64),
}

/// An objective as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SloArg {
    pub(super) words: String,
    pub(super) percentile: f64,
    pub(super) limit: Duration,
}

/// What may stand behind a number of records, and behind one of bytes.
const COUNTS: &[(&str, f64)] = &[("", 1.0), ("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9)];
const BYTES: &[(&str, f64)] = &[
    ("B", 1.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1_024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];

fn rate(word: &str) -> Parsed<RateArg> {
    if word == "max" {
        return Ok(RateArg::Max);
    }
    let refused = || {
        Accepts::new(
            "max, or a number above 0: records a second (500, 50k, 1.5M), or value bytes (200MiB/s, 1GB/s)",
        )
    };
    let (amount, is_per_second) = word.strip_suffix("/s").map_or((word, false), |amount| (amount, true));
    let end = amount.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(amount.len());
    let (digits, unit) = amount.split_at(end);
    let number: f64 = digits.parse().map_err(|_| refused())?;
    let of =
        |units: &[(&str, f64)]| units.iter().find(|(name, _)| *name == unit).map(|(_, size)| number * size);
    let rate = match (of(COUNTS), of(BYTES)) {
        (Some(records), _) => RateArg::Records(records),
        // A bare number of bytes is no rate.
        (None, Some(bytes)) if is_per_second => RateArg::Bytes(bytes),
        _ => return Err(refused()),
    };
    let (RateArg::Records(value) | RateArg::Bytes(value)) = rate else { return Ok(rate) };
    if value > 0.0 && value.is_finite() { Ok(rate) } else { Err(refused()) }
}

fn slo(word: &str) -> Parsed<SloArg> {
    let refused = || {
        Accepts::new("a percentile and the latency that it may have, such as p50=5ms, p99=20ms or p99.9=1s")
    };
    let (percentile, limit) =
        word.strip_prefix('p').and_then(|rest| rest.split_once('=')).ok_or_else(refused)?;
    let percentile: f64 = percentile.parse().map_err(|_| refused())?;
    let limit = duration(BareUnit::Refused, Duration::from_micros(1), HOUR)(limit).map_err(|_| refused())?;
    if percentile > 0.0 && percentile <= 100.0 {
        Ok(SloArg { words: word.to_owned(), percentile, limit })
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_records_or_of_bytes() {
        let good = [
            ("max", RateArg::Max),
            ("1", RateArg::Records(1.0)),
            ("0.5", RateArg::Records(0.5)),
            ("50k", RateArg::Records(50_000.0)),
            ("1.5M/s", RateArg::Records(1_500_000.0)),
            ("200MiB/s", RateArg::Bytes(209_715_200.0)),
            ("1GB/s", RateArg::Bytes(1e9)),
            ("10kB/s", RateArg::Bytes(1e4)),
        ];
        for (word, expected) in good {
            assert_eq!(rate(word), Ok(expected), "{word}");
        }
        for bad in
            ["", "0", "0k", "0MiB/s", "-1", "1e3", "k", "5 k", "200MiB", "1.2.3", "nan", "inf", "5x", "max/s"]
        {
            assert!(
                rate(bad).unwrap_err().to_string().starts_with("accepts max, or a number above 0"),
                "{bad}"
            );
        }
    }

    #[test]
    fn objectives_are_percentiles() {
        let of = |word: &str| slo(word).map(|slo| (slo.percentile, slo.limit));
        assert_eq!(of("p99=20ms"), Ok((99.0, Duration::from_millis(20))));
        assert_eq!(of("p99.9=1s"), Ok((99.9, Duration::from_secs(1))));
        for bad in ["", "p99", "99=20ms", "p0=1s", "p101=1s", "p99=20", "p99=0", "pmax=1s"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
