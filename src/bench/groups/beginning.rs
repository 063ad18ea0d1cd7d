//! Where a group begins: where the logs ended when the run began, whatever lay in them before; and when it has.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::super::ground::Ground;
use crate::{
    kafka::{ClientError, Coordinator, OffsetAndEpoch},
    verifier::{
        read::{
            checker,
            group::{group_reader, watched::PassProgress},
        },
        shard::Halt,
    },
};

const PAUSE: Duration = Duration::from_millis(200);
/// Members tell of a change within this: what a group has said for so long does not count a partition for its last owner, too.
const QUIET: Duration = Duration::from_millis(300);

/// Whether groups have begun: each has taken all its members in, and they have their places in all partitions. No record waits
/// for a group then.
pub(in super::super) struct Begun {
    members: u64,
    partitions: u64,
    since: Option<Instant>,
}

impl Begun {
    /// For groups of so many members, over so many partitions.
    pub(in super::super) fn new(members: usize, partitions: usize) -> Self {
        Self { members: members as u64, partitions: partitions as u64, since: None }
    }

    /// Whether they have, by what they tell now.
    pub(in super::super) fn look<'a>(
        &mut self,
        mut groups: impl Iterator<Item = &'a PassProgress>,
        now: Instant,
    ) -> bool {
        let has_begun = |group: &PassProgress| {
            group.joined.get() >= self.members && group.placed.get() >= self.partitions
        };
        if !groups.all(has_begun) {
            self.since = None;
            return false;
        }
        now.duration_since(*self.since.get_or_insert(now)) >= QUIET
    }
}

/// Has a group that is new know these places, by place in the ledger, before anybody joins it: its members then read all that
/// the run writes, and nothing else, whenever they come and however often the group rebalances meanwhile. Returns whether it does:
/// the run may be stopped before.
///
/// # Errors
/// There is no client to say so.
pub(super) fn begin_at(ground: &Ground<'_>, name: &str, ends: &[OffsetAndEpoch]) -> Result<bool, Halt> {
    let Some(config) = &ground.config.verifier.group_read else { return Ok(false) };
    let run_context = &ground.run_contexts[0];
    let context = run_context.context(ground.placement().shards[0].clone());
    let isolation = checker::isolation(ground.config.verifier.proof);
    let settings = group_reader::settings(&context.client, config, name.to_owned(), isolation);
    let places = context.committed_places(&settings).map_err(|error: ClientError| Halt::from(error))?;
    let topics = by_topic(
        ground.config.topics.iter().zip(ground.run_contexts.iter().map(|run_context| run_context.partitions)),
        ends,
    );
    let mut wait = run_context.wait("the group reader");
    while let Err(error) = places.commit(&topics) {
        if error.is_denied() {
            return Err(Halt::Failed(format!("group '{name}': its beginning cannot be committed: {error}")));
        }
        if !wait.still_in(|| run_context.observer.trouble_with(Coordinator::Group(name))) {
            return Ok(false);
        }
        thread::sleep(PAUSE);
    }
    wait.over();
    Ok(true)
}

/// The offsets of each topic's partitions, from those of all topics, one behind the other.
fn by_topic<'a>(
    topics: impl Iterator<Item = (&'a String, usize)>,
    ends: &[OffsetAndEpoch],
) -> Vec<(String, Vec<i64>)> {
    let mut ends = ends.iter().map(|end| end.offset);
    topics.map(|(topic, partitions)| (topic.clone(), ends.by_ref().take(partitions).collect())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_begun_when_members_have_places_in_all_partitions_for_a_moment() {
        let (groups, start) = ([PassProgress::default(), PassProgress::default()], Instant::now());
        let mut begun = Begun::new(2, 8);
        let mut look = |ms| begun.look(groups.iter(), start + Duration::from_millis(ms));
        for group in &groups {
            group.joined.set(2);
        }
        assert!(!look(0) && !look(1_000), "they are in, and nobody knows yet where they are to read");
        groups[0].placed.set(8);
        groups[1].placed.set(7);
        assert!(!look(1_001) && !look(2_000), "one partition is nobody's");
        groups[1].placed.set(8);
        assert!(!look(2_001) && !look(2_300));
        groups[0].placed.set(4);
        assert!(!look(2_310), "a member has given its own up");
        groups[0].placed.set(8);
        assert!(!look(2_320) && !look(2_610) && look(2_620));
        groups[1].joined.set(1);
        assert!(!look(3_000), "a member is missing");
    }

    #[test]
    fn places_are_those_of_their_topics() {
        let ends: Vec<_> = (1..=3).map(|offset| OffsetAndEpoch { offset, leader_epoch: 0 }).collect();
        let names = ["a".to_owned(), "b".to_owned()];
        let found = by_topic(names.iter().zip([2, 1]), &ends);
        assert_eq!(found, [("a".to_owned(), vec![1, 2]), ("b".to_owned(), vec![3])]);
    }
}
