//! What a pass over a compacted log has seen of each key.
//!
//! Compaction promises that the last record of a key stays, and no more: an older one
//! may stay beside it for as long as it likes (the segment that is being written is
//! never compacted). So nothing is said of a key before the log has ended.

use std::collections::{BTreeMap, HashMap};

use range_set_blaze::RangeSetBlaze;

use super::doubt::Doubt;
use crate::{
    ledger::{LatestValue, LatestValues, PartitionLedger, describe},
    mutants::enforced,
    record::{RecordView, parse_numbered_value},
};

/// The last record of a key, as far as the log was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    offset: i64,
    /// Whether it holds the last value that was acked.
    is_latest: bool,
    /// What it holds, where that is another value, and whether that is one of those that are written down.
    found: String,
    is_watched: bool,
}

/// The keys of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeenKeys {
    seen: HashMap<Box<[u8]>, Seen>,
    /// Records that were named as corrupt: whose they are, and what they held, nobody knows.
    corrupt: RangeSetBlaze<i64>,
}

/// A key whose last value is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stale {
    /// The offset of its last record; `None` when there is no record at all.
    pub(crate) offset: Option<i64>,
    pub(crate) expected: String,
    pub(crate) found: String,
}

/// The record that was acked last for its key must hold what was acked. What came before it may still be
/// there; whether it is there at all is asked when the log has ended. Returns what was expected, and found.
pub(crate) fn altered_in_place(
    latest: &LatestValues,
    partition: i32,
    record: &RecordView<'_>,
) -> Option<(String, String)> {
    match latest.get(partition, record.key.unwrap_or_default()) {
        Some(known @ LatestValue::Numbered { offset, .. })
            if *offset == record.offset && !known.is(record.value) && enforced("stale-value-in-place") =>
        {
            Some((known.describe(), describe(record.value)))
        }
        _ => None,
    }
}

/// In a log that was compacted to one record a key, each record must hold the last value that was acked for its key.
/// Returns what was expected, and found. Nothing is said of records that nobody was promised: what a send left whose
/// outcome was unknown may be newer, or a copy.
pub(crate) fn not_latest(
    latest: &LatestValues,
    ledger: Option<&PartitionLedger>,
    partition: i32,
    record: &RecordView<'_>,
) -> Option<(String, String)> {
    let known = latest.get(partition, record.key.unwrap_or_default())?;
    let promised = ledger.is_none_or(|ledger| ledger.highest().is_none() || ledger.contains(record.offset));
    let is_newer = match known {
        LatestValue::Numbered { offset, .. } => record.offset > *offset,
        // The file does not say where it lies; a producer that writes no values down may have come behind it.
        LatestValue::Tombstone => record.value.is_some_and(|value| parse_numbered_value(value).is_none()),
        LatestValue::Other(_) => false,
    };
    let stale = !known.is(record.value) && promised && !is_newer && enforced("stale-value-every");
    stale.then(|| {
        let found = describe(record.value);
        (
            format!("{}, the last one acked for this key", known.describe()),
            format!("{found}; in a log that is not compacted to one record a key: --latest-values last"),
        )
    })
}

/// What is known of a log that was read.
pub(crate) struct Log<'a> {
    pub(crate) ledger: Option<&'a PartitionLedger>,
    /// Where it starts now.
    pub(crate) start: i64,
    /// Up to where it was read.
    pub(crate) end: i64,
    /// What was passed over.
    pub(crate) unreadable: &'a RangeSetBlaze<i64>,
    /// With permission: what was lost is not in the ledger any more, and still in the file of last values.
    pub(crate) may_be_truncated: bool,
    /// The ledger is one of a producer that writes them.
    pub(crate) may_hold_tombstones: bool,
    /// It is written in transactions.
    pub(crate) is_transactional: bool,
}

impl Log<'_> {
    fn lists(&self, offset: i64) -> bool {
        self.ledger.is_some_and(|ledger| ledger.contains(offset))
    }
}

impl SeenKeys {
    /// Takes note of the next record of a partition, and whether it was named as corrupt.
    pub(crate) fn note(
        &mut self,
        latest: &LatestValues,
        partition: i32,
        record: &RecordView<'_>,
        is_corrupt: bool,
    ) {
        // What was altered may be its key: it says nothing of any.
        if is_corrupt && enforced("stale-corrupt") {
            self.corrupt.insert(record.offset);
            return;
        }
        let key = record.key.unwrap_or_default();
        let Some(known) = latest.get(partition, key) else { return };
        let is_latest = known.is(record.value);
        // Almost every record is superseded by another one: its value is not worth a text.
        let found = if is_latest { String::new() } else { describe(record.value) };
        let is_watched = is_latest || record.value.is_none_or(|value| parse_numbered_value(value).is_some());
        self.seen.insert(key.into(), Seen { offset: record.offset, is_latest, found, is_watched });
    }

    /// Adds what another reader has seen.
    pub(crate) fn merge(&mut self, other: Self) {
        self.corrupt |= other.corrupt;
        for (key, seen) in other.seen {
            match self.seen.get(&key) {
                Some(known) if known.offset >= seen.offset => {}
                _ => {
                    self.seen.insert(key, seen);
                }
            }
        }
    }

    /// The keys whose last record is not the one that must be there, when the whole log was read.
    pub(crate) fn stale(&self, keys: &BTreeMap<String, LatestValue>, log: &Log<'_>) -> Vec<Stale> {
        let doubt = Doubt::of(log, &self.corrupt);
        let kept = keys.iter().filter(|(key, value)| !self.may_be_gone(key, value, log, &doubt));
        kept.filter_map(|(key, value)| self.stale_key(key, value, log, &doubt)).collect()
    }

    /// Whether retention may have taken the last record of a key, or a truncation that is tolerated; or it may lie in what
    /// nobody can read, which was named already.
    fn may_be_gone(&self, key: &str, value: &LatestValue, log: &Log<'_>, doubt: &Doubt) -> bool {
        if let LatestValue::Numbered { offset, .. } = value {
            return *offset < log.start
                || (log.may_be_truncated && !log.lists(*offset))
                || doubt.hides(*offset);
        }
        // It came behind what was seen, wherever that is.
        let seen = self.seen.get(key.as_bytes()).map(|seen| seen.offset);
        seen.unwrap_or(0) < log.start || doubt.hides_behind(seen.unwrap_or(-1))
    }

    fn stale_key(&self, key: &str, value: &LatestValue, log: &Log<'_>, doubt: &Doubt) -> Option<Stale> {
        let expected = || format!("{}, the last one acked for key '{key}'", value.describe());
        let Some(seen) = self.seen.get(key.as_bytes()) else {
            let deleted = match value {
                LatestValue::Numbered { offset, .. } => doubt.may_have_been_deleted(*offset),
                LatestValue::Tombstone => true,
                // It may be any record.
                LatestValue::Other(_) => doubt.may_have_been_deleted(-1),
            };
            let gone = !deleted && enforced("stale-value-gone");
            return gone.then(|| Stale {
                offset: None,
                expected: expected(),
                found: "no record of this key".to_owned(),
            });
        };
        // A send may lie behind the last one that the files know to be acked: its outcome was unknown, or its
        // producer was killed before it could write it down. The file does not say where a tombstone lies; but the
        // ledger is never newer than the file, and does not list what came later.
        let superseded = match value {
            LatestValue::Numbered { offset, .. } => seen.offset > *offset,
            // A producer that writes no values down may have come behind it, too.
            LatestValue::Tombstone => !seen.is_watched || (log.ledger.is_some() && !log.lists(seen.offset)),
            LatestValue::Other(_) => false,
        };
        let stale = !seen.is_latest && !superseded && enforced("stale-value");
        stale.then(|| Stale { offset: Some(seen.offset), expected: expected(), found: seen.found.clone() })
    }
}

#[cfg(test)]
#[path = "last_values_tests.rs"]
mod tests;
