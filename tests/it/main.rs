//! The tests that run the program: against mock brokers, a real one, and faults.
//!
//! One binary, so that all tests share one real broker, and so that it has a `main` which ends what
//! was started: see `dsl/janitor.rs`.

mod bearer;
mod bench;
mod bench_files;
mod bench_rates;
mod bench_restart;
mod blame;
mod chaos;
mod ci_job;
mod contradictions;
mod control;
mod coverage;
mod create;
mod cycles;
mod disk;
mod doctor;
mod dsl;
mod elections;
mod elsewhere;
mod embedded;
mod endings;
mod engines;
mod flags;
mod flips;
mod freezes;
mod groups;
mod guard;
mod harness;
mod interchange;
mod keep_going;
mod kills;
mod kubernetes;
mod leaderships;
mod limits;
mod live;
mod metrics;
mod ours;
mod pacing;
mod packages;
mod payload;
mod permanent;
mod placement;
mod preload;
mod probed;
#[path = "../probes/mod.rs"]
mod probes;
mod process;
mod proxied;
mod real;
mod releases;
mod renewed;
mod repeater;
mod roles;
mod security;
mod side_by_side;
mod slices;
mod stalls;
mod startup;
mod surgery;
mod terminal;
mod transactions;
mod trogdor;
mod upheaval;
mod usage;
mod values;
mod verdicts;
mod waits;
mod watching;

use std::{
    env,
    fs::File,
    io::Write,
    sync::{Arc, Once},
    time::Instant,
};

use dsl::{Cluster, Release, Secured, cluster::NoCluster, janitor, run::speaking};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// How many tests run at once: they mostly wait, for brokers and for each other's processes.
const THREADS: usize = 3;

/// A test, and what it needs.
pub enum Test {
    /// Nothing.
    Alone(fn()),
    /// Nothing, one of many alike.
    Case(Box<dyn FnOnce() + Send>),
    /// The real broker that all share.
    Real(fn(&Cluster)),
    /// The same, and something that a machine may lack: the reason, when it does.
    RealIf(fn() -> Result<(), String>, fn(&Cluster)),
    /// A real broker of its own, with these settings: it is killed, stopped or set up otherwise.
    OwnReal(&'static [&'static str], fn(&Cluster)),
    /// The same, with so many nodes.
    OwnNodes(usize, &'static [&'static str], fn(&Cluster)),
    /// One of many alike, on the shared real broker of this release.
    Probe(Release, Box<dyn FnOnce(&Cluster) + Send>),
    /// The real broker of this release that all share.
    Shared(Release, fn(&Cluster)),
    /// A real cluster of its own, of this release and with so many nodes.
    OwnRelease(Release, usize, fn(&Cluster)),
    /// The real broker that lets in only whom it knows, which all share.
    Secured(fn(&Secured)),
    /// The same, spoken to by librdkafka.
    SecuredTheirs(fn(&Secured)),
    /// Something that a machine may lack: the reason, when it does.
    If(fn() -> Result<(), String>, fn()),
}

/// Makes a list of tests of functions, each under its module's name and its own.
macro_rules! tests {
    ($($kind:ident($($arg:expr),* $(,)?)),* $(,)?) => {
        vec![$(crate::named(module_path!(), $crate::tests!(@name $($arg),*), crate::Test::$kind($($arg),*))),*]
    };
    (@name $name:expr) => { stringify!($name) };
    (@name $first:expr, $name:expr) => { stringify!($name) };
    (@name $first:expr, $second:expr, $name:expr) => { stringify!($name) };
}
pub(crate) use tests;

/// A test under the last part of its module's path.
fn named(module: &str, name: &str, test: Test) -> (String, Test) {
    (format!("{}::{name}", module.trim_start_matches("it::")), test)
}

fn main() {
    // Some tests need a process that first does something to itself: it is this program again.
    roles::play_if_asked();
    // What is caught here is as by default in the programs that are started; what is ignored, as under nohup, would
    // stay ignored there.
    signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::default()).expect("a handler");
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    janitor::start();
    let trials = all().into_iter().map(|(name, test)| {
        let called = name.clone();
        Trial::ignorable_test(name, move || timed(&called, || run(test)))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    janitor::finish();
    conclusion.exit();
}

fn all() -> Vec<(String, Test)> {
    [
        // The slow ones first, so that none of them is waited for alone in the end.
        elections::tests(),
        elsewhere::tests(),
        cycles::tests(),
        freezes::tests(),
        leaderships::tests(),
        bench_restart::tests(),
        repeater::tests(),
        ours::tests(),
        chaos::tests(),
        ci_job::tests(),
        renewed::tests(),
        blame::tests(),
        surgery::tests(),
        flips::tests(),
        kills::tests(),
        kubernetes::tests(),
        slices::tests(),
        groups::tests(),
        probed::tests(),
        releases::tests(),
        stalls::tests(),
        trogdor::tests(),
        engines::tests(),
        waits::tests(),
        watching::tests(),
        proxied::tests(),
        harness::tests(),
        transactions::tests(),
        permanent::tests(),
        values::tests(),
        verdicts::tests(),
        bearer::tests(),
        bench::tests(),
        bench_files::tests(),
        bench_rates::tests(),
        upheaval::tests(),
        security::tests(),
        side_by_side::tests(),
        real::tests(),
        endings::tests(),
        coverage::tests(),
        placement::tests(),
        process::tests(),
        disk::tests(),
        interchange::tests(),
        keep_going::tests(),
        embedded::tests(),
        flags::tests(),
        contradictions::tests(),
        limits::tests(),
        live::tests(),
        metrics::tests(),
        control::tests(),
        guard::tests(),
        packages::tests(),
        doctor::tests(),
        pacing::tests(),
        preload::tests(),
        create::tests(),
        payload::tests(),
        startup::tests(),
        roles::tests(),
        usage::tests(),
        terminal::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// With `PROOFLOAD_TIMES=FILE` each test leaves a line there: its seconds and its name.
fn timed<T>(name: &str, test: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let outcome = test();
    if let Some(path) = env::var_os("PROOFLOAD_TIMES") {
        let mut file =
            File::options().append(true).create(true).open(path).expect("PROOFLOAD_TIMES names a file");
        writeln!(file, "{:6.1} {name}", began.elapsed().as_secs_f64()).expect("it is written");
    }
    outcome
}

fn run(test: Test) -> Result<Completion, Failed> {
    match test {
        Test::Alone(test) => test(),
        Test::Case(test) => test(),
        Test::If(condition, test) => match condition() {
            Ok(()) => test(),
            Err(reason) => return Ok(skip(&reason)),
        },
        Test::RealIf(condition, test) => {
            if let Err(reason) = condition() {
                return Ok(skip(&reason));
            }
            return run(Test::Real(test));
        }
        Test::Real(test) => match Cluster::shared() {
            Ok(cluster) => test(cluster),
            Err(reason) => return without_cluster(&reason),
        },
        Test::Probe(release, test) => match Cluster::shared_of(release) {
            Ok(cluster) => test(cluster),
            Err(reason) => return without_cluster(&reason),
        },
        Test::Shared(release, test) => match Cluster::shared_of(release) {
            Ok(cluster) => test(cluster),
            Err(reason) => return without_cluster(&reason),
        },
        Test::OwnRelease(release, nodes, test) => match Cluster::start_of(release, nodes) {
            Ok(cluster) => test(&cluster),
            Err(reason) => return without_cluster(&reason),
        },
        Test::Secured(test) => match Secured::shared() {
            Ok(secured) => test(secured),
            Err(reason) => return without_cluster(&reason),
        },
        Test::SecuredTheirs(test) => match Secured::shared() {
            Ok(secured) => speaking("librdkafka", || test(secured)),
            Err(reason) => return without_cluster(&reason),
        },
        Test::OwnReal(config, test) => return on_own_cluster(1, config, test),
        Test::OwnNodes(nodes, config, test) => return on_own_cluster(nodes, config, test),
    }
    Ok(Completion::Completed)
}

fn on_own_cluster(nodes: usize, config: &[&str], test: fn(&Cluster)) -> Result<Completion, Failed> {
    match Cluster::start(nodes, config) {
        Ok(cluster) => test(&cluster),
        Err(reason) => return without_cluster(&reason),
    }
    Ok(Completion::Completed)
}

fn without_cluster(reason: &NoCluster) -> Result<Completion, Failed> {
    static ONCE: Once = Once::new();
    match reason {
        NoCluster::Failed(reason) => Err(format!("no real broker: {reason}").into()),
        NoCluster::Skipped(reason) => {
            ONCE.call_once(|| eprintln!("\n*** NO REAL BROKER, its tests are skipped: {reason} ***\n"));
            Ok(Completion::ignored_with(reason))
        }
    }
}

fn skip(reason: &str) -> Completion {
    eprintln!("\n*** skipped: {reason} ***\n");
    Completion::ignored_with(reason)
}
