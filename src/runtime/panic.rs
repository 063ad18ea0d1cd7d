//! A panic anywhere ends the process: one message, then exit code 3.
//!
//! A shard that dies alone would leave a run that goes on and proves nothing. And the code must tell a bug of ours
//! (3) from a violation by the cluster (1), or a test harness blames the wrong one.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt::Write,
    io,
    os::fd::AsFd,
    panic::{self, PanicHookInfo},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use nix::unistd;

use super::exit;

/// The exit code for a bug in this program.
pub const EXIT_CODE: i32 = 3;

/// Installs the hook, for all threads, instead of the standard one. Nothing is unwound and nothing caught after it.
pub fn install_hook() {
    panic::set_hook(Box::new(|info| {
        static FIRST: AtomicBool = AtomicBool::new(true);
        if !FIRST.swap(false, Ordering::SeqCst) {
            // Another thread is at it. Its panic came first, and this one may well be a consequence.
            loop {
                thread::park();
            }
        }
        print(&describe(info));
        exit::at_once(EXIT_CODE);
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let what = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let mut text = format!("proofload: bug: thread `{name}` panicked at {place}: {what}\n");
    // Writing to a string cannot fail.
    let backtrace = Backtrace::capture();
    let _ = if backtrace.status() == BacktraceStatus::Captured {
        write!(text, "{backtrace}")
    } else {
        writeln!(text, "set RUST_BACKTRACE=1 to see how it got there")
    };
    text
}

/// Past the lock of `io::stderr`, which the panicking thread's neighbour may hold for ever.
fn print(text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match unistd::write(io::stderr().as_fd(), rest) {
            Ok(0) => return,
            Ok(written) => rest = &rest[written..],
            Err(nix::errno::Errno::EINTR) => {}
            // Nobody is left to tell.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{self, Command, Output};

    use super::*;

    /// Not a test: what the process under test does. It is this test program, started again.
    #[test]
    #[ignore = "panics on purpose, in a process of its own"]
    fn child() {
        install_hook();
        let bug = || panic!("a bug with the number {}", 7);
        let threads: Vec<_> =
            (0..8).map(|_| thread::Builder::new().name("shard-7".into()).spawn(bug).unwrap()).collect();
        for thread in threads {
            let _: Result<(), _> = thread.join();
        }
        process::exit(0);
    }

    fn run_child(backtrace: &str) -> Output {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "runtime::panic::tests::child", "--ignored", "--nocapture"])
            .env("RUST_BACKTRACE", backtrace)
            .env_remove("RUST_LIB_BACKTRACE")
            .output()
            .unwrap()
    }

    #[test]
    fn one_message_and_code_3_however_many_threads_panic() {
        let output = run_child("0");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(EXIT_CODE), "{text}");
        let mut lines = text.lines();
        let first = lines.next().unwrap();
        assert!(
            first.starts_with("proofload: bug: thread `shard-7` panicked at src/runtime/panic.rs:"),
            "{text}"
        );
        assert!(first.ends_with(": a bug with the number 7"), "{text}");
        assert_eq!(lines.count(), 1, "{text}");
    }

    #[test]
    fn a_backtrace_on_request() {
        let output = run_child("1");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(EXIT_CODE), "{text}");
        assert!(text.contains("runtime::panic::tests::child"), "{text}");
    }
}
