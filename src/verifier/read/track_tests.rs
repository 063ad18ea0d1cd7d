use super::*;
use crate::ledger::OffsetRun;

fn track(start: i64, end: i64) -> Track {
    Track::new(Span { partition: 0, start, end, leader_epoch: -1 }, Losses::default())
}

fn ledger(lower: i64, upper: i64) -> PartitionLedger {
    let mut ledger = PartitionLedger::default();
    ledger.insert(OffsetRun { lower, upper });
    ledger
}

#[test]
fn done_at_the_end_by_record_or_by_end_of_log() {
    let mut by_record = track(0, 2);
    by_record.read(0, -1);
    assert!(!by_record.is_done());
    by_record.read(1, -1);
    assert!(by_record.is_done());
    let mut by_end = track(0, 2);
    by_end.read(0, -1);
    by_end.reached(2);
    assert!(by_end.is_done(), "the last offset was a control record");
    assert!(track(5, 5).is_done() && track(5, 3).is_done(), "nothing to read");
}

#[test]
fn an_end_below_the_target_is_looked_into_soon_and_silence_later() {
    let mut waiting = track(0, 10);
    let now = waiting.looked;
    let overdue = Duration::from_millis(500);
    waiting.reached(3);
    assert!(!waiting.is_done());
    assert!(!waiting.is_suspect(now, overdue), "it has just moved");
    assert!(waiting.is_suspect(now + overdue, overdue));
    let mut silent = track(0, 10);
    assert!(!silent.is_suspect(now + overdue, overdue));
    assert!(silent.is_suspect(now + SILENCE + overdue, overdue));
}

/// A track of which these offsets were read, of one leader.
fn read(records: std::ops::Range<i64>, end: i64, epoch: i32) -> Track {
    let mut track = track(records.start, end);
    records.for_each(|offset| track.read(offset, epoch));
    track
}

fn suspect(behind: i64, epoch: i32) -> Judgement {
    Judgement::Suspect(Suspect { partition: 0, behind, epoch })
}

#[test]
fn a_log_that_ends_below_what_was_read_is_truncated_if_the_leader_says_so_when_asked_about_the_place() {
    let mut cut = read(0..6, 10, 0);
    cut.refused(None);
    let ends = Ends { start: 0, end: 4 };
    assert_eq!(cut.judge(ends), suspect(6, 0));
    assert!(cut.is_paused() && cut.position == 6 && !cut.reseek, "nothing is believed yet");
    let word = Word::Cut { to: None, ends };
    assert_eq!(cut.hear(word), Judgement::Truncated { refilled: false, position: 6, end: 4 });
    assert!(cut.is_done() && cut.position == 4);
    let missing = cut.missing(Some(&ledger(0, 8)), 0).unwrap();
    assert_eq!(missing.ranges, [(6, 7)], "what was read and is gone has been told");
}

#[test]
fn an_answer_to_an_earlier_question_is_no_truncation() {
    let mut track = read(790..796, OPEN_END, 145);
    // Where epoch 144 ended, and held against a place that had moved on.
    track.refused(Some(LogCut { from: 796, epoch: 145, to: 795 }));
    let ends = Ends { start: 0, end: 900 };
    assert_eq!(track.judge(ends), suspect(796, 145));
    assert_eq!(track.hear(Word::Same), Judgement::Cleared);
    assert!(!track.is_paused() && track.reseek && track.position == 796, "it goes on where it stood");
    assert_eq!(track.confirm.take(), Some((796, 145)), "and its client knows again who wrote what is before");
    assert_eq!(track.judge(ends), Judgement::Wait);
    track.read(796, 145);
    // A cut that is one is believed all the same.
    track.refused(Some(LogCut { from: 797, epoch: 145, to: 795 }));
    assert_eq!(track.judge(ends), suspect(797, 145));
    let word = Word::Cut { to: Some(792), ends };
    assert_eq!(track.hear(word), Judgement::Truncated { refilled: true, position: 797, end: 792 });
}

/// Markers, or what was aborted, lay behind the last record, and were cut off.
#[test]
fn a_log_that_ends_where_the_last_record_does_is_read_to_its_end() {
    let mut track = read(0..6, 10, 3);
    track.reached(8);
    track.refused(None);
    let ends = Ends { start: 0, end: 6 };
    assert_eq!(track.judge(ends), suspect(6, 3));
    assert_eq!(track.hear(Word::Same), Judgement::Cleared);
    assert_eq!((track.position, track.judge(ends)), (6, Judgement::Wait));
    assert!(track.is_done(), "and is not asked about again");
}

#[test]
fn what_cannot_be_found_out_is_uncertain_and_no_truncation() {
    let mut track = read(0..6, 10, 3);
    track.refused(Some(LogCut { from: 6, epoch: 3, to: 4 }));
    assert_eq!(track.judge(Ends { start: 0, end: 9 }), suspect(6, 3));
    assert_eq!(track.hear(Word::Uncertain), Judgement::Uncertain);
    assert!(!track.is_paused() && track.reseek && track.position == 6);
    track.refused(Some(LogCut { from: 6, epoch: 3, to: 4 }));
    assert_eq!(track.judge(Ends { start: 0, end: 9 }), suspect(6, 3), "it is asked again");
    assert_eq!(track.hear(Word::Unanswered), Judgement::Wait);
    assert!(!track.is_paused() && track.reseek && track.position == 6);
}

#[test]
fn an_end_below_what_was_read_is_doubted_once_where_the_client_noticed_nothing() {
    let mut doubtful = read(0..6, 10, 0);
    let (old, new) = (Ends { start: 0, end: 4 }, Ends { start: 0, end: 10 });
    assert_eq!(doubtful.judge(old), Judgement::Wait);
    assert!(doubtful.reseek && doubtful.position == 6);
    assert_eq!(doubtful.judge(new), Judgement::Wait, "it was a broker that had been away");
    assert_eq!(doubtful.judge(old), Judgement::Wait);
    assert_eq!(doubtful.judge(old), suspect(6, 0));
}

#[test]
fn where_nobody_knows_who_wrote_what_was_read_the_end_must_be_named_twice() {
    let mut unknown = read(0..6, 10, -1);
    let ends = Ends { start: 0, end: 4 };
    unknown.refused(None);
    assert_eq!(unknown.judge(ends), Judgement::Wait);
    unknown.refused(None);
    assert_eq!(unknown.judge(ends), Judgement::Truncated { refilled: false, position: 6, end: 4 });
}

#[test]
fn a_log_that_was_cut_and_written_again_is_read_again_from_the_cut() {
    let mut refilled = read(0..6, 10, 0);
    let ends = Ends { start: 0, end: 20 };
    refilled.refused(Some(LogCut { from: 6, epoch: 0, to: 4 }));
    assert_eq!(refilled.judge(ends), suspect(6, 0));
    assert_eq!(
        refilled.hear(Word::Cut { to: Some(4), ends }),
        Judgement::Truncated { refilled: true, position: 6, end: 4 }
    );
    assert!(!refilled.is_done() && refilled.position == 4 && refilled.reseek);
    (4..10).for_each(|offset| refilled.read(offset, 1));
    assert!(refilled.is_done());
    assert_eq!(refilled.missing(Some(&ledger(0, 10)), 0), None);
    refilled.refused(Some(LogCut { from: 6, epoch: 0, to: 4 }));
    assert_eq!(refilled.judge(ends), Judgement::Wait, "told again");
    refilled.refused(Some(LogCut { from: 9, epoch: 1, to: 8 }));
    assert_eq!(refilled.judge(ends), suspect(10, 1));
    assert_eq!(
        refilled.hear(Word::Cut { to: Some(8), ends }),
        Judgement::Truncated { refilled: true, position: 9, end: 8 }
    );
}

#[test]
fn a_reader_that_waits_at_the_end_keeps_its_place_in_the_client() {
    let mut waiting = track(0, OPEN_END);
    waiting.read(0, -1);
    waiting.judge(Ends { start: 0, end: 1 });
    assert!(!waiting.reseek);
    waiting.judge(Ends { start: 0, end: 2 });
    assert!(waiting.reseek, "there is more, and the client does not show it");
}

#[test]
fn a_start_that_overtakes_the_reader_is_retention() {
    let mut overtaken = track(0, 10);
    overtaken.read(0, -1);
    assert_eq!(overtaken.judge(Ends { start: 7, end: 20 }), Judgement::Retention);
    assert!(!overtaken.is_done() && overtaken.reseek && overtaken.position == 7);
}

#[test]
fn an_end_that_was_named_too_early_is_gone_beyond() {
    let mut early = track(0, 3);
    (0..3).for_each(|offset| early.read(offset, -1));
    assert!(early.is_done() && !early.reopen(3), "the log ends there indeed");
    assert!(early.reopen(5) && !early.is_done() && early.position == 3);
    (3..5).for_each(|offset| early.read(offset, -1));
    assert!(early.is_done() && early.missing(Some(&ledger(0, 5)), 0).is_none());
    assert!(!early.reopen(4), "it never goes back");
}

#[test]
fn a_log_that_ends_where_it_was_read_to_ends_the_pass_there() {
    let mut shorter = track(0, 10);
    (0..6).for_each(|offset| shorter.read(offset, -1));
    assert_eq!(shorter.judge(Ends { start: 0, end: 6 }), Judgement::Wait);
    assert!(shorter.is_done());
    let missing = shorter.missing(Some(&ledger(0, 10)), 0).unwrap();
    assert_eq!((missing.first, missing.last, missing.count), (6, 9, 4), "the audit finds what was acked");
}

#[test]
fn an_open_end_stays_open_until_it_is_closed() {
    let mut open = track(0, OPEN_END);
    open.read(0, -1);
    open.reached(1);
    assert!(!open.is_done() && !open.is_suspect(open.looked + SILENCE / 2, Duration::ZERO));
    assert_eq!(open.judge(Ends { start: 0, end: 1 }), Judgement::Wait);
    assert!(!open.is_done());
    open.close_at(2);
    assert!(!open.is_done());
    open.read(1, -1);
    assert!(open.is_done());
}

#[test]
fn what_was_passed_over_is_not_missed_and_what_is_gone_still_is() {
    let mut holes = track(0, 10);
    (0..3).for_each(|offset| holes.read(offset, -1));
    holes.skip = Some(Skip::at(3));
    holes.pass_over(3, 6);
    assert!(holes.skip.is_none() && holes.position == 6 && !holes.is_done());
    (7..10).for_each(|offset| holes.read(offset, -1));
    assert_eq!(holes.missing(Some(&ledger(0, 10)), 0).unwrap().ranges, [(6, 6)]);
    let mut to_the_end = track(0, 10);
    to_the_end.pass_over(0, 10);
    assert!(to_the_end.is_done());
    assert_eq!(to_the_end.missing(Some(&ledger(0, 10)), 0), None);
}

#[test]
fn missing_is_what_was_acked_and_not_read_above_the_start() {
    let mut holes = track(0, 10);
    for offset in [3, 4, 7, 8, 9] {
        holes.read(offset, -1);
    }
    let found = holes.missing(Some(&ledger(0, 10)), 3).unwrap();
    assert_eq!((found.first, found.last, found.count), (5, 6, 2));
    assert_eq!(found.ranges, [(5, 6)]);
    assert_eq!(holes.missing(Some(&ledger(0, 10)), 7), None, "retention took it");
    assert_eq!(holes.missing(Some(&ledger(8, 10)), 0), None, "nobody was promised it");
    assert_eq!(holes.missing(None, 0), None);
}

#[test]
fn a_leader_elected_under_the_reader_is_asked_about_what_was_read_before() {
    let span = Span { partition: 0, start: 0, end: OPEN_END, leader_epoch: 2 };
    let mut track = Track::new(span, Losses::default());
    let mut show = |offset, epoch| {
        let asks = track.must_confirm(epoch);
        if !asks {
            track.read(offset, epoch);
        }
        // A marker follows.
        track.reached(offset + 2);
        (asks, track.confirm.take())
    };
    assert_eq!(show(0, 1), (false, None));
    assert_eq!(show(2, 2), (false, None), "who led when the pass began wrote behind what is read");
    assert_eq!(show(4, 3), (true, Some((3, 2))), "the record, and not the marker that another leader wrote");
    assert_eq!(show(4, 3), (false, None), "once");
    assert_eq!(show(6, 4), (true, Some((5, 3))));
}

#[test]
fn nobody_is_asked_about_a_record_that_nobody_read() {
    let mut track = track(0, OPEN_END);
    track.read(0, 1);
    track.pass_over(1, 4);
    assert!(!track.must_confirm(2), "its leader cannot be known");
    track.read(4, 2);
    assert_eq!(track.judge(Ends { start: 8, end: 20 }), Judgement::Retention);
    assert!(!track.must_confirm(3));
}

#[test]
fn behind_a_cut_the_record_before_is_that_at_the_cut() {
    let mut track = track(0, OPEN_END);
    (0..6).for_each(|offset| track.read(offset, 1));
    track.refused(Some(LogCut { from: 6, to: 4, epoch: 1 }));
    let ends = Ends { start: 0, end: 9 };
    assert_eq!(track.judge(ends), suspect(6, 1));
    assert!(matches!(track.hear(Word::Cut { to: Some(4), ends }), Judgement::Truncated { end: 4, .. }));
    assert!(track.must_confirm(2));
    assert_eq!(track.confirm.take(), Some((4, 1)));
}

#[test]
fn a_new_client_goes_on_with_the_search_behind_what_cannot_be_read() {
    let mut track = track(0, 100);
    track.read(0, 1);
    let skip = track.skip.insert(Skip::at(1));
    skip.next(100);
    skip.failed();
    skip.next(100);
    assert_eq!(track.next_offset(), 4, "and not where it began, which would answer for what is being tried");
}

#[test]
fn a_start_that_has_moved_counts_though_a_later_leader_names_an_earlier_one() {
    let mut track = track(0, 10);
    (0..3).for_each(|offset| track.read(offset, 1));
    assert_eq!(track.judge(Ends { start: 6, end: 10 }), Judgement::Retention);
    (6..10).for_each(|offset| track.read(offset, 2));
    assert_eq!((track.start, track.missing(Some(&ledger(0, 10)), track.start)), (6, None));
}

#[test]
fn behind_a_record_that_cannot_be_taken_apart_nothing_is_taken_for_read() {
    let mut track = Track::new(Span { partition: 0, start: 0, end: 10, leader_epoch: -1 }, Losses::default());
    (0..3).for_each(|offset| track.read(offset, 0));
    // What lies between is missed all the same.
    track.spoilt(5);
    assert_eq!((track.position, track.skip), (5, Some(Skip::at(5))));
    assert!(!track.is_done() && !track.consumed().contains(5));
    track.pass_over(5, 6);
    assert_eq!(track.consumed(), RangeSetBlaze::from_iter([0..=2, 5..=5]));
    track.pass_over(6, 10);
    assert!(track.is_done());
}

#[test]
fn the_end_of_a_log_that_may_be_compacted_away_is_left_out_when_nothing_is_shown_for_long() {
    let at = |track: &mut Track, seconds: u64, now: Instant| {
        track.is_suspect(now + Duration::from_secs(seconds), SILENCE);
        track.leave_out_tail(now + Duration::from_secs(seconds))
    };
    let with_two_read = || {
        let mut track = track(0, 10).may_end_at(Some(2));
        (0..2).for_each(|offset| track.read(offset, -1));
        track
    };
    let now = Instant::now();
    let mut quiet = with_two_read();
    assert_eq!((at(&mut quiet, 0, now), at(&mut quiet, 4, now)), (None, None), "it may still come");
    assert_eq!(at(&mut quiet, 5, now), Some(8));
    assert!(quiet.is_done() && quiet.position == 2 && quiet.left_out == 8);
    let mut moving = with_two_read();
    assert_eq!((at(&mut moving, 0, now), at(&mut moving, 4, now)), (None, None));
    moving.read(2, -1);
    assert_eq!(at(&mut moving, 6, now), None, "it was shown something meanwhile");
    assert_eq!(at(&mut moving, 11, now), Some(7));
    let mut short = track(0, 10).may_end_at(Some(3));
    (0..2).for_each(|offset| short.read(offset, -1));
    assert_eq!(
        (at(&mut short, 0, now), at(&mut short, 60, now)),
        (None, None),
        "a record that must be there"
    );
    let mut plain = track(0, 10);
    plain.read(0, -1);
    assert_eq!((at(&mut plain, 0, now), at(&mut plain, 60, now)), (None, None), "nothing may be gone");
    let mut open = track(0, OPEN_END).may_end_at(Some(0));
    assert_eq!((at(&mut open, 0, now), at(&mut open, 60, now)), (None, None), "more is waited for");
}
