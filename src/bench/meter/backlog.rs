//! A load in which readers pause until much is left to read, and how they catch up with it: as OpenMessaging Benchmark builds and
//! drains its backlog.

use std::time::Duration;

use super::{
    super::{result::BacklogReport, window::Window},
    LEAD_US, Load, Meter, next_sample,
};
use crate::{config::Backlog, human::count};

/// Until it is known how long it takes: a year.
const FAR: Duration = Duration::from_hours(24 * 365);
/// So few records that are not read are no backlog, whatever its size was: more are always under way.
const UNDER_WAY: u64 = 1_000;

impl Meter<'_> {
    /// Sets a load, which is the last, and has readers pause at the end of its warm-up until so much is not read, of values of so
    /// many bytes. What is measured begins then, and goes on for the load's time after readers have caught up.
    pub(in super::super) fn measure_backlog(
        &mut self,
        load: &Load,
        backlog: Backlog,
        value_bytes: usize,
    ) -> (Window, BacklogReport) {
        let mut window = self.empty();
        let start_us = self.now_us() + LEAD_US;
        let (from_us, to_us) = (start_us + super::us(load.settle), start_us + super::us(FAR));
        self.set_measured(start_us, from_us..to_us, load.records_per_s, false);
        self.progress.set(load, super::us(load.settle + load.measure), start_us);
        self.shown.set_goal(load.records_per_s);
        self.begin(&mut window, &(from_us..to_us));
        let report = self.build_and_drain(&mut window, backlog, value_bytes);
        let end_us = self.now_us() + super::us(load.measure);
        self.sample_while(&mut window, |meter| meter.now_us() < end_us);
        self.shards.measured.to_us.set(self.now_us());
        self.drop_overdue(true);
        (window, report)
    }

    fn build_and_drain(
        &mut self,
        window: &mut Window,
        backlog: Backlog,
        value_bytes: usize,
    ) -> BacklogReport {
        let records = backlog.bytes / value_bytes.max(1) as u64;
        let left = left_at(records, backlog.drain_ratio);
        let unread = |meter: &Self| meter.backlog(&meter.counts());
        tracing::info!("readers pause until {} are there to be read", count(records, "record"));
        let paused = self.shards.measured.clone();
        paused.is_paused.set(1);
        let built_s = self.sample_while(window, |meter| unread(meter) < records);
        paused.is_paused.set(0);
        let (behind, read) = (unread(self), self.counts().read);
        tracing::info!("{} are there after {built_s:.0} s: readers go on", count(behind, "record"));
        let drained_s = self.sample_while(window, |meter| unread(meter) > left);
        let is_drained = unread(self) <= left;
        if is_drained {
            tracing::info!("readers have caught up after {drained_s:.0} s");
        }
        BacklogReport {
            asked_bytes: backlog.bytes,
            built_records: behind,
            built_s,
            drained_s: is_drained.then_some(drained_s),
            drain_records_per_s: (self.counts().read - read) as f64 / drained_s.max(1e-3),
        }
    }

    /// Goes on second by second for as long as this holds. Returns for how long that was.
    fn sample_while(&mut self, window: &mut Window, is_wanted: impl Fn(&Self) -> bool) -> f64 {
        let began_us = self.now_us();
        let mut next_us = began_us;
        while is_wanted(self) && !self.is_over() {
            next_us = next_sample(next_us, self.now_us());
            self.until(window, next_us);
            self.sample(window);
        }
        (self.now_us() - began_us) as f64 / 1e6
    }
}

/// So many records may be left of a backlog of so many.
fn left_at(records: u64, drain_ratio: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of it")]
    let left = (records as f64 * (1.0 - drain_ratio.clamp(0.0, 1.0))) as u64;
    left.max(UNDER_WAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_left_is_a_part_of_it_or_what_is_under_way() {
        assert_eq!((left_at(1_000_000, 0.75), left_at(1_000_000, 1.0)), (250_000, 1_000));
        assert_eq!((left_at(10, 0.0), left_at(5_000, 0.0)), (1_000, 5_000));
    }
}
