//! A client that sends no data: it answers the questions of an observer, and watches the brokers come and go.

use std::{
    collections::BTreeMap,
    ffi::CStr,
    ptr, slice,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rdkafka::{bindings as rdk, types::RDKafkaType};
use serde::Deserialize;

use super::offsets::OffsetQuery;
use crate::{
    config::NewTopic,
    kafka::{
        ClientError, ClientSettings, GroupDescription, Isolation, KafkaError, OffsetSpec, TopicAnswers,
        librdkafka::{
            admission,
            client::{self, EventPtr, Handle, Queue},
            codes, complaint,
        },
        observer::{
            Admin, AdminLook, Described, DescribedPartition, NamedBroker, NotCreated, Refusal, Resource, Seen,
        },
    },
    partitions::PartitionTable,
    runtime::cores::cpu_set::CpuSet,
};

/// Looks at a cluster. It may be shared between threads.
pub(crate) struct AdminClient {
    // References first, the client last.
    queue: Queue,
    pub(super) handle: Arc<Handle>,
    /// Groups speak a protocol of which the question for them knows nothing.
    pub(super) brokers_assign: bool,
    /// What was answered last to a question for a group of the newer protocol.
    pub(super) newer_group: Mutex<Option<(Instant, Result<GroupDescription, KafkaError>)>>,
}

// SAFETY: a queue reference may be used and released from any thread, like its client.
unsafe impl Send for Queue {}
// SAFETY: as above; `poll` takes an event under the queue's own lock.
unsafe impl Sync for Queue {}

impl AdminClient {
    /// Starts the client; does not wait for any broker.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(crate) fn start(settings: &ClientSettings, cpus: &CpuSet) -> Result<Self, ClientError> {
        let handle = Handle::start(RDKafkaType::RD_KAFKA_PRODUCER, &settings.of_observer(), cpus)?;
        let brokers_assign = settings.brokers_assign();
        Ok(Self {
            queue: handle.main_queue(),
            handle: Arc::new(handle),
            brokers_assign,
            newer_group: Mutex::default(),
        })
    }

    /// Asks for brokers, and for a topic unless it is null.
    fn metadata(&self, topic: *mut rdk::rd_kafka_topic_t, limit: Duration) -> Result<Described, KafkaError> {
        let mut metadata = ptr::null();
        let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: client and topic are alive; on success the metadata is ours, its arrays have as many elements as it says
        // and names are NUL-terminated, and it is not used after it is destroyed.
        unsafe {
            let code = rdk::rd_kafka_metadata(self.handle.ptr(), 0, topic, &raw mut metadata, limit_ms);
            codes::check(code)?;
            let brokers = array((*metadata).brokers, (*metadata).broker_cnt).iter().map(|broker| {
                let host = CStr::from_ptr(broker.host).to_string_lossy();
                NamedBroker { id: broker.id, address: complaint::address(&format!("{host}:{}", broker.port)) }
            });
            let mut described = Described { brokers: brokers.collect(), ..Described::default() };
            let found = match array((*metadata).topics, (*metadata).topic_cnt) {
                _ if topic.is_null() => Ok(()),
                [found] => codes::check(found.err).map(|()| {
                    let partitions = array(found.partitions, found.partition_cnt).iter();
                    described.partitions = partitions
                        .map(|partition| DescribedPartition {
                            id: partition.id,
                            leader: partition.leader,
                            replicas: array(partition.replicas, partition.replica_cnt).to_vec(),
                        })
                        .collect();
                }),
                _ => Err(KafkaError::unknown_topic()),
            };
            rdk::rd_kafka_metadata_destroy(metadata);
            // A topic in the making has no partitions yet.
            let is_in_the_making = !topic.is_null() && described.partitions.is_empty();
            found.and(if is_in_the_making { Err(KafkaError::unknown_topic()) } else { Ok(described) })
        }
    }
}

impl Admin for AdminClient {
    fn describe(&self, topic: Option<&str>, limit: Duration) -> Result<Described, KafkaError> {
        let Some(topic) = topic else { return self.metadata(ptr::null_mut(), limit) };
        let handle = self.handle.topic(topic).map_err(|_| KafkaError::timed_out())?;
        self.metadata(handle.ptr(), limit)
    }

    fn offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        spec: OffsetSpec,
        isolation: Isolation,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<TopicAnswers> {
        let table = Arc::new(PartitionTable::of_topic(topic, partitions.iter().copied()));
        let slots: Vec<_> = table.slots().collect();
        // A deposed leader that has not heard of it would name an old end.
        let is_doubted = spec == OffsetSpec::End;
        let query = OffsetQuery::start(&self.handle, &table, &slots, spec, isolation, is_doubted);
        let answers = query.finish_blocking(stop)?;
        Some(answers.into_iter().map(|(slot, answer)| (table.partition(slot), answer)).collect())
    }

    fn create_topic(&self, topic: &str, new: &NewTopic) -> Result<(), NotCreated> {
        self.make_topic(topic, new)
    }

    fn setting(&self, of: Resource<'_>, name: &str) -> Option<String> {
        self.described_setting(of, name)
    }

    fn look(&self) -> AdminLook {
        let mut look = AdminLook::default();
        while let Some(event) = self.queue.poll(0) {
            if event.kind() == rdk::RD_KAFKA_EVENT_STATS {
                look.looks.push(statistics(&event));
            }
            look.refusals.extend(refusal(&event));
        }
        look
    }

    fn last_complaint(&self) -> String {
        let complaint = client::last_complaint();
        let hint = admission::hint(&complaint);
        complaint + hint
    }
}

/// In which words brokers refuse to let us in, if that is what an event says.
fn refusal(event: &EventPtr) -> Option<Refusal> {
    if event.kind() != rdk::RD_KAFKA_EVENT_ERROR {
        return None;
    }
    // SAFETY: the event is alive and of this kind; its text is NUL-terminated and lives as long.
    let (code, words) = unsafe {
        let text = CStr::from_ptr(rdk::rd_kafka_event_error_string(event.ptr()));
        (rdk::rd_kafka_event_error(event.ptr()), text.to_string_lossy().into_owned())
    };
    let is_denied = codes::error(code).is_auth_failure() || admission::is_tls_refusal(&words);
    is_denied.then(|| Refusal { remedy: admission::way_out(&words).to_owned(), words })
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

/// # Safety
/// The array is alive for as long as the slice is used, and has so many elements.
pub(super) unsafe fn array<'a, T>(first: *const T, count: impl TryInto<usize>) -> &'a [T] {
    match count.try_into() {
        // SAFETY: the caller's promise.
        Ok(count @ 1..) if !first.is_null() => unsafe { slice::from_raw_parts(first, count) },
        _ => &[],
    }
}
