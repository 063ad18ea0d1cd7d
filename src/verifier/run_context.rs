//! What the phases of a run have in common: the shards, the surveys, the passes.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    check::markers::Markers,
    produce::spread::Load,
    read::{
        checker::{Expectation, isolation},
        closing::{Close, Closing},
        progress::OffsetRange,
    },
    second_look::SecondLook,
    shard::{self, Feeder, Halt, PassQueue, ShardContext},
    sliced,
    work_watch::WorkWatch,
};
use crate::{
    app::{Lifecycle, error::RunError},
    config::{ClientKind, LatestChecks, Passes, ProduceConfig, VerifierConfig},
    control::{Control, StartWait},
    findings::Awaited,
    kafka::{ClientSettings, Isolation, Observer, OffsetAndEpoch, OffsetSpec, Trouble, named},
    ledger::{Ledger, LedgerError, Ledgers},
    partitions::{PartitionSlot, PartitionTable, Slice},
    runtime::{
        cores::placement::{CoresRequest, Placement, ShardPlace},
        executor::{self, Shard},
    },
    stats::{Board, ProducerBoard, ProducerStats, ReaderBoard, ReaderKind, ReaderStats, SlicesRead},
};

/// Everything that the phases work with.
pub(crate) struct RunContext<'a> {
    pub(crate) config: &'a VerifierConfig,
    pub(crate) control: &'a Control,
    pub(crate) observer: Arc<Observer>,
    /// Who writes and reads, but for consumer groups.
    pub(crate) kind: ClientKind,
    pub(crate) client: ClientSettings,
    pub(crate) placement: Placement,
    /// Of the topic, whoever works on them.
    pub(crate) partitions: usize,
    pub(crate) brokers: usize,
    pub(crate) ledgers: Ledgers,
}

/// What a pass is held against, and what it reads.
pub(crate) struct Survey {
    pub(crate) expectation: Expectation,
    /// Where each partition starts and ends, by id.
    /// By slot of [`RunContext::table`].
    pub(crate) ranges: Vec<OffsetRange>,
}

/// The readers of a phase, in the order of their feeders.
pub(crate) struct PassReaders {
    pub(crate) worker: &'static str,
    pub(crate) stats: Vec<Arc<ReaderStats>>,
    /// They may stand still of their own accord.
    pub(crate) patient: bool,
    /// How those hear of the end of their pass who wait for more.
    pub(crate) close: Option<Close>,
}

/// The pause between two looks at readers.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// The pause between two looks for markers that are on their way.
const MARKER_PAUSE: Duration = Duration::from_millis(50);
/// The pause between two passes over a topic without records.
pub(crate) const EMPTY_PASS_PAUSE: Duration = Duration::from_millis(200);

impl RunContext<'_> {
    /// The run's workers, in the order in which they work.
    pub(crate) fn board(&self) -> Board {
        let owned = self.owned();
        let producer = self.config.produce.as_ref().map(|produce| {
            let shards = self.produced(produce);
            let shards = shards.iter().map(|ids| Arc::new(ProducerStats::new(ids)));
            let board = ProducerBoard::new(shards.collect());
            board.set_goal(self.share_of(produce.messages.get()));
            board
        });
        let all = self.own();
        let random = self.config.rand_read.iter().flat_map(|random| {
            (0..random.readers).map(|_| {
                let board = ReaderBoard::new(ReaderKind::Random, vec![Arc::new(ReaderStats::new(&all))]);
                board.set_goal(self.share_of(random.reads_per_reader));
                board
            })
        });
        let sequential = self.config.seq_read.iter().map(|_| {
            let shards = owned.iter().map(|ids| Arc::new(ReaderStats::new(ids)));
            ReaderBoard::new(ReaderKind::Sequential, shards.collect())
        });
        let group = self.config.group_read.iter().map(|group| {
            // One for each member, and one for what only the group as a whole can know.
            let shards = (0..=group.members.get()).map(|_| Arc::new(ReaderStats::new(&all)));
            ReaderBoard::new(ReaderKind::Group, shards.collect())
        });
        let readers = random.chain(sequential).chain(group).collect();
        Board::new(self.config.topic.clone().into(), producer, readers).with_part(all.len(), self.partitions)
    }

    /// No worker is at work any more.
    pub(crate) fn finish_all(board: &Board) {
        board.producer.iter().for_each(ProducerBoard::finish);
        board.readers.iter().for_each(ReaderBoard::finish);
    }

    /// The partitions that this process works on: all of the topic, or its slice's.
    pub(crate) fn own(&self) -> Vec<i32> {
        sliced::partitions(self.config.slice, self.partitions)
    }

    /// What so many partitions are of the topic, as a part of 1.
    pub(crate) fn share(&self, partitions: usize) -> f64 {
        partitions as f64 / self.partitions.max(1) as f64
    }

    /// The part of `total` for all slices that falls to this process.
    pub(crate) fn share_of(&self, total: u64) -> u64 {
        sliced::share(total, self.config.slice, self.partitions)
    }

    /// The parts of `total` for all slices that fall to this one's shards, which own so many partitions each.
    pub(crate) fn shares_of(&self, total: u64, owned: &[u64]) -> Vec<u64> {
        sliced::shares(total, self.config.slice, self.partitions, owned)
    }

    /// The partitions that this process works on, each in a slot: of a whole topic that of its number.
    pub(crate) fn table(&self) -> Arc<PartitionTable> {
        Arc::new(PartitionTable::of_topic(&self.config.topic, self.own()))
    }

    /// The partitions of each shard.
    pub(crate) fn owned(&self) -> Vec<Vec<i32>> {
        self.dealt_to(self.placement.shards.len())
    }

    fn dealt_to(&self, shards: usize) -> Vec<Vec<i32>> {
        sliced::deal(&self.own(), shards)
    }

    /// The partitions that each shard produces to; the last shards may have none.
    pub(crate) fn produced(&self, produce: &ProduceConfig) -> Vec<Vec<i32>> {
        let limit = produce.throughput_bytes_per_s.filter(|_| {
            // Cores that were asked for are used, and transactional ids are the shards': the next run must find them.
            self.config.common.cores == CoresRequest::Auto && produce.transactions.is_none()
        });
        let Some(limit) = limit else { return self.owned() };
        let all = self.placement.shards.len();
        let load = Load {
            bytes_per_s: self.share_of(limit.get()),
            value_bytes: produce.value_bytes,
            partitions: self.own().len(),
            brokers: self.brokers,
        };
        let mut dealt = self.dealt_to(load.shards(all));
        dealt.resize(all, Vec::new());
        dealt
    }

    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.control.shared.lifecycle
    }

    pub(crate) fn context(&self, place: ShardPlace) -> ShardContext {
        ShardContext {
            place,
            shared: self.control.shared.clone(),
            sender: self.control.sender(),
            client: self.client.clone(),
            kind: self.kind,
            topic: self.config.topic.as_str().into(),
            slice: self.config.slice,
            stall_after: self.config.common.stall_after,
        }
    }

    /// Where every partition starts or ends; `None` when the run was stopped before all answered.
    pub(crate) fn offsets(&self, spec: OffsetSpec, isolation: Isolation) -> Option<Vec<i64>> {
        Some(self.places(spec, isolation)?.iter().map(|place| place.offset).collect())
    }

    /// Those of partitions that are not ours are not asked for: what is left of them is nothing.
    pub(crate) fn places(&self, spec: OffsetSpec, isolation: Isolation) -> Option<Vec<OffsetAndEpoch>> {
        let mut wait = self.wait("the run");
        let still = |open: &[i32]| wait.still(|| self.offsets_awaited(open));
        let (topic, own) = (&self.config.topic, self.own());
        let known = self.observer.offsets(topic, &own, spec, isolation, still)?;
        wait.over();
        let mut places = vec![OffsetAndEpoch { offset: 0, leader_epoch: -1 }; self.partitions];
        for (partition, place) in own.into_iter().zip(known) {
            if let Some(known) = usize::try_from(partition).ok().and_then(|index| places.get_mut(index)) {
                *known = place;
            }
        }
        Some(places)
    }

    /// What was acked in the partitions that this process works on, and whose ledger is missing.
    pub(crate) fn ledger(&self) -> Result<(Ledger, SlicesRead), LedgerError> {
        let mut loaded = self.ledgers.load(self.partitions)?;
        if let Some(slice) = self.config.slice {
            loaded.ledger.keep(slice);
        }
        let own = self.own();
        let of = |slice: Slice| own.iter().copied().filter(|id| slice.owns(*id)).collect::<Vec<_>>();
        let missing = loaded.missing.into_iter().map(|slice| (slice, of(slice)));
        let missing = missing.filter(|(_, partitions)| !partitions.is_empty()).collect();
        Ok((loaded.ledger, SlicesRead { of: loaded.slices, missing }))
    }

    /// What a pass is held against from now on, told to whoever looks at the run.
    fn ledger_of_pass(&self) -> Result<Arc<Ledger>, LedgerError> {
        let (ledger, slices) = self.ledger()?;
        if let Some(board) = self.control.shared.board.get() {
            board.note_ledger(ledger.acked_count());
            if board.slices() != slices {
                for (slice, partitions) in &slices.missing {
                    let partitions = named("partition", partitions.iter().copied());
                    tracing::warn!("slice {slice} has no ledger: nothing is proven of {partitions}");
                }
                board.note_slices(slices);
            }
        }
        Ok(Arc::new(ledger))
    }

    /// A wait for something that the cluster has to give; at the start `--startup-timeout` limits it.
    pub(crate) fn wait(&self, worker: &'static str) -> StartWait<'_> {
        StartWait::new(&self.control.shared, worker, self.config.common.startup_timeout.for_the_rest())
    }

    /// What the offsets of these partitions wait for.
    pub(crate) fn offsets_awaited(&self, partitions: &[i32]) -> Awaited {
        let what = || format!("the offsets of {}", named("partition", partitions.iter().copied()));
        self.topic_awaited(what)
    }

    /// Who keeps a worker on the topic waiting, if the cluster says so; else it is only said that it waits for `what`.
    pub(crate) fn topic_awaited(&self, what: impl FnOnce() -> String) -> Awaited {
        let topic = &self.config.topic;
        self.observer.trouble_with_topic(topic).unwrap_or_else(|| Awaited {
            what: what(),
            from: format!("topic {topic}, whose partitions all have a leader"),
            remedy: "look at the log of the brokers".to_owned(),
        })
    }

    /// The ledger, and what there is to read of each partition. The ledger comes first, so that
    /// everything that it lists lies below the ends.
    pub(crate) fn survey(&self) -> Result<Option<Survey>, RunError> {
        let ledger = self.ledger_of_pass()?;
        let latest = match self.config.proof.latest_values {
            LatestChecks::Never => None,
            LatestChecks::Last | LatestChecks::Every => {
                Some(Arc::new(self.ledgers.require_latest(self.partitions)?))
            }
        };
        let isolation = isolation(self.config.proof);
        let (Some(starts), Some(ends)) =
            (self.offsets(OffsetSpec::Start, isolation), self.readable_ends(&ledger))
        else {
            return Ok(None);
        };
        let ranges = (0..).zip(starts.into_iter().zip(ends)).map(|(index, (start, end))| OffsetRange {
            partition: PartitionSlot::at(index),
            start,
            end: end.offset,
            leader_epoch: end.leader_epoch,
        });
        let ledger_grows = self.config.passes == Passes::Continuous;
        Ok(Some(Survey {
            expectation: Expectation { ledger, latest, ledger_grows },
            ranges: ranges.collect(),
        }))
    }

    /// Where a pass ends that waits for more, now that it is to be the last: the ledger first, as at a pass's beginning.
    /// `None` when the run is being stopped.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub(crate) fn survey_ends(&self) -> Result<Option<Closing>, RunError> {
        let ledger = self.ledger_of_pass()?;
        let ends = self.readable_ends(&ledger);
        Ok(ends.map(|ends| Closing { ledger, ends: ends.iter().map(|end| end.offset).collect() }))
    }

    /// Where what can be read ends. What is listed as committed can be read soon: its marker is on its way, and the
    /// broker does not show it before that has come. What lies behind the log's very end is not waited for: it is lost.
    pub(crate) fn readable_ends(&self, ledger: &Ledger) -> Option<Vec<OffsetAndEpoch>> {
        let isolation = isolation(self.config.proof);
        if isolation == Isolation::ReadUncommitted {
            return self.places(OffsetSpec::End, isolation);
        }
        let mut markers = Markers::new(&self.context(self.placement.shards[0].clone()), self.partitions);
        let mut wait = self.wait("the run");
        loop {
            let ends = self.places(OffsetSpec::End, isolation)?;
            let log_ends = self.offsets(OffsetSpec::End, Isolation::ReadUncommitted)?;
            let Some(held_up) = markers.held_up(ledger, &ends, &log_ends) else {
                wait.over();
                return Some(ends);
            };
            if !wait.still(|| held_up.awaited(&self.config.topic)) {
                return None;
            }
            std::thread::sleep(MARKER_PAUSE);
        }
    }

    /// Runs passes until the last one is over. `prepare` makes each shard's part of the next pass,
    /// or `None` when the run is being stopped. Passes that come to their end are the readers'.
    pub(crate) fn run_passes<P>(
        &self,
        readers: &[&ReaderBoard],
        feeders: &[Feeder<P>],
        watched: &PassReaders,
        mut prepare: impl FnMut() -> Result<Option<Vec<P>>, RunError>,
    ) -> Result<(), RunError> {
        loop {
            let Some(parts) = prepare()? else { return Ok(()) };
            self.lifecycle().begin();
            feeders.iter().zip(parts).for_each(|(feeder, part)| feeder.start(part));
            let mut outcomes = self.wait_for_readers(feeders, watched);
            outcomes.push(self.decide());
            worst(outcomes)?;
            self.end_pass(readers);
            if self.is_last_pass() {
                return Ok(());
            }
        }
    }

    /// Who produces beside us may have written down meanwhile what was read beyond the ledger.
    fn look_at_ledger_again(&self, readers: &[&ReaderBoard]) {
        if !readers.iter().any(|reader| reader.is_beyond_ledger()) {
            return;
        }
        // One that cannot be read now was read before; nothing more is vouched for by it.
        let Ok((ledger, _)) = self.ledger() else { return };
        for shard in readers.iter().flat_map(|reader| &reader.shards) {
            shard.coverage.look_again(|partition| Some(ledger.partition(partition)?.acked()));
        }
    }

    /// A pass is over: it counts where it was not stopped.
    pub(crate) fn end_pass(&self, readers: &[&ReaderBoard]) {
        self.look_at_ledger_again(readers);
        let lifecycle = self.lifecycle();
        for reader in readers {
            if !lifecycle.stop_requested() {
                reader.end_pass();
            } else if lifecycle.time_is_up() {
                reader.end_in_time();
            }
        }
    }

    /// Until all readers are done with their pass: says what they wait for.
    fn wait_for_readers<P>(&self, feeders: &[Feeder<P>], readers: &PassReaders) -> Vec<Result<(), Halt>> {
        let PassReaders { worker, stats, patient, close } = readers;
        let mut watch = WorkWatch::new(self.wait(worker), *patient);
        let (mut outcomes, mut second_look) = (Vec::new(), SecondLook::new(self));
        let (mut close, mut closed) = (close.as_ref(), Ok(()));
        while let Some(feeder) = feeders.get(outcomes.len()) {
            second_look.look();
            if let Some(close) = close.take_if(|_| self.lifecycle().last_pass_requested()) {
                closed = self.close(close);
            }
            if let Some(outcome) = feeder.wait_for(LOOK_PAUSE) {
                outcomes.push(outcome);
                continue;
            }
            let standing = feeders.iter().zip(stats).enumerate().map(|(index, (feeder, stats))| {
                let works = index >= outcomes.len() && !feeder.is_over();
                (stats.progress(), works.then_some(()))
            });
            watch.look(standing, |(), speak| self.reading_trouble(speak));
        }
        watch.ended();
        outcomes.extend([second_look.finish(), closed]);
        outcomes
    }

    /// Tells those who wait for more where their pass ends.
    fn close(&self, close: &Close) -> Result<(), Halt> {
        match self.survey_ends() {
            Ok(Some(closing)) => close.tell(closing),
            Ok(None) => {}
            Err(error) => {
                self.lifecycle().note_halt(error.exit_code(), || error.to_string());
                self.lifecycle().request_stop();
                return Err(Halt::Failed(error.to_string()));
            }
        }
        Ok(())
    }

    /// What keeps readers waiting; with `speak` also where nobody knows.
    pub(crate) fn reading_trouble(&self, speak: bool) -> Option<Trouble> {
        let topic = &self.config.topic;
        let known = self.observer.trouble_with_topic(topic);
        known
            .or_else(|| speak.then(|| self.topic_awaited(|| "the next record".to_owned())))
            .map(Trouble::from)
    }

    /// Has an outcome known before whatever is still to be done, which may hang.
    pub(crate) fn noted(&self, outcome: Result<(), RunError>) -> Result<(), RunError> {
        if let Err(error) = &outcome {
            self.lifecycle().note_halt(error.exit_code(), || error.to_string());
        }
        outcome
    }

    /// Whether no pass follows the one that has just ended.
    pub(crate) fn is_last_pass(&self) -> bool {
        let lifecycle = self.lifecycle();
        self.config.passes == Passes::Once || lifecycle.stop_requested() || lifecycle.last_pass_requested()
    }
}

/// The outcome to report: a violation before a failure, the first before the others.
pub(crate) fn worst(outcomes: Vec<Result<(), Halt>>) -> Result<(), RunError> {
    let mut halts: Vec<Halt> = outcomes.into_iter().filter_map(Result::err).collect();
    let violation = halts.iter().position(|halt| matches!(halt, Halt::Violation(_))).unwrap_or(0);
    if halts.is_empty() { Ok(()) } else { Err(halts.swap_remove(violation).into()) }
}

pub(crate) fn join<T>(shards: Vec<Shard<T>>) -> Result<Vec<T>, RunError> {
    Ok(shards.into_iter().map(Shard::join).collect::<Result<_, _>>()?)
}

pub(crate) type Readers<P> = (Vec<Feeder<P>>, Vec<Shard<()>>);

/// Starts every job's reader as a task of its shard; returns one feeder for each, in the order of
/// shards and their jobs.
pub(crate) fn start_readers<J, P, Fut>(
    run_context: &RunContext<'_>,
    jobs: Vec<Vec<J>>,
    run: fn(ShardContext, J, PassQueue<P>) -> Fut,
) -> Result<Readers<P>, RunError>
where
    J: Send + Sync + 'static,
    P: Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    start_together(run_context, jobs, move |context, work| async move {
        let start = |(job, pass_queue)| glommio::spawn_local(run(context.clone(), job, pass_queue));
        let tasks: Vec<_> = work.into_iter().map(start).collect();
        for task in tasks {
            task.await;
        }
    })
}

/// Starts all jobs of a shard as one task; returns one feeder for each, in the order of shards and their jobs.
pub(crate) fn start_together<J, P, Fut>(
    run_context: &RunContext<'_>,
    jobs: Vec<Vec<J>>,
    run: impl Fn(ShardContext, Vec<(J, PassQueue<P>)>) -> Fut + Send + Sync + 'static,
) -> Result<Readers<P>, RunError>
where
    J: Send + Sync + 'static,
    P: Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let mut feeders = Vec::new();
    let mut with_feed = |job| {
        let (feeder, pass_queue) = shard::pass_queue();
        feeders.push(feeder);
        (job, pass_queue)
    };
    let work: Vec<Vec<_>> =
        jobs.into_iter().map(|jobs| jobs.into_iter().map(&mut with_feed).collect()).collect();
    let contexts: Vec<_> =
        run_context.placement.shards.iter().map(|place| run_context.context(place.clone())).collect();
    let shared = Arc::new((contexts, Mutex::new(work), run));
    let shards = executor::spawn_shards(
        &run_context.placement,
        &run_context.control.shared.heartbeats,
        move |place| {
            let (contexts, work, run) = &*shared;
            // Once for each shard, before its work begins.
            let work = mem::take(&mut work.lock().unwrap_or_else(PoisonError::into_inner)[place.index]);
            run(contexts[place.index].clone(), work)
        },
    )?;
    Ok((feeders, shards))
}

/// Acked records below the logs' starts: nobody can say any more what they held.
pub(crate) fn removed(ledger: &Ledger, ranges: &[OffsetRange]) -> u64 {
    let parts =
        (0..).zip(ranges).filter_map(|(number, range)| Some((range.start, ledger.partition(number)?)));
    parts.map(|(start, part)| part.count_below(start)).sum()
}
