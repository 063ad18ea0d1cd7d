//! A producer in a simulated world: what it is given, and what it says became of it.

use super::{
    lines::{InFlight, Lines},
    plan::Plan,
    run::{BEGAN_MS, TOPIC, known, slot, table},
    server::Server,
};
use crate::{
    kafka::wire::{
        batch::{BatchValue, NewRecord},
        core::{
            machine::Machine,
            partition::{Fate, Settled},
            producer::{NotTaken, Producer},
        },
    },
    random::Random,
};

/// What became of a record, and where it went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub partition: i32,
    pub fate: Option<Fate>,
    /// Nothing went wrong any more when it was sent.
    pub is_calm: bool,
}

/// What it is to send by now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// So many records in all.
    pub records: usize,
    /// To each partition.
    pub by_turns: bool,
    /// All of which have to arrive.
    pub is_calm: bool,
}

/// The producer, its network, and its records.
pub(super) struct Writing {
    producer: Producer,
    pub lines: Lines,
    pub sent: Vec<Sent>,
    settled: usize,
    next_us: u64,
    push_most_us: u64,
    records_most: usize,
    gives_up_us: Option<u64>,
    /// Whether it has given up on something.
    pub gave_up: bool,
    pub wrong: Vec<String>,
}

impl Writing {
    pub(super) fn new(plan: &Plan) -> Self {
        let allowed = InFlight { produce: plan.sink.requests_in_flight, fetch: 0 };
        Self {
            producer: Producer::new(known("writer", plan), plan.sink, &table(plan)),
            lines: Lines::allowing(plan.weather, allowed),
            sent: Vec::new(),
            settled: 0,
            next_us: 0,
            push_most_us: plan.push_most_us,
            records_most: plan.sink.records_most,
            gives_up_us: plan.gives_up_us,
            gave_up: false,
            wrong: Vec::new(),
        }
    }

    /// Gives it records until there are so many.
    pub(super) fn push(&mut self, due: Due, partitions: i32, (now_us, random): (u64, &mut Random)) {
        if self.gives_up_us.is_some_and(|due_us| due_us <= now_us) {
            (self.gives_up_us, self.gave_up) = (None, true);
            self.lines.expect_closings();
            self.producer.give_up(now_us);
        }
        while self.sent.len() < due.records && self.next_us <= now_us {
            let token = self.sent.len();
            let any = if due.by_turns { token } else { random.index(64) };
            let partition = i32::try_from(any).unwrap_or(0) % partitions;
            let value = (token as u64).to_be_bytes();
            let record = NewRecord {
                timestamp_ms: BEGAN_MS,
                key: b"",
                value: BatchValue::Copied(&value),
                headers: &[],
            };
            match self.producer.push(slot(partition), &record, token) {
                Ok(()) => {
                    self.sent.push(Sent { partition, fate: None, is_calm: due.is_calm });
                    self.next_us += 1 + random.below(self.push_most_us);
                    let on_their_way = self.sent.len() - self.settled;
                    if on_their_way > self.records_most {
                        self.wrong.push(format!("{on_their_way} records are on their way"));
                    }
                }
                Err(NotTaken::Full) => {
                    self.next_us = now_us + 1_000;
                    return;
                }
                Err(error) => {
                    self.wrong.push(format!("a record is not taken: {error:?}"));
                    return;
                }
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now_us: u64) {
        self.producer.handle_timeout(now_us);
    }

    pub(super) fn carry(&mut self, server: &mut Server, random: &mut Random) -> bool {
        self.lines.carry(&mut self.producer, server, random)
    }

    /// Takes in what became of records.
    pub(super) fn settle(&mut self, server: &mut Server) {
        while let Some(Settled { batch, fate }) = self.producer.next_settled() {
            self.settled += batch.tokens().len();
            server.tell(|| format!("  records {:?}: {fate:?}", batch.tokens()));
            for (index, token) in (0..).zip(batch.tokens()) {
                let fate = match fate {
                    Fate::Acked { base_offset } => Fate::Acked { base_offset: base_offset + index },
                    fate => fate,
                };
                self.settle_one(*token, fate, server);
            }
            self.producer.recycle(batch);
        }
    }

    fn settle_one(&mut self, token: usize, fate: Fate, server: &mut Server) {
        let sent = &mut self.sent[token];
        if let Some(before) = sent.fate.replace(fate) {
            self.wrong.push(format!("record {token}: {before:?}, and then {fate:?}"));
        }
        // Who does not hear of the others lacks what they have written since, and says that something is missing.
        let has_doubts = self.gave_up || server.isolations > 0;
        // Only a log that has it can say so.
        let was_said = server.said_again.contains(&(token as u64));
        let Some(partition) = server.partition(TOPIC, sent.partition) else { return };
        let has_doubts = has_doubts || !partition.past.losses.is_empty();
        let is_wrong = match fate {
            Fate::Acked { base_offset: offset } => !partition.past.had(offset, token as u64),
            Fate::AckedNoOffset => sent.is_calm || !was_said,
            // Nobody refuses anything here.
            Fate::Failed(_) | Fate::Unknown(_) => !has_doubts || sent.is_calm,
        };
        if is_wrong {
            self.wrong.push(format!("record {token} of partition {}: {fate:?}", sent.partition));
        }
    }

    /// Whether so many records were sent, and all have their fate.
    pub(super) fn is_over(&self, of: usize) -> bool {
        self.sent.len() >= of && self.settled == self.sent.len()
    }

    pub(super) fn next_us(&self, is_pushing: bool, now_us: u64) -> u64 {
        let own =
            self.producer.next_deadline_us(now_us).min(self.lines.next_deadline_us().unwrap_or(u64::MAX));
        let own = own.min(self.gives_up_us.unwrap_or(u64::MAX));
        if is_pushing { own.min(self.next_us.max(now_us + 1)) } else { own }
    }
}
