//! Random readers: one record at a time, anywhere in the topic.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    ends::{self, Ends},
    renewal::Renewal,
    stall::{Watch, Watchman},
    track::Span,
    unreadable::{self, MALFORMED},
    witness,
};
use crate::{
    config::ProofConfig,
    findings::anomaly::Anomaly,
    kafka::{Consumer, ConsumerSettings, Event, FaultKind},
    mutants,
    random::Random,
    record::RecordView,
    stats::{CoverageTotals, ReaderStats},
    verifier::{
        check::{
            checker::{self, Checker, Truth},
            validator::PartitionState,
        },
        shard::{Feed, Halt, ShardContext},
    },
};

/// One reader.
#[derive(Clone)]
pub(crate) struct RandReadJob {
    pub(crate) stats: Arc<ReaderStats>,
    pub(crate) reads: u64,
    pub(crate) proof: ProofConfig,
}

/// One pass of a reader over the whole topic.
#[derive(Clone)]
pub(crate) struct RandReadPass {
    pub(crate) truth: Truth,
    /// Where each partition of the topic starts and ends, by id.
    pub(crate) spans: Arc<[Span]>,
}

/// How long a record may take before another is tried, and the timer beside the wake-up.
const PATIENCE: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_millis(100);
/// Between a read that met the log's end and the next one.
const END_PAUSE: Duration = Duration::from_millis(10);
/// Reads in a row that bring nothing, before there is a new client.
const IN_VAIN: u32 = 3;

/// Reads pass after pass until there is none any more.
pub(crate) async fn run(context: ShardContext, job: RandReadJob, feed: Feed<RandReadPass>) {
    // One client for all reads: starting one takes longer than a read.
    let settings = context.consumer_settings(checker::isolation(job.proof));
    let mut consumer = Consumer::start(&settings, &context.topic);
    while let Some(pass) = feed.next().await {
        let outcome = match &mut consumer {
            Ok(consumer) => RandReader::new(&context, &job, &settings, consumer, pass).read().await,
            Err(error) => Err(Halt::Failed(error.to_string())),
        };
        feed.finish(context.stop_all_on_halt(outcome));
    }
}

/// The state of one pass.
struct RandReader<'a> {
    context: &'a ShardContext,
    settings: &'a ConsumerSettings,
    consumer: &'a mut Consumer,
    /// What is to take the client's place.
    renewal: Option<Renewal>,
    checker: Checker,
    /// Where records may be, by partition.
    spans: Vec<Span>,
    /// Where the logs end, as far as the brokers have said.
    log_ends: Vec<i64>,
    states: Vec<PartitionState>,
    /// Reads that brought a record, and the watch over them, by partition.
    found: Vec<(i64, Watch)>,
    watchman: Watchman,
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
    Nothing,
    /// The run is ending.
    Stopped,
}

impl<'a> RandReader<'a> {
    fn new(
        context: &'a ShardContext,
        job: &RandReadJob,
        settings: &'a ConsumerSettings,
        consumer: &'a mut Consumer,
        pass: RandReadPass,
    ) -> Self {
        let checker = Checker::new(context, pass.truth, job.stats.clone(), job.proof);
        Self {
            context,
            settings,
            consumer,
            renewal: None,
            checker,
            spans: pass.spans.to_vec(),
            log_ends: pass.spans.iter().map(|span| span.end).collect(),
            states: vec![PartitionState::default(); pass.spans.len()],
            found: pass.spans.iter().map(|_| Default::default()).collect(),
            watchman: Watchman::new(context, "a random reader"),
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
        let (mut done, mut in_vain) = (0, 0);
        while done < self.reads && !self.context.stop_requested() {
            if let Some(consumer) = Renewal::take(&mut self.renewal) {
                *self.consumer = consumer;
            }
            // A topic without a record has nothing to read: the pass is over, and does not spin.
            let Some(index) = self.pick() else { return Ok(()) };
            let span = self.spans[index];
            let offset = self.random.within(span.start..=span.end - 1);
            match self.read_one(index, offset).await? {
                Found::Record { offset: found } => {
                    (done, in_vain) = (done + 1, 0);
                    let (count, watch) = &mut self.found[index];
                    *count += 1;
                    self.watchman.moved(watch, *count);
                    self.cover(span.partition, found);
                    if found > offset {
                        self.explain_jump(index, offset, found).await?;
                    }
                }
                Found::End => {
                    in_vain = 0;
                    self.narrow(index, offset).await;
                    // Where there is nothing but control records, there is nothing to be had at full speed.
                    glommio::timer::sleep(END_PAUSE).await;
                }
                Found::Gone => {
                    in_vain = 0;
                    self.reload(index).await;
                    glommio::timer::sleep(END_PAUSE).await;
                }
                Found::Nothing => {
                    in_vain += 1;
                    let answered = self.reload(index).await;
                    if answered {
                        self.look_into_silence(index, offset).await?;
                    }
                    self.look_for_stall(index, offset, answered);
                }
                Found::Stopped => {}
            }
            if in_vain == IN_VAIN {
                in_vain = 0;
                self.renew_client()?;
            }
        }
        if done == self.reads {
            self.found.iter_mut().for_each(|(_, watch)| self.watchman.settled(watch));
        }
        Ok(())
    }

    /// Counts whether the ledger vouches for a record that was read.
    fn cover(&mut self, partition: i32, offset: i64) {
        let is_listed = self.checker.ledger(partition).is_some_and(|ledger| ledger.contains(offset));
        let count = if is_listed { &mut self.coverage.vouched_for } else { &mut self.coverage.beyond_ledger };
        *count += 1;
    }

    /// A client that has shown nothing for so long, wherever it was asked to read, may never do so again (seen
    /// once, on a busy machine, behind the client's next look at the cluster, without an error).
    fn renew_client(&mut self) -> Result<(), Halt> {
        if self.renewal.is_none() {
            tracing::debug!("a random reader starts a new client: {IN_VAIN} reads in a row brought nothing");
            let partitions: Vec<i32> = self.spans.iter().map(|span| span.partition).collect();
            self.renewal = Some(Renewal::begin(self.settings, &self.context.topic, &partitions)?);
        }
        Ok(())
    }

    /// A partition that has records, each as likely as the other.
    fn pick(&mut self) -> Option<usize> {
        let readable = self.spans.iter().enumerate().filter(|(_, span)| span.offsets() > 0);
        let count = readable.clone().count();
        readable.map(|(index, _)| index).nth(self.random.index(count))
    }

    /// Reads and validates the first record at or behind an offset.
    async fn read_one(&mut self, index: usize, offset: i64) -> Result<Found, Halt> {
        let partition = self.spans[index].partition;
        self.states[index].reposition();
        self.consumer.read_from(partition, offset);
        let found = self.first_record(index, offset).await;
        self.consumer.stop(partition);
        found
    }

    async fn first_record(&mut self, index: usize, wanted: i64) -> Result<Found, Halt> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.context.stop_requested() {
                return Ok(Found::Stopped);
            }
            let (checker, state, wanted_partition) =
                (&self.checker, &mut self.states[index], self.spans[index].partition);
            let mut outcome = None;
            let got = self.consumer.poll(|event| {
                // The first word counts: behind a batch that does not fit its checksum comes whatever the client
                // makes of the bytes that follow.
                if outcome.is_none() {
                    outcome = answer(checker, state, (index, wanted_partition, wanted), &event);
                }
            });
            match outcome {
                Some(outcome) => return outcome,
                None if got == 0 => self.consumer.wait(WAIT).await,
                None => {}
            }
        }
        Ok(Found::Nothing)
    }

    /// A record behind the one that was asked for: where the ledger lists the offset,
    /// only retention and compaction may have taken it, or a cut that is tolerated.
    async fn explain_jump(&mut self, index: usize, offset: i64, found: i64) -> Result<(), Halt> {
        let partition = self.spans[index].partition;
        let acked = self.checker.ledger(partition).is_some_and(|ledger| ledger.contains(offset));
        let may_be_gone = self.checker.records_may_go() || self.checker.tolerates_data_loss();
        if !acked || may_be_gone || mutants::is_off("lost-write-random") {
            return Ok(());
        }
        // It is not believed at once: the client may have gone on by itself, and the leader be a new one.
        let is_missing = mutants::is_off("lost-write-asked-again")
            || witness::is_missing(self.context, self.consumer, partition, offset).await;
        if !is_missing {
            self.checker.left_out(partition, (offset, found));
            return Ok(());
        }
        match ends::ask(self.consumer, partition, || self.context.stop_requested()).await {
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

    /// There is nothing from an offset on. Unless more has come meanwhile, nothing is looked for there any more: in a
    /// log with control records only, or with nothing that was committed, a pass would never end.
    async fn narrow(&mut self, index: usize, offset: i64) {
        let (end, log_end) = (self.spans[index].end.min(offset), self.log_ends[index]);
        self.reload(index).await;
        if self.log_ends[index] == log_end {
            let span = &mut self.spans[index];
            span.end = end.max(span.start);
        }
    }

    /// Learns where the partition starts and ends now. Returns whether the broker said so.
    async fn reload(&mut self, index: usize) -> bool {
        let partition = self.spans[index].partition;
        let answer = ends::ask(self.consumer, partition, || self.context.stop_requested()).await;
        if let Some(Ends { start, end }) = answer {
            self.spans[index] = Span { start, end, ..self.spans[index] };
            self.log_ends[index] = end;
        } else {
            glommio::timer::sleep(WAIT).await;
        }
        answer.is_some()
    }

    /// The broker answers, and what lies at `wanted` was not shown: it may be nothing that a client could show.
    async fn look_into_silence(&mut self, index: usize, wanted: i64) -> Result<(), Halt> {
        let Span { partition, start, end, .. } = self.spans[index];
        if !(start..end).contains(&wanted) {
            return Ok(());
        }
        let mut consumer = unreadable::connect(self.context, self.settings.isolation)?;
        match unreadable::look(self.context, &mut consumer, partition, wanted).await {
            unreadable::Found::Malformed => self.checker.corrupt(partition, wanted, MALFORMED),
            _ => Ok(()),
        }
    }

    /// A read at `wanted` has brought nothing in all its time.
    fn look_for_stall(&mut self, index: usize, wanted: i64, answered: bool) {
        let Span { partition, start, end, .. } = self.spans[index];
        let (count, watch) = &mut self.found[index];
        if !answered {
            watch.unanswered();
        } else if (start..end).contains(&wanted) {
            let what = || format!("a record at offset {wanted} or behind");
            self.watchman.look(watch, partition, (*count, end), what);
        }
    }
}

/// What an event means for the read of the first record at or behind `wanted`; `None`: it is not over.
fn answer(
    checker: &Checker,
    state: &mut PartitionState,
    (index, partition, wanted): (usize, i32, i64),
    event: &Event<'_>,
) -> Option<Result<Found, Halt>> {
    match event {
        Event::Record { partition: of, record } if *of == partition && !record.has_sound_headers => {
            let offset = checker.place_of_spoilt(partition, wanted, record.offset);
            let record = RecordView { offset, ..*record };
            Some(checker.check(state, index, partition, &record).map(|()| Found::Gone))
        }
        Event::Record { partition: of, record } if *of == partition && record.offset >= wanted => {
            let sound = checker.check(state, index, partition, record);
            Some(sound.map(|()| Found::Record { offset: record.offset }))
        }
        Event::Record { .. } => None,
        // Nothing but control records from here to the end.
        Event::End { partition: of, .. } => (*of == partition).then_some(Ok(Found::End)),
        Event::Fault(fault) => {
            checker.stats().errors.add(1);
            match fault.kind {
                FaultKind::Refused => Some(Err(checker.refused(fault))),
                FaultKind::Corrupt => {
                    Some(checker.corrupt(partition, wanted, fault.text).map(|()| Found::Gone))
                }
                FaultKind::OutOfRange => Some(Ok(Found::Gone)),
                // The client tries again by itself.
                _ => None,
            }
        }
    }
}
