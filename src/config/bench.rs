//! What a benchmark is to do.

use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use super::VerifierConfig;

/// How fast records are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) enum BenchRate {
    /// As fast as acks come.
    Max,
    /// So many a second, above 0, whatever becomes of them.
    RecordsPerS(f64),
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum BenchReaders {
    /// The shards read the partitions that they write to.
    Direct,
    /// Nobody.
    None,
    /// Consumer groups, each of which reads all.
    Groups {
        /// How many.
        groups: NonZeroUsize,
        /// Of each.
        members: NonZeroUsize,
    },
}

impl BenchReaders {
    /// How often each record is read.
    #[must_use]
    pub(crate) fn readings(self) -> usize {
        match self {
            Self::Direct => 1,
            Self::None => 0,
            Self::Groups { groups, .. } => groups.get(),
        }
    }
}

impl fmt::Display for BenchReaders {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => out.write_str("direct"),
            Self::None => out.write_str("none"),
            Self::Groups { groups, members } => write!(out, "{groups}x{members}"),
        }
    }
}

/// Which latency an objective speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) enum ObjectiveOn {
    /// From the intended time to the ack.
    #[default]
    Publish,
    /// From the intended time to a reader's verdict.
    EndToEnd,
}

impl fmt::Display for ObjectiveOn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Publish => "publish",
            Self::EndToEnd => "end-to-end",
        })
    }
}

/// A latency that a rate must hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Objective {
    /// As it was given, such as `p99=20ms`.
    pub words: String,
    /// Of a hundred records, so many may not take longer: above 0, up to 100.
    pub percentile: f64,
    /// Than this.
    pub limit: Duration,
    /// From where to where.
    pub on: ObjectiveOn,
}

/// What readers are to have before them, before they begin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Backlog {
    /// Value bytes that were acked and are not read, of all readers together.
    pub bytes: u64,
    /// The part of it, 0 to 1, that must be read for it to count as drained.
    pub drain_ratio: f64,
}

/// The benchmark's run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BenchConfig {
    /// What it has in common with a verifier that produces, and reads what it has produced: its topic is the first.
    pub verifier: VerifierConfig,
    /// The topics, at least one.
    pub topics: Vec<String>,
    /// How fast; where a rate is looked for, the first that is tried.
    pub rate: BenchRate,
    /// Look for the highest rate that holds this.
    pub find: Option<Objective>,
    /// Who reads.
    pub readers: BenchReaders,
    /// How long is measured.
    pub duration: Duration,
    /// How long before that.
    pub warmup: Duration,
    /// Readers pause for so much, and have to catch up with it in the measured time.
    pub backlog: Option<Backlog>,
    /// The workload's name in its file.
    pub workload: Option<String>,
    /// The driver's name in its file.
    pub driver: Option<String>,
    /// Where the result goes; `None`: nowhere.
    pub output: Option<PathBuf>,
    /// Where the latencies of each second go, as an interval log of `HdrHistogram`.
    pub hdr: Option<PathBuf>,
    /// Where the result goes as a page for people.
    pub html: Option<PathBuf>,
}

impl BenchConfig {
    /// The files that it is to write, by the flags that name them.
    #[must_use]
    pub(crate) fn outputs(&self) -> [(&'static str, Option<&Path>); 4] {
        [
            ("output", self.output.as_deref()),
            ("hdr", self.hdr.as_deref()),
            ("html", self.html.as_deref()),
            ("report", self.verifier.common.report.as_deref()),
        ]
    }
}
