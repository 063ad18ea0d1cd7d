//! Reading the offset out of a first header, and refusing what is no record id.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proofload::inside::record;

/// Headers in one iteration; enough that a branch predictor cannot learn them by heart.
const HEADERS: usize = 4096;

fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    group.throughput(Throughput::Elements(HEADERS as u64));
    let ids: Vec<_> = (1_234_567_890..).take(HEADERS).map(record::encode_record_id).collect();
    group.bench_function("parse_record_id", |bencher| {
        bencher.iter(|| {
            for id in &ids {
                black_box(record::parse_record_id(black_box(id)));
            }
        });
    });
    let aborted: Vec<_> = ids.iter().map(|id| [b"ABORTED MSG: ", id.as_slice()].concat()).collect();
    group.bench_function("parse_what_is_no_id", |bencher| {
        bencher.iter(|| {
            for text in &aborted {
                black_box(record::parse_record_id(black_box(text)));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, parsing);
criterion_main!(benches);
