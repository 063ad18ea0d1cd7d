//! What goes wrong with a partition that is being read.

use std::ffi::CStr;

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use super::KafkaError;

/// What went wrong with a partition.
#[derive(Clone, Copy, Debug)]
pub struct Fault<'a> {
    /// The partition; negative when it is none in particular.
    pub partition: i32,
    /// The kind.
    pub kind: FaultKind,
    /// The code.
    pub error: KafkaError,
    /// The client's own words.
    pub text: &'a str,
}

/// What a fault means for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The offset asked for does not exist: the log was cut, or its start moved.
    OutOfRange,
    /// The epoch of the last record ends below it: the log was cut.
    Truncated,
    /// A batch's checksum does not match its bytes.
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
pub(super) unsafe fn fault<'a>(message: *const rdk::rd_kafka_message_t, code: Code) -> Fault<'a> {
    let kind = match code {
        Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET | Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE => {
            FaultKind::OutOfRange
        }
        Code::RD_KAFKA_RESP_ERR__LOG_TRUNCATION => FaultKind::Truncated,
        Code::RD_KAFKA_RESP_ERR__BAD_MSG | Code::RD_KAFKA_RESP_ERR_INVALID_MSG => FaultKind::Corrupt,
        code if KafkaError::new(code).is_unknown_topic() => FaultKind::Gone,
        code if KafkaError::new(code).is_refusal() => FaultKind::Refused,
        _ => FaultKind::Passing,
    };
    // SAFETY: the message is alive; its text, if it has one, is NUL-terminated and lives as long.
    let (partition, text) = unsafe {
        let text = rdk::rd_kafka_message_errstr(message);
        ((*message).partition, if text.is_null() { "" } else { CStr::from_ptr(text).to_str().unwrap_or("") })
    };
    Fault { partition, kind, error: KafkaError::new(code), text }
}
