//! Several requests under way to one broker.

use super::{super::*, kit::*};

/// Two at once, and room for two partitions in each answer.
const TWO: SourceSettings =
    SourceSettings { requests_at_once: 2, max_bytes: 2 * SETTINGS.partition_max_bytes, ..SETTINGS };

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
fn each_is_about_as_many_partitions_as_there_is_room_for() {
    let mut bench = behind(5);
    assert_eq!(bench.asks(FIRST), [(0, 1), (1, 1)]);
    assert_eq!(bench.asks(FIRST), [(2, 1), (3, 1)]);
    assert_eq!(bench.asks(FIRST), [], "no more than two");
    bench.give(FIRST, &one_each(&[0, 1], 1));
    assert_eq!(bench.asks(FIRST), [(4, 1), (0, 2)], "who has waited for longest comes first");
    bench.give(FIRST, &one_each(&[2, 3], 1));
    assert_eq!(bench.asks(FIRST), [], "three answers there, or under way");
    assert_eq!(bench.shown(), ["0@1 a", "1@1 a", "2@1 a", "3@1 a"]);
    assert_eq!(bench.asks(FIRST), [(1, 2), (2, 2)]);
    bench.give(FIRST, &one_each(&[4, 0], 1));
    assert_eq!(bench.asks(FIRST), [(3, 2), (4, 2)]);
}

#[test]
fn who_is_at_the_end_is_asked_for_with_the_first_and_alone_nobody_goes_behind_it() {
    let mut bench = behind(3);
    assert_eq!(bench.asks(FIRST), [(0, 1), (1, 1)]);
    assert_eq!(bench.asks(FIRST), [(2, 1)]);
    let at_end = |partition| part(partition, 2, &[batch(1, 3, &["a"])]);
    bench.give(FIRST, &[at_end(0), at_end(1)]);
    bench.shown();
    assert_eq!(bench.asks(FIRST), [], "the other one's answer comes first");
    bench.give(FIRST, &one_each(&[2], 1));
    assert_eq!(bench.asks(FIRST), [(0, 2), (1, 2), (2, 2)], "that one is answered at once");
    bench.give(FIRST, &[part(0, 3, &[]), part(1, 2, &[]), at_end(2)]);
    bench.shown();
    assert_eq!(bench.asks(FIRST), [(0, 2), (1, 2), (2, 2)], "in which 0 has something by now");
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
