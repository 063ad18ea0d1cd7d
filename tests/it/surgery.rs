//! Faults of known truth: the logs of a stopped broker are damaged, one partition for each kind of damage
//! and each seeded place, and the reader has to name every one of them, and nothing else.
//!
//! `PROOFLOAD_SURGERY_SEEDS` says how many places are tried of each kind; see `scripts/prove`.

mod operations;

use std::env;

use proofload::inside::record::Random;

use self::operations::{Damage, Operation, PLAIN, Patient, TRANSACTIONAL, VALUED};
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

/// How a topic is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filling {
    Plain,
    Transactional,
    /// With few keys, whose last values are written down.
    Valued,
}

impl Filling {
    fn operations(self) -> &'static [(&'static str, Operation)] {
        match self {
            Self::Plain => PLAIN,
            Self::Transactional => TRANSACTIONAL,
            Self::Valued => VALUED,
        }
    }

    /// Flags of producer and reader.
    fn flags(self, partitions: usize) -> String {
        match self {
            Self::Plain => String::new(),
            // A shard's partitions share its transactions, some thirty: without any that was aborted, or any that was
            // not, there would be nothing to damage.
            Self::Transactional => format!(
                "--use-transactions --msgs-per-transaction {} --transaction-abort-rate 0.4",
                partitions * 2
            ),
            Self::Valued => {
                "--validate-latest-values --latest-values last --compacted --key-set-cardinality 5".to_owned()
            }
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Plain => "ordinary",
            Self::Transactional => "transactional",
            Self::Valued => "last values",
        }
    }
}

/// A topic that was filled and will be damaged.
pub struct Ward {
    pub title: String,
    pub topic: Topic,
    pub workdir: Workdir,
    pub flags: String,
    /// By partition, from 1 on; partition 0 stays as it is.
    pub operations: Vec<(&'static str, Operation)>,
}

impl Ward {
    pub fn fill(cluster: &Cluster, codec: &str, filling: Filling, seeds: usize) -> Self {
        let operations: Vec<_> = (0..seeds).flat_map(|_| filling.operations().iter().copied()).collect();
        let partitions = operations.len() + 1;
        let (topic, workdir) = (cluster.topic(partitions), Workdir::new());
        let flags = format!("{} --seq_read {}", topic.flags(), filling.flags(partitions));
        let records =
            partitions * RECORDS_PER_PARTITION * if filling == Filling::Transactional { 2 } else { 1 };
        let produce = format!(
            "--produce_msgs {records} --msg_size 100 --batch_max_bytes 1024 --compression-type {codec}"
        );
        Run::verifier().in_dir(&workdir).args(&flags).args(produce).finish().expect_code(0);
        let title = format!("{codec}, {}", filling.title());
        Self { title, topic, workdir, flags, operations }
    }

    pub fn damage(&self, cluster: &Cluster) -> Vec<Damage> {
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
        let (violations, gaps) = (finished.violations(), finished.gaps());
        let of = |partition: i32| -> Vec<(&str, i64)> {
            let here = violations.iter().filter(|named| named.partition == partition);
            here.map(|named| (named.anomaly.as_str(), named.offset)).collect()
        };
        let gaps_of = |partition: i32| {
            gaps.iter().filter(move |gap| gap.partition == partition).map(|gap| ("gap", gap.offset))
        };
        let found_in_0 = of(0).into_iter().chain(gaps_of(0));
        let mut wrong: Vec<String> =
            found_in_0.map(|found| format!("{}: undamaged, and yet {found:?}", self.title)).collect();
        for (partition, ((kind, _), damage)) in (1..).zip(self.operations.iter().zip(damages)) {
            let mut found = of(partition);
            if damage.anomaly == "gap" {
                found.extend(gaps_of(partition));
            }
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
    let fillings = [Filling::Plain, Filling::Transactional, Filling::Valued];
    let ways = CODECS.into_iter().flat_map(|codec| fillings.map(|filling| (codec, filling)));
    let ways = ways.filter(|(codec, filling)| *filling == Filling::Plain || shown(codec));
    let wards: Vec<Ward> = ways.map(|(codec, filling)| Ward::fill(cluster, codec, filling, seeds)).collect();
    let healthy = Ward::fill(cluster, "mixed", Filling::Plain, 1);
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
    // The last batch has the last value of at least one key.
    let places = [(Filling::Plain, false), (Filling::Valued, true)];
    let wards = places.map(|(filling, is_last)| (Ward::fill(cluster, "none", filling, 1), is_last));
    cluster.stop(0);
    let spoilt = wards.map(|(ward, is_last)| {
        let mut log = Log::open(&cluster.partition_folder(&ward.topic, 2));
        let batches = log.batches.len();
        let place = if is_last { batches - 1 } else { batches / 2 };
        log.batches[place].flipped_bit = Some((777, false));
        let offset = log.batches[place].records[0].offset;
        log.close();
        (ward, offset)
    });
    cluster.restart(0);
    for (ward, offset) in spoilt {
        for readers in ["--seq_read", "--consumer_group_readers 2"] {
            let flags = ward.flags.replace("--seq_read", readers);
            let run = Run::verifier().args(&flags).in_dir(&ward.workdir);
            let finished = run.args("--keep-going --report report.json").finish().expect_code(1);
            let named = Named { anomaly: "corrupt".to_owned(), partition: 2, offset };
            assert_eq!(finished.violations(), [named], "{}", finished.transcript());
        }
    }
}
