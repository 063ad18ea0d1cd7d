//! Starting the shards of a benchmark: each writes to its partitions, and reads them, on one executor.

use std::{sync::Arc, time::Duration};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use glommio::{Latency, Shares};

use super::{
    ground::{Ground, Placed},
    groups::{self, Group, ShardMembers},
};
use crate::{
    app::error::RunError,
    clock::{self, Clock},
    config::{ClientKind, ProduceConfig},
    control::Message,
    kafka::{ClientFactory, OffsetAndEpoch},
    ledger::Ledger,
    partitions::PartitionSlot,
    random::Random,
    record::proof,
    runtime::executor::Shard,
    stats::{ProducerBoard, ReaderBoard, ReaderKind},
    verifier::{
        produce::{
            latecomers::LateEnds,
            open_loop::{OpenLoopJob, Step},
            predict::predicted_log::ProducePartition,
            run::{self as producer, ProduceJob},
        },
        read::{
            budget::{self, Allowance},
            checker::Expectation,
            closing::Close,
            end_to_end::{EndToEndJob, Measured},
            group::group_reader,
            progress::{OPEN_END, OffsetRange},
            sequential::seq_reader::{self, SeqReadJob, SeqReadPass},
        },
        run_context::{Readers, start_together},
        shard::{Feeder, Halt, PassQueue, ShardContext},
    },
};

/// How long writing or reading may go on before the other one has its turn, and sockets and timers theirs.
const TURN: Duration = Duration::from_micros(500);
/// Messages that may wait for the main thread.
const QUEUE: usize = 1_024;

/// The shards at work, and the ways to and from them.
pub(super) struct Shards {
    pub(super) running: Vec<Shard<()>>,
    /// One for each shard that writes: a step reaches it here.
    pub(super) steps: Vec<Sender<Step>>,
    /// What is acked, and how long that took.
    pub(super) messages: Receiver<Message>,
    /// One for each shard that writes, when it is done with that.
    pub(super) done: Receiver<Result<(), Halt>>,
    /// The readers that are in no group.
    pub(super) feeders: Vec<Feeder<SeqReadPass>>,
    /// The groups, until somebody watches over them.
    pub(super) groups: Vec<Group>,
    /// How readers hear of the end.
    pub(super) close: Close,
    pub(super) clock: Clock,
    pub(super) measured: Arc<Measured>,
}

/// What a shard does.
struct ShardJob {
    produce: ProduceJob,
    read: Option<SeqReadJob>,
    members: Vec<ShardMembers>,
}

/// Starts them. Readers begin where the logs end now.
///
/// # Errors
/// A shard cannot be started.
pub(super) fn start(
    ground: &Ground<'_>,
    produce: &ProduceConfig,
    ends: &[OffsetAndEpoch],
    (producers, readers): (&ProducerBoard, &[ReaderBoard]),
) -> Result<Shards, RunError> {
    let (sender, messages) = bounded(QUEUE);
    let (done_sender, done) = unbounded();
    let (clock, epoch_us) = (Clock::start(), clock::unix_us());
    let (close, measured) = (Close::default(), Arc::new(Measured::default()));
    // Shards share it, because no two of them write to the same partition.
    let run = Random::from_entropy().below(proof::RUNS);
    tracing::info!("this run's records name it in their proof headers: {run:016x}");
    let dealt = ground.dealt();
    let counts: Vec<u64> = dealt.iter().map(|own| own.len() as u64).collect();
    let windows = budget::shares(produce.max_buffered_records as u64, &counts);
    let produce = Arc::new(produce.clone());
    let (mut steps, mut jobs) = (Vec::new(), Vec::new());
    let end_to_end = EndToEndJob { clock, epoch_us, run, measured: measured.clone() };
    let direct = readers.first().filter(|reader| reader.kind == ReaderKind::Sequential);
    let in_groups = if direct.is_some() { &[] } else { readers };
    let (groups, members) = groups::deal(ground, in_groups, &end_to_end);
    for ((index, own), members) in dealt.iter().enumerate().zip(members) {
        let (step_sender, step_receiver) = unbounded();
        let table = ground.table(own);
        let share = own.len() as f64 / ground.partitions().max(1) as f64;
        let job = ProduceJob {
            partitions: own.iter().map(|placed| begun(*placed, ends)).collect(),
            table: table.clone(),
            records: produce.messages.get(),
            share,
            window: usize::try_from(windows[index]).unwrap_or(usize::MAX).max(1),
            partitions_before: 0,
            topic_partitions: ground.partitions(),
            tolerate_data_loss: false,
            stats: producers.shards[index].clone(),
            run,
            late: Arc::new(LateEnds::new(0)),
            open_loop: Some(OpenLoopJob { clock, epoch_us, steps: step_receiver }),
            config: produce.clone(),
        };
        let read = direct.map(|reader| SeqReadJob {
            table,
            stats: reader.shards[index].clone(),
            throughput_bytes_per_s: None,
            share,
            proof: ground.config.verifier.proof,
            end_to_end: Some(end_to_end.clone()),
        });
        steps.push(step_sender);
        jobs.push(vec![ShardJob { produce: job, read, members }]);
    }
    let (feeders, running) = match ground.run_contexts[0].kind {
        ClientKind::Wire => spawn(ground, jobs, (sender, done_sender), ShardContext::wire),
        ClientKind::Librdkafka => spawn(ground, jobs, (sender, done_sender), ShardContext::librdkafka),
    }?;
    for (feeder, own) in feeders.iter().zip(&dealt).filter(|_| direct.is_some()) {
        feeder.start(pass(ground, own, ends, &close));
    }
    Ok(Shards { running, steps, messages, done, feeders, groups, close, clock, measured })
}

fn begun(placed: Placed, ends: &[OffsetAndEpoch]) -> ProducePartition {
    let end_offset = placed.of(ends).map_or(0, |end| end.offset);
    ProducePartition { id: placed.place, end_offset, highest_acked: -1, last_consumable: 0 }
}

/// One pass, from where the logs end now until it is closed.
fn pass(ground: &Ground<'_>, own: &[Placed], ends: &[OffsetAndEpoch], close: &Close) -> SeqReadPass {
    let span = |(slot, placed): (usize, &Placed)| {
        let end = placed.of(ends);
        OffsetRange {
            partition: PartitionSlot::at(slot),
            start: end.map_or(0, |end| end.offset),
            end: OPEN_END,
            leader_epoch: end.map_or(-1, |end| end.leader_epoch),
        }
    };
    let nothing = Arc::new(Ledger::new(ground.partitions()));
    SeqReadPass {
        expectation: Expectation { ledger: nothing, latest: None, ledger_grows: true },
        ranges: own.iter().enumerate().map(span).collect(),
        allowance: Allowance::All,
        close: close.clone(),
    }
}

fn spawn<C: ClientFactory>(
    ground: &Ground<'_>,
    jobs: Vec<Vec<ShardJob>>,
    (sender, done): (Sender<Message>, Sender<Result<(), Halt>>),
    clients: fn(&ShardContext) -> C,
) -> Result<Readers<SeqReadPass>, RunError> {
    start_together(&ground.run_contexts[0], jobs, move |context, jobs| {
        let (context, done) = (ShardContext { sender: sender.clone(), ..context }, done.clone());
        async move {
            for (job, pass_queue) in jobs {
                work(clients(&context), context.clone(), (job, pass_queue), done.clone()).await;
            }
        }
    })
}

/// Writes and reads, in turns that are short: who is busy must not hold up the other's clock.
async fn work<C: ClientFactory>(
    clients: C,
    context: ShardContext,
    (job, pass_queue): (ShardJob, PassQueue<SeqReadPass>),
    done: Sender<Result<(), Halt>>,
) {
    let queue =
        glommio::executor().create_task_queue(Shares::default(), Latency::Matters(TURN), "write and read");
    let ShardJob { produce, read, members } = job;
    let of_group = |(job, pass_queue)| group_reader::run(context.clone(), job, pass_queue);
    let in_groups: Vec<_> = members.into_iter().map(of_group).collect();
    let reader_s = context.clone();
    let reading = async move {
        if let Some(job) = read {
            seq_reader::run(reader_s, job, pass_queue).await;
        }
    };
    let writing = async move {
        let outcome = producer::run(clients, &context, produce).await;
        // The main thread listens until it has heard of all of them.
        let _ = done.send(context.stop_all_on_halt(outcome));
    };
    let in_groups: Vec<_> =
        in_groups.into_iter().map(|members| glommio::spawn_local_into(members, queue)).collect();
    let tasks = (glommio::spawn_local_into(reading, queue), glommio::spawn_local_into(writing, queue));
    // A queue that was just made is there.
    if let (Ok(reading), Ok(writing)) = tasks {
        writing.await;
        reading.await;
    }
    for members in in_groups.into_iter().flatten() {
        members.await;
    }
}
