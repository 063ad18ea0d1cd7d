//! What surrounds the work of both programs.

use std::sync::Arc;

use super::{
    ending::{Asked, Ending},
    error::RunError,
    logging,
};
use crate::{
    config::{ClientKind, ClientPick},
    kafka::{ClientSettings, Observer},
    runtime::{
        cores::{
            cpu_set::CpuSet,
            placement::{Placement, PlacementError},
            topology::Topology,
        },
        preflight,
    },
};

/// A run from its first line to its last; returns the exit code.
pub(crate) fn run(asked: Asked, work: impl FnOnce(&Arc<Ending>) -> Result<(), RunError>) -> u8 {
    let ending = Ending::begin(asked);
    let result = work(&ending);
    let code = ending.close(result.as_ref().err());
    // Whatever it was, and however early: nobody else tells.
    if let Err(error) = &result {
        tracing::error!("{error}");
    }
    code
}

/// Starts whoever looks at the cluster. Returns it, and how many executors it has for itself: one where it is our own client.
///
/// # Errors
/// The machine does not allow for it, or a setting is not accepted.
pub(crate) fn observe(
    client: &ClientSettings,
    cpus: &CpuSet,
    pick: &ClientPick,
) -> Result<(Arc<Observer>, usize), RunError> {
    let executors = usize::from(pick.kind == ClientKind::Wire);
    if executors > 0 {
        preflight::check(1, executors)?;
    }
    Ok((Arc::new(Observer::start(client, cpus, pick.kind)?), executors))
}

/// Who writes and reads on a cluster of which it is known whether it is Redpanda's; said where that is another one than was picked.
pub(crate) fn client_on(pick: &ClientPick, is_redpanda: bool) -> ClientKind {
    let kind = pick.on(is_redpanda);
    if kind != pick.kind {
        tracing::info!(
            "librdkafka writes and reads: these brokers are Redpanda's, where our own client has not been proven yet \
             (scripts/prove --on does that; --client wire takes it all the same)"
        );
    }
    kind
}

/// Shows where the shards would run, and does nothing else (`--print-placement`); returns the exit code.
pub(crate) fn print_plan(plan: impl FnOnce(&Topology) -> Result<Placement, PlacementError>) -> u8 {
    let planned = Topology::detect().map_err(RunError::from).and_then(|topology| Ok(plan(&topology)?));
    match planned {
        Ok(plan) => {
            logging::say(&plan);
            0
        }
        Err(error) => {
            tracing::error!("{error}");
            error.exit_code()
        }
    }
}
