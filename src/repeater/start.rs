//! When workers may begin to produce.
//!
//! Consumers start at the log's end. A record that is written before the group knows
//! where each partition is consumed from would be passed over, and its token lost: so
//! producing waits until every partition has a committed place.

use std::time::{Duration, Instant};

use super::floor::Floor;
use crate::kafka::{CommittedPlaces, GroupDescription, KafkaError};

/// Where nobody can be asked for the group, it must have been quiet for so long.
const QUIET: Duration = Duration::from_secs(1);
/// Who activates a repeater wants it to produce: the group's places are waited for, but not longer than this.
const ACTIVATION_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Start<'a> {
    floor: &'a Floor,
    places: &'a CommittedPlaces,
    seen: Own,
    changed: Instant,
    activated: Option<Instant>,
}

/// How the process's own members stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Own {
    rebalances: u64,
    partitions: u64,
    settled: bool,
}

impl<'a> Start<'a> {
    pub(super) fn new(floor: &'a Floor, places: &'a CommittedPlaces) -> Self {
        Self { floor, places, seen: Own::default(), changed: Instant::now(), activated: None }
    }

    /// Whether workers may produce, as the group looks now.
    pub(super) fn is_given(&mut self, group: &Result<GroupDescription, KafkaError>) -> bool {
        let own = self.own();
        if own != self.seen {
            (self.seen, self.changed) = (own, Instant::now());
        }
        if self.floor.config.common.remote {
            return self.is_activated(group, own);
        }
        let others = group.as_ref().map_or(true, |group| group.members > self.floor.config.workers.get());
        if others && own.settled && self.has_consumed() {
            // They produce already. Waiting on would only keep their tokens here.
            return true;
        }
        match group {
            Ok(group) => self.is_stable(group, own),
            Err(_) if self.floor.client.brokers_assign() => self.is_assigned(own),
            // A mock cluster does not know the question; it is ours alone.
            Err(error) if error.is_unsupported() || self.floor.is_embedded() => self.is_quiet(own),
            Err(_) => false,
        }
    }

    fn is_activated(&mut self, group: &Result<GroupDescription, KafkaError>, own: Own) -> bool {
        if !self.floor.shared.lifecycle.is_activated() {
            return false;
        }
        let since = *self.activated.get_or_insert_with(Instant::now);
        // A group that looks stable may have members, of other processes too, that still ask where to start.
        let gaps = group.as_ref().is_ok_and(|group| !group.may_own_all(&self.floor.topics));
        if !gaps && own.settled && own.rebalances > 0 && self.places.are_complete(&self.floor.topics) {
            return true;
        }
        let limit_is_over = since.elapsed() >= ACTIVATION_LIMIT;
        if limit_is_over {
            tracing::warn!(
                "activated, but the group does not know all places yet: tokens may be passed over"
            );
        }
        limit_is_over
    }

    fn is_stable(&self, group: &GroupDescription, own: Own) -> bool {
        group.is_stable()
            && group.members >= self.floor.config.workers.get()
            && group.may_own_all(&self.floor.topics)
            && own.settled
            // Those of other processes have settled too.
            && self.places.are_complete(&self.floor.topics)
    }

    /// Where the group cannot be asked for its members: the places are those of all of them.
    fn is_assigned(&self, own: Own) -> bool {
        let is_in = own.settled && own.rebalances >= self.floor.config.workers.get() as u64;
        is_in && self.changed.elapsed() >= QUIET && self.places.are_complete(&self.floor.topics)
    }

    fn is_quiet(&self, own: Own) -> bool {
        own.settled && own.partitions >= self.floor.partitions() as u64 && self.changed.elapsed() >= QUIET
    }

    fn has_consumed(&self) -> bool {
        self.floor.stats.iter().any(|worker| worker.consumed.get() > 0)
    }

    fn own(&self) -> Own {
        let stats = &self.floor.stats;
        Own {
            rebalances: stats.iter().map(|worker| worker.rebalances.get()).sum(),
            partitions: stats.iter().map(|worker| worker.partitions.get()).sum(),
            settled: stats.iter().all(|worker| worker.settled.get() == 1),
        }
    }
}
