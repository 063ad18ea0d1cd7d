//! Where a group begins: where the logs ended when the run began, whatever lay in them before.

use std::{thread, time::Duration};

use super::super::ground::Ground;
use crate::{
    kafka::{ClientError, Coordinator, OffsetAndEpoch},
    verifier::{
        read::{checker, group::group_reader},
        shard::Halt,
    },
};

const PAUSE: Duration = Duration::from_millis(200);

/// Has a group that is new know these places, by place in the ledger, before anybody joins it: its members then read all that
/// the run writes, and nothing else, whenever they come and however often the group rebalances meanwhile. Returns whether it does:
/// the run may be stopped before.
///
/// # Errors
/// There is no client to say so.
pub(super) fn begin_at(ground: &Ground<'_>, name: &str, ends: &[OffsetAndEpoch]) -> Result<bool, Halt> {
    let Some(config) = &ground.config.verifier.group_read else { return Ok(false) };
    let crew = &ground.crews[0];
    let context = crew.context(ground.placement().shards[0].clone());
    let isolation = checker::isolation(ground.config.verifier.proof);
    let settings = group_reader::settings(&context.client, config, name.to_owned(), isolation);
    let places = context.committed_places(&settings).map_err(|error: ClientError| Halt::from(error))?;
    let topics =
        by_topic(ground.config.topics.iter().zip(ground.crews.iter().map(|crew| crew.partitions)), ends);
    let mut wait = crew.wait("the group reader");
    while let Err(error) = places.commit(&topics) {
        if error.is_denied() {
            return Err(Halt::Failed(format!("group '{name}': its beginning cannot be committed: {error}")));
        }
        if !wait.still_in(|| crew.observer.trouble_with(Coordinator::Group(name))) {
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
    fn places_are_those_of_their_topics() {
        let ends: Vec<_> = (1..=3).map(|offset| OffsetAndEpoch { offset, leader_epoch: 0 }).collect();
        let names = ["a".to_owned(), "b".to_owned()];
        let found = by_topic(names.iter().zip([2, 1]), &ends);
        assert_eq!(found, [("a".to_owned(), vec![1, 2]), ("b".to_owned(), vec![3])]);
    }
}
