//! The coordinator of groups: where the one that there is has consumed partitions up to. Who belongs to it is not simulated here.

use std::collections::BTreeMap;

use kafka_protocol::messages::{
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
    offset_fetch_response::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
        OffsetFetchResponseTopic, OffsetFetchResponseTopics,
    },
};

use super::{
    code::{COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, UNSTABLE_OFFSET_COMMIT},
    coordinator::Place,
    server::{Head, Outcome, Server, Unreadable, answered, read},
};

/// The first version that names any number of groups.
const SEVERAL_GROUPS: i16 = 8;
/// How long it takes a node to become the coordinator.
const LOADING_TAKES_US: u64 = 50_000;

/// What the group knows of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupPlace {
    /// Everything below was consumed.
    pub committed: Option<i64>,
    /// So many open transactions carry another offset.
    pub open: usize,
}

/// The coordinator.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    node: i32,
    /// It has only just become the coordinator, and answers nothing before, µs.
    loading_until_us: u64,
    places: BTreeMap<Place, GroupPlace>,
    /// A rule that is broken: it answers with the place before the last one.
    pub is_behind: bool,
    before: BTreeMap<Place, Option<i64>>,
}

impl Groups {
    /// The node that it is.
    pub(super) fn node(&self) -> i32 {
        self.node
    }

    /// Another node is the coordinator.
    pub(super) fn move_to(&mut self, node: i32, now_us: u64) {
        self.node = node;
        self.loading_until_us = now_us + LOADING_TAKES_US;
    }

    /// The group knows this of a partition from now on.
    pub(super) fn learn(&mut self, place: &Place, known: GroupPlace) {
        let before = self.places.insert(place.clone(), known).unwrap_or_default().committed;
        if before != known.committed {
            self.before.insert(place.clone(), before);
        }
    }

    fn absence(&self, node: i32, now_us: u64) -> i16 {
        match node == self.node {
            false => NOT_COORDINATOR,
            true if now_us < self.loading_until_us => COORDINATOR_LOAD_IN_PROGRESS,
            true => 0,
        }
    }

    /// The offset of a partition, -1 for none, and an error.
    fn place(&self, topic: &TopicName, partition: i32, require_stable: bool) -> (i64, i16) {
        let place = (topic.to_string(), partition);
        let GroupPlace { mut committed, open } = self.places.get(&place).copied().unwrap_or_default();
        if self.is_behind {
            committed = self.before.get(&place).copied().unwrap_or_default();
        }
        if require_stable && open > 0 { (-1, UNSTABLE_OFFSET_COMMIT) } else { (committed.unwrap_or(-1), 0) }
    }
}

impl Server {
    pub(super) fn offset_fetch(&mut self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let request: OffsetFetchRequest = read(head, body)?;
        let (groups, stable) = (&self.groups, request.require_stable);
        let error = groups.absence(head.node, self.now_us());
        let answer = OffsetFetchResponse::default();
        let answer = if head.version < SEVERAL_GROUPS {
            let topics = request.topics.iter().flatten().filter(|_| error == 0).map(|topic| {
                let places = topic.partition_indexes.iter().map(|index| {
                    let (offset, error) = groups.place(&topic.name, *index, stable);
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(*index)
                        .with_committed_offset(offset)
                        .with_error_code(error)
                });
                let answer = OffsetFetchResponseTopic::default().with_name(topic.name.clone());
                answer.with_partitions(places.collect())
            });
            answer.with_topics(topics.collect()).with_error_code(error)
        } else {
            let all = request.groups.iter().map(|group| {
                let topics = group.topics.iter().flatten().filter(|_| error == 0).map(|topic| {
                    let places = topic.partition_indexes.iter().map(|index| {
                        let (offset, error) = groups.place(&topic.name, *index, stable);
                        OffsetFetchResponsePartitions::default()
                            .with_partition_index(*index)
                            .with_committed_offset(offset)
                            .with_error_code(error)
                    });
                    let answer = OffsetFetchResponseTopics::default().with_name(topic.name.clone());
                    answer.with_partitions(places.collect())
                });
                let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
                answer.with_topics(topics.collect()).with_error_code(error)
            });
            answer.with_groups(all.collect())
        };
        Ok(answered(head, &answer))
    }
}
