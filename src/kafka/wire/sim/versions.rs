//! Which versions of requests a broker has.

use kafka_protocol::messages::ApiKey;

use super::Flavour;

/// First and last, both included; `None`: the request is not known.
pub fn range(flavour: Flavour, api: ApiKey) -> Option<(i16, i16)> {
    let (former, newest) = match api {
        ApiKey::Produce => ((0, 11), (0, 13)),
        ApiKey::Fetch => ((0, 17), (4, 18)),
        ApiKey::ListOffsets => ((0, 9), (1, 10)),
        ApiKey::Metadata => ((0, 12), (0, 13)),
        ApiKey::FindCoordinator => ((0, 6), (0, 6)),
        ApiKey::InitProducerId | ApiKey::AddPartitionsToTxn => ((0, 5), (0, 5)),
        ApiKey::ApiVersions => ((0, 4), (0, 4)),
        ApiKey::CreateTopics => ((0, 7), (2, 7)),
        ApiKey::OffsetForLeaderEpoch => ((0, 4), (2, 4)),
        ApiKey::EndTxn => ((0, 4), (0, 5)),
        ApiKey::DescribeConfigs => ((0, 4), (1, 4)),
        _ => return None,
    };
    Some(match flavour {
        Flavour::Kafka39 => former,
        Flavour::Kafka41 => newest,
    })
}

/// Requests that are known.
pub const KNOWN: [ApiKey; 12] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::FindCoordinator,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::AddPartitionsToTxn,
    ApiKey::EndTxn,
    ApiKey::DescribeConfigs,
];

/// Advertised, and refused: KIP-896 took these away, KAFKA-18659 says why they are told all the same.
pub fn is_only_told(flavour: Flavour, api: ApiKey, version: i16) -> bool {
    flavour == Flavour::Kafka41 && api == ApiKey::Produce && version < 3
}
