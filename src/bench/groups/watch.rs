//! The thread of a group: it begins the group, listens to its members until they have read all, judges what that proves, and
//! deletes the group.

use std::sync::Arc;

use super::{super::ground::Ground, Group, beginning};
use crate::{
    config::{ClientKind, GroupReadConfig},
    kafka::{OffsetAndEpoch, Trouble},
    ledger::Ledger,
    partitions::PartitionSlot,
    stats::ReaderBoard,
    verifier::{
        check::loss::Losses,
        read::{
            budget::Allowance,
            checker::{self, Expectation},
            closing::Close,
            group::{
                ground::GroupGround, group_name::OwnGroups, group_refusal::GroupFlags, together::AtClose,
                watched::PassPlan,
            },
            progress::{OPEN_END, OffsetRange},
        },
        run_context::Survey,
        shard::Halt,
    },
};

/// By which the user can mend what a group has against its members.
const FLAGS: GroupFlags =
    GroupFlags { members: "--readers", name: "each run makes its own", session: "-X session.timeout.ms" };

/// Watches over a group from where the logs end now until it has read all that lies before where they end when that is
/// told.
///
/// # Errors
/// The first promise that was broken, or why the group could not read. The run has been told to stop then.
pub(in super::super) fn watch(
    ground: &Ground<'_>,
    group: &Group,
    board: &ReaderBoard,
    ends: &[OffsetAndEpoch],
    close: &Close,
) -> Result<(), Halt> {
    let outcome = read(ground, group, board, ends, close);
    let run_context = &ground.run_contexts[0];
    let context = run_context.context(ground.placement().shards[0].clone());
    let outcome = context.stop_all_on_halt(outcome);
    let mut own = OwnGroups::default();
    own.delete(run_context, &group.name);
    own.finish(run_context);
    outcome
}

fn read(
    ground: &Ground<'_>,
    group: &Group,
    board: &ReaderBoard,
    ends: &[OffsetAndEpoch],
    close: &Close,
) -> Result<(), Halt> {
    let Some(whole) = &ground.config.verifier.group_read else { return Ok(()) };
    if !beginning::begin_at(ground, &group.name, ends)? {
        return Ok(());
    }
    let config = GroupReadConfig { members: group.members, ..whole.clone() };
    let of_group = group_ground(ground);
    let closing = || close.get().map(|closing| Ok(Some(closing.clone())));
    let plan = PassPlan {
        ground: &of_group,
        config: &config,
        name: &group.name,
        survey: survey(ground, ends),
        losses: vec![Losses::default(); ends.len()],
        allowance: Allowance::All,
        stats: board.shards[group.members.get()].clone(),
        closing: Some(&closing),
        at_close: at_close(ground),
        is_patient: true,
        second_look: None,
        progress: Some(&group.progress),
    };
    let (mut together, outcomes) = plan.run(&group.feeders);
    outcomes.into_iter().collect::<Result<(), Halt>>()?;
    together.note_coverage(&[]);
    if ground.lifecycle().stop_requested() {
        return Ok(());
    }
    together.audit()?;
    board.end_pass();
    Ok(())
}

/// librdkafka may leave out what it has thrown away when leaders change. It is told to look again where offsets have nothing to
/// show, which in a log of transactions says nothing.
fn at_close(ground: &Ground<'_>) -> AtClose {
    let is_transactional = ground.config.verifier.proof.transactions;
    match ground.run_contexts[0].kind {
        ClientKind::Librdkafka if is_transactional => AtClose::AllButLeftOut,
        ClientKind::Librdkafka | ClientKind::Wire => AtClose::All,
    }
}

/// What a group reads: all topics.
fn group_ground<'a>(ground: &'a Ground<'a>) -> GroupGround<'a> {
    let isolation = checker::isolation(ground.config.verifier.proof);
    let ask = move |spec| {
        let places = ground.of_all(|run_context| run_context.places(spec, isolation))?;
        Some(places.iter().map(|place| place.offset).collect())
    };
    let trouble = || -> Option<Trouble> {
        ground.run_contexts.iter().find_map(|run_context| run_context.reading_trouble(false))
    };
    GroupGround {
        run_context: &ground.run_contexts[0],
        table: ground.table(&ground.placed()),
        topics: ground.topics(),
        flags: FLAGS,
        ask: Box::new(ask),
        trouble: Box::new(trouble),
    }
}

/// From where the logs end now, with nothing in the ledger yet.
fn survey(ground: &Ground<'_>, ends: &[OffsetAndEpoch]) -> Survey {
    let span = |(index, end): (usize, &OffsetAndEpoch)| OffsetRange {
        partition: PartitionSlot::at(index),
        start: end.offset,
        end: OPEN_END,
        leader_epoch: end.leader_epoch,
    };
    let nothing = Arc::new(Ledger::new(ground.partitions()));
    let expectation = Expectation { ledger: nothing, latest: None, ledger_grows: true };
    Survey { expectation, ranges: ends.iter().enumerate().map(span).collect() }
}
