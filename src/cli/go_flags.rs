//! From the syntax of Go's `flag` package to what clap takes. The scripts that
//! we inherit write `-topic t`, `--seq_read=1` and `--seq_read_msgs -1`; clap
//! reads each of these differently. Everything leaves here as `--name=value`.

use std::{any::TypeId, ffi::OsString};

use clap::{Arg, ArgAction, Command};
use strsim::levenshtein;

use super::error::{Dashed, OneLine};

/// What the words ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Normalised {
    /// `-h`, `-help`, `--help`.
    Help,
    /// `-version`, `--version`, `-V`.
    Version,
    /// `--name=value`, each name once unless it is repeatable.
    Words(Vec<String>),
}

/// Words that are not flags and values.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlagError {
    /// No flag takes anything but UTF-8.
    #[error("{}: accepts UTF-8 only", OneLine(.0))]
    NotUtf8(String),
    /// Nobody defined it.
    #[error("{}: no such flag{hint}; see --help", Dashed(.flag))]
    Unknown {
        /// Name without dashes.
        flag: String,
        /// The nearest name, if one is near.
        hint: String,
    },
    /// A dash and nothing to go with it.
    #[error("{}: not a flag: accepts -name, -name=value and -name value", OneLine(.0))]
    BadSyntax(String),
    /// A word that no flag takes.
    #[error("{}: a word without a flag{hint}; see --help", OneLine(.word))]
    Stray {
        /// As it was given.
        word: String,
        /// The likely reason.
        hint: String,
    },
    /// A flag at the end of the line.
    #[error("{}: needs a value: accepts {accepts}", Dashed(.flag))]
    NoValue {
        /// Name without dashes.
        flag: String,
        /// The name of the value.
        accepts: String,
    },
}

/// Reads `words` (without the program's own name) as Go would, by `command`'s definitions.
///
/// Empty words between flags are skipped, since harnesses split at single spaces. For the same
/// reason an empty word after a flag is skipped if a word follows that could only be its value.
pub(super) fn normalise(
    command: &Command,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Normalised, FlagError> {
    let words = words.into_iter().map(utf8).collect::<Result<Vec<_>, _>>()?;
    let mut given = Given::default();
    let mut boolean_before = None;
    let mut rest = words.as_slice();
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        if word.is_empty() {
            continue;
        }
        let (name, value) = split_flag(word, boolean_before)?;
        match name {
            "h" | "help" => return Ok(Normalised::Help),
            "V" | "version" => return Ok(Normalised::Version),
            _ => {}
        }
        let arg = find(command, name)?;
        let boolean = is_boolean(arg);
        let value = match value {
            Some(value) => value.to_owned(),
            None if boolean => "true".to_owned(),
            None => take_value(arg, name, &mut rest)?,
        };
        boolean_before = boolean.then_some(name);
        given.add(name, value, matches!(arg.get_action(), ArgAction::Append));
    }
    Ok(Normalised::Words(given.into_words()))
}

/// Whether a flag may stand without a value.
pub(super) fn is_boolean(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue) || arg.get_value_parser().type_id() == TypeId::of::<bool>()
}

fn utf8(word: OsString) -> Result<String, FlagError> {
    word.into_string().map_err(|word| {
        let text = word.to_string_lossy();
        // A value may be a secret.
        let shown =
            text.split_once('=').map_or_else(|| text.clone().into_owned(), |(name, _)| format!("{name}=…"));
        FlagError::NotUtf8(shown)
    })
}

/// Name and attached value of a word that must be a flag.
fn split_flag<'a>(
    word: &'a str,
    boolean_before: Option<&str>,
) -> Result<(&'a str, Option<&'a str>), FlagError> {
    let Some(flag) = word.strip_prefix('-') else {
        let hint = boolean_before
            .map(|name| format!(" ({} takes its value after '=')", Dashed(name)))
            .unwrap_or_default();
        return Err(FlagError::Stray { word: word.to_owned(), hint });
    };
    let flag = flag.strip_prefix('-').unwrap_or(flag);
    if flag.is_empty() || flag.starts_with(['-', '=']) {
        return Err(FlagError::BadSyntax(word.to_owned()));
    }
    Ok(match flag.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (flag, None),
    })
}

fn find<'a>(command: &'a Command, name: &str) -> Result<&'a Arg, FlagError> {
    command.get_arguments().find(|arg| arg.get_long() == Some(name)).ok_or_else(|| {
        let near =
            command.get_arguments().filter_map(Arg::get_long).min_by_key(|known| levenshtein(known, name));
        let hint = near
            .filter(|known| levenshtein(known, name) <= 2)
            .map(|known| format!(": did you mean {}?", Dashed(known)))
            .unwrap_or_default();
        FlagError::Unknown { flag: name.to_owned(), hint }
    })
}

/// The next word, whatever it looks like.
fn take_value(arg: &Arg, name: &str, rest: &mut &[String]) -> Result<String, FlagError> {
    let spaces = rest.iter().take_while(|word| word.is_empty()).count();
    let skip = match rest.get(spaces) {
        // No flag begins with a digit, but a negative number does behind its dash.
        Some(word) if !word.starts_with('-') || word[1..].starts_with(|c: char| c.is_ascii_digit()) => spaces,
        _ => 0,
    };
    let Some((value, after)) = rest[skip..].split_first() else {
        let accepts = arg.get_value_names().and_then(<[_]>::first).map(ToString::to_string);
        return Err(FlagError::NoValue {
            flag: name.to_owned(),
            accepts: accepts.unwrap_or_else(|| "a word".to_owned()),
        });
    };
    *rest = after;
    Ok(value.clone())
}

/// What was given so far, in order.
#[derive(Default)]
struct Given(Vec<(String, String)>);

impl Given {
    /// Go keeps the last value of a flag that is given twice.
    fn add(&mut self, name: &str, value: String, repeatable: bool) {
        if !repeatable {
            self.0.retain(|(known, _)| known != name);
        }
        self.0.push((name.to_owned(), value));
    }

    fn into_words(self) -> Vec<String> {
        self.0.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command::new("test")
            .arg(Arg::new("topic").long("topic").value_name("TOPIC"))
            .arg(Arg::new("msg_size").long("msg_size").value_name("BYTES"))
            .arg(Arg::new("seq_read").long("seq_read").action(ArgAction::SetTrue))
            .arg(Arg::new("proof-header").long("proof-header").value_parser(super::super::values::go_bool))
            .arg(Arg::new("X").long("X").short('X').action(ArgAction::Append))
    }

    fn run(words: &[&str]) -> Result<Normalised, FlagError> {
        normalise(&command(), words.iter().map(OsString::from))
    }

    fn words(words: &[&str]) -> Vec<String> {
        match run(words) {
            Ok(Normalised::Words(words)) => words,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    fn error(words: &[&str]) -> String {
        run(words).expect_err(&format!("{words:?}")).to_string()
    }

    #[test]
    fn all_spellings_become_one() {
        for spelling in
            [&["-topic", "t"][..], &["--topic", "t"], &["-topic=t"], &["--topic=t"], &["", "-topic", "t", ""]]
        {
            assert_eq!(words(spelling), ["--topic=t"], "{spelling:?}");
        }
        assert_eq!(words(&["-topic=a=b"]), ["--topic=a=b"]);
        assert_eq!(words(&["-topic="]), ["--topic="]);
        assert_eq!(words(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_value_may_look_like_a_flag() {
        assert_eq!(words(&["--msg_size", "-1"]), ["--msg_size=-1"]);
        assert_eq!(words(&["--topic", "--topic"]), ["--topic=--topic"]);
        assert_eq!(words(&["--topic", "--help"]), ["--topic=--help"]);
        assert_eq!(words(&["--topic", "--"]), ["--topic=--"]);
    }

    #[test]
    fn booleans_take_no_word() {
        assert_eq!(words(&["-seq_read", "-topic", "t"]), ["--seq_read=true", "--topic=t"]);
        assert_eq!(words(&["--seq_read=0"]), ["--seq_read=0"]);
        assert_eq!(words(&["--proof-header"]), ["--proof-header=true"]);
        assert_eq!(
            error(&["--seq_read", "false"]),
            "false: a word without a flag (--seq_read takes its value after '='); see --help"
        );
    }

    #[test]
    fn the_last_wins_unless_repeatable() {
        assert_eq!(words(&["-topic", "a", "-seq_read", "--topic=b"]), ["--seq_read=true", "--topic=b"]);
        assert_eq!(words(&["-seq_read", "-seq_read=false"]), ["--seq_read=false"]);
        assert_eq!(words(&["-X", "a=1", "--X=b=2", "-X=a=3"]), ["--X=a=1", "--X=b=2", "--X=a=3"]);
    }

    #[test]
    fn words_split_at_single_spaces() {
        let line = "  --topic  t  --msg_size   5   --seq_read  ";
        let split: Vec<&str> = line.split(' ').collect();
        assert_eq!(words(&split), ["--topic=t", "--msg_size=5", "--seq_read=true"]);
        assert_eq!(
            words(&["--topic", "", "--seq_read"]),
            ["--topic=", "--seq_read=true"],
            "an empty value is one"
        );
        assert_eq!(words(&["--topic", ""]), ["--topic="]);
        assert_eq!(
            words(&["--msg_size", "", "", "-1", "", "-seq_read"]),
            ["--msg_size=-1", "--seq_read=true"]
        );
    }

    #[test]
    fn help_and_version() {
        for word in ["-h", "--h", "-help", "--help"] {
            assert_eq!(run(&["--topic", "t", word, "junk"]), Ok(Normalised::Help), "{word}");
        }
        for word in ["-version", "--version", "-V"] {
            assert_eq!(run(&[word]), Ok(Normalised::Version), "{word}");
        }
    }

    #[test]
    fn errors_name_the_word() {
        assert_eq!(error(&["--tpic", "t"]), "--tpic: no such flag: did you mean --topic?; see --help");
        assert_eq!(
            error(&["--msg-size", "5"]),
            "--msg-size: no such flag: did you mean --msg_size?; see --help"
        );
        assert_eq!(error(&["--frobnicate=1"]), "--frobnicate: no such flag; see --help");
        assert_eq!(error(&["-topic", "t", "junk"]), "junk: a word without a flag; see --help");
        assert_eq!(error(&["--msg_size"]), "--msg_size: needs a value: accepts BYTES");
        for word in ["-", "--", "---topic", "-=", "--=1"] {
            assert!(error(&[word]).contains("not a flag"), "{word}");
        }
    }

    #[test]
    fn not_utf8() {
        use std::os::unix::ffi::OsStringExt as _;
        let found = normalise(&command(), [OsString::from_vec(b"-topic=\xff".to_vec())]);
        assert_eq!(found.unwrap_err().to_string(), "-topic=…: accepts UTF-8 only");
    }
}
