//! What was done, counted where it is done and added up where it is shown.
//!
//! A shard writes its own counters and nobody else does; the control thread reads
//! all of them. Nothing here takes a lock on the data path.

mod bench;
mod board;
mod counted;
mod counters;
mod counts;
mod coverage;
mod latency;
mod loop_times;
mod other_runs;
mod repeater;
mod status;
mod topics;

pub(crate) use bench::{BenchBoard, BenchTimes};
pub(crate) use board::{Board, ProducerBoard, ReaderBoard, ReaderKind, SlicesRead};
pub(crate) use counters::{
    Counter, Gauge, Marks, ProducerStats, ProducerTotals, ProducerWants, ReaderStats, ReaderTotals,
};
pub(crate) use counts::{Counts, CountsInTime, CountsWatch};
pub(crate) use coverage::{Coverage, CoverageTotals};
pub(crate) use latency::{LatencyBuckets, LatencyHistogram, LatencyRecorder, LatencySummary};
pub(crate) use loop_times::LoopTimes;
pub(crate) use other_runs::{Beyond, OtherRuns};
pub(crate) use repeater::{GroupView, RepeaterBoard, WorkerStats, WorkerTotals};
pub(crate) use status::{ProducerStatus, ReaderStatus, WorkerStatus};
pub(crate) use topics::Topics;
