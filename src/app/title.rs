//! Keeping secrets out of the process list.
//!
//! Whoever may list processes sees their arguments, but only their owner sees the
//! environment. So what came as an argument and must not be seen moves there, and the
//! process starts over with the same id.

use std::{env, ffi::OsString, fs, os::unix::process::CommandExt, path::Path, process::Command};

use crate::{
    cli::{PASSWORD_VARIABLE, SETTINGS_SEPARATOR, SETTINGS_VARIABLE},
    config,
};

/// The name that this process was called by, which is also what it is to be known by: the system knows it by that of
/// the file, once it was started over, and `pkill -x` and the like go by what the system knows.
pub(crate) fn take_name() -> Option<String> {
    let called = env::args_os().next()?;
    let name = Path::new(&called).file_name()?.to_str()?.to_owned();
    // What does not work changes nothing but the name in process lists.
    let _ = fs::write("/proc/self/comm", &name);
    Some(name)
}

/// Starts this process over without the secrets among its arguments, if there are any.
pub(crate) fn hide_secrets() {
    let mut arguments = env::args_os();
    let Some(name) = arguments.next() else { return };
    let Split { rest, password, settings } = split(arguments);
    if password.is_none() && settings.is_empty() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut command = Command::new(program);
    command.arg0(name).args(rest);
    if let Some(password) = password {
        command.env(PASSWORD_VARIABLE, password);
    }
    if !settings.is_empty() {
        command.env(SETTINGS_VARIABLE, settings.join(SETTINGS_SEPARATOR));
    }
    // `exec` returns only when it failed; then the run goes on as it was started, title and all.
    let _ = command.exec();
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Split {
    /// The arguments that anybody may see.
    rest: Vec<OsString>,
    /// The last value of `-password` that is not empty.
    password: Option<String>,
    /// Values of `-X` whose key says that they are secret.
    settings: Vec<String>,
}

fn split(mut arguments: impl Iterator<Item = OsString>) -> Split {
    let mut split = Split::default();
    while let Some(word) = arguments.next() {
        let flag = word.to_str().and_then(|word| word.strip_prefix('-'));
        let flag = flag.map(|flag| flag.strip_prefix('-').unwrap_or(flag));
        match flag.map(|flag| flag.split_once('=').unwrap_or((flag, ""))) {
            Some((name @ ("password" | "X"), value)) => {
                let is_attached = flag.is_some_and(|flag| flag.contains('='));
                let value = if is_attached { Some(value.into()) } else { arguments.next() };
                let value = value.map(OsString::into_string);
                split.take(name == "password", word.clone(), is_attached, value);
            }
            _ => split.rest.push(word),
        }
    }
    split.password = split.password.filter(|password| !password.is_empty());
    split
}

fn is_secret(setting: &str) -> bool {
    let key = setting.split_once('=').map(|(key, _)| key);
    // What would not come out of the environment as it went in stays where it is.
    key.is_some_and(config::is_secret) && !setting.contains(SETTINGS_SEPARATOR)
}

impl Split {
    /// What has no value, or one that is no text, is for the parser to refuse.
    fn take(
        &mut self,
        is_password: bool,
        word: OsString,
        is_attached: bool,
        value: Option<Result<String, OsString>>,
    ) {
        match value {
            Some(Ok(value)) if is_password => self.password = Some(value),
            Some(Ok(setting)) if is_secret(&setting) => self.settings.push(setting),
            value => {
                self.rest.push(word);
                let value = value.map(|value| value.map_or_else(|bytes| bytes, OsString::from));
                self.rest.extend(value.filter(|_| !is_attached));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn check(line: &str, rest: &str, password: Option<&str>, settings: &[&str]) {
        let expected = Split {
            rest: words(rest),
            password: password.map(str::to_owned),
            settings: settings.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(split(words(line).into_iter()), expected, "{line}");
    }

    #[test]
    fn password_is_taken_out_in_all_its_spellings() {
        check("--topic t -password hunter2 --seq_read", "--topic t --seq_read", Some("hunter2"), &[]);
        check("--topic t --password=a=b", "--topic t", Some("a=b"), &[]);
        check("--topic t --password first -password=last", "--topic t", Some("last"), &[]);
    }

    #[test]
    fn secret_settings_are_taken_out_in_all_their_spellings() {
        let line = "--topic t -X sasl.password=a -X client.rack=r --X=ssl.key.password=b=c -X=linger.ms=5";
        let secrets = ["sasl.password=a", "ssl.key.password=b=c"];
        check(line, "--topic t -X client.rack=r -X=linger.ms=5", None, &secrets);
    }

    #[test]
    fn other_arguments_stay_as_they_are() {
        for line in ["--topic t --password-file f password x", "--topic t --password", "-X novalue -X"] {
            check(line, line, None, &[]);
        }
        check("--topic t --password=", "--topic t", None, &[]);
    }
}
