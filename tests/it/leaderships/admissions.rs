//! What brokers themselves admit to have lost: a leader that starts below a high watermark that was reached before it.
//!
//! Elections alone can do that to Apache Kafka (seen with 4.1.2 on a machine with thirty runnable threads). A broker leads in epoch 53, and again in epoch
//! 55, and is so late that it never hears of epoch 54, in which another one led. As it was no follower meanwhile, it keeps
//! what it knew of its followers' logs (`Partition.makeLeader`, `Replica.resetReplicaState`), one of which was cut off in epoch 54. It takes
//! the high watermark past the end of that log, so that records are acked and shown which the next leader does not have. Whoever tells of that
//! tells the truth.

use std::{collections::BTreeMap, fs};

use crate::{Test, dsl::Cluster, tests};

pub fn tests() -> Vec<(String, Test)> {
    tests![Alone(a_leader_below_what_was_committed_is_an_admission)]
}

/// A leader that starts below what was committed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The epoch of the leader.
    pub epoch: i32,
    /// Where its log ended.
    pub start: i64,
    /// The high watermark that was known by then.
    pub high_watermark: i64,
}

/// What a broker writes when it leads or follows from now on.
#[derive(Clone, Copy, Debug)]
struct Turn {
    leads: bool,
    epoch: i32,
    /// Where its log ends, and how far of that it knows to be committed.
    offset: i64,
    high_watermark: i64,
}

/// By partition (`topic-number`), from the logs of all nodes.
pub fn of(cluster: &Cluster, nodes: usize) -> BTreeMap<String, Vec<Admission>> {
    let logs = (0..nodes).map(|node| fs::read_to_string(cluster.server_log_of(node)).unwrap_or_default());
    among(&logs.collect::<Vec<_>>().concat())
}

fn among(log: &str) -> BTreeMap<String, Vec<Admission>> {
    let mut turns = BTreeMap::<&str, Vec<Turn>>::new();
    for (partition, turn) in log.lines().filter_map(turn) {
        turns.entry(partition).or_default().push(turn);
    }
    let admitted = turns.into_iter().map(|(partition, turns)| (partition.to_owned(), admissions(&turns)));
    admitted.filter(|(_, admissions)| !admissions.is_empty()).collect()
}

fn admissions(turns: &[Turn]) -> Vec<Admission> {
    let leader = |leader: &Turn| {
        let before = turns.iter().filter(|turn| turn.epoch <= leader.epoch);
        let high_watermark = before.map(|turn| turn.high_watermark).max()?;
        let (epoch, start) = (leader.epoch, leader.offset);
        (high_watermark > start).then_some(Admission { epoch, start, high_watermark })
    };
    turns.iter().filter(|turn| turn.leads).filter_map(leader).collect()
}

/// `[Broker id=0] Leader t-57 … starts at leader epoch 55 from offset 185 …, high watermark 181, …`
fn turn(line: &str) -> Option<(&str, Turn)> {
    let (head, tail) = line.split_once(" starts at leader epoch ")?;
    let role = head.split("] ").last()?;
    let mut words = role.split(' ');
    let (leads, partition) = (words.next()? == "Leader", words.next()?);
    let number = |before: &str| {
        let rest = tail.split_once(before)?.1;
        rest.split(|next: char| !next.is_ascii_digit()).next()?.parse().ok()
    };
    let epoch = tail.split(' ').next()?.parse().ok()?;
    let (offset, high_watermark) = (number("from offset ")?, number("high watermark ")?);
    Some((partition, Turn { leads, epoch, offset, high_watermark }))
}

fn a_leader_below_what_was_committed_is_an_admission() {
    const SOUND: &str = "\
        [1] INFO [Broker id=0] Leader t-5 with topic id Some(x) starts at leader epoch 55 from offset 185 with partition epoch 118, high watermark 181, ISR [1,0,2]\n\
        [2] INFO [Broker id=2] Follower t-5 starts at leader epoch 55 from offset 181 with partition epoch 118 and high watermark 181. Current leader is 0.\n\
        [3] INFO [Broker id=2] Leader t-57 starts at leader epoch 3 from offset 7 with partition epoch 9, high watermark 7, ISR [1,0,2]\n";
    const LOSS: &str = "\
        [4] INFO [Broker id=0] Follower t-5 starts at leader epoch 56 from offset 185 with partition epoch 120 and high watermark 185. Current leader is 2.\n\
        [5] INFO [Broker id=2] Leader t-5 starts at leader epoch 56 from offset 181 with partition epoch 120, high watermark 181, ISR [1,0,2]\n\
        [6] INFO [Broker id=1] Leader t-5 starts at leader epoch 57 from offset 186 with partition epoch 122, high watermark 185, ISR [1,0,2]\n";
    assert_eq!(among(SOUND), BTreeMap::new());
    let admission = Admission { epoch: 56, start: 181, high_watermark: 185 };
    assert_eq!(among(&[SOUND, LOSS].concat()), BTreeMap::from([("t-5".to_owned(), vec![admission])]));
}
