//! Whether the topics under a run are still what they were.
//!
//! Clients wait for brokers without limit, and for a topic that is gone they wait just as patiently. But a topic that
//! the brokers have not known for a while was deleted, and will not come back as it was: somebody has to say so.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task, time::sleep};

use crate::{
    app::{Shared, WatchedTopics},
    human::count,
    kafka::{KafkaError, Observer, TopicShape},
};

/// What is watched, and how often.
struct Watched {
    topics: Vec<Topic>,
    every: Duration,
}

/// How often is looked, and how long a topic may be away: long enough for brokers that come up one after the other
/// and learn of their topics last.
const LOOK_EVERY: Duration = Duration::from_secs(3);
const LOOK_EVERY_AT_LEAST: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_AT_LEAST: Duration = Duration::from_secs(2);

impl Watched {
    /// Who wants a fresh picture of the cluster gets it here too.
    fn new(WatchedTopics { topics, metadata_max_age }: &WatchedTopics) -> Self {
        let patience = (*metadata_max_age * 2).clamp(PATIENCE_AT_LEAST, PATIENCE);
        let every = (*metadata_max_age / 5).clamp(LOOK_EVERY_AT_LEAST, LOOK_EVERY);
        let topics = topics.iter().map(|(name, partitions)| Topic::new(name, *partitions, patience));
        Self { topics: topics.collect(), every }
    }
}

/// Looks again and again, until the work is done.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut state = None;
    while !shared.lifecycle.work_is_done() {
        let (Some(topics), Some(observer)) = (shared.watched.get(), shared.observer.get()) else {
            sleep(LOOK_EVERY_AT_LEAST).await;
            continue;
        };
        let watched = state.get_or_insert_with(|| Watched::new(topics));
        for topic in &mut watched.topics {
            let seen = ask(observer.clone(), topic.name.clone()).await;
            if let Some(reason) = topic.look(seen, Instant::now()) {
                shared.lifecycle.fail(reason);
            }
        }
        sleep(watched.every).await;
    }
}

/// On a thread that may wait for an answer.
async fn ask(observer: Arc<Observer>, topic: String) -> Result<TopicShape, KafkaError> {
    let answer = task::spawn_blocking(move || observer.look_at_topic(&topic)).await;
    // A panic there has ended the process.
    answer.unwrap_or_else(|_| Err(KafkaError::unknown_topic()))
}

/// One topic, and what was told of it.
#[derive(Clone, Debug)]
struct Topic {
    name: String,
    /// Those that the run works on.
    partitions: usize,
    patience: Duration,
    /// Since when every answer has been that it is not there, or not for us.
    away_since: Option<Instant>,
    growth_told: bool,
    /// Its id, as it was told first.
    id: Option<[u8; 16]>,
    /// Since when another one has been told.
    anew_since: Option<Instant>,
}

impl Topic {
    fn new(name: &str, partitions: usize, patience: Duration) -> Self {
        Self {
            name: name.to_owned(),
            partitions,
            patience,
            away_since: None,
            growth_told: false,
            id: None,
            anew_since: None,
        }
    }

    /// Takes a look; returns why the run cannot go on, if that is so.
    fn look(&mut self, seen: Result<TopicShape, KafkaError>, now: Instant) -> Option<String> {
        let (id, seen_id) = (self.id, seen.ok().and_then(|shape| shape.id));
        self.id = id.or(seen_id);
        if id.is_some() && seen_id.is_some() && seen_id != id {
            self.away_since = None;
            return self.is_another(now);
        }
        if seen_id.is_some() {
            // A broker was not up to date.
            self.anew_since = None;
        }
        let Self { name, partitions, .. } = self;
        let (problem, meaning) = match seen {
            Ok(shape) if shape.partitions < *partitions => {
                let now_has = shape.partitions;
                (
                    format!("it has {}, and had {partitions}", count(now_has, "partition")),
                    "was deleted and created anew",
                )
            }
            Ok(shape) => {
                self.is_there(&shape);
                return None;
            }
            Err(error) if error.is_unknown_topic() => {
                ("it does not exist any more".to_owned(), "was deleted")
            }
            Err(error) if error.is_denied() => (error.to_string(), "denies access"),
            // No word from the brokers: they are waited for.
            Err(_) => {
                self.away_since = None;
                return None;
            }
        };
        let Some(since) = self.away_since else {
            tracing::warn!("topic {name}: {problem}; waiting for it for {} s", self.patience.as_secs());
            self.away_since = Some(now);
            return None;
        };
        let away = now.duration_since(since);
        (away >= self.patience).then(|| {
            format!(
                "topic '{name}' {meaning} while the run was under way: {problem}, for {} s now",
                away.as_secs()
            )
        })
    }

    /// Another topic has its name. Whoever had records in it names what is missing, and that says more: only where nobody
    /// does for a while the run ends by this.
    fn is_another(&mut self, now: Instant) -> Option<String> {
        let name = &self.name;
        let since = *self.anew_since.get_or_insert_with(|| {
            tracing::warn!("topic {name} was deleted and created anew: another topic has its name now");
            now
        });
        let lasts = now.duration_since(since);
        (lasts >= PATIENCE).then(|| {
            format!(
                "topic '{name}' was deleted and created anew while the run was under way: another topic has its name, for {} s now",
                lasts.as_secs()
            )
        })
    }

    fn is_there(&mut self, shape: &TopicShape) {
        let Self { name, partitions, .. } = self;
        if self.away_since.take().is_some() {
            tracing::warn!("topic {name} is there again: if it was created anew, its records are gone");
        }
        if shape.partitions > *partitions && !self.growth_told {
            self.growth_told = true;
            tracing::warn!(
                "topic {name} has {} partitions now, and had {partitions} when the run began: it goes on with those",
                shape.partitions
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    type Seen = Result<TopicShape, KafkaError>;

    fn seen(partitions: usize) -> TopicShape {
        TopicShape { partitions, brokers: 1, id: None, is_redpanda: false }
    }

    fn gone() -> Seen {
        Err(KafkaError::unknown_topic())
    }

    fn no_word() -> Seen {
        Err(KafkaError::timed_out())
    }

    #[test]
    fn a_topic_that_stays_away_was_deleted() {
        let (mut topic, start) = (Topic::new("t", 2, PATIENCE), Instant::now());
        assert_eq!(topic.look(Ok(seen(2)), start), None);
        assert_eq!(topic.look(gone(), start), None);
        assert_eq!(topic.look(gone(), start + PATIENCE / 2), None);
        let reason = topic.look(gone(), start + PATIENCE).unwrap();
        assert!(reason.starts_with("topic 't' was deleted while the run was under way"), "{reason}");
    }

    #[test]
    fn a_topic_that_comes_back_or_brokers_that_are_away_are_no_deletion() {
        let (mut topic, start) = (Topic::new("t", 2, PATIENCE), Instant::now());
        for answer in [Ok(seen(2)), no_word(), Ok(seen(5))] {
            assert_eq!(topic.look(gone(), start), None);
            assert_eq!(topic.look(answer, start + PATIENCE / 2), None);
            assert_eq!(topic.look(gone(), start + PATIENCE), None, "the time starts anew");
            assert_eq!(topic.look(Ok(seen(2)), start + PATIENCE), None);
        }
    }

    #[test]
    fn another_id_is_another_topic() {
        let (mut topic, start) = (Topic::new("t", 2, PATIENCE), Instant::now());
        let with = |id| Ok(TopicShape { id: Some([id; 16]), ..seen(2) });
        assert_eq!(topic.look(Ok(seen(2)), start), None);
        assert_eq!(topic.look(with(1), start), None);
        assert_eq!(topic.look(with(2), start), None, "a broker may not be up to date");
        assert_eq!(topic.look(with(1), start + super::PATIENCE), None);
        assert_eq!(topic.look(with(2), start), None);
        assert_eq!(topic.look(with(2), start + PATIENCE), None, "whoever reads it says more");
        assert_eq!(topic.look(no_word(), start + PATIENCE), None);
        let reason = topic.look(with(2), start + super::PATIENCE).unwrap();
        assert!(reason.contains("was deleted and created anew"), "{reason}");
        assert!(reason.contains("another topic has its name, for 30 s now"), "{reason}");
    }

    #[test]
    fn fewer_partitions_are_another_topic() {
        let (mut topic, start) = (Topic::new("t", 2, PATIENCE), Instant::now());
        assert_eq!(topic.look(Ok(seen(1)), start), None);
        let reason = topic.look(Ok(seen(1)), start + PATIENCE).unwrap();
        assert!(
            reason.contains("created anew") && reason.contains("it has 1 partition, and had 2"),
            "{reason}"
        );
    }

    #[test]
    fn patience_follows_the_age_of_metadata_within_bounds() {
        let patience = |age| {
            let topics = vec![("t".into(), 1)];
            Watched::new(&WatchedTopics { topics, metadata_max_age: age }).topics[0].patience
        };
        assert_eq!(patience(Duration::from_secs(15)), Duration::from_secs(30));
        assert_eq!(patience(Duration::from_hours(1)), Duration::from_secs(30));
        assert_eq!(patience(Duration::from_millis(10)), Duration::from_secs(2));
    }
}
