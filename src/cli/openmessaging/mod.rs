//! OpenMessaging Benchmark's files, as they are: what a workload and a driver ask for, in our flags.
//!
//! A file says the same as flags would that stand before those of the command line. So whoever gives a flag has the last word,
//! and all that is checked of flags is checked of files. What no flag has (a payload of one's own, a backlog) goes beside them.

mod driver;
mod jaas;
mod java_names;
mod keys;
mod properties;
mod workload;

use std::{fs, path::Path};

use super::{error::UsageError, values::go_bool};
use crate::config::{Backlog, Payload};

const WORKLOAD: &str = "workload";
const DRIVER: &str = "driver";

/// Flags that say how fast: a file's word on that goes where any of them was given.
const RATE: &str = "rate";
const FIND_RATE: &str = "find-rate";
const SLO: &str = "slo";

/// A file, and the flag that names it: for whoever has to say that something is wrong with it.
#[derive(Clone, Copy, Debug)]
struct Source<'a> {
    flag: &'static str,
    file: &'a Path,
}

impl Source<'_> {
    fn error(&self, why: impl Into<String>) -> UsageError {
        UsageError::File { flag: self.flag, file: self.file.display().to_string(), why: why.into() }
    }

    /// What is wrong with the value of a key; `accepts` completes the sentence "accepts …".
    fn refuses(&self, key: &str, value: &str, accepts: &str) -> UsageError {
        self.error(format!("{key}: {value}: accepts {accepts}"))
    }
}

/// What files ask for that no flag can.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FromFiles {
    /// The names in the files, for the result.
    pub(super) workload: Option<String>,
    pub(super) driver: Option<String>,
    /// What values hold.
    pub(super) payload: Option<Payload>,
    /// What readers have to catch up with.
    pub(super) backlog: Option<Backlog>,
    /// What is done otherwise than the files say, one line each.
    pub(super) notes: Vec<String>,
}

/// What is known before flags are.
#[derive(Debug, Default)]
struct Translated {
    /// Names without dashes, and values.
    flags: Vec<(&'static str, String)>,
    beside: FromFiles,
}

impl Translated {
    fn flag(&mut self, name: &'static str, value: impl Into<String>) {
        self.flags.push((name, value.into()));
    }

    fn note(&mut self, line: impl Into<String>) {
        self.beside.notes.push(line.into());
    }
}

/// The words of a command line (`--name=value`, each name once unless it is repeatable) behind those that its files stand for,
/// and what files ask for beside that.
///
/// # Errors
/// A file that cannot be read, or says something that is not understood.
pub(super) fn with_files(words: &[String]) -> Result<(Vec<String>, FromFiles), UsageError> {
    let mut translated = Translated::default();
    let given = Given::of(words);
    // A driver's buffer holds so many of a workload's messages.
    let mut message_bytes = None;
    if let Some(file) = given.value(WORKLOAD) {
        let source = Source { flag: WORKLOAD, file: Path::new(file) };
        message_bytes = workload::translate(&source, &read(&source)?, &given, &mut translated)?;
    }
    if let Some(file) = given.value(DRIVER) {
        let source = Source { flag: DRIVER, file: Path::new(file) };
        driver::translate(&source, &read(&source)?, message_bytes, &mut translated)?;
    }
    let Translated { flags, mut beside } = translated;
    beside.notes.extend(given.instead_of(&flags));
    let from_files = flags.into_iter().map(|(name, value)| format!("--{name}={value}"));
    Ok((from_files.chain(words.iter().cloned()).collect(), beside))
}

fn read(source: &Source<'_>) -> Result<String, UsageError> {
    fs::read_to_string(source.file).map_err(|error| source.error(format!("it cannot be read: {error}")))
}

/// The flags of the command line.
struct Given<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Given<'a> {
    fn of(words: &'a [String]) -> Self {
        Self(words.iter().filter_map(|word| word.strip_prefix("--")?.split_once('=')).collect())
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// What flags say of looking for a rate. A word that says neither is refused where flags are read.
    fn finds_rate(&self) -> Option<bool> {
        self.value(FIND_RATE).and_then(|word| go_bool(word).ok())
    }

    /// What flags say otherwise than files, in words: whoever compares results should see it.
    fn instead_of(&self, flags: &[(&'static str, String)]) -> Vec<String> {
        let line = |(name, of_file): &(&'static str, String)| {
            let value = self.value(name).filter(|value| value != of_file)?;
            let is_shown = !["X", "topic-config", "password"].contains(name);
            is_shown.then(|| format!("--{name} {value} is taken in the place of the file's {of_file}"))
        };
        flags.iter().filter_map(line).collect()
    }
}

#[cfg(test)]
#[path = "openmessaging_tests.rs"]
mod tests;
