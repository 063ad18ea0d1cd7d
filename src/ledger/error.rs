//! What can be wrong with the ledger's files.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{
    SliceError,
    files::{names, whole_file::NAME_MAX_BYTES},
};
use crate::{human::count, runtime::descriptors};

/// Why a ledger file could not be used. The file is left as it was.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The file is there but cannot be read.
    #[error("ledger {}: cannot be read: {}", path.display(), descriptors::explained(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no ledger.
    #[error(
        "ledger {}: is not a ledger of valid offsets ({reason}); it was left as it is: \
         repair it, or move it away to start without one", path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with its text.
        reason: String,
    },
    /// The file of latest values is no such thing.
    #[error(
        "latest values {}: is not a map from keys to values ({reason}); it was left as it is: repair it, or move it away",
        path.display()
    )]
    NotLatestValues {
        /// The file.
        path: PathBuf,
        /// What is wrong with its text.
        reason: String,
    },
    /// There is no file of latest values to hold records against.
    #[error(
        "latest values {}: there is no such file: --validate-latest-values needs the one that the producer wrote \
         with the same flag", path.display()
    )]
    NoLatestValues {
        /// The file.
        path: PathBuf,
    },
    /// The file describes a topic with more partitions than this one has.
    #[error(
        "ledger {}: lists {} but topic '{topic}' has {existing}: it belongs to \
         another topic of that name; it was left as it is", path.display(), count(*listed, "partition")
    )]
    TooManyPartitions {
        /// The file.
        path: PathBuf,
        /// The topic.
        topic: String,
        /// Partitions in the file.
        listed: usize,
        /// Partitions in the topic.
        existing: usize,
    },
    /// The file's name does not fit.
    #[error(
        "ledger {}: its name would have {} bytes, and file systems take {}: no ledger can be kept of a topic whose name \
         has more than {} characters, and without one nothing can be proven: produce to a topic with a shorter name",
        path.display(), name_bytes(path), NAME_MAX_BYTES, longest_topic(path)
    )]
    NameTooLong {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes the file, too.
    #[error(
        "ledger {}: another process writes it, too: only one producer at a time can keep the ledger of a topic in a \
         folder; what was acked here is missing in it", path.display()
    )]
    Shared {
        /// The file.
        path: PathBuf,
    },
    /// Ledgers of slices make no whole.
    #[error(transparent)]
    Slices(#[from] SliceError),
    /// The file cannot be replaced.
    #[error("ledger {}: cannot be written: {source}: {}", path.display(), advice(path, source))]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn name_bytes(path: &Path) -> usize {
    path.file_name().map_or(0, std::ffi::OsStr::len)
}

/// Bytes of the longest topic whose ledger has a name like this one's that fits.
fn longest_topic(path: &Path) -> usize {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let slice = names::of_slice(&name).map_or(0, |(topic, _)| name.len() - names::ledger(topic, None).len());
    NAME_MAX_BYTES - names::ledger("", None).len() - slice
}

/// What to do about a file that cannot be replaced, and what there is of it.
fn advice(path: &Path, error: &io::Error) -> String {
    use io::ErrorKind::{NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let todo = descriptors::advice(error).unwrap_or_else(|| {
        let todo = match error.kind() {
            StorageFull | QuotaExceeded => "make room on its disk",
            ReadOnlyFilesystem | PermissionDenied => "let this user write to its folder",
            NotFound => "its folder does not exist: make it, or name another with --ledger-dir",
            _ => "run in a folder that takes files",
        };
        todo.to_owned()
    });
    let left =
        if path.exists() { "the file there is the last one that was whole" } else { "there is no file now" };
    format!("{todo}; {left}")
}
