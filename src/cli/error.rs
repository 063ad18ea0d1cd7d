//! What is wrong with a command line, in one line that names the flag.

use std::fmt;

use super::{generate, go_flags::FlagError, help, values::Accepts};

/// A command line that asks for something that does not exist.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// The words are not flags and values.
    #[error(transparent)]
    Syntax(#[from] FlagError),
    /// A value that its flag does not take.
    #[error("{} {}: {accepts}", Dashed(.flag), OneLine(.value))]
    Value {
        /// Name without dashes.
        flag: String,
        /// As it was given.
        value: String,
        /// What the flag takes.
        accepts: Accepts,
    },
    /// A file that a flag names says something that is not understood.
    #[error("{} {}: {}", Dashed(.flag), OneLine(.file), OneLine(.why))]
    File {
        /// Name without dashes.
        flag: &'static str,
        /// As it was given.
        file: String,
        /// What is wrong, and where in the file.
        why: String,
    },
    /// A flag that is missing, or cannot be used like this.
    #[error("{}: {why}", Dashed(.flag))]
    Flag {
        /// Name without dashes.
        flag: &'static str,
        /// The reason, and the way out.
        why: String,
    },
    /// `proofload` alone needs to be told which program to be.
    #[error("{}: no such command: accepts verifier, repeater, bench, compare, ledger or doctor, then flags; see --help", OneLine(.0))]
    NoSuchCommand(String),
    /// `proofload help` with something else.
    #[error("help {}: no such topic: accepts one of {}", OneLine(.0), topics())]
    NoSuchTopic(String),
    /// `proofload generate` with something else.
    #[error("generate {}: no such file: accepts names, and one of {}", OneLine(.0), files())]
    NoSuchFile(String),
    /// The first word is missing, or is a flag.
    #[error(
        "a command comes first: accepts verifier, repeater, bench, compare, ledger or doctor, then flags; see --help"
    )]
    NoCommand,
    /// None of the flags that ask for work.
    #[error(
        "nothing to do: accepts at least one of --produce_msgs N, --seq_read, --rand_read_msgs N, \
         --consumer_group_readers N"
    )]
    NoWork,
    /// One file, or none.
    #[error(
        "compare: accepts the old result, then new ones: OLD.json NEW.json..., made by proofload bench --output"
    )]
    NothingToCompare,
    /// `proofload ledger` without what to do, or what to do it with.
    #[error(
        "ledger: accepts merge, then the ledgers of slices: merge FILES..., such as valid_offsets_t.slice-*.json; and \
         --ledger-dir DIR"
    )]
    NothingToMerge,
    /// Clap and our own reading of the flags disagree.
    #[error("{}", OneLine(.0))]
    Other(String),
}

impl UsageError {
    /// `what` completes the sentence "accepts …".
    pub(crate) fn value(flag: &str, value: impl fmt::Display, what: impl Into<String>) -> Self {
        Self::Value { flag: flag.to_owned(), value: value.to_string(), accepts: Accepts::new(what.into()) }
    }

    /// A flag that is missing, or cannot be used like this.
    pub(crate) fn flag(flag: &'static str, why: impl Into<String>) -> Self {
        Self::Flag { flag, why: why.into() }
    }
}

fn files() -> String {
    generate::names().trim().replace('\n', ", ")
}

fn topics() -> String {
    let names: Vec<_> = help::NAMES.iter().map(|(name, _)| *name).collect();
    format!("verifier, repeater, doctor, {}", names.join(", "))
}

/// A flag as users write it: names of one letter have one dash.
pub(super) struct Dashed<'a>(pub &'a str);

impl fmt::Display for Dashed<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", if self.0.chars().count() == 1 { "-" } else { "--" }, OneLine(self.0))
    }
}

/// A word of the user's that cannot break the line or the terminal; an empty one is shown too.
pub(super) struct OneLine<'a>(pub &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return out.write_str("\"\"");
        }
        for c in self.0.chars() {
            if c.is_control() { write!(out, "{}", c.escape_default())? } else { write!(out, "{c}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_cannot_break_the_line() {
        assert_eq!(OneLine("a\n\u{1b}b").to_string(), "a\\n\\u{1b}b");
        assert_eq!(OneLine("").to_string(), "\"\"");
        assert_eq!(UsageError::value("topic", "", "a name").to_string(), "--topic \"\": accepts a name");
        assert_eq!(UsageError::flag("X", "what").to_string(), "-X: what");
    }
}
