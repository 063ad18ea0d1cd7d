//! How a run has ended: one verdict, decided in one place for summary, report, status and exit code.

use std::fmt;

use crate::findings::complained;

/// Exit code of a run whose data broke a promise, and of one that a gate does not let through.
const EXIT_VIOLATION: u8 = 1;
/// Exit code of a setting that does not exist.
const EXIT_USAGE: u8 = 2;
/// Exit code of work that could not be done.
const EXIT_FAILED: u8 = 3;

/// What is known of a run when it ends, or of one that goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The data broke its promise: the first violation, or how many there were.
    pub violation: Option<String>,
    /// Why the work could not be done.
    pub failure: Option<Failure>,
    /// A partition stands still although its broker answers.
    pub stall: Option<String>,
    /// Who ended the run before all was done, for instance `SIGTERM` or `/shutdown`.
    pub interruption: Option<String>,
    /// All that was asked for was done.
    pub complete: bool,
    /// A record was acked or read.
    pub progress: bool,
    /// How far the run came, for instance `54,204 of 300,000 records acked`.
    pub done: String,
    /// What it waits for, and what the client complains of meanwhile.
    pub waits_for: Option<String>,
    /// What the client complained of last, whether that was waited for long enough to be told or not.
    pub complaint: Option<String>,
    /// Why a reader came to its end without having read, or without having read enough.
    pub nothing_to_read: Option<String>,
    /// Offsets that are lost, which the user tolerates.
    pub lost_offsets: u64,
    /// What no ledger vouches for, in words; empty where everything is vouched for.
    pub not_vouched_for: Vec<String>,
}

/// Why the work could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In words.
    pub cause: String,
    /// What was asked for does not exist.
    pub is_usage: bool,
}

/// How a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Everything that was acked was read, as it was acked.
    Proven,
    /// Nothing is wrong, but not everything is vouched for by a ledger.
    Consistent {
        /// What is not.
        not_vouched_for: Vec<String>,
    },
    /// Offsets are lost, which the user tolerates.
    LossTolerated {
        /// How many.
        offsets: u64,
    },
    /// The data broke its promise.
    Violation {
        /// The first violation, or how many there were.
        what: String,
    },
    /// Somebody ended the run before all was done.
    Interrupted {
        /// Who, and how far it was.
        cause: String,
    },
    /// The run ended while a partition stood still although its broker answers.
    Stalled {
        /// Which, and what was waited for.
        what: String,
    },
    /// The run ended without having done anything.
    NoProgress {
        /// What it waited for.
        cause: String,
        /// Somebody has ended it.
        is_interrupted: bool,
    },
    /// The work could not be done.
    Failed(Failure),
}

/// What lets a run pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gate {
    /// Only what was done completely passes (`--require-complete`).
    pub require_complete: bool,
    /// A ledger was asked for (`--ledger-dir`).
    pub ledger_asked_for: bool,
}

impl Verdict {
    /// What the facts amount to. A broken promise comes before all else, then what kept the work from being done, then
    /// what stands still, and only then whether all was done.
    #[must_use]
    pub(crate) fn of(facts: &Facts) -> Self {
        let Facts { violation, failure, stall, interruption, .. } = facts;
        if let Some(what) = violation {
            return Self::Violation { what: what.clone() };
        }
        if let Some(failure) = failure {
            return Self::Failed(failure.clone());
        }
        if let Some(what) = stall {
            return Self::Stalled { what: what.clone() };
        }
        let by = interruption.as_deref();
        // Nothing is proven by having looked at nothing, even where that was all that there was.
        if !facts.progress {
            let nothing = || match by {
                Some(by) => format!("{by} came before anything was done"),
                None => "nothing was acked, and nothing was read".to_owned(),
            };
            let waited = || facts.waits_for.as_ref().map(|what| format!("waited for {what}"));
            let complaint = || complained(facts.complaint.as_ref());
            let cause = facts.nothing_to_read.clone().or_else(waited);
            let cause = cause.unwrap_or_else(|| nothing() + &complaint());
            return Self::NoProgress { cause, is_interrupted: by.is_some() };
        }
        if facts.complete {
            return Self::of_complete(facts);
        }
        let waited = facts.waits_for.as_ref().map(|what| format!(", waiting for {what}")).unwrap_or_default();
        let done = &facts.done;
        match (by, &facts.nothing_to_read) {
            (Some(by), _) => Self::Interrupted { cause: format!("{by} came after {done}{waited}") },
            (None, Some(nothing)) => {
                Self::Failed(Failure { cause: format!("ended after {done}: {nothing}"), is_usage: false })
            }
            (None, None) => {
                Self::Failed(Failure { cause: format!("ended after {done}{waited}"), is_usage: false })
            }
        }
    }

    /// What is certain of a run that goes on: what is not can still come out better or worse.
    #[must_use]
    pub(crate) fn so_far(facts: &Facts) -> Option<Self> {
        let verdict = Self::of(facts);
        let is_bad = facts.violation.is_some() || facts.failure.is_some() || facts.stall.is_some();
        is_bad.then_some(verdict)
    }

    fn of_complete(facts: &Facts) -> Self {
        match (facts.lost_offsets, &facts.not_vouched_for) {
            (0, nothing) if nothing.is_empty() => Self::Proven,
            (0, something) => Self::Consistent { not_vouched_for: something.clone() },
            (offsets, _) => Self::LossTolerated { offsets },
        }
    }

    /// The code in reports.
    #[must_use]
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Consistent { .. } => "consistent",
            Self::LossTolerated { .. } => "loss-tolerated",
            Self::Violation { .. } => "violation",
            Self::Interrupted { .. } => "interrupted",
            Self::Stalled { .. } => "stalled",
            Self::NoProgress { .. } => "no-progress",
            Self::Failed(_) => "failed",
        }
    }

    /// The process's exit code.
    #[must_use]
    pub(crate) fn exit_code(&self, gate: Gate) -> u8 {
        let unless_required = if gate.require_complete { EXIT_VIOLATION } else { 0 };
        match self {
            Self::Consistent { .. } if gate.ledger_asked_for => unless_required,
            Self::Proven | Self::LossTolerated { .. } | Self::Consistent { .. } => 0,
            Self::Violation { .. } => EXIT_VIOLATION,
            Self::Interrupted { .. }
            | Self::Stalled { .. }
            | Self::NoProgress { is_interrupted: true, .. } => unless_required,
            Self::Failed(Failure { is_usage: true, .. }) => EXIT_USAGE,
            Self::NoProgress { .. } | Self::Failed(_) => EXIT_FAILED,
        }
    }

    /// Whether a setting was asked for that does not exist.
    #[must_use]
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Failed(Failure { is_usage: true, .. }))
    }

    /// Why it is not better; nothing where all is well.
    #[must_use]
    pub(crate) fn cause(&self) -> Option<String> {
        match self {
            Self::Proven => None,
            Self::Consistent { not_vouched_for } => Some(not_vouched_for.join("; ")),
            Self::LossTolerated { offsets } => Some(format!("{offsets} offsets are lost")),
            Self::Violation { what } | Self::Stalled { what } => Some(what.clone()),
            Self::Interrupted { cause } | Self::NoProgress { cause, .. } => Some(cause.clone()),
            Self::Failed(failure) => Some(failure.cause.clone()),
        }
    }
}

/// The summary's first line.
impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proven => out.write_str("PROVEN: nothing lost, moved, repeated, reordered or altered"),
            Self::Consistent { not_vouched_for } => {
                write!(out, "CONSISTENT: nothing wrong was found, but {}", not_vouched_for.join("; "))
            }
            Self::LossTolerated { offsets } => {
                let offsets = indicatif::HumanCount(*offsets);
                write!(out, "DONE WITH LOSS: {offsets} offsets are lost, which --tolerate-data-loss allows")
            }
            Self::Violation { what } => write!(out, "VIOLATION: {what}"),
            Self::Interrupted { cause } => write!(out, "INTERRUPTED: {cause}"),
            Self::Stalled { what } => write!(out, "STALLED: {what}"),
            Self::NoProgress { cause, .. } => write!(out, "NO PROGRESS: {cause}"),
            Self::Failed(failure) => write!(out, "FAILED: {}", failure.cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done() -> Facts {
        Facts { complete: true, progress: true, done: "10 of 10 records acked".into(), ..Facts::default() }
    }

    fn stopped() -> Facts {
        let done = "4 of 10 records acked".into();
        Facts { interruption: Some("SIGTERM".into()), progress: true, done, ..Facts::default() }
    }

    fn failure(is_usage: bool) -> Failure {
        Failure { cause: "no broker".into(), is_usage }
    }

    /// Exit codes: without a flag, with `--ledger-dir`, with `--require-complete`, with both.
    fn codes(verdict: &Verdict) -> [u8; 4] {
        [(false, false), (false, true), (true, false), (true, true)].map(
            |(require_complete, ledger_asked_for)| {
                verdict.exit_code(Gate { require_complete, ledger_asked_for })
            },
        )
    }

    #[test]
    fn each_end_has_its_code_its_words_and_its_exit_codes() {
        let nothing = || Facts { progress: false, ..stopped() };
        let rows: [(Facts, &str, &str, [u8; 4]); 15] = [
            (done(), "proven", "PROVEN: nothing lost", [0; 4]),
            (
                Facts { not_vouched_for: vec!["no ledger".into(), "a".into()], ..done() },
                "consistent",
                "CONSISTENT: nothing wrong was found, but no ledger; a",
                [0, 0, 0, 1],
            ),
            (
                Facts { lost_offsets: 1_234, not_vouched_for: vec!["x".into()], ..done() },
                "loss-tolerated",
                "DONE WITH LOSS: 1,234 offsets are lost, which --tolerate-data-loss allows",
                [0; 4],
            ),
            (
                Facts { violation: Some("lost-write".into()), ..done() },
                "violation",
                "VIOLATION: lost-write",
                [1; 4],
            ),
            (stopped(), "interrupted", "INTERRUPTED: SIGTERM came after 4 of 10 records acked", [0, 0, 1, 1]),
            (
                Facts { waits_for: Some("a leader".into()), ..stopped() },
                "interrupted",
                "INTERRUPTED: SIGTERM came after 4 of 10 records acked, waiting for a leader",
                [0, 0, 1, 1],
            ),
            (Facts { stall: Some("p 3".into()), ..stopped() }, "stalled", "STALLED: p 3", [0, 0, 1, 1]),
            (nothing(), "no-progress", "NO PROGRESS: SIGTERM came before anything", [0, 0, 1, 1]),
            (
                Facts { waits_for: Some("a leader".into()), ..nothing() },
                "no-progress",
                "NO PROGRESS: waited for a leader",
                [0, 0, 1, 1],
            ),
            (
                Facts { complaint: Some("broker b: check --enable-tls".into()), ..nothing() },
                "no-progress",
                "NO PROGRESS: SIGTERM came before anything was done; the client complains: broker b: check --enable-tls",
                [0, 0, 1, 1],
            ),
            (Facts { interruption: None, ..nothing() }, "no-progress", "NO PROGRESS: nothing was", [3; 4]),
            (
                Facts { failure: Some(failure(false)), ..Facts::default() },
                "failed",
                "FAILED: no broker",
                [3; 4],
            ),
            (Facts { failure: Some(failure(true)), ..done() }, "failed", "FAILED: no broker", [2; 4]),
            // Nobody ended it, and yet not all was done: nothing green comes of what should not happen.
            (Facts { interruption: None, ..stopped() }, "failed", "FAILED: ended after 4 of 10", [3; 4]),
            // A signal that comes when all is done has interrupted nothing.
            (Facts { complete: true, ..stopped() }, "proven", "PROVEN", [0; 4]),
        ];
        rows.into_iter().for_each(expect);
    }

    fn expect((facts, code, words, exit_codes): (Facts, &str, &str, [u8; 4])) {
        let verdict = Verdict::of(&facts);
        assert_eq!(verdict.code(), code, "{facts:?}");
        assert!(verdict.to_string().starts_with(words), "{verdict}");
        assert_eq!(codes(&verdict), exit_codes, "{verdict}");
        assert_eq!(verdict.cause().is_none(), code == "proven", "{verdict}");
    }

    #[test]
    fn who_had_nothing_to_read_has_proven_nothing() {
        let nothing = || Facts { progress: false, ..stopped() };
        let empty = || Some("there was nothing to read in topic t".to_owned());
        [
            // All was done, and that was nothing.
            (
                Facts { progress: false, nothing_to_read: empty(), ..done() },
                "no-progress",
                "NO PROGRESS: there was nothing to read in topic t",
                [3; 4],
            ),
            (
                Facts { complete: true, nothing_to_read: empty(), ..nothing() },
                "no-progress",
                "NO PROGRESS: there was nothing to read in topic t",
                [0, 0, 1, 1],
            ),
            (
                Facts { complete: false, nothing_to_read: empty(), ..done() },
                "failed",
                "FAILED: ended after 10 of 10 records acked: there was nothing to read in topic t",
                [3; 4],
            ),
        ]
        .into_iter()
        .for_each(expect);
    }

    #[test]
    fn only_what_is_bad_is_certain_before_the_end() {
        assert_eq!(Verdict::so_far(&done()), None);
        assert_eq!(Verdict::so_far(&Facts { interruption: None, ..stopped() }), None);
        let lost = Facts { violation: Some("lost-write".into()), ..stopped() };
        assert_eq!(Verdict::so_far(&lost).map(|verdict| verdict.code()), Some("violation"));
    }

    #[test]
    fn the_gravest_of_several_ends_counts() {
        let mut facts = Facts {
            violation: Some("lost-write".into()),
            failure: Some(failure(false)),
            stall: Some("p 3".into()),
            lost_offsets: 1,
            not_vouched_for: vec!["x".into()],
            ..stopped()
        };
        let mut seen = vec![Verdict::of(&facts).code()];
        facts.violation = None;
        seen.push(Verdict::of(&facts).code());
        facts.failure = None;
        seen.push(Verdict::of(&facts).code());
        facts.stall = None;
        seen.push(Verdict::of(&facts).code());
        facts.complete = true;
        seen.push(Verdict::of(&facts).code());
        facts.lost_offsets = 0;
        seen.push(Verdict::of(&facts).code());
        facts.not_vouched_for.clear();
        seen.push(Verdict::of(&facts).code());
        let expected =
            ["violation", "failed", "stalled", "interrupted", "loss-tolerated", "consistent", "proven"];
        assert_eq!(seen, expected);
    }
}
