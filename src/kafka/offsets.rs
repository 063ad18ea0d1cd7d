//! Where logs start and end, and questions about that.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::KafkaError;
use crate::partitions::PartitionSlot;

/// Which end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first offset that can be read.
    Start,
    /// The offset that the next record will get.
    End,
}

/// Which records a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// All that are replicated.
    ReadUncommitted,
    /// Only those whose transaction has committed; the end is the last stable offset.
    ReadCommitted,
}

/// A place in a log, and who wrote there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetAndEpoch {
    /// The place.
    pub offset: i64,
    /// For a log's end, the epoch of its leader; -1 where the broker does not say.
    pub leader_epoch: i32,
}

/// What each partition that was asked about answered.
pub type Answers = Vec<(PartitionSlot, Result<OffsetAndEpoch, KafkaError>)>;

/// What each partition of a topic answered, by its number: for those who ask once, and keep nothing of partitions.
pub(crate) type TopicAnswers = Vec<(i32, Result<OffsetAndEpoch, KafkaError>)>;

/// A question about offsets that a client has been asked.
///
/// No two questions of a process have the same, whichever clients they are asked of: one that was asked of a client which
/// has been replaced since is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuestionId(u64);

impl QuestionId {
    /// The id of one more question.
    pub(crate) fn next() -> Self {
        static ASKED: AtomicU64 = AtomicU64::new(0);
        Self(ASKED.fetch_add(1, Relaxed))
    }
}
