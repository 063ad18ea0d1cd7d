//! A sequential reader in a simulated world: everything is shown to it once, in order, and what was lost is named.

use super::{
    lines::{InFlight, Lines},
    plan::Plan,
    read::{Judged, Read},
    run::{TOPIC, known, slot, table},
    server::Server,
};
use crate::{
    kafka::wire::core::{
        consumer::{Consumer, ConsumerSettings},
        machine::Machine,
        source::{ReadRecord, SourceEvent, Visitor},
    },
    partitions::PartitionSlot,
    random::Random,
};

/// What a consumer showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Record { partition: i32, offset: i64, epoch: i32, number: Option<u64> },
    Progress { partition: i32, next: i64 },
    End { partition: i32, end: i64 },
    Truncated { partition: i32, to: i64 },
    OutOfRange { partition: i32 },
    Strange { partition: i32, what: String },
}

fn number(slot: PartitionSlot) -> i32 {
    i32::try_from(slot.index()).expect("few partitions")
}

/// Takes it down.
#[derive(Debug, Default)]
pub(super) struct Eyes(pub Vec<Seen>);

impl Visitor for Eyes {
    fn record(&mut self, slot: PartitionSlot, record: &ReadRecord<'_>) {
        let partition = number(slot);
        let number = record.value.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes);
        let (offset, epoch) = (record.offset, record.leader_epoch);
        self.0.push(Seen::Record { partition, offset, epoch, number });
    }

    fn event(&mut self, slot: PartitionSlot, event: SourceEvent<'_>) {
        let partition = number(slot);
        self.0.push(match event {
            SourceEvent::Progress { next_offset: next } => Seen::Progress { partition, next },
            SourceEvent::AtEnd { end } => Seen::End { partition, end },
            SourceEvent::Truncated { to, .. } => Seen::Truncated { partition, to },
            SourceEvent::OutOfRange => Seen::OutOfRange { partition },
            SourceEvent::Error(_) => return,
            event => Seen::Strange { partition, what: format!("{event:?}") },
        });
    }
}

/// The consumer, its network, and what it was shown.
pub(super) struct Reading {
    consumer: Consumer,
    pub lines: Lines,
    pub read: Vec<Read>,
    eyes: Eyes,
    pub wrong: Vec<String>,
}

impl Reading {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut consumer = Consumer::new(settings("reader", plan), &table(plan));
        for partition in 0..plan.partitions {
            consumer.read_from(slot(partition), 0, None, 0);
        }
        let partitions = usize::try_from(plan.partitions).unwrap_or(0);
        Self {
            consumer,
            lines: Lines::allowing(
                plan.weather,
                InFlight { produce: 0, fetch: plan.source.requests_at_once },
            ),
            read: vec![Read::default(); partitions],
            eyes: Eyes::default(),
            wrong: Vec::new(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now_us: u64) {
        self.consumer.handle_timeout(now_us);
    }

    pub(super) fn carry(&mut self, server: &mut Server, random: &mut Random) -> bool {
        self.lines.carry(&mut self.consumer, server, random)
    }

    /// Has everything shown that has come.
    pub(super) fn look(&mut self, server: &mut Server) {
        let now_us = server.now_us();
        while self.consumer.show(usize::MAX, &mut self.eyes, now_us) > 0 {
            for seen in std::mem::take(&mut self.eyes.0) {
                server.tell(|| format!("  the reader sees {seen:?}"));
                self.check(&seen, server);
            }
        }
    }

    fn check(&mut self, seen: &Seen, server: &mut Server) {
        let (Seen::Record { partition, .. }
        | Seen::Progress { partition, .. }
        | Seen::End { partition, .. }
        | Seen::Truncated { partition, .. }
        | Seen::OutOfRange { partition }
        | Seen::Strange { partition, .. }) = *seen;
        let now_us = server.now_us();
        let Some(past) = server.partition(TOPIC, partition).map(|partition| &partition.past) else { return };
        let read = &mut self.read[usize::try_from(partition).unwrap_or(0)];
        let Judged { is_right, again } = read.take(seen, past);
        if let Some((offset, epoch_before)) = again {
            self.consumer.read_from(slot(partition), offset, epoch_before, now_us);
        }
        if !is_right {
            self.wrong.push(format!("at {now_us} µs the reader sees {seen:?}"));
        }
    }

    /// Whether all that is in the logs was shown.
    pub(super) fn is_over(&self, server: &mut Server) -> bool {
        (0..).zip(&self.read).all(|(partition, read)| {
            let past = server.partition(TOPIC, partition).map(|partition| &partition.past);
            past.is_none_or(|past| past.is_all(&read.records))
        })
    }

    pub(super) fn next_us(&self, now_us: u64) -> u64 {
        let lines_us = self.lines.next_deadline_us().unwrap_or(u64::MAX);
        self.consumer.next_deadline_us(now_us).min(lines_us)
    }
}

/// A consumer's, that calls itself so.
pub(super) fn settings(name: &str, plan: &Plan) -> ConsumerSettings {
    ConsumerSettings { network: known(name, plan), source: plan.source, fetch_us: 5_000_000 }
}
