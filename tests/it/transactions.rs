//! Producing in transactions, and reading what was committed.

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{
        Cluster, Producer, Run, Topic, Workdir,
        ledger::{self, LedgerFile},
        wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnReal(&[], a_broker_killed_under_transactions_costs_no_record),
        OwnReal(
            &["transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"],
            a_transaction_that_the_cluster_timed_out_has_no_newer_instance
        ),
        OwnReal(
            &["transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"],
            a_transaction_that_the_cluster_timed_out_needs_no_new_producer_of_ours
        ),
        Real(offsets_are_predicted_across_markers),
        Real(aborted_records_show_only_to_those_who_read_everything),
        Real(one_record_in_each_transaction),
        Real(a_killed_run_leaves_nothing_that_the_next_one_trips_over),
        Real(another_run_with_the_same_id_fences),
        Real(a_record_of_an_aborted_transaction_must_not_show),
        Real(random_readers_see_committed_records_only),
        Real(what_random_readers_do_not_find_is_lost),
        Real(a_signal_commits_what_is_complete),
        Real(a_transaction_timeout_that_the_cluster_refuses),
        Real(messages_per_producer_id_make_new_producers),
        Alone(a_cluster_without_markers_is_learnt),
    ]
}

const IN_TRANSACTIONS: &str = "--use-transactions --msgs-per-transaction 10";

fn run(topic: &Topic, workdir: &Workdir, work: &str) -> Run {
    Run::verifier().in_dir(workdir).args(topic.flags()).args(work)
}

/// Produces to the end, and returns what the producer says of itself.
fn produced(topic: &Topic, workdir: &Workdir, work: &str) -> Producer {
    let run = run(topic, workdir, &format!("{work} --remote")).with_control().start();
    let producer = run.harness().until_done()[0].producer().clone();
    run.http().order("/shutdown");
    run.finish().expect_code(0);
    producer
}

fn a_broker_killed_under_transactions_costs_no_record(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(3), Workdir::new());
    let work = format!(
        "--produce_msgs 4000 --msg_size 100 --produce-throughput-bps 80000 --transaction-abort-rate 0.2 \
         --seq_read --consumer_group_readers 2 --remote {IN_TRANSACTIONS}"
    );
    let verifier = run(&topic, &workdir, &work).with_control().start();
    verifier.harness().until("acks", |workers| workers[0].producer().acked > 500);
    cluster.kill(0);
    cluster.restart(0);
    let workers = verifier.harness().until_done();
    verifier.http().order("/shutdown");
    let finished = verifier.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR"]);
    let (producer, readers) = (workers[0].producer(), &workers[1..]);
    assert_eq!(producer.acked, 4_000, "{}", finished.transcript());
    for reader in readers {
        // A transaction whose end was not heard of is sent again: its records can be there twice.
        let validator = &reader.reader().validator;
        assert!(validator.valid_reads >= producer.acked - producer.aborted_transaction_msgs, "{workers:?}");
        assert_eq!(validator.invalid_reads, 0);
    }
}

/// One transaction takes 1.6 s and may take 1 s: the cluster ends those that are older when it looks, and some pass.
/// It is sent again, and nobody else is blamed for it.
fn a_transaction_that_the_cluster_timed_out_has_no_newer_instance(cluster: &Cluster) {
    timed_out(cluster, "librdkafka", ", and there is a new producer");
}

fn a_transaction_that_the_cluster_timed_out_needs_no_new_producer_of_ours(cluster: &Cluster) {
    timed_out(cluster, "wire", ": raise --transaction-timeout-ms");
}

fn timed_out(cluster: &Cluster, client: &str, consequence: &str) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let work = format!(
        "--produce_msgs 10000000 --msg_size 100 --produce-throughput-bps 10000 --cores 1 --use-transactions \
         --msgs-per-transaction 160 --transaction-timeout-ms 1s --client {client}"
    );
    let run_ = run(&topic, &workdir, &work).with_control().start();
    let told = format!("the cluster timed the transaction out{consequence}");
    wait_until(&told, || run_.stderr().contains(&told));
    let before = run_.harness().until("an answer", |_| true)[0].producer().acked;
    run_.harness().until("a transaction in time", |workers| workers[0].producer().acked > before);
    run_.signal(Signal::SIGTERM);
    run_.finish()
        .expect_code(0)
        .expect_output(&["the cluster timed the transaction out", "raise --transaction-timeout-ms"])
        .expect_no_output(&["VIOLATION", "ERROR", "newer instance", "was fenced"]);
    let listed = LedgerFile::read(workdir.path(), topic.name()).count();
    assert_eq!(i64::try_from(topic.committed_records().len()), Ok(listed));
}

fn offsets_are_predicted_across_markers(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(4), Workdir::new());
    let work = format!("--produce_msgs 3000 --msg_size 50 --transaction-abort-rate 0.3 {IN_TRANSACTIONS}");
    for round in 1..=2 {
        let producer = produced(&topic, &workdir, &work);
        assert_eq!((producer.sent, producer.acked), (3_000, 3_000), "{producer:?}");
        assert_eq!((producer.bad_offsets, producer.restarts, producer.failed_transactions), (0, 0, 0));
        assert!((1..3_000).contains(&producer.aborted_transaction_msgs), "{producer:?}");
        assert!(topic.ends().iter().sum::<i64>() > round * 3_000, "markers lie between");
    }
    // The ledger lists what was committed: exactly what another client sees of it.
    let ledger = LedgerFile::read(workdir.path(), topic.name());
    for record in topic.committed_records() {
        let partition = usize::try_from(record.partition).expect("a partition");
        assert!(ledger.lists(partition, record.offset) && record.names_itself(), "{record:?}");
    }
}

fn aborted_records_show_only_to_those_who_read_everything(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let work = format!("--produce_msgs 1000 --msg_size 50 --transaction-abort-rate 0.4 {IN_TRANSACTIONS}");
    let producer = produced(&topic, &workdir, &work);
    let (aborted, committed) =
        (producer.aborted_transaction_msgs, producer.acked - producer.aborted_transaction_msgs);
    let read = |flags: &str| {
        let run = run(&topic, &workdir, &format!("--seq_read --remote {flags}")).with_control().start();
        let validator = run.harness().until_done()[0].reader().validator.clone();
        run.http().order("/shutdown");
        run.finish().expect_code(0);
        validator
    };
    let committed_only = read("--use-transactions");
    assert_eq!(committed_only.valid_reads, committed);
    assert_eq!(
        (committed_only.out_of_scope_invalid_reads, committed_only.offset_gaps),
        (0, 0),
        "markers are no gaps"
    );
    assert_eq!(committed_only.max_offsets_consumed, producer.max_offsets_produced);
    let all = read("");
    assert_eq!((all.valid_reads, all.out_of_scope_invalid_reads), (committed, aborted));
    let marked =
        topic.records().iter().filter(|record| record.id().starts_with("ABORTED MSG: 000000.")).count();
    assert_eq!(marked as u64, aborted);
}

fn one_record_in_each_transaction(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let producer = produced(&topic, &workdir, "--produce_msgs 60 --msg_size 10 --use-transactions");
    assert_eq!((producer.acked, producer.bad_offsets), (60, 0));
    assert_eq!(topic.ends().iter().sum::<i64>(), 120, "each with its marker");
}

fn a_killed_run_leaves_nothing_that_the_next_one_trips_over(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let work = "--produce_msgs 50000 --msg_size 100 --produce-throughput-bps 60000 --use-transactions \
                --msgs-per-transaction 200";
    let killed = run(&topic, &workdir, work).with_control().start();
    wait_until("a ledger", || LedgerFile::find(workdir.path(), topic.name()).is_some());
    killed.signal(Signal::SIGKILL);
    drop(killed);
    // Readers would wait for the open transaction until it times out; a producer with its id aborts it.
    let producer = produced(&topic, &workdir, &format!("--produce_msgs 500 --msg_size 10 {IN_TRANSACTIONS}"));
    assert_eq!((producer.acked, producer.bad_offsets, producer.restarts), (500, 0, 0), "{producer:?}");
    let read = run(&topic, &workdir, "--seq_read --use-transactions").finish().expect_code(0);
    read.expect_nothing_wrong();
}

fn another_run_with_the_same_id_fences(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let long =
        format!("--produce_msgs 50000 --msg_size 100 --produce-throughput-bps 60000 {IN_TRANSACTIONS}");
    let first = run(&topic, &workdir, &long).with_control().start();
    // Of each of its transactional ids: one that it takes up later would fence the other run.
    first.harness().until("acks everywhere", |workers| {
        let producer = workers[0].producer();
        producer.acked > 50 && producer.max_offsets_produced.len() == 2
    });
    produced(&topic, &Workdir::new(), &format!("--produce_msgs 100 --msg_size 10 {IN_TRANSACTIONS}"));
    let finished = first.finish().expect_code(3);
    finished.expect_one_error(&[
        "transactional id 'kgo-",
        "was fenced: another run produces to topic",
        topic.name(),
    ]);
}

fn a_record_of_an_aborted_transaction_must_not_show(cluster: &Cluster) {
    let topic = cluster.topic(1);
    topic.write_proven(0, 0..3);
    let id = "ABORTED MSG: 000000.000000000000000003";
    topic.write(0, &[Some(("KGO_VERIFIER_RECORD_ID", id))]);
    let read = |flags: &str| run(&topic, &Workdir::new(), &format!("--seq_read {flags}")).finish();
    read("--use-transactions").expect_code(1).expect_one_error(&["aborted-read", "partition 0 offset 3", id]);
    read("").expect_code(0).expect_output(&["1 not in the ledger's scope"]);
}

fn random_readers_see_committed_records_only(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let work = format!(
        "--produce_msgs 300 --msg_size 20 --transaction-abort-rate 0.5 {IN_TRANSACTIONS} --rand_read_msgs 100"
    );
    let finished = run(&topic, &workdir, &work).finish().expect_code(0);
    finished.expect_output(&["random      100 records proven valid"]).expect_no_output(&["scope"]);
}

/// The ledger lists all offsets, those of aborted records too: as if they had been committed, and were gone.
fn what_random_readers_do_not_find_is_lost(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let work = format!("--produce_msgs 200 --msg_size 20 --transaction-abort-rate 0.5 {IN_TRANSACTIONS}");
    run(&topic, &workdir, &work).finish().expect_code(0);
    let all = LedgerFile::of(&[&[(0, topic.ends()[0])]]);
    workdir.write(&ledger::file_name(topic.name()), all.text());
    let finished = run(&topic, &workdir, "--rand_read_msgs 500 --use-transactions").finish().expect_code(1);
    finished.expect_one_error(&["lost-write", "partition 0", "found the next record at"]);
}

fn a_signal_commits_what_is_complete(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let work = "--produce_msgs 50000 --msg_size 100 --produce-throughput-bps 50000 --use-transactions \
                --msgs-per-transaction 100000";
    let run_ = run(&topic, &workdir, work).with_control().start();
    run_.harness().until("records", |workers| workers[0].producer().sent > 200);
    run_.signal(Signal::SIGTERM);
    run_.finish().expect_code(0).expect_output(&["INTERRUPTED"]);
    let ledger = LedgerFile::read(workdir.path(), topic.name());
    assert!(ledger.count() > 200, "{}", ledger.count());
    assert_eq!(i64::try_from(topic.committed_records().len()), Ok(ledger.count()));
}

fn a_transaction_timeout_that_the_cluster_refuses(cluster: &Cluster) {
    let topic = cluster.topic(1);
    let work = "--produce_msgs 10 --msg_size 10 --use-transactions --transaction-timeout-ms 20h";
    let finished = run(&topic, &Workdir::new(), work).finish().expect_code(3);
    finished.expect_one_error(&["transactional id 'kgo-", "cannot be used", topic.name()]);
    assert_eq!(topic.ends(), [0]);
}

fn messages_per_producer_id_make_new_producers(cluster: &Cluster) {
    // Transactions of 20: the second of each producer is ended before it is full. Our own client has an epoch for each
    // transaction where the cluster has them, and each producer's last marker has one more.
    let in_transactions = "--use-transactions --msgs-per-transaction 20";
    let (ours, theirs) =
        (format!("{in_transactions} --client wire"), format!("{in_transactions} --client librdkafka"));
    for (transactions, epochs) in [("", 4), (&*theirs, 4), (&*ours, 3 * 3 + 2)] {
        let (topic, workdir) = (cluster.topic(1), Workdir::new());
        let work = "--produce_msgs 100 --msg_size 10 --msgs-per-producer-id 30 --cores 1";
        let producer = produced(&topic, &workdir, &format!("{work} {transactions}"));
        assert_eq!((producer.acked, producer.bad_offsets, producer.restarts), (100, 0, 0), "{transactions}");
        assert_eq!(producers_of(cluster, &topic), epochs, "30, 30, 30 and 10 {transactions}");
    }
}

/// How many producers have written to the only partition of a topic, one after the other.
fn producers_of(cluster: &Cluster, topic: &Topic) -> usize {
    let segment = cluster.partition_folder(topic, 0).join("00000000000000000000.log");
    let log = std::fs::read(segment).expect("a segment");
    let (mut producers, mut rest) = (Vec::new(), &log[..]);
    while rest.len() > 61 {
        // Bytes 43..51 of a batch of format 2 are the id of its producer; the two behind tell those with one
        // transactional id apart.
        producers.push(rest[43..53].to_vec());
        let length = u32::from_be_bytes(rest[8..12].try_into().expect("four bytes"));
        rest = &rest[12 + length as usize..];
    }
    producers.dedup();
    producers.len()
}

fn a_cluster_without_markers_is_learnt() {
    let work = format!(
        "--brokers embedded --topic t --produce_msgs 500 --msg_size 10 {IN_TRANSACTIONS} --seq_read --remote"
    );
    let run = Run::verifier().args(work).with_control().start();
    let workers = run.harness().until_done();
    run.http().order("/shutdown");
    run.finish().expect_code(0);
    let producer = workers[0].producer();
    assert_eq!(producer.acked, 500, "{producer:?}");
    assert!(
        producer.restarts <= 4 && producer.bad_offsets <= 40,
        "learnt from its first answers: {producer:?}"
    );
}
