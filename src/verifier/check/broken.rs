//! What records that break a promise turn out to be, in words.

use super::{order::OutOfOrder, validator::content};
use crate::{
    findings::anomaly::{Anomaly, Evidence},
    record::{self, RECORD_ID_HEADER, RecordView, proof::Written},
};

/// What a record that breaks a promise turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The promise.
    pub anomaly: Anomaly,
    /// Where it shows: the record's own offset, or that of one before it.
    pub offset: i64,
    /// What should have been there.
    pub expected: String,
    /// What was there.
    pub found: String,
    /// What else is known of the place.
    pub evidence: Evidence,
}

impl From<OutOfOrder> for Broken {
    fn from(error: OutOfOrder) -> Self {
        let OutOfOrder { anomaly, offset, expected, found, before: _ } = error;
        Self { anomaly, offset, expected, found, evidence: Evidence::default() }
    }
}

#[cold]
pub(crate) fn aborted_read(record: &RecordView<'_>, id: &[u8]) -> Broken {
    Broken {
        anomaly: Anomaly::AbortedRead,
        offset: record.offset,
        expected: "records of committed transactions only".to_owned(),
        found: format!("{RECORD_ID_HEADER} '{}'", id.escape_ascii()),
        evidence: Evidence::default(),
    }
}

#[cold]
pub(crate) fn corrupt(record: &RecordView<'_>, header: Option<Written<'_>>) -> Broken {
    let (expected, found) = match header {
        None if !record.has_sound_headers => {
            ("headers that can be read".to_owned(), "bytes that are none".to_owned())
        }
        None => ("a proof header as it was written".to_owned(), "one that was altered".to_owned()),
        Some(header) if header.is_true(&content(record)) => {
            let time = |time: Option<i64>| time.map_or("none".to_owned(), |time_ms| format!("{time_ms} ms"));
            let written = header.decode().timestamp_ms;
            (format!("the timestamp that was sent, {}", time(written)), time(record.sent_ms))
        }
        Some(header) => (
            format!("a key, value and headers with the digest {:016x}", header.written_digest()),
            format!("such with the digest {:016x}", header.digest(&content(record))),
        ),
    };
    Broken {
        anomaly: Anomaly::Corrupt,
        offset: record.offset,
        expected,
        found,
        evidence: Evidence::default(),
    }
}

#[cold]
pub(crate) fn epoch_back(record: &RecordView<'_>, last_epoch: i32) -> Broken {
    Broken {
        anomaly: Anomaly::EpochBack,
        offset: record.offset,
        expected: format!("leader epoch {last_epoch} or later, as of the record read before"),
        found: format!("leader epoch {}", record.leader_epoch),
        evidence: Evidence::default(),
    }
}

#[cold]
pub(crate) fn nonmonotonic(record: &RecordView<'_>, last_offset: i64) -> Broken {
    Broken {
        anomaly: Anomaly::Nonmonotonic,
        offset: record.offset,
        expected: format!("an offset above {last_offset}"),
        found: format!("offset {}", record.offset),
        evidence: Evidence::default(),
    }
}

#[cold]
pub(crate) fn wrong_offset(record: &RecordView<'_>) -> Broken {
    let id = record::encode_record_id(record.offset);
    let found = match record.first_header {
        None => "no header".to_owned(),
        Some((name, value)) => format!("{} '{}'", name.escape_ascii(), value.escape_ascii()),
    };
    Broken {
        anomaly: Anomaly::WrongOffset,
        offset: record.offset,
        expected: format!("{RECORD_ID_HEADER} '{}' (acked there)", id.escape_ascii()),
        found,
        evidence: Evidence::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{OffsetRun, PartitionLedger},
        verifier::check::validator::{Checked, PartitionState, Rules, Visible},
    };

    /// A record whose headers cannot be taken apart, as it is shown.
    fn malformed(offset: i64) -> RecordView<'static> {
        RecordView {
            offset,
            leader_epoch: 3,
            sent_ms: None,
            has_sound_headers: false,
            first_header: None,
            second_header: None,
            key: None,
            value: Some(b"value"),
            batch: None,
        }
    }

    #[test]
    fn headers_that_cannot_be_read_are_corrupt_to_every_reader() {
        let mut ledger = PartitionLedger::default();
        ledger.insert(OffsetRun { lower: 0, upper: 100 });
        for visible in [Visible::All, Visible::Committed] {
            for proof_header in [true, false] {
                let rules = Rules { visible, proof_header, whole_transactions: false, ledger_grows: false };
                for ledger in [Some(&ledger), None] {
                    let broken = PartitionState::default().check(&malformed(5), ledger, rules).unwrap_err();
                    assert_eq!((broken.anomaly, broken.offset), (Anomaly::Corrupt, 5));
                    assert_eq!(broken.expected, "headers that can be read");
                }
            }
        }
    }

    #[test]
    fn a_record_that_has_none_is_not_one_whose_headers_cannot_be_read() {
        let rules = Rules {
            visible: Visible::All,
            proof_header: true,
            whole_transactions: false,
            ledger_grows: false,
        };
        let bare = RecordView { has_sound_headers: true, ..malformed(5) };
        assert!(PartitionState::default().check(&bare, None, rules).is_ok());
    }

    #[test]
    fn neither_its_epoch_nor_its_place_is_believed() {
        let rules = Rules {
            visible: Visible::All,
            proof_header: true,
            whole_transactions: false,
            ledger_grows: false,
        };
        let mut state = PartitionState::default();
        let sound = |offset| RecordView { has_sound_headers: true, offset, ..malformed(5) };
        state.check(&sound(5), None, rules).unwrap();
        for (offset, leader_epoch) in [(5, 3), (4, 3), (6, 2), (1 << 40, 9)] {
            let record = RecordView { leader_epoch, ..malformed(offset) };
            assert_eq!(state.check(&record, None, rules).unwrap_err().anomaly, Anomaly::Corrupt, "{offset}");
        }
        assert_eq!(state.check(&sound(6), None, rules), Ok((Checked::OutOfScope, false)));
    }
}
