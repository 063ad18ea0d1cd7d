use super::{
    super::login::Mechanism,
    tests::{answer, ask, feed, sent, settings, versions},
    *,
};
use crate::config::Secret;

const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;
const METADATA: i16 = 3;

/// A connection whose broker has said what it speaks, and the id of the next request.
struct Login {
    connection: Connection<u8>,
    id: i32,
}

impl Login {
    fn with(mechanism: Mechanism) -> Self {
        let nonce = || "rOprNGfwEbeRWgbNEkqO".to_owned();
        let password = Secret::new("pencil".to_owned());
        let login = super::super::login::Login::new(mechanism, "user", password, nonce);
        let settings =
            ConnectionSettings { login: Some(Rc::new(login)), response_most_bytes: 10_000, ..settings() };
        let mut connection = Connection::new(&settings, 0);
        assert_eq!(sent(&mut connection), (18, 3, 0));
        let known = [(18, 0, 2), (METADATA, 0, 8), (HANDSHAKE, 0, 1), (AUTHENTICATE, 0, 1)];
        let too_new = answer(0, &versions(35, &[(18, 0, 2)]));
        feed(&mut connection, &too_new);
        assert_eq!(connection.next_response(0), Ok(None));
        assert_eq!(sent(&mut connection), (18, 2, 1));
        feed(&mut connection, &answer(1, &[versions(0, &known), vec![0; 4]].concat()));
        Self { connection, id: 2 }
    }

    /// The next request is this one; it is answered.
    fn answered(&mut self, api: i16, version: i16, body: &[u8]) -> Result<(), ConnectionError> {
        assert_eq!(sent(&mut self.connection), (api, version, self.id));
        feed(&mut self.connection, &answer(self.id, body));
        self.id += 1;
        self.go(0)
    }

    fn go(&mut self, now_us: u64) -> Result<(), ConnectionError> {
        self.connection.next_response(now_us).map(|response| assert_eq!(response, None))
    }

    fn greeted(&mut self) -> Result<(), ConnectionError> {
        self.go(0)?;
        self.answered(HANDSHAKE, 1, &mechanisms(0))
    }
}

fn mechanisms(error: i16) -> Vec<u8> {
    [&error.to_be_bytes()[..], &[0, 0, 0, 1, 0, 5], b"OTHER"].concat()
}

fn admission(error: i16, words: &str, bytes: &[u8], lifetime_ms: i64) -> Vec<u8> {
    let length = |count: usize| i32::try_from(count).unwrap().to_be_bytes();
    [
        &error.to_be_bytes()[..],
        &length(words.len())[2..],
        words.as_bytes(),
        &length(bytes.len()),
        bytes,
        &lifetime_ms.to_be_bytes(),
    ]
    .concat()
}

#[test]
fn who_is_let_in_may_ask() {
    let mut login = Login::with(Mechanism::Plain);
    login.greeted().unwrap();
    assert!(!login.connection.is_ready() && !login.connection.has_room(9, 0));
    assert!(login.connection.output().ends_with(b"\0user\0pencil"));
    login.answered(AUTHENTICATE, 1, &admission(0, "", b"", 0)).unwrap();
    assert!(login.connection.is_ready());
    assert_eq!(login.connection.next_deadline_us(0), u64::MAX, "it is for ever");
}

#[test]
fn a_broker_wants_to_know_again_and_nothing_else_is_asked_meanwhile() {
    let mut login = Login::with(Mechanism::Plain);
    login.greeted().unwrap();
    login.answered(AUTHENTICATE, 1, &admission(0, "", b"", 10_000)).unwrap();
    ask(&mut login.connection, 99_000_000, 7);
    assert_eq!(login.connection.next_deadline_us(0), 9_000_000);
    login.connection.handle_timeout(8_999_999).unwrap();
    assert!(login.connection.is_ready());
    login.connection.handle_timeout(9_000_000).unwrap();
    assert!(!login.connection.is_ready(), "nothing more is asked");
    assert!(login.connection.output().is_empty(), "an answer is awaited");
    feed(&mut login.connection, &answer(login.id, b"yes"));
    login.id += 1;
    assert_eq!(login.connection.next_response(9_100_000).unwrap().unwrap().tag, 7);
    login.connection.pass();
    login.go(9_100_000).unwrap();
    login.answered(HANDSHAKE, 1, &mechanisms(0)).unwrap();
    login.answered(AUTHENTICATE, 1, &admission(0, "", b"", 1)).unwrap();
    assert!(login.connection.is_ready());
    assert_eq!(login.connection.next_deadline_us(0), SESSION_LEAST_US, "not without end");
}

#[test]
fn who_is_not_let_in_is_told_in_the_broker_s_words() {
    let mut login = Login::with(Mechanism::Plain);
    login.greeted().unwrap();
    let error = login.answered(AUTHENTICATE, 1, &admission(58, "Authentication failed", b"", 0)).unwrap_err();
    assert!(error.is_denied());
    assert_eq!(error.to_string(), "SASL authentication error: Authentication failed");
    let mut login = Login::with(Mechanism::Plain);
    login.greeted().unwrap();
    let error = login.answered(AUTHENTICATE, 1, &admission(58, "", b"", 0)).unwrap_err();
    assert!(error.to_string().contains("SASL_AUTHENTICATION_FAILED"), "{error}");
}

#[test]
fn mechanisms_that_a_broker_lacks_are_named() {
    let mut login = Login::with(Mechanism::ScramSha512);
    login.go(0).unwrap();
    let error = login.answered(HANDSHAKE, 1, &mechanisms(33)).unwrap_err();
    assert_eq!(error.to_string(), "SASL: the broker does not take SCRAM-SHA-512; it takes OTHER");
    let mut login = Login::with(Mechanism::Plain);
    login.go(0).unwrap();
    let error = login.answered(HANDSHAKE, 1, &mechanisms(34)).unwrap_err();
    assert!(error.is_denied() && error.to_string().contains("ILLEGAL_SASL_STATE"), "{error}");
}

#[test]
fn a_broker_that_does_not_know_the_password_is_no_broker() {
    let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    for (signature, is_good) in [
        ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", true),
        ("v=AAAiTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", false),
    ] {
        let mut login = Login::with(Mechanism::ScramSha256);
        login.greeted().unwrap();
        login.answered(AUTHENTICATE, 1, &admission(0, "", first.as_bytes(), 0)).unwrap();
        let last = login.answered(AUTHENTICATE, 1, &admission(0, "", signature.as_bytes(), 0));
        let expected = if is_good { Ok(()) } else { Err(LoginError::Signature.into()) };
        assert_eq!((last, login.connection.is_ready()), (expected, is_good));
    }
}

#[test]
fn what_is_cut_off_ends_the_connection() {
    let whole = admission(0, "words", b"bytes", 0);
    for cut in 0..whole.len() {
        let mut login = Login::with(Mechanism::Plain);
        login.greeted().unwrap();
        let error = login.answered(AUTHENTICATE, 1, &whole[..cut]).unwrap_err();
        assert!(matches!(error, ConnectionError::Unreadable { .. }), "{error}");
    }
}

#[test]
fn a_broker_that_is_silent_is_late_at_each_step() {
    let mut login = Login::with(Mechanism::Plain);
    login.greeted().unwrap();
    let late = login.connection.handle_timeout(settings().handshake_us);
    assert_eq!(late, Err(ConnectionError::TimedOut(Api::SaslAuthenticate)));
}

#[test]
fn a_broker_that_throttles_looks_at_nobody_before_that_is_over() {
    let mut login = Login::with(Mechanism::Plain);
    login.greeted().unwrap();
    login.answered(AUTHENTICATE, 1, &admission(0, "", b"", 10_000)).unwrap();
    login.connection.throttle(30_000, 8_000_000);
    login.connection.handle_timeout(9_000_000).unwrap();
    assert!(!login.connection.is_ready());
    let late_us = 8_000_000 + 30_000_000 + settings().handshake_us;
    login.connection.handle_timeout(late_us - 1).unwrap();
    let late = login.connection.handle_timeout(late_us);
    assert_eq!(late, Err(ConnectionError::TimedOut(Api::SaslHandshake)));
}
