//! Leaderships that move all the time, while every broker is up and every record stays where it is: nobody may tell of a
//! fault, in any role.
//!
//! `PROOFLOAD_ELECTIONS` says for how many seconds; see `scripts/prove`.

mod admissions;
mod dump;

use std::{
    collections::BTreeMap,
    env,
    panic::{self, AssertUnwindSafe},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use self::admissions::Admission;
use crate::{
    Test,
    dsl::{
        Cluster, Elector, Finished, Run, Running, Topic, Workdir, Worker, elector::Moved, ledger::LedgerFile,
        run::Named, wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    let mut tests = tests![OwnNodes(NODES, &[], leaders_that_move_are_nobody_s_fault)];
    tests.extend(admissions::tests());
    tests
}

const NODES: usize = 3;
const DEFAULT_S: u64 = 12;
/// In the long form; fewer for the short one, where creating them would take most of the time.
const PARTITIONS: usize = 60;
const FEW_PARTITIONS: usize = 12;
const PAUSE: Duration = Duration::from_millis(300);
/// Coordinators need some time to load what they are to coordinate.
const COORDINATORS_EVERY: u64 = 10;

/// 600 records a second, where the machine lets them: an ack takes seconds while leaders move, so that thousands have to be
/// under way.
const LOAD: &str = "--produce_msgs 10000000000 --msg_size 200 --produce-throughput-bps 120000 --cores 1 \
                    --max-buffered-records 4096";
/// Few: a transaction waits for the slowest of its acks, and for the markers in all of their partitions.
const IN_TRANSACTIONS: &str = "--use-transactions --msgs-per-transaction 30 --transaction-abort-rate 0.3";

/// A role, and what it works at.
struct Role {
    name: &'static str,
    topic: Topic,
    workdir: Workdir,
    running: Option<Running>,
    /// Records a second while leaders moved.
    rate_per_s: f64,
}

/// What came of it.
struct Verdict {
    name: &'static str,
    pid: u32,
    /// What it printed.
    told: String,
    topic: Topic,
    is_well: bool,
    code: Option<i32>,
    accused: Vec<Named>,
    /// The figures that tell how much was at stake, and what kept it.
    figures: String,
    transcript: String,
}

impl Verdict {
    /// Nobody was accused, or only of what the brokers' own logs admit; and it ended well.
    fn is_right(&self, admissions: &BTreeMap<String, Vec<Admission>>) -> bool {
        let of = |partition: i32| admissions.get(&format!("{}-{partition}", self.topic.name()));
        let is_true = |named: &Named| {
            let mut admitted = of(named.partition).into_iter().flatten();
            admitted.any(|admission| named.offset >= admission.start)
        };
        if self.accused.is_empty() {
            return self.is_well;
        }
        self.code == Some(1) && !self.told.contains("panicked") && self.accused.iter().all(is_true)
    }

    fn tell(&self, is_right: bool) {
        if !is_right {
            eprintln!("{}: {}", self.name, self.transcript);
        }
        let (word, name) = (if is_right { "passed" } else { "FAILED" }, self.name);
        println!("elections: {name:<14} {} {word}", self.figures);
    }
}

impl Role {
    fn verifier(name: &'static str, topic: &Topic, ledger: &Workdir, work: &str) -> Self {
        let run = Run::verifier().in_dir(ledger).args(topic.flags()).args(work);
        let run = run.args(format!("--keep-going --remote --report {name}.json")).with_control();
        let running = Some(run.start());
        Self { name, topic: topic.clone(), workdir: ledger.clone(), running, rate_per_s: 0.0 }
    }

    fn repeater(name: &'static str, topic: &Topic) -> Self {
        let workdir = Workdir::new();
        let work = "--group moved --workers 2 --payload-size 100 --initial-data-mb 1 --rate-limit-bps 20000";
        let run = Run::repeater().in_dir(&workdir).args(topic.flags()).args(work);
        let running = Some(run.args(format!("--report {name}.json")).with_control().start());
        Self { name, topic: topic.clone(), workdir, running, rate_per_s: 0.0 }
    }

    fn run(&self) -> &Running {
        self.running.as_ref().expect("a role that works")
    }

    /// Has begun to read or to produce.
    fn wait_until_it_works(&self) {
        if self.is_repeater() {
            wait_until("records come round", || self.run().stderr().contains("producing"));
            return;
        }
        self.run().harness().until("a beginning", |workers| {
            workers.iter().all(|worker| match worker {
                Worker::Producer(producer) => producer.acked > 100,
                Worker::Reader(reader) => reader.validator.valid_reads > 10,
            })
        });
    }

    /// Records that were acked, read, or have come round so far.
    fn records(&self) -> u64 {
        if self.is_repeater() {
            let status = self.run().http().get("/status").and_then(|answer| answer.json());
            let workers = status.as_ref().and_then(Value::as_array).into_iter().flatten();
            return workers.filter_map(|worker| worker["consumed"].as_u64()).sum();
        }
        let of = |worker: &Worker| match worker {
            Worker::Producer(producer) => producer.acked,
            Worker::Reader(reader) => reader.validator.valid_reads,
        };
        // One that has ended before its time tells why at the end.
        let status = self.run().http().get("/status").filter(|answer| answer.code == 200);
        let workers: Vec<Worker> =
            status.and_then(|answer| serde_json::from_str(&answer.body).ok()).unwrap_or_default();
        workers.iter().map(of).sum()
    }

    fn is_repeater(&self) -> bool {
        self.name == "repeater"
    }

    fn is_reader(&self) -> bool {
        !self.is_repeater() && !self.name.ends_with("producer")
    }

    /// Ends it, and says what it has found.
    fn finish(mut self) -> Verdict {
        let run = self.running.take().expect("a role that works");
        // A role that ends before its time must not keep what the others found from being dumped.
        let is_led = panic::catch_unwind(AssertUnwindSafe(|| self.lead_to_an_end(&run))).is_ok();
        let pid = run.pid();
        let finished = run.finish();
        let report = self.report();
        let accused = named(&report["violations"]).chain(named(&report["gaps"]));
        let accused = accused.collect();
        let rate = format!("{:.0} a second while leaders moved", self.rate_per_s);
        let figures = format!("{}; {rate}{}", what(&report), causes(&report));
        let is_well = is_led && self.is_well(&finished, &report);
        let transcript = finished.transcript();
        let (name, code, told) = (self.name, finished.code(), finished.stderr);
        Verdict { name, pid, told, code, topic: self.topic, is_well, accused, figures, transcript }
    }

    fn lead_to_an_end(&self, run: &Running) {
        if !self.is_reader() {
            run.signal(Signal::SIGINT);
            return;
        }
        run.harness().first();
        run.http().order("/last_pass");
        run.harness().until_done();
        run.http().order("/shutdown");
    }

    /// Nobody was accused, and the process ended well.
    fn is_well(&self, finished: &Finished, report: &Value) -> bool {
        let words = ["VIOLATION", "ERROR", "panicked"];
        let silent = !words.iter().any(|word| finished.stderr.contains(word));
        // Where records come in transactions, it has to learn from its mistakes what offsets a cluster takes for itself.
        let is_elsewhere = self.name == "producer" && total(report, "/bad_offsets") > 0;
        silent && finished.code() == Some(0) && !is_elsewhere
    }

    fn report(&self) -> Value {
        let text = self.workdir.contents().remove(&format!("{}.json", self.name)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

/// The figures that tell how much was at stake.
fn what(report: &Value) -> String {
    let (acked, bad) = (total(report, "/acked"), total(report, "/bad_offsets"));
    let (read, consumed) = (total(report, "/validator/valid_reads"), total(report, "/consumed"));
    let roles = [(acked, "acked"), (bad, "elsewhere"), (read, "read"), (consumed, "come round")];
    let figures = roles.iter().filter(|(count, _)| *count > 0);
    let figures: Vec<_> = figures.map(|(count, name)| format!("{count} {name}")).collect();
    figures.join(", ")
}

/// What kept it, or was survived.
fn causes(report: &Value) -> String {
    let causes = report["causes"].as_array().into_iter().flatten();
    let word = |cause: &Value, name: &str| cause[name].as_str().unwrap_or("?").to_owned();
    let one = |cause: &Value| match word(cause, "worker").as_str() {
        "a reader" => format!("; {} times: {}", cause["count"], word(cause, "what")),
        _ => format!("; {} times: {}: {}", cause["count"], word(cause, "what"), word(cause, "cause")),
    };
    causes.map(one).collect()
}

fn total(report: &Value, pointer: &str) -> u64 {
    let totals = report["totals"].as_array().into_iter().flatten();
    totals.filter_map(|worker| worker.pointer(pointer).and_then(Value::as_u64)).sum()
}

fn named(list: &Value) -> impl Iterator<Item = Named> {
    list.as_array().into_iter().flatten().map(|entry| Named {
        anomaly: entry["anomaly"].as_str().unwrap_or("gap").to_owned(),
        partition: entry["partition"].as_i64().and_then(|id| id.try_into().ok()).unwrap_or(-1),
        offset: entry["offset"].as_i64().or(entry["first"].as_i64()).unwrap_or(-1),
    })
}

/// A topic with a producer, and all who read what it writes.
struct Stage {
    topic: Topic,
    workdir: Workdir,
    producer: Role,
    readers: Vec<Role>,
}

impl Stage {
    fn start(
        cluster: &Cluster,
        partitions: usize,
        (name, load): (&'static str, &str),
        readers: &[(&'static str, &str)],
    ) -> Self {
        let (topic, workdir) = (cluster.topic(partitions), Workdir::new());
        let producer = Role::verifier(name, &topic, &workdir, load);
        wait_until("a ledger", || LedgerFile::find(workdir.path(), topic.name()).is_some());
        producer.wait_until_it_works();
        let readers =
            readers.iter().map(|(name, work)| Role::verifier(name, &topic, &workdir, work)).collect();
        Self { topic, workdir, producer, readers }
    }

    fn roles(&self) -> impl Iterator<Item = &Role> {
        self.readers.iter().chain([&self.producer])
    }

    fn roles_mut(&mut self) -> impl Iterator<Item = &mut Role> {
        self.readers.iter_mut().chain([&mut self.producer])
    }

    /// The producer first, so that the readers' last pass has an end; then one that has seen nothing reads everything.
    fn finish(self, audit: &'static str, more: &str) -> Vec<Verdict> {
        let Self { topic, workdir, producer, readers } = self;
        let mut verdicts = vec![producer.finish()];
        verdicts.extend(readers.into_iter().map(Role::finish));
        verdicts.push(Role::verifier(audit, &topic, &workdir, &format!("--seq_read {more}")).finish());
        verdicts
    }
}

fn plain(cluster: &Cluster, partitions: usize) -> Stage {
    let readers = [
        ("sequential", "--seq_read --loop --consume-throughput-mb 2"),
        ("tail", "--seq_read --continuous"),
        ("random", "--rand_read_msgs 50 --parallel 2 --loop"),
        ("group", "--consumer_group_readers 3 --loop --consume-throughput-mb 2"),
        ("tail-group", "--consumer_group_readers 3 --continuous"),
    ];
    Stage::start(cluster, partitions, ("producer", LOAD), &readers)
}

fn transactional(cluster: &Cluster, partitions: usize) -> Stage {
    let readers = [
        ("tx-sequential", "--use-transactions --seq_read --loop --consume-throughput-mb 2"),
        ("tx-group", "--use-transactions --consumer_group_readers 2 --loop --consume-throughput-mb 2"),
    ];
    let load = format!("{LOAD} {IN_TRANSACTIONS}");
    Stage::start(cluster, partitions, ("tx-producer", &load), &readers)
}

fn leaders_that_move_are_nobody_s_fault(cluster: &Cluster) {
    let asked = env::var("PROOFLOAD_ELECTIONS").ok().and_then(|seconds| seconds.parse().ok());
    let seconds = asked.unwrap_or(DEFAULT_S);
    let partitions = if asked.is_some() { PARTITIONS } else { FEW_PARTITIONS };
    let (mut plain, mut transactional) = (plain(cluster, partitions), transactional(cluster, partitions));
    let round = cluster.topic(partitions / 2);
    let mut repeater = Role::repeater("repeater", &round);
    plain.roles().chain(transactional.roles()).chain([&repeater]).for_each(Role::wait_until_it_works);

    let moved = |topic: &str, partitions, every| Moved { topic: topic.to_owned(), partitions, every };
    let topics = vec![
        moved(plain.topic.name(), partitions, 1),
        moved(transactional.topic.name(), partitions, 1),
        moved(round.name(), partitions / 2, 1),
        moved("__consumer_offsets", 4, COORDINATORS_EVERY),
        moved("__transaction_state", 4, COORDINATORS_EVERY),
    ];
    let elector = Elector::start(cluster.bootstrap(), NODES, topics, PAUSE);
    let roles = plain.roles_mut().chain(transactional.roles_mut()).chain([&mut repeater]);
    let before: Vec<_> = roles.map(|role| (role.records(), Instant::now(), role)).collect();
    thread::sleep(Duration::from_secs(seconds));
    for (records, since, role) in before {
        role.rate_per_s = role.records().saturating_sub(records) as f64 / since.elapsed().as_secs_f64();
    }
    let elections = elector.stop();
    assert!(elections > seconds, "{elections} elections in {seconds} s");
    println!("elections: {elections} leaders elected in {seconds} s, {partitions} partitions a topic");

    let mut verdicts = vec![repeater.finish()];
    verdicts.extend(plain.finish("audit", ""));
    verdicts.extend(transactional.finish("tx-audit", "--use-transactions"));
    let left = groups_left_behind(&round, &verdicts);
    println!(
        "elections: {:<14} {} left behind {}",
        "groups",
        left.len(),
        if left.is_empty() { "passed" } else { "FAILED" }
    );
    let admissions = admissions::of(cluster, NODES);
    for (partition, admitted) in &admissions {
        println!("elections: the brokers admit to have lost records of {partition}: {admitted:?}");
    }
    let is_wrong = |verdict: &&Verdict| !verdict.is_right(&admissions);
    for verdict in &verdicts {
        verdict.tell(!is_wrong(&verdict));
    }
    let accused = |verdict: &Verdict| {
        let pairs = verdict.accused.iter().map(|named| (verdict.topic.clone(), named.clone()));
        pairs.collect::<Vec<_>>()
    };
    let accused: Vec<_> = verdicts.iter().filter(is_wrong).flat_map(accused).collect();
    dump::accused(cluster, &accused);
    let wrong: Vec<_> = verdicts.iter().filter(is_wrong).map(|verdict| verdict.name).collect();
    assert!(wrong.is_empty(), "accused or failed: {wrong:?}");
    assert!(left.is_empty(), "left behind without a word: {left:?}");
}

/// Groups that a run has named by itself, and has neither deleted nor told of.
fn groups_left_behind(topic: &Topic, verdicts: &[Verdict]) -> Vec<String> {
    let is_left = |group: &String| {
        let maker = verdicts.iter().find(|verdict| group.contains(&format!("-{}-", verdict.pid)));
        maker.is_some_and(|maker| !maker.told.contains(group.as_str()))
    };
    topic.groups("kgo-verifier-").into_iter().filter(is_left).collect()
}
