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
    config::ProofConfig,
    kafka::{Consumer, ConsumerSettings, OffsetSpec},
    pace::Pace,
    stats::ReaderStats,
    verifier::{
        check::{
            checker::{self, Checker, Truth},
            last_values::SeenKeys,
            loss::Losses,
        },
        read::{
            budget::Allowance,
            ends::{self, Deafness, Ends, Inquiry},
            prober::Prober,
            renewal::Renewal,
            stall::Watchman,
            track::{Span, Stage, Track},
        },
        shard::{Feed, Halt, ShardContext},
    },
};

/// What one shard's sequential reader does in each of its passes.
#[derive(Clone)]
pub(crate) struct SeqReadJob {
    /// The shard's counters.
    pub(crate) stats: Arc<ReaderStats>,
    /// Bytes per second, for the process; `None` is unlimited.
    pub(crate) throughput_bytes_per_s: Option<NonZeroU64>,
    /// The shard's part of that (0..=1).
    pub(crate) share: f64,
    pub(crate) proof: ProofConfig,
}

/// One pass over a shard's partitions.
#[derive(Clone)]
pub(crate) struct SeqReadPass {
    pub(crate) truth: Truth,
    /// What is read of each partition, in the order of the counters' list. An end of [`crate::verifier::read::track::OPEN_END`]
    /// is waited at for more, until the last pass is asked for.
    pub(crate) spans: Vec<Span>,
    /// Records that this shard reads.
    pub(crate) allowance: Allowance,
}

/// The timer beside the wake-up, and how long an end that did not come is waited for
/// before the broker is asked.
const WAIT: Duration = Duration::from_millis(100);
const OVERDUE: Duration = Duration::from_millis(500);
/// The same while the broker is asked, which does not wake anybody when it answers.
const ANSWER_WAIT: Duration = Duration::from_millis(5);

/// Reads pass after pass until there is none any more.
pub(crate) async fn run(context: ShardContext, job: SeqReadJob, feed: Feed<SeqReadPass>) {
    // One client for all passes: a short topic is not read at the pace of connecting.
    let mut client = None;
    let mut losses = Vec::new();
    while let Some(pass) = feed.next().await {
        let outcome = one_pass(&context, &job, &mut client, pass, &mut losses).await;
        feed.finish(context.stop_all_on_halt(outcome));
    }
}

/// One pass, with the shard's client, which is made when there is first something to read.
async fn one_pass(
    context: &ShardContext,
    job: &SeqReadJob,
    client: &mut Option<Consumer>,
    pass: SeqReadPass,
    losses: &mut Vec<Losses>,
) -> Result<(), Halt> {
    if pass.spans.is_empty() {
        return Ok(());
    }
    let consumer = match client {
        Some(consumer) => consumer,
        None => client.insert(connect(context, job)?),
    };
    let mut reader = SeqReader::new(context, job, consumer, pass, std::mem::take(losses));
    let outcome = reader.read().await;
    *losses = reader.pass.tracks.into_iter().map(|track| track.losses).collect();
    outcome
}

fn connect(context: &ShardContext, job: &SeqReadJob) -> Result<Consumer, Halt> {
    Ok(Consumer::start(&settings(context, job), &context.topic)?)
}

fn settings(context: &ShardContext, job: &SeqReadJob) -> ConsumerSettings {
    ConsumerSettings {
        read_ahead: true,
        paced: job.throughput_bytes_per_s.is_some(),
        ..context.consumer_settings(checker::isolation(job.proof))
    }
}

/// Has everything read that is not done, from where it stands.
fn read_on(consumer: &mut Consumer, tracks: &[Track]) {
    for track in tracks.iter().filter(|track| !track.is_done() && !track.is_paused()) {
        consumer.read_from(track.partition, track.next_offset());
    }
}

/// The state of one pass.
pub(crate) struct SeqReader<'a> {
    context: &'a ShardContext,
    pub(crate) job: &'a SeqReadJob,
    pub(crate) consumer: &'a mut Consumer,
    pub(crate) pass: PassState,
    pace: Option<Pace>,
    clock: Clock,
    pub(crate) watchman: Watchman,
    /// What the brokers are being asked.
    inquiry: Option<Inquiry>,
    pub(crate) deafness: Deafness,
    /// What is to take the client's place.
    renewal: Option<Renewal>,
    pub(crate) prober: Prober,
}

impl<'a> SeqReader<'a> {
    fn new(
        context: &'a ShardContext,
        job: &'a SeqReadJob,
        consumer: &'a mut Consumer,
        pass: SeqReadPass,
        mut losses: Vec<Losses>,
    ) -> Self {
        losses.resize(pass.spans.len(), Losses::default());
        let checker = Checker::new(context, pass.truth, job.stats.clone(), job.proof);
        let track = |(span, losses): (&Span, _)| {
            Track::new(*span, losses).may_end_at(checker.consumable_end(span.partition))
        };
        let tracks: Vec<Track> = pass.spans.iter().zip(losses).map(track).collect();
        read_on(consumer, &tracks);
        let mut places = Vec::new();
        for (index, track) in tracks.iter().enumerate() {
            let id = track.partition.unsigned_abs() as usize;
            places.resize(places.len().max(id + 1), None);
            places[id] = Some(index);
        }
        let state = PassState {
            keys: vec![SeenKeys::default(); tracks.len()],
            checker,
            tracks,
            places,
            allowance: pass.allowance,
            halt: None,
        };
        let pace = job.throughput_bytes_per_s.map(|limit| Pace::new(limit, job.share, 0));
        let watchman = Watchman::new(context, "the sequential reader");
        Self {
            context,
            job,
            consumer,
            pass: state,
            pace,
            clock: Clock::start(),
            watchman,
            inquiry: None,
            deafness: Deafness::default(),
            renewal: None,
            prober: Prober::new(context, checker::isolation(job.proof)),
        }
    }

    async fn read(&mut self) -> Result<(), Halt> {
        self.read_to_ends().await?;
        while self.reopen().await {
            self.read_to_ends().await?;
        }
        self.pass.note_coverage();
        self.close().await
    }

    async fn read_to_ends(&mut self) -> Result<(), Halt> {
        while !self.pass.is_done() && !self.context.stop_requested() {
            let pause = self.pause();
            if !pause.is_zero() {
                glommio::timer::sleep(pause.min(WAIT)).await;
                continue;
            }
            if self.pass.is_open() && self.context.shared.lifecycle.last_pass_requested() {
                self.close_open_ends().await;
            }
            let got = self.poll()?;
            self.confirm_places();
            self.pass_over_unreadable();
            self.hear_of_silence()?;
            self.take_renewed();
            self.stop_finished();
            self.look_at_overdue_ends(got > 0)?;
            if got == 0 {
                let asks = self.inquiry.is_some() || self.renewal.is_some();
                self.consumer.wait(if asks { ANSWER_WAIT } else { WAIT }).await;
            } else {
                self.deafness.heard();
                glommio::yield_if_needed().await;
            }
        }
        Ok(())
    }

    /// A broker may have named an end that lies below what the ledger lists: a leader that has just become one, for
    /// instance. Nothing is lost behind that before it was looked for. Returns whether there is more to read.
    async fn reopen(&mut self) -> bool {
        let mut reopened = false;
        for (index, last) in self.pass.end_too_early() {
            let Some(ends) = self.ask(index).await else { return false };
            let track = &mut self.pass.tracks[index];
            if track.reopen(ends.end.min(last + 1)) {
                self.consumer.read_from(track.partition, track.position);
                reopened = true;
            }
        }
        reopened
    }

    /// Where a partition's log starts and ends: nothing is decided without the broker's word, and none is proven
    /// without it either. `None` when the run is ending.
    pub(crate) async fn ask(&mut self, index: usize) -> Option<Ends> {
        while !self.context.stop_requested() {
            self.take_renewed();
            let (partition, stop) = (self.pass.tracks[index].partition, || self.context.stop_requested());
            let ends = ends::ask(self.consumer, partition, stop).await;
            if ends.is_some() {
                self.deafness.heard();
                return ends;
            }
            if self.deafness.unanswered(Instant::now())
                && let Err(halt) = self.renew_client()
            {
                tracing::warn!("the sequential reader keeps its client, which has no answers: {halt}");
            }
            glommio::timer::sleep(WAIT).await;
        }
        None
    }

    /// Takes one batch, and pays for it.
    fn poll(&mut self) -> Result<usize, Halt> {
        let pass = &mut self.pass;
        let bytes_before = pass.checker.stats().bytes.get();
        let got = self.consumer.poll(|event| pass.take(&event));
        if let Some(pace) = &mut self.pace {
            pace.spend(pass.checker.stats().bytes.get() - bytes_before);
        }
        pass.halt.take().map_or(Ok(got), Err)
    }

    fn pause(&mut self) -> Duration {
        let now_us = self.clock.now_us();
        self.pace.as_mut().map_or(Duration::ZERO, |pace| pace.wait(now_us))
    }

    /// The pass that waited for more is the last one: it ends where the logs end now.
    async fn close_open_ends(&mut self) {
        let open: Vec<i32> =
            self.pass.tracks.iter().filter(|track| track.is_open()).map(|track| track.partition).collect();
        // A broker that does not answer is asked again, in the next round.
        let stop = || self.context.stop_requested();
        for (partition, answer) in self.consumer.offsets(&open, OffsetSpec::End, stop).await {
            if let (Ok(end), Some(index)) = (answer, self.pass.place(partition)) {
                self.pass.tracks[index].close_at(end.offset);
            }
        }
    }

    /// Asks new leaders whether their logs are the same as those that were read.
    fn confirm_places(&mut self) {
        for track in &mut self.pass.tracks {
            if let Some((offset, epoch)) = track.confirm.take() {
                self.consumer.confirm(track.partition, offset, epoch);
            }
        }
    }

    /// Goes on behind batches that cannot be read.
    fn pass_over_unreadable(&mut self) {
        for index in 0..self.pass.tracks.len() {
            if let Some(offset) = self.pass.pass_over(index) {
                self.consumer.read_from(self.pass.tracks[index].partition, offset);
            }
        }
    }

    /// No fetches for partitions that are done.
    fn stop_finished(&mut self) {
        for track in &mut self.pass.tracks {
            self.watchman.moved(&mut track.watch, track.position);
            if track.stage == Stage::Done {
                track.stage = Stage::Stopped;
                self.consumer.stop(track.partition);
            }
        }
    }

    /// A partition that stands still below its end, or whose place is gone, is looked into. While others have records
    /// to show, one that stands still may be waiting for its turn, and only a place that is gone is a sign.
    fn look_at_overdue_ends(&mut self, others_move: bool) -> Result<(), Halt> {
        if let Some(inquiry) = &mut self.inquiry {
            let Some(replies) = inquiry.replies() else { return Ok(()) };
            self.inquiry = None;
            return replies.into_iter().try_for_each(|reply| self.hear(reply));
        }
        let now = Instant::now();
        let mut suspects = Vec::new();
        let tracks = self.pass.tracks.iter_mut().filter(|track| !track.is_done() && !track.is_paused());
        for track in tracks.filter(|track| track.out_of_range || !others_move) {
            if track.is_suspect(now, OVERDUE) {
                track.looked = now;
                suspects.push((track.partition, track.position));
            }
        }
        if !suspects.is_empty() {
            self.inquiry = Some(Inquiry::about(self.consumer, suspects));
        }
        Ok(())
    }

    /// It may be the client that sleeps, and not the broker. It goes on until the new one has had an answer.
    pub(crate) fn renew_client(&mut self) -> Result<(), Halt> {
        if self.renewal.is_none() {
            tracing::debug!(
                "a sequential reader starts a new client: the old one has shown nothing for a while"
            );
            let partitions: Vec<i32> = self.pass.tracks.iter().map(|track| track.partition).collect();
            let settings = settings(self.context, self.job);
            self.renewal = Some(Renewal::begin(&settings, &self.context.topic, &partitions)?);
        }
        Ok(())
    }

    /// Goes on with the new client, when there is one that has had an answer.
    fn take_renewed(&mut self) {
        let Some(consumer) = Renewal::take(&mut self.renewal) else { return };
        // What the old one was asked goes before it does.
        self.inquiry = None;
        *self.consumer = consumer;
        read_on(self.consumer, &self.pass.tracks);
    }

    pub(crate) fn resume(&mut self, index: usize) {
        let track = &mut self.pass.tracks[index];
        if std::mem::take(&mut track.reseek) && !track.is_done() {
            self.consumer.read_from(track.partition, track.position);
        }
    }
}
