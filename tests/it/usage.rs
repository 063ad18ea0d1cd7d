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
    (
        "user_without_a_password",
        "--seq_read --username joe",
        &["--username", "needs a password", "--password-file"],
    ),
    ("boolean_that_is_none", "--seq_read=maybe", &["--seq_read maybe", "true or false"]),
];

pub fn tests() -> Vec<(String, Test)> {
    let refused =
        REFUSED.iter().map(|case| (format!("usage::{}", case.0), Test::Case(Box::new(|| refused(case)))));
    let others = crate::tests![
        Alone(a_repeater_needs_a_topic_and_a_group),
        Alone(a_repeater_names_the_least_data_that_works),
        Alone(help_is_no_error)
    ];
    refused.chain(others).collect()
}

fn refused((_, words, said): &Case) {
    expect_refusal(Run::verifier(), words, said);
}

fn a_repeater_needs_a_topic_and_a_group() {
    let refused = |words, said: &[&str]| expect_refusal_of(Run::repeater(), words, said);
    refused("--group g", &["--topic", "required, or --topics"]);
    refused("--topic t --topics a --group g", &["--topics", "cannot be used with --topic: give one of them"]);
    refused("--topic t", &["--group", "required: accepts the name of a consumer group"]);
}

fn a_repeater_names_the_least_data_that_works() {
    let words = |mib| format!("--topic t --group g --workers 100 --initial-data-mb {mib}");
    expect_refusal_of(
        Run::repeater(),
        &words(1),
        &["--initial-data-mb 1", "accepts 2 or more", "16384 bytes"],
    );
    // What it names does work: it gets as far as the brokers, of which there are none.
    let workdir = Workdir::new();
    let more = " --brokers 127.0.0.1:1 --startup-timeout 1s";
    let finished = Run::repeater().in_dir(&workdir).args(words(2) + more).finish().expect_code(3);
    finished.expect_one_error(&["no broker answered at 127.0.0.1:1"]);
}

fn help_is_no_error() {
    let finished = Run::verifier().args("--help").finish_bare().expect_code(0);
    let finished = finished.expect_output(&["--produce_msgs", "--seq_read", "--brokers"]);
    assert!(finished.stderr.is_empty(), "{}", finished.transcript());
}

/// Runs it beside a ledger that must not change and a broker that must not be called.
fn expect_refusal(run: Run, words: &str, said: &[&str]) {
    expect_refusal_of(run, &format!("--topic t {words}"), said);
}

fn expect_refusal_of(run: Run, words: &str, said: &[&str]) {
    let (broker, workdir) = (Decoy::listen(), Workdir::new());
    workdir.write(&ledger::file_name("t"), "whatever it says");
    let before = workdir.contents();
    let run = run.in_dir(&workdir).args(format!("--brokers {} {words}", broker.address()));
    let finished = run.finish_bare().expect_code(2).expect_one_error(said);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.transcript());
    assert!(finished.stdout.is_empty(), "{}", finished.transcript());
    assert_eq!(workdir.contents(), before, "no file touched");
    assert!(!broker.was_visited(), "nobody called");
}
