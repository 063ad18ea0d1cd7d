//! The passes of a consumer group, seen from the main thread: it alone knows what
//! all members together have read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, RecvTimeoutError, unbounded};

use super::{
    group_inbox::{Cuts, News, Silences},
    group_name::{OwnGroups, generated_name},
    group_reader::{self, GroupReadPass},
    group_refusal::{self, GroupFlags, Refusals},
    part::Part,
    sharing::{self, Sharing},
    together::{self, SILENCE, Together},
};
use crate::{
    app::error::RunError,
    config::{GroupReadConfig, Passes},
    control::StartWait,
    kafka::{Coordinator, Handover, KafkaError},
    stats::{Board, ReaderBoard, ReaderKind},
    verifier::{
        check::loss::Losses,
        crew::{Crew, EMPTY_PASS_PAUSE, Survey, join, removed, start_readers, worst},
        read::{
            budget::{Allowance, Budget},
            checker::{self, Checker},
            progress::Span,
            stall::Watchman,
        },
        second_look::SecondLook,
        shard::{Feeder, Halt},
        work_watch::WorkWatch,
    },
};

const TICK: Duration = Duration::from_millis(100);

/// Reads everything as a consumer group, and validates it.
pub(crate) fn group_read(crew: &Crew<'_>, board: &Board) -> Result<(), RunError> {
    let Some(config) = &crew.config.group_read else { return Ok(()) };
    let Some(reader) = board.readers.iter().find(|reader| reader.kind == ReaderKind::Group) else {
        return Ok(());
    };
    let jobs = group_reader::jobs(crew, config, reader);
    let (feeders, running) = start_readers(crew, jobs, group_reader::run)?;
    let mut left = config.max_messages;
    let mut losses = vec![Losses::default(); crew.partitions];
    let committed = committed_places(crew, config);
    let mut result = Ok(());
    let mut own_groups = OwnGroups::default();
    for run in 1_u64.. {
        let name = config.name.clone().unwrap_or_else(|| generated_name(run));
        let outcome = one_pass(crew, config, reader, &feeders, &name, (&mut left, &mut losses), &committed);
        if config.name.is_none() {
            // Looping readers would leave one behind for each pass.
            own_groups.delete(crew, &name);
        }
        match outcome {
            Ok(true) if !crew.is_last_pass() && left != Some(0) => {}
            Ok(_) => break,
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    own_groups.finish(crew);
    drop(feeders);
    join(running)?;
    result?;
    reader.finish();
    Ok(())
}

/// The places that a group with a name of the user's had committed before this run, by partition: it does not read again
/// what lies below. Empty where nobody says.
fn committed_places(crew: &Crew<'_>, config: &GroupReadConfig) -> Vec<i64> {
    let Some(group) = &config.name else { return Vec::new() };
    let places = sharing::committed_places(crew, config, group);
    let topics = [(crew.config.topic.clone(), crew.partitions)];
    let committed = places.and_then(|places| places.look(&topics)).unwrap_or_default();
    if committed.iter().any(|place| *place >= 0) {
        tracing::info!(
            "group {group} had been here before: it goes on from its committed places, and is not shown all"
        );
    }
    committed
}

/// One pass. Returns whether there may be another.
fn one_pass(
    crew: &Crew<'_>,
    config: &GroupReadConfig,
    reader: &ReaderBoard,
    feeders: &[Feeder<GroupReadPass>],
    name: &str,
    (left, losses): (&mut Option<u64>, &mut Vec<Losses>),
    committed: &[i64],
) -> Result<bool, RunError> {
    let Some(Survey { truth, spans }) = crew.survey()? else { return Ok(false) };
    let continuous = crew.config.passes == Passes::Continuous;
    let total: u64 = spans.iter().map(Span::offsets).sum();
    if total == 0 && crew.config.passes == Passes::Loop {
        std::thread::sleep(EMPTY_PASS_PAUSE);
    }
    reader.set_removed(removed(&truth.ledger, &spans));
    let before = reader.raw_totals().records();
    reader.set_goal(before + left.unwrap_or(total).min(total));
    let allowance = left.map_or(Allowance::All, |left| Allowance::Shared(Arc::new(Budget::new(left))));
    let (done, (sender, news)) = (Arc::new(AtomicBool::new(false)), unbounded());
    let stats = reader.shards[config.members.get()].clone();
    let context = crew.context(crew.placement.shards[0].clone());
    let checker = Checker::new(&context, crew.table(), truth.clone(), stats, crew.config.proof);
    let silences = Arc::new(Silences::new(crew.partitions));
    let isolation = checker::isolation(crew.config.proof);
    let mut overseer = Overseer {
        together: Together {
            parts: together::parts(&checker, &spans, std::mem::take(losses), continuous),
            checker,
            watchman: Watchman::new(&context, "the group reader"),
            silences: silences.clone(),
            ask: Box::new(|spec| crew.offsets(spec, isolation)),
            isolation,
            group: name,
            is_named: config.name.is_some(),
            exactly_once: config.exactly_once,
            last_ledger: None,
            halt: None,
        },
        crew,
        config,
        name,
        sharing: Sharing::new(crew, config, name),
        continuous,
        joined: 0,
        joining: crew.wait("the group reader"),
        refusals: Refusals::new(config.session_timeout.unwrap_or(SESSION)),
        watch: WorkWatch::new(
            crew.wait("the group reader"),
            continuous || config.throughput_bytes_per_s.is_some(),
        ),
    };
    // A group that is made for this pass begins where the logs do.
    let start = |span: &Span| config.name.is_none().then_some(span.start);
    let handover = Arc::new(Handover::new(spans.iter().map(|span| (span.leader_epoch, start(span)))));
    let group = name.to_owned();
    let cuts = Arc::new(Cuts::new(crew.partitions));
    let done_too = done.clone();
    let pass =
        GroupReadPass { truth, group, allowance, handover, cuts, silences, news: sender, done: done_too };
    for feeder in feeders {
        feeder.start(pass.clone());
    }
    drop(pass);
    overseer.oversee(&news, &done);
    overseer.miss_members();
    overseer.watch.ended();
    let mut outcomes: Vec<_> = feeders.iter().map(Feeder::wait).collect();
    outcomes.push(overseer.together.halt.take().map_or(Ok(()), Err));
    outcomes.push(crew.decide());
    crew.noted(worst(outcomes))?;
    overseer.together.note_coverage(committed);
    if left.is_none() && !crew.lifecycle().stop_requested() {
        crew.noted(overseer.together.audit().map_err(RunError::from))?;
    }
    *losses = overseer.together.parts.into_iter().map(|part| part.progress.into_losses()).collect();
    crew.end_pass(&[reader]);
    *left = left.map(|left| left.saturating_sub(reader.raw_totals().records() - before));
    Ok(true)
}

pub(super) const FLAGS: GroupFlags = GroupFlags {
    members: "--consumer_group_readers",
    name: "--consumer_group_name",
    session: "--consumer-group-session-timeout-s",
};

/// Watches over one pass.
struct Overseer<'a> {
    crew: &'a Crew<'a>,
    config: &'a GroupReadConfig,
    name: &'a str,
    together: Together<'a>,
    sharing: Sharing<'a>,
    continuous: bool,
    joined: usize,
    joining: StartWait<'a>,
    refusals: Refusals,
    watch: WorkWatch<'a, ()>,
}

/// librdkafka's own session, where no flag says anything else.
const SESSION: Duration = Duration::from_secs(45);

impl Overseer<'_> {
    /// Takes the members' news until all of them are gone, and tells them when they are done.
    fn oversee(&mut self, news: &Receiver<News>, done: &AtomicBool) {
        let (mut looked, mut second_look) = (Instant::now(), SecondLook::new(self.crew));
        loop {
            second_look.look();
            match news.recv_timeout(TICK) {
                Ok(news) => self.take(news),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.together.halt = self.together.halt.take().or(second_look.finish().err());
                    return;
                }
            }
            if self.continuous && self.crew.lifecycle().last_pass_requested() {
                self.close_open_ends();
            }
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

    fn take(&mut self, news: News) {
        match news {
            News::Joined => {
                self.joined += 1;
                self.crew.lifecycle().begin();
                self.refusals.taken_in();
            }
            News::Refused(error) => self.refused(error),
            news => self.together.take(news),
        }
    }

    /// The pass that waited for more is the last one: it ends where the logs end now.
    fn close_open_ends(&mut self) {
        match self.crew.survey_ends() {
            Ok(Some(closing)) => self.together.close(closing),
            Ok(None) => return,
            Err(error) => {
                let halt = self.together.halt.take();
                self.together.halt = halt.or_else(|| Some(Halt::Failed(error.to_string())));
            }
        }
        self.continuous = false;
    }

    /// Says what the group waits for: its coordinator until it has taken a member in, and then the logs.
    fn look_at_group(&mut self, done: bool) {
        if self.together.halt.is_some() || done {
            return;
        }
        let (crew, name, joined) = (self.crew, self.name, self.joined);
        let refusal = self.refusals.open(Instant::now());
        if joined == 0 || refusal.is_some() {
            // Where that ends the run, the members hear of it from there.
            let _ = self.joining.still_in(|| match refusal {
                Some(error) => {
                    let seen = crew.observer.who_is_in(name, &crew.observer.describe_group(name));
                    group_refusal::awaited(name, error, &seen, FLAGS).into()
                }
                None => crew.observer.trouble_with(Coordinator::Group(name)),
            });
            return;
        }
        self.joining.over();
        let parts = &self.together.parts;
        let add = |sum: u64, part: &Part| sum.wrapping_add(part.progress.position.cast_unsigned());
        let positions = parts.iter().fold(0, add);
        let wants = parts.iter().any(|part| !part.is_done()).then_some(());
        let sharing = &self.sharing;
        self.watch.look(std::iter::once((positions, wants)), |(), speak| {
            let known = crew.reading_trouble(false);
            known.or_else(|| sharing.trouble(parts, joined, speak))
        });
    }

    /// The group does not take a member in.
    #[cold]
    fn refused(&mut self, error: KafkaError) {
        let (crew, name) = (self.crew, self.name);
        let what = format!("group '{name}' does not take a member in");
        crew.control.shared.causes.note("the group reader", &what, &error.to_string());
        if self.refusals.refused(error, Instant::now()) {
            self.end_refused(error);
        }
    }

    /// The others may have read everything without those that the group did not take in to the end.
    fn miss_members(&mut self) {
        let is_short = self.joined < self.config.members.get() && !self.crew.lifecycle().stop_requested();
        if let Some(error) = self.refusals.open(Instant::now()).filter(|_| is_short) {
            self.end_refused(error);
        }
    }

    /// What the pass was asked for it cannot do.
    #[cold]
    fn end_refused(&mut self, error: KafkaError) {
        let (crew, name) = (self.crew, self.name);
        if self.together.halt.is_none() {
            let seen = crew.observer.who_is_in(name, &crew.observer.describe_group(name));
            self.together.halt = Some(Halt::Failed(group_refusal::explain(name, error, &seen, FLAGS)));
            // Nobody needs to be patient with a group that does not want them.
            crew.lifecycle().request_stop();
        }
    }
}
