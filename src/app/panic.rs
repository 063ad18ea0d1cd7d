//! A panic anywhere ends the process: one message, then exit code 3.
//!
//! A shard that dies alone would leave a run that goes on and proves nothing. And the code must tell a bug of ours
//! (3) from a violation by the cluster (1), or a test harness blames the wrong one.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt::Write,
    io,
    os::fd::AsFd,
    panic::{self, Location, PanicHookInfo},
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
        if is_late_answer(info.payload_as_str(), info.location().map_or("", Location::file)) {
            return;
        }
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

/// Whether this is a helper thread of glommio's whose executor has ended while it did something that blocks: looked a name
/// up, or told librdkafka of a rebalance. Nobody waits for what it has to say, and nothing is wrong; it just ends.
fn is_late_answer(payload: Option<&str>, file: &str) -> bool {
    payload == Some("failed to send response")
        && file.ends_with("/src/sys/blocking.rs")
        && file.contains("/glommio-")
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
    use std::{iter, sync::mpsc, time::Duration};

    use glommio::{LocalExecutorBuilder, timer::sleep};

    use super::*;

    #[test]
    fn only_an_answer_that_nobody_waits_for_is_no_bug() {
        let glommio = "/registry/src/index/glommio-0.9.0/src/sys/blocking.rs";
        assert!(is_late_answer(Some("failed to send response"), glommio));
        assert!(!is_late_answer(Some("failed to bind blocking thread"), glommio));
        assert!(!is_late_answer(Some("failed to send response"), "src/kafka/wire/shell/resolve.rs"));
        assert!(!is_late_answer(None, glommio));
    }

    #[test]
    fn glommio_still_says_it_like_that() {
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        // Of other tests' panics it tells too, that they are none.
        panic::set_hook(Box::new(move |info| {
            let is_late = is_late_answer(info.payload_as_str(), info.location().map_or("", Location::file));
            let _ = tell.send(is_late);
        }));
        let blocks = move || {
            begun.send(()).unwrap();
            // Until the sender is gone.
            let _ = may_go_on.recv();
        };
        let ends_meanwhile = || async move {
            glommio::spawn_local(async { glommio::executor().spawn_blocking(blocks).await }).detach();
            while has_begun.try_recv().is_err() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        LocalExecutorBuilder::default().spawn(ends_meanwhile).unwrap().join().unwrap();
        drop(go_on);
        let is_known =
            iter::from_fn(|| told.recv_timeout(Duration::from_secs(30)).ok()).any(|is_late| is_late);
        drop(panic::take_hook());
        assert!(is_known);
    }
}
