//! Which answer belongs to which request.

use super::{
    AddPartitionsResponse, Api, ApiVersionsResponse, CreateTopicsResponse, DecodeError, Decoder,
    DescribeSettingsResponse, EndTxnResponse, FetchResponse, FetchedPartition, FindCoordinatorResponse,
    InitProducerIdResponse, LeaderEpochResponse, ListOffsetsResponse, MetadataResponse, OffsetFetchResponse,
    ProduceResponse, SaslAuthenticateResponse, SaslHandshakeResponse,
};

impl Api {
    /// Takes an answer to such a request apart, for who only wants to know whether it is one. `fetched` is shown each
    /// partition of a Fetch.
    ///
    /// # Errors
    /// It is none.
    pub fn read_answer(
        self,
        version: i16,
        decoder: Decoder<'_>,
        mut fetched: impl FnMut(&FetchedPartition<'_>),
    ) -> Result<(), DecodeError> {
        match self {
            Self::Produce => ProduceResponse::decode(version, decoder, |_| ()).map(drop),
            Self::Fetch => FetchResponse::decode(version, decoder, |one| fetched(&one)).map(drop),
            Self::ListOffsets => ListOffsetsResponse::decode(version, decoder).map(drop),
            Self::Metadata => MetadataResponse::decode(version, decoder).map(drop),
            Self::OffsetFetch => OffsetFetchResponse::decode(version, decoder).map(drop),
            Self::FindCoordinator => FindCoordinatorResponse::decode(version, decoder).map(drop),
            Self::SaslHandshake => SaslHandshakeResponse::decode(version, decoder).map(drop),
            Self::ApiVersions => ApiVersionsResponse::decode(version, decoder).map(drop),
            Self::CreateTopics => CreateTopicsResponse::decode(version, decoder).map(drop),
            Self::InitProducerId => InitProducerIdResponse::decode(version, decoder).map(drop),
            Self::OffsetForLeaderEpoch => LeaderEpochResponse::decode(version, decoder).map(drop),
            Self::AddPartitionsToTxn => AddPartitionsResponse::decode(version, decoder).map(drop),
            Self::EndTxn => EndTxnResponse::decode(version, decoder).map(drop),
            Self::DescribeConfigs => DescribeSettingsResponse::decode(version, decoder).map(drop),
            Self::SaslAuthenticate => SaslAuthenticateResponse::decode(version, decoder).map(drop),
        }
    }
}
