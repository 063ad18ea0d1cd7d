//! What is done to a cluster as a whole: who leads, who hears of it, and who has what.

use super::{server::Server, topic::Partition};

impl Server {
    /// Others lead what a node led, which knows nothing of it yet.
    pub(super) fn depose_node(&mut self, node: i32) {
        let all = self.topics.values_mut().flat_map(|topic| &mut topic.partitions);
        all.filter(|partition| partition.in_sync.len() > 1).for_each(|partition| partition.lose(node, false));
    }

    /// Another node leads a partition, if there is another one in sync.
    pub(super) fn elect_another(&mut self, topic: &str, partition: i32) {
        let Some(partition) = self.partition(topic, partition) else { return };
        let other = partition.in_sync.iter().copied().find(|node| *node != partition.leader);
        if let Some(node) = other.filter(|_| partition.leader >= 0) {
            partition.elect(node);
            partition.replicate();
        }
    }

    /// Others lead a node's partitions, of which it does not hear; whom it can reach it serves.
    pub(super) fn isolate_node(&mut self, node: i32) {
        self.isolations += 1;
        let all = self.topics.values_mut().flat_map(|topic| &mut topic.partitions);
        all.for_each(|partition| partition.isolate(node));
    }

    /// It hears of it, and catches up.
    pub(super) fn rejoin_node(&mut self, node: i32) {
        let all = self.topics.values_mut().flat_map(|topic| &mut topic.partitions);
        all.for_each(|partition| partition.regain(node));
        self.work();
    }

    /// Followers of all partitions stay behind, or come after.
    pub(super) fn set_lagging(&mut self, are_lagging: bool) {
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            partition.is_lagging = are_lagging && partition.in_sync.len() > 1;
            partition.replicate();
        }
        self.work();
    }

    /// Leaders are alone in sync, until [`Self::expand`].
    pub(super) fn shrink(&mut self) {
        self.topics.values_mut().flat_map(|topic| &mut topic.partitions).for_each(Partition::shrink);
        self.work();
    }

    /// All nodes that are up come back in sync, where somebody leads.
    pub(super) fn expand(&mut self) {
        let up: Vec<_> = (0..self.nodes).filter(|node| self.is_up(*node)).collect();
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            let has_leader = partition.leader >= 0;
            let heard: Vec<_> = up.iter().filter(|node| !partition.beliefs.contains_key(node)).collect();
            heard.into_iter().filter(|_| has_leader).for_each(|node| partition.regain(*node));
        }
        self.work();
    }

    /// A node leads a partition that was not in sync: acknowledged batches are gone.
    pub(super) fn elect_unclean(&mut self, topic: &str, partition: i32, batches: usize) {
        if let Some(partition) = self.partition(topic, partition)
            && partition.leader >= 0
        {
            partition.elect_unclean(partition.leader, batches);
        }
        self.expand();
    }
}
