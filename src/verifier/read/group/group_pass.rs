//! The passes of a verifier's consumer group, one after the other, seen from the main thread.

use std::sync::Arc;

use super::{
    ground::GroupGround,
    group_name::{OwnGroups, generated_name},
    group_reader::{self, GroupReadPass},
    group_refusal::GroupFlags,
    sharing,
    together::AtClose,
    watched::{Closings, PassPlan},
};
use crate::{
    app::error::RunError,
    config::{GroupReadConfig, Passes},
    stats::{Board, ReaderBoard, ReaderKind},
    verifier::{
        check::loss::Losses,
        read::{
            budget::{Allowance, Budget},
            progress::OffsetRange,
        },
        run_context::{EMPTY_PASS_PAUSE, RunContext, join, removed, start_readers, worst},
        second_look::SecondLook,
        shard::Feeder,
    },
};

const FLAGS: GroupFlags = GroupFlags {
    members: "--consumer_group_readers",
    name: "--consumer_group_name",
    session: "--consumer-group-session-timeout-s",
};

/// Reads everything as a consumer group, and validates it.
pub(crate) fn group_read(run_context: &RunContext<'_>, board: &Board) -> Result<(), RunError> {
    let Some(config) = &run_context.config.group_read else { return Ok(()) };
    let Some(reader) = board.readers.iter().find(|reader| reader.kind == ReaderKind::Group) else {
        return Ok(());
    };
    let ground = GroupGround::of_topic(run_context, FLAGS);
    let jobs = group_reader::jobs(run_context, config, reader);
    let (feeders, running) = start_readers(run_context, jobs, group_reader::run)?;
    let mut left = config.max_messages;
    let mut losses = vec![Losses::default(); run_context.partitions];
    let committed = committed_places(&ground, config);
    let mut result = Ok(());
    let mut own_groups = OwnGroups::default();
    for run in 1_u64.. {
        let name = config.name.clone().unwrap_or_else(|| generated_name(run));
        let outcome =
            one_pass(&ground, config, reader, &feeders, &name, (&mut left, &mut losses), &committed);
        if config.name.is_none() {
            // Looping readers would leave one behind for each pass.
            own_groups.delete(run_context, &name);
        }
        match outcome {
            Ok(true) if !run_context.is_last_pass() && left != Some(0) => {}
            Ok(_) => break,
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    own_groups.finish(run_context);
    drop(feeders);
    join(running)?;
    result?;
    reader.finish();
    Ok(())
}

/// The places that a group with a name of the user's had committed before this run, by partition: it does not read again
/// what lies below. Empty where nobody says.
fn committed_places(ground: &GroupGround<'_>, config: &GroupReadConfig) -> Vec<i64> {
    let Some(group) = &config.name else { return Vec::new() };
    let places = sharing::committed_places(ground.run_context, config, group);
    let committed = places.and_then(|places| places.look(&ground.topics)).unwrap_or_default();
    if committed.iter().any(|place| *place >= 0) {
        tracing::info!(
            "group {group} had been here before: it goes on from its committed offsets, and is not shown all"
        );
    }
    committed
}

/// One pass. Returns whether there may be another.
fn one_pass(
    ground: &GroupGround<'_>,
    config: &GroupReadConfig,
    reader: &ReaderBoard,
    feeders: &[Feeder<GroupReadPass>],
    name: &str,
    (left, losses): (&mut Option<u64>, &mut Vec<Losses>),
    committed: &[i64],
) -> Result<bool, RunError> {
    let run_context = ground.run_context;
    let Some(survey) = run_context.survey()? else { return Ok(false) };
    let continuous = run_context.config.passes == Passes::Continuous;
    let total: u64 = survey.ranges.iter().map(OffsetRange::offsets).sum();
    if total == 0 && run_context.config.passes == Passes::Loop {
        std::thread::sleep(EMPTY_PASS_PAUSE);
    }
    reader.set_removed(removed(&survey.expectation.ledger, &survey.ranges));
    let before = reader.raw_totals().records();
    reader.set_goal(before + left.unwrap_or(total).min(total));
    let closing = || run_context.lifecycle().last_pass_requested().then(|| run_context.survey_ends());
    let plan = PassPlan {
        ground,
        config,
        name,
        survey,
        losses: std::mem::take(losses),
        allowance: left.map_or(Allowance::All, |left| Allowance::Shared(Arc::new(Budget::new(left)))),
        stats: reader.shards[config.members.get()].clone(),
        closing: continuous.then_some(&closing as Closings<'_>),
        at_close: AtClose::Ends,
        is_patient: continuous || config.throughput_bytes_per_s.is_some(),
        second_look: Some(SecondLook::new(run_context)),
        progress: None,
    };
    let (mut together, mut outcomes) = plan.run(feeders);
    outcomes.push(run_context.decide());
    run_context.noted(worst(outcomes))?;
    together.note_coverage(committed);
    if left.is_none() && !run_context.lifecycle().stop_requested() {
        run_context.noted(together.audit().map_err(RunError::from))?;
    }
    *losses = together.parts.into_iter().map(|part| part.progress.into_losses()).collect();
    run_context.end_pass(&[reader]);
    *left = left.map(|left| left.saturating_sub(reader.raw_totals().records() - before));
    Ok(true)
}
