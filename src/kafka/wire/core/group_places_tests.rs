use super::*;

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: 0, partition }
}

/// A group whose coordinator is broker 3, and that was asked about these partitions.
fn asked_about(partitions: &[i32]) -> GroupPlaces {
    let mut places = GroupPlaces::default();
    for partition in partitions {
        places.ask(at(*partition));
    }
    find(&mut places, 0);
    send(&mut places, 0);
    places
}

fn find(places: &mut GroupPlaces, now_us: u64) {
    assert_eq!(places.next(now_us), Some(PlaceAsk::Coordinator));
    places.asked(PlaceAsk::Coordinator);
    assert_eq!(places.next(now_us), None, "it is under way");
    places.found(code::NONE, 3, now_us);
    assert_eq!(places.coordinator(), Some(3));
}

fn send(places: &mut GroupPlaces, now_us: u64) {
    assert_eq!(places.next(now_us), Some(PlaceAsk::Places));
    places.asked(PlaceAsk::Places);
}

fn answer(places: &mut GroupPlaces, error: i16, offsets: &[(i32, i16, i64)], now_us: u64) -> Vec<PlaceWord> {
    let offsets = offsets.iter().map(|(partition, error, offset)| (at(*partition), *error, *offset));
    places.answered(error, offsets, now_us);
    std::iter::from_fn(|| places.poll_word()).collect()
}

#[test]
fn the_coordinator_is_found_and_says_where_the_group_is() {
    let mut places = GroupPlaces::default();
    assert_eq!((places.next(9), places.next_us()), (None, u64::MAX), "nobody wants to know");
    let mut asked = asked_about(&[4, 1]);
    assert_eq!(asked.wanted(), [at(1), at(4)]);
    let words = answer(&mut asked, 0, &[(4, 0, 7), (1, 0, -1)], 5);
    assert_eq!(words, [(at(4), Ok(Some(7))), (at(1), Ok(None))]);
    assert_eq!((asked.next_us(), asked.coordinator()), (u64::MAX, Some(3)));
    places.ask(at(1));
    places.asked(PlaceAsk::Coordinator);
    places.found(code::NONE, -1, 5);
    assert_eq!((places.coordinator(), places.next_us()), (None, 20_005), "no broker is named");
}

#[test]
fn what_is_not_stable_yet_is_asked_for_again() {
    let mut places = asked_about(&[0, 1]);
    let unstable = code::UNSTABLE_OFFSET_COMMIT;
    assert_eq!(answer(&mut places, 0, &[(0, unstable, -1), (1, 0, 4)], 0), [(at(1), Ok(Some(4)))]);
    assert_eq!((places.next(19_999), places.wanted()), (None, vec![at(0)]));
    send(&mut places, 20_000);
    assert_eq!(answer(&mut places, 0, &[(0, unstable, -1)], 20_000), []);
    assert_eq!(places.next_us(), 60_000, "the pauses grow");
    send(&mut places, 60_000);
    assert_eq!(answer(&mut places, 0, &[(0, 0, 9)], 60_000), [(at(0), Ok(Some(9)))]);
}

#[test]
fn a_coordinator_that_is_not_ready_is_asked_again_and_one_that_moved_is_looked_for() {
    let mut places = asked_about(&[0]);
    assert_eq!(answer(&mut places, code::COORDINATOR_LOAD_IN_PROGRESS, &[], 0), []);
    send(&mut places, 20_000);
    assert_eq!(answer(&mut places, code::NOT_COORDINATOR, &[], 20_000), []);
    assert_eq!((places.coordinator(), places.next(30_000)), (None, None));
    find(&mut places, 60_000);
    send(&mut places, 60_000);
    // As old brokers say it.
    assert_eq!(answer(&mut places, 0, &[(0, code::NOT_COORDINATOR, -1)], 60_000), []);
    assert_eq!(places.coordinator(), None);
    places.not_answered();
    find(&mut places, 60_001);
}

#[test]
fn a_partition_that_the_answer_does_not_name_is_asked_about_again() {
    let mut places = asked_about(&[0]);
    assert_eq!(answer(&mut places, 0, &[(5, 0, 7)], 0), [], "and nobody asked about that one");
    assert_eq!(places.next_us(), 20_000);
}

#[test]
fn a_refusal_is_told_each_time_and_asked_again() {
    let mut places = asked_about(&[0]);
    let denied = code::GROUP_AUTHORIZATION_FAILED;
    assert_eq!(answer(&mut places, denied, &[], 0), [(at(0), Err(denied))]);
    assert_eq!(places.next_us(), 20_000);
    let mut places = GroupPlaces::default();
    places.ask(at(0));
    places.asked(PlaceAsk::Coordinator);
    places.found(denied, -1, 0);
    assert_eq!((places.poll_word(), places.next_us()), (Some((at(0), Err(denied))), 20_000));
}

#[test]
fn an_answer_from_before_a_partition_changed_hands_is_none() {
    let mut places = asked_about(&[0, 1, 2]);
    places.withdraw(at(0));
    places.ask(at(1));
    places.ask(at(3));
    let all = [(0, 0, 5), (1, 0, 5), (2, 0, 5), (3, 0, 5)];
    assert_eq!(answer(&mut places, 0, &all, 0), [(at(2), Ok(Some(5)))]);
    send(&mut places, 0);
    assert_eq!(places.wanted(), [at(1), at(3)]);
    let offsets = [(at(1), 0, 8), (at(3), 0, 6)];
    places.answered(0, offsets.into_iter(), 0);
    places.withdraw(at(1));
    assert_eq!((places.poll_word(), places.poll_word()), (Some((at(3), Ok(Some(6)))), None));
}
