//! Where a pass that waits for more ends, once that is asked for.

use std::sync::{Arc, OnceLock};

use crate::ledger::Ledger;

/// What the end of such a pass is held against. The ledger was read first, so that everything that it lists lies below the
/// ends: what was acked while the pass went on is missed where a log does not reach so far.
#[derive(Clone)]
pub(crate) struct Closing {
    pub(crate) ledger: Arc<Ledger>,
    /// Where each log ends, by the partitions' places in the ledger.
    pub(crate) ends: Vec<i64>,
}

/// How readers hear of it: the main thread says it once, as reading a ledger would hold a shard up.
#[derive(Clone, Default)]
pub(crate) struct Close(Arc<OnceLock<Closing>>);

impl Close {
    /// From now on the pass has an end.
    pub(crate) fn tell(&self, closing: Closing) {
        // Told once: there is one last pass.
        let _ = self.0.set(closing);
    }

    /// What was told.
    pub(crate) fn get(&self) -> Option<&Closing> {
        self.0.get()
    }
}
