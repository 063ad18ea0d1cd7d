//! One way from many clients to one executor.
//!
//! A shard of the repeater has tens of clients. A socket and a timer for each of
//! them would cost more than the records do, so all their queues write into one
//! socket pair, each its own byte, and one task rings the bells of those that did.

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
    kafka::{ClientError, bell::Bell},
    runtime::descriptors,
};

/// The socket pair and the bells behind it.
pub(super) struct WakeHub {
    readable: Cell<Option<UnixStream>>,
    writable: StdStream,
    bells: RefCell<Vec<Rc<Bell>>>,
}

/// One worker's end of a hub.
#[derive(Clone)]
pub(crate) struct HubBell {
    hub: Rc<WakeHub>,
    bell: Rc<Bell>,
    /// What its queues write. Workers whose numbers are 256 apart share a byte, and are
    /// woken together.
    byte: u8,
}

/// Rings a bell from any thread.
#[derive(Debug)]
pub(crate) struct Ringer {
    socket: StdStream,
    byte: u8,
}

/// Wake-ups can be lost: every bell also rings this often.
const TICK: Duration = Duration::from_millis(100);

impl WakeHub {
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
        Ok(Rc::new(Self { readable: Cell::new(Some(readable)), writable: theirs, bells: RefCell::default() }))
    }

    /// A bell for one more worker.
    #[must_use]
    pub(super) fn bell(self: &Rc<Self>) -> HubBell {
        let bell = Rc::new(Bell::default());
        let mut bells = self.bells.borrow_mut();
        // A worker that is gone leaves its place to another: readers that loop have new ones in each pass.
        let free = bells.iter().position(|bell| Rc::strong_count(bell) == 1);
        let place = free.unwrap_or(bells.len());
        if place == bells.len() {
            bells.push(bell.clone());
        } else {
            bells[place] = bell.clone();
        }
        HubBell { hub: self.clone(), bell, byte: place.to_le_bytes()[0] }
    }

    /// Rings bells for ever. One task runs this.
    pub(super) async fn run(&self) {
        futures_lite::future::zip(self.dispatch(), self.tick()).await;
    }

    async fn dispatch(&self) {
        // Taken for good: no borrow is held while others run.
        let Some(mut readable) = self.readable.take() else { return };
        let mut bytes = [0; 1024];
        // An error cannot happen while both ends are open; the ticks keep the shard alive if one does.
        while let Ok(count @ 1..) = readable.read(&mut bytes).await {
            let bells = self.bells.borrow();
            for &byte in &bytes[..count] {
                bells.iter().skip(byte.into()).step_by(256).for_each(|bell| bell.ring());
            }
        }
    }

    async fn tick(&self) {
        loop {
            sleep(TICK).await;
            self.bells.borrow().iter().for_each(|bell| bell.ring());
        }
    }
}

impl HubBell {
    /// The bell, for other clients of the same worker.
    #[must_use]
    pub(crate) fn bell(&self) -> &Rc<Bell> {
        &self.bell
    }

    /// Waits for the bell, but not longer than `limit`.
    pub(crate) async fn wait_at_most(&self, limit: Duration) {
        if limit >= TICK {
            // It rings before that. A timer for each wait would cost about as much as the wait.
            return self.bell.wait().await;
        }
        self.bell.wait_at_most(limit).await;
    }

    /// For threads that are no executor's.
    ///
    /// # Errors
    /// The system gave no descriptor.
    pub(crate) fn ringer(&self) -> Result<Ringer, ClientError> {
        let socket = self
            .hub
            .writable
            .try_clone()
            .map_err(|error| ClientError::Wake(descriptors::explained(&error)))?;
        Ok(Ringer::new(socket, self.byte))
    }

    /// Has this queue ring the bell from now on.
    ///
    /// The queue must be detached ([`super::wake::QueueWake::detach`]) or destroyed before the hub goes.
    pub(crate) fn attach(&self, queue: *mut rdk::rd_kafka_queue_t) {
        // SAFETY: the queue is alive (the caller holds it), the descriptor stays open for as
        // long as the hub, which the caller holds too, and librdkafka copies the byte at once.
        unsafe {
            rdk::rd_kafka_queue_io_event_enable(
                queue,
                self.hub.writable.as_raw_fd(),
                (&raw const self.byte).cast(),
                size_of_val(&self.byte),
            );
        }
    }
}

impl Ringer {
    pub(crate) fn new(socket: StdStream, byte: u8) -> Self {
        Self { socket, byte }
    }

    /// Wakes the worker.
    pub(crate) fn ring(&mut self) {
        // A socket that is full wakes as well.
        let _ = self.socket.write(&[self.byte]);
    }
}

#[cfg(test)]
mod tests {
    use glommio::LocalExecutor;

    use super::*;

    #[test]
    fn the_place_of_a_bell_that_nobody_holds_is_given_away() {
        LocalExecutor::default().run(async {
            let hub = WakeHub::new().unwrap();
            let (first, second) = (hub.bell(), hub.bell());
            drop(first.clone());
            let passing = || hub.bell().byte;
            assert_eq!((first.byte, second.byte, passing(), passing()), (0, 1, 2, 2));
            drop(first);
            let third = hub.bell();
            assert_eq!((third.byte, hub.bells.borrow().len()), (0, 3));
            third.bell().ring();
            third.bell().wait().await;
        });
    }
}
