//! Command lines that ask for what is not to be had: one line that names the flag, exit code 2,
//! nobody called, no file touched.

use crate::{
    Test,
    dsl::{Run, Workdir, ledger, ports::Decoy},
};

/// What is wrong, the words at fault, and what the line must say.
type Case = (&'static str, &'static str, &'static [&'static str]);

const REFUSED: &[Case] = &[
    ("unknown_flag", "--seq_read --no_such_flag 5", &["--no_such_flag", "no such flag"]),
    (
        "misspelt_flag_with_a_suggestion",
        "--seq_read --msg-size 5",
        &["--msg-size", "did you mean --msg_size?"],
    ),
    ("flag_without_value", "--seq_read --msg_size", &["--msg_size", "needs a value"]),
    ("negative_message_size", "--produce_msgs 1 --msg_size -1", &["--msg_size -1", "accepts a whole number"]),
    ("message_size_that_is_no_number", "--produce_msgs 1 --msg_size abc", &["--msg_size abc", "accepts"]),
    (
        "message_size_too_large_for_a_batch",
        "--produce_msgs 1 --msg_size 65536 --batch_max_bytes 65536",
        &["--msg_size 65536", "accepts up to", "batch of 65536 bytes"],
    ),
    ("no_work", "--msg_size 100", &["nothing to do", "--produce_msgs", "--seq_read", "--rand_read_msgs"]),
    ("continuous_and_loop", "--seq_read --continuous --loop", &["--continuous", "--loop"]),
    (
        "max_uncommitted_of_0",
        "--consumer_group_readers 1 --max-uncommitted 0",
        &["--max-uncommitted 0", "accepts a whole number, 1 or more"],
    ),
    ("empty_topic_name", "--seq_read --topic=", &["--topic", "a topic name"]),
    ("topic_name_that_is_a_path", "--seq_read --topic ../t", &["--topic ../t", "a topic name"]),
    ("brokers_that_are_no_list", "--seq_read --brokers ,", &["--brokers ,", "host:port"]),
    ("cores_that_are_no_list", "--seq_read --cores 3-1", &["--cores 3-1", "accepts"]),
    ("boolean_that_is_none", "--seq_read=maybe", &["--seq_read maybe", "true or false"]),
];

/// Every flag that the contract has and this version does not.
const NOT_YET: &[&str] =
    &["--sasl-mechanism OAUTHBEARER", "--create-topic", "--replication-factor 3", "--topic-config a=b"];

pub fn tests() -> Vec<(String, Test)> {
    let refused =
        REFUSED.iter().map(|case| (format!("usage::{}", case.0), Test::Case(Box::new(|| refused(case)))));
    let not_yet = NOT_YET.iter().map(|flag| {
        let name = flag.split(' ').next().unwrap_or(flag).trim_start_matches('-');
        (format!("usage::not_yet_available_{name}"), Test::Case(Box::new(|| not_yet(flag))))
    });
    let others = crate::tests![Alone(a_repeater_needs_a_topic_and_a_group), Alone(help_is_no_error)];
    refused.chain(not_yet).chain(others).collect()
}

fn refused((_, words, said): &Case) {
    expect_refusal(Run::verifier(), words, said);
}

fn not_yet(flag: &str) {
    let name = flag.split(' ').next().unwrap_or(flag);
    let line = format!("{name}: not yet available");
    expect_refusal(Run::verifier(), &format!("--produce_msgs 10 --seq_read {flag}"), &[&line]);
}

fn a_repeater_needs_a_topic_and_a_group() {
    expect_refusal(Run::repeater(), "--group g --topics a", &["--topics", "cannot be used with --topic"]);
    expect_refusal(Run::repeater(), "", &["--group", "required"]);
}

fn help_is_no_error() {
    let finished = Run::verifier().args("--help").finish_bare().expect_code(0);
    let finished = finished.expect_output(&["--produce_msgs", "--seq_read", "--brokers"]);
    assert!(finished.stderr.is_empty(), "{}", finished.transcript());
}

/// Runs it beside a ledger that must not change and a broker that must not be called.
fn expect_refusal(run: Run, words: &str, said: &[&str]) {
    let (broker, workdir) = (Decoy::listen(), Workdir::new());
    workdir.write(&ledger::file_name("t"), "whatever it says");
    let before = workdir.contents();
    let run = run.in_dir(&workdir).args(format!("--brokers {} --topic t {words}", broker.address()));
    let finished = run.finish_bare().expect_code(2).expect_one_error(said);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.transcript());
    assert!(finished.stdout.is_empty(), "{}", finished.transcript());
    assert_eq!(workdir.contents(), before, "no file touched");
    assert!(!broker.was_visited(), "nobody called");
}
