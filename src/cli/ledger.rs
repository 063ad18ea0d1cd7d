//! `proofload ledger merge`: its words and flags.

use std::path::PathBuf;

use clap::{Args, Parser};

use super::error::UsageError;
use crate::config::MergeConfig;

/// Make one ledger of those that slices have written: ledger merge FILES...
#[derive(Debug, Parser)]
#[command(name = "ledger", version, max_term_width = 110)]
pub(super) struct LedgerArgs {
    #[command(flatten)]
    pub into: IntoArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Merge")]
pub(super) struct IntoArgs {
    /// Folder that the merged ledger is written to, which must have none of the topic [default: the working directory]
    #[arg(long, value_name = "DIR")]
    pub ledger_dir: Option<PathBuf>,
}

/// What is to be merged: the words behind `merge`.
pub(super) fn resolve(args: LedgerArgs, words: &[PathBuf]) -> Result<MergeConfig, UsageError> {
    match words.split_first() {
        Some((verb, ledgers)) if verb.as_os_str() == "merge" && !ledgers.is_empty() => Ok(MergeConfig {
            ledgers: ledgers.to_vec(),
            dir: args.into.ledger_dir.unwrap_or_else(|| PathBuf::from(".")),
        }),
        _ => Err(UsageError::NothingToMerge),
    }
}
