//! How the ledger reaches the disk, and comes back from it.

mod claim;
pub(crate) mod folder;
mod format;
mod journal;
mod journal_file;
pub(crate) mod ledgers;
pub(crate) mod names;
pub(crate) mod store;
mod text;
pub(crate) mod whole_file;

pub(crate) use claim::Claim;
