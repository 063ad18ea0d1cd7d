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
fn a_new_leader_is_asked_about_what_was_read_before() {
    let mut owned = Owned::default();
    owned.0.insert((0, 3), NEW_PLACE);
    assert_eq!(owned.read(0, 3, 9, 1), Step::Forward);
    assert_eq!(owned.read(0, 3, 10, 2), Step::Forward, "in the middle of the log");
    owned.reached(0, 3, 11);
    assert_eq!(owned.read(0, 3, 11, 3), Step::Confirm { offset: 11, epoch: 2 });
    assert_eq!(owned.0[&(0, 3)].position, 11);
    assert_eq!(owned.read(0, 3, 11, 3), Step::Forward, "once");
    owned.reached(0, 3, 12);
    owned.read(0, 3, 12, 4);
    assert_eq!(owned.read(0, 3, 7, 4), Step::Back, "it was not the same");
    assert_eq!(owned.read(0, 3, 7, 4), Step::Nothing, "told twice");
    assert_eq!(owned.read(0, 3, 8, 4), Step::Forward);
}

#[test]
fn a_member_is_settled_when_the_group_knows_all_its_places() {
    let membership = Membership::new(vec![c"t".to_owned()]);
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
}

#[test]
fn places_that_are_given_up_wait_for_their_last_commit() {
    let membership = Membership::new(vec![c"t".to_owned()]);
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
