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
use crate::terminal;

/// The exit code for a bug in this program.
pub const EXIT_CODE: i32 = 3;

/// Installs the hook, for all threads, instead of the standard one. `close` is told what happened, and ends the run
/// with what is known. Nothing is unwound and nothing caught after it.
pub fn install_hook(close: fn(&str)) {
    panic::set_hook(Box::new(move |info| {
        static FIRST: AtomicBool = AtomicBool::new(true);
        if !FIRST.swap(false, Ordering::SeqCst) {
            // Another thread is at it. Its panic came first, and this one may well be a consequence.
            loop {
                thread::park();
            }
        }
        terminal::close();
        print(&describe(info));
        close(info.payload_as_str().unwrap_or("no message"));
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
