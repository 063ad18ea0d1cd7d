//! What our own client makes of a run's settings.

use std::rc::Rc;

use super::{
    batch::Codec,
    core::{
        cluster::RefreshTimes,
        connection::ConnectionSettings,
        consumer::ConsumerSettings,
        network::{Bootstrap, NetworkSettings},
        sink::SinkSettings,
        source::SourceSettings,
        transacting::TransactionalId,
    },
    security,
};
use crate::{
    config::Compression,
    kafka::{
        ClientError, ClientSettings, GroupStart, Isolation, MemberSettings, ReaderSettings,
        TransactionSettings, WriterSettings,
    },
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const MS_US: u64 = 1_000;
const S_US: u64 = 1_000_000;

/// Where brokers listen unless they say otherwise.
const DEFAULT_PORT: u16 = 9092;
/// What a connection receives into before a large answer makes it grow.
const RECEIVE_BYTES: usize = 256 * KIB;
/// The largest answer that is taken: several of the largest records that anybody sends. What TLS says to who speaks plain text
/// begins with 0x1503, which read as a length is more.
const RESPONSE_MOST_BYTES: usize = 320 * MIB;
/// Fetches on a connection, each about other partitions: the broker is at one while the other is taken in.
const FETCHES_IN_FLIGHT: usize = 2;
/// How much comes in one answer, from all brokers together: three times that is held or being received. With half as much,
/// records of 16 KiB take longer, as each Fetch costs a broker a millisecond whatever its size.
const FETCH_BYTES: usize = 4 * MIB;
/// How much of that may be one partition's.
const PARTITION_BYTES: usize = 2 * MIB;
/// The same for readers that want a record here and there: a batch comes whole, and what lies behind it is of no use.
const FETCH_FEW_BYTES: usize = 4 * KIB;
/// Requests of theirs that are under way to one broker. It works on one of a connection at a time; the others lie there
/// when it is done.
const READS_IN_FLIGHT: u64 = 8;
/// How much comes in one answer of the members of a process together, as long as there are not so many that each has its least; and
/// of one member at the most. Each holds three of them.
const MEMBERS_BYTES: usize = 8 * MIB;
const MEMBER_MOST_BYTES: usize = 2 * MIB;
/// The same where what is read is sent again.
const ECHOING_BYTES: usize = 4 * MIB;
const ECHOING_MOST_BYTES: usize = 256 * KIB;
const MEMBER_LEAST_BYTES: usize = 64 * KIB;
/// A batch that unpacks to more than this is not read.
const UNPACKED_MOST_BYTES: usize = 128 * MIB;
/// How long a broker waits before it says that there is nothing new.
const FETCH_WAIT_MS: u64 = 500;
/// The same where others wait behind who asks.
const SPOT_WAIT_MS: u64 = 10;
/// Below what brokers take at once (`socket.request.max.bytes`, 100 MiB), and enough for a broker to be busy with.
const REQUEST_MOST_BYTES: usize = 8 * MIB;
/// So much is packed without a pause: on the shard, which answers nobody meanwhile. gzip takes some 30 ms for it.
const PACKED_MOST_BYTES: usize = MIB;
/// So many records are shown at once to a reader that keeps to a rate.
const PACED_RECORDS: usize = 16;
/// Requests in flight to one broker: one that it works on, and one that it finds when it is done with that.
const REQUESTS_IN_FLIGHT: u64 = 2;

/// The settings of librdkafka's that our client has, too.
const KNOWN: [&str; 15] = [
    "client.id",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "metadata.max.age.ms",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "socket.connection.setup.timeout.ms",
    "socket.timeout.ms",
];

/// What is for groups only, whose membership is librdkafka's in any case.
const OF_GROUPS: [&str; 9] = [
    "group.instance.id",
    "group.protocol",
    "group.protocol.type",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "session.timeout.ms",
    "auto.offset.reset",
];

/// What a run asks of a client that ours cannot do, if anything: a setting's name, or words.
#[must_use]
pub(crate) fn lacks(client: &ClientSettings) -> Option<&str> {
    lacking(&client.overrides)
}

/// What these of a run's settings ask for that ours cannot do, if anything: a setting's name, or words.
#[must_use]
pub(crate) fn lacking(overrides: &[(String, String)]) -> Option<&str> {
    let is_known =
        |name: &str| KNOWN.contains(&name) || OF_GROUPS.contains(&name) || security::KNOWN.contains(&name);
    overrides.iter().map(|(name, _)| name.as_str()).find(|name| !is_known(name))
}

/// Connections, as a run's settings have them.
///
/// # Errors
/// A bootstrap list that is none, or a setting whose value is none.
pub(crate) fn network(client: &ClientSettings) -> Result<NetworkSettings, ClientError> {
    let question_us = number(client, &["socket.timeout.ms"], 5_000)? * MS_US;
    Ok(NetworkSettings {
        bootstrap: bootstrap(&client.known.added_to(&client.bootstrap))?,
        connection: ConnectionSettings {
            client_id: client.given("client.id").unwrap_or(&client.client_id).into(),
            receive_bytes: RECEIVE_BYTES,
            response_most_bytes: bytes(client, &["receive.message.max.bytes"], RESPONSE_MOST_BYTES)?,
            handshake_us: number(client, &["socket.connection.setup.timeout.ms"], 10_000)? * MS_US,
            login: security::login(client)?,
        },
        refresh: RefreshTimes {
            age_us: number(client, &["metadata.max.age.ms"], millis(client.metadata_max_age))? * MS_US,
            shortest_us: 50 * MS_US,
            longest_us: S_US,
        },
        reconnect_shortest_us: number(client, &["reconnect.backoff.ms"], 50)? * MS_US,
        reconnect_longest_us: number(client, &["reconnect.backoff.max.ms"], 1_000)? * MS_US,
        question_us,
        hedge_us: S_US,
        // Brokers close what has been idle for ten minutes.
        idle_us: 540 * S_US,
        traces: client.trace,
    })
}

/// A client that writes, as a run's settings have it.
///
/// # Errors
/// A setting whose value is none.
pub(crate) fn sink(client: &ClientSettings, writer: &WriterSettings) -> Result<SinkSettings, ClientError> {
    let requests_in_flight = in_flight(client, REQUESTS_IN_FLIGHT)?;
    let codec = match writer.compression {
        Compression::None | Compression::Mixed => Codec::None,
        Compression::Gzip => Codec::Gzip,
        Compression::Snappy => Codec::Snappy,
        Compression::Lz4 => Codec::Lz4,
        Compression::Zstd => Codec::Zstd,
    };
    Ok(SinkSettings {
        linger_us: u64::try_from(writer.linger.as_micros()).unwrap_or(u64::MAX),
        batch_most_bytes: writer.batch_max_bytes,
        codec,
        request_most_bytes: if codec == Codec::None { REQUEST_MOST_BYTES } else { PACKED_MOST_BYTES },
        requests_in_flight,
        records_most: writer.max_buffered_records,
        replicas_ms: small(number(client, &["request.timeout.ms"], 30_000)?),
        answer_us: number(client, &["socket.timeout.ms"], 60_000)? * MS_US,
        deposed_us: 3 * S_US,
    })
}

/// Finds out whether a client that writes can be made of its settings, without brokers.
///
/// # Errors
/// A setting whose value is none, a file that is no certificate, or a way in that ours does not know.
pub(crate) fn try_writer(client: &ClientSettings, writer: &WriterSettings) -> Result<(), ClientError> {
    security::try_out(client)?;
    network(client)?;
    sink(client, writer).map(drop)
}

/// Whose transactions a client's are.
#[must_use]
pub(crate) fn transactional_id(transactions: &TransactionSettings) -> TransactionalId {
    let timeout_ms = i32::try_from(transactions.timeout.as_millis()).unwrap_or(i32::MAX);
    TransactionalId { id: transactions.id.as_str().into(), timeout_ms }
}

/// A client that reads, as a run's settings have it.
///
/// # Errors
/// As for [`network`].
pub(crate) fn consumer(
    client: &ClientSettings,
    reader: &ReaderSettings,
) -> Result<ConsumerSettings, ClientError> {
    let room = if reader.read_ahead {
        let in_flight = in_flight(client, FETCHES_IN_FLIGHT as u64)?.min(FETCHES_IN_FLIGHT);
        (FETCH_BYTES, PARTITION_BYTES, FETCH_WAIT_MS, in_flight)
    } else {
        (FETCH_FEW_BYTES, FETCH_FEW_BYTES, SPOT_WAIT_MS, in_flight(client, READS_IN_FLIGHT)?)
    };
    consumer_with(client, reader, room)
}

/// A client that reads for a member of a group, as a run's settings have it. The members of a process share the memory.
///
/// # Errors
/// As for [`network`].
pub(crate) fn member(
    client: &ClientSettings,
    member: &MemberSettings,
) -> Result<ConsumerSettings, ClientError> {
    let reader = ReaderSettings { read_ahead: true, ..ReaderSettings::here_and_there(member.isolation) };
    let (together, most) = match member.start {
        GroupStart::Start => (MEMBERS_BYTES, MEMBER_MOST_BYTES),
        // Who echoes has few records under way.
        GroupStart::End => (ECHOING_BYTES, ECHOING_MOST_BYTES),
    };
    let all = (together / member.members.max(1)).clamp(MEMBER_LEAST_BYTES, most);
    let room = (all, all.div_ceil(2).max(MEMBER_LEAST_BYTES), FETCH_WAIT_MS, 1);
    let mut settings = consumer_with(client, &reader, room)?;
    settings.network.connection.receive_bytes = RECEIVE_BYTES.min(all);
    Ok(settings)
}

/// One to whom so much comes in one answer of all brokers together, and of each partition; brokers wait so long, and have so many requests.
fn consumer_with(
    client: &ClientSettings,
    reader: &ReaderSettings,
    (all, each, wait_ms, requests_at_once): (usize, usize, u64, usize),
) -> Result<ConsumerSettings, ClientError> {
    let max_wait_ms = number(client, &["fetch.wait.max.ms"], wait_ms)?;
    let partition_bytes = ["fetch.message.max.bytes", "max.partition.fetch.bytes"];
    Ok(ConsumerSettings {
        network: network(client)?,
        source: SourceSettings {
            // A broker that is asked not to wait may not answer at all.
            max_wait_ms: small(max_wait_ms.max(1)),
            min_bytes: small(number(client, &["fetch.min.bytes"], 1)?),
            max_bytes: small(number(client, &["fetch.max.bytes"], all as u64)?),
            partition_max_bytes: small(number(client, &partition_bytes, each as u64)?),
            requests_at_once,
            reads_ahead: reader.read_ahead,
            read_committed: reader.isolation == Isolation::ReadCommitted,
            step_records: if reader.paced { PACED_RECORDS } else { usize::MAX },
            unpacked_most_bytes: UNPACKED_MOST_BYTES,
            back_off_us: 100 * MS_US,
            question_us: 10 * S_US,
        },
        fetch_us: number(client, &["socket.timeout.ms"], 30_000)? * MS_US,
    })
}

/// Requests in flight on a connection.
fn in_flight(client: &ClientSettings, default: u64) -> Result<usize, ClientError> {
    let names = ["max.in.flight.requests.per.connection", "max.in.flight"];
    Ok(usize::try_from(number(client, &names, default)?.max(1)).unwrap_or(usize::MAX))
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / MS_US)
}

/// A setting under any of its names, or its default.
fn number(client: &ClientSettings, names: &[&str], default: u64) -> Result<u64, ClientError> {
    let given = names.iter().find_map(|name| Some((*name, client.given(name)?)));
    let Some((name, value)) = given else { return Ok(default.min(u64::MAX / MS_US)) };
    value.trim().parse::<u32>().map(u64::from).map_err(|_| ClientError::Setting {
        key: name.to_owned(),
        value: value.to_owned(),
        reason: "must be a whole number".to_owned(),
    })
}

fn bytes(client: &ClientSettings, names: &[&str], default: usize) -> Result<usize, ClientError> {
    let value = number(client, names, default as u64)?;
    Ok(usize::try_from(value).unwrap_or(usize::MAX))
}

fn small(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// Takes a bootstrap list apart: `host`, `host:port`, `[v6]:port`, each with a protocol in front or without.
fn bootstrap(list: &str) -> Result<Vec<Bootstrap>, ClientError> {
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let all = entries.map(address).collect::<Result<Vec<_>, _>>()?;
    if all.is_empty() { Err(ClientError::Start("the list of brokers is empty".to_owned())) } else { Ok(all) }
}

/// Takes `host`, `host:port`, `[v6]:port` or an IPv6 address alone apart; 9092 is the port where none is named.
///
/// # Errors
/// It is no address.
pub(crate) fn address(entry: &str) -> Result<Bootstrap, ClientError> {
    let wrong = || ClientError::Start(format!("'{}' is no broker's address", entry.escape_default()));
    let plain = entry.split_once("://").map_or(entry, |(_, rest)| rest);
    let (host, port) = match plain.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or_else(wrong)?;
            (host, behind.strip_prefix(':').or(behind.is_empty().then_some("")).ok_or_else(wrong)?)
        }
        // More than one colon, and no brackets: an IPv6 address alone.
        None if plain.matches(':').count() > 1 => (plain, ""),
        None => plain.split_once(':').unwrap_or((plain, "")),
    };
    let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().map_err(|_| wrong())? };
    if host.is_empty() { Err(wrong()) } else { Ok(Bootstrap { host: Rc::from(host), port }) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{config::Security, kafka::KnownBrokers};

    fn settings(overrides: &[(&str, &str)]) -> ClientSettings {
        ClientSettings {
            bootstrap: "a:1, b".to_owned(),
            known: KnownBrokers::default(),
            client_id: "ours".to_owned(),
            metadata_max_age: Duration::from_mins(1),
            trace: false,
            security: Security { sasl: None, tls: None },
            overrides: overrides.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }
    }

    #[test]
    fn addresses_are_taken_apart() {
        let list = "a, b:1,PLAINTEXT://c:2,[::1]:3,[::2],fe80::3,1.2.3.4:5,";
        let all: Vec<_> =
            bootstrap(list).unwrap().iter().map(|one| format!("{} {}", one.host, one.port)).collect();
        assert_eq!(all, ["a 9092", "b 1", "c 2", "::1 3", "::2 9092", "fe80::3 9092", "1.2.3.4 5"]);
        for wrong in ["", " , ", ":1", "a:b", "a:99999", "[::1", "[::1]x"] {
            assert!(bootstrap(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_user_s_settings_win() {
        let ours = network(&settings(&[("client.id", "x"), ("metadata.max.age.ms", "7")])).unwrap();
        assert_eq!((&*ours.connection.client_id, ours.refresh.age_us), ("x", 7_000));
        let writer = WriterSettings {
            linger: Duration::from_millis(5),
            batch_max_bytes: 1_000,
            max_buffered_records: 9,
            compression: Compression::None,
            transactions: None,
        };
        let most = |value| sink(&settings(&[("max.in.flight", value)]), &writer);
        assert_eq!((most("5").unwrap().requests_in_flight, most("0").unwrap().requests_in_flight), (5, 1));
        assert!(most("many").is_err());
        assert_eq!(sink(&settings(&[]), &writer).unwrap().linger_us, 5_000);
        let packing = WriterSettings { compression: Compression::Gzip, ..writer };
        let packing = sink(&settings(&[]), &packing).unwrap();
        assert_eq!((packing.codec, packing.request_most_bytes), (Codec::Gzip, PACKED_MOST_BYTES));
    }

    #[test]
    fn the_user_s_settings_for_readers_win() {
        let given = [("fetch.wait.max.ms", "0"), ("max.partition.fetch.bytes", "77"), ("client.id", "x")];
        let reader = ReaderSettings::here_and_there(Isolation::ReadCommitted);
        let ours = consumer(&settings(&given), &reader).unwrap();
        assert_eq!((ours.source.max_wait_ms, ours.source.partition_max_bytes), (1, 77), "it has to wait");
        assert_eq!(&*ours.network.connection.client_id, "x");
        assert!(ours.source.read_committed);
        assert_eq!(ours.source.step_records, usize::MAX);
        let paced = consumer(&settings(&[]), &ReaderSettings { paced: true, ..reader }).unwrap();
        assert_eq!(paced.source.step_records, PACED_RECORDS);
        assert!(consumer(&settings(&[("fetch.min.bytes", "many")]), &reader).is_err());
    }

    #[test]
    fn what_our_client_lacks_is_named() {
        assert_eq!(lacks(&settings(&[("fetch.min.bytes", "1")])), None);
        assert_eq!(
            lacks(&settings(&[("fetch.min.bytes", "1"), ("check.crcs", "false")])),
            Some("check.crcs")
        );
        assert_eq!(
            lacks(&settings(&[("ssl.ca.location", "x"), ("ssl.crl.location", "x")])),
            Some("ssl.crl.location")
        );
    }
}
