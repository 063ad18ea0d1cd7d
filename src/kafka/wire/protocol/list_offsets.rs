//! Where logs start and end.

use super::{Api, DecodeError, Decoder, Encoder, Request};

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamp {
    /// The offset behind the last record, or behind the last stable one.
    Latest,
    /// The first offset of the log.
    Earliest,
}

impl Timestamp {
    fn code(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
        }
    }
}

/// A partition that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetQuestion {
    /// Its number.
    pub partition: i32,
    /// The leader's epoch as we know it, by which a broker notices that it or we are not up to date; -1 asks whoever
    /// takes himself for the leader.
    pub leader_epoch: i32,
}

/// Asks about partitions of one topic.
#[derive(Clone, Copy, Debug)]
pub struct ListOffsetsRequest<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Its partitions.
    pub partitions: &'a [OffsetQuestion],
    /// Which offset.
    pub timestamp: Timestamp,
    /// Only what is committed counts: the end is the last stable offset.
    pub read_committed: bool,
    /// How long the broker may take, ms.
    pub timeout_ms: i32,
}

impl Request for ListOffsetsRequest<'_> {
    const API: Api = Api::ListOffsets;

    fn encode(&self, version: i16, encoder: &mut Encoder<'_>) {
        /// Of those who are no replica.
        const NO_REPLICA: i32 = -1;
        encoder.i32(NO_REPLICA);
        encoder.bool(self.read_committed);
        encoder.array_length(1);
        encoder.string(self.topic);
        encoder.array(self.partitions, |encoder, question| {
            encoder.i32(question.partition);
            if version >= 4 {
                encoder.i32(question.leader_epoch);
            }
            encoder.i64(self.timestamp.code());
            encoder.no_tags();
        });
        encoder.no_tags();
        if version >= 10 {
            encoder.i32(self.timeout_ms);
        }
        encoder.no_tags();
    }
}

/// What is answered of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// Its number.
    pub partition: i32,
    /// An error, or 0.
    pub error: i16,
    /// The offset; -1 is unknown.
    pub offset: i64,
    /// Epoch of the record there, or of the leader; -1 is unknown.
    pub leader_epoch: i32,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsResponse {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// Its word on each partition of the topic.
    pub partitions: Vec<ListedOffset>,
}

impl ListOffsetsResponse {
    /// Reads an answer to a question about one topic.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(version: i16, mut decoder: Decoder<'_>) -> Result<Self, DecodeError> {
        let throttle_time_ms = decoder.i32()?;
        let partitions = decoder.partitions_of_topic(|decoder| listed(version, decoder))?;
        decoder.skip_tags()?;
        Ok(Self { throttle_time_ms, partitions })
    }
}

fn listed(version: i16, decoder: &mut Decoder<'_>) -> Result<ListedOffset, DecodeError> {
    let (partition, error, _timestamp, offset) =
        (decoder.i32()?, decoder.i16()?, decoder.i64()?, decoder.i64()?);
    let leader_epoch = if version >= 4 { decoder.i32()? } else { -1 };
    Ok(ListedOffset { partition, error, offset, leader_epoch })
}
