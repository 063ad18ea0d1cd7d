//! Reading record batches. On the data path: nothing is allocated, batches are read where they lie.

use super::{Api, DecodeError, Decoder, Encoder, LeaderHint, Request, TopicRef, TopicRefs};

/// A partition that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    /// Its topic's place among the request's.
    pub topic: usize,
    /// Its number.
    pub partition: i32,
    /// The leader's epoch by which the position was validated (KIP-320); -1 asks whoever takes himself for the leader.
    pub leader_epoch: i32,
    /// The first offset that is wanted.
    pub offset: i64,
    /// Epoch of the record before, by which a leader notices that the log was truncated (KIP-595, from version 12 on);
    /// -1 is not known.
    pub last_fetched_epoch: i32,
    /// How many bytes may come, at the most; the first batch comes whole.
    pub max_bytes: i32,
}

/// Asks for what lies behind positions in partitions. It is not part of a fetch session (KIP-227).
#[derive(Clone, Copy, Debug)]
pub struct FetchRequest<'a> {
    /// The topics: by their names up to version 12, by their ids from 13 on.
    pub topics: TopicRefs<'a>,
    /// Their partitions, in the order in which they are served. A topic is named again where another one's came between.
    pub partitions: &'a [FetchPartition],
    /// How long the broker waits for `min_bytes`, ms; never 0.
    pub max_wait_ms: i32,
    /// How much has to be there before it answers.
    pub min_bytes: i32,
    /// How many bytes may come in all, at the most; the first batch comes whole.
    pub max_bytes: i32,
    /// Only what is committed, and of that which was aborted a list.
    pub read_committed: bool,
    /// Where we are, so that a follower nearby may serve us (KIP-392); empty: nowhere.
    pub rack: &'a str,
}

impl FetchPartition {
    fn encode(&self, version: i16, encoder: &mut Encoder<'_>) {
        encoder.i32(self.partition);
        encoder.i32(self.leader_epoch);
        encoder.i64(self.offset);
        if version >= 12 {
            encoder.i32(self.last_fetched_epoch);
        }
        encoder.i64(NO_LOG);
        encoder.i32(self.max_bytes);
        encoder.no_tags();
    }
}

/// Outside of any session.
const NO_SESSION: (i32, i32) = (0, -1);
/// Of those who are no replica.
const NO_REPLICA: i32 = -1;
/// Of those who are no replica: they keep no log.
const NO_LOG: i64 = -1;

impl Request for FetchRequest<'_> {
    const API: Api = Api::Fetch;

    fn encode(&self, version: i16, encoder: &mut Encoder<'_>) {
        debug_assert_eq!(self.topics.are_ids(), version >= 13);
        if version < 15 {
            encoder.i32(NO_REPLICA);
        }
        encoder.i32(self.max_wait_ms);
        encoder.i32(self.min_bytes);
        encoder.i32(self.max_bytes);
        encoder.bool(self.read_committed);
        encoder.i32(NO_SESSION.0);
        encoder.i32(NO_SESSION.1);
        let by_topic = || self.partitions.chunk_by(|one, next| one.topic == next.topic);
        encoder.array_length(by_topic().count());
        for partitions in by_topic() {
            encoder.topic(self.topics.at(partitions[0].topic));
            encoder.array(partitions, |encoder, partition| partition.encode(version, encoder));
            encoder.no_tags();
        }
        // Partitions that a session forgets.
        encoder.array_length(0);
        if version >= 11 {
            encoder.string(self.rack);
        }
        encoder.no_tags();
    }
}

/// A transaction that was aborted: what its producer wrote from here on up to its abort marker does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer's id.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
}

/// Where our log and the leader's begin to differ: ours was truncated there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DivergingEpoch {
    /// The largest epoch that both have; -1 is none.
    pub epoch: i32,
    /// Where its records end.
    pub end_offset: i64,
}

/// What came of a partition.
#[derive(Clone, Copy, Debug)]
pub struct FetchedPartition<'a> {
    /// Its topic.
    pub topic: TopicRef<'a>,
    /// Its number.
    pub partition: i32,
    /// An error, or 0.
    pub error: i16,
    /// The offset behind the last record that all replicas in sync have; -1 with an error.
    pub high_watermark: i64,
    /// The offset of the first record of which it is not known whether it is committed.
    pub last_stable_offset: i64,
    /// The first offset of the log.
    pub log_start_offset: i64,
    /// A follower that should be asked instead; -1 is none.
    pub preferred_read_replica: i32,
    /// Record batches, one behind the other. The first may begin below the position, and the last be cut off.
    pub batches: &'a [u8],
    /// Set where the log was truncated.
    pub diverging: Option<DivergingEpoch>,
    /// Who leads the partition by now.
    pub leader: LeaderHint,
    aborted: Decoder<'a>,
    aborted_count: usize,
}

impl<'a> FetchedPartition<'a> {
    /// The transactions that were aborted, of those whose records may have come; in no order (Redpanda's are not sorted).
    pub fn aborted(&self) -> impl Iterator<Item = AbortedTransaction> + use<'a> {
        let (mut decoder, count) = (self.aborted, self.aborted_count);
        // They were read once already, so that none can fail.
        (0..count).map_while(move |_| aborted_transaction(&mut decoder).ok())
    }
}

/// What is answered as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchResponse {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// An error of the whole, or 0.
    pub error: i16,
}

impl FetchResponse {
    /// Reads an answer, and shows each partition of it.
    ///
    /// # Errors
    /// It is no such message. Partitions that were shown by then have been read rightly.
    pub fn decode<'a>(
        version: i16,
        mut decoder: Decoder<'a>,
        mut each: impl FnMut(FetchedPartition<'a>),
    ) -> Result<Self, DecodeError> {
        let (throttle_time_ms, error, _session) = (decoder.i32()?, decoder.i16()?, decoder.i32()?);
        for _ in 0..decoder.array_length()? {
            let topic = decoder.topic(version >= 13)?;
            for _ in 0..decoder.array_length()? {
                each(fetched(version, topic, &mut decoder)?);
            }
            decoder.skip_tags()?;
        }
        // The addresses of brokers that hints name are the next Metadata's to tell.
        decoder.skip_tags()?;
        Ok(Self { throttle_time_ms, error })
    }
}

fn fetched<'a>(
    version: i16,
    topic: TopicRef<'a>,
    decoder: &mut Decoder<'a>,
) -> Result<FetchedPartition<'a>, DecodeError> {
    let (partition, error) = (decoder.i32()?, decoder.i16()?);
    let (high_watermark, last_stable_offset) = (decoder.i64()?, decoder.i64()?);
    let log_start_offset = decoder.i64()?;
    let aborted_count = decoder.array_length()?;
    let aborted = *decoder;
    for _ in 0..aborted_count {
        aborted_transaction(decoder)?;
    }
    let preferred_read_replica = if version >= 11 { decoder.i32()? } else { -1 };
    let mut fetched = FetchedPartition {
        topic,
        partition,
        error,
        high_watermark,
        last_stable_offset,
        log_start_offset,
        preferred_read_replica,
        batches: decoder.bytes()?,
        diverging: None,
        leader: LeaderHint::NONE,
        aborted,
        aborted_count,
    };
    decoder.tags(|tag, field| {
        match tag {
            0 => {
                let diverging = DivergingEpoch { epoch: field.i32()?, end_offset: field.i64()? };
                fetched.diverging = Some(diverging);
                field.skip_tags()?;
            }
            1 => fetched.leader = LeaderHint::decode(field)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(fetched)
}

fn aborted_transaction(decoder: &mut Decoder<'_>) -> Result<AbortedTransaction, DecodeError> {
    let aborted = AbortedTransaction { producer_id: decoder.i64()?, first_offset: decoder.i64()? };
    decoder.skip_tags()?;
    Ok(aborted)
}
