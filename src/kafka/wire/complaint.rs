//! What our own client makes of connections that fail: who is to blame, in the same words as for the other one.

use super::core::{connection::ConnectionError, notice::BrokerName};
use crate::{
    findings::{ComplaintKind, Heard},
    kafka::{Refusal, blame},
};

/// What a connection's end complains of, if it is something that may explain what goes on. `was_ready`: it was of use.
pub(super) fn heard(broker: &BrokerName, error: &ConnectionError, was_ready: bool) -> Option<Heard> {
    let kind = kind(error, was_ready)?;
    let id = broker.id.map(|id| id.to_string());
    let (words, remedy) = blame::describe(kind, &broker.address, id.as_deref(), &error.to_string());
    let is_denied = error.is_denied();
    Some(Heard { kind, broker: broker.address.clone(), words, remedy, is_denied, count: 1 })
}

/// That a broker does not let us in, or we do not trust it, if that is what a connection's end says.
pub(super) fn refusal(broker: &BrokerName, error: &ConnectionError) -> Option<Refusal> {
    let heard = heard(broker, error, false).filter(|heard| heard.is_denied)?;
    Some(Refusal { words: format!("{broker}: {error}"), remedy: heard.remedy })
}

/// Why a broker cannot be talked to, in a line. `is_nameless`: it has hung up on a question of somebody without a name.
pub(super) fn in_a_line(broker: &BrokerName, error: &ConnectionError, is_nameless: bool) -> String {
    // Brokers that want TLS hang up on the first question that comes without, and those that want to know who asks on the
    // first one behind that.
    let hint = match error {
        ConnectionError::Lost(_) if is_nameless => "; does it want --username?",
        ConnectionError::Lost(_) => "; does it want --enable-tls?",
        _ => "",
    };
    format!("{broker}: {error}{hint}")
}

fn kind(error: &ConnectionError, was_ready: bool) -> Option<ComplaintKind> {
    Some(match error {
        ConnectionError::NoDescriptor(_) => ComplaintKind::Descriptors,
        ConnectionError::NotResolved(_) => ComplaintKind::Resolution,
        ConnectionError::NotOpened(_) => ComplaintKind::Unreachable,
        ConnectionError::Untrusted(_) | ConnectionError::Tls(_) => ComplaintKind::Trust,
        ConnectionError::Login(_) => ComplaintKind::Authentication,
        ConnectionError::NotAnswering(_) | ConnectionError::TimedOut(_) => ComplaintKind::Silent,
        ConnectionError::Frame(_) => ComplaintKind::TooLarge,
        ConnectionError::Unsupported(_) => ComplaintKind::TooOld,
        ConnectionError::OutOfOrder { .. }
        | ConnectionError::Unreadable { .. }
        | ConnectionError::Incomplete(_)
        | ConnectionError::TooEarly(_)
        | ConnectionError::Refused(_) => ComplaintKind::Unreadable,
        // One that was of use may go with its broker.
        ConnectionError::Lost(_) if !was_ready => ComplaintKind::HungUp,
        ConnectionError::Lost(_) | ConnectionError::GivenUp | ConnectionError::Idle => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::wire::{
        core::inbox::FrameError,
        protocol::{Api, ApiRange, UnsupportedApi},
    };

    #[track_caller]
    fn expect(error: &ConnectionError, kind: ComplaintKind, said: &[&str]) {
        let heard =
            heard(&BrokerName::new("kafka.invalid", 9092, Some(2)), error, true).expect("a complaint");
        assert_eq!((heard.kind, &*heard.broker), (kind, "kafka.invalid:9092"), "{error}");
        let text = format!("{}: {}", heard.words, heard.remedy);
        for word in said {
            assert!(text.contains(word), "no '{word}' in '{text}'");
        }
    }

    #[test]
    fn complaints_are_told_apart_and_name_the_broker() {
        let text = || "kafka.invalid cannot be resolved: no such name".to_owned();
        let advertised = ["broker 2 is advertised as kafka.invalid:9092", "advertised.listeners"];
        expect(&ConnectionError::NotResolved(text()), ComplaintKind::Resolution, &advertised);
        let refused = ConnectionError::NotOpened("127.0.0.1:9092: Connection refused".to_owned());
        expect(
            &refused,
            ComplaintKind::Unreachable,
            &["nobody takes connections at broker kafka.invalid:9092/2"],
        );
        expect(&ConnectionError::NoDescriptor("none".to_owned()), ComplaintKind::Descriptors, &["ulimit -n"]);
        let large = FrameError { length: 120_000_123, most: 100_000_000 };
        expect(&large.into(), ComplaintKind::TooLarge, &["120000123", "-X receive.message.max.bytes"]);
        let range = ApiRange { key: 0, first: 0, last: 3 };
        let old = UnsupportedApi { api: Api::Produce, broker: Some(range) };
        expect(&old.into(), ComplaintKind::TooOld, &["Produce in versions 0 to 3", "versions 7 to 13"]);
        expect(&ConnectionError::TimedOut(Api::Fetch), ComplaintKind::Silent, &["does not answer in time"]);
        let wrong = ConnectionError::OutOfOrder { expected: Some(1), got: 2 };
        expect(&wrong, ComplaintKind::Unreadable, &["kafka.invalid:9092/2 cannot be read"]);
    }

    #[test]
    fn what_was_of_use_may_go_with_its_broker() {
        let (broker, lost) = (BrokerName::new("b", 1, None), ConnectionError::Lost("end of file".to_owned()));
        assert_eq!(heard(&broker, &lost, true), None);
        assert_eq!(heard(&broker, &lost, false).unwrap().kind, ComplaintKind::HungUp);
        assert!(in_a_line(&broker, &lost, false).contains("does it want --enable-tls?"));
        assert!(in_a_line(&broker, &lost, true).contains("does it want --username?"));
        assert_eq!(refusal(&broker, &lost), None);
    }
}
