//! The same damaged logs, read by our own client and by librdkafka: what both can see they have to say alike.
//!
//! `PROOFLOAD_SIDE_BY_SIDE` says of how many logs; see `scripts/prove`.

use std::{collections::BTreeMap, env};

use crate::{
    Test,
    dsl::{Cluster, Run},
    surgery::{Filling, Ward},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![OwnReal(&[], the_two_clients_say_the_same_of_damaged_logs)]
}

/// Logs where none are asked for: one of each kind of damage.
const USUAL: usize = 30;

/// What is said of a partition: names of anomalies, and where.
type Said = BTreeMap<i32, Vec<(String, i64)>>;

/// What a client has to say of a topic.
fn said(ward: &Ward, client: &str) -> Said {
    let run = Run::verifier().in_dir(&ward.workdir).args(&ward.flags);
    let finished =
        run.args(format!("--client {client} --keep-going --report report.json")).finish().expect_code(1);
    let mut said = Said::new();
    let gaps = finished.gaps().into_iter().map(|gap| (gap.partition, ("gap".to_owned(), gap.offset)));
    let violations = finished.violations().into_iter();
    for (partition, named) in
        violations.map(|named| (named.partition, (named.anomaly, named.offset))).chain(gaps)
    {
        said.entry(partition).or_default().push(named);
    }
    for all in said.values_mut() {
        all.sort_by_key(|(name, offset)| (*offset, name.clone()));
    }
    said
}

/// How what the two say of a log compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    Alike,
    /// Ours says all that the other one says, and more.
    More,
    Other,
}

fn compare(ours: &[(String, i64)], theirs: &[(String, i64)]) -> Compared {
    match theirs.iter().all(|one| ours.contains(one)) {
        true if ours.len() == theirs.len() => Compared::Alike,
        true => Compared::More,
        false => Compared::Other,
    }
}

fn the_two_clients_say_the_same_of_damaged_logs(cluster: &Cluster) {
    let logs = env::var("PROOFLOAD_SIDE_BY_SIDE").ok().and_then(|logs| logs.parse().ok()).unwrap_or(USUAL);
    let seeds = logs.div_ceil(USUAL).max(1);
    let ways = [("none", Filling::Plain), ("zstd", Filling::Transactional), ("none", Filling::Valued)];
    let wards = ways.map(|(codec, filling)| Ward::fill(cluster, codec, filling, seeds));
    cluster.stop(0);
    for ward in &wards {
        ward.damage(cluster);
    }
    cluster.restart(0);
    let mut wrong = Vec::new();
    for ward in &wards {
        let (ours, theirs) = (said(ward, "wire"), said(ward, "librdkafka"));
        let nothing = Vec::new();
        let (mut alike, mut others) = (0, 0);
        for (partition, (kind, _)) in (1..).zip(&ward.operations) {
            let of = |said: &Said| said.get(&partition).unwrap_or(&nothing).clone();
            let (ours, theirs) = (of(&ours), of(&theirs));
            match compare(&ours, &theirs) {
                Compared::Alike => alike += 1,
                Compared::More => {
                    alike += 1;
                    println!("side_by_side: {kind}: only ours sees more: {ours:?}, and not only {theirs:?}");
                }
                Compared::Other => {
                    others += 1;
                    wrong.push(format!("{}: {kind}: {ours:?}, and librdkafka {theirs:?}", ward.title));
                }
            }
        }
        for said in [&ours, &theirs] {
            wrong.extend(said.get(&0).map(|found| format!("{}: undamaged: {found:?}", ward.title)));
        }
        println!("side_by_side: {:<22} {alike:>4} true, {others} not", ward.title);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
