//! The ledgers that a run works with: the one that its producer keeps, or whatever lies in the folder.

use std::path::Path;

use super::{
    folder::LedgerFolder,
    store::{LatestNeed, LedgerStore},
};
use crate::{
    ledger::{LatestValues, Ledger, LedgerError},
    partitions::Slice,
};

/// What logs are held against.
#[derive(Clone, Debug)]
pub(crate) enum Ledgers {
    /// The ledger that the run itself keeps.
    Own(LedgerStore),
    /// Those that others keep.
    Others(LedgerFolder),
}

/// A ledger as it was read, and whose is missing in it.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What was acked.
    pub(crate) ledger: Ledger,
    /// Of how many slices it was put together; 0: it is one of all partitions.
    pub(crate) slices: usize,
    /// Slices that own partitions of the topic, and have no ledger.
    pub(crate) missing: Vec<Slice>,
}

impl Ledgers {
    /// Those of a run with this topic in the folder `dir`, that produces or not.
    #[must_use]
    pub(crate) fn of(dir: &Path, topic: &str, slice: Option<Slice>, produces: bool) -> Self {
        if produces {
            Self::Own(LedgerStore::of(dir, topic, slice))
        } else {
            // A slice of readers is held against whatever there is, however it was produced.
            Self::Others(LedgerFolder::new(dir, topic))
        }
    }

    /// Whether there is any.
    #[must_use]
    pub(crate) fn has_any(&self) -> bool {
        match self {
            Self::Own(store) => store.path().exists(),
            Self::Others(folder) => folder.has_any(),
        }
    }

    /// Reads what was acked in a topic with so many partitions; nothing when there is no file.
    ///
    /// # Errors
    /// A file cannot be read, is no ledger, or lists more partitions than there are; or the files of slices make no whole.
    pub(crate) fn load(&self, partitions: usize) -> Result<Loaded, LedgerError> {
        match self {
            Self::Own(store) => {
                Ok(Loaded { ledger: store.load(partitions)?, slices: 0, missing: Vec::new() })
            }
            Self::Others(folder) => folder.load(partitions),
        }
    }

    /// Reads the last values of each key, which must be there.
    ///
    /// # Errors
    /// As above, or there is no file.
    pub(crate) fn require_latest(&self, partitions: usize) -> Result<LatestValues, LedgerError> {
        match self {
            Self::Own(store) => store.require_latest(partitions),
            Self::Others(folder) => folder.require_latest(partitions),
        }
    }

    /// Reads what there is, and throws it away. Returns how many partitions the topic must have at least.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be; or a reader needs the last values, and there are none.
    pub(crate) fn inspect(&self, latest: LatestNeed) -> Result<usize, LedgerError> {
        match self {
            Self::Own(store) => store.inspect(latest),
            Self::Others(folder) => folder.inspect(latest),
        }
    }
}
