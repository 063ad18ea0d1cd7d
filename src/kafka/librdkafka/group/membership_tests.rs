use super::*;

const SOUND: fn() -> bool = || true;

fn table() -> Arc<PartitionTable> {
    Arc::new(PartitionTable::of_topic("t", 0..8))
}

fn slot(number: u32) -> PartitionSlot {
    PartitionSlot::new(number)
}

#[test]
fn places_are_handed_over_when_they_are_given_up() {
    let handover = Arc::new(Handover::new([(0, None)]));
    let membership = Membership::new(vec![c"t".to_owned()], &table(), Some(handover.clone()));
    membership.owned.borrow_mut().0.insert(slot(0), NEW_PLACE);
    membership.read(slot(0), 6, 3, SOUND);
    let mut list = PartitionList::new(1).unwrap();
    list.add(c"t", 0, 0);
    // SAFETY: the list is alive.
    membership.revoked(unsafe { entries(list.ptr()) });
    assert_eq!(handover.read(slot(0)), OffsetAndEpoch { offset: 7, leader_epoch: 3 });
    // SAFETY: the list is alive.
    membership.assigned(unsafe { entries(list.ptr()) });
    assert_eq!(membership.read(slot(0), 7, 4, SOUND), Step::Confirm { offset: 7, epoch: 3 });
    assert!(membership.pass_over(slot(0), 9));
    assert!(handover.read(slot(0)).offset < 0, "nobody knows who wrote what cannot be read");
}

#[test]
fn who_has_shown_what_lies_there_or_must_not_does_not_sleep() {
    let membership = Membership::new(vec![c"t".to_owned()], &table(), None);
    let is_silent = |offset| membership.is_silent_at(slot(0), offset);
    assert!(!is_silent(7), "it is another's");
    membership.owned.borrow_mut().0.insert(slot(0), NEW_PLACE);
    assert!(!is_silent(7), "it has not begun");
    membership.read(slot(0), 6, 3, SOUND);
    assert_eq!([6, 7, 8].map(is_silent), [false, true, true]);
    membership.hold(slot(0), Unreadable::Malformed(7));
    assert!(!is_silent(7), "it has been told to wait");
}

#[test]
fn a_member_is_settled_when_the_group_knows_all_its_places() {
    let membership = Membership::new(vec![c"t".to_owned()], &table(), None);
    assert!(membership.state().settled, "nothing to know");
    membership.owned.borrow_mut().0.insert(slot(1), NEW_PLACE);
    assert!(!membership.state().settled && !membership.has_new_place());
    membership.reached(slot(1), 0);
    assert!(membership.has_new_place());
    membership.answered(1, c"other", 1, Some(0));
    assert!(!membership.state().settled);
    membership.answered(1, c"t", 1, Some(0));
    assert!(membership.state().settled && !membership.has_new_place());
}

#[test]
fn places_that_are_given_up_wait_for_their_last_commit() {
    let membership = Membership::new(vec![c"t".to_owned()], &table(), None);
    let mut list = PartitionList::new(4).unwrap();
    // The last one's commit has been answered, and it has gone on since.
    for (partition, sent) in [(0_i32, 7), (1, 7), (2, 7), (3, 0)] {
        let place = CommitPosition { position: 15, committed: 10, sent, ..NEW_PLACE };
        membership.owned.borrow_mut().0.insert(slot(partition.unsigned_abs()), place);
        list.add(c"t", partition, 0);
    }
    // SAFETY: the list is alive.
    membership.revoked(unsafe { entries(list.ptr()) });
    assert!(!membership.is_committed());
    assert_eq!(membership.state().uncommitted, 5, "nothing was on its way");
    membership.answered(6, c"t", 0, Some(12));
    assert_eq!(membership.state().uncommitted, 5, "it is not the last answer");
    membership.answered(7, c"t", 0, Some(15));
    assert_eq!(membership.state().uncommitted, 5);
    membership.answered(7, c"t", 1, None);
    assert_eq!(membership.state().uncommitted, 10);
    membership.give_up_on_commits();
    assert_eq!(membership.state().uncommitted, 15);
    assert!(membership.is_committed());
}

#[test]
fn what_is_committed_in_a_new_tenure_does_not_answer_for_the_one_before() {
    let membership = Membership::new(vec![c"t".to_owned()], &table(), None);
    let mut list = PartitionList::new(1).unwrap();
    list.add(c"t", 0, 0);
    let place = CommitPosition { position: 15, committed: 10, sent: 7, ..NEW_PLACE };
    membership.owned.borrow_mut().0.insert(slot(0), place);
    membership.sent.set(7);
    // SAFETY: the list is alive.
    membership.revoked(unsafe { entries(list.ptr()) });
    // SAFETY: the list is alive.
    membership.assigned(unsafe { entries(list.ptr()) });
    membership.reached(slot(0), 20);
    membership.owned.borrow_mut().0.get_mut(&slot(0)).unwrap().sent = 8;
    membership.answered(7, c"t", 0, None);
    assert_eq!(membership.state().uncommitted, 5, "consumed again, whoever does it");
    membership.answered(8, c"t", 0, Some(20));
    membership.answers.set(7);
    assert!(membership.is_committed());
}

#[test]
fn a_commit_that_is_still_under_way_can_undo_a_later_one() {
    let membership = Membership::new(vec![c"t".to_owned()], &table(), None);
    let place = CommitPosition { position: 15, committed: 10, sent: 2, ..NEW_PLACE };
    membership.owned.borrow_mut().0.insert(slot(0), place);
    membership.sent.set(2);
    let answer = |number, offset| {
        membership.count_answer();
        membership.answered(number, c"t", 0, Some(offset));
    };
    answer(2, 15);
    assert!(!membership.is_committed(), "the first one has no answer yet");
    answer(1, 12);
    assert!(!membership.is_committed(), "and came through behind the second");
    membership.sent.set(3);
    answer(3, 15);
    assert!(membership.is_committed());
}

#[test]
fn what_is_shown_and_not_consumed_is_not_committed() {
    let membership = Membership::new(vec![c"t".to_owned()], &table(), None);
    membership.owned.borrow_mut().0.insert(slot(0), NEW_PLACE);
    (4..7).for_each(|offset| _ = membership.read(slot(0), offset, 1, SOUND));
    membership.take_back(slot(0), 6);
    assert_eq!(membership.owned.borrow().0[&slot(0)].position, 6);
    assert!(membership.read_again(slot(0), 5) && !membership.read_again(slot(1), 5));
    assert_eq!(
        membership.read(slot(0), 5, 1, SOUND),
        Step::Forward,
        "and what was left out is none that comes again"
    );
    membership.take_back(slot(0), 5);
    // What the client made of the bytes behind a batch that could not be read.
    membership.read(slot(0), 90, 1, SOUND);
    membership.pass_over(slot(0), 9);
    assert_eq!(membership.owned.borrow().0[&slot(0)].position, 9);
}

#[test]
fn nothing_is_shown_of_a_partition_whose_next_record_cannot_be_read_before_it_is_known_how_far_that_goes() {
    let membership = Membership::new(vec![c"t".to_owned()], &table(), None);
    assert_eq!(membership.hold(slot(0), Unreadable::Batch(4)), None, "it is not ours");
    let held = |position, at| {
        membership.owned.borrow_mut().0.insert(slot(0), CommitPosition { position, ..NEW_PLACE });
        membership.hold(slot(0), at)
    };
    assert_eq!([held(5, Unreadable::Batch(4)), held(5, Unreadable::Batch(7))], [Some(5), Some(7)]);
    assert_eq!([held(-1, Unreadable::Record(9)), held(5, Unreadable::Record(9))], [Some(9), Some(5)]);
    assert_eq!(held(8, Unreadable::Malformed(7)), None, "it has been read meanwhile");
    assert_eq!(held(5, Unreadable::Malformed(7)), Some(7));
    assert_eq!(membership.hold(slot(0), Unreadable::Batch(7)), None, "it is held already");
    assert_eq!(membership.read(slot(0), 7, 0, SOUND), Step::Nothing);
    assert_eq!(membership.reached(slot(0), 9), Step::Nothing);
    assert!(membership.is_held_at(slot(0), 7) && !membership.is_held_at(slot(0), 5));
    assert!(membership.pass_over(slot(0), 9) && !membership.is_held_at(slot(0), 7));
    assert_eq!(membership.read(slot(0), 9, 0, SOUND), Step::Forward);
}

#[test]
fn of_partitions_that_are_added_the_group_is_told_where_they_are_consumed_from() {
    let membership = Membership::new(vec![c"t".to_owned()], &table(), None);
    let known = i32::try_from(table().slots().count()).unwrap();
    let mut list = PartitionList::new(2).unwrap();
    list.add(c"t", known, 0);
    list.add(c"t", 0, 0);
    // SAFETY: the list is alive.
    membership.assigned(unsafe { entries(list.ptr()) });
    let added = membership.slot(TopicPartition { topic: 0, partition: known }).unwrap();
    assert!(membership.is_added(added) && !membership.is_added(PartitionSlot::new(0)));
    assert_eq!(membership.take_arrived(), [PartitionSlot::new(0)], "nobody else has a slot for it");
    assert_eq!((membership.state().partitions, membership.state().settled), (2, false));
    assert_eq!(membership.reached(added, 0), Step::Forward);
    assert!(membership.has_new_place(), "who comes later waits for it");
    membership.answered(1, c"t", known, Some(0));
    assert!(!membership.has_new_place());
    // SAFETY: the list is alive.
    membership.revoked(unsafe { entries(list.ptr()) });
    assert!(!membership.owns(added));
}
