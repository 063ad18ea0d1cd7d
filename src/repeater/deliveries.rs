//! What becomes of the records that a worker has sent.

use crate::{
    kafka::{Delivery, KafkaError, Outcome},
    stats::{LatencyRecorder, WorkerStats},
    transaction::Transaction,
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
    pub(super) flights: &'a mut [Flight],
    pub(super) free: &'a mut Vec<usize>,
    pub(super) transaction: Option<&'a mut Transaction<i64>>,
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
        let flight = self.flights[delivery.token];
        self.free.push(delivery.token);
        let unknown = matches!(delivery.outcome, Outcome::Unknown(_));
        let failure = delivery.outcome.error().map(|error| (error, unknown));
        if failure.is_none() {
            self.latency.record(self.now_us.saturating_sub(flight.sent_us));
        }
        match (flight.token, self.transaction.as_mut(), failure) {
            // Its transaction decides; one with a failed record cannot be committed.
            (token, Some(transaction), failure) => {
                transaction.settled(token, failure.is_some());
                let cause = failure.map(|(error, _)| error);
                let is_own = |error: &KafkaError| !error.is_given_up() && !error.is_let_go();
                self.failed_in_transaction.extend(cause.filter(is_own));
            }
            (token, None, Some((error, unknown))) => self.failed.push((token, error, unknown)),
            (Some(_), None, None) => {
                self.stats.produced.add(1);
                self.stats.produced_bytes.add(self.value_bytes as u64);
            }
            (None, None, None) => self.stats.tombstones.add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_counts_when_it_is_acked() {
        let stats = WorkerStats::default();
        let (mut flights, mut free, mut latency) =
            ([Flight::default(); 2], Vec::new(), LatencyRecorder::default());
        let mut deliveries = Deliveries {
            flights: &mut flights,
            free: &mut free,
            transaction: None,
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
        assert_eq!((stats.tombstones.get(), free), (1, vec![0, 1]));
    }
}
