//! The benchmark's flags, resolved.

use std::{num::NonZeroU64, path::PathBuf};

use super::{
    super::{
        bench::{BenchArgs, RateArg},
        common::EndArgs,
        error::UsageError,
        openmessaging::FromFiles,
        values::topic_name,
    },
    check_record_fits,
    common::{Groups, check_aborts, common, fill, transactions},
    contradictions::{Members, Uses},
    idle,
    verifier::PROOF_HEADER_BYTES,
};
use crate::config::{
    BenchConfig, BenchRate, BenchReaders, GroupReadConfig, LatestChecks, Objective, ObjectiveOn, Passes,
    Payload, ProduceConfig, ProofConfig, SeqReadConfig, VerifierConfig,
};

/// Value bytes in flight, where no flag says how many records, and how many records that may be.
const BYTES_IN_FLIGHT: usize = 64 << 20;
const FEWEST_IN_FLIGHT: usize = 1_024;
const MOST_IN_FLIGHT: usize = 16_384;

/// The run that the flags ask for. Topics that are missing are created.
pub(in super::super) fn bench(args: &mut BenchArgs) -> Result<BenchConfig, UsageError> {
    args.cluster.create_topic = true;
    let (load, records) = (&args.load, &args.records);
    let topics = topics(&load.topic, load.topics)?;
    check_files(args)?;
    check_record_fits("msg_size", records.msg_size, PROOF_HEADER_BYTES, records.batch_max_bytes)?;
    let reads = load.readers == BenchReaders::Direct;
    let group_read = group_read(load.readers);
    let end = end(args);
    let uses = Uses {
        produces: true,
        reads,
        group: group_read.as_ref().map(|group| Members {
            name: None,
            flag: "readers",
            count: (group.members.get(), "readers"),
            start: &["earliest", "smallest", "beginning"],
            session_flag: None,
        }),
        committed: args.transaction.use_transactions,
    };
    let groups = Groups {
        cluster: &args.cluster,
        security: &args.security,
        placement: &args.placement,
        control: &args.control,
        end: &end,
        output: &args.output,
    };
    let mut common = common(&groups, args.client.client_name.clone(), args.client.metadata_max_age, &uses)?;
    check_aborts(&common.brokers, &args.transaction)?;
    common.warnings = idle::bench(args);
    common.warnings.extend(args.from_files.notes.iter().cloned());
    let verifier = VerifierConfig {
        common,
        topic: topics[0].clone(),
        slice: None,
        produce: Some(produce(args)),
        rand_read: None,
        seq_read: reads.then_some(SeqReadConfig { max_messages: None, throughput_bytes_per_s: None }),
        group_read,
        passes: Passes::Continuous,
        proof: ProofConfig {
            compacted: false,
            tolerate_data_loss: false,
            transactions: args.transaction.use_transactions,
            latest_values: LatestChecks::Never,
            keep_going: args.end.keep_going,
            proof_header: true,
        },
        ledger_dir: PathBuf::from("."),
        ledger_asked_for: false,
    };
    Ok(BenchConfig {
        verifier,
        topics,
        rate: rate(load.rate, records.msg_size)?,
        find: objective(args)?,
        readers: load.readers,
        duration: load.duration,
        warmup: load.warmup,
        backlog: args.from_files.backlog,
        workload: args.from_files.workload.clone(),
        driver: args.from_files.driver.clone(),
        output: args.result.file.clone(),
        hdr: args.result.hdr.clone(),
        html: args.result.html.clone(),
    })
}

/// Its duration is that of the load, and nothing that ends the run.
fn end(args: &BenchArgs) -> EndArgs {
    EndArgs {
        require_complete: args.end.require_complete,
        duration: None,
        deadline: args.end.deadline,
        max_outage: args.end.max_outage,
    }
}

/// Flags have the last word, where what they say and what files say can be had together.
fn check_files(args: &BenchArgs) -> Result<(), UsageError> {
    let FromFiles { payload, backlog, .. } = &args.from_files;
    if let Some(Payload::File { path, bytes }) = payload
        && bytes.len() != args.records.msg_size
    {
        let what = format!("{}, the length of the workload's payloadFile {}", bytes.len(), path.display());
        return Err(UsageError::value("msg_size", args.records.msg_size, what));
    }
    let why = "cannot be used with a workload whose consumerBacklogSizeGB is above 0";
    if backlog.is_none() {
        Ok(())
    } else if args.load.readers == BenchReaders::None {
        Err(UsageError::flag("readers", format!("none {why}: nobody would read that")))
    } else if args.load.find_rate {
        Err(UsageError::flag("find-rate", why))
    } else if args.records.msg_size == 0 {
        Err(UsageError::flag("msg_size", format!("0 {why}")))
    } else {
        Ok(())
    }
}

/// The members of all groups together.
fn group_read(readers: BenchReaders) -> Option<GroupReadConfig> {
    let BenchReaders::Groups { groups, members } = readers else { return None };
    Some(GroupReadConfig {
        members: groups.saturating_mul(members),
        name: None,
        max_uncommitted: None,
        session_timeout: None,
        rebalance_timeout: None,
        exactly_once: false,
        max_messages: None,
        throughput_bytes_per_s: None,
    })
}

fn topics(topic: &str, count: usize) -> Result<Vec<String>, UsageError> {
    if count == 1 {
        return Ok(vec![topic.to_owned()]);
    }
    let name = |number| {
        let name = format!("{topic}-{number}");
        topic_name(&name).map_err(|accepts| UsageError::Value {
            flag: "topic".to_owned(),
            value: name.clone(),
            accepts,
        })
    };
    (0..count).map(name).collect()
}

fn produce(args: &BenchArgs) -> ProduceConfig {
    let records = &args.records;
    let in_flight = BYTES_IN_FLIGHT / records.msg_size.max(1);
    ProduceConfig {
        // Until the schedule ends.
        messages: NonZeroU64::new(u64::MAX >> 1).unwrap_or(NonZeroU64::MIN),
        value_bytes: records.msg_size,
        linger: args.batch.linger,
        batch_max_bytes: records.batch_max_bytes,
        max_buffered_records: records
            .max_buffered_records
            .unwrap_or_else(|| in_flight.clamp(FEWEST_IN_FLIGHT, MOST_IN_FLIGHT)),
        compression: args.batch.compression_type,
        fill: fill(&args.batch, records.produce_random_bytes),
        payload: args.from_files.payload.clone(),
        key_set_cardinality: records.key_set_cardinality.0,
        tombstone_probability: args.batch.tombstone_probability,
        fake_timestamps: None,
        throughput_bytes_per_s: None,
        tolerate_failed_produce: false,
        messages_per_producer_id: None,
        transactions: transactions(&args.transaction),
        latest_values: false,
        proof_header: true,
    }
}

fn rate(rate: RateArg, value_bytes: usize) -> Result<BenchRate, UsageError> {
    match rate {
        RateArg::Max => Ok(BenchRate::Max),
        RateArg::Records(records) => Ok(BenchRate::RecordsPerS(records)),
        RateArg::Bytes(_) if value_bytes == 0 => {
            Err(UsageError::flag("rate", "in bytes needs values of some: --msg_size is 0"))
        }
        RateArg::Bytes(bytes) => Ok(BenchRate::RecordsPerS(bytes / value_bytes as f64)),
    }
}

fn objective(args: &BenchArgs) -> Result<Option<Objective>, UsageError> {
    let load = &args.load;
    match (load.find_rate, &load.slo) {
        (false, None) => Ok(None),
        (true, None) => Err(UsageError::flag("find-rate", "needs --slo as well, such as --slo p99=20ms")),
        (false, Some(_)) => Err(UsageError::flag("slo", "needs --find-rate as well")),
        (true, Some(_)) if load.slo_on == ObjectiveOn::EndToEnd && load.readers == BenchReaders::None => {
            Err(UsageError::flag("slo-on", "end-to-end needs readers: --readers is none"))
        }
        (true, Some(slo)) => Ok(Some(Objective {
            words: slo.words.clone(),
            percentile: slo.percentile,
            limit: slo.limit,
            on: load.slo_on,
        })),
    }
}
