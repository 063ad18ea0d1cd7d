//! What brokers' error codes mean to the machines here.

pub(crate) use crate::kafka::code::*;

/// What an answer about a partition that is not itself the answer means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The leader is another one, or is only just becoming one: look who leads, and ask again.
    Leadership,
    /// The topic or the partition is not there. One answer is not enough to believe that: look, and ask again.
    Gone,
    /// We are not allowed to, or the request is not spoken: the same question has the same answer.
    Refused,
    /// Anything else: ask again after a while.
    Other,
}

/// What an error means.
#[must_use]
pub(crate) fn kind(code: i16) -> Kind {
    match code {
        LEADER_NOT_AVAILABLE
        | NOT_LEADER_OR_FOLLOWER
        | REPLICA_NOT_AVAILABLE
        | KAFKA_STORAGE_ERROR
        | FENCED_LEADER_EPOCH
        | UNKNOWN_LEADER_EPOCH
        | OFFSET_NOT_AVAILABLE => Kind::Leadership,
        UNKNOWN_TOPIC_OR_PARTITION | UNKNOWN_TOPIC_ID | INCONSISTENT_TOPIC_ID => Kind::Gone,
        TOPIC_AUTHORIZATION_FAILED | CLUSTER_AUTHORIZATION_FAILED | UNSUPPORTED_VERSION => Kind::Refused,
        _ => Kind::Other,
    }
}
