//! What a record costs before the client sees it: its id, its key, its value.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proofload::inside::record::{self, Content, Fill, KeyText, PayloadPool, Proof, RECORD_ID_HEADER, Random};

/// Records in one iteration: what a shard sends in one burst.
const BURST: i64 = 256;
/// Offsets of a topic that has seen some load: 10 digits are not 0.
const FIRST_OFFSET: i64 = 1_234_567_890;

fn ids(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(BURST.unsigned_abs()));
    group.bench_function("encode_record_id", |bencher| {
        bencher.iter(|| {
            for offset in FIRST_OFFSET..FIRST_OFFSET + BURST {
                black_box(record::encode_record_id(black_box(offset)));
            }
        });
    });
    group.bench_function("key_of_record_id", |bencher| {
        let id = record::encode_record_id(FIRST_OFFSET);
        bencher.iter(|| {
            for _ in 0..BURST {
                black_box(KeyText::of_record_id(black_box(id)).as_bytes());
            }
        });
    });
    group.bench_function("key_of_set", |bencher| {
        bencher.iter(|| {
            for index in 0..BURST.unsigned_abs() {
                black_box(KeyText::of_set(black_box(index)).as_bytes());
            }
        });
    });
    group.finish();
}

fn payloads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("payload_pool");
    group.throughput(Throughput::Elements(BURST.unsigned_abs()));
    for value_bytes in [128, 16_384] {
        let mut random = Random::from_seed(1);
        let pool = PayloadPool::new(Fill::Printable, value_bytes, false, &mut random);
        group.bench_function(format!("pick_{value_bytes}"), |bencher| {
            bencher.iter(|| {
                for _ in 0..BURST {
                    black_box(pool.pick(&mut random));
                }
            });
        });
    }
    group.finish();
}

/// The second header, whose digest of the value is known.
fn proof_headers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("proof_header");
    group.throughput(Throughput::Elements(BURST.unsigned_abs()));
    let ids: Vec<_> = (FIRST_OFFSET..FIRST_OFFSET + BURST).map(record::encode_record_id).collect();
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            for (sequence, id) in (0..).zip(&ids) {
                let proof =
                    Proof { run: 1, sequence, timestamp_ms: Some(1_000), micros: None, transaction: None };
                let content = Content::new(Some(id), black_box(7), (RECORD_ID_HEADER.as_bytes(), id));
                black_box(record::encode(black_box(&proof), &content));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, ids, payloads, proof_headers);
criterion_main!(benches);
