use super::*;

/// Brokers' codes by class; what is not listed is [`ErrorClass::Other`].
const CLASSES: [(ErrorClass, &[i16]); 6] = [
    (
        ErrorClass::Transient,
        &[
            2, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 22, 25, 27, 41, 51, 56, 70, 71, 72, 74, 75, 78, 79, 80,
            83, 84, 88, 89, 103, 106, 110, 113,
        ],
    ),
    (
        ErrorClass::Invalid,
        &[4, 10, 12, 17, 18, 21, 24, 26, 28, 32, 35, 37, 38, 39, 40, 43, 44, 50, 76, 87, 112],
    ),
    (ErrorClass::Denied, &[29, 30, 31, 53, 65]),
    (ErrorClass::AuthFailed, &[33, 34, 58, 66]),
    (ErrorClass::Fenced, &[47, 82, 90]),
    (ErrorClass::TopicUnknown, &[3, 100]),
];

/// What extends `RetriableException` in Kafka 4.1, share groups aside.
const KAFKA_RETRIES: [i16; 29] = [
    2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88, 89, 100,
    103, 106,
];

fn every_code() -> impl Iterator<Item = i16> {
    (-1..i16::try_from(broker::COUNT).unwrap() - 1).filter(|code| *code != 0)
}

#[test]
fn every_code_has_its_class() {
    for code in every_code() {
        let listed = CLASSES.iter().find(|(_, codes)| codes.contains(&code));
        let class = listed.map_or(ErrorClass::Other, |(class, _)| *class);
        assert_eq!(KafkaError::Broker(code).class(), class, "{code}");
    }
}

#[test]
fn what_kafka_retries_passes() {
    for code in KAFKA_RETRIES {
        let class = KafkaError::Broker(code).class();
        assert!(matches!(class, ErrorClass::Transient | ErrorClass::TopicUnknown), "{code}");
    }
}

#[test]
fn questions_follow_the_class() {
    let is = |question: fn(KafkaError) -> bool| {
        every_code().filter(|code| question(KafkaError::Broker(*code))).collect::<Vec<_>>()
    };
    assert!(is(KafkaError::is_purged).is_empty());
    assert_eq!(is(KafkaError::is_dropped_with_topic), [3, 100]);
    assert_eq!(is(KafkaError::is_denied), [17, 29, 30, 31, 33, 34, 53, 58, 65, 66]);
    assert_eq!(
        is(KafkaError::is_transient_on_send),
        [3, 100],
        "a send is not refused for good by what passes"
    );
}

#[test]
fn codes_and_errors_of_the_client_are_shown_by_name() {
    let shown = |error: KafkaError| error.to_string();
    assert_eq!(
        shown(KafkaError::Broker(10)),
        "the record or batch is larger than the topic allows (MESSAGE_TOO_LARGE)"
    );
    assert_eq!(shown(KafkaError::Broker(77)), "the broker answered STALE_BROKER_EPOCH");
    assert_eq!(
        shown(KafkaError::Broker(999)),
        "the broker answered error 999, which Kafka 4.1 does not have"
    );
    assert_eq!(shown(KafkaError::timed_out()), "no answer in time (client: TIMED_OUT)");
    for error in LocalError::ALL {
        assert!(!error.name().is_empty() && !error.words().is_empty(), "{error:?}");
    }
}

#[test]
fn a_code_of_zero_is_no_error() {
    assert_eq!(KafkaError::check(0), Ok(()));
    assert_eq!(KafkaError::check(3), Err(KafkaError::unknown_topic()));
}

#[test]
fn a_time_out_of_our_own_is_no_newer_instance() {
    for error in [KafkaError::Local(LocalError::Fenced), KafkaError::Broker(code::INVALID_PRODUCER_EPOCH)] {
        let text = error.to_string();
        assert!(text.contains("timed the transaction out") && !text.contains("newer instance"), "{text}");
    }
}
