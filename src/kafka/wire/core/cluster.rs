//! Who leads the partitions of one topic, and when to ask for it again.

use std::rc::Rc;

use crate::kafka::wire::protocol::{LeaderHint, MetadataResponse, PartitionMetadata, TopicId};

/// A broker's address, as the cluster names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Its id.
    pub id: i32,
    /// Its name, or its IP address.
    pub host: Rc<str>,
    /// Its port.
    pub port: u16,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The broker's id.
    pub broker: i32,
    /// The epoch in which it leads; -1 is not known.
    pub epoch: i32,
}

/// How often is asked.
#[derive(Clone, Copy, Debug)]
pub struct RefreshTimes {
    /// After so long in any case, µs.
    pub age_us: u64,
    /// Not sooner than so long after the last time, where something is suspected, µs; doubled while nothing comes of it.
    pub shortest_us: u64,
    /// The longest such time, µs.
    pub longest_us: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// `None`: nobody leads it, as far as is known.
    broker: Option<i32>,
    /// The newest epoch that was heard of; `None`: none was.
    epoch: Option<i32>,
}

/// What is known of a cluster and one topic in it.
#[derive(Debug)]
pub struct Cluster {
    topic: Rc<str>,
    topic_id: TopicId,
    brokers: Vec<BrokerAddress>,
    partitions: Vec<Known>,
    /// What was answered about the topic last; `None`: nothing yet.
    topic_error: Option<i16>,
    times: RefreshTimes,
    asked_us: Option<u64>,
    is_asking: bool,
    suspected: bool,
    pause_us: u64,
    /// How often what is known has changed.
    version: u64,
}

/// More partitions than any cluster has: a number above it is a broker's nonsense, and takes no memory.
const MOST_PARTITIONS: i32 = 1_000_000;

impl Cluster {
    /// Nothing is known yet, and it is to be asked at once.
    #[must_use]
    pub fn new(topic: &str, times: RefreshTimes) -> Self {
        Self {
            topic: topic.into(),
            topic_id: TopicId::default(),
            brokers: Vec::new(),
            partitions: Vec::new(),
            topic_error: None,
            times,
            asked_us: None,
            is_asking: false,
            suspected: true,
            pause_us: times.shortest_us,
            version: 0,
        }
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &Rc<str> {
        &self.topic
    }

    /// The topic's id, where the cluster has told one.
    #[must_use]
    pub fn topic_id(&self) -> Option<TopicId> {
        Some(self.topic_id).filter(|id| *id != TopicId::default())
    }

    /// What the cluster said of the topic last: an error, or 0; `None`: nothing yet.
    #[must_use]
    pub fn topic_error(&self) -> Option<i16> {
        self.topic_error
    }

    /// Partitions that the topic has, as far as is known.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Whether the topic has this partition, as far as is known.
    #[must_use]
    pub fn has(&self, partition: i32) -> bool {
        usize::try_from(partition).is_ok_and(|partition| partition < self.partitions.len())
    }

    /// Changes with each change of what is known.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The brokers that are alive, as far as is known.
    #[must_use]
    pub fn brokers(&self) -> &[BrokerAddress] {
        &self.brokers
    }

    /// Who leads a partition; `None`: nobody, or nobody knows.
    #[must_use]
    #[inline]
    pub fn leader(&self, partition: i32) -> Option<Leader> {
        let known = self.partitions.get(usize::try_from(partition).ok()?)?;
        Some(Leader { broker: known.broker?, epoch: known.epoch.unwrap_or(-1) })
    }

    /// Takes an answer in.
    pub fn learn(&mut self, answer: &MetadataResponse<'_>) {
        self.is_asking = false;
        self.suspected = false;
        let mut changed = self.learn_brokers(answer);
        let topic = answer.topics.iter().find(|topic| topic.name == &*self.topic);
        self.topic_error = Some(topic.map_or(answer.error, |topic| topic.error));
        // An answer without the topic may come from a broker that has just started: what was known stays.
        if let Some(topic) = topic.filter(|topic| topic.error == 0 || !topic.partitions.is_empty()) {
            if topic.id != self.topic_id {
                // Another topic of that name: its epochs begin anew.
                changed |= self.topic_id != TopicId::default();
                self.partitions.iter_mut().for_each(|known| known.epoch = None);
                self.topic_id = topic.id;
            }
            for partition in &topic.partitions {
                changed |= self.learn_partition(partition);
            }
        }
        let is_whole = self.topic_error == Some(0) && self.partitions.iter().all(|p| p.broker.is_some());
        self.suspected |= !is_whole;
        if changed {
            self.version += 1;
            self.pause_us = self.times.shortest_us;
        }
    }

    /// Takes in which brokers there are, by id, name and port, where only they were told. One that knows no broker, itself
    /// included, knows nothing.
    pub fn name_brokers<'a>(&mut self, brokers: impl Iterator<Item = (i32, &'a str, u16)>) {
        let told = brokers.map(|(id, host, port)| BrokerAddress { id, host: host.into(), port });
        let told: Vec<_> = told.collect();
        if !told.is_empty() && told != self.brokers {
            self.brokers = told;
            self.version += 1;
        }
    }

    fn learn_brokers(&mut self, answer: &MetadataResponse<'_>) -> bool {
        let is_known = |(known, told): (&BrokerAddress, &crate::kafka::wire::protocol::Broker<'_>)| {
            known.id == told.id && &*known.host == told.host && i32::from(known.port) == told.port
        };
        let same = self.brokers.len() == answer.brokers.len();
        // A broker that knows no other one, itself included, knows nothing.
        if answer.brokers.is_empty() || same && self.brokers.iter().zip(&answer.brokers).all(is_known) {
            return false;
        }
        self.brokers.clear();
        self.brokers.extend(answer.brokers.iter().filter_map(|told| {
            let port = u16::try_from(told.port).ok()?;
            Some(BrokerAddress { id: told.id, host: told.host.into(), port })
        }));
        true
    }

    fn learn_partition(&mut self, told: &PartitionMetadata<'_>) -> bool {
        if !(0..MOST_PARTITIONS).contains(&told.partition) {
            return false;
        }
        let index = usize::try_from(told.partition).unwrap_or(0);
        if self.partitions.len() <= index {
            self.partitions.resize(index + 1, Known::default());
        }
        let known = &mut self.partitions[index];
        let epoch = Some(told.leader_epoch).filter(|epoch| *epoch >= 0);
        // Brokers learn of elections one after the other: what is older than what is known is no news.
        if epoch < known.epoch {
            self.suspected |= epoch.is_some();
            return false;
        }
        let now = Known { broker: Some(told.leader).filter(|leader| *leader >= 0), epoch };
        std::mem::replace(known, now) != now
    }

    /// Takes in what a broker that does not lead a partition any more says of its leader (KIP-951). Returns whether that
    /// was news, and can be used.
    pub fn hint(&mut self, partition: i32, hint: LeaderHint) -> bool {
        let is_there = self.brokers.iter().any(|broker| broker.id == hint.leader);
        let known = usize::try_from(partition).ok().and_then(|index| self.partitions.get_mut(index));
        let Some(known) = known.filter(|known| hint.epoch >= 0 && Some(hint.epoch) > known.epoch) else {
            return false;
        };
        if is_there {
            *known = Known { broker: Some(hint.leader), epoch: Some(hint.epoch) };
            self.version += 1;
        }
        is_there
    }

    /// What is known does not hold any more: it is to be asked soon.
    pub fn suspect(&mut self) {
        self.suspected = true;
    }

    /// When to ask, µs; `u64::MAX` while an answer is awaited.
    #[must_use]
    pub fn ask_at_us(&self) -> u64 {
        let Some(asked_us) = self.asked_us else { return 0 };
        if self.is_asking {
            return u64::MAX;
        }
        let pause_us = if self.suspected { self.pause_us } else { self.times.age_us };
        asked_us.saturating_add(pause_us)
    }

    /// It is being asked.
    pub fn asked(&mut self, now_us: u64) {
        if self.suspected && self.asked_us.is_some() {
            self.pause_us = (self.pause_us * 2).min(self.times.longest_us);
        }
        self.asked_us = Some(now_us);
        self.is_asking = true;
    }

    /// There will be no answer.
    pub fn not_answered(&mut self) {
        self.is_asking = false;
        self.suspected = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::wire::protocol::{Broker, Replicas, TopicMetadata};

    const TIMES: RefreshTimes = RefreshTimes { age_us: 1_000_000, shortest_us: 50, longest_us: 400 };

    fn answer(id: u8, partitions: &[(i32, i32, i32)]) -> MetadataResponse<'static> {
        let partition = |&(partition, leader, leader_epoch): &(i32, i32, i32)| PartitionMetadata {
            error: 0,
            partition,
            leader,
            leader_epoch,
            replicas: Replicas::default(),
        };
        MetadataResponse {
            throttle_time_ms: 0,
            brokers: vec![Broker { id: 1, host: "a", port: 9092 }, Broker { id: 2, host: "b", port: 9092 }],
            cluster_id: None,
            controller: 1,
            topics: vec![TopicMetadata {
                error: 0,
                name: "t",
                id: [id; 16],
                partitions: partitions.iter().map(partition).collect(),
            }],
            error: 0,
        }
    }

    fn led(cluster: &Cluster, partition: i32) -> Option<(i32, i32)> {
        cluster.leader(partition).map(|Leader { broker, epoch }| (broker, epoch))
    }

    #[test]
    fn what_is_older_than_what_is_known_is_no_news() {
        let mut cluster = Cluster::new("t", TIMES);
        cluster.learn(&answer(1, &[(0, 1, 5), (1, 2, 5)]));
        let version = cluster.version();
        cluster.learn(&answer(1, &[(0, 2, 4), (1, 2, 5)]));
        assert_eq!((led(&cluster, 0), cluster.version()), (Some((1, 5)), version));
        cluster.learn(&answer(1, &[(0, 2, 6)]));
        assert_eq!(
            (led(&cluster, 0), led(&cluster, 1)),
            (Some((2, 6)), Some((2, 5))),
            "one that is not told stays"
        );
        cluster.learn(&answer(2, &[(0, 1, 0)]));
        assert_eq!(led(&cluster, 0), Some((1, 0)), "another topic of that name");
    }

    #[test]
    fn an_answer_without_the_topic_forgets_nothing() {
        let mut cluster = Cluster::new("t", TIMES);
        cluster.learn(&answer(1, &[(0, 1, 5)]));
        let mut denied = answer(1, &[]);
        denied.topics[0].error = 3;
        cluster.learn(&denied);
        assert_eq!((led(&cluster, 0), cluster.topic_error()), (Some((1, 5)), Some(3)));
        cluster.asked(0);
        cluster.not_answered();
        assert!(cluster.ask_at_us() < TIMES.age_us, "it is asked again soon");
    }

    #[test]
    fn hints_count_when_they_are_newer_and_name_a_known_broker() {
        let mut cluster = Cluster::new("t", TIMES);
        cluster.learn(&answer(1, &[(0, 1, 5)]));
        assert!(!cluster.hint(0, LeaderHint { leader: 2, epoch: 5 }));
        assert!(!cluster.hint(0, LeaderHint { leader: 9, epoch: 6 }), "its address is not known");
        assert_eq!(led(&cluster, 0), Some((1, 5)));
        assert!(cluster.hint(0, LeaderHint { leader: 2, epoch: 6 }));
        assert_eq!(led(&cluster, 0), Some((2, 6)));
        assert!(!cluster.hint(7, LeaderHint { leader: 2, epoch: 6 }));
    }

    #[test]
    fn suspicions_are_followed_with_pauses_that_grow() {
        let mut cluster = Cluster::new("t", TIMES);
        let whole = answer(1, &[(0, 1, 5)]);
        assert_eq!(cluster.ask_at_us(), 0);
        cluster.asked(10);
        assert_eq!(cluster.ask_at_us(), u64::MAX);
        cluster.learn(&whole);
        assert_eq!(cluster.ask_at_us(), 10 + TIMES.age_us);
        let mut asked_us = 1_000;
        for pause_us in [50, 100, 200, 400, 400] {
            cluster.suspect();
            cluster.asked(asked_us);
            cluster.learn(&whole);
            cluster.suspect();
            let next_us = asked_us + (pause_us * 2).min(TIMES.longest_us);
            assert_eq!(cluster.ask_at_us(), next_us);
            asked_us = next_us;
        }
        cluster.learn(&answer(1, &[(0, 2, 6)]));
        cluster.suspect();
        assert_eq!(cluster.ask_at_us(), asked_us - 400 + 50, "news make it quick again");
    }

    #[test]
    fn a_partition_without_a_leader_is_asked_for_again() {
        let mut cluster = Cluster::new("t", TIMES);
        cluster.asked(0);
        cluster.learn(&answer(1, &[(0, -1, 5), (1, 1, 1)]));
        assert_eq!(led(&cluster, 0), None);
        assert_eq!(cluster.ask_at_us(), TIMES.shortest_us);
    }
}
