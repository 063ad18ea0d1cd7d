//! A broker, and repeaters to run against it.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    topic_partition_list::{Offset, TopicPartitionList},
};
use serde_json::Value;

pub type Outcome = Result<(), String>;

/// How long things may take on a machine that others use too.
pub const PATIENCE: Duration = Duration::from_secs(40);
const ANSWER: Duration = Duration::from_secs(10);

/// A real broker of its own, gone with this value.
pub struct Broker {
    pub bootstrap: String,
    dir: PathBuf,
}

impl Broker {
    /// `None` where there is no Java.
    pub fn start() -> Option<Self> {
        let output = script(&["up"]);
        if output.status.code() == Some(77) {
            return None;
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let bootstrap = value("BOOTSTRAP=").unwrap_or_else(|| panic!("no broker: {output:?}"));
        Some(Self { bootstrap, dir: value("DIR=").expect("a folder").into() })
    }

    pub fn stop(&self) {
        assert!(script(&["stop", "0", "--kill", "--dir", self.dir()]).status.success());
    }

    pub fn restart(&self) {
        assert!(script(&["start", "0", "--dir", self.dir()]).status.success());
    }

    pub fn signal(&self, name: &str) {
        let pid = script(&["pid", "0", "--dir", self.dir()]).stdout;
        signal(String::from_utf8_lossy(&pid).trim(), name);
    }

    fn dir(&self) -> &str {
        self.dir.to_str().expect("a plain path")
    }

    pub fn create(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin client");
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(ANSWER));
        let results = futures_lite::future::block_on(admin.create_topics(&[topic], &options));
        results.expect("an answer")[0].as_ref().expect("a topic");
    }

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// Records in a topic, and how many of them the group has not consumed.
    pub fn records_and_lag(&self, topic: &str, group: &str) -> (i64, i64) {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().expect("a consumer");
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER).expect("metadata");
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            list.add_partition(topic, partition.id());
        }
        let committed = consumer.committed_offsets(list, ANSWER).expect("committed offsets");
        committed.elements().iter().fold((0, 0), |(records, lag), place| {
            let (_, end) = consumer.fetch_watermarks(topic, place.partition(), ANSWER).expect("an end");
            let Offset::Offset(offset) = place.offset() else { panic!("no place: {place:?}") };
            (records + end, lag + end - offset)
        })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.signal("CONT");
        script(&["down", "--kill", "--dir", self.dir()]);
    }
}

fn script(words: &[&str]) -> std::process::Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
    Command::new(path).args(words).output().expect("scripts/kafka runs")
}

pub fn signal(pid: &str, name: &str) {
    let _ = Command::new("kill").args([format!("-{name}").as_str(), pid]).status();
}

/// A repeater that runs.
pub struct Repeater {
    child: Child,
    pub port: u16,
    output: PathBuf,
    _folder: tempfile::TempDir,
}

/// What the summary says at the end.
#[derive(Debug, Default)]
pub struct Rest {
    pub consumed: i64,
    pub produced: i64,
    /// Tokens that were in the process at its end.
    pub here: i64,
    pub text: String,
}

impl Repeater {
    pub fn start(broker: &Broker, words: &str) -> Self {
        Self::start_at(&broker.bootstrap, words)
    }

    pub fn start_at(bootstrap: &str, words: &str) -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
        let folder = tempfile::tempdir().expect("a folder");
        let output = folder.path().join("output");
        let file = File::create(&output).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_proofload"))
            .args(["repeater", "--brokers", bootstrap, "--remote-port", &port.to_string()])
            .args(words.split_whitespace())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .spawn()
            .expect("proofload runs");
        Self { child, port, output, _folder: folder }
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
        let code = self.exit(Duration::from_secs(10))?;
        let text = self.log();
        if code != Some(0) {
            return Err(format!("exit code {code:?}\n{text}"));
        }
        Ok(Rest {
            consumed: number_before(&text, " tokens consumed")?,
            produced: number_before(&text, " produced,")?,
            here: number_before(&text, " tokens leave")?,
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

pub fn number_before(text: &str, what: &str) -> Result<i64, String> {
    let end = text.rfind(what).ok_or_else(|| format!("no{what} in\n{text}"))?;
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
