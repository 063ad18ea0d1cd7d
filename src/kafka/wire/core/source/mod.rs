//! Reading partitions: positions → fetches → batches → records.
//!
//! One machine for all partitions that a reader has. It says which Fetch is to go to which broker, takes the
//! answers, and shows what is in them, batch by batch. When an answer comes it only walks over the batches' headers, so that
//! the next Fetch is out before the records are looked at. For each broker one answer is shown at a time, and so many more
//! are under way or wait as requests may be under way: that bounds the memory, and a reader that is slower than its brokers
//! fetches less. Of several requests each is about other partitions, and about one at least that has more to be read: a
//! broker answers one after the other, and lets those wait to which it has nothing to say.
//!
//! **Here and there.** A source can also read with seats: whoever wants one record here and another there has one, and looks
//! at one partition at a time, which others may look at, too, at other places. A request names a partition once, so that each
//! seat has requests of its own; so many of them are under way at a time, on one connection.
//!
//! **Whose log it is.** A leader that is new is asked first whether its log is the one that was read (KIP-320); then
//! fetches carry its epoch, so that nobody answers who has been deposed since. `OFFSET_OUT_OF_RANGE` to a Fetch that
//! also carried the epoch of the last record proves nothing: Kafka answers so where it does not know that epoch
//! (`UnifiedLog`, `Partition.readRecords`). Such a place is asked for again without, and what is denied then is held
//! against the log's start and end before anybody is told.
//!
//! **What cannot be read** is told with its extent: a batch's offset and length lie outside of its checksum, so that it ends
//! where the next one begins. Where the next one has not come, it is fetched to be looked at; where there is no telling
//! where it begins, offsets further behind are tried.

mod aborted;
mod answer;
mod epochs;
mod judge;
mod markers;
mod position;
mod search;
mod show;

use std::{collections::VecDeque, mem};

pub(crate) use self::answer::AnswerError;
use self::{
    answer::{Flight, Turn},
    position::{Position, Stage},
    show::{Arrived, Shower},
};
use super::{cluster::Leader, questions::Questions};
use crate::{
    kafka::{
        FalseAbort,
        wire::protocol::{FetchPartition, LeaderHint},
    },
    mutants::enforced,
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
    record::ProducedBatch,
};

/// How fetches are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceSettings {
    /// How long a broker waits for `min_bytes`, ms; never 0.
    pub max_wait_ms: i32,
    /// How much has to be there before it answers, in bytes.
    pub min_bytes: i32,
    /// How much may come in one answer of each broker, in all of them together, in bytes; one batch that is larger comes
    /// whole.
    pub max_bytes: i32,
    /// How much of it may be one partition's, in bytes.
    pub partition_max_bytes: i32,
    /// Requests that may be under way to a broker, each about other partitions, or from another seat.
    pub requests_at_once: usize,
    /// More of a partition is asked for before what has come of it is shown. Whoever reads here and there does not.
    pub reads_ahead: bool,
    /// Only what is committed is shown.
    pub read_committed: bool,
    /// So many records are shown at once, of a batch that has more: whoever keeps to a rate pays for each step.
    pub step_records: usize,
    /// A batch that unpacks to more bytes than this cannot be read.
    pub unpacked_most_bytes: usize,
    /// How long a partition rests after an error, µs.
    pub back_off_us: u64,
    /// How long leaders have to answer a question about a place, µs.
    pub question_us: u64,
}

impl SourceSettings {
    /// How much may come in one answer where there are so many brokers, in bytes.
    fn room_for(&self, brokers: usize) -> i32 {
        /// Small answers cost more than their memory is worth.
        const LEAST_BYTES: i32 = 1 << 19;
        let share = self.max_bytes / i32::try_from(brokers.max(1)).unwrap_or(i32::MAX);
        share.max(LEAST_BYTES.min(self.max_bytes))
    }
}

/// Something that is told about a partition beside its records, in its place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceEvent<'a> {
    /// Everything below has been shown, or holds nothing to be shown.
    Progress {
        /// Where reading goes on.
        next_offset: i64,
    },
    /// The broker has nothing at or above this now. Told once for each end.
    AtEnd {
        /// The end, and the position.
        end: i64,
    },
    /// These offsets cannot be read.
    Unreadable {
        /// The first of them.
        from: i64,
        /// Behind the last of them, where reading goes on by itself. `None`: nobody knows yet; it is found out, and this is
        /// told again.
        to: Option<i64>,
        /// What is wrong.
        cause: &'a str,
    },
    /// The place is not in the log, which has been asked. It idles.
    OutOfRange,
    /// The leader's log is not the one that was read. It idles.
    Truncated {
        /// The position.
        from: i64,
        /// The epoch of the record before.
        epoch: i32,
        /// What was read from here on is not in the log any more.
        to: i64,
    },
    /// The broker's list of aborted transactions contradicts a marker in the log.
    FalseAbort {
        /// In which way.
        kind: FalseAbort,
        /// The first record that was shown, or not, for the list's sake.
        first: i64,
        /// Where the marker lies.
        marker: i64,
    },
    /// The leader said before that the log starts further behind. Reading goes on.
    StartBack {
        /// Where it started.
        from: i64,
        /// Where it starts now.
        to: i64,
    },
    /// A broker answered with an error; the partition rests for a while, and is asked for again.
    Error(i16),
}

/// A record that was read. Its bytes lie in the answer, or in what was unpacked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// Epoch of the leader that wrote it; negative where the broker does not say.
    pub leader_epoch: i32,
    /// When it was sent, ms since 1970; `None` where the topic keeps the broker's time, or none.
    pub sent_ms: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, from their number on, as they lie there; they have not been looked at.
    pub headers: &'a [u8],
    /// Its batch as its producer has numbered it, if that has an id.
    pub batch: Option<&'a ProducedBatch>,
}

/// Who is shown what was read.
pub(crate) trait Visitor {
    /// The next record of a partition.
    fn record(&mut self, slot: PartitionSlot, record: &ReadRecord<'_>);
    /// Something else about it.
    fn event(&mut self, slot: PartitionSlot, event: SourceEvent<'_>);
}

/// What is to be asked of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fetch<'a> {
    /// Partitions, in the order in which they are to be served.
    pub partitions: &'a [FetchPartition],
    /// How much may come in all, in bytes.
    pub max_bytes: i32,
}

/// A request's turn with a broker: of all partitions that it leads, or of one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TurnKey {
    /// The broker.
    pub broker: i32,
    /// The seat, where there are any.
    pub seat: Option<usize>,
}

/// Reads a table's partitions.
#[derive(Debug)]
pub(crate) struct Source {
    settings: SourceSettings,
    /// By slot, or by seat.
    positions: Vec<Position>,
    has_seats: bool,
    turns: Vec<Turn>,
    /// The turn that is first looked at: the one behind that which was last.
    first_turn: usize,
    /// What has come and is not shown, in the order in which it came.
    arrived: VecDeque<Arrived>,
    /// Those that were shown, with their buffers.
    spare: Vec<Arrived>,
    shower: Shower,
    /// Requests that were answered, used again and again.
    flights: Vec<Flight>,
    /// The request that was made last.
    request: Vec<FetchPartition>,
    hints: Vec<(PartitionSlot, LeaderHint)>,
    /// Some partition waits for its leader's word, or for its leader to be asked.
    is_unsettled: bool,
    is_stale: bool,
    /// Leaders refuse to say whether their logs are the ones that were read, with this error.
    unchecked: Option<i16>,
}

impl Source {
    /// Reads nothing yet.
    #[must_use]
    pub(crate) fn new(settings: SourceSettings, table: &PartitionTable) -> Self {
        let positions = table.slots().map(|slot| Position::new(slot, table.place(slot))).collect();
        Self::of(settings, positions)
    }

    /// Reads nothing yet, with so many seats: [`Self::read_at`] and [`Self::show_at`] in place of the like for slots.
    #[must_use]
    pub(crate) fn with_seats(settings: SourceSettings, seats: usize) -> Self {
        // Whole batches, or one that is half shown would have to wait for others.
        let settings = SourceSettings { reads_ahead: false, step_records: usize::MAX, ..settings };
        let nowhere = |_| Position::new(PartitionSlot::default(), TopicPartition { topic: 0, partition: 0 });
        Self { has_seats: true, ..Self::of(settings, (0..seats).map(nowhere).collect()) }
    }

    fn of(settings: SourceSettings, positions: Vec<Position>) -> Self {
        Self {
            settings,
            positions,
            has_seats: false,
            turns: Vec::new(),
            first_turn: 0,
            arrived: VecDeque::new(),
            spare: Vec::new(),
            shower: Shower::new(&settings),
            flights: Vec::new(),
            request: Vec::new(),
            hints: Vec::new(),
            is_unsettled: false,
            is_stale: false,
            unchecked: None,
        }
    }

    /// How fetches are made.
    #[must_use]
    pub(crate) fn settings(&self) -> &SourceSettings {
        &self.settings
    }

    /// Reads a partition from this offset on. Where the epoch of the record before is known, the leader is asked first
    /// whether it has that record. What has come for an earlier place does not show any more.
    pub(crate) fn read_from(&mut self, slot: PartitionSlot, offset: i64, epoch_before: Option<i32>) {
        if let Some(position) = self.positions.get_mut(slot.index()) {
            position.jump(offset, epoch_before);
            self.is_unsettled = true;
        }
    }

    /// Has a seat look at a partition, whose place in the table this is, from an offset on.
    pub(crate) fn read_at(&mut self, seat: usize, slot: PartitionSlot, place: TopicPartition, offset: i64) {
        self.stop_at(seat);
        if let Some(position) = self.positions.get_mut(seat) {
            position.turn_to(slot, place);
            position.jump(offset, None);
            self.is_unsettled = true;
        }
    }

    /// A seat looks at nothing any more. What has come for it is dropped.
    pub(crate) fn stop_at(&mut self, seat: usize) {
        if let Some(position) = self.positions.get_mut(seat) {
            position.stop();
            while let Some(place) = self.arrived_at(seat).filter(|_| enforced("wire-overtaken")) {
                self.retire(place);
            }
        }
    }

    /// Stops reading a partition.
    pub(crate) fn stop(&mut self, slot: PartitionSlot) {
        if let Some(position) = self.positions.get_mut(slot.index()) {
            position.stop();
        }
    }

    /// Tells who leads the partitions by now. To be called when that may have changed, and after [`Self::read_from`].
    pub(crate) fn lead(&mut self, leader: impl Fn(PartitionSlot) -> Option<Leader>) {
        let has_seats = self.has_seats;
        for (index, position) in self.positions.iter_mut().enumerate() {
            let key = |broker| TurnKey { broker, seat: has_seats.then_some(index) };
            let (before, now) = (position.leader, leader(position.slot));
            if !position.lead_by(now) {
                continue;
            }
            self.is_unsettled = true;
            let (before, now) =
                (before.map(|leader| key(leader.broker)), now.map(|leader| key(leader.broker)));
            if before == now {
                continue;
            }
            if let Some(turn) = self.turns.iter_mut().find(|turn| Some(turn.key) == before) {
                turn.order.retain(|place| *place != index);
            }
            if let Some(key) = now {
                answer::turn(&mut self.turns, key).order.push(index);
            }
        }
    }

    /// What is being read and has no leader: its place among all positions, and its partition.
    pub(crate) fn without_leader(&self) -> impl Iterator<Item = (usize, PartitionSlot)> {
        let is_without = |position: &Position| position.leader.is_none() && position.stage != Stage::Idle;
        let all = self.positions.iter().enumerate();
        all.filter(move |(_, position)| is_without(position)).map(|(index, position)| (index, position.slot))
    }

    /// Asks the questions that are open, and draws the consequences of those that were answered. To be called after
    /// whatever may have changed something, and cheap where nothing has.
    pub(crate) fn settle(&mut self, questions: &mut Questions, now_us: u64) {
        if self.is_unsettled {
            self.is_unsettled = false;
            for index in 0..self.positions.len() {
                self.settle_one(index, questions, now_us);
            }
        }
    }

    /// Whose turn it is for a Fetch that can go out now; who had the last turn comes last.
    pub(crate) fn due(&self, now_us: u64) -> impl Iterator<Item = TurnKey> {
        let requests_at_once = self.requests_at_once();
        let is_due = move |turn: &&Turn| turn.share(&self.positions, requests_at_once, now_us).is_some();
        let (last, first) = self.turns.split_at(self.first_turn.min(self.turns.len()));
        first.iter().chain(last).filter(is_due).map(|turn| turn.key)
    }

    /// When there is next something to do without anything having come: a pause is over. `u64::MAX`: nothing.
    #[must_use]
    pub(crate) fn next_deadline_us(&self, now_us: u64) -> u64 {
        let reading = self.positions.iter().filter(|position| position.stage == Stage::Reading);
        let pauses = reading.map(|position| position.not_before_us).filter(|pause| *pause > now_us);
        pauses.min().unwrap_or(u64::MAX)
    }

    /// Whether something has come that was not shown.
    #[must_use]
    pub(crate) fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Seats for which something has come that was not shown; one may be named more than once.
    pub(crate) fn seats_with_news(&self) -> impl Iterator<Item = usize> {
        self.arrived.iter().filter_map(Arrived::seat)
    }

    /// Where in the line the first thing is that has come for a seat.
    fn arrived_at(&self, seat: usize) -> Option<usize> {
        self.arrived.iter().position(|arrived| arrived.seat() == Some(seat))
    }

    /// Nobody is known to lead what is read at this place among all positions, for this reason: it is told like an answer of
    /// a broker.
    pub(crate) fn deny_leader(&mut self, index: usize, error: i16) {
        self.tell_error(index, error);
    }

    /// Whether the cluster has to be looked at anew: true once.
    pub(crate) fn take_stale(&mut self) -> bool {
        mem::take(&mut self.is_stale)
    }

    /// Who leads partitions, in the words of brokers that lead them no more (KIP-951).
    pub(crate) fn hints(&mut self) -> impl Iterator<Item = (PartitionSlot, LeaderHint)> {
        self.hints.drain(..)
    }

    /// The error with which leaders refuse to say whether their logs are the ones that were read: once.
    pub(crate) fn take_unchecked(&mut self) -> Option<i16> {
        self.unchecked.take()
    }
}

#[cfg(test)]
pub(super) mod tests;
