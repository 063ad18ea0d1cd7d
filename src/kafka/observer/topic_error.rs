//! Why a topic cannot be worked on.

use std::time::Duration;

use thiserror::Error;

use super::Refusal;
use crate::{
    findings::Complaint,
    kafka::{ClientError, KafkaError},
};

/// Why the topic cannot be worked on.
#[derive(Debug, Error)]
pub(crate) enum TopicError {
    /// Nobody answers.
    #[error(
        "no broker answered at {brokers} within {}s{reason}: check --brokers, or raise --startup-timeout",
        waited.as_secs_f64()
    )]
    NoBroker {
        /// Bootstrap list.
        brokers: String,
        /// How long they had.
        waited: Duration,
        /// What the client complained of last, in brackets.
        reason: String,
    },
    /// Nobody answers, and the client knows better than that why.
    #[error("no broker answered at {brokers} within {}s: {complaint}", waited.as_secs_f64())]
    Explained {
        /// Bootstrap list.
        brokers: String,
        /// How long they had.
        waited: Duration,
        /// What it complains of.
        complaint: Box<Complaint>,
    },
    /// They and we do not speak the same versions.
    #[error("the brokers at {brokers} cannot be used: {complaint}")]
    TooOld {
        /// Bootstrap list.
        brokers: String,
        /// What the client complains of.
        complaint: Box<Complaint>,
    },
    /// The brokers do not let us in, or we do not trust them.
    #[error("the brokers at {brokers} refuse the connection: {refusal}")]
    NotAdmitted {
        /// Bootstrap list.
        brokers: String,
        /// Why, and what to do about it.
        refusal: Refusal,
    },
    /// It is not there.
    #[error("topic '{topic}' does not exist at {brokers}; waited {} s; it was not created: \
         check --topic, or make it with --create-topic", waited.as_secs_f64())]
    Missing {
        /// The topic.
        topic: String,
        /// Bootstrap list.
        brokers: String,
        /// How long it had to appear.
        waited: Duration,
    },
    /// It cannot be used.
    #[error("topic '{topic}': {error}")]
    Refused {
        /// The topic.
        topic: String,
        /// The broker's answer.
        error: KafkaError,
    },
    /// It was to be made, and was not.
    #[error("topic '{topic}' could not be created: {reason}")]
    NotCreated {
        /// The topic.
        topic: String,
        /// The cluster's answer.
        reason: String,
    },
    /// The run was told to end.
    #[error("stopped while waiting for topic '{topic}'")]
    Stopped {
        /// The topic.
        topic: String,
    },
    /// The client itself.
    #[error(transparent)]
    Client(#[from] ClientError),
}
