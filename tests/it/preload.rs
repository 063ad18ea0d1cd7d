//! Libraries that a harness has preloaded, which ask for memory and for the time before `main`.

use std::path::Path;

use crate::{Test, dsl::Run, tests};

/// Where Debian's package has it, by architecture.
const FAKETIME: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

pub fn tests() -> Vec<(String, Test)> {
    tests![
        If(libfaketime_is_there, libfaketime_does_not_end_the_help),
        If(libfaketime_is_there, runs_go_on_under_libfaketime),
    ]
}

fn libfaketime() -> Option<&'static str> {
    FAKETIME.into_iter().find(|path| Path::new(path).exists())
}

pub fn libfaketime_is_there() -> Result<(), String> {
    libfaketime().map(|_| ()).ok_or_else(|| "libfaketime is not installed (package faketime)".to_owned())
}

/// Under the library, as a harness would set it up.
pub fn faked(run: Run, time: &str) -> Run {
    // What waits by the monotonic clock waits for the right time only where that is left alone.
    let run = run.env("FAKETIME", time).env("DONT_FAKE_MONOTONIC", "1");
    run.env("LD_PRELOAD", libfaketime().expect("a library"))
}

fn libfaketime_does_not_end_the_help() {
    for time in ["+0", "-10m", "+2d"] {
        for run in [Run::verifier(), Run::repeater(), Run::proofload()] {
            faked(run, time).args("--help").finish_bare().expect_code(0).expect_output(&["Usage"]);
        }
    }
}

fn runs_go_on_under_libfaketime() {
    let work =
        "--brokers embedded --topic t --produce_msgs 500 --msg_size 200 --seq_read --rand_read_msgs 20";
    for time in ["+0", "-10m", "+2d"] {
        let run = faked(Run::verifier(), time).args(work).finish().expect_code(0);
        run.expect_output(&["500 of 500 records acked", "sequential  500 records proven valid", "PROVEN"]);
    }
}
