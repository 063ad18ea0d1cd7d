//! What was asked of leaders through a client, under the names that the seam has for it.

use super::core::questions::{self, Answer, NoAnswer, What};
use crate::{
    kafka::{Answers, KafkaError, OffsetAndEpoch, OffsetSpec, QuestionId},
    partitions::PartitionSlot,
};

/// How long leaders have to say where their logs start or end, µs.
pub(super) const ANSWER_US: u64 = 10_000_000;

/// What is asked of them. Who reads only what is committed wants the end of that.
pub(super) fn what(spec: OffsetSpec, read_committed: bool) -> What {
    match spec {
        OffsetSpec::Start => What::Start,
        OffsetSpec::End => What::End { read_committed },
    }
}

/// Questions whose answers have not been taken: by what the caller and by what the client know them.
#[derive(Debug, Default)]
pub(super) struct Asked(Vec<(QuestionId, questions::QuestionId)>);

impl Asked {
    /// One that was asked just now. Returns by what the caller knows it.
    pub(super) fn add(&mut self, inner: questions::QuestionId) -> QuestionId {
        let id = QuestionId::next();
        self.0.push((id, inner));
        id
    }

    /// The answers to a question, once the client has `answers`. Empty for one that was never asked, or whose answers were taken.
    pub(super) fn take(
        &mut self,
        question: QuestionId,
        answers: impl FnOnce(questions::QuestionId) -> Option<Vec<(PartitionSlot, Answer)>>,
    ) -> Option<Answers> {
        let Some(index) = self.0.iter().position(|(id, _)| *id == question) else {
            return Some(Answers::new());
        };
        let answers = answers(self.0[index].1)?;
        self.0.swap_remove(index);
        Some(answers.into_iter().map(|(partition, answer)| (partition, place(answer))).collect())
    }
}

fn place(answer: Answer) -> Result<OffsetAndEpoch, KafkaError> {
    match answer {
        Ok(found) => Ok(OffsetAndEpoch { offset: found.offset, leader_epoch: found.epoch }),
        Err(NoAnswer::Error(error)) => Err(KafkaError::Broker(error)),
        Err(NoAnswer::TimedOut) => Err(KafkaError::timed_out()),
    }
}
