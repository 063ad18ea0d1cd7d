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
        crew::{Crew, EMPTY_PASS_PAUSE, join, removed, start_readers, worst},
        read::{
            budget::{Allowance, Budget},
            progress::Span,
        },
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
pub(crate) fn group_read(crew: &Crew<'_>, board: &Board) -> Result<(), RunError> {
    let Some(config) = &crew.config.group_read else { return Ok(()) };
    let Some(reader) = board.readers.iter().find(|reader| reader.kind == ReaderKind::Group) else {
        return Ok(());
    };
    let ground = GroupGround::of_topic(crew, FLAGS);
    let jobs = group_reader::jobs(crew, config, reader);
    let (feeders, running) = start_readers(crew, jobs, group_reader::run)?;
    let mut left = config.max_messages;
    let mut losses = vec![Losses::default(); crew.partitions];
    let committed = committed_places(&ground, config);
    let mut result = Ok(());
    let mut own_groups = OwnGroups::default();
    for run in 1_u64.. {
        let name = config.name.clone().unwrap_or_else(|| generated_name(run));
        let outcome =
            one_pass(&ground, config, reader, &feeders, &name, (&mut left, &mut losses), &committed);
        if config.name.is_none() {
            // Looping readers would leave one behind for each pass.
            own_groups.delete(crew, &name);
        }
        match outcome {
            Ok(true) if !crew.is_last_pass() && left != Some(0) => {}
            Ok(_) => break,
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    own_groups.finish(crew);
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
    let places = sharing::committed_places(ground.crew, config, group);
    let committed = places.and_then(|places| places.look(&ground.topics)).unwrap_or_default();
    if committed.iter().any(|place| *place >= 0) {
        tracing::info!(
            "group {group} had been here before: it goes on from its committed places, and is not shown all"
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
    let crew = ground.crew;
    let Some(survey) = crew.survey()? else { return Ok(false) };
    let continuous = crew.config.passes == Passes::Continuous;
    let total: u64 = survey.spans.iter().map(Span::offsets).sum();
    if total == 0 && crew.config.passes == Passes::Loop {
        std::thread::sleep(EMPTY_PASS_PAUSE);
    }
    reader.set_removed(removed(&survey.truth.ledger, &survey.spans));
    let before = reader.raw_totals().records();
    reader.set_goal(before + left.unwrap_or(total).min(total));
    let closing = || crew.lifecycle().last_pass_requested().then(|| crew.survey_ends());
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
        second_look: Some(SecondLook::new(crew)),
        progress: None,
    };
    let (mut together, mut outcomes) = plan.run(feeders);
    outcomes.push(crew.decide());
    crew.noted(worst(outcomes))?;
    together.note_coverage(committed);
    if left.is_none() && !crew.lifecycle().stop_requested() {
        crew.noted(together.audit().map_err(RunError::from))?;
    }
    *losses = together.parts.into_iter().map(|part| part.progress.into_losses()).collect();
    crew.end_pass(&[reader]);
    *left = left.map(|left| left.saturating_sub(reader.raw_totals().records() - before));
    Ok(true)
}
