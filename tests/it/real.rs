//! Proofs on a real Apache Kafka.

use std::fs;

use crate::{
    Test,
    dsl::{
        Cluster, EXIT_LIMIT, Finished, Run, Topic, Workdir, Worker, ledger::LedgerFile, topic::Stored,
        wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(the_command_of_existing_scripts_proves_ten_thousand_large_records),
        Real(a_second_run_goes_on_from_the_ledger),
        Real(everything_in_one_process_proves_small_records),
        Real(every_codec_reaches_the_broker),
        Real(another_writer_costs_restarts_and_nothing_else),
        Real(new_partitions_start_empty),
        Real(random_readers_loop_beside_a_producer),
        Real(a_remote_harness_run_on_a_real_broker),
    ]
}

fn run(topic: &Topic, workdir: &Workdir, work: &str) -> Run {
    Run::verifier().in_dir(workdir).args(topic.flags()).args(work)
}

fn the_command_of_existing_scripts_proves_ten_thousand_large_records(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(8), Workdir::new());
    let work = "--msg_size 128000 --produce_msgs 10000 --rand_read_msgs 10 --seq_read=1";
    let finished = run(&topic, &workdir, work).finish().expect_code(0);
    finished.expect_output(&[
        "PROVEN",
        "10,000 of 10,000 records acked where predicted",
        "random      10 records proven valid",
        "sequential  10,000 records proven valid",
    ]);
    let ends = topic.ends();
    assert_eq!(ends.iter().sum::<i64>(), 10_000);
    LedgerFile::read(workdir.path(), topic.name()).expect_all_up_to(&ends);
    topic.delete();
}

fn a_second_run_goes_on_from_the_ledger(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(4), Workdir::new());
    let produce =
        || run(&topic, &workdir, "--msg_size 100 --produce_msgs 3000 --seq_read").finish().expect_code(0);
    produce().expect_output(&["sequential  3,000 records proven valid"]);
    LedgerFile::read(workdir.path(), topic.name()).expect_all_up_to(&topic.ends());
    produce().expect_output(&["3,000 of 3,000 records", "sequential  6,000 records proven valid"]);
    let ends = topic.ends();
    assert_eq!(ends.iter().sum::<i64>(), 6_000);
    LedgerFile::read(workdir.path(), topic.name()).expect_all_up_to(&ends);
}

fn everything_in_one_process_proves_small_records(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(5), Workdir::new());
    let work = "--msg_size 1 --produce_msgs 50000 --rand_read_msgs 30 --parallel 4 --seq_read --linger 2ms";
    let finished = run(&topic, &workdir, work).finish().expect_code(0);
    finished
        .expect_output(&["random      120 records proven valid", "sequential  50,000 records proven valid"]);
    let records = topic.records();
    assert_eq!(records.len(), 50_000);
    assert!(records.iter().all(Stored::names_itself), "another client sees the same ids");
}

/// The broker keeps batches as they came: what is on its disk is what was sent.
fn every_codec_reaches_the_broker(cluster: &Cluster) {
    for (number, codec) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let (topic, workdir) = (cluster.topic(1), Workdir::new());
        let work = format!(
            "--msg_size 1000 --produce_msgs 200 --compressible-payload --seq_read --compression-type {codec}"
        );
        let finished = run(&topic, &workdir, &work).finish().expect_code(0);
        finished.expect_output(&["sequential  200 records proven valid"]);
        let segment = cluster.partition_folder(&topic, 0).join("00000000000000000000.log");
        // The attributes of a batch of format 2, whose lowest three bits are the codec.
        let batch = fs::read(segment).expect("a segment");
        assert_eq!(batch[22] & 7, number, "{codec}");
    }
}

fn another_writer_costs_restarts_and_nothing_else(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let work = "--msg_size 100 --produce_msgs 3000 --produce-throughput-bps 60000 --seq_read --remote";
    let verifier = run(&topic, &workdir, work).with_control().start();
    let mut harness = verifier.harness();
    harness.until("acks", |workers| workers[0].producer().acked > 100);
    topic.write(0, &[None, Some(("foreign", "header")), None]);
    let workers = harness.until_done();
    let (producer, reader) = (workers[0].producer().clone(), workers[1].reader().clone());
    verifier.http().order("/shutdown");
    let finished = verifier.finish().expect_code(0);
    assert_eq!(producer.acked, 3_000, "{}", finished.transcript());
    assert!(producer.bad_offsets > 0 && producer.restarts > 0, "{producer:?}");
    assert_eq!(producer.sent, producer.acked + producer.bad_offsets, "{producer:?}");
    // The ledger lists what landed where it was predicted, and nothing else.
    let ledger = LedgerFile::read(workdir.path(), topic.name());
    assert_eq!(ledger.count(), 3_000);
    let records = topic.records();
    for record in &records {
        let partition = usize::try_from(record.partition).expect("a partition");
        assert_eq!(ledger.lists(partition, record.offset), record.names_itself(), "{record:?}");
    }
    let strangers = records.iter().filter(|record| !record.names_itself()).count() as u64;
    assert_eq!(strangers, producer.bad_offsets + 3);
    assert_eq!(reader.validator.valid_reads, 3_000);
    assert_eq!(reader.validator.out_of_scope_invalid_reads, strangers);
}

fn new_partitions_start_empty(cluster: &Cluster) {
    let (mut topic, workdir) = (cluster.topic(1), Workdir::new());
    let prove = |topic: &Topic| -> Finished {
        run(topic, &workdir, "--msg_size 10 --produce_msgs 500 --seq_read").finish().expect_code(0)
    };
    prove(&topic).expect_output(&["sequential  500 records proven valid"]);
    topic.grow(3);
    prove(&topic).expect_output(&["sequential  1,000 records proven valid"]);
    let (ledger, ends) = (LedgerFile::read(workdir.path(), topic.name()), topic.ends());
    assert!(ends.len() == 3 && ends.iter().all(|end| *end > 0), "{ends:?}");
    ledger.expect_all_up_to(&ends);
}

/// As the harness has it: one process produces, another reads at random, in one folder.
fn random_readers_loop_beside_a_producer(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(3), Workdir::new());
    let produce = "--msg_size 100 --produce_msgs 4000 --produce-throughput-bps 100000 --remote";
    let producer = run(&topic, &workdir, produce).with_control().start();
    wait_until("a ledger", || LedgerFile::find(workdir.path(), topic.name()).is_some());
    let reader =
        run(&topic, &workdir, "--rand_read_msgs 20 --parallel 2 --loop --remote").with_control().start();
    let looped = |workers: &[Worker]| workers.iter().all(|worker| worker.reader().validator.valid_reads > 60);
    reader.harness().until("a few passes", looped);
    producer.harness().until_done();
    for run in [&producer, &reader] {
        run.http().order("/last_pass");
    }
    let workers = reader.harness().until_done();
    assert!(workers.iter().all(|worker| worker.reader().validator.invalid_reads == 0), "{workers:?}");
    for run in [producer, reader] {
        run.http().order("/shutdown");
        run.finish().expect_code(0).expect_no_output(&["ERROR"]);
    }
}

fn a_remote_harness_run_on_a_real_broker(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(4), Workdir::new());
    let work = "--msg_size 200 --produce_msgs 5000 --rand_read_msgs 10 --seq_read --remote --tombstone-probability 0.0";
    let verifier = run(&topic, &workdir, work).with_control().start();
    let workers = verifier.harness().until_done();
    let (producer, reader) = (workers[0].producer(), workers[2].reader());
    assert_eq!((producer.sent, producer.acked, producer.bad_offsets), (5_000, 5_000, 0));
    assert_eq!(reader.validator.max_offsets_consumed, producer.max_offsets_produced);
    verifier.http().order("/shutdown");
    verifier.finish_within(EXIT_LIMIT).expect_code(0);
}
