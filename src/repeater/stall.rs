//! Tokens that do not go round any more although the cluster answers.
//!
//! Each token goes to a random partition, so one that nobody consumes gathers all of them in the end. It is enough to
//! look for it when nothing at all has been consumed for a while.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::context::RepeaterContext;
use crate::{
    kafka::{CommittedPlaces, GroupDescription, Isolation, KafkaError, Observer, OffsetSpec},
    verifier::read::stall::{StallDetector, Watch},
};

/// How long nothing must have been consumed before the brokers are asked.
const QUIET: Duration = Duration::from_secs(5);
/// How long they have to answer.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) struct StallWatch<'a> {
    context: &'a RepeaterContext,
    observer: &'a Observer,
    places: &'a CommittedPlaces,
    watched: Vec<WatchedTopic>,
    consumed: u64,
    since: Instant,
}

struct WatchedTopic {
    stall_detector: StallDetector,
    /// By partition.
    watches: Vec<Watch>,
}

/// What the brokers say of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    /// Where what may be consumed ends.
    readable: i64,
    /// Where the log ends.
    log: i64,
}

impl<'a> StallWatch<'a> {
    /// A member that dies keeps its partitions for a `session`, and what it had not committed hides what others have for
    /// as long as a transaction may last: so long a group may stand still of its own accord.
    pub(super) fn new(
        context: &'a RepeaterContext,
        observer: &'a Observer,
        places: &'a CommittedPlaces,
        session: Duration,
    ) -> Self {
        let transaction = context.config.transactions.map_or(Duration::ZERO, |rules| rules.timeout);
        let watched = context.topics.iter().map(|(topic, partitions)| WatchedTopic {
            stall_detector: StallDetector::of(
                context.shared.clone(),
                Arc::from(topic.as_str()),
                "the group",
                context.config.common.stall_after,
            )
            .of_an_echo()
            .more_patient_by(session + transaction),
            watches: (0..*partitions).map(|_| Watch::default()).collect(),
        });
        let watched = watched.collect();
        Self { context, observer, places, watched, consumed: 0, since: Instant::now() }
    }

    /// Looks once, at a group of which the brokers say this.
    pub(super) fn look(&mut self, group: &Result<GroupDescription, KafkaError>) {
        let consumed = self.context.stats.iter().map(|worker| worker.consumed.get()).sum();
        if consumed != self.consumed {
            (self.consumed, self.since) = (consumed, Instant::now());
            self.each(|stall_detector, watch, _| stall_detector.settled(watch));
        } else if self.since.elapsed() >= QUIET && self.context.config.common.stall_after.is_some() {
            match self.ask(group) {
                Some(partitions) => self.judge(&partitions),
                None => self.each(|_, watch, _| watch.unanswered()),
            }
        }
    }

    fn each(&mut self, mut act: impl FnMut(&StallDetector, &mut Watch, i32)) {
        for WatchedTopic { stall_detector, watches } in &mut self.watched {
            for (partition, watch) in (0..).zip(watches) {
                act(stall_detector, watch, partition);
            }
        }
    }

    /// How far each partition has been consumed, and where it ends; `None` without all answers, or while partitions
    /// change hands.
    fn ask(&self, group: &Result<GroupDescription, KafkaError>) -> Option<Vec<(i64, Ends)>> {
        match group {
            Ok(group) if group.is_stable() => {}
            // A mock cluster does not know the question.
            Err(error) if error.is_unsupported() || self.context.is_embedded() => {}
            _ => return None,
        }
        let places = self.places.look(&self.context.topics).filter(|_| !self.context.stop_requested())?;
        let log = self.ends(Isolation::ReadUncommitted)?;
        let readable = match self.context.config.transactions {
            Some(_) => self.ends(Isolation::ReadCommitted)?,
            None => log.clone(),
        };
        let ends = readable.into_iter().zip(log).map(|(readable, log)| Ends { readable, log });
        Some(places.into_iter().zip(ends).collect())
    }

    fn ends(&self, isolation: Isolation) -> Option<Vec<i64>> {
        let (asked, lifecycle) = (Instant::now(), &self.context.shared.lifecycle);
        let stop = || lifecycle.stop_requested() || asked.elapsed() >= LIMIT;
        let mut all = Vec::new();
        for (topic, partitions) in &self.context.topics {
            let ids: Vec<i32> = (0..).take(*partitions).collect();
            let ends = self.observer.offsets(topic, &ids, OffsetSpec::End, isolation, |_| !stop())?;
            all.extend(ends.iter().map(|end| end.offset));
        }
        Some(all)
    }

    fn judge(&mut self, partitions: &[(i64, Ends)]) {
        let mut partitions = partitions.iter();
        self.each(|stall_detector, watch, partition| {
            let Some(&(place, ends)) = partitions.next() else { return };
            match awaited(place, ends) {
                Some(what) => _ = stall_detector.look(watch, partition, (place, ends.log), || what),
                None => stall_detector.settled(watch),
            }
        });
    }
}

/// What a group that has consumed up to `place` waits for, if there is more.
fn awaited(place: i64, Ends { readable, log }: Ends) -> Option<String> {
    if place < 0 || place >= log {
        return None;
    }
    Some(if place < readable {
        format!("what lies at offset {place} to be consumed")
    } else {
        format!("the end of the transaction that is open at offset {readable}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_consumed_to_its_end_is_not_waited_for() {
        let (log, open) = (Ends { readable: 9, log: 9 }, Ends { readable: 5, log: 9 });
        assert_eq!([awaited(9, log), awaited(-1, log), awaited(10, log)], [None, None, None]);
        assert_eq!(awaited(4, log).unwrap(), "what lies at offset 4 to be consumed");
        assert_eq!(awaited(4, open).unwrap(), "what lies at offset 4 to be consumed");
        assert_eq!(awaited(5, open).unwrap(), "the end of the transaction that is open at offset 5");
    }
}
