//! Every thread of the process is where the plan says: the shards', the client library's, and the rest.

use proofload::inside::runtime::CpuSet;

use crate::{
    Test,
    dsl::{
        Mock, Run, Running, Topic, poll,
        threads::{self, Thread},
    },
    startup::two_cores,
    tests,
};

/// Work of each kind that goes on until it is stopped.
const KINDS: &[(&str, &str)] = &[
    ("producing", "--produce_msgs 10000000000 --msg_size 100 --produce-throughput-bps 50000"),
    ("reading_in_order", "--seq_read --loop"),
    ("reading_at_random", "--rand_read_msgs 10000000 --parallel 3"),
];

pub fn tests() -> Vec<(String, Test)> {
    let kinds = KINDS.iter().flat_map(|(kind, work)| {
        let test = |name: &str, test: Box<dyn FnOnce() + Send>| {
            (format!("placement::{name}_{kind}"), Test::Case(test))
        };
        [
            test("one_core_takes_shard_and_clients_when", Box::new(|| one_core(work))),
            test("clients_may_run_anywhere_when", Box::new(|| clients_anywhere(work))),
        ]
    });
    let two = tests![
        If(two_cores, two_cores_take_a_shard_each_producing),
        If(two_cores, two_cores_take_a_shard_each_reading_in_order),
        If(two_cores, two_cores_take_a_shard_each_reading_at_random),
        If(two_cores, a_narrow_mask_holds_every_thread),
    ];
    kinds.chain(two).collect()
}

fn two_cores_take_a_shard_each_producing() {
    two_shards(KINDS[0].1);
}

fn two_cores_take_a_shard_each_reading_in_order() {
    two_shards(KINDS[1].1);
}

fn two_cores_take_a_shard_each_reading_at_random() {
    two_shards(KINDS[2].1);
}

fn only(core: usize) -> CpuSet {
    CpuSet::from_iter([core])
}

/// A topic with something to read.
fn topic(mock: &Mock) -> Topic {
    let topic = mock.topic(4);
    (0..4).for_each(|partition| topic.write_proven(partition, 0..20));
    topic
}

fn is_client(thread: &Thread) -> bool {
    thread.name.starts_with("rdk:")
}

/// Waits until the threads are as they should be. They may be starting up, or on their way out.
#[track_caller]
fn settle(run: &Running, check: impl Fn(&[Thread]) -> Result<(), String>) {
    let mut last = String::new();
    let settled = poll(|| {
        let threads = threads::of(run.pid());
        check(&threads).map_err(|reason| last = format!("{reason}: {threads:#?}")).ok()
    });
    assert!(settled.is_some(), "{last}\n{}", run.transcript());
}

/// What must hold of any run: shards are pinned to these cores, clients of shards are on those, and all
/// else may run on all allowed cores.
fn check(
    threads: &[Thread],
    shard_cores: &[usize],
    clients: &[CpuSet],
    allowed: &CpuSet,
) -> Result<(), String> {
    for (index, core) in shard_cores.iter().enumerate() {
        let name = format!("shard-{index}");
        let shards: Vec<_> = threads.iter().filter(|thread| thread.name == name).collect();
        if shards.is_empty() || shards.iter().any(|thread| thread.cpus != only(*core)) {
            return Err(format!("{name} is not on core {core}"));
        }
    }
    for thread in threads.iter().filter(|thread| !thread.name.starts_with("shard-") && !is_client(thread)) {
        if thread.cpus != *allowed {
            return Err(format!("{} is not on {allowed}", thread.name));
        }
    }
    for cpus in clients {
        if !threads.iter().any(|thread| is_client(thread) && thread.cpus == *cpus) {
            return Err(format!("no client thread is on {cpus}"));
        }
    }
    let known = |thread: &&Thread| clients.contains(&thread.cpus) || thread.cpus == *allowed;
    match threads.iter().filter(|thread| is_client(thread)).find(|thread| !known(thread)) {
        Some(thread) => Err(format!("a client thread is on {}", thread.cpus)),
        None => Ok(()),
    }
}

/// One client watches the brokers, and may run anywhere: its main thread, and one for each connection.
/// None of the shards' may.
fn check_wide_clients(threads: &[Thread], allowed: &CpuSet) -> Result<(), String> {
    let wide = |name: &str| {
        threads.iter().filter(|thread| thread.name.starts_with(name) && thread.cpus == *allowed).count()
    };
    match (wide("rdk:main"), wide("rdk:broker")) {
        // The bootstrap list's, the broker's, and the library's own inner one.
        (1, 0..=3) => Ok(()),
        found => Err(format!("{found:?} main and broker threads of clients are on {allowed}")),
    }
}

fn start(topic: &Topic, work: &str, flags: &str) -> Running {
    // Our own client has no threads.
    let run = Run::verifier().args(topic.flags()).args(work).args(flags).args("--client librdkafka");
    let run = run.with_control().start();
    run.harness().first();
    run
}

fn one_core(work: &str) {
    let mock = Mock::start();
    let allowed = threads::allowed();
    let core = allowed.iter().last().expect("a core");
    let run = start(&topic(&mock), work, &format!("--cores {core}-{core}"));
    settle(&run, |threads| {
        check(threads, &[core], &[only(core)], &allowed)?;
        // On a machine with one core, everywhere is the same as there.
        if allowed.len() == 1 { Ok(()) } else { check_wide_clients(threads, &allowed) }
    });
}

fn clients_anywhere(work: &str) {
    let mock = Mock::start();
    let allowed = threads::allowed();
    let core = allowed.iter().next().expect("a core");
    let run = start(&topic(&mock), work, &format!("--cores {core}-{core} --client-threads any"));
    settle(&run, |threads| {
        check(threads, &[core], std::slice::from_ref(&allowed), &allowed)?;
        let mains = threads.iter().filter(|thread| thread.name == "rdk:main").count();
        if mains >= 2 { Ok(()) } else { Err("the shard has no client".to_owned()) }
    });
}

fn two_shards(work: &str) {
    let mock = Mock::start();
    let allowed = threads::allowed();
    let run = start(&topic(&mock), work, "--cores 2");
    settle(&run, |threads| {
        let cores: Vec<usize> = (0..2)
            .filter_map(|index| threads.iter().find(|thread| thread.name == format!("shard-{index}")))
            .filter(|thread| thread.cpus.len() == 1)
            .filter_map(|thread| thread.cpus.iter().next())
            .collect();
        match cores[..] {
            [first, second] if first != second => {
                check(threads, &cores, &[only(first), only(second)], &allowed)?;
                check_wide_clients(threads, &allowed)
            }
            _ => Err(format!("two shards on two cores, but {cores:?}")),
        }
    });
}

fn a_narrow_mask_holds_every_thread() {
    let mock = Mock::start();
    let core = threads::allowed().iter().last().expect("a core");
    let run = Run::verifier().under(["taskset", "-c", &core.to_string()]);
    let run = run.args(topic(&mock).flags()).args(KINDS[0].1).args("--cores all --client librdkafka");
    let run = run.with_control().start();
    run.harness().first();
    settle(&run, |threads| check(threads, &[core], &[only(core)], &only(core)));
    let outside = threads::of(run.pid()).into_iter().find(|thread| thread.cpus != only(core));
    assert!(outside.is_none(), "{outside:?}");
}
