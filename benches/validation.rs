//! Validating a record that was read: one that names its offset, which needs no ledger,
//! and one that does not, which is looked up there.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proofload::inside::{
    ledger::{OffsetRun, PartitionLedger},
    record::{
        self, Content, Encoded, PROOF_HEADER, PartitionState, Proof, RECORD_ID_BYTES, RECORD_ID_HEADER,
        RecordView, Rules, Visible,
    },
};

const RULES: Rules =
    Rules { visible: Visible::All, proof_header: true, whole_transactions: false, ledger_grows: false };

/// Records in one iteration: what a reader takes from its client at once.
const RECORDS: u16 = 10_000;

fn view(offset: i64, id: &[u8; RECORD_ID_BYTES]) -> RecordView<'_> {
    RecordView {
        offset,
        leader_epoch: 3,
        sent_ms: Some(1_000),
        has_sound_headers: true,
        second_header: None,
        first_header: Some((RECORD_ID_HEADER.as_bytes(), id)),
        key: Some(id),
        value: Some(&[0; 128]),
        batch: None,
    }
}

fn check_all(ids: &[[u8; RECORD_ID_BYTES]], ledger: Option<&PartitionLedger>) {
    let mut state = PartitionState::default();
    for (offset, id) in (0..).zip(ids) {
        black_box(state.check(black_box(&view(offset, id)), ledger, RULES).is_ok());
    }
}

/// Acked offsets that lie above all those of the records, in so many runs.
fn ledger_above(runs: i64) -> PartitionLedger {
    let first = i64::from(RECORDS);
    let mut ledger = PartitionLedger::default();
    for run in 0..runs {
        let lower = first + run * 10;
        ledger.insert(OffsetRun { lower, upper: lower + 5 });
    }
    ledger
}

fn validation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("validation");
    group.throughput(Throughput::Elements(u64::from(RECORDS)));
    let valid: Vec<_> = (0..).take(usize::from(RECORDS)).map(record::encode_record_id).collect();
    group.bench_function("valid", |bencher| bencher.iter(|| check_all(&valid, None)));
    // One offset off: every record is looked up, and none was acked.
    let strange: Vec<_> = (1..).take(usize::from(RECORDS)).map(record::encode_record_id).collect();
    for runs in [1, 1_000, 100_000] {
        let ledger = ledger_above(runs);
        group.bench_with_input(BenchmarkId::new("looked_up_in_runs", runs), &ledger, |bencher, ledger| {
            bencher.iter(|| check_all(&strange, Some(ledger)));
        });
    }
    group.finish();
}

/// With proof headers: the value is read for the first time here, and digested.
fn proofs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("proof");
    group.throughput(Throughput::Elements(u64::from(RECORDS)));
    for value_bytes in [128, 16_384] {
        let value = vec![7; value_bytes];
        let ids: Vec<_> = (0..).take(usize::from(RECORDS)).map(record::encode_record_id).collect();
        let headers: Vec<_> = (0..).zip(&ids).map(|(sequence, id)| header(sequence, id, &value)).collect();
        group.bench_function(format!("valid_{value_bytes}"), |bencher| {
            bencher.iter(|| {
                let mut state = PartitionState::default();
                for ((offset, id), header) in (0..).zip(&ids).zip(&headers) {
                    let second_header = Some((PROOF_HEADER.as_bytes(), header.as_bytes()));
                    let record = RecordView { second_header, value: Some(&value), ..view(offset, id) };
                    black_box(state.check(black_box(&record), None, RULES).is_ok());
                }
            });
        });
    }
    group.finish();
}

fn header(sequence: u64, id: &[u8; RECORD_ID_BYTES], value: &[u8]) -> Encoded {
    let proof = Proof { run: 1, sequence, timestamp_ms: Some(1_000), micros: None, transaction: None };
    let content = Content::new(Some(id), record::digest_of(Some(value)), (RECORD_ID_HEADER.as_bytes(), id));
    record::encode(&proof, &content)
}

/// What any digest of a value has to beat: a pass over values that come out of the processor's last cache, as those of a
/// fetch do, which merely adds up their words.
fn passes(criterion: &mut Criterion) {
    const VALUE_BYTES: usize = 16_384;
    let values: Vec<u8> = (0..=u8::MAX).cycle().take(256 * VALUE_BYTES).collect();
    let mut group = criterion.benchmark_group("pass_over_16384");
    group.throughput(Throughput::Elements(256));
    let all = |pass: fn(&[u8]) -> u64| values.chunks_exact(VALUE_BYTES).map(pass).fold(0, u64::wrapping_add);
    group.bench_function("digest", |bencher| {
        bencher.iter(|| all(|value| record::digest_of(Some(black_box(value)))));
    });
    group.bench_function("sum_of_words", |bencher| bencher.iter(|| all(|value| sum(black_box(value)))));
    group.finish();
}

/// In lanes, so that several words are added at once.
fn sum(value: &[u8]) -> u64 {
    let mut lanes = [0_u64; 8];
    for words in value.as_chunks::<8>().0.as_chunks::<8>().0 {
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    lanes.into_iter().fold(0, u64::wrapping_add)
}

criterion_group!(benches, validation, proofs, passes);
criterion_main!(benches);
