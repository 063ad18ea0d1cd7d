//! Questions to leaders: where logs start and end, and where the records of a leader epoch do.
//!
//! Each partition of a question gets its own answer or error, at its deadline at the latest. An answer that only says
//! that somebody else leads by now is none: the new leader is asked. Pure: it says which request is to be sent to which
//! broker, and is told what came of it.

use std::{mem, sync::Arc};

use super::{
    cluster::Leader,
    code::{self, Kind},
};
use crate::{
    kafka::{
        DOUBT_S,
        wire::protocol::{
            DecodeError, Decoder, EpochQuestion, LeaderEpochResponse, ListOffsetsResponse, OffsetQuestion,
            Timestamp,
        },
    },
    partitions::{PartitionSlot, PartitionTable},
};

/// How long a partition rests after an answer that was none, µs; doubled each time.
const BACK_OFF_US: u64 = 100_000;
/// So often is that doubled: a leader that is new may take seconds, and has other things to do.
const MOST_DOUBLINGS: u32 = 3;
/// Who rests no longer than this goes with the request of one that does not, µs: many requests cost a broker more than one.
const EARLY_US: u64 = BACK_OFF_US / 2;

/// Who asks where a log ends so soon after the last answer does not believe it, µs.
const DOUBT_US: u64 = DOUBT_S * 1_000_000;

/// How long answers are kept behind their deadline, µs: whoever asked may have lost interest.
const KEPT_US: u64 = 60_000_000;

/// One question, about any number of partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct QuestionId(u64);

/// What is asked of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The first offset that can be read.
    Start,
    /// The offset that the next record will get.
    End {
        /// The offset of the first record of which it is not known whether it is committed, where that is lower.
        read_committed: bool,
    },
    /// Where the records of a leader epoch end (KIP-320).
    EpochEnd {
        /// The epoch.
        epoch: i32,
    },
}

impl What {
    /// Whether one request can ask both, of different partitions.
    fn goes_with(self, other: Self) -> bool {
        let are_epochs = matches!((self, other), (Self::EpochEnd { .. }, Self::EpochEnd { .. }));
        are_epochs || self == other
    }
}

/// A partition of a request.
#[derive(Clone, Copy, Debug)]
struct Asked {
    partition: i32,
    leader_epoch: i32,
    what: What,
}

/// What a leader answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The offset; -1 where the leader does not know the epoch that was asked for.
    pub offset: i64,
    /// Of a start or an end: the epoch there, or the leader's. Of an epoch's end: the largest epoch that the leader's log
    /// has and that is not above the one that was asked for. -1 where it does not say.
    pub epoch: i32,
    /// The leader's own epoch, by which it was asked; -1 is unknown.
    pub leader_epoch: i32,
}

/// What became of a partition's question.
pub(crate) type Answer = Result<Found, NoAnswer>;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// A broker said so.
    Error(i16),
    /// The deadline has passed, and nobody said anything.
    TimedOut,
}

/// A request that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QuestionRequest {
    /// By this its answer is known.
    pub number: u64,
    /// Place of the topic whose partitions it is about.
    pub topic: usize,
    /// What is asked.
    pub body: QuestionBody,
}

/// What a request has in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QuestionBody {
    /// For a `ListOffsetsRequest`.
    Offsets {
        /// Its partitions.
        partitions: Vec<OffsetQuestion>,
        /// Which end.
        timestamp: Timestamp,
        /// Only what is committed counts.
        read_committed: bool,
    },
    /// For a `LeaderEpochRequest`.
    EpochEnds(Vec<EpochQuestion>),
}

/// A partition of a question.
#[derive(Clone, Copy, Debug)]
struct Open {
    id: QuestionId,
    slot: PartitionSlot,
    what: What,
    deadline_us: u64,
    /// It rests until then.
    not_before_us: u64,
    /// It rests until another broker has said who leads.
    is_doubted: bool,
    /// How often in a row there was no answer.
    attempts: u32,
    /// The request that has it, and the leader's epoch that went with it.
    sent: Option<(u64, i32)>,
    /// What a broker said last, if that was no answer.
    last_error: Option<i16>,
    answer: Option<Answer>,
}

impl Open {
    fn waits(&self, now_us: u64) -> bool {
        self.answer.is_none() && self.sent.is_none() && !self.is_doubted && self.not_before_us <= now_us
    }

    /// The answer was none: it is asked again after a while, unless that would be of no use.
    fn refused(&mut self, error: i16, now_us: u64) {
        self.sent = None;
        if code::kind(error) == Kind::Refused {
            self.answer = Some(Err(NoAnswer::Error(error)));
        } else {
            self.last_error = Some(error);
            self.rest(now_us);
        }
    }

    fn rest(&mut self, now_us: u64) {
        self.sent = None;
        self.not_before_us = now_us + (BACK_OFF_US << self.attempts.min(MOST_DOUBLINGS));
        self.attempts += 1;
    }
}

/// All questions that are open. Not on the data path: there are few, and it may allocate.
#[derive(Debug)]
pub(crate) struct Questions {
    table: Arc<PartitionTable>,
    open: Vec<Open>,
    last_id: u64,
    last_request: u64,
    is_stale: bool,
    /// By slot: when its leader said last where the log ends, µs. Empty where nobody doubts that.
    ended_us: Option<Vec<u64>>,
    wants_opinion: bool,
}

impl Questions {
    /// None is open about these partitions.
    #[must_use]
    pub(crate) fn new(table: Arc<PartitionTable>) -> Self {
        let (open, wants_opinion) = (Vec::new(), false);
        Self { table, open, last_id: 0, last_request: 0, is_stale: false, ended_us: None, wants_opinion }
    }

    /// The same. Where the end of a log is asked for again soon, that waits for another broker's word on who leads: see
    /// [`Self::take_doubt`].
    #[must_use]
    pub(crate) fn with_doubts(table: Arc<PartitionTable>) -> Self {
        let ended_us = Some(vec![0; table.slots().count()]);
        Self { ended_us, ..Self::new(table) }
    }

    /// Asks about these partitions. Each has its answer, or its error, at the deadline at the latest.
    pub(crate) fn ask(
        &mut self,
        slots: &[PartitionSlot],
        what: What,
        deadline_us: u64,
        now_us: u64,
    ) -> QuestionId {
        self.last_id += 1;
        let id = QuestionId(self.last_id);
        let is_doubted =
            matches!(what, What::End { .. }) && slots.iter().any(|slot| self.doubts(*slot, now_us));
        self.wants_opinion |= is_doubted;
        let open = |&slot: &PartitionSlot| Open {
            id,
            slot,
            what,
            deadline_us,
            not_before_us: 0,
            is_doubted,
            attempts: 0,
            sent: None,
            last_error: None,
            answer: None,
        };
        self.open.extend(slots.iter().map(open));
        id
    }

    fn doubts(&self, slot: PartitionSlot, now_us: u64) -> bool {
        let ended_us = self.ended_us.as_ref().and_then(|ended| ended.get(slot.index()));
        ended_us.is_some_and(|ended_us| *ended_us > 0 && now_us < ended_us + DOUBT_US)
    }

    /// Whether another broker is to be asked who leads, before questions that wait for that are sent: true once.
    pub(crate) fn take_doubt(&mut self) -> bool {
        mem::take(&mut self.wants_opinion)
    }

    /// Another broker has said who leads, or does not say it.
    pub(crate) fn heard_opinion(&mut self) {
        self.open.iter_mut().for_each(|open| open.is_doubted = false);
    }

    /// The answers, once each partition has one, and only once: in the order of the question. None of a question that is
    /// not known any more.
    pub(crate) fn answers(&mut self, id: QuestionId) -> Option<Vec<(PartitionSlot, Answer)>> {
        let answers: Option<Vec<(PartitionSlot, Answer)>> =
            self.of(id).map(|open| open.answer.map(|answer| (open.slot, answer))).collect();
        if answers.is_some() {
            self.forget(id);
        }
        answers
    }

    /// Whether [`Self::answers`] has them.
    #[must_use]
    pub(crate) fn is_answered(&self, id: QuestionId) -> bool {
        self.of(id).all(|open| open.answer.is_some())
    }

    /// Whether some question has answers that nobody has taken.
    #[must_use]
    pub(crate) fn has_answers(&self) -> bool {
        self.open.iter().any(|open| open.answer.is_some() && self.is_answered(open.id))
    }

    fn of(&self, id: QuestionId) -> impl Iterator<Item = &Open> {
        self.open.iter().filter(move |open| open.id == id)
    }

    /// Nobody wants the answer any more.
    pub(crate) fn forget(&mut self, id: QuestionId) {
        self.open.retain(|open| open.id != id);
    }

    /// Brokers that are to be asked something now. `leader` says who leads a partition, or with which error nobody is known
    /// to: such a question waits.
    pub(crate) fn wanted(
        &mut self,
        now_us: u64,
        leader: impl Fn(PartitionSlot) -> Result<Leader, i16>,
    ) -> Vec<i32> {
        let mut brokers = Vec::new();
        for open in self.open.iter_mut().filter(|open| open.waits(now_us)) {
            match leader(open.slot) {
                Ok(leader) if brokers.contains(&leader.broker) => {}
                Ok(leader) => brokers.push(leader.broker),
                Err(error) => {
                    open.refused(error, now_us);
                    // It needs no pause: whoever leads by then is asked as soon as that is known.
                    (open.not_before_us, open.attempts) = (0, 0);
                    self.is_stale = true;
                }
            }
        }
        brokers
    }

    /// The next request for a broker: of one kind, about all partitions of a topic for which that goes.
    pub(crate) fn next_request(
        &mut self,
        broker: i32,
        now_us: u64,
        leader: impl Fn(PartitionSlot) -> Result<Leader, i16>,
    ) -> Option<QuestionRequest> {
        let Self { table, open: all, last_request, .. } = self;
        let led_by = |slot| leader(slot).ok().filter(|leader| leader.broker == broker);
        let mut waiting = all.iter().filter(|open| open.waits(now_us));
        let first = waiting.find(|open| led_by(open.slot).is_some())?;
        let (what, topic) = (first.what, table.place(first.slot).topic);
        *last_request += 1;
        let (number, mut asked) = (*last_request, Vec::<Asked>::new());
        for open in all.iter_mut().filter(|open| open.waits(now_us + EARLY_US) && what.goes_with(open.what)) {
            let place = table.place(open.slot);
            let Some(leader) = led_by(open.slot).filter(|_| place.topic == topic) else { continue };
            // A request names a partition once; whoever asks the same gets the same answer.
            match asked.iter().find(|asked| asked.partition == place.partition) {
                Some(asked) if asked.what != open.what => continue,
                Some(_) => {}
                None => asked.push(Asked {
                    partition: place.partition,
                    leader_epoch: leader.epoch,
                    what: open.what,
                }),
            }
            open.sent = Some((number, leader.epoch));
        }
        Some(QuestionRequest { number, topic, body: body(what, &asked) })
    }

    /// An answer has come. A partition that it does not name is asked about again. Returns how long the broker asks us to
    /// wait, ms.
    ///
    /// # Errors
    /// It is no such message; the connection is of no use any more. [`Self::failed`] has been done.
    pub(crate) fn answered(
        &mut self,
        number: u64,
        version: i16,
        decoder: Decoder<'_>,
        now_us: u64,
    ) -> Result<i32, DecodeError> {
        let is_sent = |open: &&Open| open.sent.is_some_and(|(sent, _)| sent == number);
        let outcome = match self.open.iter().find(is_sent).map(|open| open.what) {
            // Nobody waits for it any more.
            None => Ok(0),
            Some(What::EpochEnd { .. }) => LeaderEpochResponse::decode(version, decoder).map(|response| {
                for end in response.partitions {
                    self.take(number, end.partition, end.error, (end.end_offset, end.epoch), now_us);
                }
                response.throttle_time_ms
            }),
            Some(What::Start | What::End { .. }) => {
                ListOffsetsResponse::decode(version, decoder).map(|response| {
                    for listed in response.partitions {
                        let place = (listed.offset, listed.leader_epoch);
                        self.take(number, listed.partition, listed.error, place, now_us);
                    }
                    response.throttle_time_ms
                })
            }
        };
        self.failed(number, now_us);
        outcome
    }

    fn take(&mut self, number: u64, partition: i32, error: i16, (offset, epoch): (i64, i32), now_us: u64) {
        let Self { table, open: all, is_stale, ended_us, .. } = self;
        // A request is about one topic, so that the partition's number is enough.
        for open in all.iter_mut().filter(|open| table.partition(open.slot) == partition) {
            let Some((_, leader_epoch)) = open.sent.filter(|(sent, _)| *sent == number) else { continue };
            // Only an epoch's end may be unknown.
            let is_epoch = matches!(open.what, What::EpochEnd { .. });
            match error {
                code::NONE if offset >= 0 || is_epoch => {
                    if let (What::End { .. }, Some(ended_us)) = (open.what, ended_us.as_mut()) {
                        ended_us[open.slot.index()] = now_us;
                    }
                    open.sent = None;
                    open.answer = Some(Ok(Found { offset, epoch, leader_epoch }));
                }
                code::NONE => open.refused(code::OFFSET_NOT_AVAILABLE, now_us),
                error => {
                    *is_stale |= matches!(code::kind(error), Kind::Leadership | Kind::Gone);
                    open.refused(error, now_us);
                }
            }
        }
    }

    /// What is still open of a request will have no answer: the connection was closed, or it was too late.
    pub(crate) fn failed(&mut self, number: u64, now_us: u64) {
        for open in self.open.iter_mut().filter(|open| open.sent.is_some_and(|(sent, _)| sent == number)) {
            open.rest(now_us);
            self.is_stale = true;
        }
    }

    /// The broker does not speak such a request, or refuses it with this error.
    pub(crate) fn refused(&mut self, number: u64, error: i16, now_us: u64) {
        for open in self.open.iter_mut().filter(|open| open.sent.is_some_and(|(sent, _)| sent == number)) {
            open.refused(error, now_us);
        }
    }

    /// What is past its deadline is answered with an error. An answer that comes later is nobody's, and one that nobody
    /// has taken for long is nobody's any more.
    pub(crate) fn expire(&mut self, now_us: u64) {
        self.open.retain(|open| open.answer.is_none() || open.deadline_us + KEPT_US > now_us);
        for open in self.open.iter_mut().filter(|open| open.answer.is_none() && open.deadline_us <= now_us) {
            open.sent = None;
            open.answer = Some(Err(open.last_error.map_or(NoAnswer::TimedOut, NoAnswer::Error)));
        }
    }

    /// When there is next something to do without anything having come, µs: a pause is over, or a deadline. `u64::MAX`:
    /// nothing.
    #[must_use]
    pub(crate) fn next_deadline_us(&self, now_us: u64) -> u64 {
        let open = self.open.iter().filter(|open| open.answer.is_none());
        let due = open.map(|open| {
            let rests = open.sent.is_none() && open.not_before_us > now_us;
            if rests { open.not_before_us.min(open.deadline_us) } else { open.deadline_us }
        });
        due.min().unwrap_or(u64::MAX)
    }

    /// Whether the cluster has to be looked at anew: true once.
    pub(crate) fn take_stale(&mut self) -> bool {
        mem::take(&mut self.is_stale)
    }
}

fn body(what: What, asked: &[Asked]) -> QuestionBody {
    let (timestamp, read_committed) = match what {
        What::EpochEnd { .. } => return QuestionBody::EpochEnds(asked.iter().filter_map(epoch).collect()),
        What::Start => (Timestamp::Earliest, false),
        What::End { read_committed } => (Timestamp::Latest, read_committed),
    };
    let question =
        |&Asked { partition, leader_epoch, .. }: &Asked| OffsetQuestion { partition, leader_epoch };
    QuestionBody::Offsets { partitions: asked.iter().map(question).collect(), timestamp, read_committed }
}

fn epoch(asked: &Asked) -> Option<EpochQuestion> {
    let What::EpochEnd { epoch } = asked.what else { return None };
    Some(EpochQuestion { partition: asked.partition, current_epoch: asked.leader_epoch, epoch })
}

#[cfg(test)]
#[path = "questions_tests.rs"]
mod tests;
