//! Brokers' error codes, as far as the machines here have to tell them apart
//! (`org.apache.kafka.common.protocol.Errors`).

/// No error.
pub const NONE: i16 = 0;
/// The place asked for is not in the log, or the broker cannot tell (see [`super::source`]).
pub const OFFSET_OUT_OF_RANGE: i16 = 1;
/// The broker itself found a batch that does not fit its checksum, or that it cannot walk over.
pub const CORRUPT_MESSAGE: i16 = 2;
/// The topic, or the partition, is not there, or not yet, or its leader is only just taking it over.
pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
/// There is no leader just now.
pub const LEADER_NOT_AVAILABLE: i16 = 5;
/// Another broker leads the partition.
pub const NOT_LEADER_OR_FOLLOWER: i16 = 6;
/// The broker itself gave up.
pub const REQUEST_TIMED_OUT: i16 = 7;
/// The replica is not there just now.
pub const REPLICA_NOT_AVAILABLE: i16 = 9;
/// We have no right to the topic.
pub const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
/// We have no right to the cluster.
pub const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
/// The broker does not speak this version of the request.
pub const UNSUPPORTED_VERSION: i16 = 35;
/// The disk failed; another replica will lead.
pub const KAFKA_STORAGE_ERROR: i16 = 56;
/// The leader's epoch that was sent is older than the broker's.
pub const FENCED_LEADER_EPOCH: i16 = 74;
/// The leader's epoch that was sent is newer than the broker's.
pub const UNKNOWN_LEADER_EPOCH: i16 = 75;
/// A new leader does not know yet what is replicated.
pub const OFFSET_NOT_AVAILABLE: i16 = 78;
/// No topic has this id.
pub const UNKNOWN_TOPIC_ID: i16 = 100;
/// The topic with this name has another id.
pub const INCONSISTENT_TOPIC_ID: i16 = 103;

/// What an answer about a partition that is not itself the answer means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
pub fn kind(code: i16) -> Kind {
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
