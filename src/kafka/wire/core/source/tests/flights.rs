//! Several requests under way to one broker.

use super::{super::*, kit::*};

const TWO: SourceSettings = SourceSettings { requests_at_once: 2, ..SETTINGS };

/// Of each of these partitions the record at this offset, of a thousand.
fn one_each(partitions: &[i32], offset: i64) -> Vec<Part> {
    partitions.iter().map(|&partition| part(partition, 1_000, &[batch(offset, 3, &["a"])])).collect()
}

/// Whose ends are known, and far away.
fn behind(partitions: i32) -> Bench {
    let mut bench = Bench::reading_as(TWO, partitions);
    let all: Vec<i32> = (0..partitions).collect();
    let asked: Vec<_> = all.iter().map(|&partition| (partition, 0)).collect();
    assert_eq!(bench.asks(FIRST), asked, "all, as it is not known who has anything");
    assert_eq!(bench.asks(FIRST), [], "the broker may let it wait");
    bench.give(FIRST, &one_each(&all, 0));
    bench.shown();
    bench
}

#[test]
fn each_is_about_its_share() {
    let mut bench = behind(5);
    assert_eq!(bench.asks(FIRST), [(0, 1), (1, 1), (2, 1)]);
    assert_eq!(bench.asks(FIRST), [(3, 1), (4, 1)]);
    assert_eq!(bench.asks(FIRST), [], "no more than two");
    bench.give(FIRST, &one_each(&[0, 1, 2], 1));
    assert_eq!(bench.asks(FIRST), [(0, 2), (1, 2), (2, 2)]);
    bench.give(FIRST, &one_each(&[3, 4], 1));
    assert_eq!(bench.asks(FIRST), [], "three answers there, or under way");
    assert_eq!(bench.shown(), ["0@1 a", "1@1 a", "2@1 a", "3@1 a", "4@1 a"]);
    assert_eq!(bench.asks(FIRST), [(3, 2), (4, 2)]);
    // There was no room for 1 and 2.
    bench.give(FIRST, &[part(0, 1_000, &[batch(2, 3, &["a"])]), part(1, 1_000, &[]), part(2, 1_000, &[])]);
    assert_eq!(bench.asks(FIRST), [(1, 2), (2, 2), (0, 3)], "who has waited for longest comes first");
}

#[test]
fn who_is_at_the_end_goes_with_others_and_nobody_goes_behind_it_alone() {
    let mut bench = behind(3);
    assert_eq!(bench.asks(FIRST), [(0, 1), (1, 1)]);
    assert_eq!(bench.asks(FIRST), [(2, 1)]);
    let at_end = |partition, offset| part(partition, offset + 1, &[batch(offset, 3, &["a"])]);
    bench.give(FIRST, &[at_end(0, 1), part(1, 1_000, &[batch(1, 3, &["a"])])]);
    bench.shown();
    assert_eq!(
        bench.asks(FIRST),
        [(0, 2), (1, 2)],
        "beside others, as there is one that is answered at once"
    );
    bench.give(FIRST, &one_each(&[2], 1));
    bench.give(FIRST, &[part(0, 2, &[]), at_end(1, 2)]);
    bench.shown();
    assert_eq!(bench.asks(FIRST), [(0, 2), (2, 2), (1, 3)]);
    bench.give(FIRST, &[at_end(2, 2), part(0, 2, &[]), part(1, 3, &[])]);
    bench.shown();
    assert_eq!(bench.asks(FIRST), [(0, 2), (1, 3), (2, 3)], "nobody has anything");
    assert_eq!(bench.asks(FIRST), [], "and nothing goes behind that");
    bench.give(FIRST, &[part(0, 2, &[]), part(1, 9, &[batch(3, 3, &["a"])]), part(2, 3, &[])]);
    bench.shown();
    assert_eq!(bench.asks(FIRST), [(0, 2), (2, 3), (1, 4)]);
    assert_eq!(bench.asks(FIRST), []);
}

#[test]
fn who_is_at_the_end_does_not_go_behind_others() {
    let mut bench = behind(2);
    assert_eq!(bench.asks(FIRST), [(0, 1)]);
    assert_eq!(bench.asks(FIRST), [(1, 1)]);
    bench.give(FIRST, &[part(0, 2, &[batch(1, 3, &["a"])])]);
    bench.shown();
    assert_eq!(bench.asks(FIRST), [], "there may be nothing in a while, and 1 would wait for that");
    bench.give(FIRST, &one_each(&[1], 1));
    assert_eq!(bench.asks(FIRST), [(0, 2), (1, 2)]);
}

#[test]
fn a_leader_that_names_an_end_and_shows_nothing_may_let_wait() {
    let mut bench = behind(2);
    let is_behind = |bench: &Bench| [0, 1].map(|place| bench.source.positions[place].is_behind());
    assert_eq!(bench.asks(FIRST), [(0, 1)]);
    assert_eq!(bench.asks(FIRST), [(1, 1)]);
    bench.give(FIRST, &[part(0, 1_000, &[])]);
    assert_eq!(is_behind(&bench), [false, true]);
    assert_eq!(bench.asks(FIRST), []);
}

#[test]
fn who_wants_much_at_once_has_one_request() {
    let mut bench = Bench::reading_as(SourceSettings { min_bytes: 1_000, ..TWO }, 2);
    bench.asks(FIRST);
    bench.give(FIRST, &one_each(&[0, 1], 0));
    bench.shown();
    assert_eq!(bench.asks(FIRST), [(0, 1), (1, 1)]);
    assert_eq!(bench.asks(FIRST), []);
}

#[test]
fn none_of_them_is_lost_with_the_connection() {
    let mut bench = behind(4);
    assert_eq!(bench.asks(FIRST), [(0, 1), (1, 1)]);
    assert_eq!(bench.asks(FIRST), [(2, 1), (3, 1)]);
    for _ in 0..2 {
        bench.source.fetch_failed(turn(FIRST), bench.now_us);
    }
    assert_eq!(bench.asks(FIRST), [], "after a pause");
    bench.pass();
    assert_eq!(bench.asks(FIRST), [(0, 1), (1, 1)]);
    assert_eq!(bench.asks(FIRST), [(2, 1), (3, 1)]);
}

#[test]
fn of_a_new_leader_nobody_knows_what_it_has() {
    let mut bench = behind(2);
    bench.lead_by(0, 2, 4);
    let is_behind = |place: usize| bench.source.positions[place].is_behind();
    assert_eq!([is_behind(0), is_behind(1)], [false, true]);
}
