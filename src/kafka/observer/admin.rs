//! What a client must be able to say for an observer to stand on it.

use std::time::Duration;

use super::{Refusal, Seen};
use crate::{
    config::NewTopic,
    kafka::{ClientError, Isolation, KafkaError, OffsetSpec, TopicAnswers},
};

/// A client that answers questions about a cluster, shared between threads. Its calls block, but none for long: whoever
/// needs an answer asks again.
pub(crate) trait Admin: Send + Sync {
    /// The brokers, and the topic where one is named: asked once. A topic in the making is not there yet.
    fn describe(&self, topic: Option<&str>, limit: Duration) -> Result<Described, KafkaError>;

    /// Where these partitions, which have leaders, start or end; `None` when `stop` became true before.
    fn offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        spec: OffsetSpec,
        isolation: Isolation,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<TopicAnswers>;

    /// Makes a topic; one that is there already is left as it is.
    fn create_topic(&self, topic: &str, new: &NewTopic) -> Result<(), NotCreated>;

    /// How something is set, if a broker says so soon.
    fn setting(&self, of: Resource<'_>, name: &str) -> Option<String>;

    /// What has been seen since the last call.
    fn look(&self) -> AdminLook;

    /// Why no broker was reached, in the client's words; empty when it knows of nothing.
    fn last_complaint(&self) -> String;
}

/// A cluster, and the topic in it that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    /// The brokers that it lists.
    pub(crate) brokers: Vec<NamedBroker>,
    /// The topic's id, where the brokers have such and the client asks for it (KIP-516).
    pub(crate) topic_id: Option<[u8; 16]>,
    /// The topic's partitions, in no order.
    pub(crate) partitions: Vec<DescribedPartition>,
    /// What we may do with the topic: a bit for each operation, by its number in ACLs. `None` where the client or the
    /// brokers do not say.
    pub(crate) rights: Option<u32>,
    /// It is known to be Redpanda's.
    pub(crate) is_redpanda: bool,
}

/// A broker that a cluster lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedBroker {
    /// Its id.
    pub(crate) id: i32,
    /// `host:port`.
    pub(crate) address: String,
}

/// A partition, as a cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DescribedPartition {
    /// Its number.
    pub(crate) id: i32,
    /// The broker that leads it; negative is none.
    pub(crate) leader: i32,
    /// The brokers that hold it.
    pub(crate) replicas: Vec<i32>,
}

/// What has settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A broker, by its id.
    Broker(i32),
}

/// What a client has seen since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AdminLook {
    /// The brokers that the cluster names, for each time that the client has looked at all of them.
    pub(crate) looks: Vec<Vec<Seen>>,
    /// How brokers refused to let us in.
    pub(crate) refusals: Vec<Refusal>,
}

/// Why a topic was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotCreated {
    pub(crate) reason: String,
    /// Asking again may help.
    pub(crate) passing: bool,
}

impl NotCreated {
    /// A cluster's error, and what it said with it: empty when that was nothing.
    pub(crate) fn new(error: KafkaError, text: &str) -> Self {
        let reason = if text.is_empty() { error.to_string() } else { format!("{error}: {text}") };
        Self { reason, passing: error.is_transient() }
    }
}

impl From<ClientError> for NotCreated {
    fn from(error: ClientError) -> Self {
        Self { reason: error.to_string(), passing: false }
    }
}
