//! One pass of a group, seen from a thread of its own that takes what members tell: it alone knows what all members together
//! have read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, RecvTimeoutError, unbounded};

use super::{
    ground::GroupGround,
    group_inbox::{MemberEvent, StalledPartitions, Truncations},
    group_partition::GroupPartition,
    group_reader::GroupReadPass,
    group_refusal::{self, Refusals},
    sharing::Sharing,
    together::{self, AtClose, SILENCE, Together},
};
use crate::{
    app::error::RunError,
    config::GroupReadConfig,
    control::StartWait,
    kafka::{Coordinator, Handover, KafkaError},
    stats::{Gauge, ReaderStats},
    verifier::{
        check::loss::Losses,
        read::{
            budget::Allowance,
            checker::{self, Checker},
            closing::Closing,
            progress::OffsetRange,
            stall::StallDetector,
        },
        run_context::Survey,
        second_look::SecondLook,
        shard::{Feeder, Halt},
        work_watch::WorkWatch,
    },
};

const TICK: Duration = Duration::from_millis(100);
/// librdkafka's own session, where no flag says anything else.
const SESSION: Duration = Duration::from_secs(45);
const WORKER: &str = "the group reader";

/// Says where a pass ends that waits for more, once it is to: `None` until then, and `Some(Ok(None))` where the run is being
/// stopped before that is known.
pub(crate) type Closings<'a> = &'a dyn Fn() -> Option<Result<Option<Closing>, RunError>>;

/// How a pass goes on, for whoever looks from another thread.
#[derive(Debug, Default)]
pub(crate) struct PassProgress {
    /// Members that the group has taken in.
    pub(crate) joined: Gauge,
    /// Partitions in which some member has its place, which the group knows.
    pub(crate) placed: Gauge,
    /// Records that the group was shown again.
    pub(crate) repeated: Gauge,
}

/// One pass, before it begins.
pub(crate) struct PassPlan<'a> {
    pub(crate) ground: &'a GroupGround<'a>,
    pub(crate) config: &'a GroupReadConfig,
    pub(crate) name: &'a str,
    pub(crate) survey: Survey,
    /// What passes before told of losses, by slot.
    pub(crate) losses: Vec<Losses>,
    pub(crate) allowance: Allowance,
    /// Of the group as a whole.
    pub(crate) stats: Arc<ReaderStats>,
    /// `None`: it ends where the logs end now.
    pub(crate) closing: Option<Closings<'a>>,
    pub(crate) at_close: AtClose,
    /// It may stand still of its own accord.
    pub(crate) is_patient: bool,
    /// Where the ledger grows on the disk.
    pub(crate) second_look: Option<SecondLook<'a>>,
    pub(crate) progress: Option<&'a PassProgress>,
}

impl<'a> PassPlan<'a> {
    /// Has the members read until all of them are gone. Returns what the group has read, and what became of everybody.
    pub(crate) fn run(self, feeders: &[Feeder<GroupReadPass>]) -> (Together<'a>, Vec<Result<(), Halt>>) {
        let Self { ground, config, name, survey: Survey { expectation, ranges }, .. } = self;
        let run_context = ground.run_context;
        let (done, (sender, news)) = (Arc::new(AtomicBool::new(false)), unbounded());
        let context = run_context.context(run_context.placement.shards[0].clone());
        let proof = run_context.config.proof;
        let checker = Checker::new(&context, ground.table.clone(), expectation.clone(), self.stats, proof);
        let stalled_partitions = Arc::new(StalledPartitions::new(ranges.len()));
        let mut watched = WatchedPass {
            together: Together {
                parts: together::parts(&checker, &ranges, self.losses, self.closing.is_some()),
                checker,
                stall_detector: StallDetector::new(&context, WORKER),
                stalled_partitions: stalled_partitions.clone(),
                ask: Box::new(|spec| (ground.ask)(spec)),
                isolation: checker::isolation(proof),
                group: name,
                is_named: config.name.is_some(),
                exactly_once: config.exactly_once,
                at_close: self.at_close,
                last_ledger: None,
                repeated: 0,
                halt: None,
            },
            ground,
            config,
            name,
            sharing: Sharing::new(ground, config, name),
            closing: self.closing,
            joined: 0,
            placed: 0,
            joining: run_context.wait(WORKER),
            refusals: Refusals::new(config.session_timeout.unwrap_or(SESSION)),
            watch: WorkWatch::new(run_context.wait(WORKER), self.is_patient),
            second_look: self.second_look,
            progress: self.progress,
        };
        // A group that is made for this pass begins where it is told to.
        let start = |range: &OffsetRange| config.name.is_none().then_some(range.start);
        let handover = Arc::new(Handover::new(ranges.iter().map(|range| (range.leader_epoch, start(range)))));
        let truncations = Arc::new(Truncations::new(ranges.len()));
        let (group, allowance) = (name.to_owned(), self.allowance);
        let pass = GroupReadPass {
            expectation,
            group,
            allowance,
            handover,
            truncations,
            stalled_partitions,
            news: sender,
            done: done.clone(),
        };
        for feeder in feeders {
            feeder.start(pass.clone());
        }
        drop(pass);
        watched.go_on(&news, &done);
        watched.miss_members();
        watched.watch.ended();
        let mut outcomes: Vec<_> = feeders.iter().map(Feeder::wait).collect();
        outcomes.push(watched.together.halt.take().map_or(Ok(()), Err));
        (watched.together, outcomes)
    }
}

/// A pass that goes on.
struct WatchedPass<'a> {
    ground: &'a GroupGround<'a>,
    config: &'a GroupReadConfig,
    name: &'a str,
    together: Together<'a>,
    sharing: Sharing<'a>,
    /// It waits for more until this says otherwise.
    closing: Option<Closings<'a>>,
    joined: usize,
    placed: usize,
    joining: StartWait<'a>,
    refusals: Refusals,
    watch: WorkWatch<'a, ()>,
    second_look: Option<SecondLook<'a>>,
    progress: Option<&'a PassProgress>,
}

impl WatchedPass<'_> {
    /// Takes the members' news until all of them are gone, and tells them when they are done.
    fn go_on(&mut self, news: &Receiver<MemberEvent>, done: &AtomicBool) {
        let mut looked = Instant::now();
        loop {
            if let Some(second_look) = &mut self.second_look {
                second_look.look();
            }
            match news.recv_timeout(TICK) {
                Ok(news) => self.take(news),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let convicted = self.second_look.take().and_then(|look| look.finish().err());
                    self.together.halt = self.together.halt.take().or(convicted);
                    return;
                }
            }
            self.close_open_ends();
            if looked.elapsed() > SILENCE && self.together.is_suspect() && !done.load(Relaxed) {
                self.together.look_at_logs(self.sharing.has_others());
                looked = Instant::now();
            }
            self.look_at_group(done.load(Relaxed));
            if done.load(Relaxed) {
                continue;
            }
            if self.together.halt.is_some() || (self.together.is_done() && !self.together.reopen()) {
                done.store(true, Relaxed);
            }
        }
    }

    fn take(&mut self, news: MemberEvent) {
        match news {
            MemberEvent::Joined => {
                self.joined += 1;
                self.ground.run_context.lifecycle().begin();
                self.refusals.taken_in();
            }
            // Each member takes back only what it has added.
            MemberEvent::Placed { before, now } => self.placed = self.placed + now - before,
            MemberEvent::Refused(error) => self.refused(error),
            news => self.together.take(news),
        }
        if let Some(progress) = self.progress {
            progress.joined.set(self.joined as u64);
            progress.placed.set(self.placed as u64);
            progress.repeated.set(self.together.repeated);
        }
    }

    /// The pass that waited for more is the last one: it ends where the logs end now.
    fn close_open_ends(&mut self) {
        let Some(told) = self.closing.and_then(|closing| closing()) else { return };
        match told {
            Ok(Some(closing)) => self.together.close(closing),
            Ok(None) => return,
            Err(error) => {
                let halt = self.together.halt.take();
                self.together.halt = halt.or_else(|| Some(Halt::Failed(error.to_string())));
            }
        }
        self.closing = None;
    }

    /// Says what the group waits for: its coordinator until it has taken a member in, and then the logs.
    fn look_at_group(&mut self, done: bool) {
        if self.together.halt.is_some() || done {
            return;
        }
        let (ground, run_context, name, joined) =
            (self.ground, self.ground.run_context, self.name, self.joined);
        let refusal = self.refusals.open(Instant::now());
        if joined == 0 || refusal.is_some() {
            // Where that ends the run, the members hear of it from there.
            let _ = self.joining.still_in(|| match refusal {
                Some(error) => {
                    let seen =
                        run_context.observer.who_is_in(name, &run_context.observer.describe_group(name));
                    group_refusal::awaited(name, error, &seen, ground.flags).into()
                }
                None => run_context.observer.trouble_with(Coordinator::Group(name)),
            });
            return;
        }
        self.joining.over();
        let parts = &self.together.parts;
        let add = |sum: u64, part: &GroupPartition| sum.wrapping_add(part.progress.position.cast_unsigned());
        let positions = parts.iter().fold(0, add);
        let wants = parts.iter().any(|part| !part.is_done()).then_some(());
        let sharing = &self.sharing;
        self.watch.look(std::iter::once((positions, wants)), |(), speak| {
            let known = (ground.trouble)();
            known.or_else(|| sharing.trouble(parts, joined, speak))
        });
    }

    /// The group does not take a member in.
    #[cold]
    fn refused(&mut self, error: KafkaError) {
        let (run_context, name) = (self.ground.run_context, self.name);
        let what = format!("group '{name}' does not take a member in");
        run_context.control.shared.causes.note(WORKER, &what, &error.to_string());
        if self.refusals.refused(error, Instant::now()) {
            self.end_refused(error);
        }
    }

    /// The others may have read everything without those that the group did not take in to the end.
    fn miss_members(&mut self) {
        let is_short =
            self.joined < self.config.members.get() && !self.ground.run_context.lifecycle().stop_requested();
        if let Some(error) = self.refusals.open(Instant::now()).filter(|_| is_short) {
            self.end_refused(error);
        }
    }

    /// What the pass was asked for it cannot do.
    #[cold]
    fn end_refused(&mut self, error: KafkaError) {
        let (run_context, name) = (self.ground.run_context, self.name);
        if self.together.halt.is_none() {
            let seen = run_context.observer.who_is_in(name, &run_context.observer.describe_group(name));
            let flags = self.ground.flags;
            self.together.halt = Some(Halt::Failed(group_refusal::explain(name, error, &seen, flags)));
            // Nobody needs to be patient with a group that does not want them.
            run_context.lifecycle().request_stop();
        }
    }
}
