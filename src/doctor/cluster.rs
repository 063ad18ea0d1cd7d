//! What a run needs of a cluster: brokers that can be reached, and a topic that it may use.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use super::finding::Finding;
use crate::{
    config::{ClientKind, CommonConfig},
    findings::complaints,
    human::count,
    kafka::{BrokerStates, ClientSettings, Described, KafkaError, Observer, named, wire},
    runtime::cores::topology::Topology,
};

/// How long one address has to take a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long the cluster has to say what it is like.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Operations on a topic that a run needs, by their number in ACLs.
const NEEDED_RIGHTS: [(u32, &str, &str); 3] = [
    (3, "READ", "readers need it"),
    (4, "WRITE", "producers need it"),
    (8, "DESCRIBE", "everybody needs it"),
];

/// Looks at the brokers of a list and the topic, if one is named; tells each finding as it comes. `can_run`: executors can.
pub(super) fn look(
    list: &str,
    topic: Option<&str>,
    common: &CommonConfig,
    can_run: bool,
    tell: &mut impl FnMut(Finding),
) {
    let mut is_reached = false;
    for address in list.split(',') {
        let connected = connect(address);
        is_reached |= connected.is_ok();
        tell(broker(address, connected));
    }
    if !is_reached {
        return;
    }
    let (brokers, topic_found) = match describe(list, topic, common, can_run) {
        Ok(described) => described,
        Err(why) => return tell(Finding::bad("cluster", why)),
    };
    let others = brokers.iter().filter(|address| !list.split(',').any(|listed| listed == *address));
    for address in others {
        tell(advertised(address, connect(address)));
    }
    tell(Finding::good("cluster", format!("{} let us in", count(brokers.len(), "broker"))));
    if let (Some(topic), Some(found)) = (topic, topic_found) {
        self::topic(topic, &found, common.new_topic.is_some()).into_iter().for_each(tell);
    }
}

/// Whether a connection is taken.
fn connect(address: &str) -> io::Result<()> {
    let place = wire::settings::address(address).map_err(|error| io::Error::other(error.to_string()))?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let resolved = (&*place.host, place.port)
        .to_socket_addrs()
        .map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
    for address in resolved {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn why_not(error: &io::Error) -> (String, &'static str) {
    match error.kind() {
        io::ErrorKind::NotFound => (format!("the name does not resolve ({error})"), "check it, and the DNS"),
        io::ErrorKind::ConnectionRefused => {
            ("nobody listens there".to_owned(), "start the broker, or check the port")
        }
        io::ErrorKind::TimedOut => {
            (format!("no answer within {CONNECT_LIMIT:?}"), "check the route, and the firewalls on it")
        }
        _ => (error.to_string(), "check the network"),
    }
}

/// An address of the list that the user has given.
fn broker(address: &str, connected: io::Result<()>) -> Finding {
    match connected {
        Ok(()) => Finding::good("broker", format!("{address} takes connections")),
        Err(error) => {
            let (what, change) = why_not(&error);
            Finding::bad("broker", format!("{address}: {what}: {change}"))
        }
    }
}

/// An address that the cluster names: every client is sent there.
fn advertised(address: &str, connected: io::Result<()>) -> Finding {
    match connected {
        Ok(()) => Finding::good("broker", format!("{address}, as the cluster calls it, takes connections")),
        Err(error) => {
            let (what, change) = why_not(&error);
            let listeners = "or correct the broker's advertised.listeners, by which it calls itself so";
            Finding::bad("broker", format!("{address}: {what}: {change}, {listeners}"))
        }
    }
}

type Answer = (Vec<String>, Option<Result<Described, KafkaError>>);

/// The brokers, and what they say of the topic.
fn describe(list: &str, topic: Option<&str>, common: &CommonConfig, can_run: bool) -> Result<Answer, String> {
    let topology = Topology::detect().map_err(|error| error.to_string())?;
    let client = ClientSettings::new(common, list);
    // Our own client needs an executor.
    let kind = if can_run { common.client.kind } else { ClientKind::Librdkafka };
    let observer = Observer::start(&client, &topology.allowed, kind).map_err(|error| error.to_string())?;
    let until = Instant::now() + ANSWER_LIMIT;
    let mut states = BrokerStates::default();
    loop {
        let described = observer.described(None);
        if let Ok(cluster) = &described
            && !cluster.brokers.is_empty()
        {
            let brokers = cluster.brokers.iter().map(|broker| broker.address.clone()).collect();
            return Ok((brokers, topic.map(|topic| ask_again(|| observer.described(Some(topic)), until))));
        }
        if let Some(refusal) = observer.look(&mut states).refusals.into_iter().next() {
            return Err(refusal.to_string());
        }
        if Instant::now() >= until {
            let complaint = complaints().latest().map_or_else(
                || "check --enable-tls and the port: is it a listener for clients?".to_owned(),
                |complaint| complaint.to_string(),
            );
            return Err(format!("connected, but no answer within {ANSWER_LIMIT:?}: {complaint}"));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Asks until there is an answer that does not pass by itself.
fn ask_again(
    ask: impl Fn() -> Result<Described, KafkaError>,
    until: Instant,
) -> Result<Described, KafkaError> {
    loop {
        let answer = ask();
        let is_final =
            answer.as_ref().err().is_none_or(|error| error.is_unknown_topic() || error.is_denied());
        if is_final || Instant::now() >= until {
            return answer;
        }
        std::thread::sleep(PAUSE);
    }
}

/// What was said of a topic, which a run may create.
fn topic(name: &str, described: &Result<Described, KafkaError>, may_create: bool) -> Vec<Finding> {
    match described {
        Ok(described) => vec![shape(name, described), rights(name, described.rights)],
        Err(error) if error.is_unknown_topic() && may_create => vec![Finding::good(
            "topic",
            format!("{name} is not there, or may not be seen: a run with --create-topic creates it"),
        )],
        Err(error) if error.is_unknown_topic() => vec![Finding::bad(
            "topic",
            format!(
                "{name} is not there, or may not be seen: create it, run with --create-topic, or allow DESCRIBE"
            ),
        )],
        Err(error) => vec![Finding::bad("topic", format!("{name}: {error}"))],
    }
}

fn shape(name: &str, described: &Described) -> Finding {
    let partitions = &described.partitions;
    let leaderless: Vec<i32> =
        partitions.iter().filter(|partition| partition.leader < 0).map(|partition| partition.id).collect();
    let copies = partitions.iter().map(|partition| partition.replicas.len()).min().unwrap_or(0);
    let words = format!("{name}: {} on {}", count(partitions.len(), "partition"), count(copies, "replica"));
    if !leaderless.is_empty() {
        let who = named("partition", leaderless);
        return Finding::bad("topic", format!("{name}: no leader of {who}: start the brokers that hold it"));
    }
    if copies < 2 {
        let change = "what it loses with a broker is lost: use --replication-factor 3 where that matters";
        return Finding::doubtful("topic", format!("{words}; {change}"));
    }
    Finding::good("topic", words)
}

fn rights(name: &str, rights: Option<u32>) -> Finding {
    let Some(rights) = rights else {
        return Finding::doubtful(
            "permissions",
            format!("the brokers do not say what we may do with {name}"),
        );
    };
    let lacking = NEEDED_RIGHTS.iter().filter(|(number, ..)| rights & (1 << number) == 0);
    let lacking: Vec<_> = lacking.map(|(_, name, why)| format!("{name} ({why})")).collect();
    if lacking.is_empty() {
        return Finding::good("permissions", format!("we may read and write {name}"));
    }
    let lacking = lacking.join(", ");
    let change = "allow it (kafka-acls), or use another --username";
    Finding::bad("permissions", format!("we lack {lacking} on {name}: {change}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::{doctor::finding::Health, kafka::DescribedPartition};

    #[test]
    fn who_cannot_be_reached_is_told_why() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(broker(&address, connect(&address)).health, Health::Good);
        drop(listener);
        let finding = broker(&address, connect(&address));
        assert_eq!(
            finding.to_string(),
            format!(
                "FAIL  broker        {address}: nobody listens there: start the broker, or check the port"
            )
        );
        let finding = broker("no-such-host.invalid:1", connect("no-such-host.invalid:1"));
        assert!(finding.to_string().contains("does not resolve"), "{finding}");
        let late = || Err(io::ErrorKind::TimedOut.into());
        assert!(broker("b:1", late()).to_string().contains("firewalls"));
        assert!(advertised("b:1", late()).to_string().contains("advertised.listeners"));
    }

    fn described(leaders: &[i32], copies: usize) -> Described {
        let partition =
            |(id, leader): (i32, &i32)| DescribedPartition { id, leader: *leader, replicas: vec![0; copies] };
        Described { partitions: (0..).zip(leaders).map(partition).collect(), ..Described::default() }
    }

    #[test]
    fn topics_without_leaders_or_copies_are_named() {
        assert_eq!(
            shape("t", &described(&[0, 1], 3)).to_string(),
            "ok    topic         t: 2 partitions on 3 replicas"
        );
        assert_eq!(shape("t", &described(&[0], 1)).health, Health::Doubtful);
        let finding = shape("t", &described(&[0, -1, -1], 3));
        assert_eq!(finding.health, Health::Bad);
        assert!(finding.to_string().contains("partitions 1 and 2"), "{finding}");
        let missing = topic("t", &Err(KafkaError::unknown_topic()), false);
        assert!(missing[0].to_string().contains("--create-topic"), "{missing:?}");
        assert_eq!(missing[0].health, Health::Bad);
        let wanted = topic("t", &Err(KafkaError::unknown_topic()), true);
        assert_eq!(wanted[0].health, Health::Good, "{wanted:?}");
    }

    #[test]
    fn rights_that_lack_are_named() {
        let bits = |numbers: &[u32]| Some(numbers.iter().fold(0, |bits, number| bits | 1 << number));
        assert_eq!(rights("t", bits(&[3, 4, 8, 10])).health, Health::Good);
        let finding = rights("t", bits(&[3, 8]));
        assert_eq!(finding.health, Health::Bad);
        assert!(finding.to_string().contains("we lack WRITE (producers need it) on t"), "{finding}");
        assert_eq!(rights("t", None).health, Health::Doubtful);
    }
}
