//! One line of the doctor's: what was looked at, how it is, and what to change.

use std::fmt;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    /// Nothing to change.
    Good,
    /// A run is possible, and would be better otherwise.
    Doubtful,
    /// No run is possible.
    Bad,
}

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) health: Health,
    /// What was looked at.
    what: &'static str,
    /// How it is, and what to change where it is not good.
    words: String,
}

impl Finding {
    pub(super) fn good(what: &'static str, words: impl Into<String>) -> Self {
        Self { health: Health::Good, what, words: words.into() }
    }

    pub(super) fn doubtful(what: &'static str, words: impl Into<String>) -> Self {
        Self { health: Health::Doubtful, what, words: words.into() }
    }

    pub(super) fn bad(what: &'static str, words: impl Into<String>) -> Self {
        Self { health: Health::Bad, what, words: words.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { health, what, words } = self;
        let mark = match health {
            Health::Good => "ok  ",
            Health::Doubtful => "WARN",
            Health::Bad => "FAIL",
        };
        // Whatever a broker or the system says is one line here.
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(formatter, "{mark}  {what:<13} {words}")
    }
}

/// The exit code that belongs to all that was found: 0, also with warnings, or 3.
pub(super) fn exit_code(findings: &[Finding]) -> u8 {
    if findings.iter().any(|finding| finding.health == Health::Bad) { 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_one_line_and_only_the_bad_fail() {
        let (good, doubtful) = (Finding::good("kernel", "Linux 6.1"), Finding::doubtful("clock", "slow"));
        let bad = Finding::bad("io_uring", "not\npermitted");
        assert_eq!(good.to_string(), "ok    kernel        Linux 6.1");
        assert_eq!(doubtful.to_string(), "WARN  clock         slow");
        assert_eq!(bad.to_string(), "FAIL  io_uring      not permitted");
        assert_eq!(exit_code(&[good.clone(), doubtful]), 0);
        assert_eq!(exit_code(&[good, bad]), 3);
    }
}
