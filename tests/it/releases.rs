//! Everything that reads and writes, on the former release of Kafka, and on a log whose brokers seem to be Kafka 2.4's or
//! Redpanda's: whole runs, where `probed.rs` asks single questions.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{
        Cluster, Proxy, Release, Run, Running, Workdir,
        protocol::{Body, Dialect, Message},
        proxy::{Fate, Rule},
        topic::unique_name,
        wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Shared(Release::Former, everything_proves_on_the_former_release),
        Shared(Release::Former, everything_proves_in_the_dialect_of_kafka_2_4),
        Shared(Release::Newest, everything_proves_in_the_dialect_of_redpanda),
        Shared(Release::Newest, brokers_that_are_redpanda_s_are_left_to_librdkafka),
    ]
}

/// Each with what its summary says.
const KINDS: [(&str, &[&str]); 3] = [
    (
        "--produce_msgs 2000 --msg_size 300 --seq_read --rand_read_msgs 30 --parallel 2 --consumer_group_readers 2 \
         --compression-type zstd",
        &["PROVEN", "random      60 records", "sequential  2,000 records", "group       2,000 records"],
    ),
    (
        "--produce_msgs 1000 --msg_size 300 --seq_read --consumer_group_readers 2 --use-transactions \
         --msgs-per-transaction 10 --transaction-abort-rate 0.2",
        &["PROVEN"],
    ),
    (
        "--produce_msgs 1000 --msg_size 300 --seq_read --compacted --key-set-cardinality 50 --validate-latest-values \
         --latest-values last",
        &["1,000 of 1,000 records acked where predicted"],
    ),
];

/// A run of each kind with brokers at this address, which are asked to make its topic.
fn expect_everything_to_prove(brokers: &str, client: &str) {
    for (work, words) in KINDS {
        let flags = format!("--brokers {brokers} --topic {} --create-topic --partitions 3", unique_name());
        let run = Run::verifier().args(flags).args(work).args(format!("--client {client}"));
        run.finish().expect_code(0).expect_nothing_wrong().expect_output(words);
    }
    for transactions in ["", "--use-transactions --msgs-per-transaction 5 --transaction-abort-rate 0.2"] {
        let name = unique_name();
        let work = format!(
            "--brokers {brokers} --topic {name} --create-topic --partitions 4 --group {name} --workers 2 --payload-size 200 \
             --initial-data-mb 1 --client {client} {transactions}"
        );
        let run = Run::repeater().args(work).with_control().start();
        wait_until("tokens that come round", || consumed(&run).is_some_and(|count| count > 300));
        run.signal(Signal::SIGINT);
        run.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR"]);
    }
    let work = format!(
        "bench --brokers {brokers} --topic {} --partitions 3 --msg_size 200 --rate 500 --duration 2s --warmup 1s \
         --readers 1x2 --client {client}",
        unique_name()
    );
    Run::proofload().args(work).finish().expect_code(0).expect_output(&["PROVEN"]);
}

/// By all workers together; `None` while nobody answers.
fn consumed(run: &Running) -> Option<u64> {
    let status = run.http().get("/status")?.json()?;
    status.as_array()?.iter().map(|worker| worker["consumed"].as_u64()).sum()
}

fn everything_proves_on_the_former_release(cluster: &Cluster) {
    for client in ["wire", "librdkafka"] {
        expect_everything_to_prove(cluster.bootstrap(), client);
    }
}

/// Notes in which versions records go there and come back.
#[derive(Default)]
struct Spoken {
    produce: BTreeSet<i16>,
    fetch: BTreeSet<i16>,
}

impl Rule for Spoken {
    fn pass(&mut self, message: &mut Message) -> Fate {
        match message.body {
            Body::ProduceRequest(_) => self.produce.insert(message.kind.version),
            Body::FetchRequest(_) => self.fetch.insert(message.kind.version),
            _ => false,
        };
        Fate::Pass
    }
}

#[track_caller]
fn expect_dialect(cluster: &Cluster, dialect: Dialect, produce: i16, fetch: i16) {
    let proxy = Proxy::start_with(cluster, dialect, Spoken::default());
    expect_everything_to_prove(&proxy.address(), "wire");
    let Spoken { produce: produced, fetch: fetched } = &*proxy.rule();
    assert_eq!((produced, fetched), (&[produce].into(), &[fetch].into()));
}

fn everything_proves_in_the_dialect_of_kafka_2_4(cluster: &Cluster) {
    expect_dialect(cluster, Dialect::Kafka24, 8, 11);
}

fn everything_proves_in_the_dialect_of_redpanda(cluster: &Cluster) {
    expect_dialect(cluster, Dialect::Redpanda, 7, 11);
}

/// Where nobody chose, and says so; who is asked for by name is taken.
fn brokers_that_are_redpanda_s_are_left_to_librdkafka(cluster: &Cluster) {
    const SAID: &str = "librdkafka writes and reads: these brokers are Redpanda's";
    let proxy = Proxy::start_with(cluster, Dialect::Redpanda, Spoken::default());
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let work = "--produce_msgs 500 --msg_size 100 --seq_read --remote-port 0";
    let run = Run::verifier().in_dir(&workdir).args(proxy.flags(&topic)).args(work);
    run.clone().finish_bare().expect_code(0).expect_output(&["PROVEN", SAID]);
    let run = run.args("--client wire").finish_bare().expect_code(0);
    run.expect_output(&["PROVEN"]).expect_no_output(&[SAID]);
    let bench = format!(
        "bench {} --msg_size 100 --rate 200 --duration 1s --warmup 0",
        proxy.flags(&cluster.topic(2))
    );
    Run::proofload().args(bench).args("--remote-port 0").finish_bare().expect_code(0).expect_output(&[SAID]);
    let name = unique_name();
    let repeat = format!(
        "{} --group {name} --workers 1 --initial-data-mb 1 --duration 1s",
        proxy.flags(&cluster.topic(2))
    );
    Run::repeater().args(repeat).args("--remote-port 0").finish_bare().expect_code(0).expect_output(&[SAID]);
}
