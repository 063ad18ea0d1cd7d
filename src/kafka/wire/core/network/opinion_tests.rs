//! Second opinions of a cluster of three, of which one broker has told who leads what.

use super::{
    super::tests::{feed, network, opening, refused, shake_hands},
    *,
};
use crate::kafka::wire::core::machine::Action;

/// An answer that names nobody, and the number of the question: the first after two handshakes.
const ANSWER: [u8; 26] = {
    let mut answer = [0; 26];
    answer[3] = 2;
    (answer[12], answer[13]) = (255, 255);
    answer
};

/// Connected to "one", which was asked who leads what, and has named these hosts.
fn told(hosts: &[&str]) -> Network<u8> {
    let mut network = network(&["one"]);
    network.handle_timeout(0);
    let (link, _) = opening(&mut network).unwrap();
    shake_hands(&mut network, link, 0);
    network.cluster.name_brokers((10..).zip(hosts).map(|(id, host)| (id, *host, 9092)));
    assert!(!network.take_opinion());
    network
}

#[test]
fn each_time_another_broker_is_asked() {
    let mut network = told(&["one", "two", "three"]);
    let mut asked = Vec::new();
    for _ in 0..2 {
        network.want_opinion(10);
        let (link, host) = opening(&mut network).unwrap();
        asked.push(host);
        shake_hands(&mut network, link, 11);
        assert!(!network.take_opinion(), "it has not answered");
        feed(&mut network, link, &ANSWER, 12);
        assert_eq!(network.next_response(link, 12), None);
        assert_eq!((network.take_opinion(), network.take_opinion()), (true, false), "once");
    }
    asked.sort_unstable();
    assert_eq!(asked, ["three", "two"], "never the one that has told");
}

/// Where a connection is being opened to, if one is.
fn opened_to(network: &mut Network<u8>) -> Option<String> {
    std::iter::from_fn(|| network.poll_action()).find_map(|action| match action {
        Action::Open { host, .. } => Some(host.to_string()),
        Action::Close { .. } => None,
    })
}

#[test]
fn who_cannot_be_asked_is_not_waited_for() {
    let mut network = told(&["one", "two", "three"]);
    network.want_opinion(10);
    let (link, first) = opening(&mut network).unwrap();
    network.closed(link, refused(), 11);
    assert!(network.take_opinion());
    network.want_opinion(12);
    let other = opened_to(&mut network).unwrap();
    assert_ne!(other, first, "one that fails is left out");
    assert!(!network.take_opinion());
    network.handle_timeout(12 + PATIENCE_US);
    assert!(network.take_opinion(), "it says nothing");
}

#[test]
fn who_is_alone_is_believed() {
    let mut alone = told(&["one"]);
    alone.want_opinion(10);
    assert!(alone.take_opinion());
    assert_eq!(opened_to(&mut alone), None);
}
