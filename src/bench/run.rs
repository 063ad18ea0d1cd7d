//! A benchmark's run from its first line to its last: the main thread's part.

use std::{
    io, iter,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, ScopedJoinHandle},
};

use super::{
    finding::{self, Found},
    ground::{Ground, Placed},
    groups::{self, Group},
    interval_log::IntervalLog,
    meter::{LOOK, Load, Meter},
    outcome::{self, Outcome},
    page,
    result::{BacklogReport, SearchReport},
    shards::{self, Shards},
    summary,
    window::Window,
};
use crate::{
    app::{
        Shared,
        broker::Cluster,
        ending::{Asked, Ending},
        error::RunError,
        frame,
        outputs::{self, OutputError},
        verdict::Facts,
    },
    config::{BenchConfig, BenchRate, BenchReaders, NewTopic, VerifierConfig},
    control::Control,
    human::count,
    kafka::{ClientSettings, Isolation, Observer, OffsetSpec, TopicError, TopicShape},
    ledger::{LedgerStore, Ledgers, files::whole_file},
    runtime::{cores::topology::Topology, preflight},
    stats::{Board, ProducerBoard, ProducerStats, ReaderBoard, ReaderKind, ReaderStats, Topics},
    verifier::{
        run::{plan, verdict, wait_for_topic},
        run_context::{RunContext, join, worst},
        shard::Halt,
        trial::Trial,
    },
};

/// The only phase.
const BENCH: &str = "bench";

/// Does what was asked for; returns the exit code.
#[must_use]
pub(crate) fn run(config: &BenchConfig) -> u8 {
    let verifier = &config.verifier;
    if verifier.common.print_placement {
        return frame::print_plan(|topology| {
            plan(verifier, topology, verifier.common.new_topic_partitions * config.topics.len())
        });
    }
    frame::run(Asked::Bench(Box::new(config.clone())), |ending| run_to_end(config, ending))
}

fn run_to_end(config: &BenchConfig, ending: &Arc<Ending>) -> Result<(), RunError> {
    let verifier = &config.verifier;
    // Before anything narrows this thread's own mask.
    let topology = Topology::detect()?;
    let most = plan(verifier, &topology, usize::MAX)?.shards.len();
    // A shard has a client that writes, and one that reads.
    let trial = Trial::without_ledger(verifier, &topology.allowed, most * 2)?;
    outputs::check(&config.outputs(), &[])?;
    ending.begin_report()?;
    let cluster = Cluster::open(&verifier.common, &config.topics[0])?;
    cluster.add_topics(&config.topics[1..], verifier.common.new_topic_partitions)?;
    let control = Control::start(ending)?;
    control.shared.connections.store(trial.port, Relaxed);
    let mut measured = None;
    let result = work(&trial, config, &topology, &cluster, &control, &mut measured);
    control.shared.lifecycle.finish_work();
    let result = match measured {
        Some(outcome) => tell(outcome, config, ending, &control, result),
        None => result,
    };
    ending.close(result.as_ref().err());
    if verifier.common.remote && result.is_ok() {
        control.stay();
    }
    control.finish();
    result
}

/// Writes the result in every form that was asked for, and has the summary ready.
fn tell(
    outcome: Outcome,
    config: &BenchConfig,
    ending: &Ending,
    control: &Control,
    result: Result<(), RunError>,
) -> Result<(), RunError> {
    // Told once.
    let _ = control.shared.bench_summary.set(summary::lines(&outcome, config, &control.shared));
    let facts = ending.facts(result.as_ref().err());
    let written = write(outcome, config, (ending, &control.shared), &facts);
    result.and(written.map_err(RunError::from))
}

fn write(
    mut outcome: Outcome,
    config: &BenchConfig,
    run: (&Ending, &Shared),
    facts: &Facts,
) -> Result<(), OutputError> {
    let log = outcome.log.take();
    let document = outcome::document(&outcome, config, run, facts);
    let put = |flag, path: &Option<PathBuf>, write: &dyn Fn(&Path) -> io::Result<()>| {
        let Some(path) = path else { return Ok(()) };
        write(path).map_err(|source| outputs::unwritable(flag, path, source))
    };
    let json = put("output", &config.output, &|path| whole_file::replace_with_json(path, &document));
    let html = put("html", &config.html, &|path| whole_file::replace(path, page::of(&document).as_bytes()));
    let hdr = log.zip(config.hdr.as_deref()).map_or(Ok(()), |(log, path)| {
        log.finish().map_err(|source| outputs::unwritable("hdr", path, source))
    });
    // Each is written, whatever becomes of the others.
    json.and(html).and(hdr)
}

fn work(
    trial: &Trial<'_>,
    config: &BenchConfig,
    topology: &Topology,
    cluster: &Cluster,
    control: &Control,
    measured: &mut Option<Outcome>,
) -> Result<(), RunError> {
    let common = &config.verifier.common;
    let client = ClientSettings::new(common, cluster.bootstrap());
    let (observer, observers) = frame::observe(&client, &topology.allowed, &common.client)?;
    let most = plan(&config.verifier, topology, usize::MAX)?.shards.len();
    let new_topic = trial.new_topic(&observer, most * 2)?;
    let named = |topic: &String| VerifierConfig { topic: topic.clone(), ..config.verifier.clone() };
    let configs: Vec<VerifierConfig> = config.topics.iter().map(named).collect();
    let shapes = match shapes(&configs, new_topic, control, &observer) {
        Err(TopicError::Stopped { .. }) => return verdict(Ok(()), control),
        shapes => shapes?,
    };
    let partitions = shapes.iter().map(|shape| shape.partitions).sum();
    let placement = plan(&config.verifier, topology, partitions)?;
    let brokers = shapes.iter().map(|shape| shape.brokers).max().unwrap_or(1);
    control.shared.connections.store(trial.connections(brokers, placement.shards.len() * 2)?, Relaxed);
    preflight::check(placement.shards.len(), observers)?;
    control.shared.shards.store(placement.shards.len(), Relaxed);
    let kind = frame::client_on(&common.client, shapes.iter().any(|shape| shape.is_redpanda));
    let watched: Vec<_> =
        config.topics.iter().cloned().zip(shapes.iter().map(|shape| shape.partitions)).collect();
    control.watch(observer.clone(), &watched, common.metadata_max_age);
    let run_context = |(config, shape): (_, &TopicShape)| RunContext {
        config,
        control,
        observer: observer.clone(),
        kind,
        client: client.clone(),
        placement: placement.clone(),
        partitions: shape.partitions,
        brokers,
        // Nothing of it is ever written down.
        ledgers: Ledgers::Own(LedgerStore::new(cluster.ledger_dir(&config.ledger_dir), &config.topic)),
    };
    let run_contexts = configs.iter().zip(&shapes).map(run_context).collect();
    let ground = Ground { config, control, run_contexts };
    tracing::info!(
        "{}: {}, {}",
        count(config.topics.len(), "topic"),
        count(partitions, "partition"),
        count(placement.shards.len(), "shard")
    );
    let outcome = bench(&ground, measured);
    verdict(outcome, control)
}

/// How wide each topic is, as soon as it is there. Where the first one is, brokers answer: then the others are made at once.
fn shapes(
    configs: &[VerifierConfig],
    new: Option<&NewTopic>,
    control: &Control,
    observer: &Observer,
) -> Result<Vec<TopicShape>, TopicError> {
    let wait = |config| wait_for_topic(config, new, control, observer);
    let Some((first, others)) = configs.split_first() else { return Ok(Vec::new()) };
    let first = wait(first)?;
    if let Some(new) = new {
        let names: Vec<_> = others.iter().map(|config| config.topic.clone()).collect();
        observer.make_missing(&names, new, || !control.shared.lifecycle.stop_requested());
    }
    let others = others.iter().map(wait);
    iter::once(Ok(first)).chain(others).collect()
}

/// The workers, for all who look at them.
fn board(ground: &Ground<'_>) -> Board {
    let dealt = ground.dealt();
    let places = |own: &Vec<Placed>| own.iter().map(|placed| placed.place).collect::<Vec<_>>();
    let producers = dealt.iter().map(|own| Arc::new(ProducerStats::new(&places(own))));
    let readers = match ground.config.readers {
        BenchReaders::None => Vec::new(),
        BenchReaders::Direct => {
            let readers = dealt.iter().map(|own| Arc::new(ReaderStats::new(&places(own))));
            vec![ReaderBoard::new(ReaderKind::Sequential, readers.collect())]
        }
        BenchReaders::Groups { groups, members } => {
            groups::boards(groups.get(), members.get(), ground.partitions())
        }
    };
    let producer = ProducerBoard::new(producers.collect());
    Board::new(Topics::new(ground.topics()), Some(producer), readers)
}

fn bench(ground: &Ground<'_>, measured: &mut Option<Outcome>) -> Result<(), RunError> {
    let (Some(produce), shared) = (&ground.config.verifier.produce, &ground.control.shared) else {
        return Ok(());
    };
    let ends = ground.of_all(|run_context| run_context.places(OffsetSpec::End, Isolation::ReadUncommitted));
    let Some(ends) = ground.stopped(ends)? else { return Ok(()) };
    let board = shared.board.get_or_init(|| board(ground));
    let Some(producer) = &board.producer else { return Ok(()) };
    let open = |path| IntervalLog::open(path).map_err(|source| outputs::unwritable("hdr", path, source));
    let log = ground.config.hdr.as_deref().map(open).transpose()?;
    shared.ending.begin_phase(BENCH);
    let mut shards = shards::start(ground, produce, &ends, (producer, &board.readers))?;
    let groups = std::mem::take(&mut shards.groups);
    let close = shards.close.clone();
    let mut meter = Meter::new(ground, board, shards, log);
    meter.watch_groups(groups.iter().map(|group| (group.name.clone(), group.progress.clone())));
    let (ends, close) = (&ends, &close);
    thread::scope(|scope| {
        let watch = |(group, board): (Group, _)| {
            scope.spawn(move || groups::watch(ground, &group, board, ends, close))
        };
        let watched = groups.into_iter().zip(&board.readers).map(watch).collect();
        under_load(ground, board, meter, watched, measured)
    })
}

/// All that is measured, while everybody works.
fn under_load(
    ground: &Ground<'_>,
    board: &Board,
    mut meter: Meter<'_>,
    groups: Vec<GroupThread<'_>>,
    measured: &mut Option<Outcome>,
) -> Result<(), RunError> {
    meter.wait_for_groups(|| groups.iter().any(ScopedJoinHandle::is_finished));
    let Loaded { mut window, records_per_s, search, backlog, missed } = load(&mut meter, ground.config);
    meter.finish(&mut window);
    let producers = worst(std::mem::take(&mut meter.outcomes));
    let readers = close(ground, board, &mut meter, (&mut window, groups), producers.is_ok());
    meter.close(&mut window);
    ground.control.shared.ending.end_phase();
    let cores = ground.placement().shards.iter().map(|place| place.core).collect();
    let partitions = ground.run_contexts.iter().map(|run_context| run_context.partitions).collect();
    let kind = ground.run_contexts[0].kind;
    let log = meter.log.take();
    *measured = Some(Outcome { window, records_per_s, search, backlog, kind, partitions, cores, log });
    let Meter { shards: Shards { running, feeders, .. }, .. } = meter;
    // No pass follows.
    drop(feeders);
    join(running)?;
    RunContext::finish_all(board);
    producers.and(readers)?;
    missed.map_or(Ok(()), |missed| Err(RunError::Failed(missed)))
}

/// The thread of a group.
type GroupThread<'a> = ScopedJoinHandle<'a, Result<(), Halt>>;

/// What came of a load.
struct Loaded {
    window: Window,
    /// `None` for a closed loop.
    records_per_s: Option<f64>,
    search: Option<SearchReport>,
    backlog: Option<BacklogReport>,
    /// Why no rate was found.
    missed: Option<String>,
}

/// Sets the load that was asked for, or looks for the one that holds.
fn load(meter: &mut Meter<'_>, config: &BenchConfig) -> Loaded {
    if let Some(objective) = &config.find {
        let Found { window, rate, report, missed } = finding::find(meter, config, objective);
        return Loaded { window, records_per_s: Some(rate), search: Some(report), backlog: None, missed };
    }
    let records_per_s = match config.rate {
        BenchRate::Max => None,
        BenchRate::RecordsPerS(rate) => Some(rate),
    };
    let load = Load { records_per_s, settle: config.warmup, measure: config.duration, is_last: true };
    let value_bytes = config.verifier.produce.as_ref().map_or(0, |produce| produce.value_bytes);
    let (window, backlog) = match config.backlog {
        Some(backlog) => {
            let (window, report) = meter.measure_backlog(&load, backlog, value_bytes);
            (window, Some(report))
        }
        None => (meter.measure(&load), None),
    };
    Loaded { window, records_per_s, search: None, backlog, missed: None }
}

/// All is acked: readers read to the ends of the logs, and nothing of what was acked may be missing there.
fn close(
    ground: &Ground<'_>,
    board: &Board,
    meter: &mut Meter<'_>,
    (window, groups): (&mut Window, Vec<GroupThread<'_>>),
    is_sound: bool,
) -> Result<(), RunError> {
    let lifecycle = ground.lifecycle();
    if let Some(producer) = board.producer.as_ref().filter(|_| is_sound && !lifecycle.stop_requested()) {
        producer.complete();
        producer.finish();
    }
    let ledger = Arc::new(std::mem::take(&mut meter.ledger));
    board.note_ledger(ledger.acked_count());
    if !ground.has_readers() {
        return Ok(());
    }
    if !lifecycle.stop_requested()
        && let Some(closing) = ground.closing(&ledger)
    {
        meter.shards.close.tell(closing);
    }
    let mut outcomes: Vec<Result<(), Halt>> = Vec::new();
    let is_direct = groups.is_empty();
    if is_direct {
        while let Some(feeder) = meter.shards.feeders.get(outcomes.len()) {
            outcomes.extend(feeder.wait_for(LOOK));
            meter.last_words(window);
        }
    }
    for group in groups {
        while !group.is_finished() {
            thread::sleep(LOOK);
            meter.last_words(window);
        }
        // One that panicked has ended the process.
        outcomes.push(group.join().unwrap_or(Ok(())));
    }
    outcomes.push(ground.decide(&ledger));
    worst(outcomes)?;
    if let Some(reader) = board.readers.first().filter(|_| is_direct && !lifecycle.stop_requested()) {
        reader.end_pass();
    }
    Ok(())
}
