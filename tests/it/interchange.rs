//! Topics and ledgers that another implementation wrote, and topics that have lost what their ledger lists.

use crate::{
    Test,
    dsl::{
        Cluster, Finished, Run, Topic, Workdir, Worker,
        ledger::{self, LedgerFile},
        topic::record_id,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(records_and_ledger_of_another_implementation_are_proven),
        Real(null_ranges_of_another_implementation_are_empty),
        Real(a_wrong_header_in_the_ledgers_scope_is_a_violation),
        Real(a_missing_header_in_the_ledgers_scope_is_a_violation),
        Real(a_random_reader_finds_a_wrong_header_too),
        Real(a_wrong_header_out_of_the_ledgers_scope_is_counted),
        Real(a_wrong_header_of_what_was_acked_since_a_reader_began_is_a_violation),
        Real(only_the_first_header_counts),
        Real(records_that_retention_took_are_no_loss),
        Real(an_acked_record_missing_at_the_end_is_a_violation),
        Real(a_lost_end_is_counted_where_that_is_tolerated),
        Real(a_violation_ends_a_remote_process_at_once),
        Real(a_producer_whose_log_was_cut_says_so),
    ]
}

const ID: &str = "KGO_VERIFIER_RECORD_ID";

fn workdir_with(topic: &Topic, text: &str) -> Workdir {
    let workdir = Workdir::new();
    workdir.write(&ledger::file_name(topic.name()), text);
    workdir
}

/// Reads a topic against this ledger, which readers leave as it is.
fn read(topic: &Topic, ledger: &LedgerFile, work: &str) -> Finished {
    let workdir = workdir_with(topic, &ledger.text());
    let before = workdir.contents();
    let finished = Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).finish();
    assert_eq!(workdir.contents(), before, "a reader leaves the ledger as it is");
    finished
}

/// Ten records, of which the one at offset 4 bears this header.
fn one_odd_record(cluster: &Cluster, header: Option<(&str, &str)>) -> Topic {
    let topic = cluster.topic(2);
    topic.write_proven(1, 0..4);
    topic.write(1, &[header]);
    topic.write_proven(1, 5..10);
    topic
}

fn records_and_ledger_of_another_implementation_are_proven(cluster: &Cluster) {
    let topic = cluster.topic(2);
    topic.write_proven(0, 0..30);
    topic.write_proven(1, 0..20);
    let text = r#"{"PartitionRanges":[{"Ranges":[{"Lower":0,"Upper":10},{"Lower":10,"Upper":30}],"TolerateDataLoss":false},{"Ranges":[{"Lower":5,"Upper":20}],"TolerateDataLoss":false}],"AdjustConsumableOffsets":false,"LastConsumableOffsets":[0,0]}"#;
    let workdir = workdir_with(&topic, text);
    let run = || Run::verifier().in_dir(&workdir).args(topic.flags());
    // So many that some of them lie beyond the ledger, which vouches for nine in ten.
    let finished = run().args("--seq_read --rand_read_msgs 300").finish().expect_code(0);
    finished
        .expect_output(&["random      300 records read, ", "sequential  50 records read, 45 proven valid"]);
    run().args("--produce_msgs 40 --msg_size 10 --seq_read").finish().expect_code(0);
    let ranges = LedgerFile::read(workdir.path(), topic.name()).ranges();
    let ends = topic.ends();
    assert_eq!(ranges, [vec![(0, ends[0])], vec![(5, ends[1])]], "it went on from theirs");
}

fn null_ranges_of_another_implementation_are_empty(cluster: &Cluster) {
    let topic = cluster.topic(2);
    topic.write_proven(1, 0..5);
    let text = r#"{"PartitionRanges":[{"Ranges":null,"TolerateDataLoss":false},{"Ranges":[{"Lower":0,"Upper":5}],"TolerateDataLoss":false}],"AdjustConsumableOffsets":false,"LastConsumableOffsets":[0,0]}"#;
    let workdir = workdir_with(&topic, text);
    let run = Run::verifier()
        .in_dir(&workdir)
        .args(topic.flags())
        .args("--produce_msgs 20 --msg_size 9 --seq_read");
    run.finish().expect_code(0).expect_output(&["25 records proven valid"]);
    LedgerFile::read(workdir.path(), topic.name()).expect_all_up_to(&topic.ends());
}

/// Exit code 1, and the evidence.
fn expect_wrong_offset(finished: Finished, topic: &Topic, found: &str) {
    let place = format!("wrong-offset: topic {} partition 1 offset 4", topic.name());
    let expected = format!("{ID} '{}'", record_id(4));
    finished.expect_code(1).expect_one_error(&[&place, &expected, found]).expect_output(&["VIOLATION"]);
}

fn a_wrong_header_in_the_ledgers_scope_is_a_violation(cluster: &Cluster) {
    let wrong = record_id(5);
    let topic = one_odd_record(cluster, Some((ID, &wrong)));
    let finished = read(&topic, &LedgerFile::of(&[&[], &[(0, 10)]]), "--seq_read");
    expect_wrong_offset(finished, &topic, &wrong);
}

fn a_missing_header_in_the_ledgers_scope_is_a_violation(cluster: &Cluster) {
    let topic = one_odd_record(cluster, None);
    let finished = read(&topic, &LedgerFile::of(&[&[], &[(4, 5)]]), "--seq_read");
    expect_wrong_offset(finished, &topic, "no header");
}

fn a_random_reader_finds_a_wrong_header_too(cluster: &Cluster) {
    let topic = one_odd_record(cluster, Some((ID, "nonsense")));
    let finished = read(&topic, &LedgerFile::of(&[&[], &[(0, 10)]]), "--rand_read_msgs 1000");
    expect_wrong_offset(finished, &topic, "nonsense");
}

fn a_wrong_header_out_of_the_ledgers_scope_is_counted(cluster: &Cluster) {
    let topic = one_odd_record(cluster, Some((ID, "nonsense")));
    let finished = read(&topic, &LedgerFile::of(&[&[], &[(0, 4), (5, 10)]]), "--seq_read");
    finished.expect_code(0).expect_output(&["9 records proven valid", "1 not in the ledger's scope"]);
}

/// The ledger of the beginning does not reach so far; that of the end does.
fn a_wrong_header_of_what_was_acked_since_a_reader_began_is_a_violation(cluster: &Cluster) {
    let wrong = record_id(7);
    for (is_listed, code) in [(true, 1), (false, 0)] {
        let topic = cluster.topic(2);
        topic.write_proven(1, 0..4);
        let workdir = workdir_with(&topic, &LedgerFile::of(&[&[], &[(0, 4)]]).text());
        let reader = Run::verifier().in_dir(&workdir).args(topic.flags()).args("--seq_read --continuous");
        let reader = reader.with_control().start();
        let read = |count| {
            reader.harness().until("reads", |workers| {
                let validator = &workers[0].reader().validator;
                validator.valid_reads + validator.out_of_scope_invalid_reads == count
            });
        };
        read(4);
        topic.write(1, &[Some((ID, &wrong))]);
        topic.write_proven(1, 5..10);
        read(10);
        let ranges: [&[(i64, i64)]; 2] = [&[], if is_listed { &[(0, 10)] } else { &[(0, 4), (5, 10)] }];
        workdir.write(&ledger::file_name(topic.name()), LedgerFile::of(&ranges).text());
        reader.http().order("/last_pass");
        let finished = reader.finish();
        if code == 1 {
            expect_wrong_offset(finished, &topic, &wrong);
        } else {
            finished.expect_code(0).expect_no_output(&["VIOLATION", "client-resend"]);
        }
    }
}

fn only_the_first_header_counts(cluster: &Cluster) {
    let (topic, right) = (cluster.topic(2), record_id(0));
    topic.write_with_headers(1, &[(ID, &right), (ID, "nonsense"), ("other", "x")]);
    let ledger = LedgerFile::of(&[&[], &[(0, 1)]]);
    read(&topic, &ledger, "--seq_read").expect_code(0).expect_output(&["1 record proven valid"]);
    topic.write_with_headers(1, &[("other", "x"), (ID, &record_id(1))]);
    let ledger = LedgerFile::of(&[&[], &[(0, 2)]]);
    read(&topic, &ledger, "--seq_read")
        .expect_code(1)
        .expect_output(&["wrong-offset", "partition 1 offset 1"]);
}

fn records_that_retention_took_are_no_loss(cluster: &Cluster) {
    let topic = cluster.topic(1);
    topic.write_proven(0, 0..20);
    topic.delete_below(0, 8);
    let finished = read(&topic, &LedgerFile::of(&[&[(0, 20)]]), "--seq_read --rand_read_msgs 20");
    finished.expect_code(0).expect_output(&["12 records proven valid", "20 records proven valid", "PROVEN"]);
    topic.delete_below(0, 20);
    let finished = read(&topic, &LedgerFile::of(&[&[(0, 20)]]), "--seq_read --rand_read_msgs 5");
    let words = format!(
        "NO PROGRESS: there was nothing to read in topic {}: retention had removed 20 acked records",
        topic.name()
    );
    finished.expect_code(3).expect_output(&[&words]);
}

fn an_acked_record_missing_at_the_end_is_a_violation(cluster: &Cluster) {
    let topic = cluster.topic(2);
    topic.write_proven(1, 0..10);
    let finished = read(&topic, &LedgerFile::of(&[&[], &[(0, 13)]]), "--seq_read");
    let place = format!("lost-write: topic {} partition 1 offset 10", topic.name());
    finished.expect_code(1).expect_one_error(&[&place, "3 acked records between 10 and 12 missing"]);
    let emptied = cluster.topic(1);
    let finished = read(&emptied, &LedgerFile::of(&[&[(0, 13)]]), "--seq_read");
    finished.expect_code(1).expect_one_error(&["lost-write", "partition 0 offset 0"]);
}

fn a_lost_end_is_counted_where_that_is_tolerated(cluster: &Cluster) {
    let topic = cluster.topic(2);
    topic.write_proven(1, 0..10);
    let workdir = workdir_with(&topic, &LedgerFile::of(&[&[], &[(0, 13)]]).text());
    let run = Run::verifier().in_dir(&workdir).args(topic.flags());
    let run = run.args("--seq_read --tolerate-data-loss --remote").with_control().start();
    let workers = run.harness().until_done();
    let lost = workers[0].reader().validator.lost_offsets.clone().unwrap_or_default();
    assert_eq!(lost, [("1".to_owned(), 3)].into(), "{workers:?}");
    run.http().order("/shutdown");
    run.finish().expect_code(0);
}

fn a_violation_ends_a_remote_process_at_once(cluster: &Cluster) {
    let topic = one_odd_record(cluster, None);
    let workdir = workdir_with(&topic, &LedgerFile::of(&[&[], &[(0, 10)]]).text());
    let run = Run::verifier().in_dir(&workdir).args(topic.flags()).args("--seq_read --loop --remote");
    run.with_control().start().finish().expect_code(1).expect_output(&["wrong-offset"]);
}

/// The ledger's offsets were acked once; if the log is now written again below its end, it was truncated.
fn a_producer_whose_log_was_cut_says_so(cluster: &Cluster) {
    let topic = cluster.topic(1);
    topic.write_proven(0, 0..10);
    let workdir = workdir_with(&topic, &LedgerFile::of(&[&[(0, 1000)]]).text());
    let run = || Run::verifier().in_dir(&workdir).args(topic.flags()).args("--produce_msgs 20 --msg_size 10");
    let finished = run().finish().expect_code(1);
    finished.expect_one_error(&["refilled-truncation", topic.name(), "partition 0", "999"]);
    let tolerant = run().args("--tolerate-data-loss --remote").with_control().start();
    let workers = tolerant.harness().until_done();
    assert!(matches!(&workers[0], Worker::Producer(producer) if producer.acked == 20), "{workers:?}");
    tolerant.http().order("/shutdown");
    tolerant.finish().expect_code(0);
    let ranges = LedgerFile::read(workdir.path(), topic.name()).ranges();
    assert_eq!(ranges[0].last().map(|(_, upper)| *upper), Some(topic.ends()[0]), "{ranges:?}");
}
