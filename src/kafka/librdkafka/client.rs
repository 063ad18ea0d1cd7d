//! Owners of librdkafka's handles: what is created here is destroyed here.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    mem,
    ptr::NonNull,
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use rdkafka::{ClientConfig, bindings as rdk, types::RDKafkaType};

use super::{bearer, codes, complaint, settings, signals};
use crate::{
    findings::{Side, complaints},
    kafka::{ClientError, KafkaError, chatter::Chatter},
    runtime::cores::{affinity, cpu_set::CpuSet},
};

/// A client instance. librdkafka's instances may be used from any thread.
pub(crate) struct Handle(NonNull<rdk::rd_kafka_t>);

// SAFETY: "librdkafka is completely thread-safe" (INTRODUCTION.md, Threads and callbacks);
// the pointer is only given up in `drop`, which has the value to itself.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// No partition in particular: `RD_KAFKA_PARTITION_UA`, a macro that the bindings do not have.
pub(crate) const ANY_PARTITION: i32 = -1;

/// How long a start waits for the cluster's picture.
const LEARN_TIMEOUT_MS: c_int = 1_000;
/// The thread that waits needs little.
const LEARN_STACK_BYTES: usize = 256 << 10;

/// Longest error text that librdkafka writes for us.
const ERROR_TEXT_BYTES: usize = 512;

impl Handle {
    /// Starts a client whose own threads may run on `cpus`.
    ///
    /// Threads inherit the mask of the thread that makes them, and librdkafka makes
    /// more later from those it has: one short-lived thread with the right mask
    /// decides for all of them.
    pub(crate) fn start(
        kind: RDKafkaType,
        config: &ClientConfig,
        cpus: &CpuSet,
    ) -> Result<Self, ClientError> {
        Self::start_with(kind, config, cpus, |_| ())
    }

    /// The same, with something to do to the configuration before the client takes it over.
    pub(crate) fn start_with(
        kind: RDKafkaType,
        config: &ClientConfig,
        cpus: &CpuSet,
        set_up: impl FnOnce(*mut rdk::rd_kafka_conf_t) + Send,
    ) -> Result<Self, ClientError> {
        affinity::with_affinity(cpus, || Self::start_here(kind, config, set_up))
            .map_err(|error| settings::start_error(&error))?
    }

    fn start_here(
        kind: RDKafkaType,
        config: &ClientConfig,
        set_up: impl FnOnce(*mut rdk::rd_kafka_conf_t),
    ) -> Result<Self, ClientError> {
        let native = settings::native(config)?;
        let mut text = [0; ERROR_TEXT_BYTES];
        // SAFETY: the configuration is alive until `rd_kafka_new` takes it over. The text buffer has the size that is
        // given.
        unsafe {
            rdk::rd_kafka_conf_set_log_cb(native.ptr(), Some(log));
            // Told by no event.
            rdk::rd_kafka_conf_set_throttle_cb(native.ptr(), Some(throttled));
            // Everything that is polled comes as events: no callbacks but the log's and this one.
            let events = rdk::RD_KAFKA_EVENT_DR | rdk::RD_KAFKA_EVENT_ERROR | rdk::RD_KAFKA_EVENT_STATS;
            rdk::rd_kafka_conf_set_events(native.ptr(), events);
            signals::let_profile(native.ptr());
            set_up(native.ptr());
            let bearer = bearer::is_wanted(config);
            if bearer {
                bearer::prepare(native.ptr());
            }
            let handle = rdk::rd_kafka_new(kind, native.ptr(), text.as_mut_ptr(), text.len());
            // Also when it fails: by documentation the configuration is still ours then, but its list of interceptors
            // may have been freed by now, and would be again (seen with librdkafka 2.12.1). What leaks is one
            // configuration, where a run ends.
            mem::forget(native);
            let Some(handle) = NonNull::new(handle) else { return Err(ClientError::Start(text_of(&text))) };
            let handle = Self(handle);
            if bearer {
                bearer::provide(handle.ptr())?;
            }
            Ok(handle)
        }
    }

    pub(crate) fn ptr(&self) -> *mut rdk::rd_kafka_t {
        self.0.as_ptr()
    }

    /// Has the client learn the topic's leaders now, if brokers answer soon.
    ///
    /// Without this the first records wait for the client's next look at the cluster, half a
    /// second later. Without an answer all goes on as it would have. The call waits for brokers, so that it is made on
    /// a thread of its own: a shard waits for none.
    pub(crate) fn learn(self: &Arc<Self>, topic: &str, cpus: &CpuSet) {
        let (handle, topic, cpus) = (self.clone(), topic.to_owned(), cpus.clone());
        let work = move || {
            // Where the client's own threads may run, this one may.
            let _ = affinity::restrict_current_thread(&cpus);
            if let Ok(topic) = handle.topic(&topic) {
                handle.ask_for_leaders(&topic, LEARN_TIMEOUT_MS);
            }
        };
        // Without a thread to be had all goes on as it would have, too.
        let _ = thread::Builder::new().name("learning".to_owned()).stack_size(LEARN_STACK_BYTES).spawn(work);
    }

    /// Has the client look again who leads the topic's partitions, and waits for nothing: the request goes out, and what
    /// comes back is for the client.
    pub(crate) fn look_for_leaders(&self, topic: &Topic) {
        self.ask_for_leaders(topic, 0);
    }

    fn ask_for_leaders(&self, topic: &Topic, timeout_ms: c_int) {
        let mut metadata = std::ptr::null();
        // SAFETY: client and topic are alive; on success the metadata is ours to destroy.
        unsafe {
            let code = rdk::rd_kafka_metadata(self.ptr(), 0, topic.ptr(), &raw mut metadata, timeout_ms);
            if codes::check(code).is_ok() {
                rdk::rd_kafka_metadata_destroy(metadata);
            }
        }
    }

    /// The queue of events that belong to the client as a whole.
    pub(crate) fn main_queue(&self) -> Queue {
        // SAFETY: the client is alive; the call returns a new reference, which `Queue` releases.
        Queue(unsafe { rdk::rd_kafka_queue_get_main(self.ptr()) })
    }

    /// The queue of a group's member: records, and rebalances.
    pub(crate) fn consumer_queue(&self) -> Queue {
        // SAFETY: the client is alive and a consumer in a group; the call returns a new reference, which `Queue` releases.
        Queue(unsafe { rdk::rd_kafka_queue_get_consumer(self.ptr()) })
    }

    /// The error that finished this client, if one did.
    pub(crate) fn fatal_error(&self) -> Option<KafkaError> {
        // SAFETY: the client is alive; a null text of size 0 asks for the code alone.
        let code = unsafe { rdk::rd_kafka_fatal_error(self.ptr(), std::ptr::null_mut(), 0) };
        codes::check(code).err()
    }

    /// A queue of its own.
    pub(crate) fn new_queue(&self) -> Queue {
        // SAFETY: the client is alive; the call returns a new queue, which `Queue` releases.
        Queue(unsafe { rdk::rd_kafka_queue_new(self.ptr()) })
    }

    /// A reference to a topic.
    pub(crate) fn topic(&self, name: &str) -> Result<Topic, ClientError> {
        let name = c_string(name)?;
        // SAFETY: the client and the name are alive; a null configuration means the default one.
        let topic = unsafe { rdk::rd_kafka_topic_new(self.ptr(), name.as_ptr(), std::ptr::null_mut()) };
        NonNull::new(topic)
            .map(Topic)
            .ok_or_else(|| ClientError::Start(format!("no handle for topic '{}'", name.to_string_lossy())))
    }
}

impl Drop for Handle {
    /// Closing waits for the client's own threads, and they may wait for brokers that hang, or for names: it must not
    /// take a shard with it.
    fn drop(&mut self) {
        let closing = Closing(self.0);
        // Without a thread to be had it is closed here.
        let _ = thread::Builder::new().name("closing".to_owned()).spawn(move || drop(closing));
    }
}

/// A client that nobody refers to any more.
struct Closing(NonNull<rdk::rd_kafka_t>);

// SAFETY: as for `Handle`; the pointer is only given up in `drop`, which has the value to itself.
unsafe impl Send for Closing {}

impl Drop for Closing {
    fn drop(&mut self) {
        // SAFETY: the last use of the pointer. The flag avoids the wait for a group that a
        // client of ours either has left by then, or never was in; nor does the client call back any more.
        unsafe { rdk::rd_kafka_destroy_flags(self.0.as_ptr(), rdk::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) };
    }
}

/// A reference to a queue; released before the client it belongs to.
pub(crate) struct Queue(*mut rdk::rd_kafka_queue_t);

impl Queue {
    pub(crate) fn ptr(&self) -> *mut rdk::rd_kafka_queue_t {
        self.0
    }

    /// The next event, if one is there or comes within `timeout_ms`.
    pub(crate) fn poll(&self, timeout_ms: c_int) -> Option<EventPtr> {
        // SAFETY: the queue is alive; a returned event is ours to destroy.
        NonNull::new(unsafe { rdk::rd_kafka_queue_poll(self.0, timeout_ms) }).map(EventPtr)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and not used again.
        unsafe { rdk::rd_kafka_queue_destroy(self.0) };
    }
}

/// An event that was taken from a queue.
pub(crate) struct EventPtr(NonNull<rdk::rd_kafka_event_t>);

impl EventPtr {
    pub(crate) fn ptr(&self) -> *mut rdk::rd_kafka_event_t {
        self.0.as_ptr()
    }

    /// One of `RD_KAFKA_EVENT_…`.
    pub(crate) fn kind(&self) -> c_int {
        // SAFETY: the event is alive.
        unsafe { rdk::rd_kafka_event_type(self.ptr()) }
    }
}

impl Drop for EventPtr {
    fn drop(&mut self) {
        // SAFETY: the event is ours and not used again.
        unsafe { rdk::rd_kafka_event_destroy(self.ptr()) };
    }
}

/// A reference to a topic; released before the client it belongs to.
pub(crate) struct Topic(NonNull<rdk::rd_kafka_topic_t>);

// SAFETY: a reference to a topic may be used and released from any thread, like its client.
unsafe impl Send for Topic {}

impl Topic {
    pub(crate) fn ptr(&self) -> *mut rdk::rd_kafka_topic_t {
        self.0.as_ptr()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and not used again.
        unsafe { rdk::rd_kafka_topic_destroy(self.ptr()) };
    }
}

/// The last thing that librdkafka complained about: the reason behind a time-out.
static LAST_COMPLAINT: Mutex<String> = Mutex::new(String::new());

/// Why brokers were not reached, in librdkafka's words; empty when it said nothing.
pub(crate) fn last_complaint() -> String {
    LAST_COMPLAINT.lock().map(|text| text.clone()).unwrap_or_default()
}

/// Called on librdkafka's own threads, never on a shard.
unsafe extern "C" fn log(
    client: *const rdk::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    // SAFETY: librdkafka passes NUL-terminated strings that live for this call.
    let (facility, text) = unsafe { (CStr::from_ptr(facility), CStr::from_ptr(text)) };
    let (facility, text) = (facility.to_string_lossy(), text.to_string_lossy());
    // A lost connection is no error to librdkafka (6), but may be all that there is to tell.
    if level <= 3 || (level <= 6 && facility == "FAIL") {
        if let Some(heard) = complaint::heard(&text) {
            complaints().note(heard);
        }
        if let Ok(mut last) = LAST_COMPLAINT.lock() {
            last.replace_range(.., complaint::without_thread(&text));
        }
    }
    // SAFETY: a client that logs is alive; without one there is no name. The name lives as long as it.
    let name = unsafe {
        if client.is_null() { c"" } else { CStr::from_ptr(rdk::rd_kafka_name(client)) }.to_string_lossy()
    };
    if level <= 6 {
        tracing::debug!(target: "librdkafka", "{name} {facility}: {}", complaint::without_thread(&text));
    } else {
        trace(&name, &facility, complaint::without_thread(&text));
    }
}

/// Shows what a client does, if not too much of the same kind was shown already.
fn trace(client: &str, facility: &str, text: &str) {
    static CHATTER: Mutex<Chatter> = Mutex::new(Chatter::new());
    let admitted = CHATTER.lock().ok().and_then(|mut chatter| chatter.admit(facility, Instant::now()));
    match admitted {
        None => {}
        Some(0) => tracing::trace!(target: "librdkafka", "{client} {facility}: {text}"),
        Some(more) => {
            tracing::trace!(target: "librdkafka", "{client} {facility}: {text} ({more} more {facility} lines were not shown)");
        }
    }
}

/// Called where the client's main queue is served: that may be a shard, so this must be short. It comes at most once
/// for an answer, and only while a quota is exceeded, and once after that.
unsafe extern "C" fn throttled(
    client: *mut rdk::rd_kafka_t,
    broker: *const c_char,
    _id: i32,
    throttle_ms: c_int,
    _opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes a client that is alive, and a NUL-terminated string that lives for this call.
    let (kind, broker) = unsafe { (rdk::rd_kafka_type(client), CStr::from_ptr(broker).to_string_lossy()) };
    let side = match kind {
        RDKafkaType::RD_KAFKA_PRODUCER => Side::Producers,
        RDKafkaType::RD_KAFKA_CONSUMER => Side::Consumers,
    };
    complaints().throttled(side, &complaint::address(&broker), u64::try_from(throttle_ms).unwrap_or(0));
}

pub(crate) fn c_string(text: &str) -> Result<CString, ClientError> {
    CString::new(text).map_err(|_| ClientError::Start(format!("'{}' contains a NUL", text.escape_default())))
}

fn text_of(buffer: &[c_char; ERROR_TEXT_BYTES]) -> String {
    let bytes: Vec<u8> =
        buffer.iter().take_while(|&&byte| byte != 0).map(|&byte| byte.cast_unsigned()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
