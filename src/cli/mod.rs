//! The command line: from words to a resolved configuration, or to the one
//! line that says why there is none. Nothing here prints or exits.

mod bench;
mod common;
mod compare;
mod doctor;
mod duration;
mod error;
mod generate;
mod go_flags;
mod help;
mod ledger;
mod openmessaging;
mod readers;
mod repeater;
mod resolve;
mod slice;
mod trogdor;
mod values;
mod verifier;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use clap::{
    Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches,
    error::{ContextKind, ContextValue},
};

use serde_json::Value;

use self::{
    bench::BenchArgs,
    compare::CompareArgs,
    doctor::DoctorArgs,
    error::UsageError,
    go_flags::Normalised,
    ledger::LedgerArgs,
    openmessaging::FromFiles,
    repeater::RepeaterArgs,
    values::{Accepts, go_bool},
    verifier::VerifierArgs,
};
use crate::config::{
    BenchConfig, CompareConfig, DoctorConfig, MergeConfig, RepeaterConfig, VerifierConfig, is_secret,
};
pub(crate) use trogdor::{TaskError, flags as task_flags, takes_task};

/// Environment variable for a password that is in nobody's process list.
pub(crate) const PASSWORD_VARIABLE: &str = "PROOFLOAD_PASSWORD";
/// The same for client settings that must not be seen there: `key=value`, and what stands between two of them, as
/// values may have lines.
pub(crate) const SETTINGS_VARIABLE: &str = "PROOFLOAD_SECRET_SETTINGS";
pub(crate) const SETTINGS_SEPARATOR: &str = "\u{1e}";

pub(crate) const EXIT_USAGE: u8 = 2;

/// The name that the binary was built under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `proofload`: the first word says which program to be.
    Proofload,
    /// `kgo-verifier`, the same as `proofload verifier`.
    Verifier,
    /// `kgo-repeater`, the same as `proofload repeater`.
    Repeater,
}

impl Program {
    /// The program of this name.
    #[must_use]
    pub fn called(name: &str) -> Option<Self> {
        match name {
            "proofload" => Some(Self::Proofload),
            "kgo-verifier" => Some(Self::Verifier),
            "kgo-repeater" => Some(Self::Repeater),
            _ => None,
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// The verifier.
    Verifier(Box<VerifierConfig>),
    /// The repeater.
    Repeater(Box<RepeaterConfig>),
    /// A look at the machine and the cluster.
    Doctor(Box<DoctorConfig>),
    /// The benchmark.
    Bench(Box<BenchConfig>),
    /// Results of it, held against each other.
    Compare(Box<CompareConfig>),
    /// The ledgers of slices, made one.
    Merge(MergeConfig),
}

/// A command line that runs nothing: help, or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CliExit {
    /// The process's exit code.
    pub code: u8,
    /// To be printed as it is, newline included.
    pub stdout: Option<String>,
    /// To be printed as it is, newline included.
    pub stderr: Option<String>,
}

impl CliExit {
    fn answer(stdout: String) -> Self {
        Self { code: 0, stdout: Some(stdout), stderr: None }
    }
}

impl From<UsageError> for CliExit {
    fn from(error: UsageError) -> Self {
        Self { code: EXIT_USAGE, stdout: None, stderr: Some(format!("proofload: {error}\n")) }
    }
}

/// Reads a command line, without the program's own name.
///
/// # Errors
///
/// [`CliExit`] when there is nothing to run: help and version (code 0), usage errors (code 2).
pub(crate) fn parse(program: Program, args: impl Iterator<Item = OsString>) -> Result<Command, CliExit> {
    match program {
        Program::Proofload => parse_command(args),
        Program::Verifier => parse_verifier("kgo-verifier", args),
        Program::Repeater => parse_repeater("kgo-repeater", args),
    }
}

fn parse_command(args: impl Iterator<Item = OsString>) -> Result<Command, CliExit> {
    let mut args = args.skip_while(|word| word.is_empty());
    let first = args.next().map(|word| word.to_string_lossy().into_owned());
    match first.as_deref() {
        Some("verifier") => parse_verifier("proofload verifier", args),
        Some("repeater") => parse_repeater("proofload repeater", args),
        Some("doctor") => parse_doctor(args),
        Some("bench") => parse_bench(args),
        Some("compare") => parse_compare(args),
        Some("ledger") => parse_ledger(args),
        Some("generate") => Err(generate_file(args)),
        Some("-h" | "--h" | "-help" | "--help") => Err(CliExit::answer(help::top())),
        Some("help") => Err(help_on("proofload", args)),
        Some("-V" | "-version" | "--version") => Err(version()),
        None => Err(UsageError::NoCommand.into()),
        Some(word) if word.starts_with('-') => Err(UsageError::NoCommand.into()),
        Some(word) => Err(UsageError::NoSuchCommand(word.to_owned()).into()),
    }
}

fn parse_verifier(shown: &'static str, args: impl Iterator<Item = OsString>) -> Result<Command, CliExit> {
    let args = flags_or_help(shown, "verifier", args)?;
    let (args, shown_flags) = flags::<VerifierArgs>(shown, &help::VERIFIER, args)?;
    let mut config = resolve::verifier(&args)?;
    config.common.flags = with_settings(shown_flags, &config.common.client_settings);
    Ok(Command::Verifier(Box::new(config)))
}

fn parse_repeater(shown: &'static str, args: impl Iterator<Item = OsString>) -> Result<Command, CliExit> {
    let args = flags_or_help(shown, "repeater", args)?;
    let (args, shown_flags) = flags::<RepeaterArgs>(shown, &help::REPEATER, args)?;
    let mut config = resolve::repeater(&args)?;
    config.common.flags = with_settings(shown_flags, &config.common.client_settings);
    Ok(Command::Repeater(Box::new(config)))
}

fn parse_doctor(args: impl Iterator<Item = OsString>) -> Result<Command, CliExit> {
    let shown = "proofload doctor";
    let args = flags_or_help(shown, "doctor", args)?;
    let (args, _) = flags::<DoctorArgs>(shown, &help::DOCTOR, args)?;
    Ok(Command::Doctor(Box::new(resolve::doctor(&args)?)))
}

fn parse_bench(args: impl Iterator<Item = OsString>) -> Result<Command, CliExit> {
    let shown = "proofload bench";
    let words: Vec<_> = flags_or_help(shown, "bench", args)?.collect();
    // What is wrong with the words themselves is said before any file is looked at.
    flags::<BenchArgs>(shown, &help::BENCH, words.iter().cloned())?;
    let (words, from_files) =
        match go_flags::normalise(&BenchArgs::command(), words).map_err(UsageError::from)? {
            Normalised::Words(words) => openmessaging::with_files(&words)?,
            Normalised::Help | Normalised::Version => (Vec::new(), FromFiles::default()),
        };
    let (mut args, shown_flags) =
        flags::<BenchArgs>(shown, &help::BENCH, words.into_iter().map(OsString::from))?;
    args.from_files = from_files;
    let mut config = resolve::bench(&mut args)?;
    let common = &mut config.verifier.common;
    common.flags = with_settings(shown_flags, &common.client_settings);
    Ok(Command::Bench(Box::new(config)))
}

fn parse_compare(args: impl Iterator<Item = OsString>) -> Result<Command, CliExit> {
    let shown = "proofload compare";
    let (files, words) =
        compare::apart(flags_or_help(shown, "compare", args)?, &["fail-on", "least", "output", "html"]);
    let (args, _) = flags::<CompareArgs>(shown, &help::COMPARE, words.into_iter())?;
    Ok(Command::Compare(Box::new(compare::resolve(args, &files)?)))
}

fn parse_ledger(args: impl Iterator<Item = OsString>) -> Result<Command, CliExit> {
    let shown = "proofload ledger";
    let (words, flag_words) = compare::apart(flags_or_help(shown, "ledger", args)?, &["ledger-dir"]);
    let (args, _) = flags::<LedgerArgs>(shown, &help::LEDGER, flag_words.into_iter())?;
    Ok(Command::Merge(ledger::resolve(args, &words)?))
}

/// One of the files that packages have beside the program; which there are, for `names`.
fn generate_file(args: impl Iterator<Item = OsString>) -> CliExit {
    let words: Vec<_> = args.map(|word| word.to_string_lossy().into_owned()).collect();
    match words.as_slice() {
        [name] if name == "names" => CliExit::answer(generate::names()),
        [name] => match generate::file(name) {
            Some(text) => CliExit::answer(text),
            None => UsageError::NoSuchFile(name.clone()).into(),
        },
        several => UsageError::NoSuchFile(several.join(" ")).into(),
    }
}

/// The words of a program whose first one may be `help`, as it may be for `proofload`: no flag is called so.
fn flags_or_help(
    shown: &'static str,
    program: &str,
    args: impl Iterator<Item = OsString>,
) -> Result<impl Iterator<Item = OsString>, CliExit> {
    let mut args = args.skip_while(|word| word.is_empty()).peekable();
    if args.next_if(|word| word == "help").is_none() {
        return Ok(args);
    }
    let mut topics = args.filter(|word| !word.is_empty()).peekable();
    if topics.peek().is_some() {
        return Err(help_on(shown, topics));
    }
    Err(help_on(shown, std::iter::once(OsString::from(program))))
}

/// The flags as they were written, and as they may be shown; `shown` is what the help calls the program.
fn flags<A>(
    shown: &'static str,
    words_of_help: &help::Words,
    args: impl Iterator<Item = OsString>,
) -> Result<(A, BTreeMap<String, Value>), CliExit>
where
    A: CommandFactory + FromArgMatches,
{
    let command = A::command();
    let words = match go_flags::normalise(&command, args).map_err(UsageError::from)? {
        Normalised::Help => return Err(CliExit::answer(help::program(&command, shown, words_of_help))),
        Normalised::Version => return Err(version()),
        Normalised::Words(words) => words,
    };
    let command = strict(command);
    let matches = command.clone().try_get_matches_from(words).map_err(|error| usage_error(&error))?;
    let flags = shown_flags(&command, &matches);
    let args = A::from_arg_matches(&matches).map_err(|error| CliExit::from(usage_error(&error)))?;
    Ok((args, flags))
}

/// Every flag that has a value, given or not, for the report: a list where it can be given more than once.
fn shown_flags(command: &clap::Command, matches: &ArgMatches) -> BTreeMap<String, Value> {
    let shown = |arg: &Arg| {
        let name = arg.get_long()?;
        let values = matches.get_raw(arg.get_id().as_str())?.map(OsStr::to_string_lossy);
        let is_boolean = go_flags::is_boolean(arg);
        let mut values: Vec<_> = values
            .map(|value| match go_bool(&value) {
                Ok(value) if is_boolean => value.to_string(),
                _ => shown_value(name, &value),
            })
            .collect();
        let is_list = matches!(arg.get_action(), ArgAction::Append);
        let value = if is_list { Value::from(values) } else { Value::from(values.pop()?) };
        Some((name.to_owned(), value))
    };
    command.get_arguments().filter_map(shown).collect()
}

/// Client settings come from a file and from the environment, too.
fn with_settings(
    mut flags: BTreeMap<String, Value>,
    settings: &[(String, String)],
) -> BTreeMap<String, Value> {
    let shown = settings.iter().map(|(key, value)| shown_value("X", &format!("{key}={value}")));
    let shown: Vec<_> = shown.collect();
    if !shown.is_empty() {
        flags.insert("X".to_owned(), shown.into());
    }
    flags
}

/// A flag's value without its secrets.
fn shown_value(flag: &str, value: &str) -> String {
    match value.split_once('=') {
        _ if flag == "password" && !value.is_empty() => "***".to_owned(),
        Some((key, _)) if flag == "X" && is_secret(key) => format!("{key}=***"),
        _ => value.to_owned(),
    }
}

/// The same flags in the one form that the normaliser leaves: every flag has a value.
fn strict(command: clap::Command) -> clap::Command {
    command.no_binary_name(true).disable_help_flag(true).disable_version_flag(true).mut_args(|arg| match arg
        .get_action()
    {
        ArgAction::SetTrue => {
            arg.action(ArgAction::Set).num_args(1).value_parser(go_bool).default_value("false")
        }
        _ => arg,
    })
}

/// `proofload help`, and `proofload help TOPIC`, where the user calls the program `shown`; commands are topics, too.
fn help_on(shown: &'static str, args: impl Iterator<Item = OsString>) -> CliExit {
    let called = |program: &str| match shown {
        "proofload" => format!("proofload {program}"),
        shown if shown.ends_with(program) => shown.to_owned(),
        _ => format!("proofload {program}"),
    };
    let words = args.map(|word| word.to_string_lossy().into_owned());
    match words.filter(|word| !word.is_empty()).collect::<Vec<_>>().as_slice() {
        [] => CliExit::answer(help::top()),
        [topic] => {
            let known = || generate::commands().into_iter().find(|known| known.name == topic.as_str());
            // A topic that is called like a command says what that is about, too.
            let text = help::topic(topic).map(str::to_owned).or_else(|| {
                known().map(|known| help::program(&known.command, &called(known.name), known.words))
            });
            match text {
                Some(text) => CliExit::answer(text),
                None => UsageError::NoSuchTopic(topic.clone()).into(),
            }
        }
        several => UsageError::NoSuchTopic(several.join(" ")).into(),
    }
}

fn version() -> CliExit {
    CliExit::answer(format!("proofload {}\n", env!("CARGO_PKG_VERSION")))
}

/// Takes clap's many lines apart and keeps the flag, the value, and what it accepts.
fn usage_error(error: &clap::Error) -> UsageError {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let accepts = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Accepts>());
    match (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue), accepts) {
        (Some(arg), Some(value), Some(accepts)) => {
            UsageError::Value { flag: flag_name(&arg).to_owned(), value, accepts: accepts.clone() }
        }
        _ => UsageError::Other(error.to_string().trim_start_matches("error: ").trim().replace('\n', " ")),
    }
}

/// `msg_size` out of `--msg_size <BYTES>`.
fn flag_name(shown: &str) -> &str {
    let name = shown.trim_start_matches('-');
    name.split([' ', '=', '[', '<']).next().unwrap_or(name)
}
