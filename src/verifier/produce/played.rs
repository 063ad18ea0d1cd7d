//! A shard's producer whose cluster a test plays.

use std::sync::Arc;

use crossbeam::channel::Receiver;

use super::{
    latecomers::LateEnds,
    predict::predicted_log::ProducePartition,
    run::{self, ProduceJob},
};
use crate::{
    control::Message,
    kafka::{
        KafkaError,
        fake::{Fake, on_an_executor},
    },
    ledger::Ledger,
    partitions::PartitionTable,
    record::proof::{self, PROOF_HEADER, Proof, Second},
    stats::ProducerStats,
    verifier::shard::{Halt, ShardContext},
};

/// The producer, and everything around it.
pub(super) struct Played {
    pub(super) fake: Fake,
    pub(super) context: ShardContext,
    pub(super) job: ProduceJob,
    pub(super) stats: Arc<ProducerStats>,
    messages: Receiver<Message>,
}

pub(super) fn broker(code: i16) -> KafkaError {
    KafkaError::Broker(code)
}

impl Played {
    /// A verifier with these flags beside its topic, whose shard owns all of so many partitions; their logs are empty.
    pub(super) fn new(flags: &str, partitions: i32) -> Self {
        let (context, config, messages) = ShardContext::played(&format!("--topic t --msg_size 64 {flags}"));
        let config = Arc::new(config.produce.expect("flags of a producer"));
        let ids: Vec<i32> = (0..partitions).collect();
        let stats = Arc::new(ProducerStats::new(&ids));
        let partition =
            |id: &i32| ProducePartition { id: *id, end_offset: 0, highest_acked: -1, last_consumable: 0 };
        let job = ProduceJob {
            records: config.messages.get(),
            share: 1.0,
            window: config.max_buffered_records,
            partitions: ids.iter().map(partition).collect(),
            partitions_before: 0,
            topic_partitions: ids.len(),
            tolerate_data_loss: false,
            stats: stats.clone(),
            run: 1,
            late: Arc::new(LateEnds::new(ids.len())),
            table: Arc::new(PartitionTable::of_topic("t", ids.iter().copied())),
            open_loop: None,
            config,
        };
        Self { fake: Fake::default(), context, job, stats, messages }
    }

    /// Produces.
    pub(super) fn run(&self) -> Result<(), Halt> {
        self.run_beside(async {})
    }

    /// Produces, while somebody else does something.
    pub(super) fn run_beside(&self, script: impl Future<Output = ()>) -> Result<(), Halt> {
        let produce = run::run(self.fake.clone(), &self.context, self.job.clone());
        on_an_executor(futures_lite::future::zip(produce, script)).0
    }

    /// Waits, in a script, until this is true.
    pub(super) async fn until(&self, is_so: impl Fn() -> bool) {
        while !is_so() {
            futures_lite::future::yield_now().await;
        }
    }

    /// What the ledger would hold.
    pub(super) fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::new(self.job.partitions.len());
        for message in self.messages.try_iter() {
            if let Message::Produced { entries, .. } = message {
                for entry in &entries {
                    entry.enter(&mut ledger);
                }
            }
        }
        ledger
    }

    /// What the main thread was told.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.messages.try_iter().collect()
    }

    /// Offsets in the ledger, by partition.
    pub(super) fn acked(&self) -> Vec<Vec<i64>> {
        let ledger = self.ledger();
        ledger.partitions().iter().map(|part| part.acked().iter().collect()).collect()
    }

    /// The proofs of everything that clients were given, in that order.
    pub(super) fn proofs(&self) -> Vec<Proof> {
        let writes = self.fake.writes();
        let values = writes.arrivals.iter().map(|arrival| &arrival.headers[1].1);
        let decoded = values.map(|value| match proof::second(PROOF_HEADER.as_bytes(), value) {
            Second::Proof(written) => written.decode(),
            _ => panic!("no proof header"),
        });
        decoded.collect()
    }

    /// What was told of what failed: each its words, and how often.
    pub(super) fn causes(&self) -> Vec<(String, u64)> {
        let causes = self.context.shared.causes.all();
        causes.iter().map(|cause| (format!("{}: {}", cause.what, cause.cause), cause.count)).collect()
    }
}

/// What a halt says.
pub(super) fn words(outcome: Result<(), Halt>) -> String {
    outcome.expect_err("something that ends the run").to_string()
}
