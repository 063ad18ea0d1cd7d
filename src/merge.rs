//! `proofload ledger merge`: one ordinary ledger of those that the slices of a topic have written.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    app::logging,
    config::MergeConfig,
    human::count,
    ledger::{
        LatestValues, Ledger, LedgerError, LedgerStore, SliceError,
        files::{names, whole_file},
    },
    partitions::Slice,
};

/// Ledgers cannot be merged. Nothing has been written.
#[derive(Debug, Error)]
enum MergeError {
    #[error(
        "{}: is not called like the ledger of a slice, valid_offsets_TOPIC.slice-I-of-N.json: the name says which partitions \
         it speaks of", path.display()
    )]
    NoSlice { path: PathBuf },
    #[error("ledger {}: there is no such file", path.display())]
    Missing { path: PathBuf },
    #[error(
        "ledgers {} and {}: are both of slice {slice}, so that their partitions would have two ledgers: give one of them",
        first.display(), other.display()
    )]
    Overlap { first: PathBuf, other: PathBuf, slice: Slice },
    #[error(
        "topic '{topic}': the ledger of {} is missing: nobody could tell from the merged one that nothing is proven of those \
         partitions; give all {of}",
        named(missing)
    )]
    Incomplete { topic: String, missing: Vec<Slice>, of: usize },
    #[error(
        "latest values {}: there is no such file, and other slices have theirs: without it values of its partitions could \
         not be checked", path.display()
    )]
    NoLatest { path: PathBuf },
    #[error("{}: is there already, and is not replaced: move it away, or give another --ledger-dir", path.display())]
    Exists { path: PathBuf },
    #[error(transparent)]
    Slices(#[from] SliceError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A ledger that was given, by its name.
struct Part {
    path: PathBuf,
    topic: String,
    slice: Slice,
    store: LedgerStore,
}

/// Merges; returns the exit code: 3 where that cannot be done.
pub(crate) fn run(config: &MergeConfig) -> u8 {
    match merge(config) {
        Ok(done) => {
            logging::say(&done);
            0
        }
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = writeln!(io::stderr(), "proofload: ledger merge: {error}");
            3
        }
    }
}

/// Everything is read, and found to belong together, before anything is written. Returns what was done, in words.
fn merge(config: &MergeConfig) -> Result<String, MergeError> {
    let mut parts = config.ledgers.iter().map(|path| part(path)).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| part.slice);
    let topic = belong_together(&parts)?;
    let mut ledgers = Vec::new();
    for part in &parts {
        let missing = || MergeError::Missing { path: part.path.clone() };
        ledgers.push((part.slice, part.store.read()?.ok_or_else(missing)?));
    }
    let latest = latest(&parts)?;
    let target = LedgerStore::new(&config.dir, &topic);
    for path in [target.path(), target.latest_path()] {
        if path.exists() {
            return Err(MergeError::Exists { path: path.to_owned() });
        }
    }
    target.probe()?;
    let of_values = latest.iter().map(|(_, values)| values.partitions());
    let partitions =
        ledgers.iter().map(|(_, ledger)| ledger.partitions().len()).chain(of_values).max().unwrap_or(0);
    let ledger = Ledger::union(ledgers, partitions);
    if latest.is_empty() {
        target.save(&ledger)?;
    } else {
        target.save_with_latest(&ledger, &LatestValues::union(latest, partitions))?;
    }
    Ok(words(&parts, &target, &ledger))
}

fn part(path: &Path) -> Result<Part, MergeError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((topic, slice)) = names::of_slice(&name) else {
        return Err(MergeError::NoSlice { path: path.to_owned() });
    };
    let store = LedgerStore::of(whole_file::folder(path), topic, Some(slice));
    Ok(Part { path: path.to_owned(), topic: topic.to_owned(), slice, store })
}

/// They are those of all slices of one topic, each once, in their order. Returns the topic.
fn belong_together(parts: &[Part]) -> Result<String, MergeError> {
    let Some(first) = parts.first() else { return Ok(String::new()) };
    if let Some(other) = parts.iter().find(|part| part.topic != first.topic) {
        let (first_topic, other_topic) = (first.topic.clone(), other.topic.clone());
        let (first, other) = (first.path.clone(), other.path.clone());
        return Err(SliceError::MixedTopics { first, first_topic, other, other_topic }.into());
    }
    if let Some(other) = parts.iter().find(|part| part.slice.of() != first.slice.of()) {
        return Err(SliceError::disagree((&first.path, first.slice), (&other.path, other.slice)).into());
    }
    if let Some([first, other]) = parts.array_windows().find(|[one, other]| one.slice == other.slice) {
        let (slice, first, other) = (first.slice, first.path.clone(), other.path.clone());
        return Err(MergeError::Overlap { first, other, slice });
    }
    let is_given = |slice: &Slice| parts.binary_search_by_key(slice, |part| part.slice).is_ok();
    let missing: Vec<_> = first.slice.siblings().filter(|slice| !is_given(slice)).collect();
    if !missing.is_empty() {
        return Err(MergeError::Incomplete { topic: first.topic.clone(), missing, of: first.slice.of() });
    }
    Ok(first.topic.clone())
}

/// The last values of all slices, or of none.
fn latest(parts: &[Part]) -> Result<Vec<(Slice, LatestValues)>, MergeError> {
    let mut found = Vec::new();
    let mut missing = None;
    for part in parts {
        match part.store.find_latest()? {
            Some(values) => found.push((part.slice, values)),
            None => missing = Some(part.store.latest_path().to_owned()),
        }
    }
    match missing {
        Some(path) if !found.is_empty() => Err(MergeError::NoLatest { path }),
        _ => Ok(found),
    }
}

fn words(parts: &[Part], target: &LedgerStore, ledger: &Ledger) -> String {
    let folder = |path: &Path| whole_file::folder(path).canonicalize().ok();
    let beside = parts.iter().any(|part| folder(&part.path) == folder(target.path()));
    let hint = if beside {
        "\nmove the slices' ledgers to another folder before anything runs in this one"
    } else {
        ""
    };
    format!(
        "{}: {} in {}, of {}{hint}",
        target.path().display(),
        count(ledger.acked_count(), "acked offset"),
        count(ledger.partitions().len(), "partition"),
        count(parts.len(), "slice"),
    )
}

fn named(slices: &[Slice]) -> String {
    const NAMED: usize = 5;
    let mut names: Vec<_> = slices.iter().take(NAMED).map(ToString::to_string).collect();
    if slices.len() > NAMED {
        names.push(format!("{} more", slices.len() - NAMED));
    }
    format!("{} {}", if slices.len() == 1 { "slice" } else { "slices" }, names.join(", "))
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
