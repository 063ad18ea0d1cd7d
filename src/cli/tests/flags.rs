//! Every flag, in all of Go's spellings, and what `--help` says of it.

use std::{collections::BTreeSet, ffi::OsString, fmt::Debug};

use clap::{CommandFactory, FromArgMatches};

use super::{
    super::{Program, flags, go_flags, repeater::RepeaterArgs, verifier::VerifierArgs},
    answer,
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
    ("token-file", "f"),
    ("log-format", "json"),
    ("progress", "never"),
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
    match flags::<A>("test", words.iter().map(OsString::from)) {
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
         --transaction-abort-rate 0 --stall-after 30s --metadata-max-age 15s --remote-port 7884 --cores auto \
         --client-threads shard --startup-timeout 1m --status-schema v2 --log-format text --progress auto \
         --latest-values every";
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

#[test]
fn help_lists_every_flag_and_fits() {
    for (program, own) in [(Program::Verifier, VERIFIER), (Program::Repeater, REPEATER)] {
        let help = answer(program, &["--help"]);
        for (name, _) in SHARED.iter().chain(own) {
            let listed =
                help.split_whitespace().any(|word| word.split('[').next() == Some(&format!("--{name}")));
            assert!(listed, "{name}: {help}");
        }
        for line in help.lines() {
            assert!(line.chars().count() <= 110, "{line}");
        }
        assert!(help.lines().count() <= 2 * (SHARED.len() + own.len()), "{help}");
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
    let Ok((_, shown)) = flags::<VerifierArgs>("test", words) else { panic!("flags that are right") };
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
