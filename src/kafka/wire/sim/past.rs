//! What has been in a partition's log: its leaders' words, which everything that is told is held against.
//!
//! **States.** A log from which committed records were lost is another one from then on. State `k` is the log after `k` losses
//! and before the next: what readers could see of it only grew.

use std::collections::BTreeMap;

/// A record, as it can be told from others that are or were at its offset: one that was lost may be written again, by a later
/// leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub number: u64,
    pub epoch: i32,
}

/// A record in the log.
#[derive(Clone, Copy, Debug)]
struct Kept {
    record: Written,
    /// The first state that has it.
    born: usize,
}

/// A record that was lost.
#[derive(Clone, Copy, Debug)]
struct Lost {
    offset: i64,
    kept: Kept,
    /// The last state that had it.
    last: usize,
}

/// What lies and lay at a partition's offsets.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    now: BTreeMap<i64, Kept>,
    /// What all in sync had.
    high_watermark: i64,
    /// What readers could see, and was cut off.
    lost: Vec<Lost>,
    /// Where it was cut whenever something was lost that all in sync had had.
    pub losses: Vec<i64>,
    /// Where that which all in sync had ended just before each loss.
    ends: Vec<i64>,
}

impl Past {
    /// A record was appended by the leader of this epoch.
    pub(super) fn wrote(&mut self, offset: i64, number: u64, epoch: i32) {
        let record = Written { number, epoch };
        self.now.insert(offset, Kept { record, born: self.state() });
    }

    /// Everything below this is in all logs that are in sync.
    pub(super) fn commit(&mut self, high_watermark: i64) {
        self.high_watermark = self.high_watermark.max(high_watermark);
    }

    /// The log ends here.
    pub(super) fn cut(&mut self, end: i64) {
        let (state, high_watermark) = (self.state(), self.high_watermark);
        // Nobody has seen the rest.
        let seen = self.now.split_off(&end).into_iter().filter(|(offset, _)| *offset < high_watermark);
        self.lost.extend(seen.map(|(offset, kept)| Lost { offset, kept, last: state }));
        if end < high_watermark {
            self.losses.push(end);
            self.ends.push(high_watermark);
        }
        self.high_watermark = high_watermark.min(end);
    }

    /// The log's state now.
    pub(super) fn state(&self) -> usize {
        self.losses.len()
    }

    /// The number at an offset that readers may see.
    pub(super) fn at(&self, offset: i64) -> Option<u64> {
        self.now.get(&offset).filter(|_| offset < self.high_watermark).map(|kept| kept.record.number)
    }

    /// Whether a number lies at an offset, or lay there, where readers could see it.
    pub(super) fn had(&self, offset: i64, number: u64) -> bool {
        let was_there = |lost: &Lost| (lost.offset, lost.kept.record.number) == (offset, number);
        self.at(offset) == Some(number) || self.lost.iter().any(was_there)
    }

    /// Whether a number was lost.
    pub(super) fn has_lost(&self, number: u64) -> bool {
        self.lost.iter().any(|lost| lost.kept.record.number == number)
    }

    /// Everything in the log, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = (i64, u64)> {
        self.now.iter().map(|(offset, kept)| (*offset, kept.record.number))
    }

    /// Whether these are all records that readers may see, and there are no others.
    pub(super) fn is_all(&self, records: &[(i64, Written)]) -> bool {
        let visible = self.now.range(..self.high_watermark).map(|(offset, kept)| (*offset, kept.record));
        records.len() == self.now.len() && visible.eq(records.iter().copied())
    }

    /// What readers could see at an offset while the log was in this state.
    pub(super) fn at_in(&self, state: usize, offset: i64) -> Option<Written> {
        self.next_in(state, offset).filter(|(next, _)| *next == offset).map(|(_, record)| record)
    }

    /// The first record at an offset or behind it that readers could see while the log was in this state.
    pub(super) fn next_in(&self, state: usize, offset: i64) -> Option<(i64, Written)> {
        let kept = self.now.range(offset..self.high_watermark.max(offset));
        let kept = kept.map(|(offset, kept)| (*offset, *kept)).find(|(_, kept)| kept.born <= state);
        let lost = self.lost.iter().filter(|lost| lost.offset >= offset && lost.last >= state);
        let lost = lost.map(|lost| (lost.offset, lost.kept)).filter(|(_, kept)| kept.born <= state);
        let first = lost.chain(kept).min_by_key(|(offset, _)| *offset)?;
        Some((first.0, first.1.record))
    }

    /// Where that which all in sync had ended at last while the log was in this state.
    pub(super) fn end_in(&self, state: usize) -> i64 {
        self.ends.get(state).copied().unwrap_or(self.high_watermark)
    }

    /// What all in sync have ends here.
    pub(super) fn high_watermark(&self) -> i64 {
        self.high_watermark
    }
}
