//! As a harness has it: one process for each producer and reader, all on one topic and in one folder,
//! polled until they are done, told to end, and gone in time.

use std::net::TcpListener;

use crate::{
    Test,
    dsl::{
        Cluster, EXIT_LIMIT, Harness, Producer, Run, Running, Topic, Workdir, Worker, ledger::LedgerFile,
        wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(a_plain_producer_beside_all_readers),
        Real(a_producer_with_a_key_set_beside_all_readers),
        Real(a_compressing_producer_beside_all_readers),
        Real(a_transactional_producer_beside_all_readers),
    ]
}

/// Readers of each kind, and how their passes follow each other.
const READERS: &[&str] = &[
    "--seq_read=1",
    "--seq_read --loop",
    "--seq_read --continuous",
    "--rand_read_msgs 20 --parallel 2 --loop",
    "--consumer_group_readers 2",
    "--consumer_group_readers 3 --loop",
    "--consumer_group_readers 2 --continuous",
];

const MESSAGES: u64 = 1_500;

fn a_plain_producer_beside_all_readers(cluster: &Cluster) {
    beside_all_readers(cluster, "--tombstone-probability 0.0", "");
}

fn a_producer_with_a_key_set_beside_all_readers(cluster: &Cluster) {
    beside_all_readers(cluster, "--key-set-cardinality 30 --fake-timestamp-ms 1000", "");
}

fn a_compressing_producer_beside_all_readers(cluster: &Cluster) {
    beside_all_readers(cluster, "--compression-type mixed --compressible-payload=true --linger 5ms", "");
}

fn a_transactional_producer_beside_all_readers(cluster: &Cluster) {
    let flags = "--use-transactions --msgs-per-transaction 20 --transaction-abort-rate 0.2";
    beside_all_readers(cluster, flags, "--use-transactions");
}

/// A process that is polled for as long as it lives.
struct Polled {
    run: Running,
    work: String,
}

impl Polled {
    fn start(topic: &Topic, workdir: &Workdir, work: &str) -> Self {
        // Harnesses put several spaces between some arguments.
        let line = format!("{}  --remote   {work}", topic.flags());
        let run = Run::verifier().in_dir(workdir).args(line).with_control().start();
        Self { run, work: work.to_owned() }
    }

    fn harness(&self) -> Harness<'_> {
        self.run.harness()
    }

    fn end(self) {
        let port = self.run.port();
        self.run.http().order("/shutdown");
        let finished = self.run.finish_within(EXIT_LIMIT).expect_code(0);
        TcpListener::bind(("127.0.0.1", port)).expect("the same port, at once");
        finished.expect_no_output(&["VIOLATION", "ERROR", "panicked"]);
    }
}

fn beside_all_readers(cluster: &Cluster, produce: &str, read: &str) {
    let (topic, workdir) = (cluster.topic(4), Workdir::new());
    let work = format!("--msg_size 100 --produce_msgs {MESSAGES} --produce-throughput-bps 40000 {produce}");
    let producer = Polled::start(&topic, &workdir, &work);
    producer.harness().first();
    wait_until("a ledger", || LedgerFile::find(workdir.path(), topic.name()).is_some());
    let readers: Vec<_> =
        READERS.iter().map(|kind| Polled::start(&topic, &workdir, &format!("{kind} {read}"))).collect();
    for reader in &readers {
        let workers = reader.harness().first();
        assert!(workers.iter().all(|worker| matches!(worker, Worker::Reader(_))), "{workers:?}");
    }
    let done = producer.harness().until_done()[0].producer().clone();
    assert_eq!((done.acked, done.bad_offsets), (MESSAGES, 0), "{done:?}");
    // To every process, producers and finished ones too, and twice.
    for process in readers.iter().chain([&producer]).chain(&readers) {
        process.run.http().order("/last_pass");
    }
    for reader in &readers {
        let workers = reader.harness().until_done();
        for worker in &workers {
            expect_sound(worker, &reader.work, &done);
        }
    }
    readers.into_iter().chain([producer]).for_each(Polled::end);
}

fn expect_sound(worker: &Worker, work: &str, produced: &Producer) {
    let validator = &worker.reader().validator;
    let wrong = (validator.invalid_reads, validator.out_of_scope_invalid_reads, validator.offset_gaps);
    assert_eq!((wrong, &validator.lost_offsets), ((0, 0, 0), &None), "{work}: {validator:?}");
    let committed = produced.acked - produced.aborted_transaction_msgs;
    if work.contains("--continuous") {
        // What a group had not committed when another member came is read again: that is legal.
        let again = work.contains("group") && validator.valid_reads > committed;
        assert!(validator.valid_reads == committed || again, "{work}: {validator:?}");
        assert_eq!(validator.max_offsets_consumed, produced.max_offsets_produced, "{work}");
    } else {
        assert!(validator.valid_reads > 0, "{work}: {validator:?}");
    }
}
