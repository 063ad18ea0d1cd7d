//! What the threads of a run share.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicUsize},
    time::Duration,
};

use super::{ending::Ending, lifecycle::Lifecycle};
use crate::{
    findings::{Causes, Stalls, Waits, gaps::Gaps, violations::Violations},
    kafka::Observer,
    ledger::undecided::UndecidedRecords,
    runtime::heartbeat::Heartbeats,
    stats::{BenchBoard, Board, RepeaterBoard},
};

/// What the threads of a run share: what has been found, how far it has come, and how it is to end.
pub(crate) struct Shared {
    /// How far the run has come.
    pub lifecycle: Lifecycle,
    /// The workers, from the moment that they exist.
    pub board: OnceLock<Board>,
    /// The repeater's workers, from the moment that they exist.
    pub repeater: OnceLock<RepeaterBoard>,
    /// What a benchmark measures, from the moment that it begins.
    pub bench: OnceLock<BenchBoard>,
    /// What a benchmark has to say behind its verdict, from the moment that it has measured.
    pub bench_summary: OnceLock<String>,
    /// What was found and did not end the run.
    pub violations: Violations,
    /// Records of which only a later look at the ledger tells what they prove.
    pub undecided: UndecidedRecords,
    /// Offsets between records that nothing explains.
    pub gaps: Gaps,
    /// Who stood still although the cluster answered.
    pub stalls: Stalls,
    /// What was waited for, and for how long.
    pub waits: Waits,
    /// Why things failed.
    pub causes: Causes,
    /// How the run is to end.
    pub ending: Arc<Ending>,
    /// Connections that the control port may have at a time.
    pub connections: Arc<AtomicUsize>,
    /// Whether the shards come round.
    pub heartbeats: Arc<Heartbeats>,
    /// How many shards there are; 0 until they are placed.
    pub shards: AtomicUsize,
    /// Brokers that are up, and that are known; zeros until somebody has looked.
    pub brokers: BrokerCount,
    /// The brokers' watcher, from the moment that it looks.
    pub observer: OnceLock<Arc<Observer>>,
    /// The topics that are watched, from the moment that there is an observer.
    pub(crate) watched: OnceLock<WatchedTopics>,
}

/// How many brokers there are.
#[derive(Debug, Default)]
pub(crate) struct BrokerCount {
    /// Connected.
    pub up: AtomicUsize,
    /// Known.
    pub known: AtomicUsize,
}

/// Topics, each with the partitions that the run knows of.
#[derive(Debug)]
pub(crate) struct WatchedTopics {
    pub(crate) topics: Vec<(String, usize)>,
    pub(crate) metadata_max_age: Duration,
}

impl Shared {
    /// That of a run which has not begun, whose control port may have so many connections.
    pub(crate) fn new(ending: &Arc<Ending>, connections: usize) -> Self {
        Self {
            lifecycle: Lifecycle::default(),
            board: OnceLock::new(),
            repeater: OnceLock::new(),
            bench: OnceLock::new(),
            bench_summary: OnceLock::new(),
            violations: Violations::default(),
            undecided: UndecidedRecords::default(),
            gaps: Gaps::default(),
            stalls: Stalls::default(),
            waits: Waits::default(),
            causes: Causes::default(),
            ending: ending.clone(),
            connections: Arc::new(AtomicUsize::new(connections)),
            heartbeats: Arc::default(),
            shards: AtomicUsize::new(0),
            brokers: BrokerCount::default(),
            observer: OnceLock::new(),
            watched: OnceLock::new(),
        }
    }

    /// The status array, one object for each worker; `None` until the workers exist.
    #[must_use]
    pub(crate) fn status(&self) -> Option<serde_json::Value> {
        // Numbers, texts and maps with numbers for keys: nothing in it can fail to become JSON.
        if let Some(board) = self.repeater.get() {
            return serde_json::to_value(board.status()).ok();
        }
        self.board.get()?.status(self.ending.asked.common().status_schema)
    }

    /// Grows with each record that was acked or read; 0 until the workers exist.
    pub(crate) fn work_done(&self) -> u64 {
        if let Some(board) = self.repeater.get() {
            return board.work_done();
        }
        self.board.get().map_or(0, Board::work_done)
    }
}
