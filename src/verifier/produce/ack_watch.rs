//! Watches the records in flight: an ack that does not come although the leader answers is a stall.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::predict::acks::Acks;
use crate::{
    human::count,
    kafka::{Answers, Isolation, LogWriter, OffsetSpec, QuestionId},
    partitions::{PartitionSlot, PartitionTable},
    verifier::{
        read::stall::{StallDetector, Watch},
        shard::ShardContext,
    },
};

/// How old a record must be, and how much time must pass, before a leader is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(5);

/// What a partition owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overdue {
    /// The partition.
    pub(crate) partition: PartitionSlot,
    /// The lowest offset at which a record was expected.
    pub(crate) offset: i64,
    /// Such records.
    pub(crate) records: usize,
    /// They are acked, and wait for the end of their transaction.
    pub(crate) in_transaction: bool,
}

impl Overdue {
    fn describe(self) -> String {
        let Self { offset, records, in_transaction, .. } = self;
        let what = if in_transaction { "the end of the transaction of" } else { "the acks of" };
        format!("{what} {} from offset {offset} on", count(records, "record"))
    }
}

/// Watches a shard's partitions.
pub(crate) struct AckWatch {
    stall_detector: StallDetector,
    table: Arc<PartitionTable>,
    /// By slot.
    watches: Vec<Watch>,
    /// What the client was asked last.
    question: Option<QuestionId>,
    asked: Instant,
}

impl AckWatch {
    /// `linger`: how long a record may wait before it is sent at all.
    pub(crate) fn new(context: &ShardContext, table: Arc<PartitionTable>, linger: Duration) -> Self {
        let watches = table.slots().map(|_| Watch::default()).collect();
        let stall_detector =
            StallDetector::new(context, "the producer").of_a_producer().more_patient_by(linger);
        Self { stall_detector, table, watches, question: None, asked: Instant::now() }
    }

    /// Asks and looks when it is time; never waits. `ending`: the transaction is to end.
    pub(crate) fn step(&mut self, acks: &Acks, client: &mut impl LogWriter, now_us: u64, ending: bool) {
        if let Some(answers) = self.question.and_then(|question| client.answers(question)) {
            self.question = None;
            self.look(&acks.overdue(now_us, SILENCE, ending), &answers);
        }
        if self.question.is_some() || self.asked.elapsed() < SILENCE {
            return;
        }
        self.asked = Instant::now();
        let overdue = acks.overdue(now_us, SILENCE, ending);
        self.let_go(&overdue);
        if !overdue.is_empty() {
            let partitions: Vec<PartitionSlot> = overdue.iter().map(|overdue| overdue.partition).collect();
            let question = client.ask_offsets(&partitions, OffsetSpec::End, Isolation::ReadUncommitted);
            self.question = Some(question);
        }
    }

    /// Everything is settled.
    pub(crate) fn finish(&mut self) {
        self.let_go(&[]);
    }

    fn look(&mut self, overdue: &[Overdue], answers: &Answers) {
        for (partition, answer) in answers {
            let Some(overdue) = overdue.iter().find(|overdue| overdue.partition == *partition) else {
                continue;
            };
            let watch = &mut self.watches[partition.index()];
            match answer {
                Ok(end) => {
                    let what = || overdue.describe();
                    let place = (self.table.topic(*partition), self.table.partition(*partition));
                    self.stall_detector.look_in(watch, place, (overdue.offset, end.offset), what);
                }
                Err(_) => watch.unanswered(),
            }
        }
    }

    /// Who owes nothing any more is not stalled.
    fn let_go(&mut self, overdue: &[Overdue]) {
        for (log, watch) in self.watches.iter_mut().enumerate() {
            if !overdue.iter().any(|overdue| overdue.partition.index() == log) {
                self.stall_detector.settled(watch);
            }
        }
    }
}

impl Acks {
    /// What was sent `age` ago or earlier and is not settled, by partition. `ending`: its transaction is to end.
    pub(crate) fn overdue(&self, now_us: u64, age: Duration, ending: bool) -> Vec<Overdue> {
        let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        let is_old = |sent_us: u64| now_us.saturating_sub(sent_us) >= age_us;
        let in_flight = self.pending.records().map(|record| (record, false));
        let acked = self.pending.held().iter().filter(|_| ending).map(|acked| (&acked.record, true));
        let mut all: Vec<Overdue> = Vec::new();
        for (record, in_transaction) in in_flight.chain(acked).filter(|(record, _)| is_old(record.sent_us)) {
            let (partition, offset) = (record.partition, record.predicted_offset);
            if let Some(known) = all.iter_mut().find(|known| known.partition == partition) {
                known.offset = known.offset.min(offset);
                known.records += 1;
            } else {
                all.push(Overdue { partition, offset, records: 1, in_transaction });
            }
        }
        all
    }
}
