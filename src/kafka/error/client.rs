//! Why a client could not be made.

use std::path::PathBuf;

use thiserror::Error;

use crate::config;

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
    /// A file with certificates or keys.
    #[error("{flag} {}: {reason}", path.display())]
    File {
        /// The flag that named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The client itself.
    #[error("the Kafka client could not be started: {0}")]
    Start(String),
    /// The bearer token.
    #[error("the bearer token cannot be used: {0}")]
    Token(String),
    /// Something that this kind of client cannot do.
    #[error("this client has no {0}: choose another one with --client")]
    NotThere(&'static str),
    /// The way from the client's queue to the executor.
    #[error("the Kafka client's wake-up could not be set up: {0}")]
    Wake(String),
}

#[cfg(test)]
mod tests {
    use super::*;

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
