//! What a broker speaks.

use super::{Api, ApiRange, DecodeError, Decoder, Encoder, Request};

/// Asks for it. Version 3 says who asks.
#[derive(Clone, Copy, Debug)]
pub struct ApiVersionsRequest<'a> {
    /// Our name: letters, digits, `-` and `.`, or the broker refuses it.
    pub software: &'a str,
    /// Our version.
    pub software_version: &'a str,
}

impl Request for ApiVersionsRequest<'_> {
    const API: Api = Api::ApiVersions;

    fn encode(&self, version: i16, encoder: &mut Encoder<'_>) {
        if version >= 3 {
            encoder.string(self.software);
            encoder.string(self.software_version);
            encoder.no_tags();
        }
    }
}

/// A feature that the whole cluster has agreed on, `transaction.version` for instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalizedFeature<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its level.
    pub level: i16,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiVersionsResponse<'a> {
    /// An error, or 0. With `UNSUPPORTED_VERSION` (35) the ranges are there all the same.
    pub error: i16,
    /// The requests that it knows.
    pub ranges: Vec<ApiRange>,
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// What the cluster has agreed on; empty where the broker does not say.
    pub features: Vec<FinalizedFeature<'a>>,
}

impl<'a> ApiVersionsResponse<'a> {
    /// Reads an answer to a request of this version. One with `UNSUPPORTED_VERSION` is in the form of version 0, or should
    /// be: librdkafka's mock answers in the version that it refuses. The error says enough, then, and the list is empty.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(version: i16, mut decoder: Decoder<'a>) -> Result<Self, DecodeError> {
        /// `UNSUPPORTED_VERSION`.
        const TOO_NEW: i16 = 35;
        let error = decoder.i16()?;
        if error == TOO_NEW {
            let ranges = ranges(&mut Decoder::new(decoder.rest(), false)).unwrap_or_default();
            return Ok(Self { error, ranges, ..Self::default() });
        }
        let ranges = ranges(&mut decoder)?;
        let throttle_time_ms = if version >= 1 { decoder.i32()? } else { 0 };
        let mut features = Vec::new();
        decoder.tags(|tag, field| {
            if tag == 2 {
                features = field.array(|feature| {
                    let (name, level, _lowest) = (feature.string()?, feature.i16()?, feature.i16()?);
                    feature.skip_tags()?;
                    Ok(FinalizedFeature { name, level })
                })?;
            }
            Ok(())
        })?;
        Ok(Self { error, ranges, throttle_time_ms, features })
    }
}

fn ranges(decoder: &mut Decoder<'_>) -> Result<Vec<ApiRange>, DecodeError> {
    decoder.array(|decoder| {
        let range = ApiRange { key: decoder.i16()?, first: decoder.i16()?, last: decoder.i16()? };
        decoder.skip_tags()?;
        Ok(range)
    })
}
