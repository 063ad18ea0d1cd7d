//! How long the records of an open loop took, each from the time at which it was to be sent.

use std::{collections::VecDeque, ops::Range};

use super::in_flight::InFlight;
use crate::stats::LoopTimes;

/// The times of a shard's records, and those at which what was sent in vain was to be sent: it keeps them.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    /// Only records that were to be sent within this time are measured, µs on the shard's clock.
    measured: Range<u64>,
    times: LoopTimes,
    /// By the order in which they failed.
    again: VecDeque<u64>,
}

impl Timing {
    /// From now on these records are measured.
    pub(crate) fn measure(&mut self, intended_us: Range<u64>) {
        self.measured = intended_us;
    }

    #[inline]
    pub(super) fn acked(&mut self, record: &InFlight, now_us: u64) {
        let intended_us = record.intended_us();
        if self.measured.contains(&intended_us) {
            self.times.record(
                now_us.saturating_sub(intended_us),
                u64::from(record.late_us),
                now_us.saturating_sub(record.sent_us),
            );
        }
    }

    /// It was sent in vain, and will be sent again: late from the same time on.
    #[cold]
    pub(super) fn failed(&mut self, record: &InFlight) {
        self.again.push_back(record.intended_us());
    }

    /// When the next record was to be sent that was sent in vain.
    pub(super) fn due_again(&self) -> Option<u64> {
        self.again.front().copied()
    }

    #[cold]
    pub(super) fn sent_again(&mut self) {
        self.again.pop_front();
    }

    /// It was not taken.
    #[cold]
    pub(super) fn take_back(&mut self, record: &InFlight) {
        self.again.push_front(record.intended_us());
    }

    /// The times since this was asked last.
    pub(crate) fn take(&mut self) -> Option<Box<LoopTimes>> {
        self.times.take()
    }
}
