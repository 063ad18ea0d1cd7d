//! Where a partition is read, and what is being done about it.

use super::{epochs::Epochs, markers::Markers, search::Search};
use crate::{
    kafka::wire::core::{cluster::Leader, questions::QuestionId},
    mutants::enforced,
    partitions::{PartitionSlot, TopicPartition},
};

/// What is being done about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing, until it is read from somewhere.
    Idle,
    /// It is to be fetched, when its leader is known, has confirmed the place, and no pause is on.
    Reading,
    /// It is part of a request that is under way.
    Fetching,
    /// Nothing, until what has come is shown: then there is an end or an error to tell.
    Showing,
    /// Its leader is asked whether its log is the one that was read.
    Checking(QuestionId),
    /// The leader denies the place, and is to be asked what it has instead.
    Denied,
    /// It is asked that.
    Judging(Inquiry),
}

/// What is asked about a place that is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inquiry {
    /// Where the epoch of the last record ends, if one was read.
    pub(super) epoch_end: Option<QuestionId>,
    pub(super) start: QuestionId,
    pub(super) end: QuestionId,
}

/// A partition that is read, or was.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) slot: PartitionSlot,
    pub(super) place: TopicPartition,
    pub(super) stage: Stage,
    /// Raised by a jump: what has come for an earlier place is not shown.
    pub(super) generation: u32,
    /// Raised where the answer to a request that is under way is of no use any more.
    pub(super) attempt: u32,
    /// Where the next fetch begins: behind all that has come, shown or not.
    pub(super) offset: i64,
    /// Of what lies before.
    pub(super) epochs: Epochs,
    pub(super) leader: Option<Leader>,
    /// The leader's epoch by which it has confirmed that its log is the one that was read.
    pub(super) confirmed: Option<i32>,
    /// A pause until then, µs.
    pub(super) not_before_us: u64,
    /// The leader denied a place that was named with the epoch of the record before. It does so, too, where it does not
    /// know that epoch: it is asked without.
    pub(super) leaves_epoch_out: bool,
    /// How often in a row the leader has denied the place although it lies between its start and its end.
    pub(super) denials: u8,
    /// Something here cannot be read, and it is looked for how far that reaches: `offset` is the one that is tried.
    pub(super) search: Option<Search>,
    /// It is asked for alone, and so many bytes at least: what lies behind a batch that cannot be read has to be seen.
    pub(super) wide_bytes: Option<usize>,
    /// The answer that is looked at has something of it.
    pub(super) had_bytes: bool,
    /// The end by the leader's last word, or where it had nothing to show; -1 is unknown.
    pub(super) known_end: i64,
    /// The end that was told last.
    pub(super) told_end: i64,
    /// Where the log starts by the word of the leader of this epoch.
    start: Option<(i32, i64)>,
    pub(super) markers: Markers,
}

impl Position {
    pub(super) fn new(slot: PartitionSlot, place: TopicPartition) -> Self {
        Self {
            slot,
            place,
            stage: Stage::Idle,
            generation: 0,
            attempt: 0,
            offset: 0,
            epochs: Epochs::default(),
            leader: None,
            confirmed: None,
            not_before_us: 0,
            leaves_epoch_out: false,
            denials: 0,
            search: None,
            wide_bytes: None,
            had_bytes: false,
            known_end: -1,
            told_end: -1,
            start: None,
            markers: Markers::default(),
        }
    }

    /// Reads from here, where the record before is of this epoch, if that is known.
    pub(super) fn jump(&mut self, offset: i64, epoch_before: Option<i32>) {
        self.stop();
        self.stage = Stage::Reading;
        self.offset = offset;
        self.epochs = Epochs::before(offset, epoch_before);
        self.confirmed = None;
        self.not_before_us = 0;
        self.leaves_epoch_out = false;
        self.denials = 0;
        self.search = None;
        self.wide_bytes = None;
        (self.known_end, self.told_end) = (-1, -1);
    }

    /// Nothing is shown of it any more.
    pub(super) fn stop(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.attempt = self.attempt.wrapping_add(1);
        self.stage = Stage::Idle;
        self.markers.forget();
    }

    /// What has come from here on is fetched again.
    pub(super) fn go_back(&mut self, offset: i64) {
        self.stop();
        self.stage = Stage::Reading;
        self.offset = offset;
        self.epochs.go_back(offset);
    }

    /// Reading goes on here, behind something that could not be read: nobody knows of which epoch the record before is.
    pub(super) fn skip_to(&mut self, offset: i64) {
        self.stop();
        self.stage = Stage::Reading;
        self.offset = offset;
        self.epochs = Epochs::default();
        (self.search, self.wide_bytes) = (None, None);
    }

    /// Looks for the end of what cannot be read from here on.
    pub(super) fn search(&mut self, search: Search) {
        match search.next() {
            Ok(offset) => {
                self.skip_to(offset);
                // Alone: that nothing comes must not mean that there was no room for it.
                (self.search, self.wide_bytes) = (Some(search), Some(0));
            }
            Err(offset) => self.skip_to(offset),
        }
    }

    /// It is led by somebody else by now, or by the same broker anew. Returns whether that is news.
    pub(super) fn lead_by(&mut self, leader: Option<Leader>) -> bool {
        if self.leader == leader {
            return false;
        }
        let has_moved = self.leader.map(|leader| leader.broker) != leader.map(|leader| leader.broker);
        if has_moved && self.stage == Stage::Fetching {
            // Nobody waits for the answer of a broker that leads no more: it may have frozen.
            self.attempt = self.attempt.wrapping_add(1);
            self.stage = Stage::Reading;
        }
        self.leader = leader;
        // This one may not know yet how far the log goes.
        self.known_end = -1;
        self.not_before_us = 0;
        self.leaves_epoch_out = false;
        true
    }

    /// Looks at another partition: nothing is known of its log.
    pub(super) fn turn_to(&mut self, slot: PartitionSlot, place: TopicPartition) {
        if self.place != place {
            self.start = None;
        }
        (self.slot, self.place) = (slot, place);
    }

    /// Notes where the log starts by the word of a leader. Returns where it started before by the same leader's word, if that
    /// was further behind: a start goes forward only. A new leader may not know yet how far it had gone.
    pub(super) fn start_before(&mut self, epoch: i32, start: i64) -> Option<i64> {
        if epoch < 0 || start < 0 {
            return None;
        }
        let (known_epoch, known_start) = self.start.replace((epoch, start))?;
        (known_epoch == epoch && start < known_start).then_some(known_start)
    }

    /// Whether the leader has to be asked first whether its log is the one that was read: not where nothing was, and not of
    /// a leader whose epoch nobody knows.
    pub(super) fn epoch_to_check(&self) -> Option<i32> {
        let leader = self.leader.filter(|leader| leader.epoch >= 0)?;
        self.epochs.last().filter(|_| self.confirmed != Some(leader.epoch) && enforced("wire-asks-whose-log"))
    }

    /// Whether it can be asked for in a request to its leader.
    pub(super) fn is_ready(&self, now_us: u64) -> bool {
        self.stage == Stage::Reading
            && self.not_before_us <= now_us
            && self.leader.is_some()
            && self.epoch_to_check().is_none()
    }

    /// Whether there is more to read, so that its leader need not wait for it.
    pub(super) fn is_behind(&self) -> bool {
        self.offset < self.known_end
    }

    pub(super) fn rest_until(&mut self, until_us: u64) {
        self.stage = Stage::Reading;
        self.not_before_us = until_us;
    }
}
