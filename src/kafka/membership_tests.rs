use super::*;

#[test]
fn a_partition_that_is_not_ours_does_not_advance() {
    let mut owned = Owned::default();
    assert_eq!((owned.read(0, 3, 9, 1), owned.reached(0, 3, 9)), (Step::Nothing, Step::Nothing));
    owned.0.insert((0, 3), NEW_PLACE);
    assert_eq!(owned.read(0, 3, 9, 1), Step::Forward);
    assert_eq!(owned.reached(0, 3, 10), Step::Forward, "the end of the log");
    assert_eq!((owned.0[&(0, 3)].position, owned.0[&(0, 3)].committed), (10, -1));
}

#[test]
fn a_place_that_goes_back_is_committed_anew() {
    let mut owned = Owned::default();
    owned.0.insert((0, 3), Place { position: 10, committed: 10, ..NEW_PLACE });
    assert_eq!(owned.read(0, 3, 4, 2), Step::Back);
    assert_eq!((owned.0[&(0, 3)].position, owned.0[&(0, 3)].committed), (5, -1));
    assert_eq!(owned.read(0, 3, 5, 2), Step::Forward);
    assert_eq!(owned.reached(0, 3, 3), Step::Back, "it ends below");
}

#[test]
fn what_one_leader_shows_again_is_shown_unless_it_lies_behind_a_cut() {
    let mut owned = Owned::default();
    owned.0.insert((0, 3), Place { position: 10, epoch: 1, ..NEW_PLACE });
    assert_eq!(owned.read(0, 3, 5, 1), Step::Forward);
    assert_eq!(owned.0[&(0, 3)].position, 10, "nobody goes back for that");
    assert_eq!((owned.read(0, 3, 7, 2), owned.read(0, 3, 8, 2)), (Step::Back, Step::Forward));
    assert_eq!((owned.read(0, 3, 7, 2), owned.read(0, 3, 6, 2)), (Step::Nothing, Step::Forward));
}

#[test]
fn a_leader_elected_under_the_group_is_asked_about_what_was_read_before() {
    let mut owned = Owned::default();
    owned.0.insert((0, 3), Place { known_epoch: 2, ..NEW_PLACE });
    assert_eq!(owned.read(0, 3, 9, 1), Step::Forward);
    assert_eq!(owned.read(0, 3, 10, 2), Step::Forward, "who led in the beginning");
    owned.reached(0, 3, 12);
    let behind_the_record = Step::Confirm { offset: 11, epoch: 2 };
    assert_eq!(owned.read(0, 3, 12, 3), behind_the_record, "and not behind the marker");
    assert_eq!(owned.0[&(0, 3)].position, 12);
    assert_eq!(owned.read(0, 3, 12, 3), Step::Forward, "once");
    owned.read(0, 3, 13, 4);
    assert_eq!(owned.read(0, 3, 7, 4), Step::Back, "it was not the same");
    assert_eq!(owned.read(0, 3, 7, 4), Step::Nothing, "told twice");
    assert_eq!(owned.read(0, 3, 8, 4), Step::Forward);
}

#[test]
fn who_takes_a_partition_over_asks_about_what_others_read() {
    let handover = Arc::new(Handover::new([2]));
    let read = |offset| OffsetAndEpoch { offset, leader_epoch: 2 };
    handover.tell(0, read(10));
    let take_over = || {
        let mut owned = Owned::default();
        owned.0.insert((0, 0), Place::behind(handover.read(0), handover.known_epoch(0)));
        owned
    };
    let mut same = take_over();
    assert_eq!(same.read(0, 0, 8, 2), Step::Forward, "comes again");
    assert_eq!(same.read(0, 0, 10, 2), Step::Forward);
    let asks = Step::Confirm { offset: 10, epoch: 2 };
    let mut refilled = take_over();
    assert_eq!(refilled.read(0, 0, 8, 2), Step::Forward, "comes again");
    assert_eq!(refilled.read(0, 0, 9, 3), asks);
    assert_eq!(refilled.read(0, 0, 9, 3), Step::Back, "it was cut here");
    let mut beyond = take_over();
    assert_eq!(beyond.read(0, 0, 14, 3), asks);
    assert_eq!(beyond.read(0, 0, 9, 3), Step::Back);
}

#[test]
fn places_are_handed_over_when_they_are_given_up() {
    let handover = Arc::new(Handover::new([0]));
    let membership = Membership::new(vec![c"t".to_owned()], Some(handover.clone()));
    membership.owned.borrow_mut().0.insert((0, 0), NEW_PLACE);
    membership.read(0, 0, 6, 3);
    let mut list = PartitionList::new(1).unwrap();
    list.add(c"t", 0, 0);
    // SAFETY: the list is alive.
    membership.revoked(unsafe { entries(list.ptr()) }, true);
    assert_eq!(handover.read(0), OffsetAndEpoch { offset: 7, leader_epoch: 3 });
    // SAFETY: the list is alive.
    membership.assigned(unsafe { entries(list.ptr()) });
    assert_eq!(membership.read(0, 0, 7, 4), Step::Confirm { offset: 7, epoch: 3 });
    assert!(membership.pass_over(0, 0, 9));
    assert!(handover.read(0).offset < 0, "nobody knows who wrote what cannot be read");
}

#[test]
fn a_member_is_settled_when_the_group_knows_all_its_places() {
    let membership = Membership::new(vec![c"t".to_owned()], None);
    assert!(membership.state().settled, "nothing to know");
    membership.owned.borrow_mut().0.insert((0, 1), NEW_PLACE);
    assert!(!membership.state().settled && !membership.has_new_place());
    membership.reached(0, 1, 0);
    assert!(membership.has_new_place());
    membership.committed(c"other", 1, 0);
    assert!(!membership.state().settled);
    membership.committed(c"t", 1, 0);
    assert!(membership.state().settled && !membership.has_new_place());
}

#[test]
fn what_is_lost_uncommitted_is_counted() {
    assert_eq!(Place { position: 15, committed: 10, ..NEW_PLACE }.ahead(), 5);
    assert_eq!(Place { position: 10, committed: 12, ..NEW_PLACE }.ahead(), 0);
    assert_eq!(NEW_PLACE.ahead(), 0);
    let mut uncommitted = NEW_PLACE;
    (5..8).for_each(|offset| _ = uncommitted.go(offset, offset + 1));
    assert_eq!(uncommitted.ahead(), 3, "taken away before its first commit had an answer");
}

#[test]
fn places_that_are_given_up_wait_for_their_last_commit() {
    let membership = Membership::new(vec![c"t".to_owned()], None);
    for partition in 0..3 {
        membership
            .given_up
            .borrow_mut()
            .0
            .insert((0, partition), Place { position: 15, committed: 10, ..NEW_PLACE });
    }
    assert!(!membership.is_committed());
    membership.committed(c"t", 0, 15);
    assert_eq!(membership.state().uncommitted, 0);
    membership.refused(c"t", 1);
    assert_eq!(membership.state().uncommitted, 5);
    membership.give_up_on_commits();
    assert_eq!(membership.state().uncommitted, 10);
    assert!(membership.is_committed());
}
