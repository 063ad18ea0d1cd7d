//! What the flags promise and the program does not do yet. Such a flag is
//! refused by name: ignoring it would let a run claim a proof that it never made.
//! A default that is spelled out asks for nothing new, and passes.

use super::super::{
    common::{ClusterArgs, SecurityArgs},
    error::UsageError,
    repeater::RepeaterArgs,
    verifier::VerifierArgs,
};

/// A flag, and whether it was asked for.
type Asked = (&'static str, bool);

pub(super) fn verifier(args: &VerifierArgs) -> Result<(), UsageError> {
    shared(&args.cluster, &args.security)
}

pub(super) fn repeater(args: &RepeaterArgs) -> Result<(), UsageError> {
    refuse([("profile", args.work.profile.is_some())])?;
    shared(&args.cluster, &args.security)
}

fn shared(cluster: &ClusterArgs, security: &SecurityArgs) -> Result<(), UsageError> {
    refuse(others(cluster, security))
}

fn refuse<const N: usize>(table: [Asked; N]) -> Result<(), UsageError> {
    match table.into_iter().find(|(_, asked)| *asked) {
        Some((flag, _)) => Err(UsageError::NotYet(flag)),
        None => Ok(()),
    }
}

fn others(cluster: &ClusterArgs, security: &SecurityArgs) -> [Asked; 4] {
    [
        ("sasl-mechanism", security.sasl_mechanism == "OAUTHBEARER"),
        ("create-topic", cluster.create_topic),
        ("replication-factor", cluster.replication_factor.is_some()),
        ("topic-config", !cluster.topic_config.is_empty()),
    ]
}
