//! The log, on stderr.

use std::{
    fmt::Display,
    io::{self, Write},
};

use serde::Serialize;
use serde_json::json;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    config::{ColorMode, CommonConfig, LogFormat, Verbosity},
    terminal,
};

/// A text for whoever reads stdout. Nobody may: a pipe that is closed changes nothing about the run.
pub(crate) fn say(text: &impl Display) {
    terminal::around(false, || print(text));
}

/// What a run says at its end: progress is shown no more. A terminal gets it in its width; elsewhere lines stay whole.
pub(crate) fn conclude(text: &str, color: ColorMode) {
    let mut text = terminal::columns(io::stdout())
        .map_or_else(|| text.to_owned(), |columns| terminal::wrap(text, columns));
    if terminal::has_colour(color, &io::stdout()) {
        text = terminal::colour_verdict(&text);
    }
    terminal::around(true, || print(&text));
}

/// What a run says at its end to a program: one object, in one line.
pub(crate) fn conclude_in_json(conclusion: &impl Serialize) {
    // Numbers, texts and lists: nothing in it can fail to become JSON.
    let line = serde_json::to_string(conclusion).unwrap_or_default();
    terminal::around(true, || print(&line));
}

/// A line for Trogdor's agent, in the midst of a run.
pub(crate) fn tell_agent(line: &impl Serialize) {
    // As above.
    print(&serde_json::to_string(line).unwrap_or_default());
}

/// The log, as Trogdor's agent takes it into its own.
struct TrogdorLog;

impl Write for TrogdorLog {
    /// The log writes an event at once.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        tell_agent(&json!({ "log": String::from_utf8_lossy(event).trim() }));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn print(text: &impl Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Starts the log. `RUST_LOG` overrides what the flags say.
pub(crate) fn start(config: &CommonConfig) {
    let default = match config.verbosity {
        // glommio warns of registered buffers that nothing here uses.
        Verbosity::Normal => "info,glommio=error,librdkafka=off",
        // Not what the libraries beneath have to say of themselves.
        Verbosity::Debug => "info,glommio=error,proofload=debug,librdkafka=debug",
        Verbosity::Trace => "info,glommio=error,proofload=trace,librdkafka=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(|| terminal::LogWriter)
        .with_target(false)
        // It would tell stderr that stderr is gone, and panic.
        .log_internal_errors(false);
    // A second start can only be a test's, and changes nothing.
    let _ = match config.log_format {
        LogFormat::Text => builder.with_ansi(terminal::has_colour(config.color, &io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Trogdor => builder.with_writer(|| TrogdorLog).without_time().with_ansi(false).try_init(),
    };
}
