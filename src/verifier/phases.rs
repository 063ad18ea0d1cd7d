//! The phases of a run, and how they are spread over the shards.

use std::{sync::Arc, time::Duration};

use super::{
    budget,
    producer::{self, ProduceJob, ProducePartition},
    random_reader::{self, RandReadJob, RandReadPass},
    run::RunError,
    seq_reader::{self, SeqReadJob, SeqReadPass},
    shard::{self, Feed, Feeder, Halt, ShardContext, owned_partitions},
    track::Span,
};
use crate::{
    config::{Passes, ProduceConfig, VerifierConfig},
    control::{Control, Lifecycle, Message},
    kafka::{ClientSettings, Isolation, Observer, OffsetSpec},
    ledger::{Ledger, LedgerStore, PartitionLedger},
    runtime::{
        executor::{self, Shard},
        placement::{Placement, ShardPlace},
    },
    stats::{Board, ProducerBoard, ProducerStats, ReaderBoard, ReaderKind, ReaderStats},
};

/// A part of the run.
pub(super) type Phase = fn(&Crew<'_>, &Board) -> Result<(), RunError>;

/// Everything that the phases work with.
pub(super) struct Crew<'a> {
    pub(super) config: &'a VerifierConfig,
    pub(super) control: &'a Control,
    pub(super) observer: Arc<Observer>,
    pub(super) client: ClientSettings,
    pub(super) placement: Placement,
    pub(super) partitions: usize,
    pub(super) brokers: usize,
    pub(super) store: LedgerStore,
}

/// What a pass is held against, and what it reads.
struct Survey {
    ledger: Arc<Ledger>,
    spans: Vec<Span>,
}

/// The pause between two passes over a topic without records.
const EMPTY_PASS_PAUSE: Duration = Duration::from_millis(200);

impl Crew<'_> {
    /// The run's workers, in the order in which they work.
    pub(super) fn board(&self) -> Board {
        let owned = self.owned();
        let producer = self.config.produce.as_ref().map(|produce| {
            let shards = owned.iter().map(|ids| Arc::new(ProducerStats::new(ids)));
            let board = ProducerBoard::new(shards.collect());
            board.set_goal(produce.messages.get());
            board
        });
        let all = owned_partitions(0, 1, self.partitions);
        let random = self.config.rand_read.iter().flat_map(|random| {
            (0..random.readers).map(|_| {
                let board = ReaderBoard::new(ReaderKind::Random, vec![Arc::new(ReaderStats::new(&all))]);
                board.set_goal(random.reads_per_reader);
                board
            })
        });
        let sequential = self.config.seq_read.iter().map(|_| {
            let shards = owned.iter().map(|ids| Arc::new(ReaderStats::new(ids)));
            ReaderBoard::new(ReaderKind::Sequential, shards.collect())
        });
        let readers = random.chain(sequential).collect();
        Board { topic: self.config.topic.clone(), producer, readers }
    }

    /// No worker is at work any more.
    pub(super) fn finish_all(board: &Board) {
        board.producer.iter().for_each(ProducerBoard::finish);
        board.readers.iter().for_each(ReaderBoard::finish);
    }

    /// The partitions of each shard.
    fn owned(&self) -> Vec<Vec<i32>> {
        let shards = self.placement.shards.len();
        (0..shards).map(|shard| owned_partitions(shard, shards, self.partitions)).collect()
    }

    fn lifecycle(&self) -> &Lifecycle {
        &self.control.shared.lifecycle
    }

    fn context(&self, place: ShardPlace) -> ShardContext {
        ShardContext {
            place,
            shared: self.control.shared.clone(),
            sender: self.control.sender(),
            client: self.client.clone(),
            topic: self.config.topic.as_str().into(),
        }
    }

    /// Where every partition starts or ends; `None` when the run was stopped before all answered.
    fn offsets(&self, spec: OffsetSpec) -> Option<Vec<i64>> {
        let stop = || self.lifecycle().stop_requested();
        self.observer.offsets(&self.config.topic, self.partitions, spec, Isolation::ReadUncommitted, stop)
    }

    /// The ledger, and what there is to read of each partition. The ledger comes first, so that
    /// everything that it lists lies below the ends.
    fn survey(&self) -> Result<Option<Survey>, RunError> {
        let ledger = self.store.load(self.partitions)?;
        let (Some(starts), Some(ends)) = (self.offsets(OffsetSpec::Start), self.offsets(OffsetSpec::End))
        else {
            return Ok(None);
        };
        let spans = starts.into_iter().zip(ends).enumerate().filter_map(|(partition, (start, end))| {
            Some(Span { partition: i32::try_from(partition).ok()?, start, end })
        });
        Ok(Some(Survey { ledger: Arc::new(ledger), spans: spans.collect() }))
    }

    /// Runs passes until the last one is over. `prepare` makes each shard's part of the next pass,
    /// or `None` when the run is being stopped.
    fn run_passes<P>(
        &self,
        feeders: &[Feeder<P>],
        mut prepare: impl FnMut() -> Result<Option<Vec<P>>, RunError>,
    ) -> Result<(), RunError> {
        loop {
            let Some(parts) = prepare()? else { return Ok(()) };
            feeders.iter().zip(parts).for_each(|(feeder, part)| feeder.start(part));
            let outcomes: Vec<_> = feeders.iter().map(Feeder::wait).collect();
            worst(outcomes)?;
            let last = self.lifecycle().stop_requested() || self.lifecycle().last_pass_requested();
            if self.config.passes == Passes::Once || last {
                return Ok(());
            }
        }
    }
}

/// The outcome to report: a violation before a failure, the first before the others.
fn worst(outcomes: Vec<Result<(), Halt>>) -> Result<(), RunError> {
    let mut halts: Vec<Halt> = outcomes.into_iter().filter_map(Result::err).collect();
    let violation = halts.iter().position(|halt| matches!(halt, Halt::Violation(_))).unwrap_or(0);
    if halts.is_empty() { Ok(()) } else { Err(halts.swap_remove(violation).into()) }
}

fn join<T>(shards: Vec<Shard<T>>) -> Result<Vec<T>, RunError> {
    Ok(shards.into_iter().map(Shard::join).collect::<Result<_, _>>()?)
}

/// Produces what was asked for.
pub(super) fn produce(crew: &Crew<'_>, board: &Board) -> Result<(), RunError> {
    let (Some(config), Some(producer)) = (&crew.config.produce, &board.producer) else { return Ok(()) };
    let mut ledger = crew.store.load(crew.partitions)?;
    ledger.tolerate_data_loss |= crew.config.tolerate_data_loss;
    let Some(ends) = crew.offsets(OffsetSpec::End) else { return Ok(()) };
    let jobs = produce_jobs(crew, config, &ledger, &ends, producer);
    crew.control.send(Message::OpenLedger { store: crew.store.clone(), ledger });
    let jobs = Arc::new(jobs);
    let contexts: Arc<Vec<ShardContext>> =
        Arc::new(crew.placement.shards.iter().map(|place| crew.context(place.clone())).collect());
    let shards = executor::spawn_shards(&crew.placement, move |place| {
        let (context, job) = (contexts[place.index].clone(), jobs[place.index].clone());
        async move {
            let outcome = producer::run(&context, job).await;
            context.stop_all_on_halt(outcome)
        }
    })?;
    let outcomes = join(shards)?;
    // Also when it failed: what was acked until then is true.
    let flushed = crew.control.flush_ledger();
    worst(outcomes)?;
    flushed?;
    producer.finish();
    Ok(())
}

fn produce_jobs(
    crew: &Crew<'_>,
    config: &ProduceConfig,
    ledger: &Ledger,
    ends: &[i64],
    producer: &ProducerBoard,
) -> Vec<ProduceJob> {
    let owned = crew.owned();
    let counts: Vec<u64> = owned.iter().map(|ids| ids.len() as u64).collect();
    let records = budget::shares(config.messages.get(), &counts);
    let windows = budget::shares(config.max_buffered_records as u64, &counts);
    let config = Arc::new(config.clone());
    let partition = |id: &i32| {
        let part = ledger.partition(*id);
        ProducePartition {
            id: *id,
            end_offset: usize::try_from(*id).ok().and_then(|index| ends.get(index)).copied().unwrap_or(0),
            highest_acked: part.and_then(PartitionLedger::highest).unwrap_or(-1),
            last_consumable: part.map_or(0, |part| part.last_consumable),
        }
    };
    let shards = owned.len();
    let jobs = owned.iter().enumerate().map(|(index, ids)| ProduceJob {
        config: config.clone(),
        partitions: ids.iter().map(partition).collect(),
        records: records[index],
        share: ids.len() as f64 / crew.partitions.max(1) as f64,
        window: usize::try_from(windows[index]).unwrap_or(usize::MAX).max(1),
        shards,
        brokers: crew.brokers,
        tolerate_data_loss: crew.config.tolerate_data_loss,
        stats: producer.shards[index].clone(),
    });
    jobs.collect()
}

/// Reads everything, in order, and validates it.
pub(super) fn sequential_read(crew: &Crew<'_>, board: &Board) -> Result<(), RunError> {
    let Some(config) = &crew.config.seq_read else { return Ok(()) };
    let Some(reader) = board.readers.iter().find(|reader| reader.kind == ReaderKind::Sequential) else {
        return Ok(());
    };
    let (owned, shards) = (crew.owned(), crew.placement.shards.len());
    let jobs = reader.shards.iter().zip(&owned).map(|(stats, ids)| SeqReadJob {
        stats: stats.clone(),
        throughput_bytes_per_s: config.throughput_bytes_per_s,
        share: ids.len() as f64 / crew.partitions.max(1) as f64,
        compacted: crew.config.compacted,
        tolerate_data_loss: crew.config.tolerate_data_loss,
    });
    let (feeders, shards_running) =
        start_readers(crew, jobs.map(|job| vec![job]).collect(), seq_reader::run)?;
    let mut left = config.max_messages;
    let result = crew.run_passes(&feeders, || {
        if left == Some(0) {
            return Ok(None);
        }
        let Some(Survey { ledger, mut spans }) = crew.survey()? else { return Ok(None) };
        lower_to_consumable(&ledger, &mut spans);
        reader.set_removed(removed(&ledger, &spans));
        let parts: Vec<Vec<Span>> = owned.iter().map(|ids| spans_of(ids, &spans)).collect();
        let sizes: Vec<u64> = parts.iter().map(|spans| spans.iter().map(Span::offsets).sum()).collect();
        let total: u64 = sizes.iter().sum();
        if total == 0 && crew.config.passes == Passes::Loop {
            std::thread::sleep(EMPTY_PASS_PAUSE);
        }
        let limits = left.map(|left| budget::shares(left.min(total), &sizes));
        left = left.map(|left| left - left.min(total));
        reader.set_goal(
            reader.raw_totals().records() + limits.as_ref().map_or(total, |limits| limits.iter().sum()),
        );
        let passes = parts.into_iter().enumerate().map(|(index, spans)| SeqReadPass {
            ledger: ledger.clone(),
            spans,
            limit_records: limits.as_ref().map(|limits| limits[index]),
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
pub(super) fn random_read(crew: &Crew<'_>, board: &Board) -> Result<(), RunError> {
    let Some(config) = &crew.config.rand_read else { return Ok(()) };
    let readers: Vec<_> = board.readers.iter().filter(|reader| reader.kind == ReaderKind::Random).collect();
    let shards = crew.placement.shards.len();
    let mut jobs = vec![Vec::new(); shards];
    for (index, reader) in readers.iter().enumerate() {
        jobs[index % shards].push(RandReadJob {
            stats: reader.shards[0].clone(),
            reads: config.reads_per_reader,
            compacted: crew.config.compacted,
        });
    }
    let (feeders, shards_running) = start_readers(crew, jobs, random_reader::run)?;
    let result = crew.run_passes(&feeders, || {
        let Some(Survey { ledger, spans }) = crew.survey()? else { return Ok(None) };
        if spans.iter().all(|span| span.offsets() == 0) {
            tracing::info!("topic {} is empty: nothing to read at random", crew.config.topic);
            if crew.config.passes == Passes::Loop {
                std::thread::sleep(EMPTY_PASS_PAUSE);
            }
        }
        let pass = RandReadPass { ledger, spans: spans.into() };
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

type Readers<P> = (Vec<Feeder<P>>, Vec<Shard<()>>);

/// Starts every job's reader as a task of its shard; returns one feeder for each, in the order of
/// shards and their jobs.
fn start_readers<J, P, Fut>(
    crew: &Crew<'_>,
    jobs: Vec<Vec<J>>,
    run: fn(ShardContext, J, Feed<P>) -> Fut,
) -> Result<Readers<P>, RunError>
where
    J: Clone + Send + Sync + 'static,
    P: Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let mut feeders = Vec::new();
    let shard_jobs = jobs.into_iter().map(|jobs| {
        jobs.into_iter()
            .map(|job| {
                let (feeder, feed) = shard::feed();
                feeders.push(feeder);
                (job, feed)
            })
            .collect::<Vec<_>>()
    });
    let shard_jobs: Vec<_> = shard_jobs.collect();
    let contexts: Vec<_> = crew.placement.shards.iter().map(|place| crew.context(place.clone())).collect();
    let shared = Arc::new((contexts, std::sync::Mutex::new(shard_jobs)));
    let shards = executor::spawn_shards(&crew.placement, move |place| {
        let context = shared.0[place.index].clone();
        // Once for each shard, before its work begins.
        let jobs = std::mem::take(
            &mut shared.1.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[place.index],
        );
        async move {
            let tasks =
                jobs.into_iter().map(|(job, feed)| glommio::spawn_local(run(context.clone(), job, feed)));
            let tasks: Vec<_> = tasks.collect();
            for task in tasks {
                task.await;
            }
        }
    })?;
    Ok((feeders, shards))
}

fn spans_of(ids: &[i32], spans: &[Span]) -> Vec<Span> {
    ids.iter().filter_map(|id| spans.iter().find(|span| span.partition == *id)).copied().collect()
}

/// Acked records below the logs' starts: nobody can say any more what they held.
fn removed(ledger: &Ledger, spans: &[Span]) -> u64 {
    let parts = spans.iter().filter_map(|span| Some((span.start, ledger.partition(span.partition)?)));
    parts.map(|(start, part)| part.count_below(start)).sum()
}

/// A log that may be compacted can end at the ledger's last consumable offset.
fn lower_to_consumable(ledger: &Ledger, spans: &mut [Span]) {
    if !ledger.adjust_consumable_offsets {
        return;
    }
    for span in spans {
        if let Some(part) = ledger.partition(span.partition) {
            span.end = span.end.min(part.last_consumable + 1);
        }
    }
}
