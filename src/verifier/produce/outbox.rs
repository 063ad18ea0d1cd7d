//! What a shard's producer tells the control thread, whose queue may be full.

use std::time::Duration;

use crossbeam::channel::{Sender, TrySendError};

use crate::control::Message;

/// The way to the control thread. One message waits here at the most: what comes meanwhile stays where it is, as few runs.
#[derive(Debug)]
pub(crate) struct Outbox {
    sender: Sender<Message>,
    waiting: Option<Message>,
}

impl Outbox {
    pub(crate) fn new(sender: Sender<Message>) -> Self {
        Self { sender, waiting: None }
    }

    /// Sends what waits, if there is room. Returns whether nothing waits any more.
    pub(crate) fn send(&mut self) -> bool {
        let Some(message) = self.waiting.take() else { return true };
        match self.sender.try_send(message) {
            Ok(()) => true,
            // Where nobody listens any more the process is about to end.
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                self.waiting = Some(message);
                false
            }
        }
    }

    /// Sends a message, or keeps it until there is room. Nothing may be waiting: a message would overtake it.
    pub(crate) fn give(&mut self, message: Message) {
        debug_assert!(self.waiting.is_none());
        self.waiting = Some(message);
        self.send();
    }

    /// Waits until nothing waits any more.
    pub(crate) async fn empty(&mut self) {
        while !self.send() {
            glommio::timer::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::bounded;

    use super::*;
    use crate::ledger::Entry;

    #[test]
    fn a_full_queue_keeps_messages_and_their_order() {
        let (sender, receiver) = bounded(1);
        let mut outbox = Outbox::new(sender);
        let message = |partition| {
            let entries = vec![Entry::Truncated { partition, offset: 1 }];
            Message::Produced { entries, latency: None, times: None }
        };
        let partition = |message| match message {
            Ok(Message::Produced { entries, .. }) => match entries[..] {
                [Entry::Truncated { partition, .. }] => partition,
                _ => panic!("{entries:?}"),
            },
            other => panic!("{other:?}"),
        };
        outbox.give(message(1));
        assert!(outbox.send(), "there was room for one");
        outbox.give(message(2));
        assert!(!outbox.send() && !outbox.send());
        assert_eq!(partition(receiver.try_recv()), 1);
        assert!(outbox.send() && outbox.send());
        assert_eq!(partition(receiver.try_recv()), 2);
        assert!(receiver.try_recv().is_err(), "once each");
    }
}
