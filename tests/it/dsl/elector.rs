//! Leaders that move although no broker is ever down: each partition's list of replicas is permuted, and its preferred
//! leader elected, again and again. Or its replicas move to other brokers, where nobody elects a leader on demand.

use std::{
    io::{self, ErrorKind, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use kafka_protocol::{
    messages::{
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey, BrokerId,
        ElectLeadersRequest, ElectLeadersResponse, RequestHeader, ResponseHeader, TopicName,
        alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
        elect_leaders_request::TopicPartitions,
    },
    protocol::{Decodable, Encodable, StrBytes},
};
use proofload::inside::record::Random;

use super::protocol;

/// The last versions of both requests that Kafka 4.1 takes.
const REASSIGN: (ApiKey, i16) = (ApiKey::AlterPartitionReassignments, 0);
const ELECT: (ApiKey, i16) = (ApiKey::ElectLeaders, 2);
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// The leader that stands first in the list of replicas.
const PREFERRED: i8 = 0;

/// A topic whose leaders move.
#[derive(Clone, Debug)]
pub struct Moved {
    pub topic: String,
    pub partitions: usize,
    /// Its leaders move in each so many-th round.
    pub every: u64,
}

/// Moves leaders until it is told to stop, or dropped.
pub struct Elector {
    stopping: Arc<AtomicBool>,
    elections: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Elector {
    /// Has the leaders of these topics move at this pace; each of them has all `nodes` for replicas.
    pub fn start(bootstrap: &str, nodes: usize, topics: Vec<Moved>, pause: Duration) -> Self {
        let nodes: Vec<_> = (0..).take(nodes).collect();
        Self::start_with(bootstrap, (&nodes, nodes.len(), true), topics, pause)
    }

    /// Has the replicas of these topics move among these nodes at this pace: each of them is on all but one. Counts replicas.
    pub fn moving_replicas(bootstrap: &str, nodes: &[i32], topics: Vec<Moved>, pause: Duration) -> Self {
        Self::start_with(bootstrap, (nodes, nodes.len() - 1, false), topics, pause)
    }

    fn start_with(
        bootstrap: &str,
        (nodes, replicas, elects): (&[i32], usize, bool),
        topics: Vec<Moved>,
        pause: Duration,
    ) -> Self {
        let (stopping, elections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut mover = Mover {
            addresses: bootstrap.split(',').map(str::to_owned).collect(),
            nodes: nodes.to_vec(),
            replicas,
            elects,
            topics,
            random: Random::from_seed(7),
            correlation: 0,
            connection: None,
        };
        let (stop, count) = (stopping.clone(), elections.clone());
        let thread = thread::spawn(move || {
            for round in 0_u64.. {
                if stop.load(Relaxed) {
                    return;
                }
                let began = Instant::now();
                match mover.round(round) {
                    Ok(elected) => _ = count.fetch_add(elected, Relaxed),
                    Err(error) => {
                        eprintln!("leaders did not move: {error}");
                        mover.connection = None;
                    }
                }
                thread::sleep(pause.saturating_sub(began.elapsed()));
            }
        });
        Self { stopping, elections, thread: Some(thread) }
    }

    /// Leaders that were elected so far.
    pub fn elections(&self) -> u64 {
        self.elections.load(Relaxed)
    }

    pub fn stop(mut self) -> u64 {
        self.end();
        self.elections()
    }

    fn end(&mut self) {
        self.stopping.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Elector {
    fn drop(&mut self) {
        self.end();
    }
}

struct Mover {
    addresses: Vec<String>,
    nodes: Vec<i32>,
    /// Of each partition.
    replicas: usize,
    /// The first of them is elected.
    elects: bool,
    topics: Vec<Moved>,
    random: Random,
    correlation: i32,
    connection: Option<TcpStream>,
}

impl Mover {
    /// Returns how many leaders were elected.
    fn round(&mut self, round: u64) -> io::Result<u64> {
        let due: Vec<Moved> =
            self.topics.iter().filter(|topic| round.is_multiple_of(topic.every)).cloned().collect();
        let permuted = due.iter().map(|topic| self.permuted(topic)).collect();
        let request =
            AlterPartitionReassignmentsRequest::default().with_timeout_ms(5_000).with_topics(permuted);
        let answer: AlterPartitionReassignmentsResponse = self.ask(REASSIGN, &request)?;
        if answer.error_code != 0 {
            return Err(refused("AlterPartitionReassignments", answer.error_code));
        }
        if !self.elects {
            let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
            return Ok(partitions.filter(|partition| partition.error_code == 0).count() as u64);
        }
        let topics = due.iter().map(|topic| {
            TopicPartitions::default().with_topic(name(topic)).with_partitions(ids(topic).collect())
        });
        let request = ElectLeadersRequest::default()
            .with_election_type(PREFERRED)
            .with_topic_partitions(Some(topics.collect()))
            .with_timeout_ms(5_000);
        let answer: ElectLeadersResponse = self.ask(ELECT, &request)?;
        if answer.error_code != 0 {
            return Err(refused("ElectLeaders", answer.error_code));
        }
        let results = answer.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        // The others were led by the right one already, or it is not in sync.
        Ok(results.filter(|result| result.error_code == 0).count() as u64)
    }

    fn permuted(&mut self, topic: &Moved) -> ReassignableTopic {
        let partitions = ids(topic).map(|id| {
            let (nodes, random) = (&mut self.nodes, &mut self.random);
            (1..nodes.len()).rev().for_each(|last| nodes.swap(last, random.index(last + 1)));
            let replicas = nodes.iter().copied().take(self.replicas).map(BrokerId).collect();
            ReassignablePartition::default().with_partition_index(id).with_replicas(Some(replicas))
        });
        let partitions = partitions.collect();
        ReassignableTopic::default().with_name(name(topic)).with_partitions(partitions)
    }

    fn ask<Q: Encodable, A: Decodable>(
        &mut self,
        (api, version): (ApiKey, i16),
        request: &Q,
    ) -> io::Result<A> {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("elector")));
        let mut bytes = vec![0; 4];
        let strange = |error: &dyn std::fmt::Display| {
            io::Error::new(ErrorKind::InvalidData, format!("{api:?}: {error}"))
        };
        header
            .encode(&mut bytes, api.request_header_version(version))
            .and_then(|()| request.encode(&mut bytes, version))
            .map_err(|error| strange(&error))?;
        let size = u32::try_from(bytes.len() - 4).map_err(|error| strange(&error))?;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        let connection = self.connection()?;
        connection.write_all(&bytes)?;
        let answer = protocol::read(connection)?;
        let mut rest = &answer[..];
        ResponseHeader::decode(&mut rest, api.response_header_version(version))
            .and_then(|_| A::decode(&mut rest, version))
            .map_err(|error| strange(&error))
    }

    fn connection(&mut self) -> io::Result<&mut TcpStream> {
        if self.connection.is_none() {
            // Another one each time: the last may be the one that does not answer.
            self.addresses.rotate_left(1);
            let connection = TcpStream::connect(&self.addresses[0])?;
            connection.set_read_timeout(Some(REQUEST_LIMIT))?;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or_else(|| io::Error::other("no connection"))
    }
}

fn name(topic: &Moved) -> TopicName {
    TopicName(StrBytes::from_string(topic.topic.clone()))
}

fn ids(topic: &Moved) -> impl Iterator<Item = i32> + use<> {
    (0..).take(topic.partitions)
}

fn refused(what: &str, code: i16) -> io::Error {
    io::Error::other(format!("{what} was refused with error {code}"))
}
