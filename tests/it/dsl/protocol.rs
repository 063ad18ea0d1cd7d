//! Kafka's messages, as far as a proxy changes them: their heads, and the bodies that are taken apart.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Read},
};

use kafka_protocol::{
    messages::{
        ApiKey, ApiVersionsResponse, DescribeClusterResponse, EndTxnRequest, EndTxnResponse, FetchRequest,
        FetchResponse, FindCoordinatorResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataResponse,
        OffsetFetchResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest,
        ProduceResponse, RequestHeader, ResponseHeader,
    },
    protocol::{Decodable, Encodable, StrBytes},
};

/// More than any message of the tests has.
const MOST_BYTES: usize = 256 << 20;
/// Later versions name topics by their ids, which say nothing to a reader of these messages.
const LAST_WITH_TOPIC_NAMES: i16 = 12;

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A client.
    Request,
    /// The broker.
    Response,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub way: Way,
    pub api: ApiKey,
    pub version: i16,
}

/// Declares which bodies are taken apart; the others pass as they are.
macro_rules! bodies {
    ($($way:ident $api:ident $body:ident),* $(,)?) => {
        /// A message's body.
        #[derive(Clone, Debug)]
        pub enum Body {
            $($body($body),)*
            /// One that nobody here looks into.
            Other(Vec<u8>),
        }

        impl Body {
            fn decode(kind: Kind, bytes: &[u8]) -> io::Result<Self> {
                match (kind.way, kind.api) {
                    $((Way::$way, ApiKey::$api) => {
                        let body = $body::decode(&mut &*bytes, kind.version);
                        body.map(Self::$body).map_err(|error| strange(kind, &error))
                    })*
                    _ => Ok(Self::Other(bytes.to_vec())),
                }
            }

            fn encode(&self, kind: Kind, out: &mut Vec<u8>) -> io::Result<()> {
                match self {
                    $(Self::$body(body) => {
                        body.encode(out, kind.version).map_err(|error| strange(kind, &error))
                    })*
                    Self::Other(bytes) => {
                        out.extend(bytes);
                        Ok(())
                    }
                }
            }
        }
    };
}

bodies![
    Request Produce ProduceRequest,
    Request Fetch FetchRequest,
    Request ListOffsets ListOffsetsRequest,
    Request OffsetForLeaderEpoch OffsetForLeaderEpochRequest,
    Request EndTxn EndTxnRequest,
    Response EndTxn EndTxnResponse,
    Response Produce ProduceResponse,
    Response Fetch FetchResponse,
    Response ListOffsets ListOffsetsResponse,
    Response OffsetForLeaderEpoch OffsetForLeaderEpochResponse,
    Response Metadata MetadataResponse,
    Response FindCoordinator FindCoordinatorResponse,
    Response OffsetFetch OffsetFetchResponse,
    Response DescribeCluster DescribeClusterResponse,
    Response ApiVersions ApiVersionsResponse,
];

/// A message, taken apart.
#[derive(Clone, Debug)]
pub struct Message {
    pub kind: Kind,
    /// What ties an answer to its question.
    pub correlation: i32,
    /// The head as it came.
    head: Vec<u8>,
    pub body: Body,
}

impl Message {
    /// # Errors
    /// It cannot be taken apart.
    pub fn request(bytes: &[u8]) -> io::Result<Self> {
        let [api, version] = [0, 2].map(|at| i16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let api = ApiKey::try_from(api)
            .map_err(|()| io::Error::new(ErrorKind::InvalidData, format!("a request of the API {api}")))?;
        let kind = Kind { way: Way::Request, api, version };
        let mut rest = bytes;
        let header = RequestHeader::decode(&mut rest, api.request_header_version(version))
            .map_err(|error| strange(kind, &error))?;
        Self::of(kind, header.correlation_id, bytes, rest)
    }

    /// The answer to a request of this kind.
    ///
    /// # Errors
    /// It cannot be taken apart.
    pub fn response(api: ApiKey, version: i16, bytes: &[u8]) -> io::Result<Self> {
        let kind = Kind { way: Way::Response, api, version };
        let mut rest = bytes;
        let header = ResponseHeader::decode(&mut rest, api.response_header_version(version))
            .map_err(|error| strange(kind, &error))?;
        Self::of(kind, header.correlation_id, bytes, rest)
    }

    fn of(kind: Kind, correlation: i32, bytes: &[u8], rest: &[u8]) -> io::Result<Self> {
        let head = bytes[..bytes.len() - rest.len()].to_vec();
        Ok(Self { kind, correlation, head, body: Body::decode(kind, rest)? })
    }

    /// Under another number.
    pub fn numbered(mut self, correlation: i32) -> Self {
        let at = if self.kind.way == Way::Request { 4 } else { 0 };
        self.correlation = correlation;
        self.head[at..at + 4].copy_from_slice(&correlation.to_be_bytes());
        self
    }

    /// As it goes over the wire, with its size in front.
    ///
    /// # Errors
    /// It holds what its version has no place for.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 4];
        bytes.extend(&self.head);
        self.body.encode(self.kind, &mut bytes)?;
        let size = u32::try_from(bytes.len() - 4).map_err(|error| strange(self.kind, &error))?;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        Ok(bytes)
    }

    /// Has clients that learn from this answer stay on this port, and in this dialect: there is one broker behind it.
    pub fn lead_to(&mut self, port: u16, dialect: Dialect) {
        let (host, port) = (StrBytes::from_static_str("127.0.0.1"), i32::from(port));
        match &mut self.body {
            Body::MetadataResponse(answer) => {
                for broker in &mut answer.brokers {
                    (broker.host, broker.port) = (host.clone(), port);
                }
            }
            Body::DescribeClusterResponse(answer) => {
                for broker in &mut answer.brokers {
                    (broker.host, broker.port) = (host.clone(), port);
                }
            }
            Body::FindCoordinatorResponse(answer) => {
                // Whoever was not found has no host.
                if !answer.host.is_empty() {
                    (answer.host, answer.port) = (host.clone(), port);
                }
                for found in answer.coordinators.iter_mut().filter(|found| !found.host.is_empty()) {
                    (found.host, found.port) = (host.clone(), port);
                }
            }
            Body::ApiVersionsResponse(answer) => dialect.lower_versions(answer),
            _ => {}
        }
    }
}

/// Whose versions of the requests that a client makes for records, topics and transactions a proxy shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The broker's own, as far as they can be taken apart.
    Own,
    /// Apache Kafka 2.4's.
    Kafka24,
    /// Redpanda's, up to 24.3: hardly any is flexible.
    Redpanda,
}

impl Dialect {
    /// The last version of a request.
    fn last(self, api: ApiKey) -> i16 {
        let newest = match api {
            ApiKey::Produce | ApiKey::Fetch => LAST_WITH_TOPIC_NAMES,
            api => api.valid_versions().max,
        };
        let (kafka, redpanda) = match api {
            ApiKey::Produce => (8, 7),
            ApiKey::Fetch => (11, 11),
            ApiKey::ListOffsets => (5, 3),
            ApiKey::Metadata => (9, 7),
            ApiKey::FindCoordinator => (3, 2),
            ApiKey::OffsetFetch => (6, 7),
            ApiKey::SaslHandshake | ApiKey::SaslAuthenticate => (1, 1),
            ApiKey::ApiVersions | ApiKey::OffsetForLeaderEpoch => (3, 3),
            ApiKey::CreateTopics => (5, 6),
            ApiKey::InitProducerId => (2, 1),
            ApiKey::AddPartitionsToTxn => (1, 2),
            ApiKey::EndTxn => (1, 3),
            ApiKey::DescribeConfigs => (2, 4),
            _ => (newest, newest),
        };
        match self {
            Self::Own => newest,
            Self::Kafka24 => newest.min(kafka),
            Self::Redpanda => newest.min(redpanda),
        }
    }

    /// Whether a request may be made; one that was never offered ends a connection.
    pub fn knows(self, kind: Kind) -> bool {
        // Which versions of it there are, the broker tells.
        kind.api == ApiKey::ApiVersions || kind.version <= self.last(kind.api)
    }

    /// Has clients use only what there is.
    fn lower_versions(self, answer: &mut ApiVersionsResponse) {
        for known in &mut answer.api_keys {
            let Ok(api) = ApiKey::try_from(known.api_key) else { continue };
            known.max_version = known.max_version.min(self.last(api));
        }
        if self != Self::Own {
            // Neither of them knows features that a cluster agrees on.
            answer.finalized_features.clear();
            answer.supported_features.clear();
            answer.finalized_features_epoch = -1;
        }
    }
}

fn strange(kind: Kind, error: &dyn Display) -> io::Error {
    let Kind { way, api, version } = kind;
    io::Error::new(ErrorKind::InvalidData, format!("{way:?} of {api:?}, version {version}: {error}"))
}

/// Reads one message, without its size.
///
/// # Errors
/// The connection has ended, or what comes is no message.
pub fn read(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let size = u32::from_be_bytes(size) as usize;
    if !(8..MOST_BYTES).contains(&size) {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("a message of {size} bytes")));
    }
    let mut bytes = vec![0; size];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
