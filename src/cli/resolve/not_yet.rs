//! What the flags promise and the program does not do yet. Such a flag is
//! refused by name: ignoring it would let a run claim a proof that it never made.
//! A default that is spelled out asks for nothing new, and passes.

use std::time::Duration;

use super::super::{
    common::{OutputArgs, TRANSACTION_TIMEOUT, TransactionArgs},
    error::UsageError,
    repeater::RepeaterArgs,
    verifier::VerifierArgs,
};

/// A flag, and whether it was asked for.
type Asked = (&'static str, bool);

pub(super) fn verifier(args: &VerifierArgs) -> Result<(), UsageError> {
    refuse(verifier_only(args))?;
    refuse(transactions(&args.transaction))?;
    shared(&args.output)
}

pub(super) fn repeater(args: &RepeaterArgs) -> Result<(), UsageError> {
    refuse([("profile", args.work.profile.is_some())])?;
    shared(&args.output)
}

fn shared(output: &OutputArgs) -> Result<(), UsageError> {
    refuse([("report", output.report.is_some())])
}

fn refuse<const N: usize>(table: [Asked; N]) -> Result<(), UsageError> {
    match table.into_iter().find(|(_, asked)| *asked) {
        Some((flag, _)) => Err(UsageError::NotYet(flag)),
        None => Ok(()),
    }
}

fn verifier_only(args: &VerifierArgs) -> [Asked; 11] {
    let group = &args.group;
    let positive = |limit: Option<Duration>| limit.is_some_and(|limit| !limit.is_zero());
    [
        ("consumer_group_readers", args.work.consumer_group_readers > 0),
        ("consumer_group_name", !group.consumer_group_name.is_empty()),
        ("max-uncommitted", group.max_uncommitted.0.is_some()),
        ("consumer-group-session-timeout-s", positive(group.consumer_group_session_timeout_s)),
        ("consumer-group-rebalance-timeout-s", positive(group.consumer_group_rebalance_timeout_s)),
        ("group-consume-exactly-once", group.group_consume_exactly_once),
        ("continuous", args.work.continuous),
        ("msgs-per-producer-id", args.producer.msgs_per_producer_id.0.is_some()),
        ("validate-latest-values", args.proof.validate_latest_values),
        ("keep-going", args.proof.keep_going),
        ("proof-header", args.proof.proof_header == Some(true)),
    ]
}

fn transactions(args: &TransactionArgs) -> [Asked; 4] {
    [
        ("use-transactions", args.use_transactions),
        ("transaction-timeout-ms", args.transaction_timeout_ms != TRANSACTION_TIMEOUT),
        ("msgs-per-transaction", args.msgs_per_transaction != 1),
        ("transaction-abort-rate", args.transaction_abort_rate > 0.0),
    ]
}
