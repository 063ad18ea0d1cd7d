//! The members of a consumer group on one shard.
//!
//! What the group as a whole has done is put together by the main thread, from what the
//! members tell it a few times a second: no member waits for another.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crossbeam::channel::Sender;

use super::group_inbox::{Cuts, Inbox, Lane, News, Silences};
use crate::{
    clock::Clock,
    config::{GroupReadConfig, ProofConfig},
    kafka::{
        ClientError, ClientSettings, GroupConsumer, GroupSettings, GroupStart, Handover, HubBell, Isolation,
        MALFORMED, ProbeAnswer, Prober, WakeHub,
    },
    pace::Pace,
    runtime::cores::cpu_set::CpuSet,
    stats::{ReaderBoard, ReaderStats},
    verifier::{
        crew::Crew,
        read::{
            budget::Allowance,
            checker::{self, Checker, Truth},
        },
        shard::{Feed, Halt, ShardContext},
    },
};

/// The members of one shard.
#[derive(Clone)]
pub(crate) struct GroupReadJob {
    /// Each member's counters.
    pub(crate) members: Vec<Arc<ReaderStats>>,
    pub(crate) config: GroupReadConfig,
    pub(crate) proof: ProofConfig,
    pub(crate) partitions: usize,
}

/// One pass of the group over the topic.
#[derive(Clone)]
pub(crate) struct GroupReadPass {
    pub(crate) truth: Truth,
    pub(crate) group: String,
    pub(crate) allowance: Allowance,
    /// How far members have come, for those who go on there.
    pub(crate) handover: Arc<Handover>,
    /// Where a group that was made for this pass begins, by partition.
    pub(crate) first_offsets: Option<Arc<[i64]>>,
    /// Where logs were cut in this pass.
    pub(crate) cuts: Arc<Cuts>,
    /// Where nothing comes.
    pub(crate) silences: Arc<Silences>,
    /// Where members tell what they have done.
    pub(crate) news: Sender<News>,
    /// Set when together they have read everything.
    pub(crate) done: Arc<AtomicBool>,
}

/// The timer beside the bell, and how often the main thread is told.
const WAIT: Duration = Duration::from_millis(100);
const TELL_EVERY: Duration = Duration::from_millis(50);
/// How long the end of a pass waits for commits, and then for the group.
const SETTLE_LIMIT: Duration = Duration::from_millis(3_500);
const LEAVE_LIMIT: Duration = Duration::from_millis(1_500);
const SERVE_EVERY: Duration = Duration::from_millis(5);
/// Where the run goes on: who does not leave keeps its group for as long as its session lasts.
const PATIENT_LEAVE_LIMIT: Duration = Duration::from_secs(5);
/// Has a member keep its place in the group while it is away.
pub(crate) const STATIC_MEMBER: &str = "group.instance.id";
/// The shortest that brokers take unless they are told otherwise.
const STATIC_SESSION: Duration = Duration::from_secs(6);
/// Place of the only topic in the list of those subscribed to.
const TOPIC: usize = 0;
/// Records shown before others have their turn; fewer where each has to wait for its turn.
const BATCH: usize = 512;
const PACED_BATCH: usize = 16;

/// Members take turns on the shards.
pub(crate) fn jobs(
    crew: &Crew<'_>,
    config: &GroupReadConfig,
    reader: &ReaderBoard,
) -> Vec<Vec<GroupReadJob>> {
    let shards = crew.placement.shards.len();
    let members = config.members.get();
    let job = |shard: usize| {
        let members: Vec<_> =
            (shard..members).step_by(shards).map(|index| reader.shards[index].clone()).collect();
        let job = GroupReadJob {
            members,
            config: config.clone(),
            proof: crew.config.proof,
            partitions: crew.partitions,
        };
        if job.members.is_empty() { Vec::new() } else { vec![job] }
    };
    (0..shards).map(job).collect()
}

/// Reads pass after pass until there is none any more.
pub(crate) async fn run(context: ShardContext, job: GroupReadJob, feed: Feed<GroupReadPass>) {
    let hub = WakeHub::new();
    let bells = hub.as_ref().ok().map(|hub| {
        let hub = hub.clone();
        glommio::spawn_local(async move { hub.run().await }).detach()
    });
    while let Some(pass) = feed.next().await {
        let outcome = match &hub {
            Ok(hub) => read_together(&context, &job, hub, &pass).await,
            Err(error) => Err(Halt::Failed(error.to_string())),
        };
        feed.finish(context.stop_all_on_halt(outcome));
    }
    if let Some(bells) = bells {
        bells.cancel();
    }
}

async fn read_together(
    context: &ShardContext,
    job: &GroupReadJob,
    hub: &Rc<WakeHub>,
    pass: &GroupReadPass,
) -> Result<(), Halt> {
    let mut members = Vec::new();
    for stats in &job.members {
        let member = Member::start(context, job, hub.bell(), pass, stats);
        let mut member = member?;
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
    client_cpus: CpuSet,
) -> GroupSettings {
    // Nobody but the end of its session takes a static member out of the group, which is deleted behind it.
    let short = (config.name.is_none() && client.given(STATIC_MEMBER).is_some()).then_some(STATIC_SESSION);
    GroupSettings {
        client: client.clone(),
        group,
        isolation,
        start: GroupStart::Start,
        members: config.members.get(),
        session_timeout: config.session_timeout.or(short),
        rebalance_timeout: config.rebalance_timeout,
        handover: None,
        client_cpus,
    }
}

struct Member {
    context: ShardContext,
    consumer: GroupConsumer,
    inbox: Inbox,
    bell: HubBell,
    group: String,
    isolation: Isolation,
    silences: Arc<Silences>,
    prober: Prober,
    done: Arc<AtomicBool>,
    pace: Option<Pace>,
    clock: Clock,
    max_uncommitted: Option<usize>,
    /// The group is deleted when the pass is over.
    is_ours: bool,
    joined: bool,
    told: Instant,
}

impl Member {
    fn start(
        context: &ShardContext,
        job: &GroupReadJob,
        bell: HubBell,
        pass: &GroupReadPass,
        stats: &Arc<ReaderStats>,
    ) -> Result<Self, ClientError> {
        let settings = GroupSettings {
            handover: Some(pass.handover.clone()),
            ..settings(
                &context.client,
                &job.config,
                pass.group.clone(),
                checker::isolation(job.proof),
                context.client_cpus(),
            )
        };
        // Members without a partition read nothing.
        let share = 1.0 / job.config.members.get().min(job.partitions).max(1) as f64;
        Ok(Self {
            consumer: GroupConsumer::start(&settings, &[context.topic.to_string()], &bell)?,
            inbox: Inbox {
                checker: Checker::new(context, pass.truth.clone(), stats.clone(), job.proof),
                lanes: (0..job.partitions).map(|_| Lane::default()).collect(),
                news: pass.news.clone(),
                allowance: pass.allowance.clone(),
                halt: None,
                unreadable: Vec::new(),
                left_out: Vec::new(),
                handover: pass.handover.clone(),
                first_offsets: pass.first_offsets.clone(),
                uncommitted: 0,
                cuts: pass.cuts.clone(),
            },
            context: context.clone(),
            bell,
            group: pass.group.clone(),
            isolation: settings.isolation,
            silences: pass.silences.clone(),
            prober: context.librdkafka().prober(settings.isolation, &context.topic),
            done: pass.done.clone(),
            pace: job.config.throughput_bytes_per_s.map(|limit| Pace::new(limit, share, 0)),
            clock: Clock::start(),
            max_uncommitted: job.config.max_uncommitted.map(usize::from),
            is_ours: job.config.name.is_none(),
            joined: false,
            told: Instant::now(),
        })
    }

    async fn read(&mut self) -> Result<(), Halt> {
        while !self.is_over() {
            let more = self.turn()?;
            self.hear_of_silence()?;
            while let Some((partition, from)) = self.inbox.left_out.pop() {
                self.consumer.read_again(TOPIC, partition, from);
            }
            while let Some((partition, from)) = self.inbox.unreadable.pop() {
                self.pass_over(partition, from).await?;
            }
            if more {
                futures_lite::future::yield_now().await;
            } else {
                let pause = self.pause();
                let limit = if pause.is_zero() { WAIT } else { pause.min(WAIT) };
                self.bell.bell().wait_at_most(limit).await;
            }
        }
        self.tell();
        if self.done.load(Relaxed) { self.inbox.finish() } else { Ok(()) }
    }

    fn is_over(&self) -> bool {
        self.done.load(Relaxed) || self.context.stop_requested() || self.inbox.allowance.is_spent()
    }

    /// Takes what has come. Returns whether there may be more to take at once.
    fn turn(&mut self) -> Result<bool, Halt> {
        self.consumer.tend();
        if let Some(error) = self.consumer.take_refusal() {
            return Err(Halt::Failed(format!(
                "group '{}': the cluster refuses what was consumed to be committed: {error}",
                self.group
            )));
        }
        if self.told.elapsed() >= TELL_EVERY {
            self.tell();
            self.look_into_silence();
        }
        let waits_for_commit = self.max_uncommitted.is_some() && self.consumer.is_committing();
        if waits_for_commit || !self.pause().is_zero() {
            return Ok(false);
        }
        let more = self.poll()?;
        if self.max_uncommitted.is_some_and(|limit| self.inbox.uncommitted >= limit) {
            self.inbox.uncommitted = 0;
            self.consumer.commit();
        }
        Ok(more)
    }

    fn poll(&mut self) -> Result<bool, Halt> {
        let inbox = &mut self.inbox;
        let batch = if self.pace.is_some() { PACED_BATCH } else { BATCH };
        let limit =
            self.max_uncommitted.map_or(batch, |limit| (limit - inbox.uncommitted.min(limit - 1)).min(batch));
        let bytes_before = inbox.checker.stats().bytes.get();
        let more = self.consumer.poll_at_most(limit, |event| inbox.take(event));
        if let Some(pace) = &mut self.pace {
            pace.spend(inbox.checker.stats().bytes.get() - bytes_before);
        }
        inbox.halt.take().map_or(Ok(more), Err)
    }

    /// Where nothing comes of a partition of this member's, there may be what its client has nothing to show of.
    fn look_into_silence(&mut self) {
        for partition in (0..).take(self.inbox.lanes.len()) {
            if self.silences.is_told_of(partition)
                && self.consumer.owns(TOPIC, partition)
                && let Some(offset) = self.silences.take(partition)
            {
                self.prober.what_is(partition, offset);
            }
        }
    }

    /// Who owns the partition by now will be asked again.
    fn hear_of_silence(&mut self) -> Result<(), Halt> {
        for answer in self.prober.answers() {
            let ProbeAnswer::Malformed { partition, offset } = answer else { continue };
            let moved = self.inbox.lane(partition).is_none_or(|lane| lane.position > offset);
            if moved || !self.consumer.owns(TOPIC, partition) {
                continue;
            }
            self.inbox.checker.stats().errors.add(1);
            self.inbox.checker.corrupt(partition, offset, MALFORMED)?;
            self.inbox.unreadable.push((partition, offset));
        }
        Ok(())
    }

    /// Finds out how far what cannot be read reaches, and goes on behind it.
    async fn pass_over(&mut self, partition: i32, from: i64) -> Result<(), Halt> {
        let (clients, stop) = (self.context.librdkafka(), || self.context.stop_requested());
        let place = (partition, from);
        let found = clients.end_of_unreadable(self.isolation, &self.context.topic, place, stop).await?;
        let (Some(to), Some(lane)) = (found, self.inbox.lane(partition)) else { return Ok(()) };
        lane.state.reposition();
        lane.position = lane.position.max(to);
        lane.sequel.begin(Some(to));
        lane.has_news = true;
        self.consumer.pass_over(TOPIC, partition, to);
        let _ = self.inbox.news.send(News::PassedOver { partition, from, to });
        Ok(())
    }

    fn pause(&mut self) -> Duration {
        let now_us = self.clock.now_us();
        self.pace.as_mut().map_or(Duration::ZERO, |pace| pace.wait(now_us))
    }

    /// Tells the main thread what is new.
    fn tell(&mut self) {
        self.told = Instant::now();
        if !self.joined && self.consumer.state().rebalances > 0 {
            self.joined = true;
            // It listens for as long as any member lives.
            let _ = self.inbox.news.send(News::Joined);
        }
        let Inbox { lanes, news, .. } = &mut self.inbox;
        for (partition, lane) in (0..).zip(lanes) {
            lane.tell(partition, news);
        }
    }

    /// Has the group know how far this member came, and leaves it, if that is possible in time.
    async fn leave(mut self) {
        self.serve(SETTLE_LIMIT, GroupConsumer::settle).await;
        let patient = !self.context.stop_requested();
        if patient && self.is_ours {
            // Who leaves before it was taken in says so to nobody: its request to join comes true later, and makes
            // the group anew that was deleted meanwhile.
            let is_in = |consumer: &mut GroupConsumer| consumer.settle() && consumer.state().rebalances > 0;
            self.serve(PATIENT_LEAVE_LIMIT, is_in).await;
        }
        self.consumer.begin_leaving();
        let limit = if patient { PATIENT_LEAVE_LIMIT } else { LEAVE_LIMIT };
        if !self.serve(limit, GroupConsumer::leave).await {
            // Closing the client would wait for brokers that hang.
            std::mem::forget(self.consumer);
        }
    }

    /// Does this again and again until it is true, but not for ever; returns whether it is.
    async fn serve(&mut self, limit: Duration, mut attempt: impl FnMut(&mut GroupConsumer) -> bool) -> bool {
        let until = Instant::now() + limit;
        loop {
            if attempt(&mut self.consumer) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            glommio::timer::sleep(SERVE_EVERY).await;
        }
    }
}
