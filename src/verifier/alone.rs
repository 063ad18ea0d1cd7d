//! A shard's loops without a cluster and without the rest of a run, for whoever measures what a record costs in them:
//! `benches/loops.rs` brings the client.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, unbounded};
use glommio::{LocalExecutorBuilder, Placement};

use super::{
    produce::{
        latecomers::LateEnds,
        predict::predicted_log::ProducePartition,
        run::{self as producer, ProduceJob},
    },
    read::{
        budget::Allowance,
        checker::Expectation,
        closing::Close,
        progress::OffsetRange,
        sequential::seq_reader::{self, SeqReadJob, SeqReadPass},
    },
    shard::{Halt, ShardContext},
};
use crate::{
    app::{
        Shared,
        ending::{Asked, Ending},
    },
    cli::{self, Command, Program},
    config::VerifierConfig,
    control::Message,
    kafka::{ClientFactory, ClientSettings},
    ledger::{Ledger, OffsetRun},
    partitions::PartitionTable,
    runtime::cores::{cpu_set::CpuSet, placement::ShardPlace},
    stats::{ProducerStats, ReaderStats},
};

impl ShardContext {
    /// The only shard of a verifier with these flags, without a control thread: what it would hear comes out of the channel.
    ///
    /// # Errors
    /// In words: they are no flags of a verifier.
    pub(crate) fn alone(flags: &str) -> Result<(Self, Box<VerifierConfig>, Receiver<Message>), String> {
        let words = flags.split_whitespace().map(Into::into);
        let Ok(Command::Verifier(config)) = cli::parse(Program::Verifier, words) else {
            return Err(format!("no flags of a verifier: {flags}"));
        };
        let ending = Ending::begin(Asked::Verifier(config.clone()));
        let (sender, messages) = unbounded();
        let context = Self {
            place: ShardPlace { index: 0, core: 0, node: 0, client_cpus: CpuSet::default() },
            shared: Arc::new(Shared::new(&ending, 0)),
            sender,
            client: ClientSettings::new(&config.common, "127.0.0.1:1"),
            kind: config.common.client.kind,
            topic: config.topic.as_str().into(),
            slice: config.slice,
            stall_after: config.common.stall_after,
        };
        Ok((context, config, messages))
    }
}

/// Produces records of 128 bytes to partitions whose logs are empty. Returns how long that took.
///
/// # Errors
/// In words: what ended it early.
pub fn produce<C: ClientFactory>(clients: C, records: u64, partitions: i32) -> Result<Duration, String> {
    let flags = format!("--topic t --msg_size 128 --produce_msgs {records} --max-buffered-records 4096");
    // Whoever sends what was acked wants somebody who may listen.
    let (context, config, _messages) = ShardContext::alone(&flags)?;
    let config = Arc::new(config.produce.ok_or("no flags of a producer")?);
    let ids: Vec<i32> = (0..partitions).collect();
    let empty = |id: &i32| ProducePartition { id: *id, end_offset: 0, highest_acked: -1, last_consumable: 0 };
    let job = ProduceJob {
        partitions: ids.iter().map(empty).collect(),
        records,
        share: 1.0,
        window: config.max_buffered_records,
        partitions_before: 0,
        topic_partitions: ids.len(),
        tolerate_data_loss: false,
        stats: Arc::new(ProducerStats::new(&ids)),
        run: 1,
        late: Arc::new(LateEnds::new(ids.len())),
        table: Arc::new(PartitionTable::of_topic(&context.topic, ids.iter().copied())),
        open_loop: None,
        config,
    };
    timed(async { producer::run(clients, &context, job).await })
}

/// Reads so many records of each partition, from 0 on, all of which were acked. Returns how long that took.
///
/// # Errors
/// In words: what ended it early.
pub fn read<C: ClientFactory>(clients: &C, records: i64, partitions: i32) -> Result<Duration, String> {
    let (context, config, _) = ShardContext::alone("--topic t --seq_read=1 --proof-header=false")?;
    let ids: Vec<i32> = (0..partitions).collect();
    let mut ledger = Ledger::new(ids.len());
    for id in &ids {
        if let Some(part) = ledger.partition_mut(*id) {
            part.insert(OffsetRun { lower: 0, upper: records });
        }
    }
    let stats = Arc::new(ReaderStats::new(&ids));
    let table = Arc::new(PartitionTable::of_topic(&context.topic, ids.iter().copied()));
    let job = SeqReadJob {
        table,
        stats: stats.clone(),
        throughput_bytes_per_s: None,
        share: 1.0,
        proof: config.proof,
        end_to_end: None,
    };
    let pass = SeqReadPass {
        expectation: Expectation { ledger: Arc::new(ledger), latest: None, ledger_grows: false },
        ranges: job
            .table
            .slots()
            .map(|slot| OffsetRange { partition: slot, start: 0, end: records, leader_epoch: 0 })
            .collect(),
        allowance: Allowance::All,
        close: Close::default(),
    };
    let took = timed(async {
        seq_reader::one_pass(clients, &context, &job, &mut None, pass, &mut Vec::new()).await
    })?;
    let (read, all) = (stats.valid_reads.get(), u64::try_from(records * i64::from(partitions)).unwrap_or(0));
    if read == all { Ok(took) } else { Err(format!("{read} of {all} records are as they should be")) }
}

fn timed(work: impl Future<Output = Result<(), Halt>>) -> Result<Duration, String> {
    let builder = LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10).ring_depth(64);
    let executor = builder.make().map_err(|error| format!("no executor: {error}"))?;
    executor.run(async {
        let began = Instant::now();
        work.await.map(|()| began.elapsed()).map_err(|halt| halt.to_string())
    })
}
