//! One connection's TLS: what a socket brings becomes what the broker said, and what is said becomes what goes out.
//!
//! rustls leaves the buffers to us here. What comes in is decrypted where the socket put it, in reads of up to
//! [`READ_MOST_BYTES`]; what goes out is cut into full records, whatever pieces it came in, since each record costs both
//! sides the same however short it is.

use std::{fmt, io::IoSlice, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, Error,
    client::UnbufferedClientConnection,
    pki_types::ServerName,
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus},
};

use crate::kafka::wire::core::connection::ConnectionError;

/// What a record holds at most, in bytes (RFC 8446, section 5.1).
const RECORD_BYTES: usize = 16 << 10;
/// What a record takes beyond that at most, in bytes (RFC 5246, section 6.2.3).
const OVERHEAD_BYTES: usize = 5 + 2_048;
/// Room for a read at the beginning: a record fits.
const READ_BYTES: usize = 32 << 10;
/// Room for a read where much comes.
const READ_MOST_BYTES: usize = 256 << 10;
/// Once so much is encrypted it is written before more is.
const SEALED_BYTES: usize = 128 << 10;

/// A client's side.
pub(super) struct Session {
    connection: UnbufferedClientConnection,
    /// As it came; filled up to its length.
    incoming: Vec<u8>,
    start: usize,
    end: usize,
    /// A read took all the room that there was.
    was_full: bool,
    /// As it goes out; filled up to its length.
    outgoing: Vec<u8>,
    sealed: usize,
    written: usize,
    /// The beginning of a record.
    record: Vec<u8>,
    stage: Stage,
}

/// How far both sides have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// They say who they are, as far as they are asked to.
    Greeting,
    Open,
    /// The broker will say nothing more.
    Ended,
    /// rustls is not asked anything more then: it takes that for a mistake.
    Failed,
}

impl Session {
    /// With a broker of this name, or at this address.
    ///
    /// # Errors
    /// It is no name that a certificate could have.
    pub(super) fn new(config: &Arc<ClientConfig>, host: &str) -> Result<Self, ConnectionError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            ConnectionError::Tls(format!("TLS: no certificate can name '{host}': {error}"))
        })?;
        let connection = UnbufferedClientConnection::new(config.clone(), name).map_err(explained)?;
        Ok(Self {
            connection,
            incoming: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            was_full: false,
            outgoing: Vec::new(),
            sealed: 0,
            written: 0,
            record: Vec::new(),
            stage: Stage::Greeting,
        })
    }

    /// Both sides have said who they are, as far as they are asked to.
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// The broker will say nothing more.
    pub(super) fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Where bytes from the socket go; empty only where there is more of a message than any has.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            // Part of a record at most.
            self.incoming.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.was_full && self.incoming.len() < READ_MOST_BYTES {
            self.incoming.resize(self.incoming.len() * 2, 0);
        }
        self.was_full = false;
        &mut self.incoming[self.end..]
    }

    /// So many bytes are there.
    pub(super) fn received(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.incoming.len());
        self.was_full = self.end == self.incoming.len();
    }

    /// Decrypts what has come, and shows it. There may be something to write afterwards, also where it fails.
    ///
    /// # Errors
    /// One side does not trust the other, or what came is no TLS.
    pub(super) fn open(&mut self, mut plain: impl FnMut(&[u8])) -> Result<(), ConnectionError> {
        loop {
            if self.stage == Stage::Failed {
                return Err(failed_before());
            }
            let Self { connection, incoming, start, end, outgoing, sealed, .. } = self;
            let UnbufferedStatus { discard, state, .. } =
                connection.process_tls_records(&mut incoming[*start..*end]);
            *start += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(explained)?;
                        *start += record.discard;
                        plain(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(outgoing, sealed, |room| {
                        data.encode(room).map_err(|error| match error {
                            EncodeError::InsufficientSize(short) => NotWritten::Needs(short.required_size),
                            error @ EncodeError::AlreadyEncoded => NotWritten::Failed(error.to_string()),
                        })
                    })?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::WriteTraffic(_)) => {
                    if self.stage == Stage::Greeting {
                        self.stage = Stage::Open;
                    }
                    return Ok(());
                }
                Ok(ConnectionState::PeerClosed) => self.stage = Stage::Ended,
                Ok(ConnectionState::Closed) => {
                    self.stage = Stage::Ended;
                    return Ok(());
                }
                Ok(_) => return Ok(()),
                Err(error) => {
                    self.take_alert();
                    self.stage = Stage::Failed;
                    return Err(explained(error));
                }
            }
        }
    }

    /// The broker is to know why, too.
    fn take_alert(&mut self) {
        let Self { connection, incoming, start, end, outgoing, sealed, .. } = self;
        // What is left belongs to it: rustls knows places in there.
        let status = connection.process_tls_records(&mut incoming[*start..*end]);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
            // An alert is short.
            outgoing.resize(outgoing.len().max(*sealed + OVERHEAD_BYTES), 0);
            *sealed += data.encode(&mut outgoing[*sealed..]).unwrap_or(0);
        }
    }

    /// Encrypts what the pieces hold, or the beginning of it. Returns how many bytes of it.
    ///
    /// # Errors
    /// It cannot be sent any more.
    pub(super) fn seal(&mut self, pieces: &[IoSlice<'_>]) -> Result<usize, ConnectionError> {
        if self.stage == Stage::Failed {
            return Err(failed_before());
        }
        let Self { connection, incoming, start, end, outgoing, sealed, record, stage, .. } = self;
        let UnbufferedStatus { discard, state, .. } =
            connection.process_tls_records(&mut incoming[*start..*end]);
        *start += discard;
        // Whatever has come is decrypted already: nothing else is in the way.
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            *stage = Stage::Failed;
            return Err(failed_before());
        };
        let mut encrypt = |plain: &[u8], outgoing: &mut Vec<u8>, sealed: &mut usize| {
            append(outgoing, sealed, |room| {
                traffic.encrypt(plain, room).map_err(|error| match error {
                    EncryptError::InsufficientSize(short) => NotWritten::Needs(short.required_size),
                    error @ EncryptError::EncryptExhausted => NotWritten::Failed(error.to_string()),
                })
            })
        };
        let mut taken = 0;
        record.clear();
        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() && *sealed < SEALED_BYTES {
                let count = rest.len().min(RECORD_BYTES - record.len());
                let (now, later) = rest.split_at(count);
                (rest, taken) = (later, taken + count);
                if count == RECORD_BYTES {
                    // Full as it lies there.
                    encrypt(now, outgoing, sealed)?;
                    continue;
                }
                record.extend_from_slice(now);
                if record.len() == RECORD_BYTES {
                    encrypt(record, outgoing, sealed)?;
                    record.clear();
                }
            }
        }
        encrypt(record, outgoing, sealed)?;
        Ok(taken)
    }

    /// What is to be written.
    pub(super) fn output(&self) -> &[u8] {
        &self.outgoing[self.written..self.sealed]
    }

    /// So many bytes of it have been.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written = (self.written + bytes).min(self.sealed);
        if self.written == self.sealed {
            (self.written, self.sealed) = (0, 0);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("stage", &self.stage).finish_non_exhaustive()
    }
}

fn failed_before() -> ConnectionError {
    ConnectionError::Tls("TLS: the connection takes nothing more".to_owned())
}

/// Why nothing was written.
enum NotWritten {
    /// It takes so many bytes.
    Needs(usize),
    Failed(String),
}

/// Has something written behind what is there; it says how much room it needs, where there is not enough.
fn append(
    outgoing: &mut Vec<u8>,
    used: &mut usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, NotWritten>,
) -> Result<(), ConnectionError> {
    loop {
        match write(&mut outgoing[*used..]) {
            Ok(bytes) => {
                *used += bytes;
                return Ok(());
            }
            Err(NotWritten::Needs(required)) if outgoing.len() < *used + required => {
                // Room for what goes out at once, so that it grows twice or so.
                let least =
                    if *used == 0 { required } else { SEALED_BYTES + 2 * (RECORD_BYTES + OVERHEAD_BYTES) };
                outgoing.resize(least.max(*used + required), 0);
            }
            Err(NotWritten::Needs(_)) => {
                return Err(ConnectionError::Tls("TLS: a record of no size".to_owned()));
            }
            Err(NotWritten::Failed(words)) => return Err(ConnectionError::Tls(format!("TLS: {words}"))),
        }
    }
}

/// What went wrong, in words that say who does not trust whom.
pub(super) fn explained(error: Error) -> ConnectionError {
    match error {
        Error::InvalidCertificate(error) => {
            ConnectionError::Untrusted(format!("TLS: certificate verify failed: {}", of_certificate(&error)))
        }
        Error::AlertReceived(alert) => {
            let number = u8::from(alert);
            let words = format!("TLS: the broker refuses the connection with alert {number}, {alert:?}");
            // RFC 8446, section 6: an error inside the broker (80), and one that is none, may pass.
            if matches!(number, 0 | 80 | 90) {
                ConnectionError::Tls(words)
            } else {
                ConnectionError::Untrusted(words)
            }
        }
        Error::InvalidMessage(_) => ConnectionError::Tls(format!(
            "TLS handshake failed: what came is no TLS ({error}): is this a port for it?"
        )),
        error => ConnectionError::Tls(format!("TLS handshake failed: {error}")),
    }
}

/// The broker's certificate. What other clients may take has its name here.
fn of_certificate(error: &CertificateError) -> String {
    let words = error.to_string();
    let why = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: look at the clocks"
        }
        CertificateError::UnknownIssuer => "nobody whom we trust has signed it",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is another host's; its subject's common name does not count"
        }
        CertificateError::Other(_) if words.contains("CaUsedAsEndEntity") => {
            "it is an authority's own: name it with --tls-ca itself, or give --client librdkafka"
        }
        CertificateError::Other(_) if words.contains("UnsupportedCertVersion") => {
            "it is of version 1, which only --client librdkafka takes"
        }
        _ => return words,
    };
    format!("{why} ({words})")
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
