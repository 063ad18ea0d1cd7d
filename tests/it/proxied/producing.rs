//! A producer whose requests are repeated, and whose answers get lost.

use std::time::{Duration, Instant};

use proofload::inside::record::Random;
use serde_json::Value;

use super::{Every, NAME_ALL, SMALL_BATCHES, expect_each_stored_once, named, run, violations};
use crate::{
    Test,
    dsl::{
        Cluster, Finished, Proxy, Run, Workdir, Worker,
        batches::{self, RawBatch},
        ledger::LedgerFile,
        protocol::{Body, Message, Way},
        proxy::{Fate, Rule},
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(acks_that_are_lost_with_their_connection_cost_nothing),
        Real(acks_that_never_come_cost_nothing),
        Real(a_request_that_comes_twice_is_stored_once),
        Real(records_that_are_stored_twice_are_named),
        Real(copies_of_what_was_acked_since_a_reader_began_are_told_apart),
        Real(connections_cut_in_the_middle_of_an_ack_cost_nothing),
        Real(connections_cut_under_transactions_cost_no_record),
        Real(answers_without_the_topic_cost_no_record),
        Real(batches_that_the_broker_had_already_are_acked_without_a_place),
    ]
}

/// Produces so many records through a proxy and reads them; returns what the producer says of itself.
#[track_caller]
fn expect_all_proven<R: Rule>(cluster: &Cluster, proxy: &Proxy<R>, settings: &str) -> serde_json::Value {
    let (topic, workdir) = (cluster.topic(3), Workdir::new());
    let work = format!("--produce_msgs 600 {SMALL_BATCHES} --seq_read {NAME_ALL} {settings}");
    let finished = run(proxy, &topic, &workdir, &work).finish().expect_code(0);
    let finished = finished.expect_nothing_wrong();
    let finished = finished.expect_output(&["600 of 600 records", "600 records proven valid"]);
    let producer = finished.workdir.report()["totals"][0].clone();
    assert_eq!((&producer["acked"], &producer["fails"]), (&600.into(), &0.into()), "{producer}");
    assert_eq!(producer["bad_offsets"], 0, "{producer}");
    expect_each_stored_once(&topic, &workdir, 600);
    producer
}

/// Acks that go missing.
struct LoseAcks {
    which: Every,
    how: fn() -> Fate,
}

impl Rule for LoseAcks {
    fn pass(&mut self, message: &mut Message) -> Fate {
        let is_lost = matches!(message.body, Body::ProduceResponse(_)) && self.which.is_due();
        if is_lost { (self.how)() } else { Fate::Pass }
    }
}

fn acks_that_are_lost_with_their_connection_cost_nothing(cluster: &Cluster) {
    let rule = LoseAcks { which: Every::nth(4, 8), how: || Fate::CutAt(0) };
    let proxy = Proxy::start(cluster, rule);
    expect_all_proven(cluster, &proxy, "");
    assert_eq!(proxy.rule().which.hits, 8);
}

/// The client waits for each until its time is up, and asks again.
fn acks_that_never_come_cost_nothing(cluster: &Cluster) {
    let rule = LoseAcks { which: Every::nth(5, 2), how: || Fate::Swallow };
    let proxy = Proxy::start(cluster, rule);
    expect_all_proven(cluster, &proxy, "-X socket.timeout.ms=1000");
    assert_eq!(proxy.rule().which.hits, 2);
}

/// Requests that reach the broker a second time.
struct Repeat {
    which: Every,
    /// Makes of a batch what is sent behind it.
    copy: fn(RawBatch) -> RawBatch,
    /// Records in the copies that are under way.
    under_way: Vec<i64>,
    /// Where copies landed: partition and offset of each of their records. Empty where the broker took none.
    landed: Vec<(i32, i64)>,
    answers: usize,
}

impl Repeat {
    fn new(which: Every, copy: fn(RawBatch) -> RawBatch) -> Self {
        Self { which, copy, under_way: Vec::new(), landed: Vec::new(), answers: 0 }
    }

    fn copy_of(&mut self, message: &Message) -> Message {
        let mut copy = message.clone();
        let Body::ProduceRequest(request) = &mut copy.body else { return copy };
        for part in request.topic_data.iter_mut().flat_map(|topic| &mut topic.partition_data) {
            let batches = batches::split(part.records.as_deref().unwrap_or_default());
            let copies: Vec<RawBatch> = batches.into_iter().map(self.copy).collect();
            self.under_way.push(copies.iter().map(|batch| batch.next_offset() - batch.base_offset()).sum());
            part.records = Some(batches::join(&copies).into());
        }
        copy
    }
}

impl Rule for Repeat {
    fn pass(&mut self, message: &mut Message) -> Fate {
        if !matches!(message.body, Body::ProduceRequest(_)) || !self.which.is_due() {
            return Fate::Pass;
        }
        Fate::With(Box::new(self.copy_of(message)))
    }

    fn answered(&mut self, answer: Message) {
        let Body::ProduceResponse(answer) = answer.body else { return };
        self.answers += 1;
        for part in answer.responses.iter().flat_map(|topic| &topic.partition_responses) {
            let records = self.under_way.remove(0);
            if part.error_code == 0 {
                let offsets = part.base_offset..part.base_offset + records;
                self.landed.extend(offsets.map(|offset| (part.index, offset)));
            }
        }
    }
}

fn a_request_that_comes_twice_is_stored_once(cluster: &Cluster) {
    let proxy = Proxy::start(cluster, Repeat::new(Every::nth(3, usize::MAX), |batch| batch));
    expect_all_proven(cluster, &proxy, "");
    assert!(proxy.rule().answers >= 10, "{}", proxy.rule().answers);
}

/// The broker cannot know that it has these already. What was under way behind them lands elsewhere than
/// predicted: the producer sees that, and sends it again. Copies of that, of which the ledger lists neither place, might
/// be the client's doing: they are counted, and accuse nobody.
fn records_that_are_stored_twice_are_named(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(3), Workdir::new());
    let proxy = Proxy::start(cluster, Repeat::new(Every::nth(20, 3), RawBatch::without_producer));
    let work = format!("--produce_msgs 600 {SMALL_BATCHES} --seq_read {NAME_ALL}");
    let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(1);
    let mut landed = proxy.rule().landed.clone();
    landed.sort_unstable();
    let copies: Vec<_> =
        landed.iter().map(|(partition, offset)| named("duplicate", *partition, *offset)).collect();
    let (found, report) = (violations(&finished), finished.workdir.report());
    assert!(!found.is_empty() && found.iter().all(|one| copies.contains(one)), "{}", finished.transcript());
    assert_eq!(found.len() as u64 + resends(&finished), copies.len() as u64, "{}", finished.transcript());
    let producer = &report["totals"][0];
    assert_eq!(producer["acked"], 600, "{producer}");
    assert!(producer["bad_offsets"].as_u64() > Some(0), "{producer}");
    assert!(producer["restarts"].as_u64() > Some(0), "{producer}");
    // And without being told to go on, the first one ends the run.
    let plain = run(&proxy, &topic, &workdir, "--seq_read").finish().expect_code(1);
    plain.expect_one_error(&["duplicate: ", "which was read before"]);
}

/// Who waits for more has the ledger of the beginning: of what was acked since then, only the ledger of the end tells whose
/// doing a copy is. The copies of what came first are the broker's; what was under way behind them landed elsewhere, and its
/// copies may be the client's.
fn copies_of_what_was_acked_since_a_reader_began_are_told_apart(cluster: &Cluster) {
    for (readers, listed_before) in
        [("--seq_read", 0), ("--seq_read", 10), ("--consumer_group_readers 1", 10)]
    {
        let (topic, workdir, ledgers) = (cluster.topic(1), Workdir::new(), Workdir::new());
        let ledger_dir = format!("--ledger-dir {}", ledgers.path().display());
        if listed_before > 0 {
            let fill = format!("--produce_msgs {listed_before} {SMALL_BATCHES} {ledger_dir}");
            Run::verifier().in_dir(&workdir).args(topic.flags()).args(fill).finish().expect_code(0);
        }
        let read = format!("{readers} {NAME_ALL} {ledger_dir}");
        let reader = Run::verifier().in_dir(&workdir).args(topic.flags()).args(&read).args("--continuous");
        let reader = reader.with_control().start();
        let is_there = |workers: &[Worker]| workers[0].reader().validator.valid_reads >= listed_before;
        reader.harness().until("what is there", is_there);
        let proxy = Proxy::start(cluster, Repeat::new(Every::nth(1, 2), RawBatch::without_producer));
        let produced =
            run(&proxy, &topic, &Workdir::new(), &format!("--produce_msgs 300 {SMALL_BATCHES} {ledger_dir}"));
        produced.finish().expect_code(0);
        reader.http().order("/last_pass");
        let finished = reader.finish().expect_code(1);
        let told = (violations(&finished), resends(&finished));
        // Who reads it all behind that has the whole ledger.
        let later = Run::verifier().args(topic.flags()).args(&read).finish().expect_code(1);
        assert_eq!(told, (violations(&later), resends(&later)), "{}", finished.transcript());
        assert!(!told.0.is_empty() && told.1 > 0, "{}", finished.transcript());
        assert!(told.0.iter().all(|one| one.anomaly == "duplicate"), "{told:?}");
    }
}

/// Records that were said to be there twice, perhaps by the client's doing.
fn resends(finished: &Finished) -> u64 {
    let report = finished.workdir.report();
    let causes = report["causes"].as_array().expect("a list").iter();
    let of_client =
        |cause: &&Value| cause["what"].as_str().is_some_and(|what| what.starts_with("client-resend"));
    causes.filter(of_client).map(|cause| cause["count"].as_u64().expect("a count")).sum()
}

/// Connections that end in the middle of an answer, at any of its bytes.
pub struct Cuts {
    which: Every,
    random: Random,
    is_meant: fn(&Message) -> bool,
}

impl Cuts {
    pub fn new(which: Every, seed: u64, is_meant: fn(&Message) -> bool) -> Self {
        Self { which, random: Random::from_seed(seed), is_meant }
    }

    pub fn count(&self) -> usize {
        self.which.hits
    }
}

impl Rule for Cuts {
    fn pass(&mut self, message: &mut Message) -> Fate {
        if (self.is_meant)(message) && self.which.is_due() {
            return Fate::CutAt(self.random.index(1 << 20));
        }
        Fate::Pass
    }
}

fn connections_cut_in_the_middle_of_an_ack_cost_nothing(cluster: &Cluster) {
    let rule = Cuts::new(Every::nth(3, 12), 1, |message| matches!(message.body, Body::ProduceResponse(_)));
    let proxy = Proxy::start(cluster, rule);
    expect_all_proven(cluster, &proxy, "");
    assert_eq!(proxy.rule().count(), 12);
}

/// Here every kind of answer is cut: of the coordinator, of the partitions' leaders, and all others.
fn connections_cut_under_transactions_cost_no_record(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(3), Workdir::new());
    let rule = Cuts::new(Every::nth(9, 12), 2, |message| message.kind.way == Way::Response);
    let proxy = Proxy::start(cluster, rule);
    let work = format!(
        "--produce_msgs 400 {SMALL_BATCHES} --use-transactions --msgs-per-transaction 20 \
         --transaction-abort-rate 0.3 --seq_read {NAME_ALL}"
    );
    let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(0);
    let producer = &finished.workdir.report()["totals"][0];
    assert_eq!(producer["acked"], 400, "{producer}");
    assert_eq!(violations(&finished), []);
    assert_eq!(proxy.rule().count(), 12);
}

/// A broker that does not know of any topic for a moment, as one that comes up.
struct Forget {
    /// Requests to produce that come before.
    after: usize,
    since: Option<Instant>,
    forgotten: usize,
}

impl Rule for Forget {
    fn pass(&mut self, message: &mut Message) -> Fate {
        const MOMENT: Duration = Duration::from_millis(700);
        const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
        match &mut message.body {
            Body::ProduceRequest(_) if self.after > 0 => self.after -= 1,
            Body::ProduceRequest(_) => _ = self.since.get_or_insert_with(Instant::now),
            Body::MetadataResponse(answer) if self.since.is_some_and(|since| since.elapsed() < MOMENT) => {
                for topic in &mut answer.topics {
                    topic.error_code = UNKNOWN_TOPIC_OR_PARTITION;
                    topic.partitions.clear();
                    self.forgotten += 1;
                }
            }
            _ => {}
        }
        Fate::Pass
    }
}

/// The client lets go of what waits to be sent, half a minute after it first heard of the topic, or at once if it is told.
fn answers_without_the_topic_cost_no_record(cluster: &Cluster) {
    let proxy = Proxy::start(cluster, Forget { after: 20, since: None, forgotten: 0 });
    let looks = "-X topic.metadata.refresh.interval.ms=100 -X metadata.max.age.ms=200 \
                 -X topic.metadata.propagation.max.ms=1";
    let producer =
        expect_all_proven(cluster, &proxy, &format!("{looks} --produce-throughput-bps 20000 --linger 100ms"));
    assert!(proxy.rule().forgotten > 0);
    assert!(producer["restarts"].as_u64() > Some(0), "{producer}");
}

/// Answers as a broker that knows a batch, and not any more where it put it.
struct HadAlready(Every);

impl Rule for HadAlready {
    fn pass(&mut self, message: &mut Message) -> Fate {
        const DUPLICATE_SEQUENCE_NUMBER: i16 = 46;
        if let Body::ProduceResponse(answer) = &mut message.body
            && self.0.is_due()
        {
            for part in answer.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
                (part.error_code, part.base_offset) = (DUPLICATE_SEQUENCE_NUMBER, -1);
            }
        }
        Fate::Pass
    }
}

fn batches_that_the_broker_had_already_are_acked_without_a_place(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(3), Workdir::new());
    let proxy = Proxy::start(cluster, HadAlready(Every::nth(4, 6)));
    let work = format!("--produce_msgs 600 {SMALL_BATCHES} --seq_read {NAME_ALL}");
    let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(0);
    let finished = finished.expect_output(&["600 of 600 records", "600 records read, "]);
    let producer = &finished.workdir.report()["totals"][0];
    assert_eq!((&producer["bad_offsets"], &producer["fails"]), (&0.into(), &0.into()), "{producer}");
    assert_eq!((topic.ends().iter().sum::<i64>(), proxy.rule().0.hits), (600, 6));
    // Where they are only a reader knows.
    let listed = LedgerFile::read(workdir.path(), topic.name()).count();
    assert!((1..600).contains(&listed), "{listed}");
}
