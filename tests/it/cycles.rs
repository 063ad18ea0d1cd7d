//! Leaders that die or freeze under load, again and again: nothing that was acked goes missing, and nobody tells of
//! faults that there are not.
//!
//! `PROOFLOAD_CYCLES` says how often; see `scripts/prove`.

use std::{
    env,
    panic::{self, AssertUnwindSafe},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    Test,
    dsl::{Cluster, Run, Running, Topic, Workdir, Worker, ledger::LedgerFile, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![OwnNodes(
        NODES,
        &["broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500"],
        leaders_that_die_or_freeze_cost_no_acked_record
    )]
}

const NODES: usize = 3;
/// Two for each broker: with one to itself, the client library polls in circles until it is acked, and the brokers
/// are short of CPU time.
const PARTITIONS: usize = 6;
/// How long a broker may be silent until its leaderships move on, as set above.
const SESSION: Duration = Duration::from_secs(3);
const MARGIN: Duration = Duration::from_secs(2);
const DEFAULT_CYCLES: usize = 2;

const LOAD: &str = "--produce_msgs 10000000000 --msg_size 200 --produce-throughput-bps 200000 --cores 1";
const IN_TRANSACTIONS: &str = "--use-transactions --msgs-per-transaction 10 --transaction-abort-rate 0.3";

/// What happens to a leader.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// SIGKILL, and a new start after so long.
    Kill(Duration),
    /// SIGSTOP for so long: behind that it still takes itself for the leader.
    Freeze(Duration),
}

/// One fault, and all that is asked of it.
struct Cycle {
    number: usize,
    fault: Fault,
    transactions: bool,
    /// The readers beside the sequential one.
    others: &'static str,
}

/// What came of it.
struct Account {
    /// Records that were acked for good: not in transactions that were aborted.
    acked: u64,
    /// Valid reads of one pass over everything: each offset once.
    read: u64,
}

impl Cycle {
    fn of(number: usize) -> Self {
        let kills = number.is_multiple_of(2);
        Self {
            number,
            fault: if kills {
                // Now and then it is back before it was missed.
                Fault::Kill(MARGIN * u32::try_from((number / 2 + 1) % 3).expect("few"))
            } else {
                Fault::Freeze(SESSION + MARGIN)
            },
            // Every second, and both faults meet both loads.
            transactions: kills == (number / 2 % 2 == 1),
            others: [
                "--rand_read_msgs 50 --parallel 2 --loop",
                "--consumer_group_readers 2 --loop --consume-throughput-mb 2",
            ][number / 2 % 2],
        }
    }

    fn start(&self, topic: &Topic, workdir: &Workdir, work: &str) -> Running {
        let transactions = if self.transactions { IN_TRANSACTIONS } else { "" };
        let run = Run::verifier().in_dir(workdir).args(topic.flags()).args(transactions);
        run.args(work).args("--remote").with_control().start()
    }

    fn go(&self, cluster: &Cluster) -> Account {
        let (topic, workdir) = (cluster.topic(PARTITIONS), Workdir::new());
        let producer = self.start(&topic, &workdir, &format!("{LOAD} --report producer.json"));
        wait_until("a ledger", || LedgerFile::find(workdir.path(), topic.name()).is_some());
        let readers: Vec<_> = ["--seq_read --loop --consume-throughput-mb 2", self.others]
            .into_iter()
            .map(|work| self.start(&topic, &workdir, work))
            .collect();
        for reader in &readers {
            reader.harness().until("reads", |workers| {
                workers.iter().all(|worker| worker.reader().validator.valid_reads > 100)
            });
        }
        self.strike(cluster, &topic);
        more_acks(&producer);
        // What is done to the next leader must not meet a replica that still lags behind.
        wait_until("all replicas in sync", || in_sync(&topic));
        producer.signal(Signal::SIGINT);
        expect_nothing_wrong(producer);
        for reader in readers {
            reader.http().order("/last_pass");
            expect_good_reads(&reader.harness().until_done());
            reader.http().order("/shutdown");
            expect_nothing_wrong(reader);
        }
        let account = self.audit(&topic, &workdir);
        topic.delete();
        account
    }

    /// Does it to the leader of a partition, and waits until it is over.
    fn strike(&self, cluster: &Cluster, topic: &Topic) {
        let leaders = topic.leaders().expect("leaders");
        let node = usize::try_from(leaders[self.number % PARTITIONS].0).expect("a leader");
        match self.fault {
            Fault::Kill(pause) => {
                cluster.kill(node);
                thread::sleep(pause);
                cluster.restart(node);
            }
            Fault::Freeze(pause) => {
                cluster.freeze(node);
                thread::sleep(pause);
                cluster.thaw(node);
            }
        }
    }

    /// A process that has seen nothing of all this reads everything once.
    fn audit(&self, topic: &Topic, workdir: &Workdir) -> Account {
        let transactions = if self.transactions { "--use-transactions" } else { "" };
        let read = Run::verifier().in_dir(workdir).args(topic.flags()).args(transactions);
        read.args("--seq_read --report read.json").finish().expect_code(0).expect_nothing_wrong();
        let totals = |name: &str| -> Value {
            let report: Value = serde_json::from_slice(&workdir.contents()[name]).expect("a report");
            report["totals"][0].clone()
        };
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no number: {value}"));
        let (producer, reader) = (totals("producer.json"), totals("read.json"));
        let account = Account {
            acked: number(&producer["acked"]) - number(&producer["aborted_transaction_msgs"]),
            read: number(&reader["validator"]["valid_reads"]),
        };
        assert!(account.read >= account.acked, "{} read of {producer}", account.read);
        let listed = LedgerFile::read(workdir.path(), topic.name()).count();
        assert!(
            i64::try_from(account.read).expect("few") >= listed,
            "{} read, {listed} listed",
            account.read
        );
        account
    }

    fn title(&self) -> String {
        let load = if self.transactions { "transactions" } else { "ordinary" };
        match self.fault {
            Fault::Kill(pause) => format!("{load}, SIGKILL for {} s", pause.as_secs()),
            Fault::Freeze(pause) => format!("{load}, SIGSTOP for {} s", pause.as_secs()),
        }
    }
}

/// The producer goes on.
fn more_acks(producer: &Running) {
    let acked = |workers: &[Worker]| workers[0].producer().acked;
    let before = acked(&producer.harness().first());
    producer.harness().until("more acks", |workers| acked(workers) > before + 500);
}

fn in_sync(topic: &Topic) -> bool {
    topic
        .leaders()
        .is_some_and(|leaders| leaders.iter().all(|(leader, in_sync)| *leader >= 0 && in_sync.len() == NODES))
}

#[track_caller]
fn expect_good_reads(workers: &[Worker]) {
    for worker in workers {
        let validator = &worker.reader().validator;
        assert_eq!((validator.invalid_reads, validator.offset_gaps), (0, 0), "{validator:?}");
        assert_eq!(validator.lost_offsets, None, "{validator:?}");
    }
}

#[track_caller]
fn expect_nothing_wrong(run: Running) {
    run.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR", "panicked"]);
}

fn leaders_that_die_or_freeze_cost_no_acked_record(cluster: &Cluster) {
    let cycles = env::var("PROOFLOAD_CYCLES").ok().and_then(|cycles| cycles.parse().ok());
    let mut failures = Vec::new();
    for number in 0..cycles.unwrap_or(DEFAULT_CYCLES) {
        let (cycle, started) = (Cycle::of(number), Instant::now());
        // The long form is to say how many fail, and not only that one did.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| cycle.go(cluster)));
        let (title, took_s) = (cycle.title(), started.elapsed().as_secs_f64());
        match outcome {
            Ok(Account { acked, read }) => {
                println!(
                    "cycles: {:>3} {title:<32} {acked:>7} acked {read:>7} read {took_s:>5.1} s passed",
                    number + 1
                );
            }
            Err(reason) => {
                let reason = reason.downcast_ref::<String>().map_or("?", String::as_str);
                println!(
                    "cycles: {:>3} {title:<32} {:>7} acked {:>7} read {took_s:>5.1} s FAILED",
                    number + 1,
                    "-",
                    "-"
                );
                failures.push(format!("cycle {}, {title}: {reason}", number + 1));
                (0..NODES).for_each(|node| cluster.restart(node));
                (0..NODES).for_each(|node| cluster.thaw(node));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
