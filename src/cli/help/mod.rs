//! What `--help` and `help TOPIC` print: one layout, 80 columns.

#[cfg(test)]
pub(super) mod page;
mod topics;

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

pub(super) use topics::{NAMES, find as topic};

/// As wide as a terminal is at least, by old custom; narrower ones break lines themselves.
const WIDTH: usize = 80;
/// Where the explanations of flags begin.
const EXPLAINED_AT: usize = 31;

/// A blank that no line is broken at.
const NO_BREAK: char = '\u{a0}';

/// How flags may be written.
pub(super) const GO_FLAGS: &str = "Flags are written as in Go: -name and --name are the same, a value follows after \
                                   a space or '='. A flag without a value is on or off: --name, --name=false.";

const TOP: &str = include_str!("top.txt");

/// What each of the two programs has to say beside its flags.
pub(super) struct Words {
    /// Behind the program's name.
    pub(super) usage: &'static str,
    /// Flags of examples, each with a line that says what for.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// Of the control port.
    pub(super) paths: &'static [(&'static str, &'static str)],
}

const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "success; also a run that was ended before it was done (but --require-complete)"),
    ("1", "data violation; with --require-complete also what was not done completely"),
    ("2", "invalid arguments; nothing was produced and no file was touched"),
    ("3", "could not run, or could not go on: broker, topic, authorization, I/O"),
];

/// Help for `proofload` without a command.
pub(super) fn top() -> String {
    let names: Vec<_> = NAMES.iter().map(|(name, what)| (*name, *what)).collect();
    let mut text = TOP.to_owned();
    section(&mut text, "Topics (proofload help TOPIC)", &names);
    text
}

/// Help for a program, which the user calls `shown`.
pub(super) fn program(command: &Command, shown: &str, words: &Words) -> String {
    let mut text = String::new();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    paragraph(&mut text, 0, &format!("{about}."));
    // Writing to a string cannot fail.
    let _ = write!(text, "\nUsage: {shown} {}\n\n", words.usage);
    paragraph(&mut text, 0, GO_FLAGS);
    let mut heading = None;
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            let _ = write!(text, "\n{}\n", heading.unwrap_or("Other"));
        }
        entry(&mut text, &flag(arg), &explanation(arg), EXPLAINED_AT);
    }
    text += &behind_flags(shown, words);
    let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
    text.push('\n');
    paragraph(&mut text, 0, &format!("More: {shown} help TOPIC, with one of {}.", names.join(", ")));
    text
}

/// What stands behind the flags: examples, exit codes, and the paths of the control port.
pub(super) fn behind_flags(shown: &str, words: &Words) -> String {
    let mut text = String::new();
    text.push_str("\nExamples\n");
    for (flags, what) in words.examples {
        paragraph(&mut text, 2, &format!("# {what}"));
        example(&mut text, shown, flags);
    }
    section(&mut text, &format!("Exit codes ({shown} help verdicts)"), EXIT_CODES);
    if !words.paths.is_empty() {
        section(&mut text, "Control port: curl -X PUT localhost:7884/PATH (help control-port)", words.paths);
    }
    text
}

fn section(text: &mut String, title: &str, entries: &[(&str, &str)]) {
    let widest = entries.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let _ = write!(text, "\n{title}\n");
    for (name, what) in entries {
        entry(text, name, what, widest + 4);
    }
}

/// `--msg_size BYTES`, `-X KEY=VALUE`, `--seq_read`.
fn flag(arg: &Arg) -> String {
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) if long.chars().count() > 1 => format!("--{long}"),
        (_, Some(short)) => format!("-{short}"),
        (long, None) => format!("-{}", long.unwrap_or_default()),
    };
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return name;
    }
    let value = arg.get_value_names().and_then(<[_]>::first).map_or("VALUE", |value| value.as_str());
    if arg.is_require_equals_set() { format!("{name}[={value}]") } else { format!("{name} {value}") }
}

fn explanation(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let default = arg.get_default_values().first().and_then(|value| value.to_str()).unwrap_or_default();
    let is_shown = !matches!(arg.get_action(), ArgAction::SetTrue) && !arg.is_hide_default_value_set();
    if is_shown && !default.is_empty() {
        // In one piece, when the line is broken.
        let _ = write!(text, " [default:{NO_BREAK}{default}]");
    }
    text
}

/// A name, and what it means beside it; below it where the name is too long for that.
fn entry(text: &mut String, name: &str, what: &str, at: usize) {
    let mut lines = broken(what, WIDTH - at).into_iter();
    let width = 2 + name.chars().count();
    let _ = write!(text, "  {name}");
    if width + 2 <= at {
        let _ = write!(text, "{}{}", " ".repeat(at - width), lines.next().unwrap_or_default());
    }
    text.push('\n');
    for line in lines {
        let _ = writeln!(text, "{}{line}", " ".repeat(at));
    }
}

fn paragraph(text: &mut String, indent: usize, words: &str) {
    for line in broken(words, WIDTH - indent) {
        let _ = writeln!(text, "{}{line}", " ".repeat(indent));
    }
}

/// A command line that may be copied: broken before flags, with a backslash.
fn example(text: &mut String, shown: &str, flags: &str) {
    let mut line = format!("  {shown}");
    let mut rest = flags;
    while !rest.is_empty() {
        // A flag with its value.
        let end = rest[1..].find(" -").map_or(rest.len(), |end| end + 1);
        let (piece, after) = rest.split_at(end);
        if line.len() + 1 + piece.len() + 2 > WIDTH {
            let _ = writeln!(text, "{line} \\");
            " ".repeat(5).clone_into(&mut line);
        }
        let _ = write!(line, " {piece}");
        rest = after.trim_start();
    }
    let _ = writeln!(text, "{line}");
}

/// In lines of at most so many columns.
fn broken(words: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.into_iter().map(|line| line.replace(NO_BREAK, " ")).collect()
}

pub(super) const VERIFIER: Words = Words {
    usage: "--topic TOPIC WORK... [FLAGS]",
    examples: &[
        (
            "--brokers embedded --topic demo --msg_size 256 --produce_msgs 100000 --rand_read_msgs 20 --seq_read",
            "Try it without a cluster: the embedded one is a mock",
        ),
        (
            "--brokers $BROKERS --topic t --create-topic --produce_msgs 10000 --seq_read",
            "Produce 10,000 records to a new topic, and check that all of them are there",
        ),
        (
            "--brokers $BROKERS --topic t --seq_read --loop --rand_read_msgs 100 --remote --remote-port 7885",
            "Read it beside the producer, in the same directory, until PUT /last_pass",
        ),
        (
            "--brokers $BROKERS --topic t --produce_msgs 1000000000 --produce-throughput-bps 5000000 --duration 20s",
            "Produce 5 MB a second for 20 s",
        ),
        (
            "--brokers $BROKERS --topic t --create-topic --produce_msgs 10000 --seq_read --require-complete \
             --ledger-dir . --max-outage 60s --deadline 10m --report report.json",
            "A CI job: code 0 only when all was done and proven, and an end in any case",
        ),
        (
            "--brokers $BROKERS --topic t --produce_msgs 10000 --seq_read --use-transactions \
             --msgs-per-transaction 10 --transaction-abort-rate 0.2",
            "Transactions of ten records, one in five of them aborted",
        ),
        (
            "--brokers $BROKERS --topic t --seq_read --enable-tls --tls-ca ca.pem --username joe \
             --password-file password.txt",
            "TLS and SCRAM-SHA-256",
        ),
    ],
    paths: &[
        ("/status", "one JSON object for each worker"),
        ("/v1/status", "phase, rates, verdict so far"),
        ("/metrics", "counters, gauges and latencies for Prometheus"),
        ("/last_pass", "end after this pass of --loop, or at the end with --continuous"),
        ("/shutdown", "end; the process is gone within 10 s"),
        ("/reset", "zero the counters"),
        ("/print_stack", "print the state of all threads to stdout"),
    ],
};

pub(super) const COMPARE: Words = Words {
    usage: "OLD.json NEW.json... [FLAGS]",
    examples: &[
        ("old.json new.json", "Two runs of proofload bench --output"),
        (
            "old1.json,old2.json new1.json,new2.json",
            "Several of each side: how much runs differ is known then",
        ),
        (
            "old.json new.json --fail-on 'p99>+10%' --fail-on 'rate<-5%'",
            "A gate: exit code 1 where one of these holds",
        ),
        ("old.json new.json --html both.html", "A page with charts"),
    ],
    paths: &[],
};

pub(super) const LEDGER: Words = Words {
    usage: "merge FILES... [FLAGS]",
    examples: &[
        (
            "merge slices/valid_offsets_t.slice-*.json",
            "Of all slices of topic t, in the working directory: valid_offsets_t.json",
        ),
        (
            "merge {a,b}/valid_offsets_t.slice-*.json --ledger-dir all",
            "From the folders of two machines into a third",
        ),
    ],
    paths: &[],
};

pub(super) const DOCTOR: Words = Words {
    usage: "[--brokers HOST:PORT,... [--topic TOPIC]] [FLAGS]",
    examples: &[
        ("", "This machine: kernel, io_uring, limits, cores, clock"),
        (
            "--brokers $BROKERS --topic t --enable-tls --username joe --password-file password.txt",
            "And the cluster: who can be reached, the topic, what we may do with it",
        ),
    ],
    paths: &[],
};

pub(super) const REPEATER: Words = Words {
    usage: "--topic TOPIC,... --group NAME [FLAGS]",
    examples: &[
        (
            "--brokers $BROKERS --topic echo --create-topic --group g --workers 4",
            "One process: it produces when all four members have joined, until SIGINT",
        ),
        (
            "--brokers $BROKERS --topic echo --group g --workers 4 --remote --remote-port 7885",
            "One of several: each joins the group, and produces after PUT /activate",
        ),
        (
            "--brokers $BROKERS --topic echo --group g --use-transactions --transaction-abort-rate 0.1",
            "Transactions that also commit the consumed offsets, one in ten aborted",
        ),
    ],
    paths: &[
        ("/status", "one JSON object for each worker"),
        ("/v1/status", "phase, rates, verdict so far"),
        ("/metrics", "counters, gauges and latencies for Prometheus"),
        ("/activate", "start producing (with --remote)"),
        ("/shutdown", "end; the process is gone within 10 s"),
        ("/reset", "zero the counters"),
        ("/print_stack", "print the state of all threads to stdout"),
    ],
};

pub(super) const BENCH: Words = Words {
    usage: "[--rate RATE] [FLAGS]",
    examples: &[
        (
            "--brokers $BROKERS --topic t --msg_size 1024 --rate 50k --output result.json",
            "50,000 records a second for a minute: latencies, and the proof",
        ),
        (
            "--brokers $BROKERS --topic t --msg_size 1024 --rate max --duration 30s",
            "As fast as acks come: what the cluster takes, and who held it back",
        ),
        (
            "--brokers $BROKERS --topic t --msg_size 1024 --find-rate --slo p99=20ms",
            "The highest rate at which 99% of acks come within 20 ms",
        ),
        (
            "--brokers $BROKERS --topic t --msg_size 1024 --rate 50k --html run.html --hdr run.hdr",
            "A page with charts, and an interval log for HdrHistogram's tools",
        ),
    ],
    paths: &[
        ("/", "in a browser, the run as it goes"),
        ("/status", "one JSON object for each worker"),
        ("/v1/status", "phase, rates, verdict so far"),
        ("/metrics", "counters, gauges and latencies for Prometheus"),
        ("/shutdown", "end; the process is gone within 10 s"),
        ("/print_stack", "print the state of all threads to stdout"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_has_its_explanation_below() {
        let mut text = String::new();
        entry(&mut text, "--a N", "one two", 10);
        entry(&mut text, "--long-name N", "one two", 10);
        assert_eq!(text, "  --a N   one two\n  --long-name N\n          one two\n");
        assert_eq!(broken("one [default:\u{a0}2]", 13), ["one", "[default: 2]"]);
    }

    #[test]
    fn an_example_breaks_before_a_flag() {
        let mut text = String::new();
        let flag = "--flag-of-thirty-columns value";
        example(&mut text, "kgo", &format!("{flag} {flag} {flag} -X a=b"));
        assert_eq!(text, format!("  kgo {flag} {flag} \\\n      {flag} -X a=b\n"));
    }
}
