//! Waking a shard when its client has something for it.
//!
//! librdkafka writes a byte to one end of a socket pair when a queue that was
//! empty is no longer; the shard awaits the other end. Wake-ups can be lost (the
//! byte is written once for each time the queue was read), so that every wait
//! also ends by itself.

use std::{cell::Cell, io, os::fd::AsRawFd, os::unix::net::UnixStream as StdStream, time::Duration};

use futures_lite::{AsyncReadExt, FutureExt};
use glommio::{net::UnixStream, timer::sleep};
use rdkafka::bindings as rdk;
use std::os::fd::{FromRawFd, IntoRawFd};

use super::wake_mux::Notifier;
use crate::{kafka::ClientError, runtime::descriptors};

/// The executor's end, and the client's.
pub(crate) struct QueueWake {
    readable: Cell<Option<UnixStream>>,
    writable: StdStream,
}

impl QueueWake {
    /// Must be called on the executor that will wait.
    pub(crate) fn new() -> Result<Self, ClientError> {
        let failed = |error: io::Error| ClientError::Wake(descriptors::explained(&error));
        let (ours, theirs) = StdStream::pair().map_err(failed)?;
        // A full socket must not block librdkafka's thread: one byte is as good as many.
        theirs.set_nonblocking(true).map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        // SAFETY: the descriptor is open, a stream socket, and ours alone to give away.
        let readable = unsafe { UnixStream::from_raw_fd(ours.into_raw_fd()) };
        Ok(Self { readable: Cell::new(Some(readable)), writable: theirs })
    }

    /// Has this queue wake the executor from now on.
    ///
    /// The queue must be disabled ([`Self::detach`]) or destroyed before this value goes.
    pub(crate) fn attach(&self, queue: *mut rdk::rd_kafka_queue_t) {
        static BYTE: u8 = 1;
        // SAFETY: the queue is alive (the caller holds it), the descriptor stays open
        // for as long as `self`, and librdkafka copies the payload at once.
        unsafe {
            rdk::rd_kafka_queue_io_event_enable(
                queue,
                self.writable.as_raw_fd(),
                (&raw const BYTE).cast(),
                size_of_val(&BYTE),
            );
        }
    }

    /// Wakes the executor from any thread.
    pub(crate) fn notifier(&self) -> Result<Notifier, ClientError> {
        let socket =
            self.writable.try_clone().map_err(|error| ClientError::Wake(descriptors::explained(&error)))?;
        Ok(Notifier::new(socket, 1))
    }

    /// Ends the wake-ups of this queue, so that the descriptor may be closed.
    pub(crate) fn detach(queue: *mut rdk::rd_kafka_queue_t) {
        // SAFETY: the queue is alive; a descriptor of -1 disables the event.
        unsafe { rdk::rd_kafka_queue_io_event_enable(queue, -1, std::ptr::null(), 0) };
    }

    /// Waits until the queue has something, but not longer than `limit`.
    ///
    /// One task waits at a time: a second one would find the socket taken and only sleep.
    pub(crate) async fn wait(&self, limit: Duration) {
        // Taken for the time of the wait: no borrow is held while others run.
        let Some(mut readable) = self.readable.take() else {
            sleep(limit).await;
            return;
        };
        let mut bytes = [0; 64];
        let woken = async {
            if readable.read(&mut bytes).await.is_err() {
                // Cannot happen while both ends are open; if it does, the timer keeps the shard alive.
                std::future::pending::<()>().await;
            }
        };
        let time_is_up = async {
            sleep(limit).await;
        };
        woken.or(time_is_up).await;
        self.readable.set(Some(readable));
    }
}
