//! When workers may begin to produce.
//!
//! Consumers start at the log's end. A record that is written before the group knows
//! where each partition is consumed from would be passed over, and its token lost: so
//! producing waits until every partition has a committed offset.

use std::time::{Duration, Instant};

use super::{context::RepeaterContext, worker};
use crate::{
    findings::Awaited,
    kafka::{CommittedPlaces, Coordinator, GroupDescription, KafkaError, Observer, Trouble},
    verifier::read::group::group_refusal,
};

/// Where nobody can be asked for the group, it must have been quiet for so long.
const QUIET: Duration = Duration::from_secs(1);
/// Who activates a repeater wants it to produce: the group's places are waited for, but not longer than this.
const ACTIVATION_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Start<'a> {
    context: &'a RepeaterContext,
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
    /// Workers that are members.
    joined: usize,
    /// All are, and the group knows where each partition of theirs is consumed from.
    settled: bool,
    /// A worker whose transactional id has not been let in.
    starting: Option<usize>,
}

impl<'a> Start<'a> {
    pub(super) fn new(context: &'a RepeaterContext, places: &'a CommittedPlaces) -> Self {
        Self { context, places, seen: Own::default(), changed: Instant::now(), activated: None }
    }

    /// Whether workers may produce, as the group looks now.
    pub(super) fn is_given(&mut self, group: &Result<GroupDescription, KafkaError>) -> bool {
        let own = self.own();
        if own != self.seen {
            (self.seen, self.changed) = (own, Instant::now());
        }
        if own.starting.is_some() {
            // Nothing could be sent.
            return false;
        }
        if self.context.config.common.remote {
            return self.is_activated(group, own);
        }
        let others = group.as_ref().map_or(true, |group| group.members > self.context.config.workers.get());
        if others && own.settled && self.has_consumed() {
            // They produce already. Waiting on would only keep their tokens here.
            return true;
        }
        match group {
            // Somebody else's, though it has taken ours in: what he owns does not come back.
            seen if self.is_theirs(seen) => false,
            Ok(group) => self.is_stable(group, own),
            Err(_) if self.context.client.brokers_assign() => self.is_assigned(own),
            // A mock cluster does not know the question; it is ours alone.
            Err(error) if error.is_unsupported() || self.context.is_embedded() => self.is_quiet(own),
            Err(_) => false,
        }
    }

    fn is_activated(&mut self, group: &Result<GroupDescription, KafkaError>, own: Own) -> bool {
        if !self.context.shared.lifecycle.is_activated() {
            return false;
        }
        let since = *self.activated.get_or_insert_with(Instant::now);
        // A group that looks stable may have members, of other processes too, that still ask where to start.
        let has_gaps = |group: &GroupDescription| {
            !group.is_of_another_kind() && !group.may_own_all(&self.context.topics)
        };
        let gaps = group.as_ref().is_ok_and(has_gaps) || self.is_theirs(group);
        if !gaps && own.settled && self.places.are_complete(&self.context.topics) {
            return true;
        }
        // Whoever produces without being a member gives all of its tokens to others.
        let limit_is_over = own.settled && !self.is_theirs(group) && since.elapsed() >= ACTIVATION_LIMIT;
        if limit_is_over {
            tracing::warn!(
                "activated, but the group has not committed an offset in each partition yet: tokens may be passed over"
            );
        }
        limit_is_over
    }

    fn is_stable(&self, group: &GroupDescription, own: Own) -> bool {
        group.is_stable()
            && group.members >= self.context.config.workers.get()
            && group.may_own_all(&self.context.topics)
            && own.settled
            // Those of other processes have settled too.
            && self.places.are_complete(&self.context.topics)
    }

    /// Where the group cannot be asked for its members: the places are those of all of them.
    fn is_assigned(&self, own: Own) -> bool {
        let is_in = own.settled && own.rebalances >= self.context.config.workers.get() as u64;
        is_in && self.changed.elapsed() >= QUIET && self.places.are_complete(&self.context.topics)
    }

    fn is_quiet(&self, own: Own) -> bool {
        own.settled && own.partitions >= self.context.partitions() as u64 && self.changed.elapsed() >= QUIET
    }

    /// Whether the group speaks another protocol than this process, whose workers are in it.
    fn is_theirs(&self, group: &Result<GroupDescription, KafkaError>) -> bool {
        self.own().joined > 0
            && !self.context.is_embedded()
            && !self.context.client.brokers_assign()
            && group_refusal::is_theirs(group)
    }

    /// Whether only somebody's word is missing, who runs several of them.
    pub(super) fn waits_for_activation(&self) -> bool {
        let Own { settled, starting, .. } = self.own();
        self.context.config.common.remote
            && settled
            && starting.is_none()
            && !self.context.shared.lifecycle.is_activated()
    }

    /// What workers wait for, with a group that looks like this.
    pub(super) fn trouble(
        &self,
        observer: &Observer,
        group: &Result<GroupDescription, KafkaError>,
    ) -> Trouble {
        let (own, context) = (self.own(), self.context);
        let (name, workers) = (&context.config.group, context.config.workers.get());
        if let Some(worker) = own.starting {
            let id = worker::name(&context.client, worker);
            return observer.trouble_with(Coordinator::Transactions(&id));
        }
        if own.joined == 0 {
            return observer.trouble_with(Coordinator::Group(name));
        }
        let mut topics = context.topics.iter();
        if let Some(awaited) = topics.find_map(|(topic, _)| observer.trouble_with_topic(topic)) {
            return awaited.into();
        }
        let from = format!("group '{name}': {}", group_refusal::owners(&observer.who_is_in(name, group)));
        if self.is_theirs(group) {
            let what = "a group of repeaters only".to_owned();
            let remedy =
                "it speaks group.protocol=consumer: stop its other members, or use another group".to_owned();
            return Trouble { awaited: Awaited { what, from, remedy }, is_known: true, is_denied: true };
        }
        if self.waits_for_activation() {
            let (what, from) = ("/activate".to_owned(), "whoever runs it with --remote".to_owned());
            let remedy = "send PUT /activate to the control port".to_owned();
            return Awaited { what, from, remedy }.into();
        }
        let (what, remedy) = if own.joined < workers {
            let what = format!("{} of {workers} workers to be taken in", workers - own.joined);
            (
                what,
                "a member that died keeps its place until its session is over; look at the coordinator's log",
            )
        } else {
            let what = "each partition to have an owner, and a committed offset".to_owned();
            (
                what,
                "members that do not commit hold this up: stop those that are no repeaters, or use another group",
            )
        };
        Awaited { what, from, remedy: remedy.to_owned() }.into()
    }

    fn has_consumed(&self) -> bool {
        self.context.stats.iter().any(|worker| worker.consumed.get() > 0)
    }

    fn own(&self) -> Own {
        let stats = &self.context.stats;
        let joined = stats.iter().filter(|worker| worker.rebalances.get() > 0).count();
        Own {
            joined,
            starting: stats.iter().position(|worker| worker.starting.get() == 1),
            rebalances: stats.iter().map(|worker| worker.rebalances.get()).sum(),
            partitions: stats.iter().map(|worker| worker.partitions.get()).sum(),
            settled: joined == stats.len() && stats.iter().all(|worker| worker.settled.get() == 1),
        }
    }
}
