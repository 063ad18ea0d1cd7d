//! The places of a log of which nobody knows what they hold, or held: what takes the word from who would say that the
//! last record of a key is missing.
//!
//! Pure.

use range_set_blaze::RangeSetBlaze;

use super::last_values::Log;
use crate::{ledger::PartitionLedger, mutants::enforced};

/// What is not known of a log that was read.
pub(crate) struct Doubt {
    /// Named as corrupt, or passed over.
    unreadable: RangeSetBlaze<i64>,
    /// The last offset of these that the ledger does not list: a send with an unknown outcome may be there.
    unknown_unreadable: Option<i64>,
    /// The last offset at which a tombstone may have been that nobody knows of.
    unknown_tombstone: Option<i64>,
    /// So many offsets behind a known record have to be in question before one of them can have been a record.
    least: i64,
}

impl Doubt {
    /// Besides what could not be read of the log, these records were named as corrupt.
    pub(crate) fn of(log: &Log<'_>, corrupt: &RangeSetBlaze<i64>) -> Self {
        let unreadable =
            if enforced("stale-unreadable") { log.unreadable | corrupt } else { RangeSetBlaze::new() };
        let unknown_unreadable = unlisted(&unreadable, log.ledger).last();
        // A committed transaction has a marker of its own behind its records. So where one is unknown there are two
        // offsets at least, while one alone is the marker of what is known.
        let least = if log.is_transactional { 2 } else { 1 };
        let unknown_tombstone = if log.may_hold_tombstones && enforced("stale-unknown-tombstone") {
            let unlisted = unlisted(&RangeSetBlaze::from_iter([0..=log.end - 1]), log.ledger);
            unlisted.ranges().rev().find(|run| run.end() - run.start() + 1 >= least).map(|run| *run.end())
        } else {
            None
        };
        Self { unreadable, unknown_unreadable, unknown_tombstone, least }
    }

    /// Whether what was acked as the last record of its key, at this offset, may be there, or have been superseded
    /// there, where nobody can read it.
    pub(crate) fn hides(&self, offset: i64) -> bool {
        self.unreadable.contains(offset) || self.unknown_unreadable.is_some_and(|last| last > offset)
    }

    /// Whether there is something behind an offset that cannot be read; -1 is ahead of the first one.
    pub(crate) fn hides_behind(&self, offset: i64) -> bool {
        self.unreadable.last().is_some_and(|last| last > offset)
    }

    /// Whether a tombstone with an unknown outcome may have come behind an offset, which compaction has taken since,
    /// and with it all that there was of the key.
    pub(crate) fn may_have_been_deleted(&self, offset: i64) -> bool {
        self.unknown_tombstone.is_some_and(|last| last - offset >= self.least)
    }
}

fn unlisted(offsets: &RangeSetBlaze<i64>, ledger: Option<&PartitionLedger>) -> RangeSetBlaze<i64> {
    ledger.map_or_else(|| offsets.clone(), |ledger| offsets - ledger.acked())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::OffsetRun;

    /// Of a log that ends at 20, where the ledger lists these.
    fn doubt(listed: &[(i64, i64)], unreadable: &[i64], is_transactional: bool) -> Doubt {
        let mut ledger = PartitionLedger::default();
        for (lower, upper) in listed {
            ledger.insert(OffsetRun { lower: *lower, upper: *upper });
        }
        let unreadable = unreadable.iter().copied().collect();
        let log = Log {
            ledger: Some(&ledger),
            end: 20,
            may_hold_tombstones: true,
            is_transactional,
            ..Log::all(&unreadable)
        };
        Doubt::of(&log, &RangeSetBlaze::new())
    }

    #[test]
    fn what_cannot_be_read_hides_what_was_acked_there_and_what_may_have_come_later() {
        let listed = doubt(&[(0, 20)], &[7, 8], false);
        assert!(listed.hides(7) && listed.hides(8) && !listed.hides(6) && !listed.hides(9));
        assert!(listed.hides_behind(-1) && listed.hides_behind(7) && !listed.hides_behind(8));
        let unlisted = doubt(&[(0, 8)], &[7, 8], false);
        assert!(unlisted.hides(6) && !unlisted.hides(9), "8 may supersede it");
        assert!(!doubt(&[], &[], false).hides_behind(-1));
    }

    #[test]
    fn what_the_ledger_does_not_list_may_have_been_a_tombstone() {
        let doubt = |listed| doubt(listed, &[], false);
        assert!(!doubt(&[(0, 20)]).may_have_been_deleted(5));
        let one = doubt(&[(0, 9), (10, 20)]);
        assert!(one.may_have_been_deleted(8) && !one.may_have_been_deleted(9), "9 is not listed");
        assert!(doubt(&[(0, 19)]).may_have_been_deleted(18));
        assert!(!doubt(&[(0, 19)]).may_have_been_deleted(19), "the ledger may be older than the last values");
    }

    #[test]
    fn the_marker_of_a_transaction_is_none() {
        let markers = doubt(&[(0, 9), (10, 19)], &[], true);
        assert!(!markers.may_have_been_deleted(5), "9 and 19 are markers");
        let unknown = doubt(&[(0, 9), (12, 19)], &[], true);
        assert!(unknown.may_have_been_deleted(8) && !unknown.may_have_been_deleted(10));
    }
}
