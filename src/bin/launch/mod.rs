//! Becomes the program that is beside this one, under the name that this one was called by.
//!
//! All programs are one: packages have links to it. `cargo install` makes none, and to build and optimize everything three
//! times takes minutes.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const PROGRAM: &str = "proofload";
/// Names that say which program to be.
const NAMES: [&str; 3] = [PROGRAM, "kgo-verifier", "kgo-repeater"];

/// As for all that keeps a run from its work.
const COULD_NOT_RUN: u8 = 3;

/// Becomes it. Where the name that it was called by says nothing, it is `name`.
pub(crate) fn launch(name: &str) -> ExitCode {
    let mut words = env::args_os();
    let called = words.next().filter(is_known).unwrap_or_else(|| name.into());
    let error = match beside() {
        // It returns only when it failed.
        Ok(program) => {
            let error = Command::new(&program).arg0(called).args(words).exec();
            format!("{}: {error}", program.display())
        }
        Err(why) => why,
    };
    eprintln!(
        "{name}: cannot be started: {error}\n{name}: it is {PROGRAM} under another name, and starts the one beside it: put both into \
         one folder, or make {name} a link to {PROGRAM}"
    );
    ExitCode::from(COULD_NOT_RUN)
}

fn is_known(called: &OsString) -> bool {
    Path::new(called).file_name().and_then(OsStr::to_str).is_some_and(|name| NAMES.contains(&name))
}

/// The program in the folder of this file, wherever a link has led from.
fn beside() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("its own file is not known: {error}"))?;
    let program = own.with_file_name(PROGRAM);
    // A copy of this under that name would start itself for ever.
    if program == own { Err(format!("{} is not {PROGRAM}", own.display())) } else { Ok(program) }
}
