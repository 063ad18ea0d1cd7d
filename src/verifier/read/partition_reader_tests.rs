use range_set_blaze::RangeSetBlaze;

use super::*;
use crate::{
    ledger::{OffsetRun, PartitionLedger},
    verifier::read::progress::OPEN_END,
};

fn reader(start: i64, end: i64) -> PartitionReader {
    PartitionReader::new(
        OffsetRange { partition: PartitionSlot::default(), start, end, leader_epoch: -1 },
        Losses::default(),
        None,
    )
}

const LIMITS: Limits = Limits { with_sign: Duration::from_millis(500), without: SILENCE };

fn ledger(lower: i64, upper: i64) -> PartitionLedger {
    let mut ledger = PartitionLedger::default();
    ledger.insert(OffsetRun { lower, upper });
    ledger
}

#[test]
fn done_at_the_end_by_record_or_by_end_of_log() {
    let mut by_record = reader(0, 2);
    by_record.read(0, -1);
    assert!(!by_record.is_done());
    by_record.read(1, -1);
    assert!(by_record.is_done());
    let mut by_end = reader(0, 2);
    by_end.read(0, -1);
    by_end.reached(2);
    assert!(by_end.is_done(), "the last offset was a control record");
    assert!(reader(5, 5).is_done() && reader(5, 3).is_done(), "nothing to read");
}

#[test]
fn an_end_below_the_target_is_looked_into_soon_and_silence_later() {
    let mut waiting = reader(0, 10);
    let now = waiting.looked;
    let overdue = LIMITS.with_sign;
    waiting.reached(3);
    assert!(!waiting.is_done());
    assert!(!waiting.is_suspect(now, LIMITS), "it has just moved");
    assert!(waiting.is_suspect(now + overdue, LIMITS));
    let mut silent = reader(0, 10);
    assert!(!silent.is_suspect(now + overdue, LIMITS));
    assert!(silent.is_suspect(now + SILENCE + overdue, LIMITS));
}

/// A reader of which these offsets were read, of one leader.
fn read(records: std::ops::Range<i64>, end: i64, epoch: i32) -> PartitionReader {
    let mut reader = reader(records.start, end);
    records.for_each(|offset| reader.read(offset, epoch));
    reader
}

#[test]
fn a_log_that_ends_below_what_was_read_is_truncated_when_the_client_has_made_sure() {
    let mut truncated = read(0..6, 10, 0);
    let ends = Ends { start: 0, end: 4 };
    assert_eq!(truncated.judge(ends), Judgement::Wait);
    assert_eq!(truncated.judge(ends), Judgement::Wait, "nothing is believed yet");
    let asked = ReadFrom { offset: 6, epoch_before: Some(0), epoch_known: Some(-1) };
    assert!(truncated.take_reseek() && !truncated.take_reseek());
    assert_eq!(truncated.place(), asked, "the client is to make sure");
    truncated.note_truncation(6, 4);
    assert_eq!(truncated.judge(ends), Judgement::Truncated { refilled: false, position: 6, end: 4 });
    assert!(truncated.is_done() && truncated.position() == 4);
    let missing = truncated.progress.missing(Some(&ledger(0, 8)), 0).unwrap();
    assert_eq!(missing.ranges, [6..=7], "what was read and is gone has been told");
}

#[test]
fn a_cut_is_asked_about_at_once() {
    let mut reader = read(790..796, OPEN_END, 145);
    let now = reader.looked;
    assert!(!reader.is_suspect(now, LIMITS) && !reader.is_lost());
    reader.note_truncation(796, 795);
    assert!(reader.is_suspect(now, LIMITS) && reader.is_lost());
}

/// Markers, or what was aborted, lay behind the last record, and were truncated.
#[test]
fn a_log_that_ends_where_the_last_record_does_is_read_to_its_end() {
    let ends = Ends { start: 0, end: 6 };
    let with_markers = || {
        let mut reader = read(0..6, 10, 3);
        reader.reached(8);
        reader
    };
    let mut doubted = with_markers();
    assert_eq!((doubted.judge(ends), doubted.position()), (Judgement::Wait, 6));
    assert_eq!(doubted.judge(ends), Judgement::Wait);
    assert!(doubted.is_done(), "and is not asked about again");
    let mut told = with_markers();
    told.not_truncated(6);
    assert_eq!(told.judge(ends), Judgement::Wait);
    assert!(told.is_done());
    let mut further = with_markers();
    further.not_truncated(3);
    assert_eq!(further.position(), 6, "never below a record");
}

#[test]
fn an_end_below_what_was_read_is_for_the_client_to_make_sure_of() {
    let mut doubtful = read(0..6, 10, 0);
    let (old, new) = (Ends { start: 0, end: 4 }, Ends { start: 0, end: 10 });
    assert_eq!(doubtful.judge(old), Judgement::Wait);
    assert!(doubtful.take_reseek() && doubtful.position() == 6 && !doubtful.is_done());
    assert_eq!(doubtful.judge(new), Judgement::Wait, "it was a broker that had been away");
    assert_eq!(doubtful.judge(old), Judgement::Wait);
    assert_eq!((doubtful.position(), doubtful.progress.end()), (6, 10));
}

#[test]
fn where_nobody_knows_who_wrote_what_was_read_the_end_must_be_named_twice() {
    let mut unknown = read(0..6, 10, -1);
    let ends = Ends { start: 0, end: 4 };
    unknown.refused();
    assert_eq!(unknown.judge(ends), Judgement::Wait);
    unknown.refused();
    assert_eq!(unknown.judge(ends), Judgement::Truncated { refilled: false, position: 6, end: 4 });
}

#[test]
fn a_log_that_was_truncated_and_written_again_is_read_again_from_there() {
    let mut refilled = read(0..6, 10, 0);
    refilled.note_truncation(6, 4);
    assert_eq!(refilled.judge(Ends { start: 0, end: 20 }), {
        Judgement::Truncated { refilled: true, position: 6, end: 4 }
    });
    assert!(!refilled.is_done() && refilled.position() == 4 && refilled.take_reseek());
    // Leaders that change with each record: by the epoch of record 5, which is gone, the log would be found truncated at 3, then at 2.
    assert_eq!(refilled.place(), ReadFrom { offset: 4, epoch_before: None, epoch_known: Some(-1) });
    (4..10).for_each(|offset| refilled.read(offset, 1));
    assert!(refilled.is_done());
    assert_eq!(refilled.progress.missing(Some(&ledger(0, 10)), 0), None);
}

#[test]
fn a_reader_that_waits_at_the_end_keeps_its_place_in_the_client() {
    let mut waiting = reader(0, OPEN_END);
    waiting.read(0, -1);
    waiting.judge(Ends { start: 0, end: 1 });
    assert!(!waiting.take_reseek());
    waiting.judge(Ends { start: 0, end: 2 });
    assert!(waiting.take_reseek(), "there is more, and the client does not show it");
}

#[test]
fn a_start_that_overtakes_the_reader_is_retention() {
    let mut overtaken = reader(0, 10);
    overtaken.read(0, -1);
    assert_eq!(overtaken.judge(Ends { start: 7, end: 20 }), Judgement::Retention);
    assert!(!overtaken.is_done() && overtaken.take_reseek());
    assert_eq!(overtaken.place(), ReadFrom { epoch_known: Some(-1), ..ReadFrom::offset(7) });
}

#[test]
fn a_log_that_ends_where_it_was_read_to_ends_the_pass_there() {
    let mut shorter = reader(0, 10);
    (0..6).for_each(|offset| shorter.read(offset, -1));
    assert_eq!(shorter.judge(Ends { start: 0, end: 6 }), Judgement::Wait);
    assert!(shorter.is_done());
    let missing = shorter.progress.missing(Some(&ledger(0, 10)), 0).unwrap();
    assert_eq!((missing.first, missing.last, missing.count), (6, 9, 4), "the audit finds what was acked");
}

#[test]
fn an_open_end_stays_open_until_it_is_closed() {
    let mut open = reader(0, OPEN_END);
    open.read(0, -1);
    open.reached(1);
    assert!(!open.is_done() && !open.is_suspect(open.looked + SILENCE / 2, LIMITS));
    assert_eq!(open.judge(Ends { start: 0, end: 1 }), Judgement::Wait);
    assert!(!open.is_done());
    open.progress.close_at(2, None);
    assert!(!open.is_done());
    open.read(1, -1);
    assert!(open.is_done());
}

#[test]
fn what_was_passed_over_is_not_missed_and_what_is_gone_still_is() {
    let mut holes = reader(0, 10);
    (0..3).for_each(|offset| holes.read(offset, -1));
    assert!(holes.unreadable(3) && holes.is_paused() && !holes.unreadable(3), "it is named once");
    assert_eq!(holes.pass_over(6), Some(3..6));
    assert!(!holes.is_paused() && holes.position() == 6 && !holes.is_done());
    (7..10).for_each(|offset| holes.read(offset, -1));
    assert_eq!(holes.progress.missing(Some(&ledger(0, 10)), 0).unwrap().ranges, [6..=6]);
    let mut to_the_end = reader(0, 10);
    to_the_end.unreadable(0);
    assert_eq!(to_the_end.pass_over(30), Some(0..10), "nothing is missed behind the end of the part");
    assert!(to_the_end.is_done());
    assert_eq!(to_the_end.progress.missing(Some(&ledger(0, 10)), 0), None);
}

#[test]
fn missing_is_what_was_acked_and_not_read_above_the_start() {
    let mut holes = reader(0, 10);
    for offset in [3, 4, 7, 8, 9] {
        holes.read(offset, -1);
    }
    let found = holes.progress.missing(Some(&ledger(0, 10)), 3).unwrap();
    assert_eq!((found.first, found.last, found.count), (5, 6, 2));
    assert_eq!(found.ranges, [5..=6]);
    assert_eq!(holes.progress.missing(Some(&ledger(0, 10)), 7), None, "retention took it");
    assert_eq!(holes.progress.missing(Some(&ledger(8, 10)), 0), None, "nobody was promised it");
    assert_eq!(holes.progress.missing(None, 0), None);
}

#[test]
fn nobody_is_asked_about_a_record_that_nobody_read() {
    let mut reader = reader(0, OPEN_END);
    reader.read(0, 1);
    reader.unreadable(1);
    reader.pass_over(4);
    assert_eq!(reader.place().epoch_before, None, "its leader cannot be known");
    reader.read(4, 2);
    reader.reached(6);
    assert_eq!(reader.place().epoch_before, None, "a marker lies between");
}

#[test]
fn what_can_be_read_after_all_is_not_passed_over() {
    let mut reader = read(0..3, 10, 1);
    reader.unreadable(3);
    assert_eq!((reader.pass_over(3), reader.is_paused(), reader.position()), (None, false, 3));
    assert!(reader.unreadable(3), "and is news when it is not");
}

#[test]
fn a_start_that_has_moved_counts_though_a_later_leader_names_an_earlier_one() {
    let mut reader = reader(0, 10);
    (0..3).for_each(|offset| reader.read(offset, 1));
    assert_eq!(reader.judge(Ends { start: 6, end: 10 }), Judgement::Retention);
    (6..10).for_each(|offset| reader.read(offset, 2));
    assert_eq!(
        (reader.progress.start, reader.progress.missing(Some(&ledger(0, 10)), reader.progress.start)),
        (6, None)
    );
}

#[test]
fn behind_a_record_that_cannot_be_taken_apart_nothing_is_taken_for_read() {
    let mut reader = PartitionReader::new(
        OffsetRange { partition: PartitionSlot::default(), start: 0, end: 10, leader_epoch: -1 },
        Losses::default(),
        None,
    );
    (0..3).for_each(|offset| reader.read(offset, 0));
    // What lies between is missed all the same.
    reader.unreadable(5);
    assert!(reader.is_paused() && !reader.is_done() && !reader.progress.accounted().contains(5));
    reader.pass_over(6);
    assert_eq!(reader.progress.accounted(), RangeSetBlaze::from_iter([0..=2, 5..=5]));
    reader.unreadable(6);
    reader.pass_over(10);
    assert!(reader.is_done());
}

#[test]
fn a_place_that_moved_meanwhile_waits_anew_for_what_may_be_compacted_away() {
    let at = |reader: &mut PartitionReader, seconds: u64, now: Instant| {
        reader.is_suspect(now + Duration::from_secs(seconds), LIMITS);
        reader.leave_out_tail(now + Duration::from_secs(seconds))
    };
    let now = Instant::now();
    let range = OffsetRange { partition: PartitionSlot::default(), start: 0, end: 10, leader_epoch: -1 };
    let mut moving = PartitionReader::new(range, Losses::default(), Some(2));
    (0..2).for_each(|offset| moving.read(offset, -1));
    assert_eq!((at(&mut moving, 0, now), at(&mut moving, 4, now)), (None, None));
    moving.read(2, -1);
    assert_eq!(at(&mut moving, 6, now), None, "it was shown something meanwhile");
    moving.unreadable(3);
    assert_eq!(at(&mut moving, 11, now), None, "the client looks for what can be read");
    moving.pass_over(4);
    assert_eq!(at(&mut moving, 12, now), None, "it has gone on");
    assert_eq!(at(&mut moving, 17, now), Some(4..10));
    assert!(moving.is_done());
}

#[test]
fn more_to_read_is_for_a_client_that_had_been_stopped() {
    let mut reader = read(0..3, 3, -1);
    reader.is_stopped = true;
    assert!(!reader.reopen(3) && reader.is_stopped);
    assert!(reader.reopen(5) && !reader.is_stopped && reader.position() == 3);
}
