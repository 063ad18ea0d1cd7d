//! Makes the report of `scripts/compare` from what that has measured: medians, spreads, ratios and marks, in a template.
//!
//! `compare-report benchmarks|clients|perf-test RESULTS [NAME=VALUE]...` writes it to standard output. It uses nothing but the
//! standard library, so that the script has it within a second.

mod rounds;
mod template;

use std::{env, fs, process::ExitCode};

// Whatever cargo links here gets the guards of `build.rs`, which are in it.
#[cfg(not(standalone))]
use proofload as _;

use rounds::Rounds;

/// Each report, by its name.
const TEMPLATES: [(&str, &str); 3] = [
    ("benchmarks", include_str!("benchmarks.md")),
    ("clients", include_str!("clients.md")),
    ("perf-test", include_str!("perf-test.md")),
];

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match report(&words) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("compare-report: {why}");
            ExitCode::FAILURE
        }
    }
}

fn report(words: &[String]) -> Result<String, String> {
    let [name, results, values @ ..] = words else {
        return Err("needs the name of a report, and the file of results".to_owned());
    };
    let template = TEMPLATES.iter().find(|(known, _)| known == name).map(|(_, template)| *template);
    let template = template.ok_or_else(|| format!("there is no report '{name}'"))?;
    let text = fs::read_to_string(results).map_err(|error| format!("{results}: {error}"))?;
    let value = |word: &String| {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("no NAME=VALUE: '{word}'"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let values = values.iter().map(value).collect::<Result<_, String>>()?;
    template::fill(template, &Rounds::read(&text)?, &values)
}
