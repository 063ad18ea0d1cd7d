//! Where a group reads, and whom the main thread asks about that: one topic, or several whose partitions lie one behind the
//! other in the ledger.

use std::{collections::BTreeMap, sync::Arc};

use super::{group_refusal::GroupFlags, together::Ask};
use crate::{
    human::count,
    kafka::{Trouble, named},
    partitions::{PartitionSlot, PartitionTable},
    verifier::{read::checker, run_context::RunContext},
};

/// What all passes of a group have in common.
pub(crate) struct GroupGround<'a> {
    /// Through it the cluster is asked about the group itself; of the first topic.
    pub(crate) run_context: &'a RunContext<'a>,
    /// All partitions, each in the slot of its place in the ledger.
    pub(crate) table: Arc<PartitionTable>,
    /// The topics with their partitions, in that order.
    pub(crate) topics: Vec<(String, usize)>,
    /// By which the user can mend what a group has against its members.
    pub(crate) flags: GroupFlags,
    /// Where each log starts, or ends for readers such as the group's, by slot.
    pub(crate) ask: Ask<'a>,
    /// What the cluster itself says that the topics lack.
    pub(crate) trouble: Box<dyn Fn() -> Option<Trouble> + 'a>,
}

impl<'a> GroupGround<'a> {
    /// Of a group that reads the topic of this run.
    pub(crate) fn of_topic(run_context: &'a RunContext<'a>, flags: GroupFlags) -> Self {
        let isolation = checker::isolation(run_context.config.proof);
        Self {
            run_context,
            table: run_context.table(),
            topics: vec![(run_context.config.topic.clone(), run_context.partitions)],
            flags,
            ask: Box::new(move |spec| run_context.offsets(spec, isolation)),
            trouble: Box::new(|| run_context.reading_trouble(false)),
        }
    }

    /// These partitions, in words.
    pub(super) fn named(&self, slots: impl Iterator<Item = PartitionSlot>) -> String {
        named_of(&self.table, slots)
    }
}

fn named_of(table: &PartitionTable, slots: impl Iterator<Item = PartitionSlot>) -> String {
    let mut by_topic: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
    for slot in slots {
        let place = table.place(slot);
        by_topic.entry(place.topic).or_default().push(place.partition);
    }
    let Some((first, partitions)) = by_topic.pop_first() else { return named("partition", []) };
    let of_first = named("partition", partitions);
    match (table.topics(), by_topic.len()) {
        ([_], _) => of_first,
        (topics, 0) => format!("{of_first} of topic {}", topics[first]),
        (topics, more) => {
            format!("{of_first} of topic {}, and of {}", topics[first], count(more, "other topic"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partitions::TopicPartition;

    #[test]
    fn partitions_are_named_with_their_topics_where_there_are_several() {
        let one = PartitionTable::of_topic("a", [0, 1, 2]);
        assert_eq!(named_of(&one, one.slots().skip(1)), "partitions 1 and 2");
        let mut two = one.clone();
        let topic = two.add_topic("b");
        two.add(TopicPartition { topic, partition: 5 });
        assert_eq!(named_of(&two, two.slots().skip(3)), "partition 5 of topic b");
        assert_eq!(named_of(&two, two.slots().skip(2)), "partition 2 of topic a, and of 1 other topic");
        assert_eq!(named_of(&two, std::iter::empty()), "no partition");
    }
}
