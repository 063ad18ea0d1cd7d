//! Faults that a process must do to itself: a system call forbidden before the program starts, a bug
//! in a thread. The process is this test program, started again with a role to play.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::Path,
    process::{self, Command},
    sync::Arc,
    thread,
    time::Duration,
};

use nix::{errno::Errno, libc};
use proofload::{
    Program,
    inside::runtime::{ClientThreads, CoresRequest, ShardLimits, Topology, executor, panic, placement},
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch};

use crate::{
    Test,
    dsl::{Finished, Mock, Run, Topic, schema::Schema},
    tests,
};

/// Only this program knows it.
const ROLE: &str = "PROOFLOAD_IT_ROLE";
/// The file that asks for a panic.
const PANIC: &str = "panic-now";
const BUG: &str = "a bug with the number 7";

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(io_uring_that_is_denied_is_explained),
        Alone(io_uring_that_does_not_exist_is_explained),
        Alone(a_panic_in_a_shard_ends_the_process_with_3),
        Alone(panics_in_many_threads_make_one_message),
        Alone(a_panic_shows_a_backtrace_on_request),
        Alone(a_panic_in_mid_work_leaves_a_report),
    ]
}

/// Plays the role that the environment asks for, if any, and does not return then.
pub fn play_if_asked() {
    let Ok(role) = env::var(ROLE) else { return };
    match role.as_str() {
        "io_uring denied" => run_without_io_uring(Errno::EPERM),
        "io_uring missing" => run_without_io_uring(Errno::ENOSYS),
        "shard panics" => panic_in_a_shard(),
        "threads panic" => panic_in_threads(),
        "work panics" => panic_in_mid_work(),
        role => unreachable!("no such role: {role}"),
    }
}

/// Becomes the program in the arguments, which then has no `io_uring`.
fn run_without_io_uring(errno: Errno) -> ! {
    let calls = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];
    let rules: BTreeMap<i64, Vec<SeccompRule>> = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno((errno as i32).unsigned_abs());
    let arch: TargetArch = env::consts::ARCH.try_into().expect("an architecture with seccomp");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a filter that compiles");
    seccompiler::apply_filter(&program).expect("a kernel with seccomp");
    let mut words = env::args_os().skip(1);
    let error = Command::new(words.next().expect("a program")).args(words).env_remove(ROLE).exec();
    panic!("{error}");
}

fn panic_in_a_shard() -> ! {
    panic::install_hook(|_| ());
    let topology = Topology::detect().expect("a topology");
    let limits = ShardLimits { partitions: 1, max_buffered_records: None };
    let plan =
        placement::plan(&topology, &CoresRequest::Auto, ClientThreads::Shard, &limits).expect("a plan");
    let shards = executor::spawn_shards(&plan, &Arc::default(), |_| async { bug() }).expect("shards");
    for shard in shards {
        drop(shard.join());
    }
    process::exit(0)
}

fn panic_in_threads() -> ! {
    panic::install_hook(|_| ());
    let start = |_| thread::Builder::new().name("shard-7".into()).spawn(bug).expect("a thread");
    let threads: Vec<_> = (0..8).map(start).collect();
    for thread in threads {
        drop(thread.join());
    }
    process::exit(0)
}

/// The program in the arguments, in this process, and a bug in one of its threads as soon as there is a file of this name.
fn panic_in_mid_work() -> ! {
    let when_asked = || {
        while !Path::new(PANIC).exists() {
            thread::sleep(Duration::from_millis(20));
        }
        bug();
    };
    thread::Builder::new().name("shard-0".into()).spawn(when_asked).expect("a thread");
    let code = proofload::run(Program::Verifier, env::args_os().skip(2));
    process::exit(code.into())
}

fn bug() {
    panic!("{BUG}");
}

/// The program, or whatever else the role makes of it.
fn as_role(role: &str, run: Run) -> Run {
    let itself: OsString = env::current_exe().expect("this program's file").into();
    run.env(ROLE, role).under([itself])
}

fn produce_without_io_uring(role: &str) -> (Finished, Topic, Mock) {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let run = Run::verifier().args(topic.flags()).args("--produce_msgs 10 --seq_read");
    (as_role(role, run).finish(), topic, mock)
}

fn io_uring_that_is_denied_is_explained() {
    let (finished, topic, _mock) = produce_without_io_uring("io_uring denied");
    let finished = finished
        .expect_code(3)
        .expect_one_error(&["io_uring_setup is not permitted", "--security-opt seccomp=unconfined"])
        .expect_no_output(&["panicked"]);
    assert_eq!(topic.ends(), [0], "nothing produced");
    assert!(finished.workdir.contents().is_empty(), "no file touched");
}

fn io_uring_that_does_not_exist_is_explained() {
    let (finished, topic, _mock) = produce_without_io_uring("io_uring missing");
    let finished = finished
        .expect_code(3)
        .expect_one_error(&["io_uring_setup does not exist here", "Linux 5.8 or newer"])
        .expect_no_output(&["panicked"]);
    assert_eq!(topic.ends(), [0], "nothing produced");
    assert!(finished.workdir.contents().is_empty(), "no file touched");
}

/// The one line on a panic, in a thread of this name.
fn expect_one_message(finished: &Finished, thread: &str) {
    let lines: Vec<_> = finished.stderr.lines().collect();
    let start = format!("proofload: bug: thread `{thread}` panicked at tests/it/roles.rs:");
    assert!(lines[0].starts_with(&start), "{}", finished.transcript());
    assert!(lines[0].ends_with(&format!(": {BUG}")), "{}", finished.transcript());
    assert_eq!(lines.len(), 2, "a hint, and nothing of the other threads: {}", finished.transcript());
}

fn a_panic_in_a_shard_ends_the_process_with_3() {
    let finished = as_role("shard panics", Run::proofload()).finish_bare().expect_code(3);
    expect_one_message(&finished, "shard-0");
}

fn panics_in_many_threads_make_one_message() {
    let finished = as_role("threads panic", Run::proofload()).finish_bare().expect_code(3);
    expect_one_message(&finished, "shard-7");
}

fn a_panic_shows_a_backtrace_on_request() {
    let run = as_role("threads panic", Run::proofload()).env("RUST_BACKTRACE", "1");
    let finished = run.finish_bare().expect_code(3).expect_output(&["roles::bug"]);
    assert!(finished.stderr.lines().count() > 2, "{}", finished.transcript());
}

/// Whatever was found until then is in it, and no verdict on the cluster.
fn a_panic_in_mid_work_leaves_a_report() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let work =
        "--produce_msgs 10000000000 --msg_size 100 --produce-throughput-bps 20000 --report report.json";
    let run = as_role("work panics", Run::verifier().args(topic.flags()).args(work)).with_control().start();
    run.harness().until("a first ack", |workers| workers[0].producer().acked > 0);
    run.workdir().write(PANIC, "");
    let finished = run.finish().expect_code(3).expect_output(&[BUG, "proofload: FAILED: a bug: "]);
    let report = finished.workdir.report();
    Schema::of_reports().expect_valid(&report);
    assert_eq!((&report["verdict"], &report["ended"]), (&"failed".into(), &true.into()), "{report:#}");
    assert_eq!((&report["exit_code"], &report["complete"]), (&3.into(), &false.into()), "{report:#}");
    assert!(report["workers"][0]["acked_records"].as_u64() > Some(0), "{report:#}");
}
