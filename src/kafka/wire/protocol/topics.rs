//! Making a topic, and the settings of topics and brokers.

use super::{Api, DecodeError, Decoder, Encoder, Request};

/// Makes one topic.
#[derive(Clone, Copy, Debug)]
pub struct CreateTopicRequest<'a> {
    /// Its name.
    pub name: &'a str,
    /// Partitions; -1 is the cluster's default.
    pub partitions: i32,
    /// Replicas of each; -1 is the cluster's default.
    pub replication_factor: i16,
    /// Settings, name and value.
    pub settings: &'a [(&'a str, &'a str)],
    /// How long the controller may take, ms.
    pub timeout_ms: i32,
}

impl Request for CreateTopicRequest<'_> {
    const API: Api = Api::CreateTopics;

    fn encode(&self, _version: i16, encoder: &mut Encoder<'_>) {
        encoder.array_length(1);
        encoder.string(self.name);
        encoder.i32(self.partitions);
        encoder.i16(self.replication_factor);
        // The cluster decides which broker gets which replica.
        encoder.array_length(0);
        encoder.array(self.settings, |encoder, (name, value)| {
            encoder.string(name);
            encoder.nullable_string(Some(value));
            encoder.no_tags();
        });
        encoder.no_tags();
        let only_validate = false;
        encoder.i32(self.timeout_ms);
        encoder.bool(only_validate);
        encoder.no_tags();
    }
}

/// What is answered of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatedTopic<'a> {
    /// Its name.
    pub name: &'a str,
    /// An error, or 0.
    pub error: i16,
    /// The error in the broker's words.
    pub message: Option<&'a str>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopicsResponse<'a> {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// The topics that were asked for.
    pub topics: Vec<CreatedTopic<'a>>,
}

impl<'a> CreateTopicsResponse<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(version: i16, mut decoder: Decoder<'a>) -> Result<Self, DecodeError> {
        let throttle_time_ms = decoder.i32()?;
        let topics = decoder.array(|decoder| created(version, decoder))?;
        decoder.skip_tags()?;
        Ok(Self { throttle_time_ms, topics })
    }
}

fn created<'a>(version: i16, decoder: &mut Decoder<'a>) -> Result<CreatedTopic<'a>, DecodeError> {
    let name = decoder.string()?;
    if version >= 7 {
        let _id = decoder.topic_id()?;
    }
    let (error, message) = (decoder.i16()?, decoder.nullable_string()?);
    if version >= 5 {
        let (_partitions, _replicas) = (decoder.i32()?, decoder.i16()?);
        let _settings = decoder.array(|decoder| {
            let (_name, _value) = (decoder.string()?, decoder.nullable_string()?);
            let (_read_only, _source, _sensitive) = (decoder.bool()?, decoder.i8()?, decoder.bool()?);
            decoder.skip_tags()
        })?;
    }
    decoder.skip_tags()?;
    Ok(CreatedTopic { name, error, message })
}

/// What has settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsOf<'a> {
    /// A topic.
    Topic(&'a str),
    /// A broker, which has to be asked itself, by its id.
    Broker(&'a str),
}

/// Asks for settings of one topic or broker.
#[derive(Clone, Copy, Debug)]
pub struct DescribeSettingsRequest<'a> {
    /// Whose.
    pub of: SettingsOf<'a>,
    /// Names of settings.
    pub settings: &'a [&'a str],
}

impl Request for DescribeSettingsRequest<'_> {
    const API: Api = Api::DescribeConfigs;

    fn encode(&self, version: i16, encoder: &mut Encoder<'_>) {
        // The kinds of resources.
        let (kind, name) = match self.of {
            SettingsOf::Topic(name) => (2, name),
            SettingsOf::Broker(id) => (4, id),
        };
        encoder.array_length(1);
        encoder.i8(kind);
        encoder.string(name);
        encoder.array(self.settings, |encoder, name| encoder.string(name));
        encoder.no_tags();
        let (synonyms, documentation) = (false, false);
        encoder.bool(synonyms);
        if version >= 3 {
            encoder.bool(documentation);
        }
        encoder.no_tags();
    }
}

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; `None` where it is secret, or has none.
    pub value: Option<&'a str>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeSettingsResponse<'a> {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// An error, or 0.
    pub error: i16,
    /// The error in the broker's words.
    pub message: Option<&'a str>,
    /// The settings that were asked for.
    pub settings: Vec<Setting<'a>>,
}

impl<'a> DescribeSettingsResponse<'a> {
    /// Reads an answer about one topic or broker; without one in it, it has neither error nor settings.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(version: i16, mut decoder: Decoder<'a>) -> Result<Self, DecodeError> {
        let throttle_time_ms = decoder.i32()?;
        let mut response = Self { throttle_time_ms, error: 0, message: None, settings: Vec::new() };
        for _ in 0..decoder.array_length()? {
            (response.error, response.message) = (decoder.i16()?, decoder.nullable_string()?);
            let (_kind, _name) = (decoder.i8()?, decoder.string()?);
            response.settings = decoder.array(|decoder| setting(version, decoder))?;
            decoder.skip_tags()?;
        }
        decoder.skip_tags()?;
        Ok(response)
    }
}

fn setting<'a>(version: i16, decoder: &mut Decoder<'a>) -> Result<Setting<'a>, DecodeError> {
    let setting = Setting { name: decoder.string()?, value: decoder.nullable_string()? };
    let (_read_only, _source, _sensitive) = (decoder.bool()?, decoder.i8()?, decoder.bool()?);
    let _synonyms = decoder.array(|decoder| {
        let (_name, _value, _source) = (decoder.string()?, decoder.nullable_string()?, decoder.i8()?);
        decoder.skip_tags()
    })?;
    if version >= 3 {
        let (_kind, _documentation) = (decoder.i8()?, decoder.nullable_string()?);
    }
    decoder.skip_tags()?;
    Ok(setting)
}
