//! One connection to a broker: which versions it speaks, and which answer belongs to which request.
//!
//! A connection is a FIFO: brokers answer in the order of the requests. Whatever breaks that, or cannot be read, ends the
//! connection, and what was in flight on it has an unknown outcome.

use std::{collections::VecDeque, rc::Rc};

use thiserror::Error;

use super::inbox::{FrameError, Inbox};
use crate::kafka::wire::protocol::{
    Api, ApiRange, ApiVersionsRequest, ApiVersionsResponse, DecodeError, Decoder, Request, ResponseHeader,
    UnsupportedApi, encode_request,
};

/// How this program calls itself to brokers (KIP-511).
const SOFTWARE: ApiVersionsRequest<'static> =
    ApiVersionsRequest { software: env!("CARGO_PKG_NAME"), software_version: env!("CARGO_PKG_VERSION") };
/// `UNSUPPORTED_VERSION`.
const TOO_NEW: i16 = 35;

/// Why a connection cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectionError {
    /// The broker's name has no address, or none of its addresses could be reached.
    #[error("{0}")]
    NotOpened(String),
    /// The broker, or the network, closed it.
    #[error("the connection was closed: {0}")]
    Lost(String),
    /// We do not trust the broker, or it does not trust us.
    #[error("{0}")]
    Untrusted(String),
    /// TLS went wrong in another way.
    #[error("{0}")]
    Tls(String),
    /// A length that cannot be.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// An answer to another request than the oldest one.
    #[error("the answer to request {got} came, where {expected:?} was the oldest one")]
    OutOfOrder {
        /// The oldest request's correlation id, if there is one.
        expected: Option<i32>,
        /// The answer's.
        got: i32,
    },
    /// An answer that cannot be read.
    #[error("the answer to {api} version {version} cannot be read: {error}")]
    Unreadable {
        /// The request.
        api: Api,
        /// Its version.
        version: i16,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// An answer that leaves something out that was asked.
    #[error("the answer to {0} leaves a partition out")]
    Incomplete(Api),
    /// An answer to a request that has not been written as a whole.
    #[error("{0} was answered before it was sent")]
    TooEarly(Api),
    /// The broker is too old, or too new.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedApi),
    /// The broker does not want to say what it speaks.
    #[error("the broker refuses the connection with error {0}")]
    Refused(i16),
    /// No answer came in time.
    #[error("{0} was not answered in time")]
    TimedOut(Api),
    /// Whoever used it gave up.
    #[error("it was given up")]
    GivenUp,
    /// It was not used for so long that the broker would have closed it.
    #[error("it was idle")]
    Idle,
}

impl ConnectionError {
    /// Whether one side has said no to the other, so that asking again does not help by itself.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Untrusted(_))
    }
}

/// What connections have in common.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// The client's id, which brokers log and limit by.
    pub client_id: Rc<str>,
    /// Room for what comes in, in bytes, before a large frame makes it grow.
    pub receive_bytes: usize,
    /// The largest response that is taken, in bytes.
    pub response_most_bytes: usize,
    /// How long the broker may take to say what it speaks, µs.
    pub handshake_us: u64,
}

#[derive(Debug)]
struct InFlight<T> {
    correlation_id: i32,
    api: Api,
    version: i16,
    deadline_us: u64,
    /// `None`: it asks what the broker speaks.
    tag: Option<T>,
}

/// An answer that is there as a whole. Its bytes lie in the connection: see [`Connection::body`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<T> {
    /// What the request was sent with.
    pub tag: T,
    /// The request.
    pub api: Api,
    /// Its version, which is the answer's.
    pub version: i16,
}

/// A connection that has been opened. `T` says what an answer is for.
#[derive(Debug)]
pub struct Connection<T> {
    settings: ConnectionSettings,
    inbox: Inbox,
    /// Requests that are to be written, whole; `written` bytes of it are.
    out: Vec<u8>,
    written: usize,
    in_flight: VecDeque<InFlight<T>>,
    next_id: i32,
    /// What the broker speaks; `None`: it has not said so yet.
    ranges: Option<Vec<ApiRange>>,
    /// The broker does not read before that time, µs.
    muted_until_us: u64,
}

impl<T: Copy> Connection<T> {
    /// Begins with the question what the broker speaks, in the newest version that is spoken here.
    #[must_use]
    pub fn new(settings: &ConnectionSettings, now_us: u64) -> Self {
        let mut connection = Self {
            inbox: Inbox::new(settings.receive_bytes, settings.response_most_bytes),
            settings: settings.clone(),
            out: Vec::new(),
            written: 0,
            in_flight: VecDeque::new(),
            next_id: 0,
            ranges: None,
            muted_until_us: 0,
        };
        connection.ask_versions(Api::ApiVersions.spoken().1, now_us);
        connection
    }

    fn ask_versions(&mut self, version: i16, now_us: u64) {
        let deadline_us = now_us + self.settings.handshake_us;
        let correlation_id = self.enqueue(Api::ApiVersions, version, deadline_us, None);
        encode_request(&SOFTWARE, version, correlation_id, &self.settings.client_id, &mut self.out);
    }

    fn enqueue(&mut self, api: Api, version: i16, deadline_us: u64, tag: Option<T>) -> i32 {
        let correlation_id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(0);
        self.in_flight.push_back(InFlight { correlation_id, api, version, deadline_us, tag });
        correlation_id
    }

    /// Whether the broker has said what it speaks.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ranges.is_some()
    }

    /// The version in which a request is spoken with this broker.
    ///
    /// # Errors
    /// There is none.
    pub fn version(&self, api: Api) -> Result<i16, UnsupportedApi> {
        api.choose(self.ranges.as_deref().unwrap_or_default())
    }

    /// Whether another request may go out where `most` may be in flight. A broker that throttles reads nothing for a
    /// while: one request waits for it then.
    #[must_use]
    pub fn has_room(&self, most: usize, now_us: u64) -> bool {
        let most = if now_us < self.muted_until_us { most.min(1) } else { most };
        self.is_ready() && self.in_flight.len() < most
    }

    /// When a request that is sent now is late, if the broker may take so long, µs: one that throttles begins later.
    #[must_use]
    pub fn deadline_us(&self, now_us: u64, limit_us: u64) -> u64 {
        now_us.max(self.muted_until_us).saturating_add(limit_us)
    }

    /// Requests that have not been answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What the unanswered requests were sent with, the oldest first.
    pub fn tags(&self) -> impl Iterator<Item = T> {
        self.in_flight.iter().filter_map(|request| request.tag)
    }

    /// Sends a request that is small enough to be encoded as a whole.
    ///
    /// # Errors
    /// The broker does not speak it.
    pub fn send<R: Request>(&mut self, request: &R, deadline_us: u64, tag: T) -> Result<(), UnsupportedApi> {
        let version = self.version(R::API)?;
        self.send_version(request, version, deadline_us, tag);
        Ok(())
    }

    /// Sends a request in a version that both sides speak.
    pub fn send_version<R: Request>(&mut self, request: &R, version: i16, deadline_us: u64, tag: T) {
        let correlation_id = self.enqueue(R::API, version, deadline_us, Some(tag));
        encode_request(request, version, correlation_id, &self.settings.client_id, &mut self.out);
    }

    /// Takes note of a request whose bytes the caller writes behind all that [`Self::output`] has. Returns the correlation
    /// id and the client's id, for its header.
    pub fn register(&mut self, api: Api, version: i16, deadline_us: u64, tag: T) -> (i32, Rc<str>) {
        let correlation_id = self.enqueue(api, version, deadline_us, Some(tag));
        (correlation_id, self.settings.client_id.clone())
    }

    /// What is to be written.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.out[self.written..]
    }

    /// So many bytes of [`Self::output`] have been written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= self.out.len() {
            self.out.clear();
            self.written = 0;
        }
    }

    /// Where bytes that come in go.
    pub fn space(&mut self) -> &mut [u8] {
        self.inbox.space()
    }

    /// So many bytes have come in.
    pub fn received(&mut self, bytes: usize) {
        self.inbox.received(bytes);
    }

    /// The next answer, if it is there as a whole. It stays where it is until [`Self::pass`] or [`Self::swap`].
    ///
    /// # Errors
    /// The connection has to be closed.
    pub fn next_response(&mut self, now_us: u64) -> Result<Option<Response<T>>, ConnectionError> {
        loop {
            let Some(frame) = self.inbox.frame()? else { return Ok(None) };
            let front = self.in_flight.pop_front();
            let expected = front.as_ref().map(|request| request.correlation_id);
            let got = frame.first_chunk().map(|id| i32::from_be_bytes(*id));
            let Some(request) = front.filter(|request| got == Some(request.correlation_id)) else {
                return Err(ConnectionError::OutOfOrder { expected, got: got.unwrap_or(-1) });
            };
            let InFlight { api, version, tag, .. } = request;
            match tag {
                Some(tag) => return Ok(Some(Response { tag, api, version })),
                None => self.learn_versions(version, now_us)?,
            }
        }
    }

    fn learn_versions(&mut self, asked: i16, now_us: u64) -> Result<(), ConnectionError> {
        let api = Api::ApiVersions;
        let unreadable = |error| ConnectionError::Unreadable { api, version: asked, error };
        let frame = self.inbox.frame()?.unwrap_or_default();
        let (_, body) = ResponseHeader::decode(api, asked, frame).map_err(unreadable)?;
        let answer = ApiVersionsResponse::decode(asked, body).map_err(unreadable)?;
        let (error, throttle_ms) = (answer.error, answer.throttle_time_ms);
        let ranges = answer.ranges;
        self.inbox.pass();
        match error {
            0 => self.ranges = Some(ranges),
            // The list is there, and the first version is spoken by all; also a broker whose list leaves this out.
            TOO_NEW if asked > 0 => {
                let version = api.choose(&ranges).unwrap_or(0).min(asked - 1);
                self.ask_versions(version, now_us);
            }
            error => return Err(ConnectionError::Refused(error)),
        }
        self.throttle(throttle_ms, now_us);
        Ok(())
    }

    /// The fields of the answer that came out of [`Self::next_response`].
    ///
    /// # Errors
    /// Its header cannot be read.
    pub fn body(&self, response: &Response<T>) -> Result<Decoder<'_>, ConnectionError> {
        let Response { api, version, .. } = *response;
        let frame = self.inbox.frame()?.unwrap_or_default();
        let header = ResponseHeader::decode(api, version, frame);
        header.map(|(_, body)| body).map_err(|error| ConnectionError::Unreadable { api, version, error })
    }

    /// The answer has been dealt with.
    pub fn pass(&mut self) {
        self.inbox.pass();
    }

    /// Exchanges the buffer that the answer lies in for a spare one, so that what it holds can be kept. Returns where in
    /// `spare` the answer lies now, its header included: half-open.
    pub fn swap(&mut self, spare: &mut Vec<u8>) -> (usize, usize) {
        self.inbox.swap(spare)
    }

    /// The broker has answered, and reads nothing for so many ms (KIP-219): what is in flight has so much longer.
    pub fn throttle(&mut self, throttle_ms: i32, now_us: u64) {
        let pause_us = u64::from(throttle_ms.max(0).unsigned_abs()) * 1_000;
        if pause_us > 0 {
            self.muted_until_us = self.muted_until_us.max(now_us + pause_us);
            self.in_flight.iter_mut().for_each(|request| request.deadline_us += pause_us);
        }
    }

    /// What is in flight has to be answered by that time, µs, if it had longer.
    pub fn hurry(&mut self, deadline_us: u64) {
        for request in &mut self.in_flight {
            request.deadline_us = request.deadline_us.min(deadline_us.max(self.muted_until_us));
        }
    }

    /// When something is to be done although nothing comes in, µs: an answer is late, or the broker reads again.
    #[must_use]
    pub fn next_deadline_us(&self, now_us: u64) -> u64 {
        let late = self.in_flight.iter().map(|request| request.deadline_us).min().unwrap_or(u64::MAX);
        if now_us < self.muted_until_us { late.min(self.muted_until_us) } else { late }
    }

    /// Whether an answer is late.
    ///
    /// # Errors
    /// One is: the connection has to be closed.
    pub fn check_deadlines(&self, now_us: u64) -> Result<(), ConnectionError> {
        match self.in_flight.iter().find(|request| request.deadline_us <= now_us) {
            Some(late) => Err(ConnectionError::TimedOut(late.api)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
