use std::time::Instant;

use super::*;
use crate::{
    app::Shared,
    kafka::{
        End, Ended, LocalError, code,
        fake::{Fake, Reaction, on_an_executor},
    },
    repeater::played::PlayedFloor,
};

/// The producing half of the only worker of a process, with twenty tokens.
struct Played {
    fake: Fake,
    sender: TokenSender<Fake>,
    shared: Arc<Shared>,
    stats: Arc<WorkerStats>,
}

const TOKENS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(10);

impl Played {
    /// A repeater with these flags beside topic and group. Must be called on an executor.
    fn new(flags: &str) -> Self {
        let PlayedFloor { shard, shared, stats } = PlayedFloor::new(flags);
        let fake = Fake::default();
        let mut sender = TokenSender::start(fake.clone(), &shard, "w", 0).expect("a client");
        sender.tokens = Tokens::of_worker(0, TOKENS);
        Self { fake, sender, shared, stats }
    }

    /// Goes round so often.
    fn rounds(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.sender.take_deliveries().expect("a client");
            self.sender.send_burst();
        }
    }

    /// Goes round until nothing is left to send, nor under way.
    fn until_done(&mut self) {
        let began = Instant::now();
        while !(self.sender.tokens.is_empty() && self.sender.is_flushed()) {
            let (waiting, under_way) = (self.sender.tokens.len(), self.sender.pending.in_flight());
            assert!(began.elapsed() < PATIENCE, "for ever: {waiting} tokens wait, {under_way} are under way");
            self.rounds(1);
        }
    }

    /// The tokens that clients were given, in that order.
    fn sent(&self) -> Vec<i64> {
        let writes = self.fake.writes();
        let values = writes.arrivals.iter().filter_map(|arrival| arrival.value.as_deref());
        values.map(|value| Header::decode(value).expect("a header").token).collect()
    }
}

fn once(nth: usize, reaction: Reaction) -> impl FnMut(&crate::kafka::fake::Arrival) -> Reaction {
    move |arrival| if arrival.nth == nth { reaction } else { Reaction::Ack }
}

#[test]
fn each_token_goes_out_once_in_a_slot_of_its_own() {
    on_an_executor(async {
        let mut played = Played::new("--max-buffered-records 4");
        played.fake.writes().react(|_| Reaction::Hold);
        played.rounds(3);
        assert_eq!((played.sent(), played.sender.enqueued()), (vec![0, 1, 2, 3], TOKENS));
        played.fake.writes().react(|_| Reaction::Ack);
        played.fake.writes().release();
        played.until_done();
        assert_eq!(played.sent(), (0..20).collect::<Vec<_>>());
        assert_eq!((played.stats.produced.get(), played.stats.produced_bytes.get()), (TOKENS, TOKENS * 117));
        assert_eq!(played.sender.enqueued(), 0);
    });
}

#[test]
fn what_a_full_client_did_not_take_keeps_its_token() {
    on_an_executor(async {
        let mut played = Played::new("");
        played.fake.writes().react(once(3, Reaction::Full));
        played.until_done();
        let expected: Vec<i64> = (0..=3).chain(3..20).collect();
        assert_eq!((played.sent(), played.stats.produced.get()), (expected, TOKENS));
    });
}

#[test]
fn a_token_whose_record_failed_is_lost_and_counted() {
    on_an_executor(async {
        let mut played = Played::new("");
        let failed = KafkaError::Broker(code::NOT_ENOUGH_REPLICAS);
        played.fake.writes().react(move |arrival| match arrival.nth {
            2 => Reaction::Fail(failed),
            4 | 5 => Reaction::Lose(KafkaError::timed_out()),
            _ => Reaction::Ack,
        });
        played.until_done();
        let stats = &played.stats;
        let counts = (stats.produced.get(), stats.lost_failed.get(), stats.lost_unknown.get());
        assert_eq!(counts, (TOKENS - 3, 1, 2));
        assert_eq!(played.shared.causes.all().len(), 2, "each cause is told once");
    });
}

#[test]
fn an_attempt_that_got_nothing_acked_is_followed_by_a_pause() {
    const IN_VAIN: usize = 6;
    on_an_executor(async {
        for flags in ["", "--use-transactions --msgs-per-transaction 1"] {
            let mut played = Played::new(&format!("--max-buffered-records 1 {flags}"));
            let times = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
            let seen = times.clone();
            played.fake.writes().react(move |arrival| {
                seen.borrow_mut().push(Instant::now());
                let error = KafkaError::Broker(code::NOT_ENOUGH_REPLICAS);
                if arrival.nth < IN_VAIN { Reaction::Fail(error) } else { Reaction::Ack }
            });
            played.until_done();
            let times = times.borrow();
            let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).take(IN_VAIN).collect();
            let least = [10, 20, 40, 80, 100, 100].map(Duration::from_millis);
            assert!(pauses.iter().zip(least).all(|(pause, least)| *pause >= least), "{flags}: {pauses:?}");
        }
    });
}

#[test]
fn what_is_refused_for_what_it_is_ends_the_run() {
    on_an_executor(async {
        let mut played = Played::new("");
        played.fake.writes().react(once(2, Reaction::Fail(KafkaError::Broker(code::MESSAGE_TOO_LARGE))));
        played.until_done();
        let why = played.shared.lifecycle.failure().expect("the end");
        assert!(
            why.starts_with("w: a record cannot be written: ") && why.contains("--payload-size"),
            "{why}"
        );
    });
}

#[test]
fn a_finished_client_is_replaced_and_what_it_held_is_lost_or_not() {
    on_an_executor(async {
        let mut played = Played::new("--max-buffered-records 4");
        let fatal = KafkaError::Local(LocalError::Fatal);
        played.fake.writes().react(move |arrival| match arrival.nth {
            3 => Reaction::Hold,
            5 => Reaction::Finish(fatal),
            _ => Reaction::Ack,
        });
        played.until_done();
        let (stats, clients) = (&played.stats, played.fake.writes().clients());
        assert_eq!((stats.produced.get(), stats.lost_unknown.get(), clients), (TOKENS - 1, 1, 2));
        assert_eq!(played.sent().iter().filter(|token| **token == 5).count(), 2, "it was never sent");
    });
}

#[test]
fn tokens_of_an_aborted_transaction_are_sent_again() {
    on_an_executor(async {
        let mut played = Played::new("--use-transactions --msgs-per-transaction 5");
        let mut commits = 0;
        played.fake.writes().end(move |end| {
            commits += usize::from(end == End::Commit);
            (end == End::Commit && commits == 2).then(|| Ended::Aborted(Some(KafkaError::timed_out().into())))
        });
        played.until_done();
        let stats = &played.stats;
        assert_eq!((stats.produced.get(), stats.committed_transactions.get()), (TOKENS, 4));
        assert_eq!((stats.aborted_transactions.get(), stats.aborted_records.get()), (1, 5));
        assert_eq!(played.sent().len(), 25);
    });
}

#[test]
fn tokens_of_a_transaction_of_which_nobody_knows_are_lost_or_not() {
    on_an_executor(async {
        let mut played = Played::new("--use-transactions --msgs-per-transaction 5");
        let mut commits = 0;
        played.fake.writes().end(move |end| {
            commits += usize::from(end == End::Commit);
            (end == End::Commit && commits == 2).then(|| Ended::Fatal(KafkaError::timed_out().into()))
        });
        played.until_done();
        let (stats, clients) = (&played.stats, played.fake.writes().clients());
        assert_eq!((stats.produced.get(), stats.lost_unknown.get(), clients), (TOKENS - 5, 5, 2));
    });
}

#[test]
fn the_same_client_goes_on_where_it_can_behind_a_transaction_of_which_nobody_knows() {
    on_an_executor(async {
        let mut played = Played::new("--use-transactions --msgs-per-transaction 5");
        let mut commits = 0;
        played.fake.writes().end(move |end| {
            commits += usize::from(end == End::Commit);
            (end == End::Commit && commits == 2).then(|| Ended::Unknown(KafkaError::timed_out().into()))
        });
        played.until_done();
        let (stats, clients) = (&played.stats, played.fake.writes().clients());
        assert_eq!((stats.produced.get(), stats.lost_unknown.get(), clients), (TOKENS - 5, 5, 1));
    });
}

/// A transactional id that expires between two records would expire for ever.
#[test]
fn what_a_finished_client_gives_back_does_not_wait_for_the_rate_once_more() {
    on_an_executor(async {
        let mut played = Played::new("--use-transactions --msgs-per-transaction 1 --rate-limit-bps 1000000");
        let forgotten = KafkaError::Broker(code::INVALID_PRODUCER_ID_MAPPING);
        played.fake.writes().react(
            move |arrival| {
                if arrival.nth == 0 { Reaction::Fail(forgotten) } else { Reaction::Ack }
            },
        );
        played.fake.writes().end(move |end| (end == End::Abort).then(|| Ended::Fatal(forgotten.into())));
        let began = Instant::now();
        while played.fake.writes().clients() < 2 {
            assert!(began.elapsed() < PATIENCE, "it goes on with a finished client");
            played.sender.take_deliveries().expect("a client");
            played.sender.send_burst();
        }
        assert_eq!(played.sender.again, 1);
    });
}
