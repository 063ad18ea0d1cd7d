//! librdkafka's lists of partitions, owned.

use std::{ffi::CStr, ffi::c_int, ptr::NonNull, slice};

use rdkafka::bindings as rdk;

use crate::kafka::ClientError;

/// An owned `rd_kafka_topic_partition_list_t`.
pub(crate) struct PartitionList(NonNull<rdk::rd_kafka_topic_partition_list_t>);

// SAFETY: a list is plain memory that is ours, and of no thread.
unsafe impl Send for PartitionList {}

impl PartitionList {
    /// An empty one, with room for so many.
    pub(crate) fn new(size: usize) -> Result<Self, ClientError> {
        let size = c_int::try_from(size).unwrap_or(c_int::MAX);
        // SAFETY: makes a list that we own.
        let list = unsafe { rdk::rd_kafka_topic_partition_list_new(size) };
        NonNull::new(list)
            .map(Self)
            .ok_or_else(|| ClientError::Start("no memory for a list of partitions".to_owned()))
    }

    pub(crate) fn ptr(&self) -> *mut rdk::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    pub(crate) fn add(&mut self, topic: &CStr, partition: i32, offset: i64) {
        // SAFETY: list and topic are alive, and the topic's name is copied; the entry that is
        // returned is part of the list, and written before the list changes again.
        unsafe {
            let entry = rdk::rd_kafka_topic_partition_list_add(self.ptr(), topic.as_ptr(), partition);
            (*entry).offset = offset;
        }
    }

    /// The same, with the epoch of the record before that offset.
    pub(crate) fn add_behind(&mut self, topic: &CStr, partition: i32, offset: i64, epoch: i32) {
        // SAFETY: as above; the entry is part of the list until that changes.
        unsafe {
            let entry = rdk::rd_kafka_topic_partition_list_add(self.ptr(), topic.as_ptr(), partition);
            (*entry).offset = offset;
            rdk::rd_kafka_topic_partition_set_leader_epoch(entry, epoch);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: the list is alive.
        unsafe { entries(self.ptr()) }.is_empty()
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: the list is ours and not used again.
        unsafe { rdk::rd_kafka_topic_partition_list_destroy(self.ptr()) };
    }
}

/// Has a client that reads a partition go on at an offset, if the leader's log has the record before it, which is of
/// this epoch. If not, the client finds out where it was truncated. What has come and was not shown is dropped.
///
/// # Safety
/// The client is alive.
pub(crate) unsafe fn confirm(
    client: *mut rdk::rd_kafka_t,
    topic: &CStr,
    partition: i32,
    offset: i64,
    epoch: i32,
) {
    let Ok(mut list) = PartitionList::new(1) else { return };
    list.add_behind(topic, partition, offset, epoch);
    // SAFETY: the caller's promise; the list is alive and copied; without a time-out the call waits for nobody; an
    // error that is returned is ours to destroy, and null is taken.
    unsafe { rdk::rd_kafka_error_destroy(rdk::rd_kafka_seek_partitions(client, list.ptr(), 0)) };
}

/// The entries of a list.
///
/// # Safety
/// The list, unless null, is alive and unchanged for as long as the slice is used.
pub(crate) unsafe fn entries<'a>(
    list: *const rdk::rd_kafka_topic_partition_list_t,
) -> &'a [rdk::rd_kafka_topic_partition_t] {
    // SAFETY: the caller's promise; `elems` holds `cnt` entries, and may be null when there are none.
    unsafe {
        match list.as_ref() {
            Some(list) if list.cnt > 0 => {
                slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
            }
            _ => &[],
        }
    }
}

/// The topic's name in an entry.
///
/// # Safety
/// The list that the entry is part of is alive for as long as the name is used.
pub(crate) unsafe fn topic_name<'a>(entry: &rdk::rd_kafka_topic_partition_t) -> &'a CStr {
    // SAFETY: the caller's promise; the name is NUL-terminated.
    unsafe { CStr::from_ptr(entry.topic) }
}
