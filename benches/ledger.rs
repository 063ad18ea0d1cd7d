//! The ledger: acks that become runs, runs that become a set, look-ups, and the file.

use std::{hint::black_box, path::Path};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proofload::inside::ledger::{AckedRuns, Ledger, LedgerStore, OffsetRun, PartitionLedger};

/// Acks or look-ups in one iteration.
const OFFSETS: i64 = 10_000;
const ELEMENTS: Throughput = Throughput::Elements(OFFSETS.unsigned_abs());
/// Partitions of the ledger whose file is written and read.
const PARTITIONS: i32 = 8;

/// Runs of five acked offsets, five apart: what restarts leave behind.
fn runs(count: i64) -> impl Iterator<Item = OffsetRun> {
    (0..count).map(|run| OffsetRun { lower: run * 10, upper: run * 10 + 5 })
}

fn filled(count: i64) -> PartitionLedger {
    let mut ledger = PartitionLedger::default();
    runs(count).for_each(|run| ledger.insert(run));
    ledger
}

fn acks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("acked_runs");
    group.throughput(ELEMENTS);
    for (name, step) in [("push_neighbours", 1), ("push_strangers", 2)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut acked = AckedRuns::default();
                for offset in 0..OFFSETS {
                    acked.push(black_box(offset * step));
                }
                black_box(acked.take())
            });
        });
    }
    group.finish();
}

fn set(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("partition_ledger");
    group.throughput(ELEMENTS);
    group.bench_function("insert_runs", |bencher| {
        bencher.iter_batched(
            PartitionLedger::default,
            |mut ledger| {
                runs(OFFSETS).for_each(|run| ledger.insert(black_box(run)));
                ledger
            },
            BatchSize::LargeInput,
        );
    });
    for count in [1, 1_000, 100_000] {
        let ledger = filled(count);
        group.bench_with_input(BenchmarkId::new("contains_in_runs", count), &ledger, |bencher, ledger| {
            bencher.iter(|| {
                for index in 0..OFFSETS {
                    // A prime's multiples: in no order that a cache would like.
                    black_box(ledger.contains(black_box(index * 7919 % (count * 10))));
                }
            });
        });
    }
    group.finish();
}

/// With fsync and rename: what the control thread does every few seconds.
fn file(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = LedgerStore::new(folder.path(), "bench");
    let mut group = criterion.benchmark_group("ledger_file");
    for runs_each in [1, 10_000] {
        let ledger = whole_ledger(runs_each);
        group.throughput(Throughput::Elements(
            runs_each.unsigned_abs() * u64::from(PARTITIONS.unsigned_abs()),
        ));
        group.bench_with_input(BenchmarkId::new("save_runs_each", runs_each), &ledger, |bencher, ledger| {
            bencher.iter(|| store.save(ledger).expect("a folder that takes files"));
        });
        group.bench_function(BenchmarkId::new("load_runs_each", runs_each), |bencher| {
            bencher.iter(|| load(store.path(), &store));
        });
    }
    group.finish();
}

fn whole_ledger(runs_each: i64) -> Ledger {
    let mut ledger = Ledger::new(PARTITIONS.unsigned_abs() as usize);
    for partition in 0..PARTITIONS {
        let part = ledger.partition_mut(partition).expect("a partition of this ledger");
        runs(runs_each).for_each(|run| part.insert(run));
    }
    ledger
}

fn load(path: &Path, store: &LedgerStore) -> Ledger {
    // A missing file loads as an empty ledger, and would look very fast.
    assert!(path.exists());
    store.load(PARTITIONS.unsigned_abs() as usize).expect("the ledger that was saved")
}

criterion_group!(benches, acks, set, file);
criterion_main!(benches);
