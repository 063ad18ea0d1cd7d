//! Our own client produces and reads: what the other one does, it does too, and whatever happens to its connections.
//!
//! Every other test that produces plain records can be run with it, too: `PROOFLOAD_TEST_CLIENT=wire`.

use std::{fs, time::Duration};

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{
        Cluster, Elector, Proxy, Run, Running, Topic, Workdir, Worker,
        elector::Moved,
        ledger::LedgerFile,
        protocol::{Body, Message},
        proxy::{Fate, Honest, Rule},
        wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnNodes(3, &[], leaders_that_move_and_a_broker_that_dies_cost_no_record),
        Real(a_broker_that_is_replaced_is_found_at_its_new_address),
        Real(what_it_produces_is_read_and_proven),
        Real(large_values_are_sent_from_where_they_lie),
        Real(an_answer_to_another_request_costs_a_connection_and_no_record),
        Real(answers_that_are_cut_off_anywhere_cost_no_record),
        Real(answers_of_a_length_that_cannot_be_cost_no_record),
        Real(whatever_the_other_one_packs_is_read),
        Real(what_it_packs_is_read_by_each_client),
        Real(it_asks_where_a_log_begins_while_something_waits_to_be_shown),
        Real(only_what_was_committed_is_shown),
        Real(fetches_that_are_cut_off_anywhere_cost_no_record),
    ]
}

const PARTITIONS: usize = 6;
/// What a run without a group may take of memory: 40 MiB, and 24 more for the pages of a program that was built without any
/// optimization. How much it takes in earnest is for `scripts/compare` to say.
const MOST_MIB: u64 = 64;
/// Between two rounds of elections.
const PAUSE: Duration = Duration::from_millis(300);
const WIRE: &str = "--client wire --keep-going --report report.json";

fn run(flags: &str, workdir: &Workdir, work: &str) -> Run {
    Run::verifier().in_dir(workdir).args(flags).args(WIRE).args(work)
}

/// Each record is in the log once, at the place that it names, and in the ledger.
#[track_caller]
fn expect_each_stored_once(topic: &Topic, workdir: &Workdir, records: i64) {
    let ends = topic.ends();
    assert_eq!(ends.iter().sum::<i64>(), records, "{ends:?}");
    assert!(topic.records().into_iter().all(|record| record.names_itself()));
    LedgerFile::read(workdir.path(), topic.name()).expect_all_up_to(&ends);
}

#[track_caller]
fn expect_no_failure(workdir: &Workdir) {
    let producer = workdir.report()["totals"][0].clone();
    assert_eq!((&producer["fails"], &producer["bad_offsets"]), (&0.into(), &0.into()), "{producer}");
}

fn what_it_produces_is_read_and_proven(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(8), Workdir::new());
    let work = "--produce_msgs 100000 --msg_size 128 --seq_read --max-buffered-records 4096";
    let finished = run(&topic.flags(), &workdir, work).finish().expect_code(0).expect_nothing_wrong();
    let finished = finished.expect_output(&["100,000 of 100,000 records", "100,000 records proven valid"]);
    expect_no_failure(&workdir);
    let memory =
        finished.stdout.split_once("at most ").and_then(|(_, rest)| rest.split_once(" MiB of memory"));
    let peak_mib: u64 = memory.expect("its peak").0.parse().expect("a number");
    assert!(peak_mib <= MOST_MIB, "{peak_mib} MiB");
    LedgerFile::read(workdir.path(), topic.name()).expect_all_up_to(&topic.ends());
}

/// A batch is put together around them, and so is its checksum, which the broker looks at.
fn large_values_are_sent_from_where_they_lie(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(3), Workdir::new());
    let work = "--produce_msgs 500 --msg_size 20000 --tombstone-probability 0.1 --seq_read";
    run(&topic.flags(), &workdir, work).finish().expect_code(0).expect_nothing_wrong();
    expect_each_stored_once(&topic, &workdir, 500);
}

fn whatever_the_other_one_packs_is_read(cluster: &Cluster) {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let (topic, workdir) = (cluster.topic(3), Workdir::new());
        let work = format!("--produce_msgs 2000 --msg_size 500 --compression-type {codec}");
        Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).finish().expect_code(0);
        let finished = run(&topic.flags(), &workdir, "--seq_read --rand_read_msgs 30 --parallel 2").finish();
        finished.expect_code(0).expect_nothing_wrong().expect_output(&["2,000 records proven valid"]);
        let totals = workdir.report()["totals"].clone();
        let readers: Vec<_> = totals.as_array().into_iter().flatten().collect();
        let is_whole = |reader: &&&serde_json::Value| reader["validator"]["valid_reads"] == 2_000;
        assert_eq!(readers.iter().filter(is_whole).count(), 1, "{codec}: {totals}");
    }
}

/// Small values are copied into a batch, large ones lie elsewhere; the broker unpacks each batch before it takes it.
fn what_it_packs_is_read_by_each_client(cluster: &Cluster) {
    for (number, codec) in (1..).zip(["gzip", "snappy", "lz4", "zstd"]) {
        for value_bytes in [100, 5_000] {
            let (topic, workdir) = (cluster.topic(1), Workdir::new());
            let work = format!(
                "--produce_msgs 2000 --msg_size {value_bytes} --compression-type {codec} --linger 2ms"
            );
            let flags =
                "--compressible-payload --max-buffered-records 400 --batch_max_bytes 262144 --seq_read";
            let finished = run(&topic.flags(), &workdir, &format!("{work} {flags}")).finish();
            finished.expect_code(0).expect_nothing_wrong().expect_output(&["2,000 records proven valid"]);
            expect_no_failure(&workdir);
            let other =
                Run::verifier().in_dir(&workdir).args(topic.flags()).args("--seq_read --client librdkafka");
            other
                .finish()
                .expect_code(0)
                .expect_nothing_wrong()
                .expect_output(&["2,000 records proven valid"]);
            let segment = cluster.partition_folder(&topic, 0).join("00000000000000000000.log");
            let log = fs::read(segment).expect("a segment");
            // The attributes of a batch of format 2, whose lowest three bits are the codec.
            assert_eq!(log[22] & 7, number, "{codec}");
            assert!(log.len() < 2_000 * (value_bytes + 100) / 2, "{codec}: {} bytes", log.len());
        }
    }
}

/// A pass is at its end with the last record, and that of the log is not taken any more. A value that is not the last
/// one is named when the broker has said where the log begins.
fn it_asks_where_a_log_begins_while_something_waits_to_be_shown(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(1), Workdir::new());
    let flags = "--compacted --validate-latest-values --latest-values last";
    let work = "--produce_msgs 3 --key-set-cardinality 1 --msg_size 30";
    run(&topic.flags(), &workdir, &format!("{flags} {work} --seq_read")).finish().expect_code(0);
    let name = format!("latest_value_{}.json", topic.name());
    let text = fs::read_to_string(workdir.path().join(&name)).expect("latest values");
    // The base64 of a 2 and of a 7 in that place.
    workdir.write(&name, text.replace("MDAwMDAy", "MDAwMDA3"));
    let finished = run(&topic.flags(), &workdir, &format!("{flags} --seq_read")).finish();
    finished.expect_code(1).expect_output(&["stale-value"]);
}

/// The other one writes them; an aborted record that shows is a violation, and so is a committed one that does not.
fn only_what_was_committed_is_shown(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(3), Workdir::new());
    let flags = "--use-transactions --msgs-per-transaction 10 --transaction-abort-rate 0.3";
    let work = format!("{flags} --produce_msgs 2000 --msg_size 100");
    Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).finish().expect_code(0);
    let finished = run(&topic.flags(), &workdir, &format!("{flags} --seq_read")).finish();
    finished.expect_code(0).expect_nothing_wrong();
}

/// At another byte each time, in one answer of seven.
fn fetches_that_are_cut_off_anywhere_cost_no_record(cluster: &Cluster) {
    struct Cut {
        seen: usize,
        cut: usize,
    }
    impl Rule for Cut {
        fn pass(&mut self, message: &mut Message) -> Fate {
            let is_fetch = matches!(message.body, Body::FetchResponse(_));
            self.seen += usize::from(is_fetch);
            if !is_fetch || !self.seen.is_multiple_of(3) || self.cut == 10 {
                return Fate::Pass;
            }
            self.cut += 1;
            Fate::CutAt(self.cut * 17 - 16)
        }
    }
    let (topic, workdir) = (cluster.topic(3), Workdir::new());
    let work = "--produce_msgs 3000 --msg_size 1000 --batch_max_bytes 4096";
    Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).finish().expect_code(0);
    let proxy = Proxy::start(cluster, Cut { seen: 0, cut: 0 });
    let read = "--seq_read -X max.partition.fetch.bytes=16384";
    let finished = run(&proxy.flags(&topic), &workdir, read).finish();
    finished.expect_code(0).expect_nothing_wrong().expect_output(&["3,000 records proven valid"]);
    assert_eq!(proxy.rule().cut, 10);
}

/// What becomes of some acks.
struct Meddle {
    seen: usize,
    meddled: usize,
    how: fn(&mut Message, usize) -> Fate,
}

impl Meddle {
    fn with(how: fn(&mut Message, usize) -> Fate) -> Self {
        Self { seen: 0, meddled: 0, how }
    }
}

impl Rule for Meddle {
    fn pass(&mut self, message: &mut Message) -> Fate {
        let is_ack = matches!(message.body, Body::ProduceResponse(_));
        self.seen += usize::from(is_ack);
        if !is_ack || !self.seen.is_multiple_of(7) || self.meddled == 10 {
            return Fate::Pass;
        }
        self.meddled += 1;
        (self.how)(message, self.meddled)
    }
}

#[track_caller]
fn expect_no_record_lost(cluster: &Cluster, rule: Meddle) {
    let (topic, workdir, proxy) = (cluster.topic(3), Workdir::new(), Proxy::start(cluster, rule));
    let work =
        "--produce_msgs 3000 --msg_size 100 --batch_max_bytes 1024 --max-buffered-records 50 --seq_read";
    run(&proxy.flags(&topic), &workdir, work).finish().expect_code(0).expect_nothing_wrong();
    expect_no_failure(&workdir);
    expect_each_stored_once(&topic, &workdir, 3_000);
    assert_eq!(proxy.rule().meddled, 10);
}

fn an_answer_to_another_request_costs_a_connection_and_no_record(cluster: &Cluster) {
    expect_no_record_lost(
        cluster,
        Meddle::with(|message, _| {
            message.correlation += 1;
            Fate::Pass
        }),
    );
}

/// At another byte each time.
fn answers_that_are_cut_off_anywhere_cost_no_record(cluster: &Cluster) {
    expect_no_record_lost(cluster, Meddle::with(|_, count| Fate::CutAt(count * 5 - 4)));
}

fn answers_of_a_length_that_cannot_be_cost_no_record(cluster: &Cluster) {
    const LENGTHS: [i32; 3] = [i32::MAX, -1, 1 << 30];
    expect_no_record_lost(cluster, Meddle::with(|_, count| Fate::OfLength(LENGTHS[count % LENGTHS.len()])));
}

fn leaders_that_move_and_a_broker_that_dies_cost_no_record(cluster: &Cluster) {
    let topic = cluster.topic_on(&[0, 1, 2], PARTITIONS, &[("min.insync.replicas", "2")]);
    let workdir = Workdir::new();
    let work = "--produce_msgs 10000000000 --msg_size 200 --produce-throughput-bps 200000 --cores 1";
    let running = run(&topic.flags(), &workdir, work).with_control().start();
    let acked = || {
        let workers = running.harness().first();
        let Some(Worker::Producer(producer)) = workers.first() else { panic!("{workers:?}") };
        producer.acked
    };
    let more = |what: &str, least: u64| {
        let from = acked();
        wait_until(what, || acked() >= from + least);
    };
    more("acks", 500);
    let moved = Moved { topic: topic.name().to_owned(), partitions: PARTITIONS, every: 1 };
    let elector = Elector::start(cluster.bootstrap(), 3, vec![moved], PAUSE);
    wait_until("elections", || elector.elections() > 100);
    elector.stop();
    cluster.kill(2);
    more("acks without a broker", 3_000);
    cluster.restart(2);
    cluster.freeze(1);
    more("acks while a broker is frozen", 3_000);
    cluster.thaw(1);
    more("acks when all are back", 1_000);
    running.signal(Signal::SIGINT);
    running.finish().expect_code(0).expect_no_output(&["VIOLATION"]);
    let producer = workdir.report()["totals"][0].clone();
    assert_eq!((&producer["fails"], &producer["bad_offsets"]), (&0.into(), &0.into()), "{producer}");
    let reader = Run::verifier().in_dir(&workdir).args(topic.flags()).args("--seq_read");
    reader.finish().expect_code(0).expect_nothing_wrong();
}

/// Another one with its id, elsewhere: the cluster names that when it is asked anew.
fn a_broker_that_is_replaced_is_found_at_its_new_address(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(PARTITIONS), Workdir::new());
    let [old, new] = [(); 2].map(|()| Proxy::start(cluster, Honest));
    let flags = format!("--brokers {},{} --topic {}", old.address(), new.address(), topic.name());
    let start = |work: &str| {
        let run = Run::verifier().in_dir(&workdir).args(&flags).args("--client wire --remote").args(work);
        run.with_control().start()
    };
    let producer =
        start("--produce_msgs 10000000000 --msg_size 200 --produce-throughput-bps 100000 --cores 1");
    let readers =
        ["--seq_read --continuous", "--rand_read_msgs 20 --loop", "--consumer_group_readers 2 --continuous"];
    let readers = readers.map(start);
    let counted = |run: &Running| match &run.harness().first()[0] {
        Worker::Producer(producer) => producer.acked,
        Worker::Reader(reader) => reader.validator.valid_reads,
    };
    let all = || [&producer].into_iter().chain(&readers);
    let expect_progress = || {
        for run in all() {
            let before = counted(run);
            wait_until("it to go on", || counted(run) > before + 100);
        }
    };
    expect_progress();
    drop(old);
    expect_progress();
    producer.signal(Signal::SIGINT);
    producer.finish().expect_code(0).expect_no_output(&["VIOLATION"]);
    for reader in readers {
        reader.http().order("/last_pass");
        reader.harness().until_done();
        reader.http().order("/shutdown");
        reader.finish().expect_code(0).expect_nothing_wrong();
    }
    let reader = Run::verifier().in_dir(&workdir).args(topic.flags()).args("--seq_read");
    reader.finish().expect_code(0).expect_nothing_wrong();
}
