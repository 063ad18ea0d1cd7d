//! What records that break a promise turn out to be, in words.

use super::{
    anomaly::{Anomaly, Evidence},
    order::OutOfOrder,
    validator::{RecordView, content},
};
use crate::{
    proof::Written,
    record::{self, RECORD_ID_HEADER},
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
        let OutOfOrder { anomaly, offset, expected, found } = error;
        Self { anomaly, offset, expected, found, evidence: Evidence::default() }
    }
}

#[cold]
pub(super) fn aborted_read(record: &RecordView<'_>, id: &[u8]) -> Broken {
    Broken {
        anomaly: Anomaly::AbortedRead,
        offset: record.offset,
        expected: "records of committed transactions only".to_owned(),
        found: format!("{RECORD_ID_HEADER} '{}'", id.escape_ascii()),
        evidence: Evidence::default(),
    }
}

#[cold]
pub(super) fn corrupt(record: &RecordView<'_>, header: Option<Written<'_>>) -> Broken {
    let (expected, found) = match header {
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
pub(super) fn epoch_back(record: &RecordView<'_>, last_epoch: i32) -> Broken {
    Broken {
        anomaly: Anomaly::EpochBack,
        offset: record.offset,
        expected: format!("leader epoch {last_epoch} or later, as of the record read before"),
        found: format!("leader epoch {}", record.leader_epoch),
        evidence: Evidence::default(),
    }
}

#[cold]
pub(super) fn nonmonotonic(record: &RecordView<'_>, last_offset: i64) -> Broken {
    Broken {
        anomaly: Anomaly::Nonmonotonic,
        offset: record.offset,
        expected: format!("an offset above {last_offset}"),
        found: format!("offset {}", record.offset),
        evidence: Evidence::default(),
    }
}

#[cold]
pub(super) fn wrong_offset(record: &RecordView<'_>) -> Broken {
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
