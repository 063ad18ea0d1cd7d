//! A producer's id and epoch: what makes sends idempotent, and fences whoever had the transactional id before.

use super::{Api, DecodeError, Decoder, Encoder, Request};

/// Asks for an id, or for a new epoch of the one that it has.
#[derive(Clone, Copy, Debug)]
pub struct InitProducerIdRequest<'a> {
    /// The transactional id, if there is one.
    pub transactional_id: Option<&'a str>,
    /// How long a transaction may stay open, ms.
    pub transaction_timeout_ms: i32,
    /// The id that it has and its epoch, or -1 and -1 (from version 3 on).
    pub current: (i64, i16),
}

impl Request for InitProducerIdRequest<'_> {
    const API: Api = Api::InitProducerId;

    fn encode(&self, version: i16, encoder: &mut Encoder<'_>) {
        encoder.nullable_string(self.transactional_id);
        encoder.i32(self.transaction_timeout_ms);
        if version >= 3 {
            encoder.i64(self.current.0);
            encoder.i16(self.current.1);
        }
        encoder.no_tags();
    }
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitProducerIdResponse {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// An error, or 0.
    pub error: i16,
    /// The id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
}

impl InitProducerIdResponse {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(_version: i16, mut decoder: Decoder<'_>) -> Result<Self, DecodeError> {
        let response = Self {
            throttle_time_ms: decoder.i32()?,
            error: decoder.i16()?,
            producer_id: decoder.i64()?,
            producer_epoch: decoder.i16()?,
        };
        decoder.skip_tags()?;
        Ok(response)
    }
}
