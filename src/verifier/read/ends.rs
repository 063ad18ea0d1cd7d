//! Where logs start and end now: what the brokers say when they are asked.

use std::time::{Duration, Instant};

use crate::kafka::{Answers, Consumer, KafkaError, OffsetAndEpoch, OffsetQuery, OffsetSpec};

/// Where a log starts and ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// Asks where a partition's log starts and ends; `None` when the broker does not answer, or `stop` becomes true before.
pub(crate) async fn ask(consumer: &Consumer, partition: i32, stop: impl Fn() -> bool) -> Option<Ends> {
    let [start, end] = [OffsetSpec::Start, OffsetSpec::End].map(|spec| consumer.ask(&[partition], spec));
    let (start, end) = (start.finish(&stop).await, end.finish(&stop).await);
    both(start.first().map(|answer| answer.1), end.first().map(|answer| answer.1))
}

type Answer = Result<OffsetAndEpoch, KafkaError>;

fn both(start: Option<Answer>, end: Option<Answer>) -> Option<Ends> {
    match (start, end) {
        (Some(Ok(start)), Some(Ok(end))) => Some(Ends { start: start.offset, end: end.offset }),
        _ => None,
    }
}

/// A question about several partitions, which is waited for beside other work: one leader that is silent holds nobody
/// up who reads from others.
pub(crate) struct Inquiry {
    /// Each partition, and where its reader stood when this was asked.
    about: Vec<(i32, i64)>,
    start: Part,
    end: Part,
}

/// One end of all logs.
struct Part {
    query: OffsetQuery,
    answers: Option<Answers>,
}

/// What a partition's broker has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) partition: i32,
    /// Where the reader stood when it was asked: who has moved since draws no consequences.
    pub(crate) asked_at: i64,
    /// `None`: there was no answer.
    pub(crate) ends: Option<Ends>,
}

impl Inquiry {
    /// Asks about these partitions, whose reader stands at these offsets.
    pub(crate) fn about(consumer: &Consumer, places: Vec<(i32, i64)>) -> Self {
        let partitions: Vec<i32> = places.iter().map(|place| place.0).collect();
        let part = |spec| Part { query: consumer.ask(&partitions, spec), answers: None };
        Self { start: part(OffsetSpec::Start), end: part(OffsetSpec::End), about: places }
    }

    /// What was said, when everything has been said that will be.
    pub(crate) fn replies(&mut self) -> Option<Vec<Reply>> {
        let (starts, ends) = (self.start.take().is_some(), self.end.take().is_some());
        if !(starts && ends) {
            return None;
        }
        let reply = |&(partition, asked_at): &(i32, i64)| Reply {
            partition,
            asked_at,
            ends: both(self.start.of(partition), self.end.of(partition)),
        };
        Some(self.about.iter().map(reply).collect())
    }
}

impl Part {
    fn take(&mut self) -> Option<&Answers> {
        if self.answers.is_none() {
            self.answers = self.query.take();
        }
        self.answers.as_ref()
    }

    fn of(&self, partition: i32) -> Option<Answer> {
        self.answers.iter().flatten().find(|answer| answer.0 == partition).map(|answer| answer.1)
    }
}

/// Tells when a client should be given up for a new one: nothing has come of it for long, not even an answer.
#[derive(Debug, Default)]
pub(crate) struct Deafness {
    since: Option<Instant>,
}

/// Twice as long as two questions may take.
const DEAF_LIMIT: Duration = Duration::from_secs(20);

impl Deafness {
    /// Something came.
    pub(crate) fn heard(&mut self) {
        self.since = None;
    }

    /// A question had no answer. Returns whether that has lasted for too long; then it begins anew.
    pub(crate) fn unanswered(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let is_deaf = now.duration_since(since) >= DEAF_LIMIT;
        if is_deaf {
            self.since = None;
        }
        is_deaf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_nothing_for_long_is_deaf_once() {
        let (mut deafness, start) = (Deafness::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        assert!(!deafness.unanswered(at(0)) && !deafness.unanswered(at(19)));
        assert!(deafness.unanswered(at(20)));
        assert!(!deafness.unanswered(at(21)), "the new one has its time");
        deafness.heard();
        assert!(!deafness.unanswered(at(41)) && !deafness.unanswered(at(60)));
        assert!(deafness.unanswered(at(61)));
    }
}
