//! Batches that were read already, shown again, and those that are not shown for a while.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Every, NAME_ALL, Named, SMALL_ANSWERS, edit_batches, filled, named, run, violations};
use crate::{
    Test,
    dsl::{
        Cluster, Proxy, Workdir,
        batches::RawBatch,
        protocol::{Body, Message},
        proxy::{Fate, Rule},
        schema::Schema,
        wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(an_answer_that_comes_again_for_a_while_costs_nothing),
        Real(what_was_not_asked_for_is_named_by_our_own_client),
        Real(an_answer_that_comes_again_for_good_is_a_stall),
        Real(and_so_it_is_with_the_beginning_of_more_behind_it),
        Real(a_batch_that_comes_again_behind_later_ones_is_named),
        Real(a_group_is_shown_it_once),
        Real(what_a_group_s_client_leaves_out_is_read_before_it_is_missed),
        Real(a_group_s_client_that_sleeps_is_roused),
        Real(a_batch_in_the_place_of_another_is_named),
    ]
}

/// Answers now and then with what lies before the place that was asked for.
struct Again {
    which: Every,
    first: Vec<RawBatch>,
}

impl Rule for Again {
    fn pass(&mut self, message: &mut Message) -> Fate {
        let Self { which, first } = self;
        edit_batches(message, |_, batches| {
            let place = |batches: &[RawBatch]| batches.first().map_or(i64::MAX, RawBatch::base_offset);
            // Random readers may begin anywhere.
            if place(batches) < place(first) {
                first.clone_from(batches);
            } else if place(first) < place(batches) && which.is_due() {
                batches.clone_from(first);
            }
        });
        Fate::Pass
    }
}

/// The client asks until it gets what it has not read yet.
fn an_answer_that_comes_again_for_a_while_costs_nothing(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 400");
    for (readers, words) in [
        ("--seq_read --client librdkafka", "400 records proven valid"),
        (OF_LIBRDKAFKA, "400 records proven valid"),
        ("--rand_read_msgs 30", "30 records proven valid"),
    ] {
        let proxy = Proxy::start(cluster, Again { which: Every::nth(2, 8), first: Vec::new() });
        let work = format!("{readers} {SMALL_ANSWERS} {NAME_ALL}");
        let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(0).expect_output(&[words]);
        assert_eq!(violations(&finished), []);
        // It asks for more each time, so that soon there is nothing left to answer.
        assert!(proxy.rule().which.hits >= 2, "{readers}: {}", proxy.rule().which.hits);
    }
}

/// Ours is shown what librdkafka passes over: what a broker sends against the request is in no order.
fn what_was_not_asked_for_is_named_by_our_own_client(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 400");
    for readers in ["--seq_read", "--consumer_group_readers 1"] {
        let proxy = Proxy::start(cluster, Again { which: Every::nth(2, 8), first: Vec::new() });
        let work = format!("{readers} --client wire {SMALL_ANSWERS} {NAME_ALL}");
        let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(1);
        let named = violations(&finished);
        assert!(!named.is_empty() && named.iter().all(|one| one.anomaly == "nonmonotonic"), "{named:?}");
        // The topic has one producer: its sequence numbers are the offsets.
        let report = workdir.report();
        Schema::of_reports().expect_valid(&report);
        let violation = &report["violations"][0];
        let producer = &violation["evidence"]["producer"];
        assert_eq!(
            (&producer["epoch"], &producer["sequence"]),
            (&0.into(), &violation["offset"]),
            "{violation}"
        );
        finished.expect_output(&["400 proven valid"]);
    }
}

/// Answers with that for good, and with the beginning of what would come next.
struct AgainAndMore {
    again: Again,
    times: usize,
}

impl Rule for AgainAndMore {
    fn pass(&mut self, message: &mut Message) -> Fate {
        let asked_for = records(message);
        let fate = self.again.pass(message);
        if let Body::FetchResponse(answer) = &mut message.body {
            for part in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                let Some(records) = part.records.as_ref().filter(|records| **records != asked_for) else {
                    continue;
                };
                self.times += 1;
                // Its head, and less than a record.
                part.records = Some([&records[..], &asked_for[..asked_for.len().min(100)]].concat().into());
            }
        }
        fate
    }
}

/// What an answer holds of the only partition.
fn records(message: &Message) -> Vec<u8> {
    let Body::FetchResponse(answer) = &message.body else { return Vec::new() };
    let mut parts = answer.responses.iter().flat_map(|topic| &topic.partitions);
    parts.find_map(|part| part.records.as_ref()).map_or_else(Vec::new, |records| records.to_vec())
}

/// The client counts such an answer among those that were cut off. Bytes that nobody can read it has not been sent.
fn and_so_it_is_with_the_beginning_of_more_behind_it(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 400");
    for readers in ["--seq_read --client librdkafka", OF_LIBRDKAFKA] {
        let again = Again { which: Every::nth(1, usize::MAX), first: Vec::new() };
        let proxy = Proxy::start(cluster, AgainAndMore { again, times: 0 });
        let work = format!("{readers} {SMALL_ANSWERS} {NAME_ALL} --stall-after 1s");
        let run = run(&proxy, &topic, &workdir, &work).start();
        wait_until("a stall", || run.stderr().contains("stalled: "));
        let times = proxy.rule().times;
        wait_until("somebody looks into it", || proxy.rule().times > times + 25);
        run.signal(Signal::SIGINT);
        let finished = run.finish().expect_code(0).expect_output(&["proofload: STALLED: "]);
        assert_eq!(violations(&finished), []);
    }
}

/// To the client there is nothing to show. That nothing is lost only because nobody could read it is for nobody to say.
fn an_answer_that_comes_again_for_good_is_a_stall(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 400");
    for readers in ["--seq_read --client librdkafka", OF_LIBRDKAFKA] {
        let proxy = Proxy::start(cluster, Again { which: Every::nth(1, usize::MAX), first: Vec::new() });
        let work = format!("{readers} {SMALL_ANSWERS} {NAME_ALL} --stall-after 1s");
        let run = run(&proxy, &topic, &workdir, &work).start();
        wait_until("a stall", || run.stderr().contains("stalled: "));
        run.signal(Signal::SIGINT);
        let finished = run.finish().expect_code(0).expect_output(&["proofload: STALLED: "]);
        assert_eq!(violations(&finished), []);
        let read_to = proxy.rule().first.last().expect("an answer").next_offset();
        finished.expect_output(&[&format!("waited for what lies at offset {read_to}: ")]);
    }
}

/// A group whose client goes astray by itself.
const OF_LIBRDKAFKA: &str = "--consumer_group_readers 1 --client librdkafka";

/// Adds to the first answer that has enough of them a batch that it has already.
struct AgainBehind {
    partition: i32,
    /// Where the batch lies that is shown twice.
    shown_twice: Option<i64>,
}

impl Rule for AgainBehind {
    fn pass(&mut self, message: &mut Message) -> Fate {
        edit_batches(message, |partition, batches| {
            if partition == self.partition && self.shown_twice.is_none() && batches.len() >= 3 {
                let again = batches[1].clone();
                self.shown_twice = Some(again.base_offset());
                batches.push(again);
            }
        });
        Fate::Pass
    }
}

fn a_batch_that_comes_again_behind_later_ones_is_named(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, "--produce_msgs 400");
    let proxy = Proxy::start(cluster, AgainBehind { partition: 1, shown_twice: None });
    let work = format!("--seq_read {SMALL_ANSWERS} {NAME_ALL}");
    let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(1);
    let place = proxy.rule().shown_twice.expect("an answer of three batches");
    assert_eq!(violations(&finished), [named("nonmonotonic", 1, place)], "{}", finished.transcript());
}

/// A group's client goes back by itself when leaders move, without a word. What it shows does not tell whether it has
/// asked for that again or a broker has sent it unasked: it is passed over, counted, and nobody's fault.
fn a_group_is_shown_it_once(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, "--produce_msgs 400");
    let proxy = Proxy::start(cluster, AgainBehind { partition: 1, shown_twice: None });
    let work = format!("{OF_LIBRDKAFKA} --group-consume-exactly-once {SMALL_ANSWERS} {NAME_ALL}");
    let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(0);
    assert!(proxy.rule().shown_twice.is_some(), "an answer of three batches");
    assert_eq!(
        (violations(&finished), finished.gaps()),
        (Vec::new(), Vec::new()),
        "{}",
        finished.transcript()
    );
    finished.expect_output(&["400 records proven valid", "its client went back by itself"]);
}

/// Shows a group's client nothing of a partition behind its first batch, before somebody else has asked for that.
struct Hide {
    partition: i32,
    /// Answers about both partitions: the member's.
    whole: usize,
    until: Option<Instant>,
}

impl Rule for Hide {
    fn pass(&mut self, message: &mut Message) -> Fate {
        let Body::FetchResponse(answer) = &message.body else { return Fate::Pass };
        let parts: usize = answer.responses.iter().map(|topic| topic.partitions.len()).sum();
        self.whole += usize::from(parts == 2);
        if parts == 1 && self.whole > 10 {
            // Long enough for the other one's word to arrive.
            self.until.get_or_insert_with(|| Instant::now() + Duration::from_secs(1));
            return Fate::Pass;
        }
        if self.until.is_none_or(|until| Instant::now() < until) {
            edit_batches(message, |partition, batches| {
                batches.retain(|batch| partition != self.partition || batch.base_offset() == 0);
            });
        }
        Fate::Pass
    }
}

/// It is not the broker that stands still where another client is shown what lies there.
fn a_group_s_client_that_sleeps_is_roused(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, "--produce_msgs 400");
    let proxy = Proxy::start(cluster, Hide { partition: 1, whole: 0, until: None });
    let work = format!("{OF_LIBRDKAFKA} {SMALL_ANSWERS} {NAME_ALL}");
    let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(0);
    assert_eq!(violations(&finished), [], "{}", finished.transcript());
    let said = "its client showed nothing where another one is shown records";
    finished.expect_output(&["400 records proven valid", said]);
}

/// Leaves a batch out of the first answer that has enough of them.
struct LeaveOut {
    partition: i32,
    left_out: Option<i64>,
}

impl Rule for LeaveOut {
    fn pass(&mut self, message: &mut Message) -> Fate {
        edit_batches(message, |partition, batches| {
            if partition == self.partition && self.left_out.is_none() && batches.len() >= 3 {
                self.left_out = Some(batches.remove(1).base_offset());
            }
        });
        Fate::Pass
    }
}

/// A group's client throws away what it holds, and goes on behind it, when it goes back by itself. What is there when it is
/// asked for again is neither a gap nor lost.
fn what_a_group_s_client_leaves_out_is_read_before_it_is_missed(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, "--produce_msgs 400");
    let proxy = Proxy::start(cluster, LeaveOut { partition: 1, left_out: None });
    let work = format!("{OF_LIBRDKAFKA} --group-consume-exactly-once {SMALL_ANSWERS} {NAME_ALL}");
    let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(0);
    assert!(proxy.rule().left_out.is_some(), "an answer of three batches");
    assert_eq!(
        (violations(&finished), finished.gaps()),
        (Vec::new(), Vec::new()),
        "{}",
        finished.transcript()
    );
    finished.expect_output(&["400 records proven valid", "its client left offsets out"]);
}

/// Shows a batch again in the place of a later one that has as many records.
struct InPlaceOf {
    partition: i32,
    seen: Vec<RawBatch>,
    /// The offsets at which old records are shown, and these.
    shown: Option<((i64, i64), RawBatch)>,
}

impl InPlaceOf {
    fn new() -> Self {
        Self { partition: 1, seen: Vec::new(), shown: None }
    }

    fn exchange(&mut self, batch: &mut RawBatch) {
        let (from, to) = (batch.base_offset(), batch.next_offset());
        if let Some((place, old)) = &self.shown {
            // The same may be asked for twice, and must be the same then.
            if *place == (from, to) {
                batch.clone_from(old);
            }
            return;
        }
        if self.seen.last().is_some_and(|last| last.next_offset() > from) {
            return;
        }
        let fits = |old: &&RawBatch| old.next_offset() - old.base_offset() == to - from;
        match self.seen.iter().find(fits).filter(|_| self.seen.len() >= 3) {
            Some(old) => {
                batch.clone_from(old);
                batch.move_to(from);
                self.shown = Some(((from, to), batch.clone()));
            }
            None => self.seen.push(batch.clone()),
        }
    }
}

impl Rule for InPlaceOf {
    fn pass(&mut self, message: &mut Message) -> Fate {
        edit_batches(message, |partition, batches| {
            if partition == self.partition {
                for batch in batches {
                    self.exchange(batch);
                }
            }
        });
        Fate::Pass
    }
}

/// With a ledger that lists the place, another record was promised there. Without one, it is still a record
/// that was sent once and is there twice.
fn a_batch_in_the_place_of_another_is_named(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, "--produce_msgs 400");
    for (workdir, anomaly) in [(workdir, "wrong-offset"), (Workdir::new(), "duplicate")] {
        for readers in ["--seq_read", "--consumer_group_readers 1"] {
            let proxy = Proxy::start(cluster, InPlaceOf::new());
            let work = format!("{readers} {SMALL_ANSWERS} {NAME_ALL}");
            let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(1);
            let shown = proxy.rule().shown.as_ref().map(|(place, _)| *place);
            let (from, to) = shown.expect("a batch with as many records");
            let expected: Vec<Named> = (from..to).map(|offset| named(anomaly, 1, offset)).collect();
            assert_eq!(violations(&finished), expected, "{readers}: {}", finished.transcript());
        }
    }
}
