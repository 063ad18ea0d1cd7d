//! What the log itself says of transactions, held against the broker's list of those that were aborted.
//!
//! A reader of committed records is told by a list, one for each answer, whose records it is not to show. The markers in the
//! log say the same a second time, and come after the records. Nothing is concluded across what was not seen: where
//! offsets are missing between two batches, a marker may have lain, which compaction took.

use crate::kafka::{FalseAbort, wire::batch::Marker};

/// A transaction of which batches were seen, and not yet its marker.
#[derive(Clone, Copy, Debug)]
struct Open {
    producer_id: i64,
    /// Its first batch that was shown, and the first one that was not, as it is said to be aborted.
    shown: Option<i64>,
    dropped: Option<i64>,
}

/// A list that contradicts the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    pub(super) kind: FalseAbort,
    /// The first record that was shown, or dropped, for the list's sake.
    pub(super) first: i64,
}

/// The transactions that are open where a partition is read.
#[derive(Debug, Default)]
pub(super) struct Markers {
    /// Behind the batch that was seen last.
    behind: i64,
    open: Vec<Open>,
}

/// More producers than this are not kept in mind at once.
const MOST_OPEN: usize = 1_000;

impl Markers {
    /// What was seen does not belong to what comes next.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    /// A batch with these offsets is seen, `next_offset` not included.
    pub(super) fn pass(&mut self, base_offset: i64, next_offset: i64) {
        if base_offset != self.behind {
            self.forget();
        }
        self.behind = next_offset;
    }

    /// It holds records of this producer's transaction, which are shown, or dropped.
    pub(super) fn see(&mut self, producer_id: i64, base_offset: i64, is_dropped: bool) {
        let known = self.open.iter().position(|open| open.producer_id == producer_id);
        let index = known.unwrap_or_else(|| {
            if self.open.len() >= MOST_OPEN {
                self.open.swap_remove(0);
            }
            self.open.push(Open { producer_id, shown: None, dropped: None });
            self.open.len() - 1
        });
        let open = &mut self.open[index];
        let first = if is_dropped { &mut open.dropped } else { &mut open.shown };
        first.get_or_insert(base_offset);
    }

    /// The marker of this producer's transaction is seen.
    pub(super) fn end(&mut self, producer_id: i64, marker: Marker) -> Option<Contradiction> {
        if matches!(marker, Marker::Other(_)) {
            return None;
        }
        let index = self.open.iter().position(|open| open.producer_id == producer_id)?;
        let Open { shown, dropped, .. } = self.open.swap_remove(index);
        let (kind, first) = match (marker, shown, dropped) {
            (Marker::Abort, Some(shown), Some(dropped)) if shown < dropped => (FalseAbort::Belated, shown),
            (Marker::Abort, Some(shown), _) => (FalseAbort::Hidden, shown),
            (Marker::Commit, _, Some(dropped)) => (FalseAbort::Invented, dropped),
            (Marker::Abort, None, _) | (Marker::Commit, _, None) | (Marker::Other(_), ..) => return None,
        };
        Some(Contradiction { kind, first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Option<(FalseAbort, i64)>;

    /// Batches of producer 7, of one record each, from offset 0 on: whether each is dropped; then the marker.
    fn after(dropped: &[bool], marker: Marker) -> Found {
        let mut markers = Markers::default();
        for (offset, is_dropped) in (0..).zip(dropped) {
            markers.pass(offset, offset + 1);
            markers.see(7, offset, *is_dropped);
        }
        assert_eq!(markers.end(8, marker), None, "somebody else's");
        let contradiction = markers.end(7, marker);
        assert_eq!(markers.end(7, marker), None, "a marker that is written again says nothing");
        contradiction.map(|Contradiction { kind, first }| (kind, first))
    }

    #[test]
    fn a_list_that_contradicts_the_marker_is_found() {
        use FalseAbort::{Belated, Hidden, Invented};
        let cases: [(&[bool], Found, Found); 5] = [
            (&[], None, None),
            (&[false, false], Some((Hidden, 0)), None),
            (&[true, true], None, Some((Invented, 0))),
            (&[false, false, true], Some((Belated, 0)), Some((Invented, 2))),
            (&[true, false, false], Some((Hidden, 1)), Some((Invented, 0))),
        ];
        for (dropped, aborted, committed) in cases {
            assert_eq!(after(dropped, Marker::Abort), aborted, "{dropped:?}");
            assert_eq!(after(dropped, Marker::Commit), committed, "{dropped:?}");
        }
    }

    #[test]
    fn nothing_is_concluded_across_what_is_missing() {
        for base_offset in [6, 3] {
            let mut markers = Markers::default();
            markers.pass(0, 5);
            markers.see(7, 0, false);
            markers.pass(base_offset, 8);
            assert_eq!(markers.end(7, Marker::Abort), None, "a marker may have lain between");
        }
    }

    #[test]
    fn so_many_producers_are_kept_in_mind_and_no_more() {
        let mut markers = Markers::default();
        for producer_id in 0..3_000 {
            markers.see(producer_id, 0, false);
        }
        assert_eq!(markers.open.len(), MOST_OPEN);
        assert!(markers.end(2_999, Marker::Abort).is_some());
    }
}
