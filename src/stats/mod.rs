//! What was done, counted where it is done and added up where it is shown.
//!
//! A shard writes its own counters and nobody else does; the control thread reads
//! all of them. Nothing here takes a lock on the data path.

mod board;
mod counters;
mod coverage;
mod latency;
mod repeater;
mod status;

pub use board::{Board, ProducerBoard, ProducerTotals, ReaderBoard, ReaderKind, ReaderTotals};
pub use counters::{Counter, Marks, ProducerStats, ProducerWants, ReaderStats, Wants};
pub use coverage::{Coverage, CoverageTotals};
pub use latency::{LatencyHistogram, LatencyRecorder, LatencySummary};
pub use repeater::{Gauge, GroupView, Latencies, RepeaterBoard, RepeaterStatus, WorkerStats, WorkerTotals};
pub use status::{ProducerStatus, ReaderStatus, WorkerStatus};
