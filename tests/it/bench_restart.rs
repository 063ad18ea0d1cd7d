//! A benchmark as fast as acks come, on three brokers of which one dies in the middle and comes back: everything is proven, the
//! latencies show it, and memory stays flat.
//!
//! `PROOFLOAD_BENCH_RESTART` says for how many seconds, and `PROOFLOAD_BENCH_PROGRAM` with which program, because what was
//! built for tests is its own limit; see `scripts/prove`.

use std::{
    env, fs,
    path::Path,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Test,
    dsl::{Cluster, Finished, PATIENCE, Run, topic::unique_name},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![OwnNodes(
        NODES,
        &[
            "broker.session.timeout.ms=3000",
            "broker.heartbeat.interval.ms=500",
            "log.retention.check.interval.ms=5000",
        ],
        a_broker_that_restarts_is_in_the_latencies_and_costs_nothing
    )]
}

const NODES: usize = 3;
const DEFAULT_S: u64 = 10;
/// How long a broker is missed by nobody, as set above.
const SESSION: Duration = Duration::from_secs(3);
/// How long it is gone at least.
const PAUSE: Duration = Duration::from_secs(2);
/// What two clocks, of which one is read from a log line, may be apart.
const SLACK: Duration = Duration::from_secs(1);
/// In 6 partitions, 512 MiB each of the last records: readers are never so far behind, and no disk is filled by ten minutes.
const LOAD: &str = "--partitions 6 --replication-factor 3 --topic-config min.insync.replicas=2 \
    --topic-config retention.bytes=536870912 --topic-config segment.bytes=67108864 --topic-config file.delete.delay.ms=1000 \
    --msg_size 1024 --rate max --progress never --output result.json";
/// Memory of the second half may be so much of that of the first, and what a broker that is gone adds once: records that wait
/// for its partitions, and answers that are all the larger when they have come. A few bytes for each record of ten minutes
/// would be more.
const MOST_GROWTH: f64 = 1.25;
const ONCE_KIB: f64 = 16_384.0;

/// When the broker was killed, and when it was ready again, by the time that is measured.
struct Gone {
    from: Duration,
    until: Duration,
}

/// The memory of a process, KiB, until it ends.
type Memory = JoinHandle<Vec<(Instant, u64)>>;

fn watch_memory(pid: u32) -> Memory {
    thread::spawn(move || {
        let mut seen = Vec::new();
        while let Some(kib) = resident_kib(pid) {
            seen.push((Instant::now(), kib));
            thread::sleep(Duration::from_millis(200));
        }
        seen
    })
}

/// `None` when it has ended, waited for or not.
fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn a_broker_that_restarts_is_in_the_latencies_and_costs_nothing(cluster: &Cluster) {
    let asked = env::var("PROOFLOAD_BENCH_RESTART").ok();
    let seconds = asked.as_ref().map_or(DEFAULT_S, |seconds| seconds.parse().expect("a number of seconds"));
    assert!(seconds >= DEFAULT_S, "in less than {DEFAULT_S} s no leader moves");
    let (duration, warmup) = (Duration::from_secs(seconds), Duration::from_secs((seconds / 8).clamp(1, 10)));
    let run = env::var_os("PROOFLOAD_BENCH_PROGRAM")
        .map_or_else(Run::proofload, |program| Run::program(Path::new(&program)));
    let run = run.args(format!(
        "bench --brokers {} --topic {} --duration {seconds}s --warmup {}s {LOAD}",
        cluster.bootstrap(),
        unique_name(),
        warmup.as_secs()
    ));
    let run = run.start();
    run.wait_for_log("this run's records name it");
    let measured_from = Instant::now() + warmup;
    let memory = watch_memory(run.pid());
    thread::sleep(warmup + duration / 2);
    let struck = Instant::now();
    cluster.kill(NODES - 1);
    thread::sleep(PAUSE);
    cluster.restart(NODES - 1);
    let gone = Gone { from: struck - measured_from, until: measured_from.elapsed() };
    let run = run.finish_within(duration + PATIENCE);

    let memory = memory.join().expect("what was seen");
    let result = run.workdir.path().join("result.json").exists().then(|| run.workdir.json("result.json"));
    let ours = result.map_or(Value::Null, |result| result["proofload"].clone());
    // Beside other tests ten seconds may have no whole one before the kill.
    let shows = is_shown(&ours, &gone) || asked.is_none();
    let is_right = [is_proven(&run, &ours), shows, is_flat(&memory, struck)];
    assert_eq!(is_right, [true; 3], "proven, shown, flat\n{}", run.transcript());
}

/// Prints a row of the table.
fn tell(what: &str, is_right: bool) -> bool {
    println!("bench_restart: {what} {} true, {} not", u8::from(is_right), u8::from(!is_right));
    is_right
}

fn is_proven(run: &Finished, ours: &Value) -> bool {
    println!(
        "bench_restart: {} of {} acked records proven; {:.0} records/s, {}",
        ours["proof"]["proven_records"],
        ours["proof"]["acked_records"],
        ours["totals"]["publish_records_per_s"].as_f64().unwrap_or(0.0),
        ours["client"]["verdict"]
    );
    let is_right = run.code() == Some(0) && ours["proof"]["verdict"] == "proven";
    tell("everything is proven, exit code 0", is_right)
}

/// Whether a record waited longer for its ack than any before, about as long as nobody missed its leader.
fn is_shown(ours: &Value, gone: &Gone) -> bool {
    let of = |figure: &'static str, is_in: &dyn Fn(Duration) -> bool| {
        let at = |sample: &Value| Duration::from_secs_f64(sample["at_s"].as_f64().expect("a time"));
        let samples = ours["samples"].as_array().into_iter().flatten().filter(|sample| is_in(at(sample)));
        samples.filter_map(|sample| sample["publish"][figure].as_u64()).max().unwrap_or(0) / 1_000
    };
    let before = |at: Duration| at + SLACK < gone.from;
    let around = |at: Duration| at >= gone.from && at <= gone.until + SESSION;
    let after = |at: Duration| at > gone.until + SESSION;
    let most = |figure| [of(figure, &before), of(figure, &around), of(figure, &after)];
    let (p99_ms, max_ms) = (most("p99_us"), most("max_us"));
    println!(
        "bench_restart: killed at {:.1} s, ready again at {:.1} s; publish latency of the worst second before, around and behind that: \
         p99 {p99_ms:?} ms, max {max_ms:?} ms",
        gone.from.as_secs_f64(),
        gone.until.as_secs_f64()
    );
    let [before_ms, around_ms, _] = max_ms;
    let waited = u128::from(around_ms) >= SESSION.as_millis() / 2;
    tell("the latency shows it", waited && before_ms > 0 && around_ms > before_ms)
}

fn is_flat(memory: &[(Instant, u64)], middle: Instant) -> bool {
    let peak = |is_first: bool| {
        let half = memory.iter().filter(|(at, _)| (*at < middle) == is_first);
        half.map(|(_, kib)| *kib).max().unwrap_or(0)
    };
    let (first, second) = (peak(true), peak(false));
    let tenths = memory.chunks(memory.len().div_ceil(10).max(1));
    let peaks = tenths.map(|tenth| tenth.iter().map(|(_, kib)| kib >> 10).max().unwrap_or(0));
    println!(
        "bench_restart: at most {:.1} MiB of memory in the first half, {:.1} MiB in the second; by tenths {:?}",
        first as f64 / 1024.0,
        second as f64 / 1024.0,
        peaks.collect::<Vec<_>>()
    );
    tell("memory is flat", first > 0 && second as f64 <= first as f64 * MOST_GROWTH + ONCE_KIB)
}
