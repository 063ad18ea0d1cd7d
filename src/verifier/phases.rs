//! The phases of a run, and how they are spread over the shards.

use std::{sync::Arc, time::Duration};

use super::{
    produce::{
        latecomers::{self, LateEnds, Latecomers},
        predict::predicted_log::ProducePartition,
        run::{self as producer, ProduceJob, transactional_id},
    },
    read::{
        budget::{self, Allowance, Budget},
        closing::Close,
        progress::{OPEN_END, OffsetRange},
        random_reader::{self, RandReadJob, RandReadPass},
        sequential::seq_reader::{self, SeqReadJob, SeqReadPass},
    },
    run_context::{
        EMPTY_PASS_PAUSE, PassReaders, RunContext, Survey, join, removed, start_readers, start_together,
        worst,
    },
    shard::{Halt, ShardContext},
    work_watch::WorkWatch,
};
use crate::{
    app::error::RunError,
    config::{ClientKind, Passes, ProduceConfig},
    control::Message,
    kafka::{ClientFactory, Coordinator, Trouble},
    ledger::{LatestValues, Ledger, Ledgers, PartitionLedger},
    partitions::PartitionTable,
    random::Random,
    record::proof,
    runtime::executor::{self, Shard},
    stats::{Board, ProducerBoard, ProducerStats, ProducerWants, ReaderKind},
};

/// Between two looks at shards that produce.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// A part of the run.
pub(crate) type Phase = fn(&RunContext<'_>, &Board) -> Result<(), RunError>;

/// Produces what was asked for.
pub(crate) fn produce(run_context: &RunContext<'_>, board: &Board) -> Result<(), RunError> {
    let (Some(config), Some(producer)) = (&run_context.config.produce, &board.producer) else {
        return Ok(());
    };
    let Ledgers::Own(store) = &run_context.ledgers else { return Ok(()) };
    let mut ledger = store.load(run_context.partitions)?;
    store.recover(&ledger)?;
    ledger.tolerate_data_loss |= run_context.config.proof.tolerate_data_loss;
    let latest = if config.latest_values {
        let known = store.load_latest(run_context.partitions)?;
        Some(known.unwrap_or_else(|| LatestValues::new(run_context.partitions)))
    } else {
        None
    };
    let Some(ends) = latecomers::first_ends(run_context) else { return Ok(()) };
    let late = Arc::new(LateEnds::new(run_context.partitions));
    let jobs = produce_jobs(run_context, config, &ledger, (&ends, &late), producer);
    run_context.control.send(Message::OpenLedger { store: store.clone(), ledger, latest });
    let shards = match run_context.kind {
        ClientKind::Wire => start_producers(run_context, jobs, ShardContext::wire)?,
        ClientKind::Librdkafka => start_producers(run_context, jobs, ShardContext::librdkafka)?,
    };
    supervise(
        run_context,
        producer,
        &shards,
        Latecomers::new(run_context, &ends, late, config.transactions.is_some()),
    );
    let outcomes = join(shards)?;
    // Also when it failed: what was acked until then is true.
    let flushed = run_context.control.flush_ledger();
    worst(outcomes)?;
    flushed?;
    let (lifecycle, acked) = (run_context.lifecycle(), producer.raw_totals().acked);
    let in_time = lifecycle.time_is_up() && acked > 0;
    if !lifecycle.stop_requested() || in_time || acked >= producer.goal() {
        producer.complete();
    }
    producer.finish();
    Ok(())
}

/// Starts each job as the task of its shard, with clients of this kind.
fn start_producers<C: ClientFactory>(
    run_context: &RunContext<'_>,
    jobs: Vec<ProduceJob>,
    clients: fn(&ShardContext) -> C,
) -> Result<Vec<Shard<Result<(), Halt>>>, RunError> {
    let contexts = run_context.placement.shards.iter().map(|place| run_context.context(place.clone()));
    let work: Arc<Vec<_>> = Arc::new(contexts.zip(jobs).collect());
    let shards = executor::spawn_shards(
        &run_context.placement,
        &run_context.control.shared.heartbeats,
        move |place| {
            let (context, job) = work[place.index].clone();
            async move {
                let outcome = producer::run(clients(&context), &context, job).await;
                context.stop_all_on_halt(outcome)
            }
        },
    )?;
    Ok(shards)
}

fn produce_jobs(
    run_context: &RunContext<'_>,
    config: &ProduceConfig,
    ledger: &Ledger,
    (ends, late): (&[i64], &Arc<LateEnds>),
    producer: &ProducerBoard,
) -> Vec<ProduceJob> {
    let owned = run_context.produced(config);
    let counts: Vec<u64> = owned.iter().map(|ids| ids.len() as u64).collect();
    let records = run_context.shares_of(config.messages.get(), &counts);
    let windows = run_context.shares_of(config.max_buffered_records as u64, &counts);
    let before = run_context.config.slice.map_or(0, |slice| slice.partitions_before(run_context.partitions));
    let config = Arc::new(config.clone());
    let partition = |id: &i32| {
        let part = ledger.partition(*id);
        ProducePartition {
            id: *id,
            end_offset: usize::try_from(*id).ok().and_then(|index| ends.get(index)).copied().unwrap_or(0),
            highest_acked: part.and_then(PartitionLedger::highest).unwrap_or(-1),
            last_consumable: part.map_or(0, |part| {
                // Before the first tombstone, what was acked last is the latest of its key.
                if ledger.adjust_consumable_offsets {
                    part.last_consumable
                } else {
                    part.highest().unwrap_or(0)
                }
            }),
        }
    };
    // Shards share it, because no two of them write to the same partition.
    let run = Random::from_entropy().below(proof::RUNS);
    if config.proof_header {
        tracing::info!("this run's records name it in their proof headers: {run:016x}");
    } else if run_context.config.proof.proof_header {
        tracing::warn!("batches of so few bytes have no room for proof headers: none are written");
    }
    let jobs = owned.iter().enumerate().map(|(index, ids)| ProduceJob {
        config: config.clone(),
        partitions: ids.iter().map(partition).collect(),
        table: Arc::new(PartitionTable::of_topic(&run_context.config.topic, ids.iter().copied())),
        records: records[index],
        share: run_context.share(ids.len()),
        window: usize::try_from(windows[index]).unwrap_or(usize::MAX).max(1),
        partitions_before: before + owned[..index].iter().map(Vec::len).sum::<usize>(),
        topic_partitions: run_context.partitions,
        tolerate_data_loss: run_context.config.proof.tolerate_data_loss,
        stats: producer.shards[index].clone(),
        run,
        late: late.clone(),
        open_loop: None,
    });
    jobs.collect()
}

/// Until the shards have ended: says what they wait for, and tells them of partitions that get a leader.
fn supervise<T>(
    run_context: &RunContext<'_>,
    producer: &ProducerBoard,
    shards: &[Shard<T>],
    mut latecomers: Latecomers<'_>,
) {
    let is_over = || shards.iter().all(Shard::is_finished);
    // Its rate does not count: it only wants what it has sent for.
    let mut watch = WorkWatch::new(run_context.wait("the producer"), false);
    while !is_over() {
        std::thread::sleep(LOOK_PAUSE);
        latecomers.look(is_over);
        look_at_producers(run_context, &producer.shards, &mut watch);
    }
    watch.ended();
    latecomers.ended();
    run_context.lifecycle().begin();
}

/// One look at shards that produce: the run has begun with the first ack, and who stands still is said to wait.
pub(crate) fn look_at_producers(
    run_context: &RunContext<'_>,
    shards: &[Arc<ProducerStats>],
    watch: &mut WorkWatch<'_, (usize, ProducerWants)>,
) {
    // Whatever a shard wants behind its first ack, it is there again.
    if !run_context.lifecycle().has_begun() && shards.iter().any(|stats| stats.acked.get() > 0) {
        run_context.lifecycle().begin();
    }
    let standing = |(index, stats): (usize, &Arc<ProducerStats>)| {
        (stats.progress(), stats.wants.get().map(|wants| (index, wants)))
    };
    let workers = shards.iter().enumerate().map(standing);
    watch.look(workers, |(shard, wants), _| Some(producer_s_trouble(run_context, shard, wants)));
}

/// What a shard's producer waits for, and who keeps it waiting.
fn producer_s_trouble(run_context: &RunContext<'_>, shard: usize, wants: ProducerWants) -> Trouble {
    let id =
        transactional_id(&run_context.client, &run_context.config.topic, run_context.config.slice, shard);
    let coordinator = Coordinator::Transactions(&id);
    match wants {
        ProducerWants::Coordinator | ProducerWants::TransactionEnd => {
            let trouble = run_context.observer.trouble_with(coordinator);
            // What an earlier transaction wrote to must be there for it to end.
            match run_context.observer.trouble_with_topic(&run_context.config.topic) {
                Some(of_topic) if !trouble.is_known => of_topic.into(),
                _ => trouble,
            }
        }
        ProducerWants::Offsets => {
            run_context.topic_awaited(|| "the offsets of its partitions".to_owned()).into()
        }
        ProducerWants::Acks => run_context.topic_awaited(|| "acks of what it has sent".to_owned()).into(),
    }
}

/// Reads everything, in order, and validates it.
pub(crate) fn sequential_read(run_context: &RunContext<'_>, board: &Board) -> Result<(), RunError> {
    let Some(config) = &run_context.config.seq_read else { return Ok(()) };
    let Some(reader) = board.readers.iter().find(|reader| reader.kind == ReaderKind::Sequential) else {
        return Ok(());
    };
    let (owned, shards) = (run_context.owned(), run_context.placement.shards.len());
    let table =
        |ids: &Vec<i32>| PartitionTable::of_topic(&run_context.config.topic, ids.iter().copied()).into();
    let tables: Vec<Arc<PartitionTable>> = owned.iter().map(table).collect();
    let jobs = reader.shards.iter().zip(&tables).map(|(stats, table)| SeqReadJob {
        table: table.clone(),
        stats: stats.clone(),
        throughput_bytes_per_s: config.throughput_bytes_per_s,
        share: run_context.share(table.count()),
        proof: run_context.config.proof,
        end_to_end: None,
    });
    let (feeders, shards_running) =
        start_readers(run_context, jobs.map(|job| vec![job]).collect(), seq_reader::run)?;
    let close = Close::default();
    let watched = PassReaders {
        worker: "the sequential reader",
        stats: reader.shards.clone(),
        patient: config.throughput_bytes_per_s.is_some() || run_context.config.passes == Passes::Continuous,
        close: (run_context.config.passes == Passes::Continuous).then(|| close.clone()),
    };
    let mut left = config.max_messages.map(|total| run_context.share_of(total));
    let result = run_context.run_passes(&[reader], &feeders, &watched, || {
        if left == Some(0) {
            return Ok(None);
        }
        let Some(Survey { expectation, ranges }) = run_context.survey()? else { return Ok(None) };
        reader.set_removed(removed(&expectation.ledger, &ranges));
        let mut parts: Vec<Vec<OffsetRange>> = tables.iter().map(|table| spans_of(table, &ranges)).collect();
        let sizes: Vec<u64> =
            parts.iter().map(|ranges| ranges.iter().map(OffsetRange::offsets).sum()).collect();
        let total: u64 = sizes.iter().sum();
        if total == 0 && run_context.config.passes == Passes::Loop {
            std::thread::sleep(EMPTY_PASS_PAUSE);
        }
        let continuous = run_context.config.passes == Passes::Continuous;
        let goal = if continuous { left.unwrap_or(total) } else { left.unwrap_or(total).min(total) };
        reader.set_goal(reader.raw_totals().records() + goal);
        let allowances = allowances(left, continuous, &sizes);
        left = left.map(|left| left - left.min(goal));
        if continuous {
            parts.iter_mut().flatten().for_each(|range| range.end = OPEN_END);
        }
        let passes = parts.into_iter().zip(allowances).map(|(ranges, allowance)| SeqReadPass {
            expectation: expectation.clone(),
            ranges,
            allowance,
            close: close.clone(),
        });
        debug_assert_eq!(sizes.len(), shards);
        Ok(Some(passes.collect()))
    });
    drop(feeders);
    join(shards_running)?;
    result?;
    reader.finish();
    Ok(())
}

/// Reads here and there, and validates it.
pub(crate) fn random_read(run_context: &RunContext<'_>, board: &Board) -> Result<(), RunError> {
    let Some(config) = &run_context.config.rand_read else { return Ok(()) };
    let readers: Vec<_> = board.readers.iter().filter(|reader| reader.kind == ReaderKind::Random).collect();
    let shards = run_context.placement.shards.len();
    let (mut jobs, table) = (vec![Vec::new(); shards], run_context.table());
    for (index, reader) in readers.iter().enumerate() {
        jobs[index % shards].push(RandReadJob {
            table: table.clone(),
            stats: reader.shards[0].clone(),
            reads: run_context.share_of(config.reads_per_reader),
            proof: run_context.config.proof,
        });
    }
    let watched = PassReaders {
        worker: "a random reader",
        stats: jobs.iter().flatten().map(|job| job.stats.clone()).collect(),
        patient: false,
        close: None,
    };
    let (feeders, shards_running) = start_together(run_context, jobs, random_reader::run)?;
    let result = run_context.run_passes(&readers, &feeders, &watched, || {
        let Some(Survey { expectation, ranges }) = run_context.survey()? else { return Ok(None) };
        if ranges.iter().all(|range| range.offsets() == 0) {
            tracing::info!("topic {} is empty: nothing to read at random", run_context.config.topic);
            if run_context.config.passes == Passes::Loop {
                std::thread::sleep(EMPTY_PASS_PAUSE);
            }
        }
        let pass = RandReadPass { expectation, ranges: spans_of(&table, &ranges).into() };
        Ok(Some(vec![pass; feeders.len()]))
    });
    drop(feeders);
    join(shards_running)?;
    result?;
    for reader in readers {
        reader.finish();
    }
    Ok(())
}

/// What each shard may read of what is left, where `sizes` is what there is.
fn allowances(left: Option<u64>, continuous: bool, sizes: &[u64]) -> Vec<Allowance> {
    match left {
        None => vec![Allowance::All; sizes.len()],
        // Nobody knows where the records that are still to come will be.
        Some(left) if continuous => vec![Allowance::Shared(Arc::new(Budget::new(left))); sizes.len()],
        Some(left) => {
            let total = sizes.iter().sum();
            budget::shares(left.min(total), sizes).into_iter().map(Allowance::Own).collect()
        }
    }
}

/// Those of a table's partitions, of all of the topic.
fn spans_of(table: &PartitionTable, ranges: &[OffsetRange]) -> Vec<OffsetRange> {
    let range = |slot| {
        let number = usize::try_from(table.partition(slot)).ok()?;
        ranges.get(number).map(|range| OffsetRange { partition: slot, ..*range })
    };
    table.slots().filter_map(range).collect()
}
