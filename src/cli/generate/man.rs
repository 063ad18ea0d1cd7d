//! Man pages.

use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use super::Described;
use crate::cli::help;

/// That of `proofload` as a whole.
pub(super) fn top(commands: &[Described]) -> String {
    let command = clap::Command::new("proofload")
        .version(env!("CARGO_PKG_VERSION"))
        .about("load generator for Kafka that proves, record by record, what became of each");
    let mut roff = Roff::default();
    roff.control("SH", ["COMMANDS AND TOPICS"]);
    verbatim(&mut roff, &help::top());
    roff.control("SH", ["SEE ALSO"]);
    let pages: Vec<_> = commands.iter().map(|command| format!("{}(1)", command.page)).collect();
    roff.text([roman(pages.join(", "))]);
    rendered(command, &roff)
}

/// That of a command.
pub(super) fn page(described: &Described) -> String {
    let shown = format!("proofload {}", described.name);
    let also = described.link.map(|link| format!(" It is the same program as {link}.")).unwrap_or_default();
    let about = described.command.get_about().map(ToString::to_string).unwrap_or_default();
    let about = format!("{about}.{also}\n\n{}", help::GO_FLAGS);
    let command = described.command.clone().name(described.page).long_about(about);
    let mut roff = Roff::default();
    roff.control("SH", ["EXAMPLES AND EXIT CODES"]);
    verbatim(&mut roff, &help::behind_flags(&shown, described.words));
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(format!("proofload(1); {shown} help TOPIC"))]);
    rendered(command.disable_help_flag(true).disable_version_flag(true), &roff)
}

/// A page, with more sections at its end.
fn rendered(command: clap::Command, more: &Roff) -> String {
    let mut page = Vec::new();
    // Nothing that is written to memory fails.
    let _ = Man::new(command).manual("proofload").render(&mut page);
    let _ = more.to_writer(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}

fn verbatim(roff: &mut Roff, text: &str) {
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}
