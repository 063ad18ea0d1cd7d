//! The log, on stderr.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{CommonConfig, LogFormat, Verbosity};

/// A text for whoever reads stdout. Nobody may: a pipe that is closed changes nothing about the run.
pub(crate) fn say(text: &impl Display) {
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
        .with_writer(io::stderr)
        .with_target(false)
        // It would tell stderr that stderr is gone, and panic.
        .log_internal_errors(false);
    // A second start can only be a test's, and changes nothing.
    let _ = match config.log_format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
