//! What a transaction's coordinator is told: where it writes, and how it ends.

use super::{Api, DecodeError, Decoder, Encoder, Request, TopicRefs};
use crate::partitions::TopicPartition;

/// Tells which partitions a transaction is about to write to. With `transaction.version` 2 a Produce does.
#[derive(Clone, Copy, Debug)]
pub struct AddPartitionsRequest<'a> {
    /// The transactional id.
    pub transactional_id: &'a str,
    /// The producer's id and epoch.
    pub producer: (i64, i16),
    /// The topics, by their names.
    pub topics: TopicRefs<'a>,
    /// Their partitions, sorted.
    pub partitions: &'a [TopicPartition],
}

impl Request for AddPartitionsRequest<'_> {
    const API: Api = Api::AddPartitionsToTxn;

    fn encode(&self, _version: i16, encoder: &mut Encoder<'_>) {
        encoder.string(self.transactional_id);
        encoder.i64(self.producer.0);
        encoder.i16(self.producer.1);
        encoder.by_topic(self.topics, self.partitions);
        encoder.no_tags();
    }
}

/// What is answered of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddedPartition<'a> {
    /// Its topic's name.
    pub topic: &'a str,
    /// Its number.
    pub partition: i32,
    /// An error, or 0.
    pub error: i16,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitionsResponse<'a> {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// Its word on each partition.
    pub partitions: Vec<AddedPartition<'a>>,
}

impl<'a> AddPartitionsResponse<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(_version: i16, mut decoder: Decoder<'a>) -> Result<Self, DecodeError> {
        let throttle_time_ms = decoder.i32()?;
        let topics = decoder.array(|decoder| {
            let topic = decoder.string()?;
            let partitions = decoder.array(|decoder| {
                let added = AddedPartition { topic, partition: decoder.i32()?, error: decoder.i16()? };
                decoder.skip_tags()?;
                Ok(added)
            })?;
            decoder.skip_tags()?;
            Ok(partitions)
        })?;
        decoder.skip_tags()?;
        Ok(Self { throttle_time_ms, partitions: topics.concat() })
    }
}

/// Ends a transaction.
#[derive(Clone, Copy, Debug)]
pub struct EndTxnRequest<'a> {
    /// The transactional id.
    pub transactional_id: &'a str,
    /// The producer's id and epoch.
    pub producer: (i64, i16),
    /// Whether it commits, or aborts.
    pub commit: bool,
}

impl Request for EndTxnRequest<'_> {
    const API: Api = Api::EndTxn;

    fn encode(&self, _version: i16, encoder: &mut Encoder<'_>) {
        encoder.string(self.transactional_id);
        encoder.i64(self.producer.0);
        encoder.i16(self.producer.1);
        encoder.bool(self.commit);
        encoder.no_tags();
    }
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnResponse {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// An error, or 0.
    pub error: i16,
    /// The producer's id and epoch for the next transaction (KIP-890, from version 5 on); `None`: as before.
    pub next_producer: Option<(i64, i16)>,
}

impl EndTxnResponse {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(version: i16, mut decoder: Decoder<'_>) -> Result<Self, DecodeError> {
        let (throttle_time_ms, error) = (decoder.i32()?, decoder.i16()?);
        let next_producer = if version >= 5 { Some((decoder.i64()?, decoder.i16()?)) } else { None };
        decoder.skip_tags()?;
        let next_producer = next_producer.filter(|(id, _)| *id >= 0);
        Ok(Self { throttle_time_ms, error, next_producer })
    }
}
