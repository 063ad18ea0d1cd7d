//! Ending the process without asking anybody.
//!
//! `std::process::exit` runs what C libraries registered for the exit, while their
//! threads still run: that can crash, or wait for a thread that waits for us.

use crate::terminal;

/// Ends the process with this code. Nothing is unwound and no handler runs.
///
/// Standard output is line-buffered here: what was printed with its newline is out.
pub(crate) fn at_once(code: i32) -> ! {
    // The shell's prompt comes where the line of progress was.
    terminal::close();
    signal_hook::low_level::exit(code)
}
