//! The comparison's words and flags.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser};

use super::{
    error::UsageError,
    values::{Accepts, Parsed},
};
use crate::config::{CompareConfig, Gate};

/// Hold results of proofload bench against each other: the first against each of the others
#[derive(Debug, Parser)]
#[command(name = "compare", version, max_term_width = 110)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    pub what: WhatArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Comparison")]
pub(super) struct WhatArgs {
    /// Exit code 1 where this holds, and not by chance, for instance p99>+10% or rate<-5%; repeatable
    #[arg(long, value_name = "CONDITION", value_parser = gate)]
    pub fail_on: Vec<Gate>,
    /// Changes below so many percent count as none
    #[arg(long, value_name = "PERCENT", default_value = "10", value_parser = percent)]
    pub least: f64,
    /// Write the comparison as JSON
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the comparison as a page for people: one file, with charts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

fn gate(text: &str) -> Parsed<Gate> {
    text.parse().map_err(|error: crate::config::NoGate| Accepts::new(error.to_string()))
}

fn percent(text: &str) -> Parsed<f64> {
    let percent = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    let percent = percent.filter(|percent| (0.0..=1_000.0).contains(percent));
    percent.ok_or_else(|| Accepts::new("a number of percent from 0 to 1000"))
}

/// Files apart from flags, wherever they stand: those that are named here have a value.
pub(super) fn apart(
    words: impl Iterator<Item = OsString>,
    with_value: &[&str],
) -> (Vec<PathBuf>, Vec<OsString>) {
    let (mut files, mut flags) = (Vec::new(), Vec::new());
    let mut words = words.filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let bytes = word.as_encoded_bytes();
        if !bytes.starts_with(b"-") {
            files.push(word.into());
            continue;
        }
        let name = String::from_utf8_lossy(bytes).trim_start_matches('-').to_owned();
        let takes_next = with_value.contains(&name.as_str());
        flags.push(word);
        if takes_next {
            flags.extend(words.next());
        }
    }
    (files, flags)
}

/// What is to be compared: each side is a file, or several with commas between.
pub(super) fn resolve(args: CompareArgs, files: &[PathBuf]) -> Result<CompareConfig, UsageError> {
    let side = |path: &PathBuf| -> Vec<PathBuf> {
        match path.to_str() {
            Some(text) => text.split(',').filter(|part| !part.is_empty()).map(PathBuf::from).collect(),
            None => vec![path.clone()],
        }
    };
    let mut sides = files.iter().map(side).filter(|side| !side.is_empty());
    let (old, new) = (sides.next(), sides.collect::<Vec<_>>());
    let (Some(old), false) = (old, new.is_empty()) else { return Err(UsageError::NothingToCompare) };
    let WhatArgs { fail_on, least, output, html } = args.what;
    Ok(CompareConfig { old, new, gates: fail_on, least_change: least / 100.0, output, html })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_flags_in_any_order() {
        let words =
            ["a.json", "--fail-on", "p99>+10%", "b.json,c.json", "-least=5", "--output", "o.json", "d.json"];
        let (files, flags) = apart(words.iter().map(OsString::from), &["fail-on", "output"]);
        assert_eq!(files, ["a.json", "b.json,c.json", "d.json"].map(PathBuf::from));
        assert_eq!(flags, ["--fail-on", "p99>+10%", "-least=5", "--output", "o.json"].map(OsString::from));
    }
}
