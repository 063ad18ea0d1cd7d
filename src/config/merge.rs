//! Which ledgers are to become one.

use std::path::PathBuf;

/// What `proofload ledger merge` was asked for.
#[derive(Clone, Debug)]
pub(crate) struct MergeConfig {
    /// Ledgers of slices, at least one.
    pub(crate) ledgers: Vec<PathBuf>,
    /// The folder of the one that is written.
    pub(crate) dir: PathBuf,
}
