//! Which versions of requests a broker has.

use kafka_protocol::messages::ApiKey;

use super::Flavour;

/// First and last, both included; `None`: the request is not known.
pub(super) fn range(flavour: Flavour, api: ApiKey) -> Option<(i16, i16)> {
    let [kafka24, kafka39, kafka41, redpanda] = match api {
        ApiKey::Produce => [(0, 8), (0, 11), (0, 13), (0, 7)],
        ApiKey::Fetch => [(0, 11), (0, 17), (4, 18), (4, 11)],
        ApiKey::ListOffsets => [(0, 5), (0, 9), (1, 10), (0, 3)],
        ApiKey::Metadata => [(0, 9), (0, 12), (0, 13), (0, 7)],
        ApiKey::OffsetFetch => [(0, 6), (0, 9), (1, 10), (0, 7)],
        ApiKey::FindCoordinator => [(0, 3), (0, 6), (0, 6), (0, 2)],
        ApiKey::InitProducerId => [(0, 2), (0, 5), (0, 5), (0, 1)],
        ApiKey::AddPartitionsToTxn => [(0, 1), (0, 5), (0, 5), (0, 2)],
        ApiKey::ApiVersions => [(0, 3), (0, 4), (0, 4), (0, 3)],
        ApiKey::CreateTopics => [(0, 5), (0, 7), (2, 7), (0, 6)],
        ApiKey::OffsetForLeaderEpoch => [(0, 3), (0, 4), (2, 4), (0, 3)],
        ApiKey::EndTxn => [(0, 1), (0, 4), (0, 5), (0, 3)],
        ApiKey::DescribeConfigs => [(0, 2), (0, 4), (1, 4), (0, 4)],
        ApiKey::SaslHandshake => [(0, 1); 4],
        ApiKey::SaslAuthenticate => [(0, 1), (0, 2), (0, 2), (0, 1)],
        _ => return None,
    };
    Some(match flavour {
        Flavour::Kafka24 => kafka24,
        Flavour::Kafka39 => kafka39,
        Flavour::Kafka41 => kafka41,
        Flavour::Redpanda => redpanda,
    })
}

/// Whether whoever asks for a group's places can have it wait for those that an open transaction carries.
pub(super) fn waits_for_stable(flavour: Flavour) -> bool {
    range(flavour, ApiKey::OffsetFetch).is_some_and(|(_, last)| last >= 7)
}

/// Requests that are known.
pub(super) const KNOWN: [ApiKey; 15] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::SaslHandshake,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::AddPartitionsToTxn,
    ApiKey::EndTxn,
    ApiKey::DescribeConfigs,
    ApiKey::SaslAuthenticate,
];

/// Advertised, and refused: KIP-896 took these away, KAFKA-18659 says why they are told all the same.
pub(super) fn is_only_told(flavour: Flavour, api: ApiKey, version: i16) -> bool {
    flavour == Flavour::Kafka41 && api == ApiKey::Produce && version < 3
}
