//! Which requests there are, in which versions they are spoken here, and which of those a broker has.

use std::fmt;

use thiserror::Error;

use crate::mutants::enforced;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum Api {
    /// Writes record batches.
    Produce = 0,
    /// Reads record batches.
    Fetch = 1,
    /// Where logs start and end.
    ListOffsets = 2,
    /// Brokers, topics and leaders.
    Metadata = 3,
    /// Where a group has consumed partitions up to.
    OffsetFetch = 9,
    /// Who looks after a group or a transactional id.
    FindCoordinator = 10,
    /// Which mechanism is to be used.
    SaslHandshake = 17,
    /// Which requests a broker knows.
    ApiVersions = 18,
    /// Makes topics.
    CreateTopics = 19,
    /// A producer's id and epoch.
    InitProducerId = 22,
    /// Where the records of a leader epoch end.
    OffsetForLeaderEpoch = 23,
    /// Tells a transaction's coordinator which partitions it writes to.
    AddPartitionsToTxn = 24,
    /// Commits or aborts.
    EndTxn = 26,
    /// A topic's settings.
    DescribeConfigs = 32,
    /// Proves who we are.
    SaslAuthenticate = 36,
}

impl Api {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::OffsetFetch,
        Self::FindCoordinator,
        Self::SaslHandshake,
        Self::ApiVersions,
        Self::CreateTopics,
        Self::InitProducerId,
        Self::OffsetForLeaderEpoch,
        Self::AddPartitionsToTxn,
        Self::EndTxn,
        Self::DescribeConfigs,
        Self::SaslAuthenticate,
    ];

    /// Its number on the wire.
    #[must_use]
    pub const fn key(self) -> i16 {
        self as i16
    }

    /// The versions that are spoken here, first and last.
    #[must_use]
    pub const fn spoken(self) -> (i16, i16) {
        match self {
            // 7 is Redpanda's last Produce.
            Self::Produce | Self::Metadata => (7, 13),
            Self::Fetch => (10, 16),
            Self::ListOffsets => (2, 10),
            // 9 and up say which member asks.
            Self::OffsetFetch => (5, 8),
            Self::FindCoordinator => (1, 6),
            Self::SaslHandshake => (1, 1),
            Self::ApiVersions | Self::AddPartitionsToTxn => (0, 3),
            Self::CreateTopics => (4, 7),
            Self::InitProducerId | Self::EndTxn => (0, 5),
            Self::OffsetForLeaderEpoch => (2, 4),
            Self::DescribeConfigs => (1, 4),
            Self::SaslAuthenticate => (0, 2),
        }
    }

    /// The first version whose fields may be compact and tagged (KIP-482).
    #[must_use]
    pub const fn flexible_from(self) -> i16 {
        match self {
            Self::Produce | Self::Metadata => 9,
            Self::Fetch => 12,
            Self::ListOffsets | Self::OffsetFetch => 6,
            Self::FindCoordinator | Self::ApiVersions | Self::AddPartitionsToTxn | Self::EndTxn => 3,
            Self::SaslHandshake => i16::MAX,
            Self::CreateTopics => 5,
            Self::InitProducerId | Self::SaslAuthenticate => 2,
            Self::OffsetForLeaderEpoch | Self::DescribeConfigs => 4,
        }
    }

    /// Whether a version's fields may be compact and tagged.
    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from()
    }

    /// The newest version that a broker has which answers with these ranges, and that is spoken here.
    ///
    /// # Errors
    /// There is none, or the broker does not know the request.
    pub fn choose(self, ranges: &[ApiRange]) -> Result<i16, UnsupportedApi> {
        let range = ranges.iter().find(|range| range.key == self.key()).copied();
        let (first, last) = self.spoken();
        match range {
            Some(_) if !enforced("wire-common-version") => Ok(last),
            Some(range) if range.first.max(first) <= range.last.min(last) => Ok(range.last.min(last)),
            broker => Err(UnsupportedApi { api: self, broker }),
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names are Kafka's own.
        fmt::Debug::fmt(self, formatter)
    }
}

/// The versions of a request that a broker knows, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiRange {
    /// The request's number.
    pub key: i16,
    /// The first version.
    pub first: i16,
    /// The last version.
    pub last: i16,
}

/// A broker that is too old, or too new, for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the broker {}, and versions {} to {} are spoken here", theirs(*api, *broker), api.spoken().0, api.spoken().1)]
pub struct UnsupportedApi {
    /// The request.
    pub api: Api,
    /// What the broker has; `None`: it does not know it.
    pub broker: Option<ApiRange>,
}

fn theirs(api: Api, broker: Option<ApiRange>) -> String {
    match broker {
        Some(range) => format!("speaks {api} in versions {} to {}", range.first, range.last),
        None => format!("does not know the request {api}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(first: i16, last: i16) -> Result<i16, String> {
        let ranges = [ApiRange { key: 0, first: 0, last: 99 }, ApiRange { key: 1, first, last }];
        Api::Fetch.choose(&ranges).map_err(|error| error.to_string())
    }

    #[test]
    fn the_newest_common_version_is_chosen() {
        assert_eq!(fetch(0, 11), Ok(11));
        assert_eq!(fetch(4, 18), Ok(16));
        assert_eq!(fetch(10, 10), Ok(10));
    }

    #[test]
    fn a_broker_without_a_common_version_is_named_with_its_range() {
        let error = "the broker speaks Fetch in versions 0 to 9, and versions 10 to 16 are spoken here";
        assert_eq!(fetch(0, 9), Err(error.to_owned()));
        assert!(fetch(17, 18).unwrap_err().contains("17 to 18"));
        let unknown = Api::EndTxn.choose(&[]).unwrap_err().to_string();
        assert_eq!(
            unknown,
            "the broker does not know the request EndTxn, and versions 0 to 5 are spoken here"
        );
    }
}
