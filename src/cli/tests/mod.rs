//! Command lines as users and harnesses write them, from words to configuration.

mod bench;
mod docs;
mod errors;
mod flags;
mod harness;

use std::ffi::OsString;

use super::{CliExit, Command, Program, parse};
use crate::config::{RepeaterConfig, VerifierConfig};

fn run(program: Program, words: &[&str]) -> Result<Command, CliExit> {
    parse(program, words.iter().map(OsString::from))
}

fn verifier(line: &str) -> VerifierConfig {
    match run(Program::Verifier, &line.split(' ').collect::<Vec<_>>()) {
        Ok(Command::Verifier(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn repeater(line: &str) -> RepeaterConfig {
    match run(Program::Repeater, &line.split(' ').collect::<Vec<_>>()) {
        Ok(Command::Repeater(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

/// The one line of a usage error.
fn refusal(program: Program, words: &[&str]) -> String {
    let exit = run(program, words).map(|command| format!("{command:?}")).expect_err(&format!("{words:?}"));
    assert_eq!((exit.code, &exit.stdout), (2, &None), "{words:?}");
    let line = exit.stderr.expect("a usage error says why");
    assert!(line.starts_with("proofload: ") && line.ends_with('\n'), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line.trim_start_matches("proofload: ").trim_end().to_owned()
}

fn answer(program: Program, words: &[&str]) -> String {
    let exit = run(program, words).expect_err(&format!("{words:?}"));
    assert_eq!((exit.code, &exit.stderr), (0, &None), "{words:?}");
    exit.stdout.expect("an answer has text")
}
