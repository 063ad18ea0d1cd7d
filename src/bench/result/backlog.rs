//! A backlog that was built up on purpose, in a result.

use serde::{Deserialize, Serialize};

/// How readers were given much to read, and caught up with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BacklogReport {
    /// Value bytes that were to be there before readers went on.
    pub asked_bytes: u64,
    /// Records that were there then.
    pub built_records: u64,
    /// How long readers paused.
    pub built_s: f64,
    /// How long they took to catch up; `null` where they did not.
    pub drained_s: Option<f64>,
    /// Records read a second meanwhile, by all readers.
    pub drain_records_per_s: f64,
}
