//! `--profile`.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    path::Path,
};

use flate2::read::GzDecoder;
use nix::sys::signal::Signal;
use pprof::protos::{Message, Profile};

use super::process::{Repeater, repeater};
use crate::{
    Test,
    dsl::{Cluster, janitor},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![Real(profiles_of_all_ends), Real(a_profile_leaves_nothing_else)]
}

/// A profile, of however little work.
#[track_caller]
fn read(path: &Path) -> Profile {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(path).expect("a profile")).read_to_end(&mut bytes).expect("a profile, packed");
    Profile::decode(bytes.as_slice()).expect("a profile")
}

/// It is a profile, and whole: little work may have few samples, of anything.
#[track_caller]
pub fn expect_written(path: &Path) {
    let profile = read(path);
    assert!(!profile.sample.is_empty() && !profile.function.is_empty(), "{profile:?}");
}

/// It is a profile of more than one thread, librdkafka's among them, with names in it.
#[track_caller]
fn expect_names(path: &Path, end: &str) {
    let profile = read(path);
    let text = |index: i64| usize::try_from(index).ok().and_then(|index| profile.string_table.get(index));
    let labels = profile.sample.iter().flat_map(|sample| &sample.label);
    let threads: BTreeSet<_> = labels.filter_map(|label| text(label.str)).collect();
    assert!(threads.iter().any(|name| name.starts_with("shard-")), "{end}: {threads:?}");
    assert!(threads.iter().any(|name| name.starts_with("rdk:broker")), "{end}: {threads:?}");
    let functions: BTreeSet<_> = profile.function.iter().filter_map(|function| text(function.name)).collect();
    let ours = functions.iter().any(|name| name.contains("/src/repeater/"));
    let theirs = functions.iter().any(|name| name.starts_with("rd_kafka_"));
    assert!(ours && theirs, "{end}: {functions:?}");
}

fn profiles_of_all_ends(cluster: &Cluster) {
    let topic = cluster.topic(4);
    // Whose threads do work.
    let words = "--workers 4 --payload-size 1000 --max-buffered-records 64 --profile p --client librdkafka";
    for end in ["INT", "TERM", "shutdown"] {
        let repeater = Repeater::start(&topic, words);
        // As much work as gives tens of samples to each kind of thread, however slow the machine.
        repeater.grows("consumed", 15_000);
        match end {
            "INT" => repeater.signal(Signal::SIGINT),
            "TERM" => repeater.signal(Signal::SIGTERM),
            _ => drop(repeater.http().order("/shutdown")),
        }
        let finished = repeater.rest().finished;
        expect_names(&finished.workdir.path().join("p"), end);
    }
}

/// Nothing but the profile is left, neither beside it nor where temporary files are.
fn a_profile_leaves_nothing_else(cluster: &Cluster) {
    let folder = janitor::folder();
    let run = repeater(&cluster.topic(1), "--profile p").env("TMPDIR", folder.path());
    let repeater = Repeater::of(run.start());
    repeater.grows("consumed", 10);
    let finished = repeater.finish().finished;
    let left = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "files in {}", folder.path().display());
    assert_eq!(finished.workdir.contents().keys().collect::<Vec<_>>(), ["p", "report.json"]);
}
