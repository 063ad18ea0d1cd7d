use super::*;

const SLOT: PartitionSlot = PartitionSlot::new(0);

fn at(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

/// A place that was begun at an offset.
fn begun(offset: i64, epoch_known: i32) -> ReadPosition {
    let mut place = ReadPosition::default();
    let from = ReadFrom { epoch_known: Some(epoch_known), ..ReadFrom::offset(offset) };
    assert_eq!(place.begin(from, Instant::now()), Begin::Reading);
    place
}

/// A place at which these offsets were shown, of one leader.
fn shown(offsets: std::ops::Range<i64>, epoch: i32) -> ReadPosition {
    let mut place = begun(offsets.start, epoch);
    offsets.for_each(|offset| place.shown(offset, epoch));
    place
}

fn refused(place: &mut ReadPosition, truncation: Option<LogTruncation>) {
    assert!(!place.refused(truncation, Instant::now()));
}

fn suspect(behind: i64, epoch: i32) -> Suspect {
    Suspect { partition: SLOT, behind, epoch }
}

#[test]
fn a_place_beyond_the_end_is_suspected_and_the_leader_s_word_decides() {
    let mut place = shown(0..6, 0);
    refused(&mut place, None);
    let ends = Ends { start: 0, end: 4 };
    assert_eq!(place.judge(SLOT, ends), Judgement::Suspect(suspect(6, 0)));
    assert_eq!((place.state, place.position), (State::Suspected, 6), "nothing is believed yet");
    let truncation = LogTruncation { from: 6, epoch: 0, to: 4 };
    assert_eq!(
        place.handle_reply(suspect(6, 0), LeaderAnswer::Truncated { to: None, ends }),
        Some(Judgement::Truncated(truncation))
    );
    assert_eq!(place.state, State::Idle);
    assert_eq!(place.handle_reply(suspect(6, 0), LeaderAnswer::Same), None, "it was answered");
}

#[test]
fn an_end_below_what_was_shown_is_looked_into_when_it_is_said_again() {
    let mut place = shown(0..6, 0);
    let now = Instant::now();
    assert!(!place.note_low_end(4, now), "a new leader may say so in passing");
    assert!(!place.note_low_end(6, now) && !place.note_low_end(4, now), "it has said otherwise meanwhile");
    assert!(place.note_low_end(4, now));
    assert_eq!(place.state, State::Refused { asks_at: now });
    assert_eq!(place.judge(SLOT, Ends { start: 0, end: 4 }), Judgement::Suspect(suspect(6, 0)));
    let mut unknown = begun(6, 0);
    assert!(
        (0..3).all(|_| !unknown.note_low_end(4, now)),
        "nobody can be asked about a record that nobody knows"
    );
}

#[test]
fn an_answer_to_an_earlier_question_is_no_truncation() {
    let mut place = shown(790..796, 145);
    // Where epoch 144 ended, and held against a place that had moved on.
    refused(&mut place, Some(LogTruncation { from: 796, epoch: 145, to: 795 }));
    let ends = Ends { start: 0, end: 900 };
    assert_eq!(place.judge(SLOT, ends), Judgement::Suspect(suspect(796, 145)));
    assert_eq!(
        place.handle_reply(suspect(796, 145), LeaderAnswer::Same),
        Some(Judgement::NotTruncated { is_certain: true })
    );
    assert_eq!((place.state, place.position, place.last()), (State::Reading, 796, (796, 145)));
    place.shown(796, 145);
    // A truncation that is one is believed all the same.
    refused(&mut place, Some(LogTruncation { from: 797, epoch: 145, to: 795 }));
    assert_eq!(place.judge(SLOT, ends), Judgement::Suspect(suspect(797, 145)));
    let word = LeaderAnswer::Truncated { to: Some(792), ends };
    let truncation = LogTruncation { from: 797, epoch: 145, to: 792 };
    assert_eq!(place.handle_reply(suspect(797, 145), word), Some(Judgement::Truncated(truncation)));
}

/// Markers, or what was aborted, lay behind the last record, and were truncated.
#[test]
fn a_log_that_ends_where_the_last_record_does_is_read_on_there() {
    let mut place = shown(0..6, 3);
    place.reached(8);
    refused(&mut place, None);
    assert_eq!(place.judge(SLOT, Ends { start: 0, end: 6 }), Judgement::Suspect(suspect(6, 3)));
    assert_eq!(
        place.handle_reply(suspect(6, 3), LeaderAnswer::Same),
        Some(Judgement::NotTruncated { is_certain: true })
    );
    assert_eq!(place.position, 6);
}

#[test]
fn what_cannot_be_found_out_is_uncertain_and_no_truncation() {
    let mut place = shown(0..6, 3);
    let (told, ends) = (Some(LogTruncation { from: 6, epoch: 3, to: 4 }), Ends { start: 0, end: 9 });
    refused(&mut place, told);
    assert_eq!(place.judge(SLOT, ends), Judgement::Suspect(suspect(6, 3)));
    assert_eq!(
        place.handle_reply(suspect(6, 3), LeaderAnswer::Uncertain),
        Some(Judgement::NotTruncated { is_certain: false })
    );
    assert_eq!((place.state, place.position), (State::Reading, 6));
    refused(&mut place, told);
    assert_eq!(place.judge(SLOT, ends), Judgement::Suspect(suspect(6, 3)), "it is asked again");
    assert_eq!(place.handle_reply(suspect(6, 3), LeaderAnswer::Unanswered), Some(Judgement::ReadAgain));
}

#[test]
fn one_cut_that_is_told_twice_is_one() {
    let mut place = shown(0..6, 0);
    let (told, ends) = (Some(LogTruncation { from: 6, epoch: 0, to: 4 }), Ends { start: 0, end: 20 });
    refused(&mut place, told);
    assert_eq!(place.judge(SLOT, ends), Judgement::Suspect(suspect(6, 0)));
    let word = LeaderAnswer::Truncated { to: Some(4), ends };
    assert!(matches!(
        place.handle_reply(suspect(6, 0), word),
        Some(Judgement::Truncated(LogTruncation { to: 4, .. }))
    ));
    let again = ReadFrom { offset: 4, epoch_before: Some(0), epoch_known: None };
    assert_eq!(place.begin(again, Instant::now()), Begin::Confirming);
    (4..10).for_each(|offset| place.shown(offset, 1));
    refused(&mut place, told);
    assert_eq!(place.judge(SLOT, ends), Judgement::ReadAgain, "told again");
    refused(&mut place, Some(LogTruncation { from: 9, epoch: 1, to: 8 }));
    assert_eq!(place.judge(SLOT, ends), Judgement::Suspect(suspect(10, 1)));
    let word = LeaderAnswer::Truncated { to: Some(8), ends };
    let truncation = LogTruncation { from: 9, epoch: 1, to: 8 };
    assert_eq!(
        place.handle_reply(suspect(10, 1), word),
        Some(Judgement::Truncated(truncation)),
        "what is new is not lost"
    );
}

#[test]
fn a_start_that_has_overtaken_the_place_is_no_truncation() {
    let mut place = shown(0..6, 0);
    refused(&mut place, None);
    assert_eq!(place.judge(SLOT, Ends { start: 8, end: 20 }), Judgement::OutOfRange);
    assert_eq!(place.state, State::Idle);
}

#[test]
fn a_leader_that_knows_more_by_now_is_read_again() {
    let mut place = shown(0..6, 0);
    refused(&mut place, None);
    assert_eq!(place.judge(SLOT, Ends { start: 0, end: 6 }), Judgement::ReadAgain);
    assert_eq!(place.state, State::Reading);
}

#[test]
fn where_nobody_knows_who_wrote_the_last_record_no_leader_can_be_asked() {
    let mut place = begun(5, -1);
    assert!(place.refused(None, Instant::now()));
    assert_eq!(place.state, State::Idle);
}

#[test]
fn a_place_that_is_being_asked_about_is_not_begun_again() {
    let mut place = shown(0..6, 2);
    refused(&mut place, None);
    let same = ReadFrom { offset: 6, epoch_before: Some(2), epoch_known: None };
    assert_eq!(place.begin(same, Instant::now()), Begin::Later);
    assert_eq!(place.judge(SLOT, Ends { start: 0, end: 4 }), Judgement::Suspect(suspect(6, 2)));
    assert_eq!(place.begin(ReadFrom::offset(6), Instant::now()), Begin::Later);
    assert_eq!(place.begin(ReadFrom::offset(5), Instant::now()), Begin::Reading, "another place");
    assert_eq!(place.handle_reply(suspect(6, 2), LeaderAnswer::Same), None, "nobody is there any more");
}

#[test]
fn a_leader_elected_under_the_reader_is_asked_about_what_was_read_before() {
    let mut place = begun(0, 2);
    let mut show = |offset, epoch| {
        let asks = place.must_confirm(epoch);
        if asks {
            place.confirm();
            place.state = State::Reading;
        }
        let asked = place.last();
        assert!(!place.must_confirm(epoch), "once");
        place.shown(offset, epoch);
        // A marker follows.
        place.reached(offset + 2);
        asks.then_some(asked)
    };
    assert_eq!(show(0, 1), None);
    assert_eq!(show(2, 2), None, "who led when the pass began wrote behind what is read");
    assert_eq!(show(4, 3), Some((3, 2)), "the record, and not the marker that another leader wrote");
    assert_eq!(show(6, 4), Some((5, 3)));
    assert_eq!(show(8, 3), None, "an older one is for others to judge");
}

#[test]
fn nobody_is_asked_about_a_record_that_nobody_read() {
    let mut place = shown(0..1, 1);
    place.unreadable(1);
    place.go_on(4);
    assert!(!place.must_confirm(2), "its leader cannot be known");
    place.shown(4, 2);
    assert_eq!(place.begin(ReadFrom::offset(8), Instant::now()), Begin::Reading);
    assert!(!place.must_confirm(3));
}

#[test]
fn what_is_known_of_the_last_record_is_known_still_where_reading_goes_on() {
    let mut place = shown(0..4, 1);
    assert_eq!(place.begin(ReadFrom::offset(4), Instant::now()), Begin::Reading);
    assert!(place.must_confirm(2));
}

#[test]
fn what_cannot_be_read_begins_at_the_place_or_behind() {
    let mut place = shown(0..4, 1);
    assert_eq!(place.unreadable(-1), 4, "nobody says where");
    assert_eq!(place.state, State::Unreadable);
    let mut place = shown(0..4, 1);
    assert_eq!(place.unreadable(2), 4, "its batch began before");
    let mut place = shown(0..4, 1);
    assert_eq!((place.unreadable(7), place.position), (7, 7), "control records lie between");
}

#[test]
fn a_place_where_nothing_comes_is_looked_at_again_and_again_and_its_client_renewed_once() {
    let (mut place, now, limit) = (begun(5, -1), Instant::now(), Duration::from_secs(15));
    let mut look = |seconds| place.note_end(9, at(now, seconds), limit);
    assert_eq!([0, 14, 16, 20, 31, 46].map(&mut look), {
        [None, None, Some(Remedy::LookAndRenew), None, Some(Remedy::Look), Some(Remedy::Look)]
    });
}

#[test]
fn what_moves_or_has_nothing_to_show_or_is_not_answered_is_not_looked_at() {
    let (now, limit) = (Instant::now(), Duration::from_secs(15));
    let mut moving = begun(5, -1);
    assert_eq!(moving.note_end(9, at(now, 10), limit), None);
    moving.shown(5, 0);
    assert_eq!(
        (moving.note_end(9, at(now, 20), limit), moving.note_end(9, at(now, 34), limit)),
        (None, None)
    );
    let mut at_end = begun(5, -1);
    assert_eq!(at_end.note_end(5, at(now, 60), limit), None);
    let mut unanswered = begun(5, -1);
    unanswered.note_no_end();
    assert_eq!(unanswered.note_end(9, at(now, 60), limit), None);
    assert_eq!(unanswered.note_end(9, at(now, 75), limit), Some(Remedy::LookAndRenew));
    let mut searched = begun(5, -1);
    searched.unreadable(5);
    assert_eq!(searched.note_end(9, at(now, 60), limit), None);
}
