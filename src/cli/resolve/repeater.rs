//! The repeater's flags, resolved.

use std::{path::PathBuf, time::Duration};

use super::{
    super::{
        error::UsageError,
        repeater::{RepeaterArgs, WorkArgs},
        values::topic_name,
    },
    check_record_fits,
    common::{Groups, check_aborts, common, fill, rate, transactions},
    contradictions::{Members, Uses},
    idle,
};
use crate::{
    config::{REPEATER_BATCH_MAX_BYTES, RepeaterConfig},
    human::count,
};

const BYTES_PER_MIB: u64 = 1024 * 1024;
const BODY_HEADER_BYTES: usize = 17;
/// The verifier's default; the repeater has no flag for it.
const METADATA_MAX_AGE: Duration = Duration::from_secs(15);

/// The run that the flags ask for.
pub(in super::super) fn repeater(args: &RepeaterArgs) -> Result<RepeaterConfig, UsageError> {
    let work = &args.work;
    let topics = topics(work)?;
    if work.group.is_empty() {
        return Err(UsageError::flag("group", "required: accepts the name of a consumer group"));
    }
    let payload_bytes = work.payload_size;
    check_record_fits("payload-size", payload_bytes.get(), BODY_HEADER_BYTES, REPEATER_BATCH_MAX_BYTES)?;
    let mut config = RepeaterConfig {
        common: common(
            &Groups {
                cluster: &args.cluster,
                security: &args.security,
                placement: &args.placement,
                control: &args.control,
                end: &args.end,
                output: &args.output,
            },
            client_id_prefix(),
            METADATA_MAX_AGE,
            &uses(args),
        )?,
        topics,
        group: work.group.clone(),
        workers: work.workers,
        keys: work.keys(),
        payload_bytes,
        initial_data_bytes: initial_data_bytes(work)?,
        max_buffered_records: work.max_buffered_records,
        rate_limit_bytes_per_s: rate(work.rate_limit_bps),
        linger: args.batch.linger,
        compression: args.batch.compression_type,
        fill: fill(&args.batch, false),
        tombstone_probability: args.batch.tombstone_probability,
        transactions: transactions(&args.transaction),
        profile: Some(&work.profile).filter(|file| !file.is_empty()).map(PathBuf::from),
    };
    check_aborts(&config.common.brokers, &args.transaction)?;
    config.common.warnings = idle::repeater(args);
    Ok(config)
}

/// What the run does with its clients.
fn uses(args: &RepeaterArgs) -> Uses<'_> {
    Uses {
        produces: true,
        reads: false,
        group: Some(Members {
            name: Some(&args.work.group),
            flag: "group",
            count: (args.work.workers.get(), "workers"),
            start: &["latest", "largest", "end"],
            session_flag: None,
        }),
        committed: args.transaction.use_transactions,
    }
}

fn topics(work: &WorkArgs) -> Result<Vec<String>, UsageError> {
    let (flag, list) = match (work.topic.as_str(), work.topics.as_str()) {
        ("", "") => {
            return Err(UsageError::flag(
                "topic",
                "required, or --topics: accepts topic names, comma-separated",
            ));
        }
        (list, "") => ("topic", list),
        ("", list) => ("topics", list),
        _ => return Err(UsageError::flag("topics", "cannot be used with --topic: give one of them")),
    };
    let mut topics = Vec::new();
    for word in list.split(',').map(str::trim) {
        let topic = topic_name(word).map_err(|accepts| UsageError::Value {
            flag: flag.to_owned(),
            value: list.to_owned(),
            accepts,
        })?;
        if topics.contains(&topic) {
            return Err(UsageError::value(
                flag,
                list,
                format!("each topic once, and {topic} is there twice"),
            ));
        }
        topics.push(topic);
    }
    Ok(topics)
}

/// In bytes; refuses what does not give each worker at least one payload.
fn initial_data_bytes(work: &WorkArgs) -> Result<u64, UsageError> {
    let needed = (work.workers.get() as u64).saturating_mul(work.payload_size.get() as u64);
    let bytes = work.initial_data_mb.saturating_mul(BYTES_PER_MIB);
    if bytes >= needed {
        return Ok(bytes);
    }
    let what = format!(
        "{} or more: one message of {} bytes for each of {}",
        needed.div_ceil(BYTES_PER_MIB),
        work.payload_size,
        count(work.workers.get(), "worker")
    );
    Err(UsageError::value("initial-data-mb", work.initial_data_mb, what))
}

/// Harness code splits the id at `_`, so the host's name may hold none.
fn client_id_prefix() -> String {
    let hostname = nix::unistd::gethostname()
        .map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().replace('_', "-"));
    format!("{hostname}_{}", std::process::id())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_client_id_splits_into_host_and_process() {
        let id = super::client_id_prefix();
        let parts: Vec<&str> = id.split('_').collect();
        assert_eq!(parts.len(), 2, "{id}");
        assert_eq!(parts[1], std::process::id().to_string());
    }
}
