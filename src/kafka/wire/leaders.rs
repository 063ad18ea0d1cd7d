//! Who leads the partitions of a topic, from what one broker after the other says.

use std::collections::BTreeMap;

use super::{core::admin::Description, protocol::TopicId};

/// Who leads the partitions of a topic, as far as was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaders {
    topic_id: TopicId,
    /// Each partition's leader, and its epoch.
    by_partition: BTreeMap<i32, (i32, i32)>,
}

impl Leaders {
    /// Brokers learn of elections one after the other: what is older than what is known of the same topic is no news.
    pub(super) fn learn(&mut self, description: &Description) {
        if self.topic_id != description.topic_id {
            *self = Self { topic_id: description.topic_id, ..Self::default() };
        }
        for told in &description.partitions {
            let known = self.by_partition.entry(told.id).or_insert((told.leader, told.leader_epoch));
            if told.leader_epoch >= known.1 {
                *known = (told.leader, told.leader_epoch);
            }
        }
    }

    /// Each partition's leader, and its epoch.
    #[must_use]
    pub(super) fn into_map(self) -> BTreeMap<i32, (i32, i32)> {
        self.by_partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::wire::core::admin::PartitionDescription;

    fn told(topic_id: u8, leaders: &[(i32, i32)]) -> Description {
        let partition = |(id, &(leader, leader_epoch)): (i32, &(i32, i32))| PartitionDescription {
            id,
            leader,
            leader_epoch,
            replicas: Vec::new(),
        };
        let partitions = (0..).zip(leaders).map(partition).collect();
        Description { topic_id: [topic_id; 16], partitions, ..Description::default() }
    }

    #[test]
    fn a_broker_that_lags_behind_brings_no_leader_back() {
        let mut leaders = Leaders::default();
        for told in [told(1, &[(0, 5), (1, 7)]), told(1, &[(2, 4), (2, 8)]), told(1, &[(1, 5), (0, 7)])] {
            leaders.learn(&told);
        }
        let expected = BTreeMap::from([(0, (1, 5)), (1, (2, 8))]);
        assert_eq!(leaders.clone().into_map(), expected);
        leaders.learn(&told(2, &[(0, 0)]));
        assert_eq!(leaders.into_map(), BTreeMap::from([(0, (0, 0))]), "a topic made anew begins anew");
    }
}
