use super::*;
use crate::kafka::{KafkaError, ReadFrom, librdkafka::fault::LogTruncation};

const SLOT: PartitionSlot = PartitionSlot::new(0);

/// What was shown and said, in words.
#[derive(Default)]
struct Heard(Vec<String>);

impl LogVisitor for Heard {
    fn record(&mut self, partition: PartitionSlot, record: &RecordView<'_>) {
        let malformed = if record.has_sound_headers { "" } else { " malformed" };
        self.0.push(format!("{}: {}{malformed}", partition.index(), record.offset));
    }

    fn event(&mut self, partition: PartitionSlot, event: LogEvent<'_>) {
        let words = match event {
            LogEvent::AtEnd { end } => format!("end {end}"),
            LogEvent::Unreadable { from, to, cause } => format!("unreadable {from} {to:?} {cause}"),
            LogEvent::OutOfRange => "out of range".to_owned(),
            LogEvent::Refused(_) => "refused".to_owned(),
            LogEvent::Gone(_) => "gone".to_owned(),
            LogEvent::Transient(_) => "transient".to_owned(),
            other => format!("{other:?}"),
        };
        self.0.push(format!("{}: {words}", partition.index()));
    }
}

/// Partition 0 is read from 0 on, of which leader 1 led in the beginning, and partition 1 as well.
fn reading() -> Places {
    let mut places = Places::new(2);
    for slot in [0, 1].map(PartitionSlot::new) {
        let from = ReadFrom { epoch_known: Some(1), ..ReadFrom::offset(0) };
        places.of(slot).unwrap().begin(from, Instant::now());
    }
    places
}

fn record<'a>(slot: u32, offset: i64, epoch: i32, is_sound: bool) -> Event<'a> {
    let record = RecordView {
        offset,
        leader_epoch: epoch,
        sent_ms: None,
        has_sound_headers: is_sound,
        first_header: None,
        second_header: None,
        key: None,
        value: None,
        batch: None,
    };
    Event::Record { partition: PartitionSlot::new(slot), record }
}

fn end<'a>(slot: u32, offset: i64) -> Event<'a> {
    Event::End { partition: PartitionSlot::new(slot), offset }
}

fn fault<'a>(kind: FaultKind, offset: i64, truncation: Option<LogTruncation>) -> Event<'a> {
    let fault = Fault { offset, kind, error: KafkaError::timed_out(), text: "bad", truncation };
    Event::Fault { partition: SLOT, fault }
}

fn heard<'a>(places: &mut Places, events: impl IntoIterator<Item = Event<'a>>) -> Vec<String> {
    let mut heard = Heard::default();
    events.into_iter().for_each(|event| places.show(event, &mut heard));
    heard.0
}

#[test]
fn what_is_read_is_shown_and_nothing_else() {
    let mut places = reading();
    places.of(PartitionSlot::new(1)).unwrap().state = State::Idle;
    let events = [record(0, 0, 1, true), record(1, 0, 1, true), record(7, 0, 1, true), end(0, 3), end(1, 1)];
    assert_eq!(heard(&mut places, events), ["0: 0", "0: end 3"]);
    assert_eq!(places.of(SLOT).unwrap().position, 3, "markers lie between");
}

#[test]
fn nothing_of_a_new_leader_is_shown_before_it_was_asked() {
    let mut places = reading();
    let events = [record(0, 0, 1, true), record(0, 1, 2, true), end(0, 2), record(1, 0, 2, true)];
    assert_eq!(heard(&mut places, events), ["0: 0", "1: 0"]);
    assert_eq!((places.to_do.clone(), places.of(SLOT).unwrap().state), (vec![SLOT], State::Confirming));
    assert_eq!(places.of(SLOT).unwrap().last(), (1, 1));
    places.of(SLOT).unwrap().state = State::Reading;
    assert_eq!(heard(&mut places, [record(0, 1, 2, true), end(0, 2)]), ["0: 1", "0: end 2"]);
}

#[test]
fn behind_a_record_that_cannot_be_taken_apart_nothing_is_shown() {
    let mut places = reading();
    let events = [record(0, 0, 1, true), record(0, 9, 1, false), record(0, 2, 1, true), end(0, 3)];
    assert_eq!(heard(&mut places, events), ["0: 0", "0: 9 malformed"]);
    let place = *places.of(SLOT).unwrap();
    assert_eq!((place.state, place.position), (State::Unreadable, 1), "its offset may be wrong, too");
    assert_eq!(places.to_do, [SLOT]);
}

#[test]
fn a_batch_that_cannot_be_read_is_named_once_and_nothing_behind_it_is_believed() {
    let mut places = reading();
    let corrupt = || fault(FaultKind::Corrupt, 2, None);
    let refused = fault(FaultKind::OutOfRange, -1, None);
    let events = [record(0, 0, 1, true), corrupt(), corrupt(), refused, record(0, 99, 1, true), end(0, 100)];
    assert_eq!(
        heard(&mut places, events),
        ["0: 0", "0: unreadable 2 None bad", "0: transient", "0: transient"]
    );
    assert_eq!((places.to_do.len(), places.of(SLOT).unwrap().position), (1, 2));
}

#[test]
fn a_place_that_is_refused_is_looked_into_a_little_later() {
    let mut places = reading();
    let now = Instant::now();
    let truncation = Some(LogTruncation { from: 1, epoch: 1, to: 0 });
    let told_twice = [fault(FaultKind::OutOfRange, -1, None), fault(FaultKind::Truncated, -1, truncation)];
    let events = [record(0, 0, 1, true)].into_iter().chain(told_twice).chain([record(0, 1, 1, true)]);
    assert_eq!(heard(&mut places, events), ["0: 0", "0: transient", "0: transient"]);
    assert_eq!(places.take_refused(now), []);
    let later = Instant::now() + REFUSED_PAUSE;
    assert_eq!((places.take_refused(later), places.take_refused(later)), (vec![(SLOT, 1)], vec![]));
}

#[test]
fn a_place_of_which_nothing_is_known_is_out_of_range_at_once() {
    let mut places = reading();
    assert_eq!(heard(&mut places, [fault(FaultKind::OutOfRange, -1, None)]), ["0: out of range"]);
    assert_eq!((places.refused.len(), places.of(SLOT).unwrap().state), (0, State::Idle));
}

#[test]
fn what_the_cluster_says_is_passed_on() {
    let kinds = [FaultKind::Refused, FaultKind::Gone, FaultKind::Passing];
    let said = heard(&mut reading(), kinds.map(|kind| fault(kind, -1, None)));
    assert_eq!(said, ["0: refused", "0: gone", "0: transient"]);
}
