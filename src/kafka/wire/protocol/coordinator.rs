//! Who looks after a group, or a transactional id.

use super::{Api, DecodeError, Decoder, Encoder, Request};

/// What has a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorKind {
    /// A consumer group.
    Group,
    /// A transactional id.
    Transaction,
}

impl CoordinatorKind {
    fn code(self) -> i8 {
        match self {
            Self::Group => 0,
            Self::Transaction => 1,
        }
    }
}

/// Asks for the coordinator of one of them.
#[derive(Clone, Copy, Debug)]
pub struct FindCoordinatorRequest<'a> {
    /// The group's name, or the transactional id.
    pub key: &'a str,
    /// Which of the two it is.
    pub kind: CoordinatorKind,
}

impl Request for FindCoordinatorRequest<'_> {
    const API: Api = Api::FindCoordinator;

    fn encode(&self, version: i16, encoder: &mut Encoder<'_>) {
        if version <= 3 {
            encoder.string(self.key);
        }
        encoder.i8(self.kind.code());
        if version >= 4 {
            encoder.array(&[self.key], |encoder, key| encoder.string(key));
        }
        encoder.no_tags();
    }
}

/// A broker that is a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coordinator<'a> {
    /// An error, or 0.
    pub error: i16,
    /// The error in the broker's words.
    pub message: Option<&'a str>,
    /// Its id; -1 is none.
    pub id: i32,
    /// The name by which it wants to be called.
    pub host: &'a str,
    /// Its port.
    pub port: i32,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindCoordinatorResponse<'a> {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
    /// The coordinator; `None`: the answer names none.
    pub coordinator: Option<Coordinator<'a>>,
}

impl<'a> FindCoordinatorResponse<'a> {
    /// Reads an answer to a question about one key.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(version: i16, mut decoder: Decoder<'a>) -> Result<Self, DecodeError> {
        let throttle_time_ms = decoder.i32()?;
        let coordinator = if version >= 4 {
            decoder.array(|decoder| {
                let _key = decoder.string()?;
                let (id, host, port) = (decoder.i32()?, decoder.string()?, decoder.i32()?);
                let (error, message) = (decoder.i16()?, decoder.nullable_string()?);
                decoder.skip_tags()?;
                Ok(Coordinator { error, message, id, host, port })
            })?
        } else {
            let (error, message) = (decoder.i16()?, decoder.nullable_string()?);
            let (id, host, port) = (decoder.i32()?, decoder.string()?, decoder.i32()?);
            vec![Coordinator { error, message, id, host, port }]
        };
        decoder.skip_tags()?;
        Ok(Self { throttle_time_ms, coordinator: coordinator.first().copied() })
    }
}
