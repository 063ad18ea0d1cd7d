//! What a ledger vouches for, and what a run says of the rest.

use std::fs;

use crate::{
    Test,
    dsl::{
        Cluster, Finished, Run, Topic, Workdir,
        ledger::{self, LedgerFile},
        topic::record_id,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(tombstones_do_not_end_a_log_that_is_not_compacted),
        Real(records_beyond_the_ledger_are_counted_apart),
        Real(a_ledger_of_another_topic_vouches_for_nothing),
        Real(a_group_that_had_been_here_before_is_told),
        Real(what_compaction_may_have_taken_is_named_as_such),
        Real(what_was_acked_while_a_reader_waited_is_missed_at_its_last_pass),
        Real(what_all_passes_have_read_is_told_of_the_same_passes),
    ]
}

fn run(topic: &Topic, workdir: &Workdir, work: &str) -> Finished {
    Run::verifier().in_dir(workdir).args(topic.flags()).args(work).finish().expect_code(0)
}

/// Hardly a key has a value in the end, so that `LastConsumableOffsets` lies near the beginning.
fn tombstones_do_not_end_a_log_that_is_not_compacted(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let keys = "--msg_size 40 --key-set-cardinality 2";
    run(&topic, &workdir, &format!("--produce_msgs 20 {keys}"));
    run(&topic, &workdir, &format!("--produce_msgs 1980 --tombstone-probability 1 {keys}"));
    let ledger = LedgerFile::read(workdir.path(), topic.name());
    assert!(ledger.adjust_consumable_offsets, "{ledger:?}");
    assert!(ledger.last_consumable_offsets.iter().all(|last| *last < 20), "{ledger:?}");
    for (work, kind) in [("--seq_read", "sequential  "), ("--consumer_group_readers 2", "group       ")] {
        run(&topic, &workdir, work)
            .expect_output(&[&format!("{kind}2,000 records proven valid"), "1,980 tombstones", "PROVEN"])
            .expect_no_output(&["left out"]);
    }
}

fn records_beyond_the_ledger_are_counted_apart(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    run(&topic, &workdir, "--produce_msgs 1000 --msg_size 40");
    fs::remove_file(workdir.path().join(ledger::file_name(topic.name()))).expect("a ledger");
    run(&topic, &workdir, "--produce_msgs 500 --msg_size 40");
    let told = "1,000 of 1,500 records that were read are beyond the ledger: it vouches for the rest";
    let by_whom = format!("{told}; 1,000 of them were written by another run (");
    for (work, kind, told) in
        [("--seq_read", "sequential  ", &*by_whom), ("--consumer_group_readers 2", "group       ", told)]
    {
        run(&topic, &workdir, work)
            .expect_output(&[&format!("{kind}1,500 records read, 500 proven valid"), told])
            .expect_no_output(&["PROVEN", "at the same time"]);
    }
}

fn a_ledger_of_another_topic_vouches_for_nothing(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    topic.write_proven(0, 0..30);
    assert_eq!(topic.records()[29].id(), record_id(29));
    run(&topic, &workdir, "--seq_read").expect_no_output(&["PROVEN"]);
    workdir.write(&ledger::file_name(topic.name()), LedgerFile::of(&[&[(10, 30)]]).text());
    run(&topic, &workdir, "--seq_read")
        .expect_output(&["10 of 30 records that were read are beyond the ledger"])
        .expect_no_output(&["PROVEN"]);
    workdir.write(&ledger::file_name(topic.name()), LedgerFile::of(&[&[(0, 30)]]).text());
    run(&topic, &workdir, "--seq_read").expect_output(&["PROVEN"]);
}

fn a_group_that_had_been_here_before_is_told(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let read = format!("--consumer_group_readers 2 --consumer_group_name named-{}", topic.name());
    run(&topic, &workdir, "--produce_msgs 100 --msg_size 40");
    run(&topic, &workdir, &read)
        .expect_output(&["group       100 records proven valid"])
        .expect_no_output(&["had been here before", "PROVEN"]);
    run(&topic, &workdir, "--produce_msgs 50 --msg_size 40");
    run(&topic, &workdir, &read)
        .expect_output(&[
            "group       50 records proven valid",
            "the group had been here before: 100 acked records below its committed offsets were not read again",
        ])
        .expect_no_output(&["PROVEN"]);
}

/// Whoever reads a compacted log without `--compacted` is told where the violation is named.
fn what_compaction_may_have_taken_is_named_as_such(cluster: &Cluster) {
    for (policy, is_named) in [("compact,delete", true), ("delete", false)] {
        let (topic, workdir) = (cluster.topic_with(1, &[("cleanup.policy", policy)]), Workdir::new());
        topic.write_proven(0, 0..30);
        workdir.write(&ledger::file_name(topic.name()), LedgerFile::of(&[&[(0, 35)]]).text());
        let read = Run::verifier().in_dir(&workdir).args(topic.flags()).args("--seq_read").finish();
        let read = read.expect_code(1).expect_output(&["lost-write"]);
        let hint = "the topic's cleanup.policy is compact: does it want --compacted?";
        if is_named {
            read.expect_output(&[hint])
        } else {
            read.expect_no_output(&[hint])
        };
    }
}

/// The ledger of the pass's beginning does not list what was acked since then.
fn what_was_acked_while_a_reader_waited_is_missed_at_its_last_pass(cluster: &Cluster) {
    for work in ["--seq_read --continuous", "--consumer_group_readers 2 --continuous"] {
        let (topic, workdir) = (cluster.topic(1), Workdir::new());
        run(&topic, &workdir, "--produce_msgs 100 --msg_size 40");
        let reader = Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).with_control().start();
        reader
            .harness()
            .until("all that there is", |workers| workers[0].reader().validator.valid_reads == 100);
        // As if more had been acked, and had gone before anybody read it.
        workdir.write(&ledger::file_name(topic.name()), LedgerFile::of(&[&[(0, 110)]]).text());
        reader.http().order("/last_pass");
        reader.finish().expect_code(1).expect_output(&["lost-write", "10 acked records between 100 and 109"]);
    }
}

/// A summary that counts the one over all passes, and the other in the last, compares what cannot be compared.
fn what_all_passes_have_read_is_told_of_the_same_passes(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    run(&topic, &workdir, "--produce_msgs 1000 --msg_size 40");
    workdir.write(&ledger::file_name(topic.name()), LedgerFile::of(&[&[(0, 600)]]).text());
    let work = "--seq_read --loop --report report.json";
    let reader = Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).with_control().start();
    reader.harness().until("three passes", |workers| workers[0].reader().validator.valid_reads > 3_000);
    reader.http().order("/last_pass");
    let finished = reader.finish().expect_code(0);
    let line = finished.stdout.lines().find(|line| line.trim_start().starts_with("sequential"));
    let summary = finished.stdout.split_once("sequential").map(|(_, rest)| rest).unwrap_or_default();
    let count = |text: &str, before: &str| -> u64 {
        let words: Vec<_> = text.split_once(before).map_or("", |(head, _)| head).split_whitespace().collect();
        let digits: String = words.last().unwrap_or(&"").chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|error| panic!("{before}: {error}: {line:?}"))
    };
    let read = count(summary, " records read");
    let (proven, beyond) = (count(summary, " proven valid"), count(summary, " beyond the ledger"));
    assert_eq!(read, proven + beyond, "{}", finished.stdout);
    assert_eq!((read % 1_000, proven * 2), (0, beyond * 3), "{}", finished.stdout);
    finished.expect_output(&["proven valid in all passes", "in the last pass, 400 of 1,000 records"]);
    let last = &workdir.report()["ledger"];
    assert_eq!((last["vouched_records"].as_u64(), last["beyond_records"].as_u64()), (Some(600), Some(400)));
}
