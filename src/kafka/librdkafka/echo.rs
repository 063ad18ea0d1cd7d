//! Sending records whose value is assembled in place: a few bytes that are new
//! each time, in front of a payload that is not.
//!
//! The values live in slots that the producer owns. A slot is lent to one record
//! and comes back with its delivery, so that no value is copied or allocated.

use std::{ffi::c_void, ptr, sync::Arc, time::Duration};

use rdkafka::{bindings as rdk, types::RDKafkaType};

use super::{
    client::{Handle, Queue, Topic},
    hub::HubBell,
    producer::{argument, bytes, send_error, take_deliveries},
    transactions,
    wake::QueueWake,
};
use crate::kafka::{ClientError, Delivery, KafkaError, ProducerSettings, SendError, Transactions};

/// A record to send; its value is the slot's.
#[derive(Clone, Copy, Debug)]
pub struct Echo<'a> {
    /// Place of its topic in the list given at the start.
    pub topic: usize,
    /// The partition.
    pub partition: i32,
    /// The key; it is copied.
    pub key: &'a [u8],
    /// Which slot; it must not be lent already.
    pub slot: usize,
    /// Whether to send a null value instead of the slot's.
    pub tombstone: bool,
}

/// How many deliveries are taken out of an event at once.
const DELIVERIES: usize = 256;

/// A producer for a few topics, used by one shard.
pub struct EchoProducer {
    // Fields are dropped in this order: references first, the client, then the values that it may be sending.
    messages: Box<[*const rdk::rd_kafka_message_t]>,
    topics: Vec<Topic>,
    queue: Queue,
    bell: HubBell,
    handle: Arc<Handle>,
    slots: Vec<Slot>,
}

struct Slot {
    value: Box<[u8]>,
    /// The client may be reading the value.
    lent: bool,
}

impl EchoProducer {
    /// Starts a client; does not wait for brokers. Must be called on the executor that will use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub fn start(
        settings: &ProducerSettings,
        topics: &[String],
        bell: &HubBell,
    ) -> Result<Self, ClientError> {
        let handle =
            Handle::start(RDKafkaType::RD_KAFKA_PRODUCER, &settings.config(), &settings.client_cpus)?;
        let queue = handle.main_queue();
        bell.attach(queue.ptr());
        let topics = topics.iter().map(|topic| handle.topic(topic)).collect::<Result<_, _>>()?;
        Ok(Self {
            messages: vec![ptr::null(); DELIVERIES].into(),
            topics,
            queue,
            bell: bell.clone(),
            handle: Arc::new(handle),
            slots: Vec::new(),
        })
    }

    /// Starts the thread on which this producer's transactions begin and end.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn transactions(&self, settings: &ProducerSettings) -> Result<Transactions, ClientError> {
        transactions::start(self.handle.clone(), &settings.client_cpus, self.bell.ringer()?)
    }

    /// Adds a slot with this value, and returns its number: slots count from 0.
    pub fn add_slot(&mut self, value: Box<[u8]>) -> usize {
        self.slots.push(Slot { value, lent: false });
        self.slots.len() - 1
    }

    /// Slots so far.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Writes the beginning of a slot's value.
    ///
    /// # Panics
    /// The slot is lent, or shorter than that: a bug.
    pub fn write(&mut self, slot: usize, start: &[u8]) {
        let slot = &mut self.slots[slot];
        assert!(!slot.lent, "a value that is being sent must not change");
        slot.value[..start.len()].copy_from_slice(start);
    }

    /// Hands a record to the client. Its delivery brings back the slot's number as its token.
    ///
    /// # Errors
    /// The record was not taken, and its slot is free again.
    ///
    /// # Panics
    /// The slot is lent: a bug.
    pub fn send(&mut self, echo: &Echo<'_>) -> Result<(), SendError> {
        let slot = &mut self.slots[echo.slot];
        assert!(!slot.lent, "a slot is lent to one record at a time");
        let value = if echo.tombstone { (ptr::null(), 0) } else { (slot.value.as_ptr(), slot.value.len()) };
        let topic = &self.topics[echo.topic];
        let arguments = [
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT, |u| u.rkt = topic.ptr()),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION, |u| u.i32_ = echo.partition),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY, |u| {
                u.mem = bytes(echo.key.as_ptr(), echo.key.len());
            }),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE, |u| u.mem = bytes(value.0, value.1)),
            argument(rdk::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE, |u| {
                u.ptr = ptr::without_provenance_mut::<c_void>(echo.slot);
            }),
        ];
        // SAFETY: every argument's union field is the one that its type names. The topic lives as long as
        // `self`, and the key is copied before the call returns. The value is not copied: it is on the heap
        // and neither written nor freed while it is lent, that is until its delivery, or until the client is gone.
        let error =
            unsafe { rdk::rd_kafka_produceva(self.handle.ptr(), arguments.as_ptr(), arguments.len()) };
        if error.is_null() {
            slot.lent = true;
            return Ok(());
        }
        Err(send_error(&self.handle, error))
    }

    /// Takes the deliveries that have come, at most `limit_events` batches of them, and returns how many there were.
    pub fn poll(&mut self, limit_events: usize, mut each: impl FnMut(Delivery)) -> usize {
        let (messages, slots) = (&mut self.messages, &mut self.slots);
        let mut count = 0;
        for _ in 0..limit_events {
            let Some(event) = self.queue.poll(0) else { break };
            if event.kind() == rdk::RD_KAFKA_EVENT_DR {
                count += take_deliveries(&event, messages, &mut |delivery: Delivery| {
                    slots[delivery.token].lent = false;
                    each(delivery);
                });
            }
            // Errors of the client as a whole (a broker that went) are the observer's to tell.
        }
        count
    }

    /// The error that finished this client, if one did.
    #[must_use]
    pub fn fatal_error(&self) -> Option<KafkaError> {
        self.handle.fatal_error()
    }

    /// Gives up on everything that has not been delivered: each record still gets its delivery,
    /// with an error, at the next polls.
    pub fn purge(&mut self) {
        // The client's own threads are not waited for: one may be asking for an address.
        let what = rdk::RD_KAFKA_PURGE_F_QUEUE | rdk::RD_KAFKA_PURGE_F_INFLIGHT;
        let flags = what | rdk::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: the client is alive.
        unsafe { rdk::rd_kafka_purge(self.handle.ptr(), flags) };
    }

    /// Waits for whatever rings this worker's bell, but not longer than `limit`.
    pub async fn wait(&self, limit: Duration) {
        self.bell.bell().wait_at_most(limit).await;
    }
}

impl Drop for EchoProducer {
    fn drop(&mut self) {
        QueueWake::detach(self.queue.ptr());
        // The client is closed on another thread, or one that ends a transaction holds it, and it may hold values.
        if self.slots.iter().any(|slot| slot.lent) {
            std::mem::forget(std::mem::take(&mut self.slots));
        }
    }
}
