//! Who may ask at all: SASL PLAIN, and sessions that end (KIP-368).

use kafka_protocol::{
    messages::{
        ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
        SaslHandshakeResponse,
    },
    protocol::StrBytes,
};

use super::server::{Head, Outcome, Server, Unreadable, answered, read};

pub(super) const USER: &str = "user";
pub(super) const PASSWORD: &str = "secret";

const UNSUPPORTED_MECHANISM: i16 = 33;
const AUTHENTICATION_FAILED: i16 = 58;
/// The first version that says how long a session lasts.
const TELLS_LIFETIME: i16 = 1;

/// Who asks on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// Nobody yet.
    Unknown,
    /// Somebody who is about to say it.
    Handshaken,
    /// Somebody who may ask until then, µs.
    Known(u64),
}

/// Whether a request may be made in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    Yes,
    /// It has ended: the connection ends with it.
    Expired,
    /// It must not be made now, whoever asks.
    No,
}

impl Session {
    pub(super) fn admits(self, api: ApiKey, now_us: u64) -> Admitted {
        match (self, api) {
            (Self::Handshaken, ApiKey::SaslAuthenticate)
            | (Self::Unknown, ApiKey::ApiVersions | ApiKey::SaslHandshake)
            | (Self::Known(_), ApiKey::SaslHandshake) => Admitted::Yes,
            (Self::Known(until_us), _) if until_us <= now_us => Admitted::Expired,
            (Self::Known(_), api) if api != ApiKey::SaslAuthenticate => Admitted::Yes,
            _ => Admitted::No,
        }
    }
}

impl Server {
    pub(super) fn sasl_handshake(head: &Head, body: &[u8]) -> Result<(Outcome, Session), Unreadable> {
        let request: SaslHandshakeRequest = read(head, body)?;
        let plain = StrBytes::from_static_str("PLAIN");
        let is_known = request.mechanism == plain;
        let answer = SaslHandshakeResponse::default()
            .with_mechanisms(vec![plain])
            .with_error_code(if is_known { 0 } else { UNSUPPORTED_MECHANISM });
        let session = if is_known { Session::Handshaken } else { Session::Unknown };
        Ok((answered(head, &answer), session))
    }

    pub(super) fn sasl_authenticate(
        &mut self,
        head: &Head,
        body: &[u8],
    ) -> Result<(Outcome, Session), Unreadable> {
        let request: SaslAuthenticateRequest = read(head, body)?;
        let expected = format!("\0{USER}\0{PASSWORD}");
        if *request.auth_bytes != *expected.as_bytes() {
            let answer = SaslAuthenticateResponse::default().with_error_code(AUTHENTICATION_FAILED);
            return Ok((answered(head, &answer), Session::Unknown));
        }
        let lifetime_ms = self.session_ms.unwrap_or(0);
        let told_ms = if head.version >= TELLS_LIFETIME { lifetime_ms } else { 0 };
        let answer =
            SaslAuthenticateResponse::default().with_session_lifetime_ms(i64::try_from(told_ms).unwrap_or(0));
        let until_us = if told_ms == 0 { u64::MAX } else { self.now_us() + told_ms * 1_000 };
        Ok((answered(head, &answer), Session::Known(until_us)))
    }
}
