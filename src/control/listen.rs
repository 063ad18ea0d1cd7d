//! Serving the control port within bounds: however many connect, and however slowly
//! they talk, the run does not notice.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Connections at a time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 128;
/// A request's head must be here by then, and its size stays below this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);
const HEAD_MAX_BYTES: usize = 16 << 10;
/// A connection that goes on asking is let go after this, so that others get their turn.
const CONNECTION_LIMIT: Duration = Duration::from_secs(30);
/// After a failed accept (no descriptors left), instead of trying in circles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the runtime ends.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = free.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    // A slow or broken client is its own affair.
                    let _ = timeout(CONNECTION_LIMIT, answer(stream, router)).await;
                    drop(permit);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
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
