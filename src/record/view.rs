//! A record as readers see it.

/// Name and value of a header.
pub(crate) type Header<'a> = (&'a [u8], &'a [u8]);

/// A record as a reader sees it; the bytes stay where the client has them.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its place in the partition.
    pub offset: i64,
    /// Epoch of the leader that wrote it; negative when the broker did not say.
    pub leader_epoch: i32,
    /// When it was sent, ms since the epoch; `None` where the topic keeps the broker's time, or none.
    pub sent_ms: Option<i64>,
    /// Its headers can be taken apart, or it has none; if not, none is shown.
    pub has_sound_headers: bool,
    /// The first header.
    pub first_header: Option<Header<'a>>,
    /// The second.
    pub second_header: Option<Header<'a>>,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its batch as its producer has numbered it, where the client shows that, and the producer has an id.
    pub batch: Option<&'a ProducedBatch>,
}

/// A batch as its producer has numbered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    /// The batch's first offset.
    pub base_offset: i64,
    /// The id that a broker gave the producer.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// The sequence number of the record at the first offset.
    pub base_sequence: i32,
}

impl ProducedBatch {
    /// The sequence number of the batch's record at this offset. Behind the largest one comes 0.
    #[must_use]
    pub fn sequence_of(&self, offset: i64) -> i32 {
        let behind_base = offset.wrapping_sub(self.base_offset);
        let sequence = i64::from(self.base_sequence).wrapping_add(behind_base) & i64::from(i32::MAX);
        i32::try_from(sequence).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_within_a_batch() {
        let batch = ProducedBatch {
            base_offset: 100,
            producer_id: 5,
            producer_epoch: 1,
            base_sequence: i32::MAX - 1,
        };
        let sequences = [100, 101, 102, 103].map(|offset| batch.sequence_of(offset));
        assert_eq!(sequences, [i32::MAX - 1, i32::MAX, 0, 1]);
    }
}
