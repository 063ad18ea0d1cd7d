//! A process under test: how it is started, watched and ended.

use std::{
    cell::Cell,
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{Harness, Http, PATIENCE, janitor, poll, ports};

/// A folder to work in, shared by the runs that are to find each other's ledger.
#[derive(Clone)]
pub struct Workdir(Rc<TempDir>);

impl Workdir {
    pub fn new() -> Self {
        Self(Rc::new(janitor::folder()))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), text).expect("a file in the working directory");
    }

    /// The `report.json` that a run was told to write.
    #[track_caller]
    pub fn report(&self) -> Value {
        self.json("report.json")
    }

    /// The JSON in a file.
    #[track_caller]
    pub fn json(&self, name: &str) -> Value {
        let text = fs::read(self.path().join(name)).expect(name);
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Every file and folder, and what is in the files.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        contents_of(self.path())
    }
}

/// What a folder holds.
pub fn contents_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let file = |path: PathBuf| if path.is_dir() { Vec::new() } else { fs::read(path).expect("a file") };
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), file(entry.path()))).collect()
}

/// A process that is still to be started.
#[derive(Clone)]
pub struct Run {
    wrapper: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    program: OsString,
    args: Vec<String>,
    workdir: Workdir,
    port: Option<u16>,
    input: Option<String>,
}

impl Run {
    /// `kgo-verifier`, the name that existing scripts use.
    pub fn verifier() -> Self {
        Self::of(env!("CARGO_BIN_EXE_kgo-verifier"))
    }

    /// `proofload` itself.
    pub fn proofload() -> Self {
        Self::of(env!("CARGO_BIN_EXE_proofload"))
    }

    /// `kgo-repeater`.
    pub fn repeater() -> Self {
        Self::of(env!("CARGO_BIN_EXE_kgo-repeater"))
    }

    /// Any other program, for instance one that starts ours.
    pub fn program(program: &Path) -> Self {
        Self::of(program)
    }

    fn of(program: impl Into<OsString>) -> Self {
        Self {
            wrapper: Vec::new(),
            environment: Vec::new(),
            program: program.into(),
            args: Vec::new(),
            workdir: Workdir::new(),
            port: None,
            input: None,
        }
    }

    /// Adds arguments, separated by spaces.
    pub fn args(mut self, line: impl AsRef<str>) -> Self {
        self.args.extend(line.as_ref().split_whitespace().map(str::to_owned));
        self
    }

    /// Adds one argument as it is.
    pub fn arg(mut self, word: &str) -> Self {
        self.args.push(word.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Words that come before the program.
    pub fn under<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.wrapper.extend(words.into_iter().map(Into::into));
        self
    }

    /// What it reads on standard input, instead of nothing.
    pub fn input(mut self, text: &str) -> Self {
        self.input = Some(format!("{text}\n"));
        self
    }

    pub fn in_dir(mut self, workdir: &Workdir) -> Self {
        self.workdir = workdir.clone();
        self
    }

    /// With a control port that the test can talk to.
    pub fn with_control(self) -> Self {
        let port = ports::free_port();
        self.with_control_at(port)
    }

    pub fn with_control_at(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    pub fn start(mut self) -> Running {
        self.speak_as_asked();
        match self.port {
            Some(port) => self = self.args(format!("--bind 127.0.0.1 --remote-port {port}")),
            None if self.args.iter().any(|word| word.contains("remote-port")) => {}
            None => self = self.args("--remote-port 0"),
        }
        Running::start(self)
    }

    /// The test, or `PROOFLOAD_TEST_CLIENT`, says which client is under test, where it can do what the flags ask.
    fn speak_as_asked(&mut self) {
        const NOT_YET: [&str; 2] = ["--client", "--client-config"];
        const WORK: [&str; 4] =
            ["--produce_msgs", "--seq_read", "--rand_read_msgs", "--consumer_group_readers"];
        let asked = CLIENT.get().map(str::to_owned).or_else(|| env::var("PROOFLOAD_TEST_CLIENT").ok());
        let Some(client) = asked else { return };
        let line = self.args.join(" ");
        let has_settings = self.args.iter().any(|word| word.starts_with("-X") || word.starts_with("--X"));
        let is_work = WORK.iter().any(|work| line.contains(work));
        if is_work && !has_settings && !NOT_YET.iter().any(|words| line.contains(words)) {
            self.args.extend(["--client".to_owned(), client]);
        }
    }

    /// Starts it exactly as given.
    pub fn run_bare(self) -> Running {
        Running::start(self)
    }

    /// Runs it exactly as given, to its end.
    pub fn finish_bare(self) -> Finished {
        Running::start(self).finish()
    }

    /// Runs it to its end.
    pub fn finish(self) -> Finished {
        self.start().finish()
    }

    /// The same for work that takes longer than others.
    #[track_caller]
    pub fn finish_within(self, limit: Duration) -> Finished {
        self.start().finish_within(limit)
    }
}

thread_local! {
    /// The client under test, on this thread.
    static CLIENT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// With which client everything that the test starts on this thread speaks, if with one in particular.
pub fn spoken() -> Option<&'static str> {
    CLIENT.get()
}

/// Has everything that the test starts on this thread speak with this client, where it can do what the flags ask.
pub fn speaking<R>(client: &'static str, test: impl FnOnce() -> R) -> R {
    struct Before(Option<&'static str>);
    impl Drop for Before {
        fn drop(&mut self) {
            CLIENT.set(self.0);
        }
    }
    let _before = Before(CLIENT.replace(Some(client)));
    test()
}

/// A process that runs, and is killed when the test is done with it.
pub struct Running {
    child: Child,
    started: Instant,
    output: TempDir,
    workdir: Workdir,
    port: Option<u16>,
    command: String,
}

impl Running {
    fn start(run: Run) -> Self {
        let output = janitor::folder();
        let file = |name| File::create(output.path().join(name)).expect("a file for the output");
        let mut words = run.wrapper;
        words.push(run.program);
        words.extend(run.args.iter().map(OsString::from));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(run.workdir.path());
        // What a developer has set for his own runs must not change these.
        for name in ["RUST_LOG", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "PROOFLOAD_PASSWORD"] {
            command.env_remove(name);
        }
        command.envs(run.environment);
        let stdin = run.input.map_or_else(Stdio::null, |text| {
            let path = output.path().join("stdin");
            fs::write(&path, text).expect("a file for the input");
            File::open(path).expect("its input").into()
        });
        command.stdin(stdin).stdout(file("stdout")).stderr(file("stderr"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{words:?} did not start: {error}"));
        janitor::tell("+pid", child.id().to_string());
        let command = run.args.join(" ");
        Self { child, started: Instant::now(), output, workdir: run.workdir, port: run.port, command }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn workdir(&self) -> &Workdir {
        &self.workdir
    }

    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// Waits until its log says so.
    #[track_caller]
    pub fn wait_for_log(&self, words: &str) {
        let told = || self.stderr().contains(words).then_some(());
        poll(told).unwrap_or_else(|| panic!("not told: '{words}'\n{}", self.transcript()));
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.output.path().join(name)).expect("its output");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn port(&self) -> u16 {
        self.port.expect("a run with a control port")
    }

    pub fn http(&self) -> Http {
        Http::to(self.port())
    }

    /// A harness that polls its status.
    pub fn harness(&self) -> Harness<'_> {
        Harness::of(self)
    }

    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.pid().cast_signed()), signal).expect("a process that takes signals");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(self) -> Finished {
        self.finish_within(PATIENCE)
    }

    #[track_caller]
    pub fn finish_within(mut self, limit: Duration) -> Finished {
        let until = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                break status;
            }
            assert!(Instant::now() < until, "still running after {limit:?}\n{}", self.transcript());
            thread::sleep(Duration::from_millis(20));
        };
        Finished {
            status,
            elapsed: self.started.elapsed(),
            stdout: self.stdout(),
            stderr: self.stderr(),
            workdir: self.workdir.clone(),
            command: self.command.clone(),
        }
    }

    /// Everything that helps to understand a failure.
    pub fn transcript(&self) -> String {
        transcript(&self.command, &self.stdout(), &self.stderr())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be over already.
        let _ = self.child.kill();
        let status = self.child.wait();
        if thread::panicking() {
            eprintln!("{status:?}\n{}", self.transcript());
        }
        janitor::tell("-pid", self.child.id().to_string());
    }
}

fn transcript(command: &str, stdout: &str, stderr: &str) -> String {
    format!("--- {command}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---")
}

/// A violation, as a report names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub anomaly: String,
    pub partition: i32,
    pub offset: i64,
}

/// A process that has ended.
pub struct Finished {
    status: ExitStatus,
    pub elapsed: Duration,
    pub stdout: String,
    pub stderr: String,
    pub workdir: Workdir,
    command: String,
}

impl Finished {
    /// `None`: a signal has ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}\n{}", self.status, self.transcript());
        self
    }

    /// SIGKILL has ended it, and it did not end before.
    #[track_caller]
    pub fn expect_killed(self) -> Self {
        assert_eq!(
            self.status.signal(),
            Some(Signal::SIGKILL as i32),
            "{}\n{}",
            self.status,
            self.transcript()
        );
        self
    }

    /// What it has found, by the `report.json` that it was told to write.
    #[track_caller]
    pub fn violations(&self) -> Vec<Named> {
        self.reported("violations", "offset")
    }

    /// The gaps that it has found, by the same.
    #[track_caller]
    pub fn gaps(&self) -> Vec<Named> {
        self.reported("gaps", "first")
    }

    #[track_caller]
    fn reported(&self, list: &str, offset: &str) -> Vec<Named> {
        let one = |entry: &Value| Named {
            anomaly: entry["anomaly"].as_str().unwrap_or("gap").to_owned(),
            partition: entry["partition"].as_i64().and_then(|id| id.try_into().ok()).expect("a partition"),
            offset: entry[offset].as_i64().expect("an offset"),
        };
        self.workdir.report()[list].as_array().expect("a list").iter().map(one).collect()
    }

    /// All of these words, somewhere in what it printed.
    #[track_caller]
    pub fn expect_output(self, words: &[&str]) -> Self {
        let text = format!("{}\n{}", self.stdout, self.stderr);
        for word in words {
            assert!(text.contains(word), "no '{word}' in\n{}", self.transcript());
        }
        self
    }

    /// None of these words anywhere in what it printed.
    #[track_caller]
    pub fn expect_no_output(self, words: &[&str]) -> Self {
        let text = format!("{}\n{}", self.stdout, self.stderr);
        for word in words {
            assert!(!text.contains(word), "'{word}' in\n{}", self.transcript());
        }
        self
    }

    /// Nothing is wrong, be everything in the ledger or not: what was written and not acked is in none.
    #[track_caller]
    pub fn expect_nothing_wrong(self) -> Self {
        let found = ["PROVEN: ", "CONSISTENT: nothing wrong was found"];
        assert!(found.iter().any(|word| self.stdout.contains(word)), "{}", self.transcript());
        self.expect_no_output(&["VIOLATION"])
    }

    /// One clear line says why it failed.
    #[track_caller]
    pub fn expect_one_error(self, words: &[&str]) -> Self {
        let errors: Vec<_> = self
            .stderr
            .lines()
            .filter(|line| line.contains(" ERROR ") || line.starts_with("proofload:"))
            .collect();
        assert_eq!(errors.len(), 1, "{}", self.transcript());
        for word in words {
            assert!(errors[0].contains(word), "no '{word}' in '{}'", errors[0]);
        }
        self
    }

    pub fn transcript(&self) -> String {
        transcript(&self.command, &self.stdout, &self.stderr)
    }
}
