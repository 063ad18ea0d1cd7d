//! Offsets between two records that nothing explains.
//!
//! Named, and no violation: a reader cannot know whether somebody else's transactions have left markers there, or
//! aborted records. What was acked there is missed at the end of the pass, under another name.

use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use serde::Serialize;

/// How many are kept, and how many of them are told of in the log. A topic full of markers has one behind every record.
const KEPT: usize = 1_000;
const LOGGED: usize = 10;

/// Offsets that no reader was shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Gap {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset of it.
    pub first: i64,
    /// The last one.
    pub last: i64,
}

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, first, last } = self;
        write!(formatter, "gap: topic {topic} partition {partition} offset {first}: ")?;
        if first == last {
            write!(formatter, "expected a record, found none")
        } else {
            write!(formatter, "expected records up to offset {last}, found none")
        }
    }
}

/// The gaps that were found in a run, each once, however many readers find it.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    kept: Mutex<BTreeSet<Gap>>,
    /// So that a topic full of them costs no lock for each.
    full: AtomicBool,
    /// It was said how such a topic is read.
    explained: AtomicBool,
}

impl Gaps {
    /// Keeps one, and says so in the log, unless there are too many already.
    #[cold]
    pub(crate) fn add(&self, topic: &str, partition: i32, missing: Range<i64>) {
        if self.full.load(Relaxed) {
            return;
        }
        let (first, last) = (missing.start, missing.end - 1);
        let gap = Gap { topic: topic.to_owned(), partition, first, last };
        let line = gap.to_string();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = kept.insert(gap);
        self.full.store(kept.len() >= KEPT, Relaxed);
        match kept.len() {
            _ if !is_new => {}
            0..LOGGED => tracing::warn!("{line}"),
            LOGGED => tracing::warn!("{line}; more are only counted, and listed by --report"),
            _ => {}
        }
    }

    /// Says, once, how a log is read of which it is known, or only likely, that it holds transactions: whoever reads it as
    /// if it held none sees aborted records, and gaps where markers are.
    #[cold]
    pub(crate) fn explain(&self, topic: &str, is_known: bool) {
        if self.explained.swap(true, Relaxed) {
            return;
        }
        if is_known {
            tracing::warn!(
                "topic {topic} was written in transactions, and is read without --use-transactions: aborted records are \
                 shown, and markers are counted as gaps"
            );
        } else {
            tracing::warn!(
                "topic {topic} has gaps between its offsets: a log with transactions is read with --use-transactions, a \
                 compacted one with --compacted"
            );
        }
    }

    /// The first ones, by partition and offset.
    #[must_use]
    pub(crate) fn kept(&self) -> Vec<Gap> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_kept_once_and_not_too_many() {
        let gaps = Gaps::default();
        gaps.add("t", 1, 5..8);
        gaps.add("t", 0, 9..10);
        gaps.add("t", 1, 5..8);
        let places: Vec<_> = gaps.kept().iter().map(|gap| (gap.partition, gap.first, gap.last)).collect();
        assert_eq!(places, [(0, 9, 9), (1, 5, 7)]);
        (0..2_000).for_each(|offset| gaps.add("t", 2, offset..offset + 1));
        assert_eq!(gaps.kept().len(), KEPT);
    }

    #[test]
    fn a_gap_has_a_name_and_a_place() {
        let gap = Gap { topic: "t".into(), partition: 3, first: 5, last: 7 };
        let line = "gap: topic t partition 3 offset 5: expected records up to offset 7, found none";
        assert_eq!(gap.to_string(), line);
        let line = "gap: topic t partition 3 offset 5: expected a record, found none";
        assert_eq!(Gap { last: 5, ..gap }.to_string(), line);
    }
}
