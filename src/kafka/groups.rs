//! A group as the cluster sees it: its state, its members, its committed places.
//!
//! librdkafka's newer admin requests are not used for this: asked of a group while its brokers went down, they
//! have ended the process (an assertion in `rd_kafka_enq_once_del_source_return`, version 2.12.1).

use std::{
    ffi::{CStr, CString},
    mem::ManuallyDrop,
    ptr, slice,
};

use rdkafka::{bindings as rdk, types::RDKafkaType};

use super::{
    ClientError, GroupSettings, KafkaError, Observer,
    client::{self, Handle},
    partitions::{PartitionList, entries},
};

/// What a group's coordinator says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupDescription {
    /// `Stable`, `Empty`…
    pub state: String,
    /// Members of all processes.
    pub members: usize,
}

impl GroupDescription {
    /// Whether all members know their partitions.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.state == "Stable"
    }
}

/// How long the brokers have to answer one question.
const LIMIT_MS: i32 = 2_000;

impl Observer {
    /// Asks for a group's state; waits for the answer, but not long.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub fn describe_group(&self, group: &str) -> Result<GroupDescription, KafkaError> {
        let unknown = KafkaError::new(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_GROUP);
        let name = CString::new(group).map_err(|_| unknown)?;
        let mut list: *const rdk::rd_kafka_group_list = ptr::null();
        // SAFETY: client and name are alive; a list that is returned is ours, holds `group_cnt` groups with
        // NUL-terminated strings, and is not used after it is destroyed.
        unsafe {
            let code = rdk::rd_kafka_list_groups(self.handle.ptr(), name.as_ptr(), &raw mut list, LIMIT_MS);
            if list.is_null() {
                return KafkaError::check(code).and(Err(unknown));
            }
            let found = if (*list).group_cnt > 0 {
                let group = &*(*list).groups;
                KafkaError::check(group.err).map(|()| GroupDescription {
                    state: CStr::from_ptr(group.state).to_string_lossy().into_owned(),
                    members: usize::try_from(group.member_cnt).unwrap_or(0),
                })
            } else {
                Err(unknown)
            };
            rdk::rd_kafka_group_list_destroy(list);
            found
        }
    }

    /// Deletes a group that all members have left, if the cluster can do that now; waits for it, but not long.
    ///
    /// Only asked of brokers that have just answered: this request is of the newer kind, too.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub fn delete_group(&self, group: &str) -> Result<(), KafkaError> {
        self.describe_group(group)?;
        let unknown = KafkaError::new(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_GROUP);
        let name = CString::new(group).map_err(|_| unknown)?;
        let queue = self.handle.new_queue();
        // SAFETY: the client, the name and the queue are alive; the call copies what it needs of the request,
        // which is destroyed after it. Null options are the default ones.
        unsafe {
            let request = rdk::rd_kafka_DeleteGroup_new(name.as_ptr());
            let mut requests = [request];
            rdk::rd_kafka_DeleteGroups(
                self.handle.ptr(),
                requests.as_mut_ptr(),
                requests.len(),
                ptr::null(),
                queue.ptr(),
            );
            rdk::rd_kafka_DeleteGroup_destroy(request);
        }
        let timed_out = KafkaError::new(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT);
        let event = queue.poll(LIMIT_MS).ok_or(timed_out)?;
        // SAFETY: the event is alive; a result of another kind is null. The results live as long as the event,
        // and there is one for each group of the request.
        unsafe {
            KafkaError::check(rdk::rd_kafka_event_error(event.ptr()))?;
            let result = rdk::rd_kafka_event_DeleteGroups_result(event.ptr());
            let mut count = 0;
            if result.is_null() {
                return Err(timed_out);
            }
            let groups = rdk::rd_kafka_DeleteGroups_result_groups(result, &raw mut count);
            for group in slice::from_raw_parts(groups, count) {
                let error = rdk::rd_kafka_group_result_error(*group);
                if !error.is_null() {
                    KafkaError::check(rdk::rd_kafka_error_code(error))?;
                }
            }
        }
        Ok(())
    }
}

/// Looks at a group's committed places, without being a member.
pub struct CommittedPlaces {
    /// Closing it could wait for brokers that hang; the process does not.
    handle: ManuallyDrop<Handle>,
}

impl CommittedPlaces {
    /// Starts a client; does not wait for brokers.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub fn start(settings: &GroupSettings) -> Result<Self, ClientError> {
        let handle =
            Handle::start(RDKafkaType::RD_KAFKA_CONSUMER, &settings.config(), &settings.client_cpus)?;
        Ok(Self { handle: ManuallyDrop::new(handle) })
    }

    /// Whether there is a committed place in every partition of these topics; waits for the answer, but not long.
    #[must_use]
    pub fn are_complete(&self, topics: &[(String, usize)]) -> bool {
        let Ok(mut list) = PartitionList::new(0) else { return false };
        for (topic, partitions) in topics {
            let Ok(name) = client::c_string(topic) else { return false };
            for partition in 0..i32::try_from(*partitions).unwrap_or(i32::MAX) {
                list.add(&name, partition, rdk::RD_KAFKA_OFFSET_INVALID.into());
            }
        }
        // SAFETY: client and list are alive; the call writes the offsets into the list.
        unsafe {
            let code = rdk::rd_kafka_committed(self.handle.ptr(), list.ptr(), LIMIT_MS);
            KafkaError::check(code).is_ok() && entries(list.ptr()).iter().all(|place| place.offset >= 0)
        }
    }
}
