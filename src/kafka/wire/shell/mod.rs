//! The client's sockets, timers and names, on a shard's executor: everything that its core leaves to others.
//!
//! One task for each connection reads and, where the socket was full, writes; what the socket takes at once is written by
//! whoever caused it. One task more waits for deadlines. Nothing here knows what the bytes mean.

mod link;
mod low_water;
mod resolve;
mod session;
mod telling;

use std::{
    cell::{Cell, RefCell, RefMut},
    collections::HashMap,
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_lite::future;

use self::link::Link;
use super::{
    core::machine::{Action, LinkId, Machine},
    trust::Tls,
};
use crate::kafka::wake_event::WakeEvent;

/// Who else is to hear that there is something, each time that something has come of it.
type Hear<M> = Box<dyn Fn(&M)>;

/// Drives a client. Everything stays on the executor that made it; with the last handle the connections are closed.
#[derive(Debug)]
pub(crate) struct Shell<M: Machine + 'static> {
    inner: Rc<Inner<M>>,
}

struct Inner<M> {
    machine: RefCell<M>,
    hear: Option<Hear<M>>,
    /// `None`: connections are in plain text.
    tls: Option<Tls>,
    started: Instant,
    links: RefCell<HashMap<LinkId, Rc<Link>>>,
    /// There is something for whoever waits.
    news: WakeEvent,
    /// Of whoever waits for this client and for others: it is set, too.
    shared: Option<Rc<WakeEvent>>,
    /// Whoever waits was told of what there is, and has not looked at the client since.
    is_told: Cell<bool>,
    /// The timer's deadline has moved forward, or it is all over.
    timer: WakeEvent,
    /// When the timer goes off, µs.
    armed_us: Cell<u64>,
    is_over: Cell<bool>,
}

impl<M: fmt::Debug> fmt::Debug for Inner<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inner").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl<M: Machine + 'static> Shell<M> {
    /// Must be called on the executor that will run it. Without `tls` connections are in plain text.
    #[must_use]
    pub(crate) fn new(machine: M, tls: Option<Tls>) -> Self {
        Self::of(machine, tls, None, None)
    }

    /// The same; this event is set, too, when there is something.
    #[must_use]
    pub(crate) fn waking(machine: M, tls: Option<Tls>, shared: Option<Rc<WakeEvent>>) -> Self {
        Self::of(machine, tls, shared, None)
    }

    /// One that several wait for, of which each is to be told by `hear` what concerns it: [`Self::wait`] is for one only.
    #[must_use]
    pub(crate) fn for_several(machine: M, tls: Option<Tls>, hear: impl Fn(&M) + 'static) -> Self {
        Self::of(machine, tls, None, Some(Box::new(hear)))
    }

    fn of(machine: M, tls: Option<Tls>, shared: Option<Rc<WakeEvent>>, hear: Option<Hear<M>>) -> Self {
        let inner = Rc::new(Inner {
            machine: RefCell::new(machine),
            hear,
            tls,
            started: Instant::now(),
            links: RefCell::default(),
            news: WakeEvent::default(),
            shared,
            is_told: Cell::new(false),
            timer: WakeEvent::default(),
            armed_us: Cell::new(0),
            is_over: Cell::new(false),
        });
        glommio::spawn_local(inner.clone().keep_time()).detach();
        Self { inner }
    }

    /// Does something with the client, at a time in µs, and then what follows from it: connections are opened, and what can
    /// be written at once is.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut M, u64) -> R) -> R {
        self.inner.news.clear();
        self.inner.is_told.set(false);
        let result = work(&mut self.inner.machine.borrow_mut(), self.inner.now_us());
        self.inner.pump();
        self.inner.tell();
        result
    }

    /// The client, for what nothing follows from yet. It has to be given back before anything else happens.
    #[must_use]
    pub(crate) fn machine(&self) -> RefMut<'_, M> {
        self.inner.machine.borrow_mut()
    }

    /// Sets the event that is shared if there is something already that whoever waits for that would sleep over: once, until somebody
    /// looks at the client.
    pub(crate) fn wake_if_there_is_news(&self) {
        if let Some(shared) = &self.inner.shared
            && self.inner.machine.borrow().has_news()
            && !self.inner.is_told.replace(true)
        {
            shared.set();
        }
    }

    /// Waits until there is something, but not longer than `limit`. Who leaves it where it is, because what it waits for
    /// is something else, is told once: a loop of such waits would keep everybody else on this core from their work, and
    /// with them what it waits for.
    pub(crate) async fn wait(&self, limit: Duration) {
        if self.inner.machine.borrow().has_news() && !self.inner.is_told.replace(true) {
            return future::yield_now().await;
        }
        self.inner.news.wait_at_most(limit).await;
    }
}

impl<M: Machine + 'static> Drop for Shell<M> {
    fn drop(&mut self) {
        self.inner.is_over.set(true);
        self.inner.timer.set();
        let links: Vec<_> = self.inner.links.borrow_mut().drain().collect();
        for (_, link) in links {
            link.stop();
        }
    }
}

impl<M: Machine + 'static> Inner<M> {
    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Does what the client wants done.
    fn pump(self: &Rc<Self>) {
        loop {
            let action = self.machine.borrow_mut().poll_action();
            match action {
                Some(Action::Open { link, host, port }) => {
                    let handle = Rc::new(Link::default());
                    self.links.borrow_mut().insert(link, handle.clone());
                    glommio::spawn_local(link::run(self.clone(), link, handle, host, port)).detach();
                }
                Some(Action::Close { link }) => {
                    let handle = self.links.borrow_mut().remove(&link);
                    handle.inspect(|handle| handle.stop());
                }
                None => break,
            }
        }
        let machine = &mut *self.machine.borrow_mut();
        for (&link, handle) in &*self.links.borrow() {
            handle.flush(link, machine);
        }
        while let Some(notice) = machine.poll_notice() {
            telling::tell(notice);
        }
        if machine.next_deadline_us(self.now_us()) < self.armed_us.get() {
            self.timer.set();
        }
    }

    /// Something has come in, or time has passed.
    fn after_input(self: &Rc<Self>) {
        self.pump();
        if self.machine.borrow().has_news() {
            self.news.set();
            if let Some(shared) = &self.shared {
                shared.set();
            }
        }
        self.tell();
    }

    fn tell(&self) {
        if let Some(hear) = &self.hear {
            hear(&self.machine.borrow());
        }
    }

    async fn keep_time(self: Rc<Self>) {
        /// A deadline that is always due must not turn into a busy loop.
        const SHORTEST_US: u64 = 500;
        const LONGEST_US: u64 = 3_600_000_000;
        while !self.is_over.get() {
            let now_us = self.now_us();
            let deadline_us = self.machine.borrow().next_deadline_us(now_us);
            let pause_us = deadline_us.saturating_sub(now_us).clamp(SHORTEST_US, LONGEST_US);
            self.armed_us.set(now_us + pause_us);
            self.timer.wait_at_most(Duration::from_micros(pause_us)).await;
            let now_us = self.now_us();
            if !self.is_over.get() && deadline_us.min(self.armed_us.get()) <= now_us {
                self.machine.borrow_mut().handle_timeout(now_us);
                self.after_input();
            }
        }
    }
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
