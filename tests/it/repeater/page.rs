//! The examples of the page about the repeater: word for word, but for ports and names, which others may have.

use std::{env, fs, path::Path, process::Command};

use nix::sys::signal::Signal;

use super::process::Repeater;
use crate::{
    Test,
    dsl::{Cluster, PATIENCE, Run, Topic, ports, source, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![Real(two_processes_as_on_its_page), Real(one_process_as_on_its_page)]
}

/// An example that is tried here.
struct Example {
    /// The lines behind a prompt.
    lines: Vec<String>,
    ports: [u16; 2],
    bootstrap: String,
}

impl Example {
    /// Those that run `kgo-repeater`, or talk to it, in this block of such lines.
    #[track_caller]
    fn of(cluster: &Cluster, block: usize, lines: usize) -> Self {
        let (ports, topic) = ([ports::free_port(), ports::free_port()], Topic::missing(cluster.bootstrap()));
        let text = fs::read_to_string(source("docs/repeater.md")).expect("docs/repeater.md");
        let own = |line: &str| {
            let line = line.replace("--topic echo", &format!("--topic {}", topic.name()));
            let line = line.replace("--group g", &format!("--group {}", topic.name()));
            line.replace("7884", &ports[0].to_string()).replace("7885", &ports[1].to_string())
        };
        let commands = |block: &str| -> Vec<String> {
            block.lines().filter_map(|line| line.strip_prefix("$ ")).map(own).collect()
        };
        let blocks = text.split("```").skip(1).step_by(2).map(commands);
        let mut blocks: Vec<_> = blocks.filter(|lines| lines[0].starts_with("kgo-repeater")).collect();
        let found: Vec<_> = blocks.iter().map(Vec::len).collect();
        assert!(found.len() == 2 && found[block] == lines, "{blocks:?}");
        Self { lines: blocks.swap_remove(block), ports, bootstrap: cluster.bootstrap().to_owned() }
    }

    /// Runs a line that starts a repeater, in the background or not: the shell becomes it.
    fn start(&self, line: usize, more: &str) -> Repeater {
        let command = format!("exec {}{more}", self.lines[line].trim_end_matches('&'));
        let run = Run::program(Path::new("bash")).arg("-c").arg(&command).env("PATH", paths());
        let run = run.env("BROKERS", &self.bootstrap).with_control_at(self.ports[line]);
        Repeater::of(run.run_bare())
    }

    /// Runs a line that ends by itself, and returns what it prints.
    #[track_caller]
    fn run(&self, line: usize) -> String {
        let seconds = PATIENCE.as_secs().to_string();
        let mut command = Command::new("timeout");
        command.args([&seconds, "bash", "-c", &self.lines[line]]).env("BROKERS", &self.bootstrap);
        let output = command.output().expect("timeout and bash");
        assert!(output.status.success(), "{}: {output:?}", self.lines[line]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn paths() -> std::ffi::OsString {
    let bin = Path::new(env!("CARGO_BIN_EXE_kgo-repeater")).parent().expect("a folder").to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths([bin].into_iter().chain(env::split_paths(&path))).expect("plain paths")
}

fn one_process_as_on_its_page(cluster: &Cluster) {
    let example = Example::of(cluster, 0, 1);
    // Its port is not named there.
    let repeater = example.start(0, &format!(" --remote-port {}", example.ports[0]));
    repeater.grows("consumed", 100);
    assert_eq!(repeater.status().map(|workers| workers.len()), Some(4));
    repeater.signal(Signal::SIGINT);
    let finished = repeater.ends_within(PATIENCE).expect_code(0);
    finished.expect_output(&["  ack         p50", "  end to end  p50"]);
}

fn two_processes_as_on_its_page(cluster: &Cluster) {
    let example = Example::of(cluster, 1, 5);
    let repeaters = [example.start(0, ""), example.start(1, "")];
    for repeater in &repeaters {
        wait_until("a status", || repeater.status().is_some());
    }
    example.run(2);
    repeaters[0]
        .wait_for_log("(of 8 members in the group), each partition has an owner; waiting for PUT /activate");
    assert!(example.run(3).contains("\"enqueued\": "));
    for repeater in &repeaters {
        repeater.grows("consumed", 100);
    }
    example.run(4);
    for repeater in repeaters {
        repeater.ends_within(PATIENCE).expect_code(0);
    }
}
