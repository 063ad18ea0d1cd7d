//! Serving the control port within bounds: however many connect, and however slowly
//! they talk, the run does not notice.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{sleep, timeout},
};

/// Connections at a time. One more, and the oldest goes: whoever has something to ask is answered within
/// milliseconds, so the oldest of so many are those that hold a connection and ask nothing. A bound that made
/// newcomers wait instead would be a door that anybody could hold shut.
pub(super) const MAX_CONNECTIONS: usize = 128;
/// A request's head must be here by then, and its size stays below this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);
const HEAD_MAX_BYTES: usize = 16 << 10;
/// A connection that goes on asking is let go after this, so that others get their turn.
const CONNECTION_LIMIT: Duration = Duration::from_secs(30);
/// After a failed accept (no descriptors left), instead of trying in circles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the runtime ends.
///
/// `limit`: connections at a time. Descriptors that ledger and clients need are not the port's to take.
pub(super) async fn serve(listener: TcpListener, router: Router, limit: Arc<AtomicUsize>) {
    let mut open = VecDeque::with_capacity(MAX_CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                make_room(&mut open, limit.load(Relaxed));
                // A slow or broken client is its own affair.
                let connection = timeout(CONNECTION_LIMIT, answer(stream, router.clone()));
                open.push_back(tokio::spawn(connection).abort_handle());
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn make_room(open: &mut VecDeque<AbortHandle>, limit: usize) {
    open.retain(|connection| !connection.is_finished());
    while open.len() >= limit.max(1)
        && let Some(oldest) = open.pop_front()
    {
        oldest.abort();
    }
}

async fn answer(stream: TcpStream, router: Router) {
    // Each answer is one small write.
    let _ = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let _ = connection.await;
}
