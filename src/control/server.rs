//! The control thread's event loop.

use std::{
    io,
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, Sender};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Message, brokers::Brokers, http, ledger_writer::LedgerWriter, limits, listen, progress::Progress, watch,
};
use crate::{
    app::{Shared, ending::Asked, logging, trogdor},
    config::LogFormat,
    runtime::heartbeat::{LISTEN_EVERY, Listener},
    terminal,
};

/// How often messages are taken and things are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Signals that come within this time are one.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

/// How often Trogdor's agent is told: it keeps the last word, and its coordinator asks for that when somebody asks it.
const TELL_AGENT_EVERY: Duration = Duration::from_secs(2);

/// Runs until [`Message::Finish`] comes.
pub(super) fn run(
    shared: Arc<Shared>,
    listener: TcpListener,
    messages: Receiver<Message>,
    ready: &Sender<io::Result<()>>,
) {
    let runtime = runtime::Builder::new_current_thread().thread_name("control-io").enable_all().build();
    let result = runtime.map(|runtime| {
        runtime.block_on(async {
            match start(&shared, listener) {
                Ok(()) => {
                    let _ = ready.send(Ok(()));
                    serve(shared, messages).await;
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        });
        // A ledger write that hangs on its disk must not hold up the exit.
        runtime.shutdown_timeout(Duration::from_millis(100));
    });
    if let Err(error) = result {
        let _ = ready.send(Err(error));
    }
}

fn start(shared: &Arc<Shared>, listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = http::router(shared.clone());
    tokio::spawn(listen::serve(listener, router, shared.connections.clone()));
    tokio::spawn(watch::run(shared.clone()));
    tokio::spawn(listen_to_shards(shared.clone()));
    // Installed even where a shell has set them to be ignored (`nohup … &`).
    let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // But under `nohup` a terminal may go.
    let hangup = if limits::hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    tokio::spawn(watch_signals(shared.clone(), interrupt, terminate, hangup));
    if let Some(deadline) = shared.ending.asked.common().limits.deadline {
        tokio::spawn(limits::keep_deadline(shared.clone(), deadline));
    }
    if shared.ending.asked.common().log_format == LogFormat::Trogdor {
        tokio::spawn(tell_agent(shared.clone()));
    }
    Ok(())
}

/// Tells Trogdor's agent how the run is doing, until its end is told.
async fn tell_agent(shared: Arc<Shared>) {
    loop {
        sleep(TELL_AGENT_EVERY).await;
        if shared.lifecycle.work_is_done() {
            return;
        }
        logging::tell_agent(&trogdor::Line::of(&shared.ending));
    }
}

async fn watch_signals(
    shared: Arc<Shared>,
    mut interrupt: Signal,
    mut terminate: Signal,
    mut hangup: Option<Signal>,
) {
    let mut first: Option<Instant> = None;
    loop {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            () = received(&mut hangup) => "SIGHUP",
        };
        if let Some(first) = first {
            // `timeout`, for instance, sends its signal to the process and to its group.
            if first.elapsed() < ONE_SIGNAL {
                continue;
            }
            tracing::warn!(
                "{name} again: ending at once; what was acked until a moment ago is in the ledger"
            );
            shared.lifecycle.fail(format!("{name} came a second time: ended at once"));
            super::end_at_once(&shared);
        }
        tracing::info!("{name}: ending the run; a second signal ends the process at once");
        first = Some(Instant::now());
        let shared = shared.clone();
        tokio::spawn(async move { super::stop(&shared, name).await });
    }
}

/// Waits for a signal, for ever where it is not listened for.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Names shards that are held up, and wakes those that sleep for too long.
async fn listen_to_shards(shared: Arc<Shared>) {
    let mut listener = Listener::default();
    loop {
        sleep(LISTEN_EVERY).await;
        for word in listener.look(&shared.heartbeats, Instant::now()) {
            tracing::warn!("{word}");
        }
    }
}

async fn serve(shared: Arc<Shared>, messages: Receiver<Message>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut writer, mut brokers) = (None, Brokers::default());
    let mut progress = Progress::new(terminal::progress_mode(shared.ending.asked.common()));
    loop {
        ticks.tick().await;
        while let Ok(message) = messages.try_recv() {
            if matches!(message, Message::Finish) {
                return;
            }
            take(&shared, &mut writer, message).await;
        }
        if let Some(writer) = &mut writer
            && let Err(error) = writer.tick(shared.lifecycle.stop_requested()).await
        {
            shared.lifecycle.fail(error.to_string());
        }
        brokers.tell(&shared);
        shared.lifecycle.look_at_time(Instant::now());
        let time = || shared.lifecycle.phase_time();
        // A benchmark shows its own.
        if let Some(board) = shared.board.get()
            && !matches!(shared.ending.asked, Asked::Bench(_))
        {
            progress.show(board, time);
        }
        if let Some(board) = shared.repeater.get() {
            progress.show_repeater(board, time);
        }
    }
}

async fn take(shared: &Shared, writer: &mut Option<LedgerWriter>, message: Message) {
    match (message, writer) {
        (Message::OpenLedger { store, ledger, latest }, writer) => {
            *writer = Some(LedgerWriter::new(store, ledger, latest));
        }
        (Message::Produced { entries, latency, .. }, writer) => {
            let producer = shared.board.get().and_then(|board| board.producer.as_ref());
            if let (Some(producer), Some(latency)) = (producer, latency) {
                producer.latency().merge(&latency);
            }
            // Without a ledger there is nothing to keep.
            if let Some(writer) = writer {
                writer.enter(entries);
            }
        }
        (Message::Flush(answer), Some(writer)) => writer.flush(&answer).await,
        (Message::EchoLatency { worker, ack, e2e }, _) => {
            if let Some(board) = shared.repeater.get() {
                board.merge(worker, ack.as_ref(), e2e.as_ref());
            }
        }
        // Without a ledger a dropped `Flush` answers by that.
        (Message::Flush(_) | Message::Finish | Message::EndToEnd(_), _) => {}
    }
}
