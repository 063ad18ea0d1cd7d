//! Whatever comes: no panic, no end without a word, nothing shown twice.

use proptest::prelude::*;

use super::{super::*, kit::*};

/// A few batches, of which some bytes are changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6);
    (changes, any::<bool>()).prop_map(|(changes, fits)| {
        let all = [
            batch(0, 3, &["a", "b"]),
            emptied(2, 3, 3),
            transactional(batch(5, 3, &["c"]), 7),
            marker(6, 7, false),
            batch(7, 4, &["d", "e", "f"]),
        ];
        let mut all = all.map(|mut batch| {
            for (index, byte) in &changes {
                let at = index.index(batch.len() * 5);
                if let Some(place) = batch.get_mut(at) {
                    *place = *byte;
                }
            }
            if fits { sealed(batch) } else { batch }
        });
        all.reverse();
        let mut bytes = all.into_iter().rev().collect::<Vec<_>>().concat();
        if let Some((index, _)) = changes.first() {
            bytes.truncate(bytes.len() - index.index(bytes.len() / 2));
        }
        bytes
    })
}

/// Reads until nothing more comes of it. Returns what was shown.
fn read(batches: &[u8], read_committed: bool) -> Vec<String> {
    let mut bench = Bench::reading_as(SourceSettings { read_committed, ..SETTINGS }, 2);
    let mut shown = Vec::new();
    for _ in 0..30 {
        let asked = bench.asks(FIRST);
        if !asked.is_empty() {
            let served = |&(partition, _): &(i32, i64)| Part {
                aborted: vec![(7, 5)],
                ..part(partition, 10, &[batches.to_vec()])
            };
            let parts: Vec<Part> =
                asked.iter().filter(|(partition, _)| *partition == 0).map(served).collect();
            bench.give(FIRST, &parts);
        }
        shown.extend(bench.shown());
        bench.pass();
    }
    shown
}

proptest! {
    #[test]
    fn damaged_batches_end_in_a_word(batches in damaged(), read_committed: bool) {
        read(&batches, read_committed);
    }

    #[test]
    fn any_answer_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bench = Bench::reading(1);
        bench.asks(FIRST);
        let _ = bench.give_bytes(FIRST, bytes);
        bench.pass();
        bench.asks(FIRST);
        let mut answer = answer(TOPIC, &[part(0, 9, &[batch(0, 3, &["a", "b"]), batch(2, 3, &["c"])])]);
        for (index, byte) in flips {
            let at = index.index(answer.len());
            answer[at] = byte;
        }
        let _ = bench.give_bytes(FIRST, answer);
        bench.shown();
    }
}
