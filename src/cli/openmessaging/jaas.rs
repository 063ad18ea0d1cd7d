//! The one line of JAAS that Kafka's clients log in with: the login modules of PLAIN and SCRAM.

/// Name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: String,
}

/// Reads `Module required username="…" password="…";`. `Err` says what is wrong, without showing any of it.
pub(super) fn login(line: &str) -> Result<Login, String> {
    let line = line.trim();
    let line = line.strip_suffix(';').ok_or("it does not end with a semicolon")?;
    let (module, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let class = module.rsplit('.').next().unwrap_or_default();
    if !["PlainLoginModule", "ScramLoginModule"].contains(&class) {
        return Err(format!("{class} is not PlainLoginModule or ScramLoginModule"));
    }
    let (mut username, mut password) = (None, None);
    let mut rest = rest.trim_start();
    while let Some((name, behind)) = rest.split_once('=').filter(|_| !rest.is_empty()) {
        let (value, behind) = quoted(behind.trim_start()).ok_or("a value has no quotes around it")?;
        // The module's control flag stands before the first name.
        match name.split_whitespace().last() {
            Some("username") => username = Some(value),
            Some("password") => password = Some(value),
            _ => {}
        }
        rest = behind.trim_start();
    }
    match (username, password) {
        (Some(username), Some(password)) => Ok(Login { username, password }),
        (None, _) => Err("it has no username".to_owned()),
        (_, None) => Err("it has no password".to_owned()),
    }
}

/// A text in quotes, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (mut value, mut is_escaped) = (String::new(), false);
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => {
                value.push(c);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            c if c == quote => return Some((value, &text[at + 1..])),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_found() {
        let scram = r#"org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="a \"b; c";"#;
        let found = login(scram).unwrap();
        assert_eq!((found.username.as_str(), found.password.as_str()), ("alice", "a \"b; c"));
        let plain = "PlainLoginModule required\n  password='p=q'\n username='u' ;";
        assert_eq!(login(plain).map(|login| login.password), Ok("p=q".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_said_and_no_secret_shown() {
        for (line, why) in [
            (r#"PlainLoginModule required username="u" password="hunter2""#, "semicolon"),
            (r#"a.OAuthBearerLoginModule required password="hunter2";"#, "OAuthBearerLoginModule is not"),
            (r#"PlainLoginModule required password="hunter2";"#, "no username"),
            (r#"PlainLoginModule required username="u";"#, "no password"),
            ("PlainLoginModule required username=u password=hunter2;", "no quotes"),
        ] {
            let found = login(line).unwrap_err();
            assert!(found.contains(why) && !found.contains("hunter2"), "{line}: {found}");
        }
    }
}
