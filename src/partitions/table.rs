//! From slots to topics and partitions, and back.

use std::sync::Arc;

use super::PartitionSlot;

/// A partition's topic and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Place of the topic among the table's.
    pub topic: usize,
    /// The partition's number in it.
    pub partition: i32,
}

/// Topics, and the partitions of them that somebody works with. It grows while it is put together, and is shared then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionTable {
    topics: Vec<Arc<str>>,
    /// By topic, the place of its partition 0 in the ledger.
    first_places: Vec<i32>,
    /// The partitions, by slot.
    places: Vec<TopicPartition>,
    /// By topic and by number, the slot.
    slots: Vec<Vec<Option<PartitionSlot>>>,
}

impl PartitionTable {
    /// These partitions of one topic, in this order. A number that no partition can have is left out.
    #[must_use]
    pub fn of_topic(topic: &str, partitions: impl IntoIterator<Item = i32>) -> Self {
        let mut table = Self::default();
        let topic = table.add_topic(topic);
        for partition in partitions {
            table.add(TopicPartition { topic, partition });
        }
        table
    }

    /// The topic's place, which it gets if it is not there yet. A client learns who leads a topic's partitions although none
    /// of them has a slot.
    pub fn add_topic(&mut self, topic: &str) -> usize {
        self.topic_named(topic).unwrap_or_else(|| {
            self.topics.push(topic.into());
            self.first_places.push(0);
            self.slots.push(Vec::new());
            self.topics.len() - 1
        })
    }

    /// As [`Self::add_topic`], of a topic whose partitions are listed in a ledger behind those of others, from this place on.
    pub fn add_topic_at(&mut self, topic: &str, first_place: i32) -> usize {
        let topic = self.add_topic(topic);
        self.first_places[topic] = first_place;
        topic
    }

    /// The partition's slot, which it gets if it has none; `None` where there is no such topic, or can be no such partition.
    pub fn add(&mut self, place: TopicPartition) -> Option<PartitionSlot> {
        let number = usize::try_from(place.partition).ok()?;
        let slots = self.slots.get_mut(place.topic)?;
        if slots.len() <= number {
            slots.resize(number + 1, None);
        }
        Some(*slots[number].get_or_insert_with(|| {
            self.places.push(place);
            PartitionSlot::at(self.places.len() - 1)
        }))
    }

    /// How many partitions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// All slots, in their order.
    pub fn slots(&self) -> impl Iterator<Item = PartitionSlot> + use<> {
        (0..self.places.len()).map(PartitionSlot::at)
    }

    /// The topics, by their places.
    #[must_use]
    pub fn topics(&self) -> &[Arc<str>] {
        &self.topics
    }

    /// The place of the topic with this name.
    #[must_use]
    pub fn topic_named(&self, name: &str) -> Option<usize> {
        self.topics.iter().position(|topic| **topic == *name)
    }

    /// Topic and number of a partition.
    ///
    /// # Panics
    /// The slot is of another table: a bug.
    #[must_use]
    #[inline]
    pub fn place(&self, slot: PartitionSlot) -> TopicPartition {
        self.places[slot.index()]
    }

    /// The number of a partition in its topic.
    ///
    /// # Panics
    /// The slot is of another table: a bug.
    #[must_use]
    #[inline]
    pub fn partition(&self, slot: PartitionSlot) -> i32 {
        self.place(slot).partition
    }

    /// The place of a partition in the ledger: its number, where that is of one topic.
    ///
    /// # Panics
    /// The slot is of another table: a bug.
    #[must_use]
    #[inline]
    pub fn ledger_place(&self, slot: PartitionSlot) -> i32 {
        let TopicPartition { topic, partition } = self.place(slot);
        self.first_places[topic] + partition
    }

    /// The name of a partition's topic.
    ///
    /// # Panics
    /// The slot is of another table: a bug.
    #[must_use]
    pub fn topic(&self, slot: PartitionSlot) -> &str {
        &self.topics[self.place(slot).topic]
    }

    /// The slot of a partition, if it has one.
    #[must_use]
    #[inline]
    pub fn slot(&self, place: TopicPartition) -> Option<PartitionSlot> {
        let slots = self.slots.get(place.topic)?;
        *slots.get(usize::try_from(place.partition).ok()?)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_several_topics_have_slots_in_the_order_in_which_they_came() {
        let mut table = PartitionTable::of_topic("a", [2, 0]);
        let b = table.add_topic("b");
        let added = [0, 2].map(|partition| table.add(TopicPartition { topic: b, partition }).unwrap());
        assert_eq!((added, table.count()), ([2, 3].map(PartitionSlot::new), 4));
        let named: Vec<_> = table.slots().map(|slot| (table.topic(slot), table.partition(slot))).collect();
        assert_eq!(named, [("a", 2), ("a", 0), ("b", 0), ("b", 2)]);
        for slot in table.slots() {
            assert_eq!(table.slot(table.place(slot)), Some(slot));
        }
    }

    #[test]
    fn topics_share_a_ledger() {
        let mut table = PartitionTable::of_topic("a", [0, 1]);
        let b = table.add_topic_at("b", 2);
        let slot = table.add(TopicPartition { topic: b, partition: 1 }).unwrap();
        assert_eq!((table.ledger_place(PartitionSlot::new(1)), table.ledger_place(slot)), (1, 3));
        assert_eq!(table.partition(slot), 1);
    }

    #[test]
    fn what_is_there_is_not_added_again() {
        let mut table = PartitionTable::of_topic("a", [0, 3, 0]);
        assert_eq!((table.count(), table.add_topic("a"), table.topics().len()), (2, 0, 1));
        assert_eq!(table.add(TopicPartition { topic: 0, partition: 3 }), Some(PartitionSlot::new(1)));
        assert_eq!(table.count(), 2);
    }

    #[test]
    fn nothing_has_a_slot_that_cannot_be() {
        let mut table = PartitionTable::of_topic("a", [-1]);
        assert!(table.count() == 0 && table.topics().len() == 1, "the topic is there all the same");
        assert_eq!(table.add(TopicPartition { topic: 1, partition: 0 }), None, "no such topic");
        for (topic, partition) in [(0, 0), (0, -1), (7, 0)] {
            assert_eq!(table.slot(TopicPartition { topic, partition }), None, "{topic} {partition}");
        }
        assert_eq!(table.topic_named("b"), None);
    }
}
