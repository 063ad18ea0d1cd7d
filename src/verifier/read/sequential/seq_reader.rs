//! The sequential reader of one shard: every record of its partitions, in order,
//! from the log's start to where it ended when the pass began.

use std::{
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, Instant},
};

use super::seq_pass::PassState;
use crate::{
    clock::Clock,
    config::{ClientKind, ProofConfig},
    kafka::{self, ClientFactory, Ends, Inquiry, LogReader, ReaderSettings, Reply},
    pace::Pace,
    partitions::{PartitionSlot, PartitionTable},
    stats::ReaderStats,
    verifier::{
        check::{
            last_values::SeenKeys,
            loss::{LOOK_PAUSE, LOOKS, Losses},
        },
        read::{
            budget::Allowance,
            checker::{self, Checker, Expectation},
            closing::Close,
            end_to_end::{EndToEnd, EndToEndJob},
            partition_reader::{Limits, PartitionReader, SILENCE},
            progress::OffsetRange,
            stall::StallDetector,
        },
        shard::{Halt, PassQueue, ShardContext},
    },
};

/// What one shard's sequential reader does in each of its passes.
#[derive(Clone)]
pub(crate) struct SeqReadJob {
    /// What it reads.
    pub(crate) table: Arc<PartitionTable>,
    /// The shard's counters.
    pub(crate) stats: Arc<ReaderStats>,
    /// Bytes per second, for the process; `None` is unlimited.
    pub(crate) throughput_bytes_per_s: Option<NonZeroU64>,
    /// The shard's part of that (0..=1).
    pub(crate) share: f64,
    pub(crate) proof: ProofConfig,
    /// It measures how long records took.
    pub(crate) end_to_end: Option<EndToEndJob>,
}

/// One pass over a shard's partitions.
#[derive(Clone)]
pub(crate) struct SeqReadPass {
    pub(crate) expectation: Expectation,
    /// What is read of each partition, by slot. An end of [`crate::verifier::read::progress::OPEN_END`]
    /// is waited at for more, until the last pass is asked for.
    pub(crate) ranges: Vec<OffsetRange>,
    /// Records that this shard reads.
    pub(crate) allowance: Allowance,
    /// Where a pass that waits for more hears of its end.
    pub(crate) close: Close,
}

/// The timer beside the wake-up.
const WAIT: Duration = Duration::from_millis(100);
/// How long a partition stands still before the broker is asked.
const LIMITS: Limits = if cfg!(test) {
    Limits { with_sign: Duration::from_millis(10), without: Duration::from_millis(20) }
} else {
    Limits { with_sign: Duration::from_millis(500), without: SILENCE }
};

/// Reads pass after pass until there is none any more, with whatever client this run reads with.
pub(crate) async fn run(context: ShardContext, job: SeqReadJob, pass_queue: PassQueue<SeqReadPass>) {
    match context.kind {
        ClientKind::Wire => run_with(context.wire(), context, job, pass_queue).await,
        ClientKind::Librdkafka => run_with(context.librdkafka(), context, job, pass_queue).await,
    }
}

async fn run_with<C: ClientFactory>(
    clients: C,
    context: ShardContext,
    job: SeqReadJob,
    pass_queue: PassQueue<SeqReadPass>,
) {
    // One client for all passes, made when there is first something to read: a short topic is not read at the pace of
    // connecting.
    let mut client = None;
    let mut losses = Vec::new();
    while let Some(pass) = pass_queue.next().await {
        let outcome = one_pass(&clients, &context, &job, &mut client, pass, &mut losses).await;
        pass_queue.finish(context.stop_all_on_halt(outcome));
    }
}

/// One pass, with a client that is made where there is none.
pub(crate) async fn one_pass<C: ClientFactory>(
    clients: &C,
    context: &ShardContext,
    job: &SeqReadJob,
    client: &mut Option<C::Reader>,
    pass: SeqReadPass,
    losses: &mut Vec<Losses>,
) -> Result<(), Halt> {
    if pass.ranges.is_empty() {
        return Ok(());
    }
    let client = if let Some(client) = client {
        client
    } else {
        client.insert(clients.reader(&settings(context, job), &job.table)?)
    };
    let mut reader = SeqReader::new(context, job, client, pass, std::mem::take(losses));
    let outcome = reader.read().await;
    *losses = reader.pass.readers.into_iter().map(|reader| reader.progress.into_losses()).collect();
    outcome
}

fn settings(context: &ShardContext, job: &SeqReadJob) -> ReaderSettings {
    ReaderSettings {
        isolation: checker::isolation(job.proof),
        read_ahead: true,
        paced: job.throughput_bytes_per_s.is_some(),
        quiet_limit: context.half_time(),
    }
}

/// The state of one pass.
pub(crate) struct SeqReader<'a, R> {
    context: &'a ShardContext,
    pub(crate) job: &'a SeqReadJob,
    pub(crate) client: &'a mut R,
    pub(crate) pass: PassState,
    close: Close,
    pace: Option<Pace>,
    clock: Clock,
    stall_detector: StallDetector,
    /// What the brokers are being asked.
    inquiry: Option<Inquiry>,
}

impl<'a, R: LogReader> SeqReader<'a, R> {
    fn new(
        context: &'a ShardContext,
        job: &'a SeqReadJob,
        client: &'a mut R,
        pass: SeqReadPass,
        mut losses: Vec<Losses>,
    ) -> Self {
        losses.resize(pass.ranges.len(), Losses::default());
        let checker =
            Checker::new(context, job.table.clone(), pass.expectation, job.stats.clone(), job.proof);
        let reader = |(range, losses): (&OffsetRange, _)| {
            PartitionReader::new(*range, losses, checker.consumable_end(range.partition))
        };
        let readers: Vec<PartitionReader> = pass.ranges.iter().zip(losses).map(reader).collect();
        for (index, reader) in readers.iter().enumerate().filter(|(_, reader)| !reader.is_done()) {
            client.read_from(PartitionSlot::at(index), reader.place());
        }
        let end_to_end = job.end_to_end.clone();
        let end_to_end = end_to_end.map(|job| EndToEnd::new(job, context.sender.clone(), checker.stats()));
        let state = PassState {
            keys: vec![SeenKeys::default(); readers.len()],
            checker,
            readers,
            allowance: pass.allowance,
            end_to_end,
            halt: None,
        };
        let pace = job.throughput_bytes_per_s.map(|limit| Pace::new(limit, job.share, 0));
        let stall_detector = StallDetector::new(context, "the sequential reader");
        let close = pass.close;
        Self {
            context,
            job,
            client,
            pass: state,
            close,
            pace,
            clock: Clock::start(),
            stall_detector,
            inquiry: None,
        }
    }

    async fn read(&mut self) -> Result<(), Halt> {
        self.read_to_ends().await?;
        while self.reopen().await {
            self.read_to_ends().await?;
        }
        self.pass.note_coverage();
        if let Some(end_to_end) = &mut self.pass.end_to_end {
            end_to_end.report(true, self.pass.checker.stats());
        }
        self.close().await
    }

    async fn read_to_ends(&mut self) -> Result<(), Halt> {
        while !self.pass.is_done() && !self.context.stop_requested() {
            let pause = if self.pass.end_to_end.as_ref().is_some_and(EndToEnd::is_paused) {
                WAIT
            } else {
                self.pause()
            };
            if !pause.is_zero() {
                glommio::timer::sleep(pause.min(WAIT)).await;
                continue;
            }
            if let Some(closing) = self.close.get().filter(|_| self.pass.is_open()) {
                self.pass.close_open_ends(closing);
            }
            let got = self.poll()?;
            self.stop_finished();
            self.look_at_overdue_ends(got > 0)?;
            if got == 0 {
                self.client.wait(WAIT).await;
            } else {
                glommio::yield_if_needed().await;
            }
        }
        Ok(())
    }

    /// A broker may have named an end that lies below what the ledger lists: a leader that has just become one, for
    /// instance. Nothing is lost behind that before it was looked for. Returns whether there is more to read.
    async fn reopen(&mut self) -> bool {
        for look in 0..LOOKS {
            let early = self.pass.end_too_early();
            if early.is_empty() {
                return false;
            }
            if look > 0 {
                glommio::timer::sleep(LOOK_PAUSE).await;
            }
            let mut reopened = false;
            for (index, last) in early {
                let Some(ends) = self.ask(index).await else { return false };
                let reader = &mut self.pass.readers[index];
                if reader.reopen(ends.end.min(last + 1)) {
                    self.client.read_from(PartitionSlot::at(index), reader.place());
                    reopened = true;
                }
            }
            if reopened {
                return true;
            }
        }
        false
    }

    /// Where a partition's log starts and ends: nothing is decided without the broker's word, and none is proven
    /// without it either. `None` when the run is ending.
    pub(crate) async fn ask(&mut self, index: usize) -> Option<Ends> {
        let (partition, stop) = (PartitionSlot::at(index), || self.context.stop_requested());
        while !stop() {
            let ends = kafka::ends(self.client, partition, stop).await;
            if ends.is_some() {
                return ends;
            }
            glommio::timer::sleep(WAIT).await;
        }
        None
    }

    /// Takes one batch, and pays for it.
    fn poll(&mut self) -> Result<usize, Halt> {
        let pass = &mut self.pass;
        let bytes_before = pass.checker.stats().bytes.get();
        if let Some(end_to_end) = &mut pass.end_to_end {
            end_to_end.begin_batch();
        }
        let got = self.client.poll(pass);
        if let Some(end_to_end) = &mut pass.end_to_end {
            end_to_end.report(false, pass.checker.stats());
        }
        if let Some(pace) = &mut self.pace {
            pace.spend(pass.checker.stats().bytes.get() - bytes_before);
        }
        pass.halt.take().map_or(Ok(got), Err)
    }

    fn pause(&mut self) -> Duration {
        let now_us = self.clock.now_us();
        self.pace.as_mut().map_or(Duration::ZERO, |pace| pace.wait(now_us))
    }

    /// No fetches for partitions that are done.
    fn stop_finished(&mut self) {
        for (index, reader) in self.pass.readers.iter_mut().enumerate() {
            let position = reader.position();
            self.stall_detector.moved(&mut reader.watch, position);
            if reader.is_done() && !reader.is_stopped {
                reader.is_stopped = true;
                self.client.stop(PartitionSlot::at(index));
            }
        }
    }

    /// A partition that stands still below its end, or whose place is gone, is looked into. While others have records
    /// to show, one that stands still may be waiting for its turn, and only a place that is gone is a sign.
    fn look_at_overdue_ends(&mut self, others_move: bool) -> Result<(), Halt> {
        if let Some(inquiry) = &mut self.inquiry {
            let Some(replies) = inquiry.replies(self.client) else { return Ok(()) };
            self.inquiry = None;
            return replies.into_iter().try_for_each(|reply| self.handle_reply(reply));
        }
        let now = Instant::now();
        let mut suspects = Vec::new();
        let readers = self.pass.readers.iter_mut().enumerate();
        let open = readers.filter(|(_, reader)| !reader.is_done() && !reader.is_paused());
        for (index, reader) in open.filter(|(_, reader)| reader.is_lost() || !others_move) {
            if reader.is_suspect(now, LIMITS) {
                reader.looked = now;
                suspects.push((PartitionSlot::at(index), reader.position()));
            }
        }
        if !suspects.is_empty() {
            self.inquiry = Some(Inquiry::about(self.client, suspects));
        }
        Ok(())
    }

    /// Nothing is decided without the broker's word: one that does not answer is waited for.
    fn handle_reply(&mut self, reply: Reply) -> Result<(), Halt> {
        let index = reply.partition.index();
        let reader = &mut self.pass.readers[index];
        let Some(ends) = reply.ends else {
            reader.watch.unanswered();
            return Ok(());
        };
        if reader.is_done() || reader.is_paused() || reader.position() != reply.asked_at {
            return Ok(());
        }
        self.pass.judge(index, ends)?;
        self.pass.leave_out_tail(index, Instant::now());
        let reader = &mut self.pass.readers[index];
        if reader.take_reseek() {
            self.client.read_from(reply.partition, reader.place());
        }
        if !reader.is_done() && reader.position() < ends.end {
            // The broker says that there is more than was shown.
            let (partition, position) = (reader.partition(), reader.position());
            let what = || format!("what lies at offset {position}");
            let place = self.pass.checker.topic_and_number(partition);
            self.stall_detector.look_in(&mut reader.watch, place, (position, ends.end), what);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "seq_reader_tests.rs"]
mod tests;
