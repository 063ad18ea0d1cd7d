//! Where logs start and end now: what the brokers say when they are asked.

use std::time::Duration;

use super::{Answers, KafkaError, LogReader, OffsetAndEpoch, OffsetSpec, QuestionId};
use crate::partitions::PartitionSlot;

/// Where a log starts and ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The first offset that can be read.
    pub start: i64,
    /// The offset behind the last one that can.
    pub end: i64,
}

/// Who asks where a log ends, and asks again within this, does not believe what was said, s: three looks are a second apart.
pub(crate) const DOUBT_S: u64 = 5;

type Answer = Result<OffsetAndEpoch, KafkaError>;

impl Ends {
    /// What two answers say together; `None` where one of them is missing or an error.
    pub(crate) fn of(start: Option<Answer>, end: Option<Answer>) -> Option<Self> {
        match (start, end) {
            (Some(Ok(start)), Some(Ok(end))) => Some(Self { start: start.offset, end: end.offset }),
            _ => None,
        }
    }
}

/// Between two looks for answers, where the client cannot wake who waits for them.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Asks where a partition's log starts and ends; `None` when the broker does not answer, or `stop` becomes true before.
pub(crate) async fn ends<R: LogReader>(
    reader: &mut R,
    partition: PartitionSlot,
    stop: impl Fn() -> bool,
) -> Option<Ends> {
    let mut inquiry = Inquiry::about(reader, vec![(partition, 0)]);
    loop {
        if let Some(replies) = inquiry.replies(reader) {
            return replies.first()?.ends;
        }
        if stop() {
            return None;
        }
        reader.wait(LOOK_PAUSE).await;
    }
}

/// A question about several partitions, which is waited for beside other work: one leader that is silent holds nobody
/// up who reads from others.
#[derive(Debug)]
pub(crate) struct Inquiry {
    /// Each partition, and where its reader stood when this was asked.
    about: Vec<(PartitionSlot, i64)>,
    start: EndQuestion,
    end: EndQuestion,
}

/// One end of all logs.
#[derive(Debug)]
struct EndQuestion {
    question: QuestionId,
    answers: Option<Answers>,
}

/// What a partition's broker has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Of which partition.
    pub partition: PartitionSlot,
    /// Where the reader stood when it was asked: who has moved since draws no consequences.
    pub asked_at: i64,
    /// `None`: there was no answer.
    pub ends: Option<Ends>,
}

impl Inquiry {
    /// Asks about these partitions, whose reader stands at these offsets.
    pub(crate) fn about<R: LogReader>(reader: &mut R, places: Vec<(PartitionSlot, i64)>) -> Self {
        let partitions: Vec<PartitionSlot> = places.iter().map(|place| place.0).collect();
        let mut ask = |spec| EndQuestion { question: reader.ask_offsets(&partitions, spec), answers: None };
        Self { start: ask(OffsetSpec::Start), end: ask(OffsetSpec::End), about: places }
    }

    /// What was said, when everything has been said that will be.
    pub(crate) fn replies<R: LogReader>(&mut self, reader: &mut R) -> Option<Vec<Reply>> {
        let (has_starts, has_ends) = (self.start.take(reader), self.end.take(reader));
        if !(has_starts && has_ends) {
            return None;
        }
        let reply = |&(partition, asked_at): &(PartitionSlot, i64)| Reply {
            partition,
            asked_at,
            ends: Ends::of(self.start.of(partition), self.end.of(partition)),
        };
        Some(self.about.iter().map(reply).collect())
    }
}

impl EndQuestion {
    /// Returns whether there are answers.
    fn take<R: LogReader>(&mut self, reader: &mut R) -> bool {
        if self.answers.is_none() {
            self.answers = reader.answers(self.question);
        }
        self.answers.is_some()
    }

    fn of(&self, partition: PartitionSlot) -> Option<Answer> {
        self.answers.iter().flatten().find(|answer| answer.0 == partition).map(|answer| answer.1)
    }
}
