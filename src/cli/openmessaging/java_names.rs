//! What Java's client calls its settings, and what becomes of each. `docs/benchmarking.md` has the same table.

/// The clients of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Both,
    Producer,
    Consumer,
}

/// What becomes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    /// A flag of ours with the same value.
    Flag(&'static str),
    /// A flag of ours that takes a time; the setting is in ms.
    Millis(&'static str),
    /// A setting of librdkafka's (`-X`) with the same value.
    Setting(&'static str),
    /// The same, of a number that may not be above this.
    UpTo(&'static str, u64),
    /// Nothing: why it makes no difference.
    Nothing(&'static str),
    /// Nothing, unless it has another value than these: that is not done, and said. With what is done.
    Only(&'static [&'static str], &'static str),
    /// One of those that take more than one value to judge.
    Special(Special),
}

/// Settings that the driver's reader looks at itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Batch,
    Buffer,
    InFlight,
    Protocol,
    Jaas,
    Identification,
    Trust,
    TrustKind,
    Assignors,
    Acks,
}

use Becomes::{Flag, Millis, Nothing, Only, Setting, UpTo};
use Side::{Both, Consumer, Producer};

const WAITS: &str = "what fails in passing is tried again without limit";
const OURS: &str = "the run decides";

/// All that are understood.
pub(super) const JAVA_NAMES: &[(&str, Side, Becomes)] = &[
    ("bootstrap.servers", Both, Flag("brokers")),
    ("client.id", Both, Flag("client-name")),
    ("client.rack", Consumer, Setting("client.rack")),
    ("metadata.max.age.ms", Both, Millis("metadata-max-age")),
    ("request.timeout.ms", Both, UpTo("request.timeout.ms", 900_000)),
    ("reconnect.backoff.ms", Both, Setting("reconnect.backoff.ms")),
    ("reconnect.backoff.max.ms", Both, Setting("reconnect.backoff.max.ms")),
    ("socket.connection.setup.timeout.ms", Both, Setting("socket.connection.setup.timeout.ms")),
    ("send.buffer.bytes", Both, Nothing("the system decides")),
    ("receive.buffer.bytes", Both, Nothing("the system decides")),
    ("default.api.timeout.ms", Both, Nothing(WAITS)),
    ("retry.backoff.ms", Both, Nothing(WAITS)),
    ("retry.backoff.max.ms", Both, Nothing(WAITS)),
    ("connections.max.idle.ms", Both, Nothing(OURS)),
    ("security.protocol", Both, Becomes::Special(Special::Protocol)),
    ("sasl.mechanism", Both, Flag("sasl-mechanism")),
    ("sasl.jaas.config", Both, Becomes::Special(Special::Jaas)),
    ("ssl.endpoint.identification.algorithm", Both, Becomes::Special(Special::Identification)),
    ("ssl.truststore.location", Both, Becomes::Special(Special::Trust)),
    ("ssl.truststore.type", Both, Becomes::Special(Special::TrustKind)),
    ("acks", Producer, Becomes::Special(Special::Acks)),
    ("enable.idempotence", Producer, Only(&["true"], "run with true: nothing else can be proven")),
    ("linger.ms", Producer, Millis("linger")),
    ("batch.size", Producer, Becomes::Special(Special::Batch)),
    (
        "max.request.size",
        Producer,
        Nothing("no request is larger than brokers take, nor a batch than batch.size"),
    ),
    ("compression.type", Producer, Flag("compression-type")),
    ("buffer.memory", Producer, Becomes::Special(Special::Buffer)),
    ("max.in.flight.requests.per.connection", Producer, Becomes::Special(Special::InFlight)),
    ("retries", Producer, Nothing(WAITS)),
    ("delivery.timeout.ms", Producer, Nothing(WAITS)),
    ("max.block.ms", Producer, Nothing(WAITS)),
    ("transaction.timeout.ms", Producer, Flag("transaction-timeout-ms")),
    ("key.serializer", Producer, Nothing(OURS)),
    ("value.serializer", Producer, Nothing(OURS)),
    ("auto.offset.reset", Consumer, Nothing("groups begin where the logs end when the run begins")),
    ("enable.auto.commit", Consumer, Nothing("members commit once a second what they have consumed")),
    ("auto.commit.interval.ms", Consumer, Nothing("members commit once a second what they have consumed")),
    ("group.id", Consumer, Nothing("each subscription has a group of its own, which is deleted at the end")),
    ("max.partition.fetch.bytes", Consumer, Setting("max.partition.fetch.bytes")),
    ("fetch.max.bytes", Consumer, Setting("fetch.max.bytes")),
    ("fetch.min.bytes", Consumer, Setting("fetch.min.bytes")),
    ("fetch.max.wait.ms", Consumer, Setting("fetch.wait.max.ms")),
    ("session.timeout.ms", Consumer, Setting("session.timeout.ms")),
    ("heartbeat.interval.ms", Consumer, Setting("heartbeat.interval.ms")),
    ("max.poll.interval.ms", Consumer, Setting("max.poll.interval.ms")),
    ("max.poll.records", Consumer, Nothing(OURS)),
    ("partition.assignment.strategy", Consumer, Becomes::Special(Special::Assignors)),
    ("group.protocol", Consumer, Setting("group.protocol")),
    ("check.crcs", Consumer, Only(&["true"], "run with true: each batch is checked")),
    ("isolation.level", Consumer, Nothing("read_committed with transactions, else read_uncommitted")),
    ("key.deserializer", Consumer, Nothing(OURS)),
    ("value.deserializer", Consumer, Nothing(OURS)),
];

/// What becomes of a setting in a block for this side; `None`: it is not understood there.
pub(super) fn becomes(name: &str, block: Side) -> Option<Becomes> {
    let fits = |side: Side| block == Both || side == Both || side == block;
    JAVA_NAMES.iter().find(|(known, side, _)| *known == name && fits(*side)).map(|(.., becomes)| *becomes)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn each_name_stands_once_and_on_its_side() {
        let names: BTreeSet<_> = JAVA_NAMES.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), JAVA_NAMES.len());
        assert_eq!(becomes("linger.ms", Producer), Some(Millis("linger")));
        assert_eq!(becomes("linger.ms", Both), Some(Millis("linger")), "common settings are everybody's");
        assert_eq!(becomes("linger.ms", Consumer), None);
        assert_eq!(becomes("partitioner.class", Producer), None);
    }

    #[test]
    fn the_page_has_all_of_them() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarking.md");
        let page = fs::read_to_string(page).unwrap();
        for (name, ..) in JAVA_NAMES {
            assert!(page.contains(&format!("`{name}`")), "docs/benchmarking.md says nothing of {name}");
        }
    }
}
