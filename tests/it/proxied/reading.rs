//! Readers whose connections are cut, who are not told what was aborted, and who are told of older leaders.

use nix::sys::signal::Signal;

use super::{
    Every, NAME_ALL, Named, SMALL_ANSWERS, edit_batches, filled, named, producing::Cuts, run, violations,
};
use crate::{
    Test,
    dsl::{
        Cluster, Finished, Proxy, Run, Topic, batches,
        protocol::{Body, Message},
        proxy::{Fate, Rule},
        wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(connections_cut_in_the_middle_of_records_cost_nothing),
        Real(what_was_aborted_and_not_said_to_be_is_named),
        Real(an_older_leader_is_named_where_its_records_begin),
        Real(an_older_leader_is_named_by_random_readers),
        Real(a_batch_that_a_repeater_cannot_read_is_named),
    ]
}

fn connections_cut_in_the_middle_of_records_cost_nothing(cluster: &Cluster) {
    // Each cut costs up to a second: the client waits before it connects again.
    const CUTS: usize = 6;
    let (topic, workdir) = filled(cluster, 3, "--produce_msgs 900");
    let runs = [
        ("--seq_read", "900 records proven valid"),
        ("--rand_read_msgs 20 --parallel 2", "40 records proven valid"),
        ("--consumer_group_readers 2", "900 records proven valid"),
    ];
    for (seed, (readers, words)) in (3..).zip(runs) {
        let is_meant: fn(&Message) -> bool = |message| matches!(message.body, Body::FetchResponse(_));
        let proxy = Proxy::start(cluster, Cuts::new(Every::nth(3, CUTS), seed, is_meant));
        let work = format!("{readers} {SMALL_ANSWERS} {NAME_ALL}");
        let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(0).expect_output(&[words]);
        assert_eq!(violations(&finished), []);
        let cuts = proxy.rule().count();
        assert_eq!(cuts, CUTS, "{readers}");
    }
}

/// Does not say what was aborted.
struct HideAborted {
    hidden: usize,
}

impl Rule for HideAborted {
    fn pass(&mut self, message: &mut Message) -> Fate {
        if let Body::FetchResponse(answer) = &mut message.body {
            for part in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                self.hidden += part.aborted_transactions.as_mut().map_or(0, |list| list.drain(..).count());
            }
        }
        Fate::Pass
    }
}

fn what_was_aborted_and_not_said_to_be_is_named(cluster: &Cluster) {
    const TRANSACTIONS: &str = "--use-transactions --msgs-per-transaction 15";
    let work = format!("--produce_msgs 300 {TRANSACTIONS} --transaction-abort-rate 0.4");
    let (topic, workdir) = filled(cluster, 2, &work);
    let aborted = |record: &&crate::dsl::topic::Stored| record.id().starts_with("ABORTED MSG: ");
    let all = topic.records();
    let mut aborted: Vec<_> =
        all.iter().filter(aborted).map(|record| (record.partition, record.offset)).collect();
    aborted.sort_unstable();
    assert!(!aborted.is_empty() && aborted.len() < 300, "some were aborted: {}", aborted.len());
    // One finding for each transaction on a partition: behind each of them lies a marker.
    let is_first = |place: &usize| {
        let (partition, offset) = aborted[*place];
        *place == 0 || aborted[*place - 1] != (partition, offset - 1)
    };
    let firsts: Vec<usize> = (0..aborted.len()).filter(is_first).collect();
    let place = |(partition, offset): (i32, i64)| named("aborted-read", partition, offset);
    let truth: Vec<Named> = firsts.iter().map(|first| place(aborted[*first])).collect();
    let everywhere: Vec<Named> = aborted.iter().map(|record| place(*record)).collect();
    let proxy = Proxy::start(cluster, HideAborted { hidden: 0 });
    let read =
        |work: &str| run(&proxy, &topic, &workdir, &format!("{work} {TRANSACTIONS}")).finish().expect_code(1);
    for readers in
        ["--seq_read --client wire", "--seq_read --client librdkafka", "--consumer_group_readers 2"]
    {
        let finished = read(&format!("{readers} {NAME_ALL}"));
        let (hidden, shown): (Vec<_>, Vec<_>) =
            violations(&finished).into_iter().partition(|named| named.anomaly == "hidden-abort");
        assert_eq!(shown, truth, "{}", finished.transcript());
        if readers.ends_with("wire") {
            // It sees the markers, too.
            let places = |named: &[Named]| -> Vec<_> {
                named.iter().map(|named| (named.partition, named.offset)).collect()
            };
            assert_eq!(places(&hidden), places(&truth), "{}", finished.transcript());
        }
        let report = finished.workdir.report();
        let counts = report["violations"].as_array().expect("a list").iter();
        let counts: u64 = counts.filter_map(|found| found["evidence"]["records"]["count"].as_u64()).sum();
        assert_eq!(counts, aborted.len() as u64, "with all its records");
    }
    let random = read(&format!("--rand_read_msgs 300 {NAME_ALL}"));
    expect_some_of(&random, &everywhere);
    assert!(proxy.rule().hidden > 0);
}

/// That something was named, and nothing that is not so.
#[track_caller]
fn expect_some_of(finished: &Finished, truth: &[Named]) {
    let found = violations(finished);
    assert!(!found.is_empty(), "{}", finished.transcript());
    for one in &found {
        assert!(truth.contains(one), "{one:?} is not so\n{}", finished.transcript());
    }
}

/// Where the older leader's records begin, if the partition has been read that far.
const OLDER_FROM: i64 = 40;
const LIED_ABOUT: i32 = 1;

/// Says that what lies behind the middle of a partition was written by an older leader than what lies before it.
struct OlderLeader {
    begins: i64,
}

impl Rule for OlderLeader {
    fn pass(&mut self, message: &mut Message) -> Fate {
        edit_batches(message, |partition, batches| {
            for batch in batches {
                let is_older = partition == LIED_ABOUT && batch.base_offset() >= OLDER_FROM;
                batch.set_leader_epoch(if is_older { 3 } else { 7 });
                if is_older {
                    self.begins = self.begins.min(batch.base_offset());
                }
            }
        });
        Fate::Pass
    }
}

fn lied_about(cluster: &Cluster) -> (Topic, crate::dsl::Workdir, Proxy<OlderLeader>) {
    let (topic, workdir) = filled(cluster, 2, "--produce_msgs 300");
    (topic, workdir, Proxy::start(cluster, OlderLeader { begins: i64::MAX }))
}

fn an_older_leader_is_named_where_its_records_begin(cluster: &Cluster) {
    let (topic, workdir, proxy) = lied_about(cluster);
    for readers in ["--seq_read", "--consumer_group_readers 2"] {
        let work = format!("{readers} {SMALL_ANSWERS} {NAME_ALL}");
        let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(1);
        let expected = [named("epoch-back", LIED_ABOUT, proxy.rule().begins)];
        assert_eq!(violations(&finished), expected, "{}", finished.transcript());
    }
}

/// They jump about: an older epoch further back is as it should be, and one further on is not.
fn an_older_leader_is_named_by_random_readers(cluster: &Cluster) {
    let (topic, workdir, proxy) = lied_about(cluster);
    let work = format!("--rand_read_msgs 100 {SMALL_ANSWERS} {NAME_ALL}");
    let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(1);
    let end = topic.ends()[usize::try_from(LIED_ABOUT).expect("a partition")];
    let truth: Vec<Named> =
        (proxy.rule().begins..end).map(|offset| named("epoch-back", LIED_ABOUT, offset)).collect();
    expect_some_of(&finished, &truth);
}

/// Turns a bit in records that come.
struct Flip {
    which: Every,
    /// Partition and offset of what was damaged.
    place: Option<(i32, i64)>,
}

impl Rule for Flip {
    fn pass(&mut self, message: &mut Message) -> Fate {
        let Body::FetchResponse(answer) = &mut message.body else { return Fate::Pass };
        for part in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            let Some(records) = part.records.as_ref().filter(|records| !records.is_empty()) else { continue };
            if self.which.is_due() {
                let mut bytes = records.to_vec();
                self.place = Some((part.partition_index, batches::split(&bytes)[0].base_offset()));
                // In the first record, which the checksum covers.
                bytes[70] ^= 1;
                part.records = Some(bytes.into());
            }
        }
        Fate::Pass
    }
}

fn a_batch_that_a_repeater_cannot_read_is_named(cluster: &Cluster) {
    let (topic, proxy) =
        (cluster.topic(2), Proxy::start(cluster, Flip { which: Every::nth(20, 1), place: None }));
    let work =
        format!("--group {} --payload-size 1000 --initial-data-mb 1 --report report.json", topic.name());
    let run = Run::repeater().args(proxy.flags(&topic)).args(work).start();
    wait_until("a damaged answer", || proxy.rule().place.is_some());
    wait_until("its name", || run.stderr().contains("ERROR corrupt: topic "));
    run.signal(Signal::SIGINT);
    let finished = run.finish().expect_code(1);
    let (partition, offset) = proxy.rule().place.expect("a place");
    assert_eq!(violations(&finished), [named("corrupt", partition, offset)], "{}", finished.transcript());
    let place = format!("corrupt: topic {} partition {partition} offset {offset}: ", topic.name());
    finished.expect_output(&[&place, "proofload: VIOLATION: "]);
}
