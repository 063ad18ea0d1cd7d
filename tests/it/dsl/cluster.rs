//! Clusters: a real broker by script, and a mock one inside this process.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use tempfile::TempDir;

use super::{Topic, janitor, topic::unique_name};

/// Set where a missing broker is a failure: on machines that are known to be complete.
const REQUIRE: &str = "PROOFLOAD_REQUIRE_BROKER";

/// What `scripts/kafka` says when java or mvn are missing.
const EX_SKIP: i32 = 77;

/// Which Apache Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// 4.1: what almost all tests run on.
    Newest,
    /// 3.9: the last one with what KIP-896 and KIP-890 changed.
    Former,
}

impl Release {
    /// As `scripts/kafka` has it.
    fn version(self) -> &'static str {
        match self {
            Self::Newest => "4.1",
            Self::Former => "3.9",
        }
    }
}

/// A real Apache Kafka.
pub struct Cluster {
    bootstrap: String,
    dir: PathBuf,
    _folder: TempDir,
}

/// Why there is none.
#[derive(Clone, Debug)]
pub enum NoCluster {
    /// This machine cannot run one, and need not.
    Skipped(String),
    /// It should have come up.
    Failed(String),
}

impl fmt::Display for NoCluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Skipped(reason) | Self::Failed(reason)) = self;
        formatter.write_str(reason)
    }
}

impl Cluster {
    /// The one that most tests share. It comes up for the first that asks, and lives as long as the tests.
    pub fn shared() -> Result<&'static Self, NoCluster> {
        static SHARED: OnceLock<Result<Cluster, NoCluster>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(1, &[])).as_ref().map_err(Clone::clone)
    }

    /// The one of this release that is shared.
    pub fn shared_of(release: Release) -> Result<&'static Self, NoCluster> {
        static FORMER: OnceLock<Result<Cluster, NoCluster>> = OnceLock::new();
        match release {
            Release::Newest => Self::shared(),
            Release::Former => {
                FORMER.get_or_init(|| Self::start_of(release, 1)).as_ref().map_err(Clone::clone)
            }
        }
    }

    /// One of a test's own.
    pub fn start(nodes: usize, config: &[&str]) -> Result<Self, NoCluster> {
        Self::start_at(None, nodes, config)
    }

    /// One of a test's own, of this release.
    pub fn start_of(release: Release, nodes: usize) -> Result<Self, NoCluster> {
        Self::start_with(release, None, nodes, &[])
    }

    /// One whose first node listens on this port and the next.
    pub(super) fn start_at(port: Option<u16>, nodes: usize, config: &[&str]) -> Result<Self, NoCluster> {
        Self::start_with(Release::Newest, port, nodes, config)
    }

    fn start_with(
        release: Release,
        port: Option<u16>,
        nodes: usize,
        config: &[&str],
    ) -> Result<Self, NoCluster> {
        let folder = janitor::folder();
        let dir = folder.path().join("kafka");
        janitor::tell("+cluster", &dir);
        let mut command = script(&["up", "--version", release.version(), "--nodes", &nodes.to_string()]);
        command.arg("--dir").arg(&dir);
        command.args(port.iter().flat_map(|port| ["--port".to_owned(), port.to_string()]));
        command.args(config.iter().flat_map(|line| ["--config", line]));
        let output =
            command.output().map_err(|error| NoCluster::Failed(format!("scripts/kafka: {error}")))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let reason = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match (output.status.code(), text.lines().find_map(|line| line.strip_prefix("BOOTSTRAP="))) {
            (Some(0), Some(bootstrap)) => Ok(Self { bootstrap: bootstrap.to_owned(), dir, _folder: folder }),
            (Some(EX_SKIP), _) if env::var(REQUIRE).is_ok_and(|value| value == "1") => {
                Err(NoCluster::Failed(format!("{REQUIRE}=1, but {}", reason())))
            }
            (Some(EX_SKIP), _) => Err(NoCluster::Skipped(reason())),
            _ => Err(NoCluster::Failed(reason())),
        }
    }

    /// The folder of Kafka's jars.
    #[track_caller]
    pub fn jars() -> String {
        let output = script(&["jars"]).output().expect("scripts/kafka");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A topic that no other test uses.
    pub fn topic(&self, partitions: usize) -> Topic {
        Topic::create(&self.bootstrap, partitions)
    }

    /// One with settings of its own.
    pub fn topic_with(&self, partitions: usize, config: &[(&str, &str)]) -> Topic {
        Topic::create_with(&self.bootstrap, partitions, config)
    }

    /// One with settings of its own whose replicas are on these nodes; the first leads.
    pub fn topic_on(&self, nodes: &[i32], partitions: usize, config: &[(&str, &str)]) -> Topic {
        Topic::create_on(&self.bootstrap, nodes, partitions, config)
    }

    /// Where the first node keeps a partition of a topic.
    pub fn partition_folder(&self, topic: &Topic, partition: i32) -> PathBuf {
        self.partition_folder_of(0, topic, partition)
    }

    /// Where a node keeps a partition of a topic.
    pub fn partition_folder_of(&self, node: usize, topic: &Topic, partition: i32) -> PathBuf {
        self.dir.join(format!("node-{node}/data/{}-{partition}", topic.name()))
    }

    /// What a node has to say.
    pub fn server_log_of(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node-{node}/server.log"))
    }

    /// SIGKILL.
    pub fn kill(&self, node: usize) {
        self.script_on_node("stop", node, &["--kill"]);
    }

    /// SIGTERM, and waits: what is on the disk then is whole.
    pub fn stop(&self, node: usize) {
        self.script_on_node("stop", node, &[]);
    }

    /// Starts a node again, and waits until it is ready.
    pub fn restart(&self, node: usize) {
        self.script_on_node("start", node, &[]);
    }

    /// Stops a node as a hanging disk would: connections stay, answers do not come.
    pub fn freeze(&self, node: usize) {
        self.signal(node, Signal::SIGSTOP);
    }

    /// Has a node that was frozen go on as if nothing had happened.
    pub fn thaw(&self, node: usize) {
        self.signal(node, Signal::SIGCONT);
    }

    fn signal(&self, node: usize, what: Signal) {
        let output =
            script(&["pid", &node.to_string(), "--dir"]).arg(&self.dir).output().expect("scripts/kafka");
        let pid: i32 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a pid");
        signal::kill(Pid::from_raw(pid), what).expect("a broker that takes signals");
    }

    #[track_caller]
    fn script_on_node(&self, command: &str, node: usize, options: &[&str]) {
        let mut command = script(&[command, &node.to_string()]);
        let output = command.args(options).arg("--dir").arg(&self.dir).output().expect("scripts/kafka");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What cannot be taken down now is the janitor's.
        if let Ok(status) = script(&["down", "--kill", "--dir"]).arg(&self.dir).stderr(Stdio::null()).status()
            && status.success()
        {
            janitor::tell("-cluster", &self.dir);
        }
    }
}

fn script(args: &[&str]) -> Command {
    let mut command = Command::new(janitor::kafka_script());
    command.args(args).stdin(Stdio::null()).current_dir(Path::new("/"));
    command
}

/// A mock cluster inside this process: where no log has to be proven, but a topic is needed at once.
pub struct Mock(MockCluster<'static, DefaultProducerContext>);

impl Mock {
    pub fn start() -> Self {
        Self(MockCluster::new(1).expect("a mock cluster"))
    }

    pub fn bootstrap(&self) -> String {
        self.0.bootstrap_servers()
    }

    pub fn topic(&self, partitions: usize) -> Topic {
        let name = unique_name();
        self.topic_named(&name, i32::try_from(partitions).expect("few partitions"));
        Topic::existing(&self.bootstrap(), &name, partitions)
    }

    pub fn topic_named(&self, name: &str, partitions: i32) {
        self.0.create_topic(name, partitions, 1).expect("a topic on the mock cluster");
    }

    pub fn take_down(&self) {
        self.0.broker_down(1).expect("a mock broker");
    }

    pub fn bring_up(&self) {
        self.0.broker_up(1).expect("a mock broker");
    }

    /// Requests of this kind are answered with this error, and all others as ever.
    pub fn refuse(&self, request: RDKafkaApiKey, error: RDKafkaRespErr) {
        self.0.request_errors(request, &vec![error; 100_000]);
    }

    pub fn refuse_no_more(&self, request: RDKafkaApiKey) {
        self.0.clear_request_errors(request);
    }

    /// Every answer takes so much longer.
    pub fn slow_down(&self, delay: Duration) {
        self.0.broker_round_trip_time(1, delay).expect("a mock broker");
    }
}
