//! Whose log it is that is read.

use super::{super::*, kit::*};
use crate::kafka::wire::{core::code, protocol::TopicRef};

/// Two records of epoch 3 have been read, and broker 2 leads in epoch 4 now.
fn moved() -> Bench {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a", "b"])])]);
    bench.lead_by(0, 2, 4);
    bench
}

#[test]
fn a_fetch_names_the_leader_s_epoch_and_the_last_record_s() {
    let mut bench = Bench::reading(1);
    let request = bench.request(FIRST).unwrap()[0];
    assert_eq!((request.leader_epoch, request.last_fetched_epoch), (3, -1));
    bench.give(FIRST, &[part(0, 9, &[batch(0, 2, &["a"])])]);
    assert_eq!(bench.question(), None, "what it has shown itself is its own log");
    let request = bench.request(FIRST).unwrap()[0];
    assert_eq!((request.leader_epoch, request.last_fetched_epoch), (3, 2));
}

#[test]
fn a_new_leader_is_asked_first_whether_its_log_is_the_one_that_was_read() {
    let mut bench = moved();
    assert_eq!((bench.asks(FIRST), bench.asks(2)), (vec![], vec![]));
    let (number, broker, question) = bench.question().unwrap();
    assert_eq!((broker, &*question), (2, "3 in 4"));
    assert_eq!(bench.asks(2), []);
    bench.answer_epoch_end(number, (0, 3, 2));
    let request = bench.request(2).unwrap()[0];
    assert_eq!((request.offset, request.leader_epoch, request.last_fetched_epoch), (2, 4, 3));
    bench.give(2, &[part(0, 9, &[batch(2, 4, &["c"])])]);
    assert_eq!(bench.asks(2), [(0, 3)], "once for each leader");
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b", "0@2 c"]);
}

#[test]
fn a_log_that_is_shorter_is_told_behind_what_was_read_of_it() {
    let mut bench = moved();
    let (number, ..) = bench.question().unwrap();
    bench.answer_epoch_end(number, (0, 3, 1));
    assert_eq!(bench.asks(2), []);
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b", "0: 2 in epoch 3 truncated to 1"]);
    assert_eq!(bench.asks(2), [], "it idles");
    bench.read_from(0, 1, Some(3));
    let (number, _, question) = bench.question().unwrap();
    assert_eq!(question, "3 in 4", "whoever names an epoch has it confirmed");
    bench.answer_epoch_end(number, (0, 3, 1));
    assert_eq!(bench.asks(2), [(0, 1)]);
}

#[test]
fn a_leader_that_does_not_know_the_epoch_proves_no_loss() {
    let mut bench = moved();
    let (number, ..) = bench.question().unwrap();
    bench.answer_epoch_end(number, (0, -1, -1));
    assert_eq!(bench.asks(2), [(0, 2)]);
}

#[test]
fn the_word_of_a_leader_that_has_been_deposed_since_does_not_count() {
    let mut bench = moved();
    let (number, ..) = bench.question().unwrap();
    bench.lead_by(0, FIRST, 5);
    bench.answer_epoch_end(number, (0, 3, 1));
    assert_eq!((bench.asks(FIRST), bench.asks(2)), (vec![], vec![]));
    let (number, broker, question) = bench.question().unwrap();
    assert_eq!((broker, &*question), (FIRST, "3 in 5"));
    bench.answer_epoch_end(number, (0, 3, 2));
    assert_eq!(bench.asks(FIRST), [(0, 2)]);
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b"]);
}

#[test]
fn the_same_leader_with_another_epoch_is_asked_too() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a"])])]);
    assert_eq!(bench.asks(FIRST), [(0, 1)]);
    bench.lead_by(0, FIRST, 4);
    // What it answers by its old epoch it still had then.
    bench.give(FIRST, &[part(0, 9, &[batch(1, 3, &["b"])])]);
    assert_eq!(bench.asks(FIRST), []);
    assert_eq!(bench.question().unwrap().2, "3 in 4");
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b"]);
}

#[test]
fn whoever_may_not_ask_reads_all_the_same_and_says_so() {
    let mut bench = moved();
    let (number, ..) = bench.question().unwrap();
    bench.answer_epoch_end(number, (code::TOPIC_AUTHORIZATION_FAILED, -1, -1));
    assert_eq!(bench.source.take_unchecked(), Some(code::TOPIC_AUTHORIZATION_FAILED));
    assert_eq!(bench.source.take_unchecked(), None);
    assert_eq!(bench.asks(2), [(0, 2)]);
}

#[test]
fn a_leader_whose_epoch_nobody_knows_is_read_without_being_asked() {
    let mut bench = moved();
    bench.lead_by(0, 2, -1);
    let request = bench.request(2).unwrap()[0];
    assert_eq!((request.offset, request.leader_epoch), (2, -1));
}

#[test]
fn a_frozen_leader_is_not_waited_for_once_another_one_leads() {
    let mut bench = Bench::reading(2);
    bench.asks(FIRST);
    bench.lead_by(0, 2, 4);
    assert_eq!(bench.asks(2), [(0, 0)], "nothing was read that could be gone");
    bench.give(FIRST, &[0, 1].map(|partition| part(partition, 9, &[batch(0, 3, &["old"])])));
    bench.give(2, &[part(0, 9, &[batch(0, 3, &["new"])])]);
    assert_eq!(bench.shown(), ["1@0 old", "0@0 new"]);
}

#[test]
fn who_does_not_lead_is_asked_again_after_a_while_and_the_cluster_is_looked_at() {
    for error in [code::FENCED_LEADER_EPOCH, code::UNKNOWN_LEADER_EPOCH, code::NOT_LEADER_OR_FOLLOWER] {
        let mut bench = Bench::reading(1);
        bench.asks(FIRST);
        assert!(!bench.source.take_stale());
        bench.give(FIRST, &[Part { leader: Some((2, 4)), ..failed(0, error) }]);
        assert!(bench.source.take_stale(), "{error}");
        let hints: Vec<_> = bench.source.hints().collect();
        assert_eq!(hints, [(PartitionSlot::new(0), LeaderHint { leader: 2, epoch: 4 })]);
        assert_eq!(bench.asks(FIRST), []);
        assert_eq!(bench.source.next_deadline_us(bench.now_us), bench.now_us + SETTINGS.back_off_us);
        bench.pass();
        assert_eq!(bench.asks(FIRST), [(0, 0)]);
        assert_eq!(bench.shown(), [""; 0], "that is nobody's business");
    }
}

#[test]
fn a_new_leader_is_not_rested_for() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[failed(0, code::NOT_LEADER_OR_FOLLOWER)]);
    bench.lead_by(0, 2, 4);
    assert_eq!(bench.asks(2), [(0, 0)]);
}

#[test]
fn other_errors_are_told_each_time() {
    for (error, is_stale) in [
        (code::UNKNOWN_TOPIC_OR_PARTITION, true),
        (code::UNKNOWN_TOPIC_ID, true),
        (code::TOPIC_AUTHORIZATION_FAILED, false),
        (-1, false),
    ] {
        let mut bench = Bench::reading(1);
        for _ in 0..2 {
            assert_eq!(bench.asks(FIRST), [(0, 0)]);
            bench.give(FIRST, &[failed(0, error)]);
            assert_eq!(bench.source.take_stale(), is_stale, "{error}");
            assert_eq!(bench.asks(FIRST), []);
            assert_eq!(bench.shown(), [format!("0: error {error}")]);
            bench.pass();
        }
    }
}

#[test]
fn what_is_not_answered_is_asked_for_again() {
    let mut bench = Bench::reading(2);
    bench.asks(FIRST);
    bench.source.fetch_failed(turn(FIRST), bench.now_us);
    assert!(bench.source.take_stale());
    assert_eq!(bench.asks(FIRST), []);
    bench.pass();
    assert_eq!(bench.asks(FIRST), [(0, 0), (1, 0)]);
    bench.give(FIRST, &[part(1, 9, &[batch(0, 3, &["a"])])]);
    assert_eq!(bench.asks(FIRST), [(1, 1)]);
    assert_eq!(bench.shown(), ["1@0 a"]);
    bench.pass();
    bench.give(FIRST, &[part(1, 9, &[batch(1, 3, &["b"])])]);
    assert_eq!(bench.asks(FIRST), [(0, 0), (1, 2)]);
}

/// Two records were read, and the leader denies that there is a third place.
fn denied() -> Bench {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a", "b"])])]);
    assert_eq!(bench.request(FIRST).unwrap()[0].last_fetched_epoch, 3);
    bench.give(FIRST, &[failed(0, code::OFFSET_OUT_OF_RANGE)]);
    let request = bench.request(FIRST).unwrap()[0];
    assert_eq!((request.offset, request.last_fetched_epoch), (2, -1), "it may only not know the epoch");
    bench.shown();
    bench
}

/// What is asked about a place that is denied: the leader's answers are numbered from 2 on.
fn judge(bench: &mut Bench, epoch_end: (i16, i32, i64), start: i64, end: i64) {
    bench.give(FIRST, &[failed(0, code::OFFSET_OUT_OF_RANGE)]);
    let (number, _, question) = bench.question().unwrap();
    assert_eq!(question, "3 in 3");
    bench.answer_epoch_end(number, epoch_end);
    let (number, _, question) = bench.question().unwrap();
    assert_eq!(question, "Earliest in 3");
    bench.answer_offset(number, 0, start);
    assert_eq!(bench.shown(), [""; 0], "not before all is known");
    let (number, _, question) = bench.question().unwrap();
    assert_eq!(question, "Latest in 3");
    bench.answer_offset(number, 0, end);
}

#[test]
fn a_place_that_the_leader_denies_twice_is_held_against_its_log() {
    let mut bench = denied();
    judge(&mut bench, (0, -1, -1), 5, 9);
    assert_eq!(bench.shown(), ["0: out of range"]);
    bench.pass();
    assert_eq!(bench.asks(FIRST), [], "it idles");
    let mut bench = denied();
    judge(&mut bench, (0, -1, -1), 0, 1);
    assert_eq!(bench.shown(), ["0: out of range"]);
}

#[test]
fn a_place_behind_the_end_of_its_epoch_was_truncated() {
    let mut bench = denied();
    judge(&mut bench, (0, 3, 1), 0, 1);
    assert_eq!(bench.shown(), ["0: 2 in epoch 3 truncated to 1"]);
}

#[test]
fn a_place_inside_of_the_log_is_asked_for_again_but_not_for_ever() {
    let mut bench = denied();
    for _ in 0..5 {
        judge(&mut bench, (0, 3, 9), 0, 9);
        assert_eq!(bench.shown(), [""; 0]);
        assert_eq!(bench.asks(FIRST), []);
        bench.pass();
        assert_eq!(bench.asks(FIRST), [(0, 2)]);
    }
    judge(&mut bench, (0, 3, 9), 0, 9);
    assert_eq!(bench.shown(), ["0: out of range"]);
}

#[test]
fn a_leader_that_says_where_the_logs_part_is_believed() {
    let mut bench = Bench::reading(1);
    bench.asks(FIRST);
    bench.give(FIRST, &[part(0, 9, &[batch(0, 3, &["a", "b"])])]);
    bench.asks(FIRST);
    bench.give(FIRST, &[Part { diverging: Some((3, 1)), ..part(0, 9, &[]) }]);
    assert_eq!(bench.shown(), ["0@0 a", "0@1 b", "0: 2 in epoch 3 truncated to 1"]);
    bench.pass();
    assert_eq!(bench.asks(FIRST), []);
}

#[test]
fn an_answer_that_is_none_is_not_believed_in_any_part() {
    let good = [0, 1].map(|partition| part(partition, 9, &[batch(0, 3, &["a"])]));
    let twice = [good[0].clone(), good[0].clone()];
    let foreign = [good[0].clone(), part(2, 9, &[])];
    let mut cut_off = answer(TOPIC, &good);
    cut_off.pop();
    let bad = [
        cut_off,
        answer(TOPIC, &twice),
        answer(TOPIC, &foreign),
        answer(TopicRef::Name("other"), &good),
        vec![],
    ];
    for bytes in bad {
        let mut bench = Bench::reading(2);
        bench.asks(FIRST);
        bench.give_bytes(FIRST, bytes).unwrap_err();
        assert_eq!(bench.shown(), [""; 0]);
        bench.pass();
        assert_eq!(bench.asks(FIRST), [(0, 0), (1, 0)]);
        bench.give(FIRST, &good);
        assert_eq!(bench.shown(), ["0@0 a", "1@0 a"]);
    }
}

/// Retention moves it forward. A leader that is new may have an older one: it is told how far it has gone.
#[test]
fn a_start_that_goes_back_by_the_word_of_one_leader_is_told() {
    let mut bench = Bench::reading(1);
    let give = |bench: &mut Bench, broker, start, offset, epoch| {
        assert_eq!(bench.asks(broker), [(0, offset)]);
        let batches = [batch(offset, epoch, &["a"])];
        bench.give(broker, &[Part { start, ..part(0, 99, &batches) }]);
        bench.shown()
    };
    assert_eq!(give(&mut bench, FIRST, 0, 0, 3), ["0@0 a"]);
    assert_eq!(give(&mut bench, FIRST, 5, 1, 3), ["0@1 a"]);
    assert_eq!(give(&mut bench, FIRST, 2, 2, 3), ["0: starts at 2, no more at 5", "0@2 a"]);
    assert_eq!(give(&mut bench, FIRST, 2, 3, 3), ["0@3 a"], "once");
    assert_eq!(give(&mut bench, FIRST, -1, 4, 3), ["0@4 a"], "who says none has said nothing");
    bench.lead_by(0, 2, 4);
    let (number, ..) = bench.question().unwrap();
    bench.answer_epoch_end(number, (0, 3, 5));
    assert_eq!(give(&mut bench, 2, 1, 5, 4), ["0@5 a"]);
    assert_eq!(give(&mut bench, 2, 0, 6, 4), ["0: starts at 0, no more at 1", "0@6 a"]);
}
