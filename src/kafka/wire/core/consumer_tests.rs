//! A client between scripted brokers.

use std::collections::VecDeque;

use kafka_protocol::{
    messages::{self as theirs, RequestHeader},
    protocol::Decodable,
};

use super::*;
use crate::kafka::wire::{
    core::{
        cluster::RefreshTimes,
        connection::ConnectionSettings,
        machine::{Action, Machine, Slices},
        network::Bootstrap,
        source::tests::kit::{Notes, Part, SETTINGS, TOPIC, answer, answer_about, batch, failed, part},
    },
    protocol::{Encoder, TopicId},
};
use crate::partitions::TopicPartition;

const TOPIC_ID: TopicId = [9; 16];
/// Of topic `u`, which has one partition.
const OTHER_ID: TopicId = [8; 16];

/// A request that waits for its answer.
#[derive(Clone, Debug)]
struct Asked {
    link: LinkId,
    version: i16,
    correlation_id: i32,
    /// Behind its length.
    request: Vec<u8>,
}

/// A client, and brokers that answer at once what every client asks first.
struct World {
    consumer: Consumer,
    now_us: u64,
    /// The newest Fetch that brokers speak.
    fetch_version: i16,
    /// What they say of the topic.
    topic_error: i16,
    links: Vec<LinkId>,
    fetches: VecDeque<Asked>,
    questions: VecDeque<Asked>,
    metadata: usize,
}

impl World {
    fn new(fetch_version: i16) -> Self {
        Self::of(fetch_version, PartitionTable::of_topic("t", 0..3))
    }

    /// Partition 0 of two topics is read, whose slots are 0 and 1.
    fn of_two(fetch_version: i16) -> Self {
        let mut table = PartitionTable::of_topic("t", [0]);
        let topic = table.add_topic("u");
        table.add(TopicPartition { topic, partition: 0 });
        let mut world = Self::of(fetch_version, table);
        for slot in [0, 1].map(PartitionSlot::new) {
            world.consumer.read_from(slot, 0, None, 1);
        }
        world
    }

    fn of(fetch_version: i16, table: PartitionTable) -> Self {
        Self::around(fetch_version, Consumer::new(consumer(SETTINGS), &Arc::new(table)))
    }

    /// So many seats, of which so many requests may be under way at a time.
    fn with_seats(seats: usize, requests_at_once: usize) -> Self {
        let settings = consumer(SourceSettings { requests_at_once, ..SETTINGS });
        let table = Arc::new(PartitionTable::of_topic("t", 0..3));
        Self::around(12, Consumer::with_seats(settings, seats, &table))
    }

    fn around(fetch_version: i16, consumer: Consumer) -> Self {
        Self {
            consumer,
            now_us: 1,
            fetch_version,
            topic_error: 0,
            links: Vec::new(),
            fetches: VecDeque::new(),
            questions: VecDeque::new(),
            metadata: 0,
        }
    }

    /// Until nothing happens any more without time.
    fn settle(&mut self) {
        self.consumer.handle_timeout(self.now_us);
        loop {
            let mut is_quiet = true;
            while let Some(action) = self.consumer.poll_action() {
                is_quiet = false;
                if let Action::Open { link, .. } = action {
                    self.links.push(link);
                    self.consumer.opened(link, self.now_us);
                }
            }
            for link in self.links.clone() {
                is_quiet &= !self.serve(link);
            }
            self.consumer.handle_timeout(self.now_us);
            if is_quiet {
                return;
            }
        }
    }

    fn serve(&mut self, link: LinkId) -> bool {
        let mut slices = Slices::new();
        self.consumer.output(link, &mut slices);
        let mut out = slices.first().to_vec();
        let bytes = slices.bytes();
        self.consumer.wrote(link, bytes);
        while out.len() >= 12 {
            let number = |at: usize| i16::from_be_bytes([out[at], out[at + 1]]);
            let length = i32::from_be_bytes([out[0], out[1], out[2], out[3]]);
            let correlation_id = i32::from_be_bytes([out[8], out[9], out[10], out[11]]);
            let end = 4 + usize::try_from(length).unwrap();
            let asked = Asked { link, version: number(6), correlation_id, request: out[4..end].to_vec() };
            match number(4) {
                18 => self.give(&asked, false, &versions(self.fetch_version)),
                3 => {
                    self.metadata += 1;
                    self.give(&asked, true, &metadata(self.topic_error));
                }
                1 => self.fetches.push_back(asked),
                2 | 23 => self.questions.push_back(asked),
                api => panic!("nobody expects {api}"),
            }
            out.drain(..end);
        }
        bytes > 0
    }

    /// Sends an answer.
    fn give(&mut self, asked: &Asked, has_tags: bool, body: &[u8]) {
        let mut frame = asked.correlation_id.to_be_bytes().to_vec();
        frame.extend(has_tags.then_some(0));
        frame.extend(body);
        let length = i32::try_from(frame.len()).unwrap();
        let mut bytes = [&length.to_be_bytes()[..], &frame].concat();
        while !bytes.is_empty() {
            let space = self.consumer.space(asked.link);
            let count = space.len().min(bytes.len()).min(100);
            assert!(count > 0, "it is over");
            space[..count].copy_from_slice(&bytes[..count]);
            self.consumer.received(asked.link, count, self.now_us);
            bytes.drain(..count);
        }
    }

    fn give_parts(&mut self, topic: TopicRef<'_>, parts: &[Part]) {
        let asked = self.fetches.pop_front().unwrap();
        // Without the header that is put together with it.
        let body = answer(topic, parts)[5..].to_vec();
        self.give(&asked, true, &body);
        self.settle();
    }

    fn shown(&mut self) -> Vec<String> {
        let mut notes = Notes::default();
        while self.consumer.show(usize::MAX, &mut notes, self.now_us) > 0 {}
        self.settle();
        notes.0
    }
}

/// How a client reads that reads like this.
fn consumer(source: SourceSettings) -> ConsumerSettings {
    let connection = ConnectionSettings {
        client_id: "c".into(),
        receive_bytes: 256,
        response_most_bytes: 1 << 20,
        handshake_us: 1_000_000,
        login: None,
    };
    let network = NetworkSettings {
        bootstrap: vec![Bootstrap { host: "one".into(), port: 9_092 }],
        connection,
        refresh: RefreshTimes { age_us: 60_000_000, shortest_us: 100, longest_us: 400 },
        reconnect_shortest_us: 100,
        reconnect_longest_us: 400,
        question_us: 1_000_000,
        hedge_us: 1_000_000,
        idle_us: 600_000_000,
        traces: false,
    };
    ConsumerSettings { network, source, fetch_us: 1_000_000 }
}

fn versions(fetch: i16) -> Vec<u8> {
    let ranges = [(1, 4, fetch), (2, 1, 10), (3, 0, 12), (18, 0, 3), (23, 2, 4)];
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, true);
    encoder.i16(0);
    encoder.array(&ranges, |encoder, (key, first, last)| {
        for number in [key, first, last] {
            encoder.i16(*number);
        }
        encoder.no_tags();
    });
    encoder.i32(0);
    encoder.no_tags();
    out
}

/// One broker, which leads two partitions in epoch 3, and one of another topic.
fn metadata(topic_error: i16) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, true);
    encoder.i32(0);
    encoder.array(&[1], |encoder, id| {
        encoder.i32(*id);
        encoder.string("one");
        encoder.i32(9_092);
        encoder.nullable_string(None);
        encoder.no_tags();
    });
    encoder.nullable_string(None);
    encoder.i32(1);
    encoder.array_length(2);
    topic(&mut encoder, topic_error, ("t", TOPIC_ID), &[0, 1]);
    topic(&mut encoder, 0, ("u", OTHER_ID), &[0]);
    encoder.no_tags();
    out
}

fn topic(encoder: &mut Encoder<'_>, error: i16, (name, id): (&str, TopicId), partitions: &[i32]) {
    encoder.i16(error);
    encoder.string(name);
    encoder.topic_id(if error == 0 { id } else { TopicId::default() });
    encoder.bool(false);
    encoder.array(if error == 0 { partitions } else { &[] }, |encoder, partition| {
        encoder.i16(0);
        encoder.i32(*partition);
        encoder.i32(1);
        encoder.i32(3);
        (0..3).for_each(|_| encoder.array_length(0));
        encoder.no_tags();
    });
    encoder.i32(0);
    encoder.no_tags();
}

/// The logs of these partitions end at 7.
fn ends(throttle_ms: i32, partitions: &[i32]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, true);
    encoder.i32(throttle_ms);
    encoder.array_length(1);
    encoder.string("t");
    encoder.array(partitions, |encoder, partition| {
        encoder.i32(*partition);
        encoder.i16(0);
        encoder.i64(-1);
        encoder.i64(7);
        encoder.i32(3);
        encoder.no_tags();
    });
    encoder.no_tags();
    encoder.no_tags();
    out
}

#[test]
fn records_are_read_over_a_connection_of_their_own_by_name_or_id() {
    for (version, topic) in [(12, TOPIC), (16, TopicRef::Id(TOPIC_ID))] {
        let mut world = World::new(version);
        world.consumer.read_from(PartitionSlot::new(0), 0, None, 1);
        world.settle();
        assert_eq!((world.fetches.len(), world.fetches[0].version), (1, version));
        world.give_parts(topic, &[part(0, 9, &[batch(0, 3, &["a"])])]);
        assert!(world.consumer.has_news());
        assert_eq!(world.fetches.len(), 1, "the next one is out");
        assert_eq!(world.shown(), ["0@0 a"]);
        assert!(!world.consumer.has_news());
        assert_eq!(world.links.len(), 2, "questions go over another one");
    }
}

#[test]
fn seats_have_several_requests_under_way_on_one_connection() {
    let mut world = World::with_seats(3, 2);
    for (seat, offset) in [(0, 4), (1, 6), (2, 8)] {
        world.consumer.read_at(seat, PartitionSlot::new(0), offset, 1);
    }
    world.settle();
    assert_eq!((world.fetches.len(), world.links.len()), (2, 2), "and questions go over another");
    world.give_parts(TOPIC, &[part(0, 20, &[batch(4, 3, &["a"])])]);
    assert_eq!(world.fetches.len(), 2, "the third is out");
    let shown = |world: &mut World, seat| {
        let mut notes = Notes::default();
        while world.consumer.show_at(seat, &mut notes, world.now_us) > 0 {}
        notes.0
    };
    let news: Vec<_> = world.consumer.seats_with_news().collect();
    assert_eq!(
        (news, shown(&mut world, 1), shown(&mut world, 0)),
        (vec![0], vec![], vec!["0@4 a".to_owned()])
    );
    world.give_parts(TOPIC, &[part(0, 20, &[batch(6, 3, &["b"])])]);
    world.give_parts(TOPIC, &[part(0, 20, &[batch(8, 3, &["c"])])]);
    assert_eq!(
        (shown(&mut world, 2), shown(&mut world, 1)),
        (vec!["0@8 c".to_owned()], vec!["0@6 b".to_owned()])
    );
    assert!(!world.consumer.has_news());
}

#[test]
fn a_seat_hears_that_its_partition_is_not_there() {
    let mut world = World::with_seats(2, 2);
    world.consumer.read_at(1, PartitionSlot::new(2), 0, 1);
    world.settle();
    let mut notes = Notes::default();
    assert_eq!(world.consumer.show_at(0, &mut notes, world.now_us), 0);
    assert_eq!(world.consumer.show_at(1, &mut notes, world.now_us), 1);
    assert_eq!(notes.0, ["2: error 3"]);
}

#[test]
fn an_answer_about_another_topic_ends_the_connection_and_is_asked_for_again() {
    for (version, topic) in [(12, TopicRef::Name("u")), (16, TopicRef::Id([8; 16]))] {
        let mut world = World::new(version);
        world.consumer.read_from(PartitionSlot::new(0), 0, None, 1);
        world.settle();
        world.give_parts(topic, &[part(0, 9, &[batch(0, 3, &["a"])])]);
        assert_eq!(world.shown(), [""; 0]);
        assert_eq!(world.fetches.len(), 0);
        world.now_us += 1_000;
        world.settle();
        assert_eq!((world.fetches.len(), world.links.len()), (1, 3));
    }
}

/// Topics of a Fetch, each with its partitions.
fn fetched(asked: &Asked) -> Vec<(String, TopicId, Vec<i32>)> {
    let mut body = &*asked.request;
    RequestHeader::decode(&mut body, 2).unwrap();
    let request = theirs::FetchRequest::decode(&mut body, asked.version).unwrap();
    let topic = |topic: theirs::fetch_request::FetchTopic| {
        let partitions = topic.partitions.iter().map(|partition| partition.partition).collect();
        (topic.topic.to_string(), *topic.topic_id.as_bytes(), partitions)
    };
    request.topics.into_iter().map(topic).collect()
}

#[test]
fn partitions_of_several_topics_are_read_over_one_connection_and_told_apart() {
    let (no_name, no_id) = (String::new(), TopicId::default());
    let by_name = [("t".to_owned(), no_id, vec![0]), ("u".to_owned(), no_id, vec![0])];
    let by_id = [(no_name.clone(), TOPIC_ID, vec![0]), (no_name, OTHER_ID, vec![0])];
    let names = [TOPIC, TopicRef::Name("u")];
    let ids = [TopicRef::Id(TOPIC_ID), TopicRef::Id(OTHER_ID)];
    for (version, asked_for, [one, other]) in [(12, by_name, names), (16, by_id, ids)] {
        let mut world = World::of_two(version);
        world.settle();
        let asked = world.fetches.pop_front().unwrap();
        assert_eq!(fetched(&asked), asked_for);
        let parts = ["a", "b"].map(|value| [part(0, 9, &[batch(0, 3, &[value])])]);
        let body = answer_about(&[(other, &parts[1]), (one, &parts[0])]);
        world.give(&asked, true, &body[5..]);
        assert_eq!(world.shown(), ["1@0 b", "0@0 a"]);
    }
}

#[test]
fn where_a_topic_has_no_id_all_are_read_by_their_names() {
    let mut world = World::of_two(16);
    world.topic_error = code::UNKNOWN_TOPIC_OR_PARTITION;
    world.settle();
    assert_eq!(world.shown(), ["0: error 3"]);
    let asked = world.fetches.pop_front().unwrap();
    assert_eq!((asked.version, fetched(&asked)), (12, vec![("u".to_owned(), TopicId::default(), vec![0])]));
    let body = answer(TopicRef::Name("u"), &[part(0, 9, &[batch(0, 3, &["b"])])]);
    world.give(&asked, true, &body[5..]);
    assert_eq!(world.shown(), ["1@0 b"]);
}

#[test]
fn what_a_lost_connection_owes_is_asked_for_again() {
    let mut world = World::new(12);
    world.consumer.read_from(PartitionSlot::new(0), 0, None, 1);
    world.settle();
    let lost = world.fetches.pop_front().unwrap();
    world.consumer.closed(lost.link, ConnectionError::Lost("gone".to_owned()), 1);
    world.now_us += 1_000;
    world.settle();
    assert_eq!(world.fetches.len(), 1);
    assert_ne!(world.fetches[0].link, lost.link);
}

#[test]
fn a_broker_that_does_not_answer_is_not_waited_for_for_ever() {
    let mut world = World::new(12);
    world.consumer.read_from(PartitionSlot::new(0), 0, None, 1);
    world.settle();
    let first = world.fetches.pop_front().unwrap();
    // Half a second for which it was asked to wait, and one that it may take.
    world.now_us += 1_499_000;
    world.settle();
    assert!(world.fetches.is_empty());
    world.now_us += 1_001;
    world.settle();
    world.now_us += 1_000;
    world.settle();
    assert_ne!(world.fetches[0].link, first.link);
}

/// It answers, and says that it reads nothing for a while (KIP-219).
#[test]
fn a_broker_that_throttles_is_not_taken_for_one_that_does_not_answer() {
    const MUTE_MS: i32 = 5_000;
    let mut world = World::new(12);
    world.consumer.read_from(PartitionSlot::new(0), 0, None, 1);
    world.settle();
    let first = world.fetches.pop_front().unwrap();
    let mut body = answer(TOPIC, &[part(0, 9, &[batch(0, 3, &["a"])])])[5..].to_vec();
    body[..4].copy_from_slice(&MUTE_MS.to_be_bytes());
    world.give(&first, true, &body);
    world.settle();
    let second = world.fetches.pop_front().unwrap();
    assert_eq!(second.link, first.link, "one request waits for it");
    // Half a second for which it was asked to wait, and one that it may take, from when it reads again.
    world.now_us += 6_499_000;
    world.settle();
    assert!(world.fetches.is_empty());
    world.give(&second, true, &answer(TOPIC, &[part(0, 9, &[batch(1, 3, &["b"])])])[5..]);
    assert_eq!(world.shown(), ["0@0 a", "0@1 b"]);
    assert_eq!(world.fetches[0].link, first.link);
}

#[test]
fn a_question_to_a_broker_that_throttles_waits_too() {
    const MUTE_MS: i32 = 5_000;
    let mut world = World::new(12);
    let ask = |world: &mut World| {
        let now_us = world.now_us;
        world.consumer.ask(
            &[PartitionSlot::new(0)],
            What::End { read_committed: false },
            now_us + 9_000_000,
            now_us,
        );
        world.settle();
        world.questions.pop_front().unwrap()
    };
    let first = ask(&mut world);
    world.give(&first, true, &ends(MUTE_MS, &[0]));
    let second = ask(&mut world);
    assert_eq!(second.link, first.link);
    // A second is what a broker may take for a question.
    world.now_us += 5_999_000;
    world.settle();
    assert!(world.questions.is_empty());
    world.now_us += 2_000;
    world.settle();
    world.now_us += 1_000_000;
    world.settle();
    assert_ne!(world.questions[0].link, first.link, "for ever it is not waited for either");
}

#[test]
fn questions_do_not_wait_behind_records() {
    let mut world = World::new(12);
    world.consumer.read_from(PartitionSlot::new(0), 0, None, 1);
    let id = world.consumer.ask(
        &[0, 1].map(PartitionSlot::new),
        What::End { read_committed: false },
        9_000_000,
        1,
    );
    world.settle();
    let asked = world.questions.pop_front().unwrap();
    assert_ne!(asked.link, world.fetches[0].link);
    world.give(&asked, true, &ends(0, &[0, 1]));
    assert!(world.consumer.has_news());
    let answers = world.consumer.questions().answers(id).unwrap();
    assert_eq!(answers.iter().map(|(_, answer)| answer.unwrap().offset).collect::<Vec<_>>(), [7, 7]);
    assert!(!world.consumer.has_news());
}

#[test]
fn a_topic_that_is_not_there_is_told_again_and_again() {
    let mut world = World::new(12);
    world.topic_error = code::UNKNOWN_TOPIC_OR_PARTITION;
    world.consumer.read_from(PartitionSlot::new(1), 0, None, 1);
    world.settle();
    assert_eq!(world.shown(), ["1: error 3"]);
    world.now_us += DENIAL_US - 1;
    world.settle();
    assert_eq!(world.shown(), [""; 0]);
    world.now_us += 1;
    world.settle();
    assert_eq!(world.shown(), ["1: error 3"]);
    world.topic_error = 0;
    world.now_us += DENIAL_US;
    world.settle();
    world.now_us += DENIAL_US;
    world.settle();
    assert_eq!(world.fetches.len(), 1);
}

#[test]
fn a_partition_that_the_topic_lacks_is_told() {
    let mut world = World::new(12);
    world.consumer.read_from(PartitionSlot::new(2), 0, None, 1);
    world.settle();
    assert_eq!(world.shown(), ["2: error 3"]);
}

#[test]
fn who_leads_is_asked_after_a_refusal() {
    let mut world = World::new(12);
    world.consumer.read_from(PartitionSlot::new(0), 0, None, 1);
    world.settle();
    let before = world.metadata;
    world.give_parts(TOPIC, &[failed(0, code::NOT_LEADER_OR_FOLLOWER)]);
    world.now_us += 1_000;
    world.settle();
    assert!(world.metadata > before);
    assert_eq!(world.fetches.len(), 1);
}
