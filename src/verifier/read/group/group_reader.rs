//! The members of a consumer group on one shard.
//!
//! What the group as a whole has done is put together by the main thread, from what the
//! members tell it a few times a second: no member waits for another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crossbeam::channel::Sender;

use super::group_inbox::{Inbox, MemberEvent, MemberProgress, StalledPartitions, Truncations};
use crate::{
    clock::Clock,
    config::{ClientKind, GroupReadConfig, ProofConfig},
    kafka::{
        ClientError, ClientSettings, GroupFactory, GroupReader, GroupStart, Handover, Isolation, JointWorker,
        LibrdkafkaWorkers, MemberSettings,
    },
    pace::Pace,
    partitions::PartitionTable,
    stats::{ReaderBoard, ReaderStats},
    verifier::{
        read::{
            budget::Allowance,
            checker::{self, Checker, Expectation},
            end_to_end::{EndToEnd, EndToEndJob},
        },
        run_context::RunContext,
        shard::{Halt, PassQueue, ShardContext},
    },
};

/// The members of one shard.
#[derive(Clone)]
pub(crate) struct GroupReadJob {
    /// Each member's counters.
    pub(crate) members: Vec<Arc<ReaderStats>>,
    pub(crate) config: GroupReadConfig,
    pub(crate) proof: ProofConfig,
    /// What the group reads, each partition in the slot of its place in the ledger.
    pub(crate) table: Arc<PartitionTable>,
    /// They measure how long records took.
    pub(crate) end_to_end: Option<EndToEndJob>,
}

/// One pass of the group over the topic.
#[derive(Clone)]
pub(crate) struct GroupReadPass {
    pub(crate) expectation: Expectation,
    pub(crate) group: String,
    pub(crate) allowance: Allowance,
    /// How far members have come, for those who go on there.
    pub(crate) handover: Arc<Handover>,
    /// Where logs were truncated in this pass.
    pub(crate) truncations: Arc<Truncations>,
    /// Where nothing comes.
    pub(crate) stalled_partitions: Arc<StalledPartitions>,
    /// Where members tell what they have done.
    pub(crate) news: Sender<MemberEvent>,
    /// Set when together they have read everything.
    pub(crate) done: Arc<AtomicBool>,
}

/// The timer beside the wake-ups, and how often the main thread is told.
const WAIT: Duration = Duration::from_millis(100);
const TELL_EVERY: Duration = Duration::from_millis(50);
/// How long the end of a pass waits for commits, and then for the group.
const SETTLE_LIMIT: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 3_500 });
const LEAVE_LIMIT: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1_500 });
const SERVE_EVERY: Duration = Duration::from_millis(5);
/// Where the run goes on: who does not leave keeps its group for as long as its session lasts.
const PATIENT_LEAVE_LIMIT: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5_000 });
/// Has a member keep its place in the group while it is away.
pub(crate) const STATIC_MEMBER: &str = "group.instance.id";
/// The shortest that brokers take unless they are told otherwise.
const STATIC_SESSION: Duration = Duration::from_secs(6);
/// Records shown before others have their turn; fewer where each has to wait for its turn.
const BATCH: usize = 512;
const PACED_BATCH: usize = 16;

/// Members take turns on the shards.
pub(crate) fn jobs(
    run_context: &RunContext<'_>,
    config: &GroupReadConfig,
    reader: &ReaderBoard,
) -> Vec<Vec<GroupReadJob>> {
    let shards = run_context.placement.shards.len();
    let (members, table) = (config.members.get(), run_context.table());
    let job = |shard: usize| {
        let members: Vec<_> =
            (shard..members).step_by(shards).map(|index| reader.shards[index].clone()).collect();
        let job = GroupReadJob {
            members,
            config: config.clone(),
            proof: run_context.config.proof,
            table: table.clone(),
            end_to_end: None,
        };
        if job.members.is_empty() { Vec::new() } else { vec![job] }
    };
    (0..shards).map(job).collect()
}

/// Reads pass after pass until there is none any more. That its members are in the group is librdkafka's business, whoever reads.
pub(crate) async fn run(context: ShardContext, job: GroupReadJob, pass_queue: PassQueue<GroupReadPass>) {
    let (workers, wire) = (LibrdkafkaWorkers::start(), context.wire());
    let workers = || workers.as_ref().map_err(|error| Halt::Failed(error.to_string()));
    let (client, cpus) = (|| context.client.clone(), || context.client_cpus());
    match context.kind {
        ClientKind::Wire => {
            let clients = || Ok(JointWorker::new(workers()?, &wire, client(), cpus()));
            run_with(clients, &context, &job, &pass_queue).await;
        }
        ClientKind::Librdkafka => {
            run_with(|| Ok(workers()?.worker(client(), cpus())), &context, &job, &pass_queue).await;
        }
    }
}

/// The same, with what makes each member's client.
async fn run_with<C: GroupFactory>(
    clients: impl Fn() -> Result<C, Halt>,
    context: &ShardContext,
    job: &GroupReadJob,
    pass_queue: &PassQueue<GroupReadPass>,
) {
    while let Some(pass) = pass_queue.next().await {
        let outcome = read_together(&clients, context, job, &pass).await;
        pass_queue.finish(context.stop_all_on_halt(outcome));
    }
}

async fn read_together<C: GroupFactory>(
    clients: impl Fn() -> Result<C, Halt>,
    context: &ShardContext,
    job: &GroupReadJob,
    pass: &GroupReadPass,
) -> Result<(), Halt> {
    let mut members = Vec::new();
    for stats in &job.members {
        let mut member = Member::start(&clients()?, context, job, pass, stats)?;
        let context = context.clone();
        members.push(glommio::spawn_local(async move {
            let outcome = member.read().await;
            if outcome.is_err() {
                // The others must not go on and wait for this one's partitions.
                context.shared.lifecycle.request_stop();
            }
            member.leave().await;
            outcome
        }));
    }
    let mut outcome = Ok(());
    for member in members {
        outcome = outcome.and(member.await);
    }
    outcome
}

/// How a client of ours belongs to a group.
pub(crate) fn settings(
    client: &ClientSettings,
    config: &GroupReadConfig,
    group: String,
    isolation: Isolation,
) -> MemberSettings {
    // Nobody but the end of its session takes a static member out of the group, which is deleted behind it.
    let short = (config.name.is_none() && client.given(STATIC_MEMBER).is_some()).then_some(STATIC_SESSION);
    MemberSettings {
        group,
        isolation,
        start: GroupStart::Start,
        members: config.members.get(),
        session_timeout: config.session_timeout.or(short),
        rebalance_timeout: config.rebalance_timeout,
        handover: None,
    }
}

/// A member's part of what is limited for the group: members without a partition read nothing.
fn share(job: &GroupReadJob) -> f64 {
    1.0 / job.config.members.get().min(job.table.count()).max(1) as f64
}

struct Member<M> {
    context: ShardContext,
    client: M,
    inbox: Inbox,
    group: String,
    stalled_partitions: Arc<StalledPartitions>,
    done: Arc<AtomicBool>,
    pace: Option<Pace>,
    clock: Clock,
    max_uncommitted: Option<usize>,
    /// The group is deleted when the pass is over.
    is_ours: bool,
    joined: bool,
    /// Partitions of which it was told that it has its place in them.
    placed: usize,
    told: Instant,
}

impl<M: GroupReader> Member<M> {
    fn start(
        clients: &impl GroupFactory<Member = M>,
        context: &ShardContext,
        job: &GroupReadJob,
        pass: &GroupReadPass,
        stats: &Arc<ReaderStats>,
    ) -> Result<Self, ClientError> {
        let isolation = checker::isolation(job.proof);
        let settings = MemberSettings {
            handover: Some(pass.handover.clone()),
            ..settings(&context.client, &job.config, pass.group.clone(), isolation)
        };
        let table = job.table.clone();
        Ok(Self {
            client: clients.member(&settings, &table)?,
            inbox: Inbox {
                checker: Checker::new(
                    context,
                    table.clone(),
                    pass.expectation.clone(),
                    stats.clone(),
                    job.proof,
                ),
                progress: (0..table.count()).map(|_| MemberProgress::default()).collect(),
                table,
                news: pass.news.clone(),
                allowance: pass.allowance.clone(),
                end_to_end: job
                    .end_to_end
                    .clone()
                    .map(|job| EndToEnd::new(job, context.sender.clone(), stats)),
                halt: None,
                uncommitted: 0,
                truncations: pass.truncations.clone(),
            },
            context: context.clone(),
            group: pass.group.clone(),
            stalled_partitions: pass.stalled_partitions.clone(),
            done: pass.done.clone(),
            pace: job.config.throughput_bytes_per_s.map(|limit| Pace::new(limit, share(job), 0)),
            clock: Clock::start(),
            max_uncommitted: job.config.max_uncommitted.map(usize::from),
            is_ours: job.config.name.is_none(),
            joined: false,
            placed: 0,
            told: Instant::now(),
        })
    }

    async fn read(&mut self) -> Result<(), Halt> {
        while !self.is_over() {
            if self.inbox.end_to_end.as_ref().is_some_and(EndToEnd::is_paused) {
                self.idle()?;
                glommio::timer::sleep(WAIT).await;
            } else if self.turn()? {
                futures_lite::future::yield_now().await;
            } else {
                let pause = self.pause();
                self.client.wait(if pause.is_zero() { WAIT } else { pause.min(WAIT) }).await;
            }
        }
        self.tell();
        if let Some(end_to_end) = &mut self.inbox.end_to_end {
            end_to_end.report(true, self.inbox.checker.stats());
        }
        if self.done.load(Relaxed) { self.inbox.finish() } else { Ok(()) }
    }

    fn is_over(&self) -> bool {
        self.done.load(Relaxed) || self.context.stop_requested() || self.inbox.allowance.is_spent()
    }

    /// Leaves what has come for later, but for a record now and then: a group takes a member for dead that does not look.
    fn idle(&mut self) -> Result<(), Halt> {
        self.client.tend();
        let inbox = &mut self.inbox;
        self.client.poll(1, inbox);
        inbox.halt.take().map_or(Ok(()), Err)
    }

    /// Takes what has come. Returns whether there may be more to take at once.
    fn turn(&mut self) -> Result<bool, Halt> {
        self.client.tend();
        if let Some(error) = self.client.commit_refusal() {
            return Err(Halt::Failed(format!(
                "group '{}': the cluster refuses what was consumed to be committed: {error}",
                self.group
            )));
        }
        if self.told.elapsed() >= TELL_EVERY {
            self.tell();
            self.look_into_silence();
        }
        let waits_for_commit = self.max_uncommitted.is_some() && self.client.is_committing();
        if waits_for_commit || !self.pause().is_zero() {
            return Ok(false);
        }
        let more = self.poll()?;
        if self.max_uncommitted.is_some_and(|limit| self.inbox.uncommitted >= limit) {
            self.inbox.uncommitted = 0;
            self.client.commit();
        }
        Ok(more)
    }

    fn poll(&mut self) -> Result<bool, Halt> {
        let inbox = &mut self.inbox;
        let batch = if self.pace.is_some() { PACED_BATCH } else { BATCH };
        let limit =
            self.max_uncommitted.map_or(batch, |limit| (limit - inbox.uncommitted.min(limit - 1)).min(batch));
        let bytes_before = inbox.checker.stats().bytes.get();
        if let Some(end_to_end) = &mut inbox.end_to_end {
            end_to_end.begin_batch();
        }
        let more = self.client.poll(limit, inbox);
        if let Some(end_to_end) = &mut inbox.end_to_end {
            end_to_end.report(false, inbox.checker.stats());
        }
        if let Some(pace) = &mut self.pace {
            pace.spend(inbox.checker.stats().bytes.get() - bytes_before);
        }
        inbox.halt.take().map_or(Ok(more), Err)
    }

    /// Where nothing comes of a partition of this member's, there may be what its client has nothing to show of.
    fn look_into_silence(&mut self) {
        for slot in self.inbox.table.slots() {
            if self.stalled_partitions.contains(slot)
                && self.client.owns(slot)
                && let Some(offset) = self.stalled_partitions.take(slot)
            {
                self.client.look_into(slot, offset);
            }
        }
    }

    fn pause(&mut self) -> Duration {
        let now_us = self.clock.now_us();
        self.pace.as_mut().map_or(Duration::ZERO, |pace| pace.wait(now_us))
    }

    /// Tells the main thread what is new.
    fn tell(&mut self) {
        self.told = Instant::now();
        let state = self.client.state();
        // It listens for as long as any member lives.
        if !self.joined && state.rebalances > 0 {
            self.joined = true;
            let _ = self.inbox.news.send(MemberEvent::Joined);
        }
        let now = if state.settled { state.partitions } else { 0 };
        let before = std::mem::replace(&mut self.placed, now);
        if before != now {
            let _ = self.inbox.news.send(MemberEvent::Placed { before, now });
        }
        let Inbox { table, progress, news, .. } = &mut self.inbox;
        for (partition, progress) in table.slots().zip(progress) {
            progress.tell(partition, news);
        }
    }

    /// Has the group know how far this member came, and leaves it, if that is possible in time.
    async fn leave(mut self) {
        self.serve(SETTLE_LIMIT, M::settle).await;
        let patient = !self.context.stop_requested();
        if patient && self.is_ours {
            // Who leaves before it was taken in says so to nobody: its request to join comes true later, and makes
            // the group anew that was deleted meanwhile.
            let is_in = |client: &mut M| client.settle() && client.state().rebalances > 0;
            self.serve(PATIENT_LEAVE_LIMIT, is_in).await;
        }
        self.client.begin_leaving();
        self.serve(if patient { PATIENT_LEAVE_LIMIT } else { LEAVE_LIMIT }, M::leave).await;
    }

    /// Does this again and again until it is true, but not for ever.
    async fn serve(&mut self, limit: Duration, mut attempt: impl FnMut(&mut M) -> bool) {
        let until = Instant::now() + limit;
        while !attempt(&mut self.client) && Instant::now() < until {
            glommio::timer::sleep(SERVE_EVERY).await;
        }
    }
}

#[cfg(test)]
#[path = "group_reader_tests.rs"]
mod tests;
