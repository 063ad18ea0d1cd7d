//! Kafka's and the client's error codes, as values that can be shown and matched.

use std::{ffi::CStr, fmt};

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};
use thiserror::Error;

use crate::config;

/// An error that a broker answered, or that the client made up in its stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KafkaError(Code);

impl KafkaError {
    pub(super) fn new(code: Code) -> Self {
        Self(code)
    }

    pub(super) fn check(code: Code) -> Result<(), Self> {
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(Self(code)) }
    }

    /// The error of a topic that is not there.
    #[must_use]
    pub fn unknown_topic() -> Self {
        Self(Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
    }

    /// The error of a question that was not answered.
    #[must_use]
    pub fn timed_out() -> Self {
        Self(Code::RD_KAFKA_RESP_ERR__TIMED_OUT)
    }

    /// Whether the topic or the partition is not there.
    #[must_use]
    pub fn is_unknown_topic(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
                | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
                | Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
        )
    }

    /// Whether the client let go of a record because the topic, or its partition, was gone from the cluster's answer. One
    /// such answer is enough, and a broker that comes up may give it; who watches the topics says it when one was
    /// deleted. What was under way then has the other code (as a living client gives it; seen in librdkafka 2.12.1).
    #[must_use]
    pub fn is_let_go(self) -> bool {
        self.is_unknown_topic() || self.0 == Code::RD_KAFKA_RESP_ERR__DESTROY
    }

    /// Whether the client was told to let go of a record, or does so because its transaction is aborted.
    #[must_use]
    pub fn is_given_up(self) -> bool {
        matches!(self.0, Code::RD_KAFKA_RESP_ERR__PURGE_QUEUE | Code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
    }

    /// Whether the connection itself was refused, by them or by us.
    #[must_use]
    pub fn is_no_admission(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR__AUTHENTICATION
                | Code::RD_KAFKA_RESP_ERR__SSL
                | Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
        )
    }

    /// Whether a send was refused for the client's state of the moment only: between transactions, or after an answer
    /// without the topic. One is enough, and a broker that comes up may give it; who watches the topics says it when
    /// one was deleted.
    #[must_use]
    pub fn is_passing(self) -> bool {
        self.is_unknown_topic()
            || matches!(self.0, Code::RD_KAFKA_RESP_ERR__STATE | Code::RD_KAFKA_RESP_ERR__IN_PROGRESS)
    }

    /// Whether another producer has taken this one's place.
    #[must_use]
    pub fn is_fenced(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR__FENCED
                | Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED
                | Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH
        )
    }

    /// Whether the same question may get another answer later: nobody was reached, or nobody was in charge.
    #[must_use]
    pub fn is_passing_answer(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR__TRANSPORT
                | Code::RD_KAFKA_RESP_ERR__TIMED_OUT
                | Code::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE
                | Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
                | Code::RD_KAFKA_RESP_ERR_NOT_CONTROLLER
                | Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT
                | Code::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE
                | Code::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION
                | Code::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED
        )
    }

    /// Whether the cluster, or the client, has no such request.
    #[must_use]
    pub fn is_unsupported(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION
        )
    }

    /// Whether asking again cannot help: the cluster knows us and says no.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        matches!(
            self.0,
            Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
                | Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
                | Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
                | Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                | Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION
                | Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
                | Code::RD_KAFKA_RESP_ERR__AUTHENTICATION
        )
    }
}

impl fmt::Display for KafkaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: both functions take any code and return a static, NUL-terminated string.
        let (name, text) = unsafe {
            (CStr::from_ptr(rdk::rd_kafka_err2name(self.0)), CStr::from_ptr(rdk::rd_kafka_err2str(self.0)))
        };
        write!(formatter, "{} ({})", text.to_string_lossy(), name.to_string_lossy())
    }
}

/// A setting's value, unless it may be a secret: also of a name that was misspelt.
fn shown<'a>(key: &str, value: &'a str) -> &'a str {
    let key = key.to_lowercase();
    let is_like_one = ["pass", "pem", "key", "oauth"].iter().any(|word| key.contains(word));
    if (is_like_one || config::is_secret(&key)) && !value.is_empty() { "***" } else { value }
}

/// Why a client could not be made.
#[derive(Debug, Error)]
pub enum ClientError {
    /// A setting that librdkafka does not take.
    #[error("client setting {key}={}: {}", shown(key, value), reason.replace(value.as_str(), shown(key, value)))]
    Setting {
        /// The setting's name.
        key: String,
        /// The value that it was given.
        value: String,
        /// What librdkafka said.
        reason: String,
    },
    /// Settings that librdkafka takes one by one, and not together.
    #[error(
        "the client library refuses these settings together: {reason}: change what -X or --client-config adds"
    )]
    Combination {
        /// What librdkafka said.
        reason: String,
    },
    /// The client itself.
    #[error("the Kafka client could not be started: {0}")]
    Start(String),
    /// The bearer token.
    #[error("the bearer token cannot be used: {0}")]
    Token(String),
    /// The way from the client's queue to the executor.
    #[error("the Kafka client's wake-up could not be set up: {0}")]
    Wake(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_is_not_refused_for_good_by_what_passes() {
        let passes = |code| KafkaError::new(code).is_passing();
        assert!(passes(Code::RD_KAFKA_RESP_ERR__STATE) && KafkaError::unknown_topic().is_passing());
        assert!(passes(Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC));
        assert!(!passes(Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED));
        assert!(!passes(Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE));
    }

    #[test]
    fn secrets_do_not_show_where_a_setting_is_refused() {
        let refused = |key: &str, value: &str| {
            let reason = format!("no such thing as \"{value}\"");
            ClientError::Setting { key: key.into(), value: value.into(), reason }.to_string()
        };
        let shown = refused("sasl.passwrod", "hunter2");
        assert_eq!(shown, "client setting sasl.passwrod=***: no such thing as \"***\"");
        assert!(!refused("SASL.Password", "hunter2").contains("hunter2"));
        assert!(refused("linger.ms", "abc").starts_with("client setting linger.ms=abc: "));
        assert!(refused("sasl.password", "").starts_with("client setting sasl.password=: "));
    }
}
