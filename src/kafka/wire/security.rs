//! Who we are and whom we trust, as flags and librdkafka's names for the same have it: the latter win.

use std::{path::PathBuf, rc::Rc};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    bearer,
    core::login::{Login, Mechanism},
    trust::{Checks, Tls},
};
use crate::{
    config::{self, Sasl, Secret, Security},
    kafka::{ClientError, ClientSettings, token},
    random::Random,
};

/// The settings of librdkafka's that are understood here.
pub(super) const KNOWN: [&str; 10] = [
    "enable.ssl.certificate.verification",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
];

/// TLS, or `None` for plain text. Reads the files.
///
/// # Errors
/// A file or a setting that cannot be used.
pub(crate) fn tls(client: &ClientSettings) -> Result<Option<Tls>, ClientError> {
    let Some(tls) = resolved(client)?.tls else { return Ok(None) };
    let checks = match client.given("ssl.endpoint.identification.algorithm") {
        _ if tls.skip_verify => Checks::Nothing,
        None | Some("https") => Checks::All,
        Some("none") => Checks::Signer,
        Some(value) => {
            return Err(wrong("ssl.endpoint.identification.algorithm", value, "must be https or none"));
        }
    };
    Tls::read(&tls, checks).map(Some)
}

/// Finds out whether connections can be secured as a run's settings have it.
///
/// # Errors
/// A file or a setting that cannot be used.
pub(crate) fn try_out(client: &ClientSettings) -> Result<(), ClientError> {
    tls(client)?;
    login(client).map(|_| ())
}

/// Who we are, or `None` for nobody in particular. Reads a bearer token that comes from a file.
///
/// # Errors
/// A setting, or a token, that cannot be used.
pub(super) fn login(client: &ClientSettings) -> Result<Option<Rc<Login>>, ClientError> {
    let Some(Sasl { mechanism, username, mut password, token_file }) = resolved(client)?.sasl else {
        return Ok(None);
    };
    let Some(mechanism) = Mechanism::of(mechanism) else { return Err(no_mechanism(mechanism)) };
    let is_token = mechanism == Mechanism::OauthBearer;
    if let Some(file) = token_file.as_ref().filter(|_| is_token) {
        // Not what the flags had at the start: that may be over by now.
        password = Secret::new(bearer::usable(file).map_err(ClientError::Token)?);
    }
    if is_token {
        token::life_end(password.reveal()).map_err(ClientError::Token)?;
    }
    if password.reveal().is_empty() {
        return Err(wrong("sasl.password", "", "a password or a token is needed"));
    }
    let login = Login::new(mechanism, &username, password, nonce);
    Ok(Some(Rc::new(login.with_token_file(token_file.filter(|_| is_token)))))
}

/// Letters that nobody can foresee.
fn nonce() -> String {
    let mut bytes = [0; 18];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        // The system has none to give: what std has drawn at the start.
        let mut random = Random::from_entropy();
        bytes.fill_with(|| random.next_u64().to_le_bytes()[0]);
    }
    BASE64.encode(bytes)
}

/// What flags and settings come to.
///
/// # Errors
/// A setting that is none.
pub(super) fn resolved(client: &ClientSettings) -> Result<Security, ClientError> {
    let Security { sasl, tls } = &client.security;
    let (has_sasl, has_tls) = match client.given("security.protocol").map(str::to_ascii_lowercase).as_deref()
    {
        None => (sasl.is_some(), tls.is_some()),
        Some("plaintext") => (false, false),
        Some("ssl") => (false, true),
        Some("sasl_plaintext") => (true, false),
        Some("sasl_ssl") => (true, true),
        Some(value) => {
            let reason = "must be one of: plaintext, ssl, sasl_plaintext, sasl_ssl";
            return Err(wrong("security.protocol", value, reason));
        }
    };
    Ok(Security {
        sasl: if has_sasl { Some(resolved_sasl(client, sasl.as_ref())?) } else { None },
        tls: if has_tls { Some(resolved_tls(client, tls.clone().unwrap_or_default())?) } else { None },
    })
}

fn resolved_tls(client: &ClientSettings, tls: config::Tls) -> Result<config::Tls, ClientError> {
    let file = |name| client.given(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let ca = match client.given("ssl.ca.location") {
        // Where the system keeps them.
        Some("probe") => None,
        _ => file("ssl.ca.location").or(tls.ca),
    };
    let (certificate, key) = tls.own.unzip();
    let certificate = file("ssl.certificate.location").or(certificate);
    let own = match (certificate, file("ssl.key.location").or(key)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(wrong("ssl.key.location", "", "the certificate needs a key")),
        (None, Some(_)) => return Err(wrong("ssl.certificate.location", "", "the key needs a certificate")),
    };
    let skip_verify = match client.given("enable.ssl.certificate.verification") {
        None => tls.skip_verify,
        Some("true") => false,
        Some("false") => true,
        Some(value) => {
            return Err(wrong("enable.ssl.certificate.verification", value, "must be true or false"));
        }
    };
    Ok(config::Tls { ca, own, skip_verify })
}

fn resolved_sasl(client: &ClientSettings, sasl: Option<&Sasl>) -> Result<Sasl, ClientError> {
    let flagged = |pick: fn(&Sasl) -> String| sasl.map(pick).unwrap_or_default();
    let given = |name: &str, otherwise: String| client.given(name).map_or(otherwise, str::to_owned);
    let asked = client.given("sasl.mechanism").or(client.given("sasl.mechanisms"));
    let asked = asked.or(sasl.map(|sasl| sasl.mechanism)).unwrap_or("SCRAM-SHA-256");
    let mechanism = Mechanism::of(asked).ok_or_else(|| no_mechanism(asked))?.name();
    let username = given("sasl.username", flagged(|sasl| sasl.username.clone()));
    if username.is_empty() && mechanism != "OAUTHBEARER" {
        return Err(wrong("sasl.username", "", "a user is needed"));
    }
    let password = given("sasl.password", flagged(|sasl| sasl.password.reveal().to_owned()));
    let token_file = sasl.and_then(|sasl| sasl.token_file.clone());
    Ok(Sasl { mechanism, username, password: Secret::new(password), token_file })
}

fn no_mechanism(asked: &str) -> ClientError {
    let known = Mechanism::ALL.map(Mechanism::name).join(", ");
    wrong("sasl.mechanism", asked, &format!("must be one of: {known}"))
}

fn wrong(key: &str, value: &str, reason: &str) -> ClientError {
    ClientError::Setting { key: key.to_owned(), value: value.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::kafka::KnownBrokers;

    fn settings(security: Security, overrides: &[(&str, &str)]) -> ClientSettings {
        ClientSettings {
            bootstrap: "a".to_owned(),
            known: KnownBrokers::default(),
            client_id: "c".to_owned(),
            metadata_max_age: Duration::from_mins(1),
            trace: false,
            security,
            overrides: overrides.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }
    }

    fn flags() -> Security {
        let (username, password) = ("u".to_owned(), Secret::new("p".to_owned()));
        let sasl = Sasl { mechanism: "PLAIN", username, password, token_file: None };
        let tls = config::Tls { ca: Some("ca".into()), own: None, skip_verify: false };
        Security { sasl: Some(sasl), tls: Some(tls) }
    }

    #[test]
    fn flags_count_until_a_setting_says_otherwise() {
        assert_eq!(resolved(&settings(flags(), &[])).unwrap(), flags());
        let given = [
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", "other"),
            ("ssl.certificate.location", "own"),
            ("ssl.key.location", "key"),
            ("enable.ssl.certificate.verification", "false"),
            ("sasl.mechanisms", "scram-sha-512"),
            ("sasl.username", "me"),
            ("sasl.password", "secret"),
        ];
        for security in [flags(), Security::default()] {
            let Security { sasl, tls } = resolved(&settings(security, &given)).unwrap();
            let (sasl, tls) = (sasl.unwrap(), tls.unwrap());
            assert_eq!((sasl.mechanism, sasl.username.as_str()), ("SCRAM-SHA-512", "me"));
            assert_eq!(sasl.password.reveal(), "secret");
            assert_eq!((tls.ca.as_deref(), tls.skip_verify), (Some(Path::new("other")), true));
            assert_eq!(tls.own, Some(("own".into(), "key".into())));
        }
    }

    #[test]
    fn the_protocol_switches_each_off() {
        let kinds = |protocol| {
            let Security { sasl, tls } =
                resolved(&settings(flags(), &[("security.protocol", protocol)])).unwrap();
            (sasl.is_some(), tls.is_some())
        };
        assert_eq!(kinds("plaintext"), (false, false));
        assert_eq!((kinds("ssl"), kinds("sasl_plaintext")), ((false, true), (true, false)));
    }

    #[test]
    fn what_is_no_value_is_named() {
        for (name, value) in [
            ("security.protocol", "tls"),
            ("sasl.mechanism", "GSSAPI"),
            ("enable.ssl.certificate.verification", "maybe"),
            ("ssl.key.location", "key"),
        ] {
            let error = resolved(&settings(flags(), &[(name, value)])).unwrap_err().to_string();
            assert!(error.contains("ssl.") || error.contains(name), "{error}");
        }
        let names = settings(flags(), &[("ssl.endpoint.identification.algorithm", "x")]);
        assert!(tls(&names).unwrap_err().to_string().contains("https or none"));
        assert_eq!(login(&settings(Security::default(), &[])).unwrap().map(|_| ()), None);
        let nobody = settings(Security::default(), &[("security.protocol", "sasl_ssl")]);
        assert!(resolved(&nobody).unwrap_err().to_string().contains("sasl.username"));
    }

    #[test]
    fn a_token_that_cannot_be_used_is_named_and_no_nonce_comes_twice() {
        let token = |password: &str| {
            settings(flags(), &[("sasl.mechanism", "OAUTHBEARER"), ("sasl.password", password)])
        };
        // {"exp":1}
        let error = login(&token("e30.eyJleHAiOjF9.")).unwrap_err().to_string();
        assert!(error.starts_with("the bearer token cannot be used: it expired "), "{error}");
        assert!(login(&token("opaque")).is_ok());
        assert!(login(&token("")).is_err());
        assert_ne!(nonce(), nonce());
        assert_eq!(nonce().len(), 24);
    }
}
