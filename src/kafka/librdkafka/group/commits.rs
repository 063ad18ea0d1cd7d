//! Commits on their way to the group, and what it says of them.

use std::{ffi::CStr, ptr};

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use crate::kafka::{
    CommitNumber, KafkaError,
    librdkafka::{
        client::Queue,
        codes,
        partitions::{PartitionList, entries, topic_name},
    },
};

/// What the group says of a commit.
pub(super) enum Told<'a> {
    /// Of one of its partitions, by topic and number: the offset that the group knows of now, or why it does not.
    Place(&'a CStr, i32, Result<i64, KafkaError>),
    /// Nothing follows, whatever was said.
    Over,
}

/// Sends these places, whose result goes to the queue under this number. Returns whether that was done.
///
/// # Safety
/// Client and queue are alive.
pub(super) unsafe fn send(
    client: *mut rdk::rd_kafka_t,
    list: &PartitionList,
    results: *mut rdk::rd_kafka_queue_t,
    number: CommitNumber,
) -> bool {
    let opaque = ptr::without_provenance_mut(usize::try_from(number).unwrap_or(0));
    // SAFETY: the caller's promise, and the list is copied. Without a callback the result goes to the queue, and the number with
    // it, which nobody takes for an address.
    let code = unsafe { rdk::rd_kafka_commit_queue(client, list.ptr(), results, None, opaque) };
    code == Code::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// Shows what has come of commits.
pub(super) fn hear(results: &Queue, mut each: impl FnMut(CommitNumber, Told<'_>)) {
    while let Some(event) = results.poll(0) {
        if event.kind() != rdk::RD_KAFKA_EVENT_OFFSET_COMMIT {
            continue;
        }
        // SAFETY: the event is alive and of this kind; the list lives as long as it.
        unsafe {
            let number = rdk::rd_kafka_event_opaque(event.ptr()).addr() as u64;
            let all = codes::check(rdk::rd_kafka_event_error(event.ptr()));
            for entry in entries(rdk::rd_kafka_event_topic_partition_list(event.ptr())) {
                let result = all.and(codes::check(entry.err)).map(|()| entry.offset);
                each(number, Told::Place(topic_name(entry), entry.partition, result));
            }
            each(number, Told::Over);
        }
    }
}
