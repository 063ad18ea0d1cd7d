//! Where the records of a leader epoch end (KIP-320): how a log is noticed to have been truncated.

use super::{Api, DecodeError, Decoder, Encoder, Request};

/// A partition that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochQuestion {
    /// Its number.
    pub partition: i32,
    /// The leader's epoch as we know it; -1 asks whoever takes himself for the leader.
    pub current_epoch: i32,
    /// The epoch whose end is asked for.
    pub epoch: i32,
}

/// Asks about partitions of one topic.
#[derive(Clone, Copy, Debug)]
pub struct LeaderEpochRequest<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Its partitions.
    pub partitions: &'a [EpochQuestion],
}

impl Request for LeaderEpochRequest<'_> {
    const API: Api = Api::OffsetForLeaderEpoch;

    fn encode(&self, version: i16, encoder: &mut Encoder<'_>) {
        /// Of those who are no replica.
        const NO_REPLICA: i32 = -1;
        if version >= 3 {
            encoder.i32(NO_REPLICA);
        }
        encoder.array_length(1);
        encoder.string(self.topic);
        encoder.array(self.partitions, |encoder, question| {
            encoder.i32(question.partition);
            encoder.i32(question.current_epoch);
            encoder.i32(question.epoch);
            encoder.no_tags();
        });
        encoder.no_tags();
        encoder.no_tags();
    }
}

/// What is answered of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// An error, or 0.
    pub error: i16,
    /// Its number.
    pub partition: i32,
    /// The largest epoch that is not above the one asked for; -1 is none.
    pub epoch: i32,
    /// Where its records end; -1 is unknown, and no loss.
    pub end_offset: i64,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderEpochResponse {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// Its word on each partition of the topic.
    pub partitions: Vec<EpochEnd>,
}

impl LeaderEpochResponse {
    /// Reads an answer to a question about one topic.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(_version: i16, mut decoder: Decoder<'_>) -> Result<Self, DecodeError> {
        let throttle_time_ms = decoder.i32()?;
        let partitions = decoder.partitions_of_topic(|decoder| {
            Ok(EpochEnd {
                error: decoder.i16()?,
                partition: decoder.i32()?,
                epoch: decoder.i32()?,
                end_offset: decoder.i64()?,
            })
        })?;
        decoder.skip_tags()?;
        Ok(Self { throttle_time_ms, partitions })
    }
}
