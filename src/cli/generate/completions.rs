//! Completions for shells. They are our own: flags have one dash or two here, as in Go, and what clap's crate for this writes
//! knows of none with a name and one dash.

use std::{ffi::OsString, fmt::Write};

use clap::{Arg, ArgAction, Command};

use super::Described;
use crate::cli::{UsageError, go_flags, strict, usage_error};

/// What may follow a flag.
#[derive(Debug, PartialEq, Eq)]
enum Values {
    /// Nothing: it is on or off.
    None,
    /// One of these words.
    Words(Vec<String>),
    /// A file or a folder.
    Path,
    /// Anything else.
    Any,
}

struct Flag<'a> {
    name: &'a str,
    help: String,
    value_name: &'a str,
    values: Values,
    is_repeatable: bool,
}

fn flags(command: &Command) -> Vec<Flag<'_>> {
    command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| {
            let value_name = arg.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
            Some(Flag {
                name: arg.get_long()?,
                help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
                value_name,
                values: values(command, arg, value_name),
                is_repeatable: matches!(arg.get_action(), ArgAction::Append),
            })
        })
        .collect()
}

fn values(command: &Command, arg: &Arg, value_name: &str) -> Values {
    if go_flags::is_boolean(arg) {
        return Values::None;
    }
    if ["FILE", "DIR"].contains(&value_name) {
        return Values::Path;
    }
    // Whoever is given what cannot be says what can.
    let impossible = format!("--{}=\u{1}", arg.get_long().unwrap_or_default());
    let refused = strict(command.clone()).try_get_matches_from([OsString::from(impossible)]);
    let accepts = match refused.map_err(|error| usage_error(&error)) {
        Err(UsageError::Value { accepts, .. }) => accepts.to_string(),
        _ => String::new(),
    };
    match accepts.strip_prefix("accepts one of: ") {
        Some(words) => Values::Words(words.split(", ").map(str::to_owned).collect()),
        None => Values::Any,
    }
}

/// For bash.
pub(super) fn bash(commands: &[Described]) -> String {
    let (mut flag_lists, mut values, mut links) = (String::new(), String::new(), String::new());
    let mut names = vec!["proofload"];
    for Described { name, link, command, .. } in commands {
        let flags = flags(command);
        let list: Vec<_> = flags.iter().map(|flag| flag.name).collect();
        let _ = writeln!(flag_lists, "        {name}) flags='{}' ;;", list.join(" "));
        for flag in &flags {
            let words = match &flag.values {
                Values::None => continue,
                Values::Words(words) => {
                    format!("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", words.join(" "))
                }
                Values::Path => "COMPREPLY=($(compgen -f -- \"$cur\"))".to_owned(),
                Values::Any => "COMPREPLY=()".to_owned(),
            };
            let _ = writeln!(values, "        {name}:-{0} | {name}:--{0}) {words}; return ;;", flag.name);
        }
        if let Some(link) = link {
            names.push(link);
            let _ = writeln!(links, "        {link}) command={name} ;;");
        }
    }
    let all: Vec<_> = commands.iter().map(|command| command.name).chain(["help"]).collect();
    let (all, names) = (all.join(" "), names.join(" "));
    format!(
        r#"# Completions of proofload for bash. Made by: proofload generate proofload.bash
_proofload() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} command flags=''
    case ${{COMP_WORDS[0]##*/}} in
{links}        *)
            command=${{COMP_WORDS[1]}}
            if ((COMP_CWORD == 1)); then
                COMPREPLY=($(compgen -W '{all}' -- "$cur"))
                return
            fi
            ;;
    esac
    case $command:${{COMP_WORDS[COMP_CWORD - 1]}} in
{values}    esac
    case $command in
{flag_lists}    esac
    case $cur in
        --*) COMPREPLY=($(compgen -P -- -W "$flags" -- "${{cur#--}}")) ;;
        *) COMPREPLY=($(compgen -P - -W "$flags" -- "${{cur#-}}")) ;;
    esac
}}
complete -o filenames -F _proofload {names}
"#
    )
}

/// For zsh.
pub(super) fn zsh(commands: &[Described]) -> String {
    let (mut functions, mut cases, mut described) = (String::new(), String::new(), String::new());
    let mut names = vec!["proofload"];
    for Described { name, link, command, .. } in commands {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(described, "        '{name}:{}'", zsh_quoted(&about));
        let _ = writeln!(functions, "_proofload_{name}() {{\n    _arguments \\");
        let flags = flags(command);
        for flag in &flags {
            let Flag { name, value_name, .. } = flag;
            let help = zsh_quoted(&flag.help);
            let value = match &flag.values {
                Values::None => String::new(),
                Values::Words(words) => format!(":{}:({})", zsh_quoted(value_name), words.join(" ")),
                Values::Path => format!(":{}:_files", zsh_quoted(value_name)),
                Values::Any => format!(":{}: ", zsh_quoted(value_name)),
            };
            let spec = if flag.is_repeatable {
                format!("'*'{{-{name},--{name}}}'[{help}]{value}'")
            } else {
                format!("'(-{name} --{name})'{{-{name},--{name}}}'[{help}]{value}'")
            };
            let _ = writeln!(functions, "        {spec} \\");
        }
        functions.push_str("        && return 0\n}\n\n");
        if let Some(link) = link {
            names.push(link);
            let _ = writeln!(cases, "        {link}) _proofload_{name}; return ;;");
        }
    }
    format!(
        r#"#compdef {names}
# Completions of proofload for zsh. Made by: proofload generate _proofload

{functions}_proofload() {{
    local -a commands=(
{described}        'help:A longer text on a topic'
    )
    case $service in
{cases}    esac
    if ((CURRENT == 2)); then
        _describe command commands
        return
    fi
    shift words
    ((CURRENT--))
    (( $+functions[_proofload_$words[1]] )) && _proofload_$words[1]
}}

_proofload "$@"
"#,
        names = names.join(" ")
    )
}

/// A text within a specification of zsh's, between single quotes.
fn zsh_quoted(text: &str) -> String {
    let mut quoted = String::new();
    for letter in text.chars() {
        match letter {
            '\'' => quoted.push_str(r"'\''"),
            '[' | ']' | ':' | '\\' => quoted.extend(['\\', letter]),
            _ => quoted.push(letter),
        }
    }
    quoted
}

/// For fish.
pub(super) fn fish(commands: &[Described]) -> String {
    let mut text =
        "# Completions of proofload for fish. Made by: proofload generate proofload.fish\n".to_owned();
    for Described { name, command, .. } in commands {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(
            text,
            "complete -c proofload -f -n __fish_use_subcommand -a {name} -d '{}'",
            fish_quoted(&about)
        );
    }
    for Described { name, link, command, .. } in commands {
        for flag in flags(command) {
            let values = match &flag.values {
                Values::None => String::new(),
                Values::Words(words) => format!(" -x -a '{}'", words.join(" ")),
                Values::Path => " -r -F".to_owned(),
                Values::Any => " -x".to_owned(),
            };
            let dashes = if flag.name.len() == 1 { "-s" } else { "-l" };
            let both = format!("-o {0} {dashes} {0}", flag.name);
            let both = if flag.name.len() == 1 { format!("-s {}", flag.name) } else { both };
            let rest = format!("{both}{values} -d '{}'", fish_quoted(&flag.help));
            let _ = writeln!(text, "complete -c proofload -n '__fish_seen_subcommand_from {name}' {rest}");
            if let Some(link) = link {
                let _ = writeln!(text, "complete -c {link} {rest}");
            }
        }
    }
    text
}

/// A text between fish's single quotes.
fn fish_quoted(text: &str) -> String {
    text.replace('\\', r"\\").replace('\'', r"\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_that_a_flag_takes() {
        let commands = super::super::commands();
        let flags = flags(&commands[0].command);
        let of = |name: &str| &flags.iter().find(|flag| flag.name == name).expect(name).values;
        let words = |words: &[&str]| Values::Words(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(*of("compression-type"), words(&["none", "gzip", "snappy", "lz4", "zstd", "mixed"]));
        assert_eq!(*of("status-schema"), words(&["v1", "v2"]));
        assert_eq!(*of("report"), Values::Path);
        assert_eq!(*of("seq_read"), Values::None);
        assert_eq!(*of("proof-header"), Values::None);
        assert_eq!(*of("topic"), Values::Any);
        assert_eq!(*of("linger"), Values::Any);
    }

    #[test]
    fn what_means_something_to_a_shell_is_quoted() {
        assert_eq!(zsh_quoted("it's [a]: b"), r"it'\''s \[a\]\: b");
        assert_eq!(fish_quoted(r"it's \"), r"it\'s \\");
    }
}
