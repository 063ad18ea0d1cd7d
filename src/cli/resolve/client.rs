//! Who speaks to the brokers, and what that client cannot do.

use super::super::error::UsageError;
use crate::{
    config::{Brokers, ClientChoice, CommonConfig, Compression, RepeaterConfig, VerifierConfig},
    kafka::wire,
};

/// Whether the client that was asked for can do what a verifier is asked to.
///
/// # Errors
/// It cannot.
pub(super) fn check_verifier(config: &VerifierConfig) -> Result<(), UsageError> {
    let Some(produce) = &config.produce else { return check(&config.common, None) };
    let lack = if config.proof.transactions {
        Some("transactions (--use-transactions)")
    } else if produce.compression != Compression::None {
        Some("compression (--compression-type)")
    } else {
        None
    };
    check(&config.common, lack)
}

/// Whether the client that was asked for can do what a repeater is asked to.
///
/// # Errors
/// It cannot.
pub(super) fn check_repeater(config: &RepeaterConfig) -> Result<(), UsageError> {
    check(&config.common, Some("consumer groups"))
}

fn check(common: &CommonConfig, lack: Option<&str>) -> Result<(), UsageError> {
    if common.client != ClientChoice::Wire {
        return Ok(());
    }
    let is_embedded = matches!(common.brokers, Brokers::Embedded { .. });
    let embedded = is_embedded.then_some("embedded brokers");
    let lack = lack.or(embedded).or_else(|| wire::lacking(&common.client_settings));
    lack.map_or(Ok(()), |lack| {
        Err(UsageError::flag("client", format!("wire has no {lack} yet: give librdkafka")))
    })
}
