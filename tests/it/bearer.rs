//! OAUTHBEARER: the password is a token, which has a life of its own.

use std::{
    fs,
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    Test,
    dsl::{Run, Secured, Topic, Workdir, secured::Door, secured::PROVER},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    let theirs = tests![
        SecuredTheirs(a_token_that_is_refused_at_renewal_is_told_and_ends),
        SecuredTheirs(a_token_is_read_again_before_it_expires),
        SecuredTheirs(a_bearer_token_proves),
        SecuredTheirs(a_token_that_the_broker_does_not_understand_is_refused),
        SecuredTheirs(an_expired_token_is_no_token),
    ];
    let theirs = theirs.into_iter().map(|(name, test)| (format!("{name}_by_librdkafka"), test));
    let all = tests![
        Secured(a_token_that_is_refused_at_renewal_is_told_and_ends),
        Secured(a_token_is_read_again_before_it_expires),
        Secured(a_bearer_token_proves),
        Secured(a_bearer_token_over_tls_proves),
        Secured(a_token_that_the_broker_does_not_understand_is_refused),
        Secured(a_token_of_a_user_without_rights_is_refused),
        Secured(an_expired_token_is_no_token),
    ];
    all.into_iter().chain(theirs).collect()
}

/// Base 64 with the alphabet for URLs, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |chunk: &[u8]| {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (24 - 8 * chunk.len());
        (0..=chunk.len()).map(move |digit| char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]))
    };
    bytes.chunks(3).flat_map(digits).collect()
}

/// An unsigned JSON web token, which Kafka's own validator takes. Made so many seconds ago, and good for so many.
pub fn token(user: &str, age_s: u64, life_s: u64) -> String {
    let made = UNIX_EPOCH.elapsed().expect("a clock behind 1970").as_secs() - age_s;
    let claims = format!(r#"{{"sub":"{user}","iat":{made},"exp":{}}}"#, made + life_s);
    format!("{}.{}.", base64url(br#"{"alg":"none"}"#), base64url(claims.as_bytes()))
}

fn verifier(secured: &Secured, door: Door, topic: &Topic, user: &str) -> Run {
    secured.verifier(door, topic).args(format!("--sasl-mechanism OAUTHBEARER --username {user}"))
}

const WORK: &str = "--produce_msgs 300 --msg_size 100 --rand_read_msgs 5 --seq_read";

#[track_caller]
fn expect_proof(run: Run, token: &str) {
    let finished = run.env("PROOFLOAD_PASSWORD", token).args(WORK).finish().expect_code(0);
    finished.expect_output(&["PROVEN", "300 of 300 records"]).expect_no_output(&["WARN", "ERROR", token]);
}

#[track_caller]
fn expect_refusal(run: Run, token: &str, words: &[&str]) {
    let finished = run.env("PROOFLOAD_PASSWORD", token).args(WORK).finish().expect_code(3);
    let finished = finished.expect_one_error(words).expect_no_output(&[token]);
    assert!(finished.elapsed < Duration::from_secs(20), "at once: {:?}", finished.elapsed);
}

fn a_bearer_token_proves(secured: &Secured) {
    let topic = secured.topic(2);
    expect_proof(verifier(secured, Door::Sasl, &topic, PROVER), &token(PROVER, 0, 3600));
}

fn a_bearer_token_over_tls_proves(secured: &Secured) {
    let topic = secured.topic(2);
    let run = verifier(secured, Door::SaslTls, &topic, PROVER).args("--tls-ca").arg(&secured.pki.ca());
    expect_proof(run, &token(PROVER, 0, 3600));
}

fn a_token_that_the_broker_does_not_understand_is_refused(secured: &Secured) {
    let topic = secured.topic(1);
    let run = verifier(secured, Door::Sasl, &topic, PROVER);
    expect_refusal(run, "an-opaque-token", &["refuse the connection", "check user, password"]);
}

fn a_token_of_a_user_without_rights_is_refused(secured: &Secured) {
    let topic = secured.topic(1);
    let run = verifier(secured, Door::Sasl, &topic, "anna");
    expect_refusal(run, &token("anna", 0, 3600), &[topic.name(), "TOPIC_AUTHORIZATION_FAILED"]);
}

fn an_expired_token_is_no_token(secured: &Secured) {
    let topic = secured.topic(1);
    let run = verifier(secured, Door::Sasl, &topic, PROVER);
    expect_refusal(run, &token(PROVER, 100, 40), &["the bearer token cannot be used: it expired 6"]);
}

/// The broker ends sessions whose token has expired, and the reader's client only starts when the first one has.
fn a_token_is_read_again_before_it_expires(secured: &Secured) {
    const LIFE_S: u64 = 6;
    let (topic, elsewhere) = (secured.topic(2), Workdir::new());
    let file = elsewhere.path().join("token");
    let (first, second) = (token(PROVER, 0, LIFE_S), token(PROVER, 0, 3600));
    fs::write(&file, &first).expect("a file");
    let work = "--produce_msgs 90 --msg_size 100 --produce-throughput-bps 1000 --seq_read";
    let run = verifier(secured, Door::Sasl, &topic, PROVER).args(work).args("--password-file");
    let run = run.arg(&file.display().to_string()).start();
    // Its first token has let it in.
    run.wait_for_log("this run's records name it");
    // Whole at every moment.
    elsewhere.write("new", format!("{second}\n"));
    fs::rename(elsewhere.path().join("new"), &file).expect("a new token");
    let finished = run.finish().expect_code(0);
    assert!(finished.elapsed > Duration::from_secs(LIFE_S), "{:?}", finished.elapsed);
    finished
        .expect_output(&["PROVEN", "90 of 90 records", "sequential  90 records proven valid"])
        .expect_no_output(&["ERROR", "no new bearer token", &first, &second]);
}

/// The broker wants to know again before the first token's end, and takes no such token as the second one.
fn a_token_that_is_refused_at_renewal_is_told_and_ends(secured: &Secured) {
    const LIFE_S: u64 = 6;
    const REFUSED: &str = "an-opaque-token";
    let (topic, elsewhere) = (secured.topic(2), Workdir::new());
    let file = elsewhere.path().join("token");
    let first = token(PROVER, 0, LIFE_S);
    fs::write(&file, &first).expect("a file");
    let work = "--produce_msgs 1000000 --msg_size 100 --produce-throughput-bps 10000 --password-file";
    let run = verifier(secured, Door::Sasl, &topic, PROVER).args(work).arg(&file.display().to_string());
    let run = run.args("--report report.json").with_control().start();
    run.harness().until("acks", |workers| workers[0].producer().acked > 10);
    elsewhere.write("new", REFUSED);
    fs::rename(elsewhere.path().join("new"), &file).expect("a new token");
    run.wait_for_log("and this client do not accept each other");
    let finished = run.finish().expect_code(3).expect_no_output(&[&first, REFUSED, " is gone ("]);
    let finished = finished.expect_output(&["check user, password"]).expect_one_error(&[]);
    assert!(finished.elapsed > Duration::from_secs(30), "it may be let in again: {:?}", finished.elapsed);
    assert_eq!(
        finished.workdir.report()["complaints"][0]["kind"],
        "authentication",
        "{}",
        finished.transcript()
    );
}
