//! Saying who we are (KIP-43, KIP-152, KIP-368).

use super::{Api, DecodeError, Decoder, Encoder, Request};

/// Which mechanism is to be used.
#[derive(Clone, Copy, Debug)]
pub struct SaslHandshakeRequest<'a> {
    /// Its name, `SCRAM-SHA-256` for instance.
    pub mechanism: &'a str,
}

impl Request for SaslHandshakeRequest<'_> {
    const API: Api = Api::SaslHandshake;

    fn encode(&self, _version: i16, encoder: &mut Encoder<'_>) {
        encoder.string(self.mechanism);
    }
}

/// Whether it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslHandshakeResponse<'a> {
    /// An error, or 0.
    pub error: i16,
    /// The mechanisms that the broker has.
    pub mechanisms: Vec<&'a str>,
}

impl<'a> SaslHandshakeResponse<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(_version: i16, mut decoder: Decoder<'a>) -> Result<Self, DecodeError> {
        let response = Self { error: decoder.i16()?, mechanisms: decoder.array(Decoder::string)? };
        Ok(response)
    }
}

/// One step of the mechanism's exchange. Its bytes are secret: it has no `Debug`.
#[derive(Clone, Copy)]
pub struct SaslAuthenticateRequest<'a> {
    /// What the mechanism says.
    pub bytes: &'a [u8],
}

impl Request for SaslAuthenticateRequest<'_> {
    const API: Api = Api::SaslAuthenticate;

    fn encode(&self, _version: i16, encoder: &mut Encoder<'_>) {
        encoder.bytes(self.bytes);
        encoder.no_tags();
    }
}

/// The broker's step. Its bytes may be secret: it has no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SaslAuthenticateResponse<'a> {
    /// An error, or 0.
    pub error: i16,
    /// The error in the broker's words.
    pub message: Option<&'a str>,
    /// What the mechanism says.
    pub bytes: &'a [u8],
    /// After so many ms the exchange has to be repeated on this connection; 0: never.
    pub session_lifetime_ms: i64,
}

impl<'a> SaslAuthenticateResponse<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(version: i16, mut decoder: Decoder<'a>) -> Result<Self, DecodeError> {
        let (error, message, bytes) = (decoder.i16()?, decoder.nullable_string()?, decoder.bytes()?);
        let session_lifetime_ms = if version >= 1 { decoder.i64()? } else { 0 };
        decoder.skip_tags()?;
        Ok(Self { error, message, bytes, session_lifetime_ms })
    }
}
