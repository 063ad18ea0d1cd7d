//! A group as the cluster sees it: its state, its members, its committed offsets.
//!
//! librdkafka's newer admin requests are not used for this: asked of a group while its brokers went down, they
//! have ended the process (an assertion in `rd_kafka_enq_once_del_source_return`, version 2.12.1).

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char},
    fmt,
    mem::ManuallyDrop,
    ptr, slice,
    sync::PoisonError,
    time::{Duration, Instant},
};

use rdkafka::{bindings as rdk, types::RDKafkaType};

use crate::kafka::{
    ClientError, KafkaError,
    librdkafka::{AdminClient, codes},
    librdkafka::{
        client::{self, Handle},
        partitions::{PartitionList, entries},
        settings::GroupSettings,
    },
    observer::Admin as _,
};

/// What a group's coordinator says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupDescription {
    /// `Stable`, `Empty`…
    pub state: String,
    /// Members of all processes.
    pub members: usize,
    /// How many partitions of each topic have an owner; `None` when the members' assignments say nothing to us.
    pub owned: Option<BTreeMap<String, usize>>,
    /// The assignor that its members have agreed on, or what else they share; empty while there is none.
    pub protocol: String,
    /// Who its members are.
    pub clients: Vec<GroupMember>,
}

/// Somebody in a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupMember {
    /// Its `client.id`.
    pub client_id: String,
    /// Where it is, in the coordinator's words.
    pub host: String,
}

/// Members that are named one by one.
const NAMED: usize = 5;

impl fmt::Display for GroupDescription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (members, plural) = (self.members, if self.members == 1 { "" } else { "s" });
        write!(formatter, "it is {} and has {members} member{plural}", self.state)?;
        if !self.protocol.is_empty() {
            write!(formatter, " with assignor '{}'", self.protocol)?;
        }
        // Several of one process count once.
        let mut clients: Vec<_> = self.clients.iter().collect();
        clients.sort();
        clients.dedup();
        for (index, GroupMember { client_id, host }) in clients.iter().take(NAMED).enumerate() {
            let lead = if index == 0 { ": " } else { ", " };
            write!(formatter, "{lead}client.id '{client_id}' at {host}")?;
        }
        Ok(())
    }
}

impl GroupDescription {
    /// Whether all members know their partitions.
    #[must_use]
    pub(crate) fn is_stable(&self) -> bool {
        self.state == "Stable"
    }

    /// Whether there is no group of the classic protocol under this name; there may be one of another.
    #[must_use]
    pub(crate) fn is_of_another_kind(&self) -> bool {
        self.state == "Dead"
    }

    /// Whether every partition of these topics may have an owner.
    ///
    /// Cooperative members give up partitions in one rebalance and get them in the next, some
    /// seconds later. In between the group is stable, and nobody reads those.
    #[must_use]
    pub(crate) fn may_own_all(&self, topics: &[(String, usize)]) -> bool {
        let Some(owned) = &self.owned else { return true };
        topics.iter().all(|(topic, partitions)| owned.get(topic).is_some_and(|owned| owned >= partitions))
    }
}

/// How long the answer to a question of the newer kind is kept.
const KEPT: Duration = Duration::from_secs(30);
/// How long the brokers have to answer one question.
const LIMIT_MS: i32 = 2_000;
/// How long the cluster has to say which brokers it has.
const BROKERS_LIMIT: Duration = Duration::from_secs(3);

impl AdminClient {
    /// Asks for a group's state; waits for the answer, but not long.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub(crate) fn describe_group(&self, group: &str) -> Result<GroupDescription, KafkaError> {
        if self.brokers_assign {
            // The answer would be that the group is dead. The newer question is of those that have ended the process.
            return Err(codes::error(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE));
        }
        let unknown = codes::error(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_GROUP);
        let name = CString::new(group).map_err(|_| unknown)?;
        let mut list: *const rdk::rd_kafka_group_list = ptr::null();
        // SAFETY: client and name are alive; a list that is returned is ours, holds `group_cnt` groups with
        // NUL-terminated strings, and is not used after it is destroyed.
        unsafe {
            let code = rdk::rd_kafka_list_groups(self.handle.ptr(), name.as_ptr(), &raw mut list, LIMIT_MS);
            if list.is_null() {
                return codes::check(code).and(Err(unknown));
            }
            let found = if (*list).group_cnt > 0 {
                let group = &*(*list).groups;
                codes::check(group.err).map(|()| GroupDescription {
                    state: CStr::from_ptr(group.state).to_string_lossy().into_owned(),
                    members: usize::try_from(group.member_cnt).unwrap_or(0),
                    owned: owned_by(members_of(group)),
                    protocol: text(group.protocol),
                    clients: clients_of(group),
                })
            } else {
                Err(unknown)
            };
            rdk::rd_kafka_group_list_destroy(list);
            found
        }
    }

    /// Who is in a group of which `seen` is the answer to that: of one of the newer protocol (`group.protocol=consumer`)
    /// it shows nobody. Asked where a group is waited for, or was waited for in vain.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub(crate) fn who_is_in(
        &self,
        group: &str,
        seen: &Result<GroupDescription, KafkaError>,
    ) -> Result<GroupDescription, KafkaError> {
        match seen {
            Ok(seen) if !seen.is_of_another_kind() => Ok(seen.clone()),
            Err(error) if !error.is_unknown_group() => Err(*error),
            _ => self.newer_group(group),
        }
    }

    /// One of the newer requests; what was answered to it is kept for a while, so that it is seldom asked.
    fn newer_group(&self, group: &str) -> Result<GroupDescription, KafkaError> {
        let mut known = self.newer_group.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = known.as_ref().filter(|(asked, _)| asked.elapsed() < KEPT) {
            return answer.clone();
        }
        let answer = self.ask_for_newer_group(group);
        *known = Some((Instant::now(), answer.clone()));
        answer
    }

    fn ask_for_newer_group(&self, group: &str) -> Result<GroupDescription, KafkaError> {
        let unknown = codes::error(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_GROUP);
        let name = CString::new(group).map_err(|_| unknown)?;
        let queue = self.handle.new_queue();
        let mut names = [name.as_ptr()];
        // SAFETY: the client, the name and the queue are alive; the call copies the names. Null options are the
        // default ones.
        unsafe {
            rdk::rd_kafka_DescribeConsumerGroups(
                self.handle.ptr(),
                names.as_mut_ptr(),
                names.len(),
                ptr::null(),
                queue.ptr(),
            );
        }
        let timed_out = KafkaError::timed_out();
        let event = queue.poll(LIMIT_MS).ok_or(timed_out)?;
        // SAFETY: the event is alive; a result of another kind is null. Groups, members and texts live as long as it,
        // there are as many as is said, and an error that is null is none.
        unsafe {
            codes::check(rdk::rd_kafka_event_error(event.ptr()))?;
            let result = rdk::rd_kafka_event_DescribeConsumerGroups_result(event.ptr());
            let mut count = 0;
            if result.is_null() {
                return Err(timed_out);
            }
            let groups = rdk::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
            if count == 0 {
                return Err(unknown);
            }
            let found = *groups;
            let error = rdk::rd_kafka_ConsumerGroupDescription_error(found);
            if !error.is_null() {
                codes::check(rdk::rd_kafka_error_code(error))?;
            }
            let members = rdk::rd_kafka_ConsumerGroupDescription_member_count(found);
            let client = |index| {
                let member = rdk::rd_kafka_ConsumerGroupDescription_member(found, index);
                GroupMember {
                    client_id: text(rdk::rd_kafka_MemberDescription_client_id(member)),
                    host: text(rdk::rd_kafka_MemberDescription_host(member)),
                }
            };
            let state = rdk::rd_kafka_ConsumerGroupDescription_state(found);
            Ok(GroupDescription {
                state: text(rdk::rd_kafka_consumer_group_state_name(state)),
                members,
                owned: None,
                protocol: text(rdk::rd_kafka_ConsumerGroupDescription_partition_assignor(found)),
                clients: (0..members).map(client).collect(),
            })
        }
    }

    /// Deletes a group that all members have left, if the cluster can do that now; waits for it, but not long.
    ///
    /// Only asked of brokers that have just answered: this request is of the newer kind, too.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub(crate) fn delete_group(&self, group: &str) -> Result<(), KafkaError> {
        if self.brokers_assign {
            self.describe(None, BROKERS_LIMIT)?;
        } else {
            self.describe_group(group)?;
        }
        let unknown = codes::error(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_GROUP);
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
        let timed_out = codes::error(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT);
        let event = queue.poll(LIMIT_MS).ok_or(timed_out)?;
        // SAFETY: the event is alive; a result of another kind is null. The results live as long as the event,
        // and there is one for each group of the request.
        unsafe {
            codes::check(rdk::rd_kafka_event_error(event.ptr()))?;
            let result = rdk::rd_kafka_event_DeleteGroups_result(event.ptr());
            let mut count = 0;
            if result.is_null() {
                return Err(timed_out);
            }
            let groups = rdk::rd_kafka_DeleteGroups_result_groups(result, &raw mut count);
            for group in slice::from_raw_parts(groups, count) {
                let error = rdk::rd_kafka_group_result_error(*group);
                if !error.is_null() {
                    codes::check(rdk::rd_kafka_error_code(error))?;
                }
            }
        }
        Ok(())
    }
}

/// Looks at a group's committed offsets, without being a member.
pub(crate) struct CommittedPlaces {
    /// Closing it could wait for brokers that hang; the process does not.
    handle: ManuallyDrop<Handle>,
}

impl CommittedPlaces {
    /// Starts a client; does not wait for brokers.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(crate) fn start(settings: &GroupSettings) -> Result<Self, ClientError> {
        let handle =
            Handle::start(RDKafkaType::RD_KAFKA_CONSUMER, &settings.config(), &settings.client_cpus)?;
        Ok(Self { handle: ManuallyDrop::new(handle) })
    }

    /// Whether there is a committed offset in every partition of these topics; waits for the answer, but not long.
    #[must_use]
    pub(crate) fn are_complete(&self, topics: &[(String, usize)]) -> bool {
        self.look(topics).is_some_and(|places| places.iter().all(|place| *place >= 0))
    }

    /// The committed offsets in all partitions of these topics, in their order, negative where there is none; waits for
    /// the answer, but not long. `None` without one.
    #[must_use]
    pub(crate) fn look(&self, topics: &[(String, usize)]) -> Option<Vec<i64>> {
        let mut list = PartitionList::new(0).ok()?;
        for (topic, partitions) in topics {
            let name = client::c_string(topic).ok()?;
            for partition in 0..i32::try_from(*partitions).unwrap_or(i32::MAX) {
                list.add(&name, partition, rdk::RD_KAFKA_OFFSET_INVALID.into());
            }
        }
        // SAFETY: client and list are alive; the call writes the offsets into the list.
        unsafe {
            let code = rdk::rd_kafka_committed(self.handle.ptr(), list.ptr(), LIMIT_MS);
            codes::check(code).ok()?;
            Some(entries(list.ptr()).iter().map(|place| place.offset).collect())
        }
    }

    /// Has the group, which must have no members, begin at these places: of each topic all partitions, in their order. Waits for the
    /// answer, but not long.
    ///
    /// # Errors
    /// The cluster's word, or that it has given none.
    pub(crate) fn commit(&self, topics: &[(String, Vec<i64>)]) -> Result<(), KafkaError> {
        let timed_out = codes::error(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT);
        let unusable =
            |_: ClientError| codes::error(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG);
        let mut list = PartitionList::new(0).map_err(unusable)?;
        for (topic, places) in topics {
            let name = client::c_string(topic).map_err(unusable)?;
            for (partition, offset) in (0..).zip(places) {
                list.add(&name, partition, *offset);
            }
        }
        let answers = self.handle.new_queue();
        // SAFETY: client, list and queue are alive, and the list is copied. Without a callback the result goes to the queue.
        let code = unsafe {
            rdk::rd_kafka_commit_queue(self.handle.ptr(), list.ptr(), answers.ptr(), None, ptr::null_mut())
        };
        codes::check(code)?;
        let event = answers.poll(LIMIT_MS).filter(|event| event.kind() == rdk::RD_KAFKA_EVENT_OFFSET_COMMIT);
        let event = event.ok_or(timed_out)?;
        // SAFETY: the event is alive and of this kind; the list lives as long as it.
        unsafe {
            codes::check(rdk::rd_kafka_event_error(event.ptr()))?;
            let answered = entries(rdk::rd_kafka_event_topic_partition_list(event.ptr()));
            answered.iter().try_for_each(|entry| codes::check(entry.err))
        }
    }
}

/// # Safety
/// The text is null or NUL-terminated, and alive.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text).to_string_lossy().into_owned() }
}

/// # Safety
/// The group's list is alive.
unsafe fn clients_of(group: &rdk::rd_kafka_group_info) -> Vec<GroupMember> {
    let count = usize::try_from(group.member_cnt).unwrap_or(0);
    let client = |index| {
        // SAFETY: the caller's promise; there are so many members.
        unsafe {
            let member = &*group.members.add(index);
            GroupMember { client_id: text(member.client_id), host: text(member.client_host) }
        }
    };
    (0..count).map(client).collect()
}

/// What the members of a group were assigned, each in the bytes of the consumer protocol.
///
/// # Safety
/// The group's list is alive, and lives as long as the bytes are used.
unsafe fn members_of<'a>(group: &rdk::rd_kafka_group_info) -> impl Iterator<Item = &'a [u8]> {
    let count = usize::try_from(group.member_cnt).unwrap_or(0);
    let members = group.members;
    (0..count).map(move |index| {
        // SAFETY: the caller's promise; there are so many members, and an assignment that is not null has so many bytes.
        unsafe {
            let member = &*members.add(index);
            match usize::try_from(member.member_assignment_size) {
                Ok(bytes @ 1..) if !member.member_assignment.is_null() => {
                    slice::from_raw_parts(member.member_assignment.cast::<u8>(), bytes)
                }
                _ => &[],
            }
        }
    })
}

/// Counts the partitions in all assignments.
fn owned_by<'a>(assignments: impl Iterator<Item = &'a [u8]>) -> Option<BTreeMap<String, usize>> {
    let mut owned = BTreeMap::new();
    for assignment in assignments.filter(|assignment| !assignment.is_empty()) {
        add_assignment(assignment, &mut owned)?;
    }
    Some(owned)
}

/// `ConsumerProtocolAssignment`: version, then topics with their partitions. What newer versions add comes behind.
fn add_assignment(mut bytes: &[u8], owned: &mut BTreeMap<String, usize>) -> Option<()> {
    let _version: [u8; 2] = take(&mut bytes)?;
    for _ in 0..u32::from_be_bytes(take(&mut bytes)?) {
        let length = u16::from_be_bytes(take(&mut bytes)?);
        let (name, rest) = bytes.split_at_checked(length.into())?;
        let name = str::from_utf8(name).ok()?.to_owned();
        bytes = rest;
        let partitions = u32::from_be_bytes(take(&mut bytes)?) as usize;
        bytes = bytes.get(partitions.checked_mul(size_of::<i32>())?..)?;
        *owned.entry(name).or_default() += partitions;
    }
    Some(())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_OF_T: &[u8] =
        &[0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255];
    const NONE: &[u8] = &[0, 1, 0, 0, 0, 0, 255, 255, 255, 255];

    #[test]
    fn partitions_without_an_owner_are_missed() {
        let group = |owned| GroupDescription { owned, ..GroupDescription::default() };
        let topic = |partitions| [("t".to_owned(), partitions)];
        let two = group(owned_by([TWO_OF_T, NONE, &[]].into_iter()));
        assert!(two.may_own_all(&topic(2)) && !two.may_own_all(&topic(3)));
        let four = group(owned_by([TWO_OF_T, TWO_OF_T].into_iter()));
        assert!(four.may_own_all(&topic(4)));
        assert!(!group(owned_by([NONE].into_iter())).may_own_all(&topic(1)));
    }

    #[test]
    fn assignments_that_say_nothing_to_us_hold_nothing_up() {
        for bytes in 1..TWO_OF_T.len() - 4 {
            assert_eq!(owned_by([&TWO_OF_T[..bytes]].into_iter()), None, "{bytes}");
        }
        assert!(GroupDescription::default().may_own_all(&[("t".to_owned(), 1)]));
        assert_eq!(owned_by([[255; 64].as_slice()].into_iter()), None);
    }
}
