//! The benchmark's command lines.

use std::time::Duration;

use clap::CommandFactory;

use super::{
    super::{Command, Program, bench::BenchArgs, help},
    answer, refusal, run,
};
use crate::config::{BenchConfig, BenchRate, BenchReaders, ObjectiveOn, Passes};

fn bench(line: &str) -> BenchConfig {
    let words: Vec<_> = ["bench"].into_iter().chain(line.split_whitespace()).collect();
    match run(Program::Proofload, &words) {
        Ok(Command::Bench(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    let words: Vec<_> = ["bench"].into_iter().chain(line.split_whitespace()).collect();
    refusal(Program::Proofload, &words)
}

#[test]
fn nothing_has_to_be_said() {
    let config = bench("");
    assert_eq!((config.topics.as_slice(), config.rate), (&["bench".to_owned()][..], BenchRate::Max));
    assert_eq!((config.duration, config.warmup), (Duration::from_mins(1), Duration::from_secs(10)));
    assert_eq!((config.readers, config.find, config.output), (BenchReaders::Direct, None, None));
    let verifier = config.verifier;
    assert!(verifier.seq_read.is_some() && verifier.passes == Passes::Continuous);
    assert!(verifier.proof.proof_header && verifier.common.limits.duration.is_none());
    let new = verifier.common.new_topic.unwrap();
    assert_eq!(new.partitions, 8, "what is missing is created");
    let produce = verifier.produce.unwrap();
    assert_eq!(
        (produce.max_buffered_records, produce.value_bytes, produce.proof_header),
        (4_096, 16_384, true)
    );
    assert_eq!(verifier.common.flags["rate"], "max");
}

#[test]
fn a_load_is_what_was_asked_for() {
    let config = bench("--topic t --topics 3 --rate 2MiB/s --msg_size 1024 --readers none --partitions 2");
    assert_eq!(config.topics, ["t-0", "t-1", "t-2"]);
    assert_eq!((config.rate, config.readers), (BenchRate::RecordsPerS(2_048.0), BenchReaders::None));
    assert!(config.verifier.seq_read.is_none());
    assert_eq!(config.verifier.produce.unwrap().max_buffered_records, 16_384);
    let config = bench("--find-rate --slo p99.9=20ms --slo-on end-to-end --max-buffered-records 7");
    let objective = config.find.unwrap();
    assert_eq!((objective.words.as_str(), objective.on), ("p99.9=20ms", ObjectiveOn::EndToEnd));
    assert_eq!(objective.limit, Duration::from_millis(20));
    assert_eq!(config.verifier.produce.unwrap().max_buffered_records, 7);
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert!(refused("--rate 0").starts_with("--rate 0: accepts max, or a number above 0: records a second"));
    assert!(refused("--rate 200MiB").starts_with("--rate 200MiB: accepts max"));
    assert_eq!(refused("--find-rate"), "--find-rate: needs --slo as well, such as --slo p99=20ms");
    assert_eq!(refused("--slo p99=20ms"), "--slo: needs --find-rate as well");
    assert!(refused("--find-rate --slo 20ms").starts_with("--slo 20ms: accepts a percentile"));
    let blind = refused("--find-rate --slo p99=1s --slo-on end-to-end --readers none");
    assert_eq!(blind, "--slo-on: end-to-end needs readers: --readers is none");
    assert!(refused("--readers some").starts_with("--readers some: accepts direct, none, or GxM"));
    assert_eq!(
        refused("--msg_size 0 --rate 1MB/s"),
        "--rate: in bytes needs values of some: --msg_size is 0"
    );
    assert!(refused("--duration 0").starts_with("--duration 0: accepts"));
    assert!(refused("--produce_msgs 1").starts_with("--produce_msgs: no such flag"));
}

#[test]
fn the_help_fits_and_its_examples_work() {
    BenchArgs::command().debug_assert();
    let help = answer(Program::Proofload, &["bench", "--help"]);
    assert_eq!(answer(Program::Proofload, &["help", "bench"]), help);
    assert_eq!(answer(Program::Proofload, &["bench", "help"]), help);
    for line in help.lines() {
        assert!(line.chars().count() <= 80 && line.trim_end() == line, "{line}");
    }
    for flag in ["--rate RATE", "--find-rate", "--slo OBJECTIVE", "--output FILE", "--readers WHO"] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
    for (flags, _) in help::BENCH.examples {
        bench(&flags.replace("$BROKERS", "localhost:9092"));
    }
    assert!(answer(Program::Proofload, &["help"]).contains("bench"), "it is named");
}
