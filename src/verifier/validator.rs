//! What a record that was read proves.
//!
//! Pure. The order of the checks is the contract's: leader epoch, offset, first
//! header, ledger. It is the same for every kind of reader.

use super::anomaly::Anomaly;
use crate::{
    ledger::PartitionLedger,
    record::{self, ABORTED_PREFIX, RECORD_ID_HEADER},
};

/// A record as a reader sees it; the bytes stay where the client has them.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its place in the partition.
    pub offset: i64,
    /// Epoch of the leader that wrote it; negative when the broker did not say.
    pub leader_epoch: i32,
    /// Key and value of the first header.
    pub first_header: Option<(&'a [u8], &'a [u8])>,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Which records a reader is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// All of them.
    All,
    /// Those without a transaction, and those whose transaction was committed.
    Committed,
}

/// What a sound record turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It names the offset at which it lies.
    Valid,
    /// It does not, but nobody was promised that it would: it is not in the ledger.
    OutOfScope,
}

/// What a record that breaks a promise turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The promise.
    pub anomaly: Anomaly,
    /// What should have been there.
    pub expected: String,
    /// What was there.
    pub found: String,
}

/// What is remembered of a partition between two of its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionState {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    /// `None` behind a jump: whatever comes next is in order.
    offset: Option<i64>,
    leader_epoch: i32,
}

impl PartitionState {
    /// Checks the next record of the partition, and reports whether its offset
    /// jumped forward over others.
    ///
    /// # Errors
    /// The promise that it breaks. The state then stands on this record, so that
    /// a reader that goes on reports the next fault and not this one again.
    pub fn check(
        &mut self,
        record: &RecordView<'_>,
        ledger: Option<&PartitionLedger>,
        visible: Visible,
    ) -> Result<(Checked, bool), Box<Broken>> {
        let last = self.last.replace(Last { offset: Some(record.offset), leader_epoch: record.leader_epoch });
        let mut gap = false;
        if let Some(last) = last {
            if record.leader_epoch < last.leader_epoch && record.leader_epoch >= 0 {
                return Err(Box::new(epoch_back(record, last)));
            }
            if let Some(last_offset) = last.offset {
                if record.offset <= last_offset {
                    return Err(Box::new(nonmonotonic(record, last_offset)));
                }
                gap = record.offset != last_offset + 1
                    && (visible == Visible::All || promised_between(ledger, last_offset, record.offset));
            }
        }
        Ok((check_id(record, ledger, visible)?, gap))
    }

    /// Forgets the place but not the epoch: the reader is about to jump.
    pub fn reposition(&mut self) {
        if let Some(last) = &mut self.last {
            last.offset = None;
        }
    }

    /// Forgets everything: a new pass, or a log that was cut and told to be.
    pub fn restart(&mut self) {
        self.last = None;
    }
}

/// The first header must name this very offset.
fn check_id(
    record: &RecordView<'_>,
    ledger: Option<&PartitionLedger>,
    visible: Visible,
) -> Result<Checked, Box<Broken>> {
    if let Some((name, id)) = record.first_header
        && name == RECORD_ID_HEADER.as_bytes()
        && record::parse_record_id(id) == Some(record.offset)
    {
        return Ok(Checked::Valid);
    }
    if visible == Visible::Committed
        && let Some((_, id)) = record.first_header
        && id.starts_with(ABORTED_PREFIX)
    {
        return Err(Box::new(aborted_read(id)));
    }
    if ledger.is_some_and(|ledger| ledger.contains(record.offset)) {
        return Err(Box::new(wrong_offset(record)));
    }
    Ok(Checked::OutOfScope)
}

/// Between records of transactions lie markers, and what was aborted: only an offset that was acked leaves a gap.
#[cold]
fn promised_between(ledger: Option<&PartitionLedger>, last_offset: i64, offset: i64) -> bool {
    ledger.is_some_and(|ledger| ledger.contains_any(last_offset + 1, offset))
}

#[cold]
fn aborted_read(id: &[u8]) -> Broken {
    Broken {
        anomaly: Anomaly::AbortedRead,
        expected: "records of committed transactions only".to_owned(),
        found: format!("{RECORD_ID_HEADER} '{}'", id.escape_ascii()),
    }
}

#[cold]
fn epoch_back(record: &RecordView<'_>, last: Last) -> Broken {
    Broken {
        anomaly: Anomaly::EpochBack,
        expected: format!("leader epoch {} or later, as of the record read before", last.leader_epoch),
        found: format!("leader epoch {}", record.leader_epoch),
    }
}

#[cold]
fn nonmonotonic(record: &RecordView<'_>, last_offset: i64) -> Broken {
    Broken {
        anomaly: Anomaly::Nonmonotonic,
        expected: format!("an offset above {last_offset}"),
        found: format!("offset {}", record.offset),
    }
}

#[cold]
fn wrong_offset(record: &RecordView<'_>) -> Broken {
    let id = record::encode_record_id(record.offset);
    let found = match record.first_header {
        None => "no header".to_owned(),
        Some((name, value)) => format!("{} '{}'", name.escape_ascii(), value.escape_ascii()),
    };
    Broken {
        anomaly: Anomaly::WrongOffset,
        expected: format!("{RECORD_ID_HEADER} '{}' (acked there)", id.escape_ascii()),
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::OffsetRun;

    fn ledger() -> PartitionLedger {
        let mut ledger = PartitionLedger::default();
        ledger.insert(OffsetRun { lower: 0, upper: 100 });
        ledger
    }

    fn check(
        state: &mut PartitionState,
        offset: i64,
        epoch: i32,
        id: &str,
    ) -> Result<(Checked, bool), Anomaly> {
        let record = RecordView {
            offset,
            leader_epoch: epoch,
            first_header: Some((RECORD_ID_HEADER.as_bytes(), id.as_bytes())),
            key: None,
            value: Some(b""),
        };
        state.check(&record, Some(&ledger()), Visible::All).map_err(|broken| broken.anomaly)
    }

    fn id(offset: i64) -> String {
        format!("000000.{offset:018}")
    }

    #[test]
    fn records_in_their_place_are_valid() {
        let mut state = PartitionState::default();
        for offset in 5..10 {
            assert_eq!(check(&mut state, offset, 3, &id(offset)), Ok((Checked::Valid, false)));
        }
        assert_eq!(check(&mut state, 10, 4, &id(10)), Ok((Checked::Valid, false)), "the epoch may go up");
    }

    #[test]
    fn epoch_that_goes_back_is_found_before_anything_else() {
        let mut state = PartitionState::default();
        check(&mut state, 5, 3, &id(5)).unwrap();
        assert_eq!(check(&mut state, 5, 2, "nonsense"), Err(Anomaly::EpochBack));
    }

    #[test]
    fn unknown_epoch_is_no_step_back() {
        let mut state = PartitionState::default();
        check(&mut state, 5, 3, &id(5)).unwrap();
        assert_eq!(check(&mut state, 6, -1, &id(6)), Ok((Checked::Valid, false)));
    }

    #[test]
    fn repeated_and_earlier_offsets_are_found() {
        for next in [5, 4] {
            let mut state = PartitionState::default();
            check(&mut state, 5, 3, &id(5)).unwrap();
            assert_eq!(check(&mut state, next, 3, &id(next)), Err(Anomaly::Nonmonotonic));
        }
    }

    #[test]
    fn a_jump_forward_is_a_gap() {
        let mut state = PartitionState::default();
        assert_eq!(check(&mut state, 5, 3, &id(5)), Ok((Checked::Valid, false)), "the first is none");
        assert_eq!(check(&mut state, 8, 3, &id(8)), Ok((Checked::Valid, true)));
    }

    #[test]
    fn wrong_id_matters_only_in_the_ledger_s_scope() {
        for wrong in
            [id(6), String::new(), format!("ABORTED MSG: {}", id(5)), "000001.000000000000000005".into()]
        {
            assert_eq!(
                check(&mut PartitionState::default(), 5, 3, &wrong),
                Err(Anomaly::WrongOffset),
                "{wrong}"
            );
        }
        assert_eq!(check(&mut PartitionState::default(), 100, 3, &id(6)), Ok((Checked::OutOfScope, false)));
    }

    #[test]
    fn header_must_come_first_and_bear_its_name() {
        let at =
            |first_header| RecordView { offset: 5, leader_epoch: 0, first_header, key: None, value: None };
        let text = id(5);
        for header in [None, Some((b"other".as_slice(), text.as_bytes()))] {
            let broken =
                PartitionState::default().check(&at(header), Some(&ledger()), Visible::All).unwrap_err();
            assert_eq!(broken.anomaly, Anomaly::WrongOffset);
            assert!(broken.expected.contains(&text), "{broken:?}");
        }
        assert_eq!(
            PartitionState::default().check(&at(None), None, Visible::All),
            Ok((Checked::OutOfScope, false))
        );
    }

    #[test]
    fn jumping_readers_keep_watch_on_the_epoch() {
        let mut state = PartitionState::default();
        check(&mut state, 50, 3, &id(50)).unwrap();
        state.reposition();
        assert_eq!(check(&mut state, 7, 3, &id(7)), Ok((Checked::Valid, false)), "a jump is no gap");
        state.reposition();
        assert_eq!(check(&mut state, 6, 2, &id(6)), Err(Anomaly::EpochBack));
    }

    #[test]
    fn state_goes_on_behind_a_fault() {
        let mut state = PartitionState::default();
        check(&mut state, 5, 3, &id(5)).unwrap();
        check(&mut state, 5, 3, &id(5)).unwrap_err();
        assert_eq!(check(&mut state, 6, 3, &id(6)), Ok((Checked::Valid, false)));
    }
}
