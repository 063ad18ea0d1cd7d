//! What really lies in the logs where somebody was accused.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use crate::dsl::{Cluster, Topic, janitor, run::Named};

/// Lines around a place that are shown, and partitions that are dumped.
const AROUND: usize = 6;
const MOST: usize = 20;
/// Lines of a broker's log that are shown of a partition, and characters of each.
const TOLD: usize = 1_000;
const WIDTH: usize = 400;
const NODES: usize = 3;

/// Dumps each accused partition of one node after the other, around the places that were named.
pub fn accused(cluster: &Cluster, accused: &[(Topic, Named)]) {
    let mut places: BTreeMap<(String, i32), (Topic, Vec<&Named>)> = BTreeMap::new();
    for (topic, named) in accused {
        let key = (topic.name().to_owned(), named.partition);
        places.entry(key).or_insert_with(|| (topic.clone(), Vec::new())).1.push(named);
    }
    for ((name, partition), (topic, named)) in places.iter().take(MOST) {
        for one in named {
            println!(
                "elections: accused: topic {name} partition {partition}: {} at {}",
                one.anomaly, one.offset
            );
        }
        let Some(first) = named.iter().map(|named| named.offset).min() else { continue };
        // All replicas should be the same: a difference would be a fault of the brokers'.
        for node in 0..NODES {
            let folder = cluster.partition_folder_of(node, topic, *partition);
            println!("elections: the log of node {node} around offset {first}:");
            for line in around(&dump(&folder), first) {
                println!("elections:   {line}");
            }
            println!("elections: what node {node} did with it:");
            for line in told(&cluster.server_log_of(node), &format!("{name}-{partition}")) {
                println!("elections:   {line}");
            }
        }
    }
    if places.len() > MOST {
        println!("elections: {} more partitions were accused", places.len() - MOST);
    }
}

fn dump(folder: &Path) -> String {
    let jars = Command::new(janitor::kafka_script()).arg("jars").output().map(|output| output.stdout);
    let jars = String::from_utf8_lossy(&jars.unwrap_or_default()).trim().to_owned();
    let logs = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut logs: Vec<_> = logs.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    logs.sort();
    let files = logs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",");
    let output = Command::new("java")
        .args([
            "-cp",
            &format!("{jars}/*"),
            "kafka.tools.DumpLogSegments",
            "--deep-iteration",
            "--files",
            &files,
        ])
        .output();
    output
        .map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a broker's log says of a partition's leaders, of where it starts with each, and of where it was cut off: the last
/// lines of that.
fn told(log: &Path, partition: &str) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let is_about = |line: &&str| {
        let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
        let is_named = line.split(partition).skip(1).any(ends);
        is_named && ["starts at leader epoch", "Truncat"].iter().any(|word| line.contains(word))
    };
    let lines: Vec<_> =
        text.lines().filter(is_about).map(|line| line.chars().take(WIDTH).collect()).collect();
    lines[lines.len().saturating_sub(TOLD)..].to_vec()
}

/// The lines of the batches around an offset.
fn around(dump: &str, offset: i64) -> Vec<&str> {
    let lines: Vec<_> = dump.lines().collect();
    let base = |line: &str| line.split("aseOffset: ").nth(1)?.split(' ').next()?.parse::<i64>().ok();
    let record = |line: &str| line.split("offset: ").nth(1)?.split(' ').next()?.parse::<i64>().ok();
    let place = |line: &&str| base(line).or_else(|| record(line)).is_some_and(|found| found >= offset);
    let at = lines.iter().position(place).unwrap_or(lines.len());
    lines[at.saturating_sub(AROUND)..(at + AROUND).min(lines.len())].to_vec()
}
