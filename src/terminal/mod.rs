//! What a terminal shows: one line that changes, and around it all that is printed.

mod layout;
mod live;

use std::{
    env,
    io::{self, IsTerminal},
    os::fd::AsFd,
};

pub(crate) use layout::{colour_verdict, wrap};
pub(crate) use live::{LogWriter, around, clear, close, draw};

use crate::config::{ColorMode, CommonConfig, LogFormat, ProgressMode};

/// How progress is shown here, never [`ProgressMode::Auto`]. Where a bar was asked for and cannot be, a line says so.
pub(crate) fn progress_mode(config: &CommonConfig) -> ProgressMode {
    let can_draw = io::stderr().is_terminal() && !is_dumb(env::var("TERM").ok().as_deref());
    let mode = choose_progress(config.progress, config.log_format, can_draw);
    if config.progress == ProgressMode::Bar && mode != ProgressMode::Bar {
        tracing::warn!(
            "--progress bar: stderr is no terminal that can draw one (TERM=dumb, or a file or pipe): \
             progress is shown as log lines"
        );
    }
    mode
}

fn choose_progress(asked: ProgressMode, format: LogFormat, can_draw: bool) -> ProgressMode {
    match asked {
        ProgressMode::Auto | ProgressMode::Bar if can_draw && format == LogFormat::Text => ProgressMode::Bar,
        ProgressMode::Auto | ProgressMode::Bar => ProgressMode::Lines,
        asked => asked,
    }
}

/// Whether what goes there may have colours.
pub(crate) fn has_colour(mode: ColorMode, stream: &impl IsTerminal) -> bool {
    let (no_color, term) = (env::var("NO_COLOR").ok(), env::var("TERM").ok());
    choose_colour(mode, no_color.as_deref(), term.as_deref(), stream.is_terminal())
}

/// <https://no-color.org>: set, and not to nothing.
fn choose_colour(mode: ColorMode, no_color: Option<&str>, term: Option<&str>, is_terminal: bool) -> bool {
    match mode {
        ColorMode::Always => true,
        ColorMode::Never => false,
        ColorMode::Auto => is_terminal && no_color.is_none_or(str::is_empty) && !is_dumb(term),
    }
}

/// A terminal that takes escape sequences for text.
fn is_dumb(term: Option<&str>) -> bool {
    term.is_none_or(|term| term.is_empty() || term == "dumb")
}

/// How wide the terminal is now; `None` where there is none, or it does not tell.
pub(crate) fn columns(stream: impl AsFd) -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(stream)?;
    Some(usize::from(width.0)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_drawn_only_where_it_can_be() {
        use ProgressMode::{Auto, Bar, Lines, Never};
        let text = |asked, can_draw| choose_progress(asked, LogFormat::Text, can_draw);
        assert_eq!([Auto, Bar, Lines, Never].map(|asked| text(asked, true)), [Bar, Bar, Lines, Never]);
        assert_eq!([Auto, Bar, Lines, Never].map(|asked| text(asked, false)), [Lines, Lines, Lines, Never]);
        assert_eq!(choose_progress(Auto, LogFormat::Json, true), Lines);
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let auto = |no_color, term, is_terminal| choose_colour(ColorMode::Auto, no_color, term, is_terminal);
        assert!(auto(None, Some("xterm"), true) && auto(Some(""), Some("xterm"), true));
        assert!(!auto(None, Some("xterm"), false), "a file");
        assert!(!auto(Some("1"), Some("xterm"), true), "NO_COLOR");
        assert!(!auto(None, Some("dumb"), true) && !auto(None, None, true), "TERM");
        assert!(choose_colour(ColorMode::Always, Some("1"), Some("dumb"), false));
        assert!(!choose_colour(ColorMode::Never, None, Some("xterm"), true));
    }
}
