//! Brokers, topics, and who leads their partitions.

use super::{Api, DecodeError, Decoder, Encoder, Request, TopicId};

/// Asks for these topics. It never makes one.
#[derive(Clone, Copy, Debug)]
pub struct MetadataRequest<'a> {
    /// Names; `None`: all topics; an empty list: brokers only.
    pub topics: Option<&'a [&'a str]>,
    /// Whether to say what we may do with each topic (KIP-430); brokers before Kafka 2.3 never do.
    pub tell_rights: bool,
}

/// An id that is none: a topic that is asked for by its name has it from version 10 on.
const NO_ID: TopicId = [0; 16];
/// Rights that were not asked for.
const NO_RIGHTS: i32 = i32::MIN;

impl Request for MetadataRequest<'_> {
    const API: Api = Api::Metadata;

    fn encode(&self, version: i16, encoder: &mut Encoder<'_>) {
        match self.topics {
            None => encoder.null_array(),
            Some(topics) => encoder.array(topics, |encoder, topic| {
                if version >= 10 {
                    encoder.topic_id(NO_ID);
                }
                encoder.string(topic);
                encoder.no_tags();
            }),
        }
        let (make_topics, tell_rights_on_cluster) = (false, false);
        encoder.bool(make_topics);
        if (8..=10).contains(&version) {
            encoder.bool(tell_rights_on_cluster);
        }
        if version >= 8 {
            encoder.bool(self.tell_rights);
        }
        encoder.no_tags();
    }
}

/// A broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broker<'a> {
    /// Its id.
    pub id: i32,
    /// The name by which it wants to be called.
    pub host: &'a str,
    /// Its port.
    pub port: i32,
}

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionMetadata<'a> {
    /// An error, or 0.
    pub error: i16,
    /// Its number.
    pub partition: i32,
    /// The broker that leads it; -1 is none.
    pub leader: i32,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The brokers that hold it.
    pub replicas: Replicas<'a>,
}

/// Brokers' ids, as they lie in the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicas<'a>(&'a [u8]);

impl<'a> Replicas<'a> {
    /// The ids.
    pub fn ids(self) -> impl Iterator<Item = i32> + 'a {
        self.0.as_chunks().0.iter().map(|id| i32::from_be_bytes(*id))
    }
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata<'a> {
    /// An error, or 0.
    pub error: i16,
    /// Its name.
    pub name: &'a str,
    /// Its id; zeros where the version has none.
    pub id: TopicId,
    /// Its partitions, in no order.
    pub partitions: Vec<PartitionMetadata<'a>>,
    /// What we may do with it: a bit for each operation, by its number in ACLs; `None` where that was not said.
    pub rights: Option<i32>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponse<'a> {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// The brokers that are alive.
    pub brokers: Vec<Broker<'a>>,
    /// The cluster's id.
    pub cluster_id: Option<&'a str>,
    /// The controller; -1 is none.
    pub controller: i32,
    /// The topics.
    pub topics: Vec<TopicMetadata<'a>>,
    /// An error of the whole, or 0.
    pub error: i16,
}

impl<'a> MetadataResponse<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(version: i16, mut decoder: Decoder<'a>) -> Result<Self, DecodeError> {
        let throttle_time_ms = decoder.i32()?;
        let brokers = decoder.array(|decoder| {
            let broker = Broker { id: decoder.i32()?, host: decoder.string()?, port: decoder.i32()? };
            let _rack = decoder.nullable_string()?;
            decoder.skip_tags()?;
            Ok(broker)
        })?;
        let (cluster_id, controller) = (decoder.nullable_string()?, decoder.i32()?);
        let topics = decoder.array(|decoder| topic(version, decoder))?;
        if (8..=10).contains(&version) {
            let _rights = decoder.i32()?;
        }
        let error = if version >= 13 { decoder.i16()? } else { 0 };
        decoder.skip_tags()?;
        Ok(Self { throttle_time_ms, brokers, cluster_id, controller, topics, error })
    }
}

fn topic<'a>(version: i16, decoder: &mut Decoder<'a>) -> Result<TopicMetadata<'a>, DecodeError> {
    let (error, name) = (decoder.i16()?, decoder.string()?);
    let id = if version >= 10 { decoder.topic_id()? } else { NO_ID };
    let _is_internal = decoder.bool()?;
    let partitions = decoder.array(partition)?;
    let rights = if version >= 8 { Some(decoder.i32()?).filter(|rights| *rights != NO_RIGHTS) } else { None };
    decoder.skip_tags()?;
    Ok(TopicMetadata { error, name, id, partitions, rights })
}

fn partition<'a>(decoder: &mut Decoder<'a>) -> Result<PartitionMetadata<'a>, DecodeError> {
    let partition = PartitionMetadata {
        error: decoder.i16()?,
        partition: decoder.i32()?,
        leader: decoder.i32()?,
        leader_epoch: decoder.i32()?,
        replicas: Replicas(numbers(decoder)?),
    };
    let (_in_sync, _offline) = (numbers(decoder)?, numbers(decoder)?);
    decoder.skip_tags()?;
    Ok(partition)
}

fn numbers<'a>(decoder: &mut Decoder<'a>) -> Result<&'a [u8], DecodeError> {
    let length = decoder.array_length()?;
    decoder.take(length.saturating_mul(size_of::<i32>()))
}
