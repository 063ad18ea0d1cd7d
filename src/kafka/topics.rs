//! Topics that a run makes for itself.

use std::{
    ffi::{CStr, c_int},
    ptr::NonNull,
};

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use super::{
    ClientError, KafkaError, Observer, TopicShape,
    client::{self, EventPtr, Handle},
};
use crate::config::NewTopic;

/// How long the controller has to make a topic.
const REQUEST_TIMEOUT_MS: c_int = 10_000;

/// Why a topic was not made.
pub(super) struct NotCreated {
    pub(super) reason: String,
    /// Asking again may help.
    pub(super) passing: bool,
}

impl Observer {
    /// What a topic is like now; waits for the answer, but not long.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub fn look_at_topic(&self, topic: &str) -> Result<TopicShape, KafkaError> {
        let handle = self.handle.topic(topic).map_err(|_| KafkaError::timed_out())?;
        self.shape(handle.ptr())
    }

    /// Makes a topic; one that is there already is left as it is. Waits for the answer, but not for ever.
    pub(super) fn create_topic(&self, topic: &str, new: &NewTopic) -> Result<(), NotCreated> {
        let spec = Spec::new(topic, new)?;
        let options = Options::new(&self.handle);
        let (queue, mut specs) = (self.handle.new_queue(), [spec.0.as_ptr()]);
        // SAFETY: all are alive, and there is one specification; the call copies what it needs.
        unsafe {
            let (client, list) = (self.handle.ptr(), specs.as_mut_ptr());
            rdk::rd_kafka_CreateTopics(client, list, specs.len(), options.0, queue.ptr());
        }
        // The client answers in time by itself; this is for the day it does not.
        let event = queue.poll(REQUEST_TIMEOUT_MS * 2);
        let event = event.filter(|event| event.kind() == rdk::RD_KAFKA_EVENT_CREATETOPICS_RESULT);
        event.map_or_else(
            || Err(NotCreated::new(Code::RD_KAFKA_RESP_ERR__TIMED_OUT, "")),
            |event| answer(&event),
        )
    }
}

impl NotCreated {
    fn new(code: Code, text: &str) -> Self {
        let error = KafkaError::new(code);
        let reason = if text.is_empty() { error.to_string() } else { format!("{error}: {text}") };
        Self { reason, passing: error.is_passing_answer() }
    }
}

impl From<ClientError> for NotCreated {
    fn from(error: ClientError) -> Self {
        Self { reason: error.to_string(), passing: false }
    }
}

fn answer(event: &EventPtr) -> Result<(), NotCreated> {
    // SAFETY: the event is alive and of this kind; results and texts live as long, and texts that are not null are
    // NUL-terminated.
    unsafe {
        let text = |text| {
            if std::ptr::eq(text, std::ptr::null()) {
                "".into()
            } else {
                CStr::from_ptr(text).to_string_lossy()
            }
        };
        let code = rdk::rd_kafka_event_error(event.ptr());
        if KafkaError::check(code).is_err() {
            return Err(NotCreated::new(code, &text(rdk::rd_kafka_event_error_string(event.ptr()))));
        }
        let mut count = 0;
        let result = rdk::rd_kafka_event_CreateTopics_result(event.ptr());
        let results = rdk::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
        for index in 0..count {
            let result = *results.add(index);
            match rdk::rd_kafka_topic_result_error(result) {
                // Somebody else was faster.
                Code::RD_KAFKA_RESP_ERR_NO_ERROR | Code::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS => {}
                code => {
                    return Err(NotCreated::new(
                        code,
                        &text(rdk::rd_kafka_topic_result_error_string(result)),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// An owned `rd_kafka_NewTopic_t`.
struct Spec(NonNull<rdk::rd_kafka_NewTopic_t>);

impl Spec {
    fn new(topic: &str, new: &NewTopic) -> Result<Self, ClientError> {
        let refused = |what: &str| ClientError::Start(format!("topic '{topic}': {what}"));
        let name = client::c_string(topic)?;
        let partitions = c_int::try_from(new.partitions).map_err(|_| refused("too many partitions"))?;
        // -1 is the cluster's default.
        let replicas = new.replication_factor.map_or(-1, c_int::from);
        // SAFETY: the name is alive and copied; no text is asked for.
        let spec = unsafe {
            rdk::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replicas, std::ptr::null_mut(), 0)
        };
        let spec = Self(NonNull::new(spec).ok_or_else(|| refused("the client does not take these numbers"))?);
        for (key, value) in &new.config {
            let (key, value) = (client::c_string(key)?, client::c_string(value)?);
            // SAFETY: the specification and both texts are alive; the texts are copied.
            let code =
                unsafe { rdk::rd_kafka_NewTopic_set_config(spec.0.as_ptr(), key.as_ptr(), value.as_ptr()) };
            KafkaError::check(code).map_err(|error| refused(&error.to_string()))?;
        }
        Ok(spec)
    }
}

impl Drop for Spec {
    fn drop(&mut self) {
        // SAFETY: the specification is ours and not used again.
        unsafe { rdk::rd_kafka_NewTopic_destroy(self.0.as_ptr()) };
    }
}

/// Owned `rd_kafka_AdminOptions_t`.
struct Options(*mut rdk::rd_kafka_AdminOptions_t);

impl Options {
    fn new(handle: &Handle) -> Self {
        // SAFETY: the client is alive; the options are ours. Both setters take values in their range.
        unsafe {
            let operation = rdk::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS;
            let (options, no_text) =
                (rdk::rd_kafka_AdminOptions_new(handle.ptr(), operation), std::ptr::null_mut());
            rdk::rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_TIMEOUT_MS, no_text, 0);
            rdk::rd_kafka_AdminOptions_set_operation_timeout(options, REQUEST_TIMEOUT_MS / 2, no_text, 0);
            Self(options)
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the options are ours and not used again.
        unsafe { rdk::rd_kafka_AdminOptions_destroy(self.0) };
    }
}
