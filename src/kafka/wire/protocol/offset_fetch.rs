//! Where a group has consumed its partitions up to.

use super::{Api, DecodeError, Decoder, Encoder, Request, TopicRefs};
use crate::partitions::TopicPartition;

/// The first version that names any number of groups.
const SEVERAL_GROUPS: i16 = 8;

/// Asks a group's coordinator.
#[derive(Clone, Copy, Debug)]
pub struct OffsetFetchRequest<'a> {
    /// The group.
    pub group: &'a str,
    /// The topics, by their names.
    pub topics: TopicRefs<'a>,
    /// Their partitions, sorted.
    pub partitions: &'a [TopicPartition],
    /// Refuse to answer while a transaction that carries an offset of theirs is open (KIP-447); versions below 7 cannot.
    pub require_stable: bool,
}

impl Request for OffsetFetchRequest<'_> {
    const API: Api = Api::OffsetFetch;

    fn encode(&self, version: i16, encoder: &mut Encoder<'_>) {
        if version >= SEVERAL_GROUPS {
            encoder.array_length(1);
        }
        encoder.string(self.group);
        encoder.by_topic(self.topics, self.partitions);
        if version >= SEVERAL_GROUPS {
            encoder.no_tags();
        }
        if version >= 7 {
            encoder.bool(self.require_stable);
        }
        encoder.no_tags();
    }
}

/// What is answered of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupOffset<'a> {
    /// Its topic's name.
    pub topic: &'a str,
    /// Its number.
    pub partition: i32,
    /// An error, or 0.
    pub error: i16,
    /// The offset below which all was consumed; below 0, the group knows none.
    pub offset: i64,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponse<'a> {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// An error that concerns the group, or 0.
    pub error: i16,
    /// Its word on each partition.
    pub offsets: Vec<GroupOffset<'a>>,
}

impl<'a> OffsetFetchResponse<'a> {
    /// Reads an answer about one group.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(version: i16, mut decoder: Decoder<'a>) -> Result<Self, DecodeError> {
        let throttle_time_ms = decoder.i32()?;
        let (error, offsets) = if version >= SEVERAL_GROUPS {
            let groups = decoder.array(|decoder| {
                let _group = decoder.string()?;
                let (offsets, error) = (offsets(decoder)?, decoder.i16()?);
                decoder.skip_tags()?;
                Ok((error, offsets))
            })?;
            groups.into_iter().next().unwrap_or_default()
        } else {
            let offsets = offsets(&mut decoder)?;
            (decoder.i16()?, offsets)
        };
        decoder.skip_tags()?;
        Ok(Self { throttle_time_ms, error, offsets })
    }
}

fn offsets<'a>(decoder: &mut Decoder<'a>) -> Result<Vec<GroupOffset<'a>>, DecodeError> {
    let topics = decoder.array(|decoder| {
        let topic = decoder.string()?;
        let partitions = decoder.array(|decoder| {
            let (partition, offset, _leader_epoch) = (decoder.i32()?, decoder.i64()?, decoder.i32()?);
            let (_metadata, error) = (decoder.nullable_string()?, decoder.i16()?);
            decoder.skip_tags()?;
            Ok(GroupOffset { topic, partition, error, offset })
        })?;
        decoder.skip_tags()?;
        Ok(partitions)
    })?;
    Ok(topics.concat())
}
