use super::*;
use crate::{
    kafka::{
        LocalError, code,
        fake::{Fake, GroupStep, Reaction, on_an_executor},
    },
    repeater::{played::PlayedFloor, tokens::Tokens},
};

/// A worker with three tokens of its own, which a test plays the clients of.
struct Played {
    context: PlayedFloor,
    fake: Fake,
}

const TOKENS: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(10);

impl Played {
    fn new(flags: &str, steps: impl IntoIterator<Item = GroupStep>) -> Self {
        let (context, fake) = (PlayedFloor::new(flags), Fake::default());
        fake.groups().steps(steps);
        context.shard.context.let_produce();
        Self { context, fake }
    }

    fn start(&self) -> Worker<Fake> {
        let mut worker = Worker::start(self.fake.clone(), "w", &self.context.shard, 0).expect("clients");
        worker.sender.tokens = Tokens::of_worker(0, TOKENS);
        worker
    }

    /// Works until that is so, or something ends the run; then the worker stops as it does.
    async fn work_until(&self, is_over: impl Fn(&Self) -> bool) {
        let mut worker = self.start();
        let watch = async {
            let began = Instant::now();
            while !is_over(self) && !self.context.shared.lifecycle.stop_requested() {
                assert!(began.elapsed() < PATIENCE, "for ever: {:?} were sent", self.sent());
                glommio::timer::sleep(Duration::from_millis(1)).await;
            }
            self.context.shared.lifecycle.request_stop();
        };
        let (result, ()) = futures_lite::future::zip(worker.work(), watch).await;
        result.expect("clients");
        worker.flush().await;
        worker.leave().await;
    }

    /// The tokens that producers were given, in that order.
    fn sent(&self) -> Vec<i64> {
        let writes = self.fake.writes();
        let values = writes.arrivals.iter().filter_map(|arrival| arrival.value.as_deref());
        values.map(|value| Header::decode(value).expect("a header").token).collect()
    }

    fn produced(&self) -> u64 {
        self.context.stats.produced.get()
    }

    fn failure(&self) -> String {
        self.context.shared.lifecycle.failure().expect("the end of the run")
    }

    /// Names and offsets of what was found.
    fn found(&self) -> Vec<(Anomaly, i64)> {
        self.context.shared.violations.kept().iter().map(|found| (found.anomaly, found.offset)).collect()
    }
}

fn assign() -> GroupStep {
    GroupStep::Assign { partition: 0, from: 0 }
}

/// A record with this token, which was sent now.
fn token(offset: i64, token: i64) -> GroupStep {
    body(offset, Header { token, sent_at_us: clock::unix_us(), aborted: false })
}

fn body(offset: i64, header: Header) -> GroupStep {
    value(offset, Some(header.encode().to_vec()))
}

fn value(offset: i64, value: Option<Vec<u8>>) -> GroupStep {
    GroupStep::ShowValue { partition: 0, offset, value }
}

fn say(event: LogEvent<'static>) -> GroupStep {
    GroupStep::Say { partition: 0, event }
}

#[test]
fn what_is_consumed_is_sent_again() {
    on_an_executor(async {
        let played = Played::new("", [assign(), token(0, 70), token(1, 71)]);
        played.work_until(|played| played.produced() == 5).await;
        let mut sent = played.sent();
        sent.sort_unstable();
        assert_eq!(sent, [0, 1, 2, 70, 71], "its own, and those that it took over");
        let stats = &played.context.stats;
        assert_eq!((stats.consumed.get(), stats.consumed_bytes.get(), stats.enqueued.get()), (2, 34, 0));
        let groups = played.fake.groups();
        assert_eq!((groups.committed[&0], groups.left), (2, 1), "the group knows before it leaves");
    });
}

#[test]
fn nothing_is_sent_before_it_may_be_and_what_comes_is_consumed() {
    on_an_executor(async {
        let (context, fake) = (PlayedFloor::new(""), Fake::default());
        fake.groups().steps([assign(), token(0, 70)]);
        let played = Played { context, fake };
        played.work_until(|played| played.context.stats.consumed.get() == 1).await;
        assert_eq!(played.sent(), [] as [i64; 0]);
        assert_eq!(played.context.stats.enqueued.get(), TOKENS + 1);
    });
}

#[test]
fn tokens_of_a_partition_that_was_taken_away_in_mid_read_are_its_own_still() {
    on_an_executor(async {
        let steps = [
            assign(),
            token(0, 70),
            GroupStep::HoldCommits,
            token(1, 71),
            GroupStep::Revoke { partition: 0 },
        ];
        let played = Played::new("", steps);
        let is_tended = |played: &Played| played.context.stats.replayed.get() > 0;
        played.work_until(|played| played.produced() == 5 && is_tended(played)).await;
        assert!(played.sent().contains(&71));
        assert_eq!(played.context.stats.replayed.get(), 2, "another is shown them again");
    });
}

#[test]
fn a_commit_that_comes_too_late_does_not_hold_up_the_end() {
    on_an_executor(async {
        let played = Played::new("", [assign(), token(0, 70), GroupStep::HoldCommits, token(1, 71)]);
        played.work_until(|played| played.produced() == 5).await;
        assert_eq!(played.context.stats.replayed.get(), 2);
        assert_eq!(played.fake.groups().left, 1);
    });
}

#[test]
fn a_group_that_lets_nobody_go_is_not_waited_for() {
    on_an_executor(async {
        let played = Played::new("", [assign(), token(0, 70)]);
        played.fake.groups().never_leaves = true;
        played.work_until(|played| played.produced() == 4).await;
        assert_eq!(played.fake.groups().left, 0);
    });
}

#[test]
fn what_is_in_flight_at_the_end_is_waited_for() {
    on_an_executor(async {
        let played = Played::new("--max-buffered-records 4", [assign()]);
        played.fake.writes().react(|_| Reaction::Hold);
        let release = async {
            while !played.context.shared.lifecycle.stop_requested() {
                glommio::timer::sleep(Duration::from_millis(1)).await;
            }
            glommio::timer::sleep(Duration::from_millis(10)).await;
            played.fake.writes().release();
        };
        let work = played.work_until(|played| played.sent().len() == 3);
        futures_lite::future::zip(work, release).await;
        assert_eq!((played.produced(), played.context.stats.enqueued.get()), (TOKENS, 0));
    });
}

#[test]
fn a_producer_that_is_finished_is_replaced_under_the_same_member() {
    on_an_executor(async {
        let played = Played::new("", [assign(), token(0, 70), token(1, 71)]);
        let fatal = KafkaError::Local(LocalError::Fatal);
        played.fake.writes().react(move |arrival| match arrival.nth {
            2 => Reaction::Finish(fatal),
            _ => Reaction::Ack,
        });
        played.work_until(|played| played.produced() == 5).await;
        assert_eq!(played.fake.writes().clients(), 2);
        let groups = played.fake.groups();
        assert_eq!((groups.settings.len(), groups.committed[&0]), (1, 2));
    });
}

#[test]
fn a_producer_that_was_fenced_ends_the_run() {
    on_an_executor(async {
        let played = Played::new("--use-transactions --msgs-per-transaction 2", [assign(), token(0, 70)]);
        let fenced = KafkaError::Broker(code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        played.fake.writes().end(move |_| Some(crate::kafka::Ended::Fatal(fenced.into())));
        played.work_until(|_| false).await;
        let why = played.failure();
        assert!(why.starts_with("transactional id 'w' cannot be used"), "{why}");
        assert_eq!(played.produced(), 0);
    });
}

#[test]
fn who_sends_in_transactions_consumes_what_is_committed() {
    on_an_executor(async {
        for (flags, isolation) in [
            ("", crate::kafka::Isolation::ReadUncommitted),
            ("--use-transactions", crate::kafka::Isolation::ReadCommitted),
        ] {
            let played = Played::new(flags, [assign()]);
            played.work_until(|played| played.produced() == TOKENS).await;
            assert_eq!(played.fake.groups().settings[0].isolation, isolation);
        }
    });
}

#[test]
fn what_was_to_be_aborted_and_shows_is_named_and_not_taken_over() {
    on_an_executor(async {
        let aborted = Header { token: 70, sent_at_us: clock::unix_us(), aborted: true };
        let played = Played::new("", [assign(), body(0, aborted), token(1, 71)]);
        played.work_until(|played| played.produced() == 4).await;
        assert_eq!(played.found(), [(Anomaly::AbortedRead, 0)]);
        assert_eq!(played.context.stats.aborted_reads.get(), 1);
        assert!(!played.sent().contains(&70), "whoever aborted it has kept it");
    });
}

#[test]
fn what_is_no_repeaters_is_skipped_and_counted() {
    on_an_executor(async {
        let steps = [assign(), value(0, Some(b"else".to_vec())), value(1, None), token(2, 70)];
        let played = Played::new("", steps);
        played.work_until(|played| played.produced() == 4).await;
        let stats = &played.context.stats;
        let counts = (stats.bad_bodies.get(), stats.tombstones_consumed.get(), stats.consumed.get());
        assert_eq!((counts, played.found()), ((1, 1, 1), vec![]));
    });
}

#[test]
fn a_record_from_the_future_is_in_no_latency() {
    on_an_executor(async {
        let sent_at_us = clock::unix_us() + 3_600_000_000;
        let header = Header { token: 70, sent_at_us, aborted: false };
        let played = Played::new("", [assign(), body(0, header)]);
        played.work_until(|played| played.produced() == 4).await;
        let stats = &played.context.stats;
        assert_eq!((stats.before_sent.get(), stats.clock_lead_us.get() > 3_500_000_000), (1, true));
    });
}

#[test]
fn what_cannot_be_read_is_named_once_and_the_rest_goes_round() {
    on_an_executor(async {
        let unreadable =
            |to| say(LogEvent::Unreadable { from: 1, to, cause: "one that does not fit its checksum" });
        let steps = [assign(), token(0, 70), unreadable(None), unreadable(Some(4)), token(4, 71)];
        let played = Played::new("", steps);
        played.work_until(|played| played.produced() == 5).await;
        assert_eq!(played.found(), [(Anomaly::Corrupt, 1)]);
        assert_eq!(played.context.stats.faults.get(), 1);
    });
}

#[test]
fn what_cannot_be_read_is_named_too_where_it_is_known_at_once_how_far_it_goes() {
    on_an_executor(async {
        let unreadable = |from| say(LogEvent::Unreadable { from, to: Some(from + 2), cause: "x" });
        let steps = [assign(), token(0, 70), unreadable(1), unreadable(3), token(5, 71)];
        let played = Played::new("", steps);
        played.work_until(|played| played.produced() == 5).await;
        assert_eq!(played.found(), [(Anomaly::Corrupt, 1), (Anomaly::Corrupt, 3)]);
    });
}

#[test]
fn a_record_that_cannot_be_taken_apart_gives_no_token() {
    on_an_executor(async {
        let malformed = GroupStep::ShowMalformed { partition: 0, offset: 1 };
        let so_far = say(LogEvent::Unreadable { from: 1, to: Some(4), cause: "" });
        let played = Played::new("", [assign(), token(0, 70), malformed, so_far, token(4, 71)]);
        played.work_until(|played| played.produced() == 5).await;
        assert_eq!(
            (played.found(), played.context.stats.tombstones_consumed.get()),
            (vec![(Anomaly::Corrupt, 1)], 0)
        );
    });
}

#[test]
fn what_the_client_gets_over_is_counted_and_goes_on() {
    on_an_executor(async {
        let passing = || say(LogEvent::Transient(KafkaError::timed_out()));
        let truncation = say(LogEvent::Truncated { from: 1, epoch: 0, to: 0 });
        let steps = [assign(), token(0, 70), passing(), passing(), truncation, token(0, 71)];
        let played = Played::new("", steps);
        played.work_until(|played| played.produced() == 5).await;
        assert_eq!((played.context.stats.faults.get(), played.found()), (2, vec![]));
    });
}

#[test]
fn who_may_not_read_ends_the_run() {
    on_an_executor(async {
        let refused = LogEvent::Refused(KafkaError::Broker(code::TOPIC_AUTHORIZATION_FAILED));
        let played = Played::new("", [assign(), say(refused)]);
        played.work_until(|_| false).await;
        assert!(played.failure().starts_with("group g: "), "{}", played.failure());
    });
}

#[test]
fn a_group_that_refuses_the_worker_is_told_of_and_waited_for() {
    on_an_executor(async {
        let played = Played::new("", [GroupStep::Refuse(KafkaError::full_group()), assign(), token(0, 70)]);
        played.work_until(|played| played.produced() == 4).await;
        assert_eq!(played.context.shard.context.take_refusals(), [KafkaError::full_group()]);
        assert_eq!(played.context.shared.lifecycle.failure(), None);
    });
}

#[test]
fn how_the_member_stands_is_told_to_the_main_thread() {
    on_an_executor(async {
        let played = Played::new("", [assign(), token(0, 70)]);
        let stats = played.context.stats.clone();
        played.work_until(|_| stats.rebalances.get() == 1 && stats.partitions.get() == 1).await;
        assert_eq!(stats.starting.get(), 0);
    });
}

#[test]
fn tokens_that_others_send_to_partitions_which_were_added_go_round() {
    on_an_executor(async {
        let header = Header { token: 70, sent_at_us: clock::unix_us(), aborted: false };
        let added = |offset, value| GroupStep::ShowAdded { partition: 7, offset, value };
        let aborted = Header { aborted: true, ..header }.encode().to_vec();
        let steps = [assign(), added(0, header.encode().to_vec()), added(1, aborted), token(0, 71)];
        let played = Played::new("", steps);
        played.work_until(|played| played.produced() == 5).await;
        assert!(played.sent().contains(&70));
        assert_eq!(played.found(), [(Anomaly::AbortedRead, 1)]);
        assert_eq!(played.context.shared.violations.kept()[0].partition, 7);
    });
}
