//! What makes sending again harmless: producer ids, and the sequence numbers of batches.

use crate::kafka::wire::protocol::InitProducerIdResponse;

/// A producer's id and epoch. Sequence numbers are counted for each of them and each partition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerId {
    /// The id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

/// The sequence number `records` behind `sequence`. Behind 2³¹-1 comes 0, as for Kafka
/// (`DefaultRecordBatch.incrementSequence`).
#[must_use]
#[inline]
pub(crate) fn sequence_after(sequence: i32, records: i32) -> i32 {
    sequence.wrapping_add(records) & i32::MAX
}

/// Whether a sequence number lies before another one, where both are less than 2³⁰ apart.
#[must_use]
pub(crate) fn is_before(sequence: i32, other: i32) -> bool {
    let distance = other.wrapping_sub(sequence) & i32::MAX;
    distance != 0 && distance < 1 << 30
}

/// Errors after which asking again for a producer id cannot help.
const REFUSALS: [i16; 4] = [
    29, // TOPIC_AUTHORIZATION_FAILED
    31, // CLUSTER_AUTHORIZATION_FAILED
    35, // UNSUPPORTED_VERSION
    53, // TRANSACTIONAL_ID_AUTHORIZATION_FAILED
];

/// Where the next producer id comes from: partitions that have none share the next one.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    wanted: bool,
    is_asking: bool,
    not_before_us: u64,
    pause_us: u64,
    refusal: Option<i16>,
}

/// The first pause after an answer that was none, µs; doubled each time.
const SHORTEST_PAUSE_US: u64 = 20_000;
const LONGEST_PAUSE_US: u64 = 1_000_000;

impl ProducerIds {
    /// One is wanted at once.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { wanted: true, is_asking: false, not_before_us: 0, pause_us: SHORTEST_PAUSE_US, refusal: None }
    }

    /// A partition has none any more.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether one is to be asked for now.
    #[must_use]
    pub(crate) fn is_due(&self, now_us: u64) -> bool {
        self.next_us() <= now_us
    }

    /// When one is to be asked for, µs; `u64::MAX`: not before something else happens.
    #[must_use]
    pub(crate) fn next_us(&self) -> u64 {
        let is_open = self.wanted && !self.is_asking && self.refusal.is_none();
        if is_open { self.not_before_us } else { u64::MAX }
    }

    /// It is being asked for.
    pub(crate) fn asked(&mut self) {
        self.is_asking = true;
    }

    /// Takes an answer in. Returns the id, if it is one.
    pub(crate) fn answered(&mut self, answer: InitProducerIdResponse, now_us: u64) -> Option<ProducerId> {
        self.is_asking = false;
        match answer.error {
            0 if answer.producer_id >= 0 => {
                *self = Self { wanted: false, is_asking: false, ..Self::new() };
                Some(ProducerId { id: answer.producer_id, epoch: answer.producer_epoch })
            }
            error if REFUSALS.contains(&error) => {
                self.refusal = Some(error);
                None
            }
            _ => {
                self.not_answered(now_us);
                None
            }
        }
    }

    /// There will be no answer to it.
    pub(crate) fn not_answered(&mut self, now_us: u64) {
        self.is_asking = false;
        self.not_before_us = now_us + self.pause_us;
        self.pause_us = (self.pause_us * 2).min(LONGEST_PAUSE_US);
    }

    /// The broker's error, if it is one after which asking again cannot help.
    #[must_use]
    pub(crate) fn refusal(&self) -> Option<i16> {
        self.refusal
    }
}

impl Default for ProducerIds {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_largest_sequence_comes_0() {
        assert_eq!(sequence_after(0, 5), 5);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 2, 10), 7);
        assert!(is_before(i32::MAX - 2, 7) && !is_before(7, i32::MAX - 2));
        assert!(is_before(3, 4) && !is_before(4, 4) && !is_before(5, 4));
    }

    fn answer(error: i16) -> InitProducerIdResponse {
        let (producer_id, producer_epoch) = if error == 0 { (7, 1) } else { (-1, -1) };
        InitProducerIdResponse { throttle_time_ms: 0, error, producer_id, producer_epoch }
    }

    #[test]
    fn a_coordinator_that_is_loading_is_asked_again_and_a_refusal_is_final() {
        let mut ids = ProducerIds::new();
        assert!(ids.is_due(0));
        ids.asked();
        assert!(!ids.is_due(u64::MAX - 1));
        assert_eq!(ids.answered(answer(14), 5), None);
        assert_eq!(ids.next_us(), 5 + SHORTEST_PAUSE_US);
        ids.asked();
        ids.not_answered(0);
        assert_eq!(ids.next_us(), 2 * SHORTEST_PAUSE_US);
        ids.asked();
        assert_eq!(ids.answered(answer(0), 0), Some(ProducerId { id: 7, epoch: 1 }));
        assert!(!ids.is_due(u64::MAX - 1));
        ids.want();
        assert!(ids.is_due(0));
        assert_eq!(ids.answered(answer(31), 0), None);
        assert_eq!((ids.refusal(), ids.is_due(u64::MAX - 1)), (Some(31), false));
    }
}
