//! Who leads the partitions of a table, and when to ask for it again.

use std::{rc::Rc, sync::Arc};

use crate::{
    kafka::wire::protocol::{LeaderHint, MetadataResponse, PartitionMetadata, TopicId, TopicRef, TopicRefs},
    mutants::enforced,
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
};

/// A broker's address, as the cluster names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerAddress {
    /// Its id.
    pub id: i32,
    /// Its name, or its IP address.
    pub host: Rc<str>,
    /// Its port.
    pub port: u16,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    /// The broker's id.
    pub broker: i32,
    /// The epoch in which it leads; -1 is not known.
    pub epoch: i32,
}

/// How often is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshTimes {
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

/// What is known of a topic as a whole.
#[derive(Clone, Copy, Debug, Default)]
struct KnownTopic {
    /// How many partitions it has.
    partitions: i32,
    /// What was answered about it last; `None`: nothing yet.
    error: Option<i16>,
}

/// What is known of a cluster and a table's topics in it.
#[derive(Debug)]
pub(crate) struct Cluster {
    table: Arc<PartitionTable>,
    /// By topic.
    topics: Vec<KnownTopic>,
    /// By topic; zeros where the cluster has told none.
    ids: Vec<TopicId>,
    brokers: Vec<BrokerAddress>,
    /// By slot.
    partitions: Vec<Known>,
    times: RefreshTimes,
    asked_us: Option<u64>,
    is_asking: bool,
    suspected: bool,
    pause_us: u64,
    /// How often what is known has changed.
    version: u64,
}

/// The id of a topic whose id is not known.
const NO_ID: TopicId = [0; 16];
/// More partitions than any topic has: a number above it is a broker's nonsense.
const MOST_PARTITIONS: i32 = 1_000_000;

impl Cluster {
    /// Nothing is known yet, and it is to be asked at once.
    #[must_use]
    pub(crate) fn new(table: Arc<PartitionTable>, times: RefreshTimes) -> Self {
        Self {
            topics: vec![KnownTopic::default(); table.topics().len()],
            ids: vec![NO_ID; table.topics().len()],
            brokers: Vec::new(),
            partitions: vec![Known::default(); table.count()],
            table,
            times,
            asked_us: None,
            is_asking: false,
            suspected: true,
            pause_us: times.shortest_us,
            version: 0,
        }
    }

    /// The topics and partitions that it is about.
    #[must_use]
    pub(crate) fn table(&self) -> &Arc<PartitionTable> {
        &self.table
    }

    /// By what a request names the topics that could have this version, and which version it has: from `by_id_from` on they
    /// have to be named by their ids, which the cluster may not have told.
    #[must_use]
    pub(crate) fn topics(&self, version: i16, by_id_from: i16) -> (i16, TopicRefs<'_>) {
        if version >= by_id_from && !self.ids.contains(&NO_ID) {
            (version, TopicRefs::Ids(&self.ids))
        } else {
            (version.min(by_id_from - 1), TopicRefs::Names(self.table.topics()))
        }
    }

    /// The slot of a partition that an answer names.
    #[must_use]
    pub(crate) fn slot(&self, topic: TopicRef<'_>, partition: i32) -> Option<PartitionSlot> {
        let topic = match topic {
            TopicRef::Name(name) => self.table.topic_named(name)?,
            TopicRef::Id(NO_ID) => return None,
            TopicRef::Id(id) => self.ids.iter().position(|known| *known == id)?,
        };
        self.table.slot(TopicPartition { topic, partition })
    }

    /// Whether it has said anything about the topics.
    #[must_use]
    pub(crate) fn has_answered(&self) -> bool {
        self.topics.iter().any(|topic| topic.error.is_some())
    }

    fn topic_of(&self, slot: PartitionSlot) -> KnownTopic {
        self.topics[self.table.place(slot).topic]
    }

    /// What the cluster said of a partition's topic last: an error, or 0; `None`: nothing yet.
    #[must_use]
    pub(crate) fn topic_error(&self, slot: PartitionSlot) -> Option<i16> {
        self.topic_of(slot).error
    }

    /// Whether a partition's topic has any partitions, as far as is known.
    #[must_use]
    pub(crate) fn has_topic(&self, slot: PartitionSlot) -> bool {
        self.topic_of(slot).partitions > 0
    }

    /// Whether there is this partition, as far as is known.
    #[must_use]
    pub(crate) fn has(&self, slot: PartitionSlot) -> bool {
        self.table.partition(slot) < self.topic_of(slot).partitions
    }

    /// Changes with each change of what is known.
    #[must_use]
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The brokers that are alive, as far as is known.
    #[must_use]
    pub(crate) fn brokers(&self) -> &[BrokerAddress] {
        &self.brokers
    }

    /// Who leads a partition; `None`: nobody, or nobody knows.
    #[must_use]
    #[inline]
    pub(crate) fn leader(&self, slot: PartitionSlot) -> Option<Leader> {
        let known = self.partitions.get(slot.index())?;
        Some(Leader { broker: known.broker?, epoch: known.epoch.unwrap_or(-1) })
    }

    /// Takes an answer in.
    pub(crate) fn learn(&mut self, answer: &MetadataResponse<'_>) {
        self.is_asking = false;
        self.suspected = false;
        let mut changed = self.learn_brokers(answer);
        for topic in 0..self.topics.len() {
            changed |= self.learn_topic(topic, answer);
        }
        let is_whole = |slot| !self.has(slot) || self.leader(slot).is_some();
        let are_there = answer.error == 0 && self.topics.iter().all(|topic| topic.error == Some(0));
        self.suspected |= !(are_there && self.table.slots().all(is_whole));
        if changed {
            self.version += 1;
            self.pause_us = self.times.shortest_us;
        }
    }

    /// Returns whether something is known now that was not.
    fn learn_topic(&mut self, topic: usize, answer: &MetadataResponse<'_>) -> bool {
        let named = answer.topics.iter().find(|told| told.name == &*self.table.topics()[topic]);
        self.topics[topic].error = Some(named.map_or(answer.error, |told| told.error));
        // An answer without the topic may come from a broker that has just started: what was known stays.
        let Some(told) = named.filter(|told| told.error == 0 || !told.partitions.is_empty()) else {
            return false;
        };
        let mut changed = false;
        if told.id != self.ids[topic] {
            // Another topic of that name: its epochs begin anew.
            changed = self.ids[topic] != NO_ID;
            for slot in self.table.slots().filter(|slot| self.table.place(*slot).topic == topic) {
                self.partitions[slot.index()].epoch = None;
            }
            self.ids[topic] = told.id;
        }
        for partition in &told.partitions {
            changed |= self.learn_partition(topic, partition);
        }
        changed
    }

    /// Takes in which brokers there are, by id, name and port, where only they were told. One that knows no broker, itself
    /// included, knows nothing.
    pub(crate) fn name_brokers<'a>(&mut self, brokers: impl Iterator<Item = (i32, &'a str, u16)>) {
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

    fn learn_partition(&mut self, topic: usize, told: &PartitionMetadata<'_>) -> bool {
        let partition = told.partition;
        if !(0..MOST_PARTITIONS).contains(&partition) {
            return false;
        }
        let known = &mut self.topics[topic];
        let is_more = partition >= known.partitions;
        known.partitions = known.partitions.max(partition + 1);
        let Some(slot) = self.table.slot(TopicPartition { topic, partition }) else { return is_more };
        let known = &mut self.partitions[slot.index()];
        let epoch = Some(told.leader_epoch).filter(|epoch| *epoch >= 0);
        // Brokers learn of elections one after the other: what is older than what is known is no news.
        if epoch < known.epoch && enforced("wire-older-is-no-news") {
            self.suspected |= epoch.is_some();
            return false;
        }
        let now = Known { broker: Some(told.leader).filter(|leader| *leader >= 0), epoch };
        std::mem::replace(known, now) != now
    }

    /// Takes in what a broker that does not lead a partition any more says of its leader (KIP-951). Returns whether that
    /// was news, and can be used.
    pub(crate) fn hint(&mut self, slot: PartitionSlot, hint: LeaderHint) -> bool {
        let is_there = self.brokers.iter().any(|broker| broker.id == hint.leader);
        let known = self.partitions.get_mut(slot.index());
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
    pub(crate) fn suspect(&mut self) {
        self.suspected |= enforced("wire-suspects");
    }

    /// When to ask, µs; `u64::MAX` while an answer is awaited.
    #[must_use]
    pub(crate) fn ask_at_us(&self) -> u64 {
        let Some(asked_us) = self.asked_us else { return 0 };
        if self.is_asking {
            return u64::MAX;
        }
        let pause_us = if self.suspected { self.pause_us } else { self.times.age_us };
        asked_us.saturating_add(pause_us)
    }

    /// It is being asked.
    pub(crate) fn asked(&mut self, now_us: u64) {
        if self.suspected && self.asked_us.is_some() {
            self.pause_us = (self.pause_us * 2).min(self.times.longest_us);
        }
        self.asked_us = Some(now_us);
        self.is_asking = true;
    }

    /// There will be no answer.
    pub(crate) fn not_answered(&mut self) {
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
                rights: None,
                error: 0,
                name: "t",
                id: [id; 16],
                partitions: partitions.iter().map(partition).collect(),
            }],
            error: 0,
        }
    }

    fn cluster() -> Cluster {
        Cluster::new(Arc::new(PartitionTable::of_topic("t", 0..2)), TIMES)
    }

    fn led(cluster: &Cluster, slot: u32) -> Option<(i32, i32)> {
        cluster.leader(PartitionSlot::new(slot)).map(|Leader { broker, epoch }| (broker, epoch))
    }

    #[test]
    fn what_is_older_than_what_is_known_is_no_news() {
        let mut cluster = cluster();
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
        let mut cluster = cluster();
        cluster.learn(&answer(1, &[(0, 1, 5)]));
        let mut denied = answer(1, &[]);
        denied.topics[0].error = 3;
        cluster.learn(&denied);
        assert_eq!((led(&cluster, 0), cluster.topic_error(PartitionSlot::new(0))), (Some((1, 5)), Some(3)));
        cluster.asked(0);
        cluster.not_answered();
        assert!(cluster.ask_at_us() < TIMES.age_us, "it is asked again soon");
    }

    #[test]
    fn hints_count_when_they_are_newer_and_name_a_known_broker() {
        let mut cluster = cluster();
        cluster.learn(&answer(1, &[(0, 1, 5)]));
        assert!(!cluster.hint(PartitionSlot::new(0), LeaderHint { leader: 2, epoch: 5 }));
        assert!(
            !cluster.hint(PartitionSlot::new(0), LeaderHint { leader: 9, epoch: 6 }),
            "its address is not known"
        );
        assert_eq!(led(&cluster, 0), Some((1, 5)));
        assert!(cluster.hint(PartitionSlot::new(0), LeaderHint { leader: 2, epoch: 6 }));
        assert_eq!(led(&cluster, 0), Some((2, 6)));
        assert!(!cluster.hint(PartitionSlot::new(7), LeaderHint { leader: 2, epoch: 6 }));
    }

    #[test]
    fn suspicions_are_followed_with_pauses_that_grow() {
        let mut cluster = cluster();
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
        let mut cluster = cluster();
        cluster.asked(0);
        cluster.learn(&answer(1, &[(0, -1, 5), (1, 1, 1)]));
        assert_eq!(led(&cluster, 0), None);
        assert_eq!(cluster.ask_at_us(), TIMES.shortest_us);
    }

    #[test]
    fn topics_are_told_apart_by_name_or_id() {
        let mut table = PartitionTable::of_topic("t", 0..2);
        let topic = table.add_topic("u");
        let other = table.add(TopicPartition { topic, partition: 0 }).unwrap();
        let mut cluster = Cluster::new(Arc::new(table), TIMES);
        let mut both = answer(1, &[(0, 1, 5), (1, 2, 5)]);
        let one = both.topics[0].clone();
        cluster.learn(&both);
        assert_eq!((cluster.leader(other), cluster.has_topic(other)), (None, false));
        assert!(matches!(cluster.topics(13, 13), (12, TopicRefs::Names(_))), "one of them has no id");
        both.topics.insert(0, TopicMetadata { name: "u", id: [2; 16], ..one });
        cluster.learn(&both);
        assert!(matches!(cluster.topics(13, 13), (13, TopicRefs::Ids([[1, ..], [2, ..]]))));
        assert_eq!(cluster.slot(TopicRef::Name("u"), 0), Some(other));
        assert_eq!(cluster.slot(TopicRef::Id([2; 16]), 0), Some(other));
        assert_eq!(cluster.slot(TopicRef::Id([1; 16]), 0), Some(PartitionSlot::new(0)));
        for unknown in [TopicRef::Id([0; 16]), TopicRef::Id([3; 16]), TopicRef::Name("v")] {
            assert_eq!(cluster.slot(unknown, 0), None, "{unknown:?}");
        }
        assert_eq!(cluster.slot(TopicRef::Name("u"), 1), None, "nobody wants it");
        assert!(cluster.hint(other, LeaderHint { leader: 2, epoch: 6 }));
        assert_eq!((led(&cluster, 0), led(&cluster, 2)), (Some((1, 5)), Some((2, 6))));
    }
}
