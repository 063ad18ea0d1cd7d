use super::*;
use crate::kafka::wire::protocol::InitProducerIdRequest;

const BOTH: [&str; 2] = ["one", "two"];

/// Of a client that knows these hosts, and has little patience.
pub(in crate::kafka::wire::core) fn settings(hosts: &[&str]) -> NetworkSettings {
    NetworkSettings {
        bootstrap: hosts.iter().map(|host| Bootstrap { host: (*host).into(), port: 9092 }).collect(),
        connection: ConnectionSettings {
            client_id: "c".into(),
            receive_bytes: 64,
            response_most_bytes: 10_000,
            handshake_us: 5_000,
            login: None,
        },
        refresh: RefreshTimes { age_us: 1_000_000, shortest_us: 50, longest_us: 400 },
        reconnect_shortest_us: 100,
        reconnect_longest_us: 400,
        question_us: 2_000,
        hedge_us: 1_000,
        idle_us: 60_000,
        traces: false,
    }
}

pub(super) fn network(hosts: &[&str]) -> Network<u8> {
    Network::new(settings(hosts), Arc::new(PartitionTable::of_topic("t", 0..1)))
}

pub(super) fn opening(network: &mut Network<u8>) -> Option<(LinkId, String)> {
    match network.poll_action()? {
        Action::Open { link, host, port: 9092 } => Some((link, host.to_string())),
        action => panic!("{action:?}"),
    }
}

pub(super) fn refused() -> ConnectionError {
    ConnectionError::NotOpened("refused".to_owned())
}

pub(super) fn feed(network: &mut Network<u8>, link: LinkId, body: &[u8], now_us: u64) {
    let length = i32::try_from(body.len()).unwrap().to_be_bytes();
    for byte in [&length[..], body].concat() {
        network.connection(link).unwrap().space()[0] = byte;
        network.received(link, 1, now_us);
    }
}

/// Answers the question what the broker speaks: everything in Kafka 2.4's versions.
pub(super) fn shake_hands(network: &mut Network<u8>, link: LinkId, now_us: u64) {
    network.opened(link, now_us);
    let ranges: [[i16; 3]; 3] = [[18, 0, 2], [3, 0, 8], [22, 0, 1]];
    let too_new = [&[0, 0, 0, 0, 0, 35, 0, 0, 0, 3][..], &bytes_of(&ranges)].concat();
    feed(network, link, &too_new, now_us);
    assert_eq!(network.next_response(link, now_us), None);
    let known = [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 3][..], &bytes_of(&ranges), &[0; 4]].concat();
    feed(network, link, &known, now_us);
    assert_eq!(network.next_response(link, now_us), None);
}

fn bytes_of(ranges: &[[i16; 3]]) -> Vec<u8> {
    ranges.iter().flatten().flat_map(|number| number.to_be_bytes()).collect()
}

#[test]
fn a_dead_address_to_begin_with_is_not_the_end() {
    let mut network = network(&BOTH);
    network.handle_timeout(0);
    let (first, host) = opening(&mut network).unwrap();
    assert_eq!(host, "one");
    network.handle_timeout(999);
    assert_eq!(network.poll_action(), None, "it may still come");
    network.handle_timeout(1_000);
    let (second, host) = opening(&mut network).unwrap();
    assert_eq!(host, "two", "it takes too long");
    network.closed(first, refused(), 1_001);
    assert!(network.trouble().is_some());
    shake_hands(&mut network, second, 1_002);
    assert_eq!(network.trouble(), None);
    network.handle_timeout(1_002);
    let question = network.connection(second).unwrap().output().len();
    assert!(question > 0, "it is asked who leads what");
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next_at_once() {
    let mut network = network(&BOTH);
    network.handle_timeout(0);
    let (first, _) = opening(&mut network).unwrap();
    network.closed(first, refused(), 1);
    network.handle_timeout(1);
    assert_eq!(opening(&mut network).unwrap().1, "two");
}

#[test]
fn pauses_grow_until_the_broker_answers() {
    let mut network = network(&["one"]);
    let peer = Peer { broker: -1, purpose: Purpose::Control };
    let mut now_us = 0;
    for pause_us in [100, 200, 400, 400] {
        assert_eq!(network.ready(peer, now_us), None);
        let (link, _) = opening(&mut network).unwrap();
        network.closed(link, refused(), now_us);
        assert_eq!(network.next_deadline_us(now_us), now_us + pause_us);
        now_us += pause_us;
        network.ready(peer, now_us - 1);
        assert_eq!(network.poll_action(), None, "too soon");
    }
    network.ready(peer, now_us);
    let (link, _) = opening(&mut network).unwrap();
    shake_hands(&mut network, link, now_us);
    assert_eq!(network.ready(peer, now_us), Some(link));
    network.fail(link, refused(), now_us);
    assert_eq!(network.poll_action(), Some(Action::Close { link }));
    network.ready(peer, now_us + 100);
    assert!(opening(&mut network).is_some(), "the pause is a short one again");
}

#[test]
fn what_was_asked_on_a_connection_that_is_over_is_told() {
    let mut network = network(&["one"]);
    network.handle_timeout(0);
    let (link, _) = opening(&mut network).unwrap();
    shake_hands(&mut network, link, 0);
    network.handle_timeout(1);
    assert_eq!(network.cluster.ask_at_us(), u64::MAX, "an answer is awaited");
    let request =
        InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 0, current: (-1, -1) };
    network.connection(link).unwrap().send(&request, 9_000, Tag::Own(7)).unwrap();
    network.closed(link, refused(), 2);
    let lost = network.poll_lost().unwrap();
    assert_eq!((lost.link, lost.unanswered), (link, vec![7]));
    assert!(network.cluster.ask_at_us() < 1_000, "it is asked again");
    network.closed(link, refused(), 3);
    assert_eq!(network.poll_lost(), None, "only once");
}

#[test]
fn an_answer_that_is_late_ends_the_connection() {
    let mut network = network(&["one"]);
    network.handle_timeout(0);
    let (link, _) = opening(&mut network).unwrap();
    shake_hands(&mut network, link, 0);
    assert_eq!(network.next_deadline_us(1), 2_000, "the question waits for nothing but the handshake");
    network.handle_timeout(2_000);
    assert_eq!(network.poll_lost().unwrap().error, ConnectionError::TimedOut(Api::Metadata));
    assert_eq!(network.poll_action(), Some(Action::Close { link }));
}

#[test]
fn an_idle_connection_is_closed_and_opened_when_it_is_wanted() {
    let mut network = network(&["one"]);
    let peer = Peer { broker: -1, purpose: Purpose::Data };
    network.ready(peer, 0);
    let (link, _) = opening(&mut network).unwrap();
    network.cluster.asked(0);
    shake_hands(&mut network, link, 0);
    network.handle_timeout(59_999);
    assert_eq!(network.poll_action(), None);
    network.handle_timeout(60_000);
    assert_eq!(network.poll_action(), Some(Action::Close { link }));
    assert_eq!(network.poll_lost().unwrap().error, ConnectionError::Idle);
    assert_eq!(network.next_deadline_us(60_000), u64::MAX, "nobody wants it");
    assert_eq!(network.ready(peer, 60_000), None);
    let (next, _) = opening(&mut network).unwrap();
    assert_ne!(next, link);
    network.opened(link, 60_001);
    assert!(network.connection(link).is_none() && network.connection(next).is_none(), "it is another one's");
}

#[test]
fn who_has_said_no_is_not_asked_again_at_once() {
    let mut network = network(&["one"]);
    let peer = Peer { broker: -1, purpose: Purpose::Control };
    let mut now_us = 0;
    for pause_us in [1_000_000, 2_000_000, 4_000_000, 5_000_000, 5_000_000] {
        network.ready(peer, now_us);
        let (link, _) = opening(&mut network).unwrap();
        network.closed(link, ConnectionError::Untrusted("no".to_owned()), now_us);
        assert_eq!(network.next_deadline_us(now_us), now_us + pause_us);
        now_us += pause_us;
    }
}

#[test]
fn who_hangs_up_on_the_first_question_may_want_a_name() {
    let mut network = network(&["one"]);
    network.handle_timeout(0);
    let (link, _) = opening(&mut network).unwrap();
    network.opened(link, 0);
    network.closed(link, ConnectionError::Lost("gone".to_owned()), 1);
    assert!(!network.may_lack_a_name(), "it has not even said what it speaks");
    network.handle_timeout(1_000_000);
    let (link, _) = opening(&mut network).unwrap();
    shake_hands(&mut network, link, 1_000_000);
    network.closed(link, ConnectionError::Lost("gone".to_owned()), 1_000_001);
    assert!(network.may_lack_a_name());
    network.handle_timeout(2_000_000);
    let (link, _) = opening(&mut network).unwrap();
    shake_hands(&mut network, link, 2_000_000);
    assert!(network.trouble().is_some(), "it will do so again");
}

#[test]
fn a_broker_whose_address_nobody_names_is_not_looked_for_without_a_pause() {
    let mut network = network(&["a"]);
    assert_eq!(network.ready(Peer { broker: 9, purpose: Purpose::Control }, 1_000), None);
    assert_eq!(opening(&mut network), None, "there is no address");
    let pause_us = network.settings().reconnect_shortest_us;
    assert_eq!(network.next_deadline_us(1_000), 1_000 + pause_us, "whoever waits for it sleeps meanwhile");
}
