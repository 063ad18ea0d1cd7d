//! How the brokers are reached: security, and librdkafka settings of the user's own.

use std::{env, fs, path::Path};

use super::super::{
    PASSWORD_VARIABLE, SETTINGS_SEPARATOR, SETTINGS_VARIABLE,
    common::{ClusterArgs, SecurityArgs},
    error::UsageError,
    values::key_value,
};
use crate::config::{Sasl, Secret, Security, Tls};

/// What is spoken without a word about it.
const DEFAULT_MECHANISM: &str = "SCRAM-SHA-256";

pub(super) fn security(args: &SecurityArgs) -> Result<Security, UsageError> {
    let password = password(args)?;
    let bearer = args.sasl_mechanism == "OAUTHBEARER";
    if bearer {
        check_token(args, &password)?;
    } else if !args.username.is_empty() && password.reveal().is_empty() {
        let why = format!("needs a password, from --password-file, {PASSWORD_VARIABLE} or --password");
        return Err(UsageError::flag("username", why));
    }
    let idle = [
        ("password-file", args.password_file.is_some()),
        ("sasl-mechanism", args.sasl_mechanism != DEFAULT_MECHANISM),
    ];
    if let Some((flag, _)) = idle.into_iter().find(|(_, given)| *given && args.username.is_empty()) {
        return Err(UsageError::flag(flag, "needs --username NAME as well"));
    }
    let sasl = (!args.username.is_empty()).then(|| Sasl {
        mechanism: args.sasl_mechanism,
        username: args.username.clone(),
        password,
        token_file: args.password_file.clone().filter(|_| bearer),
    });
    Ok(Security { sasl, tls: tls(args)? })
}

fn password(args: &SecurityArgs) -> Result<Secret, UsageError> {
    match (&args.password_file, args.password.as_str()) {
        (Some(_), given) if !given.is_empty() => {
            Err(UsageError::flag("password-file", "cannot be used with --password: give one of them"))
        }
        (Some(file), _) => secret("password-file", file),
        (None, "") => Ok(Secret::new(env::var(PASSWORD_VARIABLE).unwrap_or_default())),
        (None, given) => Ok(Secret::new(given.to_owned())),
    }
}

/// A bearer token is what fits into the header that it was made for (RFC 6750, section 2.1). It is not shown.
fn check_token(args: &SecurityArgs, token: &Secret) -> Result<(), UsageError> {
    if args.username.is_empty() {
        let why = "OAUTHBEARER needs --username NAME, the principal, and a bearer token as its password";
        return Err(UsageError::flag("sasl-mechanism", why));
    }
    let text = token.reveal().trim_end_matches('=');
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
    if text.is_empty() || !text.chars().all(fits) {
        let flag = if args.password_file.is_some() { "password-file" } else { "password" };
        let why = format!(
            "OAUTHBEARER takes a bearer token (letters, digits and -._~+/, then =), from --password-file or {PASSWORD_VARIABLE}; \
             this is none"
        );
        return Err(UsageError::flag(flag, why));
    }
    Ok(())
}

/// A secret from a file; the line end that an editor leaves is no part of it.
pub(super) fn secret(flag: &'static str, file: &Path) -> Result<Secret, UsageError> {
    let text = read(flag, file)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(UsageError::value(flag, file.display(), "a file that is not empty"));
    }
    Ok(Secret::new(text.to_owned()))
}

fn tls(args: &SecurityArgs) -> Result<Option<Tls>, UsageError> {
    let own = match (&args.tls_cert, &args.tls_key) {
        (Some(_), None) => return Err(UsageError::flag("tls-cert", "needs --tls-key FILE as well")),
        (None, Some(_)) => return Err(UsageError::flag("tls-key", "needs --tls-cert FILE as well")),
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
    };
    let asked = [
        ("tls-ca", args.tls_ca.is_some()),
        ("tls-cert", own.is_some()),
        ("tls-skip-verify", args.tls_skip_verify),
    ];
    if let Some((flag, _)) = asked.into_iter().find(|(_, asked)| *asked && !args.enable_tls) {
        return Err(UsageError::flag(flag, "needs --enable-tls as well"));
    }
    for (flag, file) in [("tls-ca", &args.tls_ca), ("tls-cert", &args.tls_cert), ("tls-key", &args.tls_key)] {
        if let Some(file) = file {
            read(flag, file)?;
        }
    }
    let tls = Tls { ca: args.tls_ca.clone(), own, skip_verify: args.tls_skip_verify };
    Ok(args.enable_tls.then_some(tls))
}

/// The file's settings, then those of the command line: the last one wins.
pub(super) fn client_settings(args: &ClusterArgs) -> Result<Vec<(String, String)>, UsageError> {
    let mut settings = match &args.client_config {
        Some(file) => properties(file, &read("client-config", file)?)?,
        None => Vec::new(),
    };
    settings.extend(on_command_line(args));
    Ok(settings)
}

/// Those that came by `-X`, hidden from the process list or not.
pub(super) fn on_command_line(args: &ClusterArgs) -> Vec<(String, String)> {
    let mut settings = args.setting.clone();
    let hidden = env::var(SETTINGS_VARIABLE).unwrap_or_default();
    settings.extend(hidden.split(SETTINGS_SEPARATOR).filter_map(|setting| key_value(setting).ok()));
    settings
}

/// Lines of `key=value`; blank lines and those that begin with `#` say nothing.
fn properties(file: &Path, text: &str) -> Result<Vec<(String, String)>, UsageError> {
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| match line.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok((key.trim().to_owned(), value.trim().to_owned()))
            }
            // Not the line itself: it may hold a password.
            _ => {
                let what = format!("lines of key=value, which line {} is not", index + 1);
                Err(UsageError::value("client-config", file.display(), what))
            }
        })
        .collect()
}

fn read(flag: &'static str, file: &Path) -> Result<String, UsageError> {
    fs::read_to_string(file).map_err(|error| {
        UsageError::value(flag, file.display(), format!("a text file that can be read: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn properties_are_read_and_bad_lines_named_but_not_shown() {
        let good = file("# comment\n\n a.b = c=d \nempty=\n");
        let expected = [("a.b".to_owned(), "c=d".to_owned()), ("empty".to_owned(), String::new())];
        let text = fs::read_to_string(good.path()).unwrap();
        assert_eq!(properties(good.path(), &text).unwrap(), expected);
        for bad in ["a=b\nsasl.password hunter2", "=hunter2"] {
            let found = properties(Path::new("f"), bad).unwrap_err().to_string();
            assert!(found.contains("--client-config f: ") && found.contains("line "), "{found}");
            assert!(!found.contains("hunter2"), "{found}");
        }
    }

    #[test]
    fn secrets_lose_their_line_end_and_never_show() {
        let secret = secret("password-file", file("hunter2\r\n").path()).unwrap();
        assert_eq!(secret.reveal(), "hunter2");
        assert_eq!(format!("{secret:?}"), "***");
        assert!(super::secret("token-file", file("\n").path()).is_err());
        let missing = super::secret("token-file", Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(missing.starts_with("--token-file /nonexistent: "), "{missing}");
    }
}
