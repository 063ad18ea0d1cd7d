//! What is shown of transactions.

use super::{super::*, kit::*};

const COMMITTED: SourceSettings = SourceSettings { read_committed: true, ..SETTINGS };

/// Two transactions of producer 7, of which the first was aborted, among one of producer 8 and plain records.
fn log() -> Vec<Vec<u8>> {
    vec![
        transactional(batch(0, 3, &["a7"]), 7),
        transactional(batch(1, 3, &["b8"]), 8),
        batch(2, 3, &["c"]),
        transactional(batch(3, 3, &["d7"]), 7),
        marker(4, 7, false),
        transactional(batch(5, 3, &["e7"]), 7),
        marker(6, 8, false),
        marker(7, 7, true),
        transactional(batch(8, 3, &["f8"]), 8),
        marker(9, 8, true),
    ]
}

#[test]
fn everything_is_shown_to_whoever_wants_it() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 99, &log())]);
    let shown = bench.shown();
    let records: Vec<_> = shown.iter().filter(|text| text.contains('@')).collect();
    assert_eq!(records, ["0@0 a7", "0@1 b8", "0@2 c", "0@3 d7", "0@5 e7", "0@8 f8"]);
}

#[test]
fn what_was_aborted_is_passed_whatever_order_the_list_has() {
    for aborted in [vec![(7, 0), (8, 1)], vec![(8, 1), (7, 0)]] {
        let mut bench = Bench::reading_as(COMMITTED, 1);
        bench.asks(FIRST);
        bench.give(FIRST, &[Part { aborted, ..part(0, 99, &log()) }]);
        let shown = bench.shown();
        let expected = [
            "0: up to 1",
            "0: up to 2",
            "0@2 c",
            "0: up to 4",
            "0: up to 5",
            "0@5 e7",
            "0: up to 7",
            "0: up to 8",
            "0@8 f8",
            "0: up to 10",
        ];
        assert_eq!(shown, expected);
    }
}

#[test]
fn the_end_is_where_it_is_not_known_what_is_committed() {
    let mut bench = Bench::reading_as(COMMITTED, 1);
    bench.asks(FIRST);
    bench.give(FIRST, &[Part { stable_end: Some(1), ..part(0, 5, &[batch(0, 3, &["a"])]) }]);
    assert_eq!(bench.shown(), ["0@0 a", "0: end 1"]);
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[Part { stable_end: Some(1), ..part(0, 5, &[batch(0, 3, &["a"])]) }]);
    assert_eq!(bench.shown(), ["0@0 a"]);
}

#[test]
fn each_partition_has_a_list_of_its_own() {
    let mut bench = Bench::reading_as(COMMITTED, 2);
    bench.asks(FIRST);
    let one = |partition, aborted| Part {
        aborted,
        ..part(partition, 99, &[transactional(batch(0, 3, &["x"]), 7)])
    };
    bench.give(FIRST, &[one(0, vec![(7, 0)]), one(1, vec![])]);
    assert_eq!(bench.shown(), ["0: up to 1", "1@0 x"]);
}

/// What is told of a log whose broker has this list.
fn told(aborted: &[(i64, i64)]) -> Vec<String> {
    let mut bench = Bench::reading_as(COMMITTED, 1);
    bench.asks(FIRST);
    bench.give(FIRST, &[Part { aborted: aborted.to_vec(), ..part(0, 99, &log()) }]);
    bench.shown().into_iter().filter(|text| text.contains("abort")).collect()
}

#[test]
fn a_list_that_contradicts_the_markers_is_named() {
    assert_eq!(told(&[(7, 0), (8, 1)]), [""; 0]);
    assert_eq!(told(&[(8, 1)]), ["0: hidden abort from 0, marker 4"]);
    assert_eq!(told(&[]), ["0: hidden abort from 0, marker 4", "0: hidden abort from 1, marker 6"]);
    assert_eq!(told(&[(7, 3), (8, 1)]), ["0: belated abort from 0, marker 4"]);
    let invented = told(&[(7, 0), (7, 5), (8, 1), (8, 8)]);
    assert_eq!(invented, ["0: invented abort from 5, marker 7", "0: invented abort from 8, marker 9"]);
}

#[test]
fn a_list_is_for_its_own_answer_and_what_is_missing_proves_nothing() {
    let aborted = |from: usize, to: usize, aborted: &[(i64, i64)]| Part {
        aborted: aborted.to_vec(),
        ..part(0, 99, &log()[from..to])
    };
    // The transaction and its marker come in two answers, each of which has it in its list.
    let mut bench = Bench::reading_as(COMMITTED, 1);
    bench.asks(FIRST);
    bench.give(FIRST, &[aborted(0, 4, &[(7, 0), (8, 1)])]);
    bench.asks(FIRST);
    bench.give(FIRST, &[aborted(4, 10, &[(7, 0), (8, 1)])]);
    assert!(!bench.shown().iter().any(|text| text.contains("abort")));
    // Compaction has taken the marker at 4: the next one of that producer is another transaction's.
    let mut bench = Bench::reading_as(COMMITTED, 1);
    bench.asks(FIRST);
    let mut taken = log();
    taken.remove(4);
    bench.give(FIRST, &[Part { aborted: vec![(8, 1)], ..part(0, 99, &taken) }]);
    assert!(!bench.shown().iter().any(|text| text.contains("abort from 0")));
}
