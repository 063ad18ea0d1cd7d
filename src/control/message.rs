//! What shards and the main thread tell the control thread.

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::{
    ledger::{Entry, LatestValues, Ledger, LedgerError, LedgerStore},
    stats::{LatencyHistogram, LoopTimes},
};

/// One message. Shards send a few each second, however many records they move.
#[derive(Debug)]
pub(crate) enum Message {
    /// From now on acks belong to this ledger.
    OpenLedger {
        /// Its place.
        store: LedgerStore,
        /// What it holds already.
        ledger: Ledger,
        /// The last values of each key, if they are to be written down.
        latest: Option<LatestValues>,
    },
    /// What a shard's producer has learnt since it said so last.
    Produced {
        /// What belongs into the ledger, in this order.
        entries: Vec<Entry>,
        /// How long acks took.
        latency: Option<LatencyHistogram>,
        /// How long they took, and what was before that, in an open loop.
        times: Option<Box<LoopTimes>>,
    },
    /// How long records took until a reader's verdict.
    EndToEnd(Box<LatencyHistogram>),
    /// Latencies of a repeater's worker.
    EchoLatency {
        /// Its number.
        worker: usize,
        /// From sending to the ack.
        ack: Option<LatencyHistogram>,
        /// From sending to consuming.
        e2e: Option<LatencyHistogram>,
    },
    /// Write what is known, and say how that went.
    Flush(Sender<Result<(), LedgerError>>),
    /// The run is over: answer, and end.
    Finish,
}

/// Messages that may wait. A shard that finds the queue full keeps what it has and tries again.
const QUEUE: usize = 1024;

/// The queue from all threads to the control thread.
#[must_use]
pub(super) fn queue() -> (Sender<Message>, Receiver<Message>) {
    bounded(QUEUE)
}
