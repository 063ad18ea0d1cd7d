//! What librdkafka is told, and why it is not left at its defaults.

use std::{fmt::Display, path::Path, time::Duration};

use rdkafka::{ClientConfig, config::NativeClientConfig};

use crate::{
    config::{Compression, Sasl, Security, Tls},
    kafka::{ClientError, ClientSettings, GroupStart, MemberSettings, ReaderSettings, WriterSettings},
    mutants::enforced,
    runtime::cores::cpu_set::CpuSet,
};

/// What a client is asked to tell of. Not what it does with each record and each batch, nor its whole configuration
/// for each client.
const CONTEXTS: &str = "generic,broker,topic,metadata,protocol,cgrp,security,consumer,admin,eos,assignor";

/// What a producer needs beyond that.
#[derive(Clone, Debug)]
pub(super) struct ProducerSettings {
    /// The client.
    pub client: ClientSettings,
    /// What it writes, and how.
    pub writer: WriterSettings,
    /// Where librdkafka's threads may run.
    pub client_cpus: CpuSet,
}

/// What a consumer needs beyond that.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerSettings {
    /// The client.
    pub client: ClientSettings,
    /// What the work asks for.
    pub reader: ReaderSettings,
    /// Where librdkafka's threads may run.
    pub client_cpus: CpuSet,
}

/// What a member of a group needs beyond that.
#[derive(Clone, Debug)]
pub(crate) struct GroupSettings {
    /// The client.
    pub client: ClientSettings,
    /// What the work asks for.
    pub member: MemberSettings,
    /// Where librdkafka's threads may run.
    pub client_cpus: CpuSet,
}

impl ClientSettings {
    /// Adds what wins over everything else.
    pub(crate) fn finish(&self, mut config: ClientConfig) -> ClientConfig {
        for (key, value) in &self.overrides {
            // What has two names is in there under one: the user's must not stand beside ours.
            for names in NAMES.iter().filter(|names| names.contains(&key.as_str())) {
                names.iter().for_each(|name| _ = config.remove(name));
            }
            config.set(key, value);
        }
        config
    }

    /// Of the client that watches the brokers. To see them go it must be connected to all of them, and look twice a second,
    /// whatever the user sets for clients that work.
    pub(crate) fn of_observer(&self) -> ClientConfig {
        let mut config = self.finish(self.base());
        if enforced("observer-settings") {
            config.set("enable.sparse.connections", "false").set("statistics.interval.ms", "500");
        }
        config
    }

    pub(crate) fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let refresh_ms = self.metadata_max_age.as_millis().clamp(10, 900_000);
        config
            .set("bootstrap.servers", self.known.added_to(&self.bootstrap))
            .set("client.id", &self.client_id)
            // A missing topic must stay missing, also when a producer asks for it.
            .set("allow.auto.create.topics", "false")
            .set("topic.metadata.refresh.interval.ms", refresh_ms.to_string())
            .set("metadata.max.age.ms", refresh_ms.to_string())
            // The default backs off for 10 s: a broker is back long before that.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.keepalive.enable", "true")
            // Nowhere else is it told: brokers may close what they take for one connection too many.
            .set("log.connection.close", "true");
        if self.trace {
            config.set("debug", CONTEXTS);
        }
        secure(&mut config, &self.security);
        config
    }
}

/// Settings of ours that librdkafka knows by another name too (its CONFIGURATION.md, "Alias for").
const NAMES: [&[&str]; 9] = [
    &["bootstrap.servers", "metadata.broker.list"],
    &["max.in.flight", "max.in.flight.requests.per.connection"],
    &["acks", "request.required.acks"],
    &["message.timeout.ms", "delivery.timeout.ms"],
    &["linger.ms", "queue.buffering.max.ms"],
    &["compression.codec", "compression.type"],
    &["sasl.mechanism", "sasl.mechanisms"],
    &["fetch.message.max.bytes", "max.partition.fetch.bytes"],
    &["message.send.max.retries", "retries"],
];

/// Security settings, under librdkafka's names.
fn secure(config: &mut ClientConfig, security: &Security) {
    let protocol = match (&security.sasl, &security.tls) {
        (None, None) => "plaintext",
        (None, Some(_)) => "ssl",
        (Some(_), None) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(Sasl { mechanism, username, password, token_file }) = &security.sasl {
        config.set("sasl.mechanism", *mechanism).set("sasl.username", username);
        config.set("sasl.password", password.reveal());
        if let Some(file) = token_file {
            // Free for whoever provides the tokens: that is us.
            config.set("sasl.oauthbearer.config", file.display().to_string());
        }
    }
    if let Some(Tls { ca, own, skip_verify }) = &security.tls {
        let path = |path: &Path| path.display().to_string();
        // Our OpenSSL is built in and does not know where this system keeps its certificates.
        config.set("ssl.ca.location", ca.as_deref().map_or("probe".to_owned(), path));
        config.set("enable.ssl.certificate.verification", (!skip_verify).to_string());
        if let Some((certificate, key)) = own {
            config.set("ssl.certificate.location", path(certificate)).set("ssl.key.location", path(key));
        }
    }
}

impl ProducerSettings {
    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = self.client.base();
        let codec = match self.writer.compression {
            Compression::None | Compression::Mixed => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        };
        config
            // Retries without duplicates and in order: predicted offsets need both.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("max.in.flight", MAX_IN_FLIGHT)
            // A broker that is away is waited for without limit.
            .set("message.timeout.ms", "0")
            .set("linger.ms", (self.writer.linger.as_secs_f64() * 1e3).to_string())
            .set("batch.size", self.writer.batch_max_bytes.to_string())
            .set("batch.num.messages", "1000000")
            .set("message.max.bytes", self.writer.batch_max_bytes.clamp(1_000, 1_000_000_000).to_string())
            .set(
                "queue.buffering.max.messages",
                self.writer.max_buffered_records.saturating_add(1).min(QUEUE_MOST_MESSAGES).to_string(),
            )
            .set("queue.buffering.max.kbytes", "2147483647")
            .set("compression.codec", codec)
            // Asked only for records without a partition of ours.
            .set("partitioner", "random")
            // Values are sent from where they lie; only small ones are cheaper to copy.
            .set("message.copy.max.bytes", "4096");
        if let Some(transactions) = &self.writer.transactions {
            config
                .set("transactional.id", &transactions.id)
                .set("transaction.timeout.ms", transactions.timeout.as_millis().to_string());
            // Without a word librdkafka waits for an answer for almost as long as a transaction may last: a leader that
            // freezes would cost every transaction. A time-out of the user's own has librdkafka's word for both.
            if self.client.given("transaction.timeout.ms").is_none() {
                config.set("socket.timeout.ms", socket_timeout_ms(transactions.timeout).to_string());
            }
        }
        self.client.finish(config)
    }
}

/// How long a producer of transactions waits for an answer: a broker that freezes, and another that is asked in its stead,
/// fit into the transaction. Within librdkafka's own floor and default; it takes none that is longer than the transaction.
fn socket_timeout_ms(transaction: Duration) -> u128 {
    (transaction.as_millis() / 3).clamp(900, 60_000)
}

/// Requests that may be under way to one broker.
///
/// With more than one, librdkafka's idempotence is no promise of "once" where leaders change: it may drain what is under
/// way, raise its producer epoch, and write once more what had no ack (seen in 2.12.1 with 2 to 5, not with 1;
/// confluentinc/librdkafka#4953). Each copy is a record at another offset than predicted, and a number that comes twice.
///
/// It costs speed with large records and none with small ones (`docs/PROFILE.md`): an idempotent librdkafka sends a
/// partition's next batch when the last one is acked, and polls in circles meanwhile, unless this limit holds it back.
const MAX_IN_FLIGHT: &str = "1";

impl ConsumerSettings {
    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = self.client.base();
        config
            // Off by default: a flipped byte would pass.
            .set("check.crcs", enforced("corrupt-checksum").to_string())
            // Anything else hides a truncated log.
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The default of 1,000 stalls a reader for a second each time its queue has been full.
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.error.backoff.ms", "100")
            .set("receive.message.max.bytes", RECEIVE_MOST_BYTES)
            .set("isolation.level", self.reader.isolation.name());
        if self.reader.read_ahead {
            // As fast with 64 MiB, which then fill up wherever the shard is slower than the broker (seen: 330 MiB
            // for two shards, 160 with this).
            config.set("queued.max.messages.kbytes", "16384").set("queued.min.messages", "1000000");
        } else {
            // A broker sends one whole batch however little was asked for: that is what one read needs.
            // However little: of what is large one answer comes, and the next one is not fetched beside it.
            config
                .set("queued.min.messages", "1")
                .set("queued.max.messages.kbytes", "2048")
                .set("fetch.message.max.bytes", "1024")
                .set("fetch.wait.max.ms", "100");
        }
        self.client.finish(config)
    }
}

/// What the members of a process may read ahead together, as long as there are not so many that each has its least.
const GROUP_QUEUES_KBYTES: usize = 65_536;
/// A broker sends a batch whole, however large it is; a client that does not take it asks for it again for ever.
/// librdkafka's own limit, of which it makes no memory before an answer of that size comes.
const RECEIVE_MOST_BYTES: &str = "2147483647";
/// librdkafka's own limit.
const QUEUE_MOST_MESSAGES: usize = i32::MAX as usize;
/// librdkafka's own default.
const DEFAULT_REBALANCE_MS: u128 = 300_000;

impl GroupSettings {
    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = self.client.base();
        config
            .set("group.id", &self.member.group)
            .set(
                "auto.offset.reset",
                if self.member.start == GroupStart::End { "latest" } else { "earliest" },
            )
            // Shows where a partition is read from before there is a record in it.
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("check.crcs", enforced("corrupt-checksum-group").to_string())
            .set("isolation.level", self.member.isolation.name())
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.error.backoff.ms", "100")
            .set("receive.message.max.bytes", RECEIVE_MOST_BYTES);
        let queue_kbytes = self.queue_kbytes().to_string();
        config.set("queued.max.messages.kbytes", queue_kbytes);
        match self.member.start {
            GroupStart::End => {
                config.set("queued.min.messages", "1000").set("fetch.message.max.bytes", "262144")
            }
            GroupStart::Start => config.set("queued.min.messages", "100000"),
        };
        let session_ms = self.member.session(&self.client).as_millis();
        let rebalance_ms =
            self.member.rebalance_timeout.map_or(DEFAULT_REBALANCE_MS, |limit| limit.as_millis());
        // What librdkafka gives the group as its rebalance time-out; it must not be below the other.
        config.set("max.poll.interval.ms", rebalance_ms.max(session_ms).to_string());
        if !self.client.brokers_assign() {
            config
                // What other clients of such groups speak by default; work moves without stopping the rest.
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("session.timeout.ms", session_ms.to_string())
                .set("heartbeat.interval.ms", (session_ms / 3).clamp(1, 3_000).to_string());
        }
        self.client.finish(config)
    }

    /// Of a member that reads nothing, since somebody else does.
    pub(crate) fn of_presence(&self) -> ClientConfig {
        let mut config = self.config();
        // What slips through before a partition is paused is thrown away.
        config
            .set("enable.partition.eof", "false")
            .set("check.crcs", "false")
            .set("queued.min.messages", "1")
            .set("queued.max.messages.kbytes", "1")
            .set("fetch.message.max.bytes", "1");
        config
    }

    /// How much a member reads ahead. A process may have hundreds: together they keep to what four of them may have.
    fn queue_kbytes(&self) -> usize {
        let (least, most) = match self.member.start {
            GroupStart::End => (512, 4_096),
            GroupStart::Start => (1_024, 16_384),
        };
        (GROUP_QUEUES_KBYTES / self.member.members.max(1)).clamp(least, most)
    }
}

/// Checks every setting and makes librdkafka's own object of them.
pub(crate) fn native(config: &ClientConfig) -> Result<NativeClientConfig, ClientError> {
    use rdkafka::error::KafkaError as RdError;
    config.create_native_config().map_err(|error| match error {
        RdError::ClientConfig(_, reason, key, value) => ClientError::Setting { key, value, reason },
        other => start_error(&other),
    })
}

pub(crate) fn start_error(error: &dyn Display) -> ClientError {
    ClientError::Start(error.to_string())
}

#[cfg(test)]
mod tests {
    use rdkafka::producer::BaseProducer;

    use super::*;
    use crate::kafka::Isolation;
    use crate::kafka::{KnownBrokers, TransactionSettings};

    fn in_transactions(timeout: Duration, overrides: &[(&str, &str)]) -> ProducerSettings {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        ProducerSettings {
            client: ClientSettings {
                bootstrap: "127.0.0.1:1".into(),
                known: KnownBrokers::default(),
                client_id: "c".into(),
                metadata_max_age: Duration::from_secs(15),
                trace: false,
                security: Security::default(),
                overrides: overrides.iter().map(owned).collect(),
            },
            writer: WriterSettings {
                linger: Duration::ZERO,
                batch_max_bytes: 1_000_000,
                max_buffered_records: 10,
                compression: Compression::None,
                transactions: Some(TransactionSettings { id: "t".into(), timeout }),
            },
            client_cpus: CpuSet::default(),
        }
    }

    #[test]
    fn one_request_is_under_way_unless_the_user_says_otherwise() {
        let in_flight = |overrides: &[(&str, &str)]| {
            let config = in_transactions(Duration::from_mins(2), overrides).config();
            let names = NAMES.iter().find(|names| names.contains(&"max.in.flight")).unwrap();
            names.iter().filter_map(|name| config.get(name)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(in_flight(&[]), "1");
        for name in ["max.in.flight", "max.in.flight.requests.per.connection"] {
            assert_eq!(in_flight(&[(name, "5")]), "5", "by either name, and not beside ours");
        }
    }

    #[test]
    fn who_watches_the_brokers_sees_all_of_them_whatever_the_user_sets() {
        let overrides = [("enable.sparse.connections", "true"), ("statistics.interval.ms", "0")];
        let settings = in_transactions(Duration::from_secs(1), &overrides);
        let observer = settings.client.of_observer();
        assert_eq!(observer.get("enable.sparse.connections"), Some("false"));
        assert_eq!(observer.get("statistics.interval.ms"), Some("500"));
        assert_eq!(
            settings.config().get("enable.sparse.connections"),
            Some("true"),
            "who works is the user's"
        );
    }

    #[test]
    fn two_brokers_can_be_waited_for_within_a_transaction() {
        let shorter = ("transaction.timeout.ms", "5000");
        for (timeout_s, overrides, expected) in [
            (120, &[][..], Some("40000")),
            (86_400, &[], Some("60000")),
            (1, &[], Some("900")),
            (120, &[("socket.timeout.ms", "7000")], Some("7000")),
            (120, &[shorter], None),
        ] {
            let config = in_transactions(Duration::from_secs(timeout_s), overrides).config();
            assert_eq!(config.get("socket.timeout.ms"), expected, "{timeout_s} s, {overrides:?}");
            assert!(config.create::<BaseProducer>().is_ok(), "{timeout_s} s, {overrides:?}: refused");
        }
    }

    fn in_group(members: usize, start: GroupStart, overrides: &[(&str, &str)]) -> GroupSettings {
        GroupSettings {
            client: in_transactions(Duration::from_secs(1), overrides).client,
            member: MemberSettings {
                group: "g".into(),
                isolation: Isolation::ReadUncommitted,
                start,
                members,
                session_timeout: None,
                rebalance_timeout: None,
                handover: None,
            },
            client_cpus: CpuSet::default(),
        }
    }

    /// librdkafka takes none of them there, not even at its own default.
    #[test]
    fn the_protocol_in_which_brokers_assign_goes_without_four_settings() {
        use rdkafka::consumer::BaseConsumer;
        const ABSENT: [&str; 3] =
            ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"];
        for (overrides, are_set) in [(&[][..], true), (&[("group.protocol", "consumer")], false)] {
            let config = in_group(1, GroupStart::Start, overrides).config();
            for name in ABSENT {
                assert_eq!(config.get(name).is_some(), are_set, "{name} with {overrides:?}");
            }
            assert_eq!(config.get("group.protocol.type"), None);
            assert!(config.create::<BaseConsumer>().is_ok(), "{overrides:?}: refused");
        }
    }

    #[test]
    fn members_share_the_memory_for_what_is_read_ahead() {
        let kbytes = |members, start| {
            let config = in_group(members, start, &[]).config();
            config.get("queued.max.messages.kbytes").and_then(|value| value.parse::<usize>().ok()).unwrap()
        };
        for (members, each) in [(1, 16_384), (4, 16_384), (20, 3_276), (64, 1_024), (1_000, 1_024)] {
            assert_eq!(kbytes(members, GroupStart::Start), each, "{members} members");
        }
        assert_eq!((kbytes(16, GroupStart::End), kbytes(120, GroupStart::End)), (4_096, 546));
    }

    #[test]
    fn the_session_is_the_one_that_the_user_gave_last() {
        let overrides = [("session.timeout.ms", "7000")];
        let settings = in_group(1, GroupStart::Start, &overrides);
        assert_eq!(settings.member.session(&settings.client), Duration::from_secs(7));
        assert_eq!(settings.config().get("heartbeat.interval.ms"), Some("2333"));
    }
}
