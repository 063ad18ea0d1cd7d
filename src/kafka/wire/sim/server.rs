//! The cluster: nodes, connections, time, and who answers what.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::{
    messages::{ApiKey, RequestHeader, ResponseHeader},
    protocol::{Decodable, Encodable},
};

use super::{
    Flavour,
    acks::Acks,
    coordinator::Coordinator,
    fetching::Wanted,
    groups::Groups,
    logins::{Admitted, Session},
    quirks::Quirks,
    sessions::Sessions,
    throttle::Throttle,
    topic::{Partition, Settings, Topic},
    versions,
};
use crate::kafka::wire::protocol::TopicId;

/// `socket.request.max.bytes`.
const LONGEST_FRAME: usize = 100 << 20;
/// So long after a node has hung is read what a client had sent that is gone, as if a network had held it back.
const READ_LATE_US: u64 = 300_000;
const COMPACTED_EACH_US: u64 = 1_000_000;

/// A connection to a node.
#[derive(Debug)]
struct Connection {
    node: i32,
    input: Vec<u8>,
    output: Vec<u8>,
    is_closed: bool,
    /// The client is gone.
    is_left: bool,
    /// What is not answered yet: nothing else is read meanwhile.
    waiting: Option<Waiting>,
    /// Nothing is read before.
    muted_until_us: u64,
    session: Session,
}

/// A request that is answered when there is something, or when its time is up.
#[derive(Debug)]
struct Waiting {
    head: Head,
    awaited: Awaited,
    until_us: u64,
}

/// What it waits for.
#[derive(Debug)]
pub(super) enum Awaited {
    /// Something to read.
    Records(Wanted),
    /// Replicas.
    Acks(Acks),
}

/// What is known of a request whatever it asks.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: String,
    /// The node that is asked.
    pub node: i32,
}

/// What becomes of a request.
pub(super) enum Outcome {
    /// An answer, and how long nothing more is read, ms.
    Answer(Vec<u8>, u32),
    /// None, and none is expected.
    Silence,
    /// The connection is ended.
    Close,
    /// It is answered later.
    Wait(Awaited, u64),
}

/// A rule that the cluster breaks, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Canary {
    /// What is sent again is written again.
    ForgetsProducers,
    /// Some batches are acknowledged, and not written.
    AcksInVain,
    /// Whoever leads anew has lost the last batch.
    LosesTheLast,
    /// A read leaves a batch out.
    HidesABatch,
}

impl Canary {
    pub(super) const ALL: [Self; 4] =
        [Self::ForgetsProducers, Self::AcksInVain, Self::LosesTheLast, Self::HidesABatch];
}

/// A request that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable;

/// The cluster.
#[derive(Debug)]
pub(super) struct Server {
    pub flavour: Flavour,
    pub nodes: i32,
    /// Where they listen on this machine, if they do.
    pub ports: Vec<u16>,
    pub topics: BTreeMap<String, Topic>,
    /// The coordinator of transactions.
    pub coordinator: Coordinator,
    pub groups: Groups,
    pub sessions: Sessions,
    pub throttle: Throttle,
    connections: BTreeMap<u64, Connection>,
    down: BTreeSet<i32>,
    frozen: BTreeSet<i32>,
    /// Nobody asks without a name, and so long it is good for, ms; `Some(0)`: for ever.
    pub session_ms: Option<u64>,
    /// What goes wrong now and then, and passes.
    pub quirks: Quirks,
    /// Whether it says what happens.
    pub tells: bool,
    /// How often a node did not hear of the others.
    pub isolations: usize,
    /// The largest Produce with more than one batch, in bytes.
    pub largest_produce: usize,
    /// Connections that it ended because a session was over.
    pub expired: usize,
    /// Requests that it did not understand.
    pub refused: usize,
    /// Batches that it had already.
    pub duplicates: usize,
    /// Numbers that were refused, as ones that do not follow, by a log that had them.
    pub said_again: BTreeSet<u64>,
    /// Questions that were asked again in a hurry, for places that a leader does not know to be committed.
    pub hurried: usize,
    /// When such a place was last asked for: by whom, of which partition, and which.
    pub asked_ahead: BTreeMap<(String, i32, i64), u64>,
    pub canary: Option<Canary>,
    next_connection: u64,
    next_topic: u64,
    now_us: u64,
    compacted_us: u64,
    began_ms: i64,
}

impl Server {
    /// So many nodes, numbered from 0 on; `began_ms` is the time of day at which it begins, ms since 1970.
    pub(super) fn new(flavour: Flavour, nodes: i32, began_ms: i64) -> Self {
        Self {
            flavour,
            nodes,
            ports: Vec::new(),
            topics: BTreeMap::new(),
            coordinator: Coordinator::default(),
            groups: Groups::default(),
            sessions: Sessions::default(),
            throttle: Throttle::default(),
            connections: BTreeMap::new(),
            down: BTreeSet::new(),
            frozen: BTreeSet::new(),
            session_ms: None,
            quirks: Quirks::default(),
            tells: false,
            isolations: 0,
            largest_produce: 0,
            expired: 0,
            refused: 0,
            duplicates: 0,
            said_again: BTreeSet::new(),
            hurried: 0,
            asked_ahead: BTreeMap::new(),
            canary: None,
            next_connection: 0,
            next_topic: 0,
            now_us: 0,
            compacted_us: 0,
            began_ms,
        }
    }

    pub(super) fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Says what happens, where somebody wants to know.
    pub(super) fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("{:>12.6} s  {}", self.now_us as f64 / 1e6, what());
        }
    }

    /// The time of day, ms since 1970.
    pub(super) fn wall_ms(&self) -> i64 {
        self.began_ms + i64::try_from(self.now_us / 1_000).unwrap_or(i64::MAX)
    }

    /// A new connection to a node.
    pub(super) fn connect(&mut self, node: i32) -> u64 {
        self.next_connection += 1;
        let connection = Connection {
            node,
            input: Vec::new(),
            output: Vec::new(),
            is_closed: false,
            is_left: false,
            waiting: None,
            muted_until_us: 0,
            session: Session::Unknown,
        };
        self.connections.insert(self.next_connection, connection);
        self.next_connection
    }

    /// One, if the node is there.
    pub(super) fn connect_if_up(&mut self, node: i32) -> Option<u64> {
        let is_up = (0..self.nodes).contains(&node) && !self.down.contains(&node);
        is_up.then(|| self.connect(node))
    }

    /// The client is gone. A node that hangs reads later what it has received.
    pub(super) fn hang_up(&mut self, connection: u64) {
        let is_read_later = |one: &Connection| self.frozen.contains(&one.node) && !one.is_closed;
        match self.connections.get_mut(&connection).filter(|one| is_read_later(one)) {
            Some(connection) => connection.is_left = true,
            None => drop(self.connections.remove(&connection)),
        }
    }

    /// Whether a node is there, and at work.
    pub(super) fn is_able(&self, node: i32) -> bool {
        node >= 0 && self.is_up(node) && !self.frozen.contains(&node)
    }

    /// Whether a node is there.
    pub(super) fn is_up(&self, node: i32) -> bool {
        !self.down.contains(&node)
    }

    /// A node dies: others lead what it led.
    pub(super) fn stop_node(&mut self, node: i32) {
        self.down.insert(node);
        self.connections.values_mut().filter(|one| one.node == node).for_each(|one| one.is_closed = true);
        let canary = self.canary;
        let all = self.topics.values_mut().flat_map(|topic| &mut topic.partitions);
        all.for_each(|partition| partition.lose(node, canary == Some(Canary::LosesTheLast)));
    }

    /// It comes back, and catches up.
    pub(super) fn start_node(&mut self, node: i32) {
        self.down.remove(&node);
        let all = self.topics.values_mut().flat_map(|topic| &mut topic.partitions);
        all.for_each(|partition| partition.regain(node));
    }

    /// A node hangs: what it is sent waits.
    pub(super) fn freeze_node(&mut self, node: i32) {
        self.frozen.insert(node);
    }

    /// It goes on, and is told who leads.
    pub(super) fn thaw_node(&mut self, node: i32) {
        self.frozen.remove(&node);
        let left = self.connections.values_mut().filter(|one| one.node == node && one.is_left);
        left.for_each(|one| one.muted_until_us = self.now_us + READ_LATE_US);
        let all = self.topics.values_mut().flat_map(|topic| &mut topic.partitions);
        all.filter(|partition| !partition.in_sync.contains(&node))
            .for_each(|partition| partition.regain(node));
        self.work();
    }

    /// How often leaders of a topic's partitions have changed.
    pub(super) fn elections(&self, topic: &str) -> i32 {
        self.topics
            .get(topic)
            .map_or(0, |topic| topic.partitions.iter().map(|partition| partition.epoch).sum())
    }

    /// The number at a place of a partition's log.
    pub(super) fn value_at(&mut self, topic: &str, partition: i32, offset: i64) -> Option<u64> {
        self.partition(topic, partition)?.past.at(offset)
    }

    /// Until when a connection is not read, µs.
    pub(super) fn muted_until_us(&self, connection: u64) -> u64 {
        self.connections.get(&connection).map_or(0, |connection| connection.muted_until_us)
    }

    /// Bytes of a client's.
    pub(super) fn receive(&mut self, connection: u64, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.input.extend_from_slice(bytes);
        }
        self.work();
    }

    /// Bytes for a client, as many as there are.
    pub(super) fn output(&mut self, connection: u64) -> Vec<u8> {
        let connection = self.connections.get_mut(&connection);
        connection.map(|connection| std::mem::take(&mut connection.output)).unwrap_or_default()
    }

    /// Whether it has ended a connection.
    pub(super) fn has_closed(&self, connection: u64) -> bool {
        self.connections.get(&connection).is_none_or(|connection| connection.is_closed)
    }

    /// When something is due, µs.
    pub(super) fn next_deadline_us(&self) -> Option<u64> {
        let own = self.connections.values().flat_map(|connection| {
            let waits = connection.waiting.as_ref().map(|waiting| waiting.until_us);
            let muted = (!connection.input.is_empty()).then_some(connection.muted_until_us);
            [waits, muted]
        });
        let all = own.flatten().chain(self.coordinator.next_deadline_us());
        all.filter(|due| *due > self.now_us).min()
    }

    /// Time goes on.
    pub(super) fn advance_to(&mut self, now_us: u64) {
        self.now_us = self.now_us.max(now_us);
        for marker in self.coordinator.due(self.now_us) {
            self.write_markers(&marker);
        }
        if self.now_us - self.compacted_us >= COMPACTED_EACH_US {
            self.compacted_us = self.now_us;
            self.compact();
        }
        self.work();
    }

    fn compact(&mut self) {
        for topic in self.topics.values_mut().filter(|topic| topic.settings.is_compacted) {
            let replicas = topic.partitions.iter_mut().flat_map(|one| one.replicas.values_mut());
            replicas.for_each(|replica| replica.log.compact());
        }
    }

    /// Makes a topic; its leaders are spread over the nodes.
    pub(super) fn make_topic(&mut self, name: &str, partitions: i32, replicas: i32, settings: Settings) {
        self.next_topic += 1;
        let mut id: TopicId = [0x51; 16];
        id[8..].copy_from_slice(&self.next_topic.to_be_bytes());
        let partition = |index: i32| {
            let nodes: Vec<_> = (0..replicas).map(|replica| (index + replica) % self.nodes).collect();
            Partition::new(&nodes)
        };
        let partitions = (0..partitions).map(partition).collect();
        let topic = Topic { name: name.to_owned(), id, settings, partitions };
        self.topics.insert(name.to_owned(), topic);
    }

    /// A topic by its id.
    pub(super) fn topic_of(&self, id: &TopicId) -> Option<&Topic> {
        self.topics.values().find(|topic| topic.id == *id)
    }

    /// A partition by its topic's name.
    pub(super) fn partition(&mut self, topic: &str, partition: i32) -> Option<&mut Partition> {
        let topic = self.topics.get_mut(topic)?;
        topic.partitions.get_mut(usize::try_from(partition).ok()?)
    }

    /// Reads and answers all that can be.
    pub(super) fn work(&mut self) {
        loop {
            let pending =
                self.connections.iter().filter(|(_, one)| one.waiting.is_some() || !one.input.is_empty());
            let pending: Vec<u64> = pending.map(|(id, _)| *id).collect();
            let busy = pending.into_iter().filter(|connection| self.step(*connection)).count();
            if busy == 0 {
                return;
            }
        }
    }

    /// Whether a connection has got on.
    fn step(&mut self, id: u64) -> bool {
        let now_us = self.now_us;
        let is_able = |one: &&mut Connection| !one.is_closed && !self.frozen.contains(&one.node);
        let Some(connection) = self.connections.get_mut(&id).filter(is_able) else { return false };
        if let Some(waiting) = connection.waiting.take() {
            return self.look_again(id, waiting);
        }
        if connection.muted_until_us > now_us {
            return false;
        }
        let Some(frame) = take_frame(&mut connection.input) else {
            connection.is_closed = true;
            return true;
        };
        if frame.is_empty() {
            return false;
        }
        let (node, session) = (connection.node, connection.session);
        let head = head_of(&frame, node);
        let admitted = head.as_ref().map_or(Admitted::No, |(head, _)| self.admits(head, session));
        let outcome = match &head {
            Some((head, body)) if admitted == Admitted::Yes => self.serve(id, head, body),
            _ => Ok(Outcome::Close),
        };
        let outcome = outcome.unwrap_or(Outcome::Close);
        self.tell(|| told(head.as_ref().map(|(head, _)| head), &outcome));
        let Some(connection) = self.connections.get_mut(&id) else { return true };
        match (outcome, head) {
            (Outcome::Answer(answer, muted_ms), _) => {
                connection.output.extend(answer);
                connection.muted_until_us = now_us + u64::from(muted_ms) * 1_000;
            }
            (Outcome::Wait(awaited, until_us), Some((head, _))) => {
                connection.waiting = Some(Waiting { head, awaited, until_us });
            }
            (Outcome::Silence, _) => {}
            (Outcome::Close | Outcome::Wait(..), _) => {
                connection.is_closed = true;
                let is_expired = admitted == Admitted::Expired;
                self.expired += usize::from(is_expired);
                self.refused += usize::from(!is_expired);
            }
        }
        true
    }

    fn admits(&self, head: &Head, session: Session) -> Admitted {
        if self.session_ms.is_some() { session.admits(head.api, self.now_us) } else { Admitted::Yes }
    }

    fn look_again(&mut self, id: u64, mut waiting: Waiting) -> bool {
        let is_over = waiting.until_us <= self.now_us;
        let (answer, muted_ms) = match &mut waiting.awaited {
            Awaited::Records(wanted) => (self.fetch_now(&waiting.head, wanted, is_over), 0),
            Awaited::Acks(acks) => {
                let muted_ms = acks.muted_ms;
                (self.acked_now(&waiting.head, acks, is_over), muted_ms)
            }
        };
        let now_us = self.now_us;
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        let is_answered = answer.is_some();
        match answer {
            Some(answer) => {
                connection.output.extend(answer);
                connection.muted_until_us = now_us + u64::from(muted_ms) * 1_000;
            }
            None => connection.waiting = Some(waiting),
        }
        is_answered
    }

    fn in_session(&mut self, id: u64, session: Session, outcome: Outcome) -> Outcome {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.session = session;
        }
        outcome
    }

    fn serve(&mut self, id: u64, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let range = versions::range(self.flavour, head.api);
        let is_known = range.is_some_and(|(first, last)| (first..=last).contains(&head.version));
        if head.api == ApiKey::ApiVersions {
            return self.api_versions(head, body, is_known);
        }
        if !is_known || versions::is_only_told(self.flavour, head.api, head.version) {
            return Ok(Outcome::Close);
        }
        match head.api {
            ApiKey::Produce => self.produce(head, body),
            ApiKey::Fetch => self.fetch(head, body),
            ApiKey::ListOffsets => self.list_offsets(head, body),
            ApiKey::OffsetForLeaderEpoch => self.epoch_ends(head, body),
            ApiKey::Metadata => self.metadata(head, body),
            ApiKey::FindCoordinator => self.find_coordinator(head, body),
            ApiKey::OffsetFetch => self.offset_fetch(head, body),
            ApiKey::CreateTopics => self.create_topics(head, body),
            ApiKey::InitProducerId => self.init_producer_id(head, body),
            ApiKey::AddPartitionsToTxn => self.add_partitions(head, body),
            ApiKey::EndTxn => self.end_txn(head, body),
            ApiKey::SaslHandshake => {
                let (outcome, session) = Self::sasl_handshake(head, body)?;
                Ok(self.in_session(id, session, outcome))
            }
            ApiKey::SaslAuthenticate => {
                let (outcome, session) = self.sasl_authenticate(head, body)?;
                Ok(self.in_session(id, session, outcome))
            }
            _ => Ok(Outcome::Close),
        }
    }
}

/// What is said of a request.
fn told(head: Option<&Head>, outcome: &Outcome) -> String {
    let Some(Head { api, version, client_id, node, .. }) = head else { return "not a request".to_owned() };
    let what = match outcome {
        Outcome::Answer(answer, 0) => format!("{} B", answer.len()),
        Outcome::Answer(answer, muted_ms) => format!("{} B, and mute for {muted_ms} ms", answer.len()),
        Outcome::Silence => "no answer".to_owned(),
        Outcome::Close => "the connection is closed".to_owned(),
        Outcome::Wait(..) => "waits".to_owned(),
    };
    format!("{client_id} asks node {node}: {api:?} v{version}: {what}")
}

/// The next frame, without its length; empty: it is not there as a whole. `None`: there cannot be one.
fn take_frame(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let Some((length, _)) = input.split_first_chunk::<4>() else { return Some(Vec::new()) };
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    if length == 0 || length > LONGEST_FRAME {
        return None;
    }
    if input.len() < 4 + length {
        return Some(Vec::new());
    }
    let frame = input[4..4 + length].to_vec();
    input.drain(..4 + length);
    Some(frame)
}

fn head_of(frame: &[u8], node: i32) -> Option<(Head, Vec<u8>)> {
    let (front, _) = frame.split_first_chunk::<4>()?;
    let [key, version] = [[front[0], front[1]], [front[2], front[3]]].map(i16::from_be_bytes);
    let api = ApiKey::try_from(key).ok()?;
    // One that is not known is read as the first one, as far as its head goes.
    let is_known = versions::range(Flavour::Kafka41, api).is_some_and(|(_, last)| version <= last);
    let form = if is_known { version.max(0) } else { 0 };
    let mut rest = frame;
    let header = RequestHeader::decode(&mut rest, api.request_header_version(form)).ok()?;
    let client_id = header.client_id.map(|id| id.to_string()).unwrap_or_default();
    Some((Head { api, version, correlation_id: header.correlation_id, client_id, node }, rest.to_vec()))
}

/// A request's fields. What stands behind the last of them is nobody's business.
pub(super) fn read<Q: Decodable>(head: &Head, mut body: &[u8]) -> Result<Q, Unreadable> {
    Q::decode(&mut body, head.version).map_err(|_| Unreadable)
}

/// An answer's frame.
pub(super) fn written<A: Encodable>(head: &Head, answer: &A) -> Vec<u8> {
    written_as(head, head.version, answer)
}

/// An answer's frame in the form of this version.
pub(super) fn written_as<A: Encodable>(head: &Head, version: i16, answer: &A) -> Vec<u8> {
    let mut frame = vec![0; 4];
    let header = ResponseHeader::default().with_correlation_id(head.correlation_id);
    let result = header
        .encode(&mut frame, head.api.response_header_version(version))
        .and_then(|()| answer.encode(&mut frame, version));
    assert!(result.is_ok(), "{:?} {version}: {result:?}", head.api);
    let length = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// An answer that is there at once.
pub(super) fn answered<A: Encodable>(head: &Head, answer: &A) -> Outcome {
    Outcome::Answer(written(head, answer), 0)
}
