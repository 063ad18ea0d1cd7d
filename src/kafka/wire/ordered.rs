//! The transactions of a client, between whoever orders them through the seam and the machine that sees to them.

use std::cell::RefCell;

use crossbeam::channel::{Receiver, Sender};

use super::core::{producer::Producer, transaction::Outcome};
use crate::kafka::{End, Ended, KafkaError, Reason, Transactions};

/// What is ordered, and where answers go. Nothing waits: both are looked at whenever the client is.
#[derive(Debug, Default)]
pub(super) struct Ordered(RefCell<Option<(Receiver<End>, Sender<Ended>)>>);

impl Ordered {
    /// The side of whoever orders.
    pub(super) fn open(&self) -> Transactions {
        let (transactions, orders, answers) = Transactions::channel();
        *self.0.borrow_mut() = Some((orders, answers));
        transactions
    }

    /// Hands on what was ordered since the last look.
    pub(super) fn hand_on(&self, producer: &mut Producer) {
        let ordered = self.0.borrow().as_ref().and_then(|(orders, _)| orders.try_recv().ok());
        if let (Some(end), Some(transacting)) = (ordered, producer.transacting()) {
            match end {
                End::Start => transacting.start(),
                End::Commit => transacting.end(true),
                End::Abort => transacting.end(false),
            }
        }
    }

    /// Answers, once it is known what became of it.
    pub(super) fn answer(&self, producer: &mut Producer, now_us: u64) {
        if let Some((_, answers)) = &*self.0.borrow()
            && let Some(outcome) =
                producer.transacting().and_then(|transacting| transacting.take_outcome(now_us))
        {
            // One is ordered at a time, so that there is room; and who ordered it may be gone.
            let _ = answers.try_send(ended(outcome));
        }
    }
}

fn ended(outcome: Outcome) -> Ended {
    let reason = |error| Reason::from(KafkaError::Broker(error));
    match outcome {
        Outcome::Started => Ended::Started,
        Outcome::Committed => Ended::Committed,
        Outcome::Aborted(error) => Ended::Aborted(error.map(reason)),
        Outcome::Unknown(error) => Ended::Unknown(reason(error)),
        Outcome::Finished(error) => Ended::Fatal(reason(error)),
    }
}
