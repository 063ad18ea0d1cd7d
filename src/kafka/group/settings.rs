//! What a member of a group is told, whichever client it stands on.

use std::{sync::Arc, time::Duration};

use crate::kafka::{ClientSettings, Handover, Isolation};

/// What a client needs to be a member of a group.
#[derive(Clone, Debug)]
pub(crate) struct MemberSettings {
    /// `group.id`.
    pub group: String,
    /// Which records are visible.
    pub isolation: Isolation,
    /// Where a partition is read from that the group has no place in.
    pub start: GroupStart,
    /// Members of the group in this process: they share the memory for what is read ahead.
    pub members: usize,
    /// How long the group waits for a member that is silent; `None` is the client's default. The brokers decide where
    /// the group's protocol is `consumer`.
    pub session_timeout: Option<Duration>,
    /// How long the group waits for its members when it rebalances; `None` is the client's default.
    pub rebalance_timeout: Option<Duration>,
    /// What members of one process tell each other, if anything.
    pub handover: Option<Arc<Handover>>,
}

/// Where a group starts that has no place yet, and how far its members read ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupStart {
    /// At the log's end. There may be hundreds of members in a process: each reads ahead a little only.
    End,
    /// At the log's start, and as fast as it goes.
    Start,
}

/// Kafka's own default.
pub(crate) const DEFAULT_SESSION: Duration = Duration::from_secs(45);

impl MemberSettings {
    /// How long a member that is such a client may be silent before another gets its partitions.
    #[must_use]
    pub(crate) fn session(&self, client: &ClientSettings) -> Duration {
        let own = client.given("session.timeout.ms").and_then(|value| value.parse().ok());
        own.map(Duration::from_millis).or(self.session_timeout).unwrap_or(DEFAULT_SESSION)
    }
}
