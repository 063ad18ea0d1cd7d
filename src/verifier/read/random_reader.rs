//! Random readers: one record at a time, anywhere in the topic.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    checker::{self, Checker, Expectation},
    progress::OffsetRange,
    stall::{StallDetector, Watch},
};
use crate::{
    config::{ClientKind, ProofConfig},
    findings::anomaly::Anomaly,
    kafka::{self, Ends, LogEvent, LogReader, LogVisitor, ReadFrom, ReaderSettings, SpotFactory},
    mutants::enforced,
    partitions::{PartitionSlot, PartitionTable},
    random::Random,
    record::RecordView,
    stats::{CoverageTotals, ReaderStats},
    verifier::{
        check::{
            loss::{self, LOOKS},
            validator::PartitionState,
        },
        shard::{Halt, PassQueue, ShardContext},
    },
};

/// One reader.
#[derive(Clone)]
pub(crate) struct RandReadJob {
    /// The partitions that are read.
    pub(crate) table: Arc<PartitionTable>,
    pub(crate) stats: Arc<ReaderStats>,
    pub(crate) reads: u64,
    pub(crate) proof: ProofConfig,
}

/// One pass of a reader.
#[derive(Clone)]
pub(crate) struct RandReadPass {
    pub(crate) expectation: Expectation,
    /// Where each of them starts and ends, by slot.
    pub(crate) ranges: Arc<[OffsetRange]>,
}

/// How long a record may take before another is tried, and the timer beside the wake-up.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(5) };
const WAIT: Duration = Duration::from_millis(100);
/// Between two looks for a record that seems to be missing.
const LOOK_PAUSE: Duration = if cfg!(test) { Duration::from_millis(1) } else { loss::LOOK_PAUSE };
/// Between a read that met the log's end and the next one.
const END_PAUSE: Duration = Duration::from_millis(10);

/// A reader, and where its passes come from.
type Work = (RandReadJob, PassQueue<RandReadPass>);

/// All readers of a shard read pass after pass until there is none any more, with whatever client this run reads with.
pub(crate) async fn run(context: ShardContext, work: Vec<Work>) {
    match context.kind {
        ClientKind::Wire => run_with(context.wire(), context, work).await,
        ClientKind::Librdkafka => run_with(context.librdkafka(), context, work).await,
    }
}

async fn run_with<C: SpotFactory>(clients: C, context: ShardContext, work: Vec<Work>) {
    let Some((RandReadJob { table, proof, .. }, _)) = work.first() else { return };
    let isolation = checker::isolation(*proof);
    let settings = ReaderSettings { quiet_limit: PATIENCE, ..ReaderSettings::here_and_there(isolation) };
    // Made once for all reads: starting a client takes longer than a read.
    let clients: Vec<_> = match clients.spot_readers(&settings, table, work.len()) {
        Ok(clients) => clients.into_iter().map(Ok).collect(),
        Err(error) => {
            let halt = Halt::from(error);
            work.iter().map(|_| Err(halt.clone())).collect()
        }
    };
    let start =
        |((job, pass_queue), client)| glommio::spawn_local(run_one(context.clone(), job, pass_queue, client));
    let tasks: Vec<_> = work.into_iter().zip(clients).map(start).collect();
    for task in tasks {
        task.await;
    }
}

async fn run_one<R: LogReader>(
    context: ShardContext,
    job: RandReadJob,
    pass_queue: PassQueue<RandReadPass>,
    mut client: Result<R, Halt>,
) {
    while let Some(pass) = pass_queue.next().await {
        let outcome = match &mut client {
            Ok(client) => RandReader::new(&context, &job, client, pass).read().await,
            Err(halt) => Err(halt.clone()),
        };
        pass_queue.finish(context.stop_all_on_halt(outcome));
    }
}

/// The state of one pass.
struct RandReader<'a, R> {
    context: &'a ShardContext,
    client: &'a mut R,
    checker: Checker,
    /// Where records may be, by partition.
    ranges: Vec<OffsetRange>,
    /// Where the logs end, as far as the brokers have said.
    log_ends: Vec<i64>,
    states: Vec<PartitionState>,
    /// Reads that brought a record, and the watch over them, by partition.
    found: Vec<(i64, Watch)>,
    stall_detector: StallDetector,
    coverage: CoverageTotals,
    reads: u64,
    random: Random,
}

/// What came of one read.
enum Found {
    /// A record, at this offset or behind it.
    Record { offset: i64 },
    /// The log's end: from there on it holds nothing that is shown.
    End,
    /// The log has no such offset any more, or it cannot be read.
    Gone,
    /// Nothing, in all the time it had.
    Nothing {
        /// The broker said meanwhile where the log starts and ends.
        answered: bool,
    },
    /// The run is ending.
    Stopped,
}

impl<'a, R: LogReader> RandReader<'a, R> {
    fn new(context: &'a ShardContext, job: &RandReadJob, client: &'a mut R, pass: RandReadPass) -> Self {
        let checker =
            Checker::new(context, job.table.clone(), pass.expectation, job.stats.clone(), job.proof);
        Self {
            context,
            client,
            checker,
            ranges: pass.ranges.to_vec(),
            log_ends: pass.ranges.iter().map(|range| range.end).collect(),
            states: vec![PartitionState::default(); pass.ranges.len()],
            found: pass.ranges.iter().map(|_| Default::default()).collect(),
            stall_detector: StallDetector::new(context, "a random reader"),
            coverage: CoverageTotals::default(),
            reads: job.reads,
            random: Random::from_entropy(),
        }
    }

    async fn read(&mut self) -> Result<(), Halt> {
        let outcome = self.read_all().await;
        // Where the ledger does not list what was read is not kept: there may be as many places as reads.
        self.checker.stats().coverage.set(self.coverage, Vec::new());
        outcome
    }

    async fn read_all(&mut self) -> Result<(), Halt> {
        let mut done = 0;
        while done < self.reads && !self.context.stop_requested() {
            // A topic without a record has nothing to read: the pass is over, and does not spin.
            let Some(index) = self.pick() else { return Ok(()) };
            let range = self.ranges[index];
            let offset = self.random.within(range.start..=range.end - 1);
            match self.read_one(index, offset).await? {
                Found::Record { offset: found } => {
                    done += 1;
                    let (count, watch) = &mut self.found[index];
                    *count += 1;
                    self.stall_detector.moved(watch, *count);
                    self.cover(range.partition, found);
                    if found > offset {
                        self.explain_jump(index, offset, found).await?;
                    }
                }
                Found::End => {
                    self.narrow(index, offset).await;
                    // Where there is nothing but control records, there is nothing to be had at full speed.
                    glommio::timer::sleep(END_PAUSE).await;
                }
                Found::Gone => {
                    self.reload(index).await;
                    glommio::timer::sleep(END_PAUSE).await;
                }
                Found::Nothing { answered } => self.look_for_stall(index, offset, answered),
                Found::Stopped => {}
            }
        }
        if done == self.reads {
            self.found.iter_mut().for_each(|(_, watch)| self.stall_detector.settled(watch));
        }
        Ok(())
    }

    /// Counts whether the ledger vouches for a record that was read.
    fn cover(&mut self, partition: PartitionSlot, offset: i64) {
        let is_listed = self.checker.ledger(partition).is_some_and(|ledger| ledger.contains(offset));
        let count = if is_listed { &mut self.coverage.vouched_for } else { &mut self.coverage.beyond_ledger };
        *count += 1;
    }

    /// A partition that has records, each as likely as the other.
    fn pick(&mut self) -> Option<usize> {
        let readable = self.ranges.iter().enumerate().filter(|(_, range)| range.offsets() > 0);
        let count = readable.clone().count();
        readable.map(|(index, _)| index).nth(self.random.index(count))
    }

    /// Reads and validates the first record at or behind an offset.
    async fn read_one(&mut self, index: usize, offset: i64) -> Result<Found, Halt> {
        let slot = PartitionSlot::at(index);
        self.states[index].reposition();
        self.client.read_from(slot, ReadFrom::offset(offset));
        let mut found = self.first_record(index, offset).await;
        if let Ok(Found::Nothing { .. }) = found {
            // The client hears by this that there is something, and looks into it.
            let answered = self.reload(index).await;
            if answered {
                found = self.first_record(index, offset).await;
            }
            if let Ok(Found::Nothing { .. }) = found {
                found = Ok(Found::Nothing { answered });
            }
        }
        self.client.stop(slot);
        found
    }

    async fn first_record(&mut self, index: usize, wanted: i64) -> Result<Found, Halt> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.context.stop_requested() {
                return Ok(Found::Stopped);
            }
            let (checker, state, partition) =
                (&self.checker, &mut self.states[index], PartitionSlot::at(index));
            let mut answer = FirstWord { checker, state, partition, wanted, outcome: None };
            let got = self.client.poll(&mut answer);
            match answer.outcome {
                Some(outcome) => return outcome,
                None if got == 0 => self.client.wait(WAIT).await,
                None => {}
            }
        }
        Ok(Found::Nothing { answered: false })
    }

    /// A record behind the one that was asked for: where the ledger lists the offset,
    /// only retention and compaction may have taken it, or a truncation that is tolerated.
    async fn explain_jump(&mut self, index: usize, offset: i64, found: i64) -> Result<(), Halt> {
        let partition = self.ranges[index].partition;
        let acked = self.checker.ledger(partition).is_some_and(|ledger| ledger.contains(offset));
        let may_be_gone = self.checker.records_may_go() || self.checker.tolerates_data_loss();
        if !acked || may_be_gone || !enforced("lost-write-random") {
            return Ok(());
        }
        // It is not believed at once: the client may have gone on by itself, and the leader be a new one.
        let is_missing = !enforced("lost-write-asked-again") || self.is_missing(index, offset).await;
        if !is_missing {
            self.checker.left_out(partition, offset..found);
            return Ok(());
        }
        match kafka::ends(self.client, PartitionSlot::at(index), || self.context.stop_requested()).await {
            Some(Ends { start, .. }) if start <= offset => self.checker.broken(
                Anomaly::LostWrite,
                partition,
                offset,
                "the record that was acked there".to_owned(),
                format!("the next record at {found}"),
            ),
            _ => Ok(()),
        }
    }

    /// Whether a leader that is asked again and again shows no record at exactly this offset, and one behind it each time.
    async fn is_missing(&mut self, index: usize, offset: i64) -> bool {
        let slot = PartitionSlot::at(index);
        for look in 0..LOOKS {
            if look > 0 {
                glommio::timer::sleep(LOOK_PAUSE).await;
            }
            self.client.read_from(slot, ReadFrom::offset(offset));
            let shown = self.first_offset(slot, offset).await;
            self.client.stop(slot);
            let partition = self.checker.number(slot);
            tracing::debug!("is there a record? {partition} {offset}: the leader shows {shown:?}");
            if shown.is_none_or(|shown| shown == offset) || self.context.stop_requested() {
                return false;
            }
        }
        true
    }

    /// Where the first record lies that is shown at or behind `wanted`; `None` where something else is said, or nothing.
    async fn first_offset(&mut self, slot: PartitionSlot, wanted: i64) -> Option<i64> {
        let until = Instant::now() + PATIENCE;
        let mut answer = FirstOffset { slot, wanted, shown: None, is_over: false };
        while !answer.is_over && Instant::now() < until && !self.context.stop_requested() {
            if self.client.poll(&mut answer) == 0 {
                self.client.wait(WAIT).await;
            }
        }
        answer.shown
    }

    /// There is nothing from an offset on. Unless more has come meanwhile, nothing is looked for there any more: in a
    /// log with control records only, or with nothing that was committed, a pass would never end.
    async fn narrow(&mut self, index: usize, offset: i64) {
        let (end, log_end) = (self.ranges[index].end.min(offset), self.log_ends[index]);
        self.reload(index).await;
        if self.log_ends[index] == log_end {
            let range = &mut self.ranges[index];
            range.end = end.max(range.start);
        }
    }

    /// Learns where the partition starts and ends now. Returns whether the broker said so.
    async fn reload(&mut self, index: usize) -> bool {
        let answer =
            kafka::ends(self.client, PartitionSlot::at(index), || self.context.stop_requested()).await;
        if let Some(Ends { start, end }) = answer {
            self.ranges[index] = OffsetRange { start, end, ..self.ranges[index] };
            self.log_ends[index] = end;
        } else {
            glommio::timer::sleep(WAIT).await;
        }
        answer.is_some()
    }

    /// A read at `wanted` has brought nothing in all its time.
    fn look_for_stall(&mut self, index: usize, wanted: i64, answered: bool) {
        let OffsetRange { partition, start, end, .. } = self.ranges[index];
        let (count, watch) = &mut self.found[index];
        if !answered {
            watch.unanswered();
        } else if (start..end).contains(&wanted) {
            let what = || format!("a record at offset {wanted} or behind");
            self.stall_detector.look(watch, self.checker.number(partition), (*count, end), what);
        }
    }
}

/// Where the client shows the first record at or behind `wanted`.
struct FirstOffset {
    slot: PartitionSlot,
    wanted: i64,
    /// `None` also where something else comes first.
    shown: Option<i64>,
    is_over: bool,
}

impl LogVisitor for FirstOffset {
    fn record(&mut self, slot: PartitionSlot, record: &RecordView<'_>) {
        if slot == self.slot && record.offset >= self.wanted {
            let offset = Some(record.offset).filter(|_| !self.is_over && record.has_sound_headers);
            (self.shown, self.is_over) = (self.shown.or(offset), true);
        }
    }

    fn event(&mut self, slot: PartitionSlot, event: LogEvent<'_>) {
        let tries_again = matches!(
            event,
            LogEvent::Progress { .. }
                | LogEvent::NotTruncated { .. }
                | LogEvent::FalseAbort { .. }
                | LogEvent::StartBack { .. }
                | LogEvent::Gone(_)
                | LogEvent::Transient(_)
        );
        self.is_over |= slot == self.slot && !tries_again;
    }
}

/// What the client shows first of the partition from which a record at or behind `wanted` is to be read. The first word
/// counts: behind a batch that does not fit its checksum comes whatever a client makes of the bytes that follow.
struct FirstWord<'a> {
    checker: &'a Checker,
    state: &'a mut PartitionState,
    partition: PartitionSlot,
    wanted: i64,
    /// `None`: it is not over.
    outcome: Option<Result<Found, Halt>>,
}

impl LogVisitor for FirstWord<'_> {
    fn record(&mut self, slot: PartitionSlot, record: &RecordView<'_>) {
        if self.outcome.is_some() || slot != self.partition {
            return;
        }
        let (checker, partition, wanted) = (self.checker, self.partition, self.wanted);
        if !record.has_sound_headers {
            let offset = checker.place_of_malformed(partition, wanted, record.offset);
            let record = RecordView { offset, ..*record };
            let told = checker.check(self.state, partition, &record);
            self.outcome = Some(told.map(|()| Found::Gone));
        } else if record.offset >= wanted {
            let sound = checker.check(self.state, partition, record);
            self.outcome = Some(sound.map(|()| Found::Record { offset: record.offset }));
        }
    }

    fn event(&mut self, slot: PartitionSlot, event: LogEvent<'_>) {
        if self.outcome.is_some() || slot != self.partition {
            return;
        }
        let (checker, partition) = (self.checker, self.partition);
        let outcome = match event {
            LogEvent::Progress { .. } | LogEvent::NotTruncated { .. } => return,
            LogEvent::FalseAbort { kind, first, marker } => {
                self.outcome = checker.false_abort(partition, kind, (first, marker)).err().map(Err);
                return;
            }
            LogEvent::StartBack { from, to } => {
                self.outcome = checker.start_back(partition, from, to).err().map(Err);
                return;
            }
            // Nothing but control records from here to the end.
            LogEvent::AtEnd { .. } => {
                self.outcome = Some(Ok(Found::End));
                return;
            }
            LogEvent::Refused(error) => Some(Err(checker.refused(Some(partition), error))),
            LogEvent::Unreadable { cause, .. } => {
                Some(checker.corrupt(partition, self.wanted, cause).map(|()| Found::Gone))
            }
            LogEvent::OutOfRange | LogEvent::Truncated { .. } => Some(Ok(Found::Gone)),
            // The client tries again by itself.
            LogEvent::Gone(_) | LogEvent::Transient(_) => None,
        };
        checker.stats().errors.add(1);
        self.outcome = outcome;
    }
}

#[cfg(test)]
#[path = "random_reader_tests.rs"]
mod tests;
