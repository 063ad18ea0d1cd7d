//! Compacted topics, and the last value of each key.

use std::{fs, time::Duration};

use crate::{
    Test,
    dsl::{
        Cluster, Mock, Run, Topic, Workdir,
        ledger::{self, LedgerFile},
        wait_for,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(a_topic_that_the_cleaner_has_compacted_holds_the_last_values),
        Alone(every_record_must_hold_the_last_value_unless_the_last_one_is_enough),
        Real(an_older_value_is_stale),
        Real(a_key_that_is_gone_is_found),
        Real(tombstones_let_a_compacted_log_end_early),
        Alone(a_log_that_is_cut_is_no_compacted_one),
        Real(a_log_that_ends_with_tombstones_holds_the_last_values),
        Real(a_missing_file_of_latest_values_is_an_error),
        Real(a_bad_file_of_latest_values_is_left_as_it_is),
        Real(latest_values_of_another_implementation_are_held_against_the_log),
        Alone(latest_values_need_room),
    ]
}

fn run(topic: &Topic, workdir: &Workdir, work: &str) -> Run {
    Run::verifier().in_dir(workdir).args(topic.flags()).args(work)
}

fn latest_file(topic: &Topic) -> String {
    format!("latest_value_{}.json", topic.name())
}

/// A topic that is cleaned as soon as its segments are closed, which they are soon.
fn compacted(cluster: &Cluster, partitions: usize) -> Topic {
    cluster.topic_with(
        partitions,
        &[
            ("cleanup.policy", "compact"),
            ("segment.ms", "500"),
            ("min.cleanable.dirty.ratio", "0.001"),
            ("min.compaction.lag.ms", "0"),
            ("max.compaction.lag.ms", "1000"),
            ("delete.retention.ms", "100"),
        ],
    )
}

/// Writes so many records, and then one after the other until the cleaner has been there.
fn produce_and_compact(topic: &Topic, workdir: &Workdir, flags: &str) {
    let produce = |records: u32| {
        let work = format!("--produce_msgs {records} --key-set-cardinality 10 --msg_size 40 {flags}");
        run(topic, workdir, &work).finish().expect_code(0);
    };
    produce(400);
    wait_for("the cleaner", || {
        // A record closes the segment before it.
        produce(1);
        std::thread::sleep(Duration::from_millis(600));
        (topic.records().len() < 60).then_some(())
    });
}

/// Compaction takes records and leaves the log's end where it was.
fn a_log_that_is_cut_is_no_compacted_one() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let keys = "--key-set-cardinality 5 --msg_size 10";
    run(&topic, &workdir, &format!("--produce_msgs 60 {keys}")).finish().expect_code(0);
    run(&topic, &workdir, &format!("--produce_msgs 40 {keys} --tombstone-probability 0.5"))
        .finish()
        .expect_code(0);
    let mut file = LedgerFile::read(workdir.path(), topic.name());
    assert!(file.adjust_consumable_offsets, "{file:?}");
    for (work, compacted) in [("--seq_read", ""), ("--consumer_group_readers 2", "--compacted")] {
        let work = format!("{work} {compacted}");
        run(&topic, &workdir, &work).finish().expect_code(0);
    }
    file.partition_ranges[0].ranges.as_mut().expect("ranges")[0].upper = 104;
    workdir.write(&ledger::file_name(topic.name()), file.text().as_bytes());
    for work in ["--seq_read", "--consumer_group_readers 2"] {
        let finished = run(&topic, &workdir, work).finish().expect_code(1);
        finished.expect_output(&[
            "lost-write: topic",
            "partition 0 offset 100: ",
            "4 acked records between 100 and 103",
        ]);
    }
}

fn a_topic_that_the_cleaner_has_compacted_holds_the_last_values(cluster: &Cluster) {
    let (topic, workdir) = (compacted(cluster, 1), Workdir::new());
    produce_and_compact(&topic, &workdir, "--validate-latest-values");
    let left = topic.records().len();
    assert!(left >= 10, "the last of each key, and what is not cleaned yet: {left}");
    let last = "--compacted --validate-latest-values --latest-values last";
    let works = [("--seq_read", "sequential  "), ("--consumer_group_readers 2", "group       ")];
    for (work, kind) in works {
        for flags in ["--compacted", last] {
            // Nobody can vouch for what compaction took, also where what it left is as it should be.
            let finished = run(&topic, &workdir, &format!("{work} {flags}")).finish().expect_code(0);
            let told = [
                "CONSISTENT: ",
                "acked records were not there any more: compaction may have taken them, and lost writes",
            ];
            finished.expect_output(&told).expect_output(&[&format!("{kind}{left} records proven valid")]);
        }
    }
    let random = run(&topic, &workdir, &format!("--rand_read_msgs 20 {last}")).finish();
    random.expect_code(0);
}

/// For logs that were compacted to one record a key; this one was not.
fn every_record_must_hold_the_last_value_unless_the_last_one_is_enough() {
    let (mock, workdir) = (Mock::start(), Workdir::new());
    let topic = mock.topic(1);
    let flags = "--key-set-cardinality 1 --msg_size 30 --validate-latest-values";
    run(&topic, &workdir, &format!("--produce_msgs 1 {flags}")).finish().expect_code(0);
    let reads = ["--seq_read", "--rand_read_msgs 20", "--consumer_group_readers 1"];
    for work in reads {
        run(&topic, &workdir, &format!("{work} --validate-latest-values")).finish().expect_code(0);
    }
    run(&topic, &workdir, &format!("--produce_msgs 2 {flags}")).finish().expect_code(0);
    for work in reads {
        let finished = run(&topic, &workdir, &format!("{work} --validate-latest-values")).finish();
        let word = "expected value-000000000000000002 in 30 bytes, the last one acked for this key";
        finished.expect_code(1).expect_output(&["stale-value", word]);
        let last = format!("{work} --validate-latest-values --latest-values last");
        run(&topic, &workdir, &last).finish().expect_code(0);
    }
}

/// As if compaction had kept an older value: the ledger of values knows of a later one.
fn an_older_value_is_stale(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let work = "--produce_msgs 3 --key-set-cardinality 1 --msg_size 30 --validate-latest-values";
    run(&topic, &workdir, work).finish().expect_code(0);
    for work in ["--seq_read", "--consumer_group_readers 2"] {
        let flags = "--compacted --validate-latest-values --latest-values last";
        let read = || run(&topic, &workdir, &format!("{work} {flags}")).finish();
        read().expect_code(0);
    }
    let text = fs::read_to_string(workdir.path().join(latest_file(&topic))).expect("latest values");
    // The base64 of a 2 and of a 7 in that place.
    let later = text.replace("MDAwMDAy", "MDAwMDA3");
    assert_ne!(text, later);
    workdir.write(&latest_file(&topic), later);
    for work in ["--seq_read", "--consumer_group_readers 2"] {
        let flags = "--compacted --validate-latest-values --latest-values last";
        let finished = run(&topic, &workdir, &format!("{work} {flags}")).finish();
        finished.expect_code(1).expect_one_error(&[
            "stale-value",
            "partition 0 offset 2",
            "expected value-000000000000000007 in 30 bytes, the last one acked for key 'key-0'",
            "found 'value-000000000000000002",
        ]);
    }
}

fn a_key_that_is_gone_is_found(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let work = "--produce_msgs 1 --key-set-cardinality 1 --msg_size 30 --validate-latest-values";
    run(&topic, &workdir, work).finish().expect_code(0);
    let path = workdir.path().join(latest_file(&topic));
    let text = fs::read_to_string(&path).expect("latest values");
    let more = text.replace(r#"{"key-0":"#, r#"{"gone":"YWJj","dead":null,"key-0":"#);
    assert_ne!(text, more);
    fs::write(&path, more).expect("latest values");
    let finished = run(&topic, &workdir, "--seq_read --compacted --validate-latest-values").finish();
    finished.expect_code(1).expect_one_error(&["stale-value", "key 'gone'", "no record of this key"]);
}

fn tombstones_let_a_compacted_log_end_early(cluster: &Cluster) {
    let (topic, workdir) = (compacted(cluster, 2), Workdir::new());
    let work = "--produce_msgs 600 --key-set-cardinality 5 --tombstone-probability 0.6 --msg_size 40";
    run(&topic, &workdir, work).finish().expect_code(0);
    let ledger = crate::dsl::ledger::LedgerFile::read(workdir.path(), topic.name());
    assert!(ledger.adjust_consumable_offsets);
    // Once before the cleaner has been there, and once behind it: what must be there always is.
    let read = || {
        let finished = run(&topic, &workdir, "--seq_read --compacted").finish().expect_code(0);
        finished.expect_no_output(&["VIOLATION"]);
    };
    read();
    std::thread::sleep(Duration::from_secs(3));
    read();
}

fn a_log_that_ends_with_tombstones_holds_the_last_values(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let produce = |records: u32, tombstones: u32| {
        let work = format!(
            "--produce_msgs {records} --key-set-cardinality 5 --tombstone-probability {tombstones} --msg_size 40"
        );
        run(&topic, &workdir, &work).args("--validate-latest-values").finish().expect_code(0);
    };
    produce(100, 0);
    produce(3, 1);
    let finished = run(&topic, &workdir, "--seq_read --validate-latest-values --latest-values last")
        .finish()
        .expect_code(0);
    finished.expect_output(&["sequential  103 records proven valid", "3 tombstones"]);
}

fn a_missing_file_of_latest_values_is_an_error(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    run(&topic, &workdir, "--produce_msgs 5 --msg_size 30").finish().expect_code(0);
    for work in ["--seq_read", "--rand_read_msgs 5", "--consumer_group_readers 1"] {
        let finished =
            run(&topic, &workdir, &format!("{work} --validate-latest-values")).finish().expect_code(3);
        finished.expect_one_error(&[&latest_file(&topic), "no such file", "--validate-latest-values"]);
    }
}

fn a_bad_file_of_latest_values_is_left_as_it_is(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    for text in ["nonsense", r#"{"LatestKvByPartition":[{},{}]}"#, r#"{"LatestKvByPartition":[{"k":"?"}]}"#] {
        workdir.write(&latest_file(&topic), text);
        let work = "--produce_msgs 5 --msg_size 30 --validate-latest-values";
        let finished = run(&topic, &workdir, work).finish().expect_code(3);
        finished.expect_one_error(&[&latest_file(&topic)]);
        assert_eq!(workdir.contents()[&latest_file(&topic)], text.as_bytes());
        assert_eq!(topic.ends(), [0], "nothing was produced");
    }
}

fn latest_values_of_another_implementation_are_held_against_the_log(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    topic.write_keyed(0, &[("a", Some("one")), ("b", None)]);
    // base64 of "one", and of "two".
    let file = |value: &str| format!(r#"{{"LatestKvByPartition":[{{"a":"{value}","b":null}}]}}"#);
    let read = || run(&topic, &workdir, "--seq_read --validate-latest-values").finish();
    workdir.write(&latest_file(&topic), file("b25l"));
    read().expect_code(0);
    workdir.write(&latest_file(&topic), file("dHdv"));
    read().expect_code(1).expect_one_error(&[
        "stale-value",
        "offset 0",
        "'two' in 3 bytes",
        "'one' in 3 bytes",
    ]);
}

fn latest_values_need_room() {
    let finished = Run::verifier()
        .args("--brokers embedded --topic t --produce_msgs 5 --msg_size 23 --validate-latest-values")
        .finish();
    finished.expect_code(2).expect_output(&["--msg_size 23: accepts 24 or more"]);
}
