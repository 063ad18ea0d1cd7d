//! Repeaters that run, and what they say.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::broker::{Broker, signal};

pub type Outcome = Result<(), String>;

/// How long things may take on a machine that others use too.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A repeater that runs.
pub struct Repeater {
    child: Child,
    pub port: u16,
    output: PathBuf,
    folder: tempfile::TempDir,
}

/// What the summary says at the end.
#[derive(Debug, Default)]
pub struct Rest {
    pub consumed: i64,
    pub produced: i64,
    /// Tokens that were in the process at its end.
    pub here: i64,
    /// Records of which the group did not learn that they were consumed.
    pub again: i64,
    pub text: String,
}

impl Repeater {
    pub fn start(broker: &Broker, words: &str) -> Self {
        Self::start_under(&[], broker, words)
    }

    /// Runs it under another program, which becomes it.
    pub fn start_under(program: &[&str], broker: &Broker, words: &str) -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
        let own = ["repeater", "--brokers", &broker.bootstrap, "--remote-port", &port.to_string()];
        let exe = env!("CARGO_BIN_EXE_proofload");
        let words: Vec<&str> =
            program.iter().copied().chain([exe]).chain(own).chain(words.split_whitespace()).collect();
        Self::spawn(Command::new(words[0]).args(&words[1..]), port)
    }

    /// Runs a command that is, or becomes, a repeater at this port.
    pub fn spawn(command: &mut Command, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let output = folder.path().join("output");
        let file = File::create(&output).expect("a file");
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .spawn()
            .expect("it runs");
        Self { child, port, output, folder }
    }

    /// Where it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child.id().to_string(), name);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn get(&self, path: &str) -> Result<String, String> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).build().into();
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        let mut answer = agent.get(&url).call().map_err(|error| error.to_string())?;
        answer.body_mut().read_to_string().map_err(|error| error.to_string())
    }

    pub fn status(&self) -> Result<Vec<Value>, String> {
        serde_json::from_str(&self.get("status")?).map_err(|error| error.to_string())
    }

    /// A counter of all workers together; 0 while there is no answer.
    pub fn sum(&self, field: &str) -> i64 {
        let status = self.status().unwrap_or_default();
        status.iter().map(|worker| worker[field].as_i64().unwrap_or(0)).sum()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Waits until a counter has grown by so much.
    pub fn grows(&self, field: &str, by: i64, limit: Duration) -> Outcome {
        let from = self.sum(field);
        wait_for(limit, || self.sum(field) >= from + by)
            .map_err(|error| format!("{field} from {from}: {error}\n{}", self.log()))
    }

    /// Waits for the exit.
    pub fn exit(&mut self, limit: Duration) -> Result<Option<i32>, String> {
        let until = Instant::now() + limit;
        loop {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => return Ok(status.code()),
                None if Instant::now() > until => return Err(format!("still running\n{}", self.log())),
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Ends it with a signal; what it says must be well.
    pub fn finish(&mut self) -> Result<Rest, String> {
        self.signal("TERM");
        self.rest()
    }

    /// Waits for the end that it was told to come to.
    pub fn rest(&mut self) -> Result<Rest, String> {
        let code = self.exit(Duration::from_secs(10))?;
        let text = self.log();
        if code != Some(0) {
            return Err(format!("exit code {code:?}\n{text}"));
        }
        Ok(Rest {
            consumed: number_before(&text, " tokens consumed")?,
            produced: number_before(&text, " produced")?,
            here: number_before(&text, " tokens in flight")?,
            again: number_before(&text, " records that another member consumes again").unwrap_or(0),
            text,
        })
    }
}

impl Drop for Repeater {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number before these words, which may be one thing, not several.
pub fn number_before(text: &str, what: &str) -> Result<i64, String> {
    let one = what.replacen("s ", " ", 1);
    let end = text.rfind(what).or_else(|| text.rfind(&one)).ok_or_else(|| format!("no{what} in\n{text}"))?;
    let word = text[..end].split_whitespace().next_back().unwrap_or_default().replace(',', "");
    word.parse().map_err(|_| format!("{word}{what} in\n{text}"))
}

pub fn wait_for(limit: Duration, condition: impl Fn() -> bool) -> Outcome {
    let until = Instant::now() + limit;
    while !condition() {
        if Instant::now() > until {
            return Err(format!("not within {limit:?}"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

pub fn ensure(condition: bool, what: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(what()) }
}
