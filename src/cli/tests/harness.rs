//! Command lines like those of the scripts and harnesses that we inherit.

use std::{net::IpAddr, num::NonZeroU64, path::Path, time::Duration};

use super::{
    super::{Command, Program},
    repeater, run, verifier,
};
use crate::config::{
    Brokers, Compression, Fill, LatestChecks, LogFormat, Passes, ProgressMode, StartupTimeout, StatusSchema,
    Verbosity,
};

/// What they mean by the flag is the old tool's check.
#[test]
fn last_values_are_asked_of_every_record_unless_told_otherwise() {
    let checks = |flags: &str| verifier(&format!("--topic t --seq_read{flags}")).proof.latest_values;
    assert_eq!(checks(""), LatestChecks::Never);
    assert_eq!(checks(" --validate-latest-values"), LatestChecks::Every);
    assert_eq!(checks(" --validate-latest-values --latest-values last"), LatestChecks::Last);
}

#[test]
fn what_leaves_less_proven_is_told() {
    let weaker = |flags: &str| verifier(&format!("--topic t {flags}")).common.weaker;
    assert_eq!(weaker("--seq_read"), [] as [String; 0]);
    assert_eq!(weaker("--produce_msgs 1 --compacted"), [] as [String; 0], "nobody reads");
    for flags in
        ["--seq_read --compacted", "--seq_read --proof-header=false", "--produce_msgs 1 -X retries=1"]
    {
        assert_eq!(weaker(flags).len(), 1, "{flags}");
    }
}

#[test]
fn brokers_may_be_a_client_setting() {
    let config = verifier("--topic t --seq_read -X bootstrap.servers=a:1,b:2 -X linger.ms=5");
    assert_eq!(config.common.brokers, Brokers::Bootstrap("a:1,b:2".into()));
    assert_eq!(config.common.client_settings, [("linger.ms".to_owned(), "5".to_owned())]);
    let config = verifier("--topic t --seq_read");
    assert_eq!(config.common.brokers, Brokers::Bootstrap("localhost:9092".into()));
}

#[test]
fn a_producer_with_readers() {
    let config = verifier(
        "--brokers h:9092,i:9092 --topic t --msg_size 128000 --produce_msgs 10000 --rand_read_msgs 10 --seq_read=1",
    );
    assert_eq!(config.common.brokers, Brokers::Bootstrap("h:9092,i:9092".into()));
    assert_eq!(config.topic, "t");
    let produce = config.produce.unwrap();
    assert_eq!((produce.messages.get(), produce.value_bytes), (10_000, 128_000));
    assert_eq!((produce.batch_max_bytes, produce.max_buffered_records), (1_048_576, 1024));
    assert_eq!((produce.linger, produce.compression), (Duration::ZERO, Compression::None));
    assert_eq!((produce.fill, produce.key_set_cardinality), (Fill::Printable, None));
    assert_eq!((produce.fake_timestamps, produce.throughput_bytes_per_s), (None, None));
    let random = config.rand_read.unwrap();
    assert_eq!((random.readers, random.reads_per_reader), (1, 10));
    assert_eq!(config.seq_read.unwrap().max_messages, None);
    assert_eq!(config.passes, Passes::Once);
    assert_eq!(config.ledger_dir, Path::new("."));
    assert_eq!(config.common.client_id, "kgo");
    assert_eq!(config.common.startup_timeout, StartupTimeout::default());
    assert_eq!((config.common.remote_port, config.common.new_topic_partitions), (None, 8));
}

#[test]
fn what_the_python_harness_sends() {
    let config = verifier(
        "--brokers  a:1 --topic t  --msg_size 16384 --produce_msgs 10000000000 --rand_read_msgs 0 --seq_read=0 \
         --client-name kgo --remote --remote-port 8080 --tombstone-probability 0.0 -compressible-payload=true \
         --batch_max_bytes 65536 --key-set-cardinality 100 --fake-timestamp-ms 1600000000000 \
         --fake-timestamp-step-ms 10 --produce-throughput-bps 1000 --debug --trace \
         --tolerate-failed-produce --tolerate-data-loss --compacted ",
    );
    let produce = config.produce.unwrap();
    assert_eq!((produce.messages.get(), produce.fill), (10_000_000_000, Fill::Zeros));
    assert_eq!(produce.key_set_cardinality, Some(100));
    assert_eq!(produce.throughput_bytes_per_s, NonZeroU64::new(1000));
    let timestamps = produce.fake_timestamps.unwrap();
    assert_eq!((timestamps.start_ms, timestamps.step_ms), (1_600_000_000_000, 10));
    assert!(produce.tolerate_failed_produce && config.proof.tolerate_data_loss && config.proof.compacted);
    assert!(config.rand_read.is_none() && config.seq_read.is_none());
    assert!(config.common.remote);
    assert_eq!(config.common.verbosity, Verbosity::Trace);
}

#[test]
fn readers_that_loop() {
    let config = verifier(
        "--topic t --produce_msgs 0 --rand_read_msgs 100 --parallel 4 --seq_read --seq_read_msgs 7 --loop \
         --consume-throughput-mb 3",
    );
    assert!(config.produce.is_none());
    assert_eq!(config.passes, Passes::Loop);
    assert_eq!(config.rand_read.unwrap().readers, 4);
    let sequential = config.seq_read.unwrap();
    assert_eq!(sequential.max_messages, Some(7));
    assert_eq!(sequential.throughput_bytes_per_s, NonZeroU64::new(3 * 1024 * 1024));
}

#[test]
fn limits_can_be_off() {
    let config = verifier(
        "--topic t --produce_msgs 1 --seq_read --produce-throughput-bps -7 --consume-throughput-mb 0 \
         --startup-timeout 0 --seq_read_msgs -2 --fake-timestamp-ms -9 --proof-header=false",
    );
    assert_eq!(config.produce.as_ref().unwrap().throughput_bytes_per_s, None);
    assert_eq!(config.produce.unwrap().fake_timestamps, None);
    let sequential = config.seq_read.unwrap();
    assert_eq!((sequential.throughput_bytes_per_s, sequential.max_messages), (None, None));
    assert_eq!(config.common.startup_timeout.for_a_broker(), None);
}

#[test]
fn the_proof_header_is_written_unless_told_otherwise_or_there_is_no_room() {
    for (flags, written) in [
        ("", true),
        (" --proof-header", true),
        (" --proof-header=true", true),
        (" --proof-header=0", false),
        // What fits for the old tools must not be refused.
        (" --msg_size 1048408", false),
        (" --msg_size 1048341", true),
        (" --msg_size 1048342", false),
    ] {
        let config = verifier(&format!("--topic t --produce_msgs 1{flags}"));
        assert_eq!(config.produce.unwrap().proof_header, written, "{flags}");
        assert_eq!(config.proof.proof_header, flags != " --proof-header=0", "{flags}");
    }
}

#[test]
fn fill_of_the_payload() {
    for (flags, fill) in [
        ("", Fill::Printable),
        (" --produce-random-bytes", Fill::Random),
        (" --compressible-payload", Fill::Zeros),
        (" --compressible-payload --produce-random-bytes", Fill::Zeros),
    ] {
        let config = verifier(&format!("--topic t --produce_msgs 1{flags}"));
        assert_eq!(config.produce.unwrap().fill, fill, "{flags}");
    }
}

#[test]
fn where_the_control_port_listens() {
    for (flags, bind) in [
        ("", "127.0.0.1"),
        (" --remote", "0.0.0.0"),
        (" --bind ::1 --remote", "::1"),
        (" --bind 10.0.0.1", "10.0.0.1"),
    ] {
        let config = verifier(&format!("--topic t --seq_read{flags}"));
        assert_eq!(config.common.bind, bind.parse::<IpAddr>().unwrap(), "{flags}");
    }
}

#[test]
fn the_rest_of_the_common_flags() {
    let config = verifier(
        "--topic t --seq_read --brokers embedded:3 --partitions 5 --status-schema v1 --log-format json \
         --progress never --metadata-max-age 1s --client-name me --print-placement --debug",
    );
    let common = config.common;
    assert_eq!(common.brokers, Brokers::Embedded { brokers: 3 });
    assert_eq!((common.new_topic_partitions, common.client_id.as_str()), (5, "me"));
    assert_eq!((common.status_schema, common.log_format), (StatusSchema::V1, LogFormat::Json));
    assert_eq!((common.progress, common.verbosity), (ProgressMode::Never, Verbosity::Debug));
    assert_eq!(common.metadata_max_age, Duration::from_secs(1));
    assert!(common.print_placement);
    assert!(verifier("--print-placement").topic.is_empty(), "a plan needs neither topic nor work");
}

#[test]
fn a_repeater_of_the_harness() {
    let config = repeater(
        "-topics a,b -brokers h:9092 -workers 4 -initial-data-mb 16 -group g -remote -remote-port 8081  \
         -payload-size=1000 -keys=50 -max-buffered-records=64 -rate-limit-bps=4096 -compressible-payload=true",
    );
    assert_eq!(config.topics, ["a", "b"]);
    assert_eq!((config.group.as_str(), config.workers.get()), ("g", 4));
    assert_eq!((config.payload_bytes.get(), config.initial_data_bytes), (1000, 16 << 20));
    assert_eq!(config.tokens_per_worker(), 4194);
    assert_eq!((config.keys, config.max_buffered_records), (NonZeroU64::new(50), 64));
    assert_eq!((config.rate_limit_bytes_per_s, config.fill), (NonZeroU64::new(4096), Fill::Zeros));
    assert_eq!(config.common.bind, "0.0.0.0".parse::<IpAddr>().unwrap());
}

#[test]
fn a_plain_repeater() {
    let config = repeater("--topic a,b --group g");
    assert_eq!(config.topics, ["a", "b"], "either flag takes a list");
    assert_eq!((config.workers.get(), config.keys, config.max_buffered_records), (1, None, 1));
    assert_eq!((config.rate_limit_bytes_per_s, &config.profile), (None, &None));
    assert_eq!(config.tokens_per_worker(), 256);
    assert_eq!(repeater("--topic t --group g --profile f").profile, Some("f".into()));
    assert_eq!(repeater("--topic t --group g --profile=").profile, None);
}

#[test]
fn one_program_under_two_names() {
    let words = ["verifier", "--topic", "t", "--seq_read"];
    let found = run(Program::Proofload, &words);
    assert!(matches!(found, Ok(Command::Verifier(config)) if config.topic == "t"));
    let words = ["", "repeater", "-topic", "t", "-group", "g"];
    let found = run(Program::Proofload, &words);
    assert!(matches!(found, Ok(Command::Repeater(config)) if config.group == "g"));
}
