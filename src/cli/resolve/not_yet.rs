//! What the flags promise and the program does not do yet. Such a flag is
//! refused by name: ignoring it would let a run claim a proof that it never made.
//! A default that is spelled out asks for nothing new, and passes.

use std::time::Duration;

use super::super::{
    common::{ClusterArgs, ControlArgs, OutputArgs, SecurityArgs, TRANSACTION_TIMEOUT, TransactionArgs},
    error::UsageError,
    repeater::RepeaterArgs,
    verifier::VerifierArgs,
};

/// A flag, and whether it was asked for.
type Asked = (&'static str, bool);

pub(super) fn verifier(args: &VerifierArgs) -> Result<(), UsageError> {
    refuse(verifier_only(args))?;
    refuse(transactions(&args.transaction))?;
    shared(&args.cluster, &args.security, &args.control, &args.output)
}

pub(super) fn repeater(args: &RepeaterArgs) -> Result<(), UsageError> {
    refuse(transactions(&args.transaction))?;
    shared(&args.cluster, &args.security, &args.control, &args.output)
}

fn shared(
    cluster: &ClusterArgs,
    security_args: &SecurityArgs,
    control: &ControlArgs,
    output: &OutputArgs,
) -> Result<(), UsageError> {
    refuse(security(security_args))?;
    refuse(others(cluster, control, output))
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

fn security(args: &SecurityArgs) -> [Asked; 9] {
    [
        ("username", !args.username.is_empty()),
        ("password", !args.password.is_empty()),
        ("password-file", args.password_file.is_some()),
        ("sasl-mechanism", args.sasl_mechanism != "SCRAM-SHA-256"),
        ("enable-tls", args.enable_tls),
        ("tls-ca", args.tls_ca.is_some()),
        ("tls-cert", args.tls_cert.is_some()),
        ("tls-key", args.tls_key.is_some()),
        ("tls-skip-verify", args.tls_skip_verify),
    ]
}

fn others(cluster: &ClusterArgs, control: &ControlArgs, output: &OutputArgs) -> [Asked; 7] {
    [
        ("X", !cluster.setting.is_empty()),
        ("client-config", cluster.client_config.is_some()),
        ("create-topic", cluster.create_topic),
        ("replication-factor", cluster.replication_factor.is_some()),
        ("topic-config", !cluster.topic_config.is_empty()),
        ("token-file", control.token_file.is_some()),
        ("report", output.report.is_some()),
    ]
}
