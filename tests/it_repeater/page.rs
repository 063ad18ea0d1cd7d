//! The examples of the page about the repeater, word for word.

use std::{env, fs, net::TcpListener, path::Path, process::Command, time::Instant};

use crate::{
    broker::Broker,
    process::{Outcome, PATIENCE, Repeater, ensure, wait_for},
};

/// The lines behind a prompt that run `kgo-repeater`, or talk to it, block by block.
fn examples() -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/repeater.md");
    let text = fs::read_to_string(path).expect("docs/repeater.md");
    let blocks = text.split("```").skip(1).step_by(2);
    let commands = |block: &str| -> Vec<String> {
        block.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
    };
    blocks.map(commands).filter(|lines| lines.iter().any(|line| line.starts_with("kgo-repeater"))).collect()
}

fn shell(broker: &Broker, line: &str) -> Command {
    let bin = Path::new(env!("CARGO_BIN_EXE_kgo-repeater")).parent().expect("a folder").to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = env::join_paths([bin].into_iter().chain(env::split_paths(&path))).expect("plain paths");
    let mut command = Command::new("bash");
    command.args(["-c", line]).env("PATH", paths).env("BROKERS", &broker.bootstrap);
    command
}

/// Runs a line that starts a repeater, in the background or not: the shell becomes it.
fn start(broker: &Broker, line: &str, port: u16) -> Result<Repeater, String> {
    TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
        format!("the page's examples need port {port}, and something else uses it: {error}")
    })?;
    let line = line.trim_end_matches('&');
    Ok(Repeater::spawn(&mut shell(broker, &format!("exec {line}")), port))
}

pub fn one_process_as_on_its_page(broker: &Broker) -> Outcome {
    let examples = examples();
    ensure(examples.len() == 2 && examples[0].len() == 1, || format!("{examples:?}"))?;
    let mut repeater = start(broker, &examples[0][0], 7884)?;
    repeater.grows("consumed", 100, PATIENCE)?;
    ensure(repeater.status()?.len() == 4, || format!("{:?}", repeater.status()))?;
    repeater.signal("INT");
    let rest = repeater.rest()?;
    ensure(rest.text.contains("  ack         p50") && rest.text.contains("  end to end  p50"), || rest.text)
}

pub fn two_processes_as_on_its_page(broker: &Broker) -> Outcome {
    let examples = examples();
    ensure(examples.len() == 2 && examples[1].len() == 5, || format!("{examples:?}"))?;
    let lines = &examples[1];
    let mut repeaters = [start(broker, &lines[0], 7884)?, start(broker, &lines[1], 7885)?];
    for repeater in &repeaters {
        wait_for(PATIENCE, || repeater.status().is_ok()).map_err(|_| repeater.log())?;
    }
    let waiting = format!("timeout {} bash -c \"$WAIT\"", PATIENCE.as_secs());
    let joined =
        shell(broker, &waiting).env("WAIT", &lines[2]).output().map_err(|error| error.to_string())?;
    ensure(joined.status.success(), || format!("{joined:?}\n{}", repeaters[0].log()))?;
    let told = "(of 8 members in the group), each partition has an owner; waiting for PUT /activate";
    wait_for(PATIENCE, || repeaters[0].log().contains(told)).map_err(|_| repeaters[0].log())?;
    let typed = Instant::now();
    let answer = shell(broker, &lines[3]).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&answer.stdout);
    ensure(answer.status.success() && text.contains("\"enqueued\": "), || format!("{answer:?}"))?;
    ensure(typed.elapsed() < PATIENCE / 2, || "slow answers".to_owned())?;
    for repeater in &repeaters {
        repeater.grows("consumed", 100, PATIENCE)?;
    }
    let ended = shell(broker, &lines[4]).output().map_err(|error| error.to_string())?;
    ensure(ended.status.success(), || format!("{ended:?}"))?;
    for repeater in &mut repeaters {
        repeater.rest()?;
    }
    Ok(())
}
