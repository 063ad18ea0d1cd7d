//! Who is in charge of what, as the cluster says: leaders of partitions, coordinators of groups and transactions.
//! Asked where something is waited for, to say from whom.

use std::{collections::BTreeSet, time::Duration};

use super::{Described, Observer, Resource};
use crate::{findings::Awaited, kafka::KafkaError};

/// Names that a line gets at the most.
const NAMED: usize = 12;
/// How long the cluster has to say which brokers it has.
const BROKERS_LIMIT: Duration = Duration::from_millis(1_500);

/// The leaders of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaders {
    /// Partitions that have one.
    led: BTreeSet<i32>,
    /// Partitions that have none, with the brokers that hold their replicas.
    unled: Vec<(i32, Vec<i32>)>,
    /// Brokers that the cluster lists.
    brokers: BTreeSet<i32>,
}

/// Somebody whom the cluster puts in charge of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coordinator<'a> {
    /// Of this group.
    Group(&'a str),
    /// Of this transactional id.
    Transactions(&'a str),
}

/// Why something has to be waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What is waited for, from whom, and who can mend it.
    pub awaited: Awaited,
    /// The cluster says what is missing.
    pub is_known: bool,
    /// The cluster cannot give it as it is set up: somebody has to change that.
    pub is_denied: bool,
}

impl Leaders {
    fn of(described: &Described) -> Self {
        let brokers: BTreeSet<i32> = described.brokers.iter().map(|broker| broker.id).collect();
        let mut leaders = Self { brokers, ..Self::default() };
        for partition in &described.partitions {
            if partition.leader >= 0 && leaders.brokers.contains(&partition.leader) {
                leaders.led.insert(partition.id);
            } else {
                leaders.unled.push((partition.id, partition.replicas.clone()));
            }
        }
        leaders
    }

    /// Whether this partition has a leader.
    #[must_use]
    pub(crate) fn leads(&self, partition: i32) -> bool {
        self.led.contains(&partition)
    }

    /// What is waited for where partitions have no leader; `None` where all have one.
    fn awaited(&self, topic: &str) -> Option<Awaited> {
        if self.unled.is_empty() {
            return None;
        }
        let partitions: Vec<i32> = self.unled.iter().map(|(partition, _)| *partition).collect();
        let replicas = self.unled.iter().flat_map(|(_, replicas)| replicas);
        let away: BTreeSet<i32> = replicas.copied().filter(|broker| !self.brokers.contains(broker)).collect();
        let (from, remedy) = if away.is_empty() {
            let from = format!(
                "topic {topic}: the brokers of their replicas are up, and the controller has elected none"
            );
            (from, "look at the controller's log".to_owned())
        } else {
            let brokers = named("broker", away);
            let verb = if brokers.starts_with("brokers") { "are" } else { "is" };
            let from = format!("topic {topic}: their replicas are on {brokers}, which {verb} not up");
            (from, format!("start {brokers}, or move the replicas"))
        };
        Some(Awaited { what: format!("a leader of {}", named("partition", partitions)), from, remedy })
    }
}

/// `partition 3`, or `partitions 3, 5 and 7`.
pub(crate) fn named(what: &str, ids: impl IntoIterator<Item = i32>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    match ids.as_slice() {
        [] => format!("no {what}"),
        [one] => format!("{what} {one}"),
        [first @ .., last] if ids.len() <= NAMED => format!("{what}s {} and {last}", first.join(", ")),
        _ => format!("{what}s {} and {} more", ids[..NAMED].join(", "), ids.len() - NAMED),
    }
}

impl<'a> Coordinator<'a> {
    fn name(self) -> &'a str {
        match self {
            Self::Group(name) | Self::Transactions(name) => name,
        }
    }

    fn what(self) -> String {
        match self {
            Self::Group(name) => format!("the coordinator of group '{name}'"),
            Self::Transactions(id) => format!("the coordinator of transactional id '{id}'"),
        }
    }

    /// The topic whose leaders they are, and the brokers' setting that says how many replicas it gets.
    fn topic(self) -> (&'static str, &'static str) {
        match self {
            Self::Group(_) => ("__consumer_offsets", "offsets.topic.replication.factor"),
            Self::Transactions(_) => ("__transaction_state", "transaction.state.log.replication.factor"),
        }
    }

    /// The partition of that topic whose leader it is: Java's hash of the name.
    fn partition(self, partitions: usize) -> i32 {
        let hash = self
            .name()
            .encode_utf16()
            .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX).max(1);
        (hash & i32::MAX) % partitions
    }

    /// There is no topic of coordinators. `replicas` is how many it is to get, where a broker has said so.
    fn not_made(self, brokers: usize, replicas: Option<usize>) -> Trouble {
        let (topic, setting) = self.topic();
        let what = self.what();
        match replicas.filter(|replicas| *replicas > brokers) {
            Some(replicas) => Trouble {
                awaited: Awaited {
                    what,
                    from: format!(
                        "topic {topic}, which the cluster cannot make: {setting}={replicas}, and it has {brokers} \
                         {}",
                        if brokers == 1 { "broker" } else { "brokers" }
                    ),
                    remedy: format!(
                        "set {setting} to {brokers} or less at the brokers, or start more of them"
                    ),
                },
                is_known: true,
                is_denied: true,
            },
            None => Trouble {
                awaited: Awaited {
                    what,
                    from: format!("topic {topic}, which is not there yet"),
                    remedy: format!("check that {setting} is not above the number of brokers"),
                },
                is_known: true,
                is_denied: false,
            },
        }
    }
}

impl From<Awaited> for Trouble {
    fn from(awaited: Awaited) -> Self {
        Self { awaited, is_known: true, is_denied: false }
    }
}

impl Observer {
    /// Who leads the partitions of a topic; waits for the answer, but not long.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub(crate) fn leaders(&self, topic: &str) -> Result<Leaders, KafkaError> {
        self.describe(topic).map(|described| Leaders::of(&described))
    }

    /// What is waited for where workers on a topic do not come on, if the cluster says that something is missing.
    #[must_use]
    pub(crate) fn trouble_with_topic(&self, topic: &str) -> Option<Awaited> {
        match self.leaders(topic) {
            Ok(leaders) => leaders.awaited(topic),
            Err(error) if error.is_unknown_topic() => Some(Awaited {
                what: format!("topic {topic}, which is not there"),
                from: format!("the brokers at {}", self.bootstrap()),
                remedy: "create it, or check --topic".to_owned(),
            }),
            Err(error) => Some(self.no_answer(error)),
        }
    }

    fn no_answer(&self, error: KafkaError) -> Awaited {
        Awaited {
            what: "an answer".to_owned(),
            from: format!("the brokers at {}: {error}", self.bootstrap()),
            remedy: "start them, or check the network".to_owned(),
        }
    }

    /// What is waited for where a coordinator is; waits for answers, but not long.
    #[must_use]
    pub(crate) fn trouble_with(&self, coordinator: Coordinator<'_>) -> Trouble {
        let (topic, setting) = coordinator.topic();
        match self.leaders(topic) {
            Ok(leaders) => {
                let partition = coordinator.partition(leaders.led.len() + leaders.unled.len());
                let own = Leaders {
                    unled: leaders.unled.iter().filter(|(unled, _)| *unled == partition).cloned().collect(),
                    ..leaders
                };
                let no_leader =
                    own.awaited(topic).map(|awaited| Awaited { what: coordinator.what(), ..awaited });
                let is_known = no_leader.is_some();
                let awaited = no_leader.unwrap_or_else(|| Awaited {
                    what: format!("an answer of {}", coordinator.what()),
                    from: format!("the leader of partition {partition} of {topic}, which is up"),
                    remedy: "look at that broker's log".to_owned(),
                });
                Trouble { awaited, is_known, is_denied: false }
            }
            Err(error) if error.is_unknown_topic() => {
                let brokers = self.brokers_within(BROKERS_LIMIT).unwrap_or_default();
                let replicas = brokers.first().and_then(|id| self.setting(Resource::Broker(*id), setting));
                coordinator.not_made(brokers.len(), replicas.and_then(|replicas| replicas.parse().ok()))
            }
            Err(error) => self.no_answer(error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaders(led: &[i32], unled: &[(i32, &[i32])], brokers: &[i32]) -> Leaders {
        Leaders {
            led: led.iter().copied().collect(),
            unled: unled.iter().map(|(partition, replicas)| (*partition, replicas.to_vec())).collect(),
            brokers: brokers.iter().copied().collect(),
        }
    }

    #[test]
    fn partitions_without_a_leader_name_the_broker_that_is_away() {
        assert_eq!(leaders(&[0, 1], &[], &[0]).awaited("t"), None);
        let awaited = leaders(&[1], &[(0, &[2]), (2, &[2])], &[0, 1]).awaited("t").unwrap().to_string();
        assert_eq!(
            awaited,
            "a leader of partitions 0 and 2 (topic t: their replicas are on broker 2, which is not up): \
             start broker 2, or move the replicas"
        );
        let awaited = leaders(&[], &[(0, &[2])], &[2]).awaited("t").unwrap().to_string();
        assert!(awaited.contains("the controller has elected none"), "{awaited}");
    }

    #[test]
    fn names_are_listed_as_people_do_and_not_without_end() {
        assert_eq!(named("partition", [3]), "partition 3");
        assert_eq!(named("partition", [3, 5, 7]), "partitions 3, 5 and 7");
        assert_eq!(named("partition", 0..20), "partitions 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more");
    }

    #[test]
    fn a_topic_of_coordinators_that_cannot_be_made_is_a_refusal() {
        let coordinator = Coordinator::Transactions("x");
        let refused = coordinator.not_made(1, Some(3));
        assert!(refused.is_denied);
        let text = refused.awaited.to_string();
        for said in ["transactional id 'x'", "transaction.state.log.replication.factor=3", "has 1 broker"] {
            assert!(text.contains(said), "{text}");
        }
        assert!(!coordinator.not_made(3, Some(3)).is_denied, "it is on its way");
        assert!(!coordinator.not_made(1, None).is_denied, "nobody has said so");
    }

    #[test]
    fn the_coordinator_s_partition_is_java_s() {
        // "kgo".hashCode() == 106131
        assert_eq!(Coordinator::Group("kgo").partition(50), 106_131 % 50);
        // A negative hash: "polygenelubricants".hashCode() == Integer.MIN_VALUE
        assert_eq!(Coordinator::Group("polygenelubricants").partition(50), 0);
    }
}
