//! Brokers that demand to know who calls: who is let in proves as ever, and who is not is told so in one line, at once.

use std::{fs, time::Duration};

use crate::{
    Test,
    dsl::{
        EXIT_LIMIT, Finished, Run, Secured, Topic, Workdir,
        secured::{Door, PASSWORD, PROVER},
        shows::Shows,
        wire::{Operation, Resource},
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    let theirs = tests![
        SecuredTheirs(tls_with_a_private_authority_proves),
        SecuredTheirs(mutual_tls_proves),
        SecuredTheirs(tls_without_verification_proves),
        SecuredTheirs(a_certificate_of_a_private_authority_is_not_trusted_unasked),
        SecuredTheirs(a_certificate_of_another_authority_is_not_trusted),
        SecuredTheirs(a_certificate_that_has_expired_is_not_trusted),
        SecuredTheirs(a_certificate_of_another_host_is_not_trusted),
        SecuredTheirs(a_missing_client_certificate_is_refused),
        SecuredTheirs(a_strange_client_certificate_is_refused),
        SecuredTheirs(every_password_mechanism_proves),
        SecuredTheirs(sasl_over_tls_proves),
        SecuredTheirs(a_broker_that_wants_to_know_again_is_told),
        SecuredTheirs(a_wrong_password_is_refused),
        SecuredTheirs(a_door_that_needs_tls_is_no_door_without),
        SecuredTheirs(a_door_without_tls_is_none_with),
        SecuredTheirs(a_topic_that_may_not_be_read_is_refused),
        SecuredTheirs(a_topic_that_may_not_be_written_is_refused),
        SecuredTheirs(who_may_write_nowhere_is_refused),
    ];
    let theirs = theirs.into_iter().map(|(name, test)| (format!("{name}_by_librdkafka"), test));
    let all = tests![
        Secured(tls_with_a_private_authority_proves),
        Secured(mutual_tls_proves),
        Secured(tls_without_verification_proves),
        Secured(a_certificate_of_a_private_authority_is_not_trusted_unasked),
        Secured(a_certificate_of_another_authority_is_not_trusted),
        Secured(a_missing_client_certificate_is_refused),
        Secured(a_strange_client_certificate_is_refused),
        Secured(every_password_mechanism_proves),
        Secured(sasl_over_tls_proves),
        Secured(the_password_may_come_from_a_file_or_a_flag),
        Secured(a_wrong_password_is_refused),
        Secured(an_unknown_user_is_refused),
        Secured(a_door_that_needs_tls_is_no_door_without),
        Secured(a_door_that_asks_for_a_name_is_none_without_one),
        Secured(a_topic_that_may_not_be_seen_is_refused),
        Secured(a_topic_that_may_not_be_read_is_refused),
        Secured(a_topic_that_may_not_be_written_is_refused),
        Secured(who_may_write_nowhere_is_refused),
        Secured(a_repeater_that_may_write_nowhere_is_refused),
        Secured(rights_on_the_topic_are_enough),
        Secured(the_password_shows_nowhere),
        Secured(a_certificate_that_has_expired_is_not_trusted),
        Secured(a_certificate_of_another_host_is_not_trusted),
        Secured(a_broker_that_wants_to_know_again_is_told),
        Secured(a_door_without_tls_is_none_with),
        Secured(files_without_certificates_are_named),
    ];
    all.into_iter().chain(theirs).collect()
}

const WORK: &str = "--produce_msgs 300 --msg_size 100 --rand_read_msgs 5 --seq_read";

/// Far below the start's own time-out.
const AT_ONCE: Duration = Duration::from_secs(20);

#[track_caller]
fn expect_proof(run: Run) {
    let finished = run.args(WORK).finish().expect_code(0);
    finished
        .expect_output(&["PROVEN", "300 of 300 records", "sequential  300 records proven valid"])
        .expect_no_output(&["WARN", "ERROR", PASSWORD]);
}

/// One line that says why, exit code 3, at once; nothing written, neither there nor here.
#[track_caller]
fn expect_refusal(topic: &Topic, run: Run, words: &[&str]) {
    let finished = expect_failure(run.args(WORK), words);
    assert!(finished.workdir.contents().is_empty(), "no file touched");
    assert_eq!(topic.ends().iter().sum::<i64>(), 0, "nothing produced");
}

#[track_caller]
fn expect_failure(run: Run, words: &[&str]) -> Finished {
    let finished = run.finish().expect_code(3).expect_one_error(words).expect_no_output(&[PASSWORD]);
    assert!(finished.elapsed < AT_ONCE, "{:?}", finished.elapsed);
    finished
}

fn tls_with_a_private_authority_proves(secured: &Secured) {
    let topic = secured.topic(3);
    expect_proof(secured.verifier(Door::Tls, &topic).args("--tls-ca").arg(&secured.pki.ca()));
}

fn with_certificate(run: Run, ca: &str, (certificate, key): &(String, String)) -> Run {
    run.args(format!("--tls-ca {ca} --tls-cert {certificate} --tls-key {key}"))
}

fn mutual_tls_proves(secured: &Secured) {
    let topic = secured.topic(3);
    let run = secured.verifier(Door::MutualTls, &topic);
    expect_proof(with_certificate(run, &secured.pki.ca(), &secured.pki.client()));
}

fn tls_without_verification_proves(secured: &Secured) {
    let topic = secured.topic(3);
    expect_proof(secured.verifier(Door::Tls, &topic).args("--tls-skip-verify"));
}

fn a_certificate_of_a_private_authority_is_not_trusted_unasked(secured: &Secured) {
    let topic = secured.topic(1);
    let run = secured.verifier(Door::Tls, &topic);
    expect_refusal(&topic, run, &["refuse the connection", "certificate verify failed", "--tls-ca"]);
}

fn a_certificate_of_another_authority_is_not_trusted(secured: &Secured) {
    let topic = secured.topic(1);
    let run = secured.verifier(Door::Tls, &topic).args("--tls-ca").arg(&secured.pki.strange_ca());
    expect_refusal(&topic, run, &["refuse the connection", "certificate verify failed"]);
}

#[track_caller]
fn expect_no_trust(secured: &Secured, pem: &str) {
    let broker = Shows::start(pem);
    let run = Run::verifier().args(format!("--brokers {} --topic t --enable-tls", broker.address()));
    let said = ["refuse the connection", "certificate verify failed"];
    expect_failure(run.args("--tls-ca").arg(&secured.pki.ca()).args(WORK), &said);
}

fn a_certificate_that_has_expired_is_not_trusted(secured: &Secured) {
    expect_no_trust(secured, &secured.pki.expired());
}

fn a_certificate_of_another_host_is_not_trusted(secured: &Secured) {
    expect_no_trust(secured, &secured.pki.elsewhere());
}

fn a_missing_client_certificate_is_refused(secured: &Secured) {
    let topic = secured.topic(1);
    let run = secured.verifier(Door::MutualTls, &topic).args("--tls-ca").arg(&secured.pki.ca());
    expect_refusal(&topic, run, &["refuse the connection", "certificate"]);
}

fn a_strange_client_certificate_is_refused(secured: &Secured) {
    let topic = secured.topic(1);
    let run = secured.verifier(Door::MutualTls, &topic);
    let run = with_certificate(run, &secured.pki.ca(), &secured.pki.impostor());
    expect_refusal(&topic, run, &["refuse the connection", "certificate"]);
}

fn every_password_mechanism_proves(secured: &Secured) {
    for mechanism in ["", "--sasl-mechanism PLAIN", "--sasl-mechanism SCRAM-SHA-512"] {
        let topic = secured.topic(2);
        expect_proof(secured.verifier_of(PROVER, &topic).args(mechanism));
    }
}

fn sasl_over_tls_proves(secured: &Secured) {
    let topic = secured.topic(2);
    let run = secured.verifier(Door::SaslTls, &topic).args("--tls-ca").arg(&secured.pki.ca());
    let run = run.args(format!("--username {PROVER} --sasl-mechanism SCRAM-SHA-512"));
    expect_proof(run.env("PROOFLOAD_PASSWORD", PASSWORD));
}

fn the_password_may_come_from_a_file_or_a_flag(secured: &Secured) {
    let elsewhere = Workdir::new();
    elsewhere.write("password", format!("{PASSWORD}\n"));
    let file = format!("--password-file {}", elsewhere.path().join("password").display());
    for flag in [file, format!("--password {PASSWORD}")] {
        let topic = secured.topic(2);
        expect_proof(secured.verifier(Door::Sasl, &topic).args(format!("--username {PROVER} {flag}")));
    }
}

fn a_wrong_password_is_refused(secured: &Secured) {
    let topic = secured.topic(1);
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let run = secured.verifier(Door::Sasl, &topic).env("PROOFLOAD_PASSWORD", "wr0ng");
        let run = run.args(format!("--username {PROVER} --sasl-mechanism {mechanism}"));
        let said = ["refuse the connection", "Authentication failed", "check user, password"];
        expect_refusal(&topic, run, &said);
    }
}

fn an_unknown_user_is_refused(secured: &Secured) {
    let topic = secured.topic(1);
    expect_refusal(&topic, secured.verifier_of("nobody", &topic), &["refuse the connection"]);
}

/// Silence is all that such a broker answers with: there is a hint, and the time-out.
fn a_door_that_needs_tls_is_no_door_without(secured: &Secured) {
    let topic = secured.topic(1);
    let brokers = secured.address(Door::Tls);
    let run = Run::verifier().args(format!("--brokers {brokers} --topic {}", topic.name()));
    let run = run.args("--startup-timeout 2s");
    expect_refusal(&topic, run, &["no broker answered", &brokers, "--enable-tls?"]);
}

/// The broker answers which versions it speaks, and hangs up on the next question.
fn a_door_that_asks_for_a_name_is_none_without_one(secured: &Secured) {
    let topic = secured.topic(1);
    let tls = format!("--enable-tls --tls-ca {}", secured.pki.ca());
    for (door, tls) in [(Door::Sasl, ""), (Door::SaslTls, &tls)] {
        let brokers = secured.address(door);
        let run = Run::verifier().args(format!("--brokers {brokers} --topic {} {tls}", topic.name()));
        let run = run.args("--startup-timeout 2s");
        expect_refusal(&topic, run, &["no broker answered", &brokers, "--username?"]);
    }
}

/// It takes what comes for a request that is far too long, and hangs up.
fn a_door_without_tls_is_none_with(secured: &Secured) {
    let topic = secured.topic(1);
    let run = Run::verifier().args(topic.flags()).args("--enable-tls --startup-timeout 2s");
    expect_refusal(&topic, run, &["no broker answered", "closed", "--enable-tls"]);
}

/// The broker asks every 3 s, with this mechanism: who writes, and who waits for what is written.
fn a_broker_that_wants_to_know_again_is_told(secured: &Secured) {
    let topic = secured.topic(2);
    let run = |work: &str| {
        secured.verifier_of(PROVER, &topic).args("--sasl-mechanism SCRAM-SHA-512").args(work).start()
    };
    let reads = run("--seq_read --continuous --duration 8s");
    let writes = run("--produce_msgs 70 --msg_size 100 --produce-throughput-bps 1000");
    for (run, said) in [(writes, "70 of 70 records"), (reads, "70 records")] {
        let finished = run.finish().expect_code(0);
        assert!(finished.elapsed > Duration::from_secs(6), "{:?}", finished.elapsed);
        finished.expect_output(&[said]).expect_no_output(&["ERROR", "accept each other", " is gone ("]);
    }
}

/// Before anything is done.
fn files_without_certificates_are_named(secured: &Secured) {
    let (topic, elsewhere) = (secured.topic(1), Workdir::new());
    elsewhere.write("empty.pem", "nothing\n");
    let file = elsewhere.path().join("empty.pem").display().to_string();
    let run = secured.verifier(Door::Tls, &topic).args("--tls-ca").arg(&file).args(WORK);
    run.finish().expect_code(2).expect_one_error(&["--tls-ca", &file, "no PEM certificate"]);
}

const NO_RIGHT: &str = "TOPIC_AUTHORIZATION_FAILED";

fn a_topic_that_may_not_be_seen_is_refused(secured: &Secured) {
    let topic = secured.topic(1);
    expect_refusal(&topic, secured.verifier_of("anna", &topic), &[topic.name(), NO_RIGHT]);
}

fn a_topic_that_may_not_be_read_is_refused(secured: &Secured) {
    let topic = secured.topic(1);
    topic.write_proven(0, 0..5);
    secured.grant("berta", Resource::Topic(topic.name()), Operation::Describe);
    for work in ["--seq_read", "--rand_read_msgs 5"] {
        expect_failure(secured.verifier_of("berta", &topic).args(work), &[topic.name(), NO_RIGHT]);
    }
}

fn a_topic_that_may_not_be_written_is_refused(secured: &Secured) {
    let (topic, other) = (secured.topic(1), secured.topic(1));
    secured.grant("carla", Resource::Topic(topic.name()), Operation::Read);
    secured.grant("carla", Resource::Topic(other.name()), Operation::Write);
    let run = secured.verifier_of("carla", &topic).args("--produce_msgs 10 --msg_size 10");
    expect_failure(run, &[topic.name(), NO_RIGHT]);
}

/// Who may write to no topic at all does not even get a producer id.
fn who_may_write_nowhere_is_refused(secured: &Secured) {
    let topic = secured.topic(1);
    secured.grant("dora", Resource::Topic(topic.name()), Operation::Read);
    let run = secured.verifier_of("dora", &topic).args("--produce_msgs 10 --msg_size 10");
    expect_failure(run, &[topic.name(), "AUTHORIZATION_FAILED"]);
}

/// It could wait for ever: nothing comes round that was never sent.
fn a_repeater_that_may_write_nowhere_is_refused(secured: &Secured) {
    let topic = secured.topic(1);
    for resource in [Resource::Topic(topic.name()), Resource::Group(topic.name())] {
        secured.grant("mara", resource, Operation::Read);
    }
    let (address, name) = (secured.address(Door::Sasl), topic.name());
    let run =
        Run::repeater().args(format!("--brokers {address} --topic {name} --group {name} --username mara"));
    expect_failure(
        run.env("PROOFLOAD_PASSWORD", PASSWORD),
        &["the cluster refuses the producer", "AUTHORIZATION_FAILED"],
    );
}

fn rights_on_the_topic_are_enough(secured: &Secured) {
    let topic = secured.topic(2);
    for operation in [Operation::Write, Operation::Read] {
        secured.grant("emma", Resource::Topic(topic.name()), operation);
    }
    expect_proof(secured.verifier_of("emma", &topic));
}

fn the_password_shows_nowhere(secured: &Secured) {
    let topic = secured.topic(1);
    let run = secured.verifier(Door::Sasl, &topic).args(format!("--username {PROVER} --password {PASSWORD}"));
    let run = run.args("-X ssl.key.password=s3cret-word");
    let run = run.args(WORK).args("--trace --remote").with_control().start();
    run.harness().until_done();
    let shown = run.http().order("/print_stack").body + &run.http().order("/status").body;
    assert!(!shown.contains(PASSWORD), "{shown}");
    for file in ["cmdline", "comm", "status"] {
        let text = fs::read(format!("/proc/{}/{file}", run.pid())).expect("a process that runs");
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains(PASSWORD) && !text.contains("s3cret-word"), "in {file}");
    }
    run.http().order("/shutdown");
    let finished = run.finish_within(EXIT_LIMIT).expect_code(0);
    finished.expect_output(&["control", "sasl"]).expect_no_output(&[PASSWORD, "s3cret-word"]);
}
