//! Clients that sleep, and those that take their place.
//!
//! librdkafka (2.12.1) has been seen to show nothing any more behind one of its looks at the cluster, without an error,
//! on a busy machine. A new client then goes on. The old one stays until the new one has had an answer: who swaps a
//! client that knows the cluster for one that reaches nobody is deaf for good.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    kafka::{
        ClientError, OffsetSpec,
        librdkafka::{admin::offsets::OffsetQuery, consumer::Consumer, settings::ConsumerSettings},
    },
    partitions::{PartitionSlot, PartitionTable},
};

/// A client that is to take another's place.
pub(super) struct Renewal {
    /// Goes before the client that it was asked of.
    question: OffsetQuery,
    consumer: Consumer,
}

impl Renewal {
    /// Starts a client, and asks it where these partitions end.
    ///
    /// # Errors
    /// A client that cannot start.
    pub(super) fn begin(
        settings: &ConsumerSettings,
        table: &Arc<PartitionTable>,
        partitions: &[PartitionSlot],
    ) -> Result<Self, ClientError> {
        let consumer = Consumer::start(settings, table)?;
        Ok(Self { question: consumer.ask(partitions, OffsetSpec::End), consumer })
    }

    /// The new client, once, as soon as it has an answer of at least one partition. One that has had none in all its
    /// time is dropped.
    pub(super) fn take(slot: &mut Option<Self>) -> Option<Consumer> {
        let answers = slot.as_ref()?.question.take()?;
        let Self { question, consumer } = slot.take()?;
        drop(question);
        if answers.iter().any(|(_, answer)| answer.is_ok()) {
            return Some(consumer);
        }
        tracing::debug!("a new client has had no answer either, and is dropped");
        None
    }
}

/// Tells when a client should be given up for a new one: nothing has come of it for long, not even an answer.
#[derive(Debug, Default)]
pub(super) struct UnansweredTimer {
    since: Option<Instant>,
}

/// Twice as long as two questions may take.
const UNANSWERED_LIMIT: Duration = Duration::from_secs(20);

impl UnansweredTimer {
    /// Something came.
    pub(super) fn heard(&mut self) {
        self.since = None;
    }

    /// A question had no answer. Returns whether that has lasted for too long; then it begins anew.
    pub(super) fn unanswered(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let is_over = now.duration_since(since) >= UNANSWERED_LIMIT;
        if is_over {
            self.since = None;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_nothing_for_long_is_deaf_once() {
        let (mut unanswered_timer, start) = (UnansweredTimer::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        assert!(!unanswered_timer.unanswered(at(0)) && !unanswered_timer.unanswered(at(19)));
        assert!(unanswered_timer.unanswered(at(20)));
        assert!(!unanswered_timer.unanswered(at(21)), "the new one has its time");
        unanswered_timer.heard();
        assert!(!unanswered_timer.unanswered(at(41)) && !unanswered_timer.unanswered(at(60)));
        assert!(unanswered_timer.unanswered(at(61)));
    }
}
