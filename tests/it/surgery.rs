//! Faults of known truth: the logs of a stopped broker are damaged, one partition for each kind of damage
//! and each seeded place, and the reader has to name every one of them, and nothing else.
//!
//! `PROOFLOAD_SURGERY_SEEDS` says how many places are tried of each kind; see `scripts/prove`.

use std::env;

use proofload::random::Random;

use crate::{
    Test,
    dsl::{
        Cluster, Run, Topic, Workdir, ledger, ledger::LedgerFile, ledger::OffsetRange, run::Named,
        surgery::Log,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        OwnReal(&[], every_damage_is_named_and_nothing_else),
        OwnReal(&[], a_batch_that_cannot_be_read_is_passed_over),
    ]
}

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const RECORDS_PER_PARTITION: usize = 60;

/// What was done to a partition, and what the reader has to say of it.
struct Damage {
    anomaly: &'static str,
    offset: i64,
    /// What may be said besides.
    also: &'static [&'static str],
}

/// A partition under surgery.
struct Patient {
    log: Log,
    /// What its ledger lists.
    acked: Vec<i64>,
    random: Random,
    seed: usize,
}

type Operation = fn(&mut Patient) -> Damage;

const PLAIN: &[(&str, Operation)] = &[
    ("lost in the middle", lose_some),
    ("lost at the end", lose_the_end),
    ("at another offset", shift),
    ("stored twice", duplicate),
    ("stored in another order", swap),
    ("an epoch that goes back", epoch_back),
    ("a bit of the key", |patient| corrupt(patient, |record, bit| flip(record.key.as_mut().unwrap(), bit))),
    ("a bit of the value", |patient| {
        corrupt(patient, |record, bit| flip(record.value.as_mut().unwrap(), bit))
    }),
    ("a bit of the id's name", |patient| corrupt(patient, |record, bit| flip(&mut record.headers[0].0, bit))),
    ("a bit of the id", |patient| corrupt(patient, |record, bit| flip(&mut record.headers[0].1, bit))),
    ("a bit of the proof's name", |patient| {
        corrupt(patient, |record, bit| flip(&mut record.headers[1].0, bit))
    }),
    ("a bit of the proof", |patient| corrupt(patient, |record, bit| flip(&mut record.headers[1].1, bit))),
    ("a bit of the time", |patient| corrupt(patient, |record, bit| record.timestamp_ms ^= 1 << (bit % 40))),
];

const TRANSACTIONAL: &[(&str, Operation)] = &[
    ("a transaction lost", lose_a_transaction),
    ("a transaction torn", tear),
    ("stored twice", duplicate),
    ("stored in another order", swap),
    ("an epoch that goes back", epoch_back),
    ("aborted, and yet shown", show_aborted),
    ("committed, and yet hidden", hide_committed),
    ("a bit of the value", |patient| {
        corrupt(patient, |record, bit| flip(record.value.as_mut().unwrap(), bit))
    }),
    ("a bit of the proof", |patient| corrupt(patient, |record, bit| flip(&mut record.headers[1].1, bit))),
];

fn flip(bytes: &mut [u8], bit: usize) {
    let bit = bit % (bytes.len() * 8);
    // The highest bit of a name would leave no text, which a client need not show.
    bytes[bit / 8] ^= 1 << (bit % 7);
}

impl Patient {
    /// An acked record with another one right before and right behind it.
    fn place(&mut self) -> i64 {
        let inner =
            |offset: &&i64| self.acked.contains(&(*offset - 1)) && self.acked.contains(&(*offset + 1));
        let places: Vec<i64> = self.acked.iter().filter(inner).copied().collect();
        places[self.random.index(places.len())]
    }

    /// What the ledger of a producer would list that was told of these offsets what came of them.
    fn forget(&mut self, forgotten: impl Fn(i64) -> bool) {
        self.acked.retain(|offset| !forgotten(*offset));
    }

    /// The transactions on the partition: their offsets, whether they were committed.
    fn transactions(&self) -> Vec<(Vec<i64>, bool)> {
        let (mut all, mut open) = (Vec::new(), Vec::new());
        for batch in &self.log.batches {
            if batch.is_control() {
                let committed = batch.records[0].key.as_ref().is_some_and(|key| key[3] == 1);
                all.push((std::mem::take(&mut open), committed));
            } else {
                open.extend(batch.records.iter().map(|record| record.offset));
            }
        }
        all
    }

    /// One of those that suit, but neither the first nor the last.
    fn transaction(&mut self, suits: impl Fn(&(Vec<i64>, bool)) -> bool) -> (usize, Vec<i64>) {
        let all = self.transactions();
        let inner = all.iter().enumerate().take(all.len() - 1).skip(1);
        let suiting: Vec<_> = inner.filter(|(_, transaction)| suits(transaction)).collect();
        assert!(!suiting.is_empty(), "no such transaction: {all:?}");
        let (index, (offsets, _)) = suiting[self.random.index(suiting.len())];
        (index, offsets.clone())
    }
}

fn lose_some(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    let size = 1 + i64::try_from(patient.seed % 5).unwrap();
    patient.log.remove(offset..offset + size);
    Damage { anomaly: "lost-write", offset, also: &[] }
}

fn lose_the_end(patient: &mut Patient) -> Damage {
    let offset = patient.place() + 1;
    patient.log.truncate(offset);
    Damage { anomaly: "lost-write", offset, also: &[] }
}

fn shift(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    patient.log.shift(offset, 1);
    Damage { anomaly: "wrong-offset", offset: offset + 1, also: &["wrong-offset", "lost-write"] }
}

/// The acks of what follows would have come from elsewhere than predicted.
fn duplicate(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    patient.log.duplicate(offset);
    patient.forget(|acked| acked > offset);
    Damage { anomaly: "duplicate", offset: offset + 1, also: &[] }
}

fn swap(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    patient.log.swap(offset);
    patient.forget(|acked| acked == offset || acked == offset + 1);
    Damage { anomaly: "reorder", offset: offset + 1, also: &[] }
}

fn epoch_back(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    patient.log.set_epoch(0, 1);
    patient.log.set_epoch(offset, 0);
    Damage { anomaly: "epoch-back", offset, also: &[] }
}

fn corrupt(patient: &mut Patient, change: fn(&mut crate::dsl::surgery::Record, usize)) -> Damage {
    let offset = patient.place();
    let bit = patient.random.index(1 << 20);
    change(patient.log.record(offset), bit);
    Damage { anomaly: "corrupt", offset, also: &[] }
}

fn lose_a_transaction(patient: &mut Patient) -> Damage {
    let (_, offsets) = patient.transaction(|(offsets, committed)| *committed && !offsets.is_empty());
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    patient.log.remove(first..last + 1);
    Damage { anomaly: "lost-write", offset: first, also: &[] }
}

fn tear(patient: &mut Patient) -> Damage {
    let (_, offsets) = patient.transaction(|(offsets, committed)| *committed && offsets.len() > 1);
    let torn = offsets[patient.random.index(offsets.len())];
    let all = patient.transactions();
    patient.log.remove(torn..torn + 1);
    // It shows at the next record that a reader is shown.
    let shown = all.iter().filter(|(_, committed)| *committed).flat_map(|(offsets, _)| offsets);
    let offset = shown.copied().find(|offset| *offset > torn).expect("a record behind it");
    Damage { anomaly: "torn-transaction", offset, also: &["lost-write"] }
}

fn show_aborted(patient: &mut Patient) -> Damage {
    let (index, offsets) = patient.transaction(|(offsets, committed)| !committed && !offsets.is_empty());
    patient.log.turn_marker(index);
    Damage { anomaly: "aborted-read", offset: offsets[0], also: &["aborted-read"] }
}

fn hide_committed(patient: &mut Patient) -> Damage {
    let (index, offsets) = patient.transaction(|(offsets, committed)| *committed && !offsets.is_empty());
    patient.log.turn_marker(index);
    Damage { anomaly: "lost-write", offset: offsets[0], also: &[] }
}

/// A topic that was filled and will be damaged.
struct Ward {
    title: String,
    topic: Topic,
    workdir: Workdir,
    flags: String,
    /// By partition, from 1 on; partition 0 stays as it is.
    operations: Vec<(&'static str, Operation)>,
}

impl Ward {
    fn fill(cluster: &Cluster, codec: &str, transactions: bool, seeds: usize) -> Self {
        let kinds = if transactions { TRANSACTIONAL } else { PLAIN };
        let operations: Vec<_> = (0..seeds).flat_map(|_| kinds.iter().copied()).collect();
        let partitions = operations.len() + 1;
        let (topic, workdir) = (cluster.topic(partitions), Workdir::new());
        // A shard's partitions share its transactions, some thirty: without any that was aborted, or any that was
        // not, there would be nothing to damage.
        let transacted = format!(
            "--use-transactions --msgs-per-transaction {} --transaction-abort-rate 0.4",
            partitions * 2
        );
        let flags = format!("{} --seq_read {}", topic.flags(), if transactions { &transacted } else { "" });
        let records = partitions * RECORDS_PER_PARTITION * if transactions { 2 } else { 1 };
        let produce = format!(
            "--produce_msgs {records} --msg_size 100 --batch_max_bytes 1024 --compression-type {codec}"
        );
        Run::verifier().in_dir(&workdir).args(&flags).args(produce).finish().expect_code(0);
        let title = format!("{codec}, {}", if transactions { "transactional" } else { "ordinary" });
        Self { title, topic, workdir, flags, operations }
    }

    fn damage(&self, cluster: &Cluster) -> Vec<Damage> {
        let mut file = LedgerFile::read(self.workdir.path(), self.topic.name());
        let operate = |(index, (_, operation)): (usize, &(&str, Operation))| {
            let ranges = &mut file.partition_ranges[index].ranges;
            let offsets = ranges.iter().flatten().flat_map(|range| range.lower..range.upper).collect();
            let folder = cluster.partition_folder(&self.topic, i32::try_from(index).unwrap());
            let mut patient = Patient {
                log: Log::open(&folder),
                acked: offsets,
                random: Random::from_seed(index as u64),
                seed: index,
            };
            let damage = operation(&mut patient);
            let one = |offset: &i64| OffsetRange { lower: *offset, upper: offset + 1 };
            *ranges = Some(patient.acked.iter().map(one).collect());
            patient.log.close();
            damage
        };
        let damages = (1..).zip(&self.operations).map(operate).collect();
        self.workdir.write(&ledger::file_name(self.topic.name()), file.text());
        damages
    }

    /// Each damage must be named first in its partition, and nothing anywhere else. Returns what was wrong.
    fn examine(&self, damages: &[Damage]) -> Vec<String> {
        let run = || Run::verifier().in_dir(&self.workdir).args(&self.flags);
        run().finish().expect_code(1).expect_output(&["VIOLATION: "]);
        let finished = run().args("--keep-going --report report.json").finish().expect_code(1);
        let violations = finished.violations();
        let of = |partition: i32| -> Vec<(&str, i64)> {
            let here = violations.iter().filter(|named| named.partition == partition);
            here.map(|named| (named.anomaly.as_str(), named.offset)).collect()
        };
        let mut wrong: Vec<String> =
            of(0).iter().map(|found| format!("{}: undamaged, and yet {found:?}", self.title)).collect();
        for (partition, ((kind, _), damage)) in (1..).zip(self.operations.iter().zip(damages)) {
            let found = of(partition);
            let right = found.split_first().is_some_and(|(first, rest)| {
                *first == (damage.anomaly, damage.offset)
                    && rest.iter().all(|(name, _)| damage.also.contains(name))
            });
            if !right {
                let wanted = (damage.anomaly, damage.offset);
                wrong.push(format!(
                    "{}: {kind} in partition {partition}: {wanted:?}, not {found:?}",
                    self.title
                ));
            }
        }
        wrong
    }
}

fn every_damage_is_named_and_nothing_else(cluster: &Cluster) {
    let seeds = env::var("PROOFLOAD_SURGERY_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1);
    // A few are enough to see that all is well; all of them are for the long form.
    let shown = |codec: &str| seeds > 1 || ["none", "zstd"].contains(&codec);
    let ways = CODECS.into_iter().flat_map(|codec| [(codec, false), (codec, true)]);
    let ways = ways.filter(|(codec, transactions)| !transactions || shown(codec));
    let wards: Vec<Ward> =
        ways.map(|(codec, transactions)| Ward::fill(cluster, codec, transactions, seeds)).collect();
    let healthy = Ward::fill(cluster, "mixed", false, 1);
    cluster.stop(0);
    let damages: Vec<_> = wards.iter().map(|ward| ward.damage(cluster)).collect();
    cluster.restart(0);
    let mut wrong = Vec::new();
    for (ward, damages) in wards.iter().zip(&damages) {
        let found = ward.examine(damages);
        let (all, bad) = (damages.len() + 1, found.len());
        println!("surgery: {:<22} {:>4} named right, {bad} not", ward.title, all.saturating_sub(bad));
        wrong.extend(found);
    }
    Run::verifier().in_dir(&healthy.workdir).args(&healthy.flags).finish().expect_code(0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The batch is named once, and passed over where the run goes on: none of it, and nothing behind it, is missed.
fn a_batch_that_cannot_be_read_is_passed_over(cluster: &Cluster) {
    let ward = Ward::fill(cluster, "none", false, 1);
    cluster.stop(0);
    let mut log = Log::open(&cluster.partition_folder(&ward.topic, 2));
    let middle = log.batches.len() / 2;
    log.batches[middle].flipped_bit = Some((777, false));
    let offset = log.batches[middle].records[0].offset;
    log.close();
    cluster.restart(0);
    for readers in ["--seq_read", "--consumer_group_readers 2"] {
        let flags = ward.flags.replace("--seq_read", readers);
        let run = Run::verifier().args(&flags).in_dir(&ward.workdir);
        let finished = run.args("--keep-going --report report.json").finish().expect_code(1);
        let named = Named { anomaly: "corrupt".to_owned(), partition: 2, offset };
        assert_eq!(finished.violations(), [named], "{}", finished.transcript());
    }
}
