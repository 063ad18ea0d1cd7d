//! What is remembered of a record that was sent and not yet delivered.

use std::num::NonZero;

use super::predicted_log::First;
use crate::partitions::PartitionSlot;

const _: () = assert!(size_of::<InFlight>() == 64, "one line of the cache");

/// What must be remembered of a record until its delivery: one line of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(64))]
pub(crate) struct InFlight {
    /// Its partition.
    pub partition: PartitionSlot,
    /// Bytes of its value.
    pub value_bytes: u32,
    /// The offset at which it is expected to land.
    pub predicted_offset: i64,
    /// When it was sent, µs on the shard's clock.
    pub sent_us: u64,
    /// Its key's number in the key set, from 1; `None` for a key of its own.
    pub key_number: Option<NonZero<u64>>,
    /// How long before that it was to be sent, µs: 0 without an open loop.
    pub late_us: u32,
    /// Whether its value is null.
    pub tombstone: bool,
    /// Set for the first record of a transaction on its partition.
    pub first: Option<First>,
}

impl InFlight {
    /// When it was to be sent, µs on the shard's clock.
    #[must_use]
    #[inline]
    pub(crate) fn intended_us(&self) -> u64 {
        self.sent_us.saturating_sub(u64::from(self.late_us))
    }

    /// Its key's index in the key set; `None` for a key of its own.
    #[must_use]
    #[inline]
    pub(crate) fn key_index(&self) -> Option<u64> {
        self.key_number.map(|number| number.get() - 1)
    }
}
