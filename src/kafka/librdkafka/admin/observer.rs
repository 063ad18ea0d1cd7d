//! A client that sends no data: it finds the topic, asks for offsets, and watches
//! the brokers come and go, so that the log can say so once.

use std::{
    collections::BTreeMap,
    ffi::CStr,
    ptr,
    sync::Mutex,
    time::{Duration, Instant},
};

use rdkafka::{bindings as rdk, types::RDKafkaType};
use serde::Deserialize;
use thiserror::Error;

use super::offsets::OffsetQuery;
use crate::{
    config::{NewTopic, StartupTimeout},
    findings::{Awaited, Complaint, complaints},
    kafka::{
        ClientError, ClientSettings, GroupDescription, Isolation, KafkaError, KnownBrokers, OffsetAndEpoch,
        OffsetSpec,
        librdkafka::{
            admission,
            client::{self, EventPtr, Handle, Queue},
            codes, complaint,
        },
    },
    mutants,
    runtime::cores::cpu_set::CpuSet,
};

/// Why the topic cannot be worked on.
#[derive(Debug, Error)]
pub enum TopicError {
    /// Nobody answers.
    #[error(
        "no broker answered at {brokers} within {}s{reason}: check --brokers, or raise --startup-timeout",
        waited.as_secs_f64()
    )]
    NoBroker {
        /// Bootstrap list.
        brokers: String,
        /// How long they had.
        waited: Duration,
        /// What the client complained of last, in brackets.
        reason: String,
    },
    /// Nobody answers, and the client knows better than that why.
    #[error("no broker answered at {brokers} within {}s: {complaint}", waited.as_secs_f64())]
    Explained {
        /// Bootstrap list.
        brokers: String,
        /// How long they had.
        waited: Duration,
        /// What it complains of.
        complaint: Box<Complaint>,
    },
    /// The brokers do not let us in, or we do not trust them.
    #[error("the brokers at {brokers} refuse the connection: {reason}: {}", admission::way_out(reason))]
    NotAdmitted {
        /// Bootstrap list.
        brokers: String,
        /// In the client's words.
        reason: String,
    },
    /// It is not there.
    #[error("topic '{topic}' does not exist at {brokers}; it was waited for {}s and not created: \
         check --topic, or make it with --create-topic", waited.as_secs_f64())]
    Missing {
        /// The topic.
        topic: String,
        /// Bootstrap list.
        brokers: String,
        /// How long it had to appear.
        waited: Duration,
    },
    /// It cannot be used.
    #[error("topic '{topic}': {error}")]
    Refused {
        /// The topic.
        topic: String,
        /// The broker's answer.
        error: KafkaError,
    },
    /// It was to be made, and was not.
    #[error("topic '{topic}' could not be created: {reason}")]
    NotCreated {
        /// The topic.
        topic: String,
        /// The cluster's answer.
        reason: String,
    },
    /// The run was told to end.
    #[error("stopped while waiting for topic '{topic}'")]
    Stopped {
        /// The topic.
        topic: String,
    },
    /// The client itself.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// How wide a topic and its cluster are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicShape {
    /// Partitions of the topic.
    pub partitions: usize,
    /// Brokers of the cluster; at least 1.
    pub brokers: usize,
}

/// What the client has seen since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Brokers that went, or came back.
    pub changes: Vec<BrokerChange>,
    /// In which words the brokers refused to let us in, or we did not trust them.
    pub refusals: Vec<String>,
    /// A broker can be talked to.
    pub any_up: bool,
}

/// A broker that went, or came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerChange {
    /// `host:port/id`.
    pub broker: String,
    /// Whether it can be talked to now.
    pub up: bool,
}

/// Looks at a cluster. It may be shared between threads.
pub struct Observer {
    // References first, the client last.
    queue: Queue,
    pub(crate) handle: Handle,
    pub(crate) brokers: String,
    /// Groups speak a protocol of which the question for them knows nothing.
    pub(crate) brokers_assign: bool,
    known: KnownBrokers,
    /// What was answered last to a question for a group of the newer protocol.
    pub(crate) newer_group: Mutex<Option<(Instant, Result<GroupDescription, KafkaError>)>>,
}

// SAFETY: a queue reference may be used and released from any thread, like its client.
unsafe impl Send for Queue {}
// SAFETY: as above; `poll` takes an event under the queue's own lock.
unsafe impl Sync for Queue {}

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_millis(500);
/// What is waited for goes without a word for so long.
const QUIET: Duration = Duration::from_secs(3);

impl Observer {
    /// Starts the client; does not wait for any broker.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub fn start(settings: &ClientSettings, cpus: &CpuSet) -> Result<Self, ClientError> {
        let handle = Handle::start(RDKafkaType::RD_KAFKA_PRODUCER, &settings.of_observer(), cpus)?;
        let (brokers, brokers_assign) = (settings.bootstrap.clone(), settings.brokers_assign());
        let (queue, known, newer_group) = (handle.main_queue(), settings.known.clone(), Mutex::default());
        Ok(Self { queue, handle, brokers, brokers_assign, known, newer_group })
    }

    /// The shape of a topic, as soon as brokers answer and the topic is there. If it is missing, and `new` says
    /// what it is like, it is made.
    ///
    /// # Errors
    /// It did not come in time, cannot be used, or `still`, which is told what is waited for, became false.
    pub fn wait_for_topic(
        &self,
        topic: &str,
        new: Option<&NewTopic>,
        timeout: StartupTimeout,
        mut still: impl FnMut(&dyn Fn() -> Awaited) -> bool,
    ) -> Result<TopicShape, TopicError> {
        let (started, handle) = (Instant::now(), self.handle.topic(topic)?);
        let not_created = |reason| TopicError::NotCreated { topic: topic.to_owned(), reason };
        let (mut making, mut denied) = (new, None);
        let (mut quiet, mut missing) = (true, false);
        while still(&|| self.topic_awaited(topic, missing)) {
            missing = match self.shape(handle.ptr()) {
                Ok(shape) => return Ok(shape),
                Err(error) if error.is_refusal() => {
                    return Err(TopicError::Refused { topic: topic.to_owned(), error });
                }
                Err(error) => error.is_unknown_topic(),
            };
            if let Some(reason) = self.refusal() {
                return Err(TopicError::NotAdmitted { brokers: self.brokers.clone(), reason });
            }
            let mut problem = None;
            if let Some(new) = making.filter(|_| missing) {
                match self.create_topic(topic, new) {
                    // Once is enough: it takes a moment until all brokers know.
                    Ok(()) => making = None,
                    Err(error) if error.passing => problem = Some(error.reason),
                    Err(error) => return Err(not_created(error.reason)),
                }
            }
            // One that is being made is not denied.
            let (since, timeout) = if missing && new.is_none() {
                (*denied.get_or_insert_with(Instant::now), timeout.for_a_denied_topic())
            } else {
                (started, timeout.for_a_broker())
            };
            if let Some(waited) = timeout.filter(|limit| since.elapsed() >= *limit) {
                return Err(problem.map_or_else(|| self.not_found(topic, waited, missing), not_created));
            }
            if quiet && started.elapsed() >= QUIET {
                quiet = false;
                self.tell_what_is_waited_for(topic, missing, timeout);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(TopicError::Stopped { topic: topic.to_owned() })
    }

    fn tell_what_is_waited_for(&self, topic: &str, missing: bool, timeout: Option<Duration>) {
        let limit = timeout.map_or_else(String::new, |limit| format!(", for {limit:?} at the most"));
        if missing {
            tracing::warn!("topic '{topic}' is not there; waiting for it{limit}");
        } else {
            let reason = complaints().latest().map_or_else(String::new, |complaint| format!(": {complaint}"));
            tracing::warn!("no answer from {} yet; waiting for it{limit}{reason}", self.brokers);
        }
    }

    fn topic_awaited(&self, topic: &str, missing: bool) -> Awaited {
        let from = format!("the brokers at {}", self.brokers);
        if missing {
            let (what, remedy) =
                (format!("topic '{topic}', which is not there"), "create it, or check --topic");
            return Awaited { what, from, remedy: remedy.to_owned() };
        }
        let remedy = "start them, or check --brokers and the network".to_owned();
        Awaited { what: "a first answer".to_owned(), from, remedy }
    }

    /// Why the brokers do not let us in, if that is what they said: waiting would not help.
    fn refusal(&self) -> Option<String> {
        while let Some(event) = self.queue.poll(0) {
            if let Some(text) = refusal(&event) {
                return Some(text);
            }
        }
        None
    }

    fn not_found(&self, topic: &str, waited: Duration, missing: bool) -> TopicError {
        let (topic, brokers) = (topic.to_owned(), self.brokers.clone());
        if missing {
            return TopicError::Missing { topic, brokers, waited };
        }
        if let Some(complaint) = complaints().latest().filter(|complaint| complaint.kind.explains()) {
            return TopicError::Explained { brokers, waited, complaint: Box::new(complaint) };
        }
        let complaint = client::last_complaint();
        let hint = admission::hint(&complaint);
        let reason = if complaint.is_empty() { complaint } else { format!(" ({complaint}{hint})") };
        TopicError::NoBroker { brokers, waited, reason }
    }

    /// Asks once.
    pub(crate) fn shape(&self, topic: *mut rdk::rd_kafka_topic_t) -> Result<TopicShape, KafkaError> {
        self.metadata(topic, |metadata, found| TopicShape {
            partitions: usize::try_from(found.partition_cnt).unwrap_or(0),
            brokers: usize::try_from(metadata.broker_cnt).unwrap_or(0).max(1),
        })
    }

    /// What the cluster says of a topic. Asks once; a topic in the making is not there yet.
    pub(crate) fn metadata<T>(
        &self,
        topic: *mut rdk::rd_kafka_topic_t,
        read: impl FnOnce(&rdk::rd_kafka_metadata, &rdk::rd_kafka_metadata_topic) -> T,
    ) -> Result<T, KafkaError> {
        let mut metadata = ptr::null();
        let timeout_ms = ATTEMPT.subsec_millis().cast_signed();
        // SAFETY: client and topic are alive; on success the metadata is ours, holds the one
        // topic that was asked for and `broker_cnt` brokers with NUL-terminated names, and is not used after it is
        // destroyed.
        unsafe {
            let code = rdk::rd_kafka_metadata(self.handle.ptr(), 0, topic, &raw mut metadata, timeout_ms);
            codes::check(code)?;
            let found = match (*metadata).topics.as_ref() {
                Some(found) if (*metadata).topic_cnt == 1 => match codes::check(found.err) {
                    // A topic in the making has no partitions yet.
                    Ok(()) if found.partition_cnt <= 0 => Err(KafkaError::unknown_topic()),
                    Ok(()) => Ok(read(&*metadata, found)),
                    Err(error) => Err(error),
                },
                _ => Err(KafkaError::unknown_topic()),
            };
            let named = usize::try_from((*metadata).broker_cnt).unwrap_or(0);
            for index in 0..named {
                let broker = &*(*metadata).brokers.add(index);
                let host = CStr::from_ptr(broker.host).to_string_lossy();
                self.known.learn(broker.id, &complaint::address(&format!("{host}:{}", broker.port)));
            }
            rdk::rd_kafka_metadata_destroy(metadata);
            found
        }
    }

    /// Where every partition of a topic starts or ends, asked again until all have
    /// answered; `None` when `still`, which is told of which ones, became false before that.
    pub fn offsets(
        &self,
        topic: &str,
        partitions: usize,
        spec: OffsetSpec,
        isolation: Isolation,
        mut still: impl FnMut(&[i32]) -> bool,
    ) -> Option<Vec<OffsetAndEpoch>> {
        let mut known = vec![None; partitions];
        loop {
            let open: Vec<i32> = known
                .iter()
                .enumerate()
                .filter(|(_, offset)| offset.is_none())
                .filter_map(|(partition, _)| i32::try_from(partition).ok())
                .collect();
            if open.is_empty() {
                return known.into_iter().collect();
            }
            if !still(&open) {
                return None;
            }
            for (partition, place) in self.offsets_of(topic, &open, spec, isolation, || !still(&open))? {
                if let Some(slot) = usize::try_from(partition).ok().and_then(|index| known.get_mut(index)) {
                    *slot = Some(place);
                }
            }
            if known.contains(&None) {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// Where these partitions start or end, as far as their leaders say so now; `None` when `stop` became true.
    ///
    /// Only those that have a leader are asked about: the client gives no answer at all before it has found all of
    /// the leaders that a question needs.
    pub fn offsets_of(
        &self,
        topic: &str,
        partitions: &[i32],
        spec: OffsetSpec,
        isolation: Isolation,
        stop: impl FnMut() -> bool,
    ) -> Option<Vec<(i32, OffsetAndEpoch)>> {
        let led: Vec<i32> = match self.leaders(topic) {
            Ok(leaders) => partitions.iter().copied().filter(|partition| leaders.leads(*partition)).collect(),
            Err(_) => partitions.to_vec(),
        };
        if led.is_empty() {
            return Some(Vec::new());
        }
        let answers = OffsetQuery::start(&self.handle, topic, &led, spec, isolation).finish_blocking(stop)?;
        Some(answers.into_iter().filter_map(|(partition, answer)| Some((partition, answer.ok()?))).collect())
    }

    /// What has become of the brokers, when the client has looked again since the last call.
    ///
    /// `states` keeps what was told of each broker, so that nothing is told twice.
    pub fn look(&self, states: &mut BrokerStates) -> Look {
        let mut look = Look::default();
        while let Some(event) = self.queue.poll(0) {
            if event.kind() == rdk::RD_KAFKA_EVENT_STATS {
                let seen = statistics(&event);
                for broker in &seen {
                    self.known.learn(broker.id, &broker.address);
                    look.any_up |= broker.is_up;
                    if broker.is_up && !states.is_up(broker.id) {
                        complaints().is_up(&broker.address);
                    }
                }
                look.changes.extend(states.look(&seen));
            }
            look.refusals.extend(refusal(&event));
        }
        look
    }
}

/// In which words brokers refuse to let us in, if that is what an event says.
fn refusal(event: &EventPtr) -> Option<String> {
    if event.kind() != rdk::RD_KAFKA_EVENT_ERROR {
        return None;
    }
    // SAFETY: the event is alive and of this kind; its text is NUL-terminated and lives as long.
    let (code, text) = unsafe {
        let text = CStr::from_ptr(rdk::rd_kafka_event_error_string(event.ptr()));
        (rdk::rd_kafka_event_error(event.ptr()), text.to_string_lossy().into_owned())
    };
    (codes::error(code).is_no_admission() || admission::is_tls_refusal(&text)).then_some(text)
}

/// The part of librdkafka's statistics that is looked at (STATISTICS.md).
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: BTreeMap<String, BrokerStatistics>,
}

#[derive(Deserialize)]
struct BrokerStatistics {
    nodename: String,
    nodeid: i32,
    state: String,
}

/// One broker that the cluster has named, as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    id: i32,
    /// `host:port`.
    address: String,
    is_up: bool,
}

fn statistics(event: &EventPtr) -> Vec<Seen> {
    // SAFETY: the event is alive and of this kind; the text is NUL-terminated and lives as long.
    let text = unsafe { CStr::from_ptr(rdk::rd_kafka_event_stats(event.ptr())) };
    let Ok(statistics) = serde_json::from_slice::<Statistics>(text.to_bytes()) else { return Vec::new() };
    let brokers = statistics.brokers.into_values();
    // Negative ids are the bootstrap list and the coordinators: the same brokers again.
    let named = brokers.filter(|broker| broker.nodeid >= 0 && !broker.nodename.is_empty());
    named
        .map(|BrokerStatistics { nodename, nodeid, state }| Seen {
            id: nodeid,
            address: complaint::address(&nodename),
            is_up: state == "UP",
        })
        .collect()
}

/// What is known of each broker, by id.
#[derive(Debug, Default)]
pub struct BrokerStates(BTreeMap<i32, BrokerState>);

#[derive(Debug)]
struct BrokerState {
    /// Where it was last.
    address: String,
    /// What was told last.
    told_up: bool,
    /// It has been up at one look at least.
    seen_up: bool,
    /// It was at the last look.
    is_up: bool,
    /// Looks in a row at which it was down.
    down_looks: u32,
}

/// A connection that was idle for too long is closed and opened again: that takes
/// less than this many looks, and is nobody's concern.
const DOWN_LOOKS: u32 = 2;

/// A broker that was never seen up has this many looks to answer for the first time. The cluster has
/// named it: one that goes between two looks at the start must be missed all the same.
const FIRST_LOOKS: u32 = 6;

impl BrokerStates {
    fn look(&mut self, seen: &[Seen]) -> Vec<BrokerChange> {
        for Seen { id, address, .. } in seen {
            let new = || BrokerState {
                address: String::new(),
                told_up: true,
                seen_up: false,
                is_up: false,
                down_looks: 0,
            };
            self.0.entry(*id).or_insert_with(new).address.clone_from(address);
        }
        let mut changes = Vec::new();
        for (id, state) in &mut self.0 {
            let seen = seen.iter().find(|seen| seen.id == *id);
            if seen.is_none() && mutants::is_off("unlisted-broker") {
                continue;
            }
            // One that was stopped is named no more, and the client forgets it (seen with librdkafka 2.12.1).
            let up = seen.is_some_and(|seen| seen.is_up);
            state.is_up = up;
            state.seen_up |= up;
            state.down_looks = if up { 0 } else { state.down_looks + 1 };
            let now_up = state.down_looks < if state.seen_up { DOWN_LOOKS } else { FIRST_LOOKS };
            if (up || !now_up) && state.told_up != now_up {
                state.told_up = now_up;
                changes.push(BrokerChange { broker: format!("{}/{id}", state.address), up: now_up });
            }
        }
        changes
    }

    fn is_up(&self, id: i32) -> bool {
        self.0.get(&id).is_some_and(|state| state.is_up)
    }

    /// How many brokers are up, and how many the cluster has named.
    #[must_use]
    pub fn count_up(&self) -> (usize, usize) {
        (self.0.values().filter(|state| state.told_up).count(), self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(states: &mut BrokerStates, ups: &[bool]) -> Vec<bool> {
        ups.iter().flat_map(|up| states.look(&[seen(1, *up)])).map(|change| change.up).collect()
    }

    fn seen(id: i32, is_up: bool) -> Seen {
        Seen { id, address: format!("b:{id}"), is_up }
    }

    #[test]
    fn a_broker_that_is_named_no_more_is_gone() {
        let mut states = BrokerStates::default();
        let mut look = |ups: &[(i32, bool)]| {
            let seen: Vec<_> = ups.iter().map(|(id, up)| seen(*id, *up)).collect();
            let changes = states.look(&seen);
            let changes = changes.into_iter().map(|change| (change.broker, change.up));
            (changes.collect::<Vec<_>>(), states.count_up())
        };
        let all = [(0, true), (1, true), (2, true)];
        assert_eq!(look(&all), (vec![], (3, 3)));
        assert_eq!(look(&all[..2]), (vec![], (3, 3)), "once may be between two clusters' pictures");
        assert_eq!(look(&all[..2]), (vec![("b:2/2".to_owned(), false)], (2, 3)));
        look(&[]);
        let gone = vec![("b:0/0".to_owned(), false), ("b:1/1".to_owned(), false)];
        assert_eq!(look(&[]), (gone, (0, 3)), "nobody is named at all");
        assert_eq!(look(&all[2..]), (vec![("b:2/2".to_owned(), true)], (1, 3)));
    }

    #[test]
    fn going_and_coming_back_are_told_once_each() {
        let mut states = BrokerStates::default();
        assert_eq!(
            looks(&mut states, &[false, false, true, true]),
            [] as [bool; 0],
            "the start is no change"
        );
        assert_eq!(looks(&mut states, &[false, false, false, false]), [false]);
        assert_eq!(looks(&mut states, &[true, true]), [true]);
        assert_eq!(states.count_up(), (1, 1));
    }

    #[test]
    fn a_broker_that_goes_before_the_first_look_is_missed() {
        let mut states = BrokerStates::default();
        assert_eq!(looks(&mut states, &[false; 5]), [] as [bool; 0], "it may be starting up");
        assert_eq!(looks(&mut states, &[false, false, true]), [false, true]);
    }

    #[test]
    fn a_short_reconnect_is_not_told() {
        let mut states = BrokerStates::default();
        assert_eq!(looks(&mut states, &[true, false, true, false, true]), [] as [bool; 0]);
    }
}
