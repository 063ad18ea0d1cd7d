//! The passes of a consumer group, seen from the main thread: it alone knows what
//! all members together have read.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    group_inbox::{Cuts, News, Silences},
    group_name::{OwnGroups, generated_name},
    group_reader::{self, GroupReadPass},
    group_refusal::{self, GroupFlags, Refusals},
    part::Part,
    sharing::{self, Sharing},
};
use crate::{
    app::error::RunError,
    config::{GroupReadConfig, Passes},
    control::StartWait,
    findings::anomaly::Anomaly,
    kafka::{Coordinator, Handover, Isolation, KafkaError, OffsetSpec},
    ledger::{Ledger, PartitionLedger},
    mutants,
    stats::{Board, CoverageTotals, ReaderBoard, ReaderKind},
    verifier::{
        check::loss::{LOOK_PAUSE, LOOKS, Losses},
        crew::{Crew, EMPTY_PASS_PAUSE, Survey, join, removed, start_readers, worst},
        read::{
            budget::{Allowance, Budget},
            checker::{self, Checker, Cut},
            closing::Closing,
            progress::{OPEN_END, PartitionProgress, Span},
            stall::{Look, Watchman},
        },
        second_look::SecondLook,
        shard::{Feeder, Halt},
        work_watch::WorkWatch,
    },
};
use crossbeam::channel::{Receiver, RecvTimeoutError, unbounded};

/// How long a partition may stand still before the brokers are asked whether the logs have changed.
const SILENCE: Duration = Duration::from_secs(3);
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
    let checker = Checker::new(&context, truth.clone(), stats, crew.config.proof);
    let mut overseer = Overseer {
        parts: parts(&checker, &spans, std::mem::take(losses), continuous),
        checker,
        watchman: Watchman::new(&context, "the group reader"),
        crew,
        config,
        name,
        sharing: Sharing::new(crew, config, name),
        silences: Arc::new(Silences::new(crew.partitions)),
        continuous,
        last_ledger: None,
        joined: 0,
        halt: None,
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
    let silences = overseer.silences.clone();
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
    outcomes.push(overseer.halt.take().map_or(Ok(()), Err));
    outcomes.push(crew.decide());
    crew.noted(worst(outcomes))?;
    overseer.note_coverage(committed);
    if left.is_none() && !crew.lifecycle().stop_requested() {
        crew.noted(overseer.audit().map_err(RunError::from))?;
    }
    *losses = overseer.parts.into_iter().map(|part| part.progress.into_losses()).collect();
    crew.end_pass(&[reader]);
    *left = left.map(|left| left.saturating_sub(reader.raw_totals().records() - before));
    Ok(true)
}

/// The partitions, before anything was read of them.
fn parts(checker: &Checker, spans: &[Span], losses: Vec<Losses>, continuous: bool) -> Vec<Part> {
    let part = |(span, losses): (&Span, Losses)| {
        let span = Span { end: if continuous { OPEN_END } else { span.end }, ..*span };
        let consumable_end = checker.consumable_end(span.partition);
        Part::new(PartitionProgress::new(span, losses).may_end_at(consumable_end))
    };
    spans.iter().zip(losses).map(part).collect()
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
    parts: Vec<Part>,
    sharing: Sharing<'a>,
    silences: Arc<Silences>,
    continuous: bool,
    /// The ledger as it was when a pass that waits for more was to end.
    last_ledger: Option<Arc<Ledger>>,
    joined: usize,
    checker: Checker,
    watchman: Watchman,
    halt: Option<Halt>,
    joining: StartWait<'a>,
    refusals: Refusals,
    watch: WorkWatch<'a, ()>,
}

/// A partition's part of the ledger as it was when the end of the pass was looked for.
fn ledger_at_end<'a>(
    last: Option<&'a Ledger>,
    checker: &'a Checker,
    partition: i32,
) -> Option<&'a PartitionLedger> {
    last.map_or_else(|| checker.ledger(partition), |ledger| ledger.partition(partition))
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
                    self.halt = self.halt.take().or(second_look.finish().err());
                    return;
                }
            }
            if self.continuous && self.crew.lifecycle().last_pass_requested() {
                self.close_open_ends();
            }
            if looked.elapsed() > SILENCE && self.is_suspect() && !done.load(Relaxed) {
                self.look_at_logs();
                looked = Instant::now();
            }
            self.look_at_group(done.load(Relaxed));
            if done.load(Relaxed) {
                continue;
            }
            if self.halt.is_some() || (self.parts.iter().all(Part::is_done) && !self.reopen()) {
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
            News::PassedOver { partition, from, to } => {
                let passed_over = self.part(partition).and_then(|part| part.progress.pass_over(from..to));
                if let Some(Range { start, end }) = passed_over {
                    tracing::warn!("partition {partition}: offsets {start} to {} are passed over", end - 1);
                }
            }
            News::Read { partition, position, runs, keys } => {
                let Some(part) = self.parts.iter_mut().find(|part| part.progress.partition == partition)
                else {
                    return;
                };
                part.progress.reached(position);
                part.moved = Instant::now();
                self.watchman.moved(&mut part.watch, part.progress.position);
                part.keys.merge(keys);
                if let Some(offset) = part.progress.add(&runs)
                    && self.config.exactly_once
                {
                    self.delivered_twice(partition, offset);
                }
            }
            News::Rewound { partition, offset } => self.rewound(partition, offset),
        }
    }

    fn part(&mut self, partition: i32) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.progress.partition == partition)
    }

    #[cold]
    fn delivered_twice(&mut self, partition: i32, offset: i64) {
        let expected = format!("each record once in group '{}'", self.name);
        let found = "one that the group was shown before".to_owned();
        let broken = self.checker.broken(Anomaly::GroupRedelivery, partition, offset, expected, found);
        self.halt = self.halt.take().or(broken.err());
    }

    /// The pass that waited for more is the last one: it ends where the logs end now.
    fn close_open_ends(&mut self) {
        match self.crew.survey_ends() {
            Ok(Some(Closing { ledger, ends })) => {
                for (part, end) in self.parts.iter_mut().zip(ends) {
                    let consumable_end = checker::consumable_end(&ledger, part.progress.partition);
                    part.progress.close_at(end, consumable_end);
                }
                self.last_ledger = Some(ledger);
            }
            Ok(None) => return,
            Err(error) => self.halt = self.halt.take().or(Some(Halt::Failed(error.to_string()))),
        }
        self.continuous = false;
    }

    fn ledger_at_end(&self, partition: i32) -> Option<&PartitionLedger> {
        ledger_at_end(self.last_ledger.as_deref(), &self.checker, partition)
    }

    /// What that lists at or above `end`, and the group was not shown, is told, once.
    fn tell_lost_end(&mut self, index: usize, end: i64) -> Result<(), Halt> {
        let progress = &mut self.parts[index].progress;
        let ledger = ledger_at_end(self.last_ledger.as_deref(), &self.checker, progress.partition);
        self.checker.tell_lost_of(ledger, index, progress, end)
    }

    /// Whether there is a partition in which the group does not move.
    fn is_suspect(&self) -> bool {
        self.parts.iter().any(|part| !part.is_done() && part.moved.elapsed() > SILENCE)
    }

    /// A log may end below where it did, or start above where the members are.
    fn look_at_logs(&mut self) {
        let (asked, isolation) = (Instant::now(), checker::isolation(self.crew.config.proof));
        let Some(ends) = self.crew.offsets(OffsetSpec::End, isolation) else { return };
        if asked.elapsed() > SILENCE {
            // They had to be waited for.
            self.parts.iter_mut().for_each(|part| part.watch.unanswered());
        }
        for (index, end) in ends.into_iter().enumerate() {
            if self.parts[index].is_cut_at(end) {
                self.cut(index, end, false);
            }
            if self.parts[index].progress.doubts() == 0 {
                self.look_for_stall(index, end);
            }
        }
    }

    fn look_for_stall(&mut self, index: usize, end: i64) {
        let Part { progress, moved, watch, .. } = &mut self.parts[index];
        progress.lower_end(end);
        let (partition, position) = (progress.partition, progress.position);
        if let Some(tail) = progress.leave_out_tail(*moved, Instant::now()) {
            checker::tail_left_out(partition, &tail);
        }
        if self.sharing.has_others() {
            // They may have it, and be slow.
            watch.unanswered();
        } else if position < progress.end().min(end) {
            let what = || format!("what lies at offset {position}");
            let look = self.watchman.look(watch, partition, (position, end), what);
            if look != Look::Patience {
                self.silences.tell(partition, position);
            }
        }
    }

    /// A member was shown a record below what the group has read, of a later leader than that: where the log was cut, or
    /// behind its control records.
    #[cold]
    fn rewound(&mut self, partition: i32, offset: i64) {
        let Some(index) = self.parts.iter().position(|part| part.progress.partition == partition) else {
            return;
        };
        let isolation = checker::isolation(self.crew.config.proof);
        let Some(ends) = self.crew.offsets(OffsetSpec::End, isolation) else { return };
        let position = self.parts[index].progress.position;
        if offset < position {
            self.cut(index, offset, ends[index] >= position);
        }
        self.parts[index].progress.lower_end(ends[index]);
    }

    /// A log was cut at `end`, and members go on from there.
    fn cut(&mut self, index: usize, end: i64, refilled: bool) {
        if mutants::is_off("truncation-group") {
            return;
        }
        let part = &mut self.parts[index];
        let (partition, position) = (part.progress.partition, part.progress.position);
        part.progress.cut(position, end);
        part.is_cut = true;
        let broken = self.checker.truncated(index, partition, Cut { position, end, refilled });
        self.halt = self.halt.take().or(broken.err());
    }

    /// A broker may have named an end that lies below what the ledger lists: a leader that has just become one, for
    /// instance. Nothing is lost behind that before the group was shown it. Returns whether there is more to read.
    fn reopen(&mut self) -> bool {
        if self.config.name.is_some() || self.checker.records_may_go() || self.checker.tolerates_data_loss() {
            return false;
        }
        let early = self.end_too_early();
        let isolation = checker::isolation(self.crew.config.proof);
        for look in 0..LOOKS {
            if early.is_empty() {
                return false;
            }
            if look > 0 {
                std::thread::sleep(LOOK_PAUSE);
            }
            let Some(ends) = self.crew.offsets(OffsetSpec::End, isolation) else { return false };
            for (index, last) in &early {
                self.parts[*index].progress.reopen(ends[*index].min(last + 1));
            }
            if !self.parts.iter().all(Part::is_done) {
                return true;
            }
        }
        false
    }

    /// Partitions whose ledger lists records at or behind the end to which they were read, with the last of these.
    fn end_too_early(&self) -> Vec<(usize, i64)> {
        let behind = |(index, part): (usize, &Part)| {
            let progress = &part.progress;
            let ledger = self.ledger_at_end(progress.partition);
            Some((index, progress.missing(ledger, progress.end())?.last))
        };
        self.parts.iter().enumerate().filter_map(behind).collect()
    }

    /// Says what the group waits for: its coordinator until it has taken a member in, and then the logs.
    fn look_at_group(&mut self, done: bool) {
        if self.halt.is_some() || done {
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
        let parts = &self.parts;
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
        if self.halt.is_none() {
            let seen = crew.observer.who_is_in(name, &crew.observer.describe_group(name));
            self.halt = Some(Halt::Failed(group_refusal::explain(name, error, &seen, FLAGS)));
            // Nobody needs to be patient with a group that does not want them.
            crew.lifecycle().request_stop();
        }
    }

    /// Compaction takes records, and never the end of a log: whatever was acked lies below that.
    fn audit_ends(&mut self) -> Result<(), Halt> {
        let isolation = checker::isolation(self.crew.config.proof);
        if isolation == Isolation::ReadCommitted {
            // What can be read ends where somebody else's transaction is open.
            return Ok(());
        }
        let mut lost = Vec::new();
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::sleep(LOOK_PAUSE);
            }
            let Some(ends) = self.crew.offsets(OffsetSpec::End, isolation) else { return Ok(()) };
            let highest = |index: usize| self.ledger_at_end(self.parts[index].progress.partition)?.highest();
            let is_cut = |(index, end): &(usize, i64)| highest(*index).is_some_and(|highest| highest >= *end);
            lost = ends.into_iter().enumerate().filter(is_cut).collect();
            if lost.is_empty() || mutants::is_off("lost-end") {
                return Ok(());
            }
        }
        for (index, end) in lost {
            self.tell_lost_end(index, end)?;
        }
        Ok(())
    }

    /// Says how much of what the group was shown the ledger vouches for, and what it was not shown because it had
    /// `committed` these places before.
    fn note_coverage(&self, committed: &[i64]) {
        let (mut coverage, mut beyond) = (CoverageTotals::default(), Vec::new());
        for (index, Part { progress, .. }) in self.parts.iter().enumerate() {
            let from = committed.get(index).map_or(progress.start, |place| progress.start.max(*place));
            let (own, rest) = self.checker.coverage(progress, from);
            coverage += own;
            beyond.push((progress.partition, rest));
            if let Some(ledger) = self.checker.ledger(progress.partition) {
                let below = ledger.count_below(from).saturating_sub(ledger.count_below(progress.start));
                coverage.committed_before += below;
            }
        }
        self.checker.stats().coverage.set(coverage, beyond);
    }

    /// Nothing that was acked may be missing in what the group was shown; only a new group was shown everything.
    fn audit(&mut self) -> Result<(), Halt> {
        if self.config.name.is_some() {
            return Ok(());
        }
        let isolation = checker::isolation(self.crew.config.proof);
        let Some(starts) = self.crew.offsets(OffsetSpec::Start, isolation) else { return Ok(()) };
        for (part, start) in self.parts.iter().zip(&starts).filter(|(part, _)| !part.is_cut) {
            // Of keys whose last record was cut off, nobody knows what they hold.
            self.checker.check_keys(&part.progress, *start, &part.keys)?;
        }
        if self.checker.records_may_go() {
            return self.audit_ends();
        }
        if mutants::is_off("lost-write-group") {
            return Ok(());
        }
        for (index, start) in starts.into_iter().enumerate() {
            let progress = &mut self.parts[index].progress;
            progress.settle();
            self.checker.tell_lost(index, progress, start.max(progress.start))?;
            // Of what was acked since then only the end is certain: what a member's client has left out of the rest, it was
            // not told to read again while nobody knew of it.
            let end = progress.end().max(start);
            if self.last_ledger.is_some() {
                self.tell_lost_end(index, end)?;
            }
        }
        Ok(())
    }
}
