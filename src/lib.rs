//! A thread-per-core Kafka load generator that proves, record by record, that
//! the cluster lost, moved, repeated, reordered and altered nothing.
//!
//! `docs/ARCHITECTURE.md` draws the threads and the way data takes through them.
// Whatever is not in here or in `inside` is for the library alone, and what nobody uses is found out.
#![warn(unreachable_pub)]
#![deny(unsafe_code)]

// What unit tests share with those of `tests/` has one name for both.
#[cfg(test)]
extern crate self as proofload;

mod app;
mod bench;
mod cli;
mod clock;
mod compare;
mod config;
mod control;
mod doctor;
mod failing;
mod findings;
#[cfg(test)]
mod house;
mod html;
mod human;
mod kafka;
mod ledger;
mod merge;
mod mutants;
mod pace;
mod partitions;
mod producer;
mod random;
mod record;
mod repeater;
mod runtime;
mod schedule;
mod stats;
mod terminal;
mod trogdor;
mod verifier;

pub mod inside;

use std::{
    ffi::OsString,
    io::{self, Write},
};

use cli::Command;
pub use cli::Program;

/// Runs one of the programs on these arguments (without the program's name) and
/// returns its exit code: 0 all well, 1 the data broke its promise, 2 usage,
/// 3 the work could not be done.
pub fn run(program: Program, arguments: impl Iterator<Item = OsString>) -> u8 {
    app::panic::install_hook(app::ending::close_on_panic);
    let words: Vec<_> = arguments.collect();
    let parse = |words: Vec<OsString>| cli::parse(program, words.into_iter());
    let parsed = if cli::takes_task(program, &words) {
        trogdor::with_task(words).and_then(|words| parse(words).map_err(trogdor::told_to_agent))
    } else {
        parse(words)
    };
    let command = match parsed {
        Ok(command) => command,
        Err(exit) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = io::stdout().write_all(exit.stdout.unwrap_or_default().as_bytes());
            let _ = io::stderr().write_all(exit.stderr.unwrap_or_default().as_bytes());
            return exit.code;
        }
    };
    match command {
        Command::Verifier(config) => {
            app::logging::start(&config.common);
            verifier::run::run(&config)
        }
        Command::Repeater(config) => {
            app::logging::start(&config.common);
            repeater::run(&config)
        }
        Command::Doctor(config) => {
            app::logging::start(&config.common);
            doctor::run(&config)
        }
        Command::Bench(config) => {
            app::logging::start(&config.verifier.common);
            bench::run(&config)
        }
        Command::Compare(config) => compare::run(&config),
        Command::Merge(config) => merge::run(&config),
    }
}

/// What the binaries' `main` does: run, and end the process with the code.
///
/// It does not return to the runtime's own exit, which would run the exit handlers
/// of C libraries beside whatever threads a hanging client has left.
///
/// The program is the one that the process was called by, whatever the file is: a link is enough. `built` is who it is
/// under any other name.
pub fn main(built: Program) -> ! {
    app::title::hide_secrets();
    let program = app::title::take_name().and_then(|name| Program::called(&name)).unwrap_or(built);
    let code = run(program, std::env::args_os().skip(1));
    let _ = io::stdout().flush();
    app::exit::at_once(code.into())
}
