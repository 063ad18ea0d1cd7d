//! Brokers whose lists of aborted transactions are not what their logs say.

use kafka_protocol::messages::{ProducerId, fetch_response::AbortedTransaction};

use super::{NAME_ALL, edit_batches, filled, run, violations};
use crate::{
    Test,
    dsl::{
        Cluster, Proxy,
        protocol::{Body, Message},
        proxy::{Fate, Rule},
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(an_abort_that_the_list_lacks_is_hidden),
        Real(an_abort_that_only_the_list_has_is_invented),
        Real(an_abort_that_the_list_has_begin_later_is_belated),
        Real(an_honest_list_contradicts_nothing_wherever_answers_end),
    ]
}

const TRANSACTIONS: &str = "--use-transactions --msgs-per-transaction 40 --cores 1";
/// Each transaction has several batches: an answer ends within some of them.
const SMALL: &str = "-X fetch.message.max.bytes=2048";

/// What a rule does to the list, which comes with the transactions of the answer: producer and first offset of each batch.
struct Lie(fn(&mut Vec<AbortedTransaction>, &[(i64, i64)]));

impl Rule for Lie {
    fn pass(&mut self, message: &mut Message) -> Fate {
        let mut batches = Vec::new();
        edit_batches(message, |_, all| {
            let of_transactions = all.iter().filter(|batch| batch.is_transactional());
            batches.extend(of_transactions.map(|batch| (batch.producer_id(), batch.base_offset())));
        });
        if let Body::FetchResponse(answer) = &mut message.body {
            for part in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                self.0(part.aborted_transactions.get_or_insert_default(), &batches);
            }
        }
        Fate::Pass
    }
}

/// What a reader names of a log in which so many transactions are aborted, or none, where its broker lies.
fn named(cluster: &Cluster, abort_rate: f64, lie: Lie) -> Vec<(String, i64)> {
    let work = format!("--produce_msgs 800 {TRANSACTIONS} --transaction-abort-rate {abort_rate}");
    let (topic, workdir) = filled(cluster, 1, &work);
    let proxy = Proxy::start(cluster, lie);
    let read =
        run(&proxy, &topic, &workdir, &format!("--seq_read --client wire {SMALL} {TRANSACTIONS} {NAME_ALL}"));
    let finished = read.finish();
    let named = violations(&finished).into_iter().map(|named| (named.anomaly, named.offset));
    named.filter(|(anomaly, _)| anomaly.ends_with("-abort")).collect()
}

fn an_abort_that_the_list_lacks_is_hidden(cluster: &Cluster) {
    let named = named(cluster, 0.5, Lie(|list, _| list.clear()));
    assert!(!named.is_empty() && named.iter().all(|(anomaly, _)| anomaly == "hidden-abort"), "{named:?}");
}

fn an_abort_that_only_the_list_has_is_invented(cluster: &Cluster) {
    let invent = |list: &mut Vec<AbortedTransaction>, batches: &[(i64, i64)]| {
        for (producer_id, first_offset) in batches {
            let one = AbortedTransaction::default().with_producer_id(ProducerId(*producer_id));
            list.push(one.with_first_offset(*first_offset));
        }
    };
    let named = named(cluster, 0.0, Lie(invent));
    assert_eq!(named.len(), 20, "all of them: {named:?}");
    assert!(named.iter().all(|(anomaly, _)| anomaly == "invented-abort"), "{named:?}");
}

fn an_abort_that_the_list_has_begin_later_is_belated(cluster: &Cluster) {
    let belate = |list: &mut Vec<AbortedTransaction>, _: &[(i64, i64)]| {
        for one in list {
            one.first_offset += 1;
        }
    };
    let named = named(cluster, 0.5, Lie(belate));
    assert!(named.iter().any(|(anomaly, _)| anomaly == "belated-abort"), "{named:?}");
    // One of a single batch is not told at all.
    let is_known = |anomaly: &str| ["belated-abort", "hidden-abort"].contains(&anomaly);
    assert!(named.iter().all(|(anomaly, _)| is_known(anomaly)), "{named:?}");
}

fn an_honest_list_contradicts_nothing_wherever_answers_end(cluster: &Cluster) {
    assert_eq!(named(cluster, 0.5, Lie(|_, _| {})), []);
}
