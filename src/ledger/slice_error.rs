//! What can be wrong with a folder of slices' ledgers.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::partitions::Slice;

/// Why the ledgers of slices make no whole, or another one must not begin. No file has been touched.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum SliceError {
    /// Partitions would have two owners.
    #[error(
        "ledgers {} and {}: are of slices of {first_of} and of {other_of}, which have partitions in common: all slices of a \
         topic need the same N in --slice I/N, and each N a folder of its own (--ledger-dir)",
        first.display(), other.display()
    )]
    Disagree {
        /// One of them.
        first: PathBuf,
        /// How many slices it is one of.
        first_of: usize,
        /// One of the others.
        other: PathBuf,
        /// How many those are.
        other_of: usize,
    },
    /// A ledger of all partitions lies beside those of slices.
    #[error(
        "ledgers {} and {}: one is of all partitions and one of a slice of them, so that partitions have two ledgers: move \
         one away, or merge the slices' (proofload ledger merge) and move theirs away",
        whole.display(), slice.display()
    )]
    WithWhole {
        /// The ledger of all.
        whole: PathBuf,
        /// That of a slice.
        slice: PathBuf,
    },
    /// Slices of several topics.
    #[error(
        "ledgers {} and {}: are of slices of topics '{first_topic}' and '{other_topic}': give each topic a folder of its \
         own (--ledger-dir)",
        first.display(), other.display()
    )]
    MixedTopics {
        /// One of them.
        first: PathBuf,
        /// Its topic.
        first_topic: String,
        /// One of the others.
        other: PathBuf,
        /// Its topic.
        other_topic: String,
    },
    /// A slice's ledger lists what is not the slice's.
    #[error(
        "ledger {}: lists offsets of partition {partition}, which is not one of slice {slice}: has the file another one's \
         name? It was left as it is", path.display()
    )]
    NotItsOwn {
        /// The file.
        path: PathBuf,
        /// The slice of its name.
        slice: Slice,
        /// The first partition that is another's.
        partition: i32,
    },
    /// Somebody produces there.
    #[error(
        "ledger {}: another process produces to its partitions: only one producer at a time can do so; it holds {}",
        ledger.display(), claim.display()
    )]
    Claimed {
        /// The ledger of the partitions.
        ledger: PathBuf,
        /// What it holds.
        claim: PathBuf,
    },
}

impl SliceError {
    /// The errors of ledgers of slices of different N.
    pub(crate) fn disagree((first, of): (&Path, Slice), (other, other_of): (&Path, Slice)) -> Self {
        Self::Disagree {
            first: first.to_owned(),
            first_of: of.of(),
            other: other.to_owned(),
            other_of: other_of.of(),
        }
    }
}
