//! The messages that are spoken with brokers, in each version from Kafka 2.4 and Redpanda on.
//!
//! Requests are encoded, responses decoded; the other way round is the brokers', and in tests the `kafka-protocol`
//! crate's, which serves as an oracle for every message and version. What responses hold is borrowed from their bytes.
//! Fields and their order: Kafka's message definitions, `clients/src/main/resources/common/message`.

mod answers;
mod api;
mod api_versions;
mod coordinator;
mod decoder;
mod encoder;
mod fetch;
mod frame;
mod leader_epoch;
mod list_offsets;
mod metadata;
mod offset_fetch;
mod produce;
mod producer_id;
mod sasl;
mod topics;
mod transaction;

use std::sync::Arc;

pub use api::{Api, ApiRange, UnsupportedApi};
pub use api_versions::{ApiVersionsRequest, ApiVersionsResponse, FinalizedFeature};
pub use coordinator::{Coordinator, CoordinatorKind, FindCoordinatorRequest, FindCoordinatorResponse};
pub use decoder::{DecodeError, Decoder};
pub use encoder::Encoder;
pub use fetch::{
    AbortedTransaction, DivergingEpoch, FetchPartition, FetchRequest, FetchResponse, FetchedPartition,
};
pub use frame::{Request, ResponseHeader, begin_frame, encode_request, finish_frame};
pub use leader_epoch::{EpochEnd, EpochQuestion, LeaderEpochRequest, LeaderEpochResponse};
pub use list_offsets::{ListOffsetsRequest, ListOffsetsResponse, ListedOffset, OffsetQuestion, Timestamp};
pub use metadata::{Broker, MetadataRequest, MetadataResponse, PartitionMetadata, Replicas, TopicMetadata};
pub use offset_fetch::{GroupOffset, OffsetFetchRequest, OffsetFetchResponse};
pub use produce::{LeaderHint, ProduceRequest, ProduceResponse, ProducedPartition};
pub use producer_id::{InitProducerIdRequest, InitProducerIdResponse};
pub use sasl::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
pub use topics::{
    CreateTopicRequest, CreateTopicsResponse, CreatedTopic, DescribeSettingsRequest,
    DescribeSettingsResponse, Setting, SettingsOf,
};
pub use transaction::{
    AddPartitionsRequest, AddPartitionsResponse, AddedPartition, EndTxnRequest, EndTxnResponse,
};

/// A topic's id (KIP-516); all zeros where there is none.
pub type TopicId = [u8; 16];

/// By what a message names a topic: older versions by its name, newer ones by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicRef<'a> {
    /// Its name.
    Name(&'a str),
    /// Its id.
    Id(TopicId),
}

/// By what a request names its topics, found by their places.
#[derive(Clone, Copy, Debug)]
pub enum TopicRefs<'a> {
    /// All by their names.
    Names(&'a [Arc<str>]),
    /// All by their ids.
    Ids(&'a [TopicId]),
    /// There is only one.
    One(TopicRef<'a>),
}

impl<'a> TopicRefs<'a> {
    /// The topic at this place.
    ///
    /// # Panics
    /// There is none: a bug.
    #[must_use]
    pub fn at(self, place: usize) -> TopicRef<'a> {
        match self {
            Self::Names(names) => TopicRef::Name(&names[place]),
            Self::Ids(ids) => TopicRef::Id(ids[place]),
            Self::One(topic) => topic,
        }
    }

    fn are_ids(self) -> bool {
        matches!(self, Self::Ids(_) | Self::One(TopicRef::Id(_)))
    }
}

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod robustness_tests;
