//! `proofload generate FILE`: man pages and completions for shells, as `scripts/package` installs them. It is in no help:
//! whoever packages the program finds it there.

mod completions;
mod man;

use clap::CommandFactory;

use super::{BenchArgs, CompareArgs, DoctorArgs, LedgerArgs, RepeaterArgs, VerifierArgs, help};

/// A command of `proofload`, and what else it is called by.
pub(super) struct Described {
    pub(super) name: &'static str,
    /// Its man page.
    page: &'static str,
    /// The name of the link that is this command.
    link: Option<&'static str>,
    pub(super) command: clap::Command,
    pub(super) words: &'static help::Words,
}

/// All of them.
pub(super) fn commands() -> [Described; 6] {
    [
        Described {
            name: "verifier",
            page: "proofload-verifier",
            link: Some("kgo-verifier"),
            command: VerifierArgs::command(),
            words: &help::VERIFIER,
        },
        Described {
            name: "repeater",
            page: "proofload-repeater",
            link: Some("kgo-repeater"),
            command: RepeaterArgs::command(),
            words: &help::REPEATER,
        },
        Described {
            name: "bench",
            page: "proofload-bench",
            link: None,
            command: BenchArgs::command(),
            words: &help::BENCH,
        },
        Described {
            name: "compare",
            page: "proofload-compare",
            link: None,
            command: CompareArgs::command(),
            words: &help::COMPARE,
        },
        Described {
            name: "ledger",
            page: "proofload-ledger",
            link: None,
            command: LedgerArgs::command(),
            words: &help::LEDGER,
        },
        Described {
            name: "doctor",
            page: "proofload-doctor",
            link: None,
            command: DoctorArgs::command(),
            words: &help::DOCTOR,
        },
    ]
}

/// The names of all files, one a line.
pub(super) fn names() -> String {
    let pages = commands().into_iter().map(|command| format!("{}.1", command.page));
    let completions = ["proofload.bash", "_proofload", "proofload.fish"].map(str::to_owned);
    let names: Vec<_> = ["proofload.1".to_owned()].into_iter().chain(pages).chain(completions).collect();
    names.join("\n") + "\n"
}

/// The file of this name.
pub(super) fn file(name: &str) -> Option<String> {
    let commands = commands();
    match name {
        "proofload.1" => Some(man::top(&commands)),
        "proofload.bash" => Some(completions::bash(&commands)),
        "_proofload" => Some(completions::zsh(&commands)),
        "proofload.fish" => Some(completions::fish(&commands)),
        _ => {
            let page = name.strip_suffix(".1")?;
            commands.iter().find(|known| known.page == page).map(man::page)
        }
    }
}

#[cfg(test)]
mod tests;
