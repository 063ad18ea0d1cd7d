//! Sentences for what a client complains of, whichever client it is, and who can mend it.

use super::librdkafka::admission;
use crate::{findings::ComplaintKind, runtime::descriptors};

/// The sentence about a broker at `host:port`, whose id is known if the cluster has named it, and the way out. `text` is the
/// client's own.
pub(crate) fn describe(kind: ComplaintKind, address: &str, id: Option<&str>, text: &str) -> (String, String) {
    let name = id.map_or_else(|| address.to_owned(), |id| format!("{address}/{id}"));
    let (words, remedy) = match (kind, id) {
        (ComplaintKind::Descriptors, _) => (
            format!(
                "the client has no file descriptor for a connection to broker {name}, of the {} that this process may have \
                 ({text})",
                descriptors::limit()
            ),
            "raise the limit (ulimit -n), or have fewer readers and workers",
        ),
        (ComplaintKind::TooLarge, _) => (
            format!("the client does not take an answer of broker {name}, as it is too large ({text})"),
            "raise -X receive.message.max.bytes",
        ),
        (ComplaintKind::Resolution, Some(id)) => (
            format!("broker {id} is advertised as {address}, a name that does not resolve here ({text})"),
            "mend the broker's advertised.listeners, or the DNS of this machine",
        ),
        (ComplaintKind::Resolution, None) => (
            format!("the name {address} does not resolve here ({text})"),
            "check --brokers, or the DNS of this machine",
        ),
        (ComplaintKind::Authentication | ComplaintKind::Trust, _) => (
            format!("broker {name} and this client do not accept each other ({text})"),
            admission::way_out(text),
        ),
        (ComplaintKind::HungUp, _) => (
            format!("broker {name} closes connections again and again before they are of use ({text})"),
            "look at its limits (max.connections, max.connections.per.ip) and at what lies between; \
             have fewer readers and workers, or check --enable-tls",
        ),
        (ComplaintKind::Unreachable, _) => {
            (format!("nobody takes connections at broker {name} ({text})"), "start it, or check --brokers")
        }
        (ComplaintKind::TooOld, _) => (
            format!("broker {name} is too old for this client, or too new ({text})"),
            "use brokers from Kafka 2.4 on, or --client librdkafka",
        ),
        (ComplaintKind::Unreadable, _) => (
            format!("what comes from {name} cannot be read as a Kafka broker's answer ({text})"),
            "look at what listens there and at what lies between, or check --enable-tls",
        ),
        (ComplaintKind::Silent, _) => {
            (format!("broker {name} does not answer in time ({text})"), "look at the broker and the network")
        }
    };
    (words, remedy.to_owned())
}
