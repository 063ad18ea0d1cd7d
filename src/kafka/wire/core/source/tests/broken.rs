//! Batches that cannot be read, and how far they reach.

use super::kit::*;
use crate::kafka::wire::core::code;

/// With a flipped bit, and a checksum that does not fit any more.
fn flipped(mut batch: Vec<u8>, at: usize) -> Vec<u8> {
    batch[at] ^= 0x40;
    batch
}

fn three() -> [Vec<u8>; 3] {
    [batch(0, 3, &["a", "b"]), batch(2, 3, &["c", "d", "e"]), batch(5, 3, &["f"])]
}

#[test]
fn a_batch_that_does_not_fit_its_checksum_reaches_up_to_the_next_one() {
    // In its records, in its own word on how many offsets it has, in its codec, in its producer.
    for at in [70, 24, 22, 46] {
        let mut bench = Bench::reading(1);
        bench.asks(FIRST);
        let [first, second, third] = three();
        bench.give(FIRST, &[part(0, 9, &[first, flipped(second, at), third.clone()])]);
        bench.asks(FIRST);
        assert_eq!(bench.shown(), ["0@0 a", "0@1 b", "0: not 2 to 5"], "{at}");
        bench.source.fetch_failed(turn(FIRST), bench.now_us);
        assert_eq!(bench.asks(FIRST), [(0, 5)], "it goes on behind it by itself");
        bench.give(FIRST, &[part(0, 9, &[third])]);
        assert_eq!(bench.shown(), ["0@5 f"]);
    }
}

#[test]
fn only_what_was_asked_for_of_it_counts() {
    let mut bench = Bench::reading(1);
    bench.read_from(0, 3, None);
    bench.asks(FIRST);
    let [_, second, third] = three();
    bench.give(FIRST, &[part(0, 9, &[flipped(second, 70), third])]);
    assert_eq!(bench.shown(), ["0: not 3 to 5"]);
}

#[test]
fn the_last_batch_of_the_log_reaches_up_to_its_end() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    let [first, second, _] = three();
    bench.give(FIRST, &[part(0, 5, &[first, flipped(second, 70)])]);
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b", "0: not 2 to 5"]);
    assert_eq!(bench.asks(FIRST), [(0, 5)]);
}

#[test]
fn where_the_next_batch_has_not_come_it_is_fetched_to_be_looked_at() {
    let mut bench = Bench::reading(2);
    bench.asks(FIRST);
    let [first, second, third] = three();
    let wrong = || flipped(second.clone(), 24);
    bench.give(FIRST, &[part(0, 9, &[first, wrong()]), part(1, 9, &[])]);
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b"]);
    let request = bench.request(FIRST).unwrap();
    assert_eq!((request.len(), request[0].partition, request[0].offset), (1, 0, 2), "alone");
    assert!(request[0].max_bytes > i32::try_from(wrong().len()).unwrap() + 61, "with room for more");
    // A part of the next one is enough.
    bench.give(FIRST, &[part(0, 9, &[wrong(), third[..61].to_vec()])]);
    assert_eq!(bench.shown(), ["0: not 2 to 5"]);
    assert_eq!(bench.asks(FIRST), [(1, 0), (0, 5)]);
}

#[test]
fn where_nothing_follows_its_own_word_counts_if_it_can_be_true() {
    let [_, second, _] = three();
    // An answer may end where a segment does, though the log goes on: the log's end says nothing.
    for (at, end, shown) in [(70, 9, "0: not 2 to 5"), (24, 9, "0: not 2 on"), (70, 4, "0: not 2 on")] {
        let mut bench = Bench::reading(1);
        bench.read_from(0, 2, None);
        for _ in 0..2 {
            assert_eq!(bench.shown(), [""; 0]);
            assert_eq!(bench.asks(FIRST), [(0, 2)]);
            bench.give(FIRST, &[part(0, end, &[flipped(second.clone(), at)])]);
        }
        assert_eq!(bench.shown(), [shown], "{at} {end}");
        let goes_on = if shown.ends_with('5') { 5 } else { 3 };
        assert_eq!(bench.asks(FIRST), [(0, goes_on)]);
    }
}

#[test]
fn where_no_batch_follows_that_could_its_own_word_counts_if_it_can_be_true() {
    let lower = batch(1, 3, &["x"]);
    for (second, end, shown) in [
        (batch(2, 3, &["c", "d", "e"]), 9, "0: not 2 to 5"),
        (changed(batch(2, 3, &["c"]), LAST_DELTA_AT, &99_i32.to_be_bytes()), 9, "0: not 2 on"),
    ] {
        let mut bench = Bench::reading(1);
        bench.read_from(0, 2, None);
        bench.asks(FIRST);
        bench.give(FIRST, &[part(0, end, &[flipped(second, 70), lower.clone()])]);
        assert_eq!(bench.shown(), [shown]);
    }
}

#[test]
fn a_length_that_cannot_be_has_no_end() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    let [first, mut second, third] = three();
    second[8..12].copy_from_slice(&(-5_i32).to_be_bytes());
    bench.give(FIRST, &[part(0, 9, &[first, second, third])]);
    assert_eq!(bench.asks(FIRST), [], "not before that is told");
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b", "0: not 2 on"]);
    assert_eq!(bench.asks(FIRST), [(0, 3)], "its end is looked for");
    bench.read_from(0, 5, None);
    bench.source.fetch_failed(turn(FIRST), bench.now_us);
    assert_eq!(bench.asks(FIRST), [(0, 5)], "unless somebody knows better");
}

/// A log whose offsets from 2 up to `good` cannot be read, as its leader answers.
fn served(offset: i64, good: i64, end: i64) -> Part {
    let mut damaged = batch(2, 3, &["x"]);
    damaged[8..12].fill(0xFF);
    match offset {
        offset if offset > end => failed(0, code::OFFSET_OUT_OF_RANGE),
        offset if offset == end => part(0, end, &[]),
        offset if offset >= good => part(0, end, &[batch(good, 3, &["f"])]),
        // What the broker itself finds out, and what it does not.
        offset if offset % 2 == 0 => failed(0, code::CORRUPT_MESSAGE),
        _ => part(0, end, &[damaged]),
    }
}

#[test]
fn where_no_batch_says_it_offsets_are_tried_until_one_can_be_read() {
    for (good, end) in [(3, 4), (40, 41), (1_000, 1_001), (90, 90)] {
        let mut bench = Bench::reading(2);
        bench.read_from(0, 2, None);
        let (mut shown, mut tries) = (Vec::new(), 0);
        while shown.len() < 2 {
            let asked = bench.request(FIRST).unwrap();
            if asked.len() > 1 {
                bench.give(FIRST, &[served(2, good, end), part(1, 9, &[])]);
            } else if asked[0].partition == 0 {
                assert_eq!(asked[0].last_fetched_epoch, -1);
                bench.give(FIRST, &[served(asked[0].offset, good, end)]);
                tries += 1;
            } else {
                bench.give(FIRST, &[part(1, 9, &[])]);
            }
            shown.extend(bench.shown());
        }
        assert_eq!(shown, ["0: not 2 on", &format!("0: not 2 to {good}")]);
        assert!(tries <= 22, "{tries} tries");
        let place = bench.request(FIRST).unwrap().into_iter().find(|asked| asked.partition == 0);
        assert_eq!(place.unwrap().offset, good);
    }
}

#[test]
fn an_epoch_that_the_leader_has_not_reached_is_not_believed() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 9, &[batch(0, 2, &["a"]), batch(1, 77, &["b"])])]);
    assert_eq!(bench.request(FIRST).unwrap()[0].last_fetched_epoch, 2);
}

#[test]
fn nobody_is_held_to_the_epoch_before_what_could_not_be_read() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    let [first, second, third] = three();
    bench.give(FIRST, &[part(0, 9, &[first, flipped(second, 70), third])]);
    bench.shown();
    assert_eq!(bench.request(FIRST).unwrap()[0].last_fetched_epoch, -1);
}

#[test]
fn a_format_that_is_not_spoken_reaches_up_to_the_next_batch() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    let [first, mut second, third] = three();
    second[16] = 1;
    bench.give(FIRST, &[part(0, 9, &[first, second, third])]);
    assert_eq!(bench.asks(FIRST), []);
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b", "0: not 2 to 5"]);
    assert_eq!(bench.asks(FIRST), [(0, 5)]);
}

#[test]
fn a_count_that_lies_spoils_its_batch_and_no_other() {
    for count in [-1_i32, 0, 1, 2, 4, i32::MAX] {
        let mut bench = Bench::reading(1);
        bench.asks(FIRST);
        let [first, second, third] = three();
        let lies = changed(second, COUNT_AT, &count.to_be_bytes());
        bench.give(FIRST, &[part(0, 9, &[first, lies, third])]);
        assert_eq!(bench.asks(FIRST), [(0, 6)]);
        assert_eq!(bench.shown(), ["0@0 a", "0@1 b", "0: not 2 to 5", "0@5 f"], "{count}");
    }
}

#[test]
fn a_record_that_cannot_be_taken_apart_spoils_no_other() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    let [first, second, third] = three();
    // The length of the second record's key: longer than the record.
    let record_bytes = (second.len() - 61) / 3;
    let key_length_at = 61 + record_bytes + 4;
    assert_eq!(second[key_length_at], 2 * 3, "three bytes, in zigzag");
    let malformed = changed(second, key_length_at, &[100]);
    bench.give(FIRST, &[part(0, 9, &[first, malformed, third])]);
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b", "0@2 c", "0: not 3 to 4", "0@4 e", "0@5 f"]);
}

#[test]
fn a_last_record_that_cannot_be_taken_apart_reaches_to_the_end_of_its_batch() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    let second = batch(2, 3, &["c", "d", "e"]);
    let last = second.len() - (second.len() - 61) / 3;
    let malformed = changed(changed(second, last + 4, &[100]), LAST_DELTA_AT, &5_i32.to_be_bytes());
    bench.give(FIRST, &[part(0, 99, &[malformed, batch(8, 3, &["f"])])]);
    assert_eq!(bench.shown(), ["0@2 c", "0@3 d", "0: not 4 to 8", "0@8 f"]);
}

#[test]
fn what_cannot_be_unpacked_spoils_its_batch() {
    let too_large = "x".repeat(SETTINGS.unpacked_most_bytes);
    let mut packed = Vec::new();
    let plain = batch(2, 3, &[&too_large]);
    std::io::Write::write_all(
        &mut flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast()),
        &plain[61..],
    )
    .unwrap();
    let large = sealed([&plain[..61], &packed[..]].concat());
    for (second, next) in [
        (with_attributes(large, 1), 3),
        (with_attributes(batch(2, 3, &["no lz4"]), 3), 3),
        (with_attributes(batch(2, 3, &["no codec"]), 7), 3),
    ] {
        let mut bench = Bench::reading(1);
        bench.asks(FIRST);
        bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a", "b"]), second, batch(3, 3, &["f"])])]);
        assert_eq!(bench.shown(), ["0@0 a", "0@1 b", &format!("0: not 2 to {next}"), "0@3 f"]);
    }
}

#[test]
fn what_the_broker_itself_cannot_read_is_told_behind_what_came_before() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a"])])]);
    bench.asks(FIRST);
    bench.give(FIRST, &[failed(0, code::CORRUPT_MESSAGE)]);
    assert_eq!(bench.asks(FIRST), []);
    assert_eq!(bench.shown(), ["0@0 a", "0: not 1 on"]);
    assert_eq!(bench.asks(FIRST), [(0, 2)]);
}
