//! Every flag, in all of Go's spellings, and what `--help` says of it.

use std::{collections::BTreeSet, ffi::OsString, fmt::Debug};

use clap::{CommandFactory, FromArgMatches};

use super::{
    super::{Program, flags, go_flags, help, repeater::RepeaterArgs, verifier::VerifierArgs},
    Command, answer, refusal, run,
};

/// Flags of both programs, each with a value that is not its default; booleans have none.
const SHARED: &[(&str, &str)] = &[
    ("brokers", "h:9092,i:9092"),
    ("username", "u"),
    ("password", "p"),
    ("enable-tls", ""),
    ("debug", ""),
    ("trace", ""),
    ("linger", "5ms"),
    ("compression-type", "mixed"),
    ("compressible-payload", ""),
    ("tombstone-probability", "0.5"),
    ("use-transactions", ""),
    ("transaction-timeout-ms", "90000"),
    ("msgs-per-transaction", "10"),
    ("transaction-abort-rate", "0.1"),
    ("remote", ""),
    ("remote-port", "8080"),
    ("create-topic", ""),
    ("partitions", "3"),
    ("replication-factor", "3"),
    ("topic-config", "a=b"),
    ("cores", "all"),
    ("client-threads", "any"),
    ("client", "librdkafka"),
    ("print-placement", ""),
    ("X", "a=b"),
    ("client-config", "f"),
    ("sasl-mechanism", "PLAIN"),
    ("password-file", "f"),
    ("tls-ca", "f"),
    ("tls-cert", "f"),
    ("tls-key", "f"),
    ("tls-skip-verify", ""),
    ("startup-timeout", "0"),
    ("stall-after", "10s"),
    ("report", "f"),
    ("status-schema", "v1"),
    ("allow-host", "load.example"),
    ("bind", "::1"),
    ("require-complete", ""),
    ("duration", "20s"),
    ("deadline", "10m"),
    ("max-outage", "1m"),
    ("token-file", "f"),
    ("log-format", "json"),
    ("progress", "never"),
    ("color", "always"),
];

const VERIFIER: &[(&str, &str)] = &[
    ("topic", "other"),
    ("client-name", "me"),
    ("msg_size", "100"),
    ("produce_msgs", "10000000000"),
    ("seq_read", ""),
    ("seq_read_msgs", "0"),
    ("rand_read_msgs", "10"),
    ("parallel", "4"),
    ("consumer_group_readers", "2"),
    ("consumer_group_name", "g"),
    ("max-uncommitted", "100"),
    ("consumer-group-session-timeout-s", "30"),
    ("consumer-group-rebalance-timeout-s", "1m"),
    ("group-consume-exactly-once", ""),
    ("loop", ""),
    ("continuous", ""),
    ("slice", "0/3"),
    ("trogdor", ""),
    ("batch_max_bytes", "2048"),
    ("max-buffered-records", "1"),
    ("produce-random-bytes", ""),
    ("key-set-cardinality", "100"),
    ("validate-latest-values", ""),
    ("latest-values", "last"),
    ("compacted", ""),
    ("fake-timestamp-ms", "1000"),
    ("fake-timestamp-step-ms", "5"),
    ("produce-throughput-bps", "1000"),
    ("consume-throughput-mb", "10"),
    ("msgs-per-producer-id", "10"),
    ("tolerate-data-loss", ""),
    ("tolerate-failed-produce", ""),
    ("metadata-max-age", "1s"),
    ("proof-header", ""),
    ("keep-going", ""),
    ("ledger-dir", "d"),
];

const REPEATER: &[(&str, &str)] = &[
    ("topic", "a"),
    ("topics", "a,b"),
    ("group", "g"),
    ("workers", "2"),
    ("keys", "18446744073709551615"),
    ("payload-size", "100"),
    ("initial-data-mb", "8"),
    ("max-buffered-records", "64"),
    ("rate-limit-bps", "1000"),
    ("profile", "f"),
];

fn shown<A: CommandFactory + FromArgMatches + Debug>(words: &[String]) -> String {
    match flags::<A>("test", &help::VERIFIER, words.iter().map(OsString::from)) {
        Ok((args, _)) => format!("{args:?}"),
        Err(exit) => panic!("{words:?}: {exit:?}"),
    }
}

/// All spellings mean the same, and not the default.
fn check_spellings<A: CommandFactory + FromArgMatches + Debug>(name: &str, value: &str) {
    let spellings: Vec<Vec<String>> = if value.is_empty() {
        ["-N", "--N", "-N=1", "-N=t", "--N=T", "--N=true", "-N=TRUE", "--N=True"]
            .map(|spelling| vec![spelling.replace('N', name)])
            .into()
    } else {
        vec![
            vec![format!("-{name}"), value.into()],
            vec![format!("--{name}"), value.into()],
            vec![format!("-{name}={value}")],
            vec![format!("--{name}={value}")],
        ]
    };
    let found: BTreeSet<String> = spellings.iter().map(|words| shown::<A>(words)).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    assert!(!found.contains(&shown::<A>(&[])), "{name}: the table must not repeat the default");
}

fn check_all<A: CommandFactory + FromArgMatches + Debug>(own: &[(&str, &str)]) {
    let table: Vec<_> = SHARED.iter().chain(own).collect();
    for (name, value) in &table {
        check_spellings::<A>(name, value);
    }
    let command = A::command();
    let known: BTreeSet<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert_eq!(known, table.iter().map(|(name, _)| *name).collect(), "the table lists every flag");
    for arg in command.get_arguments() {
        let name = arg.get_long().unwrap();
        let boolean = table.iter().any(|(known, value)| *known == name && value.is_empty());
        assert_eq!(go_flags::is_boolean(arg), boolean, "{name}");
    }
}

#[test]
fn every_flag_in_every_spelling() {
    check_all::<VerifierArgs>(VERIFIER);
    check_all::<RepeaterArgs>(REPEATER);
}

#[test]
fn a_boolean_can_be_unset() {
    for word in ["0", "f", "F", "false", "FALSE", "False"] {
        let words = ["-seq_read".to_owned(), format!("-seq_read={word}")];
        assert_eq!(shown::<VerifierArgs>(&words), shown::<VerifierArgs>(&[]), "{word}");
    }
}

#[test]
fn spelled_out_defaults_change_nothing() {
    let defaults = "--username= --password= --enable-tls=false --client-name kgo \
         --msg_size 16384 --produce_msgs 0 --seq_read=0 --seq_read_msgs -1 --rand_read_msgs 0 --parallel 1 \
         --consumer_group_readers 0 --consumer_group_name= --max-uncommitted -1 --loop=false --linger 0 \
         --batch_max_bytes 1048576 --max-buffered-records 1024 --compression-type none \
         --key-set-cardinality -1 --tombstone-probability 0.0 --fake-timestamp-ms -1 \
         --fake-timestamp-step-ms 1 --produce-throughput-bps -1 --consume-throughput-mb -1 \
         --msgs-per-producer-id -1 --transaction-timeout-ms 2m --msgs-per-transaction 1 \
         --transaction-abort-rate 0 --stall-after 30s --metadata-max-age 15s --cores auto \
         --client-threads shard --status-schema v2 --log-format text --progress auto \
         --color auto --latest-values every";
    let words: Vec<String> = defaults.split_whitespace().map(str::to_owned).collect();
    assert_eq!(shown::<VerifierArgs>(&words), shown::<VerifierArgs>(&[]));
    let defaults = "--topic= --topics= --group= --workers 1 --keys 0 --payload-size 16384 --initial-data-mb 4 \
         --max-buffered-records 1 --rate-limit-bps -1 --compression-type=";
    let words: Vec<String> = defaults.split_whitespace().map(str::to_owned).collect();
    assert_eq!(shown::<RepeaterArgs>(&words), shown::<RepeaterArgs>(&[]));
}

#[test]
fn clap_finds_no_fault() {
    VerifierArgs::command().debug_assert();
    RepeaterArgs::command().debug_assert();
}

#[track_caller]
fn expect_80_columns(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80 && line.trim_end() == line, "{line}");
    }
    assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{text}");
}

#[test]
fn help_lists_every_flag_and_fits() {
    for (program, own) in [(Program::Verifier, VERIFIER), (Program::Repeater, REPEATER)] {
        let help = answer(program, &["--help"]);
        for (name, value) in SHARED.iter().chain(own) {
            let flag = format!("  -{}{name}", if name.len() == 1 { "" } else { "-" });
            let rest = help.lines().filter_map(|line| line.strip_prefix(&flag));
            let listed: Vec<_> =
                rest.filter(|rest| rest.is_empty() || rest.starts_with([' ', '['])).collect();
            let [rest] = listed.as_slice() else { panic!("{name}: {listed:?}: {help}") };
            let value_shown = rest.starts_with([' ', '[']) && !rest.starts_with("  ");
            assert!(value_shown != (value.is_empty() && *name != "proof-header"), "{name}: {rest}");
        }
        expect_80_columns(&help);
        for part in
            ["\nExamples\n", "\nExit codes", "\n  3  could not run", "\n  /shutdown ", " help TOPIC, with"]
        {
            assert!(help.contains(part), "{part}: {help}");
        }
        assert!(help.lines().count() <= 2 * (SHARED.len() + own.len()) + 65, "{help}");
    }
}

/// Whoever copies an example gets what it promises, or at least no usage error.
#[test]
fn examples_are_command_lines_that_work() {
    for (program, words) in [(Program::Verifier, &help::VERIFIER), (Program::Repeater, &help::REPEATER)] {
        for (flags, what) in words.examples {
            let line = flags.replace("$BROKERS", "localhost:9092");
            let line: Vec<&str> = line.split(' ').collect();
            match super::run(program, &line) {
                Ok(_) => {}
                // Its files are not here.
                Err(exit) => assert!(exit.stderr.unwrap().contains("a text file that can be read"), "{what}"),
            }
        }
    }
}

#[test]
fn the_three_names_have_one_help() {
    for (program, name, command) in
        [(Program::Verifier, "kgo-verifier", "verifier"), (Program::Repeater, "kgo-repeater", "repeater")]
    {
        let by_name = answer(program, &["--help"]);
        let by_command = answer(Program::Proofload, &[command, "--help"]);
        let words = |help: &str, name: &str| {
            help.replace(name, "NAME")
                .replace('\\', "")
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&by_name, name), words(&by_command, &format!("proofload {command}")));
        assert_eq!(answer(Program::Proofload, &["help", command]), by_command);
    }
}

#[test]
fn each_topic_has_a_text_and_the_help_names_it() {
    let top = answer(Program::Proofload, &["help"]);
    for (name, _) in help::NAMES {
        let text = answer(Program::Proofload, &["help", name]);
        expect_80_columns(&text);
        assert!(text.lines().count() > 10, "{text}");
        for help in [&top, &answer(Program::Verifier, &["-h"]), &answer(Program::Repeater, &["-h"])] {
            assert!(help.contains(name), "{name}: {help}");
        }
        // Whoever knows the program by another name finds it, too.
        assert_eq!(answer(Program::Verifier, &["help", name]), text);
        assert_eq!(answer(Program::Repeater, &["", "help", name]), text);
        assert_eq!(answer(Program::Proofload, &["verifier", "help", name]), text);
    }
    assert_eq!(answer(Program::Verifier, &["help"]), answer(Program::Verifier, &["--help"]));
    assert_eq!(answer(Program::Repeater, &["help"]), answer(Program::Repeater, &["--help"]));
    assert_eq!(
        answer(Program::Proofload, &["repeater", "help"]),
        answer(Program::Proofload, &["repeater", "--help"])
    );
    assert!(
        answer(Program::Verifier, &["help"])
            .contains("More: kgo-verifier help TOPIC, with one of verdicts, ")
    );
    assert!(answer(Program::Verifier, &["help", "repeater"]).contains("Usage: proofload repeater "));
    let doctor = answer(Program::Proofload, &["help", "doctor"]);
    assert_eq!(answer(Program::Proofload, &["doctor", "--help"]), doctor);
    assert!(doctor.contains("Usage: proofload doctor ") && !doctor.contains("Control port:"), "{doctor}");
    expect_80_columns(&doctor);
    assert!(
        refusal(Program::Verifier, &["help", "ledgers"]).contains("no such topic: accepts one of verifier, ")
    );
    expect_80_columns(&top);
    for words in [&["help", "ledgers"][..], &["help", "ledger", "x"]] {
        let refused = refusal(Program::Proofload, words);
        assert!(
            refused.contains("no such topic: accepts one of verifier, repeater, doctor, verdicts, "),
            "{refused}"
        );
    }
}

#[test]
fn texts_name_only_flags_that_exist() {
    let args = VerifierArgs::command();
    let repeater = RepeaterArgs::command();
    let known: BTreeSet<&str> =
        args.get_arguments().chain(repeater.get_arguments()).filter_map(clap::Arg::get_long).collect();
    for (name, _) in help::NAMES {
        let text = help::topic(name).unwrap();
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
            if let Some(flag) = word.strip_prefix("--") {
                // Docker's.
                assert!(known.contains(flag) || flag == "security-opt", "{name}: {word}");
            }
        }
    }
}

#[test]
fn help_and_version_by_any_name() {
    let help = answer(Program::Verifier, &["-h"]);
    assert!(help.contains("Usage: kgo-verifier "), "{help}");
    assert_eq!(answer(Program::Verifier, &["--topic", "t", "-help"]), help);
    assert!(answer(Program::Proofload, &["repeater", "--help"]).contains("Usage: proofload repeater "));
    for word in ["-h", "-help", "--help", "help"] {
        let top = answer(Program::Proofload, &["", word]);
        assert!(top.contains("verifier") && top.contains("repeater"), "{top}");
    }
    for words in [&["--version"][..], &["-version"], &["verifier", "--version"]] {
        assert_eq!(answer(Program::Proofload, words), format!("proofload {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn what_a_report_shows_of_the_flags_holds_no_secret() {
    let words = "--topic t -seq_read=1 --password p -X sasl.password=q --X client.rack=r --produce_msgs 5";
    let words = words.split(' ').map(OsString::from);
    let Ok((_, shown)) = flags::<VerifierArgs>("test", &help::VERIFIER, words) else {
        panic!("flags that are right")
    };
    let expected = [
        ("X", serde_json::json!(["sasl.password=***", "client.rack=r"])),
        ("password", "***".into()),
        ("produce_msgs", "5".into()),
        ("seq_read", "true".into()),
        ("loop", "false".into()),
        ("msg_size", "16384".into()),
    ];
    for (flag, value) in expected {
        assert_eq!(shown.get(flag), Some(&value), "{flag}");
    }
}

#[test]
fn a_merge_takes_files_and_a_folder_in_any_order() {
    for words in ["merge a b --ledger-dir=d", "--ledger-dir d merge a b", "merge a -ledger-dir d b"] {
        let words: Vec<_> = ["ledger"].into_iter().chain(words.split(' ')).collect();
        let Ok(Command::Merge(config)) = run(Program::Proofload, &words) else { panic!("{words:?}") };
        assert_eq!((config.ledgers, config.dir), (vec!["a".into(), "b".into()], "d".into()), "{words:?}");
    }
    let Ok(Command::Merge(config)) = run(Program::Proofload, &["ledger", "merge", "a"]) else { panic!() };
    assert_eq!(config.dir, std::path::Path::new("."));
}
