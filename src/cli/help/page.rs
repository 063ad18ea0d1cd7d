//! `docs/flags.md`, made of the flags' one definition.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use super::flag;

const HEAD: &str = "\
# Flags

Made from the flags' definition by `PROOFLOAD_WRITE_DOCS=1 cargo test --lib docs`; do not edit. Flags are written as in Go: one dash or two,
a value after a space or `=`; a flag without a value is on or off (`--seq_read`, `--seq_read=false`).
";

/// The page for these programs: first the flags that all of them have alike, then each one's own, then those of programs
/// that stand `alone`.
pub(in crate::cli) fn flags(programs: &[(&str, Command)], alone: &[(&str, Command)]) -> String {
    let of = |command: &Command| -> Vec<Arg> {
        command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned().collect()
    };
    let mut each: Vec<_> = programs.iter().map(|(name, command)| (*name, of(command))).collect();
    let all = each.clone();
    let alone: Vec<_> = alone.iter().map(|(name, command)| (*name, of(command))).collect();
    let is_common = |arg: &Arg| all.iter().all(|(_, args)| args.iter().any(|other| row(other) == row(arg)));
    let common: Vec<_> =
        all.first().into_iter().flat_map(|(_, args)| args).filter(|arg| is_common(arg)).collect();
    let mut text = HEAD.to_owned();
    section(&mut text, "Verifier, repeater and bench", common.into_iter());
    for (name, args) in &mut each {
        args.retain(|arg| !is_common(arg));
        section(&mut text, &format!("`{name}`"), args.iter());
    }
    for (name, args) in &alone {
        section(&mut text, &format!("`{name}`"), args.iter());
    }
    text
}

fn section<'a>(text: &mut String, title: &str, args: impl Iterator<Item = &'a Arg>) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\n## {title}\n");
    let mut heading = None;
    for arg in args {
        if heading != Some(arg.get_help_heading()) {
            heading = Some(arg.get_help_heading());
            let shown = arg.get_help_heading().unwrap_or("Other");
            let _ = write!(text, "\n### {shown}\n\n| flag | default | meaning |\n|---|---|---|\n");
        }
        text.push_str(&row(arg));
    }
}

fn row(arg: &Arg) -> String {
    let default = arg.get_default_values().first().and_then(|value| value.to_str()).unwrap_or_default();
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let default = if is_switch || default.is_empty() { String::new() } else { format!("`{default}`") };
    let meaning = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
    // A default that is not one value is part of the words.
    let (meaning, default) = match meaning.strip_suffix(']').and_then(|words| words.split_once(" [default: "))
    {
        Some((meaning, words)) => (meaning.to_owned(), words.to_owned()),
        None => (meaning, default),
    };
    format!("| `{}` | {default} | {meaning} |\n", flag(arg).replace('|', "\\|"))
}
