//! The three times of a record that is sent at a rate.

use super::LatencyHistogram;

/// How long records took: recorded on a shard, handed over now and then, merged by the main thread.
#[derive(Clone, Debug)]
pub(crate) struct LoopTimes {
    /// From the intended time to the ack.
    pub publish: LatencyHistogram,
    /// From the intended time to that of sending.
    pub delay: LatencyHistogram,
    /// From the time of sending to the ack.
    pub service: LatencyHistogram,
}

impl Default for LoopTimes {
    fn default() -> Self {
        Self {
            publish: LatencyHistogram::fine(),
            delay: LatencyHistogram::fine(),
            service: LatencyHistogram::fine(),
        }
    }
}

impl LoopTimes {
    /// Records one of each, µs.
    #[inline]
    pub(crate) fn record(&mut self, publish_us: u64, delay_us: u64, service_us: u64) {
        self.publish.record(publish_us);
        self.delay.record(delay_us);
        self.service.record(service_us);
    }

    /// Adds another one's records.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.publish.merge(&other.publish);
        self.delay.merge(&other.delay);
        self.service.merge(&other.service);
    }

    /// Everything since the last call; `None` when that is nothing.
    pub(crate) fn take(&mut self) -> Option<Box<Self>> {
        (self.publish.count() > 0).then(|| Box::new(std::mem::take(self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_once_and_add_up() {
        let (mut shard, mut all) = (LoopTimes::default(), LoopTimes::default());
        assert!(shard.take().is_none());
        shard.record(300, 100, 200);
        all.merge(&shard.take().unwrap());
        assert!(shard.take().is_none());
        shard.record(500, 0, 500);
        all.merge(&shard.take().unwrap());
        assert_eq!((all.publish.max_us(), all.delay.max_us(), all.service.max_us()), (500, 100, 500));
        assert_eq!((all.publish.count(), all.delay.count(), all.service.count()), (2, 2, 2));
    }
}
