//! A repeater's run from its first line to its last: the main thread's part.

use std::{
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{
    context::{RepeaterContext, ShardFloor},
    stall::StallWatch,
    start::Start,
    trial::Trial,
    worker,
};
use crate::{
    app::{
        broker::Cluster,
        ending::{Asked, Ending},
        error::RunError,
        frame,
        report::REPEAT,
    },
    config::{ClientKind, RepeaterConfig},
    control::{Control, StartWait},
    failing::Judgement,
    findings::{Awaited, violations::Violations},
    human::count,
    kafka::{
        ClientError, ClientSettings, GroupDescription, GroupFactory, JointWorker, KafkaError, Librdkafka,
        LibrdkafkaWorkers, Observer, SlotWriter, TopicError, TopicShape, wire::Wire,
    },
    runtime::{
        cores::{
            placement::{self, Placement, PlacementError, ShardLimits, ShardPlace},
            topology::Topology,
        },
        executor::{self, Shard},
        preflight,
        profile::{ProfileFile, Profiling},
    },
    stats::{GroupView, RepeaterBoard, WorkerStats},
    verifier::read::group::group_refusal::{self, GroupFlags, Refusals},
};

/// How often the main thread looks around, and how often it asks for the group.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const ASK_EVERY: Duration = Duration::from_secs(2);
const ASK_EVERY_AT_START: Duration = Duration::from_millis(250);

/// Does what was asked for, until somebody stops it; returns the exit code.
#[must_use]
pub(crate) fn run(config: &RepeaterConfig) -> u8 {
    if config.common.print_placement {
        return frame::print_plan(|topology| plan(config, topology));
    }
    frame::run(Asked::Repeater(Box::new(config.clone())), |ending| run_to_end(config, ending))
}

fn run_to_end(config: &RepeaterConfig, ending: &Arc<Ending>) -> Result<(), RunError> {
    // Before anything narrows this thread's own mask.
    let topology = Topology::detect()?;
    // Impossible wishes are refused before anything is touched.
    let placement = plan(config, &topology)?;
    let trial = Trial::of(config, &topology.allowed, placement.shards.len())?;
    ending.begin_report()?;
    let profile = config.profile.as_deref().map(ProfileFile::create).transpose()?;
    let cluster = Cluster::open(&config.common, &config.topics[0])?;
    cluster.add_topics(&config.topics[1..], config.common.new_topic_partitions)?;
    let control = Control::start(ending)?;
    control.shared.connections.store(trial.port, Relaxed);
    let result = work(&trial, config, &topology, &placement, &cluster, &control, profile);
    control.shared.lifecycle.finish_work();
    ending.close(result.as_ref().err());
    // Its time may be up (`--duration`) before anybody has read the last status.
    if config.common.remote && result.is_ok() {
        control.stay();
    }
    control.finish();
    result
}

/// A worker is the smallest thing that can be on a shard.
fn plan(config: &RepeaterConfig, topology: &Topology) -> Result<Placement, PlacementError> {
    let limits = ShardLimits { partitions: config.workers.get(), max_buffered_records: None };
    placement::plan(topology, &config.common.cores, config.common.client_threads, &limits)
}

fn work(
    trial: &Trial<'_>,
    config: &RepeaterConfig,
    topology: &Topology,
    placement: &Placement,
    cluster: &Cluster,
    control: &Control,
    profile: Option<ProfileFile>,
) -> Result<(), RunError> {
    let client = ClientSettings::new(&config.common, cluster.bootstrap());
    let (observer, observers) = frame::observe(&client, &topology.allowed, &config.common.client)?;
    if let Some(brokers) = config.common.new_topic.as_ref().and_then(|_| observer.count_brokers()) {
        trial.connections(brokers)?;
    }
    let topics = match wait_for_topics(config, control, &observer) {
        Err(TopicError::Stopped { .. }) => {
            return verdict(&control.shared.violations, control.shared.lifecycle.failure());
        }
        answer => answer?,
    };
    preflight::check(placement.shards.len(), observers)?;
    let stats: Vec<Arc<WorkerStats>> = (0..config.workers.get()).map(|_| Arc::default()).collect();
    control.shared.shards.store(placement.shards.len(), Relaxed);
    let board =
        control.shared.repeater.get_or_init(|| RepeaterBoard::new(config.topics.clone(), stats.clone()));
    let brokers = topics.iter().map(|(_, shape)| shape.brokers).max().unwrap_or(1);
    control.shared.connections.store(trial.connections(brokers)?, Relaxed);
    let is_redpanda = topics.iter().any(|(_, shape)| shape.is_redpanda);
    let kind = frame::client_on(&config.common.client, is_redpanda);
    let topics: Vec<_> = topics.into_iter().map(|(topic, shape)| (topic, shape.partitions)).collect();
    control.watch(observer.clone(), &topics, config.common.metadata_max_age);
    let context = Arc::new(RepeaterContext::new(
        config.clone(),
        control.shared.clone(),
        control.sender(),
        client,
        topics,
        stats,
    ));
    tracing::info!(
        "group {}: {} on {}, {}, {} with {}",
        config.group,
        count(config.workers.get(), "worker"),
        count(placement.shards.len(), "shard"),
        count(config.workers.get() as u64 * config.tokens_per_worker(), "token"),
        count(context.topics.len(), "topic"),
        count(context.partitions(), "partition"),
    );
    let profiling = profile.map(ProfileFile::start).transpose()?;
    let shards = spawn(&context, placement, kind)?;
    let member = context.member();
    let session = member.session(&context.client);
    let places =
        Librdkafka::new(context.client.clone(), topology.allowed.clone()).committed_places(&member)?;
    let mut supervision = Supervision {
        context: &context,
        observer: &observer,
        board,
        start: Start::new(&context, &places),
        stall: StallWatch::new(&context, &observer, &places, session),
        waiting: StartWait::new(
            &control.shared,
            "the repeater",
            config.common.startup_timeout.for_the_rest(),
        ),
        refusals: Refusals::new(session),
        told: None,
    };
    supervision.run(&shards);
    control.shared.ending.end_phase();
    // Beside what the shards have left to do: both must fit into the time that a process has to end.
    let profiled = profiling.map_or(Ok(()), Profiling::finish);
    join(shards)?;
    // The last latencies are still on their way to the control thread.
    thread::sleep(LOOK_EVERY * 3);
    verdict(&control.shared.violations, control.shared.lifecycle.failure())
        .and(profiled.map_err(RunError::from))
}

/// The topics as they are.
fn wait_for_topics(
    config: &RepeaterConfig,
    control: &Control,
    observer: &Observer,
) -> Result<Vec<(String, TopicShape)>, TopicError> {
    let lifecycle = &control.shared.lifecycle;
    let wait = |topic: &String| {
        let (new, timeout) = (config.common.new_topic.as_ref(), config.common.startup_timeout);
        // Its limits are the observer's, which has an error for each.
        let mut wait = StartWait::new(&control.shared, "the run", None);
        let still = |awaited: &dyn Fn() -> Awaited| !lifecycle.shutdown_requested() && wait.still(awaited);
        let shape = observer.wait_for_topic(topic, new, timeout, still)?;
        wait.over();
        Ok((topic.clone(), shape))
    };
    config.topics.iter().map(wait).collect()
}

fn spawn(
    context: &Arc<RepeaterContext>,
    placement: &Placement,
    kind: ClientKind,
) -> Result<Vec<Shard<Result<(), ClientError>>>, RunError> {
    let (heartbeats, shards) = (&context.shared.heartbeats, placement.shards.len());
    let context = context.clone();
    let spawned = executor::spawn_shards(placement, heartbeats, move |place| {
        let context = context.clone();
        async move {
            let result = run_shard(context.clone(), place, shards, kind).await;
            if let Err(error) = &result {
                context.shared.lifecycle.fail(error.to_string());
            }
            result
        }
    });
    Ok(spawned?)
}

/// Runs the workers of one shard, each a task of its own.
async fn run_shard(
    context: Arc<RepeaterContext>,
    place: ShardPlace,
    shards: usize,
    kind: ClientKind,
) -> Result<(), ClientError> {
    let workers = context.config.workers.get();
    let own: Vec<usize> = (place.index..workers).step_by(shards).collect();
    // The only client that has members of groups.
    let librdkafka = LibrdkafkaWorkers::start()?;
    let wire = Wire::new(context.client.clone());
    let shard = Rc::new(ShardFloor::new(context, own.len()));
    let start = |worker| {
        let mut client = shard.context.client.clone();
        client.client_id = worker::name(&client, worker);
        let name = client.client_id.clone();
        let (shard, cpus) = (shard.clone(), place.client_cpus.clone());
        match kind {
            ClientKind::Wire => {
                let clients = JointWorker::new(&librdkafka, &wire, client, cpus);
                glommio::spawn_local(run_worker(clients, name, shard, worker))
            }
            ClientKind::Librdkafka => {
                glommio::spawn_local(run_worker(librdkafka.worker(client, cpus), name, shard, worker))
            }
        }
    };
    let tasks: Vec<_> = own.into_iter().map(start).collect();
    let mut result = Ok(());
    for task in tasks {
        result = result.and(task.await);
    }
    result
}

async fn run_worker<C: GroupFactory<Writer: SlotWriter>>(
    clients: C,
    name: String,
    shard: Rc<ShardFloor>,
    worker: usize,
) -> Result<(), ClientError> {
    let context = shard.context.clone();
    let result = worker::run(clients, &name, shard, worker).await;
    if let Err(error) = &result {
        // The others need not wait for it.
        context.shared.lifecycle.fail(error.to_string());
    }
    result
}

/// A group whose members own all partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    /// It has so many, in all processes.
    Members(usize),
    /// Nobody can be asked for it: it is only known that the workers of this process are members.
    Unseen,
}

/// What the main thread looks after while the shards work.
struct Supervision<'a> {
    context: &'a RepeaterContext,
    observer: &'a Observer,
    board: &'a RepeaterBoard,
    start: Start<'a>,
    stall: StallWatch<'a>,
    waiting: StartWait<'a>,
    refusals: Refusals,
    /// What was said last of the group that `/activate` is waited for.
    told: Option<Ready>,
}

const FLAGS: GroupFlags =
    GroupFlags { members: "--workers", name: "--group", session: "-X session.timeout.ms" };

impl Supervision<'_> {
    /// Watches the group, the start and the tokens until the work is to end.
    fn run(&mut self, shards: &[Shard<Result<(), ClientError>>]) {
        let lifecycle = &self.context.shared.lifecycle;
        let (mut asked, mut producing) = (None::<Instant>, false);
        while !lifecycle.stop_requested() && !shards.iter().all(Shard::is_finished) {
            if lifecycle.shutdown_requested() {
                lifecycle.interrupt("/shutdown");
                break;
            }
            let every = if producing { ASK_EVERY } else { ASK_EVERY_AT_START };
            if asked.is_none_or(|asked| asked.elapsed() >= every) {
                self.look(&mut producing);
                asked = Some(Instant::now());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn look(&mut self, producing: &mut bool) {
        if let Some(error) = self.context.overdue() {
            let lasting = Judgement::Lasting.words();
            self.context.shared.lifecycle.fail(format!("nothing could be sent{lasting}: {error}"));
        }
        let group = self.observer.describe_group(&self.context.config.group);
        if let Ok(group) = &group {
            self.board.set_group(GroupView { state: group.state.clone(), members: group.members });
        }
        self.look_at_refusals(&group);
        if *producing {
            self.stall.look(&group);
        } else if self.start.is_given(&group) {
            self.context.let_produce();
            *producing = true;
            self.context.shared.ending.begin_phase(REPEAT);
            self.context.shared.lifecycle.begin_phase(self.context.config.common.limits.duration);
            self.waiting.over();
            tracing::info!("group {}: producing", self.context.config.group);
        } else {
            if self.start.waits_for_activation() {
                self.context.shared.lifecycle.begin();
                self.tell_that_it_waits(&group);
            }
            // Where that ends the run, the shards hear of it from there.
            let _ = self.waiting.still_in(|| match self.refusals.open(Instant::now()) {
                Some(error) => {
                    let name = &self.context.config.group;
                    group_refusal::awaited(name, error, &self.observer.who_is_in(name, &group), FLAGS).into()
                }
                None => self.start.trouble(self.observer, &group),
            });
        }
    }

    /// Whoever is to activate it need not guess when: a line says that the group is ready, and another one when members of
    /// other processes have joined or left since.
    fn tell_that_it_waits(&mut self, group: &Result<GroupDescription, KafkaError>) {
        let ready = match group {
            Ok(group) if group.is_stable() => Ready::Members(group.members),
            Ok(_) => return,
            Err(_) => Ready::Unseen,
        };
        if self.told.replace(ready) == Some(ready) {
            return;
        }
        let (name, workers) = (&self.context.config.group, self.context.config.workers.get());
        let of = match ready {
            Ready::Members(members) => format!(" (of {} in the group)", count(members, "member")),
            Ready::Unseen => String::new(),
        };
        tracing::info!(
            "group {name}: {} joined{of}, each partition has an owner; waiting for PUT /activate on the control port",
            count(workers, "worker")
        );
    }

    /// Workers that the group does not take in: whoever is in the way may leave it soon.
    fn look_at_refusals(&mut self, seen: &Result<GroupDescription, KafkaError>) {
        let RepeaterContext { config, shared, .. } = self.context;
        for error in self.context.take_refusals() {
            let what = format!("group '{}' does not take a worker in", config.group);
            shared.causes.note("the repeater", &what, &error.to_string());
            if self.refusals.refused(error, Instant::now()) {
                let seen = self.observer.who_is_in(&config.group, seen);
                shared.lifecycle.fail(group_refusal::explain(&config.group, error, &seen, FLAGS));
            }
        }
    }
}

fn join(shards: Vec<Shard<Result<(), ClientError>>>) -> Result<(), RunError> {
    for shard in shards {
        // What a worker failed of is the lifecycle's to tell.
        let _: Result<(), ClientError> = shard.join()?;
    }
    Ok(())
}

fn verdict(violations: &Violations, failure: Option<String>) -> Result<(), RunError> {
    if let Some(first) = violations.kept().first().cloned().map(Box::new) {
        return Err(RunError::Violations { count: violations.count(), first });
    }
    match failure {
        Some(reason) => Err(RunError::Failed(reason)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::anomaly::{Anomaly, Violation};

    #[test]
    fn a_violation_comes_before_what_else_went_wrong() {
        let violations = Violations::default();
        assert!(verdict(&violations, None).is_ok());
        let failed = || Some("no brokers".to_owned());
        assert_eq!(verdict(&violations, failed()).unwrap_err().exit_code(), 3);
        for offset in [5, 9] {
            violations.add(Violation {
                anomaly: Anomaly::AbortedRead,
                topic: "t".into(),
                partition: 0,
                offset,
                expected: String::new(),
                found: String::new(),
                evidence: Box::default(),
            });
        }
        let error = verdict(&violations, failed()).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().starts_with("2 violations, the first: "), "{error}");
        assert!(error.to_string().contains("offset 5"), "{error}");
    }
}
