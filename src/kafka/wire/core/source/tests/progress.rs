//! Where reading goes on, and what is told of it.

use super::{super::*, kit::*};
use crate::kafka::wire::batch::Codec;

#[test]
fn records_come_in_their_order_and_the_next_fetch_is_out_before_they_are_looked_at() {
    let mut bench = Bench::reading(1);
    assert_eq!(bench.asks(FIRST), [(0, 0)]);
    assert_eq!(bench.asks(FIRST), [], "one at a time");
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a", "b"]), batch(2, 3, &["c"])])]);
    assert_eq!(bench.asks(FIRST), [(0, 3)]);
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b", "0@2 c"]);
}

#[test]
fn who_reads_here_and_there_leaves_no_request_behind() {
    let mut bench = Bench::reading_as(SourceSettings { reads_ahead: false, ..SETTINGS }, 1);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a"]), batch(1, 3, &["b"])])]);
    assert_eq!(bench.asks(FIRST), []);
    assert_eq!(bench.shown_once(), ["0@0 a"]);
    assert_eq!(bench.asks(FIRST), []);
    assert_eq!(bench.shown(), ["0@1 b"]);
    assert_eq!(bench.asks(FIRST), [(0, 2)]);
}

#[test]
fn who_keeps_to_a_rate_is_shown_a_batch_in_steps() {
    let mut bench = Bench::reading_as(SourceSettings { step_records: 2, ..SETTINGS }, 1);
    bench.read_from(0, 1, None);
    bench.asks(FIRST);
    let whole = batch(0, 3, &["a", "b", "c", "d", "e", "f"]);
    bench.give(FIRST, &[part(0, 9, &[whole.clone(), batch(6, 3, &["g"])])]);
    assert_eq!(bench.shown_once(), ["0@1 b", "0@2 c"]);
    assert_eq!(bench.shown_once(), ["0@3 d", "0@4 e"]);
    assert_eq!(bench.shown_once(), ["0@5 f"]);
    assert_eq!(bench.shown_once(), ["0@6 g"]);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 13, &[batch(7, 3, &["h", "i", "j"]), batch(10, 3, &["k", "l", "m"])])]);
    assert_eq!(bench.shown_once(), ["0@7 h", "0@8 i"]);
    // What is left of it is nobody's any more.
    bench.read_from(0, 11, None);
    assert_eq!(bench.shown_once(), [""; 0]);
    assert_eq!(bench.asks(FIRST), [(0, 11)]);
    bench.give(FIRST, &[part(0, 13, &[batch(10, 3, &["k", "l", "m"])])]);
    assert_eq!(bench.shown(), ["0@11 l", "0@12 m", "0: end 13"]);
}

#[test]
fn a_packed_batch_is_shown_in_steps_too() {
    let mut bench = Bench::reading_as(SourceSettings { step_records: 2, ..SETTINGS }, 1);
    let values = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"; 5];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        bench.read_from(0, 0, None);
        bench.asks(FIRST);
        bench.give(FIRST, &[part(0, 10, &[packed(0, 3, &values, codec), packed(5, 3, &values, codec)])]);
        let shown: Vec<_> =
            std::iter::from_fn(|| Some(bench.shown_once().len()).filter(|count| *count > 0)).collect();
        assert_eq!(shown, [2, 2, 1, 2, 2, 1, 1], "{codec:?}: and the end");
    }
}

#[test]
fn no_more_than_two_answers_of_a_broker_are_held() {
    let mut bench = Bench::reading(1);
    for offset in 0..2 {
        assert_eq!(bench.asks(FIRST), [(0, offset)]);
        bench.give(FIRST, &[part(0, 9, &[batch(offset, 3, &["a"])])]);
    }
    assert_eq!(bench.asks(FIRST), []);
    assert_eq!(bench.shown_once(), ["0@0 a"]);
    assert_eq!(bench.shown_once(), ["0@1 a"]);
    assert_eq!(bench.asks(FIRST), [(0, 2)]);
}

#[test]
fn a_position_inside_of_a_batch_passes_what_lies_below() {
    let mut bench = Bench::reading(1);
    bench.read_from(0, 2, None);
    assert_eq!(bench.asks(FIRST), [(0, 2)]);
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a", "b", "c", "d"])])]);
    assert_eq!(bench.asks(FIRST), [(0, 4)]);
    assert_eq!(bench.shown(), ["0@2 c", "0@3 d"]);
}

#[test]
fn what_a_broker_replays_is_shown_and_not_asked_for_in_a_hurry() {
    let mut bench = Bench::reading(1);
    bench.read_from(0, 5, None);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a", "b"])])]);
    assert_eq!(bench.asks(FIRST), []);
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b"]);
    bench.pass();
    assert_eq!(bench.asks(FIRST), [(0, 5)]);
    bench.give(FIRST, &[part(0, 9, &[batch(5, 3, &["c"]), batch(3, 3, &["d"])])]);
    assert_eq!(bench.shown(), ["0@5 c", "0@3 d"]);
    assert_eq!(bench.asks(FIRST), [(0, 6)], "never back");
}

#[test]
fn half_a_batch_is_asked_for_again() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    let half = batch(1, 3, &["b"])[..70].to_vec();
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a"]), half])]);
    assert_eq!(bench.asks(FIRST), [(0, 1)]);
    assert_eq!(bench.shown(), ["0@0 a"]);
}

#[test]
fn who_had_no_room_for_a_batch_is_asked_for_first_and_at_once() {
    let mut bench = Bench::reading(3);
    assert_eq!(bench.asks(FIRST), [(0, 0), (1, 0), (2, 0)]);
    let half = batch(0, 3, &["b"])[..40].to_vec();
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a"])]), part(1, 9, &[half]), part(2, 9, &[])]);
    assert_eq!(bench.asks(FIRST), [(1, 0), (2, 0), (0, 1)]);
}

#[test]
fn a_batch_that_never_comes_whole_is_asked_for_alone_and_then_told() {
    let mut bench = Bench::reading(2);
    bench.asks(FIRST);
    let half = || batch(0, 3, &["b"])[..40].to_vec();
    bench.give(FIRST, &[part(0, 9, &[half()]), part(1, 9, &[])]);
    assert_eq!(bench.asks(FIRST), [(0, 0)]);
    bench.give(FIRST, &[part(0, 9, &[half()])]);
    assert_eq!(bench.shown(), ["0: not 0 on"]);
    assert_eq!(bench.asks(FIRST), [(0, 1)], "its end is looked for");
}

#[test]
fn offsets_without_records_are_progress() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    let short = changed(batch(4, 3, &["a", "b"]), LAST_DELTA_AT, &9_i32.to_be_bytes());
    let zstd = 4;
    let batches = [emptied(0, 3, 1), with_attributes(emptied(1, 3, 3), zstd), short, marker(14, 9, true)];
    let batches = [&batches[..], &[batch(15, 3, &["c"])]].concat();
    bench.give(FIRST, &[part(0, 99, &batches)]);
    assert_eq!(bench.asks(FIRST), [(0, 16)]);
    let shown = bench.shown();
    assert_eq!(shown, ["0: up to 1", "0: up to 4", "0@4 a", "0@5 b", "0: up to 14", "0: up to 15", "0@15 c"]);
}

#[test]
fn a_batch_of_which_all_lies_below_is_progress() {
    let mut bench = Bench::reading(1);
    bench.read_from(0, 2, None);
    bench.asks(FIRST);
    // Its last two records have been compacted.
    let short = changed(batch(0, 3, &["a", "b"]), LAST_DELTA_AT, &3_i32.to_be_bytes());
    bench.give(FIRST, &[part(0, 99, &[short])]);
    assert_eq!(bench.shown(), ["0: up to 4"]);
    assert_eq!(bench.asks(FIRST), [(0, 4)]);
}

#[test]
fn an_end_is_told_once_and_before_more_is_asked_for() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 1, &[batch(0, 3, &["a"])])]);
    assert_eq!(bench.asks(FIRST), [], "whoever reads no further must not leave a request behind that waits");
    assert_eq!(bench.shown(), ["0@0 a", "0: end 1"]);
    assert_eq!(bench.asks(FIRST), [(0, 1)]);
    bench.give(FIRST, &[part(0, 1, &[])]);
    assert_eq!(bench.asks(FIRST), [(0, 1)]);
    assert_eq!(bench.shown(), [""; 0]);
    bench.give(FIRST, &[part(0, 2, &[batch(1, 3, &["b"])])]);
    assert_eq!(bench.shown(), ["0@1 b", "0: end 2"]);
}

#[test]
fn the_end_of_an_empty_log_is_told() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 0, &[])]);
    assert_eq!(bench.shown(), ["0: end 0"]);
    bench.read_from(0, 0, None);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 0, &[])]);
    assert_eq!(bench.shown(), ["0: end 0"], "again to whoever reads again");
}

#[test]
fn a_leader_that_knows_of_less_than_was_read_tells_no_end() {
    let mut bench = Bench::reading(1);
    bench.read_from(0, 5, None);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 4, &[])]);
    assert_eq!(bench.shown(), [""; 0]);
    bench.pass();
    assert_eq!(bench.asks(FIRST), [(0, 5)]);
}

/// It answers at once, and has other things to do.
#[test]
fn a_leader_that_knows_of_less_than_was_read_is_not_asked_without_a_pause() {
    let mut bench = Bench::reading(2);
    bench.read_from(0, 5, None);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 4, &[]), part(1, 0, &[])]);
    assert_eq!(bench.shown(), ["1: end 0"]);
    assert_eq!(bench.asks(FIRST), [(1, 0)], "the other one is waited for");
    bench.pass();
    bench.give(FIRST, &[part(1, 0, &[])]);
    assert_eq!(bench.asks(FIRST), [(0, 5), (1, 0)]);
}

#[test]
fn what_came_for_an_earlier_place_is_not_shown() {
    let mut bench = Bench::reading(2);
    bench.asks(FIRST);
    let both = |offset| [0, 1].map(|partition| part(partition, 99, &[batch(offset, 3, &["a"])]));
    bench.give(FIRST, &both(0));
    assert_eq!(bench.asks(FIRST), [(0, 1), (1, 1)]);
    bench.read_from(0, 7, None);
    bench.source.stop(PartitionSlot::new(1));
    assert_eq!(bench.shown(), [""; 0]);
    bench.give(FIRST, &both(1));
    assert_eq!(bench.shown(), [""; 0], "nor what was under way");
    assert_eq!(bench.asks(FIRST), [(0, 7)]);
}

#[test]
fn a_batch_s_producer_is_shown_where_it_has_an_id() {
    #[derive(Default)]
    struct Sequences(Vec<Option<(i64, i32)>>);
    impl Visitor for Sequences {
        fn record(&mut self, _slot: PartitionSlot, record: &ReadRecord<'_>) {
            let of = |batch: &ProducedBatch| (batch.producer_id, batch.sequence_of(record.offset));
            self.0.push(record.batch.map(of));
        }
        fn event(&mut self, _slot: PartitionSlot, _event: SourceEvent<'_>) {}
    }
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    let nobody_s = changed(batch(2, 3, &["c"]), 43, &[0xff; 14]);
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a", "b"]), nobody_s])]);
    let mut sequences = Sequences::default();
    while bench.source.show(&mut sequences) > 0 {}
    assert_eq!(sequences.0, [Some((5, 0)), Some((5, 1)), None]);
}

#[test]
fn time_is_the_producer_s_where_it_is_not_the_broker_s() {
    struct Times(Vec<(i32, Option<i64>)>);
    impl Visitor for Times {
        fn record(&mut self, _slot: PartitionSlot, record: &ReadRecord<'_>) {
            self.0.push((record.leader_epoch, record.sent_ms));
        }
        fn event(&mut self, _slot: PartitionSlot, _event: SourceEvent<'_>) {}
    }
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    let at_broker_s_time = with_attributes(batch(1, 4, &["b"]), 1 << 3);
    let without = changed(batch(2, 5, &["c"]), 27, &(-1_i64).to_be_bytes());
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a"]), at_broker_s_time, without])]);
    let mut times = Times(Vec::new());
    while bench.source.show(&mut times) > 0 {}
    assert_eq!(times.0, [(3, Some(7)), (4, None), (5, None)]);
}

#[test]
fn what_is_held_is_divided_among_the_brokers() {
    let mut bench =
        Bench::reading_as(SourceSettings { max_bytes: 4 << 20, partition_max_bytes: 3 << 20, ..SETTINGS }, 2);
    let asked = |bench: &mut Bench, broker| {
        let fetch = bench.source.next_fetch(turn(broker), bench.now_us).unwrap();
        (fetch.max_bytes, fetch.partitions[0].max_bytes)
    };
    assert_eq!(asked(&mut bench, FIRST), (4 << 20, 3 << 20));
    bench.lead_by(1, 2, 3);
    assert_eq!(asked(&mut bench, 2), (2 << 20, 2 << 20));
}

#[test]
fn a_buffer_that_one_large_batch_has_blown_up_is_not_kept() {
    let mut bench = Bench::reading_as(SourceSettings { max_bytes: 1 << 10, ..SETTINGS }, 1);
    let large = "x".repeat(1 << 13);
    let mut capacities = Vec::new();
    for (offset, value) in [(0, "small"), (1, &large), (2, "small")] {
        assert_eq!(bench.asks(FIRST), [(0, offset)]);
        bench.give(FIRST, &[part(0, 99, &[batch(offset, 3, &[value])])]);
        assert_eq!(bench.shown().len(), 1);
        capacities.push(bench.source.spare().capacity());
    }
    assert!(capacities[0] > 0, "it is used again");
    assert_eq!(capacities[1], 0);
}
