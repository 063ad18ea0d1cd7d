//! Topics that a run makes for itself.

use std::{
    ffi::{CStr, c_int},
    ptr::NonNull,
};

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use crate::{
    config::NewTopic,
    kafka::{
        ClientError, KafkaError, Observer, TopicShape,
        librdkafka::{
            client::{self, EventPtr, Handle},
            codes,
        },
    },
};

/// How long the controller has to make a topic.
const REQUEST_TIMEOUT_MS: c_int = 10_000;

/// How long a topic's settings are waited for, where a run has ended and they only explain.
const LOOK_TIMEOUT_MS: c_int = 2_000;

/// Why a topic was not made.
pub(crate) struct NotCreated {
    pub(crate) reason: String,
    /// Asking again may help.
    pub(crate) passing: bool,
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

    /// Whether a topic may be compacted, as far as the brokers say so soon; `None` without an answer.
    #[must_use]
    pub fn is_compacted(&self, topic: &str) -> Option<bool> {
        let resource = Resource::topic(topic)?;
        let (queue, mut resources) = (self.handle.new_queue(), [resource.0.as_ptr()]);
        // SAFETY: all are alive, and there is one resource; the call copies what it needs. Null options are the default ones.
        unsafe {
            let (client, list) = (self.handle.ptr(), resources.as_mut_ptr());
            rdk::rd_kafka_DescribeConfigs(client, list, resources.len(), std::ptr::null(), queue.ptr());
        }
        let event = queue.poll(LOOK_TIMEOUT_MS)?;
        // SAFETY: the event is alive; a result of another kind is null. What it holds lives as long as the event, and names
        // and values that are not null are NUL-terminated.
        unsafe {
            let result = rdk::rd_kafka_event_DescribeConfigs_result(event.ptr());
            if result.is_null() {
                return None;
            }
            let (mut count, mut entries) = (0, 0);
            let resources = rdk::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
            let resource = (count > 0).then(|| *resources)?;
            let configs = rdk::rd_kafka_ConfigResource_configs(resource, &raw mut entries);
            for index in 0..entries {
                let entry = *configs.add(index);
                let value = rdk::rd_kafka_ConfigEntry_value(entry);
                if CStr::from_ptr(rdk::rd_kafka_ConfigEntry_name(entry)) == c"cleanup.policy"
                    && !value.is_null()
                {
                    return Some(CStr::from_ptr(value).to_string_lossy().contains("compact"));
                }
            }
        }
        None
    }

    /// Makes a topic; one that is there already is left as it is. Waits for the answer, but not for ever.
    pub(crate) fn create_topic(&self, topic: &str, new: &NewTopic) -> Result<(), NotCreated> {
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
        let error = codes::error(code);
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
        if codes::check(code).is_err() {
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

/// An owned `rd_kafka_ConfigResource_t`.
struct Resource(NonNull<rdk::rd_kafka_ConfigResource_t>);

impl Resource {
    fn topic(name: &str) -> Option<Self> {
        let name = client::c_string(name).ok()?;
        let kind = rdk::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        // SAFETY: the name is alive, and copied.
        NonNull::new(unsafe { rdk::rd_kafka_ConfigResource_new(kind, name.as_ptr()) }).map(Self)
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        // SAFETY: the resource is ours and not used again.
        unsafe { rdk::rd_kafka_ConfigResource_destroy(self.0.as_ptr()) };
    }
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
            codes::check(code).map_err(|error| refused(&error.to_string()))?;
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
