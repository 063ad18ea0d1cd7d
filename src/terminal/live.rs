//! The line that changes, at the bottom of what stderr shows.
//!
//! The cursor rests at its beginning. So whatever a terminal does with a line that has become too long for it, when it is
//! made narrower, all of the line is right of the cursor or below it, and is erased from there. One lock is around the
//! line and all that is printed: log lines and the summary stand above it, or where it was, and never in it.
//!
//! Not by `indicatif` (looked at up to 0.18.6): it keeps the number of rows that a frame took when it was drawn, and goes up by
//! so many for the next one. Where the terminal was made narrower in between the frame takes more rows, and part of it stays.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
};

/// To the beginning of the line, and nothing from there on.
const ERASE: &str = "\r\x1b[J";
/// What does not fit into a line goes nowhere, should the terminal be made narrower at this very moment.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

static LIVE: Mutex<Live> = Mutex::new(Live { line: None, is_closed: false });

#[derive(Debug, Default)]
struct Live {
    line: Option<String>,
    is_closed: bool,
}

impl Live {
    /// What draws this line in the place of the last one. Nothing is erased before it is written over, so nothing flickers.
    fn draw(&mut self, line: String) -> String {
        if self.is_closed {
            return String::new();
        }
        let text = drawn(&line);
        self.line = Some(line);
        text
    }

    fn clear(&mut self) -> &'static str {
        if self.line.take().is_some() { ERASE } else { "" }
    }

    /// What comes before and behind a text that is printed meanwhile.
    fn around(&self) -> (&'static str, String) {
        self.line.as_ref().map_or(("", String::new()), |line| (ERASE, drawn(line)))
    }
}

fn drawn(line: &str) -> String {
    format!("\r{NO_WRAP}{line}{WRAP}\x1b[J\r")
}

fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All of it in one piece. Nobody is left to tell when the terminal is gone.
fn put(text: &str) {
    if !text.is_empty() {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Shows this line, which has to fit, instead of the last one.
pub(crate) fn draw(frame: String) {
    let mut live = live();
    let text = live.draw(frame);
    put(&text);
}

/// Takes the line away until the next one is drawn.
pub(crate) fn clear() {
    put(live().clear());
}

/// Takes the line away for good. Where the lock is not to be had the line stays: this never waits.
pub(crate) fn close() {
    let mut live = match LIVE.try_lock() {
        Ok(live) => live,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    live.is_closed = true;
    put(live.clear());
}

/// Prints something on stdout, which may be the terminal that shows the line. `is_last`: the line does not come back.
pub(crate) fn around(is_last: bool, print: impl FnOnce()) {
    if is_last {
        let mut live = live();
        live.is_closed = true;
        put(live.clear());
    }
    if !io::stdout().is_terminal() {
        // Nobody may read what goes there, and the log must go on meanwhile.
        return print();
    }
    let live = live();
    let (before, behind) = live.around();
    put(before);
    print();
    put(&behind);
}

/// Where the log goes: stderr, above the line.
pub(crate) struct LogWriter;

impl Write for LogWriter {
    /// The log writes an event at once.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let live = live();
        let (before, behind) = live.around();
        let text = [before.as_bytes(), event, behind.as_bytes()].concat();
        io::stderr().lock().write_all(&text)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_stands_above_the_line() {
        let mut live = Live::default();
        assert_eq!(live.around(), ("", String::new()));
        assert_eq!(live.draw("50%".into()), "\r\x1b[?7l50%\x1b[?7h\x1b[J\r");
        assert_eq!(live.around(), ("\r\x1b[J", "\r\x1b[?7l50%\x1b[?7h\x1b[J\r".to_owned()));
        assert_eq!((live.clear(), live.clear()), ("\r\x1b[J", ""));
        assert_eq!(live.around(), ("", String::new()), "it does not come back by itself");
    }

    #[test]
    fn nothing_is_drawn_behind_the_last_word() {
        let mut live = Live { line: None, is_closed: true };
        assert_eq!(live.draw("50%".into()), "");
        assert_eq!(live.around(), ("", String::new()));
    }
}
