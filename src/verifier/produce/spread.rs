//! Over how many shards a load with a limit is spread.
//!
//! librdkafka polls in circles for the ack of a partition that is alone on its broker (docs/PROFILE.md): a load that
//! one core carries with ease keeps all of them busy then, and its acks come later.

/// What one shard carries with ease, whatever its core.
const RECORDS_PER_S: u64 = 50_000;
const BYTES_PER_S: u64 = 50_000_000;
/// A client's partitions on a broker from which on it sleeps while it waits.
const PARTITIONS_PER_BROKER: usize = 2;

/// A load with a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Of values.
    pub(crate) bytes_per_s: u64,
    pub(crate) value_bytes: usize,
    pub(crate) partitions: usize,
    pub(crate) brokers: usize,
}

impl Load {
    /// How many shards to spread it over, of so many at the most: so few that each has two partitions on a broker, or
    /// as many as it takes.
    pub(crate) fn shards(&self, most: usize) -> usize {
        let records_per_s = self.bytes_per_s / self.value_bytes.max(1) as u64;
        let needed = records_per_s.div_ceil(RECORDS_PER_S).max(self.bytes_per_s.div_ceil(BYTES_PER_S));
        let quiet = self.partitions / (PARTITIONS_PER_BROKER * self.brokers.max(1));
        usize::try_from(needed).unwrap_or(usize::MAX).max(quiet).clamp(1, most.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Load = Load { bytes_per_s: 500_000, value_bytes: 512, partitions: 6, brokers: 3 };

    #[test]
    fn a_slow_load_has_two_partitions_on_each_broker() {
        assert_eq!(SLOW.shards(2), 1);
        assert_eq!(Load { partitions: 12, ..SLOW }.shards(8), 2);
        assert_eq!(Load { partitions: 100, brokers: 1, ..SLOW }.shards(8), 8);
        assert_eq!(Load { partitions: 1, brokers: 0, ..SLOW }.shards(0), 1);
    }

    #[test]
    fn a_fast_load_has_the_shards_that_it_needs() {
        assert_eq!(Load { bytes_per_s: 150_000_000, value_bytes: 16_384, ..SLOW }.shards(8), 3);
        assert_eq!(Load { bytes_per_s: 25_600_000, value_bytes: 128, ..SLOW }.shards(8), 4);
        assert_eq!(Load { bytes_per_s: u64::MAX, value_bytes: 0, ..SLOW }.shards(8), 8);
    }
}
