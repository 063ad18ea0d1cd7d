//! Ends of transactions that a coordinator is told of twice, late or never, and answers that nobody hears.

use super::{Every, NAME_ALL};
use crate::{
    Test,
    dsl::{
        Cluster, Proxy, Release, Run, Workdir,
        ledger::LedgerFile,
        protocol::{Body, Dialect, Message},
        proxy::{Fate, Rule},
        topic::Stored,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Shared(Release::Newest, an_end_that_is_told_twice_ends_one_transaction),
        Shared(Release::Former, an_end_that_is_told_twice_ends_one_transaction_before_kip_890),
        Shared(Release::Newest, an_end_that_is_not_told_or_not_answered_is_asked_again),
        Shared(Release::Former, an_end_that_is_not_told_or_not_answered_is_asked_again_before_kip_890),
        Shared(Release::Newest, an_end_that_is_swallowed_or_whose_answer_is_is_asked_again),
        Shared(Release::Newest, an_end_that_comes_late_does_not_fall_upon_the_next_transaction),
        Shared(Release::Former, an_end_that_comes_late_does_not_fall_upon_the_next_one_before_kip_890),
        Shared(Release::Former, transactions_in_the_dialect_of_kafka_2_4),
        Shared(Release::Newest, transactions_in_the_dialect_of_redpanda),
    ]
}

const RECORDS: usize = 400;

/// Produces in transactions through a proxy, and holds the log against the ledger.
fn produces<R: Rule>(cluster: &Cluster, dialect: Dialect, rule: R, happened: fn(&R) -> bool) {
    produces_with(cluster, dialect, rule, happened, "");
}

/// The same, with these flags beside.
fn produces_with<R: Rule>(
    cluster: &Cluster,
    dialect: Dialect,
    rule: R,
    happened: fn(&R) -> bool,
    flags: &str,
) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let proxy = Proxy::start_with(cluster, dialect, rule);
    let work = format!(
        "--produce_msgs {RECORDS} --msg_size 50 --use-transactions --msgs-per-transaction 8 --cores 1 \
         --transaction-abort-rate 0.3 --client wire {NAME_ALL} {flags}"
    );
    let produce = Run::verifier().in_dir(&workdir).args(proxy.flags(&topic)).args(work);
    let finished = produce.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR", "was fenced"]);
    let producer = workdir.report()["totals"][0].clone();
    assert_eq!(producer["acked"], RECORDS, "{}", finished.transcript());
    assert!(happened(&proxy.rule()), "{}", finished.transcript());
    // What is seen of the log is what was committed, and the ledger lists that, and nothing else.
    let ledger = LedgerFile::read(workdir.path(), topic.name());
    let committed = topic.committed_records();
    assert!(committed.iter().all(Stored::names_itself), "{committed:?}");
    assert_eq!(i64::try_from(committed.len()), Ok(ledger.count()), "{}", finished.transcript());
    let read = Run::verifier().in_dir(&workdir).args(topic.flags()).args("--seq_read --use-transactions");
    read.finish().expect_code(0).expect_nothing_wrong();
}

/// Tells the coordinator twice.
struct Twice(usize);

impl Rule for Twice {
    fn pass(&mut self, message: &mut Message) -> Fate {
        if !matches!(message.body, Body::EndTxnRequest(_)) {
            return Fate::Pass;
        }
        self.0 += 1;
        Fate::With(Box::new(message.clone()))
    }
}

fn an_end_that_is_told_twice_ends_one_transaction(cluster: &Cluster) {
    produces(cluster, Dialect::Own, Twice(0), |rule| rule.0 > 20);
}

fn an_end_that_is_told_twice_ends_one_transaction_before_kip_890(cluster: &Cluster) {
    an_end_that_is_told_twice_ends_one_transaction(cluster);
}

/// Cuts the connection of some, before the coordinator hears of it, and of others, before it is answered.
struct Cut {
    requests: Every,
    answers: Every,
}

impl Rule for Cut {
    fn pass(&mut self, message: &mut Message) -> Fate {
        let is_due = match message.body {
            Body::EndTxnRequest(_) => self.requests.is_due(),
            Body::EndTxnResponse(_) => self.answers.is_due(),
            _ => false,
        };
        if is_due { Fate::CutAt(0) } else { Fate::Pass }
    }
}

fn an_end_that_is_not_told_or_not_answered_is_asked_again(cluster: &Cluster) {
    let rule = Cut { requests: Every::nth(5, 4), answers: Every::nth(7, 4) };
    produces(cluster, Dialect::Own, rule, |rule| rule.requests.hits == 4 && rule.answers.hits == 4);
}

fn an_end_that_is_not_told_or_not_answered_is_asked_again_before_kip_890(cluster: &Cluster) {
    an_end_that_is_not_told_or_not_answered_is_asked_again(cluster);
}

/// Nobody hears of some of them, nor of the answers to others, and connections stay open.
struct Swallow(Cut);

impl Rule for Swallow {
    fn pass(&mut self, message: &mut Message) -> Fate {
        match self.0.pass(message) {
            Fate::CutAt(_) => Fate::Swallow,
            fate => fate,
        }
    }
}

/// Whoever waits for an answer that does not come gives its connection up after a while, and asks over another one.
fn an_end_that_is_swallowed_or_whose_answer_is_is_asked_again(cluster: &Cluster) {
    let rule = Swallow(Cut { requests: Every::nth(5, 2), answers: Every::nth(7, 2) });
    let happened = |rule: &Swallow| rule.0.requests.hits == 2 && rule.0.answers.hits == 2;
    produces_with(cluster, Dialect::Own, rule, happened, "-X socket.timeout.ms=1000");
}

/// Keeps some back until the next transaction has records.
struct Late {
    kept: Every,
    back: Option<Message>,
    /// The transaction of that one has ended, as it was told once more.
    is_over: bool,
    told: usize,
}

impl Rule for Late {
    fn pass(&mut self, message: &mut Message) -> Fate {
        match message.body {
            Body::EndTxnRequest(_) if self.back.is_none() && self.kept.is_due() => {
                (self.back, self.is_over) = (Some(message.clone()), false);
                Fate::CutAt(0)
            }
            Body::EndTxnRequest(_) => {
                self.is_over = true;
                Fate::Pass
            }
            Body::ProduceResponse(_) | Body::ProduceRequest(_) if !self.is_over => Fate::Pass,
            // The answer shows that there is something to be ended; it is told with the request behind.
            Body::ProduceRequest(_) => match self.back.take() {
                Some(late) => {
                    self.told += 1;
                    Fate::With(Box::new(late))
                }
                None => Fate::Pass,
            },
            _ => Fate::Pass,
        }
    }
}

fn an_end_that_comes_late_does_not_fall_upon_the_next_transaction(cluster: &Cluster) {
    let rule = Late { kept: Every::nth(4, 6), back: None, is_over: false, told: 0 };
    produces(cluster, Dialect::Own, rule, |rule| rule.told == 6);
}

fn an_end_that_comes_late_does_not_fall_upon_the_next_one_before_kip_890(cluster: &Cluster) {
    an_end_that_comes_late_does_not_fall_upon_the_next_transaction(cluster);
}

fn transactions_in_the_dialect_of_kafka_2_4(cluster: &Cluster) {
    produces(cluster, Dialect::Kafka24, Twice(0), |rule| rule.0 > 20);
}

fn transactions_in_the_dialect_of_redpanda(cluster: &Cluster) {
    produces(cluster, Dialect::Redpanda, Twice(0), |rule| rule.0 > 20);
}
