//! What has been in a partition's log: its leaders' words, which everything that is told is held against.

use std::collections::BTreeMap;

/// What lies and lay at a partition's offsets.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    /// The number that is each record's value, by its offset.
    now: BTreeMap<i64, u64>,
    /// What all in sync had.
    high_watermark: i64,
    /// What was there once and was cut off.
    cut: Vec<(i64, u64)>,
    /// Where it was cut whenever something was lost that all in sync had had.
    pub losses: Vec<i64>,
}

impl Past {
    /// A record was appended by the leader.
    pub(super) fn wrote(&mut self, offset: i64, number: u64) {
        self.now.insert(offset, number);
    }

    /// Everything below this is in all logs that are in sync.
    pub(super) fn commit(&mut self, high_watermark: i64) {
        self.high_watermark = self.high_watermark.max(high_watermark);
    }

    /// The log ends here.
    pub(super) fn cut(&mut self, end: i64) {
        if end < self.high_watermark {
            self.losses.push(end);
        }
        self.high_watermark = self.high_watermark.min(end);
        self.cut.extend(self.now.split_off(&end));
    }

    /// The number at an offset that readers may see.
    pub(super) fn at(&self, offset: i64) -> Option<u64> {
        self.now.get(&offset).copied().filter(|_| offset < self.high_watermark)
    }

    /// Whether a number lies at an offset, or lay there.
    pub(super) fn had(&self, offset: i64, number: u64) -> bool {
        self.at(offset) == Some(number) || self.cut.contains(&(offset, number))
    }

    /// Whether a number was cut off.
    pub(super) fn has_lost(&self, number: u64) -> bool {
        self.cut.iter().any(|(_, lost)| *lost == number)
    }

    /// Everything in the log, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = (i64, u64)> {
        self.now.iter().map(|(offset, number)| (*offset, *number))
    }

    /// Whether these are all records that readers may see.
    pub(super) fn is_all(&self, records: &[(i64, u64)]) -> bool {
        let visible = self.now.range(..self.high_watermark);
        records.len() == self.now.len()
            && visible.map(|(offset, number)| (*offset, *number)).eq(records.iter().copied())
    }

    /// The first record at an offset or behind it.
    pub(super) fn next(&self, offset: i64) -> Option<(i64, u64)> {
        self.now
            .range(offset..self.high_watermark.max(offset))
            .next()
            .map(|(offset, number)| (*offset, *number))
    }

    /// What all in sync have ends here.
    pub(super) fn high_watermark(&self) -> i64 {
        self.high_watermark
    }
}
