//! Topics that a run makes for itself, and how topics and brokers are set.

use std::{
    ffi::{CStr, c_int},
    ptr::NonNull,
};

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use super::options::Options;
use crate::{
    config::NewTopic,
    kafka::{
        ClientError,
        librdkafka::{
            AdminClient,
            client::{self, EventPtr},
            codes,
        },
        observer::{NotCreated, Resource},
    },
};

/// How long the controller has to make a topic.
const REQUEST_TIMEOUT_MS: c_int = 10_000;

/// How long settings are waited for: they only explain.
const LOOK_TIMEOUT_MS: c_int = 2_000;

impl AdminClient {
    /// How a topic or a broker is set, if the brokers say so soon.
    pub(super) fn described_setting(&self, of: Resource<'_>, name: &str) -> Option<String> {
        let resource = NativeResource::new(of)?;
        let (queue, mut resources) = (self.handle.new_queue(), [resource.0.as_ptr()]);
        let options = Options::new(&self.handle, rdk::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
        options.set_request_timeout(LOOK_TIMEOUT_MS);
        // SAFETY: all are alive, and there is one resource; the call copies what it needs.
        unsafe {
            let (client, list) = (self.handle.ptr(), resources.as_mut_ptr());
            rdk::rd_kafka_DescribeConfigs(client, list, resources.len(), options.ptr(), queue.ptr());
        }
        let event = queue.poll(LOOK_TIMEOUT_MS * 2)?;
        setting_in(&event, name)
    }

    /// Makes a topic; one that is there already is left as it is. Waits for the answer, but not for ever.
    pub(super) fn make_topic(&self, topic: &str, new: &NewTopic) -> Result<(), NotCreated> {
        let spec = Spec::new(topic, new)?;
        let options = Options::new(&self.handle, rdk::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS);
        options.set_request_timeout(REQUEST_TIMEOUT_MS);
        options.set_operation_timeout(REQUEST_TIMEOUT_MS / 2);
        let (queue, mut specs) = (self.handle.new_queue(), [spec.0.as_ptr()]);
        // SAFETY: all are alive, and there is one specification; the call copies what it needs.
        unsafe {
            let (client, list) = (self.handle.ptr(), specs.as_mut_ptr());
            rdk::rd_kafka_CreateTopics(client, list, specs.len(), options.ptr(), queue.ptr());
        }
        // The client answers in time by itself; this is for the day it does not.
        let event = queue.poll(REQUEST_TIMEOUT_MS * 2);
        let event = event.filter(|event| event.kind() == rdk::RD_KAFKA_EVENT_CREATETOPICS_RESULT);
        event.map_or_else(|| Err(not_created(Code::RD_KAFKA_RESP_ERR__TIMED_OUT, "")), |event| answer(&event))
    }
}

fn not_created(code: Code, text: &str) -> NotCreated {
    NotCreated::new(codes::error(code), text)
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
            return Err(not_created(code, &text(rdk::rd_kafka_event_error_string(event.ptr()))));
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
                    return Err(not_created(code, &text(rdk::rd_kafka_topic_result_error_string(result))));
                }
            }
        }
    }
    Ok(())
}

/// A broker's answer to the question for its settings, or a topic's.
fn setting_in(event: &EventPtr, setting: &str) -> Option<String> {
    // SAFETY: the event is alive; a result of another kind is null. Resources and entries live as long as the event,
    // and there are as many as is said; names and values that are not null are NUL-terminated.
    unsafe {
        let result = rdk::rd_kafka_event_DescribeConfigs_result(event.ptr());
        if result.is_null() {
            return None;
        }
        let (mut count, mut entries_count) = (0, 0);
        let resources = rdk::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
        let resource = (count > 0).then(|| *resources)?;
        let entries = rdk::rd_kafka_ConfigResource_configs(resource, &raw mut entries_count);
        for index in 0..entries_count {
            let entry = *entries.add(index);
            let (name, value) =
                (rdk::rd_kafka_ConfigEntry_name(entry), rdk::rd_kafka_ConfigEntry_value(entry));
            if !name.is_null() && !value.is_null() && CStr::from_ptr(name).to_bytes() == setting.as_bytes() {
                return Some(CStr::from_ptr(value).to_string_lossy().into_owned());
            }
        }
        None
    }
}

/// An owned `rd_kafka_ConfigResource_t`.
struct NativeResource(NonNull<rdk::rd_kafka_ConfigResource_t>);

impl NativeResource {
    fn new(of: Resource<'_>) -> Option<Self> {
        let (kind, name) = match of {
            Resource::Topic(name) => {
                (rdk::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, client::c_string(name))
            }
            Resource::Broker(id) => {
                (rdk::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER, client::c_string(&id.to_string()))
            }
        };
        let name = name.ok()?;
        // SAFETY: the name is alive, and copied.
        NonNull::new(unsafe { rdk::rd_kafka_ConfigResource_new(kind, name.as_ptr()) }).map(Self)
    }
}

impl Drop for NativeResource {
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
