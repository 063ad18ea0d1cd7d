//! A workload: how much of what is written and read, and for how long.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    super::{bench::MAX_TOPICS, error::UsageError, verifier::MAX_BATCH_BYTES},
    FIND_RATE, Given, RATE, SLO, Source, Translated,
    keys::Keys,
};
use crate::{
    config::{Backlog, Payload},
    record,
};

/// Keys of a workload that has any: as many as OpenMessaging Benchmark makes.
const KEYS: u64 = 10_000;
/// The objective of a rate that is to be found, where nobody gives another one: what is written is acked within a second, as it is
/// where no backlog grows.
const OBJECTIVE: &str = "p99=1s";
/// From this rate on, which OpenMessaging's own workloads ask for so that nothing holds them back, there is no schedule: records
/// that are due and never sent have no latency.
const NO_LIMIT: u64 = 10_000_000;
const MOST_PARTITIONS: u64 = 100_000;
const GIB: u64 = 1 << 30;
/// For how long each value in the lists of a result stands.
const PERIOD_MS: u64 = 10_000;

/// Adds what the workload asks for; the flags that were `given` have the last word. Returns the bytes of a message.
pub(super) fn translate(
    source: &Source<'_>,
    text: &str,
    given: &Given<'_>,
    to: &mut Translated,
) -> Result<Option<u64>, UsageError> {
    let mut keys = Keys::of(source, text)?;
    let most_topics = u64::try_from(MAX_TOPICS).unwrap_or(u64::MAX);
    to.beside.workload = keys.text("name")?;
    if let Some(topics) = keys.whole("topics", (1, most_topics))? {
        to.flag("topics", topics.to_string());
    }
    if let Some(partitions) = keys.whole("partitionsPerTopic", (1, MOST_PARTITIONS))? {
        to.flag("partitions", partitions.to_string());
    }
    key_distributor(source, &mut keys, to)?;
    let message_bytes = payload(source, &mut keys, to)?;
    readers(&mut keys, to)?;
    rate(&mut keys, given, to)?;
    backlog(source, &mut keys, given, to)?;
    time(&mut keys, "testDurationMinutes", ("duration", 0.02), None, to)?;
    // Where it says nothing, a minute.
    time(&mut keys, "warmupDurationMinutes", ("warmup", 0.0), Some(1.0), to)?;
    sampling(&mut keys, to)?;
    keys.finish()?;
    if let Some(bytes) = message_bytes {
        let beside = record::key_and_header_bytes(false);
        to.note(format!("beside its {bytes} bytes (messageSize) each record has about {beside} of key and headers that prove it"));
    }
    Ok(message_bytes)
}

fn key_distributor(source: &Source<'_>, keys: &mut Keys<'_>, to: &mut Translated) -> Result<(), UsageError> {
    let key = "keyDistributor";
    match keys.text(key)?.as_deref() {
        // Each record goes to a random partition, and its key is its id.
        None | Some("NO_KEY") => {}
        Some(name @ ("KEY_ROUND_ROBIN" | "RANDOM_NANO")) => {
            to.flag("key-set-cardinality", KEYS.to_string());
            to.note(format!(
                "{key} {name}: keys are picked at random from {KEYS}, and do not choose the partition"
            ));
        }
        Some(other) => return Err(source.refuses(key, other, "NO_KEY, KEY_ROUND_ROBIN or RANDOM_NANO")),
    }
    Ok(())
}

fn payload(source: &Source<'_>, keys: &mut Keys<'_>, to: &mut Translated) -> Result<Option<u64>, UsageError> {
    let largest = u64::try_from(MAX_BATCH_BYTES).unwrap_or(u64::MAX);
    let message_bytes = keys.whole("messageSize", (0, largest))?;
    if let Some(bytes) = message_bytes {
        to.flag("msg_size", bytes.to_string());
    }
    let file = keys.text("payloadFile")?;
    let is_randomized = keys.flag("useRandomizedPayloads")?;
    let ratio = keys.number("randomBytesRatio", (0.0, 1.0))?;
    let pool = keys.whole("randomizedPayloadPoolSize", (1, 1_000_000))?;
    to.beside.payload = if is_randomized {
        let values = usize::try_from(pool.unwrap_or(1)).unwrap_or(usize::MAX);
        Some(Payload::PartlyRandom { random_ratio: ratio.unwrap_or(0.0), values })
    } else {
        file.map(|file| payload_file(source, &file, message_bytes)).transpose()?
    };
    Ok(message_bytes)
}

/// A payload's path is one from where the benchmark is started, which is the folder above its workloads.
fn payload_file(source: &Source<'_>, file: &str, message_bytes: Option<u64>) -> Result<Payload, UsageError> {
    let key = "payloadFile";
    let folder = source.file.parent().unwrap_or(Path::new(""));
    let places = [PathBuf::from(file), folder.join(file), folder.join("..").join(file)];
    let Some(path) = places.iter().find(|place| place.is_file()) else {
        let tried: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        return Err(
            source.error(format!("{key}: {file}: there is no such file: looked for {}", tried.join(", ")))
        );
    };
    let bytes = fs::read(path)
        .map_err(|error| source.error(format!("{key}: {}: it cannot be read: {error}", path.display())))?;
    let length = bytes.len() as u64;
    if bytes.is_empty() {
        return Err(source.error(format!("{key}: {}: the file is empty", path.display())));
    }
    if let Some(size) = message_bytes.filter(|size| *size != length) {
        return Err(source.error(format!(
            "{key}: {}: the file has {length} bytes, and messageSize says {size}",
            path.display()
        )));
    }
    Ok(Payload::File { path: path.clone(), bytes: bytes.into() })
}

fn readers(keys: &mut Keys<'_>, to: &mut Translated) -> Result<(), UsageError> {
    let groups = keys.whole("subscriptionsPerTopic", (0, 10_000))?;
    // Each shard has a producer of its own, which writes to all topics.
    keys.whole("producersPerTopic", (1, 1_000_000))?;
    let members = keys.whole("consumerPerSubscription", (0, 10_000))?;
    match (groups, members) {
        (None, None) => {}
        (Some(0), _) | (_, Some(0)) => to.flag("readers", "none"),
        (groups, members) => {
            to.flag("readers", format!("{}x{}", groups.unwrap_or(1), members.unwrap_or(1)));
        }
    }
    Ok(())
}

fn rate(keys: &mut Keys<'_>, given: &Given<'_>, to: &mut Translated) -> Result<(), UsageError> {
    match keys.whole("producerRate", (0, 1_000_000_000))? {
        None => {}
        Some(0) if given.finds_rate() == Some(false) => {}
        Some(0) if given.has(RATE) && given.finds_rate().is_none() && !given.has(SLO) => {}
        Some(0) => {
            to.flag(FIND_RATE, "true");
            if !given.has(SLO) {
                to.note(format!(
                    "producerRate 0: the highest rate is looked for that holds {OBJECTIVE} (--slo)"
                ));
            }
            to.flag(SLO, OBJECTIVE);
        }
        Some(rate @ NO_LIMIT..) => {
            to.note(format!("producerRate {rate} is run as fast as acks come (--rate max): it is no rate that anybody keeps"));
            to.flag(RATE, "max");
        }
        Some(rate) => to.flag(RATE, rate.to_string()),
    }
    Ok(())
}

fn backlog(
    source: &Source<'_>,
    keys: &mut Keys<'_>,
    given: &Given<'_>,
    to: &mut Translated,
) -> Result<(), UsageError> {
    let (key, most) = ("consumerBacklogSizeGB", u64::from(u32::MAX));
    let gib = keys.number(key, (0.0, most as f64))?.unwrap_or(0.0);
    let drain_ratio = keys.number("backlogDrainRatio", (0.0, 1.0))?.unwrap_or(1.0);
    if gib <= 0.0 {
        return Ok(());
    }
    let finds = given.finds_rate().unwrap_or_else(|| to.flags.iter().any(|(name, _)| *name == FIND_RATE));
    if finds {
        return Err(source.refuses(
            key,
            &gib.to_string(),
            "0 where a rate is looked for (producerRate 0, --find-rate): a backlog would be taken for what gives way",
        ));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above 0, and saturates")]
    let bytes = (gib * GIB as f64) as u64;
    to.beside.backlog = Some(Backlog { bytes, drain_ratio });
    Ok(())
}

/// How often Redpanda's fork looks: samples are one for each second here, whatever it says.
fn sampling(keys: &mut Keys<'_>, to: &mut Translated) -> Result<(), UsageError> {
    let key = "sampleRateMillis";
    if let Some(ms) = keys.whole(key, (1, u64::from(u32::MAX)))?.filter(|ms| *ms != PERIOD_MS) {
        to.note(format!(
            "{key} {ms}: the result's lists have one value for each 10 s, its samples are one for each second"
        ));
    }
    Ok(())
}

/// Minutes, also parts of one.
fn time(
    keys: &mut Keys<'_>,
    key: &'static str,
    (flag, least): (&'static str, f64),
    otherwise: Option<f64>,
    to: &mut Translated,
) -> Result<(), UsageError> {
    // A year.
    let minutes = keys.number(key, (least, 365.0 * 24.0 * 60.0))?.or(otherwise);
    if let Some(minutes) = minutes {
        to.flag(flag, shown(Duration::from_secs_f64(minutes * 60.0)));
    }
    Ok(())
}

fn shown(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0 => "0".to_owned(),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}
