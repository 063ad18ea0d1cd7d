//! librdkafka's error codes, as ours: brokers' codes keep their numbers, its own lie below -1.

use std::ffi::CStr;

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use crate::kafka::{KafkaError, LocalError, UNKNOWN_PROTOCOL};

/// What a code that is one of an error means.
pub(crate) fn error(code: Code) -> KafkaError {
    let number = code as i32;
    match i16::try_from(number) {
        Ok(broker) if broker >= -1 => KafkaError::Broker(broker),
        _ => KafkaError::Local(local(code)),
    }
}

/// What a code means that may be none of an error.
///
/// # Errors
/// The error that it stands for.
pub(crate) fn check(code: Code) -> Result<(), KafkaError> {
    if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(error(code)) }
}

/// librdkafka's name for a code, without the underscore that marks its own.
fn name(code: Code) -> &'static str {
    // SAFETY: it takes any code, and returns a NUL-terminated string that is never freed.
    let name = unsafe { CStr::from_ptr(rdk::rd_kafka_err2name(code)) };
    name.to_str().unwrap_or("UNKNOWN").trim_start_matches('_')
}

fn local(code: Code) -> LocalError {
    match code {
        Code::RD_KAFKA_RESP_ERR__TRANSPORT => LocalError::Transport,
        Code::RD_KAFKA_RESP_ERR__RESOLVE => LocalError::Resolve,
        Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT => LocalError::RecordTimedOut,
        Code::RD_KAFKA_RESP_ERR__TIMED_OUT => LocalError::TimedOut,
        Code::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE => LocalError::TimedOutInQueue,
        Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN => LocalError::AllBrokersDown,
        Code::RD_KAFKA_RESP_ERR__QUEUE_FULL => LocalError::QueueFull,
        Code::RD_KAFKA_RESP_ERR__STATE | Code::RD_KAFKA_RESP_ERR__IN_PROGRESS => {
            LocalError::State(name(code))
        }
        Code::RD_KAFKA_RESP_ERR__ISR_INSUFF
        | Code::RD_KAFKA_RESP_ERR__NODE_UPDATE
        | Code::RD_KAFKA_RESP_ERR__WAIT_COORD
        | Code::RD_KAFKA_RESP_ERR__WAIT_CACHE
        | Code::RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS
        | Code::RD_KAFKA_RESP_ERR__INTR
        | Code::RD_KAFKA_RESP_ERR__RETRY
        | Code::RD_KAFKA_RESP_ERR__OUTDATED
        | Code::RD_KAFKA_RESP_ERR__UNKNOWN_BROKER
        | Code::RD_KAFKA_RESP_ERR__DESTROY_BROKER
        | Code::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST => LocalError::InBetween(name(code)),
        Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC => LocalError::UnknownTopic,
        Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION => LocalError::UnknownPartition,
        Code::RD_KAFKA_RESP_ERR__INVALID_ARG
        | Code::RD_KAFKA_RESP_ERR__KEY_SERIALIZATION
        | Code::RD_KAFKA_RESP_ERR__VALUE_SERIALIZATION => LocalError::InvalidArgument,
        Code::RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED => LocalError::NotImplemented(name(code)),
        Code::RD_KAFKA_RESP_ERR__UNKNOWN_PROTOCOL => LocalError::NotImplemented(UNKNOWN_PROTOCOL),
        Code::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE => LocalError::Unsupported,
        Code::RD_KAFKA_RESP_ERR__INVALID_DIFFERENT_RECORD => LocalError::DifferentRecord,
        Code::RD_KAFKA_RESP_ERR__SSL => LocalError::Tls,
        Code::RD_KAFKA_RESP_ERR__AUTHENTICATION => LocalError::Authentication,
        Code::RD_KAFKA_RESP_ERR__FENCED => LocalError::Fenced,
        Code::RD_KAFKA_RESP_ERR__PURGE_QUEUE => LocalError::PurgedInQueue,
        Code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT => LocalError::PurgedInFlight,
        Code::RD_KAFKA_RESP_ERR__DESTROY => LocalError::Destroyed,
        Code::RD_KAFKA_RESP_ERR__FATAL => LocalError::Fatal,
        Code::RD_KAFKA_RESP_ERR__NO_OFFSET => LocalError::NoOffset,
        Code::RD_KAFKA_RESP_ERR__UNKNOWN_GROUP => LocalError::UnknownGroup,
        Code::RD_KAFKA_RESP_ERR__BAD_MSG => LocalError::BadMessage,
        code => LocalError::Other(name(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ErrorClass;

    /// librdkafka's own codes by class; what is not listed is [`ErrorClass::Other`].
    const CLASSES: [(ErrorClass, &[i32]); 6] = [
        (
            ErrorClass::Transient,
            &[
                -195, -193, -192, -187, -185, -184, -183, -182, -180, -178, -177, -172, -167, -166, -164,
                -163, -153, -146, -142, -137,
            ],
        ),
        (ErrorClass::Invalid, &[-186, -171, -170, -165, -162, -161, -138]),
        (ErrorClass::AuthFailed, &[-181, -169]),
        (ErrorClass::Fenced, &[-144]),
        (ErrorClass::TopicUnknown, &[-190, -188]),
        (ErrorClass::Purged, &[-197, -152, -151, -150]),
    ];

    fn every_code() -> impl Iterator<Item = (i32, KafkaError)> {
        (-200..200).filter_map(|number| Some((number, error(Code::try_from(number).ok()?))))
    }

    #[test]
    fn every_code_of_its_own_has_its_class() {
        for (number, error) in every_code().filter(|(number, _)| *number < -1) {
            let listed = CLASSES.iter().find(|(_, codes)| codes.contains(&number));
            let class = listed.map_or(ErrorClass::Other, |(class, _)| *class);
            assert_eq!(error.class(), class, "{number}: {error}");
        }
    }

    #[test]
    fn codes_of_brokers_keep_their_numbers() {
        for (number, error) in every_code().filter(|(number, _)| *number >= -1) {
            assert_eq!(error, KafkaError::Broker(i16::try_from(number).unwrap()));
        }
        assert_eq!(check(Code::RD_KAFKA_RESP_ERR_NO_ERROR), Ok(()));
        let unknown = Code::RD_KAFKA_RESP_ERR_UNKNOWN;
        assert_eq!(check(unknown), Err(KafkaError::Broker(-1)));
    }

    #[test]
    fn questions_of_its_own_codes_follow_the_class() {
        let is = |question: fn(KafkaError) -> bool| {
            let own = every_code().filter(|(number, error)| *number < -1 && question(*error));
            own.map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert_eq!(is(KafkaError::is_purged), [-152, -151, -150]);
        assert_eq!(is(KafkaError::is_dropped_with_topic), [-197, -190, -188]);
        assert_eq!(is(KafkaError::is_denied), [-169]);
        assert_eq!(is(KafkaError::is_transient_on_send), [-190, -188, -178, -172]);
    }

    #[test]
    fn its_own_names_show_without_its_underscore() {
        let text = error(Code::RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED).to_string();
        assert_eq!(text, "the client failed (client: MAX_POLL_EXCEEDED)");
    }
}
