//! A partition, seen from the main thread: what all members of a group together have read of it.

use std::time::Instant;

use crate::verifier::{
    check::last_values::SeenKeys,
    read::{progress::PartitionProgress, stall::Watch},
};

/// A partition, as far as the group has come in it.
pub(crate) struct GroupPartition {
    pub(crate) progress: PartitionProgress,
    pub(crate) keys: SeenKeys,
    /// When it moved.
    pub(crate) moved: Instant,
    /// Whether it moves on.
    pub(crate) watch: Watch,
}

impl GroupPartition {
    pub(crate) fn new(progress: PartitionProgress) -> Self {
        Self { progress, keys: SeenKeys::default(), moved: Instant::now(), watch: Watch::default() }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.progress.is_done()
    }
}
