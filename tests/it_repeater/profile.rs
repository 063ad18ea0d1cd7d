//! `--profile`.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    path::Path,
};

use flate2::read::GzDecoder;
use pprof::protos::{Message, Profile};

use crate::{
    broker::Broker,
    process::{Outcome, PATIENCE, Repeater, ensure},
};

/// A profile, of however little work.
fn read(path: &Path) -> Result<Profile, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    GzDecoder::new(file).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Profile::decode(bytes.as_slice()).map_err(|error| error.to_string())
}

/// Whether this is a profile, and whole: little work may have few samples, of anything.
pub fn is_written(path: &Path) -> Outcome {
    let profile = read(path)?;
    ensure(!profile.sample.is_empty() && !profile.function.is_empty(), || format!("{profile:?}"))
}

/// Whether this is a profile of more than one thread, librdkafka's among them, with names in it.
fn check(path: &Path) -> Outcome {
    let profile = read(path)?;
    let text = |index: i64| usize::try_from(index).ok().and_then(|index| profile.string_table.get(index));
    let labels = profile.sample.iter().flat_map(|sample| &sample.label);
    let threads: BTreeSet<_> = labels.filter_map(|label| text(label.str)).collect();
    ensure(threads.iter().any(|name| name.starts_with("shard-")), || format!("{threads:?}"))?;
    ensure(threads.iter().any(|name| name.starts_with("rdk:broker")), || format!("{threads:?}"))?;
    let functions: BTreeSet<_> = profile.function.iter().filter_map(|function| text(function.name)).collect();
    let ours = functions.iter().any(|name| name.contains("/src/repeater/"));
    let theirs = functions.iter().any(|name| name.starts_with("rd_kafka_"));
    ensure(ours && theirs, || format!("{functions:?}"))
}

pub fn profiles_of_all_ends(broker: &Broker) -> Outcome {
    broker.create("profile", 4);
    // Whose threads do work.
    let words = "--topic profile --group profile --workers 4 --payload-size 1000 --max-buffered-records 64 \
                 --profile p --client librdkafka";
    for end in ["INT", "TERM", "shutdown"] {
        let mut repeater = Repeater::start(broker, words);
        // As much work as gives tens of samples to each kind of thread, however slow the machine.
        repeater.grows("consumed", 30_000, PATIENCE)?;
        if end == "shutdown" {
            repeater.get(end)?;
        } else {
            repeater.signal(end);
        }
        repeater.rest()?;
        check(&repeater.folder().join("p")).map_err(|error| format!("{end}: {error}"))?;
    }
    Ok(())
}

/// Nothing but the profile is left, neither beside it nor where temporary files are.
pub fn a_profile_leaves_nothing_else(broker: &Broker) -> Outcome {
    broker.create("tidy", 1);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let variable = format!("TMPDIR={}", folder.path().display());
    let words = "--topic tidy --group tidy --profile p";
    let mut repeater = Repeater::start_under(&["env", &variable], broker, words);
    repeater.grows("consumed", 10, PATIENCE)?;
    repeater.finish()?;
    let left = fs::read_dir(folder.path()).map_err(|error| error.to_string())?.count();
    ensure(left == 0, || format!("{left} files in {}", folder.path().display()))
}
