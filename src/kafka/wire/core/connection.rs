//! One connection to a broker: which versions it speaks, and which answer belongs to which request.
//!
//! A connection is a FIFO: brokers answer in the order of the requests. Whatever breaks that, or cannot be read, ends the
//! connection, and what was in flight on it has an unknown outcome.

use std::{collections::VecDeque, mem, rc::Rc};

use thiserror::Error;

use super::{
    inbox::{FrameError, Inbox},
    login::{Exchange, Login, LoginError},
    notice::Size,
};
use crate::{
    kafka::{
        KafkaError,
        wire::protocol::{
            Api, ApiRange, ApiVersionsRequest, ApiVersionsResponse, DecodeError, Decoder, Request,
            ResponseHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
            SaslHandshakeResponse, UnsupportedApi, encode_request,
        },
    },
    mutants::enforced,
};

/// How this program calls itself to brokers (KIP-511).
const SOFTWARE: ApiVersionsRequest<'static> =
    ApiVersionsRequest { software: env!("CARGO_PKG_NAME"), software_version: env!("CARGO_PKG_VERSION") };
/// The feature on which a cluster agrees for transactions as of KIP-890.
const TRANSACTION_VERSION: &str = "transaction.version";
/// `UNSUPPORTED_VERSION`.
const TOO_NEW: i16 = 35;
/// `UNSUPPORTED_SASL_MECHANISM`.
const NO_MECHANISM: i16 = 33;
/// The kind of TLS record with which a port says that it does not understand (RFC 8446, section 5.1).
const ALERT: u8 = 21;
/// Who we are is proven anew when so much of a session's time is over, in percent: a few requests are still to be answered
/// by then, and the broker's clock may be another.
const SESSION_PERCENT: u64 = 90;
/// But not more often than this: a token that nears its end must not be shown without end.
const SESSION_LEAST_US: u64 = 1_000_000;

/// Why a connection cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectionError {
    /// None of the broker's addresses takes connections.
    #[error("{0}")]
    NotOpened(String),
    /// The broker's name has no address.
    #[error("{0}")]
    NotResolved(String),
    /// None of the broker's addresses has answered in time.
    #[error("{0}")]
    NotAnswering(String),
    /// There is no file descriptor left for it.
    #[error("{0}")]
    NoDescriptor(String),
    /// The broker, or the network, closed it.
    #[error("the connection was closed: {0}")]
    Lost(String),
    /// We do not trust the broker, or it does not trust us.
    #[error("{0}")]
    Untrusted(String),
    /// TLS went wrong in another way.
    #[error("{0}")]
    Tls(String),
    /// The broker does not let us in, or is not who it claims to be.
    #[error(transparent)]
    Login(#[from] LoginError),
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
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Untrusted(_) | Self::Login(_))
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
    /// How long the broker may take to say what it speaks, and for each step of letting us in, µs.
    pub handshake_us: u64,
    /// Who we are; `None`: nobody in particular.
    pub login: Option<Rc<Login>>,
}

#[derive(Debug)]
struct InFlight<T> {
    correlation_id: i32,
    api: Api,
    version: i16,
    deadline_us: u64,
    /// `None`: it is the connection's own, as everything is that comes before it can be used.
    tag: Option<T>,
    sent_us: u64,
    partitions: usize,
    bytes: usize,
}

/// How far the broker and this side have come with each other.
#[derive(Debug)]
enum Stage {
    /// The broker has not said what it speaks.
    Unknown,
    /// It is shown who we are.
    LoggingIn(Exchange),
    /// It takes requests.
    Ready,
    /// It is to be shown once more, when all that is in flight is answered.
    Draining,
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
    /// What the broker speaks; empty where it has not said so yet.
    ranges: Vec<ApiRange>,
    /// The cluster's level of `transaction.version`; 0 where the broker does not say.
    transaction_version: i16,
    stage: Stage,
    /// When it wants to be shown again who we are, µs; `u64::MAX`: never.
    again_us: u64,
    /// The broker does not read before that time, µs.
    muted_until_us: u64,
    /// When it was last of use, or was to be, µs: requests go out then.
    clock_us: u64,
    /// The request that was answered last.
    answered: Size,
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
            ranges: Vec::new(),
            transaction_version: 0,
            stage: Stage::Unknown,
            again_us: u64::MAX,
            muted_until_us: 0,
            clock_us: now_us,
            answered: Size::default(),
        };
        connection.send_own_version(&SOFTWARE, Api::ApiVersions.spoken().1, now_us);
        connection
    }

    fn enqueue(&mut self, api: Api, version: i16, deadline_us: u64, tag: Option<T>) -> i32 {
        let correlation_id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(0);
        let (sent_us, partitions, bytes) = (self.clock_us, 0, 0);
        let request = InFlight { correlation_id, api, version, deadline_us, tag, sent_us, partitions, bytes };
        self.in_flight.push_back(request);
        correlation_id
    }

    /// Whether the broker has said what it speaks and has let us in. Once true it is not for ever: a broker may want to know
    /// again who we are.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    /// The version in which a request is spoken with this broker.
    ///
    /// # Errors
    /// There is none.
    pub fn version(&self, api: Api) -> Result<i16, UnsupportedApi> {
        api.choose(&self.ranges)
    }

    /// The level of `transaction.version` that the cluster had agreed on when the connection was opened; 0: none.
    #[must_use]
    pub fn transaction_version(&self) -> i16 {
        self.transaction_version
    }

    /// Whether another request may go out where `most` may be in flight. A broker that throttles reads nothing for a
    /// while: one request waits for it then.
    #[must_use]
    pub fn has_room(&self, most: usize, now_us: u64) -> bool {
        let is_mute = now_us < self.muted_until_us && enforced("wire-one-while-mute");
        let most = if is_mute { most.min(1) } else { most };
        self.is_ready() && (self.in_flight.len() < most || !enforced("wire-requests-in-flight"))
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
        let before = self.out.len();
        encode_request(request, version, correlation_id, &self.settings.client_id, &mut self.out);
        self.measure(0, self.out.len() - before);
    }

    /// It is of use now.
    pub fn tick(&mut self, now_us: u64) {
        self.clock_us = now_us;
    }

    /// The request that was sent last is about so many partitions, and has so many bytes that were not known yet.
    pub fn measure(&mut self, partitions: usize, bytes: usize) {
        if let Some(last) = self.in_flight.back_mut() {
            last.partitions += partitions;
            last.bytes += bytes;
        }
    }

    /// The extent of the request that was answered last.
    #[must_use]
    pub fn last_answered(&self) -> Size {
        self.answered
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

    /// Bytes that are missing of the answer that is coming in, as far as its length is known.
    #[must_use]
    pub fn missing_bytes(&self) -> usize {
        self.inbox.missing_bytes()
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
            self.log_in_again(now_us)?;
            let frame = self.inbox.frame().map_err(|error| self.not_a_frame(error))?;
            let Some(frame) = frame else { return Ok(None) };
            let got = frame.first_chunk().map(|id| i32::from_be_bytes(*id));
            let expected = self.in_flight.front().map(|request| request.correlation_id);
            let fits = |request: &mut InFlight<T>| {
                got == Some(request.correlation_id) || !enforced("wire-correlation")
            };
            // Where it does not, that one has no answer, as those behind it.
            let Some(request) = self.in_flight.pop_front_if(fits) else {
                return Err(ConnectionError::OutOfOrder { expected, got: got.unwrap_or(-1) });
            };
            let InFlight { api, version, tag, sent_us, partitions, bytes, .. } = request;
            let took_us = now_us.saturating_sub(sent_us);
            self.answered = Size { partitions, request_bytes: bytes, response_bytes: frame.len(), took_us };
            match (tag, api) {
                (Some(tag), _) => return Ok(Some(Response { tag, api, version })),
                (None, Api::SaslHandshake) => self.learn_mechanisms(version, now_us)?,
                (None, Api::SaslAuthenticate) => self.learn_admission(version, now_us)?,
                (None, _) => self.learn_versions(version, now_us)?,
            }
        }
    }

    /// A port that expects TLS answers the first request with an alert.
    #[cold]
    fn not_a_frame(&self, error: FrameError) -> ConnectionError {
        let is_alert = matches!(error.length.to_be_bytes(), [ALERT, 3, _, 0]);
        if is_alert && matches!(self.stage, Stage::Unknown) {
            return ConnectionError::Tls("the answer is TLS: does the broker want --enable-tls?".to_owned());
        }
        error.into()
    }

    /// Has the fields of the first frame decoded.
    fn decoded<R>(
        &self,
        (api, version): (Api, i16),
        decode: impl FnOnce(Decoder<'_>) -> Result<R, DecodeError>,
    ) -> Result<R, ConnectionError> {
        let frame = self.inbox.frame()?.unwrap_or_default();
        let body = ResponseHeader::decode(api, version, frame).and_then(|(_, body)| decode(body));
        body.map_err(|error| ConnectionError::Unreadable { api, version, error })
    }

    fn learn_versions(&mut self, asked: i16, now_us: u64) -> Result<(), ConnectionError> {
        let api = Api::ApiVersions;
        let (error, throttle_ms, ranges, transaction_version) = self.decoded((api, asked), |body| {
            let answer = ApiVersionsResponse::decode(asked, body)?;
            let of_transactions = answer.features.iter().find(|feature| feature.name == TRANSACTION_VERSION);
            let transaction_version = of_transactions.map_or(0, |feature| feature.level);
            Ok((answer.error, answer.throttle_time_ms, answer.ranges, transaction_version))
        })?;
        self.inbox.pass();
        match error {
            0 => {
                (self.ranges, self.transaction_version) = (ranges, transaction_version);
                self.log_in(now_us)?;
            }
            // The list is there, and the first version is spoken by all; also a broker whose list leaves this out.
            TOO_NEW if asked > 0 => {
                let version = api.choose(&ranges).unwrap_or(0).min(asked - 1);
                self.send_own_version(&SOFTWARE, version, now_us);
            }
            error => return Err(ConnectionError::Refused(error)),
        }
        self.throttle(throttle_ms, now_us);
        Ok(())
    }

    fn send_own<R: Request>(&mut self, request: &R, now_us: u64) -> Result<(), UnsupportedApi> {
        self.send_own_version(request, self.version(R::API)?, now_us);
        Ok(())
    }

    fn send_own_version<R: Request>(&mut self, request: &R, version: i16, now_us: u64) {
        let deadline_us = self.deadline_us(now_us, self.settings.handshake_us);
        let correlation_id = self.enqueue(R::API, version, deadline_us, None);
        encode_request(request, version, correlation_id, &self.settings.client_id, &mut self.out);
    }

    /// Shows who we are, if we are anybody.
    fn log_in(&mut self, now_us: u64) -> Result<(), UnsupportedApi> {
        self.again_us = u64::MAX;
        self.stage = Stage::Ready;
        let Some(login) = self.settings.login.clone() else { return Ok(()) };
        self.stage = Stage::LoggingIn(Exchange::new(&login));
        self.send_own(&SaslHandshakeRequest { mechanism: login.mechanism().name() }, now_us)
    }

    /// Shows it again, when everything is answered that came before. Brokers refuse whatever else is said meanwhile.
    fn log_in_again(&mut self, now_us: u64) -> Result<(), UnsupportedApi> {
        match self.stage {
            Stage::Draining if self.in_flight.is_empty() || !enforced("wire-login-alone") => {
                self.log_in(now_us)
            }
            _ => Ok(()),
        }
    }

    fn learn_mechanisms(&mut self, version: i16, now_us: u64) -> Result<(), ConnectionError> {
        let Stage::LoggingIn(mut exchange) = mem::replace(&mut self.stage, Stage::Unknown) else {
            return Err(ConnectionError::TooEarly(Api::SaslHandshake));
        };
        let asked = exchange.mechanism().name();
        self.decoded((Api::SaslHandshake, version), |body| {
            let answer = SaslHandshakeResponse::decode(version, body)?;
            Ok(match answer.error {
                0 => Ok(()),
                NO_MECHANISM => {
                    let mut theirs = answer.mechanisms.join(", ");
                    theirs.truncate(theirs.floor_char_boundary(200));
                    Err(LoginError::Mechanism { asked, theirs })
                }
                error => Err(LoginError::Refused(KafkaError::Broker(error).to_string())),
            })
        })??;
        self.inbox.pass();
        let first = exchange.begin();
        self.stage = Stage::LoggingIn(exchange);
        Ok(self.send_own(&SaslAuthenticateRequest { bytes: &first }, now_us)?)
    }

    fn learn_admission(&mut self, version: i16, now_us: u64) -> Result<(), ConnectionError> {
        let Stage::LoggingIn(mut exchange) = mem::replace(&mut self.stage, Stage::Unknown) else {
            return Err(ConnectionError::TooEarly(Api::SaslAuthenticate));
        };
        let (next, lifetime_ms) = self.decoded((Api::SaslAuthenticate, version), |body| {
            let answer = SaslAuthenticateResponse::decode(version, body)?;
            let next = match (answer.error, answer.message) {
                (0, _) => exchange.answered(answer.bytes),
                (_, Some(words)) if !words.is_empty() => Err(LoginError::Refused(words.to_owned())),
                (error, _) => Err(LoginError::Refused(KafkaError::Broker(error).to_string())),
            };
            Ok((next, answer.session_lifetime_ms))
        })?;
        let next = next?;
        self.inbox.pass();
        if let Some(bytes) = next {
            self.stage = Stage::LoggingIn(exchange);
            return Ok(self.send_own(&SaslAuthenticateRequest { bytes: &bytes }, now_us)?);
        }
        self.stage = Stage::Ready;
        if let Ok(lifetime_ms @ 1..) = u64::try_from(lifetime_ms) {
            let pause_us = lifetime_ms.saturating_mul(1_000) / 100 * SESSION_PERCENT;
            self.again_us = now_us.saturating_add(pause_us.max(SESSION_LEAST_US));
        }
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
            if enforced("wire-mute-is-no-delay") {
                self.in_flight.iter_mut().for_each(|request| request.deadline_us += pause_us);
            }
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
        let due = if self.is_ready() { late.min(self.again_us) } else { late };
        if now_us < self.muted_until_us { due.min(self.muted_until_us) } else { due }
    }

    /// Does what is due: who we are may have to be shown again.
    ///
    /// # Errors
    /// An answer is late: the connection has to be closed.
    pub fn handle_timeout(&mut self, now_us: u64) -> Result<(), ConnectionError> {
        self.check_deadlines(now_us)?;
        if self.is_ready() && self.again_us <= now_us && enforced("wire-login-again") {
            self.stage = Stage::Draining;
        }
        Ok(self.log_in_again(now_us)?)
    }

    /// Whether an answer is late.
    ///
    /// # Errors
    /// One is: the connection has to be closed.
    pub fn check_deadlines(&self, now_us: u64) -> Result<(), ConnectionError> {
        match self.in_flight.iter().find(|request| request.deadline_us <= now_us) {
            Some(_) if !enforced("wire-deadlines") => Ok(()),
            Some(late) => Err(ConnectionError::TimedOut(late.api)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "connection_login_tests.rs"]
mod login_tests;
#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
