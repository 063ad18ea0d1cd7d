//! What goes wrong with a partition that is being read.

use std::ffi::CStr;

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use super::codes;
use crate::kafka::KafkaError;

/// What went wrong with a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault<'a> {
    /// Where it shows, as far as the client says: of a batch that cannot be read, its first offset. Negative where it
    /// does not.
    pub offset: i64,
    /// The kind.
    pub kind: FaultKind,
    /// The code.
    pub error: KafkaError,
    /// The client's own words.
    pub text: &'a str,
    /// How the log was truncated, when the leader has said so.
    pub truncation: Option<LogTruncation>,
}

/// A log that the client had read further than the new leader has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogTruncation {
    /// Up to where the client had read what the old leader wrote.
    pub from: i64,
    /// Epoch of the last record of that.
    pub epoch: i32,
    /// Where that ends now.
    pub to: i64,
}

/// What a fault means for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The offset asked for does not exist: the log was truncated, or its start moved.
    OutOfRange,
    /// The epoch of the last record ends below it: the log was truncated.
    Truncated,
    /// A batch's checksum does not match its bytes, or does, and they cannot be unpacked.
    Corrupt,
    /// The topic or the partition is gone.
    Gone,
    /// We may not read here.
    Refused,
    /// Anything else: the client tries again by itself.
    Passing,
}

/// What an error that came instead of a record means.
///
/// # Safety
/// The message is alive for as long as the fault is used.
pub(crate) unsafe fn fault<'a>(message: *const rdk::rd_kafka_message_t, code: Code) -> Fault<'a> {
    let kind = match code {
        Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET | Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE => {
            FaultKind::OutOfRange
        }
        Code::RD_KAFKA_RESP_ERR__LOG_TRUNCATION => FaultKind::Truncated,
        Code::RD_KAFKA_RESP_ERR__BAD_MSG
        | Code::RD_KAFKA_RESP_ERR_INVALID_MSG
        | Code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION
        // A codec or a format that there is not.
        | Code::RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED => FaultKind::Corrupt,
        code if codes::error(code).is_unknown_topic() => FaultKind::Gone,
        code if codes::error(code).is_denied() => FaultKind::Refused,
        _ => FaultKind::Passing,
    };
    // SAFETY: the message is alive; its text, if it has one, is NUL-terminated and lives as long.
    let (offset, text) = unsafe {
        let text = rdk::rd_kafka_message_errstr(message);
        let text = if text.is_null() { "" } else { CStr::from_ptr(text).to_str().unwrap_or("") };
        ((*message).offset, text)
    };
    let truncation = truncation(text);
    let kind = match kind {
        _ if truncation.is_some() => FaultKind::Truncated,
        // Of a snappy batch that claims to be larger than there is memory, the client says that there is no memory.
        FaultKind::Passing if text.starts_with("Decompression ") => FaultKind::Corrupt,
        kind => kind,
    };
    Fault { offset, kind, error: codes::error(code), text, truncation }
}

/// The end of the last record's epoch, which the client tells in words only: without it, a log that was written
/// again beyond the reader's place looks as if nothing had happened.
fn truncation(text: &str) -> Option<LogTruncation> {
    let rest = text.strip_prefix("Partition log truncation detected at offset ")?;
    let (from, rest) = rest.split_once(" (leader epoch ")?;
    let (epoch, rest) = rest.split_once(')')?;
    let to = rest.split_once("broker end offset is ")?.1.split_once(' ')?.0;
    let (from, epoch, to) = (from.parse().ok()?, epoch.parse().ok()?, to.parse().ok()?);
    (0 <= to && to < from).then_some(LogTruncation { from, epoch, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_is_read_from_the_client_s_words() {
        let text = "Partition log truncation detected at offset 350 (leader epoch 3): broker end offset is 200 \
                    (offset leader epoch 0). Reset to INVALID.: Local: Partition log truncation detected (broker 1)";
        assert_eq!(truncation(text), Some(LogTruncation { from: 350, epoch: 3, to: 200 }));
        assert_eq!(truncation("No epoch found less or equal to offset 9: broker end offset is -1 (x)"), None);
        assert_eq!(truncation("fetch failed due to requested offset not available on the broker"), None);
        assert_eq!(truncation(""), None);
    }
}
