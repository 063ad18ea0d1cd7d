//! Sending records to chosen partitions, and learning where they landed.

use std::{
    ffi::{CStr, CString, c_void},
    ptr,
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    bindings as rdk,
    types::{RDKafkaRespErr as Code, RDKafkaType},
};

use super::{
    admin::offsets::{Answers, OffsetQuery},
    client::{self, EventPtr, Handle, Queue, Topic},
    codes,
    transactions::Transactions,
    wake::QueueWake,
};
use crate::{
    kafka::{ClientError, Isolation, KafkaError, OffsetSpec, ProducerSettings},
    record::{RECORD_ID_HEADER, proof::PROOF_HEADER},
};

/// A record's value.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Sent from where it lies, which it does for as long as the process lives.
    Lasting(&'static [u8]),
    /// Copied before the call returns.
    Passing(&'a [u8]),
}

/// One record to send; key and header are copied.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where it goes: no partitioner is asked.
    pub partition: i32,
    /// The key.
    pub key: &'a [u8],
    /// The value; `None` is a tombstone.
    pub value: Option<Value<'a>>,
    /// Value of the first header, [`RECORD_ID_HEADER`].
    pub record_id: &'a [u8],
    /// Value of the second, [`PROOF_HEADER`]; `None` for no such header.
    pub proof: Option<&'a [u8]>,
    /// The record's timestamp, ms since the epoch; `None` is the time of sending.
    pub timestamp_ms: Option<i64>,
    /// Comes back with the delivery.
    pub token: usize,
}

/// What became of a record.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The record's token.
    pub token: usize,
    /// What became of it.
    pub outcome: Outcome,
}

/// The three outcomes of a send, and one between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acked, at this offset.
    Acked {
        /// Where it landed.
        offset: i64,
    },
    /// Acked, but the broker did not say where: it had seen the batch before.
    AckedSomewhere,
    /// Not in the log, for certain.
    Failed(KafkaError),
    /// In the log, or not.
    Unknown(KafkaError),
}

impl Outcome {
    /// Why it is not in the log, or may not be.
    #[must_use]
    pub fn error(self) -> Option<KafkaError> {
        match self {
            Self::Acked { .. } | Self::AckedSomewhere => None,
            Self::Failed(error) | Self::Unknown(error) => Some(error),
        }
    }
}

impl Delivery {
    /// The same, failed of what its batch failed of, where its own error says less.
    fn blamed_on(mut self, of_batch: Option<KafkaError>) -> Self {
        if let (Outcome::Failed(error) | Outcome::Unknown(error), Some(of_batch)) =
            (&mut self.outcome, of_batch)
            && error.is_vague()
        {
            *error = of_batch;
        }
        self
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The client's queue is full: try again after deliveries.
    QueueFull,
    /// This client is finished; make a new one.
    Fatal(KafkaError),
    /// This record cannot be sent.
    Refused(KafkaError),
}

/// How many deliveries are taken out of an event at once.
const DELIVERIES: usize = 1024;

/// A producer for one topic, used by one shard.
pub struct Producer {
    // Fields are dropped in this order: references first, the client last.
    messages: Box<[*const rdk::rd_kafka_message_t]>,
    topic: Topic,
    queue: Queue,
    /// About end offsets, while it is under way.
    question: Option<OffsetQuery>,
    wake: QueueWake,
    handle: Arc<Handle>,
    topic_name: String,
    header: CString,
    proof_header: CString,
}

impl Producer {
    /// Starts a client. Must be called on the executor that will use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub fn start(settings: &ProducerSettings, topic: &str) -> Result<Self, ClientError> {
        let handle =
            Handle::start(RDKafkaType::RD_KAFKA_PRODUCER, &settings.config(), &settings.client_cpus)?;
        let handle = Arc::new(handle);
        let (queue, wake) = (handle.main_queue(), QueueWake::new()?);
        wake.attach(queue.ptr());
        let known = handle.topic(topic)?;
        handle.learn(topic, &settings.client_cpus);
        Ok(Self {
            messages: vec![ptr::null(); DELIVERIES].into(),
            topic: known,
            queue,
            question: None,
            wake,
            handle,
            topic_name: topic.to_owned(),
            header: client::c_string(RECORD_ID_HEADER)?,
            proof_header: client::c_string(PROOF_HEADER)?,
        })
    }

    /// Starts the thread on which this producer's transactions begin and end.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn transactions(&self, settings: &ProducerSettings) -> Result<Transactions, ClientError> {
        Transactions::start(self.handle.clone(), &settings.client_cpus, self.wake.ringer()?)
    }

    /// Hands a record to the client.
    ///
    /// # Errors
    /// The record was not taken.
    pub fn send(&mut self, record: &Record<'_>) -> Result<(), SendError> {
        let (value, copy) = match record.value {
            Some(Value::Lasting(value)) => ((value.as_ptr(), value.len()), 0),
            Some(Value::Passing(value)) => ((value.as_ptr(), value.len()), rdk::RD_KAFKA_MSG_F_COPY),
            None => ((ptr::null(), 0), 0),
        };
        let arguments = [
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT, |u| u.rkt = self.topic.ptr()),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION, |u| u.i32_ = record.partition),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY, |u| {
                u.mem = bytes(record.key.as_ptr(), record.key.len());
            }),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE, |u| u.mem = bytes(value.0, value.1)),
            header(&self.header, record.record_id),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE, |u| {
                u.ptr = ptr::without_provenance_mut(record.token);
            }),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS, |u| u.i = copy),
            // 0 is "now".
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP, |u| {
                u.i64_ = record.timestamp_ms.unwrap_or(0);
            }),
            // Last, so that it can be left out.
            header(&self.proof_header, record.proof.unwrap_or_default()),
        ];
        let arguments = &arguments[..arguments.len() - usize::from(record.proof.is_none())];
        // SAFETY: every argument's union field is the one that its type names. Topic and
        // header names live as long as `self`; key and header values are copied before the
        // call returns, and so is the value where the flag says so; otherwise it is 'static and
        // outlives the client's use of it.
        let error =
            unsafe { rdk::rd_kafka_produceva(self.handle.ptr(), arguments.as_ptr(), arguments.len()) };
        if error.is_null() { Ok(()) } else { Err(send_error(&self.handle, error)) }
    }

    /// The error that finished this client, if one did.
    #[must_use]
    pub fn fatal_error(&self) -> Option<KafkaError> {
        self.handle.fatal_error()
    }

    /// Takes the deliveries that have come, at most `limit_events` batches of them,
    /// and returns how many there were.
    pub fn poll(&mut self, limit_events: usize, mut each: impl FnMut(Delivery)) -> usize {
        let mut count = 0;
        for _ in 0..limit_events {
            let Some(event) = self.queue.poll(0) else { break };
            if event.kind() == rdk::RD_KAFKA_EVENT_DR {
                count += take_deliveries(&event, &mut self.messages, &mut each);
            }
            // Errors of the client as a whole (a broker that went) are the observer's to tell.
        }
        count
    }

    /// Waits for deliveries, but not longer than `limit`.
    pub async fn wait(&self, limit: Duration) {
        self.wake.wait(limit).await;
    }

    /// Asks for the end offsets of these partitions; each is answered or has an error, at once when `stop` becomes true.
    pub async fn end_offsets(
        &self,
        partitions: &[i32],
        isolation: Isolation,
        stop: impl Fn() -> bool,
    ) -> Answers {
        self.end_offsets_query(partitions, isolation).finish(stop).await
    }

    /// Asks for the end offsets of these partitions, and does not wait for the answers.
    pub fn ask_end_offsets(&mut self, partitions: &[i32], isolation: Isolation) {
        self.question = Some(self.end_offsets_query(partitions, isolation));
    }

    /// What was answered to that, once: each partition has its answer, or an error.
    pub fn take_end_offsets(&mut self) -> Option<Answers> {
        let answers = self.question.as_ref()?.take()?;
        self.question = None;
        Some(answers)
    }

    fn end_offsets_query(&self, partitions: &[i32], isolation: Isolation) -> OffsetQuery {
        OffsetQuery::start(&self.handle, &self.topic_name, partitions, OffsetSpec::End, isolation)
    }

    /// Gives up on everything that has not been delivered: each record still gets
    /// its delivery, with an error, at the next polls.
    pub fn purge(&mut self) {
        // The client's own threads are not waited for: one may be asking for an address.
        let what = rdk::RD_KAFKA_PURGE_F_QUEUE | rdk::RD_KAFKA_PURGE_F_INFLIGHT;
        let flags = what | rdk::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: the client is alive.
        unsafe { rdk::rd_kafka_purge(self.handle.ptr(), flags) };
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        QueueWake::detach(self.queue.ptr());
    }
}

/// Takes a record's error over, and says what it means.
#[cold]
pub(crate) fn send_error(client: &Handle, error: *mut rdk::rd_kafka_error_t) -> SendError {
    // SAFETY: the error is ours, and not used after it is destroyed.
    let code = unsafe {
        let code = rdk::rd_kafka_error_code(error);
        rdk::rd_kafka_error_destroy(error);
        code
    };
    match code {
        Code::RD_KAFKA_RESP_ERR__QUEUE_FULL => SendError::QueueFull,
        code if client.fatal_error().is_some() => SendError::Fatal(codes::error(code)),
        code => SendError::Refused(codes::error(code)),
    }
}

/// Shows the deliveries of an event, and returns how many there were.
///
/// An event is a batch. Where the broker refused it for several of its records, those and the others have codes that say no
/// more than that; the code of the batch says what it was. The broker's words are not to be had: what
/// `rd_kafka_message_produce_errstr` returns has been freed by then (seen in 2.12.1, whose event has a copy of them).
pub(crate) fn take_deliveries(
    event: &EventPtr,
    messages: &mut [*const rdk::rd_kafka_message_t],
    each: &mut impl FnMut(Delivery),
) -> usize {
    let (mut count, mut is_placed) = (0, true);
    // SAFETY: the event is alive.
    let of_batch = codes::check(unsafe { rdk::rd_kafka_event_error(event.ptr()) }).err();
    loop {
        // SAFETY: the event is alive, and the array has room for as many as is said.
        let got =
            unsafe { rdk::rd_kafka_event_message_array(event.ptr(), messages.as_mut_ptr(), messages.len()) };
        for (index, &message) in (count..).zip(&messages[..got]) {
            // SAFETY: the first `got` messages were filled in, and live as long as the event.
            let mut delivery = unsafe { delivery(message) };
            // An event is a batch. One that the broker has taken before has no place: the client counts on from -1 all
            // the same (`rd_kafka_msgq_set_metadata`, 2.12.1), and its second record would be at offset 0.
            is_placed &= index > 0 || delivery.outcome != Outcome::AckedSomewhere;
            if !is_placed && matches!(delivery.outcome, Outcome::Acked { .. }) {
                delivery.outcome = Outcome::AckedSomewhere;
            }
            each(delivery.blamed_on(of_batch));
        }
        count += got;
        if got < messages.len() {
            return count;
        }
    }
}

pub(crate) fn argument(
    kind: rdk::rd_kafka_vtype_t,
    set: impl FnOnce(&mut rdk::rd_kafka_vu_s__bindgen_ty_1),
) -> rdk::rd_kafka_vu_t {
    let mut value = rdk::rd_kafka_vu_s__bindgen_ty_1 { ptr: ptr::null_mut() };
    set(&mut value);
    rdk::rd_kafka_vu_t { vtype: kind, u: value }
}

fn header(name: &CStr, value: &[u8]) -> rdk::rd_kafka_vu_t {
    argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADER, |u| {
        u.header = rdk::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 {
            name: name.as_ptr(),
            val: value.as_ptr().cast(),
            size: value.len().cast_signed(),
        };
    })
}

pub(crate) fn bytes(start: *const u8, size: usize) -> rdk::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    // The client only reads what it is given here.
    rdk::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: start.cast_mut().cast::<c_void>(), size }
}

/// # Safety
/// The message is alive and came out of a delivery event.
unsafe fn delivery(message: *const rdk::rd_kafka_message_t) -> Delivery {
    // SAFETY: the caller's promise.
    let (code, offset, opaque, status) = unsafe {
        let status = rdk::rd_kafka_message_status(message);
        ((*message).err, (*message).offset, (*message)._private, status)
    };
    let outcome = match code {
        Code::RD_KAFKA_RESP_ERR_NO_ERROR if offset >= 0 => Outcome::Acked { offset },
        Code::RD_KAFKA_RESP_ERR_NO_ERROR => Outcome::AckedSomewhere,
        code if status == rdk::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED => {
            Outcome::Failed(codes::error(code))
        }
        code => Outcome::Unknown(codes::error(code)),
    };
    Delivery { token: opaque.addr(), outcome }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::LocalError;

    #[test]
    fn a_batch_is_refused_for_what_was_wrong_with_it() {
        let other = KafkaError::Local(LocalError::DifferentRecord);
        let [invalid, time] = [87, 32].map(KafkaError::Broker);
        let delivery = |outcome| Delivery { token: 3, outcome };
        let blamed = |outcome, of_batch| delivery(outcome).blamed_on(of_batch).outcome;
        assert_eq!(blamed(Outcome::Failed(other), Some(time)), Outcome::Failed(time));
        assert_eq!(blamed(Outcome::Failed(invalid), Some(time)), Outcome::Failed(time));
        assert_eq!(blamed(Outcome::Failed(time), Some(invalid)), Outcome::Failed(time), "it says more");
        assert_eq!(blamed(Outcome::Acked { offset: 1 }, Some(time)), Outcome::Acked { offset: 1 });
        assert_eq!(blamed(Outcome::Failed(other), Some(invalid)), Outcome::Failed(invalid));
        assert_eq!(blamed(Outcome::Unknown(other), Some(invalid)), Outcome::Unknown(invalid));
        assert_eq!(blamed(Outcome::Failed(other), None), Outcome::Failed(other), "nothing else is known");
    }
}
