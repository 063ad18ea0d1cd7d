//! One line for every error, naming the flag and what it accepts.

use super::{super::Program, refusal};

/// A verifier that lacks nothing, then the words at fault.
fn verifier(line: &str) -> String {
    let words = format!("--topic t --produce_msgs 10 --seq_read {line}");
    refusal(Program::Verifier, &words.split(' ').collect::<Vec<_>>())
}

/// A repeater that lacks nothing, then the words at fault.
fn repeater(line: &str) -> String {
    let words = format!("--topic t --group g {line}");
    refusal(Program::Repeater, &words.split(' ').collect::<Vec<_>>())
}

#[test]
fn what_our_own_client_cannot_do_is_named() {
    for (words, lack) in [
        ("-X ssl.crl.location=x", "ssl.crl.location"),
        ("-X sasl.kerberos.service.name=x", "sasl.kerberos.service.name"),
        ("-X socket.nagle.disable=true", "socket.nagle.disable"),
    ] {
        let expected = format!("--client: wire has no {lack} yet: give librdkafka");
        assert_eq!(verifier(&format!("--client wire {words}")), expected);
        assert_eq!(repeater(&format!("--client wire {words}")), expected);
    }
}

#[test]
fn bad_values_name_flag_value_and_what_is_accepted() {
    for (words, accepts) in [
        ("--msg_size -1", "a whole number, 0 to 1000000000"),
        ("--msg_size abc", "a whole number, 0 to 1000000000"),
        ("--produce_msgs -1", "a whole number, 0 or more"),
        ("--produce_msgs 18446744073709551616", "a whole number, 0 or more"),
        ("--rand_read_msgs x", "a whole number, 0 or more"),
        ("--parallel 0", "a whole number, 1 to 100000"),
        ("--consumer_group_readers -1", "a whole number, 0 to 100000"),
        ("--seq_read_msgs x", "a whole number, 0 or more, or a negative one for the whole topic"),
        ("--max-uncommitted 0", "a whole number, 1 or more, or a negative one for auto-commit"),
        ("--key-set-cardinality 0", "a whole number, 1 or more, or a negative one for record ids as keys"),
        (
            "--fake-timestamp-ms x",
            "a whole number, 1 or more, or a negative one for the clock, as the client library takes 0 for \"now\"",
        ),
        (
            "--fake-timestamp-ms 0",
            "a whole number, 1 or more, or a negative one for the clock, as the client library takes 0 for \"now\"",
        ),
        ("--fake-timestamp-step-ms -1", "a whole number, 0 or more"),
        ("--produce-throughput-bps fast", "a whole number, 0 or more, or a negative one for no limit"),
        ("--msgs-per-producer-id 0", "a whole number, 1 or more, or a negative one for never"),
        ("--batch_max_bytes 1023", "a whole number, 1024 to 1000000000"),
        ("--max-buffered-records 0", "a whole number, 1 to 2147483647"),
        ("--tombstone-probability 1.5", "a probability, 0 to 1"),
        ("--tombstone-probability NaN", "a probability, 0 to 1"),
        ("--transaction-abort-rate -0.1", "a probability, 0 to 1"),
        ("--msgs-per-transaction 0", "a whole number, 1 to 2147483647"),
        ("--partitions 0", "a whole number, 1 to 100000"),
        ("--replication-factor 0", "a whole number, 1 to 32767"),
        ("--compression-type brotli", "one of: none, gzip, snappy, lz4, zstd, mixed"),
        ("--sasl-mechanism GSSAPI", "one of: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"),
        ("--client franz-go", "one of: auto, wire, librdkafka"),
        ("--status-schema v3", "one of: v1, v2"),
        ("--log-format xml", "one of: text, json"),
        ("--progress always", "one of: auto, bar, lines, never"),
        ("--color maybe", "one of: auto, always, never"),
        ("--remote-port 65536", "a whole number, 0 to 65535"),
        ("--topic-config x", "key=value"),
        ("--brokers a:1,", "host:port[,host:port…], or embedded[:N]"),
        ("--brokers embedded:0", "embedded or embedded:N, with N from 1 to 100"),
        ("--linger 5", "a duration such as 5ms, 1.5s or 2m0s, from 0ns to 900s"),
        ("--linger -5ms", "a duration such as 5ms, 1.5s or 2m0s, from 0ns to 900s"),
        ("--startup-timeout soon", "a duration such as 5ms, 1.5s or 2m0s, from 0ns to 31536000s"),
        ("--metadata-max-age 0", "a duration such as 5ms, 1.5s or 2m0s, from 10ms to 3600s"),
        (
            "--transaction-timeout-ms 0",
            "a duration such as 5ms, 1.5s or 2m0s (or a whole number of milliseconds), from 1s to 86400s",
        ),
        (
            "--consumer-group-session-timeout-s -1",
            "a duration such as 5ms, 1.5s or 2m0s (or a whole number of seconds), from 0ns to 3600s",
        ),
    ] {
        assert_eq!(verifier(words), format!("{words}: accepts {accepts}"));
    }
}

#[test]
fn values_with_reasons() {
    let topic = "accepts a topic name: 1 to 249 letters, digits, '.', '_' and '-'";
    assert_eq!(verifier("--topic a/b"), format!("--topic a/b: {topic}"));
    assert_eq!(verifier("--topic="), format!("--topic \"\": {topic}"));
    assert!(verifier("--seq_read=maybe").starts_with("--seq_read maybe: accepts true or false"));
    assert!(verifier("--proof-header=maybe").starts_with("--proof-header maybe: accepts true or false"));
    assert_eq!(
        verifier("--cores 3-1"),
        "--cores 3-1: accepts auto, all, a number of cores, a list such as 0-3,8 (0-0 is core 0 alone), or node:N"
    );
    assert_eq!(verifier("--client-threads x"), "--client-threads x: accepts shard, node or any");
    assert_eq!(verifier("--allow-host a:1"), "--allow-host a:1: accepts a host name, without a port");
    assert_eq!(verifier("--bind nowhere"), "--bind nowhere: accepts an IP address such as 127.0.0.1 or ::");
    assert_eq!(
        verifier("--proof-header false"),
        "false: a word without a flag (--proof-header takes its value after '='); see --help"
    );
    let aborts = "--use-transactions --transaction-abort-rate 0.5";
    assert!(verifier(&format!("{aborts} --brokers embedded")).starts_with(
        "--transaction-abort-rate 0.5: accepts 0 with --brokers embedded, which does not hide what was aborted"
    ));
    assert_eq!(verifier("-X novalue"), "-X novalue: accepts key=value");
    assert!(
        verifier("--consume-throughput-mb 9223372036854775807").contains("accepts up to 17592186044415 MiB")
    );
}

#[test]
fn a_report_does_not_take_the_ledgers_place() {
    for file in [
        "valid_offsets_t.json",
        "./latest_value_t.json",
        "src/../valid_offsets_t.json",
        "./valid_offsets_t.jnl",
    ] {
        assert_eq!(
            verifier(&format!("--report {file}")),
            format!(
                "--report {file}: accepts a file that is not the ledger of the topic, nor its latest values"
            )
        );
    }
}

#[test]
fn sizes_that_do_not_fit() {
    assert_eq!(
        verifier("--msg_size 1048576"),
        "--msg_size 1048576: accepts up to 1048408, the largest value whose record fits into a batch of \
         1048576 bytes"
    );
    assert!(verifier("--batch_max_bytes 1024").starts_with("--msg_size 16384: accepts up to 856,"));
    assert_eq!(
        verifier("--msg_size 23 --validate-latest-values"),
        "--msg_size 23: accepts 24 or more with --validate-latest-values"
    );
    assert_eq!(
        verifier("--fake-timestamp-ms 7 --fake-timestamp-step-ms 9223372036854775807"),
        "--fake-timestamp-step-ms 9223372036854775807: accepts up to 1024819115206086200 for so many messages: \
         timestamps end at 2^63 ms"
    );
}

#[test]
fn wrong_combinations() {
    assert_eq!(verifier("--continuous --loop"), "--continuous: cannot be used with --loop: give one of them");
    for words in ["replication-factor 3", "topic-config a=b"] {
        let name = words.split(' ').next().unwrap();
        assert_eq!(verifier(&format!("--{words}")), format!("--{name}: needs --create-topic as well"));
        assert_eq!(repeater(&format!("--{words}")), format!("--{name}: needs --create-topic as well"));
    }
    assert_eq!(
        verifier("--log-format json --progress bar"),
        "--progress: bar cannot be used with --log-format json: give lines or never"
    );
    assert_eq!(verifier("--latest-values last"), "--latest-values: needs --validate-latest-values as well");
    assert_eq!(verifier("--tls-cert f"), "--tls-cert: needs --tls-key FILE as well");
    assert_eq!(verifier("--tls-key f"), "--tls-key: needs --tls-cert FILE as well");
    assert_eq!(
        verifier("--password secret --password-file f"),
        "--password-file: cannot be used with --password: give one of them"
    );
}

#[test]
fn a_reader_creates_no_topic() {
    let alone = |line: &str| refusal(Program::Verifier, &line.split(' ').collect::<Vec<_>>());
    for work in ["--seq_read", "--rand_read_msgs 1", "--consumer_group_readers 1"] {
        assert_eq!(
            alone(&format!("--topic t --create-topic {work}")),
            "--create-topic: needs --produce_msgs N as well: a reader creates no topic"
        );
        assert_eq!(
            alone(&format!("--brokers embedded --topic t --create-topic {work}")),
            "--create-topic: needs --produce_msgs N as well: a reader creates no topic"
        );
    }
}

#[test]
fn client_settings_that_contradict_the_run_are_named() {
    let alone = |program, line: &str| refusal(program, &line.split(' ').collect::<Vec<_>>());
    for (words, expected) in [
        ("--seq_read -X auto.offset.reset=latest", "-X auto.offset.reset=latest: accepts only error: "),
        (
            "--consumer_group_readers 1 -X auto.offset.reset=latest",
            "-X auto.offset.reset=latest: accepts only earliest: ",
        ),
        ("--produce_msgs 1 -X transactional.id=zz", "-X transactional.id=zz: accepts no value: "),
        (
            "--seq_read -X isolation.level=read_committed",
            "-X isolation.level=read_committed: accepts only read_uncommitted",
        ),
        ("--seq_read --latest-values all", "--latest-values all: accepts one of: every, last"),
    ] {
        let found = alone(Program::Verifier, &format!("--topic t {words}"));
        assert!(found.starts_with(expected), "{found}");
    }
    let found = alone(Program::Repeater, "--topic t --group g -X isolation.level=read_committed");
    assert!(found.starts_with("-X isolation.level=read_committed: accepts only read_uncommitted"), "{found}");
}

#[test]
fn a_bearer_token_is_one_and_has_a_principal() {
    let principal = "--sasl-mechanism: OAUTHBEARER needs --username NAME, the principal";
    assert!(verifier("--sasl-mechanism OAUTHBEARER").starts_with(principal));
    for token in ["not,a,token", "sp\u{e9}cial", "a=b"] {
        let found = verifier(&format!("--sasl-mechanism OAUTHBEARER --username u --password {token}"));
        assert!(found.starts_with("--password: OAUTHBEARER takes a bearer token"), "{found}");
        assert!(!found.contains(token), "{found}");
    }
}

#[test]
fn missing_parts() {
    let verifier = |words: &[&str]| refusal(Program::Verifier, words);
    assert_eq!(verifier(&[]), "--topic: required: accepts the name of the topic under test");
    assert_eq!(
        verifier(&["--topic", "t", "--seq_read_msgs", "5"]),
        "nothing to do: accepts at least one of --produce_msgs N, --seq_read, --rand_read_msgs N, \
         --consumer_group_readers N"
    );
    assert_eq!(verifier(&["--topic"]), "--topic: needs a value: accepts TOPIC");
    assert_eq!(verifier(&["verifier"]), "verifier: a word without a flag; see --help");
    assert_eq!(
        verifier(&["--msg-size", "5"]),
        "--msg-size: no such flag: did you mean --msg_size?; see --help"
    );
    assert_eq!(verifier(&["a\nb"]), "a\\nb: a word without a flag; see --help", "one line, whatever it says");
}

#[test]
fn proofload_needs_a_command() {
    let command = "accepts verifier, repeater, bench, compare, ledger or doctor, then flags; see --help";
    for words in [&[][..], &["--topic", "t"], &[""]] {
        assert_eq!(refusal(Program::Proofload, words), format!("a command comes first: {command}"));
    }
    assert_eq!(refusal(Program::Proofload, &["verify"]), format!("verify: no such command: {command}"));
}

#[test]
fn a_proof_header_that_was_asked_for_needs_room() {
    let found = verifier("--msg_size 1048342 --proof-header");
    assert!(found.starts_with("--msg_size 1048342: accepts up to 1048341, "), "{found}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    for flag in ["client-config", "password-file", "token-file", "enable-tls --tls-ca"] {
        let found = verifier(&format!("--{flag} /nonexistent/f"));
        let name = flag.rsplit('-').next().unwrap();
        assert!(
            found.contains(&format!("{name} /nonexistent/f: accepts a text file that can be read")),
            "{found}"
        );
    }
    assert_eq!(verifier("--tls-skip-verify"), "--tls-skip-verify: needs --enable-tls as well");
    assert_eq!(verifier("--enable-tls --tls-cert f"), "--tls-cert: needs --tls-key FILE as well");
}

#[test]
fn repeaters() {
    let alone = |line: &str| refusal(Program::Repeater, &line.split(' ').collect::<Vec<_>>());
    assert_eq!(alone("--group g"), "--topic: required, or --topics: accepts topic names, comma-separated");
    assert_eq!(alone("--topic t"), "--group: required: accepts the name of a consumer group");
    assert_eq!(repeater("--topics u"), "--topics: cannot be used with --topic: give one of them");
    assert!(repeater("--topic a,,b").starts_with("--topic a,,b: accepts a topic name"));
    assert_eq!(repeater("--topic a,b,a"), "--topic a,b,a: accepts each topic once, and a is there twice");
    assert_eq!(
        repeater("--initial-data-mb 1 --workers 100 --payload-size 16384"),
        "--initial-data-mb 1: accepts 2 or more: one message of 16384 bytes for each of 100 workers"
    );
    assert_eq!(repeater("--workers 0"), "--workers 0: accepts a whole number, 1 to 100000");
    assert_eq!(repeater("--payload-size 0"), "--payload-size 0: accepts a whole number, 1 to 2147483647");
    assert!(repeater("--payload-size 1048408").starts_with("--payload-size 1048408: accepts up to 1048391,"));
    assert!(repeater("--keys -1").starts_with("--keys -1: accepts a whole number"));
    assert!(repeater("--produce_msgs 1").starts_with("--produce_msgs: no such flag"));
}

proptest::proptest! {
    #[test]
    fn no_words_make_it_panic(
        flags in proptest::collection::vec(("--?(topic|brokers|linger|msg_size|cores|seq_read|X|fake-timestamp-ms)=?", ".{0,12}"), 0..6)
    ) {
        let words: Vec<&str> = flags.iter().flat_map(|(flag, value)| [flag.as_str(), value]).collect();
        for program in [Program::Proofload, Program::Verifier, Program::Repeater] {
            if let Err(exit) = super::run(program, &words) {
                proptest::prop_assert!(exit.code == 0 || exit.stderr.is_some_and(|line| line.lines().count() == 1));
            }
        }
    }
}

#[test]
fn slices_refuse_what_cannot_be_shared() {
    for (words, said) in [
        ("--slice 2/2", "--slice 2/2: accepts I/N with I from 0 to N-1, auto/N or auto"),
        ("--slice 0/2 --consumer_group_readers 2", "--slice: cannot be used with --consumer_group_readers"),
        ("--slice 0/2 --brokers embedded", "--slice: cannot be used with --brokers embedded"),
        ("--slice 0/11", "--produce_msgs 10: accepts 11 or more with --slice 0/11"),
        ("--slice 0/2 --rand_read_msgs 1", "--rand_read_msgs 1: accepts 2 or more with --slice 0/2"),
        ("--slice 0/2 --seq_read_msgs 1", "--seq_read_msgs 1: accepts 2 or more with --slice 0/2"),
        (
            "--slice 0/2 --report valid_offsets_t.slice-0-of-2.json",
            "--report valid_offsets_t.slice-0-of-2.json",
        ),
    ] {
        let error = verifier(words);
        assert!(error.starts_with(said), "{words}: {error}");
    }
}

#[test]
fn a_merge_needs_ledgers() {
    for words in
        [&["ledger"][..], &["ledger", "merge"], &["ledger", "split", "a"], &["ledger", "a.json", "merge"]]
    {
        assert!(
            refusal(Program::Proofload, words).starts_with("ledger: accepts merge, then the ledgers"),
            "{words:?}"
        );
    }
    let unknown = refusal(Program::Proofload, &["ledger", "merge", "a", "--into", "b"]);
    assert!(unknown.contains("--into"), "{unknown}");
}
