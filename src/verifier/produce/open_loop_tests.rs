//! The loop that produces, by a schedule.

use std::time::{Duration, Instant};

use crossbeam::channel::{Sender, unbounded};

use super::{
    open_loop::{OpenLoopJob, Step},
    played::Played,
};
use crate::{
    clock::Clock,
    control::Message,
    kafka::{KafkaError, LocalError, fake::Reaction},
    stats::LoopTimes,
};

/// When the clock stood at 0, µs since 1970.
const EPOCH_US: i64 = 1_700_000_000_000_123;

/// A producer that is to send a record every ms, 50 of them, of which the first 10 are not measured.
fn played(flags: &str) -> (Played, Sender<Step>) {
    let mut played = Played::new(&format!("--produce_msgs 1000000 {flags}"), 1);
    let (sender, steps) = unbounded();
    let clock = Clock::start();
    played.job.open_loop = Some(OpenLoopJob { clock, epoch_us: EPOCH_US, steps });
    let step = Step {
        start_us: 1_000,
        end_us: 51_000,
        records_per_s: Some(1_000.0),
        measured: 11_000..51_000,
        is_last: true,
    };
    sender.send(step).unwrap();
    (played, sender)
}

/// Where records are to be on the schedule.
fn schedule() -> Vec<i64> {
    (1..=50).map(|nth| EPOCH_US + nth * 1_000).collect()
}

fn times(played: &Played) -> LoopTimes {
    let mut all = LoopTimes::default();
    for message in played.messages() {
        if let Message::Produced { times: Some(times), .. } = message {
            all.merge(&times);
        }
    }
    all
}

fn intended(played: &Played) -> Vec<i64> {
    played.proofs().iter().filter_map(crate::record::proof::Proof::intended_us).collect()
}

#[test]
fn records_go_by_the_schedule_and_none_before_its_time() {
    let (played, _sender) = played("");
    let began = Instant::now();
    assert!(played.run().is_ok());
    assert!(began.elapsed() >= Duration::from_millis(49));
    assert_eq!(intended(&played), schedule());
    let times = times(&played);
    assert_eq!((times.publish.count(), times.delay.count(), times.service.count()), (40, 40, 40));
    let writes = played.fake.writes();
    let stamped: Vec<_> = writes.arrivals.iter().filter_map(|arrival| arrival.timestamp_ms).collect();
    assert_eq!(stamped, schedule().iter().map(|us| us / 1_000).collect::<Vec<_>>());
}

#[test]
fn a_pause_shifts_nothing_and_is_in_the_latencies() {
    let (played, _sender) = played("--max-buffered-records 2");
    played.fake.writes().react(|arrival| if arrival.nth < 2 { Reaction::Hold } else { Reaction::Ack });
    let script = async {
        played.until(|| played.fake.writes().held() == 2).await;
        // A wait counts when it is over, and is one of 100 ms: this is the second.
        played.until(|| played.stats.blocked_us.get() >= 200_000).await;
        played.fake.writes().release();
    };
    assert!(played.run_beside(script).is_ok());
    assert_eq!(intended(&played), schedule(), "all of them, at the times at which they were to be sent");
    let times = times(&played);
    assert!(times.publish.max_us() >= 100_000 && times.delay.max_us() >= 100_000, "{times:?}");
    assert!(times.service.max_us() < times.delay.max_us(), "they were sent late, and acked soon");
}

#[test]
fn what_is_acked_after_the_measured_time_is_not_counted_in_it() {
    let (late, _sender) = played("");
    late.fake.writes().react(|_| Reaction::Hold);
    let script = async {
        late.until(|| late.fake.writes().held() == 50).await;
        let began = Instant::now();
        late.until(|| began.elapsed() >= Duration::from_millis(60)).await;
        late.fake.writes().release();
    };
    assert!(late.run_beside(script).is_ok());
    assert_eq!((late.stats.acked.get(), late.stats.in_time.get().acked), (50, 0));
    assert_eq!(times(&late).publish.count(), 40, "their latencies are in it all the same");

    let (whole, sender) = played("");
    let step = Step {
        start_us: 0,
        end_us: 50_000,
        records_per_s: Some(1_000.0),
        measured: 0..u64::MAX,
        is_last: true,
    };
    sender.send(step).unwrap();
    assert!(whole.run().is_ok());
    assert_eq!(whole.stats.in_time.get(), whole.stats.counts(), "all of it");
}

#[test]
fn what_is_sent_again_is_late_from_its_first_time_on() {
    let (played, _sender) = played("");
    let error = KafkaError::Local(LocalError::TimedOut);
    played.fake.writes().react(move |arrival| {
        if (20..23).contains(&arrival.nth) { Reaction::Fail(error) } else { Reaction::Ack }
    });
    assert!(played.run().is_ok());
    let mut sent = intended(&played);
    assert!(sent.len() >= 53, "and what came behind them, as it landed elsewhere: {}", sent.len());
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent, schedule(), "no time of its own for what is sent again");
    assert_eq!(times(&played).publish.count(), 40, "each record once");
    assert_eq!(played.stats.acked.get(), 50);
}

#[test]
fn a_closed_loop_goes_on_until_its_end() {
    let (played, sender) = played("--max-buffered-records 4");
    let until =
        |end_us| Step { start_us: 0, end_us, records_per_s: None, measured: 0..end_us, is_last: true };
    sender.send(until(u64::MAX)).unwrap();
    let script = async {
        // More than the schedule that it replaced.
        played.until(|| played.stats.acked.get() > 50).await;
        sender.send(until(1)).unwrap();
    };
    assert!(played.run_beside(script).is_ok());
    assert!(played.stats.acked.get() > 50);
    assert_eq!(played.stats.acked.get(), played.stats.sent.get());
}
