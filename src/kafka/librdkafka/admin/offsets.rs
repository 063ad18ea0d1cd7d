//! Where logs start and end.

use std::{
    cell::RefCell,
    ffi::{CString, c_int},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::bindings as rdk;

use super::{opinion::Opinion, options::Options};
use crate::{
    kafka::{
        Answers, Isolation, KafkaError, OffsetAndEpoch, OffsetSpec, code,
        librdkafka::{
            client::{self, EventPtr, Handle, Queue},
            codes,
            partitions::{PartitionList, topic_name},
        },
    },
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
};

impl Isolation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read_uncommitted",
            Self::ReadCommitted => "read_committed",
        }
    }
}

/// How long the brokers have to answer one question.
const REQUEST_TIMEOUT_MS: c_int = 5_000;

/// A question that is under way. Must be dropped before the client that it was asked of.
pub(crate) struct OffsetQuery {
    queue: Queue,
    table: Arc<PartitionTable>,
    partitions: Vec<PartitionSlot>,
    until: Instant,
    /// What it waits for, before it is asked.
    waiting: RefCell<Option<Waiting>>,
}

/// A question that is asked when another broker has said who leads.
struct Waiting {
    opinion: Opinion,
    handle: Arc<Handle>,
    spec: OffsetSpec,
    isolation: Isolation,
}

impl OffsetQuery {
    /// Asks, and waits for nothing. Where the client's word on who leads `is_doubted`, another broker is asked for that first.
    pub(crate) fn start(
        handle: &Arc<Handle>,
        table: &Arc<PartitionTable>,
        partitions: &[PartitionSlot],
        spec: OffsetSpec,
        isolation: Isolation,
        is_doubted: bool,
    ) -> Self {
        let waiting = is_doubted.then(|| Waiting {
            opinion: Opinion::ask(handle, table, partitions),
            handle: handle.clone(),
            spec,
            isolation,
        });
        let query = Self {
            queue: handle.new_queue(),
            table: table.clone(),
            partitions: partitions.to_vec(),
            until: Instant::now() + Duration::from_millis(REQUEST_TIMEOUT_MS.unsigned_abs().into()) * 2,
            waiting: waiting.into(),
        };
        if !is_doubted {
            query.send(handle, spec, isolation);
        }
        query
    }

    fn send(&self, handle: &Handle, spec: OffsetSpec, isolation: Isolation) {
        if let Some(list) = asked(&self.table, &self.partitions, spec) {
            let options = Options::new(handle, rdk::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS);
            options.set_request_timeout(REQUEST_TIMEOUT_MS);
            options.set_isolation(isolation);
            // SAFETY: all four are alive; the call copies what it needs of list and options.
            unsafe { rdk::rd_kafka_ListOffsets(handle.ptr(), list.ptr(), options.ptr(), self.queue.ptr()) };
        }
    }

    /// Asks what waits for an opinion, once that is over.
    fn go_on(&self, timeout_ms: c_int) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(Waiting { opinion, handle, spec, isolation }) = &*waiting
            && opinion.is_over(handle, timeout_ms)
        {
            self.send(handle, *spec, *isolation);
            *waiting = None;
        }
    }

    /// Waits on an executor; with errors for answers when `stop` became true before.
    pub(crate) async fn finish(self, stop: impl Fn() -> bool) -> Answers {
        loop {
            if let Some(answers) = self.take() {
                return answers;
            }
            if stop() {
                return self.all(KafkaError::timed_out());
            }
            glommio::timer::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits on a thread that may block; `None` when `stop` became true before.
    pub(crate) fn finish_blocking(self, mut stop: impl FnMut() -> bool) -> Option<Answers> {
        loop {
            match self.try_take(100) {
                None if stop() => return None,
                None => {}
                answers => return answers,
            }
        }
    }

    /// The answers, once, when they are there or will not come any more. Each partition is answered or has an error.
    #[must_use]
    pub(crate) fn take(&self) -> Option<Answers> {
        self.try_take(0)
    }

    fn try_take(&self, timeout_ms: c_int) -> Option<Answers> {
        self.go_on(timeout_ms);
        if let Some(event) = self.queue.poll(timeout_ms)
            && event.kind() == rdk::RD_KAFKA_EVENT_LISTOFFSETS_RESULT
        {
            return Some(self.answers(&event));
        }
        // The client answers in time by itself; this is for the day it does not.
        (Instant::now() > self.until).then(|| self.all(KafkaError::timed_out()))
    }

    fn all(&self, error: KafkaError) -> Answers {
        self.partitions.iter().map(|&partition| (partition, Err(error))).collect()
    }

    fn answers(&self, event: &EventPtr) -> Answers {
        // SAFETY: the event is alive and of this kind; infos and partitions live as long as it.
        unsafe {
            if let Err(error) = codes::check(rdk::rd_kafka_event_error(event.ptr())) {
                return self.all(error);
            }
            let result = rdk::rd_kafka_event_ListOffsets_result(event.ptr());
            let mut count = 0;
            let infos = rdk::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            (0..count)
                .filter_map(|index| {
                    let info = *infos.add(index);
                    let place = &*rdk::rd_kafka_ListOffsetsResultInfo_topic_partition(info);
                    let topic = self.table.topic_named(topic_name(place).to_str().ok()?)?;
                    let slot = self.table.slot(TopicPartition { topic, partition: place.partition })?;
                    Some((slot, codes::check(place.err).and_then(|()| known(place))))
                })
                .collect()
        }
    }
}

/// Whether a client that was answered so knows leaders of earlier epochs, and has to look again who leads.
///
/// librdkafka (2.12.1) does by itself where whom it asked does not lead any more. Where that one leads, in an epoch that is
/// later than the client knows of, it does not: it would ask in vain until its next look at the cluster.
pub(crate) fn are_of_earlier_leaders(answers: &Answers) -> bool {
    answers.iter().any(|(_, answer)| *answer == Err(KafkaError::Broker(code::FENCED_LEADER_EPOCH)))
}

/// A partition whose broker went while it was asked has no error of its own, and no offset either.
fn known(place: &rdk::rd_kafka_topic_partition_t) -> Result<OffsetAndEpoch, KafkaError> {
    if place.offset < 0 {
        return Err(codes::error(rdk::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__NO_OFFSET));
    }
    // SAFETY: a reference to an entry of a list is alive.
    let leader_epoch = unsafe { rdk::rd_kafka_topic_partition_get_leader_epoch(place) };
    Ok(OffsetAndEpoch { offset: place.offset, leader_epoch })
}

/// The list of what is asked; `None`: it cannot be made.
fn asked(table: &PartitionTable, partitions: &[PartitionSlot], spec: OffsetSpec) -> Option<PartitionList> {
    let offset = match spec {
        OffsetSpec::Start => rdk::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64,
        OffsetSpec::End => rdk::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64,
    };
    let topics = table.topics().iter().map(|topic| client::c_string(topic).ok());
    let topics = topics.collect::<Option<Vec<CString>>>()?;
    let mut list = PartitionList::new(partitions.len()).ok()?;
    for &slot in partitions {
        let TopicPartition { topic, partition } = table.place(slot);
        list.add(&topics[topic], partition, offset);
    }
    Some(list)
}
