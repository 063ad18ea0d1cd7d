//! Kafka's and the client's error codes, as values that can be shown and matched.

use std::{ffi::CStr, fmt};

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};
use thiserror::Error;

use crate::config;

/// An error that a broker answered, or that the client made up in its stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KafkaError(Code);

impl KafkaError {
    pub(crate) fn new(code: Code) -> Self {
        Self(code)
    }

    pub(crate) fn check(code: Code) -> Result<(), Self> {
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(Self(code)) }
    }

    /// The error with this number, where there is one.
    #[cfg(test)]
    pub(crate) fn of_number(number: i32) -> Option<Self> {
        Code::try_from(number).ok().map(Self)
    }

    /// The error of a topic that is not there.
    #[must_use]
    pub fn unknown_topic() -> Self {
        Self(Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
    }

    /// The error of a question that was not answered.
    #[must_use]
    pub fn timed_out() -> Self {
        Self(Code::RD_KAFKA_RESP_ERR__TIMED_OUT)
    }

    /// What it means for whoever met it: the one place that judges codes.
    #[must_use]
    pub fn class(self) -> ErrorClass {
        match self.0 {
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID
            | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
            | Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION => ErrorClass::TopicUnknown,
            code if is_transient(code) => ErrorClass::Transient,
            code if is_invalid(code) => ErrorClass::Invalid,
            Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED => ErrorClass::Refused,
            Code::RD_KAFKA_RESP_ERR__AUTHENTICATION
            | Code::RD_KAFKA_RESP_ERR__SSL
            | Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM
            | Code::RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE
            | Code::RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_EXPIRED => ErrorClass::NotAdmitted,
            Code::RD_KAFKA_RESP_ERR__FENCED
            | Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED
            | Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH
            | Code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID => ErrorClass::Fenced,
            Code::RD_KAFKA_RESP_ERR__PURGE_QUEUE
            | Code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
            | Code::RD_KAFKA_RESP_ERR__DESTROY
            | Code::RD_KAFKA_RESP_ERR__FATAL => ErrorClass::Abandoned,
            _ => ErrorClass::Other,
        }
    }

    /// Whether the topic or the partition is not there.
    #[must_use]
    pub fn is_unknown_topic(self) -> bool {
        self.class() == ErrorClass::TopicUnknown
    }

    /// Whether no coordinator knows the group.
    #[must_use]
    pub fn is_unknown_group(self) -> bool {
        matches!(self.0, Code::RD_KAFKA_RESP_ERR__UNKNOWN_GROUP | Code::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
    }

    /// Whether the client let go of a record because the topic, or its partition, was gone from the cluster's answer. One
    /// such answer is enough, and a broker that comes up may give it; who watches the topics says it when one was
    /// deleted. What was under way then has the other code (as a living client gives it; seen in librdkafka 2.12.1).
    #[must_use]
    pub fn is_let_go(self) -> bool {
        self.is_unknown_topic() || self.0 == Code::RD_KAFKA_RESP_ERR__DESTROY
    }

    /// Whether the client was told to let go of a record, or does so because its transaction is aborted.
    #[must_use]
    pub fn is_given_up(self) -> bool {
        self.class() == ErrorClass::Abandoned && !self.is_let_go()
    }

    /// Whether the connection itself was refused, by them or by us.
    #[must_use]
    pub fn is_no_admission(self) -> bool {
        self.class() == ErrorClass::NotAdmitted
    }

    /// Whether a send was refused for the client's state of the moment only: between transactions, or after an answer
    /// without the topic. One is enough, and a broker that comes up may give it; who watches the topics says it when
    /// one was deleted.
    #[must_use]
    pub fn is_passing(self) -> bool {
        self.is_unknown_topic()
            || matches!(self.0, Code::RD_KAFKA_RESP_ERR__STATE | Code::RD_KAFKA_RESP_ERR__IN_PROGRESS)
    }

    /// Whether another producer has taken this one's place.
    #[must_use]
    pub fn is_fenced(self) -> bool {
        self.class() == ErrorClass::Fenced
    }

    /// Whether the same question may get another answer later: nobody was reached, or nobody was in charge.
    #[must_use]
    pub fn is_passing_answer(self) -> bool {
        self.class() == ErrorClass::Transient
    }

    /// Whether it says no more than that the broker refused a batch for this record, or for another one of it.
    pub(crate) fn is_vague(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR__INVALID_DIFFERENT_RECORD | Code::RD_KAFKA_RESP_ERR_INVALID_RECORD
        )
    }

    /// Whether a record, a batch or a request was larger than it may be.
    #[must_use]
    pub fn is_about_size(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
                | Code::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE
                | Code::RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE
        )
    }

    /// Whether a record's timestamp was refused.
    #[must_use]
    pub fn is_about_time(self) -> bool {
        self.0 == Code::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP
    }

    /// Whether the brokers do not take this compression.
    #[must_use]
    pub fn is_about_codec(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE
                | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT
        )
    }

    /// Whether the cluster has forgotten the producer's transactional id.
    #[must_use]
    pub fn is_expired_transactional_id(self) -> bool {
        self.0 == Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING
    }

    /// Whether the cluster, or the client, has no such request.
    #[must_use]
    pub fn is_unsupported(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION
        )
    }

    /// Whether a group does not take a member in, as it stands now: it is full, or others in it have another protocol
    /// or assignor, or its coordinator does not take the member's settings.
    #[must_use]
    pub fn is_group_refusal(self) -> bool {
        self.is_full_group()
            || self.is_bad_session()
            || matches!(
                self.0,
                Code::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL
                    | Code::RD_KAFKA_RESP_ERR__UNKNOWN_PROTOCOL
                    | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_ASSIGNOR
                    | Code::RD_KAFKA_RESP_ERR_UNRELEASED_INSTANCE_ID
                    | Code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID
                    | Code::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND
            )
    }

    /// Whether a group has as many members as the brokers allow.
    #[must_use]
    pub fn is_full_group(self) -> bool {
        self.0 == Code::RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED
    }

    /// Whether a member's settings are out of the brokers' range, whatever else is in its group.
    #[must_use]
    pub fn is_bad_session(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT | Code::RD_KAFKA_RESP_ERR_INVALID_GROUP_ID
        )
    }

    /// The error of a group with as many members as it may have.
    #[cfg(test)]
    pub(crate) fn full_group() -> Self {
        Self(Code::RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED)
    }

    /// The error of a session that is too short or too long.
    #[cfg(test)]
    pub(crate) fn bad_session() -> Self {
        Self(Code::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT)
    }

    /// Whether asking again cannot help: the cluster knows us and says no. What goes wrong with TLS may pass, and is not
    /// among it.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        matches!(self.class(), ErrorClass::Refused | ErrorClass::NotAdmitted)
            && self.0 != Code::RD_KAFKA_RESP_ERR__SSL
            || self.0 == Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION
    }
}

/// An error, and what was said with it: empty when that was nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The error.
    pub error: KafkaError,
    /// The words of the broker, or of the client.
    pub words: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, words } = self;
        // Of who has taken a producer's place the client knows nothing: in its words it is always a newer one.
        let has_words = !words.is_empty() && !error.is_fenced();
        if has_words { write!(formatter, "{error}: {words}") } else { write!(formatter, "{error}") }
    }
}

impl From<KafkaError> for Reason {
    fn from(error: KafkaError) -> Self {
        Self { error, words: String::new() }
    }
}

/// What an error means for whoever met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// It passes: Kafka calls it retriable, or nobody was reached, or the client is in between. Waited for without limit.
    Transient,
    /// It says something about what was sent or asked, and will say it of the same thing for ever.
    Invalid,
    /// The cluster knows us, and we have no right to that.
    Refused,
    /// The brokers do not let us in, or we do not trust them.
    NotAdmitted,
    /// Another client has taken this one's place.
    Fenced,
    /// The topic or the partition is not there. One answer is not enough to believe that.
    TopicUnknown,
    /// The client let go of it, and the cause lies elsewhere.
    Abandoned,
    /// Anything else: a broker may say it in passing. Permanent when it lasts ([`Patience`](crate::findings::Patience)).
    Other,
}

/// What passes. Of brokers' codes those whose exception in Kafka's own client is a `RetriableException`
/// (`org.apache.kafka.common.protocol.Errors` of 4.1), the topics' ones aside, and those that a group's members have
/// while it changes, which they get over by joining anew.
fn is_transient(code: Code) -> bool {
    matches!(
        code,
        Code::RD_KAFKA_RESP_ERR_INVALID_MSG
            | Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION
            | Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT
            | Code::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION
            | Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS
            | Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR
            | Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS
            | Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | Code::RD_KAFKA_RESP_ERR_NOT_CONTROLLER
            | Code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS
            | Code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR
            | Code::RD_KAFKA_RESP_ERR_FETCH_SESSION_ID_NOT_FOUND
            | Code::RD_KAFKA_RESP_ERR_INVALID_FETCH_SESSION_EPOCH
            | Code::RD_KAFKA_RESP_ERR_LISTENER_NOT_FOUND
            | Code::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH
            | Code::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH
            | Code::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_ELECTION_NOT_NEEDED
            | Code::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT
            | Code::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED
            | Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION
            | Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID
            | Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS
            | Code::RD_KAFKA_RESP_ERR_MEMBER_ID_REQUIRED
            | Code::RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH
            | Code::RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH
            | Code::RD_KAFKA_RESP_ERR__TRANSPORT
            | Code::RD_KAFKA_RESP_ERR__RESOLVE
            | Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT
            | Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
            | Code::RD_KAFKA_RESP_ERR__TIMED_OUT
            | Code::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE
            | Code::RD_KAFKA_RESP_ERR__QUEUE_FULL
            | Code::RD_KAFKA_RESP_ERR__ISR_INSUFF
            | Code::RD_KAFKA_RESP_ERR__NODE_UPDATE
            | Code::RD_KAFKA_RESP_ERR__WAIT_COORD
            | Code::RD_KAFKA_RESP_ERR__WAIT_CACHE
            | Code::RD_KAFKA_RESP_ERR__IN_PROGRESS
            | Code::RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS
            | Code::RD_KAFKA_RESP_ERR__STATE
            | Code::RD_KAFKA_RESP_ERR__INTR
            | Code::RD_KAFKA_RESP_ERR__RETRY
            | Code::RD_KAFKA_RESP_ERR__OUTDATED
            | Code::RD_KAFKA_RESP_ERR__UNKNOWN_BROKER
            | Code::RD_KAFKA_RESP_ERR__DESTROY_BROKER
            | Code::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST
    )
}

/// What says something about what was sent or asked: whoever sends the same gets the same.
fn is_invalid(code: Code) -> bool {
    matches!(
        code,
        Code::RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE
            | Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
            | Code::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE
            | Code::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE
            | Code::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE
            | Code::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP
            | Code::RD_KAFKA_RESP_ERR_INVALID_RECORD
            | Code::RD_KAFKA_RESP_ERR__INVALID_DIFFERENT_RECORD
            | Code::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS
            | Code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION
            | Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION
            | Code::RD_KAFKA_RESP_ERR_INVALID_PARTITIONS
            | Code::RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR
            | Code::RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT
            | Code::RD_KAFKA_RESP_ERR_INVALID_CONFIG
            | Code::RD_KAFKA_RESP_ERR_INVALID_GROUP_ID
            | Code::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT
            | Code::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT
            | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION
            | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT
            | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE
            | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_ASSIGNOR
            | Code::RD_KAFKA_RESP_ERR__INVALID_ARG
            | Code::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE
            | Code::RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED
            | Code::RD_KAFKA_RESP_ERR__UNKNOWN_PROTOCOL
            | Code::RD_KAFKA_RESP_ERR__KEY_SERIALIZATION
            | Code::RD_KAFKA_RESP_ERR__VALUE_SERIALIZATION
    )
}
/// What it means that a producer's epoch is not valid any more.
const FENCED: &str =
    "another producer has the transactional id now, or the cluster timed the transaction out";

impl fmt::Display for KafkaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: both functions take any code and return a static, NUL-terminated string.
        let (name, text) = unsafe {
            (CStr::from_ptr(rdk::rd_kafka_err2name(self.0)), CStr::from_ptr(rdk::rd_kafka_err2str(self.0)))
        };
        let (text, name) = (text.to_string_lossy(), name.to_string_lossy());
        if self.is_fenced() && self.0 != Code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID {
            // In librdkafka's words it is another instance in any case.
            return write!(formatter, "{FENCED} ({name})");
        }
        write!(formatter, "{text} ({name})")
    }
}

/// A setting's value, unless it may be a secret: also of a name that was misspelt.
fn shown<'a>(key: &str, value: &'a str) -> &'a str {
    let key = key.to_lowercase();
    let is_like_one = ["pass", "pem", "key", "oauth"].iter().any(|word| key.contains(word));
    if (is_like_one || config::is_secret(&key)) && !value.is_empty() { "***" } else { value }
}

/// Why a client could not be made.
#[derive(Debug, Error)]
pub enum ClientError {
    /// A setting that librdkafka does not take.
    #[error("client setting {key}={}: {}", shown(key, value), reason.replace(value.as_str(), shown(key, value)))]
    Setting {
        /// The setting's name.
        key: String,
        /// The value that it was given.
        value: String,
        /// What librdkafka said.
        reason: String,
    },
    /// Settings that librdkafka takes one by one, and not together.
    #[error(
        "the client library refuses these settings together: {reason}: change what -X or --client-config adds"
    )]
    Combination {
        /// What librdkafka said.
        reason: String,
    },
    /// The client itself.
    #[error("the Kafka client could not be started: {0}")]
    Start(String),
    /// The bearer token.
    #[error("the bearer token cannot be used: {0}")]
    Token(String),
    /// The way from the client's queue to the executor.
    #[error("the Kafka client's wake-up could not be set up: {0}")]
    Wake(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By class: brokers' codes by their numbers in Kafka's protocol, and librdkafka's own below -1.
    const CLASSES: [(ErrorClass, &[i32]); 7] = [
        (
            ErrorClass::Transient,
            &[
                2, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 22, 25, 27, 41, 51, 56, 70, 71, 72, 74, 75, 78, 79,
                80, 83, 84, 88, 89, 110, 113, -195, -193, -192, -187, -185, -184, -183, -182, -180, -178,
                -177, -172, -167, -166, -164, -163, -153, -146, -142, -137,
            ],
        ),
        (
            ErrorClass::Invalid,
            &[
                4, 10, 12, 17, 18, 21, 24, 26, 28, 32, 35, 37, 38, 39, 40, 43, 44, 50, 76, 87, 112, -186,
                -171, -170, -165, -162, -161, -138,
            ],
        ),
        (ErrorClass::Refused, &[29, 30, 31, 53, 65]),
        (ErrorClass::NotAdmitted, &[33, 34, 58, 66, -181, -169]),
        (ErrorClass::Fenced, &[47, 82, 90, -144]),
        (ErrorClass::TopicUnknown, &[3, 100, -190, -188]),
        (ErrorClass::Abandoned, &[-197, -152, -151, -150]),
    ];

    /// What extends `RetriableException` in Kafka 4.1, of the codes that librdkafka knows.
    const KAFKA_RETRIES: [i32; 27] = [
        2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88, 89, 100,
    ];

    fn every_code() -> impl Iterator<Item = (i32, KafkaError)> {
        (-200..200).filter_map(|number| Some((number, KafkaError::new(Code::try_from(number).ok()?))))
    }

    #[test]
    fn every_code_has_its_class() {
        for (number, error) in every_code() {
            let listed = CLASSES.iter().find(|(_, codes)| codes.contains(&number));
            assert_eq!(
                error.class(),
                listed.map_or(ErrorClass::Other, |(class, _)| *class),
                "{number}: {error}"
            );
        }
    }

    #[test]
    fn what_kafka_retries_passes() {
        for (number, error) in every_code().filter(|(number, _)| KAFKA_RETRIES.contains(number)) {
            let passes = matches!(error.class(), ErrorClass::Transient | ErrorClass::TopicUnknown);
            assert!(passes, "{number}: {error}");
        }
    }

    #[test]
    fn questions_follow_the_class() {
        let is = |question: fn(KafkaError) -> bool| {
            every_code().filter(|(_, error)| question(*error)).map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert_eq!(is(KafkaError::is_given_up), [-152, -151, -150]);
        assert_eq!(is(KafkaError::is_let_go), [-197, -190, -188, 3, 100]);
        assert_eq!(is(KafkaError::is_refusal), [-169, 17, 29, 30, 31, 33, 34, 53, 58, 65, 66]);
    }

    #[test]
    fn a_send_is_not_refused_for_good_by_what_passes() {
        let passes = |code| KafkaError::new(code).is_passing();
        assert!(passes(Code::RD_KAFKA_RESP_ERR__STATE) && KafkaError::unknown_topic().is_passing());
        assert!(passes(Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC));
        assert!(!passes(Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED));
        assert!(!passes(Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE));
    }

    #[test]
    fn a_time_out_of_our_own_is_no_newer_instance() {
        for code in [Code::RD_KAFKA_RESP_ERR__FENCED, Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH] {
            let text = KafkaError::new(code).to_string();
            assert!(text.contains("timed the transaction out") && !text.contains("newer instance"), "{text}");
        }
    }

    #[test]
    fn secrets_do_not_show_where_a_setting_is_refused() {
        let refused = |key: &str, value: &str| {
            let reason = format!("no such thing as \"{value}\"");
            ClientError::Setting { key: key.into(), value: value.into(), reason }.to_string()
        };
        let shown = refused("sasl.passwrod", "hunter2");
        assert_eq!(shown, "client setting sasl.passwrod=***: no such thing as \"***\"");
        assert!(!refused("SASL.Password", "hunter2").contains("hunter2"));
        assert!(refused("linger.ms", "abc").starts_with("client setting linger.ms=abc: "));
        assert!(refused("sasl.password", "").starts_with("client setting sasl.password=: "));
    }
}
