//! Who speaks to the brokers, and what that client cannot do.

use super::super::error::UsageError;
use crate::{
    config::{ClientChoice, CommonConfig, RepeaterConfig, VerifierConfig},
    kafka::wire,
};

/// Whether the client that was asked for can do what a verifier is asked to.
///
/// # Errors
/// It cannot.
pub(super) fn check_verifier(config: &VerifierConfig) -> Result<(), UsageError> {
    let is_transactional = config.produce.is_some() && config.proof.transactions;
    check(&config.common, is_transactional.then_some("transactions (--use-transactions)"))
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
    let lack = lack.or_else(|| wire::lacking(&common.client_settings));
    lack.map_or(Ok(()), |lack| {
        Err(UsageError::flag("client", format!("wire has no {lack} yet: give librdkafka")))
    })
}
