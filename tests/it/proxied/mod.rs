//! Faults that no damage to a log can make: a proxy between the verifier and a real broker tells lies, loses
//! answers and cuts connections. What breaks a promise is named, at its place; what breaks none is not.

mod commits;
mod ends;
mod lists;
mod places;
mod producing;
mod reading;
mod replays;
mod starts;

use crate::{
    Test,
    dsl::{
        Cluster, Finished, Proxy, Run, Topic, Workdir,
        batches::{self, RawBatch},
        ledger::LedgerFile,
        protocol::{Body, Message},
        proxy::Rule,
        run::Named,
    },
};

pub fn tests() -> Vec<(String, Test)> {
    let all = [
        producing::tests(),
        reading::tests(),
        replays::tests(),
        ends::tests(),
        commits::tests(),
        lists::tests(),
        starts::tests(),
        places::tests(),
    ];
    all.into_iter().flatten().collect()
}

/// Few records in a batch, so that there are many batches.
const SMALL_BATCHES: &str = "--msg_size 100 --batch_max_bytes 1024";
/// And few batches in an answer.
const SMALL_ANSWERS: &str = "-X fetch.message.max.bytes=4096";
/// What a run says when it does not end at the first violation.
const NAME_ALL: &str = "--keep-going --report report.json";

fn named(anomaly: &str, partition: i32, offset: i64) -> Named {
    Named { anomaly: anomaly.to_owned(), partition, offset }
}

/// A topic that was filled without a lie, and the ledger of it.
fn filled(cluster: &Cluster, partitions: usize, work: &str) -> (Topic, Workdir) {
    let (topic, workdir) = (cluster.topic(partitions), Workdir::new());
    Run::verifier()
        .in_dir(&workdir)
        .args(topic.flags())
        .args(format!("{SMALL_BATCHES} {work}"))
        .finish()
        .expect_code(0);
    (topic, workdir)
}

/// A run through a proxy.
fn run<R: Rule>(proxy: &Proxy<R>, topic: &Topic, workdir: &Workdir, work: &str) -> Run {
    Run::verifier().in_dir(workdir).args(proxy.flags(topic)).args(work)
}

/// Everything that a run with [`NAME_ALL`] named, in the order of partitions and offsets.
fn violations(finished: &Finished) -> Vec<Named> {
    sorted(finished.violations())
}

fn sorted(mut all: Vec<Named>) -> Vec<Named> {
    all.sort_by_key(|named| (named.partition, named.offset));
    all
}

/// Each record is in the log once, at the place that it names, and the ledger lists all of them and nothing else.
#[track_caller]
fn expect_each_stored_once(topic: &Topic, workdir: &Workdir, records: i64) {
    let ends = topic.ends();
    assert_eq!(ends.iter().sum::<i64>(), records, "{ends:?}");
    let strange: Vec<_> = topic.records().into_iter().filter(|record| !record.names_itself()).collect();
    assert!(strange.is_empty(), "{strange:?}");
    LedgerFile::read(workdir.path(), topic.name()).expect_all_up_to(&ends);
}

/// Every so many-th of something, and no more than so often.
struct Every {
    nth: usize,
    left: usize,
    seen: usize,
    /// How often it has come true.
    hits: usize,
}

impl Every {
    fn nth(nth: usize, most: usize) -> Self {
        Self { nth, left: most, seen: 0, hits: 0 }
    }

    fn is_due(&mut self) -> bool {
        self.seen += 1;
        let due = self.left > 0 && self.seen.is_multiple_of(self.nth);
        self.left -= usize::from(due);
        self.hits += usize::from(due);
        due
    }
}

/// Shows the batches in an answer, by partition, to a function that may change them.
fn edit_batches(message: &mut Message, mut edit: impl FnMut(i32, &mut Vec<RawBatch>)) {
    let Body::FetchResponse(answer) = &mut message.body else { return };
    for part in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
        let mut batches = batches::split(part.records.as_deref().unwrap_or_default());
        if !batches.is_empty() {
            edit(part.partition_index, &mut batches);
            part.records = Some(batches::join(&batches).into());
        }
    }
}
