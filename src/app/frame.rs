//! What surrounds the work of both programs.

use std::sync::Arc;

use super::{
    ending::{Asked, Ending},
    error::RunError,
    logging,
};
use crate::runtime::cores::{
    placement::{Placement, PlacementError},
    topology::Topology,
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
