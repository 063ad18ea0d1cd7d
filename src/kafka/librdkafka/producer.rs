//! Sending records to chosen partitions, and learning where they landed.

use std::{cell::Cell, ffi::c_void, ptr, rc::Rc, sync::Arc, time::Duration};

use rdkafka::{
    bindings as rdk,
    types::{RDKafkaRespErr as Code, RDKafkaType},
};

use super::{
    admin::offsets::{self, OffsetQuery},
    client::{EventPtr, Handle, Queue, Topic},
    codes,
    factory::Waking,
    settings::ProducerSettings,
    transactions,
    wake::QueueWake,
};
use crate::{
    kafka::{
        Answers, ClientError, Delivery, HeaderField, Isolation, KafkaError, LocalError, LogWriter,
        MOST_HEADERS, OffsetSpec, Outcome, QuestionId, Record, SendError, SlotWriter, Slots, Transactions,
        Value,
    },
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
    runtime::cores::cpu_set::CpuSet,
};

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

/// A producer, used by one shard.
pub(crate) struct Producer {
    // Fields are dropped in this order: references first, the client last.
    messages: Box<[*const rdk::rd_kafka_message_t]>,
    topics: Vec<Topic>,
    queue: Queue,
    /// Those that are under way.
    questions: Vec<(QuestionId, OffsetQuery)>,
    waking: Waking,
    handle: Arc<Handle>,
    /// Gone after the client that may be sending what is in them.
    slots: Slots,
    table: Arc<PartitionTable>,
    client_cpus: CpuSet,
    /// Shared with the clients that are made after this one: something has come back.
    is_warm: Rc<Cell<bool>>,
    /// A record went to this client.
    has_sent: bool,
}

impl Producer {
    /// Starts a client. Must be called on the executor that will use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(super) fn start(
        settings: &ProducerSettings,
        table: &Arc<PartitionTable>,
        waking: Waking,
        is_warm: Rc<Cell<bool>>,
    ) -> Result<Self, ClientError> {
        let handle =
            Handle::start(RDKafkaType::RD_KAFKA_PRODUCER, &settings.config(), &settings.client_cpus)?;
        let handle = Arc::new(handle);
        let queue = handle.main_queue();
        waking.attach(queue.ptr());
        let known = table.topics().iter().map(|topic| handle.topic(topic)).collect::<Result<_, _>>()?;
        if waking.is_own() {
            // With many clients in a process their threads would be too many.
            for topic in table.topics() {
                handle.learn(topic, &settings.client_cpus);
            }
        }
        Ok(Self {
            messages: vec![ptr::null(); waking.deliveries()].into(),
            topics: known,
            queue,
            questions: Vec::new(),
            waking,
            handle,
            slots: Slots::default(),
            table: table.clone(),
            client_cpus: settings.client_cpus.clone(),
            is_warm,
            has_sent: false,
        })
    }
}

impl LogWriter for Producer {
    /// The first record goes alone: librdkafka asks for a producer id twice a second until a broker answers, and a whole
    /// window sent before that would only measure this wait.
    fn send(&mut self, record: &Record<'_>) -> Result<(), SendError> {
        if self.has_sent && !self.is_warm.get() {
            return Err(SendError::QueueFull);
        }
        let (value, copy) = match record.value {
            Some(Value::Lasting(value)) => ((value.as_ptr(), value.len()), 0),
            Some(Value::Slot) => {
                let value = self.slots.value(record.token);
                ((value.as_ptr(), value.len()), 0)
            }
            Some(Value::Passing(value)) => ((value.as_ptr(), value.len()), rdk::RD_KAFKA_MSG_F_COPY),
            None => ((ptr::null(), 0), 0),
        };
        let Some(headers) = pad(record.headers) else {
            return Err(SendError::Refused(KafkaError::Local(LocalError::InvalidArgument)));
        };
        let TopicPartition { topic, partition } = self.table.place(record.partition);
        let topic = &self.topics[topic];
        let [first, second] = headers;
        let arguments = [
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT, |u| u.rkt = topic.ptr()),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION, |u| u.i32_ = partition),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY, |u| {
                u.mem = bytes(record.key.as_ptr(), record.key.len());
            }),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE, |u| u.mem = bytes(value.0, value.1)),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE, |u| {
                u.ptr = ptr::without_provenance_mut(record.token);
            }),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS, |u| u.i = copy),
            // 0 is "now".
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP, |u| {
                u.i64_ = record.timestamp_ms.unwrap_or(0);
            }),
            // Last, so that they can be left out.
            header(first),
            header(second),
        ];
        let arguments = &arguments[..arguments.len() - (MOST_HEADERS - record.headers.len())];
        // SAFETY: every argument's union field is the one that its type names. The topic lives as long as `self`, and
        // header names are 'static; key and header values are copied before the call returns, and so is the value where
        // the flag says so; otherwise it is 'static, or in a slot that is neither written nor freed while it is lent, that
        // is until its delivery or until the client is gone.
        let error =
            unsafe { rdk::rd_kafka_produceva(self.handle.ptr(), arguments.as_ptr(), arguments.len()) };
        if !error.is_null() {
            return Err(send_error(&self.handle, error));
        }
        self.has_sent = true;
        if matches!(record.value, Some(Value::Slot)) {
            self.slots.lend(record.token);
        }
        Ok(())
    }

    fn fatal_error(&self) -> Option<KafkaError> {
        self.handle.fatal_error()
    }

    fn poll(&mut self, limit_events: usize, mut each: impl FnMut(Delivery)) -> usize {
        let mut count = 0;
        let (messages, slots) = (&mut self.messages, &mut self.slots);
        let has_slots = slots.count() > 0;
        for _ in 0..limit_events {
            let Some(event) = self.queue.poll(0) else { break };
            if event.kind() == rdk::RD_KAFKA_EVENT_DR {
                count += take_deliveries(&event, messages, &mut |delivery: Delivery| {
                    if has_slots {
                        slots.give_back(delivery.token);
                    }
                    each(delivery);
                });
            }
            // Errors of the client as a whole (a broker that went) are the observer's to tell.
        }
        if count > 0 {
            self.is_warm.set(true);
        } else if self.fatal_error().is_some() {
            // It keeps what it has until it is told to let go of it, and what comes back to it later too.
            self.abandon();
        }
        count
    }

    async fn wait(&self, limit: Duration) {
        self.waking.wait(limit).await;
    }

    fn ask_offsets(
        &mut self,
        partitions: &[PartitionSlot],
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> QuestionId {
        let id = QuestionId::next();
        let query = OffsetQuery::start(&self.handle, &self.table, partitions, spec, isolation, false);
        self.questions.push((id, query));
        id
    }

    fn answers(&mut self, question: QuestionId) -> Option<Answers> {
        let Some(place) = self.questions.iter().position(|(id, _)| *id == question) else {
            return Some(Answers::new());
        };
        let answers = self.questions[place].1.take()?;
        self.questions.swap_remove(place);
        if offsets::are_of_earlier_leaders(&answers) {
            self.topics.iter().for_each(|topic| self.handle.look_for_leaders(topic));
        }
        Some(answers)
    }

    fn transactions(&self) -> Result<Transactions, ClientError> {
        transactions::start(self.handle.clone(), &self.client_cpus, self.waking.notifier()?)
    }

    fn abandon(&mut self) {
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
        // The client is closed on another thread, or one that ends a transaction holds it, and it may hold values.
        if self.slots.is_any_lent() {
            std::mem::forget(std::mem::take(&mut self.slots));
        }
    }
}

impl SlotWriter for Producer {
    fn slots(&mut self) -> &mut Slots {
        &mut self.slots
    }
}

/// Takes a record's error over, and says what it means.
#[cold]
fn send_error(client: &Handle, error: *mut rdk::rd_kafka_error_t) -> SendError {
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
fn take_deliveries(
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
            is_placed &= index > 0 || delivery.outcome != Outcome::AckedNoOffset;
            if !is_placed && matches!(delivery.outcome, Outcome::Acked { .. }) {
                delivery.outcome = Outcome::AckedNoOffset;
            }
            each(delivery.blamed_on(of_batch));
        }
        count += got;
        if got < messages.len() {
            return count;
        }
    }
}

fn argument(
    kind: rdk::rd_kafka_vtype_t,
    set: impl FnOnce(&mut rdk::rd_kafka_vu_s__bindgen_ty_1),
) -> rdk::rd_kafka_vu_t {
    let mut value = rdk::rd_kafka_vu_s__bindgen_ty_1 { ptr: ptr::null_mut() };
    set(&mut value);
    rdk::rd_kafka_vu_t { vtype: kind, u: value }
}

/// These headers, and empty ones behind them; `None` for more than there can be.
fn pad<'a>(headers: &[HeaderField<'a>]) -> Option<[HeaderField<'a>; MOST_HEADERS]> {
    let mut all = [(c"", &[][..]); MOST_HEADERS];
    all.get_mut(..headers.len())?.copy_from_slice(headers);
    Some(all)
}

fn header((name, value): HeaderField<'_>) -> rdk::rd_kafka_vu_t {
    argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADER, |u| {
        u.header = rdk::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 {
            name: name.as_ptr(),
            val: value.as_ptr().cast(),
            size: value.len().cast_signed(),
        };
    })
}

fn bytes(start: *const u8, size: usize) -> rdk::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
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
        Code::RD_KAFKA_RESP_ERR_NO_ERROR => Outcome::AckedNoOffset,
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
