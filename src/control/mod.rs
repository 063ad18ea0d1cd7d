//! The control thread: everything that is not the data path.
//!
//! One thread with a small event loop answers the control port, takes signals,
//! merges what the shards report, writes the ledger, and shows progress. Shards
//! never wait for it.

mod brokers;
mod guard;
mod http;
mod ledger_writer;
mod limits;
mod listen;
mod live;
mod message;
mod metrics;
mod progress;
mod server;
mod startup;
mod watch;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use thiserror::Error;

pub(crate) use message::Message;
pub(crate) use startup::StartWait;

use crate::{
    app::{Shared, WatchedTopics, ending::Ending, error::RunError, exit},
    config::CommonConfig,
    findings::{Awaited, Waiting},
    kafka::Observer,
    ledger::LedgerError,
};

/// Why there is no control thread.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    /// The port.
    #[error("the control port {address} cannot be used: {source}: choose another with --remote-port")]
    Port {
        /// Address and port.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The thread.
    #[error("the control thread cannot be started: {0}")]
    Thread(io::Error),
}

impl From<ControlError> for RunError {
    fn from(error: ControlError) -> Self {
        Self::Control(error.to_string())
    }
}

/// The control thread, while it runs.
pub(crate) struct Control {
    /// What it shares.
    pub shared: Arc<Shared>,
    sender: Sender<Message>,
    thread: JoinHandle<()>,
}

/// The control port that harnesses know.
const DEFAULT_PORT: u16 = 7884;

/// How long work that was asked to end by `/shutdown` may go on of its own accord: a run that is nearly done is not cut
/// off, and where the brokers answer the process is gone within a second.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(300);

/// Between two looks whether the ledger has been written.
const LEDGER_PAUSE: Duration = Duration::from_secs(1);

/// How long the rest may take once the work was told to stop, before the process
/// ends without it: a client whose brokers hang can block for ever.
const STOP_LIMIT: Duration = Duration::from_secs(6);

impl Control {
    /// Binds the port and starts the thread.
    ///
    /// # Errors
    /// The port cannot be bound, or there is no thread to be had.
    pub(crate) fn start(ending: &Arc<Ending>) -> Result<Self, ControlError> {
        let config = ending.asked.common();
        let listener = bind(config)?;
        let shared = Arc::new(Shared::new(ending, listen::MAX_CONNECTIONS));
        ending.watch(&shared);
        let (sender, receiver) = message::queue();
        let loop_shared = shared.clone();
        let (ready, started) = bounded(1);
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || server::run(loop_shared, listener, receiver, &ready))
            .map_err(ControlError::Thread)?;
        // Signals count from here on: whoever sees this process run may send one.
        match started.recv() {
            Ok(Ok(())) => Ok(Self { shared, sender, thread }),
            Ok(Err(error)) => Err(ControlError::Thread(error)),
            Err(_) => Err(ControlError::Thread(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Has the brokers watched from now on, and these topics with the partitions that the run knows of.
    pub(crate) fn watch(
        &self,
        observer: Arc<Observer>,
        topics: &[(String, usize)],
        metadata_max_age: Duration,
    ) {
        // Once for each run: nothing is there yet.
        let _ = self.shared.watched.set(WatchedTopics { topics: topics.to_vec(), metadata_max_age });
        let _ = self.shared.observer.set(observer);
    }

    /// The way for messages.
    #[must_use]
    pub(crate) fn sender(&self) -> Sender<Message> {
        self.sender.clone()
    }

    /// Sends a message that must arrive; waits for room.
    pub(crate) fn send(&self, message: Message) {
        // The thread ends only after `Finish`, which `finish` sends last.
        let _ = self.sender.send(message);
    }

    /// Has everything written that the shards have reported.
    ///
    /// # Errors
    /// The ledger could not be written.
    pub(crate) fn flush_ledger(&self) -> Result<(), LedgerError> {
        let (answer, answered) = bounded(1);
        self.send(Message::Flush(answer));
        let mut waiting = Waiting::new("the run");
        loop {
            match answered.recv_timeout(LEDGER_PAUSE) {
                Ok(result) => {
                    waiting.over(&self.shared.waits);
                    return result;
                }
                // No answer: no ledger was open.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => waiting.still(&self.shared.waits, || Awaited {
                    what: "the ledger to be written".to_owned(),
                    from: "the file system of its folder, which does not come to an end".to_owned(),
                    remedy: "look at that disk".to_owned(),
                }),
            }
        }
    }

    /// Stays, with all work done, until `/shutdown`, a signal or the deadline.
    pub(crate) fn stay(&self) {
        if !self.shared.lifecycle.shutdown_requested() {
            tracing::info!("all work is done: waiting for /shutdown on the control port, or for a signal");
        }
        self.shared.lifecycle.wait_for_shutdown();
    }

    /// Ends the control thread.
    pub(crate) fn finish(self) {
        self.send(Message::Finish);
        // A panic there has ended the process.
        let _ = self.thread.join();
    }
}

/// Listens on the control port. Where nobody has named it, and nobody else is to talk to this process, any other one is as
/// good as one that is taken.
fn bind(config: &CommonConfig) -> Result<TcpListener, ControlError> {
    let address = SocketAddr::new(config.bind, config.remote_port.unwrap_or(DEFAULT_PORT));
    let failed = |source| ControlError::Port { address, source };
    let listener = match TcpListener::bind(address) {
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse && config.remote_port.is_none() && !config.remote =>
        {
            tracing::warn!(
                "the control port {address} is taken: another one is used; name one with --remote-port"
            );
            TcpListener::bind(SocketAddr::new(config.bind, 0)).map_err(failed)?
        }
        bound => bound.map_err(failed)?,
    };
    tracing::info!("control port: {}", listener.local_addr().map_err(failed)?);
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Lets the process exit; ends the work if it does not end by itself soon.
async fn shut_down(shared: Arc<Shared>) {
    shared.lifecycle.request_shutdown();
    let mut waited = Duration::ZERO;
    while waited < SHUTDOWN_GRACE && !shared.lifecycle.work_is_done() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        waited += Duration::from_millis(50);
    }
    stop(&shared, "/shutdown").await;
}

/// Ends the work, and the process if that takes too long.
async fn stop(shared: &Shared, by: &str) {
    shared.lifecycle.request_shutdown();
    shared.lifecycle.interrupt(by);
    force_end_after_limit(shared).await;
}

/// Ends the process if the work, which was told to stop, takes too long to.
async fn force_end_after_limit(shared: &Shared) {
    tokio::time::sleep(STOP_LIMIT).await;
    tracing::error!(
        "the work did not end in time: a client hangs, or the ledger's disk; the process ends without it, and the ledger \
         has what was written until now"
    );
    end_at_once(shared);
}

/// Ends the process with what is known.
fn end_at_once(shared: &Shared) -> ! {
    if let Some((_, reason)) = shared.lifecycle.halt().filter(|_| !shared.lifecycle.work_is_done()) {
        tracing::error!("{reason}");
    }
    exit::at_once(shared.ending.close_in_time().into());
}
