//! What runs the program for people, as they would have it run: the demonstration.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Test,
    dsl::{Cluster, Run, cluster::NoCluster},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![If(log_surgery_is_built, the_demonstration_names_each_fault)]
}

/// A broker comes up, and some seconds of work are done.
const LIMIT: Duration = Duration::from_mins(6);

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

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
