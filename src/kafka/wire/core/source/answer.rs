//! Fetches: what is asked of each broker, and what the answers say before anything in them is shown.

use std::{collections::VecDeque, mem};

use thiserror::Error;

use super::{
    Fetch, Source, SourceSettings, TurnKey,
    position::{Position, Stage},
    search::{Search, Tried},
    show::{Arrived, Content, Section},
};
use crate::{
    kafka::wire::{
        batch::Batches,
        core::{
            code::{self, Kind},
            questions::Found,
        },
        protocol::{
            Api, DecodeError, FetchPartition, FetchResponse, FetchedPartition, LeaderHint, ResponseHeader,
            TopicRef,
        },
    },
    mutants::enforced,
    partitions::{PartitionSlot, TopicPartition},
};

/// What the broker itself says of a batch.
const FOUND_BY_BROKER: &str = "a batch that the broker itself calls damaged";
/// A batch that does not come whole although it is the only one that was asked for.
const CUT_OFF: &str = "a batch that is longer than what the broker has of it";

/// A partition in a request that is under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    index: usize,
    /// What it looked at then: a seat may look at another one by now.
    slot: PartitionSlot,
    attempt: u32,
    offset: i64,
    /// The epoch of the leader, by which it was asked; -1 is unknown.
    leader_epoch: i32,
    /// Whether the epoch of the record before went with it.
    has_epoch: bool,
    /// Whether nothing else was asked for.
    is_alone: bool,
    is_answered: bool,
}

/// A request that is under way.
#[derive(Debug, Default)]
pub(super) struct Flight {
    asked: Vec<Asked>,
    /// There is something to be answered with: the broker does not wait for it.
    is_prompt: bool,
}

/// What is going on with one broker, or between a seat and a broker.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) key: TurnKey,
    /// The partitions that it leads, by their places; those that had something lately are behind the others.
    pub(super) order: Vec<usize>,
    /// In the order in which they went out, which is that of their answers.
    under_way: VecDeque<Flight>,
    /// Answers of its that are not wholly shown.
    pub(super) held: usize,
}

impl Turn {
    fn new(key: TurnKey) -> Self {
        Self { key, order: Vec::new(), under_way: VecDeque::new(), held: 0 }
    }

    /// Whether another request may go out, where so many may be under way: one answer is shown while others come. Behind one
    /// that the broker lets wait, any other would wait, too.
    fn is_free(&self, requests_at_once: usize) -> bool {
        self.under_way.len() < requests_at_once
            && self.under_way.len() + self.held <= requests_at_once
            && self.under_way.iter().all(|flight| flight.is_prompt)
    }

    /// How many partitions with more to be read go into the next request, if one can go out: their share, as others may go out
    /// beside it. Whatever else is ready goes with them, because they are answered at once. Without any of them no request goes
    /// behind another.
    pub(super) fn share(
        &self,
        positions: &[Position],
        requests_at_once: usize,
        now_us: u64,
    ) -> Option<usize> {
        if !self.is_free(requests_at_once) {
            return None;
        }
        let all = self.order.iter().map(|&index| &positions[index]);
        let (mut ready, mut behind) = (0, 0);
        for position in all.filter(|position| position.is_ready(now_us)) {
            ready += 1;
            behind += usize::from(position.is_behind());
        }
        let can_go = if self.under_way.is_empty() { ready > 0 } else { behind > 0 };
        can_go.then(|| behind.div_ceil(requests_at_once - self.under_way.len()))
    }

    /// Partitions that had something go behind those that had nothing: with little room in an answer, the first ones are
    /// served.
    pub(super) fn rotate(&mut self, positions: &mut [Position]) {
        // They are few, and mostly all of them have something, or none has.
        self.order.sort_by_key(|&index| positions[index].had_bytes);
        // That was this answer's: whom another one served before has waited for longer.
        self.order.iter().for_each(|&index| positions[index].had_bytes = false);
    }
}

/// A turn, which is made where there is none.
pub(super) fn turn(turns: &mut Vec<Turn>, key: TurnKey) -> &mut Turn {
    let index = turns.iter().position(|turn| turn.key == key).unwrap_or_else(|| {
        turns.push(Turn::new(key));
        turns.len() - 1
    });
    &mut turns[index]
}

/// An answer that no broker gives: the connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum AnswerError {
    /// It cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is about a partition that was not asked for, or about one twice.
    #[error("the answer has something about partition {0} that was not asked for")]
    NotAsked(i32),
}

/// Finds the slot of a partition that an answer names.
pub(crate) trait SlotOf: Fn(TopicRef<'_>, i32) -> Option<PartitionSlot> {}

impl<F: Fn(TopicRef<'_>, i32) -> Option<PartitionSlot>> SlotOf for F {}

impl Source {
    /// The next Fetch of a turn, if one can go out now. It counts as under way from here on: [`Self::fetched`] or
    /// [`Self::fetch_failed`] has to follow.
    pub(crate) fn next_fetch(&mut self, key: TurnKey, now_us: u64) -> Option<Fetch<'_>> {
        let requests_at_once = self.requests_at_once();
        let Self { settings, positions, turns, first_turn, request, flights, .. } = self;
        let brokers = turns.iter().filter(|turn| !turn.order.is_empty()).count();
        let room = settings.room_for(brokers);
        let place = turns.iter().position(|turn| turn.key == key)?;
        let turn = &mut turns[place];
        let mut share = turn.share(positions, requests_at_once, now_us)?;
        *first_turn = place + 1;
        request.clear();
        let mut flight = flights.pop().unwrap_or_default();
        flight.is_prompt = false;
        flight.asked.clear();
        let is_ready = |index: &&usize| positions[**index].is_ready(now_us);
        // Where more has to be seen, the partition goes alone: only the first that has something is sure to be served.
        let alone = turn.order.iter().filter(is_ready).find(|&&index| positions[index].wide_bytes.is_some());
        let (alone, mut max_bytes) = (alone.copied(), room);
        for &index in &turn.order {
            let position = &mut positions[index];
            if !position.is_ready(now_us) || alone.is_some_and(|alone| alone != index) {
                continue;
            }
            if position.is_behind() {
                let Some(others) = share.checked_sub(1) else { continue };
                share = others;
                flight.is_prompt = true;
            }
            let partition = ask(position, settings.partition_max_bytes.min(room));
            max_bytes = max_bytes.max(partition.max_bytes);
            flight.asked.push(Asked {
                index,
                slot: position.slot,
                attempt: position.attempt,
                offset: position.offset,
                leader_epoch: partition.leader_epoch,
                has_epoch: partition.last_fetched_epoch >= 0,
                is_alone: alone.is_some(),
                is_answered: false,
            });
            request.push(partition);
        }
        turn.under_way.push_back(flight);
        Some(Fetch { partitions: request, max_bytes })
    }

    /// How many requests of one turn may be under way. A seat has one at a time. So has who wants much in an answer, or none: a
    /// broker may let any of them wait.
    pub(super) fn requests_at_once(&self) -> usize {
        let SourceSettings { requests_at_once, min_bytes, .. } = self.settings;
        if self.has_seats || min_bytes > 1 { 1 } else { requests_at_once.max(1) }
    }

    /// There will be no answer: the connection was closed, or the request could not be sent.
    pub(crate) fn fetch_failed(&mut self, key: TurnKey, now_us: u64) {
        let Some(flight) = self.landed(key) else { return };
        self.not_answered(&flight.asked, now_us);
        self.flights.push(flight);
        (self.is_stale, self.is_unsettled) = (true, true);
    }

    /// The request of a turn that is answered next.
    fn landed(&mut self, key: TurnKey) -> Option<Flight> {
        self.turns.iter_mut().find(|turn| turn.key == key)?.under_way.pop_front()
    }

    /// Who was asked for and has no answer rests for a while.
    fn not_answered(&mut self, asked: &[Asked], now_us: u64) {
        for asked in asked.iter().filter(|asked| !asked.is_answered) {
            let position = &mut self.positions[asked.index];
            if position.attempt == asked.attempt {
                position.rest_until(now_us + self.settings.back_off_us);
            }
        }
    }

    /// A buffer for the next answer.
    pub(crate) fn spare(&mut self) -> Vec<u8> {
        self.spare.last_mut().map(|spare| mem::take(&mut spare.bytes)).unwrap_or_default()
    }

    /// The answer to a turn's Fetch has come: `bytes[from..to]`, its header included. What is in it waits to be shown.
    /// `slot` finds the partitions that it names. Returns the answer's own fields.
    ///
    /// # Errors
    /// It cannot be the answer. The connection has to be closed; what [`Self::fetch_failed`] does has been done.
    pub(crate) fn fetched(
        &mut self,
        key: TurnKey,
        version: i16,
        slot: impl SlotOf,
        (bytes, from, to): (Vec<u8>, usize, usize),
        now_us: u64,
    ) -> Result<FetchResponse, AnswerError> {
        let mut flight = self.landed(key).unwrap_or_default();
        let mut arrived = self.spare.pop().unwrap_or_default();
        arrived.begin(Some(key));
        let answer = bytes.get(from..to).unwrap_or_default();
        // Looked at as a whole first: nothing is believed of an answer that turns out to be none.
        let response = check(version, &slot, answer, &mut flight.asked).and_then(|response| {
            self.take_all((version, &slot), (&bytes, answer), &flight.asked, &mut arrived, now_us)
                .map(|_| response)
        });
        arrived.bytes = bytes;
        if let Ok(FetchResponse { error, .. }) = response
            && error != code::NONE
        {
            for asked in flight.asked.iter().filter(|asked| !asked.is_answered) {
                self.fail(*asked, error, &mut arrived, now_us);
            }
        }
        self.is_stale |= response.is_err();
        self.is_unsettled = true;
        self.not_answered(&flight.asked, now_us);
        self.flights.push(flight);
        self.keep(arrived);
        response
    }

    /// Takes what is there of each partition.
    fn take_all(
        &mut self,
        (version, slot): (i16, &impl SlotOf),
        (bytes, answer): (&[u8], &[u8]),
        asked: &[Asked],
        arrived: &mut Arrived,
        now_us: u64,
    ) -> Result<FetchResponse, AnswerError> {
        let (_, body) = ResponseHeader::decode(Api::Fetch, version, answer)?;
        let (mut cursor, mut is_front) = (0, true);
        let response = FetchResponse::decode(version, body, |fetched| {
            let slot = slot(fetched.topic, fetched.partition);
            let Some(asked) = find(asked, &mut cursor, slot).map(|place| asked[place]) else { return };
            if self.positions[asked.index].attempt == asked.attempt || !enforced("wire-earlier-attempt") {
                self.take((asked, is_front), &fetched, (bytes, arrived), now_us);
            }
            // Of the first partition that has something, the first batch is there as a whole (KIP-74).
            is_front &= fetched.batches.is_empty();
        });
        Ok(response?)
    }

    /// Takes what is there of one partition, which still waits for it.
    fn take(
        &mut self,
        (asked, is_front): (Asked, bool),
        fetched: &FetchedPartition<'_>,
        (bytes, arrived): (&[u8], &mut Arrived),
        now_us: u64,
    ) {
        let position = &mut self.positions[asked.index];
        position.had_bytes = false;
        if fetched.leader != LeaderHint::NONE {
            self.hints.push((position.slot, fetched.leader));
        }
        if fetched.error != code::NONE {
            self.fail(asked, fetched.error, arrived, now_us);
            return;
        }
        position.stage = Stage::Reading;
        let diverging = fetched.diverging.filter(|_| asked.has_epoch && enforced("wire-diverging"));
        if let Some(diverging) = diverging {
            let found =
                Found { offset: diverging.end_offset, epoch: diverging.epoch, leader_epoch: NOBODY_S };
            match position.epochs.parts_at(found, position.offset) {
                Some(to) => tell(position, asked.index, Content::Truncated { to }, arrived),
                // It says that the logs differ, and not where: it is asked.
                None => self.deny(asked),
            }
            return;
        }
        position.denials = 0;
        let to = fetched.log_start_offset;
        if let Some(from) = position.start_before(asked.leader_epoch, to) {
            arrived.tell(asked.index, position.generation, Content::StartBack { from, to });
        }
        // It was asked by this epoch: what it has shown since is its own log.
        position.confirmed = Some(asked.leader_epoch);
        let end =
            if self.settings.read_committed { fetched.last_stable_offset } else { fetched.high_watermark };
        position.known_end = end;
        if let Some(mut search) = position.search {
            search.found(asked.offset, tried(fetched.batches, asked.offset, end));
            go_on(position, asked.index, search, arrived);
            return;
        }
        walk(position, (asked, is_front), (fetched, end, self.settings.reads_ahead), (bytes, arrived));
        // A leader that is new does not know yet what is committed. It answers at once where a place is behind that, and would
        // have no time left to find out.
        let is_ahead = position.offset > end && enforced("wire-rests-ahead");
        if (position.had_bytes || is_ahead)
            && position.stage == Stage::Reading
            && position.offset == asked.offset
        {
            // Nothing that leads on: the next answer may be the same, and is not asked for in a hurry.
            position.rest_until(now_us + self.settings.back_off_us);
        }
    }

    /// A partition was answered with an error.
    fn fail(&mut self, asked: Asked, error: i16, arrived: &mut Arrived, now_us: u64) {
        let position = &mut self.positions[asked.index];
        if position.attempt != asked.attempt {
            return;
        }
        if let Some(mut search) = position.search {
            let tried = match error {
                code::CORRUPT_MESSAGE => Some(Tried::Bad),
                code::OFFSET_OUT_OF_RANGE => Some(Tried::End { end: asked.offset }),
                _ => None,
            };
            if let Some(tried) = tried {
                search.found(asked.offset, tried);
                go_on(position, asked.index, search, arrived);
                return;
            }
        }
        match error {
            code::OFFSET_OUT_OF_RANGE if asked.has_epoch && enforced("wire-denied-twice") => {
                position.leaves_epoch_out = true;
                position.stage = Stage::Reading;
            }
            code::OFFSET_OUT_OF_RANGE => self.deny(asked),
            code::CORRUPT_MESSAGE => {
                let content = Content::unreadable(position.offset, FOUND_BY_BROKER);
                tell(position, asked.index, content, arrived);
            }
            error => {
                position.rest_until(now_us + self.settings.back_off_us);
                let kind = code::kind(error);
                self.is_stale |= matches!(kind, Kind::Leadership | Kind::Gone);
                if kind != Kind::Leadership {
                    arrived.tell(asked.index, position.generation, Content::Error(error));
                }
            }
        }
    }

    /// The leader denies a place.
    fn deny(&mut self, asked: Asked) {
        self.positions[asked.index].stage = Stage::Denied;
        self.is_unsettled = true;
    }
}

/// Whether an answer can be read, and is one to what was asked, of which it notes what it answers.
fn check(
    version: i16,
    slot: &impl SlotOf,
    answer: &[u8],
    asked: &mut [Asked],
) -> Result<FetchResponse, AnswerError> {
    let (_, body) = ResponseHeader::decode(Api::Fetch, version, answer)?;
    let (mut cursor, mut wrong) = (0, None);
    let response = FetchResponse::decode(version, body, |fetched| {
        let slot = slot(fetched.topic, fetched.partition);
        match find(asked, &mut cursor, slot).map(|place| &mut asked[place]) {
            Some(asked) if !asked.is_answered || !enforced("wire-answered-once") => {
                asked.is_answered = true;
            }
            _ => wrong = Some(fetched.partition),
        }
    });
    let checked = response.map_err(AnswerError::from).and_then(|response| match wrong {
        Some(partition) => Err(AnswerError::NotAsked(partition)),
        None => Ok(response),
    });
    if checked.is_err() {
        for asked in asked.iter_mut() {
            asked.is_answered = false;
        }
    }
    checked
}

/// In place of a leader's epoch, where it is known otherwise who answered.
const NOBODY_S: i32 = -1;

/// Where a partition is in a request. Answers mostly have the request's order: it is looked for from `cursor` on.
fn find(asked: &[Asked], cursor: &mut usize, slot: Option<PartitionSlot>) -> Option<usize> {
    let slot = slot?;
    let (before, behind) = asked.split_at_checked(*cursor)?;
    let at = behind.iter().position(|asked| asked.slot == slot).map(|place| *cursor + place);
    let at = at.or_else(|| before.iter().position(|asked| asked.slot == slot))?;
    *cursor = at + 1;
    Some(at)
}

/// What is asked of a partition.
fn ask(position: &mut Position, room: i32) -> FetchPartition {
    position.stage = Stage::Fetching;
    let epoch = position.epochs.last().filter(|_| !position.leaves_epoch_out && position.search.is_none());
    let wide = position.wide_bytes.map_or(0, |bytes| i32::try_from(bytes).unwrap_or(i32::MAX));
    let TopicPartition { topic, partition } = position.place;
    FetchPartition {
        topic,
        partition,
        leader_epoch: position.leader.map_or(-1, |leader| leader.epoch),
        offset: position.offset,
        last_fetched_epoch: epoch.unwrap_or(-1),
        max_bytes: room.max(wide),
    }
}

/// Something is to be told of a partition, and nothing more is read of it before.
fn tell(position: &mut Position, index: usize, content: Content, arrived: &mut Arrived) {
    position.stage = Stage::Showing;
    arrived.tell(index, position.generation, content);
}

/// What lay at an offset that was tried.
fn tried(batches: &[u8], offset: i64, end: i64) -> Tried {
    match Batches::new(batches).next() {
        Some(Ok(batch)) if batch.fits_its_checksum() && batch.next_offset() > offset => {
            Tried::Good { base: batch.base_offset() }
        }
        None if batches.is_empty() && offset >= end => Tried::End { end: offset },
        _ => Tried::Bad,
    }
}

/// Tries the next offset, or tells how far that reaches which cannot be read.
fn go_on(position: &mut Position, index: usize, search: Search, arrived: &mut Arrived) {
    position.search(search);
    if position.search.is_none() {
        let content =
            Content::Unreadable { from: search.from, to: Some(position.offset), cause: search.cause };
        tell(position, index, content, arrived);
    }
}

/// Goes over the headers of a partition's batches: so much, and no more, has to be known for the next request.
fn walk(
    position: &mut Position,
    (asked, is_front): (Asked, bool),
    (fetched, end, reads_ahead): (&FetchedPartition<'_>, i64, bool),
    (bytes, arrived): (&[u8], &mut Arrived),
) {
    let (mut count, mut is_damaged) = (0, false);
    for batch in Batches::new(fetched.batches) {
        count += 1;
        let Ok(batch) = batch else {
            is_damaged = true;
            break;
        };
        // A batch's epoch lies outside of its checksum: one that the leader has not reached yet is none.
        if batch.leader_epoch() <= asked.leader_epoch {
            position.epochs.read(batch.leader_epoch(), batch.base_offset().max(position.offset));
        }
        position.offset = position.offset.max(batch.next_offset());
    }
    position.had_bytes = count > 0;
    if is_front && fetched.batches.is_empty() {
        // Whatever its leader says of the end: it has nothing to show before that, and lets who asks for it wait.
        position.known_end = position.offset;
    }
    if count == 0 && !fetched.batches.is_empty() {
        // There was no room for its first batch. Where there must have been, it is asked for alone.
        if asked.is_alone {
            tell(position, asked.index, Content::unreadable(position.offset, CUT_OFF), arrived);
        } else if is_front {
            position.wide_bytes = Some(0);
        }
        return;
    }
    let is_at_end = position.offset == end && position.told_end != end;
    if count == 0 && !is_at_end {
        return;
    }
    let resumes = is_at_end || !reads_ahead;
    if is_damaged || resumes {
        position.stage = Stage::Showing;
    }
    let from = fetched.batches.as_ptr().addr().saturating_sub(bytes.as_ptr().addr());
    let aborted = arrived.note_aborted(fetched.aborted());
    arrived.sections.push(Section {
        index: asked.index,
        generation: position.generation,
        at: asked.offset,
        is_first: true,
        is_wide: position.wide_bytes.take().is_some(),
        end,
        new_end: is_at_end.then_some(end),
        resumes,
        content: Content::Batches { from, to: from + fetched.batches.len(), aborted },
    });
}
