//! A flag that one task waits for: what a client has wakes whoever waits for it.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
    time::Duration,
};

use futures_lite::future;
use glommio::timer::sleep;

/// Is set, and stays so until somebody has waited for it or clears it. One task waits at a time. Several clients may set the
/// same one.
#[derive(Debug, Default)]
pub(crate) struct WakeEvent {
    is_set: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl WakeEvent {
    /// Wakes whoever waits, or will wait next.
    pub(crate) fn set(&self) {
        self.is_set.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whoever will wait does so.
    pub(crate) fn clear(&self) {
        self.is_set.set(false);
    }

    /// Waits until it was set since the last wait.
    pub(crate) async fn wait(&self) {
        poll_fn(|context| {
            if self.is_set.take() {
                return Poll::Ready(());
            }
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Waits for that, but not longer than `limit`. Must be called on an executor.
    pub(crate) async fn wait_at_most(&self, limit: Duration) {
        future::or(self.wait(), async {
            sleep(limit).await;
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn who_waits_is_woken_once_however_often_it_was_set() {
        let event = WakeEvent::default();
        let is_woken = || block_on(poll_once(event.wait())).is_some();
        assert!(!is_woken());
        event.set();
        event.set();
        assert_eq!((is_woken(), is_woken()), (true, false));
        event.set();
        event.clear();
        assert!(!is_woken());
    }
}
