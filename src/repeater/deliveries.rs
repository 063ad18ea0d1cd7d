//! What becomes of the records that a worker has sent.

use crate::{
    kafka::{Delivery, KafkaError, Outcome},
    producer::Pending,
    stats::{LatencyRecorder, WorkerStats},
};

/// What a slot of the producer holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flight {
    /// `None`: a tombstone, which carries no token.
    pub(super) token: Option<i64>,
    /// When it was sent, µs on the shard's clock.
    pub(super) sent_us: u64,
}

/// What a delivery changes.
pub(super) struct Deliveries<'a> {
    pub(super) pending: &'a mut Pending<Flight, i64>,
    /// Its transaction decides what becomes of a record.
    pub(super) in_transaction: bool,
    pub(super) latency: &'a mut LatencyRecorder,
    pub(super) stats: &'a WorkerStats,
    /// Tokens that were not delivered, or tombstones; why, and whether that is uncertain. Rarely any.
    pub(super) failed: Vec<(Option<i64>, KafkaError, bool)>,
    /// Why records failed whose transaction is aborted then. What the client lets go of is not among them.
    pub(super) failed_in_transaction: Vec<KafkaError>,
    pub(super) now_us: u64,
    pub(super) value_bytes: usize,
}

impl Deliveries<'_> {
    pub(super) fn settle(&mut self, delivery: Delivery) {
        let flight = self.pending.release(delivery.token);
        let unknown = matches!(delivery.outcome, Outcome::Unknown(_));
        let failure = delivery.outcome.error().map(|error| (error, unknown));
        if failure.is_none() {
            self.latency.record(self.now_us.saturating_sub(flight.sent_us));
        }
        match (flight.token, failure) {
            (token, failure) if self.in_transaction => {
                // Whether it failed or not: it is in the log with all of its transaction, or not at all.
                if let Some(token) = token {
                    self.pending.hold(token);
                }
                let cause = failure.map(|(error, _)| error);
                self.failed_in_transaction.extend(cause.filter(|error| !error.is_consequence()));
            }
            (token, Some((error, unknown))) => self.failed.push((token, error, unknown)),
            (Some(_), None) => {
                self.stats.produced.add(1);
                self.stats.produced_bytes.add(self.value_bytes as u64);
            }
            (None, None) => self.stats.tombstones.add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_counts_when_it_is_acked() {
        let stats = WorkerStats::default();
        let (mut pending, mut latency) = (Pending::new(2), LatencyRecorder::default());
        let tokens = [pending.claim(), pending.claim()];
        assert_eq!(tokens, [Some(0), Some(1)]);
        let mut deliveries = Deliveries {
            pending: &mut pending,
            in_transaction: false,
            latency: &mut latency,
            stats: &stats,
            failed: Vec::new(),
            failed_in_transaction: Vec::new(),
            now_us: 5,
            value_bytes: 8,
        };
        let error = KafkaError::timed_out();
        for (token, outcome) in [(0, Outcome::Acked { offset: 3 }), (1, Outcome::Failed(error))] {
            deliveries.settle(Delivery { token, outcome });
        }
        assert_eq!(deliveries.failed, [(None, error, false)]);
        assert_eq!((stats.tombstones.get(), pending.in_flight()), (1, 0));
    }
}
