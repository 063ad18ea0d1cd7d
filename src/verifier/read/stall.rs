//! Finds out that a worker makes no progress although the cluster answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    app::Shared,
    clock,
    findings::{Explanation, Side, Stall, complaints},
    mutants::enforced,
    verifier::shard::ShardContext,
};

/// The flag's default.
pub(crate) const USUAL_LIMIT: Duration = Duration::from_secs(30);

/// What a place that stands still is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing.
    Patience,
    /// Half of the limit is over: if it is the client that sleeps, a new one may help.
    HalfTime,
    /// It is stalled.
    Stalled,
}

/// Watches one place, a partition for instance, that should move on.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Where it stood when it was last looked at.
    at: i64,
    /// Since when the cluster has answered, and it has stood there.
    since: Option<Instant>,
    half_time: bool,
    stall: Option<Open>,
}

/// A stall that has not ended.
#[derive(Debug)]
struct Open {
    topic: Arc<str>,
    partition: i32,
    began: Instant,
    /// Its place in the list of all, where it has one.
    place: Option<usize>,
    is_explained: bool,
}

impl Watch {
    /// The cluster has answered, and there is something to do at `at`.
    /// Without a limit it never stalls, but what helps at half time is tried all the same.
    fn answered(&mut self, at: i64, now: Instant, limit: Option<Duration>) -> Look {
        let since = match self.since {
            Some(since) if self.at == at => since,
            _ => now,
        };
        let (stood, is_new) = (now.duration_since(since), self.since != Some(since));
        (self.at, self.since) = (at, Some(since));
        self.half_time &= !is_new;
        let is_over = limit.is_some_and(|limit| stood >= limit);
        if is_over && self.stall.is_none() && enforced("stalled") {
            Look::Stalled
        } else if stood >= limit.unwrap_or(USUAL_LIMIT) / 2 && !is_new && !self.half_time {
            self.half_time = true;
            Look::HalfTime
        } else {
            Look::Patience
        }
    }

    /// The cluster does not answer: it is waited for, however long that takes.
    pub(crate) fn unanswered(&mut self) {
        self.since = None;
    }
}

/// What a kind of worker needs in order to say that it is stalled.
pub(crate) struct StallDetector {
    shared: Arc<Shared>,
    topic: Arc<str>,
    worker: &'static str,
    /// Whose quotas hold it back.
    sides: &'static [Side],
    /// `None` never says so.
    limit: Option<Duration>,
}

impl StallDetector {
    pub(crate) fn new(context: &ShardContext, worker: &'static str) -> Self {
        Self::of(context.shared.clone(), context.topic.clone(), worker, context.stall_after)
    }

    /// Of a worker that is on no shard.
    pub(crate) fn of(
        shared: Arc<Shared>,
        topic: Arc<str>,
        worker: &'static str,
        limit: Option<Duration>,
    ) -> Self {
        Self { shared, topic, worker, sides: &[Side::Consumers], limit }
    }

    /// It is one of both kinds.
    pub(crate) fn of_an_echo(mut self) -> Self {
        self.sides = &[Side::Consumers, Side::Producers];
        self
    }

    /// It is a producer's.
    pub(crate) fn of_a_producer(mut self) -> Self {
        self.sides = &[Side::Producers];
        self
    }

    /// What this worker waits for of its own accord does not count.
    pub(crate) fn more_patient_by(mut self, wait: Duration) -> Self {
        self.limit = self.limit.map(|limit| limit + wait);
        self
    }

    /// The broker has answered that the partition's log ends at `end`, and there is something to do at `at`: `what`.
    pub(crate) fn look(
        &self,
        watch: &mut Watch,
        partition: i32,
        places: (i64, i64),
        what: impl FnOnce() -> String,
    ) -> Look {
        self.look_in(watch, (&self.topic, partition), places, what)
    }

    /// The same of a partition of another topic than the run's first, perhaps.
    pub(crate) fn look_in(
        &self,
        watch: &mut Watch,
        partition: (&str, i32),
        (at, end): (i64, i64),
        what: impl FnOnce() -> String,
    ) -> Look {
        self.moved(watch, at);
        if complaints().throttling(self.sides).is_some() {
            // A quota is no stall: the broker has said how long it will not answer. The log and the report have it.
            watch.unanswered();
            return Look::Patience;
        }
        let look = watch.answered(at, Instant::now(), self.limit);
        if let (Look::Stalled, Some(limit)) = (look, self.limit) {
            let waited_for = format!("{}: its broker says that the log ends at {end}", what());
            self.begin(watch, partition, waited_for, limit);
        } else if let Some(open) = &mut watch.stall {
            self.explain(open);
        }
        look
    }

    #[cold]
    fn begin(&self, watch: &mut Watch, (topic, partition): (&str, i32), waited_for: String, limit: Duration) {
        let worker = self.worker;
        let explanation = self.explanation();
        tracing::warn!(
            "stalled: topic {topic} partition {partition}: {worker} has waited {:.0?} for {waited_for}{}",
            limit,
            Explanation(explanation.as_deref())
        );
        let is_explained = explanation.is_some();
        let place = self.shared.stalls.begin(Stall {
            worker,
            topic: topic.to_owned(),
            partition,
            waited_for,
            explanation,
            since_ms: clock::unix_ms(),
            until_ms: None,
        });
        watch.stall =
            Some(Open { topic: topic.into(), partition, began: Instant::now(), place, is_explained });
    }

    fn explanation(&self) -> Option<String> {
        complaints().explanation(self.sides)
    }

    /// The client may complain later than that somebody stands still.
    #[cold]
    fn explain(&self, open: &mut Open) {
        if open.is_explained {
            return;
        }
        let Some(reason) = self.explanation() else { return };
        open.is_explained = true;
        let (Open { topic, partition, .. }, worker) = (&*open, self.worker);
        let explanation = Explanation(Some(&reason));
        tracing::warn!("topic {topic} partition {partition}: {worker} is stalled{explanation}");
        if let Some(place) = open.place {
            self.shared.stalls.explain(place, &reason);
        }
    }

    /// There is nothing to do in this place any more.
    pub(crate) fn settled(&self, watch: &mut Watch) {
        self.end(watch);
        *watch = Watch::default();
    }

    /// Ends the stall of a place that is at `at` now, if it is another than it was.
    #[inline]
    pub(crate) fn moved(&self, watch: &mut Watch, at: i64) {
        if watch.stall.is_some() && watch.at != at {
            self.end(watch);
        }
    }

    #[cold]
    fn end(&self, watch: &mut Watch) {
        let Some(Open { topic, partition, began, place, .. }) = watch.stall.take() else { return };
        if let Some(place) = place {
            self.shared.stalls.end(place);
        }
        let worker = self.worker;
        let lasted = began.elapsed();
        tracing::warn!(
            "topic {topic} partition {partition}: {worker} goes on, {lasted:.0?} after it was stalled"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Stalls;

    const LIMIT: Duration = Duration::from_secs(10);

    /// What the looks say at these seconds, each with its place; `None` is a cluster that does not answer.
    fn looks(steps: &[(u64, Option<i64>)]) -> Vec<Look> {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let mut look = |&(second, at): &(u64, Option<i64>)| {
            let Some(at) = at else {
                watch.unanswered();
                return None;
            };
            let look = watch.answered(at, start + Duration::from_secs(second), Some(LIMIT));
            if look == Look::Stalled {
                watch.stall = Some(Open {
                    topic: "t".into(),
                    partition: 0,
                    began: start,
                    place: None,
                    is_explained: true,
                });
            }
            Some(look)
        };
        steps.iter().filter_map(&mut look).collect()
    }

    #[test]
    fn what_stands_still_is_named_once() {
        use Look::{HalfTime, Patience, Stalled};
        let steps = [0, 3, 5, 7, 10, 13, 30].map(|second| (second, Some(0)));
        assert_eq!(looks(&steps), [Patience, Patience, HalfTime, Patience, Stalled, Patience, Patience]);
    }

    #[test]
    fn what_moves_is_no_stall() {
        let steps: Vec<_> = (0..10).map(|step| (step * 4, Some(i64::try_from(step).unwrap()))).collect();
        assert!(looks(&steps).iter().all(|look| *look == Look::Patience));
    }

    #[test]
    fn a_cluster_that_does_not_answer_is_waited_for() {
        let steps = [(0, Some(5)), (4, None), (40, None), (60, Some(5)), (64, Some(5))];
        assert!(looks(&steps).iter().all(|look| *look == Look::Patience));
    }

    #[test]
    fn a_long_gap_between_two_looks_counts_when_nothing_moved() {
        assert_eq!(looks(&[(0, Some(5)), (11, Some(5))]), [Look::Patience, Look::Stalled]);
    }

    #[test]
    fn without_a_limit_there_is_a_half_time_and_no_stall() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let mut look = |second| watch.answered(5, start + Duration::from_secs(second), None);
        assert_eq!([0, 14, 15, 1_000].map(&mut look), {
            [Look::Patience, Look::Patience, Look::HalfTime, Look::Patience]
        });
    }

    #[test]
    fn stalls_are_open_until_they_end() {
        let stalls = Stalls::default();
        let stall = Stall {
            worker: "producer",
            topic: "t".into(),
            partition: 3,
            waited_for: "an ack".into(),
            explanation: None,
            since_ms: 1,
            until_ms: None,
        };
        assert_eq!(stall.to_string(), "topic t partition 3: producer waited for an ack");
        let place = stalls.begin(stall.clone()).unwrap();
        assert_eq!(stalls.open(), Some(stall));
        stalls.explain(place, "no descriptors: raise the limit");
        let explained = stalls.open().unwrap().to_string();
        assert!(explained.ends_with("an ack; it need not be the broker: no descriptors: raise the limit"));
        stalls.end(place);
        assert_eq!(stalls.open(), None);
        assert_eq!(stalls.all().len(), 1);
    }
}
