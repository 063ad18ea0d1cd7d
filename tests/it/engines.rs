//! What runs the program for people, as they would have it run: the demonstration, and the services for ducktape.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    Test,
    dsl::{Cluster, Run, cluster::NoCluster, janitor, source},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        If(ducktape_can_be_had, ducktape_runs_the_services),
        If(log_surgery_is_built, the_demonstration_names_each_fault),
    ]
}

/// Packages are fetched, a broker comes up, and some seconds of work are done.
const LIMIT: Duration = Duration::from_mins(6);

/// Where `cargo` has put what it built.
fn built() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_proofload")).parent().expect("a folder")
}

fn real_broker() -> Result<(), String> {
    match Cluster::shared() {
        Err(NoCluster::Skipped(reason)) => Err(reason),
        // What should have come up is missed where it is used.
        Ok(_) | Err(NoCluster::Failed(_)) => Ok(()),
    }
}

fn ducktape_can_be_had() -> Result<(), String> {
    let runs = |words: &[&str]| {
        Command::new("python3").args(words).output().is_ok_and(|output| output.status.success())
    };
    if !runs(&["-c", "import ensurepip, sys, venv; assert sys.version_info >= (3, 9)"]) {
        return Err("there is no Python 3.9 with venv (packages python3, python3-venv)".to_owned());
    }
    let folder = janitor::folder();
    let folder = folder.path().to_str().expect("a name");
    let fetch = [
        "-m",
        "pip",
        "download",
        "-q",
        "--retries",
        "1",
        "--timeout",
        "20",
        "--no-deps",
        "-d",
        folder,
        "ducktape",
    ];
    if !runs(&fetch) {
        return Err("no package index is reached: pip cannot download ducktape".to_owned());
    }
    real_broker()
}

fn ducktape_runs_the_services() {
    let cluster = Cluster::shared().unwrap_or_else(|error| panic!("no real broker: {error}"));
    let run = Run::program(&source("integrations/ducktape/run-tests"));
    let run = run.args(format!(
        "--brokers {} --proofload {}",
        cluster.bootstrap(),
        env!("CARGO_BIN_EXE_proofload")
    ));
    // 4 + 1: what is not run is not passed.
    run.run_bare().finish_within(LIMIT).expect_code(0).expect_output(&["passed:", "tests run:"]);
}

fn log_surgery_is_built() -> Result<(), String> {
    if !built().join("examples/log-surgery").exists() {
        return Err(
            "examples/log-surgery is not built: cargo test builds it, where no target is named".to_owned()
        );
    }
    real_broker()
}

fn the_demonstration_names_each_fault() {
    let run = Run::program(&source("scripts/demo")).arg("--folder").arg(&built().display().to_string());
    let finished = run.args("--records 40000").run_bare().finish_within(LIMIT).expect_code(0);
    finished.expect_output(&["PROVEN", "VIOLATION", "each of the three was named, and nothing else"]);
}
