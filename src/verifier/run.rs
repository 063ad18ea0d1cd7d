//! A verifier's run from its first line to its last: the main thread's part.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{phases, read::group::group_pass, run_context::RunContext, shard::Halt, sliced, trial::Trial};
use crate::{
    app::{
        broker::Cluster,
        ending::{Asked, Ending},
        error::RunError,
        frame,
        report::PRODUCE,
    },
    config::{Brokers, NewTopic, ProduceConfig, VerifierConfig},
    control::{Control, StartWait},
    findings::anomaly::Anomaly,
    human::count,
    kafka::{ClientSettings, Observer, TopicError, TopicShape},
    ledger::{LedgerStore, Ledgers},
    runtime::{
        cores::{
            placement::{self, Placement, PlacementError, ShardLimits},
            topology::Topology,
        },
        preflight,
    },
    stats::{Board, ReaderKind},
};

impl From<Halt> for RunError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Violation(violation) => Self::Violation(violation),
            Halt::Failed(reason) => Self::Failed(reason),
        }
    }
}

/// Does what was asked for; returns the exit code.
#[must_use]
pub(crate) fn run(config: &VerifierConfig) -> u8 {
    if config.common.print_placement {
        return frame::print_plan(|topology| plan(config, topology, config.common.new_topic_partitions));
    }
    frame::run(Asked::Verifier(Box::new(config.clone())), |ending| run_to_end(config, ending))
}

fn run_to_end(config: &VerifierConfig, ending: &Arc<Ending>) -> Result<(), RunError> {
    // Before anything narrows this thread's own mask.
    let topology = Topology::detect()?;
    // Impossible wishes are refused before anything is touched; the topic decides the rest.
    let most = plan(config, &topology, usize::MAX)?;
    let trial = Trial::of(config, &topology.allowed, most.shards.len())?;
    ending.begin_report()?;
    let cluster = Cluster::open(&config.common, &config.topic)?;
    let control = Control::start(ending)?;
    control.shared.connections.store(trial.port, Relaxed);
    let result = work(&trial, config, &topology, &cluster, &control);
    // Nobody produces here any more, however long the process stays.
    drop(trial);
    control.shared.lifecycle.finish_work();
    ending.close(result.as_ref().err());
    // A run that failed is over at once: whoever watches it must see its exit code.
    if config.common.remote && result.is_ok() {
        control.stay();
    }
    control.finish();
    result
}

fn work(
    trial: &Trial<'_>,
    config: &VerifierConfig,
    topology: &Topology,
    cluster: &Cluster,
    control: &Control,
) -> Result<(), RunError> {
    let client = ClientSettings::new(&config.common, cluster.bootstrap());
    let (observer, observers) = frame::observe(&client, &topology.allowed, &config.common.client)?;
    let most = plan(config, topology, usize::MAX)?.shards.len();
    let new_topic = trial.new_topic(&observer, most)?;
    let TopicShape { partitions, brokers, is_redpanda, .. } =
        match wait_for_topic(config, new_topic, control, &observer) {
            Err(TopicError::Stopped { .. }) => return verdict(Ok(()), control),
            answer => answer.map_err(|error| trial.explain(error))?,
        };
    sliced::check(config, partitions)?;
    let placement = plan(config, topology, sliced::partitions(config.slice, partitions).len())?;
    control.shared.connections.store(trial.connections(brokers, placement.shards.len())?, Relaxed);
    preflight::check(placement.shards.len(), observers)?;
    let kind = frame::client_on(&config.common.client, is_redpanda);
    let topics = [(config.topic.clone(), partitions)];
    control.watch(observer.clone(), &topics, config.common.metadata_max_age);
    let run_context = RunContext {
        config,
        control,
        observer,
        kind,
        client,
        placement,
        partitions,
        brokers,
        ledgers: Ledgers::of(
            cluster.ledger_dir(&config.ledger_dir),
            &config.topic,
            config.producing_slice(),
            config.produce.is_some(),
        ),
    };
    if config.produce.is_none() && config.has_readers() {
        warn_without_ledger(&run_context);
    }
    // The ledger must be readable, and writable by a producer, before there is anything to lose.
    let (ledger, _) = run_context.ledger()?;
    if let Ledgers::Own(store) = &run_context.ledgers {
        store.probe()?;
    }
    control.shared.shards.store(run_context.placement.shards.len(), Relaxed);
    let board = control.shared.board.get_or_init(|| run_context.board());
    board.note_ledger(ledger.acked_count());
    let part = config
        .slice
        .map_or_else(String::new, |slice| format!("slice {slice} with {} of ", run_context.own().len()));
    tracing::info!(
        "topic {}: {part}{}, {}, {} in the ledger",
        config.topic,
        count(partitions, "partition"),
        count(run_context.placement.shards.len(), "shard"),
        count(ledger.acked_count(), "offset")
    );
    verdict(run_phases(&run_context, board), control).map_err(|error| explain_compaction(error, &run_context))
}

/// Says so where there is nothing to hold the log against.
fn warn_without_ledger(run_context: &RunContext<'_>) {
    let config = run_context.config;
    // That of an embedded cluster goes with it: nobody could have brought one.
    if matches!(config.common.brokers, Brokers::Embedded { .. }) || run_context.ledgers.has_any() {
        return;
    }
    let place = LedgerStore::new(&config.ledger_dir, &config.topic).path().to_owned();
    let place = std::path::absolute(&place).unwrap_or(place);
    tracing::warn!(
        "no ledger at {}: lost writes cannot be detected; --ledger-dir names another folder",
        place.display()
    );
}

/// Records that compaction took look like lost ones to whoever was not told of it.
fn explain_compaction(mut error: RunError, run_context: &RunContext<'_>) -> RunError {
    if let RunError::Violation(violation) | RunError::Violations { first: violation, .. } = &mut error
        && violation.anomaly == Anomaly::LostWrite
        && !run_context.config.proof.compacted
        && run_context.observer.is_compacted(&run_context.config.topic) == Some(true)
    {
        violation.found.push_str("; the topic's cleanup.policy is compact: does it want --compacted?");
    }
    error
}

pub(crate) fn wait_for_topic(
    config: &VerifierConfig,
    new: Option<&NewTopic>,
    control: &Control,
    observer: &Observer,
) -> Result<TopicShape, TopicError> {
    let timeout = config.common.startup_timeout;
    // Its limits are the observer's, which has an error for each.
    let mut wait = StartWait::new(&control.shared, "the run", None);
    let shape = observer.wait_for_topic(&config.topic, new, timeout, |awaited| wait.still(awaited))?;
    wait.over();
    Ok(shape)
}

/// What the run as a whole has shown: a broken promise comes before whatever else went wrong.
pub(crate) fn verdict(outcome: Result<(), RunError>, control: &Control) -> Result<(), RunError> {
    let violations = &control.shared.violations;
    let first = violations.kept().first().cloned().map(Box::new);
    match (outcome, first) {
        (Err(RunError::Violation(violation)), _) => Err(RunError::Violation(violation)),
        (outcome, Some(first)) => {
            if let Err(error) = outcome {
                tracing::error!("{error}");
            }
            Err(RunError::Violations { count: violations.count(), first })
        }
        (outcome, None) => outcome.and_then(|()| match control.shared.lifecycle.failure() {
            Some(reason) => Err(RunError::Failed(reason)),
            None => Ok(()),
        }),
    }
}

/// One after the other, until one fails or the run is stopped.
fn run_phases(run_context: &RunContext<'_>, board: &Board) -> Result<(), RunError> {
    let steps: [(&'static str, phases::Phase); 4] = [
        (PRODUCE, phases::produce),
        (ReaderKind::Random.name(), phases::random_read),
        (ReaderKind::Sequential.name(), phases::sequential_read),
        (ReaderKind::Group.name(), group_pass::group_read),
    ];
    let ending = &run_context.control.shared.ending;
    let mut outcome = Ok(());
    for (name, phase) in steps {
        ending.begin_phase(name);
        run_context.lifecycle().begin_phase(run_context.config.common.limits.duration);
        outcome = phase(run_context, board);
        ending.end_phase();
        if outcome.is_err() || run_context.lifecycle().run_stop_requested() {
            break;
        }
    }
    // Nobody who looks may take a worker that will not run any more for one that does.
    RunContext::finish_all(board);
    outcome
}

pub(crate) fn plan(
    config: &VerifierConfig,
    topology: &Topology,
    partitions: usize,
) -> Result<Placement, PlacementError> {
    let max_buffered_records =
        config.produce.as_ref().map(|ProduceConfig { max_buffered_records, .. }| *max_buffered_records);
    let limits = ShardLimits { partitions, max_buffered_records };
    placement::plan(topology, &config.common.cores, config.common.client_threads, &limits)
}
