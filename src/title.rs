//! Keeping the password out of the process list.
//!
//! Whoever may list processes sees their arguments, but only their owner sees the
//! environment. So a password that came as an argument moves there, and the process
//! starts over with the same id.

use std::{env, ffi::OsString, os::unix::process::CommandExt, process::Command};

use crate::cli::PASSWORD_VARIABLE;

/// Starts this process over without the password among its arguments, if one is there.
pub(crate) fn hide_password() {
    let mut arguments = env::args_os();
    let Some(name) = arguments.next() else { return };
    let (rest, Some(password)) = split(arguments) else { return };
    let Ok(program) = env::current_exe() else { return };
    // `exec` returns only when it failed; then the run goes on as it was started, title and all.
    let _ = Command::new(program).arg0(name).args(rest).env(PASSWORD_VARIABLE, password).exec();
}

/// The arguments without `-password`, and its last value if that is not empty.
fn split(mut arguments: impl Iterator<Item = OsString>) -> (Vec<OsString>, Option<String>) {
    let (mut rest, mut password) = (Vec::new(), None);
    while let Some(word) = arguments.next() {
        let flag = word.to_str().and_then(|word| word.strip_prefix('-'));
        match flag.map(|flag| flag.strip_prefix('-').unwrap_or(flag)) {
            Some("password") => match arguments.next().map(OsString::into_string) {
                Some(Ok(value)) => password = Some(value),
                // No value, or one that is no text: for the parser to refuse.
                other => rest.extend([Some(word), other.and_then(Result::err)].into_iter().flatten()),
            },
            Some(flag) if flag.starts_with("password=") => {
                password = Some(flag["password=".len()..].to_owned());
            }
            _ => rest.push(word),
        }
    }
    (rest, password.filter(|password| !password.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, rest: &str, password: Option<&str>) {
        let found = split(line.split(' ').map(OsString::from));
        let words: Vec<OsString> = rest.split(' ').map(OsString::from).collect();
        assert_eq!(found, (words, password.map(str::to_owned)), "{line}");
    }

    #[test]
    fn password_is_taken_out_in_all_its_spellings() {
        check("--topic t -password hunter2 --seq_read", "--topic t --seq_read", Some("hunter2"));
        check("--topic t --password=a=b", "--topic t", Some("a=b"));
        check("--topic t --password first -password=last", "--topic t", Some("last"));
    }

    #[test]
    fn other_arguments_stay_as_they_are() {
        check("--topic t --password-file f password x", "--topic t --password-file f password x", None);
        check("--topic t --password", "--topic t --password", None);
        check("--topic t --password=", "--topic t", None);
    }
}
