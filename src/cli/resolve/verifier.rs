//! The verifier's flags, resolved.

use std::{
    env,
    num::{NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    super::{
        error::UsageError,
        slice,
        values::OrOff,
        verifier::{ProducerArgs, VerifierArgs},
    },
    check_record_fits,
    common::{Groups, check_aborts, common, fill, rate, transactions},
    contradictions::{Members, Uses},
    idle,
};
use crate::{
    config::{
        Brokers, CommonConfig, FakeTimestamps, GroupReadConfig, LatestChecks, LogFormat, Passes,
        ProduceConfig, ProgressMode, ProofConfig, RandReadConfig, SeqReadConfig, VerifierConfig,
    },
    ledger::{LedgerStore, files::whole_file},
    record::proof::{LONG_BYTES, PROOF_HEADER},
};

const BYTES_PER_MIB: u64 = 1024 * 1024;
/// The second header in a record: its name, its value, and a byte for the length of each.
pub(super) const PROOF_HEADER_BYTES: usize = PROOF_HEADER.len() + LONG_BYTES + 2;
/// `value-` and 18 digits.
const LATEST_VALUE_BYTES: usize = 24;

/// The run that the flags ask for.
pub(in super::super) fn verifier(args: &VerifierArgs) -> Result<VerifierConfig, UsageError> {
    let topic = topic(args)?;
    check_combinations(args)?;
    let mut config = VerifierConfig {
        common: common(
            &Groups {
                cluster: &args.cluster,
                security: &args.security,
                placement: &args.placement,
                control: &args.control,
                end: &args.end,
                output: &args.output,
            },
            args.client.client_name.clone(),
            args.client.metadata_max_age,
            &uses(args),
        )?,
        topic,
        slice: args.work.slice.map(|word| slice::resolve(word, |name| env::var(name).ok())).transpose()?,
        produce: produce(args)?,
        rand_read: rand_read(args),
        seq_read: seq_read(args)?,
        group_read: group_read(args)?,
        passes: match (args.work.looping, args.work.continuous) {
            (true, _) => Passes::Loop,
            (false, true) => Passes::Continuous,
            (false, false) => Passes::Once,
        },
        proof: ProofConfig {
            compacted: args.proof.compacted,
            tolerate_data_loss: args.proof.tolerate_data_loss,
            transactions: args.transaction.use_transactions,
            latest_values: if args.proof.validate_latest_values {
                args.proof.latest_values
            } else {
                LatestChecks::Never
            },
            keep_going: args.proof.keep_going,
            proof_header: args.proof.proof_header.unwrap_or(true),
        },
        ledger_dir: args.proof.ledger_dir.clone().unwrap_or_else(|| PathBuf::from(".")),
        ledger_asked_for: args.proof.ledger_dir.is_some(),
    };
    if args.work.trogdor {
        for_an_agent(&mut config.common)?;
    }
    check_aborts(&config.common.brokers, &args.transaction)?;
    check_report(&config)?;
    check_ledger_dir(&config)?;
    check_slice(&config)?;
    config.common.warnings = idle::verifier(args);
    check_new_topic(args.cluster.create_topic, &config)?;
    let weaker = weaker(&config);
    config.common.weaker.extend(weaker);
    Ok(config)
}

/// All that is said goes to Trogdor's agent, and how far the run is with it.
fn for_an_agent(common: &mut CommonConfig) -> Result<(), UsageError> {
    if common.log_format == LogFormat::Json {
        return Err(UsageError::flag("log-format", "json cannot be used with --trogdor, which has its own"));
    }
    (common.log_format, common.progress) = (LogFormat::Trogdor, ProgressMode::Never);
    Ok(())
}

/// What the run does with its clients.
fn uses(args: &VerifierArgs) -> Uses<'_> {
    let (work, group) = (&args.work, &args.group);
    let reads = work.seq_read || work.rand_read_msgs > 0;
    Uses {
        produces: work.produce_msgs > 0,
        reads,
        group: (work.consumer_group_readers > 0).then(|| Members {
            name: Some(group.consumer_group_name.as_str()).filter(|name| !name.is_empty()),
            flag: "consumer_group_name",
            count: (work.consumer_group_readers, "consumer_group_readers"),
            start: &["earliest", "smallest", "beginning"],
            session_flag: group
                .consumer_group_session_timeout_s
                .filter(|limit| !limit.is_zero())
                .map(|_| "consumer-group-session-timeout-s"),
        }),
        committed: args.transaction.use_transactions,
    }
}

/// A reader of a topic that is not there has nothing to read, and must not make it look as if there were.
fn check_new_topic(asked: bool, config: &VerifierConfig) -> Result<(), UsageError> {
    if asked && config.produce.is_none() && !config.common.print_placement {
        return Err(UsageError::flag(
            "create-topic",
            "needs --produce_msgs N as well: a reader creates no topic",
        ));
    }
    Ok(())
}

/// An embedded cluster is gone with the process, and its ledger with it.
fn check_ledger_dir(config: &VerifierConfig) -> Result<(), UsageError> {
    if config.ledger_asked_for && matches!(config.common.brokers, Brokers::Embedded { .. }) {
        let why = "cannot be used with --brokers embedded, whose ledger goes with the cluster";
        return Err(UsageError::flag("ledger-dir", why));
    }
    Ok(())
}

/// A slice does its share of what was asked for, and nothing that cannot be shared.
fn check_slice(config: &VerifierConfig) -> Result<(), UsageError> {
    let Some(slice) = config.slice else { return Ok(()) };
    if config.group_read.is_some() {
        let why = "cannot be used with --consumer_group_readers: a group deals out all partitions of a topic by itself; read \
                   with it in a run without --slice, with the slices' folder as --ledger-dir";
        return Err(UsageError::flag("slice", why));
    }
    if matches!(config.common.brokers, Brokers::Embedded { .. }) {
        let why = "cannot be used with --brokers embedded: each process would have a cluster of its own";
        return Err(UsageError::flag("slice", why));
    }
    let least = |flag, count: Option<u64>| match count {
        Some(count) if count < slice.of() as u64 => {
            let what = format!("{} or more with --slice {slice}: one for each slice", slice.of());
            Err(UsageError::value(flag, count, what))
        }
        _ => Ok(()),
    };
    least("produce_msgs", config.produce.as_ref().map(|produce| produce.messages.get()))?;
    least("rand_read_msgs", config.rand_read.as_ref().map(|random| random.reads_per_reader))?;
    least("seq_read_msgs", config.seq_read.as_ref().and_then(|read| read.max_messages))
}

/// What flags leave out of a proof.
fn weaker(config: &VerifierConfig) -> Vec<String> {
    let reads = config.seq_read.is_some() || config.rand_read.is_some() || config.group_read.is_some();
    let header = if reads {
        "--proof-header=false: what was sent twice, in another order or altered shows by its first header only"
    } else {
        "--proof-header=false: readers will not tell what was sent twice, in another order or altered"
    };
    let flags = [
        (!config.proof.proof_header, header),
        (
            reads && config.proof.compacted,
            "--compacted: acked records that are missing are taken to be compacted away",
        ),
    ];
    flags.into_iter().filter(|(given, _)| *given).map(|(_, what)| what.to_owned()).collect()
}

/// A report that takes the ledger's place takes away what a run is to be measured by.
fn check_report(config: &VerifierConfig) -> Result<(), UsageError> {
    let Some(report) = &config.common.report else { return Ok(()) };
    let store = LedgerStore::of(&config.ledger_dir, &config.topic, config.producing_slice());
    let resolved =
        |path: &Path| (whole_file::folder(path).canonicalize().ok(), path.file_name().map(ToOwned::to_owned));
    let is_taken = [store.path(), store.latest_path(), store.journal_path()]
        .iter()
        .any(|path| resolved(path) == resolved(report));
    if is_taken {
        let what = "a file that is not the ledger of the topic, nor its latest values";
        return Err(UsageError::value("report", report.display(), what));
    }
    Ok(())
}

/// A placement plan can be printed for no topic in particular.
fn topic(args: &VerifierArgs) -> Result<String, UsageError> {
    match &args.work.topic {
        Some(topic) => Ok(topic.clone()),
        None if args.placement.print_placement => Ok(String::new()),
        None => Err(UsageError::flag("topic", "required: accepts the name of the topic under test")),
    }
}

fn check_combinations(args: &VerifierArgs) -> Result<(), UsageError> {
    let work = &args.work;
    if work.continuous && work.looping {
        return Err(UsageError::flag("continuous", "cannot be used with --loop: give one of them"));
    }
    if matches!(args.proof.latest_values, LatestChecks::Last) && !args.proof.validate_latest_values {
        return Err(UsageError::flag("latest-values", "needs --validate-latest-values as well"));
    }
    let asks_for_work =
        work.produce_msgs > 0 || work.seq_read || work.rand_read_msgs > 0 || work.consumer_group_readers > 0;
    if !asks_for_work && !args.placement.print_placement {
        return Err(UsageError::NoWork);
    }
    Ok(())
}

fn produce(args: &VerifierArgs) -> Result<Option<ProduceConfig>, UsageError> {
    let producer = &args.producer;
    // Sizes are judged even where nothing is produced: a bad value is a bad value.
    let fits = |header_bytes| {
        check_record_fits("msg_size", producer.msg_size, header_bytes, producer.batch_max_bytes)
    };
    let proof_header = match args.proof.proof_header {
        // Existing scripts do not know of it, and may fill their batches to the brim.
        None => fits(PROOF_HEADER_BYTES).is_ok(),
        Some(wanted) => wanted,
    };
    fits(if proof_header { PROOF_HEADER_BYTES } else { 0 })?;
    if args.proof.validate_latest_values && producer.msg_size < LATEST_VALUE_BYTES {
        let what = format!("{LATEST_VALUE_BYTES} or more with --validate-latest-values");
        return Err(UsageError::value("msg_size", producer.msg_size, what));
    }
    let Some(messages) = NonZeroU64::new(args.work.produce_msgs) else { return Ok(None) };
    Ok(Some(ProduceConfig {
        messages,
        value_bytes: producer.msg_size,
        linger: args.batch.linger,
        batch_max_bytes: producer.batch_max_bytes,
        max_buffered_records: producer.max_buffered_records,
        compression: args.batch.compression_type,
        fill: fill(&args.batch, producer.produce_random_bytes),
        payload: None,
        key_set_cardinality: producer.key_set_cardinality.0,
        tombstone_probability: args.batch.tombstone_probability,
        fake_timestamps: fake_timestamps(producer, messages)?,
        throughput_bytes_per_s: rate(producer.produce_throughput_bps),
        tolerate_failed_produce: producer.tolerate_failed_produce,
        messages_per_producer_id: producer.msgs_per_producer_id.0.and_then(NonZeroU64::new),
        transactions: transactions(&args.transaction),
        latest_values: args.proof.validate_latest_values,
        proof_header,
    }))
}

/// Refuses steps that would carry the last record beyond what a timestamp holds.
fn fake_timestamps(
    producer: &ProducerArgs,
    messages: NonZeroU64,
) -> Result<Option<FakeTimestamps>, UsageError> {
    let Some(start_ms) = producer.fake_timestamp_ms.0.and_then(|start| i64::try_from(start).ok()) else {
        return Ok(None);
    };
    let step_ms = producer.fake_timestamp_step_ms;
    let last_ms = i128::from(start_ms) + i128::from(step_ms) * i128::from(messages.get() - 1);
    if i64::try_from(last_ms).is_err() {
        let largest = (i64::MAX - start_ms) / i64::try_from(messages.get() - 1).unwrap_or(i64::MAX);
        let what = format!("up to {largest} for so many messages: timestamps end at 2^63 ms");
        return Err(UsageError::value("fake-timestamp-step-ms", step_ms, what));
    }
    Ok(Some(FakeTimestamps { start_ms, step_ms }))
}

fn rand_read(args: &VerifierArgs) -> Option<RandReadConfig> {
    let reads_per_reader = args.work.rand_read_msgs;
    (reads_per_reader > 0).then_some(RandReadConfig { readers: args.reader.parallel, reads_per_reader })
}

fn seq_read(args: &VerifierArgs) -> Result<Option<SeqReadConfig>, UsageError> {
    let throughput_bytes_per_s = mib_rate(args.reader.consume_throughput_mb)?;
    let max_messages = args.reader.seq_read_msgs.0;
    Ok(args.work.seq_read.then_some(SeqReadConfig { max_messages, throughput_bytes_per_s }))
}

fn group_read(args: &VerifierArgs) -> Result<Option<GroupReadConfig>, UsageError> {
    let group = &args.group;
    let given = |limit: Option<Duration>| limit.filter(|limit| !limit.is_zero());
    let throughput_bytes_per_s = mib_rate(args.reader.consume_throughput_mb)?;
    let Some(members) = NonZeroUsize::new(args.work.consumer_group_readers) else { return Ok(None) };
    Ok(Some(GroupReadConfig {
        members,
        name: Some(group.consumer_group_name.clone()).filter(|name| !name.is_empty()),
        max_uncommitted: group
            .max_uncommitted
            .0
            .and_then(|records| NonZeroUsize::new(usize::try_from(records).unwrap_or(usize::MAX))),
        session_timeout: given(group.consumer_group_session_timeout_s),
        rebalance_timeout: given(group.consumer_group_rebalance_timeout_s),
        exactly_once: group.group_consume_exactly_once,
        max_messages: args.reader.seq_read_msgs.0,
        throughput_bytes_per_s,
    }))
}

fn mib_rate(limit: OrOff) -> Result<Option<NonZeroU64>, UsageError> {
    let Some(mib) = limit.0 else { return Ok(None) };
    let bytes = mib.checked_mul(BYTES_PER_MIB).ok_or_else(|| {
        let what = format!("up to {} MiB per second", u64::MAX / BYTES_PER_MIB);
        UsageError::value("consume-throughput-mb", mib, what)
    })?;
    Ok(NonZeroU64::new(bytes))
}
