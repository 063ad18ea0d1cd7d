//! A client that is to take another's place. The old one stays until the new one has had an answer: who swaps a client
//! that knows the cluster for one that reaches nobody is deaf for good.

use crate::kafka::{ClientError, Consumer, ConsumerSettings, OffsetQuery, OffsetSpec};

pub(crate) struct Renewal {
    /// Goes before the client that it was asked of.
    question: OffsetQuery,
    consumer: Consumer,
}

impl Renewal {
    /// Starts a client, and asks it where these partitions end.
    pub(crate) fn begin(
        settings: &ConsumerSettings,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Self, ClientError> {
        let consumer = Consumer::start(settings, topic)?;
        Ok(Self { question: consumer.ask(partitions, OffsetSpec::End), consumer })
    }

    /// The new client, once, as soon as it has an answer of at least one partition. One that has had none in all its
    /// time is dropped.
    pub(crate) fn take(slot: &mut Option<Self>) -> Option<Consumer> {
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
