//! How the ledger reaches the disk, and comes back from it.

mod format;
mod journal;
mod journal_file;
pub(crate) mod store;
mod text;
pub(crate) mod whole_file;
