//! `proofload compare`: results of benchmarks, held against each other.

mod comparison;
mod gate;
mod metric;
mod page;
mod series;
mod settings;
mod table;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    app::{
        logging,
        outputs::{self, OutputError},
    },
    bench::result::{BenchResult, FORMAT},
    config::CompareConfig,
    ledger::files::whole_file,
};
use comparison::{Outcome, Row};
use gate::{Passage, judge};
use page::Compared;

/// A result cannot be compared, or the comparison not be written.
#[derive(Debug, Error)]
enum CompareError {
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: is no result of proofload bench (--output): {reason}", path.display())]
    NoResult { path: PathBuf, reason: serde_json::Error },
    #[error(
        "{}: is a result of format {found}, and this program compares those of format {FORMAT}: make it with the same \
         version of proofload",
        path.display()
    )]
    OtherFormat { path: PathBuf, found: u64 },
    #[error("{}: has nothing of {figure}, which --fail-on asks for", path.display())]
    NoFigure { path: PathBuf, figure: &'static str },
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Compares; returns the exit code: 1 where a condition of `--fail-on` holds, 2 where a file is asked to be two things, 3 where
/// something cannot be compared.
pub(crate) fn run(config: &CompareConfig) -> u8 {
    match compare(config) {
        Ok(is_failure) => u8::from(is_failure),
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = writeln!(io::stderr(), "proofload: compare: {error}");
            if let CompareError::Output(error) = &error { error.exit_code() } else { 3 }
        }
    }
}

fn compare(config: &CompareConfig) -> Result<bool, CompareError> {
    let files = [("output", config.output.as_deref()), ("html", config.html.as_deref())];
    let inputs: Vec<&Path> =
        config.old.iter().chain(config.new.iter().flatten()).map(PathBuf::as_path).collect();
    outputs::check(&files, &inputs)?;
    let read_all = |paths: &[PathBuf]| paths.iter().map(read).collect::<Result<Vec<_>, _>>();
    let old = read_all(&config.old)?;
    let sides = config.new.iter().map(|paths| read_all(paths)).collect::<Result<Vec<_>, _>>()?;
    let (mut failures, mut comparisons) = (Vec::new(), Vec::new());
    for (paths, new) in config.new.iter().zip(&sides) {
        let rows = comparison::rows(&old, new, config.least_change);
        say(config, paths, (&old, new), &rows);
        for gate in &config.gates {
            match judge(gate, &rows) {
                Passage::Open => {}
                Passage::Shut => failures.push(format!("{}: {gate}", named(paths))),
                Passage::NoFigure => {
                    let path = paths.first().cloned().unwrap_or_default();
                    return Err(CompareError::NoFigure { path, figure: gate.figure });
                }
            }
        }
        comparisons.push(Compared { paths, new, rows });
    }
    for failure in &failures {
        logging::say(&format!("FAILED: {failure}"));
    }
    write(config, &old, &comparisons, &failures)?;
    Ok(!failures.is_empty())
}

/// A result, of the format that this program knows.
fn read(path: &PathBuf) -> Result<BenchResult, CompareError> {
    let text =
        fs::read_to_string(path).map_err(|source| CompareError::Unreadable { path: path.clone(), source })?;
    let no_result = |reason| CompareError::NoResult { path: path.clone(), reason };
    // The format first: what another one has does not matter then.
    let value: Value = serde_json::from_str(&text).map_err(no_result)?;
    match value["proofload"]["format"].as_u64() {
        Some(format) if format != u64::from(FORMAT) => {
            Err(CompareError::OtherFormat { path: path.clone(), found: format })
        }
        _ => serde_json::from_value(value).map_err(no_result),
    }
}

fn named(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",")
}

fn say(
    config: &CompareConfig,
    paths: &[PathBuf],
    (old, new): (&[BenchResult], &[BenchResult]),
    rows: &[Row],
) {
    logging::say(&format!("{} against {}: {}", named(paths), named(&config.old), verdict(rows)));
    logging::say(&table::text(rows).trim_end());
    let verdicts = |side: &[BenchResult]| {
        side.iter().map(|run| run.proofload.proof.verdict.as_str()).collect::<Vec<_>>().join(", ")
    };
    logging::say(&format!("  proof: {} before, {} now", verdicts(old), verdicts(new)));
    if let Some((old, new)) = old.first().zip(new.first()) {
        for difference in settings::differences(&old.proofload, &new.proofload) {
            logging::say(&format!("  differs: {difference}"));
        }
    }
    if let Some(words) = one_run_says_little(old, new, config.least_change) {
        logging::say(&format!("  {words}"));
    }
}

/// What is to be said where a side has one run; `None` where both have several. `least` is a part.
fn one_run_says_little(old: &[BenchResult], new: &[BenchResult], least: f64) -> Option<String> {
    if old.len() >= 2 && new.len() >= 2 {
        return None;
    }
    let least = least * 100.0;
    Some(format!(
        "one run of a side does not say how much two runs of the same thing differ: changes below {least} % count as none; \
         several runs a side, OLD1,OLD2 NEW1,NEW2, say more"
    ))
}

/// In a few words, what came of all figures.
fn verdict(rows: &[Row]) -> String {
    let names = |outcome: Outcome| {
        let names: Vec<_> =
            rows.iter().filter(|row| row.outcome == outcome).map(|row| row.metric.name).collect();
        (!names.is_empty()).then(|| format!("{} {}", outcome.words(), names.join(", ")))
    };
    let told: Vec<_> =
        [Outcome::Worse, Outcome::Better, Outcome::Unknown].into_iter().filter_map(names).collect();
    if told.is_empty() { Outcome::NoDifference.words().to_owned() } else { told.join("; ") }
}

fn write(
    config: &CompareConfig,
    old: &[BenchResult],
    comparisons: &[Compared<'_>],
    failures: &[String],
) -> Result<(), OutputError> {
    if let Some(path) = &config.output {
        let documents: Vec<_> = comparisons
            .iter()
            .map(|one| json!({ "new": one.paths, "figures": table::json(&one.rows) }))
            .collect();
        let document =
            json!({ "format": 1, "old": config.old, "comparisons": documents, "failed_on": failures });
        whole_file::replace_with_json(path, &document)
            .map_err(|source| outputs::unwritable("output", path, source))?;
    }
    let Some(path) = &config.html else { return Ok(()) };
    let page = page::of((&config.old, old), comparisons, config.least_change, failures);
    whole_file::replace(path, page.as_bytes()).map_err(|source| outputs::unwritable("html", path, source))
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
