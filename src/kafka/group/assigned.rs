//! A partition of a member's, and what is being done about it.

use std::time::Instant;

use super::standing::Standing;
use crate::kafka::QuestionId;

/// What is being done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The group is asked where it has been consumed from.
    Unplaced,
    /// The group knows nothing of it: its leader is to be asked where its log starts, or ends.
    Unbegun,
    /// The leader is asked that.
    Beginning(QuestionId),
    /// It is read.
    Reading,
    /// Its place is not in the log, and its leader is to be asked what is, from then on.
    Astray(Instant),
    /// The leader is asked that: where its log starts, and where it ends.
    Judging(QuestionId, QuestionId),
}

/// A partition that is this member's.
#[derive(Clone, Copy, Debug)]
pub(super) struct AssignedPartition {
    pub(super) standing: Standing,
    pub(super) stage: Stage,
    /// How often in a row its leader has denied a place that lies behind its log's end.
    pub(super) denials: u8,
    /// What has been read of it was not consumed: it is read again from where it stands.
    pub(super) goes_back: bool,
}

impl AssignedPartition {
    pub(super) fn new(standing: Standing) -> Self {
        Self { standing, stage: Stage::Unplaced, denials: 0, goes_back: false }
    }
}
