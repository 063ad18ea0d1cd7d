//! Who we are, and the client's side of SASL's mechanisms: what is said, and what of the answers is believed.
//!
//! Not the `rsasl` crate: this has no randomness of its own, keeps what SCRAM derives from a password for all connections
//! of a client (it takes milliseconds, which a shard does not have for each of them), and needs nothing that is not here
//! for TLS already.

use std::{
    cell::RefCell,
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    rc::Rc,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::{digest, hmac, pbkdf2};
use thiserror::Error;

use crate::config::Secret;

/// Fewer are too few for whoever listens not to try passwords (RFC 7677, section 4).
const LEAST_ITERATIONS: u32 = 4_096;
/// Brokers have 16,384 at most; more than this would hold a shard up.
const MOST_ITERATIONS: u32 = 1_000_000;

/// How a password is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// By saying it.
    Plain,
    /// Without saying it; the broker proves that it knows it, too.
    ScramSha256,
    /// The same with longer digests.
    ScramSha512,
    /// By a token that somebody else has made.
    OauthBearer,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::ScramSha256, Self::ScramSha512, Self::OauthBearer];

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }

    /// The one of this name, however it is written.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

/// Why we are not let in, or do not want to be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoginError {
    /// The broker has others.
    #[error("SASL: the broker does not take {asked}; it takes {theirs}")]
    Mechanism {
        /// What was asked for.
        asked: &'static str,
        /// What there is.
        theirs: String,
    },
    /// The broker says no, in its own words.
    #[error("SASL authentication error: {0}")]
    Refused(String),
    /// Only who knows the password can sign like that, and the broker has not.
    #[error("SASL authentication error: the broker's signature is wrong: it does not know the password")]
    Signature,
    /// What the broker says makes no sense.
    #[error("SASL authentication error: the broker's answer has {0}")]
    Malformed(&'static str),
}

/// Who we are, for all connections of a client.
#[derive(Debug)]
pub struct Login {
    mechanism: Mechanism,
    username: String,
    /// Or a token, which may be another one later.
    password: RefCell<Secret>,
    /// Where the token came from.
    token_file: Option<PathBuf>,
    /// Draws letters that nobody can foresee.
    nonce: fn() -> String,
    /// What was derived last.
    keys: RefCell<Option<Keys>>,
}

impl Login {
    /// With this mechanism, as this user; the password may be a token. `nonce` draws letters that nobody can foresee.
    #[must_use]
    pub fn new(mechanism: Mechanism, username: &str, password: Secret, nonce: fn() -> String) -> Self {
        Self {
            mechanism,
            username: username.to_owned(),
            password: RefCell::new(password),
            token_file: None,
            nonce,
            keys: RefCell::new(None),
        }
    }

    /// The same, with a token that comes from a file and may be read from there again.
    #[must_use]
    pub fn with_token_file(self, token_file: Option<PathBuf>) -> Self {
        Self { token_file, ..self }
    }

    /// Where the token came from, if it came from a file.
    #[must_use]
    pub fn token_file(&self) -> Option<&Path> {
        self.token_file.as_deref()
    }

    /// Shows the password, or the token.
    pub fn with_password<R>(&self, look: impl FnOnce(&str) -> R) -> R {
        look(self.password.borrow().reveal())
    }

    /// How it is proven.
    #[must_use]
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// From now on it is this one.
    pub fn set_password(&self, password: Secret) {
        *self.password.borrow_mut() = password;
        *self.keys.borrow_mut() = None;
    }

    fn keys(&self, hash: Hash, salt: &[u8], iterations: u32) -> Keys {
        let mut kept = self.keys.borrow_mut();
        if let Some(keys) = kept.as_ref().filter(|keys| keys.salt == salt && keys.iterations == iterations) {
            return keys.clone();
        }
        let keys = Keys::derive(hash, self.password.borrow().reveal(), salt, iterations);
        kept.insert(keys).clone()
    }
}

/// What SCRAM derives from a password.
#[derive(Clone)]
struct Keys {
    salt: Vec<u8>,
    iterations: u32,
    client: Vec<u8>,
    server: Vec<u8>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl Keys {
    fn derive(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Self {
        let mut salted = vec![0; hash.digest().output_len()];
        let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(hash.pbkdf2(), rounds, salt, password.as_bytes(), &mut salted);
        let key = |label: &str| hash.sign(&salted, label.as_bytes()).as_ref().to_vec();
        Self { salt: salt.to_vec(), iterations, client: key("Client Key"), server: key("Server Key") }
    }
}

/// The function that SCRAM is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    fn sign(self, key: &[u8], text: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.hmac(), key), text)
    }
}

/// One proof, on one connection.
#[derive(Debug)]
pub(super) struct Exchange {
    login: Rc<Login>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Begun,
    /// Nothing but a yes is to follow.
    Said,
    /// SCRAM: our first message, without what lies before the name.
    First {
        hash: Hash,
        bare: String,
        nonce: String,
    },
    /// SCRAM: what the broker has to have signed, and with which key.
    Final {
        hash: Hash,
        key: Vec<u8>,
        text: String,
    },
    /// The broker has said what is wrong with the token.
    TokenRefused(String),
    Over,
}

impl Exchange {
    pub(super) fn new(login: &Rc<Login>) -> Self {
        Self { login: login.clone(), step: Step::Begun }
    }

    pub(super) fn mechanism(&self) -> Mechanism {
        self.login.mechanism
    }

    /// What is said first.
    pub(super) fn begin(&mut self) -> Vec<u8> {
        let login = &self.login;
        let (hash, password) = match (login.mechanism, login.password.borrow()) {
            (Mechanism::Plain, password) => {
                self.step = Step::Said;
                return format!("\0{}\0{}", login.username, password.reveal()).into_bytes();
            }
            (Mechanism::OauthBearer, token) => {
                self.step = Step::Said;
                return format!("n,,\u{1}auth=Bearer {}\u{1}\u{1}", token.reveal()).into_bytes();
            }
            (Mechanism::ScramSha256, password) => (Hash::Sha256, password),
            (Mechanism::ScramSha512, password) => (Hash::Sha512, password),
        };
        drop(password);
        let nonce = (login.nonce)();
        let name = login.username.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}");
        let message = format!("n,,{bare}").into_bytes();
        self.step = Step::First { hash, bare, nonce };
        message
    }

    /// The broker's answer. Returns what is said to that, or that all is said.
    ///
    /// # Errors
    /// It is not to be believed.
    pub(super) fn answered(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, LoginError> {
        match std::mem::replace(&mut self.step, Step::Over) {
            Step::Said if bytes.is_empty() => Ok(None),
            Step::Said if self.login.mechanism == Mechanism::OauthBearer => {
                // The broker says no only when it has been told that we have understood (RFC 7628, section 3.2.3).
                self.step = Step::TokenRefused(String::from_utf8_lossy(bytes).into_owned());
                Ok(Some(vec![1]))
            }
            Step::TokenRefused(words) => Err(LoginError::Refused(words)),
            Step::First { hash, bare, nonce } => {
                let first = Parts::of(bytes)?;
                let (message, key, text) = self.login.proof(hash, (&bare, &nonce), &first)?;
                self.step = Step::Final { hash, key, text };
                Ok(Some(message.into_bytes()))
            }
            Step::Final { hash, key, text } => {
                let last = Parts::of(bytes)?;
                let signature = last.base64('v', "no signature")?;
                let key = hmac::Key::new(hash.hmac(), &key);
                hmac::verify(&key, text.as_bytes(), &signature).map_err(|_| LoginError::Signature)?;
                Ok(None)
            }
            Step::Begun | Step::Said | Step::Over => Err(LoginError::Malformed("more to say than was asked")),
        }
    }
}

impl Login {
    /// Our last message, and the key and the text that the broker has to sign.
    fn proof(
        &self,
        hash: Hash,
        (bare, nonce): (&str, &str),
        first: &Parts<'_>,
    ) -> Result<(String, Vec<u8>, String), LoginError> {
        let both = first.value('r').unwrap_or_default();
        if !both.starts_with(nonce) || both.len() == nonce.len() {
            return Err(LoginError::Malformed("a nonce that is not made of ours"));
        }
        let salt = first.base64('s', "no salt")?;
        let iterations = first.value('i').and_then(|count| count.parse().ok());
        let Some(iterations @ LEAST_ITERATIONS..=MOST_ITERATIONS) = iterations else {
            return Err(LoginError::Malformed("a count of iterations that is too small, too large, or none"));
        };
        let keys = self.keys(hash, &salt, iterations);
        // Of "n,,": no channel is bound.
        let unsigned = format!("c=biws,r={both}");
        let text = format!("{bare},{},{unsigned}", first.text);
        let stored = digest::digest(hash.digest(), &keys.client);
        let signature = hash.sign(stored.as_ref(), text.as_bytes());
        let proof: Vec<u8> =
            keys.client.iter().zip(signature.as_ref()).map(|(key, signed)| key ^ signed).collect();
        Ok((format!("{unsigned},p={}", BASE64.encode(proof)), keys.server, text))
    }
}

/// A message of SCRAM's: letters with values (RFC 5802, section 5.1).
struct Parts<'a> {
    text: &'a str,
}

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, LoginError> {
        let text = std::str::from_utf8(bytes).map_err(|_| LoginError::Malformed("bytes that are no text"))?;
        let parts = Self { text };
        match (parts.value('e'), parts.value('m')) {
            (Some(words), _) => Err(LoginError::Refused(words.to_owned())),
            (None, Some(_)) => Err(LoginError::Malformed("an extension that has to be known")),
            (None, None) => Ok(parts),
        }
    }

    fn value(&self, letter: char) -> Option<&'a str> {
        self.text.split(',').find_map(|part| part.strip_prefix(letter)?.strip_prefix('='))
    }

    fn base64(&self, letter: char, lack: &'static str) -> Result<Vec<u8>, LoginError> {
        let value = self.value(letter).filter(|value| !value.is_empty());
        value.and_then(|value| BASE64.decode(value).ok()).ok_or(LoginError::Malformed(lack))
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
