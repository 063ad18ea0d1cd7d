use super::*;

fn fixed() -> String {
    "rOprNGfwEbeRWgbNEkqO".to_owned()
}

fn login(mechanism: Mechanism) -> Rc<Login> {
    Rc::new(Login::new(mechanism, "user", Secret::new("pencil".to_owned()), fixed))
}

/// The example of RFC 7677, section 3.
const FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn begun(login: &Rc<Login>) -> Exchange {
    let mut exchange = Exchange::new(login);
    assert_eq!(exchange.begin(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    exchange
}

#[test]
fn a_password_is_proven_as_the_standard_shows_it() {
    let login = login(Mechanism::ScramSha256);
    let mut exchange = begun(&login);
    let proof = exchange.answered(FIRST.as_bytes()).unwrap().unwrap();
    let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(String::from_utf8(proof).unwrap(), expected);
    assert_eq!(exchange.answered(LAST.as_bytes()), Ok(None));
    assert!(exchange.answered(LAST.as_bytes()).is_err(), "it is over");
}

#[test]
fn what_was_derived_is_kept_until_the_password_is_another() {
    let login = login(Mechanism::ScramSha256);
    begun(&login).answered(FIRST.as_bytes()).unwrap();
    let kept = login.keys.borrow().clone().unwrap();
    // Were it derived anew, the proof would be another.
    login.keys.borrow_mut().as_mut().unwrap().client = vec![0; 32];
    let proof = begun(&login).answered(FIRST.as_bytes()).unwrap().unwrap();
    assert!(!String::from_utf8(proof).unwrap().contains("dHzbZapWIk4jUhN"));
    login.set_password(Secret::new("pencil".to_owned()));
    begun(&login).answered(FIRST.as_bytes()).unwrap();
    assert_eq!(login.keys.borrow().as_ref().unwrap().client, kept.client);
    assert!(!format!("{login:?}").contains("pencil") && !format!("{kept:?}").contains("32"));
}

#[test]
fn a_broker_that_does_not_know_the_password_is_found_out() {
    let login = login(Mechanism::ScramSha256);
    for (last, expected) in [
        ("v=AAAiTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", LoginError::Signature),
        ("v=6rriTRBi23WpRR", LoginError::Malformed("no signature")),
        ("v=", LoginError::Malformed("no signature")),
        ("", LoginError::Malformed("no signature")),
        ("e=invalid-proof", LoginError::Refused("invalid-proof".to_owned())),
    ] {
        let mut exchange = begun(&login);
        exchange.answered(FIRST.as_bytes()).unwrap();
        assert_eq!(exchange.answered(last.as_bytes()), Err(expected), "{last}");
    }
    let mut exchange = begun(&login);
    exchange.answered(FIRST.as_bytes()).unwrap();
    assert!(exchange.answered(&[0xff]).is_err());
}

#[test]
fn what_is_no_first_answer_is_named() {
    let login = login(Mechanism::ScramSha256);
    let nonce = "rOprNGfwEbeRWgbNEkqO";
    for (first, word) in [
        (format!("r={nonce}x,s=AAAA,i=4095"), "iterations"),
        (format!("r={nonce}x,s=AAAA,i=1000001"), "iterations"),
        (format!("r={nonce}x,s=AAAA,i=-1"), "iterations"),
        (format!("r={nonce}x,s=AAAA"), "iterations"),
        (format!("r={nonce}x,s=,i=4096"), "salt"),
        (format!("r={nonce}x,s=A,i=4096"), "salt"),
        (format!("r={nonce},s=AAAA,i=4096"), "nonce"),
        ("r=another,s=AAAA,i=4096".to_owned(), "nonce"),
        ("s=AAAA,i=4096".to_owned(), "nonce"),
        (format!("m=x,r={nonce}x,s=AAAA,i=4096"), "extension"),
        ("e=other-error".to_owned(), "other-error"),
        (String::new(), "nonce"),
    ] {
        let error = begun(&login).answered(first.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(word), "{first}: {error}");
    }
    for cut in 0..FIRST.len() {
        // Wherever it is cut off, it does not panic; the number at its end may be one all the same.
        let _ = begun(&login).answered(&FIRST.as_bytes()[..cut]);
    }
}

#[test]
fn longer_digests_are_those_of_the_other_mechanism() {
    let login = login(Mechanism::ScramSha512);
    let proof = begun(&login).answered(FIRST.as_bytes()).unwrap().unwrap();
    let proof = String::from_utf8(proof).unwrap();
    let proof = proof.rsplit_once("p=").unwrap().1;
    assert_eq!(BASE64.decode(proof).unwrap().len(), 64);
}

#[test]
fn names_are_written_so_that_they_end_where_they_do() {
    let login = Rc::new(Login::new(Mechanism::ScramSha256, "a,b=c", Secret::new("p".to_owned()), fixed));
    assert_eq!(Exchange::new(&login).begin(), b"n,,n=a=2Cb=3Dc,r=rOprNGfwEbeRWgbNEkqO");
}

#[test]
fn a_password_that_is_said_is_taken_or_not() {
    let login = login(Mechanism::Plain);
    let mut exchange = Exchange::new(&login);
    assert_eq!(exchange.begin(), b"\0user\0pencil");
    assert_eq!(exchange.answered(b""), Ok(None));
    let mut exchange = Exchange::new(&login);
    exchange.begin();
    assert!(exchange.answered(b"what?").is_err());
}

#[test]
fn a_token_is_said_and_a_refusal_is_confirmed() {
    let login = login(Mechanism::OauthBearer);
    let mut exchange = Exchange::new(&login);
    assert_eq!(exchange.begin(), b"n,,\x01auth=Bearer pencil\x01\x01");
    assert_eq!(exchange.answered(b""), Ok(None));
    login.set_password(Secret::new("another".to_owned()));
    let mut exchange = Exchange::new(&login);
    assert_eq!(exchange.begin(), b"n,,\x01auth=Bearer another\x01\x01");
    assert_eq!(exchange.answered(br#"{"status":"invalid_token"}"#), Ok(Some(vec![1])));
    let error = exchange.answered(b"").unwrap_err();
    assert!(error.to_string().contains("invalid_token"), "{error}");
}
