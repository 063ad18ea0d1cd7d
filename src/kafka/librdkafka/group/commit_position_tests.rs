use std::sync::Arc;

use super::*;

const SOUND: fn() -> bool = || true;
use crate::kafka::Handover;

fn slot(number: u32) -> PartitionSlot {
    PartitionSlot::new(number)
}

#[test]
fn a_partition_that_is_not_ours_does_not_advance() {
    let mut owned = Owned::default();
    assert_eq!((owned.read(slot(3), 9, 1, SOUND), owned.reached(slot(3), 9)), (Step::Nothing, Step::Nothing));
    owned.0.insert(slot(3), NEW_PLACE);
    assert_eq!(owned.read(slot(3), 9, 1, SOUND), Step::Forward);
    assert_eq!(owned.reached(slot(3), 10), Step::Forward, "the end of the log");
    assert_eq!((owned.0[&slot(3)].position, owned.0[&slot(3)].committed), (10, -1));
}

#[test]
fn a_place_that_goes_back_is_committed_anew() {
    let mut owned = Owned::default();
    owned.0.insert(slot(3), CommitPosition { position: 10, committed: 10, epoch: 1, ..NEW_PLACE });
    assert_eq!(owned.read(slot(3), 4, 2, SOUND), Step::Back { from: 10, epoch: 1 });
    assert_eq!((owned.0[&slot(3)].position, owned.0[&slot(3)].committed), (5, -1));
    assert_eq!(owned.read(slot(3), 5, 2, SOUND), Step::Forward);
}

#[test]
fn an_end_below_the_place_proves_no_truncation() {
    let mut owned = Owned::default();
    owned.0.insert(slot(3), CommitPosition { position: 10, committed: 10, epoch: 1, ..NEW_PLACE });
    assert_eq!(
        owned.reached(slot(3), 3),
        Step::Nothing,
        "a leader that does not know more yet, or a client that went back"
    );
    assert_eq!((owned.0[&slot(3)].position, owned.0[&slot(3)].committed), (10, 10));
}

#[test]
fn what_the_client_goes_back_to_is_shown_to_nobody() {
    let mut owned = Owned::default();
    owned.0.insert(slot(3), CommitPosition { position: 10, epoch: 4, ..NEW_PLACE });
    // To an earlier offset, or to the beginning: once it is told where to go on.
    assert_eq!(owned.read(slot(3), 5, 4, SOUND), Step::Again { position: 10 });
    assert_eq!(
        (owned.read(slot(3), 6, 3, SOUND), owned.read(slot(3), 0, 0, SOUND)),
        (Step::Nothing, Step::Nothing)
    );
    assert_eq!(owned.0[&slot(3)].position, 10, "nobody goes back for that");
    assert_eq!(owned.read(slot(3), 10, 4, SOUND), Step::Forward);
    assert_eq!(
        owned.read(slot(3), 5, 4, SOUND),
        Step::Again { position: 11 },
        "and again where it has gone on"
    );
    assert_eq!(
        (owned.read(slot(3), 7, 5, SOUND), owned.read(slot(3), 8, 5, SOUND)),
        (Step::Back { from: 11, epoch: 4 }, Step::Forward),
        "a truncation: a later leader wrote there"
    );
    assert_eq!(owned.read(slot(3), 7, 5, SOUND), Step::Nothing, "told twice");
    assert_eq!(owned.read(slot(3), 6, 5, SOUND), Step::Again { position: 9 });
}

#[test]
fn where_nobody_knows_who_wrote_what_was_read_nothing_proves_a_truncation() {
    let mut owned = Owned::default();
    owned.0.insert(slot(3), CommitPosition { position: 10, epoch: -1, ..NEW_PLACE });
    assert_eq!(owned.read(slot(3), 5, 4, SOUND), Step::Again { position: 10 });
    assert_eq!(owned.read(slot(3), 10, 4, SOUND), Step::Forward);
}

#[test]
fn a_rebalance_excuses_that_the_last_record_comes_once_more() {
    let mut owned = Owned::default();
    owned.0.insert(slot(3), NEW_PLACE);
    let rebalance = |owned: &mut Owned| owned.0.get_mut(&slot(3)).unwrap().may_repeat = true;
    rebalance(&mut owned);
    assert_eq!(
        (owned.read(slot(3), 5, 1, SOUND), owned.read(slot(3), 6, 1, SOUND)),
        (Step::Forward, Step::Forward)
    );
    assert_eq!(owned.read(slot(3), 5, 1, SOUND), Step::Again { position: 7 }, "not the last");
    owned.0.get_mut(&slot(3)).unwrap().went_back = -1;
    let twice = (owned.read(slot(3), 6, 1, SOUND), owned.read(slot(3), 6, 1, SOUND));
    assert_eq!(twice, (Step::Nothing, Step::Again { position: 7 }));
    rebalance(&mut owned);
    assert_eq!(owned.reached(slot(3), 8), Step::Forward, "control records");
    assert_eq!(owned.read(slot(3), 6, 1, SOUND), Step::Nothing);
}

#[test]
fn a_leader_elected_under_the_group_is_asked_about_what_was_read_before() {
    let mut owned = Owned::default();
    owned.0.insert(slot(3), CommitPosition { known_epoch: 2, ..NEW_PLACE });
    assert_eq!(owned.read(slot(3), 9, 1, SOUND), Step::Forward);
    assert_eq!(owned.read(slot(3), 10, 2, SOUND), Step::Forward, "who led in the beginning");
    owned.reached(slot(3), 12);
    let behind_the_record = Step::Confirm { offset: 11, epoch: 2 };
    assert_eq!(owned.read(slot(3), 12, 3, SOUND), behind_the_record, "and not behind the marker");
    assert_eq!(owned.0[&slot(3)].position, 12);
    assert_eq!(owned.read(slot(3), 12, 3, SOUND), Step::Forward, "once");
    owned.read(slot(3), 13, 4, SOUND);
    assert_eq!(owned.read(slot(3), 7, 4, SOUND), Step::Back { from: 13, epoch: 3 }, "it was not the same");
    assert_eq!(owned.read(slot(3), 7, 4, SOUND), Step::Nothing, "told twice");
    assert_eq!(owned.read(slot(3), 8, 4, SOUND), Step::Forward);
}

#[test]
fn who_takes_a_partition_over_asks_about_what_others_read() {
    let handover = Arc::new(Handover::new([(2, None)]));
    let read = |offset| OffsetAndEpoch { offset, leader_epoch: 2 };
    handover.tell(slot(0), read(10));
    let take_over = || {
        let mut owned = Owned::default();
        owned
            .0
            .insert(slot(0), CommitPosition::behind(handover.read(slot(0)), handover.known_epoch(slot(0))));
        owned
    };
    let mut same = take_over();
    assert_eq!(same.read(slot(0), 8, 2, SOUND), Step::Forward, "comes again");
    assert_eq!(same.read(slot(0), 10, 2, SOUND), Step::Forward);
    let asks = Step::Confirm { offset: 10, epoch: 2 };
    let mut refilled = take_over();
    assert_eq!(refilled.read(slot(0), 8, 2, SOUND), Step::Forward, "comes again");
    assert_eq!(refilled.read(slot(0), 9, 3, SOUND), asks);
    assert_eq!(
        refilled.read(slot(0), 9, 3, SOUND),
        Step::Back { from: 10, epoch: 2 },
        "it was truncated here"
    );
    let mut beyond = take_over();
    assert_eq!(beyond.read(slot(0), 14, 3, SOUND), asks);
    assert_eq!(beyond.read(slot(0), 9, 3, SOUND), Step::Back { from: 10, epoch: 2 });
}

#[test]
fn what_is_lost_uncommitted_is_counted() {
    assert_eq!(CommitPosition { position: 15, committed: 10, ..NEW_PLACE }.ahead(), 5);
    assert_eq!(CommitPosition { position: 10, committed: 12, ..NEW_PLACE }.ahead(), 0);
    assert_eq!(NEW_PLACE.ahead(), 0);
    let mut uncommitted = NEW_PLACE;
    (5..8).for_each(|offset| _ = uncommitted.go(offset, offset + 1));
    assert_eq!(uncommitted.ahead(), 3, "taken away before its first commit had an answer");
}

#[test]
fn answers_of_an_earlier_tenure_tell_nothing() {
    let mut place = CommitPosition { position: 15, ..NEW_PLACE }.after(3);
    assert!(!place.awaits_answer());
    place.answer(3, Some(40));
    assert_eq!(place.committed, -1);
    place.sent = 4;
    assert!(place.awaits_answer());
    place.answer(4, Some(15));
    assert!(place.is_committed() && !place.awaits_answer());
}

#[test]
fn answers_of_what_was_cut_off_tell_nothing() {
    let mut owned = Owned::default();
    owned.0.insert(
        slot(3),
        CommitPosition { position: 10, committed: 8, sent: 5, answered: 4, epoch: 1, ..NEW_PLACE },
    );
    assert_eq!(owned.read(slot(3), 4, 2, SOUND), Step::Back { from: 10, epoch: 1 });
    let place = owned.0.get_mut(&slot(3)).unwrap();
    place.answer(5, Some(10));
    assert_eq!((place.committed, place.is_committed()), (-1, false));
}

#[test]
fn the_last_answer_is_what_the_group_goes_by() {
    let mut place = CommitPosition { position: 15, sent: 2, ..NEW_PLACE };
    place.answer(2, Some(15));
    place.answer(1, Some(10));
    assert_eq!((place.committed, place.is_committed()), (10, false), "an older commit came through last");
    place.sent = 3;
    place.answer(3, None);
    assert_eq!((place.committed, place.awaits_answer()), (10, false), "refused");
}
