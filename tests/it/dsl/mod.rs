//! What the tests are written in: processes under test, clusters, topics, and a harness that polls.

pub mod batches;
mod browser;
pub mod cluster;
pub mod codecs;
pub mod elector;
pub mod http;
pub mod janitor;
pub mod ledger;
pub mod pki;
pub mod ports;
pub mod protocol;
pub mod proxy;
pub mod pty;
pub mod run;
pub mod schema;
pub mod secured;
pub mod shows;
pub mod status;
pub mod surgery;
pub mod threads;
pub mod topic;
pub mod wire;

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

pub use browser::Browser;
pub use cluster::{Cluster, Mock, Release};
pub use elector::Elector;
pub use http::{Harness, Http};
pub use proxy::Proxy;
pub use run::{Finished, Run, Running, Workdir};
pub use secured::Secured;
pub use status::{Producer, Worker};
pub use topic::Topic;

/// How long anything may take that is expected to happen. Far more than it needs: a machine may be
/// busy with a dozen other things, and only a hang should run into it.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The contract's limit for the end of a process, and for its first status.
pub const EXIT_LIMIT: Duration = Duration::from_secs(10);
pub const FIRST_STATUS_LIMIT: Duration = Duration::from_secs(5);

/// A file or folder of this repository.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether a tool runs, and what is missing where not.
pub fn tool_is_there(tool: &str, package: &str) -> Result<(), String> {
    let found = Command::new(tool).arg("--version").output();
    found.map(|_| ()).map_err(|_| format!("{tool} is not installed (package {package})"))
}

/// Polls until there is an answer; `None` when it takes too long.
pub fn poll<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        thread::sleep(Duration::from_millis(30));
    }
    None
}

/// Polls until there is an answer.
#[track_caller]
pub fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    poll(ask).unwrap_or_else(|| panic!("{what}: not within {} s", PATIENCE.as_secs()))
}

/// Polls until it is so.
#[track_caller]
pub fn wait_until(what: &str, mut poll: impl FnMut() -> bool) {
    wait_for(what, || poll().then_some(()));
}
