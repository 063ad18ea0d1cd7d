//! Consumer groups that read beside the producers, each of them everything: on the shards their members, and for each group a
//! thread that knows what they have read together.

mod beginning;
mod watch;

use std::{num::NonZeroUsize, sync::Arc};

pub(super) use beginning::Begun;
pub(super) use watch::watch;

use super::ground::Ground;
use crate::{
    clock,
    stats::{ReaderBoard, ReaderKind, ReaderStats},
    verifier::{
        read::{
            end_to_end::EndToEndJob,
            group::{
                group_reader::{GroupReadJob, GroupReadPass},
                watched::PassProgress,
            },
        },
        shard::{self, Feeder, PassQueue},
    },
};

/// What a shard has of a group, and how its passes reach it.
pub(super) type ShardMembers = (GroupReadJob, PassQueue<GroupReadPass>);

/// A group of this run's, whose members have been dealt to the shards.
pub(super) struct Group {
    pub(super) name: String,
    /// How many members, of which each has an index.
    members: NonZeroUsize,
    feeders: Vec<Feeder<GroupReadPass>>,
    pub(super) progress: Arc<PassProgress>,
}

/// The boards of so many groups over so many partitions.
pub(super) fn boards(groups: usize, members: usize, partitions: usize) -> Vec<ReaderBoard> {
    let all: Vec<i32> = (0..).take(partitions).collect();
    let board = |_| {
        // One for each member, and one for what only the group as a whole can know.
        let stats = (0..=members).map(|_| Arc::new(ReaderStats::new(&all)));
        ReaderBoard::new(ReaderKind::Group, stats.collect())
    };
    (0..groups).map(board).collect()
}

/// Deals the members of all groups to the shards, in turns. Returns the groups, and each shard's part.
pub(super) fn deal(
    ground: &Ground<'_>,
    boards: &[ReaderBoard],
    end_to_end: &EndToEndJob,
) -> (Vec<Group>, Vec<Vec<ShardMembers>>) {
    let shards = ground.placement().shards.len();
    let mut of_shards: Vec<Vec<ShardMembers>> = (0..shards).map(|_| Vec::new()).collect();
    let Some(config) = &ground.config.verifier.group_read else { return (Vec::new(), of_shards) };
    let table = ground.table(&ground.placed());
    let now_s = clock::unix_ms() / 1_000;
    let mut groups = Vec::new();
    for (number, board) in boards.iter().enumerate() {
        let members = board.shards.len() - 1;
        let mut feeders = Vec::new();
        for (shard, own) in dealt(number * members, members, shards).into_iter().enumerate() {
            if own.is_empty() {
                continue;
            }
            let (feeder, pass_queue) = shard::pass_queue();
            let job = GroupReadJob {
                members: own.into_iter().map(|member| board.shards[member].clone()).collect(),
                config: config.clone(),
                proof: ground.config.verifier.proof,
                table: table.clone(),
                end_to_end: Some(end_to_end.clone()),
            };
            of_shards[shard].push((job, pass_queue));
            feeders.push(feeder);
        }
        groups.push(Group {
            name: format!("proofload-bench-{now_s}-{}-{}", std::process::id(), number + 1),
            members: NonZeroUsize::new(members).unwrap_or(NonZeroUsize::MIN),
            feeders,
            progress: Arc::default(),
        });
    }
    (groups, of_shards)
}

/// The members of a group, by number, that each shard has; `before` members of other groups have been dealt already.
fn dealt(before: usize, members: usize, shards: usize) -> Vec<Vec<usize>> {
    let mut of_shards = vec![Vec::new(); shards];
    for member in 0..members {
        if let Some(own) = of_shards.get_mut((before + member) % shards.max(1)) {
            own.push(member);
        }
    }
    of_shards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_all_groups_take_turns_on_the_shards() {
        assert_eq!(dealt(0, 3, 2), [vec![0, 2], vec![1]]);
        assert_eq!(dealt(3, 3, 2), [vec![1], vec![0, 2]], "those of the next group go on there");
        assert_eq!(dealt(1, 1, 3), [vec![], vec![0], vec![]]);
        assert!(dealt(5, 4, 0).is_empty());
    }

    #[test]
    fn each_group_has_counters_for_its_members_and_for_itself() {
        let boards = boards(2, 3, 4);
        assert_eq!(boards.iter().map(|board| board.shards.len()).collect::<Vec<_>>(), [4, 4]);
        boards[1].shards[0].max_offsets.set(3, 9);
        assert_eq!(boards[1].raw_totals().max_offsets.get(&3), Some(&9), "of all partitions");
    }
}
