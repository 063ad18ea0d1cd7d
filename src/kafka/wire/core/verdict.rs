//! What a broker's answer to a batch means for the batch.

use super::code;

/// How a batch stands in its partition when its answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Everything before it has been settled.
    pub is_first: bool,
    /// The same leader has acked something behind it: so it is in the log.
    pub is_below_acked: bool,
    /// Another leader has acked what was before it, and this one nothing yet: it may lead no more, and not know that.
    pub is_doubtful: bool,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is in the log, at the offset that was answered, if one was.
    Acked,
    /// It is in the log, and nobody says where.
    AckedNoOffset,
    /// It is not in the log by this attempt, and sent again.
    Again,
    /// Nobody knows whether it is in the log; it is sent again, and a copy counts once.
    AgainPerhapsWritten,
    /// It is not in the log, and would be refused again.
    Refused,
    /// Nobody knows whether it is in the log, and sending it again would tell nothing: the broker does not know the
    /// producer any more, or says what is not understood.
    Unknown,
}

impl Verdict {
    /// Of an error that a broker answered for a batch.
    ///
    /// A duplicate of one of the last five batches is acked with its old offset. An older one is out of order for Kafka,
    /// since it keeps five only; where the same leader has acked something behind it, that is the reason. Where something before it has
    /// not been settled, that is missing, and both are sent again.
    #[must_use]
    pub(crate) fn of(error: i16, standing: Standing) -> Self {
        match error {
            code::NONE => Self::Acked,
            code::DUPLICATE_SEQUENCE_NUMBER => Self::AckedNoOffset,
            code::OUT_OF_ORDER_SEQUENCE_NUMBER if standing.is_below_acked => Self::AckedNoOffset,
            code::OUT_OF_ORDER_SEQUENCE_NUMBER if !standing.is_first || standing.is_doubtful => Self::Again,
            code::CORRUPT_MESSAGE
            | code::UNKNOWN_TOPIC_OR_PARTITION
            | code::LEADER_NOT_AVAILABLE
            | code::BROKER_NOT_AVAILABLE
            | code::REPLICA_NOT_AVAILABLE
            | code::NOT_ENOUGH_REPLICAS
            | code::COORDINATOR_LOAD_IN_PROGRESS
            | code::COORDINATOR_NOT_AVAILABLE
            | code::NOT_COORDINATOR
            | code::CONCURRENT_TRANSACTIONS
            | code::FENCED_LEADER_EPOCH
            | code::UNKNOWN_LEADER_EPOCH
            | code::THROTTLING_QUOTA_EXCEEDED
            | code::UNKNOWN_TOPIC_ID
            | code::INCONSISTENT_TOPIC_ID => Self::Again,
            // Who leads no more may have written it before, and waited for its replicas (Kafka's `DelayedProduce`).
            code::NOT_LEADER_OR_FOLLOWER
            | code::REQUEST_TIMED_OUT
            | code::NETWORK_EXCEPTION
            | code::NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | code::KAFKA_STORAGE_ERROR => Self::AgainPerhapsWritten,
            code::MESSAGE_TOO_LARGE
            | code::INVALID_TOPIC_EXCEPTION
            | code::RECORD_LIST_TOO_LARGE
            | code::INVALID_REQUIRED_ACKS
            | code::TOPIC_AUTHORIZATION_FAILED
            | code::CLUSTER_AUTHORIZATION_FAILED
            | code::INVALID_TIMESTAMP
            | code::UNSUPPORTED_VERSION
            | code::INVALID_REQUEST
            | code::UNSUPPORTED_FOR_MESSAGE_FORMAT
            | code::POLICY_VIOLATION
            | code::UNSUPPORTED_COMPRESSION_TYPE
            | code::INVALID_RECORD
            | code::INVALID_PRODUCER_EPOCH
            | code::PRODUCER_FENCED
            | code::INVALID_TXN_STATE
            | code::INVALID_PRODUCER_ID_MAPPING
            | code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | code::TRANSACTION_ABORTABLE => Self::Refused,
            // OUT_OF_ORDER_SEQUENCE_NUMBER at the head of the line, UNKNOWN_PRODUCER_ID, and everything that is not known.
            _ => Self::Unknown,
        }
    }
}

/// Whether somebody else may lead the partition by now.
#[must_use]
pub(crate) fn is_about_leader(error: i16) -> bool {
    matches!(
        error,
        code::UNKNOWN_TOPIC_OR_PARTITION
            | code::LEADER_NOT_AVAILABLE
            | code::NOT_LEADER_OR_FOLLOWER
            | code::REPLICA_NOT_AVAILABLE
            | code::KAFKA_STORAGE_ERROR
            // A leader that was deposed and has not heard of it lacks what was written since.
            | code::OUT_OF_ORDER_SEQUENCE_NUMBER
            | code::FENCED_LEADER_EPOCH
            | code::UNKNOWN_LEADER_EPOCH
            | code::UNKNOWN_TOPIC_ID
            | code::INCONSISTENT_TOPIC_ID
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Standing = Standing { is_first: true, is_below_acked: false, is_doubtful: false };

    #[test]
    fn every_error_of_a_batch_has_its_verdict() {
        let verdicts: [(Verdict, &[i16]); 6] = [
            (Verdict::Acked, &[0]),
            (Verdict::AckedNoOffset, &[46]),
            (Verdict::Again, &[2, 3, 5, 8, 9, 14, 15, 16, 19, 51, 74, 75, 89, 100, 103]),
            (Verdict::AgainPerhapsWritten, &[6, 7, 13, 20, 56]),
            (
                Verdict::Refused,
                &[10, 17, 18, 21, 29, 31, 32, 35, 42, 43, 44, 47, 48, 49, 53, 76, 87, 90, 120],
            ),
            (Verdict::Unknown, &[-1, 1, 45, 59, 1_000]),
        ];
        for (verdict, errors) in verdicts {
            for error in errors {
                assert_eq!(Verdict::of(*error, FIRST), verdict, "{error}");
            }
        }
    }

    #[test]
    fn a_gap_is_the_batch_before_or_a_copy_that_the_broker_has_forgotten() {
        let out_of_order = |is_first, is_below_acked| {
            Verdict::of(45, Standing { is_first, is_below_acked, is_doubtful: false })
        };
        assert_eq!(out_of_order(false, false), Verdict::Again);
        assert_eq!(out_of_order(true, true), Verdict::AckedNoOffset);
        assert_eq!(out_of_order(true, false), Verdict::Unknown);
        let doubtful = Standing { is_doubtful: true, ..FIRST };
        assert_eq!(
            Verdict::of(45, doubtful),
            Verdict::Again,
            "who leads no more lacks what was written since"
        );
    }
}
