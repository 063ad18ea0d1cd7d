//! Kafka's and the client's errors, as values that can be shown and matched.

mod broker;
mod client;
mod local;

use std::fmt;

pub(crate) use broker::code;
pub use client::ClientError;
pub(crate) use local::LocalError;

/// An error that a broker answered, or that the client made up in its stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaError {
    /// A broker's code, as Kafka's protocol numbers it; never 0.
    Broker(i16),
    /// The client's own.
    Local(LocalError),
}

/// The client's name for a group protocol, or an assignor, that it does not know.
pub(crate) const UNKNOWN_PROTOCOL: &str = "UNKNOWN_PROTOCOL";

impl KafkaError {
    /// What a broker's code means: 0 is no error.
    ///
    /// # Errors
    /// The error that the code stands for.
    pub fn check(code: i16) -> Result<(), Self> {
        if code == 0 { Ok(()) } else { Err(Self::Broker(code)) }
    }

    /// The error of a topic that is not there.
    #[must_use]
    pub fn unknown_topic() -> Self {
        Self::Broker(code::UNKNOWN_TOPIC_OR_PARTITION)
    }

    /// The error of a question that was not answered.
    #[must_use]
    pub fn timed_out() -> Self {
        Self::Local(LocalError::TimedOut)
    }

    /// One of each that there is, brokers' first.
    #[cfg(test)]
    pub(crate) fn every() -> impl Iterator<Item = Self> {
        let codes = (-1..i16::try_from(broker::COUNT).unwrap_or(0) - 1).filter(|code| *code != 0);
        codes.map(Self::Broker).chain(LocalError::ALL.map(Self::Local))
    }

    /// What it means for whoever met it: the one place that judges errors.
    #[must_use]
    pub fn class(self) -> ErrorClass {
        match self {
            Self::Broker(code) => class_of_code(code),
            Self::Local(error) => class_of_local(error),
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
        matches!(self, Self::Local(LocalError::UnknownGroup) | Self::Broker(code::GROUP_ID_NOT_FOUND))
    }

    /// Whether the client let go of a record because the topic, or its partition, was gone from the cluster's answer. One
    /// such answer is enough, and a broker that comes up may give it; who watches the topics says it when one was
    /// deleted. What was under way then has the other code (as a living client gives it; seen in librdkafka 2.12.1).
    #[must_use]
    pub fn is_dropped_with_topic(self) -> bool {
        self.is_unknown_topic() || self == Self::Local(LocalError::Destroyed)
    }

    /// Whether the client was told to let go of a record, or does so because its transaction is aborted.
    #[must_use]
    pub fn is_purged(self) -> bool {
        self.class() == ErrorClass::Purged && !self.is_dropped_with_topic()
    }

    /// Whether a client says by this only that it lets go of a record: the reason lies elsewhere.
    #[must_use]
    pub fn is_consequence(self) -> bool {
        self.is_dropped_with_topic() || self.is_purged()
    }

    /// Whether the connection itself was refused, by them or by us.
    #[must_use]
    pub fn is_auth_failure(self) -> bool {
        self.class() == ErrorClass::AuthFailed
    }

    /// Whether a send was refused for the client's state of the moment only: between transactions, or after an answer
    /// without the topic. One is enough, and a broker that comes up may give it; who watches the topics says it when
    /// one was deleted.
    #[must_use]
    pub fn is_transient_on_send(self) -> bool {
        self.is_unknown_topic() || matches!(self, Self::Local(LocalError::State(_)))
    }

    /// Whether another producer has taken this one's place.
    #[must_use]
    pub fn is_fenced(self) -> bool {
        self.class() == ErrorClass::Fenced
    }

    /// Whether the same question may get another answer later: nobody was reached, or nobody was in charge.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self.class() == ErrorClass::Transient
    }

    /// Whether it says no more than that the broker refused a batch for this record, or for another one of it.
    pub(crate) fn is_vague(self) -> bool {
        matches!(self, Self::Local(LocalError::DifferentRecord) | Self::Broker(code::INVALID_RECORD))
    }

    /// Whether a record, a batch or a request was larger than it may be.
    #[must_use]
    pub fn is_about_size(self) -> bool {
        matches!(
            self,
            Self::Broker(code::MESSAGE_TOO_LARGE | code::RECORD_LIST_TOO_LARGE | code::INVALID_FETCH_SIZE)
        )
    }

    /// Whether a record's timestamp was refused.
    #[must_use]
    pub fn is_about_time(self) -> bool {
        self == Self::Broker(code::INVALID_TIMESTAMP)
    }

    /// Whether the brokers do not take this compression.
    #[must_use]
    pub fn is_about_codec(self) -> bool {
        matches!(
            self,
            Self::Broker(code::UNSUPPORTED_COMPRESSION_TYPE | code::UNSUPPORTED_FOR_MESSAGE_FORMAT)
        )
    }

    /// Whether the cluster has forgotten the producer's transactional id.
    #[must_use]
    pub fn is_expired_transactional_id(self) -> bool {
        self == Self::Broker(code::INVALID_PRODUCER_ID_MAPPING)
    }

    /// Whether the cluster, or the client, has no such request.
    #[must_use]
    pub fn is_unsupported(self) -> bool {
        matches!(self, Self::Local(LocalError::Unsupported) | Self::Broker(code::UNSUPPORTED_VERSION))
    }

    /// Whether a group does not take a member in, as it stands now: it is full, or others in it have another protocol
    /// or assignor, or its coordinator does not take the member's settings.
    #[must_use]
    pub fn is_group_refusal(self) -> bool {
        self.is_full_group()
            || self.is_bad_session()
            || matches!(
                self,
                Self::Local(LocalError::NotImplemented(UNKNOWN_PROTOCOL))
                    | Self::Broker(
                        code::INCONSISTENT_GROUP_PROTOCOL
                            | code::UNSUPPORTED_ASSIGNOR
                            | code::UNRELEASED_INSTANCE_ID
                            | code::FENCED_INSTANCE_ID
                            | code::GROUP_ID_NOT_FOUND
                    )
            )
    }

    /// Whether a group has as many members as the brokers allow.
    #[must_use]
    pub fn is_full_group(self) -> bool {
        self == Self::Broker(code::GROUP_MAX_SIZE_REACHED)
    }

    /// Whether a member's settings are out of the brokers' range, whatever else is in its group.
    #[must_use]
    pub fn is_bad_session(self) -> bool {
        matches!(self, Self::Broker(code::INVALID_SESSION_TIMEOUT | code::INVALID_GROUP_ID))
    }

    /// The error of a group with as many members as it may have.
    #[cfg(test)]
    pub(crate) fn full_group() -> Self {
        Self::Broker(code::GROUP_MAX_SIZE_REACHED)
    }

    /// The error of a session that is too short or too long.
    #[cfg(test)]
    pub(crate) fn bad_session() -> Self {
        Self::Broker(code::INVALID_SESSION_TIMEOUT)
    }

    /// Whether asking again cannot help: the cluster knows us and says no. What goes wrong with TLS may pass, and is not
    /// among it.
    #[must_use]
    pub fn is_denied(self) -> bool {
        matches!(self.class(), ErrorClass::Denied | ErrorClass::AuthFailed)
            && self != Self::Local(LocalError::Tls)
            || self == Self::Broker(code::INVALID_TOPIC_EXCEPTION)
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
    Denied,
    /// The brokers do not let us in, or we do not trust them.
    AuthFailed,
    /// Another client has taken this one's place.
    Fenced,
    /// The topic or the partition is not there. One answer is not enough to believe that.
    TopicUnknown,
    /// The client let go of it, and the cause lies elsewhere.
    Purged,
    /// Anything else: a broker may say it in passing. Permanent when it lasts ([`Patience`](crate::findings::Patience)).
    Other,
}

fn class_of_code(code: i16) -> ErrorClass {
    match code {
        code::UNKNOWN_TOPIC_OR_PARTITION | code::UNKNOWN_TOPIC_ID => ErrorClass::TopicUnknown,
        code if TRANSIENT.contains(&code) => ErrorClass::Transient,
        code if INVALID.contains(&code) => ErrorClass::Invalid,
        code::TOPIC_AUTHORIZATION_FAILED
        | code::GROUP_AUTHORIZATION_FAILED
        | code::CLUSTER_AUTHORIZATION_FAILED
        | code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        | code::DELEGATION_TOKEN_AUTHORIZATION_FAILED => ErrorClass::Denied,
        code::SASL_AUTHENTICATION_FAILED
        | code::UNSUPPORTED_SASL_MECHANISM
        | code::ILLEGAL_SASL_STATE
        | code::DELEGATION_TOKEN_EXPIRED => ErrorClass::AuthFailed,
        code::PRODUCER_FENCED | code::INVALID_PRODUCER_EPOCH | code::FENCED_INSTANCE_ID => ErrorClass::Fenced,
        _ => ErrorClass::Other,
    }
}

fn class_of_local(error: LocalError) -> ErrorClass {
    match error {
        LocalError::UnknownTopic | LocalError::UnknownPartition => ErrorClass::TopicUnknown,
        LocalError::Transport
        | LocalError::Resolve
        | LocalError::RecordTimedOut
        | LocalError::TimedOut
        | LocalError::TimedOutInQueue
        | LocalError::AllBrokersDown
        | LocalError::QueueFull
        | LocalError::State(_)
        | LocalError::InBetween(_) => ErrorClass::Transient,
        LocalError::InvalidArgument
        | LocalError::NotImplemented(_)
        | LocalError::Unsupported
        | LocalError::DifferentRecord => ErrorClass::Invalid,
        LocalError::Tls | LocalError::Authentication => ErrorClass::AuthFailed,
        LocalError::Fenced => ErrorClass::Fenced,
        LocalError::PurgedInQueue
        | LocalError::PurgedInFlight
        | LocalError::Destroyed
        | LocalError::Fatal => ErrorClass::Purged,
        LocalError::NoOffset | LocalError::UnknownGroup | LocalError::BadMessage | LocalError::Other(_) => {
            ErrorClass::Other
        }
    }
}

/// What passes: the codes whose exception in Kafka's own client is a `RetriableException`
/// (`org.apache.kafka.common.protocol.Errors` of 4.1), those that name a topic aside, and those that members have while
/// their group changes, which they get over by joining anew.
const TRANSIENT: [i16; 34] = [
    code::CORRUPT_MESSAGE,
    code::LEADER_NOT_AVAILABLE,
    code::NOT_LEADER_OR_FOLLOWER,
    code::REQUEST_TIMED_OUT,
    code::BROKER_NOT_AVAILABLE,
    code::REPLICA_NOT_AVAILABLE,
    code::NETWORK_EXCEPTION,
    code::COORDINATOR_LOAD_IN_PROGRESS,
    code::COORDINATOR_NOT_AVAILABLE,
    code::NOT_COORDINATOR,
    code::NOT_ENOUGH_REPLICAS,
    code::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    code::NOT_CONTROLLER,
    code::CONCURRENT_TRANSACTIONS,
    code::KAFKA_STORAGE_ERROR,
    code::FETCH_SESSION_ID_NOT_FOUND,
    code::INVALID_FETCH_SESSION_EPOCH,
    code::LISTENER_NOT_FOUND,
    code::FENCED_LEADER_EPOCH,
    code::UNKNOWN_LEADER_EPOCH,
    code::OFFSET_NOT_AVAILABLE,
    code::PREFERRED_LEADER_NOT_AVAILABLE,
    code::ELIGIBLE_LEADERS_NOT_AVAILABLE,
    code::ELECTION_NOT_NEEDED,
    code::UNSTABLE_OFFSET_COMMIT,
    code::THROTTLING_QUOTA_EXCEEDED,
    code::INCONSISTENT_TOPIC_ID,
    code::FETCH_SESSION_TOPIC_ID_ERROR,
    code::ILLEGAL_GENERATION,
    code::UNKNOWN_MEMBER_ID,
    code::REBALANCE_IN_PROGRESS,
    code::MEMBER_ID_REQUIRED,
    code::FENCED_MEMBER_EPOCH,
    code::STALE_MEMBER_EPOCH,
];

/// What says something about what was sent or asked: whoever sends the same gets the same.
const INVALID: [i16; 21] = [
    code::INVALID_FETCH_SIZE,
    code::MESSAGE_TOO_LARGE,
    code::RECORD_LIST_TOO_LARGE,
    code::OFFSET_METADATA_TOO_LARGE,
    code::INVALID_COMMIT_OFFSET_SIZE,
    code::INVALID_TIMESTAMP,
    code::INVALID_RECORD,
    code::INVALID_REQUIRED_ACKS,
    code::POLICY_VIOLATION,
    code::INVALID_TOPIC_EXCEPTION,
    code::INVALID_PARTITIONS,
    code::INVALID_REPLICATION_FACTOR,
    code::INVALID_REPLICA_ASSIGNMENT,
    code::INVALID_CONFIG,
    code::INVALID_GROUP_ID,
    code::INVALID_SESSION_TIMEOUT,
    code::INVALID_TRANSACTION_TIMEOUT,
    code::UNSUPPORTED_VERSION,
    code::UNSUPPORTED_FOR_MESSAGE_FORMAT,
    code::UNSUPPORTED_COMPRESSION_TYPE,
    code::UNSUPPORTED_ASSIGNOR,
];

/// What it means that a producer's epoch is not valid any more.
const FENCED: &str =
    "another producer has the transactional id now, or the cluster timed the transaction out";

impl fmt::Display for KafkaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of who has taken its place a producer knows nothing: it may have been the cluster's clock.
        let fenced = self.is_fenced() && *self != Self::Broker(code::FENCED_INSTANCE_ID);
        match *self {
            Self::Broker(code) => match (broker::name(code), broker::words(code)) {
                (Some(name), _) if fenced => write!(formatter, "{FENCED} ({name})"),
                (Some(name), Some(words)) => write!(formatter, "{words} ({name})"),
                (Some(name), None) => write!(formatter, "the broker answered {name}"),
                (None, _) => {
                    write!(formatter, "the broker answered error {code}, which Kafka 4.1 does not have")
                }
            },
            Self::Local(error) => {
                let words = if fenced { FENCED } else { error.words() };
                write!(formatter, "{words} (client: {})", error.name())
            }
        }
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
