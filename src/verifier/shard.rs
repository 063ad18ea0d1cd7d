//! What every worker on a shard has at hand, and how work reaches it.

use std::{sync::Arc, time::Duration};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use thiserror::Error;

use crate::{
    app::Shared,
    config::ClientKind,
    control::Message,
    findings::anomaly::Violation,
    kafka::{ClientError, ClientSettings, CommittedPlaces, Librdkafka, MemberSettings, wire::Wire},
    partitions::Slice,
    runtime::cores::{cpu_set::CpuSet, placement::ShardPlace},
    verifier::read::stall::USUAL_LIMIT,
};

#[cfg(test)]
use crate::config::VerifierConfig;

/// Why a worker ended before its work was done.
#[derive(Clone, Debug, Error)]
pub(crate) enum Halt {
    /// The data broke its promise.
    #[error("{0}")]
    Violation(Box<Violation>),
    /// The work could not be done.
    #[error("{0}")]
    Failed(String),
}

impl Halt {
    /// How a process ends that ends with this.
    #[must_use]
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Violation(_) => 1,
            Self::Failed(_) => 3,
        }
    }
}

impl From<ClientError> for Halt {
    fn from(error: ClientError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a worker on a shard needs to know of its surroundings.
#[derive(Clone)]
pub(crate) struct ShardContext {
    /// Where it runs.
    pub place: ShardPlace,
    /// What the control thread shares.
    pub shared: Arc<Shared>,
    /// The way to the control thread.
    pub sender: Sender<Message>,
    /// The cluster.
    pub client: ClientSettings,
    /// Who speaks to it.
    pub kind: ClientKind,
    /// The topic under test.
    pub topic: Arc<str>,
    /// The part of it that the process works on.
    pub slice: Option<Slice>,
    /// When a worker that makes no progress counts as stalled; `None`: never.
    pub stall_after: Option<Duration>,
}

impl ShardContext {
    /// Whether work must end now.
    #[must_use]
    pub(crate) fn stop_requested(&self) -> bool {
        self.shared.lifecycle.stop_requested()
    }

    /// Passes an outcome on; one that is bad ends the work of all shards.
    pub(crate) fn stop_all_on_halt(&self, outcome: Result<(), Halt>) -> Result<(), Halt> {
        if let Err(halt) = &outcome {
            self.shared.lifecycle.note_halt(halt.exit_code(), || halt.to_string());
            self.shared.lifecycle.request_stop();
        }
        outcome
    }

    /// Makes clients that stand on librdkafka.
    #[must_use]
    pub(crate) fn librdkafka(&self) -> Librdkafka {
        Librdkafka::new(self.client.clone(), self.client_cpus())
    }

    /// Starts a client that looks at the committed offsets of a group; does not wait for brokers.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(crate) fn committed_places(&self, settings: &MemberSettings) -> Result<CommittedPlaces, ClientError> {
        self.librdkafka().committed_places(settings)
    }

    /// Makes clients of our own.
    #[must_use]
    pub(crate) fn wire(&self) -> Wire {
        Wire::new(self.client.clone())
    }

    /// How long nothing may come of a partition that has something before its client looks into that: a stall is to be the
    /// broker's, and not a client's that sleeps.
    #[must_use]
    pub(crate) fn half_time(&self) -> Duration {
        self.stall_after.unwrap_or(USUAL_LIMIT) / 2
    }

    /// Where the client library's threads for this shard may run.
    #[must_use]
    pub(crate) fn client_cpus(&self) -> CpuSet {
        self.place.client_cpus.clone()
    }
}

#[cfg(test)]
impl ShardContext {
    /// The only shard of a verifier with these flags, which are its.
    pub(crate) fn played(flags: &str) -> (Self, Box<VerifierConfig>, Receiver<Message>) {
        Self::alone(flags).expect("flags of a verifier")
    }
}

/// Passes for a reader on a shard, handed out one by one by the main thread.
#[derive(Clone)]
pub(crate) struct PassQueue<P> {
    passes: Receiver<P>,
    outcomes: Sender<Result<(), Halt>>,
}

/// The main thread's side of a [`PassQueue`].
pub(crate) struct Feeder<P> {
    passes: Sender<P>,
    outcomes: Receiver<Result<(), Halt>>,
}

/// A queue of passes and its feeder.
#[must_use]
pub(crate) fn pass_queue<P>() -> (Feeder<P>, PassQueue<P>) {
    let (pass_sender, pass_receiver) = bounded(1);
    let (outcome_sender, outcome_receiver) = bounded(1);
    let feeder = Feeder { passes: pass_sender, outcomes: outcome_receiver };
    (feeder, PassQueue { passes: pass_receiver, outcomes: outcome_sender })
}

impl<P> PassQueue<P> {
    /// The next pass; `None` when there is none any more.
    pub(crate) async fn next(&self) -> Option<P> {
        loop {
            match self.passes.try_recv() {
                Ok(pass) => return Some(pass),
                Err(TryRecvError::Disconnected) => return None,
                // Only between passes, for as long as the main thread asks for offsets.
                Err(TryRecvError::Empty) => glommio::timer::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Says how the pass went.
    pub(crate) fn finish(&self, outcome: Result<(), Halt>) {
        // One outcome for each pass: there is room.
        let _ = self.outcomes.try_send(outcome);
    }
}

impl<P> Feeder<P> {
    /// Starts a pass.
    pub(crate) fn start(&self, pass: P) {
        let _ = self.passes.send(pass);
    }

    /// Waits until it is over.
    ///
    /// # Errors
    /// What ended it early.
    pub(crate) fn wait(&self) -> Result<(), Halt> {
        // A shard that ends without an outcome has panicked, which ends the process.
        self.outcomes.recv().unwrap_or(Ok(()))
    }

    /// The same, but not for longer than this.
    pub(crate) fn wait_for(&self, limit: Duration) -> Option<Result<(), Halt>> {
        match self.outcomes.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => None,
            outcome => Some(outcome.unwrap_or(Ok(()))),
        }
    }

    /// Whether it is over.
    #[must_use]
    pub(crate) fn is_over(&self) -> bool {
        !self.outcomes.is_empty()
    }
}
