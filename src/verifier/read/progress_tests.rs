use super::*;

fn progress(start: i64, end: i64) -> PartitionProgress {
    PartitionProgress::new(
        OffsetRange { partition: PartitionSlot::default(), start, end, leader_epoch: -1 },
        Losses::default(),
    )
}

fn ledger(lower: i64, upper: i64) -> PartitionLedger {
    let mut ledger = PartitionLedger::default();
    ledger.insert(OffsetRun { lower, upper });
    ledger
}

#[test]
fn what_is_shown_again_is_noticed() {
    let mut part = progress(0, 10);
    assert_eq!(part.add(&[OffsetRun { lower: 0, upper: 5 }]), (None, 0));
    assert_eq!(part.add(&[OffsetRun { lower: 5, upper: 7 }, OffsetRun { lower: 9, upper: 10 }]), (None, 0));
    assert_eq!(part.add(&[OffsetRun { lower: 7, upper: 9 }, OffsetRun { lower: 4, upper: 6 }]), (Some(4), 2));
    assert_eq!(
        part.add(&[OffsetRun { lower: 10, upper: 11 }, OffsetRun { lower: 10, upper: 11 }]),
        (Some(10), 1)
    );
}

#[test]
fn ends_below_what_was_read_are_counted_until_one_is_not() {
    let mut part = progress(0, OPEN_END);
    part.reached(8);
    let words: Vec<_> = [5, 5, 8, 5, 6, 5].map(|end| part.doubts_at(end)).into();
    assert_eq!(words, [1, 2, 0, 1, 2, 3], "with 8 it was a leader that did not know");
    part.truncate(8, 5);
    assert_eq!(part.doubts(), 0, "what was believed is doubted no longer");
}

#[test]
fn an_end_below_what_was_read_is_a_cut_when_it_is_said_again_and_again() {
    let mut part = progress(0, OPEN_END);
    part.reached(8);
    let words: Vec<_> = [5, 5, 8, 5, 6, 5].map(|end| part.is_cut_by_word(end)).into();
    assert_eq!(words, [false, false, false, false, false, true], "with 8 it was a leader that did not know");
    assert!(!part.was_truncated(), "before it is believed");
    part.truncate(8, 5);
    assert!(part.was_truncated());
}

#[test]
fn what_is_shown_again_behind_a_cut_is_new() {
    let mut part = progress(0, 10);
    part.add(&[OffsetRun { lower: 0, upper: 8 }]);
    part.reached(8);
    part.truncate(8, 5);
    assert_eq!(part.position, 5);
    assert_eq!(part.add(&[OffsetRun { lower: 5, upper: 8 }]), (None, 0));
    assert_eq!(part.add(&[OffsetRun { lower: 4, upper: 5 }]), (Some(4), 1));
}

#[test]
fn what_was_cut_off_is_told_by_the_cut_alone() {
    for one_by_one in [true, false] {
        let mut part = progress(0, 10);
        if one_by_one {
            (0..6).for_each(|offset| part.read(offset));
        } else {
            part.add(&[OffsetRun { lower: 0, upper: 6 }]);
            part.reached(6);
        }
        part.truncate(6, 4);
        assert_eq!(part.read_ranges(), RangeSetBlaze::from_iter([0..=3]));
        let missing = part.tell_missing(Some(&ledger(0, 8)), 0).unwrap();
        assert_eq!(missing.ranges, [6..=7], "4 and 5 are in the truncation");
        assert_eq!(part.missing(Some(&ledger(0, 8)), 0), None, "told once");
    }
}

#[test]
fn what_was_lost_and_is_read_in_the_next_pass_can_be_lost_again() {
    let mut first = progress(0, 4);
    (0..2).for_each(|offset| first.read(offset));
    assert!(first.tell_missing(Some(&ledger(0, 4)), 0).is_some());
    let range = OffsetRange { partition: PartitionSlot::default(), start: 0, end: 4, leader_epoch: -1 };
    let mut second = PartitionProgress::new(range, first.into_losses());
    (0..4).for_each(|offset| second.read(offset));
    second.settle();
    let third = PartitionProgress::new(range, second.into_losses());
    assert_eq!(third.missing(Some(&ledger(0, 4)), 0).unwrap().count, 4);
}

/// It was named as lost; that it cannot be read now is no new copy of it.
#[test]
fn what_cannot_be_read_was_not_written_again() {
    let mut part = progress(0, 4);
    assert!(part.tell_missing(Some(&ledger(0, 4)), 0).is_some());
    part.pass_over(0..4);
    part.settle();
    part.unreadable.clear();
    assert_eq!(part.missing(Some(&ledger(0, 4)), 0), None);
}

#[test]
fn nothing_is_passed_over_behind_the_end() {
    let mut part = progress(0, 10);
    assert_eq!(part.pass_over(8..30), Some(8..10));
    assert_eq!(part.pass_over(10..30), None);
    assert_eq!(part.unreadable, RangeSetBlaze::from_iter([8..=9]));
    assert_eq!(part.accounted(), part.unreadable);
}

#[test]
fn the_end_of_a_log_that_may_be_compacted_away_is_left_out_when_nothing_is_shown_for_long() {
    let at = |part: &mut PartitionProgress, seconds| {
        let since = Instant::now();
        part.leave_out_tail(since, since + Duration::from_secs(seconds))
    };
    let mut quiet = progress(0, 10).may_end_at(Some(2));
    quiet.reached(2);
    assert_eq!(at(&mut quiet, 4), None, "it may still come");
    assert_eq!(at(&mut quiet, 5), Some(2..10));
    assert!(quiet.is_done() && quiet.position == 2 && quiet.left_out == 8);
    let mut short = progress(0, 10).may_end_at(Some(3));
    short.reached(2);
    assert_eq!(at(&mut short, 60), None, "a record that must be there");
    let mut plain = progress(0, 10);
    plain.reached(2);
    assert_eq!(at(&mut plain, 60), None, "nothing may be gone");
    let mut open = progress(0, OPEN_END).may_end_at(Some(0));
    assert_eq!(at(&mut open, 60), None, "more is waited for");
}

#[test]
fn an_end_that_was_named_too_early_is_gone_beyond() {
    let mut early = progress(0, 3);
    (0..3).for_each(|offset| early.read(offset));
    assert!(early.is_done() && !early.reopen(3), "the log ends there indeed");
    assert!(early.reopen(5) && !early.is_done());
    (3..5).for_each(|offset| early.read(offset));
    assert!(!early.reopen(4), "it never goes back");
}
