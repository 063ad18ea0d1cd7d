//! One way from many clients to one executor.
//!
//! A shard of the repeater has tens of clients. A socket and a timer for each of
//! them would cost more than the records do, so all their queues write into one
//! socket pair, each its own byte, and one task sets the events of those that did.

use std::{
    cell::{Cell, RefCell},
    io,
    io::Write,
    os::{
        fd::{AsRawFd, FromRawFd, IntoRawFd},
        unix::net::UnixStream as StdStream,
    },
    rc::Rc,
    time::Duration,
};

use futures_lite::AsyncReadExt;
use glommio::{net::UnixStream, timer::sleep};
use rdkafka::bindings as rdk;

use crate::{
    kafka::{ClientError, wake_event::WakeEvent},
    runtime::descriptors,
};

/// The socket pair and the events behind it.
pub(super) struct WakeMux {
    readable: Cell<Option<UnixStream>>,
    writable: StdStream,
    events: RefCell<Vec<Rc<WakeEvent>>>,
}

/// One worker's end of a mux.
#[derive(Clone)]
pub(crate) struct WakeHandle {
    mux: Rc<WakeMux>,
    event: Rc<WakeEvent>,
    /// What its queues write. Workers whose numbers are 256 apart share a byte, and are
    /// woken together.
    byte: u8,
}

/// Wakes a worker from any thread.
#[derive(Debug)]
pub(crate) struct Notifier {
    socket: StdStream,
    byte: u8,
}

/// Wake-ups can be lost: every event is also set this often.
const TICK: Duration = Duration::from_millis(100);

impl WakeMux {
    /// Must be called on the executor that will run it.
    ///
    /// # Errors
    /// The system gave no socket.
    pub(super) fn new() -> Result<Rc<Self>, ClientError> {
        let failed = |error: io::Error| ClientError::Wake(descriptors::explained(&error));
        let (ours, theirs) = StdStream::pair().map_err(failed)?;
        // A full socket must not block librdkafka's threads: it is full of wake-ups anyway.
        theirs.set_nonblocking(true).map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        // SAFETY: the descriptor is open, a stream socket, and ours alone to give away.
        let readable = unsafe { UnixStream::from_raw_fd(ours.into_raw_fd()) };
        Ok(Rc::new(Self {
            readable: Cell::new(Some(readable)),
            writable: theirs,
            events: RefCell::default(),
        }))
    }

    /// The end of one more worker.
    #[must_use]
    pub(super) fn handle(self: &Rc<Self>) -> WakeHandle {
        let event = Rc::new(WakeEvent::default());
        let mut events = self.events.borrow_mut();
        // A worker that is gone leaves its place to another: readers that loop have new ones in each pass.
        let free = events.iter().position(|event| Rc::strong_count(event) == 1);
        let place = free.unwrap_or(events.len());
        if place == events.len() {
            events.push(event.clone());
        } else {
            events[place] = event.clone();
        }
        WakeHandle { mux: self.clone(), event, byte: place.to_le_bytes()[0] }
    }

    /// Sets events for ever. One task runs this.
    pub(super) async fn run(&self) {
        futures_lite::future::zip(self.dispatch(), self.tick()).await;
    }

    async fn dispatch(&self) {
        // Taken for good: no borrow is held while others run.
        let Some(mut readable) = self.readable.take() else { return };
        let mut bytes = [0; 1024];
        // An error cannot happen while both ends are open; the ticks keep the shard alive if one does.
        while let Ok(count @ 1..) = readable.read(&mut bytes).await {
            let events = self.events.borrow();
            for &byte in &bytes[..count] {
                events.iter().skip(byte.into()).step_by(256).for_each(|event| event.set());
            }
        }
    }

    async fn tick(&self) {
        loop {
            sleep(TICK).await;
            self.events.borrow().iter().for_each(|event| event.set());
        }
    }
}

impl WakeHandle {
    /// The event, for other clients of the same worker.
    #[must_use]
    pub(crate) fn event(&self) -> &Rc<WakeEvent> {
        &self.event
    }

    /// Waits for the event, but not longer than `limit`.
    pub(crate) async fn wait_at_most(&self, limit: Duration) {
        if limit >= TICK {
            // It is set before that. A timer for each wait would cost about as much as the wait.
            return self.event.wait().await;
        }
        self.event.wait_at_most(limit).await;
    }

    /// For threads that are no executor's.
    ///
    /// # Errors
    /// The system gave no descriptor.
    pub(crate) fn notifier(&self) -> Result<Notifier, ClientError> {
        let socket = self
            .mux
            .writable
            .try_clone()
            .map_err(|error| ClientError::Wake(descriptors::explained(&error)))?;
        Ok(Notifier::new(socket, self.byte))
    }

    /// Has this queue set the event from now on.
    ///
    /// The queue must be detached ([`super::wake::QueueWake::detach`]) or destroyed before the mux goes.
    pub(crate) fn attach(&self, queue: *mut rdk::rd_kafka_queue_t) {
        // SAFETY: the queue is alive (the caller holds it), the descriptor stays open for as
        // long as the mux, which the caller holds too, and librdkafka copies the byte at once.
        unsafe {
            rdk::rd_kafka_queue_io_event_enable(
                queue,
                self.mux.writable.as_raw_fd(),
                (&raw const self.byte).cast(),
                size_of_val(&self.byte),
            );
        }
    }
}

impl Notifier {
    pub(crate) fn new(socket: StdStream, byte: u8) -> Self {
        Self { socket, byte }
    }

    /// Wakes the worker.
    pub(crate) fn notify(&mut self) {
        // A socket that is full wakes as well.
        let _ = self.socket.write(&[self.byte]);
    }
}

#[cfg(test)]
mod tests {
    use glommio::LocalExecutor;

    use super::*;

    #[test]
    fn the_place_of_an_event_that_nobody_holds_is_given_away() {
        LocalExecutor::default().run(async {
            let mux = WakeMux::new().unwrap();
            let (first, second) = (mux.handle(), mux.handle());
            drop(first.clone());
            let passing = || mux.handle().byte;
            assert_eq!((first.byte, second.byte, passing(), passing()), (0, 1, 2, 2));
            drop(first);
            let third = mux.handle();
            assert_eq!((third.byte, mux.events.borrow().len()), (0, 3));
            third.event().set();
            third.event().wait().await;
        });
    }
}
