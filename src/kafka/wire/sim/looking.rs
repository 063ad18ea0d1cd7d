//! Random readers in a simulated world, on one client: one record here, one there, and some places that are given up before
//! they come.

use super::{
    lines::{InFlight, Lines},
    past::Written,
    plan::Plan,
    reading::{Eyes, Seen, settings},
    run::{TOPIC, slot, table},
    server::Server,
};
use crate::{
    kafka::wire::core::{
        consumer::{Consumer, ConsumerSettings},
        machine::Machine,
        source::SourceSettings,
    },
    random::Random,
};

/// How long it is until it looks again, at the most, µs.
const PAUSE_MOST_US: u64 = 500_000;
/// How likely it wants another place before it was shown the first.
const HASTE: f64 = 0.02;

/// A place that it wants to see.
#[derive(Clone, Copy, Debug)]
struct Aim {
    partition: i32,
    offset: i64,
    /// The state that the log was in.
    state: usize,
}

/// One of the readers.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    aim: Option<Aim>,
    next_us: u64,
}

/// Readers.
const SEATS: usize = 3;

/// The consumer, its network, and what its readers want to see.
pub(super) struct Looking {
    consumer: Consumer,
    pub lines: Lines,
    partitions: i32,
    seats: [Seat; SEATS],
    /// Records that it wanted and was shown.
    pub found: usize,
    eyes: Eyes,
    pub wrong: Vec<String>,
}

impl Looking {
    pub(super) fn new(plan: &Plan) -> Self {
        let settings = settings("looker", plan);
        // Not drawn for it: what a seed stands for stays.
        let fetch = 1 + plan.records % SEATS;
        let source = SourceSettings { requests_at_once: fetch, ..settings.source };
        let table = table(plan);
        Self {
            consumer: Consumer::with_seats(ConsumerSettings { source, ..settings }, SEATS, &table),
            lines: Lines::allowing(plan.weather, InFlight { produce: 0, fetch }),
            partitions: plan.partitions,
            seats: [Seat::default(); SEATS],
            found: 0,
            eyes: Eyes::default(),
            wrong: Vec::new(),
        }
    }

    /// Those want to see a place for whom it is time for that.
    pub(super) fn aim(&mut self, server: &mut Server, random: &mut Random) {
        let now_us = server.now_us();
        for seat in 0..SEATS {
            let Seat { aim, next_us } = self.seats[seat];
            if if aim.is_some() { random.chance(HASTE) } else { next_us <= now_us } {
                self.aim_from(seat, server, random);
            }
        }
    }

    fn aim_from(&mut self, seat: usize, server: &mut Server, random: &mut Random) {
        let now_us = server.now_us();
        let partition = i32::try_from(random.index(64)).unwrap_or(0) % self.partitions;
        let Some(past) = server.partition(TOPIC, partition).map(|partition| &partition.past) else { return };
        let Ok(end @ 1..) = u64::try_from(past.high_watermark()) else {
            self.seats[seat].next_us = now_us + 100_000;
            return;
        };
        let offset = i64::try_from(random.below(end)).unwrap_or(0);
        let state = past.state();
        if self.seats[seat].aim.replace(Aim { partition, offset, state }).is_some() {
            self.consumer.stop_at(seat);
        }
        self.consumer.read_at(seat, slot(partition), offset, now_us);
    }

    pub(super) fn handle_timeout(&mut self, now_us: u64) {
        self.consumer.handle_timeout(now_us);
    }

    pub(super) fn carry(&mut self, server: &mut Server, random: &mut Random) -> bool {
        self.lines.carry(&mut self.consumer, server, random)
    }

    /// Has shown what has come.
    pub(super) fn look(&mut self, server: &mut Server, random: &mut Random) {
        let now_us = server.now_us();
        for seat in 0..SEATS {
            while self.consumer.show_at(seat, &mut self.eyes, now_us) > 0 {
                let seen = std::mem::take(&mut self.eyes.0);
                for (index, seen) in seen.iter().enumerate() {
                    // What lies behind in the same batch is shown with it, and is nobody's wish.
                    if index > 0 && self.seats[seat].aim.is_none() {
                        break;
                    }
                    server.tell(|| format!("  random reader {seat} sees {seen:?}"));
                    self.check(seat, seen, server, random);
                }
            }
        }
    }

    fn check(&mut self, seat: usize, seen: &Seen, server: &mut Server, random: &mut Random) {
        let now_us = server.now_us();
        let aim = self.seats[seat].aim;
        let fine = match (seen, aim) {
            (&Seen::Record { partition, offset, epoch, number: Some(number) }, Some(aim)) => {
                let past = server.partition(TOPIC, partition).map(|partition| &partition.past);
                self.found += 1;
                let record = Some((offset, Written { number, epoch }));
                past.is_some_and(|past| {
                    let mut states = aim.state..=past.state();
                    partition == aim.partition
                        && states.any(|state| past.next_in(state, aim.offset) == record)
                })
            }
            // It did not ask for the log's end, and whoever does not hear of the others has a shorter one.
            (&Seen::OutOfRange { .. }, Some(_)) if server.isolations > 0 => true,
            (&Seen::OutOfRange { partition }, Some(aim)) => {
                let past = server.partition(TOPIC, partition).map(|partition| &partition.past);
                past.is_some_and(|past| past.losses[aim.state..].iter().any(|cut| *cut < aim.offset))
            }
            (Seen::Progress { .. } | Seen::End { .. }, _) => return,
            _ => false,
        };
        if !fine {
            self.wrong.push(format!("at {now_us} µs random reader {seat} sees {seen:?}, and wants {aim:?}"));
        }
        self.consumer.stop_at(seat);
        self.seats[seat] = Seat { aim: None, next_us: now_us + random.below(PAUSE_MOST_US) };
    }

    pub(super) fn next_us(&self, now_us: u64) -> u64 {
        let lines_us = self.lines.next_deadline_us().unwrap_or(u64::MAX);
        let idle = self.seats.iter().filter(|seat| seat.aim.is_none());
        let own_us = idle.map(|seat| seat.next_us.max(now_us + 1)).min().unwrap_or(u64::MAX);
        self.consumer.next_deadline_us(now_us).min(lines_us).min(own_us)
    }
}
