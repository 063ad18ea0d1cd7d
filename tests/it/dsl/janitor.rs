//! What must not outlive the tests: processes, brokers, folders.
//!
//! A shell in a process of its own is told of each, and cleans up when its standard input ends:
//! at the end of the tests, and just as well when they panic or are killed.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use tempfile::TempDir;

static JANITOR: OnceLock<Janitor> = OnceLock::new();

struct Janitor {
    root: PathBuf,
    shell: Mutex<Option<(Child, ChildStdin)>>,
}

/// The script that runs real brokers.
pub fn kafka_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka")
}

/// Call first, and once.
pub fn start() {
    let root = tempfile::Builder::new().prefix("proofload-it-").tempdir().expect("a temporary folder").keep();
    let mut shell = Command::new("bash")
        .args(["-c", include_str!("../janitor.sh"), "janitor"])
        .args([root.as_path(), &kafka_script()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bash, which cleans up behind the tests");
    let stdin = shell.stdin.take().expect("its standard input");
    let janitor = Janitor { root, shell: Mutex::new(Some((shell, stdin))) };
    assert!(JANITOR.set(janitor).is_ok(), "one janitor is enough");
}

/// Call last: returns when everything is gone.
pub fn finish() {
    let shell = janitor().shell.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((mut shell, stdin)) = shell {
        drop(stdin);
        shell.wait().expect("the janitor's end");
    }
}

/// Tells of something that begins or ends: `+pid 7`, `-cluster /folder`.
pub fn tell(what: &str, id: impl AsRef<Path>) {
    let line = format!("{what} {}\n", id.as_ref().display());
    if let Some((_, stdin)) = &mut *janitor().shell.lock().unwrap_or_else(PoisonError::into_inner) {
        stdin.write_all(line.as_bytes()).expect("a janitor that listens");
    }
}

/// A new folder.
pub fn folder() -> TempDir {
    tempfile::tempdir_in(&janitor().root).expect("a temporary folder")
}

fn janitor() -> &'static Janitor {
    JANITOR.get().expect("a janitor, started by main")
}
