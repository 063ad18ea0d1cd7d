//! Several that want one record here and another there, on one source.

use std::sync::Arc;

use super::{super::*, kit::*};
use crate::kafka::wire::protocol::TopicRef;

/// Seats, two partitions whose leader is [`FIRST`], and what requests are under way.
struct Seats {
    source: Source,
    questions: Questions,
    leaders: [Leader; 2],
}

const NOW_US: u64 = 1;

impl Seats {
    fn new(seats: usize) -> Self {
        let table = Arc::new(PartitionTable::of_topic("t", 0..2));
        let settings = SourceSettings { requests_at_once: 8, max_bytes: 100, ..SETTINGS };
        let (source, questions) = (Source::with_seats(settings, seats), Questions::new(table));
        Self { source, questions, leaders: [Leader { broker: FIRST, epoch: 3 }; 2] }
    }

    fn read(&mut self, seat: usize, partition: i32, offset: i64) {
        let slot = PartitionSlot::new(partition.unsigned_abs());
        self.source.read_at(seat, slot, TopicPartition { topic: 0, partition }, offset);
        self.lead();
    }

    fn lead(&mut self) {
        let leaders = self.leaders;
        self.source.lead(|slot| leaders.get(slot.index()).copied());
    }

    /// Makes all requests that can go out: whose they are, of what, from where on.
    fn asks(&mut self) -> Vec<(TurnKey, i32, i64)> {
        self.source.settle(&mut self.questions, NOW_US);
        let due: Vec<_> = self.source.due(NOW_US).collect();
        let ask = |turn| {
            let fetch = self.source.next_fetch(turn, NOW_US).expect("it is due");
            let [asked] = fetch.partitions else { panic!("{fetch:?}") };
            (turn, asked.partition, asked.offset)
        };
        due.into_iter().map(ask).collect()
    }

    fn give(&mut self, turn: TurnKey, part: Part) -> Result<(), AnswerError> {
        let bytes = answer(TOPIC, &[part]);
        let length = bytes.len();
        let slot = |_: TopicRef<'_>, partition: i32| Some(PartitionSlot::new(partition.unsigned_abs()));
        self.source.fetched(turn, VERSION, slot, (bytes, 0, length), NOW_US).map(drop)
    }

    fn shown(&mut self, seat: usize) -> Vec<String> {
        let mut notes = Notes::default();
        while self.source.show_at(seat, &mut notes) > 0 {}
        notes.0
    }

    fn with_news(&self) -> Vec<usize> {
        self.source.seats_with_news().collect()
    }
}

fn seat(seat: usize) -> TurnKey {
    TurnKey { broker: FIRST, seat: Some(seat) }
}

#[test]
fn each_seat_is_shown_what_it_wants_of_the_same_partition() {
    let mut seats = Seats::new(3);
    seats.read(0, 1, 5);
    seats.read(1, 1, 9);
    assert_eq!(seats.asks(), [(seat(0), 1, 5), (seat(1), 1, 9)], "a request names a partition once");
    assert!(seats.asks().is_empty(), "until they are answered");
    seats.give(seat(0), part(1, 20, &[batch(5, 3, &["five", "six"])])).unwrap();
    seats.give(seat(1), part(1, 20, &[batch(9, 3, &["nine"])])).unwrap();
    assert_eq!((seats.with_news(), seats.shown(2)), (vec![0, 1], vec![]));
    assert_eq!(seats.shown(1), ["1@9 nine"], "who came later waits for nobody");
    assert_eq!(seats.shown(0), ["1@5 five", "1@6 six"]);
    assert!(!seats.source.has_arrived());
}

#[test]
fn an_answer_to_what_a_seat_wanted_before_is_no_news() {
    let mut seats = Seats::new(1);
    seats.read(0, 0, 5);
    assert_eq!(seats.asks(), [(seat(0), 0, 5)]);
    seats.read(0, 1, 7);
    assert!(seats.asks().is_empty(), "the old request is under way");
    seats.give(seat(0), part(0, 20, &[batch(5, 3, &["five"])])).expect("it is what was asked for then");
    assert_eq!((seats.with_news(), seats.asks()), (vec![], vec![(seat(0), 1, 7)]));
    let wrong = seats.give(seat(0), part(0, 20, &[]));
    assert_eq!(wrong, Err(AnswerError::NotAsked(0)));
}

#[test]
fn what_has_come_for_who_stops_is_dropped() {
    let mut seats = Seats::new(2);
    (0..2).for_each(|seat| seats.read(seat, 0, 5));
    seats.asks();
    for turn in [seat(0), seat(1)] {
        seats.give(turn, part(0, 20, &[batch(5, 3, &["five"])])).unwrap();
    }
    seats.source.stop_at(0);
    assert_eq!((seats.with_news(), seats.shown(0)), (vec![1], vec![]));
    seats.read(0, 0, 6);
    assert_eq!(seats.asks(), [(seat(0), 0, 6)], "nothing of it is held any more");
    assert_eq!(seats.shown(1), ["0@5 five"]);
}

#[test]
fn who_had_a_turn_is_behind_the_others() {
    let mut seats = Seats::new(3);
    (0..3).for_each(|seat| seats.read(seat, 0, 5));
    seats.source.settle(&mut seats.questions, NOW_US);
    let first = seats.source.due(NOW_US).next().unwrap();
    assert_eq!(first, seat(0));
    seats.source.next_fetch(first, NOW_US).unwrap();
    seats.give(first, part(0, 20, &[batch(5, 3, &["five"])])).unwrap();
    seats.shown(0);
    seats.read(0, 0, 8);
    assert_eq!(seats.asks(), [(seat(1), 0, 5), (seat(2), 0, 5), (seat(0), 0, 8)]);
}

#[test]
fn a_leader_that_moves_has_the_seat_s_next_request() {
    let mut seats = Seats::new(1);
    seats.read(0, 0, 5);
    seats.asks();
    seats.leaders[0] = Leader { broker: 2, epoch: 4 };
    seats.lead();
    let moved = TurnKey { broker: 2, seat: Some(0) };
    assert_eq!(seats.asks(), [(moved, 0, 5)], "nobody waits for who leads no more");
    seats.give(moved, part(0, 20, &[batch(5, 4, &["five"])])).unwrap();
    seats.source.fetch_failed(seat(0), NOW_US);
    assert_eq!(seats.shown(0), ["0@5 five"]);
}
